/* compiler/room.h: the memory that one run of a plan needs. Plans are read only; runs that go on at the same time have
 * a room each, programs that never run at the same time may share one. */
#ifndef GRAPE_COMPILER_ROOM_H
#define GRAPE_COMPILER_ROOM_H

#include "compiler/plan.h"

/* Begins as zeros: a room of nothing. */
struct gr__room {
    char *block; /* scratch, then the arena; NULL while no plan needs any */
    char *arena; /* intermediate values */
    int64_t arena_bytes;
    int threads;
    char *scratch[GR_MAX_THREADS]; /* per thread */
    int64_t scratch_bytes;         /* of each */
    void **data;                   /* per buffer of the plan */
    int64_t n_data;
    gr_buffer *arg; /* of the plan's opaque steps, one after the other */
    int64_t n_arg;
    const gr__plan *set_for; /* the plan that dtypes and shapes in `arg` are of; NULL: none */
    atomic_bool busy;        /* a run of gr__program_run is in it */
};

void gr__room_clear(gr__room *r);
/* Grows it so that the plan can run in it; false without memory, and then it is as it was or larger. */
bool gr__room_fit(gr__room *r, const gr__plan *p);
/* Where everything lies in a run on these inputs. */
void gr__room_set(gr__room *r, const gr__plan *p, const gr_buffer *in);

#endif
