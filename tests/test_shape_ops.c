/* Shapes: ops/shape_ops.c and ops/slice_ops.c. Values against NumPy are in test_fixture_ops.c; here are the symbolic
 * batch, Python's rules at the edges, and what is not recorded at all. */
#include "autograd/grad.h"
#include "tests/near.h"

static bool has(gr_tensor *x, gr_shape shape)
{
    char got[200], want[200];
    bool good = GR_EXPECT(gr_status_of(x) == GR_OK && gr_shape_equal(gr_shape_of(x), shape), "%s, expected %s %s",
        gr_shape_text(gr_shape_of(x), got, sizeof got), gr_shape_text(shape, want, sizeof want), gr_error_message());
    gr_error_clear();
    return good;
}

static void a_batch_goes_through_reshapes(void)
{
    const int64_t B = GR_BATCH;
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(B, 6, 4), "x"), *two = gr_input(t, GR_F32, GR_SHAPE(B, B), "two");
    gr_tensor *time = gr_input(t, GR_F32, GR_SHAPE(5, B, 4), "time");
    has(gr_reshape(x, GR_SHAPE(-1, 24)), GR_SHAPE(B, 24));
    has(gr_reshape(x, GR_SHAPE(-1, 4)), GR_SHAPE(gr_dim_batch(6), 4));
    has(gr_reshape(x, GR_SHAPE(B, -1)), GR_SHAPE(B, 24));
    has(gr_reshape(x, GR_SHAPE(gr_dim_batch(24))), GR_SHAPE(gr_dim_batch(24)));
    has(gr_merge_dims(x, 0, 1), GR_SHAPE(gr_dim_batch(6), 4));
    has(gr_merge_dims(x, -2, -1), GR_SHAPE(B, 24));
    has(gr_split_dim(gr_merge_dims(x, 0, 1), 0, GR_SHAPE(-1, 6)), GR_SHAPE(B, 6, 4));
    has(gr_split_dim(gr_merge_dims(x, 0, 1), 0, GR_SHAPE(2, -1)), GR_SHAPE(2, gr_dim_batch(3), 4));
    has(gr_split_dim(gr_merge_dims(time, 0, 1), 0, GR_SHAPE(5, -1)), GR_SHAPE(5, B, 4));
    has(gr_split_dim(gr_merge_dims(time, 0, 1), 0, GR_SHAPE(-1, B)), GR_SHAPE(5, B, 4));
    has(gr_reshape_like(gr_reshape(x, GR_SHAPE(-1, 24)), x), GR_SHAPE(B, 6, 4));
    has(gr_reshape(two, GR_SHAPE(B, 1, -1)), GR_SHAPE(B, 1, B));
    has(gr_expand_dims(two, GR_SHAPE(0, -1)), GR_SHAPE(1, B, B, 1));
    has(gr_squeeze(gr_expand_dims(two, GR_SHAPE(0, -1)), GR_RANK0), GR_SHAPE(B, B));
    has(gr_transpose(x, GR_RANK0), GR_SHAPE(4, 6, B));
    has(gr_broadcast_to(gr_input(t, GR_F32, GR_SHAPE(4), "b"), GR_SHAPE(B, 6, 4)), GR_SHAPE(B, 6, 4));
    has(gr_tile(x, GR_SHAPE(3, 1, 2)), GR_SHAPE(gr_dim_batch(3), 6, 8));
    has(gr_tile(x, GR_SHAPE(0, 1, 1)), GR_SHAPE(0, 6, 4));
    has(gr_concatenate(2, (gr_tensor *[]){x, gr_tile(x, GR_SHAPE(2, 1, 1))}, 0), GR_SHAPE(gr_dim_batch(3), 6, 4));
    has(gr_slice(x, GR_SHAPE(0, 1), GR_SHAPE(GR_REST, 3)), GR_SHAPE(B, 2, 4));
    has(gr_flip(x, 0), GR_SHAPE(B, 6, 4));
    has(gr_pad(x, GR_SHAPE(0, 1), GR_SHAPE(0, 2, 3)), GR_SHAPE(B, 9, 7));
    gr_tape_free(t);
}

