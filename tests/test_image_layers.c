/* Layers for pictures, merging layers, embedding and activations as layers: shapes and numbers of weights, values where
 * Keras's fixtures have none, and mistakes. Values and gradients against Keras are in test_fixture_conv.c. */
#include "models/build_impl.h"
#include "models/layers/layers.h"
#include "models/model.h"
#include "core/thread.h"
#include "tests/near.h"

typedef struct {
    gr__store store;
    gr_tape *tape;
    gr_build build;
} trace;

static void begin(trace *t)
{
    *t = (trace){.store = {.dtype = GR_F32}, .tape = gr_tape_new()};
    gr__build_begin(&t->build, t->tape, &t->store, false);
}
static void end(trace *t)
{
    gr__build_end(&t->build);
    gr_tape_free(t->tape);
    gr__store_free(&t->store);
    gr_error_clear();
}

#define B GR_BATCH
static void shapes_and_weights_are_those_of_keras(void)
{
    const struct {
        const gr_layer *layer;
        gr_shape x, y;
        int64_t weights; /* numbers in all of them */
    } rows[] = {
        {gr_Conv2D(32, GR_SHAPE(3, 3)), GR_SHAPE(B, 28, 28, 1), GR_SHAPE(B, 26, 26, 32), 320},
        {gr_Conv2D(8, GR_SHAPE(5), .strides = GR_SHAPE(2), .padding = "same", .no_bias = true), GR_SHAPE(B, 7, 8, 3),
            GR_SHAPE(B, 4, 4, 8), 600},
        {gr_Conv2D(8, GR_SHAPE(3), .groups = 4), GR_SHAPE(B, 7, 8, 12), GR_SHAPE(B, 5, 6, 8), 224},
        {gr_Conv1D(4, GR_SHAPE(3), .padding = "causal", .dilation_rate = GR_SHAPE(2)), GR_SHAPE(B, 9, 5),
            GR_SHAPE(B, 9, 4), 64},
        {gr_DepthwiseConv2D(GR_SHAPE(3), .depth_multiplier = 2), GR_SHAPE(B, 6, 6, 5), GR_SHAPE(B, 4, 4, 10), 100},
        {gr_MaxPooling2D(), GR_SHAPE(B, 27, 26, 4), GR_SHAPE(B, 13, 13, 4), 0},
        {gr_MaxPooling2D(.pool_size = GR_SHAPE(3, 2), .padding = "same"), GR_SHAPE(B, 7, 7, 4), GR_SHAPE(B, 3, 4, 4),
            0},
        {gr_AveragePooling1D(GR_SHAPE(3), .strides = GR_SHAPE(1)), GR_SHAPE(B, 7, 4), GR_SHAPE(B, 5, 4), 0},
        {gr_GlobalAveragePooling2D(), GR_SHAPE(B, 7, 6, 4), GR_SHAPE(B, 4), 0},
        {gr_GlobalMaxPooling1D(.keepdims = true), GR_SHAPE(B, 7, 4), GR_SHAPE(B, 1, 4), 0},
        {gr_ZeroPadding2D(), GR_SHAPE(B, 7, 6, 4), GR_SHAPE(B, 9, 8, 4), 0},
        {gr_ZeroPadding2D(.padding = GR_SHAPE(2, 0)), GR_SHAPE(B, 7, 6, 4), GR_SHAPE(B, 11, 6, 4), 0},
        {gr_Cropping2D(.cropping = GR_SHAPE(1, 2, 0, 3)), GR_SHAPE(B, 7, 6, 4), GR_SHAPE(B, 4, 3, 4), 0},
        {gr_UpSampling2D(), GR_SHAPE(B, 3, 2, 4), GR_SHAPE(B, 6, 4, 4), 0},
        {gr_Embedding(10, 3), GR_SHAPE(B, 7), GR_SHAPE(B, 7, 3), 30},
        {gr_MultiHeadAttention(2, .key_dim = 3, .value_dim = 5, .output_dim = 7), GR_SHAPE(B, 9, 4), GR_SHAPE(B, 9, 7),
            2 * 2 * (4 * 3 + 3) + 2 * (4 * 5 + 5) + 2 * 5 * 7 + 7},
        {gr_MultiHeadAttention(2, .key_dim = 3), GR_SHAPE(B, 3, 5, 4), GR_SHAPE(B, 3, 5, 4),
            2 * 3 * (4 * 3 + 3) + 2 * 3 * 4 + 4},
        {gr_MultiHeadAttention(1, .key_dim = 2, .attention_axes = GR_SHAPE(1)), GR_SHAPE(B, 3, 5, 4),
            GR_SHAPE(B, 3, 5, 4), 3 * (4 * 2 + 2) + 2 * 4 + 4},
        {gr_Permute(GR_SHAPE(2, 1)), GR_SHAPE(B, 7, 3), GR_SHAPE(B, 3, 7), 0},
        {gr_RepeatVector(4), GR_SHAPE(B, 3), GR_SHAPE(B, 4, 3), 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t);
        gr_tensor *y = gr_apply(&t.build, rows[i].layer, gr_input(t.tape, GR_F32, rows[i].x, "x"));
        int64_t weights = 0;
        for (int k = 0; k < t.store.n; k++)
            weights += gr_shape_size(gr_variable_shape(t.store.variable[k]));
        char got[200];
        GR_EXPECT(gr_status_of(y) == GR_OK && gr_shape_equal(gr_shape_of(y), rows[i].y) && weights == rows[i].weights,
            "row %d, %s: %s, %lld numbers %s", (int)i, rows[i].layer->kind->name,
            gr_shape_text(gr_shape_of(y), got, sizeof got), (long long)weights, gr_error_message());
        end(&t);
    }
}

