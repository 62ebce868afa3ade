/* compiler/group.c: which nodes run together.
 *
 * Every node starts alone. Each edge from a producer to a consumer is worth the memory traffic that merging its ends
 * would save; the most valuable edges are tried first, round after round while something changes. A merge must leave
 * the groups free of circles (L1) and the merged nodes must have a layout (layout.c, L2 to L7). Opaque nodes stay
 * alone. GRAPE_WHY=1 tells for each edge between groups which rule refused it. */
#include "compiler/layout.h"
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 10 };

typedef struct {
    int from, to; /* nodes */
    double gain;  /* bytes */
    const char *why;
} edge;

typedef struct {
    int n, *node;
    int low, high; /* smallest and largest node */
    gr__layout *layout;
} draft;

typedef struct {
    gr__plan *p;
    int *of;                    /* per node: its draft, named by one of its nodes; -1 */
    draft *group;               /* by that name */
    int *first_reader, *reader; /* per node: nodes that read any of its results */
    int *seen, stamp;           /* per draft: visited in this search */
    int *stack;
    edge *edges;
    int n_edges;
} state;

static bool groupable(const gr__pnode *n)
{
    return n->live && (n->work == GR__TILE || n->work == GR__VIEW || n->work == GR__REDUCE || n->work == GR__CONTRACT);
}

static bool computed(const gr__pnode *n)
{
    return groupable(n) || (n->live && n->work == GR__OPAQUE);
}

static int operand_node(const gr__plan *p, int id, int i)
{
    return p->value[gr__read_value(p, id, i)].node;
}

/* ---- readers and edges ------------------------------------------------------------------------------------------- */

static bool find_readers(state *s)
{
    const gr__plan *p = s->p;
    int64_t total = 0;
    s->first_reader = gr__alloc(p->n_nodes + 2, sizeof *s->first_reader);
    for (int id = 0; s->first_reader && id < p->n_nodes; id++)
        for (int i = 0; computed(&p->node[id]) && i < p->node[id].node->n_in; i++) {
            s->first_reader[operand_node(p, id, i) + 2]++;
            total++;
        }
    s->reader = gr__alloc(total + 1, sizeof *s->reader);
    if (!s->first_reader || !s->reader)
        return false;
    for (int id = 0; id < p->n_nodes; id++)
        s->first_reader[id + 1] += s->first_reader[id];
    for (int id = 0; id < p->n_nodes; id++)
        for (int i = 0; computed(&p->node[id]) && i < p->node[id].node->n_in; i++)
            s->reader[s->first_reader[operand_node(p, id, i) + 1]++] = id;
    return true;
}

static bool read_outside(const gr__plan *p, int node)
{
    for (int i = 0; i < p->graph->n_out; i++)
        if (p->value[gr__root(p, p->graph->out[i])].node == node)
            return true;
    return false;
}

static int by_gain(const void *a, const void *b)
{
    const edge *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain < y->gain ? 1 : -1;
    if (x->to != y->to)
        return x->to - y->to;
    return x->from - y->from;
}

