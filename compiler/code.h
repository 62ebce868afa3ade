/* compiler/code.h: a tile program, what a group runs for each of its tasks.
 *
 * A task is a tile: some rows by some columns of the group's domain. An instruction works on whole tiles; its operands
 * are slots of the thread's scratch or places in buffers. Instructions of numbers that are the same for every tile come
 * first and run once per thread. Read next: lower.c, which writes programs, and tile.c, which runs them. */
#ifndef GRAPE_COMPILER_CODE_H
#define GRAPE_COMPILER_CODE_H

#include "compiler/layout.h"
#include "ops/kernels/ahead.h"
#include "ops/kernels/pair.h"

enum { GR__SLOTS = GR__GROUP_NODES * 6, GR__JOINED = 12 }; /* of a program at most; names an instruction keeps */

typedef enum { GR__I_LOAD, GR__I_TILE, GR__I_REDUCE, GR__I_CONTRACT, GR__I_EVAL, GR__I_STORE, GR__I_NONE } gr__opcode;

typedef struct {
    int buffer;       /* -1: scratch */
    int form;         /* scratch: which way it varies */
    int64_t offset;   /* bytes into scratch; elements into the buffer */
    int64_t row, col; /* buffer: steps per row and column of the domain */
} gr__place;

typedef struct {
    gr__opcode op;
    const char *name;   /* of the op, for dumps */
    bool once;          /* STORE of a number every task knows: by task 0 */
    int64_t rows, cols; /* the domain, all tasks together */
    int form;           /* of the result */
    gr__place y;
    gr__place x[GR__PAIR_OPERANDS];
    int n_x;
    int also; /* TILE: the last so many of x are results too */
    gr_tile_fn tile;
    const void *attr;
    gr_dtype dtype;           /* LOAD, STORE: of the buffer's elements */
    const gr__access *access; /* LOAD: where no two strides say it; else NULL */
    gr_reduce_kind reduce;
    int axes, input_form;     /* REDUCE; of two operands: of their products */
    int parts;                /* REDUCE into a partial buffer: axes along which tasks are counted; 0 */
    bool moments;             /* REDUCE to a variance: leaves what gr__variance_of_parts() puts together */
    const gr__pnode *product; /* CONTRACT */
    const gr__opaque *eval;   /* EVAL: of some examples */
    int n_joined;             /* TILE, REDUCE: the ops before `name` that it also does (join.c), for dumps */
    const char *joined[GR__JOINED];
} gr__instr;

/* Memory of which each example has `each` bytes. */
typedef struct {
    int buffer;
    int64_t offset, each; /* bytes */
} gr__stretch;

static inline bool gr__also_writes(const gr__instr *in, int buffer)
{
    for (int k = in->n_x - in->also; k < in->n_x; k++)
        if (in->x[k].buffer == buffer)
            return true;
    return false;
}

struct gr__code {
    const gr__layout *layout;
    int64_t row_tiles, col_tiles;
    bool rows_first; /* consecutive tasks go down the rows (a product's strip stays in cache) */
    int n, first;    /* instructions; those before `first` run once */
    gr__instr *instr;
    int n_streams, *stream;        /* buffers read in one run, tile after tile: the next tile's part is fetched ahead */
    int n_stretches; /* EXAMPLE: the same of what the next examples read or write, GR__AHEAD_RUNS at most */
    gr__stretch *stretch;
    int64_t kernel_scratch, scratch; /* bytes: of products and evals, of all */
};

/* Joins elementwise instructions, slots still numbered (join.c). */
void gr__join_pairs(gr__code *c, int n_slots);
/* Working space of the function below. */
typedef struct {
    int64_t at[GR__SLOTS]; /* byte offset of each slot */
    const int64_t *bytes;
    int last[GR__SLOTS]; /* instruction that reads it last */
    struct {
        int64_t at, bytes;
    } spare[GR__SLOTS]; /* free places; the last one is taken first */
    int n_spare;
    int64_t top;
} gr__places;
/* Gives slots, numbered until now, byte offsets behind the kernels' scratch. */
void gr__place_slots(gr__code *c, int n_slots, const int64_t *bytes, gr__places *room);
/* The step of a group: its program, refs, tasks and cost. */
gr_status gr__lower_group(gr__plan *p, gr__step *s, int group);
gr_status gr__run_code(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end);
/* The step of a node that is on its own; and what checks its data early. */
gr_status gr__opaque_step(gr__plan *p, gr__step *s, int node);
gr_status gr__data_check_step(gr__plan *p, gr__step *s, int node, const gr__step *eval);
void gr__add_ref(gr__plan *p, gr__step *s, int value, int buffer, bool write);
/* An opaque node's types and buffers; NULL if there is no memory. */
gr__opaque *gr__opaque_of(gr__plan *p, int node);
/* A call for so many examples; fills in all but the data in arg, the operands and then the results. */
gr_call gr__eval_some(const gr__opaque *o, int64_t examples, gr_buffer *arg);
/* Estimated time of an eval. */
double gr__eval_ns(double flops, double count);
/* Some examples of a task. */
typedef struct {
    int64_t first, count;
    int64_t part; /* the number of the task */
    bool again;   /* not the first of it: sums go on */
    char *scratch;
    gr__ahead *ahead;
} gr__examples;
/* An EVAL instruction for them. */
gr_status gr__run_eval(const gr__run *run, const gr__instr *in, const gr__examples *e);
/* Number of partial results of a reduction over `axes`. */
int64_t gr__parts(const gr__layout *l, int axes);

#endif
