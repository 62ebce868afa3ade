/* ops/matmul.c: the matrix product. The op has two operands of rank 2 or more and takes transposition as attributes, so
 * that neither a gradient nor a user builds a transposed copy; gr_matmul fits vectors to it. The inner loops are in
 * kernels/gemm.c. */
#include "ops/matmul.h"
#include "ops/elementwise.h"
#include "ops/kernels/gemm.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include <string.h>

typedef gr_matmul_opts matmul_attr;
static const gr_field matmul_fields[] = {GR_BOOL(matmul_attr, transpose_a), GR_BOOL(matmul_attr, transpose_b), {0}};
static const char *const in_names[] = {"a", "b"};

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t m, k, n, k_of_b;
    gr_shape batch_a, batch_b, batch; /* the axes before the last two */
    bool broadcasts;
} product;

static product product_of(const matmul_attr *t, gr_shape a, gr_shape b)
{
    const int64_t *la = a.dim + a.rank - 2, *lb = b.dim + b.rank - 2;
    product p = {
        .m = la[t->transpose_a], .k = la[!t->transpose_a], .n = lb[!t->transpose_b], .k_of_b = lb[t->transpose_b]};
    p.batch_a = a;
    p.batch_b = b;
    p.batch_a.rank -= 2;
    p.batch_b.rank -= 2;
    p.broadcasts = gr_shape_broadcast(p.batch_a, p.batch_b, &p.batch);
    return p;
}

static const char *size_text(int64_t d, char buf[200])
{
    gr_shape_text(GR_SHAPE(d), buf, 200);
    buf[strlen(buf) - 1] = 0; /* without the brackets */
    return buf + 1;
}

static gr_status infer_matmul(gr_infer *f)
{
    const matmul_attr *t = f->attr;
    char want[200], got[200];
    for (int i = 0; i < 2; i++) {
        if (!gr_dtype_is_float(f->dtype[i]))
            return gr_infer_fail(
                f, GR_EDTYPE, in_names[i], "expected float32 or float64, found %s", gr_dtype_name(f->dtype[i]));
        if (f->shape[i].rank < 2)
            return gr_infer_fail(f, GR_ESHAPE, in_names[i], "expected rank 2 or more, found %s",
                gr_shape_text(f->shape[i], got, sizeof got));
    }
    if (f->dtype[0] != f->dtype[1])
        return gr_infer_fail(f, GR_EDTYPE, "b", "expected %s, the dtype of a, found %s", gr_dtype_name(f->dtype[0]),
            gr_dtype_name(f->dtype[1]));
    product p = product_of(t, f->shape[0], f->shape[1]);
    if (p.k != p.k_of_b)
        return gr_infer_fail(f, GR_ESHAPE, "b", "expected %s %s, the inner size of a, found %s", size_text(p.k, want),
            t->transpose_b ? "columns" : "rows", size_text(p.k_of_b, got));
    if (!p.broadcasts)
        return gr_infer_fail(f, GR_ESHAPE, "b", "expected leading axes that broadcast with %s, found %s",
            gr_shape_text(p.batch_a, want, sizeof want), gr_shape_text(p.batch_b, got, sizeof got));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = p.batch;
    f->out_shape[0].dim[f->out_shape[0].rank++] = p.m;
    f->out_shape[0].dim[f->out_shape[0].rank++] = p.n;
    return GR_OK;
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

/* Strides of the leading axes of an operand in the result's leading axes: 0 where it is repeated. */
static void group_strides(gr_shape operand, int64_t matrix, gr_shape batch, int64_t *stride)
{
    int64_t step = matrix;
    for (int64_t i = batch.rank, k = operand.rank; i-- > 0;) {
        int64_t size = k > 0 ? operand.dim[--k] : 1;
        stride[i] = size == 1 ? 0 : step;
        step *= size;
    }
}

static void fill(const matmul_attr *t, gr_shape a, gr_shape b, gr_lowering *l)
{
    product p = product_of(t, a, b);
    l->m = p.m;
    l->n = p.n;
    l->k = p.k;
    l->a_row = t->transpose_a ? 1 : p.k;
    l->a_col = t->transpose_a ? p.m : 1;
    l->b_row = t->transpose_b ? 1 : p.n;
    l->b_col = t->transpose_b ? p.k : 1;
    l->groups = gr_shape_size(p.batch);
    l->group_rank = p.batch.rank;
    memcpy(l->group_dim, p.batch.dim, sizeof l->group_dim);
    group_strides(p.batch_a, p.m * p.k, p.batch, l->a_group);
    group_strides(p.batch_b, p.k * p.n, p.batch, l->b_group);
}

static void matmul_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_CONTRACT;
    fill(l->attr, l->shape[0], l->shape[1], l);
}

