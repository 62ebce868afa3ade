/* core/status.c: the first error of each thread, and the log hook. See status.h. */
#include "core/status.h"
#include <stdatomic.h>
#include <string.h>

enum { MESSAGE_BYTES = 6144 };

static _Thread_local struct {
    gr_status status;
    bool open; /* the last gr_fail of this thread was the one kept: notes belong to it */
    size_t length;
    char text[MESSAGE_BYTES];
} error;

gr_status gr_error(void)
{
    return error.status;
}

const char *gr_error_message(void)
{
    return error.status == GR_OK ? "" : error.text;
}

void gr_error_clear(void)
{
    error.status = GR_OK;
    error.open = false;
    error.length = 0;
    error.text[0] = '\0';
}

static void append(const char *format, va_list args)
{
    size_t room = sizeof error.text - error.length;
    int n = vsnprintf(error.text + error.length, room, format, args);
    if (n > 0)
        error.length += (size_t)n < room ? (size_t)n : room - 1;
}

static void append_text(const char *format, ...) GR_PRINTF(1, 2);
static void append_text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(format, args);
    va_end(args);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

gr_status gr_fail_v(gr_status status, gr_at at, const char *format, va_list args)
{
    error.open = error.status == GR_OK;
    if (!error.open)
        return status;
    error.status = status;
    error.length = 0;
    if (at.file)
        append_text("%s:%d: ", base_name(at.file), at.line);
    append(format, args);
    return status;
}

gr_status gr_fail(gr_status status, gr_at at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gr_fail_v(status, at, format, args);
    va_end(args);
    return status;
}

void gr_fail_note(const char *format, ...)
{
    if (!error.open)
        return;
    va_list args;
    va_start(args, format);
    append_text("\n");
    append(format, args);
    va_end(args);
}

int gr_report(FILE *f)
{
    if (error.status == GR_OK)
        return 0;
    fprintf(f, "%s\n", error.text);
    gr_error_clear();
    return 1;
}

const char *gr_status_name(gr_status s)
{
    static const char *const names[] = {"ok", "argument", "shape", "dtype", "range", "name", "gradient", "nan",
        "memory", "io", "format", "missing", "state"};
    return (size_t)s < sizeof names / sizeof *names ? names[s] : "unknown";
}

/* Set rarely, read often and from any thread: two atomics, the function published last. */
static _Atomic(gr_log_fn) log_fn;
static _Atomic(void *) log_user;

bool gr__log_is_default(void)
{
    return atomic_load(&log_fn) == NULL;
}

void gr_set_log(gr_log_fn fn, void *user)
{
    atomic_store(&log_user, user);
    atomic_store(&log_fn, fn);
}

void gr_log_write(gr_log_level level, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_log_fn fn = atomic_load(&log_fn);
    if (fn) {
        fn(atomic_load(&log_user), level, text);
        return;
    }
    fputs(text, stderr);
    if (level != GR_LOG_PROGRESS)
        fputc('\n', stderr);
    fflush(stderr);
}

#ifdef GRAPE_CHECKED
void gr__assert_failed(const char *what, const char *file, int line)
{
    gr_log_write(GR_LOG_WARNING, "%s:%d: internal check failed: %s", file, line, what);
    gr_fail(GR_ESTATE, (gr_at){file, line}, "internal check failed: %s", what);
    __builtin_trap();
}
#endif
