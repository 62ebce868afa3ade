/* compiler/inline.c: regions become plain nodes, innermost last, round after round.
 *
 * A region node that is a recomputed copy (clone) hands its number to everything it holds, else the copy would be
 * merged with what it recomputes. */
#include "compiler/graph.h"

static gr__rewritten inline_region(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    if (!n->n_regions)
        return GR__COPY;
    const gr__region *r = n->region[0];
    const gr_tape *body = r->tape;
    gr_tensor **map = gr__alloc(body->n_nodes + 1, sizeof *map); /* result 0 of each node's copy */
    bool good = map != NULL;
    *(bool *)user = true;
    for (int i = 0; good && i < r->n_params; i++)
        map[r->param[i]->node->id] = in[i];
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
        result[i] = x->node->op == &gr_op_param ? map[x->node->id] : gr_result(map[x->node->id], x->index);
    }
    gr__free(map);
    return good ? GR__REPLACED : GR__FAILED;
}

gr_status gr__pass_inline(gr__graph *g)
{
    for (bool found = true; found;) {
        found = false;
        GR_TRY(gr__graph_rebuild(g, inline_region, &found));
    }
    return GR_OK;
}
