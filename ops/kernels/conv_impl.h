/* Convolutions by the tiles of gemm_impl.h, for one element type and instruction set; a template on T and NAME. What is
 * computed stands in conv.h.
 *
 * Forward and dX are one thing, a gather: a row of output pixels that lie one step apart reads, for each tap, a row of
 * input pixels one step apart. Tap column and channel together run through contiguous memory if the taps are
 * neighbours, so the inner loop is kw * c long. With a stride, dX is a gather for each phase of pixels, with the taps
 * that reach it. Rows that would leave the image to the left or right are read from a band: a copy of the rows with
 * their halo of zeros. Taps above and below the image are skipped.
 * dW is a product over pixels: the (tap column, channel) pairs of a tap row are the rows of a tile.
 * With AVX-512 most of what has 3 taps side by side and stride 1 does not come to the tiles: slide_impl.h. With AVX2 a
 * first layer has tiles of its own: few_taps_impl.h. */
#include "ops/kernels/block_impl.h"
#include "ops/kernels/conv.h"

#ifndef GR_CONV_ONCE
#define GR_CONV_ONCE
enum {
    BAND_BYTES = 96 << 10, /* with its weights in half of L2 */
    AHEAD_STEP = 32,       /* bytes of what is read next that a tile fetches a step, */
    AHEAD_DW = 64,         /* that of dW in the first of its runs, each a row of pixels */
    FAR_BYTES = 256,       /* between rows that fall into few sets of the first cache: a copy of dy's pays */
    FAR_TILES = 16         /* where so many tiles go over it */
};

/* How many of phase, phase + stride, ... lie before `at` */
static inline int64_t phase_steps(int64_t at, int64_t phase, int64_t stride)
{
    return at > phase ? (at - phase + stride - 1) / stride : 0;
}
#endif

/* Input pixels as an image lies in memory, or its band. Pixel (y, x) is at + y * row + x * pixel. */
typedef struct {
    const T *at;
    int64_t row, pixel;
} NAME(view);

/* One group of one image. Output pixel (i, j) reads input rows i*step_y + y0 + r*dy, columns j*step_x + x0 + s*dx. */
typedef struct {
    NAME(view) in;
    int64_t in_h, in_w, depth; /* depth: input channels */
    int64_t nr, y0, dy, step_y;
    int64_t ns, x0, dx, step_x;
    const T *w; /* tap (r, s), channel d of the input: row r*tap_row + s*tap_col + d, w_row elements apart */
    int64_t w_row, tap_row, tap_col;
    T *out; /* pixel (i, j) is at + i*out_row + j*out_col */
    int64_t rows, cols, out_row, out_col;
    int64_t channels;
    int64_t first_tap; /* of dX: where in the turned weights this phase's taps begin */
    bool by_column; /* a tap column after the other, without a band: see by_column() */
} NAME(gather);

typedef struct {
    T *band, *panel;
    gr__ahead *ahead;
} NAME(room);

/* A tile has nothing of its own to fetch: lines of what is read next, `step` bytes a step, or again what is at hand. */
static inline void NAME(fetch)(NAME(terms) *t, gr__ahead *ahead, int64_t step)
{
    t->next = t->a;
#ifdef GR_VEC_256
    const T *next = gr__ahead_take(ahead, t->k * step);
    t->next = next ? next : t->a;
    t->next_step = next ? step / (int64_t)sizeof(T) : 0;
#else
    (void)ahead, (void)step;
#endif
}

/* ---- bands ---------------------------------------------------------------------------------------------------------
 * */

/* Columns that are read: from x0 to x0 + this, exclusive. */
static int64_t NAME(reach)(const NAME(gather) *g)
{
    return (g->cols - 1) * g->step_x + (g->ns - 1) * g->dx + 1;
}
static bool NAME(leaves)(const NAME(gather) *g)
{
    return g->ns > 0 && !g->by_column && (g->x0 < 0 || g->x0 + NAME(reach)(g) > g->in_w);
}