static void activations_as_layers_have_their_formulas(void)
{
    trace t;
    begin(&t);
    gr_tensor *x = constant_of(t.tape, GR_F64, GR_SHAPE(5), NUMBERS(-2, -0.5, 0.25, 1, 8));
    NEAR(gr_apply(&t.build, gr_ReLU(), x), GR_SHAPE(5), 0, 0, 0, 0.25, 1, 8);
    NEAR(gr_apply(&t.build, gr_ReLU(.max_value = 6, .negative_slope = 0.5, .threshold = 0.5), x), GR_SHAPE(5), 1e-15,
        -1.25, -0.5, -0.125, 1, 6);
    NEAR(gr_apply(&t.build, gr_LeakyReLU(), x), GR_SHAPE(5), 1e-15, -0.6, -0.15, 0.25, 1, 8);
    NEAR(gr_apply(&t.build, gr_ELU(.alpha = 2), x), GR_SHAPE(5), 1e-15, 2 * expm1(-2), 2 * expm1(-0.5), 0.25, 1, 8);
    gr_tensor *two = constant_of(t.tape, GR_F64, GR_SHAPE(2, 2), NUMBERS(0, 1, 0, 1));
    NEAR(gr_apply(&t.build, gr_Softmax(.axis = 0, .has_axis = true), two), GR_SHAPE(2, 2), 1e-15, 0.5, 0.5, 0.5, 0.5);
    end(&t);
}

static void merging_layers_take_any_number_of_inputs(void)
{
    trace t;
    begin(&t);
    gr_tensor *a = constant_of(t.tape, GR_F64, GR_SHAPE(1, 2), NUMBERS(1, 6)),
              *b = constant_of(t.tape, GR_F64, GR_SHAPE(1, 2), NUMBERS(2, 3)),
              *c = constant_of(t.tape, GR_F64, GR_SHAPE(1, 1), NUMBERS(3));
    NEAR(gr_merge(&t.build, gr_Add(), a, b, c), GR_SHAPE(1, 2), 0, 6, 12);
    NEAR(gr_merge(&t.build, gr_Multiply(), a, b, c), GR_SHAPE(1, 2), 0, 6, 54);
    NEAR(gr_merge(&t.build, gr_Subtract(), a, b), GR_SHAPE(1, 2), 0, -1, 3);
    NEAR(gr_merge(&t.build, gr_Average(), a, b, c), GR_SHAPE(1, 2), 1e-15, 2, 4);
    NEAR(gr_merge(&t.build, gr_Maximum(), a, b, c), GR_SHAPE(1, 2), 0, 3, 6);
    NEAR(gr_merge(&t.build, gr_Minimum(), a, b, c), GR_SHAPE(1, 2), 0, 1, 3);
    NEAR(gr_merge(&t.build, gr_Concatenate(), a, c, b), GR_SHAPE(1, 5), 0, 1, 6, 3, 2, 3);
    NEAR(gr_merge(&t.build, gr_Concatenate(.axis = 0, .has_axis = true), a, b), GR_SHAPE(2, 2), 0, 1, 6, 2, 3);
    end(&t);
}

