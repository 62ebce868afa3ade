/* The text form of graphs: what it looks like, that it reads back to an equal graph. Texts that are no
 * graphs: test_text_parse.c. */
#include "autograd/custom.h"
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "core/node.h"
#include "core/text.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

static bool round_trip(const gr_tape *t, int n, gr_variable *const *variables, const char *why)
{
    char *text = gr_tape_text(t);
    if (!GR_EXPECT(text, "%s: %s", why, gr_error_message()))
        return false;
    gr_tape *back = gr_tape_parse(text, n, variables);
    bool equal = GR_EXPECT(back, "%s: %s in\n%s", why, gr_error_message(), text) &&
                 GR_EXPECT(gr__tape_equal(t, back), "%s: another graph came back from\n%s", why, text);
    char *again = back ? gr_tape_text(back) : NULL;
    equal =
        equal && GR_EXPECT(again && strcmp(text, again) == 0, "%s: another text came back:\n%s\n%s", why, text, again);
    gr_text_free(text);
    gr_text_free(again);
    gr_tape_free(back);
    gr_error_clear();
    return equal;
}

static void a_line_a_node_as_documented(void)
{
    gr_tape *t = gr_tape_new();
    const gr_at at = {"main.c", 5};
    gr_tensor *x = gr_input_at(at, t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
    gr_variable *kernel = gr_variable_new("dense/kernel", GR_F32, GR_SHAPE(3, 4), true);
    gr_scope_push(t, "dense", "Dense", (gr_at){"main.c", 7});
    gr_tensor *w = gr_read_at((gr_at){0}, t, kernel);
    gr_tensor *y = gr_matmul_at(at, x, w), *tenth = gr_number_at((gr_at){0}, t, GR_F32, 0.1);
    y = gr_clip_at((gr_at){"main.c", 8}, gr_mul_at(at, y, tenth), -1, 1.5);
    gr_scope_pop(t);
    char *text = gr__graph_text(t, 1, &y);
    GR_EXPECT(strcmp(text, "scope dense : Dense @ main.c:7\n"
                           "%0 = input x : float32 [B, 3] @ main.c:5\n"
                           "%1 = variable dense/kernel : float32 [3, 4] in dense\n"
                           "%2 = matmul(%0, %1) : float32 [B, 4] @ main.c:5 in dense\n"
                           "%3 = constant : float32 [] = 0.1 in dense\n"
                           "%4 = mul(%2, %3) : float32 [B, 4] @ main.c:5 in dense\n"
                           "%5 = clip(%4) {lo = -1, hi = 1.5} : float32 [B, 4] @ main.c:8 in dense\n"
                           "return %5\n") == 0,
        "%s", text);
    gr_tensor *results[2];
    int n = 0;
    gr_tape *back = gr__graph_parse(text, 1, &kernel, 2, results, &n);
    GR_EXPECT(back, "%s", gr_error_message());
    CU_ASSERT(back && n == 1 && results[0]->node->id == 5 && gr__tape_equal(t, back));
    CU_ASSERT(back && gr_read(back, kernel)->node->id == 1); /* the tape goes on where the text ended */
    gr_text_free(text);
    gr_tape_free(t);
    gr_tape_free(back);
    gr_variable_free(kernel);
}

static void numbers_come_back_bit_for_bit(void)
{
    static const uint32_t f32[] = {
        0, 0x80000000, 1, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3dcccccd, 0x4b800001};
    static const uint64_t f64[] = {
        0, UINT64_C(1) << 63, 1, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff8000000000001, 0x3fb999999999999a};
    static const int64_t i64[] = {INT64_MIN, INT64_MAX, 0, -1};
    static const int32_t i32[] = {INT32_MIN, INT32_MAX};
    static const uint8_t u8[] = {0, 255}, flags[] = {0, 1};
    static const struct {
        const char *why;
        gr_dtype dtype;
        int64_t n;
        const void *data;
    } rows[] = {{"float32", GR_F32, 10, f32}, {"float64", GR_F64, 7, f64}, {"int64", GR_I64, 4, i64},
        {"int32", GR_I32, 2, i32}, {"uint8", GR_U8, 2, u8}, {"bool", GR_BOOL, 2, flags}, {"nothing", GR_F32, 0, f32}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_tape *t = gr_tape_new();
        gr_array *a = gr_array_from(rows[i].dtype, GR_SHAPE(rows[i].n), rows[i].data);
        gr_constant(t, a);
        round_trip(t, 0, NULL, rows[i].why);
        gr_array_free(a);
        gr_tape_free(t);
    }
}

static const char *const hostile[] = {"*/ int x; /*", "\"; system(\"touch pwned\"); //", "a\n#include \"/etc/passwd\"",
    "a\\", "?\?/", "%s%n%0 = input", "", "int", "a;touch pwned", "$(touch pwned)", "`id`", "-o/etc/x",
    "\xf0\x9f\x8d\x87 gr\xc3\xa4pe", "\xff\xfe", "a/b", "/", "\x01", "\x7f\t\r", "in", "B", "scope x", "} return"};

static void names_of_any_kind_survive(void)
{
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        gr_tape *t = gr_tape_new();
        gr_variable *v = gr_variable_new(hostile[i], GR_F32, GR_RANK0, true);
        gr_tensor *x = gr_input_at((gr_at){hostile[i], 3}, t, GR_F32, GR_SHAPE(2), hostile[i]);
        gr_scope_push(t, hostile[i], hostile[i], (gr_at){hostile[i], 9});
        gr_scope_push(t, hostile[(i + 1) % (sizeof hostile / sizeof *hostile)], "K", (gr_at){0});
        gr_mul(x, gr_read(t, v));
        round_trip(t, 1, &v, hostile[i]);
        gr_tape_free(t);
        gr_variable_free(v);
    }
    char *longest = malloc(4001);
    memset(longest, 'A', 4000);
    longest[4000] = '\0';
    gr_tape *t = gr_tape_new();
    gr_input(t, GR_F32, GR_SHAPE(2), longest);
    round_trip(t, 0, NULL, "4000 letters");
    gr_tape_free(t);
    free(longest);
}

