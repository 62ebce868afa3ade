/* models/history.c: the record of a fit, and the callback that keeps it. See history.h; plot.c draws it. */
#include "core/mem.h"
#include "models/model_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char key[GR__KEY_BYTES];
    double *value;
    int n;
} series;

struct gr_history {
    series *series;
    int n_series;
    int *epoch;
    int n_epochs, cap_epochs, epochs_asked, restored;
    int64_t steps;
    bool stopped;
    char why[256];
    float *step_loss;
    int64_t n_step_losses, cap_step_losses;
    /* times of steps: all of the first ones, then every k-th, so that the median stays cheap and allocation-free */
    float *step_ms;
    int64_t n_step_ms, every, seen;
    double first_step_ms;
};

enum { KEPT_TIMES = 4096 };

gr_history *gr__history_new(int epochs_asked, int64_t steps, int64_t step_losses)
{
    gr_history *h = gr__alloc(1, sizeof *h);
    if (!h)
        return NULL;
    *h = (gr_history){.epochs_asked = epochs_asked, .steps = steps, .every = 1, .first_step_ms = NAN};
    h->cap_step_losses = step_losses > 0 ? step_losses : 0;
    h->step_loss = gr__alloc(h->cap_step_losses, sizeof *h->step_loss);
    h->step_ms = gr__alloc(KEPT_TIMES, sizeof *h->step_ms);
    if (h->step_loss && h->step_ms)
        return h;
    gr_history_free(h);
    return NULL;
}

void gr_history_free(gr_history *h)
{
    if (!h)
        return;
    for (int i = 0; i < h->n_series; i++)
        gr__free(h->series[i].value);
    gr__free(h->series);
    gr__free(h->epoch);
    gr__free(h->step_loss);
    gr__free(h->step_ms);
    gr__free(h);
}

static series *find(const gr_history *h, const char *key)
{
    for (int i = 0; i < h->n_series; i++)
        if (strcmp(h->series[i].key, key) == 0)
            return &h->series[i];
    return NULL;
}

/* Each list has room for as many values as there are epochs. */
static gr_status grow(gr_history *h)
{
    int cap = h->cap_epochs ? h->cap_epochs * 2 : 16;
    int *epoch = gr__resize(h->epoch, cap, sizeof *epoch);
    if (!epoch)
        return GR_EMEM;
    h->epoch = epoch;
    for (int i = 0; i < h->n_series; i++) {
        double *v = gr__resize(h->series[i].value, cap, sizeof *v);
        if (!v)
            return GR_EMEM;
        h->series[i].value = v;
    }
    h->cap_epochs = cap;
    return GR_OK;
}

gr_status gr__history_add(gr_history *h, int epoch, const gr__log *logs, int n)
{
    if (h->n_epochs == h->cap_epochs)
        GR_TRY(grow(h));
    for (int i = 0; i < n; i++) {
        series *s = find(h, logs[i].key);
        if (!s) {
            series *more = gr__resize(h->series, h->n_series + 1, sizeof *more);
            if (!more)
                return GR_EMEM;
            h->series = more;
            s = &more[h->n_series];
            *s = (series){.value = gr__alloc(h->cap_epochs, sizeof *s->value)};
            if (!s->value)
                return GR_EMEM;
            snprintf(s->key, sizeof s->key, "%s", logs[i].key);
            h->n_series++;
        }
        s->value[s->n++] = logs[i].value;
    }
    h->epoch[h->n_epochs++] = epoch;
    return GR_OK;
}

void gr__history_step(gr_history *h, double loss, double ms)
{
    if (h->n_step_losses < h->cap_step_losses)
        h->step_loss[h->n_step_losses++] = (float)loss;
    if (h->n_step_ms == KEPT_TIMES) { /* full: keep every other one, and half as many from now on */
        for (int64_t i = 0; i < KEPT_TIMES / 2; i++)
            h->step_ms[i] = h->step_ms[2 * i];
        h->n_step_ms = KEPT_TIMES / 2;
        h->every *= 2;
    }
    if (h->seen++ % h->every == 0)
        h->step_ms[h->n_step_ms++] = (float)ms;
}

void gr__history_set_first_step(gr_history *h, double ms)
{
    h->first_step_ms = ms;
}
void gr__history_set_restored(gr_history *h, int epoch)
{
    h->restored = epoch;
}
void gr__history_set_stopped(gr_history *h, const char *why)
{
    h->stopped = true;
    snprintf(h->why, sizeof h->why, "%s", why);
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

const double *gr_history_get(const gr_history *h, const char *key, int *n)
{
    const series *s = h && key ? find(h, key) : NULL;
    char known[600] = "";
    if (n)
        *n = s ? s->n : 0;
    if (s)
        return s->value;
    for (int i = 0; h && i < h->n_series; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", h->series[i].key);
    }
    gr_fail(
        GR_ENAME, (gr_at){0}, "history_get: argument key: expected one of %s, found '%s'", known, key ? key : "NULL");
    return NULL;
}

int gr_history_key_count(const gr_history *h)
{
    return h->n_series;
}
const char *gr_history_key(const gr_history *h, int i)
{
    return i >= 0 && i < h->n_series ? h->series[i].key : NULL;
}
int gr_history_epochs(const gr_history *h)
{
    return h ? h->n_epochs : 0;
}
const int *gr_history_epoch_list(const gr_history *h)
{
    return h->epoch;
}
int gr_history_restored(const gr_history *h)
{
    return h ? h->restored : 0;
}
bool gr_history_stopped(const gr_history *h, const char **why)
{
    if (why)
        *why = h->why;
    return h->stopped;
}
int gr_history_epochs_asked(const gr_history *h)
{
    return h->epochs_asked;
}
int64_t gr_history_steps(const gr_history *h)
{
    return h->steps;
}
const float *gr_history_step_losses(const gr_history *h, int64_t *n)
{
    *n = h->n_step_losses;
    return h->step_loss;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double gr_history_step_ms(const gr_history *h)
{
    float *copy = h->n_step_ms ? gr__alloc(h->n_step_ms, sizeof *copy) : NULL;
    if (!copy)
        return NAN;
    memcpy(copy, h->step_ms, (size_t)h->n_step_ms * sizeof *copy);
    qsort(copy, (size_t)h->n_step_ms, sizeof *copy, ascending);
    double median = copy[h->n_step_ms / 2];
    gr__free(copy);
    return median;
}

double gr_history_first_step_ms(const gr_history *h)
{
    return h->first_step_ms;
}

/* ---- the callback ------------------------------------------------------------------------------------------------ */

static gr_status epoch_end(gr_run *r)
{
    return r->history ? gr__history_add(r->history, r->epoch, r->log, r->n_logs) : GR_OK;
}

const gr_callback_kind gr__History_kind = {
    .name = "History", .size = sizeof(gr_callback), .family = "callback", .on_epoch_end = epoch_end};
