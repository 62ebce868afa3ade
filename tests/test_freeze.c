/* Frozen programs: compiler/freeze.c, and the factors and offsets that ops/absorb.c takes into weights. Each row is a
 * graph whose results are compared with node-by-node evaluation, and whose nodes are counted. */
#include "compiler/program.h"
#include "tests/near.h"
#include <math.h>

typedef struct {
    gr_tape *tape;
    gr_dtype real;
    gr_variable *variable[24];
    int n;
} graph;

/* A new variable of numbers near 1, none like another's. */
static gr_tensor *weight(graph *g, gr_shape shape)
{
    gr_variable *v = g->variable[g->n] = gr_variable_new("w", g->real, shape, true);
    gr_array *a = gr_array_new(GR_F64, shape);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        ((double *)gr_array_data(a))[i] = 0.4 + (double)((i * 7 + g->n * 13) % 29) / 29 - (double)(i % 3) / 2;
    gr_array_cast(a, g->real);
    gr_variable_set(v, a);
    gr_array_free(a);
    g->n++;
    return gr_read(g->tape, v);
}

static gr_tensor *dense(graph *g, gr_tensor *x, int64_t units)
{
    return gr_add(gr_matmul(x, weight(g, GR_SHAPE(gr_dim(x, -1), units))), weight(g, GR_SHAPE(units)));
}

static gr_tensor *norm(graph *g, gr_tensor *x)
{
    gr_shape n = GR_SHAPE(gr_dim(x, -1));
    return gr_batch_norm(x, weight(g, n), weight(g, n), .mean = weight(g, n), .variance = gr_abs(weight(g, n)));
}

static gr_tensor *conv(graph *g, gr_tensor *x, int64_t channels, int64_t groups, const char *padding)
{
    int64_t c = gr_dim(x, -1);
    return gr_conv(x, weight(g, GR_SHAPE(3, 2, c / groups, channels)), .padding = padding);
}

/* ---- graphs -------------------------------------------------------------------------------------------------------
 */

