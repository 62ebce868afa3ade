/* Sizes and settings at the edge: the same numbers everywhere, at worst slower.
 *
 * Each row is a model that is trained, evaluated and asked, on a data set that its batches do not divide. Numbers of
 * threads must not change a bit; the judge of the numbers is the same run in float64, which any instruction set must
 * meet within the same bound. Settings of the environment count from a process' start, so this program runs itself. */
#include "core/thread.h"
#include "models/model.h"
#include "models/predictor.h"
#include "tests/harness.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 5, MOST = 64 };
static const int threads_of[THREADS] = {1, 2, 3, 7, 64};

/* ---- models ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *why;
    gr_model *(*build)(gr_shape x, int width);
    gr_shape x; /* of one row */
    int width, classes;
    int64_t rows, batch;
} row;

static gr_model *dense(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Dense(width, .activation = "tanh"), gr_LayerNormalization(), gr_Dense(width),
        gr_Dense(3, .activation = "softmax"));
}
static gr_model *normalized(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Dense(width, .activation = "relu"), gr_BatchNormalization(), gr_Dense(width),
        gr_BatchNormalization(), gr_Dense(3, .activation = "softmax"));
}
static gr_model *one_class(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Dense(width, .activation = "relu"), gr_Dense(1, .activation = "softmax"));
}
static gr_model *image(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Conv2D(width, GR_SHAPE(5, 5), .padding = "same", .activation = "relu"),
        gr_BatchNormalization(), gr_MaxPooling2D(GR_SHAPE(2), .padding = "same"),
        gr_Conv2D(3, GR_SHAPE(3, 3), .padding = "same", .strides = GR_SHAPE(2)), gr_Flatten(),
        gr_Dense(3, .activation = "softmax"));
}
static gr_model *separate(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_DepthwiseConv2D(GR_SHAPE(3, 3), .padding = "same"),
        gr_Conv2D(width, GR_SHAPE(1, 1)), gr_AveragePooling2D(GR_SHAPE(2), .padding = "same"),
        gr_GlobalAveragePooling2D(), gr_Dense(3, .activation = "softmax"));
}
static gr_model *line(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Conv1D(width, GR_SHAPE(7), .padding = "same", .activation = "gelu"),
        gr_GlobalMaxPooling1D(), gr_Dense(3, .activation = "softmax"));
}
static gr_model *lstm(gr_shape x, int width)
{
    return gr_sequential(
        gr_Input(x), gr_LSTM(width, .return_sequences = true), gr_LSTM(width), gr_Dense(3, .activation = "softmax"));
}
static gr_model *gru(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_Bidirectional(gr_GRU(width)), gr_Dense(3, .activation = "softmax"));
}
static gr_model *attention(gr_shape x, int width)
{
    return gr_sequential(gr_Input(x), gr_LayerNormalization(),
        gr_MultiHeadAttention(2, .key_dim = width, .use_causal_mask = true), gr_Flatten(),
        gr_Dense(3, .activation = "softmax"));
}

