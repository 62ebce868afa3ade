/* ops/kernels/pool_kernels.h: max and average pooling of images, channels last, and their gradients, as leaf calls of
 * one thread on a rectangle of the result. 1-D pooling has height 1.
 *
 * max: the first largest pixel in row-major order wins, or the first NaN; its number is the result's code. max_grad
 * gives dy to the pixel that the code names, pick takes the element of x there: each is the other's gradient. avg: the
 * mean of the pixels that lie in the image; padding does not count. A window that lies in the padding altogether gives
 * -infinity (max), 0 (avg). Sums are in row-major order of the window, in gradients of the windows. */
#ifndef GRAPE_OPS_KERNELS_POOL_KERNELS_H
#define GRAPE_OPS_KERNELS_POOL_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* Window (i, j) covers rows i*stride_h + r*dilation_h - pad_top, 0 <= r < kh, and columns likewise. */
typedef struct {
    int64_t n, h, w, c;                                 /* x [n, h, w, c] */
    int64_t kh, kw, oh, ow;                             /* y [n, oh, ow, c] */
    int64_t stride_h, stride_w, dilation_h, dilation_w; /* >= 1 */
    int64_t pad_top, pad_left;
} gr__pool;

/* One call's share of the result: pixels r0 <= r < r1, counted over images, rows, columns; channels c0 <= c < c1. Any
 * split gives the same bits. A code is the number r * kw + s of the tap that won, uint8_t or, if `wide`, int32_t; one
 * whose pixel lies outside the image names nothing. */
typedef struct {
    const void *x;  /* max, avg, pick */
    const void *dy; /* gradients only */
    void *code;     /* like y. max: written unless NULL; pick and max_grad read it; others: NULL */
    void *out;      /* y, or dx, whole; only the share is written */
    int64_t r0, r1;
    int64_t c0, c1;
    bool wide;
} gr__pool_part;

void gr__pool_max_f32(const gr__pool *c, const gr__pool_part *p);
void gr__pool_max_f64(const gr__pool *c, const gr__pool_part *p);
void gr__pool_max_grad_f32(const gr__pool *c, const gr__pool_part *p);
void gr__pool_max_grad_f64(const gr__pool *c, const gr__pool_part *p);
void gr__pool_pick_f32(const gr__pool *c, const gr__pool_part *p);
void gr__pool_pick_f64(const gr__pool *c, const gr__pool_part *p);
void gr__pool_avg_f32(const gr__pool *c, const gr__pool_part *p);
void gr__pool_avg_f64(const gr__pool *c, const gr__pool_part *p);
void gr__pool_avg_grad_f32(const gr__pool *c, const gr__pool_part *p);
void gr__pool_avg_grad_f64(const gr__pool *c, const gr__pool_part *p);

#define GR_POOL_BUILD(isa)                                                                                             \
    void gr__pool_max_f32_##isa(const gr__pool *c, const gr__pool_part *p);                                            \
    void gr__pool_max_f64_##isa(const gr__pool *c, const gr__pool_part *p);                                            \
    void gr__pool_max_grad_f32_##isa(const gr__pool *c, const gr__pool_part *p);                                       \
    void gr__pool_max_grad_f64_##isa(const gr__pool *c, const gr__pool_part *p);                                       \
    void gr__pool_pick_f32_##isa(const gr__pool *c, const gr__pool_part *p);                                           \
    void gr__pool_pick_f64_##isa(const gr__pool *c, const gr__pool_part *p);                                           \
    void gr__pool_avg_f32_##isa(const gr__pool *c, const gr__pool_part *p);                                            \
    void gr__pool_avg_f64_##isa(const gr__pool *c, const gr__pool_part *p);                                            \
    void gr__pool_avg_grad_f32_##isa(const gr__pool *c, const gr__pool_part *p);                                       \
    void gr__pool_avg_grad_f64_##isa(const gr__pool *c, const gr__pool_part *p);
GR_POOL_BUILD(base)
#ifdef __x86_64__
GR_POOL_BUILD(avx2)
GR_POOL_BUILD(avx512)
#endif

#endif
