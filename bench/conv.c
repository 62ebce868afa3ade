/* bench/conv: convolutions against the multiply-add peak of the same core in the same minute.
 *
 *     bench/conv [PART OF A ROW'S NAME]         GRAPE_ISA=avx2 bench/conv
 *
 * One thread. Blocks of peak, forward, dX and dW are interleaved; medians of the thread's own time. Products with
 * padding are counted as products. */
#include "bench/rate.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "ops/kernels/conv.h"
#include "ops/kernels/peak.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    gr__conv c; /* n, h, w, c,  kh, kw,  oh, ow, o,  strides, dilations, pads, groups */
} rows[] = {
    {"cnn 1", {16, 28, 28, 1, 3, 3, 26, 26, 32, 1, 1, 1, 1, 0, 0, 1}},
    {"cnn 2", {16, 13, 13, 32, 3, 3, 11, 11, 64, 1, 1, 1, 1, 0, 0, 1}},
    {"cnn 2 cropped", {16, 13, 13, 32, 3, 3, 10, 10, 64, 1, 1, 1, 1, 0, 0, 1}},
    {"resnet 3-16", {8, 32, 32, 3, 3, 3, 32, 32, 16, 1, 1, 1, 1, 1, 1, 1}},
    {"resnet 16-16", {8, 32, 32, 16, 3, 3, 32, 32, 16, 1, 1, 1, 1, 1, 1, 1}},
    {"resnet 16-32/2", {8, 32, 32, 16, 3, 3, 16, 16, 32, 2, 2, 1, 1, 0, 0, 1}},
    {"resnet 32-32", {8, 16, 16, 32, 3, 3, 16, 16, 32, 1, 1, 1, 1, 1, 1, 1}},
    {"resnet 32-64/2", {8, 16, 16, 32, 3, 3, 8, 8, 64, 2, 2, 1, 1, 0, 0, 1}},
    {"resnet 64-64", {16, 8, 8, 64, 3, 3, 8, 8, 64, 1, 1, 1, 1, 1, 1, 1}},
    {"valid 32-32", {4, 34, 34, 32, 3, 3, 32, 32, 32, 1, 1, 1, 1, 0, 0, 1}},
    {"1x1 64-128", {4, 16, 16, 64, 1, 1, 16, 16, 128, 1, 1, 1, 1, 0, 0, 1}},
    {"1x1 16-32/2", {8, 32, 32, 16, 1, 1, 16, 16, 32, 2, 2, 1, 1, 0, 0, 1}},
    {"1x1 32-64/2", {8, 16, 16, 32, 1, 1, 8, 8, 64, 2, 2, 1, 1, 0, 0, 1}},
    {"128-128 14x14", {4, 14, 14, 128, 3, 3, 14, 14, 128, 1, 1, 1, 1, 1, 1, 1}},
    {"depthwise 64", {4, 32, 32, 64, 3, 3, 32, 32, 64, 1, 1, 1, 1, 1, 1, 64}},
    {"1-D 64-64 k5", {8, 1, 128, 64, 1, 5, 1, 128, 64, 1, 1, 1, 1, 0, 2, 1}},
};

enum { BLOCKS = 7 };
static const double block_seconds = 4e-3;

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

static double block(const gr__conv *c, void (*run)(const gr__conv *, const gr__conv_part *), const gr__conv_part *p)
{
    double flops = 2.0 * (double)(c->n * c->oh * c->ow * c->kh * c->kw * (c->c / c->groups) * c->o), start, end;
    int64_t calls = 0;
    run(c, p);
    start = now();
    do {
        run(c, p);
        calls++;
        end = now();
    } while (end - start < block_seconds);
    return flops * (double)calls / (end - start);
}

static void print_row(const char *name, const gr__conv *c, float *const data[5])
{
    float *x = data[0], *w = data[1], *y = data[2], *turned = data[3];
    const int64_t turned_rows = c->kh * c->kw * (c->o / c->groups);
    gr__conv_turn_f32(c, &(gr__conv_part){.in = w, .out = turned, .r1 = turned_rows, .c1 = c->c});
    gr__conv_part forward = {x, w, y, 0, c->n * c->oh * c->ow, 0, c->o, 0, 0, false, data[4], NULL};
    gr__conv_part dx = {y, turned, x, 0, c->n * c->h * c->w, 0, c->c, 0, 0, false, data[4], NULL};
    gr__conv_part dw = {x, y, w, 0, c->kh * c->kw * (c->c / c->groups), 0, c->o, 0, c->n, false, data[4], NULL};
    double rate[4][BLOCKS];
    for (int b = 0; b < BLOCKS; b++) { /* each writes what another one reads: filled anew, or the numbers grow */
        for (int i = 0; i < 3; i++)
            for (int64_t q = 0; q < 1 << 21; q++)
                data[i][q] = 0.01f * (float)(q % 11 + 1);
        rate[0][b] = gr__peak_flops(2e-3);
        rate[1][b] = block(c, gr__conv_forward_f32, &forward);
        rate[2][b] = block(c, gr__conv_dx_f32, &dx);
        rate[3][b] = block(c, gr__conv_dw_f32, &dw);
    }
    for (int i = 0; i < 4; i++)
        qsort(rate[i], BLOCKS, sizeof(double), by_size);
    printf("%-16s %6.1f ", name, rate[0][BLOCKS / 2] * 1e-9);
    for (int i = 1; i < 4; i++)
        printf("  %6.1f %5.1f%%", rate[i][BLOCKS / 2] * 1e-9, 100 * rate[i][BLOCKS / 2] / rate[0][BLOCKS / 2]);
    puts("");
    char shape[64];
    snprintf(shape, sizeof shape, "%ldx%ldx%ldx%ld -> %ld, %ldx%ld", (long)c->n, (long)c->h, (long)c->w, (long)c->c,
        (long)c->o, (long)c->kh, (long)c->kw);
    for (int i = 1; i < 4; i++)
        bench_rate(name, shape, i == 1 ? "forward" : i == 2 ? "dX" : "dW", rate[i][BLOCKS / 2], rate[0][BLOCKS / 2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    float *data[5];
    for (int i = 0; i < 5; i++)
        if (!(data[i] = gr__alloc_aligned(1 << 23)))
            return gr_report(stderr);
    char name[GR_CPU_NAME];
    gr__cpu_name(name);
    printf("%s (%s), 1 thread\n%-16s GF/s peak   forward        dX             dW\n", name,
        gr__isa_name(gr__cpu_isa()), "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (argc < 2 || strstr(rows[i].name, argv[1]))
            print_row(rows[i].name, &rows[i].c, data);
    for (int i = 0; i < 5; i++)
        gr__free_aligned(data[i]);
    return 0;
}
