/* core/region.c: sub-tapes with parameters and captures. See node.h.
 *
 * An op used inside a region may take a tensor of an enclosing tape: the region's tape then gains a parameter for it,
 * and the node that owns the region an input. Captures therefore need no declaring, and a finished region is closed. */
#include "core/node.h"
#include <string.h>

gr_tensor *gr__region_param(gr_tape *t, gr_dtype dtype, gr_shape shape, gr_tensor *captured, gr_at at)
{
    gr__region *r = t->region;
    if (r->n_params == t->cap_params) {
        int64_t more = t->cap_params ? t->cap_params * 2 : 8;
        gr_tensor **param = gr__resize(r->param, more, sizeof *param);
        if (!param)
            return GR_BAD;
        r->param = param;
        gr_tensor **outer = gr__resize(t->captured, more, sizeof *outer);
        if (!outer)
            return GR_BAD;
        t->captured = outer;
        t->cap_params = more;
    }
    gr_tensor out = {.dtype = dtype, .shape = shape};
    gr__node like = {.op = &gr_op_param, .n_out = 1, .out = &out, .scope = t->parent->scope, .at = at};
    gr_tensor *p = gr__node_build(t, &like, 0, NULL);
    if (gr__is_bad(p))
        return GR_BAD;
    t->captured[r->n_params] = captured;
    r->param[r->n_params++] = p;
    return p;
}

gr_tensor *gr__capture(gr_tape *t, gr_tensor *x)
{
    if (x->node->tape == t)
        return x;
    if (!t->parent)
        return GR_BAD; /* not an enclosing tape's tensor */
    gr_tensor *outer = gr__capture(t->parent, x);
    if (gr__is_bad(outer))
        return GR_BAD;
    if (outer->node->op == &gr_op_constant) /* cheaper to have again than to pass in */
        return gr__constant_bytes(outer->node->at, t, outer->dtype, outer->shape, outer->node->data);
    for (int i = 0; i < t->region->n_params; i++)
        if (t->captured[i] == outer)
            return t->region->param[i];
    return gr__region_param(t, outer->dtype, outer->shape, outer, outer->node->at);
}

gr__region *gr__region_begin(gr_tape *parent, int n_args, gr_tensor *const *args)
{
    gr__region *r = gr__alloc(1, sizeof *r);
    gr_tape *t = r ? gr_tape_new() : NULL;
    if (!t) {
        gr__free(r);
        return NULL;
    }
    r->tape = t;
    t->parent = parent;
    t->region = r;
    t->phase = parent->phase;
    t->scope = gr__scope_copy(t, parent->scope);  /* the body's nodes belong to the layer around it */
    if (!t->scope || !gr__tape_hold(parent, r)) { /* from here on the parent frees it, finished or not */
        gr_tape_free(t);
        gr__free(r);
        return NULL;
    }
    for (int i = 0; i < n_args; i++)
        if (gr__is_bad(args[i]) ||
            gr__is_bad(gr__region_param(t, args[i]->dtype, args[i]->shape, NULL, args[i]->node->at)))
            return NULL;
    return r;
}

bool gr__region_end(gr__region *r, int n_results, gr_tensor *const *results)
{
    if (n_results < 1 || !(r->result = gr__alloc(n_results, sizeof *r->result)))
        return false;
    for (int i = 0; i < n_results; i++) {
        if (gr_status_of(results[i]) != GR_OK)
            return false;
        r->result[i] = gr__capture(r->tape, results[i]); /* a result may be an outer tensor as it is */
        if (gr__is_bad(r->result[i]))
            return false;
    }
    r->n_results = n_results;
    return true;
}

const gr__loop *gr__loop_of(const gr__node *n)
{
    return n->op->traits & GR_LOOP ? n->attr : NULL;
}

gr_shape gr__step_shape(gr_shape s)
{
    gr_shape step = {.rank = s.rank - 1};
    memcpy(step.dim, s.dim + 1, (size_t)step.rank * sizeof *step.dim);
    return step;
}

static gr_shape of_all_steps(const gr__loop *l, gr_shape step)
{
    gr_shape all = {.rank = step.rank + 1, .dim = {l->steps}};
    memcpy(all.dim + 1, step.dim, (size_t)step.rank * sizeof *all.dim);
    return all;
}

