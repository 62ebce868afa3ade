/* ops/slice_ops.c: slice, pad, concatenate, and what is made of them. Declared in shape_ops.h. */
#include "ops/shape_ops.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include <string.h>

static const char *const x_name[] = {"x"};

static const char *text(gr_shape s, char buf[200])
{
    return gr__rank_ok(s) ? gr_shape_text(s, buf, 200) : "a rank above 8";
}

/* ---- slice, and its adjoint -------------------------------------------------------------------------------------- */

/* One entry an axis, as many as x has. */
typedef struct {
    gr_shape start, stop, step;
    gr_shape shape; /* of unslice's result; else rank 0 */
} slice_attr;
static const gr_field slice_fields[] = {GR_SHAPE_FIELD(slice_attr, start), GR_SHAPE_FIELD(slice_attr, stop),
    GR_SHAPE_FIELD(slice_attr, step), GR_SHAPE_FIELD(slice_attr, shape), {0}};

/* First position and number of elements of start : stop : step on an axis of n elements: Python's rules. */
static void cut(int64_t n, int64_t start, int64_t stop, int64_t step, int64_t *first, int64_t *count)
{
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    int64_t from = start < 0 ? start + n : start, to = stop < 0 ? stop + n : stop;
    if (stop == GR_REST)
        to = step > 0 ? n : -1;
    from = from < low ? low : from > high ? high : from;
    to = to < low ? low : to > high && stop != GR_REST ? high : to;
    int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -(step + 1) + 1;
    *first = from;
    *count = span > 0 ? (span - 1) / stride + 1 : 0;
}

static bool whole(const slice_attr *a, int64_t i)
{
    return a->stop.dim[i] == GR_REST &&
           ((a->start.dim[i] == 0 && a->step.dim[i] == 1) || (a->start.dim[i] == -1 && a->step.dim[i] == -1));
}

/* The shape of the slice of `full`. */
static gr_status sliced(const gr_infer *f, gr_shape full, gr_shape *out)
{
    const slice_attr *a = f->attr;
    const gr_shape *part[] = {&a->start, &a->stop, &a->step};
    static const char *const names[] = {"start", "stop", "step"};
    char buf[200];
    for (int i = 0; i < 3; i++)
        if (part[i]->rank != full.rank)
            return gr_infer_fail(f, GR_ESHAPE, names[i], "expected one number an axis, %lld, found %lld",
                (long long)full.rank, (long long)part[i]->rank);
    *out = full;
    for (int64_t i = 0; i < full.rank; i++) {
        int64_t first;
        if (a->step.dim[i] == 0 || a->step.dim[i] == INT64_MIN)
            return gr_infer_fail(f, GR_EARG, "step", "expected steps other than 0, found %s", text(a->step, buf));
        if (!gr_dim_is_batch(full.dim[i]))
            cut(full.dim[i], a->start.dim[i], a->stop.dim[i], a->step.dim[i], &first, &out->dim[i]);
        else if (!whole(a, i))
            return gr_infer_fail(f, GR_ESHAPE, "start",
                "expected all of axis %lld, which is a multiple of the batch size (gr_split_dim gives it an axis of "
                "its "
                "own), found %lld to %lld",
                (long long)i, (long long)a->start.dim[i], (long long)a->stop.dim[i]);
    }
    return GR_OK;
}

static gr_status infer_slice(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    return sliced(f, f->shape[0], &f->out_shape[0]);
}

static gr_status infer_unslice(gr_infer *f)
{
    const slice_attr *a = f->attr;
    gr_shape part;
    char want[200], got[200];
    if (!gr__rank_ok(a->shape))
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected rank 0 .. 8, found %lld", (long long)a->shape.rank);
    GR_TRY(sliced(f, a->shape, &part));
    if (!gr_shape_equal(part, f->shape[0]))
        return gr_infer_fail(f, GR_ESHAPE, "x", "expected %s, the shape of the slice, found %s", text(part, want),
            text(f->shape[0], got));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = a->shape;
    return GR_OK;
}

