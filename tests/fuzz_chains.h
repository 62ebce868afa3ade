/* tests/fuzz_chains.h: random graphs of what networks are made of: convolutions and pools with their epilogues and
 * normalizations, attention, recurrence written out, as a scan and as an op, dense layers. The batch is the leading
 * axis. Some are a predictor's: their weights are variables that never change. Included after fuzz_graph.h. */
#ifndef GRAPE_TESTS_FUZZ_CHAINS_H
#define GRAPE_TESTS_FUZZ_CHAINS_H

#include "autograd/scan.h"
#include "tests/fuzz_graph.h"

static int64_t pick(graph *g, int64_t n, const int64_t *of)
{
    return of[below(g, n)];
}
#define PICK(g, ...)                                                                                                   \
    pick(g, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})

/* A weight of `fan` summands: a variable or an input. Whole ones are mostly 0, 1 and -1. */
static gr_tensor *number(graph *g, gr_shape shape, int64_t fan)
{
    double most = g->kind == WHOLE_NUMBERS ? 1.2 : fan ? sqrt(3 / (double)fan) : 1;
    if (g->n_variables < VARIABLES && !gr_shape_is_symbolic(shape) && (g->frozen || below(g, 3) == 0))
        return new_variable(g, shape, -most, most);
    return new_input(g, g->type, shape, -most, most);
}

static gr_tensor *kept(graph *g, gr_tensor *x)
{
    if (!gr__is_bad(x))
        keep(g, x);
    return x;
}

