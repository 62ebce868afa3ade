/* bench/net.h: what the workloads share: a model trained by gr_fit, or asked through a gr_predictor, on the round of
 * batches that was loaded.
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
    gr_predictor *predictor; /* made with the first call */
    gr_array *x, *y, *result;
    gr_array *part[BENCH_ROUND]; /* x, a batch each: what it is called with */
    int batch, n_parts;
    int64_t calls;
    int noted, wanted; /* of losses K */
    float loss[BENCH_ROUND];
    double first_done;
} bench;

static inline void bench_clear(void)
{
    gr_predictor_free(bench.predictor), gr_model_free(bench.model);
    gr_array_free(bench.x), gr_array_free(bench.y), gr_array_free(bench.result);
    for (int i = 0; i < bench.n_parts; i++)
        gr_array_free(bench.part[i]);
    bench.n_parts = 0;
    bench.model = NULL;
    bench.predictor = NULL;
    bench.x = bench.y = bench.result = NULL;
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

/* Keeps each batch's loss and when the first was done; ends the fit after as many as are wanted. */
typedef struct {
    gr_callback base;
} Bench_note_spec;
static inline gr_status bench_note(gr_run *run)
{
    if (bench.noted == 0)
        bench.first_done = bench_now();
    bench.loss[bench.noted++] = (float)gr_run_batch_loss(run);
    return bench.noted == bench.wanted ? gr_run_stop(run, "%d batches", bench.wanted) : GR_OK;
}
static const gr_callback_kind Bench_note_kind = {
    .name = "Bench_note", .size = sizeof(Bench_note_spec), .family = "callback", .on_train_batch_end = bench_note};
#define Bench_note(...) GR_SPEC(Bench_note, __VA_ARGS__)

/* The first k batches. */
static inline gr_status bench_losses(int k, float *loss, double *first_seconds)
{
    if (k > bench.n_parts)
        return gr_fail(GR_EARG, GR_HERE, "losses: expected at most %d, found %d", bench.n_parts, k);
    bench.noted = 0;
    bench.wanted = k;
    double start = bench_now();
    gr_history *h = gr_fit(bench.model, gr_xy(GR_LIST(bench.x), GR_LIST(bench.y)), .batch_size = bench.batch,
        .no_shuffle = true, .verbose = GR_VERBOSE_SILENT, .callbacks = {Bench_note()});
    gr_history_free(h);
    memcpy(loss, bench.loss, (size_t)k * sizeof *loss);
    *first_seconds = bench.first_done - start;
    return h ? GR_OK : gr_error();
}

/* Whole rounds, a few steps more than asked for if need be: the driver asks for rounds. */
static inline gr_status bench_run(int64_t n)
{
    gr_history *h = gr_fit(bench.model, gr_xy(GR_LIST(bench.x), GR_LIST(bench.y)), .batch_size = bench.batch,
        .epochs = (int)((n + bench.n_parts - 1) / bench.n_parts), .no_shuffle = true, .verbose = GR_VERBOSE_SILENT);
    gr_history_free(h);
    return h ? GR_OK : gr_error();
}

static inline gr_status bench_predict(int64_t i)
{
    gr_shape shape;
    if (!bench.predictor && (bench.predictor = gr_predictor_new(bench.model, .max_batch = bench.batch)))
        bench.result = gr_array_new(gr_predictor_output(bench.predictor, 0, bench.batch, &shape), shape);
    if (!bench.result)
        return gr_error();
    return gr_predictor_run(bench.predictor, GR_LIST(bench.part[i % bench.n_parts]), GR_LIST(bench.result));
}

static inline gr_array *bench_output(void)
{
    return bench_predict(0) == GR_OK ? gr_array_copy(bench.result) : NULL;
}

static inline gr_status bench_call(int64_t n)
{
    gr_status s = GR_OK;
    for (int64_t i = 0; i < n && s == GR_OK; i++)
        s = bench_predict(bench.calls++);
    return s;
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
