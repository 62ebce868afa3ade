/* compiler/steps.c: one step per group, check of data, sum of partial results, and commit that needs a copy. */
#include "compiler/code.h"
#include "compiler/touch.h"
#include "core/size.h"
#include "ops/kernels/panel.h"
#include "ops/kernels/variance.h"
#include <string.h>

enum {
    COPY_BYTES = 65536, /* of a copy per task */
    COMBINED = 2048,    /* results combined by a task */
};

void gr__add_ref(gr__plan *p, gr__step *s, int value, int buffer, bool write)
{
    for (int i = 0; i < s->n_refs; i++)
        if (s->ref[i].value == value && s->ref[i].buffer == buffer && s->ref[i].write == write)
            return;
    s->ref[s->n_refs++] = (gr__ref){value, buffer, write};
    if (value >= 0)
        s->bytes += (double)(p->value[value].count * gr_dtype_size(p->value[value].dtype));
}

/* ---- commits ----------------------------------------------------------------------------------------------------- */

static gr_status run_copy(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end)
{
    const gr__copy *c = s->arg;
    (void)thread;
    int64_t from = begin * COPY_BYTES, to = end * COPY_BYTES < c->bytes ? end * COPY_BYTES : c->bytes;
    if (to > from)
        memcpy((char *)run->data[c->to] + from, (const char *)run->data[c->from] + from, (size_t)(to - from));
    return GR_OK;
}

static void touch_copy(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const gr__copy *c = s->arg;
    const int64_t from = to->task * COPY_BYTES, left = c->bytes - from;
    gr__touch_run(to, c->from, false, from, left < COPY_BYTES ? left : COPY_BYTES);
    gr__touch_run(to, c->to, true, from, left < COPY_BYTES ? left : COPY_BYTES);
    (void)p;
}

static gr_status copy_step(gr__plan *p, gr__step *s, int value, int from, int to, const char *name)
{
    gr__copy *c = gr__arena_alloc(&p->arena, 1, sizeof *c);
    s->ref = gr__arena_alloc(&p->arena, 2, sizeof *s->ref);
    if (!c || !s->ref)
        return GR_EMEM;
    *c = (gr__copy){from, to, p->buffer[to].bytes};
    s->group = -1;
    s->fn = run_copy;
    s->touches = touch_copy;
    s->arg = c;
    s->tasks = (c->bytes + COPY_BYTES - 1) / COPY_BYTES;
    s->tasks = s->tasks ? s->tasks : 1;
    s->bytes = 2 * (double)c->bytes;
    s->task_ns = 20 + s->bytes / (double)s->tasks * 0.05;
    snprintf(s->name, sizeof s->name, "%s", name);
    gr__add_ref(p, s, value, from, false);
    return GR_OK;
}

/* A commit of the old value of a variable goes by way of the arena: that variable may be committed as well. */
static gr_status commit_steps(gr__plan *p, int i)
{
    int root = gr__root(p, p->graph->commit[i]), from = p->value[root].buffer, to = p->commit_buffer[i];
    if (p->buffer[from].space == GR__VARIABLE && p->node[p->value[root].node].work == GR__LEAF) {
        if (from == to)
            return GR_OK; /* assigned its own value */
        int staged = p->n_buffers++;
        p->buffer[staged] =
            (gr__buffer){.space = GR__ARENA, .bytes = p->buffer[from].bytes, .value = root, .first = -1};
        gr__step *s = &p->step[p->n_steps++];
        GR_TRY(copy_step(p, s, root, from, staged, "stage"));
        gr__value *v = &p->value[p->n_values]; /* room was left for it */
        *v = p->value[root];
        v->root = p->n_values;
        v->buffer = staged;
        v->node = p->value[root].node;
        s->ref[s->n_refs++] = (gr__ref){p->n_values, staged, true};
        root = p->n_values++;
        from = staged;
    }
    gr__step *s = &p->step[p->n_steps++];
    GR_TRY(copy_step(p, s, root, from, to, "commit"));
    s->ref[s->n_refs++] = (gr__ref){-1, to, true};
    return GR_OK;
}

/* ---- partial results --------------------------------------------------------------------------------------------- */

typedef struct {
    int from, to;
    gr__panel panel; /* a row per partial result */
    double *count;   /* of variances: elements in each part; else NULL */
    bool f64;
} combination;

static gr_status run_combine(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end)
{
    const combination *c = s->arg;
    gr__panel p = c->panel;
    const int64_t first = begin * COMBINED, elem = c->f64 ? 8 : 4;
    (void)thread;
    p.cols = end * COMBINED < p.cols ? (end - begin) * COMBINED : p.cols - first;
    p.x = (const char *)run->data[c->from] + first * elem;
    p.y = (char *)run->data[c->to] + first * elem;
    if (c->count) {
        const gr__moments_parts parts = {p.rows, c->panel.cols, c->count, run->data[c->from]};
        gr__variance_of_parts(&parts, first, first + p.cols, run->data[c->to], c->f64);
    } else {
        gr__panel_rows(&p, c->f64);
    }
    return GR_OK;
}

