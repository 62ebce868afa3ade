/* The text form of graphs: what it looks like, that it reads back to an equal graph, and that no text does harm. */
#include "autograd/custom.h"
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "compiler/program.h"
#include "core/dot.h"
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

/* ---- texts that are no graphs ---------------------------------------------------------------------------------- */

static void wrong_texts_are_refused_with_line_and_column(void)
{
    /* long: a table */
    static const struct {
        const char *why, *text, *words;
    } rows[] = {
        {"no node", "hello", "line 1, column 1: expected a node, scope or return, found 'hello'"},
        {"no number", "%x = input x : float32 []", "line 1, column 2: expected a number"},
        {"falling numbers", "%1 = input x : float32 []\n%1 = input y : float32 []",
            "line 2, column 2: expected a number 2 .."},
        {"an unknown op", "%0 = input x : float32 [2]\n%1 = explode(%0) : float32 [2]",
            "line 2, column 13: expected the name of a registered op, found 'explode'"},
        {"a later node", "%0 = neg(%1) : float32 [2]", "expected a node recorded before, found %1"},
        {"too many inputs", "%0 = input x : float32 []\n%1 = neg(%0, %0) : float32 []",
            "expected 1 inputs of neg, found 2"},
        {"a result too many", "%0 = input x : float32 []\n%1 = neg(%0.1) : float32 []",
            "line 2, column 13: expected a number 0 .. 0"},
        {"another shape", "%0 = input x : float32 [2]\n%1 = neg(%0) : float32 [3]",
            "expected float32 [2], which neg gives, found float32 [3]"},
        {"shapes that do not fit",
            "%0 = input x : float32 [2]\n%1 = input y : float32 [3]\n%2 = add(%0, %1) : float32 [2]", "in line 3"},
        {"no such dtype", "%0 = input x : float33 [2]", "expected a dtype"},
        {"nine dimensions", "%0 = input x : float32 [1, 1, 1, 1, 1, 1, 1, 1, 1]", "at most 8 dimensions"},
        {"a size that overflows", "%0 = input x : float32 [9223372036854775807, 9223372036854775807]",
            "fits in memory"},
        {"a number that overflows", "%0 = input x : float32 [92233720368547758070]", "expected a number 0"},
        {"a batch that overflows", "%0 = input x : float32 [4294967296B]", "a multiple of it"},
        {"a huge constant", "%0 = constant : float32 [1000000000000] = [0]", "as many as its shape has"},
        {"too few numbers", "%0 = constant : float32 [3] = [0, 1]", "expected ','"},
        {"too many numbers", "%0 = constant : float32 [1] = [0, 1]", "expected ']'"},
        {"a number out of range", "%0 = constant : uint8 [] = 256", "expected a number 0 .. 255"},
        {"short bits", "%0 = constant : float32 [] = 0x7fc", "8 hexadecimal digits"},
        {"an unknown attribute", "%0 = input x : float32 []\n%1 = clip(%0) {low = 1} : float32 []",
            "expected an attribute of clip, found 'low'"},
        {"a bad attribute", "%0 = input x : float32 []\n%1 = clip(%0) {lo = one} : float32 []",
            "in attribute lo of clip, line 2"},
        {"an open quote", "%0 = input \"x : float32 []", "expected '\"' at the end of the name"},
        {"a bad escape", "%0 = input \"\\q\" : float32 []", "two hexadecimal digits"},
        {"a name that never ends", NULL, "expected a name of at most 4095 bytes"},
        {"a NUL in a name", "%0 = input \"\\x00\" : float32 []", "two hexadecimal digits"},
        {"no variable of that path", "%0 = variable w : float32 [3]",
            "expected the path of one of the 1 variables given, found 'w'"},
        {"a variable of another type", "%0 = variable v : float32 [3]", "expected variable v to be float32 [2]"},
        {"assign to no variable", "%0 = input x : float32 [2]\n%1 = assign(%0, %0) : float32 [2]",
            "expected assign of a variable"},
        {"a param outside", "%0 = param : float32 []", "inside a region only"},
        {"an input inside",
            "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 []\nregion {\n%0 = input x : float32 []\nreturn "
            "%0\n}",
            "line 4, column"},
        {"no region", "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 []\n",
            "expected the region of checkpoint"},
        {"no return",
            "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 []\nregion {\n%0 = param : float32 []\n}",
            "expected return"},
        {"params of another type",
            "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 []\nregion {\n%0 = param : float32 [2]\nreturn "
            "%0\n}",
            "params of the types of its inputs"},
        {"results of another type",
            "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 [2]\nregion {\n%0 = param : float32 []\nreturn "
            "%0\n}",
            "expected float32 [], which checkpoint gives"},
        {"an open region",
            "%0 = input x : float32 []\n%1 = checkpoint(%0) : float32 []\nregion {\n%0 = param : float32 []\nreturn "
            "%0\n",
            "expected '}'"},
        {"a brace too many", "%0 = input x : float32 []\n}", "line 2, column 1"},
        {"a word too many", "%0 = input x : float32 [] sideways", "line 1, column 27: expected the end of the line"},
        {"a node after return", "%0 = input x : float32 []\nreturn %0\n%1 = neg(%0) : float32 []",
            "expected the end after return"},
        {"two nodes in a line", "%0 = input x : float32 [] %1 = neg(%0) : float32 []", "expected the end of the line"},
    };
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
    char endless[5000] = "%0 = input ";
    memset(endless + 11, 'a', 4500);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        gr_tape *t = gr_tape_parse(rows[i].text ? rows[i].text : endless, 1, &v);
        GR_EXPECT(!t && strstr(gr_error_message(), rows[i].words), "%s: %s", rows[i].why, gr_error_message());
        gr_tape_free(t);
    }
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_tape_parse(NULL, 0, NULL));
    gr_error_clear();
    gr_variable_free(v);
}

