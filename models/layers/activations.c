/* models/layers/activations.c: activations that are layers of their own; see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

static gr_tensor *relu_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_ReLU_spec *s = spec;
    gr_tensor *y = gr_relu(x);
    if (s->threshold != 0)
        y = gr_where(gr_greater(x, gr_scalar(x, s->threshold)), x, gr_zeros_like(x));
    if (s->max_value > 0)
        y = gr_clip_at(GR_HERE, y, 0, s->max_value);
    if (s->negative_slope != 0) {
        gr_tensor *below = gr_relu(gr_sub(gr_scalar(x, s->threshold), x));
        y = gr_sub(y, gr_mul(below, gr_scalar(x, s->negative_slope)));
    }
    return y;
}

static gr_tensor *leaky_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    return gr_leaky_relu(x, .negative_slope = ((const gr_LeakyReLU_spec *)spec)->negative_slope);
}

static gr_tensor *elu_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    return gr_elu(x, .alpha = ((const gr_ELU_spec *)spec)->alpha);
}

static gr_tensor *softmax_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    return gr_softmax(x, .axes = GR_SHAPE(((const gr_Softmax_spec *)spec)->axis));
}

static const gr_field relu_fields[] = {GR_DOUBLE(gr_ReLU_spec, max_value, .has_min = true),
    GR_DOUBLE(gr_ReLU_spec, negative_slope, .has_min = true), GR_DOUBLE(gr_ReLU_spec, threshold, .has_min = true),
    GR_STRING(gr_ReLU_spec, name), {0}};
static const gr_field leaky_fields[] = {GR_DOUBLE(gr_LeakyReLU_spec, negative_slope, .def = 0.3, .above_min = true),
    GR_STRING(gr_LeakyReLU_spec, name), {0}};
static const gr_field elu_fields[] = {
    GR_DOUBLE(gr_ELU_spec, alpha, .def = 1, .above_min = true), GR_STRING(gr_ELU_spec, name), {0}};
static const gr_field softmax_fields[] = {
    GR_INT(gr_Softmax_spec, axis, .def = -1, .flag = GR_FLAG(gr_Softmax_spec, has_axis)),
    GR_STRING(gr_Softmax_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call = f}
ROW(ReLU, relu_call, relu_fields);
ROW(LeakyReLU, leaky_call, leaky_fields);
ROW(ELU, elu_call, elu_fields);
ROW(Softmax, softmax_call, softmax_fields);
