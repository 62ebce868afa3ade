/* compiler/join.c: elementwise chains in fewer passes. An instruction of a tile program whose result has one reader is
 * joined with it, where ops/kernels/pair.h has a kernel for the two, again and again; so are a product and its sum,
 * and what an optimizer does with moments and weights. The bits stay the same. */
#include "compiler/code.h"

/* The program with what is asked of it again and again. A slot is made by one instruction. */
typedef struct {
    gr__code *c;
    int maker[GR__SLOTS];   /* per slot: which */
    int readers[GR__SLOTS]; /* and how often it is read */
} joiner;

static bool same_place(const gr__place *a, const gr__place *c)
{
    return a->buffer == c->buffer && a->offset == c->offset && a->row == c->row && a->col == c->col &&
           (a->buffer >= 0 || a->form == c->form);
}

static void count_reads(joiner *j, const gr__instr *in, int of_each)
{
    for (int k = 0; k < in->n_x; k++)
        if (in->x[k].buffer < 0)
            j->readers[in->x[k].offset] += of_each;
}

/* Instruction k from now on. */
static void replace(joiner *j, int k, const gr__instr *with)
{
    count_reads(j, &j->c->instr[k], -1);
    j->c->instr[k] = *with;
    count_reads(j, with, 1);
}

static void drop(joiner *j, int k)
{
    count_reads(j, &j->c->instr[k], -1);
    j->c->instr[k].op = GR__I_NONE;
}

/* Would i, run in k's place, read from memory what is overwritten by then, or by k itself in another order? */
static bool overwritten(const gr__code *c, int i, int k)
{
    for (int m = i + 1; m <= k; m++)
        for (int x = 0; x < c->instr[i].n_x; x++) {
            const gr__place *y = &c->instr[m].y, *from = &c->instr[i].x[x];
            bool same_element = m == k && from->offset == y->offset && from->row == y->row && from->col == y->col;
            if (y->buffer >= 0 && y->buffer == from->buffer && !same_element)
                return true;
            if (from->buffer >= 0 && gr__also_writes(&c->instr[m], from->buffer))
                return true;
        }
    return false;
}

/* A kernel for two instructions that share an operand, which is inner's second; NULL. */
static gr_tile_fn sharing(const gr__instr *inner, const gr__instr *outer, int at)
{
    if (outer->n_x == 2 && inner->n_x == 3 && same_place(&outer->x[1 - at], &inner->x[1]))
        return gr__tile_lerp(inner->tile, outer->tile);
    if (outer->n_x == 3 && inner->n_x == 2 && at == 0 && same_place(&outer->x[2], &inner->x[1]))
        return gr__tile_masked(inner->tile, outer->tile) ? gr__tile_masked(inner->tile, outer->tile)
                                                         : gr__tile_square_lerp(inner->tile, outer->tile);
    return NULL;
}

/* For dumps: all that outer does now. */
static void name(gr__instr *both, const gr__instr *inner, const gr__instr *outer)
{
    both->n_joined = 0;
    for (int i = 0; i < inner->n_joined && both->n_joined < GR__JOINED; i++)
        both->joined[both->n_joined++] = inner->joined[i];
    if (both->n_joined < GR__JOINED)
        both->joined[both->n_joined++] = inner->name;
    for (int i = 0; i < outer->n_joined && both->n_joined < GR__JOINED; i++)
        both->joined[both->n_joined++] = outer->joined[i];
}

/* outer(.. inner ..) as one instruction in outer's place; false if there is no kernel. */
static bool join(joiner *j, int maker, int k, int at)
{
    const gr__instr *inner = &j->c->instr[maker], *outer = &j->c->instr[k];
    const bool alone = j->readers[inner->y.offset] == 1;
    const gr_tile_fn one = sharing(inner, outer, at);
    gr_tile_fn tile = one ? one : gr__tile_pair(inner->tile, outer->tile, at);
    if (!tile && (outer->form & GR__COLS))
        tile = gr__tile_longer(inner->tile, outer->tile, at);
    if (!tile || (!alone && !gr__tile_twice(inner->tile, tile)))
        return false;
    gr__instr both = *outer;
    both.tile = tile;
    both.n_x = 0;
    for (int x = 0; x < inner->n_x; x++)
        both.x[both.n_x++] = inner->x[x];
    if (one && both.n_x == 2)
        both.x[both.n_x++] = outer->x[1];
    for (int x = 0; x < outer->n_x && !one; x++)
        if (x != at)
            both.x[both.n_x++] = outer->x[x];
    name(&both, inner, outer);
    replace(j, k, &both);
    if (alone)
        drop(j, maker);
    return true;
}

