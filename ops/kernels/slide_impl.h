/* Convolutions whose taps lie side by side, of stride 1: each input value that is spread over a vector serves all taps
 * of a row at once. Uses the gather of conv_impl.h, which includes this; a template on T and NAME.
 *
 * Forward and dX:
 *     input row      . . . . x . . .        the channels of x, one after the other, are multiplied by those of
 *     sums           . . 2 1 0 . . .        taps 0, 1, 2 and added to three neighbours in the output;
 *                                           then they move on by a pixel: 2 is finished, 1 becomes 2, 0 becomes 1
 * for up to 8 rows together. dW: up to 8 channels of x are multiplied by three neighbours in dy. All is a vector of
 * output channels wide: 24 sums take 8 values and 3 vectors, where a tile of this width takes one value for every sum
 * and is bound by loads.
 *
 * The order of each chain is that of the tiles: one tap row goes over the output after the other and takes up the sums
 * again. Nothing beside the image is read, so there is no band. */

#ifndef GR_SLIDE_ONCE
#define GR_SLIDE_ONCE
enum { SLIDE_ROWS = 8, SLIDE_TAPS = 3 };
#endif

/* a: values p of row i are at i * a_row + p * a_step; b: vectors of tap s at s * b_tap + p * b_step, in bytes */
typedef struct {
    int64_t count, a_row, a_step, b_tap, b_step;
} NAME(slide_terms);

/* The value of row i, which two pointers, 4 rows apart, and two strides address */
GR_INLINE T NAME(slide_value)(const int i, const char *upper, const char *lower, int64_t row, int64_t three)
{
    const char *a = i < 4 ? upper : lower;
    return *(const T *)(i % 4 == 0 ? a : i % 4 == 1 ? a + row : i % 4 == 2 ? a + 2 * row : a + three);
}

/* acc[i][(s + turn) % taps] += sum over p of a's value times b's vector, for taps first to last */
GR_INLINE void NAME(slide_some)(const int rows, const int taps, const int first, const int last, const int turn,
    NAME(v) acc[][SLIDE_TAPS], const NAME(slide_terms) *t, const T *a, const T *b)
{
    int64_t row = t->a_row, three = 3 * row, tap = t->b_tap;
    const char *upper = (const char *)a, *lower = upper + (rows > 4 ? 4 * row : 0), *at = (const char *)b;
    AS_NEW(three);
    for (int64_t p = t->count; p > 0; p--, upper += t->a_step, lower += t->a_step, at += t->b_step) {
        NAME(v) w[SLIDE_TAPS];
        AS_NEW(row); /* its multiples belong into the addresses, there is no room for them in registers */
        AS_NEW(tap);
        UNROLL for (int s = first; s <= last; s++)
            w[s] = NAME(load)((const T *)(at + s * tap));
        UNROLL for (int i = 0; i < rows; i++) {
            NAME(v) x = NAME(slide_value)(i, upper, lower, row, three) - (NAME(v)){0};
            UNROLL for (int s = first; s <= last; s++)
                acc[i][(s + turn) % taps] += x * w[s];
        }
    }
}

/* At an edge: j, the output column of tap 0, and those of some other taps may lie beside the output. */
GR_INLINE void NAME(slide_edge)(const int rows, const int taps, NAME(v) acc[][SLIDE_TAPS], const NAME(slide_terms) *t,
    const T *a, const T *b, int64_t j, int64_t cols)
{
    if (j == taps - 2 && j < cols) /* without the last one */
        NAME(slide_some)(rows, taps, 0, taps - 2, 0, acc, t, a, b);
    else if (j == cols && j >= taps - 1) /* without the first one */
        NAME(slide_some)(rows, taps, 1, taps - 1, 0, acc, t, a, b);
    else
        UNROLL for (int s = 0; s < taps; s++)
            if (j >= s && j - s < cols)
                NAME(slide_some)(rows, taps, s, s, 0, acc, t, a, b);
}

/* ---- forward, dX ------------------------------------------------------------------------------------------------- */

