/* Up to four vectors of neighbouring channels, for code that works channel by channel: depthwise convolution and
 * pooling. A template on T and NAME, to be included after tile_impl.h. */
#include "ops/kernels/span.h"

#ifndef GR_BLOCK_ONCE
#define GR_BLOCK_ONCE
/* Calls F(nv, ...) with the number of vectors that n channels fill, as a constant. */
#define BY_VECTORS(n, F, ...)                                                                              \
    ((n) == 4 * NAME(lanes) ? F(4, __VA_ARGS__) : (n) == 2 * NAME(lanes) ? F(2, __VA_ARGS__) : F(1, __VA_ARGS__))
#endif

/* How many of `left` channels to do at once: four vectors hide the latency of a sum; or two, or what fits in one. */
static inline int64_t NAME(block)(int64_t left)
{
    const int64_t w = NAME(lanes);
    return left >= 4 * w ? 4 * w : left >= 2 * w ? 2 * w : least(left, w);
}

/* n channels in nv vectors; n counts only for a single one, whose other lanes are neither read nor written */
GR_INLINE void NAME(load_block)(const int nv, NAME(v) x[4], const T *p, int64_t n)
{
    if (nv == 1)
        x[0] = NAME(load_part)(p, n);
    else
        UNROLL for (int v = 0; v < nv; v++)
            x[v] = NAME(load)(p + v * NAME(lanes));
}
GR_INLINE void NAME(store_block)(const int nv, T *p, NAME(v) x[4], int64_t n)
{
    if (nv == 1)
        NAME(store_part)(p, x[0], n);
    else
        UNROLL for (int v = 0; v < nv; v++)
            NAME(store)(p + v * NAME(lanes), x[v]);
}
