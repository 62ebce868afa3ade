/* examples/mnist_robust.c: a more robust MNIST classifier with batch normalization, gradient clipping, early stopping
 * and a learning rate that falls on a plateau; its loss curves, and with --baseline a plain network beside it.
 *
 *   mnist_robust [--data DIR] [--seed N] [--epochs N] [--batch N] [--threads N] [--no-shuffle] [--init FILE.npz]
 *                [--clipnorm X] [--clipvalue X] [--monitor NAME] [--json FILE] [--out DIR] [--baseline] */
#define _GNU_SOURCE /* getopt_long, clocks, resource use */
#include <getopt.h>
#include <grape.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    const char *data, *init, *monitor, *json, *out;
    int seed, epochs, batch, threads;
    float clipnorm, clipvalue;
    bool no_shuffle, baseline;
} options;

/* ---- the tutorial ------------------------------------------------------------------------------------------------ */

static void prepare(gr_array *x, gr_array *y)
{
    gr_array_reshape(x, GR_SHAPE(-1, 784)); /* u8 [n, 28, 28] -> [n, 784] */
    gr_array_cast(x, GR_F32);
    gr_array_scale(x, 1.0 / 255);
    gr_array_one_hot(y, 10); /* u8 [n] -> float32 [n, 10] */
}

static gr_model *robust_model(const options *o)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(512, .activation = "relu"), gr_BatchNormalization(),
        gr_Dense(128, .activation = "relu"), gr_BatchNormalization(), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = o->clipnorm, .clipvalue = o->clipvalue),
        .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    return m;
}

static gr_history *train_robust(gr_model *m, gr_data train, const options *o)
{
    return gr_fit(m, train, .epochs = o->epochs, .batch_size = o->batch, .validation_split = 0.1f,
        .no_shuffle = o->no_shuffle, .step_losses = 100,
        .callbacks = {
            gr_EarlyStopping(.monitor = o->monitor, .patience = 3, .restore_best_weights = true),
            gr_ReduceLROnPlateau(.monitor = o->monitor, .factor = 0.1, .patience = 2, .min_lr = 1e-6),
        });
}

static gr_model *plain_model(gr_data train, const options *o)
{
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(784)), gr_Dense(512, .activation = "relu"),
        gr_Dense(128, .activation = "relu"), gr_Dense(10, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    gr_history_free(gr_fit(m, train, .epochs = o->epochs, .batch_size = o->batch, .validation_split = 0.1f));
    return m;
}

static void plot(const gr_history *history, const char *file)
{
    gr_history_plot(history, file, .inches = {8, 6}, .grid = true, .title = "Model Loss", .x = "Epoch", .y = "Loss",
        .curves = {{"loss", "Training Loss", "circle"}, {"val_loss", "Validation Loss", "square"}});
}

/* ---- around it --------------------------------------------------------------------------------------------------- */

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --init: the weights of a Keras model, saved by numpy.savez(file, *model.get_weights()) */
static void load_initial(gr_model *m, const char *file)
{
    gr_npz *npz = gr_npz_load(file);
    const gr_array *values[64];
    int n = npz && gr_npz_count(npz) <= 64 ? (int)gr_npz_count(npz) : 0;
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "arr_%d", i);
        values[i] = gr_npz_get(npz, name);
    }
    if (npz && gr_error() == GR_OK)
        gr_model_set_weights(m, n, values);
    gr_npz_free(npz);
}

static void json_list(FILE *f, const char *key, const double *v, int n)
{
    fprintf(f, "\"%s\": [", key);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s%.9g", i ? ", " : "", v[i]);
    fprintf(f, "]");
}

static int best_epoch(const gr_history *h, const char *monitor)
{
    int n, best = 0;
    const double *v = gr_history_get(h, monitor, &n);
    bool up = strstr(monitor, "accuracy") != NULL;
    for (int i = 1; v && i < n; i++)
        best = (up ? v[i] > v[best] : v[i] < v[best]) ? i : best;
    return gr_history_restored(h) ? gr_history_restored(h) : best + 1;
}

