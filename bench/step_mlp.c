/* bench/step_mlp.c: the tutorial's training step as a user has it, gr_compile and gr_fit: dense and batch
 * normalization, Adam with clipnorm 1, batch 128. Other widths by --widths. Driven by bench/run mlp; see net.h. */
#include "bench/net.h"

static gr_model *network(const bench_options *o)
{
    gr_layer *layer[3 * BENCH_WIDTHS] = {gr_spec_copy(gr_Input(GR_SHAPE(o->width[0])))};
    int n = 1;
    if (o->n_widths < 2) {
        gr_fail(GR_EARG, GR_HERE, "mlp: argument --widths: expected at least 2, found %d", o->n_widths);
        return NULL;
    }
    for (int i = 1; i < o->n_widths; i++) {
        bool last = i == o->n_widths - 1;
        layer[n++] = gr_spec_copy(gr_Dense(o->width[i], .activation = last ? "softmax" : "relu"));
        if (!last)
            layer[n++] = gr_spec_copy(gr_BatchNormalization());
    }
    gr_model *m = gr_sequential_at(GR_HERE, (const gr_layer *const *)layer);
    for (int i = 0; i < n; i++)
        gr_spec_free(layer[i]);
    if (m)
        gr_compile(
            m, .optimizer = gr_Adam(.clipnorm = 1.0f), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    return m;
}

int main(int argc, char **argv)
{
    return bench_net(network, argc, argv);
}
