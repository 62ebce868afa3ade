/* ops/conv_ops.c: convolution, and its two gradients, which are ops of their own: each of the three is linear in both
 * operands, and the gradients of any one are the other two.
 *
 *     y  = conv(x, k)                 x [B, h, w, c], k [kh, kw, c / groups, o], y [B, h', w', o]
 *     dx = conv_input_grad(dy, t)     t = conv_turn(k); attribute `into`: h, w, c
 *     dk = conv_kernel_grad(x, dy)    attribute `into`: kh, kw, c / groups
 *     t  = conv_turn(k)               t [kh, kw, o / groups, c]: taps in reverse order, each transposed in its groups
 *
 * The turned kernel is a node so that it is made once a step, however many examples dx is computed for at a time.
 * The inner loops are in kernels/conv.c. One axis is computed as two of which the first has size 1. */
#include "ops/conv_ops.h"
#include "core/size.h"
#include "ops/kernels/conv.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include "ops/window.h"
#include <string.h>

#define WINDOW_FIELDS                                                                                                  \
    GR_SHAPE_FIELD(gr__window, strides), GR_SHAPE_FIELD(gr__window, dilation), GR_SHAPE_FIELD(gr__window, before),     \
        GR_SHAPE_FIELD(gr__window, after)
static const gr_field conv_fields[] = {WINDOW_FIELDS, {0}};
static const gr_field grad_fields[] = {WINDOW_FIELDS, GR_SHAPE_FIELD(gr__window, into), {0}};
static const char *const conv_names[] = {"x", "kernel"}, *const input_grad_names[] = {"dy", "turned"},
                         *const kernel_grad_names[] = {"x", "dy"}, *const turn_names[] = {"kernel"};
typedef struct {
    int64_t groups;
} turn_attr;
static const gr_field turn_fields[] = {GR_INT64(turn_attr, groups), {0}};
extern const gr_op gr_op_conv, gr_op_conv_input_grad, gr_op_conv_kernel_grad, gr_op_conv_turn;

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static gr_status floats_of_one_rank(const gr_infer *f)
{
    char text[200];
    for (int i = 0; i < 2; i++) {
        if (!gr_dtype_is_float(f->dtype[i]))
            return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[i], "expected float32 or float64, found %s",
                gr_dtype_name(f->dtype[i]));
        if (f->shape[i].rank != 3 && f->shape[i].rank != 4)
            return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[i], "expected rank 3 or 4, found %s",
                gr_shape_text(f->shape[i], text, sizeof text));
    }
    if (f->dtype[1] != f->dtype[0])
        return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[1], "expected %s, the dtype of %s, found %s",
            gr_dtype_name(f->dtype[0]), f->op->in_names[0], gr_dtype_name(f->dtype[1]));
    if (f->shape[1].rank != f->shape[0].rank)
        return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[1], "expected rank %lld, that of %s, found %s",
            (long long)f->shape[0].rank, f->op->in_names[0], gr_shape_text(f->shape[1], text, sizeof text));
    f->out_dtype[0] = f->dtype[0];
    return GR_OK;
}

/* Shape of conv(x, k). `of_x`, `of_k` name the arguments that the two shapes came from. */
static gr_status convolved(
    const gr_infer *f, gr_shape x, gr_shape k, const char *of_x, const char *of_k, gr_shape *y)
{
    const int n = (int)x.rank - 2;
    const int64_t c = x.dim[n + 1], part = k.dim[n], o = k.dim[n + 1];
    gr__slide axis[GR_WINDOW_AXES];
    char text[200];
    GR_TRY(gr__window_infer(f, f->attr, n, x.dim + 1, k.dim, of_k, axis));
    if (c < 1)
        return gr_infer_fail(f, GR_ESHAPE, of_x, "expected a known number of channels as its last axis, found %s",
            gr_shape_text(x, text, sizeof text));
    if (part < 1 || c % part != 0)
        return gr_infer_fail(f, GR_ESHAPE, of_k, "expected channels, its last axis but one, that divide the %lld of x, "
            "found %s", (long long)c, gr_shape_text(k, text, sizeof text));
    if (o < 1 || o % (c / part) != 0)
        return gr_infer_fail(f, GR_ESHAPE, of_k, "expected a last axis that divides into %lld groups, found %s",
            (long long)(c / part), gr_shape_text(k, text, sizeof text));
    *y = (gr_shape){.rank = x.rank, .dim = {x.dim[0]}};
    for (int i = 0; i < n; i++)
        y->dim[1 + i] = axis[i].out;
    y->dim[n + 1] = o;
    return GR_OK;
}

