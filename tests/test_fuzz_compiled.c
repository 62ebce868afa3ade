/* Random graphs: what a program computes is what node-by-node evaluation computes.
 *
 * Elementwise results, and all results of graphs of whole numbers, must be equal bit for bit (a zero's sign apart),
 * other sums within a bound (fuzz_judge.h). Every registered op must be drawn. Each program runs with 1, 2, 3 and 7
 * threads, which must give the same bits, with no, one or a random choice of passes left out. GRAPE_FUZZ_GRAPHS=N makes
 * N graphs, GRAPE_FUZZ_SEED=S starts at seed S. */
#include "tests/fuzz_chains.h"
#include "tests/fuzz_judge.h"
#include "tests/harness.h"
#include <stdarg.h>

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

/* Says why a graph has failed. */
static bool holds(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool holds(bool good, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!good)
        vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return good;
}

static bool check_variables(const graph *g, gr_array *const *want, const trust *of, const char *what)
{
    bool good = true;
    for (int i = 0; good && i < g->n_variables; i++) {
        gr_array *now = gr_variable_get(g->variable[i]);
        trust t = of && g->assigned[i] ? of[g->assigned[i]->node->id] : EXACT;
        int64_t at = t == FRAGILE ? -1 : differ(now, want[i], t);
        at = at >= 0 && of && as_good(g, true, i, now, want[i], t) ? -1 : at;
        good = holds(at < 0, "%s: variable %d differs at %lld: %.9g, expected %.9g", what, i, (long long)at,
            element(now, at < 0 ? 0 : at), element(want[i], at < 0 ? 0 : at));
        gr_array_free(now);
    }
    return good;
}

static bool run_with(graph *g, int threads, gr_array **out)
{
    gr_program_opts o = {.threads = threads, .passes_off = g->off, .frozen = g->frozen, .verify = true};
    memcpy(o.inputs, g->input, (size_t)g->n_inputs * sizeof *g->input);
    memcpy(o.outputs, g->output, (size_t)g->n_outputs * sizeof *g->output);
    gr_program *p = gr_program_new_at(GR_HERE, g->tape, &o);
    bool good = holds(p && gr_program_run(p, g->value, out) == GR_OK, "%d threads: %s", threads, gr_error_message());
    gr_error_clear();
    if (good && !(g->off & GR_PASS_REUSE)) {
        gr_program_stats s = gr_program_plan(p);
        good = holds(s.arena_bytes <= s.lower_bound_bytes * 1.15 + 4096, "arena %lld, lower bound %lld",
            (long long)s.arena_bytes, (long long)s.lower_bound_bytes);
    }
    if (good && (!g->n_variables || g->frozen)) { /* once more, which would change variables */
        gr_array *none[OUTPUTS] = {0};
        int64_t before = gr_allocation_count();
        good = gr_program_run(p, g->value, none) == GR_OK &&
               holds(gr_allocation_count() == before, "%lld allocations in a second run",
                   (long long)(gr_allocation_count() - before));
    }
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
        at = at >= 0 && of && as_good(g, false, i, got[i], want[i], t) ? -1 : at;
        good = holds(at < 0, "%s: output %d (%%%lld %s) differs at %lld: %.9g, expected %.9g", what, i,
            (long long)g->output[i]->node->id, g->output[i]->node->op->name, (long long)at,
            element(got[i], at < 0 ? 0 : at), element(want[i], at < 0 ? 0 : at));
    }
    return good;
}

static bool agrees(graph *g)
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
    bool good = true;
    for (int k = 0; good && k < 4; k++) {
        char what[80];
        snprintf(what, sizeof what, "%d threads", threads[k]);
        reset_variables(g);
        good = run_with(g, threads[k], k ? got : first) &&
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
        GR_EXPECT(gr_error() == GR_OK, "seed %lld: %s", (long long)(seed + i), gr_error_message());
        gr_error_clear();
        if (g.n_outputs && !GR_EXPECT(agrees(&g), "seed %lld: %s", (long long)(seed + i), why)) {
            failures++;
            shrink(&g);
            tell(&g);
        }
        forget(&g);
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

/* ---- the fuzzer itself ------------------------------------------------------------------------------------------- */

/* y = x / 2 + 1, which claims that twice is as good as once. */
static gr_status halve_f32(const gr_call *c)
{
    for (int64_t i = c->begin; i < c->end; i++)
        ((float *)c->out[0].data)[i] = ((const float *)c->in[0].data)[i] / 2 + 1;
    return GR_OK;
}

/* The same again from the operand after the result is written: wrong where the two are one tile. */
static void halve_tile(const gr_tile *t)
{
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t k = 0; k < t->cols; k++) {
            float *y = (float *)t->y.data + r * t->y.row + k * t->y.col;
            const float *x = (const float *)t->x[0].data + r * t->x[0].row + k * t->x[0].col;
            *y = 1;
            *y += *x / 2;
        }
}

