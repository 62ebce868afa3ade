/* fit, evaluate, predict: models/fit.c and models/step.c. */
#include "callbacks/callbacks.h"
#include "core/mem.h"
#include "core/thread.h"
#include "models/model_impl.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 500, WIDTH = 20, CLASSES = 4 };

/* Clouds around one centre a class: x float [ROWS, WIDTH], y one-hot float [ROWS, CLASSES]. */
typedef struct {
    gr_array *x, *y;
    gr_data data;
} clouds;

static clouds make_clouds(void)
{
    clouds c = {
        gr_array_new(GR_F32, GR_SHAPE(ROWS, WIDTH)), gr_array_new(GR_F32, GR_SHAPE(ROWS, CLASSES)), {{0}, {0}, NULL}};
    float *x = gr_array_data(c.x), *y = gr_array_data(c.y);
    unsigned r = 1;
    for (int i = 0; i < ROWS; i++) {
        int k = i * 7 % CLASSES;
        y[i * CLASSES + k] = 1;
        for (int j = 0; j < WIDTH; j++) {
            r = r * 1664525u + 1013904223u;
            x[i * WIDTH + j] = (float)(r >> 8) / (1 << 24) + (j % CLASSES == k ? 0.6f : 0);
        }
    }
    c.data = gr_xy(GR_LIST(c.x), GR_LIST(c.y));
    return c;
}

static void free_clouds(clouds *c)
{
    gr_array_free(c->x);
    gr_array_free(c->y);
}

static gr_model *make_model(void)
{
    gr_set_seed(7);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(24, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(CLASSES, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.learning_rate = 0.01f, .clipnorm = 1), .loss = "categorical_crossentropy",
        .metrics = {"accuracy"});
    return m;
}

static void training_learns_and_history_has_one_value_per_epoch(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_history *h = gr_fit(m, c.data, .epochs = 8, .batch_size = 32, .validation_split = 0.2f,
        .verbose = GR_VERBOSE_SILENT, .callbacks = {gr_ReduceLROnPlateau(.patience = 50)});
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    const char *const keys[] = {"accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"};
    CU_ASSERT_EQUAL(gr_history_key_count(h), 5);
    for (int i = 0; i < 5; i++) {
        int n;
        GR_EXPECT(strcmp(gr_history_key(h, i), keys[i]) == 0, "key %d is %s", i, gr_history_key(h, i));
        GR_EXPECT(gr_history_get(h, keys[i], &n) && n == 8, "%s has %d values", keys[i], n);
    }
    int n;
    const double *loss = gr_history_get(h, "loss", &n);
    CU_ASSERT(loss[7] < 0.5 * loss[0]);
    CU_ASSERT(gr_evaluate(m, c.data).metric[0] > 0.9);
    CU_ASSERT_EQUAL(gr_history_epochs(h), 8);
    CU_ASSERT_EQUAL(gr_history_steps(h), 13); /* 400 rows: 12 batches of 32 and one of 16 */
    gr_history_free(h);
    gr_model_free(m);
    free_clouds(&c);
}

static uint64_t train_hash(int threads, gr_data data)
{
    gr_set_num_threads(threads);
    gr_model *m = make_model();
    gr_history_free(gr_fit(m, data, .epochs = 2, .batch_size = 32, .verbose = GR_VERBOSE_SILENT));
    uint64_t h = gr_model_weights_hash(m);
    gr_model_free(m);
    gr_set_num_threads(0);
    return h;
}

static void the_same_seed_gives_the_same_bits_on_any_number_of_threads(void)
{
    clouds c = make_clouds();
    uint64_t one = train_hash(1, c.data);
    const int threads[] = {1, 2, 3, 7};
    for (int i = 0; i < 4; i++)
        GR_EXPECT(train_hash(threads[i], c.data) == one, "%d threads", threads[i]);
    free_clouds(&c);
}

