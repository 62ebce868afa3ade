/* ops/conv_ops.h: convolution over one or two axes.
 *
 *     gr_conv(x, kernel, .strides = GR_SHAPE(2), .padding = "same")
 *
 *   x        float [B, h, w, c] or [B, l, c]: channels last
 *   kernel   [kh, kw, c / groups, o] or [k, c / groups, o]; there are as many groups as c / groups goes into c
 *   options  strides (1), dilation (1): one number for all axes or one each; padding "valid", "same" (as many
 *            results as strides fit into x, as in Keras) or, of [B, l, c] only, "causal"; or before and after by hand
 *   result   [B, h', w', o]:  y[b, i, j, q] = sum x[b, i s + u d - p, j s + v d - p, r] kernel[u, v, r, q]
 *   errors   GR_ESHAPE for shapes that do not fit, GR_EDTYPE unless both are float32 or float64, GR_ENAME for padding
 * The kernel is not flipped (a cross-correlation, as everywhere in deep learning). Read next: conv_ops.c. */
#ifndef GRAPE_OPS_CONV_OPS_H
#define GRAPE_OPS_CONV_OPS_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *x, *kernel;
    gr_shape strides, dilation;
    const char *padding;
    gr_shape before, after; /* zeros around x, one number an axis */
} gr_conv_args;
GR_API gr_tensor *gr_conv_at(gr_at at, const gr_conv_args *args);
GR_API gr_tensor *gr_conv(gr_tensor *x, gr_tensor *kernel);
/* Every channel by itself: kernel [kh, kw, c, m] gives m results for each, [B, h', w', c m]; channel r's are r m ..
 * r m + m - 1. */
GR_API gr_tensor *gr_depthwise_conv_at(gr_at at, const gr_conv_args *args);
GR_API gr_tensor *gr_depthwise_conv(gr_tensor *x, gr_tensor *kernel);

/* The transposed convolution: what a convolution's gradient does to its results, as an op that enlarges.
 * x [B, h, w, c], kernel [kh, kw, o, c] (Keras's order), result [B, h', w', o] with h' = h s for "same", h s +
 * max(window - s, 0) for "valid", s the stride and `window` what the kernel spans. No padding by hand, no groups. */
GR_API gr_tensor *gr_conv_transpose_at(gr_at at, const gr_conv_args *args);
GR_API gr_tensor *gr_conv_transpose(gr_tensor *x, gr_tensor *kernel);

#define gr_conv(...)           gr_conv_at(GR_HERE, &(gr_conv_args){.x = __VA_ARGS__})
#define gr_depthwise_conv(...) gr_depthwise_conv_at(GR_HERE, &(gr_conv_args){.x = __VA_ARGS__})
#define gr_conv_transpose(...) gr_conv_transpose_at(GR_HERE, &(gr_conv_args){.x = __VA_ARGS__})

GR_END
#endif
