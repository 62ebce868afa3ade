/* Depthwise convolution: a filter per channel, so vectors run along the channels of a pixel and nothing is summed over
 * them. Uses the gather of conv_impl.h, which includes this; a template on T and NAME. */

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

/* Like gather_all, of g->channels channels that lie together in input, weights and output. */
static void NAME(depth_gather)(const NAME(gather) *g)
{
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

/* g: the forward gather of one image; dy and dw at its first channel, pixels and taps g->w_row apart; taps t0 to t1 */
static void NAME(depth_dw)(const NAME(gather) *g, const T *dy, T *dw, bool goes_on, int64_t t0, int64_t t1)
{
    for (int64_t c = 0; c < g->channels; c += NAME(block)(g->channels - c))
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
