/* Pooling for one element type and instruction set; a template on T and NAME. What is computed stands in
 * pool_kernels.h. A block of channels (block_impl.h) of one window after the other; four vectors are in work at a
 * time. */
#include "ops/kernels/tile_impl.h"
#include "ops/kernels/block_impl.h"
#include "ops/kernels/pool_kernels.h"
#include <math.h>

#ifndef GR_POOL_ONCE
#define GR_POOL_ONCE
typedef int32_t mask_f32 __attribute__((vector_size(VECTOR_BYTES))); /* per lane all ones or zeros, or a tap's number */
typedef int64_t mask_f64 __attribute__((vector_size(VECTOR_BYTES)));
#endif

GR_INLINE NAME(v) NAME(choose)(NAME(mask) m, NAME(v) a, NAME(v) b)
{
    return (NAME(v))(((NAME(mask))a & m) | ((NAME(mask))b & ~m));
}

/* The part of a window that lies in a box of the image: ny x nx taps, the first of them tap (r, s), its pixel `at`
 * elements into the image. */
typedef struct {
    int64_t ny, nx, r, s, at, row, col; /* row, col: elements from tap to tap */
} NAME(window);

static NAME(window) NAME(window_of)(const gr__pool *c, int64_t i, int64_t j, const box *in)
{
    const int64_t y = i * c->stride_h - c->pad_top, x = j * c->stride_w - c->pad_left;
    NAME(window) w = {.row = c->dilation_h * c->w * c->c, .col = c->dilation_w * c->c};
    w.ny = inside(y - in->i0, c->dilation_h, c->kh, in->i1 - in->i0, &w.r);
    w.nx = inside(x - in->j0, c->dilation_w, c->kw, in->j1 - in->j0, &w.s);
    if (w.ny == 0 || w.nx == 0)
        w.ny = w.nx = 0;
    else
        w.at = ((y + w.r * c->dilation_h) * c->w + x + w.s * c->dilation_w) * c->c;
    return w;
}

GR_INLINE void NAME(max_window)(const int nv, const NAME(window) *w, const T *x, T *y, int64_t n)
{
    NAME(v) best[4], a[4];
    UNROLL for (int v = 0; v < nv; v++)
        best[v] = (T)-INFINITY - (NAME(v)){0};
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            NAME(load_block)(nv, a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < nv; v++)
                best[v] = NAME(choose)((NAME(mask))(a[v] > best[v]) | (NAME(mask))(a[v] != a[v]), a[v], best[v]);
        }
    NAME(store_block)(nv, y, best, n);
}

GR_INLINE void NAME(avg_window)(const int nv, const NAME(window) *w, const T *x, T *y, int64_t n)
{
    NAME(v) sum[4] = {{0}}, a[4];
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            NAME(load_block)(nv, a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < nv; v++)
                sum[v] += a[v];
        }
    const T count = (T)most(w->ny * w->nx, 1);
    UNROLL for (int v = 0; v < nv; v++)
        sum[v] /= count - (NAME(v)){0};
    NAME(store_block)(nv, y, sum, n);
}

/* dy goes to the tap that won, if it lies in the share: found again from x, its number kept per lane. x: the window's
 * first pixel; dx: the first one of `to`, the window's part within the share. */
GR_INLINE void NAME(max_window_back)(const int nv, const NAME(window) *w, const NAME(window) *to, const T *x,
    const T *dy, T *dx, int64_t n)
{
    NAME(v) best[4], a[4], d[4];
    NAME(mask) won[4];
    UNROLL for (int v = 0; v < nv; v++)
        best[v] = (T)-INFINITY - (NAME(v)){0}, won[v] = (NAME(mask)){0};
    int tap = 0;
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++, tap++) {
            NAME(load_block)(nv, a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < nv; v++) { /* a NaN is never beaten */
                NAME(mask) greater = (NAME(mask))(a[v] > best[v]) | (NAME(mask))(a[v] != a[v]);
                NAME(mask) wins = greater & (NAME(mask))(best[v] == best[v]);
                best[v] = NAME(choose)(wins, a[v], best[v]);
                won[v] = (wins & (tap - (NAME(mask)){0})) | (~wins & won[v]);
            }
        }
    NAME(load_block)(nv, d, dy, n);
    for (int64_t r = 0; r < to->ny; r++)
        for (int64_t s = 0; s < to->nx; s++) {
            T *p = dx + r * to->row + s * to->col;
            tap = (int)((to->r - w->r + r) * w->nx + to->s - w->s + s);
            NAME(load_block)(nv, a, p, n);
            UNROLL for (int v = 0; v < nv; v++)
                a[v] += (NAME(v))((NAME(mask))d[v] & (NAME(mask))(won[v] == (tap - (NAME(mask)){0})));
            NAME(store_block)(nv, p, a, n);
        }
}

