/* Finds the kernel of a pair; see pair.h. */
#include "ops/kernels/pair_impl.h"

static const int inners[GR__PAIR_INNER] = {GR__TILE_add, GR__TILE_sub, GR__TILE_mul, GR__TILE_div, GR__TILE_square,
    GR__TILE_sqrt, GR__TILE_neg, GR__TILE_relu, GR__TILE_exp};
/* Per column of the table: the outer op, and which operand of it the inner result is (-1: either). */
static const struct {
    int op, at;
} outers[GR__PAIR_OUTER] = {{GR__TILE_add, -1}, {GR__TILE_mul, -1}, {GR__TILE_sub, 0}, {GR__TILE_sub, 1},
    {GR__TILE_div, 0}, {GR__TILE_div, 1}, {GR__TILE_square, 0}, {GR__TILE_sqrt, 0}, {GR__TILE_neg, 0},
    {GR__TILE_relu, 0}, {GR__TILE_exp, 0}};

static const gr__pairs *pairs(void)
{
#ifdef __x86_64__
    gr_isa isa = gr__cpu_isa();
    return isa == GR_ISA_AVX512 ? &gr__pairs_avx512 : isa == GR_ISA_AVX2 ? &gr__pairs_avx2 : &gr__pairs_base;
#else
    return &gr__pairs_base;
#endif
}

gr_tile_fn gr__tile_pair(gr_tile_fn inner, gr_tile_fn outer, int at)
{
    const gr_tile_fn *tile = gr__tiles_f32();
    for (int i = 0; i < GR__PAIR_INNER; i++)
        for (int k = 0; k < GR__PAIR_OUTER && inner == tile[inners[i]]; k++)
            if (outer == tile[outers[k].op] && (outers[k].at < 0 || outers[k].at == at))
                return pairs()->pair[i][k];
    return NULL;
}

static gr_tile_fn pair_of(int inner, int outer, int at)
{
    return gr__tile_pair(gr__tile_f32(inner), gr__tile_f32(outer), at);
}

gr_tile_fn gr__tile_longer(gr_tile_fn inner, gr_tile_fn outer, int at)
{
    const gr__pairs *p = pairs();
    const gr_tile_fn scale_shift = pair_of(GR__TILE_mul, GR__TILE_add, 0);
    if (inner == scale_shift && outer == gr__tile_f32(GR__TILE_relu))
        return p->scale_shift_relu;
    if (inner == scale_shift && outer == scale_shift && at == 2)
        return p->two_scaled;
    if (inner == gr__tile_f32(GR__TILE_add) && outer == p->masked && at == 2)
        return p->sum_masked;
    const bool scales = inner == gr__tile_f32(GR__TILE_mul) && at == 0;
    if (scales && outer == p->lerp)
        return p->scaled_lerp;
    if ((scales && outer == p->square_lerp) ||
        (inner == pair_of(GR__TILE_mul, GR__TILE_square, 0) && outer == p->lerp && at == 0))
        return p->scaled_square_lerp;
    if (inner == pair_of(GR__TILE_sqrt, GR__TILE_add, 0) && outer == pair_of(GR__TILE_mul, GR__TILE_div, 0) && at == 2)
        return p->ratio;
    return inner == p->ratio && outer == gr__tile_f32(GR__TILE_sub) && at == 1 ? p->step : NULL;
}

gr_tile_fn gr__tile_update(gr_tile_fn m, gr_tile_fn v, gr_tile_fn step)
{
    const gr__pairs *p = pairs();
    if (step != p->step)
        return NULL;
    if (m == p->lerp && v == p->square_lerp)
        return p->update;
    return m == p->scaled_lerp && v == p->scaled_square_lerp ? p->scaled_update : NULL;
}

bool gr__tile_twice(gr_tile_fn inner, gr_tile_fn both)
{
    return inner == gr__tile_f32(GR__TILE_mul) && (both == pairs()->scaled_lerp || both == pairs()->scaled_square_lerp);
}

gr_tile_fn gr__tile_square_lerp(gr_tile_fn inner, gr_tile_fn outer)
{
    return inner == pair_of(GR__TILE_square, GR__TILE_sub, 0) && outer == pair_of(GR__TILE_mul, GR__TILE_add, 0)
               ? pairs()->square_lerp
               : NULL;
}

gr_tile_fn gr__tile_masked(gr_tile_fn inner, gr_tile_fn outer)
{
    return inner == gr__tile_f32(GR__TILE_greater) && outer == gr__tile_f32(GR__TILE_where) ? pairs()->masked : NULL;
}

gr_tile_fn gr__tile_sum_gelu(gr_tile_fn inner, gr_tile_fn outer)
{
    return inner == gr__tile_f32(GR__TILE_add) && outer == gr__tile_f32(GR__TILE_gelu_tanh) ? pairs()->sum_gelu : NULL;
}

gr_tile_fn gr__tile_gelu_slope(gr_tile_fn inner, gr_tile_fn slope, gr_tile_fn outer)
{
    const bool fits = inner == gr__tile_f32(GR__TILE_gelu_tanh) && slope == gr__tile_f32(GR__TILE_gelu_tanh_slope);
    return fits && outer == gr__tile_f32(GR__TILE_mul) ? pairs()->gelu_slope : NULL;
}

gr_tile_fn gr__tile_lerp(gr_tile_fn pair, gr_tile_fn outer)
{
    return outer == gr__tile_f32(GR__TILE_add) &&
                   pair == gr__tile_pair(gr__tile_f32(GR__TILE_sub), gr__tile_f32(GR__TILE_mul), 0)
               ? pairs()->lerp
               : NULL;
}
