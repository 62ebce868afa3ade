/* models/layers/convolution.c: Conv1D, Conv2D, the depthwise, separable and transposed ones; see images.h. */
#include "core/size.h"
#include "models/layers/layers.h"
#include "ops/ops.h"

/* x is [B, .., c] with as many axes as the layer's name says; its channels, or 0 and a message. */
static int64_t channels_of(const gr_layer *l, gr_tensor *x, int axes)
{
    if (gr_status_of(x) != GR_OK)
        return 0;
    int64_t c = gr_rank(x) == axes + 2 ? gr_dim(x, -1) : GR_BATCH;
    if (c > 0)
        return c;
    gr_op_fail(l->at, GR_ESHAPE, l->kind->name, "x", 1, &x, "expected [B, %s, channels], found rank %lld",
        axes == 1 ? "length" : "height, width", (long long)gr_rank(x));
    return 0;
}

/* Sizes of the kernel along the axes into s; false and a message if they are not that many. */
static bool kernel_sizes(const gr_layer *l, gr_shape size, int axes, gr_tensor *x, gr_shape *s)
{
    char text[200];
    bool good = size.rank == 1 || size.rank == axes;
    s->rank = axes + 2;
    for (int i = 0; good && i < axes; i++) {
        s->dim[i] = size.dim[size.rank == 1 ? 0 : i];
        good = s->dim[i] >= 1;
    }
    if (!good)
        gr_op_fail(l->at, GR_ESHAPE, l->kind->name, "kernel_size", 1, &x, "expected %d sizes of 1 or more, found %s",
            axes, gr_shape_text(size, text, sizeof text));
    return good;
}

static gr_tensor *conv_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Conv2D_spec *s = spec;
    const gr_layer *l = &s->base;
    const int axes = l->kind == &gr_Conv1D_kind ? 1 : 2;
    gr_shape k = GR_RANK0;
    const int64_t c = channels_of(l, x, axes);
    if (!c || !kernel_sizes(l, s->kernel_size, axes, x, &k))
        return GR_BAD;
    if (c % s->groups || s->filters % s->groups)
        return gr_op_fail(l->at, GR_ESHAPE, l->kind->name, "groups", 1, &x,
            "expected a divisor of the %lld channels and the %d filters, found %d", (long long)c, s->filters,
            s->groups);
    k.dim[axes] = c / s->groups;
    k.dim[axes + 1] = s->filters;
    gr_tensor *kernel =
        gr_weight(b, "kernel", k, .init = s->kernel_initializer, .init_spec = s->kernel_initializer_spec);
    gr_tensor *y = gr_conv(x, kernel, .strides = s->strides, .dilation = s->dilation_rate, .padding = s->padding);
    if (!s->no_bias)
        y = gr_add(y, gr_weight(b, "bias", GR_SHAPE(s->filters), .init = s->bias_initializer,
                          .init_spec = s->bias_initializer_spec));
    return gr_activation_at(l->at, b, s->activation, y);
}

static gr_tensor *depthwise_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_DepthwiseConv2D_spec *s = spec;
    const gr_layer *l = &s->base;
    const int axes = l->kind == &gr_DepthwiseConv1D_kind ? 1 : 2;
    gr_shape k = GR_RANK0;
    const int64_t c = channels_of(l, x, axes);
    if (!c || !kernel_sizes(l, s->kernel_size, axes, x, &k))
        return GR_BAD;
    k.dim[axes] = c;
    k.dim[axes + 1] = s->depth_multiplier;
    gr_tensor *kernel =
        gr_weight(b, "kernel", k, .init = s->depthwise_initializer, .init_spec = s->depthwise_initializer_spec);
    gr_tensor *y =
        gr_depthwise_conv(x, kernel, .strides = s->strides, .dilation = s->dilation_rate, .padding = s->padding);
    if (!s->no_bias && gr_status_of(y) == GR_OK)
        y = gr_add(y, gr_weight(b, "bias", GR_SHAPE(gr_dim(y, -1)), .init = s->bias_initializer,
                          .init_spec = s->bias_initializer_spec));
    return gr_activation_at(l->at, b, s->activation, y);
}

