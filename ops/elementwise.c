/* The elementwise ops: descriptors, inference, gradients and public functions, all from elementwise.def.
 * What they compute: kernels/tile.isa.c (float), kernels/tile64.c (double), elementwise_eval.c (whole buffers,
 * integers). */
#include "ops/elementwise_impl.h"
#include "core/node.h"
#include <stddef.h>
#include "ops/reduce.h"
#include "ops/shape_ops.h"

/* ---- dtypes and shapes ------------------------------------------------------------------------------------------- */

#define BIT(t)     (1u << (t))
#define BIT_FLOATS (BIT(GR_F32) | BIT(GR_F64))
#define BIT_SIGNED (BIT(GR_I32) | BIT(GR_I64))
#define BIT_ALL    (BIT_FLOATS | BIT_SIGNED | BIT(GR_U8) | BIT(GR_BOOL))

static const struct {
    unsigned allowed; /* a bit per dtype */
    const char *words;
    bool to_bool;
} dtype_rules[] = {
    [GR__FLOATS] = {BIT_FLOATS, "float32 or float64", false},
    [GR__NUMBERS] = {BIT_FLOATS | BIT_SIGNED | BIT(GR_U8), "a number", false},
    [GR__SIGNED] = {BIT_FLOATS | BIT_SIGNED, "a number with a sign", false},
    [GR__INTEGERS] = {BIT_SIGNED | BIT(GR_U8), "an integer", false},
    [GR__COMPARES] = {BIT_ALL, "a dtype", true},
    [GR__LOGIC] = {BIT(GR_BOOL), "bool", true},
    [GR__PREDICATE] = {BIT_FLOATS, "float32 or float64", true},
    [GR__SELECTS] = {BIT_ALL, "a dtype", false},
};

static const char *const names_x[] = {"x"}, *const names_ab[] = {"a", "b"};
static const char *const names_where[] = {"condition", "a", "b"};

static gr_status infer_dtype(gr_infer *f, gr__dtypes rule, int first)
{
    const gr_dtype want = f->dtype[first];
    const bool divides = f->op == &gr_op_div;
    for (int i = first; i < f->n_in; i++) {
        const char *found = gr_dtype_name(f->dtype[i]), *name = f->op->in_names[i];
        bool integer = !gr_dtype_is_float(f->dtype[i]) && f->dtype[i] != GR_BOOL;
        if (!(dtype_rules[rule].allowed & BIT(f->dtype[i])))
            return gr_infer_fail(f, GR_EDTYPE, name, "expected %s, found %s%s", dtype_rules[rule].words, found,
                divides && integer ? "; gr_floor_divide divides integers, gr_cast makes floats of them" : "");
        if (f->dtype[i] != want)
            return gr_infer_fail(f, GR_EDTYPE, name, "expected %s as argument %s has, found %s; gr_cast converts",
                gr_dtype_name(want), f->op->in_names[first], found);
    }
    f->out_dtype[0] = dtype_rules[rule].to_bool ? GR_BOOL : want;
    return GR_OK;
}

static gr_status infer(gr_infer *f, gr__dtypes rule)
{
    if (rule == GR__SELECTS && f->dtype[0] != GR_BOOL)
        return gr_infer_fail(f, GR_EDTYPE, "condition", "expected bool, found %s", gr_dtype_name(f->dtype[0]));
    GR_TRY(infer_dtype(f, rule, rule == GR__SELECTS));
    gr_shape all = f->shape[0];
    for (int i = 1; i < f->n_in; i++) {
        char with[200], found[200];
        if (!gr_shape_broadcast(all, f->shape[i], &all))
            return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[i], "expected a shape that broadcasts with %s, found %s",
                gr_shape_text(all, with, sizeof with), gr_shape_text(f->shape[i], found, sizeof found));
    }
    f->out_shape[0] = all;
    return GR_OK;
}

/* ---- lowering ---------------------------------------------------------------------------------------------------- */

