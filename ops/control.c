/* ops/control.c: what steers gradients. */
#include "ops/control.h"
#include "ops/ops_impl.h"
#include <string.h>

static gr_status copy_eval(const gr_call *c)
{
    int64_t size = gr_dtype_size(c->out[0].dtype);
    memcpy((char *)c->out[0].data + c->begin * size, (const char *)c->in[0].data + c->begin * size,
        (size_t)((c->end - c->begin) * size));
    return GR_OK;
}

static void alias_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_ALIAS;
}

const gr_op gr_op_stop_gradient = {.abi = GR_ABI,
    .name = "stop_gradient",
    .doc = "x, as a constant to the gradient",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED | GR_NO_GRADIENT | GR_IDEMPOTENT,
    .in_names = (const char *const[]){"x"},
    .infer = gr_infer_same,
    .eval_f32 = copy_eval,
    .eval_f64 = copy_eval,
    .lower = alias_lower,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3)}, .attr = NULL}, {-3, 3, {{0, {0}}}, .attr = NULL},
        {-3, 3, {GR_DIMS(0, 5)}, .attr = NULL}, {0, 9, {GR_DIMS(17)}, .dtype = {GR_I32}})};

static gr_status infer_either(gr_infer *f)
{
    char want[200], got[200];
    if (f->n_in < 2)
        return gr_infer_fail(f, GR_EARG, "in", "expected 2 inputs or more, found %d", f->n_in);
    if (f->dtype[1] != f->dtype[0] || !gr_shape_equal(f->shape[1], f->shape[0]))
        return gr_infer_fail(f, GR_ESHAPE, "in", "expected input 1 to be %s like input 0, found %s",
            gr_type_text(f->dtype[0], f->shape[0], want, sizeof want),
            gr_type_text(f->dtype[1], f->shape[1], got, sizeof got));
    return gr_infer_same(f);
}

const gr_op gr_op_either = {.abi = GR_ABI,
    .name = "either",
    .doc = "input 0, a cheaper way to what input 1 is",
    .n_in = -1,
    .n_out = 1,
    .traits = GR_RANGED | GR_EITHER | GR_NO_GRADIENT, /* none of its own: autograd/grad.c passes dy on */
    .infer = infer_either,
    .eval_f32 = copy_eval,
    .eval_f64 = copy_eval,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3), GR_DIMS(4, 3)}, .attr = NULL},
        {-3, 3, {GR_DIMS(5), GR_DIMS(5), GR_DIMS(2, 3)}, .attr = NULL})};

gr_tensor *gr_stop_gradient_at(gr_at at, gr_tensor *x)
{
    return gr_apply_op_at(at, &gr_op_stop_gradient, NULL, 1, &x);
}
gr_tensor *(gr_stop_gradient)(gr_tensor *x)
{
    return gr_stop_gradient_at((gr_at){0}, x);
}
