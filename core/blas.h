/* core/blas.h: the door to OpenBLAS (or MKL, or any CBLAS), opened at run time on first need and never required.
 * It is the oracle in tests and an opponent in benchmarks; products of the library come from ops/kernels/gemm.h.
 *
 * OpenBLAS takes newer AMD CPUs for older ones without AVX-512 and loses half their speed. The core type can only be
 * told by the environment, before the library is loaded: so on an AMD CPU with AVX-512 OPENBLAS_CORETYPE, unless the
 * user has set it, is SkylakeX for the time of the load. No other thread may change the environment then (gr__blas is
 * called at a time when that is so, or not at all). It runs on one thread: whoever calls splits the work. */
#ifndef GRAPE_CORE_BLAS_H
#define GRAPE_CORE_BLAS_H

#include <stdbool.h>
#include <stdint.h>

struct gr__blas {
    const char *path;    /* of the library loaded */
    const char *version; /* "OpenBLAS 0.3.21", or "CBLAS" if it does not say */
    const char *core;    /* the kernels it chose, "SkylakeX", or "" */
};

/* The library, or NULL if there is none. Looks for $GRAPE_BLAS ("none": nothing at all), libopenblas.so.0,
 * libmkl_rt.so.2, libcblas.so.3, in this order, once. */
const struct gr__blas *gr__blas(void);

/* C = alpha op(A) op(B) + beta C, row-major; op transposes where asked. False, and nothing done, if there is no
 * library or a size does not fit its 32-bit integers. */
typedef struct {
    bool a_transposed, b_transposed;
    int64_t m, n, k;
    double alpha, beta;
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc; /* elements from row to row, as stored */
} gr__blas_gemm;
bool gr__blas_gemm_f32(const gr__blas_gemm *g);
bool gr__blas_gemm_f64(const gr__blas_gemm *g);

#endif