static void an_embedding_refuses_what_is_not_in_its_table(void)
{
    trace t;
    begin(&t);
    gr_tensor *x = constant_of(t.tape, GR_I64, GR_SHAPE(1, 3), NUMBERS(0, 5, 2));
    gr_array *y = gr_eval(gr_apply(&t.build, gr_Embedding(5, 2), x));
    GR_EXPECT(
        !y && gr_error() == GR_ERANGE && strstr(gr_error_message(), "found 5 at [0, 1]"), "%s", gr_error_message());
    gr_array_free(y);
    end(&t);
}

static void mistakes_name_layer_argument_and_what_was_expected(void)
{
    const gr_shape image = GR_SHAPE(B, 6, 6, 4), line = GR_SHAPE(B, 6, 4), flat = GR_SHAPE(B, 6);
    const struct {
        const gr_layer *layer;
        gr_shape x;
        const char *text;
    } rows[] = {
        {gr_Conv2D(8, GR_SHAPE(3)), line, "Conv2D: argument x: expected [B, height, width, channels], found rank 3"},
        {gr_Conv1D(8, GR_SHAPE(3)), image, "Conv1D: argument x: expected [B, length, channels], found rank 4"},
        {gr_Conv2D(8, GR_SHAPE(3, 3, 3)), image, "Conv2D: argument kernel_size: expected 2 sizes of 1 or more, found"},
        {gr_Conv2D(8, GR_SHAPE(0)), image, "Conv2D: argument kernel_size: expected 2 sizes of 1 or more, found [0]"},
        {gr_Conv2D(8, GR_SHAPE(3), .groups = 3), image, "Conv2D: argument groups: expected a divisor of the 4"},
        {gr_Conv2D(6, GR_SHAPE(3), .groups = 4), image, "and the 6 filters, found 4"},
        {gr_Conv2D(8, GR_SHAPE(7)), image, "argument kernel: expected a window that spans at most the 6 of axis 1"},
        {gr_Conv2D(8, GR_SHAPE(3), .padding = "smae"), image, "padding: expected valid or same, found \"smae\""},
        {gr_Conv2D(8, GR_SHAPE(3), .activation = "rleu"), image, "rleu"},
        {gr_Conv2D(0, GR_SHAPE(3)), image, "filters"},
        {gr_DepthwiseConv2D(GR_SHAPE(3)), flat, "DepthwiseConv2D: argument x: expected [B, height, width, channels]"},
        {gr_MaxPooling2D(), line, "MaxPooling2D: argument x: expected [B, height, width, channels], found rank 3"},
        {gr_MaxPooling1D(.pool_size = GR_SHAPE(9)), line, "argument size: expected a window that spans at most the 6"},
        {gr_GlobalAveragePooling1D(), image, "GlobalAveragePooling1D: argument x: expected [B, length, channels]"},
        {gr_ZeroPadding2D(.padding = GR_SHAPE(1, 2, 3)), image, "argument padding: expected 1, 2 or 4 numbers of 0"},
        {gr_Cropping2D(.cropping = GR_SHAPE(3)), image, "Cropping2D: argument cropping: expected less than"},
        {gr_UpSampling2D(.size = GR_SHAPE(0)), image, "UpSampling2D: argument size: expected 1 or 2 numbers of 1 or"},
        {gr_Permute(GR_SHAPE(1)), image, "Permute: argument dims: expected each axis after the batch axis, from 1"},
        {gr_Permute(GR_SHAPE(1, 1, 2)), image, "axes"},
        {gr_RepeatVector(3), image, "RepeatVector: argument x: expected rank 2, found 4"},
        {gr_Add(), image, "Add: argument in: expected two or more tensors and one result, found 1 and 1"},
        {gr_Concatenate(), image, "Concatenate: argument in: expected two or more tensors"},
        {gr_Softmax(.axis = 7), image, "axes"},
        {gr_MultiHeadAttention(2, .key_dim = 3), flat,
            "MultiHeadAttention: argument query: expected [B, tokens, size]"},
        {gr_MultiHeadAttention(2, .key_dim = 3, .attention_axes = GR_SHAPE(2)), line,
            "MultiHeadAttention: argument attention_axes: expected axes of query between the first and the last, each "
            "once, found [2]"},
        {gr_MultiHeadAttention(2, .key_dim = 3, .attention_axes = GR_SHAPE(0)), image, "each once, found [0]"},
        {gr_MultiHeadAttention(2, .key_dim = 3, .attention_axes = GR_SHAPE(1, -3)), image, "each once, found [1, "},
        {gr_MultiHeadAttention(2, .key_dim = 3, .use_causal_mask = true), image,
            "MultiHeadAttention: argument use_causal_mask: expected one axis of tokens, found several"},
        {gr_MultiHeadAttention(2), line, "key_dim"},
        {gr_MultiHeadAttention(0, .key_dim = 3), line, "num_heads"},
        {gr_MultiHeadAttention(2, .key_dim = 3, .dropout = 1.5), line, "dropout"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t);
        gr_tensor *y = gr_apply(&t.build, rows[i].layer, gr_input(t.tape, GR_F32, rows[i].x, "x"));
        GR_EXPECT(gr_status_of(y) != GR_OK && strstr(gr_error_message(), rows[i].text) &&
                      strstr(gr_error_message(), "test_image_layers.c:"),
            "row %d: expected '%s' in: %s", (int)i, rows[i].text, gr_error_message());
        end(&t);
    }
}

