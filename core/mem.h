/* core/mem.h: every allocation of the library goes through here, so it can be counted, replaced and made to fail.
 * A failure records GR_EMEM and returns NULL. Read next: core/arena.h, where graphs and plans live. */
#ifndef GRAPE_CORE_MEM_H
#define GRAPE_CORE_MEM_H

#include "core/status.h"

GR_BEGIN

/* The caller's allocator. `alloc` returns at least 16-byte aligned memory or NULL; `resize` is realloc's twin.
 * Set it before any other call of the library; NULL brings malloc, realloc and free back. */
typedef struct {
    void *(*alloc)(void *user, size_t bytes);
    void *(*resize)(void *user, void *old, size_t bytes);
    void (*release)(void *user, void *old);
    void *user;
} gr_allocator;
GR_API void gr_set_allocator(const gr_allocator *a);
/* Allocations made since the process started (all threads). The difference over a training step is 0; a test counts. */
GR_API int64_t gr_allocation_count(void);

/* count * size bytes, zeroed. */
void *gr__alloc(int64_t count, int64_t size);
/* Grows (or makes, from NULL) a block to count * size bytes; the new part is not zeroed. The old one stays on
 * failure. */
void *gr__resize(void *old, int64_t count, int64_t size);
/* Zeroed, aligned to 64 bytes; freed by gr__free_aligned. A block of some MiB asks the system for huge pages where
 * gr__huge_pages says so. */
void *gr__alloc_aligned(int64_t bytes);
/* The same, but it may hold anything. */
void *gr__alloc_unset(int64_t bytes);
void gr__free_aligned(void *p);
/* On an Intel CPU a step of many MiB runs faster on huge pages, on others not. GRAPE_HUGE_PAGES=0 or 1 decides
 * otherwise; never with the caller's allocator. */
bool gr__huge_pages(void);
/* The rule of GRAPE_HUGE_PAGES: sets *on to what `wish` says (NULL or "": nothing). False if it is neither 0 nor 1. */
bool gr__huge_pages_wished(const char *wish, bool *on);
void gr__free(void *p);
/* A copy of a string; NULL gives NULL. */
char *gr__strdup(const char *s);

GR_END
#endif