/* Joins k with the maker of one of its operands. */
static bool join_operand(joiner *j, int k)
{
    const gr__code *c = j->c;
    const gr__instr *in = &c->instr[k];
    for (int x = 0; in->op == GR__I_TILE && x < in->n_x; x++) {
        int i = in->x[x].buffer < 0 ? j->maker[in->x[x].offset] : -1;
        if (i >= 0 && c->instr[i].op == GR__I_TILE && c->instr[i].form == in->form && c->instr[i].rows == in->rows &&
            c->instr[i].cols == in->cols && !overwritten(c, i, k) && join(j, i, k, x))
            return true;
    }
    return false;
}

/* Do the elements of a tile lie in a row, and in one run if there are rows of them? */
static bool dense(const gr__code *c, const gr__instr *in, const gr__place *x, bool one_run)
{
    const gr__layout *l = c->layout;
    if (x->buffer < 0)
        return one_run ? x->form == in->input_form : (x->form & GR__COLS) != 0;
    return x->col == 1 && (!one_run || (x->row == in->cols && (l->kind == GR__EXAMPLE || l->tile_cols == l->cols)));
}

/* Joins a sum with the product, or the square, that it is of. What is summed in one run would be in one run alone. */
static void join_sum(joiner *j, int k)
{
    const gr__code *c = j->c;
    gr__instr sum = c->instr[k];
    int i = sum.x[0].buffer < 0 ? j->maker[sum.x[0].offset] : -1;
    if (i < 0 || sum.reduce != GR_REDUCE_SUM || !(sum.input_form & GR__COLS))
        return;
    const gr__instr *of = &c->instr[i];
    const bool square = of->tile == gr__tile_f32(GR__TILE_square), one_run = sum.axes == (GR__ROWS | GR__COLS);
    if (of->op != GR__I_TILE || !(square || of->tile == gr__tile_f32(GR__TILE_mul)) || of->form != sum.input_form ||
        of->rows != sum.rows || of->cols != sum.cols || j->readers[of->y.offset] != 1 || overwritten(c, i, k))
        return;
    for (int x = 0; x < of->n_x; x++)
        if (!dense(c, &sum, &of->x[x], one_run))
            return;
    sum.x[0] = of->x[0];
    sum.x[1] = of->x[square ? 0 : 1];
    sum.n_x = 2;
    name(&sum, of, &(gr__instr){0});
    replace(j, k, &sum);
    drop(j, i);
}

/* ---- two results ------------------------------------------------------------------------------------------------- */

/* The instruction before k that makes what lies at x, if it is elementwise, over the same elements and into memory, and
 * may run in k's place; or -1. */
static int made_before(const gr__code *c, int k, const gr__place *x)
{
    for (int i = k - 1; i >= 0 && x->buffer >= 0; i--) {
        const gr__instr *in = &c->instr[i], *then = &c->instr[k];
        if (in->op == GR__I_TILE && same_place(&in->y, x)) {
            const bool alike = in->form == then->form && in->rows == then->rows && in->cols == then->cols;
            return alike && !in->also && !overwritten(c, i, k) ? i : -1;
        }
        for (int m = 0; m < in->n_x && in->op != GR__I_NONE; m++)
            if (in->x[m].buffer == x->buffer) /* it cannot be made later */
                return -1;
    }
    return -1;
}

/* Are its operands and results rows whose columns lie side by side? */
static bool has_rows(const gr__instr *in)
{
    bool side_by_side = in->form & GR__COLS;
    for (int k = 0; k <= in->n_x; k++) {
        const gr__place *x = k < in->n_x ? &in->x[k] : &in->y;
        side_by_side = side_by_side && (x->buffer < 0 ? (x->form & GR__COLS) != 0 : x->col == 1);
    }
    return side_by_side;
}

/* A sum and its gelu. */
static void join_gelu(joiner *j, int k)
{
    const gr__code *c = j->c;
    const int i = made_before(c, k, &c->instr[k].x[0]);
    const gr_tile_fn tile = i < 0 ? NULL : gr__tile_sum_gelu(c->instr[i].tile, c->instr[k].tile);
    if (!tile)
        return;
    gr__instr both = c->instr[k];
    both.tile = tile;
    both.x[0] = c->instr[i].x[0], both.x[1] = c->instr[i].x[1], both.x[2] = c->instr[i].y;
    both.n_x = 3, both.also = 1;
    both.joined[both.n_joined++] = c->instr[i].name;
    if (!has_rows(&both))
        return;
    replace(j, k, &both);
    drop(j, i);
}

