/* autograd/scan.c: gr_scan and its gradient. See scan.h; core/node.h (gr__loop) says what a loop's node holds.
 *
 * The gradient is a scan the other way. Its carries are the gradients of the carries, and for each captured tensor the
 * sum of what the steps gave; its xs are what each step began with (a result of the forward node), the xs, and the
 * gradients of the ys. A step computes the body again and goes on to its gradient: in a program the two computations
 * are the same nodes and become one. */
#include "autograd/scan.h"
#include "autograd/custom_impl.h"
#include "autograd/grad.h"
#include "core/node.h"
#include "ops/elementwise.h"

enum { MANY = 64 }; /* inputs and results of a node */

static gr_status infer_scan(gr_infer *f)
{
    return gr_infer_fail(f, GR_EARG, "op", "expected gr_scan, since it takes the body of a loop");
}

static gr_status failed(void)
{
    return gr_error() != GR_OK ? gr_error() : GR_EMEM;
}

/* A parameter of a loop's region: a carry or a step's part of an x. */
static gr_tensor *param(gr__region *r, const gr_tensor *like, bool part)
{
    return gr__region_param(
        r->tape, like->dtype, part ? gr__step_shape(like->shape) : like->shape, NULL, like->node->at);
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

static gr_status check_counts(gr_at at, const gr_scan_args *a, gr_tensor **out)
{
    if (!a->body)
        return gr_fail(GR_EARG, at, "scan: argument body: expected a function, found NULL");
    const int counts[] = {a->n_carries, a->n_xs, a->n_ys};
    bool good = out && (!a->n_carries || a->carries) && (!a->n_xs || a->xs);
    for (int i = 0; i < 3; i++)
        good = good && counts[i] >= 0 && counts[i] <= MANY;
    good = good && a->n_carries + a->n_xs <= MANY && 2 * a->n_carries + a->n_ys <= MANY;
    if (!good || a->n_carries + a->n_ys < 1)
        return gr_fail(GR_EARG, at,
            "scan: argument carries: expected at most %d tensors and one result or more, found %d carries, %d xs, "
            "%d ys", (int)MANY, a->n_carries, a->n_xs, a->n_ys);
    if (a->n_carries + a->n_xs < 1)
        return gr_fail(GR_EARG, at, "scan: argument carries: expected a carry or an x, found neither");
    return GR_OK;
}

/* Fills in the steps. */
static gr_status check_steps(gr_at at, const gr_scan_args *a, int64_t *steps)
{
    char type[200];
    *steps = a->n_xs > 0 && a->xs[0]->shape.rank > 0 && !a->steps ? a->xs[0]->shape.dim[0] : a->steps;
    for (int i = 0; i < a->n_xs; i++) {
        gr_tensor *x = a->xs[i];
        if (x->shape.rank > 0 && x->shape.dim[0] == *steps && *steps >= 1)
            continue;
        gr_op_fail(at, GR_ESHAPE, "scan", "xs", 1, &x, "expected a first axis of as many steps, 1 or more, found %s",
            gr_type_text(x->dtype, x->shape, type, sizeof type));
        return GR_ESHAPE;
    }
    if (*steps < 1)
        return gr_fail(GR_ESHAPE, at, "scan: argument steps: expected 1 or more, found %lld", (long long)*steps);
    return GR_OK;
}

static gr_status check_results(gr_at at, const gr_scan_args *a, gr_tensor *const *out)
{
    char want[200], got[200];
    for (int i = 0; i < a->n_carries + a->n_ys; i++) {
        GR_TRY(gr_status_of(out[i]));
        gr_tensor *carry = i < a->n_carries ? a->carries[i] : NULL;
        if (carry && (carry->dtype != out[i]->dtype || !gr_shape_equal(carry->shape, out[i]->shape))) {
            gr_op_fail(at, GR_EARG, "scan", "carries", 1, &carry, "expected body to give %s for carry %d, found %s",
                gr_type_text(carry->dtype, carry->shape, want, sizeof want), i,
                gr_type_text(out[i]->dtype, out[i]->shape, got, sizeof got));
            return GR_EARG;
        }
        if (out[i]->shape.rank == GR_MAX_RANK)
            return gr_fail(GR_ESHAPE, at, "scan: argument body: expected results of rank 7 at most, found rank 8");
    }
    return GR_OK;
}

static gr_status record(gr_at at, const gr_scan_args *a, gr_tape *t, const gr__loop *l, gr_tensor *const *in,
    gr_tensor **node)
{
    const int n_in = a->n_carries + a->n_xs, n_out = a->n_carries + a->n_ys;
    gr_tensor *own[MANY], *result[MANY] = {NULL};
    gr__region *r = gr__region_begin(t, 0, NULL);
    if (!r)
        return failed();
    for (int i = 0; i < n_in; i++)
        if (gr__is_bad(own[i] = param(r, in[i], i >= a->n_carries)))
            return failed();
    GR_TRY(a->body(a->ctx, r->tape, n_in, own, n_out, result));
    GR_TRY(check_results(at, a, result));
    if (!gr__region_end(r, n_out, result))
        return failed();
    *node = gr__region_node(at, &gr_op_scan, l, n_in, in, 1, &r);
    return gr_status_of(*node);
}

gr_status gr_scan_at(gr_at at, const gr_scan_args *a, gr_tensor **out)
{
    gr_tensor *in[MANY], *node = GR_BAD;
    gr_tape *t = NULL;
    gr__loop l = {.n_carries = a->n_carries, .n_xs = a->n_xs, .reverse = a->reverse};
    gr_status s = check_counts(at, a, out);
    if (s != GR_OK)
        return gr__give(s, node, a->n_carries + a->n_ys, out);
    for (int i = 0; i < a->n_carries + a->n_xs; i++)
        in[i] = i < a->n_carries ? a->carries[i] : a->xs[i - a->n_carries];
    s = gr__find_tape(at, "scan", a->n_carries + a->n_xs, in, &t);
    if (s == GR_OK)
        s = check_steps(at, a, &l.steps);
    for (int i = 0; s == GR_OK && i < a->n_carries + a->n_xs; i++)
        s = gr_status_of(in[i] = gr__capture(t, in[i]));
    if (s == GR_OK)
        s = record(at, a, t, &l, in, &node);
    return gr__give(s, node, a->n_carries + a->n_ys, out);
}

gr_status(gr_scan)(const gr_scan_args *args, gr_tensor **out)
{
    return gr_scan_at((gr_at){0}, args, out);
}

/* ---- the gradient ------------------------------------------------------------------------------------------------ */

/* The backward node under construction: its inputs, and their parameters in the region. */
typedef struct {
    const gr_vjp *v;
    const gr__loop *l;
    const gr__region *forward;
    gr__region *r;
    int n_carries, n_xs, n_ys, n_captures; /* of the forward node */
    int n_in, n_results;
    gr_tensor *in[MANY], *own[MANY], *result[MANY];
    gr_tensor *dcarry[MANY], *sum[MANY]; /* parameters of the carries; NULL of integers */
    gr_tensor *began[MANY], *x[MANY], *captured[MANY];
    gr_tensor *dy[MANY], *dbegan[MANY]; /* NULL is zero */
    int dx[MANY]; /* per input of the forward node: which result is its gradient, or -1 */
} backward;

static bool is_float(const gr_tensor *x)
{
    return gr_dtype_is_float(x->dtype);
}

/* One more input, and its parameter. */
static gr_tensor *give(backward *b, gr_tensor *x, bool part)
{
    if (b->n_in == MANY || gr__is_bad(x))
        return GR_BAD;
    b->in[b->n_in++] = x;
    return param(b->r, x, part);
}

static bool give_all(backward *b)
{
    const gr_vjp *v = b->v;
    const gr_at at = v->node->node->at;
    gr_tensor *const *captures = v->x + b->n_carries + b->n_xs;
    bool good = true;
    for (int i = 0; i < b->n_carries; i++)
        if (is_float(v->x[i]))
            good = good && !gr__is_bad(b->dcarry[i] = give(b, v->dy[i] ? v->dy[i] : gr__zeros_of(at, v->y[i]), false));
    for (int i = 0; i < b->n_captures; i++)
        if (is_float(captures[i]))
            good = good && !gr__is_bad(b->sum[i] = give(b, gr__zeros_of(at, captures[i]), false));
    for (int i = 0; i < b->n_carries; i++)
        good = good && !gr__is_bad(b->began[i] = give(b, v->y[b->n_carries + b->n_ys + i], true));
    for (int i = 0; i < b->n_xs; i++)
        good = good && !gr__is_bad(b->x[i] = give(b, v->x[b->n_carries + i], true));
    for (int i = 0; i < b->n_ys; i++)
        if (v->dy[b->n_carries + i])
            good = good && !gr__is_bad(b->dy[i] = give(b, v->dy[b->n_carries + i], true));
    for (int i = 0; i < b->n_carries; i++)
        if (v->dy[b->n_carries + b->n_ys + i])
            good = good && !gr__is_bad(b->dbegan[i] = give(b, v->dy[b->n_carries + b->n_ys + i], true));
    for (int i = 0; i < b->n_captures; i++)
        good = good && !gr__is_bad(b->captured[i] = gr__capture(b->r->tape, captures[i]));
    return good;
}

/* One step: the body again, then its gradient. The results are the backward node's, in its order. */
static gr_status step_back(backward *b, gr_at at)
{
    gr_tensor *args[MANY], *y[MANY], *dy[MANY], *wrt[MANY], *grad[MANY];
    const int n_state = b->n_carries + b->n_xs, n_in = n_state + b->n_captures;
    int n_wrt = 0, of[MANY];
    for (int i = 0; i < n_in; i++) {
        args[i] = i < b->n_carries ? b->began[i] : i < n_state ? b->x[i - b->n_carries] : b->captured[i - n_state];
        if (is_float(args[i]))
            of[n_wrt] = i, wrt[n_wrt++] = args[i];
    }
    if (!gr__region_inline(b->r->tape, b->forward, args, y))
        return failed();
    for (int i = 0; i < b->n_carries + b->n_ys; i++)
        dy[i] = i < b->n_carries ? b->dcarry[i] : b->dy[i - b->n_carries];
    GR_TRY(gr__grad_nodes(b->r->tape, b->n_carries + b->n_ys, y, dy, wrt, n_wrt, grad));
    for (int pass = 0; pass < 3; pass++) /* carries, sums, then the ys: gradients of the xs */
        for (int k = 0; k < n_wrt; k++) {
            const int i = of[k], kind = i < b->n_carries ? 0 : i < n_state ? 2 : 1;
            if (kind != pass)
                continue;
            gr_tensor *d = grad[k], *more = kind == 0 ? b->dbegan[i] : kind == 1 ? b->sum[i - n_state] : NULL;
            d = d && more ? gr_add_at(at, more, d) : d ? d : more ? more : gr__zeros_of(at, wrt[k]);
            GR_TRY(gr_status_of(d));
            b->dx[i] = b->n_results;
            b->result[b->n_results++] = d;
        }
    return gr__region_end(b->r, b->n_results, b->result) ? GR_OK : failed();
}

static gr_status scan_back(backward *b, gr_tensor **node)
{
    gr__node *n = b->v->node->node;
    if (!(b->r = gr__region_begin(n->tape, 0, NULL)))
        return failed();
    if (!give_all(b)) {
        if (gr_error() == GR_OK)
            gr_fail(GR_EARG, n->at, "scan: its gradient needs more than %d inputs", (int)MANY);
        return gr_error();
    }
    GR_TRY(step_back(b, n->at));
    gr__loop l = {.steps = b->l->steps, .n_xs = b->n_in, .reverse = !b->l->reverse};
    for (int i = 0; i < b->n_carries + b->n_captures; i++)
        l.n_carries += (i < b->n_carries ? b->dcarry[i] : b->sum[i - b->n_carries]) != NULL;
    l.n_xs -= l.n_carries;
    *node = gr__region_node(n->at, &gr_op_scan, &l, b->n_in, b->in, 1, &b->r);
    return gr_status_of(*node);
}

static void scan_vjp(gr_vjp *v)
{
    gr__node *n = v->node->node;
    gr_tensor *node = GR_BAD;
    backward b = {.v = v, .l = gr__loop_of(n), .forward = n->region[0]};
    b.n_carries = (int)b.l->n_carries;
    b.n_xs = (int)b.l->n_xs;
    b.n_ys = b.forward->n_results - b.n_carries;
    b.n_captures = v->n_in - b.n_carries - b.n_xs;
    for (int i = 0; i < v->n_in; i++)
        b.dx[i] = -1;
    const gr_status s = scan_back(&b, &node);
    for (int i = 0; i < v->n_in; i++)
        if (s != GR_OK)
            v->dx[i] = GR_BAD;
        else if (b.dx[i] >= 0)
            v->dx[i] = gr_result(node, b.dx[i]);
}

static const gr_field scan_fields[] = {GR_INT64(gr__loop, steps), GR_INT64(gr__loop, n_carries),
    GR_INT64(gr__loop, n_xs), GR_BOOL(gr__loop, reverse), {0}};
const gr_op gr_op_scan = {.abi = GR_ABI,
    .name = "scan",
    .doc = "a loop over the steps of a sequence",
    .n_in = -1,
    .traits = GR_REGION | GR_LOOP,
    .attrs = scan_fields,
    .attr_size = sizeof(gr__loop),
    .infer = infer_scan,
    .vjp = scan_vjp};

/* Known by name to the text form. */
__attribute__((constructor)) static void register_op(void)
{
    gr_op_register(&gr_op_scan);
}
