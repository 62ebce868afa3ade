/* grape.h: the front door of Grape, a deep-learning framework in C.
 *
 * You define a model by composing ops; a tape records them; a compiler turns the whole training step (forward, loss,
 * backward, clipping, update, metrics) into one program; a Keras-style fit runs it with callbacks.
 *
 *     #include <grape.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         gr_dataset mnist = gr_mnist(gr_data_dir(argc, argv));
 *         gr_array_reshape(mnist.x_train, GR_SHAPE(-1, 784));
 *         gr_array_cast(mnist.x_train, GR_F32);
 *         gr_array_scale(mnist.x_train, 1.0 / 255);
 *         gr_array_one_hot(mnist.y_train, 10);
 *         gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(128, .activation = "relu"),
 *             gr_Dense(10, .activation = "softmax"));
 *         gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
 *         gr_history_free(gr_fit(m, gr_xy(GR_LIST(mnist.x_train), GR_LIST(mnist.y_train)), .epochs = 3));
 *         gr_model_free(m), gr_dataset_free(&mnist);
 *         return gr_report(stderr);
 *     }
 *
 * Errors: nothing here ends your program. Ops return GR_BAD, makers NULL, actions a status; the first message is kept
 * for gr_report. Ownership: whoever takes a spec copies it, tensors die with their tape, objects have a _free. */
#ifndef GRAPE_H
#define GRAPE_H

#include "core/dot.h"
#include "core/info.h"
#include "core/mem.h"
#include "core/tape.h"
#include "core/thread.h"
#include "ops/ops.h"
#include "autograd/custom.h"
#include "autograd/scan.h"
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "compiler/program.h"
#include "optim/optimizer.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "models/dataset.h"
#include "models/model.h"
#include "models/predictor.h"
#include "models/save.h"
#include "models/layer_gradcheck.h"
#include "callbacks/callbacks.h"

#ifdef __cplusplus
#include "grape_cxx.h"
#endif

#endif
