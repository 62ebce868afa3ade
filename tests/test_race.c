/* The byte-range checker: it is told what each task touches, and it must see every fault that is planted.
 *
 * What steps say is held against what they do: each task of the plans of random graphs runs alone; what it changes must
 * lie in what it says it writes, and with NaN in all that it does not say it reads, its results must be the same. */
#include "compiler/code.h"
#include "compiler/room.h"
#include "compiler/touch.h"
#include "tests/fuzz_chains.h"
#include "tests/harness.h"
#include "tests/transformer.h"

/* ---- touches ----------------------------------------------------------------------------------------------------- */

static gr__touch touch_of(const gr__box *b)
{
    gr__touches t = {0};
    gr__touch_add(&t, 0, true, b);
    gr__touch one = t.n ? t.list[0] : (gr__touch){0};
    gr__free(t.list);
    return one;
}

/* Brute force: the bytes of a box, marked. */
static void mark(const gr__box *b, bool *bytes)
{
    int64_t n = 1;
    for (int d = 0; d < b->axes; d++)
        n *= b->count[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, at = b->at;
        for (int d = 0; d < b->axes; d++) {
            at += rest % b->count[d] * b->stride[d];
            rest /= b->count[d];
        }
        for (int64_t k = 0; k < b->size; k++)
            bytes[at + k] = true;
    }
}

enum { SPACE = 4096 };

static gr__box random_box(graph *g)
{
    gr__box b = {.at = SPACE / 2 + below(g, 100), .size = below(g, 2) ? 4 : 1, .axes = (int)below(g, 4)};
    for (int d = 0; d < b.axes; d++) {
        b.count[d] = below(g, 5) + (below(g, 12) ? 1 : 0);
        b.stride[d] = (below(g, 40) - 15) * b.size;
    }
    return b;
}

