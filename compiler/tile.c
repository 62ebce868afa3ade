/* compiler/tile.c: the machine that runs tile programs (code.h). */
#include "compiler/code.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/panel.h"
#include "ops/kernels/variance.h"

typedef struct {
    const gr__run *run;
    const gr__code *code;
    char *scratch;
    int64_t r0, c0, rows, cols; /* the tile */
    int64_t row_tile, col_tile;
    int64_t elem;
    int64_t done; /* rows of an instruction in the task's examples before these: its sums go on */
    gr__ahead *ahead;
} task;

static int64_t rows_of(const task *t, int form)
{
    return form & GR__ROWS ? t->rows : 1;
}
static int64_t cols_of(const task *t, int form)
{
    return form & GR__COLS ? t->cols : 1;
}

/* Scratch tiles are as wide as the tile itself, so that whole ones are one run. Written in place, number by number:
 * a copy of what was just stored in pieces waits until all earlier stores, a whole tile's, have left for the cache. */
static inline void resolve(const task *t, const gr__place *x, gr_tile_arg *to)
{
    if (x->buffer < 0) {
        to->data = t->scratch + x->offset;
        to->row = x->form & GR__ROWS ? cols_of(t, x->form) : 0;
        to->col = x->form & GR__COLS ? 1 : 0;
    } else {
        to->data = (char *)t->run->data[x->buffer] + (x->offset + t->r0 * x->row + t->c0 * x->col) * t->elem;
        to->row = x->row;
        to->col = x->col;
    }
}

static void run_tile(const task *t, const gr__instr *in)
{
    gr_tile a = {.rows = rows_of(t, in->form), .cols = cols_of(t, in->form), .attr = in->attr};
    gr_tile_arg more[GR__PAIR_OPERANDS - GR_TILE_INPUTS];
    resolve(t, &in->y, &a.y);
    for (int k = 0; k < in->n_x; k++)
        resolve(t, &in->x[k], k < GR_TILE_INPUTS ? &a.x[k] : &more[k - GR_TILE_INPUTS]);
    if (in->n_x > GR_TILE_INPUTS)
        a.attr = more;
    if (!(in->form & GR__COLS)) { /* one number a row: a row of them, if they lie in one run */
        bool run = true;
        a.y.col = 1;
        for (int k = 0; k < in->n_x; k++)
            run = run && a.x[k].row >= 0 && a.x[k].row <= 1;
        if (run) {
            a.cols = a.rows;
            a.rows = 1;
            for (int k = 0; k < in->n_x; k++)
                a.x[k].col = a.x[k].row;
        }
    }
    in->tile(&a);
}

/* n: results of the instruction, all tasks together. */
static void panel(gr__panel *p, const gr__instr *in, int64_t n, bool f64)
{
    if (p->kind == GR_REDUCE_VARIANCE) {
        const gr__moments_of of = in->axes == GR__ROWS   ? GR__OF_COLUMNS
                                  : in->axes == GR__COLS ? GR__OF_ROWS
                                                         : GR__OF_ALL;
        if (in->moments)
            gr__panel_moments(p, of, n, f64);
        else
            gr__panel_variance(p, of, f64);
    } else if (in->axes == in->input_form && in->input_form == GR__ROWS) { /* a column of numbers lies in one run */
        p->cols = p->rows;
        p->rows = 1;
        gr__panel_cols(p, f64);
    } else if (in->axes == (GR__ROWS | GR__COLS)) {
        gr__panel_all(p, f64);
    } else if (in->axes == GR__ROWS) {
        gr__panel_rows(p, f64);
    } else {
        gr__panel_cols(p, f64);
    }
}

static void add(void *sums, const void *more, int64_t n, bool f64)
{
    for (int64_t i = 0; i < n; i++)
        if (f64)
            ((double *)sums)[i] += ((const double *)more)[i];
        else
            ((float *)sums)[i] += ((const float *)more)[i];
}

static void run_reduce(const task *t, const gr__instr *in)
{
    gr_tile_arg x, y, times;
    resolve(t, &in->x[0], &x);
    resolve(t, &in->y, &y);
    gr__panel p = {in->reduce, rows_of(t, in->input_form), cols_of(t, in->input_form), x.data, x.row, .y = y.data};
    if (in->n_x == 2) {
        resolve(t, &in->x[1], &times);
        p.times = times.data, p.times_row = times.row;
    }
    bool f64 = t->code->layout->f64;
    int64_t count = (in->form & GR__ROWS ? in->rows : 1) * (in->form & GR__COLS ? in->cols : 1);
    int64_t size = in->moments ? 3 * count : count;
    if (in->parts) {
        int64_t part = in->parts == GR__ROWS   ? t->row_tile
                       : in->parts == GR__COLS ? t->col_tile
                                               : t->row_tile * t->code->col_tiles + t->col_tile;
        p.y = (char *)y.data + part * size * t->elem;
    }
    void *before = p.y;
    if (t->done)
        p.y = t->scratch;
    panel(&p, in, count, f64);
    if (t->done && in->moments) {
        double each = in->axes & GR__COLS ? (double)p.cols : 1;
        gr__moments_add(before, each * (double)t->done, p.y, each * (double)p.rows, count, f64);
    } else if (t->done) {
        add(before, p.y, count, f64);
    }
}

