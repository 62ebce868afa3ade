/* Recurrent cells for one element type and instruction set: a template on T and NAME, to be included after tile_impl.h
 * and functions sigmoid and tanh of a vector. What it computes and how it goes about it stand in recurrent_cells.h. */
#include "ops/kernels/recurrent_cells.h"
#include "ops/kernels/transpose_impl.h"

#ifndef GR_RECURRENT_ONCE
#define GR_RECURRENT_ONCE
enum {
    GATES = 4,
    KEPT = 5,
    CELL_ROWS = TILE_ROWS > 6 ? 6 : 3, /* of a tile of four vectors */
    LINE = 64,
    AHEAD = 2, /* rows */
};
static inline int64_t lines(int64_t n, int64_t elem) /* n elements rounded up to whole cache lines */
{
    return (n * elem + LINE - 1) / LINE * LINE / elem;
}
static inline int64_t fewer(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
#endif

/* ---- forward ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const gr__recurrent *p;
    int64_t strips;  /* vectors of units */
    int64_t strip;   /* elements of a packed one */
    int64_t row;     /* elements of a row of [x, h, 1] */
    T *pack;         /* [strips][strip] */
    T *now, *next;   /* [rows][row] */
    T *c;            /* [rows][strips * lanes] */
} NAME(walk);

/* A strip: the four biases; then a row of four vectors per input and unit, or of three with a GRU. */
static int64_t NAME(strip_elements)(const gr__recurrent *p)
{
    return (GATES + (p->inputs + p->units) * (p->gru ? GATES - 1 : GATES)) * NAME(lanes);
}

static size_t NAME(forward_bytes)(const gr__recurrent *p)
{
    const int64_t strips = (p->units + NAME(lanes) - 1) / NAME(lanes);
    const int64_t xh = lines(p->rows * (p->inputs + p->units + 1), sizeof(T));
    const int64_t c = p->gru ? 0 : p->rows * strips * NAME(lanes);
    return (size_t)(strips * NAME(strip_elements)(p) + 2 * xh + c) * sizeof(T);
}

/* Lanes of one gate of a row of weights, zeros behind the last unit */
GR_INLINE T *NAME(put)(T *to, const T *from, int64_t n)
{
    NAME(store)(to, NAME(load_part)(from, n));
    return to + NAME(lanes);
}

static void NAME(pack_strip)(const gr__recurrent *p, int64_t u, T *to)
{
    const int64_t h = p->units, at = u * NAME(lanes), n = fewer(h - at, NAME(lanes));
    const T *b = (const T *)p->bias + at, *w = (const T *)p->kernel + at, *v = (const T *)p->recurrent + at;
    if (!p->gru) {
        for (int g = 0; g < GATES; g++)
            to = NAME(put)(to, b + g * h, n);
        for (int64_t k = 0; k < p->inputs + h; k++)
            for (int g = 0; g < GATES; g++)
                to = NAME(put)(to, k < p->inputs ? w + (k * GATES + g) * h : v + ((k - p->inputs) * GATES + g) * h, n);
        return;
    }
    NAME(put)(to, b + 2 * h, n);
    for (int g = 0; g < 2; g++)
        NAME(store)(to + (g + 1) * NAME(lanes), NAME(load_part)(b + g * h, n) + NAME(load_part)(b + (3 + g) * h, n));
    NAME(put)(to + 3 * NAME(lanes), b + 5 * h, n);
    to += GATES * NAME(lanes);
    for (int64_t k = 0; k < p->inputs; k++)
        for (int g = 0; g < 3; g++)
            to = NAME(put)(to, w + (k * 3 + (g + 2) % 3) * h, n);
    for (int64_t k = 0; k < h; k++)
        for (int g = 0; g < 3; g++)
            to = NAME(put)(to, v + (k * 3 + g) * h, n);
}

