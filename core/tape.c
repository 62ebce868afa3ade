/* core/tape.c: recording. See tape.h for the outside, node.h for the inside; leaf.c has the leaves, region.c the
 * regions. */
#include "core/node.h"
#include "core/size.h"
#include <string.h>

gr_tensor gr__bad;

/* ---- life -------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio: spreads consecutive numbers */
    return h ^ (h >> 29);
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h, word);
    }
    for (; n; n--)
        h = mix(h, *p++);
    return h;
}

gr_tape *gr_tape_new(void)
{
    gr_tape *t = gr__alloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->root.name = "";
    t->root.kind = "";
    t->root.path_hash = 1;
    t->scope = &t->root;
    t->n_scopes = 1;
    return t;
}

static void region_drop(gr__region *r)
{
    if (--r->refs > 0)
        return;
    gr_tape_free(r->tape);
    gr__free(r->param);
    gr__free(r->result);
    gr__free(r);
}

void gr_tape_free(gr_tape *t)
{
    if (!t)
        return;
    for (int64_t i = 0; i < t->n_held; i++)
        region_drop(t->held[i]);
    gr__free(t->held);
    gr__free(t->captured);
    gr__free(t->node);
    gr__free(t->bucket);
    gr__free(t->state);
    gr__arena_free(&t->arena);
    gr__free(t);
}

gr_tape_position gr_tape_mark(const gr_tape *t)
{
    gr__arena_mark m = gr__arena_here(&t->arena);
    return (gr_tape_position){.nodes = t->n_nodes, .held = t->n_held, .used = m.used, .chunk = m.chunk};
}

/* Scopes opened since the mark lie in memory that is about to go. */
static void drop_scopes(gr_tape *t)
{
    t->scope = &t->root;
    t->scopes = NULL;
    t->copied_from = NULL;
    t->copied_to = NULL;
}

void gr_tape_reset(gr_tape *t, gr_tape_position to)
{
    for (int64_t b = 0; b < t->n_buckets; b++)
        for (gr__node **p = &t->bucket[b]; *p;)
            if ((*p)->id >= to.nodes)
                *p = (*p)->next_same_hash;
            else
                p = &(*p)->next_same_hash;
    int64_t kept = 0;
    for (int64_t i = 0; i < t->n_state; i++)
        if (t->state[i].value->node->id < to.nodes)
            t->state[kept++] = t->state[i];
    t->n_state = kept;
    for (int64_t i = to.held; i < t->n_held; i++)
        region_drop(t->held[i]);
    t->n_held = to.held;
    t->n_nodes = to.nodes;
    drop_scopes(t);
    gr__arena_back(&t->arena, (gr__arena_mark){to.chunk, to.used});
}

