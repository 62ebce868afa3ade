/* models/model.c: making models, their weights, compiling. See model.h; step.c compiles the steps, fit.c runs them. */
#include "core/mem.h"
#include "models/model_impl.h"
#include <limits.h>
#include <string.h>

/* ---- sequential: a model function that applies layers one after the other ---------------------------------------- */

typedef struct {
    gr_layer base;
    int n;
    gr_layer **layer;
} sequential_spec;

static gr_tensor *sequential_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const sequential_spec *s = spec;
    for (int i = 0; i < s->n; i++)
        x = gr_apply_at(s->layer[i]->at, b, s->layer[i], x);
    return x;
}

static const gr_layer_kind sequential_kind = {
    .name = "Sequential", .size = sizeof(sequential_spec), .family = "layer", .call = sequential_call};

static void sequential_free(sequential_spec *s)
{
    for (int i = 0; s && i < s->n; i++)
        gr_spec_free(s->layer[i]);
    if (s)
        gr__free(s->layer);
    gr__free(s);
}

static sequential_spec *sequential_copy(const gr_layer *const *layers, gr_at at)
{
    int n = 0;
    while (layers[n])
        n++;
    sequential_spec *s = gr__alloc(1, sizeof *s);
    gr_layer **copy = s ? gr__alloc(n, sizeof *copy) : NULL;
    if (!copy) {
        gr__free(s);
        return NULL;
    }
    *s = (sequential_spec){.base = {&sequential_kind, at}, .layer = copy};
    for (; s->n < n; s->n++)
        if (!(copy[s->n] = gr_spec_copy(layers[s->n]))) {
            sequential_free(s);
            return NULL;
        }
    return s;
}

int gr__sequential_count(const gr_layer *sequential)
{
    return ((const sequential_spec *)sequential)->n;
}
const gr_layer *gr__sequential_layer(const gr_layer *sequential, int i)
{
    return ((const sequential_spec *)sequential)->layer[i];
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void uncompile(gr_model *m)
{
    gr__steps_free(m);
    gr__optim_free(m->optim);
    gr_spec_free(m->loss);
    gr_variable_free(m->loss_sum);
    gr_variable_free(m->loss_count);
    for (int i = 0; i < m->n_metrics; i++) {
        gr_spec_free(m->metric[i]);
        gr__free(m->metric_name[i]);
        gr_variable_free(m->metric_sum[i]);
        gr_variable_free(m->metric_count[i]);
    }
    m->optim = NULL;
    m->loss = NULL;
    m->loss_sum = m->loss_count = NULL;
    m->n_metrics = 0;
}

void gr_model_free(gr_model *m)
{
    if (!m)
        return;
    uncompile(m);
    for (int i = 0; i < m->n_inputs; i++)
        gr_spec_free(m->input[i]);
    if (m->sequential)
        sequential_free((sequential_spec *)m->layer);
    else
        gr_spec_free(m->layer);
    for (int i = 0; i < m->n_layers; i++) {
        gr__free(m->layers[i].name);
        gr__free(m->layers[i].kind);
    }
    gr__free(m->layers);
    gr__store_free(&m->store);
    gr__free(m->name);
    gr__free(m);
}

/* Keeps what summaries need of a trace. */
static gr_status keep_layers(gr_model *m, const gr_build *b, gr_tensor *const *in)
{
    if (!b->n_applied)
        return GR_OK;
    m->layers = gr__alloc(b->n_applied, sizeof *m->layers);
    if (!m->layers)
        return GR_EMEM;
    for (int i = 0; i < b->n_applied; i++) {
        const gr__applied *a = &b->applied[i];
        gr__layer_info *l = &m->layers[m->n_layers++];
        *l = (gr__layer_info){.name = gr__strdup(a->name),
            .kind = gr__strdup(a->kind),
            .output = a->output,
            .dtype = a->dtype,
            .n_from = a->n_in};
        if (!l->name || !l->kind)
            return GR_EMEM;
        size_t n = strlen(a->name);
        bool again = false; /* a shared layer's weights count once */
        for (int k = 0; k < i; k++)
            again = again || strcmp(m->layers[k].name, a->name) == 0;
        for (int v = 0; v < m->store.n && !again; v++) {
            const char *path = gr_variable_path(m->store.variable[v]);
            if (strncmp(path, a->name, n) == 0 && path[n] == '/')
                l->params += gr_shape_size(gr_variable_shape(m->store.variable[v]));
        }
        for (int k = 0; k < a->n_in; k++) {
            l->from[k] = INT_MIN;
            for (int j = 0; j < m->n_inputs; j++)
                if (a->in[k] == in[j])
                    l->from[k] = -1 - j;
            for (int j = 0; j < i; j++)
                if (a->in[k] == b->applied[j].out)
                    l->from[k] = j;
        }
    }
    return GR_OK;
}

void gr__model_inputs(const gr_model *m, gr_tape *t, gr_tensor **in)
{
    for (int i = 0; i < m->n_inputs; i++) {
        gr_shape s = {.rank = m->input[i]->shape.rank + 1, .dim = {GR_BATCH}};
        memcpy(s.dim + 1, m->input[i]->shape.dim, sizeof(int64_t) * (GR_MAX_RANK - 1));
        in[i] = gr_input_at(
            m->input[i]->base.at, t, m->input[i]->dtype, s, m->input[i]->name ? m->input[i]->name : "input");
    }
}

/* The first trace: makes the weights, learns the outputs' shapes, finds the mistakes. */
static gr_status first_trace(gr_model *m)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *in[GR_MAX_PORTS], *out[GR_MAX_PORTS];
    gr_build b;
    if (!t)
        return GR_EMEM;
    gr__model_inputs(m, t, in);
    gr__build_begin(&b, t, &m->store, false);
    m->n_outputs = m->layer->kind->n_out ? m->layer->kind->n_out : 1;
    gr_status s = gr__build_call(&b, m->layer, m->n_inputs, in, m->n_outputs, out);
    for (int i = 0; i < m->n_outputs && s == GR_OK; i++) {
        m->output_shape[i] = gr_shape_of(out[i]);
        m->output_dtype[i] = gr_dtype_of(out[i]);
    }
    if (s == GR_OK)
        s = keep_layers(m, &b, in);
    gr__build_end(&b);
    gr_tape_free(t);
    return s;
}

