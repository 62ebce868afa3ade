/* compiler/freeze.c: a graph whose variables never change again. Each becomes a copy of the graph's own; what depends
 * on these and on constants alone is computed now; and what can be taken into the weights of products is (absorb.h). */
#include "compiler/graph.h"
#include "core/size.h"
#include "ops/absorb.h"
#include <string.h>

enum { FREE_GROWTH = 1024 }; /* bytes that a computed weight may have more than what it is made of */

typedef struct {
    gr__graph *g;
    bool fold, absorb;
    gr_tape *tape;       /* the new one */
    int64_t *readers;    /* per node of the old tape */
    int64_t *readers_of; /* per node of the new tape: of the old node it stands for; 0: made here, with one */
    int64_t n, cap;
} state;

/* ---- the graph's own variables ----------------------------------------------------------------------------------- */

/* The read node of a new variable where n stood; zeros. */
static gr_tensor *own_variable(
    gr__graph *g, gr_tape *t, const gr__node *n, const char *path, gr_dtype dtype, gr_shape shape)
{
    gr_variable **more = gr__resize(g->own, g->n_own + 1, sizeof *more);
    if (!more)
        return GR_BAD;
    g->own = more;
    gr_variable *v = gr_variable_new(path, dtype, shape, false);
    if (!v)
        return GR_BAD;
    g->own[g->n_own++] = v;
    gr_tensor out = {.dtype = dtype, .shape = shape};
    gr__node like = {.op = &gr_op_variable,
        .n_out = 1,
        .out = &out,
        .scope = n->scope,
        .at = n->at,
        .phase = n->phase,
        .variable = v};
    return gr__node_build(t, &like, 0, NULL);
}

static bool is_own(const gr__graph *g, const gr_variable *v)
{
    for (int i = 0; i < g->n_own; i++)
        if (g->own[i] == v)
            return true;
    return false;
}

static void drop_unused(gr__graph *g)
{
    int kept = 0;
    for (int i = 0; i < g->n_own; i++) {
        bool used = false;
        for (int64_t id = 0; id < g->tape->n_nodes && !used; id++)
            used = g->tape->node[id]->variable == g->own[i];
        if (used)
            g->own[kept++] = g->own[i];
        else
            gr_variable_free(g->own[i]);
    }
    g->n_own = kept;
}

/* ---- what depends on weights alone ------------------------------------------------------------------------------- */

/* Not where it would take much more memory than its inputs: broadcasts are read in place. */
static bool computable(const gr__node *n, gr_tensor *const *in)
{
    int64_t bytes, given = FREE_GROWTH;
    if (n->n_in < 1 || n->n_out != 1 || n->n_regions || (n->op->traits & (GR_EFFECT | GR_RANDOM | GR_LEAF)) ||
        gr_shape_is_symbolic(n->out[0].shape) ||
        !gr__mul(gr_shape_size(n->out[0].shape), gr_dtype_size(n->out[0].dtype), &bytes))
        return false;
    for (int i = 0; i < n->n_in; i++) {
        if (!gr__is_weight(in[i]))
            return false;
        given += gr_shape_size(in[i]->shape) * gr_dtype_size(in[i]->dtype);
    }
    return bytes <= given;
}

static gr_tensor *copied(gr_tape *t, const gr__node *n, gr_tensor *const *in)
{
    gr_tensor *x = gr__node_copy(t, n, in);
    if (!gr__is_bad(x))
        x->node->origin = NULL;
    return x;
}

static gr_tensor *computed(state *s, const gr__node *n, gr_tensor *const *in)
{
    gr_tensor *x = copied(s->tape, n, in);
    if (gr__is_bad(x))
        return GR_BAD;
    bool clean = gr_error() == GR_OK;
    gr_array *value = gr_eval(x);
    if (!value) { /* an error of data belongs to the run, not to the compiler */
        bool data = gr_error() != GR_EMEM;
        if (clean && data)
            gr_error_clear();
        return data ? x : GR_BAD;
    }
    gr_tensor *y = own_variable(s->g, s->tape, n, n->op->name, x->dtype, x->shape);
    if (!gr__is_bad(y) && gr_variable_set(y->node->variable, value) != GR_OK)
        y = GR_BAD;
    gr_array_free(value);
    return y;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

static bool sole(void *user, const gr_tensor *x)
{
    const state *s = user;
    return x->node->id >= s->n || s->readers_of[x->node->id] <= 1;
}

static gr_tensor *new_weight(void *user, const gr__node *n, gr_dtype dtype, gr_shape shape)
{
    state *s = user;
    return own_variable(s->g, s->tape, n, "folded", dtype, shape);
}

static bool note_readers(state *s, const gr_tensor *x, int64_t readers)
{
    int64_t id = x->node->id;
    if (id >= s->cap) {
        int64_t cap = 2 * id + 64, *more = gr__resize(s->readers_of, cap, sizeof *more);
        if (!more)
            return false;
        s->readers_of = more;
        s->cap = cap;
    }
    for (; s->n <= id; s->n++)
        s->readers_of[s->n] = 0;
    s->readers_of[id] += readers; /* several old nodes may have become one */
    return true;
}

static gr__rewritten freeze(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    state *s = user;
    gr_tensor *x = NULL;
    s->tape = t;
    if (n->op == &gr_op_variable && !is_own(s->g, n->variable)) {
        x = own_variable(s->g, t, n, n->variable->path, n->variable->dtype, n->variable->shape);
        if (!gr__is_bad(x) && n->variable->bytes)
            memcpy(x->node->variable->data, n->variable->data, (size_t)n->variable->bytes);
    } else if (s->fold && computable(n, in)) {
        x = computed(s, n, in);
    } else if (s->absorb && n->n_out == 1 && n->n_in == 2) {
        x = gr__absorb(&(gr__absorber){t, sole, new_weight, s}, n, in);
    }
    if (!x)
        x = copied(t, n, in);
    if (gr__is_bad(x) || !note_readers(s, x, s->readers[n->id]))
        return GR__FAILED;
    for (int i = 0; i < n->n_out; i++)
        result[i] = gr_result(x, i);
    return GR__REPLACED;
}

static int64_t *count_readers(const gr__graph *g)
{
    int64_t *n = gr__alloc(g->tape->n_nodes + 1, sizeof *n);
    for (int64_t id = 0; n && id < g->tape->n_nodes; id++)
        for (int i = 0; i < g->tape->node[id]->n_in; i++)
            n[g->tape->node[id]->in[i]->node->id]++;
    for (int i = 0; n && i < g->n_out; i++)
        n[g->out[i]->node->id]++;
    return n;
}

gr_status gr__pass_freeze(gr__graph *g, bool fold, bool absorb)
{
    GR_CHECK(g->n_commit == 0, GR_EARG, "program: argument frozen: expected a tape that assigns nothing");
    GR_TRY(gr__graph_rebuild(g, NULL, NULL)); /* what nobody reads does not count as a reader */
    state s = {.g = g, .fold = fold, .absorb = absorb, .readers = count_readers(g)};
    gr_status status = s.readers ? gr__graph_rebuild(g, freeze, &s) : GR_EMEM;
    if (status == GR_OK)
        status = gr__graph_rebuild(g, NULL, NULL);
    if (status == GR_OK)
        drop_unused(g);
    gr__free(s.readers);
    gr__free(s.readers_of);
    return status;
}
