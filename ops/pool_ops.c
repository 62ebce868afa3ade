/* ops/pool_ops.c: pooling. Gradients are ops of their own:
 *
 *     y, code  = max_pool(x)               code: which element of its window each y is, by number
 *     dx = max_pool_input_grad(dy, code)   dy at the places that the codes name
 *     z  = max_pool_pick(x, code)          the elements of x at these places; each of the two is the other's gradient
 *     y  = average_pool(x)                 d: dx = average_pool_input_grad(dy), and back
 *
 * So x is not needed any more once it is pooled. The loops are in kernels/pool_kernels.c. */
#include "ops/pool_ops.h"
#include "ops/elementwise.h"
#include "ops/kernels/pool_kernels.h"
#include "ops/ops_impl.h"
#include "ops/window.h"
#include <string.h>

#define POOL_FIELDS                                                                                                    \
    GR_SHAPE_FIELD(gr__window, size), GR_SHAPE_FIELD(gr__window, strides), GR_SHAPE_FIELD(gr__window, before),         \
        GR_SHAPE_FIELD(gr__window, after)
static const gr_field pool_fields[] = {POOL_FIELDS, {0}};
static const gr_field into_fields[] = {POOL_FIELDS, GR_SHAPE_FIELD(gr__window, into), {0}};
static const char *const x_name[] = {"x"}, *const dy_name[] = {"dy"}, *const pick_names[] = {"x", "code"},
                         *const grad_names[] = {"dy", "code"};
extern const gr_op gr_op_relu, gr_op_add, gr_op_either, gr_op_max_pool, gr_op_max_pool_pick, gr_op_max_pool_input_grad,
    gr_op_average_pool, gr_op_average_pool_input_grad;

static gr__window without_holes(const void *attr, int n)
{
    gr__window w = *(const gr__window *)attr;
    w.dilation = gr__per_axis(GR_SHAPE(1), GR_RANK0, n);
    return w;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static gr_status floats(const gr_infer *f)
{
    char text[200];
    if (!gr_dtype_is_float(f->dtype[0]))
        return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[0], "expected float32 or float64, found %s",
            gr_dtype_name(f->dtype[0]));
    if (f->shape[0].rank != 3 && f->shape[0].rank != 4)
        return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[0], "expected rank 3 or 4, found %s",
            gr_shape_text(f->shape[0], text, sizeof text));
    f->out_dtype[0] = f->dtype[0];
    return GR_OK;
}

/* x pooled. */
static gr_status pooled(const gr_infer *f, gr_shape x, gr_shape *y)
{
    const int n = (int)x.rank - 2;
    const gr__window w = without_holes(f->attr, n);
    gr__slide axis[GR_WINDOW_AXES];
    char text[200];
    if (w.size.rank != n)
        return gr_infer_fail(f, GR_ESHAPE, "size", "expected %d sizes of 1 or more, found %s", n,
            gr__rank_ok(w.size) ? gr_shape_text(w.size, text, sizeof text) : "too many");
    GR_TRY(gr__window_infer(f, &w, n, x.dim + 1, w.size.dim, "size", axis));
    *y = x;
    for (int i = 0; i < n; i++) {
        if (w.before.dim[i] >= w.size.dim[i] || w.after.dim[i] >= w.size.dim[i] || axis[i].in == 0)
            return gr_infer_fail(f, GR_ESHAPE, "size",
                "expected an element of x in every window, found windows of %lld on the %lld of axis %d with padding "
                "of %lld and %lld", (long long)w.size.dim[i], (long long)axis[i].in, i + 1,
                (long long)w.before.dim[i], (long long)w.after.dim[i]);
        y->dim[1 + i] = axis[i].out;
    }
    return GR_OK;
}

static gr_status same_shape(const gr_infer *f, int argument, gr_shape want)
{
    char a[200], b[200];
    if (gr_shape_equal(f->shape[argument], want))
        return GR_OK;
    return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[argument], "expected %s, found %s",
        gr_shape_text(want, a, sizeof a), gr_shape_text(f->shape[argument], b, sizeof b));
}

/* Codes of windows of this size */
static gr_dtype code_dtype(gr_shape size)
{
    int64_t taps = 1;
    for (int64_t i = 0; i < size.rank; i++)
        taps *= size.dim[i]; /* not above 2^62 */
    return taps > 256 ? GR_I32 : GR_U8;
}

