/* Losses and metrics against Keras: tests/fixtures/losses.npz and metrics.npz. */
#include "autograd/grad.h"
#include "core/node.h"
#include "models/build_impl.h"
#include "models/model.h"
#include "tests/fixture.h"

/* The loss of case i, its options without ours and without reductions; freed by gr_spec_free. */
static gr_loss *loss_of(const fixture *f, int i)
{
    char name[48], options[200], text[300];
    fixture_text(f, i, "loss", name, sizeof name);
    fixture_text(f, i, "options", options, sizeof options);
    bool fused = strstr(options, "of=") != NULL;
    int n = snprintf(text, sizeof text, "%s(", name);
    for (char *word = strtok(options, " "); word; word = strtok(NULL, " ")) {
        bool ours = strncmp(word, "of=", 3) == 0 || strncmp(word, "reduction=", 10) == 0;
        if (ours || (fused && strncmp(word, "from_logits=", 12) == 0)) /* a model's end says so itself */
            continue;
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s", text[n - 1] == '(' ? "" : ", ", word);
    }
    snprintf(text + n, sizeof text - (size_t)n, ")");
    return gr__loss_named(text, GR_HERE);
}

static gr_array *as(const gr_array *a, gr_dtype real)
{
    gr_array *c = a ? gr_array_copy(a) : NULL;
    if (c && gr_dtype_is_float(gr_array_dtype(c)))
        gr_array_cast(c, real);
    return c;
}

static gr_tensor *constant(gr_tape *t, const gr_array *a, gr_dtype real)
{
    gr_array *c = as(a, real);
    gr_tensor *x = gr_constant(t, c);
    gr_array_free(c);
    return x;
}

static void check_loss(const fixture *f, int i, gr_dtype real)
{
    char of[16], reduction[32];
    const char *row = f->name[i];
    gr_tape *t = gr_tape_new();
    gr__store store = {.dtype = real};
    gr_build b;
    gr__build_begin(&b, t, &store, true);
    gr_loss *loss = loss_of(f, i);
    gr_tensor *y = constant(t, fixture_array(f, i, "y"), real), *p = constant(t, fixture_array(f, i, "p"), real),
              *q = p;
    if (fixture_value(f, i, "options", "of", of, sizeof of))
        q = gr_apply(&b, gr_Activation(of), p);
    gr_tensor *v = loss ? loss->kind->call(&b, loss, y, q) : GR_BAD, *dp = GR_BAD;
    if (GR_EXPECT(gr_status_of(v) == GR_OK, "%s: %s", row, gr_error_message())) {
        const gr_array *weight = fixture_array(f, i, "sw");
        bool plain = !fixture_value(f, i, "options", "reduction", reduction, sizeof reduction);
        double tolerance = real == GR_F64 ? 2e-7 : 2e-6;
        gr_array *each = gr_eval(v);
        fixture_near(each, fixture_array(f, i, "per_sample"), tolerance, 1, row, "per sample");
        gr_array_free(each);
        if (plain) { /* the reduction that training uses */
            gr_tensor *mean = gr__loss_reduce(v, weight ? constant(t, weight, real) : NULL);
            gr_array *value = gr_eval(mean);
            fixture_near(value, fixture_array(f, i, "value"), tolerance, 1, row, "value");
            gr_array_free(value);
            const gr_array *expected = fixture_array(f, i, "dp");
            if (expected && GR_EXPECT(gr_grad(mean, &p, 1, &dp) == GR_OK, "%s: %s", row, gr_error_message())) {
                gr_array *d = gr_eval(dp);
                fixture_near(d, expected, tolerance, 0.1, row, "gradient");
                gr_array_free(d);
            }
        }
    }
    gr_error_clear();
    gr_spec_free(loss);
    gr__build_end(&b);
    gr_tape_free(t);
    gr__store_free(&store);
}

