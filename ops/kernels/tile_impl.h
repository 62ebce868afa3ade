/* The register tile: the one inner loop of every product and convolution, written once for any element type, vector
 * width and tile size. A template: define T (float, double) and NAME(x) (x##_f32, x##_f64), then include it.
 *
 *                nv vectors of b's row p
 *    a[i][p]  *  [   b0   |   b1   ]    is added to acc[i][0], acc[i][1], for mr rows i; then the next p
 *
 * It is plain C on vector types; the loops over the tile are unrolled and acc lives in registers. Strides are free, so
 * the same code serves X W, X' dY and the taps of a convolution, without packing.
 *
 * Each element of acc is one chain of multiply-adds in order of p, fused where the machine can (files that include this
 * are compiled with -ffp-contract=fast). A chain that is cut, stored and taken up again gives the same bits: no tile
 * size, blocking or thread changes a result. Read next: gemm_impl.h. */
#include "ops/kernels/vec.h"
#include <stdbool.h>

#ifndef GR_TILE_ONCE
#define GR_TILE_ONCE

enum { VECTOR_BYTES = 4 * GR_W, TILE_VECTORS = 8 };
#if defined(GR_VEC_512) || defined(__aarch64__)
enum { TILE_ROWS = 14 }; /* 32 registers: 14 x 2 sums, 2 of b, 1 of a */
#else
enum { TILE_ROWS = 6 }; /* 16 registers */
#endif

/* What a tile does besides: AHEAD_TOO if b_ahead is not 0, the last two if the pointer of that name is not NULL. */
typedef enum { NEXT_ONLY, AHEAD_TOO, KEEP_B, KEEP_A } tile_how;

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The compiler takes x for a new value: it neither keeps what it made of the old one in registers, which a tile lacks,
 * nor works out one pointer from another. */
#define AS_NEW(x) __asm__("" : "+r"(x))

#ifdef GR_VEC_512
typedef float part_v_f32 __attribute__((vector_size(64)));
typedef double part_v_f64 __attribute__((vector_size(64)));
GR_INLINE part_v_f32 masked_load_f32(const float *p, int64_t n)
{
    return __builtin_ia32_loadups512_mask(p, (part_v_f32){0}, (uint16_t)((1u << n) - 1));
}
GR_INLINE part_v_f64 masked_load_f64(const double *p, int64_t n)
{
    return __builtin_ia32_loadupd512_mask(p, (part_v_f64){0}, (uint8_t)((1u << n) - 1));
}
GR_INLINE void masked_store_f32(float *p, part_v_f32 x, int64_t n)
{
    __builtin_ia32_storeups512_mask(p, x, (uint16_t)((1u << n) - 1));
}
GR_INLINE void masked_store_f64(double *p, part_v_f64 x, int64_t n)
{
    __builtin_ia32_storeupd512_mask(p, x, (uint8_t)((1u << n) - 1));
}
#endif

/* a * b + c as the tile rounds it, for code with branches, across which the compiler does not see the two belong
 * together */
#if defined(GR_VEC_512)
#define FMA_f32(a, b, c) __builtin_ia32_vfmaddps512_mask(a, b, c, (uint16_t)-1, 4)
#define FMA_f64(a, b, c) __builtin_ia32_vfmaddpd512_mask(a, b, c, (uint8_t)-1, 4)
#elif defined(GR_VEC_256)
#define FMA_f32(a, b, c) __builtin_ia32_vfmaddps256(a, b, c)
#define FMA_f64(a, b, c) __builtin_ia32_vfmaddpd256(a, b, c)
#elif defined(__aarch64__)
GR_INLINE vf fma_f32(vf a, vf b, vf c)
{
    __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
    return c;
}
typedef double two_doubles __attribute__((vector_size(16)));
GR_INLINE two_doubles fma_f64(two_doubles a, two_doubles b, two_doubles c)
{
    __asm__("fmla %0.2d, %1.2d, %2.2d" : "+w"(c) : "w"(a), "w"(b));
    return c;
}
#define FMA_f32(a, b, c) fma_f32(a, b, c)
#define FMA_f64(a, b, c) fma_f64(a, b, c)
#else
#define FMA_f32(a, b, c) ((a) * (b) + (c))
#define FMA_f64(a, b, c) ((a) * (b) + (c))
#endif
#endif