int64_t gr_tape_size(const gr_tape *t)
{
    return t->n_nodes;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

static gr__scope *scope_child(gr_tape *t, gr__scope *parent, const char *name, const char *kind, gr_at at)
{
    for (gr__scope *s = t->scopes; s; s = s->next)
        if (s->parent == parent && strcmp(s->name, name) == 0)
            return s;
    gr__scope *s = gr__arena_alloc(&t->arena, 1, sizeof *s);
    char *own_name = gr__arena_strdup(&t->arena, name), *own_kind = gr__arena_strdup(&t->arena, kind);
    if (!s || !own_name || !own_kind)
        return NULL;
    *s = (gr__scope){
        .parent = parent, .name = own_name, .kind = own_kind, .at = at, .id = t->n_scopes++, .next = t->scopes};
    s->path_hash = hash_bytes(mix(parent->path_hash, '/'), name, strlen(name));
    t->scopes = s;
    return s;
}

void gr_scope_push(gr_tape *t, const char *name, const char *kind, gr_at at)
{
    gr__scope *s = scope_child(t, t->scope, name ? name : "", kind ? kind : "", at);
    if (s) /* without memory the nodes land in the parent's scope, and the error is kept */
        t->scope = s;
}

void gr_scope_pop(gr_tape *t)
{
    if (t->scope->parent)
        t->scope = t->scope->parent;
}

/* The scope of t with s's path, made if need be. Depth is a few; the last answer is kept, since nodes come in runs. */
gr__scope *gr__scope_copy(gr_tape *t, const gr__scope *s)
{
    if (!s->parent)
        return &t->root;
    if (s == t->copied_from)
        return t->copied_to;
    gr__scope *parent = gr__scope_copy(t, s->parent);
    gr__scope *mine = parent ? scope_child(t, parent, s->name, s->kind, s->at) : NULL;
    t->copied_from = mine ? s : NULL;
    t->copied_to = mine;
    return mine;
}

uint64_t gr__random_use(gr_tape *t)
{
    gr_tape *top = t; /* a region's scopes count together with those of the outermost tape that have their path */
    while (top->parent)
        top = top->parent;
    gr__scope *s = t == top ? t->scope : gr__scope_copy(top, t->scope);
    return s ? mix(mix(s->path_hash, 77), (uint64_t)s->random_uses++) : 0;
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* Grows a list on the heap by doubling. */
static bool room(void **list, int64_t n, int64_t *cap, int64_t size)
{
    if (n < *cap)
        return true;
    int64_t more = *cap ? *cap * 2 : 64;
    void *p = gr__resize(*list, more, size);
    if (!p)
        return false;
    *list = p;
    *cap = more;
    return true;
}

bool gr__tape_hold(gr_tape *t, gr__region *r)
{
    if (!room((void **)&t->held, t->n_held, &t->cap_held, sizeof *t->held))
        return false;
    t->held[t->n_held++] = r;
    r->refs++;
    return true;
}

static bool rehash(gr_tape *t)
{
    int64_t n = t->n_buckets ? t->n_buckets * 2 : 256;
    gr__node **bucket = gr__alloc(n, sizeof *bucket);
    if (!bucket)
        return false;
    for (int64_t b = 0; b < t->n_buckets; b++)
        for (gr__node *node = t->bucket[b], *next; node; node = next) {
            next = node->next_same_hash;
            gr__node **head = &bucket[node->hash & (uint64_t)(n - 1)];
            node->next_same_hash = *head;
            *head = node;
        }
    gr__free(t->bucket);
    t->bucket = bucket;
    t->n_buckets = n;
    return true;
}

static bool is_pure(const gr__node *n)
{
    return !(n->op->traits & (GR_EFFECT | GR_RANDOM | GR_REGION)) && n->op != &gr_op_input && n->op != &gr_op_param;
}

static int64_t constant_bytes(const gr__node *n)
{
    int64_t bytes = 0;
    gr__mul(gr_shape_size(n->out[0].shape), gr_dtype_size(n->out[0].dtype), &bytes);
    return bytes;
}

uint64_t gr__node_hash(const gr__node *n, gr_tensor *const *in, const gr__scope *scope)
{
    uint64_t h = mix((uint64_t)(uintptr_t)n->op, (uint64_t)(uintptr_t)scope);
    h = mix(mix(h, (uint64_t)n->clone), (uint64_t)(uintptr_t)n->variable);
    if (n->op->attr_size)
        h = hash_bytes(h, n->attr, n->op->attr_size);
    for (int i = 0; i < n->n_in; i++)
        h = mix(h, (uint64_t)(uintptr_t)in[i]);
    if (n->data)
        h = hash_bytes(mix(h, n->out[0].dtype), n->data, (size_t)constant_bytes(n));
    return h;
}

bool gr__nodes_equal(const gr__node *a, const gr__node *b, gr_tensor *const *in)
{
    if (a->op != b->op || a->n_in != b->n_in || a->clone != b->clone || a->variable != b->variable ||
        a->n_out != b->n_out || a->out[0].dtype != b->out[0].dtype ||
        !gr_shape_equal(a->out[0].shape, b->out[0].shape))
        return false;
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i] != in[i])
            return false;
    if (a->op->attr_size && memcmp(a->attr, b->attr, a->op->attr_size) != 0)
        return false;
    return a->data == b->data || (a->data && b->data && memcmp(a->data, b->data, (size_t)constant_bytes(a)) == 0);
}

/* Appends a node whose hash is known, or finds its equal. NULL without memory. */
static gr__node *enter(gr_tape *t, gr__node *n)
{
    bool pure = is_pure(n);
    if (pure) {
        if (t->n_nodes - t->n_left >= t->n_buckets && !rehash(t))
            return NULL;
        for (gr__node *old = t->bucket[n->hash & (uint64_t)(t->n_buckets - 1)]; old; old = old->next_same_hash)
            if (old->hash == n->hash && old->scope == n->scope && gr__nodes_equal(old, n, n->in))
                return old;
    }
    if (!room((void **)&t->node, t->n_nodes, &t->cap_nodes, sizeof *t->node))
        return NULL;
    if (pure) {
        gr__node **head = &t->bucket[n->hash & (uint64_t)(t->n_buckets - 1)];
        n->next_same_hash = *head;
        *head = n;
    }
    t->node[t->n_nodes++] = n;
    return n;
}

