/* Pooling of every instruction set this CPU has, against its definition. Operands end or begin at pages that cannot be
 * touched. */
#include "core/cpu.h"
#include "ops/kernels/pool_kernels.h"
#include "tests/fence.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

typedef void pool_fn(const gr__pool *c, const gr__pool_part *p);
enum { MAX, AVG, MAX_GRAD, AVG_GRAD, PICK, N_WHAT };
static const char *const what_names[] = {"max", "avg", "max grad", "avg grad", "pick"};
typedef struct {
    gr_isa isa;
    pool_fn *f32[N_WHAT], *f64[N_WHAT];
} build;

#define FIVE(type, isa) \
    {gr__pool_max_##type##_##isa, gr__pool_avg_##type##_##isa, gr__pool_max_grad_##type##_##isa, \
        gr__pool_avg_grad_##type##_##isa, gr__pool_pick_##type##_##isa}
static const build builds[] = {
    {GR_ISA_BASE, FIVE(f32, base), FIVE(f64, base)},
#ifdef __x86_64__
    {GR_ISA_AVX2, FIVE(f32, avx2), FIVE(f64, avx2)},
    {GR_ISA_AVX512, FIVE(f32, avx512), FIVE(f64, avx512)},
#endif
};
enum { N_BUILDS = sizeof builds / sizeof *builds };

static const struct {
    const char *why;
    gr__pool c; /* n, h, w, c,  kh, kw,  oh, ow,  strides, dilations, pads */
} rows[] = {
    {"2x2", {2, 6, 8, 32, 2, 2, 3, 4, 2, 2, 1, 1, 0, 0}},
    {"2x2, a row and a column left over", {1, 7, 9, 5, 2, 2, 3, 4, 2, 2, 1, 1, 0, 0}},
    {"overlapping 3x3, same", {2, 5, 6, 17, 3, 3, 5, 6, 1, 1, 1, 1, 1, 1}},
    {"stride 2, padded", {1, 8, 8, 64, 3, 3, 4, 4, 2, 2, 1, 1, 1, 1}},
    {"gaps between windows", {1, 9, 9, 3, 2, 2, 3, 3, 3, 3, 1, 1, 0, 0}},
    {"dilation", {1, 7, 8, 70, 2, 3, 5, 2, 1, 2, 2, 2, 0, 0}},
    {"the whole image", {3, 4, 5, 33, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0}},
    {"one dimension", {2, 1, 12, 9, 1, 3, 1, 4, 1, 3, 1, 1, 0, 0}},
    {"windows in the padding alone", {1, 2, 2, 4, 2, 2, 4, 4, 2, 2, 1, 1, 3, 3}},
    {"one pixel of one channel", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}},
    {"a window of more taps than a byte counts", {2, 17, 20, 5, 17, 16, 1, 5, 1, 1, 1, 1, 0, 0}},
    {"side by side, padded, a rest", {2, 7, 8, 48, 3, 2, 3, 5, 3, 2, 1, 1, 1, 1}},
    {"no channels", {1, 2, 2, 0, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0}},
    {"no images", {0, 2, 2, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0}},
};
enum { N_ROWS = sizeof rows / sizeof *rows, MOST = 1 << 14 };

static double x[MOST], dy[MOST], want[MOST], got[MOST], code[MOST];

/* Of few values, so that windows hold ties; floats hold them exactly. */
static void fill(void)
{
    uint32_t s = 7;
    for (int i = 0; i < MOST; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (double)(s >> 29) - 3, dy[i] = (double)(s >> 24 & 15) * 0.5 - 3;
    }
}

static void define_window(const gr__pool *c, int what, int64_t n, int64_t i, int64_t j, int64_t q)
{
    int64_t best = -1, count = 0, out = ((n * c->oh + i) * c->ow + j) * c->c + q;
    double sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t r = 0; r < c->kh; r++)
            for (int64_t s = 0; s < c->kw; s++) {
                int64_t yy = i * c->stride_h + r * c->dilation_h - c->pad_top;
                int64_t xx = j * c->stride_w + s * c->dilation_w - c->pad_left;
                if (yy < 0 || yy >= c->h || xx < 0 || xx >= c->w)
                    continue;
                int64_t at = ((n * c->h + yy) * c->w + xx) * c->c + q;
                if (pass == 1) {
                    want[at] += what == AVG_GRAD ? dy[out] / (double)count : 0;
                    continue;
                }
                count++, sum += x[at];
                if (best < 0 || x[at] > x[best] || (isnan(x[at]) && !isnan(x[best])))
                    best = at, code[out] = (double)(r * c->kw + s);
            }
        if (what != AVG_GRAD)
            break;
    }
    if (best < 0)
        code[out] = -1;
    if (what == MAX)
        want[out] = best < 0 ? -INFINITY : x[best];
    else if (what == PICK)
        want[out] = best < 0 ? 0 : dy[best];
    else if (what == AVG)
        want[out] = count ? sum / (double)count : 0;
    else if (what == MAX_GRAD && best >= 0)
        want[best] += dy[out];
}

