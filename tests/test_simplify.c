/* The passes over graphs: text in, text out. */
#include "compiler/graph.h"
#include "core/text.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <string.h>

/* A graph of a text that ends in "return ..."; inputs are found on its tape. */
static bool read_graph(gr__graph *g, const char *text)
{
    *g = (gr__graph){0};
    g->tape = gr__graph_parse(text, 0, NULL, GR_PROGRAM_MAX, g->out, &g->n_out);
    for (int64_t i = 0; g->tape && i < g->tape->n_nodes; i++)
        if (g->tape->node[i]->op == &gr_op_input)
            g->in[g->n_in++] = &g->tape->node[i]->out[0];
    return g->tape != NULL;
}

static gr_status simplify(gr__graph *g)
{
    return gr__pass_simplify(g, true);
}
static gr_status simplify_exact(gr__graph *g)
{
    return gr__pass_simplify(g, false);
}

typedef struct {
    const char *why;
    gr_status (*pass)(gr__graph *g);
    const char *before, *after;
} row;

#define X  "%0 = input x : float32 [B, 3]\n"
#define XY X "%1 = input y : float32 [B, 3]\n"
#define WINDOW "size = [2, 2], strides = [2, 2], before = [0, 0], after = [0, 0]"
#define POOLED                                                                                                         \
    "%0 = input x : float32 [B, 4, 4, 1]\n%1 = input g : float32 [B, 2, 2, 1]\n%2 = constant : float32 [] = 0\n"       \
    "%3:2 = max_pool(%0) {" WINDOW "} : float32 [B, 2, 2, 1], uint8 [B, 2, 2, 1]\n"
