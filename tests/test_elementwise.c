/* The elementwise ops as a user meets them: values, dtypes, broadcasting, messages, gradients at kinks, and the
 * gradient check of every row. The kernels' accuracy and bits are test_vmath's. */
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "core/node.h"
#include "ops/elementwise.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A constant of one dtype from numbers. */
static gr_tensor *numbers(gr_tape *t, gr_dtype dtype, gr_shape shape, const double *values)
{
    gr_array *a = gr_array_from(GR_F64, shape, values);
    gr_array_cast(a, dtype);
    gr_tensor *x = gr_constant(t, a);
    gr_array_free(a);
    return x;
}
static gr_tensor *number(gr_tape *t, gr_dtype dtype, double value)
{
    return numbers(t, dtype, GR_RANK0, &value);
}

static double value_of(gr_tensor *x, int64_t i)
{
    gr_array *a = gr_eval(x);
    double v = a ? gr_array_at(a, i) : -99999;
    gr_array_free(a);
    return v;
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static const gr_op *op_named(const char *name)
{
    (void)gr_add; /* so that the ops are linked and registered */
    return gr_op_named(name);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void float_ops_compute_what_they_are_named_after(void)
{
    static const struct {
        const char *op;
        double a, b, y;
    } rows[] = {
        {"add", 1.5, 2, 3.5},
        {"sub", 1.5, 2, -0.5},
        {"mul", 1.5, -2, -3},
        {"div", 3, -2, -1.5},
        {"pow", 2, 10, 1024},
        {"maximum", 2, -3, 2},
        {"minimum", 2, -3, -3},
        {"neg", 2, 0, -2},
        {"abs", -2, 0, 2},
        {"sign", -2, 0, -1},
        {"square", -3, 0, 9},
        {"sqrt", 9, 0, 3},
        {"rsqrt", 16, 0, 0.25},
        {"reciprocal", 4, 0, 0.25},
        {"exp", 1, 0, 2.718281828459045},
        {"expm1", 1e-5, 0, 1.0000050000166667e-05},
        {"log", 10, 0, 2.302585092994046},
        {"log1p", 1e-5, 0, 9.999950000333332e-06},
        {"sin", 1, 0, 0.8414709848078965},
        {"cos", 1, 0, 0.5403023058681398},
        {"tanh", 1, 0, 0.7615941559557649},
        {"sigmoid", 1, 0, 0.7310585786300049},
        {"erf", 1, 0, 0.8427007929497149},
        {"floor", -1.5, 0, -2},
        {"ceil", -1.5, 0, -1},
        {"round", 2.5, 0, 2},
        {"relu", -2, 0, 0},
        {"softplus", 1, 0, 1.3132616875182228},
        {"silu", 1, 0, 0.7310585786300049},
        {"gelu", 1, 0, 0.8413447460685429},
        {"gelu_tanh", 1, 0, 0.8411919906082768},
        {"selu", -1, 0, -1.1113307378125625},
    };
    gr_tape *t = gr_tape_new();
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int f64 = 0; f64 < 2; f64++) {
            const gr_op *op = op_named(rows[i].op);
            const gr_dtype type = f64 ? GR_F64 : GR_F32;
            gr_tensor *x[] = {number(t, type, rows[i].a), number(t, type, rows[i].b)};
            double got = op ? value_of(gr_apply_op(op, NULL, op->n_in, x), 0) : NAN;
            GR_EXPECT(fabs(got - rows[i].y) <= (f64 ? 4e-16 : 3e-7) * fabs(rows[i].y), "%s(%g, %g) is %.17g",
                rows[i].op, rows[i].a, rows[i].b, got);
        }
    gr_tape_free(t);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "");
}

