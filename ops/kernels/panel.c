/* Picks the build of the float panels for this CPU, and holds the double ones. See panel.h. */
#include "ops/kernels/panel.h"
#include "core/cpu.h"
#include <math.h>
#include <string.h>

typedef struct {
    void (*rows)(const gr__panel *p);
    void (*cols)(const gr__panel *p);
    void (*u8)(const gr__rows *s, const uint8_t *x, float *y);
    void (*to_bool)(const gr__rows *s, const float *x, uint8_t *y);
} build;

#define BUILD(isa)                                                                                                     \
    {                                                                                                                  \
        gr__panel_rows_##isa, gr__panel_cols_##isa, gr__load_u8_##isa, gr__store_bool_##isa                            \
    }
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

/* ---- double: plain loops in the same order ----------------------------------------------------------------------- */

static double start_of(gr_reduce_kind kind)
{
    return kind == GR_REDUCE_SUM ? 0 : kind == GR_REDUCE_PROD ? 1 : kind == GR_REDUCE_MAX ? -INFINITY : INFINITY;
}

static double combine(gr_reduce_kind kind, double a, double b)
{
    switch (kind) {
    case GR_REDUCE_SUM:
        return a + b;
    case GR_REDUCE_PROD:
        return a * b;
    case GR_REDUCE_MAX:
        return a > b || a != a ? a : b; /* a NaN in either wins */
    default:
        return a < b || a != a ? a : b;
    }
}

static void rows64(const gr__panel *p)
{
    const double *x = p->x;
    double *y = p->y;
    for (int64_t c = 0; c < p->cols; c++) {
        double s[4];
        for (int k = 0; k < 4; k++)
            s[k] = start_of(p->kind);
        for (int64_t r = 0; r < p->rows; r++)
            s[r & 3] = combine(p->kind, s[r & 3], x[r * p->row + c]);
        y[c] = combine(p->kind, combine(p->kind, s[0], s[1]), combine(p->kind, s[2], s[3]));
    }
}

static double row64(gr_reduce_kind kind, const double *x, int64_t n)
{
    double s[64];
    for (int i = 0; i < 64; i++)
        s[i] = start_of(kind);
    for (int64_t i = 0; i < n; i++)
        s[i & 63] = combine(kind, s[i & 63], x[i]);
    for (int half = 32; half; half /= 2)
        for (int i = 0; i < half; i++)
            s[i] = combine(kind, s[i], s[i + half]);
    return s[0];
}

static void cols64(const gr__panel *p)
{
    const double *x = p->x;
    for (int64_t r = 0; r < p->rows; r++)
        ((double *)p->y)[r] = row64(p->kind, x + r * p->row, p->cols);
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */

void gr__panel_rows(const gr__panel *p, bool f64)
{
    if (f64)
        rows64(p);
    else
        builds[gr__cpu_isa()].rows(p);
}

void gr__panel_cols(const gr__panel *p, bool f64)
{
    if (f64)
        cols64(p);
    else
        builds[gr__cpu_isa()].cols(p);
}

/* Rows in batches, whose sums lie on the stack; batch sums in order. */
void gr__panel_all(const gr__panel *p, bool f64)
{
    enum { BATCH = 64 };
    union {
        float f32[BATCH];
        double f64[BATCH];
    } part, total;
    gr__panel rest = *p;
    int64_t elem = f64 ? 8 : 4;
    if (p->row == p->cols && p->rows > 1 && (!p->times || p->times_row == p->cols)) { /* no gaps: one row */
        rest.cols *= rest.rows;
        rest.rows = 1;
    }
    int64_t n = 0;
    for (int64_t r = 0; r < rest.rows; r += BATCH) {
        gr__panel some = rest, sum;
        some.x = (const char *)rest.x + r * rest.row * elem;
        if (rest.times)
            some.times = (const char *)rest.times + r * rest.times_row * elem;
        some.rows = rest.rows - r < BATCH ? rest.rows - r : BATCH;
        some.y = &part;
        gr__panel_cols(&some, f64);
        sum = (gr__panel){p->kind, 1, some.rows, &part, 0, .y = (char *)&total + n * elem};
        gr__panel_cols(&sum, f64);
        if (n++ == 0)
            continue;
        sum = (gr__panel){p->kind, 1, 2, &total, 0, .y = &total};
        gr__panel_cols(&sum, f64);
        n = 1;
    }
    memcpy(p->y, &total, (size_t)elem);
}

#define CONVERT(T, F)                                                                                                  \
    do {                                                                                                               \
        const F *source = x;                                                                                           \
        T *target = y;                                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                                                \
            target[i] = (T)source[i * step];                                                                           \
    } while (0)

void gr__load(gr_dtype from, const void *x, int64_t step, int64_t n, void *y, bool f64)
{
    if (from == (f64 ? GR_F64 : GR_F32) && step == 1) {
        memcpy(y, x, (size_t)n * (f64 ? 8 : 4));
        return;
    }
    if (!f64 && step == 1 && (from == GR_U8 || from == GR_BOOL)) {
        builds[gr__cpu_isa()].u8(&(gr__rows){1, n, 0, 0}, x, y);
        return;
    }
    switch (from) {
    case GR_F32:
        if (f64)
            CONVERT(double, float);
        else
            CONVERT(float, float);
        break;
    case GR_F64:
        if (f64)
            CONVERT(double, double);
        else
            CONVERT(float, double);
        break;
    case GR_I32:
        if (f64)
            CONVERT(double, int32_t);
        else
            CONVERT(float, int32_t);
        break;
    case GR_I64:
        if (f64)
            CONVERT(double, int64_t);
        else
            CONVERT(float, int64_t);
        break;
    default:
        if (f64)
            CONVERT(double, uint8_t);
        else
            CONVERT(float, uint8_t);
    }
}

/* One run, where there is nothing between the rows. */
static gr__rows joined(const gr__rows *s)
{
    return s->x_row == s->cols && s->y_row == s->cols ? (gr__rows){1, s->rows * s->cols, 0, 0} : *s;
}

void gr__load_rows(const gr__rows *s, gr_dtype from, const void *x, void *y, bool f64)
{
    const gr__rows run = joined(s);
    if (!f64 && (from == GR_U8 || from == GR_BOOL)) {
        builds[gr__cpu_isa()].u8(&run, x, y);
        return;
    }
    const int64_t size = gr_dtype_size(from), elem = f64 ? 8 : 4;
    for (int64_t r = 0; r < run.rows; r++)
        gr__load(from, (const char *)x + r * run.x_row * size, 1, run.cols, (char *)y + r * run.y_row * elem, f64);
}

static void store(gr_dtype to, void *y, int64_t n, const void *x, bool f64)
{
    const int64_t step = 1;
    if (to == (f64 ? GR_F64 : GR_F32)) {
        memcpy(y, x, (size_t)n * (f64 ? 8 : 4));
    } else if (to == GR_F32) {
        CONVERT(float, double);
    } else if (to == GR_F64) {
        CONVERT(double, float);
    } else {
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)y)[i] = ((const double *)x)[i] != 0;
    }
}

void gr__store_rows(const gr__rows *s, const void *x, gr_dtype to, void *y, bool f64)
{
    const gr__rows run = joined(s);
    if (!f64 && to != GR_F32 && to != GR_F64) {
        builds[gr__cpu_isa()].to_bool(&run, x, y);
        return;
    }
    const int64_t size = gr_dtype_size(to), elem = f64 ? 8 : 4;
    for (int64_t r = 0; r < run.rows; r++)
        store(to, (char *)y + r * run.y_row * size, run.cols, (const char *)x + r * run.x_row * elem, f64);
}
