/* models/build.c: tracing a model function: layer names and scopes, weights found by path, logits remembered. See
 * layer.h. */
#include "core/mem.h"
#include "models/build_impl.h"
#include "models/initializer.h"
#include <string.h>

/* ---- the weights ------------------------------------------------------------------------------------------------- */

gr_variable *gr__store_find(const gr__store *s, const char *path)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(gr_variable_path(s->variable[i]), path) == 0)
            return s->variable[i];
    return NULL;
}

void gr__store_free(gr__store *s)
{
    for (int i = 0; i < s->n; i++)
        gr_variable_free(s->variable[i]);
    gr__free(s->variable);
    *s = (gr__store){0};
}

static gr_variable *store_add(gr__store *s, const char *path, const gr_weight_opts *o, gr_at at)
{
    if (s->n == s->cap) {
        int cap = s->cap ? s->cap * 2 : 16;
        gr_variable **more = gr__resize(s->variable, cap, sizeof *more);
        if (!more)
            return NULL;
        s->variable = more;
        s->cap = cap;
    }
    gr_variable *v = gr_variable_new(path, s->dtype, o->shape, !o->not_trainable);
    if (v && gr__initialize(v, o->init, o->init_spec, s->seed, at) != GR_OK) {
        gr_variable_free(v);
        v = NULL;
    }
    if (v)
        s->variable[s->n++] = v;
    return v;
}

static void layer_path(const gr_layer_ref *l, char *buf, size_t size)
{
    if (!l) {
        buf[0] = '\0';
        return;
    }
    layer_path(l->parent, buf, size);
    size_t n = strlen(buf);
    snprintf(buf + n, size - n, "%s/", l->name);
}

gr_tensor *gr__note_layers(const gr_build *b)
{
    for (const gr_layer_ref *l = b->layer; l; l = l->parent) {
        const char *slash = l->spec->at.file ? strrchr(l->spec->at.file, '/') : NULL;
        if (l->spec->at.file)
            gr_fail_note("    in   %s, %s:%d", l->name, slash ? slash + 1 : l->spec->at.file, l->spec->at.line);
    }
    return GR_BAD;
}

gr_tensor *gr_weight_at(gr_at at, gr_build *b, const gr_weight_opts *o)
{
    char path[512], text[200], found[200];
    if (!o->name || !o->name[0]) {
        gr_fail(GR_EARG, at, "weight: argument name: expected a name, found none");
        return gr__note_layers(b);
    }
    layer_path(b->layer, path, sizeof path);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "%s", o->name);
    gr_variable *v = gr__store_find(b->store, path);
    if (gr_shape_size(o->shape) < 0)
        gr_fail(GR_ESHAPE, at,
            "weight: argument shape: expected plain sizes (a weight cannot depend on the batch size), "
            "found %s for %s",
            gr_shape_text(o->shape, text, sizeof text), path);
    else if (v && !gr_shape_equal(gr_variable_shape(v), o->shape))
        gr_fail(GR_ESHAPE, at, "weight: argument shape: expected %s, the shape that %s has already, found %s",
            gr_shape_text(gr_variable_shape(v), text, sizeof text), path, gr_shape_text(o->shape, found, sizeof found));
    else if (v || (v = store_add(b->store, path, o, at)))
        return gr_read_at(at, b->tape, v);
    return gr__note_layers(b);
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* The option called "name" of a layer's spec, if its kind has one and it is set. */
static const char *given_name(const gr_layer *spec)
{
    const gr_field *f = gr_field_find(spec->kind->fields, "name");
    if (!f || f->type != GR_FIELD_STRING)
        return NULL;
    const char *name;
    memcpy(&name, (const char *)spec + f->offset, sizeof name);
    return name && name[0] ? name : NULL;
}

/* The k-th layer of one class in one layer is called "dense", "dense_1", ... */
static const char *numbered_name(gr_build *b, const char *class_name)
{
    char snake[128], text[160];
    gr_snake_case(class_name, snake, sizeof snake);
    gr__name *n = b->names;
    while (n && (n->parent != b->layer || strcmp(n->snake, snake) != 0))
        n = n->next;
    if (!n) {
        n = gr__arena_alloc(&b->arena, 1, sizeof *n);
        const char *own = gr__arena_strdup(&b->arena, snake);
        if (!n || !own)
            return NULL;
        *n = (gr__name){b->layer, own, 0, b->names};
        b->names = n;
    }
    if (n->count++ == 0)
        return n->snake;
    snprintf(text, sizeof text, "%s_%d", snake, n->count - 1);
    return gr__arena_strdup(&b->arena, text);
}

gr_layer_ref *gr_layer_make(gr_build *b, const gr_layer *layer)
{
    if (!layer) {
        gr_fail(GR_EARG, (gr_at){0}, "layer: expected a layer, found NULL");
        return NULL;
    }
    gr_layer_ref *ref = gr__arena_alloc(&b->arena, 1, sizeof *ref);
    gr_layer *copy = ref ? gr_spec_copy(layer) : NULL;
    if (!copy)
        return NULL;
    *ref = (gr_layer_ref){.spec = copy, .parent = b->layer, .next = b->refs};
    b->refs = ref; /* from here on freed with the trace */
    const char *given = given_name(copy);
    ref->name = given ? gr__arena_strdup(&b->arena, given) : numbered_name(b, copy->kind->name);
    for (const gr_layer_ref *other = ref->next; given && other; other = other->next)
        if (other->parent == ref->parent && strcmp(other->name, given) == 0) {
            gr_fail(GR_EARG, layer->at,
                "%s: argument name: expected a name of its own, found '%s' a second time; "
                "to share weights use gr_layer_make and gr_apply_ref",
                copy->kind->name, given);
            return NULL;
        }
    return ref->name ? ref : NULL;
}

