/* Pooling: ops/pool_ops.c. Results and gradients held against a plain loop over the windows. */
#include "autograd/grad.h"
#include "tests/near.h"

typedef struct {
    const char *why;
    int64_t h, w, c;
    int64_t size[2], strides[2];
    const char *padding;
    int64_t before[2], out[2]; /* what they come to */
} row;
static const row rows[] = {
    {"side by side", 4, 6, 3, {2, 2}, {2, 2}, NULL, {0, 0}, {2, 3}},
    {"a rest that no window takes", 5, 7, 2, {2, 3}, {2, 3}, "valid", {0, 0}, {2, 2}},
    {"same, the last windows hang over", 5, 7, 2, {2, 2}, {2, 2}, "same", {0, 0}, {3, 4}},
    {"same with overlap", 6, 5, 3, {3, 3}, {2, 2}, "same", {0, 1}, {3, 3}},
    {"same, stride 1", 4, 4, 2, {3, 2}, {1, 1}, "same", {1, 0}, {4, 4}},
    {"gaps between windows", 7, 8, 2, {1, 2}, {3, 4}, NULL, {0, 0}, {3, 2}},
    {"more channels than are done together", 3, 3, 131, {2, 2}, {1, 1}, NULL, {0, 0}, {2, 2}},
    {"a window over everything", 3, 4, 2, {3, 4}, {1, 1}, NULL, {0, 0}, {1, 1}},
    {"a window larger than the picture", 2, 1, 2, {3, 3}, {3, 3}, "same", {0, 1}, {1, 1}},
};
enum { ROWS = sizeof rows / sizeof *rows, IMAGES = 2 };

/* Index of the window's largest element (the first), its sum and its number of elements. */
static int64_t window(
    const row *r, const double *x, int64_t image, int64_t i, int64_t k, int64_t c, double *sum, int *n)
{
    int64_t best = -1;
    *sum = 0, *n = 0;
    for (int64_t u = 0; u < r->size[0]; u++)
        for (int64_t v = 0; v < r->size[1]; v++) {
            int64_t a = i * r->strides[0] + u - r->before[0], b = k * r->strides[1] + v - r->before[1];
            if (a < 0 || a >= r->h || b < 0 || b >= r->w)
                continue;
            int64_t at = ((image * r->h + a) * r->w + b) * r->c + c;
            *sum += x[at];
            ++*n;
            if (best < 0 || x[at] > x[best])
                best = at;
        }
    return best;
}

static bool agree(gr_tensor *found, const gr_array *want, double tolerance)
{
    gr_array *a = gr_eval(found);
    bool good = a && gr_shape_equal(gr_array_shape(a), gr_array_shape(want));
    for (int64_t i = 0; good && i < gr_array_size(a); i++)
        good = fabs(gr_array_at(a, i) - gr_array_at(want, i)) <= tolerance;
    gr_array_free(a);
    return good;
}

/* Expected results and gradients of sum(y dy), dy = 1, 2, 3, ... */
static void expect(const row *r, const double *x, double *y[2], double *dx[2])
{
    int64_t at = 0;
    for (int64_t image = 0; image < IMAGES; image++)
        for (int64_t i = 0; i < r->out[0]; i++)
            for (int64_t k = 0; k < r->out[1]; k++)
                for (int64_t c = 0; c < r->c; c++, at++) {
                    double sum;
                    int n;
                    int64_t best = window(r, x, image, i, k, c, &sum, &n);
                    y[0][at] = x[best];
                    y[1][at] = sum / n;
                    dx[0][best] += (double)at + 1;
                    for (int64_t u = 0; u < r->size[0]; u++)
                        for (int64_t v = 0; v < r->size[1]; v++) {
                            int64_t a = i * r->strides[0] + u - r->before[0], b = k * r->strides[1] + v - r->before[1];
                            if (a >= 0 && a < r->h && b >= 0 && b < r->w)
                                dx[1][((image * r->h + a) * r->w + b) * r->c + c] += ((double)at + 1) / n;
                        }
                }
}

