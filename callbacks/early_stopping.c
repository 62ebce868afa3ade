/* callbacks/early_stopping.c: see callbacks.h. Order of decisions and off-by-ones are Keras 3's. */
#include "callbacks/monitor_impl.h"

typedef struct {
    bool has_best, stopped;
    double best;
    int wait, best_epoch, sign;
    gr_weights *weights; /* of the best epoch */
} state;

static gr_status keep(gr_run *run, state *st)
{
    st->best_epoch = gr_run_epoch(run);
    st->weights = gr_run_save_weights(run, st->weights);
    return st->weights ? GR_OK : GR_EMEM;
}

/* Before anything is trained: what has no direction is a mistake, not a surprise after the first epoch. */
static gr_status train_begin(gr_run *run)
{
    const gr_EarlyStopping_spec *s = gr_run_spec(run);
    return gr__monitor_sign(run, (const gr_spec *)s, s->monitor, s->mode, &((state *)gr_run_state(run))->sign);
}

static gr_status epoch_end(gr_run *run)
{
    const gr_EarlyStopping_spec *s = gr_run_spec(run);
    state *st = gr_run_state(run);
    double value;
    int epoch = gr_run_epoch(run);
    if (!gr__monitor_value(run, "EarlyStopping", s->monitor, &value) || epoch < s->start_from_epoch)
        return GR_OK;
    if (s->restore_best_weights && !st->weights) /* something to come back to, even if nothing ever improves */
        GR_TRY(keep(run, st));
    st->wait++;
    if (!st->has_best || gr__improves(value, st->best, st->sign, s->min_delta, s->keras_nan)) {
        st->has_best = true;
        st->best = value;
        st->best_epoch = epoch;
        if (s->restore_best_weights)
            GR_TRY(keep(run, st));
        if (!s->has_baseline || gr__improves(value, s->baseline, st->sign, s->min_delta, s->keras_nan))
            st->wait = 0;
        return GR_OK; /* an epoch that improves never stops */
    }
    if (st->wait < s->patience || epoch == 0)
        return GR_OK;
    st->stopped = true;
    if (s->verbose)
        gr_run_say(run, "Epoch %d: early stopping", epoch + 1);
    return gr_run_stop(run, "%s has not improved for %d epochs", s->monitor, st->wait);
}

/* Whoever ended the training, and also when it ran to its end. */
static gr_status train_end(gr_run *run)
{
    const gr_EarlyStopping_spec *s = gr_run_spec(run);
    state *st = gr_run_state(run);
    if (!s->restore_best_weights || !st->weights)
        return GR_OK;
    if (s->verbose)
        gr_run_say(run, "The weights of epoch %d are back", st->best_epoch + 1);
    gr_run_note_restored(run, st->best_epoch + 1);
    return gr_run_restore_weights(run, st->weights);
}

static void release(void *p)
{
    gr_weights_free(((state *)p)->weights);
}

static const char *const modes[] = {"auto", "min", "max", NULL};
static const gr_field fields[] = {GR_STRING(gr_EarlyStopping_spec, monitor, .def_string = "val_loss"),
    GR_DOUBLE(gr_EarlyStopping_spec, min_delta), GR_INT(gr_EarlyStopping_spec, patience, .has_min = true),
    GR_ENUM_FIELD(gr_EarlyStopping_spec, mode, .choices = modes),
    GR_DOUBLE(gr_EarlyStopping_spec, baseline, .flag = GR_FLAG(gr_EarlyStopping_spec, has_baseline)),
    GR_BOOL(gr_EarlyStopping_spec, restore_best_weights),
    GR_INT(gr_EarlyStopping_spec, start_from_epoch, .has_min = true), GR_BOOL(gr_EarlyStopping_spec, verbose),
    GR_BOOL(gr_EarlyStopping_spec, keras_nan), {0}};
const gr_callback_kind gr_EarlyStopping_kind = {.name = "EarlyStopping",
    .size = sizeof(gr_EarlyStopping_spec),
    .fields = fields,
    .family = "callback",
    .state_size = sizeof(state),
    .on_train_begin = train_begin,
    .on_epoch_end = epoch_end,
    .on_train_end = train_end,
    .release = release};

const gr_kind_entry gr__callbacks[] = {
    {&gr_EarlyStopping_kind.kind, NULL}, {&gr_ReduceLROnPlateau_kind.kind, NULL}, {NULL, NULL}};
