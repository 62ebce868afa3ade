/* Custom gradients and checkpoints: values, gradients of any order, and what their regions may use. */
#include "autograd/custom.h"
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "compiler/program.h"
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>

static gr_array *three(void)
{
    return gr_array_from(GR_F64, GR_SHAPE(3), (const double[]){0.5, -1, 2});
}

/* Evaluates y with x = (0.5, -1, 2). */
static gr_array *value(gr_tensor *x, gr_tensor *y)
{
    gr_array *v = three(), *out = NULL;
    gr_binding bound = {x, v};
    GR_EXPECT(gr_eval_with(1, &y, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound, .seed = 5}) == GR_OK, "%s",
        gr_error_message());
    gr_error_clear();
    gr_array_free(v);
    return out;
}

static void expect_same(int line, gr_tensor *x, gr_tensor *a, gr_tensor *b)
{
    gr_array *va = value(x, a), *vb = value(x, b);
    GR_EXPECT(va && vb && gr_array_equal(va, vb), "line %d: [0] is %.17g and %.17g", line, va ? gr_array_at(va, 0) : 0,
        vb ? gr_array_at(vb, 0) : 0);
    gr_array_free(va);
    gr_array_free(vb);
}
#define SAME(x, a, b) expect_same(__LINE__, x, a, b)

/* ---- custom_gradient --------------------------------------------------------------------------------------------- */

/* round(x), through which the gradient passes as if it were x: a straight-through estimator */
static gr_status through_forward(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_round(in[0]);
    return gr_status_of(out[0]);
}
static gr_status through_backward(gr_custom_vjp *v)
{
    v->dx[0] = v->dy[0];
    return GR_OK;
}
static const gr_custom through = {"straight_through", through_forward, through_backward, NULL};

/* (x y, x + y) with the formal gradient, so that any order can be compared with the ops' own */
static gr_status pair_forward(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_mul(in[0], in[1]);
    out[1] = gr_exp(gr_sub(in[0], in[1]));
    return gr_status_of(out[1]);
}
static gr_status pair_backward(gr_custom_vjp *v)
{
    gr_tensor *e = gr_mul(v->dy[1], v->out[1]);
    v->dx[0] = gr_add(gr_mul(v->dy[0], v->in[1]), e);
    v->dx[1] = gr_sub(gr_mul(v->dy[0], v->in[0]), e);
    return GR_OK;
}
static const gr_custom pair = {"pair", pair_forward, pair_backward, NULL};

static void a_custom_gradient_takes_the_place_of_the_formal_one(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *y = GR_BAD, *g;
    CU_ASSERT_EQUAL(gr_custom_gradient(&through, 1, &x, 1, &y), GR_OK);
    SAME(x, y, gr_round(x));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(y)), &x, 1, &g), GR_OK);
    SAME(x, g, gr_add(gr_round(x), gr_round(x)));
    CU_ASSERT_STRING_EQUAL(y->node->op->name, "custom_gradient");
    CU_ASSERT_EQUAL(y->node->n_regions, 2);
    gr_tape_free(t);
}

static gr_status pair_of_square(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    gr_tensor *s = gr_square(in[0]), *both[2] = {GR_BAD, GR_BAD};
    GR_TRY(gr_custom_gradient(ctx, 2, (gr_tensor *[]){s, in[0]}, 2, both));
    out[0] = gr_mul(both[0], both[1]);
    out[1] = both[1];
    return gr_status_of(out[0]);
}