GR_INLINE void NAME(avg_window_back)(const int nv, const NAME(window) *w, const NAME(window) *to, const T *dy, T *dx,
    int64_t n)
{
    NAME(v) a[4], d[4];
    const T count = (T)most(w->ny * w->nx, 1);
    NAME(load_block)(nv, d, dy, n);
    UNROLL for (int v = 0; v < nv; v++)
        d[v] /= count - (NAME(v)){0};
    for (int64_t r = 0; r < to->ny; r++)
        for (int64_t s = 0; s < to->nx; s++) {
            T *p = dx + r * to->row + s * to->col;
            NAME(load_block)(nv, a, p, n);
            UNROLL for (int v = 0; v < nv; v++)
                a[v] += d[v];
            NAME(store_block)(nv, p, a, n);
        }
}

static void NAME(pool_each)(const gr__pool *c, const gr__pool_part *p, bool is_max)
{
    const box image = {0, c->h, 0, c->w};
    for (int64_t pixel = p->r0; pixel < p->r1; pixel++) {
        const int64_t n = pixel / (c->oh * c->ow), i = pixel / c->ow % c->oh, j = pixel % c->ow;
        const NAME(window) w = NAME(window_of)(c, i, j, &image);
        const T *x = (const T *)p->x + n * c->h * c->w * c->c + w.at;
        T *y = (T *)p->out + pixel * c->c;
        for (int64_t q = p->c0, m; q < p->c1; q += m) {
            m = NAME(block)(p->c1 - q);
            if (is_max)
                BY_VECTORS(m, NAME(max_window), &w, x + q, y + q, m);
            else
                BY_VECTORS(m, NAME(avg_window), &w, x + q, y + q, m);
        }
    }
}

/* The windows over positions begin to end of one axis, and perhaps some beside them */
static void NAME(windows_over)(int64_t begin, int64_t end, int64_t kernel, int64_t dilation, int64_t stride,
    int64_t pad, int64_t count, int64_t *first, int64_t *last)
{
    *first = most(0, (begin + pad - (kernel - 1) * dilation) / stride);
    *last = least(count, (end - 1 + pad) / stride + 1);
}

/* The gradient in a box of one image; x, dy, dx point at the image. */
static void NAME(pool_back_box)(const gr__pool *c, const gr__pool_part *p, const T *x, const T *dy, T *dx,
    const box *to, bool is_max)
{
    const box image = {0, c->h, 0, c->w};
    int64_t i0, i1, j0, j1;
    for (int64_t i = to->i0; i < to->i1; i++)
        for (int64_t j = to->j0; j < to->j1; j++)
            memset(dx + (i * c->w + j) * c->c + p->c0, 0, (size_t)(p->c1 - p->c0) * sizeof(T));
    NAME(windows_over)(to->i0, to->i1, c->kh, c->dilation_h, c->stride_h, c->pad_top, c->oh, &i0, &i1);
    NAME(windows_over)(to->j0, to->j1, c->kw, c->dilation_w, c->stride_w, c->pad_left, c->ow, &j0, &j1);
    for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++) {
            const NAME(window) w = NAME(window_of)(c, i, j, &image), t = NAME(window_of)(c, i, j, to);
            const T *from = is_max ? x + w.at : NULL, *d = dy + (i * c->ow + j) * c->c;
            for (int64_t q = t.ny > 0 ? p->c0 : p->c1, m; q < p->c1; q += m) {
                m = NAME(block)(p->c1 - q);
                if (is_max)
                    BY_VECTORS(m, NAME(max_window_back), &w, &t, from + q, d + q, dx + t.at + q, m);
                else
                    BY_VECTORS(m, NAME(avg_window_back), &w, &t, d + q, dx + t.at + q, m);
            }
        }
}

static void NAME(pool_back)(const gr__pool *c, const gr__pool_part *p, bool is_max)
{
    const int64_t pixels = c->h * c->w;
    if (p->c1 <= p->c0)
        return;
    for (int64_t n = pixels > 0 ? p->r0 / pixels : 0; n * pixels < p->r1; n++) {
        box part[3];
        const int boxes = boxes_of(p->r0 - n * pixels, p->r1 - n * pixels, c->h, c->w, part);
        for (int q = 0; q < boxes; q++)
            NAME(pool_back_box)(c, p, is_max ? (const T *)p->x + n * pixels * c->c : NULL,
                (const T *)p->dy + n * c->oh * c->ow * c->c, (T *)p->out + n * pixels * c->c, &part[q], is_max);
    }
}
