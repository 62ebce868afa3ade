/* compiler/graph.c: see graph.h. */
#include "compiler/graph.h"
#include <stdlib.h>

void gr__graph_free(gr__graph *g)
{
    gr_tape_free(g->tape);
    gr__free(g->commit);
    for (int i = 0; i < g->n_own; i++)
        gr_variable_free(g->own[i]);
    gr__free(g->own);
    *g = (gr__graph){0};
}

gr_tensor *gr__node_instead(
    gr_tape *t, const gr__node *n, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in)
{
    gr_tensor none[1] = {{.dtype = n->out[0].dtype, .shape = n->out[0].shape}};
    gr__node like = {.op = op,
        .attr = attr,
        .n_out = 1,
        .out = none,
        .tape = n->tape,
        .scope = n->scope,
        .at = n->at,
        .phase = n->phase,
        .clone = n->clone};
    return gr__node_build(t, &like, n_in, in);
}

static void mark(bool *live, const gr_tensor *x)
{
    live[x->node->id] = true;
}

/* Which nodes the outputs and commits depend on; inputs stay, they are the program's signature. */
static bool *find_live(const gr__graph *g)
{
    bool *live = gr__alloc(g->tape->n_nodes + 1, sizeof *live);
    if (!live)
        return NULL;
    for (int i = 0; i < g->n_in; i++)
        mark(live, g->in[i]);
    for (int i = 0; i < g->n_out; i++)
        mark(live, g->out[i]);
    for (int i = 0; i < g->n_commit; i++)
        mark(live, g->commit[i]);
    for (int64_t id = g->tape->n_nodes - 1; id >= 0; id--)
        for (int i = 0; live[id] && i < g->tape->node[id]->n_in; i++)
            mark(live, g->tape->node[id]->in[i]);
    return live;
}

typedef struct {
    gr_tensor ***of;    /* per old node: what its results have become; NULL: they are what they were */
    gr_tensor **result; /* of one node */
    gr__arena arena;
} node_map;

static gr_tensor *lookup(const node_map *m, const gr_tensor *x)
{
    gr_tensor **now = m->of[x->node->id];
    return now ? now[x->index] : &x->node->out[x->index];
}

/* Node n as the rewriting function wants it, on t: a copy if t is another tape than its own. */
static bool rewrite_node(node_map *m, gr_tape *t, const gr__node *n, gr__rewrite_fn f, void *user)
{
    gr_tensor *in[64];
    for (int i = 0; i < n->n_in; i++)
        in[i] = lookup(m, n->in[i]);
    t->phase = n->phase;
    gr__rewritten done = f ? f(user, t, n, in, m->result) : GR__KEEP;
    if (done == GR__FAILED)
        return false;
    if (done == GR__KEEP) {
        gr_tensor *x = t == n->tape ? gr__node_keep(t, n->id, in) : gr__node_copy(t, n, in);
        if (gr__is_bad(x))
            return false;
        x->node->origin = NULL; /* its tape may go before ours */
        if (x->node == n)
            return true;
        for (int i = 0; i < n->n_out; i++)
            m->result[i] = gr_result(x, i);
    }
    for (int i = 0; i < n->n_out; i++)
        if (gr__is_bad(m->result[i]))
            return false;
    m->of[n->id] = gr__arena_copy(&m->arena, m->result, n->n_out * (int64_t)sizeof *m->result);
    return m->of[n->id] != NULL;
}

/* Inputs, outputs and commits as they are now. */
static void adopt(gr__graph *g, const node_map *m)
{
    for (int i = 0; i < g->n_in; i++)
        g->in[i] = lookup(m, g->in[i]);
    for (int i = 0; i < g->n_out; i++)
        g->out[i] = lookup(m, g->out[i]);
    for (int i = 0; i < g->n_commit; i++)
        g->commit[i] = lookup(m, g->commit[i]);
}

static bool all_live(const gr_tape *t, const bool *live)
{
    for (int64_t id = 0; id < t->n_nodes; id++)
        if (!live[id])
            return false;
    return true;
}

/* What is live of the graph onto tape t, which may be its own. NULL: there was no memory for it. */
static gr_status rebuild(gr__graph *g, gr_tape *t, gr__rewrite_fn f, void *user)
{
    const int64_t n = g->tape->n_nodes;
    bool *live = find_live(g);
    node_map m = {.of = gr__alloc(n + 1, sizeof *m.of)};
    int most_results = 1;
    for (int64_t id = 0; id < n; id++)
        most_results = g->tape->node[id]->n_out > most_results ? g->tape->node[id]->n_out : most_results;
    m.result = gr__arena_alloc(&m.arena, most_results, sizeof *m.result);
    bool good = m.of && m.result && live && t, in_place = t == g->tape;
    if (good && in_place)
        gr__tape_rewrite(t);
    for (int64_t id = 0; good && id < n; id++)
        good = !live[id] || rewrite_node(&m, t, g->tape->node[id], f, user);
    if (good) {
        adopt(g, &m);
        if (in_place)
            gr__tape_rewritten(t);
        g->tape = t;
    }
    gr__free(live);
    gr__free(m.of);
    gr__arena_free(&m.arena);
    return good ? GR_OK : gr_error() != GR_OK ? gr_error() : GR_ESTATE;
}

