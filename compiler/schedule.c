/* compiler/schedule.c: steps fall into phases.
 *
 * A step comes after those that write what it reads, and a step that overwrites a variable after all that read the old
 * value. Its phase is one past the latest of these; what only makes values for later waits until just before they are
 * wanted. All steps of a phase may run at once. The phase's work is cut into one range of tasks per thread, by
 * estimated time; a phase too short to be worth waking the team runs on thread 0. */
#include "compiler/plan.h"

static const double serial_ns = 3000, wake_ns = 20000;

typedef struct {
    int *writer;                /* per value: the step, or -1 */
    int *first_reader, *reader; /* per buffer: the steps that read its old content */
    int n_fallible, *fallible;  /* steps */
    int *first_edge;            /* per step: into edge */
    int *edge;                  /* earlier steps */
    int n_edges, cap_edges;
} edges;

static bool add_edge(edges *e, int to)
{
    if (e->n_edges == e->cap_edges) {
        int more = e->cap_edges ? e->cap_edges * 2 : 256;
        int *list = gr__resize(e->edge, more, sizeof *list);
        if (!list)
            return false;
        e->edge = list;
        e->cap_edges = more;
    }
    e->edge[e->n_edges++] = to;
    return true;
}

static bool reads_old(const gr__plan *p, const gr__ref *r)
{
    return !r->write && p->node[p->value[r->value].node].work == GR__LEAF;
}

static bool list_steps(const gr__plan *p, edges *e)
{
    int total = 0;
    e->writer = gr__alloc(p->n_values + 1, sizeof *e->writer);
    e->fallible = gr__alloc(p->n_steps + 1, sizeof *e->fallible);
    e->first_reader = gr__alloc(p->n_buffers + 2, sizeof *e->first_reader);
    if (!e->writer || !e->fallible || !e->first_reader)
        return false;
    for (int v = 0; v < p->n_values; v++)
        e->writer[v] = -1;
    for (int s = 0; s < p->n_steps; s++) {
        if (p->step[s].fallible)
            e->fallible[e->n_fallible++] = s;
        for (int i = 0; i < p->step[s].n_refs; i++) {
            const gr__ref *r = &p->step[s].ref[i];
            if (r->write && r->value >= 0)
                e->writer[r->value] = s;
            if (reads_old(p, r)) {
                e->first_reader[r->buffer + 2]++;
                total++;
            }
        }
    }
    if (!(e->reader = gr__alloc(total + 1, sizeof *e->reader)))
        return false;
    for (int b = 0; b < p->n_buffers; b++)
        e->first_reader[b + 1] += e->first_reader[b];
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->step[s].n_refs; i++)
            if (reads_old(p, &p->step[s].ref[i]))
                e->reader[e->first_reader[p->step[s].ref[i].buffer + 1]++] = s;
    return true;
}

/* What has to come before variable buffer `b` is overwritten: all that read its old value, and all that may still fail.
 */
static bool before_overwriting(edges *e, int step, int b)
{
    for (int i = 0; i < e->n_fallible; i++)
        if (e->fallible[i] != step && !add_edge(e, e->fallible[i]))
            return false;
    for (int i = e->first_reader[b]; i < e->first_reader[b + 1]; i++)
        if (e->reader[i] != step && !add_edge(e, e->reader[i]))
            return false;
    return true;
}

static bool find_edges(const gr__plan *p, edges *e)
{
    e->first_edge = gr__alloc(p->n_steps + 2, sizeof *e->first_edge);
    if (!e->first_edge || !list_steps(p, e))
        return false;
    for (int s = 0; s < p->n_steps; s++) {
        for (int i = 0; i < p->step[s].n_refs; i++) {
            const gr__ref *r = &p->step[s].ref[i];
            bool good = true;
            if (!r->write && e->writer[r->value] >= 0 && e->writer[r->value] != s)
                good = add_edge(e, e->writer[r->value]);
            else if (r->write && p->buffer[r->buffer].space == GR__VARIABLE)
                good = before_overwriting(e, s, r->buffer);
            if (!good)
                return false;
        }
        e->first_edge[s + 1] = e->n_edges;
    }
    return true;
}