/* Output rows whose input rows fill a band */
static int64_t NAME(band_rows)(const NAME(gather) *g)
{
    int64_t line = NAME(reach)(g) * g->depth * (int64_t)sizeof(T), span = (g->nr - 1) * g->dy + 1;
    return most(1, (BAND_BYTES / most(line, 1) - span) / g->step_y + 1);
}
static int64_t NAME(band_elements)(const NAME(gather) *g)
{
    if (!NAME(leaves)(g))
        return 0;
    int64_t one_row = least((g->nr - 1) * g->dy + 1, g->in_h) * NAME(reach)(g) * g->depth;
    return most(one_row, BAND_BYTES / (int64_t)sizeof(T)); /* also for a part of the image, whose lines are shorter */
}

/* Copies input rows y to end, columns from x0 on, with zeros where there is no image. The view's row 0, column 0 is the
 * image's, as before. */
static NAME(view) NAME(make_band)(const NAME(gather) *g, int64_t y, int64_t end, T *band)
{
    const int64_t reach = NAME(reach)(g), depth = g->depth, line = reach * depth;
    const int64_t left = least(most(-g->x0, 0), reach), right = most(left, least(reach, g->in_w - g->x0));
    for (int64_t row = y; row < end; row++) {
        T *to = band + (row - y) * line;
        const T *from = g->in.at + row * g->in.row + g->x0 * g->in.pixel;
        memset(to, 0, (size_t)(left * depth) * sizeof(T));
        if (g->in.pixel == depth)
            memcpy(to + left * depth, from + left * depth, (size_t)((right - left) * depth) * sizeof(T));
        else
            for (int64_t x = left; x < right; x++)
                memcpy(to + x * depth, from + x * g->in.pixel, (size_t)depth * sizeof(T));
        memset(to + right * depth, 0, (size_t)((reach - right) * depth) * sizeof(T));
    }
    return (NAME(view)){band - y * line - g->x0 * depth, line, depth};
}

/* ---- the gather -------------------------------------------------------------------------------------------------- */

/* Vectors of a tile: more where few rows are there to share each load of b. */
static int NAME(vectors_for)(int64_t rows, int64_t channels)
{
    const bool many = TILE_ROWS > 6;
    int nv = rows == 1 ? 8 : rows <= 3 ? (many ? 8 : 4) : rows <= 6 && many ? 4 : 2;
    while (nv > 1 && (nv - 1) * NAME(lanes) >= channels)
        nv /= 2;
    return nv;
}

/* b's columns as tiles may read them: without masks the last strip is copied, filled up with zeros. Rows stay row
 * apart. */
static const T *NAME(readable)(const T *b, int64_t *b_row, int64_t rows, int64_t n, int nv, T *panel)
{
#ifdef GR_VEC_512
    (void)b_row, (void)rows, (void)n, (void)nv, (void)panel;
    return b;
#else
    const int64_t row = nv * NAME(lanes);
    if (n == row)
        return b;
    for (int64_t p = 0; p < rows; p++)
        for (int64_t c = 0; c < row; c++)
            panel[p * row + c] = c < n ? b[p * *b_row + c] : (T)0;
    *b_row = row;
    return panel;
#endif
}

/* Output row i, channels from c on: n of them in nv vectors. w: the strip's weights, w_row apart. */
static void NAME(gather_row)(const NAME(gather) *g, const NAME(view) *in, const T *w, int64_t w_row, int64_t i,
    int64_t c, int64_t n, int nv, gr__ahead *ahead)
{
    const int64_t y = i * g->step_y + g->y0; /* of tap row 0 */
    int64_t r0;
    const int64_t tap_rows = inside(y, g->dy, g->nr, g->in_h, &r0);
    const bool joined = (g->dx * in->pixel == g->depth && g->tap_col == g->depth) || g->ns == 1;
    NAME(terms) t = {.runs = {tap_rows, joined ? least(g->ns, 1) : g->ns},
        .a_step = {g->dy * in->row, g->dx * in->pixel}, .b_step = {g->tap_row * w_row, g->tap_col * w_row},
        .k = joined ? g->ns * g->depth : g->depth, .a_row = g->step_x * in->pixel, .a_col = 1,
        .b = w + r0 * g->tap_row * w_row, .b_row = w_row, .last = n - (nv - 1) * NAME(lanes)};
    const T *from = in->at + (y + r0 * g->dy) * in->row + g->x0 * in->pixel;
    T *to = g->out + i * g->out_row + c;
    const int64_t blocks = (g->cols + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t j = 0, q = 0; q < blocks; q++) {
        const int64_t mr = (g->cols - j + blocks - q - 1) / (blocks - q);
        t.a = from + j * t.a_row;
        NAME(fetch)(&t, ahead, AHEAD_STEP);
        NAME(tiles)[mr][nv](&t, to + j * g->out_col, g->out_col, false);
        j += mr;
    }
}

