/* compiler/room.c: see room.h. */
#include "compiler/room.h"
#include "core/size.h"
#include <string.h>

enum { PAGE = 4096 }; /* what different threads write lies apart */

/* What an eval gets for a buffer of no bytes when the arena has none either: C's memory functions refuse NULL. */
static _Alignas(64) char nothing[64];

void gr__room_clear(gr__room *r)
{
    gr__free(r->data);
    gr__free(r->arg);
    gr__free_aligned(r->block);
    *r = (gr__room){0};
}

/* One block for all, so that scratch lies on the arena's huge pages. Its contents are not kept: every run writes before
 * it reads. */
static bool grow(gr__room *r, int64_t arena_bytes, int64_t scratch_bytes, int threads)
{
    int64_t apart, all, total;
    if (!gr__round_up(scratch_bytes, PAGE, &apart) || !gr__mul(apart, threads, &all) ||
        !gr__add(all, arena_bytes, &total))
        return gr_fail(GR_EMEM, (gr_at){0}, "out of memory: scratch of %lld bytes for each of %d threads",
                   (long long)scratch_bytes, threads) == GR_OK;
    char *block = gr__alloc_unset(total);
    if (!block)
        return false;
    gr__free_aligned(r->block);
    r->block = block;
    for (int t = 0; t < threads; t++)
        r->scratch[t] = block + t * apart;
    r->threads = threads;
    r->scratch_bytes = scratch_bytes;
    r->arena = block + all;
    r->arena_bytes = arena_bytes;
    return true;
}

bool gr__room_fit(gr__room *r, const gr__plan *p)
{
    int64_t arena = p->bytes > r->arena_bytes ? p->bytes : r->arena_bytes;
    int64_t scratch = p->scratch > r->scratch_bytes ? p->scratch : r->scratch_bytes;
    int threads = p->threads > r->threads ? p->threads : r->threads;
    if ((arena > r->arena_bytes || scratch > r->scratch_bytes || threads > r->threads) &&
        !grow(r, arena, scratch, threads))
        return false;
    if (p->n_buffers > r->n_data) {
        void **more = gr__resize(r->data, p->n_buffers, sizeof *more);
        if (!more)
            return false;
        r->data = more;
        r->n_data = p->n_buffers;
    }
    if (p->n_args > r->n_arg) {
        gr_buffer *more = gr__resize(r->arg, p->n_args, sizeof *more);
        if (!more)
            return false;
        r->arg = more;
        r->n_arg = p->n_args;
    }
    return true;
}

static const gr__opaque *opaque_of(const gr__plan *p, int step)
{
    int group = p->step[step].group;
    return group >= 0 && p->group[group].opaque ? p->step[step].arg : NULL;
}

static void set_types(gr__room *r, const gr__plan *p)
{
    for (int s = 0; s < p->n_steps; s++) {
        const gr__opaque *o = opaque_of(p, s);
        if (o)
            memcpy(r->arg + o->first_arg, o->arg, (size_t)(o->node->n_in + o->node->n_out) * sizeof *o->arg);
    }
    r->set_for = p;
}

void gr__room_set(gr__room *r, const gr__plan *p, const gr_buffer *in)
{
    if (r->set_for != p)
        set_types(r, p);
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        switch (b->space) {
        case GR__ARENA:
            r->data[i] = r->arena ? r->arena + b->offset : nothing;
            break;
        case GR__INPUT:
            r->data[i] = in[b->index].data;
            break;
        case GR__VARIABLE:
            r->data[i] = ((const gr_variable *)b->data)->data;
            break;
        case GR__CONSTANT:
            r->data[i] = (void *)b->data;
        }
    }
    for (int s = 0; s < p->n_steps; s++) {
        const gr__opaque *o = opaque_of(p, s);
        for (int k = 0; o && k < o->node->n_in + o->node->n_out; k++)
            r->arg[o->first_arg + k].data = o->arg_buffer[k] < 0 ? NULL : r->data[o->arg_buffer[k]];
    }
}

int64_t gr__room_bytes(const gr__room *r)
{
    return r ? r->arena_bytes + r->threads * r->scratch_bytes : 0;
}

gr__room *gr__room_new(void)
{
    return gr__alloc(1, sizeof(gr__room));
}

void gr__room_free(gr__room *r)
{
    if (r)
        gr__room_clear(r);
    gr__free(r);
}
