/* models/build_impl.h: the inside of a trace, for this room. */
#ifndef GRAPE_MODELS_BUILD_IMPL_H
#define GRAPE_MODELS_BUILD_IMPL_H

#include "core/arena.h"
#include "models/layer.h"

/* The weights of a model by path, in order of making. A trace in another dtype has a store of its own. */
typedef struct {
    gr_dtype dtype;
    uint64_t seed; /* initial values come from (seed, path) */
    gr_variable **variable;
    int n, cap;
} gr__store;

gr_variable *gr__store_find(const gr__store *s, const char *path);
void gr__store_free(gr__store *s);

/* One applied layer of the outermost level, for summaries and pictures. */
typedef struct {
    const char *name, *kind;
    gr_shape output;
    gr_dtype dtype;
    gr_tensor *out, *in[8];
    int n_in;
    const char *activation;
} gr__applied;

/* Where a softmax or sigmoid layer's output came from: losses go back to the logits. */
typedef struct {
    const gr_tensor *output;
    gr_tensor *logits;
    const char *activation;
} gr__logits;

typedef struct gr__name {
    const gr_layer_ref *parent;
    const char *snake;
    int count;
    struct gr__name *next;
} gr__name;

struct gr_layer_ref {
    const gr_layer *spec;
    const char *name;
    gr_layer_ref *parent;
    gr_layer_ref *next; /* all refs of a trace: their specs are freed with it */
};

struct gr_build {
    gr__arena arena;
    gr_tape *tape;
    gr__store *store;
    bool training;
    gr_layer_ref *layer; /* innermost one being applied; NULL outside */
    gr_layer_ref *refs;
    gr__name *names;
    gr__logits *logits;
    int n_logits, cap_logits;
    gr__applied *applied;
    int n_applied, cap_applied;
};

void gr__build_begin(gr_build *b, gr_tape *t, gr__store *store, bool training);
void gr__build_end(gr_build *b);
/* Logits behind y if y is the output of a softmax (last axis) or sigmoid layer; *activation says which. */
gr_tensor *gr__build_logits(const gr_build *b, const gr_tensor *y, const char **activation);
/* Applies a model function without a scope of its own: the whole model. */
gr_status gr__build_call(
    gr_build *b, const gr_layer *layer, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);
/* Adds to an error where the layers around it were written; gives GR_BAD. */
gr_tensor *gr__note_layers(const gr_build *b);

#endif