/* Operand 1, the codes of a result of this shape. */
static gr_status codes(const gr_infer *f, gr_shape y)
{
    const gr_dtype want = code_dtype(((const gr__window *)f->attr)->size);
    if (f->dtype[1] != want)
        return gr_infer_fail(f, GR_EDTYPE, "code", "expected %s, found %s", gr_dtype_name(want),
            gr_dtype_name(f->dtype[1]));
    return same_shape(f, 1, y);
}

static gr_status infer_average(gr_infer *f)
{
    GR_TRY(floats(f));
    return pooled(f, f->shape[0], &f->out_shape[0]);
}
static gr_status infer_max(gr_infer *f)
{
    GR_TRY(infer_average(f));
    f->out_dtype[1] = code_dtype(((const gr__window *)f->attr)->size);
    f->out_shape[1] = f->out_shape[0];
    return GR_OK;
}
static gr_status infer_pick(gr_infer *f)
{
    GR_TRY(infer_average(f));
    return codes(f, f->out_shape[0]);
}

/* dy in the shape of x: the sizes of the attribute `into` between its first and last */
static gr_status infer_back(gr_infer *f)
{
    const gr_shape into = ((const gr__window *)f->attr)->into;
    gr_shape x, y;
    char text[200];
    GR_TRY(floats(f));
    x = f->shape[0];
    if (into.rank != x.rank - 2)
        return gr_infer_fail(f, GR_ESHAPE, "into", "expected %lld sizes, found %s", (long long)x.rank - 2,
            gr__rank_ok(into) ? gr_shape_text(into, text, sizeof text) : "too many");
    for (int64_t i = 0; i < into.rank; i++) {
        x.dim[1 + i] = into.dim[i];
        if (into.dim[i] < 0)
            return gr_infer_fail(f, GR_ESHAPE, "into", "expected sizes of 0 or more, found %s",
                gr_shape_text(into, text, sizeof text));
    }
    GR_TRY(pooled(f, x, &y));
    f->out_shape[0] = x;
    return same_shape(f, 0, y);
}
static gr_status infer_max_grad(gr_infer *f)
{
    GR_TRY(infer_back(f));
    return codes(f, f->shape[0]);
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

static gr_status pool_eval(const gr_call *c)
{
    const bool back = c->op == &gr_op_max_pool_input_grad || c->op == &gr_op_average_pool_input_grad;
    const bool is_double = c->out[0].dtype == GR_F64;
    const gr_shape of_x = back ? c->out[0].shape : c->in[0].shape;
    const int n = (int)of_x.rank - 2;
    const gr__window w = without_holes(c->attr, n);
    gr__slide axis[GR_WINDOW_AXES], *y = &axis[0], *x = &axis[1];
    gr__window_axes(&w, n, of_x.dim + 1, w.size.dim, axis);
    const gr__pool j = {of_x.dim[0], y->in, x->in, of_x.dim[n + 1], y->size, x->size, y->out, x->out, y->stride,
        x->stride, 1, 1, y->before, x->before};
    gr__pool_part s = {.x = c->in[0].data, .dy = c->in[0].data, .out = c->out[0].data};
    s.code = c->n_in > 1 ? c->in[1].data : c->n_out > 1 ? c->out[1].data : NULL;
    s.wide = code_dtype(w.size) == GR_I32;
    gr__piece piece[3];
    const int pieces = c->begin < c->end ? gr__pieces(c->begin, c->end, j.c, piece) : 0;
    for (int i = 0; i < pieces; i++) {
        s.r0 = piece[i].r0, s.r1 = piece[i].r1, s.c0 = piece[i].c0, s.c1 = piece[i].c1;
        if (c->op == &gr_op_max_pool)
            (is_double ? gr__pool_max_f64 : gr__pool_max_f32)(&j, &s);
        else if (c->op == &gr_op_max_pool_input_grad)
            (is_double ? gr__pool_max_grad_f64 : gr__pool_max_grad_f32)(&j, &s);
        else if (c->op == &gr_op_max_pool_pick)
            (is_double ? gr__pool_pick_f64 : gr__pool_pick_f32)(&j, &s);
        else if (c->op == &gr_op_average_pool)
            (is_double ? gr__pool_avg_f64 : gr__pool_avg_f32)(&j, &s);
        else
            (is_double ? gr__pool_avg_grad_f64 : gr__pool_avg_grad_f32)(&j, &s);
    }
    return GR_OK;
}

static int64_t pool_unit(const gr_call *c) /* an image */
{
    const int64_t n = c->out[0].shape.dim[0];
    return n > 0 ? gr_shape_size(c->out[0].shape) / n : 1;
}

static double pool_flops(const gr_lowering *l)
{
    const gr__window *w = l->attr;
    double each = 1, n = (double)gr_shape_size(l->out_shape);
    for (int64_t i = 0; i < w->size.rank; i++)
        each *= (double)w->size.dim[i];
    return n * each;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* `op` of a and perhaps a code; of x's size if it goes back there */
static gr_tensor *node(gr_vjp *v, const gr_op *op, gr_tensor *a, gr_tensor *code, const gr_tensor *x)
{
    gr__window w = *(const gr__window *)v->attr;
    w.into = GR_RANK0;
    if (x) {
        w.into.rank = x->shape.rank - 2;
        memcpy(w.into.dim, x->shape.dim + 1, (size_t)w.into.rank * sizeof *w.into.dim);
    }
    return gr_apply_op_at(GR_VJP_AT(v), op, &w, code ? 2 : 1, (gr_tensor *[]){a, code});
}

static void max_vjp(gr_vjp *v) /* a code has no gradient */
{
    if (v->dy[0])
        v->dx[0] = node(v, &gr_op_max_pool_input_grad, v->dy[0], v->y[1], v->x[0]);
}
static void pick_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_max_pool_input_grad, v->dy[0], v->x[1], v->x[0]);
}
static void max_back_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_max_pool_pick, v->dy[0], v->x[1], NULL);
}
static void average_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_average_pool_input_grad, v->dy[0], NULL, v->x[0]);
}
static void average_back_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_average_pool, v->dy[0], NULL, NULL);
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

