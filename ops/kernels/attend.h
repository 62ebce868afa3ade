/* ops/kernels/attend.h: scaled dot-product attention of one head, softmax(scale q k' + bias) v, and its gradient, as
 * leaf calls of one thread. attend.c picks the build for the CPU and holds the double ones, plain loops; attend.isa.c,
 * the float ones, is compiled once per instruction set.
 *
 * A panel of query rows at a time: scores, softmax and the product with v while it is in the first cache. The matrix of
 * all scores never exists; per row the logarithm of its sum is kept, from which the gradient computes the scores again.
 * Keys that a causal row does not see are skipped in blocks.
 *
 * Bits: a row's result depends neither on the panel it is in nor on how rows are split over calls; AVX-512, AVX2 and
 * NEON give the same. */
#ifndef GRAPE_OPS_KERNELS_ATTEND_H
#define GRAPE_OPS_KERNELS_ATTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Row i of a matrix lies at p + i * row; nothing else is read or written. Strides are in elements. */
typedef struct {
    int64_t t, s, h, hv; /* queries; keys; elements of a query and a key; of a value */
    double scale;
    bool causal; /* query i sees keys 0 .. i only */
    const void *q, *k, *v;
    int64_t q_row, k_row, v_row;
    const void *bias; /* added to the scaled scores: element (i, j) at i * bias_row + j * bias_col; NULL: none */
    int64_t bias_row, bias_col; /* of any size, 0 too */
    int64_t y_row;              /* of y and dy */
    int64_t stat_row;           /* of lse and delta, which have one number a row */
    void *y;                    /* a row that sees no key, or only keys of bias -inf, is 0 */
    void *lse;                  /* logarithm of the sum of e^score; -inf of such a row; the gradient reads it */
    const void *delta, *dy;     /* of the gradient: what to subtract from dy v' in each row; the gradient of y */
    void *dq, *dk, *dv;         /* with the strides of q, k, v */
    void *scratch;              /* gr__attend_scratch() bytes, aligned to 64 */
} gr__attend;

size_t gr__attend_scratch(const gr__attend *a, bool f64, bool gradient);
void gr__attend_forward(const gr__attend *a, bool f64, int64_t first, int64_t end); /* y and lse of these rows */
/* p = e^(score - lse), ds = p (dy v' - delta):  dq = scale ds k,  dk = scale ds' q,  dv = p' dy */
void gr__attend_backward(const gr__attend *a, bool f64);

/* One set of these per instruction set; tests call each that the CPU has. */
#define GR_ATTEND_BUILD(isa)                                                                                           \
    size_t gr__attend_scratch_##isa(const gr__attend *a, bool gradient);                                               \
    void gr__attend_forward_##isa(const gr__attend *a, int64_t first, int64_t end);                                    \
    void gr__attend_backward_##isa(const gr__attend *a);
GR_ATTEND_BUILD(base)
#ifdef __x86_64__
GR_ATTEND_BUILD(avx2)
GR_ATTEND_BUILD(avx512)
#endif

#endif
