/* core/cpu.h: which instruction set the kernels may use. Kernels are compiled once per set (cmake/isa.cmake); the
 * choice is made here, by CPUID, never by a timing. */
#ifndef GRAPE_CORE_CPU_H
#define GRAPE_CORE_CPU_H

#include "core/export.h"
#include <stdbool.h>

GR_BEGIN

typedef enum {
    GR_ISA_BASE,   /* what every machine of this kind has: SSE2 on x86-64, NEON on aarch64 */
    GR_ISA_AVX2,   /* AVX2 and FMA */
    GR_ISA_AVX512, /* AVX-512 F, BW, DQ, VL and FMA */
    GR_ISA_COUNT
} gr_isa;

/* The best set that this build has kernels for and this machine (and its system) runs, capped by GRAPE_ISA=avx2 or
 * base. Found once; the same for the life of the process. */
gr_isa gr__cpu_isa(void);
/* Whether the machine runs it, whatever GRAPE_ISA says. */
int gr__cpu_has(gr_isa isa);
/* "base", "avx2", "avx512" */
const char *gr__isa_name(gr_isa isa);
/* The rule of GRAPE_ISA: *isa is lowered to what `cap` names (NULL or "": nothing). False if it is no name of a set. */
bool gr__isa_cap(const char *cap, gr_isa *isa);
/* The CPU's own name, "AMD EPYC 9R14"; copied into `name`. */
enum { GR_CPU_NAME = 49 };
void gr__cpu_name(char name[GR_CPU_NAME]);
bool gr__cpu_is_amd(void);
bool gr__cpu_is_intel(void);

GR_END
#endif
