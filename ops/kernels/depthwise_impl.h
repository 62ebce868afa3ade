/* Depthwise convolution: a filter per channel, so vectors run along the channels of a pixel and nothing is summed over
 * them. Uses the gather of conv_impl.h, which includes this; a template on T and NAME. */

#ifndef GR_DEPTHWISE_ONCE
#define GR_DEPTHWISE_ONCE
enum { DEPTH_TAPS = 3, DEPTH_PIXELS = 8 }; /* 3x3: what has kernels of its own, with AVX2 */
#endif

/* One pixel: acc += x * w over the taps. Strides in elements; nv: vectors. */
GR_INLINE void NAME(depth_pixel)(const int nv, int64_t ny, int64_t nx, const T *x, int64_t x_row, int64_t x_col,
    const T *w, int64_t w_row, int64_t w_col, T *to, int64_t n)
{
    NAME(v) acc[4] = {{0}}, a[4], b[4];
    for (int64_t r = 0; r < ny; r++)
        for (int64_t s = 0; s < nx; s++) {
            NAME(load_block)(nv, a, x + r * x_row + s * x_col, n);
            NAME(load_block)(nv, b, w + r * w_row + s * w_col, n);
            UNROLL for (int v = 0; v < nv; v++)
                acc[v] = NAME(FMA)(a[v], b[v], acc[v]);
        }
    NAME(store_block)(nv, to, acc, n);
}

#ifdef GR_VEC_256
/* Output pixel (i, j), n channels from c on, by the taps that lie in the image. */
static inline void NAME(depth_at)(const NAME(gather) *g, int64_t i, int64_t j, int64_t c, int64_t n)
{
    const int64_t y = i * g->step_y + g->y0, x = j * g->step_x + g->x0;
    int64_t r0, s0;
    const int64_t ny = inside(y, g->dy, g->nr, g->in_h, &r0), nx = inside(x, g->dx, g->ns, g->in_w, &s0);
    const T *from = g->in.at + (y + r0 * g->dy) * g->in.row + (x + s0 * g->dx) * g->in.pixel + c;
    const T *w = g->w + (r0 * g->tap_row + s0 * g->tap_col) * g->w_row + c;
    T *to = g->out + i * g->out_row + j * g->out_col + c;
    BY_VECTORS(n, NAME(depth_pixel), ny, nx, from, g->dy * g->in.row, g->dx * g->in.pixel, w, g->tap_row * g->w_row,
        g->tap_col * g->w_row, to, n);
}

/* The columns of the output whose three taps in a row all lie in the image: first to end. */
static void NAME(depth_inner)(const NAME(gather) *g, int64_t *first, int64_t *end)
{
    const int64_t last = g->in_w - 1 - (DEPTH_TAPS - 1) * g->dx - g->x0; /* what j * step_x may be at most */
    *first = least(g->cols, phase_steps(0, g->x0, g->step_x));
    *end = last < 0 ? *first : most(*first, least(g->cols, last / g->step_x + 1));
}

/* A vector of channels, 3x3 taps, `count` pixels whose taps all lie in the image: the filter stays in registers, and
 * the input goes from memory into the multiply-adds. */
static void NAME(depth_run)(const NAME(gather) *g, const T *x, const T *w, T *to, int64_t count)
{
    const int64_t row = g->dy * g->in.row, col = g->dx * g->in.pixel, step = g->step_x * g->in.pixel;
    NAME(v) f[DEPTH_TAPS][DEPTH_TAPS];
    UNROLL for (int r = 0; r < DEPTH_TAPS; r++)
        UNROLL for (int s = 0; s < DEPTH_TAPS; s++)
            f[r][s] = NAME(load)(w + (r * g->tap_row + s * g->tap_col) * g->w_row);
    for (; count > 0; count--, x += step, to += g->out_col) {
        NAME(v) acc = {0};
        UNROLL for (int r = 0; r < DEPTH_TAPS; r++)
            UNROLL for (int s = 0; s < DEPTH_TAPS; s++)
                acc = NAME(FMA)(NAME(load)(x + r * row + s * col), f[r][s], acc);
        NAME(store)(to, acc);
    }
}

