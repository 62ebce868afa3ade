/* Which nodes run together: by shapes and traits, whatever the layers, sizes and ops are. */
#include "autograd/grad.h"
#include "compiler/layout.h"
#include "core/mem.h"
#include "ops/kernels/gemm.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- plans ------------------------------------------------------------------------------------------------------- */

typedef struct {
    gr__graph graph;
    gr__plan *plan;
} planned;

static bool plan_of(planned *p, const gr_program_opts *o, gr_tape *t, int64_t batch)
{
    *p = (planned){0};
    if (gr__graph_trace(&p->graph, t, o) != GR_OK)
        return GR_EXPECT(false, "%s", gr_error_message());
    p->plan = gr__plan_new(&p->graph, batch, 2, o->passes_off);
    return GR_EXPECT(p->plan && gr__plan_verify(p->plan) == GR_OK, "%s", gr_error_message());
}

static void plan_free(planned *p)
{
    gr__plan_free(p->plan);
    gr__graph_free(&p->graph);
}

static int groups_of_kind(const gr__plan *p, gr__orientation kind)
{
    int n = 0;
    for (int i = 0; i < p->n_groups; i++)
        n += !p->group[i].opaque && p->group[i].layout->kind == kind;
    return n;
}

static gr_variable *made[40];
static int n_made;
static gr_tensor *weight(gr_tape *t, gr_shape s)
{
    gr_variable *v = made[n_made++] = gr_variable_new("w", GR_F32, s, true);
    gr_array *a = gr_variable_get(v);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        ((float *)gr_array_data(a))[i] = (float)sin((double)(i * 7 + n_made)) * 0.1f;
    gr_variable_set(v, a);
    gr_array_free(a);
    return gr_read(t, v);
}
static void forget_weights(void)
{
    while (n_made)
        gr_variable_free(made[--n_made]);
}

/* ---- structures -------------------------------------------------------------------------------------------------- */

static gr_tensor *normalized(gr_tensor *x, gr_shape axes)
{
    gr_tensor *mean = gr_mean(x, .axes = axes, .keepdims = true), *apart = gr_sub(x, mean);
    gr_tensor *var = gr_mean(gr_square(apart), .axes = axes, .keepdims = true);
    return gr_mul(apart, gr_rsqrt(gr_add(var, gr_scalar(var, 1e-3))));
}

static void an_elementwise_chain_with_broadcasts_is_one_group(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 30), "x"), *r = gr_input(t, GR_F32, GR_SHAPE(30), "r");
    gr_tensor *c = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 1), "c");
    gr_tensor *y = gr_tanh(gr_mul(gr_add(gr_exp(x), r), c));
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x, r, c}, .outputs = {y}}, t, 200)) {
        CU_ASSERT_EQUAL(p.plan->n_groups, 1);
        CU_ASSERT_EQUAL(p.plan->bytes, 200 * 30 * 4); /* the output, nothing else */
    }
    plan_free(&p);
    gr_tape_free(t);
}

/* Product, bias, activation, statistics and normalization: a column strip goes through all of them. */
static void a_normalized_dense_layer_is_one_group_of_columns(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 70), "x");
    gr_tensor *h = gr_relu(gr_add(gr_matmul(x, weight(t, GR_SHAPE(70, 200))), weight(t, GR_SHAPE(200))));
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x}, .outputs = {normalized(h, GR_SHAPE(0))}}, t, 128)) {
        CU_ASSERT_EQUAL(p.plan->n_groups, 1);
        CU_ASSERT_EQUAL(groups_of_kind(p.plan, GR__COL), 1);
        CU_ASSERT_EQUAL(p.plan->n_phases, 1);
    }
    plan_free(&p);
    gr_tape_free(t);
    forget_weights();
}

