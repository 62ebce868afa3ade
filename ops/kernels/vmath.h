/* Elementary functions on float vectors, in plain arithmetic: no library call, no table, the same bits on every
 * instruction set and in every lane.
 *
 * Error in units in the last place, against double precision, over all floats (the test holds these):
 *     exp 1.1   expm1 1.6   log 1.0   log1p 1.6   tanh 1.4   sigmoid 1.6   erf 1.2   sin cos 1.7   pow 0.6
 * Denormal numbers count as zero, in and out, as everywhere in a compiled step (the caller sets FTZ and DAZ).  A NaN
 * gives a NaN; what C17 annex F says of zeros and infinities holds.
 *
 * How each works: reduce the argument to a short interval, exactly or nearly so; a polynomial there; undo.  The
 * coefficients come from tools/polynomials.py.  Special cases are chosen at the end, never branched on.
 */
#ifndef GR_KERNELS_VMATH_H
#define GR_KERNELS_VMATH_H

#include "ops/kernels/vec.h"

/* c[0] x^(n-1) + ... + c[n-1] */
GR_INLINE vf vf_poly(vf x, const float *c, int n)
{
    vf y = vf_set1(c[0]);
    for (int i = 1; i < n; i++)
        y = vf_fma(y, x, vf_set1(c[i]));
    return y;
}
#define GR_POLY(x, ...) vf_poly(x, (const float[]){__VA_ARGS__}, (int)(sizeof((float[]){__VA_ARGS__}) / sizeof(float)))

#define GR_ROUNDER 0x1.8p23f /* x + it has the nearest integer to x in its low bits, for |x| < 2^22 */
#define GR_LN2_HI  0x1.62e4p-1f /* 16 bits: x - n * it is exact */
#define GR_LN2_LO  0x1.7f7d1cp-20f
#define GR_LOG2_E  0x1.715476p+0f
#define GR_EXP_LOW -0x1.5d589ep6f /* below it e^x < 2^-126 */
#define GR_LEAST   0x1p-126f /* the smallest normal float */

GR_INLINE vf vf_inf(void)
{
    return vf_set1(__builtin_inff());
}
GR_INLINE vm vf_isnan(vf x)
{
    return vf_unordered(x, x);
}

/* ---- exponentials ------------------------------------------------------------------------------------------------ */

/* x = n ln 2 + r, |r| <= ln 2 / 2, n in the low bits of *n */
GR_INLINE vf vf_exp_reduced(vf x, vi *n)
{
    vf z = vf_fma(x, vf_set1(GR_LOG2_E), vf_set1(GR_ROUNDER)), k = z - GR_ROUNDER;
    *n = (vi)z;
    return vf_fma(k, vf_set1(-GR_LN2_LO), vf_fma(k, vf_set1(-GR_LN2_HI), x));
}

/* (e^r - 1 - r) / r^2 */
GR_INLINE vf vf_exp_rest(vf r)
{
    return GR_POLY(r, 0x1.6ac7fcp-10f, 0x1.123deap-7f, 0x1.555858p-5f, 0x1.55548cp-3f, 0x1.fffffcp-2f);
}

/* e^x where it is a normal number, that is -87.3 < x < 88.7; else nonsense */
GR_INLINE vf vf_exp_inner(vf x)
{
    vi n;
    vf r = vf_exp_reduced(x, &n), p = vf_fma(vf_exp_rest(r), r * r, r) + 1.0f;
    return (vf)vi_add((vi)p, vi_shl(n, 23));
}

GR_INLINE vf vf_exp(vf x)
{
    vf y = vf_exp_inner(x);
    y = vf_sel(vf_lt(x, vf_set1(GR_EXP_LOW)), vf_set1(0), y);
    return vf_sel(vf_le(x, vf_set1(0x1.62e42ep6f)), y, x * vf_set1(0x1.fffffep127f)); /* inf, or a NaN as it is */
}

/* 2^n (e^r - 1) + (2^n - 1), both at half size so that 2^128 fits */
GR_INLINE vf vf_expm1(vf x)
{
    vi n;
    vf inside = vf_sel(vf_lt(x, vf_set1(-20)), vf_set1(-20), x); /* e^-20 is lost beside 1 */
    vf r = vf_exp_reduced(inside, &n), p = vf_fma(vf_exp_rest(r), r * r, r);
    vf half = (vf)vi_add(vi_shl(n, 23), vi_set1(126 << 23));
    vf y = vf_fma(p, half, half - 0.5f) * 2.0f;
    y = vf_sel(vf_le(x, vf_set1(0x1.62e42ep6f)), y, x * vf_set1(0x1.fffffep127f));
    return vf_sel(vf_lt(vf_abs(x), vf_set1(0x1p-24f)), x, y);
}

