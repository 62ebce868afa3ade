/* Vectors of floats at the native width of one instruction set: 16 lanes with AVX-512, 8 with AVX2, 4 otherwise.
 *
 * A kernel file (x.isa.c) is compiled once per instruction set and sees exactly one of them; the compiler's own macros
 * say which.  Written in the vector extension that gcc and clang share, with a builtin or a line of assembler where
 * plain C has no word for it; <immintrin.h> is not used, it costs more time to compile than all the rest.
 *
 *   vf   float lanes                     vi   int32 lanes of the same width
 *   vm   one truth value per lane: a bit in a mask register with AVX-512, all ones or zeros in a vi elsewhere;
 *        & | ~ work on both.  Comparisons are false where a NaN takes part, except vf_unordered.
 *
 * Every function gives the same bits on every instruction set.  Where there is no fused multiply-add it is put
 * together in double precision, slowly and exactly.  The elementary functions are in vmath.h.
 */
#ifndef GR_KERNELS_VEC_H
#define GR_KERNELS_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef GR_ISA
#define GR_PASTE2(a, b) a##_##b
#define GR_PASTE1(a, b) GR_PASTE2(a, b)
#define GR_ISA_NAME(x)  GR_PASTE1(x, GR_ISA) /* gr__tile_add -> gr__tile_add_avx512 */
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define GR_VEC_512 1
#define GR_W       16
#elif defined(__AVX2__) && defined(__FMA__)
#define GR_VEC_256 1
#define GR_W       8
#else
#define GR_W 4
#endif

#define GR_INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((vector_size(4 * GR_W)));
typedef int32_t vi __attribute__((vector_size(4 * GR_W)));
typedef uint32_t vu __attribute__((vector_size(4 * GR_W)));
typedef float vf_unaligned __attribute__((vector_size(4 * GR_W), aligned(4), may_alias));

#ifdef GR_VEC_512
typedef uint16_t vm;
#else
typedef vi vm;
#endif

GR_INLINE vf vf_load(const float *p)
{
    return *(const vf_unaligned *)p;
}
GR_INLINE void vf_store(float *p, vf x)
{
    *(vf_unaligned *)p = x;
}
GR_INLINE vf vf_set1(float c)
{
    return c - (vf){0}; /* minus, not plus: keeps the sign of -0 */
}
GR_INLINE vi vi_set1(int32_t c)
{
    return c - (vi){0};
}

/* Integers wrap around. */
GR_INLINE vi vi_add(vi a, vi b)
{
    return (vi)((vu)a + (vu)b);
}
GR_INLINE vi vi_sub(vi a, vi b)
{
    return (vi)((vu)a - (vu)b);
}
GR_INLINE vi vi_shl(vi a, int bits)
{
    return (vi)((vu)a << bits);
}

/* ---- a*b + c, rounded once --------------------------------------------------------------------------------------- */

#ifndef __has_builtin
#define __has_builtin(x) 0
#endif

#if !defined(GR_VEC_512) && !defined(GR_VEC_256) && !defined(__aarch64__)
typedef double gr_vd2 __attribute__((vector_size(16)));
typedef int64_t gr_vl2 __attribute__((vector_size(16)));
typedef float gr_vf2 __attribute__((vector_size(8)));

/* The product of two floats is exact in double.  The sum is rounded to odd there (its last bit set when anything was
 * lost), so the second rounding to float cannot fall on a false tie: Boldo & Melquiond 2008. */
static __attribute__((noinline, unused)) gr_vf2 gr_fma2(gr_vf2 a, gr_vf2 b, gr_vf2 c)
{
    gr_vd2 p = __builtin_convertvector(a, gr_vd2) * __builtin_convertvector(b, gr_vd2);
    gr_vd2 d = __builtin_convertvector(c, gr_vd2), s = p + d, back = s - p, lost = (p - (s - back)) + (d - back);
    gr_vl2 bits = (gr_vl2)s, inexact = (lost < 0.0) | (lost > 0.0), even = (bits & 1) - 1;
    gr_vl2 step = (((gr_vl2)s ^ (gr_vl2)lost) < 0) | 1; /* -1: what was lost points to zero; 1: away from it */
    return __builtin_convertvector((gr_vd2)(bits + (step & inexact & even)), gr_vf2);
}
#endif

GR_INLINE vf vf_fma(vf a, vf b, vf c)
{
#if defined(GR_VEC_512) && __has_builtin(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#elif defined(GR_VEC_512)
    return __builtin_ia32_vfmaddps512_mask(a, b, c, (short)-1, 4);
#elif defined(GR_VEC_256) && __has_builtin(__builtin_elementwise_fma)
    return __builtin_elementwise_fma(a, b, c);
#elif defined(GR_VEC_256)
    return __builtin_ia32_vfmaddps256(a, b, c);
#elif defined(__aarch64__)
    __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
    return c;
#else
    gr_vf2 h[6], y[2];
    memcpy(h, &a, sizeof a), memcpy(h + 2, &b, sizeof b), memcpy(h + 4, &c, sizeof c);
    y[0] = gr_fma2(h[0], h[2], h[4]), y[1] = gr_fma2(h[1], h[3], h[5]);
    memcpy(&a, y, sizeof a);
    return a;
#endif
}

/* ---- comparisons and choice -------------------------------------------------------------------------------------- */