#define W1(k, s, b, a, ...)                                                                                            \
    (&(const gr__window){.size = GR_DIMS(k), .strides = GR_DIMS(s), .before = GR_DIMS(b), .after = GR_DIMS(a),         \
        __VA_ARGS__})
#define W2(k0, k1, s0, s1, b0, b1, a0, a1, ...)                                                                        \
    (&(const gr__window){.size = GR_DIMS(k0, k1), .strides = GR_DIMS(s0, s1), .before = GR_DIMS(b0, b1),               \
        .after = GR_DIMS(a0, a1), __VA_ARGS__})
#define INTO(...)       .into = GR_DIMS(__VA_ARGS__)
#define NO_INTO         .into = {0}
#define ONE(a, ...)     {-3, 3, {GR_DIMS a}, .distinct = true, .attr = __VA_ARGS__}
/* codes up to 3, whatever the window: one that names nothing is right as well */
#define TWO(a, b, ...)  {0, 3, {GR_DIMS a, GR_DIMS b}, {GR_DTYPE_NONE, GR_U8}, .attr = __VA_ARGS__}
#define POOL_OP(op, text, n, results, names, table, f_infer, f_vjp, ...)                                               \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = n,                                                                                                     \
        .n_out = results,                                                                                              \
        .n_kept = (results)-1, /* the codes */                                                                         \
        .traits = GR_RANGED | GR_UNITS,                                                                                \
        .attrs = table,                                                                                                \
        .attr_size = sizeof(gr__window),                                                                               \
        .in_names = names,                                                                                             \
        .infer = f_infer,                                                                                              \
        .eval_f32 = pool_eval,                                                                                         \
        .eval_f64 = pool_eval,                                                                                         \
        .unit = pool_unit,                                                                                             \
        .by_example = (1u << (n)) - 1,                                                                                 \
        .vjp = f_vjp,                                                                                                  \
        .flops = pool_flops,                                                                                           \
        .samples = GR_SAMPLES(__VA_ARGS__)}

/* The rows of the ops are the same cases: side by side, same padding with overlap, gaps, channels beyond LANES, one
 * axis, one element, no image. */
