/* optim/optimizer.h: optimizers and clipping hooks. Both are built of ops, so the whole training step compiles as one.
 *
 * An optimizer's kind has one function that records the update of one weight; a clipping hook's has one that replaces
 * all gradients at once. Order of a step (Keras's): clip (the built-in option, then .clips in list order), weight
 * decay, update, iterations + 1. Read next: optim/sgd.c, the shortest optimizer; optim/clip.c, the hooks. */
#ifndef GRAPE_OPTIM_OPTIMIZER_H
#define GRAPE_OPTIM_OPTIMIZER_H

#include "core/tape.h"

GR_BEGIN

typedef struct gr_update gr_update; /* one trace of an update */

typedef struct gr_clip_kind {
    GR_KIND_BASE
    /* Replaces g[i], the gradient of weight w[i]. All at once, inside the step; may use slots. */
    gr_status (*apply)(gr_update *u, const void *spec, int n, gr_tensor *const w[], gr_tensor *g[]);
} gr_clip_kind;
typedef struct gr_clip {
    const gr_clip_kind *kind;
    gr_at at;
} gr_clip;

typedef struct gr_optimizer_kind {
    GR_KIND_BASE
    /* Records w's new value: gr_assign(w, ...). Called once a weight, in the model's order. */
    gr_status (*update)(gr_update *u, const void *spec, gr_tensor *w, gr_tensor *g);
} gr_optimizer_kind;
typedef struct gr_optimizer {
    const gr_optimizer_kind *kind;
    gr_at at;
} gr_optimizer;

#define GR_MAX_CLIPS 8
/* Options every optimizer has; they follow `base` in its spec. At most one of the three clippings may be set. */
#define GR_OPTIMIZER_OPTIONS                                                                                           \
    float learning_rate;                /* 0: the optimizer's default */                                               \
    float weight_decay;                 /* w -= w * weight_decay * rate before the update; 0: none (AdamW: 0.004) */   \
    float clipnorm;                     /* each gradient to this norm at most; 0: off */                               \
    float clipvalue;                    /* each element to -clipvalue .. clipvalue; 0: off */                          \
    float global_clipnorm;              /* all gradients together to this norm at most; 0: off */                      \
    const gr_clip *clips[GR_MAX_CLIPS]; /* further hooks, in order; NULL ends the list */
typedef struct {
    gr_optimizer base;
    GR_OPTIMIZER_OPTIONS
} gr__optimizer_options;
#define GR_OPTIMIZER_FIELDS(S, rate)                                                                                   \
    GR_FLOAT(S, learning_rate, .def = (rate), .above_min = true), GR_FLOAT(S, weight_decay, .has_min = true),          \
        GR_FLOAT(S, clipnorm, .has_min = true), GR_FLOAT(S, clipvalue, .has_min = true),                               \
        GR_FLOAT(S, global_clipnorm, .has_min = true)

/* ---- the optimizers ---------------------------------------------------------------------------------------------- */

/* SGD: v = momentum v - rate g; w += v, nesterov: w += momentum v - rate g. Rate 0.01. Polyak 1964, Nesterov 1983. */
typedef struct {
    gr_optimizer base;
    GR_OPTIMIZER_OPTIONS
    float momentum; /* 0 .. 1 */
    bool nesterov;
} gr_SGD_spec;
extern GR_API const gr_optimizer_kind gr_SGD_kind;
#define gr_SGD(...) GR_SPEC(gr_SGD, __VA_ARGS__)

/* Adam, Kingma & Ba 2014, arXiv:1412.6980, in Keras's form: epsilon is added to the uncorrected sqrt(v). Rate 0.001,
 * beta_1 0.9, beta_2 0.999, epsilon 1e-7. amsgrad: Reddi et al. 2018. */
typedef struct {
    gr_optimizer base;
    GR_OPTIMIZER_OPTIONS
    double beta_1, beta_2, epsilon;
    bool has_beta_1, has_beta_2; /* set to give a beta of 0 */
    bool amsgrad;
} gr_Adam_spec;
extern GR_API const gr_optimizer_kind gr_Adam_kind;
#define gr_Adam(...) GR_SPEC(gr_Adam, __VA_ARGS__)