static bool matmul_channels(const void *attr, const gr_shape *shape, gr_channels *c)
{
    const matmul_attr *t = attr;
    *c = (gr_channels){.result = !t->transpose_b, .input = t->transpose_b};
    return shape[1].rank == 2 && !t->transpose_a;
}

static double matmul_flops(const gr_lowering *l)
{
    gr_lowering own = {.groups = 0};
    fill(l->attr, l->shape[0], l->shape[1], &own);
    return 2.0 * (double)own.groups * (double)own.m * (double)own.n * (double)own.k;
}

static int64_t matmul_scratch(const gr_call *c)
{
    gr_lowering l = {.groups = 0};
    fill(c->attr, c->in[0].shape, c->in[1].shape, &l);
    const gr__gemm g = {.m = l.m,
        .n = l.n,
        .k = l.k,
        .a_row = l.a_row,
        .a_col = l.a_col,
        .b_row = l.b_row,
        .b_col = l.b_col,
        .c_row = l.n};
    return (int64_t)gr__gemm_scratch(&g, (size_t)gr_dtype_size(c->out[0].dtype));
}

static gr_status matmul_eval(const gr_call *c)
{
    gr_lowering l = {.groups = 0};
    fill(c->attr, c->in[0].shape, c->in[1].shape, &l);
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    for (int64_t group = 0; group < l.groups; group++) {
        int64_t a = 0, b = 0, rest = group;
        for (int64_t i = l.group_rank; i-- > 0; rest /= l.group_dim[i]) {
            a += rest % l.group_dim[i] * l.a_group[i];
            b += rest % l.group_dim[i] * l.b_group[i];
        }
        const gr__gemm g = {.m = l.m,
            .n = l.n,
            .k = l.k,
            .a = (const char *)c->in[0].data + a * size,
            .a_row = l.a_row,
            .a_col = l.a_col,
            .b = (const char *)c->in[1].data + b * size,
            .b_row = l.b_row,
            .b_col = l.b_col,
            .c = (char *)c->out[0].data + group * l.m * l.n * size,
            .c_row = l.n,
            .scratch = c->scratch};
        if (size == 8)
            gr__gemm_f64(&g);
        else
            gr__gemm_f32(&g);
    }
    return GR_OK;
}

/* ---- gradient ---------------------------------------------------------------------------------------------------- */

static gr_tensor *multiply(gr_at at, gr_tensor *a, gr_tensor *b, bool transpose_a, bool transpose_b);

/* C = op(A) op(B): d op(A) = dC op(B)', d op(B) = op(A)' dC. Where op transposes, the product is taken the other way
 * round: d A = op(B) dC'. */
static void matmul_vjp(gr_vjp *v)
{
    const matmul_attr *t = v->attr;
    gr_at at = GR_VJP_AT(v);
    gr_tensor *a = v->x[0], *b = v->x[1], *dc = v->dy[0];
    gr_tensor *da =
        t->transpose_a ? multiply(at, b, dc, t->transpose_b, true) : multiply(at, dc, b, false, !t->transpose_b);
    gr_tensor *db =
        t->transpose_b ? multiply(at, dc, a, true, t->transpose_a) : multiply(at, a, dc, !t->transpose_a, false);
    v->dx[0] = gr__unbroadcast(da, a);
    v->dx[1] = gr__unbroadcast(db, b);
}

#define T(A, B) (&(const matmul_attr){A, B})
const gr_op gr_op_matmul = {.abi = GR_ABI,
    .name = "matmul",
    .doc = "matrix product of the last two axes",
    .n_in = 2,
    .n_out = 1,
    .attrs = matmul_fields,
    .attr_size = sizeof(matmul_attr),
    .in_names = in_names,
    .infer = infer_matmul,
    .eval_f32 = matmul_eval,
    .eval_f64 = matmul_eval,
    .scratch = matmul_scratch,
    .vjp = matmul_vjp,
    .lower = matmul_lower,
    .flops = matmul_flops,
    .channels = matmul_channels,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(3, 5), GR_DIMS(5, 2)}, .attr = T(0, 0)},
        {-3, 3, {GR_DIMS(5, 3), GR_DIMS(5, 2)}, .attr = T(1, 0)},
        {-3, 3, {GR_DIMS(3, 5), GR_DIMS(2, 5)}, .attr = T(0, 1)},
        {-3, 3, {GR_DIMS(5, 3), GR_DIMS(2, 5)}, .attr = T(1, 1)},
        {-3, 3, {GR_DIMS(2, 3, 5), GR_DIMS(2, 5, 7)}, .attr = T(0, 0)},
        {-3, 3, {GR_DIMS(2, 1, 3, 2), GR_DIMS(3, 5, 2)}, .attr = T(0, 1)},
        {-3, 3, {GR_DIMS(2, 5, 3), GR_DIMS(5, 2)}, .attr = T(1, 0)},
        {-3, 3, {GR_DIMS(1, 1), GR_DIMS(1, 1)}, .attr = T(0, 0)},
        {-3, 3, {GR_DIMS(3, 0), GR_DIMS(0, 2)}, .attr = T(0, 0)},
        {-3, 3, {GR_DIMS(0, 3), GR_DIMS(3, 2)}, .attr = T(0, 0)})};

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static gr_tensor *multiply(gr_at at, gr_tensor *a, gr_tensor *b, bool transpose_a, bool transpose_b)
{
    return gr_apply_op_at(at, &gr_op_matmul, &(matmul_attr){transpose_a, transpose_b}, 2, (gr_tensor *[]){a, b});
}