/* Floats and bools fuse; what touches an integer is left to eval. */
static void lower(gr_lowering *l, int row)
{
    bool f64 = l->out_dtype == GR_F64, fuses = gr_dtype_is_float(l->out_dtype) || l->out_dtype == GR_BOOL;
    for (int i = 0; i < l->n_in; i++) {
        f64 = f64 || l->dtype[i] == GR_F64;
        fuses = fuses && (gr_dtype_is_float(l->dtype[i]) || l->dtype[i] == GR_BOOL);
    }
    l->kind = fuses ? GR_LOWER_TILE : GR_LOWER_OPAQUE;
    l->tile = !fuses ? NULL : f64 ? gr__tile_f64(row) : gr__tile_f32(row);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* A sign and a factor that is the same for all terms of a sum are taken out of it: then the sum is often one that some
 * other gradient needs as well, as of a scale and an offset. */
gr_tensor *gr__unbroadcast(gr_tensor *g, gr_tensor *like)
{
    if (gr__is_bad(g) || gr__is_bad(like) || gr_shape_equal(g->shape, like->shape))
        return g;
    const gr_at at = like->node->at;
    gr_shape axes = GR_RANK0;
    int64_t extra = g->shape.rank - like->shape.rank;
    for (int64_t i = 0; i < g->shape.rank; i++)
        if (i < extra || (like->shape.dim[i - extra] == 1 && g->shape.dim[i] != 1))
            axes.dim[axes.rank++] = i;
    if (g->node->op == &gr_op_neg)
        return gr_neg_at(at, gr__unbroadcast(g->node->in[0], like));
    if (g->node->op == &gr_op_mul)
        for (int i = 0; i < 2; i++) {
            gr_tensor *factor = g->node->in[i], *rest = g->node->in[1 - i];
            gr_shape all;
            if (gr_shape_equal(rest->shape, g->shape) && gr_shape_broadcast(factor->shape, like->shape, &all) &&
                gr_shape_equal(all, like->shape))
                return gr_mul_at(at, gr__unbroadcast(rest, like), factor);
        }
    gr_tensor *sum = gr_sum_at(at, &(gr_reduce_args){.x = g, .axes = axes, .keepdims = extra == 0});
    return extra == 0 ? sum : gr_reshape_like_at(at, sum, like);
}

/* The rows' ops stand where the user's op stood. */
#undef GR_HERE
#define GR_HERE  at
#define N(c)     gr_scalar(g, c)
#define NONE     NULL
#define TAKEN(u, v) \
    gr_where(gr_greater(u, v), g, gr_where(gr_equal(u, v), gr_mul(N(0.5), g), N(0))) /* u was the result */

/* The second derivative of x s, s = 1 / (1 + e^-v), v = k x (1 + c x^2):  s (1 - s) (2 v' + x (1 - 2s) v'^2 + x v'')
 */
static gr_tensor *gelu_tanh_curve(gr_at at, gr_tensor *g, gr_tensor *x)
{
    const double k = 1.5957691216057308, c = 0.044715;
    gr_tensor *square = gr_square(x), *one = N(1);
    gr_tensor *s = gr_sigmoid(gr_mul(gr_mul(N(k), x), gr_add(one, gr_mul(N(c), square))));
    gr_tensor *v1 = gr_mul(N(k), gr_add(one, gr_mul(N(3 * c), square))), *v2 = gr_mul(N(6 * c * k), x);
    gr_tensor *bent = gr_mul(gr_sub(one, gr_add(s, s)), gr_square(v1));
    gr_tensor *sum = gr_add(gr_add(v1, v1), gr_mul(x, gr_add(bent, v2)));
    return gr_mul(g, gr_mul(gr_mul(s, gr_sub(one, s)), sum));
}

/* What a row may speak of.  Integer results have no gradient, and autograd does not ask for one. */
#define GRADIENT_BEGIN(name)                                                    \
    static void vjp_##name(gr_vjp *v)                                           \
    {                                                                           \
        const gr_at at = v->node->node->at;                                     \
        gr_tensor *const g = v->dy[0], *const y = v->y[0];                      \
        const double *const p = v->attr;                                        \
        (void)at, (void)g, (void)y, (void)p;
#define GRADIENT_END }
#define OP1(name, dtypes, value, for_x, ...)         \
    GRADIENT_BEGIN(name)                          \
        gr_tensor *const x = v->x[0];             \
        (void)x;                                  \
        v->dx[0] = for_x;                            \
    GRADIENT_END
#define OP1P OP1
#define OP2(name, dtypes, value, for_a, for_b, ...)                                  \
    GRADIENT_BEGIN(name)                                                       \
        gr_tensor *const a = v->x[0], *const b = v->x[1], *const ga = for_a, *const gb = for_b; \
        v->dx[0] = ga ? gr__unbroadcast(ga, a) : NULL;                         \
        v->dx[1] = gb ? gr__unbroadcast(gb, b) : NULL;                         \
    GRADIENT_END
#define OP3(name, dtypes, value, for_b, for_c, ...)          \
    GRADIENT_BEGIN(name)                               \
        gr_tensor *const a = v->x[0];                  \
        v->dx[1] = gr__unbroadcast(for_b, v->x[1]);       \
        v->dx[2] = gr__unbroadcast(for_c, v->x[2]);       \
    GRADIENT_END
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3
#undef N
#undef GR_HERE
#define GR_HERE ((gr_at){__FILE__, __LINE__})

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* Lists of samples in the words of elementwise.def; `more` is a further designator.  LIST(RANGE(-3, 3), one, more)
 * becomes one_range(more, -3, 3). */
#define LIST(tested, n, more)  LIST_(more, n##_##tested)
#define LIST_(more, ...)       LIST__(more, __VA_ARGS__)
#define LIST__(more, list, ...) list(more, __VA_ARGS__)

#define one_RANGE(lo, hi)                    one_range, lo, hi
#define one_SIDES(lo, hi)                    one_sides, lo, hi
#define one_PIECES(lo, hi, lo1, hi1, lo2, hi2) one_pieces, lo, hi, lo1, hi1, lo2, hi2
#define one_BOOLS                            one_bools, 0, 1
#define two_RANGE(lo, hi)                    two_range, lo, hi
#define two_APART(lo, hi)                    two_apart, lo, hi
#define two_INTEGER(lo, hi)                  two_integer, lo, hi
#define two_BOOLS                            two_bools, 0, 1
#define three_SELECT(lo, hi)                 three_select, lo, hi

#define one_range(more, lo, hi)                                                                          \
    {lo, hi, {GR_DIMS(4, 3)}, more}, {lo, hi, {{0, {0}}}, more}, {lo, hi, {GR_DIMS(17)}, more},            \
        {lo, hi, {GR_DIMS(2, 1, 7)}, more}, {lo, hi, {GR_DIMS(0, 5)}, more}
#define one_sides(more, lo, hi) one_range(more, lo, hi), one_range(more, -(hi), -(lo))
#define one_pieces(more, lo, hi, lo1, hi1, lo2, hi2) \
    one_range(more, lo, hi), one_range(more, lo1, hi1), one_range(more, lo2, hi2)
#define one_bools(more, lo, hi) one_range(.dtype[0] = GR_BOOL, lo, hi)

#define two_range(more, lo, hi)                                                                          \
    {lo, hi, {GR_DIMS(3, 5), GR_DIMS(3, 5)}, more}, {lo, hi, {GR_DIMS(3, 5), GR_DIMS(5)}, more},           \
        {lo, hi, {GR_DIMS(4, 1), GR_DIMS(1, 7)}, more}, {lo, hi, {{0, {0}}, GR_DIMS(6)}, more},            \
        {lo, hi, {GR_DIMS(3, 1), GR_DIMS(2, 3, 4)}, more}, {lo, hi, {GR_DIMS(17), GR_DIMS(17)}, more},     \
        {lo, hi, {GR_DIMS(0, 5), GR_DIMS(1, 5)}, more}
#define two_apart(more, lo, hi)   two_range(.distinct = true, lo, hi)
#define two_integer(more, lo, hi) two_range(.dtype = BOTH(GR_I32), lo, hi)
#define two_bools(more, lo, hi)   two_range(.dtype = BOTH(GR_BOOL), lo, hi)
#define BOTH(t)                   {t, t}

#define three_select(more, lo, hi)                                                                       \
    {lo, hi, {GR_DIMS(3, 5), GR_DIMS(3, 5), GR_DIMS(3, 5)}, .dtype[0] = GR_BOOL},                          \
        {lo, hi, {GR_DIMS(3, 1), GR_DIMS(5), GR_DIMS(3, 5)}, .dtype[0] = GR_BOOL},                         \
        {lo, hi, {GR_DIMS(4, 1), {0, {0}}, GR_DIMS(4, 2)}, .dtype[0] = GR_BOOL},                           \
        {lo, hi, {{0, {0}}, GR_DIMS(17), GR_DIMS(17)}, .dtype[0] = GR_BOOL}

#define PARAMETER(name, value)                  value
#define PARAMETERS(name0, value0, name1, value1) value0, value1
#define FIELD_PARAMETER(name, value)            PARAMETER_FIELD(name, 0)
#define FIELD_PARAMETERS(name0, value0, name1, value1) PARAMETER_FIELD(name0, 0), PARAMETER_FIELD(name1, 1)
#define PARAMETER_FIELD(text, i)                {.name = text, .type = GR_FIELD_DOUBLE, .offset = (i) * sizeof(double)}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

#define IMPLIED_FLOATS    0
#define IMPLIED_NUMBERS   0
#define IMPLIED_SIGNED    0
#define IMPLIED_SELECTS   0
#define IMPLIED_INTEGERS  GR_NO_GRADIENT
#define IMPLIED_COMPARES  GR_NO_GRADIENT
#define IMPLIED_LOGIC     GR_NO_GRADIENT
#define IMPLIED_PREDICATE GR_NO_GRADIENT

#define DESCRIPTOR(op, rule, n, arguments, more, text, ...)                              \
    static gr_status infer_##op(gr_infer *f)                                             \
    {                                                                                    \
        return infer(f, GR__##rule);                                                     \
    }                                                                                    \
    static gr_status eval_##op(const gr_call *c)                                         \
    {                                                                                    \
        return gr__elementwise_eval(c, GR__TILE_##op);                                   \
    }                                                                                    \
    static void lower_##op(gr_lowering *l)                                               \
    {                                                                                    \
        lower(l, GR__TILE_##op);                                                         \
    }                                                                                    \
    const gr_op gr_op_##op = {.abi = GR_ABI,                                             \
        .name = #op,                                                                     \
        .doc = text,                                                                     \
        .n_in = n,                                                                       \
        .n_out = 1,                                                                      \
        .traits = GR_ELEMENTWISE | IMPLIED_##rule | (more),                              \
        .in_names = arguments,                                                           \
        .infer = infer_##op,                                                             \
        .eval_f32 = eval_##op,                                                           \
        .eval_f64 = eval_##op,                                                           \
        .lower = lower_##op,                                                             \
        .vjp = ((IMPLIED_##rule | (more)) & GR_NO_GRADIENT) ? NULL : vjp_##op,           \
        __VA_ARGS__};

#define OP1(name, dtypes, value, dx, tested, traits, doc) \
    DESCRIPTOR(name, dtypes, 1, names_x, traits, doc, .samples = GR_SAMPLES(LIST(tested, one, .distinct = false)))
#define OP1P(name, dtypes, value, dx, tested, traits, doc, parameters)              \
    static const gr_field fields_##name[] = {FIELD_##parameters, {0}};              \
    static const gr__parameters tested_##name = {{parameters}};                     \
    DESCRIPTOR(name, dtypes, 1, names_x, traits, doc, .attrs = fields_##name, .attr_size = sizeof(gr__parameters), \
        .samples = GR_SAMPLES(LIST(tested, one, .attr = &tested_##name)))
#define OP2(name, dtypes, value, da, db, tested, traits, doc) \
    DESCRIPTOR(name, dtypes, 2, names_ab, traits, doc, .samples = GR_SAMPLES(LIST(tested, two, .distinct = false)))
#define OP3(name, dtypes, value, db, dc, tested, traits, doc) \
    DESCRIPTOR(name, dtypes, 3, names_where, traits, doc, .samples = GR_SAMPLES(LIST(tested, three, .distinct = false)))
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3

/* ---- public functions -------------------------------------------------------------------------------------------- */

#define OP1(name, ...)                                                \
    gr_tensor *gr_##name##_at(gr_at at, gr_tensor *x)                 \
    {                                                                 \
        return gr_apply_op_at(at, &gr_op_##name, NULL, 1, &x);        \
    }                                                                 \
    gr_tensor *(gr_##name)(gr_tensor * x)                             \
    {                                                                 \
        return gr_##name##_at((gr_at){0}, x);                         \
    }
#define OP1P(name, ...)
#define OP2(name, ...)                                                               \
    gr_tensor *gr_##name##_at(gr_at at, gr_tensor *a, gr_tensor *b)                  \
    {                                                                                \
        return gr_apply_op_at(at, &gr_op_##name, NULL, 2, (gr_tensor *[]){a, b});    \
    }                                                                                \
    gr_tensor *(gr_##name)(gr_tensor * a, gr_tensor * b)                             \
    {                                                                                \
        return gr_##name##_at((gr_at){0}, a, b);                                     \
    }
#define OP3(name, ...)                                                               \
    gr_tensor *gr_##name##_at(gr_at at, gr_tensor *a, gr_tensor *b, gr_tensor *c)    \
    {                                                                                \
        return gr_apply_op_at(at, &gr_op_##name, NULL, 3, (gr_tensor *[]){a, b, c}); \
    }                                                                                \
    gr_tensor *(gr_##name)(gr_tensor * a, gr_tensor * b, gr_tensor * c)              \
    {                                                                                \
        return gr_##name##_at((gr_at){0}, a, b, c);                                  \
    }
#include "ops/elementwise.def"
#undef OP1
#undef OP1P
#undef OP2
#undef OP3

gr_tensor *gr_clip_at(gr_at at, gr_tensor *x, double lo, double hi)
{
    if (!(lo <= hi))
        return gr_op_fail(at, GR_EARG, "clip", "lo", 1, &x, "expected lo <= hi, found %g and %g", lo, hi);
    return gr_apply_op_at(at, &gr_op_clip, &(gr__parameters){{lo, hi}}, 1, &x);
}
gr_tensor *gr_elu_at(gr_at at, const gr_elu_args *args)
{
    double alpha = args->alpha != 0 ? args->alpha : 1;
    return gr_apply_op_at(at, &gr_op_elu, &(gr__parameters){{alpha}}, 1, &args->x);
}
gr_tensor *(gr_elu)(gr_tensor *x)
{
    return gr_elu_at((gr_at){0}, &(gr_elu_args){.x = x});
}

gr_tensor *gr_leaky_relu_at(gr_at at, const gr_leaky_relu_args *args)
{
    double slope = args->negative_slope != 0 ? args->negative_slope : 0.2;
    return gr_apply_op_at(at, &gr_op_leaky_relu, &(gr__parameters){{slope}}, 1, &args->x);
}
gr_tensor *(gr_leaky_relu)(gr_tensor *x)
{
    return gr_leaky_relu_at((gr_at){0}, &(gr_leaky_relu_args){.x = x});
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

__attribute__((constructor)) static void register_elementwise(void)
{
    static const gr_op *const all[] = {
#define OP1(name, ...)  &gr_op_##name,
#define OP1P(name, ...) &gr_op_##name,
#define OP2(name, ...)  &gr_op_##name,
#define OP3(name, ...)  &gr_op_##name,
#include "ops/elementwise.def"
        &gr_op_cast};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        gr_op_register(all[i]);
}
