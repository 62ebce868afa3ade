/* Memory runs out at every allocation of a training, of a step and of each reader: nothing crashes, nothing leaks, the
 * error says that memory ran out, and the same work done right after it gives the same bits as ever.
 * Gradients, regions and pictures of tapes: test_autograd_memory.c. */
#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "callbacks/callbacks.h"
#include "compiler/program.h"
#include "core/node.h"
#include "core/text.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"
#include "models/layer_gradcheck.h"
#include "models/model_impl.h"
#include "models/save.h"
#include "ops/ops.h"
#include "tests/damage.h"
#include "tests/injector.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { ROWS = 200, WIDTH = 20, CLASSES = 4 };

/* Thousands of files are written here: in memory, if there is such a folder, for waiting for the disk would be nearly
 * all of the time. */
__attribute__((constructor)) static void write_into_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
}

static gr_array *keep(gr_array *a, uint64_t *hash)
{
    if (a)
        *hash = gr_hash_bytes(*hash, gr_array_data(a), (size_t)gr_array_bytes(a));
    return a;
}

/* ---- the tutorial ------------------------------------------------------------------------------------------------ */

typedef struct {
    gr_array *x, *y;
    gr_data data;
} set;

/* Bytes in memory, prepared as the tutorial prepares its images. */
static bool load(set *s)
{
    unsigned char pixels[ROWS * WIDTH], labels[ROWS];
    for (int i = 0; i < ROWS; i++)
        labels[i] = (unsigned char)(i * 7 % CLASSES);
    for (int i = 0; i < ROWS * WIDTH; i++)
        pixels[i] = (unsigned char)(i * 37 % 128 + (i % CLASSES == labels[i / WIDTH] ? 100 : 0));
    s->x = gr_array_from(GR_U8, GR_SHAPE(ROWS, 4, WIDTH / 4), pixels);
    s->y = s->x ? gr_array_from(GR_U8, GR_SHAPE(ROWS), labels) : NULL;
    if (!s->y || gr_array_reshape(s->x, GR_SHAPE(-1, WIDTH)) != GR_OK || gr_array_cast(s->x, GR_F32) != GR_OK ||
        gr_array_scale(s->x, 1.0 / 255) != GR_OK || gr_array_one_hot(s->y, CLASSES) != GR_OK)
        return false;
    s->data = gr_xy(GR_LIST(s->x), GR_LIST(s->y));
    return true;
}
static void unload(set *s)
{
    gr_array_free(s->x);
    gr_array_free(s->y);
}

static gr_model *model(void)
{
    gr_set_seed(11);
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(WIDTH)), gr_Dense(16, .activation = "relu", .name = "first"),
        gr_BatchNormalization(), gr_Dense(8, .activation = "relu"), gr_BatchNormalization(.name = "norm"),
        gr_Dropout(0.1), gr_Dense(CLASSES, .activation = "softmax"));
    gr_compile(m, .optimizer = gr_Adam(.clipnorm = 1.0f), .loss = "categorical_crossentropy", .metrics = {"accuracy"});
    if (gr_error() == GR_OK)
        return m;
    gr_model_free(m);
    return NULL;
}

/* Saved, loaded as a new model, and its weights loaded into the old one. */
static bool saves(gr_model *m)
{
#ifdef GRAPE_MINIMAL
    return m != NULL;
#else
    const char *file = gr_test_scratch("model.safetensors");
    gr_model *back = gr_model_save(m, file) == GR_OK ? gr_model_load(file) : NULL;
    bool good =
        back && gr_model_weights_hash(back) == gr_model_weights_hash(m) && gr_model_load_weights(m, file) == GR_OK;
    gr_model_free(back);
    return good;
#endif
}

static bool writes(gr_model *m, const gr_history *h)
{
    FILE *nowhere = fopen("/dev/null", "w");
    bool good = gr_summary(m, nowhere) == GR_OK && gr_history_print(h, nowhere, 0) == GR_OK &&
                gr_model_plot(m, gr_test_scratch("model.dot")) == GR_OK &&
                gr_history_plot(h, gr_test_scratch("loss.gp"), .title = "Model Loss") == GR_OK && saves(m);
    fclose(nowhere);
    return good;
}