static gr_tensor *dense_norm(graph *g, gr_tensor *x)
{
    return norm(g, dense(g, x, 6));
}
static gr_tensor *norm_dense(graph *g, gr_tensor *x)
{
    return dense(g, norm(g, gr_relu(x)), 6);
}
static gr_tensor *tutorial(graph *g, gr_tensor *x)
{
    return dense(g, norm(g, gr_relu(dense(g, norm(g, gr_relu(dense(g, x, 7))), 5))), 3);
}
static gr_tensor *no_bias(graph *g, gr_tensor *x)
{
    return norm(g, gr_matmul(x, weight(g, GR_SHAPE(gr_dim(x, -1), 4))));
}
static gr_tensor *transposed(graph *g, gr_tensor *x)
{
    gr_tensor *y =
        norm(g, gr_matmul_t(norm(g, gr_relu(x)), weight(g, GR_SHAPE(4, gr_dim(x, -1))), .transpose_b = true));
    return y;
}
static gr_tensor *row_by_row(graph *g, gr_tensor *x) /* [B, 4, 6]: the product is of merged rows */
{
    return norm(g, dense(g, norm(g, gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 4, 6)))), 5));
}
static gr_tensor *conv_norm(graph *g, gr_tensor *x)
{
    gr_tensor *i = gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2));
    return norm(g, gr_add(conv(g, i, 4, 1, "same"), weight(g, GR_SHAPE(4))));
}
static gr_tensor *norm_conv(graph *g, gr_tensor *x)
{
    return conv(g, norm(g, gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2)))), 4, 1, "valid");
}
static gr_tensor *norm_padded(graph *g, gr_tensor *x) /* offsets are not there in the padding: they stay */
{
    return conv(g, norm(g, gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2)))), 4, 1, "same");
}
static gr_tensor *factor_padded(graph *g, gr_tensor *x)
{
    gr_tensor *i = gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2)));
    return conv(g, gr_mul(i, weight(g, GR_SHAPE(2))), 4, 1, "same");
}
static gr_tensor *grouped(graph *g, gr_tensor *x)
{
    return norm(g, conv(g, norm(g, gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 2, 4)))), 6, 2, "valid"));
}
static gr_tensor *depthwise(graph *g, gr_tensor *x)
{
    gr_tensor *i = gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2));
    return norm(g, gr_depthwise_conv(i, weight(g, GR_SHAPE(2, 2, 2, 3))));
}
static gr_tensor *flattened(graph *g, gr_tensor *x)
{
    return dense(
        g, gr_reshape(norm(g, gr_relu(gr_reshape(x, GR_SHAPE(GR_BATCH, 3, 4, 2)))), GR_SHAPE(GR_BATCH, 24)), 5);
}
static gr_tensor *shared(graph *g, gr_tensor *x) /* the product is read twice: it is not computed twice */
{
    gr_tensor *z = dense(g, x, 24);
    return gr_add(gr_mul(z, weight(g, GR_SHAPE(24))), gr_tanh(z));
}
static gr_tensor *scalar_factor(graph *g, gr_tensor *x)
{
    return gr_div(gr_sub(dense(g, x, 3), gr_scalar(x, 0.3)), gr_scalar(x, 3));
}
static gr_tensor *other_axis(graph *g, gr_tensor *x) /* not along the channels */
{
    return gr_mul(dense(g, gr_reshape(x, GR_SHAPE(GR_BATCH, 4, 6)), 4), weight(g, GR_SHAPE(4, 1)));
}
static gr_tensor *computed_weights(graph *g, gr_tensor *x)
{
    gr_tensor *w = gr_transpose(weight(g, GR_SHAPE(3, 24)), GR_SHAPE(1, 0)); /* weight normalization */
    return gr_matmul(x, gr_div(w, gr_sqrt(gr_sum(gr_square(w), .axes = GR_SHAPE(0)))));
}
static gr_tensor *input_factor(graph *g, gr_tensor *x) /* nothing before it could take the factor in */
{
    return gr_mul(gr_reshape(gr_mul(x, weight(g, GR_SHAPE(24))), GR_SHAPE(GR_BATCH, 1, 24)), weight(g, GR_SHAPE(24)));
}
static const struct {
    const char *why;
    gr_tensor *(*build)(graph *g, gr_tensor *x);
    int64_t nodes; /* with leaves, when all that can be is computed and absorbed */
} rows[] = {
    {"dense, then normalised", dense_norm, 5},
    {"normalised, then dense", norm_dense, 6},
    {"the tutorial", tutorial, 15},
    {"a product without a bias gets one", no_bias, 5},
    {"transposed weights", transposed, 6},
    {"rows of three axes", row_by_row, 9},
    {"convolution, then normalised", conv_norm, 6},
    {"normalised, then convolution", norm_conv, 7},
    {"an offset before padding stays", norm_padded, 9},
    {"a factor before padding goes", factor_padded, 5},
    {"groups take what comes after", grouped, 11},
    {"every channel by itself", depthwise, 6},
    {"through a flattening", flattened, 8},
    {"a product with two readers stays", shared, 9},
    {"numbers as factors", scalar_factor, 5},
    {"not along the channels", other_axis, 10},
    {"weights made of weights", computed_weights, 3},
    {"factors of the input", input_factor, 4},
};

static gr_array *numbers(gr_dtype real)
{
    gr_array *x = gr_array_new(GR_F64, GR_SHAPE(5, 24));
    for (int64_t i = 0; i < gr_array_size(x); i++)
        ((double *)gr_array_data(x))[i] = (double)(i * 31 % 53) / 20 - 1;
    gr_array_cast(x, real);
    return x;
}

static gr_array *run(const graph *g, gr_tensor *x, gr_tensor *y, unsigned off, int64_t *nodes)
{
    gr_program *p =
        gr_program_new(g->tape, .inputs = {x}, .outputs = {y}, .frozen = true, .passes_off = off, .verify = true);
    gr_array *in = numbers(g->real), *out = NULL;
    gr_shape s;
    for (int i = 0; i < g->n; i++) { /* the program must not see this */
        gr_array *zero = gr_array_new(gr_variable_dtype(g->variable[i]), gr_variable_shape(g->variable[i]));
        gr_array *old = gr_variable_get(g->variable[i]);
        gr_variable_set(g->variable[i], zero);
        gr_array_free(zero);
        if (i == 0 && p && gr_shape_bind(gr_shape_of(y), 5, &s) && (out = gr_array_new(g->real, s)) &&
            gr_program_run(p, &in, &out) != GR_OK) {
            gr_array_free(out);
            out = NULL;
        }
        gr_variable_set(g->variable[i], old);
        gr_array_free(old);
    }
    *nodes = p ? gr_program_plan(p).nodes : 0;
    gr_array_free(in);
    gr_program_free(p);
    return out;
}

