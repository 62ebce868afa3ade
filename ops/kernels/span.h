/* ops/kernels/span.h: which taps of a window lie in the image, and a share of pixels as rectangles. For convolutions
 * and pooling. */
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

/* Pixels begin to end of a rows x cols image, as far as it has them, as rectangles: the end of a row, whole rows, the
 * beginning of a row. */
typedef struct {
    int64_t i0, i1, j0, j1;
} box;

static inline int boxes_of(int64_t begin, int64_t end, int64_t rows, int64_t cols, box out[3])
{
    begin = most(begin, 0), end = least(end, rows * cols);
    if (begin >= end)
        return 0;
    int n = 0;
    const int64_t first = begin / cols, last = end / cols, to = end % cols;
    int64_t whole = first;
    if (begin % cols > 0 || first == last)
        out[n++] = (box){first, first + 1, begin % cols, first == last ? to : cols}, whole++;
    if (whole < last)
        out[n++] = (box){whole, last, 0, cols};
    if (first < last && to > 0)
        out[n++] = (box){last, last + 1, 0, to};
    return n;
}

#endif
