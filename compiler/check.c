/* compiler/check.c: is the plan sound? Brute force, for test builds: buffers that live at one time do not overlap,
 * whatever one step writes and another touches lies in different phases, in the right order, and every task is run
 * once. Read next: race.c, which does not take the buffers' word for it. */
#include "compiler/plan.h"

static bool overlap(const gr__buffer *a, const gr__buffer *b)
{
    return a->space == GR__ARENA && b->space == GR__ARENA && a->first >= 0 && b->first >= 0 && a->bytes && b->bytes &&
           a->first <= b->last && b->first <= a->last && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static gr_status memory_is_sound(const gr__plan *p)
{
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *a = &p->buffer[i];
        GR_CHECK(a->space != GR__ARENA || a->first < 0 || (a->offset % 64 == 0 && a->offset + a->bytes <= p->bytes),
            GR_ESTATE, "plan: buffer %d lies outside the arena", i);
        for (int k = 0; k < i; k++)
            GR_CHECK(
                !overlap(a, &p->buffer[k]), GR_ESTATE, "plan: buffers %d and %d share memory while both live", i, k);
    }
    return GR_OK;
}

static gr_status no_race(const gr__plan *p, const gr__step *a, const gr__step *b)
{
    for (int i = 0; i < a->n_refs; i++)
        for (int k = 0; k < b->n_refs; k++)
            GR_CHECK(a->ref[i].buffer != b->ref[k].buffer || !(a->ref[i].write || b->ref[k].write), GR_ESTATE,
                "plan: steps %s and %s touch buffer %d in one phase", a->name, b->name, a->ref[i].buffer);
    (void)p;
    return GR_OK;
}

static gr_status reads_follow_writes(const gr__plan *p)
{
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->step[s].n_refs; i++) {
            const gr__ref *r = &p->step[s].ref[i];
            if (r->write || p->node[p->value[r->value].node].work == GR__LEAF)
                continue;
            bool found = false;
            for (int w = 0; w < p->n_steps; w++)
                for (int k = 0; k < p->step[w].n_refs; k++)
                    found = found || (p->step[w].ref[k].write && p->step[w].ref[k].value == r->value &&
                                         p->step[w].phase < p->step[s].phase);
            GR_CHECK(found, GR_ESTATE, "plan: step %s reads what is not written before it", p->step[s].name);
        }
    return GR_OK;
}

/* The parts of a phase are the tasks of its steps, each once. */
static gr_status parts_are_whole(const gr__plan *p, int phase)
{
    const gr__phase_plan *ph = &p->phase[phase];
    int n = p->job ? p->job[phase].share[p->threads] : 0;
    for (int s = ph->first; p->job && s < ph->end; s++) {
        int64_t next = 0;
        for (int i = ph->first_part; i < ph->first_part + n; i++)
            if (p->part[i].step == s) {
                GR_CHECK(p->part[i].begin == next, GR_ESTATE, "plan: step %s: task %lld is left out or run twice",
                    p->step[s].name, (long long)next);
                next = p->part[i].end;
            }
        GR_CHECK(next == p->step[s].tasks, GR_ESTATE, "plan: step %s: task %lld is left out", p->step[s].name,
            (long long)next);
    }
    return GR_OK;
}

gr_status gr__plan_verify(const gr__plan *p)
{
    GR_TRY(memory_is_sound(p));
    GR_TRY(reads_follow_writes(p));
    for (int ph = 0; ph < p->n_phases; ph++) {
        GR_TRY(parts_are_whole(p, ph));
        for (int a = p->phase[ph].first; a < p->phase[ph].end; a++) {
            const gr__step *s = &p->step[a];
            for (int b = p->phase[ph].first; b < a; b++)
                GR_TRY(no_race(p, s, &p->step[b]));
            GR_CHECK(s->begin[0] == 0 && s->begin[p->threads] == s->tasks, GR_ESTATE, "plan: step %s is not run whole",
                s->name);
            for (int t = 0; t < p->threads; t++)
                GR_CHECK(s->begin[t] <= s->begin[t + 1], GR_ESTATE,
                    "plan: step %s has a task range that runs backwards", s->name);
        }
    }
    return gr__plan_verify_bytes(p);
}
