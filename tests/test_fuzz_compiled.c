/* Random graphs: what a program computes is what node-by-node evaluation computes.
 *
 * A graph draws ops from the registry, on tensors it has or on inputs of one of the op's samples; half of them get a
 * gradient. Elementwise results must be equal bit for bit (a zero's sign apart), sums within a bound. Every registered
 * op must be drawn. Each program runs with 1, 2, 3 and 7 threads, which must give the same bits, and with a random
 * choice of passes left out. GRAPE_FUZZ_GRAPHS=N makes N graphs, GRAPE_FUZZ_SEED=S starts at seed S. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "core/mem.h"
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 64, INPUTS = 24, OUTPUTS = 12, STEPS = 26, OPS = 400, VARIABLES = 4 };

typedef struct {
    uint64_t random;
    gr_tape *tape;
    gr_tensor *pool[POOL];
    int n_pool;
    gr_tensor *input[INPUTS];
    gr_array *value[INPUTS];
    int n_inputs;
    gr_tensor *output[OUTPUTS];
    int n_outputs;
    gr_variable *variable[VARIABLES];
    gr_array *start[VARIABLES];     /* their values before the step */
    gr_tensor *assigned[VARIABLES]; /* or NULL */
    int n_variables;
    int64_t size[3], batch;
    gr_dtype type; /* of floats: mostly float32 */
    char text[4096];
} graph;

static int64_t drawn[OPS]; /* per registered op */

static uint64_t next(graph *g)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return g->random * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}
static int64_t below(graph *g, int64_t n)
{
    return (int64_t)(next(g) % (uint64_t)n);
}
static double uniform(graph *g, double lo, double hi)
{
    return lo + (hi - lo) * (double)next(g) / 9007199254740992.0;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static void put(gr_array *a, int64_t i, double v)
{
    void *data = gr_array_data(a);
    switch (gr_array_dtype(a)) {
    case GR_F32:
        ((float *)data)[i] = (float)v;
        break;
    case GR_F64:
        ((double *)data)[i] = v;
        break;
    case GR_I32:
        ((int32_t *)data)[i] = (int32_t)floor(v);
        break;
    case GR_I64:
        ((int64_t *)data)[i] = (int64_t)floor(v);
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)floor(v);
    }
}

static gr_tensor *new_input(graph *g, gr_dtype dtype, gr_shape shape, double lo, double hi)
{
    gr_shape bound;
    if (g->n_inputs == INPUTS)
        return GR_BAD;
    gr_shape_bind(shape, g->batch, &bound);
    gr_array *a = gr_array_new(dtype, bound);
    double top = gr_dtype_is_float(dtype) ? hi : dtype == GR_BOOL ? 2 : hi + 1;
    for (int64_t i = 0; i < gr_array_size(a); i++)
        put(a, i, uniform(g, dtype == GR_BOOL ? 0 : lo, top));
    char name[16];
    snprintf(name, sizeof name, "x%d", g->n_inputs);
    gr_tensor *x = gr_input(g->tape, dtype, shape, name);
    g->input[g->n_inputs] = x;
    g->value[g->n_inputs++] = a;
    return x;
}

static gr_shape some_shape(graph *g)
{
    int64_t a = g->size[0], b = g->size[1], c = g->size[2];
    switch (below(g, 10)) {
    case 0:
        return GR_SHAPE(b);
    case 1:
        return GR_SHAPE(a, 1);
    case 2:
        return GR_SHAPE(1, b);
    case 3:
        return GR_RANK0;
    case 4:
        return GR_SHAPE(b, c);
    case 5:
        return GR_SHAPE(c, a, b);
    case 6:
        return GR_SHAPE(c, 1, b);
    default:
        return GR_SHAPE(a, b);
    }
}

static gr_tensor *new_variable(graph *g)
{
    gr_shape shape = some_shape(g);
    if (gr_shape_is_symbolic(shape))
        shape = GR_SHAPE(g->batch, g->size[1]);
    int i = g->n_variables++;
    g->variable[i] = gr_variable_new("v", g->type, shape, true);
    g->start[i] = gr_array_new(g->type, shape);
    for (int64_t k = 0; k < gr_array_size(g->start[i]); k++)
        put(g->start[i], k, uniform(g, -2, 2));
    return gr_read(g->tape, g->variable[i]);
}

