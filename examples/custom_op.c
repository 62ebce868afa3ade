/* examples/custom_op.c: an op of one's own, registered, differentiated, checked, and used in a model.
 *
 * snake(x) = x + sin(a x)^2 / a, after Ziyin et al. 2020, arXiv:2006.08195: an activation that can learn periods. */
#include <grape.h>
#include <math.h>

typedef struct {
    double a; /* frequency, > 0 */
} snake_attr;

#define SNAKE_EVAL(T, sine)                                                                                            \
    static gr_status snake_eval_##T(const gr_call *c)                                                                  \
    {                                                                                                                  \
        const snake_attr *p = c->attr;                                                                                 \
        const T *x = c->in[0].data, a = (T)p->a;                                                                       \
        T *y = c->out[0].data;                                                                                         \
        for (int64_t i = 0, n = gr_shape_size(c->in[0].shape); i < n; i++) {                                           \
            T s = sine(a * x[i]);                                                                                      \
            y[i] = x[i] + s * s / a;                                                                                   \
        }                                                                                                              \
        return GR_OK;                                                                                                  \
    }
SNAKE_EVAL(float, sinf)
SNAKE_EVAL(double, sin)

/* dy/dx = 1 + sin(2 a x), built of ops, so it can be differentiated again */
static void snake_vjp(gr_vjp *v)
{
    const snake_attr *p = v->attr;
    gr_tensor *x = v->x[0];
    gr_tensor *slope = gr_add(gr_scalar(x, 1), gr_sin(gr_mul(gr_scalar(x, 2 * p->a), x)));
    v->dx[0] = gr_mul(v->dy[0], slope);
}

static const gr_field snake_fields[] = {GR_DOUBLE(snake_attr, a, .required = true), {0}};
static const snake_attr half = {0.5}, two = {2};
static const gr_op snake_op = {
    .abi = GR_ABI,
    .name = "snake",
    .doc = "x + sin(a x)^2 / a",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_ELEMENTWISE | GR_EXPENSIVE,
    .attrs = snake_fields,
    .attr_size = sizeof(snake_attr),
    .infer = gr_infer_same,
    .eval_f32 = snake_eval_float,
    .eval_f64 = snake_eval_double,
    .vjp = snake_vjp,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3)}, .attr = &two}, {-3, 3, {GR_DIMS(2, 1, 7)}, .attr = &half}),
};

static gr_tensor *snake(gr_tensor *x, double a)
{
    return gr_apply_op(&snake_op, &(snake_attr){a}, 1, &x);
}

/* A layer that uses it, so that the check below is one line. */
typedef struct {
    gr_layer base;
    double a;
} Snake_spec;
static gr_tensor *snake_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    return snake(x, ((const Snake_spec *)spec)->a);
}
static const gr_field snake_layer_fields[] = {
    GR_DOUBLE(Snake_spec, a, .required = true, .min = 0, .above_min = true, .has_min = true), {0}};
static const gr_layer_kind Snake_kind = {
    .name = "Snake", .size = sizeof(Snake_spec), .fields = snake_layer_fields, .call = snake_call};
#define Snake(...) GR_SPEC(Snake, .a = __VA_ARGS__)

enum { ROWS = 1024 };

int main(void)
{
    gr_set_seed(1234);
    gr_op_register(&snake_op);
    if (gr_gradcheck(Snake(2), GR_SHAPE(4, 3), .second = true) == GR_OK)
        printf("first and second derivative of snake are right\n");

    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(ROWS, 1)), *y = gr_array_new(GR_F32, GR_SHAPE(ROWS, 1));
    if (!x || !y)
        return gr_report(stderr);
    float *px = gr_array_data(x), *py = gr_array_data(y);
    for (int i = 0; i < ROWS; i++) {
        px[i] = (float)(i * 37 % ROWS) / ROWS * 8 - 4;
        py[i] = sinf(3 * px[i]) + 0.3f * px[i];
    }
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(1)), gr_Dense(32), Snake(2), gr_Dense(32), Snake(2), gr_Dense(1));
    gr_compile(m, .optimizer = gr_Adam(.learning_rate = 0.005f), .loss = "mse");
    gr_history *h =
        gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 60, .batch_size = 64, .verbose = GR_VERBOSE_SILENT);
    int n;
    const double *loss = h ? gr_history_get(h, "loss", &n) : NULL;
    if (loss)
        printf("mean squared error of sin(3x) + 0.3x: %.5f at first, %.5f after %d epochs\n", loss[0], loss[n - 1], n);
    gr_history_free(h), gr_model_free(m), gr_array_free(x), gr_array_free(y);
    return gr_report(stderr);
}
