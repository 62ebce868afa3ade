/* models/initializer.c: see initializer.h. Random numbers come from core/random.h, keyed by seed and path. */
#include "models/initializer.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/variable.h"
#include <math.h>
#include <string.h>

static gr_status fill_constant(gr_shape shape, double value, double *out)
{
    for (int64_t i = 0, n = gr_shape_size(shape); i < n; i++)
        out[i] = value;
    return GR_OK;
}
static gr_status zeros(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    (void)spec, (void)seed, (void)use;
    return fill_constant(shape, 0, out);
}
static gr_status ones(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    (void)spec, (void)seed, (void)use;
    return fill_constant(shape, 1, out);
}
static gr_status constant(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    (void)seed, (void)use;
    return fill_constant(shape, ((const gr_Constant_spec *)spec)->value, out);
}

/* lo .. hi */
static gr_status uniform(gr_shape shape, uint64_t seed, uint64_t use, double lo, double hi, double *out)
{
    int64_t n = gr_shape_size(shape);
    gr__random_uniform_f64(seed, use, 0, 0, n, out);
    for (int64_t i = 0; i < n; i++)
        out[i] = lo + (hi - lo) * out[i];
    return GR_OK;
}
static gr_status normal(
    gr_shape shape, uint64_t seed, uint64_t use, double mean, double stddev, bool truncated, double *out)
{
    int64_t n = gr_shape_size(shape);
    if (truncated)
        gr__random_truncated_f64(seed, use, 0, 0, n, out);
    else
        gr__random_normal_f64(seed, use, 0, 0, n, out);
    for (int64_t i = 0; i < n; i++)
        out[i] = mean + stddev * out[i];
    return GR_OK;
}

static gr_status random_uniform(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    const gr_RandomUniform_spec *s = spec;
    bool given = s->minval != 0 || s->maxval != 0;
    return uniform(shape, seed, use, given ? s->minval : -0.05, given ? s->maxval : 0.05, out);
}
static gr_status random_normal(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    const gr_RandomNormal_spec *s = spec;
    return normal(shape, seed, use, s->mean, s->stddev, false, out);
}
static gr_status truncated_normal(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    const gr_RandomNormal_spec *s = spec;
    return normal(shape, seed, use, s->mean, s->stddev, true, out);
}

/* Keras's fans: (.., in, out), the leading dimensions are a window */
static void fans(gr_shape s, double *in, double *out)
{
    double window = 1;
    for (int64_t i = 0; i + 2 < s.rank; i++)
        window *= (double)s.dim[i];
    *in = s.rank >= 2 ? window * (double)s.dim[s.rank - 2] : s.rank == 1 ? (double)s.dim[0] : 1;
    *out = s.rank >= 2 ? window * (double)s.dim[s.rank - 1] : s.rank == 1 ? (double)s.dim[0] : 1;
}
/* variance = scale / fan; the truncated normal's stddev is made good for the cut tails */
static gr_status scaled(
    gr_shape shape, uint64_t seed, uint64_t use, double scale, bool average, bool is_normal, double *out)
{
    double in, outs;
    fans(shape, &in, &outs);
    double fan = average ? (in + outs) / 2 : in, variance = scale / (fan > 1 ? fan : 1);
    if (is_normal)
        return normal(shape, seed, use, 0, sqrt(variance) / 0.87962566103423978, true, out);
    return uniform(shape, seed, use, -sqrt(3 * variance), sqrt(3 * variance), out);
}
#define SCALED(name, scale, average, is_normal)                                                                        \
    static gr_status name(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)                  \
    {                                                                                                                  \
        (void)spec;                                                                                                    \
        return scaled(shape, seed, use, scale, average, is_normal, out);                                               \
    }
SCALED(glorot_uniform, 1, true, false) /* Glorot & Bengio 2010 */
SCALED(glorot_normal, 1, true, true)
SCALED(he_uniform, 2, false, false) /* He et al. 2015, arXiv:1502.01852 */
SCALED(he_normal, 2, false, true)
SCALED(lecun_uniform, 1, false, false) /* LeCun et al. 1998, Efficient BackProp */
SCALED(lecun_normal, 1, false, true)

