/* The attention kernel of every instruction set this CPU has, against its definition in long double. Operands end or
 * begin at pages that cannot be touched. */
#include "core/cpu.h"
#include "ops/kernels/attend.h"
#include "tests/fence.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

typedef struct {
    const char *name;
    gr_isa isa;
    size_t (*scratch)(const gr__attend *a, bool gradient);
    void (*forward)(const gr__attend *a, int64_t first, int64_t end);
    void (*backward)(const gr__attend *a);
} build;
#define BUILD(ISA, isa)                                                                                                \
    {                                                                                                                  \
#isa, ISA, gr__attend_scratch_##isa, gr__attend_forward_##isa, gr__attend_backward_##isa                       \
    }
static const build builds[] = {
    BUILD(GR_ISA_BASE, base),
#ifdef __x86_64__
    BUILD(GR_ISA_AVX2, avx2),
    BUILD(GR_ISA_AVX512, avx512),
#endif
};
enum { N_BUILDS = sizeof builds / sizeof *builds };

static const struct {
    const char *why;
    int64_t t, s, h, hv;
    bool causal, bias;
    int64_t apart; /* heads side by side: rows of operands lie so many head sizes apart */
} rows[] = {
    {"a whole number of panels and vectors", 64, 64, 32, 32, false, false, 1},
    {"the same, causal", 64, 64, 32, 32, true, false, 3},
    {"more blocks, causal", 150, 150, 16, 16, true, false, 2},
    {"one token", 1, 1, 4, 4, true, false, 1},
    {"one query of many keys", 1, 77, 8, 8, false, false, 1},
    {"odd sizes", 37, 41, 7, 5, false, false, 2},
    {"odd sizes, causal", 37, 41, 5, 7, true, false, 2},
    {"fewer keys than queries, causal", 45, 13, 33, 17, true, false, 1},
    {"more keys than queries, causal", 13, 45, 17, 33, true, false, 1},
    {"size 1", 9, 10, 1, 1, false, false, 1},
    {"bias", 19, 35, 8, 8, false, true, 1},
    {"bias, causal", 35, 35, 9, 3, true, true, 2},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- operands ---------------------------------------------------------------------------------------------------- */

enum { Q, K, V, BIAS, LSE, DELTA, DY, Y, DQ, DK, DV, N_DATA };
typedef struct {
    gr__attend a;
    fence room[N_DATA + 1];
    float *data[N_DATA];
    int64_t count[N_DATA];
} trial;

static void fill(float *p, int64_t n, uint32_t seed)
{
    uint32_t s = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        p[i] = (float)(s >> 8) / (1 << 23) - 1;
    }
}

static int64_t span(int64_t n, int64_t row, int64_t width)
{
    return n > 0 ? (n - 1) * row + width : 0;
}

static trial lay_out(int row, bool at_end)
{
    const int64_t t = rows[row].t, s = rows[row].s, h = rows[row].h, hv = rows[row].hv, apart = rows[row].apart;
    trial x = {.a = {.t = t,
                   .s = s,
                   .h = h,
                   .hv = hv,
                   .scale = 0.4,
                   .causal = rows[row].causal,
                   .q_row = h * apart,
                   .k_row = h * apart,
                   .v_row = hv * apart,
                   .y_row = hv * apart,
                   .stat_row = apart,
                   .bias_row = s,
                   .bias_col = 1}};
    const int64_t n[N_DATA] = {[Q] = span(t, h * apart, h),
        [K] = span(s, h * apart, h),
        [V] = span(s, hv * apart, hv),
        [BIAS] = t * s,
        [LSE] = span(t, apart, 1),
        [DELTA] = span(t, apart, 1),
        [DY] = span(t, hv * apart, hv),
        [Y] = span(t, hv * apart, hv),
        [DQ] = span(t, h * apart, h),
        [DK] = span(s, h * apart, h),
        [DV] = span(s, hv * apart, hv)};
    for (int i = 0; i < N_DATA; i++) {
        x.room[i] = fence_new((size_t)n[i] * 4 + 1);
        x.data[i] = fence_take(&x.room[i], (size_t)n[i] * 4, at_end);
        x.count[i] = n[i];
        fill(x.data[i], n[i], (uint32_t)i + 1);
    }
    x.a.q = x.data[Q], x.a.k = x.data[K], x.a.v = x.data[V], x.a.bias = rows[row].bias ? x.data[BIAS] : NULL;
    x.a.lse = x.data[LSE], x.a.delta = x.data[DELTA], x.a.dy = x.data[DY], x.a.y = x.data[Y];
    x.a.dq = x.data[DQ], x.a.dk = x.data[DK], x.a.dv = x.data[DV];
    return x;
}

