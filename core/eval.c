/* core/eval.c: node-by-node evaluation, the oracle that programs are held against. Each needed node's eval runs on
 * whole buffers in recorded order; a buffer goes as soon as its last reader has run. Regions run the same way, one
 * level down. */
#include "core/node.h"
#include "core/size.h"
#include "core/thread.h"
#include <string.h>

/* What all levels share. */
typedef struct {
    uint64_t seed, step;
    int64_t batch;
} env;

/* One level: a tape's values while it runs. */
typedef struct {
    const gr_tape *tape;
    gr_buffer **value; /* per node: its results' buffers, or NULL */
    int64_t *uses;     /* per node: readers still to come; 0 for nodes that are not needed */
    bool *own;         /* per node: are the buffers ours to free? */
} frame;

static gr_status run(frame *f, const env *e);

static void frame_free(frame *f)
{
    for (int64_t id = 0; f->value && id < f->tape->n_nodes; id++) {
        if (f->value[id] && f->own[id])
            for (int i = 0; i < f->tape->node[id]->n_out; i++)
                gr__free_aligned(f->value[id][i].data);
        gr__free(f->value[id]);
    }
    gr__free(f->value);
    gr__free(f->uses);
    gr__free(f->own);
    *f = (frame){0};
}

static bool frame_new(frame *f, const gr_tape *t)
{
    *f = (frame){.tape = t};
    f->value = gr__alloc(t->n_nodes, sizeof *f->value);
    f->uses = gr__alloc(t->n_nodes, sizeof *f->uses);
    f->own = gr__alloc(t->n_nodes, sizeof *f->own);
    if (f->value && f->uses && f->own)
        return true;
    frame_free(f);
    return false;
}

/* How many of its inputs a node reads. */
static int n_read(const gr__node *n)
{
    return n->op->traits & GR_EITHER ? 1 : n->n_in;
}

/* Counts readers, from the wanted nodes (uses > 0 already) down; ids fall from reader to read. */
static void count_uses(frame *f)
{
    for (int64_t id = f->tape->n_nodes - 1; id >= 0; id--)
        if (f->uses[id])
            for (int i = 0; i < n_read(f->tape->node[id]); i++)
                f->uses[f->tape->node[id]->in[i]->node->id]++;
}

static bool new_buffers(const gr__node *n, gr_buffer *out, const env *e)
{
    for (int i = 0; i < n->n_out; i++) {
        int64_t bytes, padded;
        out[i].dtype = n->out[i].dtype;
        if (!gr_shape_bind(n->out[i].shape, e->batch, &out[i].shape) ||
            !gr__mul(gr_shape_size(out[i].shape), gr_dtype_size(out[i].dtype), &bytes) || bytes < 0 ||
            !gr__round_up(bytes, 64, &padded)) {
            gr_fail(GR_EMEM, n->at, "%s: its result does not fit in memory at batch size %lld", n->op->name,
                (long long)e->batch);
            return false;
        }
        if (!(out[i].data = gr__alloc_aligned(padded)))
            return false;
    }
    return true;
}

static int64_t bytes_of(const gr_buffer *b)
{
    return gr_shape_size(b->shape) * gr_dtype_size(b->dtype);
}

/* Part `step` along the first axis */
static gr_buffer part_of(const gr_buffer *b, int64_t step)
{
    gr_buffer part = {b->dtype, gr__step_shape(b->shape), NULL};
    part.data = (char *)b->data + step * bytes_of(&part);
    return part;
}

static gr_status run_region(const gr__node *n, const gr_buffer *in, gr_buffer *out, const env *e)
{
    const gr__region *r = n->region[0];
    frame f;
    if (!frame_new(&f, r->tape))
        return GR_EMEM;
    for (int i = 0; i < r->n_results; i++)
        f.uses[r->result[i]->node->id]++;
    gr_status s = GR_OK;
    for (int i = 0; i < r->n_params && s == GR_OK; i++) {
        gr_buffer *b = gr__alloc(1, sizeof *b);
        f.value[r->param[i]->node->id] = b;
        if (b)
            *b = in[i];
        else
            s = GR_EMEM;
    }
    count_uses(&f);
    if (s == GR_OK)
        s = run(&f, e);
    for (int i = 0; i < r->n_results && s == GR_OK; i++) {
        const gr_buffer *from = &f.value[r->result[i]->node->id][r->result[i]->index];
        memcpy(out[i].data, from->data, (size_t)bytes_of(from));
    }
    frame_free(&f);
    return s;
}

