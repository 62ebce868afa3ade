/* autograd/grad.c: the gradient as one more graph pass. See grad.h.
 *
 * Two sweeps over the recorded order, which is a topological one, so nothing recurses however deep the graph is:
 *   forward   which nodes depend on a wanted tensor?
 *   backward  from the last result down: add up what the consumers of a node contributed, give it to the op's vjp,
 * which records nodes for the gradients of the inputs Nodes recorded for a node take its place in the source, its
 * layer's scope, and it as origin. Zeros get no nodes. Read next: custom.c, where regions get their gradients. */
#include "autograd/grad.h"
#include "core/node.h"
#include "ops/elementwise.h"

enum { MANY = 64 }; /* inputs and results of a node */

/* What one consumer contributes to the gradient of a tensor; the list starts with the first consumer. */
typedef struct {
    gr_tensor *part;
    int64_t next; /* position in pass.link; 0 ends the list */
} link;

enum { WANTED = 1, BELOW = 2 }; /* a wanted tensor is among the node's results; among what its inputs depend on */

typedef struct {
    gr_tape *t;
    int64_t low, high; /* ids that can lie on a path, high excluded */
    uint8_t *flags;    /* per id - low */
    int64_t *first;    /* per id - low: position of the node's result 0 in head and sum */
    int64_t *head;     /* per result: its list of contributions */
    gr_tensor **sum;   /* per result: its gradient, once its node was visited; NULL is zero */
    link *link;        /* [0] is unused */
    int64_t n_links, cap_links;
} pass;

/* ---- what is recorded takes the place of the node it is the gradient of ------------------------------------------ */

typedef struct {
    gr__scope *scope;
    gr__phase phase;
    gr__node *origin;
    int64_t n_nodes;
} recording;

static recording record_for(gr_tape *t, gr__node *n)
{
    recording before = {t->scope, t->phase, t->origin, t->n_nodes};
    t->scope = n->scope;
    t->phase = GR_PHASE_BACKWARD;
    t->origin = n;
    return before;
}

static void record_end(gr_tape *t, recording before, const gr__node *n)
{
    for (int64_t id = before.n_nodes; id < t->n_nodes; id++)
        t->node[id]->at = n->at; /* the user's line, not the one in the op's vjp */
    t->scope = before.scope;
    t->phase = before.phase;
    t->origin = before.origin;
}

/* ---- the sweeps -------------------------------------------------------------------------------------------------- */

static void pass_free(pass *p)
{
    gr__free(p->flags);
    gr__free(p->first);
    gr__free(p->head);
    gr__free(p->sum);
    gr__free(p->link);
}

static bool pass_new(pass *p, gr_tape *t, int n_y, gr_tensor *const *y, gr_tensor *const *wrt, int n)
{
    *p = (pass){.t = t, .low = t->n_nodes, .n_links = 1};
    for (int i = 0; i < n_y; i++)
        p->high = y[i]->node->id >= p->high ? y[i]->node->id + 1 : p->high;
    for (int i = 0; i < n; i++)
        p->low = wrt[i]->node->id < p->low ? wrt[i]->node->id : p->low;
    if (p->low > p->high)
        p->low = p->high;
    int64_t nodes = p->high - p->low, results = 0;
    p->flags = gr__alloc(nodes, sizeof *p->flags);
    p->first = gr__alloc(nodes, sizeof *p->first);
    if (!p->flags || !p->first)
        return false;
    for (int64_t i = 0; i < nodes; i++) {
        p->first[i] = results;
        results += t->node[p->low + i]->n_out;
    }
    p->head = gr__alloc(results, sizeof *p->head);
    p->sum = gr__alloc(results, sizeof *p->sum);
    return p->head && p->sum;
}

static bool inside(const pass *p, const gr_tensor *x)
{
    return x->node->id >= p->low && x->node->id < p->high;
}

static void find_dependants(pass *p, gr_tensor *const *wrt, int n)
{
    for (int i = 0; i < n; i++)
        if (inside(p, wrt[i]))
            p->flags[wrt[i]->node->id - p->low] |= WANTED;
    for (int64_t id = p->low; id < p->high; id++) {
        const gr__node *node = p->t->node[id];
        if ((node->op->traits & (GR_NO_GRADIENT | GR_EITHER)) == GR_NO_GRADIENT)
            continue;
        for (int i = 0; i < node->n_in; i++)
            if (inside(p, node->in[i]) && p->flags[node->in[i]->node->id - p->low] &&
                gr_dtype_is_float(node->in[i]->dtype))
                p->flags[id - p->low] |= BELOW;
    }
}

