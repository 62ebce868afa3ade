/* core/process.c, with the small programs that every system has. */
#include "core/process.h"
#include "tests/harness.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_program_reads_its_input_and_its_output_is_kept(void)
{
    char out[64];
    gr__process p = {
        .argv = ARGV("cat"), .input = "grapes\n", .input_bytes = 7, .output = out, .output_size = sizeof out};
    CU_ASSERT_EQUAL(gr__process_run(&p), GR_OK);
    CU_ASSERT_EQUAL(p.exit_code, 0);
    CU_ASSERT_STRING_EQUAL(out, "grapes\n");
}

static void much_input_and_little_room_do_not_block(void)
{
    enum { MANY = 3 << 20 };
    char *big = malloc(MANY), out[16];
    memset(big, 'x', MANY);
    gr__process p = {.argv = ARGV("cat"), .input = big, .input_bytes = MANY, .output = out, .output_size = sizeof out};
    CU_ASSERT(gr__process_run(&p) == GR_OK && p.exit_code == 0);
    CU_ASSERT_STRING_EQUAL(out, "xxxxxxxxxxxxxxx");
    gr__process deaf = {.argv = ARGV("true"), .input = big, .input_bytes = MANY}; /* never reads: no SIGPIPE */
    CU_ASSERT(gr__process_run(&deaf) == GR_OK && deaf.exit_code == 0);
    free(big);
}

static void exit_codes_and_errors_come_back(void)
{
    char out[200] = "";
    gr__process p = {.argv = ARGV("false")};
    CU_ASSERT(gr__process_run(&p) == GR_OK && p.exit_code == 1);
    gr__process q = {.argv = ARGV("ls", "/no/such/folder"), .output = out, .output_size = sizeof out};
    CU_ASSERT(gr__process_run(&q) == GR_OK && q.exit_code == 2);
    CU_ASSERT(strstr(out, "/no/such/folder") != NULL);
}

static void arguments_reach_the_program_as_they_are(void)
{
    static const char *const names[] = {
        "$(touch pwned)", "`id`", "a;touch pwned", "-o/etc/x", "%s%n", "a b\tc", "\"'", "\n", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char out[64];
        gr__process p = {.argv = ARGV("printf", "%s", names[i]), .output = out, .output_size = sizeof out};
        CU_ASSERT_EQUAL(gr__process_run(&p), GR_OK);
        GR_EXPECT(strcmp(out, names[i]) == 0, "%s came out as %s", names[i], out);
    }
    CU_ASSERT_EQUAL(access("pwned", F_OK), -1);
    char buf[16];
    CU_ASSERT_STRING_EQUAL(gr__program_path("-o", buf, sizeof buf), "./-o");
    CU_ASSERT_STRING_EQUAL(gr__program_path("a/b", buf, sizeof buf), "a/b");
}

static void a_missing_program_is_named(void)
{
    gr__process p = {.argv = ARGV("grape-no-such-program")};
    CU_ASSERT_EQUAL(gr__process_run(&p), GR_EMISSING);
    CU_ASSERT_STRING_EQUAL(gr_error_message(), "grape-no-such-program: expected this program in PATH, found none");
    gr_error_clear();
    gr__process q = {.argv = ARGV("/no/such/program")};
    CU_ASSERT_EQUAL(gr__process_run(&q), GR_EMISSING);
    gr_error_clear();
    gr__process none = {0};
    CU_ASSERT_EQUAL(gr__process_run(&none), GR_EARG);
    gr_error_clear();
}

static void only_programs_are_found(void)
{
    char path[300], before[4000];
    CU_ASSERT(gr__program_find("cat", path, sizeof path) && path[0] == '/');
    CU_ASSERT_FALSE(gr__program_find("cat", path, 4)); /* no room for its path */
    CU_ASSERT_FALSE(gr__program_find("", path, sizeof path));
    CU_ASSERT_FALSE(gr__program_find("/", path, sizeof path)); /* a folder */
    const char *file = gr_test_scratch("plain"), *folder = gr_test_scratch("");
    FILE *f = fopen(file, "w");
    CU_ASSERT_FATAL(f != NULL);
    fclose(f);
    CU_ASSERT_FALSE(gr__program_find(file, path, sizeof path)); /* not executable */
    chmod(file, 0755);
    CU_ASSERT_TRUE(gr__program_find(file, path, sizeof path));
    snprintf(before, sizeof before, "%s", getenv("PATH"));
    setenv("PATH", folder, 1);
    CU_ASSERT(gr__program_find("plain", path, sizeof path) && strstr(path, "/plain"));
    CU_ASSERT_FALSE(gr__program_find("cat", path, sizeof path));
    setenv("PATH", before, 1);
}

static void a_program_that_hangs_is_stopped(void)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    gr__process p = {.argv = ARGV("sleep", "30"), .timeout_s = 0.1};
    CU_ASSERT_EQUAL(gr__process_run(&p), GR_EIO);
    clock_gettime(CLOCK_MONOTONIC, &b);
    CU_ASSERT(b.tv_sec - a.tv_sec < 10);
    CU_ASSERT(strstr(gr_error_message(), "sleep: expected it to end within 0.1 s") != NULL);
    CU_ASSERT_EQUAL(p.exit_code, 128 + SIGKILL);
    gr_error_clear();
}

static void a_caller_that_ignores_its_children_is_served(void)
{
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    char out[16];
    gr__process p = {.argv = ARGV("cat"), .input = "a", .input_bytes = 1, .output = out, .output_size = sizeof out};
    CU_ASSERT_EQUAL(gr__process_run(&p), GR_OK);
    CU_ASSERT_STRING_EQUAL(out, "a");
    signal(SIGCHLD, before);
}

GR_SUITE("core/process.c", GR_TEST(a_program_reads_its_input_and_its_output_is_kept),
    GR_TEST(much_input_and_little_room_do_not_block), GR_TEST(exit_codes_and_errors_come_back),
    GR_TEST(arguments_reach_the_program_as_they_are), GR_TEST(a_missing_program_is_named),
    GR_TEST(only_programs_are_found), GR_TEST(a_program_that_hangs_is_stopped),
    GR_TEST(a_caller_that_ignores_its_children_is_served))