static void attention_takes_a_mask_and_refuses_what_does_not_fit(void)
{
    trace t;
    begin(&t);
    gr_tensor *q = gr_input(t.tape, GR_F32, GR_SHAPE(B, 5, 6), "q"),
              *v = gr_input(t.tape, GR_F32, GR_SHAPE(B, 3, 4), "v");
    gr_tensor *mask = gr_input(t.tape, GR_BOOL, GR_SHAPE(B, 5, 3), "mask");
    const gr_layer *layer = gr_MultiHeadAttention(2, .key_dim = 3);
    gr_tensor *y = gr_merge(&t.build, layer, q, v, v, mask);
    CU_ASSERT(gr_status_of(y) == GR_OK && gr_shape_equal(gr_shape_of(y), GR_SHAPE(B, 5, 6)));
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, layer, q, v, q), GR_BAD);
    GR_EXPECT(strstr(gr_error_message(), "attention: argument value: expected as many tokens as key"), "%s",
        gr_error_message());
    gr_error_clear();
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, layer, q, v, v, q), GR_BAD);
    GR_EXPECT(strstr(gr_error_message(), "argument mask: expected bool, found float32"), "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, layer, q, v, v, mask, q), GR_BAD);
    GR_EXPECT(strstr(gr_error_message(), "MultiHeadAttention: argument in: expected query, value, key and mask"), "%s",
        gr_error_message());
    end(&t);
}