/* Most variables get a new value, of the last tensor that fits or of one that has to do with its old value. */
static void assign_variables(graph *g)
{
    for (int i = 0; i < g->n_variables; i++) {
        gr_tensor *old = gr_read(g->tape, g->variable[i]), *value = NULL;
        for (int k = g->n_pool - 1; k >= 0 && !value; k--)
            if (g->pool[k]->dtype == g->type && gr_shape_equal(g->pool[k]->shape, old->shape) && below(g, 3))
                value = g->pool[k];
        if (!value || below(g, 3) == 0)
            value = gr_mul(value ? gr_sub(old, value) : old, gr_scalar(old, 0.5));
        if (below(g, 5))
            g->assigned[i] = gr_assign(old, value);
    }
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static void note(graph *g, const gr_tensor *x)
{
    size_t n = strlen(g->text);
    const gr__node *d = x->node;
    char type[200];
    n += (size_t)snprintf(g->text + n, sizeof g->text - n, "  %%%lld = %s(", (long long)d->id, d->op->name);
    for (int i = 0; i < d->n_in && n < sizeof g->text; i++)
        n +=
            (size_t)snprintf(g->text + n, sizeof g->text - n, "%s%%%lld", i ? ", " : "", (long long)d->in[i]->node->id);
    if (n < sizeof g->text)
        snprintf(g->text + n, sizeof g->text - n, ") %s\n", gr_type_text(x->dtype, x->shape, type, sizeof type));
}

static void keep(graph *g, gr_tensor *x)
{
    if (g->n_pool < POOL)
        g->pool[g->n_pool++] = x;
    else
        g->pool[below(g, POOL)] = x;
}

static int sample_count(const gr_op *op)
{
    int n = 0;
    while (op->samples && op->samples[n].lo <= op->samples[n].hi)
        n++;
    return n;
}

/* Would the op take these? Asks its inference without leaving a message. */
static bool takes(const gr_op *op, const void *attr, int n_in, gr_tensor *const *in)
{
    gr_dtype dtype[8], out_dtype[64] = {0};
    gr_shape shape[8], out_shape[64] = {0}, bound;
    for (int i = 0; i < n_in; i++) {
        dtype[i] = in[i]->dtype;
        shape[i] = in[i]->shape;
    }
    gr_infer f = {op, attr, n_in, op->n_out ? op->n_out : 1, dtype, shape, out_dtype, out_shape};
    bool good = op->infer(&f) == GR_OK;
    gr_error_clear();
    return good && gr_shape_bind(out_shape[0], 130, &bound) && gr_shape_size(bound) <= 200000;
}

static void draw_op(graph *g, int index)
{
    const gr_op *op = gr_op_at(index);
    int n_samples = sample_count(op);
    gr_tensor *in[GR_SAMPLE_INPUTS];
    if (!n_samples || (op->traits & (GR_LEAF | GR_REGION | GR_EFFECT)) ||
        !(g->type == GR_F32 ? op->eval_f32 : op->eval_f64))
        return;
    const gr_sample *s = &op->samples[below(g, n_samples)];
    int n_in = op->n_in;
    if (n_in < 0)
        for (n_in = 1; n_in < GR_SAMPLE_INPUTS && (s->shape[n_in].rank || s->dtype[n_in]); n_in++) {
        }
    const void *attr = s->attr;
    void *zero = NULL;
    if (!attr && op->attr_size)
        attr = zero = calloc(1, op->attr_size);
    bool found = false, own = op->traits & GR_CHECKED_DATA; /* indices out of range would only be refused */
    for (int attempt = 0; attempt < 6 && !found && !own && n_in; attempt++) {
        for (int i = 0; i < n_in; i++)
            in[i] =
                g->pool[below(g, 2) ? g->n_pool - 1 - below(g, g->n_pool < 4 ? g->n_pool : 4) : below(g, g->n_pool)];
        found = takes(op, attr, n_in, in);
    }
    bool give_up = !found && n_in && below(g, own ? 2 : 4);
    for (int i = 0; !found && !give_up && i < n_in; i++)
        in[i] = new_input(g, s->dtype[i] ? s->dtype[i] : g->type, s->shape[i], s->lo, s->hi);
    for (int i = 0; i < n_in && !give_up; i++)
        give_up = gr__is_bad(in[i]);
    gr_tensor *x =
        !give_up && takes(op, attr, n_in, in) ? gr__apply_op_on(g->tape, GR_HERE, op, attr, n_in, in) : GR_BAD;
    free(zero);
    if (gr__is_bad(x))
        return;
    drawn[index]++;
    note(g, x);
    keep(g, x);
}

static void add_gradient(graph *g)
{
    gr_tensor *wrt[INPUTS], *grad[INPUTS], *y = NULL;
    int n = 0;
    for (int i = g->n_pool - 1; i >= 0 && !y; i--)
        if (g->pool[i]->dtype == g->type)
            y = g->pool[i];
    for (int i = 0; i < g->n_inputs; i++)
        if (g->input[i]->dtype == g->type)
            wrt[n++] = g->input[i];
    if (!y || !n)
        return;
    gr_tensor *loss = gr_sum(gr_square(y));
    if (gr_grad(loss, wrt, n, grad) != GR_OK) {
        gr_error_clear();
        return;
    }
    for (int i = 0; i < n && g->n_outputs < OUTPUTS; i++)
        g->output[g->n_outputs++] = grad[i];
}

static void make(graph *g, uint64_t seed, int n_ops)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100, 130, 0};
    *g = (graph){.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1, .tape = gr_tape_new()};
    for (int i = 0; i < 20; i++)
        next(g);
    for (int i = 0; i < 3; i++)
        g->size[i] = sizes[below(g, below(g, 8) ? 12 : 13)];
    g->batch = g->size[0];
    g->type = below(g, 8) ? GR_F32 : GR_F64;
    if (below(g, 2))
        g->size[0] = GR_BATCH;
    for (int i = (int)below(g, 4) + 1; i > 0; i--)
        keep(g, new_input(g, g->type, some_shape(g), -2, 2));
    for (int i = (int)below(g, VARIABLES); i > 0 && below(g, 2); i--)
        keep(g, new_variable(g));
    for (int i = (int)below(g, STEPS) + 3; i > 0; i--)
        draw_op(g, (int)below(g, n_ops));
    for (int i = g->n_pool - 1; i >= 0 && g->n_outputs < 4; i -= (int)below(g, 3) + 1)
        g->output[g->n_outputs++] = g->pool[i];
    if (below(g, 2))
        add_gradient(g);
    assign_variables(g);
}

