/* compiler/simplify.c: applies the rules of ops/rules.c until nothing changes (at most 8 rounds), and the one that
 * follows from a trait alone: f(f(x)) = f(x) where f is idempotent. */
#include "core/number.h"
#include "compiler/graph.h"
#include "ops/rules.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { ROUNDS = 8, PARTS = 16, MOST_RULES = 64 };

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
    int next; /* of a root op with the same hash, or -1 */
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

static rule rules[MOST_RULES];
static int head[HEADS]; /* the first rule whose root op has this hash, or -1 */
static pthread_once_t rules_are_read = PTHREAD_ONCE_INIT;

static void read_rules(void)
{
    int n = 0;
    for (; n < MOST_RULES && gr__rules[n].pattern; n++) {
        const char *from = gr__rules[n].pattern, *to = gr__rules[n].replacement;
        rules[n].inexact = gr__rules[n].inexact;
        rules[n].usable = parse(&rules[n].from, &from) == 0 && parse(&rules[n].to, &to) == 0;
    }
    GR_ASSERT(!gr__rules[n].pattern);
    for (unsigned h = 0; h < HEADS; h++)
        head[h] = -1;
    for (int i = n - 1; i >= 0; i--) {
        int *first = &head[head_of(rules[i].from.part[0].op)];
        rules[i].next = *first;
        *first = i;
    }
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

/* As they are, or the two of a commutative op crossed. */
typedef struct {
    bool straight, crossed;
} ways;

static ways possible(const pattern *p, const part *q, gr_tensor *const *in)
{
    ways w = {true, q->n_in == 2 && (q->op->traits & GR_COMMUTATIVE)};
    for (int i = 0; i < q->n_in; i++) {
        w.straight = w.straight && may_fit(&p->part[q->in[i]], in[i]);
        w.crossed = w.crossed && may_fit(&p->part[q->in[i]], in[1 - i]);
    }
    return w;
}

static bool inputs_fit(const pattern *p, const part *q, ways w, gr_tensor *const *in, match *m)
{
    if (!w.crossed)
        return w.straight && all_fit(p, q, in, m);
    match before = *m;
    if (w.straight && all_fit(p, q, in, m))
        return true;
    *m = before;
    return all_fit(p, q, (gr_tensor *[]){in[1], in[0]}, m);
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
            !inputs_fit(p, q, possible(p, q, x->node->in), x->node->in, m))
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

/* The first that fits of rule i and those after it with such a root, or -1. */
static int fitting(const state *s, int i, const gr__node *n, gr_tensor *const *in, match *m)
{
    for (; i >= 0; i = rules[i].next) {
        const rule *r = &rules[i];
        const part *root = &r->from.part[0];
        if (root->op != n->op || !r->usable || (r->inexact && !s->inexact) || root->n_in != n->n_in)
            continue;
        const ways w = possible(&r->from, root, in);
        if (!w.straight && !w.crossed)
            continue;
        *m = (match){.with_attr = {n}, .n_with_attr = n->op->attr_size > 0};
        if (inputs_fit(&r->from, root, w, in, m))
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
    for (int i = head[head_of(n->op)]; (i = fitting(s, i, n, in, &m)) >= 0; i = rules[i].next) {
        gr_tensor *x = build(&rules[i].to, 0, t, n, &m);
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
    return may_change(n) && (twice(n, n->in) || fitting(s, head[head_of(n->op)], n, n->in, &m) >= 0);
}

gr_status gr__pass_simplify(gr__graph *g, bool inexact)
{
    state s = {.inexact = inexact, .changes = 1};
    gr_status status = GR_OK;
    pthread_once(&rules_are_read, read_rules);
    for (int round = 0; status == GR_OK && round < ROUNDS && s.changes && gr__graph_any(g, can_be_simpler, &s);
         round++) {
        s.changes = 0;
        status = gr__graph_rewrite(g, rewrite, &s);
    }
    return status;
}
