/* An allocator that fails where it is told to, and counts what lives. Fresh memory holds 0xa5, never a lucky zero. */
#ifndef GR_TESTS_INJECTOR_H
#define GR_TESTS_INJECTOR_H

#include "core/mem.h"
#include "core/thread.h"
#include "tests/harness.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct {
    _Atomic int64_t seen, fired, live;
    int64_t fail_at; /* the allocation that fails, counted from 1; 0: none */
    bool for_ever;   /* and all after it */
} injector;

static inline bool gr_injector_fails(void)
{
    int64_t k = ++injector.seen;
    bool now = injector.fail_at && (k == injector.fail_at || (injector.for_ever && k > injector.fail_at));
    injector.fired += now;
    return now;
}
static inline void *gr_inject_alloc(void *user, size_t bytes)
{
    (void)user;
    void *p = gr_injector_fails() ? NULL : malloc(bytes);
    if (p)
        memset(p, 0xa5, bytes);
    injector.live += p != NULL;
    return p;
}
static inline void *gr_inject_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    void *p = gr_injector_fails() ? NULL : realloc(old, bytes);
    injector.live += p && !old;
    return p;
}
static inline void gr_inject_release(void *user, void *old)
{
    (void)user;
    injector.live -= old != NULL;
    free(old);
}
static const gr_allocator gr_injecting = {gr_inject_alloc, gr_inject_resize, gr_inject_release, NULL};

/* A piece of work. Gives whether all of it worked, and in *hash what it made of its inputs, bit for bit. */
typedef bool (*gr_work)(void *ctx, uint64_t *hash);

/* Fails every allocation of the work once, then every third and all after it: the first 500 points, 25 of each 1,000
 * beyond (GRAPE_TEST_ALL=1: all of them). Each time the work fails with GR_EMEM, leaves no block behind, and right
 * after it the same work gives the same bits as ever. A work that `absorbs` may also succeed without a word. */
static inline void gr_fail_every_allocation(const char *name, gr_work work, void *ctx, bool absorbs)
{
    uint64_t fresh = 0, got = 0;
    bool all = getenv("GRAPE_TEST_ALL") != NULL;
    gr_error_clear();
    gr_set_allocator(&gr_injecting);
    gr_set_num_threads(1); /* thousands of runs: no waiting for a team */
    injector.fail_at = 0;
    bool good = work(ctx, &fresh); /* what is made once for the process is made now */
    const int64_t live = injector.live, start = injector.seen;
    good = good && work(ctx, &got) && got == fresh;
    const int64_t points = injector.seen - start;
    int64_t failures = 0, fired = 0;
    if (!GR_EXPECT(good && gr_error() == GR_OK, "%s, undisturbed: %s", name, gr_error_message()) ||
        !GR_EXPECT(points > 0 && injector.live == live, "%s, undisturbed: %d allocations, %d blocks left", name,
            (int)points, (int)(injector.live - live)))
        goto done;
    for (int mode = 0; mode < 2; mode++)
        for (int64_t k = 1; k <= points && failures < 10; k += all ? 1 : k >= 500 ? 40 : 1 + 2 * mode) {
            injector.seen = injector.fired = 0;
            injector.for_ever = mode == 1;
            injector.fail_at = k;
            good = work(ctx, &got);
            injector.fail_at = 0;
            const char *times = mode ? "for ever" : "once";
            bool ok = GR_EXPECT(injector.fired > 0, "%s: allocation %d never came", name, (int)k);
            ok &= GR_EXPECT(good ? absorbs && gr_error() == GR_OK && got == fresh : gr_error() == GR_EMEM,
                "%s: allocation %d of %d, %s: %s, yet the error is \"%s\"", name, (int)k, (int)points, times,
                good ? "success" : "failure", gr_error_message());
            fired += injector.fired;
            gr_error_clear();
            got = 0;
            ok &= GR_EXPECT(work(ctx, &got) && gr_error() == GR_OK && got == fresh,
                "%s: after allocation %d of %d failed, %s: other bits, or \"%s\"", name, (int)k, (int)points, times,
                gr_error_message());
            ok &= GR_EXPECT(injector.live == live, "%s: allocation %d of %d, %s: %d blocks are left", name, (int)k,
                (int)points, times, (int)(injector.live - live));
            gr_error_clear();
            failures += !ok;
            injector.live = live; /* told once */
        }
    GR_EXPECT(fired >= points / 20, "%s: of %d allocations only %d failed", name, (int)points, (int)fired);
done:
    injector.fail_at = 0;
    gr_set_allocator(NULL);
    gr_set_num_threads(0);
    gr_error_clear();
}

/* FNV-1a, 64 bits, over bytes; start from 0. */
static inline uint64_t gr_hash_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    h = h ? h : UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

#endif
