/* ops/composite.h: functions of a whole row or batch that are built of ops, their gradients included.
 * x is float32 or float64, the result of the same type and shape.
 *   axes     rank 0: the last axis
 *   errors   GR_EDTYPE, GR_ESHAPE for axes outside and for scales or offsets that do not fit
 * Read next: composite.c. */
#ifndef GRAPE_OPS_COMPOSITE_H
#define GRAPE_OPS_COMPOSITE_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *x;
    gr_shape axes; /* over which it sums to 1; rank 0: the last */
} gr_softmax_args;
/* e^x / sum e^x, of any finite x and of -inf (0); a row of nothing but -inf gives NaN, as 0 / 0 does. */
GR_API gr_tensor *gr_softmax_at(gr_at at, const gr_softmax_args *args);
GR_API gr_tensor *gr_softmax(gr_tensor *x);
/* Its logarithm, exact also where the probability would be 0. */
GR_API gr_tensor *gr_log_softmax_at(gr_at at, const gr_softmax_args *args);
GR_API gr_tensor *gr_log_softmax(gr_tensor *x);

/* (x - mean) / sqrt(variance + epsilon) * gamma + beta, each of the statistics for every feature, over all other axes.
 *   gamma, beta       [features], the sizes of x on `axes`; NULL: 1 and 0
 *   mean, variance    given: they are used (inference). Not given: x's own, biased and in two passes, through which the
 *                     gradient flows; batch_mean and batch_variance (may be NULL) receive them, [features]
 *   axes              of the features; rank 0: the last
 *   epsilon           0: 1e-3
 *   source            Ioffe & Szegedy 2015, arXiv:1502.03167 */
typedef struct {
    gr_tensor *x, *gamma, *beta, *mean, *variance;
    gr_shape axes;
    double epsilon;
    gr_tensor **batch_mean, **batch_variance;
} gr_batch_norm_args;
GR_API gr_tensor *gr_batch_norm_at(gr_at at, const gr_batch_norm_args *args);
GR_API gr_tensor *gr_batch_norm(gr_tensor *x, gr_tensor *gamma, gr_tensor *beta);

/* The same with the statistics of each sample over `axes`; gamma and beta have the sizes of x there.
 * Ba et al. 2016, arXiv:1607.06450 */
typedef struct {
    gr_tensor *x, *gamma, *beta; /* NULL: 1 and 0 */
    gr_shape axes;               /* rank 0: the last */
    double epsilon;              /* 0: 1e-3 */
} gr_layer_norm_args;
GR_API gr_tensor *gr_layer_norm_at(gr_at at, const gr_layer_norm_args *args);
GR_API gr_tensor *gr_layer_norm(gr_tensor *x, gr_tensor *gamma, gr_tensor *beta);

#define gr_softmax(...)     gr_softmax_at(GR_HERE, &(gr_softmax_args){.x = __VA_ARGS__})
#define gr_log_softmax(...) gr_log_softmax_at(GR_HERE, &(gr_softmax_args){.x = __VA_ARGS__})
#define gr_batch_norm(...)  gr_batch_norm_at(GR_HERE, &(gr_batch_norm_args){.x = __VA_ARGS__})
#define gr_layer_norm(...)  gr_layer_norm_at(GR_HERE, &(gr_layer_norm_args){.x = __VA_ARGS__})

GR_END
#endif
