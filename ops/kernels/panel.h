/* ops/kernels/panel.h: sums (products, greatest, least) of a panel of rows and columns, and loads that convert; what
 * the compiler's tile programs need beside tile.h and gemm.h. panel.c picks the build for the CPU and holds the double
 * ones, panel.isa.c the float ones.
 *
 * Bits: the order of a sum depends on the panel's size alone, and is the same for every instruction set. Down the rows
 * four chains are added in pairs; along a row it is four chains of 16 lanes each, or one chain if it has 16 elements or
 * fewer. */
#ifndef GRAPE_OPS_KERNELS_PANEL_H
#define GRAPE_OPS_KERNELS_PANEL_H

#include "core/op.h"

typedef struct {
    gr_reduce_kind kind;
    int64_t rows, cols; /* at least 1 each */
    const void *x;      /* x[r * row + c] */
    int64_t row;
    void *y;           /* rows: cols elements; cols: rows elements; all: one */
    const void *times; /* not NULL, float sums alone: each x is taken times times[r * times_row + c], rounded before it
                          is added, as if the products had been a panel */
    int64_t times_row;
} gr__panel;

void gr__panel_rows(const gr__panel *p, bool f64); /* y[c] = x[0][c] + x[1][c] + ... */
void gr__panel_cols(const gr__panel *p, bool f64); /* y[r] = x[r][0] + x[r][1] + ... */
void gr__panel_all(const gr__panel *p, bool f64);  /* the sum of the rows' sums */

/* y[i] = x[i * step] as float or double; bool as 1 and 0 */
void gr__load(gr_dtype from, const void *x, int64_t step, int64_t n, void *y, bool f64);
/* Rows of elements that lie side by side. */
typedef struct {
    int64_t rows, cols;
    int64_t x_row, y_row; /* elements from a row to the next */
} gr__rows;
/* y = x as float or double */
void gr__load_rows(const gr__rows *s, gr_dtype from, const void *x, void *y, bool f64);
/* y = x from float or double to a float type or bool (not 0) */
void gr__store_rows(const gr__rows *s, const void *x, gr_dtype to, void *y, bool f64);

/* One set of these per instruction set; tests call each that the CPU has. */
#define GR_PANEL_BUILD(isa)                                                                                            \
    void gr__panel_rows_##isa(const gr__panel *p);                                                                     \
    void gr__panel_cols_##isa(const gr__panel *p);                                                                     \
    void gr__load_u8_##isa(const gr__rows *s, const uint8_t *x, float *y);                                             \
    void gr__store_bool_##isa(const gr__rows *s, const float *x, uint8_t *y);
GR_PANEL_BUILD(base)
#ifdef __x86_64__
GR_PANEL_BUILD(avx2)
GR_PANEL_BUILD(avx512)
#endif

#endif
