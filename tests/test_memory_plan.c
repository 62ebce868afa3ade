/* The arena: buffers that live at one time lie apart, and little is wasted. */
#include "compiler/plan.h"
#include "tests/harness.h"
#include <stdlib.h>

enum { MOST = 2000 };

static uint64_t state;
static int64_t below(int64_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((state >> 33) % (uint64_t)n);
}

/* A plan with nothing but buffers. */
static void random_buffers(gr__plan *p, gr__buffer *b, int n, int phases)
{
    *p = (gr__plan){.buffer = b, .n_buffers = n, .n_phases = phases};
    for (int i = 0; i < n; i++) {
        int first = (int)below(phases);
        b[i] = (gr__buffer){.space = below(8) ? GR__ARENA : GR__INPUT,
            .bytes = below(4) ? below(100000) : below(3),
            .first = below(12) ? first : -1,
            .last = first + (int)below(phases - first)};
    }
}

static int64_t end_of(const gr__buffer *b)
{
    return b->offset + b->bytes;
}

static bool together(const gr__buffer *a, const gr__buffer *b)
{
    bool both = a->space == GR__ARENA && b->space == GR__ARENA && a->first >= 0 && b->first >= 0;
    return both && a->first <= b->last && b->first <= a->last;
}

static void expect_apart(const gr__plan *p, uint64_t seed)
{
    const gr__buffer *b = p->buffer;
    for (int i = 0; i < p->n_buffers; i++) {
        GR_EXPECT(b[i].offset % 64 == 0, "seed %d: buffer %d lies at %lld", (int)seed, i, (long long)b[i].offset);
        int k = 0;
        while (k < i && (!together(&b[i], &b[k]) || end_of(&b[i]) <= b[k].offset || end_of(&b[k]) <= b[i].offset ||
                            !b[i].bytes || !b[k].bytes))
            k++;
        GR_EXPECT(k == i, "seed %d: buffers %d and %d overlap", (int)seed, i, k);
    }
}

static void buffers_that_live_together_lie_apart(void)
{
    static gr__buffer b[MOST];
    static const struct {
        const char *why;
        int seeds, buffers, phases;
        int64_t percent; /* of the bound, at most */
    } rows[] = {
        {"some nodes: where no order comes close, what sticks out goes first", 3000, 60, 20, 115},
        {"so many that they fill several runs", 20, 500, 100, 110},
        {"too many for all of that", 2, MOST, 300, 115},
    };
    gr__plan p;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int seed = 0; seed < rows[r].seeds; seed++) {
            state = (uint64_t)seed;
            random_buffers(&p, b, (int)below(rows[r].buffers), 1 + (int)below(rows[r].phases));
            CU_ASSERT_EQUAL(gr__plan_memory(&p), GR_OK);
            expect_apart(&p, (uint64_t)seed);
            GR_EXPECT(p.bytes >= p.lower_bound && p.bytes <= p.lower_bound * rows[r].percent / 100,
                "%s: seed %d: %lld bytes, bound %lld", rows[r].why, seed, (long long)p.bytes, (long long)p.lower_bound);
        }
}

static void a_chain_needs_two_buffers(void)
{
    gr__buffer b[10];
    gr__plan p = {.buffer = b, .n_buffers = 10, .n_phases = 11};
    for (int i = 0; i < 10; i++)
        b[i] = (gr__buffer){.space = GR__ARENA, .bytes = 1000, .first = i, .last = i + 1};
    CU_ASSERT_EQUAL(gr__plan_memory(&p), GR_OK);
    CU_ASSERT_EQUAL(p.lower_bound, 2 * 1024);
    CU_ASSERT_EQUAL(p.bytes, 2 * 1024);
    p.off = GR_PASS_REUSE;
    CU_ASSERT_EQUAL(gr__plan_memory(&p), GR_OK);
    CU_ASSERT_EQUAL(p.bytes, 10 * 1024);
}

