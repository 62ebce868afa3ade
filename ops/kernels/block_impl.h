/* Up to four vectors of neighbouring channels, for code that works channel by channel: depthwise convolution and
 * pooling. A template on T and NAME, to be included after tile_impl.h. */
#include "ops/kernels/span.h"

enum { NAME(wide) = 4 * NAME(lanes) }; /* channels of a block: four chains hide the latency */

/* n <= wide channels of one vector each; the others are neither read nor written */
GR_INLINE void NAME(load_block)(NAME(v) x[4], const T *p, int64_t n)
{
    UNROLL for (int v = 0; v < 4; v++)
        x[v] = v * NAME(lanes) < n ? NAME(load_part)(p + v * NAME(lanes), least(n - v * NAME(lanes), NAME(lanes)))
                                   : (NAME(v)){0};
}
GR_INLINE void NAME(store_block)(T *p, NAME(v) x[4], int64_t n)
{
    UNROLL for (int v = 0; v < 4; v++)
        if (v * NAME(lanes) < n)
            NAME(store_part)(p + v * NAME(lanes), x[v], least(n - v * NAME(lanes), NAME(lanes)));
}
