/* compiler/inline.c: regions become plain nodes, innermost last, round after round. A loop's becomes as many copies as
 * it has steps: what a step makes is then merged, grouped and planned like anything else, at the price of a compile
 * time that grows with their number.
 *
 * A region node that is a recomputed copy (clone) hands its number to everything it holds, else the copy would be
 * merged with what it recomputes. */
#include "compiler/graph.h"
#include "ops/ops_impl.h"

/* Region 0 of n with these arguments; results into out. */
static bool put_body(gr_tape *t, const gr__node *n, gr_tensor *const *args, gr_tensor **out)
{
    const gr__region *r = n->region[0];
    const gr_tape *body = r->tape;
    gr_tensor **map = gr__alloc(body->n_nodes + 1, sizeof *map); /* result 0 of each node's copy */
    bool good = map != NULL;
    for (int i = 0; good && i < r->n_params; i++)
        map[r->param[i]->node->id] = args[i];
    for (int64_t id = 0; good && id < body->n_nodes; id++) {
        gr__node like = *body->node[id];
        gr_tensor *own[64];
        if (like.op == &gr_op_param)
            continue;
        for (int i = 0; i < like.n_in; i++) {
            gr_tensor *x = map[like.in[i]->node->id];
            own[i] = like.in[i]->node->op == &gr_op_param ? x : gr_result(x, like.in[i]->index);
        }
        like.clone = n->clone ? n->clone : like.clone;
        like.phase = n->phase;
        like.origin = NULL;
        map[id] = gr__node_build(t, &like, like.n_in, own);
        good = !gr__is_bad(map[id]);
    }
    for (int i = 0; good && i < r->n_results; i++) {
        const gr_tensor *x = r->result[i];
        out[i] = x->node->op == &gr_op_param ? map[x->node->id] : gr_result(map[x->node->id], x->index);
    }
    gr__free(map);
    return good;
}

/* parts: of each result that has all steps, one a step */
static bool put_steps(
    gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **parts, gr_tensor **result)
{
    const gr__loop *l = gr__loop_of(n);
    const int n_carries = (int)l->n_carries, n_xs = (int)l->n_xs, n_results = n->region[0]->n_results;
    gr_tensor *args[64], *out[64];
    for (int i = 0; i < n->n_in; i++)
        args[i] = in[i];
    for (int64_t k = 0; k < l->steps; k++) {
        const int64_t step = l->reverse ? l->steps - 1 - k : k;
        for (int i = n_carries; i < n_carries + n_xs; i++)
            if (gr__is_bad(args[i] = gr__step_of(n->at, in[i], step)))
                return false;
        for (int i = 0; i < n_carries; i++)
            parts[(n_results + i) * l->steps + step] = args[i];
        if (!put_body(t, n, args, out))
            return false;
        for (int i = 0; i < n_results; i++)
            *(i < n_carries ? &args[i] : &parts[i * l->steps + step]) = out[i];
    }
    for (int i = 0; i < n_carries; i++)
        result[i] = args[i];
    for (int i = n_carries; i < n->n_out; i++)
        if (gr__is_bad(result[i] = gr__of_steps(n->at, l->steps, parts + i * l->steps)))
            return false;
    return true;
}

static bool put_loop(gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    gr__scope *scope = t->scope;
    const gr__phase phase = t->phase;
    int64_t all;
    gr_tensor **parts = gr__mul(n->n_out, gr__loop_of(n)->steps, &all) ? gr__alloc(all, sizeof *parts) : NULL;
    t->scope = gr__scope_copy(t, n->scope);
    t->phase = n->phase;
    const bool good = parts && t->scope && put_steps(t, n, in, parts, result);
    t->scope = scope;
    t->phase = phase;
    gr__free(parts);
    return good;
}

static gr__rewritten inline_region(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    (void)user;
    if (n->op->traits & GR_EITHER) { /* gradients have been taken */
        result[0] = in[0];
        return GR__REPLACED;
    }
    if (!n->n_regions)
        return GR__KEEP;
    return (gr__loop_of(n) ? put_loop : put_body)(t, n, in, result) ? GR__REPLACED : GR__FAILED;
}

static bool to_be_replaced(void *user, const gr__node *n)
{
    (void)user;
    return n->n_regions > 0 || (n->op->traits & GR_EITHER);
}

gr_status gr__pass_inline(gr__graph *g)
{
    while (gr__graph_any(g, to_be_replaced, NULL))
        GR_TRY(gr__graph_rewrite(g, inline_region, NULL));
    return GR_OK;
}
