/* compiler/remat.c: rematerialization, or what the backward pass computes again instead of having it kept.
 *
 * A forward value that the backward pass reads lives through most of the step. If it follows by a few elementwise ops
 * from values that are kept anyway, the backward pass gets a copy (clone) of those ops, which its grouping then fuses
 * with what reads it. The copy is the same ops on the same operands, so the bits are the same. The rule:
 *
 *     a value is computed again if it has at least LEAST_BYTES, and all that is read for it has hardly more bytes than
 *     it has itself (so that no traffic is added), and it takes at most MOST_NODES ops and MOST_FLOPS an element.
 *
 * Variables, inputs, constants, small values, and what the backward pass reads and is not computed again may be read.
 * Values are judged in their order: each can rely on the verdicts on those before it. Sizes are those at BATCH. */
#include "compiler/graph.h"
#include "core/size.h"

enum {
    BATCH = 32,
    LEAST_BYTES = 256 << 10, /* less stays in the caches for long */
    SMALL = 16,              /* an operand of this part of the value may be kept for it */
    MOST_NODES = 16,         /* of a cone, operands included */
    MOST_FLOPS = 32,
    DEAR_FLOPS = 20, /* of a transcendental function */
};

typedef enum { NOT_READ, KEPT, AGAIN } verdict;

typedef struct {
    gr__graph *g;
    int64_t least;
    unsigned char *verdict; /* per old node, of its result 0 */
    gr_tensor **now;        /* what that has become */
    gr_tensor **clone;      /* the copy of an AGAIN that the backward pass reads; NULL until it does */
} state;

/* A value with all that is computed again for it, and what is read for that. */
typedef struct {
    const gr_tensor *of;
    int n, flops;
    int64_t bytes, read;
    const gr__node *node[MOST_NODES];
    bool computed[MOST_NODES];
} cone;

static int64_t bytes_of(const gr_tensor *x)
{
    gr_shape s;
    int64_t count = gr_shape_bind(x->shape, BATCH, &s) ? gr_shape_size(s) : -1, bytes;
    return count >= 0 && gr__mul(count, gr_dtype_size(x->dtype), &bytes) ? bytes : INT64_MAX;
}

static gr_lower_kind kind_of(const gr__node *n)
{
    gr_dtype dtype[GR_TILE_INPUTS];
    gr_shape shape[GR_TILE_INPUTS];
    gr_lowering l = {.op = n->op, .attr = n->attr, .n_in = n->n_in, .dtype = dtype, .shape = shape};
    bool good = n->op->lower && n->n_out == 1 && n->n_in >= 1 && n->n_in <= GR_TILE_INPUTS &&
                gr_shape_bind(n->out[0].shape, BATCH, &l.out_shape);
    for (int i = 0; good && i < n->n_in; i++) {
        dtype[i] = n->in[i]->dtype;
        good = gr_shape_bind(n->in[i]->shape, BATCH, &shape[i]);
    }
    l.out_dtype = n->out[0].dtype;
    if (good)
        n->op->lower(&l);
    return l.kind;
}

static bool is_forward(const gr__node *n)
{
    return n->phase == GR_PHASE_FORWARD && !n->clone;
}

