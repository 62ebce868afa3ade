/* Layers against Keras: values, gradients and moving statistics of tests/fixtures/layers*.npz, in float64 and float32.
 */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "core/node.h"
#include "models/build_impl.h"
#include "models/layers/layers.h"
#include "tests/fixture.h"

enum { MOST = 8, INPUTS = 3 }; /* weights of a layer; its inputs */

/* The layer of case i; freed by gr_spec_free. */
static gr_layer *layer_of(const fixture *f, int i)
{
    char kind[40], text[400], value[64];
    fixture_text(f, i, "kind", kind, sizeof kind);
    if (strcmp(kind, "Activation") == 0) {
        fixture_value(f, i, "options", "activation", value, sizeof value);
        return gr_spec_copy(gr_Activation(strcmp(value, "gelu_tanh") == 0 ? "gelu(approximate=true)" : value));
    }
    if (strcmp(kind, "Reshape") == 0)
        return gr_spec_copy(gr_Reshape(fixture_list(f, i, "options", "target_shape")));
    if (fixture_value(f, i, "options", "layer", value, sizeof value)) { /* a layer around this one */
        fixture_spec(f, i, "kind", "options", text, sizeof text);
        char *inner = strstr(text, "layer=") + strlen("layer=");
        *strpbrk(inner, ", ") = '(';
        gr_layer *own = gr_spec_parse(inner, gr__layers, "layer", GR_HERE), *around = NULL;
        if (own)
            around = gr_spec_copy(strcmp(kind, "Bidirectional") == 0 ? gr_Bidirectional(own) : gr_TimeDistributed(own));
        gr_spec_free(own);
        return around;
    }
    return gr_spec_parse(fixture_spec(f, i, "kind", "options", text, sizeof text), gr__layers, "layer", GR_HERE);
}

static gr_array *entry(const fixture *f, int i, const char *prefix, int k)
{
    char key[16];
    snprintf(key, sizeof key, "%s%d", prefix, k);
    return fixture_array(f, i, key);
}

/* "x", "x1", "x2", .. */
static gr_array *numbered(const fixture *f, int i, const char *prefix, int k)
{
    return k ? entry(f, i, prefix, k) : fixture_array(f, i, prefix);
}

static gr_array *as(const gr_array *a, gr_dtype real)
{
    gr_array *c = gr_array_copy(a);
    gr_array_cast(c, real);
    return c;
}

/* What a layer's trace is made of: outputs y, dx, dw of the trainable weights, in that order. */
typedef struct {
    const fixture *f;
    int i;
    gr_dtype real;
    gr__store store;
    gr_tape *tape;
    gr_build build;
    gr_tensor *x[INPUTS], *out[1 + INPUTS + MOST];
    const gr_array *expected[1 + INPUTS + MOST];
    int n_x, n, first_weight;
} trial;

static bool record(trial *t)
{
    const fixture *f = t->f;
    int i = t->i;
    gr_layer *layer = layer_of(f, i);
    if (!GR_EXPECT(layer != NULL, "%s: %s", f->name[i], gr_error_message()))
        return false;
    for (const gr_array *x; t->n_x < INPUTS && (x = numbered(f, i, "x", t->n_x)); t->n_x++)
        t->x[t->n_x] = gr_input(
            t->tape, gr_dtype_is_float(gr_array_dtype(x)) ? t->real : gr_array_dtype(x), gr_array_shape(x), "x");
    gr_apply_n(&t->build, layer, t->n_x, t->x, 1, &t->out[t->n]);
    t->expected[t->n++] = fixture_array(f, i, "y");
    gr_spec_free(layer);
    if (!GR_EXPECT(gr_status_of(t->out[0]) == GR_OK, "%s: %s", f->name[i], gr_error_message()))
        return false;
    for (int k = 0; k < t->store.n; k++) {
        gr_array *w = entry(f, i, "w", k);
        if (!GR_EXPECT(w != NULL, "%s: Keras has %d weights, Grape %d", f->name[i], k, t->store.n))
            return false;
        w = as(w, t->real);
        gr_status s = gr_variable_set(t->store.variable[k], w);
        gr_array_free(w);
        if (!GR_EXPECT(s == GR_OK, "%s: weight %d: %s", f->name[i], k, gr_error_message()))
            return false;
    }
    if (!fixture_array(f, i, "dy"))
        return true;
    gr_array *d = as(fixture_array(f, i, "dy"), t->real);
    gr_tensor *dy = gr_constant(t->tape, d), *wrt[INPUTS + MOST];
    gr_array_free(d);
    int n = 0;
    for (; n < t->n_x && (t->expected[1 + n] = numbered(f, i, "dx", n)); n++) /* integers have no gradient */
        wrt[n] = t->x[n];
    t->first_weight = n;
    for (int k = 0, trainable = 0; k < t->store.n; k++)
        if (gr_variable_trainable(t->store.variable[k])) {
            wrt[n] = gr_read(t->tape, t->store.variable[k]);
            t->expected[1 + n++] = entry(f, i, "dw", trainable++);
        }
    t->n += n;
    return GR_EXPECT(
        gr_grad_with(1, t->out, &dy, wrt, n, t->out + 1) == GR_OK, "%s: %s", f->name[i], gr_error_message());
}

