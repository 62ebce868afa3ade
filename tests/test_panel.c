/* Sums of panels and pairs of elementwise ops, for every instruction set, against plain loops. */
#include "ops/kernels/panel.h"
#include "core/cpu.h"
#include "ops/kernels/pair_impl.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    gr_isa isa;
    void (*rows)(const gr__panel *p);
    void (*cols)(const gr__panel *p);
    void (*u8)(const gr__rows *s, const uint8_t *x, float *y);
    void (*to_bool)(const gr__rows *s, const float *x, uint8_t *y);
} build;
static const build builds[] = {
    {GR_ISA_BASE, gr__panel_rows_base, gr__panel_cols_base, gr__load_u8_base, gr__store_bool_base},
#ifdef __x86_64__
    {GR_ISA_AVX2, gr__panel_rows_avx2, gr__panel_cols_avx2, gr__load_u8_avx2, gr__store_bool_avx2},
    {GR_ISA_AVX512, gr__panel_rows_avx512, gr__panel_cols_avx512, gr__load_u8_avx512, gr__store_bool_avx512},
#endif
};
enum { BUILDS = sizeof builds / sizeof *builds, MOST = 200 };

static double combined(gr_reduce_kind k, double a, double b)
{
    return k == GR_REDUCE_SUM ? a + b : k == GR_REDUCE_PROD ? a * b : k == GR_REDUCE_MAX ? fmax(a, b) : fmin(a, b);
}

static const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 130};
enum { SIZES = sizeof sizes / sizeof *sizes };

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-5 * (fabs(b) + 1);
}

static void check_panel(const build *b, gr_reduce_kind kind, int64_t rows, int64_t cols, const float *x, int64_t row)
{
    float down[MOST + 1], along[MOST + 1];
    down[cols] = along[rows] = 77; /* must stay */
    gr__panel p = {kind, rows, cols, x, row, .y = down};
    b->rows(&p);
    p.y = along;
    b->cols(&p);
    bool good = down[cols] == 77 && along[rows] == 77;
    for (int64_t c = 0; c < cols; c++) {
        double want = x[c];
        for (int64_t r = 1; r < rows; r++)
            want = combined(kind, want, x[r * row + c]);
        good = good && near(down[c], want);
    }
    for (int64_t r = 0; r < rows; r++) {
        double want = x[r * row];
        for (int64_t c = 1; c < cols; c++)
            want = combined(kind, want, x[r * row + c]);
        good = good && near(along[r], want);
    }
    GR_EXPECT(good, "%s, kind %d, %d x %d", gr__isa_name(b->isa), (int)kind, (int)rows, (int)cols);
}

static void panels_are_what_plain_loops_give(void)
{
    static float x[MOST * MOST];
    for (int i = 0; i < MOST * MOST; i++)
        x[i] = 0.9f + 0.2f * (float)rand() / (float)RAND_MAX;
    for (int b = 0; b < BUILDS; b++)
        for (int r = 0; gr__cpu_has(builds[b].isa) && r < SIZES; r++)
            for (int c = 0; c < SIZES; c++)
                for (int k = GR_REDUCE_SUM; k <= GR_REDUCE_PROD; k++)
                    check_panel(&builds[b], (gr_reduce_kind)k, sizes[r], sizes[c], x, r % 2 ? MOST : sizes[c]);
}

/* Fused multiply-adds play no part in sums, so every width gives the same bits. */
static void every_instruction_set_gives_the_same_sums(void)
{
    float x[130 * 33], first[3][MOST], y[MOST];
    for (int i = 0; i < 130 * 33; i++)
        x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    int seen = 0;
    for (int b = 0; b < BUILDS; b++) {
        if (!gr__cpu_has(builds[b].isa))
            continue;
        gr__panel p = {GR_REDUCE_SUM, 130, 33, x, 33, .y = y};
        builds[b].rows(&p);
        if (seen++ == 0)
            memcpy(first[0], y, sizeof y);
        CU_ASSERT_EQUAL(memcmp(first[0], y, 33 * sizeof *y), 0);
        builds[b].cols(&p);
        if (seen == 1)
            memcpy(first[1], y, sizeof y);
        CU_ASSERT_EQUAL(memcmp(first[1], y, 130 * sizeof *y), 0);
    }
    float all;
    gr__panel p = {GR_REDUCE_SUM, 130, 33, x, 33, .y = &all};
    double want = 0;
    for (int i = 0; i < 130 * 33; i++)
        want += x[i];
    gr__panel_all(&p, false);
    CU_ASSERT(near(all, want));
    p = (gr__panel){GR_REDUCE_SUM, 130, 30, x, 33, .y = &all};
    want = 0;
    for (int r = 0; r < 130; r++)
        for (int c = 0; c < 30; c++)
            want += x[r * 33 + c];
    gr__panel_all(&p, false);
    CU_ASSERT(near(all, want));
}

