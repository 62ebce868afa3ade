/* The matrix product of every instruction set this CPU has, against sums in long double. Operands end or begin at pages
 * that cannot be touched. */
#include "core/cpu.h"
#include "ops/kernels/gemm.h"
#include "tests/fence.h"
#include "tests/harness.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- builds ------------------------------------------------------------------------------------------------------ */

typedef struct {
    gr_isa isa;
    size_t elem;
    void (*product)(const gr__gemm *g);
    size_t (*scratch)(const gr__gemm *g);
    int64_t (*block)(size_t elem);
    void (*pack_f32)(const gr__gemm *g, float *packed);
    void (*pack_f64)(const gr__gemm *g, double *packed);
} build;

#define BUILD(isa, ISA)                                                                                                \
    {GR_ISA_##ISA, 4, gr__gemm_f32_##isa, gr__gemm_scratch_f32_##isa, gr__gemm_block_##isa, gr__gemm_pack_f32_##isa,   \
        NULL},                                                                                                         \
    {                                                                                                                  \
        GR_ISA_##ISA, 8, gr__gemm_f64_##isa, gr__gemm_scratch_f64_##isa, gr__gemm_block_##isa, NULL,                   \
            gr__gemm_pack_f64_##isa                                                                                    \
    }
static const build builds[] = {
    BUILD(base, BASE),
#ifdef __x86_64__
    BUILD(avx2, AVX2),
    BUILD(avx512, AVX512),
#endif
};
enum { N_BUILDS = sizeof builds / sizeof *builds };

/* ---- one product against its definition -------------------------------------------------------------------------- */

enum { ROOM = 1 << 21 };
static fence fa, fb, fc, fs;

typedef enum { AS_IS, TURNED, SPREAD, BACKWARD } layout;
static const char *const layout_names[] = {"as is", "transposed", "spread", "backward"};

typedef struct {
    int64_t row, col, first, count; /* strides; index of element (0, 0); elements spanned */
} place;

/* rows x cols in one of the layouts, with `gap` unused elements between lines */
static place place_of(layout l, int64_t rows, int64_t cols, int64_t gap)
{
    int64_t ld = cols + gap;
    place p = {ld, 1, 0, rows > 0 && cols > 0 ? (rows - 1) * ld + cols : 0};
    if (l == TURNED)
        ld = rows + gap, p = (place){1, ld, 0, rows > 0 && cols > 0 ? (cols - 1) * ld + rows : 0};
    if (l == SPREAD)
        p = (place){2 * ld + 1, 2, 0, rows > 0 && cols > 0 ? (rows - 1) * (2 * ld + 1) + 2 * (cols - 1) + 1 : 0};
    if (l == BACKWARD && p.count)
        p.first = p.count - 1, p.row = -p.row, p.col = -p.col;
    return p;
}

static double value(const void *p, int64_t i, size_t elem)
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

static void fill(void *p, int64_t count, size_t elem, unsigned seed)
{
    uint32_t s = seed * 2654435761u + 12345;
    for (int64_t i = 0; i < count; i++) {
        s = s * 1664525u + 1013904223u;
        put(p, i, elem, ((double)(s >> 8) / (1 << 23) - 1));
    }
}

typedef struct {
    int64_t m, n, k;
    layout la, lb;
    int64_t gap;
    bool accumulate, at_end;
} shape;

