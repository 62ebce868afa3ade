/* The test harness: one suite per program, over CUnit. See tests/test_house.c for a suite.
 *
 *     #include "tests/harness.h"
 *
 *     static void an_empty_shape_has_one_element(void)
 *     {
 *         CU_ASSERT_EQUAL(gr_shape_count(GR_SHAPE()), 1);
 *     }
 *
 *     GR_SUITE("core/shape.c", GR_TEST(an_empty_shape_has_one_element))
 *
 * Run a program alone with a part of a test's name to run only those tests: build/tests/test_shape empty */
#ifndef GR_TESTS_HARNESS_H
#define GR_TESTS_HARNESS_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *name; /* the function's name, which is a sentence */
    void (*run)(void);
} gr_test;

extern const char *const gr_test_suite; /* what the suite is about: the source file it tests */
extern const gr_test gr_test_list[];    /* ends with a NULL name */

#define GR_TEST(f) {#f, f}
#define GR_SUITE(about, ...)                  \
    const char *const gr_test_suite = about; \
    const gr_test gr_test_list[] = {__VA_ARGS__, {NULL, NULL}};

/* Like CU_ASSERT, with a printf message instead of the condition's text: for rows of a table, so that a failure names
 * its row. Gives the condition. */
#define GR_EXPECT(condition, ...) gr_test_expect((condition), __LINE__, __FILE__, __VA_ARGS__)
bool gr_test_expect(bool ok, unsigned line, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Counts the running test as skipped, with the reason, and goes on: return after it. A test that asserts nothing and
 * does not skip fails. */
void gr_test_skip(const char *reason);

/* The folder of real data ($GRAPE_DATA, else shared/data beside the checkout), or NULL: then skip. */
const char *gr_test_data(void);

/* The path of tests/fixtures/NAME, and of NAME in a folder of $TMPDIR (else /tmp) that lives as long as the program.
 * Each call gives a new string, valid until the end. */
const char *gr_test_fixture(const char *name);
const char *gr_test_scratch(const char *name);

#endif
