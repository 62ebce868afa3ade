/* examples/look_inside.c: pictures of every stage: the layers, the tape, its gradient, the compiled program, its
 * memory.
 *
 *   look_inside [DIR]      writes into DIR (default: .) and says what is what */
#include <grape.h>
#include <stdlib.h>

/* A step by hand, without models: softmax regression. */
static gr_status record(gr_tape *t, gr_variable *w, gr_tensor **x, gr_tensor **y, gr_tensor **loss)
{
    *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 8), "x");
    *y = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "y");
    gr_tensor *weight = gr_read(t, w), *grad;
    gr_tensor *logits = gr_matmul(*x, weight);
    *loss = gr_mean(gr_neg(gr_sum(gr_mul(*y, gr_log_softmax(logits)), .axes = GR_SHAPE(-1))));
    GR_TRY(gr_grad(*loss, &weight, 1, &grad));
    return gr_status_of(gr_assign(weight, gr_sub(weight, gr_mul(gr_scalar(grad, 0.1), grad))));
}

static void write_text(const char *dir, const gr_tape *t)
{
    char path[4096], *text = gr_tape_text(t);
    snprintf(path, sizeof path, "%s/tape.txt", dir);
    FILE *f = text ? fopen(path, "w") : NULL;
    if (f) {
        fputs(text, f);
        fclose(f);
        printf("%-22s the tape as text: a node a line; it parses back\n", path);
    }
    gr_text_free(text);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : ".";
    char path[4096];
    gr_set_seed(1234);
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(8, 3), true);
    gr_tape *t = gr_tape_new();
    gr_tensor *x, *y, *loss;
    if (!w || !t || record(t, w, &x, &y, &loss) != GR_OK)
        return gr_report(stderr);
    write_text(dir, t);
    snprintf(path, sizeof path, "%s/tape.svg", dir);
    if (gr_tape_dot(t, path) == GR_OK)
        printf("%-22s the same as a picture: forward, backward, update in their colours\n", path);

    gr_program *p = gr_program_new(t, .inputs = {x, y}, .outputs = {loss}, .name = "regression", .max_batch = 32);
    if (p && gr_program_dump(p, dir) == GR_OK) {
        gr_program_stats s = gr_program_plan(p);
        printf("%s/groups.dot, plan.txt, memory.svg: the compiled program\n", dir);
        printf("  %lld nodes, %lld groups, %lld steps in %lld phases, arena %.1f KiB (lower bound %.1f)\n",
            (long long)s.nodes, (long long)s.groups, (long long)s.steps, (long long)s.phases,
            (double)s.arena_bytes / 1024, (double)s.lower_bound_bytes / 1024);
    }
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(512, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(10, .activation = "softmax"));
    snprintf(path, sizeof path, "%s/layers.svg", dir);
    if (m && gr_model_plot(m, path) == GR_OK)
        printf("%-22s a model: a cluster a layer\n", path);
    printf("every program: GRAPE_DUMP=dir (graph after each pass), GRAPE_WHY=1, GRAPE_PROFILE=1, GRAPE_NANCHECK=1\n");
    gr_model_free(m), gr_program_free(p), gr_tape_free(t), gr_variable_free(w);
    return gr_report(stderr);
}
