/* tests/fuzz_chains.h: random graphs of what networks are made of: convolutions and pools with their epilogues and
 * normalizations, attention, recurrence, dense layers. The batch is the leading axis. Included after fuzz_graph.h. */
#ifndef GRAPE_TESTS_FUZZ_CHAINS_H
#define GRAPE_TESTS_FUZZ_CHAINS_H

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
    if (g->n_variables < VARIABLES && !gr_shape_is_symbolic(shape) && below(g, 3) == 0)
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

/* ---- any graph --------------------------------------------------------------------------------------------------- */

static void make(graph *g, uint64_t seed, int n_ops)
{
    start(g, seed);
    int64_t what = below(g, 10);
    if (what < 5) {
        draw_free(g, n_ops);
    } else {
        g->batch = PICK(g, 1, 2, 3, 4, 5, 8, 9, 16, 33);
        g->size[0] = g->size[0] == GR_BATCH ? GR_BATCH : g->batch;
        g->kind = what < 7 ? WHOLE_NUMBERS : TAME_NUMBERS;
        if (what < 8)
            draw_images(g);
        else if (what == 8)
            draw_attention(g);
        else
            draw_recurrence(g);
    }
    finish(g);
}

#endif
