/* Tile kernels: one function per elementwise op and compute type that works through a tile of rows and columns
 * (gr_tile, core/op.h).  Float kernels are built once per instruction set from tile.isa.c, double ones from tile64.c.
 * Inside a tile a bool is the compute type's 1 or 0.  The caller sets FTZ and DAZ. */
#ifndef GR_KERNELS_TILE_H
#define GR_KERNELS_TILE_H

#include "core/cpu.h"
#include "core/op.h"

enum {
#define OP1(name, ...)  GR__TILE_##name,
#define OP1P(name, ...) GR__TILE_##name,
#define OP2(name, ...)  GR__TILE_##name,
#define OP3(name, ...)  GR__TILE_##name,
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3
    GR__TILE_copy,        /* y = x */
    GR__TILE_copy_bool,   /* y = x is not 0 */
    GR__TILE_copy_single, /* y = x rounded to float precision */
    GR__TILE_COUNT
};

/* The kernel of a row; never NULL, except for integer ops. All of the float ones. */
const gr_tile_fn *gr__tiles_f32(void);
static inline gr_tile_fn gr__tile_f32(int row)
{
    return gr__tiles_f32()[row];
}
gr_tile_fn gr__tile_f64(int row);
/* All float kernels of one instruction set; NULL if this build or machine has none. For tests. */
const gr_tile_fn *gr__tiles_of(gr_isa isa);

/* The same tile in as few rows as its strides allow: one if nothing but whole rows is stepped over, or if rows have one
 * element; then an operand's step from column to column is its step from row to row. (Not as another gr_tile: a copy of
 * what the caller has just stored in pieces waits until all earlier stores have left for the cache.) */
typedef struct {
    int64_t rows, cols;
} gr__tile_size;
gr__tile_size gr__tile_flat(const gr_tile *t);
static inline int64_t gr__tile_step(const gr_tile *t, gr__tile_size flat, const gr_tile_arg *x)
{
    return t->cols == 1 && flat.cols > 1 ? x->row : x->col;
}

#endif
