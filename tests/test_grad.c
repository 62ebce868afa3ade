/* Gradients of graphs: values, order of sums, what is recorded, and what is refused. */
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "core/node.h"
#include "ops/elementwise.h"
#include "tests/harness.h"
#include <math.h>
#include <string.h>
#include <sys/resource.h>

static gr_tensor *vector(gr_tape *t, const char *name)
{
    return gr_input(t, GR_F64, GR_SHAPE(3), name);
}

/* An op of the test: sum of all elements, with a gradient by broadcasting dy against the input's ones. */
static gr_status infer_total(gr_infer *f)
{
    f->out_dtype[0] = f->dtype[0];
    f->out_shape[0] = GR_RANK0;
    return GR_OK;
}
static gr_status eval_total(const gr_call *c)
{
    const double *x = c->in[0].data;
    double sum = 0;
    for (int64_t i = 0; i < gr_shape_size(c->in[0].shape); i++)
        sum += x[i];
    *(double *)c->out[0].data = sum;
    return GR_OK;
}
static void total_vjp(gr_vjp *v)
{
    v->dx[0] = gr_add(gr__zeros_of((gr_at){0}, v->x[0]), v->dy[0]);
}
static const gr_op op_total = {.abi = GR_ABI,
    .name = "test_total",
    .n_in = 1,
    .infer = infer_total,
    .eval_f32 = eval_total,
    .eval_f64 = eval_total,
    .vjp = total_vjp};
static gr_tensor *total(gr_tensor *x)
{
    return gr_apply_op(&op_total, NULL, 1, &x);
}

/* Two results, x + y and x y; a NULL among the cotangents is zero. */
static gr_status infer_two(gr_infer *f)
{
    for (int i = 0; i < 2; i++) {
        f->out_dtype[i] = f->dtype[0];
        f->out_shape[i] = f->shape[0];
    }
    return GR_OK;
}
static gr_status eval_two(const gr_call *c)
{
    const double *x = c->in[0].data, *y = c->in[1].data;
    double *sum = c->out[0].data, *product = c->out[1].data;
    for (int64_t i = 0; i < gr_shape_size(c->in[0].shape); i++) {
        sum[i] = x[i] + y[i];
        product[i] = x[i] * y[i];
    }
    return GR_OK;
}
static int two_nulls; /* cotangents that were NULL in the last call */
static void two_vjp(gr_vjp *v)
{
    gr_tensor *s = v->dy[0], *p = v->dy[1];
    two_nulls = !s + !p;
    for (int i = 0; i < 2; i++) {
        gr_tensor *through = p ? gr_mul(p, v->x[1 - i]) : NULL;
        v->dx[i] = s && through ? gr_add(s, through) : s ? s : through;
    }
}
static const gr_op op_two = {.abi = GR_ABI,
    .name = "test_two",
    .n_in = 2,
    .n_out = 2,
    .infer = infer_two,
    .eval_f32 = eval_two,
    .eval_f64 = eval_two,
    .vjp = two_vjp};

static gr_status eval_copy(const gr_call *c)
{
    memcpy(c->out[0].data, c->in[0].data, (size_t)(gr_shape_size(c->in[0].shape) * gr_dtype_size(c->in[0].dtype)));
    return GR_OK;
}
static const char *const names_x[] = {"x"};
static const gr_op op_no_vjp = {.abi = GR_ABI,
    .name = "test_no_vjp",
    .n_in = 1,
    .in_names = names_x,
    .infer = gr_infer_same,
    .eval_f32 = eval_copy,
    .eval_f64 = eval_copy};
static const gr_op op_flat = {.abi = GR_ABI,
    .name = "test_flat",
    .n_in = 1,
    .infer = gr_infer_same,
    .eval_f32 = eval_copy,
    .eval_f64 = eval_copy,
    .traits = GR_NO_GRADIENT};
