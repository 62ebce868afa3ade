/* The float tile kernels of one instruction set: a function per row of ops/elementwise.def.
 *
 * One loop serves all, tile_loop.h.  Read tile.h first, then vec.h and vmath.h. */
#include "ops/kernels/tile_loop.h"

/* ---- the vocabulary of elementwise.def in float vectors ---------------------------------------------------------- */

#define K(c)         vf_set1((float)(c))
#define P(i)         p[i]
#define ADD(u, v)    ((u) + (v))
#define SUB(u, v)    ((u) - (v))
#define MUL(u, v)    ((u) * (v))
#define DIV(u, v)    ((u) / (v))
#define NEG(u)       vf_neg(u)
#define ABS(u)       vf_abs(u)
#define MAX(u, v)    vf_max(u, v)
#define MIN(u, v)    vf_min(u, v)
#define SQRT(u)      vf_sqrt(u)
#define FLOOR(u)     vf_floor(u)
#define CEIL(u)      vf_ceil(u)
#define ROUND(u)     vf_round(u)
#define EXP(u)       vf_exp(u)
#define EXPM1(u)     vf_expm1(u)
#define LOG(u)       vf_log(u)
#define LOG1P(u)     vf_log1p(u)
#define TANH(u)      vf_tanh(u)
#define SIGMOID(u)   vf_sigmoid(u)
#define ERF(u)       vf_erf(u)
#define SIN(u)       vf_sin(u)
#define COS(u)       vf_cos(u)
#define POW(u, v)    vf_pow(u, v)
#define LT(u, v)     vf_lt(u, v)
#define LE(u, v)     vf_le(u, v)
#define EQ(u, v)     vf_eq(u, v)
#define ISNAN(u)     vf_unordered(u, u)
#define AND(m, n)    ((m) & (n))
#define OR(m, n)     ((m) | (n))
#define XOR(m, n)    ((m) ^ (n))
#define NOT(m)       ((vm)~(m))
#define NZ(u)        NOT(vf_eq(u, vf_set1(0)))
#define SEL(m, u, v) vf_sel(m, u, v)
#define BOOL(m)      vf_bool(m)

#define ROW(name, value, arity, n_params)                                        \
    GR_INLINE vf lanes_##name(vf a, vf b, vf c, const vf *p)                     \
    {                                                                            \
        const vf x = a;                                                          \
        (void)x, (void)b, (void)c, (void)p;                                      \
        return value;                                                            \
    }                                                                            \
    static void tile_##name(const gr_tile *t)                                    \
    {                                                                            \
        tile(t, arity, lanes_##name, n_params);                                  \
    }
#define ROW_FLOATS    ROW
#define ROW_NUMBERS   ROW
#define ROW_SIGNED    ROW
#define ROW_COMPARES  ROW
#define ROW_LOGIC     ROW
#define ROW_PREDICATE ROW
#define ROW_SELECTS   ROW
#define ROW_INTEGERS(name, ...)

#define OP1(name, dtypes, value, ...)  ROW_##dtypes(name, value, 1, 0)
#define OP1P(name, dtypes, value, ...) ROW_##dtypes(name, value, 1, 2)
#define OP2(name, dtypes, value, ...)  ROW_##dtypes(name, value, 2, 0)
#define OP3(name, dtypes, value, ...)  ROW_##dtypes(name, value, 3, 0)
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3
ROW(copy, x, 1, 0)
ROW(copy_bool, BOOL(NZ(x)), 1, 0)

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
extern const gr_tile_fn GR_ISA_NAME(gr__tiles)[GR__TILE_COUNT];
const gr_tile_fn GR_ISA_NAME(gr__tiles)[GR__TILE_COUNT] = {
#include "ops/elementwise.def"
    ENTRY(copy) ENTRY(copy_bool)
    [GR__TILE_copy_single] = tile_copy, /* floats are single already */
};