static bool hash_history(const gr_history *h, uint64_t *hash)
{
    for (int i = 0; i < gr_history_key_count(h); i++) {
        int n;
        const double *v = gr_history_get(h, gr_history_key(h, i), &n);
        *hash = gr_hash_bytes(*hash, v, (size_t)n * sizeof *v);
    }
    return true;
}

static gr_history *fit(gr_model *m, const set *s)
{
    return gr_fit(m, s->data, .epochs = 2, .batch_size = 50, .validation_split = 0.1f, .step_losses = 3,
        .verbose = GR_VERBOSE_SILENT,
        .callbacks = {gr_EarlyStopping(.patience = 1, .restore_best_weights = true),
            gr_ReduceLROnPlateau(.patience = 1, .min_lr = 1e-6)});
}

/* Everything the tutorial does, in its order, but for what it writes. */
static bool tutorial(void *ctx, uint64_t *hash)
{
    (void)ctx;
    set s = {0};
    gr_model *m = load(&s) ? model() : NULL;
    gr_history *h = m ? fit(m, &s) : NULL;
    bool good = h && hash_history(h, hash);
    gr_scores score = {.status = GR_EMEM};
    if (good)
        score = gr_evaluate(m, s.data, .batch_size = 64);
    gr_array *p = score.status == GR_OK ? keep(gr_predict(m, GR_LIST(s.x), .batch_size = 64), hash) : NULL;
    good = p != NULL;
    uint64_t weights = good ? gr_model_weights_hash(m) : 0;
    *hash = gr_hash_bytes(gr_hash_bytes(*hash, &score.loss, sizeof score.loss), &weights, sizeof weights);
    gr_array_free(p);
    gr_history_free(h);
    gr_model_free(m);
    unload(&s);
    return good && gr_error() == GR_OK;
}

static void the_tutorial_survives(void)
{
    gr_fail_every_allocation("tutorial", tutorial, NULL, true);
}

typedef struct {
    gr_model *m;
    gr_history *h;
} written;

static bool files(void *ctx, uint64_t *hash)
{
    const written *w = ctx;
    if (!writes(w->m, w->h))
        return false;
    const uint64_t weights = gr_model_weights_hash(w->m);
    *hash = gr_hash_bytes(*hash, &weights, sizeof weights);
    return gr_error() == GR_OK;
}

static void what_the_tutorial_writes_survives(void)
{
    gr_set_allocator(&gr_injecting);
    set s = {0};
    written w = {.m = load(&s) ? model() : NULL};
    w.h = w.m ? fit(w.m, &s) : NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.h);
    gr_fail_every_allocation("files", files, &w, true);
    gr_set_allocator(&gr_injecting);
    gr_history_free(w.h);
    gr_model_free(w.m);
    unload(&s);
    gr_set_allocator(NULL);
}

/* ---- a model goes on after a failure ----------------------------------------------------------------------------- */

typedef struct {
    set s;
    gr_model *m;
    gr_weights *start;
} trained;

/* Back to the start, then one more fit, with batches of other sizes than the last time. */
static bool trains_again(void *ctx, uint64_t *hash)
{
    trained *t = ctx;
    gr_run run = {.model = t->m};
    if (gr_run_restore_weights(&run, t->start) != GR_OK ||
        gr_compile(t->m, .optimizer = gr_SGD(.learning_rate = 0.1f, .momentum = 0.9f), .loss = "mse",
            .metrics = {"mae"}) != GR_OK)
        return false;
    gr_history *h = gr_fit(t->m, t->s.data, .epochs = 1, .batch_size = 64, .verbose = GR_VERBOSE_SILENT);
    bool good = h && hash_history(h, hash);
    uint64_t weights = gr_model_weights_hash(t->m);
    *hash = gr_hash_bytes(*hash, &weights, sizeof weights);
    gr_history_free(h);
    return good && gr_error() == GR_OK;
}