static gr_tensor *separable_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_SeparableConv2D_spec *s = spec;
    const gr_layer *l = &s->base;
    const int axes = l->kind == &gr_SeparableConv1D_kind ? 1 : 2;
    gr_shape k = GR_RANK0;
    const int64_t c = channels_of(l, x, axes);
    if (!c || !kernel_sizes(l, s->kernel_size, axes, x, &k))
        return GR_BAD;
    k.dim[axes] = c;
    k.dim[axes + 1] = s->depth_multiplier;
    int64_t middle;
    if (!gr__mul(c, s->depth_multiplier, &middle))
        return gr_op_fail(l->at, GR_ESHAPE, l->kind->name, "depth_multiplier", 1, &x,
            "expected a number of channels below 2^63, found %d times as many", s->depth_multiplier);
    const gr_shape one = axes == 1 ? GR_SHAPE(1, middle, s->filters) : GR_SHAPE(1, 1, middle, s->filters);
    gr_tensor *deep = gr_weight(b, "depthwise_kernel", k, .init = s->depthwise_initializer,
        .init_spec = s->depthwise_initializer_spec);
    gr_tensor *point = gr_weight(b, "pointwise_kernel", one, .init = s->pointwise_initializer,
        .init_spec = s->pointwise_initializer_spec);
    gr_tensor *y =
        gr_depthwise_conv(x, deep, .strides = s->strides, .dilation = s->dilation_rate, .padding = s->padding);
    y = gr_conv(y, point);
    if (!s->no_bias)
        y = gr_add(y, gr_weight(b, "bias", GR_SHAPE(s->filters), .init = s->bias_initializer,
                          .init_spec = s->bias_initializer_spec));
    return gr_activation_at(l->at, b, s->activation, y);
}

static gr_tensor *transpose_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Conv2D_spec *s = spec;
    const gr_layer *l = &s->base;
    const int axes = l->kind == &gr_Conv1DTranspose_kind ? 1 : 2;
    gr_shape k = GR_RANK0;
    const int64_t c = channels_of(l, x, axes);
    if (!c || !kernel_sizes(l, s->kernel_size, axes, x, &k))
        return GR_BAD;
    k.dim[axes] = s->filters;
    k.dim[axes + 1] = c;
    gr_tensor *kernel =
        gr_weight(b, "kernel", k, .init = s->kernel_initializer, .init_spec = s->kernel_initializer_spec);
    gr_tensor *y =
        gr_conv_transpose(x, kernel, .strides = s->strides, .dilation = s->dilation_rate, .padding = s->padding);
    if (!s->no_bias)
        y = gr_add(y, gr_weight(b, "bias", GR_SHAPE(s->filters), .init = s->bias_initializer,
                          .init_spec = s->bias_initializer_spec));
    return gr_activation_at(l->at, b, s->activation, y);
}

static const gr_field conv_fields[] = {GR_INT(gr_Conv2D_spec, filters, .required = true, .min = 1),
    GR_SHAPE_FIELD(gr_Conv2D_spec, kernel_size, .required = true), GR_SHAPE_FIELD(gr_Conv2D_spec, strides),
    GR_STRING(gr_Conv2D_spec, padding, .def_string = "valid"), GR_SHAPE_FIELD(gr_Conv2D_spec, dilation_rate),
    GR_INT(gr_Conv2D_spec, groups, .def = 1, .min = 1), GR_STRING(gr_Conv2D_spec, activation),
    GR_STRING(gr_Conv2D_spec, kernel_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_Conv2D_spec, bias_initializer, .def_string = "zeros"),
    GR_SPEC_FIELD(gr_Conv2D_spec, kernel_initializer_spec), GR_SPEC_FIELD(gr_Conv2D_spec, bias_initializer_spec),
    GR_BOOL(gr_Conv2D_spec, no_bias), GR_STRING(gr_Conv2D_spec, name), {0}};
