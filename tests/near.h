/* For tests of ops: constants from plain numbers, and comparing what a node evaluates to with expected numbers. */
#ifndef GR_TESTS_NEAR_H
#define GR_TESTS_NEAR_H

#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

#define NUMBERS(...) ((const double[]){__VA_ARGS__}), (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* A constant of any dtype from doubles. */
static inline gr_tensor *constant_of(gr_tape *t, gr_dtype dtype, gr_shape shape, const double *x, int64_t n)
{
    gr_array *a = gr_array_from(GR_F64, GR_SHAPE(n), x);
    gr_tensor *c = GR_BAD;
    if (a && gr_array_cast(a, dtype) == GR_OK && gr_array_reshape(a, shape) == GR_OK)
        c = gr_constant(t, a);
    gr_array_free(a);
    return c;
}

/* a has this shape and these n numbers, within tolerance * max(1, |expected|); NaN equals NaN. Frees a. */
static inline bool holds(
    unsigned line, const char *file, gr_array *a, gr_shape shape, double tolerance, const double *expected, int64_t n)
{
    char want[200], got[200];
    if (!gr_test_expect(a != NULL, line, file, "no value: %s", gr_error_message())) {
        gr_error_clear();
        return false;
    }
    bool good = gr_test_expect(gr_shape_equal(gr_array_shape(a), shape) && gr_array_size(a) == n, line, file,
        "shape %s, expected %s of %lld numbers", gr_shape_text(gr_array_shape(a), got, sizeof got),
        gr_shape_text(shape, want, sizeof want), (long long)n);
    for (int64_t i = 0; i < n && good; i++) {
        double y = gr_array_at(a, i), e = expected[i];
        bool same = y == e || (isnan(y) && isnan(e)) || fabs(y - e) <= tolerance * fmax(1, fabs(e));
        good = gr_test_expect(same, line, file, "[%lld] is %.17g, expected %.17g", (long long)i, y, e);
    }
    gr_array_free(a);
    return good;
}
#define NEAR(x, shape, tolerance, ...) holds(__LINE__, __FILE__, gr_eval(x), shape, tolerance, NUMBERS(__VA_ARGS__))

/* y with one input bound: how the batch size gets its value. */
static inline gr_array *eval_bound(gr_tensor *y, gr_tensor *input, gr_shape shape, const double *x, int64_t n)
{
    gr_array *a = gr_array_from(GR_F64, GR_SHAPE(n), x), *out = NULL;
    if (a && gr_array_reshape(a, shape) == GR_OK && gr_array_cast(a, gr_dtype_of(input)) == GR_OK)
        gr_eval_with(
            1, &y, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &(gr_binding){input, a}, .seed = gr_seed()});
    gr_array_free(a);
    return out;
}

#endif