/* As if the products had been a panel of their own, of which this may have rows apart. */
static void sums_of_products_have_the_bits_of_two_passes(void)
{
    static float x[MOST * MOST], z[MOST * MOST], product[MOST * MOST], one[MOST], two[MOST];
    for (int i = 0; i < MOST * MOST; i++)
        x[i] = (float)rand() / (float)RAND_MAX - 0.5f, z[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int b = 0; b < BUILDS; b++)
        for (int i = 0; gr__cpu_has(builds[b].isa) && i < SIZES * SIZES; i++) {
            const int64_t rows = sizes[i / SIZES], cols = sizes[i % SIZES];
            for (int64_t k = 0; k < rows * cols; k++)
                product[k] = x[k / cols * MOST + k % cols] * z[k / cols * (i % 3 ? cols : 0) + k % cols];
            gr__panel p = {GR_REDUCE_SUM, rows, cols, product, cols, .y = two};
            gr__panel q = {GR_REDUCE_SUM, rows, cols, x, MOST, .y = one, .times = z, .times_row = i % 3 ? cols : 0};
            builds[b].rows(&p);
            builds[b].rows(&q);
            bool same = memcmp(one, two, (size_t)cols * sizeof *one) == 0;
            builds[b].cols(&p);
            builds[b].cols(&q);
            same = same && memcmp(one, two, (size_t)rows * sizeof *one) == 0;
            GR_EXPECT(same, "%s, %d x %d", gr__isa_name(builds[b].isa), (int)rows, (int)cols);
        }
    for (int gap = 0; gap < 3; gap++) { /* of all: in one run, or row by row if either has gaps */
        gr__panel p = {GR_REDUCE_SUM, 130, 33, product, gap ? 34 : 33, .y = &two};
        gr__panel q = {GR_REDUCE_SUM, 130, 33, x, gap & 1 ? 34 : 33, .y = &one, .times = z};
        q.times_row = gap & 2 ? 34 : 33;
        for (int64_t r = 0; r < 130; r++)
            for (int64_t c = 0; c < 33; c++)
                product[r * p.row + c] = x[r * q.row + c] * z[r * q.times_row + c];
        gr__panel_all(&p, false);
        gr__panel_all(&q, false);
        CU_ASSERT_EQUAL(one[0], two[0]);
    }
}

static void a_nan_wins_in_max_and_min(void)
{
    for (int b = 0; b < BUILDS; b++)
        for (int at = 0; gr__cpu_has(builds[b].isa) && at < 40; at += 13)
            for (int k = GR_REDUCE_MAX; k <= GR_REDUCE_MIN; k++) {
                float x[40] = {0}, y[40];
                x[at] = NAN;
                gr__panel p = {(gr_reduce_kind)k, 40, 1, x, 1, .y = y};
                builds[b].rows(&p);
                CU_ASSERT(isnan(y[0]));
                p = (gr__panel){(gr_reduce_kind)k, 1, 40, x, 40, .y = y};
                builds[b].cols(&p);
                CU_ASSERT(isnan(y[0]));
            }
}

