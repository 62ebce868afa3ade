/* compiler/lower.c: a group as a tile program.
 *
 * Operands in memory are read where they lie if two strides say how and no conversion is needed, else a LOAD brings
 * them into scratch. A result that is needed outside goes straight to memory, where the group's own readers find it too
 * (a copy out of scratch afterwards made an MLP's step 2 % slower); one that has to be converted, or that overwrites
 * what is still to be read, is made in scratch and a STORE copies it out. Scratch slots are reused as soon as their
 * last reader has run. */
#include "compiler/code.h"
#include "compiler/touch.h"
#include "core/size.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/tile.h"
#include <string.h>

enum {
    INSTRUCTIONS = GR__GROUP_NODES * (GR_TILE_INPUTS + 3),
    REFS = GR__GROUP_NODES * (GR__OPERANDS + GR__RESULTS),
    AHEAD_BYTES = 384 << 10, /* fetched for the next examples: it shares L2 with what these make */
};

typedef struct {
    gr__plan *p;
    gr__step *step;
    const gr__group *g;
    const gr__layout *l;
    gr__code *code;
    gr__domain d; /* of the node in question */
    int n_slots;
    int64_t slot_bytes[GR__SLOTS];
    gr__place made[GR__GROUP_NODES]; /* per node: where its result is read from */
    gr__instr late[GR__GROUP_NODES]; /* STOREs that wait for the end */
    int n_late;
    gr__instr instr[INSTRUCTIONS]; /* the program and what it touches, while their sizes are not known */
    gr__ref ref[REFS];
} lowering;

int64_t gr__parts(const gr__layout *l, int axes)
{
    int64_t n = 1;
    if (axes & GR__ROWS)
        n *= (l->rows + l->tile_rows - 1) / l->tile_rows;
    if (axes & GR__COLS)
        n *= (l->cols + l->tile_cols - 1) / l->tile_cols;
    return n;
}

static int cut(const gr__layout *l)
{
    return (l->tile_rows < l->rows ? GR__ROWS : 0) | (l->tile_cols < l->cols ? GR__COLS : 0);
}

static int member(const lowering *b, int node)
{
    if (b->p->node[node].group != b->step->group)
        return -1;
    for (int i = 0; i < b->g->n_nodes; i++)
        if (b->g->node[i] == node)
            return i;
    return -1;
}

static gr_dtype compute_type(const lowering *b)
{
    return b->l->f64 ? GR_F64 : GR_F32;
}

static int64_t form_rows(const lowering *b, int form)
{
    return form & GR__ROWS ? b->d.rows : 1;
}
static int64_t form_cols(const lowering *b, int form)
{
    return form & GR__COLS ? b->d.cols : 1;
}

static gr__place new_slot(lowering *b, int form)
{
    int64_t n = (form & GR__ROWS ? b->d.tile_rows : 1) * (form & GR__COLS ? b->d.tile_cols : 1);
    b->slot_bytes[b->n_slots] = (n * (b->l->f64 ? 8 : 4) + 63) & ~(int64_t)63;
    return (gr__place){.buffer = -1, .offset = b->n_slots++, .form = form};
}

static gr__place in_memory(const lowering *b, int buffer, int form)
{
    return (gr__place){.buffer = buffer,
        .form = form,
        .row = !(form & GR__ROWS) ? 0
               : form & GR__COLS  ? b->d.cols
                                  : 1,
        .col = form & GR__COLS ? 1 : 0};
}

static void touch(lowering *b, int value, bool write)
{
    gr__step *s = b->step;
    int buffer = b->p->value[value].buffer;
    for (int i = 0; i < s->n_refs; i++)
        if (s->ref[i].value == value && s->ref[i].write == write)
            return;
    s->ref[s->n_refs++] = (gr__ref){value, buffer, write};
    s->bytes += (double)(b->p->value[value].count * gr_dtype_size(b->p->value[value].dtype));
}

static void emit(lowering *b, const gr__instr *in)
{
    gr__instr *put = &b->code->instr[b->code->n++];
    *put = *in;
    put->rows = b->d.rows;
    put->cols = b->d.cols;
}

/* ---- operands ---------------------------------------------------------------------------------------------------- */

