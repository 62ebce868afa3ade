/* EarlyStopping and ReduceLROnPlateau fed with sequences of values, against what Keras's decide: callbacks.npz. */
#include "callbacks/callbacks.h"
#include "models/model.h"
#include "tests/fixture.h"

enum { EPOCHS = 20 };

/* ---- a callback that hands out the values, and one that notes the rate once all others are done ------------------ */

static struct {
    const double *value;
    int n, first;
    double used[EPOCHS], after[EPOCHS];
} feed;

typedef struct {
    gr_callback base;
} Feed_spec;
typedef Feed_spec Note_spec;

/* The only weight tells which epoch it is of; training itself changes nothing, since x is 0. */
static gr_status feed_epoch_end(gr_run *run)
{
    float mark = (float)gr_run_epoch(run);
    gr_array *a = gr_array_from(GR_F32, GR_SHAPE(1, 1), &mark);
    gr_status s = gr_variable_set(gr_model_weight_at(gr_run_model(run), 0), a);
    gr_array_free(a);
    GR_TRY(s);
    return gr_run_set_log(run, "val_x", feed.value[gr_run_epoch(run) - feed.first]);
}
static gr_status note_epoch_end(gr_run *run)
{
    int i = gr_run_epoch(run) - feed.first;
    feed.used[i] = gr_run_log(run, "learning_rate");
    feed.after[i] = gr_run_rate(run);
    return GR_OK;
}
static const gr_callback_kind Feed_kind = {
    .name = "Feed", .size = sizeof(Feed_spec), .family = "callback", .on_epoch_end = feed_epoch_end};
static const gr_callback_kind Note_kind = {
    .name = "Note", .size = sizeof(Note_spec), .family = "callback", .on_epoch_end = note_epoch_end};
#define Feed(...) GR_SPEC(Feed, __VA_ARGS__)
#define Note(...) GR_SPEC(Note, __VA_ARGS__)

/* ---- a table of rows --------------------------------------------------------------------------------------------- */

typedef struct {
    fixture *f;
    const char *table;
    int row;
    char name[120];
} line;

static double column(const line *l, const char *key)
{
    char name[48];
    snprintf(name, sizeof name, "%s/%s", l->table, key);
    const gr_array *a = fixture_entry(l->f, name);
    return a ? gr_array_at(a, l->row) : NAN;
}
static double cell(const line *l, const char *key, int i)
{
    char name[48];
    snprintf(name, sizeof name, "%s/%s", l->table, key);
    return gr_array_at(fixture_entry(l->f, name), (int64_t)l->row * EPOCHS + i);
}
static int rows(fixture *f, const char *table)
{
    char name[48];
    snprintf(name, sizeof name, "%s/n_values", table);
    const gr_array *a = fixture_entry(f, name);
    return a ? (int)gr_array_size(a) : 0;
}

static void name_row(line *l)
{
    char key[48], all[8000];
    snprintf(key, sizeof key, "%s/name", l->table);
    char *at = (char *)fixture_copy_text(fixture_entry(l->f, key), all, sizeof all);
    for (int i = 0; i < l->row && at; i++)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    snprintf(l->name, sizeof l->name, "%s: %.*s", l->table, at ? (int)strcspn(at, "\n") : 0, at ? at : "");
}

/* Trains a model of one weight; the history, and in *weight what it is at the end. */
static gr_history *fit(const line *l, const gr_callback *a, const gr_callback *b, double rate, float *weight)
{
    double value[EPOCHS] = {0};
    int n = (int)column(l, "n_values"), first = isnan(column(l, "initial_epoch")) ? 0 : (int)column(l, "initial_epoch");
    for (int i = 0; i < n; i++)
        value[i] = cell(l, "values", i);
    feed.value = value, feed.n = n, feed.first = first;
    gr_array *zero = gr_array_new(GR_F32, GR_SHAPE(1, 1));
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(1)), gr_Dense(1, .no_bias = true));
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = (float)rate), .loss = "mse");
    gr_fit_opts opts = {.data = gr_xy(GR_LIST(zero), GR_LIST(zero)),
        .initial_epoch = first,
        .epochs = first + n,
        .verbose = GR_VERBOSE_SILENT,
        .callbacks = {Feed(), a, b ? b : Note(), b ? Note() : NULL}};
    gr_history *h = gr_fit_at(GR_HERE, m, &opts);
    gr_array *w = m ? gr_variable_get(gr_model_weight_at(m, 0)) : NULL;
    *weight = w ? (float)gr_array_at(w, 0) : NAN;
    gr_array_free(w), gr_array_free(zero);
    gr_model_free(m);
    return h;
}

