/* ops/reduce.c: reductions that are one op. Those built of them (mean, var, ...) are in moments.c.
 *
 * Float sums are exact but for the last rounding: float32 adds up in double, float64 keeps the error of each addition
 * and adds it at the end. The order depends on the shape alone, and each result is computed by itself, so any split of
 * the results over threads gives the same bits. */
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include <math.h>
#include <string.h>

typedef struct {
    gr_shape axes; /* none: all */
    bool keepdims;
} reduce_attr;

static const gr_field reduce_fields[] = {
    GR_SHAPE_FIELD(reduce_attr, axes, .doc = "none: all"), GR_BOOL(reduce_attr, keepdims), {0}};

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

gr_shape gr__reduced_shape(gr_shape s, const bool *mask, bool keepdims)
{
    gr_shape r = GR_RANK0;
    for (int64_t i = 0; i < s.rank; i++)
        if (!mask[i])
            r.dim[r.rank++] = s.dim[i];
        else if (keepdims)
            r.dim[r.rank++] = 1;
    return r;
}

gr_tensor *gr__spread(gr_at at, gr_tensor *g, gr_tensor *x, const bool *mask)
{
    if (gr__is_bad(g) || gr__is_bad(x))
        return GR_BAD;
    return gr_broadcast_to_at(at, gr__reshaped(at, g, gr__reduced_shape(x->shape, mask, true)), x->shape);
}

static gr_status infer_axes(gr_infer *f, bool mask[GR_MAX_RANK])
{
    const reduce_attr *a = f->attr;
    if (!gr__axes(a->axes, f->shape[0].rank, mask))
        return gr__axes_fail(f, a->axes);
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = gr__reduced_shape(f->shape[0], mask, a->keepdims);
    return GR_OK;
}

static gr_status infer_sum(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    GR_TRY(infer_axes(f, mask));
    if (!gr_dtype_is_float(f->dtype[0]))
        f->out_dtype[0] = GR_I64;
    return GR_OK;
}

static gr_status infer_variance(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    if (!gr_dtype_is_float(f->dtype[0]))
        return gr_infer_fail(f, GR_EDTYPE, "x", "expected float32 or float64, found %s; gr_cast converts",
            gr_dtype_name(f->dtype[0]));
    return infer_axes(f, mask);
}

static gr_status infer_extreme(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    return infer_axes(f, mask);
}

static gr_status infer_bool(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    if (f->dtype[0] != GR_BOOL)
        return gr_infer_fail(f, GR_EDTYPE, "x", "expected bool, found %s", gr_dtype_name(f->dtype[0]));
    return infer_axes(f, mask);
}

static gr_status infer_arg(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    GR_TRY(infer_axes(f, mask));
    for (int64_t i = 0; i < f->shape[0].rank; i++)
        if (mask[i] && f->shape[0].dim[i] == 0)
            return gr_infer_fail(
                f, GR_ESHAPE, "x", "expected something to choose from, found axis %lld of size 0", (long long)i);
    f->out_dtype[0] = GR_I64;
    return GR_OK;
}

