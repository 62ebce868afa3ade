/* Plain evaluation of the elementwise ops on whole buffers: NumPy's broadcasting around the tile kernels where all is
 * float, around loops over one element type where integers or bools take part.  The loops come from elementwise.def
 * too. */
#include "ops/elementwise_impl.h"
#include <math.h>
#include <string.h>

/* ---- broadcasting ------------------------------------------------------------------------------------------------ */

#define OPERANDS (1 + GR_TILE_INPUTS) /* the result is operand 0 */

/* Sizes and element strides, outermost first, with neighbouring dimensions joined where every operand allows it. */
typedef struct {
    int rank;
    int64_t dim[GR_MAX_RANK];
    int64_t stride[OPERANDS][GR_MAX_RANK]; /* 0 along a broadcast dimension */
} loops;

static void strides_of(gr_shape s, gr_shape out, int64_t *stride)
{
    int64_t step = 1, extra = out.rank - s.rank;
    for (int64_t i = out.rank - 1; i >= 0; i--) {
        int64_t d = i < extra ? 1 : s.dim[i - extra];
        stride[i] = d == 1 ? 0 : step;
        step *= d;
    }
}

static bool joins(const loops *l, const int64_t stride[OPERANDS][GR_MAX_RANK], int64_t inner, int64_t inner_dim)
{
    for (int k = 0; k < OPERANDS; k++)
        if (l->stride[k][l->rank - 1] != stride[k][inner] * inner_dim)
            return false;
    return true;
}

static loops loops_of(const gr_call *c)
{
    loops l = {0};
    int64_t stride[OPERANDS][GR_MAX_RANK] = {{0}};
    const gr_shape out = c->out[0].shape;
    strides_of(out, out, stride[0]);
    for (int k = 0; k < c->n_in; k++)
        strides_of(c->in[k].shape, out, stride[1 + k]);
    for (int64_t i = 0; i < out.rank; i++) {
        if (out.dim[i] == 1)
            continue;
        if (l.rank && joins(&l, (const int64_t(*)[GR_MAX_RANK])stride, i, out.dim[i]))
            l.rank--, l.dim[l.rank] *= out.dim[i];
        else
            l.dim[l.rank] = out.dim[i];
        for (int k = 0; k < OPERANDS; k++)
            l.stride[k][l.rank] = stride[k][i];
        l.rank++;
    }
    return l;
}

/* Counts the outer `rank` dimensions up by one, moving the operands' offsets along; false after the last. */
static bool next(const loops *l, int rank, int64_t *index, int64_t *offset)
{
    for (int i = rank - 1; i >= 0; i--) {
        for (int k = 0; k < OPERANDS; k++)
            offset[k] += l->stride[k][i];
        if (++index[i] < l->dim[i])
            return true;
        for (int k = 0; k < OPERANDS; k++)
            offset[k] -= l->stride[k][i] * l->dim[i];
        index[i] = 0;
    }
    return false;
}

static void each_tile(const gr_call *c, const loops *l, gr_tile_fn f)
{
    const int outer = l->rank > 2 ? l->rank - 2 : 0;
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    int64_t index[GR_MAX_RANK] = {0}, offset[OPERANDS] = {0};
    gr_tile t = {.rows = l->rank > 1 ? l->dim[l->rank - 2] : 1,
        .cols = l->rank > 0 ? l->dim[l->rank - 1] : 1,
        .attr = c->attr};
    do {
        for (int k = 0; k <= c->n_in; k++) {
            const gr_buffer *b = k ? &c->in[k - 1] : &c->out[0];
            *(k ? &t.x[k - 1] : &t.y) = (gr_tile_arg){(char *)b->data + offset[k] * size,
                l->rank > 1 ? l->stride[k][l->rank - 2] : 0, l->rank > 0 ? l->stride[k][l->rank - 1] : 0};
        }
        f(&t);
    } while (next(l, outer, index, offset));
}

