/* The matrix product for one element type and instruction set; a template on T and NAME, like tile_impl.h. See gemm.h
 * for what it promises, tile_impl.h for the inner loop.
 *
 *   for each cut of k                                 (a chain that is cut goes on in C)
 *       for each group of columns, 1 to 8 strips      (packed at once: whole lines of b)
 *           for each strip, 1 to 8 vectors wide       (direct, packed by the caller or packed here)
 *               for each block of rows                (nearly equal blocks, so the last one is not a sliver)
 *                   one tile
 *
 * With AVX2, whose tile is small and so goes over both operands often, the tiles that read rows of b or of a
 * transposed a first copy them for the others, between two multiply-adds. Where a is copied there is one more loop,
 * over as many rows as stay in L2, inside that over k. */
#include "ops/kernels/gemm.h"
#include "ops/kernels/tile_impl.h"
#include "ops/kernels/transpose_impl.h"

#ifndef GR_GEMM_ONCE
#define GR_GEMM_ONCE
enum {
#ifdef GR_VEC_512
    K_CUT = 512, /* a packed strip of 2 vectors is then 64 KiB: a small part of L2, from where a large tile takes it */
#else
    K_CUT = 256, /* 16 KiB with AVX2: half of the first cache, for a small tile goes over b twice as often */
#endif
#ifdef GR_VEC_256
    ROW_CUT = 400,     /* where a tile's rows of a, beside the strip of b, take little of that cache */
    PACKED_CUT = 1024, /* of a packed b: it comes from L2 in one run, as fast as a tile takes it */
#else
    ROW_CUT = K_CUT,
    PACKED_CUT = K_CUT,
#endif
    BLOCK_VECTORS = 2,  /* of a block that gr__gemm_pack makes: the width of a full tile */
    GROUP_BYTES = 256,  /* of a row of b packed at once */
#ifdef GR_VEC_256
    SET_STRIDE = 2048, /* bytes: rows this far apart fall into two sets of the first cache, */
#else
    SET_STRIDE = 4096, /* into one, */
#endif
    COLLIDING_ROWS = 6, /* which holds 8 lines or more */
    PACK_BLOCKS = 4,    /* blocks of rows from which on a copy of b, or of a transposed a, pays */
#ifdef GR_VEC_256
    KEEPS = 1,                 /* tiles copy b and a */
    FEW_COLS = 16,             /* of C: with fewer, vectors lie along its columns where a does too */
    MOST_DOT_ROWS = 8,         /* of a product made of dot products: with more, a copy of b pays */
    A_PANEL_BYTES = 160 << 10, /* of a's copy: a part of L2 */
    A_PANEL_COLS = 32,         /* of C, from which on a copy of a pays */
#else
    KEEPS = 0,
#endif
    LINE_BYTES = 64,
    AHEAD = 6, /* steps: longer than L2 takes, and few enough that rows of one set do not push each other out */
};
#ifdef GR_VEC_256
/* How a product of few rows is made: see few_rows_impl.h */
typedef enum { TILES, ONE_ROW, DOTS, COPIED_DOTS } few_rows;

typedef float whole_v_f32 __attribute__((vector_size(32)));
typedef double whole_v_f64 __attribute__((vector_size(32)));
typedef int32_t lane_mask_f32 __attribute__((vector_size(32), aligned(4), may_alias));
typedef long long lane_mask_f64 __attribute__((vector_size(32), aligned(8), may_alias));
static const int32_t lane_masks_f32[] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
static const int64_t lane_masks_f64[] = {-1, -1, -1, -1, 0, 0, 0, 0};
#define LOAD_SOME_f32(p, n)                                             \
    __builtin_ia32_maskloadps256((const whole_v_f32 *)(const void *)(p), \
        *(const lane_mask_f32 *)(lane_masks_f32 + 8 - (n)))
#define LOAD_SOME_f64(p, n)                                             \
    __builtin_ia32_maskloadpd256((const whole_v_f64 *)(const void *)(p), \
        *(const lane_mask_f64 *)(lane_masks_f64 + 4 - (n)))
#endif
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
    int64_t b_block; /* see gemm.h */
    T *panel;        /* [strips of a group][deepest][vectors * lanes], after which lies a's copy */
    int rows;        /* of a tile, at most */
    int vectors;     /* of a tile, at most: 1, 2, 4 or 8 */
    bool pack; /* every strip; otherwise only a partial one, where there are no masks */
