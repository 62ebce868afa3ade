/* What pair.c and pair.isa.c share. */
#ifndef GR_KERNELS_PAIR_IMPL_H
#define GR_KERNELS_PAIR_IMPL_H

#include "ops/kernels/pair.h"

enum { GR__PAIR_INNER = 9, GR__PAIR_OUTER = 11 };
typedef struct {
    gr_tile_fn pair[GR__PAIR_INNER][GR__PAIR_OUTER];
    gr_tile_fn lerp, masked;
    gr_tile_fn sum_gelu, gelu_slope; /* NULL, but with AVX2: measured nowhere else */
    gr_tile_fn scale_shift_relu, two_scaled, sum_masked;
    gr_tile_fn scaled_lerp, square_lerp, scaled_square_lerp, ratio, step;
    gr_tile_fn update, scaled_update;
} gr__pairs;

extern const gr__pairs gr__pairs_base;
#ifdef __x86_64__
extern const gr__pairs gr__pairs_avx2, gr__pairs_avx512;
#endif

#endif
