/* core/variable.c: storage. What programs do with variables is in test_program, what models do in test_model. */
#include "core/mem.h"
#include "core/node.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>

/* Whatever the CPU; before anything in this process asks. */
static void want_huge_pages(void)
{
    setenv("GRAPE_HUGE_PAGES", "1", 1);
    if (!gr__huge_pages())
        gr_test_skip("something has asked before");
}

enum { COUNT = 60 };

static gr_variable *made(int i)
{
    static const int64_t sizes[] = {1, 0, 17, 1000, 70000, 300000, 600000}; /* the last has a block of its own */
    return gr_variable_new("w", GR_F32, GR_SHAPE(sizes[i % (int)(sizeof sizes / sizeof *sizes)]), true);
}

static bool all_are(const gr_variable *v, unsigned char byte)
{
    const unsigned char *data = v->data;
    for (int64_t i = 0; i < v->bytes; i++)
        if (data[i] != byte)
            return false;
    return (uintptr_t)data % 64 == 0;
}

static void variables_begin_at_zero_and_lie_apart(void)
{
    gr_variable *v[COUNT];
    want_huge_pages();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            if (round && i % 3)
                continue; /* those of the first round stay */
            v[i] = made(i);
            GR_EXPECT(v[i] && all_are(v[i], 0), "variable %d, round %d", i, round);
            memset(v[i]->data, i + 1, (size_t)v[i]->bytes);
        }
        for (int i = 0; i < COUNT; i++)
            GR_EXPECT(all_are(v[i], (unsigned char)(i + 1)), "variable %d, round %d, was overwritten", i, round);
        for (int i = 0; i < COUNT; i++)
            if (round == 2 || i % 3 == 0)
                gr_variable_free(v[i]);
    }
}

static void small_variables_share_a_block_of_huge_pages(void)
{
    gr_variable *v[COUNT];
    want_huge_pages();
    for (int round = 0; round < 2; round++) { /* the second finds the block of the first gone */
        int64_t before = gr_allocation_count();
        for (int i = 0; i < COUNT; i++)
            v[i] = gr_variable_new("w", GR_F32, GR_SHAPE(20000), true);
        int64_t allocations = gr_allocation_count() - before;
        GR_EXPECT(allocations == 2 * COUNT + 2, "%lld allocations", (long long)allocations);
        for (int i = 0; i < COUNT; i++)
            gr_variable_free(v[i]);
    }
}

static void *plain_alloc(void *user, size_t bytes)
{
    *(size_t *)user = bytes > *(size_t *)user ? bytes : *(size_t *)user;
    return malloc(bytes);
}
static void *plain_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    return realloc(old, bytes);
}
static void plain_release(void *user, void *old)
{
    (void)user;
    free(old);
}

static void the_callers_allocator_is_asked_for_no_more_than_a_variable_takes(void)
{
    size_t most = 0;
    gr_set_allocator(&(gr_allocator){plain_alloc, plain_resize, plain_release, &most});
    CU_ASSERT_FALSE(gr__huge_pages());
    gr_variable *v = gr_variable_new("w", GR_F32, GR_SHAPE(20000), true);
    CU_ASSERT(v && all_are(v, 0) && most >= 80000 && most < 80000 + 256);
    gr_variable_free(v);
    gr_set_allocator(NULL);
}

GR_SUITE("core/variable.c", GR_TEST(variables_begin_at_zero_and_lie_apart),
    GR_TEST(small_variables_share_a_block_of_huge_pages),
    GR_TEST(the_callers_allocator_is_asked_for_no_more_than_a_variable_takes))
