/* compiler/shake.c: runs under GRAPE_VERIFY=1 and in tests. What a sound plan does not notice is done to it: memory
 * holds NaN before something is written to it and as soon as nobody reads it any more; on one thread the tasks of a
 * phase run one by one in another order than planned, and scratch holds NaN before each phase. A result that changes
 * shows a value that is read too early, too late, or while another task of its phase writes it. */
#include "compiler/plan.h"
#include <string.h>

static void poison(void *data, int64_t bytes)
{
    if (bytes)
        memset(data, 0xff, (size_t)bytes);
}

/* What no phase from this one on, and none before it, has written for later. */
static void poison_dead(const gr__run *run, int phase)
{
    const gr__plan *p = run->plan;
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        if (b->space == GR__ARENA && b->first >= 0 && (phase == 0 || b->last == phase - 1))
            poison(run->data[i], b->bytes);
    }
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static gr_status run_task(gr__run *run, const gr__phase_plan *ph, int64_t k)
{
    int s = ph->first;
    while (k >= run->plan->step[s].tasks)
        k -= run->plan->step[s++].tasks;
    return run->plan->step[s].fn(run, &run->plan->step[s], 0, k, k + 1);
}

/* Task k first, then every stride-th: an order without memory for it. */
static void run_shuffled(gr__run *run, const gr__phase_plan *ph)
{
    int64_t n = 0, stride = 0;
    for (int s = ph->first; s < ph->end; s++)
        n += run->plan->step[s].tasks;
    for (stride = n * 5 / 8 + 1; common_divisor(stride, n) != 1;)
        stride++;
    for (int64_t i = 0, k = n / 3; i < n; i++, k = (k + stride) % n) {
        gr_status status = run_task(run, ph, k);
        if (status != GR_OK) {
            atomic_store(&run->failed, (int)status);
            return;
        }
    }
}

typedef struct {
    gr__run *run;
    int phase;
} progress;

static void run_part(void *ctx, int phase, int part, int thread)
{
    const progress *now = ctx;
    gr__run_part(now->run, now->phase + phase, part, thread);
}

static void run_phases(void *ctx)
{
    progress *now = ctx;
    const gr__plan *p = now->run->plan;
    for (int ph = 0; ph < p->n_phases && atomic_load(&now->run->failed) == GR_OK; ph++) {
        now->phase = ph;
        poison_dead(now->run, ph);
        if (p->threads > 1) {
            gr__job_run(&(gr__job){p->threads, 1, &p->job[ph], run_part, now});
        } else {
            poison(now->run->scratch[0], p->scratch);
            run_shuffled(now->run, &p->phase[ph]);
        }
    }
}

void gr__run_shaken(gr__run *run)
{
    uint64_t denormals = gr__ftz_on();
    gr__team_hold(run->plan->threads, run_phases, &(progress){.run = run});
    gr__ftz_restore(denormals);
    if (run->message[0])
        gr_fail((gr_status)run->failed, (gr_at){0}, "%s", run->message);
}
