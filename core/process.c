/* core/process.c: see process.h. Input and output are files in memory, not pipes: nobody has to read while another
 * writes, and no SIGPIPE can hit the caller. */
#include "core/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static bool is_program(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

bool gr__program_find(const char *name, char *buf, size_t size)
{
    if (!name || !*name)
        return false;
    if (strchr(name, '/'))
        return snprintf(buf, size, "%s", name) < (int)size && is_program(buf);
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin:/bin"; ; p++) {
        size_t n = strcspn(p, ":");
        int length = snprintf(buf, size, "%.*s%s%s", (int)n, p, n ? "/" : "./", name); /* an empty entry is here */
        if (length > 0 && (size_t)length < size && is_program(buf))
            return true;
        p += n;
        if (!*p)
            return false;
    }
}

const char *gr__program_path(const char *path, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s", *path == '-' ? "./" : "", path);
    return buf;
}

static int file_in_memory(void)
{
#ifdef MFD_CLOEXEC
    int fd = memfd_create("grape", MFD_CLOEXEC);
    if (fd >= 0)
        return fd;
#endif
    char path[] = "/tmp/grape-XXXXXX";
    int plain = mkostemp(path, O_CLOEXEC);
    if (plain >= 0)
        unlink(path);
    return plain;
}

static bool write_all(int fd, const char *data, int64_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, data, n < (1 << 30) ? (size_t)n : (size_t)1 << 30);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            data += done;
            n -= done;
        }
    }
    return lseek(fd, 0, SEEK_SET) == 0;
}

static void read_start(int fd, char *output, size_t size)
{
    size_t n = 0;
    while (output && n + 1 < size) {
        ssize_t got = pread(fd, output + n, size - 1 - n, (off_t)n);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    if (output && size)
        output[n] = '\0';
}

/* A child whose number is held by a descriptor can be killed without hitting another process by mistake. */
static void end_child(pid_t child)
{
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_send_signal)
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (fd >= 0) {
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        close(fd);
    }
#else
    (void)child;
#endif
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits for the child; false if it had to be killed. */
static bool wait_for(pid_t child, double timeout_s, int *code)
{
    double end = now_s() + timeout_s;
    bool in_time = true;
    int status = 0;
    for (long nap_ns = 200000;; nap_ns = nap_ns < 10000000 ? nap_ns * 2 : nap_ns) {
        pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child || (got < 0 && errno != EINTR))
            break; /* no such child: the caller has SIGCHLD ignored, and nobody knows how it ended */
        if (in_time && now_s() > end) {
            in_time = false;
            end_child(child);
        }
        nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
    }
    *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return in_time;
}

/* The child gets an empty signal mask and the default action for SIGPIPE, whatever the caller has. */
static int start(pid_t *child, const char *path, const gr__process *p, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, pipes;
    int error = posix_spawn_file_actions_init(&files);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&files);
        return error;
    }
    sigemptyset(&none);
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipes);
    error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, in, 0);
    for (int fd = 1; fd <= 2 && !error; fd++)
        error = posix_spawn_file_actions_adddup2(&files, out, fd);
    if (!error)
        error = posix_spawn(child, path, &files, &attributes, (char *const *)(uintptr_t)p->argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static gr_status run_with(gr__process *p, const char *path, int in, int out)
{
    pid_t child;
    double timeout_s = p->timeout_s > 0 ? p->timeout_s : 60;
    if (in < 0 || out < 0 || !write_all(in, p->input, p->input_bytes))
        return gr_fail(GR_EIO, (gr_at){0}, "%s: cannot keep its input: %s", p->argv[0], strerror(errno));
    int error = start(&child, path, p, in, out);
    if (error)
        return gr_fail(GR_EIO, (gr_at){0}, "%s: cannot be started: %s", p->argv[0], strerror(error));
    bool in_time = wait_for(child, timeout_s, &p->exit_code);
    read_start(out, p->output, p->output_size);
    if (!in_time)
        return gr_fail(GR_EIO, (gr_at){0}, "%s: expected it to end within %g s, and stopped it", p->argv[0], timeout_s);
    return GR_OK;
}

gr_status gr__process_run(gr__process *p)
{
    char path[4096];
    if (!p->argv || !p->argv[0] || p->input_bytes < 0)
        return gr_fail(GR_EARG, (gr_at){0}, "process: expected a program's name, found none");
    if (p->output && p->output_size)
        p->output[0] = '\0';
    p->exit_code = -1;
    if (!gr__program_find(p->argv[0], path, sizeof path))
        return gr_fail(GR_EMISSING, (gr_at){0}, "%s: expected this program in PATH, found none", p->argv[0]);
    int in = file_in_memory(), out = file_in_memory();
    gr_status s = run_with(p, path, in, out);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return s;
}
