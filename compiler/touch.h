/* compiler/touch.h: which bytes each task of a plan reads and writes, for race.c.
 *
 * A kind of step tells it beside the function that runs it, from the same offsets, strides and ranges; a step whose
 * tasks nobody can tell apart (an eval that splits its work as it likes) touches all that it refers to. */
#ifndef GRAPE_COMPILER_TOUCH_H
#define GRAPE_COMPILER_TOUCH_H

#include "compiler/plan.h"

enum { GR__TOUCH_AXES = GR_MAX_RANK + 1, GR__WHOLE_STEP = -1 };

/* Runs of bytes at regular distances: run (i, k, ..) begins at + i stride[0] + k stride[1] + .. bytes into the buffer.
 * Strides are positive, in rising order, and longer than what they step over. */
typedef struct gr__touch {
    int step;
    int64_t task; /* or GR__WHOLE_STEP */
    int buffer;
    bool write;
    int64_t at, run; /* bytes */
    int axes;
    int64_t count[GR__TOUCH_AXES], stride[GR__TOUCH_AXES];
} gr__touch;

typedef struct gr__touches {
    gr__touch *list;
    int64_t n, room;
    int step; /* of what is added */
    int64_t task;
    bool failed; /* no memory */
} gr__touches;

/* Adds `axes` axes of elements of `size` bytes, strides in bytes and of any sign or order; nothing if a count is 0. */
typedef struct gr__box {
    int64_t at, size;
    int axes;
    int64_t count[GR__TOUCH_AXES], stride[GR__TOUCH_AXES];
} gr__box;
void gr__touch_add(gr__touches *t, int buffer, bool write, const gr__box *b);
/* The same of bytes in one run. */
void gr__touch_run(gr__touches *t, int buffer, bool write, int64_t at, int64_t bytes);
/* All that a task touches, or a whole step without a function that tells. */
void gr__touch_task(const gr__plan *p, int step, int64_t task, gr__touches *t);
/* The task `t->task` of a tile program. */
void gr__touch_code(const gr__plan *p, const gr__step *s, gr__touches *t);

/* One past its last byte; the number of its bytes. */
int64_t gr__touch_end(const gr__touch *a);
int64_t gr__touch_bytes(const gr__touch *a);
/* Have they a byte in common, with b's buffer `apart` bytes behind a's? */
bool gr__touch_meet(const gr__touch *a, const gr__touch *b, int64_t apart);
/* Is every byte of b, of the same buffer, one of a? */
bool gr__touch_holds(const gr__touch *a, const gr__touch *b);
/* Run number i of it. */
int64_t gr__touch_runs(const gr__touch *a);
int64_t gr__touch_run_at(const gr__touch *a, int64_t i);

#endif
