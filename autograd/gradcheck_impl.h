/* autograd/gradcheck_impl.h: what gradcheck.c (does it agree?) and gradcheck_explain.c (why not?) share. */
#ifndef GRAPE_AUTOGRAD_GRADCHECK_IMPL_H
#define GRAPE_AUTOGRAD_GRADCHECK_IMPL_H

#include "autograd/gradcheck.h"

/* One tensor by which is differentiated. */
typedef struct {
    gr_tensor *x;
    char name[64];
    gr_shape shape;
    double *value; /* n elements, moved and put back */
    int64_t n;
    double *analytic; /* the gradient that autograd gives */
} gr__checked;

/* sum over results of <cotangent, result> as a function of the checked inputs. */
typedef struct {
    gr_at at;
    const char *name;  /* of the function */
    const char *order; /* "" or "second order, " */
    int n_in, n_out;
    gr__checked *in;
    gr_tensor **out;
    double **cotangent; /* of each result */
    gr_eval_opts eval;
    int64_t small; /* inputs up to this size are checked element by element */
    uint64_t seed;
} gr__check;

/* The numeric derivative by element k of input i with steps h and -h. */
gr_status gr__check_numeric(const gr__check *c, int i, int64_t k, double h, double *slope);
double gr__check_step(double x);
bool gr__check_agrees(double analytic, double numeric);
/* Records GR_EGRAD for element k of input i, with the likely mistake. */
gr_status gr__check_explain(const gr__check *c, int i, int64_t k);

/* gr_gradcheck_fn_at, and the norm of the analytic gradient. */
gr_status gr__gradcheck_norm(gr_at at, const gr_gradcheck_opts *opts, double *norm);

/* Small random numbers for checks: 64 bits, uniform in 0 .. 1, normal. */
uint64_t gr__check_bits(uint64_t *state);
double gr__check_uniform(uint64_t *state);
double gr__check_normal(uint64_t *state);

#endif
