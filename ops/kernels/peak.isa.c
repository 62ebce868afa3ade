/* A loop of multiply-adds in registers: the roof of every kernel.  compile with: -ffp-contract=fast */
#include "ops/kernels/peak.h"
#include "ops/kernels/vec.h"

enum { CHAINS = 12 }; /* two units of latency 4 need 8; 16 registers leave room for 14 */

double GR_ISA_NAME(gr__peak_loop)(int64_t rounds, float *sink)
{
    vf acc[CHAINS], x = vf_load(sink), y = vf_set1(1e-3f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vf_set1((float)i);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * x + y;
    }
    for (int i = 1; i < CHAINS; i++)
        acc[0] += acc[i];
    vf_store(sink, acc[0]);
    return 2.0 * CHAINS * GR_W * (double)rounds;
}