/* The same of a finished new node. */
static gr__node *commit(gr_tape *t, gr__node *n)
{
    n->hash = is_pure(n) ? gr__node_hash(n, n->in, n->scope) : 0;
    n->id = t->n_nodes;
    return enter(t, n);
}

/* A copy of an attribute struct in which equal attributes are equal bytes: padding 0, unused dimensions 0, own strings.
 */
static const void *canonical_attr(gr_tape *t, const gr_op *op, const void *attr)
{
    char *copy = gr__arena_alloc(&t->arena, 1, (int64_t)op->attr_size);
    if (!copy || !attr)
        return copy;
    if (!op->attrs)
        return memcpy(copy, attr, op->attr_size);
    for (const gr_field *f = op->attrs; f->name; f++) {
        const char *from = (const char *)attr + f->offset;
        char *to = copy + f->offset;
        static const size_t size[] = {[GR_FIELD_INT] = sizeof(int),
            [GR_FIELD_INT64] = 8,
            [GR_FIELD_FLOAT] = 4,
            [GR_FIELD_DOUBLE] = 8,
            [GR_FIELD_BOOL] = sizeof(bool),
            [GR_FIELD_DTYPE] = sizeof(gr_dtype),
            [GR_FIELD_ENUM] = sizeof(int),
            [GR_FIELD_SPEC] = sizeof(void *),
            [GR_FIELD_POINTER] = sizeof(void *)};
        if (f->type == GR_FIELD_SHAPE) {
            gr_shape s, clean = {0};
            memcpy(&s, from, sizeof s);
            clean.rank = s.rank;
            for (int64_t i = 0; i < s.rank && i < GR_MAX_RANK; i++)
                clean.dim[i] = s.dim[i];
            memcpy(to, &clean, sizeof clean);
        } else if (f->type == GR_FIELD_STRING) {
            const char *s;
            memcpy(&s, from, sizeof s);
            char *own = gr__arena_strdup(&t->arena, s);
            if (s && !own)
                return NULL;
            memcpy(to, &own, sizeof own);
        } else {
            memcpy(to, from, size[f->type]);
        }
    }
    return copy;
}

/* A node in t's arena, results not typed yet. */
static gr__node *blank(gr_tape *t, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in, gr_at at)
{
    int n_out = op->n_out ? op->n_out : 1;
    gr__node *n = gr__arena_alloc(&t->arena, 1, sizeof *n);
    gr_tensor *out = gr__arena_alloc(&t->arena, n_out, sizeof *out);
    if (!n || !out)
        return NULL;
    *n = (gr__node){.op = op,
        .n_in = n_in,
        .n_out = n_out,
        .out = out,
        .tape = t,
        .scope = t->scope,
        .at = at,
        .phase = t->phase,
        .origin = t->origin,
        .clone = t->clone};
    for (int i = 0; i < n_out; i++)
        out[i] = (gr_tensor){.node = n, .index = i};
    if (n_in && !(n->in = gr__arena_copy(&t->arena, in, n_in * (int64_t)sizeof *in)))
        return NULL;
    if (op->attr_size && !(n->attr = canonical_attr(t, op, attr)))
        return NULL;
    return n;
}

/* The inferred type of result i, if memory could hold it. */
static gr_status take_type(const gr_infer *f, int i, gr_tensor *out)
{
    char text[200];
    gr_shape probe;
    int64_t bytes;
    if (!gr_shape_bind(f->out_shape[i], 1, &probe) ||
        !gr__mul(gr_shape_size(probe), gr_dtype_size(f->out_dtype[i]), &bytes) || bytes < 0)
        return gr_infer_fail(f, GR_ERANGE, "result", "expected a size that memory could hold, found %s",
            gr_type_text(f->out_dtype[i], f->out_shape[i], text, sizeof text));
    out->dtype = f->out_dtype[i];
    out->shape = f->out_shape[i];
    return GR_OK;
}

/* Inference, with what its messages need. */
static gr_status infer(gr__node *n)
{
    enum { MANY = 64 };
    gr_dtype dtype[MANY], out_dtype[MANY];
    gr_shape shape[MANY], out_shape[MANY];
    if (n->n_in > MANY || n->n_out > MANY)
        return gr_fail(GR_EARG, n->at, "%s: expected at most %d inputs and results, found %d and %d", n->op->name,
            (int)MANY, n->n_in, n->n_out);
    for (int i = 0; i < n->n_in; i++) {
        dtype[i] = n->in[i]->dtype;
        shape[i] = n->in[i]->shape;
    }
    memset(out_dtype, 0, (size_t)n->n_out * sizeof *out_dtype);
    memset(out_shape, 0, (size_t)n->n_out * sizeof *out_shape);
    gr_infer f = {n->op, n->attr, n->n_in, n->n_out, dtype, shape, out_dtype, out_shape};
    gr__infer_for(n);
    gr_status s = n->op->infer(&f);
    for (int i = 0; s == GR_OK && i < n->n_out; i++)
        s = take_type(&f, i, &n->out[i]);
    gr__infer_for(NULL); /* whoever else asks an op to infer has no operands to show */
    return s;
}

