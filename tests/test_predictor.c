/* Compiled models for inference: models/predictor.c over compiler/freeze.c and ops/absorb.c. */
#include "core/mem.h"
#include "models/predictor.h"
#include "ops/ops.h"
#include "tests/fixture.h"
#include "tests/injector.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { WIDTH = 23, CLASSES = 5, ROWS = 300 };

/* Weights and statistics as after some training: none is 0 or 1. */
static void disturb(gr_model *m)
{
    for (int i = 0; i < gr_model_weight_count(m); i++) {
        gr_array *w = gr_variable_get(gr_model_weight_at(m, i));
        for (int64_t k = 0; k < gr_array_size(w); k++) {
            double by = (double)((k * 37 + i * 11) % 41) / 41;
            if (gr_array_dtype(w) == GR_F64)
                ((double *)gr_array_data(w))[k] += by;
            else
                ((float *)gr_array_data(w))[k] = ((float *)gr_array_data(w))[k] * 0.5f + 0.2f * (float)by;
        }
        gr_variable_set(gr_model_weight_at(m, i), w);
        gr_array_free(w);
    }
}

static gr_model *small_model(void)
{
    gr_set_seed(5);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(40, .activation = "relu"), gr_BatchNormalization(),
        gr_Dropout(0.3), gr_Dense(17), gr_BatchNormalization(), gr_Activation("tanh"),
        gr_Dense(CLASSES, .activation = "softmax"));
    disturb(m);
    return m;
}

static gr_array *rows(int64_t n, gr_dtype dtype)
{
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(n, WIDTH));
    for (int64_t i = 0; i < n * WIDTH; i++)
        ((float *)gr_array_data(x))[i] = (float)(i * 29 % 127) / (dtype == GR_F32 || dtype == GR_F64 ? 64.0f : 1.0f);
    gr_array_cast(x, dtype);
    return x;
}

static gr_array *results(int64_t n)
{
    return gr_array_new(GR_F32, GR_SHAPE(n, CLASSES));
}

static bool near(const gr_array *a, const gr_array *b, double tolerance, const char *row)
{
    bool same = a && b && gr_shape_equal(gr_array_shape(a), gr_array_shape(b));
    for (int64_t i = 0; same && i < gr_array_size(a); i++)
        same = fabs(gr_array_at(a, i) - gr_array_at(b, i)) <= tolerance * fmax(1, fabs(gr_array_at(b, i)));
    return GR_EXPECT(same, "%s: %s", row, gr_error() ? gr_error_message() : "other numbers");
}

/* ---- what it computes -------------------------------------------------------------------------------------------- */

static void any_number_of_rows_gives_what_predict_gives(void)
{
    gr_model *m = small_model();
    gr_predictor *p = gr_predictor_new(m, .max_batch = 12);
    gr_array *whole = rows(ROWS, GR_F32), *expected = gr_predict(m, GR_LIST(whole)), *first = NULL;
    const int64_t counts[] = {0, 1, 2, 3, 7, 11, 12, 13, 24, 31, 100, ROWS};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char row[40];
        int64_t n = counts[i];
        snprintf(row, sizeof row, "%d rows", (int)n);
        gr_array *x = gr_array_slice(whole, 0, 0, n, 1), *e = gr_array_slice(expected, 0, 0, n, 1), *y = results(n);
        CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
        near(y, e, 2e-6, row);
        if (n == 1)
            first = gr_array_copy(y);
        for (int64_t k = 0; n && k < CLASSES; k++) /* however the rows are cut, each has the same bits */
            GR_EXPECT(!first || gr_array_at(y, k) == gr_array_at(first, k), "%s: other bits", row);
        gr_array_free(x), gr_array_free(e), gr_array_free(y);
    }
    gr_array_free(whole), gr_array_free(expected), gr_array_free(first);
    gr_predictor_free(p);
    gr_model_free(m);
}

static void threads_do_not_change_the_bits(void)
{
    gr_model *m = small_model();
    gr_array *x = rows(ROWS, GR_F32), *y[2];
    for (int i = 0; i < 2; i++) {
        gr_predictor *p = gr_predictor_new(m, .max_batch = 64, .threads = 1 + 2 * i);
        y[i] = results(ROWS);
        CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y[i])), GR_OK);
        gr_predictor_free(p);
    }
    CU_ASSERT_TRUE(gr_array_equal(y[0], y[1]));
    gr_array_free(x), gr_array_free(y[0]), gr_array_free(y[1]);
    gr_model_free(m);
}

