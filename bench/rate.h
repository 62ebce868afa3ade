/* bench/rate.h: what a kernel reached, as a line of JSON for bench/run, which sets GRAPE_BENCH_JSON. */
#ifndef GRAPE_BENCH_RATE_H
#define GRAPE_BENCH_RATE_H

#include <stdio.h>
#include <stdlib.h>

/* peak: of the threads that took part; both in flops per second. */
static inline void bench_rate(const char *name, const char *shape, const char *kind, double rate, double peak)
{
    if (getenv("GRAPE_BENCH_JSON"))
        printf("{\"name\": \"%s\", \"shape\": \"%s\", \"kind\": \"%s\", \"gflops\": %.1f, \"of_peak\": %.3f}\n", name,
            shape, kind, rate * 1e-9, rate / peak);
}
#endif
