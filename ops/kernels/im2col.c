/* ops/kernels/im2col.c: see im2col.h. The pixels that a block of results reads are copied into rows of a matrix, zeros
 * for the padding, and multiplied by kernels/gemm.c. With one channel in each group there is nothing to multiply with a
 * matrix: those run along the channels. */
#include "ops/kernels/im2col.h"
#include "ops/kernels/gemm.h"
#include <stdbool.h>
#include <string.h>

enum {
    PIXELS = 64,       /* rows of a copied block */
    COLUMNS = 512,     /* and its columns, unless one tap has more channels: 128 KiB of floats, a small part of L2 */
    SUM_PIXELS = 256,  /* pixels in one chain of a kernel's gradient */
    SUM_ROWS = 64,     /* rows of a kernel's gradient done together */
    GEMM_BYTES = 256 << 10, /* the most that gr__gemm_scratch asks for */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* One channel in, one out: y[.., r] is a sum over taps of x[.., r] kernel[tap, r]. */
static bool by_channel(const gr__im2col *j)
{
    return j->part == 1 && j->o_part == 1;
}
static int64_t taps(const gr__im2col *j)
{
    return j->kernel_h * j->kernel_w;
}

static int64_t block_bytes(const gr__im2col *j)
{
    int64_t forward = PIXELS * most(COLUMNS, most(j->part, j->o_part)), back = SUM_PIXELS * SUM_ROWS;
    return most(forward, back) * j->size;
}
static int64_t partial_bytes(const gr__im2col *j)
{
    return (most(SUM_ROWS * j->o_part, j->o) * j->size + 63) & ~(int64_t)63;
}
int64_t gr__im2col_scratch(const gr__im2col *j)
{
    return GEMM_BYTES + block_bytes(j) + partial_bytes(j);
}

static void multiply(const gr__im2col *j, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_col,
    const char *b, int64_t b_row, int64_t b_col, void *c, int64_t c_row, bool accumulate)
{
    const gr__gemm g = {m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, accumulate, j->scratch};
    if (j->size == 8)
        gr__gemm_f64(&g);
    else
        gr__gemm_f32(&g);
}

/* ---- small loops ------------------------------------------------------------------------------------------------- */

#define LOOPS(T)                                                                                                       \
    static void fma_##T(int64_t n, T *restrict y, const T *restrict a, const T *restrict b)                           \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] += a[i] * b[i];                                                                                       \
    }                                                                                                                  \
    static void add_##T(int64_t n, T *restrict y, const T *restrict x)                                                \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] += x[i];                                                                                              \
    }
LOOPS(float)
LOOPS(double)

static void multiply_add(const gr__im2col *j, int64_t n, void *y, const void *a, const void *b)
{
    if (j->size == 8)
        fma_double(n, y, a, b);
    else
        fma_float(n, y, a, b);
}
static void add_up(const gr__im2col *j, int64_t n, void *y, const void *x)
{
    if (j->size == 8)
        add_double(n, y, x);
    else
        add_float(n, y, x);
}
/* n elements from `from`, zeros if that is NULL */
static void put(const gr__im2col *j, int64_t n, char *to, const char *from)
{
    if (from && j->size == 4 && n == 1)
        memcpy(to, from, 4);
    else if (from)
        memcpy(to, from, (size_t)(n * j->size));
    else
        memset(to, 0, (size_t)(n * j->size));
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t image, i, k; /* image, row, column */
} pixel;
static pixel pixel_at(int64_t p, int64_t h, int64_t w)
{
    return (pixel){p / w / h, p / w % h, p % w};
}
static void step(pixel *p, int64_t h, int64_t w)
{
    if (++p->k < w)
        return;
    p->k = 0;
    if (++p->i < h)
        return;
    p->i = 0;
    p->image++;
}