static void ops_with_parameters_use_them(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *low = number(t, GR_F64, -1), *high = number(t, GR_F64, 3), *nan = number(t, GR_F64, NAN);
    CU_ASSERT_EQUAL(value_of(gr_clip(low, 0, 2), 0), 0);
    CU_ASSERT_EQUAL(value_of(gr_clip(high, 0, 2), 0), 2);
    CU_ASSERT(isnan(value_of(gr_clip(nan, 0, 2), 0)));
    CU_ASSERT_DOUBLE_EQUAL(value_of(gr_elu(low), 0), expm1(-1), 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(value_of(gr_elu(low, .alpha = 0.5), 0), 0.5 * expm1(-1), 1e-15);
    CU_ASSERT_EQUAL(value_of((gr_leaky_relu)(low), 0), -0.2);
    CU_ASSERT_EQUAL(value_of(gr_leaky_relu(low, .negative_slope = 0.1), 0), -0.1);
    CU_ASSERT_EQUAL(value_of(gr_leaky_relu(high, .negative_slope = 0.1), 0), 3);
    gr_tape_free(t);
}

static void integers_wrap_around_and_divide_downwards(void)
{
    static const struct {
        const char *why, *op;
        gr_dtype dtype;
        double a, b, y;
    } rows[] = {
        {"plain", "add", GR_I32, 7, -9, -2},
        {"past the end", "add", GR_I32, INT32_MAX, 1, INT32_MIN},
        {"past the end", "mul", GR_I64, 0x1p62, 4, 0},
        {"a byte past the end", "add", GR_U8, 250, 10, 4},
        {"a byte below 0", "sub", GR_U8, 3, 5, 254},
        {"exact beyond 2^24", "mul", GR_I32, 16777217, 3, 50331651},
        {"the least has no negative", "neg", GR_I32, INT32_MIN, 0, INT32_MIN},
        {"nor an absolute value", "abs", GR_I64, -0x1p63, 0, -0x1p63},
        {"plain", "abs", GR_I32, -5, 0, 5},
        {"plain", "sign", GR_I64, -5, 0, -1},
        {"a byte has no sign", "sign", GR_U8, 200, 0, 1},
        {"plain", "square", GR_I32, -5, 0, 25},
        {"plain", "maximum", GR_I32, -5, 3, 3},
        {"plain", "minimum", GR_U8, 5, 200, 5},
        {"down, not to 0", "floor_divide", GR_I32, -7, 2, -4},
        {"down, not to 0", "floor_divide", GR_I64, 7, -2, -4},
        {"exact", "floor_divide", GR_I32, -8, 2, -4},
        {"the least by -1", "floor_divide", GR_I32, INT32_MIN, -1, INT32_MIN},
        {"the least by -1", "floor_divide", GR_I64, -0x1p63, -1, -0x1p63},
        {"bytes", "floor_divide", GR_U8, 255, 2, 127},
        {"plain", "less", GR_I32, -1, 0, 1},
        {"bytes are not below 0", "less", GR_U8, 200, 100, 0},
        {"exact beyond 2^53", "equal", GR_I64, 0x1p53, 0x1p53, 1},
        {"bools too", "equal", GR_BOOL, 1, 0, 0},
        {"bools too", "logical_xor", GR_BOOL, 1, 0, 1},
        {"bools too", "logical_and", GR_BOOL, 1, 0, 0},
        {"bools too", "logical_or", GR_BOOL, 1, 0, 1},
        {"bools too", "logical_not", GR_BOOL, 1, 0, 0},
        {"of floats", "greater_equal", GR_F32, 2, 2, 1},
        {"of NaN", "not_equal", GR_F64, NAN, NAN, 1},
        {"of NaN", "isfinite", GR_F32, NAN, 0, 0},
    };
    gr_tape *t = gr_tape_new();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const gr_op *op = op_named(rows[i].op);
        gr_tensor *x[] = {number(t, rows[i].dtype, rows[i].a), number(t, rows[i].dtype, rows[i].b)};
        double got = op ? value_of(gr_apply_op(op, NULL, op->n_in, x), 0) : NAN;
        GR_EXPECT(got == rows[i].y, "%s of %s, %s: %g and %g give %g", rows[i].op, gr_dtype_name(rows[i].dtype),
            rows[i].why, rows[i].a, rows[i].b, got);
    }
    gr_tape_free(t);
}