static gr_status infer_count(gr_infer *f)
{
    bool mask[GR_MAX_RANK];
    GR_TRY(infer_axes(f, mask));
    f->out_dtype[0] = f->dtype[0] == GR_F64 ? GR_F64 : GR_F32;
    f->out_shape[0] = GR_RANK0;
    return GR_OK;
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

/* Axes with size 1 dropped and neighbours of one kind merged, innermost first. */
typedef struct {
    int n_keep, n_red;
    int64_t keep[GR_MAX_RANK], keep_step[GR_MAX_RANK];
    int64_t red[GR_MAX_RANK], red_step[GR_MAX_RANK];
    int64_t total; /* elements reduced into one */
} layout;

static layout layout_of(const gr_call *c)
{
    const reduce_attr *a = c->attr;
    const gr_shape s = c->in[0].shape;
    bool mask[GR_MAX_RANK];
    layout l = {.total = 1};
    gr__axes(a->axes, s.rank, mask);
    int64_t step = 1;
    int last = -1; /* kind of the axis before */
    for (int64_t i = s.rank; i-- > 0; step *= s.dim[i]) {
        if (s.dim[i] == 1)
            continue;
        int *n = mask[i] ? &l.n_red : &l.n_keep;
        int64_t *size = mask[i] ? l.red : l.keep, *steps = mask[i] ? l.red_step : l.keep_step;
        if (last == (int)mask[i])
            size[*n - 1] *= s.dim[i];
        else {
            size[*n] = s.dim[i];
            steps[(*n)++] = step;
        }
        last = mask[i];
        l.total *= mask[i] ? s.dim[i] : 1;
    }
    if (l.n_red == 0) { /* one element to each result */
        l.n_red = 1;
        l.red[0] = 1;
    }
    return l;
}

/* Where the elements of result o start. */
static int64_t start_of(const layout *l, int64_t o)
{
    int64_t from = 0;
    for (int k = 0; k < l->n_keep; o /= l->keep[k++])
        from += o % l->keep[k] * l->keep_step[k];
    return from;
}

/* Results o, o + 1, ... whose elements lie side by side, so that one pass serves them all. */
enum { LANES = 64 };
static int64_t lanes_at(const layout *l, int64_t o, int64_t end)
{
    int64_t n = l->n_keep && l->keep_step[0] == 1 ? l->keep[0] - o % l->keep[0] : 1;
    n = n < LANES ? n : LANES;
    return n < end - o ? n : end - o;
}

/* The next run along red[0]; false after the last. index and *from start at 0. */
static bool next_run(const layout *l, int64_t *index, int64_t *from)
{
    for (int k = 1; k < l->n_red; k++) {
        *from += l->red_step[k];
        if (++index[k] < l->red[k])
            return true;
        *from -= index[k] * l->red_step[k];
        index[k] = 0;
    }
    return false;
}

/* y[o] for o in begin .. end; ACC acc starts as INIT, TAKE(acc, x) takes an element (pos of total), y = DONE(acc). */
#define REDUCTION(name, X, ACC, Y, INIT, TAKE, DONE)                                                                   \
    static void name(const layout *l, const void *in, void *out, int64_t begin, int64_t end)                           \
    {                                                                                                                  \
        const X *x = in;                                                                                               \
        Y *y = out;                                                                                                    \
        for (int64_t o = begin, n; o < end; o += n) {                                                                  \
            ACC acc[LANES];                                                                                            \
            int64_t index[GR_MAX_RANK] = {0}, from = start_of(l, o), pos = 0;                                          \
            n = lanes_at(l, o, end);                                                                                   \
            if (n == 1) { /* in registers */                                                                           \
                ACC one = (ACC)INIT;                                                                                   \
                do                                                                                                     \
                    for (int64_t k = 0; k < l->red[0] && l->total; k++, pos++)                                         \
                        TAKE(one, x[from + k * l->red_step[0]]);                                                       \
                while (l->total && next_run(l, index, &from));                                                         \
                y[o] = (Y)DONE(one);                                                                                   \
                continue;                                                                                              \
            }                                                                                                          \
            for (int64_t i = 0; i < n; i++)                                                                            \
                acc[i] = (ACC)INIT;                                                                                    \
            do                                                                                                         \
                for (int64_t k = 0; k < l->red[0] && l->total; k++, pos++)                                             \
                    for (int64_t i = 0; i < n; i++)                                                                    \
                        TAKE(acc[i], x[from + k * l->red_step[0] + i]);                                                \
            while (l->total && next_run(l, index, &from));                                                             \
            (void)pos;                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[o + i] = (Y)DONE(acc[i]);                                                                            \
        }                                                                                                              \
    }
#define AS_IS(acc) (acc)

/* A float64 sum with the errors of its additions. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B. */
typedef struct {
    double sum, error;
} exact;
static inline void exact_take(exact *acc, double x)
{
    double sum = acc->sum + x, of_x = sum - acc->sum;
    acc->error += (acc->sum - (sum - of_x)) + (x - of_x);
    acc->sum = sum;
}
static inline double exact_done(exact acc)
{
    double y = acc.sum + acc.error;
    return isfinite(y) ? y : acc.sum; /* the errors of an infinite sum are NaN */
}

#define ADD(acc, x)       ((acc) += (x))
#define ADD_EXACT(acc, x) exact_take(&(acc), (x))
#define ADD_WRAP(acc, x)  ((acc) += (uint64_t)(x))
#define ZERO_EXACT                                                                                                     \
    {                                                                                                                  \
        0, 0                                                                                                           \
    }
REDUCTION(sum_float, float, double, float, 0, ADD, AS_IS)
REDUCTION(sum_double, double, exact, double, ZERO_EXACT, ADD_EXACT, exact_done)
REDUCTION(sum_int32, int32_t, uint64_t, int64_t, 0, ADD_WRAP, AS_IS)
REDUCTION(sum_int64, int64_t, uint64_t, int64_t, 0, ADD_WRAP, AS_IS)
REDUCTION(sum_uint8, uint8_t, uint64_t, int64_t, 0, ADD_WRAP, AS_IS)

#define MUL(acc, x)      ((acc) *= (x))
#define MUL_WRAP(acc, x) ((acc) *= (uint64_t)(x))
REDUCTION(prod_float, float, double, float, 1, MUL, AS_IS)
REDUCTION(prod_double, double, double, double, 1, MUL, AS_IS)
REDUCTION(prod_int32, int32_t, uint64_t, int64_t, 1, MUL_WRAP, AS_IS)
REDUCTION(prod_int64, int64_t, uint64_t, int64_t, 1, MUL_WRAP, AS_IS)
REDUCTION(prod_uint8, uint8_t, uint64_t, int64_t, 1, MUL_WRAP, AS_IS)

/* A NaN beats everything and stays: no comparison with it holds. */
#define GREATER(acc, x) ((acc) = (x) > (acc) || (x) != (x) ? (x) : (acc))
#define SMALLER(acc, x) ((acc) = (x) < (acc) || (x) != (x) ? (x) : (acc))
#define EXTREMES(T, name, LEAST, MOST)                                                                                 \
    REDUCTION(max_##name, T, T, T, LEAST, GREATER, AS_IS)                                                              \
    REDUCTION(min_##name, T, T, T, MOST, SMALLER, AS_IS)
EXTREMES(float, float, -INFINITY, INFINITY)
EXTREMES(double, double, -INFINITY, INFINITY)
EXTREMES(int32_t, int32, INT32_MIN, INT32_MAX)
EXTREMES(int64_t, int64, INT64_MIN, INT64_MAX)
EXTREMES(uint8_t, uint8, 0, UINT8_MAX)
EXTREMES(uint8_t, bool, 0, 1)

#define PLACE(T, name)                                                                                                 \
    typedef struct {                                                                                                   \
        T best;                                                                                                        \
        int64_t at;                                                                                                    \
    } place_##name;                                                                                                    \
    REDUCTION(argmax_##name, T, place_##name, int64_t, ZERO_PLACE, FIRST_GREATER, PLACE_DONE)                          \
    REDUCTION(argmin_##name, T, place_##name, int64_t, ZERO_PLACE, FIRST_SMALLER, PLACE_DONE)
#define ZERO_PLACE                                                                                                     \
    {                                                                                                                  \
        0, 0                                                                                                           \
    }
/* Selected, not branched on: which element wins cannot be foreseen. */
#define FIRST(acc, x, beats)                                                                                           \
    do {                                                                                                               \
        const bool wins = (pos == 0) | ((acc.best == acc.best) & (((x)beats acc.best) | ((x) != (x))));                \
        acc.best = wins ? (x) : acc.best;                                                                              \
        acc.at = wins ? pos : acc.at;                                                                                  \
    } while (0)
#define FIRST_GREATER(acc, x) FIRST(acc, x, >)
#define FIRST_SMALLER(acc, x) FIRST(acc, x, <)
#define PLACE_DONE(acc)       (acc).at
PLACE(float, float)
PLACE(double, double) PLACE(int32_t, int32) PLACE(int64_t, int64) PLACE(uint8_t, uint8)

/* In two passes, the mean first. */
#define VARIANCE(T, name, ACC, TAKE, DONE)                                                                             \
    static void variance_##name(const layout *l, const void *in, void *out, int64_t begin, int64_t end)                \
    {                                                                                                                  \
        const T *x = in;                                                                                               \
        T *y = out;                                                                                                    \
        for (int64_t o = begin, n; o < end; o += n) {                                                                  \
            double mean[LANES] = {0};                                                                                  \
            n = lanes_at(l, o, end);                                                                                   \
            for (int pass = 0; pass < 2; pass++) {                                                                     \
                ACC acc[LANES] = {0};                                                                                  \
                int64_t index[GR_MAX_RANK] = {0}, from = start_of(l, o);                                               \
                do                                                                                                     \
                    for (int64_t k = 0; k < l->red[0] && l->total; k++)                                                \
                        for (int64_t i = 0; i < n; i++) {                                                              \
                            double d = (double)x[from + k * l->red_step[0] + i] - mean[i];                             \
                            TAKE(acc[i], pass ? d * d : d);                                                            \
                        }                                                                                              \
                while (l->total && next_run(l, index, &from));                                                         \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    mean[i] = DONE(acc[i]) / (double)l->total;                                                         \
            }                                                                                                          \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[o + i] = (T)mean[i]; /* of the squares */                                                            \
        }                                                                                                              \
    }
VARIANCE(float, float, double, ADD, AS_IS)
VARIANCE(double, double, exact, ADD_EXACT, exact_done)

static gr_status variance_eval(const gr_call *c)
{
    const layout l = layout_of(c);
    (c->in[0].dtype == GR_F64 ? variance_double : variance_float)(&l, c->in[0].data, c->out[0].data, c->begin, c->end);
    return GR_OK;
}

#define EVAL(op, f_bool)                                                                                               \
    static gr_status op##_eval(const gr_call *c)                                                                       \
    {                                                                                                                  \
        static void (*const by_dtype[GR_DTYPE_COUNT])(const layout *, const void *, void *, int64_t, int64_t) = {      \
            [GR_F32] = op##_float,                                                                                     \
            [GR_F64] = op##_double,                                                                                    \
            [GR_I32] = op##_int32,                                                                                     \
            [GR_I64] = op##_int64,                                                                                     \
            [GR_U8] = op##_uint8,                                                                                      \
            [GR_BOOL] = f_bool};                                                                                       \
        layout l = layout_of(c);                                                                                       \
        by_dtype[c->in[0].dtype](&l, c->in[0].data, c->out[0].data, c->begin, c->end);                                 \
        return GR_OK;                                                                                                  \
    }
    EVAL(sum, sum_uint8) EVAL(prod, prod_uint8) EVAL(max, max_bool) EVAL(min, min_bool) EVAL(argmax, argmax_uint8)
        EVAL(argmin, argmin_uint8)

            static gr_status count_eval(const gr_call *c)
{
    double n = (double)layout_of(c).total;
    if (c->out[0].dtype == GR_F64)
        *(double *)c->out[0].data = n;
    else
        *(float *)c->out[0].data = (float)n;
    return GR_OK;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void flags(const gr_vjp *v, bool mask[GR_MAX_RANK])
{
    const reduce_attr *a = v->attr;
    gr__axes(a->axes, v->x[0]->shape.rank, mask);
}

static void sum_vjp(gr_vjp *v)
{
    bool mask[GR_MAX_RANK];
    flags(v, mask);
    if (gr_dtype_is_float(v->x[0]->dtype))
        v->dx[0] = gr__spread(GR_VJP_AT(v), v->dy[0], v->x[0], mask);
}

/* The product of the others: y / x where no factor is 0, and with one zero the product of the rest at its place. */
static void prod_vjp(gr_vjp *v)
{
    gr_at at = GR_VJP_AT(v);
    gr_tensor *x = v->x[0];
    bool mask[GR_MAX_RANK];
    flags(v, mask);
    if (!gr_dtype_is_float(x->dtype))
        return;
    gr_tensor *zero = gr_scalar_at(at, x, 0), *one = gr_scalar_at(at, x, 1);
    gr_tensor *is_zero = gr_equal_at(at, x, zero), *safe = gr_where_at(at, is_zero, one, x);
    const gr_reduce_args count = {gr_cast_at(at, is_zero, x->dtype), gr__axes_listed(mask, x->shape.rank), true};
    const gr_reduce_args rest = {safe, count.axes, true};
    gr_tensor *zeros = gr_sum_at(at, &count);
    gr_tensor *all_others =
        gr_div_at(at, gr_prod_at(at, &rest), safe); /* right where there is no zero, or x is the one */
    gr_tensor *counts = gr_equal_at(at, zeros, gr_cast_at(at, is_zero, x->dtype));
    v->dx[0] = gr_mul_at(at, gr__spread(at, v->dy[0], x, mask), gr_where_at(at, counts, all_others, zero));
}

/* 2 (x - mean) / n. That the mean moves with x changes nothing: the deviations from it add up to 0. */
static void variance_vjp(gr_vjp *v)
{
    gr_at at = GR_VJP_AT(v);
    gr_tensor *x = v->x[0];
    bool mask[GR_MAX_RANK];
    flags(v, mask);
    const gr_reduce_args rows = {x, gr__axes_listed(mask, x->shape.rank), true};
    gr_tensor *apart = gr_sub_at(at, x, gr_mean_at(at, &rows)), *dy = v->dy[0];
    gr_tensor *slope = gr_div_at(at, gr_add_at(at, dy, dy), gr__count_of(at, x, mask));
    v->dx[0] = gr_mul_at(at, apart, gr__reshaped(at, slope, gr__reduced_shape(x->shape, mask, true)));
}

static void extreme_vjp(gr_vjp *v)
{
    gr_at at = GR_VJP_AT(v);
    gr_tensor *x = v->x[0];
    bool mask[GR_MAX_RANK];
    flags(v, mask);
    if (!gr_dtype_is_float(x->dtype))
        return;
    gr_tensor *taken = gr_equal_at(at, x, gr__spread(at, v->y[0], x, mask));
    const gr_reduce_args ties = {gr_cast_at(at, taken, x->dtype), gr__axes_listed(mask, x->shape.rank), true};
    gr_tensor *n = gr_maximum_at(at, gr_sum_at(at, &ties), gr_scalar_at(at, x, 1)); /* none: of nothing, or a NaN */
    gr_tensor *share = gr_div_at(at, v->dy[0], gr__reshaped(at, n, v->dy[0]->shape));
    v->dx[0] = gr_where_at(at, taken, gr__spread(at, share, x, mask), gr_scalar_at(at, x, 0));
}

/* ---- lowering ---------------------------------------------------------------------------------------------------- */

static void lower_as(gr_lowering *l, gr_reduce_kind kind)
{
    const reduce_attr *a = l->attr;
    if (l->dtype[0] != l->out_dtype) /* integers counted in int64 */
        return;
    l->kind = GR_LOWER_REDUCE;
    l->reduce = kind;
    gr__axes(a->axes, l->shape[0].rank, l->axes);
}
static void sum_lower(gr_lowering *l)
{
    lower_as(l, GR_REDUCE_SUM);
}
static void prod_lower(gr_lowering *l)
{
    lower_as(l, GR_REDUCE_PROD);
}
static void max_lower(gr_lowering *l)
{
    lower_as(l, GR_REDUCE_MAX);
}
static void min_lower(gr_lowering *l)
{
    lower_as(l, GR_REDUCE_MIN);
}
/* Of one element it is 0, not that element, which is all that the compiler makes of a reduction of nothing. */
static void variance_lower(gr_lowering *l)
{
    if (gr_shape_size(l->out_shape) < gr_shape_size(l->shape[0]))
        lower_as(l, GR_REDUCE_VARIANCE);
}
/* one for each element that goes in */
static double reduce_flops(const gr_lowering *l)
{
    return (double)gr_shape_size(l->shape[0]);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

#define AXES(...) (&(const reduce_attr){.axes = GR_DIMS(__VA_ARGS__)})
#define KEEP(...) (&(const reduce_attr){.axes = GR_DIMS(__VA_ARGS__), .keepdims = true})
#define ALL       (&(const reduce_attr){.keepdims = false})
/* clang-format off */
#define ROWS(LO, HI, DT, ...)                                                                                          \
    {LO, HI, {GR_DIMS(3, 5, 2)}, .dtype = {DT}, .attr = ALL, __VA_ARGS__},                                             \
        {LO, HI, {GR_DIMS(3, 5, 2)}, .dtype = {DT}, .attr = KEEP(1), __VA_ARGS__},                                     \
        {LO, HI, {GR_DIMS(2, 3, 2, 5)}, .dtype = {DT}, .attr = AXES(0, 2), __VA_ARGS__},                               \
        {LO, HI, {GR_DIMS(7)}, .dtype = {DT}, .attr = AXES(-1), __VA_ARGS__},                                          \
        {LO, HI, {GR_DIMS(5, 1)}, .dtype = {DT}, .attr = AXES(0), __VA_ARGS__},                                        \
        {LO, HI, {{0, {0}}}, .dtype = {DT}, .attr = ALL, __VA_ARGS__}
#define EMPTY_ROWS(LO, HI, DT, ...)                                                                                    \
    {LO, HI, {GR_DIMS(0, 3)}, .dtype = {DT}, .attr = AXES(0), __VA_ARGS__},                                            \
        {LO, HI, {GR_DIMS(3, 0)}, .dtype = {DT}, .attr = AXES(0), __VA_ARGS__}
/* clang-format on */

#define REDUCE_OP(op, evaluator, more_traits, text, ...)                                                               \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = 1,                                                                                                     \
        .n_out = 1,                                                                                                    \
        .traits = GR_RANGED | (more_traits),                                                                           \
        .attrs = reduce_fields,                                                                                        \
        .attr_size = sizeof(reduce_attr),                                                                              \
        .in_names = x_name,                                                                                            \
        .eval_f32 = evaluator,                                                                                         \
        .eval_f64 = evaluator,                                                                                         \
        .flops = reduce_flops,                                                                                         \
        __VA_ARGS__}
static const char *const x_name[] = {"x"};

REDUCE_OP(sum, sum_eval, 0, "sum over axes; of integers in int64", .infer = infer_sum, .vjp = sum_vjp,
    .lower = sum_lower,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = false), EMPTY_ROWS(-3, 3, 0, .distinct = false),
        {-9, 9, {GR_DIMS(4, 3)}, .dtype = {GR_I32}, .attr = AXES(0)},
        {0, 1, {GR_DIMS(4, 3)}, .dtype = {GR_BOOL}, .attr = AXES(1)}));
REDUCE_OP(prod, prod_eval, 0, "product over axes; of integers in int64", .infer = infer_sum, .vjp = prod_vjp,
    .lower = prod_lower,
    .samples = GR_SAMPLES(ROWS(0.5, 1.5, 0, .distinct = false), EMPTY_ROWS(0.5, 1.5, 0, .distinct = false),
        {-3, 3, {GR_DIMS(4, 3)}, .dtype = {GR_I64}, .attr = AXES(0)}));
REDUCE_OP(variance, variance_eval, 0, "mean of the squared distance from the mean, over axes", .infer = infer_variance,
    .vjp = variance_vjp, .lower = variance_lower, .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = false)));
REDUCE_OP(max, max_eval, 0, "greatest over axes; NaN if there is one", .infer = infer_extreme, .vjp = extreme_vjp,
    .lower = max_lower,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = true), EMPTY_ROWS(-3, 3, 0, .distinct = true),
        {-9, 9, {GR_DIMS(4, 3)}, .dtype = {GR_I32}, .attr = AXES(0)}));
