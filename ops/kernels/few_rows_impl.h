/* Few rows times a b that is read where it lies, for it would be read too seldom for a copy to pay: a vector and a
 * matrix, a layer of few classes. A template on T and NAME, included by gemm_impl.h where a vector has 32 bytes.
 *
 * Each element is one chain in order of k as everywhere, and a chain waits for itself, so many are under way at once.
 * The last vectors of columns may share columns with those before them: they are computed twice and stored once. */
#ifndef GR_FEW_ROWS_ONCE
#define GR_FEW_ROWS_ONCE
enum {
    ROW_VECTORS = 8, /* of one row: each step's loads take as long as a multiply-add */
    ROW_AHEAD = 4,   /* rows of b */
    DOT_ROWS = 8,    /* at one time, */
    DOT_VECTORS = 4, /* of columns; see ALL_DOTS */
    DOT_AHEAD = 128, /* bytes of a column, */
    DOT_FAR = 128 << 10,  /* from so many bytes of b on */
    DOT_COLLIDING = 2048, /* bytes: columns so far apart push each other out of the first cache, */
    DOT_CUT = 512         /* and so much of each is copied at a time */
};
typedef float words_half __attribute__((vector_size(16), aligned(4), may_alias));
typedef double pairs_half __attribute__((vector_size(16), aligned(8), may_alias));
/* 16 bytes at p, then 16 at q. The builtin reads the second from memory, which a shuffle of both does not. */
#define WORDS(p, q)                                                                                                 \
    __builtin_ia32_vinsertf128_ps256(__builtin_shufflevector(*(const words_half *)(p), *(const words_half *)(p), 0, \
                                         1, 2, 3, -1, -1, -1, -1),                                                  \
        *(const words_half *)(q), 1)
#define PAIRS(p, q)                                                                                                 \
    __builtin_ia32_vinsertf128_pd256(                                                                               \
        __builtin_shufflevector(*(const pairs_half *)(p), *(const pairs_half *)(p), 0, 1, -1, -1),                  \
        *(const pairs_half *)(q), 1)
#endif

/* c[q], `lanes` elements step apart */
GR_INLINE NAME(v) NAME(load_apart)(const T *c, int64_t step)
{
    if (step == 1)
        return NAME(load)(c);
    T x[NAME(lanes)];
    for (int q = 0; q < NAME(lanes); q++)
        x[q] = c[q * step];
    return NAME(load)(x);
}
/* the same from element `done` on */
GR_INLINE void NAME(store_apart)(T *c, int64_t step, int64_t done, NAME(v) y)
{
    if (step == 1 && done <= 0) {
        NAME(store)(c, y);
        return;
    }
    T x[NAME(lanes)];
    NAME(store)(x, y);
    for (int64_t q = done > 0 ? done : 0; q < NAME(lanes); q++)
        c[q * step] = x[q];
}

/* ---- one row, b's rows contiguous -------------------------------------------------------------------------------- */

/* So many vectors of columns from `col` on; of those before `done` nothing is stored. Not whole: j has fewer columns,
 * and the last vectors share some. */
GR_INLINE void NAME(row_columns)(const int vectors, const bool whole, const NAME(job) *j, int64_t col, int64_t done)
{
    enum { w = NAME(lanes) };
    NAME(v) acc[ROW_VECTORS];
    const T *b[ROW_VECTORS] = {j->b}, *a = j->a;
    const int64_t b_row = j->b_row, a_col = j->a_col;
    T *c[ROW_VECTORS] = {j->c};
    UNROLL for (int v = 0; v < vectors; v++)
    {
        const int64_t first = whole || v * w < j->n - w ? col + v * w : j->n - w;
        b[v] = j->b + first, c[v] = j->c + first;
        acc[v] = j->accumulate ? NAME(load)(c[v]) : (NAME(v)){0};
    }
    for (int64_t left = j->k; left > 0; left--, a += a_col) {
        const NAME(v) x = *a - (NAME(v)){0};
        if (whole)
            __builtin_prefetch(b[0] + ROW_AHEAD * b_row);
        UNROLL for (int v = 0; v < vectors; v++)
            acc[v] += x * NAME(load)(whole ? b[0] + v * w : b[v]);
        b[0] += b_row;
        UNROLL for (int v = 1; v < vectors; v++)
            b[v] += whole ? 0 : b_row;
    }
    UNROLL for (int v = 0; v < vectors; v++)
        if (done <= v * w)
            NAME(store)(c[v], acc[v]);
        else
            NAME(store_apart)(c[v], 1, done - v * w, acc[v]);
}

