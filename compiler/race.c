/* compiler/race.c: is the plan sound, byte by byte? Under GRAPE_VERIFY and in tests.
 *
 * Phase after phase it follows what every byte of the arena and of the variables holds. What a task reads must have
 * been written whole, by a phase before (or by the task itself, just now), and still be there; no two tasks of a phase
 * touch the same byte unless both read it; and no step touches what it does not refer to, for lifetimes and phases
 * follow from those references. Where reads go is told by steps (touch.h), not by the places that memory.c and
 * schedule.c worked out, so these are checked as well. First by the bytes from an operand's first to its last, which is
 * enough nearly always; run by run where that is too much. */
#include "compiler/touch.h"
#include <stdlib.h>

enum { NOTHING = -2 }; /* what a byte holds that nobody has written; -1 is the commit of a variable, as in gr__ref */

typedef struct {
    int64_t begin, end;
    int value; /* or NOTHING */
    int step;  /* that wrote it; -1: it was there before */
} span;

typedef struct {
    int64_t begin, reach; /* up to where this one goes, and those before it */
    int64_t touch;
} written;

typedef struct {
    const gr__plan *p;
    int64_t *base; /* per buffer: arena, inputs and variables one after the other */
    span *held;    /* all of that, in order */
    int64_t n_held, room;
    gr__touches now; /* of the phase */
    written *write;  /* those that write, by where they begin */
} checker;

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static const char *space_of(const gr__buffer *b)
{
    static const char *const names[] = {"the arena", "an input", "a variable", "a constant"};
    return names[b->space];
}

static const gr__node *node_of(const gr__plan *p, const gr__buffer *b)
{
    return p->node[p->value[b->value].node].node;
}

/* "step map 4x4 +1, task 2, writes bytes 64 .. 127 of the arena (node 7, add)" */
static const char *told(const checker *c, const gr__touch *t, char *text, size_t size)
{
    const gr__buffer *b = &c->p->buffer[t->buffer];
    const gr__node *n = b->value >= 0 && c->p->n_values ? node_of(c->p, b) : NULL;
    int64_t from = b->space == GR__ARENA ? b->offset : 0;
    char task[40] = "";
    if (t->task != GR__WHOLE_STEP)
        snprintf(task, sizeof task, ", task %lld,", (long long)t->task);
    snprintf(text, size, "step %d (%s)%s %s bytes %lld .. %lld of %s (node %lld, %s)", t->step,
        c->p->step[t->step].name, task, t->write ? "writes" : "reads", (long long)(from + t->at),
        (long long)(from + gr__touch_end(t) - 1), space_of(b), n ? (long long)n->id : 0LL, n ? n->op->name : "");
    return text;
}

static gr_status unsound(const checker *c, const gr__touch *t, const char *why)
{
    char text[300];
    return gr_fail(
        GR_ESTATE, (gr_at){0}, "plan: phase %d: %s%s", c->p->step[t->step].phase, told(c, t, text, sizeof text), why);
}

static gr_status clash(const checker *c, const gr__touch *a, const gr__touch *b)
{
    char one[300], two[300];
    return gr_fail(GR_ESTATE, (gr_at){0}, "plan: phase %d: %s, while %s", c->p->step[a->step].phase,
        told(c, a, one, sizeof one), told(c, b, two, sizeof two));
}

/* ---- what bytes hold --------------------------------------------------------------------------------------------- */