static void a_softmax_and_a_layer_norm_are_one_group_of_rows_each(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 12, 300), "x");
    gr_tensor *e = gr_exp(gr_sub(x, gr_max(x, .axes = GR_SHAPE(-1), .keepdims = true)));
    gr_tensor *y[] = {gr_div(e, gr_sum(e, .axes = GR_SHAPE(-1), .keepdims = true)), normalized(x, GR_SHAPE(-1))};
    for (int i = 0; i < 2; i++) {
        planned p;
        if (plan_of(&p, &(gr_program_opts){.inputs = {x}, .outputs = {y[i]}}, t, 8)) {
            CU_ASSERT_EQUAL(p.plan->n_groups, 1);
            CU_ASSERT_EQUAL(groups_of_kind(p.plan, GR__ROW), 1);
        }
        plan_free(&p);
    }
    gr_tape_free(t);
}

/* The greatest element and the shifted exponent need the same x, computed once: x - max(x) must never exceed 0. */
static void what_feeds_a_maximum_and_its_difference_is_computed_once(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 40), "x"), *z = gr_mul(gr_exp(x), gr_scalar(x, 1.1));
    gr_tensor *y = gr_sub(z, gr_max(z, .axes = GR_SHAPE(-1), .keepdims = true));
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {gr_max(y)}, .verify = true);
    gr_array *in = gr_array_new(GR_F32, GR_SHAPE(33, 40)), *out = gr_array_new(GR_F32, GR_RANK0);
    for (int i = 0; i < 33 * 40; i++)
        ((float *)gr_array_data(in))[i] = (float)sin(i);
    CU_ASSERT_EQUAL(gr_program_run(p, &in, &out), GR_OK);
    CU_ASSERT_EQUAL(gr_array_at(out, 0), 0);
    gr_array_free(in), gr_array_free(out), gr_program_free(p), gr_tape_free(t);
}

static void a_sum_over_everything_is_cut_into_partial_sums(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 1000), "x"), *y = gr_sum(gr_square(x));
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x}, .outputs = {y}}, t, 100)) {
        CU_ASSERT_EQUAL(p.plan->n_groups, 1);
        CU_ASSERT_EQUAL(p.plan->n_steps, 2); /* the tiles, and their sums combined */
        CU_ASSERT(p.plan->step[0].tasks > 8);
    }
    plan_free(&p);
    gr_tape_free(t);
}

/* The tasks of x w, w packed. */
static int64_t tasks_of_packed(int64_t rows, int64_t k, int64_t cols)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, k), "x");
    gr_tensor *y = gr_relu(gr_matmul(x, weight(t, GR_SHAPE(k, cols))));
    planned p = {0};
    int64_t tasks = 0;
    if (GR_EXPECT(gr__graph_trace(&p.graph, t, &(gr_program_opts){.inputs = {x}, .outputs = {y}}) == GR_OK &&
                      gr__pass_pack(&p.graph, true) == GR_OK,
            "%s", gr_error_message()) &&
        (p.plan = gr__plan_new(&p.graph, rows, 2, 0)))
        for (int i = 0; i < p.plan->n_steps; i++)
            if (strncmp(p.plan->step[i].name, "map", 3) == 0)
                tasks += p.plan->step[i].tasks;
    plan_free(&p);
    gr_tape_free(t);
    forget_weights();
    return tasks;
}

static void products_by_a_packed_weight_have_tasks_to_share(void)
{
    static const struct {
        const char *why;
        int64_t rows, k, cols, tasks;
    } cases[] = {
        {"of all rows and few columns", 128, 784, 512, 16},
        {"and fewer rows, if there are few columns", 128, 512, 128, 8},
        {"no more than there is work for", 16, 200, 512, 4},
        {"as wide as others, if there are enough", 1024, 300, 256, 16},
        {"columns that end within a task", 128, 784, 400, 13},
    };
    const gr__gemm_part *part = gr__gemm_parts();
    if (!gr__gemm_packs() || part->least_rows == part->rows)
        gr_test_skip("products with this instruction set are cut in another way");
    for (size_t i = 0; i < sizeof cases / sizeof *cases && gr__gemm_packs() && part->least_rows < part->rows; i++) {
        const int64_t tasks = tasks_of_packed(cases[i].rows, cases[i].k, cases[i].cols);
        GR_EXPECT(tasks == cases[i].tasks, "%s: %lld tasks", cases[i].why, (long long)tasks);
    }
}

