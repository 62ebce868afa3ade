/* ops/window.h: windows that slide over the axes between the first and the last, for conv_ops.c and pool_ops.c. Not
 * public.
 *
 *     position t of the window at result o lies at  o * stride + t * dilation - before,  outside 0 .. in-1: padding */
#ifndef GRAPE_OPS_WINDOW_H
#define GRAPE_OPS_WINDOW_H

#include "core/node.h"

/* Attributes of all these ops; each shape has one entry per axis that the window slides over. What an op does not use
 * is not in its field table, and stays 0. */
typedef struct {
    gr_shape size;    /* of the window, where no kernel says it */
    gr_shape strides; /* 1 or more */
    gr_shape dilation;
    gr_shape before, after; /* padding; what is less than 0 after is not read */
    gr_shape into;          /* of gradients: sizes of the result that no operand tells */
} gr__window;

/* One axis. */
typedef struct {
    int64_t in, size, stride, dilation, before, out;
} gr__slide;
enum { GR_WINDOW_AXES = 2 };

/* The axes of an operand of sizes `in` under a window of sizes `size` (n each). Whatever is wrong with the attributes
 * or does not fit is recorded by gr_infer_fail; the window's fault is named as argument `window`. */
gr_status gr__window_infer(const gr_infer *f, const gr__window *a, int n, const int64_t *in, const int64_t *size,
    const char *window, gr__slide *out);
/* The same of what was inferred before. Fewer than GR_WINDOW_AXES axes get leading ones of size 1. */
void gr__window_axes(const gr__window *a, int n, const int64_t *in, const int64_t *size, gr__slide *out);

/* What the public functions take. */
typedef struct {
    const char *op;
    int n_operands;
    gr_tensor *const *operand;
    gr_shape strides, dilation; /* no entries: `stride` each; one: the same for all axes */
    gr_shape stride;
    const char *padding; /* "valid" (also NULL), "same", and "causal" if allowed */
    bool causal;
    gr_shape before, after; /* given: padding by hand */
} gr__window_opts;
/* Attributes from options. False and a message if they are impossible; what depends on the operands' types is left to
 * gr__window_infer. */
bool gr__window_options(
    gr_at at, const gr__window_opts *o, int n, const int64_t *in, const int64_t *size, gr__window *out);

/* The first results of y along the axes between, `sizes` of them each, if y is a convolution that computes more; else
 * y. */
gr_tensor *gr__conv_first(gr_at at, gr_tensor *y, const int64_t *sizes);

/* s with one entry for each of n axes: no entry gives those of `otherwise`, one stands for all. */
gr_shape gr__per_axis(gr_shape s, gr_shape otherwise, int n);

/* Elements begin .. end-1 of rows of `width` elements as at most three rectangles (rows r0 .. r1-1, columns c0 ..
 * c1-1): the end of a row, whole rows, the start of a row. */
typedef struct {
    int64_t r0, r1, c0, c1;
} gr__piece;
int gr__pieces(int64_t begin, int64_t end, int64_t width, gr__piece piece[3]);

#endif
