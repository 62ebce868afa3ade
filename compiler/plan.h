/* compiler/plan.h: the plan level, a graph at one batch size.
 *
 *     values   one per node result: its elements may lie in a buffer, or only in a group's scratch
 *     nodes    what kind of work each is (by its op's lowering)
 *     groups   nodes that run as one tile program, or one opaque node
 *     steps    groups in running order; each has a number of tasks that may run on any thread
 *     phases   steps with no dependency among them; a barrier lies between phases
 *
 * Made by bind.c, group.c (with order.c), buffers.c, steps.c, schedule.c, memory.c in this order; run by run.c. */
#ifndef GRAPE_COMPILER_PLAN_H
#define GRAPE_COMPILER_PLAN_H

#include "compiler/graph.h"
#include "core/team.h"
#include <stdatomic.h>

typedef enum {
    GR__LEAF,
    GR__ALIAS, /* elements of input 0 in the same order */
    GR__VIEW,  /* elements of input 0 elsewhere: read in place by consumers that can, else copied like a TILE node */
    GR__TILE,  /* elementwise */
    GR__REDUCE,
    GR__CONTRACT,
    GR__OPAQUE, /* eval on whole buffers */
    GR__ASSIGN, /* an alias of its value that is stored in a variable when the step ends */
} gr__work;

/* How an operand is read: element i of the consumer's shape lies at offset + sum stride[k] i[k] of a root value. */
typedef struct gr__access {
    int value; /* a root */
    int node;  /* that makes it */
    bool same; /* element i is element i of the value */
    int64_t offset;
    const gr_shape *shape; /* of the consumer: its value's */
    int64_t stride[GR_MAX_RANK];
} gr__access;

enum { GR__OPERANDS = 6, GR__RESULTS = 3 }; /* of an instruction in a group, at most */

typedef struct gr__pnode {
    const gr__node *node;
    gr__work work;
    gr_tile_fn tile;    /* of TILE */
    gr_lowering *low;   /* of REDUCE, CONTRACT, VIEW; else NULL */
    double flops;       /* as the op counts them, or one for each element */
    bool f64;           /* compute type */
    int64_t examples;   /* OPAQUE: it may run in a group whose tasks are examples, of which it has so many; else 0 */
    bool sums_examples; /* and gives their sum */
    bool live;          /* a VIEW that every consumer reads in place is not computed */
    int value;          /* of result 0; the others follow */
    int group;          /* -1: none */
    gr__access *access; /* TILE, VIEW, REDUCE: per input */
    bool checked_early; /* OPAQUE: what it may refuse, a step of its own refuses */
    const void *data;   /* of constants, and of what follows from shapes alone */
    int operand[2];     /* CONTRACT: root values of a and b, and where in them they start */
    int64_t operand_offset[2];
    int64_t border; /* layout.c's own: 1 + the columns that it wants; 0: not known yet */
} gr__pnode;

typedef struct gr__value {
    const gr_tensor *tensor;
    gr_dtype dtype;
    gr_shape shape; /* plain numbers */
    int64_t count;
    int node;
    int root;    /* the value whose elements these are, in the same order (itself, or through aliases) */
    int buffer;  /* of roots: -1 if never in memory */
    bool needed; /* of roots: read by another group, an output or a commit */
} gr__value;

typedef enum { GR__ARENA, GR__INPUT, GR__VARIABLE, GR__CONSTANT } gr__space;

typedef struct gr__buffer {
    gr__space space;
    int index;        /* which input */
    const void *data; /* CONSTANT: its elements; VARIABLE: the gr_variable */
    int64_t bytes;
    int64_t offset;  /* ARENA: assigned by memory.c */
    int first, last; /* ARENA: phases in which it lives, inclusive */
    int value;       /* whose it is; VARIABLE: the one that is its old content, or -1 if nobody reads that */
} gr__buffer;

typedef struct gr__code gr__code;     /* a tile program: code.h */
typedef struct gr__layout gr__layout; /* layout.h */

typedef struct gr__group {
    int n_nodes, *node; /* in id order */
    bool opaque;
    int step;
    gr__layout *layout;
    int *partial; /* per node: the value of its partial results, or -1 */
} gr__group;

typedef struct gr__plan gr__plan;
typedef struct gr__run gr__run;
typedef struct gr__step gr__step;
/* Runs tasks begin .. end on one thread. */
typedef gr_status (*gr__step_fn)(gr__run *run, const gr__step *s, int thread, int64_t begin, int64_t end);

/* Tells which bytes a task reads and writes: touch.h. */
typedef struct gr__touches gr__touches;
typedef void (*gr__touch_fn)(const gr__plan *p, const gr__step *s, gr__touches *to);

typedef struct gr__ref { /* a buffer a step touches */
    int value;           /* the root read or written; -1: the commit of a variable */
    int buffer;
    bool write;
} gr__ref;

