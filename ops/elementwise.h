/* ops/elementwise.h: the ops that work on each element by itself, with NumPy's broadcasting.
 *
 * All take tensors of one dtype (no promotion: gr_cast first, or gr_scalar(x, c) for a number) and give a new tensor of
 * the broadcast shape, or GR_BAD.  Unless a line says otherwise the operands are floats, and so is the result.
 *   errors   GR_EDTYPE if dtypes differ or the op does not have them, GR_ESHAPE if the shapes do not broadcast
 * Each op is one row of elementwise.def, where its formula and its gradient stand.  Each has three spellings: the macro
 * gr_add(a, b) records your file and line, gr_add_at(at, a, b) takes them, and the bare symbol (gr_add)(a, b) has none.
 * Read next: elementwise.def. */
#ifndef GRAPE_OPS_ELEMENTWISE_H
#define GRAPE_OPS_ELEMENTWISE_H

#include "core/tape.h"

GR_BEGIN

#define GR_DECLARE_OP1(name)                                     \
    GR_API gr_tensor *gr_##name##_at(gr_at at, gr_tensor *x);    \
    GR_API gr_tensor *gr_##name(gr_tensor *x)
#define GR_DECLARE_OP2(name)                                               \
    GR_API gr_tensor *gr_##name##_at(gr_at at, gr_tensor *a, gr_tensor *b); \
    GR_API gr_tensor *gr_##name(gr_tensor *a, gr_tensor *b)

/* ---- arithmetic; those marked i also on int32, int64 and uint8, wrapping around ---------------------------------- */

GR_DECLARE_OP2(add);          /* i  a + b */
GR_DECLARE_OP2(sub);          /* i  a - b */
GR_DECLARE_OP2(mul);          /* i  a * b */
GR_DECLARE_OP2(div);          /*    a / b */
GR_DECLARE_OP2(floor_divide); /* integers only: a / b rounded down; GR_ERANGE when it runs and a b is 0 */
GR_DECLARE_OP2(pow);          /*    a^b; NaN for negative a and fractional b */
GR_DECLARE_OP2(maximum);      /* i  NaN if either is; a tie gives half of the gradient to each */
GR_DECLARE_OP2(minimum);      /* i */
GR_DECLARE_OP1(neg);          /* i  -x; not uint8 */
GR_DECLARE_OP1(abs);          /* i  |x|; not uint8.  Gradient 0 at 0 */
GR_DECLARE_OP1(sign);         /* i  -1, 0 or 1; no gradient */
GR_DECLARE_OP1(square);       /* i  x * x */
GR_DECLARE_OP1(sqrt);
GR_DECLARE_OP1(rsqrt);      /* 1 / sqrt(x), in two exact steps */
GR_DECLARE_OP1(reciprocal); /* 1 / x */

/* ---- elementary functions: float32 within 2 units in the last place (kernels/vmath.h), float64 by the C library - */

GR_DECLARE_OP1(exp);
GR_DECLARE_OP1(expm1); /* e^x - 1 */
GR_DECLARE_OP1(log);
GR_DECLARE_OP1(log1p); /* log(1 + x) */
GR_DECLARE_OP1(sin);
GR_DECLARE_OP1(cos);
GR_DECLARE_OP1(tanh);
GR_DECLARE_OP1(sigmoid);
GR_DECLARE_OP1(erf);

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

GR_DECLARE_OP1(floor); /* these three have no gradient */
GR_DECLARE_OP1(ceil);
GR_DECLARE_OP1(round); /* to the even number at a half */
/* gr_clip(x, lo, hi): x brought into lo .. hi; NaN stays.  Gradient 1 inside and at the bounds.  GR_EARG unless
 * lo <= hi.  A macro only: without parentheses gr_clip is the type of clipping hooks (optim/optimizer.h). */
GR_API gr_tensor *gr_clip_at(gr_at at, gr_tensor *x, double lo, double hi);

/* ---- activations ------------------------------------------------------------------------------------------------- */

