/* ops/kernels/conv.h: direct 2-D convolution, channels last, forward and both gradients, as leaf calls of one thread
 * on a rectangle of the result; who calls splits the work. A 1-D convolution has height 1 (h, kh, oh = 1).
 * No copy of the image per tap is made: a tile of output pixels adds tap after tap (conv_impl.h, tile_impl.h).
 *
 * Bits: every result is one chain of multiply-adds in a fixed order: forward over (tap row, tap column, input channel),
 * dX over the taps that reach the pixel from the last to the first, then output channel (both by tap columns, then
 * rows, where the halo would be more than an eighth of the work); dW over (image, row, column of
 * the output). No split of the result changes it; for dW a split of the images does unless the parts are added up by
 * `accumulate`, one after the other. Taps on padding to the left and right may add a zero, which only weights that are
 * not finite can tell. */
#ifndef GRAPE_OPS_KERNELS_CONV_H
#define GRAPE_OPS_KERNELS_CONV_H

#include "ops/kernels/ahead.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y[n, i, j, o] = sum x[n, i*stride_h + r*dilation_h - pad_top, j*stride_w + s*dilation_w - pad_left, c] w[r, s, c, o]
 * over taps (r, s) and the input channels c of o's group; outside the image x is 0. With groups, w's c counts within
 * the group. groups = c is the depthwise convolution, whose weights Keras writes [kh, kw, c, o / c]: the same order. */
typedef struct {
    int64_t n, h, w, c;             /* x [n, h, w, c] */
    int64_t kh, kw;                 /* w [kh, kw, c / groups, o] */
    int64_t oh, ow, o;              /* y [n, oh, ow, o] */
    int64_t stride_h, stride_w;     /* >= 1 */
    int64_t dilation_h, dilation_w; /* >= 1 */
    int64_t pad_top, pad_left;      /* >= 0; padding below and to the right is what oh and ow need */
    int64_t groups;                 /* >= 1, divides c and o */
} gr__conv;

/* One call's share of the result: rows r0 <= r < r1, channels c0 <= c < c1. A row of y or dX is a pixel, counted over
 * images, rows, columns; a row of dW is a tap and a channel of the group. */
typedef struct {
    const void *in;      /* forward and dW: x; dX: dy */
    const void *weights; /* forward: w; dX: w turned by gr__conv_turn; dW: dy */
    void *out;           /* y, dX, dW or the turned w, whole; only the share is written */
    int64_t r0, r1;
    int64_t c0, c1;  /* forward and dW: output channels; dX: input channels */
    int64_t n0, n1;  /* dW: the images to sum over */
    bool accumulate; /* dW: add to it instead of overwriting it */
    void *scratch;   /* gr__conv_scratch() bytes, aligned to 64; NULL if that is 0 */
    gr__ahead *ahead; /* what to fetch meanwhile, or NULL */
} gr__conv_part;

/* Bytes of scratch for elements of `elem` bytes (4 or 8), enough for each of the three. */
size_t gr__conv_scratch(const gr__conv *c, size_t elem);
void gr__conv_forward_f32(const gr__conv *c, const gr__conv_part *p);
void gr__conv_forward_f64(const gr__conv *c, const gr__conv_part *p);
void gr__conv_dx_f32(const gr__conv *c, const gr__conv_part *p);
void gr__conv_dx_f64(const gr__conv *c, const gr__conv_part *p);
void gr__conv_dw_f32(const gr__conv *c, const gr__conv_part *p);
void gr__conv_dw_f64(const gr__conv *c, const gr__conv_part *p);
/* The weights as dX reads them, [kh, kw, o / groups, c]: taps in reverse order, each transposed within its groups. Rows
 * of the share count taps and output channels of a group, columns are input channels. Turning twice, with c and o
 * exchanged, gives the weights again. */
void gr__conv_turn_f32(const gr__conv *c, const gr__conv_part *p);
void gr__conv_turn_f64(const gr__conv *c, const gr__conv_part *p);

/* The taps along one axis that reach the pixels `phase`, phase + stride, ... of dX: `count` of them, tap `last` down to
 * last - (count-1) tap_step. Pixel number q of these reads dy at q + first, q + first + step, ... */
typedef struct {
    int64_t count, last, tap_step, first, step;
} gr__conv_taps;
gr__conv_taps gr__conv_taps_of(int64_t phase, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad);

#define GR_CONV_BUILD(isa)                                                      \
    size_t gr__conv_scratch_f32_##isa(const gr__conv *c);                      \
    size_t gr__conv_scratch_f64_##isa(const gr__conv *c);                      \
    void gr__conv_forward_f32_##isa(const gr__conv *c, const gr__conv_part *p); \
    void gr__conv_forward_f64_##isa(const gr__conv *c, const gr__conv_part *p); \
    void gr__conv_dx_f32_##isa(const gr__conv *c, const gr__conv_part *p);     \
    void gr__conv_dx_f64_##isa(const gr__conv *c, const gr__conv_part *p);     \
    void gr__conv_dw_f32_##isa(const gr__conv *c, const gr__conv_part *p);     \
    void gr__conv_dw_f64_##isa(const gr__conv *c, const gr__conv_part *p);     \
    void gr__conv_turn_f32_##isa(const gr__conv *c, const gr__conv_part *p);   \
    void gr__conv_turn_f64_##isa(const gr__conv *c, const gr__conv_part *p);
GR_CONV_BUILD(base)
#ifdef __x86_64__
GR_CONV_BUILD(avx2)
GR_CONV_BUILD(avx512)
#endif

#endif
