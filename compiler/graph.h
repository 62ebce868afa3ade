/* compiler/graph.h: the graph level. A graph is a tape of its own with the nodes that matter: what the outputs and the
 * commits depend on. Passes make the tape anew, node by node. */
#ifndef GRAPE_COMPILER_GRAPH_H
#define GRAPE_COMPILER_GRAPH_H

#include "compiler/program.h"
#include "core/node.h"

typedef struct gr__graph {
    gr_tape *tape;
    int n_in, n_out;
    gr_tensor *in[GR_PROGRAM_MAX]; /* all declared ones, used or not */
    gr_tensor *out[GR_PROGRAM_MAX];
    int n_commit;
    gr_tensor **commit; /* the last assign or assign_if of each variable; on the heap */
    int n_own;
    gr_variable **own; /* a frozen graph's; on the heap */
} gr__graph;

/* What a rewriting function did with a node. */
typedef enum { GR__KEEP, GR__REPLACED, GR__FAILED } gr__rewritten;
/* Called for each live node in order, with its inputs as they are now; n->in is what they were, and old nodes have
 * their old numbers. To replace the node, fills result[0 .. n_out). */
typedef gr__rewritten (*gr__rewrite_fn)(
    void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result);

/* Copies what the outputs and all assignments need onto a new tape. */
gr_status gr__graph_trace(gr__graph *g, gr_tape *t, const gr_program_opts *opts);
gr_status gr__graph_rewrite(gr__graph *g, gr__rewrite_fn f, void *user);
/* The same on a new tape: f finds copies of what came before there, numbered anew, and what is left out is freed. */
gr_status gr__graph_rebuild(gr__graph *g, gr__rewrite_fn f, void *user);
/* Is there a node of which this is true? Asked before a pass that would go over all of them. */
bool gr__graph_any(const gr__graph *g, bool (*is)(void *user, const gr__node *n), void *user);
void gr__graph_free(gr__graph *g);
/* A new node of `op` that stands where n stood: same place, layer and phase. */
gr_tensor *gr__node_instead(
    gr_tape *t, const gr__node *n, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in);

/* The passes. */
gr_status gr__pass_inline(gr__graph *g);
gr_status gr__pass_simplify(gr__graph *g, bool inexact);
gr_status gr__pass_fold(gr__graph *g);
gr_status gr__pass_cse(gr__graph *g);
gr_status gr__pass_freeze(gr__graph *g, bool fold, bool absorb);
gr_status gr__pass_remat(gr__graph *g, bool small_too);
gr_status gr__pass_pack(gr__graph *g, bool frozen);
gr_status gr__graph_verify(const gr__graph *g, const char *after);

/* GRAPE_PASS_LIMIT and the like, which find a fault by halving: how many are done; all if it is not set. */
int64_t gr__limit(const char *name);

static inline bool gr__is_weight(const gr_tensor *x)
{
    return x->node->op == &gr_op_variable || x->node->op == &gr_op_constant;
}

static inline bool gr__is_assign(const gr__node *n)
{
    return n->op == &gr_op_assign || n->op == &gr_op_assign_if;
}

#endif