static void results_and_gradients_are_those_of_a_plain_loop(void)
{
    for (int i = 0; i < ROWS; i++)
        for (int single = 0; single < 2; single++) {
            const row *r = &rows[i];
            const gr_shape xs = GR_SHAPE(IMAGES, r->h, r->w, r->c), ys = GR_SHAPE(IMAGES, r->out[0], r->out[1], r->c);
            gr_array *x = gr_array_new(GR_F64, xs), *want[2], *slope[2];
            double *e = gr_array_data(x), *y[2], *dx[2];
            for (int64_t k = 0; k < gr_array_size(x); k++)
                e[k] = (double)(k * 7919 % 1009); /* no ties within a window */
            for (int k = 0; k < 2; k++) {
                want[k] = gr_array_new(GR_F64, ys);
                slope[k] = gr_array_new(GR_F64, xs);
                y[k] = gr_array_data(want[k]);
                dx[k] = gr_array_data(slope[k]);
                memset(dx[k], 0, (size_t)gr_array_bytes(slope[k]));
            }
            expect(r, e, y, dx);
            gr_tape *t = gr_tape_new();
            const gr_dtype real = single ? GR_F32 : GR_F64;
            gr_tensor *in = gr_cast(gr_constant(t, x), real), *g[1];
            const gr_shape size = GR_SHAPE(r->size[0], r->size[1]), strides = GR_SHAPE(r->strides[0], r->strides[1]);
            gr_tensor *found[] = {gr_max_pool(in, size, strides, r->padding),
                gr_average_pool(in, size, strides, r->padding)};
            for (int k = 0; k < 2; k++) {
                int64_t n = gr_array_size(want[k]);
                gr_tensor *dy = gr_reshape(gr_arange(t, 1, (double)n + 1, .dtype = real), ys);
                GR_EXPECT(agree(found[k], want[k], single ? 1e-4 : 1e-12), "%s: %s %s", r->why, k ? "mean" : "max",
                    gr_error_message());
                GR_EXPECT(gr_grad_with(1, &found[k], &dy, &in, 1, g) == GR_OK &&
                              agree(g[0], slope[k], single ? 1e-3 : 1e-11),
                    "%s: gradient of the %s %s", r->why, k ? "mean" : "max", gr_error_message());
                gr_error_clear();
                gr_array_free(want[k]);
                gr_array_free(slope[k]);
            }
            gr_array_free(x);
            gr_tape_free(t);
        }
}

static void the_first_of_equal_elements_gets_the_gradient(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(1, 2, 2, 1), NUMBERS(1, 3, 3, 3)), *g[1];
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_max_pool(x, GR_SHAPE(2))), &x, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 2, 2, 1), 0, 0, 1, 0, 0);
    gr_tensor *z = constant_of(t, GR_F64, GR_SHAPE(1, 3, 1), NUMBERS(0, 0, 0));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_max_pool(z, GR_SHAPE(2), .strides = GR_SHAPE(1))), &z, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 3, 1), 0, 1, 1, 0);
    gr_tape_free(t);
}

static void a_nan_is_the_largest_and_gets_the_gradient(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(1, 4, 2), NUMBERS(1, 9, NAN, 2, INFINITY, 3, NAN, 4)), *g[1];
    gr_tensor *y = gr_max_pool(x, GR_SHAPE(4));
    NEAR(y, GR_SHAPE(1, 1, 2), 0, NAN, 9);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), &x, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 4, 2), 0, 0, 1, 1, 0, 0, 0, 0, 0);
    gr_tape_free(t);
}

static void padding_is_never_the_largest_and_does_not_count(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(1, 3, 1), NUMBERS(-4, -2, -9));
    NEAR(gr_max_pool(x, GR_SHAPE(2), .padding = "same"), GR_SHAPE(1, 2, 1), 0, -2, -9);
    NEAR(gr_average_pool(x, GR_SHAPE(2), .padding = "same"), GR_SHAPE(1, 2, 1), 0, -3, -9);
    NEAR(gr_average_pool(x, GR_SHAPE(2), GR_SHAPE(1), .before = GR_SHAPE(1)), GR_SHAPE(1, 3, 1), 0, -4, -3, -5.5);
    gr_tape_free(t);
}

