/* core/array.c: handles, counted buffers and views; see array.h. What looks at elements is in core/array_elements.c. */
#include "core/array_impl.h"
#include "core/mem.h"
#include "core/size.h"
#include <string.h>

#define NOWHERE ((gr_at){0})

bool gr__array_given(const gr_array *a, const char *who)
{
    if (!a)
        gr_fail(GR_EARG, NOWHERE, "%s: argument a: expected an array, found NULL", who);
    return a != NULL;
}

bool gr__array_room(const char *who, gr_dtype dtype, gr_shape shape, int64_t *count)
{
    char text[200];
    int64_t size = gr_dtype_size(dtype), bytes;
    if (size == 0) {
        gr_fail(GR_EDTYPE, NOWHERE,
            "%s: argument dtype: expected float32, float64, int32, int64, uint8 or bool, found %s", who,
            gr_dtype_name(dtype));
        return false;
    }
    if (shape.rank < 0 || shape.rank > GR_MAX_RANK) {
        gr_fail(GR_ESHAPE, NOWHERE, "%s: argument shape: expected rank 0 .. %d, found %lld", who, GR_MAX_RANK,
            (long long)shape.rank);
        return false;
    }
    for (int64_t i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0) {
            gr_fail(GR_ESHAPE, NOWHERE, "%s: argument shape: expected sizes of 0 or more, found %s", who,
                gr_shape_text(shape, text, sizeof text));
            return false;
        }
    *count = gr_shape_size(shape);
    if (*count < 0 || !gr__mul(*count, size, &bytes) || bytes > INT64_MAX / 2) {
        gr_fail(GR_ESHAPE, NOWHERE, "%s: argument shape: expected a size in bytes below 2^62, found %s", who,
            gr_type_text(dtype, shape, text, sizeof text));
        return false;
    }
    return true;
}

/* Row-major strides. A size of 0 counts as 1, so that the product of a checked shape cannot overflow. */
static void set_row_major(gr_array *a)
{
    int64_t step = 1;
    bool empty = gr_shape_size(a->shape) == 0;
    for (int64_t i = a->shape.rank - 1; i >= 0; i--) {
        a->stride[i] = step;
        step = empty ? 1 : step * a->shape.dim[i];
    }
}

/* A handle on a new buffer, which takes `data` when this succeeds. */
static gr_array *wrap(gr_dtype dtype, gr_shape shape, void *data)
{
    gr_array *a = gr__alloc(1, sizeof *a);
    gr__array_buffer *b = a ? gr__alloc(1, sizeof *b) : NULL;
    if (!b) {
        gr__free(a);
        return NULL;
    }
    atomic_init(&b->handles, 1);
    b->data = data;
    *a = (gr_array){.buffer = b, .dtype = dtype, .shape = shape, .first = data};
    for (int64_t i = shape.rank; i < GR_MAX_RANK; i++)
        a->shape.dim[i] = 0;
    set_row_major(a);
    return a;
}

gr_array *gr__array_raw(const char *who, gr_dtype dtype, gr_shape shape)
{
    int64_t count;
    if (!gr__array_room(who, dtype, shape, &count))
        return NULL;
    void *data = gr__alloc_aligned(count * gr_dtype_size(dtype));
    gr_array *a = data ? wrap(dtype, shape, data) : NULL;
    if (!a)
        gr__free_aligned(data);
    return a;
}

gr_array *gr_array_new(gr_dtype dtype, gr_shape shape)
{
    return gr__array_raw("array_new", dtype, shape);
}

gr_array *gr_array_from(gr_dtype dtype, gr_shape shape, const void *data)
{
    int64_t count;
    if (!gr__array_room("array_from", dtype, shape, &count))
        return NULL;
    if (!data && count) {
        gr_fail(GR_EARG, NOWHERE, "array_from: argument data: expected %lld elements, found NULL", (long long)count);
        return NULL;
    }
    gr_array *a = gr__array_raw("array_from", dtype, shape);
    if (a && count)
        memcpy(a->first, data, (size_t)(count * gr_dtype_size(dtype)));
    return a;
}

gr_array *gr_array_borrow(gr_dtype dtype, gr_shape shape, void *data, void (*release)(void *user), void *user)
{
    int64_t count;
    if (!gr__array_room("array_borrow", dtype, shape, &count))
        return NULL;
    if (!data && count) {
        gr_fail(GR_EARG, NOWHERE, "array_borrow: argument data: expected %lld elements, found NULL", (long long)count);
        return NULL;
    }
    gr_array *a = wrap(dtype, shape, data);
    if (a) {
        a->buffer->borrowed = true;
        a->buffer->release = release;
        a->buffer->user = user;
    }
    return a;
}