static void touches_are_the_bytes_of_their_boxes(void)
{
    graph g = {.random = 5};
    for (int i = 0; i < 20000; i++) {
        gr__box box[2] = {random_box(&g), random_box(&g)};
        static bool bytes[2][SPACE], told[SPACE];
        gr__touch t[2];
        bool meet = false, holds = true;
        memset(bytes, 0, sizeof bytes);
        for (int k = 0; k < 2; k++) {
            memset(told, 0, sizeof told);
            mark(&box[k], bytes[k]);
            t[k] = touch_of(&box[k]);
            for (int64_t r = 0; t[k].run && r < gr__touch_runs(&t[k]); r++)
                memset(told + gr__touch_run_at(&t[k], r), true, (size_t)t[k].run);
            GR_EXPECT(memcmp(told, bytes[k], sizeof told) == 0, "box %d: other bytes than those of its elements", i);
        }
        for (int k = 0; k < SPACE; k++) {
            meet = meet || (bytes[0][k] && bytes[1][k]);
            holds = holds && (bytes[0][k] || !bytes[1][k]);
        }
        if (!t[0].run || !t[1].run)
            continue;
        GR_EXPECT(gr__touch_meet(&t[0], &t[1], 0) == meet, "boxes %d: they %s meet", i, meet ? "do" : "do not");
        GR_EXPECT(!gr__touch_holds(&t[0], &t[1]) || holds, "boxes %d: the first does not hold the second", i);
    }
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

typedef struct {
    gr__graph graph;
    gr__plan *plan;
} planned;

static bool plan_of(planned *p, gr_tape *t, const gr_program_opts *o, int64_t batch)
{
    *p = (planned){0};
    if (gr__graph_trace(&p->graph, t, o) == GR_OK && gr__pass_inline(&p->graph) == GR_OK &&
        gr__graph_rebuild(&p->graph, NULL, NULL) == GR_OK)
        p->plan = gr__plan_new(&p->graph, batch, 2, o->passes_off);
    return GR_EXPECT(p->plan && gr__plan_verify(p->plan) == GR_OK, "%s", gr_error_message());
}

static void plan_free(planned *p)
{
    gr__plan_free(p->plan);
    gr__graph_free(&p->graph);
}

static bool refused(const gr__plan *p)
{
    bool found = gr__plan_verify_bytes(p) == GR_ESTATE;
    gr_error_clear();
    return found;
}

/* The training step of two blocks: products, attention, norms, an embedding, updates in place. */
static bool transformer_plan(transformer *m, planned *p, int64_t batch, unsigned off)
{
    const transformer_sizes sizes = {2, 32, 2, 16, 20};
    bool good = GR_EXPECT(transformer_make(m, sizes) == GR_OK, "%s", gr_error_message());
    return good &&
           plan_of(p, m->tape,
               &(gr_program_opts){.inputs = {m->text, m->next}, .outputs = {m->loss}, .passes_off = off}, batch);
}

/* ---- planted faults ---------------------------------------------------------------------------------------------- */

static void two_values_at_one_place_are_seen(void)
{
    transformer m;
    planned made;
    if (transformer_plan(&m, &made, 4, 0)) {
        gr__plan *p = made.plan;
        for (int i = 0; i < p->n_buffers; i++)
            for (int k = 0; k < i; k++) {
                gr__buffer *a = &p->buffer[i], *b = &p->buffer[k];
                if (a->space != GR__ARENA || b->space != GR__ARENA || a->first < 0 || b->first < 0 || !a->bytes ||
                    !b->bytes || a->first > b->last || b->first > a->last)
                    continue;
                int64_t right = a->offset;
                a->offset = b->bytes < a->bytes ? b->offset + b->bytes - 1 : b->offset; /* one byte is enough */
                a->offset = a->offset + a->bytes > p->bytes ? p->bytes - a->bytes : a->offset;
                bool overlap = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                GR_EXPECT(!overlap || refused(p), "buffers %d and %d live together in one place, unseen", i, k);
                a->offset = right;
            }
        CU_ASSERT_EQUAL(gr__plan_verify_bytes(p), GR_OK);
    }
    plan_free(&made);
    transformer_free(&m);
}

/* Does the step read what one of the phase before writes, or write what that reads? */
static bool needs_phase_before(const gr__plan *p, const gr__step *s)
{
    const gr__phase_plan *before = &p->phase[s->phase - 1];
    for (int w = before->first; w < before->end; w++)
        for (int i = 0; i < s->n_refs; i++)
            for (int k = 0; k < p->step[w].n_refs; k++)
                if (s->ref[i].buffer == p->step[w].ref[k].buffer && (s->ref[i].write || p->step[w].ref[k].write))
                    return true;
    return false;
}

/* Moves the step to the front of its phase and the border behind it; and back. */
static void shift(gr__plan *p, int step, int by)
{
    gr__phase_plan *mine = &p->phase[by < 0 ? p->step[step].phase : p->step[step].phase + 1];
    int first = by < 0 ? mine->first : step;
    gr__step moved = p->step[by < 0 ? step : first];
    for (int k = step; by < 0 && k > first; k--)
        p->step[k] = p->step[k - 1];
    p->step[first] = moved;
    p->step[first].phase += by;
    mine->first -= by;
    mine[-1].end -= by;
}

static void a_step_one_phase_too_early_is_seen(void)
{
    transformer m;
    planned made;
    int moved = 0;
    if (transformer_plan(&m, &made, 4, 0)) {
        gr__plan *p = made.plan;
        for (int ph = 1; ph < p->n_phases; ph++) {
            int n = p->phase[ph].end - p->phase[ph].first;
            for (int i = 0; i < n; i++) { /* each comes to the end of its phase once */
                int last = p->phase[ph].end - 1, first = p->phase[ph].first;
                if (!needs_phase_before(p, &p->step[last]))
                    moved--;
                bool needs = needs_phase_before(p, &p->step[last]);
                shift(p, last, -1);
                GR_EXPECT(!needs || refused(p), "phase %d: step %s runs too early, unseen", ph, p->step[first].name);
                shift(p, first, 1);
                moved++;
            }
        }
        GR_EXPECT(moved > 50, "%d steps were moved", moved);
        CU_ASSERT_EQUAL(gr__plan_verify_bytes(p), GR_OK);
    }
    plan_free(&made);
    transformer_free(&m);
}

/* Each reference, taken away. */
static void a_touch_that_is_not_referred_to_is_seen(void)
{
    transformer m;
    planned made;
    if (transformer_plan(&m, &made, 4, 0)) {
        gr__plan *p = made.plan;
        for (int s = 0; s < p->n_steps; s++)
            for (int i = 0; p->step[s].touches && i < p->step[s].n_refs; i++) {
                gr__step *step = &p->step[s];
                gr__ref last = step->ref[step->n_refs - 1], mine = step->ref[i];
                if (!p->buffer[mine.buffer].bytes)
                    continue;
                step->ref[i] = last;
                step->n_refs--;
                GR_EXPECT(
                    refused(p), "step %s does not say that it touches buffer %d, unseen", step->name, mine.buffer);
                step->n_refs++;
                step->ref[i] = mine;
            }
        CU_ASSERT_EQUAL(gr__plan_verify_bytes(p), GR_OK);
    }
    plan_free(&made);
    transformer_free(&m);
}

static int64_t whole_tile(const gr__instr *in)
{
    return in->y.buffer >= 0 && in->form == (GR__ROWS | GR__COLS) && in->y.row > 1;
}

/* Rows that begin one element too early: where rows are cut, a task's last meets the next one's first; else they leave
 * a hole. A result too far on ends outside its value. */
static void a_result_in_the_wrong_place_is_seen(void)
{
    transformer m;
    planned made;
    int tried = 0;
    if (transformer_plan(&m, &made, 4, 0)) {
        gr__plan *p = made.plan;
        for (int s = 0; s < p->n_steps; s++) {
            if (p->step[s].touches != gr__touch_code)
                continue;
            const gr__code *c = p->step[s].arg;
            for (int i = c->first; i < c->n; i++) {
                gr__instr *in = &c->instr[i];
                if (!whole_tile(in) || in->rows < 2)
                    continue;
                in->y.row--;
                GR_EXPECT(refused(p), "step %s: rows of instruction %d overlap, unseen", p->step[s].name, i);
                in->y.row++;
                in->y.offset++;
                if (in->op != GR__I_STORE)
                    GR_EXPECT(refused(p), "step %s: instruction %d writes past its value, unseen", p->step[s].name, i);
                in->y.offset--;
                tried++;
            }
        }
        GR_EXPECT(tried > 20, "%d places were moved", tried);
        CU_ASSERT_EQUAL(gr__plan_verify_bytes(p), GR_OK);
    }
    plan_free(&made);
    transformer_free(&m);
}

/* Tasks of copies that take 64 bytes more than their share. */
static void touch_too_much(const gr__plan *p, const gr__step *s, gr__touches *to)
{
    const int64_t share = p->buffer[s->ref[0].buffer].bytes / s->tasks;
    const int64_t more = to->task + 1 < s->tasks ? 64 : 0;
    gr__touch_run(to, s->ref[0].buffer, true, to->task * share, share + more);
}

static void the_message_names_steps_nodes_and_bytes(void)
{
    gr__node n[2] = {{.id = 3, .op = gr_op_named("add")}, {.id = 5, .op = gr_op_named("mul")}};
    gr__pnode node[2] = {{.node = &n[0], .work = GR__TILE}, {.node = &n[1], .work = GR__TILE}};
    gr__value v[2] = {{.buffer = 0}, {.buffer = 1, .node = 1, .root = 1}};
    gr__buffer b[2] = {
        {.space = GR__ARENA, .bytes = 256}, {.space = GR__ARENA, .bytes = 128, .offset = 256, .value = 1}};
    gr__ref makes[] = {{0, 0, true}}, reads[] = {{0, 0, false}, {1, 1, true}};
    gr__step s[2] = {{.name = "one", .n_refs = 1, .ref = makes, .tasks = 2, .touches = touch_too_much},
        {.name = "two", .n_refs = 2, .ref = reads, .tasks = 1, .phase = 1}};
    gr__phase_plan apart[] = {{.end = 1}, {.first = 1, .end = 2}}, one[] = {{.end = 2}};
    gr__plan p = {.value = v,
        .node = node,
        .buffer = b,
        .step = s,
        .phase = apart,
        .n_values = 2,
        .n_nodes = 2,
        .n_buffers = 2,
        .n_steps = 2,
        .n_phases = 2,
        .threads = 1,
        .bytes = 384};
    static const char *const expected[] = {
        "plan: phase 0: step 0 (one), task 0, writes bytes 0 .. 191 of the arena (node 3, add), while step 0 (one), "
        "task 1, writes bytes 128 .. 255 of the arena (node 3, add)",
        "plan: phase 0: step 1 (two) reads bytes 0 .. 255 of the arena (node 3, add), but nothing has written byte 0 "
        "before",
        "plan: phase 1: step 1 (two) reads bytes 0 .. 255 of the arena (node 3, add), while step 1 (two) writes bytes "
        "128 .. 255 of the arena (node 5, mul)",
    };
    for (int i = 0; i < 3; i++) {
        if (i > 0) { /* both in one phase; then the second value over the first */
            p.phase = i == 1 ? one : apart;
            p.n_phases = i == 1 ? 1 : 2;
            s[1].phase = i == 1 ? 0 : 1;
            s[0].touches = NULL;
            b[1].offset = i == 1 ? 256 : 128;
        }
        CU_ASSERT_EQUAL(gr__plan_verify_bytes(&p), GR_ESTATE);
        GR_EXPECT(strcmp(gr_error_message(), expected[i]) == 0, "%d: %s", i, gr_error_message());
        gr_error_clear();
    }
}

/* ---- what tasks do ----------------------------------------------------------------------------------------------- */

typedef struct {
    const gr__plan *plan;
    gr__run run;
    gr__room room;
    int n; /* blocks: the arena, then variables; one after the other in what follows */
    struct {
        char *data;
        int64_t bytes;
    } block[VARIABLES + 1];
    int64_t bytes;
    char *before, *after, *reads, *writes; /* bytes and marks of all blocks */
} machine;

static void save(const machine *m, char *to)
{
    for (int i = 0; i < m->n; to += m->block[i++].bytes)
        memcpy(to, m->block[i].data, (size_t)m->block[i].bytes);
}

static void restore(const machine *m, const char *from)
{
    for (int i = 0; i < m->n; from += m->block[i++].bytes)
        memcpy(m->block[i].data, from, (size_t)m->block[i].bytes);
}

/* Where a buffer begins among all blocks; -1: it is an input or a constant. */
static int64_t base_of(const machine *m, int buffer)
{
    int64_t at = 0;
    for (int i = 0; i < m->n; at += m->block[i++].bytes) {
        const char *data = m->run.data[buffer];
        if (m->plan->buffer[buffer].bytes && data >= m->block[i].data && data < m->block[i].data + m->block[i].bytes)
            return at + (data - m->block[i].data);
    }
    return -1;
}

static bool machine_new(machine *m, const graph *g, const gr__plan *p)
{
    static gr_buffer in[INPUTS];
    *m = (machine){.plan = p};
    for (int i = 0; i < g->n_inputs; i++)
        in[i] = (gr_buffer){gr_array_dtype(g->value[i]), gr_array_shape(g->value[i]), gr_array_data(g->value[i])};
    if (!gr__room_fit(&m->room, p))
        return false;
    gr__room_set(&m->room, p, in);
    m->run = (gr__run){.plan = p, .arg = m->room.arg, .data = m->room.data, .scratch = m->room.scratch, .seed = 1};
    m->block[m->n].data = m->room.arena;
    m->block[m->n++].bytes = p->bytes;
    for (int i = 0; i < g->n_variables; i++) {
        m->block[m->n].data = g->variable[i]->data;
        m->block[m->n++].bytes = g->variable[i]->bytes;
    }
    for (int i = 0; i < m->n; i++)
        m->bytes += m->block[i].bytes;
    m->before = malloc((size_t)m->bytes + 1);
    m->after = malloc((size_t)m->bytes + 1);
    m->reads = malloc((size_t)m->bytes + 1);
    m->writes = malloc((size_t)m->bytes + 1);
    return m->before && m->after && m->reads && m->writes;
}

static void machine_free(machine *m)
{
    gr__room_clear(&m->room);
    free(m->before), free(m->after), free(m->reads), free(m->writes);
}

static void mark_touches(const machine *m, const gr__touches *t)
{
    memset(m->reads, 0, (size_t)m->bytes);
    memset(m->writes, 0, (size_t)m->bytes);
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t k = 0; k < gr__touch_runs(&t->list[i]); k++) {
            int64_t base = base_of(m, t->list[i].buffer);
            char *to = t->list[i].write ? m->writes : m->reads;
            if (base >= 0)
                memset(to + base + gr__touch_run_at(&t->list[i], k), 1, (size_t)t->list[i].run);
        }
}

