/* ops/create.c: full and its relatives are a broadcast number; arange is an op without inputs. */
#include "ops/create.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include <math.h>

/* ---- one number everywhere --------------------------------------------------------------------------------------- */

gr_tensor *gr_full_at(gr_at at, gr_tape *t, gr_shape shape, double value, gr_dtype dtype)
{
    if (!t)
        return gr_op_fail(at, GR_EARG, "full", "tape", 0, NULL, "expected a tape, found NULL");
    return gr_broadcast_to_at(at, gr_number_at(at, t, dtype ? dtype : GR_F32, value), shape);
}
gr_tensor *gr_zeros_at(gr_at at, gr_tape *t, gr_shape shape, gr_dtype dtype)
{
    return gr_full_at(at, t, shape, 0, dtype);
}
gr_tensor *gr_ones_at(gr_at at, gr_tape *t, gr_shape shape, gr_dtype dtype)
{
    return gr_full_at(at, t, shape, 1, dtype);
}

gr_tensor *gr_full_like_at(gr_at at, gr_tensor *x, double value)
{
    if (!gr__given(at, "full_like", "x", x))
        return GR_BAD;
    return gr_full_at(at, x->node->tape, x->shape, value, x->dtype);
}
gr_tensor *gr_zeros_like_at(gr_at at, gr_tensor *x)
{
    return gr_full_like_at(at, x, 0);
}
gr_tensor *gr_ones_like_at(gr_at at, gr_tensor *x)
{
    return gr_full_like_at(at, x, 1);
}

/* ---- arange ------------------------------------------------------------------------------------------------------ */

typedef struct {
    double start, stop, step;
    gr_dtype dtype;
} arange_attr;
static const gr_field arange_fields[] = {GR_DOUBLE(arange_attr, start), GR_DOUBLE(arange_attr, stop),
    GR_DOUBLE(arange_attr, step), GR_DTYPE_FIELD(arange_attr, dtype), {0}};

static gr_status infer_arange(gr_infer *f)
{
    const arange_attr *a = f->attr;
    double n = ceil((a->stop - a->start) / a->step);
    if (!isfinite(a->start) || !isfinite(a->stop))
        return gr_infer_fail(f, GR_EARG, "stop", "expected finite numbers, found %g and %g", a->start, a->stop);
    if (a->step == 0 || !isfinite(a->step))
        return gr_infer_fail(f, GR_EARG, "step", "expected a number other than 0, found %g", a->step);
    if (a->dtype <= GR_DTYPE_NONE || a->dtype >= GR_BOOL)
        return gr_infer_fail(f, GR_EDTYPE, "dtype", "expected a number, found %s", gr_dtype_name(a->dtype));
    if (!(n < 0x1p40))
        return gr_infer_fail(f, GR_EARG, "stop", "expected at most 2^40 elements, found %g", n);
    bool whole = floor(a->start) == a->start && floor(a->step) == a->step;
    double last = a->start + (n - 1) * a->step, low = fmin(a->start, last), high = fmax(a->start, last);
    static const double least[] = {[GR_I32] = -0x1p31, [GR_I64] = -0x1p53, [GR_U8] = 0};
    static const double most[] = {[GR_I32] = 0x1p31 - 1, [GR_I64] = 0x1p53, [GR_U8] = 255};
    if (!gr_dtype_is_float(a->dtype) && n > 0 && !(whole && low >= least[a->dtype] && high <= most[a->dtype]))
        return gr_infer_fail(f, GR_ERANGE, "start", "expected numbers that %s holds exactly, found %g to %g by %g",
            gr_dtype_name(a->dtype), a->start, last, a->step);
    f->out_dtype[0] = a->dtype;
    f->out_shape[0] = GR_SHAPE(n > 0 ? (int64_t)n : 0);
    return GR_OK;
}

static gr_status arange_eval(const gr_call *c)
{
    const arange_attr *a = c->attr;
    void *y = c->out[0].data;
    for (int64_t i = c->begin; i < c->end; i++) {
        double v = a->start + (double)i * a->step;
        switch (c->out[0].dtype) {
        case GR_F32:
            ((float *)y)[i] = (float)v;
            break;
        case GR_F64:
            ((double *)y)[i] = v;
            break;
        case GR_I32:
            ((int32_t *)y)[i] = (int32_t)v;
            break;
        case GR_I64:
            ((int64_t *)y)[i] = (int64_t)v;
            break;
        default:
            ((uint8_t *)y)[i] = (uint8_t)v;
        }
    }
    return GR_OK;
}

const gr_op gr_op_arange = {.abi = GR_ABI,
    .name = "arange",
    .doc = "evenly spaced numbers",
    .n_out = 1,
    .traits = GR_RANGED | GR_NO_GRADIENT,
    .attrs = arange_fields,
    .attr_size = sizeof(arange_attr),
    .infer = infer_arange,
    .eval_f32 = arange_eval,
    .eval_f64 = arange_eval,
    .samples = GR_SAMPLES({0, 0, .attr = &(const arange_attr){0, 7, 1, GR_I64}},
        {0, 0, .attr = &(const arange_attr){-1, 2, 0.25, GR_F32}},
        {0, 0, .attr = &(const arange_attr){5, -6, -2, GR_I32}},
        {0, 0, .attr = &(const arange_attr){3, 3, 1, GR_F64}})};

gr_tensor *gr_arange_at(gr_at at, const gr_arange_args *args)
{
    const arange_attr a = {
        args->start, args->stop, args->step != 0 ? args->step : 1, args->dtype ? args->dtype : GR_I64};
    if (!args->tape)
        return gr_op_fail(at, GR_EARG, "arange", "tape", 0, NULL, "expected a tape, found NULL");
    return gr__apply_op_on(args->tape, at, &gr_op_arange, &a, 0, NULL);
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_full)(gr_tape *t, gr_shape shape, double value, gr_dtype dtype)
{
    return gr_full_at(NOWHERE, t, shape, value, dtype);
}
gr_tensor *(gr_zeros)(gr_tape *t, gr_shape shape, gr_dtype dtype)
{
    return gr_zeros_at(NOWHERE, t, shape, dtype);
}
gr_tensor *(gr_ones)(gr_tape *t, gr_shape shape, gr_dtype dtype)
{
    return gr_ones_at(NOWHERE, t, shape, dtype);
}
gr_tensor *(gr_full_like)(gr_tensor *x, double value)
{
    return gr_full_like_at(NOWHERE, x, value);
}
gr_tensor *(gr_zeros_like)(gr_tensor *x)
{
    return gr_zeros_like_at(NOWHERE, x);
}
gr_tensor *(gr_ones_like)(gr_tensor *x)
{
    return gr_ones_like_at(NOWHERE, x);
}
gr_tensor *(gr_arange)(gr_tape *t, double start, double stop)
{
    return gr_arange_at(NOWHERE, &(gr_arange_args){.tape = t, .start = start, .stop = stop});
}
