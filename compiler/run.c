/* compiler/run.c: the executor. Every thread walks the phases, runs its range of tasks of each step, and meets the
 * others at a barrier where the plan has one. Denormal numbers count as zero meanwhile. */
#include "compiler/profile.h"
#include "core/thread.h"

/* The first failure is the run's. Messages are kept per thread, so another thread's is carried to the caller. */
static void fail(gr__run *run, int thread, gr_status status)
{
    int none = GR_OK;
    bool first = atomic_compare_exchange_strong(&run->failed, &none, (int)status);
    if (thread == 0)
        return;
    if (first)
        snprintf(run->message, sizeof run->message, "%s", gr_error_message());
    gr_error_clear();
}

static void run_phase(gr__run *run, const gr__phase_plan *ph, int thread, int team)
{
    const gr__plan *p = run->plan;
    for (int s = ph->first; s < ph->end; s++) {
        const gr__step *st = &p->step[s];
        for (int t = thread; t < p->threads; t += team) { /* a smaller team than planned for does the others' share */
            int64_t begin = st->begin[t], end = st->begin[t + 1];
            if (begin >= end || atomic_load_explicit(&run->failed, memory_order_relaxed) != GR_OK)
                continue;
            double start = run->profile ? gr__now_ns() : 0;
            gr_status status = st->fn(run, st, thread, begin, end);
            if (run->profile)
                run->profile->spent[(int64_t)s * p->threads + thread] += gr__now_ns() - start;
            if (status != GR_OK)
                fail(run, thread, status);
        }
    }
}

static void body(void *ctx, int thread, gr__team *team)
{
    gr__run *run = ctx;
    uint64_t before = gr__ftz_on();
    for (int i = 0; i < run->plan->n_phases; i++) {
        const gr__phase_plan *ph = &run->plan->phase[i];
        if (ph->barrier)
            gr__team_barrier(team, thread);
        double start = run->profile ? gr__now_ns() : 0;
        if (!ph->serial || thread == 0)
            run_phase(run, ph, thread, ph->serial ? run->plan->threads : team->threads);
        if (run->profile)
            run->profile->phase_spent[(int64_t)i * run->plan->threads + thread] = gr__now_ns() - start;
    }
    gr__ftz_restore(before);
}

void gr__run_plan(gr__run *run)
{
    double start = run->profile ? gr__now_ns() : 0;
    gr__team_run(run->plan->threads, body, run);
    if (run->profile)
        gr__profile_add(run->profile, run->plan, gr__now_ns() - start);
    if (run->message[0])
        gr_fail((gr_status)run->failed, (gr_at){0}, "%s", run->message);
}
