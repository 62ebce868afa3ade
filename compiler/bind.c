/* compiler/bind.c: the graph at one batch size. Decides by each op's lowering what kind of work a node is, which values
 * share their elements with which, and which views need no computing because all their consumers read through them. */
#include "compiler/layout.h"
#include "core/size.h"
#include <string.h>

/* ---- views ------------------------------------------------------------------------------------------------------- */

static void row_major(gr_shape s, int64_t *stride)
{
    int64_t step = 1;
    for (int64_t d = s.rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= s.dim[d];
    }
}

/* An access whose strides step through a view's result: the same elements in the view's source, if each stride steps
 * along exactly one axis of the view. */
static bool through_view(const gr_lowering *view, gr_shape shape, int64_t *stride, int64_t *offset)
{
    int64_t rm[GR_MAX_RANK], found[GR_MAX_RANK];
    row_major(view->out_shape, rm);
    if (*offset != 0)
        return false;
    bool used[GR_MAX_RANK] = {false};
    for (int64_t k = 0; k < shape.rank; k++) {
        found[k] = 0;
        if (stride[k] == 0 || shape.dim[k] == 1)
            continue;
        int64_t j = 0;
        while (j < view->out_shape.rank && (used[j] || rm[j] != stride[k] || view->out_shape.dim[j] != shape.dim[k]))
            j++;
        if (j == view->out_shape.rank)
            return false;
        used[j] = true;
        found[k] = view->stride[j];
    }
    memcpy(stride, found, (size_t)shape.rank * sizeof *stride);
    *offset = view->offset;
    return true;
}

/* Follows aliases and, while the strides can be expressed, views; the value that is read in the end. */
static int follow(const gr__plan *p, int value, gr_shape shape, int64_t *stride, int64_t *offset)
{
    for (;;) {
        value = p->value[value].root;
        const gr__pnode *n = &p->node[p->value[value].node];
        if (n->work != GR__VIEW || (p->off & GR_PASS_VIEWS) || !through_view(n->low, shape, stride, offset))
            return value;
        value = gr__value_of(p, n->node->in[0]);
    }
}

int gr__root(const gr__plan *p, const gr_tensor *x)
{
    return p->value[gr__value_of(p, x)].root;
}

int gr__read_value(const gr__plan *p, int node, int i)
{
    const gr__pnode *n = &p->node[node];
    return n->work == GR__CONTRACT ? n->operand[i] : n->access ? n->access[i].value : gr__root(p, n->node->in[i]);
}

/* Is element i of the consumer element i of the value, for all of them? */
static bool same_elements(const gr__plan *p, const gr__access *a)
{
    int64_t step = 1;
    for (int64_t d = a->shape->rank - 1; d >= 0; d--) {
        if (a->shape->dim[d] != 1 && a->stride[d] != step)
            return false;
        step *= a->shape->dim[d];
    }
    return a->offset == 0 && step == p->value[a->value].count;
}

gr__access gr__operand(const gr__plan *p, int node, int i)
{
    const gr__pnode *n = &p->node[node];
    int x = gr__value_of(p, n->node->in[i]);
    gr__access a = {.value = p->value[x].root, .shape = &p->value[n->value].shape};
    int64_t rm[GR_MAX_RANK];
    if (n->work == GR__VIEW) { /* computed as a copy */
        memcpy(a.stride, n->low->stride, sizeof a.stride);
        a.offset = n->low->offset;
    } else if (n->work == GR__TILE) {
        gr_shape s = p->value[x].shape;
        row_major(s, rm);
        for (int64_t k = a.shape->rank - 1, j = s.rank - 1; k >= 0 && j >= 0; k--, j--)
            a.stride[k] = s.dim[j] == 1 ? 0 : rm[j];
    } else {
        a.shape = &p->value[x].shape;
        row_major(*a.shape, a.stride);
        a.same = true;
        a.node = p->value[a.value].node;
        return a;
    }
    a.value = follow(p, a.value, *a.shape, a.stride, &a.offset);
    a.node = p->value[a.value].node;
    a.same = same_elements(p, &a);
    return a;
}

