/* compiler/buffers.c: which values lie in memory, and where commits go. An assignment is written straight into its
 * variable by the group that computes it if nobody needs the old value after that; else a copy at the end does it. */
#include "compiler/layout.h"

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
    if (p->node[id].data) {
        b.space = GR__CONSTANT;
        b.data = p->node[id].data;
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
        const gr_op *op = n->node->op;
        for (int i = p->group[n->group].opaque ? 0 : 1;
             i < n->node->n_out - op->n_kept && !(op->traits & GR_ON_DEMAND); i++)
            p->value[n->value + i].needed = true;
        for (int i = 0; i < n->node->n_in; i++) {
            gr__value *v = &p->value[gr__read_value(p, id, i)];
            if (p->node[v->node].group != n->group || v->root != p->node[v->node].value)
                v->needed = true; /* of a node in a group only result 0 may lie in scratch */
        }
    }
    for (int i = 0; i < p->graph->n_out; i++)
        p->value[gr__root(p, p->graph->out[i])].needed = true;
    for (int i = 0; i < p->graph->n_commit; i++)
        p->value[gr__root(p, p->graph->commit[i])].needed = true;
}

/* Where an assignment goes. Its target is as a rule the node that reads the variable. */
static int variable_buffer(gr__plan *p, const gr__node *assign)
{
    gr_variable *v = assign->variable;
    const int id = (int)assign->in[assign->n_in - 2]->node->id;
    if (p->node[id].node->variable == v && p->node[id].work == GR__LEAF)
        return p->value[p->node[id].value].buffer;
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffer[i].space == GR__VARIABLE && p->buffer[i].data == v)
            return i;
    return add_buffer(p, (gr__buffer){.space = GR__VARIABLE, .data = v, .bytes = v->bytes, .value = -1, .first = -1});
}

/* ---- partial results --------------------------------------------------------------------------------------------- */

static int64_t tiles_along(const gr__layout *l, int axes)
{
    int64_t n = axes & GR__ROWS ? (l->rows + l->tile_rows - 1) / l->tile_rows : 1;
    return axes & GR__COLS ? n * ((l->cols + l->tile_cols - 1) / l->tile_cols) : n;
}

/* A value of its own for the partial results of each sum that is cut: one whole result per tile along the axes. */
static gr_status partial_values(gr__plan *p, gr__group *g)
{
    if (g->opaque)
        return GR_OK;
    g->partial = gr__arena_alloc(&p->arena, g->n_nodes, sizeof *g->partial);
    if (!g->partial)
        return GR_EMEM;
    for (int i = 0; i < g->n_nodes; i++) {
        g->partial[i] = -1;
        if (!g->layout->partial[i])
            continue;
        int whole = p->node[g->node[i]].value;
        gr__value *v = &p->value[p->n_values];
        *v = p->value[whole];
        v->root = p->n_values;
        v->count *= tiles_along(g->layout, g->layout->reduced[i]) * gr__partial_size(&p->node[g->node[i]]);
        v->buffer = add_buffer(p, (gr__buffer){.space = GR__ARENA, .bytes = bytes_of(v), .value = whole, .first = -1});
        g->partial[i] = p->n_values++;
        p->value[whole].needed = true;
    }
    return GR_OK;
}

/* ---- assignments in place ---------------------------------------------------------------------------------------- */

typedef struct {
    gr__plan *p;
    int words;
    uint64_t *next; /* per group: bits of the groups that come right after it */
    int *stack;
    bool *seen;
    int *first_reader, *reader; /* per value: the nodes that read it */
    int n_fallible, *fallible;  /* groups that may fail */
} order;

static void put_after(order *o, int early, int late)
{
    o->next[(int64_t)early * o->words + late / 64] |= UINT64_C(1) << (late % 64);
}