/* In a band the taps beside the image multiply zeros. Where that is more than an eighth of all work (dX of a small
 * image, 13 pixels from 11, above all) it is better to go by tap columns, each for the pixels that it reaches: a tile
 * for each, which goes on in the output. Asked of whole rows, so that a share has the same bits. */
static bool NAME(by_column)(const NAME(gather) *g)
{
    int64_t reached = 0, first;
    for (int64_t s = 0; s < g->ns; s++)
        reached += inside(g->x0 + s * g->dx, g->step_x, g->cols, g->in_w, &first);
    return g->nr * g->depth >= 96 && 8 * reached < 7 * g->ns * g->cols;
}

static void NAME(gather_row_by_column)(const NAME(gather) *g, const T *w, int64_t w_row, int64_t i, int64_t c,
    int64_t n, int nv, gr__ahead *ahead)
{
    const int64_t y = i * g->step_y + g->y0;
    int64_t r0, j, mr;
    const int64_t tap_rows = inside(y, g->dy, g->nr, g->in_h, &r0);
    T *to = g->out + i * g->out_row + c;
    NAME(terms) t = {.a_step = {g->dy * g->in.row, 0}, .b_step = {g->tap_row * w_row, 0}, .k = g->depth,
        .a_row = g->step_x * g->in.pixel, .a_col = 1, .b_row = w_row, .last = n - (nv - 1) * NAME(lanes)};
    for (j = 0; j < g->cols; j += mr) { /* nothing yet: zeros */
        mr = least(g->cols - j, TILE_ROWS);
        NAME(tiles)[mr][nv](&t, to + j * g->out_col, g->out_col, false);
    }
    t.runs[0] = tap_rows, t.runs[1] = 1;
    for (int64_t s = 0; s < g->ns && tap_rows > 0; s++) { /* blocks of the pixels that it reaches: no slivers */
        const int64_t x = g->x0 + s * g->dx, count = inside(x, g->step_x, g->cols, g->in_w, &j);
        const int64_t blocks = (count + TILE_ROWS - 1) / TILE_ROWS, end = j + count;
        t.b = w + (r0 * g->tap_row + s * g->tap_col) * w_row;
        for (int64_t q = 0; q < blocks; q++, j += mr) {
            mr = (end - j + blocks - q - 1) / (blocks - q);
            t.a = g->in.at + (y + r0 * g->dy) * g->in.row + (x + j * g->step_x) * g->in.pixel;
            NAME(fetch)(&t, ahead, AHEAD_STEP);
            NAME(tiles)[mr][nv](&t, to + j * g->out_col, g->out_col, true);
        }
    }
}

/* From the first row of the weights that is read to the end of the last. */
static int64_t NAME(weight_rows)(const NAME(gather) *g)
{
    return g->nr > 0 ? (g->nr - 1) * g->tap_row + (g->ns - 1) * g->tap_col + g->depth : 0;
}

#ifdef GR_VEC_512
#include "ops/kernels/slide_impl.h"
#endif
#include "ops/kernels/few_taps_impl.h"

