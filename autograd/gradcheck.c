/* autograd/gradcheck.c: the engine of gradient checks. See gradcheck.h.
 *
 * The function, its gradient and, if asked, the gradient of that are recorded once on one tape; then the inputs'
 * elements are moved one by one (or along random directions, if they are many) and the results evaluated node by node.
 * Read next: gradcheck_explain.c, which says what is likely wrong; gradcheck_op.c, which draws an op's samples. */
#include "autograd/gradcheck_impl.h"
#include "autograd/grad.h"
#include "core/node.h"
#include "core/size.h"
#include <math.h>
#include <string.h>

enum { SMALL = 200, SMALL_SECOND = 24, DIRECTIONS = 8, PICKED = 30 };
enum { VARIABLES = 64, WANTED = GR_GRADCHECK_MAX + VARIABLES, ALL = WANTED + GR_GRADCHECK_MAX };

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

/* SplitMix64: Steele, Lea, Flood 2014 */
uint64_t gr__check_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double gr__check_uniform(uint64_t *state)
{
    return ((double)(gr__check_bits(state) >> 11) + 0.5) * 0x1p-53;
}

double gr__check_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(gr__check_uniform(state)));
    return radius * cos(6.283185307179586 * gr__check_uniform(state));
}

/* ---- the two derivatives ----------------------------------------------------------------------------------------- */

double gr__check_step(double x)
{
    return 1e-5 * (fabs(x) > 1 ? fabs(x) : 1);
}

bool gr__check_agrees(double analytic, double numeric)
{
    return fabs(analytic - numeric) <= 1e-7 + 1e-6 * fabs(numeric); /* false if either is NaN */
}

static void free_arrays(int n, gr_array **a)
{
    for (int i = 0; i < n; i++) {
        gr_array_free(a[i]);
        a[i] = NULL;
    }
}

/* sum of cotangent * (result at one point - result at the other), summed from differences so that nothing cancels */
static double difference(const gr__check *c, gr_array *const *plus, gr_array *const *minus)
{
    long double sum = 0;
    for (int o = 0; o < c->n_out; o++) {
        const double *p = gr_array_data(plus[o]), *m = gr_array_data(minus[o]);
        for (int64_t i = 0, n = gr_array_size(plus[o]); i < n; i++)
            sum += (long double)c->cotangent[o][i] * ((long double)p[i] - m[i]);
    }
    return (double)sum;
}

/* The difference of the function between x + move and x - move, with the moves given for input i (element k alone if
 * k >= 0). `moved` gives the actual distance of element k. */
static gr_status evaluate_both(const gr__check *c, int i, int64_t k, const double *move, double *diff, double *moved)
{
    const gr__checked *in = &c->in[i];
    gr_array *plus[WANTED] = {NULL}, *minus[WANTED] = {NULL};
    int64_t from = k < 0 ? 0 : k, n = k < 0 ? in->n : 1;
    double *old = gr__alloc(n, sizeof *old);
    if (!old)
        return GR_EMEM;
    memcpy(old, in->value + from, (size_t)n * sizeof *old);
    long double along = 0;
    for (int64_t e = 0; e < n; e++)
        in->value[from + e] = old[e] + move[e];
    gr_status s = gr_eval_with(c->n_out, c->out, plus, &c->eval);
    for (int64_t e = 0; e < n; e++) {
        double up = in->value[from + e], down = in->value[from + e] = old[e] - move[e];
        along += k < 0 ? (long double)in->analytic[e] * ((long double)up - down) : (long double)up - down;
    }
    if (s == GR_OK)
        s = gr_eval_with(c->n_out, c->out, minus, &c->eval);
    memcpy(in->value + from, old, (size_t)n * sizeof *old);
    if (s == GR_OK) {
        *diff = difference(c, plus, minus);
        *moved = (double)along;
    }
    free_arrays(c->n_out, plus);
    free_arrays(c->n_out, minus);
    gr__free(old);
    return s;
}

gr_status gr__check_numeric(const gr__check *c, int i, int64_t k, double h, double *slope)
{
    double diff = 0, moved = 1;
    GR_TRY(evaluate_both(c, i, k, &h, &diff, &moved));
    *slope = diff / moved;
    return GR_OK;
}

static gr_status check_element(const gr__check *c, int i, int64_t k)
{
    double numeric = 0;
    GR_TRY(gr__check_numeric(c, i, k, gr__check_step(c->in[i].value[k]), &numeric));
    return gr__check_agrees(c->in[i].analytic[k], numeric) ? GR_OK : gr__check_explain(c, i, k);
}

