/* models/layers/multi_head_attention.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"
#include <math.h>

typedef gr_MultiHeadAttention_spec spec_type;

/* x [B, .., d] times a kernel [d, heads, size], and its bias -> [B, .., heads, size] */
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

/* [B, .., heads, size] times a kernel [heads, size, d] -> [B, .., d] */
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

/* ---- which axes hold tokens -------------------------------------------------------------------------------------- */

/* Of [B, .., size]: the axes attended over, and the others, which are as many more batches. */
typedef struct {
    int64_t rank, n_free, n_tokens;
    gr_shape order; /* B, the others, those attended over */
    bool sorted;    /* as they are */
} axes;

static gr_status find_axes(const spec_type *s, gr_tensor *query, axes *a)
{
    bool tokens[GR_MAX_RANK] = {false};
    char text[200];
    *a = (axes){.rank = gr_rank(query), .order = {.rank = 1}, .sorted = true};
    for (int64_t i = 0; i < s->attention_axes.rank; i++) {
        int64_t d = s->attention_axes.dim[i];
        d += d < 0 ? a->rank : 0;
        if (d < 1 || d > a->rank - 2 || tokens[d]) {
            gr_op_fail(s->base.at, GR_ESHAPE, "MultiHeadAttention", "attention_axes", 1, &query,
                "expected axes of query between the first and the last, each once, found %s",
                gr_shape_text(s->attention_axes, text, sizeof text));
            return GR_ESHAPE;
        }
        tokens[d] = true;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int64_t d = 1; d < a->rank - 1; d++)
            if ((tokens[d] || !s->attention_axes.rank) == (pass == 1)) {
                a->sorted = a->sorted && d == a->order.rank;
                a->order.dim[a->order.rank++] = d;
                *(pass ? &a->n_tokens : &a->n_free) += 1;
            }
    return GR_OK;
}

/* What is projected, [B, .., heads, size], as [batches, tokens, heads, size]. */
static gr_tensor *as_tokens(const axes *a, gr_tensor *x)
{
    gr_shape order = a->order;
    order.dim[order.rank++] = a->rank - 1;
    order.dim[order.rank++] = a->rank;
    if (!a->sorted)
        x = gr_transpose(x, order);
    if (a->n_free)
        x = gr_merge_dims(x, 0, a->n_free);
    return a->n_tokens > 1 ? gr_merge_dims(x, 1, a->n_tokens) : x;
}

/* And back, to the axes of query. */
static gr_tensor *as_query(const axes *a, gr_tensor *y, gr_tensor *query)
{
    if (gr_status_of(y) != GR_OK || (a->sorted && !a->n_free && a->n_tokens == 1))
        return y;
    gr_shape shape = {.rank = a->rank + 1}, back = {.rank = a->rank + 1};
    for (int64_t i = 0; i < a->rank + 1; i++) {
        int64_t d = i < a->rank - 1 ? a->order.dim[i] : i;
        shape.dim[i] = i < a->rank - 1 ? gr_dim(query, d) : gr_dim(y, i - a->rank + 3);
        back.dim[d] = i;
    }
    y = gr_reshape(y, shape);
    return a->sorted ? y : gr_transpose(y, back);
}

/* A mask [B, others.., T.., S..], also without the first or with heads before T, as [.., T, S] of tokens. */
static gr_tensor *mask_of_tokens(const axes *a, gr_tensor *mask)
{
    int64_t extra = gr_rank(mask) - 2 * a->n_tokens; /* axes before T */
    if (extra > a->n_free && a->n_free)
        mask = gr_merge_dims(mask, 0, a->n_free);
    if (a->n_tokens > 1) {
        mask = gr_merge_dims(mask, -a->n_tokens, -1);
        mask = gr_merge_dims(mask, -a->n_tokens - 1, -2);
    }
    return gr_rank(mask) == 3 ? gr_expand_dims(mask, GR_SHAPE(1)) : mask; /* of all heads */
}

/* ---- the layer --------------------------------------------------------------------------------------------------- */

static gr_status fail(const spec_type *s, const char *argument, gr_tensor *x, const char *expected)
{
    gr_op_fail(s->base.at, GR_ESHAPE, "MultiHeadAttention", argument, 1, &x, "%s", expected);
    return GR_ESHAPE;
}