static int64_t define(const gr__pool *c, int what)
{
    memset(want, 0, sizeof want);
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t i = 0; i < c->oh; i++)
            for (int64_t j = 0; j < c->ow; j++)
                for (int64_t q = 0; q < c->c; q++)
                    define_window(c, what, n, i, j, q);
    return what <= AVG || what == PICK ? c->n * c->oh * c->ow * c->c : c->n * c->h * c->w * c->c;
}

static void *copy_in(const fence *f, const double *from, int64_t count, bool is_double, bool at_end)
{
    char *p = fence_take(f, (size_t)count * (is_double ? 8 : 4), at_end);
    for (int64_t i = 0; i < count; i++)
        if (is_double)
            ((double *)(void *)p)[i] = from[i];
        else
            ((float *)(void *)p)[i] = (float)from[i];
    return p;
}

static fence fx, fd, fo, fc;

/* Codes of a pooling of x as the kernels keep them; what no tap has is a number beyond all of them. */
static void *codes(int64_t count, bool wide, bool at_end)
{
    char *p = fence_take(&fc, (size_t)count * (wide ? 4 : 1), at_end);
    for (int64_t i = 0; i < count; i++)
        if (wide)
            ((int32_t *)(void *)p)[i] = code[i] < 0 ? 12345 : (int32_t)code[i];
        else
            p[i] = (char)(code[i] < 0 ? 255 : (int)code[i]);
    return p;
}

static void expect_right(const build *u, int row, int what, bool is_double, bool at_end)
{
    const gr__pool *c = &rows[row].c;
    int64_t count = define(c, what), in = c->n * c->h * c->w * c->c, out = c->n * c->oh * c->ow * c->c;
    const bool wide = c->kh * c->kw > 256;
    for (int64_t i = 0; i < count; i++)
        got[i] = 99;
    gr__pool_part p = {.out = copy_in(&fo, got, count, is_double, at_end), .wide = wide};
    if (what == MAX || what == AVG || what == PICK) /* pick: of dy's numbers */
        p.x = copy_in(&fx, what == PICK ? dy : x, in, is_double, at_end);
    else
        p.dy = copy_in(&fd, dy, out, is_double, at_end);
    if (what == MAX)
        p.code = fence_take(&fc, (size_t)out * (wide ? 4 : 1), at_end);
    else if (what != AVG && what != AVG_GRAD)
        p.code = codes(out, wide, at_end);
    /* whole, or in shares that cut images, rows and vectors */
    const int64_t pixels = c->c ? count / c->c : 0, step = at_end ? 1 + pixels : 1 + pixels / 3;
    for (p.r0 = 0; p.r0 < pixels; p.r0 += step)
        for (p.c0 = 0; p.c0 < c->c; p.c0 = p.c1) {
            p.r1 = p.r0 + step < pixels ? p.r0 + step : pixels;
            p.c1 = at_end || p.c0 + 7 > c->c ? c->c : p.c0 + 7;
            (is_double ? u->f64 : u->f32)[what](c, &p);
        }
    for (int64_t i = 0; i < count; i++) {
        double value = is_double ? ((double *)p.out)[i] : (double)((float *)p.out)[i];
        double bound = (is_double ? 0x1p-52 : 0x1p-23) * 40;
        bool equal = value == want[i] || ((what == AVG || what == AVG_GRAD) && fabs(value - want[i]) <= bound);
        if (!GR_EXPECT(equal || (isnan(value) && isnan(want[i])), "%s: %s %s %s: element %ld is %g, not %g",
                rows[row].why, what_names[what], gr__isa_name(u->isa), is_double ? "f64" : "f32", (long)i, value,
                want[i]))
            return;
        const int64_t found = what != MAX ? 0 : wide ? ((int32_t *)p.code)[i] : ((uint8_t *)p.code)[i];
        if (!GR_EXPECT(what != MAX || code[i] < 0 || (double)found == code[i], "%s: %s %s: code %ld is %ld, not %g",
                rows[row].why, gr__isa_name(u->isa), is_double ? "f64" : "f32", (long)i, (long)found, code[i]))
            return;
    }
}

static void run_table(void)
{
    fx = fence_new(MOST * 8), fd = fence_new(MOST * 8), fo = fence_new(MOST * 8);
    fc = fence_new(MOST * 4);
    for (int u = 0; u < N_BUILDS; u++)
        for (int q = 0; gr__cpu_has(builds[u].isa) && q < N_ROWS * N_WHAT * 4; q++)
            expect_right(&builds[u], q / (N_WHAT * 4), q / 4 % N_WHAT, q & 1, q & 2);
    fence_free(&fx), fence_free(&fd), fence_free(&fo), fence_free(&fc);
}

static void values_and_gradients_are_right_ties_to_the_first(void)
{
    fill();
    run_table();
}

static void a_nan_wins_and_takes_the_gradient(void)
{
    fill();
    for (int i = 0; i < MOST; i += 13)
        x[i] = NAN;
    for (int i = 5; i < MOST; i += 31)
        x[i] = -INFINITY;
    run_table();
}

GR_SUITE("ops/kernels/pool_kernels.c", GR_TEST(values_and_gradients_are_right_ties_to_the_first),
    GR_TEST(a_nan_wins_and_takes_the_gradient))
