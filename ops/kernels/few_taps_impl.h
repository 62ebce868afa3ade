/* The forward convolution of a network's first layer, whose images have 1 or 3 channels: a 3x3 kernel's tap row is so
 * short that starting a run of the tile costs more than the run, so its length is a constant here. Uses the gather of
 * conv_impl.h, which includes this; a template on T and NAME. Each chain has the order of the tiles. */

#ifndef GR_FEW_TAPS_ONCE
#define GR_FEW_TAPS_ONCE
enum { FEW_ROWS_OF_TAPS = 3, FEW_LONG = 9, FEW_SHORT = 3, FEW_VECTORS = 2 }; /* long: 3 tap columns of 3 channels */
#endif

#ifdef GR_VEC_256
/* Like a tile of one run a tap row, each of `length` steps; a_tap, b_tap: from one to the next */
GR_INLINE void NAME(few_tile)(const int mr, const int nv, const int length, const NAME(terms) *t, T *c, int64_t c_row)
{
    NAME(v) acc[TILE_ROWS][TILE_VECTORS];
    const T *a = t->a, *b = t->b;
    int64_t row = t->a_row * (int64_t)sizeof(T), three = 3 * row, five = 5 * row;
    NAME(tile_zero)(mr, nv, acc);
    for (int r = 0; r < FEW_ROWS_OF_TAPS; r++, a += t->a_step[0]) {
        const T *w_row = b + r * t->b_step[0];
        AS_NEW(three);
        UNROLL for (int p = 0; p < length; p++, w_row += t->b_row) {
            NAME(v) w[FEW_VECTORS];
            UNROLL for (int v = 0; v < nv; v++)
                w[v] = NAME(load)(w_row + v * NAME(lanes));
            UNROLL for (int i = 0; i < mr; i++) {
                NAME(v) x = NAME(tile_a)(i, a + p, a + p, row, three, five) - (NAME(v)){0};
                UNROLL for (int v = 0; v < nv; v++)
                    acc[i][v] += x * w[v];
            }
        }
    }
    NAME(tile_store)(mr, nv, acc, c, c_row, t->last);
}

typedef void NAME(few_fn)(const NAME(terms) *t, T *c, int64_t c_row);
#define FEW_TILE(mr, nv, length)                                                                \
    static void NAME(few_tile_##mr##x##nv##x##length)(const NAME(terms) *t, T *c, int64_t c_row) \
    {                                                                                           \
        NAME(few_tile)(mr, nv, length, t, c, c_row);                                            \
    }
#define FEW_TILES(F, nv, length) F(1, nv, length) F(2, nv, length) F(3, nv, length) F(4, nv, length) F(5, nv, length) \
    F(6, nv, length)
#define ALL_FEW_TILES(F) FEW_TILES(F, 1, 3) FEW_TILES(F, 2, 3) FEW_TILES(F, 1, 9) FEW_TILES(F, 2, 9)
ALL_FEW_TILES(FEW_TILE)
static NAME(few_fn) *const NAME(few_tiles)[2][TILE_ROWS + 1][FEW_VECTORS + 1] = {
#define FEW_ENTRY(mr, nv, length) [(length) == FEW_LONG][mr][nv] = NAME(few_tile_##mr##x##nv##x##length),
    ALL_FEW_TILES(FEW_ENTRY)
};
#endif

/* Is this for output row i? */
static bool NAME(few_taps)(const NAME(gather) *g, const NAME(view) *in, int64_t i, int nv)
{
#ifdef GR_VEC_256
    const int64_t length = g->ns * g->depth;
    int64_t r0;
    return (length == FEW_SHORT || length == FEW_LONG) && nv <= FEW_VECTORS && g->nr == FEW_ROWS_OF_TAPS &&
           ((g->dx * in->pixel == g->depth && g->tap_col == g->depth) || g->ns == 1) &&
           inside(i * g->step_y + g->y0, g->dy, g->nr, g->in_h, &r0) == FEW_ROWS_OF_TAPS;
#else
    (void)g, (void)in, (void)i, (void)nv;
    return false;
#endif
}

/* The same as gather_row. */
static void NAME(few_row)(const NAME(gather) *g, const NAME(view) *in, const T *w, int64_t w_row, int64_t i, int64_t c,
    int64_t n, int nv)
{
#ifdef GR_VEC_256
    NAME(terms) t = {.a_step = {g->dy * in->row, 0}, .b_step = {g->tap_row * w_row, 0}, .a_row = g->step_x * in->pixel,
        .b = w, .b_row = w_row, .last = n - (nv - 1) * NAME(lanes)};
    const T *from = in->at + (i * g->step_y + g->y0) * in->row + g->x0 * in->pixel;
    T *to = g->out + i * g->out_row + c;
    const int64_t blocks = (g->cols + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t j = 0, q = 0, mr; q < blocks; q++, j += mr) {
        mr = (g->cols - j + blocks - q - 1) / (blocks - q);
        t.a = from + j * t.a_row;
        NAME(few_tiles)[g->ns * g->depth == FEW_LONG][mr][nv](&t, to + j * g->out_col, g->out_col);
    }
#else
    (void)g, (void)in, (void)w, (void)w_row, (void)i, (void)c, (void)n, (void)nv;
#endif
}
