/* core/thread.h: how many threads, and how the calling one treats denormal numbers. team.h puts them to work. */
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

/* CPUs that this process may use, 1 or more. */
int gr__cpu_count(void);

/* Denormal numbers as zero (in and out) for the calling thread: they cost a hundred cycles each. Returns what was set
 * before, for gr__ftz_restore. */
uint64_t gr__ftz_on(void);
void gr__ftz_restore(uint64_t old);

GR_END
#endif
