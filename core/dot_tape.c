/* core/dot_tape.c: the picture of a tape. See dot.h.
 *
 * Unfolded: each node in the cluster of its scope, scopes nested as they are; a region as a dashed cluster of its own
 * nodes. Folded: the nodes of one layer and phase become one, at the deepest level of scopes that gives a picture of
 * bearable size. */
#include "core/dot.h"
#include "core/node.h"
#include "core/number.h"
#include "core/size.h"
#include <stdlib.h>
#include <string.h>

enum { FOLD_ABOVE = 500, FOLDED_NODES = 120, DEEPEST = 8, ID = 96, LABEL = 700 };

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* Bytes of a tensor, or bytes per element of the batch. */
static double bytes_of(const gr_tensor *x, bool *per_batch)
{
    int64_t n, times = 0;
    gr_shape s = x->shape;
    for (int64_t i = 0; i < s.rank; i++)
        if (gr_dim_is_batch(s.dim[i])) {
            s.dim[i] = gr_dim_times(s.dim[i]);
            times++;
        }
    n = gr_shape_size(s);
    *per_batch = times > 0;
    return (double)n * (double)gr_dtype_size(x->dtype);
}

static void add_type(char *label, size_t size, const gr_tensor *x)
{
    char type[200], bytes[40];
    bool per_batch;
    double n = bytes_of(x, &per_batch);
    size_t used = strlen(label);
    snprintf(label + used, size - used, "\n%s, %s%s", gr_type_text(x->dtype, x->shape, type, sizeof type),
        per_batch ? "B * " : "", gr__bytes_text(n, bytes, sizeof bytes));
}

static const char *short_number(const gr__node *n, char buf[40])
{
    const void *p = n->data;
    switch (n->out[0].dtype) {
    case GR_F32:
        return gr__short_text((double)*(const float *)p, 4, buf);
    case GR_F64:
        return gr__short_text(*(const double *)p, 4, buf);
    case GR_I32:
        snprintf(buf, 40, "%d", (int)*(const int32_t *)p);
        return buf;
    case GR_I64:
        snprintf(buf, 40, "%lld", (long long)*(const int64_t *)p);
        return buf;
    default:
        snprintf(buf, 40, "%d", *(const uint8_t *)p);
        return buf;
    }
}

static const char *node_label(const gr__node *n, double time_us, char label[LABEL])
{
    char number[40];
    if (n->op == &gr_op_constant && gr_shape_size(n->out[0].shape) == 1)
        snprintf(label, LABEL, "%s", short_number(n, number));
    else if (n->op == &gr_op_input || (n->variable && n->op == &gr_op_variable))
        snprintf(label, LABEL, "%.200s", n->variable ? n->variable->path : n->name);
    else if (n->variable)
        snprintf(label, LABEL, "%s %.200s", n->op->name, n->variable->path);
    else
        snprintf(label, LABEL, "%s", n->op->name);
    for (int i = 0; i < n->n_out && i < 3; i++)
        if (n->op != &gr_op_constant || gr_shape_size(n->out[0].shape) != 1)
            add_type(label, LABEL, &n->out[i]);
    if (time_us > 0) {
        size_t used = strlen(label);
        snprintf(label + used, LABEL - used, "\n%s us", gr__short_text(time_us, 3, number));
    }
    return label;
}

static const char *node_style(const gr__node *n, char style[200])
{
    const char *fill = gr__dot_fill[n->phase], *line = gr__dot_line[n->phase];
    if (n->op == &gr_op_constant)
        snprintf(style, 200, "shape=plaintext, style=\"\", fontcolor=\"#555555\"");
    else if (n->op == &gr_op_input)
        snprintf(style, 200, "shape=invhouse, style=filled, fillcolor=\"#eeeeee\", color=\"#333333\"");
    else if (n->op == &gr_op_variable)
        snprintf(style, 200, "shape=cylinder, style=filled, fillcolor=\"#fff7d6\", color=\"#a08000\"");
    else if (n->op == &gr_op_param)
        snprintf(style, 200, "shape=ellipse, style=filled, fillcolor=\"#ffffff\", color=\"#777777\"");
    else if (n->variable)
        snprintf(style, 200, "shape=cylinder, style=filled, fillcolor=\"%s\", color=\"%s\"", fill, line);
    else
        snprintf(style, 200, "fillcolor=\"%s\", color=\"%s\"", fill, line);
    return style;
}

/* ---- unfolded ---------------------------------------------------------------------------------------------------- */

