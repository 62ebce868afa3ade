/* core/cpu.c: see cpu.h. */
#include "core/cpu.h"
#include "core/status.h"
#include <stdatomic.h>
#include <stdint.h>
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
#ifdef GR_EMULATE_AVX512 /* tests/emulate_avx512.h */
        return avx2;
#else
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
#endif
    return isa == GR_ISA_BASE;
}

bool gr__isa_cap(const char *cap, gr_isa *isa)
{
    if (!cap || !*cap)
        return true;
    for (int i = GR_ISA_BASE; i < GR_ISA_COUNT; i++)
        if (strcmp(cap, names[i]) == 0) {
            *isa = i < (int)*isa ? (gr_isa)i : *isa;
            return true;
        }
    return false;
}

gr_isa gr__cpu_isa(void)
{
    static _Atomic int known; /* 1 + the answer; every thread would find the same */
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found)
        return (gr_isa)(found - 1);
    const char *cap = getenv("GRAPE_ISA");
    gr_isa best = GR_ISA_COUNT - 1;
    while (best > GR_ISA_BASE && !gr__cpu_has(best))
        best--;
    bool understood = gr__isa_cap(cap, &best);
    if (atomic_exchange_explicit(&known, (int)best + 1, memory_order_relaxed) == 0 && !understood)
        gr_log_write(GR_LOG_WARNING, "GRAPE_ISA: expected avx512, avx2 or base, found %.32s; using %s\n", cap,
            names[best]);
    return best;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <cpuid.h>

static bool made_by(uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    uint32_t a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == ebx && c == ecx && d == edx;
}

bool gr__cpu_is_amd(void)
{
    return made_by(signature_AMD_ebx, signature_AMD_ecx, signature_AMD_edx);
}

bool gr__cpu_is_intel(void)
{
    return made_by(signature_INTEL_ebx, signature_INTEL_ecx, signature_INTEL_edx);
}

static bool brand(char name[GR_CPU_NAME])
{
    uint32_t r[12];
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]))
            return false;
    memcpy(name, r, sizeof r);
    return true;
}
#else
bool gr__cpu_is_amd(void)
{
    return false;
}

bool gr__cpu_is_intel(void)
{
    return false;
}

static bool brand(char name[GR_CPU_NAME])
{
    (void)name;
    return false;
}
#endif

void gr__cpu_name(char name[GR_CPU_NAME])
{
    memset(name, 0, GR_CPU_NAME);
    if (!brand(name))
        strcpy(name, "unknown CPU");
    size_t start = strspn(name, " "), n = strlen(name + start); /* makers fill it with blanks, before or behind */
    while (n > 0 && name[start + n - 1] == ' ')
        n--;
    memmove(name, name + start, n);
    name[n] = '\0';
}
