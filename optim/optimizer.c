/* optim/optimizer.c: what all optimizers share: rate, iterations, slots, clipping, weight decay. See optimizer.h. */
#include "optim/optimizer.h"
#include "core/mem.h"
#include "ops/ops.h"
#include <string.h>

struct gr__optim {
    gr__optimizer_options *spec;
    gr_clip *clip[GR_MAX_CLIPS + 1]; /* the built-in option first */
    int n_clips;
    gr_variable **state; /* iterations, rate, slots */
    int n_state, cap_state;
};

struct gr_update {
    gr_tape *tape;
    gr__optim *optim;
    gr_tensor *rate, *iterations;
};

const gr_kind_entry gr__optimizers[] = {{&gr_SGD_kind.kind, NULL}, {&gr_Adam_kind.kind, NULL},
    {&gr_AdamW_kind.kind, "adamw"}, {&gr_RMSprop_kind.kind, "rmsprop"}, {NULL, NULL}};

static gr_variable *add_state(gr__optim *o, const char *path, gr_dtype dtype, gr_shape shape)
{
    if (o->n_state == o->cap_state) {
        int cap = o->cap_state ? o->cap_state * 2 : 32;
        gr_variable **more = gr__resize(o->state, cap, sizeof *more);
        if (!more)
            return NULL;
        o->state = more;
        o->cap_state = cap;
    }
    gr_variable *v = gr_variable_new(path, dtype, shape, false);
    if (v)
        o->state[o->n_state++] = v;
    return v;
}

static bool add_clip(gr__optim *o, const gr_clip *spec)
{
    gr_clip *copy = gr_spec_copy(spec);
    if (copy)
        o->clip[o->n_clips++] = copy;
    return copy != NULL;
}

static bool add_clips(gr__optim *o, const gr__optimizer_options *s)
{
    const float limits[] = {s->clipvalue, s->clipnorm, s->global_clipnorm};
    const gr_clip_kind *const kinds[] = {&gr_ClipValue_kind, &gr_ClipNorm_kind, &gr_GlobalClipNorm_kind};
    int set = 0;
    for (int i = 0; i < 3; i++)
        if (limits[i] > 0) {
            gr_ClipValue_spec clip = {{kinds[i], s->base.at}, limits[i]};
            if (++set == 2) {
                gr_fail(GR_EARG, s->base.at,
                    "%s: arguments clipvalue, clipnorm, global_clipnorm: expected at most one of them, found %g, %g "
                    "and %g",
                    s->base.kind->name, (double)s->clipvalue, (double)s->clipnorm, (double)s->global_clipnorm);
                return false;
            }
            if (!add_clip(o, &clip.base))
                return false;
        }
    for (int i = 0; i < GR_MAX_CLIPS && s->clips[i]; i++)
        if (!add_clip(o, s->clips[i]))
            return false;
    return true;
}

gr__optim *gr__optim_new(const gr_optimizer *spec)
{
    const gr__optimizer_options *given = (const gr__optimizer_options *)spec;
    if (!spec || spec->kind->size < sizeof(gr__optimizer_options)) {
        gr_fail(GR_EARG, spec ? spec->at : (gr_at){0},
            "optimizer: expected a spec that begins with base and GR_OPTIMIZER_OPTIONS");
        return NULL;
    }
    gr__optim *o = gr__alloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->spec = gr_spec_copy(spec);
    if (!o->spec || !add_clips(o, given) || !add_state(o, "iterations", GR_I64, GR_RANK0) ||
        !add_state(o, "learning_rate", GR_F32, GR_RANK0)) {
        gr__optim_free(o);
        return NULL;
    }
    memset(o->spec->clips, 0, sizeof o->spec->clips); /* ours are in o->clip; the caller's are borrowed */
    gr_variable_set_scalar(o->state[1], o->spec->learning_rate);
    return o;
}

void gr__optim_free(gr__optim *o)
{
    if (!o)
        return;
    for (int i = 0; i < o->n_clips; i++)
        gr_spec_free(o->clip[i]);
    for (int i = 0; i < o->n_state; i++)
        gr_variable_free(o->state[i]);
    gr__free(o->state);
    gr_spec_free(o->spec);
    gr__free(o);
}

