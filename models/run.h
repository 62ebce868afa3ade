/* models/run.h: callbacks, and the run they see.
 *
 * A callback's kind has a function per hook it wants; they run in Keras's order, user callbacks before History and the
 * progress bar, so a key added to the logs is seen by both. State is declared by size: fresh and zero in each fit. */
#ifndef GRAPE_MODELS_RUN_H
#define GRAPE_MODELS_RUN_H

#include "models/loss.h"

GR_BEGIN

typedef struct gr_run gr_run;
struct gr_model;

/* Any status but GR_OK ends the fit with that error (on_train_end is then not called). */
typedef gr_status (*gr_hook)(gr_run *run);
typedef struct gr_callback_kind {
    GR_KIND_BASE
    size_t state_size; /* bytes of gr_run_state */
    gr_hook on_train_begin, on_train_end, on_epoch_begin, on_epoch_end, on_train_batch_begin, on_train_batch_end;
    gr_hook on_test_begin, on_test_end, on_test_batch_begin, on_test_batch_end;
    gr_hook on_predict_begin, on_predict_end, on_predict_batch_begin, on_predict_batch_end;
    void (*release)(void *state); /* frees what the state owns, when the fit is over; NULL: nothing */
} gr_callback_kind;
typedef struct gr_callback {
    const gr_callback_kind *kind;
    gr_at at;
} gr_callback;

/* Of the callback whose hook is running. */
GR_API const void *gr_run_spec(const gr_run *run); /* its copied spec, defaults filled in */
GR_API void *gr_run_state(gr_run *run);

/* Of the fit, evaluation or prediction that is running. */
GR_API struct gr_model *gr_run_model(const gr_run *run);
/* Where the run is. */
GR_API int gr_run_epoch(const gr_run *run);     /* from 0 */
GR_API int gr_run_epochs(const gr_run *run);    /* asked for */
GR_API int64_t gr_run_batch(const gr_run *run); /* from 0, in the epoch */
GR_API int64_t gr_run_steps(const gr_run *run); /* batches of an epoch */
GR_API bool gr_run_training(const gr_run *run); /* inside fit (validation too) */

/* Logs of the running hook: running averages at a batch's end, with val_ keys at an epoch's end; NaN if unknown. */
GR_API double gr_run_log(const gr_run *run, const char *key);
GR_API bool gr_run_has_log(const gr_run *run, const char *key);
GR_API gr_status gr_run_set_log(gr_run *run, const char *key, double value);
GR_API int gr_run_log_count(const gr_run *run);
GR_API const char *gr_run_log_key(const gr_run *run, int i);
GR_API double gr_run_batch_loss(const gr_run *run); /* the last batch's own loss, before its update */

/* The optimizer's learning rate now, and a new one from the next step on. */
GR_API double gr_run_rate(const gr_run *run);
GR_API gr_status gr_run_set_rate(gr_run *run, double rate);

/* Training ends after this batch; the epoch's end still runs. `why` (printf) is kept for gr_history_stopped. */
GR_API gr_status gr_run_stop(gr_run *run, const char *why, ...) GR_PRINTF(2, 3);
/* The same from a signal handler or another thread, for every fit of the process that is running now. */
GR_API void gr_run_request_stop(void);

/* A copy of all weights, and back; freed by gr_weights_free. */
typedef struct gr_weights gr_weights;
GR_API gr_weights *gr_run_save_weights(gr_run *run, gr_weights *reuse); /* reuse may be NULL */
GR_API gr_status gr_run_restore_weights(gr_run *run, const gr_weights *w);
GR_API void gr_weights_free(gr_weights *w);
/* Says in the history which epoch's weights the model has now (from 1). */
GR_API void gr_run_note_restored(gr_run *run, int epoch);

/* Which way `monitor` improves: val_ stripped, "loss" down, else the compiled metric's direction; NONE if it has
 * none. */
GR_API gr_direction gr_run_direction(const gr_run *run, const char *monitor);
/* The keys it knows that of, in words: "loss, accuracy, and these with val_ before them". Gives buf. */
GR_API const char *gr_run_directed(const gr_run *run, char *buf, size_t size);
/* A line to the log hook, unless the fit is silent. */
GR_API void gr_run_say(gr_run *run, const char *format, ...) GR_PRINTF(2, 3);

GR_END
#endif