/* The operands of a product read through transposes; batch axes that b does not have are rows. */
static void bind_contract(const gr__plan *p, gr__pnode *n)
{
    gr_lowering *l = n->low;
    for (int i = 0; i < 2; i++) {
        int64_t rank = l->group_rank;
        gr_shape shape = {.rank = rank + 2 > GR_MAX_RANK ? GR_MAX_RANK : rank + 2};
        int64_t stride[GR_MAX_RANK] = {0}, offset = 0;
        int64_t *group = i ? l->b_group : l->a_group;
        int x = gr__value_of(p, n->node->in[i]);
        n->operand[i] = p->value[x].root;
        n->operand_offset[i] = 0;
        if (rank + 2 > GR_MAX_RANK || (i && l->b_block))
            continue;
        for (int64_t d = 0; d < rank; d++) {
            shape.dim[d] = l->group_dim[d];
            stride[d] = group[d];
        }
        shape.dim[rank] = i ? l->k : l->m;
        shape.dim[rank + 1] = i ? l->n : l->k;
        stride[rank] = i ? l->b_row : l->a_row;
        stride[rank + 1] = i ? l->b_col : l->a_col;
        n->operand[i] = follow(p, x, shape, stride, &offset);
        n->operand_offset[i] = offset;
        for (int64_t d = 0; d < rank; d++)
            group[d] = stride[d];
        *(i ? &l->b_row : &l->a_row) = stride[rank];
        *(i ? &l->b_col : &l->a_col) = stride[rank + 1];
    }
    while (l->group_rank > 0) { /* the innermost batch axis */
        int64_t d = l->group_rank - 1;
        if (l->group_dim[d] != 1 && (l->b_group[d] != 0 || (l->m != 1 && l->a_group[d] != l->m * l->a_row)))
            break;
        if (l->m == 1)
            l->a_row = l->a_group[d];
        l->m *= l->group_dim[d];
        l->groups /= l->group_dim[d];
        l->group_rank = d;
    }
}

/* ---- kinds of work ----------------------------------------------------------------------------------------------- */

static bool is_int(gr_dtype t)
{
    return t == GR_I32 || t == GR_I64 || t == GR_U8;
}

static bool tile_types_fit(const gr_lowering *l)
{
    if (!l->tile || l->n_in < 1 || l->n_in > GR_TILE_INPUTS || is_int(l->out_dtype))
        return false;
    for (int i = 0; i < l->n_in; i++)
        if (is_int(l->dtype[i]) && l->n_in > 1)
            return false;
    return true;
}

static bool reduces_something(const gr_lowering *l)
{
    for (int64_t d = 0; d < l->shape[0].rank; d++)
        if (l->axes[d] && l->shape[0].dim[d] != 1)
            return true;
    return false;
}

/* A sum over leading or over trailing axes is one over rows or columns; any other is left to the op. */
static bool leads_or_trails(const gr_lowering *l)
{
    int changes = 0;
    bool last = false, any = false;
    for (int64_t d = 0; d < l->shape[0].rank; d++) {
        if (l->shape[0].dim[d] == 1)
            continue;
        changes += any && l->axes[d] != last;
        last = l->axes[d];
        any = true;
    }
    return changes <= 1;
}

static gr__work work_of(const gr_lowering *l)
{
    switch (l->kind) {
    case GR_LOWER_TILE:
        return tile_types_fit(l) ? GR__TILE : GR__OPAQUE;
    case GR_LOWER_REDUCE:
        if (!gr_dtype_is_float(l->dtype[0]) || l->dtype[0] != l->out_dtype)
            return GR__OPAQUE;
        if (!reduces_something(l))
            return GR__ALIAS;
        return leads_or_trails(l) ? GR__REDUCE : GR__OPAQUE;
    case GR_LOWER_ALIAS:
        return l->dtype[0] == l->out_dtype ? GR__ALIAS : GR__OPAQUE;
    case GR_LOWER_VIEW:
        return l->dtype[0] == l->out_dtype ? GR__VIEW : GR__OPAQUE;
    case GR_LOWER_CONTRACT:
        return l->n_in == 2 && gr_dtype_is_float(l->out_dtype) && l->dtype[0] == l->out_dtype &&
                       l->dtype[1] == l->out_dtype
                   ? GR__CONTRACT
                   : GR__OPAQUE;
    default:
        return GR__OPAQUE;
    }
}

static gr_status bind_values(gr__plan *p, gr__pnode *n)
{
    for (int i = 0; i < n->node->n_out; i++) {
        gr__value *v = &p->value[n->value + i];
        const gr_tensor *x = &n->node->out[i];
        int64_t bytes;
        *v = (gr__value){.tensor = x, .dtype = x->dtype, .node = (int)n->node->id, .root = n->value + i, .buffer = -1};
        bool fits = gr_shape_bind(x->shape, p->batch, &v->shape);
        v->count = fits ? gr_shape_size(v->shape) : -1;
        GR_CHECK(v->count >= 0 && gr__mul(v->count, gr_dtype_size(v->dtype), &bytes), GR_EMEM,
            "program: the result of %s does not fit in memory at batch size %lld", n->node->op->name,
            (long long)p->batch);
    }
    return GR_OK;
}