static void wrong_shape_vjp(gr_vjp *v)
{
    v->dx[0] = total(v->dy[0]);
}
static const gr_op op_wrong_shape = {.abi = GR_ABI,
    .name = "test_wrong_shape",
    .n_in = 1,
    .in_names = names_x,
    .infer = gr_infer_same,
    .eval_f32 = eval_copy,
    .eval_f64 = eval_copy,
    .vjp = wrong_shape_vjp};
static gr_tensor *apply(const gr_op *op, gr_tensor *x)
{
    return gr_apply_op(op, NULL, 1, &x);
}

/* Evaluates y with x = (1, 2, 3) and compares its elements. */
static void expect_at(int line, gr_tensor *x, gr_tensor *y, double a, double b, double c)
{
    gr_array *value = gr_array_from(GR_F64, GR_SHAPE(3), (const double[]){1, 2, 3}), *out = NULL;
    gr_binding bound = {x, value};
    gr_status s = gr_eval_with(1, &y, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound});
    GR_EXPECT(s == GR_OK, "line %d: %s", line, gr_error_message());
    const double want[] = {a, b, c};
    for (int64_t i = 0; out && i < gr_array_size(out); i++)
        GR_EXPECT(fabs(gr_array_at(out, i) - want[i]) < 1e-12, "line %d, [%d]: expected %.17g, found %.17g", line,
            (int)i, want[i], gr_array_at(out, i));
    gr_array_free(out);
    gr_array_free(value);
    gr_error_clear();
}
#define EXPECT(x, y, ...) expect_at(__LINE__, x, y, __VA_ARGS__)

static void the_gradient_of_a_cube_is_three_squares(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *g;
    CU_ASSERT_EQUAL(gr_grad(total(gr_mul(gr_mul(x, x), x)), &x, 1, &g), GR_OK);
    EXPECT(x, g, 3, 12, 27);
    gr_tape_free(t);
}

static void gradients_of_any_order_are_the_same_call_again(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *g = gr_square(gr_square(x)); /* x^4 */
    const double factor[] = {4, 12, 24, 24, 0};
    for (int order = 0; order < 5; order++) {
        CU_ASSERT_EQUAL(gr_grad(total(g), &x, 1, &g), GR_OK);
        double f = factor[order];
        EXPECT(x, g, f, f * pow(2, 3 - order), f * pow(3, 3 - order));
    }
    gr_tape_free(t);
}

static void intermediate_results_can_be_wanted_too(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *y = gr_square(x), *g[2];
    CU_ASSERT_EQUAL(gr_grad(total(gr_mul(y, x)), (gr_tensor *[]){x, y}, 2, g), GR_OK);
    EXPECT(x, g[0], 3, 12, 27);
    EXPECT(x, g[1], 1, 2, 3);
    gr_tape_free(t);
}

static void what_the_loss_does_not_depend_on_gets_zeros(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *y = gr_square(x), *late, *loss = total(x), *g[3];
    late = gr_exp(y);
    CU_ASSERT_EQUAL(gr_grad(loss, (gr_tensor *[]){y, late, x}, 3, g), GR_OK);
    EXPECT(x, g[0], 0, 0, 0);
    EXPECT(x, g[1], 0, 0, 0);
    EXPECT(x, g[2], 1, 1, 1);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g[1]), GR_SHAPE(3)));
    gr_tape_free(t);
}

static void zeros_have_a_symbolic_batch_and_no_nan(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH), "x"), *y = gr_log(x), *loss = total(x), *g;
    CU_ASSERT_EQUAL(gr_grad(loss, &y, 1, &g), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_shape_of(g), gr_shape_of(x)));
    gr_array *a = gr_array_from(GR_F64, GR_SHAPE(2), (const double[]){-1, 0}), *out = NULL;
    gr_binding bound = {x, a};
    CU_ASSERT_EQUAL(gr_eval_with(1, &g, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound}), GR_OK);
    CU_ASSERT(out && gr_array_at(out, 0) == 0 && gr_array_at(out, 1) == 0);
    gr_array_free(a);
    gr_array_free(out);
    gr_tape_free(t);
}

