/* models/data.h: samples as training and evaluation take them. */
#ifndef GRAPE_MODELS_DATA_H
#define GRAPE_MODELS_DATA_H

#include "core/array.h"

GR_BEGIN

/* Borrowed arrays whose axis 0 is the samples: gr_xy(GR_LIST(xa, xb), GR_LIST(y), .sample_weight = w) */
typedef struct {
    gr_list x, y;
    gr_array *sample_weight; /* float32 [n] */
} gr_data;
#define gr_xy(...) ((gr_data){.x = __VA_ARGS__})

GR_END
#endif