static void loads_convert(void)
{
    enum { N = 83 }; /* 2 * 32 + 2 * 8 + 3 */
    const int64_t i64[] = {-5, 7, 1 << 20}; /* exact in a float */
    uint8_t u8[N];
    float y[N + 1];
    for (int i = 0; i < N; i++)
        u8[i] = i == 2 ? 200 : (uint8_t)(i % 7 == 0 ? 0 : 255 - i);
    for (int b = 0; b < BUILDS; b++) {
        if (!gr__cpu_has(builds[b].isa))
            continue;
        y[N] = 77;
        builds[b].u8(&(gr__rows){1, N, 0, 0}, u8, y);
        for (int i = 0; i < N; i++)
            CU_ASSERT_EQUAL(y[i], u8[i]);
        CU_ASSERT_EQUAL(y[N], 77);
        y[3] = NAN, y[5] = -0.0f, y[6] = 1e-40f, y[8] = -INFINITY;
        uint8_t truth[N + 1] = {[N] = 77};
        builds[b].to_bool(&(gr__rows){1, N, 0, 0}, y, truth);
        for (int i = 0; i < N; i++)
            CU_ASSERT_EQUAL(truth[i], i % 7 != 0 && i != 5);
        CU_ASSERT_EQUAL(truth[N], 77);
    }
    gr__load(GR_I64, i64, 1, 3, y, false);
    CU_ASSERT(y[0] == -5 && y[1] == 7 && y[2] == 1 << 20);
    gr__load(GR_U8, u8, 2, 3, y, false);
    CU_ASSERT(y[0] == 0 && y[1] == 200 && y[2] == u8[4]);
    uint8_t out[3];
    gr__store_rows(&(gr__rows){1, 3, 0, 0}, (float[]){0, 1, -0.0f}, GR_BOOL, out, false);
    CU_ASSERT(out[0] == 0 && out[1] == 1 && out[2] == 0);
}

/* Rows with gaps and without, of every type a program keeps in memory, and back; gaps stay as they were. */
static void rows_are_loaded_and_stored(void)
{
    enum { ROWS = 3, COLS = 37, GAP = 5 };
    static const gr_dtype types[] = {GR_BOOL, GR_F32, GR_F64};
    for (int k = 0; k < 12; k++) {
        const gr_dtype type = types[k % 3];
        const bool f64 = k / 3 % 2;
        const int64_t wide = k < 6 ? COLS : COLS + GAP, size = gr_dtype_size(type), elem = f64 ? 8 : 4;
        double x[ROWS * (COLS + GAP)], kept[ROWS * (COLS + GAP)], back[ROWS * (COLS + GAP)];
        memset(kept, 0x5a, sizeof kept);
        memset(back, 0x5a, sizeof back);
        for (int64_t i = 0; i < ROWS * COLS; i++)
            if (f64)
                x[i] = (double)(i % 7 - 3);
            else
                ((float *)x)[i] = (float)(i % 7 - 3);
        gr__store_rows(&(gr__rows){ROWS, COLS, COLS, wide}, x, type, kept, f64);
        gr__load_rows(&(gr__rows){ROWS, COLS, wide, wide}, type, kept, back, f64);
        bool good = true;
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t c = 0; c < wide; c++) {
                const double put = (double)((r * COLS + c) % 7 - 3), want = type == GR_BOOL ? put != 0 : put;
                const unsigned char *gap = (unsigned char *)back + (r * wide + c) * elem;
                const double got = f64 ? back[r * wide + c] : ((float *)back)[r * wide + c];
                if (c >= COLS)
                    good = good && gap[0] == 0x5a && ((unsigned char *)kept)[(r * wide + c) * size] == 0x5a;
                else
                    good = good && got == want;
            }
        GR_EXPECT(good, "type %d, %s, rows of %d", (int)type, f64 ? "double" : "float", (int)wide);
    }
}