static void slice_strides(const slice_attr *a, gr_shape full, int64_t *offset, int64_t *stride)
{
    int64_t of_full[GR_MAX_RANK];
    gr__strides(full, of_full);
    *offset = 0;
    for (int64_t i = 0; i < full.rank; i++) {
        int64_t first, count;
        cut(full.dim[i], a->start.dim[i], a->stop.dim[i], a->step.dim[i], &first, &count);
        *offset += count ? first * of_full[i] : 0;
        stride[i] = count > 1 ? a->step.dim[i] * of_full[i] : 0;
    }
}

static gr_status slice_eval(const gr_call *c)
{
    int64_t offset, stride[GR_MAX_RANK];
    slice_strides(c->attr, c->in[0].shape, &offset, stride);
    gr__view_copy(c, offset, stride);
    return GR_OK;
}

static void slice_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_VIEW;
    slice_strides(l->attr, l->shape[0], &l->offset, l->stride);
}

/* Zeros, with x at the places of the slice. */
static gr_status unslice_eval(const gr_call *c)
{
    const gr_shape s = c->in[0].shape;
    const int64_t size = gr_dtype_size(c->out[0].dtype), n = gr_shape_size(s);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    int64_t offset, stride[GR_MAX_RANK], index[GR_MAX_RANK] = {0};
    slice_strides(c->attr, c->out[0].shape, &offset, stride);
    memset(y, 0, (size_t)(gr_shape_size(c->out[0].shape) * size));
    for (int64_t i = 0; i < n; i++) {
        memcpy(y + offset * size, x + i * size, (size_t)size);
        for (int64_t k = s.rank; k-- > 0;) {
            offset += stride[k];
            if (++index[k] < s.dim[k])
                break;
            offset -= index[k] * stride[k];
            index[k] = 0;
        }
    }
    return GR_OK;
}

extern const gr_op gr_op_slice, gr_op_unslice;

static void slice_vjp(gr_vjp *v)
{
    slice_attr a = *(const slice_attr *)v->attr;
    a.shape = v->x[0]->shape;
    v->dx[0] = gr_apply_op_at(GR_VJP_AT(v), &gr_op_unslice, &a, 1, v->dy);
}

static void unslice_vjp(gr_vjp *v)
{
    slice_attr a = *(const slice_attr *)v->attr;
    a.shape = GR_RANK0;
    v->dx[0] = gr_apply_op_at(GR_VJP_AT(v), &gr_op_slice, &a, 1, v->dy);
}

#define CUT(FROM, TO, STEP, ...) (&(const slice_attr){GR_DIMS FROM, GR_DIMS TO, GR_DIMS STEP, __VA_ARGS__})
const gr_op gr_op_slice = {.abi = GR_ABI,
    .name = "slice",
    .doc = "start : stop : step of each axis",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = slice_fields,
    .attr_size = sizeof(slice_attr),
    .in_names = x_name,
    .infer = infer_slice,
    .eval_f32 = slice_eval,
    .eval_f64 = slice_eval,
    .vjp = slice_vjp,
    .lower = slice_lower,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(5, 3)}, .attr = CUT((1, 0), (4, GR_REST), (1, 1), {0})},
        {-3, 3, {GR_DIMS(2, 7, 3)}, .attr = CUT((0, -1, 1), (GR_REST, GR_REST, 2), (1, -2, 1), {0})},
        {-3, 3, {GR_DIMS(7)}, .attr = CUT((-5), (-1), (3), {0})},
        {-3, 3, {GR_DIMS(5, 3)}, .attr = CUT((4, 0), (1, GR_REST), (1, 1), {0})},
        {-3, 3, {GR_DIMS(0, 3)}, .attr = CUT((0, 0), (GR_REST, 2), (1, 1), {0})},
        {0, 9, {GR_DIMS(5)}, .dtype = {GR_I32}, .attr = CUT((-1), (GR_REST), (-1), {0})})};
