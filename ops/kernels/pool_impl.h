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
/* gcc 12 would convert one lane after the other */
#if defined(GR_VEC_256) || (defined(GR_VEC_512) && !defined(GR_EMULATE_AVX512))
#define WIDEN_f32(x, p) __asm__("vpmovzxbd %1, %0" : "=v"(x) : "m"(p))
#define WIDEN_f64(x, p) __asm__("vpmovzxbq %1, %0" : "=v"(x) : "m"(p))
#else
#define WIDEN_f32(x, p) x = __builtin_convertvector(p, mask_f32)
#define WIDEN_f64(x, p) x = __builtin_convertvector(p, mask_f64)
#endif
#define NARROW_f64(x, code) x = __builtin_convertvector(code, bytes_f64)
#ifdef GR_VEC_256
typedef uint8_t sixteen __attribute__((vector_size(16)));
#define NARROW_f32(to, code)                                                                             \
    do {                                                                                                 \
        sixteen s_;                                                                                      \
        __asm__("vextracti128 $1, %t1, %0\n\tvpackusdw %0, %x1, %0\n\tvpackuswb %0, %0, %0" : "=&x"(s_) \
                : "x"(code));                                                                            \
        memcpy(&to, &s_, sizeof to);                                                                     \
    } while (0)
#else
#define NARROW_f32(x, code) x = __builtin_convertvector(code, bytes_f32)
#endif
#endif
typedef uint8_t NAME(bytes) __attribute__((vector_size(VECTOR_BYTES / sizeof(T))));
typedef uint8_t NAME(bytes_unaligned) __attribute__((vector_size(VECTOR_BYTES / sizeof(T)), aligned(1), may_alias));
typedef int32_t NAME(ints) __attribute__((vector_size(4 * VECTOR_BYTES / sizeof(T))));

GR_INLINE NAME(v) NAME(choose)(NAME(mask) m, NAME(v) a, NAME(v) b)
{
    return (NAME(v))(((NAME(mask))a & m) | ((NAME(mask))b & ~m));
}

/* Codes of n channels from element `at` on, a lane each; the other lanes are neither read nor written. */
GR_INLINE NAME(mask) NAME(load_code)(const gr__pool_part *p, int64_t at, int64_t n)
{
    NAME(mask) code;
    if (p->wide) {
        NAME(ints) wide = {0};
        memcpy(&wide, (const int32_t *)p->code + at, (size_t)n * sizeof(int32_t));
        return __builtin_convertvector(wide, NAME(mask));
    }
    const uint8_t *from = (const uint8_t *)p->code + at;
    if (n == NAME(lanes)) {
        NAME(WIDEN)(code, *(const NAME(bytes_unaligned) *)from);
        return code;
    }
    NAME(bytes) narrow = {0};
    memcpy(&narrow, from, (size_t)n);
    NAME(WIDEN)(code, narrow);
    return code;
}
GR_INLINE void NAME(store_code)(const gr__pool_part *p, int64_t at, NAME(mask) code, int64_t n)
{
    if (p->wide) {
        NAME(ints) wide = __builtin_convertvector(code, NAME(ints));
        memcpy((int32_t *)p->code + at, &wide, (size_t)n * sizeof(int32_t));
        return;
    }
    NAME(bytes) narrow;
    NAME(NARROW)(narrow, code);
    if (n == NAME(lanes))
        memcpy((uint8_t *)p->code + at, &narrow, sizeof narrow);
    else
        memcpy((uint8_t *)p->code + at, &narrow, (size_t)n);
}

/* The part of a window that lies in the image: ny x nx taps, the first of them tap (r, s), its pixel `at` elements into
 * the image. */
typedef struct {
    int64_t ny, nx, r, s, at, row, col; /* row, col: elements from tap to tap */
} NAME(window);

