/* ops/random_ops.c: random numbers as ops without inputs, and dropout. The generator is in core/random.c. */
#include "ops/random_ops.h"
#include "core/random.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include <math.h>

typedef struct {
    gr_shape shape;
    double shift, scale; /* of the standard variate */
    gr_dtype dtype;
    int64_t use; /* names the stream */
} random_attr;
static const gr_field random_fields[] = {GR_SHAPE_FIELD(random_attr, shape), GR_DOUBLE(random_attr, shift),
    GR_DOUBLE(random_attr, scale), GR_DTYPE_FIELD(random_attr, dtype), GR_INT64(random_attr, use), {0}};

static gr_status infer_shape(gr_infer *f)
{
    const random_attr *a = f->attr;
    char text[200];
    bool good = gr__rank_ok(a->shape);
    for (int64_t i = 0; good && i < a->shape.rank; i++)
        good = a->shape.dim[i] >= 0 || gr_dim_is_batch(a->shape.dim[i]);
    if (!good)
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected sizes >= 0, found %s",
            gr__rank_ok(a->shape) ? gr_shape_text(a->shape, text, sizeof text) : "a rank above 8");
    f->out_dtype[0] = GR_I32;
    f->out_shape[0] = a->shape;
    return GR_OK;
}

static gr_status infer_random(gr_infer *f)
{
    const random_attr *a = f->attr;
    if (!gr_dtype_is_float(a->dtype))
        return gr_infer_fail(f, GR_EDTYPE, "dtype", "expected float32 or float64, found %s", gr_dtype_name(a->dtype));
    if (!isfinite(a->shift) || !isfinite(a->scale))
        return gr_infer_fail(f, GR_EARG, "options", "expected finite numbers, found %g and %g", a->shift, a->scale);
    GR_TRY(infer_shape(f));
    f->out_dtype[0] = a->dtype;
    return GR_OK;
}

static gr_status bits_eval(const gr_call *c)
{
    const random_attr *a = c->attr;
    gr__random_bits(c->seed, (uint64_t)a->use, c->step, c->begin, c->end, (uint32_t *)c->out[0].data + c->begin);
    return GR_OK;
}

#define RANDOM_EVAL(name)                                                                                              \
    static gr_status name##_eval(const gr_call *c)                                                                     \
    {                                                                                                                  \
        const random_attr *a = c->attr;                                                                                \
        if (c->out[0].dtype == GR_F64) {                                                                               \
            double *y = c->out[0].data;                                                                                \
            gr__random_##name##_f64(c->seed, (uint64_t)a->use, c->step, c->begin, c->end, y + c->begin);               \
            for (int64_t i = c->begin; i < c->end; i++)                                                                \
                y[i] = a->shift + a->scale * y[i];                                                                     \
        } else {                                                                                                       \
            const float shift = (float)a->shift, scale = (float)a->scale;                                              \
            float *y = c->out[0].data;                                                                                 \
            gr__random_##name##_f32(c->seed, (uint64_t)a->use, c->step, c->begin, c->end, y + c->begin);               \
            for (int64_t i = c->begin; i < c->end; i++)                                                                \
                y[i] = shift + scale * y[i];                                                                           \
        }                                                                                                              \
        return GR_OK;                                                                                                  \
    }
RANDOM_EVAL(uniform)
RANDOM_EVAL(normal)
RANDOM_EVAL(truncated)

#define STREAM(SHIFT, SCALE, DTYPE, ...)                                                                               \
    {                                                                                                                  \
        0, 0, .attr = &(const random_attr)                                                                             \
        {                                                                                                              \
            GR_DIMS(__VA_ARGS__), SHIFT, SCALE, DTYPE, 77                                                              \
        }                                                                                                              \
    }
#define RANDOM_OP(op, inference, evaluator, text)                                                                      \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_out = 1,                                                                                                    \
        .traits = GR_RANGED | GR_RANDOM | GR_NO_GRADIENT,                                                              \
        .attrs = random_fields,                                                                                        \
        .attr_size = sizeof(random_attr),                                                                              \
        .infer = inference,                                                                                            \
        .eval_f32 = evaluator,                                                                                         \
        .eval_f64 = evaluator,                                                                                         \
        .samples = GR_SAMPLES(STREAM(0, 1, GR_F32, 5, 3), STREAM(-1, 2, GR_F64, 17), STREAM(0, 1, GR_F32, 0, 2))}
