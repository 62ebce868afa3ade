/* Convolution: ops/conv_ops.c, window.c and kernels/conv.c. Held against the plain sum of its definition; gradients by
 * the identities of an adjoint, on shapes that fill several blocks of the kernels (small ones are the op's samples). */
#include "autograd/grad.h"
#include "tests/near.h"

static gr_array *drawn(gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 512; /* exact in float32 */
    return a;
}

static gr_tensor *constant(gr_tape *t, const gr_array *a, gr_dtype dtype)
{
    return gr_cast(gr_constant(t, a), dtype);
}

typedef struct {
    const char *why;
    gr_shape x, kernel, strides, dilation;
    const char *padding;
    gr_shape before; /* what the padding comes to */
    gr_shape y;
} row;
/* clang-format off */
static const row rows[] = {
    {"one image, no padding",
        GR_DIMS(1, 5, 6, 3), GR_DIMS(3, 2, 3, 4), {0}, {0}, NULL, GR_DIMS(0, 0), GR_DIMS(1, 3, 5, 4)},
    {"several blocks of pixels",
        GR_DIMS(3, 13, 11, 5), GR_DIMS(3, 3, 5, 7), {0}, {0}, "same", GR_DIMS(1, 1), GR_DIMS(3, 13, 11, 7)},
    {"same with an even window pads more at the end",
        GR_DIMS(2, 5, 5, 2), GR_DIMS(2, 4, 2, 3), {0}, {0}, "same", GR_DIMS(0, 1), GR_DIMS(2, 5, 5, 3)},
    {"same with strides",
        GR_DIMS(2, 7, 8, 3), GR_DIMS(3, 3, 3, 4), GR_DIMS(2), {0}, "same", GR_DIMS(1, 0), GR_DIMS(2, 4, 4, 4)},
    {"a stride for each axis",
        GR_DIMS(2, 9, 10, 3), GR_DIMS(3, 3, 3, 4), GR_DIMS(3, 2), {0}, "valid", GR_DIMS(0, 0), GR_DIMS(2, 3, 4, 4)},
    {"a window smaller than its stride",
        GR_DIMS(2, 9, 10, 3), GR_DIMS(1, 2, 3, 4), GR_DIMS(4), {0}, NULL, GR_DIMS(0, 0), GR_DIMS(2, 3, 3, 4)},
    {"holes", GR_DIMS(1, 9, 9, 2), GR_DIMS(3, 3, 2, 3), {0}, GR_DIMS(2, 3), "same", GR_DIMS(2, 3), GR_DIMS(1, 9, 9, 3)},
    {"two groups", GR_DIMS(2, 6, 6, 4), GR_DIMS(3, 3, 2, 6), {0}, {0}, NULL, GR_DIMS(0, 0), GR_DIMS(2, 4, 4, 6)},
    {"every channel by itself",
        GR_DIMS(2, 12, 13, 37), GR_DIMS(3, 3, 1, 37), {0}, {0}, "same", GR_DIMS(1, 1), GR_DIMS(2, 12, 13, 37)},
    {"three results of each channel",
        GR_DIMS(2, 6, 6, 3), GR_DIMS(3, 3, 1, 9), GR_DIMS(2), {0}, NULL, GR_DIMS(0, 0), GR_DIMS(2, 2, 2, 9)},
    {"more channels than a block has columns",
        GR_DIMS(1, 4, 4, 600), GR_DIMS(2, 2, 600, 5), {0}, {0}, NULL, GR_DIMS(0, 0), GR_DIMS(1, 3, 3, 5)},
    {"taps that fill two blocks of columns",
        GR_DIMS(1, 6, 5, 100), GR_DIMS(3, 3, 100, 33), {0}, {0}, "same", GR_DIMS(1, 1), GR_DIMS(1, 6, 5, 33)},
    {"one pixel", GR_DIMS(4, 1, 1, 3), GR_DIMS(1, 1, 3, 2), {0}, {0}, NULL, GR_DIMS(0, 0), GR_DIMS(4, 1, 1, 2)},
    {"a window larger than the image, in padding",
        GR_DIMS(1, 2, 2, 2), GR_DIMS(5, 5, 2, 2), {0}, {0}, "same", GR_DIMS(2, 2), GR_DIMS(1, 2, 2, 2)},
    {"one axis", GR_DIMS(3, 20, 4), GR_DIMS(5, 4, 6), {0}, {0}, NULL, GR_DIMS(0), GR_DIMS(3, 16, 6)},
    {"one axis, causal", GR_DIMS(2, 7, 4), GR_DIMS(3, 4, 6), {0}, GR_DIMS(2), "causal", GR_DIMS(4), GR_DIMS(2, 7, 6)},
    {"one axis, causal with strides",
        GR_DIMS(2, 8, 4), GR_DIMS(3, 4, 6), GR_DIMS(2), {0}, "causal", GR_DIMS(2), GR_DIMS(2, 4, 6)},
    {"one axis, same with strides",
        GR_DIMS(2, 8, 2), GR_DIMS(5, 2, 6), GR_DIMS(3), {0}, "same", GR_DIMS(1), GR_DIMS(2, 3, 6)},
    {"no image at all", GR_DIMS(0, 5, 5, 2), GR_DIMS(3, 3, 2, 4), {0}, {0}, NULL, GR_DIMS(0, 0), GR_DIMS(0, 3, 3, 4)},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

/* Element i of a shape as [image, row, column, channel]; one axis has row 0. */
static void place(gr_shape s, int64_t i, int64_t out[4])
{
    out[3] = i % s.dim[s.rank - 1], i /= s.dim[s.rank - 1];
    out[2] = i % s.dim[s.rank - 2], i /= s.dim[s.rank - 2];
    out[1] = s.rank == 4 ? i % s.dim[1] : 0;
    out[0] = s.rank == 4 ? i / s.dim[1] : i;
}
static int64_t of_axis(gr_shape s, int axis, int64_t rank, int64_t otherwise) /* axis 0 or 1 of the picture */
{
    if (s.rank == 0 || (rank == 3 && axis == 0))
        return otherwise;
    return s.dim[rank == 3 || s.rank == 1 ? 0 : axis];
}

/* The definition of conv_ops.h, one result. */
static double by_definition(const row *r, const double *x, const double *k, int64_t i)
{
    int64_t p[4], h = r->x.rank == 4 ? r->x.dim[1] : 1, w = r->x.dim[r->x.rank - 2], c = r->x.dim[r->x.rank - 1];
    int64_t kh = r->x.rank == 4 ? r->kernel.dim[0] : 1, kw = r->kernel.dim[r->x.rank - 3];
    int64_t part = r->kernel.dim[r->x.rank - 2], o = r->kernel.dim[r->x.rank - 1], rank = r->x.rank;
    place(r->y, i, p);
    int64_t group = p[3] / (o / (c / part));
    double sum = 0;
    for (int64_t u = 0; u < kh; u++)
        for (int64_t v = 0; v < kw; v++)
            for (int64_t q = 0; q < part; q++) {
                int64_t a = p[1] * of_axis(r->strides, 0, rank, 1) + u * of_axis(r->dilation, 0, rank, 1) -
                            of_axis(r->before, 0, rank, 0);
                int64_t b = p[2] * of_axis(r->strides, 1, rank, 1) + v * of_axis(r->dilation, 1, rank, 1) -
                            of_axis(r->before, 1, rank, 0);
                if (a >= 0 && a < h && b >= 0 && b < w)
                    sum += x[((p[0] * h + a) * w + b) * c + group * part + q] * k[((u * kw + v) * part + q) * o + p[3]];
            }
    return sum;
}

static void results_are_those_of_the_definition(void)
{
    for (int i = 0; i < ROWS; i++)
        for (int single = 0; single < 2; single++) {
            const row *r = &rows[i];
            gr_tape *t = gr_tape_new();
            gr_array *x = drawn(r->x, 1), *k = drawn(r->kernel, 2);
            gr_dtype real = single ? GR_F32 : GR_F64;
            gr_tensor *y = gr_conv(constant(t, x, real), constant(t, k, real), .strides = r->strides,
                .dilation = r->dilation, .padding = r->padding);
            gr_array *found = gr_eval(y);
            if (GR_EXPECT(found && gr_shape_equal(gr_array_shape(found), r->y), "%s: %s", r->why, gr_error_message()))
                for (int64_t e = 0; e < gr_array_size(found); e++) {
                    double want = by_definition(r, gr_array_data(x), gr_array_data(k), e);
                    if (!GR_EXPECT(fabs(gr_array_at(found, e) - want) <= (single ? 1e-3 : 1e-10),
                            "%s: [%lld] is %.17g, expected %.17g", r->why, (long long)e, gr_array_at(found, e), want))
                        break;
                }
            gr_error_clear();
            gr_array_free(found);
            gr_array_free(x);
            gr_array_free(k);
            gr_tape_free(t);
        }
}

static double number_of(gr_tensor *x)
{
    gr_array *a = gr_eval(x);
    double y = a ? gr_array_at(a, 0) : NAN;
    gr_array_free(a);
    return y;
}

/* y is linear in x and in the kernel: sum(y dy) = sum(x dx) = sum(kernel dk); and so are the gradients in theirs. */
static void gradients_are_adjoint(void)
{
    for (int i = 0; i < ROWS; i++) {
        const row *r = &rows[i];
        gr_tape *t = gr_tape_new();
        gr_array *x = drawn(r->x, 1), *k = drawn(r->kernel, 2), *w = drawn(r->y, 3);
        gr_tensor *in[] = {constant(t, x, GR_F64), constant(t, k, GR_F64)}, *dy = constant(t, w, GR_F64), *g[2], *h[1];
        gr_tensor *y = gr_conv(in[0], in[1], .strides = r->strides, .dilation = r->dilation, .padding = r->padding);
        gr_tensor *loss = gr_sum(gr_mul(y, dy));
        if (GR_EXPECT(gr_grad(loss, in, 2, g) == GR_OK, "%s: %s", r->why, gr_error_message())) {
            double want = number_of(loss), scale = 1e-11 * (1 + number_of(gr_sum(gr_mul(gr_abs(y), gr_abs(dy)))));
            for (int a = 0; a < 2; a++) {
                double found = number_of(gr_sum(gr_mul(in[a], g[a])));
                GR_EXPECT(fabs(found - want) <= scale * 10, "%s: operand %d: %.17g, expected %.17g", r->why, a,
                    found, want);
            }
            /* the kernel's gradient of sum(x dx) is its own again */
            gr_tensor *again = gr_sum(gr_mul(gr_stop_gradient(in[0]), g[0]));
            if (GR_EXPECT(gr_grad(again, in + 1, 1, h) == GR_OK, "%s: %s", r->why, gr_error_message()))
                GR_EXPECT(number_of(gr_sum(gr_abs(gr_sub(h[0], g[1])))) <= scale * 10, "%s: the kernel's gradient by "
                    "way of x's", r->why);
        }
        gr_error_clear();
        gr_array_free(x);
        gr_array_free(k);
        gr_array_free(w);
        gr_tape_free(t);
    }
}

static void the_batch_may_be_any_multiple_of_b(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(gr_dim_batch(2), 6, 6, 3), "x");
    gr_tensor *k = gr_input(t, GR_F32, GR_SHAPE(3, 3, 3, 5), "k"), *in[] = {x, k}, *g[2];
    gr_tensor *y = gr_conv(x, k, .strides = GR_SHAPE(2), .padding = "same");
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), GR_SHAPE(gr_dim_batch(2), 3, 3, 5)));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), in, 2, g), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g[0]), gr_shape_of(x)));
    CU_ASSERT(gr_shape_equal(gr_shape_of(g[1]), gr_shape_of(k)));
    gr_tape_free(t);
}

