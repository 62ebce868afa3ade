/* core/shape.h: dtypes and shapes.
 *
 * A dimension of a tensor is a number n, or n times the batch size B, which is not known before a program runs. The one
 * encoding of the second case lies here: GR_BATCH + (n - 1), far below zero. Arrays have plain numbers only. */
#ifndef GRAPE_CORE_SHAPE_H
#define GRAPE_CORE_SHAPE_H

#include "core/status.h"

GR_BEGIN

typedef enum {
    GR_DTYPE_NONE = 0, /* "the default": float32, or as the inputs */
    GR_F32,
    GR_F64,
    GR_I32,
    GR_I64,
    GR_U8,
    GR_BOOL, /* one byte, 0 or 1 */
    GR_DTYPE_COUNT
} gr_dtype;

GR_API int64_t gr_dtype_size(gr_dtype t);       /* bytes; 0 for GR_DTYPE_NONE */
GR_API const char *gr_dtype_name(gr_dtype t);   /* "float32", "float64", "int32", "int64", "uint8", "bool" */
GR_API gr_dtype gr_dtype_named(const char *name); /* also "f32", "i64", ...; GR_DTYPE_NONE if unknown */
static inline bool gr_dtype_is_float(gr_dtype t)
{
    return t == GR_F32 || t == GR_F64;
}

#define GR_MAX_RANK 8

typedef struct {
    int64_t rank;             /* 0 .. GR_MAX_RANK */
    int64_t dim[GR_MAX_RANK]; /* unused ones are 0 */
} gr_shape;

#define GR_DIMS(...) {sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}}
#define GR_SHAPE(...) ((gr_shape)GR_DIMS(__VA_ARGS__))
#define GR_RANK0 ((gr_shape){0, {0}})

/* The batch size as a dimension; gr_dim() returns it for every multiple of B, and no arithmetic is to be done with it:
 * reshape with one -1, gr_merge_dims, gr_split_dim or gr_reshape_like do what a computed size would. */
#define GR_BATCH (-(INT64_C(1) << 48))

/* d is n times the batch size */
static inline bool gr_dim_is_batch(int64_t d)
{
    return d >= GR_BATCH && d < GR_BATCH + (INT64_C(1) << 32);
}
/* n of n times the batch size */
static inline int64_t gr_dim_times(int64_t d)
{
    return d - GR_BATCH + 1;
}
/* n times the batch size */
static inline int64_t gr_dim_batch(int64_t n)
{
    return GR_BATCH + n - 1;
}

GR_API bool gr_shape_equal(gr_shape a, gr_shape b);
/* Number of elements of a shape of plain numbers; -1 if a dimension is negative or the product overflows. */
GR_API int64_t gr_shape_size(gr_shape s);
/* Any dimension a multiple of B? */
GR_API bool gr_shape_is_symbolic(gr_shape s);
/* s with B put in; false if it overflows. */
GR_API bool gr_shape_bind(gr_shape s, int64_t batch, gr_shape *out);
/* "[B, 3]", "[2B, 3]", "[]". Returns buf. */
GR_API const char *gr_shape_text(gr_shape s, char *buf, size_t size);
/* "float32 [B, 3]" */
GR_API const char *gr_type_text(gr_dtype t, gr_shape s, char *buf, size_t size);
/* Element count as k or k * B: *n = k, *per_batch whether B is a factor. False on overflow or if B would occur
 * twice. */
GR_API bool gr_shape_count(gr_shape s, int64_t *n, bool *per_batch);
/* NumPy broadcasting of two shapes, symbolic dimensions included (B with B or 1). False if they do not fit. */
GR_API bool gr_shape_broadcast(gr_shape a, gr_shape b, gr_shape *out);
/* An axis from -rank .. rank-1 to 0 .. rank-1; false outside. */
GR_API bool gr_axis(int64_t axis, int64_t rank, int64_t *out);
/* Product of all but the last dimension (1 for rank 0), and the last dimension (1 for rank 0); plain numbers only. */
GR_API int64_t gr_outer(gr_shape s);
GR_API int64_t gr_inner(gr_shape s);

GR_END
#endif
