/* compiler/opaque.c: nodes that run their op's eval: one on whole buffers as a step, or some examples at a time as an
 * instruction of a group. */
#include "compiler/code.h"
#include "compiler/touch.h"

enum {
    RANGE = 4096,    /* elements of a ranged eval per task, or as many units as these are; */
    DEAR_FLOPS = 16, /* an element of so many operations is computed by a kernel near the machine's peak */
};

/* A call on all elements; arg: the operands, then the results. */
static gr_call call_of(const gr__opaque *o, const gr_buffer *arg)
{
    const gr__node *n = o->node;
    return (gr_call){.op = n->op, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = arg,
        .out = arg + n->n_in, .end = o->count, .at = n->at};
}

double gr__eval_ns(double flops, double count)
{
    return flops * (flops >= DEAR_FLOPS * count ? 0.01 : 0.5);
}

static gr_buffer typed(const gr__plan *p, const gr_tensor *x)
{
    const gr__value *v = &p->value[gr__value_of(p, x)];
    return (gr_buffer){v->dtype, v->shape, NULL};
}

gr__opaque *gr__opaque_of(gr__plan *p, int id)
{
    const gr__pnode *n = &p->node[id];
    gr__opaque *o = gr__arena_alloc(&p->arena, 1, sizeof *o);
    if (!o)
        return NULL;
    const int n_in = n->node->n_in, n_args = n_in + n->node->n_out;
    *o = (gr__opaque){.node = n->node, .count = p->value[n->value].count};
    o->arg = gr__arena_alloc(&p->arena, n_args, sizeof *o->arg);
    o->arg_buffer = gr__arena_alloc(&p->arena, n_args, sizeof *o->arg_buffer);
    if (!o->arg || !o->arg_buffer)
        return NULL;
    for (int i = 0; i < n_args; i++) {
        o->arg[i] = typed(p, i < n_in ? n->node->in[i] : &n->node->out[i - n_in]);
        o->arg_buffer[i] = p->value[i < n_in ? gr__root(p, n->node->in[i]) : n->value + i - n_in].buffer;
    }
    return o;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

static gr_status run_opaque(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end)
{
    const gr__opaque *o = s->arg;
    gr_call c = call_of(o, run->arg + o->first_arg);
    c.scratch = o->scratch ? run->scratch[thread] : NULL;
    c.seed = run->seed;
    c.step = run->step;
    c.begin = begin * o->range;
    c.end = o->range && end * o->range < o->count ? end * o->range : o->count;
    return gr__call_eval(o->node, &c);
}

/* A task makes its range of result 0 out of what it likes of the operands. */
static void touch_range(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const gr__opaque *o = s->arg;
    const int n_in = o->node->n_in;
    const int64_t first = to->task * o->range, end = first + o->range < o->count ? first + o->range : o->count;
    const int64_t size = gr_dtype_size(o->arg[n_in].dtype);
    for (int i = 0; i < n_in; i++)
        gr__touch_run(to, o->arg_buffer[i], false, 0, p->buffer[o->arg_buffer[i]].bytes);
    gr__touch_run(to, o->arg_buffer[n_in], true, first * size, (end - first) * size);
}

/* A result as [B, U, P, S] in the order in which ranges count it, as [B, P, U, S] in memory: see gr_op.unit_axis. */
typedef struct {
    int64_t b, u, p, s;
} order;

static order order_of(gr_shape of, int axis)
{
    order o = {of.dim[0], axis ? of.dim[axis] : 1, 1, 1};
    for (int d = 1; d < of.rank; d++)
        *(d < axis ? &o.p : &o.s) *= d == axis ? 1 : of.dim[d];
    return o;
}

/* What elements first .. end of result 0 are in another result; whole units, so that nothing is left over. */
static void touch_part(gr__touches *to, const gr__opaque *call, int result, int64_t first, int64_t end)
{
    const int n_in = call->node->n_in, axis = call->node->op->unit_axis;
    const gr_buffer *of = &call->arg[n_in + result];
    const order o = order_of(of->shape, axis), main = order_of(call->arg[n_in].shape, axis);
    const int64_t each = main.p * main.s, mine = o.p * o.s, size = gr_dtype_size(of->dtype) * o.s;
    int64_t row = call->count ? first / each * o.p + first % each * mine / each / o.s : 0;
    const int64_t last = call->count ? end / each * o.p + end % each * mine / each / o.s : o.b * o.u * o.p;
    while (row < last) {
        const int64_t place = row / o.p, from = row % o.p, some = o.p - from < last - row ? o.p - from : last - row;
        gr__touch_add(to, call->arg_buffer[n_in + result], true,
            &(gr__box){((place / o.u * o.p + from) * o.u + place % o.u) * size, size, 1, {some}, {o.u * size}});
        row += some;
    }
}

static void touch_units(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const gr__opaque *o = s->arg;
    const int n_in = o->node->n_in;
    const int64_t first = to->task * o->range, end = first + o->range < o->count ? first + o->range : o->count;
    for (int i = 0; i < n_in; i++)
        gr__touch_run(to, o->arg_buffer[i], false, 0, p->buffer[o->arg_buffer[i]].bytes);
    for (int i = 0; i < o->node->n_out; i++)
        if (o->arg_buffer[n_in + i] >= 0)
            touch_part(to, o, i, first, end);
}

static int64_t range_of(const gr_call *c)
{
    if (!(c->op->traits & GR_RANGED))
        return 0;
    const int64_t unit = c->op->unit ? c->op->unit(c) : 1;
    return unit >= RANGE ? unit : unit > 1 ? RANGE / unit * unit : RANGE;
}

gr_status gr__opaque_step(gr__plan *p, gr__step *s, int id)
{
    const gr__pnode *n = &p->node[id];
    gr__opaque *o = gr__opaque_of(p, id);
    s->ref = gr__arena_alloc(&p->arena, n->node->n_in + n->node->n_out, sizeof *s->ref);
    if (!o || !s->ref)
        return GR_EMEM;
    for (int i = 0; i < n->node->n_in; i++)
        gr__add_ref(p, s, gr__root(p, n->node->in[i]), o->arg_buffer[i], false);
    for (int i = 0; i < n->node->n_out; i++)
        if (o->arg_buffer[n->node->n_in + i] >= 0) /* else nobody reads it */
            gr__add_ref(p, s, n->value + i, o->arg_buffer[n->node->n_in + i], true);
    o->first_arg = p->n_args;
    p->n_args += n->node->n_in + n->node->n_out;
    gr_call c = call_of(o, o->arg);
    o->scratch = n->node->op->scratch ? n->node->op->scratch(&c) : 0;
    p->scratch = o->scratch > p->scratch ? o->scratch : p->scratch;
    s->fn = run_opaque;
    s->arg = o;
    s->flops = n->flops;
    o->range = range_of(&c);
    s->tasks = o->range ? (o->count + o->range - 1) / o->range : 1;
    s->tasks = s->tasks ? s->tasks : 1;
    if (o->range && n->node->op->traits & GR_UNITS)
        s->touches = touch_units;
    else if (o->range && n->node->n_out == 1) /* what a range makes of further results is not told */
        s->touches = touch_range;
    s->fallible = gr__may_fail(n);
    s->pinned = !(n->node->op->traits & (GR_RANGED | GR_PARALLEL));
    s->task_ns = (50 + gr__eval_ns(s->flops, (double)o->count) + s->bytes * 0.05) / (double)s->tasks;
    snprintf(s->name, sizeof s->name, "%s", n->node->op->name);
    return GR_OK;
}

bool gr__may_fail(const gr__pnode *n)
{
    const unsigned traits = n->node->op->traits;
    return !n->checked_early && (!(traits & GR_RANGED) || (traits & GR_CHECKED_DATA));
}

static gr_status run_check(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end)
{
    const gr__opaque *o = s->arg;
    const gr_call c = call_of(o, run->arg + o->first_arg);
    (void)thread, (void)begin, (void)end;
    return o->node->op->check(&c);
}

gr_status gr__data_check_step(gr__plan *p, gr__step *s, int id, const gr__step *eval)
{
    const gr__opaque *o = eval->arg;
    const gr__node *n = p->node[id].node;
    if (!(s->ref = gr__arena_alloc(&p->arena, n->n_in, sizeof *s->ref)))
        return GR_EMEM;
    int64_t count = INT64_MAX;
    for (int i = 0; i < n->n_in; i++)
        if (!gr_dtype_is_float(n->in[i]->dtype)) {
            const int64_t size = gr_shape_size(o->arg[i].shape);
            gr__add_ref(p, s, gr__root(p, n->in[i]), o->arg_buffer[i], false);
            count = size < count ? size : count; /* of the indices; what they pick from may be integers too */
        }
    s->group = -1;
    s->fn = run_check;
    s->arg = o;
    s->tasks = 1;
    s->fallible = true;
    s->task_ns = 50 + (double)count;
    snprintf(s->name, sizeof s->name, "check %s", n->op->name);
    return GR_OK;
}

/* ---- some examples ----------------------------------------------------------------------------------------------- */

gr_call gr__eval_some(const gr__opaque *o, int64_t examples, gr_buffer *arg)
{
    const int n_in = o->node->n_in;
    gr_call c = call_of(o, arg);
    for (int i = 0; i < n_in + o->node->n_out; i++) {
        arg[i] = o->arg[i];
        if (i < n_in ? o->node->op->by_example >> i & 1 : !(o->node->op->traits & GR_SUMS_EXAMPLES))
            arg[i].shape.dim[0] = examples;
    }
    c.end = gr_shape_size(arg[n_in].shape);
    return c;
}

/* Where example `first` begins in a buffer of all of them. */
static void *example(const gr__run *run, int buffer, const gr_buffer *of, int64_t first)
{
    int64_t each = 1;
    for (int64_t d = 1; d < of->shape.rank; d++)
        each *= of->shape.dim[d];
    return (char *)run->data[buffer] + first * each * gr_dtype_size(of->dtype);
}

gr_status gr__run_eval(const gr__run *run, const gr__instr *in, const gr__examples *e)
{
    const gr__opaque *o = in->eval;
    gr_buffer arg[GR__OPERANDS + GR__RESULTS];
    gr_call c = gr__eval_some(o, e->count, arg);
    for (int i = 0; i < c.n_in + c.n_out; i++) {
        const gr__place *own = i < c.n_in ? &in->x[i] : i == c.n_in ? &in->y : NULL;
        bool all = i < c.n_in && !(c.op->by_example >> i & 1);
        if (own && own->buffer < 0)
            arg[i].data = e->scratch + own->offset;
        else if (o->arg_buffer[i] >= 0)
            arg[i].data = example(run, o->arg_buffer[i], &arg[i], all ? 0 : e->first);
    }
    if (c.op->traits & GR_SUMS_EXAMPLES) {
        arg[c.n_in].data = (char *)run->data[in->y.buffer] + e->part * gr_shape_size(arg[c.n_in].shape) *
                                                                 gr_dtype_size(arg[c.n_in].dtype);
        c.accumulate = e->again;
    }
    c.seed = run->seed;
    c.step = run->step;
    c.scratch = o->scratch ? e->scratch : NULL;
    c.ahead = e->ahead;
    return gr__call_eval(o->node, &c);
}