/* Attention along axis 2 is that of as many sequences as there are places along axis 1; along both, that of one. */
static void attention_axes_are_more_batches_or_more_tokens(void)
{
    const struct {
        const char *why;
        gr_shape axes, mask, tokens, token_mask;
    } rows[] = {
        {"along the second", GR_DIMS(2), GR_DIMS(2, 3, 4, 4), GR_DIMS(6, 4, 5), GR_DIMS(6, 4, 4)},
        {"with a mask of heads", GR_DIMS(-2), GR_DIMS(2, 3, 2, 4, 4), GR_DIMS(6, 4, 5), GR_DIMS(6, 2, 4, 4)},
        {"with one mask for all", GR_DIMS(2), GR_DIMS(4, 4), GR_DIMS(6, 4, 5), GR_DIMS(4, 4)},
        {"along both", GR_DIMS(1, 2), GR_DIMS(2, 3, 4, 3, 4), GR_DIMS(2, 12, 5), GR_DIMS(2, 12, 12)},
        {"along all", {0}, GR_DIMS(3, 4, 3, 4), GR_DIMS(2, 12, 5), GR_DIMS(12, 12)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t);
        gr_array *data = gr_array_new(GR_F32, GR_SHAPE(2, 3, 4, 5)), *hides = gr_array_new(GR_BOOL, rows[i].mask);
        for (int64_t k = 0; k < gr_array_size(data); k++)
            ((float *)gr_array_data(data))[k] = (float)(k * 37 % 23) / 10 - 1;
        for (int64_t k = 0; k < gr_array_size(hides); k++)
            ((uint8_t *)gr_array_data(hides))[k] = k * 7 % 3 != 0;
        gr_tensor *x = gr_constant(t.tape, data), *mask = gr_constant(t.tape, hides);
        gr_tensor *apart = gr_reshape(x, rows[i].tokens), *y[2];
        y[0] =
            gr_merge(&t.build, gr_MultiHeadAttention(2, .key_dim = 3, .attention_axes = rows[i].axes), x, x, x, mask);
        y[1] = gr_merge(&t.build, gr_MultiHeadAttention(2, .key_dim = 3), apart, apart, apart,
            gr_reshape(mask, rows[i].token_mask));
        for (int k = 0; k < t.store.n / 2; k++) { /* the same weights */
            gr_array *w = gr_variable_get(t.store.variable[k]);
            gr_variable_set(t.store.variable[k + t.store.n / 2], w);
            gr_array_free(w);
        }
        gr_array *got = gr_eval(y[0]), *want = gr_eval(y[1]);
        if (GR_EXPECT(got && want && gr_shape_equal(gr_array_shape(got), GR_SHAPE(2, 3, 4, 5)), "%s: %s", rows[i].why,
                gr_error_message()))
            GR_EXPECT(memcmp(gr_array_data(got), gr_array_data(want), 120 * sizeof(float)) == 0, "%s: other numbers",
                rows[i].why);
        gr_array_free(data), gr_array_free(hides), gr_array_free(got), gr_array_free(want);
        end(&t);
    }
}

