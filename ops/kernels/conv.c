/* Picks the build of the convolution for this CPU. See conv.h. */
#include "ops/kernels/conv.h"
#include "core/cpu.h"

typedef void conv_fn(const gr__conv *c, const gr__conv_part *p);
typedef struct {
    conv_fn *forward[2], *dx[2], *dw[2], *turn[2]; /* float, double */
    size_t (*scratch[2])(const gr__conv *c);
} build;

#define PAIR(name, isa) {gr__conv_##name##_f32_##isa, gr__conv_##name##_f64_##isa}
#define BUILD(isa)      {PAIR(forward, isa), PAIR(dx, isa), PAIR(dw, isa), PAIR(turn, isa), PAIR(scratch, isa)}
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

#define CALL(name, type, index)                                             \
    void gr__conv_##name##_##type(const gr__conv *c, const gr__conv_part *p) \
    {                                                                       \
        builds[gr__cpu_isa()].name[index](c, p);                            \
    }
CALL(forward, f32, 0)
CALL(forward, f64, 1)
CALL(dx, f32, 0)
CALL(dx, f64, 1)
CALL(dw, f32, 0)
CALL(dw, f64, 1)
CALL(turn, f32, 0)
CALL(turn, f64, 1)

size_t gr__conv_scratch(const gr__conv *c, size_t elem)
{
    return builds[gr__cpu_isa()].scratch[elem == sizeof(double)](c);
}

gr__conv_taps gr__conv_taps_of(int64_t phase, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad)
{
    gr__conv_taps t = {0, 0, 1, 0, 0};
    int64_t r = kernel - 1;
    while (r >= 0 && (phase + pad - r * dilation) % stride != 0)
        r--;
    if (r < 0)
        return t;
    t.last = r, t.first = (phase + pad - r * dilation) / stride;
    while (t.tap_step * dilation % stride != 0) /* at most `stride` turns */
        t.tap_step++;
    t.step = t.tap_step * dilation / stride;
    t.count = r / t.tap_step + 1;
    return t;
}
