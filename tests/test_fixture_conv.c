/* Convolutions, pooling and their company against Keras: tests/fixtures/layers_conv.npz and the embedding of
 * layers_seq.npz. Values and gradients, float64 and float32, through compiled programs. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "models/build_impl.h"
#include "models/layers/layers.h"
#include "tests/fixture.h"

enum { MOST = 5 }; /* outputs compared: y, dx, dw0, dw1, dw2 */

/* "filters=4 kernel_size=3,3" as "filters=4, kernel_size=[3, 3]": Grape's text of a spec has its lists in brackets. */
static const char *bracketed(const fixture *f, int i, char *out, size_t size)
{
    static const char *const lists[] = {"kernel_size", "strides", "dilation_rate", "pool_size", "size"};
    char kind[64], options[400], value[100];
    fixture_text(f, i, "kind", kind, sizeof kind);
    fixture_text(f, i, "options", options, sizeof options);
    size_t n = (size_t)snprintf(out, size, "%s(", kind);
    for (char *word = strtok(options, " "); word && n < size; word = strtok(NULL, " ")) {
        char *equals = strchr(word, '=');
        bool list = false;
        for (size_t k = 0; equals && k < sizeof lists / sizeof *lists; k++)
            list =
                list || (strlen(lists[k]) == (size_t)(equals - word) && strncmp(word, lists[k], strlen(lists[k])) == 0);
        snprintf(value, sizeof value, list ? "[%s]" : "%s", equals ? equals + 1 : "");
        n += (size_t)snprintf(out + n, size - n, "%s%.*s=%s", out[n - 1] == '(' ? "" : ", ",
            (int)(equals ? equals - word : 0), word, value);
    }
    if (n < size)
        snprintf(out + n, size - n, ")");
    return out;
}

static gr_layer *layer_of(const fixture *f, int i)
{
    char kind[40], text[400];
    fixture_text(f, i, "kind", kind, sizeof kind);
    if (strcmp(kind, "ZeroPadding2D") == 0) /* ((1, 0), (2, 1)) */
        return gr_spec_copy(gr_ZeroPadding2D(.padding = GR_SHAPE(1, 0, 2, 1)));
    if (strcmp(kind, "Cropping2D") == 0)
        return gr_spec_copy(gr_Cropping2D(.cropping = GR_SHAPE(1, 0, 2, 1)));
    return gr_spec_parse(bracketed(f, i, text, sizeof text), gr__layers, "layer", GR_HERE);
}

static gr_array *as(const gr_array *a, gr_dtype real)
{
    gr_array *c = gr_array_copy(a);
    if (gr_dtype_is_float(gr_array_dtype(a)))
        gr_array_cast(c, real);
    return c;
}

static gr_array *entry(const fixture *f, int i, const char *prefix, int k)
{
    char key[16];
    snprintf(key, sizeof key, "%s%d", prefix, k);
    return fixture_array(f, i, key);
}

static bool set_weights(const fixture *f, int i, const gr__store *store)
{
    for (int k = 0; k < store->n; k++) {
        gr_array *w = entry(f, i, "w", k);
        if (!GR_EXPECT(w != NULL, "%s: Keras has %d weights, Grape %d", f->name[i], k, store->n))
            return false;
        w = as(w, store->dtype);
        gr_status s = gr_variable_set(store->variable[k], w);
        gr_array_free(w);
        if (!GR_EXPECT(s == GR_OK, "%s: weight %d: %s", f->name[i], k, gr_error_message()))
            return false;
    }
    return GR_EXPECT(!entry(f, i, "w", store->n), "%s: Keras has more than %d weights", f->name[i], store->n);
}

