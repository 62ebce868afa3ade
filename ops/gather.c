/* ops/gather.c: take, take_along_axis, gather, scatter_add, one_hot. Each of the first three copies runs of elements
 * from places in x that indices name, and has an adjoint that adds runs up at those places; `places` holds what they
 * differ in. Sums run in the order of the indices, in one thread. */
#include "ops/gather.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include "ops/shape_ops.h"
#include <string.h>

typedef struct {
    int64_t axis;
    bool labels; /* negative indices are out of range, too */
} axis_attr;
static const gr_field axis_fields[] = {GR_INT64(axis_attr, axis), GR_BOOL(axis_attr, labels), {0}};
/* of the adjoints: what they add up into */
typedef struct {
    int64_t axis;
    gr_shape shape;
} into_attr;
static const gr_field into_fields[] = {GR_INT64(into_attr, axis), GR_SHAPE_FIELD(into_attr, shape), {0}};
static const char *const in_names[] = {"x", "indices", "updates"};

/* ---- indices ----------------------------------------------------------------------------------------------------- */

static gr_status infer_indices(const gr_infer *f)
{
    if (f->dtype[1] == GR_I32 || f->dtype[1] == GR_I64 || f->dtype[1] == GR_U8)
        return GR_OK;
    return gr_infer_fail(
        f, GR_EDTYPE, "indices", "expected int32, int64 or uint8, found %s", gr_dtype_name(f->dtype[1]));
}

static int64_t index_at(const gr_buffer *b, int64_t i)
{
    if (b->dtype == GR_I64)
        return ((const int64_t *)b->data)[i];
    return b->dtype == GR_I32 ? ((const int32_t *)b->data)[i] : ((const uint8_t *)b->data)[i];
}

