/* Recording: core/tape.c and core/leaf.c. */
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <string.h>

static void equal_pure_nodes_of_one_scope_are_one_node(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
    CU_ASSERT_PTR_EQUAL(gr_exp(x), gr_exp(x));
    CU_ASSERT_PTR_EQUAL(gr_scalar(x, 2), gr_scalar(x, 2));
    CU_ASSERT_PTR_NOT_EQUAL(gr_scalar(x, 2), gr_scalar(x, 3));
    CU_ASSERT_PTR_NOT_EQUAL(gr_sum(x, .axes = GR_SHAPE(0)), gr_sum(x, .axes = GR_SHAPE(1)));
    gr_tensor *outside = gr_exp(x);
    gr_scope_push(t, "layer", "Layer", GR_HERE);
    CU_ASSERT_PTR_NOT_EQUAL(gr_exp(x), outside);
    gr_scope_pop(t);
    gr_tape_free(t);
}

static void two_inputs_of_one_type_stay_two(void)
{
    gr_tape *t = gr_tape_new();
    CU_ASSERT_PTR_NOT_EQUAL(gr_input(t, GR_F32, GR_SHAPE(2), "x"), gr_input(t, GR_F32, GR_SHAPE(2), "x"));
    gr_tape_free(t);
}

static void the_recorded_order_is_topological(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(4), "x"), *y = gr_add(gr_exp(x), gr_mul(x, x));
    CU_ASSERT_EQUAL(gr_status_of(y), GR_OK);
    for (int64_t id = 0; id < t->n_nodes; id++)
        for (int i = 0; i < t->node[id]->n_in; i++)
            CU_ASSERT(t->node[id]->in[i]->node->id < id);
    gr_tape_free(t);
}

static void poison_passes_quietly_and_the_first_message_stays(void)
{
    gr_error_clear();
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2, 3), "x"), *y = gr_input(t, GR_F32, GR_SHAPE(4, 5), "y");
    int line = __LINE__ + 1;
    gr_tensor *bad = gr_add(x, y);
    CU_ASSERT_PTR_EQUAL(bad, GR_BAD);
    char first[4096], place[64];
    snprintf(first, sizeof first, "%s", gr_error_message());
    CU_ASSERT_PTR_EQUAL(gr_exp(gr_mul(bad, x)), GR_BAD);
    CU_ASSERT_PTR_EQUAL(gr_matmul(x, x), GR_BAD); /* a second mistake does not push the first aside */
    CU_ASSERT_STRING_EQUAL(gr_error_message(), first);
    snprintf(place, sizeof place, "test_tape.c:%d: add:", line);
    CU_ASSERT_PTR_NOT_NULL(strstr(first, place));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "[2, 3]"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "input x"));
    CU_ASSERT_EQUAL(gr_status_of(bad), GR_ESHAPE);
    gr_error_clear();
    gr_tape_free(t);
}

static void messages_name_the_layers_from_the_inside_out(void)
{
    gr_error_clear();
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2, 3), "x");
    int outer = __LINE__ + 1;
    gr_scope_push(t, "block", "Block", GR_HERE);
    gr_scope_push(t, "dense", "Dense", GR_HERE);
    CU_ASSERT_PTR_EQUAL(gr_matmul(x, x), GR_BAD);
    char want[64];
    snprintf(want, sizeof want, "in   block, test_tape.c:%d", outer);
    const char *dense = strstr(gr_error_message(), "in   dense, test_tape.c"),
               *block = strstr(gr_error_message(), want);
    CU_ASSERT(dense && block && dense < block);
    gr_error_clear();
    gr_tape_free(t);
}

static void a_null_operand_is_an_error_that_names_the_argument(void)
{
    gr_error_clear();
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x");
    CU_ASSERT_PTR_EQUAL(gr_add(x, NULL), GR_BAD);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "add: argument b: expected a tensor, found NULL"));
    gr_error_clear();
    gr_tape_free(t);
}

static void tensors_of_two_tapes_do_not_mix(void)
{
    gr_error_clear();
    gr_tape *t = gr_tape_new(), *u = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *y = gr_input(u, GR_F32, GR_SHAPE(2), "y");
    CU_ASSERT_PTR_EQUAL(gr_add(x, y), GR_BAD);
    CU_ASSERT_EQUAL(gr_error(), GR_EARG);
    gr_error_clear();
    gr_tape_free(t);
    gr_tape_free(u);
}

static void reset_frees_what_came_after_the_mark(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *kept = gr_exp(x);
    gr_tape_position mark = gr_tape_mark(t);
    for (int round = 0; round < 100; round++) {
        gr_tensor *y = gr_mul(gr_log(kept), gr_scalar(x, round));
        CU_ASSERT_EQUAL(gr_status_of(y), GR_OK);
        gr_tape_reset(t, mark);
        CU_ASSERT_EQUAL(gr_tape_size(t), mark.nodes);
    }
    CU_ASSERT_PTR_EQUAL(gr_exp(x), kept);
    gr_tape_free(t);
}

static void gr_dim_gives_a_marker_for_the_batch(void)
{
    gr_error_clear();
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(gr_dim_batch(2), 3), "x");
    CU_ASSERT_EQUAL(gr_dim(x, 0), GR_BATCH);
    CU_ASSERT_EQUAL(gr_dim(x, -1), 3);
    CU_ASSERT_EQUAL(gr_dim(x, 2), -1);
    CU_ASSERT_EQUAL(gr_error(), GR_ESHAPE);
    gr_error_clear();
    CU_ASSERT_PTR_EQUAL(gr_input(t, GR_F32, GR_SHAPE(2 * GR_BATCH), "arithmetic with the marker"), GR_BAD);
    gr_error_clear();
    gr_tape_free(t);
}

