/* core/array_elements.c: what looks at the elements of arrays: packing, conversion, selection, comparison, printing.
 * Handles and views are in core/array.c. */
#include "core/array_impl.h"
#include "core/mem.h"
#include "core/size.h"
#include <math.h>
#include <string.h>

#define NOWHERE ((gr_at){0})

/* ---- walking over views ------------------------------------------------------------------------------------------ */

/* Visits the rows of the last axis in row-major order. */
typedef struct {
    const gr_array *a;
    int64_t size; /* bytes of an element */
    int64_t rows, row;
    int64_t inner, inner_step; /* elements of a row, and the bytes from one to the next */
    int64_t at[GR_MAX_RANK];
    const char *data; /* of the current row */
} walk;

static walk walk_begin(const gr_array *a)
{
    walk w = {.a = a, .size = gr_dtype_size(a->dtype), .rows = gr_outer(a->shape), .inner = gr_inner(a->shape),
        .data = a->first};
    w.inner_step = a->shape.rank ? a->stride[a->shape.rank - 1] * w.size : w.size;
    if (gr_shape_size(a->shape) == 0)
        w.rows = 0;
    return w;
}

static void walk_next(walk *w)
{
    w->row++;
    for (int64_t k = w->a->shape.rank - 2; k >= 0; k--) {
        w->data += w->a->stride[k] * w->size;
        if (++w->at[k] < w->a->shape.dim[k])
            return;
        w->data -= w->a->stride[k] * w->size * w->at[k];
        w->at[k] = 0;
    }
}

static void pack_row(char *dst, const char *src, int64_t n, int64_t step, int64_t size)
{
    if (step == size)
        memcpy(dst, src, (size_t)(n * size));
    else if (size == 4)
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 4 * i, src + i * step, 4);
    else if (size == 8)
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 8 * i, src + i * step, 8);
    else
        for (int64_t i = 0; i < n; i++)
            dst[i] = src[i * step];
}

void gr__array_pack(const gr_array *a, void *dst)
{
    char *out = dst;
    if (gr_array_is_contiguous(a)) {
        if (gr_shape_size(a->shape))
            memcpy(out, a->first, (size_t)(gr_shape_size(a->shape) * gr_dtype_size(a->dtype)));
        return;
    }
    for (walk w = walk_begin(a); w.row < w.rows; walk_next(&w), out += w.inner * w.size)
        pack_row(out, w.data, w.inner, w.inner_step, w.size);
}

static const char *element(const gr_array *a, int64_t flat)
{
    const char *p = a->first;
    for (int64_t k = a->shape.rank - 1; k >= 0; k--) {
        p += flat % a->shape.dim[k] * a->stride[k] * gr_dtype_size(a->dtype);
        flat /= a->shape.dim[k];
    }
    return p;
}

static int64_t load_int(gr_dtype dtype, const char *p)
{
    switch (dtype) {
    case GR_I32:
        return *(const int32_t *)p;
    case GR_I64:
        return *(const int64_t *)p;
    default:
        return *(const uint8_t *)p;
    }
}

static double load(gr_dtype dtype, const char *p)
{
    switch (dtype) {
    case GR_F32:
        return *(const float *)p;
    case GR_F64:
        return *(const double *)p;
    case GR_BOOL:
        return *(const uint8_t *)p != 0;
    default:
        return (double)load_int(dtype, p);
    }
}

double gr_array_at(const gr_array *a, int64_t index)
{
    if (!gr__array_given(a, "array_at"))
        return 0;
    if (index < 0 || index >= gr_shape_size(a->shape)) {
        char text[200];
        gr_fail(GR_ERANGE, NOWHERE, "array_at: argument index: expected 0 .. %lld, as in %s, found %lld",
            (long long)gr_shape_size(a->shape) - 1, gr_shape_text(a->shape, text, sizeof text), (long long)index);
        return 0;
    }
    return load(a->dtype, element(a, index));
}

/* ---- conversion -------------------------------------------------------------------------------------------------- */

