/* models/model_impl.h: the inside of models and runs, for this room. */
#ifndef GRAPE_MODELS_MODEL_IMPL_H
#define GRAPE_MODELS_MODEL_IMPL_H

#include "compiler/program.h"
#include "models/build_impl.h"
#include "models/model.h"

/* A layer of the outermost level as the first trace saw it; for summaries and pictures. */
typedef struct {
    char *name, *kind;
    gr_shape output;
    gr_dtype dtype;
    int64_t params; /* elements of its weights */
    int n_from;     /* where its inputs come from: */
    int from[8];    /* index of a layer, or -1 - k for input k, or INT_MIN for something between layers */
} gr__layer_info;

typedef enum { GR__TRAIN, GR__TEST, GR__PREDICT } gr__mode;

/* A compiled step for data of one signature. Cached by its model until compile is called again. */
typedef struct gr__step gr__step;

struct gr_model {
    char *name;
    gr_at at;
    gr_layer *layer; /* the model function */
    bool sequential;
    int n_inputs, n_outputs;
    gr_Input_spec *input[GR_MAX_PORTS];
    gr_shape output_shape[GR_MAX_PORTS];
    gr_dtype output_dtype[GR_MAX_PORTS];
    gr__store store;
    gr__layer_info *layers;
    int n_layers;
    /* compiled */
    gr__optim *optim; /* NULL: not compiled */
    gr_loss *loss;
    int n_metrics;
    gr_spec *metric[GR_MAX_METRICS];
    char *metric_name[GR_MAX_METRICS];
    gr_variable *loss_sum, *loss_count; /* float64 accumulators: sum of loss times rows, rows */
    gr_variable *metric_sum[GR_MAX_METRICS], *metric_count[GR_MAX_METRICS];
    gr__step *steps;
    gr__room *room; /* of all steps' runs, one at a time */
};

/* The layers of a sequential model function. */
int gr__sequential_count(const gr_layer *sequential);
const gr_layer *gr__sequential_layer(const gr_layer *sequential, int i);
/* The model's inputs on a tape, batch axis first, in their own dtypes. */
void gr__model_inputs(const gr_model *m, gr_tape *t, gr_tensor **in);

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* The compiled step for a mode and data of these arrays' dtypes and shapes; made at first. NULL on failure.
 * `output` is the model's output to predict. */
gr__step *gr__step_get(gr_model *m, gr__mode mode, const gr_data *data, int output, gr_at at);
/* Runs it on the rows idx[0 .. n-1], in predicting on n rows from idx[0] on. `loss` gets the batch's own loss in
 * training; `predictions` the rows' in predicting. */
gr_status gr__step_run(
    gr__step *s, const gr_data *data, const int64_t *idx, int64_t n, uint64_t number, double *loss, void *predictions);
gr_program *gr__step_program(gr__step *s);
void gr__steps_free(gr_model *m);
gr_status gr__check_data(const gr_model *m, const gr_data *d, bool with_y, gr_at at, int64_t *rows);

/* ---- runs -------------------------------------------------------------------------------------------------------- */

enum { GR__MAX_LOGS = 64, GR__KEY_BYTES = 48 };
typedef struct {
    char key[GR__KEY_BYTES];
    double value;
} gr__log;

struct gr_run {
    gr_model *model;
    gr_history *history; /* of a fit; else NULL */
    bool training, silent, stop;
    gr_verbose verbose;
    int epoch, epochs, first_epoch;
    int64_t batch, steps;
    double batch_loss;
    gr__log log[GR__MAX_LOGS];
    int n_logs;
    unsigned stop_requests; /* when the run began */
    struct {
        gr_callback *spec;
        void *state;
    } callback[GR_MAX_CALLBACKS + 3];
    int n_callbacks, current;
    double epoch_start, train_seconds; /* of the progress line */
};

/* Copies the callbacks into the run, History and progress after the user's. */
gr_status gr__run_begin(gr_run *r, gr_model *m, const gr_callback *const *callbacks, gr_verbose verbose);
gr_status gr__run_add(gr_run *r, const gr_callback_kind *kind); /* one of the library's own, after the user's */
void gr__run_end(gr_run *r);
/* Runs one hook of all callbacks in order; `hook` is its offset in gr_callback_kind. */
gr_status gr__run_hook(gr_run *r, size_t hook);
#define GR__HOOK(name) offsetof(gr_callback_kind, name)
bool gr__run_should_stop(const gr_run *r);
/* Does code of the user's run between batches (a hook of his callbacks, his log)? `begin`, `end`: the batch hooks. */
bool gr__run_calls_user(const gr_run *r, size_t begin, size_t end);
/* Sets the logs from the model's accumulators, keys sorted, `prefix` before each; keeps the others if `keep`. */
void gr__run_take_metrics(gr_run *r, const char *prefix, bool keep);
void gr__reset_metrics(gr_model *m);
double gr__now(void); /* seconds, monotonic */

extern const gr_callback_kind gr__History_kind, gr__Progress_kind;

/* ---- history ----------------------------------------------------------------------------------------------------- */

gr_history *gr__history_new(int epochs_asked, int64_t steps, int64_t step_losses);
gr_status gr__history_add(gr_history *h, int epoch, const gr__log *logs, int n);
void gr__history_step(gr_history *h, double loss, double ms);
void gr__history_set_first_step(gr_history *h, double ms);
void gr__history_set_restored(gr_history *h, int epoch);
void gr__history_set_stopped(gr_history *h, const char *why);

#endif
