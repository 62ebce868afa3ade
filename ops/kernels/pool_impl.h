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

/* The part of a window that lies in the image: ny x nx pixels from `at` on. */
typedef struct {
    int64_t ny, nx, at, row, col; /* elements: of the first pixel within the image, from row to row, column to column */
} NAME(window);

static NAME(window) NAME(window_of)(const gr__pool *c, int64_t i, int64_t j)
{
    const int64_t y = i * c->stride_h - c->pad_top, x = j * c->stride_w - c->pad_left;
    int64_t r, s;
    NAME(window) w = {.row = c->dilation_h * c->w * c->c, .col = c->dilation_w * c->c};
    w.ny = inside(y, c->dilation_h, c->kh, c->h, &r);
    w.nx = inside(x, c->dilation_w, c->kw, c->w, &s);
    w.at = ((y + r * c->dilation_h) * c->w + x + s * c->dilation_w) * c->c;
    if (w.ny == 0 || w.nx == 0)
        w.ny = w.nx = w.at = 0;
    return w;
}

GR_INLINE void NAME(max_window)(const bool full, const NAME(window) *w, const T *x, T *y, int64_t n)
{
    NAME(v) best[4], a[4];
    n = full ? NAME(wide) : n;
    UNROLL for (int v = 0; v < 4; v++)
        best[v] = (T)-INFINITY - (NAME(v)){0};
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            NAME(load_block)(a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < 4; v++)
                best[v] = NAME(choose)((NAME(mask))(a[v] > best[v]) | (NAME(mask))(a[v] != a[v]), a[v], best[v]);
        }
    NAME(store_block)(y, best, n);
}

GR_INLINE void NAME(avg_window)(const bool full, const NAME(window) *w, const T *x, T *y, int64_t n)
{
    NAME(v) sum[4] = {{0}}, a[4];
    n = full ? NAME(wide) : n;
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            NAME(load_block)(a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < 4; v++)
                sum[v] += a[v];
        }
    const T count = (T)most(w->ny * w->nx, 1);
    UNROLL for (int v = 0; v < 4; v++)
        sum[v] /= count - (NAME(v)){0};
    NAME(store_block)(y, sum, n);
}

/* dy goes to the tap that won: found again from x, its number kept per lane. */
GR_INLINE void NAME(max_window_back)(const bool full, const NAME(window) *w, const T *x, const T *dy, T *dx, int64_t n)
{
    NAME(v) best[4], a[4], d[4];
    NAME(mask) won[4];
    n = full ? NAME(wide) : n;
    UNROLL for (int v = 0; v < 4; v++)
        best[v] = (T)-INFINITY - (NAME(v)){0}, won[v] = (NAME(mask)){0};
    int tap = 0;
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++, tap++) {
            NAME(load_block)(a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < 4; v++) { /* a NaN is never beaten */
                NAME(mask) greater = (NAME(mask))(a[v] > best[v]) | (NAME(mask))(a[v] != a[v]);
                NAME(mask) wins = greater & (NAME(mask))(best[v] == best[v]);
                best[v] = NAME(choose)(wins, a[v], best[v]);
                won[v] = (wins & (tap - (NAME(mask)){0})) | (~wins & won[v]);
            }
        }
    NAME(load_block)(d, dy, n);
    tap = 0;
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++, tap++) {
            T *to = dx + r * w->row + s * w->col;
            NAME(load_block)(a, to, n);
            UNROLL for (int v = 0; v < 4; v++)
                a[v] += (NAME(v))((NAME(mask))d[v] & (NAME(mask))(won[v] == (tap - (NAME(mask)){0})));
            NAME(store_block)(to, a, n);
        }
}

GR_INLINE void NAME(avg_window_back)(const bool full, const NAME(window) *w, const T *dy, T *dx, int64_t n)
{
    NAME(v) a[4], d[4];
    n = full ? NAME(wide) : n;
    const T count = (T)most(w->ny * w->nx, 1);
    NAME(load_block)(d, dy, n);
    UNROLL for (int v = 0; v < 4; v++)
        d[v] /= count - (NAME(v)){0};
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            T *to = dx + r * w->row + s * w->col;
            NAME(load_block)(a, to, n);
            UNROLL for (int v = 0; v < 4; v++)
                a[v] += d[v];
            NAME(store_block)(to, a, n);
        }
}

static void NAME(pool_each)(const gr__pool *c, const gr__pool_part *p, bool is_max)
{
    for (int64_t n = p->n0; n < p->n1; n++)
        for (int64_t i = 0; i < c->oh; i++)
            for (int64_t j = 0; j < c->ow; j++) {
                const NAME(window) w = NAME(window_of)(c, i, j);
                const T *x = (const T *)p->x + n * c->h * c->w * c->c + w.at;
                T *y = (T *)p->out + ((n * c->oh + i) * c->ow + j) * c->c;
                int64_t q = 0;
                for (; q + NAME(wide) <= c->c; q += NAME(wide))
                    if (is_max)
                        NAME(max_window)(true, &w, x + q, y + q, NAME(wide));
                    else
                        NAME(avg_window)(true, &w, x + q, y + q, NAME(wide));
                if (q < c->c && is_max)
                    NAME(max_window)(false, &w, x + q, y + q, c->c - q);
                else if (q < c->c)
                    NAME(avg_window)(false, &w, x + q, y + q, c->c - q);
            }
}

static void NAME(pool_back)(const gr__pool *c, const gr__pool_part *p, bool is_max)
{
    const int64_t image = c->h * c->w * c->c;
    if (image <= 0)
        return;
    for (int64_t n = p->n0; n < p->n1; n++) {
        memset((T *)p->out + n * image, 0, (size_t)image * sizeof(T));
        for (int64_t i = 0; i < c->oh; i++)
            for (int64_t j = 0; j < c->ow; j++) {
                const NAME(window) w = NAME(window_of)(c, i, j);
                const T *x = is_max ? (const T *)p->x + n * image + w.at : NULL;
                const T *dy = (const T *)p->dy + ((n * c->oh + i) * c->ow + j) * c->c;
                T *dx = (T *)p->out + n * image + w.at;
                int64_t q = 0;
                for (; q + NAME(wide) <= c->c; q += NAME(wide))
                    if (is_max)
                        NAME(max_window_back)(true, &w, x + q, dy + q, dx + q, NAME(wide));
                    else
                        NAME(avg_window_back)(true, &w, dy + q, dx + q, NAME(wide));
                if (q < c->c && is_max)
                    NAME(max_window_back)(false, &w, x + q, dy + q, dx + q, c->c - q);
                else if (q < c->c)
                    NAME(avg_window_back)(false, &w, dy + q, dx + q, c->c - q);
            }
    }
}
