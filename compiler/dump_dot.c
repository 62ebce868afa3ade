/* compiler/dump_dot.c: the groups of a plan as a picture. A cluster a group, in the order of its phases; forward,
 * backward and update have their colours; a bold edge goes through memory and says what, a thin one stays in a tile. Of
 * a large plan each group is one box, without variables: `dot` cannot place more, and nobody could read it. */
#include "compiler/dump.h"
#include "core/number.h"
#include "core/dot.h"

static void node_id(const gr__plan *p, int node, char *id, size_t size)
{
    (void)p;
    snprintf(id, size, "n%d", node);
}

static void draw_node(gr__dot *d, const gr__plan *p, int node)
{
    const gr__node *n = p->node[node].node;
    char id[24], label[300], type[200], style[160];
    node_id(p, node, id, sizeof id);
    const gr__value *v = &p->value[p->node[node].value];
    snprintf(label, sizeof label, "%s\n%s", n->op->name, gr_type_text(v->dtype, v->shape, type, sizeof type));
    snprintf(style, sizeof style, "shape=box, style=\"filled,rounded\", fillcolor=\"%s\", color=\"%s\"",
        gr__dot_fill[n->phase], gr__dot_line[n->phase]);
    gr__dot_node(d, id, label, style);
}

/* An input or a variable; constants would only clutter the picture. */
static bool draw_leaf(gr__dot *d, const gr__plan *p, int node)
{
    const gr__pnode *n = &p->node[node];
    char id[24], label[300], type[200];
    if (n->work != GR__LEAF || n->data)
        return false;
    node_id(p, node, id, sizeof id);
    const gr__value *v = &p->value[n->value];
    snprintf(label, sizeof label, "%s\n%s", n->node->variable ? n->node->variable->path : n->node->name,
        gr_type_text(v->dtype, v->shape, type, sizeof type));
    gr__dot_node(d, id, label, n->node->variable ? "shape=cylinder" : "shape=ellipse");
    return true;
}

/* "64 tasks, 7.56 ms planned" */
static const char *work_text(const gr__step *s, char *text, size_t size)
{
    const double us = s->task_ns * (double)s->tasks / 1e3;
    char number[GR__NUMBER_TEXT];
    gr__short_text(us < 1e3 ? us : us / 1e3, 4, number);
    snprintf(text, size, "%lld task%s, %s %s planned", (long long)s->tasks, s->tasks == 1 ? "" : "s", number,
        us < 1e3 ? "us" : "ms");
    return text;
}

/* The title, and below it what colours and edges mean. */
static void begin(gr__dot *d, const char *title, const char *edges)
{
    char text[300];
    snprintf(text, sizeof text, "%.150s\nblue: forward, orange: backward, green: update\n%s", title, edges);
    gr__dot_begin(d, text, "");
}

static void draw_group(gr__dot *d, const gr__plan *p, int group)
{
    const gr__group *g = &p->group[group];
    const gr__step *s = g->step >= 0 ? &p->step[g->step] : NULL;
    char id[24], label[200], work[80];
    snprintf(id, sizeof id, "g%d", group);
    snprintf(label, sizeof label, "phase %d: %s\n%s", s ? s->phase : -1, s ? s->name : "",
        s ? work_text(s, work, sizeof work) : "");
    gr__dot_cluster(d, id, label, "");
    for (int i = 0; i < g->n_nodes; i++)
        draw_node(d, p, g->node[i]);
    gr__dot_cluster_end(d);
}

static void draw_edges(gr__dot *d, const gr__plan *p, int node, const bool *drawn)
{
    const gr__pnode *n = &p->node[node];
    char to[24], from[24], label[260], type[200], bytes[40];
    node_id(p, node, to, sizeof to);
    for (int i = 0; i < n->node->n_in; i++) {
        const gr__value *v = &p->value[gr__read_value(p, node, i)];
        if (!drawn[v->node])
            continue;
        node_id(p, v->node, from, sizeof from);
        if (p->node[v->node].group == n->group) {
            gr__dot_edge(d, from, to, NULL, "color=gray50, arrowsize=0.6");
            continue;
        }
        snprintf(label, sizeof label, "%s, %s", gr_type_text(v->dtype, v->shape, type, sizeof type),
            gr__bytes_text((double)(v->count * gr_dtype_size(v->dtype)), bytes, sizeof bytes));
        gr__dot_edge(d, from, to, p->node[v->node].group < 0 ? NULL : label, "style=bold");
    }
}

static void draw_commits(gr__dot *d, const gr__plan *p, const bool *drawn)
{
    for (int i = 0; i < p->graph->n_commit; i++) {
        const gr__node *n = p->graph->commit[i]->node;
        int from_node = p->value[gr__root(p, p->graph->commit[i])].node;
        char id[24], from[24], label[300];
        snprintf(id, sizeof id, "c%d", i);
        snprintf(label, sizeof label, "%s\n%s", n->variable->path, p->commit_done[i] ? "in place" : "copied");
        gr__dot_node(d, id, label, "shape=cylinder, style=filled, fillcolor=\"#e8f5e0\"");
        node_id(p, from_node, from, sizeof from);
        if (drawn[from_node])
            gr__dot_edge(d, from, id, NULL, "style=bold");
    }
}

