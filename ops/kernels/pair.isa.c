/* The float kernels of pairs (pair.h): every inner op with every outer one. */
#include "ops/kernels/pair_impl.h"
#include "ops/kernels/tile_loop.h"

#define in_add(a, b)    ((a) + (b))
#define in_sub(a, b)    ((a) - (b))
#define in_mul(a, b)    ((a) * (b))
#define in_div(a, b)    ((a) / (b))
#define in_square(a, b) ((a) * (a))
#define in_sqrt(a, b)   vf_sqrt(a)
#define in_neg(a, b)    vf_neg(a)
#define in_relu(a, b)   vf_sel(vf_le(a, vf_set1(0)), vf_set1(0), a)
#define in_exp(a, b)    vf_exp(a)
#define rsub(a, b)      ((b) - (a))
#define rdiv(a, b)      ((b) / (a))

/* y = OUTER(inner(a[, b]), c): the outer op's other operand comes last */
#define KERNEL(inner, n, name, OUTER, m)                                                                               \
    GR_INLINE vf lanes_##inner##_##name(vf a, vf b, vf c, const vf *p)                                                 \
    {                                                                                                                  \
        const vf t = in_##inner(a, b), z = (n) == 2 ? c : b;                                                           \
        (void)p, (void)z;                                                                                              \
        return OUTER(t, z);                                                                                            \
    }                                                                                                                  \
    static void pair_##inner##_##name(const gr_tile *t)                                                                \
    {                                                                                                                  \
        tile(t, (n) + (m)-1, lanes_##inner##_##name, 0);                                                               \
    }
#define OUTERS(inner, n)                                                                                               \
    KERNEL(inner, n, add, in_add, 2)                                                                                   \
    KERNEL(inner, n, mul, in_mul, 2)                                                                                   \
    KERNEL(inner, n, sub, in_sub, 2)                                                                                   \
    KERNEL(inner, n, rsub, rsub, 2)                                                                                    \
    KERNEL(inner, n, div, in_div, 2)                                                                                   \
    KERNEL(inner, n, rdiv, rdiv, 2)                                                                                    \
    KERNEL(inner, n, square, in_square, 1)                                                                             \
    KERNEL(inner, n, sqrt, in_sqrt, 1)                                                                                 \
    KERNEL(inner, n, neg, in_neg, 1)                                                                                   \
    KERNEL(inner, n, relu, in_relu, 1)                                                                                 \
    KERNEL(inner, n, exp, in_exp, 1)
OUTERS(add, 2)
OUTERS(sub, 2)
OUTERS(mul, 2)
OUTERS(div, 2)
OUTERS(square, 1)
OUTERS(sqrt, 1)
OUTERS(neg, 1)
OUTERS(relu, 1)
OUTERS(exp, 1)

GR_INLINE vf lanes_lerp(vf a, vf b, vf c, const vf *p)
{
    (void)p;
    return b + (a - b) * c;
}
static void lerp(const gr_tile *t)
{
    tile(t, 3, lanes_lerp, 0);
}

GR_INLINE vf lanes_masked(vf a, vf b, vf c, const vf *p)
{
    (void)p;
    return vf_sel(vf_lt(b, a), c, b);
}
static void masked(const gr_tile *t)
{
    tile(t, 3, lanes_masked, 0);
}

GR_INLINE vf lanes_scale_shift_relu(vf a, vf b, vf c, const vf *p)
{
    (void)p;
    return in_relu(a * b + c, a);
}
static void scale_shift_relu(const gr_tile *t)
{
    tile(t, 3, lanes_scale_shift_relu, 0);
}

/* ---- up to five operands ----------------------------------------------------------------------------------------- */

typedef vf (*many_fn)(const vf x[GR__PAIR_OPERANDS]);

/* n vectors wide, all rows: where rows are short, starting each would cost more than its vectors. */
GR_INLINE void down_of_many(const gr_tile *t, const int arity, many_fn f, int64_t c, const int n)
{
    const gr_tile_arg *more = t->attr;
    const float *x[GR__PAIR_OPERANDS];
    int64_t row[GR__PAIR_OPERANDS];
#pragma GCC unroll 8
    for (int k = 0; k < arity; k++) {
        const gr_tile_arg *from = k < GR_TILE_INPUTS ? &t->x[k] : &more[k - GR_TILE_INPUTS];
        x[k] = (const float *)from->data + c, row[k] = from->row;
    }
    float *y = (float *)t->y.data + c;
    for (int64_t r = 0; r < t->rows; r++, y += t->y.row)
#pragma GCC unroll 8
        for (int v = 0; v < n; v++) {
            vf u[GR__PAIR_OPERANDS];
#pragma GCC unroll 8
            for (int k = 0; k < arity; k++) {
                u[k] = vf_load(x[k] + v * GR_W);
                x[k] += v == n - 1 ? row[k] : 0;
            }
            vf_store(y + v * GR_W, f(u));
        }
}

GR_INLINE bool goes_down(const gr_tile *t, const int arity)
{
    const gr_tile_arg *more = t->attr;
    bool goes = t->rows >= FEW_ROWS && t->cols <= 2 * NARROW && t->cols % GR_W == 0;
    for (int k = 0; k < arity; k++)
        goes = goes && (k < GR_TILE_INPUTS ? &t->x[k] : &more[k - GR_TILE_INPUTS])->col;
    return goes;
}

/* Is every operand either one run of all rows or a number? */
GR_INLINE bool is_one_run(const gr_tile *t, const int arity)
{
    const gr_tile_arg *more = t->attr;
    bool run = t->y.row == t->cols;
    for (int k = 0; k < arity; k++) {
        const gr_tile_arg *from = k < GR_TILE_INPUTS ? &t->x[k] : &more[k - GR_TILE_INPUTS];
        run = run && from->row == (from->col ? t->cols : 0);
    }
    return run;
}

GR_INLINE void tile_of_many(const gr_tile *t, const int arity, many_fn f)
{
    const gr_tile_arg *more = t->attr;
    const bool one_run = is_one_run(t, arity);
    const int64_t rows = one_run ? 1 : t->rows, cols = one_run ? t->rows * t->cols : t->cols;
    if (!one_run && goes_down(t, arity)) {
        int64_t c = 0;
        for (; LINE > 1 && c + LINE * GR_W <= t->cols; c += LINE * GR_W)
            down_of_many(t, arity, f, c, LINE);
        for (; c < t->cols; c += GR_W)
            down_of_many(t, arity, f, c, 1);
        return;
    }
    vf spread[GR__PAIR_OPERANDS], v[GR__PAIR_OPERANDS];
    const float *x[GR__PAIR_OPERANDS];
    int64_t step[GR__PAIR_OPERANDS];
    for (int64_t r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int k = 0; k < arity; k++) {
            const gr_tile_arg *from = k < GR_TILE_INPUTS ? &t->x[k] : &more[k - GR_TILE_INPUTS];
            const float *data = (const float *)from->data + r * from->row;
            const reader one = reader_of(data, from->row, from->col, &spread[k]);
            x[k] = one.x, step[k] = one.step;
        }
        float *y = (float *)t->y.data + r * t->y.row;
        int64_t n = cols;
        for (; n >= GR_W; n -= GR_W, y += GR_W) {
#pragma GCC unroll 8
            for (int k = 0; k < arity; k++)
                v[k] = vf_load(x[k]), x[k] += step[k];
            vf_store(y, f(v));
        }
        if (n > 0) {
#pragma GCC unroll 8
            for (int k = 0; k < arity; k++)
                v[k] = step[k] ? vf_load_n(x[k], n) : vf_load(x[k]);
            vf_store_n(y, f(v), n);
        }
    }
}