static bool each_strip(const gr_call *c, const loops *l, gr__strip_fn f)
{
    const int outer = l->rank > 1 ? l->rank - 1 : 0;
    int64_t index[GR_MAX_RANK] = {0}, offset[OPERANDS] = {0}, step[GR_TILE_INPUTS] = {0};
    const void *x[GR_TILE_INPUTS] = {0};
    bool ok = true;
    for (int k = 0; k < c->n_in && l->rank; k++)
        step[k] = l->stride[1 + k][l->rank - 1];
    do {
        for (int k = 0; k < c->n_in; k++)
            x[k] = (const char *)c->in[k].data + offset[1 + k] * gr_dtype_size(c->in[k].dtype);
        void *y = (char *)c->out[0].data + offset[0] * gr_dtype_size(c->out[0].dtype);
        ok = f(l->rank ? l->dim[l->rank - 1] : 1, y, x, step) && ok;
    } while (next(l, outer, index, offset));
    return ok;
}

/* ---- the vocabulary of elementwise.def for any C type T (and U, its unsigned twin) ------------------------------- */

/* a / b rounded down; of 64-bit integers, so that the narrower ones cannot overflow */
static int64_t quotient(int64_t a, int64_t b, bool *ok)
{
    if (b == 0) {
        *ok = false;
        return 0;
    }
    if (b == -1)
        return (int64_t)(0 - (uint64_t)a); /* the least integer has no negative: it wraps around */
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

#define K(c)           ((T)(c))
#define ADD(u, v)      ((T)((U)(u) + (U)(v)))
#define SUB(u, v)      ((T)((U)(u) - (U)(v)))
#define MUL(u, v)      ((T)((U)(u) * (U)(v)))
#define NEG(u)         ((T)(0 - (U)(u)))
#define ABS(u)         ((T)(LT(u, K(0)) ? NEG(u) : (u)))
#define MAX(u, v)      (LT(v, u) ? (u) : (v))
#define MIN(u, v)      (LT(u, v) ? (u) : (v))
#define QUOTIENT(u, v) ((T)quotient((int64_t)(u), (int64_t)(v), &ok))
#define LT(u, v)       ((u) < (v))
#define LE(u, v)       ((u) <= (v))
#define EQ(u, v)       ((u) == (v))
#define ISNAN(u)       ((u) != (u))
#define AND(m, n)      ((m) & (n))
#define OR(m, n)       ((m) | (n))
#define XOR(m, n)      ((m) ^ (n))
#define NOT(m)         (!(m))
#define NZ(u)          ((u) != 0)
#define SEL(m, u, v)   ((m) ? (u) : (v))
#define BOOL(m)        ((uint8_t)((m) ? 1 : 0))

/* a row asks uint8 too whether it is below 0 */
#pragma GCC diagnostic ignored "-Wtype-limits"

#define STRIP(name, tag, value, arity, type, unsigned_type, a_type, y_type)                           \
    static bool name##_##tag(int64_t n, void *to, const void *const *from, const int64_t *step)       \
    {                                                                                                 \
        typedef type T;                                                                               \
        typedef unsigned_type U;                                                                      \
        y_type *y = to;                                                                               \
        const a_type *pa = from[0];                                                                   \
        const T *pb = (arity) > 1 ? from[1] : NULL, *pc = (arity) > 2 ? from[2] : NULL;               \
        bool ok = true;                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                             \
            const a_type a = pa[i * step[0]], x = a;                                                  \
            const T b = (arity) > 1 ? pb[i * step[1]] : (T)0, c = (arity) > 2 ? pc[i * step[2]] : (T)0; \
            (void)x, (void)b, (void)c, (void)sizeof(U);                                               \
            y[i] = value;                                                                             \
        }                                                                                             \
        return ok;                                                                                    \
    }

#define STRIPS_FLOATS(name, value, arity)
#define STRIPS_SIGNED(name, value, arity)                                    \
    STRIP(name, i32, value, arity, int32_t, uint32_t, T, T)                  \
    STRIP(name, i64, value, arity, int64_t, uint64_t, T, T)
#define STRIPS_NUMBERS(name, value, arity)  \
    STRIPS_SIGNED(name, value, arity)       \
    STRIP(name, u8, value, arity, uint8_t, unsigned, T, T)