/* Lays the operands out, runs it, compares; gives the greatest error as a multiple of what rounding may cause. */
static double worst_error(const build *u, const shape *s)
{
    const size_t e = u->elem;
    place pa = place_of(s->la, s->m, s->k, s->gap), pb = place_of(s->lb, s->k, s->n, s->gap);
    place pc = place_of(AS_IS, s->m, s->n, s->gap);
    void *a = fence_take(&fa, (size_t)pa.count * e, s->at_end), *b = fence_take(&fb, (size_t)pb.count * e, s->at_end);
    void *c = fence_take(&fc, (size_t)pc.count * e, s->at_end);
    fill(a, pa.count, e, 1), fill(b, pb.count, e, 2), fill(c, pc.count, e, 3);
    gr__gemm g = {s->m, s->n, s->k, (char *)a + (size_t)pa.first * e, pa.row, pa.col, (char *)b + (size_t)pb.first * e,
        pb.row, pb.col, 0, c, pc.row, s->accumulate, NULL};
    gr__gemm elsewhere = g; /* a program asks before it knows where the tile will lie */
    elsewhere.c_row = 1;
    size_t need = u->scratch(&elsewhere), rounded = (need + 63) / 64 * 64;
    g.scratch = need ? fence_take(&fs, rounded, true) : NULL;
    static double before[ROOM / 8];
    for (int64_t i = 0; i < pc.count; i++)
        before[i] = value(c, i, e);
    u->product(&g);
    double worst = 0, unit = e == 4 ? 0x1p-24 : 0x1p-53;
    for (int64_t at = 0; at < pc.count; at++) {
        int64_t i = at / pc.row, j = at % pc.row;
        double got = value(c, at, e);
        if (j >= s->n) { /* between the rows: nothing may have changed */
            if (memcmp(&got, &before[at], sizeof got))
                return INFINITY;
            continue;
        }
        long double want = s->accumulate ? before[at] : 0, size = fabsl(want);
        for (int64_t p = 0; p < s->k; p++) {
            long double x = value(a, pa.first + i * pa.row + p * pa.col, e) *
                            (long double)value(b, pb.first + p * pb.row + j * pb.col, e);
            want += x, size += fabsl(x);
        }
        double allowed = (double)size * unit * (double)(s->k + 2), error = fabs(got - (double)want);
        if (!(error <= allowed) && !(error == 0))
            return isfinite(error / allowed) ? error / allowed : INFINITY;
        worst = error > worst * allowed ? error / allowed : worst;
    }
    return worst;
}

static void open_fences(void)
{
    fa = fence_new(ROOM), fb = fence_new(ROOM), fc = fence_new(ROOM), fs = fence_new(1 << 20);
}

static void close_fences(void)
{
    fence_free(&fa), fence_free(&fb), fence_free(&fc), fence_free(&fs);
}

