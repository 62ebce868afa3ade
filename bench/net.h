/* bench/net.h: what the training benchmarks share: a model trained by gr_fit on the round of batches that was loaded.
 *
 *     static gr_model *network(const bench_options *o) { ... gr_compile(m, ...); return m; }
 *     int main(int argc, char **argv) { return bench_net(network, argc, argv); } */
#ifndef GRAPE_BENCH_NET_H
#define GRAPE_BENCH_NET_H

#include "bench/side.h"

enum { BENCH_WEIGHTS = 128 };
static struct {
    gr_model *(*network)(const bench_options *o); /* a compiled model, or NULL */
    gr_model *model;
    gr_array *x, *y;
    int batch;
} bench;

static inline void bench_clear(void)
{
    gr_model_free(bench.model), gr_array_free(bench.x), gr_array_free(bench.y);
    bench.model = NULL;
    bench.x = bench.y = NULL;
}

static inline gr_status bench_load(const bench_options *o, gr_npz *npz)
{
    const gr_array *w[BENCH_WEIGHTS], *x = gr_npz_get(npz, "x"), *y = gr_npz_get(npz, "y");
    int n = 0;
    bench_clear();
    bench.batch = o->batch;
    bench.model = bench.network(o);
    if (!bench.model || !x || !y)
        return gr_error();
    for (; n < gr_model_weight_count(bench.model) && n < BENCH_WEIGHTS; n++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", n);
        if (!(w[n] = gr_npz_get(npz, name)))
            return gr_error();
    }
    bench.x = gr_array_copy(x);
    bench.y = gr_array_copy(y);
    return bench.x && bench.y ? gr_model_set_weights(bench.model, n, w) : gr_error();
}

static inline gr_history *bench_fit(int epochs, int64_t step_losses)
{
    return gr_fit(bench.model, gr_xy(GR_LIST(bench.x), GR_LIST(bench.y)), .batch_size = bench.batch, .epochs = epochs,
        .no_shuffle = true, .verbose = GR_VERBOSE_SILENT, .step_losses = step_losses);
}

/* One round over the data, of which the first k losses count. */
static inline gr_status bench_losses(int k, float *loss)
{
    gr_history *h = bench_fit(1, k);
    int64_t n = 0;
    const float *own = h ? gr_history_step_losses(h, &n) : NULL;
    if (own && n >= k)
        memcpy(loss, own, (size_t)k * sizeof *loss);
    else
        gr_fail(GR_EARG, GR_HERE, "losses: expected as many batches, found %lld", (long long)n);
    gr_history_free(h);
    return gr_error();
}

/* Whole rounds, a few steps more than asked for if need be: the driver asks for rounds. */
static inline gr_status bench_run(int64_t n)
{
    int64_t batches = gr_array_dim(bench.x, 0) / bench.batch;
    gr_history *h = bench_fit((int)((n + batches - 1) / batches), 0);
    gr_history_free(h);
    return h ? GR_OK : gr_error();
}

static inline int bench_net(gr_model *(*network)(const bench_options *o), int argc, char **argv)
{
    static const bench_side side = {.load = bench_load, .losses = bench_losses, .run = bench_run};
    bench.network = network;
    int code = bench_serve(&side, argc, argv);
    bench_clear();
    return code;
}
#endif