POOL_OP(max_pool, "largest element of each window", 1, 2, x_name, pool_fields, infer_max, max_vjp,
    ONE((2, 4, 6, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((1, 5, 5, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, NO_INTO)), ONE((1, 5, 6, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    ONE((1, 2, 2, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((2, 7, 3), W1(3, 2, 0, 0, NO_INTO)),
    ONE((1, 1, 1, 1), W2(2, 2, 2, 2, 0, 0, 1, 1, NO_INTO)), ONE((0, 4, 4, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(max_pool_pick, "the elements of x that the codes of a max_pool name", 2, 1, pick_names, pool_fields,
    infer_pick, pick_vjp, TWO((2, 4, 6, 3), (2, 2, 3, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 5, 5, 2), (1, 3, 3, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    TWO((1, 5, 6, 2), (1, 2, 2, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 2, 1, 67), (1, 1, 1, 67), W2(2, 1, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((2, 7, 3), (2, 3, 3), W1(3, 2, 0, 0, NO_INTO)),
    TWO((0, 4, 4, 2), (0, 2, 2, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(max_pool_input_grad, "dy at the places that the codes of a max_pool name", 2, 1, grad_names, into_fields,
    infer_max_grad, max_back_vjp, TWO((2, 2, 3, 3), (2, 2, 3, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 6))),
    TWO((1, 3, 3, 2), (1, 3, 3, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, INTO(5, 5))),
    TWO((1, 5, 6, 2), (1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, INTO(5, 6))),
    TWO((1, 2, 2, 2), (1, 2, 2, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, INTO(5, 6))),
    TWO((1, 1, 1, 67), (1, 1, 1, 67), W2(2, 1, 2, 2, 0, 0, 0, 0, INTO(2, 1))),
    TWO((2, 3, 3), (2, 3, 3), W1(3, 2, 0, 0, INTO(7))),
    TWO((0, 2, 2, 2), (0, 2, 2, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 4))));
POOL_OP(average_pool, "mean of each window", 1, 1, x_name, pool_fields, infer_average, average_vjp,
    ONE((2, 4, 6, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((1, 5, 5, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, NO_INTO)), ONE((1, 5, 6, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    ONE((1, 2, 2, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((2, 7, 3), W1(3, 2, 0, 0, NO_INTO)),
    ONE((0, 4, 4, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(average_pool_input_grad, "dy spread evenly over the elements of its window", 1, 1, dy_name, into_fields,
    infer_back, average_back_vjp, ONE((2, 2, 3, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 6))),
    ONE((1, 3, 3, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, INTO(5, 5))),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, INTO(5, 6))),
    ONE((1, 2, 2, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, INTO(5, 6))),
    ONE((1, 1, 1, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(2, 2))), ONE((2, 3, 3), W1(3, 2, 0, 0, INTO(7))),
    ONE((0, 2, 2, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 4))));

/* ---- what max_pool lets follow it instead of going before -------------------------------------------------------
 * relu and the addition of a number to each channel keep elements in order, so the largest result is that of the
 * largest element: done to what pooling leaves they cost a part, and so do their gradients. Results of a convolution
 * that no window reads are not computed at all. The plain way is recorded too, for who wants a gradient of what lies on
 * it; else nothing reads it. */

enum { LATER = 4 };

/* Is b the same for all elements of an image that a window of x may hold? */
static bool is_level(const gr_tensor *b, const gr_tensor *x)
{
    const int64_t lead = x->shape.rank - b->shape.rank;
    for (int64_t i = 0; i < b->shape.rank; i++)
        if (lead + i > 0 && i < b->shape.rank - 1 && b->shape.dim[i] != 1)
            return false;
    return lead >= 0;
}

/* x before a relu (*b is NULL) or before b was added; NULL: it is neither. */
static gr_tensor *before(gr_tensor *x, gr_tensor **b)
{
    const gr__node *node = x->node;
    *b = NULL;
    if (node->op == &gr_op_relu)
        return node->in[0];
    for (int i = 0; node->op == &gr_op_add && i < 2; i++)
        if (gr_shape_equal(node->in[i]->shape, x->shape) && is_level(node->in[1 - i], x)) {
            *b = node->in[1 - i];
            return node->in[i];
        }
    return NULL;
}

/* How much of x the windows reach, along each axis; false unless they leave at most half as many results. */
static bool shrinks(const gr__window *w, const gr_tensor *x, int n, int64_t *reach)
{
    double kept = 1;
    for (int i = 0; i < n; i++) {
        const int64_t in = x->shape.dim[1 + i], size = w->size.dim[i], stride = w->strides.dim[i];
        const int64_t padding = w->before.dim[i] + w->after.dim[i];
        const bool given = w->strides.rank == n && w->before.rank == n && w->after.rank == n;
        if (!given || stride < 1 || size < 1 || padding < 0 || in < 1 || in > INT32_MAX || in + padding < size)
            return false; /* impossible, as max_pool will say */
        const int64_t out = (in + padding - size) / stride + 1;
        kept *= (double)out / (double)in;
        reach[i] = (out - 1) * stride - w->before.dim[i] + size;
        reach[i] = reach[i] < in ? reach[i] : in;
    }
    return kept <= 0.5;
}

/* What was computed before the pooling, here after it or of less, is still its own layer's, and its line's. */
static gr_tensor *again(gr_tensor *old, gr_tensor *y, gr_tensor *added, const int64_t *reach)
{
    gr_tape *t = old->node->tape;
    gr__scope *scope = t->scope;
    const gr_at at = old->node->at;
    t->scope = old->node->scope;
    y = reach ? gr__conv_first(at, old, reach) : added ? gr_add_at(at, y, added) : gr_relu_at(at, y);
    t->scope = scope;
    return y;
}

static gr_tensor *max_pool(gr_at at, gr_tensor *x, const gr__window *w, int n)
{
    gr_tensor *added[LATER], *in[LATER + 3], *under, *plain = x; /* in: what either way comes to, what it leaves out */
    int64_t reach[GR_WINDOW_AXES];
    int count = 0, n_in = 2;
    const bool fewer = (n == 1 || n == 2) && w->size.rank == n && shrinks(w, x, n, reach);
    while (fewer && count < LATER && (under = before(x, &added[count]))) {
        in[n_in++] = x;
        x = under;
        count++;
    }
    if (fewer && (under = again(x, NULL, NULL, reach)) != x) {
        in[n_in++] = x;
        x = under;
    }
    gr_tensor *y = gr_apply_op_at(at, &gr_op_max_pool, w, 1, &x);
    while (count-- > 0)
        y = again(in[2 + count], y, added[count], NULL);
    if (n_in == 2)
        return y;
    in[0] = y;
    in[1] = gr_apply_op_at(at, &gr_op_max_pool, w, 1, &plain);
    return gr_apply_op_at(at, &gr_op_either, NULL, n_in, in);
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static gr_tensor *pooling(gr_at at, const gr_op *op, const gr_pool_args *args)
{
    gr_tensor *x = args->x;
    gr__window w = {.size = GR_RANK0};
    if (!gr__given(at, op->name, "x", x))
        return GR_BAD;
    const int n = (int)x->shape.rank - 2;
    if (n == 1 || n == 2) {
        w.size = gr__per_axis(args->size, GR_RANK0, n);
        const gr__window_opts o = {.op = op->name, .n_operands = 1, .operand = &x, .strides = args->strides,
            .stride = w.size, .padding = args->padding, .before = args->before, .after = args->after};
        if (w.size.rank == n && !gr__window_options(at, &o, n, x->shape.dim + 1, w.size.dim, &w))
            return GR_BAD;
        w.dilation = (gr_shape){0}; /* no attribute of theirs */
    }
    return op == &gr_op_max_pool ? max_pool(at, x, &w, n) : gr_apply_op_at(at, op, &w, 1, &x);
}

gr_tensor *gr_max_pool_at(gr_at at, const gr_pool_args *args)
{
    return pooling(at, &gr_op_max_pool, args);
}
gr_tensor *gr_average_pool_at(gr_at at, const gr_pool_args *args)
{
    return pooling(at, &gr_op_average_pool, args);
}
gr_tensor *(gr_max_pool)(gr_tensor *x, gr_shape size)
{
    return gr_max_pool_at((gr_at){0}, &(gr_pool_args){.x = x, .size = size});
}
gr_tensor *(gr_average_pool)(gr_tensor *x, gr_shape size)
{
    return gr_average_pool_at((gr_at){0}, &(gr_pool_args){.x = x, .size = size});
}