static void a_concatenated_batch_splits_and_has_a_gradient(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH, 2), "x"), *parts[3], *g[1];
    gr_tensor *all = gr_concatenate(3, (gr_tensor *[]){x, gr_square(x), gr_flip(x, 0)}, 0);
    CU_ASSERT_EQUAL(gr_split(all, 3, 0, parts), GR_OK);
    const double in[] = {1, 2, 3, 4}, *v = in;
    holds(__LINE__, __FILE__, eval_bound(parts[1], x, GR_SHAPE(2, 2), v, 4), GR_SHAPE(2, 2), 0, NUMBERS(1, 4, 9, 16));
    holds(__LINE__, __FILE__, eval_bound(parts[2], x, GR_SHAPE(2, 2), v, 4), GR_SHAPE(2, 2), 0, NUMBERS(3, 4, 1, 2));
    gr_tensor *loss = gr_sum(gr_mul(parts[0], gr_mul(parts[1], parts[2])));
    CU_ASSERT_EQUAL(gr_grad(loss, &x, 1, g), GR_OK); /* sum over rows i of x_i^3 x_(1-i) */
    holds(__LINE__, __FILE__, eval_bound(g[0], x, GR_SHAPE(2, 2), v, 4), GR_SHAPE(2, 2), 1e-12,
        NUMBERS(3 * 1 * 3 + 27, 3 * 4 * 4 + 64, 3 * 9 * 1 + 1, 3 * 16 * 2 + 8));
    CU_ASSERT_EQUAL(gr_split_sizes(all, 2, (int64_t[]){2, 1}, 0, parts), GR_OK);
    has(parts[0], GR_SHAPE(gr_dim_batch(2), 2));
    gr_tape_free(t);
}

static void a_slice_cuts_as_python_does(void)
{
    static const struct {
        const char *why;
        int64_t start, stop, step;
        int n;
        double want[6];
    } rows[] = {
        {"a part", 1, 3, 1, 2, {1, 2}},
        {"from the end", -3, -1, 1, 2, {2, 3}},
        {"beyond the end is cut", 3, 99, 1, 2, {3, 4}},
        {"before the start is cut", -99, 2, 1, 2, {0, 1}},
        {"nothing", 3, 3, 1, 0, {0}},
        {"backwards with a step forward is nothing", 3, 1, 1, 0, {0}},
        {"the rest", 2, GR_REST, 1, 3, {2, 3, 4}},
        {"every second", 0, GR_REST, 2, 3, {0, 2, 4}},
        {"a step past the end", 1, GR_REST, 99, 1, {1}},
        {"reversed", -1, GR_REST, -1, 5, {4, 3, 2, 1, 0}},
        {"reversed, every second", -1, GR_REST, -2, 3, {4, 2, 0}},
        {"reversed, a part", 3, 0, -1, 3, {3, 2, 1}},
        {"reversed from beyond the end", 99, 2, -1, 2, {4, 3}},
        {"forwards with a step back is nothing", 1, 3, -1, 0, {0}},
        {"a step back past the start", 2, GR_REST, -99, 1, {2}},
        {"the greatest step back", -1, GR_REST, -INT64_MAX, 1, {4}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_tape *t = gr_tape_new();
        gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(5), NUMBERS(0, 1, 2, 3, 4));
        gr_tensor *y = gr_slice(x, GR_SHAPE(rows[i].start), GR_SHAPE(rows[i].stop), GR_SHAPE(rows[i].step));
        GR_EXPECT(
            holds(__LINE__, __FILE__, gr_eval(y), GR_SHAPE(rows[i].n), 0, rows[i].want, rows[i].n), "%s", rows[i].why);
        gr_tape_free(t);
    }
}

static void what_changes_nothing_records_nothing(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
    CU_ASSERT_PTR_EQUAL(gr_reshape(x, GR_SHAPE(GR_BATCH, 3)), x);
    CU_ASSERT_PTR_EQUAL(gr_transpose(x, GR_SHAPE(0, 1)), x);
    CU_ASSERT_PTR_EQUAL(gr_broadcast_to(x, GR_SHAPE(GR_BATCH, 3)), x);
    CU_ASSERT_PTR_EQUAL(gr_tile(x, GR_SHAPE(1, 1)), x);
    CU_ASSERT_PTR_EQUAL(gr_concatenate(1, &x, 0), x);
    CU_ASSERT_PTR_EQUAL(gr_transpose(x, GR_SHAPE(-1, 0)), gr_transpose(x, GR_RANK0));
    gr_tape_free(t);
}

