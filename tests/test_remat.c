/* What the backward pass computes again: by the rule of compiler/remat.c, with the same bits, in less memory. */
#include "autograd/grad.h"
#include "compiler/graph.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the rule ---------------------------------------------------------------------------------------------------- */

enum { WIDE = 1 << 14 }; /* times 32 examples: 2 MiB */

typedef struct {
    gr_tape *tape;
    gr_tensor *a, *b; /* [B, n], kept: the backward pass reads them, and no view is computed again */
    gr_tensor *w;     /* [n], an input */
    gr_tensor *also;  /* what the backward pass reads besides; NULL */
} values;
typedef gr_tensor *(*body)(values *v);

static gr_tensor *activation(values *v)
{
    return gr_relu(gr_add(gr_mul(v->a, v->w), v->w));
}
static gr_tensor *in_another_shape(values *v)
{
    return gr_reshape(gr_relu(gr_mul(v->a, v->w)), GR_SHAPE(GR_BATCH, 2, WIDE / 2));
}
static gr_tensor *of_two(values *v)
{
    return gr_relu(gr_add(v->a, v->b));
}
static gr_tensor *of_one_twice(values *v)
{
    return gr_mul(v->a, gr_relu(v->a));
}
static gr_tensor *dear(values *v)
{
    return gr_gelu_tanh(v->a);
}
static gr_tensor *too_dear(values *v)
{
    return gr_tanh(gr_gelu_tanh(v->a));
}
static gr_tensor *a_mask(values *v)
{
    return gr_greater(v->a, v->w);
}
static gr_tensor *of_a_product(values *v)
{
    gr_tensor *square = gr_reshape(v->w, GR_SHAPE(1, WIDE));
    return gr_relu(gr_matmul(gr_sum(v->a, .axes = GR_SHAPE(1), .keepdims = true), square));
}
static gr_tensor *of_small_ones(values *v)
{
    return gr_mul(gr_sum(v->a, .axes = GR_SHAPE(1), .keepdims = true), v->w);
}
static gr_tensor *with_random_numbers(values *v)
{
    return gr_mul(v->w, gr_random_uniform(v->tape, v->a->shape));
}
static gr_tensor *of_another_such(values *v)
{
    v->also = gr_relu(gr_mul(v->a, v->w));
    return gr_abs(gr_add(v->also, v->w));
}

static gr_tensor *of_a_result_not_read(values *v)
{
    gr_tensor *pooled = gr_max_pool(gr_reshape(v->a, GR_SHAPE(GR_BATCH, WIDE / 128, 128, 1)), GR_SHAPE(2));
    v->also = gr_result(pooled, 1);
    return gr_relu(pooled);
}

typedef struct {
    gr__graph graph;
    int64_t clones, nodes;
} judged;

static void count(judged *j)
{
    j->clones = 0;
    j->nodes = j->graph.tape->n_nodes;
    for (int64_t id = 0; id < j->nodes; id++)
        j->clones += j->graph.tape->node[id]->clone == GR__REMAT;
}

/* A forward pass that makes f(..), a backward pass that reads it. */
static judged judge(body f, int64_t n, bool small_too)
{
    judged j = {0};
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, n), "x"), *w = gr_input(t, GR_F32, GR_SHAPE(n), "w");
    values v = {t, gr_flip(x, 1), gr_flip(gr_neg(x), 1), w, NULL};
    gr_tensor *y = f(&v), *out = gr_sum(gr_cast(y, GR_F32));
    t->phase = GR_PHASE_BACKWARD;
    gr_tensor *back = y->dtype == GR_BOOL ? gr_logical_not(y) : gr_neg(y);
    gr_tensor *sum = gr_add(gr_square(v.a), gr_square(v.b));
    gr_program_opts o = {
        .inputs = {x, w}, .outputs = {out, back, sum, v.also ? gr_neg(gr_cast(v.also, GR_F32)) : NULL}};
    if (GR_EXPECT(gr_error() == GR_OK && gr__graph_trace(&j.graph, t, &o) == GR_OK, "%s", gr_error_message())) {
        CU_ASSERT_EQUAL(gr__pass_remat(&j.graph, small_too), GR_OK);
        GR_EXPECT(gr__graph_verify(&j.graph, "remat") == GR_OK, "%s", gr_error_message());
        count(&j);
    }
    gr_tape_free(t);
    return j;
}

