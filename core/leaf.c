/* core/leaf.c: the nodes every pass knows: input, constant, variable, parameter of a region, assign, assign_if. */
#include "core/node.h"
#include "core/size.h"
#include <string.h>

static gr_status infer_leaf(gr_infer *f)
{
    return gr_infer_fail(f, GR_EARG, "op", "expected its own function, since a leaf is not applied");
}

const gr_op gr_op_input = {.abi = GR_ABI,
    .name = "input",
    .doc = "a value given when the graph is run",
    .traits = GR_LEAF,
    .infer = infer_leaf};
const gr_op gr_op_constant = {
    .abi = GR_ABI, .name = "constant", .doc = "a fixed value", .traits = GR_LEAF | GR_NO_GRADIENT, .infer = infer_leaf};
const gr_op gr_op_variable = {.abi = GR_ABI,
    .name = "variable",
    .doc = "a variable's value when the step starts",
    .traits = GR_LEAF,
    .infer = infer_leaf};
const gr_op gr_op_param = {
    .abi = GR_ABI, .name = "param", .doc = "a parameter of a region", .traits = GR_LEAF, .infer = infer_leaf};

static gr_tensor *leaf(gr_tape *t, gr_at at, const gr_op *op, gr_dtype dtype, gr_shape shape, const char *name,
    gr_variable *v, const void *data)
{
    gr_tensor out = {.dtype = dtype, .shape = shape};
    gr__node like = {.op = op,
        .n_out = 1,
        .out = &out,
        .scope = t->scope,
        .at = at,
        .phase = t->phase,
        .origin = t->origin,
        .variable = v,
        .name = name,
        .data = data};
    return gr__node_build(t, &like, 0, NULL);
}

gr_tensor *gr_input_at(gr_at at, gr_tape *t, gr_dtype dtype, gr_shape shape, const char *name)
{
    char text[200];
    gr_shape probe;
    if (!t)
        return gr_op_fail(at, GR_EARG, "input", "tape", 0, NULL, "expected a tape, found NULL");
    bool good = shape.rank >= 0 && shape.rank <= GR_MAX_RANK && gr_dtype_size(dtype) > 0 &&
                gr_shape_bind(shape, 1, &probe) && gr_shape_size(probe) >= 0;
    if (!good)
        return gr_op_fail(at, GR_ESHAPE, "input", "shape", 0, NULL,
            "expected a dtype and sizes >= 0 (or GR_BATCH) that fit in memory, found %s",
            shape.rank >= 0 && shape.rank <= GR_MAX_RANK ? gr_type_text(dtype, shape, text, sizeof text)
                                                         : "a bad rank");
    return leaf(t, at, &gr_op_input, dtype, shape, name ? name : "input", NULL, NULL);
}

gr_tensor *gr__constant_bytes(gr_at at, gr_tape *t, gr_dtype dtype, gr_shape shape, const void *data)
{
    return leaf(t, at, &gr_op_constant, dtype, shape, NULL, NULL, data);
}

gr_tensor *gr_constant_at(gr_at at, gr_tape *t, const gr_array *value)
{
    if (!t || !value)
        return gr_op_fail(
            at, GR_EARG, "constant", t ? "value" : "tape", 0, NULL, "expected a tape and an array, found NULL");
    gr_array *copy = gr_array_is_contiguous(value) ? NULL : gr_array_copy(value);
    if (!gr_array_is_contiguous(value) && !copy)
        return GR_BAD;
    gr_tensor *x =
        gr__constant_bytes(at, t, gr_array_dtype(value), gr_array_shape(value), gr_array_data(copy ? copy : value));
    gr_array_free(copy);
    return x;
}