typedef struct {
    gr__dot *d;
    const double *time_us;
    char prefix[ID / 2]; /* of ids, one a region */
} drawing;

static const char *node_id(const drawing *w, const gr__node *n, char id[ID])
{
    snprintf(id, ID, "%sn%lld", w->prefix, (long long)n->id);
    return id;
}

static void draw_region(const drawing *w, const gr__node *n, int i);

static void draw_node(const drawing *w, const gr__node *n)
{
    char id[ID], label[LABEL], style[200];
    double time_us = w->time_us ? w->time_us[n->id] : 0;
    gr__dot_node(w->d, node_id(w, n, id), node_label(n, time_us, label), node_style(n, style));
    for (int i = 0; i < n->n_regions; i++)
        draw_region(w, n, i);
}

static void draw_edges(const drawing *w, const gr__node *n)
{
    char from[ID], to[ID], label[24];
    for (int i = 0; i < n->n_in; i++) {
        const gr_tensor *x = n->in[i];
        snprintf(label, sizeof label, ".%d", x->index);
        gr__dot_edge(w->d, node_id(w, x->node, from), node_id(w, n, to), x->node->n_out > 1 ? label : NULL,
            n->phase == GR_PHASE_BACKWARD ? "color=\"#c7651b\""
            : n->phase == GR_PHASE_UPDATE ? "color=\"#3d8b37\""
                                          : "");
    }
}

/* The region's nodes in a dashed cluster; params hang on the owner's inputs, the owner on the results of region 0. */
static void draw_region(const drawing *w, const gr__node *n, int i)
{
    const gr__region *r = n->region[i];
    char cluster[ID], label[100], from[ID], to[ID];
    drawing inner = {.d = w->d};
    if (snprintf(inner.prefix, sizeof inner.prefix, "%sn%lldr%d", w->prefix, (long long)n->id, i) >=
        (int)sizeof inner.prefix)
        return; /* nested deeper than anybody could see */
    snprintf(cluster, sizeof cluster, "%s", inner.prefix);
    snprintf(label, sizeof label, "%s, region %d", n->op->name, i);
    gr__dot_cluster(w->d, cluster, label, "style=dashed, color=\"#777777\"");
    for (int64_t id = 0; id < r->tape->n_nodes; id++)
        draw_node(&inner, r->tape->node[id]);
    gr__dot_cluster_end(w->d);
    for (int64_t id = 0; id < r->tape->n_nodes; id++)
        draw_edges(&inner, r->tape->node[id]);
    for (int k = 0; i == 0 && k < r->n_params && k < n->n_in; k++)
        gr__dot_edge(
            w->d, node_id(w, n->in[k]->node, from), node_id(&inner, r->param[k]->node, to), NULL, "style=dashed");
    for (int k = 0; i == 0 && k < r->n_results; k++)
        gr__dot_edge(w->d, node_id(&inner, r->result[k]->node, from), node_id(w, n, to), NULL, "style=dashed");
}

/* Per scope its children and its nodes, as lists through arrays. */
typedef struct {
    const gr__scope **scope; /* by id; [0] is the root */
    int64_t n;
    int64_t *child, *sibling; /* first child, next sibling: 0 ends */
    int64_t *first, *next;    /* first node of a scope, next node of the same: -1 ends */
} scope_tree;

static void tree_free(scope_tree *s)
{
    gr__free(s->scope);
    gr__free(s->child);
    gr__free(s->sibling);
    gr__free(s->first);
    gr__free(s->next);
}

static bool tree_new(scope_tree *s, const gr_tape *t)
{
    *s = (scope_tree){.n = t->n_scopes};
    s->scope = gr__alloc(s->n, sizeof *s->scope);
    s->child = gr__alloc(s->n, sizeof *s->child);
    s->sibling = gr__alloc(s->n, sizeof *s->sibling);
    s->first = gr__alloc(s->n, sizeof *s->first);
    s->next = gr__alloc(t->n_nodes, sizeof *s->next);
    if (!s->scope || !s->child || !s->sibling || !s->first || !s->next)
        return false;
    s->scope[0] = &t->root;
    for (const gr__scope *x = t->scopes; x; x = x->next) { /* newest first, so lists end up oldest first */
        s->scope[x->id] = x;
        s->sibling[x->id] = s->child[x->parent->id];
        s->child[x->parent->id] = x->id;
    }
    for (int64_t i = 0; i < s->n; i++)
        s->first[i] = -1;
    for (int64_t id = t->n_nodes - 1; id >= 0; id--) {
        int64_t k = t->node[id]->scope->id;
        s->next[id] = s->first[k];
        s->first[k] = id;
    }
    return true;
}

