/* bench/planning.c: how long a training step takes from its tape to a plan that can run: decoders of several depths.
 * Prints the best of ROUNDS.   planning [DEPTH ..] */
#include "bench/fma_peak.h"
#include "compiler/plan.h"
#include "tests/transformer.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 20 };

static bool measure(int64_t depth)
{
    transformer m;
    double trace = 1e9, plan = 1e9;
    int64_t nodes = 0, groups = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = bench_now();
        if (transformer_make(&m, (transformer_sizes){depth, 128, 4, 64, 65}) != GR_OK)
            return false;
        double t1 = bench_now();
        gr_program *p = gr_program_new(
            m.tape, .inputs = {m.text, m.next}, .outputs = {m.loss}, .name = "decoder", .max_batch = 16, .threads = 2);
        double t2 = bench_now();
        nodes = gr_program_plan(p).nodes;
        groups = gr_program_plan(p).groups;
        gr_program_free(p);
        transformer_free(&m);
        if (!nodes)
            return false;
        trace = t1 - t0 < trace ? t1 - t0 : trace;
        plan = t2 - t1 < plan ? t2 - t1 : plan;
    }
    printf("%2lld blocks: %5lld nodes, %4lld groups, tape %6.2f ms, tape to plan %6.2f ms\n", (long long)depth,
        (long long)nodes, (long long)groups, trace * 1e3, plan * 1e3);
    return true;
}

int main(int argc, char **argv)
{
    static const int64_t depths[] = {1, 4, 16};
    for (int i = 0; i < (argc > 1 ? argc - 1 : 3); i++)
        if (!measure(argc > 1 ? atoll(argv[i + 1]) : depths[i]))
            return gr_report(stderr);
    return 0;
}
