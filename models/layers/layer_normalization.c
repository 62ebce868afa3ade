/* models/layers/layer_normalization.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

static gr_tensor *layer_normalization_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_LayerNormalization_spec *s = spec;
    int64_t rank = gr_rank(x), axis;
    if (!gr_axis(s->axis, rank, &axis) || gr_dim(x, axis) == GR_BATCH)
        return gr_op_fail(s->base.at, GR_ESHAPE, "LayerNormalization", "axis", 1, &x,
            "expected an axis of known size, found axis %d of %lld", s->axis, (long long)rank);
    gr_shape n = GR_SHAPE(gr_dim(x, axis));
    gr_tensor *gamma = s->no_scale ? NULL : gr_weight(b, "gamma", n, .init = "ones");
    gr_tensor *beta = s->no_center ? NULL : gr_weight(b, "beta", n, .init = "zeros");
    return gr_layer_norm(x, gamma, beta, .axes = GR_SHAPE(axis), .epsilon = s->epsilon);
}

static const gr_field fields[] = {
    GR_INT(gr_LayerNormalization_spec, axis, .def = -1, .flag = GR_FLAG(gr_LayerNormalization_spec, has_axis)),
    GR_DOUBLE(gr_LayerNormalization_spec, epsilon, .def = 1e-3, .above_min = true),
    GR_BOOL(gr_LayerNormalization_spec, no_center), GR_BOOL(gr_LayerNormalization_spec, no_scale),
    GR_STRING(gr_LayerNormalization_spec, name), {0}};
const gr_layer_kind gr_LayerNormalization_kind = {.name = "LayerNormalization",
    .size = sizeof(gr_LayerNormalization_spec),
    .fields = fields,
    .family = "layer",
    .call = layer_normalization_call};
