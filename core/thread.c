/* core/thread.c: see thread.h. Linux's futex lets a thread sleep on the barrier's round number; elsewhere it yields. */
#include "core/thread.h"
#include <ctype.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

/* ---- how many ---------------------------------------------------------------------------------------------------- */

static int affinity_count(void)
{
#ifdef __linux__
    enum { MOST = 8192 };
    static const size_t bytes = CPU_ALLOC_SIZE(MOST);
    cpu_set_t set[CPU_ALLOC_SIZE(MOST) / sizeof(cpu_set_t)];
    if (sched_getaffinity(0, bytes, set) == 0)
        return CPU_COUNT_S(bytes, set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* Reads "quota period" of control groups version 2, or a number in each of two files of version 1. False: no limit. */
static bool read_quota(const char *folder, double *cpus)
{
    char path[4500], word[64];
    double period = 0, quota = -1;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%63s %lf", word, &period) == 2)
            quota = strcmp(word, "max") == 0 ? -1 : atof(word);
        fclose(f);
    } else {
        static const char *const names[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us"};
        double *const into[] = {&quota, &period};
        for (int i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%s/%s", folder, names[i]);
            f = fopen(path, "re");
            if (!f)
                return false;
            if (fscanf(f, "%lf", into[i]) != 1)
                *into[i] = -1;
            fclose(f);
        }
    }
    *cpus = quota / period;
    return quota > 0 && period > 0;
}

/* The group's own limit, and those of the groups around it. */
static void quota_within(const char *mount, char *group, double *least)
{
    char folder[4400];
    double cpus;
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        if (read_quota(folder, &cpus) && cpus < *least)
            *least = cpus;
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

/* CPUs' worth of time that control groups allow; HUGE if they do not say. */
static double cgroup_quota(void)
{
    double least = 1e9;
    char line[4200];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) { /* "0::/a/b" or "4:cpu,cpuacct:/a/b" */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (controllers[1] == '\0')
            quota_within("/sys/fs/cgroup", group, &least);
        else if (strstr(controllers, "cpu"))
            quota_within("/sys/fs/cgroup/cpu", group, &least);
    }
    if (f)
        fclose(f);
    return least;
}

int gr__cpu_count(void)
{
    static _Atomic int known;
    int n = atomic_load_explicit(&known, memory_order_relaxed);
    if (n == 0) {
        n = affinity_count();
        double quota = cgroup_quota();
        if (quota < n)
            n = quota < 1 ? 1 : (int)(quota + 0.5);
        n = n < 1 ? 1 : n;
        atomic_store_explicit(&known, n, memory_order_relaxed);
    }
    return n;
}

static _Atomic int wanted; /* 0: the default */

static int within(long n)
{
    return n < 1 ? 1 : n > GR_MAX_THREADS ? GR_MAX_THREADS : (int)n;
}

int gr_num_threads(void)
{
#ifdef _OPENMP
    int n = atomic_load_explicit(&wanted, memory_order_relaxed);
    if (n > 0)
        return n;
    const char *said = getenv("OMP_NUM_THREADS"); /* "4" or, per level of nesting, "4,2" */
    if (said && isdigit((unsigned char)*said) && atol(said) > 0)
        return within(atol(said));
    return within(gr__cpu_count());
#else
    return 1;
#endif
}

void gr_set_num_threads(int n)
{
    atomic_store_explicit(&wanted, n < 1 ? 0 : within(n), memory_order_relaxed);
}

/* ---- the team ---------------------------------------------------------------------------------------------------- */

void gr__team_run(int threads, void (*body)(void *ctx, int thread, gr__team *team), void *ctx)
{
    gr__team team = {.threads = 1};
    threads = within(threads);
#ifdef _OPENMP
    if (threads > 1 && !omp_in_parallel()) {
        int cpus = gr__cpu_count();
#pragma omp parallel num_threads(threads) default(none) shared(team, body, ctx, cpus)
        {
            /* All threads find the same number; the region's own barrier publishes it before anyone reads it. */
#pragma omp single
            {
                team.threads = omp_get_num_threads();
                team.crowded = team.threads > cpus;
            }
            body(ctx, omp_get_thread_num(), &team);
        }
        return;
    }
#endif
    body(ctx, 0, &team);
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum { SPIN_NS = 20000, PAUSES_PER_LOOK = 64 };

static bool round_changes_soon(gr__team *team, uint32_t round)
{
    if (team->crowded)
        return false;
    int64_t start = 0;
    for (;;) {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(&team->round, memory_order_acquire) != round)
                return true;
            pause_briefly();
        }
        int64_t now = now_ns();
        if (start == 0)
            start = now;
        else if (now - start > SPIN_NS)
            return false;
    }
}

/* Sleeps until the round changes. The kernel compares once more before it lets the thread sleep; the waker raises the
 * round before it looks for sleepers, the sleeper counts itself before it looks at the round: one of them sees the
 * other. */
static void sleep_through(gr__team *team, uint32_t round)
{
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->round) == round) {
#ifdef __linux__
        syscall(SYS_futex, &team->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
#else
        sched_yield();
#endif
    }
    atomic_fetch_sub(&team->sleepers, 1);
}

void gr__team_barrier(gr__team *team, int thread)
{
    (void)thread;
    if (team->threads == 1)
        return;
    uint32_t round = atomic_load_explicit(&team->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 < (uint32_t)team->threads) {
        if (!round_changes_soon(team, round))
            sleep_through(team, round);
        return;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store(&team->round, round + 1);
#ifdef __linux__
    if (atomic_load(&team->sleepers) > 0)
        syscall(SYS_futex, &team->round, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#endif
}

/* ---- denormals --------------------------------------------------------------------------------------------------- */

uint64_t gr__ftz_on(void)
{
#if defined(__x86_64__)
    uint32_t old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* flush results to zero, take inputs as zero */
    return old;
#elif defined(__aarch64__)
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | UINT64_C(1) << 24));
    return old;
#else
    return 0;
#endif
}

/* The status flags that were raised meanwhile stay raised, as after any computation. */
void gr__ftz_restore(uint64_t old)
{
#if defined(__x86_64__)
    enum { FLAGS = 0x3f };
    _mm_setcsr(((uint32_t)old & ~(uint32_t)FLAGS) | (_mm_getcsr() & FLAGS));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}