const gr_op gr_op_unslice = {.abi = GR_ABI,
    .name = "unslice",
    .doc = "zeros, with x at the places of a slice; slice's gradient",
    .n_in = 1,
    .n_out = 1,
    .attrs = slice_fields,
    .attr_size = sizeof(slice_attr),
    .in_names = x_name,
    .infer = infer_unslice,
    .eval_f32 = unslice_eval,
    .eval_f64 = unslice_eval,
    .vjp = unslice_vjp,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(3, 3)}, .attr = CUT((1, 0), (4, GR_REST), (1, 1), GR_DIMS(5, 3))},
        {-3, 3, {GR_DIMS(2, 4, 1)}, .attr = CUT((0, -1, 1), (GR_REST, GR_REST, 2), (1, -2, 1), GR_DIMS(2, 7, 3))},
        {-3, 3, {GR_DIMS(0, 3)}, .attr = CUT((4, 0), (1, GR_REST), (1, 1), GR_DIMS(5, 3))},
        {0, 9, {GR_DIMS(2)}, .dtype = {GR_I64}, .attr = CUT((0), (3), (2), GR_DIMS(5))})};

gr_tensor *gr_slice_at(gr_at at, const gr_slice_args *args)
{
    slice_attr a = {.start = args->start, .stop = args->stop, .step = args->step};
    gr_tensor *x = args->x;
    if (!gr__is_bad(x)) {
        gr_shape *part[] = {&a.start, &a.stop, &a.step};
        const int64_t whole_axis[] = {0, GR_REST, 1};
        for (int i = 0; i < 3; i++) /* axes not named are whole; too many are inference's business */
            for (; part[i]->rank >= 0 && part[i]->rank < x->shape.rank; part[i]->rank++)
                part[i]->dim[part[i]->rank] = whole_axis[i];
    }
    return gr_apply_op_at(at, &gr_op_slice, &a, 1, &x);
}

/* start : stop of one axis; the others whole. */
static gr_tensor *part_of(gr_at at, gr_tensor *x, int64_t axis, int64_t start, int64_t stop)
{
    gr_slice_args args = {.x = x, .start.rank = axis + 1, .stop.rank = axis + 1};
    for (int64_t i = 0; i < axis; i++)
        args.stop.dim[i] = GR_REST;
    args.start.dim[axis] = start;
    args.stop.dim[axis] = stop;
    return gr_slice_at(at, &args);
}

static gr_tensor *axis_fail(gr_at at, const char *op, int n, gr_tensor *const *x, int64_t axis, int64_t rank)
{
    return gr_op_fail(at, GR_ESHAPE, op, "axis", n < 8 ? n : 8, x, "expected %lld .. %lld, found %lld",
        -(long long)rank, (long long)rank - 1, (long long)axis);
}

gr_tensor *gr_flip_at(gr_at at, gr_tensor *x, int64_t axis)
{
    int64_t k;
    if (!gr__given(at, "flip", "x", x))
        return GR_BAD;
    if (!gr_axis(axis, x->shape.rank, &k))
        return axis_fail(at, "flip", 1, &x, axis, x->shape.rank);
    slice_attr a = {.start.rank = x->shape.rank, .stop.rank = x->shape.rank, .step.rank = x->shape.rank};
    for (int64_t i = 0; i < x->shape.rank; i++) {
        a.start.dim[i] = i == k ? -1 : 0;
        a.stop.dim[i] = GR_REST;
        a.step.dim[i] = i == k ? -1 : 1;
    }
    return gr_apply_op_at(at, &gr_op_slice, &a, 1, &x);
}

/* ---- pad --------------------------------------------------------------------------------------------------------- */

typedef struct {
    gr_shape before, after; /* one number an axis */
    double value;
} pad_attr;
static const gr_field pad_fields[] = {
    GR_SHAPE_FIELD(pad_attr, before), GR_SHAPE_FIELD(pad_attr, after), GR_DOUBLE(pad_attr, value), {0}};

