/* tests/fuzz_graph.h: random graphs. A free one draws ops from the registry, on tensors it has or on inputs of one of
 * the op's samples; fuzz_chains.h draws what networks are made of. Half of all get a gradient, most variables a new
 * value. Included once, by test_fuzz_compiled.c. */
#ifndef GRAPE_TESTS_FUZZ_GRAPH_H
#define GRAPE_TESTS_FUZZ_GRAPH_H

#include "autograd/grad.h"
#include "compiler/program.h"
#include "core/mem.h"
#include "core/node.h"
#include "ops/ops.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 64, INPUTS = 40, OUTPUTS = 16, STEPS = 26, OPS = 400, VARIABLES = 8 };

/* What the numbers of a graph are like. */
typedef enum {
    ANY_NUMBERS,
    WHOLE_NUMBERS, /* small ones, and only ops that are exact on them: every sum comes out exactly, in whatever order */
    TAME_NUMBERS   /* and only ops that do not blow small differences up */
} numbers;

typedef struct {
    uint64_t random;
    numbers kind;
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
    unsigned off;  /* passes left out */
    bool frozen;   /* a predictor's: no gradient, nothing is assigned, and weights may take in factors and offsets */
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

static void make_whole(gr_array *a)
{
    for (int64_t i = 0; i < gr_array_size(a); i++)
        put(a, i, round(gr_array_at(a, i)));
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
    if (g->kind == WHOLE_NUMBERS)
        make_whole(a);
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

static gr_tensor *new_variable(graph *g, gr_shape shape, double lo, double hi)
{
    gr_shape_bind(shape, g->batch, &shape);
    int i = g->n_variables++;
    g->variable[i] = gr_variable_new("v", g->type, shape, true);
    g->start[i] = gr_array_new(g->type, shape);
    for (int64_t k = 0; k < gr_array_size(g->start[i]); k++)
        put(g->start[i], k, uniform(g, lo, hi));
    if (g->kind == WHOLE_NUMBERS)
        make_whole(g->start[i]);
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
    keep(g, x);
}

/* Gradients are outputs; those of variables may become part of their new values. */
static void add_gradient(graph *g)
{
    gr_tensor *wrt[INPUTS + VARIABLES], *grad[INPUTS + VARIABLES], *y = NULL;
    int n = 0;
    for (int i = g->n_pool - 1; i >= 0 && !y; i--)
        if (g->pool[i]->dtype == g->type)
            y = g->pool[i];
    for (int i = 0; i < g->n_variables; i++)
        wrt[n++] = gr_read(g->tape, g->variable[i]);
    for (int i = 0; i < g->n_inputs; i++)
        if (g->input[i]->dtype == g->type)
            wrt[n++] = g->input[i];
    if (!y || !n)
        return;
    gr_tensor *by = g->kind == ANY_NUMBERS ? y : new_input(g, g->type, y->shape, -1, 1);
    gr_tensor *loss = gr_sum(gr_mul(y, by));
    if (gr_grad(loss, wrt, n, grad) != GR_OK) {
        gr_error_clear();
        return;
    }
    for (int i = 0; i < n && g->n_outputs < OUTPUTS; i++) {
        g->output[g->n_outputs++] = grad[i];
        if (i < g->n_variables)
            keep(g, grad[i]);
    }
}

static void draw_free(graph *g, int n_ops)
{
    for (int i = (int)below(g, 4) + 1; i > 0; i--)
        keep(g, new_input(g, g->type, some_shape(g), -2, 2));
    for (int i = (int)below(g, 4); i > 0 && below(g, 2); i--)
        keep(g, new_variable(g, some_shape(g), -2, 2));
    for (int i = (int)below(g, STEPS) + 3; i > 0; i--)
        draw_op(g, (int)below(g, n_ops));
}

static void start(graph *g, uint64_t seed)
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
}

/* Outputs, gradient and assignments; which passes are left out: none, one, or any. */
static void finish(graph *g)
{
    for (int i = g->n_pool - 1; i >= 0 && g->n_outputs < 4; i -= (int)below(g, 3) + 1)
        g->output[g->n_outputs++] = g->pool[i];
    if (!g->frozen && below(g, 2))
        add_gradient(g);
    if (!g->frozen)
        assign_variables(g);
    int64_t how = below(g, 4);
    g->off = (g->frozen ? 0 : GR_PASS_INEXACT) | (below(g, 8) ? GR_PASS_SERIAL : 0);
    g->off |= how == 0 ? 0 : how < 3 ? 1u << below(g, 14) : (unsigned)below(g, 1 << 14);
}

static void forget(graph *g)
{
    for (int k = 0; k < g->n_inputs; k++)
        gr_array_free(g->value[k]);
    for (int k = 0; k < g->n_variables; k++)
        gr_array_free(g->start[k]), gr_variable_free(g->variable[k]);
    gr_tape_free(g->tape);
    *g = (graph){0};
}

#endif
