/* ops/control.c: stop_gradient. */
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

gr_tensor *gr_stop_gradient_at(gr_at at, gr_tensor *x)
{
    return gr_apply_op_at(at, &gr_op_stop_gradient, NULL, 1, &x);
}
gr_tensor *(gr_stop_gradient)(gr_tensor *x)
{
    return gr_stop_gradient_at((gr_at){0}, x);
}
