/* gr_cast: the one op that changes a dtype. */
#include "ops/elementwise_impl.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct {
    gr_dtype dtype;
} cast_attr;

/* ---- conversions of one element ---------------------------------------------------------------------------------- */

/* Towards 0, held within lo .. hi (both exact in double, or the next number beyond the range); a NaN gives 0. */
static int64_t whole(double x, double lo, int64_t least, double hi, int64_t most)
{
    if (x != x)
        return 0;
    return x <= lo ? least : x >= hi ? most : (int64_t)x;
}

#define FROM_WHOLE(T, x) ((T)(x))
#define FLOAT_TO_float(x)   ((float)(x))
#define FLOAT_TO_double(x)  ((double)(x))
#define FLOAT_TO_int32_t(x) ((int32_t)whole(x, INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX))
#define FLOAT_TO_int64_t(x) whole(x, -0x1p63, INT64_MIN, 0x1p63, INT64_MAX)
#define FLOAT_TO_uint8_t(x) ((uint8_t)whole(x, 0, 0, UINT8_MAX, UINT8_MAX))

#define LOOP(S, T, value)                                                     \
    static void S##_##T(int64_t n, const void *from, void *to)                \
    {                                                                         \
        const S *x = from;                                                    \
        T *y = to;                                                            \
        for (int64_t i = 0; i < n; i++)                                       \
            y[i] = value;                                                     \
    }
#define LOOPS_FROM_FLOAT(S)              \
    LOOP(S, float, FLOAT_TO_float(x[i])) \
    LOOP(S, double, FLOAT_TO_double(x[i])) \
    LOOP(S, int32_t, FLOAT_TO_int32_t(x[i])) \
    LOOP(S, int64_t, FLOAT_TO_int64_t(x[i])) \
    LOOP(S, uint8_t, FLOAT_TO_uint8_t(x[i])) \
    LOOP(S, bool, x[i] != 0)
#define LOOPS_FROM_WHOLE(S)      \
    LOOP(S, float, (float)x[i])  \
    LOOP(S, double, (double)x[i]) \
    LOOP(S, int32_t, (int32_t)x[i]) \
    LOOP(S, int64_t, (int64_t)x[i]) \
    LOOP(S, uint8_t, (uint8_t)x[i]) \
    LOOP(S, bool, x[i] != 0)
LOOPS_FROM_FLOAT(float)
LOOPS_FROM_FLOAT(double)
LOOPS_FROM_WHOLE(int32_t)
LOOPS_FROM_WHOLE(int64_t)
LOOPS_FROM_WHOLE(uint8_t)

#define ROW(S) {NULL, S##_float, S##_double, S##_int32_t, S##_int64_t, S##_uint8_t, S##_bool}
static void (*const loop[GR_DTYPE_COUNT][GR_DTYPE_COUNT])(int64_t n, const void *from, void *to) = {
    [GR_F32] = ROW(float),
    [GR_F64] = ROW(double),
    [GR_I32] = ROW(int32_t),
    [GR_I64] = ROW(int64_t),
    [GR_U8] = ROW(uint8_t),
    [GR_BOOL] = ROW(uint8_t),
};

/* ---- the op ------------------------------------------------------------------------------------------------------ */

static gr_status cast_infer(gr_infer *f)
{
    f->out_dtype[0] = ((const cast_attr *)f->attr)->dtype;
    f->out_shape[0] = f->shape[0];
    return GR_OK;
}

static gr_status cast_eval(const gr_call *c)
{
    loop[c->in[0].dtype][c->out[0].dtype](gr_shape_size(c->out[0].shape), c->in[0].data, c->out[0].data);
    return GR_OK;
}

/* To floats and bool, from anything: a tile's loads convert. To integers it is left to eval. */
static void cast_lower(gr_lowering *l)
{
    const gr_dtype from = l->dtype[0], to = l->out_dtype;
    const bool f64 = from == GR_F64 || to == GR_F64;
    if (!gr_dtype_is_float(to) && to != GR_BOOL)
        return;
    const int row = to == GR_BOOL ? GR__TILE_copy_bool : to == GR_F32 && f64 ? GR__TILE_copy_single : GR__TILE_copy;
    l->kind = GR_LOWER_TILE;
    l->tile = f64 ? gr__tile_f64(row) : gr__tile_f32(row);
}

static void cast_vjp(gr_vjp *v)
{
    const gr_dtype t = gr_dtype_of(v->x[0]);
    if (gr_dtype_is_float(t))
        v->dx[0] = gr_cast(v->dy[0], t);
}

static const char *const cast_names[] = {"x"};
static const gr_field cast_fields[] = {GR_DTYPE_FIELD(cast_attr, dtype, .required = true), {0}};
static const cast_attr to_f64 = {GR_F64}, to_f32 = {GR_F32};

const gr_op gr_op_cast = {.abi = GR_ABI,
    .name = "cast",
    .doc = "the same values in another dtype",
    .n_in = 1,
    .n_out = 1,
    .traits = GR_ELEMENTWISE,
    .attrs = cast_fields,
    .attr_size = sizeof(cast_attr),
    .in_names = cast_names,
    .infer = cast_infer,
    .eval_f32 = cast_eval,
    .eval_f64 = cast_eval,
    .lower = cast_lower,
    .vjp = cast_vjp,
    .samples = GR_SAMPLES({-3, 3, {GR_DIMS(4, 3)}, .attr = &to_f64}, {-3, 3, {{0, {0}}}, .attr = &to_f64},
        {-3, 3, {GR_DIMS(0, 5)}, .attr = &to_f64}, {-3, 3, {GR_DIMS(17)}, {GR_I32}, .attr = &to_f32},
        {0, 1, {GR_DIMS(17)}, {GR_BOOL}, .attr = &to_f32})};

gr_tensor *gr_cast_at(gr_at at, gr_tensor *x, gr_dtype dtype)
{
    if (dtype <= GR_DTYPE_NONE || dtype >= GR_DTYPE_COUNT)
        return gr_op_fail(at, GR_EDTYPE, "cast", "dtype", 1, &x, "expected a dtype, found %d", (int)dtype);
    if (gr_dtype_of(x) == dtype)
        return x;
    return gr_apply_op_at(at, &gr_op_cast, &(cast_attr){dtype}, 1, &x);
}
gr_tensor *(gr_cast)(gr_tensor *x, gr_dtype dtype)
{
    return gr_cast_at((gr_at){0}, x, dtype);
}
