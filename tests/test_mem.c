/* core/mem.c and core/size.h: counted, replaceable, checked. */
#include "core/mem.h"
#include "core/size.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

static void memory_is_zeroed_and_counted(void)
{
    int64_t before = gr_allocation_count();
    char *p = gr__alloc(7, 3), *none = gr__alloc(0, 8);
    CU_ASSERT(p && none && p[0] == 0 && p[20] == 0);
    CU_ASSERT_EQUAL(gr_allocation_count() - before, 2);
    memset(p, 1, 21);
    p = gr__resize(p, 1000, 1);
    CU_ASSERT(p && p[20] == 1 && gr_allocation_count() - before == 3);
    gr__free(p), gr__free(none), gr__free(NULL);
    for (int64_t n = 0; n < 300; n += 37) {
        char *q = gr__alloc_aligned(n);
        GR_EXPECT(q && (uintptr_t)q % 64 == 0 && (n == 0 || (q[0] == 0 && q[n - 1] == 0)), "%lld bytes", (long long)n);
        gr__free_aligned(q);
    }
    gr__free_aligned(NULL);
    char *s = gr__strdup("abc");
    CU_ASSERT(strcmp(s, "abc") == 0 && gr__strdup(NULL) == NULL);
    gr__free(s);
}

static void impossible_sizes_are_an_error(void)
{
    static const struct {
        const char *why;
        int64_t count, size;
    } rows[] = {{"overflow", INT64_MAX, 2}, {"2^64", INT64_C(1) << 32, INT64_C(1) << 32}, {"negative", -1, 1},
        {"negative size", 1, -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        GR_EXPECT(!gr__alloc(rows[i].count, rows[i].size) && gr_error() == GR_EMEM, "%s", rows[i].why);
        gr_error_clear();
        char *p = gr__alloc(1, 1);
        GR_EXPECT(!gr__resize(p, rows[i].count, rows[i].size) && gr_error() == GR_EMEM, "resize: %s", rows[i].why);
        gr_error_clear();
        *p = 1; /* the old one stays */
        gr__free(p);
    }
    CU_ASSERT(!gr__alloc_aligned(INT64_MAX - 8) && strstr(gr_error_message(), "out of memory"));
    gr_error_clear();
    CU_ASSERT(!gr__alloc_aligned(-1) && gr_error() == GR_EMEM);
    gr_error_clear();
}

typedef struct {
    int live, made;
} tally;
static void *count_alloc(void *user, size_t bytes)
{
    ((tally *)user)->live++;
    ((tally *)user)->made++;
    return malloc(bytes);
}
static void *count_resize(void *user, void *old, size_t bytes)
{
    ((tally *)user)->live += old == NULL;
    return realloc(old, bytes);
}
static void count_free(void *user, void *old)
{
    ((tally *)user)->live--;
    free(old);
}

static void *none_alloc(void *user, size_t bytes)
{
    (void)user, (void)bytes;
    return NULL;
}
static void *none_resize(void *user, void *old, size_t bytes)
{
    (void)user, (void)old, (void)bytes;
    return NULL;
}

static void no_memory_is_an_error_with_the_size(void)
{
    gr_set_allocator(&(gr_allocator){none_alloc, none_resize, count_free, &(tally){0}});
    CU_ASSERT(!gr__alloc(3, 5) && gr_error() == GR_EMEM && strstr(gr_error_message(), "out of memory: 15 bytes"));
    gr_error_clear();
    CU_ASSERT(!gr__resize(NULL, 3, 5) && !gr__alloc_aligned(8) && !gr__strdup("x") && gr_error() == GR_EMEM);
    gr_error_clear();
    gr_set_allocator(NULL);
}

static void the_callers_allocator_is_used_for_everything(void)
{
    tally t = {0};
    gr_set_allocator(&(gr_allocator){count_alloc, count_resize, count_free, &t});
    void *a = gr__alloc(1, 1), *b = gr__alloc_aligned(100), *c = gr__resize(NULL, 5, 1);
    char *s = gr__strdup("x");
    CU_ASSERT(t.live == 4 && t.made == 3);
    gr__free(a), gr__free_aligned(b), gr__free(c), gr__free(s);
    CU_ASSERT_EQUAL(t.live, 0);
    gr_set_allocator(NULL);
    gr__free(gr__alloc(1, 1));
    CU_ASSERT_EQUAL(t.made, 3);
}

static void size_arithmetic_says_when_it_overflows(void)
{
    static const struct {
        int64_t a, b;
        bool product, sum;
    } rows[] = {{INT64_MAX, 1, true, false}, {INT64_MAX, 2, false, false},
        {INT64_C(1) << 32, INT64_C(1) << 31, false, true}, {INT64_C(1) << 31, INT64_C(1) << 31, true, true},
        {0, INT64_MAX, true, true}, {-1, INT64_MIN, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t x;
        GR_EXPECT(gr__mul(rows[i].a, rows[i].b, &x) == rows[i].product, "product in row %zu", i);
        GR_EXPECT(gr__add(rows[i].a, rows[i].b, &x) == rows[i].sum, "sum in row %zu", i);
    }
    int64_t x = 0;
    CU_ASSERT(gr__round_up(65, 64, &x) && x == 128);
    CU_ASSERT(gr__round_up(64, 64, &x) && x == 64);
    CU_ASSERT(gr__round_up(0, 64, &x) && x == 0);
    CU_ASSERT_FALSE(gr__round_up(INT64_MAX - 3, 16, &x));
}

GR_SUITE("core/mem.c", GR_TEST(memory_is_zeroed_and_counted), GR_TEST(impossible_sizes_are_an_error),
    GR_TEST(no_memory_is_an_error_with_the_size), GR_TEST(the_callers_allocator_is_used_for_everything),
    GR_TEST(size_arithmetic_says_when_it_overflows))