/* ---- logarithms -------------------------------------------------------------------------------------------------- */

/* e ln 2 + log(1 + f), |f| <= 1/3 */
GR_INLINE vf vf_log_inner(vf f, vf e)
{
    vf q = GR_POLY(f, 0x1.e1deaap-4f, -0x1.07a466p-3f, 0x1.bb3d26p-4f, -0x1.f336ecp-4f, 0x1.24d7bp-3f, -0x1.559bbp-3f,
        0x1.99985ep-3f, -0x1.ffff02p-3f, 0x1.555556p-2f);
    vf y = vf_fma(f * f, vf_fma(q, f, vf_set1(-0.5f)), f);
    return vf_fma(e, vf_set1(GR_LN2_HI), vf_fma(e, vf_set1(GR_LN2_LO), y));
}

/* x = 2^e m, 2/3 <= m < 4/3, of a positive normal x */
GR_INLINE vi vf_exponent(vf x)
{
    return vi_sub((vi)x, vi_set1(0x3f2aaaab)) >> 23; /* the bits of 2/3 */
}
/* x 2^-e, where that is normal too */
GR_INLINE vf vf_scaled_down(vf x, vi e)
{
    return (vf)vi_sub((vi)x, vi_shl(e, 23));
}

GR_INLINE vf vf_log(vf x)
{
    vi e = vf_exponent(x);
    vf y = vf_log_inner(vf_scaled_down(x, e) - 1.0f, __builtin_convertvector(e, vf));
    y = vf_sel(vf_lt(x, vf_inf()), y, x); /* inf and NaN as they are */
    vf low = vf_sel(vf_le(x, vf_set1(-GR_LEAST)), vf_set1(__builtin_nanf("")), -vf_inf());
    return vf_sel(vf_lt(x, vf_set1(GR_LEAST)), low, y);
}

/* With 1 + x near 2^e: f = 2^-e (1 + x) - 1 = x 2^-e + (2^-e - 1) in one rounding, without the digits 1 + x loses */
GR_INLINE vf vf_log1p(vf x)
{
    vf u = x + 1.0f;
    vi e = vf_exponent(u);
    vf scale = vf_scaled_down(vf_set1(1), e);
    vf near = vf_fma(x, scale, scale - 1.0f), far = vf_scaled_down(u, e) - 1.0f; /* far: 2^-e may be denormal */
    vf f = vf_sel(vf_lt(u, vf_set1(0x1p30f)), near, far);
    vf y = vf_log_inner(f, __builtin_convertvector(e, vf));
    y = vf_sel(vf_lt(x, vf_inf()), y, x);
    y = vf_sel(vf_le(x, vf_set1(-1)), vf_sel(vf_lt(x, vf_set1(-1)), vf_set1(__builtin_nanf("")), -vf_inf()), y);
    return vf_sel(vf_lt(vf_abs(x), vf_set1(0x1p-24f)), x, y);
}

/* ---- sigmoids ---------------------------------------------------------------------------------------------------- */

/* an odd polynomial below 5/8, 1 - 2 / (e^2x + 1) above */
GR_INLINE vf vf_tanh(vf x)
{
    vf a = vf_abs(x), u = a * a;
    vf q = GR_POLY(u, -0x1.6f12e2p-8f, 0x1.50ad9p-6f, -0x1.b80506p-5f, 0x1.110596p-3f, -0x1.55552cp-2f);
    vf inner = vf_fma(a * u, q, a);
    vf b = vf_sel(vf_lt(a, vf_set1(10)), a, vf_set1(10)); /* tanh 9.1 is 1 already */
    vf outer = 1.0f - 2.0f / (vf_exp_inner(b + b) + 1.0f);
    return vf_copysign(vf_sel(vf_lt(vf_set1(0.625f), a), outer, inner), x);
}

/* e / (1 + e) or 1 / (1 + e) with e = exp(-|x|): 1 / (1 + exp(-x)) would overflow below 0.  The roundings would add up
 * to more than 2 ulp, so what 1 + e loses and the remainder of the division correct the quotient. */
