/* Recurrent cells, compiled once per instruction set.  compile with: -ffp-contract=fast
 * The code is in recurrent_cells_impl.h; what it computes is said in recurrent_cells.h. */
#include "ops/kernels/vmath.h"
#define T       float
#define NAME(x) x##_f32
#include "ops/kernels/tile_impl.h"

/* Half the work of vf_sigmoid and 3 ulp: what is lost far out on the left is nothing beside a gate of 1. */
GR_INLINE vf sigmoid_f32(vf x)
{
    vf a = vf_sel(vf_lt(vf_set1(80), x), vf_set1(80), x); /* a NaN stays */
    a = vf_sel(vf_lt(a, vf_set1(-80)), vf_set1(-80), a);
    return vf_fma(a, vf_set1(0), 1.0f / (1.0f + vf_exp_inner(vf_neg(a)))); /* in the exponential it would not */
}
GR_INLINE vf tanh_f32(vf x)
{
    return vf_tanh(x);
}
#include "ops/kernels/recurrent_cells_impl.h"

#undef T
#undef NAME
#define T       double
#define NAME(x) x##_f64
#include "ops/kernels/tile_impl.h"

GR_INLINE v_f64 sigmoid_f64(v_f64 x)
{
    for (int i = 0; i < lanes_f64; i++)
        x[i] = 1 / (1 + exp(-x[i]));
    return x;
}
GR_INLINE v_f64 tanh_f64(v_f64 x)
{
    for (int i = 0; i < lanes_f64; i++)
        x[i] = tanh(x[i]);
    return x;
}
#include "ops/kernels/recurrent_cells_impl.h"

#define BUILD(type)                                                                            \
    size_t GR_ISA_NAME(gr__recurrent_scratch_##type)(const gr__recurrent *r)                  \
    {                                                                                          \
        return forward_bytes_##type(r);                                                        \
    }                                                                                          \
    size_t GR_ISA_NAME(gr__recurrent_back_scratch_##type)(const gr__recurrent_back *r)        \
    {                                                                                          \
        return back_bytes_##type(r);                                                           \
    }                                                                                          \
    void GR_ISA_NAME(gr__recurrent_##type)(const gr__recurrent *r)                            \
    {                                                                                          \
        forward_##type(r);                                                                     \
    }                                                                                          \
    void GR_ISA_NAME(gr__recurrent_back_##type)(const gr__recurrent_back *r)                  \
    {                                                                                          \
        back_##type(r);                                                                        \
    }
BUILD(f32)
BUILD(f64)
