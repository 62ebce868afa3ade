/* models/fit.c: fit, evaluate, predict: batches in, hooks in Keras's order. step.c has what one batch does. */
#include "core/mem.h"
#include "core/random.h"
#include "core/team.h"
#include "models/model_impl.h"
#include <math.h>
#include <string.h>

/* Everything a fit holds, so that one place frees it. */
typedef struct {
    gr_model *m;
    const gr_fit_opts *o;
    gr_run run;
    gr_data train, test;                  /* arrays, contiguous */
    gr_array *copy[4 * GR_MAX_PORTS + 4]; /* made because a given one was not contiguous */
    int n_copies;
    int64_t n_train, n_test, test_first; /* rows; validation rows begin there */
    int64_t batch, test_batch;
    int64_t *order; /* rows of this epoch */
    int64_t *test_order;
    gr__step *train_step, *test_step;
    uint64_t number; /* of the step, counted over fits by the optimizer's iterations */
    double start;
} fit;

/* Row-major arrays are used as they are; views are copied once. */
static gr_status contiguous(fit *f, gr_data *d)
{
    gr_array **slot[2 * GR_LIST_MAX + 1];
    int n = 0;
    for (int64_t i = 0; i < d->x.n; i++)
        slot[n++] = &d->x.item[i];
    for (int64_t i = 0; i < d->y.n; i++)
        slot[n++] = &d->y.item[i];
    if (d->sample_weight)
        slot[n++] = &d->sample_weight;
    for (int i = 0; i < n; i++) {
        if (!*slot[i] || gr_array_is_contiguous(*slot[i]))
            continue;
        gr_array *c = gr_array_copy(*slot[i]);
        if (!c)
            return GR_EMEM;
        *slot[i] = f->copy[f->n_copies++] = c;
    }
    return GR_OK;
}

static gr_status check_options(const fit *f, gr_at at)
{
    const gr_fit_opts *o = f->o;
    if (!f->m)
        return gr_fail(GR_EARG, at, "fit: argument model: expected a model, found NULL");
    if (!f->m->optim)
        return gr_fail(GR_ESTATE, at, "fit: argument model: expected a compiled model; call gr_compile(%s, ...) first",
            f->m->name);
    if (o->batch_size < 0 || o->validation_batch_size < 0)
        return gr_fail(GR_EARG, at, "fit: argument batch_size: expected at least 1, found %lld",
            (long long)(o->batch_size < 0 ? o->batch_size : o->validation_batch_size));
    if (o->epochs < 0 || o->initial_epoch < 0)
        return gr_fail(GR_EARG, at, "fit: argument epochs: expected at least 0, found %d and initial_epoch %d",
            o->epochs, o->initial_epoch);
    if (!(o->validation_split >= 0 && o->validation_split < 1))
        return gr_fail(GR_EARG, at, "fit: argument validation_split: expected 0 .. 1 (1 not included), found %g",
            (double)o->validation_split);
    if (o->validation_freq < 0)
        return gr_fail(GR_EARG, at, "fit: argument validation_freq: expected at least 1, found %d", o->validation_freq);
    return GR_OK;
}

/* Which rows train and which validate: the last ones do, before any shuffle. */
static gr_status split(fit *f, gr_at at)
{
    const gr_fit_opts *o = f->o;
    int64_t rows;
    GR_TRY(gr__check_data(f->m, &o->data, true, at, &rows));
    f->train = o->data;
    f->n_train = rows;
    f->batch = o->batch_size ? o->batch_size : 32;
    f->test_batch = o->validation_batch_size ? o->validation_batch_size : f->batch;
    if (o->validation_data.x.n) {
        GR_TRY(gr__check_data(f->m, &o->validation_data, true, at, &f->n_test));
        f->test = o->validation_data;
    } else if (o->validation_split > 0) {
        double v = (double)o->validation_split,
               n = (double)rows; /* 0.1f is a little more than 0.1: forgive half an ulp */
        f->n_train = (int64_t)floor(n * (1 - v) + n * v * 0x1p-24);
        f->n_test = rows - f->n_train;
        f->test_first = f->n_train;
        f->test = o->data;
        if (f->n_train < 1 || f->n_test < 1)
            return gr_fail(GR_EARG, at,
                "fit: argument validation_split: expected samples on both sides, found %lld and %lld",
                (long long)f->n_train, (long long)f->n_test);
    }
    GR_TRY(contiguous(f, &f->train));
    if (f->n_test && !o->validation_data.x.n)
        f->test = f->train;
    return f->n_test ? contiguous(f, &f->test) : GR_OK;
}

