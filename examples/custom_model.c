/* examples/custom_model.c: a residual block of one's own, composed of ops; its gradient is checked, then a model with
 * two of them learns to tell which of two interleaved spirals a point lies on. */
#include <grape.h>
#include <math.h>

/* y = x + softplus(x W1) W2, a residual block.  float [B, n] -> [B, n] */
typedef struct {
    gr_layer base;
    int hidden; /* width of the inner product */
} Residual_spec;

static gr_tensor *residual_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const Residual_spec *s = spec;
    int64_t n = gr_dim(x, -1);
    gr_tensor *w1 = gr_weight(b, "w1", GR_SHAPE(n, s->hidden), .init = "he_normal");
    gr_tensor *w2 = gr_weight(b, "w2", GR_SHAPE(s->hidden, n));
    return gr_add(x, gr_matmul(gr_softplus(gr_matmul(x, w1)), w2));
}

static const gr_field residual_fields[] = {GR_INT(Residual_spec, hidden, .required = true, .min = 1), {0}};
static const gr_layer_kind Residual_kind = {
    .name = "Residual", .size = sizeof(Residual_spec), .fields = residual_fields, .call = residual_call};
#define Residual(...) GR_SPEC(Residual, .hidden = __VA_ARGS__)

enum { POINTS = 2000 };

/* Points of two spirals: x [n, 2], y [n, 1], alternating so that the last rows (validation) hold both. */
static void spirals(gr_array *x, gr_array *y)
{
    float *px = gr_array_data(x), *py = gr_array_data(y);
    for (int i = 0; i < POINTS; i++) {
        double t = (double)((i * 7919) % POINTS) / POINTS, angle = 9 * t + (i % 2 ? 3.14159265 : 0);
        px[2 * i] = (float)((0.1 + t) * cos(angle));
        px[2 * i + 1] = (float)((0.1 + t) * sin(angle));
        py[i] = (float)(i % 2);
    }
}

int main(void)
{
    gr_set_seed(1234);
    if (gr_gradcheck(Residual(8), GR_SHAPE(5, 3)) == GR_OK)
        printf("the gradient of Residual is right: inputs and both weights, in float64\n");

    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(POINTS, 2)), *y = gr_array_new(GR_F32, GR_SHAPE(POINTS, 1));
    if (!x || !y)
        return gr_report(stderr);
    spirals(x, y);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(2)), gr_Dense(32, .activation = "tanh"), Residual(64), Residual(64),
        gr_Dense(1, .activation = "sigmoid"));
    gr_compile(m, .optimizer = gr_Adam(.learning_rate = 0.01f), .loss = "binary_crossentropy", .metrics = {"accuracy"});
    gr_summary(m, stdout);
    gr_history *h = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 40, .batch_size = 50, .validation_split = 0.2f,
        .verbose = GR_VERBOSE_SILENT);
    int n;
    const double *accuracy = h ? gr_history_get(h, "val_accuracy", &n) : NULL;
    if (accuracy)
        printf("validation accuracy after %d epochs: %.3f\n", n, accuracy[n - 1]);
    gr_history_free(h), gr_model_free(m), gr_array_free(x), gr_array_free(y);
    return gr_report(stderr);
}