/* One input pixel; sum number s of a row is in acc[i][(s + turn) % taps]. to: the output pixel of tap 0, in column j.
 * Its sums begin with what is there where `begins`; `inner`: every tap's pixel is in the output. */
GR_INLINE void NAME(slide_pixel)(const int rows, const int taps, const int turn, NAME(v) acc[][SLIDE_TAPS],
    const NAME(gather) *g, const NAME(slide_terms) *t, const T *in, const T *w, T *to, int64_t j, const bool begins,
    const bool inner)
{
    const int one = turn % taps, other = (taps - 1 + turn) % taps;
    if (begins)
        UNROLL for (int i = 0; i < rows; i++)
            acc[i][one] = NAME(load)(to + i * g->out_row);
    else
        UNROLL for (int i = 0; i < rows; i++)
            acc[i][one] = (NAME(v)){0};
    if (inner)
        NAME(slide_some)(rows, taps, 0, taps - 1, turn, acc, t, in, w);
    else
        NAME(slide_edge)(rows, taps, acc, t, in, w, j, g->cols);
    if (inner || j >= taps - 1)
        UNROLL for (int i = 0; i < rows; i++)
            NAME(store)(to + i * g->out_row - (taps - 1) * g->out_col, acc[i][other]);
}

/* One tap row of `rows` output rows. in: column 0 of the image in the first one's input row; out: column 0. */
GR_INLINE void NAME(slide)(const int rows, const int taps, const NAME(gather) *g, const T *in, const T *w, T *out,
    const bool goes_on)
{
    NAME(v) acc[SLIDE_ROWS][SLIDE_TAPS];
    const int64_t size = sizeof(T), pixel = g->in.pixel, col = g->out_col, cols = g->cols;
    const NAME(slide_terms) t = {g->depth, g->step_y * g->in.row * size, size, g->tap_col * g->w_row * size,
        g->w_row * size};
    const int64_t begin = most(0, g->x0), end = least(g->in_w, cols + taps - 1 + g->x0);
    int64_t j = begin - g->x0, left = end - begin; /* j: the output column of tap 0 */
    T *to = out + j * col;
    in += begin * pixel;
    UNROLL for (int s = 1; s < taps; s++)
        UNROLL for (int i = 0; i < rows; i++)
            acc[i][s] = goes_on && j >= s && j - s < cols ? NAME(load)(to + i * g->out_row - s * col) : (NAME(v)){0};
    while (left > 0) {
        for (; j >= taps - 1 && left >= taps && j + taps <= cols; j += taps, left -= taps)
            UNROLL for (int s = 0; s < taps; s++, in += pixel, to += col)
                NAME(slide_pixel)(rows, taps, (taps - s) % taps, acc, g, &t, in, w, to, j, goes_on, true);
        if (left == 0)
            break;
        if (j >= taps - 1 && j < cols)
            NAME(slide_pixel)(rows, taps, 0, acc, g, &t, in, w, to, j, goes_on, true);
        else
            NAME(slide_pixel)(rows, taps, 0, acc, g, &t, in, w, to, j, goes_on && j < cols, false);
        UNROLL for (int s = taps - 1; s > 0; s--)
            UNROLL for (int i = 0; i < rows; i++)
                acc[i][s] = acc[i][s - 1];
        j++, left--, in += pixel, to += col;
    }
    UNROLL for (int s = 1; s < taps; s++) /* the padding to the right adds nothing */
        if (j >= s && j - s < cols)
            UNROLL for (int i = 0; i < rows; i++)
                NAME(store)(to + i * g->out_row - s * col, acc[i][s]);
}

/* ---- dW ---------------------------------------------------------------------------------------------------------- */

/* A tap row of dW, `rows` channels of x from `in` on, over `count` output rows. in: column 0 of the first one's input
 * row; dy: column 0; pixels of dy and rows of dW are w_row apart. */