/* value in a dtype's bytes; false if it is not a number of that dtype. */
static bool value_bytes(gr_dtype dtype, double value, void *bytes)
{
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
    } u = {.i64 = 0};
    bool fits = true;
    if (dtype == GR_F32)
        u.f32 = (float)value;
    else if (dtype == GR_F64)
        u.f64 = value;
    else if (dtype == GR_I32 && (fits = value >= INT32_MIN && value <= INT32_MAX))
        u.i32 = (int32_t)value;
    else if (dtype == GR_I64 && (fits = value >= -0x1p63 && value < 0x1p63))
        u.i64 = (int64_t)value;
    else if ((dtype == GR_U8 || dtype == GR_BOOL) && (fits = value >= 0 && value <= (dtype == GR_U8 ? 255 : 1)))
        u.u8 = (uint8_t)value;
    memcpy(bytes, &u, sizeof u);
    return fits && (gr_dtype_is_float(dtype) || value == (double)(int64_t)value);
}

static gr_status infer_pad(gr_infer *f)
{
    const pad_attr *a = f->attr;
    const gr_shape s = f->shape[0];
    char buf[200];
    uint64_t bytes;
    if (!value_bytes(f->dtype[0], a->value, &bytes))
        return gr_infer_fail(
            f, GR_ERANGE, "value", "expected a number of %s, found %g", gr_dtype_name(f->dtype[0]), a->value);
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = s;
    for (int side = 0; side < 2; side++) {
        const gr_shape *part = side ? &a->after : &a->before;
        const char *name = side ? "after" : "before";
        if (part->rank != s.rank)
            return gr_infer_fail(f, GR_ESHAPE, name, "expected one number an axis, %lld, found %lld", (long long)s.rank,
                (long long)part->rank);
        for (int64_t i = 0; i < s.rank; i++) {
            if (gr_dim_is_batch(s.dim[i])
                    ? part->dim[i] != 0
                    : part->dim[i] < 0 || !gr__add(f->out_shape[0].dim[i], part->dim[i], &f->out_shape[0].dim[i]))
                return gr_infer_fail(f, GR_ESHAPE, name, "expected numbers >= 0 (0 on a batch axis) that fit, found %s",
                    text(*part, buf));
        }
    }
    return GR_OK;
}

static gr_status pad_eval(const gr_call *c)
{
    const pad_attr *a = c->attr;
    const gr_shape in = c->in[0].shape, out = c->out[0].shape;
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    int64_t stride[GR_MAX_RANK];
    uint64_t value;
    value_bytes(c->out[0].dtype, a->value, &value);
    gr__strides(in, stride);
    for (int64_t i = c->begin; i < c->end; i++) {
        int64_t rest = i, from = 0;
        bool inside = true;
        for (int64_t k = out.rank; k-- > 0; rest /= out.dim[k]) {
            int64_t j = rest % out.dim[k] - a->before.dim[k];
            inside = inside && j >= 0 && j < in.dim[k];
            from += j * stride[k];
        }
        memcpy((char *)c->out[0].data + i * size,
            inside ? (const char *)c->in[0].data + from * size : (const char *)&value, (size_t)size);
    }
    return GR_OK;
}

static void pad_vjp(gr_vjp *v)
{
    const pad_attr *a = v->attr;
    const gr_shape s = v->x[0]->shape;
    gr_slice_args args = {.x = v->dy[0], .start = a->before, .stop.rank = s.rank};
    for (int64_t i = 0; i < s.rank; i++)
        args.stop.dim[i] = gr_dim_is_batch(s.dim[i]) ? GR_REST : a->before.dim[i] + s.dim[i];
    v->dx[0] = gr_slice_at(GR_VJP_AT(v), &args);
}

#define PAD(BEFORE, AFTER, VALUE) (&(const pad_attr){GR_DIMS BEFORE, GR_DIMS AFTER, VALUE})
const gr_op gr_op_pad = {.abi = GR_ABI,
    .name = "pad",
    .doc = "a value around x",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = pad_fields,
    .attr_size = sizeof(pad_attr),
    .in_names = x_name,
    .infer = infer_pad,
    .eval_f32 = pad_eval,
    .eval_f64 = pad_eval,
    .vjp = pad_vjp,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(3, 2)}, .attr = PAD((1, 0), (0, 2), 0)},
        {-3, 3, {GR_DIMS(2, 3, 5)}, .attr = PAD((0, 1, 2), (3, 1, 0), -1.5)},
        {-3, 3, {GR_DIMS(0, 2)}, .attr = PAD((1, 1), (1, 1), 7)}, {-3, 3, {GR_DIMS(7)}, .attr = PAD((0), (0), 0)},
        {0, 9, {GR_DIMS(3)}, .dtype = {GR_U8}, .attr = PAD((2), (1), 255)})};