static bool contribute(pass *p, const gr_tensor *x, gr_tensor *part)
{
    if (p->n_links >= p->cap_links) {
        int64_t cap = p->cap_links ? p->cap_links * 2 : 256;
        link *more = gr__resize(p->link, cap, sizeof *more);
        if (!more)
            return false;
        p->link = more;
        p->cap_links = cap;
    }
    int64_t *head = &p->head[p->first[x->node->id - p->low] + x->index];
    p->link[p->n_links] = (link){part, *head}; /* consumers come last first, so this ends with the first in front */
    *head = p->n_links++;
    return true;
}

/* The gradient of each result of node n: NULL where nothing contributed. False if none is left, or on failure. */
static bool add_up(pass *p, gr__node *n, gr_tensor **dy)
{
    bool any = false;
    for (int i = 0; i < n->n_out; i++) {
        int64_t k = p->first[n->id - p->low] + i;
        gr_tensor *sum = NULL;
        for (int64_t l = p->head[k]; l; l = p->link[l].next)
            sum = sum ? gr_add_at(n->at, sum, p->link[l].part) : p->link[l].part;
        dy[i] = p->sum[k] = sum;
        any = any || sum;
    }
    return any;
}

/* "x" if the op names its arguments, else "a", "b", ... */
static const char *argument(const gr_op *op, int i, char *buf, size_t size)
{
    if (op->in_names && i < op->n_in)
        return op->in_names[i];
    snprintf(buf, size, op->n_in == -1 || i > 25 ? "[%d]" : "%c", op->n_in == -1 || i > 25 ? i : 'a' + i);
    return buf;
}

static gr_status no_gradient(const pass *p, const gr__node *n)
{
    char name[16];
    int i = 0;
    while (i + 1 < n->n_in && !(inside(p, n->in[i]) && p->flags[n->in[i]->node->id - p->low]))
        i++;
    gr_op_fail(n->at, GR_EGRAD, n->op->name, argument(n->op, i, name, sizeof name), n->n_in < 8 ? n->n_in : 8, n->in,
        "expected an op with a gradient on the way from a wanted tensor to the loss, found one without (no .vjp); "
        "stop_gradient around it makes its gradient zero");
    return GR_EGRAD;
}

static gr_status check_dx(const gr__node *n, int i, const gr_tensor *dx)
{
    char name[16], want[200], got[200];
    const gr_tensor *x = n->in[i];
    if (gr__is_bad(dx)) {
        gr_fail_note("    in the gradient of %s", n->op->name);
        return gr_status_of(dx);
    }
    if (dx->dtype == x->dtype && gr_shape_equal(dx->shape, x->shape) && dx->node->tape == n->tape)
        return GR_OK;
    gr_op_fail(n->at, GR_EGRAD, n->op->name, argument(n->op, i, name, sizeof name), n->n_in < 8 ? n->n_in : 8, n->in,
        "expected its gradient (.vjp) to be %s on the same tape, found %s",
        gr_type_text(x->dtype, x->shape, want, sizeof want), gr_type_text(dx->dtype, dx->shape, got, sizeof got));
    return GR_EGRAD;
}

/* The gradient of a GR_EITHER node goes one of two ways. */
static gr_status pass_on(pass *p, const gr__node *n, gr_tensor *dy)
{
    const gr_tensor *way = n->in[0];
    for (int i = 1; i < n->n_in; i++)
        if (inside(p, n->in[i]) && p->flags[n->in[i]->node->id - p->low] & WANTED)
            way = n->in[1];
    bool counts = inside(p, way) && p->flags[way->node->id - p->low];
    return counts && !contribute(p, way, dy) ? GR_EMEM : GR_OK;
}

