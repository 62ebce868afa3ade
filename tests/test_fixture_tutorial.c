/* The tutorial in miniature, from Keras's weights: each batch's loss, the history and the last weights (tutorial.npz).
 */
#include "models/model.h"
#include "tests/fixture.h"

enum { WEIGHTS = 14, LAYERS = 16 };

static gr_model *network(const fixture *f, int i)
{
    char activation[16];
    const gr_array *units = fixture_array(f, i, "units");
    bool bn = gr_array_at(fixture_array(f, i, "bn"), 0) != 0;
    fixture_text(f, i, "activation", activation, sizeof activation);
    gr_layer *layer[LAYERS + 1] = {gr_spec_copy(gr_Input(GR_SHAPE(20)))};
    int n = 1;
    for (int64_t k = 0; k < gr_array_size(units); k++) {
        layer[n++] = gr_spec_copy(gr_Dense((int)gr_array_at(units, k), .activation = activation));
        if (bn)
            layer[n++] = gr_spec_copy(gr_BatchNormalization());
    }
    layer[n++] = gr_spec_copy(gr_Dense(4, .activation = "softmax"));
    gr_model *m = gr_sequential_at(GR_HERE, (const gr_layer *const *)layer);
    for (int k = 0; k < n; k++)
        gr_spec_free(layer[k]);
    return m;
}

/* Weight k of case i ("w3"), shared by the cases that have none of their own. */
static gr_array *weight(const fixture *f, int i, const char *prefix, int k)
{
    char key[16];
    snprintf(key, sizeof key, "%s%d", prefix, k);
    gr_array *own = fixture_array(f, i, key);
    return own || strcmp(prefix, "w") != 0 || fixture_array(f, i, "w0") ? own : fixture_entry(f, key);
}

static bool start(const fixture *f, int i, gr_model *m)
{
    const gr_array *w[WEIGHTS];
    int n = 0;
    while (n < WEIGHTS && (w[n] = weight(f, i, "w", n)))
        n++;
    return GR_EXPECT(gr_model_set_weights(m, n, w) == GR_OK, "%s: %s", f->name[i], gr_error_message());
}

static void check_history(const fixture *f, int i, const gr_history *h)
{
    static const char *const keys[] = {"loss", "accuracy", "val_loss", "val_accuracy"};
    double gap = gr_array_at(fixture_array(f, i, "gap_losses"), 0);
    double drift =
        gr_array_at(fixture_array(f, i, "gap"), 0); /* of weights whose rows are rarely lit, seen in validation */
    int64_t n;
    const float *own = gr_history_step_losses(h, &n);
    const gr_array *losses = fixture_array(f, i, "losses");
    GR_EXPECT(n == gr_array_size(losses), "%s: %lld step losses", f->name[i], (long long)n);
    for (int64_t k = 0; own && k < n && k < gr_array_size(losses); k++) {
        double e = gr_array_at(losses, k);
        GR_EXPECT(fabs((double)own[k] - e) <= (2e-6 + 10 * gap) * fmax(1, e), "%s: step %lld: loss %.9g, expected %.9g",
            f->name[i], (long long)k, (double)own[k], e);
    }
    for (int k = 0; k < 4; k++) {
        char key[32];
        snprintf(key, sizeof key, "history_%s", keys[k]);
        const gr_array *expected = fixture_array(f, i, key);
        int epochs;
        const double *v = gr_history_get(h, keys[k], &epochs);
        GR_EXPECT(v && epochs == 3, "%s: %s has %d values", f->name[i], keys[k], epochs);
        for (int e = 0; v && e < epochs; e++)
            GR_EXPECT(fabs(v[e] - gr_array_at(expected, e)) <= 5e-6 + 10 * gap + (k > 1 ? drift : 0),
                "%s: %s of epoch %d: %.9g, expected %.9g", f->name[i], keys[k], e, v[e], gr_array_at(expected, e));
    }
}

static void check_case(const fixture *f, int i)
{
    char loss[48], optimizer[200];
    fixture_text(f, i, "loss", loss, sizeof loss);
    fixture_spec(f, i, "optimizer", "options", optimizer, sizeof optimizer);
    gr_model *m = network(f, i);
    gr_compile_opts opts = {.optimizer_name = optimizer, .loss = loss, .metrics = {"accuracy"}};
    gr_array *x = fixture_entry(f, "x"), *y = fixture_entry(f, strncmp(loss, "sparse", 6) == 0 ? "c" : "y");
    if (GR_EXPECT(m && gr_compile_at(GR_HERE, m, &opts) == GR_OK, "%s: %s", f->name[i], gr_error_message()) &&
        start(f, i, m)) {
        bool weighted = gr_array_at(fixture_array(f, i, "weighted"), 0) != 0;
        gr_data data = gr_xy(GR_LIST(x), GR_LIST(y), .sample_weight = weighted ? fixture_entry(f, "sw") : NULL);
        gr_history *h = gr_fit(m, data, .batch_size = (int64_t)gr_array_at(fixture_array(f, i, "batch"), 0),
            .epochs = 3, .validation_split = 0.1f, .no_shuffle = true, .verbose = GR_VERBOSE_SILENT,
            .step_losses = gr_array_size(fixture_array(f, i, "losses")));
        if (GR_EXPECT(h != NULL, "%s: %s", f->name[i], gr_error_message())) {
            check_history(f, i, h);
            double gap = gr_array_at(fixture_array(f, i, "gap"), 0);
            for (int k = 0; weight(f, i, "final", k); k++) {
                gr_array *w = gr_variable_get(gr_model_weight_at(m, k));
                fixture_near(w, weight(f, i, "final", k), 2e-6 + 10 * gap, 1, f->name[i],
                    gr_variable_path(gr_model_weight_at(m, k)));
                gr_array_free(w);
            }
        }
        gr_history_free(h);
    }
    gr_error_clear();
    gr_model_free(m);
}

static void training_follows_keras_step_by_step(void)
{
    fixture f = fixture_open("tutorial.npz");
    for (int i = 0; i < f.n; i++)
        check_case(&f, i);
    GR_EXPECT(f.n == 11, "tutorial.npz has %d cases", f.n);
    fixture_close(&f);
}

GR_SUITE("the tutorial against Keras", GR_TEST(training_follows_keras_step_by_step))