static bool run_tasks(machine *m, int step, int64_t begin, int64_t end)
{
    const gr__step *s = &m->plan->step[step];
    if (m->plan->scratch)
        memset(m->room.scratch[0], 0xff, (size_t)m->plan->scratch);
    return s->fn(&m->run, s, 0, begin, end) == GR_OK;
}

/* Runs them twice; afterwards memory is as they leave it. Where they refuse their data, as an integer division by 0,
 * *where is -1. */
static bool does_what_it_says(machine *m, int step, int64_t begin, int64_t end, const gr__touches *t, int64_t *where)
{
    mark_touches(m, t);
    save(m, m->before);
    *where = -1;
    if (!run_tasks(m, step, begin, end))
        return true;
    save(m, m->after);
    for (*where = 0; *where < m->bytes; ++*where)
        if (m->before[*where] != m->after[*where] && !m->writes[*where])
            return false;
    for (int64_t i = 0; i < m->bytes; i++)
        if (!m->reads[i])
            m->before[i] = (char)0xff;
    restore(m, m->before);
    bool good = run_tasks(m, step, begin, end);
    save(m, m->before);
    for (*where = 0; good && *where < m->bytes; ++*where)
        good = !m->writes[*where] || m->before[*where] == m->after[*where];
    restore(m, m->after);
    return good;
}

