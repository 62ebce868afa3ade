/* ops/absorb.h: factors and offsets of channels that go into the weights beside them: what batch normalisation is when
 * its statistics stand still. For graphs whose weights never change again; compiler/freeze.c applies it. Not public.
 *
 *     z = product(x, W) + b;  z f + o   ->  product(x, W f) + (b f + o)
 *     product(x f + o, W)               ->  product(x, f W) + o W
 *
 * Inexact: each weight is rounded once more. */
#ifndef GRAPE_OPS_ABSORB_H
#define GRAPE_OPS_ABSORB_H

#include "core/node.h"

typedef struct gr__absorber {
    gr_tape *tape;
    /* Is this node the only reader of x? Else what x is would be computed twice. */
    bool (*sole)(void *user, const gr_tensor *x);
    /* A new weight for node n, to be filled in; GR_BAD without memory. */
    gr_tensor *(*weight)(void *user, const gr__node *n, gr_dtype dtype, gr_shape shape);
    void *user;
} gr__absorber;

/* What stands for node n, whose inputs on the new tape are `in`: NULL if there is nothing to absorb, GR_BAD without
 * memory. Weights are the nodes of variables and constants. */
gr_tensor *gr__absorb(const gr__absorber *a, const gr__node *n, gr_tensor *const *in);

#endif