static void check_stop(const line *l, const gr_history *h, float weight)
{
    if (!GR_EXPECT(h != NULL, "%s: %s", l->name, gr_error_message()))
        return;
    int run = (int)column(l, "epochs_run"), restored = (int)column(l, "restored"), first = feed.first;
    GR_EXPECT(gr_history_epochs(h) == run, "%s: %d epochs, expected %d", l->name, gr_history_epochs(h), run);
    GR_EXPECT(gr_history_restored(h) == restored + 1, "%s: restored %d, expected %d", l->name,
        gr_history_restored(h) - 1, restored);
    int last = first + run - 1;
    GR_EXPECT(
        weight == (float)(restored >= 0 ? restored : last), "%s: the weights are of epoch %g", l->name, (double)weight);
}

static void check_rates(const line *l)
{
    int n = isnan(column(l, "epochs_run")) ? (int)column(l, "n_values") : (int)column(l, "epochs_run");
    for (int i = 0; i < n; i++) { /* float32 values: equal to the bit */
        GR_EXPECT((float)feed.used[i] == (float)cell(l, "used", i), "%s: epoch %d used %.9g, expected %.9g", l->name, i,
            feed.used[i], cell(l, "used", i));
        GR_EXPECT((float)feed.after[i] == (float)cell(l, "after", i), "%s: after epoch %d %.9g, expected %.9g", l->name,
            i, feed.after[i], cell(l, "after", i));
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void early_stopping_decides_as_keras_does(void)
{
    fixture f = fixture_open("callbacks.npz");
    int n = rows(&f, "es");
    for (int i = 0; i < n; i++) {
        line l = {.f = &f, .table = "es", .row = i};
        name_row(&l);
        double baseline = column(&l, "baseline");
        float weight;
        gr_history *h = fit(&l,
            gr_EarlyStopping(.monitor = "val_x", .patience = (int)column(&l, "patience"),
                .min_delta = column(&l, "min_delta"), .mode = column(&l, "mode") != 0 ? GR_MODE_MAX : GR_MODE_MIN,
                .baseline = isnan(baseline) ? 0 : baseline, .has_baseline = !isnan(baseline),
                .restore_best_weights = column(&l, "restore_best") != 0,
                .start_from_epoch = (int)column(&l, "start_from_epoch"), .keras_nan = column(&l, "has_nan") != 0),
            NULL, 1, &weight);
        check_stop(&l, h, weight);
        gr_history_free(h);
        gr_error_clear();
    }
    GR_EXPECT(n > 40, "%d rows", n);
    fixture_close(&f);
}

static void the_learning_rate_falls_as_in_keras(void)
{
    fixture f = fixture_open("callbacks.npz");
    int n = rows(&f, "lr");
    for (int i = 0; i < n; i++) {
        line l = {.f = &f, .table = "lr", .row = i};
        name_row(&l);
        if (column(&l, "factor") == 0) /* Grape takes a factor of 0 for the default */
            continue;
        float weight;
        gr_history *h = fit(&l,
            gr_ReduceLROnPlateau(.monitor = "val_x", .factor = column(&l, "factor"),
                .patience = (int)column(&l, "patience"), .has_patience = true,
                .mode = column(&l, "mode") != 0 ? GR_MODE_MAX : GR_MODE_MIN, .min_delta = column(&l, "min_delta"),
                .has_min_delta = true, .cooldown = (int)column(&l, "cooldown"), .min_lr = column(&l, "min_lr"),
                .keras_nan = column(&l, "has_nan") != 0),
            NULL, column(&l, "lr"), &weight);
        if (GR_EXPECT(h != NULL, "%s: %s", l.name, gr_error_message()))
            check_rates(&l);
        gr_history_free(h);
        gr_error_clear();
    }
    GR_EXPECT(n > 40, "%d rows", n);
    fixture_close(&f);
}

static void both_together_act_as_in_the_tutorial(void)
{
    fixture f = fixture_open("callbacks.npz");
    int n = rows(&f, "both");
    for (int i = 0; i < n; i++) {
        line l = {.f = &f, .table = "both", .row = i};
        name_row(&l);
        float weight;
        gr_history *h = fit(&l,
            gr_EarlyStopping(.monitor = "val_x", .patience = 3, .restore_best_weights = true, .mode = GR_MODE_MIN),
            gr_ReduceLROnPlateau(.monitor = "val_x", .factor = 0.1, .patience = 2, .min_lr = 1e-6, .mode = GR_MODE_MIN),
            1e-3, &weight);
        check_stop(&l, h, weight);
        if (h)
            check_rates(&l);
        gr_history_free(h);
        gr_error_clear();
    }
    GR_EXPECT(n > 4, "%d rows", n);
    fixture_close(&f);
}

GR_SUITE("callbacks against Keras", GR_TEST(early_stopping_decides_as_keras_does),
    GR_TEST(the_learning_rate_falls_as_in_keras), GR_TEST(both_together_act_as_in_the_tutorial))
