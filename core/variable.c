/* core/variable.c: see variable.h. Storage is padded to 64 bytes so that vector tails may read (not write) past the
 * end. */
#include "core/node.h"
#include "core/size.h"
#include <pthread.h>
#include <string.h>

/* ---- storage ----------------------------------------------------------------------------------------------------- */

/* Where large blocks lie on huge pages, variables do so together, one after the other in the order they are made: each
 * is too small for a page of its own, a model's weights and its optimizer's slots are many MiB. What is not used of a
 * slab is never touched; it is freed with the last variable in it. */
typedef struct gr__slab {
    char *data;
    int64_t used;
    int live; /* variables in it */
} slab;

enum { SLAB_BYTES = 8 << 20, LARGE = SLAB_BYTES / 4 }; /* a large variable has a block of its own */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `latest` and of what slabs count */
static slab *latest; /* the one that is filled; NULL: none */

static slab *slab_new(void)
{
    slab *s = gr__alloc(1, sizeof *s);
    if (s && !(s->data = gr__alloc_aligned(SLAB_BYTES))) {
        gr__free(s);
        return NULL;
    }
    return s;
}

static bool storage_new(gr_variable *v, int64_t bytes)
{
    if (bytes >= LARGE || !gr__huge_pages())
        return (v->data = gr__alloc_aligned(bytes)) != NULL;
    pthread_mutex_lock(&lock);
    slab *s = latest && SLAB_BYTES - latest->used >= bytes ? latest : slab_new();
    if (s) {
        latest = v->slab = s;
        v->data = s->data + s->used;
        s->used += bytes;
        s->live++;
    }
    pthread_mutex_unlock(&lock);
    return s != NULL;
}

static void storage_free(gr_variable *v)
{
    slab *s = v->slab;
    if (!s) {
        gr__free_aligned(v->data);
        return;
    }
    pthread_mutex_lock(&lock);
    bool last = --s->live == 0;
    if (last && latest == s)
        latest = NULL;
    pthread_mutex_unlock(&lock);
    if (last) {
        gr__free_aligned(s->data);
        gr__free(s);
    }
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

gr_variable *gr_variable_new(const char *path, gr_dtype dtype, gr_shape shape, bool trainable)
{
    char text[200];
    int64_t n = gr_shape_size(shape), bytes, padded;
    if (n < 0 || !gr__mul(n, gr_dtype_size(dtype), &bytes) || !gr__round_up(bytes, 64, &padded) ||
        dtype == GR_DTYPE_NONE) {
        gr_fail(GR_ESHAPE, (gr_at){0}, "variable %s: argument shape: expected a dtype and a size that fits, found %s",
            path ? path : "(unnamed)", gr_type_text(dtype, shape, text, sizeof text));
        return NULL;
    }
    gr_variable *v = gr__alloc(1, sizeof *v);
    if (!v)
        return NULL;
    *v = (gr_variable){.dtype = dtype, .shape = shape, .trainable = trainable, .bytes = bytes};
    v->path = gr__strdup(path ? path : "variable");
    if (!v->path || !storage_new(v, padded)) {
        gr_variable_free(v);
        return NULL;
    }
    return v;
}

void gr_variable_free(gr_variable *v)
{
    if (!v)
        return;
    gr__free(v->path);
    storage_free(v);
    gr__free(v);
}

const char *gr_variable_path(const gr_variable *v)
{
    return v->path;
}
gr_dtype gr_variable_dtype(const gr_variable *v)
{
    return v->dtype;
}
gr_shape gr_variable_shape(const gr_variable *v)
{
    return v->shape;
}
bool gr_variable_trainable(const gr_variable *v)
{
    return v->trainable;
}

gr_array *gr_variable_get(const gr_variable *v)
{
    return gr_array_from(v->dtype, v->shape, v->data);
}

gr_status gr_variable_set(gr_variable *v, const gr_array *value)
{
    char want[200], got[200];
    GR_CHECK(v && value, GR_EARG, "variable_set: expected a variable and an array, found NULL");
    GR_CHECK(gr_array_dtype(value) == v->dtype && gr_shape_equal(gr_array_shape(value), v->shape), GR_ESHAPE,
        "variable_set: %s: argument value: expected %s, found %s", v->path,
        gr_type_text(v->dtype, v->shape, want, sizeof want),
        gr_type_text(gr_array_dtype(value), gr_array_shape(value), got, sizeof got));
    if (gr_array_is_contiguous(value)) {
        if (v->bytes)
            memcpy(v->data, gr_array_data(value), (size_t)v->bytes);
        return GR_OK;
    }
    gr_array *copy = gr_array_copy(value);
    if (!copy)
        return gr_error();
    memcpy(v->data, gr_array_data(copy), (size_t)v->bytes);
    gr_array_free(copy);
    return GR_OK;
}

double gr_variable_get_scalar(const gr_variable *v)
{
    switch (v->bytes ? v->dtype : GR_DTYPE_NONE) {
    case GR_F32:
        return *(const float *)v->data;
    case GR_F64:
        return *(const double *)v->data;
    case GR_I32:
        return *(const int32_t *)v->data;
    case GR_I64:
        return (double)*(const int64_t *)v->data;
    case GR_U8:
    case GR_BOOL:
        return *(const uint8_t *)v->data;
    default:
        return 0;
    }
}

gr_status gr_variable_set_scalar(gr_variable *v, double value)
{
    GR_CHECK(v && gr_shape_size(v->shape) == 1, GR_ESHAPE, "variable_set_scalar: %s: expected one element",
        v ? v->path : "NULL");
    switch (v->dtype) {
    case GR_F32:
        *(float *)v->data = (float)value;
        break;
    case GR_F64:
        *(double *)v->data = value;
        break;
    case GR_I32:
        *(int32_t *)v->data = (int32_t)value;
        break;
    case GR_I64:
        *(int64_t *)v->data = (int64_t)value;
        break;
    default:
        *(uint8_t *)v->data = value != 0;
    }
    return GR_OK;
}