static bool same_access(const gr__access *a, const gr__access *c)
{
    return a->value == c->value && a->offset == c->offset && gr_shape_equal(*a->shape, *c->shape) &&
           memcmp(a->stride, c->stride, (size_t)a->shape->rank * sizeof *a->stride) == 0;
}

/* An earlier LOAD of the same elements, or -1. */
static int loaded(const lowering *b, const gr__instr *want, const gr__access *a)
{
    for (int i = 0; i < b->code->n; i++) {
        const gr__instr *in = &b->code->instr[i];
        if (in->op == GR__I_LOAD && in->y.buffer < 0 && in->form == want->form && in->rows == b->d.rows &&
            in->cols == b->d.cols && in->x[0].buffer == want->x[0].buffer &&
            (in->access ? want->access && same_access(in->access, a)
                        : !want->access && in->x[0].offset == want->x[0].offset && in->x[0].row == want->x[0].row &&
                              in->x[0].col == want->x[0].col))
            return i;
    }
    return -1;
}

/* The LOAD that would bring an outer operand to a consumer of this form. */
static gr__instr load_of(const lowering *b, const gr__access *a, int form)
{
    const gr__value *v = &b->p->value[a->value];
    gr__plane x = gr__plane_of(a, form_rows(b, form), form_cols(b, form));
    gr__instr in = {.op = GR__I_LOAD, .form = form, .n_x = 1, .dtype = v->dtype, .access = x.plain ? NULL : a};
    in.x[0] = (gr__place){.buffer = v->buffer, .offset = x.offset, .row = x.row, .col = x.col};
    if (x.plain)
        in.form &= (x.row ? GR__ROWS : 0) | (x.col ? GR__COLS : 0);
    return in;
}

static gr__place outer_operand(lowering *b, const gr__access *a, int form)
{
    gr__instr in = load_of(b, a, form);
    touch(b, a->value, false);
    if (!in.access && in.dtype == compute_type(b) && (in.x[0].col == 0 || in.x[0].col == 1))
        return in.x[0];
    int old = loaded(b, &in, a);
    if (old >= 0)
        return b->code->instr[old].y;
    in.y = new_slot(b, in.form);
    emit(b, &in);
    return in.y;
}

/* What node `from` of the group made, as a node reads it that sees this form in it. */
static gr__place own_operand(const lowering *b, int from, int form)
{
    gr__place x = b->made[from];
    if (b->l->kind != GR__EXAMPLE || !b->l->form[from])
        return x;
    x.form = form;
    return x.buffer < 0 ? x : in_memory(b, x.buffer, form);
}