/* One direction of unit norm. A failure looks for the element behind it. */
static gr_status check_direction(const gr__check *c, int i, uint64_t *random, double *move)
{
    const gr__checked *in = &c->in[i];
    double norm = 0, most = 1, diff = 0, along = 0;
    for (int64_t e = 0; e < in->n; e++) {
        move[e] = gr__check_normal(random);
        norm += move[e] * move[e];
        most = fabs(in->value[e]) > most ? fabs(in->value[e]) : most;
    }
    double h = 1e-5 * most, scale = h / sqrt(norm);
    for (int64_t e = 0; e < in->n; e++)
        move[e] *= scale;
    GR_TRY(evaluate_both(c, i, -1, move, &diff, &along));
    if (gr__check_agrees(along / (2 * h), diff / (2 * h)))
        return GR_OK;
    for (int64_t k = 0; k < in->n; k++)
        GR_TRY(check_element(c, i, k));
    return gr_fail(GR_EGRAD, c->at,
        "%s: argument %s: expected a %sgradient of %.9g (numeric) along a random direction, found %.9g (analytic); "
        "each "
        "element agrees by itself",
        c->name, in->name, c->order, diff / (2 * h), along / (2 * h));
}

/* Elements worth a look of their own: the ends, the middle, both sides of powers of two, and some at random. */
static int64_t pick(int j, int64_t n, uint64_t *random)
{
    if (j < 4)
        return (const int64_t[]){0, n - 1, n / 2, n / 2 - 1}[j];
    int64_t edge = INT64_C(1) << (j / 2 + 1);
    if (j < 22 && edge <= n - 1)
        return j % 2 ? edge : edge - 1;
    return (int64_t)(gr__check_bits(random) % (uint64_t)n);
}

static gr_status check_input(const gr__check *c, int i)
{
    const gr__checked *in = &c->in[i];
    uint64_t random = c->seed + 1000 * (uint64_t)i;
    if (in->n <= c->small) {
        for (int64_t k = 0; k < in->n; k++)
            GR_TRY(check_element(c, i, k));
        return GR_OK;
    }
    double *move = gr__alloc(in->n, sizeof *move);
    gr_status s = move ? GR_OK : GR_EMEM;
    int picked = in->n > SMALL ? PICKED : 6;
    for (int j = 0; j < picked && s == GR_OK; j++)
        s = check_element(c, i, pick(j, in->n, &random));
    for (int j = 0; j < DIRECTIONS && s == GR_OK; j++)
        s = check_direction(c, i, &random, move);
    gr__free(move);
    return s;
}

static double gradient_norm(const gr__check *c)
{
    double sum = 0;
    for (int i = 0; i < c->n_in; i++)
        for (int64_t k = 0; k < c->in[i].n; k++)
            sum += c->in[i].analytic[k] * c->in[i].analytic[k];
    return sqrt(sum);
}

static gr_status check_all(const gr__check *c)
{
    for (int i = 0; i < c->n_in; i++)
        GR_TRY(check_input(c, i));
    return GR_OK;
}

/* ---- recording: the function, its gradient, the gradient of that ------------------------------------------------- */

typedef struct {
    gr_tape *tape;
    const gr_gradcheck_opts *o;
    gr_at at;
    const char *name;
    gr_binding binding[GR_GRADCHECK_MAX + ALL];
    int n_bindings;
    gr_array *own[ALL]; /* cotangents */
    int n_own;
    gr__checked *checked; /* inputs, variables, then cotangents of the first order */
    int n_checked, n_wanted;
    gr_tensor *out[GR_GRADCHECK_MAX];
    double *out_cotangent[GR_GRADCHECK_MAX];
    gr_tensor *dy[GR_GRADCHECK_MAX];
    int n_out;
    uint64_t random;
} session;

/* A float64 array of random normal numbers, bound to a new input. */
static gr_tensor *cotangent(session *s, const gr_tensor *like, double **data)
{
    gr_array *a = gr_array_new(GR_F64, like->shape);
    if (!a)
        return GR_BAD;
    s->own[s->n_own++] = a;
    *data = gr_array_data(a);
    for (int64_t i = 0, n = gr_array_size(a); i < n; i++)
        (*data)[i] = gr__check_normal(&s->random);
    gr_tensor *x = gr_input_at(s->at, s->tape, GR_F64, like->shape, "cotangent");
    s->binding[s->n_bindings++] = (gr_binding){x, a};
    return x;
}

static void add_checked(session *s, gr_tensor *x, double *value, int64_t n, const char *name)
{
    gr__checked *c = &s->checked[s->n_checked++];
    *c = (gr__checked){.x = x, .shape = x->shape, .value = value, .n = n};
    snprintf(c->name, sizeof c->name, "%s", name);
}

