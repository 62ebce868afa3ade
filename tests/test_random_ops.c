/* Random numbers in graphs, and what is made out of nothing: ops/random_ops.c, ops/create.c. The generator itself is
 * tested in test_random.c. */
#include "autograd/grad.h"
#include "tests/near.h"

static gr_array *eval_at(gr_tensor *x, uint64_t seed, uint64_t step)
{
    gr_array *out = NULL;
    gr_eval_with(1, &x, &out, &(gr_eval_opts){.seed = seed, .step = step});
    return out;
}

static bool same(gr_array *a, gr_array *b)
{
    bool equal = a && b && gr_array_equal(a, b);
    gr_array_free(a);
    gr_array_free(b);
    return equal;
}

static void the_same_place_gives_the_same_numbers_and_another_one_others(void)
{
    gr_tape *t = gr_tape_new(), *again = gr_tape_new();
    gr_tensor *x = gr_random_normal(t, GR_SHAPE(5, 7)), *y = gr_random_normal(t, GR_SHAPE(5, 7));
    gr_tensor *x2 = gr_random_normal(again, GR_SHAPE(5, 7));
    gr_scope_push(again, "layer", "Layer", GR_HERE);
    gr_tensor *inside = gr_random_normal(again, GR_SHAPE(5, 7));
    gr_scope_pop(again);
    CU_ASSERT_PTR_NOT_EQUAL(x, y);
    CU_ASSERT(same(eval_at(x, 1, 0), eval_at(x2, 1, 0)));
    CU_ASSERT_FALSE(same(eval_at(x, 1, 0), eval_at(y, 1, 0)));
    CU_ASSERT_FALSE(same(eval_at(x, 1, 0), eval_at(inside, 1, 0)));
    CU_ASSERT_FALSE(same(eval_at(x, 1, 0), eval_at(x, 2, 0)));
    CU_ASSERT_FALSE(same(eval_at(x, 1, 0), eval_at(x, 1, 1)));
    gr_tape_free(t);
    gr_tape_free(again);
}

static void any_split_over_threads_gives_the_same_bits(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *const all[] = {gr_random_uniform(t, GR_SHAPE(23)), gr_random_normal(t, GR_SHAPE(23), .stddev = 2),
        gr_random_truncated_normal(t, GR_SHAPE(23)), gr_random_bits(t, GR_SHAPE(23))};
    for (int i = 0; i < 4; i++)
        for (int64_t piece = 1; piece < 24; piece += 5) {
            uint32_t parts[23];
            gr_array *whole = eval_at(all[i], 9, 4);
            const gr_buffer out = {gr_dtype_of(all[i]), GR_SHAPE(23), parts};
            for (int64_t from = 0; from < 23; from += piece) {
                gr_call c = {.op = all[i]->node->op,
                    .attr = all[i]->node->attr,
                    .n_out = 1,
                    .out = &out,
                    .begin = from,
                    .end = from + piece < 23 ? from + piece : 23,
                    .seed = 9,
                    .step = 4};
                CU_ASSERT_EQUAL(gr__call_eval(all[i]->node, &c), GR_OK);
            }
            GR_EXPECT(memcmp(parts, gr_array_data(whole), sizeof parts) == 0, "%s, pieces of %lld",
                all[i]->node->op->name, (long long)piece);
            gr_array_free(whole);
        }
    gr_tape_free(t);
}

static void moments_and_ranges_are_right(void)
{
    static const struct {
        const char *why;
        double mean, deviation, low, high;
    } rows[] = {
        {"uniform -1 .. 3", 1, 1.1547, -1, 3},
        {"normal, mean 2, deviation 3", 2, 3, -30, 30},
        {"truncated, cut at 2 deviations", 0, 0.5 * 0.87962566, -1, 1},
    };
    enum { N = 20000 };
    gr_tape *t = gr_tape_new();
    gr_tensor *const x[] = {gr_random_uniform(t, GR_SHAPE(N), .minval = -1, .maxval = 3),
        gr_random_normal(t, GR_SHAPE(N), .mean = 2, .stddev = 3),
        gr_random_truncated_normal(t, GR_SHAPE(N), .stddev = 0.5)};
    for (int i = 0; i < 3; i++) {
        gr_tensor *parts[] = {gr_mean(x[i]), gr_std(x[i]), gr_min(x[i]), gr_max(x[i])};
        gr_array *out[4];
        CU_ASSERT_EQUAL(gr_eval_with(4, parts, out, NULL), GR_OK);
        double v[4];
        for (int k = 0; k < 4; k++) {
            v[k] = gr_array_at(out[k], 0);
            gr_array_free(out[k]);
        }
        GR_EXPECT(fabs(v[0] - rows[i].mean) < 5 * rows[i].deviation / sqrt(N), "%s: mean %g", rows[i].why, v[0]);
        GR_EXPECT(fabs(v[1] - rows[i].deviation) < 0.03 * rows[i].deviation, "%s: deviation %g", rows[i].why, v[1]);
        GR_EXPECT(v[2] >= rows[i].low && v[3] <= rows[i].high, "%s: %g .. %g", rows[i].why, v[2], v[3]);
    }
    gr_tape_free(t);
}