static void halve_lower(gr_lowering *l)
{
    l->kind = GR_LOWER_TILE;
    l->tile = halve_tile;
}

static const gr_op liar = {.abi = GR_ABI,
    .name = "test_liar",
    .n_in = 1,
    .infer = gr_infer_same,
    .traits = GR_ELEMENTWISE | GR_IDEMPOTENT | GR_NO_GRADIENT,
    .eval_f32 = halve_f32};
static const gr_op overwriter = {.abi = GR_ABI,
    .name = "test_overwriter",
    .n_in = 1,
    .infer = gr_infer_same,
    .traits = GR_ELEMENTWISE | GR_NO_GRADIENT,
    .eval_f32 = halve_f32,
    .lower = halve_lower};

static gr_tensor *apply(gr_tensor *x, const gr_op *op)
{
    return gr__apply_op_on(x->node->tape, GR_HERE, op, NULL, 1, &x);
}

static gr_status lying_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = out[1] = apply(apply(gr_add(in[0], in[1]), &liar), &liar);
    return gr_status_of(out[0]);
}

static gr_tensor *lying_loop(graph *g)
{
    gr_tensor *x = new_input(g, GR_F32, GR_SHAPE(5, 4), -2, 2), *h = new_input(g, GR_F32, GR_SHAPE(4), -2, 2), *out[2];
    gr_scan(out, .body = lying_step, .carries = &h, .n_carries = 1, .xs = &x, .n_xs = 1, .n_ys = 1);
    return out[1];
}

/* In the middle of a random graph: x, op(op(x)) or -op(tanh(x)) or a loop of the former, and what follows. */
static void plant(graph *g, uint64_t seed, const gr_op *op)
{
    start(g, seed);
    g->type = GR_F32;
    draw_free(g, 80);
    gr_tensor *x = kept(g, new_input(g, GR_F32, GR_SHAPE(g->size[0], 33), -2, 2));
    x = op == &liar ? apply(apply(x, op), op) : op ? gr_neg(apply(gr_tanh(x), op)) : lying_loop(g);
    kept(g, x);
    g->output[g->n_outputs++] = x;
    for (int i = 0; i < 6; i++)
        x = kept(g, elementwise(g, x));
    finish(g);
    g->off = GR_PASS_INEXACT | GR_PASS_SERIAL;
}

static void a_planted_fault_is_found_cut_down_and_blamed(void)
{
    const struct {
        const char *name;
        const gr_op *op; /* NULL: a loop */
        const char *blamed;
    } cases[] = {{"liar", &liar, "appears with pass 2 "}, {"overwriter", &overwriter, "GRAPE_GROUP_LIMIT: merge"},
        {"loop", NULL, "appears with pass 2 "}};
    gr_op_register(&liar);
    gr_op_register(&overwriter);
    for (int i = 0; i < 3; i++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            graph g;
            char fault[600];
            plant(&g, seed, cases[i].op);
            gr_error_clear();
            if (!g.batch || !GR_EXPECT(!agrees(&g), "%s, seed %d: not found", cases[i].name, (int)seed)) {
                forget(&g);
                continue;
            }
            shrink(&g);
            blame(&g, fault, sizeof fault);
            char *text = gr__graph_text(g.tape, g.n_outputs, g.output);
            GR_EXPECT(g.tape->n_nodes <= 5 && g.batch <= 2, "%s, seed %d: %lld nodes are left, B = %lld:\n%s",
                cases[i].name, (int)seed, (long long)g.tape->n_nodes, (long long)g.batch, text);
            GR_EXPECT(strstr(fault, cases[i].blamed), "%s, seed %d: %s\n%s", cases[i].name, (int)seed, fault, text);
            gr_tensor *result[OUTPUTS];
            int n = 0;
            gr_tape *again = gr__graph_parse(text, g.n_variables, g.variable, OUTPUTS, result, &n);
            GR_EXPECT(again && n == g.n_outputs && gr__tape_equal(again, g.tape), "%s", gr_error_message());
            gr_tape_free(again);
            gr_text_free(text);
            forget(&g);
        }
}