/* A pair's bits are those of its two kernels, one after the other. */
static void a_pair_gives_the_bits_of_two_passes(void)
{
    static const int ops[] = {GR__TILE_add, GR__TILE_sub, GR__TILE_mul, GR__TILE_div, GR__TILE_square, GR__TILE_sqrt,
        GR__TILE_neg, GR__TILE_relu, GR__TILE_exp};
    static const int arity[] = {2, 2, 2, 2, 1, 1, 1, 1, 1};
    float x[3][77], t[77], two[77], one[77];
    int kernels = 0;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 77; i++)
            x[k][i] = (float)rand() / (float)RAND_MAX * 4 - 1;
    for (int i = 0; i < 9; i++)
        for (int o = 0; o < 9; o++)
            for (int at = 0; at < arity[o]; at++) {
                gr_tile_fn pair = gr__tile_pair(gr__tile_f32(ops[i]), gr__tile_f32(ops[o]), at);
                if (!GR_EXPECT(pair != NULL, "no kernel of %d in %d", i, o))
                    continue;
                gr_tile_arg a = {x[0], 77, 1}, b = {x[1], 77, 1}, c = {arity[i] == 2 ? x[2] : x[1], 77, 1},
                            r = {t, 77, 1};
                gr_tile inner = {1, 77, r, {a, b}, NULL}, outer = {1, 77, {two, 77, 1}, {at ? c : r, at ? r : c}, NULL};
                gr_tile both = {1, 77, {one, 77, 1}, {a, arity[i] == 2 ? b : c, c}, NULL};
                gr__tile_f32(ops[i])(&inner);
                gr__tile_f32(ops[o])(&outer);
                pair(&both);
                bool same = true;
                for (int q = 0; q < 77; q++)
                    same = same && (memcmp(&one[q], &two[q], 4) == 0 || (isnan(one[q]) && isnan(two[q])));
                GR_EXPECT(same, "ops %d in %d as operand %d", i, o, at);
                kernels++;
            }
    CU_ASSERT_EQUAL(kernels, 9 * 13);
    gr_tile_fn masked = gr__tile_masked(gr__tile_f32(GR__TILE_greater), gr__tile_f32(GR__TILE_where));
    CU_ASSERT_PTR_NOT_NULL_FATAL(masked);
    x[0][5] = NAN, x[0][6] = 0;
    gr_tile where = {1, 77, {one, 77, 1}, {{x[0], 77, 1}, {(float[]){0}, 0, 0}, {x[2], 77, 1}}, NULL};
    masked(&where);
    for (int q = 0; q < 77; q++)
        CU_ASSERT_EQUAL(one[q], x[0][q] > 0 ? x[2][q] : 0);
    x[0][5] = 1;
    gr_tile_fn lerp = gr__tile_lerp(
        gr__tile_pair(gr__tile_f32(GR__TILE_sub), gr__tile_f32(GR__TILE_mul), 0), gr__tile_f32(GR__TILE_add));
    CU_ASSERT_PTR_NOT_NULL_FATAL(lerp);
    gr_tile l = {1, 77, {one, 77, 1}, {{x[0], 77, 1}, {x[1], 77, 1}, {x[2], 0, 0}}, NULL};
    lerp(&l);
    for (int q = 0; q < 77; q++) {
        float d = x[0][q] - x[1][q], m = d * x[2][0];
        CU_ASSERT_EQUAL(one[q], x[1][q] + m);
    }
}

/* Up to five operands: as the tile machine hands them over, those past the third behind attr. */
static void run_many(gr_tile_fn f, int n, const gr_tile_arg *x, float *y, int64_t rows, int64_t cols)
{
    gr_tile t = {rows, cols, {y, cols, 1}, {{0}}, NULL};
    for (int k = 0; k < n && k < GR_TILE_INPUTS; k++)
        t.x[k] = x[k];
    if (n > GR_TILE_INPUTS)
        t.attr = x + GR_TILE_INPUTS;
    f(&t);
}

static gr_tile_fn pair_of(int inner, int outer, int at)
{
    return gr__tile_pair(gr__tile_f32(inner), gr__tile_f32(outer), at);
}

/* Moments and step of an adaptive optimizer: the bits of single operations, in rows of 77 and of 13 with numbers and
 * columns among the operands. */