/* A few pixels of all channels, then the next: what they read is still in the first cache for their neighbours. */
static void NAME(depth_gather_3x3)(const NAME(gather) *g)
{
    int64_t first, end, r0;
    NAME(depth_inner)(g, &first, &end);
    for (int64_t i = 0; i < g->rows; i++) {
        const int64_t y = i * g->step_y + g->y0;
        const bool inner = inside(y, g->dy, g->nr, g->in_h, &r0) == DEPTH_TAPS;
        for (int64_t j = 0, n; j < g->cols; j += n) {
            const bool run = inner && j >= first && j < end;
            n = run ? least(end - j, DEPTH_PIXELS) : 1;
            for (int64_t c = 0, m; c < g->channels; c += m) {
                m = run && g->channels - c >= NAME(lanes) ? NAME(lanes) : NAME(block)(g->channels - c);
                if (run && m == NAME(lanes))
                    NAME(depth_run)(g, g->in.at + y * g->in.row + (j * g->step_x + g->x0) * g->in.pixel + c, g->w + c,
                        g->out + i * g->out_row + j * g->out_col + c, n);
                else
                    for (int64_t q = 0; q < n; q++)
                        NAME(depth_at)(g, i, j + q, c, m);
            }
        }
    }
}
#endif

/* Like gather_all, of g->channels channels that lie together in input, weights and output. */
static void NAME(depth_gather)(const NAME(gather) *g)
{
#ifdef GR_VEC_256
    if (g->nr == DEPTH_TAPS && g->ns == DEPTH_TAPS) {
        NAME(depth_gather_3x3)(g);
        return;
    }
#endif
    for (int64_t c = 0; c < g->channels; c += NAME(block)(g->channels - c))
        for (int64_t i = 0; i < g->rows; i++) {
            const int64_t y = i * g->step_y + g->y0, n = NAME(block)(g->channels - c);
            int64_t r0, s0;
            const int64_t ny = inside(y, g->dy, g->nr, g->in_h, &r0);
            for (int64_t j = 0; j < g->cols; j++) {
                const int64_t x = j * g->step_x + g->x0;
                const int64_t nx = inside(x, g->dx, g->ns, g->in_w, &s0);
                const T *from = g->in.at + (y + r0 * g->dy) * g->in.row + (x + s0 * g->dx) * g->in.pixel + c;
                const T *w = g->w + (r0 * g->tap_row + s0 * g->tap_col) * g->w_row + c;
                T *to = g->out + i * g->out_row + j * g->out_col + c;
                BY_VECTORS(n, NAME(depth_pixel), ny, nx, from, g->dy * g->in.row, g->dx * g->in.pixel, w,
                        g->tap_row * g->w_row, g->tap_col * g->w_row, to, n);
            }
        }
}

/* One tap of dW in one image: dw += x * dy over the ny x nx output pixels that it reaches. */
GR_INLINE void NAME(depth_tap)(const int nv, int64_t ny, int64_t nx, const T *x, int64_t x_row, int64_t x_col,
    const T *dy, int64_t dy_row, int64_t dy_col, T *dw, bool goes_on, int64_t n)
{
    NAME(v) acc[4] = {{0}}, a[4], b[4];
    if (goes_on)
        NAME(load_block)(nv, acc, dw, n);
    for (int64_t i = 0; i < ny; i++)
        for (int64_t j = 0; j < nx; j++) {
            NAME(load_block)(nv, a, x + i * x_row + j * x_col, n);
            NAME(load_block)(nv, b, dy + i * dy_row + j * dy_col, n);
            UNROLL for (int v = 0; v < nv; v++)
                acc[v] = NAME(FMA)(a[v], b[v], acc[v]);
        }
    NAME(store_block)(nv, dw, acc, n);
}