static void batch_and_channels_may_be_multiples_of_b(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(gr_dim_batch(3), 8, 6, 2), "x"), *g[1];
    gr_tensor *y = gr_max_pool(x, GR_SHAPE(2));
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(gr_dim_batch(3), 4, 3, 2)));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_average_pool(y, GR_SHAPE(2))), &x, 1, g), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g[0]), gr_shape_of(x)));
    gr_tape_free(t);
}

static gr_tensor *drawn(gr_tape *t, gr_dtype real, gr_shape s, int seed)
{
    const double n = (double)gr_shape_size(s);
    gr_tensor *i = gr_add(gr_reshape(gr_arange(t, 0, n, .dtype = GR_F64), s), gr_number(t, GR_F64, 1000 * seed));
    return gr_cast(gr_sin(gr_mul(gr_square(i), gr_number(t, GR_F64, 0.37))), real);
}

/* Without going through max_pool: windows of 2 x 2 side by side as axes of their own. */
static gr_tensor *by_axes(gr_tensor *x)
{
    const gr_shape s = gr_shape_of(x);
    const int64_t h = s.dim[1] / 2, w = s.dim[2] / 2;
    x = gr_slice(x, .stop = GR_SHAPE(s.dim[0], 2 * h, 2 * w, s.dim[3]));
    return gr_max(gr_reshape(x, GR_SHAPE(s.dim[0], h, 2, w, 2, s.dim[3])), .axes = GR_SHAPE(2, 4));
}

static void relu_and_bias_follow_with_the_same_numbers_and_gradients(void)
{
    for (int i = 0; i < 8; i++) {
        const bool same = i & 1, strides = i & 2;
        const gr_dtype real = i & 4 ? GR_F64 : GR_F32;
        gr_tape *t = gr_tape_new();
        gr_tensor *in[] = {drawn(t, real, GR_SHAPE(2, 11, 13, 3), 1), drawn(t, real, GR_SHAPE(3, 3, 3, 5), 2),
            drawn(t, real, GR_SHAPE(5), 3), NULL, NULL}, *g[2][5];
        gr_tensor *y = gr_conv(in[0], in[1], .padding = same ? "same" : "valid", .strides = GR_SHAPE(strides ? 2 : 1));
        gr_tensor *z = gr_relu(gr_add(y, in[2])), *p = gr_max_pool(z, GR_SHAPE(2)), *want = by_axes(z);
        const gr_tensor *quick = p->node->in[0];
        CU_ASSERT_STRING_EQUAL(p->node->op->name, "either");
        CU_ASSERT_STRING_EQUAL(quick->node->op->name, "relu");
        const gr_shape of_p = gr_shape_of(p), pooled = gr_shape_of(quick->node->in[0]->node->in[0]->node->in[0]);
        CU_ASSERT(pooled.dim[1] == 2 * of_p.dim[1] && pooled.dim[2] == 2 * of_p.dim[2]);
        gr_tensor *dy = drawn(t, real, gr_shape_of(want), 4);
        gr_array *a = gr_eval(want);
        GR_EXPECT(a && agree(p, a, 0), "case %d: %s", i, gr_error_message());
        gr_array_free(a);
        CU_ASSERT(gr_grad_with(1, &p, &dy, in, 3, g[0]) == GR_OK && gr_grad_with(1, &want, &dy, in, 3, g[1]) == GR_OK);
        for (int k = 0; k < 3; k++) {
            a = gr_eval(g[1][k]);
            GR_EXPECT(a && agree(g[0][k], a, real == GR_F64 ? 1e-12 : 1e-4), "case %d: gradient %d", i, k);
            gr_array_free(a);
        }
        in[3] = y, in[4] = z; /* what the quick way leaves out has its gradient too, and the others stay right */
        want = gr_max_pool(gr_mul(z, gr_scalar(z, 1)), GR_SHAPE(2)); /* there is no quick way past this */
        CU_ASSERT(gr_grad_with(1, &p, &dy, in, 5, g[0]) == GR_OK && gr_grad_with(1, &want, &dy, in, 5, g[1]) == GR_OK);
        for (int k = 0; k < 5; k++) {
            a = gr_eval(g[1][k]);
            GR_EXPECT(a && agree(g[0][k], a, real == GR_F64 ? 1e-12 : 1e-4), "case %d: inner gradient %d", i, k);
            gr_array_free(a);
        }
        gr_tape_free(t);
    }
}

