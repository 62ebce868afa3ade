/* Two elementwise ops in one pass over a tile, for chains that are limited by loads and stores, and what an adaptive
 * optimizer does with moments and step.  The bits are those of the single passes: nothing is contracted. */
#ifndef GR_KERNELS_PAIR_H
#define GR_KERNELS_PAIR_H

#include "ops/kernels/tile.h"

/* The float kernel of outer(.. inner(..) ..), where operand `at` of outer is inner's result; its operands are inner's
 * and then outer's other one, if it has one.  NULL if there is none: only the commonest pairs have a kernel. */
gr_tile_fn gr__tile_pair(gr_tile_fn inner, gr_tile_fn outer, int at);
enum { GR__PAIR_OPERANDS = 9 }; /* of a joined kernel at most; those past GR_TILE_INPUTS are attr, an array of them */
/* The same for kernels of this file as inner or outer one: b + (a * s - b) * c, b + ((a * s)^2 - b) * c,
 * m * r / (sqrt(v) + e) and w minus that; relu(a * s + c), b * t + (a * s + c) and where(x > c, a + b, c), of batch
 * norm and its gradient.  NULL if there is none. */
gr_tile_fn gr__tile_longer(gr_tile_fn inner, gr_tile_fn outer, int at);
/* An adaptive optimizer's whole update in one pass: the root and the division of the step take longer than all memory
 * traffic, which goes on meanwhile.  Operands: w, y's place, and g; b, c, r, e and, if the kernels of the moments scale
 * g, s, a number each; m and v, results too.  What is no number is dense along a row.
 *     m += (g s - m) b    v += ((g s)^2 - v) c    w -= m r / (sqrt(v) + e)
 * NULL if these are not the kernels of the two moments and the step. */
gr_tile_fn gr__tile_update(gr_tile_fn m, gr_tile_fn v, gr_tile_fn step);
/* May an inner kernel be computed twice, where it has two readers?  Where it is cheaper than a load: mul in the first
 * two above. */
bool gr__tile_twice(gr_tile_fn inner, gr_tile_fn both);
/* The float kernel of b + (a * a - b) * c if `inner` is a * a - b and `outer` .. * c + b; else NULL. */
gr_tile_fn gr__tile_square_lerp(gr_tile_fn inner, gr_tile_fn outer);
/* The float kernel of b + (a - b) * c, of two passes' bits, if `pair` is that of mul(sub(a, b), c) and outer adds; else
 * NULL. */
gr_tile_fn gr__tile_lerp(gr_tile_fn pair, gr_tile_fn outer);
/* Float kernels of two results, for rows of columns that lie side by side: x[2] is the second. NULL if there is none.
 *     gelu(a + b) and a + b: if `outer` is gelu_tanh of what `inner`, add, makes
 *     b * slope(a) and gelu(a): if `inner` is gelu_tanh of what `slope` is the slope of, and `outer` multiplies it */
gr_tile_fn gr__tile_sum_gelu(gr_tile_fn inner, gr_tile_fn outer);
gr_tile_fn gr__tile_gelu_slope(gr_tile_fn inner, gr_tile_fn slope, gr_tile_fn outer);
/* The float kernel of where(a > b, c, b), a relu's gradient, if `inner` is greater and outer where; else NULL. */
gr_tile_fn gr__tile_masked(gr_tile_fn inner, gr_tile_fn outer);

#endif
