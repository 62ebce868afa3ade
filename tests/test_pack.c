/* Weights packed for products of many rows: by the rule of compiler/pack.c, once each, and with the same bits. */
#include "autograd/grad.h"
#include "compiler/graph.h"
#include "ops/kernels/gemm.h"
#include "tests/near.h"
#include <stdlib.h>

enum { VARIABLES = 3, K = 25, N = 64, BATCHES = 9 }; /* whole blocks of columns: N always, K never */

typedef struct {
    gr_tape *tape;
    gr_dtype real;
    gr_tensor *x; /* [B, 64, K] or [B, K] */
    gr_variable *variable[VARIABLES];
    int n;
} graph;
typedef gr_tensor *(*body)(graph *g);

static gr_tensor *weight(graph *g, int64_t rows, int64_t cols)
{
    gr_variable *v = g->variable[g->n] = gr_variable_new("w", g->real, GR_SHAPE(rows, cols), true);
    gr_array *a = gr_array_new(GR_F64, GR_SHAPE(rows, cols));
    for (int64_t i = 0; i < gr_array_size(a); i++)
        ((double *)gr_array_data(a))[i] = sin((double)(i * (5 + g->n)));
    gr_array_cast(a, g->real);
    gr_variable_set(v, a);
    gr_array_free(a);
    g->n++;
    return gr_read(g->tape, v);
}

static gr_tensor *plain(graph *g)
{
    return gr_matmul(g->x, weight(g, K, N));
}
static gr_tensor *transposed(graph *g)
{
    return gr_matmul_t(g->x, weight(g, N, K), .transpose_b = true);
}
static gr_tensor *with_what_follows(graph *g)
{
    return gr_softmax(gr_relu(gr_add(gr_matmul(g->x, weight(g, K, N)), weight(g, 1, N))));
}
static gr_tensor *wide(graph *g)
{
    return gr_sin(gr_matmul(g->x, weight(g, K, 10 * N)));
}
static gr_tensor *in_narrow_tasks(graph *g)
{
    return gr_relu(gr_matmul(gr_sin(gr_matmul(g->x, weight(g, K, 1000))), weight(g, 1000, 5 * N)));
}
static gr_tensor *one_weight_twice(graph *g)
{
    gr_tensor *w = weight(g, K, N);
    return gr_add(gr_matmul(g->x, w), gr_matmul(gr_neg(g->x), w));
}
static gr_tensor *both_ways(graph *g)
{
    gr_tensor *w = weight(g, N, N), *h = gr_matmul(g->x, weight(g, K, N));
    return gr_add(gr_matmul(h, w), gr_matmul_t(h, w, .transpose_b = true));
}
static gr_tensor *odd_columns(graph *g)
{
    return gr_matmul(g->x, weight(g, K, N + 1));
}
static gr_tensor *of_two_results(graph *g)
{
    gr_tensor *h = gr_matmul(g->x, weight(g, K, N + 1));
    return gr_matmul_t(h, h, .transpose_a = g->x->shape.rank == 2, .transpose_b = g->x->shape.rank == 3);
}
static gr_tensor *a_gradient(graph *g)
{
    gr_tensor *loss = gr_sum(gr_square(gr_matmul(g->x, weight(g, K, N)))), *dx;
    gr_grad(loss, &g->x, 1, &dx);
    return dx;
}

static const struct {
    const char *what;
    body f;
    int frozen, trained; /* packed matrices of a frozen program, and of one that is not and has 64 rows an example */
} rows[] = {
    {"a product", plain, 1, 1},
    {"by a transposed weight", transposed, 1, 1},
    {"with bias, activation and a sum over columns", with_what_follows, 1, 1},
    {"in several tiles of columns", wide, 1, 1},
    {"in narrow tasks", in_narrow_tasks, 1, 1},
    {"one weight for two products", one_weight_twice, 1, 1},
    {"one weight both ways", both_ways, 3, 3},
    {"columns that do not fill a block", odd_columns, 0, 0},
    {"no weight", of_two_results, 0, 0},
    {"a gradient for the input: both ways", a_gradient, 1, 1},
};

static graph build(body f, gr_dtype real, bool many_rows, gr_tensor **y)
{
    graph g = {.tape = gr_tape_new(), .real = real};
    g.x = gr_input(g.tape, real, many_rows ? GR_SHAPE(GR_BATCH, 64, K) : GR_SHAPE(GR_BATCH, K), "x");
    *y = f(&g);
    return g;
}

