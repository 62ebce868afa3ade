/* What a user may get wrong in a training, in one place: each is an error that says what was found and what is known.
 * Files, options and folders of the tutorial: bad_input.sh. */
#include "callbacks/callbacks.h"
#include "models/model.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, WIDTH = 5, CLASSES = 3 };
typedef struct {
    gr_array *x, *y;
    gr_data data;
} set;

static set new_set(void)
{
    set s = {gr_array_new(GR_F32, GR_SHAPE(ROWS, WIDTH)), gr_array_new(GR_F32, GR_SHAPE(ROWS, CLASSES)), {.x = {0}}};
    for (int i = 0; i < ROWS * WIDTH; i++)
        ((float *)gr_array_data(s.x))[i] = (float)(i % 13) / 13;
    for (int i = 0; i < ROWS; i++)
        ((float *)gr_array_data(s.y))[i * CLASSES + i % CLASSES] = 1;
    s.data = gr_xy(GR_LIST(s.x), GR_LIST(s.y));
    return s;
}
static void free_set(set *s)
{
    gr_array_free(s->x);
    gr_array_free(s->y);
}

static gr_model *model(void)
{
    gr_set_seed(3);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(8, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(CLASSES, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = 0.1f), .loss = "categorical_crossentropy");
    return m;
}

/* The error has this status and all of these words; it is cleared. */
static void expect(const char *why, gr_status status, const char *const *words)
{
    GR_EXPECT(gr_error() == status, "%s: %s: %s", why, gr_status_name(gr_error()), gr_error_message());
    for (; *words; words++)
        GR_EXPECT(strstr(gr_error_message(), *words), "%s: '%s' is not in: %s", why, *words, gr_error_message());
    gr_error_clear();
}
#define EXPECT(why, status, ...) expect(why, status, (const char *const[]){__VA_ARGS__, NULL})

static void unknown_names_list_the_known_ones(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(2, .activation = "rleu"));
    CU_ASSERT_PTR_NULL(m);
    EXPECT("activation", GR_ENAME, "unknown activation \"rleu\"", "leaky_relu", "in   dense, test_bad_input.c:");
    m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(2, .kernel_initializer = "glorot"));
    CU_ASSERT_PTR_NULL(m);
    EXPECT(
        "initializer", GR_ENAME, "unknown initializer \"glorot\"", "glorot_uniform", "in   dense, test_bad_input.c:");
    m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(2));
    gr_compile(m, .optimizer = gr_SGD(), .loss = "cross_entropy");
    EXPECT("loss", GR_ENAME, "cross_entropy", "categorical_crossentropy", "test_bad_input.c:");
    gr_compile(m, .optimizer = gr_SGD(), .loss = "mse", .metrics = {"accurate"});
    EXPECT("metric", GR_ENAME, "accurate", "accuracy");
    gr_compile(m, .optimizer_name = "adamm", .loss = "mse");
    EXPECT("optimizer", GR_ENAME, "adamm", "adam");
    gr_compile(m, .optimizer_name = "adam(rate=1)", .loss = "mse");
    EXPECT("option", GR_ENAME, "rate", "learning_rate");
    gr_model_free(m);
}

/* A monitor whose direction is not known is refused before anything is trained; one that only never comes is a
 * warning. */
static void a_monitor_that_nobody_knows_is_refused_before_training(void)
{
    set s = new_set();
    gr_model *m = model();
    uint64_t before = gr_model_weights_hash(m);
    CU_ASSERT_PTR_NULL(gr_fit(
        m, s.data, .epochs = 1, .verbose = GR_VERBOSE_SILENT, .callbacks = {gr_EarlyStopping(.monitor = "val_los")}));
    EXPECT("EarlyStopping", GR_EARG, "EarlyStopping", "val_los", "it is of loss", "test_bad_input.c:");
    CU_ASSERT_PTR_NULL(gr_fit(m, s.data, .epochs = 1, .verbose = GR_VERBOSE_SILENT,
        .callbacks = {gr_ReduceLROnPlateau(.monitor = "val_acc")}));
    EXPECT("ReduceLROnPlateau", GR_EARG, "ReduceLROnPlateau", "val_acc", "it is of loss");
    CU_ASSERT_EQUAL(gr_model_weights_hash(m), before);
    gr_model_free(m);
    free_set(&s);
}