static bool same_type(const gr_tensor *a, const gr_tensor *b)
{
    return a->dtype == b->dtype && gr_shape_equal(a->shape, b->shape);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static gr_shape over_channels(const gr_tensor *x)
{
    return x->shape.rank == 4 ? GR_SHAPE(0, 1, 2) : GR_SHAPE(0, 1);
}

static gr_tensor *convolved(graph *g, gr_tensor *x)
{
    int64_t c = gr_dim(x, -1), out = PICK(g, 1, 2, 3, 4, 8, 12, 16, 17), rank = x->shape.rank;
    int64_t k = PICK(g, 1, 2, 3, 3, 3, 5), w = below(g, 4) ? k : PICK(g, 1, 2, 3), stride = PICK(g, 1, 1, 1, 2);
    int64_t groups = c % 2 == 0 && out % 2 == 0 && below(g, 6) == 0 ? 2 : 1;
    bool fits = k <= gr_dim(x, 1) && (rank == 3 || w <= gr_dim(x, 2));
    const char *padding = fits && below(g, 2) ? "valid" : "same";
    gr_shape kernel = rank == 4 ? GR_SHAPE(k, w, c / groups, out) : GR_SHAPE(k, c / groups, out);
    if (below(g, 7) == 0) {
        kernel.dim[rank - 2] = c;
        kernel.dim[rank - 1] = PICK(g, 1, 1, 2);
        x = gr_depthwise_conv(x, number(g, kernel, k * w), .strides = GR_SHAPE(stride), .padding = padding);
    } else if (below(g, 9) == 0) {
        kernel.dim[rank - 2] = out;
        kernel.dim[rank - 1] = c;
        x = gr_conv_transpose(x, number(g, kernel, k * w * c), .strides = GR_SHAPE(stride), .padding = padding);
    } else {
        x = gr_conv(x, number(g, kernel, k * w * c / groups), .strides = GR_SHAPE(stride), .padding = padding);
    }
    return below(g, 3) ? gr_add(x, number(g, GR_SHAPE(gr_dim(x, -1)), 0)) : x;
}

/* Means of four, of whole numbers, are exact. */
static gr_tensor *pooled(graph *g, gr_tensor *x)
{
    bool largest = below(g, 2), whole = g->kind == WHOLE_NUMBERS && !largest;
    int64_t size = whole ? 2 : PICK(g, 2, 2, 3), stride = whole ? 2 : PICK(g, size, size, 1, 2);
    bool fits = size <= gr_dim(x, 1) && (x->shape.rank == 3 || size <= gr_dim(x, 2));
    if (!fits && whole)
        return x;
    const char *padding = !fits || (!whole && below(g, 2)) ? "same" : "valid";
    return largest ? gr_max_pool(x, GR_SHAPE(size), .strides = GR_SHAPE(stride), .padding = padding)
                   : gr_average_pool(x, GR_SHAPE(size), .strides = GR_SHAPE(stride), .padding = padding);
}

static gr_tensor *normalized(graph *g, gr_tensor *x)
{
    gr_tensor *mean = NULL, *variance = NULL;
    gr_shape per = GR_SHAPE(gr_dim(x, -1));
    if (below(g, 4) == 0)
        return gr_layer_norm(x, .gamma = number(g, per, 0), .beta = number(g, per, 0));
    if (g->frozen) { /* by the statistics of training */
        gr_tensor *spread = gr_abs(number(g, per, 0));
        return gr_batch_norm(x, .gamma = number(g, per, 0), .beta = number(g, per, 0), .mean = number(g, per, 0),
            .variance = gr_add(spread, gr_scalar(spread, 0.2)));
    }
    x = gr_batch_norm(
        x, .gamma = number(g, per, 0), .beta = number(g, per, 0), .batch_mean = &mean, .batch_variance = &variance);
    kept(g, mean);
    kept(g, variance);
    return x;
}

static gr_tensor *elementwise(graph *g, gr_tensor *x)
{
    switch (below(g, g->kind == WHOLE_NUMBERS ? 6 : 12)) {
    case 0:
    case 1:
        return gr_relu(x);
    case 2:
        return gr_abs(x);
    case 3:
        return gr_maximum(x, number(g, GR_SHAPE(gr_dim(x, -1)), 0));
    case 4:
        return gr_mul(x, number(g, GR_SHAPE(gr_dim(x, -1)), 0));
    case 5:
        for (int i = g->n_pool - 1; i >= 0; i--)
            if (g->pool[i] != x && same_type(g->pool[i], x))
                return gr_add(x, g->pool[i]);
        return gr_sub(x, number(g, x->shape, 0));
    case 6:
        return gr_gelu(x);
    case 7:
        return gr_tanh(x);
    case 8:
        return gr_mul(x, gr_sigmoid(x));
    default:
        return normalized(g, x);
    }
}

/* A sum that nothing else reads: of each channel, of each example, of each place. */
static void summed(graph *g, gr_tensor *x)
{
    static const gr_shape each[] = {GR_DIMS(0), GR_DIMS(-1), GR_DIMS(1)};
    int64_t what = below(g, 5);
    gr_tensor *y = below(g, 3) ? x : gr_square(x);
    kept(g, gr_sum(y, .axes = what > 2 ? over_channels(x) : each[what]));
}

/* The classes of each example. */
static gr_tensor *classes(graph *g, gr_tensor *x)
{
    int64_t features = 1;
    for (int64_t i = 1; i < x->shape.rank; i++)
        features *= x->shape.dim[i];
    if (features > 600 || below(g, 4) == 0) {
        x = gr_sum(x, .axes = x->shape.rank == 4 ? GR_SHAPE(1, 2) : GR_SHAPE(1));
        features = gr_dim(x, -1);
    }
    x = gr_reshape(x, GR_SHAPE(g->size[0], features));
    int64_t n = PICK(g, 1, 3, 10, 16);
    x = gr_add(gr_matmul(x, number(g, GR_SHAPE(features, n), features)), number(g, GR_SHAPE(n), 0));
    return g->kind == TAME_NUMBERS && below(g, 2) ? gr_softmax(x) : x;
}

static void draw_images(graph *g)
{
    int64_t h = PICK(g, 1, 2, 4, 5, 7, 8, 9, 12), w = PICK(g, 1, 3, 4, 6, 7, 8, 11), c = PICK(g, 1, 2, 3, 4, 8, 16);
    gr_shape shape = below(g, 5) ? GR_SHAPE(g->size[0], h, w, c) : GR_SHAPE(g->size[0], h, c);
    gr_tensor *x = new_input(g, g->type, shape, -2, 2);
    int n_convs = 0;
    keep(g, x);
    for (int i = (int)below(g, 9) + 3; i > 0; i--) {
        int64_t what = below(g, 8);
        if (what < 3 && n_convs < 3) {
            x = kept(g, convolved(g, x));
            n_convs++;
        } else if (what == 3) {
            x = kept(g, pooled(g, x));
        } else if (what == 4 && below(g, 2)) {
            summed(g, x);
        } else {
            x = kept(g, elementwise(g, x));
        }
    }
    if (below(g, 2))
        kept(g, classes(g, x));
}

/* ---- sequences --------------------------------------------------------------------------------------------------- */

static gr_tensor *dense(graph *g, gr_tensor *x, int64_t out)
{
    int64_t in = gr_dim(x, -1);
    gr_tensor *y = gr_matmul(x, number(g, GR_SHAPE(in, out), in));
    return below(g, 4) ? gr_add(y, number(g, GR_SHAPE(out), 0)) : y;
}

static gr_tensor *in_heads(gr_tensor *x, int64_t heads)
{
    int64_t n = gr_dim(x, 1), d = gr_dim(x, -1);
    return gr_transpose(gr_reshape(x, GR_SHAPE(x->shape.dim[0], n, heads, d / heads)), GR_SHAPE(0, 2, 1, 3));
}

static gr_tensor *attended(graph *g, gr_tensor *x, int64_t heads)
{
    int64_t n = gr_dim(x, 1), d = gr_dim(x, -1);
    gr_tensor *q = in_heads(dense(g, x, d), heads), *k = in_heads(dense(g, x, d), heads);
    gr_tensor *score = gr_matmul_t(q, k, .transpose_b = true);
    score = gr_mul(score, gr_scalar(score, 1 / sqrt((double)(d / heads))));
    if (below(g, 2))
        score = gr_add(score, new_input(g, g->type, GR_SHAPE(n, n), -3, 0));
    gr_tensor *mixed = gr_matmul(gr_softmax(score), in_heads(dense(g, x, d), heads));
    mixed = gr_reshape(gr_transpose(mixed, GR_SHAPE(0, 2, 1, 3)), GR_SHAPE(x->shape.dim[0], n, d));
    return gr_add(x, below(g, 2) ? mixed : dense(g, mixed, d));
}

static void draw_attention(graph *g)
{
    int64_t heads = PICK(g, 1, 2, 4), n = PICK(g, 1, 2, 5, 8, 16, 17);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(g->size[0], n, heads * PICK(g, 1, 3, 4, 8)), -2, 2);
    keep(g, x);
    for (int i = (int)below(g, 2) + 1; i > 0; i--) {
        x = kept(g, below(g, 3) ? normalized(g, x) : x);
        x = kept(g, attended(g, x, heads));
        x = kept(g, below(g, 2) ? gr_add(x, dense(g, gr_gelu(dense(g, x, 12)), gr_dim(x, -1))) : elementwise(g, x));
    }
    if (below(g, 2))
        kept(g, dense(g, x, 5));
}