REDUCE_OP(min, min_eval, 0, "smallest over axes; NaN if there is one", .infer = infer_extreme, .vjp = extreme_vjp,
    .lower = min_lower,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = true), EMPTY_ROWS(-3, 3, 0, .distinct = true),
        {-9, 9, {GR_DIMS(4, 3)}, .dtype = {GR_I64}, .attr = AXES(0)}));
REDUCE_OP(any, max_eval, GR_NO_GRADIENT, "does one hold, over axes?", .infer = infer_bool, .lower = max_lower,
    .samples = GR_SAMPLES(ROWS(0, 1, GR_BOOL, .distinct = false), EMPTY_ROWS(0, 1, GR_BOOL, .distinct = false)));
REDUCE_OP(all, min_eval, GR_NO_GRADIENT, "do all hold, over axes?", .infer = infer_bool, .lower = min_lower,
    .samples = GR_SAMPLES(ROWS(0, 1, GR_BOOL, .distinct = false), EMPTY_ROWS(0, 1, GR_BOOL, .distinct = false)));
REDUCE_OP(argmax, argmax_eval, GR_NO_GRADIENT, "position of the first greatest over axes, int64", .infer = infer_arg,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = true),
        {-9, 9, {GR_DIMS(4, 3)}, .dtype = {GR_I32}, .attr = AXES(0)}, {-3, 3, {GR_DIMS(3, 0)}, .attr = AXES(0)}));