/* Under another name first: the file is there whole or not at all. */
static bool write_json(
    const options *o, gr_model *m, const gr_history *h, gr_scores score, double first_ms, double data_ms)
{
    char part[4096];
    snprintf(part, sizeof part, "%s.part", o->json);
    FILE *f = fopen(part, "w");
    if (!f)
        return false;
    fprintf(f, "{\"test_loss\": %.9g, \"test_accuracy\": %.9g, \"epochs\": %d, \"best_epoch\": %d,\n \"history\": {",
        score.loss, score.metric[0], gr_history_epochs(h), best_epoch(h, o->monitor));
    for (int i = 0; i < gr_history_key_count(h); i++) {
        int n;
        const double *v = gr_history_get(h, gr_history_key(h, i), &n);
        fputs(i ? ", " : "", f);
        json_list(f, gr_history_key(h, i), v, n);
    }
    int64_t steps;
    const float *loss = gr_history_step_losses(h, &steps);
    fprintf(f, "},\n \"step_losses\": [");
    for (int64_t i = 0; i < steps; i++)
        fprintf(f, "%s%.9g", i ? ", " : "", (double)loss[i]);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fprintf(f,
        "],\n \"step_ms_median\": %.4f, \"first_step_ms\": %.3f, \"data_ms\": %.3f, \"peak_rss_mib\": %.1f,\n"
        " \"weights_hash\": \"%016llx\"}\n",
        gr_history_step_ms(h), first_ms, data_ms, (double)usage.ru_maxrss / 1024,
        (unsigned long long)gr_model_weights_hash(m));
    bool good = !ferror(f);
    if (fclose(f) == 0 && good && rename(part, o->json) == 0)
        return true;
    remove(part);
    return false;
}

static bool folder_takes_files(const char *folder)
{
    struct stat s;
    return stat(folder, &s) == 0 && S_ISDIR(s.st_mode) && access(folder, W_OK | X_OK) == 0;
}

/* What will be written at the end is tried before hours of training, not after. */
static bool can_write(const options *o)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", o->json ? o->json : "");
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    mkdir(o->out, 0777);
    bool out = folder_takes_files(o->out), json = !o->json || folder_takes_files(slash ? folder : ".");
    if (!out)
        fprintf(stderr, "mnist_robust: the folder %s cannot be written\n", o->out);
    if (!json)
        fprintf(stderr, "mnist_robust: %s cannot be written\n", o->json);
    return out && json;
}

/* A number of at least `least`, and nothing else; or the program ends. */
static double number(const char *option, const char *text, bool whole, double least)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= least && x <= 2147483647.0) || (whole && x != (double)(int)x)) {
        fprintf(stderr, "mnist_robust: --%s: expected a %snumber of at least %g, found '%s'\n", option,
            whole ? "whole " : "", least, text);
        exit(2);
    }
    return x;
}

static options parse(int argc, char **argv)
{
    options o = {.monitor = "val_loss", .out = ".", .seed = 1234, .epochs = 20, .batch = 128};
    static const struct option known[] = {{"data", 1, 0, 'd'}, {"seed", 1, 0, 's'}, {"epochs", 1, 0, 'e'},
        {"batch", 1, 0, 'b'}, {"threads", 1, 0, 't'}, {"no-shuffle", 0, 0, 'n'}, {"init", 1, 0, 'i'},
        {"clipnorm", 1, 0, 'c'}, {"clipvalue", 1, 0, 'v'}, {"monitor", 1, 0, 'm'}, {"json", 1, 0, 'j'},
        {"out", 1, 0, 'o'}, {"baseline", 0, 0, 'B'}, {"help", 0, 0, 'h'}, {0}};
    bool norm_given = false;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;)
        switch (c) {
        case 'd':
            o.data = optarg;
            break;
        case 's':
            o.seed = (int)number("seed", optarg, true, 0);
            break;
        case 'e':
            o.epochs = (int)number("epochs", optarg, true, 1);
            break;
        case 'b':
            o.batch = (int)number("batch", optarg, true, 1);
            break;
        case 't':
            o.threads = (int)number("threads", optarg, true, 1);
            break;
        case 'n':
            o.no_shuffle = true;
            break;
        case 'i':
            o.init = optarg;
            break;
        case 'c':
            o.clipnorm = (float)number("clipnorm", optarg, false, 0), norm_given = true;
            break;
        case 'v':
            o.clipvalue = (float)number("clipvalue", optarg, false, 0);
            break;
        case 'm':
            o.monitor = optarg;
            break;
        case 'j':
            o.json = optarg;
            break;
        case 'o':
            o.out = optarg;
            break;
        case 'B':
            o.baseline = true;
            break;
        default:
            fprintf(c == 'h' ? stdout : stderr,
                "usage: mnist_robust [--data DIR] [--seed N] [--epochs N] [--batch N] "
                "[--threads N] [--no-shuffle]\n  [--init FILE.npz] [--clipnorm X] [--clipvalue X] [--monitor NAME] "
                "[--json FILE] [--out DIR] [--baseline]\n");
            exit(c == 'h' ? 0 : 2);
        }
    if (!norm_given && o.clipvalue == 0)
        o.clipnorm = 1; /* the tutorial's; clipvalue is the alternative */
    return o;
}