static gr_status iota(int64_t **out, int64_t first, int64_t n)
{
    if (!(*out = gr__alloc(n, sizeof **out)))
        return GR_EMEM;
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = first + i;
    return GR_OK;
}

static gr_status prepare(fit *f, gr_at at)
{
    const gr_fit_opts *o = f->o;
    GR_TRY(check_options(f, at));
    GR_TRY(split(f, at));
    GR_TRY(iota(&f->order, 0, f->n_train));
    GR_TRY(iota(&f->test_order, f->test_first, f->n_test));
    GR_TRY(gr__run_begin(&f->run, f->m, o->callbacks, o->verbose));
    f->run.training = true;
    f->run.first_epoch = o->initial_epoch;
    f->run.epochs = o->epochs ? o->epochs : 1;
    f->run.steps = (f->n_train + f->batch - 1) / f->batch;
    if (!(f->run.history = gr__history_new(f->run.epochs, f->run.steps, o->step_losses)))
        return GR_EMEM;
    GR_TRY(gr__run_add(&f->run, &gr__History_kind));
    if (!f->run.silent)
        GR_TRY(gr__run_add(&f->run, &gr__Progress_kind));
    if (!(f->train_step = gr__step_get(f->m, GR__TRAIN, &f->train, 0, at)))
        return gr_error();
    if (f->n_test && !(f->test_step = gr__step_get(f->m, GR__TEST, &f->test, 0, at)))
        return gr_error();
    return o->graph ? gr_program_dot(gr__step_program(f->train_step), o->graph) : GR_OK;
}

/* A loop over batches, with one team of threads held for all of them where no code of the user's runs in between. */
typedef struct {
    gr_status (*loop)(void *ctx);
    void *ctx;
    gr_status status;
} batches;
static void run_batches(void *p)
{
    batches *b = p;
    b->status = b->loop(b->ctx);
}
static gr_status with_team(const gr_run *r, gr__step *step, size_t begin_hook, size_t end_hook, batches b)
{
    if (gr__run_calls_user(r, begin_hook, end_hook))
        run_batches(&b);
    else
        gr__team_hold(gr__program_threads(gr__step_program(step)), run_batches, &b);
    return b.status;
}

typedef struct {
    gr_run *run;
    gr__step *step;
    const gr_data *data;
    const int64_t *order;
    int64_t rows, batch;
} tests;

static gr_status test_batches(void *ctx)
{
    const tests *t = ctx;
    gr_run *r = t->run;
    for (int64_t i = 0; i < t->rows; i += t->batch) {
        r->batch = i / t->batch;
        GR_TRY(gr__run_hook(r, GR__HOOK(on_test_batch_begin)));
        int64_t n = t->rows - i < t->batch ? t->rows - i : t->batch;
        GR_TRY(gr__step_run(t->step, t->data, t->order + i, n, 0, NULL, NULL));
        gr__run_take_metrics(r, "", false);
        GR_TRY(gr__run_hook(r, GR__HOOK(on_test_batch_end)));
    }
    return GR_OK;
}

/* Batches of a test pass; the logs are its metrics. */
static gr_status test_pass(tests t)
{
    gr_run *r = t.run;
    int64_t outer = r->batch;
    gr__reset_metrics(r->model);
    r->n_logs = 0;
    GR_TRY(gr__run_hook(r, GR__HOOK(on_test_begin)));
    GR_TRY(with_team(
        r, t.step, GR__HOOK(on_test_batch_begin), GR__HOOK(on_test_batch_end), (batches){test_batches, &t, GR_OK}));
    r->batch = outer;
    return gr__run_hook(r, GR__HOOK(on_test_end));
}

static gr_status train_batch(fit *f, int64_t i)
{
    gr_run *r = &f->run;
    int64_t n = f->n_train - i < f->batch ? f->n_train - i : f->batch;
    r->batch = i / f->batch;
    r->n_logs = 0;
    GR_TRY(gr__run_hook(r, GR__HOOK(on_train_batch_begin)));
    double begin = gr__now();
    GR_TRY(gr__step_run(f->train_step, &f->train, f->order + i, n, f->number++, &r->batch_loss, NULL));
    double end = gr__now();
    gr__history_step(r->history, r->batch_loss, (end - begin) * 1e3);
    if (f->start > 0)
        gr__history_set_first_step(r->history, (end - f->start) * 1e3);
    f->start = 0;
    gr__run_take_metrics(r, "", false);
    return gr__run_hook(r, GR__HOOK(on_train_batch_end));
}

