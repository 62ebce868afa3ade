/* bench/peak.c: prints the multiply-add peak of 1 .. N threads in GFLOP/s.   peak [N] */
#include "bench/fma_peak.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int most = argc > 1 ? atoi(argv[1]) : 2;
    for (int threads = 1; threads <= most; threads++)
        printf("%d threads: %.1f GFLOP/s\n", threads, fma_peak(threads));
    return 0;
}
