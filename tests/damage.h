/* Damaged files: every truncation, every byte changed in several ways, every aligned word set to what sizes fear most.
 */
#ifndef GR_TESTS_DAMAGE_H
#define GR_TESTS_DAMAGE_H

#include "core/status.h"
#include "tests/harness.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    int tried, accepted;
} gr_damage;

static inline void gr_write_file(const char *path, const void *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        CU_FAIL("cannot write a test file");
    close(fd);
}

/* The bytes of a file; *n of them, at most 64 KiB. Freed by the caller. */
static inline unsigned char *gr_read_file(const char *path, size_t *n)
{
    unsigned char *bytes = malloc(1 << 16);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, 1 << 16);
    if (fd >= 0)
        close(fd);
    *n = got < 0 ? 0 : (size_t)got;
    return bytes;
}

/* `load` returns whether it took the file; if not there has to be an error, if so there must be none. */
static inline void gr_try_damaged(gr_damage *d, bool (*load)(const char *path), int fd, const void *data, size_t n,
    const char *how, size_t where)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* a file in memory: there are thousands */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
        CU_FAIL("cannot write a test file");
    bool taken = load(path);
    GR_EXPECT(taken == (gr_error() == GR_OK), "%s at %zu: %s, yet \"%s\"", how, where, taken ? "taken" : "refused",
        gr_error_message());
    gr_error_clear();
    d->tried++;
    d->accepted += taken;
}

static inline int gr_open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static inline gr_damage gr_damage_all(const unsigned char *good, size_t n, bool (*load)(const char *path))
{
    gr_damage d = {0, 0};
    int files = gr_open_files();
    int fd = memfd_create("damaged", MFD_CLOEXEC);
    unsigned char *bad = malloc(n + 1);
    memcpy(bad, good, n);
    for (size_t i = 0; i < n; i++)
        gr_try_damaged(&d, load, fd, good, i, "cut", i);
    static const int changes = 5;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < changes; c++) {
            unsigned char b = good[i];
            const unsigned char to[] = {b ^ 0xff, b ^ 0x01, b ^ 0x80, 0, (unsigned char)(b + 1)};
            bad[i] = to[c];
            if (bad[i] != b)
                gr_try_damaged(&d, load, fd, bad, n, "byte", i);
            bad[i] = b;
        }
    static const uint64_t words[] = {0, 1, UINT64_MAX, INT32_MAX, UINT64_C(1) << 31, UINT64_C(1) << 32, INT64_MAX,
        UINT64_C(1) << 63, UINT64_C(1) << 62};
    for (size_t width = 4; width <= 8; width += 4)
        for (size_t i = 0; i + width <= n; i += width)
            for (size_t w = 0; w < 2 * sizeof words / sizeof *words; w++) {
                uint64_t x = words[w / 2];
                for (size_t j = 0; j < width; j++) /* either byte order */
                    bad[i + (w % 2 ? width - 1 - j : j)] = (unsigned char)(x >> 8 * j);
                if (memcmp(bad, good, n) != 0)
                    gr_try_damaged(&d, load, fd, bad, n, "word", i);
                memcpy(bad + i, good + i, width);
            }
    free(bad);
    close(fd);
    CU_ASSERT_EQUAL(gr_open_files(), files);
    return d;
}

#endif