/* Half a KiB, which few nodes need any longer. */
static gr_status keep_lowering(gr__plan *p, gr__pnode *n, const gr_lowering *l)
{
    n->low = gr__arena_copy(&p->arena, l, sizeof *l);
    const gr_dtype *dtype = gr__arena_copy(&p->arena, l->dtype, l->n_in * (int64_t)sizeof *dtype);
    const gr_shape *shape = gr__arena_copy(&p->arena, l->shape, l->n_in * (int64_t)sizeof *shape);
    if (!n->low || !dtype || !shape)
        return GR_EMEM;
    n->low->dtype = dtype;
    n->low->shape = shape;
    return GR_OK;
}

static gr_status bind_lowering(gr__plan *p, gr__pnode *n)
{
    const gr__node *node = n->node;
    gr_dtype dtype[64];
    gr_shape shape[64];
    const gr__value *y = &p->value[n->value];
    bool empty = y->count == 0;
    for (int i = 0; i < node->n_in; i++) {
        const gr__value *v = &p->value[gr__value_of(p, node->in[i])];
        dtype[i] = v->dtype;
        shape[i] = v->shape;
        empty = empty || v->count == 0;
    }
    gr_lowering l = {.op = node->op,
        .attr = node->attr,
        .n_in = node->n_in,
        .dtype = dtype,
        .shape = shape,
        .out_dtype = y->dtype,
        .out_shape = y->shape};
    if (node->op->lower && node->n_out == 1 && node->n_in >= 1) {
        node->op->lower(&l);
        n->work = work_of(&l);
        if (empty && n->work != GR__ALIAS)
            n->work = GR__OPAQUE;
    }
    n->tile = l.tile;
    n->flops = node->op->flops ? node->op->flops(&l) : (double)y->count;
    return n->work == GR__REDUCE || n->work == GR__CONTRACT || n->work == GR__VIEW ? keep_lowering(p, n, &l) : GR_OK;
}

/* What follows from shapes alone is computed now: a constant of this plan. */
static gr_status bind_constant(gr__plan *p, gr__pnode *n)
{
    const gr__node *node = n->node;
    const gr__value *v = &p->value[n->value];
    gr_buffer *in = gr__arena_alloc(&p->arena, node->n_in, sizeof *in), out = {v->dtype, v->shape, NULL};
    out.data = gr__arena_alloc(&p->arena, v->count + 1, gr_dtype_size(v->dtype));
    if (!in || !out.data)
        return GR_EMEM;
    for (int i = 0; i < node->n_in; i++) {
        const gr__value *x = &p->value[gr__value_of(p, node->in[i])];
        in[i] = (gr_buffer){x->dtype, x->shape, NULL};
    }
    gr_call c = {.op = node->op,
        .attr = node->attr,
        .n_in = node->n_in,
        .n_out = 1,
        .in = in,
        .out = &out,
        .end = v->count,
        .at = node->at};
    n->work = GR__LEAF;
    n->data = out.data;
    return gr__call_eval(node, &c);
}

/* How many examples the op may be called for some at a time; 0: it may not. */
static int64_t examples_of(const gr__plan *p, const gr__pnode *n)
{
    const gr__node *node = n->node;
    const gr__value *y = &p->value[n->value];
    int64_t examples = node->op->traits & GR_SUMS_EXAMPLES || !y->shape.rank ? 0 : y->shape.dim[0];
    if (!node->op->by_example || n->work != GR__OPAQUE || (p->off & GR_PASS_EXAMPLES) ||
        (node->op->traits & (GR_RANGED | GR_RANDOM | GR_CHECKED_DATA)) != GR_RANGED || node->n_in > GR__OPERANDS ||
        node->n_out > GR__RESULTS || !y->count || y->dtype != (n->f64 ? GR_F64 : GR_F32))
        return 0;
    for (int i = 0; i < node->n_in; i++) {
        const gr__value *x = &p->value[gr__value_of(p, node->in[i])];
        if (!(node->op->by_example >> i & 1))
            continue;
        if (!x->shape.rank || (examples && x->shape.dim[0] != examples))
            return 0;
        examples = x->shape.dim[0];
    }
    return examples;
}

static gr_status bind_node(gr__plan *p, gr__pnode *n)
{
    GR_TRY(bind_values(p, n));
    if (n->node->op->traits & GR_LEAF) {
        n->work = GR__LEAF;
        n->data = n->node->op == &gr_op_constant ? n->node->data : NULL;
        return GR_OK;
    }
    if ((n->node->op->traits & GR_SHAPE_ONLY) && n->node->n_out == 1)
        return bind_constant(p, n);
    n->f64 = gr__node_is_f64(n->node);
    n->work = n->node->op == &gr_op_assign ? GR__ASSIGN : GR__OPAQUE;
    GR_TRY(bind_lowering(p, n));
    n->examples = examples_of(p, n);
    n->sums_examples = n->examples && (n->node->op->traits & GR_SUMS_EXAMPLES);
    gr__value *v = &p->value[n->value];
    if (n->work == GR__ALIAS)
        v->root = gr__root(p, n->node->in[0]);
    if (n->work == GR__ASSIGN)
        v->root = gr__root(p, n->node->in[1]);
    return GR_OK;
}

