/* compiler/nancheck.c: GRAPE_NANCHECK=1 runs one node after the other and stops at the first that makes NaN or infinity
 * out of finite numbers. Commits come last in such a plan, so nothing has been assigned by then. */
#include "compiler/plan.h"
#include <math.h>

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

static gr_status check_leaves(gr__run *run, const char *name)
{
    const gr__plan *p = run->plan;
    for (int v = 0; v < p->n_values; v++) {
        const gr__value *x = &p->value[v];
        const gr__node *n = p->node[x->node].node;
        if (p->node[x->node].work != GR__LEAF || p->node[x->node].data || x->buffer < 0 || x->root != v)
            continue;
        int64_t at = first_bad(run, x->buffer, x->dtype, x->count);
        GR_CHECK(at < 0, GR_ENAN, "program %s, step %llu: %s %s is not finite at element %lld", name,
            (unsigned long long)run->step, n->variable ? "variable" : "input",
            n->variable ? n->variable->path : n->name, (long long)at);
    }
    return GR_OK;
}

static gr_status check_step(const gr__run *run, const gr__step *s, const char *name)
{
    const gr__plan *p = run->plan;
    for (int i = 0; i < s->n_refs; i++)
        if (!s->ref[i].write && s->ref[i].value >= 0 && bad_in(run, &s->ref[i]) >= 0)
            return GR_OK; /* not the first */
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
        for (const gr__scope *layer = n->scope; layer && layer->parent; layer = layer->parent)
            gr_fail_note("    in   %s, %s:%d", layer->name, layer->at.file ? layer->at.file : "?", layer->at.line);
        return GR_ENAN;
    }
    return GR_OK;
}

void gr__run_checked(gr__run *run, const char *name)
{
    const gr__plan *p = run->plan;
    gr_status status = check_leaves(run, name);
    for (int s = 0; s < p->n_steps && status == GR_OK; s++) {
        const gr__step *st = &p->step[s];
        status = st->fn(run, st, 0, 0, st->tasks);
        if (status == GR_OK)
            status = check_step(run, st, name);
    }
    run->failed = (int)status;
}
