/* core/random.h: random numbers that are a function of where they are, not of when they were drawn.
 *
 * Element i of a stream is Philox4x32-10 (Salmon et al. 2011) of counter (i / 4, step) under a key made of (seed, use),
 * word i % 4. So any range can be computed alone, in any order, on any thread, with the same bits. `use` names the
 * place (a layer's dropout, a weight's start), `step` the training step; `i` is the row-major logical index. float32
 * and float64 of one stream agree to float32's precision: a float64 trace sees the same dropout mask. */
#ifndef GRAPE_CORE_RANDOM_H
#define GRAPE_CORE_RANDOM_H

#include "core/export.h"
#include <stdint.h>

GR_BEGIN

/* One block of the generator: four words from a counter and a key. */
void gr__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Elements begin .. end-1 of a stream into out[0] .. : 32 random bits each. */
void gr__random_bits(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, uint32_t *out);
/* Uniform in [0, 1): multiples of 2^-24 (float) or 2^-53 (double). */
void gr__random_uniform_f32(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, float *out);
void gr__random_uniform_f64(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, double *out);
/* Normal, mean 0 and deviation 1: the inverse of its distribution function at a uniform number, so that each element
 * needs no other. Within 6.3 (float, 32 bits in) and 8.3 (double, 53 bits). */
void gr__random_normal_f32(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, float *out);
void gr__random_normal_f64(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, double *out);
/* The same, cut at 2 deviations (not rescaled: its deviation is 0.87962566). */
void gr__random_truncated_f32(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, float *out);
void gr__random_truncated_f64(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, double *out);
/* 0 .. n-1 in random order (Fisher and Yates). */
void gr__random_permutation(uint64_t seed, uint64_t use, uint64_t step, int64_t n, int64_t *out);

/* The inverse of the normal distribution function, 0 < p < 1; relative error about 1e-16 (Wichura 1988, AS 241). */
double gr__normal_quantile(double p);
/* A `use` from a name: "dense/kernel". */
uint64_t gr__random_use_of(const char *name);
/* Two numbers into one, well mixed. */
uint64_t gr__random_mix(uint64_t a, uint64_t b);

GR_END
#endif
