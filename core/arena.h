/* core/arena.h: memory that is freed all at once: a tape's nodes, a program's plan. Chunks grow by doubling. */
#ifndef GRAPE_CORE_ARENA_H
#define GRAPE_CORE_ARENA_H

#include "core/mem.h"

typedef struct gr__chunk gr__chunk;
typedef struct {
    gr__chunk *top;
} gr__arena;
typedef struct {
    gr__chunk *chunk;
    int64_t used;
} gr__arena_mark;

/* count * size bytes, zeroed, 16-byte aligned; NULL (and GR_EMEM) on failure. */
void *gr__arena_alloc(gr__arena *a, int64_t count, int64_t size);
char *gr__arena_strdup(gr__arena *a, const char *s);
void *gr__arena_copy(gr__arena *a, const void *data, int64_t bytes);
gr__arena_mark gr__arena_here(const gr__arena *a);
/* Frees what was taken since the mark. */
void gr__arena_back(gr__arena *a, gr__arena_mark mark);
void gr__arena_free(gr__arena *a);
int64_t gr__arena_bytes(const gr__arena *a);

#endif