static void data_comes_in_the_dtype_that_was_asked_for(void)
{
    const gr_dtype dtypes[] = {GR_F64, GR_U8, GR_I32, GR_I64};
    gr_model *m = small_model();
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        gr_predictor *p = gr_predictor_new(m, .max_batch = 8, .x_dtype = {dtypes[i]});
        gr_array *x = rows(21, dtypes[i]), *expected = gr_predict(m, GR_LIST(x)), *y = results(21);
        CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
        near(y, expected, 2e-6, gr_dtype_name(dtypes[i]));
        CU_ASSERT_EQUAL(gr_predictor_input(p, 0, 3, NULL), dtypes[i]);
        gr_array_free(x), gr_array_free(expected), gr_array_free(y);
        gr_predictor_free(p);
    }
    gr_model_free(m);
}

static void a_model_in_float64_predicts_in_float64(void)
{
    gr_model *m = small_model();
    gr_compile(m, .loss = "categorical_crossentropy", .dtype = GR_F64);
    gr_predictor *p = gr_predictor_new(m);
    gr_array *x = rows(9, GR_F64), *y = gr_array_new(GR_F64, GR_SHAPE(9, CLASSES)), *e = gr_predict(m, GR_LIST(x));
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
    near(y, e, 1e-14, "float64");
    gr_array_free(x), gr_array_free(y), gr_array_free(e);
    gr_predictor_free(p);
    gr_model_free(m);
}

/* two inputs of different dtypes, two outputs: left + right, and a count of one of them */
typedef struct {
    gr_layer base;
} Both_spec;
static gr_status both(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)spec, (void)n_in, (void)n_out;
    gr_tensor *h = gr_apply(b, gr_Dense(6), in[0]);
    out[0] = gr_add(h, gr_cast(in[1], GR_F32));
    out[1] = gr_mul(in[1], gr_scalar(in[1], 2));
    return gr_status_of(out[0]);
}
static const gr_layer_kind Both_kind = {
    .name = "Both", .size = sizeof(Both_spec), .call_n = both, .n_out = 2, .fields = (const gr_field[]){{0}}};

