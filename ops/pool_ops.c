/* ops/pool_ops.c: pooling. Gradients are ops of their own:
 *
 *     y  = max_pool(x)                     d: dx = max_pool_input_grad(x, dy), dy at the place of each window's largest
 *     z  = max_pool_pick(x, c)             the element of c at that place; the gradient of the one above for dy
 *     y  = average_pool(x)                 d: dx = average_pool_input_grad(dy), and back
 *
 * The loops of the four that training needs are in kernels/pool_kernels.c; the one that only second derivatives need is
 * here. */
#include "ops/pool_ops.h"
#include "ops/kernels/pool_kernels.h"
#include "ops/ops_impl.h"
#include "ops/window.h"
#include <string.h>

#define POOL_FIELDS                                                                                                    \
    GR_SHAPE_FIELD(gr__window, size), GR_SHAPE_FIELD(gr__window, strides), GR_SHAPE_FIELD(gr__window, before),         \
        GR_SHAPE_FIELD(gr__window, after)
static const gr_field pool_fields[] = {POOL_FIELDS, {0}};
static const gr_field into_fields[] = {POOL_FIELDS, GR_SHAPE_FIELD(gr__window, into), {0}};
static const char *const x_name[] = {"x"}, *const dy_name[] = {"dy"}, *const pick_names[] = {"x", "from"},
                         *const grad_names[] = {"x", "dy"};
extern const gr_op gr_op_max_pool, gr_op_max_pool_pick, gr_op_max_pool_input_grad, gr_op_average_pool,
    gr_op_average_pool_input_grad;

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
    for (int i = 0; i < f->n_in; i++) {
        if (!gr_dtype_is_float(f->dtype[i]))
            return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[i], "expected float32 or float64, found %s",
                gr_dtype_name(f->dtype[i]));
        if (f->dtype[i] != f->dtype[0])
            return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[i], "expected %s, the dtype of %s, found %s",
                gr_dtype_name(f->dtype[0]), f->op->in_names[0], gr_dtype_name(f->dtype[i]));
    }
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

static gr_status infer_pool(gr_infer *f)
{
    GR_TRY(floats(f));
    return pooled(f, f->shape[0], &f->out_shape[0]);
}
static gr_status infer_pick(gr_infer *f)
{
    GR_TRY(floats(f));
    GR_TRY(pooled(f, f->shape[0], &f->out_shape[0]));
    return same_shape(f, 1, f->shape[0]);
}
static gr_status infer_max_grad(gr_infer *f)
{
    gr_shape y;
    GR_TRY(floats(f));
    GR_TRY(pooled(f, f->shape[0], &y));
    f->out_shape[0] = f->shape[0];
    return same_shape(f, 1, y);
}
static gr_status infer_average_grad(gr_infer *f)
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

/* ---- computing --------------------------------------------------------------------------------------------------- */

enum { LANES = 64 }; /* channels done together where something is kept of each */

typedef struct {
    gr__slide a[GR_WINDOW_AXES];
    int64_t c;
} pool;
static pool pool_of(const gr_call *c, gr_shape x)
{
    const int n = (int)x.rank - 2;
    const gr__window w = without_holes(c->attr, n);
    pool p = {.c = x.dim[n + 1]};
    gr__window_axes(&w, n, x.dim + 1, w.size.dim, p.a);
    return p;
}

/* A span of positions or of windows on each axis. */
typedef struct {
    int64_t i0, i1, k0, k1;
} span;
static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* The part of x under a window. */
static void under(const gr__slide *s, int64_t o, int64_t *from, int64_t *to)
{
    int64_t first = o * s->stride - s->before;
    *from = at_least(first, 0);
    *to = first + s->size < s->in ? first + s->size : s->in;
}
static span elements_of(const pool *p, int64_t i, int64_t k)
{
    span s;
    under(&p->a[0], i, &s.i0, &s.i1);
    under(&p->a[1], k, &s.k0, &s.k1);
    return s;
}
/* A NaN is larger than everything, the first one stays. */
#define LARGER(a, than) ((a) > (than) || ((a) != (a) && (than) == (than)))
#define EACH(s)                                                                                                        \
    for (int64_t i = (s).i0; i < (s).i1; i++)                                                                          \
        for (int64_t k = (s).k0; k < (s).k1; k++)
#define X_AT(x, i, k) ((x) + ((i)*p->a[1].in + (k)) * p->c)
#define Y_AT(y, i, k) ((y) + ((i)*p->a[1].out + (k)) * p->c)

