/* Attention: ops/attention.c. Values and gradients against JAX are in test_fixture_ops.c, the kernel in test_attend.c;
 * here what the op promises besides. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "tests/near.h"

static gr_tensor *drawn(gr_tape *t, gr_dtype dtype, gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 1024; /* exact in float32 */
    gr_array_cast(a, dtype);
    gr_tensor *c = gr_constant(t, a);
    gr_array_free(a);
    return c;
}

/* The greatest distance of two tensors is at most so much. */
static bool near(gr_tensor *a, gr_tensor *b, double tolerance)
{
    gr_array *d = gr_eval(gr_max(gr_abs(gr_sub(a, b))));
    bool good = d && gr_array_at(d, 0) <= tolerance;
    gr_array_free(d);
    return good;
}

static void a_query_that_sees_nothing_gives_zero_and_no_gradient(void)
{
    for (int mode = 0; mode < 2; mode++) {
        const gr_dtype real = mode ? GR_F32 : GR_F64;
        gr_tape *t = gr_tape_new();
        gr_tensor *q = drawn(t, real, GR_SHAPE(1, 2, 1, 3), 1), *k = drawn(t, real, GR_SHAPE(1, 4, 1, 3), 2);
        gr_tensor *v = drawn(t, real, GR_SHAPE(1, 4, 1, 2), 3), *sum, *wrt[] = {q, k, v}, *g[3];
        gr_tensor *mask = constant_of(t, GR_BOOL, GR_SHAPE(2, 4), NUMBERS(0, 0, 0, 0, 0, 1, 0, 0));
        gr_tensor *y = gr_dot_product_attention(q, k, v, .mask = mask, .log_sum = &sum);
        CU_ASSERT_EQUAL(gr_status_of(y), GR_OK);
        NEAR(gr_slice(y, .stop = GR_SHAPE(1, 1)), GR_SHAPE(1, 1, 1, 2), 0, 0, 0);
        CU_ASSERT(near(gr_slice(y, GR_SHAPE(0, 1)), gr_slice(v, GR_SHAPE(0, 1), GR_SHAPE(1, 2)), 1e-6));
        NEAR(gr_slice(sum, .stop = GR_SHAPE(1, 1)), GR_SHAPE(1, 1, 1), 0, -INFINITY);
        CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(y)), wrt, 3, g), GR_OK);
        NEAR(gr_slice(g[0], .stop = GR_SHAPE(1, 1)), GR_SHAPE(1, 1, 1, 3), 0, 0, 0, 0);
        NEAR(gr_slice(g[2], .stop = GR_SHAPE(1, 1)), GR_SHAPE(1, 1, 1, 2), 0, 0, 0);
        gr_tensor *again[3];
        CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(g[0])), wrt, 3, again), GR_OK);
        NEAR(gr_slice(again[0], .stop = GR_SHAPE(1, 1)), GR_SHAPE(1, 1, 1, 3), 0, 0, 0, 0);
        gr_tape_free(t);
    }
}

static void there_may_be_no_queries_keys_or_examples(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *none = drawn(t, GR_F32, GR_SHAPE(1, 0, 2, 3), 1), *some = drawn(t, GR_F32, GR_SHAPE(1, 2, 2, 3), 2);
    gr_tensor *wrt[] = {some, none}, *g[2];
    gr_tensor *y = gr_dot_product_attention(some, none, none);
    NEAR(y, GR_SHAPE(1, 2, 2, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), wrt, 2, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 2, 2, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    y = gr_dot_product_attention(none, some, some);
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(1, 0, 2, 3)));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), wrt, 2, g), GR_OK); /* what the memory held before must not come through */
    NEAR(g[0], GR_SHAPE(1, 2, 2, 3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    gr_tensor *nobody = drawn(t, GR_F32, GR_SHAPE(0, 2, 3, 1, 4), 1);
    gr_array *a = gr_eval(gr_dot_product_attention(nobody));
    CU_ASSERT(a && gr_array_size(a) == 0);
    gr_array_free(a);
    gr_tape_free(t);
}

/* [B, T, 3, heads, size] and its three parts give the same bits, forward and backward. */
static void packed_operands_are_the_same_as_three(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = drawn(t, GR_F32, GR_SHAPE(2, 37, 3, 2, 5), 1), *part[3], *packed, *split;
    CU_ASSERT_EQUAL(gr_split(x, 3, 2, part), GR_OK);
    for (int i = 0; i < 3; i++)
        part[i] = gr_squeeze(part[i], GR_SHAPE(2));
    gr_tensor *a = gr_dot_product_attention(x, .causal = true);
    gr_tensor *b = gr_dot_product_attention(part[0], part[1], part[2], .causal = true);
    CU_ASSERT(near(a, b, 0));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(a)), &x, 1, &packed), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(b)), &x, 1, &split), GR_OK);
    CU_ASSERT(near(packed, split, 0));
    int packed_ops = 0;
    for (int64_t i = 0; i < gr_tape_size(t); i++)
        packed_ops += strcmp(t->node[i]->op->name, "attention_packed_grad") == 0;
    CU_ASSERT_EQUAL(packed_ops, 1);
    gr_tape_free(t);
}