static void what_does_not_keep_order_stays_before(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = drawn(t, GR_F32, GR_SHAPE(2, 6, 6, 3), 1);
    CU_ASSERT_STRING_EQUAL(gr_max_pool(gr_neg(x), GR_SHAPE(2))->node->op->name, "max_pool");
    gr_tensor *columns = drawn(t, GR_F32, GR_SHAPE(6, 3), 2); /* differs along an axis of the window */
    CU_ASSERT_STRING_EQUAL(gr_max_pool(gr_add(x, columns), GR_SHAPE(2))->node->op->name, "max_pool");
    CU_ASSERT_STRING_EQUAL(gr_max_pool(gr_add(x, x), GR_SHAPE(2))->node->op->name, "max_pool");
    /* as many results as elements: nothing to be had */
    CU_ASSERT_STRING_EQUAL(gr_max_pool(gr_relu(x), GR_SHAPE(2), GR_SHAPE(1))->node->op->name, "max_pool");
    gr_tape_free(t);
}

static void impossible_options_are_named(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 6, 6, 4), "x"), *m = gr_input(t, GR_F32, GR_SHAPE(6, 6), "m");
    const struct {
        const char *text;
        gr_pool_args args;
    } wrong[] = {
        {"padding: expected valid or same, found \"causal\"", {.x = x, .size = GR_SHAPE(2), .padding = "causal"}},
        {"size: expected 2 sizes of 1 or more, found []", {.x = x, .strides = GR_SHAPE(2)}},
        {"size: expected 2 sizes of 1 or more, found [2, 2, 2]", {.x = x, .size = GR_SHAPE(2, 2, 2)}},
        {"size: expected 1 .. 2147483647 along its axis 1, found 0",
            {.x = x, .size = GR_SHAPE(2, 0), .strides = GR_SHAPE(1)}},
        {"size: expected a window that spans at most the 6 of axis 1 and its padding, found 7",
            {.x = x, .size = GR_SHAPE(7)}},
        {"strides: expected 2 sizes of 1 or more, found [0, 0]", {.x = x, .size = GR_SHAPE(2), .strides = GR_SHAPE(0)}},
        {"size: expected an element of x in every window", {.x = x, .size = GR_SHAPE(2), .before = GR_SHAPE(2)}},
        {"after: expected 2 sizes of 0 or more, found [-1, -1]", {.x = x, .size = GR_SHAPE(2), .after = GR_SHAPE(-1)}},
        {"x: expected rank 3 or 4, found [6, 6]", {.x = m, .size = GR_SHAPE(2)}},
        {"x: expected a tensor, found NULL", {.x = NULL, .size = GR_SHAPE(2)}},
        {"x: expected float32 or float64, found int32", {.x = gr_cast(x, GR_I32), .size = GR_SHAPE(2)}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int mean = 0; mean < 2; mean++) {
            gr_tensor *y = mean ? gr_average_pool_at(GR_HERE, &wrong[i].args) : gr_max_pool_at(GR_HERE, &wrong[i].args);
            char want[200];
            snprintf(want, sizeof want, "%s_pool: argument %s", mean ? "average" : "max", wrong[i].text);
            GR_EXPECT(
                y == GR_BAD && strstr(gr_error_message(), want), "expected '%s' in: %s", want, gr_error_message());
            gr_error_clear();
        }
    gr_tape_free(t);
}

GR_SUITE("ops/pool_ops.c", GR_TEST(results_and_gradients_are_those_of_a_plain_loop),
    GR_TEST(the_first_of_equal_elements_gets_the_gradient), GR_TEST(a_nan_is_the_largest_and_gets_the_gradient),
    GR_TEST(padding_is_never_the_largest_and_does_not_count), GR_TEST(batch_and_channels_may_be_multiples_of_b),
    GR_TEST(relu_and_bias_follow_with_the_same_numbers_and_gradients), GR_TEST(what_does_not_keep_order_stays_before),
    GR_TEST(impossible_options_are_named))
