/* Evaluating node by node: core/eval.c. */
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>

static void an_expression_of_constants_has_a_value(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_number(t, GR_F32, 3);
    gr_array *y = gr_eval(gr_add(gr_square(x), gr_scalar(x, 1)));
    CU_ASSERT_PTR_NOT_NULL_FATAL(y);
    CU_ASSERT_DOUBLE_EQUAL(gr_array_at(y, 0), 10, 0);
    gr_array_free(y);
    gr_tape_free(t);
}

static void inputs_are_bound_and_the_batch_comes_from_them(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 2), "x"), *y = gr_sum(x, .axes = GR_SHAPE(1));
    for (int64_t n = 0; n < 4; n++) {
        gr_array *a = gr_array_new(GR_F32, GR_SHAPE(n, 2)), *out;
        for (int64_t i = 0; i < 2 * n; i++)
            ((float *)gr_array_data(a))[i] = (float)i;
        gr_binding b = {x, a};
        CU_ASSERT_EQUAL(gr_eval_with(1, &y, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &b}), GR_OK);
        CU_ASSERT_EQUAL(gr_array_size(out), n);
        for (int64_t i = 0; i < n; i++)
            CU_ASSERT_DOUBLE_EQUAL(gr_array_at(out, i), 4.0 * (double)i + 1, 0);
        gr_array_free(out);
        gr_array_free(a);
    }
    gr_tape_free(t);
}

static void what_does_not_fit_is_refused(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 2), "x"), *z = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH), "z");
    gr_tensor *y = gr_add(gr_sum(x, .axes = GR_SHAPE(1)), z);
    gr_array *two = gr_array_new(GR_F32, GR_SHAPE(2, 2)), *three = gr_array_new(GR_F32, GR_SHAPE(3)),
             *wide = gr_array_new(GR_F32, GR_SHAPE(2, 3)), *f64 = gr_array_new(GR_F64, GR_SHAPE(2, 2));
    const struct {
        const char *why;
        int n;
        gr_binding b[2];
        gr_status status;
    } rows[] = {
        {"an input without a value", 1, {{x, two}}, GR_EARG},
        {"two batch sizes", 2, {{x, two}, {z, three}}, GR_ESHAPE},
        {"a wrong axis", 1, {{x, wide}}, GR_ESHAPE},
        {"a wrong dtype", 1, {{x, f64}}, GR_ESHAPE},
        {"not an input", 1, {{y, three}}, GR_EARG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_array *out;
        gr_error_clear();
        gr_status s = gr_eval_with(1, &y, &out, &(gr_eval_opts){.n_bindings = rows[i].n, .bindings = rows[i].b});
        GR_EXPECT(s == rows[i].status && !out, "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_array_free(two);
    gr_array_free(three);
    gr_array_free(wide);
    gr_array_free(f64);
    gr_tape_free(t);
}

static void assignments_are_stored_only_when_asked_for(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_RANK0, true);
    gr_tensor *r = gr_read(t, v), *next = gr_assign(r, gr_add(r, gr_scalar(r, 1))), *twice = gr_mul(r, gr_scalar(r, 2));
    gr_array *out[2];
    gr_variable_set_scalar(v, 5);
    CU_ASSERT_EQUAL(gr_eval_with(1, &next, out, NULL), GR_OK);
    CU_ASSERT_EQUAL(gr_variable_get_scalar(v), 5);
    gr_array_free(out[0]);
    CU_ASSERT_EQUAL(gr_eval_with(2, (gr_tensor *[]){next, twice}, out, &(gr_eval_opts){.commit = true}), GR_OK);
    CU_ASSERT_EQUAL(gr_array_at(out[0], 0), 6);
    CU_ASSERT_EQUAL(gr_array_at(out[1], 0), 10); /* the read saw the value at the start */
    CU_ASSERT_EQUAL(gr_variable_get_scalar(v), 6);
    gr_array_free(out[0]);
    gr_array_free(out[1]);
    gr_tape_free(t);
    gr_variable_free(v);
}

static void assign_if_keeps_the_old_value_where_the_condition_is_false(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_RANK0, true);
    gr_tensor *p = gr_input(t, GR_BOOL, GR_RANK0, "p"), *r = gr_read(t, v);
    gr_tensor *x = gr_assign_if(p, r, gr_add(r, gr_scalar(r, 1)));
    for (uint8_t yes = 0; yes < 2; yes++) {
        gr_array *pred = gr_array_from(GR_BOOL, GR_RANK0, &yes), *out;
        gr_binding b = {p, pred};
        gr_variable_set_scalar(v, 5);
        CU_ASSERT_EQUAL(
            gr_eval_with(1, &x, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &b, .commit = true}), GR_OK);
        CU_ASSERT_EQUAL(gr_variable_get_scalar(v), yes ? 6 : 5);
        gr_array_free(out);
        gr_array_free(pred);
    }
    gr_tape_free(t);
    gr_variable_free(v);
}

static void a_region_sees_outer_tensors_and_evaluates(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_number(t, GR_F32, 3), *outer = gr_exp(gr_number(t, GR_F32, 1));
    gr__region *r = gr__region_begin(t, 1, &x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    gr_tensor *body = gr_mul(r->param[0], outer);
    CU_ASSERT(gr__region_end(r, 1, &body));
    CU_ASSERT_EQUAL(r->n_params, 2); /* the argument and the capture */
    gr_tensor *copy[1], *args[2] = {x, outer};
    CU_ASSERT(gr__region_inline(t, r, args, copy));
    gr_array *y = gr_eval(copy[0]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(y);
    CU_ASSERT_DOUBLE_EQUAL(gr_array_at(y, 0), 3 * exp(1), 1e-5);
    gr_array_free(y);
    gr_tape_free(t);
}

static void a_float32_op_refuses_float64_by_name(void)
{
    gr_tape *t = gr_tape_new();
    static gr_op only_f32;
    only_f32 = *gr_op_named("exp");
    only_f32.name = "only_f32";
    only_f32.eval_f64 = NULL;
    gr_tensor *x = gr_number(t, GR_F64, 1);
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_eval(gr_apply_op(&only_f32, NULL, 1, &x)));
    CU_ASSERT_EQUAL(gr_error(), GR_EMISSING);
    gr_error_clear();
    gr_tape_free(t);
}

GR_SUITE("core/eval.c", GR_TEST(an_expression_of_constants_has_a_value),
    GR_TEST(inputs_are_bound_and_the_batch_comes_from_them), GR_TEST(what_does_not_fit_is_refused),
    GR_TEST(assignments_are_stored_only_when_asked_for),
    GR_TEST(assign_if_keeps_the_old_value_where_the_condition_is_false),
    GR_TEST(a_region_sees_outer_tensors_and_evaluates), GR_TEST(a_float32_op_refuses_float64_by_name))
