/* autograd/custom.c: custom_gradient and checkpoint, the two ops that own regions. See custom.h.
 *
 *   custom_gradient  region 0: results from inputs; region 1: dx from inputs, results, dy. Its vjp puts region 1 in
 * place. checkpoint       region 0: results from inputs. Its vjp is another checkpoint, whose region computes region 0
 * again and goes on to the gradient: so the gradient of any order recomputes what it needs. Recomputed nodes carry a
 * clone number, so that no pass merges them with the first computation. */
#include "autograd/custom.h"
#include "autograd/custom_impl.h"
#include "autograd/grad.h"
#include "core/node.h"
#include <stddef.h>

enum { MANY = 64 }; /* inputs and results of a node */

static gr_status infer_region(gr_infer *f)
{
    return gr_infer_fail(f, GR_EARG, "op", "expected its own function, since it takes the ops it is made of");
}

static int64_t depth_of(const gr_tape *t)
{
    int64_t depth = 0;
    for (; t->parent; t = t->parent)
        depth++;
    return depth;
}

/* The innermost tape among those of the inputs. */
gr_status gr__find_tape(gr_at at, const char *who, int n_in, gr_tensor *const *in, gr_tape **tape)
{
    if (n_in < 1 || n_in > MANY || !in)
        return gr_fail(GR_EARG, at, "%s: argument in: expected 1 .. %d tensors, found %d", who, (int)MANY, n_in);
    for (int i = 0; i < n_in; i++) {
        if (!in[i])
            return gr_fail(GR_EARG, at, "%s: argument in: expected a tensor, found NULL at [%d]", who, i);
        GR_TRY(gr_status_of(in[i]));
        if (i == 0 || depth_of(in[i]->node->tape) > depth_of(*tape))
            *tape = in[i]->node->tape;
    }
    for (int i = 0; i < n_in; i++) {
        const gr_tape *t = *tape;
        while (t && t != in[i]->node->tape)
            t = t->parent;
        if (!t)
            return gr_fail(
                GR_EARG, at, "%s: argument in: expected tensors of one tape, found two tapes at [%d]", who, i);
    }
    return GR_OK;
}

static gr_status check_call(gr_at at, const char *who, bool functions, int n_out, gr_tensor **out)
{
    if (!functions)
        return gr_fail(GR_EARG, at, "%s: expected the functions that build it, found NULL", who);
    if (n_out < 1 || n_out > MANY || !out)
        return gr_fail(GR_EARG, at, "%s: argument out: expected 1 .. %d results, found %d", who, (int)MANY, n_out);
    return GR_OK;
}

gr_status gr__give(gr_status s, gr_tensor *node, int n_out, gr_tensor **out)
{
    for (int i = 0; out && i < n_out && n_out <= MANY; i++)
        out[i] = s == GR_OK ? gr_result(node, i) : GR_BAD;
    return s != GR_OK ? s : gr_status_of(node);
}

/* A region of what body builds from `args`. */
static gr_status trace(
    gr_tape *t, gr_body body, void *ctx, int n_in, gr_tensor *const *in, int n_out, gr__region **region)
{
    gr_tensor *out[MANY] = {NULL}, *own[MANY];
    gr__region *r = *region = gr__region_begin(t, n_in, in);
    if (!r)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    for (int i = 0; i < n_in; i++)
        own[i] = r->param[i]; /* the region's list moves when something is captured */
    GR_TRY(body(ctx, r->tape, n_in, own, n_out, out));
    for (int i = 0; i < n_out; i++)
        GR_TRY(gr_status_of(out[i]));
    return gr__region_end(r, n_out, out) ? GR_OK : gr_error() != GR_OK ? gr_error() : GR_EARG;
}

/* ---- checkpoint -------------------------------------------------------------------------------------------------- */

gr_status gr_checkpoint_at(
    gr_at at, gr_body body, void *ctx, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_tape *t = NULL;
    gr__region *r = NULL;
    gr_tensor *node = GR_BAD;
    gr_status s = check_call(at, "checkpoint", body != NULL, n_out, out);
    if (s == GR_OK)
        s = gr__find_tape(at, "checkpoint", n_in, in, &t);
    if (s == GR_OK)
        s = trace(t, body, ctx, n_in, in, n_out, &r);
    if (s == GR_OK)
        s = gr_status_of(node = gr__region_node(at, &gr_op_checkpoint, NULL, n_in, in, 1, &r));
    return gr__give(s, node, n_out, out);
}