static const row rows[] = {
    {"one of everything", dense, GR_DIMS(1), 1, 3, 1, 1},
    {"one column", dense, GR_DIMS(1), 1, 3, 7, 2},
    {"two columns, batches of 1", dense, GR_DIMS(2), 2, 3, 5, 1},
    {"three, batches of 5", dense, GR_DIMS(3), 3, 3, 13, 5},
    {"seven, batches of 3", dense, GR_DIMS(7), 7, 3, 10, 3},
    {"17, batches of 31", dense, GR_DIMS(17), 17, 3, 67, 31},
    {"31, batches of 33", dense, GR_DIMS(31), 31, 3, 70, 33},
    {"33, a batch larger than the data", dense, GR_DIMS(33), 33, 3, 9, 33},
    {"batch norm of 33", normalized, GR_DIMS(33), 31, 3, 65, 31},
    {"batch norm, a last batch of 2", normalized, GR_DIMS(3), 7, 3, 35, 33},
    {"one class", one_class, GR_DIMS(7), 17, 1, 10, 3},
    {"an image of 1 x 1", image, GR_DIMS(1, 1, 1), 3, 3, 7, 3},
    {"1 x 9", image, GR_DIMS(1, 9, 3), 7, 3, 11, 5},
    {"2 x 3", image, GR_DIMS(2, 3, 2), 17, 3, 8, 5},
    {"5 x 7", image, GR_DIMS(5, 7, 3), 16, 3, 37, 31},
    {"1 x 1, channels apart", separate, GR_DIMS(1, 1, 3), 1, 3, 7, 2},
    {"5 x 7, channels apart", separate, GR_DIMS(5, 7, 7), 17, 3, 35, 33},
    {"a line of 1", line, GR_DIMS(1, 1), 1, 3, 5, 2},
    {"a line of 3", line, GR_DIMS(3, 2), 7, 3, 9, 5},
    {"a sequence of 1", lstm, GR_DIMS(1, 1), 1, 3, 3, 2},
    {"a sequence of 5", lstm, GR_DIMS(5, 3), 7, 3, 35, 33},
    {"both ways through 1", gru, GR_DIMS(1, 3), 3, 3, 4, 3},
    {"both ways through 3", gru, GR_DIMS(3, 2), 17, 3, 9, 5},
    {"attention to one token", attention, GR_DIMS(1, 4), 1, 3, 5, 2},
    {"attention to 7 tokens", attention, GR_DIMS(7, 6), 3, 3, 33, 31},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* ---- one run ----------------------------------------------------------------------------------------------------- */

static gr_shape with_rows(int64_t n, gr_shape each)
{
    gr_shape s = {.rank = each.rank + 1};
    s.dim[0] = n;
    for (int64_t d = 0; d < each.rank; d++)
        s.dim[d + 1] = each.dim[d];
    return s;
}

static gr_array *inputs_of(const row *r, gr_dtype type)
{
    gr_array *x = gr_array_new(GR_F64, with_rows(r->rows, r->x));
    for (int64_t i = 0; i < gr_array_size(x); i++)
        ((double *)gr_array_data(x))[i] = sin((double)(i * 37 % 1009)) * 1.5;
    gr_array_cast(x, GR_F32); /* the numbers that both types have */
    gr_array_cast(x, type);
    return x;
}

static gr_array *targets_of(const row *r, gr_dtype type)
{
    gr_array *y = gr_array_new(GR_F32, GR_SHAPE(r->rows, r->classes));
    for (int64_t i = 0; i < r->rows; i++)
        ((float *)gr_array_data(y))[i * r->classes + i * 7 % r->classes] = 1;
    gr_array_cast(y, type);
    return y;
}

/* A float64 model begins with the numbers of the float32 one. */
static gr_model *made(const row *r, gr_dtype type)
{
    gr_set_seed(11);
    gr_model *m = r->build(r->x, r->width), *like = type == GR_F64 ? made(r, GR_F32) : NULL;
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = 0.05f, .momentum = 0.9f), .loss = "categorical_crossentropy",
        .metrics = {"accuracy"}, .dtype = type);
    for (int i = 0; like && i < gr_model_weight_count(m); i++) {
        gr_array *w = gr_variable_get(gr_model_weight_at(like, i));
        gr_array_cast(w, GR_F64);
        gr_variable_set(gr_model_weight_at(m, i), w);
        gr_array_free(w);
    }
    gr_model_free(like);
    return m;
}

typedef struct {
    bool good;
    double loss, val_loss;
    uint64_t weights;
    gr_array *predicted, *served; /* by gr_predict, by a predictor whose runs are of at most 4 rows */
} results;

static void forget(results *x)
{
    gr_array_free(x->predicted);
    gr_array_free(x->served);
}

static results run(const row *r, gr_dtype type)
{
    results out = {0};
    gr_array *x = inputs_of(r, type), *y = targets_of(r, type);
    gr_model *m = made(r, type);
    gr_data data = gr_xy(GR_LIST(x), GR_LIST(y));
    gr_history *h = gr_fit(m, data, .epochs = 2, .batch_size = r->batch, .verbose = GR_VERBOSE_SILENT);
    gr_scores s = gr_evaluate(m, data, .batch_size = r->batch + 2);
    gr_predictor *p = gr_predictor_new(m, .max_batch = 4, .calls = 1);
    int n = 0;
    const double *loss = h ? gr_history_get(h, "loss", &n) : NULL;
    out.predicted = gr_predict(m, GR_LIST(x), .batch_size = r->batch);
    out.served = gr_array_new(type, GR_SHAPE(r->rows, r->classes));
    out.good = loss && n == 2 && s.status == GR_OK && out.predicted && p &&
               gr_predictor_run(p, GR_LIST(x), GR_LIST(out.served)) == GR_OK && isfinite(loss[1]) && isfinite(s.loss);
    for (int64_t i = 0; out.good && i < gr_array_size(out.served); i++)
        out.good = isfinite(gr_array_at(out.served, i)) && isfinite(gr_array_at(out.predicted, i));
    out.loss = out.good ? loss[1] : 0;
    out.val_loss = s.loss;
    out.weights = gr_model_weights_hash(m);
    gr_predictor_free(p);
    gr_history_free(h);
    gr_model_free(m);
    gr_array_free(x), gr_array_free(y);
    return out;
}