static void dividing_an_integer_by_0_is_an_error_when_it_runs(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *y = gr_floor_divide(number(t, GR_I32, 7), number(t, GR_I32, 0));
    CU_ASSERT_PTR_NULL(gr_eval(y));
    CU_ASSERT_EQUAL(gr_error(), GR_ERANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "floor_divide: argument b: expected divisors other than 0"));
    gr_error_clear();
    gr_tape_free(t);
}

static void casts_saturate_truncate_and_wrap(void)
{
    static const struct {
        const char *why;
        gr_dtype from;
        double x;
        gr_dtype to;
        double y;
    } rows[] = {
        {"towards 0", GR_F32, -1.9, GR_I32, -1},
        {"too great", GR_F32, 3e9, GR_I32, INT32_MAX},
        {"too small", GR_F64, -1e30, GR_I64, -0x1p63},
        {"infinite", GR_F64, INFINITY, GR_U8, 255},
        {"below a byte", GR_F32, -3, GR_U8, 0},
        {"just inside a byte", GR_F32, 255.9, GR_U8, 255},
        {"a NaN", GR_F32, NAN, GR_I64, 0},
        {"a NaN is not 0", GR_F32, NAN, GR_BOOL, 1},
        {"a half is not 0", GR_F64, 0.5, GR_BOOL, 1},
        {"nothing", GR_F32, -0.0, GR_BOOL, 0},
        {"the last exact float", GR_I32, 16777217, GR_F32, 16777216},
        {"to single", GR_F64, 0.1, GR_F32, 0.1f},
        {"integers wrap", GR_I32, 300, GR_U8, 44},
        {"integers wrap", GR_I64, 0x1p32 + 5, GR_I32, 5},
        {"signs too", GR_I32, -1, GR_U8, 255},
        {"true", GR_BOOL, 1, GR_F32, 1},
        {"any number", GR_I64, 256, GR_BOOL, 1},
    };
    gr_tape *t = gr_tape_new();
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_tensor *y = gr_cast(number(t, rows[i].from, rows[i].x), rows[i].to);
        CU_ASSERT_EQUAL(gr_dtype_of(y), rows[i].to);
        GR_EXPECT(value_of(y, 0) == rows[i].y, "%s: %s %g to %s gives %g", rows[i].why, gr_dtype_name(rows[i].from),
            rows[i].x, gr_dtype_name(rows[i].to), value_of(y, 0));
    }
    gr_tensor *x = number(t, GR_F32, 1);
    CU_ASSERT_PTR_EQUAL(gr_cast(x, GR_F32), x);
    CU_ASSERT_PTR_EQUAL(gr_cast(x, (gr_dtype)77), GR_BAD);
    CU_ASSERT_EQUAL(gr_error(), GR_EDTYPE);
    gr_error_clear();
    gr_tape_free(t);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Element of x that belongs to element i of the broadcast shape. */
static int64_t source(gr_shape x, gr_shape out, int64_t i)
{
    int64_t index = 0, step = 1;
    for (int64_t k = out.rank - 1; k >= 0; k--) {
        int64_t position = i % out.dim[k], j = k - (out.rank - x.rank);
        i /= out.dim[k];
        if (j >= 0) {
            index += (x.dim[j] == 1 ? 0 : position) * step;
            step *= x.dim[j];
        }
    }
    return index;
}

