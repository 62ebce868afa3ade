/* core/array.h: concrete data. An array is a handle on a counted buffer: views share it, and the buffer goes with its
 * last handle. Array functions work without a graph and never convert a dtype that was not asked for.
 * Functions that return an array return NULL on failure, the others a status; the message is in core/status.h's
 * keeping. */
#ifndef GRAPE_CORE_ARRAY_H
#define GRAPE_CORE_ARRAY_H

#include "core/shape.h"

GR_BEGIN

typedef struct gr_array gr_array;

/* A list of arrays that counts itself; the arrays are borrowed. */
#define GR_LIST_MAX 16
typedef struct {
    int64_t n;
    gr_array *item[GR_LIST_MAX];
} gr_list;
#define GR_LIST(...) ((gr_list){sizeof((gr_array *[]){__VA_ARGS__}) / sizeof(gr_array *), {__VA_ARGS__}})

/* A new contiguous array of zeros. */
GR_API gr_array *gr_array_new(gr_dtype dtype, gr_shape shape);
/* A copy of `data`, row-major. */
GR_API gr_array *gr_array_from(gr_dtype dtype, gr_shape shape, const void *data);
/* Borrows `data` (row-major), which must outlive every view; `release(user)` is called (if given) when the last one
 * goes. */
GR_API gr_array *gr_array_borrow(gr_dtype dtype, gr_shape shape, void *data, void (*release)(void *user), void *user);
/* A second handle on the same elements. */
GR_API gr_array *gr_array_share(const gr_array *a);
/* A contiguous copy of its own. */
GR_API gr_array *gr_array_copy(const gr_array *a);
GR_API void gr_array_free(gr_array *a); /* NULL is fine */

GR_API gr_dtype gr_array_dtype(const gr_array *a);
GR_API gr_shape gr_array_shape(const gr_array *a);
/* axis from the end if negative; -1 (and an error) outside */
GR_API int64_t gr_array_dim(const gr_array *a, int64_t axis);
GR_API int64_t gr_array_size(const gr_array *a);              /* elements */
GR_API int64_t gr_array_bytes(const gr_array *a);             /* elements times their size */
GR_API const int64_t *gr_array_strides(const gr_array *a);    /* in elements, one per dimension, may be negative or 0 */
GR_API bool gr_array_is_contiguous(const gr_array *a);        /* row-major without gaps */
/* First element. The elements are row-major only if gr_array_is_contiguous. */
GR_API void *gr_array_data(const gr_array *a);
/* The element at a flat row-major index, converted; 0 (and an error) outside. For tests and printing, not for loops. */
GR_API double gr_array_at(const gr_array *a, int64_t index);

/* Views: new handles on the same buffer. A slice has the bounds of Python: negative ones count from the end, those
 * outside are held inside; INT64_MAX as stop means to the end, INT64_MIN (with a negative step) through the first. */
GR_API gr_array *gr_array_slice(const gr_array *a, int64_t axis, int64_t start, int64_t stop, int64_t step);
GR_API gr_array *gr_array_transpose(const gr_array *a, gr_shape axes); /* GR_RANK0: reverse them all */
GR_API gr_array *gr_array_broadcast_to(const gr_array *a, gr_shape shape);
/* In place on the handle (other views keep what they had). One -1 is inferred. A view that is not contiguous is
 * copied. */
GR_API gr_status gr_array_reshape(gr_array *a, gr_shape shape);
GR_API gr_status gr_array_cast(gr_array *a, gr_dtype dtype);      /* float -> int saturates, NaN gives 0 */
GR_API gr_status gr_array_scale(gr_array *a, double factor);      /* floats only */
/* Integer labels [...] -> float32 [..., classes]; a label outside 0 .. classes-1 is GR_ERANGE and names its
 * position. */
GR_API gr_status gr_array_one_hot(gr_array *a, int64_t classes);
/* New arrays. */
GR_API gr_array *gr_array_gather(const gr_array *a, const int64_t *rows, int64_t n); /* rows of axis 0 */
GR_API gr_array *gr_array_concat(const gr_list *parts, int64_t axis);
/* Same dtype, shape and bits (NaN equals itself)? */
GR_API bool gr_array_equal(const gr_array *a, const gr_array *b);
GR_API gr_status gr_array_print(const gr_array *a, FILE *f);

GR_END
#endif