/* Takes the model function (freed with the model, or here on failure). */
static gr_model *make(gr_at at, gr_layer *layer, bool sequential, const gr_layer *const *inputs, const char *name)
{
    gr_model *m = gr__alloc(1, sizeof *m);
    if (!m) {
        if (sequential)
            sequential_free((sequential_spec *)layer);
        else
            gr_spec_free(layer);
        return NULL;
    }
    m->at = at;
    m->layer = layer;
    m->sequential = sequential;
    m->store = (gr__store){.dtype = GR_F32, .seed = gr_seed()};
    gr_status s = (m->name = gr__strdup(name)) ? GR_OK : GR_EMEM;
    for (int i = 0; s == GR_OK && inputs[i]; i++) {
        if (i == GR_MAX_PORTS || inputs[i]->kind != &gr_Input_kind)
            s = gr_fail(GR_EARG, at, "%s: argument inputs: expected at most %d gr_Input layers, found %s at %d", name,
                GR_MAX_PORTS, inputs[i]->kind->name, i);
        else if ((m->input[i] = gr_spec_copy(inputs[i])))
            m->n_inputs++;
        else
            s = GR_EMEM;
        if (s == GR_OK && m->input[i]->shape.rank >= GR_MAX_RANK)
            s = gr_fail(GR_ESHAPE, at, "Input: argument shape: expected rank < %d, found %lld", GR_MAX_RANK,
                (long long)m->input[i]->shape.rank);
    }
    if (s == GR_OK && m->n_inputs == 0)
        s = gr_fail(GR_EARG, at, "%s: argument inputs: expected at least one gr_Input, found none", name);
    if (s == GR_OK)
        s = first_trace(m);
    if (s == GR_OK)
        return m;
    gr_model_free(m);
    return NULL;
}

gr_model *gr_sequential_at(gr_at at, const gr_layer *const *layers)
{
    if (!layers[0] || layers[0]->kind != &gr_Input_kind) {
        gr_fail(GR_EARG, at, "sequential: argument layers: expected gr_Input first, found %s",
            layers[0] ? layers[0]->kind->name : "no layer");
        return NULL;
    }
    const gr_layer *const inputs[] = {layers[0], NULL};
    sequential_spec *s = sequential_copy(layers + 1, at);
    return s ? make(at, &s->base, true, inputs, "sequential") : NULL;
}