static void check_tasks(const graph *g, const gr__plan *p, int seed)
{
    machine m;
    gr__touches t = {0};
    bool good = GR_EXPECT(machine_new(&m, g, p), "no memory");
    if (m.bytes)
        memset(m.room.arena ? m.room.arena : m.before, 0xff, (size_t)(m.room.arena ? p->bytes : 0));
    int64_t where = 0;
    for (int s = 0; good && where >= 0 && s < p->n_steps; s++) {
        const gr__step *step = &p->step[s];
        int64_t each = step->touches ? 1 : step->tasks;
        for (int64_t k = 0; good && where >= 0 && k < step->tasks; k += each) {
            t.n = 0;
            gr__touch_task(p, s, step->touches ? k : GR__WHOLE_STEP, &t);
            good = GR_EXPECT(does_what_it_says(&m, s, k, k + each, &t, &where),
                "seed %d: step %d (%s), task %lld does other than it says, at byte %lld of %lld: %s", seed, s,
                step->name, (long long)k, (long long)where, (long long)m.bytes, gr_error_message());
        }
    }
    gr__free(t.list);
    machine_free(&m);
}

static void tasks_touch_what_they_say(void)
{
    int n_ops = 0, looked_at = 0;
    while (gr_op_at(n_ops))
        n_ops++;
    for (int seed = 1; seed <= 400; seed++) {
        graph g;
        planned made = {0};
        make(&g, (uint64_t)seed, n_ops);
        gr_program_opts o = {.passes_off = g.off};
        memcpy(o.inputs, g.input, (size_t)g.n_inputs * sizeof *g.input);
        memcpy(o.outputs, g.output, (size_t)g.n_outputs * sizeof *g.output);
        if (g.n_outputs && plan_of(&made, g.tape, &o, g.batch) && made.plan->bytes < 300000) {
            int64_t tasks = 0;
            for (int s = 0; s < made.plan->n_steps; s++)
                tasks += made.plan->step[s].tasks;
            if (tasks * made.plan->bytes < 4000000) {
                check_tasks(&g, made.plan, seed);
                looked_at++;
            }
        }
        plan_free(&made);
        forget(&g);
    }
    GR_EXPECT(looked_at > 100, "%d plans were small enough", looked_at);
}