static void several_inputs_and_outputs_and_outputs_left_out(void)
{
    gr_model *m = gr_model_new(&(Both_spec){{.kind = &Both_kind}}.base,
        .inputs = {gr_Input(GR_SHAPE(4)), gr_Input(GR_SHAPE(6), .dtype = GR_I32)});
    gr_predictor *p = gr_predictor_new(m, .max_batch = 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    float x[7 * 4], sum[7 * 6];
    int32_t k[7 * 6], twice[7 * 6];
    for (int i = 0; i < 7 * 4; i++)
        x[i] = (float)i / 8;
    for (int i = 0; i < 7 * 6; i++)
        k[i] = i - 20;
    CU_ASSERT_EQUAL(gr_predictor_run_rows(p, 7, (const void *[]){x, k}, (void *[]){sum, twice}), GR_OK);
    gr_array *ax = gr_array_from(GR_F32, GR_SHAPE(7, 4), x), *ak = gr_array_from(GR_I32, GR_SHAPE(7, 6), k),
             *e = gr_predict(m, GR_LIST(ax, ak)), *y = gr_array_from(GR_F32, GR_SHAPE(7, 6), sum);
    near(y, e, 2e-6, "sum");
    for (int i = 0; i < 7 * 6; i++)
        CU_ASSERT_EQUAL(twice[i], 2 * k[i]);
    memset(twice, 0, sizeof twice);
    CU_ASSERT_EQUAL(gr_predictor_run_rows(p, 7, (const void *[]){x, k}, (void *[]){NULL, twice}), GR_OK);
    CU_ASSERT_EQUAL(twice[41], 2 * k[41]);
    gr_shape s;
    CU_ASSERT_EQUAL(gr_predictor_output(p, 1, 3, &s), GR_I32);
    CU_ASSERT_TRUE(gr_shape_equal(s, GR_SHAPE(3, 6)));
    gr_array_free(ax), gr_array_free(ak), gr_array_free(e), gr_array_free(y);
    gr_predictor_free(p);
    gr_model_free(m);
}

/* ---- how ----------------------------------------------------------------------------------------------------------
 */

static void a_run_allocates_nothing(void)
{
    gr_model *m = small_model();
    gr_predictor *p = gr_predictor_new(m, .max_batch = 32, .threads = 2);
    gr_array *x = rows(77, GR_F32), *y = results(77);
    int64_t before = gr_allocation_count();
    for (int64_t n = 0; n <= 77; n += 11)
        CU_ASSERT_EQUAL(
            gr_predictor_run_rows(p, n, (const void *[]){gr_array_data(x)}, (void *[]){gr_array_data(y)}), GR_OK);
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
    CU_ASSERT_EQUAL(gr_allocation_count(), before);
    gr_array_free(x), gr_array_free(y);
    gr_predictor_free(p);
    gr_model_free(m);
}

typedef struct {
    gr_predictor *p;
    const gr_array *x, *expected;
    int runs, wrong;
} worker;

static void *work(void *ctx)
{
    worker *w = ctx;
    gr_array *y = results(ROWS);
    float *got = gr_array_data(y);
    for (int i = 0; i < w->runs; i++) {
        int64_t n = 1 + i * 17 % ROWS, from = i * 5 % (ROWS - n + 1);
        const float *x = (const float *)gr_array_data(w->x) + from * WIDTH;
        const float *e = (const float *)gr_array_data(w->expected) + from * CLASSES;
        if (gr_predictor_run_rows(w->p, n, (const void *[]){x}, (void *[]){got}) != GR_OK ||
            memcmp(got, e, (size_t)n * CLASSES * sizeof *e) != 0)
            w->wrong++;
    }
    gr_array_free(y);
    return NULL;
}

static void several_threads_at_once_get_the_bits_of_one_alone(void)
{
    const struct {
        const char *why;
        int calls, threads, workers;
    } cases[] = {{"a room each", 4, 1, 4}, {"they wait for one room", 1, 1, 3}, {"teams of two", 2, 2, 2},
        {"more runs than rooms, teams", 2, 2, 3}};
    gr_model *m = small_model();
    gr_array *x = rows(ROWS, GR_F32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_predictor *p = gr_predictor_new(m, .max_batch = 16, .calls = cases[i].calls, .threads = cases[i].threads);
        gr_array *expected = results(ROWS);
        pthread_t thread[4];
        worker w[4];
        CU_ASSERT_EQUAL_FATAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(expected)), GR_OK);
        for (int k = 0; k < cases[i].workers; k++) {
            w[k] = (worker){p, x, expected, cases[i].threads > 1 ? 20 : 200, 0};
            CU_ASSERT_FATAL(pthread_create(&thread[k], NULL, work, &w[k]) == 0);
        }
        for (int k = 0; k < cases[i].workers; k++) {
            pthread_join(thread[k], NULL);
            GR_EXPECT(w[k].wrong == 0, "%s: %d runs of thread %d differ", cases[i].why, w[k].wrong, k);
        }
        gr_array_free(expected);
        gr_predictor_free(p);
    }
    gr_array_free(x);
    gr_model_free(m);
}

/* ---- weights ------------------------------------------------------------------------------------------------------
 */

static void new_weights_come_with_refresh_only(void)
{
    gr_model *m = small_model();
    gr_predictor *p = gr_predictor_new(m);
    gr_array *x = rows(10, GR_F32), *before = gr_predict(m, GR_LIST(x)), *y = results(10);
    disturb(m);
    gr_array *after = gr_predict(m, GR_LIST(x));
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
    near(y, before, 2e-6, "before refresh");
    CU_ASSERT_EQUAL(gr_predictor_refresh(p), GR_OK);
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
    near(y, after, 2e-6, "after refresh");
    CU_ASSERT_FALSE(fabs(gr_array_at(before, 0) - gr_array_at(after, 0)) < 1e-4);
    gr_model_free(m); /* it needs its model for refreshing alone */
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK);
    near(y, after, 2e-6, "without the model");
    gr_array_free(x), gr_array_free(y), gr_array_free(before), gr_array_free(after);
    gr_predictor_free(p);
}

static void *refresh_often(void *ctx)
{
    worker *w = ctx;
    for (int i = 0; i < w->runs; i++)
        w->wrong += gr_predictor_refresh(w->p) != GR_OK;
    return NULL;
}