static void check(trial *t, double tolerance)
{
    const fixture *f = t->f;
    const char *row = f->name[t->i];
    gr_program_opts opts = {.verify = true};
    memcpy(opts.inputs, t->x, (size_t)t->n_x * sizeof *t->x);
    memcpy(opts.outputs, t->out, (size_t)t->n * sizeof *t->out);
    gr_program *p = gr_program_new_at(GR_HERE, t->tape, &opts);
    gr_array *x[INPUTS], *found[1 + INPUTS + MOST];
    for (int k = 0; k < t->n_x; k++)
        x[k] = as(numbered(f, t->i, "x", k), gr_dtype_of(t->x[k]));
    for (int k = 0; k < t->n; k++)
        found[k] = gr_array_new(t->real, gr_shape_of(t->out[k]));
    bool ran = p && gr_program_run(p, x, found) == GR_OK;
    if (GR_EXPECT(ran, "%s: %s", row, gr_error_message())) {
        for (int k = 0; k < t->n; k++) {
            char what[16] = "y";
            if (k > 0)
                snprintf(what, sizeof what, k <= t->first_weight ? "dx%d" : "dw%d",
                    k - 1 - (k <= t->first_weight ? 0 : t->first_weight));
            if (GR_EXPECT(t->expected[k] != NULL, "%s: Keras has no %s", row, what))
                fixture_near(found[k], t->expected[k], tolerance, k ? 1 : 1e-3, row, what);
        }
        for (int k = 0; k < t->store.n && entry(f, t->i, "after", k); k++) { /* the program's assignments were made */
            gr_array *now = gr_variable_get(t->store.variable[k]);
            fixture_near(now, entry(f, t->i, "after", k), tolerance, 1, row, gr_variable_path(t->store.variable[k]));
            gr_array_free(now);
        }
    }
    for (int k = 0; k < t->n; k++)
        gr_array_free(found[k]);
    for (int k = 0; k < t->n_x; k++)
        gr_array_free(x[k]);
    gr_program_free(p);
}

/* float32 rounds a mean of 1000 to 6e-5, and the gradient divides by a deviation of 1. JAX has attention's scores in
 * float32 whatever the operands. */
static double tolerance_of(const char *name, gr_dtype real)
{
    if (real == GR_F64 && strncmp(name, "attention", strlen("attention")) == 0)
        return 2e-6;
    return real == GR_F64 ? 2e-7 : strstr(name, "far_mean") ? 2e-4 : 4e-6;
}

/* Those of the file whose names begin so; at least that many must be there. */
static void check_cases(const char *file, const char *prefix, int at_least)
{
    fixture f = fixture_open(file);
    int n = 0;
    for (int i = 0; i < f.n; i++) {
        if (strncmp(f.name[i], prefix, strlen(prefix)) != 0)
            continue;
        n++;
        for (int mode = 0; mode < 2; mode++) {
            trial t = {.f = &f, .i = i, .real = mode ? GR_F32 : GR_F64, .tape = gr_tape_new()};
            t.store.dtype = t.real;
            gr__build_begin(&t.build, t.tape, &t.store, fixture_array(&f, i, "training") != NULL);
            if (record(&t))
                check(&t, tolerance_of(f.name[i], t.real));
            gr__build_end(&t.build);
            gr_tape_free(t.tape);
            gr__store_free(&t.store);
            gr_error_clear();
        }
    }
    GR_EXPECT(n >= at_least, "%d cases of %s begin with %s", n, file, prefix);
    fixture_close(&f);
}

static void dense_layers_agree_with_keras(void)
{
    check_cases("layers.npz", "dense", 7);
}
static void batch_normalization_agrees_with_keras(void)
{
    check_cases("layers.npz", "bn_", 11);
}
static void layer_normalization_agrees_with_keras(void)
{
    check_cases("layers.npz", "ln", 7);
}
static void activations_agree_with_keras(void)
{
    check_cases("layers.npz", "act", 26);
}
static void activations_stay_right_far_out(void)
{
    check_cases("layers.npz", "hard_", 13);
}
static void the_other_layers_agree_with_keras(void)
{
    check_cases("layers.npz", "dropout", 2);
    check_cases("layers.npz", "flatten", 2);
    check_cases("layers.npz", "reshape", 2);
    check_cases("layers.npz", "rescaling", 1);
}
static void convolutions_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "conv2d", 14);
    check_cases("layers_conv.npz", "conv1d", 6);
    check_cases("layers_conv.npz", "depthwise", 4);
}
static void pooling_agrees_with_keras(void)
{
    check_cases("layers_conv.npz", "maxpool", 6);
    check_cases("layers_conv.npz", "averagepool", 6);
    check_cases("layers_conv.npz", "global", 4);
}
static void padding_cropping_and_enlarging_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "zeropadding", 1);
    check_cases("layers_conv.npz", "cropping", 1);
    check_cases("layers_conv.npz", "upsampling", 1);
}
static void embedding_agrees_with_keras(void)
{
    check_cases("layers_seq.npz", "embedding", 1);
    check_cases("layers_seq.npz", "layer_norm", 1);
}

static void attention_agrees_with_keras(void)
{
    check_cases("layers_seq.npz", "attention", 9);
}

static void recurrent_layers_agree_with_keras(void)
{
    check_cases("layers_seq.npz", "simplernn", 5);
    check_cases("layers_seq.npz", "lstm", 6);
    check_cases("layers_seq.npz", "gru", 6);
    check_cases("layers_seq.npz", "bidirectional", 2);
    check_cases("layers_seq.npz", "time_distributed", 1);
}

GR_SUITE("layers against Keras", GR_TEST(dense_layers_agree_with_keras), GR_TEST(batch_normalization_agrees_with_keras),
    GR_TEST(layer_normalization_agrees_with_keras), GR_TEST(activations_agree_with_keras),
    GR_TEST(activations_stay_right_far_out), GR_TEST(the_other_layers_agree_with_keras),
    GR_TEST(convolutions_agree_with_keras), GR_TEST(pooling_agrees_with_keras),
    GR_TEST(padding_cropping_and_enlarging_agree_with_keras), GR_TEST(embedding_agrees_with_keras),
    GR_TEST(attention_agrees_with_keras), GR_TEST(recurrent_layers_agree_with_keras))