static bool same_bits(const results *a, const results *b)
{
    int64_t bytes = gr_array_size(a->predicted) * 4;
    return memcmp(&a->loss, &b->loss, sizeof a->loss) == 0 &&
           memcmp(&a->val_loss, &b->val_loss, sizeof a->val_loss) == 0 && a->weights == b->weights &&
           memcmp(gr_array_data(a->predicted), gr_array_data(b->predicted), (size_t)bytes) == 0 &&
           memcmp(gr_array_data(a->served), gr_array_data(b->served), (size_t)bytes) == 0;
}

/* The largest difference of two runs. */
static double apart(const results *a, const results *b)
{
    double most = fmax(fabs(a->loss - b->loss), fabs(a->val_loss - b->val_loss)); /* no NaN: see run */
    for (int64_t i = 0; i < gr_array_size(a->predicted); i++) {
        most = fmax(most, fabs(gr_array_at(a->predicted, i) - gr_array_at(b->predicted, i)));
        most = fmax(most, fabs(gr_array_at(a->served, i) - gr_array_at(b->served, i)));
    }
    return most;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Small as they are, all threads get a share: the pass that would run them on one is off. */
static void threads_do_not_change_a_bit(void)
{
    setenv("GRAPE_PASSES", "-serial", 1);
    for (int i = 0; i < ROWS; i++) {
        results first = {0};
        for (int k = 0; k < THREADS - (i % 4 != 0); k++) { /* 64 of them for some */
            gr_set_num_threads(threads_of[k]);
            results now = run(&rows[i], GR_F32);
            if (GR_EXPECT(now.good, "%s, %d threads: %s", rows[i].why, threads_of[k], gr_error_message()) && k)
                GR_EXPECT(same_bits(&first, &now), "%s: %d threads give other bits", rows[i].why, threads_of[k]);
            gr_error_clear();
            if (k == 0)
                first = now;
            else
                forget(&now);
        }
        forget(&first);
    }
    unsetenv("GRAPE_PASSES");
    gr_set_num_threads(0);
}

static void float32_is_near_float64(void)
{
    for (int i = 0; i < ROWS; i++) {
        results real = run(&rows[i], GR_F64), now = run(&rows[i], GR_F32);
        double d = real.good && now.good ? apart(&now, &real) : 0;
        GR_EXPECT(real.good && now.good && d < 1e-5, "%s: %g apart; %s", rows[i].why, d, gr_error_message());
        gr_error_clear();
        forget(&real), forget(&now);
    }
}

static void without_any_pass_the_numbers_are_the_same(void)
{
    static const char all[] = "-simplify,-inexact,-fold,-cse,-fuse,-strips,-views,-inplace,-reuse,-serial,-examples,"
                              "-remat,-keep";
    for (int i = 0; i < ROWS; i++) {
        results now = run(&rows[i], GR_F32);
        setenv("GRAPE_PASSES", all, 1);
        results plain = run(&rows[i], GR_F32);
        unsetenv("GRAPE_PASSES");
        double d = plain.good && now.good ? apart(&now, &plain) : 0;
        GR_EXPECT(plain.good && now.good && d < 1e-5, "%s: %g apart; %s", rows[i].why, d, gr_error_message());
        gr_error_clear();
        forget(&plain), forget(&now);
    }
}

static void nothing_at_all_is_no_crash(void)
{
    static const char none_found[] = "argument data: expected at least one sample, found none";
    const row *r = &rows[4];
    gr_model *m = made(r, GR_F32);
    gr_array *x = gr_array_new(GR_F32, with_rows(0, r->x)), *y = gr_array_new(GR_F32, GR_SHAPE(0, r->classes));
    gr_data none = gr_xy(GR_LIST(x), GR_LIST(y));
    uint64_t weights = gr_model_weights_hash(m);
    gr_array *p = gr_predict(m, GR_LIST(x)); /* Keras refuses it too */
    GR_EXPECT(!p && strstr(gr_error_message(), none_found), "predict: %s", gr_error_message());
    gr_error_clear();
    gr_predictor *q = gr_predictor_new(m);
    GR_EXPECT(q && gr_predictor_run(q, GR_LIST(x), GR_LIST(y)) == GR_OK, "predictor: %s", gr_error_message());
    gr_error_clear();
    gr_history *h = gr_fit(m, none, .verbose = GR_VERBOSE_SILENT);
    GR_EXPECT(!h && strstr(gr_error_message(), none_found), "fit: %s", gr_error_message());
    gr_error_clear();
    gr_scores s = gr_evaluate(m, none);
    GR_EXPECT(s.status != GR_OK && isnan(s.loss) && strstr(gr_error_message(), none_found), "evaluate: %g, %s", s.loss,
        gr_error_message());
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_model_weights_hash(m), weights);
    gr_predictor_free(q);
    gr_history_free(h);
    gr_array_free(p), gr_array_free(x), gr_array_free(y);
    gr_model_free(m);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* What a child of this program prints: numbers and bits of every row. */
static void tell_results(void)
{
    if (!getenv("GRAPE_TEST_ODD_SIZES")) {
        gr_test_skip("for the tests below");
        return;
    }
    for (int i = 0; i < ROWS; i++) {
        results now = run(&rows[i], GR_F32);
        GR_EXPECT(now.good, "%s: %s", rows[i].why, gr_error_message());
        uint64_t sum = 0;
        for (int64_t k = 0; k < gr_array_size(now.predicted); k++)
            sum = sum * 31 + ((const uint32_t *)gr_array_data(now.predicted))[k] +
                  ((const uint32_t *)gr_array_data(now.served))[k];
        printf("RESULT %.17g %.17g %016llx %016llx\n", now.loss, now.val_loss, (unsigned long long)now.weights,
            (unsigned long long)sum);
        forget(&now);
    }
}

/* Its lines, as it runs with these settings. False if it did not end well. */
static bool results_with(const char *settings, char line[ROWS][120])
{
    char self[4096] = "", command[8192], text[200];
    int n = 0;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return false;
    snprintf(command, sizeof command, "env -u OMP_NUM_THREADS GRAPE_TEST_ODD_SIZES=1 %s '%s' tell_results 2>&1",
        settings, self);
    FILE *f = popen(command, "r");
    while (f && fgets(text, sizeof text, f))
        if (strncmp(text, "RESULT ", 7) == 0 && n < ROWS)
            snprintf(line[n++], sizeof *line, "%.100s", text);
    return f && pclose(f) == 0 && n == ROWS;
}

static void the_environment_may_say_what_it_likes(void)
{
    static const char *const settings[] = {"OMP_NUM_THREADS=0", "OMP_NUM_THREADS=grapes", "OMP_NUM_THREADS=100000",
        "OMP_NUM_THREADS=7 OMP_DYNAMIC=true", "OMP_NUM_THREADS=7 OMP_THREAD_LIMIT=1",
        "OMP_NUM_THREADS=3,2 OMP_WAIT_POLICY=active", "OMP_NUM_THREADS=2 OMP_PROC_BIND=close",
        "PATH=/nowhere HOME=/nowhere TMPDIR=/nowhere" /* no compiler, no tool, nowhere to write */};
    static char plain[ROWS][120], other[ROWS][120];
    setenv("GRAPE_PASSES", "-serial", 1);
    CU_ASSERT_TRUE_FATAL(results_with("", plain));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (GR_EXPECT(results_with(settings[i], other), "%s: it failed", settings[i]))
            for (int k = 0; k < ROWS; k++)
                GR_EXPECT(strcmp(plain[k], other[k]) == 0, "%s, %s: %s and without %s", settings[i], rows[k].why,
                    other[k], plain[k]);
    unsetenv("GRAPE_PASSES");
}

/* Other kernels, other roundings. */
static void narrower_instruction_sets_give_the_same_numbers(void)
{
    static const char *const sets[] = {"base", "avx2", "avx512"};
    static char best[ROWS][120], other[ROWS][120];
    CU_ASSERT_TRUE_FATAL(results_with("", best));
    for (int i = 0; i < 3; i++) {
        char setting[40];
        snprintf(setting, sizeof setting, "GRAPE_ISA=%s", sets[i]);
        if (!GR_EXPECT(results_with(setting, other), "%s: it failed", setting))
            continue;
        for (int k = 0; k < ROWS; k++) {
            double a[2], b[2];
            bool read = sscanf(best[k], "RESULT %lf %lf", &a[0], &a[1]) == 2 &&
                        sscanf(other[k], "RESULT %lf %lf", &b[0], &b[1]) == 2;
            GR_EXPECT(read && fabs(a[0] - b[0]) < 1e-5 && fabs(a[1] - b[1]) < 1e-5, "%s, %s: %s and at best %s",
                sets[i], rows[k].why, other[k], best[k]);
        }
    }
}

GR_SUITE("odd sizes and settings", GR_TEST(threads_do_not_change_a_bit), GR_TEST(float32_is_near_float64),
    GR_TEST(without_any_pass_the_numbers_are_the_same), GR_TEST(nothing_at_all_is_no_crash), GR_TEST(tell_results),
    GR_TEST(the_environment_may_say_what_it_likes), GR_TEST(narrower_instruction_sets_give_the_same_numbers))