bool gr__loop_fits(const gr__loop *l, int n_in, gr_tensor *const *in, const gr__region *r)
{
    if (l->steps < 1 || l->n_carries < 0 || l->n_carries > r->n_results || l->n_xs < 0 || l->n_xs > n_in ||
        l->n_carries + l->n_xs > n_in || r->n_params != n_in)
        return false;
    for (int i = 0; i < n_in; i++) {
        const bool is_x = i >= l->n_carries && i < l->n_carries + l->n_xs;
        if (is_x && (in[i]->shape.rank < 1 || in[i]->shape.dim[0] != l->steps))
            return false;
        if (r->param[i]->dtype != in[i]->dtype ||
            !gr_shape_equal(r->param[i]->shape, is_x ? gr__step_shape(in[i]->shape) : in[i]->shape))
            return false;
    }
    for (int i = 0; i < r->n_results; i++)
        if (r->result[i]->shape.rank == GR_MAX_RANK ||
            (i < l->n_carries && (r->result[i]->dtype != in[i]->dtype ||
                                     !gr_shape_equal(r->result[i]->shape, in[i]->shape))))
            return false;
    return true;
}

gr_tensor *gr__region_node(gr_at at, const gr_op *op, const void *attr, int n_args, gr_tensor *const *args,
    int n_regions, gr__region *const *regions)
{
    enum { MANY = 64 };
    gr_tensor *in[MANY], out[MANY];
    const gr__region *r = regions[0];
    gr_tape *t = r->tape->parent;
    const gr__loop *loop = op->traits & GR_LOOP ? attr : NULL;
    const int n_out = r->n_results + (loop ? (int)loop->n_carries : 0);
    if (r->n_params > MANY || n_out > MANY || n_args > r->n_params)
        return gr_op_fail(at, GR_EARG, op->name, "inputs", 0, NULL,
            "expected at most %d inputs (captures too), found %d", (int)MANY, r->n_params);
    for (int i = 0; i < r->n_params; i++) {
        gr_tensor *x = i < n_args ? args[i] : r->tape->captured[i];
        in[i] = gr__is_bad(x) ? GR_BAD : gr__capture(t, x);
    }
    for (int i = 0; i < n_out; i++) {
        const gr_tensor *x = r->result[i < r->n_results ? i : i - r->n_results];
        const bool all = loop && i >= loop->n_carries;
        out[i] = (gr_tensor){.dtype = x->dtype, .shape = all ? of_all_steps(loop, x->shape) : x->shape};
        if (all && gr_shape_size(out[i].shape) == -1 && gr_shape_size(x->shape) >= 0)
            return gr_op_fail(at, GR_ESHAPE, op->name, "steps", 0, NULL,
                "expected results of all steps that fit in 63 bits, found %lld steps", (long long)loop->steps);
    }
    gr__node like = {.op = op,
        .attr = attr,
        .n_out = n_out,
        .out = out,
        .scope = t->scope,
        .at = at,
        .phase = t->phase,
        .origin = t->origin,
        .clone = t->clone,
        .n_regions = n_regions,
        .region = (gr__region **)regions};
    return gr__node_build(t, &like, r->n_params, in);
}

bool gr__region_inline(gr_tape *t, const gr__region *r, gr_tensor *const *args, gr_tensor **out)
{
    const gr_tape *body = r->tape;
    gr_tensor **map = gr__alloc(body->n_nodes, sizeof *map); /* result 0 of each node's copy */
    gr_tensor *in[64];
    bool good = map != NULL;
    for (int i = 0; good && i < r->n_params; i++)
        map[r->param[i]->node->id] = args[i];
    for (int64_t id = 0; good && id < body->n_nodes; id++) {
        const gr__node *n = body->node[id];
        if (n->op == &gr_op_param)
            continue;
        for (int i = 0; i < n->n_in; i++) {
            gr_tensor *x = map[n->in[i]->node->id];
            in[i] = n->in[i]->node->op == &gr_op_param ? x : gr_result(x, n->in[i]->index);
        }
        map[id] = gr__node_copy(t, n, in);
        good = !gr__is_bad(map[id]);
    }
    for (int i = 0; good && i < r->n_results; i++) {
        const gr_tensor *x = r->result[i];
        out[i] = x->node->op == &gr_op_param ? map[x->node->id] : gr_result(map[x->node->id], x->index);
        good = !gr__is_bad(out[i]);
    }
    gr__free(map);
    return good;
}