static gr_status train_batches(void *ctx)
{
    fit *f = ctx;
    for (int64_t i = 0; i < f->n_train && !gr__run_should_stop(&f->run); i += f->batch)
        GR_TRY(train_batch(f, i));
    return GR_OK;
}

static gr_status epoch(fit *f)
{
    gr_run *r = &f->run;
    const gr_fit_opts *o = f->o;
    if (!o->no_shuffle) /* a fresh order of its own each epoch: what Keras documents */
        gr__random_permutation(gr_seed(), gr__random_use_of("fit/shuffle"), (uint64_t)r->epoch, f->n_train, f->order);
    gr__reset_metrics(f->m);
    r->n_logs = 0;
    r->epoch_start = gr__now();
    GR_TRY(gr__run_hook(r, GR__HOOK(on_epoch_begin)));
    GR_TRY(with_team(r, f->train_step, GR__HOOK(on_train_batch_begin), GR__HOOK(on_train_batch_end),
        (batches){train_batches, f, GR_OK}));
    r->train_seconds = gr__now() - r->epoch_start;
    gr__log train_log[GR__MAX_LOGS];
    int n = r->n_logs, freq = o->validation_freq ? o->validation_freq : 1;
    memcpy(train_log, r->log, sizeof train_log);
    if (f->n_test && (r->epoch + 1) % freq == 0) {
        GR_TRY(test_pass((tests){r, f->test_step, &f->test, f->test_order, f->n_test, f->test_batch}));
        memcpy(r->log, train_log, sizeof train_log);
        r->n_logs = n;
        gr__run_take_metrics(r, "val_", true);
    }
    return gr__run_hook(r, GR__HOOK(on_epoch_end));
}

static gr_status epochs(fit *f)
{
    gr_run *r = &f->run;
    f->number = (uint64_t)gr_variable_get_scalar(gr__optim_iterations(f->m->optim));
    GR_TRY(gr__run_hook(r, GR__HOOK(on_train_begin)));
    for (r->epoch = r->first_epoch; r->epoch < r->epochs; r->epoch++) {
        GR_TRY(epoch(f));
        if (gr__run_should_stop(r))
            break;
    }
    return gr__run_hook(r, GR__HOOK(on_train_end));
}

gr_history *gr_fit_at(gr_at at, gr_model *m, const gr_fit_opts *opts)
{
    fit f = {.m = m, .o = opts, .start = gr__now()};
    gr_status s = prepare(&f, at);
    if (s == GR_OK)
        s = epochs(&f);
    gr_history *h = f.run.history;
    gr__run_end(&f.run);
    for (int i = 0; i < f.n_copies; i++)
        gr_array_free(f.copy[i]);
    gr__free(f.order);
    gr__free(f.test_order);
    if (s == GR_OK)
        return h;
    gr_fail(s, at, "fit: failed"); /* kept only if nothing better is known */
    gr_history_free(h);
    return NULL;
}

/* ---- evaluate and predict ---------------------------------------------------------------------------------------- */

static gr_status evaluate(fit *f, gr_at at, const gr_evaluate_opts *o)
{
    if (!f->m || !f->m->optim)
        return gr_fail(f->m ? GR_ESTATE : GR_EARG, at, "evaluate: argument model: expected a compiled model, found %s",
            f->m ? "one that is not compiled" : "NULL");
    if (o->batch_size < 0)
        return gr_fail(
            GR_EARG, at, "evaluate: argument batch_size: expected at least 1, found %lld", (long long)o->batch_size);
    GR_TRY(gr__check_data(f->m, &o->data, true, at, &f->n_test));
    f->test = o->data;
    f->test_batch = o->batch_size ? o->batch_size : 32;
    GR_TRY(contiguous(f, &f->test));
    GR_TRY(iota(&f->test_order, 0, f->n_test));
    GR_TRY(gr__run_begin(&f->run, f->m, o->callbacks, o->verbose ? o->verbose : GR_VERBOSE_SILENT));
    f->run.steps = (f->n_test + f->test_batch - 1) / f->test_batch;
    if (!f->run.silent)
        GR_TRY(gr__run_add(&f->run, &gr__Progress_kind));
    if (!(f->test_step = gr__step_get(f->m, GR__TEST, &f->test, 0, at)))
        return gr_error();
    return test_pass((tests){&f->run, f->test_step, &f->test, f->test_order, f->n_test, f->test_batch});
}