/* One pixel of the result, n channels. x, from: the image, at its first channel. */
#define PICK(T)                                                                                                        \
    static void pick_##T(                                                                                              \
        const pool *p, int64_t row, int64_t col, int64_t n, const T *x, const T *from, T *restrict out)                \
    {                                                                                                                  \
        const span s = elements_of(p, row, col);                                                                       \
        T best[LANES];                                                                                                 \
        memcpy(best, X_AT(x, s.i0, s.k0), (size_t)n * sizeof *out);                                                    \
        memcpy(out, X_AT(from, s.i0, s.k0), (size_t)n * sizeof *out);                                                  \
        EACH(s)                                                                                                        \
        {                                                                                                              \
            const T *e = X_AT(x, i, k), *f = X_AT(from, i, k);                                                         \
            for (int64_t c = 0; c < n; c++) {                                                                          \
                out[c] = LARGER(e[c], best[c]) ? f[c] : out[c];                                                        \
                best[c] = LARGER(e[c], best[c]) ? e[c] : best[c];                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void picks_##T(const gr_call *c, const pool *p, const gr__piece *q)                                         \
    {                                                                                                                  \
        const int64_t w = p->a[1].out, h = p->a[0].out, image = p->a[0].in * p->a[1].in * p->c;                        \
        const T *x = c->in[0].data, *from = c->in[1].data;                                                             \
        for (int64_t r = q->r0; r < q->r1; r++)                                                                        \
            for (int64_t at = q->c0, n; at < q->c1; at += n) {                                                         \
                const int64_t first = r / w / h * image + at;                                                          \
                n = q->c1 - at < LANES ? q->c1 - at : LANES;                                                           \
                pick_##T(p, r / w % h, r % w, n, x + first, from + first, (T *)c->out[0].data + r * p->c + at);        \
            }                                                                                                          \
    }
/* clang-format off */
PICK(float)
PICK(double)
/* clang-format on */

static gr_status pool_eval(const gr_call *c)
{
    const bool back = c->op == &gr_op_max_pool_input_grad || c->op == &gr_op_average_pool_input_grad;
    const bool is_double = c->out[0].dtype == GR_F64;
    const gr_shape of_x = back ? c->out[0].shape : c->in[0].shape;
    const pool p = pool_of(c, of_x);
    const gr__slide *y = &p.a[0], *x = &p.a[1];
    const gr__pool j = {of_x.dim[0], y->in, x->in, p.c, y->size, x->size, y->out, x->out, y->stride, x->stride, 1, 1,
        y->before, x->before};
    const void *a = c->in[0].data, *b = c->n_in > 1 ? c->in[1].data : a;
    gr__piece piece[3];
    const int pieces = c->begin < c->end ? gr__pieces(c->begin, c->end, p.c, piece) : 0;
    for (int i = 0; i < pieces; i++) {
        const gr__pool_part s = {a, b, c->out[0].data, piece[i].r0, piece[i].r1, piece[i].c0, piece[i].c1};
        if (c->op == &gr_op_max_pool)
            (is_double ? gr__pool_max_f64 : gr__pool_max_f32)(&j, &s);
        else if (c->op == &gr_op_max_pool_input_grad)
            (is_double ? gr__pool_max_grad_f64 : gr__pool_max_grad_f32)(&j, &s);
        else if (c->op == &gr_op_average_pool)
            (is_double ? gr__pool_avg_f64 : gr__pool_avg_f32)(&j, &s);
        else if (c->op == &gr_op_average_pool_input_grad)
            (is_double ? gr__pool_avg_grad_f64 : gr__pool_avg_grad_f32)(&j, &s);
        else
            (is_double ? picks_double : picks_float)(c, &p, &piece[i]);
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

static gr_tensor *node(gr_vjp *v, const gr_op *op, gr_tensor *a, gr_tensor *b)
{
    gr__window w = *(const gr__window *)v->attr;
    w.into = GR_RANK0;
    return gr_apply_op_at(GR_VJP_AT(v), op, &w, b ? 2 : 1, (gr_tensor *[]){a, b});
}

static void max_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_max_pool_input_grad, v->x[0], v->dy[0]);
}
static void pick_vjp(gr_vjp *v)
{
    v->dx[1] = node(v, &gr_op_max_pool_input_grad, v->x[0], v->dy[0]);
}
static void max_back_vjp(gr_vjp *v)
{
    v->dx[1] = node(v, &gr_op_max_pool_pick, v->x[0], v->dy[0]);
}
static void average_vjp(gr_vjp *v)
{
    gr__window w = *(const gr__window *)v->attr;
    w.into = v->x[0]->shape;
    w.into.rank -= 2;
    memmove(w.into.dim, w.into.dim + 1, (size_t)w.into.rank * sizeof *w.into.dim);
    w.into.dim[w.into.rank] = w.into.dim[w.into.rank + 1] = 0;
    v->dx[0] = gr_apply_op_at(GR_VJP_AT(v), &gr_op_average_pool_input_grad, &w, 1, v->dy);
}
static void average_back_vjp(gr_vjp *v)
{
    v->dx[0] = node(v, &gr_op_average_pool, v->dy[0], NULL);
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
#define TWO(a, b, ...)  {-3, 3, {GR_DIMS a, GR_DIMS b}, .distinct = true, .attr = __VA_ARGS__}
#define POOL_OP(op, text, n, names, table, f_infer, f_vjp, ...)                                                        \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = n,                                                                                                     \
        .n_out = 1,                                                                                                    \
        .traits = GR_RANGED,                                                                                           \
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
POOL_OP(max_pool, "largest element of each window", 1, x_name, pool_fields, infer_pool, max_vjp,
    ONE((2, 4, 6, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((1, 5, 5, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, NO_INTO)), ONE((1, 5, 6, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    ONE((1, 2, 2, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((2, 7, 3), W1(3, 2, 0, 0, NO_INTO)),
    ONE((1, 1, 1, 1), W2(2, 2, 2, 2, 0, 0, 1, 1, NO_INTO)), ONE((0, 4, 4, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(max_pool_pick, "the element of `from` where the window of x has its largest", 2, pick_names, pool_fields,
    infer_pick, pick_vjp, TWO((2, 4, 6, 3), (2, 4, 6, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 5, 5, 2), (1, 5, 5, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    TWO((1, 5, 6, 2), (1, 5, 6, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 2, 1, 67), (1, 2, 1, 67), W2(2, 1, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((2, 7, 3), (2, 7, 3), W1(3, 2, 0, 0, NO_INTO)),
    TWO((0, 4, 4, 2), (0, 4, 4, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(max_pool_input_grad, "dy where the window of x has its largest element", 2, grad_names, pool_fields,
    infer_max_grad, max_back_vjp, TWO((2, 4, 6, 3), (2, 2, 3, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 5, 5, 2), (1, 3, 3, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    TWO((1, 5, 6, 2), (1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, NO_INTO)),
    TWO((1, 5, 6, 2), (1, 2, 2, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    TWO((1, 2, 1, 67), (1, 1, 1, 67), W2(2, 1, 2, 2, 0, 0, 0, 0, NO_INTO)),
    TWO((2, 7, 3), (2, 3, 3), W1(3, 2, 0, 0, NO_INTO)),
    TWO((0, 4, 4, 2), (0, 2, 2, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(average_pool, "mean of each window", 1, x_name, pool_fields, infer_pool, average_vjp,
    ONE((2, 4, 6, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((1, 5, 5, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, NO_INTO)),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, NO_INTO)), ONE((1, 5, 6, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, NO_INTO)),
    ONE((1, 2, 2, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)), ONE((2, 7, 3), W1(3, 2, 0, 0, NO_INTO)),
    ONE((0, 4, 4, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, NO_INTO)));
POOL_OP(average_pool_input_grad, "dy spread evenly over the elements of its window", 1, dy_name, into_fields,
    infer_average_grad, average_back_vjp, ONE((2, 2, 3, 3), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 6))),
    ONE((1, 3, 3, 2), W2(3, 3, 2, 2, 1, 1, 1, 1, INTO(5, 5))),
    ONE((1, 5, 6, 2), W2(3, 2, 1, 1, 1, 0, 1, 1, INTO(5, 6))),
    ONE((1, 2, 2, 2), W2(1, 2, 3, 3, 0, 0, 0, 0, INTO(5, 6))),
    ONE((1, 1, 1, 67), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(2, 2))), ONE((2, 3, 3), W1(3, 2, 0, 0, INTO(7))),
    ONE((0, 2, 2, 2), W2(2, 2, 2, 2, 0, 0, 0, 0, INTO(4, 4))));

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
    return gr_apply_op_at(at, op, &w, 1, &x);
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
