/* tests/fuzz_judge.h: how exactly results must agree. What only moves numbers, and every sum of whole numbers that has
 * room for all its digits, is exact; sums are rounded; what decides or blows up by a rounded number is fragile.
 *
 * A rounded result may differ by 2e-4 of the largest of its tensor. Where summands cancel that says nothing: the same
 * sum in another order may be farther off, and so may evaluation. There the judge is the graph in float64: a program
 * may be TIMES as far from it as evaluation in float32 is, no more; or, since some of evaluation adds up in double, as
 * the rounding of one addition of all the absolute values. What follows from dividing by zero may be anything,
 * since a zero's sign is nobody's promise. Included after fuzz_shrink.h. */
#ifndef GRAPE_TESTS_FUZZ_JUDGE_H
#define GRAPE_TESTS_FUZZ_JUDGE_H

#include "tests/fuzz_shrink.h"

enum { TIMES = 4 };
typedef enum { EXACT, ROUNDED, FRAGILE } trust;

/* Ops that may blow a last-bit difference up; among tame numbers only those that decide something. */
static bool amplifies(const gr_op *op, numbers kind)
{
    if (kind == TAME_NUMBERS)
        return (op->traits & GR_NO_GRADIENT) || strcmp(op->name, "max_pool_input_grad") == 0;
    static const char *const names[] = {
        "div", "reciprocal", "sqrt", "rsqrt", "log", "log1p", "pow", "prod", "exp", "expm1", "floor_divide", "sign"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op->name, names[i]) == 0)
            return true;
    return (op->traits & (GR_NO_GRADIENT | GR_EXPENSIVE)) || strstr(op->name, "max") || strstr(op->name, "min") ||
           strcmp(op->name, "where") == 0;
}

/* What has no lowering adds up, unless it only moves elements. */
static bool sums(const gr__node *n)
{
    static const char *const moves[] = {
        "concatenate", "pad", "unslice", "take", "take_along_axis", "gather", "max_pool", "one_hot", "stop_gradient"};
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (strcmp(n->op->name, moves[i]) == 0)
            return false;
    static const char *const sum_up[] = {"sum", "variance", "matmul", "prod"};
    for (size_t i = 0; i < sizeof sum_up / sizeof *sum_up; i++)
        if (strcmp(n->op->name, sum_up[i]) == 0)
            return true;
    return strstr(n->op->name, "conv") || strstr(n->op->name, "average_pool") ||
           (n->n_in && !(n->op->traits & GR_ELEMENTWISE) && !n->op->lower && gr_dtype_is_float(n->out[0].dtype));
}

static void find_trust(const graph *g, trust *of)
{
    for (int64_t id = 0; id < g->tape->n_nodes; id++) {
        const gr__node *n = g->tape->node[id];
        trust worst = g->frozen && n->n_in ? ROUNDED : EXACT; /* weights are rounded once more */
        for (int i = 0; i < n->n_in; i++) {
            trust t = of[n->in[i]->node->id];
            worst = t > worst ? t : worst;
        }
        if (worst == EXACT && g->kind != WHOLE_NUMBERS && sums(n))
            worst = ROUNDED;
        else if (worst == ROUNDED && amplifies(n->op, g->kind))
            worst = FRAGILE;
        of[id] = worst;
    }
}

