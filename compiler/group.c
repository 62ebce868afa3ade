/* compiler/group.c: which nodes run together.
 *
 * Every node starts alone. Each edge from a producer to a consumer is worth the memory traffic that merging its ends
 * would save; the most valuable edges are tried first, round after round while something changes. A merge must leave
 * the groups free of circles (L1) and the merged nodes must have a layout (layout.c, L2 to L7). Opaque nodes stay
 * alone. GRAPE_WHY=1 tells for each edge between groups which rule refused it. */
#include "compiler/layout.h"
#include "compiler/order.h"
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
    int version;    /* no two sets of nodes have the same */
    int64_t domain; /* elements */
} draft;

/* What became of two sets of nodes: the rule that refused them does so again, since a way around stays one. */
typedef struct {
    int a, b; /* versions */
    const char *why;
} refusal;

typedef struct {
    gr__plan *p;
    gr__order order;
    draft *group; /* by the group's name in `order` */
    int versions;
    int64_t merges, limit;
    edge *edges;
    int n_edges;
    refusal *refused; /* a later one may overwrite an earlier one: it would only be found again */
    unsigned mask;
} state;

static bool groupable(const gr__pnode *n)
{
    return n->live && (n->work == GR__TILE || n->work == GR__VIEW || n->work == GR__REDUCE || n->work == GR__CONTRACT ||
                          n->examples);
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

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

/* What a gradient reads of the forward pass, when it is kept for other parts of the gradient as well. */
static bool kept_anyway(const state *s, int from, int to)
{
    const gr__plan *p = s->p;
    if (p->node[from].node->phase != GR_PHASE_FORWARD || p->node[to].node->phase != GR_PHASE_BACKWARD)
        return false;
    for (int k = s->order.first_out[from]; k < s->order.first_out[from + 1]; k++)
        if (s->order.out[k] != to && p->node[s->order.out[k]].node->phase == GR_PHASE_BACKWARD)
            return true;
    return false;
}

static double bytes_of(const gr__plan *p, int id)
{
    const gr__value *v = &p->value[p->node[id].value];
    return (double)(v->count * gr_dtype_size(v->dtype));
}

/* What is computed again (a clone) for a product or an op that stays alone is made where its operand is read anyway,
 * which is then not needed any longer. */
static void find_sibling(state *s, int id)
{
    const gr__plan *p = s->p;
    const gr__order *o = &s->order;
    for (int i = o->first_in[id]; i < o->first_in[id + 1]; i++) {
        int from = o->in[i], k = o->first_out[from];
        while (k < o->first_out[from + 1] && (p->node[o->out[k]].node->clone || !groupable(&p->node[o->out[k]]) ||
                                                 p->node[o->out[k]].node->phase == GR_PHASE_FORWARD))
            k++;
        if (k < o->first_out[from + 1] && bytes_of(p, from) >= bytes_of(p, id))
            s->edges[s->n_edges++] = (edge){id, o->out[k], bytes_of(p, from), NULL};
    }
}

/* A value with one reader need not be stored once that reader is in its group: twice the gain. One that is kept anyway
 * is no reason to compute a part of the gradient early and to keep that too: hardly any gain. */
static bool find_edges(state *s)
{
    const gr__plan *p = s->p;
    const gr__order *o = &s->order;
    s->edges = gr__alloc(2 * (int64_t)o->first_out[p->n_nodes] + 1, sizeof *s->edges);
    for (int id = 0; s->edges && id < p->n_nodes; id++) {
        int begin = o->first_out[id], end = o->first_out[id + 1];
        if (!groupable(&p->node[id]))
            continue;
        bool once = end - begin == 1 && !read_outside(p, id);
        if (p->node[id].node->clone == GR__REMAT)
            find_sibling(s, id);
        for (int k = begin; k < end; k++)
            if (groupable(&p->node[o->out[k]]) && (k == begin || o->out[k] != o->out[k - 1])) {
                double bytes = bytes_of(p, id);
                double gain = once ? 2 * bytes : kept_anyway(s, id, o->out[k]) ? bytes / 64 : bytes;
                s->edges[s->n_edges++] = (edge){id, o->out[k], gain, NULL};
            }
    }
    if (s->edges)
        qsort(s->edges, (size_t)s->n_edges, sizeof *s->edges, by_gain);
    return s->edges != NULL;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* A small producer goes into a large consumer only if nobody else waits for it. */
static bool others_wait(const state *s, int a, int b)
{
    const draft *d = &s->group[a];
    if (d->domain * 4 > s->group[b].domain)
        return false;
    for (int i = 0; i < d->n; i++)
        for (int k = s->order.first_out[d->node[i]]; k < s->order.first_out[d->node[i] + 1]; k++) {
            int g = s->order.group[s->order.out[k]];
            if (g != a && g != b)
                return true;
        }
    return false;
}

static int merge_lists(const draft *a, const draft *b, int *out)
{
    int n = 0, i = 0, k = 0;
    while (i < a->n && k < b->n)
        out[n++] = a->node[i] < b->node[k] ? a->node[i++] : b->node[k++];
    while (i < a->n)
        out[n++] = a->node[i++];
    while (k < b->n)
        out[n++] = b->node[k++];
    return n;
}

static bool has_product(const state *s, const draft *d)
{
    for (int i = 0; i < d->n; i++)
        if (s->p->node[d->node[i]].work == GR__CONTRACT)
            return true;
    return false;
}

static refusal *find_refusal(const state *s, const draft *x, const draft *y)
{
    uint64_t key = ((uint64_t)x->version << 32 | (uint32_t)y->version) * UINT64_C(0x9E3779B97F4A7C15);
    return &s->refused[(key >> 32) & s->mask];
}

static void tell_last(const state *s, const edge *e)
{
    const gr__node *a = s->p->node[e->from].node, *b = s->p->node[e->to].node;
    gr_log_write(GR_LOG_INFO, "GRAPE_GROUP_LIMIT: merge %lld, the last, is of %s (node %lld) and %s (node %lld)",
        (long long)s->merges, a->op->name, (long long)a->id, b->op->name, (long long)b->id);
}

/* The forward pass has no use for what is computed again, which would then be kept after all. */
static bool too_early(const gr__plan *p, const edge *e)
{
    const gr__node *a = p->node[e->from].node, *b = p->node[e->to].node;
    return a->phase == GR_PHASE_FORWARD && !a->clone && b->clone;
}

/* Is what the edge carries an operand of a product? That comes from outside in any group. */
static bool feeds_product(const gr__plan *p, const edge *e)
{
    const gr__pnode *to = &p->node[e->to];
    return to->work == GR__CONTRACT &&
           (p->value[to->operand[0]].node == e->from || p->value[to->operand[1]].node == e->from);
}

static gr_status try_edge(state *s, edge *e, bool *changed)
{
    int a = s->order.group[e->from], b = s->order.group[e->to], list[2 * GR__GROUP_NODES];
    if (s->order.place[a] > s->order.place[b]) { /* siblings stand in any order */
        int first = b;
        b = a, a = first;
    }
    draft *x = &s->group[a], *y = &s->group[b];
    gr__layout layout;
    if (a == b)
        return GR_OK;
    e->why = "L2: a product's operand is made in the group";
    if (feeds_product(s->p, e))
        return GR_OK;
    e->why = "GRAPE_GROUP_LIMIT is reached";
    if (s->merges >= s->limit)
        return GR_OK;
    e->why = "L5: what is computed again would be kept";
    if (too_early(s->p, e))
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
    refusal *r = find_refusal(s, x, y);
    if (r->a == x->version && r->b == y->version) {
        e->why = r->why;
        return GR_OK;
    }
    int n = merge_lists(x, y, list);
    s->p->searched++;
    bool good = gr__layout_of(s->p, n, list, &layout, &e->why);
    if (good && !gr__order_merge(&s->order, a, b)) {
        e->why = "L1: the way leads through another group";
        good = false;
    }
    if (!good) {
        *r = (refusal){x->version, y->version, e->why};
        return GR_OK;
    }
    int *node = gr__arena_copy(&s->p->arena, list, n * (int64_t)sizeof *list);
    if (!node)
        return GR_EMEM;
    *x = (draft){n, node, ++s->versions, layout.rows * layout.cols};
    y->n = 0;
    *changed = true;
    if (++s->merges == s->limit)
        tell_last(s, e);
    return GR_OK;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

static int64_t domain_of(const gr__plan *p, int id)
{
    const gr__pnode *n = &p->node[id];
    gr__layout layout;
    const char *why;
    if (!n->examples)
        return p->value[n->work == GR__REDUCE ? n->access[0].value : n->value].count;
    gr__layout_of(p, 1, &id, &layout, &why);
    return layout.rows * layout.cols;
}

static gr_status start_alone(state *s)
{
    gr__plan *p = s->p;
    int *own = gr__arena_alloc(&p->arena, p->n_nodes, sizeof *own);
    for (int id = 0; own && id < p->n_nodes; id++) {
        own[id] = id;
        if (s->order.group[id] >= 0)
            s->group[id] = (draft){1, &own[id], ++s->versions, groupable(&p->node[id]) ? domain_of(p, id) : 0};
    }
    return own ? GR_OK : GR_EMEM;
}

static gr_status keep_domains(gr__plan *p, int n, gr__layout *l)
{
    if (l->kind == GR__EXAMPLE && !(l->own = gr__arena_copy(&p->arena, l->own, n * (int64_t)sizeof *l->own)))
        return GR_EMEM;
    return GR_OK;
}

static gr_status finish(state *s)
{
    gr__plan *p = s->p;
    int n = 0;
    for (int id = 0; id < p->n_nodes; id++)
        n += s->order.group[id] == id;
    p->group = gr__arena_alloc(&p->arena, n + 1, sizeof *p->group);
    if (!p->group)
        return GR_EMEM;
    for (int id = 0; id < p->n_nodes; id++) {
        const draft *d = &s->group[id];
        const char *why;
        if (s->order.group[id] != id)
            continue;
        for (int i = 0; i < d->n; i++)
            p->node[d->node[i]].group = p->n_groups;
        gr__group *g = &p->group[p->n_groups++];
        *g = (gr__group){.n_nodes = d->n, .node = d->node, .step = -1};
        const gr__pnode *only = d->n == 1 && p->node[id].work == GR__OPAQUE ? &p->node[id] : NULL;
        g->opaque = only && (!only->sums_examples || (p->off & GR_PASS_FUSE)); /* a sum is better cut by examples */
        if (g->opaque)
            continue;
        g->layout = gr__arena_alloc(&p->arena, 1, sizeof *g->layout);
        if (!g->layout)
            return GR_EMEM;
        if (gr__layout_of(p, d->n, d->node, g->layout, &why)) {
            GR_TRY(keep_domains(p, d->n, g->layout));
            continue;
        }
        if (!only)
            return gr_fail(GR_ESTATE, p->node[id].node->at, "program: %s alone has no layout: %s",
                p->node[id].node->op->name, why);
        g->opaque = true;
    }
    return GR_OK;
}

static void tell_why(const state *s)
{
    for (int i = 0; i < s->n_edges; i++) {
        const edge *e = &s->edges[i];
        const gr__node *a = s->p->node[e->from].node, *b = s->p->node[e->to].node;
        if (s->order.group[e->from] != s->order.group[e->to])
            gr_log_write(GR_LOG_INFO, "why: %s (node %lld, %s) and %s (node %lld, %s) stay apart: %s", a->op->name,
                (long long)a->id, a->scope->name, b->op->name, (long long)b->id, b->scope->name,
                e->why ? e->why : "the pass 'fuse' is off");
    }
}

static bool start(state *s)
{
    unsigned size = 1024;
    if (!gr__order_new(&s->order, s->p) || !find_edges(s))
        return false;
    while (size < (unsigned)s->n_edges)
        size *= 2;
    s->mask = size - 1;
    s->refused = gr__alloc(size, sizeof *s->refused);
    s->group = gr__alloc(s->p->n_nodes + 1, sizeof *s->group);
    return s->refused && s->group;
}

gr_status gr__plan_group(gr__plan *p)
{
    state s = {.p = p, .limit = gr__limit("GRAPE_GROUP_LIMIT")};
    gr_status status = start(&s) ? start_alone(&s) : GR_EMEM;
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
    p->searched += s.order.visits;
    gr__order_free(&s.order);
    gr__free(s.group);
    gr__free(s.edges);
    gr__free(s.refused);
    return status;
}