static gr_status call(gr_build *b, const gr_layer *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const gr_layer_kind *k = spec->kind;
    for (int i = 0; i < n_in; i++)
        GR_TRY(gr_status_of(in[i]));
    for (int i = 0; i < n_out; i++)
        out[i] = GR_BAD;
    if (k->call) {
        if (n_in != 1 || n_out != 1)
            return gr_fail(GR_EARG, spec->at, "%s: argument inputs: expected one in and one out, found %d and %d",
                k->name, n_in, n_out);
        out[0] = k->call(b, spec, in[0]);
        if (!out[0])
            return gr_fail(GR_EARG, spec->at, "%s: result: expected a tensor, found NULL", k->name);
        return gr_status_of(out[0]);
    }
    if (!k->call_n)
        return gr_fail(GR_EARG, spec->at, "%s: kind: expected .call or .call_n", k->name);
    if (k->n_out >= 0 && n_out != (k->n_out ? k->n_out : 1))
        return gr_fail(
            GR_EARG, spec->at, "%s: argument outputs: expected %d, found %d", k->name, k->n_out ? k->n_out : 1, n_out);
    GR_TRY(k->call_n(b, spec, n_in, in, n_out, out));
    for (int i = 0; i < n_out; i++)
        GR_TRY(gr_status_of(out[i]));
    return GR_OK;
}

gr_status gr__build_call(gr_build *b, const gr_layer *layer, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    return call(b, layer, n_in, in, n_out, out);
}

/* What a summary shows of a layer of the outermost level. */
static gr_status note_applied(
    gr_build *b, const gr_layer_ref *ref, int n_in, gr_tensor *const *in, const gr_tensor *out)
{
    if (ref->parent)
        return GR_OK;
    if (b->n_applied == b->cap_applied) {
        int cap = b->cap_applied ? b->cap_applied * 2 : 16;
        gr__applied *more = gr__resize(b->applied, cap, sizeof *more);
        if (!more)
            return GR_EMEM;
        b->applied = more;
        b->cap_applied = cap;
    }
    gr__applied *a = &b->applied[b->n_applied++];
    *a = (gr__applied){.name = ref->name,
        .kind = ref->spec->kind->name,
        .output = gr_shape_of(out),
        .dtype = gr_dtype_of(out),
        .out = (gr_tensor *)out,
        .n_in = n_in < 8 ? n_in : 8};
    for (int i = 0; i < a->n_in; i++)
        a->in[i] = in[i];
    const gr_field *f = gr_field_find(ref->spec->kind->fields, "activation");
    if (f && f->type == GR_FIELD_STRING)
        memcpy(&a->activation, (const char *)ref->spec + f->offset, sizeof a->activation);
    return GR_OK;
}

static gr_status apply_ref(
    gr_build *b, gr_layer_ref *ref, gr_at at, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_layer_ref *outer = b->layer;
    b->layer = ref;
    gr_scope_push(b->tape, ref->name, ref->spec->kind->name, ref->spec->at.file ? ref->spec->at : at);
    gr_status s = call(b, ref->spec, n_in, in, n_out, out);
    gr_scope_pop(b->tape);
    b->layer = outer;
    return s == GR_OK ? note_applied(b, ref, n_in, in, out[0]) : s;
}

gr_tensor *gr_apply_at(gr_at at, gr_build *b, const gr_layer *layer, gr_tensor *x)
{
    gr_tensor *out = GR_BAD;
    return gr_apply_n_at(at, b, layer, 1, &x, 1, &out) == GR_OK ? out : GR_BAD;
}

gr_status gr_apply_n_at(
    gr_at at, gr_build *b, const gr_layer *layer, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_layer_ref *ref = gr_layer_make(b, layer);
    if (!ref) {
        for (int i = 0; i < n_out; i++)
            out[i] = GR_BAD;
        return gr_error();
    }
    return apply_ref(b, ref, at, n_in, in, n_out, out);
}

gr_tensor *gr_apply_ref_at(gr_at at, gr_build *b, gr_layer_ref *ref, gr_tensor *x)
{
    gr_tensor *out = GR_BAD;
    if (!ref)
        return gr_op_fail(at, GR_EARG, "apply_ref", "layer", 1, &x, "expected a layer, found NULL");
    return apply_ref(b, ref, at, 1, &x, 1, &out) == GR_OK ? out : GR_BAD;
}

/* ---- a trace ----------------------------------------------------------------------------------------------------- */

void gr__build_begin(gr_build *b, gr_tape *t, gr__store *store, bool training)
{
    *b = (gr_build){.tape = t, .store = store, .training = training};
}

void gr__build_end(gr_build *b)
{
    for (gr_layer_ref *r = b->refs; r; r = r->next)
        gr_spec_free((void *)r->spec);
    gr__free(b->logits);
    gr__free(b->applied);
    gr__arena_free(&b->arena);
    *b = (gr_build){0};
}

bool gr_build_training(const gr_build *b)
{
    return b->training;
}
gr_dtype gr_build_dtype(const gr_build *b)
{
    return b->store->dtype;
}
gr_tape *gr_build_tape(const gr_build *b)
{
    return b->tape;
}

gr_tensor *gr__build_logits(const gr_build *b, const gr_tensor *y, const char **activation)
{
    for (int i = b->n_logits - 1; i >= 0; i--)
        if (b->logits[i].output == y) {
            *activation = b->logits[i].activation;
            return b->logits[i].logits;
        }
    return NULL;
}