static void a_transposed_operand_of_a_product_is_read_in_place(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 40), "x"), *w = gr_input(t, GR_F32, GR_SHAPE(30, 40), "w");
    gr_tensor *y = gr_matmul(x, gr_transpose(w, GR_RANK0));
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x, w}, .outputs = {y}}, t, 64)) {
        CU_ASSERT_EQUAL(p.plan->n_groups, 1);
        CU_ASSERT_EQUAL(p.plan->bytes, 64 * 30 * 4);
    }
    plan_free(&p);
    gr_tape_free(t);
}

static void a_circle_through_another_group_is_refused(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 64), "x"), *a = gr_exp(x);
    gr_tensor *order = gr_cast(gr_argmax(a, .axes = GR_SHAPE(-1), .keepdims = true), GR_F32); /* runs by itself */
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x}, .outputs = {gr_mul(a, order)}}, t, 100))
        CU_ASSERT_EQUAL(p.plan->n_groups, 3); /* exp and mul could not be one */
    plan_free(&p);
    gr_tape_free(t);
}

/* ---- what the environment asks for ------------------------------------------------------------------------------- */

static char heard[20000];
static void listen(void *user, gr_log_level level, const char *text)
{
    (void)user, (void)level;
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%s\n", text);
}

static void environment_variables_tell_and_switch(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 64), "x"), *a = gr_exp(x);
    gr_tensor *y = gr_mul(a, gr_cast(gr_argmax(a, .axes = GR_SHAPE(-1), .keepdims = true), GR_F32));
    gr_array *in = gr_array_new(GR_F32, GR_SHAPE(100, 64)), *out = gr_array_new(GR_F32, GR_SHAPE(100, 64));
    gr_set_log(listen, NULL);
    heard[0] = 0;
    setenv("GRAPE_WHY", "1", 1), setenv("GRAPE_PROFILE", "1", 1), setenv("GRAPE_PASSES", "-cse,-strip", 1);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .name = "probe");
    CU_ASSERT(p && gr_program_run(p, &in, &out) == GR_OK);
    gr_program_free(p);
    unsetenv("GRAPE_WHY"), unsetenv("GRAPE_PROFILE"), unsetenv("GRAPE_PASSES");
    static const char *const words[] = {"and mul", "stay apart: L1: the way leads through another group",
        "profile of probe, B = 100, 1 runs", "GRAPE_PASSES: expected -simplify", "found -strip"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        GR_EXPECT(strstr(heard, words[i]), "%s is not among\n%s", words[i], heard);
    heard[0] = 0;
    setenv("GRAPE_PASSES", "-fuse", 1);
    p = gr_program_new(t, .inputs = {x}, .outputs = {gr_tanh(gr_neg(x))}, .max_batch = 100);
    unsetenv("GRAPE_PASSES");
    CU_ASSERT_EQUAL(gr_program_plan(p).groups, 2);
    CU_ASSERT_STRING_EQUAL(heard, "");
    gr_set_log(NULL, NULL);
    gr_program_free(p), gr_array_free(in), gr_array_free(out), gr_tape_free(t);
}

/* ---- a training step of another shape ---------------------------------------------------------------------------- */

static gr_tensor *dense(gr_tape *t, gr_tensor *x, int64_t n, int64_t m)
{
    return gr_add(gr_matmul(x, weight(t, GR_SHAPE(n, m))), weight(t, GR_SHAPE(m)));
}