static void custom_gradients_have_gradients_of_any_order(void)
{
    gr_array *x = three();
    gr_status s = gr_gradcheck_fn(
        pair_of_square, .ctx = (void *)(uintptr_t)&pair, .n_in = 1, .in = {x}, .n_out = 2, .second = true);
    GR_EXPECT(s == GR_OK, "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(x);
    gr_tape *t = gr_tape_new();
    gr_tensor *z = gr_input(t, GR_F64, GR_SHAPE(3), "z"), *own[2], *formal[2], *a, *b;
    pair_of_square((void *)(uintptr_t)&pair, t, 1, &z, 2, own);
    gr_tensor *q = gr_square(z);
    pair_forward(NULL, t, 2, (gr_tensor *[]){q, z}, 2, formal);
    a = gr_sum(own[0]);
    b = gr_sum(gr_mul(formal[0], formal[1]));
    for (int order = 1; order <= 3; order++) {
        CU_ASSERT_EQUAL(gr_grad(a, &z, 1, &a), GR_OK);
        CU_ASSERT_EQUAL(gr_grad(b, &z, 1, &b), GR_OK);
        gr_array *va = value(z, a), *vb = value(z, b);
        for (int i = 0; va && vb && i < 3; i++)
            GR_EXPECT(fabs(gr_array_at(va, i) - gr_array_at(vb, i)) <= 1e-12 * fabs(gr_array_at(vb, i)),
                "order %d, [%d]: %.17g and %.17g", order, i, gr_array_at(va, i), gr_array_at(vb, i));
        gr_array_free(va);
        gr_array_free(vb);
        a = gr_sum(a);
        b = gr_sum(b);
    }
    gr_tape_free(t);
}

static void results_without_a_gradient_count_as_zero(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *both[2], *g;
    CU_ASSERT_EQUAL(gr_custom_gradient(&pair, 2, (gr_tensor *[]){x, gr_square(x)}, 2, both), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(both[0]), &x, 1, &g), GR_OK); /* x^3 */
    SAME(x, g, gr_add(gr_square(x), gr_mul(x, gr_add(x, x))));
    gr_tape_free(t);
}

/* rows of x; the indices are an input like the other, without a gradient, whatever backward says of them */
static gr_status rows_forward(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_mul(in[1], gr_cast(in[0], GR_F64));
    return gr_status_of(out[0]);
}
static gr_status rows_backward(gr_custom_vjp *v)
{
    v->dx[0] = v->in[0];
    v->dx[1] = gr_mul(v->dy[0], gr_cast(v->in[0], GR_F64));
    return GR_OK;
}

static void integer_inputs_have_no_gradient(void)
{
    static const gr_custom rows = {"rows", rows_forward, rows_backward, NULL};
    gr_tape *t = gr_tape_new();
    gr_array *k = gr_array_from(GR_I64, GR_SHAPE(3), (const int64_t[]){2, 3, 4});
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *i = gr_constant(t, k), *y, *g;
    CU_ASSERT_EQUAL(gr_custom_gradient(&rows, 2, (gr_tensor *[]){i, x}, 1, &y), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), &x, 1, &g), GR_OK);
    SAME(x, g, gr_cast(i, GR_F64));
    gr_array_free(k);
    gr_tape_free(t);
}

static gr_tensor *outer; /* what a body takes from outside */
static gr_status takes_outer(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_mul(in[0], outer);
    return gr_status_of(out[0]);
}
static gr_status outer_backward(gr_custom_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], outer);
    return GR_OK;
}
static gr_status wrong_backward(gr_custom_vjp *v)
{
    v->dx[0] = gr_sum(v->dy[0]);
    return GR_OK;
}
static gr_status no_backward(gr_custom_vjp *v)
{
    (void)v;
    return GR_OK;
}
static gr_status failing(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_add(in[0], gr_constant(t, NULL));
    return gr_status_of(out[0]);
}

