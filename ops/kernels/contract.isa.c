/* Matrix products and convolutions, compiled once per instruction set.  compile with: -ffp-contract=fast
 * Everything is in tile_impl.h, gemm_impl.h and conv_impl.h. */
#define T       float
#define NAME(x) x##_f32
#include "ops/kernels/gemm_impl.h"
#include "ops/kernels/conv_impl.h"

void GR_ISA_NAME(gr__gemm_f32)(const gr__gemm *g)
{
    product_f32(g);
}
size_t GR_ISA_NAME(gr__gemm_scratch_f32)(const gr__gemm *g)
{
    return scratch_f32(g);
}
void GR_ISA_NAME(gr__gemm_pack_f32)(const gr__gemm *g, float *packed)
{
    pack_blocks_f32(g, packed);
}
void GR_ISA_NAME(gr__conv_forward_f32)(const gr__conv *c, const gr__conv_part *p)
{
    conv_forward_f32(c, p);
}
void GR_ISA_NAME(gr__conv_dx_f32)(const gr__conv *c, const gr__conv_part *p)
{
    conv_dx_f32(c, p);
}
void GR_ISA_NAME(gr__conv_dw_f32)(const gr__conv *c, const gr__conv_part *p)
{
    conv_dw_f32(c, p);
}
void GR_ISA_NAME(gr__conv_turn_f32)(const gr__conv *c, const gr__conv_part *p)
{
    conv_turn_f32(c, p);
}
size_t GR_ISA_NAME(gr__conv_scratch_f32)(const gr__conv *c)
{
    return conv_scratch_f32(c);
}

#undef T
#undef NAME
#define T       double
#define NAME(x) x##_f64
#include "ops/kernels/gemm_impl.h"
#include "ops/kernels/conv_impl.h"

void GR_ISA_NAME(gr__gemm_f64)(const gr__gemm *g)
{
    product_f64(g);
}
size_t GR_ISA_NAME(gr__gemm_scratch_f64)(const gr__gemm *g)
{
    return scratch_f64(g);
}
void GR_ISA_NAME(gr__gemm_pack_f64)(const gr__gemm *g, double *packed)
{
    pack_blocks_f64(g, packed);
}
void GR_ISA_NAME(gr__conv_forward_f64)(const gr__conv *c, const gr__conv_part *p)
{
    conv_forward_f64(c, p);
}
void GR_ISA_NAME(gr__conv_dx_f64)(const gr__conv *c, const gr__conv_part *p)
{
    conv_dx_f64(c, p);
}
void GR_ISA_NAME(gr__conv_dw_f64)(const gr__conv *c, const gr__conv_part *p)
{
    conv_dw_f64(c, p);
}
void GR_ISA_NAME(gr__conv_turn_f64)(const gr__conv *c, const gr__conv_part *p)
{
    conv_turn_f64(c, p);
}
size_t GR_ISA_NAME(gr__conv_scratch_f64)(const gr__conv *c)
{
    return conv_scratch_f64(c);
}

int64_t GR_ISA_NAME(gr__gemm_block)(size_t elem)
{
    return elem == sizeof(float) ? BLOCK_VECTORS * lanes_f32 : BLOCK_VECTORS * lanes_f64;
}
