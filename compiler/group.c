/* compiler/group.c: which nodes run together; so far each alone, by its eval. */
#include "compiler/plan.h"

gr_status gr__plan_group(gr__plan *p)
{
    p->group = gr__arena_alloc(&p->arena, p->n_nodes + 1, sizeof *p->group);
    if (!p->group)
        return GR_EMEM;
    for (int id = 0; id < p->n_nodes; id++) {
        gr__pnode *n = &p->node[id];
        if (!n->live || n->work == GR__LEAF || n->work == GR__ALIAS || n->work == GR__ASSIGN)
            continue;
        gr__group *g = &p->group[p->n_groups];
        *g = (gr__group){.n_nodes = 1, .opaque = true};
        g->node = gr__arena_alloc(&p->arena, 1, sizeof *g->node);
        if (!g->node)
            return GR_EMEM;
        g->node[0] = id;
        n->group = p->n_groups++;
    }
    return GR_OK;
}