static gr_status call_vjp(pass *p, gr__node *n, gr_tensor **dy)
{
    gr_tensor *y[MANY], *dx[MANY] = {NULL};
    for (int i = 0; i < n->n_out; i++)
        y[i] = &n->out[i];
    gr_vjp v = {.node = &n->out[0],
        .attr = n->attr,
        .n_in = n->n_in,
        .n_out = n->n_out,
        .x = n->in,
        .y = y,
        .dy = dy,
        .dx = dx};
    if (n->op->traits & GR_EITHER)
        return pass_on(p, n, dy[0]);
    if (!n->op->vjp)
        return no_gradient(p, n);
    n->op->vjp(&v);
    for (int i = n->n_in - 1; i >= 0; i--) {
        gr_tensor *x = n->in[i];
        if (!dx[i] || !gr_dtype_is_float(x->dtype))
            continue;
        GR_TRY(check_dx(n, i, dx[i]));
        if (inside(p, x) && p->flags[x->node->id - p->low] && !contribute(p, x, dx[i]))
            return GR_EMEM;
    }
    return GR_OK;
}

static gr_status visit(pass *p, gr__node *n)
{
    gr_tensor *dy[MANY];
    gr_status s = GR_OK;
    recording before = record_for(p->t, n);
    bool any = add_up(p, n, dy);
    for (int i = 0; any && i < n->n_out && s == GR_OK; i++)
        if (dy[i])
            s = gr_status_of(dy[i]);
    if (s == GR_OK && any && p->flags[n->id - p->low] & BELOW)
        s = call_vjp(p, n, dy);
    record_end(p->t, before, n);
    return s;
}

static gr_status sweep(
    pass *p, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    find_dependants(p, wrt, n);
    for (int i = n_y - 1; i >= 0; i--)
        if (dy[i] && inside(p, y[i]) && !contribute(p, y[i], dy[i]))
            return GR_EMEM;
    for (int64_t id = p->high - 1; id >= p->low; id--)
        if (p->flags[id - p->low])
            GR_TRY(visit(p, p->t->node[id]));
    for (int i = 0; i < n; i++)
        grads[i] = inside(p, wrt[i]) ? p->sum[p->first[wrt[i]->node->id - p->low] + wrt[i]->index] : NULL;
    return GR_OK;
}

