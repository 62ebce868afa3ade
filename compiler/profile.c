/* compiler/profile.c: see profile.h. A step's time is that of its slowest thread; the best of all runs shows what the
 * machine can do, the median what it did. */
#include "compiler/profile.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

double gr__now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void gr__profile_free(gr__profile *f)
{
    if (!f)
        return;
    gr__free(f->spent);
    gr__free(f->phase_spent);
    gr__free(f->step);
    gr__free(f->phase);
    gr__free(f->busy);
    gr__free(f->slice);
    gr__free(f->best_slice);
    gr__free(f);
}

gr__profile *gr__profile_new(const gr__plan *p)
{
    gr__profile *f = gr__alloc(1, sizeof *f);
    if (!f)
        return NULL;
    for (int ph = 0; ph < p->n_phases; ph++)
        f->n_parts += p->job[ph].share[p->threads];
    f->spent = gr__alloc((int64_t)p->n_steps * p->threads + 1, sizeof *f->spent);
    f->phase_spent = gr__alloc((int64_t)p->n_phases * p->threads + 1, sizeof *f->phase_spent);
    f->step = gr__alloc(p->n_steps + 1, sizeof *f->step);
    f->phase = gr__alloc(p->n_phases + 1, sizeof *f->phase);
    f->busy = gr__alloc(p->threads, sizeof *f->busy);
    f->slice = gr__alloc(f->n_parts + 1, sizeof *f->slice);
    f->best_slice = gr__alloc(f->n_parts + 1, sizeof *f->best_slice);
    if (f->spent && f->phase_spent && f->step && f->phase && f->busy && f->slice && f->best_slice)
        return f;
    gr__profile_free(f);
    return NULL;
}

static double slowest(const double *spent, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = spent[i] > most ? spent[i] : most;
    return most;
}

static void put(gr__times *t, double ns, int64_t run)
{
    t->best = run == 0 || ns < t->best ? ns : t->best;
    t->recent[run % GR__RECENT] = ns;
}

void gr__profile_add(gr__profile *f, const gr__plan *p, double start)
{
    double all = gr__now_ns() - start;
    if (f->runs == 0 || all < f->total.best) {
        memcpy(f->best_slice, f->slice, (size_t)f->n_parts * sizeof *f->slice);
        f->best_start = start;
    }
    put(&f->total, all, f->runs);
    f->all_ns += all;
    for (int s = 0; s < p->n_steps; s++)
        put(&f->step[s], slowest(f->spent + (int64_t)s * p->threads, p->threads), f->runs);
    for (int ph = 0; ph < p->n_phases; ph++) {
        const double *spent = f->phase_spent + (int64_t)ph * p->threads;
        double most = slowest(spent, p->threads);
        put(&f->phase[ph], most, f->runs);
        for (int t = 0; t < p->threads; t++) {
            f->busy[t] += spent[t];
            f->uneven_ns += p->phase[ph].serial ? 0 : (most - spent[t]) / p->threads;
        }
    }
    f->runs++;
    memset(f->spent, 0, (size_t)(p->n_steps * p->threads) * sizeof *f->spent);
    memset(f->phase_spent, 0, (size_t)(p->n_phases * p->threads) * sizeof *f->phase_spent);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const gr__profile *f, const gr__times *t)
{
    double sorted[GR__RECENT];
    int64_t n = f->runs < GR__RECENT ? f->runs : GR__RECENT;
    memcpy(sorted, t->recent, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return sorted[n / 2];
}

/* Threads that can be at it. */
static int threads_of(const gr__plan *p, const gr__step *s)
{
    if (p->phase[s->phase].serial || s->pinned)
        return 1;
    return s->tasks < p->threads ? (int)s->tasks : p->threads;
}

/* The least time this machine needs for a step, and whether it is for its bytes; 0 if it is not known. */
static double least_ns(const gr__plan *p, const gr__step *s, bool *bytes)
{
    int threads = threads_of(p, s);
    double flops = gr__machine_flops(threads), rate = gr__machine_bytes(threads);
    if (flops <= 0 || rate <= 0)
        return 0;
    *bytes = s->bytes / rate > s->flops / flops;
    return *bytes ? s->bytes / rate : s->flops / flops;
}

static void tell_step(const gr__profile *f, const gr__plan *p, int s, double *bound)
{
    const gr__step *st = &p->step[s];
    bool bytes = false;
    double best = f->step[s].best, least = least_ns(p, st, &bytes);
    bound[bytes] += best;
    gr_log_write(GR_LOG_INFO,
        "    %-32s best %8.2f us  median %8.2f us  planned %8.2f us  %6.1f GF/s  %5.1f GB/s  %4.0f %% of %s", st->name,
        best / 1e3, median(f, &f->step[s]) / 1e3, st->task_ns * (double)st->tasks / threads_of(p, st) / 1e3,
        best > 0 ? st->flops / best : 0, best > 0 ? st->bytes / best : 0, best > 0 ? 100 * least / best : 0,
        bytes ? "memory" : "peak");
}

static void tell_totals(const gr__profile *f, const gr__plan *p, const double *bound)
{
    double runs = (double)f->runs, phases = 0;
    for (int ph = 0; ph < p->n_phases; ph++)
        phases += f->phase[ph].best;
    gr_log_write(GR_LOG_INFO,
        "  all phases at their best: %.1f us (steps bound by arithmetic %.1f us, by memory %.1f us); the rest is "
        "waiting "
        "and waking",
        phases / 1e3, bound[0] / 1e3, bound[1] / 1e3);
    for (int t = 0; t < p->threads; t++)
        gr_log_write(GR_LOG_INFO, "  thread %d: works %.1f us a run, waits %.1f us", t, f->busy[t] / runs / 1e3,
            (f->all_ns - f->busy[t]) / runs / 1e3);
    gr_log_write(GR_LOG_INFO,
        "  uneven shares: %.1f us a run (of each phase, the slowest thread's time less the mean of all threads)",
        f->uneven_ns / runs / 1e3);
}

static bool ends_in_json(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    return n > 5 && strcmp(s + n - 5, ".json") == 0;
}

void gr__profile_tell(const gr__profile *f, const gr__plan *p, const char *name)
{
    double bound[2] = {0, 0};
    const char *file = getenv("GRAPE_PROFILE");
    if (!f->runs)
        return;
    gr_log_write(GR_LOG_INFO,
        "profile of %s, B = %lld, %lld runs, %d threads: best %.1f us, median %.1f us, %.1f GF/s at best", name,
        (long long)p->batch, (long long)f->runs, p->threads, f->total.best / 1e3, median(f, &f->total) / 1e3,
        p->flops / f->total.best);
    gr_log_write(GR_LOG_INFO, "  this machine: %.1f GF/s in a product, %.1f GB/s in a copy (peak and memory below)",
        gr__machine_flops(p->threads), gr__machine_bytes(p->threads));
    for (int ph = 0; ph < p->n_phases; ph++) {
        gr_log_write(GR_LOG_INFO, "  phase %d%s: best %.1f us, median %.1f us", ph,
            p->phase[ph].serial ? " (serial)" : "", f->phase[ph].best / 1e3, median(f, &f->phase[ph]) / 1e3);
        for (int s = p->phase[ph].first; s < p->phase[ph].end; s++)
            tell_step(f, p, s, bound);
    }
    tell_totals(f, p, bound);
    if (ends_in_json(file) && gr__trace_save(f, p, name, file) != GR_OK) {
        gr_log_write(GR_LOG_WARNING, "%s", gr_error_message());
        gr_error_clear();
    }
}