static void touch_combine(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const combination *c = s->arg;
    const int64_t first = to->task * COMBINED, elem = c->f64 ? 8 : 4, left = c->panel.cols - first;
    const int64_t n = left < COMBINED ? left : COMBINED;
    gr__touch_add(to, c->from, false,
        &(gr__box){
            first * elem, elem, 2, {n, c->count ? 3 * c->panel.rows : c->panel.rows}, {elem, c->panel.cols * elem}});
    gr__touch_run(to, c->to, true, first * elem, n * elem);
    (void)p;
}

/* The part of `whole` that tile k of `tile` has. */
static double share(int64_t whole, int64_t tile, int64_t k)
{
    return (double)(whole - k * tile < tile ? whole - k * tile : tile);
}

/* Elements that go into one number of each part of node i's result, in the order of the parts. */
static double *part_counts(gr__plan *p, const gr__layout *l, int i, int64_t parts)
{
    bool rows = l->reduced[i] & GR__ROWS, cols = l->reduced[i] & GR__COLS;
    int64_t across = cols ? (l->cols + l->tile_cols - 1) / l->tile_cols : 1;
    double *count = gr__arena_alloc(&p->arena, parts + 1, sizeof *count), each = 1;
    if (l->kind == GR__EXAMPLE) {
        across = 1;
        each = (double)(l->own[i].rows / l->rows) * (cols ? (double)l->own[i].cols : 1);
    }
    for (int64_t k = 0; count && k < parts; k++)
        count[k] = (rows ? share(l->rows, l->tile_rows, k / across) : 1) *
                   (cols && l->kind != GR__EXAMPLE ? share(l->cols, l->tile_cols, k % across) : 1) * each;
    return count;
}

static gr_status combine_steps(gr__plan *p, int group)
{
    const gr__group *g = &p->group[group];
    for (int i = 0; !g->opaque && i < g->n_nodes; i++) {
        if (g->partial[i] < 0)
            continue;
        const gr__pnode *n = &p->node[g->node[i]];
        const gr__value *whole = &p->value[n->value], *part = &p->value[g->partial[i]];
        gr__step *s = &p->step[p->n_steps++];
        combination *c = gr__arena_alloc(&p->arena, 1, sizeof *c);
        s->ref = gr__arena_alloc(&p->arena, 2, sizeof *s->ref);
        if (!c || !s->ref)
            return GR_EMEM;
        int64_t parts = part->count / whole->count / gr__partial_size(n);
        const gr_reduce_kind kind = n->work == GR__REDUCE ? n->low->reduce : GR_REDUCE_SUM;
        *c = (combination){part->buffer, whole->buffer, {kind, parts, whole->count, .row = whole->count}, NULL,
            g->layout->f64};
        if (gr__partial_size(n) > 1 && !(c->count = part_counts(p, g->layout, i, parts)))
            return GR_EMEM;
        s->group = -1;
        s->fn = run_combine;
        s->touches = touch_combine;
        s->arg = c;
        s->tasks = (whole->count + COMBINED - 1) / COMBINED;
        s->tasks = s->tasks ? s->tasks : 1;
        s->flops = (double)part->count;
        s->task_ns = 30 + s->flops * 0.1 / (double)s->tasks;
        snprintf(s->name, sizeof s->name, "combine %lld", (long long)parts);
        gr__add_ref(p, s, g->partial[i], part->buffer, false);
        gr__add_ref(p, s, n->value, whole->buffer, true);
    }
    return GR_OK;
}

/* There are no more. */
static int64_t count_steps(const gr__plan *p)
{
    int64_t n = 2 * (int64_t)p->graph->n_commit;
    for (int i = 0; i < p->n_groups; i++) {
        const gr__group *g = &p->group[i];
        n += g->opaque && p->node[g->node[0]].checked_early ? 2 : 1;
        for (int k = 0; !g->opaque && k < g->n_nodes; k++)
            n += g->partial[k] >= 0;
    }
    return n;
}

gr_status gr__plan_steps(gr__plan *p)
{
    p->step = gr__arena_alloc(&p->arena, count_steps(p) + 1, sizeof *p->step);
    if (!p->step)
        return GR_EMEM;
    for (int i = 0; i < p->n_groups; i++) {
        gr__step *s = &p->step[p->n_steps++];
        s->group = i;
        GR_TRY(p->group[i].opaque ? gr__opaque_step(p, s, p->group[i].node[0]) : gr__lower_group(p, s, i));
        p->flops += s->flops;
        if (p->group[i].opaque && p->node[p->group[i].node[0]].checked_early)
            GR_TRY(gr__data_check_step(p, &p->step[p->n_steps++], p->group[i].node[0], s));
        GR_TRY(combine_steps(p, i));
    }
    for (int i = 0; i < p->graph->n_commit; i++)
        if (!p->commit_done[i])
            GR_TRY(commit_steps(p, i));
    return GR_OK;
}
