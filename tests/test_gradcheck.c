/* The judge is judged: right gradients pass, each kind of wrong one is caught and its likely cause named. */
#include "autograd/custom.h"
#include "autograd/gradcheck.h"
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

/* One op of the test computes y = x * w (x [2, 3], w broadcast [3] or of x's shape) with a gradient that can be
 * spoiled. */
typedef enum {
    RIGHT,
    SIGN,
    FACTOR_2,
    HALF,
    MEAN, /* divided by the size of axis 1 */
    ZERO,
    NO_SUM,     /* the broadcast w gets the first row only */
    TRANSPOSED, /* of a square x */
    FLIPPED,
    PERMUTED, /* rows exchanged */
    OFFSET,
    LAST_ROW, /* the last row is left out */
    WRONG_TYPE,
    NAN_VALUE,
    SECOND, /* right, but by an op whose own gradient is wrong */
} spoil;
typedef struct {
    int how;
} spoil_attr;
static const gr_field spoil_fields[] = {GR_INT(spoil_attr, how), {0}};

static gr_status infer_first(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = f->shape[0];
    return GR_OK;
}

static gr_status eval_spoiled(const gr_call *c)
{
    const double *x = c->in[0].data, *w = c->in[1].data;
    double *y = c->out[0].data;
    int64_t n = gr_shape_size(c->in[1].shape);
    for (int64_t i = 0; i < gr_shape_size(c->in[0].shape); i++)
        y[i] = x[i] * w[i % n];
    return GR_OK;
}

static gr_status eval_twice(const gr_call *c)
{
    const double *x = c->in[0].data;
    double *y = c->out[0].data;
    for (int64_t i = 0; i < gr_shape_size(c->in[0].shape); i++)
        y[i] = x[i] * x[i];
    return GR_OK;
}
static void square_without_two(gr_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], v->x[0]);
}
static const gr_op op_bad_square = {.abi = GR_ABI,
    .name = "test_bad_square",
    .n_in = 1,
    .infer = infer_first,
    .eval_f32 = eval_twice,
    .eval_f64 = eval_twice,
    .vjp = square_without_two};

static gr_tensor *row(gr_tensor *x, int64_t r)
{
    return gr_slice(x, .start = GR_SHAPE(r, 0), .stop = GR_SHAPE(r + 1, gr_dim(x, 1)));
}

static gr_tensor *spoiled(gr_tensor *g, gr_tensor *x, int how)
{
    int64_t rows = gr_dim(x, 0), cols = gr_dim(x, -1);
    switch (how) {
    case SIGN:
        return gr_neg(g);
    case FACTOR_2:
        return gr_add(g, g);
    case HALF:
        return gr_mul(g, gr_scalar(g, 0.5));
    case MEAN:
        return gr_div(g, gr_scalar(g, (double)cols));
    case ZERO:
        return NULL;
    case TRANSPOSED:
        return gr_transpose(g, GR_SHAPE(1, 0));
    case FLIPPED:
        return gr_flip(g, -1);
    case PERMUTED:
        return gr_concatenate(3, (gr_tensor *[]){row(g, 1), row(g, 2), row(g, 0)}, 0);
    case OFFSET:
        return gr_add(g, gr_scalar(g, 0.25));
    case LAST_ROW:
        return gr_pad(gr_slice(g, .start = GR_SHAPE(0, 0), .stop = GR_SHAPE(rows - 1, cols)), .before = GR_SHAPE(0, 0),
            .after = GR_SHAPE(1, 0));
    case NAN_VALUE:
        return gr_mul(g, gr_sqrt(gr_sub(gr_scalar(g, -1), gr_square(x))));
    case WRONG_TYPE:
        return gr_sum(g);
    case SECOND:
        return gr_sub(gr_add(g, gr_apply_op(&op_bad_square, NULL, 1, &x)), gr_square(x));
    default:
        return g;
    }
}

static void spoiled_vjp(gr_vjp *v)
{
    int how = ((const spoil_attr *)v->attr)->how;
    gr_tensor *x = v->x[0], *w = v->x[1], *dw = gr_mul(v->dy[0], x);
    v->dx[0] = spoiled(gr_mul(v->dy[0], w), x, how);
    if (gr_rank(w) == 1)
        dw = how == NO_SUM ? gr_reshape(row(dw, 0), gr_shape_of(w)) : gr_sum(dw, .axes = GR_SHAPE(0));
    v->dx[1] = dw;
}