#ifdef GR_VEC_512
GR_INLINE vm vf_eq(vf a, vf b)
{
    return (vm)__builtin_ia32_cmpps512_mask(a, b, 0, (uint16_t)-1, 4);
}
GR_INLINE vm vf_lt(vf a, vf b)
{
    return (vm)__builtin_ia32_cmpps512_mask(a, b, 1, (uint16_t)-1, 4);
}
GR_INLINE vm vf_le(vf a, vf b)
{
    return (vm)__builtin_ia32_cmpps512_mask(a, b, 2, (uint16_t)-1, 4);
}
GR_INLINE vm vf_unordered(vf a, vf b)
{
    return (vm)__builtin_ia32_cmpps512_mask(a, b, 3, (uint16_t)-1, 4);
}
GR_INLINE vm vi_nonzero(vi a)
{
    return (vm)~__builtin_ia32_cmpd512_mask(a, (vi){0}, 0, (uint16_t)-1);
}
GR_INLINE vf vf_sel(vm m, vf a, vf b)
{
#ifdef __clang__
    return __builtin_ia32_selectps_512(m, a, b);
#else
    return __builtin_ia32_blendmps_512_mask(b, a, m);
#endif
}
GR_INLINE int vm_any(vm m)
{
    return m != 0;
}
#else
GR_INLINE vm vf_eq(vf a, vf b)
{
    return a == b;
}
GR_INLINE vm vf_lt(vf a, vf b)
{
    return a < b;
}
GR_INLINE vm vf_le(vf a, vf b)
{
    return a <= b;
}
GR_INLINE vm vf_unordered(vf a, vf b)
{
    return (a != a) | (b != b);
}
GR_INLINE vm vi_nonzero(vi a)
{
    return a != 0;
}
GR_INLINE vf vf_sel(vm m, vf a, vf b) /* m is all ones or all zeros in each lane */
{
#ifdef GR_VEC_256
    return __builtin_ia32_blendvps256(b, a, (vf)m);
#else
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}
GR_INLINE int vm_any(vm m)
{
#if defined(GR_VEC_256)
    return __builtin_ia32_movmskps256((vf)m) != 0;
#elif defined(__SSE2__)
    return __builtin_ia32_movmskps((vf)m) != 0;
#else
    return (m[0] | m[1] | m[2] | m[3]) != 0;
#endif
}
#endif

GR_INLINE vf vf_bool(vm m) /* 1 or 0 */
{
    return vf_sel(m, vf_set1(1), vf_set1(0));
}

/* ---- sign, rounding, root, greatest ------------------------------------------------------------------------------ */

#define GR_SIGN_BIT vi_set1(INT32_MIN)

GR_INLINE vf vf_abs(vf x)
{
    return (vf)((vi)x & ~GR_SIGN_BIT);
}
GR_INLINE vf vf_neg(vf x)
{
    return (vf)((vi)x ^ GR_SIGN_BIT);
}
GR_INLINE vf vf_copysign(vf x, vf sign)
{
    return (vf)(((vi)x & ~GR_SIGN_BIT) | ((vi)sign & GR_SIGN_BIT));
}

/* 2^23 has no room for a fraction: adding it rounds, to even at a half */
GR_INLINE vf vf_round(vf x)
{
    vf big = vf_set1(0x1p23f), a = vf_abs(x);
    return vf_sel(vf_lt(a, big), vf_copysign((a + big) - big, x), x);
}
GR_INLINE vf vf_floor(vf x)
{
    vf r = vf_round(x);
    return vf_copysign(vf_sel(vf_lt(x, r), r - 1.0f, r), x); /* the sign: -0 stays -0 */
}
GR_INLINE vf vf_ceil(vf x)
{
    vf r = vf_round(x);
    return vf_copysign(vf_sel(vf_lt(r, x), r + 1.0f, r), x);
}

GR_INLINE vf vf_sqrt(vf x)
{
#if defined(GR_VEC_512) && defined(GR_EMULATE_AVX512)
    for (int i = 0; i < GR_W; i++)
        x[i] = sqrtf(x[i]);
#elif defined(GR_VEC_512) || defined(GR_VEC_256)
    __asm__("vsqrtps %1, %0" : "=v"(x) : "v"(x));
#elif defined(__SSE2__)
    __asm__("sqrtps %1, %0" : "=x"(x) : "x"(x));
#elif defined(__aarch64__)
    __asm__("fsqrt %0.4s, %1.4s" : "=w"(x) : "w"(x));
#else
    for (int i = 0; i < GR_W; i++)
        x[i] = sqrtf(x[i]);
#endif
    return x;
}

/* A NaN in either operand wins.  Of +0 and -0 the second operand is taken. */
GR_INLINE vf vf_max(vf a, vf b)
{
    return vf_sel(vf_lt(b, a) | vf_unordered(a, a), a, b);
}
GR_INLINE vf vf_min(vf a, vf b)
{
    return vf_sel(vf_lt(a, b) | vf_unordered(a, a), a, b);
}

/* ---- the last n < GR_W lanes of a row; the others read as 0 and are not written ---------------------------------- */

#ifdef GR_VEC_256
GR_INLINE vi gr_first(int64_t n)
{
    return (vi){0, 1, 2, 3, 4, 5, 6, 7} < (int32_t)n;
}
#endif

GR_INLINE vf vf_load_n(const float *p, int64_t n)
{
#if defined(GR_VEC_512)
    return __builtin_ia32_loadups512_mask(p, (vf){0}, (uint16_t)((1u << n) - 1));
#elif defined(GR_VEC_256)
    return (vf)__builtin_ia32_maskloadps256((const vf *)(const void *)p, gr_first(n));
#else
    vf x = {0};
    for (int64_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
#endif
}
GR_INLINE void vf_store_n(float *p, vf x, int64_t n)
{
#if defined(GR_VEC_512)
    __builtin_ia32_storeups512_mask(p, x, (uint16_t)((1u << n) - 1));
#elif defined(GR_VEC_256)
    __builtin_ia32_maskstoreps256((vf *)(void *)p, gr_first(n), x);
#else
    for (int64_t i = 0; i < n; i++)
        p[i] = x[i];
#endif
}

#endif