static bool expect_right(const build *u, const shape *s, const char *why)
{
    double worst = worst_error(u, s);
    return GR_EXPECT(worst <= 1, "%s: %s f%d %ldx%ldx%ld, A %s, B %s, gap %ld%s: %.3g times the bound", why,
        gr__isa_name(u->isa), (int)u->elem * 8, (long)s->m, (long)s->n, (long)s->k, layout_names[s->la],
        layout_names[s->lb], (long)s->gap, s->accumulate ? ", accumulating" : "", worst);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Every size of tile, every tail: m over two blocks of rows, n over four vectors and more. */
static void every_tile_and_tail_is_right(void)
{
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (int64_t m = 1; gr__cpu_has(builds[u].isa) && m <= 31; m++)
            for (int64_t n = 1; n <= 70; n++) {
                shape s = {m, n, 5, AS_IS, AS_IS, (m + n) % 3, (m ^ n) & 1, (m + n / 2) & 1};
                if (!expect_right(&builds[u], &s, "tail"))
                    goto done;
            }
done:
    close_fences();
}

static void wide_tiles_of_few_rows_are_right(void)
{
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (int64_t m = 1; gr__cpu_has(builds[u].isa) && m <= 7; m++)
            for (int64_t n = 71; n <= 300; n += m + 2) {
                shape s = {m, n, 3, (layout)(n % 4), AS_IS, 0, n & 1, n >> 1 & 1};
                if (!expect_right(&builds[u], &s, "few rows"))
                    goto done;
            }
done:
    close_fences();
}

static void every_layout_is_right(void)
{
    static const struct {
        const char *why;
        int64_t m, n, k;
    } rows[] = {
        {"one element", 1, 1, 1},
        {"row times matrix", 1, 37, 29},
        {"matrix times column", 37, 1, 29},
        {"row times column", 1, 1, 100},
        {"column times row", 40, 33, 1},
        {"two columns", 45, 2, 50},
        {"three columns", 31, 3, 16},
        {"four columns", 67, 4, 17},
        {"ten classes", 33, 10, 64},
        {"ten classes back", 33, 64, 10},
        {"a vector of columns", 20, 16, 40},
        {"vectors and one", 17, 33, 33},
        {"vectors less one", 15, 31, 31},
        {"k past one cut", 9, 20, 520},
        {"k of two cuts", 3, 18, 1024},
        {"k of one long cut", 40, 50, 400},
        {"k one longer", 40, 50, 401},
        {"rows that collide in the cache", 20, 40, 1024},
        {"columns that collide in the cache", 100, 1024, 20},
        {"tiles that copy both operands", 40, 50, 30},
        {"a copied in turns", 163, 33, 250},
        {"a copied in turns, k past one cut", 90, 33, 510},
    };
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (size_t r = 0; gr__cpu_has(builds[u].isa) && r < sizeof rows / sizeof *rows; r++)
            for (int q = 0; q < 128; q += u % 2 ? 5 : 3) { /* a sample of the layouts, gaps, ends and accumulation */
                shape s = {rows[r].m, rows[r].n, rows[r].k, (layout)(q & 3), (layout)(q >> 2 & 3), q & 16 ? 3 : 0,
                    q & 32, q & 64};
                if ((s.la == SPREAD || s.lb == SPREAD) && s.n >= 1024)
                    continue; /* no room */
                if (!expect_right(&builds[u], &s, rows[r].why))
                    goto done;
            }
done:
    close_fences();
}

static void nothing_to_add_gives_zero_or_leaves_c(void)
{
    static const float untouched = 7;
    for (int u = 0; u < N_BUILDS; u++)
        for (int q = 0; gr__cpu_has(builds[u].isa) && q < 8; q++) {
            double c64[12];
            float c32[12];
            void *c = builds[u].elem == 4 ? (void *)c32 : (void *)c64;
            for (int i = 0; i < 12; i++)
                put(c, i, builds[u].elem, untouched);
            /* bits of q: add to C; m is 0; n is 0; with m and n both there k is 0 */
            gr__gemm g = {q & 2 ? 0 : 3, q & 4 ? 0 : 2, q & 6 ? 5 : 0, NULL, 1, 1, NULL, 1, 1, 0, c, 4, q & 1, NULL};
            CU_ASSERT_EQUAL(builds[u].scratch(&g), 0);
            builds[u].product(&g);
            for (int i = 0; i < 12; i++) {
                double want = q == 0 && i % 4 < 2 ? 0 : untouched;
                GR_EXPECT(value(c, i, builds[u].elem) == want, "%s, case %d: c[%d] is %g", gr__isa_name(builds[u].isa),
                    q, i, value(c, i, builds[u].elem));
            }
        }
}

/* What the executor relies on: any cut of rows and columns gives the bits of the whole. */
static void any_split_gives_the_same_bits(void)
{
    enum { M = 45, N = 83, K = 700 };
    static float a[M * K], b[K * N], whole[M * N], parts[M * N];
    static _Alignas(64) char scratch[1 << 19];
    fill(a, M * K, 4, 5), fill(b, K * N, 4, 6);
    for (int turn = 0; turn < 4; turn++) {
        bool ta = turn & 1, tb = turn & 2;
        gr__gemm g = {M, N, K, a, ta ? 1 : K, ta ? M : 1, b, tb ? 1 : N, tb ? K : 1, 0, whole, N, false, scratch};
        CU_ASSERT_FATAL(gr__gemm_scratch(&g, 4) <= sizeof scratch);
        gr__gemm_f32(&g);
        static const int64_t cuts[][2] = {{1, N}, {M, 1}, {7, 10}, {13, 32}, {16, 33}, {M, 48}};
        for (size_t q = 0; q < sizeof cuts / sizeof *cuts; q++) {
            memset(parts, 0, sizeof parts);
            for (int64_t i = 0; i < M; i += cuts[q][0])
                for (int64_t j = 0; j < N; j += cuts[q][1]) {
                    gr__gemm h = g;
                    h.m = M - i < cuts[q][0] ? M - i : cuts[q][0];
                    h.n = N - j < cuts[q][1] ? N - j : cuts[q][1];
                    h.a = a + i * g.a_row, h.b = b + j * g.b_col, h.c = parts + i * N + j;
                    gr__gemm_f32(&h);
                }
            GR_EXPECT(!memcmp(whole, parts, sizeof whole), "layout %d, blocks of %ld x %ld", turn, (long)cuts[q][0],
                (long)cuts[q][1]);
        }
    }
}

static void a_cut_of_k_goes_on_with_the_same_bits(void)
{
    enum { M = 9, N = 21, K = 90 };
    static float a[M * K], b[K * N], whole[M * N], parts[M * N];
    fill(a, M * K, 4, 7), fill(b, K * N, 4, 8);
    static _Alignas(64) char scratch[1 << 19];
    gr__gemm g = {M, N, K, a, K, 1, b, N, 1, 0, whole, N, false, scratch};
    gr__gemm_f32(&g);
    for (int64_t k = 0; k < K; k += 35) {
        gr__gemm h = g;
        h.k = K - k < 35 ? K - k : 35, h.a = a + k, h.b = b + k * N, h.c = parts, h.accumulate = k > 0;
        gr__gemm_f32(&h);
    }
    CU_ASSERT_EQUAL(memcmp(whole, parts, sizeof whole), 0);
}

/* Few rows or columns have loops of their own. Each element has the bits that it has when it is all there is, whatever
 * the layouts, the gap between lines (which may have columns fall into the same sets of the cache) and the tails; what
 * lies between C's rows stays. */
static void expect_chains(const build *u, const shape *s)
{
    const size_t e = u->elem;
    place pa = place_of(s->la, s->m, s->k, s->gap), pb = place_of(s->lb, s->k, s->n, s->gap);
    place pc = place_of(AS_IS, s->m, s->n, s->gap % 3);
    char *a = fence_take(&fa, (size_t)pa.count * e, s->at_end), *b = fence_take(&fb, (size_t)pb.count * e, s->at_end);
    char *c = fence_take(&fc, (size_t)pc.count * e, s->at_end);
    static _Alignas(64) char want[1 << 16], room[1 << 19];
    fill(a, pa.count, e, 1), fill(b, pb.count, e, 2), fill(c, pc.count, e, 3);
    memcpy(want, c, (size_t)pc.count * e);
    a += (size_t)pa.first * e, b += (size_t)pb.first * e;
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++) {
            gr__gemm one = {1, 1, s->k, a + i * pa.row * (int64_t)e, pa.row, pa.col, b + j * pb.col * (int64_t)e,
                pb.row, pb.col, 0, want + (i * pc.row + j) * (int64_t)e, 1, s->accumulate, room};
            u->product(&one);
        }
    gr__gemm g = {s->m, s->n, s->k, a, pa.row, pa.col, b, pb.row, pb.col, 0, c, pc.row, s->accumulate, NULL};
    size_t need = u->scratch(&g), rounded = (need + 63) / 64 * 64;
    g.scratch = need ? fence_take(&fs, rounded, true) : NULL;
    u->product(&g);
    GR_EXPECT(!memcmp(want, c, (size_t)pc.count * e), "%s f%d %ldx%ldx%ld, A %s, B %s, gap %ld%s: other bits",
        gr__isa_name(u->isa), (int)e * 8, (long)s->m, (long)s->n, (long)s->k, layout_names[s->la], layout_names[s->lb],
        (long)s->gap, s->accumulate ? ", accumulating" : "");
}

