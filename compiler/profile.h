/* compiler/profile.h: GRAPE_PROFILE=1, what each step of a plan costs; GRAPE_PROFILE=FILE.json, its fastest run as a
 * trace besides. Read next: profile.c, trace.c, machine.c. */
#ifndef GRAPE_COMPILER_PROFILE_H
#define GRAPE_COMPILER_PROFILE_H

#include "compiler/plan.h"

enum { GR__RECENT = 64 }; /* runs of which the median is taken */

typedef struct {
    double start, end; /* ns */
    int thread;
} gr__slice;

typedef struct {
    double best, recent[GR__RECENT]; /* ns, of the slowest thread */
} gr__times;

typedef struct gr__profile {
    int64_t runs;
    double *spent, *phase_spent; /* ns, per step (phase) and thread, of the run under way */
    gr__times *step, *phase, total;
    double *busy;             /* per thread, of all runs */
    double all_ns, uneven_ns; /* of all runs; the slowest thread of each phase less the mean of all threads */
    int n_parts;
    gr__slice *slice, *best_slice; /* per part: of the run under way, of the fastest */
    double best_start;
} gr__profile;

double gr__now_ns(void);
gr__profile *gr__profile_new(const gr__plan *p);
void gr__profile_free(gr__profile *f);
/* A run that began at `start` is over. */
void gr__profile_add(gr__profile *f, const gr__plan *p, double start);
/* A table through the log hook, and the trace. */
void gr__profile_tell(const gr__profile *f, const gr__plan *p, const char *name);
/* Adds the fastest run to the file as a process of its own, with a row for each thread. The first plan of a process
 * begins the file anew. */
gr_status gr__trace_save(const gr__profile *f, const gr__plan *p, const char *name, const char *file);

/* What so many threads reach: GFLOP/s of a product that stays in the cache, GB/s of copying what does not. Measured at
 * the first call, tens of ms; 0 without memory. */
double gr__machine_flops(int threads);
double gr__machine_bytes(int threads);

#endif
