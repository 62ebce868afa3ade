/* Picks the build of the float kernels for this CPU, holds the double ones, and puts parts together. See variance.h. */
#include "ops/kernels/variance.h"
#include "core/cpu.h"

enum { BATCH = 64 }; /* results at a time that lie on the stack */

typedef union {
    float f32[3 * BATCH];
    double f64[3 * BATCH];
} room;

/* ---- double: plain loops ----------------------------------------------------------------------------------------- */

/* Of `count` elements `step` apart. */
static void moments64(const double *x, int64_t count, int64_t step, double *y, int64_t n)
{
    double sum = 0, left = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i * step];
    const double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        double d = x[i * step] - mean;
        left += d;
        squares += d * d;
    }
    y[0] = mean, y[n] = left, y[2 * n] = squares;
}

static void rows64(const gr__panel *p, int64_t n)
{
    for (int64_t c = 0; c < p->cols; c++)
        moments64((const double *)p->x + c, p->rows, p->row, (double *)p->y + c, n);
}

static void cols64(const gr__panel *p, int64_t n)
{
    for (int64_t r = 0; r < p->rows; r++)
        moments64((const double *)p->x + r * p->row, p->cols, 1, (double *)p->y + r, n);
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

typedef struct {
    void (*rows)(const gr__panel *p, int64_t n);
    void (*cols)(const gr__panel *p, int64_t n);
} build;

#define BUILD(isa)                                                                                                     \
    {                                                                                                                  \
        gr__moments_rows_##isa, gr__moments_cols_##isa                                                                 \
    }
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

static void along(const gr__panel *p, int64_t n, bool f64)
{
    if (f64)
        cols64(p, n);
    else
        builds[gr__cpu_isa()].cols(p, n);
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static double number(const void *x, int64_t i, bool f64)
{
    return f64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}
static void put(void *y, int64_t i, double value, bool f64)
{
    if (f64)
        ((double *)y)[i] = value;
    else
        ((float *)y)[i] = (float)value;
}

/* With the mean as double has it; deviations from that add up to 0. */
typedef struct {
    double count, mean, squares;
} moments;

static moments get(const void *x, int64_t i, int64_t n, double count, bool f64)
{
    double left = number(x, n + i, f64), squares = number(x, 2 * n + i, f64) - left * (left / count);
    return (moments){count, number(x, i, f64) + left / count, squares < 0 ? 0 : squares};
}

static moments joined(moments a, moments b)
{
    double count = a.count + b.count, apart = b.mean - a.mean, share = b.count / count;
    return (moments){count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

void gr__moments_add(void *to, double n_to, const void *more, double n_more, int64_t n, bool f64)
{
    for (int64_t i = 0; i < n; i++) {
        moments m = joined(get(to, i, n, n_to, f64), get(more, i, n, n_more, f64));
        put(to, i, m.mean, f64);
        double rest = m.mean - number(to, i, f64);
        put(to, n + i, rest * m.count, f64);
        put(to, 2 * n + i, m.squares + rest * rest * m.count, f64);
    }
}

void gr__variance_of_parts(const gr__moments_parts *p, int64_t begin, int64_t end, void *y, bool f64)
{
    const int64_t size = 3 * p->n * (f64 ? 8 : 4);
    for (int64_t i = begin; i < end; i++) {
        moments all = {0};
        for (int64_t k = 0; k < p->parts; k++)
            all = joined(all, get((const char *)p->moments + k * size, i, p->n, p->count[k], f64));
        put(y, i, all.squares / all.count, f64);
    }
}

/* ---- panels ------------------------------------------------------------------------------------------------------ */

/* Rows in batches, each row a part. */
static moments all_rows(const gr__panel *p, bool f64)
{
    gr__panel rest = *p;
    moments all = {0};
    if (p->row == p->cols && p->rows > 1) { /* no gaps: one row */
        rest.cols *= rest.rows;
        rest.rows = 1;
    }
    for (int64_t r = 0; r < rest.rows; r += BATCH) {
        room of_rows;
        gr__panel some = rest;
        some.x = (const char *)rest.x + r * rest.row * (f64 ? 8 : 4);
        some.rows = rest.rows - r < BATCH ? rest.rows - r : BATCH;
        some.y = &of_rows;
        along(&some, BATCH, f64);
        for (int64_t i = 0; i < some.rows; i++)
            all = joined(all, get(&of_rows, i, BATCH, (double)rest.cols, f64));
    }
    return all;
}

void gr__panel_moments(const gr__panel *p, gr__moments_of of, int64_t n, bool f64)
{
    if (of == GR__OF_ROWS) {
        along(p, n, f64);
    } else if (of == GR__OF_ALL) {
        moments all = all_rows(p, f64);
        put(p->y, 0, all.mean, f64);
        put(p->y, n, (all.mean - number(p->y, 0, f64)) * all.count, f64);
        put(p->y, 2 * n, all.squares, f64);
    } else if (f64) {
        rows64(p, n);
    } else {
        builds[gr__cpu_isa()].rows(p, n);
    }
}

void gr__panel_variance(const gr__panel *p, gr__moments_of of, bool f64)
{
    int64_t n = of == GR__OF_COLUMNS ? p->cols : of == GR__OF_ROWS ? p->rows : 1, elem = f64 ? 8 : 4;
    int64_t each = of == GR__OF_COLUMNS ? p->rows : of == GR__OF_ROWS ? p->cols : p->rows * p->cols;
    for (int64_t i = 0; i < n; i += BATCH) {
        room some_moments;
        gr__panel some = *p;
        int64_t size = n - i < BATCH ? n - i : BATCH;
        some.x = (const char *)p->x + i * (of == GR__OF_COLUMNS ? 1 : p->row) * elem;
        some.y = &some_moments;
        some.cols = of == GR__OF_COLUMNS ? size : p->cols;
        some.rows = of == GR__OF_ROWS ? size : p->rows;
        gr__panel_moments(&some, of, BATCH, f64);
        for (int64_t k = 0; k < size; k++)
            put(p->y, i + k, get(&some_moments, k, BATCH, (double)each, f64).squares / (double)each, f64);
    }
}
