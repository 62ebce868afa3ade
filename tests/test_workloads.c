/* The five workloads of bench/, whole training steps: their plans are checked byte by byte and their runs shaken
 * (GRAPE_VERIFY=1), for batches that are whole and for the short last one. With 1, 2 and 3 threads, and without any of
 * that, they give the same bits. The predictors made of them too. */
#include "core/thread.h"
#include "models/model.h"
#include "models/predictor.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>

/* ---- the models -------------------------------------------------------------------------------------------------- */

static gr_model *mlp(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(512, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(128, .activation = "relu"), gr_BatchNormalization(), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = 1.0f), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    return m;
}

static gr_model *cnn(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(28, 28, 1)), gr_Conv2D(32, GR_SHAPE(3, 3), .activation = "relu"),
        gr_MaxPooling2D(), gr_Conv2D(64, GR_SHAPE(3, 3), .activation = "relu"), gr_MaxPooling2D(), gr_Flatten(),
        gr_Dense(128, .activation = "relu"), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

typedef struct {
    gr_layer base;
} Resnet20_spec;

static gr_tensor *conv_bn(gr_build *b, gr_tensor *x, int width, int64_t kernel, int64_t stride)
{
    x = gr_apply(b,
        gr_Conv2D(
            width, GR_SHAPE(kernel, kernel), .strides = GR_SHAPE(stride, stride), .padding = "same", .no_bias = true),
        x);
    return gr_apply(b, gr_BatchNormalization(), x);
}

static gr_tensor *resnet20(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)spec;
    x = gr_relu(conv_bn(b, x, 16, 3, 1));
    for (int k = 0; k < 9; k++) {
        const int width = 16 << k / 3, stride = k == 3 || k == 6 ? 2 : 1;
        gr_tensor *h = gr_relu(conv_bn(b, x, width, 3, stride));
        h = conv_bn(b, h, width, 3, 1);
        x = gr_relu(gr_add(stride == 2 ? conv_bn(b, x, width, 1, 2) : x, h));
    }
    return gr_apply(b, gr_Dense(10, .activation = "softmax"), gr_apply(b, gr_GlobalAveragePooling2D(), x));
}
static const gr_layer_kind Resnet20_kind = {
    .name = "Resnet20", .size = sizeof(Resnet20_spec), .family = "layer", .call = resnet20};
#define Resnet20(...) GR_SPEC(Resnet20, __VA_ARGS__)

static gr_model *resnet(void)
{
    gr_model *m = gr_model_new(Resnet20(), .inputs = {gr_Input(GR_SHAPE(32, 32, 3))});
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

enum { LAYERS = 4, WIDTH = 128, HEADS = 4, TOKENS = 128, LETTERS = 65 };
typedef struct {
    gr_layer base;
} Gpt_spec;

static gr_tensor *norm(gr_build *b, gr_tensor *x)
{
    return gr_apply(b, gr_LayerNormalization(.epsilon = 1e-5), x);
}

static gr_tensor *decoder(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)spec;
    x = gr_apply(b, gr_Embedding(LETTERS, .output_dim = WIDTH), x);
    x = gr_add(x, gr_weight(b, "places", GR_SHAPE(TOKENS, WIDTH)));
    for (int i = 0; i < LAYERS; i++) {
        gr_tensor *qkv = gr_apply(b, gr_Dense(3 * WIDTH), norm(b, x));
        gr_tensor *y =
            gr_dot_product_attention(gr_split_dim(qkv, -1, GR_SHAPE(3, HEADS, WIDTH / HEADS)), .causal = true);
        x = gr_add(x, gr_apply(b, gr_Dense(WIDTH), gr_merge_dims(y, -2, -1)));
        y = gr_gelu_tanh(gr_apply(b, gr_Dense(4 * WIDTH), norm(b, x)));
        x = gr_add(x, gr_apply(b, gr_Dense(WIDTH), y));
    }
    return gr_apply(b, gr_Dense(LETTERS, .no_bias = true), norm(b, x));
}
static const gr_layer_kind Gpt_kind = {.name = "Gpt", .size = sizeof(Gpt_spec), .family = "layer", .call = decoder};
#define Gpt(...) GR_SPEC(Gpt, __VA_ARGS__)

static gr_model *gpt(void)
{
    gr_model *m = gr_model_new(Gpt(), .inputs = {gr_Input(GR_SHAPE(TOKENS), .dtype = GR_I32)});
    gr_compile(m, .optimizer = gr_Adam(), .loss = "sparse_categorical_crossentropy(from_logits=true)");
    return m;
}

static gr_model *lstm(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(64, 64)), gr_LSTM(256), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    gr_model *(*make)(void);
    gr_shape x;    /* of an example */
    int64_t batch; /* bench's */
    bool letters;  /* x and y are text */
} workload;

