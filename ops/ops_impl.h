/* What the files of this room share; ops.c has the code. Not public. */
#ifndef GRAPE_OPS_OPS_IMPL_H
#define GRAPE_OPS_OPS_IMPL_H

#include "core/node.h"
#include "core/size.h"
#include "ops/reduce.h"

/* True of a good tensor. NULL records "op: argument ARG: expected a tensor, found NULL"; GR_BAD is passed over quietly.
 */
bool gr__given(gr_at at, const char *op, const char *argument, gr_tensor *x);

/* gr_op_fail for a function of ops: its operands carry these names in the message. */
gr_tensor *gr__fail_of(gr_at at, gr_status status, const char *op, const char *argument, int n, gr_tensor *const *in,
    const char *const *names, const char *format, ...) GR_PRINTF(8, 9);

/* A shape as an attribute, a list of axes, sizes or positions: 0 .. GR_MAX_RANK of them? */
bool gr__rank_ok(gr_shape s);

/* Axes -rank .. rank-1, each at most once, as flags; no axes at all mean every one. A message says what is wrong with
 * the others: "expected different axes in -2 .. 1, found [0, 2]". */
bool gr__axes(gr_shape axes, int64_t rank, bool mask[GR_MAX_RANK]);
gr_status gr__axes_fail(const gr_infer *f, gr_shape axes);
/* The flagged axes, in order; none if all are flagged, so that equal wishes are equal attributes. */
gr_shape gr__axes_listed(const bool *mask, int64_t rank);

/* One axis as an attribute of an op; a bad one is recorded as argument `axis`. */
gr_status gr__axis_of(const gr_infer *f, int64_t axis, int64_t rank, int64_t *out);

/* Copies elements begin .. end of c->out[0], element i lying at offset + sum stride[k] * i[k] of c->in[0]: the eval of
 * every op that only moves elements. */
void gr__view_copy(const gr_call *c, int64_t offset, const int64_t *stride);
/* Row-major strides of a shape of plain numbers. */
void gr__strides(gr_shape s, int64_t *stride);

/* x in a shape of as many elements: the one already there if the shape is the same. */
gr_tensor *gr__reshaped(gr_at at, gr_tensor *x, gr_shape shape);
/* g, a gradient of a reduction over `mask` of x, repeated along the reduced axes to x's shape. */
gr_tensor *gr__spread(gr_at at, gr_tensor *g, gr_tensor *x, const bool *mask);
/* The shape with size 1 at the flagged axes, or without them. */
gr_shape gr__reduced_shape(gr_shape s, const bool *mask, bool keepdims);
/* gr_var as one op, which a compiled program has in one pass over x: each part of the sum is taken around a mean of its
 * own. Its gradient carries the mean's rounding, which the one of gr_var takes out again. */
gr_tensor *gr__variance(gr_at at, const gr_reduce_args *args);
/* Number of elements along the flagged axes of x as a number of x's float type (float32 if it has none): a constant, or
 * what the batch size makes it when the program runs. */
gr_tensor *gr__count_of(gr_at at, gr_tensor *x, const bool *mask);

/* x [.., classes] at labels [.., 1] -> [.., 1]; a label outside 0 .. classes-1 is out of range, negative ones too. */
gr_tensor *gr__take_labels(gr_at at, gr_tensor *x, gr_tensor *labels);

/* Part k of x along its first axis, without that axis; if x is made of such parts, the part it was made of. */
gr_tensor *gr__step_of(gr_at at, gr_tensor *x, int64_t k);
/* Parts of one type along a new first axis, as many as there are. */
gr_tensor *gr__of_steps(gr_at at, int64_t n, gr_tensor *const *parts);

/* Place of the node whose gradient is being built. */
#define GR_VJP_AT(v) ((v)->node->node->at)

#endif
