/* compiler/touch.c: see touch.h. The second half follows tile.c, which runs what is told here. */
#include "compiler/touch.h"
#include "compiler/code.h"
#include <stdlib.h>

/* ---- runs of bytes ----------------------------------------------------------------------------------------------- */

int64_t gr__touch_end(const gr__touch *a)
{
    int64_t end = a->at + a->run;
    for (int d = 0; d < a->axes; d++)
        end += (a->count[d] - 1) * a->stride[d];
    return end;
}

int64_t gr__touch_runs(const gr__touch *a)
{
    int64_t n = 1;
    for (int d = 0; d < a->axes; d++)
        n *= a->count[d];
    return n;
}

int64_t gr__touch_bytes(const gr__touch *a)
{
    return gr__touch_runs(a) * a->run;
}

int64_t gr__touch_run_at(const gr__touch *a, int64_t i)
{
    int64_t at = a->at;
    for (int d = 0; d < a->axes; d++) {
        at += i % a->count[d] * a->stride[d];
        i /= a->count[d];
    }
    return at;
}

/* Axes are merged with the run, or with the one below, where that leaves no gap. */
static void put_axis(gr__touch *t, int64_t count, int64_t stride)
{
    if (!t->axes && stride <= t->run) {
        t->run += (count - 1) * stride;
    } else if (t->axes && stride == t->count[t->axes - 1] * t->stride[t->axes - 1]) {
        t->count[t->axes - 1] *= count;
    } else {
        t->count[t->axes] = count;
        t->stride[t->axes++] = stride;
    }
}

static gr__touch *next(gr__touches *t)
{
    if (t->n == t->room) {
        int64_t more = t->room ? 2 * t->room : 256;
        gr__touch *list = t->failed ? NULL : gr__resize(t->list, more, sizeof *list);
        if (!list) {
            t->failed = true;
            return NULL;
        }
        t->list = list;
        t->room = more;
    }
    return &t->list[t->n];
}

void gr__touch_add(gr__touches *t, int buffer, bool write, const gr__box *b)
{
    int64_t at = b->at;
    bool done[GR__TOUCH_AXES] = {false};
    for (int d = 0; d < b->axes; d++) {
        if (b->count[d] <= 0)
            return;
        at += b->stride[d] < 0 ? (b->count[d] - 1) * b->stride[d] : 0;
        done[d] = b->count[d] == 1 || b->stride[d] == 0;
    }
    gr__touch *new = next(t);
    if (!new)
        return;
    *new = (gr__touch){t->step, t->task, buffer, write, at, b->size, 0, {0}, {0}};
    for (;;) {
        int least = -1;
        for (int d = 0; d < b->axes; d++)
            if (!done[d] && (least < 0 || llabs(b->stride[d]) < llabs(b->stride[least])))
                least = d;
        if (least < 0)
            break;
        put_axis(new, b->count[least], llabs(b->stride[least]));
        done[least] = true;
    }
    t->n++;
}

void gr__touch_run(gr__touches *t, int buffer, bool write, int64_t at, int64_t bytes)
{
    if (bytes > 0)
        gr__touch_add(t, buffer, write, &(gr__box){.at = at, .size = bytes});
}

void gr__touch_task(const gr__plan *p, int step, int64_t task, gr__touches *t)
{
    const gr__step *s = &p->step[step];
    t->step = step;
    t->task = task;
    if (s->touches)
        s->touches(p, s, t);
    for (int i = 0; !s->touches && i < s->n_refs; i++)
        gr__touch_run(t, s->ref[i].buffer, s->ref[i].write, 0, p->buffer[s->ref[i].buffer].bytes);
}

/* Two runs each at the same distance: they meet only if they do so on the circle of that length. */
static bool pass_by(const gr__touch *a, const gr__touch *b, int64_t apart)
{
    if (a->axes != 1 || b->axes != 1 || a->stride[0] != b->stride[0])
        return false;
    int64_t round = a->stride[0], behind = (b->at + apart - a->at) % round;
    behind += behind < 0 ? round : 0;
    return behind >= a->run && behind + b->run <= round;
}

/* The lower and the upper half along the last axis. */
static void halve(const gr__touch *a, gr__touch half[2])
{
    int last = a->axes - 1;
    int64_t n = a->count[last] / 2;
    half[0] = half[1] = *a;
    half[0].count[last] = n;
    half[1].count[last] = a->count[last] - n;
    half[1].at += n * a->stride[last];
    for (int i = 0; i < 2; i++)
        half[i].axes -= half[i].count[last] == 1;
}