static void few_rows_or_columns_give_the_bits_of_each_element(void)
{
    static const int64_t few[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15}, many[] = {8, 13, 37, 75},
                         depth[] = {3, 4, 62, 131};
    open_fences();
    int turn = 0;
    for (int u = 0; u < N_BUILDS; u++)
        for (size_t q = 0; gr__cpu_has(builds[u].isa) && q < sizeof few / sizeof *few * 16; q++)
            for (int l = turn++ % 11; l < 32; l += 11) { /* a sample of layouts and ends */
                const int64_t m = few[q / 16], n = many[q / 4 % 4], k = depth[q % 4];
                const bool column = l & 1;
                shape s = {column ? n : m, column ? m : n, k, (layout)(l >> 1 & 3), (layout)(l >> 3 & 3),
                    l % 5 ? l % 4 : 512 - k, turn & 1, turn & 2};
                expect_chains(&builds[u], &s);
            }
    close_fences();
}

/* B as a caller has packed it: the same bits, and nothing read or written past its blocks. Also of a part that begins
 * at a row and at a block. */
static void expect_packed(const build *u, int64_t m, int64_t n, int64_t k, layout lb)
{
    const size_t e = u->elem;
    const int64_t w = u->block(e), blocks = (n + w - 1) / w, first = blocks / 2, skip = k / 3;
    place pa = place_of(AS_IS, m, k, 1), pb = place_of(lb, k, n, 2);
    char *a = fence_take(&fa, (size_t)pa.count * e, true), *b = fence_take(&fb, (size_t)pb.count * e, true);
    fill(a, pa.count, e, 1), fill(b, pb.count, e, 2);
    char *want = fence_take(&fc, (size_t)(m * n) * e, true);
    static _Alignas(64) char got[1 << 18], scratch[1 << 19];
    for (int part = 0; part < 2; part++) {
        const int64_t k0 = part ? skip : 0, j0 = part ? first * w : 0;
        gr__gemm g = {m, n - j0, k - k0, a + (size_t)k0 * e, pa.row, pa.col,
            b + (size_t)(pb.first + k0 * pb.row + j0 * pb.col) * e, pb.row, pb.col, 0, want, n - j0, part, scratch};
        gr__gemm h = g;
        memset(want, 0, (size_t)(m * n) * e), memset(got, 0, sizeof got);
        u->product(&g);
        h.n = n, h.k = k, h.b = b + (size_t)pb.first * e;
        char *packed = fence_take(&fs, (size_t)(blocks * w * k) * e, true);
        if (e == 4)
            u->pack_f32(&h, (float *)packed);
        else
            u->pack_f64(&h, (double *)packed);
        h = g, h.c = got, h.scratch = NULL, h.b_row = h.b_col = 0, h.b_block = k * w;
        h.b = packed + (size_t)(j0 / w * h.b_block + k0 * w) * e;
        GR_EXPECT(u->scratch(&h) == 0, "a packed B needs scratch");
        u->product(&h);
        GR_EXPECT(!memcmp(want, got, (size_t)(m * (n - j0)) * e), "%s f%d %ldx%ldx%ld, B %s%s: other bits",
            gr__isa_name(u->isa), (int)e * 8, (long)m, (long)n, (long)k, layout_names[lb], part ? ", a part" : "");
    }
}

