/* models/layers/simple.c: the layers without weights, and the list of all. See layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

static gr_tensor *input_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b, (void)spec;
    return x;
}
static gr_tensor *activation_call(gr_build *b, const void *spec, gr_tensor *x)
{
    return gr_activation(b, ((const gr_Activation_spec *)spec)->activation, x);
}
static gr_tensor *dropout_call(gr_build *b, const void *spec, gr_tensor *x)
{
    double rate = ((const gr_Dropout_spec *)spec)->rate;
    return gr_build_training(b) && rate > 0 ? gr_dropout(x, rate) : x;
}
static gr_tensor *flatten_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_Flatten_spec *s = spec;
    gr_shape shape = gr_shape_of(x), to = {.rank = 2, .dim = {shape.dim[0], 1}};
    if (shape.rank < 1)
        return gr_op_fail(s->base.at, GR_ESHAPE, "Flatten", "x", 1, &x, "expected a batch axis, found rank 0");
    for (int64_t i = 1; i < shape.rank; i++) {
        if (gr_dim_is_batch(shape.dim[i]))
            return gr_op_fail(
                s->base.at, GR_ESHAPE, "Flatten", "x", 1, &x, "expected known sizes after the batch axis");
        to.dim[1] *= shape.dim[i]; /* the sizes of a tensor that exists: no overflow */
    }
    return gr_reshape(x, to);
}
static gr_tensor *reshape_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_Reshape_spec *s = spec;
    gr_shape to = {.rank = s->target_shape.rank + 1};
    if (gr_rank(x) < 1 || to.rank > GR_MAX_RANK)
        return gr_op_fail(s->base.at, GR_ESHAPE, "Reshape", "target_shape", 1, &x,
            "expected a batch axis and rank < %d", GR_MAX_RANK);
    to.dim[0] = gr_shape_of(x).dim[0];
    for (int64_t i = 1; i < to.rank; i++)
        to.dim[i] = s->target_shape.dim[i - 1];
    return gr_reshape(x, to);
}
static gr_tensor *rescaling_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Rescaling_spec *s = spec;
    if (!gr_dtype_is_float(gr_dtype_of(x)))
        x = gr_cast(x, gr_build_dtype(b));
    gr_tensor *y = gr_mul(x, gr_scalar(x, s->scale));
    return s->offset != 0 ? gr_add(y, gr_scalar(y, s->offset)) : y;
}

static const gr_field input_fields[] = {GR_SHAPE_FIELD(gr_Input_spec, shape),
    GR_DTYPE_FIELD(gr_Input_spec, dtype, .def = GR_F32), GR_STRING(gr_Input_spec, name), {0}};
static const gr_field activation_fields[] = {
    GR_STRING(gr_Activation_spec, activation, .required = true), GR_STRING(gr_Activation_spec, name), {0}};
static const gr_field dropout_fields[] = {
    GR_DOUBLE(gr_Dropout_spec, rate, .has_min = true, .max = 1), GR_STRING(gr_Dropout_spec, name), {0}};
static const gr_field flatten_fields[] = {GR_STRING(gr_Flatten_spec, name), {0}};
static const gr_field reshape_fields[] = {
    GR_SHAPE_FIELD(gr_Reshape_spec, target_shape), GR_STRING(gr_Reshape_spec, name), {0}};
static const gr_field rescaling_fields[] = {GR_DOUBLE(gr_Rescaling_spec, scale, .required = true),
    GR_DOUBLE(gr_Rescaling_spec, offset), GR_STRING(gr_Rescaling_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call = f}
ROW(Input, input_call, input_fields);
ROW(Activation, activation_call, activation_fields);
ROW(Dropout, dropout_call, dropout_fields);
ROW(Flatten, flatten_call, flatten_fields);
ROW(Reshape, reshape_call, reshape_fields);
ROW(Rescaling, rescaling_call, rescaling_fields);

const gr_kind_entry gr__layers[] = {{&gr_Input_kind.kind, NULL}, {&gr_Dense_kind.kind, NULL},
    {&gr_Activation_kind.kind, NULL}, {&gr_BatchNormalization_kind.kind, NULL},
    {&gr_LayerNormalization_kind.kind, NULL}, {&gr_Dropout_kind.kind, NULL}, {&gr_Flatten_kind.kind, NULL},
    {&gr_Reshape_kind.kind, NULL}, {&gr_Rescaling_kind.kind, NULL}, {NULL, NULL}};
