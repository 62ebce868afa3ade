/* compiler/order.c: see order.h. */
#include "compiler/order.h"
#include "core/mem.h"
#include <stdlib.h>

static const int64_t apart = INT64_C(1) << 32; /* of neighbours in a fresh order */

/* ---- the graph --------------------------------------------------------------------------------------------------- */

static bool computed(const gr__pnode *n)
{
    return n->live && n->work != GR__LEAF && n->work != GR__ALIAS && n->work != GR__ASSIGN;
}

static bool find_edges(gr__order *o, const gr__plan *p)
{
    int total = 0;
    for (int id = 0; id < o->n; id++)
        total += computed(&p->node[id]) ? p->node[id].node->n_in : 0;
    o->in = gr__alloc(total + 1, sizeof *o->in);
    o->out = gr__alloc(total + 1, sizeof *o->out);
    if (!o->in || !o->out)
        return false;
    total = 0;
    for (int id = 0; id < o->n; id++) {
        for (int i = 0; computed(&p->node[id]) && i < p->node[id].node->n_in; i++, total++) {
            o->in[total] = p->value[gr__read_value(p, id, i)].node;
            o->first_out[o->in[total] + 2]++;
        }
        o->first_in[id + 1] = total;
    }
    for (int id = 0; id < o->n; id++)
        o->first_out[id + 1] += o->first_out[id];
    for (int id = 0; id < o->n; id++)
        for (int k = o->first_in[id]; k < o->first_in[id + 1]; k++)
            o->out[o->first_out[o->in[k] + 1]++] = id;
    return true;
}

void gr__order_free(gr__order *o)
{
    int *const list[] = {o->group, o->first_out, o->out, o->first_in, o->in, o->next, o->last, o->left, o->right,
        o->mark, o->queue[0], o->queue[1]};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        gr__free(list[i]);
    gr__free(o->place);
    *o = (gr__order){0};
}

bool gr__order_new(gr__order *o, const gr__plan *p)
{
    *o = (gr__order){.n = p->n_nodes};
    int **const list[] = {&o->group, &o->first_out, &o->first_in, &o->next, &o->last, &o->left, &o->right, &o->mark,
        &o->queue[0], &o->queue[1]};
    bool good = (o->place = gr__alloc(o->n + 1, sizeof *o->place)) != NULL;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        good = (*list[i] = gr__alloc(o->n + 2, sizeof **list[i])) && good;
    if (!good || !find_edges(o, p))
        return false;
    int before = o->left[o->n] = o->n; /* a ring; n is where it starts and ends */
    for (int id = 0; id < o->n; id++) {
        o->group[id] = -1;
        if (!computed(&p->node[id]))
            continue;
        o->group[id] = o->last[id] = id;
        o->next[id] = -1;
        o->place[id] = (id + 1) * apart;
        o->left[id] = before;
        o->right[before] = id;
        before = id;
    }
    o->right[before] = o->n;
    o->left[o->n] = before;
    return true;
}

/* ---- is there a way around? -------------------------------------------------------------------------------------- */

typedef struct {
    gr__order *o;
    int end[2];          /* the groups to be merged: the search from end[side] looks for the other */
    int head[2], len[2]; /* queue[side] */
    int64_t looked[2];   /* edges */
} search;

/* Follows the edges of a group; true if they lead to where the search from the other end has been. */
static bool follow(search *s, int side, int g)
{
    gr__order *o = s->o;
    const int *first = side ? o->first_in : o->first_out, *list = side ? o->in : o->out;
    int other = s->end[1 - side], seen = o->stamp + side, met = o->stamp + 1 - side;
    o->visits++;
    for (int node = g; node >= 0; node = o->next[node])
        for (int k = first[node]; k < first[node + 1]; k++) {
            int to = o->group[list[k]];
            s->looked[side]++;
            if (to < 0 || to == g || o->mark[to] == seen || (to == other && g == s->end[side]))
                continue;
            if (to == other || o->mark[to] == met)
                return true;
            if (side ? o->place[to] < o->place[other] : o->place[to] > o->place[other])
                continue;
            o->mark[to] = seen;
            o->queue[side][s->len[side]++] = to;
        }
    return false;
}

/* Searches from both ends, where less has been looked at; *side is the one that came to an end. */
static bool way_around(search *s, int *side)
{
    gr__order *o = s->o;
    o->stamp += 2;
    for (int i = 0; i < 2; i++) {
        o->queue[i][s->len[i]++] = s->end[i];
        o->mark[s->end[i]] = o->stamp + i;
    }
    for (;;) {
        *side = s->looked[1] < s->looked[0];
        if (s->head[*side] == s->len[*side])
            return false;
        if (follow(s, *side, o->queue[*side][s->head[*side]++]))
            return true;
    }
}

/* ---- moving ------------------------------------------------------------------------------------------------------ */

static void unlink_group(gr__order *o, int g)
{
    o->right[o->left[g]] = o->right[g];
    o->left[o->right[g]] = o->left[g];
}

static void insert_between(gr__order *o, int g, int left, int right, int64_t place)
{
    o->left[g] = left;
    o->right[g] = right;
    o->right[left] = o->left[right] = g;
    o->place[g] = place;
}

static void spread(gr__order *o)
{
    int64_t place = 0;
    for (int g = o->right[o->n]; g != o->n; g = o->right[g])
        o->place[g] = place += apart;
}

static int64_t place_of(const gr__order *o, int g, int64_t at_the_end)
{
    return g == o->n ? at_the_end : o->place[g];
}

/* By places: few as a rule, and nearly sorted. */
static void sort(const gr__order *o, int *list, int n)
{
    for (int i = 1; i < n; i++) {
        int g = list[i], k = i;
        for (; k > 0 && o->place[list[k - 1]] > o->place[g]; k--)
            list[k] = list[k - 1];
        list[k] = g;
    }
}

/* The groups of a list, in their order, to just right (or left) of where `at` stands. */
static void move(gr__order *o, int *list, int n, int at, bool right)
{
    sort(o, list, n);
    for (int i = 0; i < n; i++)
        unlink_group(o, list[i]);
    for (int tries = 0;; tries++) {
        int low = right ? at : o->left[at], high = right ? o->right[at] : at;
        int64_t from = place_of(o, low, 0), to = place_of(o, high, place_of(o, o->left[o->n], 0) + (n + 1) * apart);
        int64_t step = (to - from) / (n + 1);
        if (!step && !tries) {
            spread(o);
            continue;
        }
        for (int i = 0; i < n; i++) {
            insert_between(o, list[i], low, high, from + (i + 1) * step);
            low = list[i];
        }
        return;
    }
}

bool gr__order_merge(gr__order *o, int a, int b)
{
    search s = {.o = o, .end = {a, b}};
    int side;
    if (way_around(&s, &side))
        return false;
    /* All that comes after a and stood before b moves behind b, where the two will be; or the other way round. */
    move(o, o->queue[side] + 1, s.len[side] - 1, s.end[1 - side], side == 0);
    if (side == 0) {
        unlink_group(o, a);
        insert_between(o, a, o->left[b], o->right[b], o->place[b]);
    } else {
        unlink_group(o, b);
    }
    for (int node = b; node >= 0; node = o->next[node])
        o->group[node] = a;
    o->next[o->last[a]] = b;
    o->last[a] = o->last[b];
    return true;
}