/* Vectors as matrices of one row or column. Checked here where the message can still show them as they are. */
static gr_tensor *with_vectors(gr_at at, gr_tensor *a, gr_tensor *b, gr_matmul_opts t)
{
    gr_tensor *in[] = {a, b};
    char want[200], got[200];
    for (int i = 0; i < 2; i++) {
        if (in[i]->shape.rank == 0)
            return gr_op_fail(at, GR_ESHAPE, "matmul", in_names[i], 2, in, "expected rank 1 or more, found []");
        if (in[i]->shape.rank == 1 && (i ? t.transpose_b : t.transpose_a))
            return gr_op_fail(at, GR_ESHAPE, "matmul", in_names[i], 2, in,
                "expected rank 2 or more to transpose, found %s", gr_shape_text(in[i]->shape, got, sizeof got));
    }
    const bool row = a->shape.rank == 1, column = b->shape.rank == 1;
    int64_t k = row ? a->shape.dim[0] : a->shape.dim[a->shape.rank - 1 - t.transpose_a];
    int64_t k_of_b = column ? b->shape.dim[0] : b->shape.dim[b->shape.rank - 2 + t.transpose_b];
    if (k != k_of_b)
        return gr_op_fail(at, GR_ESHAPE, "matmul", "b", 2, in, "expected %s %s, the inner size of a, found %s",
            size_text(k, want),
            column          ? "elements"
            : t.transpose_b ? "columns"
                            : "rows",
            size_text(k_of_b, got));
    if (row)
        a = gr_expand_dims_at(at, a, GR_SHAPE(0));
    if (column)
        b = gr_expand_dims_at(at, b, GR_SHAPE(1));
    gr_tensor *c = multiply(at, a, b, t.transpose_a, t.transpose_b);
    if (gr__is_bad(c))
        return c;
    gr_shape s = c->shape;
    if (column)
        s.rank--;
    if (row) { /* [.., 1, n] -> [.., n] */
        s.dim[c->shape.rank - 2] = s.dim[c->shape.rank - 1];
        s.rank--;
    }
    return gr__reshaped(at, c, s);
}

gr_tensor *gr_matmul_t_at(gr_at at, gr_tensor *a, gr_tensor *b, gr_matmul_opts t)
{
    if (!gr__is_bad(a) && !gr__is_bad(b) && (a->shape.rank < 2 || b->shape.rank < 2))
        return with_vectors(at, a, b, t);
    if (!gr__is_bad(a) && !gr__is_bad(b) && a->shape.rank > 2 && b->shape.rank == 2 && !t.transpose_a) {
        /* one weight for the whole batch: rows of all batches in one product, and its gradient is one product too */
        gr_shape lead = a->shape, s = a->shape;
        int64_t rows;
        bool per_batch;
        lead.rank--;
        int64_t k = b->shape.dim[t.transpose_b];
        if (s.dim[lead.rank] == k && gr_shape_count(lead, &rows, &per_batch)) {
            gr_tensor *c = multiply(at, gr_merge_dims_at(at, a, 0, lead.rank - 1), b, false, t.transpose_b);
            if (gr__is_bad(c))
                return c;
            s.dim[lead.rank] = c->shape.dim[1];
            return gr__reshaped(at, c, s);
        }
    }
    return multiply(at, a, b, t.transpose_a, t.transpose_b);
}

gr_tensor *gr_matmul_at(gr_at at, gr_tensor *a, gr_tensor *b)
{
    return gr_matmul_t_at(at, a, b, (gr_matmul_opts){false, false});
}
gr_tensor *(gr_matmul)(gr_tensor *a, gr_tensor *b)
{
    return gr_matmul_at((gr_at){0}, a, b);
}
gr_tensor *(gr_matmul_t)(gr_tensor *a, gr_tensor *b, gr_matmul_opts opts)
{
    return gr_matmul_t_at((gr_at){0}, a, b, opts);
}
