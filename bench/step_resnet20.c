/* bench/step_resnet20.c: the training step of ResNet-20 for pictures of 32x32 (He et al. 2015, arXiv:1512.03385, with
 * 1x1 convolutions where widths change); batch 64, Adam. Driven by bench/run resnet20; see net.h. */
#include "bench/net.h"

typedef struct {
    gr_layer base;
} Resnet20_spec;

static gr_tensor *conv_bn(gr_build *b, gr_tensor *x, int width, int kernel, int stride)
{
    x = gr_apply(b,
        gr_Conv2D(
            width, GR_SHAPE(kernel, kernel), .strides = GR_SHAPE(stride, stride), .padding = "same", .no_bias = true),
        x);
    return gr_apply(b, gr_BatchNormalization(), x);
}

static gr_tensor *block(gr_build *b, gr_tensor *x, int width, int stride)
{
    gr_tensor *h = gr_relu(conv_bn(b, x, width, 3, stride));
    h = conv_bn(b, h, width, 3, 1);
    if (gr_dim(x, -1) != width)
        x = conv_bn(b, x, width, 1, stride);
    return gr_relu(gr_add(x, h));
}

static gr_tensor *resnet20(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)spec;
    x = gr_relu(conv_bn(b, x, 16, 3, 1));
    for (int stage = 0; stage < 3; stage++)
        for (int k = 0; k < 3; k++)
            x = block(b, x, 16 << stage, stage > 0 && k == 0 ? 2 : 1);
    x = gr_apply(b, gr_GlobalAveragePooling2D(), x);
    return gr_apply(b, gr_Dense(10, .activation = "softmax"), x);
}
static const gr_layer_kind Resnet20_kind = {
    .name = "Resnet20", .size = sizeof(Resnet20_spec), .family = "layer", .call = resnet20};
#define Resnet20(...) GR_SPEC(Resnet20, __VA_ARGS__)

static gr_model *network(const bench_options *o)
{
    (void)o;
    gr_model *m = gr_model_new(Resnet20(), .inputs = {gr_Input(GR_SHAPE(32, 32, 3))});
    if (m)
        gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy");
    return m;
}

int main(int argc, char **argv)
{
    return bench_net(network, argc, argv);
}