gr_model *gr_model_new_at(gr_at at, const gr_model_opts *o)
{
    if (!o->layer) {
        gr_fail(GR_EARG, at, "model: argument layer: expected a model function's spec, found NULL");
        return NULL;
    }
    gr_layer *copy = gr_spec_copy(o->layer);
    return copy ? make(at, copy, false, o->inputs, o->name ? o->name : "model") : NULL;
}

const char *gr_model_name(const gr_model *m)
{
    return m->name;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

int gr_model_weight_count(const gr_model *m)
{
    return m->store.n;
}

gr_variable *gr_model_weight_at(const gr_model *m, int i)
{
    return i >= 0 && i < m->store.n ? m->store.variable[i] : NULL;
}

gr_variable *gr_model_weight(const gr_model *m, const char *path)
{
    gr_variable *v = path ? gr__store_find(&m->store, path) : NULL;
    char known[1500] = "";
    for (int i = 0; i < m->store.n && !v; i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", gr_variable_path(m->store.variable[i]));
    }
    if (!v)
        gr_fail(GR_ENAME, (gr_at){0}, "model_weight: argument path: expected one of %s, found '%s'", known,
            path ? path : "NULL");
    return v;
}

gr_status gr_model_set_weights(gr_model *m, int n, const gr_array *const *values)
{
    char want[200], got[200];
    GR_CHECK(n == m->store.n, GR_EARG, "set_weights: argument values: expected %d arrays, found %d", m->store.n, n);
    for (int i = 0; i < n; i++) {
        const gr_variable *v = m->store.variable[i];
        GR_CHECK(values[i] && gr_shape_equal(gr_array_shape(values[i]), gr_variable_shape(v)), GR_ESHAPE,
            "set_weights: argument values[%d]: expected %s for %s, found %s", i,
            gr_type_text(gr_variable_dtype(v), gr_variable_shape(v), want, sizeof want), gr_variable_path(v),
            values[i] ? gr_type_text(gr_array_dtype(values[i]), gr_array_shape(values[i]), got, sizeof got) : "NULL");
    }
    for (int i = 0; i < n; i++) {
        gr_array *a = gr_array_copy(values[i]);
        gr_status s = a ? gr_array_cast(a, gr_variable_dtype(m->store.variable[i])) : GR_EMEM;
        if (s == GR_OK)
            s = gr_variable_set(m->store.variable[i], a);
        gr_array_free(a);
        GR_TRY(s);
    }
    return GR_OK;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo), over the bytes of all weights in order. */
uint64_t gr_model_weights_hash(const gr_model *m)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < m->store.n; i++) {
        gr_array *a = gr_variable_get(m->store.variable[i]);
        const uint8_t *p = a ? gr_array_data(a) : NULL;
        for (int64_t k = 0, n = a ? gr_array_bytes(a) : 0; k < n; k++)
            h = (h ^ p[k]) * UINT64_C(0x100000001b3);
        gr_array_free(a);
    }
    return h;
}

int64_t gr_model_params(const gr_model *m, int64_t *trainable)
{
    int64_t all = 0, mine = 0;
    for (int i = 0; i < m->store.n; i++) {
        int64_t n = gr_shape_size(gr_variable_shape(m->store.variable[i]));
        all += n;
        mine += gr_variable_trainable(m->store.variable[i]) ? n : 0;
    }
    if (trainable)
        *trainable = mine;
    return all;
}

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static gr_status add_metric(gr_model *m, gr_spec *taken, const char *name)
{
    if (!taken)
        return gr_error();
    int i = m->n_metrics;
    char path[96];
    if (i == GR_MAX_METRICS) {
        gr_spec_free(taken);
        return gr_fail(GR_EARG, taken->at, "compile: argument metrics: expected at most %d", GR_MAX_METRICS);
    }
    m->metric[i] = taken;
    m->n_metrics++;
    m->metric_name[i] = gr__strdup(name);
    snprintf(path, sizeof path, "metrics/%s/total", name);
    m->metric_sum[i] = gr_variable_new(path, GR_F64, GR_RANK0, false);
    snprintf(path, sizeof path, "metrics/%s/count", name);
    m->metric_count[i] = gr_variable_new(path, GR_F64, GR_RANK0, false);
    if (!m->metric_name[i] || !m->metric_sum[i] || !m->metric_count[i])
        return GR_EMEM;
    for (int k = 0; k < i; k++)
        if (strcmp(m->metric_name[k], name) == 0)
            return gr_fail(
                GR_EARG, taken->at, "compile: argument metrics: expected different metrics, found '%s' twice", name);
    return GR_OK;
}