static void a_step_allocates_nothing(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    int64_t rows[32], before;
    for (int i = 0; i < 32; i++)
        rows[i] = i;
    gr__step *s = gr__step_get(m, GR__TRAIN, &c.data, 0, GR_HERE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    double loss;
    const int64_t batches[] = {32, 17}; /* a full and a last batch */
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(gr__step_run(s, &c.data, rows, batches[i], 0, &loss, NULL), GR_OK);
    before = gr_allocation_count();
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(gr__step_run(s, &c.data, rows, batches[i % 2], (uint64_t)i, &loss, NULL), GR_OK);
    CU_ASSERT_EQUAL(gr_allocation_count(), before);
    gr_model_free(m);
    free_clouds(&c);
}

static void the_reported_loss_is_the_mean_over_samples_also_with_a_short_last_batch(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_scores whole = gr_evaluate(m, c.data, .batch_size = ROWS), parts = gr_evaluate(m, c.data, .batch_size = 37);
    CU_ASSERT_DOUBLE_EQUAL(whole.loss, parts.loss, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(whole.metric[0], parts.metric[0], 1e-12);
    CU_ASSERT_STRING_EQUAL(whole.name[0], "accuracy");
    gr_model_free(m);
    free_clouds(&c);
}

static void predictions_are_rows_in_order_whatever_the_batch(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_array *a = gr_predict(m, GR_LIST(c.x), .batch_size = 64), *b = gr_predict(m, GR_LIST(c.x), .batch_size = 1);
    CU_ASSERT(a && b && gr_shape_equal(gr_array_shape(a), GR_SHAPE(ROWS, CLASSES)));
    CU_ASSERT(gr_array_equal(a, b));
    for (int64_t i = 0; i < 5; i++) {
        double sum = 0;
        for (int64_t k = 0; k < CLASSES; k++)
            sum += gr_array_at(a, i * CLASSES + k);
        CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-6);
    }
    gr_array_free(a);
    gr_array_free(b);
    gr_model_free(m);
    free_clouds(&c);
}

static void one_program_predicts_any_number_of_rows(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_array *whole = gr_predict(m, GR_LIST(c.x));
    const gr__step *step = m->steps;
    const int64_t counts[] = {1, 31, 32, 33, 70, 499};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        gr_array *x = gr_array_slice(c.x, 0, ROWS - counts[i], ROWS, 1), *y = gr_predict(m, GR_LIST(x));
        gr_array *e = gr_array_slice(whole, 0, ROWS - counts[i], ROWS, 1);
        GR_EXPECT(y && gr_array_equal(y, e), "%d rows: other predictions", (int)counts[i]);
        gr_array_free(x), gr_array_free(y), gr_array_free(e);
    }
    CU_ASSERT_PTR_EQUAL(m->steps, step); /* a new one would be first */
    gr_array_free(whole);
    gr_model_free(m);
    free_clouds(&c);
}

static void validation_takes_the_last_rows_before_any_shuffle(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_history *h =
        gr_fit(m, c.data, .epochs = 1, .batch_size = 50, .validation_split = 0.1f, .verbose = GR_VERBOSE_SILENT);
    gr_array *x = gr_array_slice(c.x, 0, 450, 500, 1), *y = gr_array_slice(c.y, 0, 450, 500, 1);
    gr_scores s = gr_evaluate(m, gr_xy(GR_LIST(x), GR_LIST(y)));
    int n;
    const double *val = gr_history_get(h, "val_loss", &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(val);
    CU_ASSERT_DOUBLE_EQUAL(s.loss, val[0], 1e-6);
    gr_array_free(x);
    gr_array_free(y);
    gr_history_free(h);
    gr_model_free(m);
    free_clouds(&c);
}

static void images_may_stay_bytes_and_labels_integers(void)
{
    gr_set_seed(7);
    gr_array *x = gr_array_new(GR_U8, GR_SHAPE(64, 3, 4)), *y = gr_array_new(GR_U8, GR_SHAPE(64));
    for (int i = 0; i < 64 * 12; i++)
        ((uint8_t *)gr_array_data(x))[i] = (uint8_t)(i * 37);
    for (int i = 0; i < 64; i++)
        ((uint8_t *)gr_array_data(y))[i] = (uint8_t)(i % 3);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(3, 4)), gr_Rescaling(1.0 / 255), gr_Flatten(), gr_Dropout(0.2),
        gr_Dense(3, .activation = "softmax"));
    CU_ASSERT_EQUAL(gr_compile(m, .optimizer_name = "sgd(learning_rate=0.1, momentum=0.9)",
                        .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}),
        GR_OK);
    gr_history *h =
        gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 2, .batch_size = 16, .verbose = GR_VERBOSE_SILENT);
    CU_ASSERT_PTR_NOT_NULL(h);
    gr_history_free(h);
    gr_model_free(m);
    gr_array_free(x);
    gr_array_free(y);
}

