/* The matrix product: ops/matmul.c. Values and gradients of all shapes against NumPy and JAX are in test_fixture_ops.c.
 */
#include "autograd/grad.h"
#include "tests/near.h"

static gr_tensor *drawn(gr_tape *t, gr_dtype dtype, gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 512; /* exact in float32 */
    gr_array_cast(a, dtype);
    gr_tensor *c = gr_constant(t, a);
    gr_array_free(a);
    return c;
}

/* |float32 - float64| <= k u |A||B|: the proof's bound on k roundings, with u = 2^-24. */
static void float32_stays_within_the_proven_bound(void)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 19}, {128, 784, 40}, {64, 1000, 10}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t m = sizes[i][0], k = sizes[i][1], n = sizes[i][2];
        gr_tape *t = gr_tape_new();
        gr_tensor *a = drawn(t, GR_F32, GR_SHAPE(m, k), 1), *b = drawn(t, GR_F32, GR_SHAPE(k, n), 2);
        gr_tensor *c64 = gr_matmul(gr_cast(a, GR_F64), gr_cast(b, GR_F64));
        gr_tensor *bound = gr_matmul(gr_abs(gr_cast(a, GR_F64)), gr_abs(gr_cast(b, GR_F64)));
        gr_tensor *off = gr_abs(gr_sub(gr_cast(gr_matmul(a, b), GR_F64), c64));
        gr_array *worst = gr_eval(gr_max(gr_div(off, bound)));
        GR_EXPECT(worst && gr_array_at(worst, 0) <= (double)k * 0x1p-24, "%lld x %lld x %lld: %g", (long long)m,
            (long long)k, (long long)n, worst ? gr_array_at(worst, 0) : NAN);
        gr_array_free(worst);
        gr_tape_free(t);
    }
}

static void transposition_is_an_attribute_and_no_copy(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *a = drawn(t, GR_F64, GR_SHAPE(2, 3, 5), 1), *b = drawn(t, GR_F64, GR_SHAPE(2, 7, 5), 2);
    gr_tensor *direct = gr_matmul_t(a, b, .transpose_b = true);
    gr_tensor *turned = gr_matmul(a, gr_transpose(b, GR_SHAPE(0, 2, 1)));
    NEAR(gr_max(gr_abs(gr_sub(direct, turned))), GR_RANK0, 0, 0);
    gr_tensor *at = gr_transpose(a, GR_SHAPE(0, 2, 1));
    NEAR(gr_max(gr_abs(gr_sub(gr_matmul_t(at, b, .transpose_a = true, .transpose_b = true), direct))), GR_RANK0, 0, 0);
    gr_tensor *in[] = {a, b}, *g[2];
    int64_t before = gr_tape_size(t);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(direct)), in, 2, g), GR_OK);
    for (int64_t i = before; i < gr_tape_size(t); i++)
        CU_ASSERT_STRING_NOT_EQUAL(t->node[i]->op->name, "transpose");
    gr_tape_free(t);
}

static void a_weight_for_a_whole_batch_is_one_product(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 6, 4), "x"), *w = gr_input(t, GR_F32, GR_SHAPE(4, 5), "w");
    gr_tensor *y = gr_matmul(x, w), *g[1];
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(GR_BATCH, 6, 5)));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(y)), &w, 1, g), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g[0]), GR_SHAPE(4, 5)));
    for (int64_t i = 0; i < gr_tape_size(t); i++) /* no gradient of w for each sample */
        if (strcmp(t->node[i]->op->name, "matmul") == 0)
            CU_ASSERT_EQUAL(t->node[i]->out[0].shape.rank, 2);
    gr_tape_free(t);
}

static void a_batch_may_be_any_of_the_sizes(void)
{
    const int64_t B = GR_BATCH;
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(B, 2), "x");
    gr_tensor *gram = gr_matmul_t(x, x, .transpose_b = true), *inner = gr_matmul_t(x, x, .transpose_a = true);
    CU_ASSERT(gr_shape_equal(gr_shape_of(gram), GR_SHAPE(B, B)));
    holds(__LINE__, __FILE__, eval_bound(gram, x, GR_SHAPE(2, 2), NUMBERS(1, 2, 3, 4)), GR_SHAPE(2, 2), 0,
        NUMBERS(5, 11, 11, 25));
    holds(__LINE__, __FILE__, eval_bound(inner, x, GR_SHAPE(3, 2), NUMBERS(1, 2, 3, 4, 5, 6)), GR_SHAPE(2, 2), 0,
        NUMBERS(35, 44, 44, 56));
    holds(__LINE__, __FILE__, eval_bound(gr_matmul(gram, x), x, GR_SHAPE(2, 2), NUMBERS(1, 2, 3, 4)), GR_SHAPE(2, 2), 0,
        NUMBERS(38, 54, 86, 122));
    holds(__LINE__, __FILE__, eval_bound(inner, x, GR_SHAPE(0, 2), (const double[]){0}, 0), GR_SHAPE(2, 2), 0,
        NUMBERS(0, 0, 0, 0));
    gr_tape_free(t);
}

static void a_nan_or_an_infinity_is_not_hidden(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *a = constant_of(t, GR_F32, GR_SHAPE(2, 2), NUMBERS(NAN, 0, 1, INFINITY));
    gr_tensor *zero = gr_zeros(t, GR_SHAPE(2, 2), GR_F32);
    NEAR(gr_matmul(a, zero), GR_SHAPE(2, 2), 0, NAN, NAN, NAN, NAN);
    gr_tape_free(t);
}

GR_SUITE("ops/matmul.c", GR_TEST(float32_stays_within_the_proven_bound),
    GR_TEST(transposition_is_an_attribute_and_no_copy), GR_TEST(a_weight_for_a_whole_batch_is_one_product),
    GR_TEST(a_batch_may_be_any_of_the_sizes), GR_TEST(a_nan_or_an_infinity_is_not_hidden))