/* x: a, s, b, c; a, b, c; v, e, m, r, w; a, s, c, b, t; a, b, x, limit */
#define MANY(name, arity, value)                                                                                       \
    GR_INLINE vf lanes_##name(const vf x[GR__PAIR_OPERANDS])                                                           \
    {                                                                                                                  \
        return value;                                                                                                  \
    }                                                                                                                  \
    static void name(const gr_tile *t)                                                                                 \
    {                                                                                                                  \
        tile_of_many(t, arity, lanes_##name);                                                                          \
    }
MANY(scaled_lerp, 4, x[2] + (x[0] * x[1] - x[2]) * x[3])
MANY(square_lerp, 3, x[1] + (x[0] * x[0] - x[1]) * x[2])
MANY(scaled_square_lerp, 4, x[2] + ((x[0] * x[1]) * (x[0] * x[1]) - x[2]) * x[3])
MANY(ratio, 4, x[2] * x[3] / (vf_sqrt(x[0]) + x[1]))
MANY(step, 5, x[4] - x[2] * x[3] / (vf_sqrt(x[0]) + x[1]))
MANY(two_scaled, 5, x[3] * x[4] + (x[0] * x[1] + x[2]))
MANY(sum_masked, 4, vf_sel(vf_lt(x[3], x[2]), x[0] + x[1], x[3]))

/* ---- two results ------------------------------------------------------------------------------------------------- */

#ifdef GR_VEC_256
/* gelu_tanh(x) = x / (1 + e), e = exp(gelu_exponent(x)), as in elementwise.def */
GR_INLINE vf gelu_exponent(vf x)
{
    return (vf_set1(-1.5957691216057308f) * x) * (vf_set1(1) + vf_set1(0.044715f) * (x * x));
}
GR_INLINE vf gelu_gate(vf e)
{
    return vf_set1(1) / (vf_set1(1) + e);
}
GR_INLINE vf gelu_slope_of(vf x, vf gate)
{
    const vf bent = vf_set1(1.5957691216057308f) + vf_set1(0.21406444881780076f) * (x * x);
    return gate * (vf_set1(1) + (x * (vf_set1(1) - gate)) * bent);
}

GR_INLINE vf load_most(const float *x, int64_t n)
{
    return n >= GR_W ? vf_load(x) : vf_load_n(x, n);
}
GR_INLINE void store_most(float *y, vf x, int64_t n)
{
    if (n >= GR_W)
        vf_store(y, x);
    else
        vf_store_n(y, x, n);
}

/* Some columns at a time in three loops: the whole chain of one vector takes so long that too few of them are under way
 * at one time. sums: x is a + b, and the second result; else b is what to multiply the slope with. */
GR_INLINE void gelus(const gr_tile *t, const bool sums)
{
    enum { SOME = 128 };
    _Alignas(32) float e[SOME];
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c += SOME) {
            const int64_t n = t->cols - c < SOME ? t->cols - c : SOME;
            const float *a = (const float *)t->x[0].data + r * t->x[0].row + c;
            const float *b = (const float *)t->x[1].data + r * t->x[1].row + c;
            float *y = (float *)t->y.data + r * t->y.row + c, *also = (float *)t->x[2].data + r * t->x[2].row + c;
            const float *x = sums ? also : a;
            for (int64_t i = 0; i < n; i += GR_W) {
                vf u = load_most(a + i, n - i);
                if (sums)
                    store_most(also + i, u = u + load_most(b + i, n - i), n - i);
                vf_store(e + i, gelu_exponent(u));
            }
            for (int64_t i = 0; i < n; i += GR_W)
                vf_store(e + i, vf_exp(vf_load(e + i)));
            for (int64_t i = 0; i < n; i += GR_W) {
                const vf u = load_most(x + i, n - i), gate = gelu_gate(vf_load(e + i));
                if (sums) {
                    store_most(y + i, u * gate, n - i);
                } else {
                    store_most(also + i, u * gate, n - i);
                    store_most(y + i, load_most(b + i, n - i) * gelu_slope_of(u, gate), n - i);
                }
            }
        }
}
static void sum_gelu(const gr_tile *t)
{
    gelus(t, true);
}
static void gelu_slope(const gr_tile *t)
{
    gelus(t, false);
}
#define TWINS sum_gelu, gelu_slope
#else
#define TWINS NULL, NULL
#endif

