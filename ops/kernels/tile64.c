/* The double tile kernels, in plain C and the C library's functions: float64 is for proofs, not for speed.  Also the
 * choice between the float ones.  Read tile.h first. */
#include "ops/kernels/tile.h"
#include <math.h>
#include <stddef.h>

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

extern const gr_tile_fn gr__tiles_base[GR__TILE_COUNT];
#ifdef __x86_64__
extern const gr_tile_fn gr__tiles_avx2[GR__TILE_COUNT], gr__tiles_avx512[GR__TILE_COUNT];
#endif

const gr_tile_fn *gr__tiles_of(gr_isa isa)
{
    if (!gr__cpu_has(isa))
        return NULL;
#ifdef __x86_64__
    if (isa == GR_ISA_AVX512)
        return gr__tiles_avx512;
    if (isa == GR_ISA_AVX2)
        return gr__tiles_avx2;
#endif
    return gr__tiles_base;
}

gr_tile_fn gr__tile_f32(int row)
{
    return gr__tiles_of(gr__cpu_isa())[row];
}

gr_tile gr__tile_flat(const gr_tile *t)
{
    gr_tile flat = *t;
    const gr_tile_arg *const all[] = {&t->y, &t->x[0], &t->x[1], &t->x[2]};
    gr_tile_arg *const to[] = {&flat.y, &flat.x[0], &flat.x[1], &flat.x[2]};
    bool dense = true, column = t->cols == 1;
    for (int i = 0; i < 1 + GR_TILE_INPUTS; i++) { /* operands not in use are all zeros, and agree with anything */
        dense = dense && all[i]->row == t->cols * all[i]->col;
        column = column && (all[i]->row == 0 || all[i]->row == 1);
    }
    if (t->rows < 2 || (!dense && !column))
        return flat;
    flat.cols = t->rows * t->cols;
    flat.rows = 1;
    for (int i = 0; !dense && i < 1 + GR_TILE_INPUTS; i++)
        to[i]->col = all[i]->row;
    return flat;
}

/* ---- the vocabulary of elementwise.def in doubles ---------------------------------------------------------------- */

static double max(double a, double b)
{
    return b < a || a != a ? a : b;
}
static double min(double a, double b)
{
    return a < b || a != a ? a : b;
}
static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

#define K(c)         ((double)(c))
#define P(i)         p[i]
#define ADD(u, v)    ((u) + (v))
#define SUB(u, v)    ((u) - (v))
#define MUL(u, v)    ((u) * (v))
#define DIV(u, v)    ((u) / (v))
#define NEG(u)       (-(u))
#define ABS(u)       fabs(u)
#define MAX(u, v)    max(u, v)
#define MIN(u, v)    min(u, v)
#define SQRT(u)      sqrt(u)
#define FLOOR(u)     floor(u)
#define CEIL(u)      ceil(u)
#define ROUND(u)     rint(u)
#define EXP(u)       exp(u)
#define EXPM1(u)     expm1(u)
#define LOG(u)       log(u)
#define LOG1P(u)     log1p(u)
#define TANH(u)      tanh(u)
#define SIGMOID(u)   sigmoid(u)
#define ERF(u)       erf(u)
#define SIN(u)       sin(u)
#define COS(u)       cos(u)
#define POW(u, v)    pow(u, v)
#define LT(u, v)     ((u) < (v))
#define LE(u, v)     ((u) <= (v))
#define EQ(u, v)     ((u) == (v))
#define ISNAN(u)     ((u) != (u))
#define AND(m, n)    ((m) & (n))
#define OR(m, n)     ((m) | (n))
#define XOR(m, n)    ((m) ^ (n))
#define NOT(m)       (!(m))
#define NZ(u)        ((u) != 0)
#define SEL(m, u, v) ((m) ? (u) : (v))
#define BOOL(m)      ((m) ? 1.0 : 0.0)

#define ROW(name, value, arity)                                                                    \
    static void tile_##name(const gr_tile *given)                                                  \
    {                                                                                              \
        const gr_tile t = gr__tile_flat(given);                                                    \
        const double *p = t.attr;                                                                  \
        for (int64_t r = 0; r < t.rows; r++) {                                                     \
            double *y = (double *)t.y.data + r * t.y.row;                                          \
            const double *pa = (const double *)t.x[0].data + r * t.x[0].row;                       \
            const double *pb = (arity) > 1 ? (const double *)t.x[1].data + r * t.x[1].row : NULL;  \
            const double *pc = (arity) > 2 ? (const double *)t.x[2].data + r * t.x[2].row : NULL;  \
            for (int64_t i = 0; i < t.cols; i++) {                                                 \
                const double a = pa[i * t.x[0].col], x = a;                                        \
                const double b = (arity) > 1 ? pb[i * t.x[1].col] : 0;                             \
                const double c = (arity) > 2 ? pc[i * t.x[2].col] : 0;                             \
                (void)x, (void)b, (void)c, (void)p;                                                \
                y[i] = value;                                                                      \
            }                                                                                      \
        }                                                                                          \
    }
#define ROW_FLOATS    ROW
#define ROW_NUMBERS   ROW
#define ROW_SIGNED    ROW
#define ROW_COMPARES  ROW
#define ROW_LOGIC     ROW
#define ROW_PREDICATE ROW
#define ROW_SELECTS   ROW
#define ROW_INTEGERS(name, ...)

#define OP1(name, dtypes, value, ...)  ROW_##dtypes(name, value, 1)
#define OP1P(name, dtypes, value, ...) ROW_##dtypes(name, value, 1)
#define OP2(name, dtypes, value, ...)  ROW_##dtypes(name, value, 2)
#define OP3(name, dtypes, value, ...)  ROW_##dtypes(name, value, 3)
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3
ROW(copy, x, 1)
ROW(copy_bool, BOOL(NZ(x)), 1)
ROW(copy_single, (double)(float)x, 1)

#define ENTRY(name) [GR__TILE_##name] = tile_##name,
#define ENTRY_FLOATS    ENTRY
#define ENTRY_NUMBERS   ENTRY
#define ENTRY_SIGNED    ENTRY
#define ENTRY_COMPARES  ENTRY
#define ENTRY_LOGIC     ENTRY
#define ENTRY_PREDICATE ENTRY
#define ENTRY_SELECTS   ENTRY
#define ENTRY_INTEGERS(name)
#define OP1(name, dtypes, ...)  ENTRY_##dtypes(name)
#define OP1P(name, dtypes, ...) ENTRY_##dtypes(name)
#define OP2(name, dtypes, ...)  ENTRY_##dtypes(name)
#define OP3(name, dtypes, ...)  ENTRY_##dtypes(name)
gr_tile_fn gr__tile_f64(int row)
{
    static const gr_tile_fn tiles[GR__TILE_COUNT] = {
#include "ops/elementwise.def"
        ENTRY(copy) ENTRY(copy_bool) ENTRY(copy_single)};
    return tiles[row];
}
