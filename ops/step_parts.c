/* ops/step_parts.c: the first axis as steps of a loop: what all steps made put together, and one step's part of it. */
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include <string.h>

extern const gr_op gr_op_concatenate, gr_op_reshape;
enum { MOST = 64 }; /* tensors that concatenate takes */

/* Is x put together along the first axis? Its attribute is the axis. */
static bool is_joined(const gr_tensor *x)
{
    int64_t axis = -1;
    if (x->node->op == &gr_op_concatenate)
        memcpy(&axis, x->node->attr, sizeof axis);
    return axis == 0;
}

gr_tensor *gr__step_of(gr_at at, gr_tensor *x, int64_t k)
{
    if (gr__is_bad(x))
        return GR_BAD;
    while (is_joined(x)) {
        int i = 0;
        for (; k >= x->node->in[i]->shape.dim[0]; i++)
            k -= x->node->in[i]->shape.dim[0];
        x = x->node->in[i];
    }
    const gr_shape step = gr__step_shape(x->shape);
    if (x->shape.dim[0] != 1)
        x = gr_slice_at(at, &(gr_slice_args){.x = x, .start = GR_SHAPE(k), .stop = GR_SHAPE(k + 1)});
    else if (x->node->op == &gr_op_reshape && gr_shape_equal(x->node->in[0]->shape, step))
        return x->node->in[0];
    return gr__is_bad(x) ? GR_BAD : gr_reshape_at(at, x, step);
}

gr_tensor *gr__of_steps(gr_at at, int64_t n, gr_tensor *const *parts)
{
    gr_tensor **all = gr__alloc(n, sizeof *all), *joined = GR_BAD;
    for (int64_t i = 0; all && i < n; i++)
        all[i] = gr_expand_dims_at(at, parts[i], GR_SHAPE(0));
    for (int64_t left = n; all && left > 1;) { /* runs of them into one, over and over */
        int64_t to = 0;
        for (int64_t i = 0; i < left; i += MOST, to++) {
            const int64_t run = left - i < MOST ? left - i : MOST;
            all[to] = run > 1 ? gr_concatenate_at(at, (int)run, all + i, 0) : all[i];
        }
        left = to;
    }
    if (all && n > 0)
        joined = all[0];
    gr__free(all);
    return joined;
}