/* Adam with decoupled weight decay, 0.004 by default. Loshchilov & Hutter 2017, arXiv:1711.05101. */
typedef gr_Adam_spec gr_AdamW_spec;
extern GR_API const gr_optimizer_kind gr_AdamW_kind;
#define gr_AdamW(...) GR_SPEC(gr_AdamW, __VA_ARGS__)

/* RMSprop: v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon). Rate 0.001, rho 0.9, epsilon 1e-7. Hinton 2012;
 * centered: Graves 2013, arXiv:1308.0850. */
typedef struct {
    gr_optimizer base;
    GR_OPTIMIZER_OPTIONS
    double rho, epsilon;
    float momentum;
    bool has_rho; /* set to give a rho of 0 */
    bool centered;
} gr_RMSprop_spec;
extern GR_API const gr_optimizer_kind gr_RMSprop_kind;
#define gr_RMSprop(...) GR_SPEC(gr_RMSprop, __VA_ARGS__)

/* ---- the clipping hooks (options clipvalue, clipnorm, global_clipnorm by name) ----------------------------------- */

typedef struct {
    gr_clip base;
    float limit; /* > 0 */
} gr_ClipValue_spec;
typedef gr_ClipValue_spec gr_ClipNorm_spec;
typedef gr_ClipValue_spec gr_GlobalClipNorm_spec;
extern GR_API const gr_clip_kind gr_ClipValue_kind, gr_ClipNorm_kind, gr_GlobalClipNorm_kind;
#define gr_ClipValue(...) GR_SPEC(gr_ClipValue, .limit = __VA_ARGS__) /* g to -limit .. limit */
#define gr_ClipNorm(...)                                                                                               \
    GR_SPEC(gr_ClipNorm, .limit = __VA_ARGS__) /* g limit / max(|g|, limit), each by its own norm */
#define gr_GlobalClipNorm(...)                                                                                         \
    GR_SPEC(gr_GlobalClipNorm, .limit = __VA_ARGS__) /* the same by the norm of all of them */

/* ---- what an update may use -------------------------------------------------------------------------------------- */

GR_API gr_tape *gr_update_tape(const gr_update *u);
GR_API gr_tensor *gr_rate(gr_update *u);       /* learning rate, float [] */
GR_API gr_tensor *gr_iterations(gr_update *u); /* this update's number from 1 on, float [] */
/* State shaped like w, zero at first, saved with the model. Asked for again: the same, or what was assigned to it. */
GR_API gr_tensor *gr_slot(gr_update *u, gr_tensor *w, const char *name);
/* State of one float for the whole optimizer, `start` at first. */
GR_API gr_tensor *gr_slot_scalar(gr_update *u, const char *name, double start);
GR_API gr_status gr_update_status(const gr_update *u); /* GR_OK unless an op of this thread failed */

/* ---- inside the library ------------------------------------------------------------------------------------------ */

/* An optimizer at work: its options, the rate, the iterations and all slots. Outlives every program that updates
 * them. */
typedef struct gr__optim gr__optim;
gr__optim *gr__optim_new(const gr_optimizer *spec); /* copies it; NULL on impossible options */
void gr__optim_free(gr__optim *o);
/* Records the update of n weights (read nodes) with their gradients, which it may replace. */
gr_status gr__optim_apply(gr__optim *o, gr_tape *t, int n, gr_tensor *const *w, gr_tensor **g);
gr_variable *gr__optim_rate(gr__optim *o);
gr_variable *gr__optim_iterations(gr__optim *o); /* int64 [] */
/* All state in Keras's order: iterations, learning rate, slots as made. */
int gr__optim_count(const gr__optim *o);
gr_variable *gr__optim_at(const gr__optim *o, int i);
const gr_optimizer *gr__optim_spec(const gr__optim *o);
int gr__optim_extra_clips(const gr__optim *o); /* hooks besides the built-in option */
/* Gives a state its value, making it first if no update has asked for it yet: what loading a model does. */
gr_status gr__optim_restore(gr__optim *o, const char *path, const gr_array *value);
extern const gr_kind_entry gr__optimizers[]; /* by name, for strings */

GR_END
#endif