static gr_status add_inputs(session *s, gr_tensor **in)
{
    for (int i = 0; i < s->o->n_in; i++) {
        gr_array *a = s->o->in[i];
        char name[64];
        if (!a || !gr_array_is_contiguous(a) || gr_array_dtype(a) == GR_F32)
            return gr_fail(GR_EARG, s->at,
                "%s: argument in: expected contiguous arrays, floats as float64, found %s at [%d]", s->name,
                !a                            ? "NULL"
                : gr_array_dtype(a) == GR_F32 ? "float32"
                                              : "a view with gaps",
                i);
        snprintf(name, sizeof name, "in[%d]", i);
        const char *called = s->o->in_names[i] ? s->o->in_names[i] : name;
        in[i] = gr_input_at(s->at, s->tape, gr_array_dtype(a), gr_array_shape(a), called);
        GR_TRY(gr_status_of(in[i]));
        s->binding[s->n_bindings++] = (gr_binding){in[i], a};
        if (gr_array_dtype(a) == GR_F64)
            add_checked(s, in[i], gr_array_data(a), gr_array_size(a), called);
    }
    for (int i = 0; i < s->o->n_variables; i++) {
        gr_variable *v = s->o->variables[i];
        if (!v || v->dtype != GR_F64)
            return gr_fail(GR_EDTYPE, s->at, "%s: argument variables: expected float64, found %s at [%d]", s->name,
                v ? gr_dtype_name(v->dtype) : "NULL", i);
        gr_tensor *x = gr_read_at(s->at, s->tape, v);
        GR_TRY(gr_status_of(x));
        add_checked(s, x, v->data, gr_shape_size(v->shape), v->path);
    }
    s->n_wanted = s->n_checked;
    return GR_OK;
}

/* Every op must have a float64 eval. Regions are few levels deep. */
static gr_status check_double(const gr_tape *t, const char *name)
{
    for (int64_t id = 0; id < t->n_nodes; id++) {
        const gr__node *n = t->node[id];
        if (!(n->op->traits & (GR_LEAF | GR_REGION)) && !n->op->eval_f64 && gr__node_is_f64(n))
            return gr_fail(GR_EMISSING, n->at,
                "%s: %s is float32 only: expected .eval_f64, in which gradients are checked, found none", name,
                n->op->name);
        for (int i = 0; i < n->n_regions; i++)
            GR_TRY(check_double(n->region[i]->tape, name));
    }
    return GR_OK;
}

static gr_status build(session *s)
{
    gr_tensor *in[GR_GRADCHECK_MAX], *all[GR_GRADCHECK_MAX] = {NULL};
    int n_out = s->o->n_out ? s->o->n_out : 1;
    GR_TRY(add_inputs(s, in));
    GR_TRY(s->o->fn(s->o->ctx, s->tape, s->o->n_in, in, n_out, all));
    for (int i = 0; i < n_out; i++) {
        GR_TRY(gr_status_of(all[i]));
        if (all[i]->dtype == GR_F32 || gr_shape_is_symbolic(all[i]->shape))
            return gr_fail(GR_EDTYPE, s->at, "%s: expected float64 results of known shape, found %s at [%d]", s->name,
                all[i]->dtype == GR_F32 ? "float32" : "a batch", i);
        if (all[i]->dtype != GR_F64)
            continue; /* integers and bools are flat */
        int k = s->n_out++;
        s->out[k] = all[i];
        s->dy[k] = cotangent(s, all[i], &s->out_cotangent[k]);
        GR_TRY(gr_status_of(s->dy[k]));
    }
    return check_double(s->tape, s->name);
}

/* Records the gradient of `out` by the checked inputs and evaluates it. */
static gr_status differentiate(session *s, gr__check *c, gr_tensor *const *dy, gr_tensor **grads)
{
    gr_tensor *wrt[ALL];
    gr_array *value[ALL] = {NULL};
    for (int i = 0; i < c->n_in; i++)
        wrt[i] = c->in[i].x;
    gr_status status = gr_grad_with_at(s->at, c->n_out, c->out, dy, wrt, c->n_in, grads);
    if (status == GR_OK)
        status = check_double(s->tape, s->name);
    if (status == GR_OK)
        status = gr_eval_with(c->n_in, grads, value, &c->eval);
    for (int i = 0; i < c->n_in && status == GR_OK; i++) {
        gr__free(c->in[i].analytic);
        c->in[i].analytic = gr__alloc(c->in[i].n, sizeof(double));
        if (c->in[i].analytic)
            memcpy(c->in[i].analytic, gr_array_data(value[i]), (size_t)c->in[i].n * sizeof(double));
        else
            status = GR_EMEM;
    }
    free_arrays(c->n_in, value);
    return status;
}

