/* bench/step_cnn.c: a small convolutional network's training step: conv 3x3x32, max-pool, conv 3x3x64, max-pool, dense
 * 128, dense 10; pictures of 28x28, batch 128, Adam. Driven by bench/run cnn; see bench/net.h. */
#include "bench/net.h"

static gr_model *network(const bench_options *o)
{
    (void)o;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(28, 28, 1)), gr_Conv2D(32, GR_SHAPE(3, 3), .activation = "relu"),
        gr_MaxPooling2D(), gr_Conv2D(64, GR_SHAPE(3, 3), .activation = "relu"), gr_MaxPooling2D(), gr_Flatten(),
        gr_Dense(128, .activation = "relu"), gr_Dense(10, .activation = "softmax"));
    if (m)
        gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

int main(int argc, char **argv)
{
    return bench_net(network, argc, argv);
}