/* Gates of one product, state and memory carried on. */
static void draw_recurrence(graph *g)
{
    int64_t n = PICK(g, 1, 2, 3, 5), in = PICK(g, 1, 3, 8), d = PICK(g, 1, 4, 8, 17), b = g->size[0];
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(b, n, in), -2, 2), *h = number(g, GR_SHAPE(b, d), 0);
    gr_tensor *w = number(g, GR_SHAPE(in, 3 * d), in), *u = number(g, GR_SHAPE(d, 3 * d), d), *c = gr_tanh(h);
    for (int64_t t = 0; t < n; t++) {
        gr_tensor *now = gr_reshape(gr_slice(x, GR_SHAPE(0, t), GR_SHAPE(GR_REST, t + 1)), GR_SHAPE(b, in)), *gate[3];
        gr_tensor *z = gr_add(gr_matmul(now, w), gr_matmul(h, u));
        for (int64_t k = 0; k < 3; k++)
            gate[k] = gr_sigmoid(gr_slice(z, GR_SHAPE(0, k * d), GR_SHAPE(GR_REST, (k + 1) * d)));
        c = kept(g, gr_add(gr_mul(gate[0], c), gr_mul(gate[1], gr_tanh(h))));
        h = kept(g, gr_mul(gate[2], gr_tanh(c)));
    }
}

/* ---- loops and their ops ----------------------------------------------------------------------------------------- */

typedef struct {
    gr_tensor *w, *u, *bias;
    int64_t how;
} cell;

/* A step: of a gated sum, of a plain cell, or of a cell that gives something else than it carries on. */
static gr_status cell_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const cell *c = ctx;
    gr_tensor *z = gr_add(gr_matmul(in[1], c->w), c->bias);
    (void)t, (void)n_in, (void)n_out;
    if (c->how == 0)
        out[0] = gr_add(gr_mul(in[0], gr_sigmoid(z)), gr_mul(z, c->bias));
    else
        out[0] = gr_tanh(gr_add(z, gr_matmul(in[0], c->u)));
    out[1] = c->how == 2 ? gr_mul(gr_sub(out[0], in[0]), z) : out[0];
    return gr_status_of(out[1]);
}

