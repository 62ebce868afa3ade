/* Transposes a square block of lanes x lanes elements held in as many vectors. A template on T and NAME, like
 * tile_impl.h.
 *
 * Blocks of 1, 2, 4, ... elements are exchanged across the diagonal of ever larger squares; a block of 2 floats is one
 * 8-byte element, and so on, hence shuffles by byte size:
 *     a: A0 A1 A2 A3      a: A0 B0 A2 B2     (the even blocks of both)
 *     b: B0 B1 B2 B3      b: A1 B1 A3 B3     (the odd blocks of both) */
#ifndef GR_TRANSPOSE_ONCE
#define GR_TRANSPOSE_ONCE

typedef float words __attribute__((vector_size(4 * GR_W)));  /* 4-byte elements */
typedef double pairs __attribute__((vector_size(4 * GR_W))); /* 8-byte elements, and larger blocks of them */

#if GR_W == 16
#define EVEN_4(a, b) \
    __builtin_shufflevector((words)(a), (words)(b), 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define ODD_4(a, b) \
    __builtin_shufflevector((words)(a), (words)(b), 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define EVEN_8(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD_8(a, b)   __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 9, 3, 11, 5, 13, 7, 15)
#define EVEN_16(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 1, 8, 9, 4, 5, 12, 13)
#define ODD_16(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 2, 3, 10, 11, 6, 7, 14, 15)
#define EVEN_32(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 1, 2, 3, 8, 9, 10, 11)
#define ODD_32(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 4, 5, 6, 7, 12, 13, 14, 15)
#elif GR_W == 8
#define EVEN_4(a, b)  __builtin_shufflevector((words)(a), (words)(b), 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD_4(a, b)   __builtin_shufflevector((words)(a), (words)(b), 1, 9, 3, 11, 5, 13, 7, 15)
#define EVEN_8(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 4, 2, 6)
#define ODD_8(a, b)   __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 5, 3, 7)
#define EVEN_16(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 1, 4, 5)
#define ODD_16(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 2, 3, 6, 7)
#else
#define EVEN_4(a, b) __builtin_shufflevector((words)(a), (words)(b), 0, 4, 2, 6)
#define ODD_4(a, b)  __builtin_shufflevector((words)(a), (words)(b), 1, 5, 3, 7)
#define EVEN_8(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 2)
#define ODD_8(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 3)
#endif

/* Exchanges blocks of `size` bytes between the rows whose numbers differ in the bit of that block. */
#define EXCHANGE(size)                                                        \
    UNROLL for (int i = 0; i < n; i++)                                       \
        if (!(i & ((size) / (int)sizeof(T)))) {                              \
            const int j = i + (size) / (int)sizeof(T);                       \
            NAME(v) even = (NAME(v))EVEN_##size(x[i], x[j]);                 \
            x[j] = (NAME(v))ODD_##size(x[i], x[j]);                          \
            x[i] = even;                                                     \
        }
#endif

GR_INLINE void NAME(transpose)(NAME(v) x[NAME(lanes)])
{
    enum { n = NAME(lanes) };
    if (sizeof(T) == 4) {
        EXCHANGE(4)
    }
    EXCHANGE(8)
#if GR_W >= 8
    EXCHANGE(16)
#endif
#if GR_W == 16
    EXCHANGE(32)
#endif
}