static void deep_regions_and_scopes_are_refused(void)
{
    enum { LEVELS = 100 };
    char *text = malloc(LEVELS * 100), *w = text;
    w += sprintf(w, "%%0 = input x : float32 []\n");
    for (int i = 0; i < LEVELS; i++)
        w += sprintf(w, "%%1 = checkpoint(%%0) : float32 []\nregion {\n%%0 = param : float32 []\n");
    CU_ASSERT_PTR_NULL(gr_tape_parse(text, 0, NULL));
    GR_EXPECT(strstr(gr_error_message(), "at most 32 regions"), "%s", gr_error_message());
    gr_error_clear();
    w = text + sprintf(text, "scope a");
    for (int i = 0; i < LEVELS; i++)
        w += sprintf(w, "/a");
    CU_ASSERT_PTR_NULL(gr_tape_parse(text, 0, NULL));
    GR_EXPECT(strstr(gr_error_message(), "at most 64 scopes"), "%s", gr_error_message());
    gr_error_clear();
    free(text);
}

/* ---- texts that were good once --------------------------------------------------------------------------------- */

/* Bytes with B = 2 that evaluating the tape takes, regions too; a bound, so that a spoiled size costs no memory. */
static double bytes_of(const gr_tape *t)
{
    double sum = 0;
    for (int64_t id = 0; id < t->n_nodes; id++) {
        for (int i = 0; i < t->node[id]->n_out; i++) {
            gr_shape s;
            int64_t n = gr_shape_bind(t->node[id]->out[i].shape, 2, &s) ? gr_shape_size(s) : -1;
            sum += n < 0 ? 1e30 : (double)n * 8;
        }
        for (int i = 0; i < t->node[id]->n_regions; i++)
            sum += bytes_of(t->node[id]->region[i]->tape);
    }
    return sum;
}

/* What was read is drawn, differentiated, evaluated and compiled; errors are fine. Whether it ran. */
static bool use(gr_tape *t)
{
    enum { MOST = 32 };
    gr_tensor *x = &t->node[0]->out[0], *y = &t->node[t->n_nodes - 1]->out[0], *g;
    gr_text_free(gr_tape_dot_text(t, NULL));
    if (gr_dtype_is_float(x->dtype) && gr_dtype_is_float(y->dtype) && gr_grad_with(1, &y, &y, &x, 1, &g) == GR_OK)
        y = g;
    gr_error_clear();
    gr_binding bound[MOST];
    gr_array *in[MOST], *out = NULL, *result = NULL;
    gr_program_opts opts = {.outputs = {y}, .verify = true};
    int n = 0;
    bool ran = bytes_of(t) < 1e6;
    for (int64_t id = 0; ran && id < t->n_nodes && n < MOST; id++) {
        gr_shape s;
        const gr_tensor *input = &t->node[id]->out[0];
        if (t->node[id]->op != &gr_op_input || !gr_shape_bind(input->shape, 2, &s))
            continue;
        in[n] = gr_array_new(input->dtype, s);
        opts.inputs[n] = &t->node[id]->out[0];
        bound[n] = (gr_binding){opts.inputs[n], in[n]};
        n++;
    }
    ran = ran && gr_eval_with(1, &y, &out, &(gr_eval_opts){.n_bindings = n, .bindings = bound}) == GR_OK;
    gr_error_clear();
    gr_program *p = ran ? gr_program_new_at((gr_at){0}, t, &opts) : NULL;
    GR_EXPECT(!ran || p, "evaluates, but does not compile: %s", gr_error_message());
    if (p && (result = gr_array_new(gr_array_dtype(out), gr_array_shape(out))))
        gr_program_run(p, in, &result); /* another assignment on the tape may fail */
    gr_program_free(p);
    gr_array_free(result);
    gr_array_free(out);
    for (int i = 0; i < n; i++)
        gr_array_free(in[i]);
    gr_error_clear();
    return ran;
}