GR_INLINE void NAME(slide_dw)(const int rows, const int taps, const NAME(gather) *g, const T *in, const T *dy, T *dw,
    int64_t count, const bool goes_on)
{
    NAME(v) acc[SLIDE_ROWS][SLIDE_TAPS];
    const int64_t size = sizeof(T), pixel = g->in.pixel, w_row = g->w_row, cols = g->cols, tap = g->depth * w_row;
    const int64_t begin = most(0, g->x0), end = least(g->in_w, cols + taps - 1 + g->x0), j0 = begin - g->x0;
    const int64_t first = most(j0, taps - 1), last = most(first, least(j0 + end - begin, cols));
    const NAME(slide_terms) t = {last - first, size, pixel * size, -w_row * size, w_row * size};
    NAME(slide_terms) single = t;
    single.count = 1;
    UNROLL for (int s = 0; s < taps; s++)
        UNROLL for (int i = 0; i < rows; i++)
            acc[i][s] = goes_on ? NAME(load)(dw + s * tap + i * w_row) : (NAME(v)){0};
    in += begin * pixel;
    for (int64_t q = 0; q < count; q++, in += g->step_y * g->in.row, dy += cols * w_row) {
        if (q < rows) /* what the next channels go on with */
            UNROLL for (int s = 0; s < taps; s++)
                __builtin_prefetch(dw + s * tap + (rows + q) * w_row);
        for (int64_t j = j0; j < j0 + end - begin; j++) { /* j: the column of dy for tap 0 */
            const T *a = in + (j - j0) * pixel, *b = dy + j * w_row;
            if (j == first && last > first) {
                NAME(slide_some)(rows, taps, 0, taps - 1, 0, acc, &t, a, b);
                j = last - 1;
            } else
                NAME(slide_edge)(rows, taps, acc, &single, a, b, j, cols);
        }
    }
    UNROLL for (int s = 0; s < taps; s++)
        UNROLL for (int i = 0; i < rows; i++)
            NAME(store)(dw + s * tap + i * w_row, acc[i][s]);
}

/* ---- their sizes ------------------------------------------------------------------------------------------------- */

