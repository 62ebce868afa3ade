/* The main function of every test program. Prints a line per test, the failed assertions as file:line, and at the end
 * "test_x: 12 passed, 0 failed, 1 skipped", which tools/test sums up. CUnit's own main would exit with 0 on failure. */
#include "tests/harness.h"
#include <CUnit/Basic.h>
#include <CUnit/TestRun.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SHOWN_FAILURES = 10 };

static const char *skip_reason;
static char scratch_dir[1024];

bool gr_test_expect(bool ok, unsigned line, const char *file, const char *format, ...)
{
    char text[1000] = "";
    if (!ok) {
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
    }
    CU_assertImplementation(ok, line, text, file, "", CU_FALSE);
    return ok;
}

void gr_test_skip(const char *reason)
{
    skip_reason = reason;
}

/* Paths live until the end: the chain keeps them in sight of the leak checker. */
static struct path {
    struct path *next;
    char text[];
} *paths;

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    struct path *p = malloc(sizeof *p + size);
    if (!p) {
        fprintf(stderr, "test harness: out of memory\n");
        exit(2);
    }
    p->next = paths;
    paths = p;
    snprintf(p->text, size, "%s/%s", folder, name);
    return p->text;
}

const char *gr_test_data(void)
{
    static char *beside;
    const char *given = getenv("GRAPE_DATA");
    struct stat s;
    if (given && *given)
        return given;
    if (!beside)
        beside = join(GR_TEST_SOURCE_DIR, "../shared/data");
    return stat(beside, &s) == 0 && S_ISDIR(s.st_mode) ? beside : NULL;
}

const char *gr_test_fixture(const char *name)
{
    return join(GR_TEST_SOURCE_DIR "/tests/fixtures", name);
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

static void remove_scratch(void)
{
    nftw(scratch_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *gr_test_scratch(const char *name)
{
    if (!*scratch_dir) {
        const char *base = getenv("TMPDIR");
        snprintf(scratch_dir, sizeof scratch_dir, "%s/grape-test-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(scratch_dir)) {
            perror("test harness: no scratch folder");
            exit(2);
        }
        atexit(remove_scratch);
    }
    return join(scratch_dir, name);
}

/* a_test_name -> "a test name" */
static void print_sentence(const char *name)
{
    for (; *name; name++)
        putchar(*name == '_' ? ' ' : *name);
}

static void print_failures(void)
{
    int n = 0;
    for (const CU_FailureRecord *f = CU_get_failure_list(); f; f = f->pNext)
        if (n++ < SHOWN_FAILURES)
            printf("       %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    if (n > SHOWN_FAILURES)
        printf("       and %d more\n", n - SHOWN_FAILURES);
}

typedef enum { PASSED, FAILED, SKIPPED } outcome;

static outcome run_test(CU_pSuite suite, const gr_test *t)
{
    struct timespec start, end;
    skip_reason = NULL;
    clock_gettime(CLOCK_MONOTONIC, &start);
    CU_ErrorCode error = CU_run_test(suite, CU_get_test_by_name(t->name, suite));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    bool empty = CU_get_number_of_asserts() == 0 && !skip_reason;
    bool failed = error != CUE_SUCCESS || CU_get_number_of_failures() > 0 || empty;
    outcome result = failed ? FAILED : skip_reason ? SKIPPED : PASSED;
    printf("%s ", result == FAILED ? "FAILED" : result == SKIPPED ? "skip  " : "ok    ");
    print_sentence(t->name);
    if (seconds >= 1)
        printf(" (%.1f s)", seconds);
    if (result == SKIPPED)
        printf(": %s", skip_reason);
    puts(empty ? "\n       asserts nothing" : "");
    print_failures();
    fflush(stdout);
    return result;
}

int main(int argc, char **argv)
{
    int count[3] = {0};
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_set_error_action(CUEA_IGNORE);
    CU_pSuite suite = CU_add_suite(gr_test_suite, NULL, NULL);
    for (const gr_test *t = gr_test_list; suite && t->name; t++)
        if (!CU_add_test(suite, t->name, t->run)) {
            printf("%s: test %s: %s\n", gr_test_suite, t->name, CU_get_error_msg());
            return 2;
        }
    printf("%s\n", gr_test_suite);
    for (const gr_test *t = gr_test_list; t->name; t++)
        if (argc < 2 || strstr(t->name, argv[1]))
            count[run_test(suite, t)]++;
    CU_cleanup_registry();
    const char *slash = strrchr(argv[0], '/');
    printf("%s: %d passed, %d failed, %d skipped\n", slash ? slash + 1 : argv[0], count[PASSED], count[FAILED],
        count[SKIPPED]);
    if (count[PASSED] + count[FAILED] + count[SKIPPED] == 0) {
        printf("no test's name contains \"%s\"\n", argc > 1 ? argv[1] : "");
        return 2;
    }
    return count[FAILED] > 0;
}
