/* ops/kernels/peak.h: what this core can do at best, to judge kernels by: measured in the same process and minute,
 * since clocks and neighbours move it by tens of percent. */
#ifndef GRAPE_OPS_KERNELS_PEAK_H
#define GRAPE_OPS_KERNELS_PEAK_H

#include <stdint.h>

/* Float32 operations per second (a multiply-add counts 2) of one thread, with the vectors of gr__cpu_isa(): the best
 * of a few short loops, together about `seconds` long. */
double gr__peak_flops(double seconds);

/* rounds * 12 vector multiply-adds that do not wait for each other; gives their flops. */
double gr__peak_loop_base(int64_t rounds, float *sink);
double gr__peak_loop_avx2(int64_t rounds, float *sink);
double gr__peak_loop_avx512(int64_t rounds, float *sink);

#endif