/* What tap t of the window at result q reads; NULL in the padding. */
static const char *read_x(const gr__im2col *j, pixel q, int64_t t)
{
    int64_t i = q.i * j->stride_h + t / j->kernel_w * j->dilation_h - j->top;
    int64_t k = q.k * j->stride_w + t % j->kernel_w * j->dilation_w - j->left;
    if (i < 0 || i >= j->h || k < 0 || k >= j->w)
        return NULL;
    return (const char *)j->x + ((q.image * j->h + i) * j->w + k) * j->c * j->size;
}
/* The result whose tap t reads pixel q of x; NULL if none does. */
static const char *read_y(const gr__im2col *j, pixel q, int64_t t)
{
    int64_t i = q.i + j->top - t / j->kernel_w * j->dilation_h;
    int64_t k = q.k + j->left - t % j->kernel_w * j->dilation_w;
    if (i < 0 || k < 0 || i % j->stride_h || k % j->stride_w)
        return NULL;
    i /= j->stride_h;
    k /= j->stride_w;
    if (i >= j->out_h || k >= j->out_w)
        return NULL;
    return (const char *)j->y + ((q.image * j->out_h + i) * j->out_w + k) * j->o * j->size;
}

/* Rows r0 .. r1-1 of the kernel (tap, channel of the group) as columns of a matrix with a row for each pixel p0 ..
 * p0+n-1 of y. */
static void copy_x(const gr__im2col *j, int64_t group, int64_t p0, int64_t n, int64_t r0, int64_t r1, char *to)
{
    pixel q = pixel_at(p0, j->out_h, j->out_w);
    for (int64_t p = 0; p < n; p++, step(&q, j->out_h, j->out_w))
        for (int64_t r = r0, run; r < r1; r += run, to += run * j->size) {
            int64_t in_part = r % j->part;
            const char *from = read_x(j, q, r / j->part);
            run = least(j->part - in_part, r1 - r);
            put(j, run, to, from ? from + (group * j->part + in_part) * j->size : NULL);
        }
}
static void copy_y(const gr__im2col *j, int64_t group, int64_t p0, int64_t n, int64_t t, char *to)
{
    pixel q = pixel_at(p0, j->h, j->w);
    for (int64_t p = 0; p < n; p++, step(&q, j->h, j->w), to += j->o_part * j->size) {
        const char *from = read_y(j, q, t);
        put(j, j->o_part, to, from ? from + group * j->o_part * j->size : NULL);
    }
}

/* ---- y ----------------------------------------------------------------------------------------------------------- */

static void channels_of_y(const gr__im2col *j, int64_t p0, int64_t p1, int64_t o0, int64_t o1)
{
    pixel q = pixel_at(p0, j->out_h, j->out_w);
    for (int64_t p = p0; p < p1; p++, step(&q, j->out_h, j->out_w)) {
        char *y = (char *)j->y + (p * j->o + o0) * j->size;
        put(j, o1 - o0, y, NULL);
        for (int64_t t = 0; t < taps(j); t++) {
            const char *x = read_x(j, q, t);
            if (x)
                multiply_add(j, o1 - o0, y, x + o0 * j->size, (const char *)j->kernel + (t * j->o + o0) * j->size);
        }
    }
}

void gr__im2col_forward(const gr__im2col *j, int64_t p0, int64_t p1, int64_t o0, int64_t o1)
{
    char *block = (char *)j->scratch + GEMM_BYTES;
    const int64_t rows = taps(j) * j->part, cut = most(COLUMNS / j->part, 1) * j->part;
    if (by_channel(j)) {
        channels_of_y(j, p0, p1, o0, o1);
        return;
    }
    for (int64_t group = o0 / j->o_part; group * j->o_part < o1; group++) {
        int64_t from = most(o0, group * j->o_part), to = least(o1, (group + 1) * j->o_part);
        for (int64_t p = p0, n; p < p1; p += n) {
            n = least(PIXELS, p1 - p);
            for (int64_t r = 0, k; r < rows; r += k) {
                k = least(cut, rows - r);
                copy_x(j, group, p, n, r, r + k, block);
                multiply(j, n, to - from, k, block, k, 1, (const char *)j->kernel + (r * j->o + from) * j->size, j->o,
                    1, (char *)j->y + (p * j->o + from) * j->size, j->o, r > 0);
            }
        }
    }
}

/* ---- x ----------------------------------------------------------------------------------------------------------- */