gr_tensor *gr_number_at(gr_at at, gr_tape *t, gr_dtype dtype, double c)
{
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
    } bits = {.i64 = 0};
    bool fits = true;
    switch (dtype) {
    case GR_F32:
        bits.f32 = (float)c;
        break;
    case GR_F64:
        bits.f64 = c;
        break;
    case GR_I32:
        fits = c >= INT32_MIN && c <= INT32_MAX && c == (double)(int32_t)c;
        bits.i32 = fits ? (int32_t)c : 0;
        break;
    case GR_I64:
        fits = c >= -0x1p63 && c < 0x1p63 && c == (double)(int64_t)c;
        bits.i64 = fits ? (int64_t)c : 0;
        break;
    case GR_U8:
    case GR_BOOL:
        fits = c >= 0 && c <= (dtype == GR_BOOL ? 1 : 255) && c == (double)(uint8_t)c;
        bits.u8 = fits ? (uint8_t)c : 0;
        break;
    default:
        fits = false;
    }
    if (!t || !fits)
        return gr_op_fail(at, t ? GR_ERANGE : GR_EARG, "scalar", t ? "c" : "tape", 0, NULL,
            "expected a number that %s holds exactly, found %g", gr_dtype_name(dtype), c);
    return gr__constant_bytes(at, t, dtype, GR_RANK0, &bits);
}

