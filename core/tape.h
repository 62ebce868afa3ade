/* core/tape.h: the tape and its tensors.
 *
 * Ops record nodes on a tape; the recorded order is a topological order, and all nodes are freed at once with the tape.
 * A gr_tensor is one result of a node: a symbol with dtype and shape, no numbers. A failed op returns GR_BAD, which
 * every op takes and passes on quietly, so a graph is written without an `if` and checked once.
 *
 *     gr_tape *t = gr_tape_new();
 *     gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
 *     gr_tensor *y = gr_sum(gr_square(x), .axes = GR_SHAPE(-1));
 *
 * Read next: ops/ops.h (what can be recorded), autograd/grad.h, compiler/program.h; core/node.h is the inside. */
#ifndef GRAPE_CORE_TAPE_H
#define GRAPE_CORE_TAPE_H

#include "core/variable.h"

GR_BEGIN

/* The poison node. */
extern GR_API gr_tensor gr__bad;
#define GR_BAD (&gr__bad)

GR_API gr_tape *gr_tape_new(void);
GR_API void gr_tape_free(gr_tape *t);
/* For eager loops: reset frees every node recorded since the mark. */
typedef struct {
    int64_t nodes, held, used;
    void *chunk;
} gr_tape_position;
GR_API gr_tape_position gr_tape_mark(const gr_tape *t);
GR_API void gr_tape_reset(gr_tape *t, gr_tape_position to);
GR_API int64_t gr_tape_size(const gr_tape *t); /* nodes */

/* Every function that records has a form with the user's place (gr_x_at), a macro of its own name that passes GR_HERE,
 * and the bare symbol without a place: (gr_read)(t, v). */

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

/* A value given when the graph is run. Dimensions may be GR_BATCH or gr_dim_batch(n). `name` is copied. */
GR_API gr_tensor *gr_input_at(gr_at at, gr_tape *t, gr_dtype dtype, gr_shape shape, const char *name);
GR_API gr_tensor *gr_input(gr_tape *t, gr_dtype dtype, gr_shape shape, const char *name);
#define gr_input(...) gr_input_at(GR_HERE, __VA_ARGS__)
/* A fixed value, copied. */
GR_API gr_tensor *gr_constant_at(gr_at at, gr_tape *t, const gr_array *value);
GR_API gr_tensor *gr_constant(gr_tape *t, const gr_array *value);
#define gr_constant(...) gr_constant_at(GR_HERE, __VA_ARGS__)
/* The number c in x's dtype, rank 0, on x's tape. */
GR_API gr_tensor *gr_scalar_at(gr_at at, gr_tensor *x, double c);
GR_API gr_tensor *gr_scalar(gr_tensor *x, double c);
#define gr_scalar(...) gr_scalar_at(GR_HERE, __VA_ARGS__)
/* The number c in a given dtype, rank 0. */
GR_API gr_tensor *gr_number_at(gr_at at, gr_tape *t, gr_dtype dtype, double c);
GR_API gr_tensor *gr_number(gr_tape *t, gr_dtype dtype, double c);
#define gr_number(...) gr_number_at(GR_HERE, __VA_ARGS__)
/* The variable's value at the start of the step, or the one last assigned to it on this tape. */
GR_API gr_tensor *gr_read_at(gr_at at, gr_tape *t, gr_variable *v);
GR_API gr_tensor *gr_read(gr_tape *t, gr_variable *v);
#define gr_read(...) gr_read_at(GR_HERE, __VA_ARGS__)
/* Assigns to the variable that `target` reads (or was assigned to); the new value, committed when the step ends. */
GR_API gr_tensor *gr_assign_at(gr_at at, gr_tensor *target, gr_tensor *value);
GR_API gr_tensor *gr_assign(gr_tensor *target, gr_tensor *value);
#define gr_assign(...) gr_assign_at(GR_HERE, __VA_ARGS__)
/* The same where pred (bool, rank 0) is true; else the variable keeps its value. */
GR_API gr_tensor *gr_assign_if_at(gr_at at, gr_tensor *pred, gr_tensor *target, gr_tensor *value);
GR_API gr_tensor *gr_assign_if(gr_tensor *pred, gr_tensor *target, gr_tensor *value);
#define gr_assign_if(...) gr_assign_if_at(GR_HERE, __VA_ARGS__)

/* ---- asking ------------------------------------------------------------------------------------------------------ */

GR_API gr_status gr_status_of(const gr_tensor *x); /* GR_OK, or the error that made it GR_BAD; NULL is GR_EARG */
GR_API gr_dtype gr_dtype_of(const gr_tensor *x);
GR_API gr_shape gr_shape_of(const gr_tensor *x);
GR_API int64_t gr_rank(const gr_tensor *x);
/* Size of an axis (from the end if negative); GR_BATCH for any multiple of the batch size; -1 and an error outside. */
GR_API int64_t gr_dim(const gr_tensor *x, int64_t axis);
GR_API int gr_result_count(const gr_tensor *x);
GR_API gr_tensor *gr_result(gr_tensor *x, int i); /* result i of x's node */
GR_API gr_tape *gr_tape_of(const gr_tensor *x);
/* whose value x is (read or assigned); NULL of a computed one */
GR_API gr_variable *gr_variable_of(const gr_tensor *x);

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* Records a node of `op`: the door for user ops, and what Grape's own ops call. `attr` (op->attr_size bytes, or NULL
 * for zeros) is copied. Inputs of an enclosing tape are captured by the innermost region's tape. Result 0, or
 * GR_BAD. */
GR_API gr_tensor *gr_apply_op_at(gr_at at, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in);
GR_API gr_tensor *gr_apply_op(const gr_op *op, const void *attr, int n_in, gr_tensor *const *in);
#define gr_apply_op(...) gr_apply_op_at(GR_HERE, __VA_ARGS__)
/* Fails as an op does before there is a node (an impossible option): records "op: argument ARG: ..." with place,
 * operands and layers, and returns GR_BAD. NULLs among the operands are skipped. */
GR_API gr_tensor *gr_op_fail(gr_at at, gr_status status, const char *op, const char *argument, int n_in,
    gr_tensor *const *in, const char *format, ...) GR_PRINTF(7, 8);

/* ---- layer scopes ------------------------------------------------------------------------------------------------ */

/* Nodes recorded between push and pop belong to the scope: it names them in messages, pictures and random keys. */
GR_API void gr_scope_push(gr_tape *t, const char *name, const char *kind, gr_at at);
GR_API void gr_scope_pop(gr_tape *t);

/* ---- evaluating node by node ------------------------------------------------------------------------------------- */

/* Computes x into a new array by evaluating what it depends on, one op after the other. Inputs cannot be evaluated
 * (bind them with gr_eval_with). Nothing is assigned. NULL on failure. */
GR_API gr_array *gr_eval(gr_tensor *x);
typedef struct {
    gr_tensor *tensor; /* an input */
    gr_array *value;
} gr_binding;
typedef struct {
    int n_bindings;
    const gr_binding *bindings;
    uint64_t seed, step; /* of random ops */
    bool commit;         /* assignments recorded on the tape are computed and committed after all outputs are known */
} gr_eval_opts;
/* Computes n tensors of one tape; out[i] are new arrays (all NULL on failure). The oracle that programs are held
 * against. */
GR_API gr_status gr_eval_with(int n, gr_tensor *const *x, gr_array **out, const gr_eval_opts *opts);

/* Seed of everything random made from now on (weights, shuffles, dropout): default 0. */
GR_API void gr_set_seed(uint64_t seed);
GR_API uint64_t gr_seed(void);

GR_END
#endif
