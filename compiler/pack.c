/* compiler/pack.c: weights that many rows are multiplied by are laid once in the order in which the product's inner
 * loop reads them (gemm.h), instead of by each task that multiplies by them.
 *
 *     y = product(x, w)    becomes    p = pack(w);  y = packed_product(x, p)
 *
 * where w is a variable or a constant, and the program is frozen (p is then computed once: freeze.c) or y has many
 * rows. The bits stay: each sum is taken in the same order. The two ops are this pass's own, and have no gradients. */
#include "compiler/graph.h"
#include "core/size.h"
#include "ops/kernels/gemm.h"

enum {
    BATCH = 8,
    MANY_ROWS = 512, /* of a product at that batch size: tasks enough to share a packed copy that lasts one step */
};

static const char *const pack_names[] = {"b"}, *const product_names[] = {"a", "packed"};
typedef struct {
    bool transpose; /* b is [n, k] */
} pack_attr;
static const gr_field pack_fields[] = {GR_BOOL(pack_attr, transpose), {0}};

/* ---- b [k, n] -> [n / w, k, w] ----------------------------------------------------------------------------------- */

static gr_status infer_pack(gr_infer *f)
{
    const pack_attr *t = f->attr;
    const int64_t w = gr__gemm_block((size_t)gr_dtype_size(f->dtype[0]));
    if (!gr_dtype_is_float(f->dtype[0]) || f->shape[0].rank != 2 || f->shape[0].dim[!t->transpose] % w != 0)
        return gr_infer_fail(f, GR_ESHAPE, "b", "expected a float matrix of a multiple of %lld columns", (long long)w);
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = GR_SHAPE(f->shape[0].dim[!t->transpose] / w, f->shape[0].dim[t->transpose], w);
    return GR_OK;
}

static int64_t pack_unit(const gr_call *c)
{
    const gr_shape s = c->out[0].shape;
    return s.dim[1] * s.dim[2];
}

static gr_status pack_eval(const gr_call *c)
{
    const pack_attr *t = c->attr;
    const gr_shape s = c->out[0].shape;
    const int64_t k = s.dim[1], w = s.dim[2], n = s.dim[0] * w, size = gr_dtype_size(c->out[0].dtype);
    const int64_t block = k * w, first = block ? c->begin / block * w : 0, end = block ? c->end / block * w : 0;
    const int64_t col = t->transpose ? k : 1;
    const gr__gemm g = {.k = k,
        .n = end - first,
        .b = (const char *)c->in[0].data + first * col * size,
        .b_row = t->transpose ? 1 : n,
        .b_col = col};
    char *out = (char *)c->out[0].data + c->begin * size;
    if (size == sizeof(double))
        gr__gemm_pack_f64(&g, (double *)out);
    else
        gr__gemm_pack_f32(&g, (float *)out);
    return GR_OK;
}

static const gr_op pack_op = {.abi = GR_ABI,
    .name = "pack",
    .doc = "a matrix in the order in which a product reads it",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED | GR_UNITS,
    .attrs = pack_fields,
    .attr_size = sizeof(pack_attr),
    .in_names = pack_names,
    .infer = infer_pack,
    .eval_f32 = pack_eval,
    .eval_f64 = pack_eval,
    .unit = pack_unit};

/* ---- a [m, k], packed [n / w, k, w] -> [m, n] -------------------------------------------------------------------- */

static gr_status infer_product(gr_infer *f)
{
    const gr_shape a = f->shape[0], b = f->shape[1];
    if (a.rank != 2 || b.rank != 3 || a.dim[1] != b.dim[1] || f->dtype[0] != f->dtype[1])
        return gr_infer_fail(f, GR_ESHAPE, "packed", "expected a packed matrix of as many rows as a has columns");
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = GR_SHAPE(a.dim[0], b.dim[0] * b.dim[2]);
    return GR_OK;
}

static void product_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_CONTRACT;
    l->groups = 1;
    l->m = l->shape[0].dim[0];
    l->k = l->a_row = l->shape[0].dim[1];
    l->n = l->out_shape.dim[1];
    l->a_col = 1;
    l->b_block = l->k * l->shape[1].dim[2];
}

