/* Groups whose tasks are examples: convolutions and pooling with what surrounds them. */
#include "autograd/grad.h"
#include "compiler/layout.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

enum { INPUTS = 5, RESULTS = 6 };
typedef struct {
    gr_tape *tape;
    gr_tensor *in[INPUTS + 1], *out[RESULTS + 1]; /* x, two kernels, bias, dy; ended by NULL */
} net;

static gr_tensor *floats(net *n, int i, gr_shape s, const char *name)
{
    return n->in[i] = gr_input(n->tape, GR_F32, s, name);
}

/* Two convolutions with bias, relu and pooling; with `loss` its gradients. */
static net network(int64_t side, bool gradients)
{
    net n = {.tape = gr_tape_new()};
    gr_tensor *x = floats(&n, 0, GR_SHAPE(GR_BATCH, side, side, 3), "x");
    gr_tensor *k = floats(&n, 1, GR_SHAPE(3, 3, 3, 16), "k"), *l = floats(&n, 2, GR_SHAPE(3, 3, 16, 20), "l");
    gr_tensor *b = floats(&n, 3, GR_SHAPE(16), "b");
    gr_tensor *h = gr_max_pool(gr_relu(gr_add(gr_conv(x, k), b)), GR_SHAPE(2));
    gr_tensor *y = gr_max_pool(gr_relu(gr_conv(h, l, .padding = "same")), GR_SHAPE(2), .padding = "same");
    n.out[0] = y;
    if (!gradients)
        return n;
    gr_tensor *loss = gr_sum(gr_mul(y, gr_sin(y))), *wrt[] = {x, k, l, b};
    n.out[1] = loss;
    CU_ASSERT_EQUAL_FATAL(gr_grad(loss, wrt, 4, n.out + 2), GR_OK);
    return n;
}

/* Two convolutions, each normalised over the batch, with a result of 16 channels; and the gradients. */
static net normalised(int64_t side)
{
    net n = {.tape = gr_tape_new()};
    gr_tensor *x = floats(&n, 0, GR_SHAPE(GR_BATCH, side, side, 3), "x");
    gr_tensor *k = floats(&n, 1, GR_SHAPE(3, 3, 3, 16), "k"), *l = floats(&n, 2, GR_SHAPE(3, 3, 16, 16), "l");
    gr_tensor *b = floats(&n, 3, GR_SHAPE(16), "b");
    gr_tensor *h = gr_relu(gr_batch_norm(gr_conv(x, k, .padding = "same"), b, b));
    gr_tensor *y = gr_relu(gr_batch_norm(gr_conv(h, l, .padding = "same"), b, NULL, .batch_variance = &n.out[0]));
    gr_tensor *loss = gr_sum(gr_mul(y, gr_sin(y))), *wrt[] = {x, k, l, b};
    n.out[1] = loss;
    CU_ASSERT_EQUAL_FATAL(gr_grad(loss, wrt, 4, n.out + 2), GR_OK);
    return n;
}

static gr__plan *plan_of(const net *n, gr__graph *g, int64_t batch, unsigned off)
{
    gr_program_opts o = {.passes_off = off};
    *g = (gr__graph){0};
    memcpy(o.inputs, n->in, sizeof n->in);
    memcpy(o.outputs, n->out, sizeof n->out);
    bool good = gr__graph_trace(g, n->tape, &o) == GR_OK && gr__pass_inline(g) == GR_OK &&
                gr__graph_rebuild(g, NULL, NULL) == GR_OK;
    gr__plan *p = good ? gr__plan_new(g, batch, 2, off) : NULL;
    GR_EXPECT(p && gr__plan_verify(p) == GR_OK, "%s", gr_error_message());
    return p;
}

static int example_groups(const gr__plan *p)
{
    int n = 0;
    for (int i = 0; i < p->n_groups; i++)
        n += !p->group[i].opaque && p->group[i].layout->kind == GR__EXAMPLE;
    return n;
}

