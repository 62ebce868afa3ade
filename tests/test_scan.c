/* Loops: values, gradients of any order, programs, the text form and mistakes. autograd/scan.c, core/region.c and
 * eval.c, compiler/inline.c, ops/step_parts.c. LSTM and GRU as ops are held against their steps written out. */
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "autograd/scan.h"
#include "compiler/program.h"
#include "core/text.h"
#include "core/thread.h"
#include "tests/near.h"

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

/* The sum so far, as carry and as result. */
static gr_status running(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in;
    out[0] = gr_add(in[0], in[1]);
    for (int i = 1; i < n_out; i++)
        out[i] = out[0];
    return gr_status_of(out[0]);
}

/* A counter beside the sum; the counter scales what is added. */
static gr_status counted(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_add(in[0], gr_scalar(in[0], 1));
    out[1] = gr_add(in[1], gr_mul(in[2], gr_cast(in[0], gr_dtype_of(in[2]))));
    out[2] = gr_square(in[1]); /* the carry as it was */
    return gr_status_of(out[1]);
}

typedef struct {
    gr_tensor *kernel, *recurrent, *bias;
} cell;

static gr_tensor *product(gr_tensor *x, gr_tensor *w)
{
    return gr_matmul(x, w);
}
static gr_status simple_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    const cell *c = ctx;
    out[0] = out[1] = gr_tanh(gr_add(gr_add(product(in[1], c->kernel), product(in[0], c->recurrent)), c->bias));
    return gr_status_of(out[0]);
}

static gr_status lstm_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    const cell *w = ctx;
    gr_tensor *z = gr_add(gr_add(product(in[2], w->kernel), product(in[0], w->recurrent)), w->bias), *g[4];
    GR_TRY(gr_split(z, 4, -1, g));
    gr_tensor *c = gr_add(gr_mul(gr_sigmoid(g[1]), in[1]), gr_mul(gr_sigmoid(g[0]), gr_tanh(g[2])));
    out[0] = out[2] = gr_mul(gr_sigmoid(g[3]), gr_tanh(c));
    out[1] = c;
    return gr_status_of(out[0]);
}

static gr_status gru_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    const cell *w = ctx;
    gr_tensor *b[2], *x[3], *h[3];
    GR_TRY(gr_split(w->bias, 2, 0, b));
    GR_TRY(gr_split(gr_add(product(in[1], w->kernel), b[0]), 3, -1, x));
    GR_TRY(gr_split(gr_add(product(in[0], w->recurrent), b[1]), 3, -1, h));
    gr_tensor *z = gr_sigmoid(gr_add(x[0], h[0])), *r = gr_sigmoid(gr_add(x[1], h[1]));
    gr_tensor *new = gr_tanh(gr_add(x[2], gr_mul(r, h[2])));
    out[0] = out[1] = gr_add(gr_mul(z, in[0]), gr_mul(gr_sub(gr_scalar(z, 1), z), new));
    return gr_status_of(out[0]);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void a_scan_carries_from_step_to_step(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F64, GR_SHAPE(4), NUMBERS(1, 2, 3, 4)), *zero = gr_number(t, GR_F64, 0), *out[3];
    CU_ASSERT_EQUAL(gr_scan(out, .body = running, .n_carries = 1, .carries = &zero, .n_xs = 1, .xs = &x, .n_ys = 1),
        GR_OK);
    NEAR(out[0], GR_RANK0, 0, 10);
    NEAR(out[1], GR_SHAPE(4), 0, 1, 3, 6, 10);
    CU_ASSERT_EQUAL(gr_scan(out, .body = running, .n_carries = 1, .carries = &zero, .n_xs = 1, .xs = &x, .n_ys = 1,
                        .reverse = true), GR_OK);
    NEAR(out[0], GR_RANK0, 0, 10);
    NEAR(out[1], GR_SHAPE(4), 0, 10, 9, 7, 4);
    gr_tensor *carries[] = {gr_number(t, GR_I32, 1), zero};
    CU_ASSERT_EQUAL(gr_scan(out, .body = counted, .n_carries = 2, .carries = carries, .n_xs = 1, .xs = &x, .n_ys = 1),
        GR_OK);
    NEAR(gr_cast(out[0], GR_F64), GR_RANK0, 0, 5);
    NEAR(out[1], GR_RANK0, 0, 30);
    NEAR(out[2], GR_SHAPE(4), 0, 0, 1, 25, 196);
    gr_tape_free(t);
}