struct gr__step {
    gr__step_fn fn;
    gr__touch_fn touches; /* NULL: every task may touch all that is in ref */
    const void *arg;      /* gr__opaque, gr__code, gr__copy */
    int group;            /* -1: a copy */
    int64_t tasks;
    double task_ns; /* estimated time of one */
    double flops, bytes;
    bool fallible;
    bool pinned; /* thread 0 only: evals that may not run beside others */
    int phase;
    int64_t *begin; /* task range per thread: begin[t] .. begin[t + 1] */
    int n_refs;
    gr__ref *ref;
    char name[48];
};

typedef struct gr__phase_plan {
    int first, end; /* steps */
    int first_part; /* of plan->part */
    bool serial;    /* thread 0 alone */
    bool barrier;   /* before it */
} gr__phase_plan;

typedef struct gr__part { /* a run of tasks that one thread does in one go */
    int step;
    int64_t begin, end;
} gr__part;

/* One opaque node with everything but the pointers: those are a run's, in its room. */
typedef struct gr__opaque {
    const gr__node *node;
    gr_buffer *arg;  /* inputs, then results; no data */
    int *arg_buffer; /* which buffer each is; -1: a result that nobody reads */
    int first_arg;   /* their place among the arguments of all opaque steps */
    int64_t count;   /* elements of result 0 */
    int64_t scratch; /* bytes */
    int64_t range;   /* of a GR_RANGED op: elements per task; else 0 */
} gr__opaque;

typedef struct gr__copy { /* commit of a buffer into a variable */
    int from, to;
    int64_t bytes;
} gr__copy;

struct gr__plan {
    gr__arena arena;
    const gr__graph *graph;
    unsigned off;
    int threads;
    int64_t batch;
    int n_nodes, n_values, n_buffers, n_groups, n_steps, n_phases;
    int n_args; /* of all opaque steps */
    gr__pnode *node;
    int *place; /* layout.c's own: per node, where it stands in the set last asked about, if it is one of it */
    struct gr__own_domain *own_domain; /* example.c's own: per node of that set */
    gr__value *value;
    gr__buffer *buffer;
    gr__group *group;
    gr__step *step;
    gr__phase_plan *phase;
    gr__job_phase *job; /* per phase, what core/team.h wants to know */
    gr__part *part;
    int *commit_buffer;                  /* per commit of the graph: the variable's buffer */
    bool *commit_done;                   /* written in place by a group */
    int *out_value;                      /* root value of each output */
    int64_t bytes, lower_bound, scratch; /* arena; per thread */
    double flops;
    int64_t in_place;
    int64_t searched;               /* groups and layouts that grouping looked at; tests count them */
    struct gr__profile *profile;    /* GRAPE_PROFILE */
    struct gr__lowering_room *room; /* lower.c's own, while the plan is made */
};

/* A plan for batch size B; NULL on failure. */
gr__plan *gr__plan_new(const gr__graph *g, int64_t batch, int threads, unsigned off);
void gr__plan_free(gr__plan *p);

/* The passes of this level. */
gr_status gr__plan_bind(gr__plan *p);
gr_status gr__plan_group(gr__plan *p);
gr_status gr__plan_buffers(gr__plan *p);
gr_status gr__plan_steps(gr__plan *p);
gr_status gr__plan_schedule(gr__plan *p);
gr_status gr__plan_parts(gr__plan *p);
gr_status gr__plan_memory(gr__plan *p);
/* Is it sound? check.c; the second of them, byte by byte: race.c. */
gr_status gr__plan_verify(const gr__plan *p);
gr_status gr__plan_verify_bytes(const gr__plan *p);

/* The operand i of node n, read through views as far as that goes. */
gr__access gr__operand(const gr__plan *p, int node, int i);
int gr__root(const gr__plan *p, const gr_tensor *x);
/* May an opaque node's eval end the run? */
bool gr__may_fail(const gr__pnode *n);
/* The root value that node reads as input i. */
int gr__read_value(const gr__plan *p, int node, int i);
static inline int gr__value_of(const gr__plan *p, const gr_tensor *x)
{
    return p->node[x->node->id].value + x->index;
}

/* Everything a run needs that changes from run to run. */
struct gr__run {
    const gr__plan *plan;
    const gr_buffer *arg; /* the room's, of opaque steps */
    void **data;    /* the room's, per buffer */
    char **scratch; /* the room's, per thread */
    uint64_t seed, step;
    _Atomic int failed;          /* the first status that was not GR_OK */
    char message[2048];          /* of a failure on another thread than the caller's */
    struct gr__profile *profile; /* NULL: not measured */
};
void gr__run_plan(gr__run *run);
/* One part of a phase, by one thread; ctx is the run. */
void gr__run_part(void *ctx, int phase, int part, int thread);
/* The same result, or the plan is unsound: shake.c. */
void gr__run_shaken(gr__run *run);
/* One step after the other, stopping at the first that turns finite numbers into others. */
void gr__run_checked(gr__run *run, const char *name);

#endif