static void contributions_are_added_first_consumer_first(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *g;
    gr_tensor *a = gr_exp(x), *b = gr_sin(x), *c = gr_sqrt(x);
    gr_grad(total(gr_add(gr_add(c, b), a)), &x, 1, &g); /* used in another order than recorded */
    /* (from exp + from sin) + from sqrt */
    const gr__node *last = g->node, *first = last->in[0]->node;
    CU_ASSERT_STRING_EQUAL(last->op->name, "add");
    CU_ASSERT_STRING_EQUAL(first->op->name, "add");
    CU_ASSERT_PTR_EQUAL(first->in[0]->node->origin, a->node);
    CU_ASSERT_PTR_EQUAL(first->in[1]->node->origin, b->node);
    CU_ASSERT_PTR_EQUAL(last->in[1]->node->origin, c->node);
    gr_tape_free(t);
}

static void gradient_nodes_know_where_they_come_from(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *g;
    gr_scope_push(t, "dense", "Dense", (gr_at){"model.c", 7});
    gr_tensor *y = gr_tanh_at((gr_at){"model.c", 8}, x);
    gr_scope_pop(t);
    gr_tensor *loss = total(y);
    int64_t before = gr_tape_size(t), seen = 0;
    gr_grad(loss, &x, 1, &g);
    for (int64_t id = before; id < t->n_nodes; id++) {
        const gr__node *n = t->node[id];
        CU_ASSERT_EQUAL(n->phase, GR_PHASE_BACKWARD);
        if (n->origin != y->node)
            continue;
        seen++;
        CU_ASSERT_PTR_EQUAL(n->scope, y->node->scope);
        GR_EXPECT(n->at.file && strcmp(n->at.file, "model.c") == 0 && n->at.line == 8, "%s is at %s:%d", n->op->name,
            n->at.file ? n->at.file : "nowhere", n->at.line);
    }
    CU_ASSERT(seen > 0);
    CU_ASSERT_EQUAL(gr_square(x)->node->phase, GR_PHASE_FORWARD); /* the tape is as it was */
    CU_ASSERT_PTR_NULL(t->origin);
    gr_tape_free(t);
}

static void nothing_is_recorded_for_zeros(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *y = vector(t, "y"), *g;
    gr_tensor *loss = total(gr_mul(apply(&op_flat, gr_exp(x)), y));
    int64_t before = gr_tape_size(t);
    CU_ASSERT_EQUAL(gr_grad(loss, &y, 1, &g), GR_OK);
    for (int64_t id = before; id < t->n_nodes; id++)
        CU_ASSERT(t->node[id]->origin != loss->node->in[0]->node->in[0]->node); /* none for the flat op's side */
    CU_ASSERT_EQUAL(gr_grad(loss, &x, 1, &g), GR_OK);
    EXPECT(x, g, 0, 0, 0);
    gr_tape_free(t);
}

/* x - b, then the sign and the factor s, the same for all rows: b gets -s times the sum that c gets. */
static void signs_and_factors_are_taken_out_of_sums(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH, 3), "x"),
              *dy = gr_input(t, GR_F64, GR_SHAPE(GR_BATCH, 3), "dy");
    gr_tensor *b = vector(t, "b"), *s = vector(t, "s"), *c = vector(t, "c"), *wrt[] = {b, c}, *g[2];
    gr_tensor *y = gr_add(gr_mul(gr_sub(x, b), s), c);
    int64_t before = gr_tape_size(t), sums = 0;
    CU_ASSERT_EQUAL(gr_grad_with(1, &y, &dy, wrt, 2, g), GR_OK);
    for (int64_t id = before; id < t->n_nodes; id++)
        sums += strcmp(t->node[id]->op->name, "sum") == 0;
    CU_ASSERT_EQUAL(sums, 2); /* the other one is of the factor, whose gradient nobody wants */
    CU_ASSERT_STRING_EQUAL(g[0]->node->op->name, "neg");
    gr_tape_free(t);
}