/* Index i of b on an axis of n elements, negative ones from the end. */
static gr_status checked(
    const gr_call *c, const char *argument, const gr_buffer *b, int64_t i, int64_t least, int64_t n, int64_t *out)
{
    int64_t v = index_at(b, i);
    *out = v < 0 ? v + n : v;
    if (v >= least && v < n)
        return GR_OK;
    gr_shape at = {.rank = b->shape.rank};
    char text[200];
    for (int64_t k = at.rank, rest = i; k-- > 0; rest /= b->shape.dim[k])
        at.dim[k] = rest % b->shape.dim[k];
    return gr_call_fail(c, GR_ERANGE, argument, "expected %lld .. %lld, found %lld at %s", (long long)least,
        (long long)n - 1, (long long)v, gr_shape_text(at, text, sizeof text));
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* Run r of `run` elements, side by side in the small tensor, lies in the big one where its index says. */
typedef struct {
    int64_t runs, run;
    int64_t axis;     /* of take and take_along_axis */
    int64_t n, inner; /* that axis of the big tensor, and the elements behind it */
    int64_t
        per_outer; /* runs (take) or elements (take_along_axis) of the small tensor for each index before the axis */
    gr_shape big;
    const gr_buffer *indices;
    bool labels;
} places;
typedef gr_status (*place_fn)(const gr_call *c, const places *p, int64_t r, int64_t *at);

static places along(const gr_buffer *indices, gr_shape big, int64_t axis)
{
    places p = {.big = big, .indices = indices, .inner = 1, .runs = 1};
    gr_axis(axis, big.rank, &p.axis);
    p.n = big.dim[p.axis];
    for (int64_t i = 0; i < p.axis; i++)
        p.runs *= big.dim[i]; /* so far: those before the axis */
    for (int64_t i = p.axis + 1; i < big.rank; i++)
        p.inner *= big.dim[i];
    return p;
}

static places take_places(const gr_buffer *indices, gr_shape big, int64_t axis)
{
    places p = along(indices, big, axis);
    p.per_outer = gr_shape_size(indices->shape);
    p.runs *= p.per_outer;
    p.run = p.inner;
    return p;
}
static gr_status take_place(const gr_call *c, const places *p, int64_t r, int64_t *at)
{
    int64_t j;
    GR_TRY(checked(c, "indices", p->indices, r % p->per_outer, -p->n, p->n, &j));
    *at = (r / p->per_outer * p->n + j) * p->inner;
    return GR_OK;
}

static places along_places(const gr_buffer *indices, gr_shape big, int64_t axis)
{
    places p = along(indices, big, axis);
    p.per_outer = indices->shape.dim[p.axis] * p.inner;
    p.runs *= p.per_outer;
    p.run = 1;
    return p;
}
static gr_status along_place(const gr_call *c, const places *p, int64_t r, int64_t *at)
{
    int64_t j;
    GR_TRY(checked(c, "indices", p->indices, r, p->labels ? 0 : -p->n, p->n, &j));
    *at = (r / p->per_outer * p->n + j) * p->inner + r % p->inner;
    return GR_OK;
}

static places gather_places(const gr_buffer *indices, gr_shape big, int64_t axis)
{
    places p = {.big = big, .indices = indices, .axis = axis, .n = gr_inner(indices->shape), .run = 1};
    p.runs = gr_outer(indices->shape);
    for (int64_t i = p.n; i < big.rank; i++)
        p.run *= big.dim[i];
    return p;
}
static gr_status gather_place(const gr_call *c, const places *p, int64_t r, int64_t *at)
{
    *at = 0;
    for (int64_t k = 0; k < p->n; k++) {
        int64_t j, n = p->big.dim[k];
        GR_TRY(checked(c, "indices", p->indices, r * p->n + k, -n, n, &j));
        *at = *at * n + j;
    }
    *at *= p->run;
    return GR_OK;
}

/* ---- the two directions ------------------------------------------------------------------------------------------ */

static gr_status copy_runs(const gr_call *c, const places *p, place_fn place)
{
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    for (int64_t i = c->begin; i < c->end && p->run;) {
        int64_t r = i / p->run, in_run = i % p->run, n = p->run - in_run, at;
        n = n < c->end - i ? n : c->end - i;
        GR_TRY(place(c, p, r, &at));
        memcpy(
            (char *)c->out[0].data + i * size, (const char *)c->in[0].data + (at + in_run) * size, (size_t)(n * size));
        i += n;
    }
    return GR_OK;
}

#define ADD_RUN(T, U, name)                                                                                            \
    static void add_run_##name(int64_t n, void *y, const void *x)                                                      \
    {                                                                                                                  \
        T *to = y;                                                                                                     \
        const T *from = x;                                                                                             \
        for (int64_t i = 0; i < n; i++)                                                                                \
            to[i] = (T)((U)to[i] + (U)from[i]);                                                                        \
    }
ADD_RUN(float, float, float)
ADD_RUN(double, double, double)
ADD_RUN(int32_t, uint32_t, int32)
ADD_RUN(int64_t, uint64_t, int64)
ADD_RUN(uint8_t, unsigned, uint8)

/* Adds the runs of `from` into out[0], which holds what they are added to. */
static gr_status add_runs(const gr_call *c, const places *p, place_fn place, const gr_buffer *from)
{
    static void (*const add[GR_DTYPE_COUNT])(int64_t, void *, const void *) = {[GR_F32] = add_run_float,
        [GR_F64] = add_run_double,
        [GR_I32] = add_run_int32,
        [GR_I64] = add_run_int64,
        [GR_U8] = add_run_uint8};
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    int64_t at;
    for (int64_t r = 0; r < p->runs && p->run; r++) {
        GR_TRY(place(c, p, r, &at));
        add[c->out[0].dtype](p->run, (char *)c->out[0].data + at * size, (const char *)from->data + r * p->run * size);
    }
    return GR_OK;
}

static gr_status add_into_zeros(const gr_call *c, const places *p, place_fn place)
{
    const int64_t bytes = gr_shape_size(c->out[0].shape) * gr_dtype_size(c->out[0].dtype);
    if (bytes > 0) /* an empty array may have no memory at all */
        memset(c->out[0].data, 0, (size_t)bytes);
    return add_runs(c, p, place, &c->in[0]);
}

static gr_status add_to_copy(const gr_call *c, const places *p, place_fn place)
{
    memmove(c->out[0].data, c->in[0].data, (size_t)(gr_shape_size(c->out[0].shape) * gr_dtype_size(c->out[0].dtype)));
    return add_runs(c, p, place, &c->in[2]);
}

static gr_status check_places(const gr_call *c, const places *p, place_fn place)
{
    int64_t at;
    for (int64_t r = 0; r < p->runs && p->run; r++)
        GR_TRY(place(c, p, r, &at));
    return GR_OK;
}

/* Per op: its places, eval, check. */
#define PLACES(op, made, place, eval)                                                                                  \
    static gr_status op##_eval(const gr_call *c)                                                                       \
    {                                                                                                                  \
        const places p = made;                                                                                         \
        return eval(c, &p, place);                                                                                     \
    }                                                                                                                  \
    static gr_status op##_check(const gr_call *c)                                                                      \
    {                                                                                                                  \
        const places p = made;                                                                                         \
        return check_places(c, &p, place);                                                                             \
    }
static places along_places_of(const gr_call *c)
{
    places p = along_places(&c->in[1], c->in[0].shape, ((const axis_attr *)c->attr)->axis);
    p.labels = ((const axis_attr *)c->attr)->labels;
    return p;
}
#define AXIS_OF(attr_type) ((const attr_type *)c->attr)->axis
PLACES(take, take_places(&c->in[1], c->in[0].shape, AXIS_OF(axis_attr)), take_place, copy_runs)
PLACES(take_back, take_places(&c->in[1], c->out[0].shape, AXIS_OF(into_attr)), take_place, add_into_zeros)
PLACES(along, along_places_of(c), along_place, copy_runs)
PLACES(along_back, along_places(&c->in[1], c->out[0].shape, AXIS_OF(into_attr)), along_place, add_into_zeros)
PLACES(gather, gather_places(&c->in[1], c->in[0].shape, 0), gather_place, copy_runs)
PLACES(scatter_add, gather_places(&c->in[1], c->out[0].shape, 0), gather_place, add_to_copy)
/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static gr_status adds_up(const gr_infer *f)
{
    if (f->dtype[0] != GR_BOOL)
        return GR_OK;
    return gr_infer_fail(f, GR_EDTYPE, "x", "expected a number, found bool");
}

/* Axis `axis` of big replaced by the shape of indices. */
static gr_status taken(const gr_infer *f, gr_shape big, int64_t axis, gr_shape *out)
{
    int64_t a;
    const gr_shape s = f->shape[1];
    GR_TRY(infer_indices(f));
    GR_TRY(gr__axis_of(f, axis, big.rank, &a));
    if (big.rank - 1 + s.rank > GR_MAX_RANK)
        return gr_infer_fail(f, GR_ESHAPE, "indices", "expected rank at most %lld, found %lld",
            (long long)(GR_MAX_RANK + 1 - big.rank), (long long)s.rank);
    *out = (gr_shape){.rank = big.rank - 1 + s.rank};
    memcpy(out->dim, big.dim, (size_t)a * sizeof *out->dim);
    memcpy(out->dim + a, s.dim, (size_t)s.rank * sizeof *out->dim);
    memcpy(out->dim + a + s.rank, big.dim + a + 1, (size_t)(big.rank - a - 1) * sizeof *out->dim);
    return GR_OK;
}

/* As big, but the size of indices on the axis. */
static gr_status taken_along(const gr_infer *f, gr_shape big, int64_t axis, gr_shape *out)
{
    int64_t a;
    char want[200], got[200];
    GR_TRY(infer_indices(f));
    GR_TRY(gr__axis_of(f, axis, big.rank, &a));
    *out = big;
    if (f->shape[1].rank == big.rank)
        out->dim[a] = f->shape[1].dim[a];
    if (!gr_shape_equal(*out, f->shape[1]))
        return gr_infer_fail(f, GR_ESHAPE, "indices", "expected the sizes of x but for axis %lld, %s, found %s",
            (long long)a, gr_shape_text(big, want, sizeof want), gr_shape_text(f->shape[1], got, sizeof got));
    return GR_OK;
}

/* indices [.., k] -> [.., what is behind the first k axes of big]. */
static gr_status gathered(const gr_infer *f, gr_shape big, gr_shape *out)
{
    const gr_shape s = f->shape[1];
    char got[200];
    GR_TRY(infer_indices(f));
    int64_t k = s.rank ? s.dim[s.rank - 1] : -1;
    if (k < 0 || k > big.rank || s.rank - 1 + big.rank - k > GR_MAX_RANK)
        return gr_infer_fail(f, GR_ESHAPE, "indices", "expected a last axis of 0 .. %lld, found %s",
            (long long)big.rank, gr_shape_text(s, got, sizeof got));
    *out = s;
    out->rank--;
    for (int64_t i = k; i < big.rank; i++)
        out->dim[out->rank++] = big.dim[i];
    return GR_OK;
}

static gr_status infer_take(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    return taken(f, f->shape[0], ((const axis_attr *)f->attr)->axis, &f->out_shape[0]);
}
static gr_status infer_along(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    return taken_along(f, f->shape[0], ((const axis_attr *)f->attr)->axis, &f->out_shape[0]);
}
static gr_status infer_gather(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    return gathered(f, f->shape[0], &f->out_shape[0]);
}

/* An adjoint: x must have the shape that the op makes of attr's. */
static gr_status infer_back(gr_infer *f, gr_status (*op)(const gr_infer *, gr_shape, int64_t, gr_shape *))
{
    const into_attr *a = f->attr;
    gr_shape small;
    char want[200], got[200];
    GR_TRY(adds_up(f));
    if (!gr__rank_ok(a->shape))
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected rank 0 .. 8, found %lld", (long long)a->shape.rank);
    GR_TRY(op(f, a->shape, a->axis, &small));
    if (!gr_shape_equal(small, f->shape[0]))
        return gr_infer_fail(f, GR_ESHAPE, "x", "expected %s, found %s", gr_shape_text(small, want, sizeof want),
            gr_shape_text(f->shape[0], got, sizeof got));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = a->shape;
    return GR_OK;
}
static gr_status infer_take_back(gr_infer *f)
{
    return infer_back(f, taken);
}
static gr_status infer_along_back(gr_infer *f)
{
    return infer_back(f, taken_along);
}

static gr_status infer_scatter_add(gr_infer *f)
{
    gr_shape small;
    char want[200], got[200];
    GR_TRY(adds_up(f));
    GR_TRY(gathered(f, f->shape[0], &small));
    if (f->dtype[2] != f->dtype[0])
        return gr_infer_fail(f, GR_EDTYPE, "updates", "expected %s, the dtype of x, found %s",
            gr_dtype_name(f->dtype[0]), gr_dtype_name(f->dtype[2]));
    if (!gr_shape_equal(small, f->shape[2]))
        return gr_infer_fail(f, GR_ESHAPE, "updates", "expected %s, found %s", gr_shape_text(small, want, sizeof want),
            gr_shape_text(f->shape[2], got, sizeof got));
    return gr_infer_same(f);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

extern const gr_op gr_op_take, gr_op_take_back, gr_op_take_along_axis, gr_op_take_along_axis_back, gr_op_gather;

static void back(gr_vjp *v, const gr_op *op)
{
    const into_attr a = {((const axis_attr *)v->attr)->axis, v->x[0]->shape};
    if (gr_dtype_is_float(v->x[0]->dtype))
        v->dx[0] = gr_apply_op_at(GR_VJP_AT(v), op, &a, 2, (gr_tensor *[]){v->dy[0], v->x[1]});
}
static void forth(gr_vjp *v, const gr_op *op)
{
    const axis_attr a = {((const into_attr *)v->attr)->axis, false};
    if (gr_dtype_is_float(v->x[0]->dtype))
        v->dx[0] = gr_apply_op_at(GR_VJP_AT(v), op, &a, 2, (gr_tensor *[]){v->dy[0], v->x[1]});
}
static void take_vjp(gr_vjp *v)
{
    back(v, &gr_op_take_back);
}
static void take_back_vjp(gr_vjp *v)
{
    forth(v, &gr_op_take);
}
static void along_vjp(gr_vjp *v)
{
    back(v, &gr_op_take_along_axis_back);
}
static void along_back_vjp(gr_vjp *v)
{
    forth(v, &gr_op_take_along_axis);
}
static void gather_vjp(gr_vjp *v)
{
    gr_at at = GR_VJP_AT(v);
    gr_tensor *x = v->x[0];
    if (gr_dtype_is_float(x->dtype))
        v->dx[0] = gr_scatter_add_at(at, gr_broadcast_to_at(at, gr_scalar_at(at, x, 0), x->shape), v->x[1], v->dy[0]);
}
static void scatter_add_vjp(gr_vjp *v)
{
    if (!gr_dtype_is_float(v->x[0]->dtype))
        return;
    v->dx[0] = v->dy[0];
    v->dx[2] = gr_gather_at(GR_VJP_AT(v), v->dy[0], v->x[1]);
}

/* ---- one_hot ----------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t classes;
    gr_dtype dtype;
} one_hot_attr;
static const gr_field one_hot_fields[] = {GR_INT64(one_hot_attr, classes), GR_DTYPE_FIELD(one_hot_attr, dtype), {0}};

static gr_status infer_one_hot(gr_infer *f)
{
    const one_hot_attr *a = f->attr;
    if (f->dtype[0] != GR_I32 && f->dtype[0] != GR_I64 && f->dtype[0] != GR_U8)
        return gr_infer_fail(f, GR_EDTYPE, "x", "expected int32, int64 or uint8, found %s", gr_dtype_name(f->dtype[0]));
    if (a->classes < 1 || a->classes > INT32_MAX)
        return gr_infer_fail(f, GR_EARG, "classes", "expected 1 .. 2147483647, found %lld", (long long)a->classes);
    if (a->dtype < GR_DTYPE_NONE || a->dtype >= GR_DTYPE_COUNT)
        return gr_infer_fail(f, GR_EDTYPE, "dtype", "expected a dtype, found %d", (int)a->dtype);
    if (f->shape[0].rank == GR_MAX_RANK)
        return gr_infer_fail(f, GR_ESHAPE, "x", "expected rank at most 7, found 8");
    f->out_dtype[0] = a->dtype ? a->dtype : GR_F32;
    f->out_shape[0] = f->shape[0];
    f->out_shape[0].dim[f->out_shape[0].rank++] = a->classes;
    return GR_OK;
}

static gr_status one_hot_eval(const gr_call *c)
{
    const one_hot_attr *a = c->attr;
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
    } one = {.i64 = 1}; /* little-endian: an integer 1 of any width */
    if (c->out[0].dtype == GR_F32)
        one.f32 = 1;
    else if (c->out[0].dtype == GR_F64)
        one.f64 = 1;
    char *y = c->out[0].data;
    memset(y + c->begin * size, 0, (size_t)((c->end - c->begin) * size));
    for (int64_t row = c->begin / a->classes; row * a->classes < c->end; row++) {
        int64_t label;
        GR_TRY(checked(c, "x", &c->in[0], row, 0, a->classes, &label));
        int64_t i = row * a->classes + label;
        if (i >= c->begin && i < c->end)
            memcpy(y + i * size, &one, (size_t)size);
    }
    return GR_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* Samples: indices 0 .. 2, so an indexed axis has 3 elements or more; the numbers of x come from the same interval. */
#define AXIS(A)      (&(const axis_attr){A, false})
#define INTO(A, ...) (&(const into_attr){A, GR_DIMS(__VA_ARGS__)})
#define INDEXED(...) .dtype = {GR_DTYPE_NONE, GR_I32}, .attr = __VA_ARGS__
#define GATHER_OP(op, n, more_traits, text, ...)                                                                       \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                                                           \
        .name = #op,                                                                                                   \
        .doc = text,                                                                                                   \
        .n_in = n,                                                                                                     \
        .n_out = 1,                                                                                                    \
        .traits = GR_CHECKED_DATA | (more_traits),                                                                     \
        .in_names = in_names,                                                                                          \
        __VA_ARGS__}

GATHER_OP(take, 2, GR_RANGED, "rows of an axis, by index", .attrs = axis_fields, .attr_size = sizeof(axis_attr),
    .infer = infer_take, .eval_f32 = take_eval, .eval_f64 = take_eval, .check = take_check, .vjp = take_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(3, 2), GR_DIMS(5)}, INDEXED(AXIS(0))},
        {0, 2, {GR_DIMS(2, 5, 3), GR_DIMS(2, 3)}, INDEXED(AXIS(1))}, {0, 2, {GR_DIMS(7), {0, {0}}}, INDEXED(AXIS(-1))},
        {0, 2, {GR_DIMS(2, 3), GR_DIMS(0)}, INDEXED(AXIS(1))}, {-3, 2, {GR_DIMS(3, 2), GR_DIMS(7)}, INDEXED(AXIS(0))},
        {0, 2, {GR_DIMS(3, 2), GR_DIMS(4)}, .dtype = {GR_I32, GR_U8}, .attr = AXIS(0)}));