static void a_packed_b_gives_the_same_bits(void)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {1, 40, 9}, {3, 33, 20}, {5, 64, 7}, {8, 32, 31}, {17, 100, 40},
        {64, 70, 13}, {7, 31, 530}, {29, 15, 33}, {2, 129, 3}, {6, 96, 1024}, {1, 300, 33}, {1, 128, 5}, {2, 200, 17},
        {30, 40, 1025}, {3, 129, 40}, {3, 128, 600}, {13, 40, 1024}, {8, 17, 2100}};
    open_fences();
    for (int u = 0; u < N_BUILDS; u++)
        for (size_t q = 0; gr__cpu_has(builds[u].isa) && q < sizeof sizes / sizeof *sizes; q++)
            for (int l = AS_IS; l <= BACKWARD; l++)
                expect_packed(&builds[u], sizes[q][0], sizes[q][1], sizes[q][2], (layout)l);
    CU_ASSERT_EQUAL(gr__gemm_packed_bytes(5, gr__gemm_block(4) + 1, 4), 5 * 2 * gr__gemm_block(4) * 4);
    close_fences();
}

static void instruction_sets_with_fma_agree_in_every_bit(void)
{
    if (!gr__cpu_has(GR_ISA_AVX512)) {
        gr_test_skip("needs AVX-512");
        return;
    }
#ifdef __x86_64__
    enum { M = 30, N = 50, K = 60 };
    static double a[M * K], b[K * N], c[2][M * N];
    static _Alignas(64) char scratch[1 << 19];
    for (size_t e = 4; e <= 8; e += 4) {
        fill(a, M * K, e, 1), fill(b, K * N, e, 2), memset(c, 0, sizeof c);
        gr__gemm g = {M, N, K, a, K, 1, b, N, 1, 0, c[0], N, false, scratch};
        (e == 4 ? gr__gemm_f32_avx512 : gr__gemm_f64_avx512)(&g);
        g.c = c[1];
        (e == 4 ? gr__gemm_f32_avx2 : gr__gemm_f64_avx2)(&g);
        CU_ASSERT_EQUAL(memcmp(c[0], c[1], sizeof c[0]), 0);
    }
#endif
}

