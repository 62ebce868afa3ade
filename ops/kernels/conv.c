/* Picks the build of the convolution for this CPU; turns weights for dX. See conv.h. */
#include "ops/kernels/conv.h"
#include "core/cpu.h"

typedef void conv_fn(const gr__conv *c, const gr__conv_part *p);
typedef struct {
    conv_fn *forward[2], *dx[2], *dw[2]; /* float, double */
    size_t (*scratch[2])(const gr__conv *c);
} build;

#define PAIR(name, isa) {gr__conv_##name##_f32_##isa, gr__conv_##name##_f64_##isa}
#define BUILD(isa)      {PAIR(forward, isa), PAIR(dx, isa), PAIR(dw, isa), PAIR(scratch, isa)}
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

/* One tap: [c / groups][o] -> [o / groups][c] */
#define TURN(T, type)                                                                                       \
    static void turn_tap_##type(const gr__conv *c, const T *w, T *to)                                       \
    {                                                                                                       \
        const int64_t depth = c->c / c->groups, width = c->o / c->groups;                                   \
        for (int64_t g = 0; g < c->groups; g++)                                                             \
            for (int64_t i = 0; i < depth; i++)                                                             \
                for (int64_t o = 0; o < width; o++)                                                         \
                    to[o * c->c + g * depth + i] = w[i * c->o + g * width + o];                             \
    }                                                                                                       \
    void gr__conv_turn_##type(const gr__conv *c, const T *w, T *turned)                                     \
    {                                                                                                       \
        const int64_t tap = c->c / c->groups * c->o;                                                        \
        for (int64_t py = 0; py < c->stride_h; py++)                                                        \
            for (int64_t px = 0; px < c->stride_w; px++) {                                                  \
                gr__conv_taps y = gr__conv_taps_of(py, c->kh, c->stride_h, c->dilation_h, c->pad_top);      \
                gr__conv_taps x = gr__conv_taps_of(px, c->kw, c->stride_w, c->dilation_w, c->pad_left);     \
                for (int64_t i = 0; i < y.count; i++)                                                       \
                    for (int64_t j = 0; j < x.count; j++, turned += tap) {                                  \
                        int64_t r = y.last - i * y.tap_step, s = x.last - j * x.tap_step;                   \
                        turn_tap_##type(c, w + (r * c->kw + s) * tap, turned);                              \
                    }                                                                                       \
            }                                                                                               \
    }
TURN(float, f32)
TURN(double, f64)
