/* ops/shape_ops.h: the same elements in another shape or order, parts of a tensor, tensors put together.
 *
 * All dtypes. The batch size B may be a factor of any dimension; what would need its value (a slice of a batch axis, a
 * reshape that divides by B) is an error that says what to do instead.
 *   errors   GR_ESHAPE for sizes that do not fit and axes outside, GR_EARG for impossible options
 * Each has three spellings, as everywhere: macro, gr_x_at(at, ...), bare symbol. Read next: shape_ops.c, slice_ops.c.
 */
#ifndef GRAPE_OPS_SHAPE_OPS_H
#define GRAPE_OPS_SHAPE_OPS_H

#include "core/tape.h"

GR_BEGIN

/* ---- another shape, same row-major order ------------------------------------------------------------------------- */

/* One size may be -1: what is left. Sizes may hold B: GR_SHAPE(GR_BATCH, -1), gr_dim_batch(2). */
GR_API gr_tensor *gr_reshape_at(gr_at at, gr_tensor *x, gr_shape shape);
GR_API gr_tensor *gr_reshape(gr_tensor *x, gr_shape shape);
/* In the shape of `like`. */
GR_API gr_tensor *gr_reshape_like_at(gr_at at, gr_tensor *x, gr_tensor *like);
GR_API gr_tensor *gr_reshape_like(gr_tensor *x, gr_tensor *like);
/* Axes first .. last become one: [B, T, d], 0, 1 -> [T*B, d]. */
GR_API gr_tensor *gr_merge_dims_at(gr_at at, gr_tensor *x, int64_t first, int64_t last);
GR_API gr_tensor *gr_merge_dims(gr_tensor *x, int64_t first, int64_t last);
/* An axis becomes several, one of them may be -1: [T*B, d], 0, GR_SHAPE(-1, T) -> [B, T, d]. */
GR_API gr_tensor *gr_split_dim_at(gr_at at, gr_tensor *x, int64_t axis, gr_shape sizes);
GR_API gr_tensor *gr_split_dim(gr_tensor *x, int64_t axis, gr_shape sizes);
/* New axes of size 1; axes count in the result. */
GR_API gr_tensor *gr_expand_dims_at(gr_at at, gr_tensor *x, gr_shape axes);
GR_API gr_tensor *gr_expand_dims(gr_tensor *x, gr_shape axes);
/* Without axes of size 1; GR_RANK0: without all of them. */
GR_API gr_tensor *gr_squeeze_at(gr_at at, gr_tensor *x, gr_shape axes);
GR_API gr_tensor *gr_squeeze(gr_tensor *x, gr_shape axes);

/* ---- another order, repetition ----------------------------------------------------------------------------------- */

/* Axis i of the result is axis axes[i] of x; GR_RANK0 reverses them all. */
GR_API gr_tensor *gr_transpose_at(gr_at at, gr_tensor *x, gr_shape axes);
GR_API gr_tensor *gr_transpose(gr_tensor *x, gr_shape axes);
/* Repeated along axes of size 1 and along new leading ones, as NumPy does. */
GR_API gr_tensor *gr_broadcast_to_at(gr_at at, gr_tensor *x, gr_shape shape);
GR_API gr_tensor *gr_broadcast_to(gr_tensor *x, gr_shape shape);
/* The whole of x repeats[i] times along axis i, as NumPy: the shorter of shape and repeats gets ones in front. Rank 7
 * at most. No bare symbol: gr_tile is also a type of core/op.h. */
GR_API gr_tensor *gr_tile_at(gr_at at, gr_tensor *x, gr_shape repeats);
/* Reversed along one axis. */
GR_API gr_tensor *gr_flip_at(gr_at at, gr_tensor *x, int64_t axis);
GR_API gr_tensor *gr_flip(gr_tensor *x, int64_t axis);

/* ---- parts and wholes -------------------------------------------------------------------------------------------- */

#define GR_REST INT64_MAX /* as a stop: everything from the start on, in the direction of the step */
/* x[start : stop : step] of each axis as in Python: positions from the end if negative, cut to what is there. Axes not
 * named are whole. A step may be negative: start -1, stop GR_REST, step -1 is the reversed axis. */
