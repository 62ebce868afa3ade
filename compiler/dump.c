/* compiler/dump.c: plans as text and as a picture of the arena. */
#include "compiler/code.h"
#include "compiler/dump.h"

/* ---- plan.txt ------------------------------------------------------------------------------------------------------ */

static void print_place(FILE *f, const gr__plan *p, const gr__place *x)
{
    if (x->buffer < 0) {
        fprintf(f, " s%lld", (long long)x->offset);
        return;
    }
    static const char *const space[] = {"m", "in", "var", "c"};
    fprintf(f, " %s%d", space[p->buffer[x->buffer].space], x->buffer);
    if (x->offset)
        fprintf(f, "+%lld", (long long)x->offset);
    fprintf(f, "[%lld,%lld]", (long long)x->row, (long long)x->col);
}

static void print_code(FILE *f, const gr__plan *p, const gr__code *c)
{
    static const char *const names[] = {"load", "tile", "reduce", "contract", "store"};
    static const char *const forms[] = {"number", "column", "row", "whole"};
    const gr__layout *l = c->layout;
    fprintf(f, "      %lld x %lld, tiles %lld x %lld, scratch %lld\n", (long long)l->rows, (long long)l->cols,
        (long long)l->tile_rows, (long long)l->tile_cols, (long long)c->scratch);
    for (int i = 0; i < c->n; i++) {
        const gr__instr *in = &c->instr[i];
        fprintf(f, "      %c %-8s %-6s", i < c->first ? '.' : ' ', names[in->op], forms[in->form]);
        print_place(f, p, &in->y);
        fprintf(f, " <-");
        for (int k = 0; k < (in->op == GR__I_CONTRACT ? 2 : in->n_x); k++)
            print_place(f, p, &in->x[k]);
        if (in->op == GR__I_TILE || in->op == GR__I_REDUCE || in->op == GR__I_CONTRACT)
            fprintf(f, "   %s", in->name ? in->name : "");
        fprintf(f, "%s\n", in->parts ? " (partial)" : "");
    }
}

void gr__dump_plan(FILE *f, const gr__plan *p)
{
    fprintf(f, "B = %lld: %d nodes, %d groups, %d steps, %d phases, %d threads\n", (long long)p->batch, p->n_nodes,
        p->n_groups, p->n_steps, p->n_phases, p->threads);
    fprintf(f, "arena %lld bytes (lower bound %lld), scratch %lld per thread, %.0f flops, %lld of %d assignments in place\n",
        (long long)p->bytes, (long long)p->lower_bound, (long long)p->scratch, p->flops, (long long)p->in_place,
        p->graph->n_commit);
    for (int ph = 0; ph < p->n_phases; ph++) {
        fprintf(f, "phase %d%s%s\n", ph, p->phase[ph].serial ? " serial" : "", p->phase[ph].barrier ? " after a barrier" : "");
        for (int s = p->phase[ph].first; s < p->phase[ph].end; s++) {
            const gr__step *st = &p->step[s];
            fprintf(f, "  step %d: %s, %lld tasks of %.0f ns, %.0f flops, %.0f bytes%s; threads take", s, st->name,
                (long long)st->tasks, st->task_ns, st->flops, st->bytes, st->pinned ? ", pinned" : "");
            for (int t = 1; t <= p->threads; t++)
                fprintf(f, " %lld", (long long)(st->begin[t] - st->begin[t - 1]));
            fprintf(f, "\n      reads");
            for (int i = 0; i < st->n_refs; i++)
                if (!st->ref[i].write)
                    fprintf(f, " %%%d(b%d)", p->value[st->ref[i].value].node, st->ref[i].buffer);
            fprintf(f, "; writes");
            for (int i = 0; i < st->n_refs; i++)
                if (st->ref[i].write)
                    fprintf(f, " %%%d(b%d)", st->ref[i].value < 0 ? -1 : p->value[st->ref[i].value].node, st->ref[i].buffer);
            fprintf(f, "\n");
            if (st->group >= 0 && !p->group[st->group].opaque)
                print_code(f, p, st->arg);
        }
    }
}
