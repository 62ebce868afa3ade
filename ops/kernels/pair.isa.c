/* The float kernels of pairs (pair.h): every inner op with every outer one. */
#include "ops/kernels/pair_impl.h"
#include "ops/kernels/tile_loop.h"

#define in_add(a, b)    ((a) + (b))
#define in_sub(a, b)    ((a) - (b))
#define in_mul(a, b)    ((a) * (b))
#define in_div(a, b)    ((a) / (b))
#define in_square(a, b) ((a) * (a))
#define in_sqrt(a, b)   vf_sqrt(a)
#define in_neg(a, b)    vf_neg(a)
#define in_relu(a, b)   vf_sel(vf_le(a, vf_set1(0)), vf_set1(0), a)
#define in_exp(a, b)    vf_exp(a)
#define rsub(a, b)      ((b) - (a))
#define rdiv(a, b)      ((b) / (a))

/* y = OUTER(inner(a[, b]), c): the outer op's other operand comes last */
#define KERNEL(inner, n, name, OUTER, m)                                                                               \
    GR_INLINE vf lanes_##inner##_##name(vf a, vf b, vf c, const vf *p)                                                 \
    {                                                                                                                  \
        const vf t = in_##inner(a, b), z = (n) == 2 ? c : b;                                                           \
        (void)p, (void)z;                                                                                              \
        return OUTER(t, z);                                                                                            \
    }                                                                                                                  \
    static void pair_##inner##_##name(const gr_tile *t)                                                                \
    {                                                                                                                  \
        tile(t, (n) + (m)-1, lanes_##inner##_##name, 0);                                                               \
    }
#define OUTERS(inner, n)                                                                                               \
    KERNEL(inner, n, add, in_add, 2)                                                                                   \
    KERNEL(inner, n, mul, in_mul, 2)                                                                                   \
    KERNEL(inner, n, sub, in_sub, 2)                                                                                   \
    KERNEL(inner, n, rsub, rsub, 2)                                                                                    \
    KERNEL(inner, n, div, in_div, 2)                                                                                   \
    KERNEL(inner, n, rdiv, rdiv, 2)                                                                                    \
    KERNEL(inner, n, square, in_square, 1)                                                                             \
    KERNEL(inner, n, sqrt, in_sqrt, 1)                                                                                 \
    KERNEL(inner, n, neg, in_neg, 1)                                                                                   \
    KERNEL(inner, n, relu, in_relu, 1)                                                                                 \
    KERNEL(inner, n, exp, in_exp, 1)
OUTERS(add, 2)
OUTERS(sub, 2)
OUTERS(mul, 2)
OUTERS(div, 2)
OUTERS(square, 1)
OUTERS(sqrt, 1)
OUTERS(neg, 1)
OUTERS(relu, 1)
OUTERS(exp, 1)

GR_INLINE vf lanes_lerp(vf a, vf b, vf c, const vf *p)
{
    (void)p;
    return b + (a - b) * c;
}
static void lerp(const gr_tile *t)
{
    tile(t, 3, lanes_lerp, 0);
}

GR_INLINE vf lanes_masked(vf a, vf b, vf c, const vf *p)
{
    (void)p;
    return vf_sel(vf_lt(b, a), c, b);
}
static void masked(const gr_tile *t)
{
    tile(t, 3, lanes_masked, 0);
}

#define ROW(inner)                                                                                                     \
    {                                                                                                                  \
        pair_##inner##_add, pair_##inner##_mul, pair_##inner##_sub, pair_##inner##_rsub, pair_##inner##_div,           \
            pair_##inner##_rdiv, pair_##inner##_square, pair_##inner##_sqrt, pair_##inner##_neg, pair_##inner##_relu,  \
            pair_##inner##_exp                                                                                         \
    }
const gr__pairs GR_ISA_NAME(gr__pairs) = {
    {ROW(add), ROW(sub), ROW(mul), ROW(div), ROW(square), ROW(sqrt), ROW(neg), ROW(relu), ROW(exp)}, lerp,
    masked};
