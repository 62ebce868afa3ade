/* bench/gemm: the matrix product against the multiply-add peak of the same core in the same minute, and against
 * OpenBLAS.
 *
 *     bench/gemm [PART OF A ROW'S NAME]         GRAPE_ISA=avx2 bench/gemm
 *
 * One thread. A row's blocks (peak, whole matrix, column strips, OpenBLAS) are interleaved; medians. */
#include "core/blas.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "ops/kernels/gemm.h"
#include "ops/kernels/peak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum { X_W, XT_DY, Y_WT } kind; /* forward, dW, dX: which operand is read transposed */
typedef struct {
    const char *name;
    kind kind;
    int64_t m, n, k;
} row;

static const row rows[] = {
    {"mlp 1", X_W, 128, 512, 784},
    {"mlp 1 dW", XT_DY, 784, 512, 128},
    {"mlp 2", X_W, 128, 128, 512},
    {"mlp 2 dX", Y_WT, 128, 512, 128},
    {"mlp 2 dW", XT_DY, 512, 128, 128},
    {"mlp 3", X_W, 128, 10, 128},
    {"mlp 3 dX", Y_WT, 128, 128, 10},
    {"mlp 3 dW", XT_DY, 128, 10, 128},
    {"gpt qkv", X_W, 2048, 384, 128},
    {"gpt up", X_W, 2048, 512, 128},
    {"gpt down", X_W, 2048, 128, 512},
    {"gpt up dX", Y_WT, 2048, 128, 512},
    {"gpt up dW", XT_DY, 128, 512, 2048},
    {"gpt head", X_W, 2048, 65, 128},
    {"lstm step", X_W, 64, 1024, 256},
    {"lstm step dX", Y_WT, 64, 256, 1024},
    {"conv as product", X_W, 4096, 16, 144},
    {"square", X_W, 1024, 1024, 1024},
    {"predict 1", X_W, 1, 512, 784},
    {"predict 1 transposed", Y_WT, 1, 512, 784},
    {"column", X_W, 512, 1, 784},
    {"column of transposed", XT_DY, 512, 1, 784},
    {"eight rows", X_W, 8, 512, 784},
};

enum { BLOCKS = 9 };
static const double block_seconds = 4e-3;

/* The thread's own time: neighbours on the core take time away, and only the rest of it is ours. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct {
    gr__gemm own;
    gr__blas_gemm blas;
    size_t elem;
} task;

static void run_whole(const task *t)
{
    (t->elem == 4 ? gr__gemm_f32 : gr__gemm_f64)(&t->own);
}

static void run_strips(const task *t)
{
    int64_t strip = gr__gemm_strip();
    for (int64_t j = 0; j < t->own.n; j += strip) {
        gr__gemm g = t->own;
        g.n = g.n - j < strip ? g.n - j : strip;
        g.b = (const char *)g.b + j * g.b_col * (int64_t)t->elem;
        g.c = (char *)g.c + j * (int64_t)t->elem;
        (t->elem == 4 ? gr__gemm_f32 : gr__gemm_f64)(&g);
    }
}

static void run_blas(const task *t)
{
    (t->elem == 4 ? gr__blas_gemm_f32 : gr__blas_gemm_f64)(&t->blas);
}

static double block(void (*run)(const task *), const task *t)
{
    double flops = 2.0 * (double)(t->own.m * t->own.n * t->own.k), start, end;
    int64_t calls = 0, between_looks = 1 + (int64_t)(5e6 / flops); /* a look at the clock is a system call */
    run(t);
    start = now();
    do {
        for (int64_t i = 0; i < between_looks; i++)
            run(t);
        calls += between_looks;
        end = now();
    } while (end - start < block_seconds);
    return flops * (double)calls / (end - start);
}

static task prepare(const row *r, size_t elem, void *const data[4])
{
    task t = {.elem = elem};
    const bool ta = r->kind == XT_DY, tb = r->kind == Y_WT;
    t.own = (gr__gemm){r->m, r->n, r->k, data[0], ta ? 1 : r->k, ta ? r->m : 1, data[1], tb ? 1 : r->n, tb ? r->k : 1,
        data[2], r->n, false, data[3]};
    t.blas = (gr__blas_gemm){ta, tb, r->m, r->n, r->k, 1, 0, data[0], data[1], data[2], ta ? r->m : r->k,
        tb ? r->k : r->n, r->n};
    return t;
}

static void print_row(const row *r, size_t elem, void *const data[4])
{
    task t = prepare(r, elem, data);
    double rate[4][BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        rate[0][b] = gr__peak_flops(2e-3) * 4 / (double)elem;
        rate[1][b] = block(run_whole, &t);
        rate[2][b] = block(run_strips, &t);
        rate[3][b] = gr__blas() ? block(run_blas, &t) : 0;
    }
    for (int i = 0; i < 4; i++)
        qsort(rate[i], BLOCKS, sizeof(double), by_size);
    double peak = rate[0][BLOCKS / 2] * 1e-9, own = rate[1][BLOCKS / 2] * 1e-9, strips = rate[2][BLOCKS / 2] * 1e-9;
    double blas = rate[3][BLOCKS / 2] * 1e-9;
    printf("%-21s %4ldx%4ldx%4ld f%d  %6.1f  %6.1f %5.1f%%  %6.1f %5.1f%%  %6.1f %5.2f\n", r->name, (long)r->m,
        (long)r->n, (long)r->k, (int)elem * 8, peak, own, 100 * own / peak, strips, 100 * strips / peak, blas,
        blas > 0 ? own / blas : 0);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    void *data[4];
    for (int i = 0; i < 4; i++)
        if (!(data[i] = gr__alloc_aligned(1 << 24)))
            return gr_report(stderr);
    for (int i = 0; i < 2; i++)
        for (int64_t q = 0; q < 1 << 22; q++)
            ((float *)data[i])[q] = 0.01f * (float)(q % 11 + 1); /* read as doubles they are plain numbers too */
    char name[GR_CPU_NAME];
    gr__cpu_name(name);
    const struct gr__blas *blas = gr__blas();
    printf("%s (%s), 1 thread; %s %s\n", name, gr__isa_name(gr__cpu_isa()), blas ? blas->version : "no BLAS",
        blas ? blas->core : "");
    printf("%-21s    m    n    k      GF/s peak   whole         strips %-3ld    BLAS  whole/BLAS\n", "",
        (long)gr__gemm_strip());
    for (size_t elem = 4; elem <= 8; elem += 4)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if ((argc < 2 || strstr(rows[i].name, argv[1])) &&
                (elem == 4 || rows[i].m * rows[i].n * rows[i].k > 1 << 22))
                print_row(&rows[i], elem, data);
    for (int i = 0; i < 4; i++)
        gr__free_aligned(data[i]);
    return 0;
}