/* Each a function of its own, whose registers are enough. */
static __attribute__((noinline)) void NAME(row_whole)(const NAME(job) *j, int64_t col, int64_t done)
{
    NAME(row_columns)(ROW_VECTORS, true, j, col, done);
}
static __attribute__((noinline)) void NAME(row_short)(const NAME(job) *j)
{
    if (j->n > ROW_VECTORS / 2 * NAME(lanes))
        NAME(row_columns)(ROW_VECTORS, false, j, 0, 0);
    else
        NAME(row_columns)(ROW_VECTORS / 2, false, j, 0, 0);
}

static void NAME(one_row)(const NAME(job) *j)
{
    const int64_t cols = ROW_VECTORS * NAME(lanes), last = j->n - cols;
    int64_t col = 0;
    if (last < 0) {
        NAME(row_short)(j);
        return;
    }
    for (; col <= last; col += cols)
        NAME(row_whole)(j, col, 0);
    if (col < j->n)
        NAME(row_whole)(j, last, col - last);
}

/* c's elements apart: nearly equal parts, by way of the stack */
static __attribute__((noinline)) void NAME(one_row_apart)(const NAME(job) *j)
{
    enum { cols = ROW_VECTORS * NAME(lanes) };
    T c[cols];
    NAME(job) part = *j;
    part.c = c;
    for (int64_t parts = (j->n + cols - 1) / cols, col = 0; parts > 0; parts--, col += part.n, part.b += part.n) {
        part.n = (j->n - col + parts - 1) / parts;
        for (int64_t q = 0; j->accumulate && q < part.n; q++)
            c[q] = j->c[(col + q) * j->c_col];
        NAME(one_row)(&part);
        for (int64_t q = 0; q < part.n; q++)
            j->c[(col + q) * j->c_col] = c[q];
    }
}

/* ---- b contiguous along k: dot products -------------------------------------------------------------------------- */

/* 16 bytes of each of `lanes` columns at a time are turned in registers on their way to the multiply-adds. */
enum {
    NAME(deep) = 16 / sizeof(T), /* elements of a column in 16 bytes */
    NAME(dot_cut) = DOT_CUT / sizeof(T),
    NAME(dot_row) = NAME(dot_cut) + NAME(deep) /* from column to column of a copy, which do not collide */
};

/* x[d]: element d of `lanes` columns; `far` is the one in the middle. */
GR_INLINE void NAME(turn_columns)(const T *b, const T *far, int64_t b_col, int64_t three, NAME(v) x[NAME(deep)])
{
    if (sizeof(T) == 4) {
        const words a = WORDS(b, far), c = WORDS(b + 2 * b_col, far + 2 * b_col);
        const words e = WORDS(b + b_col, far + b_col), g = WORDS(b + three, far + three);
        const words low = LOW_4(a, e), low2 = LOW_4(c, g), high = HIGH_4(a, e), high2 = HIGH_4(c, g);
        x[0] = (NAME(v))LOW_8(low, low2), x[1] = (NAME(v))HIGH_8(low, low2);
        x[NAME(deep) - 2] = (NAME(v))LOW_8(high, high2), x[NAME(deep) - 1] = (NAME(v))HIGH_8(high, high2);
    } else {
        const pairs a = PAIRS(b, far), c = PAIRS(b + b_col, far + b_col);
        x[0] = (NAME(v))LOW_8(a, c), x[1] = (NAME(v))HIGH_8(a, c);
    }
}

/* k elements of each column of a vector */
static void NAME(copy_columns)(const T *b, int64_t b_col, int64_t k, T *to)
{
    for (int c = 0; c < NAME(lanes); c++, b += b_col, to += NAME(dot_row)) {
        int64_t p = 0;
        for (; p + NAME(lanes) <= k; p += NAME(lanes))
            NAME(store)(to + p, NAME(load)(b + p));
        for (; p < k; p++)
            to[p] = b[p];
    }
}