static void drop(trial *x)
{
    for (int i = 0; i <= N_DATA; i++)
        if (x->room[i].map)
            fence_free(&x->room[i]);
}

/* Scratch that ends at a page that cannot be touched, full of NaN. */
static void give_scratch(const build *u, trial *x, bool gradient)
{
    const size_t bytes = u->scratch(&x->a, gradient);
    if (x->room[N_DATA].map)
        fence_free(&x->room[N_DATA]);
    x->room[N_DATA] = fence_new(bytes + 1);
    x->a.scratch = fence_take(&x->room[N_DATA], (bytes + 63) / 64 * 64, true);
    memset(x->a.scratch, 0xff, bytes);
}

/* ---- the definition ---------------------------------------------------------------------------------------------- */

enum { MOST = 1 << 15 };
static long double want[5][MOST]; /* y, lse, dq, dk, dv where their rows begin */

static long double score(const trial *x, int64_t i, int64_t j)
{
    long double sum = 0;
    for (int64_t d = 0; d < x->a.h; d++)
        sum += (long double)x->data[Q][i * x->a.q_row + d] * x->data[K][j * x->a.k_row + d];
    return sum * x->a.scale + (x->a.bias ? x->data[BIAS][i * x->a.bias_row + j * x->a.bias_col] : 0);
}

static int64_t seen(const trial *x, int64_t i)
{
    return x->a.causal && i + 1 < x->a.s ? i + 1 : x->a.s;
}

static void define_forward(const trial *x)
{
    const gr__attend *a = &x->a;
    memset(want, 0, sizeof want);
    for (int64_t i = 0; i < a->t; i++) {
        long double sum = 0;
        for (int64_t j = 0; j < seen(x, i); j++)
            sum += expl(score(x, i, j));
        for (int64_t j = 0; j < seen(x, i); j++)
            for (int64_t d = 0; d < a->hv; d++)
                want[0][i * a->y_row + d] += expl(score(x, i, j)) / sum * x->data[V][j * a->v_row + d];
        want[1][i * a->stat_row] = logl(sum);
    }
}

static void define_backward(const trial *x)
{
    const gr__attend *a = &x->a;
    memset(want, 0, sizeof want);
    for (int64_t i = 0; i < a->t; i++)
        for (int64_t j = 0; j < seen(x, i); j++) {
            long double p = expl(score(x, i, j) - x->data[LSE][i * a->stat_row]), ds = -x->data[DELTA][i * a->stat_row];
            for (int64_t d = 0; d < a->hv; d++) {
                ds += (long double)x->data[DY][i * a->y_row + d] * x->data[V][j * a->v_row + d];
                want[4][j * a->v_row + d] += p * x->data[DY][i * a->y_row + d];
            }
            for (int64_t d = 0; d < a->h; d++) {
                want[2][i * a->q_row + d] += p * ds * a->scale * x->data[K][j * a->k_row + d];
                want[3][j * a->k_row + d] += p * ds * a->scale * x->data[Q][i * a->q_row + d];
            }
        }
}

/* n rows of `width` numbers as they should be; what lies between them untouched since `fill(.., seed)`. */
static void expect(const build *u, int row, const char *what, const float *got, const long double *expected, int64_t n,
    int64_t step, int64_t width, double tolerance, const float *before)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < (i + 1 < n ? step : width); d++) {
            const int64_t at = i * step + d;
            const double w = d < width ? (double)expected[at] : (double)before[at];
            if (!GR_EXPECT(fabs(got[at] - w) <= (d < width ? tolerance * fmax(1, fabs(w)) : 0),
                    "%s, %s, %s [%ld][%ld]: %.9g, expected %.9g", u->name, rows[row].why, what, (long)i, (long)d,
                    (double)got[at], w))
                return;
        }
}

