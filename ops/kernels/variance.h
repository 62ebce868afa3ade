/* Variances of a panel, in two passes: the mean, then the squared deviations from it. What rounding has left of the
 * mean shows in the sum of the deviations, which ought to be 0. A part of a panel has all three, its moments, and those
 * of several parts give the variance of all, as exactly as if there were one. variance.c picks the build for the CPU,
 * holds the double ones and puts parts together; variance.isa.c has the float ones.
 *
 * Bits as in panel.h: the order of a sum depends on the panel's size alone.
 *   source   Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance: (1.7), and (2.1) for parts */
#ifndef GRAPE_OPS_KERNELS_VARIANCE_H
#define GRAPE_OPS_KERNELS_VARIANCE_H

#include "ops/kernels/panel.h"

typedef enum { GR__OF_COLUMNS, GR__OF_ROWS, GR__OF_ALL } gr__moments_of; /* a result per column, row; one */

/* y[i], y[n + i], y[2 n + i]: the mean of result i, the deviations' sum, and their squares'. The panel's kind plays no
 * part. */
void gr__panel_moments(const gr__panel *p, gr__moments_of of, int64_t n, bool f64);
/* y[i]: the variance */
void gr__panel_variance(const gr__panel *p, gr__moments_of of, bool f64);
/* Moments of n results over n_to elements each become those over n_more others as well. */
void gr__moments_add(void *to, double n_to, const void *more, double n_more, int64_t n, bool f64);
/* Parts of count[k] elements, each with the moments of n results. */
typedef struct {
    int64_t parts, n;
    const double *count;
    const void *moments;
} gr__moments_parts;
/* y[i]: the variance over all parts, for results begin .. end */
void gr__variance_of_parts(const gr__moments_parts *p, int64_t begin, int64_t end, void *y, bool f64);

/* Moments of the columns, of the rows. One pair of these per instruction set. */
#define GR_VARIANCE_BUILD(isa)                                                                                         \
    void gr__moments_rows_##isa(const gr__panel *p, int64_t n);                                                        \
    void gr__moments_cols_##isa(const gr__panel *p, int64_t n);
GR_VARIANCE_BUILD(base)
#ifdef __x86_64__
GR_VARIANCE_BUILD(avx2)
GR_VARIANCE_BUILD(avx512)
#endif

#endif