/* The body of the backward node: region r again, then its gradient. Fills which[] with the inputs that have one. */
static gr_status backward_body(
    gr__region *b, const gr__region *r, int64_t clone, const gr_vjp *v, int *n_results, int *which)
{
    gr_tape *t = b->tape;
    gr_tensor *y[MANY], *dy[MANY], *wrt[MANY], *grads[MANY], *results[MANY];
    int n_dy = 0, n_wrt = 0, of[MANY];
    t->clone = clone;
    bool good = gr__region_inline(t, r, b->param, y);
    t->clone = 0;
    if (!good)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    for (int64_t id = 0; id < t->n_nodes; id++)
        t->node[id]->phase = GR_PHASE_BACKWARD;
    for (int i = 0; i < v->n_out; i++)
        dy[i] = v->dy[i] ? b->param[v->n_in + n_dy++] : NULL;
    for (int i = 0; i < v->n_in; i++)
        if (gr_dtype_is_float(v->x[i]->dtype)) {
            of[n_wrt] = i;
            wrt[n_wrt++] = b->param[i];
        }
    GR_TRY(gr__grad_nodes(t, v->n_out, y, dy, wrt, n_wrt, grads));
    for (int i = 0; i < n_wrt; i++)
        if (grads[i]) {
            which[*n_results] = of[i];
            results[(*n_results)++] = grads[i];
        }
    if (*n_results == 0)
        return GR_OK;
    return gr__region_end(b, *n_results, results) ? GR_OK : gr_error() != GR_OK ? gr_error() : GR_EMEM;
}

static void checkpoint_vjp(gr_vjp *v)
{
    gr__node *n = v->node->node;
    gr_tensor *args[2 * MANY], *d = GR_BAD;
    int n_args = 0, n_results = 0, which[MANY];
    for (int i = 0; i < v->n_in; i++)
        args[n_args++] = v->x[i];
    for (int i = 0; i < v->n_out; i++)
        if (v->dy[i])
            args[n_args++] = v->dy[i];
    gr__region *b = n_args <= MANY ? gr__region_begin(n->tape, n_args, args) : NULL;
    if (n_args > MANY)
        gr_fail(GR_EARG, n->at, "checkpoint: expected at most %d inputs and results, found %d", (int)MANY, n_args);
    gr_status s = b ? backward_body(b, n->region[0], n->tape->n_nodes + 1, v, &n_results, which) : gr_error();
    if (s == GR_OK && b && n_results == 0)
        return;
    if (s == GR_OK && b)
        d = gr__region_node(n->at, &gr_op_checkpoint, NULL, n_args, args, 1, &b);
    if (gr__is_bad(d)) {
        v->dx[0] = GR_BAD;
        return;
    }
    for (int i = 0; i < n_results; i++)
        v->dx[which[i]] = gr_result(d, i);
}

const gr_op gr_op_checkpoint = {.abi = GR_ABI,
    .name = "checkpoint",
    .doc = "computed again in the backward pass instead of kept",
    .n_in = -1,
    .traits = GR_REGION,
    .infer = infer_region,
    .vjp = checkpoint_vjp};

/* ---- custom_gradient --------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    int64_t given; /* bit i: region 1 has a result for the gradient of input i */
} custom_attr;
static const gr_field custom_fields[] = {GR_STRING(custom_attr, name), GR_INT64(custom_attr, given), {0}};

/* Regions of a custom gradient are closed: what they use is passed in. */
static gr_status check_closed(gr_at at, const char *who, const char *which, const gr__region *r, int n_args)
{
    if (r->n_params == n_args)
        return GR_OK;
    gr_tensor *x = r->tape->captured[n_args];
    gr_op_fail(
        at, GR_EARG, who, "in", 1, &x, "expected every tensor that %s uses, found one used but not passed in", which);
    return GR_EARG;
}

static gr_status check_given(gr_at at, const char *who, int i, gr_tensor *x, gr_tensor *dx)
{
    char want[200], got[200];
    GR_TRY(gr_status_of(dx));
    if (dx->dtype == x->dtype && gr_shape_equal(dx->shape, x->shape))
        return GR_OK;
    gr_op_fail(at, GR_EGRAD, who, "dx", 1, &x, "expected backward to give %s for input %d, found %s",
        gr_type_text(x->dtype, x->shape, want, sizeof want), i, gr_type_text(dx->dtype, dx->shape, got, sizeof got));
    return GR_EGRAD;
}

/* Region 1: parameters are the inputs, the results, and their gradients. */
static gr_status trace_backward(gr_at at, const gr_custom *f, const char *who, const gr__region *forward, int n_in,
    gr_tensor *const *in, gr__region **region, int64_t *given)
{
    gr_tensor *args[3 * MANY], *dx[MANY] = {NULL}, *results[MANY];
    int n_out = forward->n_results, n = 0;
    for (int i = 0; i < n_in + 2 * n_out; i++)
        args[i] = i < n_in ? in[i] : forward->result[(i - n_in) % n_out];
    gr__region *r = *region = gr__region_begin(in[0]->node->tape, n_in + 2 * n_out, args);
    if (!r)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    r->tape->phase = GR_PHASE_BACKWARD;
    gr_tensor *own[3 * MANY];
    for (int i = 0; i < n_in + 2 * n_out; i++)
        own[i] = r->param[i];
    gr_custom_vjp v = {f->ctx, r->tape, n_in, n_out, own, own + n_in, own + n_in + n_out, dx};
    GR_TRY(f->backward(&v));
    for (int i = 0; i < n_in; i++)
        if (dx[i] && gr_dtype_is_float(in[i]->dtype)) {
            GR_TRY(check_given(at, who, i, in[i], dx[i]));
            *given |= (int64_t)((uint64_t)1 << i);
            results[n++] = dx[i];
        }
    if (n == 0)
        results[n++] = own[0]; /* a region has a result; `given` says that it is none of the gradients */
    if (!gr__region_end(r, n, results))
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    return check_closed(at, who, "backward", r, n_in + 2 * n_out);
}