/* One op per way to hold attributes. */
typedef struct {
    int n;
    void *p;
} own_attr;
static gr_status copy_eval(const gr_call *c)
{
    memcpy(c->out[0].data, c->in[0].data, (size_t)(gr_shape_size(c->in[0].shape) * gr_dtype_size(c->in[0].dtype)));
    return GR_OK;
}
static const gr_field own_fields[] = {GR_INT(own_attr, n), GR_POINTER_FIELD(own_attr, p), {0}};
static const gr_op op_raw = {.abi = GR_ABI,
    .name = "test_text_raw",
    .n_in = 1,
    .attr_size = sizeof(own_attr),
    .infer = gr_infer_same,
    .eval_f32 = copy_eval};
static const gr_op op_pointer = {.abi = GR_ABI,
    .name = "test_text_pointer",
    .n_in = 1,
    .attr_size = sizeof(own_attr),
    .attrs = own_fields,
    .infer = gr_infer_same,
    .eval_f32 = copy_eval};
static gr_status infer_three(gr_infer *f)
{
    for (int i = 0; i < 3; i++) {
        f->out_dtype[i] = f->dtype[0];
        f->out_shape[i] = GR_SHAPE(i);
    }
    return GR_OK;
}
static const gr_op op_three = {
    .abi = GR_ABI, .name = "test_text_three", .n_in = 1, .n_out = 3, .infer = infer_three, .eval_f32 = copy_eval};

