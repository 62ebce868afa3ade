/* A libFuzzer target: every reader of io/ tries every input; tools/fuzz builds and runs it. Files are seeds as they
 * are. What is read is saved again and has to come back equal. */
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void round_trip(gr_array *a)
{
    static const char path[] = "/tmp/grape-fuzz.npy";
    must(gr_npy_save(path, a) == GR_OK);
    gr_array *back = gr_npy_load(path);
    must(back && gr_array_equal(a, back));
    gr_array_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[40];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    gr_array *idx = gr_idx_load(path), *npy = NULL;
    must((idx != NULL) == (gr_error() == GR_OK));
    gr_error_clear();
    npy = gr_npy_load(path);
    must((npy != NULL) == (gr_error() == GR_OK));
    gr_error_clear();
    gr_npz *npz = gr_npz_load(path);
    must((npz != NULL) == (gr_error() == GR_OK));
    gr_error_clear();
    gr_safetensors *t = gr_safetensors_load(path);
    must((t != NULL) == (gr_error() == GR_OK));
    gr_error_clear();
    if (npy)
        round_trip(npy);
    else if (idx)
        round_trip(idx);
    gr_array_free(idx);
    gr_array_free(npy);
    gr_npz_free(npz);
    gr_safetensors_free(t);
    return 0;
}
