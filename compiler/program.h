/* compiler/program.h: tape in, program out.
 *
 * A program is a tape's outputs and assignments, simplified, fused into groups, placed in one arena and cut into steps
 * that a team of threads runs. It keeps nothing of the tape but the variables, which it reads and assigns to.
 *
 *     gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y});
 *     gr_program_run(p, (gr_array *[]){batch}, (gr_array *[]){result});
 *
 * The batch size B is taken from the inputs of each run; the plans of the last few sizes are kept. A run allocates
 * nothing once its size has been seen. Read next: compiler/compile.c, which lists the passes. */
#ifndef GRAPE_COMPILER_PROGRAM_H
#define GRAPE_COMPILER_PROGRAM_H

#include "core/tape.h"

GR_BEGIN

typedef struct gr_program gr_program;

#define GR_PROGRAM_MAX 64 /* inputs, and outputs */

/* Passes that may be left out: bits of gr_program_opts.passes_off, and GRAPE_PASSES=-cse,-fuse in the environment. */
typedef enum {
    GR_PASS_SIMPLIFY = 1 << 0, /* rewrites of ops/rules.c */
    GR_PASS_INEXACT = 1 << 1,  /* those of them that may change the last bit */
    GR_PASS_FOLD = 1 << 2,     /* constants of constants */
    GR_PASS_CSE = 1 << 3,      /* equal nodes of different layers */
    GR_PASS_FUSE = 1 << 4,     /* several nodes in one group */
    GR_PASS_STRIPS = 1 << 5,   /* contractions with what follows them */
    GR_PASS_VIEWS = 1 << 6,    /* transposes, slices and broadcasts read in place */
    GR_PASS_INPLACE = 1 << 7,  /* assignments written straight into the variable */
    GR_PASS_REUSE = 1 << 8,    /* buffers that share memory */
    GR_PASS_SERIAL = 1 << 9,   /* short phases on one thread, without a barrier */
    GR_PASS_EXAMPLES = 1 << 10, /* convolutions and pooling with what surrounds them, example by example */
    GR_PASS_REMAT = 1 << 11,    /* forward values computed again by the backward pass */
    GR_PASS_KEEP = 1 << 12,     /* but not small ones */
    GR_PASS_PACK = 1 << 13,     /* weights laid for many rows' product */
} gr_pass;

typedef struct gr_program_opts {
    gr_tensor *inputs[GR_PROGRAM_MAX + 1];  /* gr_input nodes, in the order of gr_program_run; ended by NULL */
    gr_tensor *outputs[GR_PROGRAM_MAX + 1]; /* what to compute; ended by NULL */
    const char *name;                       /* for dumps and profiles; "program" */
    int64_t max_batch;                      /* plan for this batch size at once; 0: at the first run */
    int threads;                            /* 0: gr_num_threads() */
    unsigned passes_off;                    /* gr_pass bits */
    bool frozen; /* keeps the variables' values of now, and computes what follows from them once; assigns nothing */
    bool verify;                            /* check the graph after every pass, and the plan; GRAPE_VERIFY=1 too */
} gr_program_opts;

/* Compiles the outputs and every assignment recorded on the tape. The tape may be freed afterwards, the variables not.
 * NULL on failure. */
GR_API gr_program *gr_program_new_at(gr_at at, gr_tape *t, const gr_program_opts *opts);
#define gr_program_new(t, ...) gr_program_new_at(GR_HERE, (t), &(gr_program_opts){__VA_ARGS__})
GR_API void gr_program_free(gr_program *p);

/* One step: computes the outputs from the inputs and commits the assignments. `in` holds one array per input; out[i]
 * must have dtype and shape of output i at this batch size, or be NULL (not wanted). On failure nothing is assigned. */
GR_API gr_status gr_program_run(gr_program *p, gr_array *const in[], gr_array *const out[]);

/* What the plan of the last batch size looks like. */
typedef struct {
    int64_t batch;
    int64_t nodes;                          /* after the passes */
    int64_t groups, steps, phases;          /* a barrier lies between phases that are not both serial */
    int64_t arena_bytes, lower_bound_bytes; /* of intermediate values; the most that live at one time */
    int64_t scratch_bytes;                  /* per thread */
    double flops;                           /* of one run */
    int64_t assigns_in_place, assigns;
} gr_program_stats;
GR_API gr_program_stats gr_program_plan(const gr_program *p);

/* Writes graph.txt, graph.dot, groups.dot, plan.txt and memory.svg into a folder that exists; the last three of the
 * latest batch size. GRAPE_DUMP=DIR does so for every program as it is compiled, into DIR/name, and writes the graph
 * after each pass too (NN-pass.txt, NN-pass.dot). */
GR_API gr_status gr_program_dump(gr_program *p, const char *dir);
/* The compiled program as a picture, by the file's ending as gr_tape_dot: a cluster per group, forward blue, backward
 * orange, update green; bold edges go through memory. Of the latest batch size (or max_batch, or 32). */
GR_API gr_status gr_program_dot_at(gr_at at, gr_program *p, const char *file);
#define gr_program_dot(...) gr_program_dot_at(GR_HERE, __VA_ARGS__)

/* The form that training loops use: raw row-major buffers, read in place; data of out[i] may be NULL, else it has room
 * for out[i].shape, which is checked. Random numbers are those of (seed, step). No heap allocation for a known batch
 * size. */
typedef struct gr__room gr__room;
gr_status gr__program_run(
    gr_program *p, const gr_buffer *in, const gr_buffer *out, uint64_t seed, uint64_t step);
/* A program has a room of its own to run in, the memory of its intermediate values. Programs that never run at the same
 * time, as those of a model, may share one, which grows to what the largest needs; it is freed after them. A run that
 * finds another in the room is an error. */
gr__room *gr__room_new(void);
void gr__room_free(gr__room *r);
int64_t gr__room_bytes(const gr__room *r);
gr_status gr__program_share(gr_program *p, gr__room *room);
/* Several runs at once, for models/predictor.c: gr__program_fix, once, makes plans of n sizes that stay; a room is
 * the memory of one run of any of them. A run on plan `which` takes buffers of that size, unchecked, allocates nothing,
 * and runs in different rooms may go on at the same time. Only one of those is profiled. */
gr_status gr__program_fix(gr_program *p, int n, const int64_t *batch);
gr__room *gr__program_room(const gr_program *p);
gr_status gr__program_run_in(const gr_program *p, gr__room *room, int which, const gr_buffer *in, const gr_buffer *out,
    uint64_t seed, bool profiled);
/* Has it a user's op whose eval may not run beside itself? */
bool gr__program_is_serial(const gr_program *p);
/* Threads that its runs use: what a team that is held for them needs (core/team.h). */
int gr__program_threads(const gr_program *p);

GR_END
#endif