/* ---- how exactly results must agree ------------------------------------------------------------------------------ */

typedef enum { EXACT, ROUNDED, FRAGILE } trust;

/* Ops that may blow a last-bit difference up. */
static bool amplifies(const gr_op *op)
{
    static const char *const names[] = {
        "div", "reciprocal", "sqrt", "rsqrt", "log", "log1p", "pow", "prod", "exp", "expm1", "floor_divide", "sign"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op->name, names[i]) == 0)
            return true;
    return (op->traits & (GR_NO_GRADIENT | GR_EXPENSIVE)) || strstr(op->name, "max") || strstr(op->name, "min") ||
           strcmp(op->name, "where") == 0;
}

static bool sums(const gr__node *n)
{
    return strcmp(n->op->name, "sum") == 0 || strcmp(n->op->name, "matmul") == 0 || strcmp(n->op->name, "prod") == 0 ||
           (!(n->op->traits & GR_ELEMENTWISE) && n->op->lower == NULL && gr_dtype_is_float(n->out[0].dtype));
}

static void find_trust(const graph *g, trust *of)
{
    for (int64_t id = 0; id < g->tape->n_nodes; id++) {
        const gr__node *n = g->tape->node[id];
        trust worst = EXACT;
        for (int i = 0; i < n->n_in; i++) {
            trust t = of[n->in[i]->node->id];
            worst = t > worst ? t : worst;
        }
        if (worst == EXACT && sums(n))
            worst = ROUNDED;
        else if (worst == ROUNDED && amplifies(n->op))
            worst = FRAGILE;
        of[id] = worst;
    }
}

