/* ops/loss_ops.h: losses of each sample: the last axis of both is taken in, what is left is not averaged.
 *
 *   target   what is true; cast to output's dtype if it has another
 *   output   what the model says; float32 or float64, rank 1 or more
 *            same shape; [n] and [n, 1] fit each other
 *   result   output's shape without the last axis
 *   errors   GR_EDTYPE, GR_ESHAPE; GR_EARG for an impossible option
 * Definitions and names are those of Keras. Probabilities are kept 1e-7 away from 0 and 1 before the logarithm; prefer
 * logits, where nothing is cut off. Read next: loss_ops.c. */
#ifndef GRAPE_OPS_LOSS_OPS_H
#define GRAPE_OPS_LOSS_OPS_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *target, *output;
    bool from_logits;       /* output is logits, not probabilities */
    double label_smoothing; /* s in 0 .. 1: target (1 - s) + s / classes */
} gr_crossentropy_args;
/* -sum target log p over the classes, p the softmax of logits, or probabilities made to sum to 1. */
GR_API gr_tensor *gr_categorical_crossentropy_at(gr_at at, const gr_crossentropy_args *args);
GR_API gr_tensor *gr_categorical_crossentropy(gr_tensor *target, gr_tensor *output);
/* Mean over the last axis of -(target log p + (1 - target) log(1 - p)), p the sigmoid of logits; here classes is 2. */
GR_API gr_tensor *gr_binary_crossentropy_at(gr_at at, const gr_crossentropy_args *args);
GR_API gr_tensor *gr_binary_crossentropy(gr_tensor *target, gr_tensor *output);
/* categorical_crossentropy with labels for target: integers (or floats that are whole) of output's shape without the
 * last axis, or with 1 there. A label outside 0 .. classes-1 is GR_ERANGE when the graph is run. */
typedef struct {
    gr_tensor *target, *output;
    bool from_logits;
    bool has_ignore_class; /* samples of ignore_class count 0 */
    int64_t ignore_class;
} gr_sparse_crossentropy_args;
GR_API gr_tensor *gr_sparse_categorical_crossentropy_at(gr_at at, const gr_sparse_crossentropy_args *args);
GR_API gr_tensor *gr_sparse_categorical_crossentropy(gr_tensor *target, gr_tensor *output);

/* mean (target - output)^2 */
GR_API gr_tensor *gr_mean_squared_error_at(gr_at at, gr_tensor *target, gr_tensor *output);
GR_API gr_tensor *gr_mean_squared_error(gr_tensor *target, gr_tensor *output);
/* mean |target - output| */
GR_API gr_tensor *gr_mean_absolute_error_at(gr_at at, gr_tensor *target, gr_tensor *output);
GR_API gr_tensor *gr_mean_absolute_error(gr_tensor *target, gr_tensor *output);
/* mean of e^2 / 2 up to |e| = delta, and from there on the tangent, delta |e| - delta^2 / 2.  Huber 1964 */
typedef struct {
    gr_tensor *target, *output;
    double delta; /* 0: 1 */
} gr_huber_args;
GR_API gr_tensor *gr_huber_at(gr_at at, const gr_huber_args *args);
GR_API gr_tensor *gr_huber(gr_tensor *target, gr_tensor *output);

/* (target, output, .from_logits = true) */
#define GR_LOSS_ARGS_(target_, ...) .target = (target_), .output = __VA_ARGS__
#define gr_categorical_crossentropy(...)                                                                               \
    gr_categorical_crossentropy_at(GR_HERE, &(gr_crossentropy_args){GR_LOSS_ARGS_(__VA_ARGS__)})
#define gr_binary_crossentropy(...)                                                                                    \
    gr_binary_crossentropy_at(GR_HERE, &(gr_crossentropy_args){GR_LOSS_ARGS_(__VA_ARGS__)})
#define gr_sparse_categorical_crossentropy(...)                                                                        \
    gr_sparse_categorical_crossentropy_at(GR_HERE, &(gr_sparse_crossentropy_args){GR_LOSS_ARGS_(__VA_ARGS__)})
#define gr_mean_squared_error(...)  gr_mean_squared_error_at(GR_HERE, __VA_ARGS__)
#define gr_mean_absolute_error(...) gr_mean_absolute_error_at(GR_HERE, __VA_ARGS__)
#define gr_huber(...)               gr_huber_at(GR_HERE, &(gr_huber_args){GR_LOSS_ARGS_(__VA_ARGS__)})

GR_END
#endif
