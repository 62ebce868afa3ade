/* ops/control.h: what steers gradients. Assignments are in core/tape.h. */
#ifndef GRAPE_OPS_CONTROL_H
#define GRAPE_OPS_CONTROL_H

#include "core/tape.h"

GR_BEGIN

/* x, as a constant to the gradient. Any dtype. */
GR_API gr_tensor *gr_stop_gradient_at(gr_at at, gr_tensor *x);
GR_API gr_tensor *gr_stop_gradient(gr_tensor *x);
#define gr_stop_gradient(...) gr_stop_gradient_at(GR_HERE, __VA_ARGS__)

GR_END
#endif