static void longer_kernels_give_the_bits_of_single_passes(void)
{
    enum { N = 77 };
    static float a[2 * N], b[2 * N], v[2 * N], w[2 * N], y[2 * N + 1];
    const float s = 0.75f, c = 0.1f, e = 1e-3f, column[] = {0.3f, 0.7f};
    for (int i = 0; i < 2 * N; i++)
        a[i] = (float)rand() / (float)RAND_MAX - 0.5f, b[i] = (float)rand() / (float)RAND_MAX - 0.5f,
        v[i] = (float)rand() / (float)RAND_MAX, w[i] = (float)rand() / (float)RAND_MAX;
    gr_tile_fn mul = gr__tile_f32(GR__TILE_mul), lerp = gr__tile_lerp(pair_of(GR__TILE_sub, GR__TILE_mul, 0),
                                                     gr__tile_f32(GR__TILE_add));
    gr_tile_fn square_lerp =
        gr__tile_square_lerp(pair_of(GR__TILE_square, GR__TILE_sub, 0), pair_of(GR__TILE_mul, GR__TILE_add, 0));
    gr_tile_fn ratio = gr__tile_longer(
        pair_of(GR__TILE_sqrt, GR__TILE_add, 0), pair_of(GR__TILE_mul, GR__TILE_div, 0), 2);
    gr_tile_fn kernel[] = {gr__tile_longer(mul, lerp, 0), square_lerp, gr__tile_longer(mul, square_lerp, 0), ratio,
        gr__tile_longer(ratio, gr__tile_f32(GR__TILE_sub), 1)};
    CU_ASSERT_PTR_EQUAL(kernel[2], gr__tile_longer(pair_of(GR__TILE_mul, GR__TILE_square, 0), lerp, 0));
    CU_ASSERT_PTR_NULL(gr__tile_longer(mul, lerp, 1));
    CU_ASSERT(gr__tile_twice(mul, kernel[0]) && !gr__tile_twice(mul, lerp));
    const int arity[] = {4, 3, 4, 4, 5};
    for (int q = 0; q < 5; q++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(kernel[q]);
        for (int64_t cols = 13; cols <= N; cols += N - 13) {
#define ROWS(p)   {p, cols, 1}
#define NUMBER(p) {(void *)(uintptr_t)(p), 0, 0}
            const gr_tile_arg x[5][5] = {{ROWS(a), NUMBER(&s), ROWS(b), {(void *)(uintptr_t)column, 1, 0}},
                {ROWS(a), ROWS(b), NUMBER(&c)}, {ROWS(a), NUMBER(&s), ROWS(b), NUMBER(&c)},
                {ROWS(v), NUMBER(&e), ROWS(b), {(void *)(uintptr_t)column, 1, 0}},
                {ROWS(v), NUMBER(&e), ROWS(b), NUMBER(&c), ROWS(w)}};
            y[2 * cols] = 99;
            run_many(kernel[q], arity[q], x[q], y, 2, cols);
            CU_ASSERT_EQUAL(y[2 * cols], 99);
            for (int i = 0; i < 2 * cols; i++) {
                float k = column[i / cols], g = a[i] * s, g2 = g * g, a2 = a[i] * a[i], root = sqrtf(v[i]) + e;
                float d = g - b[i], d1 = a2 - b[i], d2 = g2 - b[i], num = b[i] * k, step = b[i] * c;
                d *= k, d1 *= c, d2 *= c, num /= root, step /= root;
                const float want[] = {b[i] + d, b[i] + d1, b[i] + d2, num, w[i] - step};
                GR_EXPECT(memcmp(&want[q], &y[i], 4) == 0, "kernel %d: y[%d] is %.9g, want %.9g", q, i, (double)y[i],
                    (double)want[q]);
            }
        }
    }
}

/* What batch norm and its gradient make of rows of channels; rows that vectors fill go down, others along. */
static void kernels_of_batch_norm_give_the_bits_of_single_passes(void)
{
    enum { ROWS_OF = 10, MOST_COLS = 72, N = ROWS_OF * MOST_COLS };
    static float a[N], b[N], x[N], y[N + 1], s[MOST_COLS], t[MOST_COLS], c[MOST_COLS];
    const float limit = 0.125f;
    float *const all[] = {a, b, x, s, t, c};
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < (k < 3 ? N : MOST_COLS); i++)
            all[k][i] = (float)rand() / (float)RAND_MAX - 0.5f;
    gr_tile_fn scale_shift = pair_of(GR__TILE_mul, GR__TILE_add, 0);
    gr_tile_fn masked = gr__tile_masked(gr__tile_f32(GR__TILE_greater), gr__tile_f32(GR__TILE_where));
    gr_tile_fn kernel[] = {gr__tile_longer(scale_shift, gr__tile_f32(GR__TILE_relu), 0),
        gr__tile_longer(scale_shift, scale_shift, 2), gr__tile_longer(gr__tile_f32(GR__TILE_add), masked, 2)};
    CU_ASSERT_PTR_NULL(gr__tile_longer(scale_shift, scale_shift, 0));
    CU_ASSERT_PTR_NULL(gr__tile_longer(gr__tile_f32(GR__TILE_add), masked, 0));
    const int arity[] = {3, 5, 4};
    for (int q = 0; q < 3; q++)
        for (int64_t cols = 8; cols <= MOST_COLS; cols += cols == 8 ? 5 : cols == 13 ? 3 : 8) {
#define COLS(p) {p, 0, 1}
            const gr_tile_arg in[3][5] = {{ROWS(a), COLS(s), COLS(c)}, {ROWS(a), COLS(s), COLS(c), ROWS(b), COLS(t)},
                {ROWS(a), ROWS(b), ROWS(x), NUMBER(&limit)}};
            CU_ASSERT_PTR_NOT_NULL_FATAL(kernel[q]);
            y[ROWS_OF * cols] = 99;
            run_many(kernel[q], arity[q], in[q], y, ROWS_OF, cols);
            CU_ASSERT_EQUAL(y[ROWS_OF * cols], 99);
            for (int64_t i = 0; i < ROWS_OF * cols; i++) {
                float scaled = a[i] * s[i % cols], other = b[i] * t[i % cols], sum = a[i] + b[i];
                scaled += c[i % cols];
                other += scaled;
                const float want[] = {scaled > 0 ? scaled : 0, other, x[i] > limit ? sum : limit};
                GR_EXPECT(want[q] == y[i], "kernel %d, %d columns: y[%d] is %.9g, want %.9g", q, (int)cols, (int)i,
                    (double)y[i], (double)want[q]);
            }
        }
}