static void wrong_custom_gradients_are_refused(void)
{
    gr_tape *t = gr_tape_new(), *other = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *z = gr_input(other, GR_F64, GR_SHAPE(3), "z");
    outer = gr_exp(x);
    const gr_custom forward_takes = {"mine", takes_outer, through_backward, NULL},
                    backward_takes = {"mine", through_forward, outer_backward, NULL},
                    wrong = {"mine", through_forward, wrong_backward, NULL},
                    fails = {"mine", failing, no_backward, NULL}, half = {"mine", through_forward, NULL, NULL};
    const struct {
        const char *why;
        const gr_custom *f;
        int n_in;
        gr_tensor *in[2];
        gr_status status;
        const char *words;
    } rows[] = {
        {"forward uses an outer tensor", &forward_takes, 1, {x}, GR_EARG, "every tensor that forward uses"},
        {"backward uses an outer tensor", &backward_takes, 1, {x}, GR_EARG, "every tensor that backward uses"},
        {"a dx of another shape", &wrong, 1, {x}, GR_EGRAD,
            "expected backward to give float64 [3] for input 0, found float64 []"},
        {"no backward", &half, 1, {x}, GR_EARG, "found NULL"},
        {"no custom", NULL, 1, {x}, GR_EARG, "found NULL"},
        {"no input", &through, 0, {NULL}, GR_EARG, "expected 1 .. 64 tensors"},
        {"a missing input", &through, 1, {NULL}, GR_EARG, "found NULL at [0]"},
        {"two tapes", &pair, 2, {x, z}, GR_EARG, "two tapes at [1]"},
        {"a body that fails", &fails, 1, {x}, GR_EARG, "constant: argument value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_tensor *out[2] = {NULL, NULL};
        gr_error_clear();
        gr_status s = gr_custom_gradient(rows[i].f, rows[i].n_in, rows[i].in, 1, out);
        GR_EXPECT(s == rows[i].status && out[0] == GR_BAD, "%s: status %s", rows[i].why, gr_status_name(s));
        GR_EXPECT(strstr(gr_error_message(), rows[i].words) && strstr(gr_error_message(), "test_custom.c:"), "%s: %s",
            rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_tape_free(t);
    gr_tape_free(other);
}

/* ---- checkpoint -------------------------------------------------------------------------------------------------- */

/* tanh(exp(-x^2) x) */
static gr_status bump(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_tanh(gr_mul(gr_exp(gr_neg(gr_square(in[0]))), in[0]));
    return gr_status_of(out[0]);
}

static void a_checkpoint_has_the_same_bits_in_every_order(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *a, *b;
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &x, 1, &a), GR_OK);
    bump(NULL, t, 1, &x, 1, &b);
    for (int order = 0; order < 3; order++) {
        SAME(x, a, b);
        CU_ASSERT_EQUAL(gr_grad(gr_sum(a), &x, 1, &a), GR_OK);
        CU_ASSERT_EQUAL(gr_grad(gr_sum(b), &x, 1, &b), GR_OK);
    }
    gr_tape_free(t);
}

static void the_backward_node_holds_the_body_again_under_a_clone_number(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *y, *g;
    gr_scope_push(t, "block", "Block", (gr_at){"model.c", 4});
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &x, 1, &y), GR_OK);
    gr_scope_pop(t);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), &x, 1, &g), GR_OK);
    const gr__node *n = g->node;
    CU_ASSERT_PTR_EQUAL(n->op, &gr_op_checkpoint);
    CU_ASSERT_EQUAL(n->phase, GR_PHASE_BACKWARD);
    CU_ASSERT_PTR_EQUAL(n->origin, y->node);
    CU_ASSERT_STRING_EQUAL(n->scope->name, "block");
    int clones = 0, exps = 0;
    const gr_tape *body = n->region[0]->tape;
    for (int64_t id = 0; id < body->n_nodes; id++) {
        clones += body->node[id]->clone != 0;
        exps += body->node[id]->clone != 0 && strcmp(body->node[id]->op->name, "exp") == 0;
        const gr__node *b = body->node[id];
        GR_EXPECT(b->op == &gr_op_param || strcmp(b->scope->name, "block") == 0, "%s is in '%s'", b->op->name,
            b->scope->name);
    }
    CU_ASSERT_EQUAL(clones, 5); /* square, neg, exp, mul, tanh */
    CU_ASSERT_EQUAL(exps, 1);
    /* put in place beside the first computation, the copies stay apart from it */
    gr_tensor *first[1], *again[1], *args[2] = {x, n->in[1]};
    CU_ASSERT(gr__region_inline(t, y->node->region[0], &x, first));
    CU_ASSERT(gr__region_inline(t, n->region[0], args, again));
    int found = 0;
    for (int64_t id = 0; id < t->n_nodes; id++)
        found += strcmp(t->node[id]->op->name, "exp") == 0;
    CU_ASSERT_EQUAL(found, 2);
    SAME(x, first[0], y);
    SAME(x, again[0], g);
    gr_tape_free(t);
}

static gr_status layer(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)n_in, (void)n_out;
    gr_variable *const *w = ctx;
    out[0] = gr_tanh(gr_add(gr_matmul(in[0], gr_read(t, w[0])), gr_read(t, w[1])));
    return gr_status_of(out[0]);
}
static gr_status checkpointed_layer(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t;
    return gr_checkpoint(layer, ctx, n_in, in, n_out, out);
}