static void convolutions_and_what_follows_are_one_group(void)
{
    net n = network(12, false);
    gr__graph g;
    gr__plan *p = plan_of(&n, &g, 64, 0);
    if (p) {
        CU_ASSERT_EQUAL(p->n_groups, 1);
        CU_ASSERT_EQUAL(example_groups(p), 1);
        CU_ASSERT_EQUAL(p->bytes, 64 * 3 * 3 * 20 * 4); /* the result; nobody reads the codes of the poolings */
    }
    gr__plan_free(p);
    gr__graph_free(&g);
    p = plan_of(&n, &g, 64, GR_PASS_EXAMPLES);
    CU_ASSERT(p && example_groups(p) == 0 && p->n_groups > 4);
    gr__plan_free(p);
    gr__graph_free(&g);
    gr_tape_free(n.tape);
}

static void a_few_large_examples_are_left_to_all_threads(void)
{
    net n = network(192, false);
    gr__graph g;
    gr__plan *p = plan_of(&n, &g, 2, 0);
    CU_ASSERT(p && example_groups(p) == 0);
    gr__plan_free(p);
    gr__graph_free(&g);
    gr_tape_free(n.tape);
    static const struct {
        int64_t side;
        int shared; /* convolutions that run on several threads */
    } rows[] = {{36, 0}, {48, 2}};
    for (size_t r = 0; r < 2; r++) { /* one example: 0.9 and 1.6, then 1.8 and 3 MFLOP */
        n = network(rows[r].side, false);
        p = plan_of(&n, &g, 1, 0);
        int shared = 0;
        for (int i = 0; p && i < p->n_groups; i++)
            shared += p->group[i].opaque && p->step[p->group[i].step].tasks > 1;
        GR_EXPECT(shared == rows[r].shared && example_groups(p) > 0, "side %d: %d", (int)rows[r].side, shared);
        gr__plan_free(p);
        gr__graph_free(&g);
        gr_tape_free(n.tape);
    }
}

/* The kernels' gradients are sums over examples: made in the group that makes what they read, which is never stored. */
static void a_kernels_gradient_is_summed_up_where_it_is_made(void)
{
    net n = network(12, true);
    gr__graph g;
    gr__plan *p = plan_of(&n, &g, 64, 0);
    int summed = 0;
    for (int id = 0; p && id < p->n_nodes; id++)
        if (p->node[id].sums_examples) {
            const gr__group *own = &p->group[p->node[id].group];
            GR_EXPECT(!own->opaque && own->n_nodes > 1, "node %d is alone", id);
            summed++;
        }
    CU_ASSERT_EQUAL(summed, 2);
    gr__plan_free(p);
    gr__graph_free(&g);
    gr_tape_free(n.tape);
}

/* Mean and variance, and the sums of the gradient, are taken where the images are made: no other group reads them, but
 * for what the loss adds. */
static void batch_statistics_take_no_pass_of_their_own(void)
{
    net n = normalised(12);
    gr__graph g;
    gr__plan *p = plan_of(&n, &g, 64, 0);
    int passes = 0;
    for (int i = 0; p && i < p->n_groups; i++) {
        const gr__group *own = &p->group[i];
        bool reads = false;
        for (int k = 0; k < own->n_nodes; k++)
            for (int q = 0; q < p->node[own->node[k]].node->n_in; q++)
                reads = reads || p->value[gr__read_value(p, own->node[k], q)].count >= 64 * 12 * 12 * 16;
        passes += reads && (own->opaque || own->layout->kind != GR__EXAMPLE);
    }
    GR_EXPECT(p && passes <= 1, "%d passes", passes);
    gr__plan_free(p);
    gr__graph_free(&g);
    gr_tape_free(n.tape);
}

static gr_array *drawn(gr_shape s, int seed)
{
    gr_array *a = gr_array_new(GR_F32, s);
    for (int64_t i = 0; a && i < gr_array_size(a); i++)
        ((float *)gr_array_data(a))[i] = (float)sin((double)(i * (3 + seed) + seed)) * 0.5f;
    return a;
}

