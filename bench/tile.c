/* Speed of the tile kernels: nanoseconds per 16 floats, for a tile of 1024 floats in L1 (dense), and for 128 rows of 32
 * and 256 rows of 16 with a row vector as second operand (narrow), beside memcpy of the same tile.
 * `tile [avx512|avx2|base] [op]` */
#include "ops/kernels/tile.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static _Alignas(64) float a[4096], b[4096], c[4096], y[4096];

/* best of many runs, in ns per 16 elements */
static double timed(gr_tile_fn f, int64_t rows, int64_t cols, bool vector)
{
    static const double parameters[2] = {-0.5, 0.5};
    const gr_tile t = {.rows = rows,
        .cols = cols,
        .y = {y, cols, 1},
        .x = {{a, cols, 1}, {b, vector ? 0 : cols, 1}, {c, vector ? 0 : cols, 1}},
        .attr = parameters};
    double best = 1;
    for (int k = 0; k < 200; k++) {
        double from = now();
        for (int i = 0; i < 10; i++)
            f ? f(&t) : (void)memcpy(y, a, (size_t)(rows * cols) * sizeof *y);
        double took = (now() - from) / 10;
        best = took < best ? took : best;
    }
    return best * 1e9 * 16 / (double)(rows * cols);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
#define OP1(name, ...)  #name,
#define OP1P(name, ...) #name,
#define OP2(name, ...)  #name,
#define OP3(name, ...)  #name,
#include "ops/elementwise.def"
        "copy", "copy_bool", "copy_single"};
    gr_isa isa = gr__cpu_isa();
    for (int i = 0; argc > 1 && i < GR_ISA_COUNT; i++)
        if (strcmp(argv[1], gr__isa_name((gr_isa)i)) == 0)
            isa = (gr_isa)i;
    const gr_tile_fn *tiles = gr__tiles_of(isa);
    if (!tiles)
        return fprintf(stderr, "tile: this machine has no %s\n", gr__isa_name(isa)), 1;
    for (int i = 0; i < 4096; i++)
        a[i] = (float)(i % 37) / 10 + 0.1f, b[i] = (float)(i % 11) / 4 + 0.5f, c[i] = (float)(i % 5);
    printf("%s, ns per 16 floats       dense 1024   narrow 128x32  narrow 256x16\n", gr__isa_name(isa));
    printf("%-24s %12.3f %15.3f %14.3f\n", "memcpy", timed(NULL, 1, 1024, false), timed(NULL, 128, 32, false),
        timed(NULL, 256, 16, false));
    for (int row = 0; row < GR__TILE_COUNT; row++)
        if (tiles[row] && (argc < 3 || strcmp(argv[2], names[row]) == 0))
            printf("%-24s %12.3f %15.3f %14.3f\n", names[row], timed(tiles[row], 1, 1024, false),
                timed(tiles[row], 128, 32, true), timed(tiles[row], 256, 16, true));
    return 0;
}
