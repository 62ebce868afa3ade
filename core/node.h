/* core/node.h: the inside of tapes, for passes. Not public.
 *
 * Nodes are numbered in recorded order (a topological order). A region is a sub-tape: its parameters stand for the
 * node's inputs one by one (explicit arguments first, captures of outer tensors after them), its results for whatever
 * the op says. Equal pure nodes of one scope are one node at build time. */
#ifndef GRAPE_CORE_NODE_H
#define GRAPE_CORE_NODE_H

#include "core/arena.h"
#include "core/tape.h"

GR_BEGIN

typedef struct gr__node gr__node;
typedef struct gr__region gr__region;

struct gr_tensor {
    gr__node *node; /* NULL in GR_BAD */
    int index;      /* which result */
    gr_dtype dtype;
    gr_shape shape;
};

typedef struct gr__scope {
    struct gr__scope *parent; /* NULL: the root */
    const char *name;         /* "dense_1" */
    const char *kind;         /* "Dense" */
    gr_at at;
    int64_t id;          /* ordinal on the tape, 0 is the root */
    uint64_t path_hash;  /* of the names from the root down */
    int64_t random_uses; /* random nodes recorded so far in it */
    struct gr__scope *next; /* all scopes of the tape */
} gr__scope;

/* Which part of a training step a node belongs to; for colours and for recomputation. */
typedef enum { GR_PHASE_FORWARD, GR_PHASE_BACKWARD, GR_PHASE_UPDATE } gr__phase;

enum { GR__REMAT = -1 }; /* gr__node.clone: made by compiler/remat.c; a checkpoint's are positive */

struct gr__node {
    const gr_op *op;
    const void *attr; /* attr_size bytes, canonical (padding is 0) */
    int64_t id;       /* position on the tape */
    int n_in, n_out, n_regions;
    gr_tensor **in;
    gr_tensor *out; /* n_out results, in place */
    gr__region **region;
    gr_tape *tape;
    gr__scope *scope;
    gr_at at;
    gr__node *origin;       /* the forward node a gradient node came from; NULL */
    gr__phase phase;
    int64_t clone;          /* not 0: a recomputed copy; merged only with nodes of the same number */
    gr_variable *variable;  /* of variable and assign nodes */
    const void *data;       /* of constants: row-major elements */
    const char *name;       /* of inputs; else NULL */
    uint64_t hash;
    gr__node *next_same_hash;
};

struct gr__region {
    int refs; /* tapes that hold it */
    gr_tape *tape;
    int n_params, n_results;
    gr_tensor **param;
    gr_tensor **result;
};

struct gr_tape {
    gr__arena arena;
    gr__node **node;
    int64_t n_nodes, cap_nodes;
    gr__node **bucket; /* hash table of pure nodes */
    int64_t n_buckets;
    int64_t n_left;   /* nodes before gr__tape_rewrite, while the tape is made anew */
    gr__scope *scope; /* innermost open one */
    gr__scope root;
    gr__scope *scopes; /* all but the root, newest first */
    int64_t n_scopes;
    const gr__scope *copied_from; /* the last scope copied from another tape, and what it became here */
    gr__scope *copied_to;
    gr__region **held; /* regions of this tape's nodes, and those under construction */
    int64_t n_held, cap_held;
    gr__phase phase;   /* given to nodes recorded now */
    gr__node *origin;  /* given to nodes recorded now */
    int64_t clone;
    gr_tape *parent;    /* of a region's tape: where captures come from; NULL */
    gr__region *region; /* of a region's tape */
    int64_t cap_params; /* room in region->param */
    gr_tensor **captured; /* of a region's tape: outer tensor behind each parameter, NULL for explicit arguments */
    struct {
        gr_variable *variable;
        gr_tensor *value; /* last assigned, or the read node */
    } *state;
    int64_t n_state, cap_state;
};

struct gr_variable {
    char *path;
    gr_dtype dtype;
    gr_shape shape;
    bool trainable;
    int64_t bytes;
    void *data; /* 64-byte aligned, row-major, padded to 64 bytes; written by programs at commit */
    struct gr__slab *slab; /* that it lies in; NULL: a block of its own */
};

/* The leaves and effects, known to every pass. */
extern const gr_op gr_op_input, gr_op_constant, gr_op_variable, gr_op_param, gr_op_assign, gr_op_assign_if;

/* Attributes of a GR_LOOP. Inputs, and parameters of region 0: the carries; the xs, of which a step gets its part along
 * the first axis; captures. Results of the region: the new carries; the step's ys. Results of the node: the last
 * carries; the ys of all steps, [steps, ..]; the carries that each step began with, [steps, ..]. */
typedef struct gr__loop {
    int64_t steps, n_carries, n_xs;
    bool reverse; /* from the last step to the first */
} gr__loop;
/* NULL of other nodes. */
const gr__loop *gr__loop_of(const gr__node *n);
/* The shape without its first axis. */
gr_shape gr__step_shape(gr_shape s);
/* Does the region take and give what the attributes and inputs say? */
bool gr__loop_fits(const gr__loop *l, int n_in, gr_tensor *const *in, const gr__region *r);

