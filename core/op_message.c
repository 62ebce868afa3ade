/* core/op_message.c: what a failed op says: itself, the argument, what was expected and found, then a line for each
 * operand (its type and where it came from) and for each layer around it. */
#include "core/node.h"
#include <string.h>

/* What gr_infer_fail adds to a message: set while inference runs. */
static _Thread_local struct {
    gr_at at;
    int n_in;
    gr_tensor *const *in;
    const gr_tape *tape;
} inferring;

void gr__infer_for(const gr__node *n)
{
    memset(&inferring, 0, sizeof inferring);
    if (n) {
        inferring.at = n->at;
        inferring.n_in = n->n_in;
        inferring.in = n->in;
        inferring.tape = n->tape;
    }
}

const char *gr__argument_name(const gr_op *op, int i, char *buf, size_t size)
{
    if (op && op->in_names && op->n_in > i)
        return op->in_names[i];
    if (i < 26 && (!op || op->n_in != -1))
        snprintf(buf, size, "%c", 'a' + i);
    else
        snprintf(buf, size, "[%d]", i);
    return buf;
}

static const char *short_file(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    return slash ? slash + 1 : file;
}

static void note_operand(const char *name, const gr_tensor *x)
{
    char type[200], from[300] = "";
    const gr__node *n = x->node;
    if (n->variable)
        snprintf(from, sizeof from, "weight %s", n->variable->path);
    else if (n->op == &gr_op_input)
        snprintf(from, sizeof from, "input %s", n->name);
    else if (n->op == &gr_op_constant)
        snprintf(from, sizeof from, "constant");
    else if (n->scope->parent && n->scope->at.file)
        snprintf(from, sizeof from, "from %s, %s:%d", n->scope->kind, short_file(n->scope->at.file), n->scope->at.line);
    else if (n->at.file)
        snprintf(from, sizeof from, "from %s, %s:%d", n->op->name, short_file(n->at.file), n->at.line);
    else
        snprintf(from, sizeof from, "from %s", n->op->name);
    gr_fail_note("    %-4s %-18s %s", name, gr_type_text(x->dtype, x->shape, type, sizeof type), from);
}

static void note_layers(const gr_tape *t)
{
    for (; t; t = t->parent)
        for (const gr__scope *s = t->scope; s && s->parent; s = s->parent)
            if (s->at.file)
                gr_fail_note("    in   %s, %s:%d", s->name, short_file(s->at.file), s->at.line);
            else
                gr_fail_note("    in   %s", s->name);
}

gr_tape *gr__deepest(int n_in, gr_tensor *const *in)
{
    gr_tape *best = NULL;
    int64_t best_depth = -1;
    for (int i = 0; i < n_in; i++) {
        if (gr__is_bad(in[i]))
            continue;
        int64_t depth = 0;
        for (gr_tape *t = in[i]->node->tape; t->parent; t = t->parent)
            depth++;
        if (depth > best_depth) {
            best_depth = depth;
            best = in[i]->node->tape;
        }
    }
    return best;
}

static void note_operands(const gr_op *op, int n_in, gr_tensor *const *in, const gr_tape *tape)
{
    char name[16];
    for (int i = 0; i < n_in && i < 8; i++)
        if (!gr__is_bad(in[i]))
            note_operand(gr__argument_name(op, i, name, sizeof name), in[i]);
    note_layers(tape);
}

gr_status gr_infer_fail(const gr_infer *f, gr_status status, const char *argument, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_fail(status, inferring.at, "%s: argument %s: %s", f->op->name, argument, text);
    note_operands(f->op, inferring.n_in, inferring.in, inferring.tape);
    return status;
}

void gr__op_fail_note(gr_tensor *const *in, int n_in, const char *const *names)
{
    for (int i = 0; i < n_in; i++)
        if (!gr__is_bad(in[i]))
            note_operand(names[i], in[i]);
    note_layers(gr__deepest(n_in, in));
}

gr_tensor *gr_op_fail(gr_at at, gr_status status, const char *op, const char *argument, int n_in, gr_tensor *const *in,
    const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_fail(status, at, "%s: argument %s: %s", op, argument, text);
    const gr_op *known = gr_op_named(op);
    if (!known && n_in == 1) /* a function of ops with one operand calls it x */
        gr__op_fail_note(in, 1, (const char *const[]){"x"});
    else
        note_operands(known, n_in, in, gr__deepest(n_in, in));
    return GR_BAD;
}