static void padding_may_be_given_by_hand(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(1, 3, 1), NUMBERS(1, 2, 3));
    gr_tensor *k = constant_of(t, GR_F64, GR_SHAPE(2, 1, 1), NUMBERS(10, 1));
    NEAR(gr_conv(x, k, .before = GR_SHAPE(2), .after = GR_SHAPE(1)), GR_SHAPE(1, 5, 1), 0, 0, 1, 12, 23, 30);
    NEAR(gr_conv(x, k, .before = GR_SHAPE(1)), GR_SHAPE(1, 3, 1), 0, 1, 12, 23);
    gr_tape_free(t);
}

static void depthwise_results_of_a_channel_lie_side_by_side(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(1, 1, 2, 2), NUMBERS(1, 10, 2, 20));
    gr_tensor *k = constant_of(t, GR_F64, GR_SHAPE(1, 1, 2, 3), NUMBERS(1, 2, 3, 4, 5, 6));
    NEAR(gr_depthwise_conv(x, k), GR_SHAPE(1, 1, 2, 6), 0, 1, 2, 3, 40, 50, 60, 2, 4, 6, 80, 100, 120);
    gr_tape_free(t);
}

static void a_transposed_convolution_spreads_each_pixel(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(1, 2, 1), NUMBERS(1, 10));
    gr_tensor *k = constant_of(t, GR_F64, GR_SHAPE(3, 1, 1), NUMBERS(1, 2, 3));
    NEAR(gr_conv_transpose(x, k), GR_SHAPE(1, 4, 1), 0, 1, 12, 23, 30);
    NEAR(gr_conv_transpose(x, k, .padding = "same"), GR_SHAPE(1, 2, 1), 0, 12, 23);
    NEAR(gr_conv_transpose(x, k, .strides = GR_SHAPE(2)), GR_SHAPE(1, 5, 1), 0, 1, 2, 13, 20, 30);
    NEAR(gr_conv_transpose(x, k, .strides = GR_SHAPE(2), .padding = "same"), GR_SHAPE(1, 4, 1), 0, 1, 2, 13, 20);
    NEAR(gr_conv_transpose(x, k, .strides = GR_SHAPE(4)), GR_SHAPE(1, 8, 1), 0, 1, 2, 3, 0, 10, 20, 30, 0);
    NEAR(gr_conv_transpose(x, k, .dilation = GR_SHAPE(2)), GR_SHAPE(1, 6, 1), 0, 1, 10, 2, 20, 3, 30);
    gr_tape_free(t);
}

