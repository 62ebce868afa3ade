/* bench/step_lstm.c: the training step of an LSTM over 64 steps of 64 features, 256 units, whose last state goes to a
 * dense layer; batch 64, Adam. Driven by bench/run lstm; see net.h. */
#include "bench/net.h"

static gr_model *network(const bench_options *o)
{
    (void)o;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(64, 64)), gr_LSTM(256), gr_Dense(10, .activation = "softmax"));
    if (m)
        gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

int main(int argc, char **argv)
{
    return bench_net(network, argc, argv);
}