static void frozen_programs_compute_what_the_graph_says(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int f64 = 0; f64 < 2; f64++) {
            graph g = {.tape = gr_tape_new(), .real = f64 ? GR_F64 : GR_F32};
            gr_tensor *x = gr_input(g.tape, g.real, GR_SHAPE(GR_BATCH, 24), "x"), *y = rows[i].build(&g, x);
            gr_array *in = numbers(g.real), *expected = NULL, *got[3];
            int64_t nodes[3];
            gr_eval_with(1, &y, &expected, &(gr_eval_opts){.n_bindings = 1, .bindings = &(gr_binding){x, in}});
            got[0] = run(&g, x, y, 0, &nodes[0]);
            got[1] = run(&g, x, y, GR_PASS_INEXACT, &nodes[1]);
            got[2] = run(&g, x, y, GR_PASS_INEXACT | GR_PASS_FOLD | GR_PASS_SIMPLIFY | GR_PASS_CSE, &nodes[2]);
            for (int k = 0; k < 3; k++) {
                bool same = GR_EXPECT(expected && got[k], "%s: %s", rows[i].why, gr_error_message());
                for (int64_t j = 0; same && j < gr_array_size(expected); j++) {
                    double e = gr_array_at(expected, j), v = gr_array_at(got[k], j);
                    double tolerance = (f64 ? 1e-13 : 1e-5) * (k ? 0.1 : 1) * fmax(1, fabs(e));
                    same = GR_EXPECT(fabs(v - e) <= tolerance, "%s, %s, case %d: [%d] is %.9g, expected %.9g",
                        rows[i].why, gr_dtype_name(g.real), k, (int)j, v, e);
                }
                gr_array_free(got[k]);
            }
            GR_EXPECT(nodes[0] == rows[i].nodes && nodes[1] >= nodes[0] && nodes[2] >= nodes[1],
                "%s: %d, %d and %d nodes, expected %d at first", rows[i].why, (int)nodes[0], (int)nodes[1],
                (int)nodes[2], (int)rows[i].nodes);
            gr_array_free(in), gr_array_free(expected);
            gr_tape_free(g.tape);
            for (int k = 0; k < g.n; k++)
                gr_variable_free(g.variable[k]);
            gr_error_clear();
        }
}

static void an_error_of_data_is_left_to_the_run(void)
{
    graph g = {.tape = gr_tape_new(), .real = GR_F32};
    gr_tensor *x = gr_input(g.tape, GR_F32, GR_SHAPE(GR_BATCH, 24), "x"), *w = weight(&g, GR_SHAPE(4));
    gr_tensor *far = gr_cast(gr_add(w, gr_scalar(w, 100)), GR_I32), *y = gr_add(x, gr_sum(gr_take(w, far, 0)));
    gr_program *p = gr_program_new(g.tape, .inputs = {x}, .outputs = {y}, .frozen = true);
    gr_array *in = numbers(GR_F32), *out = gr_array_new(GR_F32, GR_SHAPE(5, 24));
    CU_ASSERT_PTR_NOT_NULL(p);
    CU_ASSERT_EQUAL(gr_error(), GR_OK);
    CU_ASSERT_EQUAL(gr_program_run(p, &in, &out), GR_ERANGE);
    gr_error_clear();
    gr_program_free(p);
    gr_array_free(in), gr_array_free(out);
    gr_tape_free(g.tape);
    gr_variable_free(g.variable[0]);
}

static void what_assigns_cannot_be_frozen(void)
{
    graph g = {.tape = gr_tape_new(), .real = GR_F32};
    gr_tensor *w = weight(&g, GR_SHAPE(4));
    gr_assign(w, gr_relu(w));
    CU_ASSERT_PTR_NULL(gr_program_new(g.tape, .outputs = {w}, .frozen = true));
    GR_EXPECT(strstr(gr_error_message(), "program: argument frozen: expected a tape that assigns nothing"), "%s",
        gr_error_message());
    gr_error_clear();
    gr_tape_free(g.tape);
    gr_variable_free(g.variable[0]);
}

GR_SUITE("compiler/freeze.c, ops/absorb.c", GR_TEST(frozen_programs_compute_what_the_graph_says),
    GR_TEST(an_error_of_data_is_left_to_the_run), GR_TEST(what_assigns_cannot_be_frozen))
