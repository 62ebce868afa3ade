/* tests/fuzz_shrink.h: cuts a graph down while it still fails, and finds out whose fault it is. A smaller graph has an
 * output or an assignment less, an earlier output, an input in place of a node (with what the node evaluates to), or
 * shorter axes. Included after fuzz_graph.h; `agrees` is the judge. */
#ifndef GRAPE_TESTS_FUZZ_SHRINK_H
#define GRAPE_TESTS_FUZZ_SHRINK_H

#include "compiler/graph.h"
#include "core/text.h"
#include "tests/fuzz_graph.h"

/* Does the graph's program compute what evaluation does? If not, `why` says what differs. */
static bool agrees(graph *g);
static char why[600];

typedef struct {
    int no_output, no_assign; /* -1: none */
    int earlier, input;       /* output `earlier` becomes input `input` of its node */
    int64_t cut;              /* node that becomes an input; -1 */
    int64_t from, to;         /* axes of this length get that one; from 0: none, GR_BATCH: the batch */
    bool flat;                /* loops are written out, step by step */
    bool doubled;             /* float32 becomes float64, numbers and all; of loops only where they are written out */
} change;

/* ---- a changed copy ---------------------------------------------------------------------------------------------- */

static int64_t changed_length(const change *c, int64_t d)
{
    return c->from && d == c->from ? c->to : d;
}

static gr_shape changed_shape(const change *c, gr_shape s)
{
    for (int64_t i = 0; i < s.rank && c->from != GR_BATCH; i++)
        s.dim[i] = changed_length(c, s.dim[i]);
    return s;
}

/* The leading part of an array. */
static gr_array *leading(const gr_array *a, gr_shape to)
{
    gr_array *part = gr_array_share(a);
    for (int64_t i = 0; i < to.rank; i++) {
        gr_array *less = gr_array_slice(part, i, 0, to.dim[i], 1);
        gr_array_free(part);
        part = less;
    }
    gr_array *own = gr_array_copy(part);
    gr_array_free(part);
    return own;
}

static gr_dtype changed_type(const change *c, gr_dtype type)
{
    return c->doubled && type == GR_F32 ? GR_F64 : type;
}

static gr_tensor *put_input(graph *h, gr_dtype dtype, gr_shape shape, const gr_array *value)
{
    gr_shape bound;
    char name[16];
    if (h->n_inputs == INPUTS || !value || !gr_shape_bind(shape, h->batch, &bound))
        return GR_BAD;
    snprintf(name, sizeof name, "x%d", h->n_inputs);
    h->value[h->n_inputs] = leading(value, bound);
    gr_array_cast(h->value[h->n_inputs], dtype);
    return h->input[h->n_inputs++] = gr_input(h->tape, dtype, shape, name);
}

static gr_array *evaluated(const graph *g, gr_tensor *x)
{
    gr_binding bind[INPUTS];
    gr_array *value = NULL;
    for (int i = 0; i < g->n_inputs; i++)
        bind[i] = (gr_binding){g->input[i], g->value[i]};
    for (int i = 0; i < g->n_variables; i++)
        gr_variable_set(g->variable[i], g->start[i]);
    gr_eval_opts o = {.n_bindings = g->n_inputs, .bindings = bind};
    return gr_eval_with(1, &x, &value, &o) == GR_OK ? value : NULL;
}

typedef struct {
    const graph *g;
    graph *h;
    const change *c;
    bool *live;
    gr_tensor **of; /* per node: result 0 of its copy */
    gr_tensor *cut[8];
} copying;

static gr_tensor *copied(const copying *m, const gr_tensor *x)
{
    gr_tensor *y = m->of[x->node->id];
    return gr__is_bad(y) ? GR_BAD : m->c->cut == x->node->id ? m->cut[x->index] : gr_result(y, x->index);
}