static gr__place operand(lowering *b, int i, int k)
{
    const gr__access *a = &b->p->node[b->g->node[i]].access[k];
    int from = member(b, b->p->value[a->value].node);
    return from >= 0 ? own_operand(b, from, b->l->form[i]) : outer_operand(b, a, b->l->form[i]);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static bool reads(const gr__plan *p, int node, int value)
{
    const gr__pnode *n = &p->node[node];
    for (int k = 0; k < n->node->n_in; k++)
        if ((n->work == GR__CONTRACT ? n->operand[k] : n->access[k].value) == value)
            return true;
    return false;
}

static bool read_later(const lowering *b, int i, int value)
{
    for (int k = i + 1; k < b->g->n_nodes; k++)
        if (reads(b->p, b->g->node[k], value))
            return true;
    return false;
}

/* Does node i read the value other than each element just before it writes that element? */
static bool reads_elsewhere(const lowering *b, int i, int value)
{
    const gr__pnode *n = &b->p->node[b->g->node[i]];
    int form = b->l->form[i];
    gr__place own = in_memory(b, 0, form);
    if (!reads(b->p, b->g->node[i], value))
        return false;
    for (int k = 0; n->work == GR__TILE && k < n->node->n_in; k++) {
        gr__plane x = gr__plane_of(&n->access[k], form_rows(b, form), form_cols(b, form));
        if (n->access[k].value == value && (!x.plain || x.offset || x.row != own.row || x.col != own.col))
            return true;
    }
    return n->work != GR__TILE;
}

/* Is this the storage of a variable whose old value is still to be read when node i writes? */
static bool old_value_still_read(const lowering *b, int i, int buffer)
{
    const int old = b->p->buffer[buffer].value;
    return b->p->buffer[buffer].space == GR__VARIABLE && old >= 0 &&
           (read_later(b, i, old) || reads_elsewhere(b, i, old));
}

/* Gives an instruction its place to write to, emits it, and the STORE it may need. */
static void finish(lowering *b, int i, gr__instr *in)
{
    const gr__layout *l = b->l;
    int value = b->p->node[b->g->node[i]].value, buffer = b->p->value[value].buffer;
    bool everywhere = (l->form[i] & cut(l)) != cut(l); /* every task computes it: the first one stores it */
    in->form = l->form[i];
    in->name = b->p->node[b->g->node[i]].node->op->name;
    if (buffer >= 0)
        touch(b, value, true);
    if (buffer >= 0 && !everywhere && !old_value_still_read(b, i, buffer) &&
        b->p->value[value].dtype == compute_type(b)) {
        in->y = b->made[i] = in_memory(b, buffer, in->form);
        emit(b, in);
        return;
    }
    in->y = b->made[i] = new_slot(b, in->form);
    emit(b, in);
    if (buffer < 0)
        return;
    gr__instr store = {.op = GR__I_STORE,
        .once = everywhere,
        .form = in->form,
        .n_x = 1,
        .x = {in->y},
        .y = in_memory(b, buffer, in->form),
        .dtype = b->p->value[value].dtype};
    if (b->p->buffer[buffer].space == GR__VARIABLE)
        b->late[b->n_late++] = store;
    else
        emit(b, &store);
}

static void lower_tile(lowering *b, int i)
{
    const gr__pnode *n = &b->p->node[b->g->node[i]];
    gr__instr in = {.op = GR__I_TILE, .n_x = n->node->n_in, .attr = n->node->attr, .tile = n->tile};
    if (n->work == GR__VIEW) {
        const gr__access *a = &n->access[0];
        in.tile = b->l->f64 ? gr__tile_f64(GR__TILE_copy) : gr__tile_f32(GR__TILE_copy);
        if (member(b, b->p->value[a->value].node) < 0) {
            gr__instr load = load_of(b, a, b->l->form[i]);
            if (load.form == b->l->form[i]) { /* brings it where it has to go */
                touch(b, a->value, false);
                finish(b, i, &load);
                return;
            }
        }
    }
    for (int k = 0; k < in.n_x; k++)
        in.x[k] = operand(b, i, k);
    finish(b, i, &in);
}

/* The same of a sum: if it is cut, each task has a result of its own. */
static void finish_sum(lowering *b, int i, gr__instr *in)
{
    int partial = b->g->partial[i];
    if (partial < 0) {
        finish(b, i, in);
        return;
    }
    in->form = b->l->form[i];
    in->name = b->p->node[b->g->node[i]].node->op->name;
    in->parts = b->l->reduced[i] & cut(b->l);
    in->moments = in->op == GR__I_REDUCE && in->reduce == GR_REDUCE_VARIANCE;
    in->y = in_memory(b, b->p->value[partial].buffer, in->form);
    touch(b, partial, true);
    if (b->l->kind == GR__EXAMPLE && b->l->block_rows < b->l->tile_rows) { /* later blocks make theirs apart first */
        int64_t bytes = form_rows(b, in->form) * form_cols(b, in->form) * (b->l->f64 ? 8 : 4) * (in->moments ? 3 : 1);
        b->code->kernel_scratch = bytes > b->code->kernel_scratch ? bytes : b->code->kernel_scratch;
    }
    emit(b, in);
}

static int input_form(const lowering *b, int i)
{
    return b->l->form[i] | b->l->reduced[i];
}

static void lower_reduce(lowering *b, int i)
{
    const gr__pnode *n = &b->p->node[b->g->node[i]];
    int value = n->access[0].value, from = member(b, b->p->value[value].node);
    gr__instr in = {.op = GR__I_REDUCE,
        .n_x = 1,
        .reduce = n->low->reduce,
        .axes = b->l->reduced[i],
        .input_form = input_form(b, i)};
    if (from >= 0) {
        in.x[0] = own_operand(b, from, in.input_form);
    } else {
        touch(b, value, false);
        in.x[0] = in_memory(b, b->p->value[value].buffer, in.input_form);
    }
    finish_sum(b, i, &in);
}

/* Space for an eval of as many examples as a task has. */
static void eval_scratch(lowering *b, gr__opaque *o)
{
    gr_buffer arg[GR__OPERANDS + GR__RESULTS];
    gr_call c = gr__eval_some(o, b->l->block_rows, arg);
    o->scratch = c.op->scratch ? c.op->scratch(&c) : 0;
    if (o->scratch > b->code->kernel_scratch)
        b->code->kernel_scratch = o->scratch;
}

static gr_status lower_eval(lowering *b, int i)
{
    const gr__pnode *n = &b->p->node[b->g->node[i]];
    gr__opaque *o = gr__opaque_of(b->p, b->g->node[i]);
    gr__instr in = {.op = GR__I_EVAL, .n_x = n->node->n_in, .eval = o};
    if (!o)
        return GR_EMEM;
    for (int k = 0; k < in.n_x; k++) {
        int root = gr__root(b->p, n->node->in[k]), from = member(b, b->p->value[root].node);
        in.x[k] = from >= 0 ? b->made[from] : (gr__place){.buffer = b->p->value[root].buffer};
        if (from < 0)
            touch(b, root, false);
    }
    for (int k = 1; k < n->node->n_out; k++)
        if (o->arg_buffer[in.n_x + k] >= 0) /* else nobody reads it */
            touch(b, n->value + k, true);
    eval_scratch(b, o);
    if (n->sums_examples)
        finish_sum(b, i, &in);
    else
        finish(b, i, &in);
    return GR_OK;
}

static void lower_contract(lowering *b, int i)
{
    const gr__pnode *n = &b->p->node[b->g->node[i]];
    gr__instr in = {.op = GR__I_CONTRACT, .product = n};
    for (int k = 0; k < 2; k++) {
        touch(b, n->operand[k], false);
        in.x[k] = (gr__place){.buffer = b->p->value[n->operand[k]].buffer, .offset = n->operand_offset[k]};
    }
    gr__gemm g = {.m = b->l->tile_rows,
        .n = b->l->tile_cols,
        .k = n->low->k,
        .a_row = n->low->a_row,
        .a_col = n->low->a_col,
        .b_row = n->low->b_row,
        .b_col = n->low->b_col,
        .b_block = n->low->b_block,
        .c_row = b->l->cols};
    const int64_t full = b->l->tile_rows, end = b->l->rows % full;
    const int64_t parts = n->low->groups > 1 ? full : 0; /* of a tile that lies in several groups */
    for (int64_t m = 0; m <= full; m++)
        for (int last = 0; (m == full || m == end || m < parts) && last < 2; last++) {
            g.m = m;
            g.n = last ? b->l->cols % b->l->tile_cols : b->l->tile_cols;
            int64_t bytes = (int64_t)gr__gemm_scratch(&g, (size_t)(b->l->f64 ? 8 : 4));
            b->code->kernel_scratch = bytes > b->code->kernel_scratch ? bytes : b->code->kernel_scratch;
        }
    b->step->flops += 2 * (double)b->l->rows * (double)b->l->cols * (double)n->low->k;
    finish(b, i, &in);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static bool written_here(const gr__code *c, int buffer)
{
    for (int i = 0; i < c->n; i++)
        if (c->instr[i].y.buffer == buffer || gr__also_writes(&c->instr[i], buffer))
            return true;
    return false;
}

static bool uniform(const gr__code *c, const gr__instr *in, const bool *uniform_slot)
{
    if ((in->op != GR__I_TILE && in->op != GR__I_LOAD) || in->form || in->y.buffer >= 0 || in->access)
        return false;
    for (int k = 0; k < in->n_x; k++)
        if (in->x[k].buffer < 0 ? !uniform_slot[in->x[k].offset]
                                : in->x[k].row || in->x[k].col || written_here(c, in->x[k].buffer))
            return false;
    return true;
}

/* The finished program: numbers that are the same for every tile to the front; the order is kept otherwise. */
static bool hoist(lowering *b)
{
    gr__code *c = b->code;
    bool same[GR__SLOTS] = {false}, first[INSTRUCTIONS] = {false};
    gr__instr *sorted = gr__arena_alloc(&b->p->arena, c->n, sizeof *sorted);
    int n = 0;
    for (int i = 0; sorted && i < c->n; i++)
        if (uniform(c, &c->instr[i], same)) {
            same[c->instr[i].y.offset] = first[i] = true;
            sorted[n++] = c->instr[i];
        }
    c->first = n;
    for (int i = 0; sorted && i < c->n; i++)
        if (!first[i])
            sorted[n++] = c->instr[i];
    c->instr = sorted;
    return sorted != NULL;
}

/* ---- cost -------------------------------------------------------------------------------------------------------- */

static double estimate_ns(const lowering *b)
{
    double ns = 0;
    double tiles = (double)(b->code->row_tiles * b->code->col_tiles);
    for (int i = 0; i < b->code->n; i++) {
        const gr__instr *in = &b->code->instr[i];
        int form = in->op == GR__I_REDUCE ? in->input_form : in->form;
        double n = (double)(form & GR__ROWS ? in->rows : 1) * (double)(form & GR__COLS ? in->cols : 1);
        ns += in->op == GR__I_CONTRACT ? n * (double)in->product->low->k * (b->l->f64 ? 0.04 : 0.02) : n * 0.08;
        ns += i >= b->code->first ? 25 * tiles : 25;
    }
    for (int i = 0; i < b->g->n_nodes; i++) {
        const gr__pnode *n = &b->p->node[b->g->node[i]];
        double count = (double)b->p->value[n->value].count;
        if (n->node->op->traits & GR_EXPENSIVE)
            ns += count * 0.4;
        if (n->work == GR__CONTRACT)
            continue;
        b->step->flops += n->flops;
        if (n->examples)
            ns += gr__eval_ns(n->flops, count);
    }
    return ns + b->step->bytes * 0.02;
}

static void name_step(const lowering *b)
{
    static const char *const kinds[] = {"map", "row", "col", "all", "example"};
    const gr__pnode *best = &b->p->node[b->g->node[0]];
    for (int i = 0; i < b->g->n_nodes; i++) {
        const gr__pnode *n = &b->p->node[b->g->node[i]];
        if (best->work != GR__CONTRACT && !best->examples &&
            (n->work == GR__CONTRACT || n->work == GR__REDUCE || n->examples))
            best = n;
    }
    snprintf(b->step->name, sizeof b->step->name, "%s %lldx%lld %s +%d", kinds[b->l->kind], (long long)b->l->rows,
        (long long)b->l->cols, best->node->op->name, b->g->n_nodes - 1);
}

static gr_status lower_nodes(lowering *b)
{
    for (int i = 0; i < b->g->n_nodes; i++) {
        gr__work w = b->p->node[b->g->node[i]].work;
        b->d = gr__domain_of(b->l, i);
        if (w == GR__OPAQUE)
            GR_TRY(lower_eval(b, i));
        else if (w == GR__CONTRACT)
            lower_contract(b, i);
        else if (w == GR__REDUCE)
            lower_reduce(b, i);
        else
            lower_tile(b, i);
    }
    for (int i = 0; i < b->n_late; i++)
        emit(b, &b->late[i]);
    gr__join_pairs(b->code, b->n_slots);
    return hoist(b) ? GR_OK : GR_EMEM;
}

/* Only a single long row is read in one run. */
static gr_status find_streams(gr__plan *p, gr__code *c)
{
    const gr__layout *l = c->layout;
    if (l->rows != 1 || c->col_tiles < 2)
        return GR_OK;
    c->stream = gr__arena_alloc(&p->arena, (int64_t)c->n * GR__OPERANDS, sizeof *c->stream);
    if (!c->stream)
        return GR_EMEM;
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->instr[i].n_x; k++) {
            const gr__place *x = &c->instr[i].x[k];
            int s = 0;
            if (x->buffer < 0 || x->col != 1 || x->offset || c->instr[i].op == GR__I_CONTRACT ||
                (c->instr[i].op == GR__I_LOAD && gr_dtype_size(c->instr[i].dtype) != (l->f64 ? 8 : 4)))
                continue;
            while (s < c->n_streams && c->stream[s] != x->buffer)
                s++;
            if (s == c->n_streams)
                c->stream[c->n_streams++] = x->buffer;
        }
    return GR_OK;
}

static void add_stretch(gr__code *c, int buffer, int64_t offset, int64_t each, int64_t *bytes)
{
    if (buffer < 0 || each * c->layout->block_rows > AHEAD_BYTES - *bytes || c->n_stretches == GR__AHEAD_RUNS)
        return;
    for (int s = 0; s < c->n_stretches; s++)
        if (c->stretch[s].buffer == buffer && c->stretch[s].offset == offset)
            return;
    c->stretch[c->n_stretches++] = (gr__stretch){buffer, offset, each};
    *bytes += each * c->layout->block_rows;
}

/* What an instruction reads or writes of an example, operand k or its result (-1). */
static void find_stretch(gr__code *c, const gr__instr *in, int k, int64_t *bytes)
{
    const gr__place *x = k < 0 ? &in->y : &in->x[k];
    if (in->op == GR__I_EVAL) {
        const gr__opaque *o = in->eval;
        const gr_buffer *b = &o->arg[k < 0 ? in->n_x : k];
        const unsigned traits = o->node->op->traits;
        if (b->shape.rank && b->shape.dim[0] == c->layout->rows &&
            (k < 0 ? !(traits & GR_SUMS_EXAMPLES) : o->node->op->by_example >> k & 1))
            add_stretch(c, x->buffer, 0, gr_shape_size(b->shape) / c->layout->rows * gr_dtype_size(b->dtype), bytes);
    } else if ((in->op == GR__I_TILE || (in->op == GR__I_REDUCE && k >= 0)) && x->row == in->cols) {
        const int64_t elem = c->layout->f64 ? 8 : 4;
        add_stretch(c, x->buffer, x->offset * elem, in->rows / c->layout->rows * in->cols * elem, bytes);
    }
}

static gr_status find_stretches(gr__plan *p, gr__code *c)
{
    int64_t bytes = 0;
    if (c->layout->kind != GR__EXAMPLE)
        return GR_OK;
    if (!(c->stretch = gr__arena_alloc(&p->arena, GR__AHEAD_RUNS, sizeof *c->stretch)))
        return GR_EMEM;
    for (int i = c->first; i < c->n; i++)
        for (int k = -1; k < c->instr[i].n_x; k++)
            find_stretch(c, &c->instr[i], k, &bytes);
    return GR_OK;
}

struct gr__lowering_room {
    lowering b;
    gr__places slots;
};

gr_status gr__lower_group(gr__plan *p, gr__step *s, int group)
{
    const gr__group *g = &p->group[group];
    const gr__layout *l = g->layout;
    gr__code *code = gr__arena_alloc(&p->arena, 1, sizeof *code);
    if (!p->room && !(p->room = gr__resize(NULL, 1, sizeof *p->room))) /* which need not be cleared */
        return GR_EMEM;
    if (!code)
        return GR_EMEM;
    *code = (gr__code){.layout = l};
    code->row_tiles = (l->rows + l->tile_rows - 1) / l->tile_rows;
    code->col_tiles = (l->cols + l->tile_cols - 1) / l->tile_cols;
    lowering *b = &p->room->b;
    b->p = p, b->step = s, b->g = g, b->l = l, b->code = code;
    b->n_slots = b->n_late = 0;
    code->instr = b->instr;
    s->ref = b->ref;
    GR_TRY(lower_nodes(b));
    if (!(s->ref = gr__arena_copy(&p->arena, b->ref, s->n_refs * (int64_t)sizeof *b->ref)))
        return GR_EMEM;
    for (int i = 0; i < g->n_nodes; i++)
        code->rows_first = code->rows_first || p->node[g->node[i]].work == GR__CONTRACT;
    gr__place_slots(code, b->n_slots, b->slot_bytes, &p->room->slots);
    GR_TRY(find_streams(p, code));
    GR_TRY(find_stretches(p, code));
    p->scratch = code->scratch > p->scratch ? code->scratch : p->scratch;
    s->fn = gr__run_code;
    s->touches = gr__touch_code;
    s->arg = code;
    s->tasks = code->row_tiles * code->col_tiles;
    s->task_ns = estimate_ns(b) / (double)s->tasks;
    name_step(b);
    return GR_OK;
}
