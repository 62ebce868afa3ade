/* compiler/run.c: the executor. Every thread walks the phases, runs its range of tasks of each step, and meets the others
 * at a barrier where the plan has one. */
#include "compiler/plan.h"

static void run_phase(gr__run *run, const gr__phase_plan *ph, int thread, int team)
{
    const gr__plan *p = run->plan;
    for (int s = ph->first; s < ph->end; s++) {
        const gr__step *st = &p->step[s];
        for (int t = thread; t < p->threads; t += team) { /* a smaller team than planned for does the others' share */
            int64_t begin = st->begin[t], end = st->begin[t + 1];
            if (begin >= end || atomic_load_explicit(&run->failed, memory_order_relaxed) != GR_OK)
                continue;
            gr_status status = st->fn(run, st, thread, begin, end);
            int none = GR_OK;
            if (status != GR_OK)
                atomic_compare_exchange_strong(&run->failed, &none, (int)status);
        }
    }
}

void gr__run_plan(gr__run *run)
{
    for (int i = 0; i < run->plan->n_phases; i++)
        run_phase(run, &run->plan->phase[i], 0, 1);
}