/* Rows of a batched product: each run of rows within one group of the batch is one call. */
static void run_contract(const task *t, const gr__instr *in)
{
    const gr_lowering *l = in->product->low;
    gr_tile_arg y;
    resolve(t, &in->y, &y);
    const int64_t c_row = in->y.buffer < 0 ? t->cols : t->code->layout->cols;
    const int64_t block = l->b_block ? l->b_block / l->k : 1; /* a tile begins at one: gemm.h */
    gr__gemm g = {.n = t->cols,
        .k = l->k,
        .a_row = l->a_row,
        .a_col = l->a_col,
        .b_row = l->b_row,
        .b_col = l->b_col,
        .b_block = l->b_block,
        .c_row = c_row,
        .scratch = t->code->kernel_scratch ? t->scratch : NULL};
    for (int64_t done = 0; done < t->rows; done += g.m) {
        int64_t group = (t->r0 + done) / l->m, i = (t->r0 + done) % l->m, a = in->x[0].offset, b = in->x[1].offset;
        for (int64_t d = l->group_rank - 1; d >= 0; d--) {
            a += group % l->group_dim[d] * l->a_group[d];
            b += group % l->group_dim[d] * l->b_group[d];
            group /= l->group_dim[d];
        }
        g.m = l->m - i < t->rows - done ? l->m - i : t->rows - done;
        g.a = (const char *)t->run->data[in->x[0].buffer] + (a + i * l->a_row) * t->elem;
        b += l->b_block ? t->c0 / block * l->b_block : t->c0 * l->b_col;
        g.b = (const char *)t->run->data[in->x[1].buffer] + b * t->elem;
        g.c = (char *)y.data + done * c_row * t->elem;
        if (t->elem == 8)
            gr__gemm_f64(&g);
        else
            gr__gemm_f32(&g);
    }
}

/* ---- loads and stores -------------------------------------------------------------------------------------------- */

/* n elements of an access from a flat index on, whatever its strides. */
static void load_run(const gr__access *a, gr_dtype dtype, const char *data, int64_t flat, int64_t n, char *y, bool f64)
{
    const gr_shape shape = *a->shape;
    int64_t size = gr_dtype_size(dtype), elem = f64 ? 8 : 4, last = shape.rank - 1;
    while (n > 0) {
        int64_t rest = flat, at = a->offset, inner = last >= 0 ? shape.dim[last] : 1;
        for (int64_t d = last; d >= 0; d--) {
            at += rest % shape.dim[d] * a->stride[d];
            rest /= shape.dim[d];
        }
        int64_t run = inner - (last >= 0 ? flat % inner : 0);
        run = run < n ? run : n;
        gr__load(dtype, data + at * size, last >= 0 ? a->stride[last] : 1, run, y, f64);
        flat += run;
        n -= run;
        y += run * elem;
    }
}

static void run_load(const task *t, const gr__instr *in)
{
    const gr__place *x = &in->x[0];
    const gr__layout *l = t->code->layout;
    gr_tile_arg y;
    resolve(t, &in->y, &y);
    const char *data = t->run->data[x->buffer];
    int64_t rows = rows_of(t, in->form), cols = cols_of(t, in->form), size = gr_dtype_size(in->dtype);
    int64_t col = in->form & GR__COLS ? x->col : 1;
    if (!in->access && !(in->form & GR__COLS)) {
        gr__load(in->dtype, data + (x->offset + t->r0 * x->row) * size, x->row, rows, y.data, l->f64);
        return;
    }
    if (!in->access && col == 1) {
        const int64_t at = x->offset + (in->form & GR__ROWS ? t->r0 * x->row : 0) + t->c0;
        gr__load_rows(&(gr__rows){rows, cols, x->row, y.row}, in->dtype, data + at * size, y.data, l->f64);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        char *to = (char *)y.data + r * y.row * t->elem;
        int64_t r0 = in->form & GR__ROWS ? t->r0 + r : 0, c0 = in->form & GR__COLS ? t->c0 : 0;
        if (in->access)
            load_run(in->access, in->dtype, data, r0 * (in->form & GR__COLS ? in->cols : 1) + c0, cols, to, l->f64);
        else
            gr__load(in->dtype, data + (x->offset + r0 * x->row + c0 * x->col) * size, col, cols, to, l->f64);
    }
}