/* A metric may be named after a metric or a loss. */
static gr_spec *metric_named(const char *name, gr_at at)
{
    gr_spec *s = gr_spec_parse(name, gr__metrics, "metric", at);
    return s;
}

static gr_status add_metrics(gr_model *m, const gr_compile_opts *o, gr_at at)
{
    char snake[96];
    for (int i = 0; o->metrics[i] && i <= GR_MAX_METRICS; i++)
        GR_TRY(add_metric(m, metric_named(o->metrics[i], at), o->metrics[i]));
    for (int i = 0; o->metric_specs[i] && i <= GR_MAX_METRICS; i++)
        GR_TRY(add_metric(
            m, gr_spec_copy(o->metric_specs[i]), gr_snake_case(o->metric_specs[i]->kind->name, snake, sizeof snake)));
    return GR_OK;
}

/* The weights in another dtype; their values stay. */
static gr_status convert(gr_model *m, gr_dtype dtype)
{
    if (m->store.dtype == dtype)
        return GR_OK;
    gr__store other = {.dtype = dtype, .seed = m->store.seed};
    other.variable = gr__alloc(m->store.n, sizeof *other.variable);
    gr_status s = other.variable ? GR_OK : GR_EMEM;
    other.cap = m->store.n;
    for (int i = 0; i < m->store.n && s == GR_OK; i++) {
        const gr_variable *v = m->store.variable[i];
        gr_variable *w = gr_variable_new(gr_variable_path(v), dtype, gr_variable_shape(v), gr_variable_trainable(v));
        gr_array *a = w ? gr_variable_get(v) : NULL;
        if (w)
            other.variable[other.n++] = w;
        s = a ? gr_array_cast(a, dtype) : GR_EMEM;
        if (s == GR_OK)
            s = gr_variable_set(w, a);
        gr_array_free(a);
    }
    gr__store *drop = s == GR_OK ? &m->store : &other;
    gr__store keep = s == GR_OK ? other : m->store;
    gr__store_free(drop);
    m->store = keep;
    return s;
}

static gr_status compile(gr_model *m, const gr_compile_opts *o, gr_at at)
{
    gr_optimizer *named = NULL;
    const gr_optimizer *optimizer = o->optimizer;
    if (!optimizer)
        optimizer = named =
            gr_spec_parse(o->optimizer_name ? o->optimizer_name : "rmsprop", gr__optimizers, "optimizer", at);
    m->optim = optimizer ? gr__optim_new(optimizer) : NULL;
    gr_spec_free(named);
    if (!m->optim)
        return gr_error();
    if (o->loss && o->loss_spec)
        return gr_fail(GR_EARG, at, "compile: arguments loss, loss_spec: expected one of them, found both");
    if (!o->loss && !o->loss_spec)
        return gr_fail(GR_EARG, at, "compile: argument loss: expected a loss, found none");
    m->loss = o->loss_spec ? gr_spec_copy(o->loss_spec) : gr__loss_named(o->loss, at);
    m->loss_sum = gr_variable_new("metrics/loss/total", GR_F64, GR_RANK0, false);
    m->loss_count = gr_variable_new("metrics/loss/count", GR_F64, GR_RANK0, false);
    if (!m->loss || !m->loss_sum || !m->loss_count)
        return gr_error();
    GR_TRY(add_metrics(m, o, at));
    if (o->dtype != GR_DTYPE_NONE && !gr_dtype_is_float(o->dtype))
        return gr_fail(
            GR_EDTYPE, at, "compile: argument dtype: expected float32 or float64, found %s", gr_dtype_name(o->dtype));
    return convert(m, o->dtype ? o->dtype : GR_F32);
}

gr_status gr_compile_at(gr_at at, gr_model *m, const gr_compile_opts *o)
{
    if (!m)
        return gr_fail(GR_EARG, at, "compile: argument model: expected a model, found NULL");
    uncompile(m);
    gr_status s = compile(m, o, at);
    if (s != GR_OK)
        uncompile(m);
    return s;
}
