/* callbacks/reduce_lr_on_plateau.c: see callbacks.h. Order of decisions and off-by-ones are Keras 3's. */
#include "callbacks/monitor_impl.h"

typedef struct {
    bool has_best;
    double best;
    int wait, cooldown, sign;
} state;

static gr_status reduce(gr_run *run, const gr_ReduceLROnPlateau_spec *s, state *st)
{
    double old = gr_run_rate(run), next = old * s->factor;
    if ((float)old <= (float)s->min_lr)
        return GR_OK; /* at the floor already: wait goes on counting, nothing is said */
    next = next > s->min_lr ? next : s->min_lr;
    GR_TRY(gr_run_set_rate(run, next));
    st->cooldown = s->cooldown;
    st->wait = 0;
    if (s->verbose)
        gr_run_say(run, "Epoch %d: the learning rate is now %.9g", gr_run_epoch(run) + 1, next);
    return GR_OK;
}

/* Before anything is trained: what has no direction is a mistake, not a surprise after the first epoch. */
static gr_status train_begin(gr_run *run)
{
    const gr_ReduceLROnPlateau_spec *s = gr_run_spec(run);
    return gr__monitor_sign(run, (const gr_spec *)s, s->monitor, s->mode, &((state *)gr_run_state(run))->sign);
}

static gr_status epoch_end(gr_run *run)
{
    const gr_ReduceLROnPlateau_spec *s = gr_run_spec(run);
    state *st = gr_run_state(run);
    double value;
    GR_TRY(gr_run_set_log(run, "learning_rate", gr_run_rate(run)));
    if (!gr__monitor_value(run, "ReduceLROnPlateau", s->monitor, &value))
        return GR_OK;
    if (st->cooldown > 0) {
        st->cooldown--;
        st->wait = 0;
    }
    if (!st->has_best || gr__improves(value, st->best, st->sign, s->min_delta, s->keras_nan)) {
        st->has_best = true;
        st->best = value;
        st->wait = 0;
        return GR_OK;
    }
    if (st->cooldown > 0 || ++st->wait < s->patience)
        return GR_OK;
    return reduce(run, s, st);
}

static const char *const modes[] = {"auto", "min", "max", NULL};
static const gr_field fields[] = {GR_STRING(gr_ReduceLROnPlateau_spec, monitor, .def_string = "val_loss"),
    GR_DOUBLE(gr_ReduceLROnPlateau_spec, factor, .def = 0.1, .above_min = true, .max = 1, .below_max = true),
    GR_INT(gr_ReduceLROnPlateau_spec, patience, .def = 10, .has_min = true,
        .flag = GR_FLAG(gr_ReduceLROnPlateau_spec, has_patience)),
    GR_ENUM_FIELD(gr_ReduceLROnPlateau_spec, mode, .choices = modes),
    GR_DOUBLE(
        gr_ReduceLROnPlateau_spec, min_delta, .def = 1e-4, .flag = GR_FLAG(gr_ReduceLROnPlateau_spec, has_min_delta)),
    GR_INT(gr_ReduceLROnPlateau_spec, cooldown, .has_min = true),
    GR_DOUBLE(gr_ReduceLROnPlateau_spec, min_lr, .has_min = true), GR_BOOL(gr_ReduceLROnPlateau_spec, verbose),
    GR_BOOL(gr_ReduceLROnPlateau_spec, keras_nan), {0}};
const gr_callback_kind gr_ReduceLROnPlateau_kind = {.name = "ReduceLROnPlateau",
    .size = sizeof(gr_ReduceLROnPlateau_spec),
    .fields = fields,
    .family = "callback",
    .state_size = sizeof(state),
    .on_train_begin = train_begin,
    .on_epoch_end = epoch_end};
