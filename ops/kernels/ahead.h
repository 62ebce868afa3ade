/* ops/kernels/ahead.h: memory that will be read or written next, which a kernel that computes long on little data
 * fetches meanwhile, a line now and then. */
#ifndef GRAPE_OPS_KERNELS_AHEAD_H
#define GRAPE_OPS_KERNELS_AHEAD_H

#include <stddef.h>
#include <stdint.h>

enum { GR__AHEAD_RUNS = 16 };

typedef struct gr__ahead {
    int n, first; /* of those first to n is left */
    struct {
        const char *at;
        int64_t bytes;
    } run[GR__AHEAD_RUNS];
} gr__ahead;

/* Where the next lines lie, so many bytes of them, which then count as fetched; NULL if there are none. */
static inline const void *gr__ahead_take(gr__ahead *a, int64_t bytes)
{
    if (!a || a->first >= a->n)
        return NULL;
    const char *at = a->run[a->first].at;
    a->run[a->first].at += bytes;
    a->run[a->first].bytes -= bytes;
    a->first += a->run[a->first].bytes <= 0;
    return at;
}

#endif
