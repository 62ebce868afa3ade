/* Single ops against NumPy's values and JAX's gradients: tests/fixtures/ops_*.npz, in float64 and float32, node by node
 * and compiled. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "ops/ops.h"
#include "tests/fixture.h"

enum { MOST = 8 };
typedef struct {
    const fixture *f;
    int i; /* the case */
    char op[32];
    int n_in, n_out;
    gr_tensor *in[MOST], *out[MOST];
} trial;

/* ---- the op a case names ----------------------------------------------------------------------------------------- */

static gr_shape list(const trial *t, const char *option)
{
    return fixture_list(t->f, t->i, "attrs", option);
}
static double number(const trial *t, const char *option, double otherwise)
{
    return fixture_option(t->f, t->i, "attrs", option, otherwise);
}

typedef struct {
    const char *name;
    gr_tensor *(*one)(gr_tensor *);
    gr_tensor *(*two)(gr_tensor *, gr_tensor *);
    gr_tensor *(*reduce)(gr_at, const gr_reduce_args *);
    gr_tensor *(*other)(trial *);
} builder;

static gr_tensor *gelu(trial *t)
{
    return number(t, "approximate", 0) != 0 ? gr_gelu_tanh(t->in[0]) : gr_gelu(t->in[0]);
}
static gr_tensor *elu(trial *t)
{
    return gr_elu(t->in[0], .alpha = number(t, "alpha", 0));
}
static gr_tensor *leaky_relu(trial *t)
{
    return gr_leaky_relu(t->in[0], .negative_slope = number(t, "negative_slope", 0));
}
static gr_tensor *clip(trial *t)
{
    return gr_clip(t->in[0], number(t, "min", 0), number(t, "max", 0));
}
static gr_tensor *where(trial *t)
{
    return gr_where(t->in[0], t->in[1], t->in[2]);
}
static gr_tensor *matmul(trial *t)
{
    bool a = number(t, "transpose_a", 0) != 0, b = number(t, "transpose_b", 0) != 0;
    return a || b ? gr_matmul_t(t->in[0], t->in[1], .transpose_a = a, .transpose_b = b) : gr_matmul(t->in[0], t->in[1]);
}
static gr_tensor *reshape(trial *t)
{
    return gr_reshape(t->in[0], list(t, "shape"));
}
static gr_tensor *transpose(trial *t)
{
    return gr_transpose(t->in[0], list(t, "axes"));
}
static gr_tensor *expand_dims(trial *t)
{
    return gr_expand_dims(t->in[0], list(t, "axis"));
}
static gr_tensor *squeeze(trial *t)
{
    return gr_squeeze(t->in[0], list(t, "axis"));
}
static gr_tensor *broadcast_to(trial *t)
{
    return gr_broadcast_to(t->in[0], list(t, "shape"));
}
static gr_tensor *concatenate(trial *t)
{
    return gr_concatenate(t->n_in, t->in, list(t, "axis").dim[0]);
}
static gr_tensor *stack(trial *t)
{
    return gr_stack(t->n_in, t->in, list(t, "axis").dim[0]);
}
static gr_tensor *split(trial *t)
{
    int64_t axis = list(t, "axis").dim[0];
    gr_shape at = list(t, "at");
    if (at.rank == 0) {
        gr_split(t->in[0], t->n_out, axis, t->out);
        return t->out[0];
    }
    for (int k = 0; k < t->n_out; k++) { /* parts of unlike size are slices */
        gr_shape start = {gr_rank(t->in[0]), {0}}, stop = {gr_rank(t->in[0]), {0}};
        for (int64_t d = 0; d < stop.rank; d++)
            stop.dim[d] = GR_REST;
        start.dim[axis] = k > 0 ? at.dim[k - 1] : 0;
        stop.dim[axis] = k < at.rank ? at.dim[k] : GR_REST;
        t->out[k] = gr_slice(t->in[0], start, stop);
    }
    return t->out[0];
}
static gr_tensor *slice(trial *t)
{
    return gr_slice(t->in[0], list(t, "start"), list(t, "stop"), list(t, "step"));
}
static gr_tensor *pad(trial *t)
{
    return gr_pad(t->in[0], list(t, "low"), list(t, "high"), number(t, "value", 0));
}
static gr_tensor *flip(trial *t)
{
    gr_shape axes = list(t, "axis");
    gr_tensor *x = t->in[0];
    for (int64_t k = 0; k < axes.rank; k++)
        x = gr_flip(x, axes.dim[k]);
    return x;
}
/* NumPy takes more or fewer repeats than axes; Grape one an axis. */
static gr_tensor *tile(trial *t)
{
    gr_shape repeats = list(t, "repeats"), shape = gr_shape_of(t->in[0]), full = {shape.rank, {0}};
    if (repeats.rank > shape.rank) {
        gr_shape wide = {repeats.rank, {0}};
        for (int64_t d = 0; d < wide.rank; d++)
            wide.dim[d] = d < wide.rank - shape.rank ? 1 : shape.dim[d - (wide.rank - shape.rank)];
        return gr_tile(gr_reshape(t->in[0], wide), repeats);
    }
    for (int64_t d = 0; d < full.rank; d++)
        full.dim[d] = d < full.rank - repeats.rank ? 1 : repeats.dim[d - (full.rank - repeats.rank)];
    return gr_tile(t->in[0], full);
}