/* ---- large plans ------------------------------------------------------------------------------------------------- */

enum {
    MANY_NODES = 500, /* as core/dot.h folds a tape */
    FAR = 16,         /* phases: what comes from farther back is told in the box; `dot` takes hours for long edges */
};

/* Bytes that the group reads, by the group that made them. */
static void find_sources(const gr__plan *p, int group, double *from)
{
    const gr__step *s = &p->step[p->group[group].step];
    for (int g = 0; g < p->n_groups; g++)
        from[g] = 0;
    for (int i = 0; i < s->n_refs; i++) {
        const gr__value *v = s->ref[i].value >= 0 ? &p->value[s->ref[i].value] : NULL;
        int g = v && !s->ref[i].write ? p->node[v->node].group : -1;
        if (g >= 0 && g != group)
            from[g] += (double)(v->count * gr_dtype_size(v->dtype));
    }
}

static bool is_far(const gr__plan *p, int from, int to)
{
    return p->step[p->group[to].step].phase - p->step[p->group[from].step].phase > FAR;
}

/* Its first layer and its last; coloured as its latest part of the step. */
static void draw_box(gr__dot *d, const gr__plan *p, int group, const double *from)
{
    const gr__group *g = &p->group[group];
    const gr__step *s = &p->step[g->step];
    const char *first = NULL, *last = NULL;
    char id[24], label[600], bytes[40], style[160], work[80];
    int phase = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const gr__node *n = p->node[g->node[i]].node;
        last = n->scope->name && *n->scope->name ? n->scope->name : last;
        first = first ? first : last;
        phase = (int)n->phase > phase ? (int)n->phase : phase;
    }
    size_t n = (size_t)snprintf(label, sizeof label, "phase %d: %s%s%.80s%s%.80s\n%s", s->phase, s->name,
        first ? "\n" : "", first ? first : "", first != last ? " .. " : "", first != last ? last : "",
        work_text(s, work, sizeof work));
    for (int k = 0; k < p->n_groups && n < sizeof label - 80; k++)
        if (from[k] > 0 && is_far(p, k, group))
            n += (size_t)snprintf(label + n, sizeof label - n, "\nand %s of phase %d",
                gr__bytes_text(from[k], bytes, sizeof bytes), p->step[p->group[k].step].phase);
    snprintf(id, sizeof id, "g%d", group);
    snprintf(style, sizeof style, "shape=box, style=filled, fillcolor=\"%s\", color=\"%s\"", gr__dot_fill[phase],
        gr__dot_line[phase]);
    gr__dot_node(d, id, label, style);
}

static char *folded_dot(const gr__plan *p, const char *title)
{
    gr__dot d = {0};
    double *from = gr__alloc(p->n_groups + 1, sizeof *from);
    if (!from)
        return NULL;
    begin(&d, title, "an edge is what goes through memory");
    for (int s = 0; s < p->n_steps; s++) {
        char a[24], b[24], text[40];
        int group = p->step[s].group;
        if (group < 0)
            continue;
        find_sources(p, group, from);
        draw_box(&d, p, group, from);
        snprintf(b, sizeof b, "g%d", group);
        for (int g = 0; g < p->n_groups; g++) {
            snprintf(a, sizeof a, "g%d", g);
            if (from[g] > 0 && !is_far(p, g, group))
                gr__dot_edge(&d, a, b, gr__bytes_text(from[g], text, sizeof text), "");
        }
    }
    gr__free(from);
    return gr__dot_end(&d);
}

char *gr__groups_dot(const gr__plan *p, const char *title)
{
    if (p->n_nodes > MANY_NODES)
        return folded_dot(p, title);
    gr__dot d = {0};
    bool *drawn = gr__alloc(p->n_nodes + 1, sizeof *drawn);
    if (!drawn)
        return NULL;
    begin(&d, title, "a bold edge goes through memory");
    for (int id = 0; id < p->n_nodes; id++)
        drawn[id] = draw_leaf(&d, p, id) || p->node[id].group >= 0;
    for (int ph = 0; ph < p->n_phases; ph++)
        for (int s = p->phase[ph].first; s < p->phase[ph].end; s++)
            if (p->step[s].group >= 0)
                draw_group(&d, p, p->step[s].group);
    for (int id = 0; id < p->n_nodes; id++)
        if (p->node[id].group >= 0)
            draw_edges(&d, p, id, drawn);
    draw_commits(&d, p, drawn);
    gr__free(drawn);
    return gr__dot_end(&d);
}