static void NAME(gather_tiles)(const NAME(gather) *g, const NAME(room) *room)
{
    const bool copy = NAME(leaves)(g) && g->nr > 0 && g->depth > 0;
    const int64_t rows = copy ? NAME(band_rows)(g) : g->rows;
    for (int64_t i0 = 0; i0 < g->rows; i0 += rows) {
        const int64_t i1 = least(i0 + rows, g->rows);
        NAME(view) in = g->in;
        if (copy)
            in = NAME(make_band)(g, most(0, i0 * g->step_y + g->y0),
                least(g->in_h, (i1 - 1) * g->step_y + g->y0 + (g->nr - 1) * g->dy + 1), room->band);
        for (int64_t c = 0; c < g->channels;) {
            const int nv = NAME(vectors_for)(g->cols, g->channels - c);
            const int64_t n = least(g->channels - c, nv * NAME(lanes));
            int64_t w_row = g->w_row;
            const T *w = NAME(readable)(g->w + c, &w_row, NAME(weight_rows)(g), n, nv, room->panel);
            for (int64_t i = i0; i < i1; i++)
                if (NAME(few_taps)(g, &in, i, nv))
                    NAME(few_row)(g, &in, w, w_row, i, c, n, nv);
                else if (g->by_column)
                    NAME(gather_row_by_column)(g, w, w_row, i, c, n, nv, room->ahead);
                else
                    NAME(gather_row)(g, &in, w, w_row, i, c, n, nv, room->ahead);
            c += n;
        }
    }
}

static void NAME(gather_all)(const NAME(gather) *g, const NAME(room) *room)
{
    NAME(gather) rest = *g;
#ifdef GR_VEC_512
    const int64_t done = NAME(slide_gather)(g);
    rest.w += done, rest.out += done, rest.channels -= done;
#endif
    if (rest.channels > 0)
        NAME(gather_tiles)(&rest, room);
}

#include "ops/kernels/depthwise_impl.h"

/* ---- scratch: the band, then the panel --------------------------------------------------------------------------- */

static int64_t NAME(whole_lines)(int64_t elements)
{
    return (elements * (int64_t)sizeof(T) + 63) / 64 * 64;
}

static NAME(gather) NAME(forward_shape)(const gr__conv *c)
{
    NAME(gather) g = {.in_h = c->h, .in_w = c->w, .depth = c->c / c->groups, .rows = c->oh, .cols = c->ow};
    g.nr = c->kh, g.y0 = -c->pad_top, g.dy = c->dilation_h, g.step_y = c->stride_h;
    g.ns = c->kw, g.x0 = -c->pad_left, g.dx = c->dilation_w, g.step_x = c->stride_w;
    g.tap_row = c->kw * g.depth, g.tap_col = g.depth;
    return g; /* of dW too, which always takes a band */
}

static NAME(gather) NAME(dx_shape)(const gr__conv *c, int64_t py, int64_t px)
{
    gr__conv_taps y = gr__conv_taps_of(py, c->kh, c->stride_h, c->dilation_h, c->pad_top);
    gr__conv_taps x = gr__conv_taps_of(px, c->kw, c->stride_w, c->dilation_w, c->pad_left);
    NAME(gather) g = {.in_h = c->oh, .in_w = c->ow, .depth = c->o / c->groups};
    g.rows = (c->h - py + c->stride_h - 1) / c->stride_h, g.cols = (c->w - px + c->stride_w - 1) / c->stride_w;
    g.nr = y.count, g.y0 = y.first, g.dy = y.step, g.step_y = 1;
    g.ns = x.count, g.x0 = x.first, g.dx = x.step, g.step_x = 1;
    g.tap_row = y.tap_step * c->kw * g.depth, g.tap_col = x.tap_step * g.depth;
    g.first_tap = (c->kh - 1 - y.last) * c->kw + c->kw - 1 - x.last;
    if (g.nr == 0 || g.ns == 0) /* no tap reaches these pixels: zeros */
        g.nr = g.ns = 0, g.first_tap = 0;
    g.by_column = NAME(by_column)(&g);
    return g;
}