static double element(const gr_array *a, int64_t i)
{
    return gr_array_size(a) ? gr_array_at(a, i) : 0;
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

/* ---- when nothing is exact --------------------------------------------------------------------------------------- */

/* Evaluation begins with the variables of before the step, so that those of now are put aside. */
static void put_aside(const graph *g, gr_array **now)
{
    for (int i = 0; i < g->n_variables; i++)
        now[i] = gr_variable_get(g->variable[i]);
}

static void put_back(const graph *g, gr_array **now)
{
    for (int i = 0; i < g->n_variables; i++) {
        gr_variable_set(g->variable[i], now[i]);
        gr_array_free(now[i]);
    }
    gr_error_clear();
}

/* Is there such a node on the way to x? */
static bool any_before(const graph *g, const gr_tensor *x, bool (*is)(const graph *g, const gr__node *n))
{
    bool *needed = calloc((size_t)g->tape->n_nodes + 1, sizeof *needed), found = false;
    gr_array *now[VARIABLES];
    put_aside(g, now);
    needed[x->node->id] = true;
    for (int64_t id = x->node->id; id >= 0 && !found; id--) {
        const gr__node *n = g->tape->node[id];
        for (int i = 0; needed[id] && i < n->n_in; i++)
            needed[n->in[i]->node->id] = true;
        found = needed[id] && n->n_in && is(g, n);
    }
    put_back(g, now);
    free(needed);
    return found;
}

static bool has_zero(const graph *g, gr_tensor *x)
{
    gr_array *value = evaluated(g, x);
    bool found = false;
    for (int64_t i = 0; value && !found && i < gr_array_size(value); i++)
        found = gr_array_at(value, i) == 0;
    gr_array_free(value);
    return found;
}

/* What a node divides by; NULL: it does not. */
static gr_tensor *divisor(const gr__node *n)
{
    static const char *const one[] = {"reciprocal", "rsqrt", "pow"};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        if (strcmp(n->op->name, one[i]) == 0)
            return n->in[0];
    return strcmp(n->op->name, "div") == 0 ? n->in[1] : NULL;
}

/* Exact rules may change the sign of a zero (ops/rules.h). */
static bool divides_by_zero(const graph *g, const gr__node *n)
{
    return divisor(n) && has_zero(g, divisor(n));
}

/* The largest power of two of which all elements are multiples, as an exponent. */
static int grain(const gr_array *a)
{
    int least = 1000;
    for (int64_t i = 0; i < gr_array_size(a); i++) {
        const double v = gr_array_at(a, i);
        int e = 0;
        int64_t k = isfinite(v) ? (int64_t)ldexp(frexp(v, &e), 53) : 0;
        for (e -= 53; k && k % 2 == 0; e++)
            k /= 2;
        least = k && e < least ? e : least;
    }
    return least;
}

/* What the op makes of the absolute values of its operands, in float64, which is at least as much as any partial sum;
 * *unit: the exponent of what all summands are multiples of. NULL: it does not add up. */
static gr_array *of_absolute_values(const graph *g, const gr__node *n, int *unit)
{
    gr_tensor *in[GR_SAMPLE_INPUTS], *y = GR_BAD;
    gr_binding bind[GR_SAMPLE_INPUTS];
    gr_tape *t = gr_tape_new();
    gr_array *most = NULL;
    int n_in = 0;
    bool good = sums(n) && n->n_in <= GR_SAMPLE_INPUTS;
    *unit = strstr(n->op->name, "average_pool") ? -2 : 0;
    for (; good && n_in < n->n_in; n_in++) {
        gr_array *a = evaluated(g, n->in[n_in]);
        if (!(good = a != NULL))
            break;
        const bool real = gr_dtype_is_float(gr_array_dtype(a));
        *unit += real ? grain(a) : 0;
        if (real)
            gr_array_cast(a, GR_F64);
        for (int64_t i = 0; real && i < gr_array_size(a); i++)
            ((double *)gr_array_data(a))[i] = fabs(((double *)gr_array_data(a))[i]);
        in[n_in] = gr_input(t, gr_array_dtype(a), gr_array_shape(a), "a");
        bind[n_in] = (gr_binding){in[n_in], a};
    }
    if (good)
        y = gr__apply_op_on(t, GR_HERE, n->op, n->attr, n_in, in);
    if (!gr__is_bad(y))
        gr_eval_with(1, &y, &most, &(gr_eval_opts){.n_bindings = n_in, .bindings = bind});
    for (int i = 0; i < n_in; i++)
        gr_array_free(bind[i].value);
    gr_tape_free(t);
    return most;
}

/* Whole numbers, and means of four of them, add up exactly in any order only if no partial sum has more digits than the
 * type. */
static bool needs_more_digits(const graph *g, const gr__node *n)
{
    int unit;
    gr_array *most = of_absolute_values(g, n, &unit);
    bool more = false;
    for (int64_t i = 0; most && i < gr_array_size(most); i++)
        more = more || !(gr_array_at(most, i) <= ldexp(1, (g->type == GR_F64 ? 53 : 24) + unit));
    gr_array_free(most);
    return more;
}

/* Half a unit in the last place of the largest sum of absolute values that x is, or moves about; 0: it is no sum. */
static double rounding(const graph *g, const gr_tensor *x)
{
    const gr__node *n = x->node;
    gr_array *now[VARIABLES], *sum;
    double most = 0;
    int unit;
    while (n->op == &gr_op_assign || (n->n_in == 1 && !sums(n) && !(n->op->traits & GR_ELEMENTWISE)))
        n = n->in[n->op == &gr_op_assign]->node;
    put_aside(g, now);
    sum = of_absolute_values(g, n, &unit);
    for (int64_t i = 0; sum && i < gr_array_size(sum); i++)
        most = fmax(most, gr_array_at(sum, i));
    gr_array_free(sum);
    put_back(g, now);
    return isfinite(most) ? ldexp(most, g->type == GR_F64 ? -53 : -24) : 0;
}

/* ---- float64 ----------------------------------------------------------------------------------------------------- */

static double farthest(const gr_array *a, const gr_array *from)
{
    double most = 0;
    for (int64_t i = 0; i < gr_array_size(a); i++) {
        double d = fabs(gr_array_at(a, i) - gr_array_at(from, i));
        most = d <= most ? most : d; /* a NaN is the farthest */
    }
    return most;
}

/* Output i, or the new value of variable i, in float64, loops written out; NULL if the graph is not one of floats
 * alone. */
static gr_array *exactly(const graph *g, bool variable, int i)
{
    change c = nothing;
    graph h;
    gr_array *value = NULL;
    c.doubled = c.flat = true;
    if (changed_copy(g, &c, &h)) {
        int k = 0;
        for (int v = 0; variable && v < i; v++)
            k += g->assigned[v] != NULL;
        gr_tensor *x = variable ? h.assigned[k] : h.output[i];
        value = gr__is_bad(x) || x->dtype != GR_F64 ? NULL : evaluated(&h, x);
    }
    gr_error_clear();
    forget(&h);
    return value;
}

/* Is the program's result, for all that it differs, as good as evaluation's? */
static bool as_good(const graph *g, bool variable, int i, const gr_array *got, const gr_array *want, trust t)
{
    gr_tensor *x = variable ? g->assigned[i] : g->output[i];
    if (t == EXACT && x && g->kind == WHOLE_NUMBERS && any_before(g, x, needs_more_digits)) {
        t = ROUNDED;
        if (differ(got, want, t) < 0)
            return true;
    }
    if (t != ROUNDED)
        return x && g->kind == ANY_NUMBERS && any_before(g, x, divides_by_zero);
    gr_array *right = exactly(g, variable, i);
    bool good = right && gr_shape_equal(gr_array_shape(right), gr_array_shape(got)) &&
                farthest(got, right) <= TIMES * fmax(farthest(want, right), rounding(g, x));
    gr_array_free(right);
    return good;
}

#endif
