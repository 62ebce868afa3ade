/* examples/custom_callback.c: a callback of one's own, with options and state: it stops a training that goes wrong. The
 * learning rate here is far too high on purpose. */
#include <grape.h>

/* stops when the loss jumps to `factor` times its slow mean */
typedef struct {
    gr_callback base;
    float factor;
} StopOnSpike_spec;
typedef struct {
    double mean;
    int64_t batches;
} spike_state;

static gr_status spike_batch_end(gr_run *run)
{
    const StopOnSpike_spec *s = gr_run_spec(run);
    spike_state *st = gr_run_state(run);
    double loss = gr_run_batch_loss(run);
    if (st->batches++ > 0 && !(loss <= s->factor * st->mean)) /* NaN too */
        return gr_run_stop(run, "loss %.3g, slow mean %.3g", loss, st->mean);
    st->mean += (loss - st->mean) / (double)(st->batches < 100 ? st->batches : 100);
    return GR_OK; /* any other status ends the fit with that error */
}

static const gr_field spike_fields[] = {GR_FLOAT(StopOnSpike_spec, factor, .required = true, .min = 1), {0}};
static const gr_callback_kind StopOnSpike_kind = {.name = "StopOnSpike",
    .size = sizeof(StopOnSpike_spec),
    .fields = spike_fields,
    .state_size = sizeof(spike_state),
    .on_train_batch_end = spike_batch_end};
#define StopOnSpike(...) GR_SPEC(StopOnSpike, .factor = __VA_ARGS__)

enum { ROWS = 4000, WIDTH = 16 };

int main(void)
{
    gr_set_seed(1234);
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(ROWS, WIDTH)), *y = gr_array_new(GR_F32, GR_SHAPE(ROWS, 1));
    if (!x || !y)
        return gr_report(stderr);
    float *px = gr_array_data(x), *py = gr_array_data(y);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        px[i] = (float)((i * 2654435761u >> 8) % 2001) / 1000 - 1;
        py[i / WIDTH] += px[i] * (float)(i % WIDTH) / WIDTH;
    }
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(64, .activation = "relu"), gr_Dense(1));
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = 2), .loss = "mse");
    gr_history *h =
        gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 20, .batch_size = 32, .callbacks = {StopOnSpike(3)});
    const char *why;
    if (h && gr_history_stopped(h, &why))
        printf("stopped in epoch %d: %s\n", gr_history_epochs(h), why);
    gr_history_free(h), gr_model_free(m), gr_array_free(x), gr_array_free(y);
    return gr_report(stderr);
}
