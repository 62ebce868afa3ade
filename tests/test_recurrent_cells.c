/* The recurrent cells of every instruction set this CPU has, against their formulas in double. Operands end or begin at
 * pages that cannot be touched; what is not wanted is not given. */
#include "core/cpu.h"
#include "ops/kernels/recurrent_cells.h"
#include "tests/fence.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    gr_isa isa;
    size_t elem;
    void (*forward)(const gr__recurrent *r);
    void (*back)(const gr__recurrent_back *r);
    size_t (*scratch)(const gr__recurrent *r);
    size_t (*back_scratch)(const gr__recurrent_back *r);
} build;
#define BUILD(id, isa, type, size)                                                                                     \
    {                                                                                                                  \
        id, size, gr__recurrent_##type##_##isa, gr__recurrent_back_##type##_##isa,                                     \
            gr__recurrent_scratch_##type##_##isa, gr__recurrent_back_scratch_##type##_##isa                            \
    }
static const build builds[] = {
    BUILD(GR_ISA_BASE, base, f32, 4), BUILD(GR_ISA_BASE, base, f64, 8),
#ifdef __x86_64__
    BUILD(GR_ISA_AVX2, avx2, f32, 4), BUILD(GR_ISA_AVX2, avx2, f64, 8),
    BUILD(GR_ISA_AVX512, avx512, f32, 4), BUILD(GR_ISA_AVX512, avx512, f64, 8),
#endif
};
enum { N_BUILDS = sizeof builds / sizeof *builds };

typedef struct {
    const char *why;
    int64_t rows, steps, inputs, units;
} row;
static const row rows[] = {
    {"one of everything", 1, 1, 1, 1},
    {"whole vectors and a whole tile", 6, 2, 3, 32},
    {"one unit more than vectors", 7, 3, 5, 17},
    {"one unit less", 13, 2, 4, 31},
    {"many rows", 48, 2, 2, 3},
    {"more inputs than units", 3, 2, 70, 9},
};

/* ---- operands ---------------------------------------------------------------------------------------------------- */

enum { X, KERNEL, RECURRENT, BIAS, H0, C0, Y, H, C, KEPT, SEEN, DY, DH, DC, D, DH0, DC0, SCRATCH, N };
typedef struct {
    const row *s;
    bool gru;
    double *v[N]; /* in double; the results by the formulas */
    int64_t n[N];
    void *real[N]; /* what the kernel gets */
} trial;
static fence fences[N];

static int64_t count(const trial *t, int what)
{
    const int64_t b = t->s->rows, n = t->s->inputs, u = t->s->units, steps = t->s->steps, g = t->gru ? 3 : 4;
    const int64_t counts[N] = {[X] = b * steps * n, [KERNEL] = n * g * u, [RECURRENT] = u * g * u,
        [BIAS] = (t->gru ? 2 : 1) * g * u, [H0] = b * u, [C0] = b * u, [Y] = b * steps * u, [H] = b * u, [C] = b * u,
        [KEPT] = b * steps * 5 * u, [SEEN] = b * steps * (n + u + 1), [DY] = b * steps * u, [DH] = b * u, [DC] = b * u,
        [D] = b * steps * 4 * u, [DH0] = b * u, [DC0] = b * u};
    return counts[what];
}

static void begin(trial *t)
{
    uint32_t s = 12345;
    for (int k = 0; k < SCRATCH; k++) {
        t->n[k] = count(t, k);
        t->v[k] = calloc((size_t)t->n[k], sizeof(double));
        for (int64_t i = 0; i < t->n[k] && (k <= C0 || (k >= DY && k <= DC)); i++) {
            s = s * 1664525u + 1013904223u;
            t->v[k][i] = (double)((s >> 20) & 1023) / 512 - 1; /* exact in float */
        }
    }
}
static void end(trial *t)
{
    for (int k = 0; k < N; k++)
        free(t->v[k]);
}

static void place(trial *t, size_t elem, bool at_end)
{
    for (int k = 0; k < SCRATCH; k++) {
        void *p = t->real[k] = fence_take(&fences[k], (size_t)t->n[k] * elem, at_end);
        for (int64_t i = 0; i < t->n[k]; i++)
            if (elem == 4)
                ((float *)p)[i] = (float)t->v[k][i];
            else
                ((double *)p)[i] = t->v[k][i];
        if ((k >= Y && k <= SEEN && k != KEPT) || k >= D)
            memset(p, 77, (size_t)t->n[k] * elem);
    }
}

