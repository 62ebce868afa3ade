/* ops/shape_ops.c: reshape, transpose, broadcast_to, and what is made of them. Slices and joins: slice_ops.c. */
#include "ops/shape_ops.h"
#include "ops/elementwise.h"
#include "ops/ops_impl.h"
#include <string.h>

typedef struct {
    gr_shape shape;
} shape_attr;
static const gr_field shape_fields[] = {GR_SHAPE_FIELD(shape_attr, shape), {0}};
typedef struct {
    gr_shape axes; /* none: reversed */
} axes_attr;
static const gr_field axes_fields[] = {GR_SHAPE_FIELD(axes_attr, axes, .doc = "none: reversed"), {0}};
static const char *const x_name[] = {"x"};

/* "[2, 3]" for a message, also of what is no shape. */
static const char *text(gr_shape s, char buf[200])
{
    return gr__rank_ok(s) ? gr_shape_text(s, buf, 200) : "a rank above 8";
}

/* ---- reshape ----------------------------------------------------------------------------------------------------- */

/* Elements of all axes but one, as n * B^power; false on overflow or for a size that is none. */
static bool count(gr_shape s, int64_t but, int64_t *n, int *power)
{
    *n = 1;
    *power = 0;
    for (int64_t i = 0; i < s.rank; i++) {
        int64_t d = s.dim[i];
        if (i == but)
            continue;
        if (gr_dim_is_batch(d)) {
            d = gr_dim_times(d);
            (*power)++;
        }
        if (d < 0 || !gr__mul(*n, d, n))
            return false;
    }
    return true;
}

static gr_status infer_reshape(gr_infer *f)
{
    const shape_attr *a = f->attr;
    gr_shape s = a->shape;
    char buf[200];
    int64_t have, want, hole = -1;
    int have_power, want_power;
    if (!gr__rank_ok(s))
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected rank 0 .. 8, found %lld", (long long)s.rank);
    for (int64_t i = 0; i < s.rank; i++) {
        if (s.dim[i] == -1 && hole >= 0)
            return gr_infer_fail(f, GR_ESHAPE, "shape", "expected at most one -1, found %s", text(s, buf));
        if (s.dim[i] == -1)
            hole = i;
    }
    if (!count(s, hole, &want, &want_power) || !count(f->shape[0], -1, &have, &have_power))
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected sizes >= 0 (and one -1), found %s", text(s, buf));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = s;
    const char *times_b = have_power == 1 ? "B" : have_power > 1 ? "B*B.." : "";
    if (hole < 0) {
        if (have == want && (have == 0 || have_power == want_power))
            return GR_OK;
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected a shape of %lld%s elements, found %s", (long long)have,
            times_b, text(s, buf));
    }
    int power = have_power - want_power;
    if (want == 0 || have % want || power < 0 || power > 1 ||
        have / want > INT32_MAX * (power ? INT64_C(1) : INT64_MAX / INT32_MAX))
        return gr_infer_fail(f, GR_ESHAPE, "shape", "expected sizes that divide %lld%s elements, found %s",
            (long long)have, times_b, text(s, buf));
    f->out_shape[0].dim[hole] = power && have ? gr_dim_batch(have / want) : have / want; /* 0 B is 0 */
    return GR_OK;
}

static gr_status copy_eval(const gr_call *c)
{
    int64_t size = gr_dtype_size(c->out[0].dtype);
    memcpy((char *)c->out[0].data + c->begin * size, (const char *)c->in[0].data + c->begin * size,
        (size_t)((c->end - c->begin) * size));
    return GR_OK;
}

static void reshape_vjp(gr_vjp *v)
{
    v->dx[0] = gr__reshaped(GR_VJP_AT(v), v->dy[0], v->x[0]->shape);
}

static void alias_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_ALIAS;
}

#define SHAPE(...) (&(const shape_attr){GR_DIMS(__VA_ARGS__)})
const gr_op gr_op_reshape = {.abi = GR_ABI,
    .name = "reshape",
    .doc = "the same elements in another shape",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = shape_fields,
    .attr_size = sizeof(shape_attr),
    .in_names = x_name,
    .infer = infer_reshape,
    .eval_f32 = copy_eval,
    .eval_f64 = copy_eval,
    .vjp = reshape_vjp,
    .lower = alias_lower,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3)}, .attr = SHAPE(2, -1)},
        {-3, 3, {GR_DIMS(2, 3, 5)}, .attr = SHAPE(5, 6)},
        {-3, 3, {GR_DIMS(1, 1)}, .attr = &(const shape_attr){{0, {0}}}},
        {-3, 3, {GR_DIMS(0, 3)}, .attr = SHAPE(3, 5, 0)}, {0, 9, {GR_DIMS(7)}, .dtype = {GR_U8}, .attr = SHAPE(7, 1)})};

