/* optim/rmsprop.c: RMSprop. See optimizer.h. */
#include "ops/ops.h"
#include "optim/optimizer.h"

/* x += (1 - rho)(new - x), as rho x + (1 - rho) new */
static gr_tensor *average(gr_tensor *x, gr_tensor *next, double rho)
{
    return gr_assign(x, gr_add(gr_mul(gr_scalar(x, rho), x), gr_mul(gr_scalar(x, 1 - rho), next)));
}

static gr_status rmsprop_update(gr_update *u, const void *spec, gr_tensor *w, gr_tensor *g)
{
    const gr_RMSprop_spec *s = spec;
    gr_tensor *rate = gr_cast(gr_rate(u), gr_dtype_of(w)), *eps = gr_scalar(w, s->epsilon);
    gr_tensor *v = average(gr_slot(u, w, "velocity"), gr_square(g), s->rho);
    gr_tensor *mom = s->momentum > 0 ? gr_slot(u, w, "momentum") : NULL;
    gr_tensor *spread = v;
    if (s->centered) {
        gr_tensor *mean = average(gr_slot(u, w, "average_gradient"), g, s->rho);
        spread = gr_sub(v, gr_square(mean));
    }
    gr_tensor *move = gr_div(gr_mul(rate, g), gr_sqrt(gr_add(spread, eps)));
    if (mom)
        move = gr_assign(mom, gr_add(gr_mul(gr_scalar(mom, s->momentum), mom), move));
    return gr_status_of(gr_assign(w, gr_sub(w, move)));
}

static const gr_field fields[] = {GR_OPTIMIZER_FIELDS(gr_RMSprop_spec, 0.001),
    GR_DOUBLE(gr_RMSprop_spec, rho, .def = 0.9, .has_min = true, .max = 1, .flag = GR_FLAG(gr_RMSprop_spec, has_rho)),
    GR_FLOAT(gr_RMSprop_spec, momentum, .has_min = true, .max = 1),
    GR_DOUBLE(gr_RMSprop_spec, epsilon, .def = 1e-7, .above_min = true), GR_BOOL(gr_RMSprop_spec, centered), {0}};
const gr_optimizer_kind gr_RMSprop_kind = {.name = "RMSprop",
    .size = sizeof(gr_RMSprop_spec),
    .fields = fields,
    .family = "optimizer",
    .update = rmsprop_update};
