/* compiler/dump.c: plans as text, graphs after each pass, the arena as a picture. The groups' picture: dump_dot.c. */
#include "compiler/code.h"
#include "compiler/dump.h"
#include "core/number.h"
#include "core/dot.h"
#include <errno.h>
#include <string.h>

/* ---- plan.txt ---------------------------------------------------------------------------------------------------- */

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
    static const char *const names[] = {"load", "tile", "reduce", "contract", "eval", "store", "none"};
    static const char *const forms[] = {"number", "column", "row", "whole"};
    const gr__layout *l = c->layout;
    fprintf(f, "      %lld x %lld, tiles %lld x %lld, scratch %lld\n", (long long)l->rows, (long long)l->cols,
        (long long)l->tile_rows, (long long)l->tile_cols, (long long)c->scratch);
    for (int i = 0; i < c->n; i++) {
        const gr__instr *in = &c->instr[i];
        fprintf(f, "      %c %-8s %-6s", i < c->first ? '.' : ' ', names[in->op], forms[in->form]);
        print_place(f, p, &in->y);
        for (int k = 1; in->op == GR__I_EVAL && k < in->eval->node->n_out; k++)
            if (in->eval->arg_buffer[in->n_x + k] >= 0)
                fprintf(f, " m%d", in->eval->arg_buffer[in->n_x + k]);
        for (int k = in->n_x - in->also; k < in->n_x; k++)
            print_place(f, p, &in->x[k]);
        fprintf(f, " <-");
        for (int k = 0; k < (in->op == GR__I_CONTRACT ? 2 : in->n_x - in->also); k++)
            print_place(f, p, &in->x[k]);
        for (int k = 0; k < in->n_joined; k++)
            fprintf(f, "%s%s", k ? ", " : "   ", in->joined[k]);
        if (in->op == GR__I_TILE || in->op == GR__I_REDUCE || in->op == GR__I_CONTRACT || in->op == GR__I_EVAL)
            fprintf(f, "%s%s", in->n_joined ? ", " : "   ", in->name ? in->name : "");
        fprintf(f, "%s\n", in->parts ? " (partial)" : "");
    }
}

static void print_refs(FILE *f, const gr__plan *p, const gr__step *s, bool write)
{
    for (int i = 0; i < s->n_refs; i++) {
        const gr__ref *r = &s->ref[i];
        if (r->write == write && r->value < 0)
            fprintf(f, " %s(b%d)", ((const gr_variable *)p->buffer[r->buffer].data)->path, r->buffer);
        else if (r->write == write)
            fprintf(f, " %%%d(b%d)", p->value[r->value].node, r->buffer);
    }
}

/* What the numbers of buffers stand for. */
static void print_buffers(FILE *f, const gr__plan *p)
{
    fprintf(f, "buffers\n");
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        const gr__node *n = p->node[p->value[b->value].node].node;
        fprintf(f, "  b%d: %lld bytes", i, (long long)b->bytes);
        if (b->space == GR__ARENA && b->first >= 0)
            fprintf(f, " of the arena from %lld on, in phases %d to %d: %%%lld %s\n", (long long)b->offset, b->first,
                b->last, (long long)n->id, n->op->name);
        else if (b->space == GR__ARENA)
            fprintf(f, ", not used: %%%lld %s\n", (long long)n->id, n->op->name);
        else if (b->space == GR__VARIABLE)
            fprintf(f, ", variable %s\n", ((const gr_variable *)b->data)->path);
        else if (b->space == GR__INPUT)
            fprintf(f, ", input %s\n", n->name ? n->name : "");
        else
            fprintf(f, ", constant %%%lld\n", (long long)n->id);
    }
}