static void sample_weights_act_inside_each_batch(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_array *w = gr_array_new(GR_F32, GR_SHAPE(ROWS));
    for (int i = 0; i < ROWS; i++)
        ((float *)gr_array_data(w))[i] = 2;
    gr_scores plain = gr_evaluate(m, c.data),
              twice = gr_evaluate(m, gr_xy(GR_LIST(c.x), GR_LIST(c.y), .sample_weight = w));
    CU_ASSERT_DOUBLE_EQUAL(twice.loss, 2 * plain.loss, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(twice.metric[0], plain.metric[0], 0);
    gr_array_free(w);
    gr_model_free(m);
    free_clouds(&c);
}

static void a_model_can_be_trained_in_float64(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    CU_ASSERT_EQUAL(gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"},
                        .dtype = GR_F64),
        GR_OK);
    gr_history *h = gr_fit(m, c.data, .epochs = 2, .batch_size = 50, .verbose = GR_VERBOSE_SILENT);
    CU_ASSERT_PTR_NOT_NULL(h);
    CU_ASSERT_EQUAL(gr_variable_dtype(gr_model_weight_at(m, 0)), GR_F64);
    gr_history_free(h);
    gr_model_free(m);
    free_clouds(&c);
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static char hooks[4096];
static void note(const char *what)
{
    snprintf(hooks + strlen(hooks), sizeof hooks - strlen(hooks), "%s ", what);
}
#define HOOK(name, text)                                                                                               \
    static gr_status name(gr_run *r)                                                                                   \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        note(text);                                                                                                    \
        return GR_OK;                                                                                                  \
    }
HOOK(train_begin, "train{")
HOOK(train_end, "}train")
HOOK(epoch_begin, "epoch{")
HOOK(epoch_end, "}epoch")
HOOK(batch_begin, "b(")
HOOK(batch_end, ")b")
HOOK(test_begin, "test{")
HOOK(test_end, "}test")
HOOK(test_batch_begin, "t(")
HOOK(test_batch_end, ")t")
HOOK(predict_begin, "predict{")
HOOK(predict_end, "}predict")
HOOK(predict_batch_begin, "p(")
HOOK(predict_batch_end, ")p")
typedef struct {
    gr_callback base;
} Spy_spec;
static const gr_callback_kind Spy_kind = {.name = "Spy",
    .size = sizeof(Spy_spec),
    .family = "callback",
    .on_train_begin = train_begin,
    .on_train_end = train_end,
    .on_epoch_begin = epoch_begin,
    .on_epoch_end = epoch_end,
    .on_train_batch_begin = batch_begin,
    .on_train_batch_end = batch_end,
    .on_test_begin = test_begin,
    .on_test_end = test_end,
    .on_test_batch_begin = test_batch_begin,
    .on_test_batch_end = test_batch_end,
    .on_predict_begin = predict_begin,
    .on_predict_end = predict_end,
    .on_predict_batch_begin = predict_batch_begin,
    .on_predict_batch_end = predict_batch_end};
#define Spy() (&(Spy_spec){.base = {&Spy_kind, GR_HERE}}.base)

