/* What a fit went through, and its pictures: models/history.c, models/plot.c. */
#include "models/model_impl.h"
#include "core/process.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gr_history *made(int epochs)
{
    gr_history *h = gr__history_new(20, 422, 3);
    for (int e = 0; e < epochs; e++) {
        gr__log logs[] = {{"accuracy", 0.9 + 0.01 * e}, {"loss", 0.5 / (e + 1)}, {"val_loss", 0.6 / (e + 1)}};
        gr__history_add(h, e, logs, e % 2 == 0 ? 3 : 2); /* validated every other epoch */
    }
    return h;
}

static void values_are_kept_by_key_in_order(void)
{
    gr_history *h = made(40);
    int n;
    const double *loss = gr_history_get(h, "loss", &n);
    CU_ASSERT_EQUAL(n, 40);
    CU_ASSERT_DOUBLE_EQUAL(loss[39], 0.5 / 40, 0);
    CU_ASSERT(gr_history_get(h, "val_loss", &n) && n == 20);
    CU_ASSERT_STRING_EQUAL(gr_history_key(h, 0), "accuracy");
    CU_ASSERT_EQUAL(gr_history_key_count(h), 3);
    CU_ASSERT_EQUAL(gr_history_epochs(h), 40);
    CU_ASSERT_EQUAL(gr_history_epoch_list(h)[39], 39);
    CU_ASSERT_EQUAL(gr_history_epochs_asked(h), 20);
    CU_ASSERT_EQUAL(gr_history_steps(h), 422);
    gr_history_free(h);
}

static void an_unknown_key_lists_those_known(void)
{
    gr_history *h = made(1);
    int n = 7;
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_history_get(h, "val_accuracy", &n));
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(gr_error(), GR_ENAME);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "accuracy, loss, val_loss"));
    gr_error_clear();
    gr_history_free(h);
}

static void step_losses_and_times_keep_what_was_asked_for(void)
{
    gr_history *h = made(0);
    int64_t n;
    for (int i = 0; i < 10000; i++)
        gr__history_step(h, i, i < 5000 ? 2 : 4);
    const float *loss = gr_history_step_losses(h, &n);
    CU_ASSERT(n == 3 && loss[0] == 0 && loss[2] == 2);
    double median = gr_history_step_ms(h);
    CU_ASSERT(median >= 2 && median <= 4);
    gr_history_free(h);
}

static long size_of(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? (long)s.st_size : -1;
}

static void plots_come_in_the_format_of_the_file_name(void)
{
    char tool[512];
    if (!gr__program_find("gnuplot", tool, sizeof tool)) {
        gr_test_skip("gnuplot is not installed");
        return;
    }
    gr_history *h = made(6);
    const struct {
        const char *name, *magic;
    } rows[] = {{"loss.png", "\x89PNG"}, {"loss.svg", "<?xml"}, {"loss.pdf", "%PDF"}, {"loss.gp", "set terminal"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = gr_test_scratch(rows[i].name);
        char head[16] = "";
        gr_error_clear();
        gr_status s = gr_history_plot(h, path, .inches = {8, 6}, .grid = true, .title = "it's a 'title'",
            .curves = {{"loss", "Training Loss", "circle"}, {"val_loss", "Validation Loss", "square"}});
        FILE *f = fopen(path, "rb");
        GR_EXPECT(
            s == GR_OK && f && fread(head, 1, 12, f) == 12 && memcmp(head, rows[i].magic, strlen(rows[i].magic)) == 0,
            "%s: %s", rows[i].name, gr_error_message());
        if (f)
            fclose(f);
    }
    gr_error_clear();
    gr_history_free(h);
}

static void the_size_is_the_asked_one_in_inches_at_100_dots(void)
{
    char tool[512];
    if (!gr__program_find("gnuplot", tool, sizeof tool)) {
        gr_test_skip("gnuplot is not installed");
        return;
    }
    gr_history *h = made(3);
    const char *path = gr_test_scratch("size.png");
    unsigned char head[24] = {0};
    CU_ASSERT_EQUAL(gr_history_plot(h, path), GR_OK);
    FILE *f = fopen(path, "rb");
    CU_ASSERT(f && fread(head, 1, 24, f) == 24);
    if (f)
        fclose(f);
    CU_ASSERT_EQUAL(head[18] * 256 + head[19], 800);
    CU_ASSERT_EQUAL(head[22] * 256 + head[23], 600);
    gr_history_free(h);
}

static char logged[2000];
static void keep_log(void *user, gr_log_level level, const char *text)
{
    (void)user, (void)level;
    snprintf(logged, sizeof logged, "%s", text);
}

static void without_gnuplot_the_script_stays_and_the_call_succeeds(void)
{
    gr_history *h = made(3);
    const char *path = gr_test_scratch("none.png"), *script = gr_test_scratch("none.gp");
    char *old = strdup(getenv("PATH") ? getenv("PATH") : "");
    setenv("PATH", "/nonexistent", 1);
    gr_set_log(keep_log, NULL);
    gr_status s = gr_history_plot(h, path);
    gr_set_log(NULL, NULL);
    setenv("PATH", old, 1);
    CU_ASSERT_EQUAL(s, GR_OK);
    CU_ASSERT(size_of(script) > 100);
    CU_ASSERT_EQUAL(size_of(path), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "gnuplot "));
    free(old);
    gr_history_free(h);
}

static void mistakes_are_named(void)
{
    gr_history *h = made(3), *none = made(0);
    const struct {
        const char *why, *says;
        const gr_history *h;
        gr_history_plot_opts o;
    } rows[] = {
        {"an ending that is no picture", ".png, .svg, .pdf", h, {.file = "loss.bmp"}},
        {"an unknown key", "loss, val_loss", h, {.file = "x.gp", .curves = {{"nonsense", NULL, NULL}}}},
        {"an unknown mark", "circle, square", h, {.file = "x.gp", .curves = {{"loss", NULL, "star"}}}},
        {"a folder that is not there", "/no/such/folder/x.png", h, {.file = "/no/such/folder/x.png"}},
        {"no epochs", "at least one epoch", none, {.file = "x.gp"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        gr_status s = gr_history_plot_at(GR_HERE, rows[i].h, &rows[i].o);
        GR_EXPECT(s != GR_OK && strstr(gr_error_message(), rows[i].says), "%s: %s", rows[i].why, gr_error_message());
    }
    gr_error_clear();
    gr_history_free(h);
    gr_history_free(none);
}

static void curves_are_drawn_in_characters_too(void)
{
    gr_history *h = made(10);
    char text[8000] = "";
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    CU_ASSERT_EQUAL(gr_history_print(h, f, 60), GR_OK);
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Training Loss"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "0.6000 |"));
    int marks = 0;
    for (const char *p = text; *p && p < strstr(text, "epoch"); p++)
        marks += *p == 'o' || *p == 'x';
    CU_ASSERT(marks >= 8);
    gr_history_free(h);
}

GR_SUITE("models/history.c, models/plot.c", GR_TEST(values_are_kept_by_key_in_order),
    GR_TEST(an_unknown_key_lists_those_known), GR_TEST(step_losses_and_times_keep_what_was_asked_for),
    GR_TEST(plots_come_in_the_format_of_the_file_name), GR_TEST(the_size_is_the_asked_one_in_inches_at_100_dots),
    GR_TEST(without_gnuplot_the_script_stays_and_the_call_succeeds), GR_TEST(mistakes_are_named),
    GR_TEST(curves_are_drawn_in_characters_too))
