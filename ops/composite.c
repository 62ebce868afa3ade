/* ops/composite.c: softmax, log_softmax, batch_norm, layer_norm, each as its formula in ops. */
#include "ops/composite.h"
#include "ops/control.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include "ops/reduce.h"
#include "ops/shape_ops.h"

/* All that is recorded here carries the place of the call, a variable of each function. */
#undef GR_HERE
#define GR_HERE at

/* A good float tensor and good axes (none: the last), as flags and listed. */
static bool ready(gr_at at, const char *op, gr_tensor *x, gr_shape *axes, bool mask[GR_MAX_RANK])
{
    char text[200];
    if (!gr__given(at, op, "x", x))
        return false;
    if (!gr_dtype_is_float(x->dtype)) {
        gr_op_fail(at, GR_EDTYPE, op, "x", 1, &x, "expected float32 or float64, found %s; gr_cast converts",
            gr_dtype_name(x->dtype));
        return false;
    }
    const gr_shape asked = axes->rank ? *axes : GR_SHAPE(-1);
    if (!gr__axes(asked, x->shape.rank, mask)) {
        gr_op_fail(at, GR_ESHAPE, op, "axes", 1, &x, "expected different axes in %lld .. %lld, found %s",
            -(long long)x->shape.rank, (long long)x->shape.rank - 1,
            gr__rank_ok(asked) ? gr_shape_text(asked, text, sizeof text) : "too many");
        return false;
    }
    *axes = gr__axes_listed(mask, x->shape.rank);
    return true;
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

/* x less the greatest of its row, so that e^x does not overflow. The greatest is a constant to the gradient: the result
 * does not depend on what is taken out. Where it is -inf (or inf) nothing is taken out, or -inf - -inf would be NaN. */
static gr_tensor *shifted(gr_at at, gr_tensor *x, gr_shape axes)
{
    gr_tensor *top = gr_stop_gradient(gr_max(x, .axes = axes, .keepdims = true));
    return gr_sub(x, gr_where(gr_isfinite(top), top, gr_scalar(top, 0)));
}

gr_tensor *gr_softmax_at(gr_at at, const gr_softmax_args *args)
{
    bool mask[GR_MAX_RANK];
    gr_shape axes = args->axes;
    if (!ready(at, "softmax", args->x, &axes, mask))
        return GR_BAD;
    gr_tensor *e = gr_exp(shifted(at, args->x, axes));
    return gr_div(e, gr_sum(e, .axes = axes, .keepdims = true));
}

gr_tensor *gr_log_softmax_at(gr_at at, const gr_softmax_args *args)
{
    bool mask[GR_MAX_RANK];
    gr_shape axes = args->axes;
    if (!ready(at, "log_softmax", args->x, &axes, mask))
        return GR_BAD;
    gr_tensor *z = shifted(at, args->x, axes);
    return gr_sub(z, gr_log(gr_sum(gr_exp(z), .axes = axes, .keepdims = true)));
}

/* ---- normalisation ----------------------------------------------------------------------------------------------- */

/* p [features] with size 1 on the other axes of x, to broadcast with it; checks that it fits. */
static gr_tensor *across(gr_at at, const char *op, const char *argument, gr_tensor *p, gr_tensor *x, const bool *mask)
{
    bool others[GR_MAX_RANK];
    char want[200], got[200];
    for (int i = 0; i < GR_MAX_RANK; i++)
        others[i] = !mask[i];
    if (gr__is_bad(p))
        return GR_BAD;
    const gr_shape features = gr__reduced_shape(x->shape, others, false);
    if (p->dtype != x->dtype || !gr_shape_equal(p->shape, features))
        return gr__fail_of(at, p->dtype != x->dtype ? GR_EDTYPE : GR_ESHAPE, op, argument, 2, (gr_tensor *[]){x, p},
            (const char *const[]){"x", argument}, "expected %s, found %s",
            gr_type_text(x->dtype, features, want, sizeof want), gr_type_text(p->dtype, p->shape, got, sizeof got));
    return gr__reshaped(at, p, gr__reduced_shape(x->shape, others, true));
}

/* apart = x - mean; variance, gamma, beta broadcast with it; the last two may be NULL. */
static gr_tensor *normalised(
    gr_at at, gr_tensor *apart, gr_tensor *variance, double epsilon, gr_tensor *gamma, gr_tensor *beta)
{
    gr_tensor *scale = gr_rsqrt(gr_add(variance, gr_scalar(variance, epsilon)));
    gr_tensor *y = gr_mul(apart, gamma ? gr_mul(scale, gamma) : scale);
    return beta ? gr_add(y, beta) : y;
}

gr_tensor *gr_batch_norm_at(gr_at at, const gr_batch_norm_args *args)
{
    static const char op[] = "batch_norm";
    gr_tensor *x = args->x, *gamma = args->gamma, *beta = args->beta, *mean, *variance, *apart;
    const double epsilon = args->epsilon != 0 ? args->epsilon : 1e-3;
    gr_shape axes = args->axes, rest = GR_RANK0;
    bool mask[GR_MAX_RANK];
    if (args->batch_mean)
        *args->batch_mean = GR_BAD;
    if (args->batch_variance)
        *args->batch_variance = GR_BAD;
    if (!ready(at, op, x, &axes, mask))
        return GR_BAD;
    for (int64_t i = 0; i < x->shape.rank; i++)
        if (!mask[i])
            rest.dim[rest.rank++] = i;
    if (!rest.rank && !args->mean)
        return gr_op_fail(at, GR_ESHAPE, op, "x", 1, &x,
            "expected an axis besides the features, to take statistics over, found none");
    if (!args->mean != !args->variance)
        return gr_op_fail(at, GR_EARG, op, args->mean ? "variance" : "mean", 1, &x,
            "expected mean and variance together, or neither, found one");
    if ((gamma && gr__is_bad(gamma = across(at, op, "gamma", gamma, x, mask))) ||
        (beta && gr__is_bad(beta = across(at, op, "beta", beta, x, mask))))
        return GR_BAD;
    if (args->mean) {
        mean = across(at, op, "mean", args->mean, x, mask);
        variance = across(at, op, "variance", args->variance, x, mask);
        apart = gr_sub(x, mean);
    } else {
        mean = gr_mean(x, .axes = rest, .keepdims = true);
        apart = gr_sub(x, mean);
        /* Columns of rows are at hand in the cache when their mean is known; images are not, and pass by once. */
        variance = x->shape.rank > 2 ? gr__variance(at, &(gr_reduce_args){x, rest, true})
                                     : gr_mean(gr_square(apart), .axes = rest, .keepdims = true);
        if (args->batch_mean)
            *args->batch_mean = gr_squeeze(mean, rest);
        if (args->batch_variance)
            *args->batch_variance = gr_squeeze(variance, rest);
    }
    return normalised(at, apart, variance, epsilon, gamma, beta);
}

gr_tensor *gr_layer_norm_at(gr_at at, const gr_layer_norm_args *args)
{
    static const char op[] = "layer_norm";
    gr_tensor *x = args->x, *gamma = args->gamma, *beta = args->beta;
    gr_shape axes = args->axes;
    bool mask[GR_MAX_RANK];
    if (!ready(at, op, x, &axes, mask))
        return GR_BAD;
    if ((gamma && gr__is_bad(gamma = across(at, op, "gamma", gamma, x, mask))) ||
        (beta && gr__is_bad(beta = across(at, op, "beta", beta, x, mask))))
        return GR_BAD;
    gr_tensor *apart = gr_sub(x, gr_mean(x, .axes = axes, .keepdims = true));
    gr_tensor *variance = gr_mean(gr_square(apart), .axes = axes, .keepdims = true);
    return normalised(at, apart, variance, args->epsilon != 0 ? args->epsilon : 1e-3, gamma, beta);
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_softmax)(gr_tensor *x)
{
    return gr_softmax_at(NOWHERE, &(gr_softmax_args){.x = x});
}
gr_tensor *(gr_log_softmax)(gr_tensor *x)
{
    return gr_log_softmax_at(NOWHERE, &(gr_softmax_args){.x = x});
}
gr_tensor *(gr_batch_norm)(gr_tensor *x, gr_tensor *gamma, gr_tensor *beta)
{
    return gr_batch_norm_at(NOWHERE, &(gr_batch_norm_args){.x = x, .gamma = gamma, .beta = beta});
}
gr_tensor *(gr_layer_norm)(gr_tensor *x, gr_tensor *gamma, gr_tensor *beta)
{
    return gr_layer_norm_at(NOWHERE, &(gr_layer_norm_args){.x = x, .gamma = gamma, .beta = beta});
}