/* ---- an optimizer's update --------------------------------------------------------------------------------------- */

typedef struct {
    vf m, v, w;
} updated;

/* k: b, c, r, e, s */
GR_INLINE updated update_lanes(updated old, vf g, const vf *k, const bool scaled)
{
    const vf x = scaled ? g * k[4] : g;
    const vf m = old.m + (x - old.m) * k[0], v = old.v + (x * x - old.v) * k[1];
    return (updated){m, v, old.w - m * k[2] / (vf_sqrt(v) + k[3])};
}

GR_INLINE void update_tile(const gr_tile *t, const bool scaled)
{
    const gr_tile_arg *more = t->attr, *moment = more + (scaled ? 4 : 3);
    const gr_tile_arg *arg[] = {&moment[0], &moment[1], &t->y, &t->x[1]};
    int64_t rows = t->rows, cols = t->cols;
    vf k[5] = {vf_set1(*(const float *)t->x[2].data)};
    for (int i = 1; i < (scaled ? 5 : 4); i++)
        k[i] = vf_set1(*(const float *)more[i - 1].data);
    bool one_run = true;
    for (int i = 0; i < 4; i++)
        one_run = one_run && arg[i]->row == cols;
    if (one_run)
        cols *= rows, rows = 1;
    for (int64_t r = 0; r < rows; r++) {
        float *m = (float *)arg[0]->data + r * arg[0]->row, *v = (float *)arg[1]->data + r * arg[1]->row;
        float *w = (float *)arg[2]->data + r * arg[2]->row;
        const float *g = (const float *)arg[3]->data + r * arg[3]->row;
        int64_t i = 0;
        for (; i + GR_W <= cols; i += GR_W) {
            const updated u =
                update_lanes((updated){vf_load(m + i), vf_load(v + i), vf_load(w + i)}, vf_load(g + i), k, scaled);
            vf_store(m + i, u.m), vf_store(v + i, u.v), vf_store(w + i, u.w);
        }
        if (i < cols) {
            const int64_t n = cols - i;
            const updated old = {vf_load_n(m + i, n), vf_load_n(v + i, n), vf_load_n(w + i, n)};
            const updated u = update_lanes(old, vf_load_n(g + i, n), k, scaled);
            vf_store_n(m + i, u.m, n), vf_store_n(v + i, u.v, n), vf_store_n(w + i, u.w, n);
        }
    }
}

static void update(const gr_tile *t)
{
    update_tile(t, false);
}
static void scaled_update(const gr_tile *t)
{
    update_tile(t, true);
}

#define ROW(inner)                                                                                                     \
    {                                                                                                                  \
        pair_##inner##_add, pair_##inner##_mul, pair_##inner##_sub, pair_##inner##_rsub, pair_##inner##_div,           \
            pair_##inner##_rdiv, pair_##inner##_square, pair_##inner##_sqrt, pair_##inner##_neg, pair_##inner##_relu,  \
            pair_##inner##_exp                                                                                         \
    }
const gr__pairs GR_ISA_NAME(gr__pairs) = {
    {ROW(add), ROW(sub), ROW(mul), ROW(div), ROW(square), ROW(sqrt), ROW(neg), ROW(relu), ROW(exp)}, lerp, masked,
    TWINS, scale_shift_relu, two_scaled, sum_masked, scaled_lerp, square_lerp, scaled_square_lerp, ratio, step, update,
    scaled_update};