GR_INLINE vf vf_sigmoid(vf x)
{
    vf a = vf_copysign(x, vf_set1(-1)), low = vf_set1(GR_EXP_LOW), one = vf_set1(1);
    vf e = vf_exp_inner(vf_sel(vf_lt(a, low), low, a));
    vf d = e + 1.0f, lost = e - (d - 1.0f);
    vm negative = vf_lt(x, vf_set1(0));
    vf top = vf_sel(negative, e, one), y = top / d, minus = vf_neg(y);
    vf inverse = vf_sel(negative, one + minus, y); /* nearly 1 / d */
    y = vf_fma(vf_fma(minus, lost, vf_fma(minus, d, top)), inverse, y);
    y = vf_sel(vf_lt(x, low), vf_set1(0), y);
    return vf_sel(vf_isnan(x), x, y); /* the exponential's bits would hide it */
}

/* an odd polynomial below 0.92, 1 - e^-g(x) above, where g is -log(erfc) */
GR_INLINE vf vf_erf(vf x)
{
    vf a = vf_abs(x), t = vf_sel(vf_lt(a, vf_set1(4)), a, vf_set1(4)); /* erf 3.92 is 1 already */
    vf q = GR_POLY(a * a, 0x1.4e56ep-14f, -0x1.a5be04p-11f, 0x1.5442a4p-8f, -0x1.b80082p-6f, 0x1.ce2d6p-4f,
        -0x1.81274p-2f, 0x1.06eba8p-3f);
    vf g = GR_POLY(t, 0x1.61eb28p-16f, -0x1.c79086p-12f, 0x1.115a88p-8f, -0x1.9b8e5ap-6f, 0x1.bb83dep-4f,
        0x1.44460cp-1f, 0x1.2127e4p+0f, -0x1.6e576p-13f);
    vf y = vf_sel(vf_lt(vf_set1(0.92f), a), 1.0f - vf_exp_inner(vf_neg(g)), vf_fma(a, q, a));
    return vf_copysign(y, x);
}

/* ---- sine and cosine --------------------------------------------------------------------------------------------- */

#define GR_FAR_ANGLE 1e5f /* beyond it the reduction below runs out of digits and the C library does the lane */

/* r and quarter turns n: a = n pi/2 + r, |r| <= pi/4, 0 <= a <= GR_FAR_ANGLE.  pi/2 in three pieces of 24 bits. */
GR_INLINE vf vf_turn(vf a, vi *n)
{
    vf z = vf_fma(a, vf_set1(0x1.45f306p-1f), vf_set1(GR_ROUNDER)), k = z - GR_ROUNDER;
    *n = (vi)z;
    vf r = vf_fma(k, vf_set1(-0x1.921fb6p+0f), a); /* exact */
    return vf_fma(k, vf_set1(0x1.ee59dap-50f), vf_fma(k, vf_set1(0x1.777a5cp-25f), r));
}

/* sin(r + n pi/2) */
GR_INLINE vf vf_sin_quarter(vf r, vi n)
{
    vf u = r * r;
    vf s = vf_fma(r * u, GR_POLY(u, 0x1.7cd42ap-19f, -0x1.a05bb2p-13f, 0x1.111176p-7f, -0x1.555556p-3f), r);
    vf c = vf_fma(u * u, GR_POLY(u, 0x1.99e0e4p-16f, -0x1.6c0c1ap-10f, 0x1.55554ap-5f),
        vf_fma(u, vf_set1(-0.5f), vf_set1(1)));
    return (vf)((vi)vf_sel(vi_nonzero(n & 1), c, s) ^ vi_shl(n & 2, 30));
}

static __attribute__((noinline, cold, unused)) void vf_far_lanes(vf *y, const vf *x, double (*f)(double))
{
    for (int i = 0; i < GR_W; i++)
        if (fabsf((*x)[i]) > GR_FAR_ANGLE)
            (*y)[i] = (float)f((double)(*x)[i]);
}

GR_INLINE vf vf_sin(vf x)
{
    vi n;
    vf a = vf_abs(x), r = vf_turn(a, &n);
    vf y = (vf)((vi)vf_sin_quarter(r, n) ^ ((vi)x & GR_SIGN_BIT));
    if (__builtin_expect(vm_any(vf_lt(vf_set1(GR_FAR_ANGLE), a)), 0))
        vf_far_lanes(&y, &x, sin);
    return y;
}

