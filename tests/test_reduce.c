/* Reductions: ops/reduce.c and ops/moments.c. Gradients are checked in test_ops.c, values against NumPy in
 * test_fixture_ops.c; here are precision, conventions and the symbolic batch. */
#include "autograd/grad.h"
#include "tests/near.h"
#include <stdlib.h>

static void a_float32_sum_is_the_rounded_exact_sum(void)
{
    enum { N = 1 << 20 };
    float *x = malloc(N * sizeof *x);
    double exact = 0;
    for (int i = 0; i < N; i++) {
        x[i] = (float)(1 + i % 1000) / 997.0f;
        exact += x[i]; /* a few thousand at most of each size: exact in double to far below a float */
    }
    gr_tape *t = gr_tape_new();
    gr_array *a = gr_array_borrow(GR_F32, GR_SHAPE(N), x, NULL, NULL);
    gr_tensor *c = gr_constant(t, a);
    NEAR(gr_sum(c), GR_RANK0, 0, (float)exact);
    gr_tensor *square = gr_reshape(c, GR_SHAPE(1024, 1024));
    gr_tensor *columns = gr_sum(square, .axes = GR_SHAPE(0)), *rows = gr_sum(square, .axes = GR_SHAPE(1));
    NEAR(gr_sum(gr_cast(columns, GR_F64)), GR_RANK0, 1e-7, exact);
    NEAR(gr_sum(gr_cast(rows, GR_F64)), GR_RANK0, 1e-7, exact);
    gr_array_free(a);
    gr_tape_free(t);
    free(x);
}

static void a_float64_sum_keeps_what_cancels(void)
{
    gr_tape *t = gr_tape_new();
    NEAR(gr_sum(constant_of(t, GR_F64, GR_SHAPE(4), NUMBERS(1, 1e100, 1, -1e100))), GR_RANK0, 0, 2);
    NEAR(gr_sum(constant_of(t, GR_F64, GR_SHAPE(3), NUMBERS(INFINITY, 1, 2))), GR_RANK0, 0, INFINITY);
    NEAR(gr_sum(constant_of(t, GR_F64, GR_SHAPE(2), NUMBERS(INFINITY, -INFINITY))), GR_RANK0, 0, NAN);
    NEAR(gr_sum(constant_of(t, GR_F32, GR_SHAPE(2), NUMBERS(3e38, 3e38))), GR_RANK0, 0, INFINITY);
    gr_tape_free(t);
}

static void integers_and_bools_are_counted_in_int64(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *u8 = gr_sum(constant_of(t, GR_U8, GR_SHAPE(3), NUMBERS(255, 255, 255)));
    gr_tensor *i32 = gr_sum(constant_of(t, GR_I32, GR_SHAPE(2), NUMBERS(2147483647, 2147483647)));
    gr_tensor *bools = gr_sum(constant_of(t, GR_BOOL, GR_SHAPE(2, 2), NUMBERS(1, 0, 1, 1)), .axes = GR_SHAPE(0));
    CU_ASSERT(gr_dtype_of(u8) == GR_I64 && gr_dtype_of(i32) == GR_I64 && gr_dtype_of(bools) == GR_I64);
    NEAR(u8, GR_RANK0, 0, 765);
    NEAR(i32, GR_RANK0, 0, 4294967294.0);
    NEAR(bools, GR_SHAPE(2), 0, 2, 1);
    NEAR(gr_prod(constant_of(t, GR_U8, GR_SHAPE(3), NUMBERS(100, 100, 100))), GR_RANK0, 0, 1000000);
    gr_tape_free(t);
}

