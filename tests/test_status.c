/* core/status.c: the first error stays, each thread has its own, and the log goes where it is told to. */
#include "core/status.h"
#include "tests/harness.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void the_first_error_stays_until_it_is_cleared(void)
{
    CU_ASSERT(gr_error() == GR_OK && strcmp(gr_error_message(), "") == 0);
    CU_ASSERT_EQUAL(gr_fail(GR_ESHAPE, (gr_at){"dir/user.c", 14}, "add: argument b: found %d", 3), GR_ESHAPE);
    CU_ASSERT_EQUAL(gr_fail(GR_EMEM, (gr_at){0}, "an echo"), GR_EMEM); /* its own status, but it is not kept */
    CU_ASSERT_EQUAL(gr_error(), GR_ESHAPE);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "user.c:14: add: argument b: found 3");
    gr_error_clear();
    CU_ASSERT(gr_error() == GR_OK && strcmp(gr_error_message(), "") == 0);
    gr_fail(GR_EMEM, (gr_at){0}, "no place");
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "no place");
    gr_error_clear();
}

static void notes_belong_to_the_error_that_was_kept(void)
{
    gr_fail_note("lost");
    gr_fail(GR_EARG, (gr_at){0}, "first");
    gr_fail_note("    a    float32 [%d]", 2);
    gr_fail(GR_EARG, (gr_at){0}, "second");
    gr_fail_note("    a note to the second");
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "first\n    a    float32 [2]");
    gr_error_clear();
    gr_fail_note("lost too");
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "");
}

static void a_message_beyond_the_room_is_cut(void)
{
    static char big[20000];
    memset(big, 'x', sizeof big - 1);
    gr_fail(GR_EARG, (gr_at){0}, "%s", big);
    size_t n = strlen(gr_error_message());
    CU_ASSERT(n > 4000 && n < sizeof big - 1);
    gr_fail_note("%s", big);
    CU_ASSERT_EQUAL(strlen(gr_error_message()), n);
    gr_error_clear();
}

static void report_prints_and_clears_and_gives_the_exit_code(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(gr_report(f), 0);
    gr_fail(GR_EIO, (gr_at){"x.c", 3}, "broken");
    CU_ASSERT_EQUAL(gr_report(f), 1);
    CU_ASSERT_EQUAL(gr_report(f), 0);
    fclose(f);
    CU_ASSERT_STRING_EQUAL(text, "x.c:3: broken\n");
    free(text);
}

static gr_status checked(int x)
{
    GR_CHECK(x > 0, GR_ERANGE, "checked: argument x: expected 1 or more, found %d", x);
    return GR_OK;
}
static gr_status tried(int x)
{
    GR_TRY(checked(x));
    return GR_EARG;
}

static void check_and_try_return_at_once(void)
{
    CU_ASSERT_EQUAL(tried(1), GR_EARG);
    CU_ASSERT_EQUAL(tried(0), GR_ERANGE);
    CU_ASSERT(strstr(gr_error_message(), "test_status.c:") && strstr(gr_error_message(), "1 or more, found 0"));
    gr_error_clear();
}

static void *fail_elsewhere(void *out)
{
    gr_fail(GR_ENAN, (gr_at){0}, "theirs");
    *(gr_status *)out = gr_error();
    return NULL;
}

static void a_thread_sees_its_own_error_alone(void)
{
    pthread_t t;
    gr_status theirs = GR_OK;
    gr_fail(GR_EARG, (gr_at){0}, "mine");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, fail_elsewhere, &theirs), 0);
    pthread_join(t, NULL);
    CU_ASSERT_EQUAL(theirs, GR_ENAN);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "mine");
    gr_error_clear();
}

static void every_status_has_a_name_of_its_own(void)
{
    for (int s = GR_OK; s <= GR_ESTATE; s++)
        for (int t = GR_OK; t < s; t++)
            GR_EXPECT(strcmp(gr_status_name((gr_status)s), gr_status_name((gr_status)t)) != 0, "%d and %d", s, t);
    CU_ASSERT_STRING_EQUAL(gr_status_name((gr_status)99), "unknown");
    CU_ASSERT_STRING_EQUAL(gr_status_name((gr_status)-1), "unknown");
}

typedef struct {
    int calls;
    gr_log_level level;
    char text[100];
} heard;

static void listen(void *user, gr_log_level level, const char *text)
{
    heard *h = user;
    h->calls++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", text);
}

static void the_log_goes_to_the_hook(void)
{
    heard h = {0};
    gr_set_log(listen, &h);
    gr_log_write(GR_LOG_WARNING, "%d of %s", 3, "four");
    CU_ASSERT(h.calls == 1 && h.level == GR_LOG_WARNING && strcmp(h.text, "3 of four") == 0);
    gr_log_write(GR_LOG_PROGRESS, "\r1/2");
    CU_ASSERT(h.calls == 2 && h.level == GR_LOG_PROGRESS && strcmp(h.text, "\r1/2") == 0);
    gr_set_log(NULL, NULL);
    CU_ASSERT_EQUAL(h.calls, 2);
}

GR_SUITE("core/status.c", GR_TEST(the_first_error_stays_until_it_is_cleared),
    GR_TEST(notes_belong_to_the_error_that_was_kept), GR_TEST(a_message_beyond_the_room_is_cut),
    GR_TEST(report_prints_and_clears_and_gives_the_exit_code), GR_TEST(check_and_try_return_at_once),
    GR_TEST(a_thread_sees_its_own_error_alone), GR_TEST(every_status_has_a_name_of_its_own),
    GR_TEST(the_log_goes_to_the_hook))
