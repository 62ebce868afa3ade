/* ops/attention.c: attention and its gradient, two ops (the gradient once more for packed operands). With q, k, v of
 * one head, S = scale q k' + bias and L the logarithm of the sum of e^S along each row:
 *
 *     attention        q, k, v          -> y = P v with P = e^(S - L);  L
 *     attention_grad   .., L, D, dy     -> dq = scale dS k, dk = scale dS' q, dv = P' dy  with dS = P (dy v' - D)
 *
 * where D is the row sum of dy y less the gradient of L: with it, and L as an operand of its own, the gradient is a
 * plain function of its operands. What differentiates it again, and the gradient of bias, write S out.
 *
 * Both ops run over heads: the call that has a row's (a head's) first element of result 0 in its range computes it. */
#include "ops/attention.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/kernels/attend.h"
#include "ops/matmul.h"
#include "ops/ops_impl.h"
#include "ops/reduce.h"
#include "ops/shape_ops.h"
#include <math.h>
#include <string.h>

/* All that is recorded here carries the place of the call, a variable of each function. */
#undef GR_HERE
#define GR_HERE at

typedef struct {
    bool causal;
    double scale; /* 0: 1 / sqrt(size) */
} attention_attr;
static const gr_field fields[] = {GR_BOOL(attention_attr, causal), GR_DOUBLE(attention_attr, scale), {0}};
extern const gr_op gr_op_attention, gr_op_attention_grad, gr_op_attention_packed_grad;

/* ---- operands: q, k, v or all in one; bias or not; of the gradient L, D and dy as well --------------------------- */

enum { OPERANDS = 7, STATISTICS = 3 };
typedef struct {
    bool packed, gradient;
    int own;            /* operands without L, D, dy */
    int bias;           /* its place, or -1 */
    int64_t b, n, t, s; /* examples, heads, queries, keys */
    int64_t h, hv;      /* elements of a query and key, of a value */
    gr_shape bias_shape;
} sizes;

static sizes sizes_of(const gr_op *op, int n_in, const gr_shape *shape)
{
    sizes z = {.gradient = op != &gr_op_attention};
    z.own = n_in - (z.gradient ? STATISTICS : 0);
    z.packed = z.own < 3;
    z.bias = z.own == 2 || z.own == 4 ? z.own - 1 : -1;
    const gr_shape q = shape[0], k = shape[z.packed ? 0 : 1], v = shape[z.packed ? 0 : 2];
    z.b = q.dim[0], z.t = q.dim[1], z.s = k.dim[1];
    z.n = q.dim[z.packed ? 3 : 2], z.h = q.dim[z.packed ? 4 : 3], z.hv = v.dim[z.packed ? 4 : 3];
    z.bias_shape = z.bias < 0 ? GR_RANK0 : shape[z.bias];
    return z;
}

static gr_shape y_shape(const sizes *z)
{
    return GR_SHAPE(z->b, z->t, z->n, z->hv);
}
static gr_shape row_shape(const sizes *z)
{
    return GR_SHAPE(z->b, z->t, z->n);
}

static gr_status wrong_shape(const gr_infer *f, int i, const char *argument, const char *expected)
{
    char text[200];
    return gr_infer_fail(
        f, GR_ESHAPE, argument, "expected %s, found %s", expected, gr_shape_text(f->shape[i], text, sizeof text));
}

