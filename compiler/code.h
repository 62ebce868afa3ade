/* compiler/code.h: a tile program, what a group runs for each of its tasks.
 *
 * A task is a tile: some rows by some columns of the group's domain. An instruction works on whole tiles; its operands
 * are slots of the thread's scratch or places in buffers. Instructions of numbers that are the same for every tile come
 * first and run once per thread. Read next: lower.c, which writes programs, and tile.c, which runs them. */
#ifndef GRAPE_COMPILER_CODE_H
#define GRAPE_COMPILER_CODE_H

#include "compiler/layout.h"

typedef enum { GR__I_LOAD, GR__I_TILE, GR__I_REDUCE, GR__I_CONTRACT, GR__I_STORE, GR__I_NONE } gr__opcode;

typedef struct {
    int buffer;       /* -1: scratch */
    int64_t offset;   /* bytes into scratch; elements into the buffer */
    int form;         /* scratch: which way it varies */
    int64_t row, col; /* buffer: steps per row and column of the domain */
} gr__place;

typedef struct {
    gr__opcode op;
    const char *name; /* of the op, for dumps */
    bool once;        /* STORE of a number every task knows: by task 0 */
    int form;         /* of the result */
    gr__place y;
    gr__place x[GR_TILE_INPUTS];
    int n_x;
    gr_tile_fn tile;
    const void *attr;
    gr_dtype dtype;           /* LOAD, STORE: of the buffer's elements */
    const gr__access *access; /* LOAD: where no two strides say it; else NULL */
    gr_reduce_kind reduce;
    int axes, input_form;     /* REDUCE */
    int parts;                /* REDUCE into a partial buffer: axes along which tasks are counted; 0 */
    const gr__pnode *product; /* CONTRACT */
} gr__instr;

struct gr__code {
    const gr__layout *layout;
    int64_t row_tiles, col_tiles;
    bool rows_first; /* consecutive tasks go down the rows (a product's strip stays in cache) */
    int n, first;    /* instructions; those before `first` run once */
    gr__instr *instr;
    int n_streams, *stream;        /* buffers read in one run, tile after tile: the next tile's part is fetched ahead */
    int64_t gemm_scratch, scratch; /* bytes */
};

/* Joins elementwise instructions, slots still numbered (join.c). */
void gr__join_pairs(gr__code *c, int n_slots);
/* The step of a group: its program, refs, tasks and cost. */
gr_status gr__lower_group(gr__plan *p, gr__step *s, int group);
gr_status gr__run_code(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end);
/* Number of partial results of a reduction over `axes`. */
int64_t gr__parts(const gr__layout *l, int axes);

#endif
