/* core/variable.h: state. A variable is an object of a model; tapes hold read nodes of it, any number of programs share
 * it. Its storage is its own: data is only copied in and out. */
#ifndef GRAPE_CORE_VARIABLE_H
#define GRAPE_CORE_VARIABLE_H

#include "core/op.h"

GR_BEGIN

/* Zeros; `path` is copied ("dense/kernel"). */
GR_API gr_variable *gr_variable_new(const char *path, gr_dtype dtype, gr_shape shape, bool trainable);
GR_API void gr_variable_free(gr_variable *v);
GR_API const char *gr_variable_path(const gr_variable *v);
GR_API gr_dtype gr_variable_dtype(const gr_variable *v);
GR_API gr_shape gr_variable_shape(const gr_variable *v);
GR_API bool gr_variable_trainable(const gr_variable *v);
/* A new array with a copy of the value. */
GR_API gr_array *gr_variable_get(const gr_variable *v);
/* Copies a value in; dtype and shape must be the variable's. */
GR_API gr_status gr_variable_set(gr_variable *v, const gr_array *value);
/* The same for a rank-0 variable, by number. */
GR_API double gr_variable_get_scalar(const gr_variable *v);
GR_API gr_status gr_variable_set_scalar(gr_variable *v, double value);

GR_END
#endif
