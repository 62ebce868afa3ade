/* core/size.h: the one place where sizes are multiplied and added. Every function returns false on overflow. */
#ifndef GRAPE_CORE_SIZE_H
#define GRAPE_CORE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool gr__mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool gr__add(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
/* a rounded up to a multiple of `to` (a power of two) */
static inline bool gr__round_up(int64_t a, int64_t to, int64_t *out)
{
    return gr__add(a, to - 1, out) && ((*out &= -to), true);
}

#endif
