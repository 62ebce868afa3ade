/* bench/gemm: the matrix product against the multiply-add peak of the same cores in the same minute, and against
 * OpenBLAS.
 *
 *     bench/gemm [PART OF A ROW'S NAME]         GRAPE_ISA=avx2 bench/gemm
 *
 * The product is cut into blocks of rows and columns as the compiler cuts it, and run on one thread and on two of a
 * team, barrier included. A row's rounds (peak, one thread, two, OpenBLAS on one, peak again) are interleaved; printed
 * are the median's and the best round's share of the peak. "packed": gr__gemm_pack was done beforehand. */
#include "bench/rate.h"
#include "core/blas.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/team.h"
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
    bool packed;
} row;

static const row rows[] = {
    {"mlp 1", X_W, 128, 512, 784, false},
    {"mlp 1 dX", Y_WT, 128, 784, 512, false},
    {"mlp 1 dW", XT_DY, 784, 512, 128, false},
    {"mlp 2", X_W, 128, 128, 512, false},
    {"mlp 2 dX", Y_WT, 128, 512, 128, false},
    {"mlp 2 dW", XT_DY, 512, 128, 128, false},
    {"mlp 3", X_W, 128, 10, 128, false},
    {"mlp 3 dX", Y_WT, 128, 128, 10, false},
    {"mlp 3 dW", XT_DY, 128, 10, 128, false},
    {"gpt qkv", X_W, 2048, 384, 128, false},
    {"gpt qkv dX", Y_WT, 2048, 128, 384, false},
    {"gpt qkv dW", XT_DY, 128, 384, 2048, false},
    {"gpt out", X_W, 2048, 128, 128, false},
    {"gpt out dX", Y_WT, 2048, 128, 128, false},
    {"gpt out dW", XT_DY, 128, 128, 2048, false},
    {"gpt up", X_W, 2048, 512, 128, false},
    {"gpt up dX", Y_WT, 2048, 128, 512, false},
    {"gpt up dW", XT_DY, 128, 512, 2048, false},
    {"gpt down", X_W, 2048, 128, 512, false},
    {"gpt down dX", Y_WT, 2048, 512, 128, false},
    {"gpt down dW", XT_DY, 512, 128, 2048, false},
    {"gpt head", X_W, 2048, 65, 128, false},
    {"lstm step", X_W, 64, 1024, 256, false},
    {"lstm step, inputs too", X_W, 64, 1024, 320, false},
    {"lstm step dX", Y_WT, 64, 256, 1024, false},
    {"lstm step, packed", X_W, 64, 1024, 256, true},
    {"lstm dX, packed", Y_WT, 64, 256, 1024, true},
    {"lstm dW", XT_DY, 320, 1024, 4096, false},
    {"dense 1600", X_W, 128, 128, 1600, false},
    {"dense 1600 dX", Y_WT, 128, 1600, 128, false},
    {"dense 1600 dW", XT_DY, 1600, 128, 128, false},
    {"conv as product", X_W, 4096, 16, 144, false},
    {"square", X_W, 1024, 1024, 1024, false},
    {"square dW", XT_DY, 1024, 1024, 1024, false},
    {"square dX", Y_WT, 1024, 1024, 1024, false},
    {"odd", X_W, 300, 40, 7, false},
    {"odd dW", XT_DY, 7, 40, 300, false},
    {"odd dX", Y_WT, 300, 7, 40, false},
    {"predict 1", X_W, 1, 512, 784, false},
    {"predict 1 transposed", Y_WT, 1, 512, 784, false},
    {"predict 1 last", X_W, 1, 10, 128, false},
    {"two rows", X_W, 2, 512, 784, false},
    {"four rows", X_W, 4, 512, 784, false},
    {"four rows transposed", Y_WT, 4, 512, 784, false},
    {"eight rows", X_W, 8, 512, 784, false},
    {"column", X_W, 512, 1, 784, false},
    {"column of transposed", XT_DY, 512, 1, 784, false},
    {"two columns", X_W, 512, 2, 784, false},
    {"four columns", X_W, 512, 4, 784, false},
    {"seven columns", X_W, 512, 7, 784, false},
    {"ten columns", X_W, 512, 10, 784, false},
    {"ten columns dW", XT_DY, 784, 10, 512, false},
    {"fifteen columns", X_W, 512, 15, 784, false},
};