/* A loop keeps its carries in the node's first results. */
static gr_status run_loop(const gr__node *n, const gr_buffer *in, gr_buffer *out, const env *e)
{
    const gr__loop *l = gr__loop_of(n);
    const int n_carries = (int)l->n_carries, n_results = n->region[0]->n_results;
    gr_buffer step_in[64], step_out[64];
    gr_status s = GR_OK;
    for (int i = 0; i < n_carries; i++) {
        step_out[i] = out[i];
        if (!(step_out[i].data = gr__alloc_aligned(bytes_of(&out[i]) + 64)))
            s = GR_EMEM;
        memcpy(out[i].data, in[i].data, (size_t)bytes_of(&in[i]));
    }
    for (int64_t k = 0; k < l->steps && s == GR_OK; k++) {
        const int64_t step = l->reverse ? l->steps - 1 - k : k;
        for (int i = 0; i < n->n_in; i++) {
            step_in[i] = i < n_carries ? out[i] : in[i];
            if (i >= n_carries && i < n_carries + l->n_xs)
                step_in[i] = part_of(&in[i], step);
        }
        for (int i = n_carries; i < n_results; i++)
            step_out[i] = part_of(&out[i], step);
        for (int i = 0; i < n_carries; i++)
            memcpy(part_of(&out[n_results + i], step).data, out[i].data, (size_t)bytes_of(&out[i]));
        s = run_region(n, step_in, step_out, e);
        for (int i = 0; i < n_carries && s == GR_OK; i++)
            memcpy(out[i].data, step_out[i].data, (size_t)bytes_of(&out[i]));
    }
    for (int i = 0; i < n_carries; i++)
        gr__free_aligned(step_out[i].data);
    return s;
}

static gr_status run_node(frame *f, const gr__node *n, const env *e)
{
    gr_buffer in[64];
    for (int i = 0; i < n_read(n); i++)
        in[i] = f->value[n->in[i]->node->id][n->in[i]->index];
    gr_buffer *out = f->value[n->id] = gr__alloc(n->n_out, sizeof *out);
    if (!out)
        return GR_EMEM;
    if (n->variable && n->op == &gr_op_variable) {
        *out = (gr_buffer){n->out[0].dtype, n->out[0].shape, n->variable->data};
        return GR_OK;
    }
    if (n->op == &gr_op_constant) {
        *out = (gr_buffer){n->out[0].dtype, n->out[0].shape, (void *)n->data};
        return GR_OK;
    }
    if (n->op->traits & GR_LEAF)
        return gr_fail(GR_EARG, n->at, "eval: %s %s has no value", n->op->name, n->name ? n->name : "");
    f->own[n->id] = true;
    if (!new_buffers(n, out, e))
        return GR_EMEM;
    if (n->n_regions)
        return gr__loop_of(n) ? run_loop(n, in, out, e) : run_region(n, in, out, e);
    gr_call c = {.op = n->op,
        .attr = n->attr,
        .n_in = n_read(n),
        .n_out = n->n_out,
        .in = in,
        .out = out,
        .begin = 0,
        .end = gr_shape_size(out[0].shape),
        .seed = e->seed,
        .step = e->step,
        .at = n->at};
    return gr__call_eval(n, &c);
}

/* A reader of node id has run: its buffers go with the last one. */
static void release(frame *f, int64_t id)
{
    if (--f->uses[id] > 0 || !f->own[id])
        return;
    for (int i = 0; i < f->tape->node[id]->n_out; i++)
        gr__free_aligned(f->value[id][i].data);
    gr__free(f->value[id]);
    f->value[id] = NULL;
    f->own[id] = false;
}

static gr_status run(frame *f, const env *e)
{
    for (int64_t id = 0; id < f->tape->n_nodes; id++) {
        if (!f->uses[id])
            continue;
        const gr__node *n = f->tape->node[id];
        if (!f->value[id]) /* inputs and parameters have theirs */
            GR_TRY(run_node(f, n, e));
        for (int i = 0; i < n_read(n); i++)
            release(f, n->in[i]->node->id);
    }
    return GR_OK;
}

/* ---- the public side --------------------------------------------------------------------------------------------- */

/* B from the bound inputs: every symbolic dimension must agree. */
static gr_status find_batch(const gr_eval_opts *o, env *e)
{
    e->batch = -1;
    for (int i = 0; i < o->n_bindings; i++) {
        const gr_tensor *x = o->bindings[i].tensor;
        gr_shape want = x->shape, got = gr_array_shape(o->bindings[i].value);
        char a[200], b[200];
        bool fits = gr_array_dtype(o->bindings[i].value) == x->dtype && want.rank == got.rank;
        for (int64_t d = 0; fits && d < want.rank; d++) {
            int64_t times = gr_dim_is_batch(want.dim[d]) ? gr_dim_times(want.dim[d]) : 0;
            fits = times == 0 ? want.dim[d] == got.dim[d] : got.dim[d] % times == 0;
            if (fits && times && e->batch < 0)
                e->batch = got.dim[d] / times;
            fits = fits && (!times || got.dim[d] == times * e->batch);
        }
        GR_CHECK(fits, GR_ESHAPE, "eval: argument %s: expected %s (B = %lld), found %s",
            x->node->name ? x->node->name : "input", gr_type_text(x->dtype, want, a, sizeof a), (long long)e->batch,
            gr_type_text(gr_array_dtype(o->bindings[i].value), got, b, sizeof b));
    }
    if (e->batch < 0)
        e->batch = 1; /* no input is symbolic */
    return GR_OK;
}

