/* What the parts of the elementwise ops share: elementwise.c (descriptors, inference, gradients, public functions),
 * elementwise_eval.c (plain evaluation of every dtype), cast.c. */
#ifndef GR_OPS_ELEMENTWISE_IMPL_H
#define GR_OPS_ELEMENTWISE_IMPL_H

#include "ops/elementwise.h"
#include "ops/kernels/tile.h"

extern const gr_op gr_op_cast;
#define OP1(name, ...)  extern const gr_op gr_op_##name;
#define OP1P(name, ...) extern const gr_op gr_op_##name;
#define OP2(name, ...)  extern const gr_op gr_op_##name;
#define OP3(name, ...)  extern const gr_op gr_op_##name;
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3

/* The parameters of an OP1P row */
typedef struct {
    double p[2];
} gr__parameters;

/* What an op takes and gives; the dtypes column of elementwise.def. */
typedef enum {
    GR__FLOATS,
    GR__NUMBERS,
    GR__SIGNED,
    GR__INTEGERS,
    GR__COMPARES,
    GR__LOGIC,
    GR__PREDICATE,
    GR__SELECTS,
} gr__dtypes;

/* y[i] = f(x[0][i * step[0]], ...), i < n; steps are 0 or 1. False: a divisor was 0. */
typedef bool (*gr__strip_fn)(int64_t n, void *y, const void *const *x, const int64_t *step);

/* Evaluates with broadcasting: float to float through the tile kernels, all else through plain loops. */
gr_status gr__elementwise_eval(const gr_call *c, int row);

#endif