static void refreshing_beside_runs_disturbs_none(void)
{
    gr_model *m = small_model();
    gr_predictor *p = gr_predictor_new(m, .max_batch = 16, .calls = 2, .threads = 1);
    gr_array *x = rows(ROWS, GR_F32), *expected = results(ROWS);
    CU_ASSERT_EQUAL_FATAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(expected)), GR_OK);
    worker w[4] = {{p, x, expected, 100, 0}, {p, x, expected, 100, 0}, {p, x, expected, 5, 0}, {p, x, expected, 5, 0}};
    pthread_t thread[4];
    for (int k = 0; k < 4; k++)
        CU_ASSERT_FATAL(pthread_create(&thread[k], NULL, k < 2 ? work : refresh_often, &w[k]) == 0);
    for (int k = 0; k < 4; k++) {
        pthread_join(thread[k], NULL);
        GR_EXPECT(w[k].wrong == 0, "thread %d: %d runs failed or differ", k, w[k].wrong);
    }
    gr_array_free(x), gr_array_free(expected);
    gr_predictor_free(p);
    gr_model_free(m);
}

/* ---- mistakes -----------------------------------------------------------------------------------------------------
 */

static void says(gr_status s, gr_status want, const char *message)
{
    GR_EXPECT(
        s == want && strstr(gr_error_message(), message), "expected \"%s\", found \"%s\"", message, gr_error_message());
    gr_error_clear();
}

static void mistakes_have_messages(void)
{
    gr_model *m = small_model();
    gr_predictor *p = gr_predictor_new(m, .max_batch = 4);
    gr_array *x = rows(3, GR_F32), *y = results(3), *short_y = results(2), *bytes = rows(3, GR_U8),
             *wide = gr_array_new(GR_F32, GR_SHAPE(3, WIDTH + 1)), *view = gr_array_slice(wide, 1, 0, WIDTH, 1);
    says(gr_predictor_run(p, GR_LIST(x, x), GR_LIST(y)), GR_EARG,
        "predictor_run: expected 1 inputs and 1 outputs, as sequential has them, found 2 and 1");
    says(gr_predictor_run(p, GR_LIST(wide), GR_LIST(y)), GR_ESHAPE,
        "predictor_run: argument x[0]: expected float32 [B, 23], as sequential has it, found float32 [3, 24]");
    says(gr_predictor_run(p, GR_LIST(bytes), GR_LIST(y)), GR_ESHAPE, "expected float32 [B, 23]");
    says(gr_predictor_run(p, GR_LIST(view), GR_LIST(y)), GR_EARG, "argument x[0]: expected a contiguous array");
    says(gr_predictor_run(p, GR_LIST(x), GR_LIST(short_y)), GR_ESHAPE,
        "argument y[0]: expected float32 [B, 5] with the rows of x[0], as sequential has it, found float32 [2, 5]");
    says(gr_predictor_run(p, (gr_list){1, {NULL}}, GR_LIST(y)), GR_EARG, "argument x[0]: expected float32 [B, 23]");
    says(gr_predictor_run_rows(p, -1, NULL, NULL), GR_EARG, "argument n: expected rows, 0 or more, found -1");
    says(gr_predictor_run_rows(p, 1, NULL, NULL), GR_EARG, "argument x: expected the rows of input 0 of sequential");
    says(gr_predictor_run(NULL, GR_LIST(x), GR_LIST(y)), GR_EARG, "argument p: expected a predictor, found NULL");
    says(gr_predictor_run_rows(NULL, 0, NULL, NULL), GR_EARG, "argument p: expected a predictor, found NULL");
    says(gr_predictor_refresh(NULL), GR_EARG, "predictor_refresh: argument p");
    CU_ASSERT_PTR_NULL(gr_predictor_new(NULL));
    says(gr_error(), GR_EARG, "predictor: argument model: expected a model, found NULL");
    CU_ASSERT_PTR_NULL(gr_predictor_new(m, .max_batch = -3));
    says(gr_error(), GR_EARG, "expected max_batch >= 1");
    CU_ASSERT_PTR_NULL(gr_predictor_new(m, .calls = 65));
    says(gr_error(), GR_EARG, "calls in 0 .. 64, found 0, 0 and 65");
    CU_ASSERT_PTR_NULL(gr_predictor_new(m, .x_dtype = {(gr_dtype)99}));
    says(gr_error(), GR_EDTYPE, "predictor: argument x_dtype[0]: expected a dtype");
    CU_ASSERT_EQUAL(gr_predictor_output(p, 1, 1, NULL), GR_DTYPE_NONE);
    says(gr_error(), GR_EARG, "predictor_output: expected number 0 .. 0 and rows that fit in memory, found 1 and 1");
    CU_ASSERT_EQUAL(gr_predictor_input(p, 0, INT64_MAX / 2, NULL), GR_DTYPE_NONE);
    says(gr_error(), GR_EARG, "predictor_input: expected number");
    CU_ASSERT_EQUAL(gr_predictor_run(p, GR_LIST(x), GR_LIST(y)), GR_OK); /* and it still works */
    gr_array_free(x), gr_array_free(y), gr_array_free(short_y), gr_array_free(bytes), gr_array_free(wide);
    gr_array_free(view);
    gr_predictor_free(p);
    gr_predictor_free(NULL);
    gr_model_free(m);
}