/* ---- ops dealt out in units -------------------------------------------------------------------------------------- */

static void heads(graph *g) /* of 129 tokens, so that units end within one */
{
    gr_tensor *x = new_input(g, GR_F32, GR_SHAPE(2, 129, 3, 3, 8), -1, 1), *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = new_input(g, GR_F32, GR_SHAPE(2, i ? 67 : 129, 5, 8 - 4 * (i == 2)), -1, 1);
    keep(g, gr_sum(gr_dot_product_attention(x, .causal = true), .axes = GR_SHAPE(1, 2, 3)));
    keep(g, gr_add(g->pool[0], gr_sum(gr_dot_product_attention(part[0], part[1], part[2]), .axes = GR_SHAPE(1, 2, 3))));
}
static void pictures(graph *g)
{
    gr_tensor *x = new_input(g, GR_F32, GR_SHAPE(7, 33, 31, 3), -1, 1);
    keep(g, gr_max_pool(x, GR_SHAPE(2)));
    keep(g, gr_add(g->pool[0], gr_average_pool(x, GR_SHAPE(2))));
}
static void sequences(graph *g)
{
    gr_tensor *x = new_input(g, GR_F32, GR_SHAPE(33, 9, 5), -1, 1), *y = x;
    for (int gates = 3; gates < 5; gates++) {
        const int64_t in = gr_dim(y, -1), n = 64;
        gr_tensor *kernel = new_input(g, GR_F32, GR_SHAPE(in, gates * n), -1, 1);
        gr_tensor *u = new_input(g, GR_F32, GR_SHAPE(n, gates * n), -1, 1);
        y = gates == 3 ? gr_gru(y, kernel, u, NULL, NULL) : gr_lstm(y, kernel, u, NULL, NULL, NULL);
        keep(g, gr_result(y, 1));
    }
    keep(g, y);
}

