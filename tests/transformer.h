/* tests/transformer.h: the training step of a decoder as one tape, of any depth, for what looks at compilation:
 * embedding, blocks of attention and a gelu network with layer norms before them, cross-entropy, clipping by the global
 * norm, Adam. */
#ifndef GRAPE_TESTS_TRANSFORMER_H
#define GRAPE_TESTS_TRANSFORMER_H

#include "autograd/grad.h"
#include "core/node.h"
#include "ops/ops.h"
#include <math.h>

enum { TRANSFORMER_WEIGHTS = 600 };
typedef struct {
    gr_tape *tape;
    gr_tensor *text, *next, *loss; /* int32 [B, length] twice, float32 [] */
    int n;                         /* variables: weights, then Adam's means of each */
    gr_variable *variable[3 * TRANSFORMER_WEIGHTS];
} transformer;

typedef struct {
    int64_t depth, width, heads, length, words;
} transformer_sizes;

static inline gr_tensor *transformer_weight(transformer *m, gr_shape s, gr_tensor **w, int *n)
{
    gr_variable *v = m->variable[m->n++] = gr_variable_new("w", GR_F32, s, true);
    gr_array *a = gr_variable_get(v);
    double scale = s.rank > 1 ? 1 / sqrt((double)s.dim[0]) : 0.1;
    for (int64_t i = 0; i < gr_array_size(a); i++)
        ((float *)gr_array_data(a))[i] = (float)(sin((double)(i * 7 + m->n)) * scale);
    gr_variable_set(v, a);
    gr_array_free(a);
    return w[(*n)++] = gr_read(m->tape, v);
}

/* [B, length, width] -> [B, heads, length, width / heads] */
static inline gr_tensor *transformer_heads(gr_tensor *x, const transformer_sizes *z)
{
    gr_tensor *apart = gr_reshape(x, GR_SHAPE(GR_BATCH, z->length, z->heads, z->width / z->heads));
    return gr_transpose(apart, GR_SHAPE(0, 2, 1, 3));
}

static inline gr_tensor *transformer_dense(transformer *m, gr_tensor *x, int64_t in, int64_t out, gr_tensor **w, int *n)
{
    gr_tensor *kernel = transformer_weight(m, GR_SHAPE(in, out), w, n);
    return gr_add(gr_matmul(x, kernel), transformer_weight(m, GR_SHAPE(out), w, n));
}

static inline gr_tensor *transformer_norm(transformer *m, gr_tensor *x, int64_t width, gr_tensor **w, int *n)
{
    gr_tensor *gamma = transformer_weight(m, GR_SHAPE(width), w, n);
    return gr_layer_norm(x, .gamma = gamma, .beta = transformer_weight(m, GR_SHAPE(width), w, n));
}

static inline gr_tensor *transformer_block(
    transformer *m, gr_tensor *x, gr_tensor *mask, const transformer_sizes *z, gr_tensor **w, int *n)
{
    int64_t d = z->width;
    gr_tensor *y = transformer_norm(m, x, d, w, n);
    gr_tensor *q = transformer_heads(transformer_dense(m, y, d, d, w, n), z);
    gr_tensor *k = transformer_heads(transformer_dense(m, y, d, d, w, n), z);
    gr_tensor *v = transformer_heads(transformer_dense(m, y, d, d, w, n), z);
    gr_tensor *score = gr_matmul_t(q, k, .transpose_b = true);
    score = gr_add(gr_mul(score, gr_scalar(score, 1 / sqrt((double)d / (double)z->heads))), mask);
    gr_tensor *mixed = gr_transpose(gr_matmul(gr_softmax(score), v), GR_SHAPE(0, 2, 1, 3));
    mixed = gr_reshape(mixed, GR_SHAPE(GR_BATCH, z->length, d));
    x = gr_add(x, transformer_dense(m, mixed, d, d, w, n));
    y = gr_gelu(transformer_dense(m, transformer_norm(m, x, d, w, n), d, 4 * d, w, n));
    return gr_add(x, transformer_dense(m, y, 4 * d, d, w, n));
}

static inline void transformer_adam(transformer *m, gr_tensor **w, gr_tensor **g, int n)
{
    gr_tensor *sum = NULL;
    m->tape->phase = GR_PHASE_UPDATE;
    for (int i = 0; i < n; i++)
        sum = sum ? gr_add(sum, gr_sum(gr_square(g[i]))) : gr_sum(gr_square(g[i]));
    gr_tensor *factor = gr_minimum(gr_rsqrt(sum), gr_scalar(sum, 1));
    for (int i = 0; i < n; i++) {
        gr_tensor *grad = gr_mul(g[i], factor), *mean[2];
        for (int k = 0; k < 2; k++) {
            gr_variable *v = m->variable[m->n++] = gr_variable_new("mean", GR_F32, gr_shape_of(w[i]), false);
            gr_tensor *old = gr_read(m->tape, v), *of = k ? gr_square(grad) : grad;
            mean[k] = gr_assign(old, gr_add(old, gr_mul(gr_sub(of, old), gr_scalar(old, k ? 0.001 : 0.1))));
        }
        gr_tensor *step = gr_div(mean[0], gr_add(gr_sqrt(mean[1]), gr_scalar(w[i], 1e-7)));
        gr_assign(w[i], gr_sub(w[i], gr_mul(step, gr_scalar(w[i], 1e-3))));
    }
}

static inline gr_status transformer_make(transformer *m, transformer_sizes z)
{
    gr_tensor *w[TRANSFORMER_WEIGHTS], *g[TRANSFORMER_WEIGHTS];
    int n = 0;
    *m = (transformer){.tape = gr_tape_new()};
    m->text = gr_input(m->tape, GR_I32, GR_SHAPE(GR_BATCH, z.length), "text");
    m->next = gr_input(m->tape, GR_I32, GR_SHAPE(GR_BATCH, z.length), "next");
    gr_tensor *x = gr_take(transformer_weight(m, GR_SHAPE(z.words, z.width), w, &n), m->text, 0);
    gr_tensor *place = gr_arange(m->tape, .stop = (double)z.length, .dtype = GR_F32),
              *column = gr_reshape(place, GR_SHAPE(z.length, 1));
    gr_tensor *mask = gr_where(gr_greater(place, column), gr_scalar(place, -1e9), gr_scalar(place, 0));
    x = gr_add(x, transformer_weight(m, GR_SHAPE(z.length, z.width), w, &n));
    for (int64_t i = 0; i < z.depth; i++)
        x = transformer_block(m, x, mask, &z, w, &n);
    x = transformer_dense(m, transformer_norm(m, x, z.width, w, &n), z.width, z.words, w, &n);
    m->loss = gr_mean(gr_sparse_categorical_crossentropy(m->next, x, .from_logits = true));
    GR_TRY(gr_grad(m->loss, w, n, g));
    transformer_adam(m, w, g, n);
    return gr_status_of(m->loss);
}

static inline void transformer_free(transformer *m)
{
    gr_tape_free(m->tape);
    for (int i = 0; i < m->n; i++)
        gr_variable_free(m->variable[i]);
}
#endif