gr_tensor *gr__reshaped(gr_at at, gr_tensor *x, gr_shape shape)
{
    if (!gr__is_bad(x) && gr_shape_equal(x->shape, shape))
        return x;
    return gr_apply_op_at(at, &gr_op_reshape, &(shape_attr){shape}, 1, &x);
}

gr_tensor *gr_reshape_at(gr_at at, gr_tensor *x, gr_shape shape)
{
    return gr__reshaped(at, x, shape);
}

gr_tensor *gr_reshape_like_at(gr_at at, gr_tensor *x, gr_tensor *like)
{
    if (!gr__given(at, "reshape_like", "x", x) || !gr__given(at, "reshape_like", "like", like))
        return GR_BAD;
    return gr__reshaped(at, x, like->shape);
}

/* ---- views through reshape: checks of their own, so that a message names what was called ------------------------- */

static gr_tensor *axis_fail(gr_at at, const char *op, const char *argument, gr_tensor *x, int64_t axis, int64_t rank)
{
    return gr_op_fail(at, GR_ESHAPE, op, argument, 1, &x, "expected %lld .. %lld, found %lld", -(long long)rank,
        (long long)rank - 1, (long long)axis);
}

static gr_tensor *axes_fail(gr_at at, const char *op, gr_tensor *x, gr_shape axes, int64_t rank)
{
    char buf[200];
    return gr_op_fail(at, GR_ESHAPE, op, "axes", 1, &x, "expected different axes in %lld .. %lld, found %s",
        -(long long)rank, (long long)rank - 1, text(axes, buf));
}

gr_tensor *gr_merge_dims_at(gr_at at, gr_tensor *x, int64_t first, int64_t last)
{
    int64_t from, to;
    if (!gr__given(at, "merge_dims", "x", x))
        return GR_BAD;
    if (!gr_axis(first, x->shape.rank, &from))
        return axis_fail(at, "merge_dims", "first", x, first, x->shape.rank);
    if (!gr_axis(last, x->shape.rank, &to))
        return axis_fail(at, "merge_dims", "last", x, last, x->shape.rank);
    gr_shape part = {.rank = to - from + 1}, s = {.rank = x->shape.rank - (to - from)};
    int64_t n;
    bool per_batch;
    if (to >= from)
        memcpy(part.dim, x->shape.dim + from, (size_t)part.rank * sizeof *part.dim);
    if (to < from || !gr_shape_count(part, &n, &per_batch))
        return gr_op_fail(at, GR_ESHAPE, "merge_dims", "last", 1, &x,
            "expected an axis not before %lld, at most one batch axis between, found %lld", (long long)first,
            (long long)last);
    for (int64_t i = 0, k = 0; i < x->shape.rank; i++)
        if (i <= from || i > to)
            s.dim[k++] = x->shape.dim[i];
    s.dim[from] = per_batch && n ? gr_dim_batch(n) : n;
    return gr__reshaped(at, x, s);
}