gr_tensor *gr_scalar_at(gr_at at, gr_tensor *x, double c)
{
    if (!x)
        return gr_op_fail(at, GR_EARG, "scalar", "x", 0, NULL, "expected a tensor, found NULL");
    return gr__is_bad(x) ? GR_BAD : gr_number_at(at, x->node->tape, x->dtype, c);
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

static gr_tensor **state_of(gr_tape *t, gr_variable *v)
{
    for (int64_t i = 0; i < t->n_state; i++)
        if (t->state[i].variable == v)
            return &t->state[i].value;
    return NULL;
}

bool gr__state_set(gr_tape *t, gr_variable *v, gr_tensor *value)
{
    gr_tensor **old = state_of(t, v);
    if (old) {
        *old = value;
        return true;
    }
    if (t->n_state == t->cap_state) {
        int64_t more = t->cap_state ? t->cap_state * 2 : 32;
        void *p = gr__resize(t->state, more, sizeof *t->state);
        if (!p)
            return false;
        t->state = p;
        t->cap_state = more;
    }
    t->state[t->n_state].variable = v;
    t->state[t->n_state++].value = value;
    return true;
}

gr_tensor *gr_read_at(gr_at at, gr_tape *t, gr_variable *v)
{
    if (!t || !v)
        return gr_op_fail(
            at, GR_EARG, "read", t ? "variable" : "tape", 0, NULL, "expected a tape and a variable, found NULL");
    gr_tape *top = t; /* state belongs to the outermost tape; regions capture it */
    while (top->parent)
        top = top->parent;
    gr_tensor **known = state_of(top, v);
    gr_tensor *x = known ? *known : leaf(top, at, &gr_op_variable, v->dtype, v->shape, NULL, v, NULL);
    if (gr__is_bad(x) || (!known && !gr__state_set(top, v, x)))
        return GR_BAD;
    return t == top ? x : gr__capture(t, x);
}

static gr_tensor *assign(gr_at at, const gr_op *op, gr_tensor *target, int n_in, gr_tensor **in)
{
    for (int i = 0; i < n_in; i++) {
        if (!in[i])
            return gr_op_fail(at, GR_EARG, op->name, op->in_names[i], n_in, in, "expected a tensor, found NULL");
        if (gr__is_bad(in[i]))
            return GR_BAD;
    }
    gr_variable *v = target->node->variable;
    gr_tensor *value = in[n_in - 1];
    char want[200], got[200];
    if (!v)
        return gr_op_fail(
            at, GR_EARG, op->name, "target", n_in, in, "expected a variable's value, found a computed one");
    if (value->dtype != v->dtype || !gr_shape_equal(value->shape, v->shape))
        return gr_op_fail(at, GR_ESHAPE, op->name, "value", n_in, in, "expected %s, the variable's type, found %s",
            gr_type_text(v->dtype, v->shape, want, sizeof want),
            gr_type_text(value->dtype, value->shape, got, sizeof got));
    gr_tape *t = target->node->tape;
    for (int i = 0; i < n_in; i++)
        if (in[i]->node->tape != t || t->parent)
            return gr_op_fail(at, GR_EARG, op->name, op->in_names[i], n_in, in,
                "expected a tensor of the outermost tape, found one inside a region");
    gr__node like = {.op = op,
        .n_out = 1,
        .out = value,
        .scope = t->scope,
        .at = at,
        .phase = t->phase,
        .origin = t->origin,
        .variable = v};
    gr_tensor *x = gr__node_build(t, &like, n_in, in);
    return gr__is_bad(x) || !gr__state_set(t, v, x) ? GR_BAD : x;
}

gr_tensor *gr_assign_at(gr_at at, gr_tensor *target, gr_tensor *value)
{
    return assign(at, &gr_op_assign, target, 2, (gr_tensor *[]){target, value});
}

gr_tensor *gr_assign_if_at(gr_at at, gr_tensor *pred, gr_tensor *target, gr_tensor *value)
{
    if (!gr__is_bad(pred) && (pred->dtype != GR_BOOL || pred->shape.rank != 0))
        return gr_op_fail(at, GR_EDTYPE, "assign_if", "pred", 3, (gr_tensor *[]){pred, target, value},
            "expected bool [], found another type");
    return assign(at, &gr_op_assign_if, target, 3, (gr_tensor *[]){pred, target, value});
}

static gr_status infer_assign(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[f->n_in - 1];
    f->out_shape[0] = f->shape[f->n_in - 1];
    return GR_OK;
}

static int64_t buffer_bytes(const gr_buffer *b)
{
    return gr_shape_size(b->shape) * gr_dtype_size(b->dtype);
}

static gr_status assign_eval(const gr_call *c)
{
    memmove(c->out[0].data, c->in[1].data, (size_t)buffer_bytes(&c->out[0]));
    return GR_OK;
}

static gr_status assign_if_eval(const gr_call *c)
{
    const gr_buffer *from = *(const uint8_t *)c->in[0].data ? &c->in[2] : &c->in[1];
    memmove(c->out[0].data, from->data, (size_t)buffer_bytes(&c->out[0]));
    return GR_OK;
}

static void assign_vjp(gr_vjp *v)
{
    v->dx[1] = v->dy[0]; /* what was stored does not depend on the old value */
}

const gr_op gr_op_assign = {.abi = GR_ABI,
    .name = "assign",
    .doc = "the variable's new value, stored when the step ends",
    .n_in = 2,
    .n_out = 1,
    .traits = GR_EFFECT,
    .in_names = (const char *const[]){"target", "value"},
    .infer = infer_assign,
    .eval_f32 = assign_eval,
    .eval_f64 = assign_eval,
    .vjp = assign_vjp};
const gr_op gr_op_assign_if = {.abi = GR_ABI,
    .name = "assign_if",
    .doc = "assign where pred is true",
    .n_in = 3,
    .n_out = 1,
    .traits = GR_EFFECT,
    .in_names = (const char *const[]){"pred", "target", "value"},
    .infer = infer_assign,
    .eval_f32 = assign_if_eval,
    .eval_f64 = assign_if_eval};

/* The leaves are known by name to the text form; registered before main so that no call has to. */
__attribute__((constructor)) static void register_leaves(void)
{
    const gr_op *const all[] = {
        &gr_op_input, &gr_op_constant, &gr_op_variable, &gr_op_param, &gr_op_assign, &gr_op_assign_if};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gr_op_register(all[i]);
}

/* ---- the bare symbols -------------------------------------------------------------------------------------------- */

gr_tensor *(gr_input)(gr_tape *t, gr_dtype dtype, gr_shape shape, const char *name)
{
    return gr_input_at((gr_at){0}, t, dtype, shape, name);
}
gr_tensor *(gr_constant)(gr_tape *t, const gr_array *value)
{
    return gr_constant_at((gr_at){0}, t, value);
}
gr_tensor *(gr_scalar)(gr_tensor *x, double c)
{
    return gr_scalar_at((gr_at){0}, x, c);
}
gr_tensor *(gr_number)(gr_tape *t, gr_dtype dtype, double c)
{
    return gr_number_at((gr_at){0}, t, dtype, c);
}
gr_tensor *(gr_read)(gr_tape *t, gr_variable *v)
{
    return gr_read_at((gr_at){0}, t, v);
}
gr_tensor *(gr_assign)(gr_tensor *target, gr_tensor *value)
{
    return gr_assign_at((gr_at){0}, target, value);
}
gr_tensor *(gr_assign_if)(gr_tensor *pred, gr_tensor *target, gr_tensor *value)
{
    return gr_assign_if_at((gr_at){0}, pred, target, value);
}
