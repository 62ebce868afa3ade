/* bench/side.h: a Grape program's side of the line protocol that bench/peers/protocol.py describes.
 *
 *     static const bench_side side = {.load = load, .losses = losses, .run = run, .output = output, .call = call};
 *     int main(int argc, char **argv) { return bench_serve(&side, argc, argv); } */
#ifndef GRAPE_BENCH_SIDE_H
#define GRAPE_BENCH_SIDE_H

#include "bench/fma_peak.h"
#include "core/cpu.h"
#include <grape.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BENCH_WIDTHS = 16, BENCH_LOSSES = 64 };
typedef struct {
    int batch, threads; /* threads 0: as many as there are */
    int n_widths, width[BENCH_WIDTHS];
} bench_options;

typedef struct {
    gr_status (*load)(const bench_options *o, gr_npz *npz); /* fresh weights, fresh optimizer; npz is freed after it */
    gr_status (*losses)(int k, float *loss, double *first); /* trains the first k batches; seconds of the first step */
    gr_status (*run)(int64_t n);                            /* trains n steps; the last one is done */
    gr_array *(*output)(void);                              /* gives the predictions of the first batch */
    gr_status (*call)(int64_t n);                           /* predicts n times, a batch a call */
} bench_side;

static inline bool bench_parse(int argc, char **argv, bench_options *o)
{
    *o = (bench_options){.batch = 128};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--batch") == 0)
            o->batch = atoi(value);
        else if (strcmp(argv[i], "--threads") == 0)
            o->threads = atoi(value);
        else if (strcmp(argv[i], "--widths") == 0)
            for (char *end; *value && o->n_widths < BENCH_WIDTHS; value = *end ? end + 1 : end)
                o->width[o->n_widths++] = (int)strtol(value, &end, 10);
        else
            return false;
    }
    return argc % 2 == 1 && o->batch > 0;
}

/* steps N, calls N: does them and prints the time. */
static inline gr_status bench_timed(gr_status (*work)(int64_t n), int64_t n)
{
    double start = bench_now();
    gr_status s = work(n);
    if (s == GR_OK)
        printf("time %.9f\n", bench_now() - start);
    return s;
}

static inline gr_status bench_save_output(const bench_side *side, const char *path)
{
    gr_array *out = side->output();
    gr_status s = out ? gr_npy_save(path, out) : gr_error();
    gr_array_free(out);
    if (s == GR_OK)
        puts("ok");
    return s;
}

static inline bool bench_answer(const bench_side *side, const bench_options *o, const char *line)
{
    char path[1024];
    float loss[BENCH_LOSSES];
    double first = 0;
    long long n;
    gr_status s = GR_OK;
    if (strncmp(line, "info", 4) == 0) {
        printf("info grape %s, %d threads, %s\n", GRAPE_VERSION, gr_num_threads(), gr__isa_name(gr__cpu_isa()));
    } else if (sscanf(line, "load %1023s", path) == 1) {
        gr_npz *npz = gr_npz_load(path);
        s = npz ? side->load(o, npz) : gr_error();
        gr_npz_free(npz);
        if (s == GR_OK)
            puts("ok");
    } else if (sscanf(line, "losses %lld", &n) == 1 && n > 0 && n <= BENCH_LOSSES) {
        if ((s = side->losses((int)n, loss, &first)) == GR_OK) {
            printf("losses %.9f", first);
            for (int i = 0; i < n; i++)
                printf(" %.9g", (double)loss[i]);
            putchar('\n');
        }
    } else if (sscanf(line, "steps %lld", &n) == 1 && n > 0) {
        s = bench_timed(side->run, n);
    } else if (sscanf(line, "calls %lld", &n) == 1 && n > 0 && side->call) {
        s = bench_timed(side->call, n);
    } else if (sscanf(line, "output %1023s", path) == 1 && side->output) {
        s = bench_save_output(side, path);
    } else if (strncmp(line, "peak", 4) == 0) {
        printf("peak %.3f\n", fma_peak(gr_num_threads()));
    } else {
        printf("error unknown command %s", line);
        return false;
    }
    if (s != GR_OK)
        printf("error %s\n", gr_error_message());
    return s == GR_OK;
}

static inline int bench_serve(const bench_side *side, int argc, char **argv)
{
    char line[2048];
    bench_options o;
    if (!bench_parse(argc, argv, &o)) {
        fprintf(stderr, "usage: %s [--batch N] [--threads N] [--widths A,B,..]; commands: bench/peers/protocol.py\n",
            argv[0]);
        return 2;
    }
    if (o.threads > 0)
        gr_set_num_threads(o.threads);
    while (fgets(line, sizeof line, stdin) && strncmp(line, "quit", 4) != 0) {
        bool good = bench_answer(side, &o, line);
        fflush(stdout);
        if (!good)
            return gr_report(stderr);
    }
    return 0;
}
#endif
