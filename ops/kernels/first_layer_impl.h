/* dW of a network's first layer, whose images have 1 or 3 channels: a tap row is a sliver of a tile, all three of a 3x3
 * kernel together fill one, which reads dy once. Uses the gather and dw_rows of conv_impl.h, which includes this; a
 * template on T and NAME. Each chain has the order of the tiles. */

#ifndef GR_FIRST_LAYER_ONCE
#define GR_FIRST_LAYER_ONCE
enum { FEW_TAP_ROWS = 3, FEW_WIDE = 9 }; /* wide: 3 tap columns of 3 channels */
#endif

/* Output rows i0 to i0 + count, whose taps all lie in the image; `wide` (tap column, channel) pairs. */
GR_INLINE void NAME(dw_few)(const int wide, const int nv, const NAME(gather) *g, const NAME(view) *in, const T *b,
    int64_t b_row, int64_t i0, int64_t count, int64_t last, T *out, int64_t out_row, bool goes_on)
{
    NAME(v) acc[FEW_TAP_ROWS][FEW_WIDE][TILE_VECTORS];
    const int64_t step = g->step_x * in->pixel;
    int64_t tap = g->dy * in->row;
    UNROLL for (int r = 0; r < FEW_TAP_ROWS; r++)
        if (goes_on)
            NAME(tile_load)(wide, nv, acc[r], out + r * wide * out_row, out_row, last);
        else
            NAME(tile_zero)(wide, nv, acc[r]);
    for (int64_t q = 0; q < count; q++) {
        const T *a = in->at + ((i0 + q) * g->step_y + g->y0) * in->row + g->x0 * in->pixel;
        for (int64_t p = 0; p < g->cols; p++, a += step, b += b_row) {
            NAME(v) w[TILE_VECTORS];
            AS_NEW(tap);
            UNROLL for (int v = 0; v < nv - 1; v++)
                w[v] = NAME(load)(b + v * NAME(lanes));
            w[nv - 1] = NAME(load_last)(b + (nv - 1) * NAME(lanes), last);
            UNROLL for (int r = 0; r < FEW_TAP_ROWS; r++)
                UNROLL for (int i = 0; i < wide; i++) {
                    NAME(v) x = a[r * tap + i] - (NAME(v)){0};
                    UNROLL for (int v = 0; v < nv; v++)
                        acc[r][i][v] += x * w[v];
                }
        }
    }
    UNROLL for (int r = 0; r < FEW_TAP_ROWS; r++)
        NAME(tile_store)(wide, nv, acc[r], out + r * wide * out_row, out_row, last);
}

#define DW_FEW(wide, nv)                                                                                             \
    static void NAME(dw_few_##wide##x##nv)(const NAME(gather) *g, const NAME(view) *in, const T *b, int64_t b_row,    \
        int64_t i0, int64_t count, int64_t last, T *out, int64_t out_row, bool goes_on)                              \
    {                                                                                                                \
        NAME(dw_few)(wide, nv, g, in, b, b_row, i0, count, last, out, out_row, goes_on);                             \
    }
DW_FEW(3, 1)
DW_FEW(3, 2)
DW_FEW(9, 1)
#undef DW_FEW

/* Vectors of dw_few, 0 where it is not for this shape or share, or the registers do not hold its sums. */
static int NAME(few_vectors)(const NAME(gather) *g, const gr__conv_part *share, int64_t channels)
{
    const int64_t wide = g->ns * g->depth;
    const bool joined = g->dx == 1 && g->in.pixel == g->depth, all = share->r0 <= 0 && share->r1 >= g->nr * wide;
    if (TILE_ROWS <= 6 || g->nr != FEW_TAP_ROWS || !joined || !all)
        return 0;
    return wide == FEW_WIDE ? 1 : wide != 3 ? 0 : channels > NAME(lanes) ? 2 : 1;
}

/* The same as dw_rows, of up to two vectors. */
static void NAME(dw_few_rows)(const gr__conv *c, const NAME(gather) *g, const NAME(view) *in, const T *b, int64_t b_row,
    int64_t i0, int64_t i1, int64_t n, int nv, T *out, bool goes_on, const gr__conv_part *share)
{
    int64_t top, bottom;
    const int64_t y = i0 * g->step_y + g->y0, tops = inside(y, g->step_y, i1 - i0, g->in_h, &top);
    const int64_t bottoms = inside(y + (g->nr - 1) * g->dy, g->step_y, i1 - i0, g->in_h, &bottom);
    const int64_t first = i0 + most(top, bottom), end = most(first, i0 + least(top + tops, bottom + bottoms));
    const int64_t last = n - (nv - 1) * NAME(lanes), line = g->cols * b_row;
    if (first >= i1 || first == end) {
        NAME(dw_rows)(c, g, in, b, b_row, i0, i1, n, nv, out, goes_on, share);
        return;
    }
    NAME(dw_rows)(c, g, in, b, b_row, i0, first, n, nv, out, goes_on, share);
    goes_on = goes_on || first > i0;
    (g->ns * g->depth == FEW_WIDE ? NAME(dw_few_9x1) : nv == 2 ? NAME(dw_few_3x2) : NAME(dw_few_3x1))(
        g, in, b + (first - i0) * line, b_row, first, end - first, last, out, c->o, goes_on);
    NAME(dw_rows)(c, g, in, b + (end - i0) * line, b_row, end, i1, n, nv, out, true, share);
}
