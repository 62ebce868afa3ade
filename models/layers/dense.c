/* models/layers/dense.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

static gr_tensor *dense_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Dense_spec *s = spec;
    int64_t n = gr_rank(x) >= 2 ? gr_dim(x, -1) : GR_BATCH;
    if (n == GR_BATCH)
        return gr_op_fail(s->base.at, GR_ESHAPE, "Dense", "x", 1, &x,
            "expected at least 2 axes and a last one of known size, found %lld axes", (long long)gr_rank(x));
    gr_tensor *kernel = gr_weight(
        b, "kernel", GR_SHAPE(n, s->units), .init = s->kernel_initializer, .init_spec = s->kernel_initializer_spec);
    gr_tensor *y = gr_matmul(x, kernel);
    if (!s->no_bias)
        y = gr_add(y, gr_weight(b, "bias", GR_SHAPE(s->units), .init = s->bias_initializer,
                          .init_spec = s->bias_initializer_spec));
    return gr_activation(b, s->activation, y);
}

static const gr_field fields[] = {GR_INT(gr_Dense_spec, units, .required = true, .min = 1),
    GR_STRING(gr_Dense_spec, activation), GR_STRING(gr_Dense_spec, kernel_initializer, .def_string = "glorot_uniform"),
    GR_STRING(gr_Dense_spec, bias_initializer, .def_string = "zeros"),
    GR_SPEC_FIELD(gr_Dense_spec, kernel_initializer_spec), GR_SPEC_FIELD(gr_Dense_spec, bias_initializer_spec),
    GR_BOOL(gr_Dense_spec, no_bias), GR_STRING(gr_Dense_spec, name), {0}};
const gr_layer_kind gr_Dense_kind = {
    .name = "Dense", .size = sizeof(gr_Dense_spec), .fields = fields, .family = "layer", .call = dense_call};
