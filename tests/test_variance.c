/* Means and squared deviations of panels, for every instruction set, against plain loops in double. */
#include "ops/kernels/variance.h"
#include "core/cpu.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    gr_isa isa;
    void (*rows)(const gr__panel *p, int64_t n);
    void (*cols)(const gr__panel *p, int64_t n);
} build;
static const build builds[] = {
    {GR_ISA_BASE, gr__moments_rows_base, gr__moments_cols_base},
#ifdef __x86_64__
    {GR_ISA_AVX2, gr__moments_rows_avx2, gr__moments_cols_avx2},
    {GR_ISA_AVX512, gr__moments_rows_avx512, gr__moments_cols_avx512},
#endif
};
enum { BUILDS = sizeof builds / sizeof *builds, MOST = 200 };

static const int64_t sizes[] = {1, 2, 3, 5, 15, 16, 17, 33, 63, 64, 65, 100, 130};
enum { SIZES = sizeof sizes / sizeof *sizes };

static float x[MOST * MOST];

static void draw(double mean)
{
    for (int i = 0; i < MOST * MOST; i++)
        x[i] = (float)(mean + 2.0 * rand() / RAND_MAX - 1);
}

/* The mean and the squared deviations of n elements `step` apart, in double. */
static void plain(const float *from, int64_t n, int64_t step, double *mean, double *squares)
{
    double sum = 0;
    *squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)from[i * step];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        *squares += ((double)from[i * step] - *mean) * ((double)from[i * step] - *mean);
}

/* y: moments of MOST results, of which the first n are there. */
static bool agree(const float *y, int64_t i, int64_t n, const double *want)
{
    double mean = (double)y[i], left = (double)y[MOST + i], squares = (double)y[2 * MOST + i];
    return fabs(mean - want[0]) <= 1e-6 * (fabs(want[0]) + 1) &&
           fabs(mean + left / (double)n - want[0]) <= 1e-9 * fabs(want[0]) + 1e-7 &&
           fabs(squares - left * left / (double)n - want[1]) <= 2e-6 * want[1] + 1e-12;
}

static bool untouched(const float *y, int64_t i)
{
    return y[i] == 77 && y[MOST + i] == 77 && y[2 * MOST + i] == 77;
}

static void check(const build *b, int64_t rows, int64_t cols, int64_t row)
{
    float y[3 * MOST];
    double want[2];
    gr__panel p = {.rows = rows, .cols = cols, .x = x, .row = row, .y = y};
    for (int i = 0; i < 3 * MOST; i++)
        y[i] = 77;
    b->rows(&p, MOST);
    bool good = untouched(y, cols);
    for (int64_t c = 0; c < cols; c++) {
        plain(x + c, rows, row, &want[0], &want[1]);
        good = good && agree(y, c, rows, want);
    }
    for (int i = 0; i < 3 * MOST; i++)
        y[i] = 77;
    b->cols(&p, MOST);
    good = good && untouched(y, rows);
    for (int64_t r = 0; r < rows; r++) {
        plain(x + r * row, cols, 1, &want[0], &want[1]);
        good = good && agree(y, r, cols, want);
    }
    GR_EXPECT(good, "%s, %d x %d", gr__isa_name(b->isa), (int)rows, (int)cols);
}

/* Also where the deviations are a thousandth of the mean. */
static void moments_are_what_plain_loops_give(void)
{
    for (int far = 0; far < 2; far++) {
        draw(far ? 1000 : 0.3);
        for (int b = 0; b < BUILDS; b++)
            for (int r = 0; gr__cpu_has(builds[b].isa) && r < SIZES; r++)
                for (int c = 0; c < SIZES; c++)
                    check(&builds[b], sizes[r], sizes[c], r % 2 ? MOST : sizes[c]);
    }
}

static void every_instruction_set_gives_the_same_bits(void)
{
    float first[2][3 * MOST], y[2][3 * MOST];
    int seen = 0;
    memset(y, 0, sizeof y);
    draw(5);
    for (int b = 0; b < BUILDS; b++) {
        if (!gr__cpu_has(builds[b].isa))
            continue;
        gr__panel p = {.rows = 131, .cols = 77, .x = x, .row = MOST, .y = y[0]};
        builds[b].rows(&p, MOST);
        p.y = y[1];
        builds[b].cols(&p, MOST);
        if (seen++ == 0)
            memcpy(first, y, sizeof y);
        GR_EXPECT(memcmp(first, y, sizeof y) == 0, "%s", gr__isa_name(builds[b].isa));
    }
}