static void of_several_results_those_not_used_are_null(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *y = gr_add(x, x), *g;
    gr_tensor *two = gr_apply_op(&op_two, NULL, 2, (gr_tensor *[]){x, y});
    CU_ASSERT_EQUAL(gr_grad(total(gr_result(two, 1)), &x, 1, &g), GR_OK); /* 2 x^2 */
    CU_ASSERT_EQUAL(two_nulls, 1);
    EXPECT(x, g, 4, 8, 12);
    CU_ASSERT_EQUAL(gr_grad(total(gr_mul(gr_result(two, 0), gr_result(two, 1))), &x, 1, &g), GR_OK); /* 6 x^3 */
    CU_ASSERT_EQUAL(two_nulls, 0);
    EXPECT(x, g, 18, 72, 162);
    gr_tensor *r[2] = {gr_result(two, 0), gr_result(two, 1)}, *gr[2];
    CU_ASSERT_EQUAL(gr_grad(total(r[1]), r, 2, gr), GR_OK);
    EXPECT(x, gr[0], 0, 0, 0);
    EXPECT(x, gr[1], 1, 1, 1);
    gr_tape_free(t);
}

static void results_of_any_shape_take_their_gradients(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *y[2] = {gr_square(x), gr_neg(x)}, *g;
    gr_tensor *dy[2] = {x, NULL};
    CU_ASSERT_EQUAL(gr_grad_with(2, y, dy, &x, 1, &g), GR_OK);
    EXPECT(x, g, 2, 8, 18);
    dy[1] = gr_scalar(x, 1);
    CU_ASSERT_EQUAL(gr_grad_with(2, y, dy, &x, 1, &g), GR_ESHAPE);
    CU_ASSERT_PTR_EQUAL(g, GR_BAD);
    gr_error_clear();
    dy[1] = gr_add(x, x);
    CU_ASSERT_EQUAL(gr_grad_with(2, y, dy, &x, 1, &g), GR_OK);
    EXPECT(x, g, 0, 4, 12);
    CU_ASSERT_EQUAL(gr_grad_with(1, (gr_tensor *[]){x}, (gr_tensor *[]){y[0]}, &x, 1, &g), GR_OK);
    CU_ASSERT_PTR_EQUAL(g, y[0]); /* dx/dx is the given gradient itself */
    gr_tape_free(t);
}

/* Each wrong call gives its status, GR_BAD, and a message that holds these words. */
static void wrong_calls_are_refused_with_a_message(void)
{
    gr_tape *t = gr_tape_new(), *other = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *i = gr_input(t, GR_I64, GR_SHAPE(3), "i"), *z = vector(other, "z");
    gr_tensor *good = total(x), *missing = total(apply(&op_no_vjp, gr_exp(x)));
    const int line = __LINE__ - 1;
    char where[64];
    snprintf(where, sizeof where, "test_grad.c:%d", line);
    const struct {
        const char *why;
        gr_tensor *loss, *wrt;
        gr_status status;
        const char *words[4];
    } rows[] = {
        {"no loss", NULL, x, GR_EARG, {"grad: argument loss", "found NULL"}},
        {"a vector", gr_exp(x), x, GR_ESHAPE,
            {"grad: argument loss", "expected a scalar", "float64 [3]", "gr_grad_with"}},
        {"an integer loss", i, x, GR_EDTYPE, {"grad: argument loss", "int64"}},
        {"no tensor", good, NULL, GR_EARG, {"grad: argument wrt", "found NULL"}},
        {"an integer", good, i, GR_EDTYPE, {"grad: argument wrt", "int64"}},
        {"another tape", good, z, GR_EARG, {"grad: argument wrt", "another"}},
        {"an op without vjp", missing, x, GR_EGRAD,
            {where, "test_no_vjp: argument x", "float64 [3]", "no_vjp: argument x: expected an op with a gradient"}},
        {"a vjp of wrong shape", total(apply(&op_wrong_shape, x)), x, GR_EGRAD,
            {"test_wrong_shape: argument x", "float64 [3]", "found float64 []"}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        gr_tensor *g = NULL;
        gr_error_clear();
        gr_status s = gr_grad(rows[r].loss, &rows[r].wrt, 1, &g);
        GR_EXPECT(s == rows[r].status && g == GR_BAD, "%s: status %s", rows[r].why, gr_status_name(s));
        GR_EXPECT(strstr(gr_error_message(), "test_grad.c:"), "%s: no line in: %s", rows[r].why, gr_error_message());
        for (int w = 0; w < 4 && rows[r].words[w]; w++)
            GR_EXPECT(strstr(gr_error_message(), rows[r].words[w]), "%s: no '%s' in: %s", rows[r].why, rows[r].words[w],
                gr_error_message());
    }
    gr_error_clear();
    gr_tensor *g = NULL;
    CU_ASSERT(gr_grad(GR_BAD, &x, 1, &g) != GR_OK);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "");         /* poison is passed on quietly */
    CU_ASSERT_EQUAL(gr_grad(missing, &good, 1, &g), GR_OK); /* not on the way: no error */
    gr_error_clear();
    gr_tape_free(t);
    gr_tape_free(other);
}

