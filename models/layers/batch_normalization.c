/* models/layers/batch_normalization.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

/* moving = moving * momentum + batch * (1 - momentum) */
static gr_status follow(gr_tensor *moving, gr_tensor *batch, double momentum)
{
    gr_tensor *kept = gr_mul(moving, gr_scalar(moving, momentum));
    return gr_status_of(
        gr_assign(moving, gr_add(kept, gr_mul(gr_stop_gradient(batch), gr_scalar(moving, 1 - momentum)))));
}

static gr_tensor *batch_normalization_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_BatchNormalization_spec *s = spec;
    int64_t rank = gr_rank(x), axis;
    if (rank < 2 || !gr_axis(s->axis, rank, &axis) || gr_dim(x, axis) == GR_BATCH)
        return gr_op_fail(s->base.at, GR_ESHAPE, "BatchNormalization", "axis", 1, &x,
            "expected at least 2 axes and one of known size, found axis %d of %lld", s->axis, (long long)rank);
    gr_shape n = GR_SHAPE(gr_dim(x, axis));
    gr_tensor *gamma = s->no_scale ? NULL : gr_weight(b, "gamma", n, .init = "ones");
    gr_tensor *beta = s->no_center ? NULL : gr_weight(b, "beta", n, .init = "zeros");
    gr_tensor *moving_mean = gr_weight(b, "moving_mean", n, .init = "zeros", .not_trainable = true);
    gr_tensor *moving_variance = gr_weight(b, "moving_variance", n, .init = "ones", .not_trainable = true);
    if (!gr_build_training(b))
        return gr_batch_norm(
            x, gamma, beta, moving_mean, moving_variance, .axes = GR_SHAPE(axis), .epsilon = s->epsilon);
    gr_tensor *mean = NULL, *variance = NULL;
    gr_tensor *y = gr_batch_norm(x, gamma, beta, .axes = GR_SHAPE(axis), .epsilon = s->epsilon, .batch_mean = &mean,
        .batch_variance = &variance);
    if (gr_status_of(y) != GR_OK || follow(moving_mean, mean, s->momentum) != GR_OK ||
        follow(moving_variance, variance, s->momentum) != GR_OK)
        return GR_BAD;
    return y;
}

static const gr_field fields[] = {
    GR_INT(gr_BatchNormalization_spec, axis, .def = -1, .flag = GR_FLAG(gr_BatchNormalization_spec, has_axis)),
    GR_DOUBLE(gr_BatchNormalization_spec, momentum, .def = 0.99, .has_min = true, .max = 1,
        .flag = GR_FLAG(gr_BatchNormalization_spec, has_momentum)),
    GR_DOUBLE(gr_BatchNormalization_spec, epsilon, .def = 1e-3, .above_min = true),
    GR_BOOL(gr_BatchNormalization_spec, no_center), GR_BOOL(gr_BatchNormalization_spec, no_scale),
    GR_STRING(gr_BatchNormalization_spec, name), {0}};
const gr_layer_kind gr_BatchNormalization_kind = {.name = "BatchNormalization",
    .size = sizeof(gr_BatchNormalization_spec),
    .fields = fields,
    .family = "layer",
    .call = batch_normalization_call};
