/* Two elementwise ops in one pass over a tile, for chains that are limited by loads and stores.  The bits are those of
 * the two passes: nothing is contracted. */
#ifndef GR_KERNELS_PAIR_H
#define GR_KERNELS_PAIR_H

#include "ops/kernels/tile.h"

/* The float kernel of outer(.. inner(..) ..), where operand `at` of outer is inner's result; its operands are inner's
 * and then outer's other one, if it has one.  NULL if there is none: only the commonest pairs have a kernel. */
gr_tile_fn gr__tile_pair(gr_tile_fn inner, gr_tile_fn outer, int at);
/* The float kernel of b + (a - b) * c, of two passes' bits, if `pair` is that of mul(sub(a, b), c) and outer adds; else
 * NULL. */
gr_tile_fn gr__tile_lerp(gr_tile_fn pair, gr_tile_fn outer);
/* The float kernel of where(a > b, c, b), a relu's gradient, if `inner` is greater and outer where; else NULL. */
gr_tile_fn gr__tile_masked(gr_tile_fn inner, gr_tile_fn outer);

#endif
