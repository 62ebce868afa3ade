/* examples/serve.c: one compiled model answers requests of several threads, image by image, while the model behind it
 * is trained on; then it takes the new weights. */
#include <grape.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { PIXELS = 784, DIGITS = 10, WORKERS = 2 };

typedef struct {
    gr_predictor *predictor;
    const gr_dataset *digits;
    _Atomic bool *stop;
    int64_t answered, right;
    double seconds; /* of all its answers */
} worker;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Asks about one image after the other. An image is u8 as it came: the model converts it. */
static void *serve(void *ctx)
{
    worker *w = ctx;
    const uint8_t *image = gr_array_data(w->digits->x_test), *label = gr_array_data(w->digits->y_test);
    const int64_t n = gr_array_dim(w->digits->x_test, 0);
    double start = now();
    for (int64_t i = 0; !atomic_load(w->stop); i = (i + 1) % n) {
        float p[DIGITS];
        int best = 0;
        if (gr_predictor_run_rows(w->predictor, 1, (const void *[]){image + i * PIXELS}, (void *[]){p}) != GR_OK)
            break;
        for (int k = 1; k < DIGITS; k++)
            best = p[k] > p[best] ? k : best;
        w->answered++;
        w->right += best == label[i];
    }
    w->seconds = now() - start;
    return NULL;
}

/* Answers requests as long as `meanwhile` runs. */
static void serve_while(gr_predictor *p, const gr_dataset *d, void (*meanwhile)(gr_model *m, gr_data train),
    gr_model *m, gr_data train, const char *title)
{
    _Atomic bool stop = false;
    pthread_t thread[WORKERS];
    worker w[WORKERS];
    int n = 0;
    for (; n < WORKERS; n++) {
        w[n] = (worker){.predictor = p, .digits = d, .stop = &stop};
        if (pthread_create(&thread[n], NULL, serve, &w[n]) != 0)
            break;
    }
    meanwhile(m, train);
    atomic_store(&stop, true);
    for (int i = 0; i < n; i++) {
        pthread_join(thread[i], NULL);
        if (w[i].answered)
            printf("%s, thread %d: %lld answers, %.1f %% right, %.0f us each\n", title, i, (long long)w[i].answered,
                100.0 * (double)w[i].right / (double)w[i].answered, 1e6 * w[i].seconds / (double)w[i].answered);
    }
}

static void train_on(gr_model *m, gr_data train)
{
    gr_history_free(gr_fit(m, train, .epochs = 1, .batch_size = 128));
}
static void evaluate(gr_model *m, gr_data train)
{
    printf("accuracy on the training images: %.4f\n", gr_evaluate(m, train, .batch_size = 128).metric[0]);
}

int main(int argc, char **argv)
{
    gr_set_seed(1234);
    gr_dataset digits = gr_mnist(gr_data_dir(argc, argv));
    if (!digits.x_train)
        return gr_report(stderr);
    gr_array_reshape(digits.x_train, GR_SHAPE(-1, PIXELS));
    gr_array_one_hot(digits.y_train, DIGITS);
    gr_data train = gr_xy(GR_LIST(digits.x_train), GR_LIST(digits.y_train));
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(PIXELS)), gr_Rescaling(1.0 / 255),
        gr_Dense(512, .activation = "relu"), gr_BatchNormalization(), gr_Dense(128, .activation = "relu"),
        gr_BatchNormalization(), gr_Dense(DIGITS, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    gr_predictor *p = gr_predictor_new(m, .max_batch = 1, .threads = 1, .calls = WORKERS, .x_dtype = {GR_U8});
    if (p) {
        serve_while(p, &digits, train_on, m, train, "untrained");
        gr_predictor_refresh(p);
        serve_while(p, &digits, evaluate, m, train, "trained");
    }
    gr_predictor_free(p), gr_model_free(m), gr_dataset_free(&digits);
    return gr_report(stderr);
}