/* The gates of mr rows and one strip, before their functions, into z [mr][GATES * lanes]. */
GR_INLINE void NAME(gates)(const int mr, const bool gru, const NAME(walk) *j, int64_t u, int64_t r, T *z)
{
    const T *b = j->pack + u * j->strip;
    NAME(v) acc[CELL_ROWS][TILE_VECTORS];
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int g = 0; g < GATES; g++)
            acc[i][g] = NAME(load)(b + g * NAME(lanes));
    b += GATES * NAME(lanes);
    NAME(terms) t = {.k = j->row - 1, .a = j->now + r * j->row, .a_row = j->row, .a_col = 1, .b = b,
        .b_row = GATES * NAME(lanes), .last = NAME(lanes)};
    /* a share of the next strip, which may have left the second cache */
    t.next = b + (u + 1 < j->strips ? j->strip : 0) + r / CELL_ROWS * t.k * (LINE / (int64_t)sizeof(T));
    t.next_step = LINE / sizeof(T);
    if (r >= CELL_ROWS * GATES)
        t.next = b, t.next_step = 0;
    if (gru) { /* inputs add to candidate, update and reset, units to update, reset and the other part */
        t.k = j->p->inputs, t.b_row = (GATES - 1) * NAME(lanes);
        NAME(tile_add)(mr, GATES - 1, acc, &t);
        t.k = j->p->units, t.a += j->p->inputs, t.b += j->p->inputs * t.b_row;
        NAME(v) late[CELL_ROWS][TILE_VECTORS];
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int g = 1; g < GATES; g++)
                late[i][g - 1] = acc[i][g];
        NAME(tile_add)(mr, GATES - 1, late, &t);
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int g = 1; g < GATES; g++)
                acc[i][g] = late[i][g - 1];
    } else
        NAME(tile_add)(mr, GATES, acc, &t);
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int g = 0; g < GATES; g++)
            NAME(store)(z + (i * GATES + g) * NAME(lanes), acc[i][g]);
}