typedef struct {
    int64_t k;
    const T *a;
    int64_t a_row, a_col;
    const T *b[DOT_VECTORS]; /* the first column of each vector of them */
    int64_t b_col;
    bool fetch;
    NAME(v) acc[DOT_ROWS][DOT_VECTORS];
} NAME(dot_terms);

/* mr rows, so many vectors of columns. a_along: a is contiguous along k; else along its rows. */
GR_INLINE void NAME(dots)(const int mr, const int vectors, const bool a_along, NAME(dot_terms) *t)
{
    enum { w = NAME(lanes), deep = NAME(deep) };
    NAME(v) acc[DOT_ROWS][DOT_VECTORS], x[deep];
    const int64_t b_col = t->b_col, three = 3 * b_col, a_col = t->a_col, a_three = 3 * a_col;
    const int64_t row = t->a_row * (int64_t)sizeof(T), row3 = 3 * row, row5 = 5 * row, k = t->k;
    const T *b[DOT_VECTORS] = {t->b[0]}, *far[DOT_VECTORS] = {t->b[0]};
    const T *a = t->a, *lower = a + (mr > 7 ? 7 * t->a_row : 0);
    int64_t p = 0;
    UNROLL for (int v = 0; v < vectors; v++)
    {
        b[v] = t->b[v], far[v] = b[v] + w / 2 * b_col;
        UNROLL for (int i = 0; i < mr; i++)
            acc[i][v] = t->acc[i][v];
    }
    for (; p + deep <= k; p += deep, a += deep * a_col, lower += deep * a_col) {
        if (mr <= 2 && t->fetch) { /* in each step a quarter of the columns */
            const int64_t next = p + DOT_AHEAD / (int64_t)sizeof(T) + p / deep % 4 * (w / 4) * b_col;
            UNROLL for (int v = 0; v < vectors; v++)
                UNROLL for (int q = 0; q < w / 4; q++)
                    __builtin_prefetch(b[v] + next + q * b_col);
        }
        UNROLL for (int v = 0; v < vectors; v++)
        {
            NAME(turn_columns)(b[v] + p, far[v] + p, b_col, three, x);
            UNROLL for (int d = 0; d < deep; d++)
                UNROLL for (int i = 0; i < mr; i++)
                    acc[i][v] += ((a_along ? NAME(tile_a)(i, a + d, lower + d, row, row3, row5)
                                           : a[i + (d == 3 ? a_three : d * a_col)]) - (NAME(v)){0}) * x[d];
        }
    }
    for (; p < k; p++, a += a_col, lower += a_col)
        UNROLL for (int v = 0; v < vectors; v++)
        {
            NAME(v) y = {0};
            UNROLL for (int q = 0; q < w; q++)
                y[q] = b[v][q * b_col + p];
            UNROLL for (int i = 0; i < mr; i++)
                acc[i][v] += ((a_along ? NAME(tile_a)(i, a, lower, row, row3, row5) : a[i]) - (NAME(v)){0}) * y;
        }
    UNROLL for (int v = 0; v < vectors; v++)
        UNROLL for (int i = 0; i < mr; i++)
            t->acc[i][v] = acc[i][v];
}