/* A gelu, its slope at the same place, and the slope's product with operand 1 - at of k. */
static bool join_slope(joiner *j, int k, int at)
{
    const gr__code *c = j->c;
    const gr__instr *outer = &c->instr[k];
    const gr_tile_fn gelu_tanh = gr__tile_f32(GR__TILE_gelu_tanh);
    const int slope = outer->x[at].buffer < 0 ? j->maker[outer->x[at].offset] : -1;
    const gr_tile_fn tile = slope < 0 ? NULL : gr__tile_gelu_slope(gelu_tanh, c->instr[slope].tile, outer->tile);
    int gelu = -1;
    if (!tile || !same_place(&c->instr[slope].y, &outer->x[at]) || j->readers[outer->x[at].offset] != 1 ||
        overwritten(c, slope, k))
        return false;
    for (int i = 0; i < k; i++)
        if (c->instr[i].op == GR__I_TILE && c->instr[i].tile == gelu_tanh &&
            same_place(&c->instr[i].x[0], &c->instr[slope].x[0]))
            gelu = i;
    if (gelu < 0 || made_before(c, k, &c->instr[gelu].y) != gelu)
        return false;
    gr__instr both = *outer;
    both.tile = tile;
    both.x[0] = c->instr[gelu].x[0], both.x[1] = outer->x[1 - at], both.x[2] = c->instr[gelu].y;
    both.n_x = 3, both.also = 1;
    both.joined[both.n_joined++] = c->instr[gelu].name;
    both.joined[both.n_joined++] = c->instr[slope].name;
    if (!has_rows(&both))
        return false;
    replace(j, k, &both);
    drop(j, gelu);
    drop(j, slope);
    return true;
}

/* ---- an optimizer's update --------------------------------------------------------------------------------------- */

static bool is_number(const gr__place *x)
{
    return x->buffer < 0 ? !x->form : !x->row && !x->col;
}

static bool is_dense(const gr__place *x, int form)
{
    return x->buffer < 0 ? x->form == form : x->col == 1;
}

/* Operands of a moment: [g, s, m, b], or [g, m, b]; and is m overwritten by it? */
static bool is_moment(const gr__instr *in)
{
    const gr__place *old = &in->x[in->n_x - 2];
    return same_place(old, &in->y) && is_dense(old, in->form) && is_dense(&in->x[0], in->form) &&
           is_number(&in->x[in->n_x - 1]) && (in->n_x == 3 || is_number(&in->x[1]));
}

/* Both moments, and the step [v, e, m, r, w] that is made of them, as one instruction in the step's place. */
static void join_update(joiner *j, int k)
{
    const gr__code *c = j->c;
    const gr__instr *step = &c->instr[k];
    const int i_v = step->n_x == 5 ? made_before(c, k, &step->x[0]) : -1,
              i_m = i_v < 0 ? -1 : made_before(c, k, &step->x[2]);
    if (i_m < 0 || i_m == i_v)
        return;
    const gr__instr *m = &c->instr[i_m], *v = &c->instr[i_v];
    const gr_tile_fn tile = gr__tile_update(m->tile, v->tile, step->tile);
    if (!tile || !is_moment(m) || !is_moment(v) || !same_place(&m->x[0], &v->x[0]) ||
        (m->n_x == 4 && !same_place(&m->x[1], &v->x[1])) || !is_number(&step->x[1]) || !is_number(&step->x[3]) ||
        !same_place(&step->x[4], &step->y) || !is_dense(&step->y, step->form) || step->y.buffer == m->y.buffer ||
        step->y.buffer == v->y.buffer)
        return;
    gr__instr moments = *v, all = *step;
    all.tile = tile;
    name(&moments, m, v);
    name(&all, &moments, step);
    all.n_x = 0;
    const gr__place *x[] = {&step->y, &m->x[0], &m->x[m->n_x - 1], &v->x[v->n_x - 1], &step->x[3], &step->x[1],
        m->n_x == 4 ? &m->x[1] : NULL, &m->y, &v->y};
    for (int i = 0; i < GR__PAIR_OPERANDS; i++)
        if (x[i])
            all.x[all.n_x++] = *x[i];
    all.also = 2;
    replace(j, k, &all);
    drop(j, i_m);
    drop(j, i_v);
}

static void start(joiner *j, gr__code *c, int n_slots)
{
    j->c = c;
    for (int i = 0; i < n_slots; i++) {
        j->maker[i] = -1;
        j->readers[i] = 0;
    }
    for (int k = 0; k < c->n; k++) {
        count_reads(j, &c->instr[k], 1);
        if (c->instr[k].y.buffer < 0)
            j->maker[c->instr[k].y.offset] = k;
    }
}

void gr__join_pairs(gr__code *c, int n_slots)
{
    joiner j;
    if (c->layout->f64)
        return;
    start(&j, c, n_slots);
    for (int k = 0; k < c->n; k++) {
        if (c->instr[k].op == GR__I_TILE && c->instr[k].n_x == 1)
            join_gelu(&j, k);
        else if (c->instr[k].op == GR__I_TILE && c->instr[k].n_x == 2 && !join_slope(&j, k, 0))
            join_slope(&j, k, 1);
    }
    for (int k = 0; k < c->n; k++) {
        while (join_operand(&j, k))
            ;
        if (c->instr[k].op == GR__I_REDUCE)
            join_sum(&j, k);
        else
            join_update(&j, k);
    }
    int n = 0;
    for (int i = 0; i < c->n; i++)
        if (c->instr[i].op != GR__I_NONE) {
            if (n < i)
                c->instr[n] = c->instr[i];
            n++;
        }
    c->n = n;
}
