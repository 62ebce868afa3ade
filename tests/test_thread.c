/* core/thread.c: how many threads, and the mode of denormals. */
#include "core/thread.h"
#include "tests/harness.h"
#include <float.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool openmp(void)
{
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
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

GR_SUITE("core/thread.c", GR_TEST(the_number_of_threads_is_held_within_bounds),
    GR_TEST(denormals_are_zero_only_while_asked_for))