gr_tensor *gr_pad_at(gr_at at, const gr_pad_args *args)
{
    pad_attr a = {.before = args->before, .after = args->after, .value = args->value};
    if (!gr__is_bad(args->x)) {
        gr_shape *part[] = {&a.before, &a.after};
        for (int i = 0; i < 2; i++)
            for (; part[i]->rank >= 0 && part[i]->rank < args->x->shape.rank; part[i]->rank++)
                part[i]->dim[part[i]->rank] = 0;
    }
    return gr_apply_op_at(at, &gr_op_pad, &a, 1, (gr_tensor *[]){args->x});
}

/* ---- concatenate, stack, split ----------------------------------------------------------------------------------- */

typedef struct {
    int64_t axis;
} axis_attr;
static const gr_field axis_fields[] = {GR_INT64(axis_attr, axis), {0}};

static gr_status infer_concatenate(gr_infer *f)
{
    int64_t axis;
    char want[200], got[200], name[16];
    GR_TRY(gr__axis_of(f, ((const axis_attr *)f->attr)->axis, f->shape[0].rank, &axis));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = f->shape[0];
    int64_t *sum = &f->out_shape[0].dim[axis];
    bool batch = gr_dim_is_batch(*sum);
    *sum = batch ? gr_dim_times(*sum) : *sum;
    for (int i = 1; i < f->n_in; i++) {
        gr_shape s = f->shape[i], expected = f->shape[0];
        snprintf(name, sizeof name, "[%d]", i);
        if (f->dtype[i] != f->dtype[0])
            return gr_infer_fail(f, GR_EDTYPE, name, "expected %s, the dtype of the first, found %s",
                gr_dtype_name(f->dtype[0]), gr_dtype_name(f->dtype[i]));
        int64_t d = s.rank == expected.rank ? s.dim[axis] : 0;
        if (s.rank == expected.rank && gr_dim_is_batch(d) == batch)
            expected.dim[axis] = d;
        if (!gr_shape_equal(s, expected) || !gr__add(*sum, batch ? gr_dim_times(d) : d, sum) ||
            (batch && *sum > INT32_MAX))
            return gr_infer_fail(f, GR_ESHAPE, name, "expected the sizes of the first but for axis %lld, %s, found %s",
                (long long)axis, text(f->shape[0], want), text(s, got));
    }
    if (batch)
        *sum = gr_dim_batch(*sum);
    return GR_OK;
}

static gr_status concatenate_eval(const gr_call *c)
{
    const int64_t size = gr_dtype_size(c->out[0].dtype);
    int64_t axis, run[64], row = 0;
    gr_axis(((const axis_attr *)c->attr)->axis, c->out[0].shape.rank, &axis);
    for (int i = 0; i < c->n_in; i++) { /* elements of each input in one row, which is all from the axis on */
        run[i] = 1;
        for (int64_t k = axis; k < c->in[i].shape.rank; k++)
            run[i] *= c->in[i].shape.dim[k];
        row += run[i];
    }
    for (int64_t i = c->begin; i < c->end;) {
        int64_t outer = i / row, at = i % row;
        int part = 0;
        while (at >= run[part])
            at -= run[part++];
        int64_t n = run[part] - at < c->end - i ? run[part] - at : c->end - i;
        memcpy((char *)c->out[0].data + i * size, (const char *)c->in[part].data + (outer * run[part] + at) * size,
            (size_t)(n * size));
        i += n;
    }
    return GR_OK;
}

/* start .. start + n of an axis, counted in units of B if it is a batch axis: [kB] is [k, B] in the same order. */
static gr_tensor *units_of(gr_at at, gr_tensor *x, int64_t axis, int64_t start, int64_t n)
{
    if (gr__is_bad(x) || !gr_dim_is_batch(x->shape.dim[axis]))
        return part_of(at, x, axis, start, start + n);
    x = gr_split_dim_at(at, x, axis, GR_SHAPE(-1, GR_BATCH));
    return gr_merge_dims_at(at, part_of(at, x, axis, start, start + n), axis, axis + 1);
}

