/* autograd/gradcheck_op.c: gradient checks of ops on the samples their descriptors bring. See gradcheck.h. */
#include "autograd/gradcheck_impl.h"
#include "core/mem.h"
#include <math.h>
#include <string.h>

int gr__sample_count(const gr_op *op, const gr_sample *s)
{
    int n = op->n_in;
    if (n < 0)
        for (n = GR_SAMPLE_INPUTS; n > 1 && s->shape[n - 1].rank == 0 && s->dtype[n - 1] == GR_DTYPE_NONE; n--)
            ;
    return n < GR_SAMPLE_INPUTS ? n : GR_SAMPLE_INPUTS;
}

static void store(gr_array *a, int64_t i, double x)
{
    void *data = gr_array_data(a);
    switch (gr_array_dtype(a)) {
    case GR_F32:
        ((float *)data)[i] = (float)x;
        break;
    case GR_F64:
        ((double *)data)[i] = x;
        break;
    case GR_I32:
        ((int32_t *)data)[i] = (int32_t)x;
        break;
    case GR_I64:
        ((int64_t *)data)[i] = (int64_t)x;
        break;
    default:
        ((uint8_t *)data)[i] = (uint8_t)x;
    }
}

/* Uniform in lo .. hi; integers inclusive, bools 0 or 1. */
static double draw(const gr_sample *s, gr_dtype t, uint64_t *random)
{
    double u = gr__check_uniform(random);
    if (t == GR_BOOL)
        return u < 0.5 ? 0 : 1;
    if (gr_dtype_is_float(t))
        return s->lo + u * (s->hi - s->lo);
    return floor(s->lo + u * (floor(s->hi) - s->lo + 1));
}

/* Distinct values: one from the middle of each of `total` equal parts of lo .. hi, in random order. */
static bool shuffled_parts(const gr_sample *s, int64_t total, uint64_t *random, double **out)
{
    double *x = gr__alloc(total, sizeof *x);
    if (!x)
        return false;
    for (int64_t i = 0; i < total; i++)
        x[i] = s->lo + (s->hi - s->lo) * ((double)i + 0.4 + 0.2 * gr__check_uniform(random)) / (double)total;
    for (int64_t i = total - 1; i > 0; i--) {
        int64_t j = (int64_t)(gr__check_bits(random) % (uint64_t)(i + 1));
        double swap = x[i];
        x[i] = x[j];
        x[j] = swap;
    }
    *out = x;
    return true;
}

gr_status gr__sample_draw(const gr_op *op, const gr_sample *s, gr_dtype real, uint64_t seed, gr_array **in)
{
    int n = gr__sample_count(op, s);
    int64_t total = 0, taken = 0;
    double *parts = NULL;
    uint64_t random = seed ^ UINT64_C(0x51ED270B);
    bool good = true;
    for (int i = 0; i < n; i++) {
        in[i] = gr_array_new(s->dtype[i] ? s->dtype[i] : real, s->shape[i]);
        good = good && in[i];
        total += good && gr_dtype_is_float(gr_array_dtype(in[i])) ? gr_array_size(in[i]) : 0;
    }
    good = good && (!s->distinct || shuffled_parts(s, total, &random, &parts));
    for (int i = 0; good && i < n; i++)
        for (int64_t k = 0, size = gr_array_size(in[i]); k < size; k++) {
            gr_dtype t = gr_array_dtype(in[i]);
            store(in[i], k, s->distinct && gr_dtype_is_float(t) ? parts[taken++] : draw(s, t, &random));
        }
    gr__free(parts);
    for (int i = 0; !good && i < n; i++) {
        gr_array_free(in[i]);
        in[i] = NULL;
    }
    return good ? GR_OK : GR_EMEM;
}

typedef struct {
    const gr_op *op;
    const gr_sample *sample;
} subject;

