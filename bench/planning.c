/* bench/planning.c: how long a training step takes from its tape to a plan that can run: decoders of several depths,
 * and recurrent cells over several lengths, written out step by step. Prints the best of ROUNDS.
 *   planning [DEPTH ..] [-LENGTH ..] */
#include "autograd/scan.h"
#include "bench/fma_peak.h"
#include "compiler/plan.h"
#include "tests/transformer.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 20, UNITS = 64 };

static bool best_of(gr_tape *t, gr_tensor *const *in, gr_tensor *loss, const char *what, int64_t size)
{
    double best = 1e9;
    gr_program_stats plan = {0};
    for (int i = 0; i < ROUNDS; i++) {
        double start = bench_now();
        gr_program *p = gr_program_new(
            t, .inputs = {in[0], in[1]}, .outputs = {loss}, .name = "planning", .max_batch = 16, .threads = 2);
        double took = bench_now() - start;
        plan = gr_program_plan(p);
        gr_program_free(p);
        best = took < best ? took : best;
    }
    printf("%4lld %s: %6lld nodes, %5lld groups, %8.2f ms, arena %.3f of its bound\n", (long long)size, what,
        (long long)plan.nodes, (long long)plan.groups, best * 1e3,
        (double)plan.arena_bytes / (double)plan.lower_bound_bytes);
    return plan.nodes > 0;
}

static bool decoder(int64_t depth)
{
    transformer m;
    if (transformer_make(&m, (transformer_sizes){depth, 128, 4, 64, 65}) != GR_OK)
        return false;
    bool good = best_of(m.tape, (gr_tensor *[]){m.text, m.next}, m.loss, "blocks", depth);
    transformer_free(&m);
    return good;
}

/* carries h and c; x [B, UNITS]; captures of kernel, recurrent and bias */
static gr_status lstm_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    gr_tensor *const *w = ctx, *g[4];
    (void)t, (void)n_in, (void)n_out;
    GR_TRY(gr_split(gr_add(gr_add(gr_matmul(in[2], w[0]), gr_matmul(in[0], w[1])), w[2]), 4, -1, g));
    gr_tensor *c = gr_add(gr_mul(gr_sigmoid(g[1]), in[1]), gr_mul(gr_sigmoid(g[0]), gr_tanh(g[2])));
    out[0] = out[2] = gr_mul(gr_sigmoid(g[3]), gr_tanh(c));
    out[1] = c;
    return gr_status_of(c);
}

static bool cells(int64_t length)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v[] = {gr_variable_new("kernel", GR_F32, GR_SHAPE(UNITS, 4 * UNITS), true),
        gr_variable_new("recurrent", GR_F32, GR_SHAPE(UNITS, 4 * UNITS), true),
        gr_variable_new("bias", GR_F32, GR_SHAPE(4 * UNITS), true)};
    gr_tensor *w[] = {gr_read(t, v[0]), gr_read(t, v[1]), gr_read(t, v[2])}, *out[3], *g[3];
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(length, GR_BATCH, UNITS), "x");
    gr_tensor *h = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, UNITS), "h");
    gr_status s = gr_scan(out, .body = lstm_step, .ctx = w, .n_carries = 2, .carries = (gr_tensor *[]){h, h},
        .n_xs = 1, .xs = &x, .n_ys = 1);
    gr_tensor *loss = gr_mean(gr_square(out[2]));
    s = s == GR_OK ? gr_grad(loss, w, 3, g) : s;
    for (int i = 0; s == GR_OK && i < 3; i++)
        s = gr_status_of(gr_assign(w[i], gr_sub(w[i], gr_mul(gr_scalar(w[i], 0.01), g[i]))));
    bool good = s == GR_OK && best_of(t, (gr_tensor *[]){x, h}, loss, "cells ", length);
    gr_tape_free(t);
    for (int i = 0; i < 3; i++)
        gr_variable_free(v[i]);
    return good;
}

int main(int argc, char **argv)
{
    static const int64_t sizes[] = {1, 4, 16, -16, -64, -256};
    for (int i = 0; i < (argc > 1 ? argc - 1 : 6); i++) {
        const int64_t n = argc > 1 ? atoll(argv[i + 1]) : sizes[i];
        if (!(n > 0 ? decoder(n) : cells(-n)))
            return gr_report(stderr);
    }
    return 0;
}
