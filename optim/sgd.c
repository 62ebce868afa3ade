/* optim/sgd.c: stochastic gradient descent, with momentum if asked for. See optimizer.h. */
#include "ops/ops.h"
#include "optim/optimizer.h"

static gr_status sgd_update(gr_update *u, const void *spec, gr_tensor *w, gr_tensor *g)
{
    const gr_SGD_spec *s = spec;
    gr_tensor *step = gr_mul(gr_cast(gr_rate(u), gr_dtype_of(g)), g);
    if (s->momentum == 0)
        return gr_status_of(gr_assign(w, gr_sub(w, step)));
    gr_tensor *v = gr_slot(u, w, "momentum"), *mu = gr_scalar(v, s->momentum);
    v = gr_assign(v, gr_sub(gr_mul(mu, v), step));
    gr_tensor *move = s->nesterov ? gr_sub(gr_mul(mu, v), step) : v;
    return gr_status_of(gr_assign(w, gr_add(w, move)));
}

static const gr_field fields[] = {GR_OPTIMIZER_FIELDS(gr_SGD_spec, 0.01),
    GR_FLOAT(gr_SGD_spec, momentum, .has_min = true, .max = 1), GR_BOOL(gr_SGD_spec, nesterov), {0}};
const gr_optimizer_kind gr_SGD_kind = {
    .name = "SGD", .size = sizeof(gr_SGD_spec), .fields = fields, .family = "optimizer", .update = sgd_update};