/* ---- programs against evaluation --------------------------------------------------------------------------------- */

enum { OUTPUTS = 8 };

/* Compiles and runs for several numbers of threads; the same bits each time, and what evaluation gives. */
static void compiled(const char *why, gr_tape *t, int n, gr_tensor *const *y, double tolerance)
{
    static const int threads[] = {1, 2, 3, 7};
    gr_array *first[OUTPUTS] = {NULL}, *eval[OUTPUTS];
    gr_status s = gr_eval_with(n, y, eval, NULL);
    GR_EXPECT(s == GR_OK, "%s: %s", why, gr_error_message());
    for (int k = 0; k < 4 && s == GR_OK; k++) {
        gr_set_num_threads(threads[k]);
        gr_program_opts o = {.verify = true};
        memcpy(o.outputs, y, (size_t)n * sizeof *y);
        gr_program *p = gr_program_new_at(GR_HERE, t, &o);
        gr_array *now[OUTPUTS];
        for (int i = 0; i < n; i++)
            now[i] = gr_array_new(gr_dtype_of(y[i]), gr_shape_of(y[i]));
        GR_EXPECT(p && gr_program_run(p, NULL, now) == GR_OK, "%s: %s", why, gr_error_message());
        for (int i = 0; i < n; i++) {
            for (int64_t e = 0; e < gr_array_size(now[i]); e++)
                if (!GR_EXPECT(fabs(gr_array_at(now[i], e) - gr_array_at(eval[i], e)) <=
                                   tolerance * fmax(1, fabs(gr_array_at(eval[i], e))),
                        "%s: result %d [%lld] is %.9g, evaluated %.9g", why, i, (long long)e, gr_array_at(now[i], e),
                        gr_array_at(eval[i], e)))
                    break;
            GR_EXPECT(!first[i] || gr_array_equal(first[i], now[i]), "%s: result %d has other bits with %d threads",
                why, i, threads[k]);
            if (first[i])
                gr_array_free(now[i]);
            else
                first[i] = now[i];
        }
        gr_program_free(p);
    }
    for (int i = 0; i < n; i++) {
        gr_array_free(first[i]);
        if (s == GR_OK)
            gr_array_free(eval[i]);
    }
    gr_set_num_threads(0);
    gr_error_clear();
}

static gr_tensor *drawn(gr_tape *t, gr_dtype dtype, gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 1024; /* exact in float32 */
    gr_tensor *y = gr_cast(gr_constant(t, a), dtype);
    gr_array_free(a);
    return gr_add(y, gr_scalar(y, 0)); /* a constant would be copied into a region, not passed in */
}

static void programs_run_every_step(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = drawn(t, GR_F32, GR_SHAPE(150, 3), 1), *zero = drawn(t, GR_F32, GR_SHAPE(3), 2), *out[4], *back[2];
    gr_scan(out, .body = running, .n_carries = 1, .carries = &zero, .n_xs = 1, .xs = &x, .n_ys = 1);
    gr_scan(out + 2, .body = running, .n_carries = 1, .carries = &zero, .n_xs = 1, .xs = &out[1], .n_ys = 1,
        .reverse = true); /* what more steps than one node takes have put together, taken apart again */
    gr_tensor *wrt[] = {x, zero};
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(out[3])), wrt, 2, back), GR_OK);
    compiled("a sum of sums", t, 6, (gr_tensor *[]){out[0], out[1], out[2], out[3], back[0], back[1]}, 2e-5);
    gr_tape_free(t);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* in: x [3, 2, 2], h [2, 3], kernel, recurrent, bias */
static gr_status simple_rnn(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t, (void)n_in, (void)n_out;
    cell c = {in[2], in[3], in[4]};
    return gr_scan(out, .body = simple_step, .ctx = &c, .n_carries = 1, .carries = &in[1], .n_xs = 1, .xs = &in[0],
        .n_ys = 1, .reverse = ctx != NULL);
}
static gr_status counted_sum(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)n_in, (void)n_out;
    gr_tensor *carries[] = {gr_number(t, GR_I32, 1), in[1]}, *all[3];
    GR_TRY(gr_scan(all, .body = counted, .n_carries = 2, .carries = carries, .n_xs = 1, .xs = &in[0], .n_ys = 1));
    out[0] = all[1], out[1] = all[2];
    return GR_OK;
}
/* A scan whose body is a scan. */
static gr_status nested_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    gr_tensor *both[2], *start = gr_sin(in[0]);
    GR_TRY(gr_scan(both, .body = running, .n_carries = 1, .carries = &start, .n_xs = 1, .xs = &in[1], .n_ys = 1));
    out[0] = both[0];
    out[1] = gr_sum(gr_square(both[1]));
    return gr_status_of(out[1]);
}
static gr_status nested(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    return gr_scan(out, .body = nested_step, .n_carries = 1, .carries = &in[1], .n_xs = 1, .xs = &in[0], .n_ys = 1);
}

