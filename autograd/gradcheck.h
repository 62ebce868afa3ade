/* autograd/gradcheck.h: is a gradient right? The analytic gradient against central differences, in float64.
 *
 *     static gr_status square_sum(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
 *     {
 *         out[0] = my_op(in[0]);
 *         return gr_status_of(out[0]);
 *     }
 *     gr_status s = gr_gradcheck_fn(square_sum, .n_in = 1, .in = {x}, .second = true);
 *
 * Layers are checked by gr_gradcheck (models/layer_gradcheck.h), which stands on this. Read next: gradcheck.c. */
#ifndef GRAPE_AUTOGRAD_GRADCHECK_H
#define GRAPE_AUTOGRAD_GRADCHECK_H

#include "core/tape.h"

GR_BEGIN

#define GR_GRADCHECK_MAX 16

/* Builds the results from the inputs. Called once; the graph is then evaluated many times. */
typedef gr_status (*gr_gradcheck_build)(
    void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out);

typedef struct gr_gradcheck_opts {
    gr_gradcheck_build fn;
    void *ctx;
    const char *name;                       /* of what is checked, for messages; default "gradcheck" */
    int n_in, n_out;                        /* 0 .. GR_GRADCHECK_MAX; no results count as 1 */
    gr_array *in[GR_GRADCHECK_MAX];         /* values: float64, contiguous; those of other dtypes are held fixed */
    const char *in_names[GR_GRADCHECK_MAX]; /* for messages; default in[0], ... */
    int n_variables; /* weights (at most 64): float64 variables that fn reads, checked as inputs are */
    gr_variable *const *variables;
    bool second;     /* the gradient of the gradient too */
    bool allow_zero; /* a gradient that is zero everywhere passes; else it is an error, for it shows nothing */
    uint64_t seed;   /* of cotangents and directions */
} gr_gradcheck_opts;

/* Compares the gradient that autograd records with differences of the function's values.
 *   cotangents  random normal: a gradient of ones would hide transpositions
 *   step        h = 1e-5 max(1, |x|), divided by the actual (x + h) - (x - h)
 *   passes      if |analytic - numeric| <= 1e-7 + 1e-6 |numeric|
 *   big inputs  (more than 200 elements) 8 random directions and about 30 elements: ends, middle, around powers of two
 *   .second     the gradient as a function of inputs and cotangents is checked in the same way
 *   errors      GR_EGRAD with the input, the worst element, both values, the value at h / 2, and the likely mistake;
 *               GR_EMISSING at an op without a float64 eval ("float32 only"); whatever fn or an op's vjp reports */
GR_API gr_status gr_gradcheck_fn_at(gr_at at, const gr_gradcheck_opts *opts);
#define gr_gradcheck_fn(...) gr_gradcheck_fn_at(GR_HERE, &(gr_gradcheck_opts){.fn = __VA_ARGS__})

/* One op on one of its samples; second order too unless the sample says no_second. `norm` (may be NULL) receives the
 * norm of the analytic gradient. GR_OK without a check for ops that are flat by definition, and where no float64 is
 * involved. */
gr_status gr__gradcheck_op(const gr_op *op, const gr_sample *s, uint64_t seed, double *norm);
/* All samples of an op; an error too if there are none, or if the gradient is zero on all of them. */
gr_status gr__gradcheck_op_samples(const gr_op *op);
/* How many inputs a sample has: the op's, or for ops of any number those up to the last that has a shape or a dtype. */
int gr__sample_count(const gr_op *op, const gr_sample *s);
/* Draws the inputs of a sample: new arrays in[0 .. count-1], floats of dtype `real` where the sample leaves it open. */
gr_status gr__sample_draw(const gr_op *op, const gr_sample *s, gr_dtype real, uint64_t seed, gr_array **in);

GR_END
#endif
