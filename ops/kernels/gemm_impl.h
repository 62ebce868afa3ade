/* The matrix product for one element type and instruction set; a template on T and NAME, like tile_impl.h. See gemm.h
 * for what it promises, tile_impl.h for the inner loop.
 *
 *   for each strip of columns, 1 to 8 vectors wide      (b's strip: direct, or packed into scratch)
 *       for each cut of k                               (a chain that is cut goes on in C)
 *           for each block of rows                      (nearly equal blocks, so the last one is not a sliver)
 *               one tile */
#include "ops/kernels/gemm.h"
#include "ops/kernels/tile_impl.h"
#include "ops/kernels/transpose_impl.h"

#ifndef GR_GEMM_ONCE
#define GR_GEMM_ONCE
enum {
    K_CUT = 512,        /* a packed panel of 2 vectors is then 64 KiB with AVX-512: a small part of L2 */
    SET_STRIDE = 4096,  /* bytes: rows this far apart fall into one set of the first cache, */
    COLLIDING_ROWS = 6, /* which holds 8 lines or more */
    PACK_BLOCKS = 4,    /* blocks of rows from which on a copy of b pays */
};
#endif

/* The product as it is computed: transposed, perhaps, and with a step between columns of C. */
typedef struct {
    int64_t m, n, k;
    const T *a;
    int64_t a_row, a_col;
    const T *b;
    int64_t b_row, b_col;
    T *c;
    int64_t c_row, c_col;
    bool accumulate;
    T *panel;    /* [K_CUT][vectors * lanes] */
    int rows;    /* of a tile, at most */
    int vectors; /* of a tile, at most: 1, 2, 4 or 8 */
    bool pack;   /* every strip; otherwise only a partial one, where there are no masks */
} NAME(job);

/* ---- what to do -------------------------------------------------------------------------------------------------- */

/* C' = B' A' has its vectors along m. Worth it if n fills vectors badly, and if A is contiguous along m or n is so
 * small that even transposing A into a panel is cheaper. */
static bool NAME(turned)(const gr__gemm *g)
{
    const int64_t w = NAME(lanes);
    return g->n < w && g->m > g->n && /* a layer of 10 classes, a column vector */
           (g->a_row == 1 ? g->n <= TILE_ROWS : 4 * g->n <= w);
}

static NAME(job) NAME(plan)(const gr__gemm *g)
{
    NAME(job) j = {g->m, g->n, g->k, g->a, g->a_row, g->a_col, g->b, g->b_row, g->b_col, g->c, g->c_row, 1,
        g->accumulate, g->scratch, 0, 0, false};
    if (NAME(turned)(g)) {
        j.m = g->n, j.n = g->m;
        j.a = g->b, j.a_row = g->b_col, j.a_col = g->b_row;
        j.b = g->a, j.b_row = g->a_col, j.b_col = g->a_row;
        j.c_row = 1, j.c_col = g->c_row;
    }
    const bool many = TILE_ROWS > 6;
    j.vectors = j.m == 1 ? 8 : j.m <= 3 ? (many ? 8 : 4) : j.m <= 6 && many ? 4 : 2;
    bool a_collides = j.a_col == 1 && j.a_row * (int64_t)sizeof(T) % SET_STRIDE == 0 && j.k > NAME(lanes);
    j.rows = a_collides ? COLLIDING_ROWS : TILE_ROWS;
    bool b_collides = j.b_row * (int64_t)sizeof(T) % SET_STRIDE == 0;
    j.pack = j.b_col != 1 && j.n > 1;
    if (j.pack)
        j.vectors = j.vectors > 2 ? 2 : j.vectors;
    else if ((b_collides || !many) && j.m > PACK_BLOCKS * j.rows)
        j.pack = true; /* a small tile needs b twice as often, and waits for it unless it stays in the first cache */
    return j;
}

static int64_t NAME(panel_elements)(const NAME(job) *j)
{
#ifdef GR_VEC_512
    bool partial = false;
#else
    bool partial = j->n % NAME(lanes) != 0;
#endif
    return (j->pack || partial) ? (j->k < K_CUT ? j->k : K_CUT) * j->vectors * NAME(lanes) : 0;
}

/* ---- packing a strip of b into [k][row] -------------------------------------------------------------------------- */

static void NAME(pack_rows)(const NAME(job) *j, const T *b, int64_t k, int64_t n, int64_t row)
{
    for (int64_t p = 0; p < k; p++) {
        const T *from = b + p * j->b_row;
        T *to = j->panel + p * row;
        for (int64_t v = 0; v < row; v += NAME(lanes))
            NAME(store)(to + v, NAME(load_part)(from + v, n - v < NAME(lanes) ? n - v : NAME(lanes)));
    }
}

