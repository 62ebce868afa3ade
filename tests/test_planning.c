/* Making a plan takes about as many times longer as the graph is larger; counted in what the search looks at, not in
 * seconds. */
#include "autograd/scan.h"
#include "compiler/plan.h"
#include "tests/harness.h"
#include "tests/transformer.h"

/* Groups and layouts looked at for one node, on the average; 0 if something failed. */
static double searched_per_node(gr_tape *t, const gr_program_opts *o)
{
    gr__graph g;
    double each = 0;
    if (!GR_EXPECT(gr__graph_trace(&g, t, o) == GR_OK && gr__pass_inline(&g) == GR_OK, "%s", gr_error_message()))
        return 0;
    gr__plan *p = gr__plan_new(&g, 4, 2, 0);
    if (GR_EXPECT(p && gr__plan_verify(p) == GR_OK, "%s", gr_error_message()))
        each = (double)p->searched / p->n_nodes;
    gr__plan_free(p);
    gr__graph_free(&g);
    return each;
}

static double of_blocks(int64_t depth)
{
    transformer m;
    double each = 0;
    if (GR_EXPECT(transformer_make(&m, (transformer_sizes){depth, 32, 2, 16, 20}) == GR_OK, "%s", gr_error_message()))
        each = searched_per_node(m.tape, &(gr_program_opts){.inputs = {m.text, m.next}, .outputs = {m.loss}});
    transformer_free(&m);
    return each;
}

/* h = tanh(x + h w) */
static gr_status cell(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    out[0] = gr_tanh(gr_add(in[1], gr_matmul(in[0], *(gr_tensor *const *)ctx)));
    return gr_status_of(out[0]);
}

static double of_cells(int64_t length)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("w", GR_F32, GR_SHAPE(16, 16), true);
    gr_tensor *w = gr_read(t, v), *x = gr_input(t, GR_F32, GR_SHAPE(length, GR_BATCH, 16), "x"), *last, *g;
    gr_tensor *h = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 16), "h");
    gr_scan(&last, .body = cell, .ctx = &w, .n_carries = 1, .carries = &h, .n_xs = 1, .xs = &x);
    gr_tensor *loss = gr_mean(gr_square(last));
    double each = 0;
    if (GR_EXPECT(gr_grad(loss, &w, 1, &g) == GR_OK && gr_status_of(gr_assign(w, gr_sub(w, g))) == GR_OK, "%s",
            gr_error_message()))
        each = searched_per_node(t, &(gr_program_opts){.inputs = {x, h}, .outputs = {loss}});
    gr_tape_free(t);
    gr_variable_free(v);
    return each;
}

/* Nearly in proportion: a search that finds a way around passes by more groups in a larger graph. */
static void eight_times_the_graph_is_not_64_times_the_search(void)
{
    const double few = of_blocks(2), many = of_blocks(16), short_scan = of_cells(16), long_scan = of_cells(128);
    GR_EXPECT(few > 0 && many < 4 * few, "%.1f looked at for a node of 2 blocks, %.1f of 16", few, many);
    GR_EXPECT(short_scan > 0 && long_scan < 2 * short_scan, "%.1f looked at for a node of 16 cells, %.1f of 128",
        short_scan, long_scan);
}

GR_SUITE("compiler/order.c", GR_TEST(eight_times_the_graph_is_not_64_times_the_search))
