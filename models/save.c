/* models/save.c: see save.h. Layers, optimizer, loss and metrics are kept in their text form, "Dense(units=512)": what
 * gr_spec_text writes, gr_spec_parse reads. */
#include "models/save.h"
#include "core/mem.h"
#include "io/safetensors.h"
#include "models/model_impl.h"
#include <string.h>

#ifdef GRAPE_MINIMAL

gr_status gr_model_save(const gr_model *m, const char *file)
{
    (void)m;
    return gr_fail(GR_EMISSING, (gr_at){0}, "model_save: %s: this build of Grape has no jansson", file);
}
gr_model *gr_model_load(const char *file)
{
    gr_fail(GR_EMISSING, (gr_at){0}, "model_load: %s: this build of Grape has no jansson", file);
    return NULL;
}
gr_status gr_model_load_weights(gr_model *m, const char *file)
{
    (void)m;
    return gr_fail(GR_EMISSING, (gr_at){0}, "model_load_weights: %s: this build of Grape has no jansson", file);
}

#else
#include <jansson.h>
#include <stdlib.h>

enum { SPEC_BYTES = 4096, MAX_LAYERS = 1000 };

/* ---- saving ------------------------------------------------------------------------------------------------------ */

/* Appends a spec's text to a JSON list. */
static bool put_spec(json_t *list, const void *spec)
{
    char text[SPEC_BYTES];
    return json_array_append_new(list, json_string(gr_spec_text(spec, text, sizeof text))) == 0;
}

static char *model_json(const gr_model *m)
{
    json_t *root = json_object(), *inputs = json_array(), *layers = json_array();
    bool good = root && inputs && layers && json_object_set_new(root, "name", json_string(m->name)) == 0 &&
                json_object_set_new(root, "kind", json_string(m->layer->kind->name)) == 0;
    for (int i = 0; good && i < m->n_inputs; i++)
        good = put_spec(inputs, m->input[i]);
    int n = m->sequential ? gr__sequential_count(m->layer) : 1;
    for (int i = 0; good && i < n; i++)
        good = put_spec(layers, m->sequential ? gr__sequential_layer(m->layer, i) : m->layer);
    good = good && json_object_set(root, "inputs", inputs) == 0 && json_object_set(root, "layers", layers) == 0;
    char *text = good ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    json_decref(inputs);
    json_decref(layers);
    return text;
}

/* NULL where there is nothing to keep: not compiled, or with clipping hooks that no text can bring back. */
static char *compile_json(const gr_model *m)
{
    if (!m->optim || gr__optim_extra_clips(m->optim) > 0)
        return NULL;
    char optimizer[SPEC_BYTES], loss[SPEC_BYTES];
    json_t *metrics = json_array(), *names = json_array(), *state = json_array();
    for (int i = 0; i < m->n_metrics; i++) {
        put_spec(metrics, m->metric[i]);
        json_array_append_new(names, json_string(m->metric_name[i]));
    }
    for (int i = 0; i < gr__optim_count(m->optim); i++)
        json_array_append_new(state, json_string(gr_variable_path(gr__optim_at(m->optim, i))));
    json_t *root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "optimizer",
        gr_spec_text(gr__optim_spec(m->optim), optimizer, sizeof optimizer), "loss",
        gr_spec_text(m->loss, loss, sizeof loss), "metrics", metrics, "metric_names", names, "state", state, "dtype",
        gr_dtype_name(m->store.dtype));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* Names and copies of all variables: weights by path, the optimizer's after "optimizer/". */
typedef struct {
    int n;
    gr_named_array *entry;
    gr_array **value;
    char (*name)[512];
} contents;

static void contents_free(contents *c)
{
    for (int i = 0; i < c->n; i++)
        gr_array_free(c->value[i]);
    gr__free(c->entry);
    gr__free(c->value);
    gr__free(c->name);
}

static gr_status collect(const gr_model *m, contents *c)
{
    int weights = m->store.n, all = weights + (m->optim ? gr__optim_count(m->optim) : 0);
    c->entry = gr__alloc(all, sizeof *c->entry);
    c->value = gr__alloc(all, sizeof *c->value);
    c->name = gr__alloc(all, sizeof *c->name);
    if (!c->entry || !c->value || !c->name)
        return GR_EMEM;
    for (int i = 0; i < all; i++) {
        const gr_variable *v = i < weights ? m->store.variable[i] : gr__optim_at(m->optim, i - weights);
        if (!(c->value[i] = gr_variable_get(v)))
            return GR_EMEM;
        c->n++;
        snprintf(c->name[i], sizeof *c->name, "%s%s", i < weights ? "" : "optimizer/", gr_variable_path(v));
        c->entry[i] = (gr_named_array){c->name[i], c->value[i]};
    }
    return GR_OK;
}