static void attributes_without_a_table_are_bytes_and_pointers_are_refused(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x");
    own_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.n = 7;
    gr_op_register(&op_raw);
    gr_op_register(&op_pointer);
    gr_op_register(&op_three);
    gr_apply_op(&op_raw, &attr, 1, &x);
    gr_neg(gr_result(gr_apply_op(&op_three, NULL, 1, &x), 2));
    gr_apply_op(&op_pointer, &attr, 1, &x); /* the pointer is NULL: nothing to write */
    round_trip(t, 0, NULL, "raw bytes and three results");
    char *text = gr_tape_text(t);
    GR_EXPECT(text && strstr(text, "{bytes = 07000000") &&
                  strstr(text, ":3 = test_text_three(%0) : float32 [0], float32 [1], float32 [2]") &&
                  strstr(text, "neg(%2.2)"),
        "%s", text);
    gr_text_free(text);
    attr.p = &attr;
    gr_apply_op(&op_pointer, &attr, 1, &x);
    CU_ASSERT_PTR_NULL(gr_tape_text(t));
    GR_EXPECT(strstr(gr_error_message(), "tape_text: argument p of test_text_pointer"), "%s", gr_error_message());
    gr_error_clear();
    gr_tape_free(t);
}

static void graphs_that_differ_anywhere_are_not_equal(void)
{
    static const char *const texts[] = {
        "%0 = input x : float32 [2]",
        "%0 = input y : float32 [2]",
        "%0 = input x : float64 [2]",
        "%0 = input x : float32 [3]",
        "%0 = input x : float32 [2] @ a.c:1",
        "%0 = input x : float32 [2] @ a.c:2",
        "%0 = input x : float32 [2] @ b.c:1",
        "%0 = input x : float32 [2] in a",
        "%0 = input x : float32 [2] in b",
        "scope a : Kind\n%0 = input x : float32 [2] in a",
        "scope a : Kind @ a.c:1\n%0 = input x : float32 [2] in a",
        "%0 = input x : float32 [2] in a/b",
        "%0 = input x : float32 [2] backward",
        "%0 = input x : float32 [2] clone 1",
        "%0 = constant : float32 [2] = [0, 1]",
        "%0 = constant : float32 [2] = [0, 2]",
        "%0 = input x : float32 [2]\n%1 = neg(%0) : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = neg(%0) : float32 [2] of %0",
        "%0 = input x : float32 [2]\n%1 = abs(%0) : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = clip(%0) {lo = 1, hi = 2} : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = clip(%0) {lo = 1, hi = 3} : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = input y : float32 [2]\n%2 = sub(%0, %1) : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = input y : float32 [2]\n%2 = sub(%1, %0) : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = test_text_raw(%0) {bytes = 01000000000000000000000000000000} : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = test_text_raw(%0) {bytes = 02000000000000000000000000000000} : float32 [2]",
        "%0 = input x : float32 [2]\n%1 = checkpoint(%0) : float32 [2]\nregion {\n%0 = param : float32 [2]\nreturn "
        "%0\n}",
        "%0 = input x : float32 [2]\n%1 = checkpoint(%0) : float32 [2]\nregion {\n%0 = param : float32 [2]\n%1 = "
        "neg(%0) : float32 "
        "[2]\nreturn %0\n}",
        "%0 = input x : float32 [2]\n%1 = checkpoint(%0) : float32 [2]\nregion {\n%0 = param : float32 [2]\n%1 = "
        "neg(%0) : float32 "
        "[2]\nreturn %1\n}",
    };
    enum { N = sizeof texts / sizeof *texts };
    gr_tape *t[N];
    gr_op_register(&op_raw);
    for (int i = 0; i < N; i++) {
        t[i] = gr_tape_parse(texts[i], 0, NULL);
        if (!GR_EXPECT(t[i], "%s: %s", texts[i], gr_error_message()))
            t[i] = gr_tape_new();
        for (int k = 0; k <= i; k++)
            GR_EXPECT(gr__tape_equal(t[k], t[i]) == (k == i), "%s\nand\n%s", texts[k], texts[i]);
    }
    for (int i = 0; i < N; i++)
        gr_tape_free(t[i]);
    gr_error_clear();
}

