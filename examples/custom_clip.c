/* examples/custom_clip.c: a clipping hook of one's own: it gets all gradients at once, inside the compiled step. */
#include <grape.h>

/* g *= min(1, ratio |w| / |g|), each variable by its own norms.  After Brock et al. 2021, arXiv:2102.06171 */
typedef struct {
    gr_clip base;
    float ratio;
} AdaptiveClip_spec;

static gr_status adaptive_clip(gr_update *u, const void *spec, int n, gr_tensor *const w[], gr_tensor *g[])
{
    const AdaptiveClip_spec *s = spec;
    for (int i = 0; i < n; i++) {
        gr_tensor *limit = gr_mul(gr_scalar(w[i], s->ratio), gr_maximum(gr_norm(w[i]), gr_scalar(w[i], 1e-3)));
        gr_tensor *factor = gr_div(limit, gr_maximum(gr_norm(g[i]), gr_scalar(g[i], 1e-6)));
        g[i] = gr_mul(g[i], gr_minimum(factor, gr_scalar(factor, 1)));
    }
    return gr_update_status(u); /* GR_OK unless one of the nodes is GR_BAD */
}

static const gr_field clip_fields[] = {
    GR_FLOAT(AdaptiveClip_spec, ratio, .required = true, .min = 0, .has_min = true), {0}};
static const gr_clip_kind AdaptiveClip_kind = {
    .name = "AdaptiveClip", .size = sizeof(AdaptiveClip_spec), .fields = clip_fields, .apply = adaptive_clip};
#define AdaptiveClip(...) GR_SPEC(AdaptiveClip, .ratio = __VA_ARGS__)

int main(int argc, char **argv)
{
    gr_set_seed(1234);
    gr_dataset mnist = gr_mnist(gr_data_dir(argc, argv));
    if (!mnist.x_train)
        return gr_report(stderr);
    gr_array_one_hot(mnist.y_train, 10);
    gr_array_one_hot(mnist.y_test, 10);
    /* images stay u8 and are scaled in the graph */
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(28, 28)), gr_Rescaling(1.0 / 255), gr_Flatten(),
        gr_Dense(256, .activation = "relu"), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_SGD(.learning_rate = 0.5f, .momentum = 0.9f, .clips = {AdaptiveClip(0.02f)}),
        .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    gr_history_free(gr_fit(m, gr_xy(GR_LIST(mnist.x_train), GR_LIST(mnist.y_train)), .epochs = 3, .batch_size = 128));
    printf("test accuracy with adaptive clipping: %.4f\n",
        gr_evaluate(m, gr_xy(GR_LIST(mnist.x_test), GR_LIST(mnist.y_test))).metric[0]);
    gr_model_free(m), gr_dataset_free(&mnist);
    return gr_report(stderr);
}
