/* Picks the build of the matrix product for this CPU. See gemm.h. */
#include "ops/kernels/gemm.h"
#include "core/cpu.h"

typedef struct {
    void (*f32)(const gr__gemm *g);
    void (*f64)(const gr__gemm *g);
    size_t (*scratch_f32)(const gr__gemm *g);
    size_t (*scratch_f64)(const gr__gemm *g);
    void (*pack_f32)(const gr__gemm *g, float *packed);
    void (*pack_f64)(const gr__gemm *g, double *packed);
    int64_t (*block)(size_t elem);
    int64_t strip;
    bool packs;
} build;

#define BUILD(isa, strip, packs)                                                                                       \
    {                                                                                                                  \
        gr__gemm_f32_##isa, gr__gemm_f64_##isa, gr__gemm_scratch_f32_##isa, gr__gemm_scratch_f64_##isa,                \
            gr__gemm_pack_f32_##isa, gr__gemm_pack_f64_##isa, gr__gemm_block_##isa, strip, packs                       \
    }
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base, 32, true),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2, 32, true),
    [GR_ISA_AVX512] = BUILD(avx512, 64, false),
#endif
};

/* rows, cols, least_rows, wide_rows, wide_cols. AVX2's tile is small: what it copies should serve many of them. */
static const gr__gemm_part parts[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = {128, 64, 128, 64, 512},
#ifdef __x86_64__
    [GR_ISA_AVX2] = {128, 128, 64, 128, 512},
    [GR_ISA_AVX512] = {128, 64, 128, 64, 512},
#endif
};

void gr__gemm_f32(const gr__gemm *g)
{
    builds[gr__cpu_isa()].f32(g);
}

void gr__gemm_f64(const gr__gemm *g)
{
    builds[gr__cpu_isa()].f64(g);
}

size_t gr__gemm_scratch(const gr__gemm *g, size_t elem)
{
    const build *b = &builds[gr__cpu_isa()];
    return elem == sizeof(float) ? b->scratch_f32(g) : b->scratch_f64(g);
}

int64_t gr__gemm_block(size_t elem)
{
    return builds[gr__cpu_isa()].block(elem);
}

int64_t gr__gemm_packed_bytes(int64_t k, int64_t n, size_t elem)
{
    const int64_t w = gr__gemm_block(elem);
    return (n + w - 1) / w * w * k * (int64_t)elem;
}

void gr__gemm_pack_f32(const gr__gemm *g, float *packed)
{
    builds[gr__cpu_isa()].pack_f32(g, packed);
}

void gr__gemm_pack_f64(const gr__gemm *g, double *packed)
{
    builds[gr__cpu_isa()].pack_f64(g, packed);
}

int64_t gr__gemm_strip(void)
{
    return builds[gr__cpu_isa()].strip;
}

bool gr__gemm_packs(void)
{
    return builds[gr__cpu_isa()].packs;
}

const gr__gemm_part *gr__gemm_parts(void)
{
    return &parts[gr__cpu_isa()];
}
