/* The matrix product, compiled once per instruction set.  compile with: -ffp-contract=fast
 * Everything is in gemm_impl.h and tile_impl.h. */
#define T       float
#define NAME(x) x##_f32
#include "ops/kernels/gemm_impl.h"

void GR_ISA_NAME(gr__gemm_f32)(const gr__gemm *g)
{
    product_f32(g);
}
size_t GR_ISA_NAME(gr__gemm_scratch_f32)(const gr__gemm *g)
{
    return scratch_f32(g);
}

#undef T
#undef NAME
#define T       double
#define NAME(x) x##_f64
#include "ops/kernels/gemm_impl.h"

void GR_ISA_NAME(gr__gemm_f64)(const gr__gemm *g)
{
    product_f64(g);
}
size_t GR_ISA_NAME(gr__gemm_scratch_f64)(const gr__gemm *g)
{
    return scratch_f64(g);
}
