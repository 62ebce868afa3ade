/* ops/pool_ops.h: the largest or the mean element of each window, over one or two axes.
 *
 *     gr_max_pool(x, GR_SHAPE(2))                                              windows of 2 x 2, side by side
 *     gr_average_pool(x, GR_SHAPE(3), .strides = GR_SHAPE(2), .padding = "same")
 *
 *   x        float [B, h, w, c] or [B, l, c]: channels last
 *   options  size: one number for all axes or one each; strides (size); padding "valid" or "same" (as many windows as
 *            strides fit into x); or before and after by hand, less than the window. What is padded is never the
 *            largest and does not count in a mean
 *   result   [B, h', w', c]
 *   errors   GR_ESHAPE for shapes and windows that do not fit, GR_EDTYPE for other dtypes, GR_ENAME for padding
 * Of equal largest elements the first, row by row, gets the gradient; a NaN is larger than everything. A window over
 * all of x is gr_max or gr_mean over those axes. gr_max_pool(gr_relu(gr_add(x, bias))) is computed as
 * gr_relu(gr_add(gr_max_pool(x), bias)), the same numbers for less work; gradients of what lies between are as ever.
 * Read next: pool_ops.c. */
#ifndef GRAPE_OPS_POOL_OPS_H
#define GRAPE_OPS_POOL_OPS_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *x;
    gr_shape size, strides;
    const char *padding;
    gr_shape before, after;
} gr_pool_args;
/* Described above. */
GR_API gr_tensor *gr_max_pool_at(gr_at at, const gr_pool_args *args);
GR_API gr_tensor *gr_max_pool(gr_tensor *x, gr_shape size);
GR_API gr_tensor *gr_average_pool_at(gr_at at, const gr_pool_args *args);
GR_API gr_tensor *gr_average_pool(gr_tensor *x, gr_shape size);

#define gr_max_pool(...)     gr_max_pool_at(GR_HERE, &(gr_pool_args){.x = __VA_ARGS__})
#define gr_average_pool(...) gr_average_pool_at(GR_HERE, &(gr_pool_args){.x = __VA_ARGS__})

GR_END
#endif