static gr_status bind_inputs(frame *f, const gr_eval_opts *o, gr_array **copies)
{
    for (int i = 0; i < o->n_bindings; i++) {
        gr_array *a = o->bindings[i].value;
        if (!gr_array_is_contiguous(a) && !(a = copies[i] = gr_array_copy(a)))
            return GR_EMEM;
        int64_t id = o->bindings[i].tensor->node->id;
        if (f->value[id])
            continue; /* bound twice: the first stays */
        gr_buffer *b = f->value[id] = gr__alloc(1, sizeof *b);
        if (!b)
            return GR_EMEM;
        *b = (gr_buffer){gr_array_dtype(a), gr_array_shape(a), gr_array_data(a)};
    }
    return GR_OK;
}

static bool is_assign(const gr__node *n)
{
    return n->op == &gr_op_assign || n->op == &gr_op_assign_if;
}

static gr_status outputs(frame *f, int n, gr_tensor *const *x, gr_array **out, bool commit)
{
    for (int i = 0; i < n; i++) {
        const gr_buffer *b = &f->value[x[i]->node->id][x[i]->index];
        if (!(out[i] = gr_array_from(b->dtype, b->shape, b->data)))
            return GR_EMEM;
    }
    for (int64_t id = 0; commit && id < f->tape->n_nodes; id++) { /* in recorded order: the last one stays */
        const gr__node *node = f->tape->node[id];
        if (is_assign(node))
            memcpy(node->variable->data, f->value[id][0].data, (size_t)node->variable->bytes);
    }
    return GR_OK;
}

gr_status gr_eval_with(int n, gr_tensor *const *x, gr_array **out, const gr_eval_opts *opts)
{
    const gr_eval_opts none = {.seed = gr_seed()}, *o = opts ? opts : &none;
    env e = {.seed = o->seed, .step = o->step};
    for (int i = 0; i < n; i++)
        out[i] = NULL;
    for (int i = 0; i < n; i++) {
        GR_TRY(gr_status_of(x[i]));
        GR_CHECK(x[i]->node->tape == x[0]->node->tape && !x[i]->node->tape->parent, GR_EARG,
            "eval: argument x: expected tensors of one tape outside regions, found two tapes");
    }
    for (int i = 0; i < o->n_bindings; i++)
        GR_CHECK(!gr__is_bad(o->bindings[i].tensor) && o->bindings[i].value &&
                     o->bindings[i].tensor->node->op == &gr_op_input && n > 0 &&
                     o->bindings[i].tensor->node->tape == x[0]->node->tape,
            GR_EARG, "eval: argument bindings: expected an input of the same tape and an array, at %d", i);
    if (n < 1)
        return GR_OK;
    GR_TRY(find_batch(o, &e));
    const gr_tape *t = x[0]->node->tape;
    frame f;
    gr_array **copies = gr__alloc(o->n_bindings, sizeof *copies);
    gr_status s = copies && frame_new(&f, t) ? GR_OK : GR_EMEM;
    if (s == GR_OK) {
        for (int i = 0; i < n; i++)
            f.uses[x[i]->node->id]++;
        for (int64_t id = 0; o->commit && id < t->n_nodes; id++)
            f.uses[id] += is_assign(t->node[id]);
        count_uses(&f);
        s = bind_inputs(&f, o, copies);
        uint64_t denormals = gr__ftz_on(); /* as programs run */
        if (s == GR_OK)
            s = run(&f, &e);
        gr__ftz_restore(denormals);
        if (s == GR_OK)
            s = outputs(&f, n, x, out, o->commit);
        frame_free(&f);
    }
    for (int i = 0; copies && i < o->n_bindings; i++)
        gr_array_free(copies[i]);
    gr__free(copies);
    for (int i = 0; s != GR_OK && i < n; i++) {
        gr_array_free(out[i]);
        out[i] = NULL;
    }
    return s;
}

gr_array *gr_eval(gr_tensor *x)
{
    gr_array *out;
    return gr_eval_with(1, &x, &out, NULL) == GR_OK ? out : NULL;
}
