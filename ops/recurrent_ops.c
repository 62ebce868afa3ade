/* ops/recurrent_ops.c: LSTM and GRU, and the step of their gradients that walks back through time. See recurrent_ops.h.
 *
 *     y, h, c, kept, seen = lstm(x, kernel, recurrent, bias, h0, c0)
 *     d, dh0, dc0 = lstm_grad(recurrent, kept, dy, dh, dc)
 *
 * `kept` is what each step's gradient needs of it, `seen` is [x, h of the step before, 1] of each step and d the
 * gradient of each step's gates: then one product over all steps, seen' d, is the gradient of kernel, recurrent and
 * bias, and d kernel' that of x. These are ordinary nodes. dy of no steps ([B, 0, units]) stands for zero. The gru is
 * the same without c; kernels/recurrent_cells.h tells which gates its d has. */
#include "ops/recurrent_ops.h"
#include "core/thread.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/kernels/recurrent_cells.h"
#include "ops/matmul.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"

enum { X, KERNEL, RECURRENT, BIAS, H, C }; /* inputs of lstm and gru */
enum { KEPT = 1, DY, DH, DC };             /* of their gradients; the first is the recurrent kernel */
enum { KEPT_PARTS = 5, D_PARTS = 4 };
static const char *const cell_names[] = {"x", "kernel", "recurrent", "bias", "h", "c"},
                         *const grad_names[] = {"recurrent", "kept", "dy", "dh", "dc"};
extern const gr_op gr_op_lstm, gr_op_lstm_grad, gr_op_gru, gr_op_gru_grad;

static bool is_gru(const gr_op *op)
{
    return op == &gr_op_gru || op == &gr_op_gru_grad;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static gr_status same_floats(const gr_infer *f)
{
    for (int i = 0; i < f->n_in; i++) {
        if (!gr_dtype_is_float(f->dtype[i]))
            return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[i], "expected float32 or float64, found %s",
                gr_dtype_name(f->dtype[i]));
        if (f->dtype[i] != f->dtype[0])
            return gr_infer_fail(f, GR_EDTYPE, f->op->in_names[i], "expected %s, the dtype of %s, found %s",
                gr_dtype_name(f->dtype[0]), f->op->in_names[0], gr_dtype_name(f->dtype[i]));
    }
    for (int i = 0; i < f->n_out; i++)
        f->out_dtype[i] = f->dtype[0];
    return GR_OK;
}

static gr_status expect(const gr_infer *f, int argument, gr_shape want)
{
    char a[200], b[200];
    if (gr_shape_equal(f->shape[argument], want))
        return GR_OK;
    return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[argument], "expected %s, found %s",
        gr_shape_text(want, a, sizeof a), gr_shape_text(f->shape[argument], b, sizeof b));
}

/* Units by the recurrent weights, [units, gates * units]. */
static gr_status units_of(const gr_infer *f, int argument, int64_t *units)
{
    const gr_shape s = f->shape[argument];
    const int64_t gates = is_gru(f->op) ? 3 : 4;
    char text[200];
    int64_t all;
    if (s.rank != 2 || s.dim[0] < 1 || !gr__mul(s.dim[0], gates, &all) || s.dim[1] != all)
        return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[argument], "expected [units, %lld units], found %s",
            (long long)gates, gr_shape_text(s, text, sizeof text));
    *units = s.dim[0];
    return GR_OK;
}

static gr_status infer_cell(gr_infer *f)
{
    const bool gru = is_gru(f->op);
    const gr_shape x = f->shape[X];
    int64_t units, parts, seen;
    char text[200];
    GR_TRY(same_floats(f));
    if (x.rank != 3 || x.dim[1] < 1 || x.dim[2] < 1)
        return gr_infer_fail(f, GR_ESHAPE, "x", "expected [B, steps, n] with 1 step or more and n known, found %s",
            gr_shape_text(x, text, sizeof text));
    GR_TRY(units_of(f, RECURRENT, &units));
    const gr_shape state = GR_SHAPE(x.dim[0], units), gates = GR_SHAPE((gru ? 3 : 4) * units);
    GR_TRY(expect(f, KERNEL, GR_SHAPE(x.dim[2], gates.dim[0])));
    GR_TRY(expect(f, BIAS, gru ? GR_SHAPE(2, gates.dim[0]) : gates));
    GR_TRY(expect(f, H, state));
    if (!gru)
        GR_TRY(expect(f, C, state));
    if (!gr__mul(units, KEPT_PARTS, &parts) || !gr__add(x.dim[2], units + 1, &seen))
        return gr_infer_fail(f, GR_ESHAPE, "x", "expected sizes that fit in 63 bits, found %s",
            gr_shape_text(x, text, sizeof text));
    int n = 0;
    f->out_shape[n++] = GR_SHAPE(x.dim[0], x.dim[1], units);
    f->out_shape[n++] = state;
    if (!gru)
        f->out_shape[n++] = state;
    f->out_shape[n++] = GR_SHAPE(x.dim[0], x.dim[1], parts);
    f->out_shape[n++] = GR_SHAPE(x.dim[0], x.dim[1], seen);
    return GR_OK;
}