#define STRIPS_INTEGERS STRIPS_NUMBERS
#define STRIPS_COMPARES(name, value, arity)                                  \
    STRIP(name, f32, value, arity, float, float, T, uint8_t)                 \
    STRIP(name, f64, value, arity, double, double, T, uint8_t)               \
    STRIP(name, i32, value, arity, int32_t, uint32_t, T, uint8_t)            \
    STRIP(name, i64, value, arity, int64_t, uint64_t, T, uint8_t)            \
    STRIP(name, u8, value, arity, uint8_t, unsigned, T, uint8_t)
#define STRIPS_LOGIC(name, value, arity) STRIP(name, u8, value, arity, uint8_t, unsigned, T, uint8_t)
#define STRIPS_PREDICATE(name, value, arity) \
    STRIP(name, f32, value, arity, float, float, T, uint8_t) \
    STRIP(name, f64, value, arity, double, double, T, uint8_t)
#define STRIPS_SELECTS(name, value, arity)                                   \
    STRIP(name, f32, value, arity, float, float, uint8_t, T)                 \
    STRIP(name, f64, value, arity, double, double, uint8_t, T)               \
    STRIP(name, i32, value, arity, int32_t, uint32_t, uint8_t, T)            \
    STRIP(name, i64, value, arity, int64_t, uint64_t, uint8_t, T)            \
    STRIP(name, u8, value, arity, uint8_t, unsigned, uint8_t, T)
#define OP1(name, dtypes, value, ...) STRIPS_##dtypes(name, value, 1)
#define OP1P(name, dtypes, value, ...)
#define OP2(name, dtypes, value, ...) STRIPS_##dtypes(name, value, 2)
#define OP3(name, dtypes, value, ...) STRIPS_##dtypes(name, value, 3)
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3

#define ENTRY_FLOATS(name)
#define ENTRY_SIGNED(name)    [GR__TILE_##name] = {[GR_I32] = name##_i32, [GR_I64] = name##_i64},
#define ENTRY_NUMBERS(name)   [GR__TILE_##name] = {[GR_I32] = name##_i32, [GR_I64] = name##_i64, [GR_U8] = name##_u8},
#define ENTRY_INTEGERS        ENTRY_NUMBERS
#define ENTRY_COMPARES(name)                                                                                   \
    [GR__TILE_##name] = {[GR_F32] = name##_f32, [GR_F64] = name##_f64, [GR_I32] = name##_i32, [GR_I64] = name##_i64, \
        [GR_U8] = name##_u8, [GR_BOOL] = name##_u8},
#define ENTRY_LOGIC(name)     [GR__TILE_##name] = {[GR_BOOL] = name##_u8},
#define ENTRY_PREDICATE(name) [GR__TILE_##name] = {[GR_F32] = name##_f32, [GR_F64] = name##_f64},
#define ENTRY_SELECTS         ENTRY_COMPARES
#define OP1(name, dtypes, ...) ENTRY_##dtypes(name)
#define OP1P(name, dtypes, ...)
#define OP2(name, dtypes, ...) ENTRY_##dtypes(name)
#define OP3(name, dtypes, ...) ENTRY_##dtypes(name)
static const gr__strip_fn strips[GR__TILE_COUNT][GR_DTYPE_COUNT] = {
#include "ops/elementwise.def"
};

/* ---- the door ---------------------------------------------------------------------------------------------------- */

gr_status gr__elementwise_eval(const gr_call *c, int row)
{
    if (gr_shape_size(c->out[0].shape) == 0)
        return GR_OK;
    const loops l = loops_of(c);
    const gr_dtype y = c->out[0].dtype, x = c->in[c->n_in - 1].dtype; /* the last one: where's first is a bool */
    if (gr_dtype_is_float(y) && c->in[0].dtype == y) {
        each_tile(c, &l, y == GR_F64 ? gr__tile_f64(row) : gr__tile_f32(row));
        return GR_OK;
    }
    if (!each_strip(c, &l, strips[row][x]))
        return gr_call_fail(c, GR_ERANGE, "b", "expected divisors other than 0");
    return GR_OK;
}