gr_tensor *gr__apply_op_on(gr_tape *t, gr_at at, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in)
{
    gr_tensor *own[64];
    GR_ASSERT(t && n_in <= 64);
    for (int i = 0; i < n_in; i++) {
        own[i] = in[i]->node->tape == t ? in[i] : gr__capture(t, in[i]);
        if (gr__is_bad(own[i])) {
            gr_op_fail(at, GR_EARG, op->name, "tape", n_in, in, "expected inputs of one tape, found two tapes");
            return GR_BAD;
        }
    }
    gr__node *n = blank(t, op, attr, n_in, own, at);
    if (!n || infer(n) != GR_OK || !(n = commit(t, n)))
        return GR_BAD;
    return &n->out[0];
}

gr_tensor *gr_apply_op_at(gr_at at, const gr_op *op, const void *attr, int n_in, gr_tensor *const *in)
{
    char name[16];
    for (int i = 0; i < n_in; i++)
        if (!in[i])
            return gr_op_fail(at, GR_EARG, op->name, gr__argument_name(op, i, name, sizeof name), n_in, in,
                "expected a tensor, found NULL");
    for (int i = 0; i < n_in; i++)
        if (gr__is_bad(in[i]))
            return GR_BAD;
    if (n_in < 1 || n_in > 64 || (op->n_in != -1 && op->n_in != n_in))
        return gr_op_fail(at, GR_EARG, op->name, "inputs", n_in < 8 ? n_in : 8, in, "expected %d tensors, found %d",
            op->n_in == -1 ? 1 : op->n_in, n_in);
    return gr__apply_op_on(gr__deepest(n_in, in), at, op, attr, n_in, in);
}

/* Do the inputs have the types that `like` was inferred from? */
static bool same_types(const gr__node *like, int n_in, gr_tensor *const *in)
{
    if (!like->in || like->n_in != n_in)
        return false;
    for (int i = 0; i < n_in; i++) {
        const gr_tensor *x = in[i], *y = like->in[i];
        if (x->dtype != y->dtype || x->shape.rank != y->shape.rank ||
            memcmp(x->shape.dim, y->shape.dim, (size_t)x->shape.rank * sizeof *x->shape.dim) != 0)
            return false;
    }
    return true;
}

/* Makes a node from the parts of another one; also how regions and passes build nodes that own regions or data. */
gr_tensor *gr__node_build(gr_tape *t, const gr__node *like, int n_in, gr_tensor *const *in)
{
    for (int i = 0; i < n_in; i++)
        if (gr__is_bad(in[i]))
            return GR_BAD;
    gr__node *n = blank(t, like->op, like->attr, n_in, in, like->at);
    if (!n)
        return GR_BAD;
    n->n_out = like->n_out;
    if (n->n_out > (like->op->n_out ? like->op->n_out : 1)) { /* a region node has as many results as its region */
        n->out = gr__arena_alloc(&t->arena, n->n_out, sizeof *n->out);
        if (!n->out)
            return GR_BAD;
    }
    n->scope = like->tape == t ? like->scope : gr__scope_copy(t, like->scope);
    n->phase = like->phase;
    n->origin = like->origin;
    n->clone = t->clone ? t->clone : like->clone;
    n->variable = like->variable;
    n->name = gr__arena_strdup(&t->arena, like->name);
    if (!n->scope || (like->name && !n->name))
        return GR_BAD;
    for (int i = 0; i < n->n_out; i++)
        n->out[i] = (gr_tensor){n, i, like->out[i].dtype, like->out[i].shape};
    if (like->data && !(n->data = gr__arena_copy(&t->arena, like->data, constant_bytes(like))))
        return GR_BAD;
    if (like->n_regions) {
        n->n_regions = like->n_regions;
        n->region = gr__arena_copy(&t->arena, like->region, like->n_regions * (int64_t)sizeof *like->region);
        for (int i = 0; i < n->n_regions; i++)
            if (!n->region || !gr__tape_hold(t, n->region[i]))
                return GR_BAD;
    }
    if (!(n->op->traits & (GR_LEAF | GR_REGION)) && n_in && !same_types(like, n_in, in) && infer(n) != GR_OK)
        return GR_BAD;
    n = commit(t, n);
    return n ? &n->out[0] : GR_BAD;
}