/* 700-300-40-7, tanh, no batch norm, SGD: nothing may know the tutorial by its layers, sizes or names. */
static void another_network_is_fused_by_the_same_passes(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 700), "x"),
              *y = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 7), "y");
    gr_tensor *h = gr_tanh(dense(t, gr_tanh(dense(t, x, 700, 300)), 300, 40));
    gr_tensor *z = dense(t, h, 40, 7),
              *shifted = gr_sub(z, gr_stop_gradient(gr_max(z, .axes = GR_SHAPE(-1), .keepdims = true)));
    gr_tensor *log_p = gr_sub(shifted, gr_log(gr_sum(gr_exp(shifted), .axes = GR_SHAPE(-1), .keepdims = true)));
    gr_tensor *loss = gr_neg(gr_mean(gr_sum(gr_mul(y, log_p), .axes = GR_SHAPE(-1)))), *w[6], *g[6];
    for (int i = 0; i < 6; i++)
        w[i] = gr_read(t, made[i]);
    CU_ASSERT_EQUAL_FATAL(gr_grad(loss, w, 6, g), GR_OK);
    for (int i = 0; i < 6; i++)
        gr_assign(w[i], gr_sub(w[i], gr_mul(g[i], gr_scalar(g[i], 0.5))));
    planned p;
    if (plan_of(&p, &(gr_program_opts){.inputs = {x, y}, .outputs = {loss}}, t, 96)) {
        GR_EXPECT(p.plan->n_groups <= 10, "%d groups of %d nodes", p.plan->n_groups, p.plan->n_nodes);
        GR_EXPECT(p.plan->n_phases <= 8, "%d phases", p.plan->n_phases);
        for (int i = 0; i < 6; i++)
            GR_EXPECT(p.plan->commit_done[i], "weight %d is not updated where it lies", i);
        GR_EXPECT(p.plan->bytes <= p.plan->lower_bound * 115 / 100, "arena %lld, bound %lld", (long long)p.plan->bytes,
            (long long)p.plan->lower_bound);
    }
    plan_free(&p);

    gr_program *program = gr_program_new(t, .inputs = {x, y}, .outputs = {loss}, .verify = true);
    gr_array *in = gr_array_new(GR_F32, GR_SHAPE(96, 700)), *label = gr_array_new(GR_F32, GR_SHAPE(96, 7)),
             *out = gr_array_new(GR_F32, GR_RANK0);
    for (int i = 0; i < 96 * 700; i++)
        ((float *)gr_array_data(in))[i] = (float)sin(i);
    for (int i = 0; i < 96; i++)
        ((float *)gr_array_data(label))[i * 7 + i % 7] = 1;
    double first = 0;
    for (int step = 0; step < 60; step++) {
        CU_ASSERT_EQUAL(gr_program_run(program, (gr_array *[]){in, label}, &out), GR_OK);
        first = step ? first : gr_array_at(out, 0);
    }
    GR_EXPECT(gr_array_at(out, 0) < 0.9 * first, "the loss went from %g to %g", first, gr_array_at(out, 0));
    gr_array_free(in), gr_array_free(label), gr_array_free(out), gr_program_free(program), gr_tape_free(t);
    forget_weights();
}

GR_SUITE("compiler/group.c", GR_TEST(environment_variables_tell_and_switch),
    GR_TEST(an_elementwise_chain_with_broadcasts_is_one_group),
    GR_TEST(a_normalized_dense_layer_is_one_group_of_columns),
    GR_TEST(a_softmax_and_a_layer_norm_are_one_group_of_rows_each),
    GR_TEST(what_feeds_a_maximum_and_its_difference_is_computed_once),
    GR_TEST(a_sum_over_everything_is_cut_into_partial_sums), GR_TEST(products_by_a_packed_weight_have_tasks_to_share),
    GR_TEST(a_transposed_operand_of_a_product_is_read_in_place), GR_TEST(a_circle_through_another_group_is_refused),
    GR_TEST(another_network_is_fused_by_the_same_passes))
