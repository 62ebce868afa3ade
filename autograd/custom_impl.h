/* autograd/custom_impl.h: what the ops that own regions share; custom.c has the code. Not public. */
#ifndef GRAPE_AUTOGRAD_CUSTOM_IMPL_H
#define GRAPE_AUTOGRAD_CUSTOM_IMPL_H

#include "core/node.h"

/* The innermost tape among those of the inputs, which must be good and of one tape and its regions; `who` is for
 * messages. */
gr_status gr__find_tape(gr_at at, const char *who, int n_in, gr_tensor *const *in, gr_tape **tape);
/* Fills out with the results of node, or with GR_BAD unless s is GR_OK; gives the status. */
gr_status gr__give(gr_status s, gr_tensor *node, int n_out, gr_tensor **out);

#endif