static void shapes_broadcast_as_in_numpy(void)
{
    static const struct {
        gr_shape a, b, y;
    } rows[] = {
        {GR_DIMS(3, 5), GR_DIMS(3, 5), GR_DIMS(3, 5)},
        {GR_DIMS(3, 5), GR_DIMS(5), GR_DIMS(3, 5)},
        {GR_DIMS(3, 5), GR_DIMS(3, 1), GR_DIMS(3, 5)},
        {GR_DIMS(3, 1), GR_DIMS(1, 5), GR_DIMS(3, 5)},
        {GR_DIMS(3, 5), {0, {0}}, GR_DIMS(3, 5)},
        {{0, {0}}, {0, {0}}, {0, {0}}},
        {GR_DIMS(2, 3, 4, 5), GR_DIMS(3, 1, 5), GR_DIMS(2, 3, 4, 5)},
        {GR_DIMS(2, 1, 4, 1), GR_DIMS(1, 3, 1, 5), GR_DIMS(2, 3, 4, 5)},
        {GR_DIMS(4, 1), GR_DIMS(2, 3, 4, 6), GR_DIMS(2, 3, 4, 6)},
        {GR_DIMS(2, 2, 2, 2, 2, 2, 2, 2), GR_DIMS(2, 1, 2, 1, 2, 1, 2, 1), GR_DIMS(2, 2, 2, 2, 2, 2, 2, 2)},
        {GR_DIMS(1), GR_DIMS(1, 1), GR_DIMS(1, 1)},
        {GR_DIMS(0, 5), GR_DIMS(5), GR_DIMS(0, 5)},
        {GR_DIMS(3, 0), GR_DIMS(3, 1), GR_DIMS(3, 0)},
        {GR_DIMS(37), GR_DIMS(11, 1), GR_DIMS(11, 37)},
    };
    static const gr_dtype types[] = {GR_F32, GR_F64, GR_I32, GR_U8};
    double values[1000];
    for (int i = 0; i < 1000; i++)
        values[i] = (i * 7919) % 101;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(types); k++) {
            gr_tape *t = gr_tape_new();
            gr_tensor *a = numbers(t, types[k], rows[i].a, values), *b = numbers(t, types[k], rows[i].b, values + 400);
            gr_array *y = gr_eval(gr_sub(gr_add(a, b), a)); /* b itself, and a - b wraps in bytes */
            bool ok = y && gr_shape_equal(gr_array_shape(y), rows[i].y);
            for (int64_t e = 0; ok && e < gr_array_size(y); e++)
                ok = gr_array_at(y, e) == values[400 + source(rows[i].b, rows[i].y, e)];
            gr_array *less = gr_eval(gr_less(a, b));
            for (int64_t e = 0; ok && e < gr_array_size(less); e++)
                ok = gr_array_at(less, e) ==
                     (values[source(rows[i].a, rows[i].y, e)] < values[400 + source(rows[i].b, rows[i].y, e)]);
            GR_EXPECT(ok, "row %d, %s", (int)i, gr_dtype_name(types[k]));
            gr_array_free(y), gr_array_free(less), gr_tape_free(t);
        }
}

static void where_takes_any_dtype_and_broadcasts_all_three(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *c = numbers(t, GR_BOOL, GR_SHAPE(3, 1), (double[]){1, 0, 1});
    for (int type = GR_F32; type < GR_DTYPE_COUNT; type++) {
        gr_tensor *a = numbers(t, (gr_dtype)type, GR_SHAPE(2), (double[]){1, 1}), *b = number(t, (gr_dtype)type, 0);
        gr_tensor *y = gr_where(c, a, b);
        CU_ASSERT_EQUAL((int)gr_dtype_of(y), type);
        for (int i = 0; i < 6; i++)
            GR_EXPECT(value_of(y, i) == (i / 2 != 1), "%s, element %d", gr_dtype_name((gr_dtype)type), i);
    }
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_where(c, number(t, GR_F32, 1), number(t, GR_F32, 0))), GR_SHAPE(3, 1)));
    gr_tape_free(t);
}