static gr_status check_operands(const gr_infer *f, const sizes *z, const char *const *names)
{
    static const char *const own[] = {"query", "key", "value"};
    char want[400];
    for (int i = 0; i < f->n_in; i++) {
        if (!gr_dtype_is_float(f->dtype[i]))
            return gr_infer_fail(
                f, GR_EDTYPE, names[i], "expected float32 or float64, found %s", gr_dtype_name(f->dtype[i]));
        if (f->dtype[i] != f->dtype[0])
            return gr_infer_fail(f, GR_EDTYPE, names[i], "expected %s, the dtype of query, found %s",
                gr_dtype_name(f->dtype[0]), gr_dtype_name(f->dtype[i]));
    }
    if (z->packed && (f->shape[0].rank != 5 || f->shape[0].dim[2] != 3))
        return wrong_shape(f, 0, "query", "[B, T, 3, heads, size], as key and value are absent");
    for (int i = 0; i < (z->packed ? 1 : 3); i++) {
        if (!z->packed && f->shape[i].rank != 4)
            return wrong_shape(f, i, own[i], "[B, tokens, heads, size]");
        for (int64_t d = 1; d < f->shape[i].rank; d++)
            if (f->shape[i].dim[d] < (d == 1 ? 0 : 1))
                return wrong_shape(f, i, own[i], "known sizes, heads and size at least 1");
        if (i > 0 && (f->shape[i].dim[0] != z->b || f->shape[i].dim[2] != z->n))
            return wrong_shape(f, i, own[i], "the examples and heads of query");
    }
    if (!z->packed && f->shape[1].dim[3] != z->h)
        return wrong_shape(f, 1, "key", "the size of query as its last axis");
    if (!z->packed && f->shape[2].dim[1] != z->s)
        return wrong_shape(f, 2, "value", "as many tokens as key");
    const int64_t full[] = {z->b, z->n, z->t, z->s};
    bool fits = z->bias < 0 || z->bias_shape.rank == 4;
    for (int d = 0; z->bias >= 0 && fits && d < 4; d++)
        fits = z->bias_shape.dim[d] == full[d] || z->bias_shape.dim[d] == 1;
    if (!fits) {
        gr_shape_text(GR_SHAPE(full[0], full[1], full[2], full[3]), want, sizeof want - 30);
        strcat(want, " with any axis 1");
        return wrong_shape(f, z->bias, "bias", want);
    }
    return GR_OK;
}

static gr_status check_attributes(const gr_infer *f)
{
    const double scale = ((const attention_attr *)f->attr)->scale;
    if (isfinite(scale))
        return GR_OK;
    return gr_infer_fail(f, GR_EARG, "scale", "expected a finite number, found %g", scale);
}

static const char *const unpacked_names[] = {"query", "key", "value", "bias"}, *const packed_names[] = {
                                                                                   "query", "bias"};

static gr_status infer_attention(gr_infer *f)
{
    if (f->n_in < 1 || f->n_in > 4)
        return gr_infer_fail(f, GR_EARG, "query", "expected 1 to 4 operands, found %d", f->n_in);
    const sizes z = sizes_of(f->op, f->n_in, f->shape);
    GR_TRY(check_operands(f, &z, z.packed ? packed_names : unpacked_names));
    GR_TRY(check_attributes(f));
    f->out_dtype[0] = f->out_dtype[1] = f->dtype[0];
    f->out_shape[0] = y_shape(&z);
    f->out_shape[1] = row_shape(&z);
    return GR_OK;
}

