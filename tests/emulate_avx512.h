/* AVX-512 on a machine that has only AVX2: the preset emulate-avx512 puts this before the kernels of that instruction
 * set and compiles them for AVX2 (cmake/isa.cmake). A vector of 512 bits is then two registers, and the builtins that
 * the kernels use stand below; all else is their own code, with the tiles, blocks, branches and bits of AVX-512. What
 * it does not show is speed, and what a compiler makes of the real instructions. */
#ifndef GR_TESTS_EMULATE_AVX512_H
#define GR_TESTS_EMULATE_AVX512_H

#include <stdint.h>

#define __AVX512F__  1
#define __AVX512BW__ 1
#define __AVX512DQ__ 1
#define __AVX512VL__ 1

#define EMU static inline __attribute__((always_inline, unused))

typedef float emu_ps __attribute__((vector_size(64)));
typedef double emu_pd __attribute__((vector_size(64)));
typedef int32_t emu_int __attribute__((vector_size(64)));
typedef float emu_half_ps __attribute__((vector_size(32)));
typedef double emu_half_pd __attribute__((vector_size(32)));
typedef int32_t emu_half_int __attribute__((vector_size(32)));
typedef long long emu_half_long __attribute__((vector_size(32)));
typedef union {
    emu_ps ps;
    emu_pd pd;
    emu_int lanes;
    emu_half_ps half_ps[2];
    emu_half_pd half_pd[2];
} emu_pair;

EMU emu_ps emu_fma_ps(emu_ps a, emu_ps b, emu_ps c)
{
    emu_pair x = {.ps = a}, y = {.ps = b}, z = {.ps = c};
    for (int i = 0; i < 2; i++)
        z.half_ps[i] = __builtin_ia32_vfmaddps256(x.half_ps[i], y.half_ps[i], z.half_ps[i]);
    return z.ps;
}
EMU emu_pd emu_fma_pd(emu_pd a, emu_pd b, emu_pd c)
{
    emu_pair x = {.pd = a}, y = {.pd = b}, z = {.pd = c};
    for (int i = 0; i < 2; i++)
        z.half_pd[i] = __builtin_ia32_vfmaddpd256(x.half_pd[i], y.half_pd[i], z.half_pd[i]);
    return z.pd;
}

/* ---- a mask's bits as lanes of ones or zeros, and back ----------------------------------------------------------- */

EMU uint16_t emu_bits(emu_int lanes)
{
    emu_pair x = {.lanes = lanes};
    return (uint16_t)(__builtin_ia32_movmskps256(x.half_ps[0]) | __builtin_ia32_movmskps256(x.half_ps[1]) << 8);
}
EMU emu_half_int emu_lanes(unsigned bits) /* of the lower 8 */
{
    return ((emu_half_int){1, 2, 4, 8, 16, 32, 64, 128} & (int32_t)bits) != 0;
}
EMU emu_half_long emu_long_lanes(unsigned bits) /* of the lower 4 */
{
    return ((emu_half_long){1, 2, 4, 8} & (long long)bits) != 0;
}
EMU uint16_t emu_cmp_ps(emu_ps a, emu_ps b, int how)
{
    emu_int less = a < b, equal = a == b;
    return emu_bits(how == 0 ? equal : how == 1 ? less : how == 2 ? less | equal : (a != a) | (b != b));
}
EMU uint16_t emu_equal_int(emu_int a, emu_int b)
{
    return emu_bits(a == b);
}
EMU emu_ps emu_blend_ps(emu_ps clear, emu_ps set, uint16_t mask)
{
    emu_pair x = {.ps = clear}, y = {.ps = set};
    for (int i = 0; i < 2; i++)
        x.half_ps[i] = __builtin_ia32_blendvps256(x.half_ps[i], y.half_ps[i], (emu_half_ps)emu_lanes(mask >> 8 * i));
    return x.ps;
}

/* ---- a part of a vector in memory; the rest of it is not touched ------------------------------------------------ */

EMU emu_ps emu_load_ps(const float *p, uint16_t mask)
{
    emu_pair x;
    for (int i = 0; i < 2; i++)
        x.half_ps[i] = (emu_half_ps)__builtin_ia32_maskloadps256((const emu_half_ps *)(const void *)(p + 8 * i),
            emu_lanes(mask >> 8 * i));
    return x.ps;
}
EMU emu_pd emu_load_pd(const double *p, uint8_t mask)
{
    emu_pair x;
    for (int i = 0; i < 2; i++)
        x.half_pd[i] = (emu_half_pd)__builtin_ia32_maskloadpd256((const emu_half_pd *)(const void *)(p + 4 * i),
            emu_long_lanes(mask >> 4 * i));
    return x.pd;
}
EMU void emu_store_ps(float *p, emu_ps x, uint16_t mask)
{
    emu_pair y = {.ps = x};
    for (int i = 0; i < 2; i++)
        __builtin_ia32_maskstoreps256((emu_half_ps *)(void *)(p + 8 * i), emu_lanes(mask >> 8 * i), y.half_ps[i]);
}
EMU void emu_store_pd(double *p, emu_pd x, uint8_t mask)
{
    emu_pair y = {.pd = x};
    for (int i = 0; i < 2; i++)
        __builtin_ia32_maskstorepd256((emu_half_pd *)(void *)(p + 4 * i), emu_long_lanes(mask >> 4 * i),
            y.half_pd[i]);
}

/* The kernels give whole masks where they do not mean a part, and the current rounding. */
#define __builtin_ia32_vfmaddps512_mask(a, b, c, all, round) emu_fma_ps(a, b, c)
#define __builtin_ia32_vfmaddpd512_mask(a, b, c, all, round) emu_fma_pd(a, b, c)
#define __builtin_ia32_cmpps512_mask(a, b, how, all, round)  emu_cmp_ps(a, b, how)
#define __builtin_ia32_cmpd512_mask(a, b, equal, all)        emu_equal_int(a, b)
#define __builtin_ia32_blendmps_512_mask(clear, set, mask)   emu_blend_ps(clear, set, mask)
#define __builtin_ia32_selectps_512(mask, set, clear)        emu_blend_ps(clear, set, mask)
#define __builtin_ia32_loadups512_mask(p, zero, mask)        emu_load_ps(p, mask)
#define __builtin_ia32_loadupd512_mask(p, zero, mask)        emu_load_pd(p, mask)
#define __builtin_ia32_storeups512_mask(p, x, mask)          emu_store_ps(p, x, mask)
#define __builtin_ia32_storeupd512_mask(p, x, mask)          emu_store_pd(p, x, mask)

#endif