static void blanks_tabs_and_comments_do_not_matter(void)
{
    static const char text[] =
        "# a graph\n\n \t%0=input x:float32[2]# here\r\n\t%3 =\tneg( %0 )  :  float32 [ 2 ]\t@\ta.c : 1\n#\n\n"
        "return %3 # done";
    gr_tensor *results[2];
    int n = 0;
    gr_tape *t = gr__graph_parse(text, 0, NULL, 2, results, &n),
            *plain = gr_tape_parse("%0 = input x : float32 [2]\n%1 = neg(%0) : float32 [2] @ a.c:1", 0, NULL);
    GR_EXPECT(t && plain && n == 1 && gr__tape_equal(t, plain), "%s", gr_error_message());
    gr_tape_free(t);
    gr_tape_free(plain);
    CU_ASSERT_PTR_NULL(gr__graph_parse("%0 = input x : float32 [2]\nreturn %0, %0", 0, NULL, 1, results, &n));
    GR_EXPECT(strstr(gr_error_message(), "at most 1 results, found 2") && n == 0, "%s", gr_error_message());
    gr_error_clear();
}

/* ---- random graphs --------------------------------------------------------------------------------------------- */

static uint64_t state;
static int below(int n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((state >> 33) % (uint64_t)n);
}

static gr_status body(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)n_in;
    out[0] = gr_tanh(gr_mul(in[0], gr_number(t, gr_dtype_of(in[0]), 0.3)));
    gr_scope_push(t, "inner", "Inner", (gr_at){"inner.c", 2});
    gr_tensor *y = gr_exp(out[0]);
    gr_scope_pop(t);
    for (int i = 1; i < n_out; i++)
        out[i] = y;
    return gr_status_of(y);
}
static gr_status body_backward(gr_custom_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], v->out[0]);
    return GR_OK;
}

typedef struct {
    gr_tape *t;
    gr_tensor *pool[64];
    int n;
    gr_variable *v[2];
} graph;

static gr_tensor *any(graph *g)
{
    return g->pool[below(g->n)];
}

static gr_tensor *new_node(graph *g)
{
    gr_tensor *x = any(g), *y = any(g), *out[2];
    static const gr_custom custom = {"custom name", body, body_backward, NULL};
    const gr_at at = {below(2) ? "a file.c" : "b.c", below(100)};
    switch (below(16)) {
    case 0:
        return gr_clip_at(at, x, -below(3), below(3));
    case 1:
        return gr_sum(x, .axes = GR_SHAPE(0), .keepdims = true);
    case 2:
        return gr_where_at(at, gr_less(x, y), x, y);
    case 3:
        return gr_transpose(gr_transpose(x, GR_RANK0), GR_RANK0);
    case 4:
        return gr_reshape(gr_reshape(x, GR_SHAPE(-1)), gr_shape_of(x));
    case 5:
        return gr_leaky_relu(x, .negative_slope = 0.1 * below(9));
    case 6:
        return gr_cast(gr_cast(x, GR_F64), GR_F32);
    case 7:
        return gr_checkpoint_at(at, body, NULL, 1, &x, 1, out) == GR_OK ? out[0] : GR_BAD;
    case 8:
        return gr_custom_gradient_at(at, &custom, 1, &x, 2, out) == GR_OK ? gr_add(out[0], out[1]) : GR_BAD;
    case 9:
        return gr_mul(x, gr_read(g->t, g->v[below(2)]));
    case 10:
        return gr_mul(x, gr_scalar(x, below(1000) / 7.0));
    case 11:
        return gr_pad(gr_slice(x, .start = GR_SHAPE(1)), .before = GR_SHAPE(1));
    case 12:
        gr_scope_push(g->t, hostile[below(10)], "Kind", at);
        return gr_tanh(x);
    case 13:
        gr_scope_pop(g->t);
        return gr_flip_at(at, x, below(2));
    case 14: {
        gr_tensor *r = gr_read(g->t, g->v[0]);
        return gr_mul(x, gr_assign(r, gr_mul(r, r)));
    }
    default:
        return gr_add_at(at, x, y);
    }
}

