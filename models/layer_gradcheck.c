/* models/layer_gradcheck.c: see layer_gradcheck.h. */
#include "models/layer_gradcheck.h"
#include "autograd/gradcheck.h"
#include "core/random.h"
#include "models/build_impl.h"
#include <string.h>

typedef struct {
    const gr_layer *layer;
    gr__store store;
    bool training;
} subject;

/* The layer on a tape; the first time this also makes its weights. */
static gr_status build(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    subject *s = ctx;
    gr_build b;
    gr__build_begin(&b, t, &s->store, s->training);
    gr_status status = gr__build_call(&b, s->layer, n_in, in, n_out, out);
    gr__build_end(&b);
    return status;
}

/* -1 .. 1 */
static gr_array *random_input(gr_shape shape, uint64_t seed, uint64_t use)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = a ? gr_array_data(a) : NULL;
    if (a)
        gr__random_uniform_f64(seed, use, 0, 0, gr_array_size(a), x);
    for (int64_t i = 0; a && i < gr_array_size(a); i++)
        x[i] = 2 * x[i] - 1;
    return a;
}

/* Makes the weights, then moves each a little: at zeros and ones a wrong gradient may look right. */
static gr_status make_weights(subject *s, int n_in, gr_array *const *x, int n_out, uint64_t seed)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *in[8], *out[8];
    if (!t)
        return GR_EMEM;
    for (int i = 0; i < n_in; i++)
        in[i] = gr_constant(t, x[i]);
    gr_status status = build(s, t, n_in, in, n_out, out);
    gr_tape_free(t);
    for (int i = 0; i < s->store.n && status == GR_OK; i++) {
        gr_array *value = gr_variable_get(s->store.variable[i]);
        gr_array *move = value ? random_input(gr_array_shape(value), seed, 100 + (uint64_t)i) : NULL;
        double *v = move ? gr_array_data(value) : NULL, *d = move ? gr_array_data(move) : NULL;
        for (int64_t k = 0; move && k < gr_array_size(value); k++)
            v[k] += 0.1 * d[k];
        status = move ? gr_variable_set(s->store.variable[i], value) : GR_EMEM;
        gr_array_free(value);
        gr_array_free(move);
    }
    return status;
}

gr_status gr_gradcheck_at(gr_at at, const gr_layer_gradcheck_opts *o)
{
    if (!o->layer || !o->layer->kind)
        return gr_fail(GR_EARG, at, "gradcheck: argument layer: expected a layer, found NULL");
    gr_gradcheck_opts c = {
        .fn = build, .name = o->layer->kind->name, .second = o->second, .seed = o->seed, .allow_zero = true};
    subject s = {.store = {.dtype = GR_F64, .seed = o->seed}, .training = !o->inference};
    gr_layer *layer = gr_spec_copy(o->layer);
    gr_variable *trained[64];
    gr_status status = layer ? GR_OK : gr_error();
    s.layer = layer;
    c.ctx = &s;
    c.n_out = layer && layer->kind->n_out > 0 ? layer->kind->n_out : 1;
    for (int i = 0; status == GR_OK && i < 8 && (i == 0 || o->more[i - 1].rank); i++, c.n_in++)
        if (!(c.in[i] = random_input(i ? o->more[i - 1] : o->shape, o->seed, (uint64_t)i)))
            status = gr_error();
    if (status == GR_OK)
        status = make_weights(&s, c.n_in, c.in, c.n_out, o->seed);
    for (int i = 0; i < s.store.n && c.n_variables < 64; i++)
        if (gr_variable_trainable(s.store.variable[i]))
            trained[c.n_variables++] = s.store.variable[i];
    c.variables = trained;
    if (status == GR_OK)
        status = gr_gradcheck_fn_at(at, &c);
    for (int i = 0; i < c.n_in; i++)
        gr_array_free(c.in[i]);
    gr__store_free(&s.store);
    gr_spec_free(layer);
    return status;
}
