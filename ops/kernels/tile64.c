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

static const gr_tile_fn *tiles(gr_isa isa)
{
#ifdef __x86_64__
    if (isa == GR_ISA_AVX512)
        return gr__tiles_avx512;
    if (isa == GR_ISA_AVX2)
        return gr__tiles_avx2;
#else
    (void)isa;
#endif
    return gr__tiles_base;
}

const gr_tile_fn *gr__tiles_of(gr_isa isa)
{
    return gr__cpu_has(isa) ? tiles(isa) : NULL;
}

const gr_tile_fn *gr__tiles_f32(void)
{
    return tiles(gr__cpu_isa());
}

static bool dense(const gr_tile_arg *x, int64_t cols)
{
    return x->row == cols * x->col;
}
static bool one_run(const gr_tile_arg *x)
{
    return x->row == 0 || x->row == 1;
}

gr__tile_size gr__tile_flat(const gr_tile *t)
{
    gr__tile_size flat = {t->rows, t->cols};
    bool runs = dense(&t->y, t->cols), column = t->cols == 1 && one_run(&t->y);
    for (int i = 0; i < GR_TILE_INPUTS; i++) { /* operands not in use are all zeros, and agree with anything */
        runs = runs && dense(&t->x[i], t->cols);
        column = column && one_run(&t->x[i]);
    }
    if (t->rows > 1 && (runs || column))
        flat = (gr__tile_size){1, t->rows * t->cols};
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
    static void tile_##name(const gr_tile *t)                                                      \
    {                                                                                              \
        const gr__tile_size flat = gr__tile_flat(t);                                               \
        const double *p = t->attr;                                                                 \
        int64_t step[GR_TILE_INPUTS];                                                              \
        for (int k = 0; k < GR_TILE_INPUTS; k++)                                                   \
            step[k] = gr__tile_step(t, flat, &t->x[k]);                                            \
        for (int64_t r = 0; r < flat.rows; r++) {                                                  \
            double *y = (double *)t->y.data + r * t->y.row;                                        \
            const double *pa = (const double *)t->x[0].data + r * t->x[0].row;                     \
            const double *pb = (arity) > 1 ? (const double *)t->x[1].data + r * t->x[1].row : NULL; \
            const double *pc = (arity) > 2 ? (const double *)t->x[2].data + r * t->x[2].row : NULL; \
            for (int64_t i = 0; i < flat.cols; i++) {                                              \
                const double a = pa[i * step[0]], x = a;                                           \
                const double b = (arity) > 1 ? pb[i * step[1]] : 0;                                \
                const double c = (arity) > 2 ? pc[i * step[2]] : 0;                                \
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