static void channels_of_x(const gr__im2col *j, int64_t p0, int64_t p1, int64_t c0, int64_t c1)
{
    pixel q = pixel_at(p0, j->h, j->w);
    for (int64_t p = p0; p < p1; p++, step(&q, j->h, j->w)) {
        char *x = (char *)j->x + (p * j->c + c0) * j->size;
        put(j, c1 - c0, x, NULL);
        for (int64_t t = 0; t < taps(j); t++) {
            const char *y = read_y(j, q, t);
            if (y)
                multiply_add(j, c1 - c0, x, y + c0 * j->size, (const char *)j->kernel + (t * j->c + c0) * j->size);
        }
    }
}

void gr__im2col_to_input(const gr__im2col *j, int64_t p0, int64_t p1, int64_t c0, int64_t c1)
{
    char *block = (char *)j->scratch + GEMM_BYTES;
    if (by_channel(j)) {
        channels_of_x(j, p0, p1, c0, c1);
        return;
    }
    for (int64_t group = c0 / j->part; group * j->part < c1; group++) {
        int64_t from = most(c0, group * j->part), to = least(c1, (group + 1) * j->part);
        for (int64_t p = p0, n; p < p1; p += n) {
            n = least(PIXELS, p1 - p);
            for (int64_t t = 0; t < taps(j); t++) {
                int64_t row = t * j->part + from - group * j->part;
                copy_y(j, group, p, n, t, block);
                multiply(j, n, to - from, j->o_part, block, j->o_part, 1,
                    (const char *)j->kernel + (row * j->o + group * j->o_part) * j->size, 1, j->o,
                    (char *)j->x + (p * j->c + from) * j->size, j->c, t > 0);
            }
        }
    }
}

/* ---- kernel ------------------------------------------------------------------------------------------------------ */

static void channels_of_kernel(const gr__im2col *j, int64_t t0, int64_t t1, int64_t o0, int64_t o1)
{
    char *sum = (char *)j->scratch + GEMM_BYTES + block_bytes(j);
    const int64_t pixels = j->images * j->out_h * j->out_w;
    for (int64_t t = t0; t < t1; t++) {
        char *kernel = (char *)j->kernel + (t * j->o + o0) * j->size;
        put(j, o1 - o0, kernel, NULL);
        for (int64_t p0 = 0; p0 < pixels; p0 += SUM_PIXELS) {
            pixel q = pixel_at(p0, j->out_h, j->out_w);
            put(j, o1 - o0, sum, NULL);
            for (int64_t p = p0; p < least(p0 + SUM_PIXELS, pixels); p++, step(&q, j->out_h, j->out_w)) {
                const char *x = read_x(j, q, t);
                if (x)
                    multiply_add(
                        j, o1 - o0, sum, x + o0 * j->size, (const char *)j->y + (p * j->o + o0) * j->size);
            }
            add_up(j, o1 - o0, kernel, sum);
        }
    }
}

void gr__im2col_to_kernel(const gr__im2col *j, int64_t r0, int64_t r1, int64_t o0, int64_t o1)
{
    char *block = (char *)j->scratch + GEMM_BYTES, *sum = block + block_bytes(j);
    const int64_t pixels = j->images * j->out_h * j->out_w;
    if (by_channel(j)) {
        channels_of_kernel(j, r0, r1, o0, o1);
        return;
    }
    for (int64_t r = r0; r < r1; r++)
        put(j, o1 - o0, (char *)j->kernel + (r * j->o + o0) * j->size, NULL);
    for (int64_t group = o0 / j->o_part; group * j->o_part < o1; group++) {
        int64_t from = most(o0, group * j->o_part), n = least(o1, (group + 1) * j->o_part) - from;
        for (int64_t r = r0, m; r < r1; r += m) {
            m = least(SUM_ROWS, r1 - r);
            for (int64_t p = 0, k; p < pixels; p += k) {
                k = least(SUM_PIXELS, pixels - p);
                copy_x(j, group, p, k, r, r + m, block);
                multiply(j, m, n, k, block, 1, m, (const char *)j->y + (p * j->o + from) * j->size, j->o, 1, sum, n,
                    false);
                for (int64_t i = 0; i < m; i++)
                    add_up(j, n, (char *)j->kernel + ((r + i) * j->o + from) * j->size, sum + i * n * j->size);
            }
        }
    }
}