static const row rows[] = {
    {"integers wrap: a square may be negative", simplify,
        "%0 = input x : int32 [B]\n%1 = square(%0) : int32 [B]\n%2 = abs(%1) : int32 [B]\nreturn %2\n",
        "%0 = input x : int32 [B]\n%1 = square(%0) : int32 [B]\n%2 = abs(%1) : int32 [B]\nreturn %2\n"},
    {"x + 0 is x", simplify, X "%1 = constant : float32 [] = 0\n%2 = add(%0, %1) : float32 [B, 3]\nreturn %2\n",
        X "return %0\n"},
    {"0 + x too: add is commutative", simplify,
        X "%1 = constant : float32 [] = 0\n%2 = add(%1, %0) : float32 [B, 3]\nreturn %2\n", X "return %0\n"},
    {"0 - x is no x", simplify, X "%1 = constant : float32 [] = 0\n%2 = sub(%1, %0) : float32 [B, 3]\nreturn %2\n",
        X "%1 = neg(%0) : float32 [B, 3]\nreturn %1\n"},
    {"x * 0 stays, for x may be NaN", simplify,
        X "%1 = constant : float32 [] = 0\n%2 = mul(%0, %1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = constant : float32 [] = 0\n%2 = mul(%0, %1) : float32 [B, 3]\nreturn %2\n"},
    {"a division by a power of two is a product", simplify_exact,
        X "%1 = constant : float32 [] = 4\n%2 = div(%0, %1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = constant : float32 [] = 0.25\n%2 = mul(%0, %1) : float32 [B, 3]\nreturn %2\n"},
    {"a division by 3 is not", simplify_exact,
        X "%1 = constant : float32 [] = 3\n%2 = div(%0, %1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = constant : float32 [] = 3\n%2 = div(%0, %1) : float32 [B, 3]\nreturn %2\n"},
    {"rules meet: -(-x) * 1", simplify,
        X "%1 = neg(%0) : float32 [B, 3]\n%2 = neg(%1) : float32 [B, 3]\n%3 = constant : float32 [] = 1\n"
          "%4 = mul(%2, %3) : float32 [B, 3]\nreturn %4\n",
        X "return %0\n"},
    {"signs are changed after a sum, over the same axes", simplify_exact,
        X "%1 = neg(%0) : float32 [B, 3]\n%2 = sum(%1) {axes = [0], keepdims = true} : float32 [1, 3]\nreturn %2\n",
        X "%1 = sum(%0) {axes = [0], keepdims = true} : float32 [1, 3]\n%2 = neg(%1) : float32 [1, 3]\nreturn %2\n"},
    {"a mask is applied before a pooling's gradient is spread", simplify_exact,
        POOLED "%4 = greater(%0, %2) : bool [B, 4, 4, 1]\n"
               "%5 = max_pool_input_grad(%1, %3.1) {" WINDOW ", into = [4, 4]} : float32 [B, 4, 4, 1]\n"
               "%6 = where(%4, %5, %2) : float32 [B, 4, 4, 1]\nreturn %6\n",
        POOLED "%4 = greater(%3, %2) : bool [B, 2, 2, 1]\n%5 = where(%4, %1, %2) : float32 [B, 2, 2, 1]\n"
               "%6 = max_pool_input_grad(%5, %3.1) {" WINDOW ", into = [4, 4]} : float32 [B, 4, 4, 1]\nreturn %6\n"},
    {"but not the mask of what was not pooled", simplify_exact,
        POOLED "%4 = input z : float32 [B, 4, 4, 1]\n%5 = greater(%4, %2) : bool [B, 4, 4, 1]\n"
               "%6 = max_pool_input_grad(%1, %3.1) {" WINDOW ", into = [4, 4]} : float32 [B, 4, 4, 1]\n"
               "%7 = where(%5, %6, %2) : float32 [B, 4, 4, 1]\nreturn %7\n",
        POOLED "%4 = input z : float32 [B, 4, 4, 1]\n%5 = greater(%4, %2) : bool [B, 4, 4, 1]\n"
               "%6 = max_pool_input_grad(%1, %3.1) {" WINDOW ", into = [4, 4]} : float32 [B, 4, 4, 1]\n"
               "%7 = where(%5, %6, %2) : float32 [B, 4, 4, 1]\nreturn %7\n"},
    {"the same letter is the same tensor", simplify, XY "%2 = maximum(%0, %1) : float32 [B, 3]\nreturn %2\n",
        XY "%2 = maximum(%0, %1) : float32 [B, 3]\nreturn %2\n"},
    {"maximum(x, x) is x", simplify, XY "%2 = maximum(%0, %0) : float32 [B, 3]\nreturn %2\n", XY "return %0\n"},
    {"a smaller tensor does not take a larger one's place", simplify,
        "%0 = input x : float32 [3]\n%1 = constant : float32 [2, 1] = [0, 0]\n%2 = add(%0, %1) : float32 [2, "
        "3]\nreturn %2\n",
        "%0 = input x : float32 [3]\n%1 = constant : float32 [2, 1] = [0, 0]\n%2 = add(%0, %1) : float32 [2, "
        "3]\nreturn %2\n"},
    {"an idempotent op twice is it once, by its trait", simplify,
        X "%1 = stop_gradient(%0) : float32 [B, 3]\n%2 = stop_gradient(%1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = stop_gradient(%0) : float32 [B, 3]\nreturn %1\n"},
    {"relu of relu, by a rule", simplify,
        X "%1 = relu(%0) : float32 [B, 3]\n%2 = relu(%1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = relu(%0) : float32 [B, 3]\nreturn %1\n"},
    {"an inexact rule", simplify, X "%1 = exp(%0) : float32 [B, 3]\n%2 = log(%1) : float32 [B, 3]\nreturn %2\n",
        X "return %0\n"},
    {"an inexact rule when they are off", simplify_exact,
        X "%1 = exp(%0) : float32 [B, 3]\n%2 = log(%1) : float32 [B, 3]\nreturn %2\n",
        X "%1 = exp(%0) : float32 [B, 3]\n%2 = log(%1) : float32 [B, 3]\nreturn %2\n"},
    {"a recomputed copy is left alone", simplify,
        X "%1 = neg(%0) : float32 [B, 3]\n%2 = neg(%1) : float32 [B, 3] clone 1\nreturn %2\n",
        X "%1 = neg(%0) : float32 [B, 3]\n%2 = neg(%1) : float32 [B, 3] clone 1\nreturn %2\n"},
    {"constants of constants", gr__pass_fold,
        "%0 = constant : float32 [2] = [1, 2]\n%1 = constant : float32 [] = 3\n%2 = mul(%0, %1) : float32 [2]\nreturn "
        "%2\n",
        "%0 = constant : float32 [2] = [3, 6]\nreturn %0\n"},
    {"equal nodes of two layers", gr__pass_cse,
        "scope a : A\nscope b : B\n" X "%1 = exp(%0) : float32 [B, 3] in a\n%2 = exp(%0) : float32 [B, 3] in b\n"
        "%3 = add(%1, %2) : float32 [B, 3]\nreturn %3\n",
        "scope a : A\n" X "%1 = exp(%0) : float32 [B, 3] in a\n%2 = add(%1, %1) : float32 [B, 3]\nreturn %2\n"},
    {"a copy to be recomputed is not merged with what it copies", gr__pass_cse,
        X "%1 = exp(%0) : float32 [B, 3]\n%2 = exp(%0) : float32 [B, 3] clone 1\n%3 = add(%1, %2) : float32 [B, "
          "3]\nreturn %3\n",
        X "%1 = exp(%0) : float32 [B, 3]\n%2 = exp(%0) : float32 [B, 3] clone 1\n%3 = add(%1, %2) : float32 [B, "
          "3]\nreturn %3\n"},
    {"dead code", gr__pass_cse, X "%1 = exp(%0) : float32 [B, 3]\n%2 = neg(%0) : float32 [B, 3]\nreturn %2\n",
        X "%1 = neg(%0) : float32 [B, 3]\nreturn %1\n"},
};