/* ---- rewriting in place ------------------------------------------------------------------------------------------ */

void gr__tape_rewrite(gr_tape *t)
{
    if (t->n_buckets)
        memset(t->bucket, 0, (size_t)t->n_buckets * sizeof(gr__node *));
    t->n_left = t->n_nodes;
}

gr_tensor *gr__node_keep(gr_tape *t, int64_t id, gr_tensor *const *in)
{
    gr__node *n = t->node[id];
    bool others = false;
    for (int i = 0; i < n->n_in; i++) {
        if (gr__is_bad(in[i]))
            return GR_BAD;
        others = others || in[i] != n->in[i];
    }
    if (others) {
        const bool typed = (n->op->traits & (GR_LEAF | GR_REGION)) || same_types(n, n->n_in, in);
        memcpy(n->in, in, (size_t)n->n_in * sizeof *n->in);
        if (!typed && infer(n) != GR_OK)
            return GR_BAD;
        n->hash = is_pure(n) ? gr__node_hash(n, n->in, n->scope) : 0;
    }
    n = enter(t, n);
    return n ? &n->out[0] : GR_BAD;
}

/* Takes the scope into the tape's list, behind those around it. */
static void list_scope(gr_tape *t, gr__scope *s)
{
    if (s->id || !s->parent)
        return;
    list_scope(t, s->parent);
    s->id = t->n_scopes++;
    s->next = t->scopes;
    t->scopes = s;
}

void gr__tape_rewritten(gr_tape *t)
{
    t->n_nodes -= t->n_left;
    memmove(t->node, t->node + t->n_left, (size_t)t->n_nodes * sizeof *t->node);
    t->n_left = 0;
    for (gr__scope *s = t->scopes; s; s = s->next)
        s->id = 0; /* not listed: so far in nobody's use */
    drop_scopes(t);
    t->n_scopes = 1;
    for (int64_t id = 0; id < t->n_nodes; id++) {
        t->node[id]->id = id;
        list_scope(t, t->node[id]->scope);
    }
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

gr_status gr_status_of(const gr_tensor *x)
{
    if (!x)
        return gr_fail(GR_EARG, (gr_at){0}, "expected a tensor, found NULL");
    if (x->node)
        return GR_OK;
    return gr_error() != GR_OK ? gr_error() : GR_ESTATE; /* the error was reported and cleared already */
}

gr_dtype gr_dtype_of(const gr_tensor *x)
{
    return gr__is_bad(x) ? GR_DTYPE_NONE : x->dtype;
}

gr_shape gr_shape_of(const gr_tensor *x)
{
    return gr__is_bad(x) ? GR_RANK0 : x->shape;
}

int64_t gr_rank(const gr_tensor *x)
{
    return gr__is_bad(x) ? 0 : x->shape.rank;
}

int64_t gr_dim(const gr_tensor *x, int64_t axis)
{
    int64_t i;
    if (gr__is_bad(x))
        return -1;
    if (!gr_axis(axis, x->shape.rank, &i)) {
        char type[200];
        gr_fail(GR_ESHAPE, (gr_at){0}, "dim: argument axis: expected %lld .. %lld, found %lld, in %s",
            -(long long)x->shape.rank, (long long)x->shape.rank - 1, (long long)axis,
            gr_type_text(x->dtype, x->shape, type, sizeof type));
        return -1;
    }
    return gr_dim_is_batch(x->shape.dim[i]) ? GR_BATCH : x->shape.dim[i];
}

int gr_result_count(const gr_tensor *x)
{
    return gr__is_bad(x) ? 0 : x->node->n_out;
}

gr_tensor *gr_result(gr_tensor *x, int i)
{
    if (gr__is_bad(x))
        return GR_BAD;
    if (i < 0 || i >= x->node->n_out) {
        gr_fail(GR_EARG, x->node->at, "result: argument i: expected 0 .. %d, found %d, of %s", x->node->n_out - 1, i,
            x->node->op->name);
        return GR_BAD;
    }
    return &x->node->out[i];
}

gr_tape *gr_tape_of(const gr_tensor *x)
{
    return gr__is_bad(x) ? NULL : x->node->tape;
}

gr_variable *gr_variable_of(const gr_tensor *x)
{
    return gr__is_bad(x) ? NULL : x->node->variable;
}

gr_tensor *(gr_apply_op)(const gr_op *op, const void *attr, int n_in, gr_tensor *const *in)
{
    return gr_apply_op_at((gr_at){0}, op, attr, n_in, in);
}