gr_scores gr_evaluate_at(gr_at at, gr_model *m, const gr_evaluate_opts *opts)
{
    fit f = {.m = m};
    gr_scores r = {.loss = NAN};
    for (int i = 0; i < GR_MAX_METRICS; i++)
        r.metric[i] = NAN;
    r.status = evaluate(&f, at, opts);
    if (r.status == GR_OK) {
        r.loss = gr_run_log(&f.run, "loss");
        r.n_metrics = m->n_metrics;
        for (int i = 0; i < m->n_metrics; i++) {
            r.name[i] = m->metric_name[i];
            r.metric[i] = gr_run_log(&f.run, m->metric_name[i]);
        }
    }
    gr__run_end(&f.run);
    for (int i = 0; i < f.n_copies; i++)
        gr_array_free(f.copy[i]);
    gr__free(f.test_order);
    return r;
}

typedef struct {
    fit *f;
    gr_array *out;
} predictions;

static gr_status predict_batches(void *ctx)
{
    const predictions *p = ctx;
    fit *f = p->f;
    int64_t row = gr_array_bytes(p->out) / f->n_test;
    for (int64_t i = 0; i < f->n_test; i += f->test_batch) {
        int64_t n = f->n_test - i < f->test_batch ? f->n_test - i : f->test_batch;
        f->run.batch = i / f->test_batch;
        GR_TRY(gr__run_hook(&f->run, GR__HOOK(on_predict_batch_begin)));
        void *rows = (char *)gr_array_data(p->out) + i * row;
        GR_TRY(gr__step_run(f->test_step, &f->test, &i, n, 0, NULL, rows));
        GR_TRY(gr__run_hook(&f->run, GR__HOOK(on_predict_batch_end)));
    }
    return GR_OK;
}

static gr_status predict(fit *f, gr_at at, const gr_predict_opts *o, gr_array **out)
{
    if (!f->m || o->output < 0 || o->output >= f->m->n_outputs || o->batch_size < 0)
        return gr_fail(GR_EARG, at, "predict: expected a model, an output it has and a batch size of at least 1");
    f->test.x = o->x;
    f->test_batch = o->batch_size ? o->batch_size : 32;
    GR_TRY(gr__check_data(f->m, &f->test, false, at, &f->n_test));
    GR_TRY(contiguous(f, &f->test));
    if (!(f->test_step = gr__step_get(f->m, GR__PREDICT, &f->test, o->output, at)))
        return gr_error();
    gr_shape s;
    if (!gr_shape_bind(f->m->output_shape[o->output], f->n_test, &s))
        return gr_fail(GR_EMEM, at, "predict: the result does not fit in memory");
    gr_dtype dtype = f->m->output_dtype[o->output] == GR_F32 ? f->m->store.dtype : f->m->output_dtype[o->output];
    if (!(*out = gr_array_new(dtype, s)))
        return GR_EMEM;
    gr_run *r = &f->run;
    GR_TRY(gr__run_begin(r, f->m, o->callbacks, GR_VERBOSE_SILENT));
    r->steps = (f->n_test + f->test_batch - 1) / f->test_batch;
    GR_TRY(gr__run_hook(r, GR__HOOK(on_predict_begin)));
    GR_TRY(with_team(r, f->test_step, GR__HOOK(on_predict_batch_begin), GR__HOOK(on_predict_batch_end),
        (batches){predict_batches, &(predictions){f, *out}, GR_OK}));
    return gr__run_hook(r, GR__HOOK(on_predict_end));
}

gr_array *gr_predict_at(gr_at at, gr_model *m, const gr_predict_opts *opts)
{
    fit f = {.m = m};
    gr_array *out = NULL;
    if (predict(&f, at, opts, &out) != GR_OK) {
        gr_array_free(out);
        out = NULL;
    }
    gr__run_end(&f.run);
    for (int i = 0; i < f.n_copies; i++)
        gr_array_free(f.copy[i]);
    return out;
}
