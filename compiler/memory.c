/* compiler/memory.c: offsets of intermediate values in one arena.
 *
 * Buffers that live at the same time (in phases) must not overlap. They are placed one after the other at the lowest
 * offset where they fit, largest first, then again by size times life, by birth, by death (last first), and by life,
 * until the arena is hardly larger than it must be; the smallest is kept. Where that is still much larger, the largest
 * that ends too high is placed first, and so on for some rounds. The bound below is the most bytes that live in any one
 * phase. */
#include "compiler/plan.h"
#include "core/size.h"
#include <stdlib.h>
#include <string.h>

enum {
    ENOUGH = 128, /* an arena larger than the bound by this part of it is not worth another search; */
    AWKWARD = 12, /* by this part, worth this many more */
    ROUNDS = 16
};

typedef enum { BY_SIZE, BY_AREA, BY_BIRTH, BY_DEATH, BY_LIFE, ORDERS } order;
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
        const double size = (double)padded(b), life = b->last - b->first + 1;
        const double key[] = {size, size * life, -b->first, b->last, life};
        items[n++] = (item){i, key[o], b->first};
    }
    qsort(items, (size_t)n, sizeof *items, by_key);
    return n;
}

/* A buffer that has its place; in order of offsets. The search goes over all of them, so they lie close together. */
typedef struct {
    int64_t offset, end;
    int first, last;
} placed;

/* The first gap that is large enough, among those that live at the same time. */
static int64_t lowest_gap(const gr__buffer *b, const placed *q, int n)
{
    const int64_t bytes = padded(b);
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        if ((q[i].last < b->first) | (q[i].first > b->last))
            continue;
        if (q[i].offset - at >= bytes)
            return at;
        at = q[i].end > at ? q[i].end : at;
    }
    return at;
}

static int64_t place(const gr__plan *p, const item *items, int n, placed *q, int64_t *offset)
{
    int64_t top = 0;
    for (int i = 0; i < n; i++) {
        const gr__buffer *b = &p->buffer[items[i].buffer];
        const int64_t at = lowest_gap(b, q, i), end = at + padded(b);
        int low = 0, high = i;
        while (low < high) { /* behind those that begin no later */
            const int mid = (low + high) / 2;
            if (q[mid].offset > at)
                high = mid;
            else
                low = mid + 1;
        }
        memmove(q + low + 1, q + low, (size_t)(i - low) * sizeof *q);
        q[low] = (placed){at, end, b->first, b->last};
        offset[items[i].buffer] = at;
        top = end > top ? end : top;
    }
    return top;
}

/* -1: there is no memory to count it. */
static int64_t most_live(const gr__plan *p)
{
    int64_t most = 0, live = 0, *change = gr__alloc(p->n_phases + 1, sizeof *change); /* from phase to phase */
    if (!change)
        return -1;
    for (int i = 0; i < p->n_buffers; i++)
        if (lives(&p->buffer[i])) {
            const int first = p->buffer[i].first, end = p->buffer[i].last + 1;
            change[first < p->n_phases ? first : p->n_phases] += padded(&p->buffer[i]);
            change[end < p->n_phases ? end : p->n_phases] -= padded(&p->buffer[i]);
        }
    for (int ph = 0; ph < p->n_phases; ph++) {
        live += change[ph];
        most = live > most ? live : most;
    }
    gr__free(change);
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

/* Keeps the places, which end at `top`, if they are the best so far. */
static void keep_best(gr__plan *p, const item *items, int n, const int64_t *offset, int64_t top)
{
    if (p->bytes >= 0 && top >= p->bytes)
        return;
    p->bytes = top;
    for (int i = 0; i < n; i++)
        p->buffer[items[i].buffer].offset = offset[items[i].buffer];
}

static bool within(const gr__plan *p, int part)
{
    return p->bytes >= 0 && p->bytes - p->lower_bound <= p->lower_bound / part;
}

/* The largest of those that end beyond the bound comes to the front, for the next round. */
static void push_forward(const gr__plan *p, item *items, int n, const int64_t *offset)
{
    int worst = 0;
    int64_t most = -1;
    for (int i = 0; i < n; i++) {
        const int64_t bytes = padded(&p->buffer[items[i].buffer]);
        if (bytes > most && offset[items[i].buffer] + bytes > p->lower_bound) {
            most = bytes;
            worst = i;
        }
    }
    const item first = items[worst];
    memmove(items + 1, items, (size_t)worst * sizeof *items);
    items[0] = first;
}

gr_status gr__plan_memory(gr__plan *p)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n_buffers; i++)
        if (lives(&p->buffer[i]) && !gr__add(sum, padded(&p->buffer[i]), &sum))
            return gr_fail(GR_EMEM, (gr_at){0}, "program: its values do not fit in memory");
    if ((p->lower_bound = most_live(p)) < 0)
        return GR_EMEM;
    if (p->off & GR_PASS_REUSE) {
        p->bytes = one_after_the_other(p);
        return GR_OK;
    }
    item *items = gr__alloc(p->n_buffers + 1, sizeof *items);
    placed *q = gr__alloc(p->n_buffers + 1, sizeof *q);
    int64_t *offset = gr__alloc(p->n_buffers + 1, sizeof *offset);
    p->bytes = -1;
    const bool room = items && q && offset;
    for (order o = BY_SIZE; room && o < ORDERS && !within(p, ENOUGH); o++) {
        const int n = fill(p, o, items);
        keep_best(p, items, n, offset, place(p, items, n, q, offset));
    }
    const int n = room && !within(p, AWKWARD) ? fill(p, BY_SIZE, items) : 0;
    for (int round = 0; n > 1 && round < ROUNDS && !within(p, AWKWARD); round++) {
        keep_best(p, items, n, offset, place(p, items, n, q, offset));
        push_forward(p, items, n, offset);
    }
    gr__free(items);
    gr__free(q);
    gr__free(offset);
    return p->bytes < 0 ? GR_EMEM : GR_OK;
}