/* Through the logarithm of the sum flows a gradient: a softmax written by hand says the same. */
static void the_logarithm_of_the_sum_has_a_gradient(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *q = drawn(t, GR_F64, GR_SHAPE(1, 3, 1, 4), 1), *k = drawn(t, GR_F64, GR_SHAPE(1, 5, 1, 4), 2), *sum;
    gr_tensor *in[] = {q, k}, *g[2], *want[2];
    gr_dot_product_attention(q, k, k, .log_sum = &sum);
    gr_tensor *s = gr_matmul_t(gr_squeeze(q, GR_SHAPE(2)), gr_squeeze(k, GR_SHAPE(2)), .transpose_b = true);
    gr_tensor *by_hand = gr_logsumexp(gr_mul(s, gr_scalar(s, 0.5)), .axes = GR_SHAPE(-1), .keepdims = true);
    CU_ASSERT(near(sum, by_hand, 1e-13));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(sum)), in, 2, g), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(by_hand)), in, 2, want), GR_OK);
    CU_ASSERT(near(g[0], want[0], 1e-13) && near(g[1], want[1], 1e-13));
    gr_tape_free(t);
}

static void a_step_of_it_has_the_same_bits_on_any_number_of_threads(void)
{
    gr_array *out[4][2] = {{NULL}};
    for (int threads = 1; threads <= 4; threads++) {
        gr_tape *t = gr_tape_new();
        gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 150, 3, 2, 16), "x"), *g;
        gr_tensor *y = gr_dot_product_attention(x, .causal = true);
        CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(y)), &x, 1, &g), GR_OK);
        gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y, g}, .threads = threads, .verify = true);
        gr_array *in = gr_array_new(GR_F32, GR_SHAPE(3, 150, 3, 2, 16));
        for (int64_t i = 0; i < gr_array_size(in); i++)
            ((float *)gr_array_data(in))[i] = (float)(i * 37 % 101 - 50) / 64;
        out[threads - 1][0] = gr_array_new(GR_F32, GR_SHAPE(3, 150, 2, 16));
        out[threads - 1][1] = gr_array_new(GR_F32, GR_SHAPE(3, 150, 3, 2, 16));
        CU_ASSERT_EQUAL(gr_program_run(p, &in, out[threads - 1]), GR_OK);
        for (int r = 0; r < 2; r++)
            GR_EXPECT(gr_array_equal(out[0][r], out[threads - 1][r]), "result %d, %d threads", r, threads);
        gr_array_free(in);
        gr_program_free(p);
        gr_tape_free(t);
    }
    for (int i = 0; i < 8; i++)
        gr_array_free(out[i / 2][i % 2]);
}

GR_SUITE("ops/attention.c", GR_TEST(a_query_that_sees_nothing_gives_zero_and_no_gradient),
    GR_TEST(there_may_be_no_queries_keys_or_examples), GR_TEST(packed_operands_are_the_same_as_three),
    GR_TEST(the_logarithm_of_the_sum_has_a_gradient), GR_TEST(a_step_of_it_has_the_same_bits_on_any_number_of_threads))