static double element(const gr_array *a, int64_t i)
{
    return gr_array_at(a, i);
}

/* -1 if they agree, else the first element that does not. */
static int64_t differ(const gr_array *got, const gr_array *want, trust t)
{
    double scale = 1;
    int64_t n = gr_array_size(want);
    if (gr_array_dtype(got) != gr_array_dtype(want) || !gr_shape_equal(gr_array_shape(got), gr_array_shape(want)))
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(element(want, i)) && fabs(element(want, i)) > scale)
            scale = fabs(element(want, i));
    for (int64_t i = 0; i < n; i++) {
        double a = element(got, i), b = element(want, i);
        if (a == b || (isnan(a) && isnan(b)) || (t == ROUNDED && (!isfinite(a) || !isfinite(b))))
            continue;
        if (t == EXACT || fabs(a - b) > 2e-4 * scale)
            return i;
    }
    return -1;
}

/* ---- one graph --------------------------------------------------------------------------------------------------- */

static gr_array *empty_like(const gr_tensor *x, int64_t batch)
{
    gr_shape s;
    gr_shape_bind(x->shape, batch, &s);
    return gr_array_new(x->dtype, s);
}

static void reset_variables(const graph *g)
{
    for (int i = 0; i < g->n_variables; i++)
        gr_variable_set(g->variable[i], g->start[i]);
}

static bool check_variables(const graph *g, gr_array *const *want, const trust *of, const char *what)
{
    bool good = true;
    for (int i = 0; good && i < g->n_variables; i++) {
        gr_array *now = gr_variable_get(g->variable[i]);
        trust t = of && g->assigned[i] ? of[g->assigned[i]->node->id] : EXACT;
        int64_t at = t == FRAGILE ? -1 : differ(now, want[i], t);
        good = GR_EXPECT(at < 0, "%s: variable %d differs at %lld: %.9g, expected %.9g", what, i, (long long)at,
            element(now, at < 0 ? 0 : at), element(want[i], at < 0 ? 0 : at));
        gr_array_free(now);
    }
    return good;
}

static bool run_with(graph *g, int threads, unsigned off, gr_array **out)
{
    gr_program_opts o = {.threads = threads, .passes_off = off, .verify = true};
    memcpy(o.inputs, g->input, (size_t)g->n_inputs * sizeof *g->input);
    memcpy(o.outputs, g->output, (size_t)g->n_outputs * sizeof *g->output);
    gr_program *p = gr_program_new_at(GR_HERE, g->tape, &o);
    bool good = p && gr_program_run(p, g->value, out) == GR_OK;
    if (good && !(off & GR_PASS_REUSE)) {
        gr_program_stats s = gr_program_plan(p);
        good = GR_EXPECT(s.arena_bytes <= s.lower_bound_bytes * 1.15 + 4096, "arena %lld, lower bound %lld",
            (long long)s.arena_bytes, (long long)s.lower_bound_bytes);
    }
    if (good && !g->n_variables) { /* once more, which would change variables */
        gr_array *none[OUTPUTS] = {0};
        int64_t before = gr_allocation_count();
        good = gr_program_run(p, g->value, none) == GR_OK &&
               GR_EXPECT(gr_allocation_count() == before, "%lld allocations in a second run",
                   (long long)(gr_allocation_count() - before));
    }
    if (!good)
        printf("%s\n", gr_error_message());
    gr_program_free(p);
    return good;
}

static bool check_outputs(
    const graph *g, gr_array *const *got, gr_array *const *want, const trust *of, const char *what)
{
    bool good = true;
    for (int i = 0; good && i < g->n_outputs; i++) {
        trust t = of ? of[g->output[i]->node->id] : EXACT;
        int64_t at = t == FRAGILE ? -1 : differ(got[i], want[i], t);
        good = GR_EXPECT(at < 0, "%s: output %d (%%%lld %s) differs at %lld: %.9g, expected %.9g", what, i,
            (long long)g->output[i]->node->id, g->output[i]->node->op->name, (long long)at,
            element(got[i], at < 0 ? 0 : at), element(want[i], at < 0 ? 0 : at));
    }
    return good;
}