/* Of a row of windows; across() goes on to one of them. */
static NAME(window) NAME(window_down)(const gr__pool *c, int64_t i)
{
    const int64_t y = i * c->stride_h - c->pad_top;
    NAME(window) w = {.row = c->dilation_h * c->w * c->c, .col = c->dilation_w * c->c};
    w.ny = inside(y, c->dilation_h, c->kh, c->h, &w.r);
    w.at = (y + w.r * c->dilation_h) * c->w * c->c;
    return w;
}
GR_INLINE NAME(window) NAME(across)(const gr__pool *c, NAME(window) w, int64_t j)
{
    const int64_t x = j * c->stride_w - c->pad_left;
    if (x >= 0 && x + (c->kw - 1) * c->dilation_w < c->w)
        w.nx = c->kw;
    else
        w.nx = inside(x, c->dilation_w, c->kw, c->w, &w.s);
    w.at += (x + w.s * c->dilation_w) * c->c;
    if (w.ny == 0 || w.nx == 0)
        w.ny = w.nx = 0;
    return w;
}

/* What is done to a window. */
typedef enum { NAME(MAX), NAME(AVG), NAME(PICK) } NAME(what);

/* The largest; a NaN is never beaten. ny x nx taps, `number` the first one's, the next rows' `taps` on. */
GR_INLINE void NAME(max_window)(const int nv, int64_t ny, int64_t nx, const NAME(window) *w, int64_t number,
    int64_t taps, const T *x, const gr__pool_part *p, int64_t at, int64_t n)
{
    NAME(v) best[4], a[4];
    NAME(mask) won[4];
    UNROLL for (int v = 0; v < nv; v++)
        best[v] = (T)-INFINITY - (NAME(v)){0}, won[v] = (int)number - (NAME(mask)){0};
    if (ny > 0)
        NAME(load_block)(nv, best, x, n);
    for (int64_t r = 0; r < ny; r++)
        for (int64_t s = r == 0; s < nx; s++) {
            NAME(load_block)(nv, a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < nv; v++) {
                NAME(mask) wins = ~(NAME(mask))(a[v] <= best[v]) & (NAME(mask))(best[v] == best[v]);
                best[v] = NAME(choose)(wins, a[v], best[v]);
                won[v] = (wins & ((int)(number + r * taps + s) - (NAME(mask)){0})) | (~wins & won[v]);
            }
        }
    NAME(store_block)(nv, (T *)p->out + at, best, n);
    UNROLL for (int v = 0; v < nv; v++)
        if (p->code)
            NAME(store_code)(p, at + v * NAME(lanes), won[v], nv > 1 ? NAME(lanes) : n);
}

