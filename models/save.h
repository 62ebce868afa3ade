/* models/save.h: a model in a file: safetensors, with the configuration in its metadata. Written to a temporary name,
 * synced, renamed: a file is old or new, never half. */
#ifndef GRAPE_MODELS_SAVE_H
#define GRAPE_MODELS_SAVE_H

#include "models/model.h"

GR_BEGIN

/* Weights by path ("dense/kernel"), the optimizer's state after "optimizer/", and in the metadata "grape.model" (JSON:
 * the layers with their options), "grape.compile" (optimizer, loss, metrics). */
GR_API gr_status gr_model_save(const gr_model *m, const char *file);
/* A model of a file that gr_model_save wrote, compiled as it was; layers must be Grape's own. NULL on failure. */
GR_API gr_model *gr_model_load(const char *file);
/* The weights of a file into a model that has them, by path; a path that is missing, left over or of another shape is
 * an error that lists the differences, and nothing is changed. */
GR_API gr_status gr_model_load_weights(gr_model *m, const char *file);

GR_END
#endif
