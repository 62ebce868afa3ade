/* core/thread.c: see thread.h; the threads themselves are in team.c. */
#include "core/thread.h"
#include <ctype.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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