static void weights_used_inside_get_their_gradients(void)
{
    gr_variable *w[2] = {
        gr_variable_new("kernel", GR_F64, GR_SHAPE(3, 2), true), gr_variable_new("bias", GR_F64, GR_SHAPE(2), true)};
    gr_array *kernel = gr_array_from(GR_F64, GR_SHAPE(3, 2), (const double[]){0.1, -0.2, 0.3, 0.4, -0.5, 0.6});
    gr_array *x = gr_array_from(GR_F64, GR_SHAPE(2, 3), (const double[]){1, -2, 0.5, 0.25, 1, -1});
    gr_variable_set(w[0], kernel);
    gr_status s = gr_gradcheck_fn(
        checkpointed_layer, .ctx = w, .n_in = 1, .in = {x}, .n_variables = 2, .variables = w, .second = true);
    GR_EXPECT(s == GR_OK, "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(kernel);
    gr_array_free(x);
    gr_variable_free(w[0]);
    gr_variable_free(w[1]);
}

static gr_status nested(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_out;
    gr_tensor *y, *z, *both[2];
    GR_TRY(gr_checkpoint(bump, NULL, n_in, in, 1, &y));
    GR_TRY(gr_custom_gradient(&pair, 2, (gr_tensor *[]){y, in[0]}, 2, both));
    z = gr_add(both[1], gr_mul(outer, in[0]));
    GR_TRY(gr_checkpoint(bump, NULL, 1, &z, 1, &out[0]));
    return gr_status_of(out[0]);
}
static gr_status nested_in_checkpoint(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t;
    outer = gr_sin(in[0]);
    return gr_checkpoint(nested, ctx, n_in, in, n_out, out);
}

static void regions_nest(void)
{
    gr_array *x = three();
    gr_status s = gr_gradcheck_fn(nested_in_checkpoint, .n_in = 1, .in = {x}, .second = true);
    GR_EXPECT(s == GR_OK, "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(x);
}

static void a_checkpoint_works_on_a_symbolic_batch(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH, 2), "x"), *y, *g;
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &x, 1, &y), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(y), gr_shape_of(x)));
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), &x, 1, &g), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g), gr_shape_of(x)));
    gr_array *v = gr_array_new(GR_F64, GR_SHAPE(5, 2)), *out = NULL;
    gr_binding bound = {x, v};
    CU_ASSERT_EQUAL(gr_eval_with(1, &g, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound}), GR_OK);
    CU_ASSERT(out && gr_array_size(out) == 10 && gr_array_at(out, 9) == 1); /* at 0 the slope is 1 */
    gr_array_free(v);
    gr_array_free(out);
    gr_tape_free(t);
}

/* Regions are planned: a program takes them apart and computes the same bits. */
static void a_program_of_regions_computes_what_evaluation_does(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *y, *z[2], *g, *h;
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &x, 1, &y), GR_OK);
    CU_ASSERT_EQUAL(gr_custom_gradient(&pair, 2, (gr_tensor *[]){y, x}, 2, z), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_mul(z[0], z[1])), &x, 1, &g), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(g)), &x, 1, &h), GR_OK);
    gr_array *in = gr_array_new(GR_F32, GR_SHAPE(5, 3)), *want[3] = {NULL}, *got[3];
    for (int i = 0; i < 15; i++)
        ((float *)gr_array_data(in))[i] = (float)(i - 7) / 5;
    gr_binding bound = {x, in};
    gr_tensor *out[3] = {z[1], g, h};
    CU_ASSERT_EQUAL(gr_eval_with(3, out, want, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound}), GR_OK);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {z[1], g, h}, .verify = true);
    GR_EXPECT(p, "%s", gr_error_message());
    for (int i = 0; i < 3; i++)
        got[i] = gr_array_new(GR_F32, GR_SHAPE(5, 3));
    CU_ASSERT(p && gr_program_run(p, &in, got) == GR_OK);
    for (int i = 0; i < 3; i++) {
        GR_EXPECT(want[i] && gr_array_equal(want[i], got[i]), "output %d: [0] is %.9g and %.9g", i,
            gr_array_at(want[i], 0), gr_array_at(got[i], 0));
        gr_array_free(want[i]);
        gr_array_free(got[i]);
    }
    gr_program_free(p);
    gr_array_free(in);
    gr_tape_free(t);
    gr_error_clear();
}

