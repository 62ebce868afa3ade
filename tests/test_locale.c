/* A program that follows a locale whose decimal point is a comma gets the same graphs, files and weights.
 * The locale is made by localedef in the scratch folder. */
#include "compiler/program.h"
#include "core/process.h"
#include "core/text.h"
#include "models/model.h"
#include "models/save.h"
#include "ops/ops.h"
#include "tests/injector.h"
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>

static bool comma(void)
{
    const char *folder = gr_test_scratch("locale");
    char where[1000];
    mkdir(folder, 0700);
    snprintf(where, sizeof where, "%s/de_DE.UTF-8", folder);
    gr__process p = {.argv = (const char *const[]){"localedef", "-i", "de_DE", "-f", "UTF-8", where, NULL}};
    bool made = gr__process_run(&p) == GR_OK && p.exit_code == 0;
    gr_error_clear();
    setenv("LOCPATH", folder, 1);
    if (made && setlocale(LC_ALL, "de_DE.UTF-8") && strcmp(localeconv()->decimal_point, ",") == 0)
        return true;
    setlocale(LC_ALL, "C");
    gr_test_skip("no localedef, or no source of de_DE, to make a locale with a decimal comma");
    return false;
}

enum { TEXT, MODEL, PLOT, SAVED, DUMP, N };
static const char *const what[N] = {
    "the text of a graph", "the trained weights", "the plot's script", "the saved model", "the program's dump"};

static uint64_t hash_file(const char *path)
{
    static unsigned char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    GR_EXPECT(n > 0, "%s is missing or empty", path);
    return gr_hash_bytes(0, bytes, n);
}

static void graph(uint64_t *h)
{
    const char *dir = gr_test_scratch("dump");
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
    gr_tensor *y = gr_mul(gr_clip(x, -1.5, 2.25), gr_scalar(x, 0.1)); /* a rule of the compiler has 0.5 in it */
    y = gr_add(gr_pow(gr_exp(y), gr_scalar(y, 0.5)), gr_div(y, gr_scalar(y, 1e-3)));
    char *text = gr_tape_text(t);
    gr_tape *back = text ? gr_tape_parse(text, 0, NULL) : NULL;
    GR_EXPECT(back != NULL, "%s", gr_error_message());
    h[TEXT] = gr_hash_bytes(0, text ? text : "", text ? strlen(text) : 0);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .max_batch = 8);
    mkdir(dir, 0700);
    CU_ASSERT_EQUAL(gr_program_dump(p, dir), GR_OK);
    char path[1000];
    static const char *const files[] = {"graph.txt", "memory.svg", "plan.txt"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        uint64_t one = hash_file(path);
        h[DUMP] = gr_hash_bytes(h[DUMP], &one, sizeof one);
    }
    gr_program_free(p);
    gr_tape_free(back);
    gr_text_free(text);
    gr_tape_free(t);
}

static void model(uint64_t *h)
{
    gr_set_seed(5);
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(60, 3)), *y = gr_array_new(GR_F32, GR_SHAPE(60, 2));
    for (int i = 0; i < 180; i++)
        ((float *)gr_array_data(x))[i] = (float)(i % 7) / 3;
    for (int i = 0; i < 120; i++)
        ((float *)gr_array_data(y))[i] = (float)(i % 5) / 4;
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(3)), gr_Dense(4, .activation = "leaky_relu(negative_slope=0.25)"),
        gr_BatchNormalization(), gr_Dense(2));
    gr_compile(
        m, .optimizer_name = "sgd(learning_rate=0.05, momentum=0.9)", .loss = "huber(delta=0.5)", .metrics = {"mae"});
    gr_history *r = gr_fit(m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 3, .batch_size = 16, .validation_split = 0.25f,
        .verbose = GR_VERBOSE_SILENT);
    GR_EXPECT(r != NULL, "%s", gr_error_message());
    h[MODEL] = gr_model_weights_hash(m);
    const char *plot = gr_test_scratch("loss.gp"), *file = gr_test_scratch("model.safetensors");
    CU_ASSERT_EQUAL(gr_history_plot(r, plot), GR_OK);
    h[PLOT] = hash_file(plot);
    CU_ASSERT_EQUAL(gr_model_save(m, file), GR_OK);
    h[SAVED] = hash_file(file);
    gr_model *back = gr_model_load(file);
    GR_EXPECT(back && gr_model_weights_hash(back) == h[MODEL], "%s", gr_error_message());
    gr_model_free(back);
    gr_model_free(m);
    gr_history_free(r);
    gr_array_free(x);
    gr_array_free(y);
}

static void a_decimal_comma_changes_nothing(void)
{
    uint64_t point[N] = {0}, with_comma[N] = {0};
    graph(point), model(point);
    if (!comma())
        return;
    graph(with_comma), model(with_comma);
    char text[16];
    snprintf(text, sizeof text, "%.1f", 0.5);
    CU_ASSERT_STRING_EQUAL(text, "0,5"); /* it was in force, and still is */
    setlocale(LC_ALL, "C");
    for (int i = 0; i < N; i++)
        GR_EXPECT(point[i] == with_comma[i], "%s differs", what[i]);
    gr_error_clear();
}

GR_SUITE("locale", GR_TEST(a_decimal_comma_changes_nothing))
