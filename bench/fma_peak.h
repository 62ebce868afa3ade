/* bench/fma_peak.h: the machine's multiply-add peak, measured: what every speed is a fraction of.
 *
 * Each thread keeps 12 vectors in registers and does nothing but fused multiply-adds on them; the best of five rounds
 * counts. The widest vectors that the CPU has and the library would use are taken. */
#ifndef GRAPE_BENCH_FMA_PEAK_H
#define GRAPE_BENCH_FMA_PEAK_H

#include <stdint.h>
#include <string.h>
#include <time.h>

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define FMA_CHAINS     12 /* latency 4, two a cycle: 8 would do */
#define FMA_TWELVE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define FMA_START(K)   a##K = SET((float)K),
#define FMA_STEP(K)    a##K = FMA(a##K, x, y);
#define FMA_END(K)     ADD(total, a##K);
#define FMA_LOOP(NAME, VEC, TARGET)                                                                                    \
    TARGET static float fma_loop_##NAME(int64_t rounds)                                                                \
    {                                                                                                                  \
        VEC FMA_TWELVE(FMA_START) x = SET(0.999999f), y = SET(1e-6f), total = y;                                       \
        for (int64_t r = 0; r < rounds; r++) {                                                                         \
            FMA_TWELVE(FMA_STEP)                                                                                       \
        }                                                                                                              \
        FMA_TWELVE(FMA_END)                                                                                            \
        float first;                                                                                                   \
        memcpy(&first, &total, sizeof first);                                                                          \
        return first;                                                                                                  \
    }

#if defined(__x86_64__)
#include <immintrin.h>
#define SET(c)       _mm512_set1_ps(c)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ADD(t, a)    t = _mm512_add_ps(t, a)
FMA_LOOP(avx512, __m512, __attribute__((target("avx512f"))))
#undef SET
#undef FMA
#undef ADD
#define SET(c)       _mm256_set1_ps(c)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ADD(t, a)    t = _mm256_add_ps(t, a)
FMA_LOOP(avx2, __m256, __attribute__((target("avx2,fma"))))
#undef SET
#undef FMA
#undef ADD
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SET(c)       vdupq_n_f32(c)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define ADD(t, a)    t = vaddq_f32(t, a)
FMA_LOOP(neon, float32x4_t, )
#undef SET
#undef FMA
#undef ADD
#endif
#define SET(c)       (c)
#define FMA(a, b, c) ((a) * (b) + (c))
#define ADD(t, a)    t += a
FMA_LOOP(plain, float, )
#undef SET
#undef FMA
#undef ADD

/* GFLOP/s of `threads` threads together. */
static inline double fma_peak(int threads)
{
    float (*loop)(int64_t) = fma_loop_plain;
    double lanes = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        loop = fma_loop_avx512, lanes = 16;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        loop = fma_loop_avx2, lanes = 8;
#elif defined(__aarch64__)
    loop = fma_loop_neon, lanes = 4;
#endif
    const int64_t rounds = 2000000;
    double best = 0;
    for (int round = 0; round < 5; round++) {
        float sink = 0;
        double start = bench_now();
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) reduction(+ : sink) schedule(static, 1)
#endif
        for (int t = 0; t < threads; t++)
            sink += loop(rounds);
        double seconds = bench_now() - start;
        double rate = 2 * lanes * FMA_CHAINS * (double)rounds * threads / seconds * 1e-9;
        if (sink != 0 && rate > best) /* always: keeps the loops alive */
            best = rate;
    }
    return best;
}
#endif