/* A variable that is not assigned any more is an input. */
static gr_tensor *copy_variable(copying *m, const gr__node *n)
{
    int i = 0;
    while (m->g->variable[i] != n->variable)
        i++;
    gr_shape shape = changed_shape(m->c, n->out[0].shape);
    gr_dtype type = changed_type(m->c, n->out[0].dtype);
    if ((!m->g->assigned[i] || m->c->no_assign == i) && !m->g->frozen)
        return put_input(m->h, type, shape, m->g->start[i]);
    int k = m->h->n_variables++;
    m->h->variable[k] = gr_variable_new("v", type, shape, true);
    m->h->start[k] = leading(m->g->start[i], shape);
    gr_array_cast(m->h->start[k], type);
    return gr_read(m->h->tape, m->h->variable[k]);
}

static gr_tensor *copy_cut(copying *m, const gr__node *n)
{
    for (int i = 0; i < n->n_out; i++) {
        gr_array *value = i < 8 ? evaluated(m->g, &n->out[i]) : NULL;
        m->cut[i] = put_input(m->h, n->out[i].dtype, n->out[i].shape, value);
        gr_array_free(value);
        if (gr__is_bad(m->cut[i]))
            return GR_BAD;
    }
    return m->cut[0];
}

static gr_tensor *copy_constant(const copying *m, const gr__node *n)
{
    gr_shape shape = n->out[0].shape;
    if (changed_type(m->c, n->out[0].dtype) == n->out[0].dtype || gr_shape_is_symbolic(shape))
        return gr__node_copy(m->h->tape, n, NULL);
    gr_array *a = gr_array_from(n->out[0].dtype, shape, n->data);
    gr_array_cast(a, GR_F64);
    gr_tensor *x = gr_constant(m->h->tape, a);
    gr_array_free(a);
    return x;
}

static gr_tensor *copy_node(copying *m, const gr__node *n)
{
    gr_tensor *in[64];
    if (n->op == &gr_op_input) {
        int i = 0;
        while (m->g->input[i]->node != n)
            i++;
        return put_input(
            m->h, changed_type(m->c, n->out[0].dtype), changed_shape(m->c, n->out[0].shape), m->g->value[i]);
    }
    if (n->op == &gr_op_variable)
        return copy_variable(m, n);
    if (n->id == m->c->cut)
        return copy_cut(m, n);
    if (n->op == &gr_op_constant)
        return copy_constant(m, n);
    for (int i = 0; i < n->n_in; i++)
        if (gr__is_bad(in[i] = copied(m, n->in[i])))
            return GR_BAD;
    if (n->op->traits & GR_REGION) /* the body has types of its own */
        return m->c->doubled || (m->c->from && m->c->from != GR_BATCH) ? GR_BAD : gr__node_copy(m->h->tape, n, in);
    if (n->op != &gr_op_assign)
        return gr__apply_op_on(m->h->tape, n->at, n->op, n->attr, n->n_in, in);
    for (int i = 0; i < m->h->n_variables; i++)
        if (m->h->variable[i] == in[0]->node->variable)
            return m->h->assigned[i] = gr_assign(in[0], in[1]);
    return in[1];
}

static bool copy_graph(copying *m)
{
    const graph *g = m->g;
    graph *h = m->h;
    gr_tensor *output[OUTPUTS];
    for (int i = 0; i < g->n_outputs; i++) {
        output[i] = g->output[i];
        if (i == m->c->earlier)
            output[i] = output[i]->node->in[m->c->input];
        if (i != m->c->no_output)
            m->live[output[i]->node->id] = true;
    }
    for (int i = 0; i < g->n_variables; i++)
        if (g->assigned[i] && i != m->c->no_assign)
            m->live[g->assigned[i]->node->id] = true;
    for (int64_t id = g->tape->n_nodes - 1; id >= 0; id--)
        for (int i = 0; m->live[id] && id != m->c->cut && i < g->tape->node[id]->n_in; i++)
            m->live[g->tape->node[id]->in[i]->node->id] = true;
    for (int64_t id = 0; id < g->tape->n_nodes; id++)
        if (m->live[id] && gr__is_bad(m->of[id] = copy_node(m, g->tape->node[id])))
            return false;
    for (int i = 0; i < g->n_outputs; i++)
        if (i != m->c->no_output)
            h->output[h->n_outputs++] = copied(m, output[i]);
    return h->n_outputs > 0;
}