static void concatenate_vjp(gr_vjp *v)
{
    int64_t axis, start = 0;
    gr_axis(((const axis_attr *)v->attr)->axis, v->x[0]->shape.rank, &axis);
    for (int i = 0; i < v->n_in; i++) {
        int64_t d = v->x[i]->shape.dim[axis], n = gr_dim_is_batch(d) ? gr_dim_times(d) : d;
        v->dx[i] = units_of(GR_VJP_AT(v), v->dy[0], axis, start, n);
        start += n;
    }
}

#define AXIS(A) (&(const axis_attr){A})
const gr_op gr_op_concatenate = {.abi = GR_ABI,
    .name = "concatenate",
    .doc = "one after the other along an axis",
    .n_in = -1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = axis_fields,
    .attr_size = sizeof(axis_attr),
    .infer = infer_concatenate,
    .eval_f32 = concatenate_eval,
    .eval_f64 = concatenate_eval,
    .vjp = concatenate_vjp,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(2, 3), GR_DIMS(1, 3), GR_DIMS(5, 3)}, .attr = AXIS(0)},
        {-3, 3, {GR_DIMS(2, 3, 5), GR_DIMS(2, 7, 5)}, .attr = AXIS(1)},
        {-3, 3, {GR_DIMS(3, 1), GR_DIMS(3, 2)}, .attr = AXIS(-1)},
        {-3, 3, {GR_DIMS(0, 2), GR_DIMS(3, 2)}, .attr = AXIS(0)},
        {-3, 3, {GR_DIMS(0, 2), GR_DIMS(0, 3)}, .attr = AXIS(1)},
        {0, 9, {GR_DIMS(2), GR_DIMS(3)}, .dtype = {GR_I32, GR_I32}, .attr = AXIS(0)})};

gr_tensor *gr_concatenate_at(gr_at at, int n, gr_tensor *const *x, int64_t axis)
{
    int64_t k;
    if (n >= 1 && x && !gr__is_bad(x[0]) && gr_axis(axis, x[0]->shape.rank, &k))
        axis = k;
    if (n == 1 && x && !gr__is_bad(x[0]) && x[0]->shape.rank > 0 && axis >= 0 && axis < x[0]->shape.rank)
        return x[0];
    if (n < 1 || n > 64 || !x)
        return gr_op_fail(at, GR_EARG, "concatenate", "n", 0, NULL, "expected 1 .. 64 tensors, found %d", x ? n : 0);
    return gr_apply_op_at(at, &gr_op_concatenate, &(axis_attr){axis}, n, x);
}

gr_tensor *gr_stack_at(gr_at at, int n, gr_tensor *const *x, int64_t axis)
{
    gr_tensor *wide[64];
    int64_t k;
    char want[200], got[200], name[16];
    if (n < 1 || n > 64 || !x)
        return gr_op_fail(at, GR_EARG, "stack", "n", 0, NULL, "expected 1 .. 64 tensors, found %d", x ? n : 0);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "[%d]", i);
        if (!gr__given(at, "stack", name, x[i]))
            return GR_BAD;
        if (x[i]->dtype != x[0]->dtype || !gr_shape_equal(x[i]->shape, x[0]->shape))
            return gr_op_fail(at, GR_ESHAPE, "stack", name, n < 8 ? n : 8, x,
                "expected %s, the type of the first, found %s",
                gr_type_text(x[0]->dtype, x[0]->shape, want, sizeof want),
                gr_type_text(x[i]->dtype, x[i]->shape, got, sizeof got));
        if (x[0]->shape.rank == GR_MAX_RANK)
            return gr_op_fail(at, GR_ESHAPE, "stack", name, n < 8 ? n : 8, x, "expected rank at most 7, found 8");
        if (!gr_axis(axis, x[0]->shape.rank + 1, &k))
            return axis_fail(at, "stack", n, x, axis, x[0]->shape.rank + 1);
        wide[i] = gr_expand_dims_at(at, x[i], GR_SHAPE(k));
    }
    return gr_concatenate_at(at, n, wide, k);
}

