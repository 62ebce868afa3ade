/* ops/create.h: tensors out of nothing. They name their tape; gr_number and gr_constant are in core/tape.h.
 * Sizes may hold the batch size: GR_SHAPE(GR_BATCH, 3). dtype GR_DTYPE_NONE is float32. No gradients.
 *   errors   GR_ESHAPE for impossible sizes, GR_ERANGE for a number that the dtype does not have
 * Read next: create.c. */
#ifndef GRAPE_OPS_CREATE_H
#define GRAPE_OPS_CREATE_H

#include "core/tape.h"

GR_BEGIN

/* One number everywhere. Nothing is stored: it is one number repeated. */
GR_API gr_tensor *gr_full_at(gr_at at, gr_tape *t, gr_shape shape, double value, gr_dtype dtype);
GR_API gr_tensor *gr_full(gr_tape *t, gr_shape shape, double value, gr_dtype dtype);
GR_API gr_tensor *gr_zeros_at(gr_at at, gr_tape *t, gr_shape shape, gr_dtype dtype);
GR_API gr_tensor *gr_zeros(gr_tape *t, gr_shape shape, gr_dtype dtype);
GR_API gr_tensor *gr_ones_at(gr_at at, gr_tape *t, gr_shape shape, gr_dtype dtype);
GR_API gr_tensor *gr_ones(gr_tape *t, gr_shape shape, gr_dtype dtype);
/* In x's dtype and shape. */
GR_API gr_tensor *gr_full_like_at(gr_at at, gr_tensor *x, double value);
GR_API gr_tensor *gr_full_like(gr_tensor *x, double value);
GR_API gr_tensor *gr_zeros_like_at(gr_at at, gr_tensor *x);
GR_API gr_tensor *gr_zeros_like(gr_tensor *x);
GR_API gr_tensor *gr_ones_like_at(gr_at at, gr_tensor *x);
GR_API gr_tensor *gr_ones_like(gr_tensor *x);

/* start, start + step, ... as long as it is before stop. gr_arange(t, .stop = 10), gr_arange(t, 1, 10, .dtype =
 * GR_F32). errors   GR_EARG for a step of 0, numbers that are not finite, more than 2^40 elements */
typedef struct {
    gr_tape *tape;
    double start, stop;
    double step;    /* 1 */
    gr_dtype dtype; /* int64 */
} gr_arange_args;
GR_API gr_tensor *gr_arange_at(gr_at at, const gr_arange_args *args);
GR_API gr_tensor *gr_arange(gr_tape *t, double start, double stop);

#define gr_full(...)       gr_full_at(GR_HERE, __VA_ARGS__)
#define gr_zeros(...)      gr_zeros_at(GR_HERE, __VA_ARGS__)
#define gr_ones(...)       gr_ones_at(GR_HERE, __VA_ARGS__)
#define gr_full_like(...)  gr_full_like_at(GR_HERE, __VA_ARGS__)
#define gr_zeros_like(...) gr_zeros_like_at(GR_HERE, __VA_ARGS__)
#define gr_ones_like(...)  gr_ones_like_at(GR_HERE, __VA_ARGS__)
#define gr_arange(...)     gr_arange_at(GR_HERE, &(gr_arange_args){.tape = __VA_ARGS__})

GR_END
#endif
