/* Optimizers and clipping fed with given gradients, against Keras's ten steps: tests/fixtures/optim.npz. */
#include "compiler/program.h"
#include "core/node.h"
#include "optim/optimizer.h"
#include "tests/fixture.h"

enum { STEPS = 10, VARIABLES = 2 };

/* Row `step` of a [10, ...] array, as an array of its own. */
static gr_array *row(const gr_array *a, int step)
{
    int64_t at[] = {step};
    gr_array *r = gr_array_gather(a, at, 1);
    gr_shape s = gr_array_shape(a), rest = {s.rank - 1, {0}};
    memcpy(rest.dim, s.dim + 1, (size_t)rest.rank * sizeof *rest.dim);
    if (r)
        gr_array_reshape(r, rest);
    return r;
}

typedef struct {
    gr__optim *optim;
    gr_variable *w[VARIABLES];
    gr_program *step;
} recipe;

static bool prepare(const fixture *f, int i, recipe *r)
{
    char text[400];
    fixture_spec(f, i, "kind", "options", text, sizeof text);
    char *drop = strstr(text, "lr_drop=1"); /* ours, not an option */
    if (drop)
        strcpy(drop > text && drop[-1] == ' ' ? drop - 2 : drop, ")");
    gr_optimizer *spec = gr_spec_parse(text, gr__optimizers, "optimizer", GR_HERE);
    r->optim = spec ? gr__optim_new(spec) : NULL;
    gr_spec_free(spec);
    if (!GR_EXPECT(r->optim != NULL, "%s: %s: %s", f->name[i], text, gr_error_message()))
        return false;
    gr_tape *t = gr_tape_new();
    gr_tensor *w[VARIABLES], *g[VARIABLES];
    gr_program_opts opts = {0};
    for (int k = 0; k < VARIABLES; k++) {
        char name[4] = {'w', (char)('0' + k), 0};
        gr_array *start = fixture_entry(f, name);
        r->w[k] = gr_variable_new(name, GR_F32, gr_array_shape(start), true);
        gr_variable_set(r->w[k], start);
        name[0] = 'g';
        w[k] = gr_read(t, r->w[k]);
        g[k] = opts.inputs[k] = gr_input(t, GR_F32, gr_array_shape(start), name);
    }
    gr_status s = gr__optim_apply(r->optim, t, VARIABLES, w, g);
    r->step = s == GR_OK ? gr_program_new_at(GR_HERE, t, &opts) : NULL;
    gr_tape_free(t);
    return GR_EXPECT(r->step != NULL, "%s: %s", f->name[i], gr_error_message());
}

static void run(const fixture *f, int i, recipe *r)
{
    bool drops = fixture_option(f, i, "options", "lr_drop", 0) != 0, good = true;
    for (int step = 0; step < STEPS && good; step++) {
        if (drops && step == 5)
            gr_variable_set_scalar(gr__optim_rate(r->optim), 0.1 * gr_variable_get_scalar(gr__optim_rate(r->optim)));
        gr_array *g[VARIABLES] = {row(fixture_entry(f, "g0"), step), row(fixture_entry(f, "g1"), step)};
        good = GR_EXPECT(
            gr_program_run(r->step, g, NULL) == GR_OK, "%s: step %d: %s", f->name[i], step, gr_error_message());
        for (int k = 0; k < VARIABLES; k++) {
            char key[8], what[32];
            snprintf(key, sizeof key, "out%d", k);
            snprintf(what, sizeof what, "variable %d, step %d", k, step);
            gr_array *now = gr_variable_get(r->w[k]), *expected = row(fixture_array(f, i, key), step);
            good = good && fixture_near(now, expected, 2e-6, 1, f->name[i], what);
            gr_array_free(now), gr_array_free(expected), gr_array_free(g[k]);
        }
    }
}

static void every_optimizer_takes_kerass_ten_steps(void)
{
    fixture f = fixture_open("optim.npz");
    for (int i = 0; i < f.n; i++) {
        recipe r = {0};
        if (prepare(&f, i, &r))
            run(&f, i, &r);
        gr_program_free(r.step);
        gr__optim_free(r.optim);
        for (int k = 0; k < VARIABLES; k++)
            gr_variable_free(r.w[k]);
        gr_error_clear();
    }
    GR_EXPECT(f.n > 50, "optim.npz has %d cases", f.n);
    fixture_close(&f);
}

/* Clipping alone: plain SGD at rate 1 from zero leaves minus the clipped gradient. */
static void clipping_agrees_with_keras_for_large_small_and_zero_gradients(void)
{
    static const struct {
        const char *way, *spec;
    } ways[] = {{"clipnorm", "sgd(learning_rate=1, clipnorm=1)"}, {"clipvalue", "sgd(learning_rate=1, clipvalue=0.5)"},
        {"global_clipnorm", "sgd(learning_rate=1, global_clipnorm=1)"}};
    static const char *const sizes[] = {"", "_large", "_small", "_zero"};
    fixture f = fixture_open("optim.npz");
    for (int trial = 0; trial < 12; trial++) {
        const char *way = ways[trial / 4].way, *size = sizes[trial % 4];
        gr_optimizer *spec = gr_spec_parse(ways[trial / 4].spec, gr__optimizers, "optimizer", GR_HERE);
        gr__optim *optim = gr__optim_new(spec);
        gr_tape *t = gr_tape_new();
        gr_tensor *w[VARIABLES], *g[VARIABLES];
        gr_variable *v[VARIABLES];
        for (int k = 0; k < VARIABLES; k++) {
            char key[40];
            snprintf(key, sizeof key, "clip/c%d%s", k, size);
            v[k] = gr_variable_new(k ? "b" : "a", GR_F32, gr_array_shape(fixture_entry(&f, key)), true);
            w[k] = gr_read(t, v[k]);
            g[k] = gr_constant(t, fixture_entry(&f, key));
        }
        gr_program *p = gr__optim_apply(optim, t, VARIABLES, w, g) == GR_OK ? gr_program_new(t, .threads = 1) : NULL;
        bool ran = p && gr_program_run(p, NULL, NULL) == GR_OK;
        GR_EXPECT(ran, "%s%s: %s", way, size, gr_error_message());
        for (int k = 0; k < VARIABLES && ran; k++) {
            char key[40];
            snprintf(key, sizeof key, "clip/%s%s%d", way, size, k);
            gr_array *moved = gr_variable_get(v[k]);
            gr_array_scale(moved, -1);
            fixture_near(moved, fixture_entry(&f, key), 3e-7, 0, key, "gradient");
            gr_array_free(moved);
        }
        gr_program_free(p), gr_tape_free(t), gr__optim_free(optim), gr_spec_free(spec);
        for (int k = 0; k < VARIABLES; k++)
            gr_variable_free(v[k]);
        gr_error_clear();
    }
    fixture_close(&f);
}

GR_SUITE("optimizers against Keras", GR_TEST(every_optimizer_takes_kerass_ten_steps),
    GR_TEST(clipping_agrees_with_keras_for_large_small_and_zero_gradients))
