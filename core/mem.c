/* core/mem.c: see mem.h. */
#include "core/mem.h"
#include "core/cpu.h"
#include "core/size.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 }; /* bytes; smaller blocks are left as they are */

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

/* ---- aligned blocks ---------------------------------------------------------------------------------------------- */

bool gr__huge_pages_wished(const char *wish, bool *on)
{
    if (!wish || !*wish)
        return true;
    bool known = (*wish == '0' || *wish == '1') && !wish[1];
    *on = known ? *wish == '1' : *on;
    return known;
}

static bool huge_pages_found(void)
{
    static _Atomic int known; /* 1 + the answer; every thread would find the same */
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found)
        return found - 1;
    const char *wish = getenv("GRAPE_HUGE_PAGES");
    bool on = gr__cpu_is_intel(), understood = gr__huge_pages_wished(wish, &on);
    if (atomic_exchange_explicit(&known, 1 + on, memory_order_relaxed) == 0 && !understood)
        gr_log_write(GR_LOG_WARNING, "GRAPE_HUGE_PAGES: expected 0 or 1, found %.32s; they are %s\n", wish,
            on ? "used" : "not used");
    return on;
}

/* A caller's allocator has a plan of its own for what lies where, and its blocks have been touched already. */
bool gr__huge_pages(void)
{
    return allocator.alloc == plain_alloc && huge_pages_found();
}

/* Only for whole pages within the block: it takes no more memory than with small ones. */
static void advise_huge(char *block, int64_t bytes)
{
#ifdef MADV_HUGEPAGE
    madvise(block, (size_t)(bytes / HUGE_PAGE * HUGE_PAGE), MADV_HUGEPAGE); /* a refusal costs speed alone */
#else
    (void)block, (void)bytes;
#endif
}

/* The block's own start lies just before the aligned address it hands out. */
static void *alloc_aligned(int64_t bytes, bool zeroed)
{
    const bool huge = bytes >= HUGE_PAGE && gr__huge_pages();
    const int64_t align = huge ? HUGE_PAGE : 64;
    int64_t total;
    if (bytes < 0 || !gr__add(bytes, align + (int64_t)sizeof(void *), &total))
        return checked(NULL, INT64_MAX);
    char *block = zeroed ? gr__alloc(total, 1) : gr__resize(NULL, total, 1);
    if (!block)
        return NULL;
    char *start = (char *)(((uintptr_t)block + sizeof(void *) + (uintptr_t)align - 1) & ~(uintptr_t)(align - 1));
    memcpy(start - sizeof(void *), &block, sizeof(void *));
    if (huge)
        advise_huge(start, bytes);
    return start;
}

void *gr__alloc_aligned(int64_t bytes)
{
    return alloc_aligned(bytes, true);
}

void *gr__alloc_unset(int64_t bytes)
{
    return alloc_aligned(bytes, false);
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
