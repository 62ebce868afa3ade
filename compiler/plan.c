/* compiler/plan.c: makes and frees plans; see plan.h. */
#include "compiler/profile.h"
#include <stdlib.h>

static const struct {
    const char *name;
    gr_status (*run)(gr__plan *p);
} passes[] = {
    {"bind", gr__plan_bind},
    {"group", gr__plan_group},
    {"buffers", gr__plan_buffers},
    {"steps", gr__plan_steps},
    {"schedule", gr__plan_schedule},
    {"parts", gr__plan_parts},
    {"memory", gr__plan_memory},
};

gr__plan *gr__plan_new(const gr__graph *g, int64_t batch, int threads, unsigned off)
{
    gr__plan *p = gr__alloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (gr__plan){.graph = g, .batch = batch, .threads = threads, .off = off};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (passes[i].run(p) != GR_OK) {
            gr__plan_free(p);
            return NULL;
        }
    gr__free(p->room);
    p->room = NULL;
    if (getenv("GRAPE_PROFILE"))
        p->profile = gr__profile_new(p);
    return p;
}

void gr__plan_free(gr__plan *p)
{
    if (!p)
        return;
    gr__profile_free(p->profile);
    gr__free(p->room);
    gr__arena_free(&p->arena);
    gr__free(p);
}
