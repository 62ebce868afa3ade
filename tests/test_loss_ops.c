/* Losses of each sample: ops/loss_ops.c. Values and gradients against Keras are in test_fixture_ops.c. */
#include "autograd/gradcheck.h"
#include "autograd/grad.h"
#include "tests/near.h"

#define LOG2 0.69314718055994531

static void hard_logits_give_exact_losses(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *z = constant_of(t, GR_F32, GR_SHAPE(2, 2), NUMBERS(1e4, -1e4, -1e4, 1e4));
    gr_tensor *y = constant_of(t, GR_F32, GR_SHAPE(2, 2), NUMBERS(0, 1, 0, 1)),
              *label = constant_of(t, GR_U8, GR_SHAPE(2), NUMBERS(1, 1));
    NEAR(gr_categorical_crossentropy(y, z, .from_logits = true), GR_SHAPE(2), 0, 20000, 0);
    NEAR(gr_sparse_categorical_crossentropy(label, z, .from_logits = true), GR_SHAPE(2), 0, 20000, 0);
    gr_tensor *column = gr_reshape(z, GR_SHAPE(4, 1)), *target = gr_reshape(y, GR_SHAPE(4, 1));
    NEAR(gr_binary_crossentropy(target, column, .from_logits = true), GR_SHAPE(4), 0, 10000, 10000, 0, 0);
    gr_tape_free(t);
}

static void hard_probabilities_are_cut_off_as_in_keras(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *p = constant_of(t, GR_F32, GR_SHAPE(1, 3), NUMBERS(0, 1, 0)),
              *y = constant_of(t, GR_F32, GR_SHAPE(1, 3), NUMBERS(1, 0, 0));
    gr_tensor *label = constant_of(t, GR_I32, GR_SHAPE(1, 1), NUMBERS(0));
    NEAR(gr_categorical_crossentropy(y, p), GR_SHAPE(1), 1e-6, 16.11809565);
    NEAR(gr_sparse_categorical_crossentropy(label, p), GR_SHAPE(1), 1e-6, 16.11809565);
    gr_tensor *half = constant_of(t, GR_F32, GR_SHAPE(1, 2), NUMBERS(2, 2)),
              *one = constant_of(t, GR_F32, GR_SHAPE(1, 2), NUMBERS(1, 0));
    NEAR(gr_categorical_crossentropy(one, half), GR_SHAPE(1), 1e-6, LOG2); /* made to sum to 1 first */
    gr_tape_free(t);
}

static void a_masked_class_does_not_disturb_the_labels_loss(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *z = constant_of(t, GR_F64, GR_SHAPE(1, 3), NUMBERS(1, -INFINITY, 1)), *g[1];
    gr_tensor *loss = gr_sum(
        gr_sparse_categorical_crossentropy(constant_of(t, GR_I64, GR_SHAPE(1), NUMBERS(2)), z, .from_logits = true));
    NEAR(loss, GR_RANK0, 1e-15, LOG2);
    CU_ASSERT_EQUAL(gr_grad(loss, &z, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 3), 1e-15, 0.5, 0, -0.5);
    gr_tape_free(t);
}

static void the_gradient_of_logits_is_softmax_less_target(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *z = gr_zeros(t, GR_SHAPE(1, 4), GR_F64),
              *y = constant_of(t, GR_F64, GR_SHAPE(1, 4), NUMBERS(0, 1, 0, 0)), *g[1];
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_categorical_crossentropy(y, z, .from_logits = true)), &z, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(1, 4), 1e-15, 0.25, -0.75, 0.25, 0.25);
    gr_tensor *zb = gr_zeros(t, GR_SHAPE(2, 1), GR_F64), *yb = constant_of(t, GR_F64, GR_SHAPE(2, 1), NUMBERS(1, 0));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_binary_crossentropy(yb, zb, .from_logits = true)), &zb, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(2, 1), 1e-15, -0.5, 0.5); /* at 0 too, where max(z, 0) and |z| have their kinks */
    gr_tape_free(t);
}

static void smoothing_shares_among_the_classes(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *z = constant_of(t, GR_F64, GR_SHAPE(1, 2), NUMBERS(0, log(3))),
              *y = constant_of(t, GR_F64, GR_SHAPE(1, 2), NUMBERS(0, 1));
    /* p = 1/4, 3/4; y = 0.1, 0.9 */
    NEAR(gr_categorical_crossentropy(y, z, .from_logits = true, .label_smoothing = 0.2), GR_SHAPE(1), 1e-14,
        -(0.1 * log(0.25) + 0.9 * log(0.75)));
    gr_tensor *p = constant_of(t, GR_F64, GR_SHAPE(1, 1), NUMBERS(0.75)), *one = gr_ones(t, GR_SHAPE(1, 1), GR_F64);
    NEAR(gr_binary_crossentropy(one, p, .label_smoothing = 0.2), GR_SHAPE(1), 1e-14,
        -(0.9 * log(0.75) + 0.1 * log(0.25)));
    gr_tape_free(t);
}

