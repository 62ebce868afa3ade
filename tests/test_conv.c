/* The convolution of every instruction set this CPU has, against its definition in long double. Operands end or begin
 * at pages that cannot be touched. */
#include "core/cpu.h"
#include "ops/kernels/conv.h"
#include "tests/fence.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

typedef void conv_fn(const gr__conv *c, const gr__conv_part *p);
typedef struct {
    gr_isa isa;
    size_t elem;
    conv_fn *run[4];
    size_t (*scratch)(const gr__conv *c);
} build;
enum { FORWARD, DX, DW, TURN };
static const char *const what_names[] = {"forward", "dX", "dW"};

#define BUILD(ISA, isa, type, elem)                                                                          \
    {ISA, elem, {gr__conv_forward_##type##_##isa, gr__conv_dx_##type##_##isa, gr__conv_dw_##type##_##isa,      \
            gr__conv_turn_##type##_##isa},                                                                    \
        gr__conv_scratch_##type##_##isa}
static const build builds[] = {
    BUILD(GR_ISA_BASE, base, f32, 4),
    BUILD(GR_ISA_BASE, base, f64, 8),
#ifdef __x86_64__
    BUILD(GR_ISA_AVX2, avx2, f32, 4),
    BUILD(GR_ISA_AVX2, avx2, f64, 8),
    BUILD(GR_ISA_AVX512, avx512, f32, 4),
    BUILD(GR_ISA_AVX512, avx512, f64, 8),
#endif
};
enum { N_BUILDS = sizeof builds / sizeof *builds };

static const struct {
    const char *why;
    gr__conv c; /* n, h, w, c,  kh, kw,  oh, ow, o,  strides, dilations, pads, groups */
} rows[] = {
    {"valid 3x3", {2, 7, 9, 4, 3, 3, 5, 7, 16, 1, 1, 1, 1, 0, 0, 1}},
    {"valid 3x3 whose dX has a large halo", {2, 7, 7, 9, 3, 3, 5, 5, 40, 1, 1, 1, 1, 0, 0, 1}},
    {"same 3x3 of a small image", {2, 3, 4, 33, 3, 3, 3, 4, 35, 1, 1, 1, 1, 1, 1, 1}},
    {"stride 2 and a large halo", {1, 6, 5, 40, 5, 5, 3, 3, 48, 2, 2, 1, 1, 2, 2, 1}},
    {"groups and a large halo", {1, 4, 4, 64, 3, 3, 4, 4, 64, 1, 1, 1, 1, 1, 1, 2}},
    {"same 3x3", {2, 6, 8, 16, 3, 3, 6, 8, 33, 1, 1, 1, 1, 1, 1, 1}},
    {"one input channel", {1, 9, 10, 1, 3, 3, 7, 8, 32, 1, 1, 1, 1, 0, 0, 1}},
    {"one input channel, part of a vector", {1, 8, 13, 1, 3, 3, 8, 13, 5, 1, 1, 1, 1, 1, 1, 1}},
    {"three input channels, padded", {1, 8, 19, 3, 3, 3, 8, 19, 16, 1, 1, 1, 1, 1, 1, 1}},
    {"stride 2, same, even size", {2, 8, 8, 5, 3, 3, 4, 4, 7, 2, 2, 1, 1, 0, 0, 1}},
    {"stride 2, padded before", {1, 9, 11, 3, 3, 3, 5, 6, 18, 2, 2, 1, 1, 1, 1, 1}},
    {"stride 3 over a kernel of 2: pixels that no tap reaches", {1, 8, 11, 2, 2, 2, 3, 4, 5, 3, 3, 1, 1, 0, 0, 1}},
    {"different strides", {1, 7, 12, 3, 3, 2, 3, 4, 6, 2, 3, 1, 1, 0, 0, 1}},
    {"dilation", {1, 9, 10, 3, 3, 3, 5, 4, 6, 1, 1, 2, 3, 0, 0, 1}},
    {"dilation and same padding", {1, 7, 7, 4, 3, 3, 7, 7, 17, 1, 1, 2, 2, 2, 2, 1}},
    {"stride and dilation with a common factor", {1, 12, 12, 2, 3, 3, 4, 4, 3, 2, 2, 2, 2, 0, 0, 1}},
    {"stride 4, dilation 6", {1, 16, 9, 2, 2, 2, 3, 2, 3, 4, 4, 6, 3, 0, 0, 1}},
    {"1x1", {2, 5, 6, 12, 1, 1, 5, 6, 20, 1, 1, 1, 1, 0, 0, 1}},
    {"1x1 with stride 2", {1, 6, 6, 8, 1, 1, 3, 3, 16, 2, 2, 1, 1, 0, 0, 1}},
    {"1x1 that is padded", {1, 4, 4, 2, 1, 1, 4, 4, 3, 1, 1, 1, 1, 1, 1, 1}},
    {"groups", {2, 6, 6, 8, 3, 3, 6, 6, 12, 1, 1, 1, 1, 1, 1, 4}},
    {"groups without padding", {1, 6, 6, 6, 3, 3, 4, 4, 4, 1, 1, 1, 1, 0, 0, 2}},
    {"depthwise", {2, 7, 6, 19, 3, 3, 7, 6, 19, 1, 1, 1, 1, 1, 1, 19}},
    {"depthwise, stride 2, wide", {1, 9, 9, 40, 3, 3, 4, 4, 40, 2, 2, 1, 1, 0, 0, 40}},
    {"depthwise 3x3, more pixels than go together", {2, 4, 23, 27, 3, 3, 4, 23, 27, 1, 1, 1, 1, 1, 1, 27}},
    {"depthwise 3x3, dilated, without padding", {1, 9, 12, 24, 3, 3, 5, 8, 24, 1, 1, 2, 2, 0, 0, 24}},
    {"depthwise with multiplier 3", {1, 5, 6, 4, 3, 3, 5, 6, 12, 1, 1, 1, 1, 1, 1, 4}},
    {"one dimension", {2, 1, 30, 6, 1, 5, 1, 26, 10, 1, 1, 1, 1, 0, 0, 1}},
    {"one dimension, causal", {1, 1, 20, 4, 1, 3, 1, 20, 8, 1, 1, 1, 4, 0, 8, 1}},
    {"kernel as large as the image", {2, 5, 4, 3, 5, 4, 1, 1, 9, 1, 1, 1, 1, 0, 0, 1}},
    {"kernel larger than the image", {1, 3, 3, 2, 5, 5, 3, 3, 4, 1, 1, 1, 1, 2, 2, 1}},
    {"padding beyond the kernel", {1, 3, 4, 2, 2, 2, 8, 9, 3, 1, 1, 1, 1, 3, 3, 1}},
    {"one pixel", {3, 1, 1, 5, 1, 1, 1, 1, 6, 1, 1, 1, 1, 0, 0, 1}},
    {"one pixel under a padded kernel", {1, 1, 1, 3, 3, 3, 1, 1, 40, 1, 1, 1, 1, 1, 1, 1}},
    {"many columns of few channels", {1, 3, 75, 2, 3, 3, 1, 73, 130, 1, 1, 1, 1, 0, 0, 1}},
    {"a band of several pieces", {1, 40, 64, 24, 3, 3, 40, 64, 3, 1, 1, 1, 1, 1, 1, 1}},
    {"dW of pixels far apart, and a strip that is not full", {2, 9, 8, 12, 3, 3, 7, 6, 72, 1, 1, 1, 1, 0, 0, 1}},
    {"the same in several pieces", {1, 14, 32, 64, 3, 3, 14, 32, 64, 1, 1, 1, 1, 1, 1, 1}},
    {"same 3x3, more rows than slide together", {2, 18, 12, 17, 3, 3, 18, 12, 34, 1, 1, 1, 1, 1, 1, 1}},
    {"two taps side by side", {1, 11, 25, 9, 2, 2, 10, 24, 35, 1, 1, 1, 1, 0, 0, 1}},
    {"stride between rows only", {1, 15, 12, 20, 3, 3, 8, 12, 20, 2, 1, 1, 1, 1, 1, 1}},
    {"dilation between rows only, groups", {1, 12, 12, 24, 3, 3, 12, 12, 36, 1, 1, 2, 1, 2, 1, 2}},
    {"pixels of x at the end that are not used", {2, 13, 13, 35, 3, 3, 10, 9, 16, 1, 1, 1, 1, 0, 0, 1}},
    {"dX of pixels beside the taps", {1, 13, 14, 16, 3, 3, 8, 9, 16, 1, 1, 1, 1, 0, 0, 1}},
    {"padding beyond the taps", {1, 9, 12, 16, 3, 3, 14, 17, 16, 1, 1, 1, 1, 4, 4, 1}},
    {"dX of stride 2 by few taps side by side", {2, 12, 12, 19, 3, 3, 6, 6, 22, 2, 2, 1, 1, 0, 0, 1}},
    {"unused rows and columns at the end", {1, 9, 9, 3, 2, 2, 3, 3, 5, 3, 3, 1, 1, 0, 0, 1}},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- the definition ------------------------------------------------------------------------------------------------
 * */

typedef struct {
    int64_t x, w, y; /* elements */
} sizes;

static sizes sizes_of(const gr__conv *c)
{
    return (sizes){c->n * c->h * c->w * c->c, c->kh * c->kw * (c->c / c->groups) * c->o, c->n * c->oh * c->ow * c->o};
}

static double get(const void *p, int64_t i, size_t elem)
{
    return elem == 4 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void put(void *p, int64_t i, size_t elem, double x)
{
    if (elem == 4)
        ((float *)p)[i] = (float)x;
    else
        ((double *)p)[i] = x;
}

static void fill(void *p, int64_t count, size_t elem, uint32_t seed)
{
    uint32_t s = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < count; i++) {
        s = s * 1664525u + 1013904223u;
        put(p, i, elem, (double)(s >> 8) / (1 << 23) - 1);
    }
}

/* Adds every product to the element it belongs to: want, and the sum of the absolute values. */
static void define(const gr__conv *c, int what, const void *a, const void *b, size_t elem, long double *want,
    long double *size)
{
    const int64_t depth = c->c / c->groups, width = c->o / c->groups;
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t i = 0; i < c->oh; i++)
            for (int64_t j = 0; j < c->ow; j++)
                for (int64_t r = 0; r < c->kh; r++)
                    for (int64_t s = 0; s < c->kw; s++) {
                        int64_t y = i * c->stride_h + r * c->dilation_h - c->pad_top;
                        int64_t x = j * c->stride_w + s * c->dilation_w - c->pad_left;
                        if (y < 0 || y >= c->h || x < 0 || x >= c->w)
                            continue;
                        for (int64_t o = 0; o < c->o; o++)
                            for (int64_t d = 0; d < depth; d++) {
                                int64_t at[3] = {((n * c->oh + i) * c->ow + j) * c->o + o,
                                    ((n * c->h + y) * c->w + x) * c->c + o / width * depth + d,
                                    ((r * c->kw + s) * depth + d) * c->o + o};
                                int64_t ia = what == DX ? at[0] : at[1], ib = what == DW ? at[0] : at[2];
                                long double p = (long double)get(a, ia, elem) * get(b, ib, elem);
                                want[at[what]] += p, size[at[what]] += fabsl(p);
                            }
                    }
}

/* ---- running one
 * ------------------------------------------------------------------------------------------------------ */

enum { ROOM = 1 << 20, MOST = 1 << 16 };
static fence fa, fb, ft, fo, fs;
static long double want[MOST], magnitude[MOST];

static void open_fences(void)
{
    fa = fence_new(ROOM), fb = fence_new(ROOM), ft = fence_new(ROOM), fo = fence_new(ROOM), fs = fence_new(1 << 23);
}

static void close_fences(void)
{
    fence_free(&fa), fence_free(&fb), fence_free(&ft), fence_free(&fo), fence_free(&fs);
}

typedef struct {
    void *a, *b, *turned, *out;
    int64_t count, rows, channels; /* of the result */
} operands;

static operands lay_out(const build *u, const gr__conv *c, int what, bool at_end)
{
    sizes s = sizes_of(c);
    int64_t count[3] = {s.y, s.x, s.w};
    operands q = {.count = count[what], .channels = what == DX ? c->c : c->o};
    q.rows = q.channels ? q.count / q.channels : 0;
    int64_t na = what == DX ? s.y : s.x, nb = what == DW ? s.y : s.w;
    q.a = fence_take(&fa, (size_t)na * u->elem, at_end), q.b = fence_take(&fb, (size_t)nb * u->elem, at_end);
    q.turned = fence_take(&ft, (size_t)nb * u->elem, at_end);
    q.out = fence_take(&fo, (size_t)q.count * u->elem, at_end);
    fill(q.a, na, u->elem, 1), fill(q.b, nb, u->elem, 2), fill(q.out, q.count, u->elem, 3);
    if (what == DX)
        u->run[TURN](c, &(gr__conv_part){.in = q.b, .out = q.turned, .r1 = c->kh * c->kw * (c->o / c->groups),
            .c1 = c->c});
    return q;
}

/* What is fetched ahead is only asked for: it may lie anywhere. */
static gr__ahead *some_ahead(void)
{
    static gr__ahead ahead;
    ahead = (gr__ahead){.n = 2, .run = {{(const char *)64, 100}, {(const char *)&ahead, 3000}}};
    return &ahead;
}

static gr__conv_part part_of(const build *u, const gr__conv *c, const operands *q, int what)
{
    gr__conv_part p = {q->a, what == DX ? q->turned : q->b, q->out, 0, q->rows, 0, q->channels, 0, c->n, false,
        NULL, some_ahead()};
    size_t need = u->scratch(c);
    p.scratch = need ? fence_take(&fs, (need + 63) / 64 * 64, true) : NULL;
    return p;
}

static void expect_right(const build *u, int row, int what, bool at_end, bool accumulate)
{
    const gr__conv *c = &rows[row].c;
    operands q = lay_out(u, c, what, at_end);
    CU_ASSERT_FATAL(q.count <= MOST);
    for (int64_t i = 0; i < q.count; i++)
        want[i] = accumulate ? (long double)get(q.out, i, u->elem) : 0, magnitude[i] = fabsl(want[i]);
    define(c, what, q.a, q.b, u->elem, want, magnitude);
    gr__conv_part p = part_of(u, c, &q, what);
    p.accumulate = accumulate;
    u->run[what](c, &p);
    double unit = u->elem == 4 ? 0x1p-24 : 0x1p-53;
    double terms = (double)(what == DW ? c->n * c->oh * c->ow : c->kh * c->kw * (what == DX ? c->o : c->c)) + 2;
    for (int64_t i = 0; i < q.count; i++) {
        double error = fabs(get(q.out, i, u->elem) - (double)want[i]);
        if (!GR_EXPECT(error <= (double)magnitude[i] * unit * terms, "%s: %s %s f%d: element %ld is %g, not %g",
                rows[row].why, what_names[what], gr__isa_name(u->isa), (int)u->elem * 8, (long)i,
                get(q.out, i, u->elem), (double)want[i]))
            return;
    }
}

static void run_table(int what)
{
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++)
            for (int end = 0; end < 2; end++)
                expect_right(&builds[u], row, what, end, what == DW && end);
    close_fences();
}

static void forward_is_right(void)
{
    run_table(FORWARD);
}
static void dx_is_right(void)
{
    run_table(DX);
}
static void dw_is_right(void)
{
    run_table(DW);
}

/* Shares, one call each, give the whole's bits; nothing outside the share is touched. */
static void any_split_gives_the_same_bits(void)
{
    open_fences();
    static char whole[ROOM];
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++)
            for (int what = 0; what < 3; what++) {
                const gr__conv *c = &rows[row].c;
                operands q = lay_out(&builds[u], c, what, true);
                gr__conv_part p = part_of(&builds[u], c, &q, what);
                const size_t bytes = (size_t)q.count * builds[u].elem;
                builds[u].run[what](c, &p);
                memcpy(whole, q.out, bytes);
                fill(q.out, q.count, builds[u].elem, 9);
                for (int64_t c0 = 0; c0 < q.channels; c0 += 5)
                    for (int64_t r0 = 0; r0 < q.rows; r0 += 1 + q.rows / 3)
                        for (int64_t n = 0; n < (what == DW ? c->n : 1); n++) {
                            p.r0 = r0, p.r1 = r0 + 1 + q.rows / 3 < q.rows ? r0 + 1 + q.rows / 3 : q.rows;
                            p.c0 = c0, p.c1 = c0 + 5 < q.channels ? c0 + 5 : q.channels;
                            p.n0 = n, p.n1 = n + 1, p.accumulate = what == DW && n > 0;
                            builds[u].run[what](c, &p);
                        }
                GR_EXPECT(!memcmp(whole, q.out, bytes), "%s: %s %s f%d", rows[row].why, what_names[what],
                    gr__isa_name(builds[u].isa), (int)builds[u].elem * 8);
            }
    close_fences();
}

