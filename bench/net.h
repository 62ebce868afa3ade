/* bench/net.h: what the workloads share: a model trained by gr_fit, or asked by gr_predict, on the round of batches
 * that was loaded.
 *
 *     static gr_model *network(const bench_options *o) { ... gr_compile(m, ...); return m; }
 *     int main(int argc, char **argv) { return bench_net(network, argc, argv); } */
#ifndef GRAPE_BENCH_NET_H
#define GRAPE_BENCH_NET_H

#include "bench/side.h"

enum { BENCH_WEIGHTS = 128, BENCH_ROUND = 16 };
static struct {
    gr_model *(*network)(const bench_options *o); /* a compiled model, or NULL */
    gr_model *model;
    gr_array *x, *y;
    gr_array *part[BENCH_ROUND]; /* x, a batch each: what gr_predict is called with */
    int batch, n_parts;
    int64_t trained, calls;      /* batches since the weights were loaded */
} bench;

static inline void bench_clear(void)
{
    gr_model_free(bench.model), gr_array_free(bench.x), gr_array_free(bench.y);
    for (int i = 0; i < bench.n_parts; i++)
        gr_array_free(bench.part[i]);
    bench.n_parts = 0;
    bench.trained = bench.calls = 0;
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
    int64_t rows = bench.x ? gr_array_dim(bench.x, 0) : 0;
    for (int64_t i = 0; i + o->batch <= rows && bench.n_parts < BENCH_ROUND; i += o->batch)
        bench.part[bench.n_parts++] = gr_array_slice(bench.x, 0, i, i + o->batch, 1);
    if (bench.n_parts == 0)
        return gr_fail(GR_EARG, GR_HERE, "load: expected at least %d rows, found %lld", o->batch, (long long)rows);
    return bench.x && bench.y ? gr_model_set_weights(bench.model, n, w) : gr_error();
}

/* Trains on n batches from the first-th on, as often as epochs says. */
static inline gr_history *bench_fit(int64_t first, int64_t n, int epochs, int64_t step_losses)
{
    const int64_t start = first * bench.batch, stop = start + n * bench.batch;
    gr_array *x = gr_array_slice(bench.x, 0, start, stop, 1), *y = gr_array_slice(bench.y, 0, start, stop, 1);
    gr_history *h = gr_fit(bench.model, gr_xy(GR_LIST(x), GR_LIST(y)), .batch_size = bench.batch, .epochs = epochs,
        .no_shuffle = true, .verbose = GR_VERBOSE_SILENT, .step_losses = step_losses);
    gr_array_free(x), gr_array_free(y);
    return h;
}

/* The next k batches; they must not reach past the last one. */
static inline gr_status bench_losses(int k, float *loss)
{
    gr_history *h = bench_fit(bench.trained, k, 1, k);
    int64_t n = 0;
    const float *own = h ? gr_history_step_losses(h, &n) : NULL;
    if (own && n >= k)
        memcpy(loss, own, (size_t)k * sizeof *loss);
    else
        gr_fail(GR_EARG, GR_HERE, "losses: expected as many batches, found %lld", (long long)n);
    gr_history_free(h);
    bench.trained += k;
    return gr_error();
}

/* At most a round: that many batches. More: whole rounds, which is what the driver asks for. */
static inline gr_status bench_run(int64_t n)
{
    const int64_t batches = n < bench.n_parts ? n : bench.n_parts;
    gr_history *h = bench_fit(0, batches, (int)((n + batches - 1) / batches), 0);
    gr_history_free(h);
    return h ? GR_OK : gr_error();
}

static inline gr_array *bench_predict(int64_t i)
{
    return gr_predict(bench.model, GR_LIST(bench.part[i % bench.n_parts]), .batch_size = bench.batch);
}

static inline gr_array *bench_output(void)
{
    return bench_predict(0);
}

static inline gr_status bench_call(int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        gr_array_free(bench_predict(bench.calls++));
    return gr_error();
}

static inline int bench_net(gr_model *(*network)(const bench_options *o), int argc, char **argv)
{
    static const bench_side side = {
        .load = bench_load, .losses = bench_losses, .run = bench_run, .output = bench_output, .call = bench_call};
    bench.network = network;
    int code = bench_serve(&side, argc, argv);
    bench_clear();
    return code;
}
#endif
