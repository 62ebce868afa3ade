/* Gathers and scatters: ops/gather.c. Values against NumPy are in test_fixture_ops.c, errors of data in
 * test_op_errors.c. */
#include "autograd/grad.h"
#include "tests/near.h"

static void negative_indices_count_from_the_end(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(3, 2), NUMBERS(1, 2, 3, 4, 5, 6));
    gr_tensor *i = constant_of(t, GR_I32, GR_SHAPE(2), NUMBERS(-1, 0));
    NEAR(gr_take(x, i, 0), GR_SHAPE(2, 2), 0, 5, 6, 1, 2);
    NEAR(gr_take(x, i, -1), GR_SHAPE(3, 2), 0, 2, 1, 4, 3, 6, 5);
    NEAR(gr_take_along_axis(x, gr_reshape(i, GR_SHAPE(2, 1)), 0), GR_SHAPE(2, 2), 0, 5, 6, 1, 2);
    NEAR(gr_gather(x, gr_reshape(i, GR_SHAPE(1, 2))), GR_SHAPE(1), 0, 5);
    NEAR(gr_gather(x, gr_reshape(i, GR_SHAPE(2, 1))), GR_SHAPE(2, 2), 0, 5, 6, 1, 2);
    gr_tape_free(t);
}

static void an_index_that_repeats_adds_up(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(3), NUMBERS(1, 2, 3)), *g[1];
    gr_tensor *i = constant_of(t, GR_I64, GR_SHAPE(4), NUMBERS(2, 0, 2, -1));
    gr_tensor *weight = constant_of(t, GR_F64, GR_SHAPE(4), NUMBERS(10, 20, 30, 40));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_mul(gr_take(x, i, 0), weight)), &x, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(3), 0, 20, 0, 80);
    NEAR(gr_scatter_add(x, gr_reshape(i, GR_SHAPE(4, 1)), weight), GR_SHAPE(3), 0, 21, 2, 83);
    gr_tensor *bytes = constant_of(t, GR_U8, GR_SHAPE(1), NUMBERS(200));
    gr_tensor *zero = constant_of(t, GR_I32, GR_SHAPE(2, 1), NUMBERS(0, 0));
    NEAR(gr_scatter_add(bytes, zero, gr_tile(bytes, GR_SHAPE(2))), GR_SHAPE(1), 0, 88); /* 600 mod 256 */
    gr_tape_free(t);
}

static void sizes_of_one_are_repeated_by_take_along_axis(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_I32, GR_SHAPE(1, 3), NUMBERS(7, 8, 9));
    gr_tensor *i = constant_of(t, GR_U8, GR_SHAPE(2, 2), NUMBERS(0, 2, 1, 1));
    NEAR(gr_take_along_axis(x, i, 1), GR_SHAPE(2, 2), 0, 7, 9, 8, 8);
    gr_tape_free(t);
}

static void a_batch_of_labels_becomes_one_hot(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *y = gr_input(t, GR_U8, GR_SHAPE(GR_BATCH), "y"), *hot = gr_one_hot(y, 3);
    CU_ASSERT(gr_dtype_of(hot) == GR_F32 && gr_shape_equal(gr_shape_of(hot), GR_SHAPE(GR_BATCH, 3)));
    holds(__LINE__, __FILE__, eval_bound(hot, y, GR_SHAPE(2), NUMBERS(2, 0)), GR_SHAPE(2, 3), 0,
        NUMBERS(0, 0, 1, 1, 0, 0));
    holds(__LINE__, __FILE__, eval_bound(gr_one_hot(y, 2, .dtype = GR_BOOL), y, GR_SHAPE(1), NUMBERS(1)),
        GR_SHAPE(1, 2), 0, NUMBERS(0, 1));
    gr_tape_free(t);
}

static void an_empty_set_of_indices_takes_nothing(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(2, 2), NUMBERS(1, 2, 3, 4)), *i = gr_zeros(t, GR_SHAPE(0), GR_I64);
    NEAR(gr_sum(gr_take(x, i, 0)), GR_RANK0, 0, 0);
    NEAR(gr_scatter_add(x, gr_zeros(t, GR_SHAPE(0, 1), GR_I64), gr_zeros(t, GR_SHAPE(0, 2), GR_F32)), GR_SHAPE(2, 2), 0,
        1, 2, 3, 4);
    NEAR(gr_gather(x, gr_zeros(t, GR_SHAPE(2, 0), GR_I64)), GR_SHAPE(2, 2, 2), 0, 1, 2, 3, 4, 1, 2, 3, 4);
    gr_tape_free(t);
}

GR_SUITE("ops/gather.c", GR_TEST(negative_indices_count_from_the_end), GR_TEST(an_index_that_repeats_adds_up),
    GR_TEST(sizes_of_one_are_repeated_by_take_along_axis), GR_TEST(a_batch_of_labels_becomes_one_hot),
    GR_TEST(an_empty_set_of_indices_takes_nothing))