enum { ROUNDS = 9, THREADS = 2, SCRATCH = 1 << 19, REPEATS = 64 };
static const double round_seconds = 3e-3;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
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
    char *scratch; /* SCRATCH bytes for each thread */
    double peak[THREADS];
} task;

static int64_t blocks(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* One block of the product. */
static void part(void *ctx, int phase, int k, int thread)
{
    const task *t = ctx;
    (void)phase;
    gr__gemm g = t->own;
    const gr__gemm_part *p = gr__gemm_parts();
    int64_t across = blocks(g.n, p->cols), i = k / across * p->rows, j = k % across * p->cols;
    g.m = g.m - i < p->rows ? g.m - i : p->rows;
    g.n = g.n - j < p->cols ? g.n - j : p->cols;
    g.a = (const char *)g.a + i * g.a_row * (int64_t)t->elem;
    g.b = (const char *)g.b + j * (g.b_block ? g.k : g.b_col) * (int64_t)t->elem;
    g.c = (char *)g.c + (i * g.c_row + j) * (int64_t)t->elem;
    g.scratch = t->scratch + thread * SCRATCH;
    (t->elem == 4 ? gr__gemm_f32 : gr__gemm_f64)(&g);
}

static void measure_peak(void *ctx, int phase, int k, int thread)
{
    (void)phase, (void)thread;
    ((task *)ctx)->peak[k] = gr__peak_flops(1e-3);
}

typedef struct {
    task *t;
    int threads, parts;
    void (*part)(void *ctx, int phase, int part, int thread);
    double rate; /* products' flops per second */
} job;

/* Products one after the other, each a phase of the job. */
static void run_job(void *ctx)
{
    job *w = ctx;
    gr__job_phase phase[REPEATS];
    int share[THREADS + 1] = {0};
    for (int i = 1; i <= w->threads; i++)
        share[i] = w->parts * i / w->threads;
    for (int i = 0; i < REPEATS; i++)
        phase[i] = (gr__job_phase){0, share};
    const gr__gemm *g = &w->t->own;
    double flops = 2.0 * (double)(g->m * g->n * g->k);
    int n = (int)(round_seconds * 1e11 / flops);
    gr__job j = {w->threads, n < 1 ? 1 : n > REPEATS ? REPEATS : n, phase, w->part, w->t};
    gr__job_run(&j);
    int64_t calls = 0;
    double start = now(), end;
    do {
        gr__job_run(&j);
        calls += j.n_phases;
        end = now();
    } while (end - start < round_seconds);
    w->rate = flops * (double)calls / (end - start);
}

static double own_rate(task *t, int threads)
{
    const gr__gemm_part *p = gr__gemm_parts();
    job w = {t, threads, (int)(blocks(t->own.m, p->rows) * blocks(t->own.n, p->cols)), part, 0};
    gr__team_hold(threads, run_job, &w);
    return w.rate;
}

static void run_peak(void *ctx)
{
    const int share[] = {0, 1, 2};
    gr__job_run(&(gr__job){THREADS, 1, &(gr__job_phase){0, share}, measure_peak, ctx});
}

/* Flops of a thread while all are busy. */
static double peak_rate(task *t)
{
    gr__team_hold(THREADS, run_peak, t);
    double sum = 0;
    for (int i = 0; i < THREADS; i++)
        sum += t->peak[i];
    return sum / THREADS * 4 / (double)t->elem;
}

static double blas_rate(const task *t)
{
    if (!gr__blas())
        return 0;
    double flops = 2.0 * (double)(t->own.m * t->own.n * t->own.k), start, end;
    int64_t calls = 0, between_looks = 1 + (int64_t)(1e7 / flops);
    (t->elem == 4 ? gr__blas_gemm_f32 : gr__blas_gemm_f64)(&t->blas);
    start = now();
    do {
        for (int64_t i = 0; i < between_looks; i++)
            (t->elem == 4 ? gr__blas_gemm_f32 : gr__blas_gemm_f64)(&t->blas);
        calls += between_looks;
        end = now();
    } while (end - start < round_seconds);
    return flops * (double)calls / (end - start);
}

static task prepare(const row *r, size_t elem, void *const data[5])
{
    task t = {.elem = elem, .scratch = data[3]};
    const bool ta = r->kind == XT_DY, tb = r->kind == Y_WT;
    t.own = (gr__gemm){r->m, r->n, r->k, data[0], ta ? 1 : r->k, ta ? r->m : 1, data[1], tb ? 1 : r->n, tb ? r->k : 1,
        0, data[2], r->n, false, NULL};
    t.blas = (gr__blas_gemm){ta, tb, r->m, r->n, r->k, 1, 0, data[0], data[1], data[2], ta ? r->m : r->k,
        tb ? r->k : r->n, r->n};
    if (r->packed) {
        gr__gemm all = t.own;
        if (elem == 4)
            gr__gemm_pack_f32(&all, data[4]);
        else
            gr__gemm_pack_f64(&all, data[4]);
        t.own.b = data[4], t.own.b_block = r->k * gr__gemm_block(elem);
    }
    return t;
}

static void print_row(const row *r, size_t elem, void *const data[5])
{
    task t = prepare(r, elem, data);
    enum { PEAK, ONE, TWO, BLAS, KINDS };
    double rate[KINDS][ROUNDS];
    for (int b = 0; b < ROUNDS; b++) {
        double before = peak_rate(&t), after;
        rate[ONE][b] = own_rate(&t, 1);
        rate[BLAS][b] = blas_rate(&t);
        rate[TWO][b] = own_rate(&t, THREADS);
        after = peak_rate(&t);
        rate[PEAK][b] = before > after ? before : after;
    }
    for (int i = 0; i < KINDS; i++)
        qsort(rate[i], ROUNDS, sizeof(double), by_size);
    enum { MIDDLE = ROUNDS / 2, BEST = ROUNDS - 1 };
    double peak = rate[PEAK][MIDDLE], one = rate[ONE][MIDDLE], two = rate[TWO][MIDDLE], blas = rate[BLAS][MIDDLE];
    printf("%-21s %4ldx%4ldx%4ld f%d %6.1f  %6.1f %4.1f %4.1f  %6.1f %4.1f %4.1f  %6.1f %5.2f\n", r->name, (long)r->m,
        (long)r->n, (long)r->k, (int)elem * 8, peak * 1e-9, one * 1e-9, 100 * one / peak, 100 * rate[ONE][BEST] / peak,
        two * 1e-9, 50 * two / peak, 50 * rate[TWO][BEST] / peak, blas * 1e-9, blas > 0 ? one / blas : 0);
    char shape[64];
    snprintf(shape, sizeof shape, "%ldx%ldx%ld f%d", (long)r->m, (long)r->n, (long)r->k, (int)elem * 8);
    bench_rate(r->name, shape, "1 thread", one, peak);
    bench_rate(r->name, shape, "2 threads", two, THREADS * peak);
    if (blas > 0)
        bench_rate(r->name, shape, "OpenBLAS", blas, peak);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    void *data[5];
    for (int i = 0; i < 5; i++)
        if (!(data[i] = gr__alloc_aligned(1 << 25)))
            return gr_report(stderr);
    for (int i = 0; i < 2; i++)
        for (int64_t q = 0; q < 1 << 23; q++)
            ((float *)data[i])[q] = 0.01f * (float)(q % 11 + 1); /* read as doubles they are plain numbers too */
    char name[GR_CPU_NAME];
    gr__cpu_name(name);
    const struct gr__blas *blas = gr__blas();
    printf("%s (%s); %s %s\n", name, gr__isa_name(gr__cpu_isa()), blas ? blas->version : "no BLAS",
        blas ? blas->core : "");
    printf("%-21s %-18s   peak  1 thread  %%  best  2 threads %% best    BLAS 1/BLAS\n", "", "   m    n    k");
    for (size_t elem = 4; elem <= 8; elem += 4)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if ((argc < 2 || strstr(rows[i].name, argv[1])) &&
                (elem == 4 || rows[i].m * rows[i].n * rows[i].k > 1 << 22))
                print_row(&rows[i], elem, data);
    for (int i = 0; i < 5; i++)
        gr__free_aligned(data[i]);
    return 0;
}