gr_tensor *gr_split_dim_at(gr_at at, gr_tensor *x, int64_t axis, gr_shape sizes)
{
    int64_t a, n = 1, hole = -1;
    int power = 0;
    char buf[200];
    if (!gr__given(at, "split_dim", "x", x))
        return GR_BAD;
    const gr_shape old = x->shape;
    if (!gr_axis(axis, old.rank, &a))
        return axis_fail(at, "split_dim", "axis", x, axis, old.rank);
    if (sizes.rank < 1 || old.rank - 1 + sizes.rank > GR_MAX_RANK)
        return gr_op_fail(at, GR_ESHAPE, "split_dim", "sizes", 1, &x, "expected 1 .. %lld sizes, found %lld",
            (long long)(GR_MAX_RANK + 1 - old.rank), (long long)sizes.rank);
    int holes = 0;
    for (int64_t i = 0; i < sizes.rank; i++)
        if (sizes.dim[i] == -1) {
            hole = i;
            holes++;
        }
    bool batch = gr_dim_is_batch(old.dim[a]);
    int64_t have = batch ? gr_dim_times(old.dim[a]) : old.dim[a];
    bool good = holes <= 1 && count(sizes, hole, &n, &power) && power <= (int)batch;
    good = good && (hole < 0 ? n == have && power == (int)batch : n > 0 && have % n == 0);
    if (!good)
        return gr_op_fail(at, GR_ESHAPE, "split_dim", "sizes", 1, &x,
            "expected sizes (one may be -1) whose product is %lld%s, found %s", (long long)have, batch ? "B" : "",
            text(sizes, buf));
    gr_shape s = {.rank = old.rank - 1 + sizes.rank};
    memcpy(s.dim, old.dim, (size_t)a * sizeof *s.dim);
    memcpy(s.dim + a, sizes.dim, (size_t)sizes.rank * sizeof *s.dim);
    memcpy(s.dim + a + sizes.rank, old.dim + a + 1, (size_t)(old.rank - a - 1) * sizeof *s.dim);
    if (hole >= 0)
        s.dim[a + hole] = batch && power == 0 ? gr_dim_batch(have / n) : have / n;
    return gr__reshaped(at, x, s);
}

gr_tensor *gr_expand_dims_at(gr_at at, gr_tensor *x, gr_shape axes)
{
    bool mask[GR_MAX_RANK];
    if (!gr__given(at, "expand_dims", "x", x))
        return GR_BAD;
    gr_shape s = {.rank = x->shape.rank + axes.rank};
    if (axes.rank < 1 || s.rank > GR_MAX_RANK)
        return gr_op_fail(at, GR_ESHAPE, "expand_dims", "axes", 1, &x, "expected 1 .. %lld axes, found %lld",
            (long long)(GR_MAX_RANK - x->shape.rank), (long long)axes.rank);
    if (!gr__axes(axes, s.rank, mask))
        return axes_fail(at, "expand_dims", x, axes, s.rank);
    for (int64_t i = 0, k = 0; i < s.rank; i++)
        s.dim[i] = mask[i] ? 1 : x->shape.dim[k++];
    return gr__reshaped(at, x, s);
}

gr_tensor *gr_squeeze_at(gr_at at, gr_tensor *x, gr_shape axes)
{
    bool mask[GR_MAX_RANK];
    if (!gr__given(at, "squeeze", "x", x))
        return GR_BAD;
    const gr_shape s = x->shape;
    if (!gr__axes(axes, s.rank, mask))
        return axes_fail(at, "squeeze", x, axes, s.rank);
    for (int64_t i = 0; i < s.rank; i++) {
        if (axes.rank == 0)
            mask[i] = s.dim[i] == 1;
        else if (mask[i] && s.dim[i] != 1)
            return gr_op_fail(
                at, GR_ESHAPE, "squeeze", "axes", 1, &x, "expected axes of size 1, found axis %lld", (long long)i);
    }
    return gr__reshaped(at, x, gr__reduced_shape(s, mask, false));
}

/* ---- transpose --------------------------------------------------------------------------------------------------- */

/* Axis i of the result is axis perm[i] of x. */
static bool permutation(gr_shape axes, int64_t rank, int64_t *perm)
{
    bool mask[GR_MAX_RANK];
    if (axes.rank == 0) {
        for (int64_t i = 0; i < rank; i++)
            perm[i] = rank - 1 - i;
        return true;
    }
    if (axes.rank != rank || !gr__axes(axes, rank, mask))
        return false;
    for (int64_t i = 0; i < rank; i++)
        gr_axis(axes.dim[i], rank, &perm[i]);
    return true;
}

static gr_status infer_transpose(gr_infer *f)
{
    const axes_attr *a = f->attr;
    int64_t perm[GR_MAX_RANK], rank = f->shape[0].rank;
    char buf[200];
    if (!permutation(a->axes, rank, perm))
        return gr_infer_fail(
            f, GR_ESHAPE, "axes", "expected each of the %lld axes once, found %s", (long long)rank, text(a->axes, buf));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0].rank = rank;
    for (int64_t i = 0; i < rank; i++)
        f->out_shape[0].dim[i] = f->shape[0].dim[perm[i]];
    return GR_OK;
}

static void transpose_strides(const axes_attr *a, gr_shape in, int64_t *stride)
{
    int64_t perm[GR_MAX_RANK], of_in[GR_MAX_RANK];
    permutation(a->axes, in.rank, perm);
    gr__strides(in, of_in);
    for (int64_t i = 0; i < in.rank; i++)
        stride[i] = of_in[perm[i]];
}