/* *flat is g on another tape, that of *whole, where regions are nodes as any others; numbers and variables are g's. */
static bool write_out(const graph *g, graph *flat, gr__graph *whole)
{
    gr_program_opts o = {0};
    memcpy(o.inputs, g->input, (size_t)g->n_inputs * sizeof *g->input);
    memcpy(o.outputs, g->output, (size_t)g->n_outputs * sizeof *g->output);
    if (gr__graph_trace(whole, g->tape, &o) != GR_OK || gr__pass_inline(whole) != GR_OK)
        return false;
    *flat = *g;
    flat->tape = whole->tape;
    memcpy(flat->input, whole->in, (size_t)g->n_inputs * sizeof *g->input);
    memcpy(flat->output, whole->out, (size_t)g->n_outputs * sizeof *g->output);
    for (int i = 0; i < g->n_variables; i++)
        for (int k = 0; g->assigned[i] && k < whole->n_commit; k++)
            if (whole->commit[k]->node->variable == g->variable[i])
                flat->assigned[i] = whole->commit[k];
    return true;
}

static bool changed_copy(const graph *g, const change *c, graph *h)
{
    gr__graph whole = {0};
    graph flat = *g;
    *h = (graph){.kind = g->kind, .tape = gr_tape_new(), .batch = g->batch, .off = g->off, .frozen = g->frozen};
    h->type = changed_type(c, g->type);
    if (c->from == GR_BATCH)
        h->batch = c->to;
    bool good = !c->flat || write_out(g, &flat, &whole);
    copying m = {.g = &flat, .h = h, .c = c};
    m.live = calloc((size_t)flat.tape->n_nodes + 1, sizeof *m.live);
    m.of = calloc((size_t)flat.tape->n_nodes + 1, sizeof *m.of);
    good = good && copy_graph(&m);
    gr_error_clear();
    free(m.live);
    free(m.of);
    gr__graph_free(&whole);
    return good;
}

/* ---- smaller and smaller ----------------------------------------------------------------------------------------- */

static const change nothing = {.no_output = -1, .no_assign = -1, .earlier = -1, .cut = -1};

/* Replaces *g by the changed copy if that still fails, and not in a way of its own: memory is one, numbers another. */
static bool still_fails(graph *g, change c)
{
    graph h;
    bool memory = strncmp(why, "arena", 5) == 0;
    if (!changed_copy(g, &c, &h) || agrees(&h) || memory != (strncmp(why, "arena", 5) == 0)) {
        forget(&h);
        return false;
    }
    forget(g);
    *g = h;
    return true;
}

static bool fewer_results(graph *g)
{
    bool smaller = false;
    for (int i = g->n_outputs - 1; i >= 0; i--) {
        change c = nothing;
        c.no_output = i;
        smaller = (g->n_outputs > 1 && still_fails(g, c)) || smaller;
    }
    for (int i = g->n_variables - 1; i >= 0; i--) {
        change c = nothing;
        c.no_assign = i;
        smaller = (g->assigned[i] && still_fails(g, c)) || smaller;
    }
    for (int i = 0; i < g->n_outputs; i++)
        for (int k = 0; k < g->output[i]->node->n_in; k++) {
            change c = nothing;
            c.earlier = i;
            c.input = k;
            if (still_fails(g, c))
                return true;
        }
    return smaller;
}

static bool fewer_nodes(graph *g)
{
    for (int64_t id = g->tape->n_nodes - 1; id >= 0; id--) {
        const gr__node *n = g->tape->node[id];
        change c = nothing;
        c.cut = id;
        if (n->n_in && n->op != &gr_op_assign && still_fails(g, c))
            return true;
    }
    return false;
}

static bool shorter(graph *g, int64_t length, int64_t from)
{
    const int64_t to[] = {1, 2, length / 2, length - 1};
    for (int i = 0; i < 4; i++) {
        change c = nothing;
        c.from = from;
        c.to = to[i];
        if (to[i] > 0 && to[i] < length && still_fails(g, c))
            return true;
    }
    return false;
}

