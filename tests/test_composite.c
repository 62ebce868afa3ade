/* softmax, log_softmax and normalisation: ops/composite.c. Values and gradients against JAX are in test_fixture_ops.c.
 */
#include "autograd/gradcheck.h"
#include "autograd/grad.h"
#include "tests/near.h"

#define LOG2 0.69314718055994531

static void hard_logits_give_exact_numbers(void)
{
    gr_tape *t = gr_tape_new();
    const double low = -INFINITY;
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(4, 2), NUMBERS(1e4, -1e4, 1e4, 1e4, low, 5, -1e4, -1e4));
    NEAR(gr_softmax(x), GR_SHAPE(4, 2), 1e-7, 1, 0, 0.5, 0.5, 0, 1, 0.5, 0.5);
    NEAR(gr_log_softmax(x), GR_SHAPE(4, 2), 1e-7, 0, -2e4, -LOG2, -LOG2, low, 0, -LOG2, -LOG2);
    NEAR(gr_softmax(x, .axes = GR_SHAPE(0, 1)), GR_SHAPE(4, 2), 1e-7, 1 / 3., 0, 1 / 3., 1 / 3., 0, 0, 0, 0);
    gr_tensor *none = constant_of(t, GR_F32, GR_SHAPE(2), NUMBERS(low, low));
    NEAR(gr_softmax(none), GR_SHAPE(2), 0, NAN, NAN); /* 0 / 0: there is nothing to share */
    gr_tensor *nan = constant_of(t, GR_F32, GR_SHAPE(2), NUMBERS(NAN, 1));
    NEAR(gr_log_softmax(nan), GR_SHAPE(2), 0, NAN, NAN);
    gr_tape_free(t);
}

static void a_row_of_one_class_is_certain(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(3, 1), NUMBERS(-7, 0, 1e300));
    NEAR(gr_softmax(x), GR_SHAPE(3, 1), 0, 1, 1, 1);
    NEAR(gr_log_softmax(x), GR_SHAPE(3, 1), 0, 0, 0, 0);
    gr_tape_free(t);
}

static void normalisation_far_from_zero_keeps_its_digits(void)
{
    gr_tape *t = gr_tape_new(); /* mean 1000, deviation 1 */
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(1, 4), NUMBERS(999, 1001, 999, 1001));
    const double one = 1 / sqrt(1.001);
    NEAR(gr_layer_norm(x), GR_SHAPE(1, 4), 1e-6, -one, one, -one, one);
    gr_tensor *column = gr_reshape(x, GR_SHAPE(4, 1));
    NEAR(gr_batch_norm(column), GR_SHAPE(4, 1), 1e-6, -one, one, -one, one);
    NEAR(gr_layer_norm(x, .epsilon = 3), GR_SHAPE(1, 4), 1e-6, -0.5, 0.5, -0.5, 0.5);
    gr_tape_free(t);
}

static void batch_norm_hands_out_its_statistics_and_takes_others(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(2, 2, 2), NUMBERS(1, 10, 3, 20, 5, 30, 7, 40)), *mean, *variance;
    gr_tensor *gamma = constant_of(t, GR_F64, GR_SHAPE(2), NUMBERS(2, 3)),
              *beta = constant_of(t, GR_F64, GR_SHAPE(2), NUMBERS(-1, 1));
    gr_tensor *y = gr_batch_norm(x, gamma, beta, .batch_mean = &mean, .batch_variance = &variance);
    NEAR(mean, GR_SHAPE(2), 1e-15, 4, 25);
    NEAR(variance, GR_SHAPE(2), 1e-15, 5, 125); /* biased */
    const double a = 2 / sqrt(5.001), b = 3 / sqrt(125.001);
    NEAR(y, GR_SHAPE(2, 2, 2), 1e-12, -3 * a - 1, -15 * b + 1, -a - 1, -5 * b + 1, a - 1, 5 * b + 1, 3 * a - 1,
        15 * b + 1);
    gr_tensor *zero = gr_zeros(t, GR_SHAPE(2), GR_F64), *one = gr_ones(t, GR_SHAPE(2), GR_F64);
    NEAR(gr_batch_norm(x, .mean = zero, .variance = one), GR_SHAPE(2, 2, 2), 1e-12, 1 / sqrt(1.001), 10 / sqrt(1.001),
        3 / sqrt(1.001), 20 / sqrt(1.001), 5 / sqrt(1.001), 30 / sqrt(1.001), 7 / sqrt(1.001), 40 / sqrt(1.001));
    gr_batch_norm(x, .axes = GR_SHAPE(1), .batch_mean = &mean);
    NEAR(mean, GR_SHAPE(2), 1e-15, 11.5, 17.5);
    gr_tape_free(t);
}