static bool try_graph(graph *g)
{
    static const int threads[] = {1, 2, 3, 7};
    gr_array *want[OUTPUTS] = {0}, *got[OUTPUTS], *first[OUTPUTS], *after[VARIABLES] = {0};
    gr_binding bind[INPUTS];
    trust *of = calloc((size_t)g->tape->n_nodes + 1, sizeof *of);
    for (int i = 0; i < g->n_inputs; i++)
        bind[i] = (gr_binding){g->input[i], g->value[i]};
    gr_eval_opts o = {.n_bindings = g->n_inputs, .bindings = bind, .commit = true};
    reset_variables(g);
    if (gr_eval_with(g->n_outputs, g->output, want, &o) != GR_OK) { /* the data may be refused */
        gr_error_clear();
        free(of);
        return true;
    }
    find_trust(g, of);
    for (int i = 0; i < g->n_variables; i++)
        after[i] = gr_variable_get(g->variable[i]);
    for (int i = 0; i < g->n_outputs; i++) {
        got[i] = empty_like(g->output[i], g->batch);
        first[i] = empty_like(g->output[i], g->batch);
    }
    unsigned off = GR_PASS_INEXACT | GR_PASS_SERIAL | (below(g, 2) ? (unsigned)below(g, 1 << 10) : 0);
    bool good = true;
    for (int k = 0; good && k < 4; k++) {
        char what[80];
        snprintf(what, sizeof what, "%d threads, passes off %#x", threads[k], off);
        reset_variables(g);
        good = GR_EXPECT(run_with(g, threads[k], off, k ? got : first), "%s: does not run", what) &&
               check_outputs(g, k ? got : first, k ? first : want, k ? NULL : of, what) &&
               check_variables(g, after, k ? NULL : of, what);
        for (int i = 0; k == 0 && i < g->n_variables; i++) { /* from now on the same bits */
            gr_array_free(after[i]);
            after[i] = gr_variable_get(g->variable[i]);
        }
    }
    for (int i = 0; i < g->n_variables; i++)
        gr_array_free(after[i]);
    for (int i = 0; i < g->n_outputs; i++)
        gr_array_free(want[i]), gr_array_free(got[i]), gr_array_free(first[i]);
    free(of);
    return good;
}

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *s = getenv(name);
    return s ? strtoll(s, NULL, 10) : otherwise;
}

static void programs_compute_what_evaluation_computes(void)
{
    int64_t graphs = setting("GRAPE_FUZZ_GRAPHS", 1200), seed = setting("GRAPE_FUZZ_SEED", 1);
    int n_ops = 0, failures = 0;
    while (gr_op_at(n_ops))
        n_ops++;
    for (int64_t i = 0; i < graphs && failures < 3; i++) {
        graph g;
        make(&g, (uint64_t)(seed + i), n_ops);
        gr_error_clear();
        if (g.n_outputs && !try_graph(&g)) {
            printf("seed %lld: B = %lld\n%s", (long long)(seed + i), (long long)g.batch, g.text);
            failures++;
            gr_error_clear();
        }
        for (int k = 0; k < g.n_inputs; k++)
            gr_array_free(g.value[k]);
        for (int k = 0; k < g.n_variables; k++)
            gr_array_free(g.start[k]), gr_variable_free(g.variable[k]);
        gr_tape_free(g.tape);
    }
}

static void every_registered_op_was_drawn(void)
{
    if (setting("GRAPE_FUZZ_GRAPHS", 1200) < 1000) {
        gr_test_skip("a short run");
        return;
    }
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (op->traits & (GR_LEAF | GR_REGION | GR_EFFECT))
            continue;
        GR_EXPECT(drawn[i] > 0, "%s was never drawn", op->name);
    }
}

GR_SUITE("compiler/", GR_TEST(programs_compute_what_evaluation_computes), GR_TEST(every_registered_op_was_drawn))
