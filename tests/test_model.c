/* Making and compiling models, summaries, pictures: models/model.c, build.c, summary.c, picture.c, initializer.c. */
#include "models/model_impl.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

static gr_model *tutorial(void)
{
    return gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(512, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(128, .activation = "relu"), gr_BatchNormalization(), gr_Dense(10, .activation = "softmax"));
}

static void weights_have_keras_order_and_paths(void)
{
    const char *const paths[] = {"dense/kernel", "dense/bias", "batch_normalization/gamma", "batch_normalization/beta",
        "batch_normalization/moving_mean", "batch_normalization/moving_variance", "dense_1/kernel", "dense_1/bias",
        "batch_normalization_1/gamma"};
    gr_model *m = tutorial();
    CU_ASSERT_EQUAL(gr_model_weight_count(m), 14);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        GR_EXPECT(strcmp(gr_variable_path(gr_model_weight_at(m, (int)i)), paths[i]) == 0, "%s", paths[i]);
    int64_t trainable;
    CU_ASSERT_EQUAL(gr_model_params(m, &trainable), 471434);
    CU_ASSERT_EQUAL(trainable, 470154);
    gr_model_free(m);
}

static void the_summary_is_keras_table(void)
{
    gr_model *m = tutorial();
    static char text[8000];
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    CU_ASSERT_EQUAL(gr_summary(m, f), GR_OK);
    fclose(f);
    const char *const lines[] = {"Model: \"sequential\"", "dense (Dense)", "(None, 512)", "401,920", "2,048",
        "Total params: 471,434 (1.80 MB)", "Trainable params: 470,154 (1.79 MB)",
        "Non-trainable params: 1,280 (5.00 KB)"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        GR_EXPECT(strstr(text, lines[i]) != NULL, "%s", lines[i]);
    gr_model_free(m);
}

static void a_layer_made_in_a_loop_is_a_new_layer_each_time(void)
{
    const gr_layer *layers[5] = {gr_Input(GR_SHAPE(4))}, *same = gr_Dense(4); /* identity is never by address */
    for (int i = 1; i < 4; i++)
        layers[i] = same;
    gr_model *m = gr_sequential_at(GR_HERE, layers);
    CU_ASSERT_EQUAL(gr_model_weight_count(m), 6);
    CU_ASSERT_PTR_NOT_EQUAL(gr_model_weight(m, "dense/kernel"), gr_model_weight(m, "dense_2/kernel"));
    CU_ASSERT_PTR_NOT_NULL(gr_model_weight(m, "dense_2/kernel"));
    gr_model_free(m);
}

static void equal_seeds_start_equal_and_weights_differ_by_path(void)
{
    gr_set_seed(11);
    gr_model *a = tutorial(), *b = tutorial();
    CU_ASSERT_EQUAL(gr_model_weights_hash(a), gr_model_weights_hash(b));
    gr_set_seed(12);
    gr_model *c = tutorial();
    CU_ASSERT_NOT_EQUAL(gr_model_weights_hash(a), gr_model_weights_hash(c));
    gr_model_free(a);
    gr_model_free(b);
    gr_model_free(c);
}

static void initializers_have_their_limits_and_deviations(void)
{
    const struct {
        const char *name;
        gr_shape shape;
        double deviation, limit; /* of the values; 0: not asked */
    } rows[] = {
        {"glorot_uniform", GR_SHAPE(200, 300), 0.10954451 / 1.7320508, 0.10954451},
        {"glorot_normal", GR_SHAPE(200, 300), 0.06324555, 2 * 0.06324555 / 0.87962566},
        {"he_uniform", GR_SHAPE(200, 300), 0.1, 0.17320508},
        {"he_normal", GR_SHAPE(200, 300), 0.1, 2 * 0.1 / 0.87962566},
        {"lecun_uniform", GR_SHAPE(200, 300), 0.070710678, 0.12247449},
        {"lecun_normal", GR_SHAPE(200, 300), 0.070710678, 2 * 0.070710678 / 0.87962566},
        {"he_normal", GR_SHAPE(3, 3, 50, 20), 0.06666667, 0},
        {"random_normal(stddev=0.2)", GR_SHAPE(200, 300), 0.2, 0},
        {"truncated_normal", GR_SHAPE(200, 300), 0.05 * 0.87962566, 0.1},
        {"random_uniform", GR_SHAPE(200, 300), 0.05 / 1.7320508, 0.05},
        {"zeros", GR_SHAPE(7), 0, 0},
        {"ones", GR_SHAPE(7), 0, 0},
        {"constant(value=0.25)", GR_SHAPE(7), 0, 0},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        gr_variable *v = gr_variable_new("w", GR_F64, rows[r].shape, true);
        GR_EXPECT(gr__initialize(v, rows[r].name, NULL, 5, GR_HERE) == GR_OK, "%s", gr_error_message());
        const gr_array *a = gr_variable_get(v);
        const double *x = gr_array_data(a);
        int64_t n = gr_array_size(a);
        double mean = 0, square = 0, top = 0;
        for (int64_t i = 0; i < n; i++) {
            mean += x[i] / (double)n;
            top = fmax(top, fabs(x[i]));
        }
        for (int64_t i = 0; i < n; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)n;
        GR_EXPECT(fabs(sqrt(square) - rows[r].deviation) <= 0.03 * rows[r].deviation + 1e-12, "%s: deviation %g",
            rows[r].name, sqrt(square));
        GR_EXPECT(rows[r].limit == 0 || (top <= rows[r].limit && top > 0.9 * rows[r].limit), "%s: largest %g",
            rows[r].name, top);
        gr_array_free((gr_array *)a);
        gr_variable_free(v);
    }
}

static void orthogonal_columns_are_orthonormal(void)
{
    gr_variable *v = gr_variable_new("w", GR_F64, GR_SHAPE(12, 5), true);
    CU_ASSERT_EQUAL(gr__initialize(v, "orthogonal(gain=2)", NULL, 5, GR_HERE), GR_OK);
    gr_array *a = gr_variable_get(v);
    const double *q = gr_array_data(a);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            double dot = 0;
            for (int k = 0; k < 12; k++)
                dot += q[k * 5 + i] * q[k * 5 + j];
            CU_ASSERT_DOUBLE_EQUAL(dot, i == j ? 4 : 0, 1e-12);
        }
    gr_array_free(a);
    gr_variable_free(v);
}