/* b is contiguous along k: squares of it are turned in registers */
static void NAME(pack_columns)(const NAME(job) *j, const T *b, int64_t k, int64_t n, int64_t row)
{
    enum { w = NAME(lanes) };
    for (int64_t c = 0; c < row; c += w)
        for (int64_t p = 0; p < k; p += w) {
            const int64_t deep = k - p < w ? k - p : w;
            NAME(v) x[w];
            if (deep == w && n - c >= w)
                UNROLL for (int i = 0; i < w; i++)
                    x[i] = NAME(load)(b + (c + i) * j->b_col + p);
            else
                UNROLL for (int i = 0; i < w; i++)
                    x[i] = c + i < n ? NAME(load_part)(b + (c + i) * j->b_col + p, deep) : (NAME(v)){0};
            NAME(transpose)(x);
            UNROLL for (int i = 0; i < w; i++)
                if (i < deep)
                    NAME(store)(j->panel + (p + i) * row + c, x[i]);
        }
}

static void NAME(pack_any)(const NAME(job) *j, const T *b, int64_t k, int64_t n, int64_t row)
{
    for (int64_t p = 0; p < k; p++)
        for (int64_t c = 0; c < row; c++)
            j->panel[p * row + c] = c < n ? b[p * j->b_row + c * j->b_col] : (T)0;
}

