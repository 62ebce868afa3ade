/* What a fit shows: models/progress.c and terminal.c, read through the log hook. */
#include "models/model.h"
#include "models/terminal_impl.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

static char shown[20000];
static void keep(void *user, gr_log_level level, const char *text)
{
    (void)user;
    size_t n = strlen(shown);
    snprintf(shown + n, sizeof shown - n, "%s%s", text, level == GR_LOG_PROGRESS ? "" : "\n");
}

/* Two epochs of three batches; what was shown is in `shown`. */
static void train(gr_verbose verbose)
{
    gr_array *x = gr_array_new(GR_F32, GR_SHAPE(30, 4)), *y = gr_array_new(GR_F32, GR_SHAPE(30, 1));
    gr_model *m = gr_sequential(gr_Input(GR_SHAPE(4)), gr_Dense(1));
    gr_compile(m, .optimizer = gr_SGD(), .loss = "mse", .metrics = {"mae"});
    shown[0] = '\0';
    gr_set_log(keep, NULL);
    gr_history_free(gr_fit(
        m, gr_xy(GR_LIST(x), GR_LIST(y)), .epochs = 2, .batch_size = 8, .validation_split = 0.2f, .verbose = verbose));
    gr_set_log(NULL, NULL);
    gr_model_free(m);
    gr_array_free(x);
    gr_array_free(y);
}

static void a_log_gets_one_line_an_epoch_without_control_characters(void)
{
    train(GR_VERBOSE_LINE);
    const char *const parts[] = {"Epoch 1/2\n3/3 - ",
        "/step - loss: 0.0000 - mae: 0.0000 - val_loss: 0.0000 - val_mae: 0.0000\n", "Epoch 2/2\n3/3 - "};
    for (int i = 0; i < 3; i++)
        GR_EXPECT(strstr(shown, parts[i]) != NULL, "expected '%s' in '%s'", parts[i], shown);
    for (const char *p = shown; *p; p++)
        GR_EXPECT(*p == '\n' || (unsigned char)*p >= ' ', "character %d", *p);
}

static void the_bar_is_complete_at_the_end_of_an_epoch(void)
{
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C", 1);
    train(GR_VERBOSE_BAR);
    unsetenv("LC_ALL");
    unsetenv("NO_COLOR");
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\r3/3 ==================== "));
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "val_mae: 0.0000"));
    CU_ASSERT_PTR_NULL(strchr(shown, '\x1b'));
}

static void a_silent_fit_says_nothing(void)
{
    train(GR_VERBOSE_SILENT);
    CU_ASSERT_STRING_EQUAL(shown, "");
}

static void colours_follow_the_usual_variables(void)
{
    static const struct {
        const char *why, *no_color, *force, *term;
        bool terminal, want;
    } rows[] = {
        {"a terminal", NULL, NULL, "xterm", true, true},
        {"a file", NULL, NULL, "xterm", false, false},
        {"a dumb terminal", NULL, NULL, "dumb", true, false},
        {"forced into a file", NULL, "1", "xterm", false, true},
        {"NO_COLOR goes first", "1", "1", "xterm", true, false},
        {"an empty NO_COLOR does not count", "", NULL, "xterm", true, true},
    };
    char *term = getenv("TERM") ? strdup(getenv("TERM")) : NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsetenv("NO_COLOR");
        unsetenv("FORCE_COLOR");
        if (rows[i].no_color)
            setenv("NO_COLOR", rows[i].no_color, 1);
        if (rows[i].force)
            setenv("FORCE_COLOR", rows[i].force, 1);
        setenv("TERM", rows[i].term, 1);
        GR_EXPECT(gr__terminal_colour(rows[i].terminal) == rows[i].want, "%s", rows[i].why);
    }
    unsetenv("NO_COLOR");
    unsetenv("FORCE_COLOR");
    if (term)
        setenv("TERM", term, 1);
    free(term);
}

GR_SUITE("models/progress.c", GR_TEST(a_log_gets_one_line_an_epoch_without_control_characters),
    GR_TEST(the_bar_is_complete_at_the_end_of_an_epoch), GR_TEST(a_silent_fit_says_nothing),
    GR_TEST(colours_follow_the_usual_variables))