static gr_status transpose_eval(const gr_call *c)
{
    int64_t stride[GR_MAX_RANK];
    transpose_strides(c->attr, c->in[0].shape, stride);
    gr__view_copy(c, 0, stride);
    return GR_OK;
}

static void transpose_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_VIEW;
    transpose_strides(l->attr, l->shape[0], l->stride);
}

static void transpose_vjp(gr_vjp *v)
{
    const axes_attr *a = v->attr;
    int64_t perm[GR_MAX_RANK];
    gr_shape back = {.rank = a->axes.rank};
    permutation(a->axes, v->x[0]->shape.rank, perm);
    for (int64_t i = 0; i < back.rank; i++)
        back.dim[perm[i]] = i;
    v->dx[0] = gr_transpose_at(GR_VJP_AT(v), v->dy[0], back);
}

#define ORDER(...) (&(const axes_attr){GR_DIMS(__VA_ARGS__)})
const gr_op gr_op_transpose = {.abi = GR_ABI,
    .name = "transpose",
    .doc = "axes in another order",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = axes_fields,
    .attr_size = sizeof(axes_attr),
    .in_names = x_name,
    .infer = infer_transpose,
    .eval_f32 = transpose_eval,
    .eval_f64 = transpose_eval,
    .vjp = transpose_vjp,
    .lower = transpose_lower,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3)}, .attr = ORDER(1, 0)},
        {-3, 3, {GR_DIMS(2, 3, 5)}, .attr = ORDER(2, 0, 1)}, {-3, 3, {GR_DIMS(2, 1, 3, 2)}, .attr = ORDER(0, 2, 1, 3)},
        {-3, 3, {GR_DIMS(3, 0, 2)}, .attr = ORDER(1, 2, 0)}, {-3, 3, {{0, {0}}}, .attr = &(const axes_attr){{0, {0}}}},
        {0, 9, {GR_DIMS(3, 2)}, .dtype = {GR_I64}, .attr = ORDER(-1, 0)})};

gr_tensor *gr_transpose_at(gr_at at, gr_tensor *x, gr_shape axes)
{
    int64_t perm[GR_MAX_RANK];
    bool as_it_is = true;
    if (!gr__is_bad(x) && permutation(axes, x->shape.rank, perm)) { /* equal wishes are one node */
        axes.rank = x->shape.rank;
        for (int64_t i = 0; i < axes.rank; i++) {
            axes.dim[i] = perm[i];
            as_it_is = as_it_is && perm[i] == i;
        }
        if (as_it_is)
            return x;
    }
    return gr_apply_op_at(at, &gr_op_transpose, &(axes_attr){axes}, 1, &x);
}

/* ---- broadcast_to ------------------------------------------------------------------------------------------------ */

static gr_status infer_broadcast(gr_infer *f)
{
    const shape_attr *a = f->attr;
    gr_shape both;
    char buf[200];
    if (!gr__rank_ok(a->shape) || !gr_shape_broadcast(f->shape[0], a->shape, &both) || !gr_shape_equal(both, a->shape))
        return gr_infer_fail(f, GR_ESHAPE, "shape",
            "expected x's sizes where those are not 1, and axes added in front, found %s", text(a->shape, buf));
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = a->shape;
    return GR_OK;
}

static void broadcast_strides(gr_shape in, gr_shape out, int64_t *stride)
{
    int64_t of_in[GR_MAX_RANK], lead = out.rank - in.rank;
    gr__strides(in, of_in);
    for (int64_t i = 0; i < out.rank; i++)
        stride[i] = i < lead || in.dim[i - lead] == 1 ? 0 : of_in[i - lead];
}

static gr_status broadcast_eval(const gr_call *c)
{
    int64_t stride[GR_MAX_RANK];
    broadcast_strides(c->in[0].shape, c->out[0].shape, stride);
    gr__view_copy(c, 0, stride);
    return GR_OK;
}

static void broadcast_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_VIEW;
    broadcast_strides(l->shape[0], l->out_shape, l->stride);
}

static void broadcast_vjp(gr_vjp *v)
{
    v->dx[0] = gr__unbroadcast(v->dy[0], v->x[0]);
}

