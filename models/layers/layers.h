/* models/layers/layers.h: the layers, as specs. Options and defaults are Keras's; a bare first argument is required.
 * Every layer has .name (default: its class in snake_case, numbered). One file each beside this one. */
#ifndef GRAPE_MODELS_LAYERS_LAYERS_H
#define GRAPE_MODELS_LAYERS_LAYERS_H

#include "models/initializer.h"
#include "models/layer.h"

GR_BEGIN

/* What goes into a model; the batch axis is not part of the shape.  gr_Input(GR_SHAPE(784)) */
typedef struct {
    gr_layer base;
    gr_shape shape;
    gr_dtype dtype; /* float32; data of another dtype is converted */
    const char *name;
} gr_Input_spec;
extern GR_API const gr_layer_kind gr_Input_kind;
#define gr_Input(...) GR_SPEC(gr_Input, .shape = __VA_ARGS__)

/* y = activation(x kernel + bias).
 *   x        float [B, ..., n]    -> [B, ..., units]
 *   weights  kernel [n, units], bias [units]
 *   errors   GR_ESHAPE if x has fewer than 2 axes or a last axis of the batch size */
typedef struct {
    gr_layer base;
    int units;                                                      /* >= 1 */
    const char *activation, *kernel_initializer, *bias_initializer; /* none, glorot_uniform, zeros */
    const gr_initializer *kernel_initializer_spec, *bias_initializer_spec;
    bool no_bias;
    const char *name;
} gr_Dense_spec;
extern GR_API const gr_layer_kind gr_Dense_kind;
#define gr_Dense(...) GR_SPEC(gr_Dense, .units = __VA_ARGS__)

/* An activation by name, with options: gr_Activation("leaky_relu(negative_slope=0.1)"). Any shape. */
typedef struct {
    gr_layer base;
    const char *activation;
    const char *name;
} gr_Activation_spec;
extern GR_API const gr_layer_kind gr_Activation_kind;
#define gr_Activation(...) GR_SPEC(gr_Activation, .activation = __VA_ARGS__)

/* Normalize each feature to mean 0, variance 1, then scale and shift.
 *   x        float [B, ..., n]    -> same shape
 *   weights  gamma, beta [n]; moving_mean, moving_variance [n], not trained
 *   options  axis (-1), momentum (0.99), epsilon (1e-3), no_center, no_scale
 *   training uses the batch's statistics (biased variance) and updates the moving ones; inference uses the moving ones
 *   errors   GR_ESHAPE if x has fewer than 2 axes or axis is not one of them
 *   source   Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2 */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis; /* set to give axis 0 */
    double momentum, epsilon;
    bool has_momentum; /* set to give a momentum of 0 */
    bool no_center, no_scale;
    const char *name;
} gr_BatchNormalization_spec;
extern GR_API const gr_layer_kind gr_BatchNormalization_kind;
#define gr_BatchNormalization(...) GR_SPEC(gr_BatchNormalization, __VA_ARGS__)

/* Normalize each sample over its last axis (or .axis), then scale and shift by gamma, beta of that axis.
 *   options  axis (-1), epsilon (1e-3), no_center, no_scale
 *   source   Ba et al. 2016, arXiv:1607.06450 */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis;
    double epsilon;
    bool no_center, no_scale;
    const char *name;
} gr_LayerNormalization_spec;
extern GR_API const gr_layer_kind gr_LayerNormalization_kind;
#define gr_LayerNormalization(...) GR_SPEC(gr_LayerNormalization, __VA_ARGS__)

/* In training each element is 0 with probability rate, else divided by 1 - rate. Srivastava et al. 2014. */
typedef struct {
    gr_layer base;
    double rate; /* 0 .. 1 */
    const char *name;
} gr_Dropout_spec;
extern GR_API const gr_layer_kind gr_Dropout_kind;
#define gr_Dropout(...) GR_SPEC(gr_Dropout, .rate = __VA_ARGS__)

/* [B, ...] -> [B, product of the rest] */
typedef struct {
    gr_layer base;
    const char *name;
} gr_Flatten_spec;
extern GR_API const gr_layer_kind gr_Flatten_kind;
#define gr_Flatten(...) GR_SPEC(gr_Flatten, __VA_ARGS__)

/* [B, ...] -> [B, target...]; one -1 is inferred. */
typedef struct {
    gr_layer base;
    gr_shape target_shape;
    const char *name;
} gr_Reshape_spec;
extern GR_API const gr_layer_kind gr_Reshape_kind;
#define gr_Reshape(...) GR_SPEC(gr_Reshape, .target_shape = __VA_ARGS__)

/* y = x * scale + offset.  gr_Rescaling(1.0 / 255) on images that stay u8 until here. */
typedef struct {
    gr_layer base;
    double scale;
    double offset;
    const char *name;
} gr_Rescaling_spec;
extern GR_API const gr_layer_kind gr_Rescaling_kind;
#define gr_Rescaling(...) GR_SPEC(gr_Rescaling, .scale = __VA_ARGS__)

/* All layer kinds, for loading a model by name; ended by {NULL}. */
extern const gr_kind_entry gr__layers[];

GR_END
#endif
