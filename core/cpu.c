/* core/cpu.c: see cpu.h. */
#include "core/cpu.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[GR_ISA_COUNT] = {"base", "avx2", "avx512"};

const char *gr__isa_name(gr_isa isa)
{
    return names[isa];
}

int gr__cpu_has(gr_isa isa)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == GR_ISA_AVX2)
        return avx2;
    if (isa == GR_ISA_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == GR_ISA_BASE;
}

gr_isa gr__cpu_isa(void)
{
    static _Atomic int known; /* 1 + the answer; every thread would find the same */
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found)
        return (gr_isa)(found - 1);
    const char *cap = getenv("GRAPE_ISA");
    int best = GR_ISA_COUNT - 1;
    for (int i = 0; cap && i < GR_ISA_COUNT; i++)
        if (strcmp(cap, names[i]) == 0)
            best = i;
    while (best > GR_ISA_BASE && !gr__cpu_has((gr_isa)best))
        best--;
    atomic_store_explicit(&known, best + 1, memory_order_relaxed);
    return (gr_isa)best;
}