REDUCE_OP(argmin, argmin_eval, GR_NO_GRADIENT, "position of the first smallest over axes, int64", .infer = infer_arg,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = true),
        {-9, 9, {GR_DIMS(4, 3)}, .dtype = {GR_I32}, .attr = AXES(0)}, {-3, 3, {GR_DIMS(3, 0)}, .attr = AXES(0)}));
REDUCE_OP(count, count_eval, GR_NO_GRADIENT | GR_SHAPE_ONLY, "number of elements along axes", .infer = infer_count,
    .samples = GR_SAMPLES(ROWS(-3, 3, 0, .distinct = false), EMPTY_ROWS(-3, 3, 0, .distinct = false)));

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static gr_tensor *reduce(gr_at at, const gr_op *op, const gr_reduce_args *args)
{
    reduce_attr a = {.axes = args->axes, .keepdims = args->keepdims};
    bool mask[GR_MAX_RANK];
    if (!gr__is_bad(args->x) && gr__axes(a.axes, args->x->shape.rank, mask))
        a.axes = gr__axes_listed(mask, args->x->shape.rank); /* equal wishes are one node; else inference complains */
    return gr_apply_op_at(at, op, &a, 1, (gr_tensor *[]){args->x});
}

#define PUBLIC(name)                                                                                                   \
    gr_tensor *gr_##name##_at(gr_at at, const gr_reduce_args *args)                                                    \
    {                                                                                                                  \
        return reduce(at, &gr_op_##name, args);                                                                        \
    }                                                                                                                  \
    gr_tensor *(gr_##name)(gr_tensor * x)                                                                              \
    {                                                                                                                  \
        return gr_##name##_at((gr_at){0}, &(gr_reduce_args){.x = x});                                                  \
    }
PUBLIC(sum)
PUBLIC(prod) PUBLIC(max) PUBLIC(min) PUBLIC(any) PUBLIC(all) PUBLIC(argmax) PUBLIC(argmin) PUBLIC(count)

    gr_tensor *gr__variance(gr_at at, const gr_reduce_args *args)
{
    return reduce(at, &gr_op_variance, args);
}

gr_tensor *gr__count_of(gr_at at, gr_tensor *x, const bool *mask)
{
    if (gr__is_bad(x))
        return GR_BAD;
    gr_dtype dtype = x->dtype == GR_F64 ? GR_F64 : GR_F32;
    int64_t n = 1;
    bool known = true;
    for (int64_t i = 0; i < x->shape.rank; i++)
        if (mask[i])
            known = known && !gr_dim_is_batch(x->shape.dim[i]) && gr__mul(n, x->shape.dim[i], &n);
    if (known)
        return gr_number_at(at, x->node->tape, dtype, (double)n);
    return gr_count_at(at, &(gr_reduce_args){.x = x, .axes = gr__axes_listed(mask, x->shape.rank)});
}