static const char *const names[] = {"x", "w"};
static const gr_op op_spoiled = {.abi = GR_ABI,
    .name = "test_spoiled",
    .n_in = 2,
    .attrs = spoil_fields,
    .attr_size = sizeof(spoil_attr),
    .in_names = names,
    .infer = infer_first,
    .eval_f32 = eval_spoiled,
    .eval_f64 = eval_spoiled,
    .vjp = spoiled_vjp};

static void each_wrong_gradient_is_caught_and_its_cause_named(void)
{
    static const struct {
        const char *why;
        int how;
        gr_shape x, w;
        const char *words[3]; /* NULL first: it passes */
    } rows[] = {
        {"right", RIGHT, GR_DIMS(2, 3), GR_DIMS(2, 3), {NULL}},
        {"right, broadcast", RIGHT, GR_DIMS(2, 3), GR_DIMS(3), {NULL}},
        {"nothing to check", RIGHT, GR_DIMS(0, 3), GR_DIMS(3), {NULL}},
        {"sign", SIGN, GR_DIMS(2, 3), GR_DIMS(3), {"argument x", "the sign is wrong"}},
        {"counted twice", FACTOR_2, GR_DIMS(2, 3), GR_DIMS(3), {"argument x", "a factor 2"}},
        {"counted half", HALF, GR_DIMS(2, 3), GR_DIMS(3), {"argument x", "a factor 1/2"}},
        {"mean for sum", MEAN, GR_DIMS(2, 5), GR_DIMS(5), {"argument x", "a factor", "5 is the size of axis 1"}},
        {"left out", ZERO, GR_DIMS(2, 3), GR_DIMS(3), {"argument x", "missing"}},
        {"not summed", NO_SUM, GR_DIMS(2, 3), GR_DIMS(3), {"argument w", "a sum over a broadcast axis left out"}},
        {"transposed", TRANSPOSED, GR_DIMS(3, 3), GR_DIMS(3, 3), {"argument x", "is transposed"}},
        {"reversed", FLIPPED, GR_DIMS(2, 3), GR_DIMS(2, 3), {"argument x", "reversed along axis 1"}},
        {"out of order", PERMUTED, GR_DIMS(3, 2), GR_DIMS(3, 2), {"argument x", "wrong places"}},
        {"a term too much", OFFSET, GR_DIMS(2, 3), GR_DIMS(2, 3), {"argument x", "numeric + 0.25"}},
        {"an edge", LAST_ROW, GR_DIMS(5, 3), GR_DIMS(5, 3), {"argument x", "3 of 15 elements are zero"}},
        {"another type", WRONG_TYPE, GR_DIMS(2, 3), GR_DIMS(3), {"test_spoiled: argument x", "found float64 []"}},
        {"not a number", NAN_VALUE, GR_DIMS(2, 3), GR_DIMS(3), {"argument x", "negative number"}},
        {"only the second order", SECOND, GR_DIMS(2, 3), GR_DIMS(2, 3), {"argument x", "second-order gradient"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const spoil_attr attr = {rows[i].how};
        const gr_sample s = {.lo = -2, .hi = 2, .shape = {rows[i].x, rows[i].w}, .attr = &attr};
        gr_error_clear();
        gr_status found = gr__gradcheck_op(&op_spoiled, &s, 3, NULL);
        GR_EXPECT((found == GR_OK) == !rows[i].words[0], "%s: %s", rows[i].why, gr_error_message());
        for (int w = 0; w < 3 && rows[i].words[w]; w++)
            GR_EXPECT(strstr(gr_error_message(), rows[i].words[w]), "%s: no '%s' in: %s", rows[i].why, rows[i].words[w],
                gr_error_message());
    }
    gr_error_clear();
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static gr_array *normal(gr_shape shape, uint64_t seed)
{
    const gr_sample s = {.lo = -2, .hi = 2, .shape = {shape}};
    gr_array *a = NULL;
    gr__sample_draw(&op_bad_square, &s, GR_F64, seed, &a);
    return a;
}

static gr_status perceptron(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_variable *w = ctx;
    (void)n_in;
    out[0] = gr_tanh(gr_matmul(in[0], gr_read(t, w)));
    if (n_out > 1)
        out[1] = gr_sum(gr_square(out[0]));
    return gr_status_of(out[0]);
}

static void a_function_of_inputs_and_weights_is_checked_in_both(void)
{
    gr_array *x = normal(GR_SHAPE(4, 3), 1), *value = normal(GR_SHAPE(3, 2), 2);
    gr_variable *w = gr_variable_new("dense/kernel", GR_F64, GR_SHAPE(3, 2), true);
    gr_variable_set(w, value);
    gr_status s = gr_gradcheck_fn(
        perceptron, .ctx = w, .n_in = 1, .in = {x}, .n_out = 2, .n_variables = 1, .variables = &w, .second = true);
    GR_EXPECT(s == GR_OK, "%s", gr_error_message());
    gr_array *after = gr_variable_get(w);
    CU_ASSERT(gr_array_equal(after, value)); /* moved, and put back */
    gr_error_clear();
    gr_array_free(after);
    gr_array_free(value);
    gr_array_free(x);
    gr_variable_free(w);
}

/* x^2, but element *ctx of the gradient is left out */
static gr_status big_square(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_array *flags = gr_array_new(GR_BOOL, gr_shape_of(in[0]));
    double bad = *(const double *)ctx;
    (void)n_in, (void)n_out;
    if (bad >= 0)
        ((uint8_t *)gr_array_data(flags))[(int)bad] = 1;
    out[0] = gr_square(gr_where(gr_constant(t, flags), gr_stop_gradient(in[0]), in[0]));
    gr_array_free(flags);
    return gr_status_of(out[0]);
}

static void one_wrong_element_of_a_thousand_is_found(void)
{
    static const struct {
        const char *why;
        double at;
    } rows[] = {{"the first", 0}, {"the last", 999}, {"somewhere", 777}, {"none", -1}};
    gr_array *x = normal(GR_SHAPE(1000), 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double at = rows[i].at;
        char where[32];
        gr_error_clear();
        gr_status s = gr_gradcheck_fn(big_square, .ctx = &at, .n_in = 1, .in = {x}, .in_names = {"x"});
        snprintf(where, sizeof where, "at [%d], found 0", (int)at);
        GR_EXPECT((s == GR_OK) == (at < 0), "%s: %s", rows[i].why, gr_error_message());
        GR_EXPECT(at < 0 || strstr(gr_error_message(), where), "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_array_free(x);
}

static gr_status kinked(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_relu(in[0]);
    return gr_status_of(out[0]);
}
static gr_status flat(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_mul(in[0], gr_scalar(in[0], 0));
    return gr_status_of(out[0]);
}

static void a_kink_is_called_a_kink(void)
{
    gr_array *x = gr_array_from(GR_F64, GR_SHAPE(2), (const double[]){1, 6e-6});
    CU_ASSERT_EQUAL(gr_gradcheck_fn(kinked, .n_in = 1, .in = {x}), GR_EGRAD);
    GR_EXPECT(strstr(gr_error_message(), "a kink near in[0]"), "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(x);
}

static void zero_against_zero_shows_nothing(void)
{
    gr_array *x = normal(GR_SHAPE(3), 1);
    CU_ASSERT_EQUAL(gr_gradcheck_fn(flat, .n_in = 1, .in = {x}, .name = "flat"), GR_EGRAD);
    GR_EXPECT(strstr(gr_error_message(), "flat: expected a gradient that is not zero"), "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck_fn(flat, .n_in = 1, .in = {x}, .allow_zero = true), GR_OK);
    gr_array_free(x);
}

static const gr_op op_f32_only = {.abi = GR_ABI,
    .name = "test_f32_only",
    .n_in = 1,
    .infer = infer_first,
    .eval_f32 = eval_twice,
    .vjp = square_without_two};
static gr_status uses_f32_only(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_out;
    out[0] = gr_apply_op(&op_f32_only, NULL, n_in, in);
    return gr_status_of(out[0]);
}

static gr_status hides_f32_only(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t;
    return gr_checkpoint(uses_f32_only, ctx, n_in, in, n_out, out);
}

static void an_op_without_float64_is_refused_for_that_reason(void)
{
    const gr_gradcheck_build functions[] = {uses_f32_only, hides_f32_only}; /* in a region too */
    gr_array *x = normal(GR_SHAPE(3), 1);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(gr_gradcheck_fn(functions[i], .n_in = 1, .in = {x}), GR_EMISSING);
        GR_EXPECT(strstr(gr_error_message(), "test_f32_only is float32 only"), "%s", gr_error_message());
        gr_error_clear();
    }
    gr_array_free(x);
}

/* ---- all samples of an op -------------------------------------------------------------------------------------- */

static void zero_vjp(gr_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], gr_scalar(v->dy[0], 0));
}
static gr_status eval_zero(const gr_call *c)
{
    memset(c->out[0].data, 0, (size_t)(gr_shape_size(c->out[0].shape) * gr_dtype_size(c->out[0].dtype)));
    return GR_OK;
}

static void integers_are_drawn_from_the_whole_range_and_no_further(void)
{
    const gr_sample s = {.lo = -2, .hi = 3, .shape = {GR_DIMS(300)}, .dtype = {GR_I32}};
    const gr_op op = {.n_in = 1};
    gr_array *a = NULL;
    int seen[6] = {0};
    CU_ASSERT_EQUAL(gr__sample_draw(&op, &s, GR_F32, 9, &a), GR_OK);
    for (int64_t i = 0; i < gr_array_size(a); i++) {
        int x = (int)gr_array_at(a, i);
        CU_ASSERT(x >= -2 && x <= 3);
        seen[(x + 2 + 6) % 6]++;
    }
    for (int i = 0; i < 6; i++)
        GR_EXPECT(seen[i] > 20, "%d was drawn %d times of 300", i - 2, seen[i]);
    gr_array_free(a);
}

static void an_op_is_checked_on_all_of_its_samples(void)
{
    const spoil_attr right = {RIGHT}, wrong = {SIGN};
    const gr_sample one[] = {
        {.lo = -2, .hi = 2, .shape = {GR_DIMS(2, 3), GR_DIMS(3)}, .attr = &right}, {.lo = 1, .hi = 0}};
    const gr_sample two[] = {
        one[0], {.lo = -2, .hi = 2, .shape = {GR_DIMS(2, 3), GR_DIMS(3)}, .attr = &wrong}, {.lo = 1, .hi = 0}};
    const gr_sample none[] = {{.lo = 1, .hi = 0}},
                    flat_one[] = {{.lo = -2, .hi = 2, .shape = {GR_DIMS(3)}}, {.lo = 1, .hi = 0}};
    gr_op op = op_spoiled, zero = {.abi = GR_ABI,
                               .name = "test_zero",
                               .n_in = 1,
                               .infer = infer_first,
                               .eval_f32 = eval_zero,
                               .eval_f64 = eval_zero,
                               .vjp = zero_vjp,
                               .samples = flat_one};
    const struct {
        const char *why;
        const gr_sample *samples;
        const char *words; /* NULL: it passes */
    } rows[] = {
        {"right", one, NULL},
        {"wrong on the second", two, "sample 1 of test_spoiled"},
        {"an empty list", none, "expected sample inputs"},
        {"no list", NULL, "expected sample inputs"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        op.samples = rows[i].samples;
        gr_error_clear();
        gr_status s = gr__gradcheck_op_samples(&op);
        GR_EXPECT(rows[i].words ? s == GR_EGRAD && strstr(gr_error_message(), rows[i].words) : s == GR_OK, "%s: %s",
            rows[i].why, gr_error_message());
    }
    gr_error_clear();
    CU_ASSERT_EQUAL(gr__gradcheck_op_samples(&zero), GR_EGRAD);
    GR_EXPECT(strstr(gr_error_message(), "found zero on all"), "%s", gr_error_message());
    gr_error_clear();
    op.samples = two; /* an op that does not name its arguments: b is the second */
    op.in_names = NULL;
    const spoil_attr unsummed = {NO_SUM};
    const gr_sample s = {.lo = -2, .hi = 2, .shape = {GR_DIMS(2, 3), GR_DIMS(3)}, .attr = &unsummed};
    CU_ASSERT_EQUAL(gr__gradcheck_op(&op, &s, 1, NULL), GR_EGRAD);
    GR_EXPECT(strstr(gr_error_message(), "test_spoiled: argument b: "), "%s", gr_error_message());
    gr_error_clear();
}

static void a_sample_has_as_many_inputs_as_the_op_or_as_are_told(void)
{
    static const struct {
        const char *why;
        int n_in;
        gr_sample s;
        int n;
    } rows[] = {
        {"the op's number", 2, {.lo = 1}, 2},
        {"none", 0, {.lo = 1}, 0},
        {"any: one at least", -1, {.lo = 1}, 1},
        {"any: the last with a shape", -1, {.shape = {GR_DIMS(2), GR_DIMS(3)}}, 2},
        {"any: the last with a dtype", -1, {.shape = {GR_DIMS(2)}, .dtype = {0, 0, GR_I64}}, 3},
        {"any: all four", -1, {.shape = {[3] = GR_DIMS(1)}}, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const gr_op op = {.n_in = rows[i].n_in};
        GR_EXPECT(
            gr__sample_count(&op, &rows[i].s) == rows[i].n, "%s: %d", rows[i].why, gr__sample_count(&op, &rows[i].s));
    }
}

static void wrong_calls_are_refused(void)
{
    gr_array *single = gr_array_new(GR_F32, GR_SHAPE(3)), *x = normal(GR_SHAPE(3), 1);
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(3), true);
    CU_ASSERT_EQUAL(gr_gradcheck_fn(NULL, .n_in = 1, .in = {x}), GR_EARG);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck_fn(kinked, .n_in = 17), GR_EARG);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck_fn(kinked, .n_in = 1), GR_EARG);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck_fn(kinked, .n_in = 1, .in = {single}), GR_EARG);
    GR_EXPECT(strstr(gr_error_message(), "found float32 at [0]"), "%s", gr_error_message());
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_gradcheck_fn(kinked, .n_in = 1, .in = {x}, .n_variables = 1, .variables = &w), GR_EDTYPE);
    gr_error_clear();
    gr_variable_free(w);
    gr_array_free(single);
    gr_array_free(x);
}

static void samples_lie_in_their_range_and_apart_if_they_are_to(void)
{
    const gr_sample s = {
        -3, 3, {GR_DIMS(4, 5), GR_DIMS(7), GR_DIMS(50), GR_DIMS(9)}, {0, GR_F32, GR_I64, GR_BOOL}, .distinct = true};
    const gr_op any = {.n_in = -1};
    gr_array *in[4] = {NULL};
    double seen[27];
    int n = 0;
    CU_ASSERT_EQUAL(gr__sample_count(&any, &s), 4);
    CU_ASSERT_EQUAL(gr__sample_draw(&any, &s, GR_F64, 1, in), GR_OK);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(gr_array_dtype(in[i]), i ? s.dtype[i] : GR_F64);
        for (int64_t k = 0; k < gr_array_size(in[i]); k++) {
            double x = gr_array_at(in[i], k);
            CU_ASSERT(x >= (i == 3 ? 0 : -3) && x <= (i == 3 ? 1 : 3));
            for (int j = 0; i < 2 && j < n; j++)
                CU_ASSERT(fabs(x - seen[j]) >= 0.01);
            if (i < 2)
                seen[n++] = x;
        }
        gr_array_free(in[i]);
    }
    CU_ASSERT_EQUAL(n, 27);
}

GR_SUITE("autograd/gradcheck.c", GR_TEST(each_wrong_gradient_is_caught_and_its_cause_named),
    GR_TEST(a_function_of_inputs_and_weights_is_checked_in_both), GR_TEST(one_wrong_element_of_a_thousand_is_found),
    GR_TEST(a_kink_is_called_a_kink), GR_TEST(zero_against_zero_shows_nothing),
    GR_TEST(an_op_without_float64_is_refused_for_that_reason), GR_TEST(an_op_is_checked_on_all_of_its_samples),
    GR_TEST(integers_are_drawn_from_the_whole_range_and_no_further),
    GR_TEST(a_sample_has_as_many_inputs_as_the_op_or_as_are_told), GR_TEST(wrong_calls_are_refused),
    GR_TEST(samples_lie_in_their_range_and_apart_if_they_are_to))