#define SLIDE(rows, taps)                                                                                            \
    static void NAME(slide_##rows##x##taps)(const NAME(gather) *g, const T *in, const T *w, T *out, bool goes_on)     \
    {                                                                                                                \
        NAME(slide)(rows, taps, g, in, w, out, goes_on);                                                             \
    }                                                                                                                \
    static void NAME(slide_dw_##rows##x##taps)(const NAME(gather) *g, const T *in, const T *dy, T *dw, int64_t count, \
        bool goes_on)                                                                                                \
    {                                                                                                                \
        NAME(slide_dw)(rows, taps, g, in, dy, dw, count, goes_on);                                                   \
    }
#define SLIDES_8(SLIDE, taps) \
    SLIDE(1, taps) SLIDE(2, taps) SLIDE(3, taps) SLIDE(4, taps) SLIDE(5, taps) SLIDE(6, taps) SLIDE(7, taps) \
    SLIDE(8, taps)
#define SLIDES(SLIDE) SLIDES_8(SLIDE, 2) SLIDES_8(SLIDE, 3)
SLIDES(SLIDE)
static const struct {
    void (*gather)(const NAME(gather) *g, const T *in, const T *w, T *out, bool goes_on);
    void (*dw)(const NAME(gather) *g, const T *in, const T *dy, T *dw, int64_t count, bool goes_on);
} NAME(slides)[SLIDE_ROWS + 1][SLIDE_TAPS + 1] = {
#define SLIDE_ENTRY(rows, taps) [rows][taps] = {NAME(slide_##rows##x##taps), NAME(slide_dw_##rows##x##taps)},
    SLIDES(SLIDE_ENTRY)
};

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* The same gather with rows as columns, columns as rows. */
static NAME(gather) NAME(mirrored)(const NAME(gather) *g)
{
    NAME(gather) m = *g;
    m.in.row = g->in.pixel, m.in.pixel = g->in.row, m.in_h = g->in_w, m.in_w = g->in_h;
    m.nr = g->ns, m.y0 = g->x0, m.dy = g->dx, m.step_y = g->step_x;
    m.ns = g->nr, m.x0 = g->y0, m.dx = g->dy, m.step_x = g->step_y;
    m.tap_row = g->tap_col, m.tap_col = g->tap_row;
    m.rows = g->cols, m.cols = g->rows, m.out_row = g->out_col, m.out_col = g->out_row;
    return m;
}

/* Does sliding along the rows pay? double is for proofs, not for speed. */
static bool NAME(slides_well)(const NAME(gather) *g)
{
    return sizeof(T) == sizeof(float) && g->ns >= 2 && g->ns <= SLIDE_TAPS && g->dx == 1 && g->step_x == 1 &&
           g->nr > 0 && g->rows >= 3 && g->cols >= 2 * g->ns && g->depth >= SLIDE_ROWS &&
           g->channels >= NAME(lanes);
}

static void NAME(slide_zeros)(const NAME(gather) *g, T *out, int64_t from, int64_t to)
{
    for (int64_t j = most(from, 0); j < to; j++)
        NAME(store)(out + j * g->out_col, (NAME(v)){0});
}

/* Output rows i to i + n, a vector of channels from c on. */
static void NAME(slide_block)(const NAME(gather) *g, int64_t i, int64_t n, int64_t c)
{
    int64_t first;
    T *out = g->out + i * g->out_row + c;
    const int64_t y = i * g->step_y + g->y0, count = inside(y, g->step_y, n, g->in_h, &first);
    const int64_t left = least(g->cols, most(0, -g->x0 - g->ns + 1)), right = most(left, g->in_w - g->x0);
    for (int64_t q = 0; q < n; q++) { /* pixels that the first tap row does not reach begin with zeros */
        const bool reached = q >= first && q < first + count;
        NAME(slide_zeros)(g, out + q * g->out_row, 0, reached ? left : g->cols);
        NAME(slide_zeros)(g, out + q * g->out_row, reached ? right : g->cols, g->cols);
    }
    for (int64_t r = 0; r < g->nr; r++) {
        const int64_t rows = inside(y + r * g->dy, g->step_y, n, g->in_h, &first);
        if (rows > 0)
            NAME(slides)[rows][g->ns].gather(g, g->in.at + (y + r * g->dy + first * g->step_y) * g->in.row,
                g->w + r * g->tap_row * g->w_row + c, out + first * g->out_row, r > 0);
    }
}

/* All rows of as many channels as fill vectors: how many. */
static int64_t NAME(slide_gather)(const NAME(gather) *given)
{
    const NAME(gather) g = given->by_column ? NAME(mirrored)(given) : *given;
    if (!NAME(slides_well)(&g))
        return 0;
    const int64_t channels = g.channels / NAME(lanes) * NAME(lanes);
    const int64_t blocks = (g.rows + SLIDE_ROWS - 1) / SLIDE_ROWS;
    for (int64_t c = 0; c < channels; c += NAME(lanes))
        for (int64_t i = 0, q = 0, n; q < blocks; q++, i += n) {
            n = (g.rows - i + blocks - q - 1) / (blocks - q);
            NAME(slide_block)(&g, i, n, c);
        }
    return channels;
}

/* All of dW of one image, as many channels as fill vectors: how many. g->w_row: of dy and dW. */
static int64_t NAME(slide_image)(const NAME(gather) *g, const T *dy, T *dw, bool goes_on)
{
    const int64_t channels = g->channels / NAME(lanes) * NAME(lanes), w_row = g->w_row;
    const int64_t blocks = (g->depth + SLIDE_ROWS - 1) / SLIDE_ROWS;
    if (!NAME(slides_well)(g))
        return 0;
    for (int64_t c = 0; c < channels; c += NAME(lanes))
        for (int64_t r = 0; r < g->nr; r++) {
            const int64_t y = g->y0 + r * g->dy;
            int64_t first;
            const int64_t count = inside(y, g->step_y, g->rows, g->in_h, &first);
            for (int64_t d = 0, q = 0, n; q < blocks; q++, d += n) {
                n = (g->depth - d + blocks - q - 1) / (blocks - q);
                NAME(slides)[n][g->ns].dw(g, g->in.at + (y + first * g->step_y) * g->in.row + d,
                    dy + first * g->cols * w_row + c, dw + (r * g->ns * g->depth + d) * w_row + c, count, goes_on);
            }
        }
    return channels;
}