GR_DECLARE_OP1(relu);      /* max(x, 0); gradient 0 at 0 */
GR_DECLARE_OP1(softplus);  /* log(1 + e^x) */
GR_DECLARE_OP1(silu);      /* x sigmoid(x) */
GR_DECLARE_OP1(gelu);      /* x Phi(x).  Hendrycks & Gimpel 2016, arXiv:1606.08415 */
GR_DECLARE_OP1(gelu_tanh); /* the same paper's approximation by tanh */
GR_DECLARE_OP1(gelu_tanh_slope); /* its derivative */
GR_DECLARE_OP1(selu);      /* Klambauer et al. 2017, arXiv:1706.02515 */
/* x above 0, alpha (e^x - 1) below; alpha 1 by default.  Clevert et al. 2015, arXiv:1511.07289 */
typedef struct {
    gr_tensor *x;
    double alpha; /* 0: the default */
} gr_elu_args;
GR_API gr_tensor *gr_elu_at(gr_at at, const gr_elu_args *args);
GR_API gr_tensor *gr_elu(gr_tensor *x);
/* x above 0, slope times x below; 0.2 by default */
typedef struct {
    gr_tensor *x;
    double negative_slope; /* 0: the default (a slope of 0 is gr_relu) */
} gr_leaky_relu_args;
GR_API gr_tensor *gr_leaky_relu_at(gr_at at, const gr_leaky_relu_args *args);
GR_API gr_tensor *gr_leaky_relu(gr_tensor *x);

/* ---- comparisons: any dtype -> bool ------------------------------------------------------------------------------ */

GR_DECLARE_OP2(equal);
GR_DECLARE_OP2(not_equal);
GR_DECLARE_OP2(less);
GR_DECLARE_OP2(less_equal);
GR_DECLARE_OP2(greater);
GR_DECLARE_OP2(greater_equal);
GR_DECLARE_OP1(isnan); /* floats only, these three */
GR_DECLARE_OP1(isinf);
GR_DECLARE_OP1(isfinite);

/* ---- logic: bool -> bool ----------------------------------------------------------------------------------------- */

GR_DECLARE_OP2(logical_and);
GR_DECLARE_OP2(logical_or);
GR_DECLARE_OP2(logical_xor);
GR_DECLARE_OP1(logical_not);

/* ---- choice and conversion --------------------------------------------------------------------------------------- */

