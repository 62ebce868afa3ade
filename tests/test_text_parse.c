/* Texts that are no graphs, or were once: refused with line and column, and harmless. */
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

static uint64_t state;
static int below(int n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((state >> 33) % (uint64_t)n);
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

static gr_status body(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    gr_scope_push(t, "inner layer", "Inner", (gr_at){"inner.c", 2});
    out[0] = gr_tanh(gr_mul(in[0], gr_scalar(in[0], 0.3)));
    gr_scope_pop(t);
    return gr_status_of(out[0]);
}
static gr_status body_backward(gr_custom_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], v->out[0]);
    return GR_OK;
}

/* Of everything a little: regions in each other, weights, assignments, attributes, constants, scopes, a gradient. */
static gr_tape *rich_graph(gr_variable *const *v)
{
    static const gr_custom custom = {"custom name", body, body_backward, NULL};
    const gr_at at = {"a file.c", 7};
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input_at(at, t, GR_F32, GR_SHAPE(GR_BATCH, 4), "x y"), *y, *g[2];
    gr_tensor *k = gr_input(t, GR_I64, GR_SHAPE(3), "k"), *w = gr_read(t, v[0]);
    gr_scope_push(t, "dense", "Dense", at);
    y = gr_clip_at(at, gr_add(gr_matmul_at(at, x, w), gr_read(t, v[1])), -1.5, 2);
    y = gr_slice(gr_pad(y, .before = GR_SHAPE(0, 1)), .start = GR_SHAPE(0, 2));
    gr_scope_pop(t);
    gr_checkpoint_at(at, body, NULL, 1, &y, 1, &y);
    gr_custom_gradient(&custom, 1, &y, 1, &y);
    y = gr_mul(gr_sum(y, .axes = GR_SHAPE(0)), gr_cast(k, GR_F32));
    y = gr_where(gr_less(y, gr_scalar(y, 0.1)), gr_leaky_relu(y, .negative_slope = 0.3),
        gr_concatenate(3,
            (gr_tensor *[]){
                gr_slice(y, .stop = GR_SHAPE(1)), gr_slice(y, .stop = GR_SHAPE(1)), gr_slice(y, .start = GR_SHAPE(2))},
            0));
    CU_ASSERT_EQUAL(gr_grad(gr_mean(y), (gr_tensor *[]){w, x}, 2, g), GR_OK);
    t->phase = GR_PHASE_UPDATE;
    gr_assign(w, gr_sub(w, g[0]));
    t->phase = GR_PHASE_FORWARD;
    gr_square(g[1]);
    return t;
}

static void spoiled_texts_do_no_harm(void)
{
    int count[3] = {0};
    state = 99;
    gr_variable *v[2] = {
        gr_variable_new("dense/w", GR_F32, GR_SHAPE(4, 4), true), gr_variable_new("a/b c", GR_F32, GR_SHAPE(4), true)};
    gr_tape *t = rich_graph(v);
    char *text = gr_tape_text(t);
    spoil_often(text, 2000, 2, v, count);
    GR_EXPECT(count[0] + count[1] == 2000 && count[1] > 500 && count[2] > 50, "parsed %d, refused %d, ran %d", count[0],
        count[1], count[2]);
    gr_text_free(text);
    gr_tape_free(t);
    gr_variable_free(v[0]);
    gr_variable_free(v[1]);
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

GR_SUITE("core/text_parse.c", GR_TEST(wrong_texts_are_refused_with_line_and_column),
    GR_TEST(deep_regions_and_scopes_are_refused), GR_TEST(spoiled_texts_do_no_harm),
    GR_TEST(spoiled_attributes_of_any_op_do_no_harm))