static double product_flops(const gr_lowering *l)
{
    return 2.0 * (double)gr_shape_size(l->shape[0]) * (double)l->out_shape.dim[1];
}

static gr_status product_eval(const gr_call *c)
{
    const gr_shape a = c->in[0].shape, b = c->in[1].shape;
    const int64_t n = b.dim[0] * b.dim[2];
    const gr__gemm g = {.m = a.dim[0],
        .n = n,
        .k = a.dim[1],
        .a = c->in[0].data,
        .a_row = a.dim[1],
        .a_col = 1,
        .b = c->in[1].data,
        .b_block = b.dim[1] * b.dim[2],
        .c = c->out[0].data,
        .c_row = n};
    if (c->out[0].dtype == GR_F64)
        gr__gemm_f64(&g);
    else
        gr__gemm_f32(&g);
    return GR_OK;
}

static const gr_op packed_product_op = {.abi = GR_ABI,
    .name = "packed_product",
    .doc = "matrix product by a packed matrix",
    .n_in = 2,
    .n_out = 1,
    .in_names = product_names,
    .infer = infer_product,
    .eval_f32 = product_eval,
    .eval_f64 = product_eval,
    .lower = product_lower,
    .flops = product_flops};

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

typedef struct {
    bool frozen;
    gr_tensor **packed[2]; /* per old node: its result 0 packed, and that transposed; NULL */
} state;

/* What the product n is at batch size BATCH; false: not one that can be had packed. */
static bool product_of(const gr__node *n, gr_lowering *l, gr_dtype dtype[2], gr_shape shape[2])
{
    *l = (gr_lowering){
        .op = n->op, .attr = n->attr, .n_in = 2, .dtype = dtype, .shape = shape, .out_dtype = n->out[0].dtype};
    if (!gr_shape_bind(n->out[0].shape, BATCH, &l->out_shape))
        return false;
    for (int i = 0; i < 2; i++) {
        dtype[i] = n->in[i]->dtype;
        if (n->in[i]->shape.rank != 2 || !gr_shape_bind(n->in[i]->shape, BATCH, &shape[i]))
            return false;
    }
    n->op->lower(l);
    return l->kind == GR_LOWER_CONTRACT && l->groups == 1 && l->a_col == 1 && l->a_row == l->k && l->k > 0;
}

static bool packs(const state *s, const gr__node *n, bool *transpose)
{
    gr_dtype dtype[2];
    gr_shape shape[2];
    gr_lowering l;
    if (!n->op->lower || n->n_in != 2 || n->n_out != 1 || !gr__is_weight(n->in[1]) || !product_of(n, &l, dtype, shape))
        return false;
    *transpose = l.b_col != 1;
    return l.n >= 1 && l.n % gr__gemm_block((size_t)gr_dtype_size(dtype[1])) == 0 &&
           (s->frozen || l.m >= MANY_ROWS);
}

static bool any_packs(void *user, const gr__node *n)
{
    bool transpose;
    return packs(user, n, &transpose);
}

static gr__rewritten rewrite(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    state *s = user;
    pack_attr attr;
    if (!packs(s, n, &attr.transpose))
        return GR__KEEP;
    gr_tensor **packed = &s->packed[attr.transpose][n->in[1]->node->id];
    if (!*packed)
        *packed = gr__node_instead(t, n, &pack_op, &attr, 1, &in[1]);
    result[0] = gr__node_instead(t, n, &packed_product_op, NULL, 2, (gr_tensor *[]){in[0], *packed});
    return gr__is_bad(result[0]) ? GR__FAILED : GR__REPLACED;
}

gr_status gr__pass_pack(gr__graph *g, bool frozen)
{
    state s = {.frozen = frozen};
    if (!gr__gemm_packs() || !gr__graph_any(g, any_packs, &s))
        return GR_OK;
    for (int i = 0; i < 2; i++)
        s.packed[i] = gr__alloc(g->tape->n_nodes + 1, sizeof(gr_tensor *));
    gr_status status = s.packed[0] && s.packed[1] ? gr__graph_rewrite(g, rewrite, &s) : GR_EMEM;
    gr__free(s.packed[0]);
    gr__free(s.packed[1]);
    return status;
}
