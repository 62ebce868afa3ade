/* compiler/simplify.c: applies the rules of ops/rules.c until nothing changes (at most 8 rounds), and the one that
 * follows from a trait alone: f(f(x)) = f(x) where f is idempotent. */
#include "core/number.h"
#include "compiler/graph.h"
#include "ops/rules.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 8, PARTS = 16 };

/* A pattern as a tree in an array, root first. */
typedef struct {
    enum { ANY, NUMBER, POW2, INVERSE, OP } kind;
    int letter; /* of an OP: which stands for its result; -1: none */
    int result;
    double number;
    const gr_op *op;
    int n_in, in[GR_TILE_INPUTS];
} part;
typedef struct {
    int n;
    part part[PARTS];
} pattern;
typedef struct {
    pattern from, to;
    bool inexact, usable; /* an op that does not exist (a build without it) leaves the rule out */
    int next; /* of a root op with the same hash, or n_rules */
} rule;

enum { HEADS = 64 }; /* a power of two */
static unsigned head_of(const gr_op *op)
{
    return (unsigned)((uint64_t)(uintptr_t)op * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (HEADS - 1);
}

/* ---- reading rules ----------------------------------------------------------------------------------------------- */

static int result_number(const char **s, int otherwise)
{
    if (**s != '#')
        return otherwise;
    *s += 2;
    return (*s)[-1] - '0';
}

static int parse(pattern *p, const char **s)
{
    while (**s == ' ')
        ++*s;
    int me = p->n++, letter = -1;
    if (**s && (*s)[1] == '=') {
        letter = **s - 'a';
        *s += 2;
    }
    size_t word = strspn(*s, "abcdefghijklmnopqrstuvwxyz_0123456789");
    char name[48] = "";
    if (me >= PARTS || word >= sizeof name)
        return -1;
    memcpy(name, *s, word);
    if (strncmp(*s, "1/pow2", 6) == 0) {
        p->part[me].kind = INVERSE;
        *s += 6;
    } else if (**s == '-' || (name[0] >= '0' && name[0] <= '9')) {
        p->part[me].kind = NUMBER;
        if (!gr__double_parse(*s, s, &p->part[me].number)) /* strtod would follow the program's locale */
            return -1;
    } else if ((*s)[word] != '(' && (word == 1 || strcmp(name, "pow2") == 0)) {
        p->part[me].kind = word == 1 ? ANY : POW2;
        p->part[me].letter = name[0] - 'a';
        *s += word;
        p->part[me].result = result_number(s, -1);
    } else {
        p->part[me].kind = OP;
        p->part[me].letter = letter;
        p->part[me].op = gr_op_named(name);
        *s += word;
        p->part[me].result = result_number(s, 0);
        if (!p->part[me].op)
            return -1;
        while (**s == '(' || **s == ',') {
            ++*s;
            int k = p->part[me].n_in < GR_TILE_INPUTS ? parse(p, s) : -1;
            if (k < 0)
                return -1;
            p->part[me].in[p->part[me].n_in++] = k;
        }
        ++*s; /* the closing parenthesis */
    }
    return me;
}

/* head[h] is the first rule whose root op has hash h, or *n. */
static rule *read_rules(int *n, int *head)
{
    int count = 0;
    while (gr__rules[count].pattern)
        count++;
    rule *r = gr__alloc(count + 1, sizeof *r);
    for (int i = 0; r && i < count; i++) {
        const char *from = gr__rules[i].pattern, *to = gr__rules[i].replacement;
        r[i].inexact = gr__rules[i].inexact;
        r[i].usable = parse(&r[i].from, &from) == 0 && parse(&r[i].to, &to) == 0;
    }
    for (unsigned h = 0; h < HEADS; h++)
        head[h] = count;
    for (int i = count - 1; r && i >= 0; i--) {
        int *first = &head[head_of(r[i].from.part[0].op)];
        r[i].next = *first;
        *first = i;
    }
    *n = count;
    return r;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

typedef struct {
    gr_tensor *letter[26];
    gr_tensor *pow2;
    const gr__node *with_attr[PARTS]; /* matched nodes whose ops have attributes */
    int n_with_attr;
} match;

/* Do all elements of a constant have one value? */
static bool constant_value(const gr_tensor *x, double *value)
{
    const gr__node *n = x->node;
    int64_t count = n->op == &gr_op_constant ? gr_shape_size(x->shape) : 0;
    for (int64_t i = 0; i < count; i++) {
        double v = 0;
        switch (x->dtype) {
        case GR_F32:
            v = ((const float *)n->data)[i];
            break;
        case GR_F64:
            v = ((const double *)n->data)[i];
            break;
        case GR_I32:
            v = ((const int32_t *)n->data)[i];
            break;
        case GR_I64:
            v = (double)((const int64_t *)n->data)[i];
            break;
        default:
            v = ((const uint8_t *)n->data)[i];
        }
        if (i && v != *value)
            return false;
        *value = v;
    }
    return count > 0;
}

static bool fits(const pattern *p, int at, gr_tensor *x, match *m);

/* What most rules fail by, before anything is matched. */
static bool may_fit(const part *q, const gr_tensor *x)
{
    return q->kind == ANY || x->node->op == (q->kind == OP ? q->op : &gr_op_constant);
}

static bool all_fit(const pattern *p, const part *q, gr_tensor *const *in, match *m)
{
    for (int i = 0; i < q->n_in; i++)
        if (!fits(p, q->in[i], in[i], m))
            return false;
    return true;
}

static bool inputs_fit(const pattern *p, int at, const gr_op *op, gr_tensor *const *in, match *m)
{
    const part *q = &p->part[at];
    bool swaps = q->n_in == 2 && (op->traits & GR_COMMUTATIVE), straight = true;
    gr_tensor *const crossed[] = {swaps ? in[1] : NULL, swaps ? in[0] : NULL};
    for (int i = 0; i < q->n_in; i++) {
        straight = straight && may_fit(&p->part[q->in[i]], in[i]);
        swaps = swaps && may_fit(&p->part[q->in[i]], crossed[i]);
    }
    if (!swaps)
        return straight && all_fit(p, q, in, m);
    match before = *m;
    if (straight && all_fit(p, q, in, m))
        return true;
    *m = before;
    return all_fit(p, q, crossed, m);
}

static bool fits(const pattern *p, int at, gr_tensor *x, match *m)
{
    const part *q = &p->part[at];
    double value;
    int exponent;
    switch (q->kind) {
    case ANY:
        if (!m->letter[q->letter])
            m->letter[q->letter] = x;
        return m->letter[q->letter] == x;
    case NUMBER:
        return constant_value(x, &value) && value == q->number;
    case POW2:
        m->pow2 = x;
        return gr_dtype_is_float(x->dtype) && constant_value(x, &value) && fabs(frexp(value, &exponent)) == 0.5 &&
               exponent > -100 && exponent < 100;
    case OP:
        if (x->node->op != q->op || x->index != q->result || x->node->n_in != q->n_in ||
            !inputs_fit(p, at, q->op, x->node->in, m))
            return false;
        if (q->op->attr_size)
            m->with_attr[m->n_with_attr++] = x->node;
        if (q->letter >= 0)
            m->letter[q->letter] = x;
        return true;
    default:
        return false;
    }
}

static gr_tensor *inverse(gr_tape *t, const gr__node *n, const gr_tensor *c)
{
    double value = 1;
    union {
        float f32;
        double f64;
    } bits;
    constant_value(c, &value);
    if (c->dtype == GR_F32)
        bits.f32 = (float)(1 / value);
    else
        bits.f64 = 1 / value;
    return gr_shape_size(c->shape) == 1 ? gr__constant_bytes(n->at, t, c->dtype, c->shape, &bits) : GR_BAD;
}

static gr_tensor *number(gr_tape *t, const gr__node *n, double c)
{
    const float f32 = (float)c;
    gr_dtype dtype = n->out[0].dtype;
    return gr_dtype_is_float(dtype)
               ? gr__constant_bytes(n->at, t, dtype, GR_RANK0, dtype == GR_F32 ? (const void *)&f32 : &c)
               : GR_BAD;
}

/* The attributes of the matched node of this op. */
static const void *attributes(const match *m, const gr_op *op)
{
    for (int i = 0; i < m->n_with_attr; i++)
        if (m->with_attr[i]->op == op)
            return m->with_attr[i]->attr;
    return NULL;
}

static gr_tensor *build(const pattern *p, int at, gr_tape *t, const gr__node *n, const match *m)
{
    const part *q = &p->part[at];
    gr_tensor *in[GR_TILE_INPUTS];
    if (q->kind == ANY)
        return q->result < 0 ? m->letter[q->letter] : gr_result(m->letter[q->letter], q->result);
    if (q->kind == NUMBER)
        return number(t, n, q->number);
    if (q->kind == INVERSE)
        return inverse(t, n, m->pow2);
    if (q->kind != OP)
        return GR_BAD;
    for (int i = 0; i < q->n_in; i++)
        if (gr__is_bad(in[i] = build(p, q->in[i], t, n, m)))
            return GR_BAD;
    return gr__node_instead(t, n, q->op, attributes(m, q->op), q->n_in, in);
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

typedef struct {
    rule *rules;
    int n_rules, head[HEADS];
    bool inexact;
    int64_t changes;
} state;

static bool takes_place(const gr_tensor *x, const gr__node *n)
{
    return !gr__is_bad(x) && x->dtype == n->out[0].dtype && gr_shape_equal(x->shape, n->out[0].shape);
}

static bool twice(const gr__node *n, gr_tensor *const *in)
{
    return (n->op->traits & GR_IDEMPOTENT) && n->n_in == 1 && in[0]->node->op == n->op &&
           (!n->op->attr_size || memcmp(in[0]->node->attr, n->attr, n->op->attr_size) == 0) && takes_place(in[0], n);
}

/* The first that fits of rule i and those after it with such a root, or n_rules. */
static int fitting(const state *s, int i, const gr__node *n, gr_tensor *const *in, match *m)
{
    for (; i < s->n_rules; i = s->rules[i].next) {
        const rule *r = &s->rules[i];
        if (r->from.part[0].op != n->op || !r->usable || (r->inexact && !s->inexact) ||
            r->from.part[0].n_in != n->n_in)
            continue;
        *m = (match){.with_attr = {n}, .n_with_attr = n->op->attr_size > 0};
        if (inputs_fit(&r->from, 0, n->op, in, m))
            break;
    }
    return i;
}

static bool may_change(const gr__node *n)
{
    return n->n_out == 1 && n->n_in >= 1 && n->n_in <= GR_TILE_INPUTS && !n->clone;
}

static gr__rewritten rewrite(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    state *s = user;
    match m;
    if (!may_change(n))
        return GR__KEEP;
    if (twice(n, in)) {
        result[0] = in[0];
        s->changes++;
        return GR__REPLACED;
    }
    for (int i = s->head[head_of(n->op)]; (i = fitting(s, i, n, in, &m)) < s->n_rules; i = s->rules[i].next) {
        gr_tensor *x = build(&s->rules[i].to, 0, t, n, &m);
        if (takes_place(x, n)) {
            result[0] = x;
            s->changes++;
            return GR__REPLACED;
        }
    }
    return GR__KEEP;
}

static bool can_be_simpler(void *user, const gr__node *n)
{
    const state *s = user;
    match m;
    return may_change(n) &&
           (twice(n, n->in) || fitting(s, s->head[head_of(n->op)], n, n->in, &m) < s->n_rules);
}

gr_status gr__pass_simplify(gr__graph *g, bool inexact)
{
    state s = {.inexact = inexact};
    s.rules = read_rules(&s.n_rules, s.head);
    gr_status status = s.rules ? GR_OK : GR_EMEM;
    s.changes = 1;
    for (int round = 0; status == GR_OK && round < ROUNDS && s.changes && gr__graph_any(g, can_be_simpler, &s);
         round++) {
        s.changes = 0;
        status = gr__graph_rewrite(g, rewrite, &s);
    }
    gr__free(s.rules);
    return status;
}