static void scans_have_gradients_of_any_order(void)
{
    static int turned;
    const struct {
        const char *why;
        gr_body fn;
        void *ctx;
        int n_in;
        gr_shape shape[5];
    } rows[] = {
        {"a simple recurrent layer", simple_rnn, NULL, 5,
            {GR_DIMS(3, 2, 2), GR_DIMS(2, 3), GR_DIMS(2, 3), GR_DIMS(3, 3), GR_DIMS(3)}},
        {"the same from the end", simple_rnn, &turned, 5,
            {GR_DIMS(3, 2, 2), GR_DIMS(2, 3), GR_DIMS(2, 3), GR_DIMS(3, 3), GR_DIMS(3)}},
        {"an integer among the carries", counted_sum, NULL, 2, {GR_DIMS(3, 2), GR_DIMS(2)}},
        {"a loop in a loop", nested, NULL, 2, {GR_DIMS(3, 2), {0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_gradcheck_opts o = {.fn = rows[i].fn, .ctx = rows[i].ctx, .n_in = rows[i].n_in, .n_out = 2, .second = true};
        for (int k = 0; k < o.n_in; k++) {
            o.in[k] = gr_array_new(GR_F64, rows[i].shape[k]);
            for (int64_t e = 0; e < gr_array_size(o.in[k]); e++)
                ((double *)gr_array_data(o.in[k]))[e] = (double)((e * 7919 + k * 104729) % 2003 - 1001) / 1024;
        }
        GR_EXPECT(gr_gradcheck_fn_at(GR_HERE, &o) == GR_OK, "%s: %s", rows[i].why, gr_error_message());
        gr_error_clear();
        for (int k = 0; k < o.n_in; k++)
            gr_array_free(o.in[k]);
    }
}

/* ---- LSTM and GRU as ops, and step by step ----------------------------------------------------------------------- */

/* Both forms of a cell over x [B, steps, n], and both gradients of a number made of all their results. */
static void both_forms(bool gru, bool with_state, int64_t rows, int64_t steps, int64_t n, int64_t units)
{
    gr_tape *t = gr_tape_new();
    const int64_t gates = gru ? 3 : 4;
    gr_tensor *in[] = {drawn(t, GR_F64, GR_SHAPE(rows, steps, n), 1), drawn(t, GR_F64, GR_SHAPE(n, gates * units), 2),
        drawn(t, GR_F64, GR_SHAPE(units, gates * units), 3),
        drawn(t, GR_F64, gru ? GR_SHAPE(2, gates * units) : GR_SHAPE(gates * units), 4),
        drawn(t, GR_F64, GR_SHAPE(rows, units), 5), drawn(t, GR_F64, GR_SHAPE(rows, units), 6)};
    gr_tensor *state[] = {in[4], in[5]}, *grads[2][6], *loss[2], *out[3];
    if (!with_state)
        state[0] = state[1] = gr_zeros_like(in[4]);
    gr_tensor *h = with_state ? in[4] : NULL, *c = with_state ? in[5] : NULL;
    gr_tensor *y = gru ? gr_gru(in[0], in[1], in[2], in[3], h) : gr_lstm(in[0], in[1], in[2], in[3], h, c);
    loss[0] = gr_add(gr_sum(gr_mul(y, drawn(t, GR_F64, GR_SHAPE(rows, steps, units), 7))),
        gr_sum(gr_square(gr_result(y, 1))));
    if (!gru)
        loss[0] = gr_add(loss[0], gr_sum(gr_square(gr_result(y, 2))));
    cell w = {in[1], in[2], in[3]};
    gr_tensor *x = gr_transpose(in[0], GR_SHAPE(1, 0, 2));
    CU_ASSERT_EQUAL(gr_scan(out, .body = gru ? gru_step : lstm_step, .ctx = &w, .n_carries = gru ? 1 : 2,
                        .carries = state, .n_xs = 1, .xs = &x, .n_ys = 1), GR_OK);
    gr_tensor *all = gr_transpose(out[gru ? 1 : 2], GR_SHAPE(1, 0, 2));
    loss[1] = gr_add(gr_sum(gr_mul(all, drawn(t, GR_F64, GR_SHAPE(rows, steps, units), 7))),
        gr_sum(gr_square(out[0])));
    if (!gru)
        loss[1] = gr_add(loss[1], gr_sum(gr_square(out[1])));
    const int n_wrt = (gru ? 5 : 6) - (with_state ? 0 : gru ? 1 : 2);
    for (int k = 0; k < 2; k++)
        GR_EXPECT(gr_grad(loss[k], in, n_wrt, grads[k]) == GR_OK, "%s", gr_error_message());
    for (int i = -1; i < n_wrt; i++) {
        gr_array *a = gr_eval(i < 0 ? loss[0] : grads[0][i]), *b = gr_eval(i < 0 ? loss[1] : grads[1][i]);
        for (int64_t e = 0; GR_EXPECT(a && b, "%s", gr_error_message()) && e < gr_array_size(b); e++)
            if (!GR_EXPECT(fabs(gr_array_at(a, e) - gr_array_at(b, e)) <= 1e-11 * fmax(1, fabs(gr_array_at(b, e))),
                    "%s, input %d [%lld]: %.17g, by steps %.17g", gru ? "gru" : "lstm", i, (long long)e,
                    gr_array_at(a, e), gr_array_at(b, e)))
                break;
        gr_array_free(a);
        gr_array_free(b);
    }
    gr_error_clear();
    gr_tape_free(t);
}

static void lstm_and_gru_are_what_their_steps_are(void)
{
    for (int gru = 0; gru < 2; gru++) {
        both_forms(gru, true, 5, 4, 3, 6);
        both_forms(gru, false, 2, 3, 2, 9);
    }
}

static void programs_of_lstm_and_gru_have_the_same_bits_on_all_threads(void)
{
    for (int gru = 0; gru < 2; gru++) {
        gr_tape *t = gr_tape_new();
        const int64_t g = gru ? 3 : 4;
        gr_tensor *in[] = {drawn(t, GR_F32, GR_SHAPE(61, 5, 7), 1), drawn(t, GR_F32, GR_SHAPE(7, g * 19), 2),
            drawn(t, GR_F32, GR_SHAPE(19, g * 19), 3)}, *grad[3];
        gr_tensor *y = gru ? gr_gru(in[0], in[1], in[2]) : gr_lstm(in[0], in[1], in[2]);
        CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(y)), in, 3, grad), GR_OK);
        compiled(gru ? "gru" : "lstm", t, 4, (gr_tensor *[]){y, grad[0], grad[1], grad[2]}, 1e-4);
        compiled("without a gradient", t, 1, (gr_tensor *[]){gr_result(y, 1)}, 1e-6); /* nothing is kept */
        gr_tape_free(t);
    }
}

