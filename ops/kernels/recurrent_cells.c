/* Picks the build of the recurrent cells for this CPU. See recurrent_cells.h. */
#include "ops/kernels/recurrent_cells.h"
#include "core/cpu.h"

typedef struct {
    void (*forward[2])(const gr__recurrent *r); /* float, double */
    void (*back[2])(const gr__recurrent_back *r);
    size_t (*scratch[2])(const gr__recurrent *r);
    size_t (*back_scratch[2])(const gr__recurrent_back *r);
} build;

#define PAIR(name, isa) {gr__recurrent##name##_f32_##isa, gr__recurrent##name##_f64_##isa}
#define BUILD(isa)      {PAIR(, isa), PAIR(_back, isa), PAIR(_scratch, isa), PAIR(_back_scratch, isa)}
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

size_t gr__recurrent_scratch(const gr__recurrent *r, size_t elem)
{
    return builds[gr__cpu_isa()].scratch[elem == sizeof(double)](r);
}
size_t gr__recurrent_back_scratch(const gr__recurrent_back *r, size_t elem)
{
    return builds[gr__cpu_isa()].back_scratch[elem == sizeof(double)](r);
}
void gr__recurrent_f32(const gr__recurrent *r)
{
    builds[gr__cpu_isa()].forward[0](r);
}
void gr__recurrent_f64(const gr__recurrent *r)
{
    builds[gr__cpu_isa()].forward[1](r);
}
void gr__recurrent_back_f32(const gr__recurrent_back *r)
{
    builds[gr__cpu_isa()].back[0](r);
}
void gr__recurrent_back_f64(const gr__recurrent_back *r)
{
    builds[gr__cpu_isa()].back[1](r);
}
