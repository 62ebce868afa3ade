/* Attention of one head, compiled once per instruction set; see attend.h.  compile with: -ffp-contract=fast
 *
 * Operands are copied once into panels that are padded with zeros to whole vectors, keys and values transposed where
 * they are the right side of a product over features:
 *     kt [blocks of keys][h][KEYS]   vt the same of v   k [s][h]   v [s][hv]   q, dy [rows][h or hv]
 * so that all five products are the one register tile of tile_impl.h, ROWS x 2 vectors. */
#include "ops/kernels/attend.h"
#include "ops/kernels/vmath.h"

#define T       float
#define NAME(x) x##_f32
#include "ops/kernels/tile_impl.h"
#include "ops/kernels/transpose_impl.h"

enum {
    W = GR_W,
    KEYS = 2 * W,                         /* keys of a block */
    ROWS = TILE_ROWS < 8 ? TILE_ROWS : 8, /* queries of a panel, or keys in the gradient's last products */
    BLOCK = (W == 8 ? 42 : 32) / ROWS * ROWS, /* queries whose scores the gradient holds at a time */
    LANES = 16,                           /* chains of a sum along a row, for every width */
    PARTS = LANES / W,
};

GR_INLINE int64_t up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}
GR_INLINE int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Where things lie in scratch, in floats. */
typedef struct {
    int64_t h, hv; /* padded to whole vectors */
    int64_t s;     /* keys, padded to whole blocks */
    int64_t row;   /* of a panel of scores; not a power of two, whose rows would fall into one set of the cache */
    float *kt, *vt, *k, *v, *dk, *dv, *q, *dy, *p, *ds;
    int64_t size;
} room;

static float *take(const gr__attend *a, room *r, int64_t n)
{
    float *p = a->scratch ? (float *)a->scratch + r->size : NULL;
    r->size += up(n, LANES);
    return p;
}

static room room_of(const gr__attend *a, bool gradient)
{
    room r = {.h = up(a->h, W), .hv = up(a->hv, W), .s = up(a->s, KEYS)};
    const int64_t rows = gradient ? BLOCK : ROWS;
    r.row = up(r.s, LANES) + LANES;
    r.kt = take(a, &r, r.s * a->h);
    r.q = take(a, &r, rows * r.h);
    r.p = take(a, &r, rows * r.row);
    if (gradient) {
        r.vt = take(a, &r, r.s * a->hv);
        r.k = take(a, &r, a->s * r.h);
        r.dy = take(a, &r, rows * r.hv);
        r.ds = take(a, &r, rows * r.row);
        r.dk = take(a, &r, up(a->s, ROWS) * r.h);
        r.dv = take(a, &r, up(a->s, ROWS) * r.hv);
    } else {
        r.v = take(a, &r, a->s * r.hv);
    }
    return r;
}

