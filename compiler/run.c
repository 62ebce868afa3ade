/* compiler/run.c: the executor. The steps of a phase are cut into parts of about PART_NS, dealt out to the threads by
 * the plan's shares; core/team.h runs them. Denormal numbers count as zero meanwhile. */
#include "compiler/profile.h"

enum { PART_NS = 15000 }; /* claiming a part costs 0.05 us; a thread that has to wait waits for one part at most */

/* ---- planning ---------------------------------------------------------------------------------------------------- */

/* Appends tasks begin .. end of a step as parts; only counts them while p->part is NULL. */
static int put_parts(gr__plan *p, int n, int step, int64_t begin, int64_t end, bool whole)
{
    double ns = p->step[step].task_ns;
    int64_t each = whole || ns * (double)(end - begin) <= PART_NS ? end - begin
                   : ns < PART_NS                                 ? (int64_t)(PART_NS / ns)
                                                                  : 1;
    for (int64_t at = begin; at < end; at += each, n++)
        if (p->part)
            p->part[n] = (gr__part){step, at, at + each < end ? at + each : end};
    return n;
}

/* The parts of a phase: those of thread 0 alone, then each thread's share. Returns the number behind the last. */
static int phase_parts(gr__plan *p, int phase, int n, int *share)
{
    const gr__phase_plan *ph = &p->phase[phase];
    int first = n;
    for (int s = ph->first; s < ph->end; s++)
        if (ph->serial || p->step[s].pinned)
            n = put_parts(p, n, s, 0, p->step[s].tasks, true);
    for (int t = 0; t < p->threads; t++) {
        share[t] = n - first;
        for (int s = ph->first; s < ph->end; s++)
            if (!ph->serial && !p->step[s].pinned)
                n = put_parts(p, n, s, p->step[s].begin[t], p->step[s].begin[t + 1], false);
    }
    share[p->threads] = n - first;
    return n;
}

gr_status gr__plan_parts(gr__plan *p)
{
    int *share = gr__arena_alloc(&p->arena, (int64_t)p->n_phases * (p->threads + 1), sizeof *share), n = 0;
    p->job = gr__arena_alloc(&p->arena, p->n_phases, sizeof *p->job);
    if (!share || !p->job)
        return GR_EMEM;
    for (int i = 0; i < p->n_phases; i++)
        n = phase_parts(p, i, n, share);
    if (!(p->part = gr__arena_alloc(&p->arena, n, sizeof *p->part)))
        return GR_EMEM;
    n = 0;
    for (int i = 0; i < p->n_phases; i++, share += p->threads + 1) {
        p->phase[i].first_part = n;
        n = phase_parts(p, i, n, share);
        p->job[i] = (gr__job_phase){share[0], share};
    }
    return GR_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

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

void gr__run_part(void *ctx, int phase, int part, int thread)
{
    gr__run *run = ctx;
    const gr__plan *p = run->plan;
    const gr__part *mine = &p->part[p->phase[phase].first_part + part];
    const gr__step *st = &p->step[mine->step];
    if (atomic_load_explicit(&run->failed, memory_order_relaxed) != GR_OK)
        return;
    double start = run->profile ? gr__now_ns() : 0;
    gr_status status = st->fn(run, st, thread, mine->begin, mine->end);
    if (run->profile) {
        double end = gr__now_ns();
        run->profile->spent[(int64_t)mine->step * p->threads + thread] += end - start;
        run->profile->phase_spent[(int64_t)phase * p->threads + thread] += end - start;
        run->profile->slice[mine - p->part] = (gr__slice){start, end, thread};
    }
    if (status != GR_OK)
        fail(run, thread, status);
}

void gr__run_plan(gr__run *run)
{
    const gr__plan *p = run->plan;
    double start = run->profile ? gr__now_ns() : 0;
    uint64_t denormals = gr__ftz_on();
    gr__job_run(&(gr__job){p->threads, p->n_phases, p->job, gr__run_part, run});
    gr__ftz_restore(denormals);
    if (run->profile)
        gr__profile_add(run->profile, p, start);
    if (run->message[0])
        gr_fail((gr_status)run->failed, (gr_at){0}, "%s", run->message);
}