static void impossible_options_are_refused(void)
{
    set s = new_set();
    gr_model *m = model();
    CU_ASSERT_PTR_NULL(gr_fit(m, s.data, .validation_split = 1));
    EXPECT("validation_split 1", GR_EARG, "validation_split", "found 1");
    CU_ASSERT_PTR_NULL(gr_fit(m, s.data, .batch_size = -1));
    EXPECT("a negative batch", GR_EARG, "batch_size", "found -1");
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = 1, .clipvalue = 0.5f), .loss = "mse");
    EXPECT("two ways to clip", GR_EARG, "clipvalue, clipnorm", "at most one", "test_bad_input.c:");
    gr_model_free(m);
    free_set(&s);
}

/* NaN in row 40: with batches of 16 in order it is in the third step, and the weights are those of two steps. */
static void nan_in_data_is_named_with_step_layer_and_op(void)
{
    set s = new_set();
    gr_model *m = model();
    ((float *)gr_array_data(s.x))[40 * WIDTH + 2] = NAN;
    setenv("GRAPE_NANCHECK", "1", 1);
    gr_history *h = gr_fit(m, s.data, .epochs = 1, .batch_size = 16, .no_shuffle = true, .verbose = GR_VERBOSE_SILENT);
    unsetenv("GRAPE_NANCHECK");
    CU_ASSERT_PTR_NULL(h);
    EXPECT("x", GR_ENAN, "step 2", "input x0 is not finite at element 202", "reaches matmul", "in   dense",
        "test_bad_input.c:");
    for (int i = 0; i < gr_model_weight_count(m); i++) {
        gr_array *w = gr_variable_get(gr_model_weight_at(m, i));
        for (int64_t k = 0; k < gr_array_size(w); k++)
            GR_EXPECT(isfinite(gr_array_at(w, k)), "weight %d is not finite", i);
        gr_array_free(w);
    }
    gr_model_free(m);
    m = model();
    ((float *)gr_array_data(s.x))[40 * WIDTH + 2] = 0;
    ((float *)gr_array_data(s.y))[5] = INFINITY;
    setenv("GRAPE_NANCHECK", "1", 1);
    CU_ASSERT_PTR_NULL(
        gr_fit(m, s.data, .epochs = 1, .batch_size = 16, .no_shuffle = true, .verbose = GR_VERBOSE_SILENT));
    unsetenv("GRAPE_NANCHECK");
    EXPECT("y", GR_ENAN, "step 0", "input y0 is not finite at element 5", "in   loss");
    gr_model_free(m);
    free_set(&s);
}

static void labels_out_of_range_name_their_place(void)
{
    set s = new_set();
    gr_array *y = gr_array_new(GR_U8, GR_SHAPE(ROWS));
    ((uint8_t *)gr_array_data(y))[7] = CLASSES;
    CU_ASSERT_EQUAL(gr_array_one_hot(y, CLASSES), GR_ERANGE);
    EXPECT("one_hot", GR_ERANGE, "0 .. 2", "found 3", "7");
    gr_model *m = model();
    gr_compile(m, .optimizer = gr_SGD(), .loss = "sparse_categorical_crossentropy");
    uint64_t before = gr_model_weights_hash(m);
    CU_ASSERT_PTR_NULL(gr_fit(m, gr_xy(GR_LIST(s.x), GR_LIST(y)), .batch_size = ROWS, .verbose = GR_VERBOSE_SILENT));
    EXPECT("sparse", GR_ERANGE, "3");
    CU_ASSERT_EQUAL(gr_model_weights_hash(m), before);
    gr_model_free(m);
    gr_array_free(y);
    free_set(&s);
}

GR_SUITE("bad input", GR_TEST(unknown_names_list_the_known_ones),
    GR_TEST(a_monitor_that_nobody_knows_is_refused_before_training), GR_TEST(impossible_options_are_refused),
    GR_TEST(nan_in_data_is_named_with_step_layer_and_op), GR_TEST(labels_out_of_range_name_their_place))