typedef struct {
    gr_tensor *x;
    gr_shape start; /* rank 0 (or shorter than x): 0 */
    gr_shape stop;  /* GR_REST */
    gr_shape step;  /* 1; never 0 */
} gr_slice_args;
GR_API gr_tensor *gr_slice_at(gr_at at, const gr_slice_args *args);
GR_API gr_tensor *gr_slice(gr_tensor *x, gr_shape start, gr_shape stop);
/* value around x: before[i] elements before and after[i] after axis i (none for axes not named). Floats, integers,
 * bool: value must be a number of that dtype. */
typedef struct {
    gr_tensor *x;
    gr_shape before, after;
    double value; /* 0 */
} gr_pad_args;
GR_API gr_tensor *gr_pad_at(gr_at at, const gr_pad_args *args);
GR_API gr_tensor *gr_pad(gr_tensor *x, gr_shape before, gr_shape after);
/* n tensors (1 .. 64) of one dtype, equal but for this axis, one after the other along it. */
GR_API gr_tensor *gr_concatenate_at(gr_at at, int n, gr_tensor *const *x, int64_t axis);
GR_API gr_tensor *gr_concatenate(int n, gr_tensor *const *x, int64_t axis);
/* n tensors of one type along a new axis, which counts in the result. */
GR_API gr_tensor *gr_stack_at(gr_at at, int n, gr_tensor *const *x, int64_t axis);
GR_API gr_tensor *gr_stack(int n, gr_tensor *const *x, int64_t axis);
/* n equal parts of an axis into out[0 .. n-1]; all GR_BAD on failure. */
GR_API gr_status gr_split_at(gr_at at, gr_tensor *x, int n, int64_t axis, gr_tensor **out);
GR_API gr_status gr_split(gr_tensor *x, int n, int64_t axis, gr_tensor **out);
/* n parts of the given sizes, which add up to the axis; on a batch axis they count multiples of B. */
GR_API gr_status gr_split_sizes_at(gr_at at, gr_tensor *x, int n, const int64_t *sizes, int64_t axis, gr_tensor **out);
GR_API gr_status gr_split_sizes(gr_tensor *x, int n, const int64_t *sizes, int64_t axis, gr_tensor **out);

#define gr_reshape(...)      gr_reshape_at(GR_HERE, __VA_ARGS__)
#define gr_reshape_like(...) gr_reshape_like_at(GR_HERE, __VA_ARGS__)
#define gr_merge_dims(...)   gr_merge_dims_at(GR_HERE, __VA_ARGS__)
#define gr_split_dim(...)    gr_split_dim_at(GR_HERE, __VA_ARGS__)
#define gr_expand_dims(...)  gr_expand_dims_at(GR_HERE, __VA_ARGS__)
#define gr_squeeze(...)      gr_squeeze_at(GR_HERE, __VA_ARGS__)
#define gr_transpose(...)    gr_transpose_at(GR_HERE, __VA_ARGS__)
#define gr_broadcast_to(...) gr_broadcast_to_at(GR_HERE, __VA_ARGS__)
#define gr_tile(...)         gr_tile_at(GR_HERE, __VA_ARGS__)
#define gr_flip(...)         gr_flip_at(GR_HERE, __VA_ARGS__)
#define gr_slice(...)        gr_slice_at(GR_HERE, &(gr_slice_args){.x = __VA_ARGS__})
#define gr_pad(...)          gr_pad_at(GR_HERE, &(gr_pad_args){.x = __VA_ARGS__})
#define gr_concatenate(...)  gr_concatenate_at(GR_HERE, __VA_ARGS__)
#define gr_stack(...)        gr_stack_at(GR_HERE, __VA_ARGS__)
#define gr_split(...)        gr_split_at(GR_HERE, __VA_ARGS__)
#define gr_split_sizes(...)  gr_split_sizes_at(GR_HERE, __VA_ARGS__)

GR_END
#endif