/* a where condition (bool) holds, else b; a and b of any one dtype */
GR_API gr_tensor *gr_where_at(gr_at at, gr_tensor *condition, gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_where(gr_tensor *condition, gr_tensor *a, gr_tensor *b);
/* x in another dtype; x itself if it has it.  Float to integer drops the fraction and stays within the integer's range,
 * and a NaN gives 0; integers wrap around; to bool: is it not 0? */
GR_API gr_tensor *gr_cast_at(gr_at at, gr_tensor *x, gr_dtype dtype);
GR_API gr_tensor *gr_cast(gr_tensor *x, gr_dtype dtype);

/* g summed over the axes along which `like` was broadcast, in like's shape: what every gradient of a broadcast operand
 * ends with. */
gr_tensor *gr__unbroadcast(gr_tensor *g, gr_tensor *like);

#define gr_add(...)           gr_add_at(GR_HERE, __VA_ARGS__)
#define gr_sub(...)           gr_sub_at(GR_HERE, __VA_ARGS__)
#define gr_mul(...)           gr_mul_at(GR_HERE, __VA_ARGS__)
#define gr_div(...)           gr_div_at(GR_HERE, __VA_ARGS__)
#define gr_floor_divide(...)  gr_floor_divide_at(GR_HERE, __VA_ARGS__)
#define gr_pow(...)           gr_pow_at(GR_HERE, __VA_ARGS__)
#define gr_maximum(...)       gr_maximum_at(GR_HERE, __VA_ARGS__)
#define gr_minimum(...)       gr_minimum_at(GR_HERE, __VA_ARGS__)
#define gr_neg(...)           gr_neg_at(GR_HERE, __VA_ARGS__)
#define gr_abs(...)           gr_abs_at(GR_HERE, __VA_ARGS__)
#define gr_sign(...)          gr_sign_at(GR_HERE, __VA_ARGS__)
#define gr_square(...)        gr_square_at(GR_HERE, __VA_ARGS__)
#define gr_sqrt(...)          gr_sqrt_at(GR_HERE, __VA_ARGS__)
#define gr_rsqrt(...)         gr_rsqrt_at(GR_HERE, __VA_ARGS__)
#define gr_reciprocal(...)    gr_reciprocal_at(GR_HERE, __VA_ARGS__)
#define gr_exp(...)           gr_exp_at(GR_HERE, __VA_ARGS__)
#define gr_expm1(...)         gr_expm1_at(GR_HERE, __VA_ARGS__)
#define gr_log(...)           gr_log_at(GR_HERE, __VA_ARGS__)
#define gr_log1p(...)         gr_log1p_at(GR_HERE, __VA_ARGS__)
#define gr_sin(...)           gr_sin_at(GR_HERE, __VA_ARGS__)
#define gr_cos(...)           gr_cos_at(GR_HERE, __VA_ARGS__)
#define gr_tanh(...)          gr_tanh_at(GR_HERE, __VA_ARGS__)
#define gr_sigmoid(...)       gr_sigmoid_at(GR_HERE, __VA_ARGS__)
#define gr_erf(...)           gr_erf_at(GR_HERE, __VA_ARGS__)
#define gr_floor(...)         gr_floor_at(GR_HERE, __VA_ARGS__)
#define gr_ceil(...)          gr_ceil_at(GR_HERE, __VA_ARGS__)
#define gr_round(...)         gr_round_at(GR_HERE, __VA_ARGS__)
#define gr_clip(...)          gr_clip_at(GR_HERE, __VA_ARGS__)
#define gr_relu(...)          gr_relu_at(GR_HERE, __VA_ARGS__)
#define gr_softplus(...)      gr_softplus_at(GR_HERE, __VA_ARGS__)
#define gr_silu(...)          gr_silu_at(GR_HERE, __VA_ARGS__)
#define gr_gelu(...)          gr_gelu_at(GR_HERE, __VA_ARGS__)
#define gr_gelu_tanh(...)     gr_gelu_tanh_at(GR_HERE, __VA_ARGS__)
#define gr_gelu_tanh_slope(...) gr_gelu_tanh_slope_at(GR_HERE, __VA_ARGS__)
#define gr_selu(...)          gr_selu_at(GR_HERE, __VA_ARGS__)
#define gr_elu(...)           gr_elu_at(GR_HERE, &(gr_elu_args){.x = __VA_ARGS__})
#define gr_leaky_relu(...)    gr_leaky_relu_at(GR_HERE, &(gr_leaky_relu_args){.x = __VA_ARGS__})
#define gr_equal(...)         gr_equal_at(GR_HERE, __VA_ARGS__)
#define gr_not_equal(...)     gr_not_equal_at(GR_HERE, __VA_ARGS__)
#define gr_less(...)          gr_less_at(GR_HERE, __VA_ARGS__)
#define gr_less_equal(...)    gr_less_equal_at(GR_HERE, __VA_ARGS__)
#define gr_greater(...)       gr_greater_at(GR_HERE, __VA_ARGS__)
#define gr_greater_equal(...) gr_greater_equal_at(GR_HERE, __VA_ARGS__)
#define gr_isnan(...)         gr_isnan_at(GR_HERE, __VA_ARGS__)
#define gr_isinf(...)         gr_isinf_at(GR_HERE, __VA_ARGS__)
#define gr_isfinite(...)      gr_isfinite_at(GR_HERE, __VA_ARGS__)
#define gr_logical_and(...)   gr_logical_and_at(GR_HERE, __VA_ARGS__)
#define gr_logical_or(...)    gr_logical_or_at(GR_HERE, __VA_ARGS__)
#define gr_logical_xor(...)   gr_logical_xor_at(GR_HERE, __VA_ARGS__)
#define gr_logical_not(...)   gr_logical_not_at(GR_HERE, __VA_ARGS__)
#define gr_where(...)         gr_where_at(GR_HERE, __VA_ARGS__)
#define gr_cast(...)          gr_cast_at(GR_HERE, __VA_ARGS__)

GR_END
#endif