static bool NAME(is_empty)(const gr__conv *c)
{
    return c->h <= 0 || c->w <= 0 || c->c <= 0 || c->oh <= 0 || c->ow <= 0 || c->o <= 0 || c->kh <= 0 ||
           c->kw <= 0;
}

static int64_t NAME(band_bytes)(const gr__conv *c)
{
    NAME(gather) g = NAME(forward_shape)(c);
    int64_t most_elements = NAME(band_elements)(&g);
    for (int64_t py = 0; py < c->stride_h && py < c->h; py++)
        for (int64_t px = 0; px < c->stride_w && px < c->w; px++) {
            g = NAME(dx_shape)(c, py, px);
            most_elements = most(most_elements, g.nr > 0 ? NAME(band_elements)(&g) : 0);
        }
    return NAME(whole_lines)(most_elements);
}

static bool NAME(is_depthwise)(const gr__conv *c)
{
    return c->groups > 1 && c->groups == c->c && c->groups == c->o;
}

static size_t NAME(conv_scratch)(const gr__conv *c)
{
    if (NAME(is_empty)(c) || NAME(is_depthwise)(c))
        return 0;
    int64_t panel = 0;
#ifndef GR_VEC_512
    const int64_t w = NAME(lanes), depth = c->c / c->groups, width = c->o / c->groups;
    int64_t rows = most(c->kh * c->kw * most(depth, width), c->oh * c->ow);
    panel = rows * TILE_VECTORS * w; /* a share may begin and end within a vector */
#endif
    return (size_t)(NAME(band_bytes)(c) + NAME(whole_lines)(panel));
}

static NAME(room) NAME(room_of)(const gr__conv *c, const gr__conv_part *p)
{
    char *scratch = p->scratch;
    bool none = !scratch || NAME(is_depthwise)(c);
    return (NAME(room)){p->scratch, none ? NULL : (T *)(void *)(scratch + NAME(band_bytes)(c)), p->ahead};
}

/* ---- forward, dX ------------------------------------------------------------------------------------------------- */

/* The part of a gather whose output pixels are rows i0 to i1, columns j0 to j1. */
static NAME(gather) NAME(rectangle)(NAME(gather) g, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    g.y0 += i0 * g.step_y, g.x0 += j0 * g.step_x, g.out += i0 * g.out_row + j0 * g.out_col;
    g.rows = i1 - i0, g.cols = j1 - j0;
    return g;
}

/* The groups of one image, one after the other: the channels of each that belong to the share. in, w and out point at
 * channel 0 of the image; `width` is a group's number of result channels. */
static void NAME(gather_groups)(NAME(gather) g, const gr__conv *c, const gr__conv_part *p, int64_t width,
    const NAME(room) *room)
{
    const NAME(gather) whole = g;
    if (g.rows <= 0 || g.cols <= 0)
        return;
    if (NAME(is_depthwise)(c)) { /* every group at once */
        g.in.at += p->c0, g.w += p->c0, g.out += p->c0, g.channels = p->c1 - p->c0;
        NAME(depth_gather)(&g);
        return;
    }
    for (int64_t q = p->c0 / width; q < c->groups && q * width < p->c1; q++) {
        const int64_t first = most(p->c0, q * width);
        g.in.at = whole.in.at + q * g.depth;
        g.w = whole.w + first, g.out = whole.out + first, g.channels = least(p->c1, (q + 1) * width) - first;
        NAME(gather_all)(&g, room);
    }
}

