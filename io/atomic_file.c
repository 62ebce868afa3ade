/* io/atomic_file.c: see atomic_file.h. */
#include "io/atomic_file.h"
#include "core/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, NAMES = 8 };

struct gr__atomic_file {
    const char *who;
    char *path, *temporary;
    int fd;
    gr_status status; /* of the writes so far */
    int64_t used;
    char buffer[BUFFER];
};

static gr_status fail(gr__atomic_file *f, const char *what)
{
    return f->status = gr_fail(GR_EIO, (gr_at){0}, "%s: file %s: %s: %s", f->who, f->path, what, strerror(errno));
}

static void release(gr__atomic_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    gr__free(f->path);
    gr__free(f->temporary);
    gr__free(f);
}

/* A temporary name that nobody else is writing to: the lock tells a living writer from a file left behind by a dead
 * one. Between opening and locking, its writer may have renamed it: then the name leads elsewhere, and another try is
 * due. */
static bool claim(gr__atomic_file *f, mode_t mode)
{
    size_t size = strlen(f->path) + 8;
    for (int i = 0; i < NAMES; i++) {
        struct stat opened, named;
        snprintf(f->temporary, size, "%s.tmp%d", f->path, i);
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
        if (f->fd < 0 && errno != ELOOP && errno != ENXIO && errno != EISDIR)
            return false;
        if (f->fd >= 0 && flock(f->fd, LOCK_EX | LOCK_NB) == 0 && fstat(f->fd, &opened) == 0 &&
            S_ISREG(opened.st_mode) && lstat(f->temporary, &named) == 0 && opened.st_ino == named.st_ino &&
            opened.st_dev == named.st_dev && ftruncate(f->fd, 0) == 0)
            return true;
        if (f->fd >= 0)
            close(f->fd);
        f->fd = -1;
        errno = EBUSY;
    }
    return false;
}

gr__atomic_file *gr__atomic_open(const char *who, const char *path)
{
    if (!path || !*path) {
        gr_fail(GR_EARG, (gr_at){0}, "%s: argument path: expected a file's name, found %s", who,
            path ? "an empty one" : "NULL");
        return NULL;
    }
    gr__atomic_file *f = gr__alloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (gr__atomic_file){.who = who, .fd = -1};
    f->path = gr__strdup(path);
    f->temporary = f->path ? gr__alloc((int64_t)strlen(path) + 8, 1) : NULL;
    struct stat old;
    bool replaces = f->temporary && stat(path, &old) == 0;
    if (replaces && !S_ISREG(old.st_mode))
        gr_fail(GR_EIO, (gr_at){0}, "%s: file %s: expected a plain file to replace, found %s", who, path,
            S_ISDIR(old.st_mode) ? "a folder" : "a pipe, device or socket");
    else if (f->temporary && !claim(f, 0666))
        fail(f, "cannot be written");
    else if (f->temporary && replaces && fchmod(f->fd, old.st_mode & 07777) != 0)
        fail(f, "cannot be given the mode of the one it replaces");
    if (f->fd >= 0 && f->status == GR_OK)
        return f;
    if (f->fd >= 0)
        unlink(f->temporary);
    release(f);
    return NULL;
}

static gr_status write_all(gr__atomic_file *f, const char *data, int64_t n)
{
    while (n > 0) {
        ssize_t done = write(f->fd, data, n < (1 << 30) ? (size_t)n : (size_t)1 << 30);
        if (done < 0 && errno != EINTR)
            return fail(f, "cannot be written");
        if (done > 0) {
            data += done;
            n -= done;
        }
    }
    return GR_OK;
}

static gr_status flush(gr__atomic_file *f)
{
    int64_t n = f->used;
    f->used = 0;
    return write_all(f, f->buffer, n);
}

gr_status gr__atomic_write(gr__atomic_file *f, const void *data, int64_t n)
{
    if (f->status != GR_OK)
        return f->status;
    if (n > BUFFER - f->used)
        GR_TRY(flush(f));
    if (n > BUFFER)
        return write_all(f, data, n);
    if (n > 0)
        memcpy(f->buffer + f->used, data, (size_t)n);
    f->used += n;
    return GR_OK;
}

/* The folder holds the name: a rename that is not synced may be forgotten. Some file systems cannot sync a folder,
 * which is no failure of the save. */
static void sync_folder(char *folder)
{
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

gr_status gr__atomic_commit(gr__atomic_file *f)
{
    if (f->status == GR_OK)
        flush(f);
    if (f->status == GR_OK && fsync(f->fd) != 0)
        fail(f, "cannot be written");
    if (f->status == GR_OK && rename(f->temporary, f->path) != 0)
        fail(f, "cannot take its name");
    gr_status status = f->status;
    if (status == GR_OK)
        sync_folder(f->path); /* cut short in place: a copy could fail, and the save has not */
    else
        unlink(f->temporary);
    release(f);
    return status;
}

void gr__atomic_abandon(gr__atomic_file *f)
{
    if (!f)
        return;
    unlink(f->temporary);
    release(f);
}
