/* compiler/example.c: groups whose tasks are examples.
 *
 * A convolution or a pooling makes example n of its result out of example n of its input (gr_op.by_example). Such nodes
 * run together with the elementwise work and the sums around them, a few examples at a time, so that what one makes is
 * still in the cache when the next reads it. Every value made in the group is one run of memory per example; hence the
 * nodes need not agree on rows and columns, each has a plane of its own (layout.h). */
#include "compiler/code.h"
#include <string.h>

enum {
    TASK_BYTES = 192 << 10, /* made at one time, where there is a choice */
    MOST_BYTES = 768 << 10, /* by one example: more would not stay in the second-level cache */
    TASKS = 16,             /* wanted at least */
    SUM_BYTES = 5 << 19,    /* of the partial results of large sums, where that leaves TASKS of them */
    FEW = 8,                /* examples: they do not occupy many threads */
    FEW_NS = 20000,         /* of all of them on one thread: below this one is enough */
};

typedef struct {
    const gr__plan *p;
    int n;
    const int *node;
    gr__layout *l;
    int64_t examples;
    const char *why;
} set;

static const gr__pnode *at(const set *s, int i)
{
    return &s->p->node[s->node[i]];
}

static int64_t count_of(const set *s, int value)
{
    return s->p->value[value].count;
}

static int member(const set *s, int value)
{
    int node = s->p->value[value].node, i = s->p->place[node];
    return i < s->n && s->node[i] == node ? i : -1;
}

static int whole(int64_t rows, int64_t cols)
{
    return (rows > 1 ? GR__ROWS : 0) | (cols > 1 ? GR__COLS : 0);
}

/* The plane of node i, `count` elements with rows of `cols`. */
static bool plane(set *s, int i, int64_t count, int64_t cols)
{
    s->why = "L10: the rows of a value do not fall into examples";
    if (count % s->examples || cols < 1 || count / s->examples % cols)
        return false;
    s->l->own[i].rows = count / cols;
    s->l->own[i].cols = cols;
    s->l->form[i] = (unsigned char)whole(count / cols, cols);
    return true;
}

/* An elementwise node's rows are as long as an operand that is read again for each of them, or else its last axis. */
static int64_t row_length(const set *s, int i)
{
    const gr__pnode *n = at(s, i);
    int64_t all = count_of(s, n->value);
    for (int k = 0; k < n->node->n_in; k++) {
        const gr__access *a = &n->access[k];
        int64_t inner = 1;
        for (int64_t d = a->shape->rank - 1; d >= 0 && count_of(s, a->value) > 1; d--) {
            inner *= a->shape->dim[d];
            gr__plane x = gr__plane_of(a, all / inner, inner);
            if (inner > 1 && inner < all && x.plain && x.row == 0)
                return inner;
        }
    }
    gr_shape shape = s->p->value[n->value].shape;
    return shape.rank ? shape.dim[shape.rank - 1] : 1;
}

static bool elementwise(set *s, int i)
{
    const gr__pnode *n = at(s, i);
    gr__layout *l = s->l;
    if (count_of(s, n->value) == 1 && s->examples > 1) { /* a number: every task computes it */
        l->own[i].rows = s->examples;
        l->own[i].cols = 1;
        l->form[i] = 0;
    } else if (!plane(s, i, count_of(s, n->value), row_length(s, i))) {
        return false;
    }
    for (int k = 0; k < n->node->n_in; k++) {
        const gr__access *a = &n->access[k];
        int from = member(s, a->value);
        if (from < 0 || (s->examples > 1 && !l->form[from]))
            continue;
        gr__plane x = gr__plane_of(a, l->own[i].rows, l->own[i].cols);
        s->why = "L10: an operand made in the group is read in another order than it is made in";
        if (!l->form[i] || a->value != at(s, from)->value || count_of(s, a->value) != count_of(s, n->value) ||
            !x.plain || x.offset || (x.row != l->own[i].cols && l->own[i].rows > 1) ||
            (x.col != 1 && l->own[i].cols > 1))
            return false;
    }
    return true;
}

/* A sum or variance over the leading axes, the examples among them, or over all. */
static bool reduction(set *s, int i)
{
    const gr__pnode *n = at(s, i);
    int64_t in = count_of(s, n->access[0].value), left = count_of(s, n->value), d = 0;
    int from = member(s, n->access[0].value);
    s->why = "L10: the axes summed over are not the leading ones";
    if (n->low->reduce != GR_REDUCE_SUM && n->low->reduce != GR_REDUCE_VARIANCE)
        return false;
    while (d < n->low->shape[0].rank && (n->low->axes[d] || n->low->shape[0].dim[d] == 1))
        d++;
    for (; d < n->low->shape[0].rank; d++)
        if (n->low->axes[d] && n->low->shape[0].dim[d] != 1)
            return false;
    if (from >= 0 && n->access[0].value != at(s, from)->value)
        return false;
    if (!plane(s, i, in, left > 1 ? left : in / s->examples))
        return false;
    s->l->reduced[i] = (unsigned char)(left > 1 ? s->l->form[i] & GR__ROWS : s->l->form[i]);
    s->l->form[i] = (unsigned char)(s->l->form[i] & ~s->l->reduced[i]);
    s->l->partial[i] = true;
    return from < 0 || s->l->form[from] || s->examples == 1;
}