/* ---- the formulas ------------------------------------------------------------------------------------------------ */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* x kernel and h recurrent, gate g of unit j, with the biases */
static double sum(const trial *t, int64_t b, int64_t step, const double *h, int g, int64_t j, bool of_x, bool of_h)
{
    const int64_t n = t->s->inputs, u = t->s->units, w = (t->gru ? 3 : 4) * u;
    double z = of_x ? t->v[BIAS][g * u + j] : 0;
    if (of_h && t->gru)
        z += t->v[BIAS][w + g * u + j];
    for (int64_t k = 0; k < n && of_x; k++)
        z += t->v[X][(b * t->s->steps + step) * n + k] * t->v[KERNEL][k * w + g * u + j];
    for (int64_t k = 0; k < u && of_h; k++)
        z += h[k] * t->v[RECURRENT][k * w + g * u + j];
    return z;
}

static void forward(trial *t)
{
    const int64_t n = t->s->inputs, u = t->s->units, steps = t->s->steps;
    for (int64_t b = 0; b < t->s->rows; b++)
        for (int64_t step = 0; step < steps; step++) {
            const int64_t at = b * steps + step;
            double *seen = t->v[SEEN] + at * (n + u + 1), *kept = t->v[KEPT] + at * 5 * u, *h = t->v[Y] + at * u;
            const double *before = step ? h - u : t->v[H0] + b * u;
            memcpy(seen, t->v[X] + at * n, (size_t)n * sizeof *seen);
            memcpy(seen + n, before, (size_t)u * sizeof *seen);
            seen[n + u] = 1;
            for (int64_t j = 0; j < u; j++) {
                double k[5];
                if (t->gru) {
                    k[0] = sigmoid(sum(t, b, step, before, 0, j, true, true));
                    k[1] = sigmoid(sum(t, b, step, before, 1, j, true, true));
                    k[3] = sum(t, b, step, before, 2, j, false, true);
                    k[2] = tanh(sum(t, b, step, before, 2, j, true, false) + k[1] * k[3]);
                    k[4] = before[j];
                    h[j] = k[0] * before[j] + (1 - k[0]) * k[2];
                } else {
                    for (int g = 0; g < 4; g++)
                        k[g] = sum(t, b, step, before, g, j, true, true);
                    k[0] = sigmoid(k[0]), k[1] = sigmoid(k[1]), k[2] = tanh(k[2]), k[3] = sigmoid(k[3]);
                    double *c = t->v[C] + b * u + j;
                    k[4] = step ? *c : t->v[C0][b * u + j];
                    *c = k[1] * k[4] + k[0] * k[2];
                    h[j] = k[3] * tanh(*c);
                }
                for (int i = 0; i < 5; i++)
                    kept[i * u + j] = k[i];
                t->v[H][b * u + j] = h[j];
            }
        }
}

static void back(trial *t, bool with_dy)
{
    const int64_t u = t->s->units, steps = t->s->steps, w = (t->gru ? 3 : 4) * u;
    memcpy(t->v[DH0], t->v[DH], (size_t)t->n[DH] * sizeof(double));
    memcpy(t->v[DC0], t->v[DC], (size_t)t->n[DC] * sizeof(double));
    for (int64_t b = 0; b < t->s->rows; b++)
        for (int64_t step = steps - 1; step >= 0; step--) {
            const double *kept = t->v[KEPT] + (b * steps + step) * 5 * u;
            double *d = t->v[D] + (b * steps + step) * 4 * u, *dh = t->v[DH0] + b * u, *dc = t->v[DC0] + b * u;
            for (int64_t j = 0; j < u; j++) {
                double k[5];
                for (int i = 0; i < 5; i++)
                    k[i] = kept[i * u + j];
                const double a = dh[j] + (with_dy ? t->v[DY][(b * steps + step) * u + j] : 0);
                if (t->gru) {
                    d[j] = a * (1 - k[0]) * (1 - k[2] * k[2]);
                    d[u + j] = a * (k[4] - k[2]) * k[0] * (1 - k[0]);
                    d[2 * u + j] = d[j] * k[3] * k[1] * (1 - k[1]);
                    d[3 * u + j] = d[j] * k[1];
                    dh[j] = a * k[0];
                } else {
                    const double th = tanh(k[1] * k[4] + k[0] * k[2]), e = dc[j] + a * k[3] * (1 - th * th);
                    d[j] = e * k[2] * k[0] * (1 - k[0]);
                    d[u + j] = e * k[4] * k[1] * (1 - k[1]);
                    d[2 * u + j] = e * k[0] * (1 - k[2] * k[2]);
                    d[3 * u + j] = a * th * k[3] * (1 - k[3]);
                    dc[j] = e * k[1];
                    dh[j] = 0;
                }
            }
            for (int64_t j = 0; j < u; j++)
                for (int64_t k = 0; k < w; k++)
                    dh[j] += d[k + 4 * u - w] * t->v[RECURRENT][j * w + k];
        }
}

