/* compiler/machine.c: what this machine can do at best, for profiles to compare with. Nothing is planned by it. */
#include "compiler/profile.h"
#include "core/mem.h"
#include "ops/kernels/gemm.h"
#include <string.h>

enum { SIDE = 96, DEPTH = 128, PRODUCTS = 400, COPY_BYTES = 12 << 20, ROUNDS = 4 };

typedef struct {
    float *data;    /* per thread: three matrices, or two runs of bytes */
    int64_t floats; /* of a thread */
} ground;

static void products(void *ctx, int phase, int part, int thread)
{
    const ground *g = ctx;
    float *a = g->data + part * g->floats, *b = a + SIDE * DEPTH, *c = b + DEPTH * SIDE;
    (void)phase, (void)thread;
    for (int i = 0; i < PRODUCTS; i++)
        gr__gemm_f32(&(gr__gemm){.m = SIDE,
            .n = SIDE,
            .k = DEPTH,
            .a = a,
            .a_row = DEPTH,
            .a_col = 1,
            .b = b,
            .b_row = SIDE,
            .b_col = 1,
            .c = c,
            .c_row = SIDE,
            .scratch = c + SIDE * SIDE});
}

static void copies(void *ctx, int phase, int part, int thread)
{
    const ground *g = ctx;
    char *to = (char *)(g->data + part * g->floats);
    (void)phase, (void)thread;
    memcpy(to, to + COPY_BYTES, COPY_BYTES);
}

/* `each` units of work a thread; units per ns at best. */
static double rate(int threads, int64_t floats, double each, void (*work)(void *, int, int, int))
{
    int share[GR_MAX_THREADS + 1];
    ground g = {gr__alloc_aligned(threads * floats * (int64_t)sizeof *g.data), floats};
    double best = 0;
    for (int t = 0; t <= threads; t++)
        share[t] = t;
    for (int64_t i = 0; g.data && i < threads * floats; i++)
        g.data[i] = 1;
    for (int i = 0; g.data && i < ROUNDS; i++) {
        double start = gr__now_ns();
        gr__job_run(&(gr__job){threads, 1, &(gr__job_phase){0, share}, work, &g});
        double now = threads * each / (gr__now_ns() - start);
        best = now > best ? now : best;
    }
    gr__free_aligned(g.data);
    return best;
}

double gr__machine_flops(int threads)
{
    static _Atomic double known[GR_MAX_THREADS + 1];
    const int64_t scratch = (int64_t)gr__gemm_scratch(
        &(gr__gemm){
            .m = SIDE, .n = SIDE, .k = DEPTH, .a_row = DEPTH, .a_col = 1, .b_row = SIDE, .b_col = 1, .c_row = SIDE},
        sizeof(float));
    if (known[threads] <= 0)
        known[threads] = rate(threads, 2 * SIDE * DEPTH + SIDE * SIDE + (scratch + 64) / 64 * 16,
            2.0 * SIDE * SIDE * DEPTH * PRODUCTS, products);
    return known[threads];
}

double gr__machine_bytes(int threads)
{
    static _Atomic double known[GR_MAX_THREADS + 1];
    if (known[threads] <= 0)
        known[threads] = rate(threads, 2 * COPY_BYTES / (int64_t)sizeof(float), 2.0 * COPY_BYTES, copies);
    return known[threads];
}
