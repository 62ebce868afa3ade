/* Gradients of layers in float64: models/layer_gradcheck.c and every layer of models/layers. */
#include "models/layer_gradcheck.h"
#include "models/layers/layers.h"
#include "ops/ops.h"
#include "tests/harness.h"

/* long: a table */
static void every_layer_has_the_right_gradient(void)
{
    const struct {
        const char *why;
        gr_layer_gradcheck_opts o;
    } rows[] = {
        {"dense", {.layer = gr_Dense(4, .activation = "tanh"), .shape = GR_SHAPE(5, 3)}},
        {"dense without bias on three axes", {.layer = gr_Dense(2, .no_bias = true), .shape = GR_SHAPE(2, 3, 4)}},
        {"dense ending in softmax", {.layer = gr_Dense(4, .activation = "softmax"), .shape = GR_SHAPE(3, 3)}},
        {"batch norm in training", {.layer = gr_BatchNormalization(), .shape = GR_SHAPE(6, 3)}},
        {"batch norm of images", {.layer = gr_BatchNormalization(), .shape = GR_SHAPE(2, 3, 2, 4)}},
        {"batch norm along axis 1", {.layer = gr_BatchNormalization(.axis = 1), .shape = GR_SHAPE(3, 4, 2)}},
        {"batch norm in inference", {.layer = gr_BatchNormalization(), .shape = GR_SHAPE(6, 3), .inference = true}},
        {"batch norm without scale and centre",
            {.layer = gr_BatchNormalization(.no_scale = true, .no_center = true), .shape = GR_SHAPE(6, 3)}},
        {"layer norm", {.layer = gr_LayerNormalization(), .shape = GR_SHAPE(4, 5)}},
        {"layer norm along axis 1", {.layer = gr_LayerNormalization(.axis = 1), .shape = GR_SHAPE(2, 4, 3)}},
        {"dropout", {.layer = gr_Dropout(0.4), .shape = GR_SHAPE(5, 7)}},
        {"flatten", {.layer = gr_Flatten(), .shape = GR_SHAPE(2, 3, 4)}},
        {"reshape", {.layer = gr_Reshape(GR_SHAPE(4, -1)), .shape = GR_SHAPE(2, 3, 4)}},
        {"rescaling", {.layer = gr_Rescaling(0.5, .offset = 1), .shape = GR_SHAPE(2, 3)}},
        {"conv 2d", {.layer = gr_Conv2D(4, GR_SHAPE(3, 2), .activation = "tanh"), .shape = GR_SHAPE(2, 5, 4, 3)}},
        {"conv 2d, same, strides", {.layer = gr_Conv2D(3, GR_SHAPE(3), .strides = GR_SHAPE(2), .padding = "same"),
            .shape = GR_SHAPE(2, 5, 6, 2), .second = true}},
        {"conv 2d, holes and groups", {.layer = gr_Conv2D(4, GR_SHAPE(2), .dilation_rate = GR_SHAPE(2), .groups = 2,
            .no_bias = true), .shape = GR_SHAPE(2, 5, 6, 4)}},
        {"conv 1d, causal", {.layer = gr_Conv1D(3, GR_SHAPE(3), .padding = "causal"), .shape = GR_SHAPE(2, 6, 2)}},
        {"depthwise conv 2d", {.layer = gr_DepthwiseConv2D(GR_SHAPE(3), .depth_multiplier = 2),
            .shape = GR_SHAPE(2, 4, 5, 3)}},
        {"depthwise conv 1d", {.layer = gr_DepthwiseConv1D(GR_SHAPE(3), .padding = "same"),
            .shape = GR_SHAPE(2, 5, 3)}},
        {"separable conv 2d", {.layer = gr_SeparableConv2D(4, GR_SHAPE(3), .depth_multiplier = 2),
            .shape = GR_SHAPE(2, 4, 5, 3)}},
        {"separable conv 1d", {.layer = gr_SeparableConv1D(4, GR_SHAPE(3), .strides = GR_SHAPE(2)),
            .shape = GR_SHAPE(2, 7, 3)}},
        {"transposed conv 2d", {.layer = gr_Conv2DTranspose(2, GR_SHAPE(3), .strides = GR_SHAPE(2),
            .padding = "same", .activation = "tanh"), .shape = GR_SHAPE(2, 3, 4, 3)}},
        {"transposed conv 1d", {.layer = gr_Conv1DTranspose(2, GR_SHAPE(2), .strides = GR_SHAPE(3)),
            .shape = GR_SHAPE(2, 4, 3)}},
        {"simple rnn", {.layer = gr_SimpleRNN(3), .shape = GR_SHAPE(2, 3, 2), .second = true}},
        {"lstm with first states", {.layer = gr_LSTM(3), .shape = GR_SHAPE(2, 3, 2),
            .more = {GR_SHAPE(2, 3), GR_SHAPE(2, 3)}}},
        {"lstm with other activations", {.layer = gr_LSTM(2, .activation = "softsign", .return_sequences = true),
            .shape = GR_SHAPE(2, 2, 2), .second = true}},
        {"gru, dropout", {.layer = gr_GRU(3, .return_sequences = true, .dropout = 0.3), .shape = GR_SHAPE(2, 3, 2)}},
        {"gru, resets before, dropout of the state", {.layer = gr_GRU(3, .no_reset_after = true,
            .recurrent_dropout = 0.3), .shape = GR_SHAPE(2, 3, 2), .second = true}},
        {"bidirectional", {.layer = gr_Bidirectional(gr_LSTM(2)), .shape = GR_SHAPE(2, 3, 2)}},
        {"time distributed", {.layer = gr_TimeDistributed(gr_Dense(2, .activation = "tanh")),
            .shape = GR_SHAPE(2, 3, 2)}},
        {"max pooling 2d", {.layer = gr_MaxPooling2D(), .shape = GR_SHAPE(2, 4, 6, 3)}},
        {"max pooling 1d", {.layer = gr_MaxPooling1D(.pool_size = GR_SHAPE(3), .strides = GR_SHAPE(2),
            .padding = "same"), .shape = GR_SHAPE(2, 7, 3)}},
        {"average pooling 2d", {.layer = gr_AveragePooling2D(GR_SHAPE(3), .strides = GR_SHAPE(1), .padding = "same"),
            .shape = GR_SHAPE(2, 4, 5, 2)}},
        {"average pooling 1d", {.layer = gr_AveragePooling1D(GR_SHAPE(2)), .shape = GR_SHAPE(2, 6, 2)}},
        {"global max pooling 2d", {.layer = gr_GlobalMaxPooling2D(), .shape = GR_SHAPE(2, 3, 4, 2)}},
        {"global max pooling 1d", {.layer = gr_GlobalMaxPooling1D(.keepdims = true), .shape = GR_SHAPE(2, 5, 2)}},
        {"global average pooling 2d", {.layer = gr_GlobalAveragePooling2D(.keepdims = true),
            .shape = GR_SHAPE(2, 3, 4, 2)}},
        {"global average pooling 1d", {.layer = gr_GlobalAveragePooling1D(), .shape = GR_SHAPE(2, 5, 2)}},
        {"zero padding", {.layer = gr_ZeroPadding2D(.padding = GR_SHAPE(1, 0, 2, 1)), .shape = GR_SHAPE(2, 3, 2, 2)}},
        {"cropping", {.layer = gr_Cropping2D(.cropping = GR_SHAPE(1, 0)), .shape = GR_SHAPE(2, 4, 2, 2)}},
        {"up sampling", {.layer = gr_UpSampling2D(.size = GR_SHAPE(2, 3)), .shape = GR_SHAPE(2, 3, 2, 2)}},
        {"permute", {.layer = gr_Permute(GR_SHAPE(3, 1, 2)), .shape = GR_SHAPE(2, 3, 4, 5)}},
        {"repeat vector", {.layer = gr_RepeatVector(3), .shape = GR_SHAPE(2, 4)}},
        {"relu with a slope, a threshold and a top", {.layer = gr_ReLU(.negative_slope = 0.2, .threshold = 0.1,
            .max_value = 0.7), .shape = GR_SHAPE(4, 5)}},
        {"leaky relu as a layer", {.layer = gr_LeakyReLU(), .shape = GR_SHAPE(4, 5)}},
        {"elu as a layer", {.layer = gr_ELU(.alpha = 0.5), .shape = GR_SHAPE(4, 5)}},
        {"softmax over axis 1", {.layer = gr_Softmax(.axis = 1), .shape = GR_SHAPE(2, 3, 4)}},
        {"add with broadcasting", {.layer = gr_Add(), .shape = GR_SHAPE(3, 4),
            .more = {GR_SHAPE(3, 1), GR_SHAPE(3, 4)}}},
        {"multiply", {.layer = gr_Multiply(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 4)}}},
        {"subtract", {.layer = gr_Subtract(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 4)}}},
        {"average", {.layer = gr_Average(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 4), GR_SHAPE(3, 4)}}},
        {"maximum", {.layer = gr_Maximum(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 4)}}},
        {"minimum", {.layer = gr_Minimum(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 4)}}},
        {"concatenate", {.layer = gr_Concatenate(), .shape = GR_SHAPE(3, 4), .more = {GR_SHAPE(3, 2), GR_SHAPE(3, 1)}}},
        {"attention", {.layer = gr_MultiHeadAttention(2, .key_dim = 3, .value_dim = 2, .output_dim = 4),
            .shape = GR_SHAPE(2, 5, 6)}},
        {"causal attention with dropout", {.layer = gr_MultiHeadAttention(2, .key_dim = 3, .use_causal_mask = true,
            .dropout = 0.4), .shape = GR_SHAPE(2, 4, 3)}},
        {"embedding", {.layer = gr_Embedding(5, 3), .shape = GR_SHAPE(2, 4)}},
        {"gelu", {.layer = gr_Activation("gelu"), .shape = GR_SHAPE(3, 5)}},
        {"leaky relu", {.layer = gr_Activation("leaky_relu(negative_slope=0.1)"), .shape = GR_SHAPE(3, 5)}},
        {"elu", {.layer = gr_Activation("elu(alpha=0.5)"), .shape = GR_SHAPE(3, 5)}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        GR_EXPECT(gr_gradcheck_at(GR_HERE, &rows[i].o) == GR_OK, "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
}

/* A layer whose gradient is wrong on purpose: forward 2x through an op that claims 3. */
static gr_status twice(const gr_call *c)
{
    const double *x = c->in[0].data;
    double *y = c->out[0].data;
    for (int64_t i = 0; i < gr_shape_size(c->in[0].shape); i++)
        y[i] = 2 * x[i];
    return GR_OK;
}
static void thrice(gr_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], gr_scalar(v->dy[0], 3));
}
static const gr_op liar = {
    .abi = GR_ABI, .name = "liar", .n_in = 1, .infer = gr_infer_same, .eval_f64 = twice, .vjp = thrice};
static gr_tensor *liar_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b, (void)spec;
    return gr_apply_op(&liar, NULL, 1, &x);
}
typedef struct {
    gr_layer base;
} Liar_spec;
static const gr_layer_kind Liar_kind = {.name = "Liar", .size = sizeof(Liar_spec), .call = liar_call};

static void a_wrong_gradient_is_caught(void)
{
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck(&(Liar_spec){{&Liar_kind, GR_HERE}}.base, GR_SHAPE(2, 3)), GR_EGRAD);
    gr_error_clear();
}

GR_SUITE("models/layer_gradcheck.c", GR_TEST(every_layer_has_the_right_gradient), GR_TEST(a_wrong_gradient_is_caught))
