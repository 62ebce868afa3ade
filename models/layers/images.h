/* models/layers/images.h: the layers for pictures and other signals: convolutions, pooling, padding, enlarging.
 * Channels last: [B, h, w, c] for the 2D ones, [B, l, c] for the 1D ones. A list of sizes with one number stands for
 * all axes. Included by layers.h, which says what all layers have in common. */
#ifndef GRAPE_MODELS_LAYERS_IMAGES_H
#define GRAPE_MODELS_LAYERS_IMAGES_H

#include "models/initializer.h"
#include "models/layer.h"

GR_BEGIN

/* y = activation(x * kernel + bias), * the convolution of ops/conv_ops.h.
 *     gr_Conv2D(32, GR_SHAPE(3, 3), .strides = GR_SHAPE(2), .padding = "same", .activation = "relu")
 *   x        float [B, h, w, c]   -> [B, h', w', filters]; of Conv1D [B, l, c] -> [B, l', filters]
 *   weights  kernel [kh, kw, c / groups, filters], bias [filters]
 *   options  strides (1), padding (valid; same, for Conv1D causal too), dilation_rate (1), groups (1), activation
 *   errors   GR_ESHAPE if groups divides neither c nor filters, and those of the convolution */
typedef struct {
    gr_layer base;
    int filters;          /* >= 1 */
    gr_shape kernel_size; /* required */
    gr_shape strides;
    const char *padding;
    gr_shape dilation_rate;
    int groups;
    const char *activation, *kernel_initializer, *bias_initializer; /* none, glorot_uniform, zeros */
    const gr_initializer *kernel_initializer_spec, *bias_initializer_spec;
    bool no_bias;
    const char *name;
} gr_Conv2D_spec;
typedef gr_Conv2D_spec gr_Conv1D_spec;
extern GR_API const gr_layer_kind gr_Conv1D_kind, gr_Conv2D_kind;
#define gr_Conv1D(...) GR_SPEC(gr_Conv1D, .filters = __VA_ARGS__)
#define gr_Conv2D(...) GR_SPEC(gr_Conv2D, .filters = __VA_ARGS__)

/* A convolution of every channel by itself, with depth_multiplier results each.
 *     gr_DepthwiseConv2D(GR_SHAPE(3), .padding = "same")
 *   x        float [B, h, w, c]   -> [B, h', w', c * depth_multiplier]
 *   weights  kernel [kh, kw, c, depth_multiplier], bias [c * depth_multiplier] */
typedef struct {
    gr_layer base;
    gr_shape kernel_size; /* required */
    gr_shape strides;
    const char *padding;
    int depth_multiplier; /* 1 */
    gr_shape dilation_rate;
    const char *activation, *depthwise_initializer, *bias_initializer; /* none, glorot_uniform, zeros */
    const gr_initializer *depthwise_initializer_spec, *bias_initializer_spec;
    bool no_bias;
    const char *name;
} gr_DepthwiseConv2D_spec;
typedef gr_DepthwiseConv2D_spec gr_DepthwiseConv1D_spec;
extern GR_API const gr_layer_kind gr_DepthwiseConv1D_kind, gr_DepthwiseConv2D_kind;
#define gr_DepthwiseConv1D(...) GR_SPEC(gr_DepthwiseConv1D, .kernel_size = __VA_ARGS__)
#define gr_DepthwiseConv2D(...) GR_SPEC(gr_DepthwiseConv2D, .kernel_size = __VA_ARGS__)

/* A depthwise convolution, then one of 1 x 1 over the channels.
 *     gr_SeparableConv2D(32, GR_SHAPE(3), .padding = "same")
 *   weights  depthwise_kernel [kh, kw, c, depth_multiplier], pointwise_kernel [1, 1, c * depth_multiplier, filters],
 *            bias [filters] */
typedef struct {
    gr_layer base;
    int filters;          /* >= 1 */
    gr_shape kernel_size; /* required */
    gr_shape strides;
    const char *padding;
    gr_shape dilation_rate;
    int depth_multiplier; /* 1 */
    const char *activation, *depthwise_initializer, *pointwise_initializer, *bias_initializer;
    const gr_initializer *depthwise_initializer_spec, *pointwise_initializer_spec, *bias_initializer_spec;
    bool no_bias;
    const char *name;
} gr_SeparableConv2D_spec;
typedef gr_SeparableConv2D_spec gr_SeparableConv1D_spec;
extern GR_API const gr_layer_kind gr_SeparableConv1D_kind, gr_SeparableConv2D_kind;
#define gr_SeparableConv1D(...) GR_SPEC(gr_SeparableConv1D, .filters = __VA_ARGS__)
#define gr_SeparableConv2D(...) GR_SPEC(gr_SeparableConv2D, .filters = __VA_ARGS__)

