/* examples/cnn.c: a small convolutional network for MNIST: two convolutions, each with pooling, and two dense layers.
 *
 *   cnn [--data DIR] [--epochs N] [--images N] */
#include <grape.h>
#include <stdlib.h>
#include <string.h>

static void prepare(gr_array *x, gr_array *y)
{
    gr_array_reshape(x, GR_SHAPE(-1, 28, 28, 1)); /* u8 [n, 28, 28] -> one channel, last */
    gr_array_cast(x, GR_F32);
    gr_array_scale(x, 1.0 / 255);
    gr_array_one_hot(y, 10);
}

static int option(int argc, char **argv, const char *name, int otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return atoi(argv[i + 1]);
    return otherwise;
}

int main(int argc, char **argv)
{
    gr_set_seed(1234);
    gr_dataset digits = gr_mnist(gr_data_dir(argc, argv));
    if (!digits.x_train)
        return gr_report(stderr);
    prepare(digits.x_train, digits.y_train);
    prepare(digits.x_test, digits.y_test);

    const int images = option(argc, argv, "--images", 60000); /* the first so many: views, nothing is copied */
    gr_array *x = gr_array_slice(digits.x_train, 0, 0, images, 1), *y = gr_array_slice(digits.y_train, 0, 0, images, 1);

    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(28, 28, 1)),
        gr_Conv2D(32, GR_SHAPE(3, 3), .activation = "relu"), gr_MaxPooling2D(), /* [B, 13, 13, 32] */
        gr_Conv2D(64, GR_SHAPE(3, 3), .activation = "relu"), gr_MaxPooling2D(), /* [B, 5, 5, 64] */
        gr_Flatten(), gr_Dense(128, .activation = "relu"), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    gr_summary(m, stdout);
    gr_history *h = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = option(argc, argv, "--epochs", 2),
        .batch_size = 128, .validation_split = 0.1f);
    gr_scores score = gr_evaluate(m, gr_xy(GR_LIST(digits.x_test), GR_LIST(digits.y_test)), .batch_size = 128);
    if (h)
        printf("%s: test accuracy %.4f, %.2f ms a step\n", digits.source, score.metric[0], gr_history_step_ms(h));
    gr_history_free(h), gr_model_free(m), gr_array_free(x), gr_array_free(y), gr_dataset_free(&digits);
    return gr_report(stderr);
}
