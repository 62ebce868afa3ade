/* core/thread.h: how many threads, a team that runs one function on each of them, and its barrier.
 *
 *     static void body(void *ctx, int thread, gr__team *team)
 *     {
 *         first(ctx, thread, team->threads);
 *         gr__team_barrier(team, thread);
 *         second(ctx, thread, team->threads);
 *     }
 *     gr__team_run(gr_num_threads(), body, ctx);
 *
 * A team is one OpenMP parallel region, so it uses the threads that other OpenMP code in the process uses too. No code
 * of a user's runs inside. Messages (core/status.h) are kept per thread: a body hands its failure over through ctx. */
#ifndef GRAPE_CORE_THREAD_H
#define GRAPE_CORE_THREAD_H

#include "core/export.h"
#include <stdbool.h>
#include <stdint.h>

GR_BEGIN

#define GR_MAX_THREADS 64

/* Threads that a program's step uses: what gr_set_num_threads said last; else OMP_NUM_THREADS; else as many CPUs as
 * this process may use (affinity mask, cgroup quota). 1 .. GR_MAX_THREADS; always 1 in a build without OpenMP. */
GR_API int gr_num_threads(void);
/* Held within 1 .. GR_MAX_THREADS; 0 or less brings the default back. Results do not depend on it. */
GR_API void gr_set_num_threads(int n);

#ifndef __cplusplus /* what follows is the library's own, and _Atomic is no C++ */

/* CPUs that this process may use, 1 or more. */
int gr__cpu_count(void);

typedef struct gr__team {
    int threads; /* that there are; OpenMP may give fewer than asked for */
    bool crowded; /* more than CPUs: waiting by spinning would only take time from those waited for */
    /* The barrier. Each on a cache line of its own. */
    _Alignas(64) _Atomic uint32_t arrived;
    _Alignas(64) _Atomic uint32_t round;
    _Atomic uint32_t sleepers;
} gr__team;

/* Runs body on 1 .. `threads` threads at once (thread = 0 is the caller) and returns when all are done. From within a
 * team it runs on the calling thread alone. Any number of threads of a program may have a team each. */
void gr__team_run(int threads, void (*body)(void *ctx, int thread, gr__team *team), void *ctx);
/* Returns when every thread of the team has called it as often; what they wrote before is then seen by all. Spins about
 * 20 us, then sleeps. Between two calls 0.1-0.2 us on idle CPUs. */
void gr__team_barrier(gr__team *team, int thread);

/* Part i of n things split into `parts` runs, the first ones longer by one: *begin .. *end-1. */
static inline void gr__split(int64_t n, int parts, int i, int64_t *begin, int64_t *end)
{
    int64_t each = n / parts, rest = n % parts;
    *begin = each * i + (i < rest ? i : rest);
    *end = *begin + each + (i < rest);
}

/* Denormal numbers as zero (in and out) for the calling thread: they cost a hundred cycles each. Returns what was set
 * before, for gr__ftz_restore. */
uint64_t gr__ftz_on(void);
void gr__ftz_restore(uint64_t old);

#endif

GR_END
#endif