static void a_nan_wins_every_extreme(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(2, 3), NUMBERS(1, NAN, 3, -1, -2, -3));
    NEAR(gr_max(x, .axes = GR_SHAPE(1)), GR_SHAPE(2), 0, NAN, -1);
    NEAR(gr_min(x, .axes = GR_SHAPE(1)), GR_SHAPE(2), 0, NAN, -3);
    NEAR(gr_max(x, .axes = GR_SHAPE(0)), GR_SHAPE(3), 0, 1, NAN, 3);
    NEAR(gr_argmax(x, .axes = GR_SHAPE(1)), GR_SHAPE(2), 0, 1, 0);
    NEAR(gr_argmin(x, .axes = GR_SHAPE(1)), GR_SHAPE(2), 0, 1, 2);
    gr_tape_free(t);
}

static void the_first_of_equal_extremes_is_the_position(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_I32, GR_SHAPE(2, 4), NUMBERS(1, 3, 3, 2, 2, 2, 2, 2));
    NEAR(gr_argmax(x, .axes = GR_SHAPE(1)), GR_SHAPE(2), 0, 1, 0);
    NEAR(gr_argmin(x, .axes = GR_SHAPE(1), .keepdims = true), GR_SHAPE(2, 1), 0, 0, 0);
    NEAR(gr_argmax(x), GR_RANK0, 0, 1);
    CU_ASSERT_EQUAL(gr_dtype_of(gr_argmax(x)), GR_I64);
    gr_tape_free(t);
}

static void an_empty_reduction_is_its_identity(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_zeros(t, GR_SHAPE(0, 2), GR_F32), *b = gr_zeros(t, GR_SHAPE(0, 2), GR_BOOL);
    NEAR(gr_sum(x, .axes = GR_SHAPE(0)), GR_SHAPE(2), 0, 0, 0);
    NEAR(gr_prod(x, .axes = GR_SHAPE(0)), GR_SHAPE(2), 0, 1, 1);
    NEAR(gr_max(x, .axes = GR_SHAPE(0)), GR_SHAPE(2), 0, -INFINITY, -INFINITY);
    NEAR(gr_min(x), GR_RANK0, 0, INFINITY);
    NEAR(gr_mean(x, .axes = GR_SHAPE(0)), GR_SHAPE(2), 0, NAN, NAN);
    NEAR(gr_any(b), GR_RANK0, 0, 0);
    NEAR(gr_all(b), GR_RANK0, 0, 1);
    NEAR(gr_count(x), GR_RANK0, 0, 0);
    gr_tape_free(t);
}

static void a_mean_over_the_batch_divides_by_what_it_turns_out_to_be(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 2), "x");
    gr_tensor *mean = gr_mean(x, .axes = GR_SHAPE(0)), *var = gr_var(x, .axes = GR_SHAPE(0)), *n = gr_count(x);
    holds(__LINE__, __FILE__, eval_bound(mean, x, GR_SHAPE(3, 2), NUMBERS(1, 2, 3, 4, 8, 9)), GR_SHAPE(2), 1e-7,
        NUMBERS(4, 5));
    holds(__LINE__, __FILE__, eval_bound(mean, x, GR_SHAPE(1, 2), NUMBERS(1, 2)), GR_SHAPE(2), 0, NUMBERS(1, 2));
    holds(
        __LINE__, __FILE__, eval_bound(var, x, GR_SHAPE(2, 2), NUMBERS(1, 2, 3, 8)), GR_SHAPE(2), 1e-7, NUMBERS(1, 9));
    holds(__LINE__, __FILE__, eval_bound(var, x, GR_SHAPE(1, 2), NUMBERS(1, 2)), GR_SHAPE(2), 0, NUMBERS(0, 0));
    holds(__LINE__, __FILE__, eval_bound(n, x, GR_SHAPE(3, 2), NUMBERS(1, 2, 3, 4, 8, 9)), GR_RANK0, 0, NUMBERS(6));
    gr_tape_free(t);
}