static bool shorter_axes(graph *g)
{
    if (shorter(g, g->batch, GR_BATCH))
        return true;
    for (int i = 0; i < g->n_inputs; i++)
        for (int64_t d = 0; d < g->input[i]->shape.rank; d++)
            if (g->input[i]->shape.dim[d] > 1 && shorter(g, g->input[i]->shape.dim[d], g->input[i]->shape.dim[d]))
                return true;
    return false;
}

static bool has_regions(const graph *g)
{
    for (int64_t id = 0; id < g->tape->n_nodes; id++)
        if (g->tape->node[id]->n_regions)
            return true;
    return false;
}

/* Until nothing can be left out; `why` is then that of the smallest. */
static void shrink(graph *g)
{
    change c = nothing; /* what no output needs */
    still_fails(g, c);
    while (fewer_results(g) || fewer_nodes(g) || shorter_axes(g)) {
    }
    c.flat = true;
    if (has_regions(g) && still_fails(g, c))
        shrink(g);
    agrees(g);
}

/* ---- whose fault ------------------------------------------------------------------------------------------------- */

static bool fails_within(graph *g, const char *limit, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    setenv(limit, text, 1);
    bool fails = !agrees(g);
    unsetenv(limit);
    return fails;
}

/* The smallest n with which it fails: it does not with 0, it does with `most`. */
static int64_t halve(graph *g, const char *limit, int64_t most)
{
    int64_t good = 0;
    while (most - good > 1) {
        int64_t middle = good + (most - good) / 2;
        if (fails_within(g, limit, middle))
            most = middle;
        else
            good = middle;
    }
    return most;
}

static char told[300]; /* the log's last line about a merge */
static void listen(void *user, gr_log_level level, const char *text)
{
    (void)level, (void)user;
    if (strstr(text, "GRAPE_GROUP_LIMIT"))
        snprintf(told, sizeof told, "%s", text);
}

static void blame(graph *g, char *text, size_t size)
{
    static const char *const passes[] = {"simplify", "inexact", "fold", "cse", "fuse", "strips", "views", "inplace",
        "reuse", "serial", "examples", "remat", "keep"};
    size_t n = (size_t)snprintf(text, size, "goes without");
    for (unsigned i = 0; i < sizeof passes / sizeof *passes; i++) {
        graph h = *g;
        h.off |= 1u << i;
        if (h.off != g->off && agrees(&h))
            n += (size_t)snprintf(text + n, size - n, " %s", passes[i]);
    }
    told[0] = 0;
    gr_set_log(listen, NULL);
    if (!fails_within(g, "GRAPE_PASS_LIMIT", 0)) {
        snprintf(text + n, size - n, "; appears with pass %lld over the graph",
            (long long)halve(g, "GRAPE_PASS_LIMIT", 100));
    } else if (!fails_within(g, "GRAPE_GROUP_LIMIT", 0)) {
        int64_t merge = halve(g, "GRAPE_GROUP_LIMIT", g->tape->n_nodes);
        fails_within(g, "GRAPE_GROUP_LIMIT", merge);
        snprintf(text + n, size - n, "; %s", told);
    } else {
        snprintf(text + n, size - n, "; even with no pass over the graph, and with no groups");
    }
    gr_set_log(NULL, NULL);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void print_numbers(const char *name, const gr_array *a)
{
    printf("# %s =", name);
    for (int64_t i = 0; i < gr_array_size(a) && i < 32; i++)
        printf(" %.9g", gr_array_at(a, i));
    printf("%s\n", gr_array_size(a) > 32 ? " .." : "");
}

/* The graph as text that gr_tape_parse reads, its data as remarks. */
static void tell(const graph *g)
{
    char *text = gr__graph_text(g->tape, g->n_outputs, g->output), fault[600], name[16];
    graph own = *g;
    blame(&own, fault, sizeof fault);
    printf("# B = %lld, passes off %#x: %s\n# %s\n%s", (long long)g->batch, g->off, why, fault, text ? text : "");
    for (int i = 0; i < g->n_inputs; i++) {
        snprintf(name, sizeof name, "x%d", i);
        print_numbers(name, g->value[i]);
    }
    for (int i = 0; i < g->n_variables; i++)
        print_numbers("variable", g->start[i]);
    gr_text_free(text);
}

#endif