/* Sequences lie [steps, B, ..]. */
static void draw_scan(graph *g)
{
    int64_t n = PICK(g, 1, 2, 3, 5, 8), b = g->size[0], in = PICK(g, 1, 3, 8), d = PICK(g, 1, 4, 7, 16);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(n, b, in), -2, 2);
    for (int i = (int)below(g, 2) + 1; i > 0; i--, in = d) {
        cell c = {number(g, GR_SHAPE(in, d), in), number(g, GR_SHAPE(d, d), d), number(g, GR_SHAPE(d), 0), below(g, 3)};
        gr_tensor *h = number(g, GR_SHAPE(b, d), 0), *out[2];
        gr_scan(out, .body = cell_step, .ctx = &c, .carries = &h, .n_carries = 1, .xs = &x, .n_xs = 1, .n_ys = 1,
            .reverse = below(g, 3) == 0);
        kept(g, out[0]);
        x = kept(g, below(g, 3) ? out[1] : elementwise(g, out[1]));
    }
}

static void draw_recurrent_op(graph *g)
{
    int64_t n = PICK(g, 1, 2, 3, 7), b = g->size[0], in = PICK(g, 1, 3, 8), d = PICK(g, 1, 4, 8, 17);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(b, n, in), -2, 2);
    for (int i = (int)below(g, 2) + 1; i > 0; i--, in = d) {
        bool gru = below(g, 2);
        int64_t gates = gru ? 3 : 4;
        gr_tensor *kernel = number(g, GR_SHAPE(in, gates * d), in), *u = number(g, GR_SHAPE(d, gates * d), d);
        gr_tensor *bias = below(g, 3) ? number(g, gru ? GR_SHAPE(2, 3 * d) : GR_SHAPE(4 * d), 0) : NULL;
        gr_tensor *h = below(g, 2) ? number(g, GR_SHAPE(b, d), 0) : NULL;
        x = gru ? gr_gru(x, kernel, u, bias, h)
                : gr_lstm(x, kernel, u, bias, h, below(g, 2) ? number(g, GR_SHAPE(b, d), 0) : NULL);
        kept(g, below(g, 2) ? gr_result(x, 1) : x);
        x = kept(g, below(g, 3) ? x : elementwise(g, x));
    }
    if (below(g, 2))
        kept(g, classes(g, x));
}

/* Query, key and value of one product or of three; some with a mask. */
static void draw_attention_op(graph *g)
{
    int64_t heads = PICK(g, 1, 2, 4), n = PICK(g, 1, 2, 5, 8, 17), size = PICK(g, 1, 3, 8), b = g->size[0];
    int64_t d = heads * size;
    gr_tensor *x = kept(g, new_input(g, g->type, GR_SHAPE(b, n, d), -2, 2));
    for (int i = (int)below(g, 2) + 1; i > 0; i--) {
        gr_tensor *y = below(g, 2) ? normalized(g, x) : x, *part[3];
        bool causal = below(g, 2), one = below(g, 2);
        gr_tensor *mask = below(g, 3) ? NULL : new_input(g, GR_BOOL, GR_SHAPE(n, n), 0, 1);
        for (int k = 0; k < 3 && !one; k++)
            part[k] = gr_reshape(dense(g, y, d), GR_SHAPE(b, n, heads, size));
        y = one ? gr_dot_product_attention(
                      gr_reshape(dense(g, y, 3 * d), GR_SHAPE(b, n, 3, heads, size)), .mask = mask, .causal = causal)
                : gr_dot_product_attention(part[0], part[1], part[2], .mask = mask, .causal = causal);
        y = gr_reshape(kept(g, y), GR_SHAPE(b, n, d));
        x = kept(g, gr_add(x, below(g, 2) ? y : dense(g, y, d)));
    }
}

/* ---- large ones -------------------------------------------------------------------------------------------------- */

/* What follows a product: often nothing but a bias. */
static gr_tensor *finished(graph *g, gr_tensor *x)
{
    x = below(g, 3) ? gr_add(x, number(g, GR_SHAPE(gr_dim(x, -1)), 0)) : x;
    return kept(g, below(g, 4) ? elementwise(g, x) : x);
}

static void large_layers(graph *g)
{
    int64_t k = PICK(g, 64, 255, 256, 257, 300, 511, 513, 784);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(g->size[0], k), -2, 2);
    for (int i = (int)below(g, 2) + 1; i > 0; i--, k = gr_dim(x, -1))
        x = finished(g, gr_matmul(x, number(g, GR_SHAPE(k, PICK(g, 1, 10, 16, 33, 65, 128, 260)), k)));
}