static gr_status infer_conv(gr_infer *f)
{
    GR_TRY(floats_of_one_rank(f));
    return convolved(f, f->shape[0], f->shape[1], "x", "kernel", &f->out_shape[0]);
}

/* `into` with dim[0] .. dim[rank-2] of the result at place `at`. */
static gr_status into_shape(const gr_infer *f, int64_t at, gr_shape *out)
{
    const gr_shape into = ((const gr__window *)f->attr)->into;
    char text[200];
    bool good = into.rank == f->shape[0].rank - 1;
    for (int64_t i = 0; good && i < into.rank; i++)
        good = into.dim[i] >= 0;
    if (!good)
        return gr_infer_fail(f, GR_ESHAPE, "into", "expected %lld sizes, found %s", (long long)f->shape[0].rank - 1,
            gr__rank_ok(into) ? gr_shape_text(into, text, sizeof text) : "too many");
    out->rank = into.rank + 1;
    memcpy(out->dim + at, into.dim, (size_t)into.rank * sizeof *out->dim);
    return GR_OK;
}

static gr_status same_as_dy(const gr_infer *f, gr_shape y, gr_shape dy)
{
    char want[200], got[200];
    if (gr_shape_equal(y, dy))
        return GR_OK;
    return gr_infer_fail(f, GR_ESHAPE, "dy", "expected %s, the shape of the convolution, found %s",
        gr_shape_text(y, want, sizeof want), gr_shape_text(dy, got, sizeof got));
}

/* [.., c / groups, o] with the two exchanged within the groups: [.., o / groups, c] */
static gr_shape turned_shape(gr_shape k, int64_t groups)
{
    const int64_t depth = k.dim[k.rank - 2];
    k.dim[k.rank - 2] = k.dim[k.rank - 1] / groups;
    k.dim[k.rank - 1] = depth * groups;
    return k;
}

static gr_status infer_input_grad(gr_infer *f)
{
    const gr_shape turned = f->shape[1], dy = f->shape[0];
    gr_shape x = {.dim = {dy.dim[0]}}, y;
    char text[200];
    GR_TRY(floats_of_one_rank(f));
    GR_TRY(into_shape(f, 1, &x));
    const int64_t o = dy.dim[dy.rank - 1], part = turned.dim[turned.rank - 2], c = turned.dim[turned.rank - 1];
    if (part < 1 || o < 1 || o % part != 0 || c < 1 || c % (o / part) != 0)
        return gr_infer_fail(f, GR_ESHAPE, "turned", "expected [.., a part of the %lld channels of dy, channels of x], "
            "found %s", (long long)o, gr_shape_text(turned, text, sizeof text));
    GR_TRY(convolved(f, x, turned_shape(turned, o / part), "into", "turned", &y));
    f->out_shape[0] = x;
    return same_as_dy(f, y, dy);
}

static gr_status infer_turn(gr_infer *f)
{
    const gr_shape k = f->shape[0];
    const int64_t groups = ((const turn_attr *)f->attr)->groups;
    char text[200];
    int64_t c;
    if (!gr_dtype_is_float(f->dtype[0]))
        return gr_infer_fail(f, GR_EDTYPE, "kernel", "expected float32 or float64, found %s",
            gr_dtype_name(f->dtype[0]));
    if (k.rank != 3 && k.rank != 4)
        return gr_infer_fail(f, GR_ESHAPE, "kernel", "expected rank 3 or 4, found %s",
            gr_shape_text(k, text, sizeof text));
    for (int64_t i = 0; i < k.rank; i++)
        if (k.dim[i] < 1)
            return gr_infer_fail(f, GR_ESHAPE, "kernel", "expected known sizes of 1 or more, found %s",
                gr_shape_text(k, text, sizeof text));
    if (groups < 1 || k.dim[k.rank - 1] % groups != 0 || !gr__mul(k.dim[k.rank - 2], groups, &c))
        return gr_infer_fail(f, GR_ESHAPE, "groups", "expected 1 or more that divide the last axis of %s, found %lld",
            gr_shape_text(k, text, sizeof text), (long long)groups);
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = turned_shape(k, groups);
    return GR_OK;
}