/* Doubles at and beyond the ends of the integer types go to the ends; NaN goes to 0. */
static int64_t clamp_real(double x, int64_t low, int64_t high)
{
    return isnan(x) ? 0 : x <= (double)low ? low : x >= (double)high ? high : (int64_t)x;
}
static int64_t clamp_int(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

#define EACH(D, expression)                                \
    do {                                                   \
        D *restrict y = dst;                               \
        for (int64_t i = 0; i < n; i++)                    \
            y[i] = (D)(expression);                        \
    } while (0)
/* Converts n elements of C type S to dtype `to`; CLAMP is the rule towards integers. */
#define CONVERT(name, S, CLAMP)                                                              \
    static void name(const void *src, gr_dtype to, void *dst, int64_t n)                     \
    {                                                                                        \
        const S *restrict x = src;                                                           \
        switch (to) {                                                                        \
        case GR_F32:                                                                         \
            EACH(float, x[i]);                                                               \
            break;                                                                           \
        case GR_F64:                                                                         \
            EACH(double, x[i]);                                                              \
            break;                                                                           \
        case GR_I32:                                                                         \
            EACH(int32_t, CLAMP(x[i], INT32_MIN, INT32_MAX));                                \
            break;                                                                           \
        case GR_I64:                                                                         \
            EACH(int64_t, CLAMP(x[i], INT64_MIN, INT64_MAX));                                \
            break;                                                                           \
        case GR_U8:                                                                          \
            EACH(uint8_t, CLAMP(x[i], 0, UINT8_MAX));                                        \
            break;                                                                           \
        default:                                                                             \
            EACH(uint8_t, x[i] != 0);                                                        \
        }                                                                                    \
    }
CONVERT(from_f32, float, clamp_real)
CONVERT(from_f64, double, clamp_real)
CONVERT(from_i32, int32_t, clamp_int)
CONVERT(from_i64, int64_t, clamp_int)
CONVERT(from_u8, uint8_t, clamp_int)
/* A byte from a file may be any number; as a bool it is 0 or 1. */
static void from_bool(const void *src, gr_dtype to, void *dst, int64_t n)
{
    const uint8_t *x = src;
    switch (to) {
    case GR_F32:
        EACH(float, x[i] != 0);
        break;
    case GR_F64:
        EACH(double, x[i] != 0);
        break;
    case GR_I32:
        EACH(int32_t, x[i] != 0);
        break;
    case GR_I64:
        EACH(int64_t, x[i] != 0);
        break;
    default:
        EACH(uint8_t, x[i] != 0);
    }
}

gr_status gr_array_cast(gr_array *a, gr_dtype dtype)
{
    static void (*const from[GR_DTYPE_COUNT])(const void *, gr_dtype, void *, int64_t) = {
        NULL, from_f32, from_f64, from_i32, from_i64, from_u8, from_bool};
    if (!gr__array_given(a, "array_cast"))
        return GR_EARG;
    if (gr_dtype_size(dtype) == 0)
        return gr_fail(
            GR_EDTYPE, NOWHERE, "array_cast: argument dtype: expected a dtype, found %s", gr_dtype_name(dtype));
    if (a->dtype == dtype)
        return GR_OK;
    GR_TRY(gr__array_flatten(a));
    gr_array *b = gr__array_raw("array_cast", dtype, a->shape);
    if (!b)
        return gr_error();
    from[a->dtype](a->first, dtype, b->first, gr_shape_size(a->shape));
    gr__array_become(a, b);
    return GR_OK;
}

/* The product is rounded once, from double: k * (1.0 / 255) of a byte k is exactly k / 255.0f. */
gr_status gr_array_scale(gr_array *a, double factor)
{
    if (!gr__array_given(a, "array_scale"))
        return GR_EARG;
    if (!gr_dtype_is_float(a->dtype))
        return gr_fail(GR_EDTYPE, NOWHERE,
            "array_scale: argument a: expected float32 or float64, found %s; cast it first", gr_dtype_name(a->dtype));
    if (!gr__array_is_own(a) || !gr_array_is_contiguous(a)) {
        gr_array *copy = gr_array_copy(a);
        if (!copy)
            return gr_error();
        gr__array_become(a, copy);
    }
    int64_t n = gr_shape_size(a->shape);
    if (a->dtype == GR_F32) {
        float *x = (float *)a->first;
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)((double)x[i] * factor);
    } else {
        double *x = (double *)a->first;
        for (int64_t i = 0; i < n; i++)
            x[i] *= factor;
    }
    return GR_OK;
}

