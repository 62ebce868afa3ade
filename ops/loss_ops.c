/* ops/loss_ops.c: losses of each sample, as their formulas in ops. */
#include "ops/loss_ops.h"
#include "ops/composite.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include "ops/reduce.h"
#include "ops/shape_ops.h"

/* All that is recorded here carries the place of the call, a variable of each function. */
#undef GR_HERE
#define GR_HERE at

static const char *const names[] = {"target", "output"};
#define EPSILON 1e-7 /* keras.config.epsilon() */

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static bool good_output(gr_at at, const char *op, gr_tensor *target, gr_tensor *output)
{
    gr_tensor *in[] = {target, output};
    if (!gr__given(at, op, "target", target) || !gr__given(at, op, "output", output))
        return false;
    if (!gr_dtype_is_float(output->dtype)) {
        gr__fail_of(at, GR_EDTYPE, op, "output", 2, in, names, "expected float32 or float64, found %s",
            gr_dtype_name(output->dtype));
        return false;
    }
    if (output->shape.rank == 0) {
        gr__fail_of(at, GR_ESHAPE, op, "output", 2, in, names, "expected rank 1 or more, found []");
        return false;
    }
    return true;
}

/* Both in output's dtype and one shape: [n] and [n, 1] fit each other, which Keras allows on either side. */
static bool matched(gr_at at, const char *op, gr_tensor **target, gr_tensor **output)
{
    gr_tensor *y = *target, *p = *output;
    char want[200], got[200];
    if (!good_output(at, op, y, p))
        return false;
    if (y->shape.rank == p->shape.rank + 1 && y->shape.dim[p->shape.rank] == 1)
        y = gr_squeeze(y, GR_SHAPE(-1));
    else if (p->shape.rank == y->shape.rank + 1 && p->shape.dim[y->shape.rank] == 1)
        y = gr_expand_dims(y, GR_SHAPE(-1));
    if (!gr__is_bad(y) && !gr_shape_equal(y->shape, p->shape)) {
        gr__fail_of(at, GR_ESHAPE, op, "target", 2, (gr_tensor *[]){*target, *output}, names,
            "expected %s, the shape of output, found %s", gr_shape_text(p->shape, want, sizeof want),
            gr_shape_text((*target)->shape, got, sizeof got));
        return false;
    }
    *target = gr_cast(y, p->dtype);
    return !gr__is_bad(*target);
}

/* target (1 - s) + s / n, n numbers to share it */
static gr_tensor *smoothed(gr_at at, gr_tensor *target, double s, gr_tensor *n)
{
    if (s == 0)
        return target;
    gr_tensor *share = gr_div(gr_scalar(target, s), n);
    return gr_add(gr_mul(target, gr_scalar(target, 1 - s)), share);
}

static bool good_smoothing(gr_at at, const char *op, const gr_crossentropy_args *a)
{
    if (a->label_smoothing >= 0 && a->label_smoothing <= 1)
        return true;
    gr__fail_of(at, GR_EARG, op, "label_smoothing", 2, (gr_tensor *[]){a->target, a->output}, names,
        "expected 0 .. 1, found %g", a->label_smoothing);
    return false;
}

static void last_axis(const gr_tensor *x, bool mask[GR_MAX_RANK])
{
    for (int64_t i = 0; i < GR_MAX_RANK; i++)
        mask[i] = i == x->shape.rank - 1;
}

static gr_tensor *row_mean(gr_at at, gr_tensor *x)
{
    return gr_mean(x, .axes = GR_SHAPE(-1));
}

/* ---- cross-entropy ----------------------------------------------------------------------------------------------- */

static gr_tensor *log_of_probability(gr_at at, gr_tensor *p)
{
    return gr_log(gr_clip_at(at, p, EPSILON, 1 - EPSILON));
}

/* log p of each class. */
static gr_tensor *log_classes(gr_at at, gr_tensor *output, bool from_logits)
{
    if (from_logits)
        return gr_log_softmax(output);
    return log_of_probability(at, gr_div(output, gr_sum(output, .axes = GR_SHAPE(-1), .keepdims = true)));
}

gr_tensor *gr_categorical_crossentropy_at(gr_at at, const gr_crossentropy_args *args)
{
    static const char op[] = "categorical_crossentropy";
    gr_tensor *y = args->target, *p = args->output;
    bool mask[GR_MAX_RANK];
    if (!matched(at, op, &y, &p) || !good_smoothing(at, op, args))
        return GR_BAD;
    last_axis(p, mask);
    if (args->label_smoothing != 0)
        y = smoothed(at, y, args->label_smoothing, gr__count_of(at, p, mask));
    return gr_neg(gr_sum(gr_mul(y, log_classes(at, p, args->from_logits)), .axes = GR_SHAPE(-1)));
}