/* An op that may not run beside itself, and notes when it does. */
static _Atomic int inside, beside;
static gr_status lonely_eval(const gr_call *c)
{
    if (atomic_fetch_add(&inside, 1) > 0)
        atomic_store(&beside, 1);
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    memcpy(c->out[0].data, c->in[0].data, (size_t)gr_shape_size(c->in[0].shape) * 4);
    atomic_fetch_sub(&inside, 1);
    return GR_OK;
}
static const gr_op lonely = {.abi = GR_ABI, .name = "lonely", .doc = "x", .n_in = 1, .n_out = 1,
    .infer = gr_infer_same, .eval_f32 = lonely_eval};
static gr_tensor *lonely_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b, (void)spec;
    return gr_apply_op(&lonely, NULL, 1, &x);
}
typedef struct {
    gr_layer base;
} Lonely_spec;
static const gr_layer_kind Lonely_kind = {
    .name = "Lonely", .size = sizeof(Lonely_spec), .family = "layer", .call = lonely_call};
#define Lonely(...) GR_SPEC(Lonely, __VA_ARGS__)

static void *ask(void *predictor)
{
    float x[4] = {1, 2, 3, 4}, y[4];
    for (int i = 0; i < 30; i++)
        gr_predictor_run_rows(predictor, 1, (const void *[]){x}, (void *[]){y});
    return NULL;
}

static void an_op_that_may_not_run_beside_itself_does_not(void)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(4)), Lonely());
    gr_predictor *p = gr_predictor_new(m, .max_batch = 1, .threads = 1, .calls = 4);
    pthread_t thread[3];
    GR_EXPECT(p != NULL, "%s", gr_error_message());
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL, ask, p), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&beside), 0);
    gr_predictor_free(p);
    gr_model_free(m);
}

static bool serve(void *ctx, uint64_t *hash)
{
    gr_model *m = ctx;
    float x[9 * WIDTH], y[9 * CLASSES];
    for (int i = 0; i < 9 * WIDTH; i++)
        x[i] = (float)(i % 13) / 13;
    gr_predictor *p = gr_predictor_new(m, .max_batch = 4, .calls = 2);
    bool good = p && gr_predictor_refresh(p) == GR_OK &&
                gr_predictor_run_rows(p, 9, (const void *[]){x}, (void *[]){y}) == GR_OK;
    gr_predictor_free(p);
    if (good)
        *hash = gr_hash_bytes(0, y, sizeof y);
    return good;
}

static void memory_may_run_out_anywhere(void)
{
    gr_set_allocator(&gr_injecting); /* the model is freed by the allocator that made it */
    gr_model *m = small_model();
    gr_fail_every_allocation("predictor", serve, m, false);
    gr_set_allocator(&gr_injecting);
    gr_model_free(m);
    gr_set_allocator(NULL);
}

GR_SUITE("models/predictor.c", GR_TEST(any_number_of_rows_gives_what_predict_gives),
    GR_TEST(threads_do_not_change_the_bits), GR_TEST(data_comes_in_the_dtype_that_was_asked_for),
    GR_TEST(a_model_in_float64_predicts_in_float64), GR_TEST(several_inputs_and_outputs_and_outputs_left_out),
    GR_TEST(a_run_allocates_nothing), GR_TEST(several_threads_at_once_get_the_bits_of_one_alone),
    GR_TEST(new_weights_come_with_refresh_only), GR_TEST(refreshing_beside_runs_disturbs_none),
    GR_TEST(an_op_that_may_not_run_beside_itself_does_not), GR_TEST(mistakes_have_messages),
    GR_TEST(memory_may_run_out_anywhere))