static void small_ones_are_right(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_I32, GR_SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 5, 6)), *parts[2];
    NEAR(gr_transpose(x, GR_RANK0), GR_SHAPE(3, 2), 0, 1, 4, 2, 5, 3, 6);
    NEAR(gr_flip(x, -1), GR_SHAPE(2, 3), 0, 3, 2, 1, 6, 5, 4);
    NEAR(gr_tile(x, GR_SHAPE(2)), GR_SHAPE(2, 6), 0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
    NEAR(gr_pad(x, .before = GR_SHAPE(0, 1), .after = GR_SHAPE(1), .value = 9), GR_SHAPE(3, 4), 0, 9, 1, 2, 3, 9, 4, 5,
        6, 9, 9, 9, 9);
    NEAR(gr_stack(2, (gr_tensor *[]){x, x}, -1), GR_SHAPE(2, 3, 2), 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6);
    CU_ASSERT_EQUAL(gr_split_sizes(x, 2, (int64_t[]){1, 2}, 1, parts), GR_OK);
    NEAR(parts[1], GR_SHAPE(2, 2), 0, 2, 3, 5, 6);
    NEAR(gr_broadcast_to(gr_slice(x, .stop = GR_SHAPE(2, 1)), GR_SHAPE(2, 2, 2)), GR_SHAPE(2, 2, 2), 0, 1, 1, 4, 4, 1,
        1, 4, 4);
    gr_tape_free(t);
}

/* Sizes whose product does not fit are refused when they are recorded. */
static void sizes_beyond_memory_are_refused(void)
{
    const int64_t half = INT64_C(1) << 62, big = INT64_C(1) << 32;
    gr_tape *t = gr_tape_new();
    gr_tensor *one = gr_input(t, GR_F32, GR_SHAPE(1, 1), "one"),
              *wide = gr_broadcast_to(one, GR_SHAPE(INT64_C(1) << 40, 1));
    gr_tensor *parts[] = {wide, wide};
    gr_tensor *const refused[] = {gr_broadcast_to(one, GR_SHAPE(half, 4)),
        gr_broadcast_to(one, GR_SHAPE(INT64_MAX, INT64_MAX)), gr_broadcast_to(one, GR_SHAPE(big, big)),
        gr_tile(one, GR_SHAPE(big, big)), gr_tile(wide, GR_SHAPE(half, 1)), gr_tile(one, GR_SHAPE(INT64_MAX, 2)),
        gr_pad(one, GR_SHAPE(half, half)), gr_pad(wide, .after = GR_SHAPE(INT64_MAX)),
        gr_pad(wide, .before = GR_SHAPE(0, big)), gr_split_dim(wide, 0, GR_SHAPE(INT64_MAX, INT64_MAX)),
        gr_reshape(wide, GR_SHAPE(half, half, -1)), gr_reshape(one, GR_SHAPE(INT64_MIN, -1)),
        gr_broadcast_to(one, GR_SHAPE(gr_dim_batch(INT32_MAX), half)), gr_one_hot(gr_cast(wide, GR_I32), INT32_MAX),
        gr_mul(wide, gr_transpose(wide, GR_RANK0)), gr_matmul(wide, gr_transpose(wide, GR_RANK0)),
        gr_stack(2,
            (gr_tensor *[]){gr_broadcast_to(one, GR_SHAPE(INT64_C(1) << 60, 1)),
                gr_broadcast_to(one, GR_SHAPE(INT64_C(1) << 60, 1))},
            0),
        gr_zeros(t, GR_SHAPE(big, big, 0, big), GR_F32) == GR_BAD ? GR_BAD : NULL};
    const size_t n = sizeof refused / sizeof *refused;
    for (size_t i = 0; i + 1 < n; i++)
        GR_EXPECT(refused[i] == GR_BAD, "row %zu is not refused", i);
    gr_error_clear();
    has(gr_concatenate(2, parts, 0), GR_SHAPE(INT64_C(1) << 41, 1));
    gr_tape_free(t);
}

static void nothing_of_any_batch_has_a_shape(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 0), "x"), *y = gr_reshape(x, GR_SHAPE(-1, 3));
    CU_ASSERT_EQUAL_FATAL(gr_status_of(y), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(0, 3)));
    gr_tape_free(t);
}

GR_SUITE("ops/shape_ops.c", GR_TEST(nothing_of_any_batch_has_a_shape),
    GR_TEST(a_batch_goes_through_reshapes),
    GR_TEST(a_concatenated_batch_splits_and_has_a_gradient), GR_TEST(a_slice_cuts_as_python_does),
    GR_TEST(what_changes_nothing_records_nothing), GR_TEST(small_ones_are_right),
    GR_TEST(sizes_beyond_memory_are_refused))