#ifdef GR_VEC_256
    bool pack_a; /* blocks of rows, each into [k][row], a_step elements apart */
    few_rows few;
#endif
} NAME(job);

#ifdef GR_VEC_256
#include "ops/kernels/few_rows_impl.h"
#endif

/* ---- what to do -------------------------------------------------------------------------------------------------- */

/* C' = B' A' has its vectors along m. Worth it if n fills vectors badly, and if A is contiguous along m or n is so
 * small that even transposing A into a panel is cheaper. */
static bool NAME(turned)(const gr__gemm *g)
{
    const int64_t w = NAME(lanes);
#ifdef GR_VEC_256
    if (g->m <= g->n)
        return false;
    if (g->a_row == 1)
        return g->n < FEW_COLS && g->n != 2 * w;
    const bool long_enough = g->n <= 4 || g->k >= FEW_COLS * g->n; /* for what it takes to scatter the result */
    return g->a_col == 1 && g->n < DOT_ROWS && long_enough && NAME(dots_pay)(g->n, g->m, g->k);
#else
    return g->n < w && g->m > g->n && /* a layer of 10 classes, a column vector */
           (g->a_row == 1 ? g->n <= TILE_ROWS : 4 * g->n <= w);
#endif
}

static NAME(job) NAME(plan)(const gr__gemm *g)
{
    NAME(job) j = {.m = g->m, .n = g->n, .k = g->k, .a = g->a, .a_row = g->a_row, .a_col = g->a_col, .b = g->b,
        .b_row = g->b_row, .b_col = g->b_col, .c = g->c, .c_row = g->c_row, .c_col = 1, .accumulate = g->accumulate,
        .b_block = g->b_block, .panel = g->scratch, .rows = TILE_ROWS, .vectors = 2};
    if (g->b_block)
        j.b_row = BLOCK_VECTORS * NAME(lanes), j.b_col = 1;
    else if (NAME(turned)(g)) {
        j.m = g->n, j.n = g->m;
        j.a = g->b, j.a_row = g->b_col, j.a_col = g->b_row;
        j.b = g->a, j.b_row = g->a_col, j.b_col = g->a_row;
        j.c_row = 1, j.c_col = g->c_row;
    }
    const bool many = TILE_ROWS > 6;
    const bool a_collides = j.a_col == 1 && j.a_row * (int64_t)sizeof(T) % SET_STRIDE == 0 && j.k > NAME(lanes);
    const bool b_collides = j.b_row * (int64_t)sizeof(T) % SET_STRIDE == 0;
    if (!j.b_block && j.b_col == 1 && j.m <= 3)
        j.vectors = j.m == 1 || many ? 8 : 4;
    else if (many && (a_collides || (j.b_col == 1 && j.m <= 6 && !j.b_block))) /* few rows, wide: as many sums */
        j.rows = COLLIDING_ROWS, j.vectors = j.b_block ? BLOCK_VECTORS : 4;
    j.pack = !j.b_block && ((j.b_col != 1 && j.n > 1) || /* a small tile needs b in the first cache */
                               ((b_collides || !many) && j.m > PACK_BLOCKS * j.rows));
#ifdef GR_VEC_256
    j.pack = j.pack || (!j.b_block && b_collides && j.m > j.rows); /* no first cache keeps it for two blocks */
#endif
#ifdef GR_VEC_256
    j.few = NAME(few)(&j);
    j.pack = j.pack && !j.few;
    j.pack_a = j.pack && j.a_row == 1 && j.a_col != 1 && j.m > PACK_BLOCKS * j.rows && j.n >= A_PANEL_COLS;
#endif
    return j;
}

/* Of k at one time, at most. */
static int64_t NAME(deepest)(const NAME(job) *j)
{
    const int64_t most = j->b_block ? PACKED_CUT : j->a_col == 1 ? ROW_CUT : K_CUT;
    return j->k < most ? j->k : most;
}

/* Columns of a group of strips. */
static int64_t NAME(group)(const NAME(job) *j)
{
    const int64_t strip = j->vectors * NAME(lanes), lines = GROUP_BYTES / (int64_t)sizeof(T);
    if (KEEPS && j->b_col == 1)
        return strip;
    return strip >= lines ? strip : lines / strip * strip;
}