static void the_same_model_trains_on_after_a_failure(void)
{
    gr_set_allocator(&gr_injecting);
    trained t = {.m = model()};
    CU_ASSERT(load(&t.s) && t.m);
    gr_run run = {.model = t.m};
    t.start = gr_run_save_weights(&run, NULL);
    gr_fail_every_allocation("the same model", trains_again, &t, true);
    gr_set_allocator(&gr_injecting);
    gr_weights_free(t.start);
    gr_model_free(t.m);
    unload(&t.s);
    gr_set_allocator(NULL);
}

/* A batch of a size not seen before is the only allocation of a step: where that fails, no weight has moved. */
static void a_step_that_finds_no_memory_changes_nothing(void)
{
    gr_set_allocator(&gr_injecting);
    set s = {0};
    gr_model *m = model();
    int64_t rows[64];
    double loss;
    for (int i = 0; i < 64; i++)
        rows[i] = i;
    CU_ASSERT_FATAL(load(&s) && m);
    gr__step *step = gr__step_get(m, GR__TRAIN, &s.data, 0, GR_HERE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(step);
    CU_ASSERT_EQUAL(gr__step_run(step, &s.data, rows, 64, 0, &loss, NULL), GR_OK);
    const int64_t live = injector.live;
    int fired = 0;
    for (int64_t k = 1;; k++) {
        uint64_t before = gr_model_weights_hash(m);
        injector.seen = injector.fired = 0;
        injector.fail_at = k;
        gr_status status = gr__step_run(step, &s.data, rows, 33, (uint64_t)k, &loss, NULL);
        injector.fail_at = 0;
        if (!injector.fired) {
            CU_ASSERT_EQUAL(status, GR_OK);
            break;
        }
        fired++;
        GR_EXPECT(status == GR_EMEM && gr_error() == GR_EMEM, "allocation %d: %s", (int)k, gr_error_message());
        gr_error_clear();
        GR_EXPECT(gr_model_weights_hash(m) == before, "allocation %d: the weights have moved", (int)k);
        GR_EXPECT(injector.live == live, "allocation %d: %d blocks are left", (int)k, (int)(injector.live - live));
        /* the old size still runs */
        CU_ASSERT_EQUAL(gr__step_run(step, &s.data, rows, 64, (uint64_t)k, &loss, NULL), GR_OK);
    }
    CU_ASSERT(fired > 0);
    gr_model_free(m);
    unload(&s);
    gr_set_allocator(NULL);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static bool reset(gr_variable *w)
{
    float values[18];
    for (int i = 0; i < 18; i++)
        values[i] = (float)(i % 5) / 4 - 0.5f;
    gr_array *a = gr_array_from(GR_F32, GR_SHAPE(6, 3), values);
    bool good = a && gr_variable_set(w, a) == GR_OK;
    gr_array_free(a);
    return good;
}

/* Records, differentiates, writes and reads the text, compiles, runs for two batch sizes. */
static bool program(void *ctx, uint64_t *hash)
{
    gr_variable *w = ctx;
    gr_tape *t = gr_tape_new(), *back = NULL;
    char *text = NULL;
    gr_program *p = NULL;
    bool good = false;
    if (!t || !reset(w))
        goto done;
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 6), "x"), *v = gr_read(t, w), *g = GR_BAD;
    gr_tensor *y = gr_layer_norm(gr_gelu(gr_matmul(x, v)), NULL, NULL);
    gr_tensor *loss = gr_mean(gr_square(gr_sub(y, gr_flip(y, -1))));
    loss = gr_add(loss, gr_mean(gr_logsumexp(gr_concatenate(2, (gr_tensor *[]){y, gr_slice(x, GR_SHAPE(0, 1))}, -1),
                            .axes = GR_SHAPE(-1))));
    if (gr_grad(loss, &v, 1, &g) != GR_OK ||
        gr_status_of(gr_assign(v, gr_sub(v, gr_mul(g, gr_scalar(g, 0.1))))) != GR_OK)
        goto done;
    text = gr_tape_text(t);
    back = text ? gr_tape_parse(text, 1, &w) : NULL;
    if (!back || !gr__tape_equal(t, back))
        goto done;
    p = gr_program_new(t, .inputs = {x}, .outputs = {loss, y}, .verify = true);
    for (int64_t n = 5; p && n < 8; n += 2) {
        gr_array *in = gr_array_new(GR_F32, GR_SHAPE(n, 6)), *out = in ? gr_array_new(GR_F32, GR_RANK0) : NULL;
        for (int64_t i = 0; in && i < n * 6; i++)
            ((float *)gr_array_data(in))[i] = (float)(i % 11) - 5;
        good = out && gr_program_run(p, &in, (gr_array *[]){out, NULL}) == GR_OK;
        if (good)
            keep(out, hash);
        gr_array_free(in);
        gr_array_free(out);
        if (!good)
            break;
    }
    good = good && gr_program_dot(p, gr_test_scratch("program.dot")) == GR_OK;
done:
    gr_program_free(p);
    gr_tape_free(back);
    gr_text_free(text);
    gr_tape_free(t);
    return good && gr_error() == GR_OK;
}