static void NAME(pack)(const NAME(job) *j, const T *b, int64_t k, int64_t n, int64_t row)
{
    if (j->b_col == 1)
        NAME(pack_rows)(j, b, k, n, row);
    else if (j->b_row == 1)
        NAME(pack_columns)(j, b, k, n, row);
    else
        NAME(pack_any)(j, b, k, n, row);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

GR_INLINE void NAME(tile)(const int mr, const int nv, const NAME(terms) *t, T *c, int64_t c_row, bool goes_on)
{
    NAME(v) acc[TILE_ROWS][TILE_VECTORS];
    if (goes_on)
        NAME(tile_load)(mr, nv, acc, c, c_row, t->last);
    else {
        NAME(tile_fetch)(mr, nv, c, c_row);
        NAME(tile_zero)(mr, nv, acc);
    }
    if (t->runs[0] == 1 && t->runs[1] == 1)
        NAME(tile_add)(mr, nv, acc, t);
    else { /* apart: the copy costs a small product a tenth, and without it the loops cost a convolution a twentieth */
        NAME(terms) run = *t;
        for (int64_t y = 0; y < t->runs[0]; y++)
            for (int64_t x = 0; x < t->runs[1]; x++) {
                run.a = t->a + y * t->a_step[0] + x * t->a_step[1];
                run.b = t->b + y * t->b_step[0] + x * t->b_step[1];
                NAME(tile_add)(mr, nv, acc, &run);
            }
    }
    NAME(tile_store)(mr, nv, acc, c, c_row, t->last);
}

/* tile_3x8 and so on: the sizes that leave room for a and b in the registers */
#define TILE(mr, nv)                                                                                \
    static void NAME(tile_##mr##x##nv)(const NAME(terms) *t, T *c, int64_t c_row, bool goes_on)    \
    {                                                                                               \
        NAME(tile)(mr, nv, t, c, c_row, goes_on);                                                   \
    }
#define TILES_6(TILE, nv) TILE(1, nv) TILE(2, nv) TILE(3, nv) TILE(4, nv) TILE(5, nv) TILE(6, nv)
#define TILES_14(TILE, nv) \
    TILES_6(TILE, nv)                                           \
    TILE(7, nv) TILE(8, nv) TILE(9, nv) TILE(10, nv) TILE(11, nv) TILE(12, nv) TILE(13, nv) TILE(14, nv)
#if defined(GR_VEC_512) || defined(__aarch64__)
#define TILES(TILE) \
    TILES_14(TILE, 1) TILES_14(TILE, 2) TILES_6(TILE, 4) TILE(1, 8) TILE(2, 8) TILE(3, 8)
#else
#define TILES(TILE) TILES_6(TILE, 1) TILES_6(TILE, 2) TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(1, 8)
#endif
TILES(TILE)
typedef void NAME(tile_fn)(const NAME(terms) *t, T *c, int64_t c_row, bool goes_on);
#define TILE_ENTRY(mr, nv) [mr][nv] = NAME(tile_##mr##x##nv),
static NAME(tile_fn) *const NAME(tiles)[TILE_ROWS + 1][TILE_VECTORS + 1] = {TILES(TILE_ENTRY)};

/* A tile whose columns lie c_col apart goes through a block on the stack. */
static void NAME(tile_scattered)(NAME(tile_fn) *tile, int64_t m, int64_t n, const NAME(terms) *t, const NAME(job) *j,
    T *c, bool goes_on)
{
    _Alignas(64) T block[TILE_ROWS][TILE_VECTORS * NAME(lanes)];
    for (int64_t i = 0; goes_on && i < m; i++)
        for (int64_t q = 0; q < n; q++)
            block[i][q] = c[i * j->c_row + q * j->c_col];
    tile(t, block[0], TILE_VECTORS * NAME(lanes), goes_on);
    for (int64_t q = 0; q < n; q++)
        for (int64_t i = 0; i < m; i++)
            c[i * j->c_row + q * j->c_col] = block[i][q];
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* n columns of nv vectors, terms k0 to k0 + t->k of the sums */
static void NAME(strip_rows)(const NAME(job) *j, NAME(terms) *t, int64_t col, int64_t n, int nv, int64_t k0)
{
    const int64_t blocks = (j->m + j->rows - 1) / j->rows;
    const bool goes_on = j->accumulate || k0 > 0;
    const bool more_k = k0 + t->k < j->k;
    const T *next_b = more_k ? j->b + (k0 + t->k) * j->b_row + col * j->b_col : j->b + (col + n) * j->b_col;
    for (int64_t i = 0, q = 0; q < blocks; q++) {
        const int64_t mr = (j->m - i + blocks - q - 1) / (blocks - q);
        NAME(tile_fn) *tile = NAME(tiles)[mr][nv];
        T *c = j->c + i * j->c_row + col * j->c_col;
        t->a = j->a + i * j->a_row + k0 * j->a_col;
        if (j->b_col == 1 && q < nv) /* the first blocks fetch the next strip of b, a column of lines each */
            t->next = next_b + q * NAME(lanes), t->next_step = j->b_row;
        else /* the others the next block of a */
            t->next = t->a + mr * j->a_row, t->next_step = j->a_col == 1 ? mr * j->a_row / j->k : j->a_col;
        if (j->c_col == 1)
            tile(t, c, j->c_row, goes_on);
        else
            NAME(tile_scattered)(tile, mr, n, t, j, c, goes_on);
        i += mr;
    }
}

static void NAME(strip)(const NAME(job) *j, int64_t col, int64_t n, int nv)
{
    const int64_t row = nv * NAME(lanes);
    NAME(terms) t = {.runs = {1, 1}, .a_row = j->a_row, .a_col = j->a_col, .last = n - (nv - 1) * NAME(lanes)};
#ifdef GR_VEC_512
    const bool pack = j->pack;
#else
    const bool pack = j->pack || n < row;
#endif
    const int64_t cuts = (j->k + K_CUT - 1) / K_CUT, cut = (j->k + cuts - 1) / cuts;
    for (int64_t k0 = 0; k0 < j->k; k0 += cut) {
        t.k = j->k - k0 < cut ? j->k - k0 : cut;
        t.b = j->b + k0 * j->b_row + col * j->b_col, t.b_row = j->b_row;
        if (pack) {
            NAME(pack)(j, t.b, t.k, n, row);
            t.b = j->panel, t.b_row = row;
        }
        NAME(strip_rows)(j, &t, col, n, nv, k0);
    }
}

static void NAME(product)(const gr__gemm *g)
{
    if (g->m <= 0 || g->n <= 0)
        return;
    if (g->k <= 0) {
        for (int64_t i = 0; !g->accumulate && i < g->m; i++)
            memset((T *)g->c + i * g->c_row, 0, (size_t)g->n * sizeof(T));
        return;
    }
    const NAME(job) j = NAME(plan)(g);
    for (int64_t col = 0; col < j.n;) {
        const int64_t left = j.n - col, vectors = (left + NAME(lanes) - 1) / NAME(lanes);
        int nv = j.vectors;
        while (nv > vectors)
            nv /= 2;
        const int64_t n = nv * NAME(lanes) < left ? nv * NAME(lanes) : left;
        NAME(strip)(&j, col, n, nv);
        col += n;
    }
}

static size_t NAME(scratch)(const gr__gemm *g)
{
    if (g->m <= 0 || g->n <= 0 || g->k <= 0)
        return 0;
    const NAME(job) j = NAME(plan)(g);
    return (size_t)NAME(panel_elements)(&j) * sizeof(T);
}
