/* ops/random_ops.h: random numbers as nodes. Each recorded node is a stream of its own, named by its layer scope and
 * its place in it; element i of it is a function of (seed, stream, step, i) alone (core/random.h). So a step gives the
 * same numbers whenever, in whatever order and on however many threads it is computed, in float64 too, to float32's
 * precision. tape, shape  sizes may hold the batch size dtype        float32 or float64; float32 by default errors
 * GR_EDTYPE, GR_ESHAPE, GR_EARG for an impossible option No gradients. Read next: random_ops.c. */
#ifndef GRAPE_OPS_RANDOM_OPS_H
#define GRAPE_OPS_RANDOM_OPS_H

#include "core/tape.h"

GR_BEGIN

/* Uniform in minval .. maxval, the end excluded (but for rounding); 0 .. 1 if both are 0. */
typedef struct {
    gr_tape *tape;
    gr_shape shape;
    double minval, maxval;
    gr_dtype dtype;
} gr_uniform_args;
GR_API gr_tensor *gr_random_uniform_at(gr_at at, const gr_uniform_args *args);
GR_API gr_tensor *gr_random_uniform(gr_tape *t, gr_shape shape);
/* Normal; the truncated one is cut at 2 deviations from the mean, so that its own deviation is 0.8796 stddev. */
typedef struct {
    gr_tape *tape;
    gr_shape shape;
    double mean;
    double stddev; /* 1 */
    gr_dtype dtype;
} gr_normal_args;
GR_API gr_tensor *gr_random_normal_at(gr_at at, const gr_normal_args *args);
GR_API gr_tensor *gr_random_normal(gr_tape *t, gr_shape shape);
GR_API gr_tensor *gr_random_truncated_normal_at(gr_at at, const gr_normal_args *args);
GR_API gr_tensor *gr_random_truncated_normal(gr_tape *t, gr_shape shape);
/* int32: 32 random bits each. */
GR_API gr_tensor *gr_random_bits_at(gr_at at, gr_tape *t, gr_shape shape);
GR_API gr_tensor *gr_random_bits(gr_tape *t, gr_shape shape);
/* x with elements set to 0 with probability `rate`, the others divided by 1 - rate. Rate 0 gives x, rate 1 zeros. The
 * mask is the same in float32 and float64.  Srivastava et al. 2014, JMLR 15
 *   errors  GR_EARG for a rate outside 0 .. 1 */
GR_API gr_tensor *gr_dropout_at(gr_at at, gr_tensor *x, double rate);
GR_API gr_tensor *gr_dropout(gr_tensor *x, double rate);

#define gr_random_uniform(...)          gr_random_uniform_at(GR_HERE, &(gr_uniform_args){.tape = __VA_ARGS__})
#define gr_random_normal(...)           gr_random_normal_at(GR_HERE, &(gr_normal_args){.tape = __VA_ARGS__})
#define gr_random_truncated_normal(...) gr_random_truncated_normal_at(GR_HERE, &(gr_normal_args){.tape = __VA_ARGS__})
#define gr_random_bits(...)             gr_random_bits_at(GR_HERE, __VA_ARGS__)
#define gr_dropout(...)                 gr_dropout_at(GR_HERE, __VA_ARGS__)

GR_END
#endif