static void units_are_apart_and_touch_what_they_say(void)
{
    static void (*const of[])(graph *) = {heads, pictures, sequences};
    static const int ops[] = {4, 4, 4}; /* forward and backward of two each */
    for (int i = 0; i < 3; i++) {
        graph g = {.random = 9, .kind = TAME_NUMBERS, .tape = gr_tape_new(), .type = GR_F32, .batch = 1};
        planned made = {0};
        int found = 0;
        of[i](&g);
        g.output[g.n_outputs++] = g.pool[g.n_pool - 1];
        add_gradient(&g);
        gr_program_opts o = {.passes_off = GR_PASS_EXAMPLES};
        memcpy(o.inputs, g.input, (size_t)g.n_inputs * sizeof *g.input);
        memcpy(o.outputs, g.output, (size_t)g.n_outputs * sizeof *g.output);
        if (GR_EXPECT(gr_error() == GR_OK, "%s", gr_error_message()) && plan_of(&made, g.tape, &o, 1)) {
            const gr__plan *p = made.plan;
            for (int s = 0; s < p->n_steps; s++) {
                const gr_op *op = gr_op_named(p->step[s].name);
                found += op && op->traits & GR_UNITS && p->step[s].touches && p->step[s].tasks > 1;
            }
            GR_EXPECT(found == ops[i], "case %d: %d steps in units", i, found);
            check_tasks(&g, p, i);
        }
        plan_free(&made);
        forget(&g);
    }
}

GR_SUITE("compiler/race.c", GR_TEST(touches_are_the_bytes_of_their_boxes), GR_TEST(two_values_at_one_place_are_seen),
    GR_TEST(a_step_one_phase_too_early_is_seen), GR_TEST(a_touch_that_is_not_referred_to_is_seen),
    GR_TEST(a_result_in_the_wrong_place_is_seen), GR_TEST(the_message_names_steps_nodes_and_bytes),
    GR_TEST(tasks_touch_what_they_say), GR_TEST(units_are_apart_and_touch_what_they_say))