GATHER_OP(take_back, 2, 0, "rows added up by index; take's gradient", .attrs = into_fields,
    .attr_size = sizeof(into_attr), .infer = infer_take_back, .eval_f32 = take_back_eval, .eval_f64 = take_back_eval,
    .check = take_back_check, .vjp = take_back_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(5, 2), GR_DIMS(5)}, INDEXED(INTO(0, 3, 2))},
        {0, 2, {GR_DIMS(2, 2, 3, 3), GR_DIMS(2, 3)}, INDEXED(INTO(1, 2, 5, 3))},
        {0, 2, {{0, {0}}, {0, {0}}}, INDEXED(INTO(-1, 7))},
        {0, 2, {GR_DIMS(2, 0), GR_DIMS(0)}, INDEXED(INTO(1, 2, 3))}));
GATHER_OP(take_along_axis, 2, GR_RANGED, "one element for each index", .attrs = axis_fields,
    .attr_size = sizeof(axis_attr), .infer = infer_along, .eval_f32 = along_eval, .eval_f64 = along_eval,
    .check = along_check, .vjp = along_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(5, 3), GR_DIMS(5, 1)}, INDEXED(AXIS(-1))},
        {0, 2, {GR_DIMS(2, 3, 5), GR_DIMS(2, 7, 5)}, INDEXED(AXIS(1))},
        {-3, 2, {GR_DIMS(3), GR_DIMS(4)}, INDEXED(AXIS(0))}, {0, 2, {GR_DIMS(0, 3), GR_DIMS(0, 2)}, INDEXED(AXIS(1))}));