static void NAME(conv_forward)(const gr__conv *c, const gr__conv_part *p)
{
    if (c->oh <= 0 || c->ow <= 0 || c->o <= 0)
        return;
    const NAME(room) room = NAME(room_of)(c, p);
    NAME(gather) g = NAME(forward_shape)(c);
    g.in.row = c->w * c->c, g.in.pixel = c->c, g.w_row = c->o, g.out_row = c->ow * c->o, g.out_col = c->o;
    if (NAME(is_empty)(c)) /* nothing to add: zeros */
        g.nr = g.ns = 0;
    g.by_column = NAME(by_column)(&g);
    if (c->kh == 1 && c->kw == 1 && c->stride_h == 1 && c->stride_w == 1 && c->oh == c->h && c->ow == c->w &&
        c->pad_top == 0 && c->pad_left == 0)
        g.in_w = g.cols = c->h * c->w, g.in_h = g.rows = 1; /* pixels are alike: one long row */
    g.w = p->weights;
    const int64_t pixels = c->oh * c->ow;
    for (int64_t n = p->r0 / pixels; n * pixels < p->r1; n++) {
        g.in.at = (const T *)p->in + n * c->h * c->w * c->c;
        g.out = (T *)p->out + n * pixels * c->o;
        box part[3];
        const int boxes = boxes_of(p->r0 - n * pixels, p->r1 - n * pixels, g.rows, g.cols, part);
        for (int q = 0; q < boxes; q++)
            NAME(gather_groups)(NAME(rectangle)(g, part[q].i0, part[q].i1, part[q].j0, part[q].j1), c, p,
                c->o / c->groups, &room);
    }
}

static void NAME(conv_dx)(const gr__conv *c, const gr__conv_part *p)
{
    if (c->h <= 0 || c->w <= 0 || c->c <= 0)
        return;
    const NAME(room) room = NAME(room_of)(c, p);
    const int64_t pixels = c->h * c->w;
    for (int64_t py = 0; py < c->stride_h; py++)
        for (int64_t px = 0; px < c->stride_w; px++) {
            NAME(gather) g = NAME(dx_shape)(c, py, px);
            g.in.row = c->ow * c->o, g.in.pixel = c->o, g.w_row = c->c;
            g.out_row = c->stride_h * c->w * c->c, g.out_col = c->stride_w * c->c;
            if (NAME(is_empty)(c))
                g.nr = g.ns = 0;
            g.w = (const T *)p->weights + g.first_tap * g.depth * c->c;
            for (int64_t n = p->r0 / pixels; n * pixels < p->r1; n++) {
                g.in.at = (const T *)p->in + n * c->oh * c->ow * c->o;
                g.out = (T *)p->out + (n * pixels + py * c->w + px) * c->c;
                box part[3];
                const int boxes = boxes_of(p->r0 - n * pixels, p->r1 - n * pixels, c->h, c->w, part);
                for (int q = 0; q < boxes; q++) /* pixels of this phase in the box */
                    NAME(gather_groups)(NAME(rectangle)(g, phase_steps(part[q].i0, py, c->stride_h),
                        phase_steps(part[q].i1, py, c->stride_h), phase_steps(part[q].j0, px, c->stride_w),
                        phase_steps(part[q].j1, px, c->stride_w)), c, p, c->c / c->groups, &room);
            }
        }
}

/* ---- the weights as dX reads them -------------------------------------------------------------------------------- */

/* to[o][i] = from[i][o], o < n_to, i < n_from, by squares that are turned in registers; not worth it for slivers */
static void NAME(turn_block)(const T *from, int64_t from_row, int64_t n_from, T *to, int64_t to_row, int64_t n_to)
{
    enum { w = NAME(lanes) };
    if (4 * least(n_from, n_to) < w) {
        for (int64_t i = 0; i < n_from; i++)
            for (int64_t o = 0; o < n_to; o++)
                to[o * to_row + i] = from[i * from_row + o];
        return;
    }
    for (int64_t o = 0; o < n_to; o += w)
        for (int64_t i = 0; i < n_from; i += w) {
            const int64_t rows = least(n_from - i, w), cols = least(n_to - o, w);
            NAME(v) x[w];
            UNROLL for (int q = 0; q < w; q++)
                x[q] = q < rows ? NAME(load_part)(from + (i + q) * from_row + o, cols) : (NAME(v)){0};
            NAME(transpose)(x);
            UNROLL for (int q = 0; q < w; q++)
                if (q < cols)
                    NAME(store_part)(to + (o + q) * to_row + i, x[q], rows);
        }
}