static gr_status check_second(session *s, gr_tensor *const *grads)
{
    gr_tensor *out[ALL], *dv[ALL], *grads2[ALL];
    double *v[ALL];
    gr__check c = {.at = s->at,
        .name = s->name,
        .order = "second-order ",
        .in = s->checked,
        .out = out,
        .cotangent = v,
        .small = SMALL_SECOND,
        .seed = s->o->seed + 7};
    for (int i = 0; i < s->n_wanted; i++) {
        int k = c.n_out++;
        out[k] = grads[i];
        dv[k] = cotangent(s, grads[i], &v[k]);
        GR_TRY(gr_status_of(dv[k]));
    }
    for (int i = 0; i < s->n_out; i++) /* the gradient is a function of the cotangents too, a linear one */
        add_checked(s, s->dy[i], s->out_cotangent[i], gr_shape_size(s->dy[i]->shape), "cotangent");
    c.n_in = s->n_checked;
    c.eval = (gr_eval_opts){.n_bindings = s->n_bindings, .bindings = s->binding, .seed = s->o->seed};
    GR_TRY(differentiate(s, &c, dv, grads2));
    return check_all(&c);
}

static gr_status run(session *s, double *norm)
{
    gr_tensor *grads[ALL];
    int64_t elements = 0;
    GR_TRY(build(s));
    gr__check c = {.at = s->at,
        .name = s->name,
        .order = "",
        .n_in = s->n_wanted,
        .n_out = s->n_out,
        .in = s->checked,
        .out = s->out,
        .cotangent = s->out_cotangent,
        .small = SMALL,
        .seed = s->o->seed};
    c.eval = (gr_eval_opts){.n_bindings = s->n_bindings, .bindings = s->binding, .seed = s->o->seed};
    for (int i = 0; i < s->n_wanted; i++)
        elements += s->checked[i].n;
    if (s->n_wanted == 0 || s->n_out == 0)
        return s->o->allow_zero
                   ? GR_OK
                   : gr_fail(GR_EGRAD, s->at, "%s: expected float64 inputs and results, found none", s->name);
    GR_TRY(differentiate(s, &c, s->dy, grads));
    GR_TRY(check_all(&c));
    *norm = gradient_norm(&c);
    if (!(*norm > 1e-3) && elements > 0 && !s->o->allow_zero)
        return gr_fail(GR_EGRAD, s->at,
            "%s: expected a gradient that is not zero, found norm %.3g: zero against zero shows nothing (.allow_zero)",
            s->name, *norm);
    return s->o->second ? check_second(s, grads) : GR_OK;
}

static gr_status check_opts(gr_at at, const gr_gradcheck_opts *o)
{
    const int most = GR_GRADCHECK_MAX;
    if (!o || !o->fn)
        return gr_fail(GR_EARG, at, "gradcheck: argument fn: expected a function, found NULL");
    if (o->n_in < 0 || o->n_in > most || o->n_out < 0 || o->n_out > most || o->n_variables < 0 ||
        o->n_variables > VARIABLES)
        return gr_fail(GR_EARG, at,
            "gradcheck: arguments n_in, n_out, n_variables: expected 0 .. %d, %d, %d, found %d, %d, %d", most, most,
            (int)VARIABLES, o->n_in, o->n_out, o->n_variables);
    return GR_OK;
}

static gr_status gradcheck(gr_at at, const gr_gradcheck_opts *o, double *norm)
{
    GR_TRY(check_opts(at, o));
    session *s = gr__alloc(1, sizeof *s);
    gr_status status = s ? GR_OK : GR_EMEM;
    if (s) {
        s->o = o;
        s->at = at;
        s->name = o->name ? o->name : "gradcheck";
        s->random = o->seed;
        s->tape = gr_tape_new();
        s->checked = gr__alloc(ALL, sizeof *s->checked);
        status = s->tape && s->checked ? run(s, norm) : GR_EMEM;
        for (int i = 0; i < s->n_checked; i++)
            gr__free(s->checked[i].analytic);
        gr__free(s->checked);
        free_arrays(s->n_own, s->own);
        gr_tape_free(s->tape);
        gr__free(s);
    }
    return status;
}

gr_status gr_gradcheck_fn_at(gr_at at, const gr_gradcheck_opts *opts)
{
    double norm = 0;
    return gradcheck(at, opts, &norm);
}

/* The same, and the norm of the gradient. */
gr_status gr__gradcheck_norm(gr_at at, const gr_gradcheck_opts *opts, double *norm)
{
    *norm = 0;
    return gradcheck(at, opts, norm);
}
