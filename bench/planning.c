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
    double best = 1e9;
    gr_program_stats plan = {0};
    if (transformer_make(&m, (transformer_sizes){depth, 128, 4, 64, 65}) != GR_OK)
        return false;
    for (int i = 0; i < ROUNDS; i++) {
        double start = bench_now();
        gr_program *p = gr_program_new(
            m.tape, .inputs = {m.text, m.next}, .outputs = {m.loss}, .name = "decoder", .max_batch = 16, .threads = 2);
        double took = bench_now() - start;
        plan = gr_program_plan(p);
        gr_program_free(p);
        best = took < best ? took : best;
    }
    transformer_free(&m);
    printf("%2lld blocks: %5lld nodes, %4lld groups, %7.2f ms\n", (long long)depth, (long long)plan.nodes,
        (long long)plan.groups, best * 1e3);
    return plan.nodes > 0;
}

int main(int argc, char **argv)
{
    static const int64_t depths[] = {1, 4, 16};
    for (int i = 0; i < (argc > 1 ? argc - 1 : 3); i++)
        if (!measure(argc > 1 ? atoll(argv[i + 1]) : depths[i]))
            return gr_report(stderr);
    return 0;
}