/* ---- text and mistakes ------------------------------------------------------------------------------------------- */

static void a_scan_is_read_from_its_text(void)
{
    gr_tape *t = gr_tape_new(), *again = NULL;
    gr_tensor *x = drawn(t, GR_F64, GR_SHAPE(3, 2), 1), *zero = drawn(t, GR_F64, GR_SHAPE(2), 2), *out[2], *g;
    gr_scan(out, .body = running, .n_carries = 1, .carries = &zero, .n_xs = 1, .xs = &x, .n_ys = 1);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(out[1])), &x, 1, &g), GR_OK);
    char *text = gr_tape_text(t), *twice = NULL, *spoiled = NULL;
    if (GR_EXPECT(text != NULL, "%s", gr_error_message())) {
        again = gr_tape_parse(text, 0, NULL);
        GR_EXPECT(again != NULL, "%s\n%s", gr_error_message(), text);
        twice = again ? gr_tape_text(again) : NULL;
        GR_EXPECT(twice && strcmp(text, twice) == 0, "%s\n%s", text, twice ? twice : "");
        spoiled = strstr(text, "steps = 3");
        GR_EXPECT(spoiled != NULL, "%s", text);
        if (spoiled)
            spoiled[8] = '4';
        CU_ASSERT_PTR_NULL(gr_tape_parse(text, 0, NULL));
        GR_EXPECT(strstr(gr_error_message(), "region of scan to have params"), "%s", gr_error_message());
    }
    gr_text_free(text);
    gr_text_free(twice);
    gr_error_clear();
    gr_tape_free(again);
    gr_tape_free(t);
}

