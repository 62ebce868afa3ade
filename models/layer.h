/* models/layer.h: what a layer is, and what a model function may do.
 *
 * A model is a C function that records ops; it is traced as often as needed (training, evaluation, float64), so it
 * keeps no state. Weights are asked for where they are used: the first trace makes them, later ones find them by their
 * path. Read next: models/layers/dense.c, the shortest layer; models/model.h for what is done with a model. */
#ifndef GRAPE_MODELS_LAYER_H
#define GRAPE_MODELS_LAYER_H

#include "core/tape.h"

GR_BEGIN

typedef struct gr_build gr_build; /* one trace of a model */

typedef struct gr_layer_kind {
    GR_KIND_BASE
    /* One in, one out: */
    gr_tensor *(*call)(gr_build *b, const void *spec, gr_tensor *x);
    /* or any number: */
    gr_status (*call_n)(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
    int n_out; /* of call_n; 0 counts as 1, -1 is as many as are asked for */
} gr_layer_kind;
typedef struct gr_layer {
    const gr_layer_kind *kind;
    gr_at at;
} gr_layer;

/* Applies a layer in a scope of its own name (its .name, or its kind's in snake_case, numbered: "dense", "dense_1"). */
GR_API gr_tensor *gr_apply_at(gr_at at, gr_build *b, const gr_layer *layer, gr_tensor *x);
#define gr_apply(...) gr_apply_at(GR_HERE, __VA_ARGS__)
GR_API gr_status gr_apply_n_at(
    gr_at at, gr_build *b, const gr_layer *layer, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
#define gr_apply_n(...) gr_apply_n_at(GR_HERE, __VA_ARGS__)
/* A layer that can be applied several times with one set of weights. Lives as long as the trace. */
typedef struct gr_layer_ref gr_layer_ref;
GR_API gr_layer_ref *gr_layer_make(gr_build *b, const gr_layer *layer);
GR_API gr_tensor *gr_apply_ref_at(gr_at at, gr_build *b, gr_layer_ref *layer, gr_tensor *x);
#define gr_apply_ref(...) gr_apply_ref_at(GR_HERE, __VA_ARGS__)

typedef struct {
    const char *name;                       /* "kernel"; unique in its layer */
    gr_shape shape;                         /* plain numbers */
    const char *init;                       /* initializer by name; default "glorot_uniform" */
    const struct gr_initializer *init_spec; /* or by spec */
    bool not_trainable;
} gr_weight_opts;
/* A weight of the layer being applied, made at first, else found again; after an assign in this trace, its new value.
 *     gr_tensor *w1 = gr_weight(b, "w1", GR_SHAPE(n, 64), .init = "he_normal");  */
GR_API gr_tensor *gr_weight_at(gr_at at, gr_build *b, const gr_weight_opts *opts);
#define gr_weight(b, ...) gr_weight_at(GR_HERE, (b), &(gr_weight_opts){.name = __VA_ARGS__})

GR_API bool gr_build_training(const gr_build *b); /* dropout drops, batch norm uses the batch's statistics */
GR_API gr_dtype gr_build_dtype(
    const gr_build *b); /* of weights and activations: GR_F32, or GR_F64 when gradients are checked */
GR_API gr_tape *gr_build_tape(const gr_build *b);
/* Applies an activation by name ("relu", "softmax", "leaky_relu(negative_slope=0.1)"); NULL and "linear" give x. An
 * unknown name lists the known ones. */
GR_API gr_tensor *gr_activation_at(gr_at at, gr_build *b, const char *name, gr_tensor *x);
#define gr_activation(...) gr_activation_at(GR_HERE, __VA_ARGS__)

GR_END
#endif