/* The element that the code names; 0 if that lies outside the image */
GR_INLINE void NAME(pick_window)(const int nv, const NAME(window) *w, int64_t number, int64_t taps, const T *x,
    const gr__pool_part *p, int64_t at, int64_t n)
{
    NAME(v) y[4] = {{0}}, a[4];
    NAME(mask) code[4];
    UNROLL for (int v = 0; v < nv; v++)
        code[v] = NAME(load_code)(p, at + v * NAME(lanes), nv > 1 ? NAME(lanes) : n);
    for (int64_t r = 0; r < w->ny; r++)
        for (int64_t s = 0; s < w->nx; s++) {
            NAME(load_block)(nv, a, x + r * w->row + s * w->col, n);
            UNROLL for (int v = 0; v < nv; v++)
                y[v] = NAME(choose)(
                    (NAME(mask))(code[v] == ((int)(number + r * taps + s) - (NAME(mask)){0})), a[v], y[v]);
        }
    NAME(store_block)(nv, (T *)p->out + at, y, n);
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

/* All channels of the share of one window, whose result is element `at`. x: the image. */
GR_INLINE void NAME(pool_window)(const gr__pool *c, const gr__pool_part *p, const NAME(window) *w, const T *x,
    int64_t at, NAME(what) what)
{
    const int64_t number = w->r * c->kw + w->s;
    x += w->ny > 0 ? w->at : 0;
    for (int64_t q = p->c0, m; q < p->c1; q += m) {
        m = NAME(block)(p->c1 - q);
        if (what == NAME(AVG))
            BY_VECTORS(m, NAME(avg_window), w, x + q, (T *)p->out + at + q, m);
        else if (what == NAME(PICK))
            BY_VECTORS(m, NAME(pick_window), w, number, c->kw, x + q, p, at + q, m);
        else if (w->ny == 2 && w->nx == 2)
            BY_VECTORS(m, NAME(max_window), 2, 2, w, number, c->kw, x + q, p, at + q, m);
        else
            BY_VECTORS(m, NAME(max_window), w->ny, w->nx, w, number, c->kw, x + q, p, at + q, m);
    }
}

static void NAME(pool_each)(const gr__pool *c, const gr__pool_part *p, NAME(what) what)
{
    const int64_t pixels = c->oh * c->ow;
    for (int64_t n = pixels > 0 ? p->r0 / pixels : 0; n * pixels < p->r1; n++) {
        const T *x = (const T *)p->x + n * c->h * c->w * c->c;
        box part[3];
        const int boxes = boxes_of(p->r0 - n * pixels, p->r1 - n * pixels, c->oh, c->ow, part);
        for (int q = 0; q < boxes; q++)
            for (int64_t i = part[q].i0; i < part[q].i1; i++) {
                const NAME(window) down = NAME(window_down)(c, i);
                for (int64_t j = part[q].j0; j < part[q].j1; j++) {
                    const NAME(window) w = NAME(across)(c, down, j);
                    NAME(pool_window)(c, p, &w, x, (n * pixels + i * c->ow + j) * c->c, what);
                }
            }
    }
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* What one pixel gets of the window whose results are elements `at` on, by tap number `tap`: dy where the code names
 * it, or dy / count. */
GR_INLINE void NAME(give)(const int nv, const gr__pool_part *p, int64_t at, int64_t tap, T count, bool add, T *dx,
    int64_t n)
{
    NAME(v) d[4], a[4];
    NAME(load_block)(nv, d, (const T *)p->dy + at, n);
    if (add)
        NAME(load_block)(nv, a, dx, n);
    UNROLL for (int v = 0; v < nv; v++) {
        if (p->code)
            d[v] = (NAME(v))((NAME(mask))d[v] &
                             (NAME(mask))(NAME(load_code)(p, at + v * NAME(lanes), nv > 1 ? NAME(lanes) : n) ==
                                          ((int)tap - (NAME(mask)){0})));
        else
            d[v] /= count - (NAME(v)){0};
        if (add)
            d[v] += a[v];
    }
    NAME(store_block)(nv, dx, d, n);
}

/* Windows o0 <= o < o1 reach position x of one axis, window o by tap x + pad - o*stride over the dilation, if that
 * divides. */
GR_INLINE void NAME(reaching)(int64_t x, int64_t kernel, int64_t dilation, int64_t stride, int64_t pad, int64_t count,
    int64_t *o0, int64_t *o1)
{
    const int64_t behind = x + pad - (kernel - 1) * dilation;
    *o0 = behind > 0 ? (behind + stride - 1) / stride : 0;
    *o1 = least(count, (x + pad) / stride + 1);
}

/* Pixel (y, x) of an image: windows i0 to i1 reach its row, j0 to j1 its column; o: the image's first result. */
GR_INLINE void NAME(back_pixel)(const gr__pool *c, const gr__pool_part *p, int64_t y, int64_t x, int64_t i0,
    int64_t i1, int64_t j0, int64_t j1, int64_t o, T *dx)
{
    bool add = false;
    for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++) {
            const int64_t down = y + c->pad_top - i * c->stride_h, over = x + c->pad_left - j * c->stride_w;
            int64_t r = down, s = over, first, count = 0;
            if (c->dilation_h != 1 || c->dilation_w != 1) {
                r = down / c->dilation_h, s = over / c->dilation_w;
                if (r * c->dilation_h != down || s * c->dilation_w != over)
                    continue;
            }
            if (!p->code)
                count = inside(y - down, c->dilation_h, c->kh, c->h, &first) *
                        inside(x - over, c->dilation_w, c->kw, c->w, &first);
            const int64_t at = o + (i * c->ow + j) * c->c;
            for (int64_t q = p->c0, m; q < p->c1; q += m) {
                m = NAME(block)(p->c1 - q);
                if (add)
                    BY_VECTORS(m, NAME(give), p, at + q, r * c->kw + s, (T)count, true, dx + q, m);
                else
                    BY_VECTORS(m, NAME(give), p, at + q, r * c->kw + s, (T)count, false, dx + q, m);
            }
            add = true;
        }
    if (!add)
        memset(dx + p->c0, 0, (size_t)(p->c1 - p->c0) * sizeof(T));
}

/* Windows side by side, in the usual case: pixels x0 to x1 of a row, which is row r of the windows whose results begin
 * at element `at`. Results and codes are read once for all their pixels. */
GR_INLINE void NAME(give_row)(const int nv, const bool is_max, const gr__pool *c, const gr__pool_part *p, int64_t r,
    int64_t rows, int64_t at, int64_t x0, int64_t x1, T *dx, int64_t n)
{
    const int64_t channels = c->c, kw = c->kw, stride = c->stride_w, pad = c->pad_left, windows = c->ow;
    int64_t j = (x0 + pad) / stride, s = x0 + pad - j * stride, x = x0, first;
    NAME(v) d[4], zero[4] = {{0}};
    NAME(mask) code[4] = {{0}};
    for (; x < x1 && j < windows; j++, s = 0) {
        NAME(load_block)(nv, d, (const T *)p->dy + at + j * channels, n);
        const T count = is_max ? 1 : (T)(rows * inside(j * stride - pad, 1, kw, c->w, &first));
        UNROLL for (int v = 0; v < nv; v++) {
            if (is_max)
                code[v] = NAME(load_code)(p, at + j * channels + v * NAME(lanes), nv > 1 ? NAME(lanes) : n);
            else
                d[v] /= count - (NAME(v)){0};
        }
        for (; s < kw && x < x1; s++, x++) {
            NAME(v) y[4];
            UNROLL for (int v = 0; v < nv; v++) {
                NAME(mask) own = (NAME(mask))(code[v] == ((int)(r * kw + s) - (NAME(mask)){0}));
                y[v] = is_max ? (NAME(v))((NAME(mask))d[v] & own) : d[v];
            }
            NAME(store_block)(nv, dx + x * channels, y, n);
        }
        for (; s < stride && x < x1; s++, x++)
            NAME(store_block)(nv, dx + x * channels, zero, n);
    }
    for (; x < x1; x++)
        NAME(store_block)(nv, dx + x * channels, zero, n);
}

/* Row y of an image; o: its first result; dx: the row. */
static void NAME(back_row)(const gr__pool *c, const gr__pool_part *p, int64_t y, int64_t x0, int64_t x1, int64_t o,
    T *dx)
{
    int64_t i0, i1, j0, j1, first;
    NAME(reaching)(y, c->kh, c->dilation_h, c->stride_h, c->pad_top, c->oh, &i0, &i1);
    if (c->dilation_h == 1 && c->dilation_w == 1 && c->kh <= c->stride_h && c->kw <= c->stride_w && i0 < i1) {
        const int64_t down = y + c->pad_top - i0 * c->stride_h;
        const int64_t rows = inside(y - down, 1, c->kh, c->h, &first);
        for (int64_t q = p->c0, m; q < p->c1; q += m) {
            m = NAME(block)(p->c1 - q);
            const int64_t at = o + i0 * c->ow * c->c + q;
            if (p->code)
                BY_VECTORS(m, NAME(give_row), true, c, p, down, rows, at, x0, x1, dx + q, m);
            else
                BY_VECTORS(m, NAME(give_row), false, c, p, down, rows, at, x0, x1, dx + q, m);
        }
        return;
    }
    for (int64_t x = x0; x < x1; x++) {
        NAME(reaching)(x, c->kw, c->dilation_w, c->stride_w, c->pad_left, c->ow, &j0, &j1);
        NAME(back_pixel)(c, p, y, x, i0, i1, j0, j1, o, dx + x * c->c);
    }
}

static void NAME(pool_back)(const gr__pool *c, const gr__pool_part *p)
{
    const int64_t pixels = c->h * c->w;
    if (p->c1 <= p->c0)
        return;
    for (int64_t n = pixels > 0 ? p->r0 / pixels : 0; n * pixels < p->r1; n++) {
        box part[3];
        const int boxes = boxes_of(p->r0 - n * pixels, p->r1 - n * pixels, c->h, c->w, part);
        for (int q = 0; q < boxes; q++)
            for (int64_t y = part[q].i0; y < part[q].i1; y++)
                NAME(back_row)(c, p, y, part[q].j0, part[q].j1, n * c->oh * c->ow * c->c,
                    (T *)p->out + (n * pixels + y * c->w) * c->c);
    }
}
