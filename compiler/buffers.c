/* compiler/buffers.c: which values lie in memory, and where commits go. An assignment is written straight into its
 * variable by the group that computes it if nobody needs the old value after that; else a copy at the end does it. */
#include "compiler/plan.h"

static int add_buffer(gr__plan *p, gr__buffer b)
{
    p->buffer[p->n_buffers] = b;
    return p->n_buffers++;
}

static int64_t bytes_of(const gr__value *v)
{
    return v->count * gr_dtype_size(v->dtype);
}

static void leaf_buffer(gr__plan *p, int id)
{
    const gr__node *n = p->node[id].node;
    gr__value *v = &p->value[p->node[id].value];
    gr__buffer b = {.bytes = bytes_of(v), .value = p->node[id].value, .first = -1};
    if (n->op == &gr_op_constant) {
        b.space = GR__CONSTANT;
        b.data = n->data;
    } else if (n->variable) {
        b.space = GR__VARIABLE;
        b.data = n->variable;
    } else {
        b.space = GR__INPUT;
        for (int i = 0; i < p->graph->n_in; i++)
            if (p->graph->in[i]->node == n)
                b.index = i;
    }
    v->buffer = add_buffer(p, b);
}

/* Marks what must be in memory: read by another group, by eval, or from outside. */
static void mark_needed(gr__plan *p)
{
    for (int id = 0; id < p->n_nodes; id++) {
        const gr__pnode *n = &p->node[id];
        if (n->group < 0)
            continue;
        if (p->group[n->group].opaque)
            for (int i = 0; i < n->node->n_out; i++)
                p->value[n->value + i].needed = true;
        for (int i = 0; i < n->node->n_in; i++) {
            gr__value *v = &p->value[n->work == GR__CONTRACT ? n->operand[i] : gr__operand(p, id, i).value];
            if (p->node[v->node].group != n->group || n->work == GR__CONTRACT)
                v->needed = true;
        }
    }
    for (int i = 0; i < p->graph->n_out; i++)
        p->value[gr__root(p, p->graph->out[i])].needed = true;
    for (int i = 0; i < p->graph->n_commit; i++)
        p->value[gr__root(p, p->graph->commit[i])].needed = true;
}

static int variable_buffer(gr__plan *p, gr_variable *v)
{
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffer[i].space == GR__VARIABLE && p->buffer[i].data == v)
            return i;
    return add_buffer(p, (gr__buffer){.space = GR__VARIABLE, .data = v, .bytes = v->bytes, .first = -1});
}

gr_status gr__plan_buffers(gr__plan *p)
{
    const gr__graph *g = p->graph;
    p->buffer = gr__arena_alloc(&p->arena, p->n_values + 2 * g->n_commit + 1, sizeof *p->buffer);
    p->commit_buffer = gr__arena_alloc(&p->arena, g->n_commit + 1, sizeof *p->commit_buffer);
    p->commit_done = gr__arena_alloc(&p->arena, g->n_commit + 1, sizeof *p->commit_done);
    p->out_value = gr__arena_alloc(&p->arena, g->n_out + 1, sizeof *p->out_value);
    if (!p->buffer || !p->commit_buffer || !p->commit_done || !p->out_value)
        return GR_EMEM;
    mark_needed(p);
    for (int id = 0; id < p->n_nodes; id++)
        if (p->node[id].work == GR__LEAF)
            leaf_buffer(p, id);
    for (int i = 0; i < g->n_commit; i++)
        p->commit_buffer[i] = variable_buffer(p, g->commit[i]->node->variable);
    for (int i = 0; i < g->n_out; i++)
        p->out_value[i] = gr__root(p, g->out[i]);
    for (int v = 0; v < p->n_values; v++)
        if (p->value[v].needed && p->value[v].root == v && p->value[v].buffer < 0)
            p->value[v].buffer =
                add_buffer(p, (gr__buffer){.space = GR__ARENA, .bytes = bytes_of(&p->value[v]), .value = v, .first = -1});
    return GR_OK;
}