static void NAME(conv_turn)(const gr__conv *c, const gr__conv_part *p)
{
    const int64_t depth = c->c / c->groups, width = c->o / c->groups, taps = c->kh * c->kw;
    for (int64_t r = p->r0, n; r < p->r1 && p->c0 < p->c1; r += n) {
        const int64_t tap = r / width, o = r % width;
        n = least(width - o, p->r1 - r);
        for (int64_t q = p->c0 / depth; q * depth < p->c1; q++) {
            const int64_t i = most(p->c0, q * depth), end = least(p->c1, (q + 1) * depth);
            NAME(turn_block)((const T *)p->in + ((taps - 1 - tap) * depth + i - q * depth) * c->o + q * width + o, c->o,
                end - i, (T *)p->out + r * c->c + i, c->c, n);
        }
    }
}

/* ---- dW
 * --------------------------------------------------------------------------------------------------------------------
 * */

/* Tap row r, `count` output rows from i0 on for which it lies in the image, n channels in nv vectors: the (tap column,
 * channel) pairs are rows of tiles. b: dy's strip at output row i0. */
static void NAME(dw_tap_row)(const gr__conv *c, const NAME(gather) *g, const NAME(view) *in, const T *b, int64_t b_row,
    int64_t r, int64_t i0, int64_t count, int64_t n, int nv, T *out, bool goes_on, const gr__conv_part *share)
{
    const bool joined = g->dx * in->pixel == g->depth || g->ns == 1;
    const int64_t runs = joined ? 1 : g->ns, length = joined ? g->ns * g->depth : g->depth;
    NAME(terms) t = {.runs = {count, 1}, .a_step = {g->step_y * in->row, 0}, .b_step = {g->cols * b_row, 0},
        .k = g->cols, .a_row = 1, .a_col = g->step_x * in->pixel, .b = b, .b_row = b_row,
        .last = n - (nv - 1) * NAME(lanes)};
    const T *from = in->at + (i0 * g->step_y + g->y0 + r * g->dy) * in->row + g->x0 * in->pixel;
    for (int64_t s = 0; s < runs; s++) {
        const int64_t row = (r * g->ns + s) * g->depth; /* of dW; lo to hi of its `length` are in the share */
        const int64_t lo = most(0, share->r0 - row), hi = least(length, share->r1 - row);
        const int64_t blocks = (hi - lo + TILE_ROWS - 1) / TILE_ROWS;
        for (int64_t j = lo, q = 0; j < hi; q++) {
            const int64_t mr = (hi - j + blocks - q - 1) / (blocks - q);
            t.a = from + s * g->dx * in->pixel + j;
            NAME(fetch)(&t, share->ahead, AHEAD_DW);
            NAME(tiles)[mr][nv](&t, out + (row + j) * c->o, c->o, goes_on);
            j += mr;
        }
    }
}

/* Output rows i0 to i1, tap row by tap row. b: dy's strip at output row i0. */
static void NAME(dw_rows)(const gr__conv *c, const NAME(gather) *g, const NAME(view) *in, const T *b, int64_t b_row,
    int64_t i0, int64_t i1, int64_t n, int nv, T *out, bool goes_on, const gr__conv_part *share)
{
    for (int64_t r = 0; r < g->nr && i0 < i1; r++) { /* output rows whose tap r lies in the image */
        int64_t first;
        const int64_t count = inside(g->y0 + r * g->dy + i0 * g->step_y, g->step_y, i1 - i0, g->in_h, &first);
        NAME(dw_tap_row)(c, g, in, b + first * g->cols * b_row, b_row, r, i0 + first, count, n, nv, out, goes_on,
            share);
    }
}

#include "ops/kernels/first_layer_impl.h"

/* dy's strip, n columns in nv vectors, as tiles may and should read it. */
static const T *NAME(dw_strip)(const T *dy, int64_t *dy_row, int64_t pixels, int64_t n, int nv, T *panel,
    const gr__conv_part *share)
{
#ifdef GR_VEC_256
    const int64_t row = nv * NAME(lanes);
    if (n == row && *dy_row * (int64_t)sizeof(T) >= FAR_BYTES && share->r1 - share->r0 >= FAR_TILES * TILE_ROWS) {
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t v = 0; v < row; v += NAME(lanes))
                NAME(store)(panel + p * row + v, NAME(load)(dy + p * *dy_row + v));
        *dy_row = row;
        return panel;
    }
