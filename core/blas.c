/* Loads a CBLAS by dlopen. See blas.h. */
#include "core/blas.h"
#include "core/cpu.h"
#include "core/status.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* The part of CBLAS's interface that is used; integers of 32 bits. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
    const float *b, int ldb, float beta, float *c, int ldc);
typedef void dgemm_fn(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
    const double *b, int ldb, double beta, double *c, int ldc);

static struct {
    struct gr__blas info;
    sgemm_fn *sgemm;
    dgemm_fn *dgemm;
    char version[32];
} blas;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The address of `name` in lib, also with the prefix that OpenBLAS carries in Python wheels; into *fn. */
static bool find(void *lib, const char *name, void *fn, size_t size)
{
    char prefixed[64] = "scipy_";
    void *symbol = dlsym(lib, name);
    if (!symbol && strlen(name) < sizeof prefixed - 6)
        symbol = dlsym(lib, strcat(prefixed, name));
    memcpy(fn, &symbol, size);
    return symbol != NULL;
}
#define FIND(lib, name, fn) find((lib), (name), &(fn), sizeof(fn))

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." -> its first two words. False if its integers have 64 bits. */
static bool take_config(void *lib)
{
    const char *(*config)(void) = NULL;
    strcpy(blas.version, "CBLAS");
    if (!FIND(lib, "openblas_get_config", config))
        return true;
    const char *text = config();
    if (strstr(text, "USE64BITINT"))
        return false;
    const char *blank = strchr(text, ' '), *end = blank ? strchr(blank + 1, ' ') : NULL;
    size_t n = end ? (size_t)(end - text) : strlen(text);
    n = n < sizeof blas.version ? n : sizeof blas.version - 1;
    memcpy(blas.version, text, n), blas.version[n] = '\0';
    return true;
}

/* One thread. OpenBLAS's OpenMP build sets OpenMP's own number of threads by it, so that is put back. */
static void take_one_thread(void *lib)
{
    void (*set_threads)(int) = NULL;
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
#endif
    if (FIND(lib, "openblas_set_num_threads", set_threads) || FIND(lib, "MKL_Set_Num_Threads", set_threads))
        set_threads(1);
#ifdef _OPENMP
    omp_set_num_threads(threads);
#endif
}

/* Sets a variable that the user has not set; true if it did, and must unset it. */
static bool lend(const char *name, const char *value)
{
    return !getenv(name) && setenv(name, value, 1) == 0;
}

static void *load(const char *path)
{
    /* the environment is read by constructors that run within dlopen */
    bool core = gr__cpu_is_amd() && gr__cpu_isa() == GR_ISA_AVX512 && lend("OPENBLAS_CORETYPE", "SkylakeX");
    bool threads = lend("OPENBLAS_NUM_THREADS", "1"); /* else it starts a pool that is never used */
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (core)
        unsetenv("OPENBLAS_CORETYPE");
    if (threads)
        unsetenv("OPENBLAS_NUM_THREADS");
    return lib;
}

static bool open_library(const char *path)
{
    void *lib = load(path);
    const char *(*core)(void) = NULL;
    if (!lib)
        return false;
    sgemm_fn *sgemm = NULL;
    Dl_info where;
    void *symbol;
    if (!FIND(lib, "cblas_sgemm", sgemm) || !FIND(lib, "cblas_dgemm", blas.dgemm) || !take_config(lib))
        return false;
    take_one_thread(lib);
    memcpy(&symbol, &sgemm, sizeof symbol);
    blas.info.path = dladdr(symbol, &where) ? where.dli_fname : path;
    blas.info.version = blas.version;
    blas.info.core = FIND(lib, "openblas_get_corename", core) ? core() : "";
    blas.sgemm = sgemm;
    return true;
}

static void look(void)
{
    const char *wish = getenv("GRAPE_BLAS");
    const char *const names[] = {"libopenblas.so.0", "libmkl_rt.so.2", "libcblas.so.3"};
    if (wish && *wish) {
        if (strcmp(wish, "none") == 0 || open_library(wish))
            return;
        gr_log_write(GR_LOG_WARNING, "GRAPE_BLAS: %s is no CBLAS library with 32-bit integers\n", wish);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (open_library(names[i]))
            return;
}

const struct gr__blas *gr__blas(void)
{
    pthread_once(&once, look);
    return blas.sgemm ? &blas.info : NULL;
}

static bool fits(const gr__blas_gemm *g)
{
    const int64_t sizes[] = {g->m, g->n, g->k, g->lda, g->ldb, g->ldc};
    for (int i = 0; i < 6; i++)
        if (sizes[i] < 0 || sizes[i] > INT_MAX)
            return false;
    return gr__blas() != NULL;
}

#define GEMM(fn, T)                                                                                                \
    fn(ROW_MAJOR, g->a_transposed ? TRANS : NO_TRANS, g->b_transposed ? TRANS : NO_TRANS, (int)g->m, (int)g->n,     \
        (int)g->k, (T)g->alpha, g->a, (int)g->lda, g->b, (int)g->ldb, (T)g->beta, g->c, (int)g->ldc)

bool gr__blas_gemm_f32(const gr__blas_gemm *g)
{
    if (!fits(g))
        return false;
    GEMM(blas.sgemm, float);
    return true;
}

bool gr__blas_gemm_f64(const gr__blas_gemm *g)
{
    if (!fits(g))
        return false;
    GEMM(blas.dgemm, double);
    return true;
}