/* The sum of two, by a product too, and the mean of four: the signs cancel, what counts is partial sums. */
static void whole_numbers_are_exact_while_their_digits_have_room(void)
{
    static const double most[][2] = {{2097151.75, 2097152.25}, {8388607, 8388609}, {1048575.75, 1048576.25}};
    for (int what = 0; what < 3; what++)
        for (int more = 0; more < 2; more++) {
            graph g = {.kind = WHOLE_NUMBERS, .tape = gr_tape_new(), .batch = 1, .type = GR_F32};
            gr_tensor *x = new_input(&g, GR_F32, what == 2 ? GR_SHAPE(1, 2, 2, 1) : GR_SHAPE(2, 2), 0, 0), *y;
            for (int i = 0; i < 4; i++)
                put(g.value[0], i, i % 2 ? most[what][more] : -most[what][more]);
            if (what == 0)
                y = gr_sum(x, .axes = GR_SHAPE(1));
            else
                y = what == 1 ? gr_matmul(x, gr_ones(g.tape, GR_SHAPE(2, 1), GR_F32)) : gr_average_pool(x, GR_SHAPE(2));
            bool found = any_before(&g, gr_neg(y), needs_more_digits);
            GR_EXPECT(found == (more == 1), "case %d: %s", what, more ? "unseen" : "refused");
            forget(&g);
        }
}

static void a_sum_is_rounded_as_its_largest_partial_sum_may_be(void)
{
    graph g = {.kind = TAME_NUMBERS, .tape = gr_tape_new(), .batch = 1, .type = GR_F32};
    gr_tensor *x = new_input(&g, GR_F32, GR_SHAPE(2, 2), 0, 0), *sum = gr_sum(x, .axes = GR_SHAPE(1));
    for (int i = 0; i < 4; i++)
        put(g.value[0], i, i % 2 ? 4096 : -4096);
    CU_ASSERT_EQUAL(rounding(&g, sum), ldexp(1, 13 - 24));
    CU_ASSERT_EQUAL(rounding(&g, gr_reshape(sum, GR_SHAPE(2, 1))), ldexp(1, 13 - 24));
    CU_ASSERT_EQUAL(rounding(&g, gr_neg(sum)), 0); /* no sum */
    CU_ASSERT_EQUAL(rounding(&g, x), 0);
    forget(&g);
}

/* Loops too have a judge: the same steps in float64. */
static void every_scan_has_a_value_in_float64(void)
{
    int looked_at = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        graph g;
        start(&g, seed);
        g.kind = TAME_NUMBERS;
        g.batch = 3;
        g.size[0] = below(&g, 2) ? GR_BATCH : 3;
        g.type = GR_F32;
        draw_scan(&g);
        finish(&g);
        for (int i = 0; i < g.n_outputs; i++) {
            gr_array *right = exactly(&g, false, i), *rounded = evaluated(&g, g.output[i]);
            GR_EXPECT(right && rounded && gr_array_dtype(right) == GR_F64 && farthest(rounded, right) < 1e-3,
                "seed %d, output %d: %g from its value in float64", (int)seed, i,
                right && rounded ? farthest(rounded, right) : -1);
            gr_array_free(right);
            gr_array_free(rounded);
            looked_at++;
        }
        for (int i = 0; i < g.n_variables; i++) {
            gr_array *right = g.assigned[i] ? exactly(&g, true, i) : NULL;
            GR_EXPECT(right || !g.assigned[i], "seed %d: variable %d has no value in float64", (int)seed, i);
            gr_array_free(right);
        }
        forget(&g);
    }
    GR_EXPECT(looked_at > 200, "%d outputs", looked_at);
}

GR_SUITE("compiler/", GR_TEST(programs_compute_what_evaluation_computes), GR_TEST(every_registered_op_was_drawn),
    GR_TEST(a_planted_fault_is_found_cut_down_and_blamed), GR_TEST(every_scan_has_a_value_in_float64),
    GR_TEST(whole_numbers_are_exact_while_their_digits_have_room),
    GR_TEST(a_sum_is_rounded_as_its_largest_partial_sum_may_be))