gr_status gr__graph_rewrite(gr__graph *g, gr__rewrite_fn f, void *user)
{
    return rebuild(g, g->tape, f, user);
}

gr_status gr__graph_rebuild(gr__graph *g, gr__rewrite_fn f, void *user)
{
    gr_tape *old = g->tape;
    if (!f) {
        bool *live = find_live(g), clean = live && all_live(old, live);
        gr__free(live);
        if (clean || !live) /* there is nothing to leave out */
            return live ? GR_OK : GR_EMEM;
    }
    gr_tape *t = gr_tape_new();
    gr_status s = rebuild(g, t, f, user);
    gr_tape_free(s == GR_OK ? old : t);
    return s;
}

bool gr__graph_any(const gr__graph *g, bool (*is)(void *user, const gr__node *n), void *user)
{
    for (int64_t id = 0; id < g->tape->n_nodes; id++)
        if (is(user, g->tape->node[id]))
            return true;
    return false;
}

/* ---- the first copy ---------------------------------------------------------------------------------------------- */

/* An assignment that a later one to the same variable overrides is its value and no more. */
static gr__rewritten forget_overridden(
    void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    const bool *overridden = user;
    (void)t;
    if (n->op != &gr_op_assign || !overridden[n->id])
        return GR__KEEP;
    result[0] = in[1];
    return GR__REPLACED;
}

typedef struct {
    const gr_variable *variable;
    int64_t first, last; /* nodes that assign to it */
} assignment;

static int by_variable(const void *a, const void *b)
{
    const assignment *x = a, *y = b;
    if (x->variable != y->variable)
        return (uintptr_t)x->variable < (uintptr_t)y->variable ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_first(const void *a, const void *b)
{
    const assignment *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* One of each variable; those before its last are marked. */
static int64_t merge_assignments(assignment *list, int64_t n, bool *overridden)
{
    int64_t kept = 0;
    qsort(list, (size_t)n, sizeof *list, by_variable);
    for (int64_t i = 0; i < n; i++)
        if (kept && list[kept - 1].variable == list[i].variable) {
            overridden[list[kept - 1].last] = true;
            list[kept - 1].last = list[i].last;
        } else {
            list[kept++] = list[i];
        }
    qsort(list, (size_t)kept, sizeof *list, by_first);
    return kept;
}

/* The last assignment to each variable, in the order of the first ones. */
static gr_status find_commits(gr__graph *g, const gr_tape *t, bool *overridden)
{
    int64_t n = 0;
    for (int64_t id = 0; id < t->n_nodes; id++)
        n += gr__is_assign(t->node[id]);
    assignment *list = gr__alloc(n + 1, sizeof *list);
    g->commit = gr__alloc(n + 1, sizeof(gr_tensor *));
    n = 0;
    for (int64_t id = 0; list && id < t->n_nodes; id++)
        if (gr__is_assign(t->node[id]))
            list[n++] = (assignment){t->node[id]->variable, id, id};
    if (list && g->commit) {
        g->n_commit = (int)merge_assignments(list, n, overridden);
        for (int i = 0; i < g->n_commit; i++)
            g->commit[i] = &t->node[list[i].last]->out[0];
    }
    gr__free(list);
    return list && g->commit ? GR_OK : GR_EMEM;
}

gr_status gr__graph_trace(gr__graph *g, gr_tape *t, const gr_program_opts *opts)
{
    *g = (gr__graph){.tape = t};
    for (; g->n_in < GR_PROGRAM_MAX && opts->inputs[g->n_in]; g->n_in++)
        g->in[g->n_in] = opts->inputs[g->n_in];
    for (; g->n_out < GR_PROGRAM_MAX && opts->outputs[g->n_out]; g->n_out++)
        g->out[g->n_out] = opts->outputs[g->n_out];
    bool *overridden = gr__alloc(t->n_nodes + 1, sizeof *overridden);
    gr_status s = overridden ? find_commits(g, t, overridden) : GR_EMEM;
    bool *live = s == GR_OK ? find_live(g) : NULL;
    for (int64_t id = 0; live && id < t->n_nodes; id++) {
        const gr__node *n = t->node[id];
        bool given = n->op != &gr_op_input;
        for (int i = 0; i < g->n_in; i++)
            given = given || g->in[i]->node == n;
        if (live[id] && !given)
            s = gr_fail(GR_EARG, n->at, "program: argument inputs: input %s is needed but not among them", n->name);
    }
    gr__free(live);
    s = live ? s : GR_EMEM;
    gr_tape *own = s == GR_OK ? gr_tape_new() : NULL;
    if (s == GR_OK)
        s = rebuild(g, own, forget_overridden, overridden);
    gr__free(overridden);
    if (s != GR_OK) {
        gr_tape_free(own);
        g->tape = NULL; /* the caller's */
        gr__graph_free(g);
    }
    return s;
}
