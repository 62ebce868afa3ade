/* core/mem.c: see mem.h. */
#include "core/mem.h"
#include "core/size.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *plain_alloc(void *user, size_t bytes)
{
    (void)user;
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

static gr_allocator allocator = {plain_alloc, plain_resize, plain_release, NULL};
static _Atomic int64_t allocations;

void gr_set_allocator(const gr_allocator *a)
{
    allocator = a ? *a : (gr_allocator){plain_alloc, plain_resize, plain_release, NULL};
}

int64_t gr_allocation_count(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}

static void *checked(void *p, int64_t bytes)
{
    if (!p)
        gr_fail(GR_EMEM, (gr_at){0}, "out of memory: %lld bytes", (long long)bytes);
    return p;
}

void *gr__alloc(int64_t count, int64_t size)
{
    int64_t bytes;
    if (count < 0 || size < 0 || !gr__mul(count, size, &bytes))
        return checked(NULL, INT64_MAX);
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    if (allocator.alloc == plain_alloc) /* fresh pages are zero: calloc does not touch them */
        return checked(calloc(1, bytes ? (size_t)bytes : 1), bytes);
    void *p = checked(allocator.alloc(allocator.user, bytes ? (size_t)bytes : 1), bytes);
    return p ? memset(p, 0, (size_t)bytes) : NULL;
}

void *gr__resize(void *old, int64_t count, int64_t size)
{
    int64_t bytes;
    if (count < 0 || size < 0 || !gr__mul(count, size, &bytes))
        return checked(NULL, INT64_MAX);
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return checked(allocator.resize(allocator.user, old, bytes ? (size_t)bytes : 1), bytes);
}

/* The block's own start lies just before the aligned address it hands out. */
void *gr__alloc_aligned(int64_t bytes)
{
    int64_t total;
    if (bytes < 0 || !gr__add(bytes, 64 + (int64_t)sizeof(void *), &total))
        return checked(NULL, INT64_MAX);
    char *block = gr__alloc(total, 1);
    if (!block)
        return NULL;
    uintptr_t start = ((uintptr_t)block + sizeof(void *) + 63) & ~(uintptr_t)63;
    memcpy((char *)start - sizeof(void *), &block, sizeof(void *));
    return (void *)start;
}

void gr__free_aligned(void *p)
{
    if (!p)
        return;
    void *block;
    memcpy(&block, (char *)p - sizeof(void *), sizeof(void *));
    gr__free(block);
}

void gr__free(void *p)
{
    if (p)
        allocator.release(allocator.user, p);
}

char *gr__strdup(const char *s)
{
    if (!s)
        return NULL;
    size_t n = strlen(s) + 1;
    char *copy = gr__alloc((int64_t)n, 1);
    return copy ? memcpy(copy, s, n) : NULL;
}
