/* Picks the build of pooling for this CPU. See pool_kernels.h. */
#include "ops/kernels/pool_kernels.h"
#include "core/cpu.h"

typedef struct {
    void (*max[2])(const gr__pool *c, const gr__pool_part *p); /* float, double */
    void (*max_grad[2])(const gr__pool *c, const gr__pool_part *p);
    void (*pick[2])(const gr__pool *c, const gr__pool_part *p);
    void (*avg[2])(const gr__pool *c, const gr__pool_part *p);
    void (*avg_grad[2])(const gr__pool *c, const gr__pool_part *p);
} build;

#define PAIR(name, isa) {gr__pool_##name##_f32_##isa, gr__pool_##name##_f64_##isa}
#define BUILD(isa)      {PAIR(max, isa), PAIR(max_grad, isa), PAIR(pick, isa), PAIR(avg, isa), PAIR(avg_grad, isa)}
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

#define CALL(name)                                                         \
    void gr__pool_##name##_f32(const gr__pool *c, const gr__pool_part *p) \
    {                                                                     \
        builds[gr__cpu_isa()].name[0](c, p);                              \
    }                                                                     \
    void gr__pool_##name##_f64(const gr__pool *c, const gr__pool_part *p) \
    {                                                                     \
        builds[gr__cpu_isa()].name[1](c, p);                              \
    }
CALL(max)
CALL(max_grad)
CALL(pick)
CALL(avg)
CALL(avg_grad)