/* All results, one after the other. */
static gr_array *run(const net *n, int64_t batch, int threads, unsigned off)
{
    gr_program_opts o = {.passes_off = off, .threads = threads, .verify = true};
    gr_array *in[INPUTS] = {0}, *out[RESULTS] = {0};
    int64_t size = 0, at = 0;
    memcpy(o.inputs, n->in, sizeof n->in);
    memcpy(o.outputs, n->out, sizeof n->out);
    gr_program *p = gr_program_new_at(GR_HERE, n->tape, &o);
    gr_shape s;
    for (int i = 0; n->in[i]; i++)
        in[i] = gr_shape_bind(n->in[i]->shape, batch, &s) ? drawn(s, i) : NULL;
    for (int i = 0; n->out[i]; i++) {
        out[i] = gr_shape_bind(n->out[i]->shape, batch, &s) ? gr_array_new(GR_F32, s) : NULL;
        size += gr_array_size(out[i]);
    }
    GR_EXPECT(gr_program_run(p, in, out) == GR_OK, "%s", gr_error_message());
    gr_array *all = gr_array_new(GR_F32, GR_SHAPE(size));
    for (int i = 0; n->out[i]; i++) {
        memcpy((float *)gr_array_data(all) + at, gr_array_data(out[i]), (size_t)gr_array_bytes(out[i]));
        at += gr_array_size(out[i]);
        gr_array_free(out[i]);
    }
    for (int i = 0; n->in[i]; i++)
        gr_array_free(in[i]);
    gr_program_free(p);
    return all;
}

static void results_are_those_of_single_nodes_on_any_number_of_threads(void)
{
    static const struct {
        const char *why;
        int64_t side, batch;
        bool normalised;
    } rows[] = {{"a task of several examples, the last one short", 12, 130, false}, {"one example", 12, 1, false},
        {"fewer than threads", 9, 3, false}, {"a prime number", 7, 37, false}, {"no example", 12, 0, false},
        {"tasks of several blocks", 24, 150, false}, {"statistics of tasks, the last one short", 12, 130, true},
        {"statistics of one example", 12, 1, true}, {"statistics of blocks", 24, 150, true},
        {"statistics of nothing", 12, 0, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        net n = rows[i].normalised ? normalised(rows[i].side) : network(rows[i].side, true);
        gr_array *plain = run(&n, rows[i].batch, 1, GR_PASS_FUSE), *first = run(&n, rows[i].batch, 1, 0);
        const float *a = gr_array_data(plain), *b = gr_array_data(first);
        double largest = 0, off = 0;
        for (int64_t k = 0; k < gr_array_size(plain); k++) {
            largest = fmax(largest, fabs(a[k]));
            off = fmax(off, isnan(a[k]) && isnan(b[k]) ? 0 : fabs(a[k] - b[k]));
        }
        GR_EXPECT(off <= 2e-6 * largest, "%s: off by %g of %g", rows[i].why, off, largest);
        for (int threads = 2; threads <= 7; threads = threads * 2 - 1) {
            gr_array *more = run(&n, rows[i].batch, threads, 0);
            GR_EXPECT(memcmp(b, gr_array_data(more), (size_t)gr_array_bytes(first)) == 0, "%s: %d threads", rows[i].why,
                threads);
            gr_array_free(more);
        }
        gr_array_free(plain), gr_array_free(first), gr_tape_free(n.tape);
    }
}

GR_SUITE("compiler/example.c", GR_TEST(convolutions_and_what_follows_are_one_group),
    GR_TEST(a_few_large_examples_are_left_to_all_threads), GR_TEST(a_kernels_gradient_is_summed_up_where_it_is_made),
    GR_TEST(batch_statistics_take_no_pass_of_their_own),
    GR_TEST(results_are_those_of_single_nodes_on_any_number_of_threads))
