/* core/number.c: texts read back to the same bits, in any locale. */
#include "core/number.h"
#include "core/process.h"
#include "tests/harness.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void check_texts(const char *where)
{
    static const struct {
        double x;
        const char *want;
    } rows[] = {{0.1, "0.1"}, {1e-7, "1e-07"}, {-0.5, "-0.5"}, {3, "3"}, {1e300, "1e+300"}, {0, "0"}, {-0.0, "-0"},
        {(double)INFINITY, "inf"}, {-(double)INFINITY, "-inf"}, {(double)NAN, "nan"}, {-(double)NAN, "nan"},
        {1.0 / 3, "0.3333333333333333"}, {DBL_MAX, NULL}, {DBL_TRUE_MIN, NULL}};
    char buf[GR__NUMBER_TEXT];
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr__double_text(rows[i].x, buf);
        double back = 7;
        GR_EXPECT(gr__double_parse(buf, NULL, &back) && (memcmp(&back, &rows[i].x, 8) == 0 || isnan(rows[i].x)),
            "%s: %s reads back as %a, not %a", where, buf, back, rows[i].x);
        if (rows[i].want)
            GR_EXPECT(strcmp(buf, rows[i].want) == 0, "%s: found %s, expected %s", where, buf, rows[i].want);
    }
    CU_ASSERT_STRING_EQUAL(gr__float_text(0.1f, buf), "0.1");
    float f = 0;
    CU_ASSERT(gr__float_parse(gr__float_text(FLT_TRUE_MIN, buf), NULL, &f) && f == FLT_TRUE_MIN);
    CU_ASSERT(gr__float_parse(gr__float_text(16777216.0f, buf), NULL, &f) && f == 16777216.0f);
}

static void texts_are_short_and_exact(void)
{
    check_texts("C");
}

/* A locale with a decimal comma: the system's, or one made for the occasion where it can be. */
static bool comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (setlocale(LC_NUMERIC, names[i]))
            return true;
    const char *folder = gr_test_scratch(""), *path = gr_test_scratch("comma");
    gr__process make = {
        .argv = (const char *const[]){"localedef", "-i", "de_DE", "-f", "UTF-8", "--no-archive", path, NULL}};
    gr__process_run(&make); /* where there is none, setlocale fails */
    gr_error_clear();
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_NUMERIC, "comma") != NULL;
}

static void the_locale_does_not_matter(void)
{
    char text[8];
    if (!comma_locale()) {
        gr_test_skip("no locale with a decimal comma on this machine");
        return;
    }
    snprintf(text, sizeof text, "%.1f", 0.5);
    CU_ASSERT_STRING_EQUAL(text, "0,5");
    check_texts("with a comma");
    float f = 0;
    CU_ASSERT(gr__float_parse("1.5e3", NULL, &f) && f == 1500 && !gr__float_parse("1,5", NULL, &f));
    setlocale(LC_NUMERIC, "C");
}

static void what_is_no_number_is_refused(void)
{
    static const char *const wrong[] = {
        "", " 1", "-", ".", "e5", "0x10", "1,5", "1e", "--1", "1 ", "in", "n", "+-1", "1e+"};
    double x;
    for (size_t i = 0; i < COUNT(wrong); i++)
        GR_EXPECT(!gr__double_parse(wrong[i], NULL, &x), "\"%s\" was read as %g", wrong[i], x);
    static const struct {
        const char *text, *rest;
        double x;
    } right[] = {{"1e400", "", (double)INFINITY}, {"1e", "e", 1}, {".5)", ")", 0.5}, {"5.,", ",", 5},
        {"-1e-400", "", -0.0}, {"Infinity", "", (double)INFINITY}, {"+3", "", 3}, {"0x10", "x10", 0}};
    for (size_t i = 0; i < COUNT(right); i++) {
        const char *end = "";
        GR_EXPECT(gr__double_parse(right[i].text, &end, &x) && x == right[i].x && strcmp(end, right[i].rest) == 0,
            "%s: found %g and rest %s", right[i].text, x, end);
    }
}

static void integers_stop_at_their_ends(void)
{
    int64_t x = 0;
    CU_ASSERT(gr__int_parse("9223372036854775807", NULL, &x) && x == INT64_MAX);
    CU_ASSERT(gr__int_parse("-9223372036854775808", NULL, &x) && x == INT64_MIN);
    static const char *const wrong[] = {
        "9223372036854775808", "-9223372036854775809", "", "-", "1.5", "abc", "99999999999999999999"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        GR_EXPECT(!gr__int_parse(wrong[i], NULL, &x), "\"%s\" was read as %lld", wrong[i], (long long)x);
}

GR_SUITE("core/number.c", GR_TEST(texts_are_short_and_exact), GR_TEST(the_locale_does_not_matter),
    GR_TEST(what_is_no_number_is_refused), GR_TEST(integers_stop_at_their_ends))
