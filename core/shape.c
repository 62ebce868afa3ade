/* core/shape.c: see shape.h. */
#include "core/shape.h"
#include "core/size.h"
#include <string.h>

static const struct {
    const char *name, *brief;
    int64_t size;
} dtypes[GR_DTYPE_COUNT] = {
    {"none", "none", 0},
    {"float32", "f32", 4},
    {"float64", "f64", 8},
    {"int32", "i32", 4},
    {"int64", "i64", 8},
    {"uint8", "u8", 1},
    {"bool", "bool", 1},
};

int64_t gr_dtype_size(gr_dtype t)
{
    return (unsigned)t < GR_DTYPE_COUNT ? dtypes[t].size : 0;
}

const char *gr_dtype_name(gr_dtype t)
{
    return (unsigned)t < GR_DTYPE_COUNT ? dtypes[t].name : "unknown";
}

gr_dtype gr_dtype_named(const char *name)
{
    for (int t = GR_F32; t < GR_DTYPE_COUNT; t++)
        if (name && (strcmp(name, dtypes[t].name) == 0 || strcmp(name, dtypes[t].brief) == 0))
            return (gr_dtype)t;
    return GR_DTYPE_NONE;
}

bool gr_shape_equal(gr_shape a, gr_shape b)
{
    if (a.rank != b.rank)
        return false;
    for (int64_t i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i])
            return false;
    return true;
}

int64_t gr_shape_size(gr_shape s)
{
    int64_t n = 1;
    bool zero = false;
    for (int64_t i = 0; i < s.rank; i++) {
        if (s.dim[i] < 0)
            return -1;
        if (s.dim[i] == 0)
            zero = true;
        else if (!gr__mul(n, s.dim[i], &n))
            return -1;
    }
    return zero ? 0 : n;
}

bool gr_shape_is_symbolic(gr_shape s)
{
    for (int64_t i = 0; i < s.rank; i++)
        if (gr_dim_is_batch(s.dim[i]))
            return true;
    return false;
}

bool gr_shape_bind(gr_shape s, int64_t batch, gr_shape *out)
{
    for (int64_t i = 0; i < s.rank; i++)
        if (gr_dim_is_batch(s.dim[i]) && !gr__mul(gr_dim_times(s.dim[i]), batch, &s.dim[i]))
            return false;
    *out = s;
    return true;
}

const char *gr_shape_text(gr_shape s, char *buf, size_t size)
{
    size_t at = 0;
    int n = snprintf(buf, size, "[");
    for (int64_t i = 0; i < s.rank; i++) {
        at += n > 0 ? (size_t)n : 0;
        if (at >= size)
            return buf;
        const char *comma = i ? ", " : "";
        if (!gr_dim_is_batch(s.dim[i]))
            n = snprintf(buf + at, size - at, "%s%lld", comma, (long long)s.dim[i]);
        else if (gr_dim_times(s.dim[i]) == 1)
            n = snprintf(buf + at, size - at, "%sB", comma);
        else
            n = snprintf(buf + at, size - at, "%s%lldB", comma, (long long)gr_dim_times(s.dim[i]));
    }
    at += n > 0 ? (size_t)n : 0;
    if (at < size)
        snprintf(buf + at, size - at, "]");
    return buf;
}

const char *gr_type_text(gr_dtype t, gr_shape s, char *buf, size_t size)
{
    char shape[160];
    snprintf(buf, size, "%s %s", gr_dtype_name(t), gr_shape_text(s, shape, sizeof shape));
    return buf;
}

bool gr_shape_count(gr_shape s, int64_t *n, bool *per_batch)
{
    *n = 1;
    *per_batch = false;
    for (int64_t i = 0; i < s.rank; i++) {
        int64_t d = s.dim[i];
        if (gr_dim_is_batch(d)) {
            if (*per_batch)
                return false;
            *per_batch = true;
            d = gr_dim_times(d);
        }
        if (d < 0 || !gr__mul(*n, d, n))
            return false;
    }
    return true;
}

bool gr_shape_broadcast(gr_shape a, gr_shape b, gr_shape *out)
{
    gr_shape r = {.rank = a.rank > b.rank ? a.rank : b.rank};
    for (int64_t i = 1; i <= r.rank; i++) {
        int64_t x = i <= a.rank ? a.dim[a.rank - i] : 1;
        int64_t y = i <= b.rank ? b.dim[b.rank - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        r.dim[r.rank - i] = x == 1 ? y : x;
    }
    *out = r;
    return true;
}

bool gr_axis(int64_t axis, int64_t rank, int64_t *out)
{
    if (axis < -rank || axis >= rank)
        return false;
    *out = axis < 0 ? axis + rank : axis;
    return true;
}

int64_t gr_outer(gr_shape s)
{
    if (s.rank > 0)
        s.rank--;
    return gr_shape_size(s);
}

int64_t gr_inner(gr_shape s)
{
    return s.rank ? s.dim[s.rank - 1] : 1;
}