static gr_status changes_shape(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = out[1] = gr_reshape(in[0], GR_SHAPE(1, 2));
    return gr_status_of(out[0]);
}
static gr_status gives_nothing(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)in, (void)n_out, (void)out;
    return GR_OK;
}

static void mistakes_are_told(void)
{
    gr_tape *t = gr_tape_new(), *other = gr_tape_new();
    gr_tensor *x = drawn(t, GR_F32, GR_SHAPE(3, 2), 1), *h = drawn(t, GR_F32, GR_SHAPE(2), 2), *out[64];
    gr_tensor *s = gr_number(t, GR_F32, 0), *none = NULL, *far = gr_number(other, GR_F32, 0);
    const struct {
        const char *why;
        gr_scan_args a;
        gr_status status;
        const char *message;
    } rows[] = {
        {"no body", {NULL, NULL, 1, 1, 1, &h, &x, 0, false}, GR_EARG, "scan: argument body: expected a function"},
        {"no carries and no xs", {running, NULL, 0, 0, 1, NULL, NULL, 3, false}, GR_EARG, "expected a carry or an x"},
        {"no results", {running, NULL, 0, 1, 0, NULL, &x, 0, false}, GR_EARG, "one result or more, found 0 carries"},
        {"more than there is room for", {running, NULL, 40, 30, 1, &h, &x, 0, false}, GR_EARG, "at most 64 tensors"},
        {"a number below zero", {running, NULL, 1, -1, 1, &h, &x, 0, false}, GR_EARG, "found 1 carries, -1 xs"},
        {"a carry of NULL", {running, NULL, 1, 1, 1, &none, &x, 0, false}, GR_EARG, "expected a tensor, found NULL"},
        {"two tapes", {running, NULL, 1, 1, 1, &far, &x, 0, false}, GR_EARG, "expected tensors of one tape"},
        {"an x without steps", {running, NULL, 1, 1, 1, &h, &s, 0, false}, GR_ESHAPE, "expected a first axis of"},
        {"other steps than the x has", {running, NULL, 1, 1, 1, &h, &x, 4, false}, GR_ESHAPE, "found float32 [3, 2]"},
        {"no steps", {running, NULL, 1, 0, 0, &h, NULL, 0, false}, GR_ESHAPE, "argument steps: expected 1 or more"},
        {"a carry of another shape", {changes_shape, NULL, 1, 1, 1, &h, &x, 0, false}, GR_EARG,
            "expected body to give float32 [2] for carry 0, found float32 [1, 2]"},
        {"no result in out", {gives_nothing, NULL, 1, 1, 1, &h, &x, 0, false}, GR_EARG, "found NULL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        out[0] = out[1] = x;
        gr_status got = gr_scan_at(GR_HERE, &rows[i].a, out);
        GR_EXPECT(got == rows[i].status && strstr(gr_error_message(), rows[i].message), "%s: %d %s", rows[i].why, got,
            gr_error_message());
        GR_EXPECT(out[0] == GR_BAD || rows[i].a.n_carries + rows[i].a.n_ys < 1 || i == 3 || i == 1,
            "%s: a result that is not GR_BAD", rows[i].why);
        gr_error_clear();
    }
    gr_tensor *y = gr_lstm(gr_expand_dims(x, GR_SHAPE(0)), drawn(t, GR_F32, GR_SHAPE(2, 4), 1),
        drawn(t, GR_F32, GR_SHAPE(1, 4), 2)), *g;
    CU_ASSERT_EQUAL(gr_grad(gr_sum(y), &x, 1, &g), GR_OK);
    CU_ASSERT_EQUAL(gr_grad(gr_sum(gr_square(g)), &x, 1, &g), GR_EGRAD);
    GR_EXPECT(strstr(gr_error_message(), "lstm_grad") != NULL, "%s", gr_error_message());
    gr_error_clear();
    gr_tape_free(t);
    gr_tape_free(other);
}

GR_SUITE("scan", GR_TEST(a_scan_carries_from_step_to_step), GR_TEST(programs_run_every_step),
    GR_TEST(scans_have_gradients_of_any_order), GR_TEST(lstm_and_gru_are_what_their_steps_are),
    GR_TEST(programs_of_lstm_and_gru_have_the_same_bits_on_all_threads), GR_TEST(a_scan_is_read_from_its_text),
    GR_TEST(mistakes_are_told))