static gr_tensor *take(trial *t)
{
    return gr_take(t->in[0], t->in[1], list(t, "axis").dim[0]);
}
static gr_tensor *take_along_axis(trial *t)
{
    return gr_take_along_axis(t->in[0], t->in[1], list(t, "axis").dim[0]);
}
static gr_tensor *scatter_add(trial *t)
{
    return gr_scatter_add(t->in[0], gr_expand_dims(t->in[1], GR_SHAPE(-1)), t->in[2]);
}
static gr_tensor *one_hot(trial *t)
{
    return gr_one_hot(t->in[0], list(t, "n").dim[0]);
}
static gr_tensor *softmax(trial *t)
{
    return gr_softmax(t->in[0], .axes = list(t, "axis"));
}
static gr_tensor *log_softmax(trial *t)
{
    return gr_log_softmax(t->in[0], .axes = list(t, "axis"));
}
static gr_tensor *batch_norm(trial *t)
{
    return gr_batch_norm(t->in[0], t->in[1], t->in[2], .epsilon = number(t, "epsilon", 0));
}
static gr_tensor *layer_norm(trial *t)
{
    return gr_layer_norm(t->in[0], t->in[1], t->in[2], .epsilon = number(t, "epsilon", 0));
}

static gr_tensor *dot_product_attention(trial *t)
{
    const bool bias = number(t, "bias", 0) != 0, mask = number(t, "mask", 0) != 0;
    return gr_dot_product_attention(t->in[0], t->in[1], t->in[2], .bias = bias ? t->in[3] : NULL,
        .mask = mask ? gr_cast(t->in[t->n_in - 1], GR_BOOL) : NULL, .causal = number(t, "causal", 0) != 0,
        .scale = number(t, "scale", 0));
}

#define ONE(op)                                                                                                        \
    {                                                                                                                  \
#op, .one = gr_##op                                                                                            \
    }
#define TWO(op)                                                                                                        \
    {                                                                                                                  \
#op, .two = gr_##op                                                                                            \
    }
#define REDUCE(op)                                                                                                     \
    {                                                                                                                  \
#op, .reduce = gr_##op##_at                                                                                    \
    }
#define OTHER(op)                                                                                                      \
    {                                                                                                                  \
#op, .other = op                                                                                               \
    }
