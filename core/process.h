/* core/process.h: other programs (dot, gnuplot), started by argument list. No shell ever sees a name or a path. */
#ifndef GRAPE_CORE_PROCESS_H
#define GRAPE_CORE_PROCESS_H

#include "core/status.h"

GR_BEGIN

/* Is there such a program in PATH (or, with a slash in its name, at that place)? Its path into buf. */
bool gr__program_find(const char *name, char *buf, size_t size);
/* How a path has to be spelled as an argument, so that no program takes it for an option: "./-x". Returns buf. */
const char *gr__program_path(const char *path, char *buf, size_t size);

typedef struct {
    const char *const *argv; /* ended by NULL; argv[0] is looked up in PATH */
    const void *input;       /* what it reads from its standard input */
    int64_t input_bytes;
    double timeout_s; /* then it is killed; 0: 60 s */
    char *output; /* the start of what it writes, standard output and errors together, ended by 0; NULL: discarded */
    size_t output_size;
    int exit_code; /* filled in; 128 + n if signal n ended it */
} gr__process;

/* Runs the program to its end. GR_EMISSING if there is none of that name, GR_EIO if it could not be started or was
 * killed by the timeout; GR_OK, with its exit code, otherwise. */
gr_status gr__process_run(gr__process *p);

GR_END
#endif
