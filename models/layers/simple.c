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
static gr_tensor *permute_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_Permute_spec *s = spec;
    gr_shape axes = {.rank = s->dims.rank + 1};
    char text[200];
    if (axes.rank > GR_MAX_RANK || (gr_status_of(x) == GR_OK && gr_rank(x) != axes.rank))
        return gr_op_fail(s->base.at, GR_ESHAPE, "Permute", "dims", 1, &x,
            "expected each axis after the batch axis, from 1, found %s", gr_shape_text(s->dims, text, sizeof text));
    for (int64_t i = 1; i < axes.rank; i++)
        axes.dim[i] = s->dims.dim[i - 1];
    return gr_transpose(x, axes);
}
static gr_tensor *repeat_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_RepeatVector_spec *s = spec;
    if (gr_status_of(x) == GR_OK && gr_rank(x) != 2)
        return gr_op_fail(s->base.at, GR_ESHAPE, "RepeatVector", "x", 1, &x, "expected rank 2, found %lld",
            (long long)gr_rank(x));
    gr_shape d = gr_shape_of(x);
    return gr_broadcast_to(gr_expand_dims(x, GR_SHAPE(1)), GR_SHAPE(d.dim[0], s->n, d.dim[1]));
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
static const gr_field permute_fields[] = {
    GR_SHAPE_FIELD(gr_Permute_spec, dims, .required = true), GR_STRING(gr_Permute_spec, name), {0}};
static const gr_field repeat_fields[] = {
    GR_INT(gr_RepeatVector_spec, n, .required = true, .min = 1), GR_STRING(gr_RepeatVector_spec, name), {0}};
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
ROW(Permute, permute_call, permute_fields);
ROW(RepeatVector, repeat_call, repeat_fields);

#define KIND(id) {&gr_##id##_kind.kind, NULL}
const gr_kind_entry gr__layers[] = {
    KIND(Input), KIND(Dense), KIND(Activation), KIND(BatchNormalization), KIND(LayerNormalization), KIND(Dropout),
    KIND(Flatten), KIND(Reshape), KIND(Rescaling), KIND(Permute), KIND(RepeatVector), KIND(Embedding), KIND(Conv1D),
    KIND(Conv2D), KIND(DepthwiseConv1D), KIND(DepthwiseConv2D), KIND(SeparableConv1D), KIND(SeparableConv2D),
    KIND(Conv1DTranspose), KIND(Conv2DTranspose), KIND(MaxPooling1D), KIND(MaxPooling2D),
    KIND(AveragePooling1D), KIND(AveragePooling2D), KIND(GlobalMaxPooling1D), KIND(GlobalMaxPooling2D),
    KIND(GlobalAveragePooling1D), KIND(GlobalAveragePooling2D), KIND(ZeroPadding2D), KIND(Cropping2D),
    KIND(UpSampling2D), KIND(ReLU), KIND(LeakyReLU), KIND(ELU), KIND(Softmax), KIND(Add), KIND(Multiply),
    KIND(Subtract), KIND(Average), KIND(Maximum), KIND(Minimum), KIND(Concatenate),
    KIND(LSTM), KIND(GRU), KIND(SimpleRNN), KIND(Bidirectional), KIND(TimeDistributed),
    KIND(MultiHeadAttention), {NULL, NULL}};
