/* core/team.h: several threads on one job.
 *
 * A job is a sequence of phases, a phase a number of parts that may run on any thread and in any order; the next phase
 * begins when all parts of the last are done. Parts are dealt out beforehand (the same share of the data stays with the
 * same thread, and in its cache), but whoever has finished his takes those of the others: a thread that the system lets
 * wait holds up nothing but the part it is in. Not public. */
#ifndef GRAPE_CORE_TEAM_H
#define GRAPE_CORE_TEAM_H

#include "core/thread.h"

typedef struct {
    int own;          /* parts 0 .. own-1 run on the calling thread, in this order */
    const int *share; /* threads + 1 numbers: parts share[t] .. share[t+1]-1 are dealt to thread t; share[0] is own */
} gr__job_phase;

#define GR_MAX_PARTS (1 << 20) /* of a phase */

typedef struct {
    int threads, n_phases;
    const gr__job_phase *phase;
    void (*part)(
        void *ctx, int phase, int part, int thread); /* thread: 0 (the caller) .. threads-1, each at once only once */
    void *ctx;
} gr__job;

/* Runs a job to its end: with the team that is held for this thread, else with one of its own. From within an OpenMP
 * region of the caller's, alone. Denormals count as zero in the other threads; the caller sets that for itself. */
void gr__job_run(const gr__job *job);

/* In a child that was forked from a process that has had a team, jobs run on the calling thread: OpenMP's threads did
 * not come along, and it would wait for them. The results are the same. */

/* Calls f(ctx) with a team held for the jobs that it runs: starting one costs microseconds, on a busy machine
 * milliseconds. Nothing that belongs to a user may be called from within f: his OpenMP would find itself nested. */
void gr__team_hold(int threads, void (*f)(void *ctx), void *ctx);

#endif