static void equal_numbers_have_no_variance(void)
{
    float y[70];
    for (int i = 0; i < 70 * 70; i++)
        x[i] = 1000.1f;
    gr__panel p = {.rows = 70, .cols = 70, .x = x, .row = 70, .y = y};
    for (int of = GR__OF_COLUMNS; of <= GR__OF_ROWS; of++) {
        gr__panel_variance(&p, (gr__moments_of)of, false);
        for (int i = 0; i < 70; i++)
            CU_ASSERT(y[i] >= 0 && y[i] <= 1e-12f);
    }
}

static void variances_are_those_of_either_axis_and_of_all(void)
{
    static double wide[MOST * MOST];
    draw(3);
    for (int i = 0; i < MOST * MOST; i++)
        wide[i] = (double)x[i];
    for (int f64 = 0; f64 < 2; f64++)
        for (int gaps = 0; gaps < 2; gaps++) {
            const int64_t rows = 150, cols = 90, row = gaps ? MOST : cols;
            union {
                float f32[MOST];
                double f64[MOST];
            } y;
            const gr__panel p = {.rows = rows, .cols = cols, .x = f64 ? (const void *)wide : x, .row = row, .y = &y};
            for (int of = GR__OF_COLUMNS; of <= GR__OF_ALL; of++) {
                gr__panel_variance(&p, (gr__moments_of)of, f64);
                int64_t n = of == GR__OF_COLUMNS ? cols : of == GR__OF_ROWS ? rows : 1;
                for (int64_t i = 0; i < n; i++) {
                    double mean, want, sum = 0, got = f64 ? y.f64[i] : (double)y.f32[i];
                    plain(x + (of == GR__OF_COLUMNS ? i : i * row), of == GR__OF_COLUMNS ? rows : cols,
                        of == GR__OF_COLUMNS ? row : 1, &mean, &want);
                    want /= (double)(of == GR__OF_COLUMNS ? rows : cols);
                    if (of == GR__OF_ALL) {
                        for (int64_t k = 0; k < rows * cols; k++)
                            sum += (double)x[k / cols * row + k % cols];
                        mean = sum / (double)(rows * cols);
                        want = 0;
                        for (int64_t k = 0; k < rows * cols; k++)
                            want += pow((double)x[k / cols * row + k % cols] - mean, 2) / (double)(rows * cols);
                    }
                    GR_EXPECT(fabs(got - want) <= (f64 ? 1e-13 : 1e-6) * want, "%d, gaps %d, %d: %.9g, expected %.9g",
                        of, gaps, (int)i, got, want);
                }
            }
        }
}

/* Parts of 100, 30 and 7 rows, the last two added to one first. */
static void parts_give_the_variance_of_all(void)
{
    enum { COLS = 20, ROWS = 137 };
    static const int64_t size[] = {100, 30, 7};
    float part[3 * 3 * COLS], y[COLS + 1];
    draw(50); /* and each part far from the others */
    for (int i = 100 * COLS; i < 130 * COLS; i++)
        x[i] += 5;
    const float *from = x;
    for (int k = 0; k < 3; from += size[k++] * COLS) {
        const gr__panel p = {.rows = size[k], .cols = COLS, .x = from, .row = COLS, .y = part + 3 * k * COLS};
        gr__panel_moments(&p, GR__OF_COLUMNS, COLS, false);
    }
    for (int together = 0; together < 2; together++) {
        double count[] = {100, 30, 7};
        gr__moments_parts p = {3, COLS, count, part};
        if (together) {
            gr__moments_add(part + 3 * COLS, 30, part + 6 * COLS, 7, COLS, false);
            p.parts = 2;
            count[1] = 37;
        }
        y[COLS] = 77;
        gr__variance_of_parts(&p, 0, 9, y, false);
        gr__variance_of_parts(&p, 9, COLS, y, false);
        CU_ASSERT_EQUAL(y[COLS], 77);
        for (int c = 0; c < COLS; c++) {
            double mean, want;
            plain(x + c, ROWS, COLS, &mean, &want);
            GR_EXPECT(fabs((double)y[c] - want / ROWS) <= 1e-6 * want / ROWS, "column %d: %.9g, expected %.9g", c,
                (double)y[c], want / ROWS);
        }
    }
}

GR_SUITE("ops/kernels/variance.c", GR_TEST(moments_are_what_plain_loops_give),
    GR_TEST(every_instruction_set_gives_the_same_bits), GR_TEST(equal_numbers_have_no_variance),
    GR_TEST(variances_are_those_of_either_axis_and_of_all), GR_TEST(parts_give_the_variance_of_all))