static void a_thousand_random_graphs_come_back_equal(void)
{
    for (int seed = 0, good = true; seed < 1000 && good; seed++) {
        char why[40];
        graph g = {.t = gr_tape_new(), .n = 2};
        state = (uint64_t)seed * 77 + 1;
        for (int i = 0; i < 2; i++) {
            g.v[i] = gr_variable_new(i ? "a/b c" : "w", GR_F32, GR_RANK0, true);
            g.pool[i] = gr_input(g.t, GR_F32, GR_SHAPE(3, 4), i ? "x" : "y");
        }
        for (int k = 2 + below(40); g.n < k;) {
            gr_tensor *x = new_node(&g);
            GR_EXPECT(gr_status_of(x) == GR_OK, "seed %d: %s", seed, gr_error_message());
            gr_error_clear();
            g.pool[g.n++] = gr_rank(x) == 2 && gr_dim(x, 0) == 3 ? x : gr_mul(g.pool[0], x);
        }
        gr_tensor *grads[2];
        if (below(2))
            GR_EXPECT(
                gr_grad(gr_sum(g.pool[g.n - 1]), g.pool, 2, grads) == GR_OK, "seed %d: %s", seed, gr_error_message());
        snprintf(why, sizeof why, "seed %d", seed);
        good = round_trip(g.t, 2, g.v, why);
        gr_tape_free(g.t);
        gr_variable_free(g.v[0]);
        gr_variable_free(g.v[1]);
    }
}

/* Whatever attributes an op has: all its samples on one tape. */
static void every_op_comes_back_with_its_attributes(void)
{
    int ops = 0;
    for (int o = 0; gr_op_at(o); o++) {
        const gr_op *op = gr_op_at(o);
        gr_tape *t = gr_tape_new();
        for (const gr_sample *s = op->samples; s && s->lo <= s->hi; s++) {
            gr_array *in[GR_SAMPLE_INPUTS] = {NULL};
            gr_tensor *x[GR_SAMPLE_INPUTS], *y;
            int n = gr__sample_count(op, s);
            CU_ASSERT_EQUAL(gr__sample_draw(op, s, GR_F32, 1, in), GR_OK);
            for (int i = 0; i < n; i++) {
                x[i] = gr_constant(t, in[i]);
                gr_array_free(in[i]);
            }
            y = n ? gr_apply_op(op, s->attr, n, x) : gr__apply_op_on(t, (gr_at){0}, op, s->attr, 0, NULL);
            GR_EXPECT(gr_status_of(y) == GR_OK, "%s: %s", op->name, gr_error_message());
            gr_error_clear();
        }
        ops += gr_tape_size(t) > 0;
        round_trip(t, 0, NULL, op->name);
        gr_tape_free(t);
    }
    GR_EXPECT(ops > 80, "only %d ops", ops);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void printing_to_a_file_reports_its_failure(void)
{
    gr_tape *t = gr_tape_new();
    gr_input(t, GR_F32, GR_SHAPE(2), "x");
    FILE *f = fopen("/dev/full", "w");
    if (f) {
        CU_ASSERT_EQUAL(gr_tape_print(t, f), GR_EIO);
        fclose(f);
    }
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_tape_print(NULL, stderr), GR_EARG);
    gr_error_clear();
    gr_tape_free(t);
}

static void a_long_chain_is_written_and_read(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_RANK0, "x");
    for (int i = 0; i < 100000; i++)
        x = gr_neg(x);
    round_trip(t, 0, NULL, "100,000 nodes");
    gr_tape_free(t);
}

GR_SUITE("core/text.c", GR_TEST(a_line_a_node_as_documented), GR_TEST(numbers_come_back_bit_for_bit),
    GR_TEST(names_of_any_kind_survive), GR_TEST(attributes_without_a_table_are_bytes_and_pointers_are_refused),
    GR_TEST(graphs_that_differ_anywhere_are_not_equal), GR_TEST(blanks_tabs_and_comments_do_not_matter),
    GR_TEST(a_thousand_random_graphs_come_back_equal), GR_TEST(every_op_comes_back_with_its_attributes),
    GR_TEST(printing_to_a_file_reports_its_failure), GR_TEST(a_long_chain_is_written_and_read))