static bool list_readers(order *o)
{
    const gr__plan *p = o->p;
    int64_t total = 0;
    o->first_reader = gr__alloc(p->n_values + 2, sizeof *o->first_reader);
    for (int id = 0; o->first_reader && id < p->n_nodes; id++)
        for (int i = 0; p->node[id].group >= 0 && i < p->node[id].node->n_in; i++, total++)
            o->first_reader[gr__read_value(p, id, i) + 2]++;
    o->reader = gr__alloc(total + 1, sizeof *o->reader);
    if (!o->first_reader || !o->reader)
        return false;
    for (int v = 0; v < p->n_values; v++)
        o->first_reader[v + 1] += o->first_reader[v];
    for (int id = 0; id < p->n_nodes; id++)
        for (int i = 0; p->node[id].group >= 0 && i < p->node[id].node->n_in; i++)
            o->reader[o->first_reader[gr__read_value(p, id, i) + 1]++] = id;
    return true;
}

static bool may_fail(const gr__plan *p, int group)
{
    const gr__group *g = &p->group[group];
    return g->opaque && gr__may_fail(&p->node[g->node[0]]);
}

static bool start_order(order *o)
{
    const gr__plan *p = o->p;
    o->words = (p->n_groups + 63) / 64;
    o->next = gr__alloc((int64_t)p->n_groups * o->words + 1, sizeof *o->next);
    o->stack = gr__alloc(p->n_groups + 1, sizeof *o->stack);
    o->seen = gr__alloc(p->n_groups + 1, sizeof *o->seen);
    o->fallible = gr__alloc(p->n_groups + 1, sizeof *o->fallible);
    if (!o->next || !o->stack || !o->seen || !o->fallible || !list_readers(o))
        return false;
    for (int k = 0; k < p->n_groups; k++)
        if (may_fail(p, k))
            o->fallible[o->n_fallible++] = k;
    for (int id = 0; id < p->n_nodes; id++) {
        const gr__pnode *n = &p->node[id];
        for (int i = 0; n->group >= 0 && i < n->node->n_in; i++) {
            int from = p->node[p->value[gr__read_value(p, id, i)].node].group;
            if (from >= 0 && from != n->group)
                put_after(o, from, n->group);
        }
    }
    return true;
}

/* Marks in `seen` the groups that come after g. */
static void find_later(order *o, int g)
{
    int depth = 0;
    for (int i = 0; i < o->p->n_groups; i++)
        o->seen[i] = false;
    for (o->stack[depth++] = g; depth;) {
        const uint64_t *row = &o->next[(int64_t)o->stack[--depth] * o->words];
        for (int w = 0; w < o->words; w++)
            for (uint64_t bits = row[w]; bits; bits &= bits - 1) {
                int k = w * 64 + __builtin_ctzll(bits);
                if (!o->seen[k])
                    o->stack[depth++] = k;
                o->seen[k] = true;
            }
    }
}

static int form_in(const gr__group *g, int node)
{
    int i = 0;
    while (g->node[i] != node)
        i++;
    return g->layout->form[i];
}

/* Is the old value read, in the group that overwrites it, element by element in the same tile? */
static bool reads_same_element(const gr__plan *p, int node, int value, const gr__group *g, int form)
{
    const gr__pnode *n = &p->node[node];
    if (n->work != GR__TILE || form_in(g, node) != form)
        return false;
    for (int i = 0; i < n->node->n_in; i++) {
        if (n->access[i].value != value)
            continue;
        gr__plane x = gr__plane_of(&n->access[i], gr__form_rows(g->layout, form), gr__form_cols(g->layout, form));
        int64_t row = !(form & GR__ROWS) ? 0 : form & GR__COLS ? g->layout->cols : 1;
        if (!x.plain || x.offset || x.row != row || x.col != (form & GR__COLS ? 1 : 0))
            return false;
    }
    return true;
}

static int cut_axes(const gr__layout *l)
{
    return (l->tile_rows < l->rows ? GR__ROWS : 0) | (l->tile_cols < l->cols ? GR__COLS : 0);
}