static void check_losses(const char *prefix, int at_least)
{
    fixture f = fixture_open("losses.npz");
    int n = 0;
    for (int i = 0; i < f.n; i++) {
        if (strncmp(f.name[i], prefix, strlen(prefix)) != 0)
            continue;
        n++;
        if (strncmp(prefix, "clip", 4) != 0) /* float32's clip: 1 - 1e-7 is another number in float64 */
            check_loss(&f, i, GR_F64);
        check_loss(&f, i, GR_F32);
    }
    GR_EXPECT(n >= at_least, "%d cases begin with %s", n, prefix);
    fixture_close(&f);
}

static void crossentropies_agree_with_keras(void)
{
    check_losses("cce", 20);
    check_losses("sparse", 10);
    check_losses("bce", 12);
}
static void crossentropies_below_a_softmax_or_sigmoid_go_back_to_its_logits(void)
{
    check_losses("fused", 11);
}
static void probabilities_of_0_and_1_are_clipped_as_in_keras(void)
{
    check_losses("clip", 3);
}
static void regression_losses_agree_with_keras(void)
{
    check_losses("mse", 9);
    check_losses("mae", 8);
    check_losses("huber", 11);
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static gr_array *joined(const fixture *f, int i, const char *first, const char *second)
{
    gr_list both = GR_LIST(fixture_array(f, i, first), fixture_array(f, i, second));
    return gr_array_concat(&both, 0);
}

/* Predictions pass through a model that changes nothing; its metric over two batches must be Keras's. */
static void check_metric(const fixture *f, int i)
{
    char metric[48], rule[48];
    fixture_text(f, i, "metric", metric, sizeof metric);
    fixture_text(f, i, "rule", rule, sizeof rule);
    const char *loss = strncmp(rule, "Sparse", 6) == 0 ? "sparse_categorical_crossentropy" : "mse";
    gr_array *p = joined(f, i, "p0", "p1"), *y = joined(f, i, "y0", "y1");
    gr_shape s = gr_array_shape(p), inner = {s.rank - 1, {0}};
    memcpy(inner.dim, s.dim + 1, (size_t)inner.rank * sizeof *inner.dim);
    gr_model *m = gr_sequential(gr_Input(inner), gr_Activation("linear"));
    gr_compile_opts opts = {.loss = loss, .metrics = {metric}};
    bool ready = m && gr_compile_at(GR_HERE, m, &opts) == GR_OK;
    gr_scores r = {.status = GR_ESTATE};
    if (ready)
        r = gr_evaluate(m, gr_xy(GR_LIST(p), GR_LIST(y)), .batch_size = gr_array_dim(fixture_array(f, i, "y0"), 0));
    double expected = gr_array_at(fixture_array(f, i, "after1"), 0);
    if (GR_EXPECT(r.status == GR_OK, "%s: %s", f->name[i], gr_error_message()))
        GR_EXPECT(fabs(r.metric[0] - expected) <= 2e-6 * fmax(1, fabs(expected)), "%s: %.9g, expected %.9g", f->name[i],
            r.metric[0], expected);
    gr_error_clear();
    gr_model_free(m);
    gr_array_free(p), gr_array_free(y);
}

static void metrics_over_two_batches_agree_with_keras(void)
{
    fixture f = fixture_open("metrics.npz");
    int n = 0;
    for (int i = 0; i < f.n; i++)
        if (!fixture_array(&f, i, "sw0")) { /* metrics see no sample weights */
            check_metric(&f, i);
            n++;
        }
    GR_EXPECT(n >= 14, "%d cases", n);
    fixture_close(&f);
}

GR_SUITE("losses and metrics against Keras", GR_TEST(crossentropies_agree_with_keras),
    GR_TEST(crossentropies_below_a_softmax_or_sigmoid_go_back_to_its_logits),
    GR_TEST(probabilities_of_0_and_1_are_clipped_as_in_keras), GR_TEST(regression_losses_agree_with_keras),
    GR_TEST(metrics_over_two_batches_agree_with_keras))