static void forward_is_right(void)
{
    static float before[MOST];
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++)
            for (int end = 0; end < 2; end++) {
                trial x = lay_out(row, end);
                CU_ASSERT_FATAL(x.count[Q] <= MOST && x.count[Y] <= MOST);
                define_forward(&x);
                give_scratch(&builds[u], &x, false);
                builds[u].forward(&x.a, 0, x.a.t);
                fill(before, x.count[Y], Y + 1);
                expect(&builds[u], row, "y", x.data[Y], want[0], x.a.t, x.a.y_row, x.a.hv, 2e-6, before);
                fill(before, x.count[LSE], LSE + 1);
                expect(&builds[u], row, "lse", x.data[LSE], want[1], x.a.t, x.a.stat_row, 1, 2e-6, before);
                drop(&x);
            }
}

static void backward_is_right(void)
{
    static const struct {
        const char *name;
        int data;
    } results[] = {{"dq", DQ}, {"dk", DK}, {"dv", DV}};
    static float before[MOST];
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++)
            for (int end = 0; end < 2; end++) {
                trial x = lay_out(row, end);
                define_backward(&x);
                give_scratch(&builds[u], &x, true);
                builds[u].backward(&x.a);
                for (int r = 0; r < 3; r++) {
                    fill(before, x.count[results[r].data], (uint32_t)results[r].data + 1);
                    expect(&builds[u], row, results[r].name, x.data[results[r].data], want[2 + r], r ? x.a.s : x.a.t,
                        r == 2 ? x.a.v_row : x.a.q_row, r == 2 ? x.a.hv : x.a.h, 2e-5, before);
                }
                drop(&x);
            }
}

static void rows_in_any_split_have_the_same_bits(void)
{
    static float whole[MOST], kept[MOST];
    for (int u = 0; u < N_BUILDS; u++)
        for (int row = 0; gr__cpu_has(builds[u].isa) && row < N_ROWS; row++)
            for (int64_t piece = 1; piece < 20; piece += 6) {
                trial x = lay_out(row, true);
                give_scratch(&builds[u], &x, false);
                builds[u].forward(&x.a, 0, x.a.t);
                memcpy(whole, x.data[Y], (size_t)x.count[Y] * 4);
                memcpy(kept, x.data[LSE], (size_t)x.count[LSE] * 4);
                fill(x.data[Y], x.count[Y], Y + 1);
                for (int64_t i = 0; i < x.a.t; i += piece)
                    builds[u].forward(&x.a, i, i + piece < x.a.t ? i + piece : x.a.t);
                GR_EXPECT(!memcmp(whole, x.data[Y], (size_t)x.count[Y] * 4) &&
                              !memcmp(kept, x.data[LSE], (size_t)x.count[LSE] * 4),
                    "%s, %s, pieces of %ld", builds[u].name, rows[row].why, (long)piece);
                drop(&x);
            }
}

static void instruction_sets_with_fma_agree_in_every_bit(void)
{
    if (!gr__cpu_has(GR_ISA_AVX512)) {
        gr_test_skip("needs AVX-512");
        return;
    }
#ifdef __x86_64__
    static const int results[] = {Y, LSE, DQ, DK, DV};
    for (int row = 0; row < N_ROWS; row++) {
        trial x[2];
        for (int k = 0; k < 2; k++) {
            const build *u = &builds[1 + k];
            x[k] = lay_out(row, true);
            give_scratch(u, &x[k], false);
            u->forward(&x[k].a, 0, x[k].a.t);
            give_scratch(u, &x[k], true);
            u->backward(&x[k].a);
        }
        for (int r = 0; r < 5; r++)
            GR_EXPECT(!memcmp(x[0].data[results[r]], x[1].data[results[r]], (size_t)x[0].count[results[r]] * 4),
                "%s, result %d", rows[row].why, r);
        drop(&x[0]);
        drop(&x[1]);
    }
#endif
}

GR_SUITE("ops/kernels/attend.c", GR_TEST(forward_is_right), GR_TEST(backward_is_right),
    GR_TEST(rows_in_any_split_have_the_same_bits), GR_TEST(instruction_sets_with_fma_agree_in_every_bit))