static gr_status wide_layer(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)n_in, (void)n_out;
    out[0] = in[0];
    for (int i = 0; i < 4; i++)
        out[0] = gr_tanh(gr_matmul(out[0], gr_read(t, ctx)));
    return gr_status_of(out[0]);
}

/* Bytes of the arena for the gradient of 16 layers, four at a time in a checkpoint or not. */
static int64_t arena_of(gr_variable *w, bool checkpointed)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(256, 64), "x"), *y = x, *g;
    for (int i = 0; i < 4; i++)
        if (checkpointed)
            gr_checkpoint(wide_layer, w, 1, &y, 1, &y);
        else
            wide_layer(w, t, 1, &y, 1, &y);
    gr_grad(gr_sum(y), &x, 1, &g);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {g});
    gr_array *in = gr_array_new(GR_F32, GR_SHAPE(256, 64)), *out = gr_array_new(GR_F32, GR_SHAPE(256, 64));
    CU_ASSERT(p && gr_program_run(p, &in, &out) == GR_OK);
    int64_t bytes = p ? gr_program_plan(p).arena_bytes : -1;
    gr_program_free(p);
    gr_array_free(in);
    gr_array_free(out);
    gr_tape_free(t);
    return bytes;
}

static void a_checkpoint_saves_memory_in_a_program(void)
{
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(64, 64), true);
    int64_t kept = arena_of(w, false), recomputed = arena_of(w, true);
    GR_EXPECT(kept > 0 && recomputed > 0 && recomputed * 10 <= kept * 7, "%lld bytes without, %lld with",
        (long long)kept, (long long)recomputed);
    gr_variable_free(w);
}

static void the_bare_symbols_record_without_a_place(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *y, *g, *h;
    CU_ASSERT_EQUAL((gr_checkpoint)(bump, NULL, 1, &x, 1, &y), GR_OK);
    CU_ASSERT_PTR_NULL(y->node->at.file);
    CU_ASSERT_EQUAL((gr_custom_gradient)(&through, 1, &x, 1, &y), GR_OK);
    CU_ASSERT_PTR_NULL(y->node->at.file);
    CU_ASSERT_EQUAL((gr_grad)(gr_sum(gr_square(y)), &x, 1, &g), GR_OK);
    SAME(x, g, gr_add(gr_round(x), gr_round(x)));
    CU_ASSERT_EQUAL((gr_grad_with)(1, &x, &g, &x, 1, &h), GR_OK);
    CU_ASSERT_PTR_EQUAL(h, g);
    gr_tape_free(t);
}

static void wrong_checkpoints_are_refused(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *out[1] = {NULL}, *none = NULL;
    CU_ASSERT_EQUAL(gr_checkpoint(NULL, NULL, 1, &x, 1, out), GR_EARG);
    CU_ASSERT_PTR_EQUAL(out[0], GR_BAD);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &none, 1, out), GR_EARG);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_checkpoint(bump, NULL, 1, &x, 0, out), GR_EARG);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_checkpoint(failing, NULL, 1, &x, 1, out), GR_EARG);
    GR_EXPECT(strstr(gr_error_message(), "constant: argument value"), "%s", gr_error_message());
    gr_error_clear();
    gr_tape_free(t);
}

GR_SUITE("autograd/custom.c", GR_TEST(a_custom_gradient_takes_the_place_of_the_formal_one),
    GR_TEST(custom_gradients_have_gradients_of_any_order), GR_TEST(results_without_a_gradient_count_as_zero),
    GR_TEST(integer_inputs_have_no_gradient), GR_TEST(wrong_custom_gradients_are_refused),
    GR_TEST(a_checkpoint_has_the_same_bits_in_every_order),
    GR_TEST(the_backward_node_holds_the_body_again_under_a_clone_number),
    GR_TEST(weights_used_inside_get_their_gradients), GR_TEST(regions_nest),
    GR_TEST(a_checkpoint_works_on_a_symbolic_batch), GR_TEST(a_program_of_regions_computes_what_evaluation_does),
    GR_TEST(a_checkpoint_saves_memory_in_a_program), GR_TEST(the_bare_symbols_record_without_a_place),
    GR_TEST(wrong_checkpoints_are_refused))