gr_variable *gr__optim_iterations(gr__optim *o)
{
    return o->state[0];
}
gr_variable *gr__optim_rate(gr__optim *o)
{
    return o->state[1];
}
int gr__optim_count(const gr__optim *o)
{
    return o->n_state;
}
gr_variable *gr__optim_at(const gr__optim *o, int i)
{
    return o->state[i];
}
const gr_optimizer *gr__optim_spec(const gr__optim *o)
{
    return &o->spec->base;
}

int gr__optim_extra_clips(const gr__optim *o)
{
    bool built_in = o->spec->clipnorm > 0 || o->spec->clipvalue > 0 || o->spec->global_clipnorm > 0;
    return o->n_clips - built_in;
}

static gr_variable *find_state(const gr__optim *o, const char *path)
{
    for (int i = 0; i < o->n_state; i++)
        if (strcmp(gr_variable_path(o->state[i]), path) == 0)
            return o->state[i];
    return NULL;
}

gr_status gr__optim_restore(gr__optim *o, const char *path, const gr_array *value)
{
    gr_variable *v = find_state(o, path);
    if (!v)
        v = add_state(o, path, gr_array_dtype(value), gr_array_shape(value));
    return v ? gr_variable_set(v, value) : GR_EMEM;
}

/* ---- inside an update -------------------------------------------------------------------------------------------- */

gr_tape *gr_update_tape(const gr_update *u)
{
    return u->tape;
}
gr_tensor *gr_rate(gr_update *u)
{
    return u->rate;
}
gr_tensor *gr_iterations(gr_update *u)
{
    return u->iterations;
}
gr_status gr_update_status(const gr_update *u)
{
    (void)u;
    return gr_error();
}

static gr_tensor *state(gr_update *u, const char *path, gr_dtype dtype, gr_shape shape, double start)
{
    gr_variable *v = find_state(u->optim, path);
    if (v && (gr_variable_dtype(v) != dtype || !gr_shape_equal(gr_variable_shape(v), shape)))
        return gr_op_fail(
            (gr_at){0}, GR_ESHAPE, "slot", "name", 0, NULL, "expected %s of the weight's type, found another", path);
    if (!v &&
        (!(v = add_state(u->optim, path, dtype, shape)) || (start != 0 && gr_variable_set_scalar(v, start) != GR_OK)))
        return GR_BAD;
    return (gr_read)(u->tape, v);
}

gr_tensor *gr_slot(gr_update *u, gr_tensor *w, const char *name)
{
    if (gr_status_of(w) != GR_OK)
        return GR_BAD;
    const gr_variable *v = gr_variable_of(w);
    if (!v)
        return gr_op_fail((gr_at){0}, GR_EARG, "slot", "w", 1, &w, "expected a weight, found a computed value");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", gr_variable_path(v), name);
    return state(u, path, gr_dtype_of(w), gr_shape_of(w), 0);
}

gr_tensor *gr_slot_scalar(gr_update *u, const char *name, double start)
{
    return state(u, name, GR_F32, GR_RANK0, start);
}

/* w -= w * weight_decay * rate, before the update (Keras's order) */
static gr_tensor *decayed(gr_update *u, gr_tensor *w)
{
    float decay = u->optim->spec->weight_decay;
    if (decay == 0)
        return w;
    gr_tensor *rate = gr_cast(u->rate, gr_dtype_of(w));
    return gr_assign(w, gr_sub(w, gr_mul(w, gr_mul(gr_scalar(w, decay), rate))));
}

gr_status gr__optim_apply(gr__optim *o, gr_tape *t, int n, gr_tensor *const *w, gr_tensor **g)
{
    gr_update u = {.tape = t, .optim = o};
    u.rate = (gr_read)(t, o->state[1]);
    gr_tensor *done = (gr_read)(t, o->state[0]);
    gr_tensor *next = gr_add(done, gr_scalar(done, 1));
    u.iterations = gr_cast(next, GR_F32);
    for (int i = 0; i < o->n_clips; i++)
        GR_TRY(o->clip[i]->kind->apply(&u, o->clip[i], n, w, g));
    for (int i = 0; i < n; i++) {
        gr_tensor *x = decayed(&u, w[i]);
        GR_TRY(gr_status_of(x));
        GR_TRY(o->spec->base.kind->update(&u, o->spec, x, g[i]));
    }
    return gr_status_of(gr_assign(done, next));
}