/* A sum and its gelu, a gelu and a product with its slope: short rows, long ones, tails, and a row for all rows. */
static void two_results_have_the_bits_of_single_passes(void)
{
    enum { ROWS_N = 3, WIDEST = 301 };
    static float a[ROWS_N * WIDEST], b[ROWS_N * WIDEST], want[3][ROWS_N * WIDEST], got[2][ROWS_N * WIDEST + 1];
    const gr_tile_fn add = gr__tile_f32(GR__TILE_add), mul = gr__tile_f32(GR__TILE_mul);
    const gr_tile_fn gelu = gr__tile_f32(GR__TILE_gelu_tanh), slope = gr__tile_f32(GR__TILE_gelu_tanh_slope);
    const gr_tile_fn kernel[] = {gr__tile_sum_gelu(add, gelu), gr__tile_gelu_slope(gelu, slope, mul)};
    CU_ASSERT_PTR_NULL(gr__tile_sum_gelu(mul, gelu));
    CU_ASSERT_PTR_NULL(gr__tile_gelu_slope(gelu, gelu, mul));
    if (!kernel[0]) {
        gr_test_skip("this instruction set has no kernels of two results");
        return;
    }
    for (int i = 0; i < ROWS_N * WIDEST; i++) {
        const float far = (i % 2 ? 1.0f : -1.0f) * powf(2, (float)(i % 300) - 150);
        a[i] = i % 29 ? 14 * ((float)rand() / (float)RAND_MAX - 0.5f) : far;
        b[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
    const int64_t widths[] = {1, 8, 13, 128, 200, WIDEST};
    for (int q = 0; q < 12; q++) {
        const int64_t cols = widths[q / 2], n = ROWS_N * cols;
        const bool slopes = q % 2;
        const gr_tile_arg x = {a, cols, 1}, other = {b, slopes ? cols : 0, 1};
        const gr_tile_arg first = {want[0], cols, 1}, second = {want[1], cols, 1}, third = {want[2], cols, 1};
        if (slopes) {
            gelu(&(gr_tile){ROWS_N, cols, second, {x}, NULL});
            slope(&(gr_tile){ROWS_N, cols, third, {x}, NULL});
            mul(&(gr_tile){ROWS_N, cols, first, {other, third}, NULL});
        } else {
            add(&(gr_tile){ROWS_N, cols, second, {x, other}, NULL});
            gelu(&(gr_tile){ROWS_N, cols, first, {second}, NULL});
        }
        got[0][n] = got[1][n] = 99;
        kernel[slopes](&(gr_tile){ROWS_N, cols, {got[0], cols, 1}, {x, other, {got[1], cols, 1}}, NULL});
        for (int k = 0; k < 2; k++) {
            CU_ASSERT_EQUAL(got[k][n], 99);
            for (int64_t i = 0; i < n; i++)
                GR_EXPECT(memcmp(&got[k][i], &want[k][i], 4) == 0,
                    "%s, %d columns: result %d of %.9g is %.9g, not %.9g",
                    slopes ? "slope" : "sum", (int)cols, k, (double)a[i], (double)got[k][i], (double)want[k][i]);
        }
    }
}

/* In rows of 13 and 77 with a gap behind each, or none. */
static void a_whole_update_has_the_bits_of_its_three_passes(void)
{
    enum { N = 80 };
    static float old[4][3 * N], one[4][3 * N], two[4][3 * N];
    const float b = 0.1f, c = 0.001f, r = 0.01f, e = 1e-7f, s = 0.75f;
    for (int i = 0; i < 4 * 3 * N; i++)
        old[i / (3 * N)][i % (3 * N)] = (float)rand() / (float)RAND_MAX;
    gr_tile_fn mul = gr__tile_f32(GR__TILE_mul), sub = gr__tile_f32(GR__TILE_sub), add = gr__tile_f32(GR__TILE_add);
    gr_tile_fn lerp = gr__tile_lerp(pair_of(GR__TILE_sub, GR__TILE_mul, 0), add);
    gr_tile_fn square_lerp =
        gr__tile_square_lerp(pair_of(GR__TILE_square, GR__TILE_sub, 0), pair_of(GR__TILE_mul, GR__TILE_add, 0));
    gr_tile_fn ratio = gr__tile_longer(
        pair_of(GR__TILE_sqrt, GR__TILE_add, 0), pair_of(GR__TILE_mul, GR__TILE_div, 0), 2);
    gr_tile_fn step = gr__tile_longer(ratio, sub, 1);
    gr_tile_fn m[] = {lerp, gr__tile_longer(mul, lerp, 0)}, v[] = {square_lerp, gr__tile_longer(mul, square_lerp, 0)};
    CU_ASSERT_PTR_NULL(gr__tile_update(m[0], v[1], step));
    CU_ASSERT_PTR_NULL(gr__tile_update(m[0], v[0], ratio));
    for (int i = 0; i < 12; i++) {
        const int scaled = i % 2;
        const int64_t cols = i / 2 % 3 == 0 ? 13 : 77, gap = i / 6 * 3;
        gr_tile_fn update = gr__tile_update(m[scaled], v[scaled], step);
        CU_ASSERT_PTR_NOT_NULL_FATAL(update);
        memcpy(one, old, sizeof old), memcpy(two, old, sizeof old);
#define AT(p) {p, cols + gap, 1}
        const gr_tile_arg mv[] = {AT(one[0]), AT(one[1])};
        const gr_tile_arg more[] = {NUMBER(&c), NUMBER(&r), NUMBER(&e), scaled ? (gr_tile_arg)NUMBER(&s) : mv[0],
            mv[scaled ? 0 : 1], mv[1]};
        gr_tile t = {3, cols, AT(one[2]), {AT(one[2]), AT(one[3]), NUMBER(&b)}, more};
        update(&t);
        for (int k = 0; k < 2; k++) { /* the moments */
            const gr_tile_arg x[] = {AT(two[3]), NUMBER(&s), AT(two[k]), NUMBER(k ? &c : &b)};
            gr_tile of = {3, cols, AT(two[k]), {x[0], x[scaled ? 1 : 2], x[scaled ? 2 : 3]}, x + 3};
            (k ? v : m)[scaled](&of);
        }
        const gr_tile_arg x[] = {AT(two[1]), NUMBER(&e), AT(two[0]), NUMBER(&r), AT(two[2])};
        t = (gr_tile){3, cols, AT(two[2]), {x[0], x[1], x[2]}, x + 3};
        step(&t);
        GR_EXPECT(memcmp(one, two, sizeof one) == 0, "%s, rows of %d and %d more", scaled ? "scaled" : "plain",
            (int)cols, (int)gap);
        CU_ASSERT(memcmp(one[0], old[0], sizeof *one) != 0 && memcmp(one[2], old[2], sizeof *one) != 0);
    }
}

GR_SUITE("ops/kernels/panel.c", GR_TEST(panels_are_what_plain_loops_give),
    GR_TEST(every_instruction_set_gives_the_same_sums), GR_TEST(sums_of_products_have_the_bits_of_two_passes),
    GR_TEST(a_nan_wins_in_max_and_min), GR_TEST(loads_convert), GR_TEST(rows_are_loaded_and_stored),
    GR_TEST(a_pair_gives_the_bits_of_two_passes), GR_TEST(longer_kernels_give_the_bits_of_single_passes),
    GR_TEST(kernels_of_batch_norm_give_the_bits_of_single_passes),
    GR_TEST(two_results_have_the_bits_of_single_passes),
    GR_TEST(a_whole_update_has_the_bits_of_its_three_passes))