#else
    (void)share;
#endif
    return NAME(readable)(dy, dy_row, pixels, n, nv, panel);
}

/* One group of one image; dy and out point at its first channel of the share. */
static void NAME(dw_image)(const gr__conv *c, const NAME(gather) *g, const T *dy, T *out, bool goes_on,
    const NAME(room) *room, const gr__conv_part *share)
{
    const bool copy = NAME(leaves)(g);
    const int64_t rows = copy ? NAME(band_rows)(g) : g->rows;
    for (int64_t b0 = 0; b0 < g->rows; b0 += rows) {
        const int64_t b1 = least(b0 + rows, g->rows);
        NAME(view) in = g->in;
        if (copy)
            in = NAME(make_band)(g, most(0, b0 * g->step_y + g->y0),
                least(g->in_h, (b1 - 1) * g->step_y + g->y0 + (g->nr - 1) * g->dy + 1), room->band);
        for (int64_t o = 0; o < g->channels;) {
            const int few = NAME(few_vectors)(g, share, g->channels - o);
            const int nv = few ? few : NAME(vectors_for)(g->ns * g->depth, g->channels - o);
            const int64_t n = least(g->channels - o, nv * NAME(lanes));
            int64_t b_row = c->o;
            const T *b = NAME(dw_strip)(
                dy + b0 * g->cols * c->o + o, &b_row, (b1 - b0) * g->cols, n, nv, room->panel, share);
            (few ? NAME(dw_few_rows) : NAME(dw_rows))(
                c, g, &in, b, b_row, b0, b1, n, nv, out + o, goes_on || b0 > 0, share);
            o += n;
        }
    }
}

static void NAME(conv_dw)(const gr__conv *c, const gr__conv_part *p)
{
    const int64_t width = c->o / c->groups, depth = c->c / c->groups;
    if (p->c1 <= p->c0 || p->r1 <= p->r0)
        return;
    if (NAME(is_empty)(c) || p->n0 >= p->n1) {
        for (int64_t i = p->r0; !p->accumulate && i < p->r1; i++)
            memset((T *)p->out + i * c->o + p->c0, 0, (size_t)(p->c1 - p->c0) * sizeof(T));
        return;
    }
    const NAME(room) room = NAME(room_of)(c, p);
    NAME(gather) g = NAME(forward_shape)(c);
    g.in.row = c->w * c->c, g.in.pixel = c->c;
    for (int64_t n = p->n0; n < p->n1; n++) {
        const T *x = (const T *)p->in + n * c->h * c->w * c->c;
        const T *dy = (const T *)p->weights + n * c->oh * c->ow * c->o;
        const bool goes_on = p->accumulate || n > p->n0;
        if (NAME(is_depthwise)(c)) {
            g.in.at = x + p->c0, g.channels = p->c1 - p->c0, g.w_row = c->o;
            NAME(depth_dw)(&g, dy + p->c0, (T *)p->out + p->c0, goes_on, p->r0, p->r1);
            continue;
        }
        for (int64_t q = p->c0 / width; q < c->groups && q * width < p->c1; q++) {
            const int64_t first = most(p->c0, q * width);
            int64_t done = 0;
            g.in.at = x + q * depth, g.channels = least(p->c1, (q + 1) * width) - first;
#ifdef GR_VEC_512
            if (p->r0 <= 0 && p->r1 >= c->kh * c->kw * depth) {
                g.w_row = c->o;
                done = NAME(slide_image)(&g, dy + first, (T *)p->out + first, goes_on);
                g.channels -= done;
            }
#endif
            if (g.channels > 0)
                NAME(dw_image)(c, &g, dy + first + done, (T *)p->out + first + done, goes_on, &room, p);
        }
    }
}