static void run_store(const task *t, const gr__instr *in)
{
    gr_tile_arg x;
    resolve(t, &in->x[0], &x);
    const int64_t rows = rows_of(t, in->form), cols = cols_of(t, in->form), size = gr_dtype_size(in->dtype);
    char *data = (char *)t->run->data[in->y.buffer] + (t->r0 * in->y.row + t->c0 * in->y.col) * size;
    gr__store_rows(&(gr__rows){rows, cols, x.row, in->y.row}, x.data, in->dtype, data, t->code->layout->f64);
}

static gr_status run_instr(const task *t, const gr__instr *in)
{
    switch (in->op) {
    case GR__I_EVAL: {
        const gr__examples e = {t->r0, t->rows, t->row_tile, t->done > 0, t->scratch, t->ahead};
        return gr__run_eval(t->run, in, &e);
    }
    case GR__I_LOAD:
        run_load(t, in);
        break;
    case GR__I_TILE:
        run_tile(t, in);
        break;
    case GR__I_REDUCE:
        run_reduce(t, in);
        break;
    case GR__I_CONTRACT:
        run_contract(t, in);
        break;
    case GR__I_STORE:
        if (!in->once || (t->row_tile == 0 && t->col_tile == 0))
            run_store(t, in);
        break;
    case GR__I_NONE:
        break;
    }
    return GR_OK;
}

/* What the examples from `first` on read and write in memory, for the evals before them to fetch. */
static void look_ahead(const task *t, int64_t first, gr__ahead *ahead)
{
    const gr__code *code = t->code;
    const int64_t left = code->layout->rows - first, block = code->layout->block_rows, n = left < block ? left : block;
    ahead->n = ahead->first = 0;
    for (int i = 0; i < code->n_stretches && n > 0; i++) {
        const gr__stretch *s = &code->stretch[i];
        ahead->run[ahead->n].at = (const char *)t->run->data[s->buffer] + s->offset + first * s->each;
        ahead->run[ahead->n++].bytes = n * s->each;
    }
}

/* A task that is some examples, block after block; each instruction has them in a domain of its own. */
static gr_status run_examples(const task *t)
{
    const gr__code *code = t->code;
    task own = *t;
    gr__ahead ahead;
    own.ahead = &ahead;
    for (int64_t done = 0; done < t->rows; done += code->layout->block_rows) {
        int64_t left = t->rows - done, n = left < code->layout->block_rows ? left : code->layout->block_rows;
        look_ahead(t, t->r0 + done + n, &ahead);
        for (int i = code->first; i < code->n; i++) {
            const gr__instr *in = &code->instr[i];
            int64_t each = in->op == GR__I_EVAL ? 1 : in->rows / code->layout->rows;
            own.r0 = (t->r0 + done) * each;
            own.done = done * each;
            own.rows = n * each;
            own.cols = in->cols;
            GR_TRY(run_instr(&own, in));
        }
    }
    return GR_OK;
}

/* Asks for the next tile's part of a stream. A tile ends where the hardware's own prefetching would start again. */
static void fetch_ahead(const task *t, int stream)
{
    enum { LINE = 64 };
    int64_t from = t->c0 + t->code->layout->tile_cols, end = from + t->code->layout->tile_cols;
    end = end < t->code->layout->cols ? end : t->code->layout->cols;
    const char *data = t->run->data[stream];
    for (int64_t at = from * t->elem; at < end * t->elem; at += LINE)
        __builtin_prefetch(data + at, 0, 2);
}

gr_status gr__run_code(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end)
{
    const gr__code *code = s->arg;
    const gr__layout *l = code->layout;
    task t = {.run = run, .code = code, .scratch = run->scratch[thread], .elem = l->f64 ? 8 : 4, .rows = 1, .cols = 1};
    for (int i = 0; i < code->first; i++)
        GR_TRY(run_instr(&t, &code->instr[i]));
    for (int64_t k = begin; k < end; k++) {
        t.row_tile = code->rows_first ? k % code->row_tiles : k / code->col_tiles;
        t.col_tile = code->rows_first ? k / code->row_tiles : k % code->col_tiles;
        t.r0 = t.row_tile * l->tile_rows;
        t.c0 = t.col_tile * l->tile_cols;
        t.rows = l->rows - t.r0 < l->tile_rows ? l->rows - t.r0 : l->tile_rows;
        t.cols = l->cols - t.c0 < l->tile_cols ? l->cols - t.c0 : l->tile_cols;
        if (l->kind == GR__EXAMPLE) {
            GR_TRY(run_examples(&t));
            continue;
        }
        for (int i = code->first; i < code->n; i++) {
            for (int f = i - code->first; f < code->n_streams; f += code->n - code->first)
                fetch_ahead(&t, code->stream[f]);
            GR_TRY(run_instr(&t, &code->instr[i]));
        }
    }
    return GR_OK;
}