void gr__dump_plan(FILE *f, const gr__plan *p)
{
    fprintf(f, "B = %lld: %d nodes, %d groups, %d steps, %d phases, %d threads\n", (long long)p->batch, p->n_nodes,
        p->n_groups, p->n_steps, p->n_phases, p->threads);
    fprintf(f,
        "arena %lld bytes (lower bound %lld), scratch %lld per thread, %.0f flops, %lld of %d assignments in place\n",
        (long long)p->bytes, (long long)p->lower_bound, (long long)p->scratch, p->flops, (long long)p->in_place,
        p->graph->n_commit);
    fprintf(f,
        "%%12(b5): node 12, in buffer 5 of the list below. In programs, scratch is s and its first byte; m5 in5\n"
        "var5 c5 are buffers, of the arena, an input, a variable, a constant, with [elements from row to row,\n"
        "from column to column]\n");
    for (int ph = 0; ph < p->n_phases; ph++) {
        fprintf(f, "phase %d%s%s\n", ph, p->phase[ph].serial ? " serial" : "",
            p->phase[ph].barrier ? " after a barrier" : "");
        for (int s = p->phase[ph].first; s < p->phase[ph].end; s++) {
            const gr__step *st = &p->step[s];
            char us[GR__NUMBER_TEXT];
            fprintf(f, "  step %d: %s, %lld tasks of %.0f ns, %s us in all, %.0f flops, %.0f bytes%s; threads take", s,
                st->name, (long long)st->tasks, st->task_ns,
                gr__short_text(st->task_ns * (double)st->tasks / 1e3, 4, us), st->flops, st->bytes,
                st->pinned ? ", pinned" : "");
            for (int t = 1; t <= p->threads; t++)
                fprintf(f, " %lld", (long long)(st->begin[t] - st->begin[t - 1]));
            fprintf(f, "\n      reads");
            print_refs(f, p, st, false);
            fprintf(f, "; writes");
            print_refs(f, p, st, true);
            fprintf(f, "\n");
            if (st->group >= 0 && !p->group[st->group].opaque)
                print_code(f, p, st->arg);
        }
    }
    print_buffers(f, p);
}

/* ---- memory.svg -------------------------------------------------------------------------------------------------- */

/* An attribute with a point in it whatever the program's locale. */
static void put_number(FILE *f, const char *name, double x)
{
    char text[GR__NUMBER_TEXT];
    fprintf(f, " %s=\"%s\"", name, gr__short_text(x, 6, text));
}

enum { MEMORY_WIDTH = 1000, MEMORY_HEIGHT = 600, MEMORY_LEFT = 60, LETTER = 5 /* wide, of 8 high */ };
static const struct {
    const char *what, *colour;
} phases[] = {{"forward", "#8ecae6"}, {"backward", "#ffb703"}, {"update", "#a7c957"}};

/* What the colours are; addresses in some six round steps; phases. */
static void memory_axes(FILE *f, const gr__plan *p, double x, double y)
{
    int64_t step = 64;
    while (p->bytes / step > 8)
        step *= 2;
    const int64_t unit = step >= 1 << 20 ? 1 << 20 : step >= 1 << 10 ? 1 << 10 : 1;
    for (int i = 0; i < 3; i++)
        fprintf(f,
            "<rect x=\"%d\" y=\"-22\" width=\"12\" height=\"12\" fill=\"%s\"/>"
            "<text x=\"%d\" y=\"-12\" font-size=\"12\">%s</text>\n",
            MEMORY_WIDTH - 270 + 90 * i, phases[i].colour, MEMORY_WIDTH - 254 + 90 * i, phases[i].what);
    for (int64_t at = 0; at <= p->bytes; at += step) {
        fprintf(f, "<text font-size=\"10\" text-anchor=\"end\" x=\"-4\"");
        put_number(f, "y", MEMORY_HEIGHT - (double)at * y + 3);
        fprintf(f, ">%lld%s</text>\n", (long long)(at / unit), unit == 1 ? " B" : unit == 1 << 10 ? " KiB" : " MiB");
    }
    for (int ph = 0, each = 1 + p->n_phases / 20; ph < p->n_phases; ph += each) {
        fprintf(f, "<text font-size=\"10\"");
        put_number(f, "x", ph * x), put_number(f, "y", MEMORY_HEIGHT + 14);
        fprintf(f, ">%s%d</text>\n", ph ? "" : "phase ", ph);
    }
}

