/* compiler/place.c: where in a thread's scratch the slots of a tile program lie. */
#include "compiler/code.h"

static void give(gr__places *s, int64_t at, int64_t bytes)
{
    s->spare[s->n_spare].at = at;
    s->spare[s->n_spare++].bytes = bytes;
}

/* A free place of this size, or a new one. */
static int64_t take(gr__places *s, int64_t bytes)
{
    for (int i = s->n_spare - 1; i >= 0; i--)
        if (s->spare[i].bytes == bytes) {
            int64_t at = s->spare[i].at;
            for (s->n_spare--; i < s->n_spare; i++)
                s->spare[i] = s->spare[i + 1];
            return at;
        }
    s->top += bytes;
    return s->top - bytes;
}

static void free_operands(const gr__instr *in, int i, gr__places *s, bool alike_only)
{
    for (int k = 0; k < in->n_x; k++) {
        int slot = (int)in->x[k].offset;
        if (in->x[k].buffer >= 0 || s->last[slot] != i)
            continue;
        if (alike_only && (in->x[k].form != in->form || in->y.buffer >= 0 ||
                              s->bytes[slot] != s->bytes[in->y.offset]))
            continue;
        give(s, s->at[slot], s->bytes[slot]);
        s->last[slot] = -1;
    }
}

/* Slots get byte offsets after the product's scratch. An elementwise result may take the place of an operand that dies.
 */
void gr__place_slots(gr__code *c, int n_slots, const int64_t *bytes, gr__places *s)
{
    for (int i = 0; i < n_slots; i++)
        s->last[i] = -1;
    s->bytes = bytes;
    s->n_spare = 0;
    s->top = (c->kernel_scratch + 63) & ~(int64_t)63;
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->instr[i].n_x; k++)
            if (c->instr[i].x[k].buffer < 0)
                s->last[c->instr[i].x[k].offset] = i;
    for (int i = 0; i < c->first; i++)
        s->last[c->instr[i].y.offset] = c->n; /* they stay */
    for (int i = 0; i < c->n; i++) {
        gr__instr *in = &c->instr[i];
        if (in->op == GR__I_TILE)
            free_operands(in, i, s, true);
        bool made = in->y.buffer < 0;
        int slot = (int)in->y.offset;
        if (made)
            s->at[slot] = take(s, s->bytes[slot]);
        free_operands(in, i, s, false);
        if (made && s->last[slot] < 0 && i >= c->first) /* never read */
            give(s, s->at[slot], s->bytes[slot]);
    }
    for (int i = 0; i < c->n; i++) {
        gr__instr *in = &c->instr[i];
        for (int k = 0; k < in->n_x; k++)
            if (in->x[k].buffer < 0)
                in->x[k].offset = s->at[in->x[k].offset];
        if (in->y.buffer < 0)
            in->y.offset = s->at[in->y.offset];
    }
    c->scratch = s->top;
}
