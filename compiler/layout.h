/* compiler/layout.h: how a set of nodes would run as one group.
 *
 * A group works on R rows by C columns: leading and trailing axes, collapsed. Each of its values is whole [R x C], a
 * row [1 x C], a column [R x 1] or a single number, told by two bits: does it vary along rows, along columns? An axis
 * of size 1 has no bit. The domain is cut into tiles, a task each; a kind says along which axes:
 *
 *     MAP   both             elementwise work, plain products
 *     ROW   rows             all columns at hand: softmax, layer norm
 *     COL   columns          all rows at hand: batch norm, bias gradients, product strips
 *     ALL   neither          small things, one task
 *     EXAMPLE  examples      convolutions and pooling with what surrounds them (example.c)
 *
 * A sum over an axis that is cut gives one partial result per tile along it; partials are combined in order by a step
 * of their own, so such a result cannot be used inside the group. Tile sizes depend on shapes alone, hence so do all
 * bits.
 *
 * Where tasks are examples, rows count examples, and every node has a domain of its own with some rows an example. */
#ifndef GRAPE_COMPILER_LAYOUT_H
#define GRAPE_COMPILER_LAYOUT_H

#include "compiler/plan.h"

enum { GR__ROWS = 1, GR__COLS = 2, GR__GROUP_NODES = 96 };
typedef enum { GR__MAP, GR__ROW, GR__COL, GR__ALL, GR__EXAMPLE } gr__orientation;

typedef struct gr__own_domain {
    int64_t rows, cols;
} gr__own_domain;

struct gr__layout {
    gr__orientation kind;
    int64_t rows, cols;           /* the domain */
    int64_t tile_rows, tile_cols; /* of a task, at most */
    int64_t block_rows;           /* EXAMPLE: what a task does at one time, at most */
    int full_tiles;               /* whole tiles of scratch that live at one time */
    bool f64;
    unsigned char form[GR__GROUP_NODES];    /* per node of the set, of its result */
    unsigned char reduced[GR__GROUP_NODES]; /* REDUCE: axes summed over */
    bool partial[GR__GROUP_NODES];
    gr__own_domain *own; /* EXAMPLE: the domain of each node; lies in the plan until it is asked about another set */
};

/* What an instruction works on, all tasks together, and the most of it that one task does. */
typedef struct {
    int64_t rows, cols, tile_rows, tile_cols;
} gr__domain;
static inline gr__domain gr__domain_of(const gr__layout *l, int i)
{
    if (l->kind != GR__EXAMPLE)
        return (gr__domain){l->rows, l->cols, l->tile_rows, l->tile_cols};
    const gr__own_domain own = l->own[i];
    return (gr__domain){own.rows, own.cols, own.rows / l->rows * l->block_rows, own.cols};
}

/* What the pass remat has computed again counts as if it were read, where a tile's size depends on how many values live
 * in the group: then sums are cut as they are without the pass, and have the same bits. */
static inline bool gr__as_if_read(const gr__pnode *n)
{
    return n->node->clone == GR__REMAT;
}

/* How the nodes (in id order) would run. If they cannot, false, and *why names the rule that refused. */
bool gr__layout_of(const gr__plan *p, int n, const int *node, gr__layout *out, const char **why);
/* The same where one of them goes by examples. */
bool gr__example_layout(const gr__plan *p, int n, const int *node, gr__layout *out, const char **why);

/* One operand in two dimensions. */
typedef struct {
    bool plain; /* element (r, c) lies at offset + r * row + c * col */
    int64_t offset, row, col;
} gr__plane;
/* An access of a consumer whose shape has `rows` x `cols` elements. */
gr__plane gr__plane_of(const gr__access *a, int64_t rows, int64_t cols);
/* Numbers in a partial result for each of the result. */
static inline int gr__partial_size(const gr__pnode *n)
{
    return n->work == GR__REDUCE && n->low->reduce == GR_REDUCE_VARIANCE ? 3 : 1; /* its moments */
}
static inline int64_t gr__form_rows(const gr__layout *l, int form)
{
    return form & GR__ROWS ? l->rows : 1;
}
static inline int64_t gr__form_cols(const gr__layout *l, int form)
{
    return form & GR__COLS ? l->cols : 1;
}

#endif
