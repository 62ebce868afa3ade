/* core/status.h: how a failure reaches the user.
 *
 * Actions return a gr_status, makers of objects NULL, ops GR_BAD (core/tape.h). The message is kept per thread; the
 * first one stays until it is reported or cleared, since later ones are its echoes. The library writes only through the
 * log hook. Read next: core/tape.h for how an op's message gets its operands and layers. */
#ifndef GRAPE_CORE_STATUS_H
#define GRAPE_CORE_STATUS_H

#include "core/export.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

GR_BEGIN

typedef enum {
    GR_OK = 0,
    GR_EARG,    /* an argument or option is impossible */
    GR_ESHAPE,  /* shapes do not fit */
    GR_EDTYPE,  /* dtypes do not fit */
    GR_ERANGE,  /* a value (index, label, size) is out of range */
    GR_ENAME,   /* an unknown name; the message lists the known ones */
    GR_EGRAD,   /* there is no gradient */
    GR_ENAN,    /* NaN or Inf where checking was asked for */
    GR_EMEM,    /* out of memory */
    GR_EIO,     /* the system refused a file or a process; the message holds its words */
    GR_EFORMAT, /* a file is not what it should be */
    GR_EMISSING, /* a part or a program is not there (built without it, not installed) */
    GR_ESTATE,  /* called at the wrong time: not compiled, not built, freed */
} gr_status;

/* A place in the user's source; file NULL means unknown. */
typedef struct {
    const char *file;
    int line;
} gr_at;

#ifdef __cplusplus
#define GR_HERE (gr_at{__FILE__, __LINE__})
#else
#define GR_HERE ((gr_at){__FILE__, __LINE__})
#endif

/* Status of this thread's first error, GR_OK if there is none. */
GR_API gr_status gr_error(void);
/* Its message (several lines, no final newline), "" if there is none. Valid until the next call that fails or
 * clears. */
GR_API const char *gr_error_message(void);
GR_API void gr_error_clear(void);
/* Prints the first error, if any, to f, clears it, and gives the exit code of a program: 0 or 1. */
GR_API int gr_report(FILE *f);
/* Short name of a status: "shape", "memory", ... */
GR_API const char *gr_status_name(gr_status s);

/* Records an error, unless this thread has one already, and returns its status. `at` is the user's line (or {0}).
 * The text is "who: argument x: expected ..., found ..."; file and line are put before it. */
GR_API gr_status gr_fail(gr_status status, gr_at at, const char *format, ...) GR_PRINTF(3, 4);
GR_API gr_status gr_fail_v(gr_status status, gr_at at, const char *format, va_list args);
/* Appends a line to the error recorded last if this thread's message is still the one recorded under `status`. */
GR_API void gr_fail_note(const char *format, ...) GR_PRINTF(1, 2);

#define GR_CHECK(cond, status, ...)                       \
    do {                                                  \
        if (!(cond))                                      \
            return gr_fail((status), GR_HERE, __VA_ARGS__); \
    } while (0)
#define GR_TRY(call)                  \
    do {                              \
        gr_status try_ = (call);      \
        if (try_ != GR_OK)            \
            return try_;              \
    } while (0)

/* The log hook: everything the library has to say goes through it, a whole line or a redrawn part of one at a time.
 * Default: stderr. NULL brings the default back. `text` need not end in a newline. */
typedef enum { GR_LOG_INFO, GR_LOG_WARNING, GR_LOG_PROGRESS } gr_log_level;
typedef void (*gr_log_fn)(void *user, gr_log_level level, const char *text);
GR_API void gr_set_log(gr_log_fn fn, void *user);
bool gr__log_is_default(void); /* else what is logged runs code of the user's */
GR_API void gr_log_write(gr_log_level level, const char *format, ...) GR_PRINTF(2, 3);

/* Checked builds only: mistakes inside the library. In a release build it costs and does nothing. */
#ifdef GRAPE_CHECKED
GR_API void gr__assert_failed(const char *what, const char *file, int line);
#define GR_ASSERT(cond) ((cond) ? (void)0 : gr__assert_failed(#cond, __FILE__, __LINE__))
#else
#define GR_ASSERT(cond) ((void)sizeof(cond))
#endif

GR_END
#endif
