/* compiler/memory.c: offsets of intermediate values in one arena.
 *
 * Buffers that live at the same time (in phases) must not overlap. They are placed one after the other at the lowest
 * offset where they fit, largest first, then again by size times life, and by birth; the smallest arena is kept. The
 * bound below is the most bytes that live in any one phase. */
#include "compiler/plan.h"
#include "core/size.h"
#include <stdlib.h>

typedef enum { BY_SIZE, BY_AREA, BY_BIRTH, ORDERS } order;
typedef struct {
    int buffer;
    double key;
    int first;
} item;

static int by_key(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static int64_t padded(const gr__buffer *b)
{
    return (b->bytes + 63) & ~(int64_t)63;
}

static bool lives(const gr__buffer *b)
{
    return b->space == GR__ARENA && b->first >= 0;
}

static int fill(const gr__plan *p, order o, item *items)
{
    int n = 0;
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        if (!lives(b))
            continue;
        double size = (double)padded(b), life = b->last - b->first + 1;
        items[n++] = (item){i, o == BY_SIZE ? size : o == BY_AREA ? size * life : -b->first, b->first};
    }
    qsort(items, (size_t)n, sizeof *items, by_key);
    return n;
}

/* Placed buffers sorted by offset: the first gap that is large enough, among those that live at the same time. */
static int64_t lowest_gap(const gr__plan *p, const gr__buffer *b, const int *placed, int n, const int64_t *offset)
{
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        const gr__buffer *q = &p->buffer[placed[i]];
        if (q->last < b->first || q->first > b->last)
            continue;
        if (offset[placed[i]] - at >= padded(b))
            return at;
        int64_t end = offset[placed[i]] + padded(q);
        at = end > at ? end : at;
    }
    return at;
}

static int64_t place(const gr__plan *p, const item *items, int n, int *placed, int64_t *offset)
{
    int64_t top = 0;
    for (int i = 0; i < n; i++) {
        const gr__buffer *b = &p->buffer[items[i].buffer];
        int64_t at = lowest_gap(p, b, placed, i, offset);
        offset[items[i].buffer] = at;
        int k = i;
        for (; k > 0 && offset[placed[k - 1]] > at; k--)
            placed[k] = placed[k - 1];
        placed[k] = items[i].buffer;
        top = at + padded(b) > top ? at + padded(b) : top;
    }
    return top;
}

static int64_t most_live(const gr__plan *p)
{
    int64_t most = 0;
    for (int ph = 0; ph < p->n_phases; ph++) {
        int64_t live = 0;
        for (int i = 0; i < p->n_buffers; i++)
            if (lives(&p->buffer[i]) && p->buffer[i].first <= ph && ph <= p->buffer[i].last)
                live += padded(&p->buffer[i]);
        most = live > most ? live : most;
    }
    return most;
}

static int64_t one_after_the_other(gr__plan *p)
{
    int64_t at = 0;
    for (int i = 0; i < p->n_buffers; i++)
        if (lives(&p->buffer[i])) {
            p->buffer[i].offset = at;
            at += padded(&p->buffer[i]);
        }
    return at;
}

gr_status gr__plan_memory(gr__plan *p)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_buffers; i++)
        if (lives(&p->buffer[i]) && !gr__add(sum, padded(&p->buffer[i]), &sum))
            return gr_fail(GR_EMEM, (gr_at){0}, "program: its values do not fit in memory");
    p->lower_bound = most_live(p);
    if (p->off & GR_PASS_REUSE) {
        p->bytes = one_after_the_other(p);
        return GR_OK;
    }
    item *items = gr__alloc(p->n_buffers + 1, sizeof *items);
    int *placed = gr__alloc(p->n_buffers + 1, sizeof *placed);
    int64_t *offset = gr__alloc(p->n_buffers + 1, sizeof *offset);
    p->bytes = -1;
    for (order o = BY_SIZE; items && placed && offset && o < ORDERS; o++) {
        int n = fill(p, o, items);
        int64_t top = place(p, items, n, placed, offset);
        if (p->bytes >= 0 && top >= p->bytes)
            continue;
        p->bytes = top;
        for (int i = 0; i < n; i++)
            p->buffer[items[i].buffer].offset = offset[items[i].buffer];
    }
    gr__free(items);
    gr__free(placed);
    gr__free(offset);
    return p->bytes < 0 ? GR_EMEM : GR_OK;
}
