/* compiler/memory.c: offsets of intermediate values in one arena.
 *
 * Buffers that live at the same time (in phases) must not overlap. They are placed one after the other at the lowest
 * offset where they fit, largest first, then again by size times life, by birth, by death (last first), and by life,
 * until the arena is hardly larger than it must be; the smallest is kept. Should none be close, what sticks out of each
 * goes first, a few times. The bound below is the most bytes that live in any one phase. */
#include "compiler/plan.h"
#include "core/size.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENOUGH = 128,         /* an arena larger than the bound by this part of it is not worth another search; */
    CLOSE = 16,           /* by this, not more than one in each order */
    MOST_TRIES = 16,      /* to improve an order, */
    MOST_PLACED = 1 << 14 /* buffers in all of them together */
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

/* ---- placing ----------------------------------------------------------------------------------------------------- */

enum { RUN = 32 };
#define MOST_RUNS(n) (2 * (n) / RUN + 2) /* all but the first are at least half full, at first */

typedef struct {
    int64_t offset, end;
    int first, last;
} placed;

/* Some of the buffers that have their place, in order of offsets, then of births. */
typedef struct {
    int n;
    int first_least, first_most, last_least, last_most; /* of them all */
    int64_t end, gap; /* where the last of them ends; the widest gap between them */
    placed of[RUN];
} run;

/* All of them, in runs in that order. Most runs can be passed by as a whole: they lie below what is known to be full,
 * none of theirs lives at the time in question, or all do and leave no room. */
typedef struct {
    int n, *order;
    run *runs;
} shelf;

static void summarize(run *r)
{
    r->first_least = r->last_least = INT_MAX;
    r->first_most = r->last_most = -1;
    r->end = r->n ? r->of[0].offset : 0;
    r->gap = 0;
    for (int i = 0; i < r->n; i++) {
        const int first = r->of[i].first, last = r->of[i].last;
        r->first_least = first < r->first_least ? first : r->first_least;
        r->first_most = first > r->first_most ? first : r->first_most;
        r->last_least = last < r->last_least ? last : r->last_least;
        r->last_most = last > r->last_most ? last : r->last_most;
        r->gap = r->of[i].offset - r->end > r->gap ? r->of[i].offset - r->end : r->gap;
        r->end = r->of[i].end > r->end ? r->of[i].end : r->end;
    }
}

/* Is there room for b below or in the run? *at is how far up it is full at b's time. */
static bool fits_in(const run *r, const gr__buffer *b, int64_t *at)
{
    const int64_t bytes = padded(b);
    if (r->end <= *at || r->last_most < b->first || r->first_least > b->last)
        return false;
    if (r->last_least >= b->first && r->first_most <= b->last && r->of[0].offset - *at < bytes && r->gap < bytes) {
        *at = r->end > *at ? r->end : *at;
        return false;
    }
    for (int i = 0; i < r->n; i++) {
        if ((r->of[i].last < b->first) | (r->of[i].first > b->last))
            continue;
        if (r->of[i].offset - *at >= bytes)
            return true;
        *at = r->of[i].end > *at ? r->of[i].end : *at;
    }
    return false;
}

/* The first gap that is large enough, among those that live at the same time. */
static int64_t lowest_gap(const gr__buffer *b, const shelf *s)
{
    int64_t at = 0;
    for (int k = 0; k < s->n; k++)
        if (fits_in(&s->runs[s->order[k]], b, &at))
            break;
    return at;
}

/* The upper half of run k becomes a run of its own. */
static void split(shelf *s, int k)
{
    run *low = &s->runs[s->order[k]], *high = &s->runs[s->n];
    memmove(s->order + k + 2, s->order + k + 1, (size_t)(s->n - k - 1) * sizeof *s->order);
    s->order[k + 1] = s->n++;
    high->n = RUN - RUN / 2;
    low->n = RUN / 2;
    memcpy(high->of, low->of + low->n, (size_t)high->n * sizeof *low->of);
    summarize(low);
    summarize(high);
}

static bool comes_later(const placed *a, const placed *b)
{
    return a->offset != b->offset ? a->offset > b->offset : a->first > b->first;
}