static gr_array *numbers(int64_t rows, gr_shape each, gr_dtype dtype)
{
    gr_shape s = {.rank = each.rank + 1, .dim = {rows}};
    for (int64_t i = 0; i < each.rank; i++)
        s.dim[i + 1] = each.dim[i];
    gr_array *a = gr_array_new(dtype, s);
    for (int64_t i = 0; a && i < gr_array_size(a); i++) {
        if (dtype == GR_F32)
            ((float *)gr_array_data(a))[i] = (float)sin((double)i * 0.37 + (double)(i / 1000));
        else
            ((int32_t *)gr_array_data(a))[i] = (int32_t)((i * 7 + i / 11) % LETTERS);
    }
    return a;
}

typedef struct {
    uint64_t weights, results; /* bits */
} outcome;

static uint64_t bits_of(const gr_array *a)
{
    uint64_t h = 0;
    for (int64_t i = 0; i < gr_array_size(a); i++)
        h = h * 31 + ((const uint32_t *)gr_array_data((gr_array *)a))[i];
    return h;
}

/* An epoch of a whole batch and a short one, then what a predictor makes of the latter. */
static outcome run(const workload *w, int threads, bool verified)
{
    const int64_t rest = w->batch / 3 + 1, rows = w->batch + rest;
    outcome o = {0};
    gr_array *x = numbers(rows, w->x, w->letters ? GR_I32 : GR_F32);
    gr_array *y = w->letters ? numbers(rows, w->x, GR_I32) : gr_array_new(GR_U8, GR_SHAPE(rows));
    for (int64_t i = 0; !w->letters && i < rows; i++)
        ((uint8_t *)gr_array_data(y))[i] = (uint8_t)(i * 3 % 10);
    if (!w->letters)
        gr_array_one_hot(y, 10);
    if (verified)
        setenv("GRAPE_VERIFY", "1", 1);
    gr_set_num_threads(threads);
    gr_set_seed(5);
    gr_model *m = w->make();
    gr_history *h = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 1, .batch_size = w->batch, .no_shuffle = true,
        .verbose = GR_VERBOSE_SILENT);
    gr_predictor *p = h ? gr_predictor_new(m, .max_batch = rest) : NULL;
    gr_shape shape;
    gr_array *some = gr_array_slice(x, 0, 0, rest, 1), *result = NULL;
    if (p)
        result = gr_array_new(gr_predictor_output(p, 0, rest, &shape), shape);
    if (result && gr_predictor_run(p, GR_LIST(some), GR_LIST(result)) == GR_OK)
        o = (outcome){gr_model_weights_hash(m), bits_of(result)};
    unsetenv("GRAPE_VERIFY");
    gr_set_num_threads(0);
    GR_EXPECT(gr_error() == GR_OK && o.weights, "%s, %d threads: %s", w->name, threads, gr_error_message());
    gr_error_clear();
    gr_predictor_free(p);
    gr_history_free(h);
    gr_model_free(m);
    gr_array_free(x), gr_array_free(y), gr_array_free(some), gr_array_free(result);
    return o;
}

static void check(const workload *w)
{
    const outcome plain = run(w, 2, false);
    for (int threads = 1; threads <= 3; threads++) {
        const outcome o = run(w, threads, true);
        GR_EXPECT(o.weights == plain.weights, "%s, %d threads, shaken: other weights", w->name, threads);
        GR_EXPECT(o.results == plain.results, "%s, %d threads, shaken: other predictions", w->name, threads);
    }
}

static void a_step_of_mlp_is_sound(void)
{
    check(&(workload){"mlp", mlp, GR_SHAPE(784), 128, false});
}
static void a_step_of_cnn_is_sound(void)
{
    check(&(workload){"cnn", cnn, GR_SHAPE(28, 28, 1), 128, false});
}
static void a_step_of_resnet20_is_sound(void)
{
    check(&(workload){"resnet20", resnet, GR_SHAPE(32, 32, 3), 64, false});
}
static void a_step_of_gpt_is_sound(void)
{
    check(&(workload){"gpt", gpt, GR_SHAPE(TOKENS), 16, true});
}
static void a_step_of_lstm_is_sound(void)
{
    check(&(workload){"lstm", lstm, GR_SHAPE(64, 64), 64, false});
}

GR_SUITE("the workloads", GR_TEST(a_step_of_mlp_is_sound), GR_TEST(a_step_of_cnn_is_sound),
    GR_TEST(a_step_of_resnet20_is_sound), GR_TEST(a_step_of_gpt_is_sound), GR_TEST(a_step_of_lstm_is_sound))
