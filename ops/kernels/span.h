/* ops/kernels/span.h: which taps of a window lie in the image. For convolutions and pooling. */
#ifndef GRAPE_OPS_KERNELS_SPAN_H
#define GRAPE_OPS_KERNELS_SPAN_H

#include <stdint.h>

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* Numbers t, 0 <= t < count, with 0 <= at + t * step < size: gives how many, *first is the first of them. */
static inline int64_t inside(int64_t at, int64_t step, int64_t count, int64_t size, int64_t *first)
{
    *first = 0;
    if (count <= 0 || at >= size)
        return 0;
    *first = at < 0 ? (-at + step - 1) / step : 0;
    return most(least(count, (size - 1 - at) / step + 1) - *first, 0);
}

#endif