#ifdef GR_VEC_256
/* From a block of a's copy to the next: whole vectors are stored, beyond a block's end too. */
static int64_t NAME(a_step)(const NAME(job) *j)
{
    return NAME(deepest)(j) * TILE_ROWS + 2 * NAME(lanes);
}

/* Blocks of a that have room at one time. */
static int64_t NAME(a_blocks)(const NAME(job) *j)
{
    const int64_t all = (j->m + TILE_ROWS - 1) / TILE_ROWS, most = A_PANEL_BYTES / (int64_t)sizeof(T) / NAME(a_step)(j);
    return all < most ? all : most;
}
#endif

static int64_t NAME(b_panel)(const NAME(job) *j)
{
#ifdef GR_VEC_512
    const bool partial = false;
#else
    const bool partial = j->n % NAME(lanes) != 0 && !j->b_block;
#endif
    const int64_t strip = j->vectors * NAME(lanes), all = (j->n + strip - 1) / strip * strip;
    const int64_t packed = NAME(group)(j) < all ? NAME(group)(j) : all;
    return NAME(deepest)(j) * (j->pack ? packed : partial ? strip : 0);
}

static int64_t NAME(panel_elements)(const NAME(job) *j)
{
#ifdef GR_VEC_256
    if (j->few)
        return NAME(few_panel)(j);
    if (j->pack_a)
        return NAME(b_panel)(j) + NAME(a_blocks)(j) * NAME(a_step)(j);
#endif
    return NAME(b_panel)(j);
}

/* ---- packing strips of b, each into [k][row], row a whole number of vectors -------------------------------------- */

typedef struct {
    const T *b; /* the first strip's */
    int64_t b_row, b_col;
    int64_t k, n; /* n: columns of all strips */
    int64_t row;  /* a strip's */
    int64_t to_step; /* from a strip in `to` to the next */
    T *to;
} NAME(packing);

/* Like load_part. (In a tile, where it is rare, a mask costs registers.) */
GR_INLINE NAME(v) NAME(load_some)(const T *p, int64_t n)
{
#ifdef GR_VEC_256
    return NAME(LOAD_SOME)(p, n);
#else
    return NAME(load_part)(p, n);
#endif
}

static void NAME(pack_rows)(const NAME(packing) *w)
{
    for (int64_t p = 0; p < w->k; p++) {
        const T *from = w->b + p * w->b_row;
        T *to = w->to + p * w->row;
        int64_t n = w->n;
        for (; n >= w->row; n -= w->row, from += w->row, to += w->to_step)
            for (int64_t v = 0; v < w->row; v += NAME(lanes))
                NAME(store)(to + v, NAME(load)(from + v));
        for (int64_t v = 0; n > 0 && v < w->row; v += NAME(lanes)) {
            const int64_t left = n - v < NAME(lanes) ? n - v : NAME(lanes);
            NAME(store)(to + v, left > 0 ? NAME(load_some)(from + v, left) : (NAME(v)){0});
        }
    }
}

/* b is contiguous along k: squares of it are turned in registers */
static void NAME(pack_columns)(const NAME(packing) *s, const T *b, int64_t n, T *to)
{
    enum { w = NAME(lanes) };
    for (int64_t c = 0; c < s->row; c += w)
        for (int64_t p = 0; p < s->k; p += w) {
            const int64_t deep = s->k - p < w ? s->k - p : w;
            NAME(v) x[w];
            if (deep == w && n - c >= w)
                UNROLL for (int i = 0; i < w; i++)
                    x[i] = NAME(load)(b + (c + i) * s->b_col + p);
            else
                UNROLL for (int i = 0; i < w; i++)
                    x[i] = c + i < n ? NAME(load_part)(b + (c + i) * s->b_col + p, deep) : (NAME(v)){0};
            NAME(transpose)(x);
            UNROLL for (int i = 0; i < w; i++)
                if (i < deep)
                    NAME(store)(to + (p + i) * s->row + c, x[i]);
        }
}