gr_status gr_model_save(const gr_model *m, const char *file)
{
    GR_CHECK(m && file, GR_EARG, "model_save: expected a model and a file name, found NULL");
    contents c = {0};
    char *model = model_json(m), *compiled = compile_json(m);
    gr_named_text meta[] = {{"format", "grape"}, {"grape.model", model}, {"grape.compile", compiled}};
    gr_status s = model ? collect(m, &c) : gr_fail(GR_EMEM, (gr_at){0}, "model_save: out of memory");
    if (s == GR_OK)
        s = gr_safetensors_save(file, c.n, c.entry, compiled ? 3 : 2, meta);
    contents_free(&c);
    free(model);
    free(compiled);
    return s;
}

/* ---- loading weights --------------------------------------------------------------------------------------------- */

/* Every weight must be in the file with its type, and everything in the file be a weight or the optimizer's. */
static gr_status compare(const gr_model *m, const gr_safetensors *t, const char *file)
{
    char text[1500] = "", want[200], got[200];
    for (int i = 0; i < m->store.n; i++) {
        const gr_variable *v = m->store.variable[i];
        int64_t k = gr_safetensors_find(t, gr_variable_path(v));
        const gr_array *a = k < 0 ? NULL : gr_safetensors_at(t, k);
        size_t n = strlen(text);
        if (!a)
            snprintf(text + n, sizeof text - n, "\n    missing %s", gr_variable_path(v));
        else if (!gr_shape_equal(gr_array_shape(a), gr_variable_shape(v)))
            snprintf(text + n, sizeof text - n, "\n    %s: expected %s, found %s", gr_variable_path(v),
                gr_shape_text(gr_variable_shape(v), want, sizeof want),
                gr_shape_text(gr_array_shape(a), got, sizeof got));
    }
    for (int64_t k = 0; k < gr_safetensors_count(t); k++) {
        const char *name = gr_safetensors_name(t, k);
        size_t n = strlen(text);
        if (strncmp(name, "optimizer/", 10) != 0 && !gr__store_find(&m->store, name))
            snprintf(text + n, sizeof text - n, "\n    left over %.100s", name);
    }
    return text[0]
               ? gr_fail(GR_EFORMAT, (gr_at){0}, "model_load_weights: %s: the file is of another model:%s", file, text)
               : GR_OK;
}

static gr_status set_variable(gr_variable *v, const gr_array *a)
{
    gr_array *copy = gr_array_copy(a);
    gr_status s = copy ? gr_array_cast(copy, gr_variable_dtype(v)) : GR_EMEM;
    if (s == GR_OK)
        s = gr_variable_set(v, copy);
    gr_array_free(copy);
    return s;
}

static gr_status take_weights(gr_model *m, const gr_safetensors *t, const char *file)
{
    GR_TRY(compare(m, t, file));
    for (int i = 0; i < m->store.n; i++)
        GR_TRY(set_variable(m->store.variable[i], gr_safetensors_get(t, gr_variable_path(m->store.variable[i]))));
    return GR_OK;
}

gr_status gr_model_load_weights(gr_model *m, const char *file)
{
    GR_CHECK(m && file, GR_EARG, "model_load_weights: expected a model and a file name, found NULL");
    gr_safetensors *t = gr_safetensors_load(file);
    gr_status s = t ? take_weights(m, t, file) : gr_error();
    gr_safetensors_free(t);
    return s;
}

/* ---- loading models ---------------------------------------------------------------------------------------------- */

static json_t *metadata(const gr_safetensors *t, const char *key, const char *file)
{
    json_error_t e;
    const char *text = gr_safetensors_meta(t, key);
    json_t *j = text ? json_loads(text, JSON_REJECT_DUPLICATES, &e) : NULL;
    if (!text)
        gr_fail(GR_EFORMAT, (gr_at){0}, "model_load: %s: expected the metadata %s, found none", file, key);
    else if (!j)
        gr_fail(GR_EFORMAT, (gr_at){0}, "model_load: %s: %s is not JSON: %s", file, key, e.text);
    return j;
}