/* A value with one reader need not be stored once that reader is in its group: twice the gain. */
static bool find_edges(state *s)
{
    const gr__plan *p = s->p;
    s->edges = gr__alloc(s->first_reader[p->n_nodes] + 1, sizeof *s->edges);
    for (int id = 0; s->edges && id < p->n_nodes; id++) {
        int begin = s->first_reader[id], end = s->first_reader[id + 1];
        if (!groupable(&p->node[id]))
            continue;
        const gr__value *v = &p->value[p->node[id].value];
        bool once = end - begin == 1 && !read_outside(p, id);
        for (int k = begin; k < end; k++)
            if (groupable(&p->node[s->reader[k]]) && (k == begin || s->reader[k] != s->reader[k - 1]))
                s->edges[s->n_edges++] =
                    (edge){id, s->reader[k], (double)(v->count * gr_dtype_size(v->dtype)) * (once ? 2 : 1), NULL};
    }
    if (s->edges)
        qsort(s->edges, (size_t)s->n_edges, sizeof *s->edges, by_gain);
    return s->edges != NULL;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static int name_of(const gr__plan *p, const state *s, int node)
{
    return computed(&p->node[node]) ? s->of[node] : -1;
}

/* Is there a way from group a to group b through another group? Groups wholly past b's last node are not searched: ids
 * rise along every edge. */
static bool way_around(state *s, int a, int b)
{
    const gr__plan *p = s->p;
    int depth = 0;
    s->stamp++;
    s->stack[depth++] = a;
    s->seen[a] = s->stamp;
    while (depth) {
        int g = s->stack[--depth];
        const draft *d = &s->group[g];
        for (int i = 0; i < d->n; i++)
            for (int k = s->first_reader[d->node[i]]; k < s->first_reader[d->node[i] + 1]; k++) {
                int next = name_of(p, s, s->reader[k]);
                if (next == b && g != a)
                    return true;
                if (next < 0 || next == b || s->seen[next] == s->stamp)
                    continue;
                s->seen[next] = s->stamp;
                s->stack[depth++] = next;
            }
    }
    return false;
}

static int64_t domain(const draft *d)
{
    return d->layout->rows * d->layout->cols;
}

/* A small producer goes into a large consumer only if nobody else waits for it. */
static bool others_wait(const state *s, int a, int b)
{
    const draft *d = &s->group[a];
    if (domain(d) * 4 > domain(&s->group[b]))
        return false;
    for (int i = 0; i < d->n; i++)
        for (int k = s->first_reader[d->node[i]]; k < s->first_reader[d->node[i] + 1]; k++) {
            int g = name_of(s->p, s, s->reader[k]);
            if (g != a && g != b)
                return true;
        }
    return false;
}

static int merge_lists(const draft *a, const draft *b, int *out)
{
    int n = 0, i = 0, k = 0;
    while (i < a->n || k < b->n)
        out[n++] = k == b->n || (i < a->n && a->node[i] < b->node[k]) ? a->node[i++] : b->node[k++];
    return n;
}

static bool has_product(const state *s, const draft *d)
{
    for (int i = 0; i < d->n; i++)
        if (s->p->node[d->node[i]].work == GR__CONTRACT)
            return true;
    return false;
}

static gr_status try_edge(state *s, edge *e, bool *changed)
{
    int a = s->of[e->from], b = s->of[e->to], list[2 * GR__GROUP_NODES];
    draft *x = &s->group[a], *y = &s->group[b];
    gr__layout layout;
    if (a == b)
        return GR_OK;
    e->why = "L7: too many nodes for one group";
    if (x->n + y->n > GR__GROUP_NODES)
        return GR_OK;
    e->why = "the pass 'strips' is off";
    if ((s->p->off & GR_PASS_STRIPS) && (has_product(s, x) || has_product(s, y)))
        return GR_OK;
    e->why = "L4: a small value with other readers";
    if (others_wait(s, a, b))
        return GR_OK;
    int n = merge_lists(x, y, list);
    if (!gr__layout_of(s->p, n, list, &layout, &e->why))
        return GR_OK;
    e->why = "L1: the way leads through another group";
    if (way_around(s, a, b) || way_around(s, b, a))
        return GR_OK;
    int *node = gr__arena_copy(&s->p->arena, list, n * (int64_t)sizeof *list);
    if (!node)
        return GR_EMEM;
    *x->layout = layout;
    *x = (draft){n, node, x->low < y->low ? x->low : y->low, x->high > y->high ? x->high : y->high, x->layout};
    for (int i = 0; i < n; i++)
        s->of[node[i]] = a;
    y->n = 0;
    *changed = true;
    return GR_OK;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

static gr_status start_alone(state *s)
{
    gr__plan *p = s->p;
    for (int id = 0; id < p->n_nodes; id++) {
        const char *why;
        s->of[id] = -1;
        if (!computed(&p->node[id]))
            continue;
        draft *d = &s->group[id];
        *d = (draft){.n = 1, .node = gr__arena_copy(&p->arena, &id, sizeof id), .low = id, .high = id};
        s->of[id] = id;
        if (!d->node)
            return GR_EMEM;
        if (!groupable(&p->node[id]))
            continue;
        d->layout = gr__arena_alloc(&p->arena, 1, sizeof *d->layout);
        if (!d->layout)
            return GR_EMEM;
        if (!gr__layout_of(p, 1, d->node, d->layout, &why))
            return gr_fail(GR_ESTATE, p->node[id].node->at, "program: %s alone has no layout: %s",
                p->node[id].node->op->name, why);
    }
    return GR_OK;
}

static gr_status finish(state *s)
{
    gr__plan *p = s->p;
    p->group = gr__arena_alloc(&p->arena, p->n_nodes + 1, sizeof *p->group);
    if (!p->group)
        return GR_EMEM;
    for (int id = 0; id < p->n_nodes; id++) {
        const draft *d = &s->group[id];
        if (s->of[id] != id || !d->n)
            continue;
        for (int i = 0; i < d->n; i++)
            p->node[d->node[i]].group = p->n_groups;
        p->group[p->n_groups++] =
            (gr__group){.n_nodes = d->n, .node = d->node, .opaque = !d->layout, .step = -1, .layout = d->layout};
    }
    return GR_OK;
}

static void tell_why(const state *s)
{
    for (int i = 0; i < s->n_edges; i++) {
        const edge *e = &s->edges[i];
        const gr__node *a = s->p->node[e->from].node, *b = s->p->node[e->to].node;
        if (s->of[e->from] != s->of[e->to])
            gr_log_write(GR_LOG_INFO, "why: %s (node %lld, %s) and %s (node %lld, %s) stay apart: %s", a->op->name,
                (long long)a->id, a->scope->name, b->op->name, (long long)b->id, b->scope->name,
                e->why ? e->why : "the pass 'fuse' is off");
    }
}

gr_status gr__plan_group(gr__plan *p)
{
    state s = {.p = p};
    s.of = gr__alloc(p->n_nodes + 1, sizeof *s.of);
    s.group = gr__alloc(p->n_nodes + 1, sizeof *s.group);
    s.seen = gr__alloc(p->n_nodes + 1, sizeof *s.seen);
    s.stack = gr__alloc(p->n_nodes + 1, sizeof *s.stack);
    gr_status status = s.of && s.group && s.seen && s.stack ? start_alone(&s) : GR_EMEM;
    if (status == GR_OK && (!find_readers(&s) || !find_edges(&s)))
        status = GR_EMEM;
    bool changed = !(p->off & GR_PASS_FUSE);
    for (int round = 0; status == GR_OK && changed && round < ROUNDS; round++) {
        changed = false;
        for (int i = 0; status == GR_OK && i < s.n_edges; i++)
            status = try_edge(&s, &s.edges[i], &changed);
    }
    if (status == GR_OK)
        status = finish(&s);
    if (status == GR_OK && getenv("GRAPE_WHY"))
        tell_why(&s);
    gr__free(s.of);
    gr__free(s.group);
    gr__free(s.seen);
    gr__free(s.stack);
    gr__free(s.first_reader);
    gr__free(s.reader);
    gr__free(s.edges);
    return status;
}