/* ---- held against each other ------------------------------------------------------------------------------------- */

static void compare(const trial *t, const build *b, int what, const char *name)
{
    const double tolerance = b->elem == 4 ? 4e-5 : 1e-12;
    for (int64_t i = 0; i < t->n[what]; i++) {
        const double got = b->elem == 4 ? (double)((float *)t->real[what])[i] : ((double *)t->real[what])[i];
        if (!GR_EXPECT(fabs(got - t->v[what][i]) <= tolerance * fmax(1, fabs(t->v[what][i])),
                "%s, %s, %s, %zu bytes: %s[%lld] is %.9g, expected %.9g", t->s->why, t->gru ? "gru" : "lstm",
                gr__isa_name(b->isa), b->elem, name, (long long)i, got, t->v[what][i]))
            return;
    }
}

static void try_forward(trial *t, const build *b, bool all)
{
    gr__recurrent r = {.gru = t->gru, .rows = t->s->rows, .steps = t->s->steps, .inputs = t->s->inputs,
        .units = t->s->units, .x = t->real[X], .kernel = t->real[KERNEL], .recurrent = t->real[RECURRENT],
        .bias = t->real[BIAS], .h0 = t->real[H0]};
    if (!t->gru)
        r.c0 = t->real[C0], r.c = t->real[C];
    r.h = t->real[H];
    if (all)
        r.y = t->real[Y], r.kept = t->real[KEPT], r.seen = t->real[SEEN];
    r.scratch = fence_take(&fences[SCRATCH], (b->scratch(&r) + 63) & ~(size_t)63, true);
    b->forward(&r);
    compare(t, b, H, "h");
    if (!t->gru)
        compare(t, b, C, "c");
    if (all) {
        compare(t, b, Y, "y");
        compare(t, b, KEPT, "kept");
        compare(t, b, SEEN, "seen");
    }
}

static void try_back(trial *t, const build *b, bool all)
{
    gr__recurrent_back r = {.gru = t->gru, .rows = t->s->rows, .steps = t->s->steps, .units = t->s->units,
        .recurrent = t->real[RECURRENT], .kept = t->real[KEPT], .dy = all ? t->real[DY] : NULL, .dh = t->real[DH],
        .dc = t->gru ? NULL : t->real[DC], .d = t->real[D], .dh0 = all ? t->real[DH0] : NULL,
        .dc0 = all && !t->gru ? t->real[DC0] : NULL};
    r.scratch = fence_take(&fences[SCRATCH], (b->back_scratch(&r) + 63) & ~(size_t)63, true);
    b->back(&r);
    compare(t, b, D, "d");
    if (all)
        compare(t, b, DH0, "dh0");
    if (all && !t->gru)
        compare(t, b, DC0, "dc0");
}

static void every_build(bool gru, bool is_back)
{
    for (int k = 0; k < N; k++)
        fences[k] = fence_new(1 << 19);
    for (size_t s = 0; s < sizeof rows / sizeof *rows; s++)
        for (int way = 0; way < 4; way++) {
            const bool all = way & 1, at_end = way & 2;
            trial t = {.s = &rows[s], .gru = gru};
            begin(&t);
            forward(&t);
            back(&t, all);
            for (int i = 0; i < N_BUILDS; i++) {
                if (!gr__cpu_has(builds[i].isa))
                    continue;
                place(&t, builds[i].elem, at_end);
                (is_back ? try_back : try_forward)(&t, &builds[i], all);
            }
            end(&t);
        }
    for (int k = 0; k < N; k++)
        fence_free(&fences[k]);
}

static void an_lstm_does_what_its_formulas_say(void)
{
    every_build(false, false);
}
static void a_gru_does_what_its_formulas_say(void)
{
    every_build(true, false);
}
static void an_lstm_goes_back_through_its_formulas(void)
{
    every_build(false, true);
}
static void a_gru_goes_back_through_its_formulas(void)
{
    every_build(true, true);
}

GR_SUITE("recurrent kernels", GR_TEST(an_lstm_does_what_its_formulas_say), GR_TEST(a_gru_does_what_its_formulas_say),
    GR_TEST(an_lstm_goes_back_through_its_formulas), GR_TEST(a_gru_goes_back_through_its_formulas))