static void open_scope(const drawing *w, const scope_tree *s, const gr_tape *t, int64_t k)
{
    char id[ID], label[LABEL];
    const gr__scope *x = s->scope[k];
    if (k) {
        snprintf(id, sizeof id, "s%lld", (long long)k);
        snprintf(label, sizeof label, *x->kind ? "%.200s (%.200s)" : "%.200s", x->name, x->kind);
        gr__dot_cluster(w->d, id, label, "style=\"rounded,filled\", fillcolor=\"#f7f7f7\", color=\"#bbbbbb\"");
    }
    for (int64_t n = s->first[k]; n >= 0; n = s->next[n])
        draw_node(w, t->node[n]);
}

/* A walk over the tree by parent pointers: scopes may nest as deep as a program likes. */
static bool draw_all(gr__dot *d, const gr_tape *t, const double *time_us)
{
    scope_tree s;
    drawing w = {.d = d, .time_us = time_us};
    bool good = tree_new(&s, t);
    if (good) {
        int64_t k = 0;
        open_scope(&w, &s, t, 0);
        for (bool down = true;;) {
            if (down && s.child[k]) {
                k = s.child[k];
                open_scope(&w, &s, t, k);
                continue;
            }
            if (k == 0)
                break;
            gr__dot_cluster_end(d);
            down = s.sibling[k] != 0;
            if (down) {
                k = s.sibling[k];
                open_scope(&w, &s, t, k);
            } else {
                k = s.scope[k]->parent->id;
            }
        }
        for (int64_t id = 0; id < t->n_nodes; id++)
            draw_edges(&w, t->node[id]);
    }
    tree_free(&s);
    return good;
}

/* ---- folded ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const gr__scope *scope; /* NULL: an input on its own */
    int phase;
    int64_t nodes;
    double kept, per_batch; /* bytes of results */
    double weights;
    double time_us;
    const gr__node *only; /* the first node */
} group;

static const gr__scope *ancestor(const gr__scope *s, int depth)
{
    int64_t d = 0;
    for (const gr__scope *up = s; up->parent; up = up->parent)
        d++;
    for (; d > depth; d--)
        s = s->parent;
    return s;
}

/* Groups of nodes by scope (at most `depth` deep) and phase; of[id] is a node's group. Returns how many, -1 without
 * memory. */
static int64_t make_groups(const gr_tape *t, int depth, const double *time_us, int64_t *of, group **out)
{
    int64_t n = 0, room = t->n_scopes * 3;
    int64_t *by_key = gr__alloc(room, sizeof *by_key); /* scope id * 3 + phase -> group + 1 */
    for (int64_t id = 0; id < t->n_nodes; id++)
        room += t->node[id]->op == &gr_op_input;
    group *g = gr__alloc(room, sizeof *g);
    for (int64_t id = 0; by_key && g && id < t->n_nodes; id++) {
        const gr__node *x = t->node[id];
        const gr__scope *s = ancestor(x->scope, depth);
        bool alone = x->op == &gr_op_input, per_batch;
        int64_t *key = &by_key[s->id * 3 + x->phase];
        int64_t k = alone ? n : *key - 1;
        if (alone || *key == 0) {
            k = n++;
            g[k] = (group){.scope = alone ? NULL : s, .phase = x->phase, .only = x};
            *key = alone ? *key : n;
        }
        of[id] = k;
        g[k].nodes++;
        g[k].time_us += time_us ? time_us[id] : 0;
        for (int i = 0; i < x->n_out; i++) {
            double bytes = bytes_of(&x->out[i], &per_batch);
            *(x->op == &gr_op_variable ? &g[k].weights : per_batch ? &g[k].per_batch : &g[k].kept) += bytes;
        }
    }
    bool good = by_key && g;
    gr__free(by_key);
    if (!good) {
        gr__free(g);
        return -1;
    }
    *out = g;
    return n;
}