int main(int argc, char **argv)
{
    double start = seconds(CLOCK_MONOTONIC) - seconds(CLOCK_PROCESS_CPUTIME_ID); /* loading the program counts too */
    options o = parse(argc, argv);
    char file[4096];
    if (!can_write(&o))
        return 1;
    if (o.threads)
        gr_set_num_threads(o.threads);
    gr_set_seed((uint64_t)o.seed);
    double before = seconds(CLOCK_MONOTONIC);
    gr_dataset mnist = gr_mnist(o.data);
    if (!mnist.x_train)
        return gr_report(stderr);
    prepare(mnist.x_train, mnist.y_train);
    prepare(mnist.x_test, mnist.y_test);
    double data_ms = (seconds(CLOCK_MONOTONIC) - before) * 1e3;
    gr_data train = gr_xy(GR_LIST(mnist.x_train), GR_LIST(mnist.y_train));
    gr_data test = gr_xy(GR_LIST(mnist.x_test), GR_LIST(mnist.y_test));
    char banner[512];
    printf("%s\ndata: %s, %lld train / %lld test\n\n", gr_info_banner(banner, sizeof banner), mnist.source,
        (long long)gr_array_dim(mnist.x_train, 0), (long long)gr_array_dim(mnist.x_test, 0));
    fflush(stdout);

    gr_model *robust = robust_model(&o);
    if (o.init && robust)
        load_initial(robust, o.init);
    if (gr_error() != GR_OK)
        return gr_report(stderr);
    gr_summary(robust, stdout);
    fflush(stdout);
    double fit_start = seconds(CLOCK_MONOTONIC) - start;
    gr_history *history = train_robust(robust, train, &o);
    if (!history)
        return gr_report(stderr);
    double first_ms = fit_start * 1e3 + gr_history_first_step_ms(history);
    gr_scores score = gr_evaluate(robust, test, .batch_size = 128);
    const char *why;
    if (gr_history_stopped(history, &why))
        printf("\nstopped after epoch %d: %s\n", gr_history_epochs(history), why);
    if (gr_history_restored(history))
        printf("the weights of epoch %d are back\n", gr_history_restored(history));
    printf("test accuracy %.4f, loss %.4f\n", score.metric[0], score.loss);

    snprintf(file, sizeof file, "%s/loss.png", o.out);
    plot(history, file);
    if (access(file, R_OK) == 0) /* without gnuplot a warning has said how to draw it */
        printf("%s\n", file);
    snprintf(file, sizeof file, "%s/model.svg", o.out);
    gr_model_plot(robust, file);
    snprintf(file, sizeof file, "%s/model.safetensors", o.out);
    gr_model_save(robust, file);
    bool told = !o.json || gr_error() != GR_OK || write_json(&o, robust, history, score, first_ms, data_ms);
    if (!told)
        fprintf(stderr, "mnist_robust: %s cannot be written\n", o.json);
    gr_history_print(history, stdout, 0);
    if (o.baseline && gr_error() == GR_OK) {
        gr_model *plain = plain_model(train, &o);
        gr_scores base = gr_evaluate(plain, test, .batch_size = 128);
        printf("\n%-22s %-10s %s\n%-22s %-10.4f %.4f\n%-22s %-10.4f %.4f\n", "test", "accuracy", "loss", "robust",
            score.metric[0], score.loss, "plain baseline", base.metric[0], base.loss);
        gr_model_free(plain);
    }
    gr_history_free(history), gr_model_free(robust), gr_dataset_free(&mnist);
    return gr_report(stderr) || !told;
}