/* In shares, to the byte; and as it is defined. */
static void turning_weights_twice_gives_them_again(void)
{
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++) {
            const gr__conv c = rows[row].c;
            gr__conv back = c;
            back.c = c.o, back.o = c.c;
            const int64_t count = sizes_of(&c).w, depth = c.c / c.groups, width = c.o / c.groups, taps = c.kh * c.kw;
            void *w = fence_take(&fa, (size_t)count * builds[u].elem, row % 2), *again;
            void *t = fence_take(&ft, (size_t)count * builds[u].elem, row % 2);
            fill(w, count, builds[u].elem, 1), fill(t, count, builds[u].elem, 2);
            for (int64_t r0 = 0; r0 < taps * width; r0 += 7)
                for (int64_t c0 = 0; c0 < c.c; c0 += 19) {
                    gr__conv_part p = {.in = w, .out = t, .r0 = r0, .r1 = r0 + 7, .c0 = c0, .c1 = c0 + 19};
                    p.r1 = p.r1 < taps * width ? p.r1 : taps * width, p.c1 = p.c1 < c.c ? p.c1 : c.c;
                    builds[u].run[TURN](&c, &p);
                }
            bool right = true;
            for (int64_t i = 0; i < count; i++) {
                int64_t tap = i / c.o / depth, d = i / c.o % depth, g = i % c.o / width, o = i % c.o % width;
                right = right && get(w, i, builds[u].elem) ==
                        get(t, ((taps - 1 - tap) * width + o) * c.c + g * depth + d, builds[u].elem);
            }
            again = fence_take(&fo, (size_t)count * builds[u].elem, row % 2);
            builds[u].run[TURN](&back, &(gr__conv_part){.in = t, .out = again, .r1 = taps * depth, .c1 = c.o});
            GR_EXPECT(right && !memcmp(w, again, (size_t)count * builds[u].elem), "%s: %s f%d", rows[row].why,
                gr__isa_name(builds[u].isa), (int)builds[u].elem * 8);
        }
    close_fences();
}