static void forget(graph *g)
{
    gr_tape_free(g->tape);
    for (int i = 0; i < g->n; i++)
        gr_variable_free(g->variable[i]);
}

static int packed(body f, bool many_rows, bool frozen)
{
    gr_tensor *y;
    graph g = build(f, GR_F32, many_rows, &y);
    gr__graph traced;
    int n = 0;
    gr_program_opts o = {.inputs = {g.x}, .outputs = {y}};
    if (GR_EXPECT(gr_error() == GR_OK && gr__graph_trace(&traced, g.tape, &o) == GR_OK, "%s", gr_error_message())) {
        CU_ASSERT_EQUAL(gr__pass_pack(&traced, frozen), GR_OK);
        GR_EXPECT(gr__graph_verify(&traced, "pack") == GR_OK, "%s", gr_error_message());
        for (int64_t id = 0; id < traced.tape->n_nodes; id++)
            n += strcmp(traced.tape->node[id]->op->name, "pack") == 0;
        gr__graph_free(&traced);
    }
    forget(&g);
    return n;
}

static void weights_of_many_rows_are_packed_once(void)
{
    if (!gr__gemm_packs())
        gr_test_skip("products with this instruction set read weights as they are");
    for (size_t i = 0; i < sizeof rows / sizeof *rows && gr__gemm_packs(); i++) {
        const int few = packed(rows[i].f, false, false), many = packed(rows[i].f, true, false),
                  frozen = packed(rows[i].f, false, true);
        GR_EXPECT(few == 0 && many == rows[i].trained && frozen == rows[i].frozen,
            "%s: %d of few rows, %d of many, %d frozen", rows[i].what, few, many, frozen);
    }
}

static gr_array *run(const graph *g, gr_tensor *y, bool frozen, unsigned off, int threads)
{
    gr_program *p = gr_program_new(g->tape, .inputs = {g->x}, .outputs = {y}, .frozen = frozen, .passes_off = off,
        .threads = threads, .verify = true);
    gr_shape s;
    gr_shape_bind(g->x->shape, BATCHES, &s);
    gr_array *in = gr_array_new(GR_F64, s), *out = NULL;
    for (int64_t i = 0; i < gr_array_size(in); i++)
        ((double *)gr_array_data(in))[i] = cos((double)(3 * i));
    gr_array_cast(in, g->real);
    gr_shape_bind(y->shape, BATCHES, &s);
    out = gr_array_new(g->real, s);
    GR_EXPECT(p && gr_program_run(p, &in, &out) == GR_OK, "%s", gr_error_message());
    gr_program_free(p);
    gr_array_free(in);
    return out;
}

static void bits_are_the_same(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int how = 0; how < 8; how++) {
            const bool frozen = how & 1;
            gr_tensor *y;
            graph g = build(rows[i].f, how & 2 ? GR_F64 : GR_F32, how & 4, &y);
            gr_array *want = run(&g, y, frozen, GR_PASS_PACK, 1);
            for (int threads = 1; threads <= 3; threads++) {
                gr_array *got = run(&g, y, frozen, 0, threads);
                const size_t bytes = (size_t)gr_array_size(want) * (size_t)gr_dtype_size(g.real);
                GR_EXPECT(memcmp(gr_array_data(got), gr_array_data(want), bytes) == 0, "%s, case %d: other bits on %d",
                    rows[i].what, how, threads);
                gr_array_free(got);
            }
            gr_array_free(want);
            forget(&g);
        }
}

static void frozen_programs_pack_nothing_when_they_run(void)
{
    gr_tensor *y;
    graph g = build(plain, GR_F32, false, &y);
    gr_program *p[2];
    for (int i = 0; i < 2; i++)
        p[i] = gr_program_new(g.tape, .inputs = {g.x}, .outputs = {y}, .frozen = true, .max_batch = BATCHES,
            .passes_off = i ? GR_PASS_PACK : 0);
    CU_ASSERT_EQUAL(gr_program_plan(p[0]).nodes, gr_program_plan(p[1]).nodes);
    gr_program_free(p[0]), gr_program_free(p[1]);
    forget(&g);
}

GR_SUITE("compiler/pack.c", GR_TEST(weights_of_many_rows_are_packed_once), GR_TEST(bits_are_the_same),
    GR_TEST(frozen_programs_pack_nothing_when_they_run))