static void hooks_run_in_keras_order(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    hooks[0] = '\0';
    gr_history_free(gr_fit(m, c.data, .epochs = 2, .batch_size = 250, .validation_split = 0.2f,
        .verbose = GR_VERBOSE_SILENT, .callbacks = {Spy()}));
    CU_ASSERT_STRING_EQUAL(hooks,
        "train{ epoch{ b( )b b( )b test{ t( )t }test }epoch epoch{ b( )b b( )b test{ t( )t }test }epoch }train ");
    gr_model_free(m);
    free_clouds(&c);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* What a model of its own takes for one thing alone: bytes of arena and scratch. */
static int64_t room_of_evaluation(const clouds *c, int64_t batch)
{
    gr_model *m = make_model();
    gr_evaluate(m, c->data, .batch_size = batch);
    int64_t bytes = gr__room_bytes(m->room);
    gr_model_free(m);
    return bytes;
}

static uint64_t fit_once(gr_model *m, gr_data data, float validation)
{
    gr_history_free(gr_fit(m, data, .epochs = 2, .batch_size = 100, .validation_split = validation,
        .validation_batch_size = 20, .verbose = GR_VERBOSE_SILENT));
    return gr_model_weights_hash(m);
}

static void all_steps_of_a_model_run_in_one_room(void)
{
    clouds c = make_clouds();
    gr_array *x = gr_array_slice(c.x, 0, 0, 300, 1), *y = gr_array_slice(c.y, 0, 0, 300, 1);
    gr_array *tested_x = gr_array_slice(c.x, 0, 300, ROWS, 1), *tested_y = gr_array_slice(c.y, 0, 300, ROWS, 1);
    gr_data smaller = gr_xy(GR_LIST(x), GR_LIST(y)), tested = gr_xy(GR_LIST(tested_x), GR_LIST(tested_y));
    gr_model *m = make_model(), *other = make_model();
    uint64_t hash = fit_once(m, smaller, 0);
    const int64_t training = gr__room_bytes(m->room), testing = room_of_evaluation(&c, ROWS);
    CU_ASSERT(training > 10000 && testing > 10000);
    gr_history_free(gr_fit(other, smaller, .epochs = 2, .batch_size = 100, .validation_data = tested,
        .validation_batch_size = 20, .verbose = GR_VERBOSE_SILENT));
    CU_ASSERT_EQUAL(gr_model_weights_hash(other), hash); /* nothing is left of validation's numbers */
    CU_ASSERT_EQUAL(gr__room_bytes(other->room), training);
    CU_ASSERT(fit_once(m, c.data, 0.1f) != hash);
    CU_ASSERT_EQUAL(gr__room_bytes(m->room), training); /* data of another size, and a validation step */
    gr_evaluate(m, c.data, .batch_size = ROWS);
    GR_EXPECT(gr__room_bytes(m->room) >= testing && gr__room_bytes(m->room) < testing + training,
        "%lld bytes after training of %lld and testing of %lld", (long long)gr__room_bytes(m->room),
        (long long)training, (long long)testing);
    gr_compile(m, .optimizer = gr_SGD(), .loss = "categorical_crossentropy");
    CU_ASSERT_EQUAL(gr__room_bytes(m->room), 0);
    gr_model_free(m), gr_model_free(other);
    gr_array_free(x), gr_array_free(y), gr_array_free(tested_x), gr_array_free(tested_y);
    free_clouds(&c);
}

static void predict_has_hooks_too(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    hooks[0] = '\0';
    gr_array_free(gr_predict(m, GR_LIST(c.x), .batch_size = 300, .callbacks = {Spy()}));
    CU_ASSERT_STRING_EQUAL(hooks, "predict{ p( )p p( )p }predict ");
    gr_model_free(m);
    free_clouds(&c);
}

/* No code knows the tutorial: other widths and layers go through the same passes. */
static gr_program_stats train_other(const char *passes, double *losses, uint64_t *hash)
{
    gr_set_seed(21);
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(96, 700)), *y = gr_array_new(GR_F32, GR_SHAPE(96, 7));
    for (int i = 0; i < 96 * 700; i++)
        ((float *)gr_array_data(x))[i] = (float)(i * 7919 % 1000) / 1000 - 0.5f;
    for (int i = 0; i < 96; i++)
        ((float *)gr_array_data(y))[i * 7 + i % 7] = 1;
    if (passes)
        setenv("GRAPE_PASSES", passes, 1);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(700)), gr_Dense(300, .activation = "tanh"),
        gr_Dense(40, .activation = "tanh"), gr_Dense(7, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = 0.1f, .momentum = 0.9f), .loss = "categorical_crossentropy");
    gr_data data = gr_xy(GR_LIST(x), GR_LIST(y));
    gr__step *s = gr__step_get(m, GR__TRAIN, &data, 0, GR_HERE);
    unsetenv("GRAPE_PASSES");
    int64_t rows[96];
    for (int i = 0; i < 96; i++)
        rows[i] = i;
    for (int i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(gr__step_run(s, &data, rows, 96, (uint64_t)i, &losses[i], NULL), GR_OK);
    gr_program_stats stats = gr_program_plan(gr__step_program(s));
    *hash = gr_model_weights_hash(m);
    gr_model_free(m);
    gr_array_free(x);
    gr_array_free(y);
    return stats;
}