gr_status gr_array_one_hot(gr_array *a, int64_t classes)
{
    char text[200];
    if (!gr__array_given(a, "array_one_hot"))
        return GR_EARG;
    if (a->dtype != GR_U8 && a->dtype != GR_I32 && a->dtype != GR_I64)
        return gr_fail(GR_EDTYPE, NOWHERE, "array_one_hot: argument a: expected uint8, int32 or int64 labels, found %s",
            gr_dtype_name(a->dtype));
    if (classes < 1 || a->shape.rank == GR_MAX_RANK)
        return gr_fail(classes < 1 ? GR_EARG : GR_ESHAPE, NOWHERE,
            "array_one_hot: expected at least 1 class and rank 0 .. %d, found %lld classes and labels %s",
            GR_MAX_RANK - 1, (long long)classes, gr_shape_text(a->shape, text, sizeof text));
    GR_TRY(gr__array_flatten(a));
    gr_shape shape = a->shape;
    shape.dim[shape.rank++] = classes;
    gr_array *hot = gr__array_raw("array_one_hot", GR_F32, shape);
    if (!hot)
        return gr_error();
    float *row = (float *)hot->first;
    int64_t n = gr_shape_size(a->shape), size = gr_dtype_size(a->dtype);
    for (int64_t i = 0; i < n; i++, row += classes) {
        int64_t label = load_int(a->dtype, a->first + i * size);
        if (label < 0 || label >= classes) {
            gr_array_free(hot);
            return gr_fail(GR_ERANGE, NOWHERE, "array_one_hot: argument a: expected labels 0 .. %lld, found %lld at %s",
                (long long)classes - 1, (long long)label, gr__index_text(a->shape, i, text, sizeof text));
        }
        row[label] = 1;
    }
    gr__array_become(a, hot);
    return GR_OK;
}

/* ---- selection --------------------------------------------------------------------------------------------------- */

gr_array *gr_array_gather(const gr_array *a, const int64_t *rows, int64_t n)
{
    if (!gr__array_given(a, "array_gather"))
        return NULL;
    if (a->shape.rank == 0 || n < 0 || (n > 0 && !rows)) {
        gr_fail(a->shape.rank == 0 ? GR_ESHAPE : GR_EARG, NOWHERE,
            "array_gather: expected an array of rank 1 or more and 0 or more rows, found rank %lld and %lld rows%s",
            (long long)a->shape.rank, (long long)n, rows ? "" : " at NULL");
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= a->shape.dim[0]) {
            gr_fail(GR_ERANGE, NOWHERE, "array_gather: argument rows: expected 0 .. %lld, found %lld at [%lld]",
                (long long)a->shape.dim[0] - 1, (long long)rows[i], (long long)i);
            return NULL;
        }
    gr_shape shape = a->shape;
    shape.dim[0] = n;
    gr_array *out = gr__array_raw("array_gather", a->dtype, shape);
    if (!out || gr_shape_size(shape) == 0)
        return out;
    gr_array row = *a;
    row.shape.dim[0] = 1;
    int64_t bytes = gr_shape_size(row.shape) * gr_dtype_size(a->dtype);
    bool plain = gr_array_is_contiguous(&row);
    for (int64_t i = 0; i < n; i++) {
        row.first = a->first + rows[i] * a->stride[0] * gr_dtype_size(a->dtype);
        if (plain)
            memcpy(out->first + i * bytes, row.first, (size_t)bytes);
        else
            gr__array_pack(&row, out->first + i * bytes);
    }
    return out;
}

/* The shape of the whole, or false and an error. */
static bool concat_shape(const gr_list *parts, int64_t axis, gr_shape *shape, int64_t *k)
{
    if (!parts || parts->n < 1 || parts->n > GR_LIST_MAX) {
        gr_fail(GR_EARG, NOWHERE, "array_concat: argument parts: expected 1 .. %d arrays, found %lld", GR_LIST_MAX,
            parts ? (long long)parts->n : 0LL);
        return false;
    }
    for (int64_t i = 0; i < parts->n; i++) {
        const gr_array *p = parts->item[i];
        char first[200], here[200];
        if (!gr__array_given(p, "array_concat"))
            return false;
        if (i == 0) {
            *shape = p->shape;
            if (!gr_axis(axis, shape->rank, k)) {
                gr_fail(GR_ERANGE, NOWHERE, "array_concat: argument axis: expected an axis of %s, found %lld",
                    gr_shape_text(*shape, first, sizeof first), (long long)axis);
                return false;
            }
            continue;
        }
        gr_shape want = p->shape;
        if (want.rank == shape->rank)
            want.dim[*k] = shape->dim[*k];
        if (p->dtype != parts->item[0]->dtype || !gr_shape_equal(want, *shape) ||
            !gr__add(shape->dim[*k], p->shape.dim[*k], &shape->dim[*k])) {
            gr_fail(p->dtype != parts->item[0]->dtype ? GR_EDTYPE : GR_ESHAPE, NOWHERE,
                "array_concat: argument parts: expected arrays like the first, %s, but for axis %lld, found %s as "
                "number %lld",
                gr_type_text(parts->item[0]->dtype, parts->item[0]->shape, first, sizeof first), (long long)*k,
                gr_type_text(p->dtype, p->shape, here, sizeof here), (long long)i);
            return false;
        }
    }
    return true;
}

