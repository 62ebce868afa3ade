/* models/predictor.h: a compiled model for inference.
 *
 *     gr_predictor *p = gr_predictor_new(model, .max_batch = 128);
 *     gr_predictor_run(p, GR_LIST(x), GR_LIST(y));       arrays of any number of rows
 *     gr_predictor_run_rows(p, n, (const void *[]){image}, (void *[]){scores});       or plain row-major memory
 *
 * It has a copy of the weights: training on does not change it, gr_predictor_refresh takes the new ones. What depends
 * on weights alone was computed when it was made, and batch normalisation is part of the weights beside it (results
 * differ from gr_predict's in the last bits). A run allocates nothing, and several threads may run one predictor at
 * once: the results are the same, bit for bit, as alone. Threads that serve requests of their own had better make it
 * with .threads = 1. Read next: predictor.c. */
#ifndef GRAPE_MODELS_PREDICTOR_H
#define GRAPE_MODELS_PREDICTOR_H

#include "compiler/program.h"
#include "models/model.h"

GR_BEGIN

typedef struct gr_predictor gr_predictor;

#define GR_MAX_CALLS 64
typedef struct {
    gr_model *model;                /* need not have gone through gr_compile */
    int64_t max_batch;              /* 128; rows computed at once. A run of more goes piece by piece */
    int threads;                    /* of one run; 0: gr_num_threads() */
    /* Runs at once, 1 .. 64, each with memory of its own; others wait. 0: one a CPU. Always one if the model has an op
     * of the user's that is neither elementwise nor GR_PARALLEL. */
    int calls;
    gr_dtype x_dtype[GR_MAX_PORTS]; /* of the data for each input; none: the model's */
    unsigned passes_off;            /* gr_pass bits; GR_PASS_INEXACT: no batch normalisation in the weights */
} gr_predictor_opts;
/* Compiles the model, which must live as long as gr_predictor_refresh is called. NULL on failure. */
GR_API gr_predictor *gr_predictor_new_at(gr_at at, const gr_predictor_opts *opts);
#define gr_predictor_new(...) gr_predictor_new_at(GR_HERE, &(gr_predictor_opts){.model = __VA_ARGS__})
GR_API void gr_predictor_free(gr_predictor *p); /* no run may be under way; NULL is fine */

/* One array for each input and each output of the model, all of n rows, contiguous, of the dtypes and shapes of
 * gr_predictor_input and gr_predictor_output; y's are written, a NULL is left out. n may be 0. */
GR_API gr_status gr_predictor_run(gr_predictor *p, gr_list x, gr_list y);
/* The same on memory that is taken as n rows of those dtypes and shapes, one pointer for each input and output. */
GR_API gr_status gr_predictor_run_rows(gr_predictor *p, int64_t n, const void *const *x, void *const *y);
/* The model's weights of now. Runs that are under way end with the old ones; later ones wait until it is done. On
 * failure the old ones stay. */
GR_API gr_status gr_predictor_refresh(gr_predictor *p);

/* Dtype of input or output i, and in *shape, unless NULL, its shape for n rows; GR_DTYPE_NONE (and an error) if there
 * is none or n does not fit. */
GR_API gr_dtype gr_predictor_input(const gr_predictor *p, int i, int64_t n, gr_shape *shape);
GR_API gr_dtype gr_predictor_output(const gr_predictor *p, int i, int64_t n, gr_shape *shape);

GR_END
#endif