#ifdef GR_VEC_256
/* One pixel of dy, d, for the taps of dW that lie in the image; inner: all do. */
GR_INLINE void NAME(depth_taps)(const NAME(gather) *g, NAME(v) acc[][DEPTH_TAPS], const T *x, NAME(v) d, int64_t i,
    int64_t j, const bool inner)
{
    UNROLL for (int r = 0; r < DEPTH_TAPS; r++)
        UNROLL for (int s = 0; s < DEPTH_TAPS; s++) {
            const int64_t y = i * g->step_y + g->y0 + r * g->dy, at = j * g->step_x + g->x0 + s * g->dx;
            if (inner || (y >= 0 && y < g->in_h && at >= 0 && at < g->in_w))
                acc[r][s] =
                    NAME(FMA)(NAME(load)(x + r * (g->dy * g->in.row) + s * (g->dx * g->in.pixel)), d, acc[r][s]);
        }
}

/* All nine taps of dW together, a vector of channels, so that dy is read once. */
static void NAME(depth_dw_3x3)(const NAME(gather) *g, const T *x, const T *dy, T *dw, bool goes_on)
{
    NAME(v) acc[DEPTH_TAPS][DEPTH_TAPS];
    const int64_t row = g->w_row, step = g->step_x * g->in.pixel;
    int64_t first, end, r0;
    NAME(depth_inner)(g, &first, &end);
    UNROLL for (int t = 0; t < DEPTH_TAPS * DEPTH_TAPS; t++)
        acc[t / DEPTH_TAPS][t % DEPTH_TAPS] = goes_on ? NAME(load)(dw + t * row) : (NAME(v)){0};
    for (int64_t i = 0; i < g->rows; i++, dy += g->cols * row) {
        const int64_t y = i * g->step_y + g->y0;
        const T *from = x + y * g->in.row + g->x0 * g->in.pixel;
        const bool run = inside(y, g->dy, g->nr, g->in_h, &r0) == DEPTH_TAPS && first < end;
        int64_t j = 0;
        for (; j < (run ? first : g->cols); j++)
            NAME(depth_taps)(g, acc, from + j * step, NAME(load)(dy + j * row), i, j, false);
        for (; run && j < end; j++)
            NAME(depth_taps)(g, acc, from + j * step, NAME(load)(dy + j * row), i, j, true);
        for (; j < g->cols; j++)
            NAME(depth_taps)(g, acc, from + j * step, NAME(load)(dy + j * row), i, j, false);
    }
    UNROLL for (int t = 0; t < DEPTH_TAPS * DEPTH_TAPS; t++)
        NAME(store)(dw + t * row, acc[t / DEPTH_TAPS][t % DEPTH_TAPS]);
}
#endif

/* g: the forward gather of one image; dy and dw at its first channel, pixels and taps g->w_row apart; taps t0 to t1 */
static void NAME(depth_dw)(const NAME(gather) *g, const T *dy, T *dw, bool goes_on, int64_t t0, int64_t t1)
{
    int64_t done = 0;
#ifdef GR_VEC_256
    for (; g->nr == DEPTH_TAPS && g->ns == DEPTH_TAPS && t0 <= 0 && t1 >= DEPTH_TAPS * DEPTH_TAPS &&
           done + NAME(lanes) <= g->channels; done += NAME(lanes))
        NAME(depth_dw_3x3)(g, g->in.at + done, dy + done, dw + done, goes_on);
#endif
    for (int64_t c = done; c < g->channels; c += NAME(block)(g->channels - c))
        for (int64_t t = t0; t < t1; t++) {
            const int64_t r = t / g->ns, s = t % g->ns;
            const int64_t y = g->y0 + r * g->dy, x = g->x0 + s * g->dx, n = NAME(block)(g->channels - c);
            int64_t i0, j0;
            const int64_t ny = inside(y, g->step_y, g->rows, g->in_h, &i0);
            const int64_t nx = inside(x, g->step_x, g->cols, g->in_w, &j0);
            const T *from = g->in.at + (y + i0 * g->step_y) * g->in.row + (x + j0 * g->step_x) * g->in.pixel + c;
            const T *d = dy + (i0 * g->cols + j0) * g->w_row + c;
            T *to = dw + (r * g->ns + s) * g->w_row + c;
            BY_VECTORS(n, NAME(depth_tap), ny, nx, from, g->step_y * g->in.row, g->step_x * g->in.pixel, d,
                    g->cols * g->w_row, g->w_row, to, goes_on, n);
        }
}
