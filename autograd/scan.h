/* autograd/scan.h: a loop over the steps of a sequence, as one node.
 *
 *     static gr_status running(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
 *     {
 *         out[0] = out[1] = gr_add(in[0], in[1]);      the new sum; what this step gives
 *         return gr_status_of(out[0]);
 *     }
 *     gr_scan(out, .body = running, .carries = &zero, .n_carries = 1, .xs = &x, .n_xs = 1, .n_ys = 1);
 *
 * What goes from step to step is a carry; an x is a tensor of all steps, [steps, ..], of which each gets its part; a y
 * is what the steps give, put together again. The gradient is a scan the other way, so that it too has a gradient. A
 * program has a copy of the body for every step: compiling takes time in proportion to steps times nodes (some thousand
 * in all are well; LSTM and GRU have ops of their own). Read next: scan.c. */
#ifndef GRAPE_AUTOGRAD_SCAN_H
#define GRAPE_AUTOGRAD_SCAN_H

#include "autograd/custom.h"

GR_BEGIN

typedef struct gr_scan_args {
    /* Records one step. in: the carries, then the step's part of each x, [..]; out: the new carries, of the same types,
     * then the step's ys. Other tensors of the tape may be used as well (weights); they are the same in every step, and
     * so are random numbers. Called once. */
    gr_body body;
    void *ctx; /* handed to body; not kept */
    int n_carries, n_xs, n_ys;
    gr_tensor *const *carries; /* what the first step gets */
    gr_tensor *const *xs;      /* [steps, ..] */
    int64_t steps;             /* 1 or more; not needed if there are xs */
    bool reverse;              /* from the last step to the first */
} gr_scan_args;

/* The last carries and the ys [steps, ..] into out, which has room for n_carries + n_ys; all GR_BAD on failure.
 *   errors  GR_ESHAPE for xs without a first axis of `steps`, GR_EARG for a carry that changes its type or for too many
 *           tensors (64 in all, captures too), and whatever body reports */
GR_API gr_status gr_scan_at(gr_at at, const gr_scan_args *args, gr_tensor **out);
/* The same without a place. */
GR_API gr_status gr_scan(const gr_scan_args *args, gr_tensor **out);
#define gr_scan(out, ...) gr_scan_at(GR_HERE, &(gr_scan_args){__VA_ARGS__}, (out))

extern const gr_op gr_op_scan;

GR_END
#endif