GR_INLINE vf vf_cos(vf x)
{
    vi n;
    vf a = vf_abs(x), r = vf_turn(a, &n), y = vf_sin_quarter(r, vi_add(n, vi_set1(1)));
    if (__builtin_expect(vm_any(vf_lt(vf_set1(GR_FAR_ANGLE), a)), 0))
        vf_far_lanes(&y, &x, cos);
    return y;
}

/* ---- power: 2^(y log2 x), in double because the product magnifies the logarithm's error up to 128 times ---------- */

typedef double vd __attribute__((vector_size(4 * GR_W)));
typedef int64_t vl __attribute__((vector_size(4 * GR_W)));
typedef uint64_t vul __attribute__((vector_size(4 * GR_W)));
typedef float vf_half __attribute__((vector_size(2 * GR_W)));

/* Horner without fma: the same bits everywhere, and digits to spare */
GR_INLINE vd vd_poly(vd x, const double *c, int n)
{
    vd y = c[0] - (vd){0};
    for (int i = 1; i < n; i++)
        y = y * x + c[i];
    return y;
}
#define GR_DPOLY(x, ...) \
    vd_poly(x, (const double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

GR_INLINE vd vd_least(vd a, double b)
{
    vl m = a < b;
    return (vd)((m & (vl)a) | (~m & (vl)(b - (vd){0})));
}

/* (2^e m)^y.  log2 m as an odd series in s = (m-1)/(m+1) */
GR_INLINE vf_half vf_half_pow(vf_half m, vf_half e, vf_half y)
{
    vd w = __builtin_convertvector(m, vd), s = (w - 1.0) / (w + 1.0);
    vd q = GR_DPOLY(s * s, 0x1.21b466f62bf24p-2, 0x1.4795176c78fb5p-2, 0x1.a61a3055d6ba8p-2, 0x1.2776c2913f668p-1,
        0x1.ec709dc53e35fp-1, 0x1.71547652b825p+1);
    vd t = (s * q + __builtin_convertvector(e, vd)) * __builtin_convertvector(y, vd);
    t = -vd_least(-vd_least(t, 200), 200);
    vd z = t + 0x1.8p52, k = z - 0x1.8p52;
    vd p = GR_DPOLY(t - k, 0x1.059fb4e05da34p-16, 0x1.44879cab8e1aap-13, 0x1.5d850e11e72ffp-10, 0x1.3b29c1db20deap-7,
        0x1.c6b0864f14458p-5, 0x1.ebfbe0a696dcap-3, 0x1.62e42ffca3c31p-1, 0x1.ffffffffab9e7p-1);
    return __builtin_convertvector((vd)((vul)p + ((vul)z << 52)), vf_half);
}

static __attribute__((noinline, unused)) vf vf_pow(vf x, vf y)
{
    vf a = vf_abs(x), zero = vf_set1(0), one = vf_set1(1);
    vi e = vi_sub((vi)a, vi_set1(0x3f3504f3)) >> 23; /* the bits of sqrt(1/2) */
    vf m = vf_scaled_down(a, e), ef = __builtin_convertvector(e, vf), r;
    vf_half mh[2], eh[2], yh[2], rh[2];
    memcpy(mh, &m, sizeof m), memcpy(eh, &ef, sizeof ef), memcpy(yh, &y, sizeof y);
    rh[0] = vf_half_pow(mh[0], eh[0], yh[0]), rh[1] = vf_half_pow(mh[1], eh[1], yh[1]);
    memcpy(&r, rh, sizeof r);

    vm y_negative = vf_lt(y, zero), x_zero = vf_lt(a, vf_set1(GR_LEAST)), x_inf = vf_eq(a, vf_inf());
    vf half = y * 0.5f;
    vm y_whole = vf_eq(vf_floor(y), y), y_odd = y_whole & ~vf_eq(vf_floor(half), half);
    r = vf_sel(x_zero, vf_sel(y_negative, vf_inf(), zero), r);
    r = vf_sel(x_inf, vf_sel(y_negative, zero, vf_inf()), r);
    r = vf_sel(vf_eq(a, one), one, r);
    r = vf_sel(vf_lt(x, zero) & ~x_zero & ~x_inf & ~y_whole, vf_set1(__builtin_nanf("")), r);
    r = vf_sel(y_odd, vf_copysign(r, x), r);
    r = vf_sel(vf_unordered(x, y), x + y, r);
    return vf_sel(vf_eq(y, zero) | vf_eq(x, one), one, r);
}

#endif