/* Finds the axis of a split and its size in units (of B, on a batch axis); false after an error. */
static bool splittable(
    gr_at at, const char *op, gr_tensor *x, int n, int64_t axis, gr_tensor **out, int64_t *k, int64_t *units)
{
    for (int i = 0; i < n && out; i++)
        out[i] = GR_BAD;
    if (!gr__given(at, op, "x", x))
        return false;
    if (n < 1 || !out) {
        gr_op_fail(
            at, GR_EARG, op, out ? "n" : "out", 1, &x, "expected room for 1 or more tensors, found %d", out ? n : 0);
        return false;
    }
    if (!gr_axis(axis, x->shape.rank, k)) {
        axis_fail(at, op, 1, &x, axis, x->shape.rank);
        return false;
    }
    const int64_t d = x->shape.dim[*k];
    *units = gr_dim_is_batch(d) ? gr_dim_times(d) : d;
    return true;
}

gr_status gr_split_at(gr_at at, gr_tensor *x, int n, int64_t axis, gr_tensor **out)
{
    int64_t k, units;
    if (!splittable(at, "split", x, n, axis, out, &k, &units))
        return gr_status_of(GR_BAD);
    if (units % n)
        return gr_status_of(gr_op_fail(at, GR_ESHAPE, "split", "n", 1, &x, "expected a divisor of %lld%s, found %d",
            (long long)units, gr_dim_is_batch(x->shape.dim[k]) ? "B" : "", n));
    for (int i = 0; i < n; i++)
        out[i] = units_of(at, x, k, units / n * i, units / n);
    return gr_status_of(out[n - 1]);
}

gr_status gr_split_sizes_at(gr_at at, gr_tensor *x, int n, const int64_t *sizes, int64_t axis, gr_tensor **out)
{
    int64_t k, units, sum = 0;
    if (!splittable(at, "split_sizes", x, n, axis, out, &k, &units))
        return gr_status_of(GR_BAD);
    bool good = sizes != NULL;
    for (int i = 0; i < n && good; i++)
        good = sizes[i] >= 0 && gr__add(sum, sizes[i], &sum);
    if (!good || sum != units)
        return gr_status_of(gr_op_fail(at, GR_ESHAPE, "split_sizes", "sizes", 1, &x,
            "expected sizes >= 0 that add up to %lld%s, found %lld", (long long)units,
            gr_dim_is_batch(x->shape.dim[k]) ? "B" : "", (long long)sum));
    sum = 0;
    for (int i = 0; i < n; sum += sizes[i++])
        out[i] = units_of(at, x, k, sum, sizes[i]);
    return gr_status_of(out[n - 1]);
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_flip)(gr_tensor *x, int64_t axis)
{
    return gr_flip_at(NOWHERE, x, axis);
}
gr_tensor *(gr_slice)(gr_tensor *x, gr_shape start, gr_shape stop)
{
    return gr_slice_at(NOWHERE, &(gr_slice_args){.x = x, .start = start, .stop = stop});
}
gr_tensor *(gr_pad)(gr_tensor *x, gr_shape before, gr_shape after)
{
    return gr_pad_at(NOWHERE, &(gr_pad_args){.x = x, .before = before, .after = after});
}
gr_tensor *(gr_concatenate)(int n, gr_tensor *const *x, int64_t axis)
{
    return gr_concatenate_at(NOWHERE, n, x, axis);
}
gr_tensor *(gr_stack)(int n, gr_tensor *const *x, int64_t axis)
{
    return gr_stack_at(NOWHERE, n, x, axis);
}
gr_status(gr_split)(gr_tensor *x, int n, int64_t axis, gr_tensor **out)
{
    return gr_split_at(NOWHERE, x, n, axis, out);
}
gr_status(gr_split_sizes)(gr_tensor *x, int n, const int64_t *sizes, int64_t axis, gr_tensor **out)
{
    return gr_split_sizes_at(NOWHERE, x, n, sizes, axis, out);
}