/* What the functions check before there is a node; the rest is in test_op_errors.c. */
static void impossible_options_are_named(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 6, 6, 4), "x");
    gr_tensor *k = gr_input(t, GR_F32, GR_SHAPE(3, 3, 4, 5), "k"), *l = gr_input(t, GR_F32, GR_SHAPE(2, 6, 4), "l");
    gr_tensor *open = gr_input(t, GR_F32, GR_SHAPE(2, GR_BATCH, 6, 4), "open");
#define WRONG(call, text)                                                                                              \
    do {                                                                                                               \
        GR_EXPECT((call) == GR_BAD && strstr(gr_error_message(), text), "expected '%s' in: %s", text,                  \
            gr_error_message());                                                                                       \
        gr_error_clear();                                                                                              \
    } while (0)
    WRONG(gr_conv(x, k, .padding = "full"), "conv: argument padding: expected valid or same, found \"full\"");
    WRONG(gr_conv(x, k, .padding = "causal"), "conv: argument padding: expected valid or same, found \"causal\"");
    WRONG(gr_conv(x, k, .padding = "same", .before = GR_SHAPE(1)), "argument padding: expected none beside before");
    WRONG(gr_conv(x, k, .strides = GR_SHAPE(0)), "argument strides: expected 2 sizes of 1 or more, found [0, 0]");
    WRONG(gr_conv(x, k, .strides = GR_SHAPE(1, 2, 3), .padding = "same"), "argument strides: expected 2 sizes");
    WRONG(gr_conv(x, k, .dilation = GR_SHAPE(4)), "kernel: expected a window that spans at most the 6 of axis 1");
    WRONG(gr_conv(x, k, .before = GR_SHAPE(-1)), "argument before: expected 2 sizes of 0 or more, found [-1, -1]");
    WRONG(gr_conv(x, NULL), "conv: argument kernel: expected a tensor, found NULL");
    WRONG(gr_conv(NULL, k), "conv: argument x: expected a tensor, found NULL");
    WRONG(gr_conv(l, k), "conv: argument kernel: expected rank 3, that of x, found [3, 3, 4, 5]");
    WRONG(gr_conv(open, k, .padding = "same"), "argument x: expected known sizes of the axes between");
    WRONG(gr_conv(x, gr_input(t, GR_F32, GR_SHAPE(3, 3, 3, 5), "k")), "argument kernel: expected channels");
    WRONG(gr_conv(x, gr_input(t, GR_F32, GR_SHAPE(3, 3, 2, 5), "k")), "a last axis that divides into 2 groups");
    WRONG(gr_conv(x, gr_cast(k, GR_F64)), "argument kernel: expected float32, the dtype of x, found float64");
    WRONG(gr_conv_transpose(x, k), "conv_transpose: argument kernel: expected [.., results, channels of x]");
    WRONG(gr_conv_transpose(x, gr_transpose(k, GR_SHAPE(0, 1, 3, 2)), .before = GR_SHAPE(1)), "no padding by hand");
    WRONG(gr_conv_transpose(x, gr_transpose(k, GR_SHAPE(0, 1, 3, 2)), .strides = GR_SHAPE(0)), "argument strides");
    WRONG(gr_conv_transpose(x, gr_transpose(k, GR_SHAPE(0, 1, 3, 2)), .padding = "causal"), "argument padding");
    WRONG(gr_conv_transpose(x, NULL), "conv_transpose: argument kernel: expected a tensor, found NULL");
    WRONG(gr_depthwise_conv(l, k), "depthwise_conv: argument kernel: expected rank 3");
    WRONG(gr_depthwise_conv(x, gr_input(t, GR_F32, GR_SHAPE(3, 3, 3, 1), "k")), "depthwise_conv: argument kernel");
    gr_tape_free(t);
}

GR_SUITE("ops/conv_ops.c", GR_TEST(results_are_those_of_the_definition), GR_TEST(gradients_are_adjoint),
    GR_TEST(the_batch_may_be_any_multiple_of_b), GR_TEST(padding_may_be_given_by_hand),
    GR_TEST(depthwise_results_of_a_channel_lie_side_by_side), GR_TEST(a_transposed_convolution_spreads_each_pixel),
    GR_TEST(impossible_options_are_named))