static void a_batch_of_one_has_no_variance(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"),
              *beta = constant_of(t, GR_F32, GR_SHAPE(3), NUMBERS(1, 2, 3));
    holds(__LINE__, __FILE__, eval_bound(gr_batch_norm(x, .beta = beta), x, GR_SHAPE(1, 3), NUMBERS(7, 8, 9)),
        GR_SHAPE(1, 3), 0, NUMBERS(1, 2, 3));
    gr_tape_free(t);
}

/* A composite by number, for the gradient check. */
static gr_status build(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    switch (*(const int *)ctx) {
    case 0:
        out[0] = gr_softmax(in[0]);
        break;
    case 1:
        out[0] = gr_log_softmax(in[0], .axes = GR_SHAPE(0));
        break;
    case 2:
        out[0] = gr_batch_norm(in[0], in[1], in[2]);
        break;
    case 3:
        out[0] = gr_layer_norm(in[0], in[1], in[2]);
        break;
    case 4:
        out[0] = gr_logsumexp(in[0], .axes = GR_SHAPE(1));
        break;
    case 5:
        out[0] = gr_var(in[0], .axes = GR_SHAPE(0));
        break;
    case 6:
        out[0] = gr_std(in[0], .axes = GR_SHAPE(0));
        break;
    default:
        out[0] = gr_norm(in[0], .axes = GR_SHAPE(1));
    }
    return gr_status_of(out[0]);
}

static gr_array *drawn(gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    for (int64_t i = 0; a && i < gr_array_size(a); i++)
        ((double *)gr_array_data(a))[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 700;
    return a;
}

static void gradients_agree_with_differences_to_second_order(void)
{
    static const char *const names[] = {
        "softmax", "log_softmax", "batch_norm", "layer_norm", "logsumexp", "var", "std", "norm"};
    for (int k = 0; k < 9; k++) {
        int i = k < 8 ? k : 2; /* batch_norm once more, of images */
        gr_array *x = drawn(k < 8 ? GR_SHAPE(5, 3) : GR_SHAPE(2, 2, 2, 3), 1), *gamma = drawn(GR_SHAPE(3), 2),
                 *beta = drawn(GR_SHAPE(3), 3);
        gr_status s = gr_gradcheck_fn(build, .ctx = &i, .name = names[i], .n_in = i == 2 || i == 3 ? 3 : 1,
            .in = {x, gamma, beta}, .second = true);
        GR_EXPECT(s == GR_OK, "%s: %s", names[i], gr_error_message());
        gr_error_clear();
        gr_array_free(x);
        gr_array_free(gamma);
        gr_array_free(beta);
    }
}

/* Backward of a batch of images: sums of dy and of dy times the deviations, and no more. */
static void batch_norm_of_images_takes_two_sums_for_its_gradient(void)
{
    gr_tape *t = gr_tape_new();
    const gr_shape images = GR_SHAPE(GR_BATCH, 4, 4, 3), per = GR_SHAPE(3);
    gr_tensor *x = gr_input(t, GR_F32, images, "x"), *dy = gr_input(t, GR_F32, images, "dy");
    gr_tensor *wrt[] = {x, gr_input(t, GR_F32, per, "gamma"), gr_input(t, GR_F32, per, "beta")}, *grads[3];
    gr_tensor *y = gr_batch_norm(x, wrt[1], wrt[2]);
    int64_t before = gr_tape_size(t), sums = 0;
    CU_ASSERT_EQUAL(gr_grad_with(1, &y, &dy, wrt, 3, grads), GR_OK);
    for (int64_t id = before; id < t->n_nodes; id++)
        sums += strcmp(t->node[id]->op->name, "sum") == 0 && gr_shape_equal(t->node[id]->in[0]->shape, images);
    CU_ASSERT_EQUAL(sums, 2);
    gr_tape_free(t);
}

GR_SUITE("ops/composite.c", GR_TEST(hard_logits_give_exact_numbers), GR_TEST(a_row_of_one_class_is_certain),
    GR_TEST(normalisation_far_from_zero_keeps_its_digits),
    GR_TEST(batch_norm_hands_out_its_statistics_and_takes_others), GR_TEST(a_batch_of_one_has_no_variance),
    GR_TEST(gradients_agree_with_differences_to_second_order),
    GR_TEST(batch_norm_of_images_takes_two_sums_for_its_gradient))