static void a_variable_reads_as_what_was_assigned_last(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
    gr_tensor *before = gr_read(t, v);
    CU_ASSERT_PTR_EQUAL(gr_read(t, v), before);
    gr_tensor *after = gr_assign(before, gr_add(before, gr_scalar(before, 1)));
    CU_ASSERT_PTR_EQUAL(gr_read(t, v), after);
    CU_ASSERT_PTR_EQUAL(gr_variable_of(after), v);
    gr_tensor *again = gr_assign(after, gr_mul(after, gr_scalar(after, 2)));
    CU_ASSERT_PTR_EQUAL(gr_read(t, v), again);
    gr_tape_free(t);
    gr_variable_free(v);
}

static void assign_wants_a_variable_and_its_type(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
    gr_tensor *r = gr_read(t, v), *x = gr_input(t, GR_F32, GR_SHAPE(3), "x");
    const struct {
        const char *why;
        gr_tensor *target, *value;
        gr_status status;
    } rows[] = {
        {"a computed value has no variable", gr_exp(r), r, GR_EARG},
        {"another shape", r, x, GR_ESHAPE},
        {"another dtype", r, gr_cast(r, GR_F64), GR_ESHAPE},
        {"NULL", r, NULL, GR_EARG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        CU_ASSERT_PTR_EQUAL(gr_assign(rows[i].target, rows[i].value), GR_BAD);
        GR_EXPECT(gr_error() == rows[i].status, "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_tape_free(t);
    gr_variable_free(v);
}

static void a_scalar_must_be_exact_in_integer_dtypes(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *i = gr_input(t, GR_I32, GR_SHAPE(2), "i");
    CU_ASSERT_PTR_NOT_EQUAL(gr_scalar(i, 7), GR_BAD);
    const double bad[] = {0.5, 1e10, -1e10};
    for (size_t k = 0; k < 3; k++) {
        gr_error_clear();
        GR_EXPECT(gr_scalar(i, bad[k]) == GR_BAD && gr_error() == GR_ERANGE, "%g", bad[k]);
    }
    gr_error_clear();
    gr_tape_free(t);
}

static void a_million_nodes_are_recorded_and_freed(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(1), "x"), *one = gr_scalar(x, 1);
    for (int i = 0; i < 1000000; i++)
        x = gr_add(x, one);
    CU_ASSERT_EQUAL(gr_status_of(x), GR_OK);
    CU_ASSERT_EQUAL(gr_tape_size(t), 1000002);
    gr_tape_free(t);
}

/* exp(x), tanh(x), exp(x) + tanh(x), -exp(x), with exp(x) in the place of tanh(x) and a new node before the last. */
static void a_tape_is_made_anew_of_its_own_nodes(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(4), "x"), *e = gr_exp(x), *h = gr_tanh(x), *y = gr_add(e, h);
    gr_tensor *z = gr_neg(e), *kept = gr_abs(e), *other = gr_neg(h);
    gr__tape_rewrite(t);
    CU_ASSERT_PTR_EQUAL(gr__node_keep(t, x->node->id, NULL), x);
    CU_ASSERT_PTR_EQUAL(gr__node_keep(t, e->node->id, &x), e);
    CU_ASSERT_PTR_EQUAL(gr__node_keep(t, y->node->id, (gr_tensor *[]){e, e}), y);
    gr_tensor *added = gr_sin(y);
    CU_ASSERT_PTR_EQUAL(gr__node_keep(t, z->node->id, &e), z);
    CU_ASSERT_PTR_EQUAL(gr__node_keep(t, other->node->id, &e), z); /* it is the same now */
    CU_ASSERT_PTR_NOT_EQUAL(gr_abs(e), kept);                      /* which is not on the tape any more */
    gr__tape_rewritten(t);
    const gr_tensor *const order[] = {x, e, y, added, z};
    CU_ASSERT_EQUAL_FATAL(gr_tape_size(t), 6);
    for (int i = 0; i < 5; i++)
        GR_EXPECT(t->node[i] == order[i]->node && t->node[i]->id == i, "node %d", i);
    CU_ASSERT_PTR_EQUAL(y->node->in[1], e);
    CU_ASSERT_PTR_EQUAL(gr_add(e, e), y);
    gr_tape_free(t);
}

GR_SUITE("core/tape.c", GR_TEST(equal_pure_nodes_of_one_scope_are_one_node), GR_TEST(two_inputs_of_one_type_stay_two),
    GR_TEST(the_recorded_order_is_topological), GR_TEST(poison_passes_quietly_and_the_first_message_stays),
    GR_TEST(messages_name_the_layers_from_the_inside_out), GR_TEST(a_null_operand_is_an_error_that_names_the_argument),
    GR_TEST(tensors_of_two_tapes_do_not_mix), GR_TEST(reset_frees_what_came_after_the_mark),
    GR_TEST(gr_dim_gives_a_marker_for_the_batch), GR_TEST(a_variable_reads_as_what_was_assigned_last),
    GR_TEST(assign_wants_a_variable_and_its_type), GR_TEST(a_scalar_must_be_exact_in_integer_dtypes),
    GR_TEST(a_million_nodes_are_recorded_and_freed), GR_TEST(a_tape_is_made_anew_of_its_own_nodes))