static void NAME(pack_any)(const NAME(packing) *s, const T *b, int64_t n, T *to)
{
    for (int64_t p = 0; p < s->k; p++)
        for (int64_t c = 0; c < s->row; c++)
            to[p * s->row + c] = c < n ? b[p * s->b_row + c * s->b_col] : (T)0;
}

static void NAME(pack)(const NAME(packing) *s)
{
    if (s->b_col == 1) {
        NAME(pack_rows)(s);
        return;
    }
    T *to = s->to;
    for (int64_t c = 0; c < s->n; c += s->row, to += s->to_step)
        (s->b_row == 1 ? NAME(pack_columns) : NAME(pack_any))(s, s->b + c * s->b_col, s->n - c, to);
}

static void NAME(pack_blocks)(const gr__gemm *g, T *packed)
{
    const int64_t w = BLOCK_VECTORS * NAME(lanes), group = GROUP_BYTES / (int64_t)sizeof(T);
    const T *b = g->b;
    for (int64_t j = 0; j < g->n; j += group)
        NAME(pack)(&(NAME(packing)){b + j * g->b_col, g->b_row, g->b_col, g->k, g->n - j < group ? g->n - j : group, w,
            g->k * w, packed + j * g->k});
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
    AS_NEW(c_row);
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

/* A part of the product: a cut of k, of some rows or all. */
typedef struct {
    int64_t i0, m;
    int64_t k0, k;
    const T *next_b; /* the first column after the group of columns in hand: what is packed next */
#ifdef GR_VEC_256
    T *a;            /* its copy */
    const T *next_a; /* what is copied next, so many rows */
    int64_t next_m;
#endif
} NAME(part);

/* A tile of a strip, of nv vectors. */
typedef struct {
    int64_t strip, q; /* numbers of the strip and of the block of rows */
    int64_t i, mr;    /* the first row, rows */
    const T *next_b;  /* see strip_rows */
    int nv;
} NAME(place);

/* a where it lies; and what the tile fetches. */
static void NAME(a_in_place)(const NAME(job) *j, const NAME(place) *at, NAME(terms) *t)
{
    if (j->a_col != 1) /* a line or two a step, often of another page: fetched for this block */
        t->next = t->a + AHEAD * j->a_col, t->next_step = j->a_col, t->next_line = (at->mr - 1) * j->a_row;
    else if (at->next_b && at->q < at->nv) /* the first blocks fetch the next strip of b, a column of lines each */
        t->next = at->next_b + at->q * NAME(lanes), t->next_step = j->b_row;
    else /* the others the next block of a */
        t->next = t->a + at->mr * j->a_row, t->next_step = at->mr * j->a_row / j->k;
}

#ifdef GR_VEC_256
/* a from its copy, which the first strip makes. */
static void NAME(a_copied)(const NAME(job) *j, const NAME(part) *s, const NAME(place) *at, NAME(terms) *t)
{
    const int64_t width = (TILE_ROWS + NAME(lanes) - 1) / NAME(lanes) * NAME(lanes), mr = at->mr;
    T *copy = s->a + at->q * NAME(a_step)(j);
    t->keep_a = at->strip == 0 && at->i + width <= j->m ? copy : NULL;
    if (t->keep_a) {
        t->a_col = j->a_col;
        t->next = t->a + AHEAD * j->a_col, t->next_step = j->a_col, t->next_line = mr - 1;
        return;
    }
    for (int64_t p = 0; at->strip == 0 && p < s->k; p++) /* the last rows, beyond which nothing may be read */
        for (int64_t r = 0; r < mr; r++)
            copy[p * mr + r] = t->a[p * j->a_col + r];
    t->a = copy, t->a_col = mr;
    /* from the second strip on, all blocks but the first fetch what is copied next, a column of lines each */
    const int64_t blocks = (s->m + j->rows - 1) / j->rows;
    const int64_t line = ((at->strip - 1) * (blocks - 1) + at->q - 1) * (LINE_BYTES / (int64_t)sizeof(T));
    if (at->q == 0 && at->next_b)
        t->next = at->next_b, t->next_step = j->b_row;
    else if (at->q > 0 && line >= 0 && line < s->next_m)
        t->next = s->next_a + line, t->next_step = j->a_col;
    else
        t->next = copy + NAME(a_step)(j), t->next_step = mr;
}
#endif

/* n columns of nv vectors from col on; t->b is given. next_b: what is packed after it, or NULL. */
static void NAME(strip_rows)(const NAME(job) *j, const NAME(part) *s, NAME(terms) *t, int64_t col, int64_t n, int nv,
    const T *next_b)
{
    const int64_t blocks = (s->m + j->rows - 1) / j->rows, end = s->i0 + s->m;
    const bool goes_on = j->accumulate || s->k0 > 0;
    for (int64_t i = s->i0, q = 0, mr; q < blocks; q++, i += mr) {
        mr = (end - i + blocks - q - 1) / (blocks - q);
        NAME(tile_fn) *tile = NAME(tiles)[mr][nv];
        T *c = j->c + i * j->c_row + col * j->c_col;
        t->a = j->a + i * j->a_row + s->k0 * j->a_col;
        t->next_line = 0;
        const NAME(place) at = {col / (j->vectors * NAME(lanes)), q, i, mr, next_b, nv};
#ifdef GR_VEC_256
        if (j->pack_a)
            NAME(a_copied)(j, s, &at, t);
        else
#endif
            NAME(a_in_place)(j, &at, t);
        if (j->c_col == 1)
            tile(t, c, j->c_row, goes_on);
        else
            NAME(tile_scattered)(tile, mr, n, t, j, c, goes_on);
#ifdef GR_VEC_256
        if (t->keep_b)
            t->b = t->keep_b, t->b_row = nv * NAME(lanes), t->b_ahead = 0, t->keep_b = NULL;
#endif
    }
}

/* Columns col to col + width: a group of strips, packed together. */
static void NAME(strips)(const NAME(job) *j, const NAME(part) *s, int64_t col, int64_t width)
{
    const int64_t full = j->vectors * NAME(lanes);
    const T *b = j->b + s->k0 * j->b_row + (j->b_block ? 0 : col * j->b_col);
    const NAME(packing) w = {b, j->b_row, j->b_col, s->k, width, full, s->k * full, j->panel};
    bool keep = KEEPS && j->pack && j->b_col == 1 && width == full;
#ifdef GR_VEC_256
    keep = keep && !(j->pack_a && col == 0); /* that strip's tiles copy a */
#endif
    if (j->pack && !keep)
        NAME(pack)(&w);
    for (int64_t at = 0, n; at < width; at += n) {
        const int64_t left = width - at, vectors = (left + NAME(lanes) - 1) / NAME(lanes);
        int nv = j->vectors;
        while (nv > vectors)
            nv /= 2;
        n = nv * NAME(lanes) < left ? nv * NAME(lanes) : left;
        NAME(terms) t = {.runs = {1, 1}, .k = s->k, .a_row = j->a_row, .a_col = j->a_col, .b_row = j->b_row,
            .last = n - (nv - 1) * NAME(lanes)};
        if (j->b_block) { /* a tail may begin inside a block, never cross its end */
            t.b = b + (col + at) / full * j->b_block + (col + at) % full;
            NAME(strip_rows)(j, s, &t, col + at, n, nv, t.b + j->b_block);
            continue;
        }
        t.b = b + at * j->b_col;
        if (j->pack && !keep)
            t.b = w.to + at / full * w.to_step + at % full, t.b_row = full;
#ifndef GR_VEC_512
        else if (!keep && n < nv * NAME(lanes)) {
            NAME(pack)(&(NAME(packing)){t.b, j->b_row, j->b_col, s->k, n, nv * NAME(lanes), 0, j->panel});
            t.b = j->panel, t.b_row = nv * NAME(lanes);
        }
#endif
        if (j->a_col != 1 || !j->pack)
            t.b_ahead = AHEAD * t.b_row;
#ifdef GR_VEC_256
        t.keep_b = keep ? j->panel : NULL;
        t.b_ahead = keep ? AHEAD * t.b_row : j->pack_a ? 0 : t.b_ahead;
#endif
        NAME(strip_rows)(j, s, &t, col + at, n, nv, j->pack && j->b_col == 1 ? s->next_b + at : NULL);
    }
}

static void NAME(groups)(const NAME(job) *j, NAME(part) *s)
{
    const int64_t group = NAME(group)(j);
    for (int64_t col = 0; col < j->n; col += group) {
        const int64_t width = j->n - col < group ? j->n - col : group;
        const bool same_k = col + width < j->n || s->k0 + s->k >= j->k; /* the last group: its neighbour's turn */
        s->next_b = same_k ? j->b + s->k0 * j->b_row + (col + width) * j->b_col : j->b + (s->k0 + s->k) * j->b_row;
        NAME(strips)(j, s, col, width);
    }
}

/* ---- few rows of a packed b -------------------------------------------------------------------------------------- */

/* The columns of whole blocks, several blocks at a time: the sums of one are too few to be under way while each waits
 * for the one before it. Leaves the rest of the product in j. */
GR_INLINE void NAME(few_rows)(const int mr, const int blocks, NAME(job) *j)
{
    enum { w = NAME(lanes) };
    const int64_t cols = blocks * BLOCK_VECTORS * w;
    for (; j->n >= cols; j->n -= cols, j->b += blocks * j->b_block, j->c += cols) {
        NAME(v) acc[TILE_ROWS][TILE_VECTORS];
        if (j->accumulate)
            NAME(tile_load)(mr, blocks * BLOCK_VECTORS, acc, j->c, j->c_row, w);
        else
            NAME(tile_zero)(mr, blocks * BLOCK_VECTORS, acc);
        const T *a = j->a, *b = j->b;
        for (int64_t p = 0; p < j->k; p++, a += j->a_col, b += BLOCK_VECTORS * w)
            UNROLL for (int v = 0; v < blocks * BLOCK_VECTORS; v++) {
                const NAME(v) x = NAME(load)(b + v / BLOCK_VECTORS * j->b_block + v % BLOCK_VECTORS * w);
                UNROLL for (int i = 0; i < mr; i++)
                    acc[i][v] += (a[i * j->a_row] - (NAME(v)){0}) * x;
            }
        NAME(tile_store)(mr, blocks * BLOCK_VECTORS, acc, j->c, j->c_row, w);
    }
}

static void NAME(few_packed_rows)(NAME(job) *j)
{
    if (j->m == 1) {
        NAME(few_rows)(1, 4, j);
        NAME(few_rows)(1, 2, j);
    } else if (j->m == 2) {
        NAME(few_rows)(2, 2, j);
    } else if (j->m == 3) {
        NAME(few_rows)(3, 2, j);
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void NAME(product)(const gr__gemm *g)
{
    if (g->m <= 0 || g->n <= 0)
        return;
    if (g->k <= 0) {
        for (int64_t i = 0; !g->accumulate && i < g->m; i++)
            memset((T *)g->c + i * g->c_row, 0, (size_t)g->n * sizeof(T));
        return;
    }
    NAME(job) j = NAME(plan)(g);
    if (j.b_block)
        NAME(few_packed_rows)(&j);
#ifdef GR_VEC_256
    if (j.few) {
        NAME(few_products)(&j);
        return;
    }
#endif
    const int64_t deep = NAME(deepest)(&j), cuts = (j.k + deep - 1) / deep, cut = (j.k + cuts - 1) / cuts;
    for (int64_t k0 = 0; k0 < j.k; k0 += cut) {
        NAME(part) s = {.m = j.m, .k0 = k0, .k = j.k - k0 < cut ? j.k - k0 : cut};
#ifdef GR_VEC_256
        if (j.pack_a) {
            const int64_t most = NAME(a_blocks)(&j) * TILE_ROWS, times = (j.m + most - 1) / most;
            const int64_t rows = (j.m + times - 1) / times;
            s.a = j.panel + NAME(b_panel)(&j);
            for (; s.i0 < j.m; s.i0 += rows) {
                const bool last = s.i0 + rows >= j.m;
                s.m = last ? j.m - s.i0 : rows;
                s.next_a = j.a + (last ? 0 : s.i0 + rows) + (last ? k0 + s.k : k0) * j.a_col;
                s.next_m = last && k0 + s.k >= j.k ? 0 : rows;
                NAME(groups)(&j, &s);
            }
            continue;
        }
#endif
        NAME(groups)(&j, &s);
    }
}

static size_t NAME(scratch)(const gr__gemm *g)
{
    if (g->m <= 0 || g->n <= 0 || g->k <= 0)
        return 0;
    const NAME(job) j = NAME(plan)(g);
    return (size_t)NAME(panel_elements)(&j) * sizeof(T);
}