static gr_status build(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    subject *s = ctx;
    (void)t;
    gr_tensor *y = gr_apply_op(s->op, s->sample->attr, n_in, in);
    for (int i = 0; i < n_out; i++)
        out[i] = gr_result(y, i);
    return gr_status_of(y);
}

/* Does the sample's graph stay in float64? (A cast to float32 does not.) */
static gr_status stays_double(const subject *s, int n, gr_array *const *in, bool *stays)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x[GR_SAMPLE_INPUTS];
    if (!t)
        return GR_EMEM;
    for (int i = 0; i < n; i++)
        x[i] = gr_input(t, gr_array_dtype(in[i]), gr_array_shape(in[i]), "x");
    gr_tensor *y = gr_apply_op(s->op, s->sample->attr, n, x);
    gr_status status = gr_status_of(y);
    *stays = true;
    for (int i = 0; i < n && status == GR_OK; i++)
        *stays = *stays && gr_array_dtype(in[i]) != GR_F32;
    for (int i = 0; i < gr_result_count(y); i++)
        *stays = *stays && gr_dtype_of(gr_result(y, i)) != GR_F32;
    gr_tape_free(t);
    return status;
}

static gr_status check(subject *s, int n, gr_array **in, uint64_t seed, double *norm)
{
    bool stays = false;
    char names[GR_SAMPLE_INPUTS][16];
    gr_gradcheck_opts o = {.fn = build,
        .ctx = s,
        .name = s->op->name,
        .n_in = n,
        .n_out = (s->op->n_out ? s->op->n_out : 1) - s->op->n_kept,
        .second = !s->sample->no_second,
        .allow_zero = true,
        .seed = seed};
    GR_TRY(stays_double(s, n, in, &stays));
    if (!stays)
        return GR_OK;
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], s->op->n_in == -1 ? "[%d]" : "%c", s->op->n_in == -1 ? i : 'a' + i);
        o.in_names[i] = s->op->in_names && s->op->n_in >= 0 ? s->op->in_names[i] : names[i];
        o.in[i] = in[i];
    }
    return gr__gradcheck_norm((gr_at){0}, &o, norm);
}

gr_status gr__gradcheck_op(const gr_op *op, const gr_sample *s, uint64_t seed, double *norm)
{
    gr_array *in[GR_SAMPLE_INPUTS] = {NULL};
    subject what = {.op = op, .sample = s};
    double found = 0;
    if (norm)
        *norm = 0;
    if (op->traits & (GR_NO_GRADIENT | GR_FIRST_ORDER) || op->n_in == 0)
        return GR_OK;
    gr_status status = gr__sample_draw(op, s, GR_F64, seed, in);
    int n = gr__sample_count(op, s);
    if (status == GR_OK)
        status = check(&what, n, in, seed, &found);
    for (int i = 0; i < n; i++)
        gr_array_free(in[i]);
    if (norm)
        *norm = found;
    return status;
}

gr_status gr__gradcheck_op_samples(const gr_op *op)
{
    double most = 0, norm = 0;
    bool any = false;
    GR_CHECK(op->samples, GR_EGRAD, "%s: argument samples: expected sample inputs to check the gradient on, found none",
        op->name);
    for (const gr_sample *s = op->samples; s->lo <= s->hi; s++) {
        gr_status status = gr__gradcheck_op(op, s, (uint64_t)(s - op->samples) + 1, &norm);
        if (status != GR_OK) {
            gr_fail_note("    sample %d of %s", (int)(s - op->samples), op->name);
            return status;
        }
        most = norm > most ? norm : most;
        any = true;
    }
    GR_CHECK(
        any, GR_EGRAD, "%s: argument samples: expected sample inputs to check the gradient on, found none", op->name);
    GR_CHECK(most > 1e-3 || op->traits & GR_NO_GRADIENT || !op->vjp, GR_EGRAD,
        "%s: expected a gradient that is not zero on some sample, found zero on all", op->name);
    return GR_OK;
}