/* Longest path from the start; 0 while not known, -1 while being asked. */
static bool level(gr__plan *p, const edges *e, int s, int *level_of)
{
    if (level_of[s] > 0)
        return true;
    if (level_of[s] < 0)
        return false; /* a cycle */
    level_of[s] = -1;
    int most = 0;
    for (int i = e->first_edge[s]; i < e->first_edge[s + 1]; i++) {
        if (!level(p, e, e->edge[i], level_of))
            return false;
        most = level_of[e->edge[i]] > most ? level_of[e->edge[i]] : most;
    }
    level_of[s] = most + 1;
    return true;
}

/* Does the step make more than it is likely to free? Then it had better wait. */
static bool grows(const gr__plan *p, const gr__step *s)
{
    int64_t made = 0, read = 0;
    for (int i = 0; i < s->n_refs; i++) {
        const gr__buffer *b = &p->buffer[s->ref[i].buffer];
        if (b->space == GR__ARENA)
            *(s->ref[i].write ? &made : &read) += b->bytes;
    }
    return made > read;
}

/* Does it store what is computed again because it was not to be kept? Then early is what it must not be. */
static bool recomputes(const gr__plan *p, const gr__step *s)
{
    for (int i = 0; i < s->n_refs; i++) {
        const gr__ref *r = &s->ref[i];
        if (r->write && r->value >= 0 && p->buffer[r->buffer].space == GR__ARENA && p->value[r->value].node >= 0 &&
            p->node[p->value[r->value].node].node->clone)
            return true;
    }
    return false;
}

/* The steps in the order of their phases, at[ph] .. at[ph + 1] those of one; `at` has n_phases + 2. */
static void by_phase(const gr__plan *p, const int *phase, int *at, int *sorted)
{
    for (int ph = 0; ph < p->n_phases + 2; ph++)
        at[ph] = 0;
    for (int s = 0; s < p->n_steps; s++)
        at[phase[s] + 2]++;
    for (int ph = 0; ph < p->n_phases; ph++)
        at[ph + 1] += at[ph];
    for (int s = 0; s < p->n_steps; s++)
        sorted[at[phase[s] + 1]++] = s;
}

static gr_status sort_steps(gr__plan *p, const int *at, const int *order)
{
    gr__step *sorted = gr__arena_alloc(&p->arena, p->n_steps + 1, sizeof *sorted);
    p->phase = gr__arena_alloc(&p->arena, p->n_phases + 1, sizeof *p->phase);
    if (!sorted || !p->phase)
        return GR_EMEM;
    for (int ph = 0; ph < p->n_phases; ph++) {
        p->phase[ph].first = at[ph];
        p->phase[ph].end = at[ph + 1];
        for (int i = at[ph]; i < at[ph + 1]; i++) {
            sorted[i] = p->step[order[i]];
            sorted[i].phase = ph;
            if (sorted[i].group >= 0)
                p->group[sorted[i].group].step = i;
        }
    }
    p->step = sorted;
    return GR_OK;
}

/* What only makes values for later waits; the last phase is settled first. */
static void wait_till_wanted(const gr__plan *p, const edges *e, const int *order, int *phase, int *latest)
{
    for (int s = 0; s < p->n_steps; s++)
        latest[s] = p->n_phases - 1;
    for (int i = p->n_steps - 1; i >= 0; i--) {
        const int s = order[i];
        if (!p->step[s].fallible && latest[s] > phase[s] && (grows(p, &p->step[s]) || recomputes(p, &p->step[s])))
            phase[s] = latest[s];
        for (int k = e->first_edge[s]; k < e->first_edge[s + 1]; k++)
            if (latest[e->edge[k]] > phase[s] - 1)
                latest[e->edge[k]] = phase[s] - 1;
    }
}

