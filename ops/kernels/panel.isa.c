/* Float panels in vectors; see panel.h. The reduction's kind is chosen outside the loops. */
#include "ops/kernels/panel.h"
#include "ops/kernels/vec.h"

enum { PARTS = 16 / GR_W }; /* vectors that make 16 lanes */
/* Vectors of columns that go down together: four chains of each stay in registers; with AVX2 they are a cache line. */
enum { WIDE = GR_W == 8 ? 2 : 4 };

#define UNROLL _Pragma("GCC unroll 4")

typedef vf (*combine)(vf a, vf b);

GR_INLINE vf add(vf a, vf b)
{
    return a + b;
}
GR_INLINE vf mul(vf a, vf b)
{
    return a * b;
}

/* A vector of the panel, or its first `last` lanes; times the one of the other panel, if there is one. */
GR_INLINE vf taken(const float *x, const float *times, int64_t last)
{
    vf v = last ? vf_load_n(x, last) : vf_load(x);
    return times ? v * (last ? vf_load_n(times, last) : vf_load(times)) : v;
}

/* N vectors of columns, all rows: four chains, row r goes to chain r mod 4. */
GR_INLINE void strip_rows(const gr__panel *p, int64_t c, const int n, int64_t last, vf start, combine f,
    const bool of_products)
{
    const float *x = (const float *)p->x + c, *z = of_products ? (const float *)p->times + c : NULL;
    vf s[4][WIDE];
    UNROLL for (int k = 0; k < 4; k++)
        UNROLL for (int v = 0; v < n; v++)
            s[k][v] = start;
    int64_t r = 0;
    for (; r + 4 <= p->rows; r += 4)
        UNROLL for (int k = 0; k < 4; k++, x += p->row, z = of_products ? z + p->times_row : NULL)
            UNROLL for (int v = 0; v < n; v++)
                s[k][v] = f(s[k][v], taken(x + v * GR_W, of_products ? z + v * GR_W : NULL, last));
    UNROLL for (int k = 0; k < 3; k++)
        if (r + k < p->rows) {
            UNROLL for (int v = 0; v < n; v++)
                s[k][v] = f(s[k][v], taken(x + v * GR_W, of_products ? z + v * GR_W : NULL, last));
            x += p->row;
            z = of_products ? z + p->times_row : NULL;
        }
    UNROLL for (int v = 0; v < n; v++) {
        vf sum = f(f(s[0][v], s[1][v]), f(s[2][v], s[3][v]));
        float *y = (float *)p->y + c + v * GR_W;
        if (last)
            vf_store_n(y, sum, last);
        else
            vf_store(y, sum);
    }
}

GR_INLINE void rows(const gr__panel *p, vf start, combine f, bool of_products)
{
    int64_t c = 0;
    for (; c + WIDE * GR_W <= p->cols; c += WIDE * GR_W)
        strip_rows(p, c, WIDE, 0, start, f, of_products);
    for (; c + GR_W <= p->cols; c += GR_W)
        strip_rows(p, c, 1, 0, start, f, of_products);
    if (c < p->cols)
        strip_rows(p, c, 1, p->cols - c, start, f, of_products);
}

/* 16 lanes in halves down to one: the same order for every width. In registers: what is stored in two vectors and read
 * across their border has to wait until both have left for the cache. */
