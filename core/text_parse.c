/* core/text_parse.c: reading a tape from text. The form is described in text.h; text.c writes it.
 *
 * The text may be anybody's. Every number is checked before it is used, nothing is allocated by a number in the text
 * alone, ops infer their results again, and regions nest to a fixed depth. Errors name line and column. */
#include "core/text_impl.h"
#include "core/node.h"
#include <string.h>

enum { MANY = 64, DEPTH = 32, NAME = GR__READ_NAME };

/* One tape under construction: its nodes by their numbers in the text, which rise. */
typedef struct {
    gr_tape *tape;
    gr__region *region; /* NULL: the outermost */
    const gr_tape *above;
    int64_t *id;
    gr_tensor **node; /* result 0 */
    int64_t n, room;
    gr_tensor *result[MANY];
    int n_results; /* 0: no return line */
} level;

/* What a line says of one node. */
typedef struct {
    int64_t id;
    int n_out, n_in;
    gr_tensor *in[MANY];
    const gr_op *op;
    char *attr;        /* attr_size bytes */
    char *owned[MANY]; /* strings inside it */
    int n_owned;
    gr_dtype dtype[MANY];
    gr_shape shape[MANY];
    gr_array *data;
    char name[NAME];
    gr_at at;
    gr__scope *scope;
    gr__phase phase;
    gr__node *origin;
    int64_t clone;
} line;

/* "= 0.5" or "= [1, 2]": as many numbers as the shape has. */
static gr_status data(gr__reader *r, line *l)
{
    int64_t size = gr_shape_size(l->shape[0]);
    GR_TRY(gr__read_expect(r, '='));
    if (size < 0 || size > r->end - r->p) /* a number takes a byte at least */
        return gr__read_fail(r, GR_EFORMAT, "expected the constant's numbers, as many as its shape has");
    if (!(l->data = gr_array_new(l->dtype[0], l->shape[0])))
        return GR_EMEM;
    if (l->shape[0].rank == 0)
        return gr__read_number(r, l->dtype[0], gr_array_data(l->data), 0);
    GR_TRY(gr__read_expect(r, '['));
    for (int64_t i = 0; i < size; i++) {
        if (i)
            GR_TRY(gr__read_expect(r, ','));
        GR_TRY(gr__read_number(r, l->dtype[0], gr_array_data(l->data), i));
    }
    return gr__read_expect(r, ']');
}

