/* bench/attention: the attention kernel against the multiply-add peak of the same core in the same minute.
 *
 *     bench/attention         GRAPE_ISA=avx2 bench/attention
 *
 * One thread. Blocks of peak, forward and backward are interleaved; medians of the thread's own time. Of causal
 * attention half of the square counts; backward counts five products, the scores it computes again among them. */
#include "core/cpu.h"
#include "core/mem.h"
#include "ops/kernels/attend.h"
#include "ops/kernels/peak.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct {
    const char *name;
    int64_t heads, t, size; /* side by side in rows of 3 * heads * size, as one product leaves q, k, v */
    bool causal;
} rows[] = {
    {"gpt 128x32 causal", 4, 128, 32, true},
    {"128x32", 4, 128, 32, false},
    {"128x64 causal", 4, 128, 64, true},
    {"512x64 causal", 4, 512, 64, true},
    {"1024x64 causal", 4, 1024, 64, true},
    {"1024x128", 2, 1024, 128, false},
};
enum { BLOCKS = 7, EXAMPLES = 4 };

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
    gr__attend a;
    int64_t heads;
    float *qkv, *y, *dy, *dqkv, *stats;
} job;

static void all_heads(const job *j, bool gradient)
{
    const int64_t width = j->heads * j->a.h;
    for (int64_t i = 0; i < EXAMPLES * j->heads; i++) {
        const int64_t b = i / j->heads * j->a.t, n = i % j->heads * j->a.h;
        gr__attend a = j->a;
        a.q = j->qkv + b * 3 * width + n, a.k = (const float *)a.q + width, a.v = (const float *)a.q + 2 * width;
        a.dq = j->dqkv + b * 3 * width + n, a.dk = (float *)a.dq + width, a.dv = (float *)a.dq + 2 * width;
        a.y = j->y + b * width + n, a.dy = j->dy + b * width + n;
        a.lse = j->stats + i * a.t, a.delta = j->stats + (EXAMPLES * j->heads + i) * a.t;
        if (gradient)
            gr__attend_backward(&a, false);
        else
            gr__attend_forward(&a, false, 0, a.t);
    }
}

static double block(const job *j, bool gradient)
{
    const double pairs = (double)(EXAMPLES * j->heads * j->a.t * j->a.t) * (j->a.causal ? 0.5 : 1);
    const double flops = pairs * 2 * (double)j->a.h * (gradient ? 5 : 2), start = now();
    double end;
    int64_t calls = 0;
    do {
        all_heads(j, gradient);
        calls++;
        end = now();
    } while (end - start < 8e-3);
    return flops * (double)calls / (end - start);
}

static bool print_row(int row)
{
    const int64_t n = rows[row].heads, t = rows[row].t, h = rows[row].size, all = EXAMPLES * t * n * h;
    job j = {.heads = n,
        .a = {.t = t,
            .s = t,
            .h = h,
            .hv = h,
            .scale = 0.17,
            .causal = rows[row].causal,
            .q_row = 3 * n * h,
            .k_row = 3 * n * h,
            .v_row = 3 * n * h,
            .y_row = n * h,
            .stat_row = 1}};
    const size_t forward = gr__attend_scratch(&j.a, false, false), backward = gr__attend_scratch(&j.a, false, true);
    j.a.scratch = gr__alloc_aligned((int64_t)(forward > backward ? forward : backward));
    float **data[] = {&j.qkv, &j.dqkv, &j.y, &j.dy, &j.stats};
    const int64_t count[] = {3 * all, 3 * all, all, all, 2 * EXAMPLES * n * t};
    bool good = j.a.scratch != NULL;
    for (int i = 0; i < 5; i++) {
        good = (*data[i] = gr__alloc_aligned(count[i] * 4)) && good;
        for (int64_t q = 0; *data[i] && q < count[i]; q++)
            (*data[i])[q] = 0.1f * (float)((q * 37) % 19 - 9);
    }
    double rate[3][BLOCKS];
    for (int b = 0; good && b < BLOCKS; b++) {
        rate[0][b] = gr__peak_flops(2e-3);
        rate[1][b] = block(&j, false);
        rate[2][b] = block(&j, true);
    }
    for (int i = 0; good && i < 3; i++)
        qsort(rate[i], BLOCKS, sizeof(double), by_size);
    const double *f = rate[1] + BLOCKS / 2, *g = rate[2] + BLOCKS / 2, *peak = rate[0] + BLOCKS / 2;
    const double both = 7 / (2 / *f + 5 / *g);
    if (good)
        printf("%-20s %6.1f   %6.1f %5.1f%%  %6.1f %5.1f%%  %6.1f %5.1f%%\n", rows[row].name, *peak * 1e-9, *f * 1e-9,
            100 * *f / *peak, *g * 1e-9, 100 * *g / *peak, both * 1e-9, 100 * both / *peak);
    for (int i = 0; i < 5; i++)
        gr__free_aligned(*data[i]);
    gr__free_aligned(j.a.scratch);
    return good;
}

int main(void)
{
    char name[GR_CPU_NAME];
    gr__cpu_name(name);
    printf("%s (%s), 1 thread\n%-20s GF/s peak   forward        backward       both\n", name,
        gr__isa_name(gr__cpu_isa()), "");
    for (int row = 0; row < (int)(sizeof rows / sizeof *rows); row++)
        if (!print_row(row))
            return gr_report(stderr);
    return 0;
}