static const gr_field depthwise_fields[] = {GR_SHAPE_FIELD(gr_DepthwiseConv2D_spec, kernel_size, .required = true),
    GR_SHAPE_FIELD(gr_DepthwiseConv2D_spec, strides),
    GR_STRING(gr_DepthwiseConv2D_spec, padding, .def_string = "valid"),
    GR_INT(gr_DepthwiseConv2D_spec, depth_multiplier, .def = 1, .min = 1),
    GR_SHAPE_FIELD(gr_DepthwiseConv2D_spec, dilation_rate), GR_STRING(gr_DepthwiseConv2D_spec, activation),
    GR_STRING(gr_DepthwiseConv2D_spec, depthwise_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_DepthwiseConv2D_spec, bias_initializer, .def_string = "zeros"),
    GR_SPEC_FIELD(gr_DepthwiseConv2D_spec, depthwise_initializer_spec),
    GR_SPEC_FIELD(gr_DepthwiseConv2D_spec, bias_initializer_spec), GR_BOOL(gr_DepthwiseConv2D_spec, no_bias),
    GR_STRING(gr_DepthwiseConv2D_spec, name), {0}};
static const gr_field transpose_fields[] = {GR_INT(gr_Conv2D_spec, filters, .required = true, .min = 1),
    GR_SHAPE_FIELD(gr_Conv2D_spec, kernel_size, .required = true), GR_SHAPE_FIELD(gr_Conv2D_spec, strides),
    GR_STRING(gr_Conv2D_spec, padding, .def_string = "valid"), GR_SHAPE_FIELD(gr_Conv2D_spec, dilation_rate),
    GR_STRING(gr_Conv2D_spec, activation),
    GR_STRING(gr_Conv2D_spec, kernel_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_Conv2D_spec, bias_initializer, .def_string = "zeros"),
    GR_SPEC_FIELD(gr_Conv2D_spec, kernel_initializer_spec), GR_SPEC_FIELD(gr_Conv2D_spec, bias_initializer_spec),
    GR_BOOL(gr_Conv2D_spec, no_bias), GR_STRING(gr_Conv2D_spec, name), {0}};
static const gr_field separable_fields[] = {GR_INT(gr_SeparableConv2D_spec, filters, .required = true, .min = 1),
    GR_SHAPE_FIELD(gr_SeparableConv2D_spec, kernel_size, .required = true),
    GR_SHAPE_FIELD(gr_SeparableConv2D_spec, strides),
    GR_STRING(gr_SeparableConv2D_spec, padding, .def_string = "valid"),
    GR_SHAPE_FIELD(gr_SeparableConv2D_spec, dilation_rate),
    GR_INT(gr_SeparableConv2D_spec, depth_multiplier, .def = 1, .min = 1),
    GR_STRING(gr_SeparableConv2D_spec, activation),
    GR_STRING(gr_SeparableConv2D_spec, depthwise_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_SeparableConv2D_spec, pointwise_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_SeparableConv2D_spec, bias_initializer, .def_string = "zeros"),
    GR_SPEC_FIELD(gr_SeparableConv2D_spec, depthwise_initializer_spec),
    GR_SPEC_FIELD(gr_SeparableConv2D_spec, pointwise_initializer_spec),
    GR_SPEC_FIELD(gr_SeparableConv2D_spec, bias_initializer_spec), GR_BOOL(gr_SeparableConv2D_spec, no_bias),
    GR_STRING(gr_SeparableConv2D_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call = f}
ROW(Conv1D, conv_call, conv_fields);
ROW(Conv2D, conv_call, conv_fields);
ROW(DepthwiseConv1D, depthwise_call, depthwise_fields);
ROW(DepthwiseConv2D, depthwise_call, depthwise_fields);
ROW(SeparableConv1D, separable_call, separable_fields);
ROW(SeparableConv2D, separable_call, separable_fields);
ROW(Conv1DTranspose, transpose_call, transpose_fields);
ROW(Conv2DTranspose, transpose_call, transpose_fields);
