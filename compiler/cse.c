/* compiler/cse.c: equal pure nodes become one, whatever layer they are of. A tape does this within one layer already.
 * Recomputed copies (clone) are equal only among themselves. */
#include "compiler/graph.h"
#include "core/size.h"
#include <string.h>

typedef struct entry {
    gr_tensor *x;
    uint64_t hash;
    struct entry *next;
} entry;
typedef struct {
    gr__arena arena;
    entry **bucket; /* a power of two of them, at least one a node */
    uint64_t mask;
} table;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ (h >> 29);
}

static int64_t constant_bytes(const gr__node *n)
{
    return n->data ? gr_shape_size(n->out[0].shape) * gr_dtype_size(n->out[0].dtype) : 0;
}

static uint64_t hash_bytes(uint64_t h, const void *data, int64_t bytes)
{
    const unsigned char *p = data;
    for (int64_t i = 0; i < bytes; i++)
        h = mix(h, p[i]);
    return h;
}

static uint64_t hash_of(const gr__node *n, gr_tensor *const *in)
{
    uint64_t h = mix((uint64_t)(uintptr_t)n->op, (uint64_t)n->clone);
    h = mix(h, (uint64_t)(uintptr_t)n->variable);
    h = hash_bytes(h, n->attr, (int64_t)n->op->attr_size);
    for (int i = 0; i < n->n_in; i++)
        h = mix(h, (uint64_t)(uintptr_t)in[i]);
    return hash_bytes(h, n->data, constant_bytes(n));
}

static bool same(const gr__node *a, const gr__node *n, gr_tensor *const *in)
{
    if (a->op != n->op || a->clone != n->clone || a->variable != n->variable || a->n_in != n->n_in ||
        a->out[0].dtype != n->out[0].dtype || !gr_shape_equal(a->out[0].shape, n->out[0].shape))
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (a->in[i] != in[i])
            return false;
    return (!n->op->attr_size || memcmp(a->attr, n->attr, n->op->attr_size) == 0) &&
           (!n->data || memcmp(a->data, n->data, (size_t)constant_bytes(n)) == 0);
}

static gr__rewritten merge(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    table *seen = user;
    if ((n->op->traits & (GR_EFFECT | GR_RANDOM | GR_REGION)) || n->op == &gr_op_input)
        return GR__KEEP;
    uint64_t h = hash_of(n, in);
    entry **head = &seen->bucket[h & seen->mask];
    gr_tensor *x = NULL;
    for (const entry *e = *head; e && !x; e = e->next)
        if (e->hash == h && same(e->x->node, n, in))
            x = e->x;
    if (!x) {
        x = gr__node_keep(t, n->id, in);
        entry *e = gr__arena_alloc(&seen->arena, 1, sizeof *e);
        if (gr__is_bad(x) || !e)
            return GR__FAILED;
        *e = (entry){x, h, *head};
        *head = e;
    }
    for (int i = 0; i < n->n_out; i++)
        result[i] = gr_result(x, i);
    return GR__REPLACED;
}

gr_status gr__pass_cse(gr__graph *g)
{
    int64_t n = 1024;
    while (n < g->tape->n_nodes)
        n *= 2;
    table seen = {.bucket = gr__alloc(n, sizeof(entry *)), .mask = (uint64_t)n - 1};
    gr_status s = seen.bucket ? gr__graph_rewrite(g, merge, &seen) : GR_EMEM;
    gr__free(seen.bucket);
    gr__arena_free(&seen.arena);
    return s;
}
