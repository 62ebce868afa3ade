/* ops/moments.c: reductions that are built of ops: mean, var, std, norm, logsumexp. Declared in reduce.h. */
#include "ops/reduce.h"
#include "ops/elementwise.h"
#include "ops/control.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"

/* All that is recorded here carries the place of the call, a variable of each function. */
#undef GR_HERE
#define GR_HERE at

/* Checks what the parts could only complain about under other names; the axes as flags. */
static bool ready(gr_at at, const char *op, const gr_reduce_args *args, bool mask[GR_MAX_RANK])
{
    gr_tensor *x = args->x;
    char text[200];
    if (!gr__given(at, op, "x", x))
        return false;
    if (!gr_dtype_is_float(x->dtype)) {
        gr_op_fail(at, GR_EDTYPE, op, "x", 1, &x, "expected float32 or float64, found %s; gr_cast converts",
            gr_dtype_name(x->dtype));
        return false;
    }
    if (gr__axes(args->axes, x->shape.rank, mask))
        return true;
    gr_op_fail(at, GR_ESHAPE, op, "axes", 1, &x, "expected different axes in %lld .. %lld, found %s",
        -(long long)x->shape.rank, (long long)x->shape.rank - 1,
        gr__rank_ok(args->axes) ? gr_shape_text(args->axes, text, sizeof text) : "too many");
    return false;
}

static gr_tensor *mean(gr_at at, const gr_reduce_args *args, const bool *mask)
{
    return gr_div(gr_sum_at(at, args), gr__count_of(at, args->x, mask));
}

static gr_tensor *var(gr_at at, const gr_reduce_args *args, const bool *mask)
{
    gr_reduce_args rows = {args->x, args->axes, true};
    gr_tensor *apart = gr_sub(args->x, mean(at, &rows, mask));
    return mean(at, &(gr_reduce_args){gr_square(apart), args->axes, args->keepdims}, mask);
}

gr_tensor *gr_mean_at(gr_at at, const gr_reduce_args *args)
{
    bool mask[GR_MAX_RANK];
    return ready(at, "mean", args, mask) ? mean(at, args, mask) : GR_BAD;
}

gr_tensor *gr_var_at(gr_at at, const gr_reduce_args *args)
{
    bool mask[GR_MAX_RANK];
    return ready(at, "var", args, mask) ? var(at, args, mask) : GR_BAD;
}

gr_tensor *gr_std_at(gr_at at, const gr_reduce_args *args)
{
    bool mask[GR_MAX_RANK];
    return ready(at, "std", args, mask) ? gr_sqrt(var(at, args, mask)) : GR_BAD;
}

/* The root's slope at 0 is infinite, but a norm is flat there in the sense that matters: 0 is a subgradient. So the
 * root is taken of 1 where the sum is 0, and the choice cuts the gradient off. */
gr_tensor *gr_norm_at(gr_at at, const gr_reduce_args *args)
{
    bool mask[GR_MAX_RANK];
    if (!ready(at, "norm", args, mask))
        return GR_BAD;
    gr_tensor *sum = gr_sum_at(at, &(gr_reduce_args){gr_square(args->x), args->axes, args->keepdims});
    gr_tensor *zero = gr_equal(sum, gr_scalar(sum, 0));
    return gr_where(zero, gr_scalar(sum, 0), gr_sqrt(gr_where(zero, gr_scalar(sum, 1), sum)));
}

/* The greatest element is taken out before e^x; where that is infinite there is nothing to take out. It is a constant
 * to the gradient, which is the softmax either way. */
gr_tensor *gr_logsumexp_at(gr_at at, const gr_reduce_args *args)
{
    bool mask[GR_MAX_RANK];
    if (!ready(at, "logsumexp", args, mask))
        return GR_BAD;
    gr_tensor *top = gr_stop_gradient_at(at, gr_max_at(at, &(gr_reduce_args){args->x, args->axes, true}));
    gr_tensor *shift = gr_where(gr_isfinite(top), top, gr_scalar(top, 0));
    gr_tensor *e = gr_exp(gr_sub(args->x, shift));
    gr_tensor *sum = gr_sum_at(at, &(gr_reduce_args){e, args->axes, args->keepdims});
    gr_tensor *log = gr_log(sum);
    return gr__is_bad(log) ? GR_BAD : gr_add(log, gr__reshaped(at, shift, log->shape));
}

#undef GR_HERE
#define GR_HERE ((gr_at){__FILE__, __LINE__})
#define BARE(name)                                                                                                     \
    gr_tensor *(gr_##name)(gr_tensor * x)                                                                              \
    {                                                                                                                  \
        return gr_##name##_at((gr_at){0}, &(gr_reduce_args){.x = x});                                                  \
    }
BARE(mean) BARE(var) BARE(std) BARE(norm) BARE(logsumexp)