gr_tensor *gr_binary_crossentropy_at(gr_at at, const gr_crossentropy_args *args)
{
    static const char op[] = "binary_crossentropy";
    gr_tensor *y = args->target, *p = args->output;
    if (!matched(at, op, &y, &p) || !good_smoothing(at, op, args))
        return GR_BAD;
    y = smoothed(at, y, args->label_smoothing, gr_scalar(y, 2));
    if (args->from_logits) /* -log sigmoid(z) = softplus(z) - z, -log(1 - sigmoid(z)) = softplus(z) */
        return row_mean(at, gr_sub(gr_softplus(p), gr_mul(p, y)));
    gr_tensor *one = gr_scalar(p, 1), *inside = gr_clip_at(at, p, EPSILON, 1 - EPSILON);
    gr_tensor *is = gr_mul(y, gr_log(inside)), *is_not = gr_mul(gr_sub(one, y), gr_log(gr_sub(one, inside)));
    return row_mean(at, gr_neg(gr_add(is, is_not)));
}

gr_tensor *gr_sparse_categorical_crossentropy_at(gr_at at, const gr_sparse_crossentropy_args *args)
{
    static const char op[] = "sparse_categorical_crossentropy";
    gr_tensor *y = args->target, *p = args->output;
    char want[200], got[200];
    if (!good_output(at, op, y, p))
        return GR_BAD;
    gr_shape column = p->shape;
    column.dim[column.rank - 1] = 1;
    gr_shape flat = column;
    flat.rank--;
    flat.dim[flat.rank] = 0;
    if (!gr_shape_equal(y->shape, column) && !gr_shape_equal(y->shape, flat))
        return gr__fail_of(at, GR_ESHAPE, op, "target", 2, (gr_tensor *[]){y, p}, names,
            "expected %s, a label a sample, found %s", gr_shape_text(flat, want, sizeof want),
            gr_shape_text(y->shape, got, sizeof got));
    if (y->dtype == GR_BOOL)
        return gr__fail_of(
            at, GR_EDTYPE, op, "target", 2, (gr_tensor *[]){y, p}, names, "expected integers, found bool");
    if (gr_dtype_is_float(y->dtype))
        y = gr_cast(y, GR_I64);
    y = gr__reshaped(at, y, column);
    gr_tensor *ignored = NULL;
    if (args->has_ignore_class) {
        ignored = gr_equal(y, gr_scalar(y, (double)args->ignore_class));
        y = gr_where(ignored, gr_scalar(y, 0), y);
    }
    gr_tensor *loss = gr_neg(gr__take_labels(at, log_classes(at, p, args->from_logits), y));
    if (ignored)
        loss = gr_where(ignored, gr_scalar(loss, 0), loss);
    return gr__is_bad(loss) ? GR_BAD : gr__reshaped(at, loss, flat);
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

gr_tensor *gr_mean_squared_error_at(gr_at at, gr_tensor *target, gr_tensor *output)
{
    if (!matched(at, "mean_squared_error", &target, &output))
        return GR_BAD;
    return row_mean(at, gr_square(gr_sub(target, output)));
}

gr_tensor *gr_mean_absolute_error_at(gr_at at, gr_tensor *target, gr_tensor *output)
{
    if (!matched(at, "mean_absolute_error", &target, &output))
        return GR_BAD;
    return row_mean(at, gr_abs(gr_sub(target, output)));
}

gr_tensor *gr_huber_at(gr_at at, const gr_huber_args *args)
{
    gr_tensor *target = args->target, *output = args->output;
    const double delta = args->delta != 0 ? args->delta : 1;
    if (!matched(at, "huber", &target, &output))
        return GR_BAD;
    if (!(delta > 0))
        return gr__fail_of(at, GR_EARG, "huber", "delta", 2, (gr_tensor *[]){args->target, args->output}, names,
            "expected a number > 0, found %g", delta);
    gr_tensor *e = gr_sub(target, output), *far = gr_abs(e), *d = gr_scalar(e, delta);
    gr_tensor *near = gr_mul(gr_scalar(e, 0.5), gr_square(e));
    gr_tensor *line = gr_sub(gr_mul(d, far), gr_scalar(e, delta * delta / 2));
    return row_mean(at, gr_where(gr_less_equal(far, d), near, line));
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_categorical_crossentropy)(gr_tensor *target, gr_tensor *output)
{
    return gr_categorical_crossentropy_at(NOWHERE, &(gr_crossentropy_args){.target = target, .output = output});
}
gr_tensor *(gr_binary_crossentropy)(gr_tensor *target, gr_tensor *output)
{
    return gr_binary_crossentropy_at(NOWHERE, &(gr_crossentropy_args){.target = target, .output = output});
}
gr_tensor *(gr_sparse_categorical_crossentropy)(gr_tensor *target, gr_tensor *output)
{
    return gr_sparse_categorical_crossentropy_at(
        NOWHERE, &(gr_sparse_crossentropy_args){.target = target, .output = output});
}
gr_tensor *(gr_mean_squared_error)(gr_tensor *target, gr_tensor *output)
{
    return gr_mean_squared_error_at(NOWHERE, target, output);
}
gr_tensor *(gr_mean_absolute_error)(gr_tensor *target, gr_tensor *output)
{
    return gr_mean_absolute_error_at(NOWHERE, target, output);
}
gr_tensor *(gr_huber)(gr_tensor *target, gr_tensor *output)
{
    return gr_huber_at(NOWHERE, &(gr_huber_args){.target = target, .output = output});
}
