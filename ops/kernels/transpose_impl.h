/* Transposes a square block of lanes x lanes elements held in as many vectors. A template on T and NAME, like
 * tile_impl.h.
 *
 * Squares of 16 bytes first, within the 16-byte blocks of 2 or 4 neighbouring rows; then the blocks as elements. Every
 * step is one cheap shuffle of two vectors on x86-64 (unpack, 128-bit shuffle) and on NEON (zip). */
#ifndef GR_TRANSPOSE_ONCE
#define GR_TRANSPOSE_ONCE

typedef float words __attribute__((vector_size(4 * GR_W)));
typedef double pairs __attribute__((vector_size(4 * GR_W)));

/* In each block of 16 bytes: a0 b0 a1 b1; a2 b2 a3 b3 of floats; a0 b0; a1 b1 of doubles. Of blocks: the even, the odd
 * ones of both. */
#if GR_W == 16
#define LOW_4(a, b) \
    __builtin_shufflevector((words)(a), (words)(b), 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH_4(a, b) \
    __builtin_shufflevector((words)(a), (words)(b), 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_8(a, b)       __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH_8(a, b)      __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 9, 3, 11, 5, 13, 7, 15)
#define EVEN_BLOCKS(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 1, 4, 5, 8, 9, 12, 13)
#define ODD_BLOCKS(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 2, 3, 6, 7, 10, 11, 14, 15)
#elif GR_W == 8
#define LOW_4(a, b)       __builtin_shufflevector((words)(a), (words)(b), 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH_4(a, b)      __builtin_shufflevector((words)(a), (words)(b), 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_8(a, b)       __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 4, 2, 6)
#define HIGH_8(a, b)      __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 5, 3, 7)
#define EVEN_BLOCKS(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 1, 4, 5)
#define ODD_BLOCKS(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 2, 3, 6, 7)
#else
#define LOW_4(a, b)  __builtin_shufflevector((words)(a), (words)(b), 0, 4, 1, 5)
#define HIGH_4(a, b) __builtin_shufflevector((words)(a), (words)(b), 2, 6, 3, 7)
#define LOW_8(a, b)  __builtin_shufflevector((pairs)(a), (pairs)(b), 0, 2)
#define HIGH_8(a, b) __builtin_shufflevector((pairs)(a), (pairs)(b), 1, 3)
#endif
#endif

GR_INLINE void NAME(transpose)(NAME(v) x[NAME(lanes)])
{
    enum { n = NAME(lanes), square = 16 / sizeof(T) };
    if (sizeof(T) == 4)
        UNROLL for (int i = 0; i < n; i += 2)
        {
            NAME(v) low = (NAME(v))LOW_4(x[i], x[i + 1]);
            x[i + 1] = (NAME(v))HIGH_4(x[i], x[i + 1]);
            x[i] = low;
        }
    UNROLL for (int i = 0; i < n; i += square)
    {
        NAME(v) a = x[i], b = x[i + 1];
        if (square == 2)
            x[i] = (NAME(v))LOW_8(a, b), x[i + 1] = (NAME(v))HIGH_8(a, b);
        else {
            NAME(v) c = x[i + square / 2], d = x[i + square - 1];
            x[i] = (NAME(v))LOW_8(a, c), x[i + 1] = (NAME(v))HIGH_8(a, c);
            x[i + square / 2] = (NAME(v))LOW_8(b, d), x[i + square - 1] = (NAME(v))HIGH_8(b, d);
        }
    }
#if GR_W == 8
    UNROLL for (int i = 0; i < square; i++)
    {
        NAME(v) a = x[i], b = x[i + square];
        x[i] = (NAME(v))EVEN_BLOCKS(a, b), x[i + square] = (NAME(v))ODD_BLOCKS(a, b);
    }
#elif GR_W == 16
    UNROLL for (int i = 0; i < square; i++)
    {
        NAME(v) a = x[i], b = x[i + square], c = x[i + 2 * square], d = x[i + 3 * square];
        NAME(v) even[] = {(NAME(v))EVEN_BLOCKS(a, b), (NAME(v))EVEN_BLOCKS(c, d)};
        NAME(v) odd[] = {(NAME(v))ODD_BLOCKS(a, b), (NAME(v))ODD_BLOCKS(c, d)};
        x[i] = (NAME(v))EVEN_BLOCKS(even[0], even[1]), x[i + square] = (NAME(v))EVEN_BLOCKS(odd[0], odd[1]);
        x[i + 2 * square] = (NAME(v))ODD_BLOCKS(even[0], even[1]);
        x[i + 3 * square] = (NAME(v))ODD_BLOCKS(odd[0], odd[1]);
    }
#endif
}
