/* bench/mlp.c: the tutorial's training step as a user has it, gr_compile and gr_fit: dense and batch normalization,
 * Adam with clipnorm 1, batch 128. Other widths by --widths. Driven by bench/run mlp; see bench/side.h. */
#include "bench/side.h"

enum { BATCHES = 16, WEIGHTS = 6 * BENCH_WIDTHS };
static gr_model *model;
static gr_array *x, *y;
static int batch;

static gr_model *network(const bench_options *o)
{
    gr_layer *layer[3 * BENCH_WIDTHS] = {gr_spec_copy(gr_Input(GR_SHAPE(o->width[0])))};
    int n = 1;
    for (int i = 1; i < o->n_widths; i++) {
        bool last = i == o->n_widths - 1;
        layer[n++] = gr_spec_copy(gr_Dense(o->width[i], .activation = last ? "softmax" : "relu"));
        if (!last)
            layer[n++] = gr_spec_copy(gr_BatchNormalization());
    }
    gr_model *m = gr_sequential_at(GR_HERE, (const gr_layer *const *)layer);
    for (int i = 0; i < n; i++)
        gr_spec_free(layer[i]);
    return m;
}

static gr_status load(const bench_options *o, gr_npz *npz)
{
    const gr_array *w[WEIGHTS];
    int n = 0;
    if (o->n_widths < 2)
        return gr_fail(GR_EARG, GR_HERE, "mlp: argument --widths: expected at least 2, found %d", o->n_widths);
    gr_model_free(model), gr_array_free(x), gr_array_free(y);
    model = network(o);
    x = y = NULL;
    batch = o->batch;
    if (!model || gr_compile(model, .optimizer = gr_Adam(.clipnorm = 1.0f), .loss = "categorical_crossentropy",
                      .metrics = {"accuracy"}) != GR_OK)
        return gr_error();
    for (; n < gr_model_weight_count(model) && n < WEIGHTS; n++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", n);
        if (!(w[n] = gr_npz_get(npz, name)))
            return gr_error();
    }
    gr_status s = gr_model_set_weights(model, n, w);
    const gr_array *rows = gr_npz_get(npz, "x"), *labels = gr_npz_get(npz, "y");
    if (s == GR_OK && rows && labels) {
        x = gr_array_copy(rows);
        y = gr_array_copy(labels);
    }
    return x && y ? GR_OK : gr_error();
}

static gr_status losses(int k, float *loss)
{
    gr_history *h = gr_fit(model, gr_xy(GR_LIST(x), GR_LIST(y)), .batch_size = batch, .no_shuffle = true,
        .verbose = GR_VERBOSE_SILENT, .step_losses = k);
    int64_t n = 0;
    const float *own = h ? gr_history_step_losses(h, &n) : NULL;
    if (own && n >= k)
        memcpy(loss, own, (size_t)k * sizeof *loss);
    else
        gr_fail(GR_EARG, GR_HERE, "mlp: losses: expected at most %d", BATCHES);
    gr_history_free(h);
    return gr_error();
}

/* Whole rounds over the data, a few steps more than asked for if need be: the driver asks for rounds. */
static gr_status run(int64_t n)
{
    gr_history *h = gr_fit(model, gr_xy(GR_LIST(x), GR_LIST(y)), .batch_size = batch, .no_shuffle = true,
        .epochs = (int)((n + BATCHES - 1) / BATCHES), .verbose = GR_VERBOSE_SILENT);
    gr_history_free(h);
    return h ? GR_OK : gr_error();
}

int main(int argc, char **argv)
{
    static const bench_side side = {.load = load, .losses = losses, .run = run};
    int code = bench_serve(&side, argc, argv);
    gr_model_free(model), gr_array_free(x), gr_array_free(y);
    return code;
}