/* A region's tape under construction: its parameters take the types of `args` (and whatever is captured later). */
gr__region *gr__region_begin(gr_tape *parent, int n_args, gr_tensor *const *args);
/* One more parameter of region tape t; `captured` is the outer tensor it stands for (NULL of an argument). */
gr_tensor *gr__region_param(gr_tape *t, gr_dtype dtype, gr_shape shape, gr_tensor *captured, gr_at at);
/* Names the results; false (and an error) if one is bad. Captures are known after this. */
bool gr__region_end(gr__region *r, int n_results, gr_tensor *const *results);
/* Records a node that owns regions; inputs are `args` followed by the captures of region 0. */
gr_tensor *gr__region_node(gr_at at, const gr_op *op, const void *attr, int n_args, gr_tensor *const *args,
    int n_regions, gr__region *const *regions);
/* Copies a region's body onto tape t with its parameters replaced by `args`; results into out. False on failure. */
bool gr__region_inline(gr_tape *t, const gr__region *r, gr_tensor *const *args, gr_tensor **out);
/* Makes a tape anew out of its own nodes, which passes do: between the first and the last of these three, node `id` (of
 * the old numbers, which old nodes have until the end) stays on the tape if gr__node_keep takes it over, with other
 * inputs perhaps, and new nodes are recorded as ever. Both find their equals among what has come since the first, and
 * stand in this order at last. */
void gr__tape_rewrite(gr_tape *t);
gr_tensor *gr__node_keep(gr_tape *t, int64_t id, gr_tensor *const *in);
void gr__tape_rewritten(gr_tape *t);
/* A constant of any dtype from row-major bytes. */
gr_tensor *gr__constant_bytes(gr_at at, gr_tape *t, gr_dtype dtype, gr_shape shape, const void *data);
/* The scope of t with s's path, made if need be; NULL without memory. */
gr__scope *gr__scope_copy(gr_tape *t, const gr__scope *s);
/* From now on the variable's value on tape t is this tensor. */
bool gr__state_set(gr_tape *t, gr_variable *v, gr_tensor *value);
/* `use` of the next random node recorded in t's current scope: hash of scope path and ordinal. */
uint64_t gr__random_use(gr_tape *t);

/* "x": the name of input i in messages; into buf if it has none of its own. */
const char *gr__argument_name(const gr_op *op, int i, char *buf, size_t size);
/* Of the tapes of these tensors the innermost region's; NULL if none is good. */
gr_tape *gr__deepest(int n_in, gr_tensor *const *in);
/* gr_infer_fail shows the place and operands of this node from now on; NULL: none. */
void gr__infer_for(const gr__node *n);
/* What gr_op_fail adds to its message, for functions of ops whose operands have names of their own. */
void gr__op_fail_note(gr_tensor *const *in, int n_in, const char *const *names);
/* Registers Grape's own ops, each by gr__op_own; defined in ops/ops.c. */
void gr__ops_init(void);
gr_status gr__op_own(const gr_op *op);

/* Makes a node from the parts of another one (its tape and inputs apart). */
gr_tensor *gr__node_build(gr_tape *t, const gr__node *like, int n_in, gr_tensor *const *in);
/* Records a copy of node n on tape t with other inputs (regions are shared, constants and names copied), keeping place,
 * scope path, phase and origin. Result 0, or GR_BAD. */
static inline gr_tensor *gr__node_copy(gr_tape *t, const gr__node *n, gr_tensor *const *in)
{
    return gr__node_build(t, n, n->n_in, in);
}
/* Are a, and b with these inputs, the same but for their scopes? What is has one hash. */
bool gr__nodes_equal(const gr__node *a, const gr__node *b, gr_tensor *const *in);
uint64_t gr__node_hash(const gr__node *n, gr_tensor *const *in, const gr__scope *scope);
/* The tensor of region tape t that stands for x of an enclosing tape; GR_BAD if x is of no enclosing tape. */
gr_tensor *gr__capture(gr_tape *t, gr_tensor *x);
/* The tape keeps the region alive. */
bool gr__tape_hold(gr_tape *t, gr__region *r);
/* gr_apply_op_at for ops without inputs, which name their tape. */
gr_tensor *gr__apply_op_on(gr_tape *t, gr_at at, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in);
/* Is the op's eval_f64 the one to call? (any float among inputs and results is float64) */
bool gr__node_is_f64(const gr__node *n);
/* Runs the op's eval on buffers: picks the float type, takes scratch from `scratch` (or the heap if NULL). */
gr_status gr__call_eval(const gr__node *n, gr_call *c);

/* Is x the very poison? NULL counts as bad too. */
static inline bool gr__is_bad(const gr_tensor *x)
{
    return !x || !x->node;
}

GR_END
#endif