/* n vectors of `size` numbers (n <= size) made orthonormal by Gram and Schmidt, twice, which is enough. */
static void orthonormalize(double *a, int64_t n, int64_t size)
{
    for (int64_t j = 0; j < n; j++)
        for (int pass = 0; pass < 2; pass++) {
            double norm = 0, *x = a + j * size;
            for (int64_t k = 0; k < j; k++) {
                double dot = 0, *y = a + k * size;
                for (int64_t i = 0; i < size; i++)
                    dot += y[i] * x[i];
                for (int64_t i = 0; i < size; i++)
                    x[i] -= dot * y[i];
            }
            for (int64_t i = 0; i < size; i++)
                norm += x[i] * x[i];
            for (int64_t i = 0; i < size && norm > 0; i++)
                x[i] /= sqrt(norm);
        }
}
/* Saxe et al. 2013, arXiv:1312.6120: a normal matrix [prod(leading), last], made orthogonal */
static gr_status orthogonal(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    if (shape.rank < 2)
        return gr_fail(GR_ESHAPE, ((const gr_initializer *)spec)->at,
            "Orthogonal: argument shape: expected rank >= 2, found %lld", (long long)shape.rank);
    int64_t rows = gr_outer(shape), cols = gr_inner(shape), tall = rows > cols ? rows : cols,
            thin = rows > cols ? cols : rows;
    double gain = ((const gr_Orthogonal_spec *)spec)->gain, *a = gr__alloc(rows * cols, sizeof *a);
    if (!a)
        return GR_EMEM;
    gr__random_normal_f64(seed, use, 0, 0, rows * cols, out);
    for (int64_t i = 0; i < thin; i++) /* the columns of a tall matrix, one after the other */
        for (int64_t j = 0; j < tall; j++)
            a[i * tall + j] = out[j * thin + i];
    orthonormalize(a, thin, tall);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            out[i * cols + j] = gain * (rows >= cols ? a[j * tall + i] : a[i * tall + j]);
    gr__free(a);
    return GR_OK;
}

static const gr_field constant_fields[] = {GR_DOUBLE(gr_Constant_spec, value), {0}};
static const gr_field uniform_fields[] = {
    GR_DOUBLE(gr_RandomUniform_spec, minval), GR_DOUBLE(gr_RandomUniform_spec, maxval), {0}};
static const gr_field normal_fields[] = {
    GR_DOUBLE(gr_RandomNormal_spec, mean), GR_DOUBLE(gr_RandomNormal_spec, stddev, .def = 0.05, .has_min = true), {0}};
static const gr_field orthogonal_fields[] = {GR_DOUBLE(gr_Orthogonal_spec, gain, .def = 1), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_initializer_kind gr_##id##_kind = {                                                                       \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "initializer", .fill = f}
ROW(Zeros, zeros, NULL);
ROW(Ones, ones, NULL);
ROW(Constant, constant, constant_fields);
ROW(RandomUniform, random_uniform, uniform_fields);
ROW(RandomNormal, random_normal, normal_fields);
ROW(TruncatedNormal, truncated_normal, normal_fields);
ROW(Orthogonal, orthogonal, orthogonal_fields);
ROW(GlorotUniform, glorot_uniform, NULL);
ROW(GlorotNormal, glorot_normal, NULL);
ROW(HeUniform, he_uniform, NULL);
ROW(HeNormal, he_normal, NULL);
ROW(LecunUniform, lecun_uniform, NULL);
ROW(LecunNormal, lecun_normal, NULL);

static const gr_kind_entry initializers[] = {{&gr_Zeros_kind.kind, NULL}, {&gr_Ones_kind.kind, NULL},
    {&gr_Constant_kind.kind, NULL}, {&gr_RandomUniform_kind.kind, "uniform"}, {&gr_RandomNormal_kind.kind, "normal"},
    {&gr_TruncatedNormal_kind.kind, NULL}, {&gr_Orthogonal_kind.kind, NULL}, {&gr_GlorotUniform_kind.kind, NULL},
    {&gr_GlorotNormal_kind.kind, NULL}, {&gr_HeUniform_kind.kind, NULL}, {&gr_HeNormal_kind.kind, NULL},
    {&gr_LecunUniform_kind.kind, NULL}, {&gr_LecunNormal_kind.kind, NULL}, {NULL, NULL}};

gr_status gr__initialize(gr_variable *v, const char *name, const gr_initializer *spec, uint64_t seed, gr_at at)
{
    gr_initializer *own =
        spec ? gr_spec_copy(spec) : gr_spec_parse(name ? name : "glorot_uniform", initializers, "initializer", at);
    gr_shape shape = gr_variable_shape(v);
    int64_t n = gr_shape_size(shape);
    double *values = own ? gr__alloc_aligned(n * (int64_t)sizeof *values) : NULL;
    gr_status s =
        values ? own->kind->fill(own, shape, seed, gr__random_use_of(gr_variable_path(v)), values) : gr_error();
    if (s == GR_OK) {
        gr_array *a = gr_array_borrow(GR_F64, shape, values, NULL, NULL);
        s = a ? gr_array_cast(a, gr_variable_dtype(v)) : GR_EMEM;
        if (s == GR_OK)
            s = gr_variable_set(v, a);
        gr_array_free(a);
    }
    gr__free_aligned(values);
    gr_spec_free(own);
    return s;
}