/* With the stack of 256 KiB that no recursion over nodes would survive. */
static void a_chain_of_a_million_nodes_needs_no_stack(void)
{
    struct rlimit old, small = {256 << 10, 256 << 10};
    getrlimit(RLIMIT_STACK, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_STACK, &small);
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_RANK0, "x"), *y = x, *g = NULL;
    for (int i = 0; i < 1000000; i++)
        y = gr_neg(y);
    CU_ASSERT_EQUAL(gr_grad(y, &x, 1, &g), GR_OK);
    gr_array *v = gr_array_from(GR_F64, GR_RANK0, (const double[]){2}), *out = NULL;
    gr_binding bound = {x, v};
    CU_ASSERT_EQUAL(gr_eval_with(1, &g, &out, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound}), GR_OK);
    CU_ASSERT(out && gr_array_at(out, 0) == 1);
    gr_array_free(v);
    gr_array_free(out);
    gr_tape_free(t);
    setrlimit(RLIMIT_STACK, &old);
}

static void a_tensor_may_be_used_ten_thousand_times(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *y = x, *g = NULL;
    for (int i = 0; i < 10000; i++)
        y = gr_add(y, x);
    CU_ASSERT_EQUAL(gr_grad(total(y), &x, 1, &g), GR_OK);
    EXPECT(x, g, 10001, 10001, 10001);
    gr_tape_free(t);
}

static void two_gradients_are_the_same_nodes(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = vector(t, "x"), *loss = total(gr_tanh(gr_mul(x, gr_sin(x)))), *g, *h;
    gr_grad(loss, &x, 1, &g);
    int64_t size = gr_tape_size(t);
    gr_grad(loss, &x, 1, &h);
    CU_ASSERT_PTR_EQUAL(g, h);
    CU_ASSERT_EQUAL(gr_tape_size(t), size);
    gr_tape_free(t);
}

/* ---- every op, float32 against float64 --------------------------------------------------------------------------- */

enum { MOST = GR_SAMPLE_INPUTS };

/* The gradients of the op on these inputs (floats become `real`), under cotangents that depend on the position alone.
 */