GATHER_OP(take_along_axis_back, 2, 0, "elements added up by index; take_along_axis's gradient", .attrs = into_fields,
    .attr_size = sizeof(into_attr), .infer = infer_along_back, .eval_f32 = along_back_eval, .eval_f64 = along_back_eval,
    .check = along_back_check, .vjp = along_back_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(5, 1), GR_DIMS(5, 1)}, INDEXED(INTO(-1, 5, 3))},
        {0, 2, {GR_DIMS(2, 7, 5), GR_DIMS(2, 7, 5)}, INDEXED(INTO(1, 2, 3, 5))},
        {0, 2, {GR_DIMS(0, 2), GR_DIMS(0, 2)}, INDEXED(INTO(1, 0, 3))}));
GATHER_OP(gather, 2, GR_RANGED, "slices by places in the leading axes", .infer = infer_gather, .eval_f32 = gather_eval,
    .eval_f64 = gather_eval, .check = gather_check, .vjp = gather_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(3, 2), GR_DIMS(5, 1)}, INDEXED(NULL)},
        {0, 2, {GR_DIMS(3, 5, 2), GR_DIMS(2, 4, 2)}, INDEXED(NULL)},
        {-3, 2, {GR_DIMS(3, 3), GR_DIMS(7, 2)}, INDEXED(NULL)}, {0, 2, {GR_DIMS(3, 2), GR_DIMS(1)}, INDEXED(NULL)},
        {0, 2, {GR_DIMS(3, 0), GR_DIMS(2, 1)}, INDEXED(NULL)}));