static gr_status infer_kernel_grad(gr_infer *f)
{
    gr_shape k = GR_RANK0, y;
    GR_TRY(floats_of_one_rank(f));
    GR_TRY(into_shape(f, 0, &k));
    k.dim[k.rank - 1] = f->shape[1].dim[k.rank - 1];
    GR_TRY(convolved(f, f->shape[0], k, "x", "into", &y));
    f->out_shape[0] = k;
    return same_as_dy(f, y, f->shape[1]);
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

static gr__conv conv_of(const void *attr, gr_shape x, gr_shape k)
{
    const int n = (int)x.rank - 2;
    gr__slide axis[GR_WINDOW_AXES];
    gr__window_axes(attr, n, x.dim + 1, k.dim, axis);
    gr__conv c = {.n = x.dim[0], .c = x.dim[n + 1], .o = k.dim[n + 1], .groups = x.dim[n + 1] / k.dim[n]};
    c.h = axis[0].in, c.w = axis[1].in, c.oh = axis[0].out, c.ow = axis[1].out;
    c.kh = axis[0].size, c.kw = axis[1].size;
    c.stride_h = axis[0].stride, c.stride_w = axis[1].stride;
    c.dilation_h = axis[0].dilation, c.dilation_w = axis[1].dilation;
    c.pad_top = axis[0].before, c.pad_left = axis[1].before;
    return c;
}

/* The three ops differ in which operands are x, k and y. */
typedef enum { FORWARD, TO_INPUT, TO_KERNEL } direction;
static direction direction_of(const gr_op *op)
{
    return op == &gr_op_conv ? FORWARD : op == &gr_op_conv_input_grad ? TO_INPUT : TO_KERNEL;
}

static gr__conv job_of(const gr_op *op, const void *attr, gr_shape a, gr_shape b, gr_shape out)
{
    const direction d = direction_of(op);
    if (d == TO_INPUT)
        b = turned_shape(b, a.dim[a.rank - 1] / b.dim[b.rank - 2]);
    return conv_of(attr, d == TO_INPUT ? out : a, d == TO_KERNEL ? out : b);
}

static gr__conv job_of_call(const gr_call *c)
{
    return job_of(c->op, c->attr, c->in[0].shape, c->in[1].shape, c->out[0].shape);
}

/* Room for a kernel, whose gradient is summed up from those of some images each. */
static int64_t room_bytes(const gr_call *c, const gr__conv *j)
{
    if (direction_of(c->op) != TO_KERNEL)
        return 0;
    return (j->kh * j->kw * (j->c / j->groups) * j->o * gr_dtype_size(c->out[0].dtype) + 63) & -64;
}

static int64_t conv_scratch(const gr_call *c)
{
    const gr__conv j = job_of_call(c);
    return room_bytes(c, &j) + (int64_t)gr__conv_scratch(&j, (size_t)gr_dtype_size(c->out[0].dtype));
}

#define ADD_BOX(T)                                                                                                     \
    static void add_box_##T(const gr__conv_part *p, int64_t width, T *restrict to, const T *restrict from)             \
    {                                                                                                                  \
        for (int64_t r = p->r0; r < p->r1; r++)                                                                        \
            for (int64_t k = p->c0; k < p->c1; k++)                                                                    \
                to[r * width + k] += from[r * width + k];                                                              \
    }
ADD_BOX(float)
ADD_BOX(double)

/* The gradient of a kernel as a sum of those of some images each, so that rounding errors do not add up along one chain
 * of all pixels. How many images is a matter of shape alone. */
enum { CHAIN = 4096 }; /* pixels */
static void sum_of_parts(const gr__conv *j, gr__conv_part p, bool is_double, void *room)
{
    void (*const run)(const gr__conv *, const gr__conv_part *) = is_double ? gr__conv_dw_f64 : gr__conv_dw_f32;
    const int64_t pixels = j->oh * j->ow, some = pixels < CHAIN ? CHAIN / pixels : 1;
    void *whole = p.out;
    p.n1 = some < j->n ? some : j->n;
    run(j, &p);
    p.out = room;
    p.accumulate = false;
    for (int64_t n = some; n < j->n; n += some) {
        p.n0 = n;
        p.n1 = n + some < j->n ? n + some : j->n;
        run(j, &p);
        if (is_double)
            add_box_double(&p, j->o, whole, room);
        else
            add_box_float(&p, j->o, whole, room);
    }
}

static gr_status conv_eval(const gr_call *c)
{
    const direction d = direction_of(c->op);
    const bool is_double = c->out[0].dtype == GR_F64;
    const gr__conv j = job_of_call(c);
    gr__conv_part p = {.in = c->in[0].data, .weights = c->in[1].data, .out = c->out[0].data, .n1 = j.n,
        .accumulate = c->accumulate, .ahead = c->ahead};
    gr__piece piece[3];
    const int n = gr__pieces(c->begin, c->end, d == TO_INPUT ? j.c : j.o, piece);
    p.scratch = (char *)c->scratch + room_bytes(c, &j);
    for (int i = 0; i < n; i++) {
        p.r0 = piece[i].r0, p.r1 = piece[i].r1, p.c0 = piece[i].c0, p.c1 = piece[i].c1;
        if (d == FORWARD)
            (is_double ? gr__conv_forward_f64 : gr__conv_forward_f32)(&j, &p);
        else if (d == TO_INPUT)
            (is_double ? gr__conv_dx_f64 : gr__conv_dx_f32)(&j, &p);
        else
            sum_of_parts(&j, p, is_double, c->scratch);
    }
    return GR_OK;
}

static gr_status turn_eval(const gr_call *c)
{
    const gr_shape k = c->in[0].shape, t = c->out[0].shape;
    const int64_t c_in = t.dim[t.rank - 1], o = k.dim[k.rank - 1];
    const gr__conv j = {.kh = k.rank == 4 ? k.dim[0] : 1, .kw = k.dim[k.rank - 3], .c = c_in, .o = o,
        .groups = ((const turn_attr *)c->attr)->groups};
    gr__piece piece[3];
    const int n = gr__pieces(c->begin, c->end, c_in, piece);
    for (int i = 0; i < n; i++) {
        const gr__conv_part p = {.in = c->in[0].data, .out = c->out[0].data, .r0 = piece[i].r0, .r1 = piece[i].r1,
            .c0 = piece[i].c0, .c1 = piece[i].c1};
        (c->out[0].dtype == GR_F64 ? gr__conv_turn_f64 : gr__conv_turn_f32)(&j, &p);
    }
    return GR_OK;
}

static int64_t turn_unit(const gr_call *c) /* a tap */
{
    const gr_shape t = c->out[0].shape;
    return t.dim[t.rank - 1] * t.dim[t.rank - 2];
}

/* A row of pixels; a sixteenth of a kernel's rows, each of which reads all of x. */
enum { CALLS = 16 };
static int64_t conv_unit(const gr_call *c)
{
    const direction d = direction_of(c->op);
    const gr_shape s = c->out[0].shape;
    const int64_t size = gr_shape_size(s), channels = s.dim[s.rank - 1];
    const int64_t row = (d == TO_KERNEL ? 1 : s.dim[s.rank - 2]) * channels;
    if (size == 0 || d != TO_KERNEL)
        return size ? row : 1;
    return (size / row + CALLS - 1) / CALLS * row;
}

static double conv_flops(const gr_lowering *l)
{
    gr__conv j = job_of(l->op, l->attr, l->shape[0], l->shape[1], l->out_shape);
    return 2.0 * (double)j.n * (double)j.oh * (double)j.ow * (double)j.o * (double)j.kh * (double)j.kw *
           (double)(j.c / j.groups);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* Of a kernel its turned one, and back. */
static gr_tensor *turn(gr_at at, gr_tensor *k, int64_t groups)
{
    const turn_attr a = {groups};
    if (gr__is_bad(k))
        return GR_BAD;
    if (k->node->op == &gr_op_conv_turn && ((const turn_attr *)k->node->attr)->groups == groups)
        return k->node->in[0];
    return gr_apply_op_at(at, &gr_op_conv_turn, &a, 1, &k);
}

static gr_tensor *node(gr_at at, const gr_op *op, const gr__window *like, gr_tensor *a, gr_tensor *b, gr_tensor *into)
{
    gr__window w = *like;
    w.into = GR_RANK0;
    if (gr__is_bad(a) || gr__is_bad(b))
        return GR_BAD;
    if (into) {
        w.into = into->shape;
        w.into.rank--;
        if (op == &gr_op_conv_input_grad) /* without the batch; a kernel's gradient without the results' channels */
            memmove(w.into.dim, w.into.dim + 1, (size_t)w.into.rank * sizeof *w.into.dim);
        w.into.dim[w.into.rank] = 0;
    }
    return gr_apply_op_at(at, op, &w, 2, (gr_tensor *[]){a, b});
}
static gr_tensor *forward(gr_vjp *v, gr_tensor *x, gr_tensor *k)
{
    return node(GR_VJP_AT(v), &gr_op_conv, v->attr, x, k, NULL);
}
static gr_tensor *to_input(gr_vjp *v, gr_tensor *dy, gr_tensor *turned, gr_tensor *x)
{
    return node(GR_VJP_AT(v), &gr_op_conv_input_grad, v->attr, dy, turned, x);
}
static gr_tensor *to_kernel(gr_vjp *v, gr_tensor *x, gr_tensor *dy, gr_tensor *k)
{
    return node(GR_VJP_AT(v), &gr_op_conv_kernel_grad, v->attr, x, dy, k);
}
static int64_t channels(const gr_tensor *x, int from_last)
{
    return x->shape.dim[x->shape.rank - 1 - from_last];
}

static void conv_vjp(gr_vjp *v)
{
    gr_tensor *x = v->x[0], *k = v->x[1], *dy = v->dy[0];
    v->dx[0] = to_input(v, dy, turn(GR_VJP_AT(v), k, channels(x, 0) / channels(k, 1)), x);
    v->dx[1] = to_kernel(v, x, dy, k);
}
static void input_grad_vjp(gr_vjp *v) /* dy[0] is shaped like an x */
{
    gr_tensor *dy = v->x[0], *x = v->dy[0];
    const int64_t groups = channels(dy, 0) / channels(v->x[1], 1);
    gr_tensor *k = turn(GR_VJP_AT(v), v->x[1], groups);
    if (gr__is_bad(k)) {
        v->dx[0] = v->dx[1] = GR_BAD;
        return;
    }
    v->dx[0] = forward(v, x, k);
    v->dx[1] = turn(GR_VJP_AT(v), to_kernel(v, x, dy, k), groups);
}
static void kernel_grad_vjp(gr_vjp *v) /* dy[0] is shaped like a kernel */
{
    gr_tensor *x = v->x[0], *k = v->dy[0], *dy = v->x[1];
    v->dx[0] = to_input(v, dy, turn(GR_VJP_AT(v), k, channels(x, 0) / channels(k, 1)), x);
    v->dx[1] = forward(v, x, k);
}
static void turn_vjp(gr_vjp *v)
{
    v->dx[0] = turn(GR_VJP_AT(v), v->dy[0], ((const turn_attr *)v->attr)->groups);
}

/* The channels of x are summed over only where there is one group. */
static bool conv_channels(const void *attr, const gr_shape *shape, gr_channels *c)
{
    const gr__window *w = attr;
    const int64_t last = shape[1].rank - 1;
    *c = (gr_channels){.result = last, .input = shape[0].dim[last] == shape[1].dim[last - 1] ? last - 1 : -1};
    for (int i = 0; i < GR_WINDOW_AXES; i++)
        c->border = c->border || (i < w->before.rank && w->before.dim[i]) || (i < w->after.rank && w->after.dim[i]);
    return true;
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

#define SPREAD(...) __VA_ARGS__
/* strides, dilation, before, after, then into */
#define W1(s, d, b, a, ...)                                                                                            \
    (&(const gr__window){.strides = GR_DIMS(s), .dilation = GR_DIMS(d), .before = GR_DIMS(b), .after = GR_DIMS(a),     \
        __VA_ARGS__})
#define W2(s0, s1, d0, d1, b0, b1, a0, a1, ...)                                                                        \
    (&(const gr__window){.strides = GR_DIMS(s0, s1), .dilation = GR_DIMS(d0, d1), .before = GR_DIMS(b0, b1),           \
        .after = GR_DIMS(a0, a1), __VA_ARGS__})
#define INTO(...) .into = GR_DIMS(__VA_ARGS__)
#define NO_INTO   .into = {0}
#define CONV_OP(op, more_traits, examples, f_channels, text, table, f_infer, f_vjp, ...)                               \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = 2,                                                                                                     \
        .n_out = 1,                                                                                                    \
        .traits = GR_RANGED | (more_traits),                                                                           \
        .attrs = table,                                                                                                \
        .attr_size = sizeof(gr__window),                                                                               \
        .in_names = op##_names,                                                                                        \
        .infer = f_infer,                                                                                              \
        .eval_f32 = conv_eval,                                                                                         \
        .eval_f64 = conv_eval,                                                                                         \
        .unit = conv_unit,                                                                                             \
        .by_example = examples,                                                                                        \
        .scratch = conv_scratch,                                                                                       \
        .vjp = f_vjp,                                                                                                  \
        .flops = conv_flops,                                                                                           \
        .channels = f_channels,                                                                                        \
        .samples = GR_SAMPLES(__VA_ARGS__)}
#define conv_input_grad_names  input_grad_names
#define conv_kernel_grad_names kernel_grad_names
#define ROW(a, b, ...)         {-1, 1, {GR_DIMS a, GR_DIMS b}, .attr = __VA_ARGS__}

/* Each row: what x (or dy), the kernel (or dy) and the attributes are. The rows of the three ops are the same cases. */
CONV_OP(conv, 0, 1, conv_channels, "convolution, channels last", conv_fields, infer_conv, conv_vjp,
    ROW((2, 5, 5, 2), (3, 3, 2, 3), W2(1, 1, 1, 1, 0, 0, 0, 0, NO_INTO)),
    ROW((1, 5, 4, 2), (3, 2, 2, 5), W2(1, 1, 1, 1, 1, 0, 1, 1, NO_INTO)), /* same */
    ROW((2, 7, 6, 1), (3, 3, 1, 2), W2(2, 3, 1, 1, 1, 0, 1, 1, NO_INTO)), /* strides */
    ROW((1, 7, 6, 2), (3, 2, 2, 2), W2(1, 1, 2, 3, 2, 0, 0, 1, NO_INTO)), /* holes */
    ROW((1, 4, 5, 4), (2, 3, 2, 6), W2(1, 1, 1, 1, 0, 1, 0, 1, NO_INTO)), /* two groups */
    ROW((2, 4, 5, 3), (3, 3, 1, 3), W2(1, 2, 1, 1, 1, 1, 1, 1, NO_INTO)), /* every channel by itself */
    ROW((1, 3, 3, 2), (1, 1, 2, 4), W2(1, 1, 1, 1, 0, 0, 0, 0, NO_INTO)),
    ROW((1, 3, 4, 2), (1, 1, 2, 1), W2(2, 2, 1, 1, 0, 0, 0, 0, NO_INTO)), /* strides that skip what no window sees */
    ROW((2, 7, 3), (3, 3, 4), W1(2, 1, 1, 1, NO_INTO)), ROW((1, 6, 4), (2, 1, 8), W1(1, 2, 2, 0, NO_INTO)),
    ROW((0, 4, 4, 2), (3, 3, 2, 3), W2(1, 1, 1, 1, 0, 0, 0, 0, NO_INTO)));
CONV_OP(conv_input_grad, 0, 1, NULL, "gradient of a convolution for its input", grad_fields,
    infer_input_grad, input_grad_vjp,
    ROW((2, 3, 3, 3), (3, 3, 3, 2), W2(1, 1, 1, 1, 0, 0, 0, 0, INTO(5, 5, 2))),
    ROW((1, 5, 4, 5), (3, 2, 5, 2), W2(1, 1, 1, 1, 1, 0, 1, 1, INTO(5, 4, 2))),
    ROW((2, 4, 2, 2), (3, 3, 2, 1), W2(2, 3, 1, 1, 1, 0, 1, 1, INTO(7, 6, 1))),
    ROW((1, 5, 4, 2), (3, 2, 2, 2), W2(1, 1, 2, 3, 2, 0, 0, 1, INTO(7, 6, 2))),
    ROW((1, 3, 5, 6), (2, 3, 3, 4), W2(1, 1, 1, 1, 0, 1, 0, 1, INTO(4, 5, 4))),
    ROW((2, 4, 3, 3), (3, 3, 1, 3), W2(1, 2, 1, 1, 1, 1, 1, 1, INTO(4, 5, 3))),
    ROW((1, 2, 2, 1), (1, 1, 1, 2), W2(2, 2, 1, 1, 0, 0, 0, 0, INTO(3, 4, 2))),
    ROW((2, 4, 4), (3, 4, 3), W1(2, 1, 1, 1, INTO(7, 3))), ROW((1, 6, 8), (2, 2, 4), W1(1, 2, 2, 0, INTO(6, 4))),
    ROW((0, 2, 2, 3), (3, 3, 3, 2), W2(1, 1, 1, 1, 0, 0, 0, 0, INTO(4, 4, 2))));
CONV_OP(conv_kernel_grad, GR_SUMS_EXAMPLES, 3, NULL, "gradient of a convolution for its kernel", grad_fields,
    infer_kernel_grad, kernel_grad_vjp,
    ROW((2, 5, 5, 2), (2, 3, 3, 3), W2(1, 1, 1, 1, 0, 0, 0, 0, INTO(3, 3, 2))),
    ROW((1, 5, 4, 2), (1, 5, 4, 5), W2(1, 1, 1, 1, 1, 0, 1, 1, INTO(3, 2, 2))),
    ROW((2, 7, 6, 1), (2, 4, 2, 2), W2(2, 3, 1, 1, 1, 0, 1, 1, INTO(3, 3, 1))),
    ROW((1, 7, 6, 2), (1, 5, 4, 2), W2(1, 1, 2, 3, 2, 0, 0, 1, INTO(3, 2, 2))),
    ROW((1, 4, 5, 4), (1, 3, 5, 6), W2(1, 1, 1, 1, 0, 1, 0, 1, INTO(2, 3, 2))),
    ROW((2, 4, 5, 3), (2, 4, 3, 3), W2(1, 2, 1, 1, 1, 1, 1, 1, INTO(3, 3, 1))),
    ROW((1, 3, 4, 2), (1, 2, 2, 1), W2(2, 2, 1, 1, 0, 0, 0, 0, INTO(1, 1, 2))),
    ROW((2, 7, 3), (2, 4, 4), W1(2, 1, 1, 1, INTO(3, 3))), ROW((1, 6, 4), (1, 6, 8), W1(1, 2, 2, 0, INTO(2, 1))),
    ROW((0, 4, 4, 2), (0, 2, 2, 3), W2(1, 1, 1, 1, 0, 0, 0, 0, INTO(3, 3, 2))));

#define TURN(k, n) {-1, 1, {GR_DIMS k}, .attr = &(const turn_attr){n}}
const gr_op gr_op_conv_turn = {.abi = GR_ABI,
    .name = "conv_turn",
    .doc = "a convolution's kernel as the gradient for its input reads it",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = turn_fields,
    .attr_size = sizeof(turn_attr),
    .in_names = turn_names,
    .infer = infer_turn,
    .eval_f32 = turn_eval,
    .eval_f64 = turn_eval,
    .unit = turn_unit,
    .vjp = turn_vjp,
    .samples = GR_SAMPLES(TURN((3, 2, 5, 6), 1), TURN((2, 2, 2, 6), 3), TURN((3, 3, 1, 4), 4), TURN((3, 20, 17), 1),
        TURN((1, 1, 1, 1), 1))};

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static gr_tensor *convolution(gr_at at, const char *op, const gr_conv_args *args, gr_tensor *kernel)
{
    gr_tensor *in[] = {args->x, kernel};
    gr__window w = {.size = GR_RANK0};
    if (!gr__given(at, op, "x", in[0]) || !gr__given(at, op, "kernel", in[1]))
        return GR_BAD;
    const int64_t rank = in[0]->shape.rank;
    if (rank == in[1]->shape.rank && (rank == 3 || rank == 4)) {
        const gr__window_opts o = {.op = op, .n_operands = 2, .operand = in, .strides = args->strides,
            .dilation = args->dilation, .padding = args->padding, .causal = rank == 3, .before = args->before,
            .after = args->after};
        if (!gr__window_options(at, &o, (int)rank - 2, in[0]->shape.dim + 1, in[1]->shape.dim, &w))
            return GR_BAD;
    }
    return gr_apply_op_at(at, &gr_op_conv, &w, 2, in);
}

gr_tensor *gr__conv_first(gr_at at, gr_tensor *y, const int64_t *sizes)
{
    if (y->node->op != &gr_op_conv)
        return y;
    gr__window w = *(const gr__window *)y->node->attr;
    for (int i = 0; i < w.after.rank; i++)
        w.after.dim[i] -= (y->shape.dim[1 + i] - sizes[i]) * w.strides.dim[i];
    return gr_apply_op_at(at, &gr_op_conv, &w, 2, y->node->in);
}

gr_tensor *gr_conv_at(gr_at at, const gr_conv_args *args)
{
    return convolution(at, "conv", args, args->kernel);
}

gr_tensor *gr_depthwise_conv_at(gr_at at, const gr_conv_args *args)
{
    gr_tensor *x = args->x, *k = args->kernel;
    char text[200];
    int64_t results;
    if (!gr__given(at, "depthwise_conv", "x", x) || !gr__given(at, "depthwise_conv", "kernel", k))
        return GR_BAD;
    const int64_t rank = k->shape.rank, c = x->shape.rank ? x->shape.dim[x->shape.rank - 1] : -1;
    if (rank != x->shape.rank)
        return gr_op_fail(at, GR_ESHAPE, "depthwise_conv", "kernel", 2, (gr_tensor *[]){x, k},
            "expected rank %lld, that of x, found %s", (long long)x->shape.rank,
            gr_shape_text(k->shape, text, sizeof text));
    if ((rank != 3 && rank != 4) || k->shape.dim[rank - 2] != c || c < 0 || k->shape.dim[rank - 1] < 0 ||
        !gr__mul(c, k->shape.dim[rank - 1], &results))
        return gr_op_fail(at, GR_ESHAPE, "depthwise_conv", "kernel", 2, (gr_tensor *[]){x, k},
            "expected [.., channels of x, results of each], found %s", gr_shape_text(k->shape, text, sizeof text));
    gr_shape s = k->shape;
    s.dim[rank - 2] = 1;
    s.dim[rank - 1] = results;
    return convolution(at, "depthwise_conv", args, gr_reshape_at(at, k, s));
}

gr_tensor *gr_conv_transpose_at(gr_at at, const gr_conv_args *args)
{
    static const char *const name = "conv_transpose";
    gr_tensor *in[] = {args->x, args->kernel};
    gr__window w = {.size = GR_RANK0};
    char text[200];
    if (!gr__given(at, name, "x", in[0]) || !gr__given(at, name, "kernel", in[1]))
        return GR_BAD;
    const gr_shape x = in[0]->shape, k = in[1]->shape;
    const int n = (int)x.rank - 2;
    if ((n != 1 && n != 2) || k.rank != x.rank || k.dim[n + 1] != x.dim[n + 1] || k.dim[n] < 1)
        return gr_op_fail(at, GR_ESHAPE, name, "kernel", 2, in,
            "expected [.., results, channels of x] for an x of rank 3 or 4, found %s",
            gr_shape_text(k, text, sizeof text));
    if (args->before.rank || args->after.rank)
        return gr_op_fail(at, GR_EARG, name, "before", 2, in, "expected no padding by hand, found some");
    w.into = x;
    w.into.rank--;
    w.into.dim[n + 1] = 0;
    for (int i = 0; i < n; i++) { /* the sizes of the result, whose convolution has the sizes of x */
        const gr_shape s = gr__per_axis(args->strides, GR_SHAPE(1), n);
        const gr_shape d = gr__per_axis(args->dilation, GR_SHAPE(1), n);
        const int64_t stride = s.dim[s.rank == n ? i : 0], dilation = d.dim[d.rank == n ? i : 0], size = x.dim[1 + i];
        const bool same = args->padding && strcmp(args->padding, "same") == 0;
        if (size < 0 || size > INT32_MAX || stride < 1 || stride > INT32_MAX || dilation < 1 || dilation > INT32_MAX ||
            k.dim[i] < 1 || k.dim[i] > INT32_MAX)
            return gr_op_fail(at, GR_ESHAPE, name, "strides", 2, in,
                "expected an x of known size and strides and dilation of 1 or more, found %s",
                gr_shape_text(s, text, sizeof text));
        const int64_t over = (k.dim[i] - 1) * dilation + 1 - stride;
        w.into.dim[i] = size * stride + (over > 0 && !same ? over : 0);
    }
    w.into.dim[n] = k.dim[n];
    const gr__window_opts o = {.op = name, .n_operands = 2, .operand = in, .strides = args->strides,
        .dilation = args->dilation, .padding = args->padding};
    if (!gr__window_options(at, &o, n, w.into.dim, k.dim, &w))
        return GR_BAD;
    return gr_apply_op_at(at, &gr_op_conv_input_grad, &w, 2, (gr_tensor *[]){in[0], turn(at, in[1], 1)});
}

gr_tensor *(gr_conv_transpose)(gr_tensor *x, gr_tensor *kernel)
{
    return gr_conv_transpose_at((gr_at){0}, &(gr_conv_args){.x = x, .kernel = kernel});
}
gr_tensor *(gr_conv)(gr_tensor *x, gr_tensor *kernel)
{
    return gr_conv_at((gr_at){0}, &(gr_conv_args){.x = x, .kernel = kernel});
}
gr_tensor *(gr_depthwise_conv)(gr_tensor *x, gr_tensor *kernel)
{
    return gr_depthwise_conv_at((gr_at){0}, &(gr_conv_args){.x = x, .kernel = kernel});
}