/* clang-format off */
static const builder builders[] = {
    ONE(neg), ONE(abs), ONE(sign), ONE(square), ONE(sqrt), ONE(rsqrt), ONE(reciprocal), ONE(exp), ONE(expm1), ONE(log),
    ONE(log1p), ONE(sin), ONE(cos), ONE(tanh), ONE(sigmoid), ONE(relu), ONE(erf), ONE(floor), ONE(ceil), ONE(round),
    ONE(softplus), ONE(silu), ONE(selu), OTHER(elu), OTHER(leaky_relu), OTHER(gelu), OTHER(clip), ONE(logical_not),
    TWO(add), TWO(sub), TWO(mul), TWO(div), TWO(pow), TWO(maximum), TWO(minimum), TWO(equal), TWO(not_equal),
    TWO(greater), TWO(greater_equal), TWO(less), TWO(less_equal), TWO(logical_and), TWO(logical_or),
    TWO(logical_xor), OTHER(where),
    REDUCE(sum), REDUCE(mean), REDUCE(max), REDUCE(min), REDUCE(prod), REDUCE(any), REDUCE(all), REDUCE(var),
    REDUCE(logsumexp), REDUCE(argmax), REDUCE(argmin),
    OTHER(matmul), OTHER(reshape), OTHER(transpose), OTHER(expand_dims), OTHER(squeeze), OTHER(broadcast_to),
    OTHER(concatenate), OTHER(stack), OTHER(split), OTHER(slice), OTHER(pad), OTHER(flip), OTHER(tile),
    OTHER(take), OTHER(take_along_axis), OTHER(scatter_add), OTHER(one_hot), OTHER(softmax), OTHER(log_softmax),
    OTHER(batch_norm), OTHER(layer_norm), OTHER(dot_product_attention),
};
/* clang-format on */

/* Records the op of the trial's case on its inputs; false if Grape has none of that name. */
static bool record(trial *t)
{
    fixture_text(t->f, t->i, "op", t->op, sizeof t->op);
    for (size_t k = 0; k < sizeof builders / sizeof *builders; k++) {
        const builder *b = &builders[k];
        if (strcmp(b->name, t->op) != 0)
            continue;
        if (b->one)
            t->out[0] = b->one(t->in[0]);
        else if (b->two)
            t->out[0] = b->two(t->in[0], t->in[1]);
        else if (b->reduce)
            t->out[0] = b->reduce(GR_HERE,
                &(gr_reduce_args){.x = t->in[0], .axes = list(t, "axis"), .keepdims = number(t, "keepdims", 0) != 0});
        else
            t->out[0] = b->other(t);
        return true;
    }
    return false;
}

/* ---- running a case ---------------------------------------------------------------------------------------------- */

static gr_array *as(const gr_array *a, gr_dtype real)
{
    gr_array *c = gr_array_copy(a);
    if (c && gr_array_dtype(c) == GR_F64)
        gr_array_cast(c, real);
    return c;
}

static gr_array *numbered(const trial *t, const char *key, int k)
{
    char name[24];
    snprintf(name, sizeof name, "%s%d", key, k);
    return fixture_array(t->f, t->i, name);
}

static int count(const trial *t, const char *key)
{
    int n = 0;
    while (n < MOST && numbered(t, key, n))
        n++;
    return n;
}

/* Values of n tensors, node by node or as a program of the n_in inputs. */
static bool values(
    gr_tape *tape, const trial *t, gr_array *const *data, int n, gr_tensor *const *y, gr_array **out, bool compiled)
{
    for (int k = 0; k < n; k++)
        out[k] = NULL;
    if (!compiled) {
        for (int k = 0; k < n; k++)
            if (!(out[k] = gr_eval(y[k])))
                return false;
        return true;
    }
    gr_program_opts opts = {.verify = true};
    memcpy(opts.inputs, t->in, (size_t)t->n_in * sizeof *t->in);
    memcpy(opts.outputs, y, (size_t)n * sizeof *y);
    gr_program *p = gr_program_new_at(GR_HERE, tape, &opts);
    for (int k = 0; p && k < n; k++)
        out[k] = gr_array_new(gr_dtype_of(y[k]), gr_shape_of(y[k]));
    bool good = p && gr_program_run(p, data, out) == GR_OK;
    gr_program_free(p);
    return good;
}