bool gr__touch_meet(const gr__touch *a, const gr__touch *b, int64_t apart)
{
    gr__touch half[2];
    int64_t a_end = gr__touch_end(a), b_end = gr__touch_end(b);
    if (a_end <= b->at + apart || b_end + apart <= a->at)
        return false;
    if (!a->axes && !b->axes)
        return true;
    if (pass_by(a, b, apart))
        return false;
    if (!b->axes || (a->axes && a_end - a->at >= b_end - b->at)) {
        halve(a, half);
        return gr__touch_meet(&half[0], b, apart) || gr__touch_meet(&half[1], b, apart);
    }
    halve(b, half);
    return gr__touch_meet(a, &half[0], apart) || gr__touch_meet(a, &half[1], apart);
}

bool gr__touch_holds(const gr__touch *a, const gr__touch *b)
{
    const int64_t runs = gr__touch_runs(b);
    if (!a->axes)
        return a->at <= b->at && gr__touch_end(b) <= a->at + a->run;
    for (int64_t i = 0; i < runs; i++) {
        int64_t from = gr__touch_run_at(b, i), at = a->at;
        for (int d = a->axes - 1; d >= 0 && from >= at; d--) {
            int64_t k = (from - at) / a->stride[d];
            at += (k < a->count[d] ? k : a->count[d] - 1) * a->stride[d];
        }
        if (from < at || from + b->run > at + a->run)
            return false;
    }
    return true;
}

/* ---- tile programs ----------------------------------------------------------------------------------------------- */

typedef struct { /* a task, as it is for one instruction */
    gr__touches *t;
    const gr__code *code;
    int64_t r0, c0, rows, cols, part[GR__ROWS + GR__COLS + 1]; /* its number by the axes that are counted */
    int64_t elem;
} tile;

/* What an operand of this form lies on. */
static void place(const tile *t, const gr__place *x, int form, int64_t size, int64_t before, bool write)
{
    if (x->buffer < 0)
        return;
    gr__box b = {(x->offset + t->r0 * x->row + t->c0 * x->col + before) * size, size, 2,
        {form & GR__COLS ? t->cols : 1, form & GR__ROWS ? t->rows : 1}, {x->col * size, x->row * size}};
    gr__touch_add(t->t, x->buffer, write, &b);
}

/* All of a strided operand: reads only, and it is not told which of it is whose. */
static void access(const tile *t, const gr__instr *in, int64_t size)
{
    const gr__access *a = in->access;
    gr__box b = {.at = a->offset * size, .size = size, .axes = (int)a->shape->rank};
    for (int d = 0; d < b.axes; d++) {
        b.count[d] = a->shape->dim[d];
        b.stride[d] = a->stride[d] * size;
    }
    gr__touch_add(t->t, in->x[0].buffer, false, &b);
}

static void product(const tile *t, const gr__instr *in)
{
    const gr_lowering *l = in->product->low;
    for (int64_t done = 0, m; done < t->rows; done += m) {
        int64_t group = (t->r0 + done) / l->m, i = (t->r0 + done) % l->m, a = in->x[0].offset, b = in->x[1].offset;
        m = l->m - i < t->rows - done ? l->m - i : t->rows - done;
        for (int64_t d = l->group_rank - 1; d >= 0; d--) {
            a += group % l->group_dim[d] * l->a_group[d];
            b += group % l->group_dim[d] * l->b_group[d];
            group /= l->group_dim[d];
        }
        gr__touch_add(t->t, in->x[0].buffer, false,
            &(gr__box){(a + i * l->a_row) * t->elem, t->elem, 2, {l->k, m}, {l->a_col * t->elem, l->a_row * t->elem}});
        if (l->b_block) {
            const int64_t w = l->b_block / l->k, first = t->c0 / w, end = (t->c0 + t->cols + w - 1) / w;
            gr__touch_run(t->t, in->x[1].buffer, false, (b + first * l->b_block) * t->elem,
                (end - first) * l->b_block * t->elem);
            continue;
        }
        gr__touch_add(t->t, in->x[1].buffer, false,
            &(gr__box){(b + t->c0 * l->b_col) * t->elem, t->elem, 2, {t->cols, l->k},
                {l->b_col * t->elem, l->b_row * t->elem}});
    }
    place(t, &in->y, in->form, t->elem, 0, true);
}

