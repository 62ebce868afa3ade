/* examples/two_inputs.c: a model of two inputs with shared weights: do two images show the same digit? */
#include <grape.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    gr_layer base;
    int units; /* width of the tower */
} SameDigit_spec;

/* in: two float [B, 784]; out: probability [B, 1] */
static gr_status same_digit(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    const SameDigit_spec *s = spec;
    GR_CHECK(n_in == 2 && n_out == 1, GR_EARG, "two images in, one probability out");
    gr_layer_ref *tower = gr_layer_make(b, gr_Dense(s->units, .activation = "relu")); /* one set of weights */
    gr_tensor *apart = gr_abs(gr_sub(gr_apply_ref(b, tower, in[0]), gr_apply_ref(b, tower, in[1])));
    out[0] = gr_apply(b, gr_Dense(1, .activation = "sigmoid"), apart);
    return gr_status_of(out[0]);
}

static const gr_field same_digit_fields[] = {GR_INT(SameDigit_spec, units, .required = true, .min = 1), {0}};
static const gr_layer_kind SameDigit_kind = {
    .name = "SameDigit", .size = sizeof(SameDigit_spec), .fields = same_digit_fields, .call_n = same_digit};
#define SameDigit(...) GR_SPEC(SameDigit, .units = __VA_ARGS__)

/* As many pairs as images, every other of the same digit. The images are chosen by row, none is copied twice. */
static void pairs(const gr_dataset *d, gr_array **left, gr_array **right, gr_array **same)
{
    const uint8_t *label = gr_array_data(d->y_train);
    const int64_t rows = gr_array_dim(d->x_train, 0);
    int64_t *a = malloc((size_t)rows * sizeof *a), *b = malloc((size_t)rows * sizeof *b);
    *same = gr_array_new(GR_F32, GR_SHAPE(rows, 1));
    float *y = *same ? gr_array_data(*same) : NULL;
    for (int64_t i = 0; a && b && y && i < rows; i++) {
        a[i] = i * 7919 % rows; /* primes: no pair comes twice */
        b[i] = (i * 104729 + 1) % rows;
        while ((label[a[i]] == label[b[i]]) != (i % 2 == 0))
            b[i] = (b[i] + 1) % rows;
        y[i] = i % 2 == 0;
    }
    *left = a && b ? gr_array_gather(d->x_train, a, rows) : NULL;
    *right = a && b ? gr_array_gather(d->x_train, b, rows) : NULL;
    free(a), free(b);
}

static void prepare(gr_array *x)
{
    gr_array_reshape(x, GR_SHAPE(-1, 784));
    gr_array_cast(x, GR_F32);
    gr_array_scale(x, 1.0 / 255);
}

int main(int argc, char **argv)
{
    gr_set_seed(1234);
    gr_dataset digits = gr_mnist(gr_data_dir(argc, argv));
    gr_array *left = NULL, *right = NULL, *same = NULL;
    if (digits.x_train)
        pairs(&digits, &left, &right, &same);
    if (!left || !right)
        return gr_report(stderr);
    prepare(left);
    prepare(right);
    gr_model *m = gr_model_new(SameDigit(256), .inputs = {gr_Input(GR_SHAPE(784)), gr_Input(GR_SHAPE(784))});
    gr_compile(m, .optimizer = gr_Adam(), .loss = "binary_crossentropy", .metrics = {"accuracy"});
    gr_summary(m, stdout);
    gr_history *h =
        gr_fit(m, gr_xy(GR_LIST(left, right), GR_LIST(same)), .epochs = 8, .batch_size = 128, .validation_split = 0.1f);
    int n;
    const double *accuracy = h ? gr_history_get(h, "val_accuracy", &n) : NULL;
    if (accuracy)
        printf("pairs told apart: %.3f\n", accuracy[n - 1]);
    gr_history_free(h), gr_model_free(m), gr_array_free(left), gr_array_free(right), gr_array_free(same);
    gr_dataset_free(&digits);
    return gr_report(stderr);
}
