/* ops/attention.h: scaled dot-product attention. Read next: attention.c; kernels/attend.h is the inner loop. */
#ifndef GRAPE_OPS_ATTENTION_H
#define GRAPE_OPS_ATTENTION_H

#include "core/tape.h"

GR_BEGIN

/* softmax(scale query key' + bias) value of each head, as keras.ops.dot_product_attention.
 *
 *     gr_dot_product_attention(q, k, v, .causal = true)
 *     gr_dot_product_attention(gr_reshape(gr_matmul(x, w), ...), .causal = true)      [B, T, 3, heads, size]
 *
 *   query    float [B, T, heads, size]
 *   key      [B, S, heads, size]; value [B, S, heads, size of values] -> [B, T, heads, size of values]
 *            both NULL: query is [B, T, 3, heads, size], queries, keys and values as one product leaves them, and is
 *            read in place
 *   bias     float, added to the scores; mask: bool, false hides a key. Both broadcast to [B, heads, T, S]
 *   causal   query i sees the keys 0 .. i only
 *   scale    0: 1 / sqrt(size)
 *   A query that sees no key at all (hidden ones, or S = 0) gives 0, and no gradient flows from it.
 *   log_sum  not NULL: receives the logarithm of the sum of e^score, [B, T, heads]; -inf where no key is seen
 *   memory   O(T) for each head; the gradient computes the scores again. That of bias takes O(T S)
 *   errors   GR_EDTYPE, GR_ESHAPE; sizes other than B have to be known; GR_EARG for a scale that is not finite
 *   source   Vaswani et al. 2017, arXiv:1706.03762; Dao et al. 2022, arXiv:2205.14135 */
typedef struct {
    gr_tensor *query, *key, *value, *bias, *mask;
    bool causal;
    double scale;
    gr_tensor **log_sum;
} gr_attention_args;
GR_API gr_tensor *gr_dot_product_attention_at(gr_at at, const gr_attention_args *args);
GR_API gr_tensor *gr_dot_product_attention(gr_tensor *query, gr_tensor *key, gr_tensor *value);
#define gr_dot_product_attention(...) gr_dot_product_attention_at(GR_HERE, &(gr_attention_args){.query = __VA_ARGS__})

GR_END
#endif
