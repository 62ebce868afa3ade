/* Every allocation of recording, gradients, regions, text, pictures and gradient checks fails once, and once for ever:
 * nothing crashes, nothing leaks, and what fails says that memory ran out. */
#include "autograd/custom.h"
#include "autograd/scan.h"
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "core/dot.h"
#include "core/mem.h"
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

/* ---- the injector ------------------------------------------------------------------------------------------------ */

static int64_t seen, fail_at, fired, live;
static bool for_ever;

static bool fails(void)
{
    bool now = ++seen == fail_at || (for_ever && fail_at && seen > fail_at);
    fired += now;
    return now;
}
static void *inject_alloc(void *user, size_t bytes)
{
    (void)user;
    void *p = fails() ? NULL : malloc(bytes);
    if (p)
        memset(p, 0xa5, bytes);
    live += p != NULL;
    return p;
}
static void *inject_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    void *p = fails() ? NULL : realloc(old, bytes);
    live += p && !old;
    return p;
}
static void inject_release(void *user, void *old)
{
    (void)user;
    live -= old != NULL;
    free(old);
}

/* ---- workloads: true if all of it worked ------------------------------------------------------------------------- */

static gr_status body(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    gr_scope_push(t, "inner", "Inner", (gr_at){0});
    out[0] = gr_tanh(gr_mul(in[0], gr_scalar(in[0], 0.5)));
    gr_scope_pop(t);
    return gr_status_of(out[0]);
}
static gr_status body_backward(gr_custom_vjp *v)
{
    v->dx[0] = gr_mul(v->dy[0], v->out[0]);
    return gr_status_of(v->dx[0]);
}
static const gr_custom custom = {"mine", body, body_backward, NULL};

static gr_status function(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_tensor *y;
    GR_TRY(gr_checkpoint(body, ctx, n_in, in, 1, &y));
    (void)t, (void)n_out;
    out[0] = gr_add(gr_exp(y), in[0]);
    return gr_status_of(out[0]);
}

static gr_status step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = out[1] = gr_mul(in[0], gr_exp(in[1]));
    return gr_status_of(out[0]);
}

static gr_tape *graph(gr_variable *v, gr_tensor **g)
{
    gr_tape *t = gr_tape_new();
    if (!t)
        return NULL;
    gr_tensor *x = gr_input(t, GR_F64, GR_SHAPE(3), "x"), *y = GR_BAD, *z = GR_BAD;
    gr_checkpoint(body, NULL, 1, &x, 1, &y);
    gr_custom_gradient(&custom, 1, &y, 1, &z);
    gr_tensor *start = gr_sum(z), *both[2] = {GR_BAD, GR_BAD};
    gr_scan(both, .body = step, .n_carries = 1, .carries = &start, .n_xs = 1, .xs = &z, .n_ys = 1);
    gr_tensor *loss = gr_sum(gr_mul(gr_square(gr_add(z, both[1])), gr_read(t, v)));
    gr_status s = gr_grad(loss, &x, 1, g);
    if (s == GR_OK)
        s = gr_grad(gr_sum(*g), &x, 1, g);
    if (s == GR_OK && gr_status_of(*g) == GR_OK)
        return t;
    gr_tape_free(t);
    return NULL;
}

static bool records_and_differentiates(gr_variable *v)
{
    gr_tensor *g;
    gr_tape *t = graph(v, &g);
    gr_tape_free(t);
    return t != NULL;
}

static bool writes_and_reads_text(gr_variable *v)
{
    gr_tensor *g;
    gr_tape *t = graph(v, &g);
    char *text = t ? gr_tape_text(t) : NULL;
    gr_tape *back = text ? gr_tape_parse(text, 1, &v) : NULL;
    bool good = back && gr__tape_equal(t, back);
    gr_tape_free(back);
    gr_text_free(text);
    gr_tape_free(t);
    return good;
}

static bool draws(gr_variable *v)
{
    gr_tensor *g;
    gr_tape *t = graph(v, &g);
    char *text = t ? gr_tape_dot_text(t, NULL) : NULL,
         *folded = text ? gr_tape_dot_text(t, &(gr_dot_opts){.fold = true}) : NULL;
    bool good = folded != NULL;
    gr_text_free(text);
    gr_text_free(folded);
    gr_tape_free(t);
    return good;
}

static bool checks_gradients(gr_variable *v)
{
    (void)v;
    gr_array *x = gr_array_from(GR_F64, GR_SHAPE(2), (const double[]){0.3, -0.7});
    bool good = x && gr_gradcheck_fn(function, .n_in = 1, .in = {x}, .second = true) == GR_OK;
    gr_array_free(x);
    return good;
}

/* ---- every point ------------------------------------------------------------------------------------------------- */

static void every_point(const char *why, bool (*work)(gr_variable *))
{
    static const gr_allocator injector = {inject_alloc, inject_resize, inject_release, NULL};
    gr_variable *v = gr_variable_new("w", GR_F64, GR_RANK0, true);
    gr_variable_set_scalar(v, 2);
    gr_set_allocator(&injector);
    fail_at = seen = 0;
    GR_EXPECT(work(v), "%s: %s", why, gr_error_message());
    const int64_t points = seen;
    int64_t before = live;
    for (int mode = 0; mode < 2; mode++) {
        for_ever = mode;
        for (int64_t k = 1; k <= points; k += k < 400 ? 1 : 37) {
            gr_error_clear();
            seen = fired = 0;
            fail_at = k;
            bool good = work(v);
            fail_at = 0;
            if (!GR_EXPECT(fired > 0, "%s: point %d did not fire", why, (int)k) ||
                !GR_EXPECT(live == before, "%s: point %d leaks %d blocks", why, (int)k, (int)(live - before)) ||
                !GR_EXPECT(good || gr_error() == GR_EMEM, "%s: point %d: %s", why, (int)k, gr_error_message()))
                break;
        }
    }
    gr_error_clear();
    GR_EXPECT(work(v), "%s, after all failures: %s", why, gr_error_message());
    gr_set_allocator(NULL);
    gr_variable_free(v);
}

static void recording_and_gradients_survive(void)
{
    every_point("gradients", records_and_differentiates);
}
static void text_survives(void)
{
    every_point("text", writes_and_reads_text);
}
static void pictures_survive(void)
{
    every_point("pictures", draws);
}
static void gradient_checks_survive(void)
{
    every_point("checks", checks_gradients);
}

GR_SUITE("autograd without memory", GR_TEST(recording_and_gradients_survive), GR_TEST(text_survives),
    GR_TEST(pictures_survive), GR_TEST(gradient_checks_survive))
