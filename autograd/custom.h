/* autograd/custom.h: a gradient of your own, and values computed again instead of kept.
 *
 * Both take a function that builds results from inputs. It is called once, on a tape of its own, a region of the node
 * that is recorded; what it builds stays one node until the compiler takes it apart. Read next: custom.c. */
#ifndef GRAPE_AUTOGRAD_CUSTOM_H
#define GRAPE_AUTOGRAD_CUSTOM_H

#include "core/tape.h"

GR_BEGIN

/* Records ops on tape t that compute out[0 .. n_out-1] from in[0 .. n_in-1]. */
typedef gr_status (*gr_body)(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);

/* What the backward function of a custom gradient is given. */
typedef struct gr_custom_vjp {
    void *ctx;
    gr_tape *tape;
    int n_in, n_out;
    gr_tensor *const *in;  /* the inputs */
    gr_tensor *const *out; /* the results */
    gr_tensor *const *dy;  /* their gradients, never NULL */
    gr_tensor **dx;        /* to be filled in, of the inputs' dtypes and shapes; NULL is zero */
} gr_custom_vjp;

typedef struct gr_custom {
    const char *name; /* for messages and pictures; default "custom_gradient" */
    gr_body forward;
    gr_status (*backward)(gr_custom_vjp *v);
    void *ctx; /* handed to both; not kept */
} gr_custom;

/* A function whose gradient is what `backward` builds, whatever `forward` does: for a straight-through estimator, a
 * gradient that is clipped or stable where the formal one is not.  The gradient of the gradient is that of `backward`.
 *   in      tensors of one tape; forward and backward must use no other tensors of it (weights too are passed in)
 *   out     n_out tensors; all GR_BAD on failure
 *   errors  GR_EARG for a tensor used but not passed in, GR_EGRAD for a dx of another type than its input, and whatever
 * the two functions report */
GR_API gr_status gr_custom_gradient_at(
    gr_at at, const gr_custom *f, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
GR_API gr_status gr_custom_gradient(const gr_custom *f, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
#define gr_custom_gradient(...) gr_custom_gradient_at(GR_HERE, __VA_ARGS__)

/* Computes `body` as usual, but keeps none of its inner values for the gradient: the backward pass computes them again
 * from the inputs (random numbers come out the same).  Trades time for memory; values and gradients are the same bits.
 *   in      tensors of one tape; body may use others of that tape as well (weights)
 *   out     n_out tensors; all GR_BAD on failure
 *   source  Chen et al. 2016, arXiv:1604.06174 */
GR_API gr_status gr_checkpoint_at(
    gr_at at, gr_body body, void *ctx, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
GR_API gr_status gr_checkpoint(gr_body body, void *ctx, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
#define gr_checkpoint(...) gr_checkpoint_at(GR_HERE, __VA_ARGS__)

extern const gr_op gr_op_custom_gradient, gr_op_checkpoint;

GR_END
#endif
