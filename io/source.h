/* io/source.h: where readers take their bytes from: a file, a file behind gzip, a member of an archive, memory.
 *
 * A source knows how many bytes can still come, so that a reader can refuse a size before it allocates anything. Every
 * message says "who: file PATH: expected ..., found ...". */
#ifndef GRAPE_IO_SOURCE_H
#define GRAPE_IO_SOURCE_H

#include "core/status.h"

GR_BEGIN

typedef struct gr__source {
    const char *who;  /* the function the user called: "idx_load" */
    const char *name; /* the file, or "FILE: member" */
    int64_t left;     /* bytes still to come, if .exact; else no more than this */
    bool exact;
    /* Reads up to n > 0 bytes: *got is 0 at the end. Fails with a message. */
    gr_status (*read)(struct gr__source *s, void *dst, int64_t n, int64_t *got);
    int fd;      /* of a plain file */
    int64_t at;  /* where in it */
    int64_t size; /* of the file, compressed or not */
    void *state; /* of other sources */
} gr__source;

/* Opens a regular file for reading: a folder, a pipe or a device is refused (and does not block). */
gr_status gr__source_open(gr__source *s, const char *who, const char *path);
void gr__source_close(gr__source *s);
/* n bytes in memory. */
gr__source gr__source_memory(const char *who, const char *name, const void *data, int64_t n);
/* Puts a gunzip on an open file that starts like a gzip file (else leaves it as it is). */
gr_status gr__source_gunzip(gr__source *s);

/* Exactly n bytes; an earlier end is GR_EFORMAT: "expected 16 bytes of WHAT, found 3". */
gr_status gr__source_read(gr__source *s, void *dst, int64_t n, const char *what);
/* GR_EFORMAT unless count * size bytes can still come: asked before they are allocated. */
gr_status gr__source_has(gr__source *s, int64_t count, int64_t size, const char *what);
/* GR_EFORMAT unless this is the end. */
gr_status gr__source_end(gr__source *s);
/* "who: file NAME: ..." */
gr_status gr__source_fail(const gr__source *s, gr_status status, const char *format, ...) GR_PRINTF(3, 4);

GR_END
#endif