static void another_network_goes_through_the_same_passes(void)
{
    double fused[8], plain[8];
    uint64_t one, two;
    gr_program_stats a = train_other(NULL, fused, &one);
    gr_program_stats b = train_other("-simplify,-inexact,-fold,-cse,-fuse,-strips,-views,-inplace,-reuse", plain, &two);
    for (int i = 0; i < 8; i++)
        GR_EXPECT(fabs(fused[i] - plain[i]) <= 1e-5 * plain[i], "step %d: %.9g fused, %.9g node by node", i, fused[i],
            plain[i]);
    CU_ASSERT(fused[7] < fused[0]);
    GR_EXPECT(a.steps * 3 < b.steps, "%lld steps fused, %lld node by node", (long long)a.steps, (long long)b.steps);
    CU_ASSERT(a.assigns_in_place > 0);
    gr_set_num_threads(3);
    double again[8];
    train_other(NULL, again, &two);
    gr_set_num_threads(0);
    CU_ASSERT_EQUAL(one, two);
}

static gr_status stop_in_first_batch(gr_run *r)
{
    return gr_run_stop(r, "asked for");
}
static const gr_callback_kind Stop_kind = {
    .name = "Stop", .size = sizeof(Spy_spec), .family = "callback", .on_train_batch_end = stop_in_first_batch};

static void stopping_mid_epoch_still_ends_the_epoch(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    const char *why;
    hooks[0] = '\0';
    gr_history *h = gr_fit(m, c.data, .epochs = 3, .batch_size = 100, .validation_split = 0.2f,
        .verbose = GR_VERBOSE_SILENT, .callbacks = {&(Spy_spec){.base = {&Stop_kind, GR_HERE}}.base, Spy()});
    CU_ASSERT_STRING_EQUAL(hooks, "train{ epoch{ b( )b test{ t( )t }test }epoch }train ");
    CU_ASSERT(h && gr_history_stopped(h, &why) && strcmp(why, "asked for") == 0);
    gr_history_free(h);
    gr_model_free(m);
    free_clouds(&c);
}

static void the_compiled_step_is_drawn_on_request(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    const char *file = gr_test_scratch("step.dot");
    gr_history_free(gr_fit(m, c.data, .verbose = GR_VERBOSE_SILENT, .graph = file));
    static char text[400000];
    FILE *f = fopen(file, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "digraph"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "dense/kernel"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "subgraph"));
    gr_model_free(m);
    free_clouds(&c);
}

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