GATHER_OP(scatter_add, 3, 0, "x with updates added at places in its leading axes", .infer = infer_scatter_add,
    .eval_f32 = scatter_add_eval, .eval_f64 = scatter_add_eval, .check = scatter_add_check, .vjp = scatter_add_vjp,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(3, 2), GR_DIMS(5, 1), GR_DIMS(5, 2)}, INDEXED(NULL)},
        {0, 2, {GR_DIMS(3, 5, 2), GR_DIMS(2, 4, 2), GR_DIMS(2, 4, 2)}, INDEXED(NULL)},
        {0, 2, {GR_DIMS(3), GR_DIMS(0, 1), GR_DIMS(0)}, INDEXED(NULL)},
        {-3, 2, {GR_DIMS(3), GR_DIMS(4, 1), GR_DIMS(4)}, .dtype = {GR_I64, GR_I32, GR_I64}}));
GATHER_OP(one_hot, 1, GR_RANGED | GR_NO_GRADIENT, "a 1 at the label's place in a row of 0", .attrs = one_hot_fields,
    .attr_size = sizeof(one_hot_attr), .infer = infer_one_hot, .eval_f32 = one_hot_eval, .eval_f64 = one_hot_eval,
    .samples = GR_SAMPLES({0, 2, {GR_DIMS(5)}, .dtype = {GR_I32}, .attr = &(const one_hot_attr){3, GR_F32}},
        {0, 2, {GR_DIMS(2, 3)}, .dtype = {GR_I64}, .attr = &(const one_hot_attr){7, GR_F64}},
        {0, 2, {{0, {0}}}, .dtype = {GR_U8}, .attr = &(const one_hot_attr){3, GR_I64}},
        {0, 2, {GR_DIMS(0)}, .dtype = {GR_U8}, .attr = &(const one_hot_attr){3, GR_BOOL}}));