static void reduction(const tile *t, const gr__instr *in)
{
    int64_t count = (in->form & GR__ROWS ? in->rows : 1) * (in->form & GR__COLS ? in->cols : 1);
    for (int k = 0; k < in->n_x; k++)
        place(t, &in->x[k], in->input_form, t->elem, 0, false);
    const int64_t size = in->moments ? 3 : 1, part = in->parts ? t->part[in->parts] : 0;
    for (int64_t k = 0; k < size; k++)
        place(t, &in->y, in->form, t->elem, (part * size + k) * count, true);
}

/* Examples r0 .. r0 + rows of what goes by examples, all of the rest. */
static void evaluation(const tile *t, const gr__instr *in)
{
    const gr__opaque *o = in->eval;
    const gr_op *op = o->node->op;
    const int n_in = o->node->n_in;
    for (int i = 0; i < n_in + o->node->n_out; i++) {
        const gr__place *own = i < n_in ? &in->x[i] : i == n_in ? &in->y : NULL;
        const gr_buffer *of = &o->arg[i];
        const int64_t bytes = gr_shape_size(of->shape) * gr_dtype_size(of->dtype);
        const bool sum = i == n_in && (op->traits & GR_SUMS_EXAMPLES), all = i < n_in && !(op->by_example >> i & 1);
        if ((own && own->buffer < 0) || (!sum && o->arg_buffer[i] < 0))
            continue;
        if (sum)
            gr__touch_run(t->t, in->y.buffer, true, t->part[GR__ROWS] * bytes, bytes);
        else if (all)
            gr__touch_run(t->t, o->arg_buffer[i], false, 0, bytes);
        else
            gr__touch_run(t->t, o->arg_buffer[i], i >= n_in, bytes / of->shape.dim[0] * t->r0,
                bytes / of->shape.dim[0] * t->rows);
    }
}

static void instruction(const tile *t, const gr__instr *in)
{
    const int64_t size = gr_dtype_size(in->dtype);
    switch (in->op) {
    case GR__I_EVAL:
        evaluation(t, in);
        break;
    case GR__I_LOAD:
        if (in->access)
            access(t, in, size);
        else
            place(t, &in->x[0], in->form, size, 0, false);
        place(t, &in->y, in->form, t->elem, 0, true);
        break;
    case GR__I_TILE:
        for (int k = 0; k < in->n_x; k++)
            place(t, &in->x[k], in->form, t->elem, 0, k >= in->n_x - in->also);
        place(t, &in->y, in->form, t->elem, 0, true);
        break;
    case GR__I_REDUCE:
        reduction(t, in);
        break;
    case GR__I_CONTRACT:
        product(t, in);
        break;
    case GR__I_STORE:
        place(t, &in->x[0], in->form, t->elem, 0, false);
        if (!in->once || t->t->task == 0)
            place(t, &in->y, in->form, size, 0, true);
        break;
    case GR__I_NONE:
        break;
    }
}

void gr__touch_code(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const gr__code *c = s->arg;
    const gr__layout *l = c->layout;
    const int64_t row = c->rows_first ? to->task % c->row_tiles : to->task / c->col_tiles;
    const int64_t col = c->rows_first ? to->task / c->row_tiles : to->task % c->col_tiles;
    tile whole = {.t = to, .code = c, .r0 = row * l->tile_rows, .c0 = col * l->tile_cols, .elem = l->f64 ? 8 : 4};
    whole.rows = l->rows - whole.r0 < l->tile_rows ? l->rows - whole.r0 : l->tile_rows;
    whole.cols = l->cols - whole.c0 < l->tile_cols ? l->cols - whole.c0 : l->tile_cols;
    whole.part[GR__ROWS] = row;
    whole.part[GR__COLS] = col;
    whole.part[GR__ROWS | GR__COLS] = row * c->col_tiles + col;
    for (int i = 0; i < c->n; i++) {
        const gr__instr *in = &c->instr[i];
        tile t = whole;
        if (i < c->first) {
            t.r0 = t.c0 = 0;
            t.rows = t.cols = 1;
        } else if (l->kind == GR__EXAMPLE) {
            const int64_t each = in->op == GR__I_EVAL ? 1 : in->rows / l->rows;
            t.r0 = whole.r0 * each;
            t.rows = whole.rows * each;
            t.c0 = 0;
            t.cols = in->cols;
        }
        instruction(&t, in);
    }
    (void)p;
}
