/* models/callback_run.c: what callbacks see, and their dispatch. See run.h. */
#include "core/mem.h"
#include "models/model_impl.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

double gr__now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- life and dispatch ------------------------------------------------------------------------------------------- */

static atomic_uint stop_requests; /* lock-free, so a signal handler may raise it */

void gr_run_request_stop(void)
{
    atomic_fetch_add(&stop_requests, 1);
}

static gr_status add(gr_run *r, const gr_callback *spec)
{
    if (r->n_callbacks == GR_MAX_CALLBACKS + 2)
        return gr_fail(GR_EARG, spec->at, "fit: argument callbacks: expected at most %d", GR_MAX_CALLBACKS);
    int i = r->n_callbacks;
    r->callback[i].spec = gr_spec_copy(spec);
    r->callback[i].state = gr__alloc(1, (int64_t)spec->kind->state_size);
    r->n_callbacks++;
    return r->callback[i].spec && r->callback[i].state ? GR_OK : gr_error();
}

gr_status gr__run_begin(gr_run *r, gr_model *m, const gr_callback *const *callbacks, gr_verbose verbose)
{
    *r = (gr_run){.model = m, .verbose = verbose, .silent = verbose == GR_VERBOSE_SILENT};
    r->stop_requests = atomic_load(&stop_requests);
    for (int i = 0; callbacks[i]; i++)
        GR_TRY(add(r, callbacks[i]));
    return GR_OK;
}

gr_status gr__run_add(gr_run *r, const gr_callback_kind *kind)
{
    const gr_callback own = {kind, {0}};
    return add(r, &own);
}

void gr__run_end(gr_run *r)
{
    for (int i = 0; i < r->n_callbacks; i++) {
        if (r->callback[i].state && r->callback[i].spec && r->callback[i].spec->kind->release)
            r->callback[i].spec->kind->release(r->callback[i].state);
        gr__free(r->callback[i].state);
        gr_spec_free(r->callback[i].spec);
    }
    r->n_callbacks = 0;
}

gr_status gr__run_hook(gr_run *r, size_t hook)
{
    for (int i = 0; i < r->n_callbacks; i++) {
        gr_hook f;
        memcpy(&f, (const char *)r->callback[i].spec->kind + hook, sizeof f);
        if (!f)
            continue;
        r->current = i;
        gr_status s = f(r);
        if (s != GR_OK) { /* a hook may fail without a word */
            gr_fail(s, r->callback[i].spec->at, "%s: its hook failed", r->callback[i].spec->kind->name);
            return s;
        }
    }
    return GR_OK;
}

bool gr__run_calls_user(const gr_run *r, size_t begin, size_t end)
{
    for (int i = 0; i < r->n_callbacks; i++) {
        const gr_callback_kind *k = r->callback[i].spec->kind;
        gr_hook at_begin, at_end;
        memcpy(&at_begin, (const char *)k + begin, sizeof at_begin);
        memcpy(&at_end, (const char *)k + end, sizeof at_end);
        if ((at_begin || at_end) && k != &gr__History_kind && k != &gr__Progress_kind)
            return true;
    }
    return !gr__log_is_default();
}

bool gr__run_should_stop(const gr_run *r)
{
    return r->stop || r->stop_requests != atomic_load(&stop_requests);
}

/* ---- what a hook may ask ----------------------------------------------------------------------------------------- */

const void *gr_run_spec(const gr_run *r)
{
    return r->callback[r->current].spec;
}
void *gr_run_state(gr_run *r)
{
    return r->callback[r->current].state;
}
gr_model *gr_run_model(const gr_run *r)
{
    return r->model;
}
int gr_run_epoch(const gr_run *r)
{
    return r->epoch;
}
int gr_run_epochs(const gr_run *r)
{
    return r->epochs;
}
int64_t gr_run_batch(const gr_run *r)
{
    return r->batch;
}
int64_t gr_run_steps(const gr_run *r)
{
    return r->steps;
}
bool gr_run_training(const gr_run *r)
{
    return r->training;
}
double gr_run_batch_loss(const gr_run *r)
{
    return r->batch_loss;
}

static int find(const gr_run *r, const char *key)
{
    for (int i = 0; i < r->n_logs; i++)
        if (strcmp(r->log[i].key, key) == 0)
            return i;
    return -1;
}

double gr_run_log(const gr_run *r, const char *key)
{
    int i = find(r, key);
    return i < 0 ? NAN : r->log[i].value;
}

bool gr_run_has_log(const gr_run *r, const char *key)
{
    return find(r, key) >= 0;
}

gr_status gr_run_set_log(gr_run *r, const char *key, double value)
{
    int i = find(r, key);
    if (i < 0) {
        GR_CHECK(r->n_logs < GR__MAX_LOGS && strlen(key) < GR__KEY_BYTES, GR_EARG,
            "run_set_log: argument key: expected at most %d keys shorter than %d characters, found '%s'", GR__MAX_LOGS,
            GR__KEY_BYTES, key);
        i = r->n_logs++;
        snprintf(r->log[i].key, sizeof r->log[i].key, "%s", key);
    }
    r->log[i].value = value;
    return GR_OK;
}