/* Of an attention block: by whatever key they are placed, two of these end far beyond the bound. */
static void large_ones_that_lie_badly_are_placed_first(void)
{
    static const int64_t of[][3] = {{512, 0, 11}, {65024, 4, 5}, {195072, 5, 6}, {65024, 6, 7}, {2032, 6, 6},
        {65024, 7, 8}, {130048, 8, 9}, {65024, 9, 10}, {65024, 10, 11}, {65536, 7, 8}};
    enum { N = sizeof of / sizeof *of };
    gr__buffer b[N];
    gr__plan p = {.buffer = b, .n_buffers = N, .n_phases = 12};
    for (int i = 0; i < N; i++)
        b[i] = (gr__buffer){.space = GR__ARENA, .bytes = of[i][0], .first = (int)of[i][1], .last = (int)of[i][2]};
    CU_ASSERT_EQUAL(gr__plan_memory(&p), GR_OK);
    CU_ASSERT_EQUAL(p.lower_bound, 512 + 195072 + 65024 + 2048);
    GR_EXPECT(
        p.bytes <= p.lower_bound * 13 / 12, "%lld bytes, bound %lld", (long long)p.bytes, (long long)p.lower_bound);
}

/* The checker that fuzzing relies on must see what it is for. */
static void the_checker_sees_buffers_that_overlap(void)
{
    gr__buffer b[2] = {{.space = GR__ARENA, .bytes = 100, .first = 0, .last = 2},
        {.space = GR__ARENA, .bytes = 100, .first = 2, .last = 3}};
    gr__plan p = {.buffer = b, .n_buffers = 2, .n_phases = 0, .threads = 1};
    CU_ASSERT_EQUAL(gr__plan_memory(&p), GR_OK);
    CU_ASSERT_EQUAL(gr__plan_verify(&p), GR_OK);
    b[1].offset = b[0].offset + 64;
    CU_ASSERT_EQUAL(gr__plan_verify(&p), GR_ESTATE);
    gr_error_clear();
}

static void the_checker_sees_a_race(void)
{
    gr__value v[2] = {{.buffer = 0}, {.buffer = 1, .node = 1}};
    gr__pnode n[2] = {{.work = GR__TILE}, {.work = GR__TILE}};
    gr__buffer b[2] = {{.space = GR__ARENA, .bytes = 64, .first = 0, .last = 1},
        {.space = GR__ARENA, .bytes = 64, .offset = 64, .first = 0, .last = 1}};
    gr__ref makes[] = {{0, 0, true}}, reads[] = {{0, 0, false}, {1, 1, true}};
    int64_t whole[] = {0, 1};
    gr__step s[2] = {{.n_refs = 1, .ref = makes, .tasks = 1, .begin = whole},
        {.n_refs = 2, .ref = reads, .tasks = 1, .begin = whole, .phase = 1}};
    gr__phase_plan apart[] = {{.end = 1}, {.first = 1, .end = 2, .barrier = true}}, together[] = {{.end = 2}};
    gr__plan p = {.value = v,
        .node = n,
        .buffer = b,
        .step = s,
        .phase = apart,
        .n_values = 2,
        .n_nodes = 2,
        .n_buffers = 2,
        .n_steps = 2,
        .n_phases = 2,
        .threads = 1,
        .bytes = 128};
    CU_ASSERT_EQUAL(gr__plan_verify(&p), GR_OK);
    s[1].phase = 0;
    p.phase = together;
    p.n_phases = 1;
    CU_ASSERT_EQUAL(gr__plan_verify(&p), GR_ESTATE);
    gr_error_clear();
}

GR_SUITE("compiler/memory.c", GR_TEST(buffers_that_live_together_lie_apart), GR_TEST(a_chain_needs_two_buffers),
    GR_TEST(large_ones_that_lie_badly_are_placed_first), GR_TEST(the_checker_sees_buffers_that_overlap),
    GR_TEST(the_checker_sees_a_race))
