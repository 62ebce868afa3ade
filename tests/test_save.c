/* A model in a file: models/save.c. */
#include "io/safetensors.h"
#include "models/save.h"
#include "tests/harness.h"
#include <string.h>
#include <sys/stat.h>

static gr_model *small_model(int units)
{
    gr_set_seed(3);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(6)),
        gr_Dense(units, .activation = "leaky_relu(negative_slope=0.1)", .kernel_initializer = "he_normal",
            .name = "first layer, \"quoted\""),
        gr_BatchNormalization(.momentum = 0.9), gr_Dropout(0.25),
        gr_Dense(3, .activation = "softmax", .no_bias = true));
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = 1, .beta_1 = 0.8, .amsgrad = true),
        .loss = "categorical_crossentropy", .metrics = {"accuracy", "mse"});
    return m;
}

static gr_array *ramp(gr_shape shape, float step)
{
    gr_array *a = gr_array_new(GR_F32, shape);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        ((float *)gr_array_data(a))[i] = step * (float)(i * 7 % 23);
    return a;
}

static void a_loaded_model_predicts_the_same_and_goes_on_the_same(void)
{
    const char *file = gr_test_scratch("model.safetensors");
    gr_array *x = ramp(GR_SHAPE(40, 6), 0.1f), *y = gr_array_new(GR_F32, GR_SHAPE(40, 3));
    for (int i = 0; i < 40; i++)
        ((float *)gr_array_data(y))[i * 3 + i % 3] = 1;
    gr_data data = gr_xy(GR_LIST(x), GR_LIST(y));
    gr_model *m = small_model(5);
    gr_history_free(gr_fit(m, data, .epochs = 3, .batch_size = 8, .verbose = GR_VERBOSE_SILENT));
    CU_ASSERT_EQUAL(gr_model_save(m, file), GR_OK);
    gr_model *n = gr_model_load(file);
    GR_EXPECT(n != NULL, "%s", gr_error_message());
    if (n) {
        gr_array *p = gr_predict(m, GR_LIST(x)), *q = gr_predict(n, GR_LIST(x));
        CU_ASSERT(p && q && gr_array_equal(p, q));
        gr_history_free(gr_fit(m, data, .epochs = 2, .batch_size = 8, .verbose = GR_VERBOSE_SILENT));
        gr_history_free(gr_fit(n, data, .epochs = 2, .batch_size = 8, .verbose = GR_VERBOSE_SILENT));
        CU_ASSERT_EQUAL(gr_model_weights_hash(m), gr_model_weights_hash(n)); /* slots and iterations came along */
        gr_array_free(p);
        gr_array_free(q);
    }
    gr_model_free(m);
    gr_model_free(n);
    gr_array_free(x);
    gr_array_free(y);
}

static void saving_twice_gives_the_same_bytes(void)
{
    const char *one = gr_test_scratch("one.safetensors"), *two = gr_test_scratch("two.safetensors");
    gr_model *m = small_model(5);
    CU_ASSERT_EQUAL(gr_model_save(m, one), GR_OK);
    CU_ASSERT_EQUAL(gr_model_save(m, two), GR_OK);
    static char a[65536], b[65536];
    FILE *f = fopen(one, "rb"), *g = fopen(two, "rb");
    CU_ASSERT_FATAL(f && g);
    size_t n = fread(a, 1, sizeof a, f), k = fread(b, 1, sizeof b, g);
    CU_ASSERT(n > 100 && n == k && memcmp(a, b, n) == 0);
    fclose(f);
    fclose(g);
    gr_model_free(m);
}

static void weights_go_into_a_model_that_has_them_and_into_no_other(void)
{
    const char *file = gr_test_scratch("weights.safetensors");
    gr_model *m = small_model(5), *same = small_model(5), *other = small_model(7);
    gr_model_save(m, file);
    uint64_t before = gr_model_weights_hash(other);
    CU_ASSERT_EQUAL(gr_model_load_weights(same, file), GR_OK);
    CU_ASSERT_EQUAL(gr_model_weights_hash(same), gr_model_weights_hash(m));
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_model_load_weights(other, file), GR_EFORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "expected [6, 7], found [6, 5]"));
    CU_ASSERT_EQUAL(gr_model_weights_hash(other), before);
    gr_error_clear();
    gr_model_free(m);
    gr_model_free(same);
    gr_model_free(other);
}

static void what_is_no_model_is_refused(void)
{
    const char *file = gr_test_scratch("bad.safetensors");
    const struct {
        const char *why, *model, *compile, *says;
    } rows[] = {
        {"no configuration", NULL, NULL, "grape.model"},
        {"not JSON", "{", NULL, "not JSON"},
        {"no layers", "{\"kind\":\"Sequential\",\"inputs\":[],\"layers\":[]}", NULL, "inputs and layers"},
        {"a layer that is not known",
            "{\"kind\":\"Sequential\",\"inputs\":[\"Input(shape=[2])\"],\"layers\":[\"Dens(units=3)\"]}", NULL,
            "did you mean dense?"},
        {"an impossible option",
            "{\"kind\":\"Sequential\",\"inputs\":[\"Input(shape=[2])\"],\"layers\":[\"Dense(units=-3)\"]}", NULL,
            "units"},
        {"weights missing",
            "{\"kind\":\"Sequential\",\"inputs\":[\"Input(shape=[2])\"],\"layers\":[\"Dense(units=3)\"]}", NULL,
            "missing dense/kernel"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_named_text meta[] = {{"grape.model", rows[i].model}, {"grape.compile", rows[i].compile}};
        gr_error_clear();
        CU_ASSERT_EQUAL(gr_safetensors_save(file, 0, NULL, rows[i].compile ? 2 : rows[i].model ? 1 : 0, meta), GR_OK);
        gr_model *m = gr_model_load(file);
        GR_EXPECT(!m && strstr(gr_error_message(), rows[i].says), "%s: %s", rows[i].why, gr_error_message());
        gr_model_free(m);
    }
    gr_error_clear();
}

static void a_folder_that_is_not_there_is_an_error_and_leaves_nothing(void)
{
    gr_model *m = small_model(5);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_model_save(m, "/no/such/folder/m.safetensors"), GR_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "/no/such/folder"));
    gr_error_clear();
    gr_model_free(m);
}

GR_SUITE("models/save.c", GR_TEST(a_loaded_model_predicts_the_same_and_goes_on_the_same),
    GR_TEST(saving_twice_gives_the_same_bytes), GR_TEST(weights_go_into_a_model_that_has_them_and_into_no_other),
    GR_TEST(what_is_no_model_is_refused), GR_TEST(a_folder_that_is_not_there_is_an_error_and_leaves_nothing))
