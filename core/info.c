/* core/info.c: see info.h. */
#include "core/info.h"
#include "core/blas.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/process.h"
#include "core/thread.h"
#include <string.h>

#ifndef GRAPE_VERSION
#define GRAPE_VERSION "unknown"
#endif

const char *gr_version(void)
{
    return GRAPE_VERSION;
}

static int vector_bits(void)
{
    gr_isa isa = gr__cpu_isa();
    return isa == GR_ISA_AVX512 ? 512 : isa == GR_ISA_AVX2 ? 256 : 128;
}

static const char *blas_text(char *buf, size_t size)
{
    const struct gr__blas *b = gr__blas();
    if (!b)
        snprintf(buf, size, "no BLAS");
    else
        snprintf(buf, size, "%s%s%s%s", b->version, *b->core ? " (" : "", b->core, *b->core ? ")" : "");
    return buf;
}

const char *gr_info_banner(char *buf, size_t size)
{
    char cpu[GR_CPU_NAME], blas[200];
    gr__cpu_name(cpu);
    int threads = gr_num_threads();
    snprintf(buf, size, "Grape %s, %s (%s), %d thread%s, %s", GRAPE_VERSION, cpu, gr__isa_name(gr__cpu_isa()), threads,
        threads == 1 ? "" : "s", blas_text(blas, sizeof blas));
    return buf;
}

static const struct {
    const char *name, *what;
    bool built;
} parts[] = {
#ifdef _OPENMP
    {"OpenMP", "threads", true},
#else
    {"OpenMP", "threads", false},
#endif
#ifndef GRAPE_MINIMAL
    {"zlib", "gz files", true},
    {"libzip", "npz files", true},
    {"jansson", "safetensors and JSON", true},
#else
    {"zlib", "gz files", false},
    {"libzip", "npz files", false},
    {"jansson", "safetensors and JSON", false},
#endif
};

static const struct {
    const char *name, *what;
} programs[] = {{"dot", "pictures of graphs"}, {"gnuplot", "plots"}};

gr_status gr_info_print(FILE *f)
{
    char text[300];
    GR_CHECK(f, GR_EARG, "info_print: argument f: expected a stream, found NULL");
    gr__cpu_name(text);
    fprintf(f, "version   %s\n", GRAPE_VERSION);
    fprintf(f, "CPU       %s\n", text);
    fprintf(f, "vectors   %s, %d bits\n", gr__isa_name(gr__cpu_isa()), vector_bits());
    fprintf(f, "threads   %d of %d CPUs\n", gr_num_threads(), gr__cpu_count());
    fprintf(f, "pages     %s\n", gr__huge_pages() ? "huge ones for large blocks" : "as the system gives them");
    const struct gr__blas *b = gr__blas();
    fprintf(f, "BLAS      %s%s%s\n", blas_text(text, sizeof text), b ? ", " : "; own kernels only", b ? b->path : "");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        fprintf(f, "%-9s %s: %s\n", parts[i].name, parts[i].built ? "yes" : "not in this build", parts[i].what);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        bool found = gr__program_find(programs[i].name, text, sizeof text);
        fprintf(f, "%-9s %s: %s\n", programs[i].name, found ? text : "not found", programs[i].what);
    }
    return ferror(f) ? gr_fail(GR_EIO, (gr_at){0}, "info_print: the stream refuses the text") : GR_OK;
}