gr_array *gr_array_concat(const gr_list *parts, int64_t axis)
{
    gr_shape shape;
    int64_t k;
    if (!concat_shape(parts, axis, &shape, &k))
        return NULL;
    gr_array *out = gr__array_raw("array_concat", parts->item[0]->dtype, shape);
    if (!out || gr_shape_size(shape) == 0)
        return out;
    int64_t size = gr_dtype_size(out->dtype), outer = 1, block = size, at = 0;
    for (int64_t i = 0; i < k; i++)
        outer *= shape.dim[i];
    for (int64_t i = k; i < shape.rank; i++)
        block *= shape.dim[i];
    for (int64_t p = 0; p < parts->n; p++) {
        gr_array *flat = gr_array_share(parts->item[p]);
        if (!flat || gr__array_flatten(flat) != GR_OK) {
            gr_array_free(flat);
            gr_array_free(out);
            return NULL;
        }
        int64_t bytes = gr_shape_size(flat->shape) / outer * size;
        for (int64_t i = 0; i < outer && bytes; i++)
            memcpy(out->first + i * block + at, flat->first + i * bytes, (size_t)bytes);
        at += bytes;
        gr_array_free(flat);
    }
    return out;
}

/* ---- comparison and printing ------------------------------------------------------------------------------------- */

bool gr_array_equal(const gr_array *a, const gr_array *b)
{
    if (!gr__array_given(a, "array_equal") || !gr__array_given(b, "array_equal"))
        return false;
    if (a->dtype != b->dtype || !gr_shape_equal(a->shape, b->shape))
        return false;
    walk v = walk_begin(a), w = walk_begin(b);
    for (; v.row < v.rows; walk_next(&v), walk_next(&w))
        for (int64_t i = 0; i < v.inner; i++)
            if (memcmp(v.data + i * v.inner_step, w.data + i * w.inner_step, (size_t)v.size) != 0)
                return false;
    return true;
}

static void print_element(const gr_array *a, int64_t flat, FILE *f)
{
    const char *p = element(a, flat);
    if (a->dtype == GR_BOOL)
        fputs(*p ? "true" : "false", f);
    else if (a->dtype == GR_F32 || a->dtype == GR_F64)
        fprintf(f, "%.*g", a->dtype == GR_F32 ? 6 : 10, load(a->dtype, p));
    else
        fprintf(f, "%lld", (long long)load_int(a->dtype, p));
}

/* Of an axis longer than 2 * EDGE, only the ends are shown when the whole is large. */
enum { EDGE = 3, LARGE = 200 };

static void print_axis(const gr_array *a, int64_t axis, int64_t flat, bool shorten, FILE *f)
{
    if (axis == a->shape.rank) {
        print_element(a, flat, f);
        return;
    }
    int64_t n = a->shape.dim[axis];
    fputc('[', f);
    for (int64_t i = 0; i < n; i++) {
        if (i && axis + 1 < a->shape.rank)
            fprintf(f, ",\n%*s", (int)axis + 1, "");
        else if (i)
            fputs(", ", f);
        if (shorten && n > 2 * EDGE && i == EDGE) {
            fputs("...", f);
            i = n - EDGE - 1;
            continue;
        }
        print_axis(a, axis + 1, flat * n + i, shorten, f);
    }
    fputc(']', f);
}

gr_status gr_array_print(const gr_array *a, FILE *f)
{
    char text[200];
    if (!gr__array_given(a, "array_print"))
        return GR_EARG;
    GR_CHECK(f, GR_EARG, "array_print: argument f: expected a stream, found NULL");
    fprintf(f, "%s\n", gr_type_text(a->dtype, a->shape, text, sizeof text));
    if (gr_shape_size(a->shape) == 0)
        fputs("[]", f);
    else
        print_axis(a, 0, 0, gr_shape_size(a->shape) > LARGE, f);
    return fputc('\n', f) == EOF ? gr_fail(GR_EIO, NOWHERE, "array_print: the stream refuses the text") : GR_OK;
}
