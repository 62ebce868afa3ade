/* ops/reduce.h: sums, means, extremes and counts over axes.
 *
 *     gr_sum(x)                                             everything, to rank 0
 *     gr_mean(x, .axes = GR_SHAPE(0, -1), .keepdims = true)
 *
 *   x        the tensor; float32 or float64 unless a line says otherwise
 *   axes     in any order, negative ones from the end; none means all
 *   keepdims the reduced axes stay, with size 1
 *   errors   GR_ESHAPE for an axis outside or given twice, GR_EDTYPE for a dtype the op does not have
 * Each has three spellings: the macro records your file and line, gr_sum_at(at, &args) takes them, and the bare symbol
 * (gr_sum)(x) reduces everything. Read next: reduce.c (what is one op), moments.c (what is built of them). */
#ifndef GRAPE_OPS_REDUCE_H
#define GRAPE_OPS_REDUCE_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *x;
    gr_shape axes; /* rank 0: all */
    bool keepdims;
} gr_reduce_args;

#define GR_DECLARE_REDUCTION(name)                                                                                     \
    GR_API gr_tensor *gr_##name##_at(gr_at at, const gr_reduce_args *args);                                            \
    GR_API gr_tensor *gr_##name(gr_tensor *x)

/* Of floats in their own type; of integers and bool in int64, wrapping around. An empty sum is 0, an empty product 1.
 */
GR_DECLARE_REDUCTION(sum);
GR_DECLARE_REDUCTION(prod); /* its second derivative leaves out what a zero among the factors hides */
/* Any dtype, which the result keeps; NaN if there is one. The gradient is split evenly among equal extremes. Of
 * nothing: the identity, -inf and inf (or the integer type's ends). */
GR_DECLARE_REDUCTION(max);
GR_DECLARE_REDUCTION(min);
/* bool -> bool */
GR_DECLARE_REDUCTION(any);
GR_DECLARE_REDUCTION(all);
/* int64: position of the first extreme (or the first NaN) in row-major order of the reduced axes. No gradient. */
GR_DECLARE_REDUCTION(argmax);
GR_DECLARE_REDUCTION(argmin);
/* Number of elements reduced over, rank 0, in x's float type (float32 if it has none): how a mean knows its batch size,
 * which is not a number until the program runs. keepdims does not matter. */
GR_DECLARE_REDUCTION(count);

GR_DECLARE_REDUCTION(mean);      /* sum / count; of nothing NaN */
GR_DECLARE_REDUCTION(var);       /* mean of the squared distance from the mean, in two passes; biased, as in NumPy */
GR_DECLARE_REDUCTION(std);       /* its root; infinite gradient where the variance is 0 */
GR_DECLARE_REDUCTION(norm);      /* root of the sum of squares; gradient 0 where it is 0 */
GR_DECLARE_REDUCTION(logsumexp); /* log of the sum of e^x without overflow; -inf if all are -inf */

#define gr_sum(...)       gr_sum_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_prod(...)      gr_prod_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_max(...)       gr_max_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_min(...)       gr_min_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_any(...)       gr_any_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_all(...)       gr_all_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_argmax(...)    gr_argmax_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_argmin(...)    gr_argmin_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_count(...)     gr_count_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_mean(...)      gr_mean_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_var(...)       gr_var_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_std(...)       gr_std_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_norm(...)      gr_norm_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})
#define gr_logsumexp(...) gr_logsumexp_at(GR_HERE, &(gr_reduce_args){.x = __VA_ARGS__})

GR_END
#endif