int gr_run_log_count(const gr_run *r)
{
    return r->n_logs;
}
const char *gr_run_log_key(const gr_run *r, int i)
{
    return i >= 0 && i < r->n_logs ? r->log[i].key : NULL;
}

double gr_run_rate(const gr_run *r)
{
    return r->model->optim ? gr_variable_get_scalar(gr__optim_rate(r->model->optim)) : NAN;
}

gr_status gr_run_set_rate(gr_run *r, double rate)
{
    GR_CHECK(r->model->optim, GR_ESTATE, "run_set_rate: expected a compiled model");
    return gr_variable_set_scalar(gr__optim_rate(r->model->optim), rate);
}

gr_status gr_run_stop(gr_run *r, const char *why, ...)
{
    char text[256] = "";
    va_list args;
    va_start(args, why);
    if (why)
        vsnprintf(text, sizeof text, why, args);
    va_end(args);
    r->stop = true;
    if (r->history)
        gr__history_set_stopped(r->history, text);
    return GR_OK;
}

void gr_run_note_restored(gr_run *r, int epoch)
{
    if (r->history)
        gr__history_set_restored(r->history, epoch);
}

void gr_run_say(gr_run *r, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (r->silent)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_log_write(GR_LOG_INFO, "%s", text);
}

gr_direction gr_run_direction(const gr_run *r, const char *monitor)
{
    if (strncmp(monitor, "val_", 4) == 0)
        monitor += 4;
    if (strcmp(monitor, "loss") == 0)
        return GR_DIRECTION_DOWN;
    for (int i = 0; i < r->model->n_metrics; i++)
        if (strcmp(r->model->metric_name[i], monitor) == 0)
            return gr__metric_direction(r->model->metric[i]);
    return GR_DIRECTION_NONE;
}

const char *gr_run_directed(const gr_run *r, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "loss");
    for (int i = 0; i < r->model->n_metrics && n < size; i++)
        if (gr__metric_direction(r->model->metric[i]) != GR_DIRECTION_NONE)
            n += (size_t)snprintf(buf + n, size - n, ", %s", r->model->metric_name[i]);
    if (n < size)
        snprintf(buf + n, size - n, ", and these with val_ before them");
    return buf;
}

/* ---- weights kept ------------------------------------------------------------------------------------------------ */

struct gr_weights {
    int n;
    gr_array **value;
};

void gr_weights_free(gr_weights *w)
{
    for (int i = 0; w && i < w->n; i++)
        gr_array_free(w->value[i]);
    if (w)
        gr__free(w->value);
    gr__free(w);
}

gr_weights *gr_run_save_weights(gr_run *r, gr_weights *reuse)
{
    gr_weights_free(reuse);
    gr_weights *w = gr__alloc(1, sizeof *w);
    if (w)
        w->value = gr__alloc(r->model->store.n, sizeof *w->value);
    for (int i = 0; w && w->value && i < r->model->store.n; i++, w->n++)
        if (!(w->value[i] = gr_variable_get(r->model->store.variable[i])))
            break;
    if (w && w->n == r->model->store.n)
        return w;
    gr_weights_free(w);
    return NULL;
}

gr_status gr_run_restore_weights(gr_run *r, const gr_weights *w)
{
    GR_CHECK(w, GR_EARG, "run_restore_weights: argument w: expected kept weights, found NULL");
    return gr_model_set_weights(r->model, w->n, (const gr_array *const *)w->value);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

void gr__reset_metrics(gr_model *m)
{
    gr_variable_set_scalar(m->loss_sum, 0);
    gr_variable_set_scalar(m->loss_count, 0);
    for (int i = 0; i < m->n_metrics; i++) {
        gr_variable_set_scalar(m->metric_sum[i], 0);
        gr_variable_set_scalar(m->metric_count[i], 0);
    }
}

static double ratio(const gr_variable *sum, const gr_variable *count)
{
    double n = gr_variable_get_scalar(count);
    return n > 0 ? gr_variable_get_scalar(sum) / n : 0;
}

void gr__run_take_metrics(gr_run *r, const char *prefix, bool keep)
{
    const gr_model *m = r->model;
    gr__log own[GR_MAX_METRICS + 1];
    int n = 0;
    snprintf(own[n].key, sizeof own[n].key, "%sloss", prefix);
    own[n++].value = ratio(m->loss_sum, m->loss_count);
    for (int i = 0; i < m->n_metrics; i++) {
        gr__log next = {.value = ratio(m->metric_sum[i], m->metric_count[i])};
        snprintf(next.key, sizeof next.key, "%s%s", prefix, m->metric_name[i]);
        int k = n++;
        for (; k > 0 && strcmp(own[k - 1].key, next.key) > 0; k--) /* Keras sorts its logs by key */
            own[k] = own[k - 1];
        own[k] = next;
    }
    if (!keep)
        r->n_logs = 0;
    for (int i = 0; i < n; i++)
        gr_run_set_log(r, own[i].key, own[i].value);
}