static void a_variance_far_from_zero_is_right(void)
{
    gr_tape *t = gr_tape_new(); /* 10000, 10001, 10002, 10003: E[x^2] - m^2 in float32 would give 0 or 8 */
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(4), NUMBERS(10000, 10001, 10002, 10003));
    NEAR(gr_var(x), GR_RANK0, 1e-7, 1.25);
    NEAR(gr_std(x, .keepdims = true), GR_SHAPE(1), 1e-7, 1.118033988749895);
    gr_tape_free(t);
}

static void logsumexp_neither_overflows_nor_invents_numbers(void)
{
    gr_tape *t = gr_tape_new();
    const double low = -INFINITY;
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(4, 2), NUMBERS(1e4, 1e4, -1e4, -1e4, low, low, low, 3));
    NEAR(gr_logsumexp(x, .axes = GR_SHAPE(-1)), GR_SHAPE(4), 1e-7, 10000.693147180559, -9999.306852819441, low, 3);
    NEAR(gr_logsumexp(x, .axes = GR_SHAPE(-1), .keepdims = true), GR_SHAPE(4, 1), 1e-7, 10000.693147180559,
        -9999.306852819441, low, 3);
    NEAR(gr_logsumexp(constant_of(t, GR_F64, GR_SHAPE(2), NUMBERS(INFINITY, 1))), GR_RANK0, 0, INFINITY);
    gr_tape_free(t);
}

static void gradients_at_kinks_are_as_documented(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(4), NUMBERS(3, 1, 3, 2)), *g[1];
    CU_ASSERT_EQUAL(gr_grad(gr_max(x), &x, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(4), 0, 0.5, 0, 0.5, 0); /* ties share */
    gr_tensor *zero = constant_of(t, GR_F64, GR_SHAPE(3), NUMBERS(0, 0, 0));
    CU_ASSERT_EQUAL(gr_grad(gr_norm(zero), &zero, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(3), 0, 0, 0, 0);
    gr_tensor *p = constant_of(t, GR_F64, GR_SHAPE(3), NUMBERS(2, 0, 3));
    CU_ASSERT_EQUAL(gr_grad(gr_prod(p), &p, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(3), 0, 0, 6, 0);
    gr_tensor *pp = constant_of(t, GR_F64, GR_SHAPE(3), NUMBERS(2, 0, 0));
    CU_ASSERT_EQUAL(gr_grad(gr_prod(pp), &pp, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(3), 0, 0, 0, 0);
    gr_tape_free(t);
}

static void axes_may_come_in_any_order_and_spelling(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2, 3, 4), "x");
    gr_tensor *sum = gr_sum(x, .axes = GR_SHAPE(0, 2));
    CU_ASSERT_PTR_EQUAL(sum, gr_sum(x, .axes = GR_SHAPE(-1, 0)));
    CU_ASSERT_PTR_EQUAL(sum, gr_sum(x, GR_SHAPE(2, -3), false));
    CU_ASSERT_PTR_EQUAL(gr_sum(x), gr_sum(x, .axes = GR_SHAPE(2, 1, 0)));
    CU_ASSERT_PTR_EQUAL(gr_sum(x), (gr_sum)(x));
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_sum(x, .keepdims = true)), GR_SHAPE(1, 1, 1)));
    gr_tape_free(t);
}

GR_SUITE("ops/reduce.c", GR_TEST(a_float32_sum_is_the_rounded_exact_sum), GR_TEST(a_float64_sum_keeps_what_cancels),
    GR_TEST(integers_and_bools_are_counted_in_int64), GR_TEST(a_nan_wins_every_extreme),
    GR_TEST(the_first_of_equal_extremes_is_the_position), GR_TEST(an_empty_reduction_is_its_identity),
    GR_TEST(a_mean_over_the_batch_divides_by_what_it_turns_out_to_be), GR_TEST(a_variance_far_from_zero_is_right),
    GR_TEST(logsumexp_neither_overflows_nor_invents_numbers), GR_TEST(gradients_at_kinks_are_as_documented),
    GR_TEST(axes_may_come_in_any_order_and_spelling))
