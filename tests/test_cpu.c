/* The choice of an instruction set. */
#include "core/cpu.h"
#include "tests/harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_wish_only_lowers_the_instruction_set(void)
{
    static const struct {
        const char *why;
        gr_isa found;
        const char *wish;
        bool known;
        gr_isa chosen;
    } rows[] = {
        {"no wish", GR_ISA_AVX512, NULL, true, GR_ISA_AVX512},
        {"an empty variable is no wish", GR_ISA_AVX2, "", true, GR_ISA_AVX2},
        {"lower by one", GR_ISA_AVX512, "avx2", true, GR_ISA_AVX2},
        {"lower by two", GR_ISA_AVX512, "base", true, GR_ISA_BASE},
        {"the same", GR_ISA_AVX2, "avx2", true, GR_ISA_AVX2},
        {"never higher than the CPU", GR_ISA_AVX2, "avx512", true, GR_ISA_AVX2},
        {"never higher than the CPU", GR_ISA_BASE, "avx2", true, GR_ISA_BASE},
        {"an unknown name changes nothing", GR_ISA_AVX2, "sse9", false, GR_ISA_AVX2},
        {"names are exact", GR_ISA_AVX512, "AVX2", false, GR_ISA_AVX512},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_isa chosen = rows[i].found;
        bool known = gr__isa_cap(rows[i].wish, &chosen);
        GR_EXPECT(known == rows[i].known && chosen == rows[i].chosen, "%s: %s of %s gave %s", rows[i].why,
            rows[i].wish ? rows[i].wish : "nothing", gr__isa_name(rows[i].found), gr__isa_name(chosen));
    }
}

/* /proc/cpuinfo is the system's own view of the same question. */
static void the_kernel_agrees(void)
{
#ifdef GR_EMULATE_AVX512
    gr_test_skip("AVX-512 is emulated: tests/emulate_avx512.h");
    return;
#endif
    static char line[1 << 14];
    FILE *f = fopen("/proc/cpuinfo", "r");
    gr_isa said = GR_ISA_BASE;
    bool flags = false;
    while (f && !flags && fgets(line, sizeof line, f))
        if (strncmp(line, "flags", 5) == 0) {
            line[strcspn(line, "\n")] = ' ';
            flags = true;
            if (strstr(line, " avx2 ") && strstr(line, " fma "))
                said = GR_ISA_AVX2;
            if (said == GR_ISA_AVX2 && strstr(line, " avx512f ") && strstr(line, " avx512bw ") &&
                strstr(line, " avx512dq ") && strstr(line, " avx512vl "))
                said = GR_ISA_AVX512;
        }
    if (f)
        fclose(f);
    if (!flags) {
        gr_test_skip("/proc/cpuinfo lists no flags");
        return;
    }
    for (int isa = GR_ISA_BASE; isa < GR_ISA_COUNT; isa++)
        GR_EXPECT(gr__cpu_has((gr_isa)isa) == (isa <= (int)said), "%s: the system says %s", gr__isa_name((gr_isa)isa),
            gr__isa_name(said));
    gr_isa want = said;
    gr__isa_cap(getenv("GRAPE_ISA"), &want);
    GR_EXPECT(gr__cpu_isa() == want, "found %s, the system says %s", gr__isa_name(gr__cpu_isa()),
        gr__isa_name(want));
}

static void the_cpu_has_a_name_without_blanks_around_it(void)
{
    char name[GR_CPU_NAME];
    gr__cpu_name(name);
    size_t n = strlen(name);
    GR_EXPECT(n > 0 && name[0] != ' ' && name[n - 1] != ' ', "found \"%s\"", name);
    CU_ASSERT_STRING_EQUAL(gr__isa_name(GR_ISA_AVX2), "avx2");
}

GR_SUITE("core/cpu.c", GR_TEST(a_wish_only_lowers_the_instruction_set), GR_TEST(the_kernel_agrees),
    GR_TEST(the_cpu_has_a_name_without_blanks_around_it))