static void check_case(const fixture *f, int i, gr_dtype real, bool compiled)
{
    trial t = {.f = f, .i = i};
    gr_tape *tape = gr_tape_new();
    gr_array *data[2 * MOST] = {0}, *found[2 * MOST] = {0};
    gr_tensor *y[2 * MOST], *dy[MOST], *wrt[MOST];
    const gr_array *expected[2 * MOST];
    char what[2 * MOST][16];
    t.n_in = count(&t, "in");
    t.n_out = count(&t, "out");
    for (int k = 0; k < t.n_in; k++) {
        data[k] = as(numbered(&t, "in", k), real);
        char name[16];
        snprintf(name, sizeof name, "in%d", k);
        t.in[k] = compiled ? gr_input(tape, gr_array_dtype(data[k]), gr_array_shape(data[k]), name)
                           : gr_constant(tape, data[k]);
    }
    if (!GR_EXPECT(record(&t), "%s: no op %s", f->name[i], t.op))
        goto done;
    int n = 0, n_wrt = 0;
    for (; n < t.n_out; n++) {
        y[n] = t.out[n];
        expected[n] = numbered(&t, "out", n);
        snprintf(what[n], sizeof what[0], "out%d", n);
    }
    for (int k = 0; k < t.n_in; k++)
        if (numbered(&t, "din", k)) {
            wrt[n_wrt] = t.in[k];
            expected[n + n_wrt] = numbered(&t, "din", k);
            snprintf(what[n + n_wrt++], sizeof what[0], "din%d", k);
        }
    if (n_wrt > 0) {
        for (int k = 0; k < n; k++) {
            gr_array *d = as(numbered(&t, "dy", k), real);
            dy[k] = gr_constant(tape, d);
            gr_array_free(d);
        }
        if (!GR_EXPECT(gr_grad_with(n, y, dy, wrt, n_wrt, y + n) == GR_OK, "%s: %s", f->name[i], gr_error_message()))
            goto done;
        n += n_wrt;
    }
    if (!GR_EXPECT(values(tape, &t, data, n, y, found, compiled), "%s: %s", f->name[i], gr_error_message()))
        goto done;
    for (int k = 0; k < n; k++)
        fixture_near(found[k], expected[k], real == GR_F64 ? 1e-12 : 4e-6, 1, f->name[i], what[k]);
done:
    gr_error_clear();
    for (int k = 0; k < 2 * MOST; k++) {
        gr_array_free(data[k]);
        gr_array_free(found[k]);
    }
    gr_tape_free(tape);
}

/* What Grape writes otherwise, or what float32 cannot hold. */
static bool left_out(const char *name, gr_dtype real)
{
    static const char *const otherwise[] = {"roll_", "swapaxes_", "moveaxis_", /* transposes and slices */
        "abs_at_zero",                                                         /* its gradient: 0 here, -1 or 1 there */
        "axis_none_" /* no axes at all: Grape reads that as all of them */};
    static const char *const wide[] = {"_edges", "_far"};
    for (size_t k = 0; k < sizeof otherwise / sizeof *otherwise; k++)
        if (strstr(name, otherwise[k]))
            return true;
    for (size_t k = 0; real == GR_F32 && k < sizeof wide / sizeof *wide; k++)
        if (strstr(name, wide[k]))
            return true;
    return false;
}

static void check_file(const char *file)
{
    fixture f = fixture_open(file);
    for (int i = 0; i < f.n; i++)
        for (int mode = 0; mode < 4; mode++) {
            gr_dtype real = mode & 1 ? GR_F32 : GR_F64;
            if (!left_out(f.name[i], real))
                check_case(&f, i, real, mode & 2);
        }
    GR_EXPECT(f.n > 5, "%s has %d cases", file, f.n);
    fixture_close(&f);
}

static void functions_of_one_operand_agree_with_numpy(void)
{
    check_file("ops_unary.npz");
}
static void two_operands_broadcast_as_in_numpy(void)
{
    check_file("ops_binary.npz");
}
static void reductions_agree_with_numpy(void)
{
    check_file("ops_reduce.npz");
}
static void products_agree_with_numpy(void)
{
    check_file("ops_matmul.npz");
}
static void shapes_and_orders_agree_with_numpy(void)
{
    check_file("ops_shape.npz");
}
static void picking_by_index_agrees_with_numpy(void)
{
    check_file("ops_index.npz");
}
static void composites_agree_with_jax(void)
{
    check_file("ops_composite.npz");
}

GR_SUITE("ops against NumPy and JAX", GR_TEST(functions_of_one_operand_agree_with_numpy),
    GR_TEST(two_operands_broadcast_as_in_numpy), GR_TEST(reductions_agree_with_numpy),
    GR_TEST(products_agree_with_numpy), GR_TEST(shapes_and_orders_agree_with_numpy),
    GR_TEST(picking_by_index_agrees_with_numpy), GR_TEST(composites_agree_with_jax))
