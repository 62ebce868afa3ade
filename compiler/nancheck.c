/* compiler/nancheck.c: GRAPE_NANCHECK=1 runs one node after the other and stops at the first that makes NaN or infinity
 * out of finite numbers, or, where they came in with the data, at the first of a layer that they reach. Commits come
 * last in such a plan, so nothing has been assigned by then. */
#include "compiler/plan.h"
#include <math.h>
#include <string.h>

/* The first element that is not finite, or -1. */
static int64_t first_bad(const gr__run *run, int buffer, gr_dtype dtype, int64_t count)
{
    const void *data = run->data[buffer];
    for (int64_t i = 0; gr_dtype_is_float(dtype) && i < count; i++)
        if (!isfinite(dtype == GR_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i]))
            return i;
    return -1;
}

static int64_t bad_in(const gr__run *run, const gr__ref *r)
{
    const gr__value *v = &run->plan->value[r->value];
    return first_bad(run, r->buffer, v->dtype, v->count);
}

static double number_at(const gr__run *run, const gr__ref *r, int64_t i)
{
    const void *data = run->data[r->buffer];
    return run->plan->value[r->value].dtype == GR_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

/* The leaf a value is, if what it holds is given from outside. */
static const gr__node *given(const gr__plan *p, int v)
{
    const gr__pnode *n = &p->node[p->value[v].node];
    return n->work == GR__LEAF && !n->data && p->value[v].root == v && p->value[v].buffer >= 0 ? n->node : NULL;
}

static gr_status check_variables(gr__run *run, const char *name)
{
    const gr__plan *p = run->plan;
    for (int v = 0; v < p->n_values; v++) {
        const gr__node *n = given(p, v);
        int64_t at = n && n->variable ? first_bad(run, p->value[v].buffer, p->value[v].dtype, p->value[v].count) : -1;
        GR_CHECK(at < 0, GR_ENAN, "program %s, step %llu: variable %s is not finite at element %lld", name,
            (unsigned long long)run->step, n->variable->path, (long long)at);
    }
    return GR_OK;
}

static void note_layers(const gr__node *n)
{
    for (const gr__scope *layer = n->scope; layer && layer->parent; layer = layer->parent) {
        const char *file = layer->at.file ? layer->at.file : "?", *slash = strrchr(file, '/');
        gr_fail_note("    in   %s, %s:%d", layer->name, slash ? slash + 1 : file, layer->at.line);
    }
}

/* The data was not finite, and this step reads it or what was made of it. The first that belongs to a layer says most;
 * in a program without layers it is the first of all. */
static gr_status check_data(const gr__run *run, const gr__node *n, const char *name)
{
    const gr__plan *p = run->plan;
    for (int v = 0; v < p->n_values; v++) {
        const gr__node *leaf = given(p, v);
        int64_t at =
            leaf && !leaf->variable ? first_bad(run, p->value[v].buffer, p->value[v].dtype, p->value[v].count) : -1;
        if (at < 0)
            continue;
        gr_fail(GR_ENAN, n->at, "program %s, step %llu: input %s is not finite at element %lld, and reaches %s", name,
            (unsigned long long)run->step, leaf->name, (long long)at, n->op->name);
        note_layers(n);
        return GR_ENAN;
    }
    return GR_OK;
}

static const gr__node *node_of(const gr__run *run, const gr__step *s)
{
    const gr__plan *p = run->plan;
    for (int i = 0; i < s->n_refs; i++)
        if (s->ref[i].write && s->ref[i].value >= 0)
            return p->node[p->value[s->ref[i].value].node].node;
    return NULL;
}

static bool has_layers(const gr__plan *p)
{
    for (int i = 0; i < p->n_nodes; i++)
        if (p->node[i].node->scope && p->node[i].node->scope->parent)
            return true;
    return false;
}

static gr_status check_step(const gr__run *run, const gr__step *s, const char *name, bool layers)
{
    const gr__plan *p = run->plan;
    const gr__node *made = node_of(run, s);
    for (int i = 0; i < s->n_refs && made; i++)
        if (!s->ref[i].write && s->ref[i].value >= 0 && bad_in(run, &s->ref[i]) >= 0) {
            bool in_layer = made->scope && made->scope->parent;
            return in_layer || !layers ? check_data(run, made, name) : GR_OK; /* else rows that others may not take */
        }
    for (int i = 0; i < s->n_refs; i++) {
        const gr__ref *r = &s->ref[i];
        if (!r->write || r->value < 0)
            continue;
        int64_t at = bad_in(run, r);
        const gr__node *n = p->node[p->value[r->value].node].node;
        if (at < 0)
            continue;
        gr_fail(GR_ENAN, n->at, "program %s, step %llu: %s makes %g at element %lld out of finite numbers", name,
            (unsigned long long)run->step, n->op->name, number_at(run, r, at), (long long)at);
        note_layers(n);
        return GR_ENAN;
    }
    return GR_OK;
}

void gr__run_checked(gr__run *run, const char *name)
{
    const gr__plan *p = run->plan;
    const bool layers = has_layers(p);
    gr_status status = check_variables(run, name);
    for (int s = 0; s < p->n_steps && status == GR_OK; s++) {
        const gr__step *st = &p->step[s];
        status = st->fn(run, st, 0, 0, st->tasks);
        if (status == GR_OK)
            status = check_step(run, st, name, layers);
    }
    run->failed = (int)status;
}