static void cheap_values_of_kept_ones_are_computed_again(void)
{
    static const struct {
        const char *why;
        body f;
        int64_t n;
        bool small_too;
        int clones;
    } rows[] = {
        {"an activation of what is scaled and shifted", activation, WIDE, false, 3},
        {"small values stay in the cache", activation, 64, false, 0},
        {"small values, if the pass 'keep' is off", activation, 64, true, 3},
        {"a reshape is read", in_another_shape, WIDE, false, 3},
        {"two operands are more to read than the value", of_two, WIDE, false, 0},
        {"one operand twice", of_one_twice, WIDE, false, 2},
        {"one transcendental function", dear, WIDE, false, 1},
        {"two of them take too long", too_dear, WIDE, false, 0},
        {"a mask is smaller than its operand", a_mask, WIDE, false, 0},
        {"a product is not computed again, nor what follows from it", of_a_product, WIDE, false, 0},
        {"small operands are kept for it", of_small_ones, WIDE, false, 1},
        {"random numbers", with_random_numbers, WIDE, false, 0},
        {"another result of the operand's op is read, not the operand", of_a_result_not_read, WIDE, false, 0},
        {"what follows from another one", of_another_such, WIDE, false, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        judged j = judge(rows[i].f, rows[i].n, rows[i].small_too);
        GR_EXPECT(j.clones == rows[i].clones, "%s: %d nodes instead of %d", rows[i].why, (int)j.clones, rows[i].clones);
        gr__graph_free(&j.graph);
    }
}

static void copies_are_not_merged_with_what_they_copy(void)
{
    judged j = judge(activation, 64, true), before = j;
    CU_ASSERT_EQUAL(gr__pass_cse(&j.graph), GR_OK);
    CU_ASSERT_EQUAL(gr__pass_simplify(&j.graph, true), GR_OK);
    count(&j);
    CU_ASSERT_EQUAL(j.clones, before.clones);
    CU_ASSERT_EQUAL(j.nodes, before.nodes);
    gr__graph_free(&j.graph);
}

/* ---- whole programs ---------------------------------------------------------------------------------------------- */

enum { INPUTS = 12, LAYERS = 4, BATCHES = 32 };
typedef struct {
    gr_tape *tape;
    gr_tensor *in[INPUTS + 1], *out[INPUTS + 2]; /* loss and gradients */
} net;

static gr_tensor *input(net *n, gr_shape s)
{
    int i = 0;
    while (n->in[i])
        i++;
    return n->in[i] = gr_input(n->tape, GR_F32, s, "x");
}

static void differentiate(net *n, gr_tensor *y)
{
    int count = 0;
    while (n->in[count])
        count++;
    n->out[0] = gr_mean(gr_square(y));
    CU_ASSERT_EQUAL_FATAL(gr_grad(n->out[0], n->in, count, n->out + 1), GR_OK);
}

static net convolutions(void)
{
    net n = {.tape = gr_tape_new()};
    gr_tensor *x = input(&n, GR_SHAPE(GR_BATCH, 16, 16, 8)), *k = input(&n, GR_SHAPE(3, 3, 8, 8)), *y = x;
    gr_tensor *gamma = input(&n, GR_SHAPE(8)), *beta = input(&n, GR_SHAPE(8));
    for (int i = 0; i < LAYERS; i++)
        y = gr_relu(gr_batch_norm(gr_conv(y, k, .padding = "same"), gamma, beta));
    differentiate(&n, y);
    return n;
}

static net transformer(void)
{
    net n = {.tape = gr_tape_new()};
    gr_tensor *x = input(&n, GR_SHAPE(GR_BATCH, 64, 32)), *bias = input(&n, GR_SHAPE(128)), *y = x;
    gr_tensor *gamma = input(&n, GR_SHAPE(32)), *beta = input(&n, GR_SHAPE(32));
    for (int i = 0; i < LAYERS; i++) {
        gr_tensor *up = input(&n, GR_SHAPE(32, 128)), *down = input(&n, GR_SHAPE(128, 32));
        gr_tensor *h = gr_gelu_tanh(gr_add(gr_matmul(gr_layer_norm(y, gamma, beta), up), bias));
        y = gr_add(y, gr_matmul(h, down));
    }
    differentiate(&n, y);
    return n;
}

/* Runs it; all results one after the other, and the arena's bytes. */
static float *run(const net *n, unsigned off, int threads, int64_t *size, int64_t *arena)
{
    gr_program_opts o = {.passes_off = off, .threads = threads, .verify = true};
    gr_array *in[INPUTS] = {0}, *out[INPUTS + 1] = {0};
    memcpy(o.inputs, n->in, sizeof n->in);
    memcpy(o.outputs, n->out, sizeof n->out);
    gr_program *p = gr_program_new_at(GR_HERE, n->tape, &o);
    gr_shape s;
    for (int i = 0; n->in[i]; i++) {
        gr_shape_bind(n->in[i]->shape, BATCHES, &s);
        in[i] = gr_array_new(GR_F32, s);
        for (int64_t k = 0; k < gr_array_size(in[i]); k++)
            ((float *)gr_array_data(in[i]))[k] = sinf((float)(k * (3 + i) + i)) * 0.3f;
    }
    *size = 0;
    for (int i = 0; n->out[i]; i++) {
        gr_shape_bind(n->out[i]->shape, BATCHES, &s);
        out[i] = gr_array_new(GR_F32, s);
        *size += gr_array_size(out[i]);
    }
    float *all = calloc((size_t)*size, sizeof *all);
    GR_EXPECT(p && gr_program_run(p, in, out) == GR_OK, "%s", gr_error_message());
    *arena = p ? gr_program_plan(p).arena_bytes : 0;
    int64_t at = 0;
    for (int i = 0; n->out[i]; at += gr_array_size(out[i++]))
        memcpy(all + at, gr_array_data(out[i]), (size_t)gr_array_size(out[i]) * sizeof *all);
    for (int i = 0; i < INPUTS; i++)
        gr_array_free(in[i]);
    for (int i = 0; i <= INPUTS; i++)
        gr_array_free(out[i]);
    gr_program_free(p);
    return all;
}

static void programs_keep_less_and_have_the_same_bits(void)
{
    static const struct {
        const char *what;
        net (*make)(void);
        int most; /* per cent of the arena without the pass */
    } rows[] = {{"convolutions", convolutions, 75}, {"transformer", transformer, 70}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        net n = rows[r].make();
        int64_t size, kept, less;
        float *want = run(&n, GR_PASS_REMAT, 1, &size, &kept);
        for (int threads = 1; threads <= 3; threads++) {
            float *got = run(&n, 0, threads, &size, &less);
            GR_EXPECT(memcmp(got, want, (size_t)size * sizeof *got) == 0, "%s: other bits on %d threads", rows[r].what,
                threads);
            GR_EXPECT(less * 100 <= kept * rows[r].most, "%s: %lld bytes of %lld", rows[r].what, (long long)less,
                (long long)kept);
            free(got);
        }
        free(want);
        gr_tape_free(n.tape);
    }
}

GR_SUITE("compiler/remat.c", GR_TEST(cheap_values_of_kept_ones_are_computed_again),
    GR_TEST(copies_are_not_merged_with_what_they_copy), GR_TEST(programs_keep_less_and_have_the_same_bits))
