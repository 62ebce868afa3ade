/* core/info.c: every line is there and says what the parts themselves say. */
#include "core/info.h"
#include "core/cpu.h"
#include "core/thread.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

static char *printed(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(gr_info_print(f), GR_OK);
    fclose(f);
    return text;
}

static void the_table_has_a_line_for_everything(void)
{
    static const char *const lines[] = {"version   ", "\nCPU       ", "\nvectors   ", "\nthreads   ", "\npages     ",
        "\nBLAS      ", "\nOpenMP    ", "\nzlib      ", "\nlibzip    ", "\njansson   ", "\ndot       ", "\ngnuplot   "};
    char *text = printed();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        GR_EXPECT(strstr(text, lines[i]) != NULL, "no line %s", lines[i] + (i > 0));
    CU_ASSERT(strstr(text, gr_version()) && strstr(text, gr__isa_name(gr__cpu_isa())));
    free(text);
}

static void a_program_that_is_not_in_path_is_not_found(void)
{
    char before[4000];
    snprintf(before, sizeof before, "%s", getenv("PATH"));
    setenv("PATH", gr_test_scratch(""), 1);
    char *text = printed();
    CU_ASSERT(strstr(text, "dot       not found") && strstr(text, "gnuplot   not found"));
    setenv("PATH", before, 1);
    free(text);
}

static void the_banner_is_one_line_with_the_number_of_threads(void)
{
    char text[300], small[20];
    gr_set_num_threads(1);
    gr_info_banner(text, sizeof text);
    CU_ASSERT(strncmp(text, "Grape ", 6) == 0 && strstr(text, ", 1 thread, ") && !strchr(text, '\n'));
    gr_set_num_threads(0);
    CU_ASSERT_EQUAL(strlen(gr_info_banner(small, sizeof small)), sizeof small - 1);
}

static void no_stream_is_an_error(void)
{
    CU_ASSERT_EQUAL(gr_info_print(NULL), GR_EARG);
    gr_error_clear();
}

GR_SUITE("core/info.c", GR_TEST(the_table_has_a_line_for_everything),
    GR_TEST(a_program_that_is_not_in_path_is_not_found), GR_TEST(the_banner_is_one_line_with_the_number_of_threads),
    GR_TEST(no_stream_is_an_error))