static void mistakes_in_models_are_named_with_line_and_layer(void)
{
    gr_error_clear();
    int line = __LINE__ + 1;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(3, .activation = "rellu"));
    char place[64];
    snprintf(place, sizeof place, "test_model.c:%d", line);
    CU_ASSERT_PTR_NULL(m);
    CU_ASSERT_EQUAL(gr_error(), GR_ENAME);
    GR_EXPECT(strstr(gr_error_message(), "relu") && strstr(gr_error_message(), "rellu"), "%s", gr_error_message());
    const struct {
        const char *why, *says;
        const gr_layer *layers[5];
    } rows[] = {
        {"no input first", "gr_Input first", {gr_Dense(3)}},
        {"nothing", "gr_Input first", {NULL}},
        {"units below 1", "units", {gr_Input(GR_SHAPE(4)), gr_Dense(-1)}},
        {"a reshape that does not fit", "reshape", {gr_Input(GR_SHAPE(4)), gr_Reshape(GR_SHAPE(3))}},
        {"a rate above 1", "rate", {gr_Input(GR_SHAPE(4)), gr_Dropout(1.5)}},
        {"an axis that is not there", "axis", {gr_Input(GR_SHAPE(4)), gr_BatchNormalization(.axis = 3)}},
        {"an initializer that is not known", "glorot_uniform",
            {gr_Input(GR_SHAPE(4)), gr_Dense(3, .kernel_initializer = "glorot_unifrom")}},
        {"one name for two layers", "a second time",
            {gr_Input(GR_SHAPE(4)), gr_Dense(4, .name = "same"), gr_Dense(4, .name = "same")}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        m = gr_sequential_at(GR_HERE, rows[i].layers);
        GR_EXPECT(!m && strstr(gr_error_message(), rows[i].says) && strstr(gr_error_message(), "test_model.c:"),
            "%s: %s", rows[i].why, gr_error_message());
        gr_model_free(m);
    }
    gr_error_clear();
}