static void each_pass_makes_of_a_text_what_the_table_says(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr__graph g, compact;
        if (!GR_EXPECT(read_graph(&g, rows[i].before), "%s: %s", rows[i].why, gr_error_message()))
            continue;
        CU_ASSERT_EQUAL(rows[i].pass(&g), GR_OK);
        CU_ASSERT_EQUAL(gr__graph_rebuild(&g, NULL, NULL), GR_OK); /* without what is dead now */
        CU_ASSERT_EQUAL(gr__graph_verify(&g, rows[i].why), GR_OK);
        GR_EXPECT(read_graph(&compact, rows[i].after), "%s: %s", rows[i].why, gr_error_message());
        char *got = gr__graph_text(g.tape, g.n_out, g.out),
             *want = gr__graph_text(compact.tape, compact.n_out, compact.out);
        GR_EXPECT(got && want && strcmp(got, want) == 0, "%s: got\n%s", rows[i].why, got ? got : "nothing");
        gr_text_free(got), gr_text_free(want);
        gr__graph_free(&g), gr__graph_free(&compact);
        gr_error_clear();
    }
}

/* What the verifier is for. */
static void the_verifier_sees_a_broken_graph(void)
{
    gr__graph g;
    CU_ASSERT_FATAL(read_graph(&g, X "%1 = exp(%0) : float32 [B, 3]\n%2 = neg(%1) : float32 [B, 3]\nreturn %2\n"));
    CU_ASSERT_EQUAL(gr__graph_verify(&g, "nothing"), GR_OK);
    gr_tensor *was = g.tape->node[1]->in[0];
    g.tape->node[1]->in[0] = &g.tape->node[2]->out[0];
    CU_ASSERT_EQUAL(gr__graph_verify(&g, "a circle"), GR_ESTATE);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "after a circle"));
    gr_error_clear();
    g.tape->node[1]->in[0] = was;
    g.tape->node[1]->out[0].shape = GR_SHAPE(4);
    CU_ASSERT_EQUAL(gr__graph_verify(&g, "a wrong shape"), GR_ESTATE);
    gr_error_clear();
    gr__graph_free(&g);
}

GR_SUITE("compiler/simplify.c", GR_TEST(each_pass_makes_of_a_text_what_the_table_says),
    GR_TEST(the_verifier_sees_a_broken_graph))