static void impossible_options_are_errors_that_name_the_argument(void)
{
    clouds c = make_clouds();
    gr_model *m = make_model();
    gr_array *short_y = gr_array_slice(c.y, 0, 0, 10, 1), *wide = gr_array_new(GR_F32, GR_SHAPE(ROWS, WIDTH + 1));
    const struct {
        const char *why, *says;
        gr_fit_opts o;
    } rows[] = {
        {"validation_split 1", "validation_split", {.data = c.data, .validation_split = 1}},
        {"validation_split below 0", "validation_split", {.data = c.data, .validation_split = -0.1f}},
        {"nothing left to train on", "validation_split", {.data = c.data, .validation_split = 0.9999f}},
        {"a negative batch", "batch_size", {.data = c.data, .batch_size = -1}},
        {"negative epochs", "epochs", {.data = c.data, .epochs = -2}},
        {"x and y of different lengths", "500 samples", {.data = gr_xy(GR_LIST(c.x), GR_LIST(short_y))}},
        {"no y", "argument y", {.data = {.x = GR_LIST(c.x)}}},
        {"samples of another shape", "argument x", {.data = gr_xy(GR_LIST(wide), GR_LIST(c.y))}},
        {"an unknown monitor's direction", "mode",
            {.data = c.data, .callbacks = {gr_EarlyStopping(.monitor = "val_nonsense")}}},
        {"factor 1", "factor", {.data = c.data, .callbacks = {gr_ReduceLROnPlateau(.factor = 1)}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_fit_opts o = rows[i].o;
        o.verbose = GR_VERBOSE_SILENT;
        gr_error_clear();
        gr_history *h = gr_fit_at(GR_HERE, m, &o);
        GR_EXPECT(!h && strstr(gr_error_message(), rows[i].says), "%s: %s", rows[i].why, gr_error_message());
        gr_history_free(h);
    }
    gr_error_clear();
    gr_array_free(short_y);
    gr_array_free(wide);
    gr_model_free(m);
    free_clouds(&c);
}

static void labels_out_of_range_stop_the_step_before_it_changes_anything(void)
{
    gr_set_seed(7);
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(8, 3)), *y = gr_array_new(GR_I32, GR_SHAPE(8));
    ((int32_t *)gr_array_data(y))[5] = 9;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(3)), gr_Dense(4, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_SGD(), .loss = "sparse_categorical_crossentropy");
    uint64_t before = gr_model_weights_hash(m);
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .batch_size = 8, .verbose = GR_VERBOSE_SILENT));
    CU_ASSERT_EQUAL(gr_error(), GR_ERANGE);
    GR_EXPECT(strstr(gr_error_message(), "9") != NULL, "%s", gr_error_message());
    CU_ASSERT_EQUAL(gr_model_weights_hash(m), before);
    gr_error_clear();
    gr_model_free(m);
    gr_array_free(x);
    gr_array_free(y);
}

GR_SUITE("models/fit.c", GR_TEST(training_learns_and_history_has_one_value_per_epoch),
    GR_TEST(the_same_seed_gives_the_same_bits_on_any_number_of_threads), GR_TEST(a_step_allocates_nothing),
    GR_TEST(the_reported_loss_is_the_mean_over_samples_also_with_a_short_last_batch),
    GR_TEST(predictions_are_rows_in_order_whatever_the_batch), GR_TEST(one_program_predicts_any_number_of_rows),
    GR_TEST(all_steps_of_a_model_run_in_one_room),
    GR_TEST(validation_takes_the_last_rows_before_any_shuffle), GR_TEST(images_may_stay_bytes_and_labels_integers),
    GR_TEST(sample_weights_act_inside_each_batch), GR_TEST(a_model_can_be_trained_in_float64),
    GR_TEST(hooks_run_in_keras_order), GR_TEST(stopping_mid_epoch_still_ends_the_epoch),
    GR_TEST(the_compiled_step_is_drawn_on_request), GR_TEST(predict_has_hooks_too),
    GR_TEST(another_network_goes_through_the_same_passes),
    GR_TEST(impossible_options_are_errors_that_name_the_argument),
    GR_TEST(labels_out_of_range_stop_the_step_before_it_changes_anything))