static void dropout_keeps_the_mean_and_scales_what_it_keeps(void)
{
    enum { N = 10000 };
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_ones(t, GR_SHAPE(N), GR_F32), *y = gr_dropout(x, 0.3), *g[1];
    gr_array *a = gr_eval(y);
    int kept = 0, other = 0;
    for (int i = 0; a && i < N; i++) {
        double v = gr_array_at(a, i);
        kept += v == (double)(1 / 0.7f);
        other += v != 0 && v != (double)(1 / 0.7f);
    }
    GR_EXPECT(fabs(kept / (double)N - 0.7) < 0.02 && other == 0, "%d kept, %d neither kept nor dropped", kept, other);
    gr_array_free(a);
    gr_tensor *in = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 4), "in");
    CU_ASSERT_PTR_EQUAL(gr_dropout(in, 0), in);
    NEAR(gr_sum(gr_dropout(x, 1)), GR_RANK0, 0, 0);
    gr_tensor *z = gr_dropout(in, 0.5);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(z), &in, 1, g), GR_OK); /* the gradient has the same mask */
    holds(__LINE__, __FILE__, eval_bound(gr_sum(gr_sub(g[0], z)), in, GR_SHAPE(2, 4), NUMBERS(1, 1, 1, 1, 1, 1, 1, 1)),
        GR_RANK0, 0, NUMBERS(0));
    gr_tape_free(t);
}

static void float64_sees_the_mask_of_float32(void)
{
    gr_array *masks[2];
    for (int i = 0; i < 2; i++) {
        gr_tape *t = gr_tape_new();
        gr_tensor *x = gr_ones(t, GR_SHAPE(1000), i ? GR_F64 : GR_F32);
        masks[i] = gr_eval(gr_greater(gr_dropout(x, 0.25), gr_scalar(x, 0)));
        gr_tape_free(t);
    }
    CU_ASSERT(same(masks[0], masks[1]));
}

static void what_is_made_out_of_nothing(void)
{
    gr_tape *t = gr_tape_new();
    NEAR(gr_arange(t, .stop = 4), GR_SHAPE(4), 0, 0, 1, 2, 3);
    NEAR(gr_arange(t, 5, 0, -2), GR_SHAPE(3), 0, 5, 3, 1);
    NEAR(gr_arange(t, 0, 1, 0.25, GR_F32), GR_SHAPE(4), 0, 0, 0.25, 0.5, 0.75);
    CU_ASSERT_EQUAL(gr_dtype_of(gr_arange(t, .stop = 4)), GR_I64);
    CU_ASSERT_EQUAL(gr_dim(gr_arange(t, 4, 1), 0), 0);
    NEAR(gr_full(t, GR_SHAPE(2, 2), 7, GR_U8), GR_SHAPE(2, 2), 0, 7, 7, 7, 7);
    NEAR(gr_ones(t, GR_RANK0, GR_DTYPE_NONE), GR_RANK0, 0, 1);
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH, 2), "x");
    CU_ASSERT(gr_shape_equal(gr_shape_of(gr_random_uniform(t, GR_SHAPE(GR_BATCH, 3))), GR_SHAPE(GR_BATCH, 3)));
    holds(__LINE__, __FILE__, eval_bound(gr_add(gr_full_like(x, 3), x), x, GR_SHAPE(1, 2), NUMBERS(1, 2)),
        GR_SHAPE(1, 2), 0, NUMBERS(4, 5));
    gr_tape_free(t);
}

GR_SUITE("ops/random_ops.c", GR_TEST(the_same_place_gives_the_same_numbers_and_another_one_others),
    GR_TEST(any_split_over_threads_gives_the_same_bits), GR_TEST(moments_and_ranges_are_right),
    GR_TEST(dropout_keeps_the_mean_and_scales_what_it_keeps), GR_TEST(float64_sees_the_mask_of_float32),
    GR_TEST(what_is_made_out_of_nothing))