#define GATES_OF(mr)                                                                                       \
    static void NAME(lstm_gates_##mr)(const NAME(walk) *j, int64_t u, int64_t r, T *z)                     \
    {                                                                                                      \
        NAME(gates)(mr, false, j, u, r, z);                                                                \
    }                                                                                                      \
    static void NAME(gru_gates_##mr)(const NAME(walk) *j, int64_t u, int64_t r, T *z)                      \
    {                                                                                                      \
        NAME(gates)(mr, true, j, u, r, z);                                                                 \
    }
GATES_OF(1)
GATES_OF(2)
GATES_OF(3)
#if defined(GR_VEC_512) || defined(__aarch64__)
GATES_OF(4)
GATES_OF(5)
GATES_OF(6)
#endif
#undef GATES_OF
typedef void NAME(gates_fn)(const NAME(walk) *j, int64_t u, int64_t r, T *z);
static NAME(gates_fn) *const NAME(gates_of)[2][CELL_ROWS + 1] = {
#if defined(GR_VEC_512) || defined(__aarch64__)
    {NULL, NAME(lstm_gates_1), NAME(lstm_gates_2), NAME(lstm_gates_3), NAME(lstm_gates_4), NAME(lstm_gates_5),
        NAME(lstm_gates_6)},
    {NULL, NAME(gru_gates_1), NAME(gru_gates_2), NAME(gru_gates_3), NAME(gru_gates_4), NAME(gru_gates_5),
        NAME(gru_gates_6)},
#else
    {NULL, NAME(lstm_gates_1), NAME(lstm_gates_2), NAME(lstm_gates_3)},
    {NULL, NAME(gru_gates_1), NAME(gru_gates_2), NAME(gru_gates_3)},
#endif
};

/* What one row and strip go on to: the new h, and what the backward pass will ask for. */
static void NAME(cell)(const NAME(walk) *j, int64_t t, int64_t u, int64_t r, const T *z)
{
    const gr__recurrent *p = j->p;
    const int64_t w = NAME(lanes), at = u * w, n = fewer(p->units - at, w), row = r * p->steps + t;
    NAME(v) h, keep[KEPT];
    if (p->gru) {
        const NAME(v) before = NAME(load_part)(j->now + r * j->row + p->inputs + at, n);
        keep[0] = NAME(sigmoid)(NAME(load)(z + w)), keep[1] = NAME(sigmoid)(NAME(load)(z + 2 * w));
        keep[3] = NAME(load)(z + 3 * w), keep[4] = before;
        keep[2] = NAME(tanh)(NAME(load)(z) + keep[1] * keep[3]);
        h = keep[2] + keep[0] * (before - keep[2]);
    } else {
        T *c = j->c + r * j->strips * w + at;
        keep[0] = NAME(sigmoid)(NAME(load)(z)), keep[1] = NAME(sigmoid)(NAME(load)(z + w));
        keep[2] = NAME(tanh)(NAME(load)(z + 2 * w)), keep[3] = NAME(sigmoid)(NAME(load)(z + 3 * w));
        keep[4] = NAME(load)(c);
        const NAME(v) now = keep[1] * keep[4] + keep[0] * keep[2];
        NAME(store)(c, now);
        h = keep[3] * NAME(tanh)(now);
    }
    NAME(store_part)(j->next + r * j->row + p->inputs + at, h, n);
    if (p->y)
        NAME(store_part)((T *)p->y + row * p->units + at, h, n);
    if (p->kept)
        UNROLL for (int k = 0; k < KEPT; k++)
            NAME(store_part)((T *)p->kept + (row * KEPT + k) * p->units + at, keep[k], n);
}

/* Asks for the lines that these cells will write: else they wait for each. */
static void NAME(fetch_cells)(const NAME(walk) *j, int64_t t, int64_t u, int64_t r, int64_t mr)
{
    const gr__recurrent *p = j->p;
    for (int64_t i = r; i < r + mr && p->kept; i++)
        for (int k = 0; k < KEPT; k++)
            __builtin_prefetch((T *)p->kept + ((i * p->steps + t) * KEPT + k) * p->units + u * NAME(lanes), 1);
    for (int64_t i = r; i < r + mr && p->y; i++)
        __builtin_prefetch((T *)p->y + (i * p->steps + t) * p->units + u * NAME(lanes), 1);
}

static NAME(walk) NAME(start)(const gr__recurrent *p)
{
    NAME(walk) j = {.p = p, .strips = (p->units + NAME(lanes) - 1) / NAME(lanes), .strip = NAME(strip_elements)(p),
        .row = p->inputs + p->units + 1, .pack = p->scratch};
    j.now = j.pack + j.strips * j.strip;
    j.next = j.now + lines(p->rows * j.row, sizeof(T));
    j.c = j.next + lines(p->rows * j.row, sizeof(T));
    for (int64_t u = 0; u < j.strips; u++)
        NAME(pack_strip)(p, u, j.pack + u * j.strip);
    for (int64_t r = 0; r < p->rows; r++) {
        memcpy(j.now + r * j.row + p->inputs, (const T *)p->h0 + r * p->units, (size_t)p->units * sizeof(T));
        j.now[(r + 1) * j.row - 1] = j.next[(r + 1) * j.row - 1] = 1;
        for (int64_t k = 0; !p->gru && k < j.strips * NAME(lanes); k++)
            j.c[r * j.strips * NAME(lanes) + k] = k < p->units ? ((const T *)p->c0)[r * p->units + k] : (T)0;
    }
    return j;
}

static void NAME(forward)(const gr__recurrent *p)
{
    if (p->rows < 1)
        return;
    _Alignas(64) T z[CELL_ROWS * GATES * NAME(lanes)];
    NAME(walk) j = NAME(start)(p);
    const int64_t blocks = (p->rows + CELL_ROWS - 1) / CELL_ROWS;
    for (int64_t t = 0; t < p->steps; t++) {
        for (int64_t r = 0; r < p->rows; r++) {
            const int64_t row = r * p->steps + t;
            memcpy(j.now + r * j.row, (const T *)p->x + row * p->inputs, (size_t)p->inputs * sizeof(T));
            if (p->seen)
                memcpy((T *)p->seen + row * j.row, j.now + r * j.row, (size_t)j.row * sizeof(T));
        }
        for (int64_t u = 0; u < j.strips; u++)
            for (int64_t r = 0, q = 0; q < blocks; q++) {
                const int64_t mr = (p->rows - r + blocks - q - 1) / (blocks - q);
                NAME(fetch_cells)(&j, t, u, r, mr);
                NAME(gates_of)[p->gru][mr](&j, u, r, z);
                for (int64_t i = 0; i < mr; i++, r++)
                    NAME(cell)(&j, t, u, r, z + i * GATES * NAME(lanes));
            }
        T *swap = j.now;
        j.now = j.next, j.next = swap;
    }
    for (int64_t r = 0; r < p->rows; r++) {
        if (p->h)
            memcpy((T *)p->h + r * p->units, j.now + r * j.row + p->inputs, (size_t)p->units * sizeof(T));
        if (p->c)
            memcpy((T *)p->c + r * p->units, j.c + r * j.strips * NAME(lanes), (size_t)p->units * sizeof(T));
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const gr__recurrent_back *p;
    int64_t strips;   /* pairs of vectors of units */
    int64_t depth;    /* gates that a unit's h went into, times units */
    int64_t width;    /* units in whole strips */
    int64_t d_row;    /* of d below: rows do not fall into the same sets of the cache */
    T *pack;          /* [strips][depth][2 * lanes]: recurrent weights, transposed */
    T *d;             /* [rows][d_row]: the step's gradients */
    T *dh, *dc;       /* [rows][width]: from later steps */
} NAME(walk_back);

static NAME(walk_back) NAME(plan_back)(const gr__recurrent_back *p)
{
    const int64_t pair = 2 * NAME(lanes);
    NAME(walk_back) j = {.p = p, .strips = (p->units + pair - 1) / pair, .pack = p->scratch};
    j.depth = p->units * (p->gru ? GATES - 1 : GATES);
    j.width = j.strips * pair;
    j.d_row = lines(GATES * p->units, sizeof(T)) + LINE / sizeof(T);
    return j;
}

static size_t NAME(back_bytes)(const gr__recurrent_back *p)
{
    const NAME(walk_back) j = NAME(plan_back)(p);
    return (size_t)(j.width * j.depth + p->rows * (j.d_row + 2 * j.width)) * sizeof(T);
}

/* [depth][pair] of a strip from rows of depth elements, of which `n` are there */
static void NAME(pack_turned)(const T *from, int64_t n, int64_t depth, T *to)
{
    enum { w = NAME(lanes) };
    for (int half = 0; half < 2; half++)
        for (int64_t k = 0; k < depth; k += w) {
            const int64_t deep = fewer(depth - k, w);
            NAME(v) x[w];
            UNROLL for (int i = 0; i < w; i++)
                x[i] = half * w + i < n ? NAME(load_part)(from + (half * w + i) * depth + k, deep) : (NAME(v)){0};
            NAME(transpose)(x);
            UNROLL for (int i = 0; i < w; i++)
                if (i < deep)
                    NAME(store)(to + (k + i) * 2 * w + half * w, x[i]);
        }
}

/* Asks for a vector of what was kept of a row and for the lines that its gradients go to. Only the next rows are asked
 * for: those of one step often lie a power of two apart and would push each other out of the second cache. */
GR_INLINE void NAME(fetch_cell)(const gr__recurrent_back *p, int64_t row, int64_t at)
{
    for (int i = 0; i < KEPT; i++)
        __builtin_prefetch((const T *)p->kept + (row * KEPT + i) * p->units + at);
    for (int i = 0; i < GATES; i++)
        __builtin_prefetch((const T *)p->d + (row * GATES + i) * p->units + at, 1);
}

/* Through the cell: from dh and dc to the gates' gradients and what is left for the step before. */
static void NAME(cell_back)(const NAME(walk_back) *j, int64_t t, int64_t r)
{
    const gr__recurrent_back *p = j->p;
    const int64_t units = p->units, row = r * p->steps + t;
    const T *kept = (const T *)p->kept + row * KEPT * units, *dy = p->dy ? (const T *)p->dy + row * units : NULL;
    T *d = j->d + r * j->d_row, *out = (T *)p->d + row * GATES * units;
    for (int64_t at = 0; at < units; at += NAME(lanes)) {
        const int64_t n = fewer(units - at, NAME(lanes));
        if (r + AHEAD < p->rows)
            NAME(fetch_cell)(p, row + AHEAD * p->steps, at);
        T *dh_at = j->dh + r * j->width + at, *dc_at = j->dc + r * j->width + at;
        NAME(v) k[KEPT], g[GATES], dh = NAME(load)(dh_at);
        UNROLL for (int i = 0; i < KEPT; i++)
            k[i] = NAME(load_part)(kept + i * units + at, n);
        if (dy)
            dh += NAME(load_part)(dy + at, n);
        if (p->gru) {
            g[0] = dh * (1 - k[0]) * (1 - k[2] * k[2]);
            g[1] = dh * (k[4] - k[2]) * (k[0] * (1 - k[0]));
            g[2] = g[0] * k[3] * (k[1] * (1 - k[1]));
            g[3] = g[0] * k[1];
            NAME(store)(dh_at, dh * k[0]);
        } else {
            const NAME(v) c = k[1] * k[4] + k[0] * k[2], s = NAME(tanh)(c);
            const NAME(v) dc = NAME(load)(dc_at) + dh * k[3] * (1 - s * s);
            g[0] = dc * k[2] * (k[0] * (1 - k[0]));
            g[1] = dc * k[4] * (k[1] * (1 - k[1]));
            g[2] = dc * k[0] * (1 - k[2] * k[2]);
            g[3] = dh * s * (k[3] * (1 - k[3]));
            NAME(store)(dc_at, dc * k[1]);
            NAME(store)(dh_at, (NAME(v)){0});
        }
        UNROLL for (int i = 0; i < GATES; i++) {
            NAME(store_part)(d + i * units + at, g[i], n);
            NAME(store_part)(out + i * units + at, g[i], n);
        }
    }
}

/* dh += d recurrent', one strip of mr rows */
GR_INLINE void NAME(state_tile)(const int mr, const NAME(walk_back) *j, int64_t s, int64_t r, const T *next)
{
    NAME(v) acc[TILE_ROWS][TILE_VECTORS];
    const NAME(terms) t = {.k = j->depth, .a = j->d + r * j->d_row + GATES * j->p->units - j->depth, .a_row = j->d_row,
        .a_col = 1, .b = j->pack + s * j->depth * 2 * NAME(lanes), .b_row = 2 * NAME(lanes), .last = NAME(lanes),
        .next = next, .next_step = LINE / sizeof(T)};
    T *dh = j->dh + r * j->width + s * 2 * NAME(lanes);
    NAME(tile_load)(mr, 2, acc, dh, j->width, NAME(lanes));
    NAME(tile_add)(mr, 2, acc, &t);
    NAME(tile_store)(mr, 2, acc, dh, j->width, NAME(lanes));
}

#define STATE_TILE(mr)                                                                                            \
    static void NAME(state_tile_##mr)(const NAME(walk_back) *j, int64_t s, int64_t r, const T *next)              \
    {                                                                                                             \
        NAME(state_tile)(mr, j, s, r, next);                                                                      \
    }
STATE_TILE(1) STATE_TILE(2) STATE_TILE(3) STATE_TILE(4) STATE_TILE(5) STATE_TILE(6)
#if defined(GR_VEC_512) || defined(__aarch64__)
STATE_TILE(7) STATE_TILE(8) STATE_TILE(9) STATE_TILE(10) STATE_TILE(11) STATE_TILE(12) STATE_TILE(13) STATE_TILE(14)
#endif
#undef STATE_TILE
typedef void NAME(state_fn)(const NAME(walk_back) *j, int64_t s, int64_t r, const T *next);
static NAME(state_fn) *const NAME(state_of)[TILE_ROWS + 1] = {NULL, NAME(state_tile_1), NAME(state_tile_2),
    NAME(state_tile_3), NAME(state_tile_4), NAME(state_tile_5), NAME(state_tile_6),
#if defined(GR_VEC_512) || defined(__aarch64__)
    NAME(state_tile_7), NAME(state_tile_8), NAME(state_tile_9), NAME(state_tile_10), NAME(state_tile_11),
    NAME(state_tile_12), NAME(state_tile_13), NAME(state_tile_14)
#endif
};

static void NAME(state_back)(const NAME(walk_back) *j)
{
    const int64_t rows = j->p->rows, blocks = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t s = 0; s < j->strips; s++)
        for (int64_t r = 0, q = 0; q < blocks; q++) {
            const int64_t mr = (rows - r + blocks - q - 1) / (blocks - q);
            NAME(state_of)[mr](j, s, r, j->pack + ((s + 1) % j->strips * 2 + (q & 1)) * j->depth * NAME(lanes));
            r += mr;
        }
}

static void NAME(back)(const gr__recurrent_back *p)
{
    if (p->rows < 1)
        return;
    NAME(walk_back) j = NAME(plan_back)(p);
    const int64_t pair = 2 * NAME(lanes), units = p->units;
    j.d = j.pack + j.width * j.depth;
    j.dh = j.d + p->rows * j.d_row;
    j.dc = j.dh + p->rows * j.width;
    for (int64_t s = 0; s < j.strips; s++)
        NAME(pack_turned)((const T *)p->recurrent + s * pair * j.depth, units - s * pair, j.depth,
            j.pack + s * pair * j.depth);
    memset(j.dh, 0, (size_t)(2 * p->rows * j.width) * sizeof(T));
    for (int64_t r = 0; r < p->rows; r++) {
        memcpy(j.dh + r * j.width, (const T *)p->dh + r * units, (size_t)units * sizeof(T));
        if (!p->gru)
            memcpy(j.dc + r * j.width, (const T *)p->dc + r * units, (size_t)units * sizeof(T));
    }
    for (int64_t t = p->steps - 1; t >= 0; t--) {
        for (int64_t r = 0; r < AHEAD && r < p->rows; r++)
            for (int64_t at = 0; at < units; at += NAME(lanes))
                NAME(fetch_cell)(p, r * p->steps + t, at);
        for (int64_t r = 0; r < p->rows; r++)
            NAME(cell_back)(&j, t, r);
        if (t > 0 || p->dh0)
            NAME(state_back)(&j);
    }
    for (int64_t r = 0; r < p->rows; r++) {
        if (p->dh0)
            memcpy((T *)p->dh0 + r * units, j.dh + r * j.width, (size_t)units * sizeof(T));
        if (p->dc0)
            memcpy((T *)p->dc0 + r * units, j.dc + r * j.width, (size_t)units * sizeof(T));
    }
}