/* The value whose elements x has. */
static const gr_tensor *root(const gr_tensor *x)
{
    while (kind_of(x->node) == GR_LOWER_ALIAS)
        x = x->node->in[0];
    return x;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

static void find_read(state *s)
{
    for (int64_t id = 0; id < s->g->tape->n_nodes; id++) {
        const gr__node *n = s->g->tape->node[id];
        for (int i = 0; i < n->n_in && !is_forward(n); i++) {
            const gr_tensor *x = root(n->in[i]);
            if (x->index == 0 && is_forward(x->node) && !(x->node->op->traits & GR_LEAF))
                s->verdict[x->node->id] = KEPT;
        }
    }
}

static bool is_there(const state *s, const cone *c, const gr_tensor *x, int64_t bytes)
{
    const gr__node *n = x->node;
    return x != c->of &&
           ((n->op->traits & GR_LEAF) || (s->verdict[n->id] == KEPT && x->index == 0) || bytes <= c->bytes / SMALL);
}

/* Adds what it takes to have x once more. */
static bool grow(const state *s, cone *c, const gr_tensor *x)
{
    const gr__node *n = x->node;
    for (int i = 0; i < c->n; i++)
        if (c->node[i] == n)
            return true;
    if (c->n == MOST_NODES || !is_forward(n))
        return false;
    int64_t bytes = bytes_of(x);
    bool computed = !is_there(s, c, x, bytes);
    c->computed[c->n] = computed;
    c->node[c->n++] = n;
    if (!computed)
        return gr__add(c->read, bytes, &c->read) && c->read <= c->bytes + c->bytes / SMALL;
    gr_lower_kind kind = kind_of(n);
    if (kind != GR_LOWER_ALIAS && (kind != GR_LOWER_TILE || !(n->op->traits & GR_ELEMENTWISE)))
        return false;
    c->flops += kind == GR_LOWER_ALIAS ? 0 : n->op->traits & GR_EXPENSIVE ? DEAR_FLOPS : 1;
    for (int i = 0; i < n->n_in; i++)
        if (!grow(s, c, n->in[i]))
            return false;
    return c->flops <= MOST_FLOPS;
}

static bool judge(state *s)
{
    bool any = false;
    for (int64_t id = 0; id < s->g->tape->n_nodes; id++) {
        const gr__node *n = s->g->tape->node[id];
        cone c = {.of = &n->out[0], .bytes = bytes_of(&n->out[0])};
        if (s->verdict[id] != KEPT || c.bytes < s->least || !grow(s, &c, c.of))
            continue;
        for (int i = 0; i < c.n; i++)
            if (c.computed[i])
                s->verdict[c.node[i]->id] = AGAIN;
        any = true;
    }
    for (int64_t id = 0; id < s->g->tape->n_nodes; id++) { /* what has the elements of such a value */
        const gr__node *n = s->g->tape->node[id];
        if (is_forward(n) && kind_of(n) == GR_LOWER_ALIAS && s->verdict[n->in[0]->node->id] == AGAIN)
            s->verdict[id] = AGAIN;
    }
    return any;
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

/* x as the backward pass reads it; x as it was. */
static gr_tensor *read_late(state *s, gr_tape *t, const gr_tensor *x)
{
    const gr__node *n = x->node;
    gr_tensor *in[GR_TILE_INPUTS];
    if (s->verdict[n->id] != AGAIN)
        return gr_result(s->now[n->id], x->index);
    if (!s->clone[n->id]) {
        gr__node like = *n;
        for (int i = 0; i < n->n_in; i++)
            in[i] = read_late(s, t, n->in[i]);
        like.clone = GR__REMAT;
        like.phase = GR_PHASE_BACKWARD;
        like.origin = NULL;
        s->clone[n->id] = gr__node_build(t, &like, n->n_in, in);
    }
    return s->clone[n->id];
}

static gr__rewritten rewrite(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    state *s = user;
    gr_tensor *own[64];
    for (int i = 0; i < n->n_in; i++)
        own[i] = is_forward(n) ? in[i] : read_late(s, t, n->in[i]);
    gr_tensor *x = s->now[n->id] = gr__node_keep(t, n->id, own);
    if (gr__is_bad(x))
        return GR__FAILED;
    for (int i = 0; i < n->n_out; i++)
        result[i] = gr_result(x, i);
    return GR__REPLACED;
}

gr_status gr__pass_remat(gr__graph *g, bool small_too)
{
    int64_t n = g->tape->n_nodes + 1;
    state s = {
        .g = g,
        .least = small_too ? 0 : LEAST_BYTES,
    };
    s.verdict = gr__alloc(n, sizeof *s.verdict);
    s.now = gr__alloc(n, sizeof(gr_tensor *));
    s.clone = gr__alloc(n, sizeof(gr_tensor *));
    gr_status status = s.verdict && s.now && s.clone ? GR_OK : GR_EMEM;
    if (status == GR_OK) {
        find_read(&s);
        if (judge(&s))
            status = gr__graph_rewrite(g, rewrite, &s);
    }
    gr__free(s.verdict);
    gr__free(s.now);
    gr__free(s.clone);
    return status;
}