static void programs_survive(void)
{
    gr_set_allocator(&gr_injecting);
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(6, 3), true);
    gr_fail_every_allocation("program", program, w, true);
    gr_set_allocator(&gr_injecting);
    gr_variable_free(w);
    gr_set_allocator(NULL);
}

static bool checks(void *ctx, uint64_t *hash)
{
    (void)ctx, (void)hash;
    return gr_gradcheck(gr_Dense(3, .activation = "tanh"), GR_SHAPE(5, 4)) == GR_OK;
}
static void gradient_checks_survive(void)
{
    gr_fail_every_allocation("gradcheck", checks, NULL, true);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static bool idx(void *ctx, uint64_t *hash)
{
    gr_array *a = keep(gr_idx_load(ctx), hash);
    gr_array_free(a);
    return a != NULL;
}
static bool npz(void *ctx, uint64_t *hash)
{
    gr_npz *z = gr_npz_load(ctx);
    bool good = z != NULL;
    for (int64_t i = 0; z && i < gr_npz_count(z); i++)
        good = keep((gr_array *)gr_npz_at(z, i), hash) && good;
    gr_npz_free(z);
    return good;
}
static bool npz_written(void *ctx, uint64_t *hash)
{
    gr_array *a = gr_array_new(GR_F32, GR_SHAPE(3, 2)), *b = a ? gr_array_new(GR_I64, GR_SHAPE(5)) : NULL;
    bool good = b && gr_npz_save(ctx, 2, (const char *const[]){"a", "b"}, (gr_array *[]){a, b}) == GR_OK;
    gr_array_free(a);
    gr_array_free(b);
    return good && npz(ctx, hash);
}

/* [2, 3] of 1 .. 6, as it is and by gzip -9n */
static const unsigned char plain[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0xe0,
    0x60, 0x62, 0x60, 0x60, 0x00, 0x61, 0x66, 0x46, 0x26, 0x66, 0x16, 0x56, 0x36, 0x00, 0x48, 0x94, 0x3e, 0xe5, 0x12,
    0x00, 0x00, 0x00};

static void idx_of(const char *name, const unsigned char *bytes, size_t n)
{
    const char *path = gr_test_scratch(name);
    gr_write_file(path, bytes, n);
    gr_fail_every_allocation(name, idx, (void *)path, true);
}

static void readers_and_writers_survive(void)
{
    int before = open_files();
    idx_of("plain", plain, sizeof plain);
#ifndef GRAPE_MINIMAL
    idx_of("packed", packed, sizeof packed);
    gr_fail_every_allocation("npz", npz_written, (void *)gr_test_scratch("written.npz"), true);
#else
    (void)packed, (void)npz_written;
#endif
    CU_ASSERT_EQUAL(open_files(), before);
}

GR_SUITE("without memory", GR_TEST(the_tutorial_survives), GR_TEST(what_the_tutorial_writes_survives),
    GR_TEST(the_same_model_trains_on_after_a_failure), GR_TEST(a_step_that_finds_no_memory_changes_nothing),
    GR_TEST(programs_survive), GR_TEST(gradient_checks_survive), GR_TEST(readers_and_writers_survive))