static void an_ignored_class_counts_nothing(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *z = gr_zeros(t, GR_SHAPE(3, 2), GR_F64), *y = constant_of(t, GR_I32, GR_SHAPE(3), NUMBERS(0, -1, 1)),
              *g[1];
    gr_tensor *loss =
        gr_sparse_categorical_crossentropy(y, z, .from_logits = true, .has_ignore_class = true, .ignore_class = -1);
    NEAR(loss, GR_SHAPE(3), 1e-15, LOG2, 0, LOG2);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(loss), &z, 1, g), GR_OK);
    NEAR(g[0], GR_SHAPE(3, 2), 1e-15, -0.5, 0.5, 0, 0, 0.5, -0.5);
    gr_tape_free(t);
}

static void distances_are_means_over_the_last_axis(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *p = constant_of(t, GR_F64, GR_SHAPE(2, 2), NUMBERS(1, 2, 3, -4)),
              *y = constant_of(t, GR_I32, GR_SHAPE(2, 2), NUMBERS(1, 0, 0, 0));
    NEAR(gr_mean_squared_error(y, p), GR_SHAPE(2), 0, 2, 12.5);
    NEAR(gr_mean_absolute_error(y, p), GR_SHAPE(2), 0, 1, 3.5);
    NEAR(gr_huber(y, p), GR_SHAPE(2), 0, 0.75, 3);
    NEAR(gr_huber(y, p, .delta = 3), GR_SHAPE(2), 0, 1, (4.5 + 7.5) / 2);
    gr_tape_free(t);
}

static void a_column_fits_a_vector(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *p = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 1), "p"), *y = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH), "y");
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_mean_squared_error(y, p)), GR_SHAPE(GR_BATCH)));
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_mean_squared_error(p, y)), GR_RANK0));
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_binary_crossentropy(y, p)), GR_SHAPE(GR_BATCH)));
    gr_tape_free(t);
}

/* A loss by number, of positive outputs and targets. */
static gr_status build(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    switch (*(const int *)ctx) {
    case 0:
        out[0] = gr_categorical_crossentropy(in[0], in[1], .from_logits = true);
        break;
    case 1:
        out[0] = gr_categorical_crossentropy(in[0], in[1], .label_smoothing = 0.1);
        break;
    case 2:
        out[0] = gr_binary_crossentropy(in[0], in[1], .from_logits = true, .label_smoothing = 0.1);
        break;
    case 3:
        out[0] = gr_binary_crossentropy(in[0], in[1]);
        break;
    case 4:
        out[0] = gr_mean_squared_error(in[0], in[1]);
        break;
    case 5:
        out[0] = gr_mean_absolute_error(in[0], in[1]);
        break;
    case 6:
        out[0] = gr_huber(in[0], in[1], .delta = 0.3);
        break;
    default:
        out[0] = gr_sparse_categorical_crossentropy(in[2], in[1], .from_logits = true);
    }
    return gr_status_of(out[0]);
}

static void gradients_of_target_and_output_agree_with_differences(void)
{
    static const char *const names[] = {"categorical from logits", "categorical", "binary from logits", "binary",
        "squared", "absolute", "huber", "sparse"};
    for (int i = 0; i < 8; i++) {
        double y[12], p[12];
        for (int k = 0; k < 12; k++) { /* apart from each other, and from 0.3 apart */
            y[k] = 0.05 + (k * 7 % 12) / 13.0;
            p[k] = 0.08 + (k * 5 % 12) / 13.0;
        }
        gr_array *a = gr_array_from(GR_F64, GR_SHAPE(4, 3), y), *b = gr_array_from(GR_F64, GR_SHAPE(4, 3), p);
        gr_array *labels = gr_array_from(GR_I64, GR_SHAPE(4), (const int64_t[]){2, 0, 1, 2});
        gr_status s = gr_gradcheck_fn(
            build, .ctx = &i, .name = names[i], .n_in = 3, .in = {a, b, labels}, .second = i < 4, .allow_zero = i == 7);
        GR_EXPECT(s == GR_OK, "%s: %s", names[i], gr_error_message());
        gr_error_clear();
        gr_array_free(a);
        gr_array_free(b);
        gr_array_free(labels);
    }
}

GR_SUITE("ops/loss_ops.c", GR_TEST(hard_logits_give_exact_losses), GR_TEST(hard_probabilities_are_cut_off_as_in_keras),
    GR_TEST(a_masked_class_does_not_disturb_the_labels_loss), GR_TEST(the_gradient_of_logits_is_softmax_less_target),
    GR_TEST(smoothing_shares_among_the_classes), GR_TEST(an_ignored_class_counts_nothing),
    GR_TEST(distances_are_means_over_the_last_axis), GR_TEST(a_column_fits_a_vector),
    GR_TEST(gradients_of_target_and_output_agree_with_differences))