static void impossible_ways_to_compile_are_errors(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(3));
    const struct {
        const char *why, *says;
        gr_compile_opts o;
    } rows[] = {
        {"an unknown loss", "did you mean categorical_crossentropy?", {.loss = "categorical_crossentrop"}},
        {"an unknown metric", "did you mean accuracy?", {.loss = "mse", .metrics = {"acuracy"}}},
        {"an unknown optimizer", "did you mean adam?", {.loss = "mse", .optimizer_name = "adamm"}},
        {"no loss", "expected a loss", {.metrics = {"accuracy"}}},
        {"two losses", "found both", {.loss = "mse", .loss_spec = gr_Huber(.delta = 0.5)}},
        {"two clippings", "clipvalue, clipnorm", {.loss = "mse", .optimizer = gr_Adam(.clipnorm = 1, .clipvalue = 1)}},
        {"a metric twice", "twice", {.loss = "mse", .metrics = {"mae", "mae"}}},
        {"an integer dtype", "float32 or float64", {.loss = "mse", .dtype = GR_I32}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        gr_status s = gr_compile_at(GR_HERE, m, &rows[i].o);
        GR_EXPECT(s != GR_OK && strstr(gr_error_message(), rows[i].says), "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_model_free(m);
}

static void a_model_is_drawn_with_a_cluster_a_layer(void)
{
    gr_model *m = tutorial();
    const char *file = gr_test_scratch("model.dot");
    CU_ASSERT_EQUAL(gr_model_plot(m, file), GR_OK);
    static char text[65536];
    FILE *f = fopen(file, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    int clusters = 0;
    for (const char *p = text; (p = strstr(p, "subgraph \"cluster")); p++)
        clusters++;
    CU_ASSERT_EQUAL(clusters, 5);
    gr_model_free(m);
}

/* ---- two inputs, shared weights ---------------------------------------------------------------------------------- */

typedef struct {
    gr_layer base;
    int units;
} Apart_spec;
static gr_status apart(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const Apart_spec *s = spec;
    GR_CHECK(n_in == 2 && n_out == 1, GR_EARG, "two in, one out");
    gr_layer_ref *tower = gr_layer_make(b, gr_Dense(s->units, .activation = "tanh"));
    out[0] = gr_apply(b, gr_Dense(1), gr_abs(gr_sub(gr_apply_ref(b, tower, in[0]), gr_apply_ref(b, tower, in[1]))));
    return gr_status_of(out[0]);
}
static const gr_field apart_fields[] = {GR_INT(Apart_spec, units, .required = true, .min = 1), {0}};
static const gr_layer_kind Apart_kind = {
    .name = "Apart", .size = sizeof(Apart_spec), .fields = apart_fields, .call_n = apart};
#define Apart(...) GR_SPEC(Apart, .units = __VA_ARGS__)

static void a_model_of_two_inputs_shares_one_set_of_weights(void)
{
    gr_set_seed(3);
    gr_model *m = gr_model_new(Apart(4), .inputs = {gr_Input(GR_SHAPE(3)), gr_Input(GR_SHAPE(3))});
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_EQUAL(gr_model_weight_count(m), 4);
    gr_compile(m, .optimizer = gr_SGD(), .loss = "mse");
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(10, 3)), *y = gr_array_new(GR_F32, GR_SHAPE(10, 1));
    gr_array *p = gr_predict(m, GR_LIST(x, x));
    CU_ASSERT(p && gr_array_at(p, 0) == 0); /* equal inputs are not apart, and the bias starts at 0 */
    gr_history *h = gr_fit(m, gr_xy(GR_LIST(x, x), GR_LIST(y)), .verbose = GR_VERBOSE_SILENT);
    CU_ASSERT_PTR_NOT_NULL(h);
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_predict(m, GR_LIST(x)));
    CU_ASSERT_EQUAL(gr_error(), GR_EARG);
    gr_error_clear();
    gr_history_free(h);
    gr_array_free(p);
    gr_array_free(x);
    gr_array_free(y);
    gr_model_free(m);
}

GR_SUITE("models/model.c", GR_TEST(weights_have_keras_order_and_paths), GR_TEST(the_summary_is_keras_table),
    GR_TEST(a_layer_made_in_a_loop_is_a_new_layer_each_time),
    GR_TEST(equal_seeds_start_equal_and_weights_differ_by_path), GR_TEST(initializers_have_their_limits_and_deviations),
    GR_TEST(orthogonal_columns_are_orthonormal), GR_TEST(mistakes_in_models_are_named_with_line_and_layer),
    GR_TEST(impossible_ways_to_compile_are_errors), GR_TEST(a_model_is_drawn_with_a_cluster_a_layer),
    GR_TEST(a_model_of_two_inputs_shares_one_set_of_weights))
