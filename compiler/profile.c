/* compiler/profile.c: see profile.h. A step's time is that of its slowest thread; the best of all runs shows what the
 * machine can do, the mean what it did. */
#include "compiler/profile.h"
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
    gr__free(f->best);
    gr__free(f->sum);
    gr__free(f->phase_spent);
    gr__free(f->phase_best);
    gr__free(f->phase_sum);
    gr__free(f);
}

gr__profile *gr__profile_new(const gr__plan *p)
{
    gr__profile *f = gr__alloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->spent = gr__alloc((int64_t)p->n_steps * p->threads + 1, sizeof *f->spent);
    f->best = gr__alloc(p->n_steps + 1, sizeof *f->best);
    f->sum = gr__alloc(p->n_steps + 1, sizeof *f->sum);
    f->phase_spent = gr__alloc((int64_t)p->n_phases * p->threads + 1, sizeof *f->phase_spent);
    f->phase_best = gr__alloc(p->n_phases + 1, sizeof *f->phase_best);
    f->phase_sum = gr__alloc(p->n_phases + 1, sizeof *f->phase_sum);
    if (f->spent && f->best && f->sum && f->phase_spent && f->phase_best && f->phase_sum)
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

static void put(double ns, double *best, double *sum, bool first)
{
    *best = first || ns < *best ? ns : *best;
    *sum += ns;
}

void gr__profile_add(gr__profile *f, const gr__plan *p, double total_ns)
{
    bool first = f->runs++ == 0;
    for (int s = 0; s < p->n_steps; s++)
        put(slowest(f->spent + (int64_t)s * p->threads, p->threads), &f->best[s], &f->sum[s], first);
    for (int i = 0; i < p->n_phases; i++)
        put(slowest(f->phase_spent + (int64_t)i * p->threads, p->threads), &f->phase_best[i], &f->phase_sum[i], first);
    put(total_ns, &f->total_best, &f->total_sum, first);
    memset(f->spent, 0, (size_t)(p->n_steps * p->threads) * sizeof *f->spent);
    memset(f->phase_spent, 0, (size_t)(p->n_phases * p->threads) * sizeof *f->phase_spent);
}

void gr__profile_tell(const gr__profile *f, const gr__plan *p, const char *name)
{
    double phases = 0;
    if (!f->runs)
        return;
    double runs = (double)f->runs;
    gr_log_write(GR_LOG_INFO,
        "profile of %s, B = %lld, %lld runs, %d threads: best %.1f us, mean %.1f us, %.1f GF/s at best", name,
        (long long)p->batch, (long long)f->runs, p->threads, f->total_best / 1e3, f->total_sum / runs / 1e3,
        p->flops / f->total_best);
    for (int ph = 0; ph < p->n_phases; ph++) {
        phases += f->phase_best[ph];
        gr_log_write(GR_LOG_INFO, "  phase %d%s: best %.1f us, mean %.1f us", ph,
            p->phase[ph].serial ? " (serial)" : "", f->phase_best[ph] / 1e3, f->phase_sum[ph] / runs / 1e3);
        for (int s = p->phase[ph].first; s < p->phase[ph].end; s++)
            gr_log_write(GR_LOG_INFO,
                "    %-32s best %8.2f us  mean %8.2f us  planned %8.2f us a thread  %6.1f GF/s  %5.1f GB/s",
                p->step[s].name, f->best[s] / 1e3, f->sum[s] / runs / 1e3,
                p->step[s].task_ns * (double)p->step[s].tasks / (p->phase[ph].serial ? 1 : p->threads) / 1e3,
                f->best[s] > 0 ? p->step[s].flops / f->best[s] : 0, f->best[s] > 0 ? p->step[s].bytes / f->best[s] : 0);
    }
    gr_log_write(GR_LOG_INFO, "  all phases at their best: %.1f us; the rest is waiting and waking", phases / 1e3);
}
