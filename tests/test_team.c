/* core/team.c: phases in order, each part once, on more and fewer threads than CPUs, several teams at once. */
#include "core/team.h"
#include "tests/harness.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PHASES = 60, MOST_PARTS = 40, MOST_THREADS = 16 };

/* Every part writes its cell of its phase, after checking that all cells of the phase before are written: plain memory,
 * so a part that starts too early is a wrong number here and a race under the thread sanitizer. */
typedef struct {
    gr__job_phase phase[PHASES];
    int share[PHASES][MOST_THREADS + 1];
    int cell[PHASES][MOST_PARTS];
    _Atomic int wrong, stray; /* parts too early; own parts on another thread */
    bool naps;
} checked;

static void part(void *ctx, int phase, int i, int thread)
{
    checked *c = ctx;
    const gr__job_phase *before = phase ? &c->phase[phase - 1] : NULL;
    int threads = MOST_THREADS;
    while (threads > 1 && c->share[phase][threads] == -1)
        threads--;
    if (before)
        for (int k = 0; k < before->share[threads]; k++)
            if (c->cell[phase - 1][k] != phase)
                atomic_fetch_add(&c->wrong, 1);
    if (i < c->phase[phase].own && thread != 0)
        atomic_fetch_add(&c->stray, 1);
    if (c->naps && (phase + i) % 7 == 0)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* so long that the others fall asleep */
    c->cell[phase][i] += phase + 1;
}

/* Phases of all kinds: shared evenly, all on one thread, own parts only, nothing at all. */
static gr__job make(checked *c, int threads, bool naps)
{
    memset(c->cell, 0, sizeof c->cell);
    c->naps = naps;
    for (int p = 0; p < PHASES; p++) {
        int n = p % 5 == 4 ? 0 : 1 + p * 7 % MOST_PARTS, own = p % 3 == 0 ? n / 3 : p % 7 == 6 ? n : 0;
        for (int t = 0; t <= MOST_THREADS; t++)
            c->share[p][t] = t > threads ? -1 : p % 2 ? own + (n - own) * t / threads : t == 0 ? own : n;
        c->phase[p] = (gr__job_phase){own, c->share[p]};
    }
    return (gr__job){threads, PHASES, c->phase, part, c};
}

static void judge(const checked *c, const gr__job *job, const char *why)
{
    int missing = 0;
    for (int p = 0; p < PHASES; p++)
        for (int i = 0; i < c->share[p][job->threads]; i++)
            missing += c->cell[p][i] != p + 1;
    GR_EXPECT(c->wrong == 0 && c->stray == 0 && missing == 0, "%s: %d early, %d stray, %d not once", why, c->wrong,
        c->stray, missing);
}

static void every_part_runs_once_and_no_phase_begins_early(void)
{
    static const struct {
        const char *why;
        int threads, times;
        bool naps;
    } rows[] = {
        {"alone", 1, 50, false},
        {"one a CPU", 2, 200, false},
        {"an odd number", 3, 100, false},
        {"more than CPUs", 8, 50, false},
        {"far more", 16, 20, false},
        {"asleep, 2", 2, 3, true},
        {"asleep, 8", 8, 3, true},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        static checked c;
        c = (checked){.naps = false};
        for (int i = 0; i < rows[r].times; i++) {
            gr__job job = make(&c, rows[r].threads, rows[r].naps);
            gr__job_run(&job);
            judge(&c, &job, rows[r].why);
        }
    }
}

typedef struct {
    checked c;
    int threads, times;
} many;
static void many_jobs(void *ctx)
{
    many *m = ctx;
    for (int i = 0; i < m->times; i++) {
        gr__job job = make(&m->c, m->threads, false);
        gr__job_run(&job);
        judge(&m->c, &job, "held");
    }
}

static void a_held_team_runs_one_job_after_the_other(void)
{
    static many m = {.times = 300};
    const int threads[] = {1, 2, 3, 7};
    for (int i = 0; i < 4; i++) {
        m.threads = threads[i];
        gr__team_hold(threads[i], many_jobs, &m);
    }
    m.threads = 2; /* a job for another number than the held team has runs too */
    gr__team_hold(3, many_jobs, &m);
}

static void *one_of_several(void *ctx)
{
    many_jobs(ctx);
    return NULL;
}

static void several_threads_may_have_a_team_each(void)
{
    static many m[3];
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        m[i].threads = 2 + i;
        m[i].times = 40;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, one_of_several, &m[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    CU_ASSERT_EQUAL(m[0].c.wrong + m[1].c.wrong + m[2].c.wrong, 0);
}

static void a_job_inside_a_callers_parallel_region_runs_alone(void)
{
    static checked c[4];
#ifdef _OPENMP
#pragma omp parallel for num_threads(4)
#endif
    for (int i = 0; i < 4; i++) {
        gr__job job = make(&c[i], 3, false);
        gr__job_run(&job);
    }
    for (int i = 0; i < 4; i++)
        judge(&c[i], &(gr__job){.threads = 3}, "nested");
}

/* OpenMP's threads stay with the parent; waiting for them would be for ever. */
static void a_forked_child_works_alone(void)
{
    static checked c;
    c = (checked){.naps = false};
    gr__job job = make(&c, 2, false);
    gr__job_run(&job);
    judge(&c, &job, "before the fork");
    job = make(&c, 2, false);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        alarm(20);
        gr__job_run(&job);
        int missing = c.wrong + c.stray;
        for (int p = 0; p < PHASES; p++)
            for (int i = 0; i < c.share[p][2]; i++)
                missing += c.cell[p][i] != p + 1;
        _exit(missing ? 1 : 0);
    }
    int status = -1;
    CU_ASSERT(waitpid(child, &status, 0) == child);
    GR_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    gr__job_run(&job);
    judge(&c, &job, "the parent, after the fork");
}

GR_SUITE("core/team.c", GR_TEST(every_part_runs_once_and_no_phase_begins_early),
    GR_TEST(a_held_team_runs_one_job_after_the_other), GR_TEST(several_threads_may_have_a_team_each),
    GR_TEST(a_job_inside_a_callers_parallel_region_runs_alone), GR_TEST(a_forked_child_works_alone))