RANDOM_OP(random_uniform, infer_random, uniform_eval, "uniform random numbers");
RANDOM_OP(random_normal, infer_random, normal_eval, "normal random numbers");
RANDOM_OP(random_truncated_normal, infer_random, truncated_eval, "normal random numbers within 2 deviations");
RANDOM_OP(random_bits, infer_shape, bits_eval, "32 random bits each");

static gr_tensor *stream(gr_at at, const gr_op *op, gr_tape *t, random_attr a)
{
    if (!t)
        return gr_op_fail(at, GR_EARG, op->name, "tape", 0, NULL, "expected a tape, found NULL");
    a.dtype = a.dtype ? a.dtype : GR_F32;
    a.use = (int64_t)gr__random_use(t);
    return gr__apply_op_on(t, at, op, &a, 0, NULL);
}

gr_tensor *gr_random_uniform_at(gr_at at, const gr_uniform_args *args)
{
    bool standard = args->minval == 0 && args->maxval == 0;
    if (!standard && !(args->minval < args->maxval))
        return gr_op_fail(at, GR_EARG, "random_uniform", "maxval", 0, NULL, "expected a number above %g, found %g",
            args->minval, args->maxval);
    return stream(at, &gr_op_random_uniform, args->tape,
        (random_attr){.shape = args->shape,
            .shift = args->minval,
            .scale = standard ? 1 : args->maxval - args->minval,
            .dtype = args->dtype});
}

static gr_tensor *normal(gr_at at, const gr_op *op, const gr_normal_args *args)
{
    if (!(args->stddev >= 0))
        return gr_op_fail(at, GR_EARG, op->name, "stddev", 0, NULL, "expected a number > 0, found %g", args->stddev);
    return stream(at, op, args->tape,
        (random_attr){.shape = args->shape,
            .shift = args->mean,
            .scale = args->stddev != 0 ? args->stddev : 1,
            .dtype = args->dtype});
}
gr_tensor *gr_random_normal_at(gr_at at, const gr_normal_args *args)
{
    return normal(at, &gr_op_random_normal, args);
}
gr_tensor *gr_random_truncated_normal_at(gr_at at, const gr_normal_args *args)
{
    return normal(at, &gr_op_random_truncated_normal, args);
}
gr_tensor *gr_random_bits_at(gr_at at, gr_tape *t, gr_shape shape)
{
    return stream(at, &gr_op_random_bits, t, (random_attr){.shape = shape});
}

gr_tensor *gr_dropout_at(gr_at at, gr_tensor *x, double rate)
{
    if (!gr__given(at, "dropout", "x", x))
        return GR_BAD;
    if (!gr_dtype_is_float(x->dtype))
        return gr_op_fail(
            at, GR_EDTYPE, "dropout", "x", 1, &x, "expected float32 or float64, found %s", gr_dtype_name(x->dtype));
    if (!(rate >= 0 && rate <= 1))
        return gr_op_fail(at, GR_EARG, "dropout", "rate", 1, &x, "expected 0 .. 1, found %g", rate);
    if (rate == 0)
        return x;
    if (rate == 1)
        return gr_zeros_like_at(at, x);
    gr_tensor *u = gr_random_uniform_at(at, &(gr_uniform_args){.tape = x->node->tape, .shape = x->shape});
    gr_tensor *keep = gr_greater_equal_at(at, u, gr_scalar_at(at, u, rate));
    return gr_where_at(at, keep, gr_mul_at(at, x, gr_scalar_at(at, x, 1 / (1 - rate))), gr_scalar_at(at, x, 0));
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_random_uniform)(gr_tape *t, gr_shape shape)
{
    return gr_random_uniform_at(NOWHERE, &(gr_uniform_args){.tape = t, .shape = shape});
}
gr_tensor *(gr_random_normal)(gr_tape *t, gr_shape shape)
{
    return gr_random_normal_at(NOWHERE, &(gr_normal_args){.tape = t, .shape = shape});
}
gr_tensor *(gr_random_truncated_normal)(gr_tape *t, gr_shape shape)
{
    return gr_random_truncated_normal_at(NOWHERE, &(gr_normal_args){.tape = t, .shape = shape});
}
gr_tensor *(gr_random_bits)(gr_tape *t, gr_shape shape)
{
    return gr_random_bits_at(NOWHERE, t, shape);
}
gr_tensor *(gr_dropout)(gr_tensor *x, double rate)
{
    return gr_dropout_at(NOWHERE, x, rate);
}