/* No reader of the old value may have to come after the group; nor anything that may still fail. A group of one task
 * stores last of all, so it may read the old value as it likes. */
static bool readers_allow(order *o, int leaf, int group, int form)
{
    const gr__plan *p = o->p;
    bool one_task = !cut_axes(p->group[group].layout);
    find_later(o, group);
    for (int k = 0; k < o->n_fallible; k++)
        if (o->seen[o->fallible[k]])
            return false;
    for (int k = leaf < 0 ? 0 : o->first_reader[leaf]; leaf >= 0 && k < o->first_reader[leaf + 1]; k++) {
        int id = o->reader[k], g = p->node[id].group;
        if (g == group ? !one_task && !reads_same_element(p, id, leaf, &p->group[g], form) : o->seen[g])
            return false;
    }
    return true;
}

static void settle(order *o, int leaf, int group)
{
    const gr__plan *p = o->p;
    for (int k = 0; k < o->n_fallible; k++)
        if (o->fallible[k] != group)
            put_after(o, o->fallible[k], group);
    for (int k = leaf < 0 ? 0 : o->first_reader[leaf]; leaf >= 0 && k < o->first_reader[leaf + 1]; k++)
        if (p->node[o->reader[k]].group != group)
            put_after(o, p->node[o->reader[k]].group, group);
}

static void assign_in_place(order *o, int i)
{
    gr__plan *p = o->p;
    const gr__node *commit = p->graph->commit[i]->node;
    int root = gr__root(p, p->graph->commit[i]), id = p->value[root].node, group = p->node[id].group;
    if (p->node[commit->id].work != GR__ASSIGN || group < 0 || p->group[group].opaque || p->value[root].buffer >= 0)
        return;
    const gr__layout *l = p->group[group].layout;
    if (l->kind == GR__EXAMPLE)
        return;
    int form = form_in(&p->group[group], id);
    int cut = cut_axes(l);
    if ((form & cut) != cut || p->value[root].dtype != (l->f64 ? GR_F64 : GR_F32) || p->node[id].work == GR__REDUCE)
        return;
    const int leaf = p->buffer[p->commit_buffer[i]].value;
    if (!readers_allow(o, leaf, group, form))
        return;
    settle(o, leaf, group);
    p->value[root].buffer = p->commit_buffer[i];
    p->commit_done[i] = true;
    p->in_place++;
}

static gr_status assignments(gr__plan *p)
{
    order o = {.p = p};
    bool good = start_order(&o);
    for (int i = 0; good && i < p->graph->n_commit; i++)
        assign_in_place(&o, i);
    gr__free(o.next);
    gr__free(o.stack);
    gr__free(o.seen);
    gr__free(o.fallible);
    gr__free(o.first_reader);
    gr__free(o.reader);
    return good ? GR_OK : GR_EMEM;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

gr_status gr__plan_buffers(gr__plan *p)
{
    const gr__graph *g = p->graph;
    p->buffer = gr__arena_alloc(&p->arena, p->n_values + p->n_nodes + 2 * g->n_commit + 1, sizeof *p->buffer);
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
        p->commit_buffer[i] = variable_buffer(p, g->commit[i]->node);
    for (int i = 0; i < g->n_out; i++)
        p->out_value[i] = gr__root(p, g->out[i]);
    if (!(p->off & GR_PASS_INPLACE))
        GR_TRY(assignments(p));
    for (int i = 0; i < p->n_groups; i++)
        GR_TRY(partial_values(p, &p->group[i]));
    int n = p->n_values;
    for (int v = 0; v < n; v++)
        if (p->value[v].needed && p->value[v].root == v && p->value[v].buffer < 0)
            p->value[v].buffer = add_buffer(
                p, (gr__buffer){.space = GR__ARENA, .bytes = bytes_of(&p->value[v]), .value = v, .first = -1});
    return GR_OK;
}