gr_status gr_custom_gradient_at(
    gr_at at, const gr_custom *f, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const char *who = f && f->name ? f->name : "custom_gradient";
    gr_tape *t = NULL;
    gr__region *regions[2] = {NULL};
    gr_tensor *node = GR_BAD, *own[MANY];
    custom_attr attr = {.name = who};
    gr_status s = check_call(at, who, f && f->forward && f->backward, n_out, out);
    if (s == GR_OK)
        s = gr__find_tape(at, who, n_in, in, &t);
    for (int i = 0; s == GR_OK && i < n_in; i++)
        s = gr_status_of(own[i] = gr__capture(t, in[i]));
    if (s == GR_OK)
        s = trace(t, f->forward, f->ctx, n_in, own, n_out, &regions[0]);
    if (s == GR_OK)
        s = check_closed(at, who, "forward", regions[0], n_in);
    if (s == GR_OK)
        s = trace_backward(at, f, who, regions[0], n_in, own, &regions[1], &attr.given);
    if (s == GR_OK)
        s = gr_status_of(node = gr__region_node(at, &gr_op_custom_gradient, &attr, n_in, own, 2, regions));
    return gr__give(s, node, n_out, out);
}

/* A graph that was read from text may hold anything: region 1 must take and give what custom_vjp hands it. */
static bool backward_fits(const gr_vjp *v, const gr__node *n, uint64_t given)
{
    const gr__region *r = n->n_regions == 2 ? n->region[1] : NULL;
    if (!r || r->n_params != v->n_in + 2 * v->n_out || (v->n_in < MANY && given >> v->n_in))
        return false;
    for (int i = 0; i < r->n_params; i++) {
        const gr_tensor *like = i < v->n_in ? v->x[i] : v->y[(i - v->n_in) % v->n_out];
        if (r->param[i]->dtype != like->dtype || !gr_shape_equal(r->param[i]->shape, like->shape))
            return false;
    }
    int n_given = 0;
    for (int i = 0; i < v->n_in; i++)
        n_given += (int)(given >> i & 1);
    return r->n_results == (n_given ? n_given : 1);
}

static void custom_vjp(gr_vjp *v)
{
    const custom_attr *attr = v->attr;
    gr__node *n = v->node->node;
    gr_tensor *args[3 * MANY], *dx[MANY];
    if (!backward_fits(v, n, (uint64_t)attr->given)) {
        gr_fail(GR_EGRAD, n->at, "custom_gradient: expected a second region from inputs, results and gradients to dx");
        v->dx[0] = GR_BAD;
        return;
    }
    for (int i = 0; i < v->n_in; i++)
        args[i] = v->x[i];
    for (int i = 0; i < v->n_out; i++) {
        args[v->n_in + i] = v->y[i];
        args[v->n_in + v->n_out + i] = v->dy[i] ? v->dy[i] : gr__zeros_of(n->at, v->y[i]);
    }
    if (!attr->given)
        return;
    if (!gr__region_inline(n->tape, n->region[1], args, dx)) {
        v->dx[0] = GR_BAD;
        return;
    }
    for (int i = 0, k = 0; i < v->n_in; i++)
        if ((uint64_t)attr->given >> i & 1)
            v->dx[i] = dx[k++];
}

const gr_op gr_op_custom_gradient = {.abi = GR_ABI,
    .name = "custom_gradient",
    .doc = "a function with a gradient of the user's own",
    .n_in = -1,
    .traits = GR_REGION,
    .attrs = custom_fields,
    .attr_size = sizeof(custom_attr),
    .infer = infer_region,
    .vjp = custom_vjp};

/* Known by name to the text form. */
__attribute__((constructor)) static void register_ops(void)
{
    gr_op_register(&gr_op_checkpoint);
    gr_op_register(&gr_op_custom_gradient);
}

gr_status(gr_custom_gradient)(const gr_custom *f, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    return gr_custom_gradient_at((gr_at){0}, f, n_in, in, n_out, out);
}

gr_status(gr_checkpoint)(gr_body body, void *ctx, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    return gr_checkpoint_at((gr_at){0}, body, ctx, n_in, in, n_out, out);
}