static void the_batch_size_broadcasts_too(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *w = number(t, GR_F32, 2);
    gr_tensor *column = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 1), "column");
    gr_tensor *y = gr_add(gr_mul(x, w), column);
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(GR_BATCH, 3)));
    CU_ASSERT_PTR_EQUAL(gr_add(x, gr_input(t, GR_F32, GR_SHAPE(4, 3), "z")), GR_BAD);
    CU_ASSERT_EQUAL(gr_error(), GR_ESHAPE);
    gr_error_clear();
    gr_tape_free(t);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void expect_message(const char *why, gr_tensor *bad, gr_status status, const char *part)
{
    GR_EXPECT(bad == GR_BAD && gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message());
    gr_error_clear();
}

static void what_does_not_fit_is_said(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *f = numbers(t, GR_F32, GR_SHAPE(2, 3), (double[6]){0}), *i = number(t, GR_I32, 1),
              *d = number(t, GR_F64, 1);
    gr_tensor *four = numbers(t, GR_F32, GR_SHAPE(4), (double[4]){0}), *u = number(t, GR_U8, 1),
              *b = number(t, GR_BOOL, 1);
    expect_message("shapes", gr_add(f, four), GR_ESHAPE,
        "add: argument b: expected a shape that broadcasts with [2, 3], found [4]");
    expect_message("operands are shown", gr_add(f, four), GR_ESHAPE, "a    float32 [2, 3]");
    expect_message("so is the line", gr_add(f, four), GR_ESHAPE, "test_elementwise.c:");
    expect_message("no promotion", gr_mul(f, d), GR_EDTYPE,
        "mul: argument b: expected float32 as argument a has, found float64; gr_cast converts");
    expect_message("integers do not divide", gr_div(i, i), GR_EDTYPE,
        "div: argument a: expected float32 or float64, found int32; gr_floor_divide divides integers");
    expect_message("floats do", gr_floor_divide(f, f), GR_EDTYPE, "argument a: expected an integer, found float32");
    expect_message(
        "bytes have no sign", gr_neg(u), GR_EDTYPE, "neg: argument x: expected a number with a sign, found uint8");
    expect_message("a bool is no number", gr_add(b, b), GR_EDTYPE, "add: argument a: expected a number, found bool");
    expect_message("logic is of bools", gr_logical_not(f), GR_EDTYPE, "argument x: expected bool, found float32");
    expect_message("a condition is a bool", gr_where(f, f, f), GR_EDTYPE,
        "where: argument condition: expected bool, found float32");
    expect_message(
        "both sides alike", gr_where(b, f, d), GR_EDTYPE, "where: argument b: expected float32 as argument a has");
    expect_message("bounds in order", gr_clip(f, 2, 1), GR_EARG, "clip: argument lo: expected lo <= hi, found 2 and 1");
    expect_message("bounds that are numbers", gr_clip(f, NAN, 1), GR_EARG, "expected lo <= hi");
    gr_tape_free(t);
}