static gr_status find_phases(gr__plan *p, const edges *e)
{
    const int64_t n = p->n_steps;
    int *room = gr__alloc(4 * n + 2, sizeof *room), *phase = room, *latest = room + n, *order = room + 2 * n,
        *at = room + 3 * n; /* there are no more phases than steps */
    if (!room)
        return GR_EMEM;
    for (int s = 0; s < p->n_steps; s++) {
        if (!level(p, e, s, phase)) {
            gr__free(room);
            return gr_fail(GR_ESTATE, (gr_at){0}, "program: groups depend on each other in a circle");
        }
        p->n_phases = phase[s] > p->n_phases ? phase[s] : p->n_phases;
    }
    for (int s = 0; s < p->n_steps; s++)
        phase[s]--;
    by_phase(p, phase, at, order);
    wait_till_wanted(p, e, order, phase, latest);
    by_phase(p, phase, at, order);
    gr_status status = sort_steps(p, at, order);
    gr__free(room);
    return status;
}

/* ---- who does what ----------------------------------------------------------------------------------------------- */

static double cost(const gr__step *s)
{
    return s->task_ns * (double)s->tasks;
}

/* Each step is cut into one range of tasks per thread, all of about the same time: what a thread finds in its cache is
 * what it left there in the phases before. What a step's tasks are too large to share evenly, the next step makes up
 * for. Pinned steps are thread 0's. */
static gr_status share(gr__plan *p, gr__phase_plan *ph)
{
    double total = 0, given[GR_MAX_THREADS + 1] = {0}; /* given[t]: to the threads before t */
    for (int s = ph->first; s < ph->end; s++)
        total += cost(&p->step[s]);
    ph->serial = p->threads == 1 || (total < serial_ns && !(p->off & GR_PASS_SERIAL));
    total = 0;
    for (int s = ph->first; s < ph->end; s++)
        total += p->step[s].pinned ? cost(&p->step[s]) : 0;
    for (int t = 1; t <= p->threads; t++)
        given[t] = total;
    for (int s = ph->first; s < ph->end; s++) {
        gr__step *st = &p->step[s];
        st->begin = gr__arena_alloc(&p->arena, p->threads + 1, sizeof *st->begin);
        if (!st->begin)
            return GR_EMEM;
        total += st->pinned ? 0 : cost(st);
        for (int t = 1; t <= p->threads; t++) {
            double more = total * t / p->threads - given[t];
            int64_t n = st->task_ns > 0 ? (int64_t)(more / st->task_ns + 0.5) : st->tasks * t / p->threads;
            n = n < st->begin[t - 1] ? st->begin[t - 1] : n > st->tasks ? st->tasks : n;
            st->begin[t] = st->pinned || ph->serial || t == p->threads ? st->tasks : n;
            given[t] += st->pinned ? 0 : st->task_ns * (double)st->begin[t];
        }
    }
    return GR_OK;
}

static void lives(gr__plan *p)
{
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->step[s].n_refs; i++) {
            gr__buffer *b = &p->buffer[p->step[s].ref[i].buffer];
            int ph = p->step[s].phase;
            b->last = b->first < 0 || ph > b->last ? ph : b->last;
            b->first = b->first < 0 || ph < b->first ? ph : b->first;
        }
    for (int i = 0; i < p->graph->n_out; i++) {
        gr__buffer *b = &p->buffer[p->value[p->out_value[i]].buffer];
        b->last = p->n_phases - 1; /* copied out at the end */
    }
}

gr_status gr__plan_schedule(gr__plan *p)
{
    edges e = {0};
    gr_status s = find_edges(p, &e) ? find_phases(p, &e) : GR_EMEM;
    gr__free(e.writer);
    gr__free(e.first_reader);
    gr__free(e.reader);
    gr__free(e.fallible);
    gr__free(e.first_edge);
    gr__free(e.edge);
    double total = 0;
    for (int i = 0; i < p->n_steps; i++)
        total += cost(&p->step[i]);
    if (total < wake_ns && !(p->off & GR_PASS_SERIAL))
        p->threads = 1;
    for (int i = 0; s == GR_OK && i < p->n_phases; i++) {
        s = share(p, &p->phase[i]);
        p->phase[i].barrier = i > 0 && !(p->phase[i].serial && p->phase[i - 1].serial);
    }
    if (s == GR_OK)
        lives(p);
    return s;
}