/* The transposed convolution of ops/conv_ops.h: [B, h, w, c] -> [B, h', w', filters], larger by the strides.
 *   weights  kernel [kh, kw, filters, c], bias [filters]; options as of Conv2D, without groups */
typedef gr_Conv2D_spec gr_Conv1DTranspose_spec, gr_Conv2DTranspose_spec;
extern GR_API const gr_layer_kind gr_Conv1DTranspose_kind, gr_Conv2DTranspose_kind;
#define gr_Conv1DTranspose(...) GR_SPEC(gr_Conv1DTranspose, .filters = __VA_ARGS__)
#define gr_Conv2DTranspose(...) GR_SPEC(gr_Conv2DTranspose, .filters = __VA_ARGS__)

/* The largest element, or the mean, of each window; see ops/pool_ops.h.
 *     gr_MaxPooling2D()                                windows of 2 x 2, side by side
 *     gr_AveragePooling2D(GR_SHAPE(3), .strides = GR_SHAPE(2), .padding = "same")
 *   options  pool_size (2 for the largest, required for the mean), strides (pool_size), padding (valid, same) */
typedef struct {
    gr_layer base;
    gr_shape pool_size;
    gr_shape strides;
    const char *padding;
    const char *name;
} gr_MaxPooling2D_spec;
typedef gr_MaxPooling2D_spec gr_MaxPooling1D_spec, gr_AveragePooling1D_spec, gr_AveragePooling2D_spec;
extern GR_API const gr_layer_kind gr_MaxPooling1D_kind, gr_MaxPooling2D_kind, gr_AveragePooling1D_kind,
    gr_AveragePooling2D_kind;
#define gr_MaxPooling1D(...)     GR_SPEC(gr_MaxPooling1D, __VA_ARGS__)
#define gr_MaxPooling2D(...)     GR_SPEC(gr_MaxPooling2D, __VA_ARGS__)
#define gr_AveragePooling1D(...) GR_SPEC(gr_AveragePooling1D, .pool_size = __VA_ARGS__)
#define gr_AveragePooling2D(...) GR_SPEC(gr_AveragePooling2D, .pool_size = __VA_ARGS__)

/* The largest element, or the mean, of each channel: [B, h, w, c] -> [B, c], or [B, 1, 1, c] with keepdims. */
typedef struct {
    gr_layer base;
    bool keepdims;
    const char *name;
} gr_GlobalMaxPooling2D_spec;
typedef gr_GlobalMaxPooling2D_spec gr_GlobalMaxPooling1D_spec, gr_GlobalAveragePooling1D_spec,
    gr_GlobalAveragePooling2D_spec;
extern GR_API const gr_layer_kind gr_GlobalMaxPooling1D_kind, gr_GlobalMaxPooling2D_kind,
    gr_GlobalAveragePooling1D_kind, gr_GlobalAveragePooling2D_kind;
#define gr_GlobalMaxPooling1D(...)     GR_SPEC(gr_GlobalMaxPooling1D, __VA_ARGS__)
#define gr_GlobalMaxPooling2D(...)     GR_SPEC(gr_GlobalMaxPooling2D, __VA_ARGS__)
#define gr_GlobalAveragePooling1D(...) GR_SPEC(gr_GlobalAveragePooling1D, __VA_ARGS__)
#define gr_GlobalAveragePooling2D(...) GR_SPEC(gr_GlobalAveragePooling2D, __VA_ARGS__)

/* Zeros around a picture, or as much of it cut off: [B, h, w, c].
 *   options  padding or cropping: one number for all sides (1), two for height and width, or top, bottom, left,
 *            right */
typedef struct {
    gr_layer base;
    gr_shape padding;
    const char *name;
} gr_ZeroPadding2D_spec;
extern GR_API const gr_layer_kind gr_ZeroPadding2D_kind;
#define gr_ZeroPadding2D(...) GR_SPEC(gr_ZeroPadding2D, __VA_ARGS__)
typedef struct {
    gr_layer base;
    gr_shape cropping;
    const char *name;
} gr_Cropping2D_spec;
extern GR_API const gr_layer_kind gr_Cropping2D_kind;
#define gr_Cropping2D(...) GR_SPEC(gr_Cropping2D, __VA_ARGS__)

/* Every pixel repeated: [B, h, w, c] -> [B, h * size[0], w * size[1], c]; size 2 by default. */
typedef struct {
    gr_layer base;
    gr_shape size;
    const char *name;
} gr_UpSampling2D_spec;
extern GR_API const gr_layer_kind gr_UpSampling2D_kind;
#define gr_UpSampling2D(...) GR_SPEC(gr_UpSampling2D, __VA_ARGS__)

GR_END
#endif