static void instruction_sets_with_fma_agree_in_every_bit(void)
{
    if (!gr__cpu_has(GR_ISA_AVX512)) {
        gr_test_skip("needs AVX-512");
        return;
    }
#ifdef __x86_64__
    open_fences();
    static char first[ROOM];
    for (int row = 0; row < N_ROWS; row++)
        for (int what = 0; what < 3; what++)
            for (int type = 0; type < 2; type++) {
                const build *narrow = &builds[2 + type], *wide = &builds[4 + type];
                operands q = lay_out(narrow, &rows[row].c, what, true);
                gr__conv_part p = part_of(narrow, &rows[row].c, &q, what);
                narrow->run[what](&rows[row].c, &p);
                memcpy(first, q.out, (size_t)q.count * narrow->elem);
                q = lay_out(wide, &rows[row].c, what, true), p = part_of(wide, &rows[row].c, &q, what);
                wide->run[what](&rows[row].c, &p);
                GR_EXPECT(!memcmp(first, q.out, (size_t)q.count * wide->elem), "%s: %s f%d", rows[row].why,
                    what_names[what], (int)wide->elem * 8);
            }
    close_fences();
#endif
}

static void empty_sizes_give_zeros_or_nothing(void)
{
    static const gr__conv base = {1, 4, 4, 2, 3, 3, 2, 2, 3, 1, 1, 1, 1, 0, 0, 1};
    float a[64] = {0}, b[64] = {0}, out[64];
    for (int what = 0; what < 3; what++)
        for (int zero = 0; zero < 4; zero++) {
            gr__conv c = base;
            *(zero == 0 ? &c.n : zero == 1 ? &c.c : zero == 2 ? &c.o : &c.ow) = 0;
            sizes s = sizes_of(&c);
            int64_t count[3] = {s.y, s.x, s.w};
            for (int i = 0; i < 64; i++)
                out[i] = 7;
            CU_ASSERT(zero == 0 || gr__conv_scratch(&c, 4) == 0); /* the number of images does not matter to it */
            int64_t channels = what == DX ? c.c : c.o, rows_of = channels ? count[what] / channels : 0;
            gr__conv_part p = {a, b, out, 0, rows_of, 0, channels, 0, c.n, false, NULL, NULL};
            (what == FORWARD ? gr__conv_forward_f32 : what == DX ? gr__conv_dx_f32 : gr__conv_dw_f32)(&c, &p);
            for (int i = 0; i < 64; i++)
                GR_EXPECT(out[i] == (i < count[what] ? 0 : 7), "%s, case %d: element %d is %g", what_names[what], zero,
                    i, (double)out[i]);
        }
}

GR_SUITE("ops/kernels/conv.c", GR_TEST(forward_is_right), GR_TEST(dx_is_right), GR_TEST(dw_is_right),
    GR_TEST(any_split_gives_the_same_bits), GR_TEST(turning_weights_twice_gives_them_again),
    GR_TEST(instruction_sets_with_fma_agree_in_every_bit), GR_TEST(empty_sizes_give_zeros_or_nothing))