static gr_status infer_grad(gr_infer *f)
{
    const gr_shape kept = f->shape[KEPT];
    int64_t units, parts;
    char text[200];
    GR_TRY(same_floats(f));
    GR_TRY(units_of(f, 0, &units));
    if (kept.rank != 3 || kept.dim[1] < 1 || !gr__mul(units, KEPT_PARTS, &parts) || kept.dim[2] != parts)
        return gr_infer_fail(f, GR_ESHAPE, "kept", "expected [B, steps, %lld], 1 step or more, found %s",
            (long long)KEPT_PARTS * units, gr_shape_text(kept, text, sizeof text));
    const gr_shape state = GR_SHAPE(kept.dim[0], units), y = GR_SHAPE(kept.dim[0], kept.dim[1], units);
    if (f->shape[DY].rank != 3 || f->shape[DY].dim[1] != 0) /* no step at all is zero */
        GR_TRY(expect(f, DY, y));
    else
        GR_TRY(expect(f, DY, GR_SHAPE(kept.dim[0], 0, units)));
    GR_TRY(expect(f, DH, state));
    if (!is_gru(f->op))
        GR_TRY(expect(f, DC, state));
    f->out_shape[0] = GR_SHAPE(kept.dim[0], kept.dim[1], D_PARTS * units);
    f->out_shape[1] = state;
    if (!is_gru(f->op))
        f->out_shape[2] = state;
    return GR_OK;
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

/* A thread's share of the rows, but no more than its cache has room for beside the weights. */
enum { MOST_ROWS = 48, FEW_ROWS = 6 };

static int64_t row_elements(const gr_call *c) /* of result 0 */
{
    return c->out[0].shape.dim[1] * c->out[0].shape.dim[2];
}

static int64_t recurrent_unit(const gr_call *c)
{
    const int64_t rows = c->out[0].shape.dim[0], threads = gr_num_threads(), share = (rows + threads - 1) / threads;
    const int64_t calls = (share + MOST_ROWS - 1) / MOST_ROWS, each = rows > 0 ? (share + calls - 1) / calls : 1;
    return (each < FEW_ROWS ? FEW_ROWS : each) * row_elements(c);
}

/* Row `row` of an operand that has a row per sample; NULL of one that is not there or empty. */
static void *at_row(const gr_buffer *b, int64_t row)
{
    int64_t size = gr_dtype_size(b->dtype);
    for (int64_t i = 1; i < b->shape.rank; i++)
        size *= b->shape.dim[i];
    return b->data && size ? (char *)b->data + row * size : NULL;
}

static gr__recurrent cell_of(const gr_call *c, int64_t row, int64_t rows)
{
    const bool gru = is_gru(c->op);
    const gr_shape x = c->in[X].shape;
    const int more = gru ? 2 : 3; /* the first result that is kept */
    return (gr__recurrent){.gru = gru, .rows = rows, .steps = x.dim[1], .inputs = x.dim[2],
        .units = c->out[0].shape.dim[2], .x = at_row(&c->in[X], row), .kernel = c->in[KERNEL].data,
        .recurrent = c->in[RECURRENT].data, .bias = c->in[BIAS].data, .h0 = at_row(&c->in[H], row),
        .c0 = gru ? NULL : at_row(&c->in[C], row), .y = at_row(&c->out[0], row), .h = at_row(&c->out[1], row),
        .c = gru ? NULL : at_row(&c->out[2], row), .kept = at_row(&c->out[more], row),
        .seen = at_row(&c->out[more + 1], row), .scratch = c->scratch};
}

static gr__recurrent_back back_of(const gr_call *c, int64_t row, int64_t rows)
{
    const bool gru = is_gru(c->op);
    return (gr__recurrent_back){.gru = gru, .rows = rows, .steps = c->out[0].shape.dim[1],
        .units = c->in[0].shape.dim[0], .recurrent = c->in[0].data, .kept = at_row(&c->in[KEPT], row),
        .dy = at_row(&c->in[DY], row), .dh = at_row(&c->in[DH], row), .dc = gru ? NULL : at_row(&c->in[DC], row),
        .d = at_row(&c->out[0], row), .dh0 = at_row(&c->out[1], row), .dc0 = gru ? NULL : at_row(&c->out[2], row),
        .scratch = c->scratch};
}

static int64_t most_rows(const gr_call *c)
{
    return c->out[0].shape.dim[0] < MOST_ROWS ? c->out[0].shape.dim[0] : MOST_ROWS;
}
static int64_t cell_scratch(const gr_call *c)
{
    const gr__recurrent r = cell_of(c, 0, most_rows(c));
    return (int64_t)gr__recurrent_scratch(&r, (size_t)gr_dtype_size(c->out[0].dtype));
}
static int64_t grad_scratch(const gr_call *c)
{
    const gr__recurrent_back r = back_of(c, 0, most_rows(c));
    return (int64_t)gr__recurrent_back_scratch(&r, (size_t)gr_dtype_size(c->out[0].dtype));
}

#define EACH_CALL(c, row, rows)                                                                                        \
    for (int64_t row = (c)->begin / row_elements(c), end_ = ((c)->end + row_elements(c) - 1) / row_elements(c),        \
                 rows;                                                                                                 \
         rows = end_ - row < MOST_ROWS ? end_ - row : MOST_ROWS, row < end_; row += rows)

static gr_status cell_eval(const gr_call *c)
{
    EACH_CALL(c, row, rows)
    {
        const gr__recurrent r = cell_of(c, row, rows);
        (c->out[0].dtype == GR_F64 ? gr__recurrent_f64 : gr__recurrent_f32)(&r);
    }
    return GR_OK;
}

static gr_status grad_eval(const gr_call *c)
{
    EACH_CALL(c, row, rows)
    {
        const gr__recurrent_back r = back_of(c, row, rows);
        (c->out[0].dtype == GR_F64 ? gr__recurrent_back_f64 : gr__recurrent_back_f32)(&r);
    }
    return GR_OK;
}

/* Products, and some forty operations in a cell. */
static double cell_flops(const gr_lowering *l)
{
    const gr_shape x = l->shape[X], w = l->shape[RECURRENT];
    return (double)x.dim[0] * (double)x.dim[1] *
           (2.0 * (double)(x.dim[2] + w.dim[0]) * (double)w.dim[1] + 40.0 * (double)w.dim[1]);
}
static double grad_flops(const gr_lowering *l)
{
    const gr_shape kept = l->shape[KEPT], w = l->shape[0];
    return (double)kept.dim[0] * (double)kept.dim[1] * (2.0 * (double)w.dim[0] + 20.0) * (double)w.dim[1];
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* Rows r0 .. r1-1, columns c0 .. c1-1 of a matrix. */
static gr_tensor *part(gr_at at, gr_tensor *x, int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
    return gr_slice_at(at, &(gr_slice_args){.x = x, .start = GR_SHAPE(r0, c0), .stop = GR_SHAPE(r1, c1)});
}

static gr_tensor *side_by_side(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return gr_concatenate_at(at, 2, (gr_tensor *[]){a, b}, 1);
}

static gr_tensor *zeros(gr_vjp *v, gr_shape s)
{
    return gr_zeros_at(GR_VJP_AT(v), gr_tape_of(v->node), s, gr_dtype_of(v->node));
}

static void cell_vjp(gr_vjp *v)
{
    const gr_at at = GR_VJP_AT(v);
    const bool gru = is_gru(v->node->node->op);
    const gr_shape x = gr_shape_of(v->x[X]), state = gr_shape_of(v->x[H]);
    const int64_t n = x.dim[2], u = state.dim[1], last = n + u;
    gr_tensor *in[] = {v->x[RECURRENT], v->y[gru ? 2 : 3], v->dy[0] ? v->dy[0] : zeros(v, GR_SHAPE(x.dim[0], 0, u)),
        v->dy[1] ? v->dy[1] : zeros(v, state), NULL};
    if (!gru)
        in[DC] = v->dy[2] ? v->dy[2] : zeros(v, state);
    gr_tensor *grad = gr_apply_op_at(at, gru ? &gr_op_gru_grad : &gr_op_lstm_grad, NULL, gru ? 4 : 5, in);
    gr_tensor *d = gr_merge_dims_at(at, grad, 0, 1), *seen = gr_merge_dims_at(at, v->y[gru ? 3 : 4], 0, 1);
    gr_tensor *dw = gr_matmul_t_at(at, seen, d, (gr_matmul_opts){.transpose_a = true}), *kernel = v->x[KERNEL];
    if (gru) { /* the columns of dw, and of d, are candidate, update, reset, candidate's recurrent part */
        d = gr_slice_at(at, &(gr_slice_args){.x = d, .start = GR_SHAPE(0, 0), .stop = GR_SHAPE(GR_REST, 3 * u)});
        kernel = side_by_side(at, part(at, kernel, 0, n, 2 * u, 3 * u), part(at, kernel, 0, n, 0, 2 * u));
        v->dx[KERNEL] = side_by_side(at, part(at, dw, 0, n, u, 3 * u), part(at, dw, 0, n, 0, u));
        v->dx[RECURRENT] = part(at, dw, n, last, u, 4 * u);
        gr_tensor *bias[] = {
            side_by_side(at, part(at, dw, last, last + 1, u, 3 * u), part(at, dw, last, last + 1, 0, u)),
            part(at, dw, last, last + 1, u, 4 * u)};
        v->dx[BIAS] = gr_concatenate_at(at, 2, bias, 0);
    } else {
        v->dx[KERNEL] = part(at, dw, 0, n, 0, 4 * u);
        v->dx[RECURRENT] = part(at, dw, n, last, 0, 4 * u);
        v->dx[BIAS] = gr_reshape_at(at, part(at, dw, last, last + 1, 0, 4 * u), GR_SHAPE(4 * u));
        v->dx[C] = gr_result(grad, 2);
    }
    v->dx[X] = gr_reshape_at(at, gr_matmul_t_at(at, d, kernel, (gr_matmul_opts){.transpose_b = true}), x);
    v->dx[H] = gr_result(grad, 1);
}

/* ---- the ops ----------------------------------------------------------------------------------------------------- */

#define RECURRENT_OP(op, text, ins, outs, kept, more, names, f_infer, f_eval, f_vjp, f_scratch, f_flops, ...)          \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = ins,                                                                                                   \
        .n_out = outs,                                                                                                 \
        .n_kept = kept,                                                                                                \
        .traits = GR_RANGED | GR_UNITS | (more),                                                                       \
        .in_names = names,                                                                                             \
        .infer = f_infer,                                                                                              \
        .eval_f32 = f_eval,                                                                                            \
        .eval_f64 = f_eval,                                                                                            \
        .unit = recurrent_unit,                                                                                        \
        .scratch = f_scratch,                                                                                          \
        .vjp = f_vjp,                                                                                                  \
        .flops = f_flops,                                                                                              \
        .samples = GR_SAMPLES(__VA_ARGS__)}
#define CELL(op, text, ins, outs, ...)                                                                                 \
    RECURRENT_OP(op, text, ins, outs, 2, GR_ON_DEMAND, cell_names, infer_cell, cell_eval, cell_vjp, cell_scratch,      \
        cell_flops, __VA_ARGS__)
#define GRAD(op, text, ins, outs, ...)                                                                                 \
    RECURRENT_OP(op, text, ins, outs, (outs) - 1, GR_FIRST_ORDER, grad_names, infer_grad, grad_eval, NULL,             \
        grad_scratch, grad_flops, __VA_ARGS__)
/* batch, steps, inputs, units */
#define LSTM_ROW(b, t, n, u)                                                                                           \
    {-1, 1, {GR_DIMS(b, t, n), GR_DIMS(n, 4 * (u)), GR_DIMS(u, 4 * (u)), GR_DIMS(4 * (u)), GR_DIMS(b, u),              \
                GR_DIMS(b, u)}, .no_second = true}
#define GRU_ROW(b, t, n, u)                                                                                            \
    {-1, 1, {GR_DIMS(b, t, n), GR_DIMS(n, 3 * (u)), GR_DIMS(u, 3 * (u)), GR_DIMS(2, 3 * (u)), GR_DIMS(b, u)},          \
        .no_second = true}
#define LSTM_GRAD_ROW(b, t, ty, u)                                                                                     \
    {-1, 1, {GR_DIMS(u, 4 * (u)), GR_DIMS(b, t, 5 * (u)), GR_DIMS(b, ty, u), GR_DIMS(b, u), GR_DIMS(b, u)},          \
        .no_second = true}
#define GRU_GRAD_ROW(b, t, ty, u)                                                                                      \
    {-1, 1, {GR_DIMS(u, 3 * (u)), GR_DIMS(b, t, 5 * (u)), GR_DIMS(b, ty, u), GR_DIMS(b, u)}, .no_second = true}

CELL(lstm, "long short-term memory over a sequence", 6, 5, LSTM_ROW(2, 3, 2, 3), LSTM_ROW(1, 1, 1, 1),
    LSTM_ROW(13, 2, 1, 2), LSTM_ROW(2, 2, 3, 17), LSTM_ROW(0, 2, 2, 2));
CELL(gru, "gated recurrent unit over a sequence", 5, 4, GRU_ROW(2, 3, 2, 3), GRU_ROW(1, 1, 1, 1),
    GRU_ROW(13, 2, 1, 2), GRU_ROW(2, 2, 3, 17), GRU_ROW(0, 2, 2, 2));
GRAD(lstm_grad, "gradient of an lstm for its gates", 5, 3, LSTM_GRAD_ROW(2, 3, 3, 3), LSTM_GRAD_ROW(13, 2, 0, 2),
    LSTM_GRAD_ROW(1, 2, 2, 17), LSTM_GRAD_ROW(0, 2, 2, 2));
GRAD(gru_grad, "gradient of a gru for its gates", 4, 2, GRU_GRAD_ROW(2, 3, 3, 3), GRU_GRAD_ROW(13, 2, 0, 2),
    GRU_GRAD_ROW(1, 2, 2, 17), GRU_GRAD_ROW(0, 2, 2, 2));

/* ---- the public functions ---------------------------------------------------------------------------------------- */

/* The cell with zeros for what was not given. */
static gr_tensor *recurrent(gr_at at, const gr_op *op, const gr_lstm_args *args)
{
    gr_tensor *in[] = {args->x, args->kernel, args->recurrent, args->bias, args->h, args->c};
    for (int i = X; i <= RECURRENT; i++)
        if (!gr__given(at, op->name, cell_names[i], in[i]))
            return GR_BAD;
    gr_tape *t = gr__deepest(3, in);
    const gr_shape x = in[X]->shape, w = in[RECURRENT]->shape;
    /* wrong ranks are for infer to report */
    const gr_shape state = GR_SHAPE(x.rank ? x.dim[0] : 0, w.rank ? w.dim[0] : 0);
    const gr_shape bias = w.rank == 2 ? GR_SHAPE(2, w.dim[1]) : state;
    if (!in[BIAS])
        in[BIAS] = gr_zeros_at(at, t, op == &gr_op_gru ? bias : GR_SHAPE(bias.dim[1]), in[X]->dtype);
    for (int i = H; i < op->n_in; i++)
        if (!in[i])
            in[i] = gr_zeros_at(at, t, state, in[X]->dtype);
    return gr_apply_op_at(at, op, NULL, op->n_in, in);
}

gr_tensor *gr_lstm_at(gr_at at, const gr_lstm_args *args)
{
    return recurrent(at, &gr_op_lstm, args);
}
gr_tensor *gr_gru_at(gr_at at, const gr_gru_args *args)
{
    const gr_lstm_args all = {args->x, args->kernel, args->recurrent, args->bias, args->h, NULL};
    return recurrent(at, &gr_op_gru, &all);
}
gr_tensor *(gr_lstm)(gr_tensor *x, gr_tensor *kernel, gr_tensor *recurrent_kernel)
{
    return gr_lstm_at((gr_at){0}, &(gr_lstm_args){.x = x, .kernel = kernel, .recurrent = recurrent_kernel});
}
gr_tensor *(gr_gru)(gr_tensor *x, gr_tensor *kernel, gr_tensor *recurrent_kernel)
{
    return gr_gru_at((gr_at){0}, &(gr_gru_args){.x = x, .kernel = kernel, .recurrent = recurrent_kernel});
}