static void not_a_number_stays_in_its_row_and_column(void)
{
    enum { M = 5, N = 19, K = 6 };
    float a[M * K], b[K * N], c[M * N];
    static _Alignas(64) char scratch[1 << 16];
    fill(a, M * K, 4, 1), fill(b, K * N, 4, 2);
    a[2 * K + 3] = NAN, b[1 * N + 7] = INFINITY;
    for (int u = 0; u < N_BUILDS; u++) {
        if (builds[u].elem != 4 || !gr__cpu_has(builds[u].isa))
            continue;
        gr__gemm g = {M, N, K, a, K, 1, b, N, 1, 0, c, N, false, scratch};
        builds[u].product(&g);
        for (int i = 0; i < M * N; i++)
            GR_EXPECT(isnan(c[i]) == (i / N == 2) && (isinf(c[i]) != 0) == (i / N != 2 && i % N == 7),
                "%s: c[%d][%d] is %g", gr__isa_name(builds[u].isa), i / N, i % N, (double)c[i]);
    }
}

static void a_strip_is_a_whole_number_of_vectors(void)
{
    CU_ASSERT(gr__gemm_strip() >= 16 && gr__gemm_strip() % 16 == 0);
}

GR_SUITE("ops/kernels/gemm.c", GR_TEST(every_tile_and_tail_is_right), GR_TEST(wide_tiles_of_few_rows_are_right),
    GR_TEST(every_layout_is_right), GR_TEST(nothing_to_add_gives_zero_or_leaves_c),
    GR_TEST(any_split_gives_the_same_bits), GR_TEST(a_cut_of_k_goes_on_with_the_same_bits),
    GR_TEST(few_rows_or_columns_give_the_bits_of_each_element), GR_TEST(a_packed_b_gives_the_same_bits),
    GR_TEST(instruction_sets_with_fma_agree_in_every_bit), GR_TEST(not_a_number_stays_in_its_row_and_column),
    GR_TEST(a_strip_is_a_whole_number_of_vectors))
