/* The one loop of all float tile kernels: an operand with one value per row is spread over a vector on the stack and
 * read again and again with step 0.  The last lanes of a row are read and written under a mask, through the same
 * arithmetic. */
#ifndef GR_KERNELS_TILE_LOOP_H
#define GR_KERNELS_TILE_LOOP_H

#include "ops/kernels/tile.h"
#include "ops/kernels/vmath.h"

enum { FEW_ROWS = 8, NARROW = 4 * GR_W }; /* rows so short that starting each costs more than its vectors */
/* Vectors of a cache line: where rows share few sets of the cache, a line that is left half done is gone. */
enum { LINE = 16 / GR_W };

typedef vf (*lane_fn)(vf a, vf b, vf c, const vf *p);

/* Where an operand is read: the vector at x moves on by step floats (GR_W, or 0 where a row has one value) within a
 * row, and by row from one row to the next. */
typedef struct {
    const float *x;
    int64_t step, row;
} reader;

/* y[0..n) = f(a, b, c); operands beyond the arity are not read */
GR_INLINE void strip(float *y, int64_t n, int arity, reader a, reader b, reader c, lane_fn f, const vf *p)
{
    const vf none = {0};
    for (; n >= GR_W; n -= GR_W, y += GR_W) {
        vf u = vf_load(a.x), v = arity > 1 ? vf_load(b.x) : none, w = arity > 2 ? vf_load(c.x) : none;
        a.x += a.step, b.x += b.step, c.x += c.step;
        vf_store(y, f(u, v, w, p));
    }
    if (n > 0) {
        vf u = a.step ? vf_load_n(a.x, n) : vf_load(a.x);
        vf v = arity < 2 ? none : b.step ? vf_load_n(b.x, n) : vf_load(b.x);
        vf w = arity < 3 ? none : c.step ? vf_load_n(c.x, n) : vf_load(c.x);
        vf_store_n(y, f(u, v, w, p), n);
    }
}

/* The same down n vectors' width of `rows` rows. */
GR_INLINE void down(
    float *y, int64_t y_row, int64_t rows, int n, int arity, reader a, reader b, reader c, lane_fn f, const vf *p)
{
    const vf none = {0};
    for (; rows > 0; rows--, y += y_row) {
        for (int k = 0; k < n; k++) {
            vf u = vf_load(a.x + k * a.step), v = arity > 1 ? vf_load(b.x + k * b.step) : none;
            vf w = arity > 2 ? vf_load(c.x + k * c.step) : none;
            vf_store(y + k * GR_W, f(u, v, w, p));
        }
        a.x += a.row, b.x += b.row, c.x += c.row;
    }
}

GR_INLINE reader reader_of(const float *x, int64_t row, int64_t col, vf *spread)
{
    if (col)
        return (reader){x, GR_W, row};
    *spread = vf_set1(*x);
    return (reader){(const float *)spread, 0, 0};
}

GR_INLINE void tile(const gr_tile *t, int arity, lane_fn f, int n_params)
{
    const gr__tile_size flat = gr__tile_flat(t);
    vf p[2] = {{0}}, spread[3];
    reader a = {0}, b = {0}, c = {0};
    bool again = false; /* is a spread value to be read anew in each row? */
    if (flat.rows < 1 || flat.cols < 1)
        return;
    for (int i = 0; i < n_params; i++)
        p[i] = vf_set1((float)((const double *)t->attr)[i]);
    a = reader_of(t->x[0].data, t->x[0].row, gr__tile_step(t, flat, &t->x[0]), &spread[0]);
    b = arity > 1 ? reader_of(t->x[1].data, t->x[1].row, gr__tile_step(t, flat, &t->x[1]), &spread[1]) : b;
    c = arity > 2 ? reader_of(t->x[2].data, t->x[2].row, gr__tile_step(t, flat, &t->x[2]), &spread[2]) : c;
    for (int k = 0; k < arity; k++)
        again = again || (!t->x[k].col && t->x[k].row);
    float *y = t->y.data;
    if (!again && flat.rows >= FEW_ROWS && flat.cols <= NARROW && flat.cols % GR_W == 0) {
        int64_t k = 0;
        for (; LINE > 1 && k + LINE * GR_W <= flat.cols; k += LINE * GR_W, y += LINE * GR_W) {
            down(y, t->y.row, flat.rows, LINE, arity, a, b, c, f, p);
            a.x += LINE * a.step, b.x += LINE * b.step, c.x += LINE * c.step;
        }
        for (; k < flat.cols; k += GR_W, y += GR_W, a.x += a.step, b.x += b.step, c.x += c.step)
            down(y, t->y.row, flat.rows, 1, arity, a, b, c, f, p);
        return;
    }
    for (int64_t r = 0;;) {
        strip(y, flat.cols, arity, a, b, c, f, p);
        if (++r == flat.rows)
            return;
        y += t->y.row, a.x += a.row, b.x += b.row, c.x += c.row;
        for (int k = 0; k < arity && again; k++)
            if (!t->x[k].col)
                spread[k] = vf_set1(((const float *)t->x[k].data)[r * t->x[k].row]);
    }
}

#endif
