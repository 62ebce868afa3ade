/* bench/step_gpt.c: the training step of a small character transformer: 4 layers of width 128, 4 heads, 128 tokens, 65
 * letters (pre-norm, Xiong et al. 2020, arXiv:2002.04745); batch 16, Adam. Driven by bench/run gpt; see net.h. */
#include "bench/net.h"

enum { LAYERS = 4, WIDTH = 128, HEADS = 4, TOKENS = 128, LETTERS = 65 };

typedef struct {
    gr_layer base;
} Gpt_spec;

static gr_tensor *attention(gr_build *b, gr_tensor *x)
{
    gr_tensor *qkv = gr_apply(b, gr_Dense(3 * WIDTH), x);
    qkv = gr_split_dim(qkv, -1, GR_SHAPE(3, HEADS, WIDTH / HEADS));
    gr_tensor *y = gr_dot_product_attention(qkv, .causal = true);
    return gr_apply(b, gr_Dense(WIDTH), gr_merge_dims(y, -2, -1));
}

static gr_tensor *mlp(gr_build *b, gr_tensor *x)
{
    return gr_apply(b, gr_Dense(WIDTH), gr_gelu_tanh(gr_apply(b, gr_Dense(4 * WIDTH), x)));
}

static gr_tensor *norm(gr_build *b, gr_tensor *x)
{
    return gr_apply(b, gr_LayerNormalization(.epsilon = 1e-5), x);
}

static gr_tensor *gpt(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)spec;
    x = gr_apply(b, gr_Embedding(LETTERS, .output_dim = WIDTH), x);
    x = gr_add(x, gr_weight(b, "places", GR_SHAPE(TOKENS, WIDTH)));
    for (int i = 0; i < LAYERS; i++) {
        x = gr_add(x, attention(b, norm(b, x)));
        x = gr_add(x, mlp(b, norm(b, x)));
    }
    return gr_apply(b, gr_Dense(LETTERS, .no_bias = true), norm(b, x));
}
static const gr_layer_kind Gpt_kind = {.name = "Gpt", .size = sizeof(Gpt_spec), .family = "layer", .call = gpt};
#define Gpt(...) GR_SPEC(Gpt, __VA_ARGS__)

static gr_model *network(const bench_options *o)
{
    (void)o;
    gr_model *m = gr_model_new(Gpt(), .inputs = {gr_Input(GR_SHAPE(TOKENS), .dtype = GR_I32)});
    if (m)
        gr_compile(m, .optimizer = gr_Adam(), .loss = "sparse_categorical_crossentropy(from_logits=true)");
    return m;
}

int main(int argc, char **argv)
{
    return bench_net(network, argc, argv);
}