/* Specs of a list of texts; returns their number, -1 on failure. The list ends in NULL. */
static int parse_layers(const json_t *list, const gr_layer **out, int most)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (n == most || !text) {
            gr_fail(GR_EFORMAT, (gr_at){0}, "model_load: expected at most %d layers as texts", most);
            return -1;
        }
        if (!(out[n] = gr_spec_parse(text, gr__layers, "layer", (gr_at){0})))
            return -1;
        out[++n] = NULL;
    }
    return n;
}

static gr_model *make_model(const json_t *config, const char *file)
{
    const gr_layer **specs = gr__alloc(MAX_LAYERS + GR_MAX_PORTS + 2, sizeof *specs);
    const char *kind = json_string_value(json_object_get(config, "kind"));
    const char *name = json_string_value(json_object_get(config, "name"));
    gr_model *m = NULL;
    int n_in = specs ? parse_layers(json_object_get(config, "inputs"), specs, GR_MAX_PORTS) : -1;
    int n = n_in < 1 ? -1 : parse_layers(json_object_get(config, "layers"), specs + n_in, MAX_LAYERS);
    if (n >= 0 && kind && strcmp(kind, "Sequential") == 0 && n_in == 1) {
        m = gr_sequential_at((gr_at){0}, specs);
    } else if (n == 1) {
        gr_model_opts o = {.layer = specs[n_in], .name = name};
        memcpy(o.inputs, specs, sizeof *specs * (size_t)n_in);
        m = gr_model_new_at((gr_at){0}, &o);
    } else {
        gr_fail(GR_EFORMAT, (gr_at){0}, "model_load: %s: expected inputs and layers that make a model", file);
    }
    for (int i = 0; specs && specs[i]; i++)
        gr_spec_free((void *)specs[i]);
    gr__free(specs);
    return m;
}

/* Metrics that have options come back as specs, the others by the names they had. */
static gr_status recompile(gr_model *m, const json_t *config, const gr_safetensors *t)
{
    gr_compile_opts o = {.optimizer_name = json_string_value(json_object_get(config, "optimizer")),
        .loss = json_string_value(json_object_get(config, "loss")),
        .dtype = gr_dtype_named(json_string_value(json_object_get(config, "dtype")))};
    const json_t *names = json_object_get(config, "metric_names"), *specs = json_object_get(config, "metrics"),
                 *state = json_object_get(config, "state");
    for (size_t i = 0; i < json_array_size(names) && i < GR_MAX_METRICS; i++) {
        const char *text = json_string_value(json_array_get(specs, i)),
                   *name = json_string_value(json_array_get(names, i));
        o.metrics[i] = text && strchr(text, '(') ? text : name;
    }
    GR_TRY(gr_compile_at((gr_at){0}, m, &o));
    for (size_t i = 0; i < json_array_size(state); i++) {
        char name[512];
        const char *path = json_string_value(json_array_get(state, i));
        snprintf(name, sizeof name, "optimizer/%s", path ? path : "");
        const gr_array *a = gr_safetensors_get(t, name);
        if (!a || !path)
            return gr_error();
        GR_TRY(gr__optim_restore(m->optim, path, a));
    }
    return GR_OK;
}

static gr_model *load(const gr_safetensors *t, const char *file)
{
    json_t *config = metadata(t, "grape.model", file), *compiled = NULL;
    gr_model *m = config ? make_model(config, file) : NULL;
    gr_status s = m ? take_weights(m, t, file) : gr_error();
    if (s == GR_OK && gr_safetensors_meta(t, "grape.compile")) {
        compiled = metadata(t, "grape.compile", file);
        s = compiled ? recompile(m, compiled, t) : gr_error();
    }
    json_decref(config);
    json_decref(compiled);
    if (s == GR_OK)
        return m;
    gr_model_free(m);
    return NULL;
}

gr_model *gr_model_load(const char *file)
{
    if (!file) {
        gr_fail(GR_EARG, (gr_at){0}, "model_load: argument file: expected a name, found NULL");
        return NULL;
    }
    gr_safetensors *t = gr_safetensors_load(file);
    gr_model *m = t ? load(t, file) : NULL;
    gr_safetensors_free(t);
    return m;
}

#endif
