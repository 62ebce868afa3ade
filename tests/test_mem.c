/* core/mem.c and core/size.h: counted, replaceable, checked. */
#include "core/mem.h"
#include "core/cpu.h"
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
    size_t last_bytes;
} tally;
static void *count_alloc(void *user, size_t bytes)
{
    ((tally *)user)->live++;
    ((tally *)user)->made++;
    ((tally *)user)->last_bytes = bytes;
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
    enum { LARGE = 6 << 20 };
    tally t = {0};
    gr_set_allocator(&(gr_allocator){count_alloc, count_resize, count_free, &t});
    void *a = gr__alloc(1, 1), *b = gr__alloc_aligned(100), *c = gr__resize(NULL, 5, 1), *d = gr__alloc_unset(100);
    char *s = gr__strdup("x");
    CU_ASSERT(t.live == 5 && t.made == 3 && (uintptr_t)d % 64 == 0);
    gr__free(a), gr__free_aligned(b), gr__free(c), gr__free(s), gr__free_aligned(d);
    CU_ASSERT_EQUAL(t.live, 0);
    gr__free_aligned(gr__alloc_aligned(LARGE)); /* whatever pages it is on: that is the caller's to decide */
    CU_ASSERT(t.made == 4 && t.live == 0 && t.last_bytes < LARGE + 100);
    gr_set_allocator(NULL);
    gr__free(gr__alloc(1, 1));
    CU_ASSERT_EQUAL(t.made, 4);
}

static void a_wish_decides_about_huge_pages(void)
{
    static const struct {
        const char *why, *wish;
        bool before, known, after;
    } rows[] = {
        {"no wish", NULL, true, true, true},
        {"an empty variable is no wish", "", false, true, false},
        {"off", "0", true, true, false},
        {"on", "1", false, true, true},
        {"a word changes nothing", "yes", false, false, false},
        {"nor does another number", "10", true, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool on = rows[i].before, known = gr__huge_pages_wished(rows[i].wish, &on);
        GR_EXPECT(known == rows[i].known && on == rows[i].after, "%s", rows[i].why);
    }
    const char *wish = getenv("GRAPE_HUGE_PAGES");
    CU_ASSERT_EQUAL(gr__huge_pages(), wish && *wish ? *wish == '1' : gr__cpu_is_intel());
}

static void a_large_block_begins_with_a_huge_page(void)
{
    enum { MIB = 1 << 20 };
    const uintptr_t page = gr__huge_pages() ? 2 * MIB : 64;
    for (int64_t n = 2 * MIB; n <= 5 * MIB; n += MIB / 2 + 3) {
        char *p = gr__alloc_aligned(n);
        bool zero = p != NULL;
        for (int64_t i = 0; zero && i < n; i += 509)
            zero = p[i] == 0;
        GR_EXPECT(p && zero && (uintptr_t)p % page == 0 && p[n - 1] == 0, "%lld bytes", (long long)n);
        gr__free_aligned(p);
    }
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
    GR_TEST(a_wish_decides_about_huge_pages), GR_TEST(a_large_block_begins_with_a_huge_page),
    GR_TEST(size_arithmetic_says_when_it_overflows))
