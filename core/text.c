/* core/text.c: writing a tape as text, and comparing two tapes. The form is described in text.h; text_parse.c reads it.
 */
#include "core/text.h"
#include "core/node.h"
#include "core/number.h"
#include "core/size.h"
#include <string.h>

/* ---- a text that grows ------------------------------------------------------------------------------------------- */

void gr__put_bytes(gr__writer *w, const char *s, int64_t n)
{
    if (w->failed)
        return;
    if (w->used + n + 1 > w->room) {
        int64_t room = (w->used + n + 1) * 2;
        char *more = gr__resize(w->text, room, 1);
        if (!more) {
            w->failed = true;
            return;
        }
        w->text = more;
        w->room = room;
    }
    memcpy(w->text + w->used, s, (size_t)n);
    w->used += n;
    w->text[w->used] = '\0';
}

void gr__put(gr__writer *w, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0)
        gr__put_bytes(w, text, n < (int)sizeof text ? n : (int)sizeof text - 1);
}

static bool is_plain(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("_.-/", *p)))
            return false;
    return *s != '\0';
}

static void put_escaped(gr__writer *w, const char *s, bool slash)
{
    for (; *s; s++)
        if (*s == '"' || *s == '\\' || (slash && *s == '/'))
            gr__put(w, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            gr__put(w, "\\x%02x", (unsigned char)*s);
        else
            gr__put_bytes(w, s, 1);
}

void gr__put_name(gr__writer *w, const char *s)
{
    if (is_plain(s)) {
        gr__put_bytes(w, s, (int64_t)strlen(s));
        return;
    }
    gr__put(w, "\"");
    put_escaped(w, s, false);
    gr__put(w, "\"");
}

/* ---- parts of a line --------------------------------------------------------------------------------------------- */

static void put_at(gr__writer *w, gr_at at)
{
    if (!at.file)
        return;
    gr__put(w, " @ ");
    gr__put_name(w, at.file);
    gr__put(w, ":%d", at.line);
}

enum { SCOPES = 64 }; /* depth printed; deeper ones are cut */

/* "dense/inner"; in quotes if a name is no plain word, and a slash in a name as \/ */
static void put_path(gr__writer *w, const gr__scope *s)
{
    const gr__scope *path[SCOPES];
    int n = 0;
    bool plain = true;
    for (; s->parent && n < SCOPES; s = s->parent) {
        path[n++] = s;
        plain = plain && is_plain(s->name) && !strchr(s->name, '/');
    }
    gr__put(w, plain ? "" : "\"");
    for (int i = n - 1; i >= 0; i--) {
        put_escaped(w, path[i]->name, true);
        gr__put(w, i ? "/" : "");
    }
    gr__put(w, plain ? "" : "\"");
}

static void put_ref(gr__writer *w, const gr_tensor *x)
{
    gr__put(w, x->index ? "%%%lld.%d" : "%%%lld", (long long)x->node->id, x->index);
}

static bool is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static size_t field_bytes(gr_field_type t)
{
    static const size_t bytes[] = {[GR_FIELD_INT] = sizeof(int),
        [GR_FIELD_INT64] = sizeof(int64_t),
        [GR_FIELD_FLOAT] = sizeof(float),
        [GR_FIELD_DOUBLE] = sizeof(double),
        [GR_FIELD_BOOL] = sizeof(bool),
        [GR_FIELD_STRING] = sizeof(char *),
        [GR_FIELD_SHAPE] = sizeof(gr_shape),
        [GR_FIELD_DTYPE] = sizeof(gr_dtype),
        [GR_FIELD_ENUM] = sizeof(int),
        [GR_FIELD_SPEC] = sizeof(void *),
        [GR_FIELD_POINTER] = sizeof(void *)};
    return (size_t)t < sizeof bytes / sizeof *bytes ? bytes[t] : 0;
}

static bool put_field(gr__writer *w, const gr__node *n, const gr_field *f)
{
    char text[4096];
    if (f->type == GR_FIELD_POINTER || f->type == GR_FIELD_SPEC) {
        gr_fail(GR_EARG, n->at, "tape_text: argument %s of %s: expected a value that has a text form, found a pointer",
            f->name, n->op->name);
        return false;
    }
    gr__put(w, "%s = ", f->name);
    if (f->type == GR_FIELD_STRING) {
        const char *s;
        memcpy(&s, (const char *)n->attr + f->offset, sizeof s);
        gr__put(w, "\"");
        put_escaped(w, s, false);
        gr__put(w, "\"");
    } else {
        gr_field_text(f, n->attr, text, sizeof text);
        gr__put_bytes(w, text, (int64_t)strlen(text));
    }
    return true;
}

/* Attributes that are not zero; raw bytes where the op has no field table. */
static bool put_attr(gr__writer *w, const gr__node *n)
{
    const char *base = n->attr, *separator = " {";
    if (!base || is_zero(base, n->op->attr_size))
        return true;
    if (!n->op->attrs) {
        gr__put(w, " {bytes = ");
        for (size_t i = 0; i < n->op->attr_size; i++)
            gr__put(w, "%02x", (unsigned char)base[i]);
        gr__put(w, "}");
        return true;
    }
    bool any = false;
    for (const gr_field *f = n->op->attrs; f->name; f++) {
        if (is_zero(base + f->offset, field_bytes(f->type)))
            continue;
        gr__put(w, "%s", separator);
        separator = ", ";
        any = true;
        if (!put_field(w, n, f))
            return false;
    }
    gr__put(w, any ? "}" : "");
    return true;
}

static void put_number(gr__writer *w, gr_dtype t, const void *data, int64_t i)
{
    char text[GR__NUMBER_TEXT];
    switch (t) {
    case GR_F32: {
        float x = ((const float *)data)[i];
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (x != x) /* a NaN's sign and payload are kept */
            gr__put(w, "0x%08x", bits);
        else
            gr__put(w, "%s", gr__float_text(x, text));
        break;
    }
    case GR_F64: {
        double x = ((const double *)data)[i];
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (x != x)
            gr__put(w, "0x%016llx", (unsigned long long)bits);
        else
            gr__put(w, "%s", gr__double_text(x, text));
        break;
    }
    case GR_I32:
        gr__put(w, "%d", (int)((const int32_t *)data)[i]);
        break;
    case GR_I64:
        gr__put(w, "%lld", (long long)((const int64_t *)data)[i]);
        break;
    default:
        gr__put(w, "%d", ((const uint8_t *)data)[i]);
    }
}

/* " = 0.5" or " = [1, 2]" */
static void put_data(gr__writer *w, const gr__node *n)
{
    int64_t size = gr_shape_size(n->out[0].shape);
    bool one = n->out[0].shape.rank == 0;
    gr__put(w, one ? " = " : " = [");
    for (int64_t i = 0; i < size; i++) {
        gr__put(w, i ? ", " : "");
        put_number(w, n->out[0].dtype, n->data, i);
    }
    gr__put(w, one ? "" : "]");
}

static void put_marks(gr__writer *w, const gr__node *n)
{
    static const char *const phases[] = {"", " backward", " update"};
    put_at(w, n->at);
    if (n->scope->parent) {
        gr__put(w, " in ");
        put_path(w, n->scope);
    }
    gr__put(w, "%s", phases[n->phase]);
    if (n->origin && n->origin->tape == n->tape)
        gr__put(w, " of %%%lld", (long long)n->origin->id);
    if (n->clone)
        gr__put(w, " clone %lld", (long long)n->clone);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void indent(gr__writer *w, int depth)
{
    for (int i = 0; i < depth; i++)
        gr__put(w, "    ");
}

static bool put_node(gr__writer *w, const gr__node *n)
{
    char type[200];
    gr__put(w, "%%%lld", (long long)n->id);
    if (n->n_out != 1)
        gr__put(w, ":%d", n->n_out);
    gr__put(w, " = %s", n->op->name);
    if (n->name || n->op == &gr_op_variable) {
        gr__put(w, " ");
        gr__put_name(w, n->name ? n->name : n->variable->path);
    }
    if (!(n->op->traits & GR_LEAF)) {
        gr__put(w, "(");
        for (int i = 0; i < n->n_in; i++) {
            gr__put(w, i ? ", " : "");
            put_ref(w, n->in[i]);
        }
        gr__put(w, ")");
        if (!put_attr(w, n))
            return false;
    }
    for (int i = 0; i < n->n_out; i++)
        gr__put(w, "%s%s", i ? ", " : " : ", gr_type_text(n->out[i].dtype, n->out[i].shape, type, sizeof type));
    if (n->op == &gr_op_constant)
        put_data(w, n);
    put_marks(w, n);
    gr__put(w, "\n");
    return true;
}

static bool same_at(gr_at a, gr_at b)
{
    return a.line == b.line && (a.file == b.file || (a.file && b.file && strcmp(a.file, b.file) == 0));
}

/* The scope of that path on t, which may be another tape; NULL if it has none. */
static const gr__scope *scope_like(const gr_tape *t, const gr__scope *s)
{
    for (const gr__scope *own = t->scopes; own; own = own->next)
        if (own->path_hash == s->path_hash && strcmp(own->name, s->name) == 0)
            return own;
    return NULL;
}

/* Scopes in the order they were opened; those of a region only if its parent does not tell the same. */
static bool put_scopes(gr__writer *w, const gr_tape *t, const gr_tape *parent, int depth)
{
    const gr__scope **by_id = gr__alloc(t->n_scopes, sizeof *by_id);
    if (!by_id)
        return false;
    for (const gr__scope *s = t->scopes; s; s = s->next)
        by_id[s->id] = s;
    for (int64_t i = 1; i < t->n_scopes; i++) {
        const gr__scope *s = by_id[i], *above = s && parent ? scope_like(parent, s) : NULL;
        if (!s || (above && strcmp(above->kind, s->kind) == 0 && same_at(above->at, s->at)))
            continue;
        indent(w, depth);
        gr__put(w, "scope ");
        put_path(w, s);
        if (*s->kind) {
            gr__put(w, " : ");
            gr__put_name(w, s->kind);
        }
        put_at(w, s->at);
        gr__put(w, "\n");
    }
    gr__free(by_id);
    return true;
}

static void put_return(gr__writer *w, int n, gr_tensor *const *results, int depth)
{
    indent(w, depth);
    gr__put(w, "return ");
    for (int i = 0; i < n; i++) {
        gr__put(w, i ? ", " : "");
        put_ref(w, results[i]);
    }
    gr__put(w, "\n");
}

/* Regions nest a few levels deep. */
static bool put_tape(gr__writer *w, const gr_tape *t, const gr_tape *parent, int depth)
{
    if (!put_scopes(w, t, parent, depth))
        return false;
    for (int64_t id = 0; id < t->n_nodes; id++) {
        const gr__node *n = t->node[id];
        indent(w, depth);
        if (!put_node(w, n))
            return false;
        for (int i = 0; i < n->n_regions; i++) {
            const gr__region *r = n->region[i];
            indent(w, depth);
            gr__put(w, "region {\n");
            if (!put_tape(w, r->tape, t, depth + 1))
                return false;
            put_return(w, r->n_results, r->result, depth + 1);
            indent(w, depth);
            gr__put(w, "}\n");
        }
    }
    return !w->failed;
}

char *gr__graph_text(const gr_tape *t, int n_results, gr_tensor *const *results)
{
    gr__writer w = {NULL, 0, 0, false};
    gr__put_bytes(&w, "", 0); /* an empty tape has a text too */
    bool good = put_tape(&w, t, NULL, 0);
    if (good && n_results > 0)
        put_return(&w, n_results, results, 0);
    if (good && !w.failed)
        return w.text;
    gr__free(w.text);
    return NULL;
}

char *gr_tape_text(const gr_tape *t)
{
    return t ? gr__graph_text(t, 0, NULL) : NULL;
}

void gr_text_free(char *text)
{
    gr__free(text);
}

gr_status gr_tape_print(const gr_tape *t, FILE *f)
{
    GR_CHECK(t && f, GR_EARG, "tape_print: expected a tape and a file, found NULL");
    char *text = gr_tape_text(t);
    if (!text)
        return gr_error();
    bool written = fputs(text, f) >= 0 && fflush(f) == 0;
    gr__free(text);
    GR_CHECK(written, GR_EIO, "tape_print: the file does not take the text");
    return GR_OK;
}

/* ---- equality ---------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_scope(const gr__scope *a, const gr__scope *b)
{
    for (; a && b; a = a->parent, b = b->parent)
        if (strcmp(a->name, b->name) != 0 || strcmp(a->kind, b->kind) != 0 || !same_at(a->at, b->at))
            return false;
    return !a && !b;
}

static bool same_attr(const gr__node *a, const gr__node *b)
{
    const char *p = a->attr, *q = b->attr;
    if (!p || !q || !a->op->attrs)
        return p == q || (p && q && memcmp(p, q, a->op->attr_size) == 0);
    for (const gr_field *f = a->op->attrs; f->name; f++) {
        if (f->type == GR_FIELD_STRING) {
            const char *s, *t;
            memcpy(&s, p + f->offset, sizeof s);
            memcpy(&t, q + f->offset, sizeof t);
            if (!same_text(s, t))
                return false;
        } else if (memcmp(p + f->offset, q + f->offset, field_bytes(f->type)) != 0) {
            return false;
        }
    }
    return true;
}

static bool same_ref(const gr_tensor *a, const gr_tensor *b)
{
    return a->node->id == b->node->id && a->index == b->index;
}

static bool same_data(const gr__node *a, const gr__node *b)
{
    int64_t bytes;
    if (!a->data || !b->data)
        return a->data == b->data;
    return gr__mul(gr_shape_size(a->out[0].shape), gr_dtype_size(a->out[0].dtype), &bytes) &&
           memcmp(a->data, b->data, (size_t)bytes) == 0;
}

static int64_t origin_id(const gr__node *n)
{
    return n->origin && n->origin->tape == n->tape ? n->origin->id : -1;
}

static bool same_node(const gr__node *a, const gr__node *b)
{
    if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out || a->n_regions != b->n_regions ||
        a->phase != b->phase || a->clone != b->clone || a->variable != b->variable || origin_id(a) != origin_id(b) ||
        !same_at(a->at, b->at) || !same_text(a->name, b->name) || !same_scope(a->scope, b->scope) || !same_attr(a, b) ||
        !same_data(a, b))
        return false;
    for (int i = 0; i < a->n_in; i++)
        if (!same_ref(a->in[i], b->in[i]))
            return false;
    for (int i = 0; i < a->n_out; i++)
        if (a->out[i].dtype != b->out[i].dtype || !gr_shape_equal(a->out[i].shape, b->out[i].shape))
            return false;
    return true;
}

static bool same_region(const gr__region *a, const gr__region *b)
{
    if (a->n_params != b->n_params || a->n_results != b->n_results)
        return false;
    for (int i = 0; i < a->n_params; i++)
        if (!same_ref(a->param[i], b->param[i]))
            return false;
    for (int i = 0; i < a->n_results; i++)
        if (!same_ref(a->result[i], b->result[i]))
            return false;
    return gr__tape_equal(a->tape, b->tape);
}

bool gr__tape_equal(const gr_tape *a, const gr_tape *b)
{
    if (a->n_nodes != b->n_nodes)
        return false;
    for (int64_t id = 0; id < a->n_nodes; id++) {
        if (!same_node(a->node[id], b->node[id]))
            return false;
        for (int i = 0; i < a->node[id]->n_regions; i++)
            if (!same_region(a->node[id]->region[i], b->node[id]->region[i]))
                return false;
    }
    return true;
}
