/* models/layers/multi_head_attention.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"
#include <math.h>

typedef gr_MultiHeadAttention_spec spec_type;

/* x [B, T, d] times a kernel [d, heads, size], and its bias -> [B, T, heads, size] */
static gr_tensor *projection(
    gr_build *b, const spec_type *s, const char *kernel, const char *bias, gr_tensor *x, int size)
{
    const int64_t heads = s->num_heads, d = gr_dim(x, -1);
    gr_tensor *w = gr_weight(
        b, kernel, GR_SHAPE(d, heads, size), .init = s->kernel_initializer, .init_spec = s->kernel_initializer_spec);
    gr_tensor *y = gr_matmul(x, gr_reshape(w, GR_SHAPE(d, heads * size)));
    if (!s->no_bias) {
        w = gr_weight(
            b, bias, GR_SHAPE(heads, size), .init = s->bias_initializer, .init_spec = s->bias_initializer_spec);
        y = gr_add(y, gr_reshape(w, GR_SHAPE(heads * size)));
    }
    return gr_split_dim(y, -1, GR_SHAPE(heads, size));
}

/* [B, T, heads, size] times a kernel [heads, size, d] -> [B, T, d] */
static gr_tensor *output(gr_build *b, const spec_type *s, gr_tensor *x, int64_t d)
{
    const int64_t heads = s->num_heads, size = gr_dim(x, -1);
    gr_tensor *w = gr_weight(b, "output_kernel", GR_SHAPE(heads, size, d), .init = s->kernel_initializer,
        .init_spec = s->kernel_initializer_spec);
    gr_tensor *y = gr_matmul(gr_merge_dims(x, -2, -1), gr_reshape(w, GR_SHAPE(heads * size, d)));
    if (s->no_bias)
        return y;
    return gr_add(y,
        gr_weight(b, "output_bias", GR_SHAPE(d), .init = s->bias_initializer, .init_spec = s->bias_initializer_spec));
}

/* bool [T, S]: keys 0 .. i for query i */
static gr_tensor *up_to_itself(gr_tape *t, int64_t n_queries, int64_t n_keys)
{
    gr_tensor *i = gr_arange(t, .stop = (double)n_queries), *j = gr_arange(t, .stop = (double)n_keys);
    return gr_less_equal(j, gr_expand_dims(i, GR_SHAPE(-1)));
}

/* With dropout of the probabilities, which are written out for it. */
static gr_tensor *dropped(const spec_type *s, gr_tensor *q, gr_tensor *k, gr_tensor *v, gr_tensor *mask)
{
    const gr_shape swap = GR_SHAPE(0, 2, 1, 3);
    gr_tensor *z = gr_matmul_t(gr_transpose(q, swap), gr_transpose(k, swap), .transpose_b = true);
    if (gr_status_of(z) != GR_OK)
        return z;
    if (s->use_causal_mask) {
        gr_tensor *causal = up_to_itself(gr_tape_of(z), gr_dim(q, 1), gr_dim(k, 1));
        mask = mask ? gr_logical_and(mask, causal) : causal;
    }
    z = gr_mul(z, gr_scalar(z, 1 / sqrt(s->key_dim)));
    gr_tensor *p = gr_softmax(mask ? gr_where(mask, z, gr_scalar(z, -1e30)) : z);
    if (mask) /* a row that sees nothing stays 0 */
        p = gr_where(mask, p, gr_scalar(p, 0));
    return gr_transpose(gr_matmul(gr_dropout(p, s->dropout), gr_transpose(v, swap)), swap);
}

static gr_status attention_call(
    gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const spec_type *s = spec;
    static const char *const names[] = {"query", "value", "key"};
    if (n_in < 1 || n_in > 4 || n_out != 1) {
        gr_op_fail(s->base.at, GR_EARG, "MultiHeadAttention", "in", n_in, in,
            "expected query, value, key and mask and one result, found %d and %d", n_in, n_out);
        return GR_EARG;
    }
    for (int i = 0; i < n_in && i < 3; i++)
        if (gr_status_of(in[i]) == GR_OK && (gr_rank(in[i]) != 3 || gr_dim(in[i], 2) < 1 || gr_dim(in[i], 1) < 0)) {
            gr_op_fail(s->base.at, GR_ESHAPE, "MultiHeadAttention", names[i], 1, &in[i],
                "expected [B, tokens, size] of known sizes, found %lld axes", (long long)gr_rank(in[i]));
            return GR_ESHAPE;
        }
    for (int i = 0; i < n_in; i++)
        GR_TRY(gr_status_of(in[i]));
    gr_tensor *query = in[0], *value = n_in > 1 ? in[1] : query, *key = n_in > 2 ? in[2] : value;
    gr_tensor *mask = n_in > 3 ? in[3] : NULL;
    if (mask && gr_rank(mask) == 3) /* of all heads */
        mask = gr_expand_dims(mask, GR_SHAPE(1));
    gr_tensor *q = projection(b, s, "query_kernel", "query_bias", query, s->key_dim);
    gr_tensor *k = projection(b, s, "key_kernel", "key_bias", key, s->key_dim);
    gr_tensor *v = projection(b, s, "value_kernel", "value_bias", value, s->value_dim ? s->value_dim : s->key_dim);
    gr_tensor *y = s->dropout > 0 && gr_build_training(b)
                       ? dropped(s, q, k, v, mask)
                       : gr_dot_product_attention(q, k, v, .mask = mask, .causal = s->use_causal_mask);
    out[0] = output(b, s, y, s->output_dim ? s->output_dim : gr_dim(query, 2));
    return gr_status_of(out[0]);
}

static const gr_field fields[] = {GR_INT(spec_type, num_heads, .required = true, .min = 1),
    GR_INT(spec_type, key_dim, .required = true, .min = 1), GR_INT(spec_type, value_dim, .has_min = true),
    GR_INT(spec_type, output_dim, .has_min = true), GR_DOUBLE(spec_type, dropout, .has_min = true, .max = 1),
    GR_BOOL(spec_type, no_bias), GR_BOOL(spec_type, use_causal_mask),
    GR_STRING(spec_type, kernel_initializer, .def_string = "glorot_uniform"),
    GR_STRING(spec_type, bias_initializer, .def_string = "zeros"), GR_SPEC_FIELD(spec_type, kernel_initializer_spec),
    GR_SPEC_FIELD(spec_type, bias_initializer_spec), GR_STRING(spec_type, name), {0}};
const gr_layer_kind gr_MultiHeadAttention_kind = {.name = "MultiHeadAttention",
    .size = sizeof(gr_MultiHeadAttention_spec),
    .fields = fields,
    .family = "layer",
    .call_n = attention_call};
