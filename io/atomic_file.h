/* io/atomic_file.h: a file that is there whole or not at all: written under a temporary name in the same folder,
 * synced, renamed over the old one, and the folder synced. A process killed half-way leaves at most one temporary file,
 * which the next save of that name uses again. */
#ifndef GRAPE_IO_ATOMIC_FILE_H
#define GRAPE_IO_ATOMIC_FILE_H

#include "core/status.h"

GR_BEGIN

typedef struct gr__atomic_file gr__atomic_file;

/* NULL, and a message that names the file and holds the system's words, if it cannot be made. `who` is the function
 * that the user called. Only a plain file is replaced; its mode is kept. */
gr__atomic_file *gr__atomic_open(const char *who, const char *path);
/* After a failure, further writes do nothing and give its status again. */
gr_status gr__atomic_write(gr__atomic_file *f, const void *data, int64_t n);
/* Makes it the file of its name, if all went well; else removes it. Frees f either way. */
gr_status gr__atomic_commit(gr__atomic_file *f);
/* Removes what was written and frees f; NULL is fine. */
void gr__atomic_abandon(gr__atomic_file *f);

GR_END
#endif