/* ---- the public functions ---------------------------------------------------------------------------------------- */

static int64_t positive(gr_tensor *x, int64_t axis)
{
    int64_t a;
    return !gr__is_bad(x) && gr_axis(axis, x->shape.rank, &a) ? a : axis;
}

gr_tensor *gr_take_at(gr_at at, gr_tensor *x, gr_tensor *indices, int64_t axis)
{
    return gr_apply_op_at(at, &gr_op_take, &(axis_attr){positive(x, axis), false}, 2, (gr_tensor *[]){x, indices});
}

gr_tensor *gr_take_along_axis_at(gr_at at, gr_tensor *x, gr_tensor *indices, int64_t axis)
{
    int64_t a;
    if (!gr__is_bad(x) && !gr__is_bad(indices) && x->shape.rank == indices->shape.rank &&
        gr_axis(axis, x->shape.rank, &a)) { /* sizes of 1 are repeated, on either side */
        gr_shape both, of_x, of_indices;
        of_x = x->shape;
        of_indices = indices->shape;
        of_x.dim[a] = of_indices.dim[a] = 1;
        if (gr_shape_broadcast(of_x, of_indices, &both)) {
            of_x = of_indices = both;
            of_x.dim[a] = x->shape.dim[a];
            of_indices.dim[a] = indices->shape.dim[a];
            x = gr_broadcast_to_at(at, x, of_x);
            indices = gr_broadcast_to_at(at, indices, of_indices);
        }
    }
    return gr_apply_op_at(
        at, &gr_op_take_along_axis, &(axis_attr){positive(x, axis), false}, 2, (gr_tensor *[]){x, indices});
}

