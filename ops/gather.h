/* ops/gather.h: elements picked by index, and added up by index.
 *
 *   indices  int32, int64 or uint8; negative ones count from the end. They are data: one out of range is GR_ERANGE when
 *            the graph is run, and the message names its value and position
 *   errors   GR_EDTYPE for indices that are no integers, GR_ESHAPE for shapes that do not fit
 * Results and updates may be of any dtype; the gradient goes to x, summed where an index comes twice.
 * Read next: gather.c. */
#ifndef GRAPE_OPS_GATHER_H
#define GRAPE_OPS_GATHER_H

#include "core/tape.h"

GR_BEGIN

/* Rows of an axis: x [.., n, ..], indices of any shape -> that axis replaced by the shape of indices. */
GR_API gr_tensor *gr_take_at(gr_at at, gr_tensor *x, gr_tensor *indices, int64_t axis);
GR_API gr_tensor *gr_take(gr_tensor *x, gr_tensor *indices, int64_t axis);
/* One element for each index: indices have x's sizes (or 1, repeated) on all axes but this one. */
GR_API gr_tensor *gr_take_along_axis_at(gr_at at, gr_tensor *x, gr_tensor *indices, int64_t axis);
GR_API gr_tensor *gr_take_along_axis(gr_tensor *x, gr_tensor *indices, int64_t axis);
/* Slices by the leading axes: indices [.., k] name places in x's first k axes -> [.., the rest of x]. */
GR_API gr_tensor *gr_gather_at(gr_at at, gr_tensor *x, gr_tensor *indices);
GR_API gr_tensor *gr_gather(gr_tensor *x, gr_tensor *indices);
/* x with updates [.., the rest of x] added at indices [.., k], in their order; indices may repeat. */
GR_API gr_tensor *gr_scatter_add_at(gr_at at, gr_tensor *x, gr_tensor *indices, gr_tensor *updates);
GR_API gr_tensor *gr_scatter_add(gr_tensor *x, gr_tensor *indices, gr_tensor *updates);
/* Labels [..] -> [.., classes] of 0 with a 1 at the label's place, float32 or .dtype. A label outside 0 .. classes-1 is
 * GR_ERANGE. No gradient. */
typedef struct {
    gr_tensor *x;
    int64_t classes;
    gr_dtype dtype; /* float32 */
} gr_one_hot_args;
GR_API gr_tensor *gr_one_hot_at(gr_at at, const gr_one_hot_args *args);
GR_API gr_tensor *gr_one_hot(gr_tensor *x, int64_t classes);

#define gr_take(...)            gr_take_at(GR_HERE, __VA_ARGS__)
#define gr_take_along_axis(...) gr_take_along_axis_at(GR_HERE, __VA_ARGS__)
#define gr_gather(...)          gr_gather_at(GR_HERE, __VA_ARGS__)
#define gr_scatter_add(...)     gr_scatter_add_at(GR_HERE, __VA_ARGS__)
#define gr_one_hot(...)         gr_one_hot_at(GR_HERE, &(gr_one_hot_args){.x = __VA_ARGS__})

GR_END
#endif