static void put(shelf *s, const placed *b)
{
    int low = 0, high = s->n - 1, i = 0;
    while (low < high) { /* the last run that begins no later */
        const int mid = (low + high + 1) / 2;
        if (comes_later(&s->runs[s->order[mid]].of[0], b))
            high = mid - 1;
        else
            low = mid;
    }
    if (s->runs[s->order[low]].n == RUN) {
        split(s, low);
        low += !comes_later(&s->runs[s->order[low + 1]].of[0], b);
    }
    run *r = &s->runs[s->order[low]];
    while (i < r->n && !comes_later(&r->of[i], b))
        i++;
    memmove(r->of + i + 1, r->of + i, (size_t)(r->n++ - i) * sizeof *r->of);
    r->of[i] = *b;
    summarize(r);
}

/* The size of the arena. */
static int64_t place(const gr__plan *p, const item *items, int n, shelf *s, int64_t *offset)
{
    int64_t top = 0;
    s->n = 1;
    s->order[0] = 0;
    s->runs[0].n = 0;
    summarize(&s->runs[0]);
    for (int i = 0; i < n; i++) {
        const gr__buffer *b = &p->buffer[items[i].buffer];
        const int64_t at = lowest_gap(b, s), end = at + padded(b);
        put(s, &(placed){at, end, b->first, b->last});
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

/* ---- the search -------------------------------------------------------------------------------------------------- */

typedef struct {
    gr__plan *p;
    int n;
    item *items;
    int64_t *offset; /* per buffer */
    shelf shelf;
} search;

/* The arena that comes of the items in their order; the plan's, if it is smaller. */
static int64_t try_items(search *s)
{
    gr__plan *p = s->p;
    const int64_t top = place(p, s->items, s->n, &s->shelf, s->offset);
    if (p->bytes >= 0 && top >= p->bytes)
        return top;
    p->bytes = top;
    for (int i = 0; i < s->n; i++)
        p->buffer[s->items[i].buffer].offset = s->offset[s->items[i].buffer];
    return top;
}

static bool within(const gr__plan *p, int64_t part)
{
    return p->bytes - p->lower_bound <= p->lower_bound / part;
}

/* What sticks out is placed first of all, again and again. */
static void improve(search *s)
{
    int64_t top = place(s->p, s->items, s->n, &s->shelf, s->offset);
    int tries = s->n > MOST_PLACED / MOST_TRIES ? MOST_PLACED / s->n : MOST_TRIES;
    for (; tries > 0 && !within(s->p, CLOSE); tries--) {
        int i = 0;
        while (s->offset[s->items[i].buffer] + padded(&s->p->buffer[s->items[i].buffer]) < top)
            i++;
        const item out = s->items[i];
        memmove(s->items + 1, s->items, (size_t)i * sizeof *s->items);
        s->items[0] = out;
        top = try_items(s);
    }
}

static void try_orders(search *s)
{
    for (order o = BY_SIZE; o < ORDERS && (o == BY_SIZE || !within(s->p, ENOUGH)); o++) {
        s->n = fill(s->p, o, s->items);
        try_items(s);
    }
    for (order o = BY_SIZE; o < ORDERS && !within(s->p, CLOSE); o++) {
        s->n = fill(s->p, o, s->items);
        improve(s);
    }
}

gr_status gr__plan_memory(gr__plan *p)
{
    int64_t sum = 0, n = p->n_buffers + 1;
    for (int i = 0; i < p->n_buffers; i++)
        if (lives(&p->buffer[i]) && !gr__add(sum, padded(&p->buffer[i]), &sum))
            return gr_fail(GR_EMEM, (gr_at){0}, "program: its values do not fit in memory");
    if ((p->lower_bound = most_live(p)) < 0)
        return GR_EMEM;
    if (p->off & GR_PASS_REUSE) {
        p->bytes = one_after_the_other(p);
        return GR_OK;
    }
    search s = {.p = p, .items = gr__alloc(n, sizeof *s.items), .offset = gr__alloc(n, sizeof *s.offset)};
    s.shelf.order = gr__alloc(MOST_RUNS(n), sizeof *s.shelf.order);
    s.shelf.runs = gr__alloc(MOST_RUNS(n), sizeof *s.shelf.runs);
    p->bytes = -1;
    if (s.items && s.offset && s.shelf.order && s.shelf.runs)
        try_orders(&s);
    gr__free(s.items);
    gr__free(s.offset);
    gr__free(s.shelf.order);
    gr__free(s.shelf.runs);
    return p->bytes < 0 ? GR_EMEM : GR_OK;
}