/* The first range that ends behind `at`. */
static int64_t find(const checker *c, int64_t at)
{
    int64_t low = 0, high = c->n_held;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (c->held[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Cuts the range in which `at` lies, so that one begins there; ranges leave no gap. */
static bool cut(checker *c, int64_t at)
{
    int64_t i = find(c, at);
    if (i == c->n_held || c->held[i].begin == at)
        return true;
    if (c->n_held == c->room) {
        span *more = gr__resize(c->held, 2 * c->room, sizeof *more);
        if (!more)
            return false;
        c->held = more;
        c->room *= 2;
    }
    for (int64_t k = c->n_held++; k > i; k--)
        c->held[k] = c->held[k - 1];
    c->held[i].end = c->held[i + 1].begin = at;
    return true;
}

static bool hold(checker *c, int64_t begin, int64_t end, int value, int step)
{
    if (begin >= end)
        return true;
    if (!cut(c, begin) || !cut(c, end))
        return false;
    int64_t first = find(c, begin), next = find(c, end);
    c->held[first] = (span){begin, end, value, step};
    for (int64_t k = next; k < c->n_held && next > first + 1; k++)
        c->held[first + 1 + k - next] = c->held[k];
    c->n_held -= next - first - 1;
    return true;
}

/* Does the step refer to this value of the buffer, or to any? */
static bool refers(const gr__step *s, int buffer, bool write, const int *value)
{
    for (int i = 0; i < s->n_refs; i++)
        if (s->ref[i].buffer == buffer && s->ref[i].write == write && (!value || s->ref[i].value == *value))
            return true;
    return false;
}

/* The first range of begin .. end that does not hold what the step reads there; NULL: all do. */
static const span *missing(const checker *c, const gr__touch *t, int64_t begin, int64_t end)
{
    for (int64_t i = find(c, begin); i < c->n_held && c->held[i].begin < end; i++)
        if (!refers(&c->p->step[t->step], t->buffer, false, &c->held[i].value))
            return &c->held[i];
    return NULL;
}

static gr_status is_there(const checker *c, const gr__touch *t)
{
    const int64_t base = c->base[t->buffer], runs = gr__touch_runs(t);
    int64_t at = base + t->at;
    const span *bad = missing(c, t, at, base + gr__touch_end(t));
    if (bad && t->axes) {
        bad = NULL;
        for (int64_t i = 0; !bad && i < runs; i++) {
            at = base + gr__touch_run_at(t, i);
            bad = missing(c, t, at, at + t->run);
        }
    }
    if (!bad)
        return GR_OK;
    char why[200];
    int64_t from = bad->begin > at ? bad->begin : at;
    from -= base - (c->p->buffer[t->buffer].space == GR__ARENA ? c->p->buffer[t->buffer].offset : 0);
    if (bad->step < 0)
        snprintf(why, sizeof why, ", but nothing has written byte %lld before", (long long)from);
    else
        snprintf(why, sizeof why, ", but byte %lld holds what step %d (%s) of phase %d wrote for another value",
            (long long)from, bad->step, c->p->step[bad->step].name, c->p->step[bad->step].phase);
    return unsound(c, t, why);
}

/* ---- a phase ----------------------------------------------------------------------------------------------------- */

static bool collect(checker *c, const gr__phase_plan *ph)
{
    c->now.n = 0;
    for (int s = ph->first; s < ph->end; s++) {
        const gr__step *step = &c->p->step[s];
        int64_t first = step->touches ? 0 : GR__WHOLE_STEP, end = step->touches ? step->tasks : first + 1;
        for (int64_t k = first; k < end; k++)
            gr__touch_task(c->p, s, k, &c->now);
    }
    return !c->now.failed;
}

/* Did the same task write, a moment ago, what it reads? */
static bool own(const checker *c, int64_t i)
{
    const gr__touch *t = &c->now.list[i];
    for (int64_t k = i - 1; k >= 0 && c->now.list[k].step == t->step && c->now.list[k].task == t->task; k--)
        if (c->now.list[k].write && c->now.list[k].buffer == t->buffer && gr__touch_holds(&c->now.list[k], t))
            return true;
    return false;
}

static gr_status touches_are_sound(const checker *c)
{
    for (int64_t i = 0; i < c->now.n; i++) {
        const gr__touch *t = &c->now.list[i];
        const gr__step *s = &c->p->step[t->step];
        const gr__buffer *b = &c->p->buffer[t->buffer];
        if (t->at < 0 || gr__touch_end(t) > b->bytes)
            return unsound(c, t, ", which are not all of that value");
        if (t->write && (b->space == GR__INPUT || b->space == GR__CONSTANT))
            return unsound(c, t, ", which nobody may");
        if (refers(s, t->buffer, true, NULL) && !t->write && own(c, i))
            continue;
        if (!refers(s, t->buffer, t->write, NULL))
            return unsound(c, t, ", which it does not refer to");
        if (!t->write && (b->space == GR__ARENA || b->space == GR__VARIABLE))
            GR_TRY(is_there(c, t));
    }
    return GR_OK;
}

static int by_begin(const void *a, const void *b)
{
    const written *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* The phase's writes in order, and how far they reach. */
static int64_t sort_writes(checker *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->now.n; i++) {
        const gr__touch *t = &c->now.list[i];
        if (t->write)
            c->write[n++] = (written){c->base[t->buffer] + t->at, c->base[t->buffer] + gr__touch_end(t), i};
    }
    qsort(c->write, (size_t)n, sizeof *c->write, by_begin);
    for (int64_t i = 1; i < n; i++)
        c->write[i].reach = c->write[i - 1].reach > c->write[i].reach ? c->write[i - 1].reach : c->write[i].reach;
    return n;
}

/* The last of the writes that begin before `at`. */
static int64_t last_before(const checker *c, int64_t n, int64_t at)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (c->write[middle].begin < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static gr_status no_task_meets_another(const checker *c, int64_t n)
{
    for (int64_t i = 0; i < c->now.n; i++) {
        const gr__touch *t = &c->now.list[i];
        int64_t begin = c->base[t->buffer] + t->at;
        for (int64_t k = last_before(c, n, c->base[t->buffer] + gr__touch_end(t)); k >= 0 && c->write[k].reach > begin;
             k--) {
            const gr__touch *w = &c->now.list[c->write[k].touch];
            bool same = w->step == t->step && w->task == t->task && w->buffer == t->buffer;
            if (!same && gr__touch_meet(w, t, c->base[t->buffer] - c->base[w->buffer]))
                return w < t ? clash(c, w, t) : clash(c, t, w);
        }
    }
    return GR_OK;
}

/* What the step makes of this value lies in one run if the tasks' parts, which lie apart, are as many bytes as that. */
static bool in_one_run(checker *c, int step, int buffer, int value)
{
    int64_t begin = INT64_MAX, end = 0, bytes = 0;
    const gr__touch *before = NULL;
    for (int64_t i = 0; i < c->now.n; i++) {
        const gr__touch *t = &c->now.list[i];
        if (t->step != step || t->buffer != buffer || !t->write)
            continue;
        if (before && before->task == t->task) /* the same part once more, perhaps */
            return false;
        before = t;
        bytes += gr__touch_bytes(t);
        begin = t->at < begin ? t->at : begin;
        end = gr__touch_end(t) > end ? gr__touch_end(t) : end;
    }
    return before && bytes == end - begin && hold(c, c->base[buffer] + begin, c->base[buffer] + end, value, step);
}

static bool run_by_run(checker *c, int step, int buffer, int value)
{
    bool good = true;
    for (int64_t i = 0; good && i < c->now.n; i++) {
        const gr__touch *t = &c->now.list[i];
        int64_t runs = gr__touch_runs(t);
        for (int64_t k = 0; t->step == step && t->buffer == buffer && t->write && good && k < runs; k++) {
            int64_t at = c->base[buffer] + gr__touch_run_at(t, k);
            good = hold(c, at, at + t->run, value, step);
        }
    }
    return good;
}

static gr_status check_phase(checker *c, const gr__phase_plan *ph)
{
    if (!collect(c, ph))
        return GR_EMEM;
    GR_TRY(touches_are_sound(c));
    gr__free(c->write);
    if (!(c->write = gr__alloc(c->now.n + 1, sizeof *c->write)))
        return GR_EMEM;
    GR_TRY(no_task_meets_another(c, sort_writes(c)));
    for (int s = ph->first; s < ph->end; s++)
        for (int i = 0; i < c->p->step[s].n_refs; i++) {
            const gr__ref *r = &c->p->step[s].ref[i];
            if (r->write && !in_one_run(c, s, r->buffer, r->value) && !run_by_run(c, s, r->buffer, r->value))
                return GR_EMEM;
        }
    return GR_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* The leaf whose elements a variable's buffer holds at first. */
static int old_value(const gr__plan *p, int buffer)
{
    for (int v = 0; v < p->n_values; v++)
        if (p->value[v].buffer == buffer && p->node[p->value[v].node].work == GR__LEAF)
            return v;
    return NOTHING;
}

static bool start(checker *c)
{
    const gr__plan *p = c->p;
    int64_t end = p->bytes;
    c->room = 64 + 2 * (int64_t)p->n_buffers;
    c->base = gr__alloc(p->n_buffers + 1, sizeof *c->base);
    c->held = gr__alloc(c->room, sizeof *c->held);
    if (!c->base || !c->held)
        return false;
    if (end > 0)
        c->held[c->n_held++] = (span){0, end, NOTHING, -1};
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        c->base[i] = b->space == GR__ARENA ? b->offset : end;
        if (b->space == GR__ARENA || !b->bytes)
            continue;
        c->held[c->n_held++] = (span){end, end + b->bytes, b->space == GR__VARIABLE ? old_value(p, i) : NOTHING, -1};
        end += b->bytes;
    }
    return true;
}

/* Outputs are copied out of where they lie at the end; what is assigned is in its variable by then. */
static gr_status results_are_there(const checker *c)
{
    const gr__plan *p = c->p;
    for (int i = 0; p->graph && i < p->graph->n_out; i++) {
        const gr__value *v = &p->value[p->out_value[i]];
        int64_t at = c->base[v->buffer], end = at + p->buffer[v->buffer].bytes;
        for (int64_t k = find(c, at); p->node[v->node].work != GR__LEAF && k < c->n_held && c->held[k].begin < end; k++)
            GR_CHECK(c->held[k].value == p->out_value[i], GR_ESTATE,
                "plan: output %d (node %d, %s) is not there at the end: step %d has written over it, or none has made "
                "it",
                i, v->node, p->node[v->node].node->op->name, c->held[k].step);
    }
    for (int i = 0; p->graph && i < p->graph->n_commit; i++) {
        int root = gr__root(p, p->graph->commit[i]), to = p->commit_buffer[i];
        int64_t at = c->base[to], end = at + p->buffer[to].bytes;
        for (int64_t k = find(c, at); k < c->n_held && c->held[k].begin < end; k++)
            GR_CHECK(c->held[k].value == root || c->held[k].value == -1, GR_ESTATE,
                "plan: variable %s does not hold its new value at the end", p->graph->commit[i]->node->variable->path);
    }
    return GR_OK;
}

/* Once something is in a variable there is no way back. */
static gr_status nothing_fails_late(const gr__plan *p)
{
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->step[s].n_refs; i++)
            for (int f = 0; p->step[s].ref[i].write && f < p->n_steps; f++)
                GR_CHECK(p->buffer[p->step[s].ref[i].buffer].space != GR__VARIABLE || f == s || !p->step[f].fallible ||
                             p->step[f].phase < p->step[s].phase,
                    GR_ESTATE, "plan: step %d (%s) may fail when step %d (%s) has written to a variable", f,
                    p->step[f].name, s, p->step[s].name);
    return GR_OK;
}

gr_status gr__plan_verify_bytes(const gr__plan *p)
{
    checker c = {.p = p};
    gr_status s = start(&c) ? nothing_fails_late(p) : GR_EMEM;
    for (int i = 0; s == GR_OK && i < p->n_phases; i++)
        s = check_phase(&c, &p->phase[i]);
    if (s == GR_OK)
        s = results_are_there(&c);
    gr__free(c.base);
    gr__free(c.held);
    gr__free(c.write);
    gr__free(c.now.list);
    return s;
}