static void draw_group(gr__dot *d, int64_t k, const group *g)
{
    char id[ID], label[LABEL], style[200], a[40], b[40], c[40];
    static const char *const phases[] = {"", ", backward", ", update"};
    snprintf(id, sizeof id, "g%lld", (long long)k);
    if (!g->scope) {
        gr__dot_node(d, id, node_label(g->only, 0, label), node_style(g->only, style));
        return;
    }
    int used = snprintf(label, sizeof label, *g->scope->kind ? "%.100s (%.100s)%s" : "%.100s%.0s%s",
        g->scope->parent ? g->scope->name : "outside of layers", g->scope->kind, phases[g->phase]);
    used += snprintf(label + used, sizeof label - (size_t)used, "\n%lld nodes\nresults ", (long long)g->nodes);
    if (g->kept > 0 || g->per_batch == 0)
        used += snprintf(label + used, sizeof label - (size_t)used, "%s%s", gr__bytes_text(g->kept, a, sizeof a),
            g->per_batch > 0 ? " + " : "");
    if (g->per_batch > 0)
        used +=
            snprintf(label + used, sizeof label - (size_t)used, "B * %s", gr__bytes_text(g->per_batch, b, sizeof b));
    if (g->weights > 0)
        used += snprintf(
            label + used, sizeof label - (size_t)used, "\nweights %s", gr__bytes_text(g->weights, c, sizeof c));
    if (g->time_us > 0)
        snprintf(label + used, sizeof label - (size_t)used, "\n%s us", gr__short_text(g->time_us, 3, a));
    snprintf(style, sizeof style, "fillcolor=\"%s\", color=\"%s\"", gr__dot_fill[g->phase], gr__dot_line[g->phase]);
    gr__dot_node(d, id, label, style);
}

typedef struct {
    int64_t from, to;
} edge;

static int by_ends(const void *a, const void *b)
{
    const edge *x = a, *y = b;
    int first = (x->from > y->from) - (x->from < y->from);
    return first ? first : (x->to > y->to) - (x->to < y->to);
}

static bool draw_group_edges(gr__dot *d, const gr_tape *t, const int64_t *of)
{
    int64_t n = 0, room = 0;
    char from[ID], to[ID], label[40];
    for (int64_t id = 0; id < t->n_nodes; id++)
        room += t->node[id]->n_in;
    edge *e = gr__alloc(room, sizeof *e);
    if (!e)
        return false;
    for (int64_t id = 0; id < t->n_nodes; id++)
        for (int i = 0; i < t->node[id]->n_in; i++)
            if (of[t->node[id]->in[i]->node->id] != of[id])
                e[n++] = (edge){of[t->node[id]->in[i]->node->id], of[id]};
    qsort(e, (size_t)n, sizeof *e, by_ends);
    for (int64_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n && by_ends(&e[i], &e[i + same]) == 0; same++)
            ;
        snprintf(from, sizeof from, "g%lld", (long long)e[i].from);
        snprintf(to, sizeof to, "g%lld", (long long)e[i].to);
        snprintf(label, sizeof label, "%lld", (long long)same);
        gr__dot_edge(d, from, to, same > 1 ? label : NULL, "");
    }
    gr__free(e);
    return true;
}

static bool draw_folded(gr__dot *d, const gr_tape *t, const double *time_us)
{
    int64_t *of = gr__alloc(t->n_nodes, sizeof *of), n = -1;
    group *g = NULL;
    for (int depth = DEEPEST; of && depth > 0; depth--) {
        gr__free(g);
        g = NULL;
        n = make_groups(t, depth, time_us, of, &g);
        if (n < 0 || n <= FOLDED_NODES)
            break;
    }
    for (int64_t k = 0; k < n; k++)
        draw_group(d, k, &g[k]);
    bool good = n >= 0 && draw_group_edges(d, t, of);
    gr__free(g);
    gr__free(of);
    return good;
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

char *gr_tape_dot_text(const gr_tape *t, const gr_dot_opts *opts)
{
    const gr_dot_opts none = {0}, *o = opts ? opts : &none;
    int64_t above = o->fold_above > 0 ? o->fold_above : FOLD_ABOVE;
    gr__dot d;
    if (!t) {
        gr_fail(GR_EARG, (gr_at){0}, "tape_dot: argument tape: expected a tape, found NULL");
        return NULL;
    }
    gr__dot_begin(&d, o->title, "");
    bool fold = !o->no_fold && (o->fold || t->n_nodes > above);
    bool good = fold ? draw_folded(&d, t, o->time_us) : draw_all(&d, t, o->time_us);
    char *text = gr__dot_end(&d);
    if (good)
        return text;
    gr_text_free(text);
    return NULL;
}

gr_status gr_tape_dot_at(gr_at at, const gr_tape *t, const gr_dot_opts *opts)
{
    if (!opts || !opts->file)
        return gr_fail(GR_EARG, at, "tape_dot: argument file: expected a name, found NULL");
    char *text = gr_tape_dot_text(t, opts);
    if (!text)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    gr_status s = gr__dot_save(at, "tape_dot", text, opts->file);
    gr_text_free(text);
    return s;
}