static void every_op_refuses_nothing_and_passes_poison_on(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = number(t, GR_F32, 1), *y = number(t, GR_BOOL, 1);
    int seen = 0;
    for (int k = 0; gr_op_at(k); k++) {
        const gr_op *op = gr_op_at(k);
        if (!(op->traits & GR_ELEMENTWISE) || op->attr_size)
            continue;
        seen++;
        for (int i = 0; i < op->n_in; i++) {
            gr_tensor *in[] = {x, x, x};
            in[i] = NULL;
            expect_message(op->name, gr_apply_op(op, NULL, op->n_in, in), GR_EARG, "found NULL");
            in[i] = GR_BAD;
            CU_ASSERT_PTR_EQUAL(gr_apply_op(op, NULL, op->n_in, in), GR_BAD);
            CU_ASSERT_EQUAL(gr_error(), GR_OK);
        }
        for (int i = 1; i < op->n_in && op->n_in == 2; i++) { /* two dtypes never go together */
            gr_tensor *in[] = {x, y};
            expect_message(op->name, gr_apply_op(op, NULL, op->n_in, in), GR_EDTYPE, op->name);
        }
    }
    CU_ASSERT(seen > 45);
    gr_tape_free(t);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void every_row_passes_the_gradient_check(void)
{
    int seen = 0;
    (void)op_named("add");
    for (int k = 0; gr_op_at(k); k++) {
        const gr_op *op = gr_op_at(k);
        if (!(op->traits & GR_ELEMENTWISE))
            continue;
        seen++;
        GR_EXPECT(gr__gradcheck_op_samples(op) == GR_OK, "%s: %s", op->name, gr_error_message());
        gr_error_clear();
    }
    CU_ASSERT(seen > 50);
}

/* Gradient of the op at a (and b), for each of its float operands. */
static void gradient_at(const char *name, const double *x, double *dx)
{
    gr_tape *t = gr_tape_new();
    const gr_op *op = op_named(name);
    gr_tensor *in[2] = {0}, *g[2] = {0};
    for (int i = 0; i < op->n_in; i++) /* two nodes even where the numbers are equal */
        in[i] = i ? number(t, GR_F64, x[i]) : gr_cast(number(t, GR_F32, x[i]), GR_F64);
    gr_tensor *y = gr_apply_op(op, op->attr_size ? op->samples[0].attr : NULL, op->n_in, in);
    gr_grad(y, in, op->n_in, g);
    for (int i = 0; i < op->n_in; i++)
        dx[i] = value_of(g[i], 0);
    gr_tape_free(t);
}

static void kinks_and_poles_follow_the_stated_rules(void)
{
    static const struct {
        const char *why, *op;
        double x[2], dx[2];
    } rows[] = {
        {"the left side's", "relu", {0}, {0}},
        {"in the middle", "abs", {0}, {0}},
        {"flat", "sign", {0}, {0}},
        {"flat", "round", {0.7}, {0}},
        {"the tested bounds are -1 and 1.5: at one", "clip", {-1}, {1}},
        {"outside", "clip", {2}, {0}},
        {"the tested slope is 0.3", "leaky_relu", {0}, {0.3}},
        {"infinite", "sqrt", {0}, {INFINITY}},
        {"half each", "maximum", {2, 2}, {0.5, 0.5}},
        {"half each", "minimum", {2, 2}, {0.5, 0.5}},
        {"all to the greater", "maximum", {2, 1}, {1, 0}},
        {"x^2 at 0", "pow", {0, 2}, {0, 0}},
        {"x^1 at 0", "pow", {0, 1}, {1, 0}},
        {"x^0 at 0", "pow", {0, 0}, {0, 0}},
        {"x^2 at -3", "pow", {-3, 2}, {-6, 0}},
        {"a great one", "softplus", {1000}, {1}},
        {"a great negative", "silu", {-1000}, {0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        double dx[2] = {0};
        gradient_at(rows[i].op, rows[i].x, dx);
        GR_EXPECT(same(dx[0], rows[i].dx[0]) && same(dx[1], rows[i].dx[1]), "%s, %s: found %g and %g: %s", rows[i].op,
            rows[i].why, dx[0], dx[1], gr_error_message());
        gr_error_clear();
    }
}

GR_SUITE("ops/elementwise.c", GR_TEST(float_ops_compute_what_they_are_named_after),
    GR_TEST(ops_with_parameters_use_them), GR_TEST(integers_wrap_around_and_divide_downwards),
    GR_TEST(dividing_an_integer_by_0_is_an_error_when_it_runs), GR_TEST(casts_saturate_truncate_and_wrap),
    GR_TEST(shapes_broadcast_as_in_numpy), GR_TEST(where_takes_any_dtype_and_broadcasts_all_three),
    GR_TEST(the_batch_size_broadcasts_too), GR_TEST(what_does_not_fit_is_said),
    GR_TEST(every_op_refuses_nothing_and_passes_poison_on), GR_TEST(every_row_passes_the_gradient_check),
    GR_TEST(kinks_and_poles_follow_the_stated_rules))