/* Records y and its gradients; the number of them, 0 on failure. */
static int record(const fixture *f, int i, gr_build *b, gr_tensor *x, gr_tensor *out[MOST], const gr_array *want[MOST])
{
    gr_layer *layer = layer_of(f, i);
    if (!GR_EXPECT(layer != NULL, "%s: %s", f->name[i], gr_error_message()))
        return 0;
    out[0] = gr_apply(b, layer, x);
    want[0] = fixture_array(f, i, "y");
    gr_spec_free(layer);
    if (!GR_EXPECT(gr_status_of(out[0]) == GR_OK, "%s: %s", f->name[i], gr_error_message()) ||
        !set_weights(f, i, b->store))
        return 0;
    gr_array *d = as(fixture_array(f, i, "dy"), b->store->dtype);
    gr_tensor *dy = gr_constant(b->tape, d), *wrt[MOST];
    gr_array_free(d);
    int n = 0;
    if (gr_dtype_is_float(gr_dtype_of(x))) {
        wrt[n] = x;
        want[++n] = fixture_array(f, i, "dx");
    }
    for (int k = 0; k < b->store->n; k++) {
        wrt[n] = gr_read(b->tape, b->store->variable[k]);
        want[++n] = entry(f, i, "dw", k);
    }
    bool good = gr_grad_with(1, out, &dy, wrt, n, out + 1) == GR_OK;
    return GR_EXPECT(good, "%s: %s", f->name[i], gr_error_message()) ? n + 1 : 0;
}

static void check(const fixture *f, int i, gr_dtype real)
{
    gr__store store = {.dtype = real};
    gr_tape *tape = gr_tape_new();
    gr_build b;
    gr_tensor *out[MOST];
    const gr_array *want[MOST];
    gr__build_begin(&b, tape, &store, false);
    gr_array *x = as(fixture_array(f, i, "x"), real), *found[MOST];
    gr_tensor *in = gr_input(tape, gr_array_dtype(x), gr_array_shape(x), "x");
    int n = record(f, i, &b, in, out, want);
    if (n) {
        gr_program_opts opts = {.inputs = {in}, .verify = true, .threads = 2};
        memcpy(opts.outputs, out, (size_t)n * sizeof *out);
        gr_program *p = gr_program_new_at(GR_HERE, tape, &opts);
        for (int k = 0; k < n; k++)
            found[k] = gr_array_new(real, gr_shape_of(out[k]));
        if (GR_EXPECT(p && gr_program_run(p, &x, found) == GR_OK, "%s: %s", f->name[i], gr_error_message()))
            for (int k = 0; k < n; k++)
                if (GR_EXPECT(want[k] != NULL, "%s: Keras has no gradient %d", f->name[i], k))
                    fixture_near(found[k], want[k], real == GR_F64 ? 2e-7 : 4e-6, 1, f->name[i], k ? "gradient" : "y");
        for (int k = 0; k < n; k++)
            gr_array_free(found[k]);
        gr_program_free(p);
    }
    gr_array_free(x);
    gr__build_end(&b);
    gr_tape_free(tape);
    gr__store_free(&store);
    gr_error_clear();
}

static void check_cases(const char *file, const char *part, int at_least)
{
    fixture f = fixture_open(file);
    int n = 0;
    for (int i = 0; i < f.n; i++) {
        if (strstr(f.name[i], part) == NULL)
            continue;
        n++;
        check(&f, i, GR_F64);
        check(&f, i, GR_F32);
    }
    GR_EXPECT(n >= at_least, "%d cases have %s in their names, expected %d", n, part, at_least);
    fixture_close(&f);
}

static void convolutions_of_pictures_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "conv2d_", 14);
}
static void convolutions_of_one_axis_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "conv1d_", 6);
}
static void depthwise_convolutions_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "depthwise", 4);
}
static void separable_and_transposed_convolutions_agree_with_keras(void)
{
    check_cases("layers_conv.npz", "separable", 2);
    check_cases("layers_conv.npz", "transpose", 4);
}
static void pooling_agrees_with_keras(void)
{
    check_cases("layers_conv.npz", "pool", 16);
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
}

GR_SUITE("convolution and pooling against Keras", GR_TEST(convolutions_of_pictures_agree_with_keras),
    GR_TEST(convolutions_of_one_axis_agree_with_keras), GR_TEST(depthwise_convolutions_agree_with_keras),
    GR_TEST(separable_and_transposed_convolutions_agree_with_keras), GR_TEST(pooling_agrees_with_keras),
    GR_TEST(padding_cropping_and_enlarging_agree_with_keras),
    GR_TEST(embedding_agrees_with_keras))
