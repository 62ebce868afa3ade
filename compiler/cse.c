/* compiler/cse.c: equal pure nodes become one, whatever layer they are of. A tape does this within one layer already.
 * Recomputed copies (clone) are equal only among themselves. */
#include "compiler/graph.h"

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

static gr__rewritten merge(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    table *seen = user;
    if ((n->op->traits & (GR_EFFECT | GR_RANDOM | GR_REGION)) || n->op == &gr_op_input)
        return GR__KEEP;
    uint64_t h = gr__node_hash(n, in, NULL);
    entry **head = &seen->bucket[h & seen->mask];
    gr_tensor *x = NULL;
    for (const entry *e = *head; e && !x; e = e->next)
        if (e->hash == h && gr__nodes_equal(e->x->node, n, in))
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
