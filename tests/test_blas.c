/* The BLAS door and the product without it. */
#include "core/blas.h"
#include "core/cpu.h"
#include "tests/harness.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static void loading_leaves_environment_and_threads_alone(void)
{
    const char *before = getenv("OPENBLAS_CORETYPE");
#ifdef _OPENMP
    omp_set_num_threads(3);
#endif
    const struct gr__blas *b = gr__blas();
    const char *after = getenv("OPENBLAS_CORETYPE");
    CU_ASSERT(before ? after && strcmp(before, after) == 0 : !after);
#ifdef _OPENMP
    CU_ASSERT_EQUAL(omp_get_max_threads(), 3);
#endif
    CU_ASSERT_PTR_EQUAL(b, gr__blas());
}

static void an_amd_cpu_with_avx512_gets_kernels_of_avx512(void)
{
    const struct gr__blas *b = gr__blas();
    if (!b || strncmp(b->version, "OpenBLAS", 8) != 0 || !gr__cpu_is_amd() || gr__cpu_isa() != GR_ISA_AVX512 ||
        getenv("OPENBLAS_CORETYPE")) {
        gr_test_skip("needs OpenBLAS on an AMD CPU with AVX-512");
        return;
    }
    CU_ASSERT_STRING_EQUAL(b->core, "SkylakeX");
    GR_EXPECT(b->path[0] == '/', "path %s", b->path);
}

static void a_product_is_right_in_each_transposition(void)
{
    if (!gr__blas()) {
        gr_test_skip("no BLAS library");
        return;
    }
    enum { M = 3, N = 4, K = 5 };
    for (int q = 0; q < 4; q++) {
        double a[M * K], b[K * N], c[M * N], want[M * N];
        float af[M * K], bf[K * N], cf[M * N];
        for (int i = 0; i < M * K; i++)
            af[i] = (float)(a[i] = i % 7 - 3);
        for (int i = 0; i < K * N; i++)
            bf[i] = (float)(b[i] = i % 5 - 2);
        for (int i = 0; i < M * N; i++)
            cf[i] = (float)(c[i] = want[i] = i);
        bool ta = q & 1, tb = q & 2;
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++)
                for (int p = 0; p < K; p++)
                    want[i * N + j] += 2 * a[ta ? p * M + i : i * K + p] * b[tb ? j * K + p : p * N + j];
        gr__blas_gemm g = {ta, tb, M, N, K, 2, 1, a, b, c, ta ? M : K, tb ? K : N, N};
        CU_ASSERT(gr__blas_gemm_f64(&g));
        g.a = af, g.b = bf, g.c = cf;
        CU_ASSERT(gr__blas_gemm_f32(&g));
        for (int i = 0; i < M * N; i++)
            GR_EXPECT(c[i] == want[i] && (double)cf[i] == want[i], "case %d, element %d: %g and %g, not %g", q, i, c[i],
                (double)cf[i], want[i]);
    }
}

static void sizes_beyond_32_bits_are_refused(void)
{
    float x = 1;
    gr__blas_gemm g = {false, false, 1, 1, (int64_t)INT_MAX + 1, 1, 0, &x, &x, &x, 1, 1, 1};
    CU_ASSERT_FALSE(gr__blas_gemm_f32(&g));
    CU_ASSERT_FALSE(gr__blas_gemm_f64(&g));
    g.k = 1, g.ldc = -1;
    CU_ASSERT_FALSE(gr__blas_gemm_f32(&g));
    CU_ASSERT_EQUAL(x, 1);
}

GR_SUITE("core/blas.c", GR_TEST(loading_leaves_environment_and_threads_alone),
    GR_TEST(an_amd_cpu_with_avx512_gets_kernels_of_avx512), GR_TEST(a_product_is_right_in_each_transposition),
    GR_TEST(sizes_beyond_32_bits_are_refused))
