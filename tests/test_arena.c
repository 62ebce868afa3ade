/* core/arena.c: zeroed, aligned, given back to a mark, and nothing lost when memory is out. */
#include "core/arena.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

static bool is_zero(const char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void pieces_are_zero_aligned_and_apart(void)
{
    gr__arena a = {0};
    static const int64_t sizes[] = {1, 15, 16, 17, 0, 8192, 3, 100000, 1, 3000000, 5};
    enum { N = sizeof sizes / sizeof *sizes };
    char *p[N];
    for (int i = 0; i < N; i++) {
        p[i] = gr__arena_alloc(&a, sizes[i], 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p[i]);
        GR_EXPECT((uintptr_t)p[i] % 16 == 0 && is_zero(p[i], sizes[i]), "%lld bytes", (long long)sizes[i]);
        memset(p[i], i + 1, (size_t)sizes[i]);
    }
    for (int i = 0; i < N; i++)
        for (int64_t k = 0; k < sizes[i]; k += 97)
            CU_ASSERT_EQUAL(p[i][k], i + 1);
    CU_ASSERT(gr__arena_bytes(&a) >= 3000000 + 100000 + 8192);
    gr__arena_free(&a);
    CU_ASSERT(gr__arena_bytes(&a) == 0 && a.top == NULL);
    gr__arena_free(&a);
}

static void going_back_to_a_mark_gives_zeroed_memory_again(void)
{
    gr__arena a = {0};
    char *first = gr__arena_strdup(&a, "kept");
    gr__arena_mark mark = gr__arena_here(&a);
    int64_t before = gr__arena_bytes(&a);
    for (int round = 0; round < 3; round++) {
        char *p = gr__arena_alloc(&a, 100, 1), *q = gr__arena_alloc(&a, 50000, 2);
        CU_ASSERT(is_zero(p, 100) && is_zero(q, 100000));
        memset(p, 1, 100), memset(q, 1, 100000);
        gr__arena_back(&a, mark);
        CU_ASSERT_EQUAL(gr__arena_bytes(&a), before);
    }
    CU_ASSERT_STRING_EQUAL(first, "kept");
    gr__arena_mark empty = {0};
    gr__arena_back(&a, empty);
    CU_ASSERT_EQUAL(gr__arena_bytes(&a), 0);
}

static void copies_are_copies(void)
{
    gr__arena a = {0};
    char text[] = "abc";
    char *s = gr__arena_strdup(&a, text), *c = gr__arena_copy(&a, text, 2), *none = gr__arena_copy(&a, NULL, 0);
    text[0] = 'x';
    CU_ASSERT(strcmp(s, "abc") == 0 && memcmp(c, "ab", 2) == 0 && none != NULL);
    CU_ASSERT_PTR_NULL(gr__arena_strdup(&a, NULL));
    gr__arena_free(&a);
}

static void impossible_sizes_are_an_error(void)
{
    static const struct {
        const char *why;
        int64_t count, size;
    } rows[] = {
        {"the product overflows", INT64_MAX / 2, 4},
        {"rounding up overflows", INT64_MAX, 1},
        {"the head of the chunk overflows", INT64_MAX - 20, 1},
        {"a negative count", -1, 8},
        {"a negative size", 8, -1},
    };
    gr__arena a = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        GR_EXPECT(!gr__arena_alloc(&a, rows[i].count, rows[i].size) && gr_error() == GR_EMEM, "%s", rows[i].why);
        gr_error_clear();
    }
    CU_ASSERT_PTR_NOT_NULL(gr__arena_alloc(&a, 1, 1)); /* it goes on after that */
    gr__arena_free(&a);
}

GR_SUITE("core/arena.c", GR_TEST(pieces_are_zero_aligned_and_apart),
    GR_TEST(going_back_to_a_mark_gives_zeroed_memory_again), GR_TEST(copies_are_copies),
    GR_TEST(impossible_sizes_are_an_error))