static int gradients(const gr_op *op, const void *attr, gr_dtype real, int n, gr_array *const *in, gr_array **out)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x[MOST], *wrt[MOST], *g[MOST], *y[MOST], *dy[MOST];
    int n_wrt = 0, n_y = 0;
    for (int i = 0; i < n; i++) {
        gr_array *a = gr_array_copy(in[i]);
        if (gr_dtype_is_float(gr_array_dtype(a)))
            gr_array_cast(a, real);
        x[i] = gr_constant(t, a);
        if (gr_array_dtype(a) == real)
            wrt[n_wrt++] = x[i] = gr_neg(gr_neg(x[i])); /* a computed one: a constant has no gradient */
        gr_array_free(a);
    }
    gr_tensor *node = gr_apply_op(op, attr, n, x);
    for (int i = 0; i < gr_result_count(node) && i < MOST; i++)
        if (gr_dtype_of(gr_result(node, i)) == real) {
            gr_array *c = gr_array_new(GR_F64, gr_shape_of(gr_result(node, i)));
            for (int64_t k = 0; k < gr_array_size(c); k++)
                ((double *)gr_array_data(c))[k] = sin(1.7 * (double)k + 0.4);
            gr_array_cast(c, real);
            y[n_y] = gr_result(node, i);
            dy[n_y++] = gr_constant(t, c);
            gr_array_free(c);
        }
    gr_status s = n_y && n_wrt ? gr_grad_with(n_y, y, dy, wrt, n_wrt, g) : GR_OK;
    if (n_y && n_wrt && s == GR_OK)
        s = gr_eval_with(n_wrt, g, out, &(gr_eval_opts){.seed = 3});
    GR_EXPECT(s == GR_OK, "%s: %s", op->name, gr_error_message());
    gr_error_clear();
    gr_tape_free(t);
    return n_y && s == GR_OK ? n_wrt : 0;
}

/* Single precision keeps about 2e-7 of the largest term; sums of n terms lose a part of its root more. */
static void compare(const gr_op *op, int sample, int n, gr_array **single, gr_array **exact)
{
    for (int i = 0; i < n; i++)
        for (int64_t k = 0, size = gr_array_size(single[i]); k < size; k++) {
            double a = gr_array_at(single[i], k), b = gr_array_at(exact[i], k);
            GR_EXPECT(fabs(a - b) <= 2e-5 * fmax(1, fabs(b)),
                "%s, sample %d, input %d, [%d]: float32 %.9g, float64 %.9g", op->name, sample, i, (int)k, a, b);
        }
}

static void float32_gradients_agree_with_float64_for_every_op(void)
{
    int compared = 0;
    for (int o = 0; gr_op_at(o); o++) {
        const gr_op *op = gr_op_at(o);
        for (const gr_sample *s = op->vjp ? op->samples : NULL; s && s->lo <= s->hi; s++) {
            gr_array *in[MOST] = {NULL}, *single[MOST] = {NULL}, *exact[MOST] = {NULL};
            int n = gr__sample_count(op, s);
            CU_ASSERT_EQUAL(gr__sample_draw(op, s, GR_F32, 11, in), GR_OK);
            int a = gradients(op, s->attr, GR_F32, n, in, single), b = gradients(op, s->attr, GR_F64, n, in, exact);
            if (a == b)
                compare(op, (int)(s - op->samples), a, single, exact);
            compared += a == b && a > 0;
            for (int i = 0; i < MOST; i++) {
                gr_array_free(in[i]);
                gr_array_free(single[i]);
                gr_array_free(exact[i]);
            }
        }
    }
    GR_EXPECT(compared > 200, "only %d samples compared", compared);
}

GR_SUITE("autograd/grad.c", GR_TEST(the_gradient_of_a_cube_is_three_squares),
    GR_TEST(gradients_of_any_order_are_the_same_call_again), GR_TEST(intermediate_results_can_be_wanted_too),
    GR_TEST(what_the_loss_does_not_depend_on_gets_zeros), GR_TEST(zeros_have_a_symbolic_batch_and_no_nan),
    GR_TEST(contributions_are_added_first_consumer_first), GR_TEST(gradient_nodes_know_where_they_come_from),
    GR_TEST(nothing_is_recorded_for_zeros), GR_TEST(signs_and_factors_are_taken_out_of_sums),
    GR_TEST(of_several_results_those_not_used_are_null), GR_TEST(results_of_any_shape_take_their_gradients),
    GR_TEST(wrong_calls_are_refused_with_a_message), GR_TEST(a_chain_of_a_million_nodes_needs_no_stack),
    GR_TEST(a_tensor_may_be_used_ten_thousand_times), GR_TEST(two_gradients_are_the_same_nodes),
    GR_TEST(float32_gradients_agree_with_float64_for_every_op))