/* %4 or %4.1 */
static gr_status reference(gr__reader *r, const level *v, gr_tensor **out)
{
    int64_t id = 0, index = 0, low = 0, high = v->n;
    GR_TRY(gr__read_expect(r, '%'));
    GR_TRY(gr__read_integer(r, 0, INT64_MAX, &id));
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (v->id[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == v->n || v->id[low] != id)
        return gr__read_fail(r, GR_EFORMAT, "expected a node recorded before, found %%%lld", (long long)id);
    if (*r->p == '.') {
        r->p++;
        GR_TRY(gr__read_integer(r, 0, v->node[low]->node->n_out - 1, &index));
    }
    *out = &v->node[low]->node->out[index];
    return GR_OK;
}

static gr_status references(gr__reader *r, const level *v, char end, int *n, gr_tensor **out)
{
    for (*n = 0; end == '\n' ? *n == 0 || gr__read_take(r, ',') : !gr__read_take(r, end); (*n)++) {
        if (*n == MANY)
            return gr__read_fail(r, GR_EFORMAT, "expected at most %d tensors", (int)MANY);
        if (*n && end != '\n')
            GR_TRY(gr__read_expect(r, ','));
        GR_TRY(reference(r, v, &out[*n]));
    }
    return GR_OK;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static gr_status field(gr__reader *r, line *l)
{
    char word[128], text[NAME];
    GR_TRY(gr__read_name(r, word, sizeof word, NULL));
    const gr_field *f = l->op->attrs ? gr_field_find(l->op->attrs, word) : NULL;
    if (!f || f->type == GR_FIELD_POINTER || f->type == GR_FIELD_SPEC)
        return gr__read_fail(r, GR_ENAME, "expected an attribute of %s, found '%s'", l->op->name, word);
    GR_TRY(gr__read_expect(r, '='));
    if (l->n_owned == MANY)
        return gr__read_fail(r, GR_EFORMAT, "expected at most %d attributes", (int)MANY);
    if (f->type == GR_FIELD_STRING) {
        if (!gr__read_at_char(r, '"'))
            return gr__read_fail(r, GR_EFORMAT, "expected %s in quotes, found %s", word, gr__read_found(r, text));
        GR_TRY(gr__read_name(r, text, sizeof text, NULL));
        char *own = l->owned[l->n_owned++] = gr__strdup(text);
        if (!own)
            return GR_EMEM;
        memcpy(l->attr + f->offset, &own, sizeof own);
        return GR_OK;
    }
    GR_TRY(gr__read_value_text(r, text, sizeof text));
    char *own = NULL;
    gr_status s = gr_field_parse(f, l->attr, text, &own);
    l->owned[l->n_owned++] = own;
    if (s != GR_OK)
        gr_fail_note("    in attribute %s of %s, line %lld of the graph's text", word, l->op->name, (long long)r->line);
    return s;
}

static gr_status raw_bytes(gr__reader *r, line *l)
{
    char buf[40];
    if (!gr__read_take_word(r, "bytes") || !l->op->attr_size)
        return gr__read_fail(r, GR_EFORMAT, "expected no attributes, since %s has no table of them, found %s",
            l->op->name, gr__read_found(r, buf));
    GR_TRY(gr__read_expect(r, '='));
    gr__read_skip_blanks(r);
    for (size_t i = 0; i < l->op->attr_size; i++, r->p += 2) {
        if (gr__read_hex(r->p[0]) < 0 || gr__read_hex(r->p[1]) < 0)
            return gr__read_fail(r, GR_EFORMAT, "expected %d bytes in hexadecimal, found %s", (int)l->op->attr_size,
                gr__read_found(r, buf));
        l->attr[i] = (char)(gr__read_hex(r->p[0]) * 16 + gr__read_hex(r->p[1]));
    }
    return gr__read_expect(r, '}');
}

static gr_status attributes(gr__reader *r, line *l)
{
    if (!gr__read_take(r, '{'))
        return GR_OK;
    if (!l->op->attrs)
        return raw_bytes(r, l);
    for (int i = 0; !gr__read_take(r, '}'); i++) {
        if (i)
            GR_TRY(gr__read_expect(r, ','));
        GR_TRY(field(r, l));
    }
    return GR_OK;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

static const gr__scope *above_scope(const gr_tape *t, const gr__scope *like)
{
    for (; t; t = t->parent)
        for (const gr__scope *s = t->scopes; s; s = s->next)
            if (s->path_hash == like->path_hash && strcmp(s->name, like->name) == 0)
                return s;
    return NULL;
}

/* The scope of a path, opened if need be; what a scope of that path around the region says of it is taken over. */
static gr_status scope(gr__reader *r, const level *v, gr__scope **out)
{
    enum { LEVELS = 64 };
    char path[NAME];
    gr__scope *before = v->tape->scope;
    int64_t length = 0;
    int depth = 0;
    GR_TRY(gr__read_name(r, path, sizeof path, &length));
    v->tape->scope = &v->tape->root;
    for (const char *part = path; part <= path + length; part += strlen(part) + 1, depth++) {
        int64_t n = v->tape->n_scopes;
        const gr__scope *parent = v->tape->scope;
        if (depth < LEVELS)
            gr_scope_push(v->tape, part, NULL, (gr_at){0});
        if (depth == LEVELS || v->tape->scope == parent) {
            v->tape->scope = before;
            return depth == LEVELS
                       ? gr__read_fail(r, GR_EFORMAT, "expected at most %d scopes in each other", (int)LEVELS)
                       : GR_EMEM;
        }
        const gr__scope *same = v->tape->n_scopes > n ? above_scope(v->above, v->tape->scope) : NULL;
        if (same) {
            v->tape->scope->kind = gr__arena_strdup(&v->tape->arena, same->kind);
            v->tape->scope->at = same->at;
        }
    }
    *out = v->tape->scope;
    v->tape->scope = before;
    return (*out)->kind ? GR_OK : GR_EMEM;
}

/* "main.c:12" */
static gr_status place(gr__reader *r, const level *v, gr_at *at)
{
    char file[NAME];
    int64_t n = 0;
    GR_TRY(gr__read_name(r, file, sizeof file, NULL));
    GR_TRY(gr__read_expect(r, ':'));
    GR_TRY(gr__read_integer(r, INT32_MIN, INT32_MAX, &n));
    *at = (gr_at){gr__arena_strdup(&v->tape->arena, file), (int)n};
    return at->file ? GR_OK : GR_EMEM;
}

/* scope dense/inner : Dense @ main.c:7 */
static gr_status scope_line(gr__reader *r, const level *v)
{
    gr__scope *s = NULL;
    char kind[NAME];
    GR_TRY(scope(r, v, &s));
    if (gr__read_take(r, ':')) {
        GR_TRY(gr__read_name(r, kind, sizeof kind, NULL));
        if (!(s->kind = gr__arena_strdup(&v->tape->arena, kind)))
            return GR_EMEM;
    }
    s->at = (gr_at){0};
    return gr__read_take(r, '@') ? place(r, v, &s->at) : GR_OK;
}

/* ---- node lines -------------------------------------------------------------------------------------------------- */

static gr_status marks(gr__reader *r, const level *v, line *l)
{
    while (!gr__read_at_char(r, '\n') && *r->p) {
        char buf[40];
        gr_tensor *origin = NULL;
        if (gr__read_take(r, '@')) {
            GR_TRY(place(r, v, &l->at));
        } else if (gr__read_take_word(r, "in")) {
            GR_TRY(scope(r, v, &l->scope));
        } else if (gr__read_take_word(r, "backward")) {
            l->phase = GR_PHASE_BACKWARD;
        } else if (gr__read_take_word(r, "update")) {
            l->phase = GR_PHASE_UPDATE;
        } else if (gr__read_take_word(r, "of")) {
            GR_TRY(reference(r, v, &origin));
            l->origin = origin->node;
        } else if (gr__read_take_word(r, "clone")) {
            GR_TRY(gr__read_integer(r, INT64_MIN, INT64_MAX, &l->clone));
        } else {
            return gr__read_fail(r, GR_EFORMAT,
                "expected the end of the line (or @, in, backward, update, of, clone), found %s",
                gr__read_found(r, buf));
        }
    }
    return GR_OK;
}

static gr_status read_line(gr__reader *r, const level *v, line *l)
{
    char op[128];
    int64_t n = 1;
    GR_TRY(gr__read_integer(r, v->n ? v->id[v->n - 1] + 1 : 0, INT64_MAX - 1, &l->id));
    if (gr__read_take(r, ':'))
        GR_TRY(gr__read_integer(r, 1, MANY, &n));
    l->n_out = (int)n;
    GR_TRY(gr__read_expect(r, '='));
    GR_TRY(gr__read_name(r, op, sizeof op, NULL));
    if (!(l->op = gr_op_named(op)))
        return gr__read_fail(r, GR_ENAME, "expected the name of a registered op, found '%s'", op);
    if (l->op == &gr_op_input || l->op == &gr_op_variable)
        GR_TRY(gr__read_name(r, l->name, sizeof l->name, NULL));
    if (!(l->op->traits & GR_LEAF)) {
        GR_TRY(gr__read_expect(r, '('));
        GR_TRY(references(r, v, ')', &l->n_in, l->in));
        if (l->op->attr_size && !(l->attr = gr__alloc(1, (int64_t)l->op->attr_size)))
            return GR_EMEM;
        GR_TRY(attributes(r, l));
    }
    for (int i = 0; i < l->n_out; i++) {
        GR_TRY(gr__read_expect(r, i ? ',' : ':'));
        GR_TRY(gr__read_type(r, &l->dtype[i], &l->shape[i]));
    }
    if (l->op == &gr_op_constant)
        GR_TRY(data(r, l));
    return marks(r, v, l);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static gr_status find_variable(const gr__reader *r, const line *l, gr_variable **out)
{
    char want[200];
    for (int i = 0; i < r->n_variables; i++) {
        gr_variable *v = r->variables[i];
        if (strcmp(v->path, l->name) != 0)
            continue;
        if (v->dtype != l->dtype[0] || !gr_shape_equal(v->shape, l->shape[0]))
            return gr__read_fail(r, GR_EFORMAT, "expected variable %s to be %s, as it is, found another type", v->path,
                gr_type_text(v->dtype, v->shape, want, sizeof want));
        *out = v;
        return GR_OK;
    }
    return gr__read_fail(
        r, GR_ENAME, "expected the path of one of the %d variables given, found '%.200s'", r->n_variables, l->name);
}

static gr_status leaf(const gr__reader *r, level *v, line *l, gr_tensor **out)
{
    gr_tensor result = {.dtype = l->dtype[0], .shape = l->shape[0]};
    gr__node like = {.op = l->op,
        .n_out = 1,
        .out = &result,
        .scope = l->scope,
        .at = l->at,
        .phase = l->phase,
        .origin = l->origin,
        .clone = l->clone,
        .name = l->op == &gr_op_input ? l->name : NULL};
    if (l->n_out != 1)
        return gr__read_fail(r, GR_EFORMAT, "expected one result of %s, found %d", l->op->name, l->n_out);
    if (l->op == &gr_op_param) {
        if (!v->region)
            return gr__read_fail(r, GR_EFORMAT, "expected a param inside a region only");
        *out = gr__region_param(v->tape, l->dtype[0], l->shape[0], NULL, l->at);
        if (!gr__is_bad(*out)) {
            (*out)->node->scope = l->scope;
            (*out)->node->phase = l->phase;
            (*out)->node->origin = l->origin;
            (*out)->node->clone = l->clone;
        }
        return gr_status_of(*out);
    }
    if (l->op != &gr_op_input && l->op != &gr_op_constant && l->op != &gr_op_variable)
        return gr__read_fail(r, GR_EFORMAT, "expected input, constant, variable or param, found '%s'", l->op->name);
    if (v->region && l->op != &gr_op_constant)
        return gr__read_fail(r, GR_EFORMAT, "expected a param inside a region, found '%s'", l->op->name);
    if (l->op == &gr_op_variable)
        GR_TRY(find_variable(r, l, &like.variable));
    like.data = l->data ? gr_array_data(l->data) : NULL;
    *out = gr__node_build(v->tape, &like, 0, NULL);
    GR_TRY(gr_status_of(*out));
    return !like.variable || gr__state_set(v->tape, like.variable, *out) ? GR_OK : GR_EMEM;
}

static gr_status assignment(const gr__reader *r, level *v, line *l, gr_tensor **out)
{
    gr_variable *target = l->n_in == l->op->n_in ? l->in[l->n_in - 2]->node->variable : NULL;
    if (l->n_in != l->op->n_in || !target || v->region)
        return gr__read_fail(r, GR_EFORMAT, "expected %s of a variable, outside of regions", l->op->name);
    *out =
        l->n_in == 2 ? gr_assign_at(l->at, l->in[0], l->in[1]) : gr_assign_if_at(l->at, l->in[0], l->in[1], l->in[2]);
    return gr_status_of(*out);
}

static gr_status check_types(const gr__reader *r, const line *l, const gr_tensor *x)
{
    char want[200], got[200];
    const gr__node *n = x->node;
    if (n->n_out != l->n_out)
        return gr__read_fail(r, GR_EFORMAT, "expected %d results of %s, found %d", n->n_out, l->op->name, l->n_out);
    for (int i = 0; i < l->n_out; i++)
        if (n->out[i].dtype != l->dtype[i] || !gr_shape_equal(n->out[i].shape, l->shape[i]))
            return gr__read_fail(r, GR_EFORMAT, "expected %s, which %s gives, found %s",
                gr_type_text(n->out[i].dtype, n->out[i].shape, want, sizeof want), l->op->name,
                gr_type_text(l->dtype[i], l->shape[i], got, sizeof got));
    return GR_OK;
}

static gr_status read_tape(gr__reader *r, level *v);

static void level_free(level *v)
{
    gr__free(v->id);
    gr__free(v->node);
}

static gr_status read_region(gr__reader *r, const level *outer, gr__region **region)
{
    level v = {.above = outer->tape};
    gr__region *b = *region = gr__region_begin(outer->tape, 0, NULL);
    if (!b)
        return GR_EMEM;
    if (++r->depth > DEPTH)
        return gr__read_fail(r, GR_EFORMAT, "expected at most %d regions in each other", (int)DEPTH);
    v.tape = b->tape;
    v.region = b;
    GR_TRY(gr__read_expect(r, '{'));
    gr_status s = read_tape(r, &v);
    if (s == GR_OK && v.n_results == 0)
        s = gr__read_fail(r, GR_EFORMAT, "expected return and the region's results");
    if (s == GR_OK)
        s = gr__read_expect(r, '}');
    if (s == GR_OK && !gr__region_end(b, v.n_results, v.result))
        s = gr_error() != GR_OK ? gr_error() : GR_EMEM;
    level_free(&v);
    r->depth--;
    return s;
}

/* Region 0 takes the node's inputs and gives its results; what others take is the op's affair. */
static gr_status region_node(gr__reader *r, level *v, line *l, gr_tensor **out)
{
    gr__region *regions[4];
    int n = 0;
    for (gr__read_skip_lines(r); gr__read_take_word(r, "region"); gr__read_skip_lines(r)) {
        if (n == 4)
            return gr__read_fail(r, GR_EFORMAT, "expected at most 4 regions");
        GR_TRY(read_region(r, v, &regions[n++]));
    }
    if (n == 0)
        return gr__read_fail(r, GR_EFORMAT, "expected the region of %s", l->op->name);
    const bool loop = l->op->traits & GR_LOOP;
    gr__loop as_loop = {0};
    if (loop)
        memcpy(&as_loop, l->attr, sizeof as_loop);
    bool fits = loop ? gr__loop_fits(&as_loop, l->n_in, l->in, regions[0]) : regions[0]->n_params == l->n_in;
    for (int i = 0; fits && !loop && i < l->n_in; i++)
        fits = regions[0]->param[i]->dtype == l->in[i]->dtype &&
               gr_shape_equal(regions[0]->param[i]->shape, l->in[i]->shape);
    if (!fits)
        return gr__read_fail(
            r, GR_EFORMAT, "expected the first region of %s to have params of the types of its inputs", l->op->name);
    *out = gr__region_node(l->at, l->op, l->attr, l->n_in, l->in, n, regions);
    return gr_status_of(*out);
}

static gr_status build(gr__reader *r, level *v, line *l, gr_tensor **out)
{
    gr_tape *t = v->tape;
    if (l->op->traits & GR_LEAF)
        return leaf(r, v, l, out);
    if (l->op->n_in == -1 ? l->n_in < 1 : l->n_in != l->op->n_in)
        return gr__read_fail(r, GR_EFORMAT, "expected %d inputs of %s, found %d", l->op->n_in == -1 ? 1 : l->op->n_in,
            l->op->name, l->n_in);
    t->scope = l->scope; /* the node is recorded as it was the first time */
    t->phase = l->phase;
    t->origin = l->origin;
    t->clone = l->clone;
    gr_status s;
    if (l->op->traits & GR_REGION) {
        s = region_node(r, v, l, out);
    } else if (l->op == &gr_op_assign || l->op == &gr_op_assign_if) {
        s = assignment(r, v, l, out);
    } else {
        *out = gr__apply_op_on(t, l->at, l->op, l->attr, l->n_in, l->in);
        s = gr_status_of(*out);
    }
    if (s != GR_OK)
        gr_fail_note("    in line %lld of the graph's text", (long long)r->line);
    t->phase = GR_PHASE_FORWARD;
    t->origin = NULL;
    t->clone = 0;
    return s == GR_OK ? check_types(r, l, *out) : s;
}

static gr_status add_node(level *v, int64_t id, gr_tensor *x)
{
    if (v->n == v->room) {
        int64_t room = v->room ? v->room * 2 : 64;
        int64_t *ids = gr__resize(v->id, room, sizeof *ids);
        if (!ids)
            return GR_EMEM;
        v->id = ids;
        gr_tensor **nodes = gr__resize(v->node, room, sizeof *nodes);
        if (!nodes)
            return GR_EMEM;
        v->node = nodes;
        v->room = room;
    }
    v->id[v->n] = id;
    v->node[v->n++] = x;
    return GR_OK;
}

static gr_status node_line(gr__reader *r, level *v)
{
    line *l = gr__alloc(1, sizeof *l); /* too big for a small stack */
    gr_tensor *x = GR_BAD;
    if (!l)
        return GR_EMEM;
    l->scope = &v->tape->root;
    gr__scope *before = v->tape->scope;
    gr_status s = read_line(r, v, l);
    if (s == GR_OK)
        s = build(r, v, l, &x);
    v->tape->scope = before;
    if (s == GR_OK)
        s = add_node(v, l->id, x);
    for (int i = 0; i < l->n_owned; i++)
        gr__free(l->owned[i]);
    gr__free(l->attr);
    gr_array_free(l->data);
    gr__free(l);
    return s;
}

/* Lines up to the end of the text, or to the } of a region. */
static gr_status read_tape(gr__reader *r, level *v)
{
    char buf[40];
    for (gr__read_skip_lines(r); *r->p && *r->p != '}'; gr__read_skip_lines(r)) {
        const int64_t here = r->line;
        if (v->n_results)
            return gr__read_fail(r, GR_EFORMAT, "expected the end after return, found %s", gr__read_found(r, buf));
        if (gr__read_take(r, '%'))
            GR_TRY(node_line(r, v));
        else if (gr__read_take_word(r, "scope"))
            GR_TRY(scope_line(r, v));
        else if (gr__read_take_word(r, "return"))
            GR_TRY(references(r, v, '\n', &v->n_results, v->result));
        else
            return gr__read_fail(r, GR_EFORMAT, "expected a node, scope or return, found %s", gr__read_found(r, buf));
        gr__read_skip_blanks(r);
        if (r->line == here && *r->p && *r->p != '\n') /* the line after a region's node is begun already */
            return gr__read_fail(r, GR_EFORMAT, "expected the end of the line, found %s", gr__read_found(r, buf));
    }
    return GR_OK;
}

gr_tape *gr__graph_parse(
    const char *text, int n, gr_variable *const *variables, int most, gr_tensor **results, int *n_results)
{
    if (!text || n < 0 || (n > 0 && !variables)) {
        gr_fail(GR_EARG, (gr_at){0}, "tape_parse: argument text: expected a text and its variables, found NULL");
        return NULL;
    }
    char buf[40];
    gr__reader r = {
        .p = text, .line_start = text, .end = text + strlen(text), .line = 1, .n_variables = n, .variables = variables};
    level v = {.tape = gr_tape_new()};
    gr_status s = v.tape ? read_tape(&r, &v) : GR_EMEM;
    if (s == GR_OK && *r.p)
        s = gr__read_fail(&r, GR_EFORMAT, "expected a node, scope or return, found %s", gr__read_found(&r, buf));
    if (s == GR_OK && v.n_results > most)
        s = gr__read_fail(&r, GR_EFORMAT, "expected at most %d results, found %d", most, v.n_results);
    for (int i = 0; s == GR_OK && i < v.n_results; i++)
        results[i] = v.result[i];
    *n_results = s == GR_OK ? v.n_results : 0;
    level_free(&v);
    if (s == GR_OK)
        return v.tape;
    gr_tape_free(v.tape);
    return NULL;
}

gr_tape *gr_tape_parse(const char *text, int n, gr_variable *const *variables)
{
    gr_tensor *results[MANY];
    int n_results;
    return gr__graph_parse(text, n, variables, MANY, results, &n_results);
}
