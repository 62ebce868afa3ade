/* compiler/verify.c: is the graph still one? Run after every pass in test builds (gr_program_opts.verify). */
#include "compiler/graph.h"

static gr_status node_is_sound(const gr__graph *g, const gr__node *n, const char *after)
{
    gr_dtype dtype[64], out_dtype[64] = {0};
    gr_shape shape[64], out_shape[64] = {0};
    for (int i = 0; i < n->n_in; i++) {
        const gr__node *from = n->in[i]->node;
        GR_CHECK(from->tape == g->tape && from->id < n->id && g->tape->node[from->id] == from, GR_ESTATE,
            "verify after %s: input %d of node %lld (%s) is not an earlier node of the graph", after, i,
            (long long)n->id, n->op->name);
        dtype[i] = n->in[i]->dtype;
        shape[i] = n->in[i]->shape;
    }
    if ((n->op->traits & (GR_LEAF | GR_REGION)) || !n->n_in)
        return GR_OK;
    gr_infer f = {n->op, n->attr, n->n_in, n->n_out, dtype, shape, out_dtype, out_shape};
    GR_TRY(n->op->infer(&f));
    for (int i = 0; i < n->n_out; i++)
        GR_CHECK(out_dtype[i] == n->out[i].dtype && gr_shape_equal(out_shape[i], n->out[i].shape), GR_ESTATE,
            "verify after %s: result %d of node %lld (%s) has not the type that its op infers", after, i,
            (long long)n->id, n->op->name);
    return GR_OK;
}

static gr_status belongs(const gr__graph *g, const gr_tensor *x, const char *what, const char *after)
{
    GR_CHECK(!gr__is_bad(x) && x->node->tape == g->tape && g->tape->node[x->node->id] == x->node, GR_ESTATE,
        "verify after %s: one of the %s is not of the graph", after, what);
    return GR_OK;
}

gr_status gr__graph_verify(const gr__graph *g, const char *after)
{
    for (int64_t id = 0; id < g->tape->n_nodes; id++) {
        GR_CHECK(g->tape->node[id]->id == id, GR_ESTATE, "verify after %s: node %lld says it is %lld", after,
            (long long)id, (long long)g->tape->node[id]->id);
        GR_TRY(node_is_sound(g, g->tape->node[id], after));
    }
    for (int i = 0; i < g->n_in; i++)
        GR_TRY(belongs(g, g->in[i], "inputs", after));
    for (int i = 0; i < g->n_out; i++)
        GR_TRY(belongs(g, g->out[i], "outputs", after));
    for (int i = 0; i < g->n_commit; i++) {
        GR_TRY(belongs(g, g->commit[i], "commits", after));
        for (int k = 0; k < i; k++)
            GR_CHECK(g->commit[i]->node->variable != g->commit[k]->node->variable, GR_ESTATE,
                "verify after %s: variable %s is committed twice", after, g->commit[i]->node->variable->path);
    }
    return GR_OK;
}