GR_INLINE float across(const vf *s, combine f)
{
#define FOLD(...) u = f(u, __builtin_shufflevector(u, u, __VA_ARGS__))
#if GR_W == 16
    vf u = s[0];
    FOLD(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    FOLD(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    FOLD(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    FOLD(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif GR_W == 8
    vf u = f(s[0], s[1]);
    FOLD(4, 5, 6, 7, 0, 1, 2, 3);
    FOLD(2, 3, 0, 1, 6, 7, 4, 5);
    FOLD(1, 0, 3, 2, 5, 4, 7, 6);
#else
    vf u = f(f(s[0], s[2]), f(s[1], s[3]));
    FOLD(2, 3, 0, 1);
    FOLD(1, 0, 3, 2);
#endif
#undef FOLD
    return u[0];
}

GR_INLINE float one_row(const float *x, const float *z, int64_t n, vf start, combine f, bool of_products)
{
    vf s[4][PARTS];
    for (int k = 0; k < 4; k++)
        for (int q = 0; q < PARTS; q++)
            s[k][q] = start;
    for (; n >= 64; n -= 64)
        for (int k = 0; k < 4; k++)
            for (int q = 0; q < PARTS; q++, x += GR_W, z = of_products ? z + GR_W : NULL)
                s[k][q] = f(s[k][q], taken(x, of_products ? z : NULL, 0));
    for (int k = 0; n > 0 && k < 4; k++) {
        for (int q = 0; n > 0 && q < PARTS; q++, x += GR_W, z = of_products ? z + GR_W : NULL, n -= GR_W) {
            float lane[GR_W];
            vf_store(lane, start);
            vf v;
            if (n >= GR_W) {
                v = taken(x, of_products ? z : NULL, 0);
            } else {
                for (int64_t i = 0; i < n; i++)
                    lane[i] = of_products ? x[i] * z[i] : x[i];
                v = vf_load(lane);
            }
            s[k][q] = f(s[k][q], v);
        }
    }
    for (int q = 0; q < PARTS; q++)
        s[0][q] = f(f(s[0][q], s[1][q]), f(s[2][q], s[3][q]));
    return across(s[0], f);
}

/* Rows of a few elements one by one: they do not wait for each other. The greatest and least in vectors whose lanes are
 * all the same, for these select without a branch, which could not be foreseen. */
GR_INLINE float short_row(const float *x, int64_t n, gr_reduce_kind kind)
{
    if (kind == GR_REDUCE_MAX || kind == GR_REDUCE_MIN) {
        vf v = vf_set1(x[0]);
        for (int64_t i = 1; i < n; i++)
            v = kind == GR_REDUCE_MAX ? vf_max(v, vf_set1(x[i])) : vf_min(v, vf_set1(x[i]));
        return v[0];
    }
    float s = x[0];
    for (int64_t i = 1; i < n; i++)
        s = kind == GR_REDUCE_SUM ? s + x[i] : s * x[i];
    return s;
}

GR_INLINE void short_rows(const gr__panel *p, gr_reduce_kind kind)
{
    const float *x = p->x;
    float *y = p->y;
    for (int64_t r = 0; r < p->rows; r++, x += p->row)
        y[r] = short_row(x, p->cols, kind);
}

GR_INLINE void cols(const gr__panel *p, gr_reduce_kind kind, vf start, combine f)
{
    const float *x = p->x;
    float *y = p->y;
    if (p->cols <= 16) {
        short_rows(p, kind);
        return;
    }
    for (int64_t r = 0; r < p->rows; r++, x += p->row)
        y[r] = one_row(x, NULL, p->cols, start, f, false);
}

/* Sums of products: where rows are short, one chain as in short_row. */
GR_INLINE void cols_of_products(const gr__panel *p)
{
    const float *x = p->x, *z = p->times;
    float *y = p->y;
    for (int64_t r = 0; r < p->rows; r++, x += p->row, z += p->times_row) {
        if (p->cols > 16) {
            y[r] = one_row(x, z, p->cols, vf_set1(0), add, true);
            continue;
        }
        y[r] = x[0] * z[0];
        for (int64_t i = 1; i < p->cols; i++)
            y[r] += x[i] * z[i];
    }
}

void GR_ISA_NAME(gr__panel_rows)(const gr__panel *p)
{
    switch (p->kind) {
    case GR_REDUCE_SUM:
        if (p->times)
            rows(p, vf_set1(0), add, true);
        else
            rows(p, vf_set1(0), add, false);
        break;
    case GR_REDUCE_PROD:
        rows(p, vf_set1(1), mul, false);
        break;
    case GR_REDUCE_MAX:
        rows(p, vf_set1(-INFINITY), vf_max, false);
        break;
    case GR_REDUCE_MIN:
        rows(p, vf_set1(INFINITY), vf_min, false);
        break;
    case GR_REDUCE_VARIANCE: /* variance.h */
        break;
    }
}

void GR_ISA_NAME(gr__panel_cols)(const gr__panel *p)
{
    switch (p->kind) {
    case GR_REDUCE_SUM:
        if (p->times)
            cols_of_products(p);
        else
            cols(p, GR_REDUCE_SUM, vf_set1(0), add);
        break;
    case GR_REDUCE_PROD:
        cols(p, GR_REDUCE_PROD, vf_set1(1), mul);
        break;
    case GR_REDUCE_MAX:
        cols(p, GR_REDUCE_MAX, vf_set1(-INFINITY), vf_max);
        break;
    case GR_REDUCE_MIN:
        cols(p, GR_REDUCE_MIN, vf_set1(INFINITY), vf_min);
        break;
    case GR_REDUCE_VARIANCE: /* variance.h */
        break;
    }
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

typedef uint8_t bytes __attribute__((vector_size(GR_W)));
#ifdef GR_VEC_256
typedef uint8_t bytes_unaligned __attribute__((vector_size(GR_W), aligned(1), may_alias));
#endif

/* GR_W bytes as floats. */
GR_INLINE vf from_bytes(const uint8_t *x)
{
#ifdef GR_VEC_256 /* gcc 12 would take them one by one */
    vi wide;
    __asm__("vpmovzxbd %1, %0" : "=x"(wide) : "m"(*(const bytes_unaligned *)x));
    return __builtin_convertvector(wide, vf);
#else
    bytes b;
    memcpy(&b, x, GR_W);
    return __builtin_convertvector(b, vf);
#endif
}

GR_INLINE void to_bools(const float *x, uint8_t *y)
{
    vf one = vf_bool((vm)~vf_eq(vf_load(x), vf_set1(0)));
    bytes b = __builtin_convertvector(__builtin_convertvector(one, vi), bytes);
    memcpy(y, &b, GR_W);
}

#ifdef GR_VEC_256
typedef int16_t halves __attribute__((vector_size(32)));
typedef int8_t quarters __attribute__((vector_size(32)));

/* 4 vectors: masks in 4 bytes an element, narrowed in halves of a register each. */
GR_INLINE void to_bools_4(const float *x, uint8_t *y)
{
    vi zero[4];
    for (int k = 0; k < 4; k++)
        zero[k] = vf_eq(vf_load(x + k * GR_W), vf_set1(0));
    halves low = __builtin_ia32_packssdw256(zero[0], zero[1]), high = __builtin_ia32_packssdw256(zero[2], zero[3]);
    vi is_zero = (vi)(quarters)__builtin_ia32_packsswb256(low, high);
    is_zero = __builtin_shufflevector(is_zero, is_zero, 0, 4, 1, 5, 2, 6, 3, 7);
    is_zero = ~is_zero & vi_set1(0x01010101);
    memcpy(y, &is_zero, sizeof is_zero);
}
#endif

void GR_ISA_NAME(gr__load_u8)(const gr__rows *s, const uint8_t *x, float *y)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->x_row, y += s->y_row) {
        int64_t i = 0;
        for (; i + GR_W <= s->cols; i += GR_W)
            vf_store(y + i, from_bytes(x + i));
        for (; i < s->cols; i++)
            y[i] = x[i];
    }
}

void GR_ISA_NAME(gr__store_bool)(const gr__rows *s, const float *x, uint8_t *y)
{
    for (int64_t r = 0; r < s->rows; r++, x += s->x_row, y += s->y_row) {
        int64_t i = 0;
#ifdef GR_VEC_256
        for (; i + 4 * GR_W <= s->cols; i += 4 * GR_W)
            to_bools_4(x + i, y + i);
#endif
        for (; i + GR_W <= s->cols; i += GR_W)
            to_bools(x + i, y + i);
        for (; i < s->cols; i++)
            y[i] = x[i] != 0;
    }
}