size_t GR_ISA_NAME(gr__attend_scratch)(const gr__attend *a, bool gradient)
{
    return (size_t)room_of(a, gradient).size * sizeof(float);
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

/* n rows of h elements, times c, to rows of `width`; the rest of `rows` rows is 0 */
static void copy_rows(
    const float *x, int64_t x_row, int64_t n, int64_t h, float c, float *y, int64_t width, int64_t rows)
{
    for (int64_t i = 0; i < n; i++, x += x_row, y += width)
        for (int64_t d = 0; d < width; d += W)
            vf_store(y + d, (h - d >= W ? vf_load(x + d) : vf_load_n(x + d, h - d)) * c);
    memset(y, 0, (size_t)((rows - n) * width) * sizeof *y);
}

/* n rows of h elements as blocks of KEYS columns: y[block][d][row in block], 0 past the last row */
static void turn_rows(const float *x, int64_t x_row, int64_t n, int64_t h, float *y)
{
    for (int64_t i = 0; i < up(n, KEYS); i += W)
        for (int64_t d = 0; d < h; d += W) {
            const int64_t deep = least(W, h - d);
            float *to = y + i / KEYS * KEYS * h + d * KEYS + i % KEYS;
            v_f32 z[W];
            UNROLL for (int q = 0; q < W; q++)
            {
                const float *from = x + (i + q) * x_row + d;
                z[q] = i + q >= n ? (v_f32){0} : deep == W ? vf_load(from) : vf_load_n(from, deep);
            }
            transpose_f32(z);
            UNROLL for (int q = 0; q < W; q++) if (q < deep) vf_store(to + q * KEYS, z[q]);
        }
}

/* Asks for rows from .. to of h elements; a prefetcher does not find rows that lie far apart. */
GR_INLINE void fetch_rows(const void *x, int64_t row, int64_t h, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        for (int64_t d = 0; d < h; d += LANES)
            __builtin_prefetch((const char *)x + (i * row + d) * (int64_t)sizeof(float));
}
/* Of the head beside this one, which is usually next: if rows have more than one head. */
GR_INLINE void fetch_next(const void *x, int64_t row, int64_t h, int64_t from, int64_t to)
{
    if (row > h)
        fetch_rows((const char *)x + h * (int64_t)sizeof(float), row, h, from, to);
}

/* ---- the tile ---------------------------------------------------------------------------------------------------- */

/* acc += sum over p < k of a[i * a_row + p * a_col] b[p * b_row ..] */
GR_INLINE void add(const int nv, vf acc[][TILE_VECTORS], int64_t k, const float *a, int64_t a_row, int64_t a_col,
    const float *b, int64_t b_row)
{
    const terms_f32 t = {.k = k, .a = a, .a_row = a_row, .a_col = a_col, .b = b, .b_row = b_row, .last = W, .next = b};
    tile_add_f32(ROWS, nv, acc, &t);
}

/* y[i][..] = c[i] * sum over p < k of a[i][p] b[p][..], `width` columns of which h exist, rows r0 .. r1 */
GR_INLINE void rows_times(int64_t k, const float *a, int64_t a_row, const float *b, int64_t width, const float *c,
    float *y, int64_t y_row, int64_t h, int64_t r0, int64_t r1)
{
    for (int64_t d = 0; d < width; d += 2 * W) {
        vf acc[ROWS][TILE_VECTORS];
        const bool two = width - d > W;
        tile_zero_f32(ROWS, 2, acc);
        if (two)
            add(2, acc, k, a, a_row, 1, b + d, width);
        else
            add(1, acc, k, a, a_row, 1, b + d, width);
        UNROLL for (int i = 0; i < ROWS; i++) if (i >= r0 && i < r1) UNROLL for (int v = 0; v < 2; v++)
        {
            const int64_t left = h - d - v * W;
            if (left >= W)
                vf_store(y + i * y_row + d + v * W, acc[i][v] * c[i]);
            else if (left > 0)
                vf_store_n(y + i * y_row + d + v * W, acc[i][v] * c[i], left);
        }
    }
}

/* y[j][..] += sum over i < n of a[i][j] b[i][..] for ROWS rows j of `width` columns */
GR_INLINE void columns_times(int64_t n, const float *a, int64_t a_row, const float *b, float *y, int64_t width)
{
    for (int64_t d = 0; d < width; d += 2 * W) {
        vf acc[ROWS][TILE_VECTORS];
        if (width - d > W) {
            tile_load_f32(ROWS, 2, acc, y + d, width, W);
            add(2, acc, n, a, 1, a_row, b + d, width);
            tile_store_f32(ROWS, 2, acc, y + d, width, W);
        } else {
            tile_load_f32(ROWS, 1, acc, y + d, width, W);
            add(1, acc, n, a, 1, a_row, b + d, width);
            tile_store_f32(ROWS, 1, acc, y + d, width, W);
        }
    }
}

/* ---- rows of scores ---------------------------------------------------------------------------------------------- */

GR_INLINE vm below(int64_t n) /* lanes 0 .. n-1 */
{
#if GR_W == 16
    const vf lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif GR_W == 8
    const vf lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
    const vf lane = {0, 1, 2, 3};
#endif
    return vf_lt(lane, vf_set1((float)least(n, W)));
}

GR_INLINE vf bias_at(const gr__attend *a, int64_t i, int64_t j, int64_t n)
{
    const float *b = (const float *)a->bias + i * a->bias_row + j * a->bias_col;
    if (a->bias_col == 0)
        return vf_set1(*b);
    if (a->bias_col == 1)
        return n >= W ? vf_load(b) : vf_load_n(b, n);
    vf x = {0};
    for (int64_t q = 0; q < least(n, W); q++)
        x[q] = b[q * a->bias_col];
    return x;
}

/* Of two scores. Where a NaN is one, every way leads to a row of NaN: it is among the terms of the sum too. */
GR_INLINE vf greater(vf a, vf b)
{
#if GR_W == 8
    return __builtin_ia32_maxps256(a, b); /* b, if either is a NaN */
#else
    return vf_max(b, a);
#endif
}

/* 16 lanes in halves down to one. In registers, as in panel.isa.c. */
GR_INLINE float across(const vf *x, bool greatest)
{
#if GR_W == 8
    vf u = greatest ? greater(x[0], x[1]) : x[0] + x[1], w = __builtin_shufflevector(u, u, 4, 5, 6, 7, 0, 1, 2, 3);
    u = greatest ? greater(u, w) : u + w;
    w = __builtin_shufflevector(u, u, 2, 3, 0, 1, 6, 7, 4, 5);
    u = greatest ? greater(u, w) : u + w;
    w = __builtin_shufflevector(u, u, 1, 0, 3, 2, 5, 4, 7, 6);
    return (greatest ? greater(u, w) : u + w)[0];
#else
    float v[LANES];
    for (int k = 0; k < PARTS; k++)
        vf_store(v + k * W, x[k]);
#if GR_W == 16
    vf u = vf_load(v), w = __builtin_shufflevector(u, u, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    u = greatest ? vf_max(u, w) : u + w;
    w = __builtin_shufflevector(u, u, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    u = greatest ? vf_max(u, w) : u + w;
    w = __builtin_shufflevector(u, u, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    u = greatest ? vf_max(u, w) : u + w;
    w = __builtin_shufflevector(u, u, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    return (greatest ? vf_max(u, w) : u + w)[0];
#else
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] = !greatest ? v[i] + v[i + half] : v[i] > v[i + half] || v[i] != v[i] ? v[i] : v[i + half];
    return v[0];
#endif
#endif
}

/* Row i of scores becomes e^(score - greatest), 0 from key n on; *c is one over the sum, *lse its logarithm. */
GR_INLINE void softmax_row(const gr__attend *a, int64_t i, int64_t n, int64_t end, float *p, float *c, float *lse)
{
    vf top[PARTS], sum[PARTS];
    for (int k = 0; k < PARTS; k++)
        top[k] = vf_set1(-INFINITY), sum[k] = vf_set1(0);
    for (int64_t j = 0; j < n; j += W) {
        vf x = vf_load(p + j);
        if (a->bias)
            x += bias_at(a, i, j, n - j);
        if (n - j < W)
            x = vf_sel(below(n - j), x, vf_set1(-INFINITY));
        if (W != 8 || a->bias || n - j < W)
            vf_store(p + j, x);
        top[j / W % PARTS] = greater(x, top[j / W % PARTS]);
    }
    const float m = across(top, true), from = m == -INFINITY ? 0 : m;
    for (int64_t j = 0; j < up(n, W); j += W) {
        const vf e = vf_exp(vf_load(p + j) - from);
        vf_store(p + j, e);
        sum[j / W % PARTS] += e;
    }
    for (int64_t j = up(n, W); j < end; j += W)
        vf_store(p + j, vf_set1(0));
    const float total = across(sum, false);
    *c = total == 0 ? 0 : 1 / total;
    *lse = total == 0 ? -INFINITY : m + logf(total);
}

GR_INLINE int64_t seen(const gr__attend *a, int64_t i)
{
    return a->causal ? least(a->s, i + 1) : a->s;
}

void GR_ISA_NAME(gr__attend_forward)(const gr__attend *a, int64_t first, int64_t end)
{
    const room r = room_of(a, false);
    if (first >= end)
        return;
    const int64_t keys = seen(a, end - 1);
    const float *q = a->q;
    float *y = a->y, *kept = a->lse;
    turn_rows(a->k, a->k_row, keys, a->h, r.kt);
    copy_rows(a->v, a->v_row, keys, a->hv, 1, r.v, r.hv, keys);
    for (int64_t i0 = first / ROWS * ROWS; i0 < end; i0 += ROWS) {
        const int64_t rows = least(ROWS, end - i0), n = seen(a, i0 + rows - 1);
        float c[ROWS] = {0}, lse[ROWS];
        copy_rows(q + i0 * a->q_row, a->q_row, rows, a->h, (float)a->scale, r.q, r.h, ROWS);
        fetch_next(q, a->q_row, a->h, i0, i0 + rows);
        fetch_next(a->k, a->k_row, a->h, i0, least(i0 + ROWS, a->s));
        fetch_next(a->v, a->v_row, a->hv, i0, least(i0 + ROWS, a->s));
        for (int64_t j = 0; j < n; j += KEYS) {
            vf acc[ROWS][TILE_VECTORS];
            tile_zero_f32(ROWS, 2, acc);
            add(2, acc, a->h, r.q, r.h, 1, r.kt + j * a->h, KEYS);
            tile_store_f32(ROWS, 2, acc, r.p + j, r.row, W);
        }
        for (int64_t i = 0; i < rows; i++)
            softmax_row(a, i0 + i, seen(a, i0 + i), n, r.p + i * r.row, &c[i], &lse[i]);
        const int64_t r0 = i0 < first ? first - i0 : 0;
        rows_times(n, r.p, r.row, r.v, r.hv, c, y + i0 * a->y_row, a->y_row, a->hv, r0, rows);
        for (int64_t i = r0; i < rows; i++)
            kept[(i0 + i) * a->stat_row] = lse[i];
    }
}

/* ---- the gradient ------------------------------------------------------------------------------------------------ */

/* p and ds of ROWS queries from i0 on for a block of keys from j on, 0 where a query does not see a key; `row` is
 * where the queries, of which `rows` exist, lie in the panels. */
static void block_of_scores(const gr__attend *a, const room *r, int64_t row, int64_t i0, int64_t j, int64_t rows)
{
    const float *kept = a->lse, *deltas = a->delta;
    float *p = r->p + row * r->row, *ds = r->ds + row * r->row;
    vf score[ROWS][TILE_VECTORS], slope[ROWS][TILE_VECTORS];
    tile_zero_f32(ROWS, 2, score);
    add(2, score, a->h, r->q + row * r->h, r->h, 1, r->kt + j * a->h, KEYS);
    tile_store_f32(ROWS, 2, score, p + j, r->row, W);
    tile_zero_f32(ROWS, 2, slope);
    add(2, slope, a->hv, r->dy + row * r->hv, r->hv, 1, r->vt + j * a->hv, KEYS);
    UNROLL for (int i = 0; i < ROWS; i++)
    {
        const int64_t n = i < rows ? seen(a, i0 + i) - j : 0;
        const float lse = i < rows ? kept[(i0 + i) * a->stat_row] : 0, from = lse == -INFINITY ? INFINITY : lse;
        const float delta = i < rows ? deltas[(i0 + i) * a->stat_row] : 0;
        UNROLL for (int v = 0; v < 2; v++)
        {
            const int64_t left = n - v * W;
            vf x = vf_load(p + i * r->row + j + v * W);
            if (a->bias && left > 0)
                x += bias_at(a, i0 + i, j + v * W, left);
            vf e = vf_exp(x - from), g = slope[i][v] - delta;
            if (left < W)
                e = vf_sel(below(left), e, vf_set1(0));
            vf_store(p + i * r->row + j + v * W, e);
            vf_store(ds + i * r->row + j + v * W, e * g);
        }
    }
}

void GR_ISA_NAME(gr__attend_backward)(const gr__attend *a)
{
    const room r = room_of(a, true);
    const float *q = a->q, *dy = a->dy;
    float c[ROWS], *dq = a->dq, *dk = a->dk, *dv = a->dv;
    for (int i = 0; i < ROWS; i++)
        c[i] = (float)a->scale;
    turn_rows(a->k, a->k_row, a->s, a->h, r.kt);
    turn_rows(a->v, a->v_row, a->s, a->hv, r.vt);
    copy_rows(a->k, a->k_row, a->s, a->h, 1, r.k, r.h, a->s);
    memset(r.dk, 0, (size_t)(up(a->s, ROWS) * r.h) * sizeof *r.dk);
    memset(r.dv, 0, (size_t)(up(a->s, ROWS) * r.hv) * sizeof *r.dv);
    for (int64_t b0 = 0; b0 < a->t; b0 += BLOCK) {
        const int64_t rows = least(BLOCK, a->t - b0), keys = seen(a, b0 + rows - 1);
        copy_rows(q + b0 * a->q_row, a->q_row, rows, a->h, (float)a->scale, r.q, r.h, BLOCK);
        copy_rows(dy + b0 * a->y_row, a->y_row, rows, a->hv, 1, r.dy, r.hv, BLOCK);
        fetch_next(q, a->q_row, a->h, b0, b0 + rows);
        fetch_next(dy, a->y_row, a->hv, b0, b0 + rows);
        fetch_next(a->k, a->k_row, a->h, b0, least(b0 + BLOCK, a->s));
        fetch_next(a->v, a->v_row, a->hv, b0, least(b0 + BLOCK, a->s));
        fetch_rows(dk, a->k_row, a->h, b0, least(b0 + BLOCK, a->s));
        fetch_rows(dv, a->v_row, a->hv, b0, least(b0 + BLOCK, a->s));
        for (int64_t i = 0; i < rows; i += ROWS) {
            const int64_t some = least(ROWS, rows - i), n = seen(a, b0 + i + some - 1);
            float *p = r.p + i * r.row, *ds = r.ds + i * r.row;
            for (int64_t j = 0; j < n; j += KEYS)
                block_of_scores(a, &r, i, b0 + i, j, some);
            for (int e = 0; e < ROWS && up(n, KEYS) < up(keys, ROWS); e++) {
                const size_t rest = (size_t)(up(keys, ROWS) - up(n, KEYS)) * sizeof *p;
                memset(p + e * r.row + up(n, KEYS), 0, rest);
                memset(ds + e * r.row + up(n, KEYS), 0, rest);
            }
            rows_times(n, ds, r.row, r.k, r.h, c, dq + (b0 + i) * a->q_row, a->q_row, a->h, 0, some);
        }
        for (int64_t j = 0; j < keys; j += ROWS) {
            const int64_t from = a->causal && j > b0 ? j - b0 : 0; /* rows above the diagonal see none of these keys */
            columns_times(rows - from, r.p + from * r.row + j, r.row, r.dy + from * r.hv, r.dv + j * r.hv, r.hv);
            columns_times(rows - from, r.ds + from * r.row + j, r.row, r.q + from * r.h, r.dk + j * r.h, r.h);
        }
    }
    for (int64_t j = 0; j < a->s; j++) {
        memcpy(dk + j * a->k_row, r.dk + j * r.h, (size_t)a->h * sizeof *dk);
        memcpy(dv + j * a->v_row, r.dv + j * r.hv, (size_t)a->hv * sizeof *dv);
    }
}
