/* models/layer_gradcheck.h: is a layer's gradient right? Stands on autograd/gradcheck.h. */
#ifndef GRAPE_MODELS_LAYER_GRADCHECK_H
#define GRAPE_MODELS_LAYER_GRADCHECK_H

#include "models/layer.h"

GR_BEGIN

typedef struct {
    const gr_layer *layer;
    gr_shape shape;   /* of the first input, the batch axis included */
    gr_shape more[7]; /* of further inputs; rank 0 ends the list */
    bool inference;   /* as in evaluation; default: as in training */
    bool second;      /* second order too */
    uint64_t seed;
} gr_layer_gradcheck_opts;

/* Checks the gradient of a layer (or a whole model function) with respect to all its inputs and trainable weights in
 * float64, on random inputs in -1 .. 1 and on its initial weights moved a little.
 *     gr_status s = gr_gradcheck(gr_Dense(4, .activation = "tanh"), GR_SHAPE(5, 3));  */
GR_API gr_status gr_gradcheck_at(gr_at at, const gr_layer_gradcheck_opts *opts);
#define gr_gradcheck(...) gr_gradcheck_at(GR_HERE, &(gr_layer_gradcheck_opts){.layer = __VA_ARGS__})

GR_END
#endif
