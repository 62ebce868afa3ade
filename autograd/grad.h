/* autograd/grad.h: gradients, as one more part of the graph.
 *
 *     gr_tensor *g[2];
 *     gr_status s = gr_grad(loss, (gr_tensor *[]){w, b}, 2, g);
 *
 * The gradient is made of ops like everything else: it can be evaluated, compiled, printed, and differentiated again.
 * Read next: grad.c, then custom.h (gradients of your own, recomputation) and gradcheck.h (is a gradient right?). */
#ifndef GRAPE_AUTOGRAD_GRAD_H
#define GRAPE_AUTOGRAD_GRAD_H

#include "core/tape.h"

GR_BEGIN

/* Gradients of a scalar with respect to n tensors of its tape: weights, inputs or intermediate results.
 *   loss    float [], rank 0
 *   wrt     n float tensors; NULL is an error
 *   grads   n tensors of the dtypes and shapes of wrt; zeros for a tensor the loss does not depend on
 *   where a tensor is used several times the contributions are added in recorded order, the first use first
 *   stops   at gr_stop_gradient, at integers and bools, and at ops that are flat by definition (comparisons, floor,
 * argmax) errors  GR_EGRAD at an op on the way that has no gradient: the message names it and the line that recorded
 * it; GR_ESHAPE or GR_EDTYPE if the loss is no float scalar; GR_EARG for tensors of two tapes.  All grads are GR_BAD */
GR_API gr_status gr_grad_at(gr_at at, gr_tensor *loss, gr_tensor *const *wrt, int n, gr_tensor **grads);
GR_API gr_status gr_grad(gr_tensor *loss, gr_tensor *const *wrt, int n, gr_tensor **grads);
#define gr_grad(...) gr_grad_at(GR_HERE, __VA_ARGS__)

/* The same for any number of results of any shape, with their gradients given: grads[i] = sum over j of dy[j] *
 * dy_j/dwrt_i (a vector-Jacobian product). dy      n_y tensors of the dtypes and shapes of y; NULL stands for zero */
GR_API gr_status gr_grad_with_at(
    gr_at at, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads);
GR_API gr_status gr_grad_with(
    int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads);
#define gr_grad_with(...) gr_grad_with_at(GR_HERE, __VA_ARGS__)

/* The engine: as gr_grad_with on tensors of tape t (a region's too), but grads[i] is NULL where nothing depends on
 * wrt[i]. Arguments are checked by the callers. */
gr_status gr__grad_nodes(
    gr_tape *t, int n_y, gr_tensor *const *y, gr_tensor *const *dy, gr_tensor *const *wrt, int n, gr_tensor **grads);
/* Zeros of the dtype and shape of x, as a node. */
gr_tensor *gr__zeros_of(gr_at at, gr_tensor *x);

GR_END
#endif
