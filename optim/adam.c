/* optim/adam.c: Adam and AdamW, which differ in the default of weight_decay only. See optimizer.h. */
#include "ops/ops.h"
#include "optim/optimizer.h"

/* 1 - beta^t as Keras rounds it: beta, its power and the difference are float32 (so 1 - 0.999f is 1.3e-5 too small).
 * The power is taken in float64, since an error of one unit in its last place is 1e-4 of the difference when t is 1. */
static gr_tensor *one_minus_power(gr_update *u, double beta)
{
    gr_tensor *t = gr_cast(gr_iterations(u), GR_F64);
    gr_tensor *power = gr_cast(gr_pow(gr_scalar(t, (float)beta), t), GR_F32);
    return gr_sub(gr_scalar(power, 1), power);
}

/* m += (g - m)(1 - b1); v += (g^2 - v)(1 - b2); w -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps) */
static gr_status adam_update(gr_update *u, const void *spec, gr_tensor *w, gr_tensor *g)
{
    const gr_Adam_spec *s = spec;
    gr_tensor *m = gr_slot(u, w, "momentum"), *v = gr_slot(u, w, "velocity");
    gr_tensor *correct_1 = one_minus_power(u, s->beta_1), *correct_2 = one_minus_power(u, s->beta_2);
    gr_tensor *alpha = gr_cast(gr_div(gr_mul(gr_rate(u), gr_sqrt(correct_2)), correct_1), gr_dtype_of(w));

    m = gr_assign(m, gr_add(m, gr_mul(gr_sub(g, m), gr_scalar(m, 1 - s->beta_1))));
    v = gr_assign(v, gr_add(v, gr_mul(gr_sub(gr_square(g), v), gr_scalar(v, 1 - s->beta_2))));
    if (s->amsgrad) {
        gr_tensor *top = gr_slot(u, w, "velocity_hat");
        v = gr_assign(top, gr_maximum(top, v));
    }
    gr_tensor *move = gr_div(gr_mul(m, alpha), gr_add(gr_sqrt(v), gr_scalar(v, s->epsilon)));
    return gr_status_of(gr_assign(w, gr_sub(w, move)));
}

#define ADAM_FIELDS                                                                                                    \
    GR_DOUBLE(gr_Adam_spec, beta_1, .def = 0.9, .has_min = true, .max = 1, .below_max = true,                          \
        .flag = GR_FLAG(gr_Adam_spec, has_beta_1)),                                                                    \
        GR_DOUBLE(gr_Adam_spec, beta_2, .def = 0.999, .has_min = true, .max = 1, .below_max = true,                    \
            .flag = GR_FLAG(gr_Adam_spec, has_beta_2)),                                                                \
        GR_DOUBLE(gr_Adam_spec, epsilon, .def = 1e-7, .above_min = true), GR_BOOL(gr_Adam_spec, amsgrad)

static const gr_field fields[] = {GR_OPTIMIZER_FIELDS(gr_Adam_spec, 0.001), ADAM_FIELDS, {0}};
const gr_optimizer_kind gr_Adam_kind = {
    .name = "Adam", .size = sizeof(gr_Adam_spec), .fields = fields, .family = "optimizer", .update = adam_update};

/* AdamW without decay is Adam: 0 need not be asked for. */
static const gr_field fields_w[] = {GR_FLOAT(gr_Adam_spec, learning_rate, .def = 0.001, .above_min = true),
    GR_FLOAT(gr_Adam_spec, weight_decay, .def = 0.004, .above_min = true),
    GR_FLOAT(gr_Adam_spec, clipnorm, .has_min = true), GR_FLOAT(gr_Adam_spec, clipvalue, .has_min = true),
    GR_FLOAT(gr_Adam_spec, global_clipnorm, .has_min = true), ADAM_FIELDS, {0}};
const gr_optimizer_kind gr_AdamW_kind = {
    .name = "AdamW", .size = sizeof(gr_Adam_spec), .fields = fields_w, .family = "optimizer", .update = adam_update};
