/* core/arena.c: a stack of chunks; see arena.h. */
#include "core/arena.h"
#include "core/size.h"
#include <string.h>

struct gr__chunk {
    gr__chunk *below;
    int64_t size, used;
    _Alignas(16) char data[];
};

enum { FIRST_CHUNK = 8192, LARGEST_CHUNK = 1 << 20 };

void *gr__arena_alloc(gr__arena *a, int64_t count, int64_t size)
{
    int64_t bytes, total;
    if (count < 0 || size < 0 || !gr__mul(count, size, &bytes) || !gr__round_up(bytes ? bytes : 1, 16, &bytes)) {
        gr_fail(GR_EMEM, (gr_at){0}, "out of memory: %lld x %lld bytes", (long long)count, (long long)size);
        return NULL;
    }
    if (!a->top || a->top->size - a->top->used < bytes) {
        int64_t next = !a->top ? FIRST_CHUNK : a->top->size < LARGEST_CHUNK ? a->top->size * 2 : LARGEST_CHUNK;
        if (next < bytes)
            next = bytes;
        if (!gr__add(next, (int64_t)sizeof(gr__chunk), &total))
            return gr__alloc(INT64_MAX, 2);
        gr__chunk *c = gr__alloc(total, 1);
        if (!c)
            return NULL;
        *c = (gr__chunk){.below = a->top, .size = next};
        a->top = c;
    }
    char *p = a->top->data + a->top->used;
    a->top->used += bytes;
    return p;
}

char *gr__arena_strdup(gr__arena *a, const char *s)
{
    return s ? gr__arena_copy(a, s, (int64_t)strlen(s) + 1) : NULL;
}

void *gr__arena_copy(gr__arena *a, const void *data, int64_t bytes)
{
    void *p = gr__arena_alloc(a, bytes, 1);
    return p && bytes ? memcpy(p, data, (size_t)bytes) : p;
}

gr__arena_mark gr__arena_here(const gr__arena *a)
{
    return (gr__arena_mark){a->top, a->top ? a->top->used : 0};
}

void gr__arena_back(gr__arena *a, gr__arena_mark mark)
{
    while (a->top && a->top != mark.chunk) {
        gr__chunk *below = a->top->below;
        gr__free(a->top);
        a->top = below;
    }
    if (a->top) {
        memset(a->top->data + mark.used, 0, (size_t)(a->top->used - mark.used));
        a->top->used = mark.used;
    }
}

void gr__arena_free(gr__arena *a)
{
    gr__arena_back(a, (gr__arena_mark){0});
}

int64_t gr__arena_bytes(const gr__arena *a)
{
    int64_t sum = 0;
    for (const gr__chunk *c = a->top; c; c = c->below)
        sum += c->used;
    return sum;
}
