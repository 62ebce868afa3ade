/* core/thread.c: teams of more and fewer threads than CPUs, several teams at once, and the mode of denormals. */
#include "core/thread.h"
#include "tests/harness.h"
#include <float.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 16, ROUNDS = 3000 };

static bool openmp(void)
{
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

/* Each thread raises its own cell, then checks that all cells are where the round says: plain memory, so a barrier that
 * lets one through early gives a wrong number here and a race under the thread sanitizer. */
typedef struct {
    int cell[MOST][16];
    int wrong, threads, rounds;
    bool with_naps; /* so long that the others fall asleep */
} lockstep;

static void step_together(void *ctx, int thread, gr__team *team)
{
    lockstep *s = ctx;
    if (thread == 0)
        s->threads = team->threads;
    int wrong = 0;
    for (int round = 1; round <= s->rounds; round++) {
        s->cell[thread][0] = round;
        if (s->with_naps && round % team->threads == thread)
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        gr__team_barrier(team, thread);
        for (int i = 0; i < team->threads; i++)
            wrong += s->cell[i][0] != round;
        gr__team_barrier(team, thread);
    }
    s->cell[thread][1] = wrong;
    gr__team_barrier(team, thread);
    if (thread == 0)
        for (int i = 0; i < team->threads; i++)
            s->wrong += s->cell[i][1];
}

static void no_thread_passes_a_barrier_early(void)
{
    static const struct {
        const char *why;
        int threads, rounds;
        bool with_naps;
    } rows[] = {
        {"alone", 1, ROUNDS, false},
        {"one a CPU", 2, ROUNDS, false},
        {"an odd number", 3, ROUNDS, false},
        {"more than CPUs", 8, ROUNDS / 3, false},
        {"far more", 16, ROUNDS / 10, false},
        {"asleep, 2", 2, 100, true},
        {"asleep, 8", 8, 100, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lockstep s = {.rounds = rows[i].rounds, .with_naps = rows[i].with_naps};
        gr__team_run(rows[i].threads, step_together, &s);
        GR_EXPECT(s.wrong == 0, "%s: %d wrong", rows[i].why, s.wrong);
        GR_EXPECT(s.threads == (openmp() ? rows[i].threads : 1), "%s: %d threads", rows[i].why, s.threads);
    }
}

static void *one_of_several_teams(void *ctx)
{
    for (int i = 0; i < 5; i++)
        gr__team_run(3, step_together, ctx);
    return NULL;
}

static void several_threads_may_have_a_team_each(void)
{
    pthread_t thread[3];
    static lockstep s[3];
    for (int i = 0; i < 3; i++) {
        s[i] = (lockstep){.rounds = 200};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, one_of_several_teams, &s[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        GR_EXPECT(s[i].wrong == 0, "team %d: %d wrong", i, s[i].wrong);
    }
}

static void inner(void *ctx, int thread, gr__team *team)
{
    atomic_fetch_add((_Atomic int *)ctx, team->threads == 1 && thread == 0);
}
static void outer(void *ctx, int thread, gr__team *team)
{
    (void)thread, (void)team;
    gr__team_run(4, inner, ctx);
}

static void a_team_within_a_team_is_one_thread(void)
{
    _Atomic int count = 0;
    gr__team_run(3, outer, &count);
    CU_ASSERT_EQUAL(atomic_load(&count), openmp() ? 3 : 1);
}

static void the_number_of_threads_is_held_within_bounds(void)
{
    char *said = getenv("OMP_NUM_THREADS"), before[32] = "";
    if (said)
        snprintf(before, sizeof before, "%s", said);
    static const struct {
        const char *why, *variable;
        int set, want; /* want 0: the CPUs */
    } rows[] = {
        {"said by the program", "3", 5, 5},
        {"too many", "3", 1000, GR_MAX_THREADS},
        {"back to the variable", "3", 0, 3},
        {"negative is the default too", "3", -7, 3},
        {"a list, by level", "7,2", 0, 7},
        {"too many in the variable", "9999", 0, GR_MAX_THREADS},
        {"beyond any integer", "99999999999999999999999", 0, GR_MAX_THREADS},
        {"nonsense", "many", 0, 0},
        {"zero", "0", 0, 0},
        {"negative", "-2", 0, 0},
        {"nothing", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("OMP_NUM_THREADS", rows[i].variable, 1);
        gr_set_num_threads(rows[i].set);
        int want = rows[i].want ? rows[i].want : gr__cpu_count() < GR_MAX_THREADS ? gr__cpu_count() : GR_MAX_THREADS;
        if (!openmp())
            want = 1;
        GR_EXPECT(gr_num_threads() == want, "%s: found %d, expected %d", rows[i].why, gr_num_threads(), want);
    }
    gr_set_num_threads(0);
    CU_ASSERT(gr__cpu_count() >= 1);
    if (said)
        setenv("OMP_NUM_THREADS", before, 1);
    else
        unsetenv("OMP_NUM_THREADS");
}

static void splits_cover_everything_once(void)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 64, 65, 1000003};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int parts = 1; parts <= 9; parts++) {
            int64_t at = 0, begin, end;
            for (int i = 0; i < parts; i++) {
                gr__split(sizes[s], parts, i, &begin, &end);
                GR_EXPECT(begin == at && end >= begin && end - begin <= sizes[s] / parts + 1,
                    "%lld in %d: part %d is %lld .. %lld", (long long)sizes[s], parts, i, (long long)begin,
                    (long long)end);
                at = end;
            }
            CU_ASSERT_EQUAL(at, sizes[s]);
        }
}

static void denormals_are_zero_only_while_asked_for(void)
{
    volatile float tiny = FLT_MIN, half = 0.5f, denormal = FLT_TRUE_MIN, big = 1e30f;
    CU_ASSERT(tiny * half > 0);
    uint64_t old = gr__ftz_on();
#if defined(__x86_64__) || defined(__aarch64__)
    volatile float flushed = tiny * half, taken = denormal * big;
    CU_ASSERT_EQUAL(flushed, 0);
    CU_ASSERT_EQUAL(taken, 0);
#endif
    uint64_t nested = gr__ftz_on();
    gr__ftz_restore(nested);
    volatile float still = tiny * half;
    gr__ftz_restore(old);
    CU_ASSERT_EQUAL(still, 0);
    volatile float back = tiny * half;
    CU_ASSERT(back > 0 && denormal * big > 0);
}

GR_SUITE("core/thread.c", GR_TEST(no_thread_passes_a_barrier_early), GR_TEST(several_threads_may_have_a_team_each),
    GR_TEST(a_team_within_a_team_is_one_thread), GR_TEST(the_number_of_threads_is_held_within_bounds),
    GR_TEST(splits_cover_everything_once), GR_TEST(denormals_are_zero_only_while_asked_for))
