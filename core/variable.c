/* core/variable.c: see variable.h. Storage is padded to 64 bytes so that vector tails may read (not write) past the
 * end. */
#include "core/node.h"
#include "core/size.h"
#include <string.h>

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
    v->data = gr__alloc_aligned(padded);
    if (!v->path || !v->data) {
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
    gr__free_aligned(v->data);
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
