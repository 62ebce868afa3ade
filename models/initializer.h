/* models/initializer.h: how weights start. Fans as Keras's: 2-D (in, out); convolutions (.., in, out): channels times
 * window; 1-D: both its length. Values depend on (seed, path of the weight) only. Read next: initializer.c, one row
 * each. */
#ifndef GRAPE_MODELS_INITIALIZER_H
#define GRAPE_MODELS_INITIALIZER_H

#include "core/variable.h"

GR_BEGIN

typedef struct gr_initializer_kind {
    GR_KIND_BASE
    /* Fills a float64 array; random values are a function of (seed, use) and the index. */
    gr_status (*fill)(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out);
} gr_initializer_kind;
typedef struct gr_initializer {
    const gr_initializer_kind *kind;
    gr_at at;
} gr_initializer;

typedef struct {
    gr_initializer base;
} gr_Zeros_spec; /* also Ones and the glorot, he and lecun families, which have no options */
typedef gr_Zeros_spec gr_Ones_spec, gr_GlorotUniform_spec, gr_GlorotNormal_spec, gr_HeUniform_spec, gr_HeNormal_spec,
    gr_LecunUniform_spec, gr_LecunNormal_spec;
typedef struct {
    gr_initializer base;
    double value;
} gr_Constant_spec;
typedef struct {
    gr_initializer base;
    double minval, maxval; /* both 0: -0.05 .. 0.05 */
} gr_RandomUniform_spec;
typedef struct {
    gr_initializer base;
    double mean, stddev; /* 0, 0.05 */
} gr_RandomNormal_spec;  /* also TruncatedNormal, cut at two stddev */
typedef gr_RandomNormal_spec gr_TruncatedNormal_spec;
typedef struct {
    gr_initializer base;
    double gain; /* 1 */
} gr_Orthogonal_spec;

extern GR_API const gr_initializer_kind gr_Zeros_kind, gr_Ones_kind, gr_Constant_kind, gr_RandomUniform_kind,
    gr_RandomNormal_kind, gr_TruncatedNormal_kind, gr_Orthogonal_kind, gr_GlorotUniform_kind, gr_GlorotNormal_kind,
    gr_HeUniform_kind, gr_HeNormal_kind, gr_LecunUniform_kind, gr_LecunNormal_kind;
#define gr_Zeros(...)           GR_SPEC(gr_Zeros, __VA_ARGS__)
#define gr_Ones(...)            GR_SPEC(gr_Ones, __VA_ARGS__)
#define gr_Constant(...)        GR_SPEC(gr_Constant, .value = __VA_ARGS__)
#define gr_RandomUniform(...)   GR_SPEC(gr_RandomUniform, __VA_ARGS__)
#define gr_RandomNormal(...)    GR_SPEC(gr_RandomNormal, __VA_ARGS__)
#define gr_TruncatedNormal(...) GR_SPEC(gr_TruncatedNormal, __VA_ARGS__)
#define gr_Orthogonal(...)      GR_SPEC(gr_Orthogonal, __VA_ARGS__)
#define gr_GlorotUniform(...)   GR_SPEC(gr_GlorotUniform, __VA_ARGS__)
#define gr_GlorotNormal(...)    GR_SPEC(gr_GlorotNormal, __VA_ARGS__)
#define gr_HeUniform(...)       GR_SPEC(gr_HeUniform, __VA_ARGS__)
#define gr_HeNormal(...)        GR_SPEC(gr_HeNormal, __VA_ARGS__)
#define gr_LecunUniform(...)    GR_SPEC(gr_LecunUniform, __VA_ARGS__)
#define gr_LecunNormal(...)     GR_SPEC(gr_LecunNormal, __VA_ARGS__)

/* Fills a variable: by spec if there is one, else by name ("he_normal", "constant(value=0.1)"; NULL:
 * glorot_uniform). */
gr_status gr__initialize(gr_variable *v, const char *name, const gr_initializer *spec, uint64_t seed, gr_at at);

GR_END
#endif