typedef void NAME(dots_fn)(NAME(dot_terms) *t);
#define DOT(mr, vectors)                                                 \
    static void NAME(dots_along_##mr##x##vectors)(NAME(dot_terms) *t)     \
    {                                                                     \
        NAME(dots)(mr, vectors, true, t);                                 \
    }                                                                     \
    static void NAME(dots_across_##mr##x##vectors)(NAME(dot_terms) *t)    \
    {                                                                     \
        NAME(dots)(mr, vectors, false, t);                                \
    }
#define ALL_DOTS(DOT) \
    DOT(1, 2) DOT(1, 4) DOT(2, 4) DOT(3, 2) DOT(4, 2) DOT(5, 1) DOT(6, 1) DOT(7, 1) DOT(8, 1)
ALL_DOTS(DOT)
#undef DOT

/* Rows 0 to mr, so many vectors of columns from `col` on. */
static void NAME(dot_columns)(const NAME(job) *j, NAME(dots_fn) *dots, int64_t mr, int vectors, int64_t col)
{
    enum { w = NAME(lanes) };
    const bool copied = j->few == COPIED_DOTS;
    const int64_t cut = copied ? NAME(dot_cut) : j->k;
    int64_t first[DOT_VECTORS];
    NAME(dot_terms) t;
    t.a_row = j->a_row, t.a_col = j->a_col, t.b_col = copied ? NAME(dot_row) : j->b_col;
    t.fetch = !copied && j->n * j->k * (int64_t)sizeof(T) >= DOT_FAR;
    for (int v = 0; v < vectors; v++) {
        first[v] = col + v * w < j->n - w ? col + v * w : j->n - w;
        t.b[v] = copied ? j->panel + v * w * NAME(dot_row) : j->b + first[v] * j->b_col;
        for (int64_t i = 0; i < mr; i++)
            t.acc[i][v] = j->accumulate ? NAME(load_apart)(j->c + i * j->c_row + first[v] * j->c_col, j->c_col)
                                        : (NAME(v)){0};
    }
    for (int64_t k0 = 0; k0 < j->k; k0 += cut) {
        t.k = j->k - k0 < cut ? j->k - k0 : cut;
        t.a = j->a + k0 * j->a_col;
        for (int v = 0; copied && v < vectors; v++)
            NAME(copy_columns)(j->b + first[v] * j->b_col + k0, j->b_col, t.k, j->panel + v * w * NAME(dot_row));
        dots(&t);
    }
    for (int v = 0; v < vectors; v++)
        for (int64_t i = 0; i < mr; i++)
            NAME(store_apart)(j->c + i * j->c_row + first[v] * j->c_col, j->c_col, col + v * w - first[v], t.acc[i][v]);
}

static void NAME(dot_products)(NAME(job) j)
{
    static const int most[DOT_ROWS + 1] = {0, 4, 4, 2, 2, 1, 1, 1, 1};
#define DOT(mr, vectors) [mr][vectors] = {NAME(dots_across_##mr##x##vectors), NAME(dots_along_##mr##x##vectors)},
    static NAME(dots_fn) *const all[DOT_ROWS + 1][DOT_VECTORS + 1][2] = {ALL_DOTS(DOT)};
#undef DOT
    const int64_t two = 2 * NAME(lanes);
    for (int64_t blocks = (j.m + DOT_ROWS - 1) / DOT_ROWS, mr; blocks > 0; blocks--) {
        mr = (j.m + blocks - 1) / blocks;
        for (int64_t col = 0; col < j.n; col += most[mr] * NAME(lanes)) {
            const int vectors = mr == 1 && j.n - col <= two ? 2 : most[mr];
            NAME(dot_columns)(&j, all[mr][vectors][j.a_col == 1], mr, vectors, col);
        }
        j.m -= mr, j.a += mr * j.a_row, j.c += mr * j.c_row;
    }
}
#undef ALL_DOTS

/* ---- which of them ----------------------------------------------------------------------------------------------- */

/* Is a product of so many rows made of dot products here, where both operands are contiguous along k? */
static bool NAME(dots_pay)(int64_t m, int64_t n, int64_t k)
{
    return m <= MOST_DOT_ROWS && n >= NAME(lanes) && k >= NAME(deep);
}

static few_rows NAME(few)(const NAME(job) *j)
{
    if (j->b_block || j->n < NAME(lanes))
        return TILES;
    if (j->b_col == 1)
        return j->m == 1 ? ONE_ROW : TILES;
    if (j->b_row != 1 || (j->a_col != 1 && j->a_row != 1 && j->m > 1) || !NAME(dots_pay)(j->m, j->n, j->k))
        return TILES;
    return j->m <= 4 && j->b_col * (int64_t)sizeof(T) % DOT_COLLIDING == 0 ? COPIED_DOTS : DOTS;
}

static int64_t NAME(few_panel)(const NAME(job) *j)
{
    return j->few == COPIED_DOTS ? DOT_VECTORS * NAME(lanes) * NAME(dot_row) : 0;
}

static void NAME(few_products)(const NAME(job) *j)
{
    if (j->few != ONE_ROW)
        NAME(dot_products)(*j);
    else if (j->c_col == 1)
        NAME(one_row)(j);
    else
        NAME(one_row_apart)(j);
}
