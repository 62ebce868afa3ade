/* models/model.h: models, and what is done with them: compile, fit, evaluate, predict, summary, weights.
 *
 *     gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(128, .activation = "relu"),
 *         gr_Dense(10, .activation = "softmax"));
 *     gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
 *     gr_history *h = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 5, .validation_split = 0.1f);
 *
 * Semantics, defaults and names are Keras's. Whoever takes a spec copies it at once. Read next: models/fit.c. */
#ifndef GRAPE_MODELS_MODEL_H
#define GRAPE_MODELS_MODEL_H

#include "models/data.h"
#include "models/history.h"
#include "models/layers/layers.h"
#include "models/loss.h"
#include "models/run.h"
#include "optim/optimizer.h"

GR_BEGIN

typedef struct gr_model gr_model;
#define GR_MAX_PORTS 8 /* inputs of a model, and outputs */

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Layers one after the other; the first is an Input. NULL on failure. */
GR_API gr_model *gr_sequential_at(gr_at at, const gr_layer *const *layers);
#define gr_sequential(...) gr_sequential_at(GR_HERE, (const gr_layer *const[]){__VA_ARGS__, NULL})
/* A model function with its inputs: gr_model_new(SameDigit(64), .inputs = {gr_Input(GR_SHAPE(784)),
 * gr_Input(GR_SHAPE(784))}) */
typedef struct {
    const gr_layer *layer;
    const gr_layer *inputs[GR_MAX_PORTS + 1]; /* gr_Input specs, ended by NULL */
    const char *name;                         /* "model" */
} gr_model_opts;
GR_API gr_model *gr_model_new_at(gr_at at, const gr_model_opts *opts);
#define gr_model_new(...) gr_model_new_at(GR_HERE, &(gr_model_opts){.layer = __VA_ARGS__})
GR_API void gr_model_free(gr_model *m); /* NULL is fine */
GR_API const char *gr_model_name(const gr_model *m);

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* In Keras's get_weights() order. */
GR_API int gr_model_weight_count(const gr_model *m);
GR_API gr_variable *gr_model_weight_at(const gr_model *m, int i);
/* By path ("dense/kernel"); NULL and an error that lists the paths if there is none. */
GR_API gr_variable *gr_model_weight(const gr_model *m, const char *path);
/* Copies arrays in, in weight order; all or nothing. */
GR_API gr_status gr_model_set_weights(gr_model *m, int n, const gr_array *const *values);
/* 64-bit hash over all weights in order: the same bits, the same hash. */
GR_API uint64_t gr_model_weights_hash(const gr_model *m);
GR_API int64_t gr_model_params(const gr_model *m, int64_t *trainable);

/* ---- compiling --------------------------------------------------------------------------------------------------- */

#define GR_MAX_METRICS 8
typedef struct {
    const gr_optimizer *optimizer; /* or by name: */
    const char *optimizer_name;    /* "adam", "sgd(learning_rate=0.1, momentum=0.9)"; neither: RMSprop, as in Keras */
    const char *loss;              /* "categorical_crossentropy", "huber(delta=0.5)" */
    const gr_loss *loss_spec;
    const char *metrics[GR_MAX_METRICS + 1];
    const gr_metric *metric_specs[GR_MAX_METRICS + 1]; /* after the named ones */
    gr_dtype dtype;                                    /* float32, or GR_F64: the whole step in float64 */
} gr_compile_opts;
GR_API gr_status gr_compile_at(gr_at at, gr_model *m, const gr_compile_opts *opts);
#define gr_compile(m, ...) gr_compile_at(GR_HERE, (m), &(gr_compile_opts){__VA_ARGS__})

/* ---- training ---------------------------------------------------------------------------------------------------- */

typedef enum { GR_VERBOSE_AUTO = 0, GR_VERBOSE_BAR, GR_VERBOSE_LINE, GR_VERBOSE_SILENT } gr_verbose;
#define GR_MAX_CALLBACKS 16
typedef struct {
    gr_data data;
    int64_t batch_size;            /* 32 */
    int epochs;                    /* 1; the last epoch's number, also with initial_epoch */
    int initial_epoch;             /* 0 */
    float validation_split;        /* 0 .. 1: the last rows, before any shuffle */
    gr_data validation_data;       /* goes before validation_split */
    int64_t validation_batch_size; /* batch_size */
    int validation_freq;           /* 1 */
    bool no_shuffle;               /* else a fresh order each epoch, from (seed, epoch) */
    gr_verbose verbose;            /* auto: a bar on a terminal, else a line per epoch */
    const gr_callback *callbacks[GR_MAX_CALLBACKS + 1];
    const char *graph;   /* writes the compiled step's graph: "step.dot", .svg, .png, .pdf */
    int64_t step_losses; /* keeps the own loss of that many first batches: gr_history_step_losses */
} gr_fit_opts;
/* Trains. What was reached is returned also when training stopped early; NULL on failure. */
GR_API gr_history *gr_fit_at(gr_at at, gr_model *m, const gr_fit_opts *opts);
#define gr_fit(m, ...) gr_fit_at(GR_HERE, (m), &(gr_fit_opts){.data = __VA_ARGS__})

typedef struct {
    gr_data data;
    int64_t batch_size; /* 32 */
    gr_verbose verbose; /* auto: silent */
    const gr_callback *callbacks[GR_MAX_CALLBACKS + 1];
} gr_evaluate_opts;
/* What evaluation found; status not GR_OK: nothing (loss and metrics are NaN). */
typedef struct {
    gr_status status;
    double loss;
    int n_metrics;
    double metric[GR_MAX_METRICS];    /* in the order of compile */
    const char *name[GR_MAX_METRICS]; /* the model's */
} gr_scores;
GR_API gr_scores gr_evaluate_at(gr_at at, gr_model *m, const gr_evaluate_opts *opts);
#define gr_evaluate(m, ...) gr_evaluate_at(GR_HERE, (m), &(gr_evaluate_opts){.data = __VA_ARGS__})

typedef struct {
    gr_list x;
    int64_t batch_size; /* 32 */
    int output;         /* which output of the model */
    const gr_callback *callbacks[GR_MAX_CALLBACKS + 1];
} gr_predict_opts;
/* Predictions for all rows, a new array [n, ...]; NULL on failure. */
GR_API gr_array *gr_predict_at(gr_at at, gr_model *m, const gr_predict_opts *opts);
#define gr_predict(m, ...) gr_predict_at(GR_HERE, (m), &(gr_predict_opts){.x = __VA_ARGS__})

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* Keras's table of layers, shapes and parameters. */
GR_API gr_status gr_summary(const gr_model *m, FILE *f);
/* The graph of the model (inference): a cluster per layer; .dot, or rendered by the file's ending. */
GR_API gr_status gr_model_plot(const gr_model *m, const char *file);

GR_END
#endif