gr_tensor *gr_gather_at(gr_at at, gr_tensor *x, gr_tensor *indices)
{
    return gr_apply_op_at(at, &gr_op_gather, NULL, 2, (gr_tensor *[]){x, indices});
}

extern const gr_op gr_op_scatter_add, gr_op_one_hot;
gr_tensor *gr_scatter_add_at(gr_at at, gr_tensor *x, gr_tensor *indices, gr_tensor *updates)
{
    return gr_apply_op_at(at, &gr_op_scatter_add, NULL, 3, (gr_tensor *[]){x, indices, updates});
}

gr_tensor *gr_one_hot_at(gr_at at, const gr_one_hot_args *args)
{
    const one_hot_attr a = {args->classes, args->dtype ? args->dtype : GR_F32};
    return gr_apply_op_at(at, &gr_op_one_hot, &a, 1, (gr_tensor *[]){args->x});
}

gr_tensor *gr__take_labels(gr_at at, gr_tensor *x, gr_tensor *labels)
{
    return gr_apply_op_at(
        at, &gr_op_take_along_axis, &(axis_attr){positive(x, -1), true}, 2, (gr_tensor *[]){x, labels});
}

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_take)(gr_tensor *x, gr_tensor *indices, int64_t axis)
{
    return gr_take_at(NOWHERE, x, indices, axis);
}
gr_tensor *(gr_take_along_axis)(gr_tensor *x, gr_tensor *indices, int64_t axis)
{
    return gr_take_along_axis_at(NOWHERE, x, indices, axis);
}
gr_tensor *(gr_gather)(gr_tensor *x, gr_tensor *indices)
{
    return gr_gather_at(NOWHERE, x, indices);
}
gr_tensor *(gr_scatter_add)(gr_tensor *x, gr_tensor *indices, gr_tensor *updates)
{
    return gr_scatter_add_at(NOWHERE, x, indices, updates);
}
gr_tensor *(gr_one_hot)(gr_tensor *x, int64_t classes)
{
    return gr_one_hot_at(NOWHERE, &(gr_one_hot_args){.x = x, .classes = classes});
}