/* One to four bytes or short runs are changed, dropped or doubled. */
static void spoil(char *text, size_t n, size_t room)
{
    for (int k = below(4); k >= 0 && n > 0; k--) {
        size_t at = (size_t)below((int)n), length = (size_t)below(12);
        length = at + length > n ? n - at : length;
        switch (below(5)) {
        case 0:
            text[at] = "0123456789%,.:={}[]()\"\\B \n-x"[below(29)];
            break;
        case 1:
            memmove(text + at, text + at + length, n - at - length + 1);
            n -= length;
            break;
        case 2:
            if (n + length >= room)
                break;
            memmove(text + at + length, text + at, n - at + 1);
            n += length;
            break;
        case 3: /* a number of an attribute or a shape */
            for (size_t tries = 0; tries < n && !(text[at] >= '0' && text[at] <= '9'); tries++)
                at = (at + 1) % n;
            text[at] = (char)('0' + below(10));
            break;
        default:
            text[at] = (char)(1 + below(255));
        }
    }
}

/* The parser must come back from each, with a graph or an error, and no graph does harm. */
static void spoil_often(const char *text, int rounds, int n_variables, gr_variable *const *variables, int count[3])
{
    size_t n = strlen(text), room = 2 * n + 100;
    char *spoiled = malloc(room);
    for (int round = 0; round < rounds; round++) {
        memcpy(spoiled, text, n + 1);
        spoil(spoiled, n, room);
        gr_tape *t = gr_tape_parse(spoiled, n_variables, variables);
        count[0] += t != NULL;
        count[1] += !t && gr_error() != GR_OK;
        gr_error_clear();
        if (t && t->n_nodes > 0)
            count[2] += use(t);
        gr_tape_free(t);
    }
    free(spoiled);
}

static void spoiled_texts_do_no_harm(void)
{
    graph g = {.t = gr_tape_new(), .n = 2};
    int count[3] = {0};
    state = 99;
    for (int i = 0; i < 2; i++) {
        g.v[i] = gr_variable_new(i ? "a/b c" : "w", GR_F32, GR_RANK0, true);
        g.pool[i] = gr_input(g.t, GR_F32, GR_SHAPE(3, 4), i ? "x" : "y");
    }
    while (g.n < 30) {
        gr_tensor *x = new_node(&g);
        g.pool[g.n++] = gr_rank(x) == 2 && gr_dim(x, 0) == 3 ? x : g.pool[0];
    }
    gr_tensor *grads[2];
    CU_ASSERT_EQUAL(gr_grad(gr_sum(g.pool[29]), g.pool, 2, grads), GR_OK);
    char *text = gr_tape_text(g.t);
    spoil_often(text, 2000, 2, g.v, count);
    GR_EXPECT(count[0] + count[1] == 2000 && count[1] > 500 && count[2] > 50, "parsed %d, refused %d, ran %d", count[0],
        count[1], count[2]);
    gr_text_free(text);
    gr_tape_free(g.t);
    gr_variable_free(g.v[0]);
    gr_variable_free(g.v[1]);
}

/* Each op on inputs of each of its samples, so that its attributes are what is spoiled. */
static void spoiled_attributes_of_any_op_do_no_harm(void)
{
    int count[3] = {0}, rounds = 0;
    state = 4711;
    for (int o = 0; gr_op_at(o); o++) {
        const gr_op *op = gr_op_at(o);
        for (const gr_sample *s = op->samples; s && s->lo <= s->hi; s++) {
            gr_tape *t = gr_tape_new();
            gr_tensor *x[GR_SAMPLE_INPUTS];
            int n = gr__sample_count(op, s);
            for (int i = 0; i < n; i++)
                x[i] = gr_input(t, s->dtype[i] ? s->dtype[i] : GR_F32, s->shape[i], "x");
            if (n)
                gr_apply_op(op, s->attr, n, x);
            else
                gr__apply_op_on(t, (gr_at){0}, op, s->attr, 0, NULL);
            char *text = gr_tape_text(t);
            spoil_often(text, 12, 0, NULL, count);
            rounds += 12;
            gr_text_free(text);
            gr_tape_free(t);
        }
    }
    GR_EXPECT(count[0] + count[1] == rounds && count[1] > rounds / 10 && count[2] > rounds / 20,
        "of %d parsed %d, refused %d, ran %d", rounds, count[0], count[1], count[2]);
}

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
    GR_TEST(wrong_texts_are_refused_with_line_and_column), GR_TEST(deep_regions_and_scopes_are_refused),
    GR_TEST(spoiled_texts_do_no_harm), GR_TEST(spoiled_attributes_of_any_op_do_no_harm),
    GR_TEST(printing_to_a_file_reports_its_failure), GR_TEST(a_long_chain_is_written_and_read))