/* Inputs that are whole, like a kernel, have to be there before. */
static bool evaluation(set *s, int i)
{
    const gr__pnode *n = at(s, i);
    s->why = "L10: an operand that every example needs is made in the group";
    for (int k = 0; k < n->node->n_in; k++) {
        int root = gr__root(s->p, n->node->in[k]), from = member(s, root);
        if (from >= 0 && (!(n->node->op->by_example >> k & 1) || root != at(s, from)->value))
            return false;
    }
    int64_t count = count_of(s, n->value);
    if (!n->sums_examples)
        return plane(s, i, count, count / s->examples);
    s->l->own[i].rows = s->examples;
    s->l->own[i].cols = count;
    s->l->form[i] = count > 1 ? GR__COLS : 0;
    s->l->reduced[i] = s->examples > 1 ? GR__ROWS : 0;
    s->l->partial[i] = true;
    return true;
}

static bool reads(const set *s, int i, int value)
{
    for (int k = 0; k < at(s, i)->node->n_in; k++)
        if (gr__read_value(s->p, s->node[i], k) == value)
            return true;
    return false;
}

/* Sums are cut, so nobody in the group may read one. */
static bool sums_are_not_read(set *s)
{
    s->why = "L2: a sum is used in the group that is cut along its axis";
    for (int i = 0; i < s->n; i++)
        for (int k = i + 1; k < s->n && s->l->partial[i]; k++)
            if (reads(s, k, at(s, i)->value))
                return false;
    return true;
}

/* Bytes of what is made in the group and lives at one time, per example. */
static int64_t live_bytes(const set *s)
{
    int64_t live = 0, most = 0, bytes[GR__GROUP_NODES];
    int last[GR__GROUP_NODES];
    for (int i = 0; i < s->n; i++) {
        bool kept = s->l->form[i] && !s->l->partial[i] && !gr__as_if_read(at(s, i));
        bytes[i] = kept ? count_of(s, at(s, i)->value) / s->examples * (s->l->f64 ? 8 : 4) : 0;
        last[i] = i;
        for (int k = 0; k < at(s, i)->node->n_in; k++) {
            int from = member(s, gr__read_value(s->p, s->node[i], k));
            if (from >= 0)
                last[from] = i;
        }
    }
    for (int i = 0; i < s->n; i++) {
        live += bytes[i];
        most = live > most ? live : most;
        for (int k = 0; k <= i; k++)
            live -= last[k] == i ? bytes[k] : 0;
    }
    return most;
}

/* Of the evals, which are most of it, on one thread. */
static double time_of(const set *s)
{
    double ns = 0;
    for (int i = 0; i < s->n; i++) {
        const gr__pnode *n = at(s, i);
        double count = (double)count_of(s, n->value);
        if (n->examples)
            ns += gr__eval_ns(n->flops, count);
    }
    return ns;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    x = x > high ? high : x;
    return x < low ? low : x;
}

/* A task does a block of examples at a time, and no more than one block unless the sums it makes are large: there is
 * one of each for each task. */
static bool cut_into_tasks(set *s)
{
    gr__layout *l = s->l;
    int64_t each = live_bytes(s), n = s->examples, most = (n + TASKS - 1) / TASKS, sums = 1;
    s->why = "L6: what an example makes does not fit in the cache";
    if (each > MOST_BYTES)
        return false;
    s->why = "L9: too few examples to share among threads";
    if (n < FEW && time_of(s) > FEW_NS)
        return false;
    for (int i = 0; i < s->n; i++)
        sums += at(s, i)->sums_examples ? count_of(s, at(s, i)->value) * (l->f64 ? 8 : 4) : 0;
    l->block_rows = each ? clamp(TASK_BYTES / each, 1, most) : most;
    int64_t tasks = clamp(SUM_BYTES / sums, TASKS, (n + l->block_rows - 1) / l->block_rows);
    l->tile_rows = ((n + tasks - 1) / tasks + l->block_rows - 1) / l->block_rows * l->block_rows;
    l->tile_cols = l->cols;
    return true;
}

bool gr__example_layout(const gr__plan *p, int n, const int *node, gr__layout *out, const char **why)
{
    set s = {p, n, node, out, 0, NULL};
    out->kind = GR__EXAMPLE;
    out->own = p->own_domain;
    out->cols = 1;
    out->f64 = at(&s, 0)->f64;
    memset(out->reduced, 0, (size_t)n * sizeof *out->reduced);
    memset(out->partial, 0, (size_t)n * sizeof *out->partial);
    bool good = true;
    s.why = "L10: another number of examples";
    for (int i = 0; good && i < n; i++)
        if (at(&s, i)->examples) {
            int64_t examples = at(&s, i)->examples;
            good = !s.examples || examples == s.examples;
            s.examples = examples;
        }
    for (int i = 0; good && i < n; i++) {
        gr__work w = at(&s, i)->work;
        s.why = "L10: a product or a view beside work that goes by examples";
        good = w == GR__TILE      ? elementwise(&s, i)
               : w == GR__REDUCE  ? reduction(&s, i)
               : w == GR__OPAQUE  ? evaluation(&s, i)
                                  : false;
        int64_t each = good && !at(&s, i)->sums_examples ? out->own[i].rows / s.examples * out->own[i].cols : 0;
        out->cols = each > out->cols ? each : out->cols;
    }
    out->rows = s.examples;
    good = good && sums_are_not_read(&s) && cut_into_tasks(&s);
    *why = s.why;
    return good;
}