typedef T NAME(v) __attribute__((vector_size(VECTOR_BYTES)));
typedef T NAME(v_unaligned) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
enum { NAME(lanes) = VECTOR_BYTES / sizeof(T) };

GR_INLINE NAME(v) NAME(load)(const T *p)
{
    return *(const NAME(v_unaligned) *)p;
}
GR_INLINE void NAME(store)(T *p, NAME(v) x)
{
    *(NAME(v_unaligned) *)p = x;
}
/* The first n lanes, 1 <= n <= lanes; the others read as 0 and are not touched in memory. */
GR_INLINE NAME(v) NAME(load_part)(const T *p, int64_t n)
{
#ifdef GR_VEC_512
    return NAME(masked_load)(p, n);
#else
    if (n == NAME(lanes))
        return NAME(load)(p);
    NAME(v) x = {0};
    for (int64_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
#endif
}
GR_INLINE void NAME(store_part)(T *p, NAME(v) x, int64_t n)
{
#ifdef GR_VEC_512
    NAME(masked_store)(p, x, n);
#else
    if (n == NAME(lanes))
        NAME(store)(p, x);
    else
        for (int64_t i = 0; i < n; i++)
            p[i] = x[i];
#endif
}
/* A row of b inside the loop: only masks are cheap enough there, so without them b must be readable to a full vector.
 * */
GR_INLINE NAME(v) NAME(load_last)(const T *p, int64_t n)
{
#ifdef GR_VEC_512
    return NAME(masked_load)(p, n);
#else
    (void)n;
    return NAME(load)(p);
#endif
}

/* acc[i][v] += sum over p < k of a[i*a_row + p*a_col] * b[p*b_row + v*lanes ..]; the last vector has `last` lanes. Run
 * `runs[0]` times `runs[1]` times over, a and b moved on by the steps: the taps of a convolution, rows of pixels. */
typedef struct {
    int64_t runs[2];
    int64_t a_step[2], b_step[2];
    int64_t k;
    const T *a;
    int64_t a_row, a_col;
    const T *b;
    int64_t b_row;
    int64_t last;
    const T *next; /* what will be read after this tile, fetched a line a step */
    int64_t next_step;
    int64_t b_ahead; /* not 0: the tile fetches what it reads itself, rows of b so many elements ahead, and of a
                        (next) two lines a step, */
    int64_t next_line; /* the second so many elements after the first */
#ifdef GR_VEC_256
    T *keep_b; /* not NULL: rows of b are stored here too, one after the other */
    T *keep_a; /* not NULL, and a_row 1: so are columns of a; whole vectors of a are read for that, and written */
#endif
} NAME(terms);

/* a[i] of the rows of a tile: all that 13 rows need are two pointers, 7 rows apart, and 3 multiples of the stride. */
GR_INLINE T NAME(tile_a)(const int i, const T *upper, const T *lower, int64_t row, int64_t three, int64_t five)
{
    const char *a = (const char *)(i < 7 ? upper : lower);
    switch (i % 7) {
    case 0:
        return *(const T *)a;
    case 1:
        return *(const T *)(a + row);
    case 2:
        return *(const T *)(a + 2 * row);
    case 3:
        return *(const T *)(a + three);
    case 4:
        return *(const T *)(a + 4 * row);
    case 5:
        return *(const T *)(a + five);
    default:
        return *(const T *)(a + 2 * three);
    }
}
GR_INLINE void NAME(tile_steps)(const int mr, const int nv, const tile_how how, NAME(v) acc[][TILE_VECTORS],
    const NAME(terms) *t)
{
    const T *a = t->a, *lower = a + (mr > 7 ? 7 * t->a_row : 0), *b = t->b, *next = t->next;
    int64_t row = t->a_row * (int64_t)sizeof(T), three = 3 * row, five = 5 * row;
#ifdef GR_VEC_256
    T *keep = how == KEEP_B ? t->keep_b : how == KEEP_A ? t->keep_a : NULL;
#endif
    AS_NEW(lower);
    AS_NEW(row);
    AS_NEW(three);
    AS_NEW(five);
    for (int64_t p = t->k; p > 0; p--, a += t->a_col, lower += t->a_col, b += t->b_row) {
        NAME(v) w[TILE_VECTORS];
        __builtin_prefetch(next);
        if (how == AHEAD_TOO || how == KEEP_A)
            __builtin_prefetch(next + t->next_line);
        if (how == AHEAD_TOO || how == KEEP_B)
            __builtin_prefetch(b + t->b_ahead);
        if (how == AHEAD_TOO)
            __builtin_prefetch(b + t->b_ahead + (nv - 1) * NAME(lanes));
        next += t->next_step;
        UNROLL for (int v = 0; v < nv - 1; v++)
            w[v] = NAME(load)(b + v * NAME(lanes));
        w[nv - 1] = NAME(load_last)(b + (nv - 1) * NAME(lanes), t->last);
#ifdef GR_VEC_256
        if (how == KEEP_B) {
            UNROLL for (int v = 0; v < nv; v++)
                NAME(store)(keep + v * NAME(lanes), w[v]);
            keep += nv * NAME(lanes);
        }
        if (how == KEEP_A) {
            UNROLL for (int i = 0; i < mr; i += NAME(lanes))
                NAME(store)(keep + i, NAME(load)(a + i));
            keep += mr;
        }
#endif
        UNROLL for (int i = 0; i < mr; i++) {
            NAME(v) x = NAME(tile_a)(i, a, lower, row, three, five) - (NAME(v)){0};
            UNROLL for (int v = 0; v < nv; v++)
                acc[i][v] += x * w[v];
        }
    }
}
GR_INLINE void NAME(tile_add)(const int mr, const int nv, NAME(v) acc[][TILE_VECTORS], const NAME(terms) *t)
{
#ifdef GR_VEC_256
    if (t->keep_b) {
        NAME(tile_steps)(mr, nv, KEEP_B, acc, t);
        return;
    }
    if (t->keep_a) {
        NAME(tile_steps)(mr, nv, KEEP_A, acc, t);
        return;
    }
#endif
    if (t->b_ahead)
        NAME(tile_steps)(mr, nv, AHEAD_TOO, acc, t);
    else
        NAME(tile_steps)(mr, nv, NEXT_ONLY, acc, t);
}
GR_INLINE void NAME(tile_load)(const int mr, const int nv, NAME(v) acc[][TILE_VECTORS], const T *c, int64_t c_row,
    int64_t last)
{
    UNROLL for (int i = 0; i < mr; i++, c += c_row) {
        UNROLL for (int v = 0; v < nv - 1; v++)
            acc[i][v] = NAME(load)(c + v * NAME(lanes));
        acc[i][nv - 1] = NAME(load_part)(c + (nv - 1) * NAME(lanes), last);
    }
}
/* Asks for the lines of c, which a tile that starts from zero will only write. */
GR_INLINE void NAME(tile_fetch)(const int mr, const int nv, const T *c, int64_t c_row)
{
    UNROLL for (int i = 0; i < mr; i++, c += c_row)
        UNROLL for (int v = 0; v < nv; v++)
            __builtin_prefetch(c + v * NAME(lanes), 1);
}
GR_INLINE void NAME(tile_zero)(const int mr, const int nv, NAME(v) acc[][TILE_VECTORS])
{
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++)
            acc[i][v] = (NAME(v)){0};
}
GR_INLINE void NAME(tile_store)(const int mr, const int nv, NAME(v) acc[][TILE_VECTORS], T *c, int64_t c_row,
    int64_t last)
{
    UNROLL for (int i = 0; i < mr; i++, c += c_row) {
        UNROLL for (int v = 0; v < nv - 1; v++)
            NAME(store)(c + v * NAME(lanes), acc[i][v]);
        NAME(store_part)(c + (nv - 1) * NAME(lanes), acc[i][nv - 1], last);
    }
}