static void large_images(graph *g)
{
    int64_t c = PICK(g, 1, 3, 16, 32);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(g->size[0], PICK(g, 14, 16, 28, 33), PICK(g, 8, 16, 31), c), -2, 2);
    for (int i = (int)below(g, 2) + 1; i > 0; i--, c = gr_dim(x, -1)) {
        const int64_t k = PICK(g, 1, 3, 3, 5), out = PICK(g, 10, 16, 32, 40, 64);
        const bool fits = k <= gr_dim(x, 1) && k <= gr_dim(x, 2);
        gr_tensor *kernel = number(g, GR_SHAPE(k, k, c, out), k * k * c);
        x = finished(g, gr_conv(x, kernel, .strides = GR_SHAPE(PICK(g, 1, 1, 2)),
                            .padding = fits && below(g, 2) ? "valid" : "same"));
        x = below(g, 2) ? kept(g, pooled(g, x)) : x;
    }
}

static void large_heads(graph *g)
{
    const int64_t n = PICK(g, 64, 127, 129), heads = PICK(g, 1, 3, 4), size = PICK(g, 16, 32, 33), b = g->size[0];
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(b, n, heads * size), -2, 2);
    gr_tensor *qkv = gr_reshape(dense(g, normalized(g, x), 3 * heads * size), GR_SHAPE(b, n, 3, heads, size));
    gr_tensor *y = gr_reshape(gr_dot_product_attention(qkv, .causal = below(g, 2)), GR_SHAPE(b, n, heads * size));
    x = kept(g, gr_add(x, dense(g, y, heads * size)));
    kept(g, gr_add(x, dense(g, gr_gelu(dense(g, x, 2 * heads * size)), heads * size)));
}

static void large_recurrence(graph *g)
{
    const int64_t in = PICK(g, 16, 64), d = PICK(g, 48, 64, 100);
    const bool gru = below(g, 2);
    gr_tensor *x = new_input(g, g->type, GR_SHAPE(g->size[0], PICK(g, 1, 5, 8), in), -2, 2);
    gr_tensor *kernel = number(g, GR_SHAPE(in, (gru ? 3 : 4) * d), in),
              *u = number(g, GR_SHAPE(d, (gru ? 3 : 4) * d), d);
    x = kept(g, gru ? gr_gru(x, kernel, u, NULL, NULL) : gr_lstm(x, kernel, u, NULL, NULL, NULL));
    finished(g, dense(g, gr_result(x, 1), 10));
}

/* Sizes at which kernels cut sums, copy operands and deal work out in more than one part. */
static void draw_large(graph *g)
{
    static void (*const of[])(graph *) = {large_layers, large_images, large_heads, large_recurrence};
    const int64_t what = below(g, 4);
    g->batch = what == 0 ? PICK(g, 1, 31, 64, 65, 128) : what == 3 ? PICK(g, 7, 33, 64) : PICK(g, 1, 2, 5);
    g->size[0] = g->size[0] == GR_BATCH ? GR_BATCH : g->batch;
    g->kind = what < 2 && below(g, 2) ? WHOLE_NUMBERS : TAME_NUMBERS;
    of[what](g);
}

/* ---- any graph --------------------------------------------------------------------------------------------------- */

static void make(graph *g, uint64_t seed, int n_ops)
{
    static void (*const chains[])(graph *) = {
        draw_scan, draw_recurrent_op, draw_attention_op, draw_images, draw_attention, draw_recurrence};
    start(g, seed);
    int64_t what = below(g, 10);
    bool newer = seed % 5 == 2, large = seed % 20 == 4; /* the others are the graphs that these seeds always were */
    if (large) {
        draw_large(g);
    } else if (what < 5 && !newer) {
        draw_free(g, n_ops);
    } else {
        g->batch = PICK(g, 1, 2, 3, 4, 5, 8, 9, 16, 33);
        g->size[0] = g->size[0] == GR_BATCH ? GR_BATCH : g->batch;
        g->kind = newer || what >= 7 ? TAME_NUMBERS : WHOLE_NUMBERS;
        g->frozen = newer && below(g, 3) == 0;
        if (newer)
            chains[below(g, g->frozen ? 6 : 3)](g);
        else if (what < 8)
            draw_images(g);
        else if (what == 8)
            draw_attention(g);
        else
            draw_recurrence(g);
    }
    finish(g);
}

#endif