const gr_op gr_op_broadcast_to = {.abi = GR_ABI,
    .name = "broadcast_to",
    .doc = "repeated along axes of size 1 and new ones",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_RANGED,
    .attrs = shape_fields,
    .attr_size = sizeof(shape_attr),
    .in_names = x_name,
    .infer = infer_broadcast,
    .eval_f32 = broadcast_eval,
    .eval_f64 = broadcast_eval,
    .vjp = broadcast_vjp,
    .lower = broadcast_lower,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(1, 3)}, .attr = SHAPE(4, 3)}, {-3, 3, {GR_DIMS(5)}, .attr = SHAPE(2, 3, 5)},
        {-3, 3, {GR_DIMS(2, 1, 3)}, .attr = SHAPE(2, 5, 3)}, {-3, 3, {{0, {0}}}, .attr = SHAPE(7)},
        {-3, 3, {GR_DIMS(1)}, .attr = SHAPE(0)}, {0, 1, {GR_DIMS(3, 1)}, .dtype = {GR_BOOL}, .attr = SHAPE(3, 2)})};

gr_tensor *gr_broadcast_to_at(gr_at at, gr_tensor *x, gr_shape shape)
{
    if (!gr__is_bad(x) && gr_shape_equal(x->shape, shape))
        return x;
    return gr_apply_op_at(at, &gr_op_broadcast_to, &(shape_attr){shape}, 1, &x);
}

gr_tensor *gr_tile_at(gr_at at, gr_tensor *x, gr_shape repeats)
{
    char buf[200];
    if (!gr__given(at, "tile", "x", x))
        return GR_BAD;
    bool good = repeats.rank < GR_MAX_RANK && x->shape.rank < GR_MAX_RANK && gr__rank_ok(repeats);
    for (int64_t i = 0; good && i < repeats.rank; i++)
        good = repeats.dim[i] >= 0;
    if (!good)
        return gr_op_fail(at, GR_ESHAPE, "tile", "repeats", 1, &x,
            "expected numbers >= 0 for the last axes of x, and rank at most 7 of both, found %s", text(repeats, buf));
    gr_shape full = x->shape; /* NumPy: the shorter of the two gets ones in front */
    for (; full.rank < repeats.rank; full.rank++) {
        memmove(full.dim + 1, full.dim, (size_t)full.rank * sizeof *full.dim);
        full.dim[0] = 1;
    }
    const int64_t lead = full.rank - repeats.rank;
    x = gr__reshaped(at, x, full);
    for (int64_t i = lead; i < full.rank && !gr__is_bad(x); i++) {
        const int64_t times = repeats.dim[i - lead];
        if (times == 1)
            continue;
        gr_shape wide = {.rank = x->shape.rank + 1}; /* [.., times, size, ..] */
        for (int64_t k = 0; k < wide.rank; k++)
            wide.dim[k] = k < i ? x->shape.dim[k] : k == i ? 1 : x->shape.dim[k - 1];
        x = gr__reshaped(at, x, wide);
        wide.dim[i] = times;
        x = gr_merge_dims_at(at, gr_broadcast_to_at(at, x, wide), i, i + 1);
    }
    return x;
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

#define NOWHERE ((gr_at){0})
gr_tensor *(gr_reshape)(gr_tensor *x, gr_shape shape)
{
    return gr_reshape_at(NOWHERE, x, shape);
}
gr_tensor *(gr_reshape_like)(gr_tensor *x, gr_tensor *like)
{
    return gr_reshape_like_at(NOWHERE, x, like);
}
gr_tensor *(gr_merge_dims)(gr_tensor *x, int64_t first, int64_t last)
{
    return gr_merge_dims_at(NOWHERE, x, first, last);
}
gr_tensor *(gr_split_dim)(gr_tensor *x, int64_t axis, gr_shape sizes)
{
    return gr_split_dim_at(NOWHERE, x, axis, sizes);
}
gr_tensor *(gr_expand_dims)(gr_tensor *x, gr_shape axes)
{
    return gr_expand_dims_at(NOWHERE, x, axes);
}
gr_tensor *(gr_squeeze)(gr_tensor *x, gr_shape axes)
{
    return gr_squeeze_at(NOWHERE, x, axes);
}
gr_tensor *(gr_transpose)(gr_tensor *x, gr_shape axes)
{
    return gr_transpose_at(NOWHERE, x, axes);
}
gr_tensor *(gr_broadcast_to)(gr_tensor *x, gr_shape shape)
{
    return gr_broadcast_to_at(NOWHERE, x, shape);
}