static gr_status infer_grad(gr_infer *f)
{
    static const char *const kept[] = {"log_sum", "delta", "dy"};
    const bool packed = f->op == &gr_op_attention_packed_grad;
    const int least = (packed ? 1 : 3) + STATISTICS;
    const char *names[OPERANDS];
    if (f->n_in != least && f->n_in != least + 1)
        return gr_infer_fail(f, GR_EARG, "query", "expected %d or %d operands, found %d", least, least + 1, f->n_in);
    const sizes z = sizes_of(f->op, f->n_in, f->shape);
    for (int i = 0; i < f->n_in; i++)
        names[i] = i >= z.own ? kept[i - z.own] : packed ? packed_names[i] : unpacked_names[i];
    GR_TRY(check_operands(f, &z, names));
    GR_TRY(check_attributes(f));
    for (int i = z.own; i < f->n_in; i++) {
        const gr_shape want = i - z.own == 2 ? y_shape(&z) : row_shape(&z);
        char text[200];
        if (!gr_shape_equal(f->shape[i], want))
            return wrong_shape(f, i, names[i], gr_shape_text(want, text, sizeof text));
    }
    for (int i = 0; i < f->n_out; i++) {
        f->out_dtype[i] = f->dtype[0];
        f->out_shape[i] = f->shape[i];
    }
    return GR_OK;
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

static sizes sizes_of_call(const gr_call *c)
{
    gr_shape shape[OPERANDS];
    for (int i = 0; i < c->n_in; i++)
        shape[i] = c->in[i].shape;
    return sizes_of(c->op, c->n_in, shape);
}

static double scale_of(const void *attr, int64_t size)
{
    const double scale = ((const attention_attr *)attr)->scale;
    return scale != 0 ? scale : 1 / sqrt((double)size);
}

/* Where head n of example b begins in operand q, k or v (0, 1, 2) or its gradient. */
static void *part_of(const sizes *z, const gr_buffer *buffers, int part, int64_t b, int64_t n)
{
    const gr_buffer *x = &buffers[z->packed ? 0 : part];
    const int64_t tokens = part ? z->s : z->t, size = part == 2 ? z->hv : z->h;
    const int64_t at = z->packed ? ((b * tokens * 3 + part) * z->n + n) * size : (b * tokens * z->n + n) * size;
    return x->data ? (char *)x->data + at * gr_dtype_size(x->dtype) : NULL;
}
static void *row_of(const sizes *z, const gr_buffer *x, int64_t b, int64_t n, int64_t size)
{
    return x->data ? (char *)x->data + (b * z->t * z->n + n) * size * gr_dtype_size(x->dtype) : NULL;
}

static gr__attend head(const gr_call *c, const sizes *z, int64_t b, int64_t n)
{
    const int64_t step = z->packed ? 3 : 1, t = z->own;
    gr__attend a = {.t = z->t,
        .s = z->s,
        .h = z->h,
        .hv = z->hv,
        .causal = ((const attention_attr *)c->attr)->causal,
        .scale = scale_of(c->attr, z->h),
        .q_row = step * z->n * z->h,
        .k_row = step * z->n * z->h,
        .v_row = step * z->n * z->hv,
        .y_row = z->n * z->hv,
        .stat_row = z->n,
        .scratch = c->scratch};
    a.q = part_of(z, c->in, 0, b, n), a.k = part_of(z, c->in, 1, b, n), a.v = part_of(z, c->in, 2, b, n);
    if (z->bias >= 0) {
        int64_t stride[GR_MAX_RANK];
        gr__strides(z->bias_shape, stride);
        for (int d = 0; d < 4; d++)
            stride[d] = z->bias_shape.dim[d] == 1 ? 0 : stride[d];
        const gr_buffer *bias = &c->in[z->bias];
        a.bias =
            bias->data ? (const char *)bias->data + (b * stride[0] + n * stride[1]) * gr_dtype_size(bias->dtype) : NULL;
        a.bias_row = stride[2], a.bias_col = stride[3];
    }
    if (z->gradient) {
        a.lse = row_of(z, &c->in[t], b, n, 1), a.delta = row_of(z, &c->in[t + 1], b, n, 1);
        a.dy = row_of(z, &c->in[t + 2], b, n, z->hv);
        a.dq = part_of(z, c->out, 0, b, n), a.dk = part_of(z, c->out, 1, b, n), a.dv = part_of(z, c->out, 2, b, n);
    } else {
        a.y = row_of(z, &c->out[0], b, n, z->hv), a.lse = row_of(z, &c->out[1], b, n, 1);
    }
    return a;
}

static int64_t attention_scratch(const gr_call *c)
{
    const sizes z = sizes_of_call(c);
    const gr__attend a = {.t = z.t, .s = z.s, .h = z.h, .hv = z.hv};
    return (int64_t)gr__attend_scratch(&a, c->out[0].dtype == GR_F64, z.gradient);
}

/* Rows in the order example, head, query. */
static gr_status attention_eval(const gr_call *c)
{
    const sizes z = sizes_of_call(c);
    int64_t row = (c->begin + z.hv - 1) / z.hv, end = (c->end + z.hv - 1) / z.hv;
    while (row < end) {
        const int64_t of_head = row / z.t, first = row % z.t;
        const int64_t some = z.t - first < end - row ? z.t - first : end - row;
        const gr__attend a = head(c, &z, of_head / z.n, of_head % z.n);
        gr__attend_forward(&a, c->out[0].dtype == GR_F64, first, first + some);
        row += some;
    }
    return GR_OK;
}

/* Heads; where they have no queries, or there are no heads, the one call there is does all. */
static gr_status grad_eval(const gr_call *c)
{
    const sizes z = sizes_of_call(c);
    const int64_t whole = gr_shape_size(c->out[0].shape), heads = z.b * z.n, of_head = heads ? whole / heads : 0;
    int64_t first = 0, end = heads;
    if (of_head > 0) {
        first = (c->begin + of_head - 1) / of_head;
        end = (c->end + of_head - 1) / of_head;
    }
    for (int64_t i = first; i < end; i++) {
        const gr__attend a = head(c, &z, i / z.n, i % z.n);
        gr__attend_backward(&a, c->out[0].dtype == GR_F64);
    }
    return GR_OK;
}

/* Rows enough that copying keys and values for them is nothing; a head of the gradient. */
enum { ROWS = 128 };
static int64_t attention_unit(const gr_call *c)
{
    const sizes z = sizes_of_call(c);
    const int64_t parts = (z.t + ROWS - 1) / ROWS, rows = z.t > 0 ? (z.t + parts - 1) / parts : 1;
    return rows * z.hv;
}
static int64_t grad_unit(const gr_call *c)
{
    const sizes z = sizes_of_call(c);
    const int64_t heads = z.b * z.n, whole = gr_shape_size(c->out[0].shape);
    return heads > 0 && whole > 0 ? whole / heads : 1;
}

static double attention_flops(const gr_lowering *l)
{
    const sizes z = sizes_of(l->op, l->n_in, l->shape);
    const double scores = (double)z.b * (double)z.n * (double)z.t * (double)z.s;
    const double each = z.gradient ? 6.0 * (double)z.h + 4.0 * (double)z.hv : 2.0 * (double)(z.h + z.hv);
    return scores * each * (((const attention_attr *)l->attr)->causal ? 0.5 : 1);
}

/* ---- the formulas written out, of all heads: [B, heads, T, ..] --------------------------------------------------- */

typedef struct {
    gr_tensor *q, *k, *v, *dy, *lse, *delta;
    gr_tensor *p, *a, *ds; /* e^(S - L); dy v'; p (a - delta) */
    double scale;
} written;

/* [B, T, heads, ..] and [B, heads, T, ..] into each other */
static gr_tensor *swapped(gr_at at, gr_tensor *x)
{
    return x ? gr_transpose(x, x->shape.rank == 3 ? GR_SHAPE(0, 2, 1) : GR_SHAPE(0, 2, 1, 3)) : NULL;
}
static gr_tensor *column(gr_at at, gr_tensor *x)
{
    return gr_expand_dims(x, GR_SHAPE(-1));
}
static gr_tensor *product(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return gr_matmul(a, b);
}
static gr_tensor *product_bt(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return gr_matmul_t(a, b, .transpose_b = true);
}
static gr_tensor *product_at(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return gr_matmul_t(a, b, .transpose_a = true);
}
static gr_tensor *part(gr_at at, gr_tensor *const *x, bool packed, int i)
{
    if (!packed)
        return swapped(at, x[i]);
    gr_tensor *one = gr_slice(x[0], .start = GR_SHAPE(0, 0, i), .stop = GR_SHAPE(GR_REST, GR_REST, i + 1));
    return swapped(at, gr_squeeze(one, GR_SHAPE(2)));
}

static written write_out(
    gr_at at, const sizes *z, const void *attr, gr_tensor *const *x, gr_tensor *lse, gr_tensor *delta, gr_tensor *dy)
{
    written w = {.scale = scale_of(attr, z->h), .dy = swapped(at, dy)};
    w.q = part(at, x, z->packed, 0), w.k = part(at, x, z->packed, 1), w.v = part(at, x, z->packed, 2);
    w.lse = column(at, swapped(at, lse)), w.delta = column(at, swapped(at, delta));
    gr_tensor *s = product_bt(at, w.q, w.k);
    s = gr_mul(s, gr_scalar(s, w.scale));
    if (z->bias >= 0)
        s = gr_add(s, x[z->bias]);
    gr_tensor *p = gr_exp(gr_sub(s, w.lse)), *zero = gr_scalar(p, 0);
    p = gr_where(gr_equal(w.lse, gr_scalar(w.lse, -INFINITY)), zero, p); /* a row that sees nothing */
    if (((const attention_attr *)attr)->causal && !gr__is_bad(p)) {
        gr_tape *t = p->node->tape;
        gr_tensor *i = column(at, gr_arange(t, .stop = (double)z->t)), *j = gr_arange(t, .stop = (double)z->s);
        p = gr_where(gr_less_equal(j, i), p, zero);
    }
    w.p = p;
    w.a = product_bt(at, w.dy, w.v);
    w.ds = gr_mul(p, gr_sub(w.a, w.delta));
    return w;
}

/* g [B, heads, T, S] added up to the shape of bias */
static gr_tensor *to_bias(gr_at at, gr_tensor *g, gr_tensor *bias)
{
    gr_shape axes = GR_RANK0;
    for (int64_t d = 0; d < 4; d++)
        if (bias->shape.dim[d] == 1)
            axes.dim[axes.rank++] = d;
    return axes.rank ? gr_sum(g, .axes = axes, .keepdims = true) : g;
}

static gr_tensor *sum_of(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return !a ? b : !b ? a : gr_add(a, b);
}
static gr_tensor *scaled(gr_at at, gr_tensor *x, double c)
{
    return x ? gr_mul(x, gr_scalar(x, c)) : NULL;
}
static gr_tensor *row_sum(gr_at at, gr_tensor *x)
{
    return gr_sum(x, .axes = GR_SHAPE(-1));
}

/* Gradients of q, k, v as the operands have them. */
static void give(gr_vjp *v, gr_at at, bool packed, gr_tensor *q, gr_tensor *k, gr_tensor *val)
{
    gr_tensor *g[] = {swapped(at, q), swapped(at, k), swapped(at, val)};
    if (packed)
        v->dx[0] = gr_stack(3, g, 2);
    else
        memcpy(v->dx, g, sizeof g);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static sizes sizes_of_vjp(const gr_vjp *v)
{
    gr_shape shape[OPERANDS];
    for (int i = 0; i < v->n_in; i++)
        shape[i] = v->x[i]->shape;
    return sizes_of(v->node->node->op, v->n_in, shape);
}

static void attention_vjp(gr_vjp *v)
{
    const gr_at at = GR_VJP_AT(v);
    const sizes z = sizes_of_vjp(v);
    gr_tensor *y = v->y[0], *dy = v->dy[0] ? v->dy[0] : gr_zeros_like(y), *delta = row_sum(at, gr_mul(dy, y));
    gr_tensor *in[OPERANDS];
    if (v->dy[1])
        delta = gr_sub(delta, v->dy[1]);
    memcpy(in, v->x, (size_t)z.own * sizeof *in);
    in[z.own] = v->y[1], in[z.own + 1] = delta, in[z.own + 2] = dy;
    gr_tensor *g = gr_apply_op_at(
        at, z.packed ? &gr_op_attention_packed_grad : &gr_op_attention_grad, v->attr, z.own + STATISTICS, in);
    for (int i = 0; i < (z.packed ? 1 : 3); i++)
        v->dx[i] = gr_result(g, i);
    if (z.bias >= 0 && !gr__is_bad(g)) {
        const written w = write_out(at, &z, v->attr, v->x, v->y[1], delta, dy);
        v->dx[z.bias] = to_bias(at, w.ds, v->x[z.bias]);
    }
}

/* With uq, uk, uv the gradients of the three results and m = scale (uq k' + q uk'):
 *     of dy v'   c = p m;     of S   e = p (m (dy v' - D) + dy uv') */
static void grad_vjp(gr_vjp *v)
{
    const gr_at at = GR_VJP_AT(v);
    const sizes z = sizes_of_vjp(v);
    const int own = z.own;
    const written w = write_out(at, &z, v->attr, v->x, v->x[own], v->x[own + 1], v->x[own + 2]);
    gr_tensor *u[3];
    for (int i = 0; i < 3; i++)
        u[i] = z.packed || v->dy[i] ? part(at, v->dy, z.packed, i) : NULL;
    gr_tensor *m = sum_of(at, u[0] ? product_bt(at, u[0], w.k) : NULL, u[1] ? product_bt(at, w.q, u[1]) : NULL);
    m = scaled(at, m, w.scale);
    gr_tensor *c = m ? gr_mul(w.p, m) : gr_zeros_like(w.p);
    gr_tensor *e = sum_of(at, m ? gr_mul(w.ds, m) : NULL, u[2] ? gr_mul(w.p, product_bt(at, w.dy, u[2])) : NULL);
    gr_tensor *gq = product(at, e, w.k), *gk = product_at(at, e, w.q), *gy = product(at, c, w.v);
    if (u[1])
        gq = gr_add(gq, product(at, w.ds, u[1]));
    if (u[0])
        gk = gr_add(gk, product_at(at, w.ds, u[0]));
    if (u[2])
        gy = gr_add(gy, product(at, w.p, u[2]));
    give(v, at, z.packed, scaled(at, gq, w.scale), scaled(at, gk, w.scale), product_at(at, c, w.dy));
    if (z.bias >= 0 && !gr__is_bad(e))
        v->dx[z.bias] = to_bias(at, e, v->x[z.bias]);
    v->dx[own] = gr_neg(swapped(at, row_sum(at, e)));
    v->dx[own + 1] = gr_neg(swapped(at, row_sum(at, c)));
    v->dx[own + 2] = swapped(at, gy);
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define ATTR(...) (&(const attention_attr){__VA_ARGS__})
#define ATTENTION_OP(op, text, results, heads, f_infer, f_eval, f_unit, f_vjp, ...)                                    \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = -1,                                                                                                    \
        .n_out = results,                                                                                              \
        .traits = GR_RANGED | GR_UNITS,                                                                                \
        .attrs = fields,                                                                                               \
        .attr_size = sizeof(attention_attr),                                                                           \
        .infer = f_infer,                                                                                              \
        .eval_f32 = f_eval,                                                                                            \
        .eval_f64 = f_eval,                                                                                            \
        .unit = f_unit,                                                                                                \
        .unit_axis = heads,                                                                                            \
        .scratch = attention_scratch,                                                                                  \
        .vjp = f_vjp,                                                                                                  \
        .flops = attention_flops,                                                                                      \
        .samples = GR_SAMPLES(__VA_ARGS__)}

ATTENTION_OP(attention, "scaled dot-product attention", 2, 2, infer_attention, attention_eval, attention_unit,
    attention_vjp, {-1, 1, {GR_DIMS(2, 3, 2, 3), GR_DIMS(2, 4, 2, 3), GR_DIMS(2, 4, 2, 2)}, .attr = ATTR(0)},
    {-1, 1, {GR_DIMS(1, 5, 1, 2), GR_DIMS(1, 3, 1, 2), GR_DIMS(1, 3, 1, 2)}, .attr = ATTR(.causal = true)},
    {-1, 1, {GR_DIMS(1, 3, 2, 1), GR_DIMS(1, 5, 2, 1), GR_DIMS(1, 5, 2, 1)}, .attr = ATTR(true, -0.7)},
    {-1, 1, {GR_DIMS(2, 2, 2, 3), GR_DIMS(2, 3, 2, 3), GR_DIMS(2, 3, 2, 3), GR_DIMS(1, 2, 2, 1)}, .attr = ATTR(0)},
    {-1, 1, {GR_DIMS(2, 3, 3, 2, 2)}, .attr = ATTR(.causal = true)},
    {-1, 1, {GR_DIMS(1, 3, 3, 1, 5), GR_DIMS(1, 1, 3, 3)}, .attr = ATTR(0)},
    {-1, 1, {GR_DIMS(0, 2, 3, 2, 2)}, .attr = ATTR(0)});
ATTENTION_OP(attention_grad, "gradient of attention for query, key and value", 3, 2, infer_grad, grad_eval, grad_unit,
    grad_vjp,
    {-1, 1, {GR_DIMS(2, 3, 2, 3), GR_DIMS(2, 4, 2, 3), GR_DIMS(2, 4, 2, 2), GR_DIMS(2, 3, 2), GR_DIMS(2, 3, 2),
        GR_DIMS(2, 3, 2, 2)}, .attr = ATTR(0)},
    {-1, 1, {GR_DIMS(1, 4, 2, 1), GR_DIMS(1, 3, 2, 1), GR_DIMS(1, 3, 2, 1), GR_DIMS(1, 2, 1, 3), GR_DIMS(1, 4, 2),
        GR_DIMS(1, 4, 2), GR_DIMS(1, 4, 2, 1)}, .attr = ATTR(true, 1.5)},
    {-1, 1, {GR_DIMS(1, 0, 1, 2), GR_DIMS(1, 3, 1, 2), GR_DIMS(1, 3, 1, 2), GR_DIMS(1, 0, 1), GR_DIMS(1, 0, 1),
        GR_DIMS(1, 0, 1, 2)}, .attr = ATTR(0)});
ATTENTION_OP(attention_packed_grad, "gradient of attention for query, key and value in one", 1, 3, infer_grad,
    grad_eval, grad_unit, grad_vjp,
    {-1, 1, {GR_DIMS(2, 3, 3, 2, 2), GR_DIMS(2, 3, 2), GR_DIMS(2, 3, 2), GR_DIMS(2, 3, 2, 2)}, .attr = ATTR(.causal = true)},
    {-1, 1, {GR_DIMS(1, 2, 3, 1, 3), GR_DIMS(1, 1, 2, 2), GR_DIMS(1, 2, 1), GR_DIMS(1, 2, 1), GR_DIMS(1, 2, 1, 3)},
        .attr = ATTR(0)});
/* clang-format on */

/* ---- the public functions ---------------------------------------------------------------------------------------- */

/* bias and mask as one tensor of rank 4; NULL: neither. False on failure. */
static bool one_bias(gr_at at, const gr_attention_args *args, gr_tensor **out)
{
    gr_tensor *x = args->bias, *mask = args->mask;
    if (mask) {
        if (gr__is_bad(mask))
            return false;
        if (mask->dtype != GR_BOOL) {
            gr_op_fail(at, GR_EDTYPE, "dot_product_attention", "mask", 1, &mask, "expected bool, found %s",
                gr_dtype_name(mask->dtype));
            return false;
        }
        gr_tensor *seen = x ? x : gr_scalar(args->query, 0);
        x = gr_where(mask, seen, gr_scalar(args->query, -INFINITY));
    }
    *out = x;
    if (!x)
        return true;
    if (gr__is_bad(x))
        return false;
    if (x->shape.rank > 4) {
        gr_op_fail(at, GR_ESHAPE, "dot_product_attention", args->bias ? "bias" : "mask", 1, &x,
            "expected at most 4 axes, found %lld", (long long)x->shape.rank);
        return false;
    }
    gr_shape in_front = {.rank = 4 - x->shape.rank, .dim = {0, 1, 2, 3}};
    memset(in_front.dim + in_front.rank, 0, (size_t)x->shape.rank * sizeof *in_front.dim);
    if (in_front.rank)
        *out = gr_expand_dims(x, in_front);
    return !gr__is_bad(*out);
}

gr_tensor *gr_dot_product_attention_at(gr_at at, const gr_attention_args *args)
{
    static const char op[] = "dot_product_attention";
    gr_tensor *in[4] = {args->query, args->key, args->value}, *bias;
    const bool packed = !args->key && !args->value;
    int n = packed ? 1 : 3;
    if (args->log_sum)
        *args->log_sum = GR_BAD;
    for (int i = 0; i < n; i++)
        if (!gr__given(at, op, unpacked_names[i], in[i]))
            return GR_BAD;
    if (!gr_dtype_is_float(in[0]->dtype))
        return gr_op_fail(
            at, GR_EDTYPE, op, "query", 1, in, "expected float32 or float64, found %s", gr_dtype_name(in[0]->dtype));
    if (!one_bias(at, args, &bias))
        return GR_BAD;
    if (bias)
        in[n++] = bias;
    gr_tensor *y =
        gr_apply_op_at(at, &gr_op_attention, &(attention_attr){.causal = args->causal, .scale = args->scale}, n, in);
    if (args->log_sum && !gr__is_bad(y))
        *args->log_sum = gr_result(y, 1);
    return y;
}

gr_tensor *(gr_dot_product_attention)(gr_tensor *query, gr_tensor *key, gr_tensor *value)
{
    return gr_dot_product_attention_at((gr_at){0}, &(gr_attention_args){.query = query, .key = key, .value = value});
}