static bool known(gr_tensor *x)
{
    for (int64_t d = 1; d < gr_rank(x); d++)
        if (gr_dim(x, d) < (d == gr_rank(x) - 1))
            return false;
    return gr_rank(x) >= 3 && gr_rank(x) < GR_MAX_RANK;
}

/* Query, value and key agree in their axes, but for those attended over (of query) and the last. */
static gr_status check_shapes(const spec_type *s, const axes *a, gr_tensor *const *x)
{
    static const char *const names[] = {"query", "value", "key"};
    for (int i = 1; i < 3; i++) {
        if (gr_rank(x[i]) != a->rank)
            return fail(s, names[i], x[i], "expected as many axes as query has");
        for (int64_t k = 1; k < a->order.rank; k++) {
            int64_t d = a->order.dim[k];
            if (k <= a->n_free && gr_dim(x[i], d) != gr_dim(x[0], d))
                return fail(s, names[i], x[i], "expected query's sizes along the axes that are not attended over");
            if (a->n_tokens > 1 && gr_dim(x[i], d) != gr_dim(x[1], d)) /* one axis: the op looks */
                return fail(s, names[i], x[i], "expected as many tokens as value has");
        }
    }
    if (s->use_causal_mask && a->n_tokens > 1)
        return fail(s, "use_causal_mask", x[0], "expected one axis of tokens, found several, which have no order");
    return GR_OK;
}

static gr_status attention_call(
    gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const spec_type *s = spec;
    static const char *const names[] = {"query", "value", "key"};
    axes a;
    if (n_in < 1 || n_in > 4 || n_out != 1) {
        gr_op_fail(s->base.at, GR_EARG, "MultiHeadAttention", "in", n_in, in,
            "expected query, value, key and mask and one result, found %d and %d", n_in, n_out);
        return GR_EARG;
    }
    for (int i = 0; i < n_in; i++)
        GR_TRY(gr_status_of(in[i]));
    for (int i = 0; i < n_in && i < 3; i++)
        if (!known(in[i]))
            return fail(s, names[i], in[i], "expected [B, tokens, size], or several axes of tokens, of known sizes");
    gr_tensor *query = in[0], *value = n_in > 1 ? in[1] : query, *key = n_in > 2 ? in[2] : value;
    GR_TRY(find_axes(s, query, &a));
    GR_TRY(check_shapes(s, &a, (gr_tensor *[]){query, value, key}));
    gr_tensor *mask = n_in > 3 ? mask_of_tokens(&a, in[3]) : NULL;
    const int value_dim = s->value_dim ? s->value_dim : s->key_dim;
    gr_tensor *q = as_tokens(&a, projection(b, s, "query_kernel", "query_bias", query, s->key_dim));
    gr_tensor *k = as_tokens(&a, projection(b, s, "key_kernel", "key_bias", key, s->key_dim));
    gr_tensor *v = as_tokens(&a, projection(b, s, "value_kernel", "value_bias", value, value_dim));
    gr_tensor *y = s->dropout > 0 && gr_build_training(b)
                       ? dropped(s, q, k, v, mask)
                       : gr_dot_product_attention(q, k, v, .mask = mask, .causal = s->use_causal_mask);
    out[0] = output(b, s, as_query(&a, y, query), s->output_dim ? s->output_dim : gr_dim(query, -1));
    return gr_status_of(out[0]);
}

static const gr_field fields[] = {GR_INT(spec_type, num_heads, .required = true, .min = 1),
    GR_INT(spec_type, key_dim, .required = true, .min = 1), GR_INT(spec_type, value_dim, .has_min = true),
    GR_INT(spec_type, output_dim, .has_min = true), GR_DOUBLE(spec_type, dropout, .has_min = true, .max = 1),
    GR_BOOL(spec_type, no_bias), GR_BOOL(spec_type, use_causal_mask), GR_SHAPE_FIELD(spec_type, attention_axes),
    GR_STRING(spec_type, kernel_initializer, .def_string = "glorot_uniform"),
    GR_STRING(spec_type, bias_initializer, .def_string = "zeros"), GR_SPEC_FIELD(spec_type, kernel_initializer_spec),
    GR_SPEC_FIELD(spec_type, bias_initializer_spec), GR_STRING(spec_type, name), {0}};
const gr_layer_kind gr_MultiHeadAttention_kind = {.name = "MultiHeadAttention",
    .size = sizeof(gr_MultiHeadAttention_spec),
    .fields = fields,
    .family = "layer",
    .call_n = attention_call};