gr_array *gr_array_share(const gr_array *a)
{
    gr_array *b = gr__array_given(a, "array_share") ? gr__alloc(1, sizeof *b) : NULL;
    if (!b)
        return NULL;
    *b = *a;
    atomic_fetch_add_explicit(&a->buffer->handles, 1, memory_order_relaxed);
    return b;
}

gr_array *gr_array_copy(const gr_array *a)
{
    gr_array *b = gr__array_given(a, "array_copy") ? gr__array_raw("array_copy", a->dtype, a->shape) : NULL;
    if (b)
        gr__array_pack(a, b->first);
    return b;
}

static void drop(gr__array_buffer *b)
{
    if (atomic_fetch_sub_explicit(&b->handles, 1, memory_order_acq_rel) != 1)
        return;
    if (!b->borrowed)
        gr__free_aligned(b->data);
    else if (b->release)
        b->release(b->user);
    gr__free(b);
}

void gr_array_free(gr_array *a)
{
    if (!a)
        return;
    drop(a->buffer);
    gr__free(a);
}

void gr__array_become(gr_array *a, gr_array *from)
{
    drop(a->buffer);
    *a = *from;
    gr__free(from);
}

bool gr__array_is_own(const gr_array *a)
{
    return !a->buffer->borrowed && atomic_load_explicit(&a->buffer->handles, memory_order_acquire) == 1;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

gr_dtype gr_array_dtype(const gr_array *a)
{
    return gr__array_given(a, "array_dtype") ? a->dtype : GR_DTYPE_NONE;
}

gr_shape gr_array_shape(const gr_array *a)
{
    return gr__array_given(a, "array_shape") ? a->shape : GR_RANK0;
}

int64_t gr_array_dim(const gr_array *a, int64_t axis)
{
    int64_t k;
    if (!gr__array_given(a, "array_dim"))
        return -1;
    if (!gr_axis(axis, a->shape.rank, &k)) {
        char text[200];
        gr_fail(GR_ERANGE, NOWHERE, "array_dim: argument axis: expected an axis of %s, found %lld",
            gr_shape_text(a->shape, text, sizeof text), (long long)axis);
        return -1;
    }
    return a->shape.dim[k];
}

int64_t gr_array_size(const gr_array *a)
{
    return gr__array_given(a, "array_size") ? gr_shape_size(a->shape) : 0;
}

int64_t gr_array_bytes(const gr_array *a)
{
    return gr__array_given(a, "array_bytes") ? gr_shape_size(a->shape) * gr_dtype_size(a->dtype) : 0;
}

const int64_t *gr_array_strides(const gr_array *a)
{
    return gr__array_given(a, "array_strides") ? a->stride : NULL;
}

bool gr_array_is_contiguous(const gr_array *a)
{
    if (!gr__array_given(a, "array_is_contiguous"))
        return false;
    if (gr_shape_size(a->shape) == 0)
        return true;
    int64_t step = 1;
    for (int64_t i = a->shape.rank - 1; i >= 0; i--) {
        if (a->shape.dim[i] != 1 && a->stride[i] != step)
            return false;
        step *= a->shape.dim[i];
    }
    return true;
}

void *gr_array_data(const gr_array *a)
{
    return gr__array_given(a, "array_data") ? a->first : NULL;
}

const char *gr__index_text(gr_shape shape, int64_t flat, char *buf, size_t size)
{
    gr_shape at = {.rank = shape.rank};
    for (int64_t i = shape.rank - 1; i >= 0; i--) {
        at.dim[i] = flat % shape.dim[i];
        flat /= shape.dim[i];
    }
    return gr_shape_text(at, buf, size);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Where Python's slice rules put a bound: from the end if negative, then held within low .. high. */
static int64_t bound(int64_t at, int64_t n, int64_t low, int64_t high)
{
    if (at < 0)
        at = at < -n ? -1 : at + n;
    return at < low ? low : at > high ? high : at;
}

gr_array *gr_array_slice(const gr_array *a, int64_t axis, int64_t start, int64_t stop, int64_t step)
{
    int64_t k;
    char text[200];
    if (!gr__array_given(a, "array_slice"))
        return NULL;
    if (!gr_axis(axis, a->shape.rank, &k)) {
        gr_fail(GR_ERANGE, NOWHERE, "array_slice: argument axis: expected an axis of %s, found %lld",
            gr_shape_text(a->shape, text, sizeof text), (long long)axis);
        return NULL;
    }
    if (step == 0) {
        gr_fail(GR_EARG, NOWHERE, "array_slice: argument step: expected a step other than 0, found 0");
        return NULL;
    }
    int64_t n = a->shape.dim[k], low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    start = bound(start, n, low, high);
    stop = bound(stop, n, low, high);
    int64_t span = step > 0 ? stop - start : start - stop, stride = step > 0            ? step
                                                                    : step == INT64_MIN ? INT64_MAX
                                                                                        : -step;
    int64_t count = span <= 0 ? 0 : (span - 1) / stride + 1;
    gr_array *b = gr_array_share(a);
    if (!b)
        return NULL;
    b->shape.dim[k] = count;
    if (count > 0)
        b->first += start * a->stride[k] * gr_dtype_size(a->dtype);
    b->stride[k] = count > 1 ? a->stride[k] * step : a->stride[k];
    return b;
}

gr_array *gr_array_transpose(const gr_array *a, gr_shape axes)
{
    char text[200], found[200];
    bool seen[GR_MAX_RANK] = {false};
    if (!gr__array_given(a, "array_transpose"))
        return NULL;
    int64_t rank = a->shape.rank;
    gr_array view = *a;
    for (int64_t i = 0; i < rank; i++) {
        int64_t k = rank - 1 - i;
        bool fits = axes.rank == 0 || (axes.rank == rank && gr_axis(axes.dim[i], rank, &k));
        if (!fits || seen[k]) {
            gr_fail(GR_EARG, NOWHERE, "array_transpose: argument axes: expected each axis of %s once, found %s",
                gr_shape_text(a->shape, text, sizeof text), gr_shape_text(axes, found, sizeof found));
            return NULL;
        }
        seen[k] = true;
        view.shape.dim[i] = a->shape.dim[k];
        view.stride[i] = a->stride[k];
    }
    if (rank == 0 && axes.rank != 0) {
        gr_fail(GR_EARG, NOWHERE, "array_transpose: argument axes: expected no axis of [], found %s",
            gr_shape_text(axes, found, sizeof found));
        return NULL;
    }
    return gr_array_share(&view);
}

gr_array *gr_array_broadcast_to(const gr_array *a, gr_shape shape)
{
    int64_t count;
    gr_shape joined;
    if (!gr__array_given(a, "array_broadcast_to") || !gr__array_room("array_broadcast_to", a->dtype, shape, &count))
        return NULL;
    if (!gr_shape_broadcast(a->shape, shape, &joined) || !gr_shape_equal(joined, shape)) {
        char from[200], to[200];
        gr_fail(GR_ESHAPE, NOWHERE,
            "array_broadcast_to: argument shape: expected a shape that %s can be stretched to, found %s",
            gr_shape_text(a->shape, from, sizeof from), gr_shape_text(shape, to, sizeof to));
        return NULL;
    }
    gr_array view = *a;
    view.shape = joined;
    for (int64_t i = 0; i < joined.rank; i++) {
        int64_t k = i - (joined.rank - a->shape.rank);
        view.stride[i] = k < 0 || (a->shape.dim[k] == 1 && joined.dim[i] != 1) ? 0 : a->stride[k];
    }
    return gr_array_share(&view);
}

gr_status gr__array_flatten(gr_array *a)
{
    if (gr_array_is_contiguous(a)) {
        set_row_major(a); /* the stride of an axis of one element is free: make it the plain one */
        return GR_OK;
    }
    gr_array *copy = gr_array_copy(a);
    if (!copy)
        return gr_error();
    gr__array_become(a, copy);
    return GR_OK;
}

gr_status gr_array_reshape(gr_array *a, gr_shape shape)
{
    int64_t hole = -1, holes = 0, count, size = gr_dtype_size(GR_U8);
    char from[200], to[200];
    if (!gr__array_given(a, "array_reshape"))
        return GR_EARG;
    gr_shape known = shape;
    for (int64_t i = 0; i < shape.rank && shape.rank <= GR_MAX_RANK; i++)
        if (shape.dim[i] == -1) {
            hole = i;
            holes++;
            known.dim[i] = 1;
        }
    if (!gr__array_room("array_reshape", GR_U8, known, &count))
        return gr_error();
    size = gr_shape_size(a->shape);
    bool fits = holes == 0 ? count == size : holes == 1 && count > 0 && size % count == 0;
    if (!fits)
        return gr_fail(GR_ESHAPE, NOWHERE, "array_reshape: argument shape: expected %lld elements, as in %s, found %s",
            (long long)size, gr_shape_text(a->shape, from, sizeof from), gr_shape_text(shape, to, sizeof to));
    GR_TRY(gr__array_flatten(a));
    for (int64_t i = known.rank; i < GR_MAX_RANK; i++)
        known.dim[i] = 0;
    a->shape = known;
    if (hole >= 0)
        a->shape.dim[hole] = size / count;
    set_row_major(a);
    return GR_OK;
}