static void attention_names_axes_that_do_not_fit(void)
{
    trace t;
    begin(&t);
    gr_tensor *q = gr_input(t.tape, GR_F32, GR_SHAPE(B, 3, 4, 6), "q");
    const struct {
        gr_shape value, key, axes;
        const char *text;
    } rows[] = {
        {GR_DIMS(B, 4, 6), GR_DIMS(B, 4, 6), {0}, "argument value: expected as many axes as query has"},
        {GR_DIMS(B, 2, 4, 6), GR_DIMS(B, 2, 4, 6), GR_DIMS(2), "argument value: expected query's sizes along the axes"},
        {GR_DIMS(B, 3, 5, 6), GR_DIMS(B, 2, 5, 6), GR_DIMS(2), "argument key: expected query's sizes along the axes"},
        {GR_DIMS(B, 2, 6, 6), GR_DIMS(B, 3, 4, 6), {0}, "argument key: expected as many tokens as value has"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_tensor *v = gr_input(t.tape, GR_F32, rows[i].value, "v"), *k = gr_input(t.tape, GR_F32, rows[i].key, "k");
        CU_ASSERT_PTR_EQUAL(
            gr_merge(&t.build, gr_MultiHeadAttention(2, .key_dim = 3, .attention_axes = rows[i].axes), q, v, k),
            GR_BAD);
        GR_EXPECT(strstr(gr_error_message(), rows[i].text), "row %d: %s", (int)i, gr_error_message());
        gr_error_clear();
    }
    end(&t);
}

static void merging_what_does_not_fit_is_an_error(void)
{
    trace t;
    begin(&t);
    gr_tensor *a = gr_input(t.tape, GR_F32, GR_SHAPE(B, 3), "a"), *b = gr_input(t.tape, GR_F32, GR_SHAPE(B, 4), "b");
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, gr_Add(), a, b), GR_BAD);
    GR_EXPECT(strstr(gr_error_message(), "add: argument b") != NULL, "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, gr_Subtract(), a, a, a), GR_BAD);
    GR_EXPECT(
        strstr(gr_error_message(), "Subtract: argument in: expected two tensors") != NULL, "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT_PTR_EQUAL(gr_merge(&t.build, gr_Add(), a, GR_BAD), GR_BAD);
    end(&t);
}

/* Every kernel in a training step: strides, groups, channels by themselves, both kinds of pooling, a batch that is cut
 * short. */
static uint64_t trained(int threads, gr_array *x, gr_array *y, double *loss)
{
    gr_set_num_threads(threads);
    gr_set_seed(7);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(13, 14, 2)),
        gr_Conv2D(12, GR_SHAPE(3, 3), .padding = "same", .activation = "relu"), gr_MaxPooling2D(),
        gr_Conv2D(20, GR_SHAPE(3, 2), .groups = 2, .activation = "relu"),
        gr_DepthwiseConv2D(GR_SHAPE(3), .padding = "same"), gr_AveragePooling2D(GR_SHAPE(2), .padding = "same"),
        gr_Conv2D(9, GR_SHAPE(2), .strides = GR_SHAPE(2), .padding = "same"), gr_GlobalAveragePooling2D(),
        gr_Dense(3, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.learning_rate = 0.01), .loss = "categorical_crossentropy");
    gr_history *h =
        gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 3, .batch_size = 16, .verbose = GR_VERBOSE_SILENT);
    uint64_t hash = m ? gr_model_weights_hash(m) : 0;
    int n = 0;
    const double *losses = h ? gr_history_get(h, "loss", &n) : NULL;
    for (int i = 0; i < n && i < 3; i++)
        loss[i] = losses[i];
    gr_history_free(h);
    gr_model_free(m);
    return hash;
}

static void training_gives_the_same_bits_on_any_number_of_threads(void)
{
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(42, 13, 14, 2)), *y = gr_array_new(GR_F32, GR_SHAPE(42, 3));
    float *p = gr_array_data(x), *q = gr_array_data(y);
    for (int64_t i = 0; i < gr_array_size(x); i++)
        p[i] = (float)((i * 7919 + i / 364 % 3 * 40) % 211) / 211;
    for (int64_t i = 0; i < gr_array_size(y); i++)
        q[i] = i / 3 % 3 == i % 3;
    double first[3] = {0}, loss[3] = {0};
    const uint64_t want = trained(1, x, y, first);
    GR_EXPECT(first[2] < first[0] && first[2] > 0, "losses %g, %g: %s", first[0], first[2], gr_error_message());
    static const int threads[] = {1, 2, 3, 7};
    for (int i = 0; i < 4; i++) {
        uint64_t found = trained(threads[i], x, y, loss);
        GR_EXPECT(found == want && memcmp(loss, first, sizeof loss) == 0, "%d threads: %016llx, expected %016llx",
            threads[i], (unsigned long long)found, (unsigned long long)want);
    }
    gr_set_num_threads(0);
    gr_array_free(x);
    gr_array_free(y);
    gr_error_clear();
}

GR_SUITE("models/layers: pictures, merging, embedding", GR_TEST(shapes_and_weights_are_those_of_keras),
    GR_TEST(activations_as_layers_have_their_formulas), GR_TEST(merging_layers_take_any_number_of_inputs),
    GR_TEST(an_embedding_refuses_what_is_not_in_its_table), GR_TEST(mistakes_name_layer_argument_and_what_was_expected),
    GR_TEST(merging_what_does_not_fit_is_an_error), GR_TEST(attention_takes_a_mask_and_refuses_what_does_not_fit),
    GR_TEST(attention_axes_are_more_batches_or_more_tokens), GR_TEST(attention_names_axes_that_do_not_fit),
    GR_TEST(training_gives_the_same_bits_on_any_number_of_threads))