gr_status gr__grad_nodes(
    gr_tape *t, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    pass p;
    gr_status s = pass_new(&p, t, n_y, y, wrt, n) ? sweep(&p, n_y, y, dy, wrt, n, grads) : GR_EMEM;
    pass_free(&p);
    return s;
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

gr_tensor *gr__zeros_of(gr_at at, gr_tensor *x)
{
    gr_tensor *zero = gr_number_at(at, x->node->tape, x->dtype, 0);
    if (x->shape.rank == 0)
        return zero;
    /* never x, whatever it holds; and its shape may be symbolic */
    return gr_where_at(at, gr_number_at(at, x->node->tape, GR_BOOL, 0), x, zero);
}

static gr_status check_results(gr_at at, int n_y, gr_tensor *const *y, gr_tensor *const *dy)
{
    char want[200], got[200];
    if (n_y < 1 || !y || !dy)
        return gr_fail(GR_EARG, at, "grad: argument y: expected at least one result and its gradient, found %d", n_y);
    for (int i = 0; i < n_y; i++) {
        if (!y[i])
            return gr_fail(GR_EARG, at, "grad: argument y: expected a tensor, found NULL at [%d]", i);
        GR_TRY(gr_status_of(y[i]));
        if (dy[i])
            GR_TRY(gr_status_of(dy[i]));
        if (!gr_dtype_is_float(y[i]->dtype)) {
            gr_op_fail(at, GR_EDTYPE, "grad", n_y > 1 ? "y" : "loss", 1, &y[i], "expected a float, found %s",
                gr_dtype_name(y[i]->dtype));
            return GR_EDTYPE;
        }
        if (y[i]->node->tape != y[0]->node->tape || (dy[i] && dy[i]->node->tape != y[0]->node->tape))
            return gr_fail(GR_EARG, at,
                "grad: argument y: expected results and their gradients on one tape, found two tapes at [%d]", i);
        if (dy[i] && (dy[i]->dtype != y[i]->dtype || !gr_shape_equal(dy[i]->shape, y[i]->shape))) {
            gr_op_fail(at, GR_ESHAPE, "grad", "dy", 1, &y[i], "expected %s, the type of y[%d], found %s",
                gr_type_text(y[i]->dtype, y[i]->shape, want, sizeof want), i,
                gr_type_text(dy[i]->dtype, dy[i]->shape, got, sizeof got));
            return GR_ESHAPE;
        }
    }
    return GR_OK;
}

/* The wanted tensors as tensors of tape t: inside a region, an outer one is the parameter that stands for it. */
static gr_status check_wanted(gr_at at, gr_tape *t, gr_tensor *const *wrt, int n, gr_tensor **own)
{
    for (int i = 0; i < n; i++) {
        if (!wrt[i])
            return gr_fail(GR_EARG, at, "grad: argument wrt: expected a tensor, found NULL at [%d]", i);
        GR_TRY(gr_status_of(wrt[i]));
        if (!gr_dtype_is_float(wrt[i]->dtype)) {
            gr_op_fail(at, GR_EDTYPE, "grad", "wrt", 1, &wrt[i], "expected a float, found %s at [%d]",
                gr_dtype_name(wrt[i]->dtype), i);
            return GR_EDTYPE;
        }
        own[i] = gr__capture(t, wrt[i]);
        if (gr__is_bad(own[i]))
            return gr_fail(GR_EARG, at,
                "grad: argument wrt: expected a tensor of the loss's tape, found one of another at [%d]", i);
    }
    return GR_OK;
}

static gr_status grad(
    gr_at at, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    gr_tape *t = y[0]->node->tape;
    gr_tensor **own = gr__alloc(n, sizeof *own);
    gr_status s = own ? check_wanted(at, t, wrt, n, own) : GR_EMEM;
    if (s == GR_OK)
        s = gr__grad_nodes(t, n_y, y, dy, own, n, grads);
    gr__phase before = t->phase;
    t->phase = GR_PHASE_BACKWARD;
    for (int i = 0; i < n && s == GR_OK; i++) {
        if (!grads[i])
            grads[i] = gr__zeros_of(at, own[i]);
        s = gr_status_of(grads[i]);
    }
    t->phase = before;
    gr__free(own);
    return s;
}

static gr_status all_bad(gr_status s, int n, gr_tensor **grads)
{
    for (int i = 0; s != GR_OK && grads && i < n; i++)
        grads[i] = GR_BAD;
    return s;
}

gr_status gr_grad_with_at(
    gr_at at, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    if (n < 0 || (n > 0 && (!wrt || !grads)))
        return gr_fail(GR_EARG, at, "grad: argument wrt: expected tensors and room for their gradients, found NULL");
    gr_status s = check_results(at, n_y, y, dy);
    return all_bad(s == GR_OK ? grad(at, n_y, y, dy, wrt, n, grads) : s, n, grads);
}

static gr_tensor *one(gr_at at, gr_tensor *loss)
{
    gr_tape *t = loss->node->tape;
    gr__phase before = t->phase;
    t->phase = GR_PHASE_BACKWARD;
    gr_tensor *x = gr_number_at(at, t, loss->dtype, 1);
    t->phase = before;
    return x;
}

gr_status gr_grad_at(gr_at at, gr_tensor *loss, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    char type[200];
    gr_tensor *dy = NULL;
    if (!loss)
        return all_bad(gr_fail(GR_EARG, at, "grad: argument loss: expected a tensor, found NULL"), n, grads);
    if (!gr__is_bad(loss) && gr_dtype_is_float(loss->dtype)) {
        if (loss->shape.rank != 0) {
            gr_op_fail(at, GR_ESHAPE, "grad", "loss", 1, &loss,
                "expected a scalar (rank 0), found %s; take its mean or sum, or give its gradient to gr_grad_with",
                gr_type_text(loss->dtype, loss->shape, type, sizeof type));
            return all_bad(GR_ESHAPE, n, grads);
        }
        dy = one(at, loss);
    }
    return gr_grad_with_at(at, 1, &loss, &dy, wrt, n, grads);
}

gr_status(gr_grad)(gr_tensor *loss, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    return gr_grad_at((gr_at){0}, loss, wrt, n, grads);
}

gr_status(gr_grad_with)(
    int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads)
{
    return gr_grad_with_at((gr_at){0}, n_y, y, dy, wrt, n, grads);
}
