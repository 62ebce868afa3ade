/* What runs beside something else: two fits in two threads, errors of two threads, a signal during a fit. And what is
 * very deep: graphs that no recursion would survive. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "core/node.h"
#include "core/text.h"
#include "models/model.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#ifdef __has_feature /* clang's way to tell */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

/* ---- two fits ---------------------------------------------------------------------------------------------------- */

enum { ROWS = 300, WIDTH = 12 };
typedef struct {
    int width; /* of the hidden layer */
    int epochs;
    uint64_t hash;
    gr_status status;
    char error[2000];
} job;

static void *train(void *ctx)
{
    job *j = ctx;
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(ROWS, WIDTH)), *y = gr_array_new(GR_F32, GR_SHAPE(ROWS, 3));
    for (int i = 0; i < ROWS * WIDTH; i++)
        ((float *)gr_array_data(x))[i] = (float)(i * 31 % 101) / 101 + (i % WIDTH % 3 == i / WIDTH % 3 ? 0.5f : 0);
    for (int i = 0; i < ROWS; i++)
        ((float *)gr_array_data(y))[i * 3 + i % 3] = 1;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(j->width, .activation = "relu"),
        gr_BatchNormalization(), gr_Dropout(0.2), gr_Dense(3, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = 1), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    gr_history *h = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = j->epochs, .batch_size = 32,
        .validation_split = 0.1f, .verbose = GR_VERBOSE_SILENT);
    j->status = gr_error();
    snprintf(j->error, sizeof j->error, "%s", gr_error_message());
    j->hash = h ? gr_model_weights_hash(m) : 0;
    gr_error_clear();
    gr_history_free(h);
    gr_model_free(m);
    gr_array_free(x);
    gr_array_free(y);
    return NULL;
}

static void two_models_train_in_two_threads_as_they_do_alone(void)
{
    gr_set_seed(21);
    job alone[2] = {{.width = 16, .epochs = 6}, {.width = 37, .epochs = 5}};
    train(&alone[0]), train(&alone[1]);
    for (int round = 0; round < 3; round++) {
        job at_once[2] = {{.width = 16, .epochs = 6}, {.width = 37, .epochs = 5}};
        pthread_t thread[2];
        for (int i = 0; i < 2; i++)
            CU_ASSERT_FATAL(pthread_create(&thread[i], NULL, train, &at_once[i]) == 0);
        for (int i = 0; i < 2; i++)
            pthread_join(thread[i], NULL);
        for (int i = 0; i < 2; i++)
            GR_EXPECT(at_once[i].hash && at_once[i].hash == alone[i].hash, "round %d, model %d: other weights %s",
                round, i, at_once[i].error);
    }
}

static void errors_of_one_thread_are_not_seen_by_another(void)
{
    job bad = {.width = -1, .epochs = 1}, good = {.width = 8, .epochs = 2};
    pthread_t first = 0, second = 0;
    gr_fail(GR_ENAME, (gr_at){0}, "this thread's own");
    CU_ASSERT_FATAL(pthread_create(&first, NULL, train, &bad) == 0);
    CU_ASSERT_FATAL(pthread_create(&second, NULL, train, &good) == 0);
    pthread_join(first, NULL), pthread_join(second, NULL);
    GR_EXPECT(bad.status == GR_EARG && strstr(bad.error, "units"), "%s", bad.error);
    GR_EXPECT(good.status == GR_OK && good.hash, "%s", good.error);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "this thread's own");
    gr_error_clear();
}

/* ---- a signal ---------------------------------------------------------------------------------------------------- */

static void on_alarm(int signal)
{
    (void)signal;
    gr_run_request_stop();
}

static void a_signal_handler_ends_a_fit_cleanly(void)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval soon = {.it_value = {.tv_usec = 100000}};
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &soon, NULL);
    job j = {.width = 16, .epochs = 1000000};
    train(&j); /* hours, without the signal */
    GR_EXPECT(j.status == GR_OK && j.hash, "%s", j.error);
    sigaction(SIGALRM, &old, NULL);
    job next = {.width = 16, .epochs = 2};
    train(&next); /* a stop is for the fits of its time */
    job again = {.width = 16, .epochs = 2};
    train(&again);
    CU_ASSERT(next.hash && next.hash == again.hash);
}

/* ---- depth ------------------------------------------------------------------------------------------------------- */

/* A million nodes one after the other: recorded, differentiated, written, read back and freed on a stack of 256 KiB. */
static void *chain(void *ctx)
{
    bool *good = ctx;
    gr_tape *t = gr_tape_new(), *back = NULL;
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *y = x, *g = NULL;
    for (int i = 0; i < 500000; i++) /* with the half a million of the gradient */
        y = gr_neg(y);
    *good = gr_grad(gr_sum(y), &x, 1, &g) == GR_OK && t->n_nodes > 1000000;
    char *text = gr_tape_text(t);
    back = text ? gr_tape_parse(text, 0, NULL) : NULL;
    *good = *good && back && back->n_nodes == t->n_nodes;
    gr_text_free(text);
    gr_tape_free(back);
    gr_tape_free(t);
    return NULL;
}

/* The compiler too: a chain that cannot fuse away, and one tensor used in all of it. */
static void *deep_program(void *ctx)
{
    bool *good = ctx;
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *y = x, *g = NULL;
    for (int i = 0; i < 2000; i++)
        y = gr_add(gr_sin(y), x);
    gr_status s = gr_grad(gr_sum(y), &x, 1, &g);
    gr_program *p = s == GR_OK ? gr_program_new(t, .inputs = {x}, .outputs = {y, g}) : NULL;
    gr_array *in = gr_array_from(GR_F32, GR_SHAPE(2), (float[]){0.3f, -0.2f}), *out = gr_array_new(GR_F32, GR_SHAPE(2)),
             *slope = gr_array_new(GR_F32, GR_SHAPE(2)), *wanted = NULL;
    gr_binding bound = {x, in};
    s = p ? gr_program_run(p, &in, (gr_array *[]){out, slope}) : gr_error();
    if (s == GR_OK)
        s = gr_eval_with(1, &y, &wanted, &(gr_eval_opts){.n_bindings = 1, .bindings = &bound});
    *good = s == GR_OK && gr_array_equal(out, wanted);
    gr_array_free(in), gr_array_free(out), gr_array_free(slope), gr_array_free(wanted);
    gr_program_free(p);
    gr_tape_free(t);
    return NULL;
}

static void on_a_small_stack(const char *why, void *(*work)(void *))
{
    pthread_attr_t small;
    pthread_t thread;
    bool good = false;
    pthread_attr_init(&small);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SANITIZED)
    pthread_attr_setstacksize(&small, 2 << 20); /* their frames are larger; a recursion would still need more */
#else
    pthread_attr_setstacksize(&small, 256 << 10);
#endif
    CU_ASSERT_FATAL(pthread_create(&thread, &small, work, &good) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&small);
    GR_EXPECT(good, "%s: it failed", why);
}
static void a_graph_of_a_million_nodes_needs_no_stack(void)
{
    on_a_small_stack("chain", chain);
}
static void a_program_of_thousands_of_nodes_needs_no_stack(void)
{
    on_a_small_stack("program", deep_program);
}

GR_SUITE("at once, and deep", GR_TEST(two_models_train_in_two_threads_as_they_do_alone),
    GR_TEST(errors_of_one_thread_are_not_seen_by_another), GR_TEST(a_signal_handler_ends_a_fit_cleanly),
    GR_TEST(a_graph_of_a_million_nodes_needs_no_stack), GR_TEST(a_program_of_thousands_of_nodes_needs_no_stack))
