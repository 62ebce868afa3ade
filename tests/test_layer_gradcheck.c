/* Gradients of layers in float64: models/layer_gradcheck.c and every layer of models/layers. */
#include "models/layer_gradcheck.h"
#include "models/layers/layers.h"
#include "ops/ops.h"
#include "tests/harness.h"

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