/* Phases to the right, addresses upwards, a rectangle per buffer. */
static void dump_memory(FILE *f, const gr__plan *p)
{
    const double width = MEMORY_WIDTH, height = MEMORY_HEIGHT;
    double x = width / (p->n_phases ? p->n_phases : 1), y = height / (double)(p->bytes ? p->bytes : 1);
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"%d -30 %d %d\" font-family=\"sans-serif\">\n",
        -MEMORY_LEFT, MEMORY_WIDTH + MEMORY_LEFT + 20, MEMORY_HEIGHT + 60);
    char bytes[40], least[40];
    fprintf(f, "<rect x=\"%d\" y=\"-30\" width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", -MEMORY_LEFT);
    fprintf(f,
        "<text y=\"-12\" font-size=\"14\">%s in %d phase%s; lower bound %s<title>%lld and %lld bytes</title></text>\n",
        gr__bytes_text((double)p->bytes, bytes, sizeof bytes), p->n_phases, p->n_phases == 1 ? "" : "s",
        gr__bytes_text((double)p->lower_bound, least, sizeof least), (long long)p->bytes, (long long)p->lower_bound);
    for (int i = 0; i < p->n_buffers; i++) {
        const gr__buffer *b = &p->buffer[i];
        if (b->space != GR__ARENA || b->first < 0)
            continue;
        const gr__node *n = p->node[p->value[b->value].node].node;
        fprintf(f, "<rect");
        put_number(f, "x", b->first * x), put_number(f, "y", height - (double)(b->offset + b->bytes) * y);
        put_number(f, "width", (b->last - b->first + 1) * x), put_number(f, "height", (double)b->bytes * y);
        fprintf(f, " fill=\"%s\" stroke=\"#333\" stroke-width=\"0.5\">", phases[n->phase % 3].colour);
        fprintf(f, "<title>%%%lld %s, %lld bytes at %lld, phases %d to %d</title></rect>\n", (long long)n->id,
            n->op->name, (long long)b->bytes, (long long)b->offset, b->first, b->last);
        const int letters = snprintf(NULL, 0, "%%%lld %s", (long long)n->id, n->op->name);
        if ((double)b->bytes * y < 9 || (b->last - b->first + 1) * x < LETTER * letters + 3)
            continue;
        fprintf(f, "<text font-size=\"8\""); /* where there is room for it */
        put_number(f, "x", b->first * x + 3), put_number(f, "y", height - (double)b->offset * y - 2);
        fprintf(f, ">%%%lld %s</text>\n", (long long)n->id, n->op->name);
    }
    memory_axes(f, p, x, y);
    fprintf(f, "</svg>\n");
}

static FILE *open_in(const char *dir, const char *name, const char *ending)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, ending);
    FILE *f = fopen(path, "w");
    if (!f)
        gr_fail(GR_EIO, (gr_at){0}, "program_dump: %s: %s", path, strerror(errno));
    return f;
}

static gr_status close_after(FILE *f, const char *name)
{
    bool bad = ferror(f);
    GR_CHECK(fclose(f) == 0 && !bad, GR_EIO, "program_dump: %s: %s", name, strerror(errno));
    return GR_OK;
}

/* Takes the text. */
static gr_status write_text(const char *dir, const char *name, const char *ending, char *text)
{
    if (!text)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    FILE *f = open_in(dir, name, ending);
    if (f)
        fputs(text, f);
    gr_text_free(text);
    return f ? close_after(f, name) : GR_EIO;
}

gr_status gr__dump_graph_to(const gr__graph *g, const char *dir, const char *name)
{
    int n = 0;
    gr_tensor **result = gr__alloc(g->n_out + g->n_commit + 1, sizeof *result);
    if (!result)
        return GR_EMEM;
    for (int i = 0; i < g->n_out; i++)
        result[n++] = g->out[i];
    for (int i = 0; i < g->n_commit; i++)
        result[n++] = g->commit[i];
    gr_status s = write_text(dir, name, ".txt", gr__graph_text(g->tape, n, result));
    gr__free(result);
    if (s == GR_OK)
        s = write_text(dir, name, ".dot", gr_tape_dot_text(g->tape, &(gr_dot_opts){.title = name}));
    return s;
}

gr_status gr__dump_plan_to(const gr__plan *p, const char *dir)
{
    FILE *f = open_in(dir, "plan", ".txt");
    if (!f)
        return GR_EIO;
    gr__dump_plan(f, p);
    GR_TRY(close_after(f, "plan.txt"));
    if (!(f = open_in(dir, "memory", ".svg")))
        return GR_EIO;
    dump_memory(f, p);
    GR_TRY(close_after(f, "memory.svg"));
    return write_text(dir, "groups", ".dot", gr__groups_dot(p, "groups"));
}
