/* io/source.c: see source.h; the gunzip is in io/gzip.c. */
#include "io/source.h"
#include "core/size.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

gr_status gr__source_fail(const gr__source *s, gr_status status, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return gr_fail(status, (gr_at){0}, "%s: file %s: %s", s->who, s->name, text);
}

static gr_status read_file(gr__source *s, void *dst, int64_t n, int64_t *got)
{
    for (;;) {
        ssize_t done = pread(s->fd, dst, n < (1 << 30) ? (size_t)n : (size_t)1 << 30, (off_t)s->at);
        if (done >= 0) {
            *got = done;
            s->at += done;
            return GR_OK;
        }
        if (errno != EINTR)
            return gr__source_fail(s, GR_EIO, "cannot be read: %s", strerror(errno));
    }
}

gr_status gr__source_open(gr__source *s, const char *who, const char *path)
{
    *s = (gr__source){.who = who, .name = path ? path : "", .read = read_file, .exact = true, .fd = -1};
    if (!path || !*path)
        return gr_fail(GR_EARG, (gr_at){0}, "%s: argument path: expected a file's name, found %s", who,
            path ? "an empty one" : "NULL");
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* opening a pipe must not wait for its writer */
    if (s->fd < 0)
        return gr__source_fail(s, GR_EIO, "cannot be opened: %s", strerror(errno));
    struct stat info;
    if (fstat(s->fd, &info) == 0 && S_ISREG(info.st_mode)) {
        s->size = s->left = info.st_size;
        return GR_OK;
    }
    gr_status bad = gr__source_fail(s, GR_EIO, "expected a plain file, found %s",
        S_ISDIR(info.st_mode) ? "a folder" : "a pipe, device or socket");
    gr__source_close(s);
    return bad;
}

static gr_status read_memory(gr__source *s, void *dst, int64_t n, int64_t *got)
{
    *got = n < s->size - s->at ? n : s->size - s->at;
    if (*got)
        memcpy(dst, (const char *)s->state + s->at, (size_t)*got);
    s->at += *got;
    return GR_OK;
}

gr__source gr__source_memory(const char *who, const char *name, const void *data, int64_t n)
{
    return (gr__source){.who = who, .name = name, .left = n, .exact = true, .read = read_memory, .fd = -1, .size = n,
        .state = (void *)(uintptr_t)data};
}

gr_status gr__source_read(gr__source *s, void *dst, int64_t n, const char *what)
{
    int64_t have = 0, got;
    while (have < n) {
        GR_TRY(s->read(s, (char *)dst + have, n - have, &got));
        if (got == 0)
            return gr__source_fail(s, GR_EFORMAT, "expected %lld bytes of %s, found %lld", (long long)n, what,
                (long long)have);
        have += got;
        s->left -= got < s->left ? got : s->left;
    }
    return GR_OK;
}

enum { FREE_BYTES = 256 << 20, MOST_TIMES = 100 }; /* beyond both, a compressed file is a bomb */

gr_status gr__source_has(gr__source *s, int64_t count, int64_t size, const char *what)
{
    int64_t bytes;
    if (count < 0 || !gr__mul(count, size, &bytes))
        return gr__source_fail(s, GR_EFORMAT, "expected %s of less than 2^63 bytes, found more", what);
    if (bytes > s->left)
        return gr__source_fail(s, GR_EFORMAT, "expected %lld bytes of %s, found %s%lld", (long long)bytes, what,
            s->exact ? "" : "a file that can hold at most ", (long long)s->left);
    if (!s->exact && bytes > FREE_BYTES && bytes / MOST_TIMES > s->size)
        return gr__source_fail(s, GR_EFORMAT,
            "expected %s of at most 256 MiB or %d times the file, found %lld bytes in %lld", what, MOST_TIMES,
            (long long)bytes, (long long)s->size);
    return GR_OK;
}

gr_status gr__source_end(gr__source *s)
{
    char more;
    int64_t got;
    if (s->exact && s->left > 0)
        return gr__source_fail(s, GR_EFORMAT, "expected its end, found %lld more bytes", (long long)s->left);
    GR_TRY(s->read(s, &more, 1, &got));
    return got ? gr__source_fail(s, GR_EFORMAT, "expected its end, found more bytes") : GR_OK;
}
