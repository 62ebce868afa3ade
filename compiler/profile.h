/* compiler/profile.h: GRAPE_PROFILE=1, what each step of a plan costs. */
#ifndef GRAPE_COMPILER_PROFILE_H
#define GRAPE_COMPILER_PROFILE_H

#include "compiler/plan.h"

typedef struct gr__profile {
    int64_t runs;
    double *spent;                  /* ns, per step and thread, of the run under way */
    double *best, *sum;             /* per step: of the slowest thread */
    double *phase_best, *phase_sum; /* per phase, of its slowest thread: the time in its parts */
    double *phase_spent;
    double total_best, total_sum;
} gr__profile;

double gr__now_ns(void);
gr__profile *gr__profile_new(const gr__plan *p);
void gr__profile_free(gr__profile *f);
void gr__profile_add(gr__profile *f, const gr__plan *p, double total_ns);
/* A table through the log hook. */
void gr__profile_tell(const gr__profile *f, const gr__plan *p, const char *name);

#endif