/* ---- what is computed -------------------------------------------------------------------------------------------- */

static void need(gr__plan *p, int value)
{
    p->node[p->value[p->value[value].root].node].live = true;
}

static bool need_inputs(gr__plan *p, int id)
{
    gr__pnode *n = &p->node[id];
    const bool reads_through = n->work == GR__TILE || n->work == GR__VIEW || n->work == GR__REDUCE;
    if (reads_through && !n->access &&
        !(n->access = gr__arena_alloc(&p->arena, n->node->n_in, sizeof *n->access)))
        return false;
    for (int i = n->work == GR__ASSIGN ? 1 : 0; i < n->node->n_in; i++) {
        if (reads_through)
            n->access[i] = gr__operand(p, id, i);
        need(p, gr__read_value(p, id, i));
    }
    return true;
}

/* A view of integers is no tile: unless every consumer reads through it, its eval makes it. That may be true of the
 * view below it only then. */
static bool integer_views(gr__plan *p)
{
    bool changed = false;
    for (int id = 0; id < p->n_nodes; id++)
        if (p->node[id].work == GR__VIEW && p->node[id].live && is_int(p->value[p->node[id].value].dtype)) {
            p->node[id].work = GR__OPAQUE;
            p->node[id].access = NULL;
            changed = true;
        }
    return changed;
}

static bool find_live(gr__plan *p)
{
    bool good = true;
    for (int id = 0; id < p->n_nodes; id++)
        p->node[id].live = p->node[id].work == GR__LEAF;
    for (int i = 0; i < p->graph->n_out; i++)
        need(p, gr__value_of(p, p->graph->out[i]));
    for (int i = 0; i < p->graph->n_commit; i++)
        need(p, gr__value_of(p, p->graph->commit[i]));
    for (int id = p->n_nodes - 1; id >= 0 && good; id--)
        if (p->node[id].live && p->node[id].work != GR__LEAF)
            good = need_inputs(p, id);
    return good;
}

/* Data that follows from the inputs alone, no variable among them, can be checked before anything is updated. */
static bool find_early_checks(gr__plan *p)
{
    bool *given = gr__alloc(p->n_nodes + 1, sizeof *given);
    for (int id = 0; given && id < p->n_nodes; id++) {
        gr__pnode *n = &p->node[id];
        bool all = n->node->op != &gr_op_variable, integers = true;
        for (int i = 0; i < n->node->n_in; i++) {
            const gr_tensor *x = n->node->in[i];
            all = all && given[x->node->id];
            integers = integers && (gr_dtype_is_float(x->dtype) || given[x->node->id]);
        }
        given[id] = all;
        n->checked_early = n->work == GR__OPAQUE && n->node->op->check && integers;
    }
    gr__free(given);
    return given != NULL;
}

gr_status gr__plan_bind(gr__plan *p)
{
    const gr_tape *t = p->graph->tape;
    int64_t n_values = 0;
    for (int64_t id = 0; id < t->n_nodes; id++)
        n_values += t->node[id]->n_out;
    p->n_nodes = (int)t->n_nodes;
    p->n_values = (int)n_values;
    p->node =
        gr__arena_alloc(&p->arena, t->n_nodes, sizeof *p->node); /* and values for partial results and staged commits */
    p->value = gr__arena_alloc(&p->arena, n_values + t->n_nodes + p->graph->n_commit, sizeof *p->value);
    p->place = gr__arena_alloc(&p->arena, t->n_nodes, sizeof *p->place);
    p->own_domain = gr__arena_alloc(&p->arena, GR__GROUP_NODES, sizeof *p->own_domain);
    if (!p->node || !p->value || !p->place || !p->own_domain)
        return GR_EMEM;
    int next = 0;
    for (int64_t id = 0; id < t->n_nodes; id++) {
        p->node[id] = (gr__pnode){.node = t->node[id], .value = next, .group = -1};
        next += t->node[id]->n_out;
        GR_TRY(bind_node(p, &p->node[id]));
    }
    for (int id = 0; id < p->n_nodes; id++)
        if (p->node[id].work == GR__CONTRACT)
            bind_contract(p, &p->node[id]);
    if (!find_early_checks(p))
        return GR_EMEM;
    do
        if (!find_live(p))
            return GR_EMEM;
    while (integer_views(p));
    return GR_OK;
}
