/* Times the loop of peak.isa.c. */
#include "ops/kernels/peak.h"
#include "core/cpu.h"
#include <time.h>

enum { LOOPS = 5 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double loop(int64_t rounds)
{
    float sink[16];
    for (int i = 0; i < 16; i++)
        sink[i] = 0.5f;
#ifdef __x86_64__
    if (gr__cpu_isa() == GR_ISA_AVX512)
        return gr__peak_loop_avx512(rounds, sink);
    if (gr__cpu_isa() == GR_ISA_AVX2)
        return gr__peak_loop_avx2(rounds, sink);
#endif
    return gr__peak_loop_base(rounds, sink);
}

double gr__peak_flops(double seconds)
{
    double best = 0, start = now();
    int64_t rounds = 1000;
    loop(rounds); /* wakes the wide units */
    for (double took = 0; took < seconds / LOOPS / 2 && now() - start < seconds; rounds *= 2) {
        double t = now(), flops = loop(rounds);
        took = now() - t;
        best = took > 0 && flops / took > best ? flops / took : best;
    }
    while (now() - start < seconds) {
        double t = now(), flops = loop(rounds / 2), took = now() - t;
        best = took > 0 && flops / took > best ? flops / took : best;
    }
    return best;
}
