/* Making a plan takes about as many times longer as the graph is larger; counted in what the search looks at, not in
 * seconds. */
#include "compiler/plan.h"
#include "tests/harness.h"
#include "tests/transformer.h"

/* Groups and layouts looked at for one node, on the average; 0 if something failed. */
static double searched_per_node(int64_t depth)
{
    transformer m;
    gr__graph g;
    double each = 0;
    if (GR_EXPECT(transformer_make(&m, (transformer_sizes){depth, 32, 2, 16, 20}) == GR_OK, "%s", gr_error_message()) &&
        gr__graph_trace(&g, m.tape, &(gr_program_opts){.inputs = {m.text, m.next}, .outputs = {m.loss}}) == GR_OK) {
        gr__plan *p = gr__plan_new(&g, 4, 2, 0);
        if (GR_EXPECT(p && gr__plan_verify(p) == GR_OK, "%s", gr_error_message()))
            each = (double)p->searched / p->n_nodes;
        gr__plan_free(p);
        gr__graph_free(&g);
    }
    transformer_free(&m);
    return each;
}

/* Nearly in proportion: a search that finds a way around passes by more groups in a larger graph. */
static void eight_times_the_graph_is_not_64_times_the_search(void)
{
    double small = searched_per_node(2), large = searched_per_node(16);
    GR_EXPECT(small > 0 && large < 4 * small, "%.1f looked at for a node of 2 blocks, %.1f of 16", small, large);
}

GR_SUITE("compiler/order.c", GR_TEST(eight_times_the_graph_is_not_64_times_the_search))
