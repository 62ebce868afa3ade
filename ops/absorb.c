/* ops/absorb.c: see absorb.h. A value that runs along the last axis only, the channels, is a factor (of mul and div) or
 * an offset (of add and sub); new ones are made here as plain numbers, in float64 until they are stored. */
#include "ops/absorb.h"
#include "ops/elementwise_impl.h"

extern const gr_op gr_op_reshape;

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static bool is_weight(const gr_tensor *x)
{
    return (x->node->op == &gr_op_variable || x->node->op == &gr_op_constant) && gr_dtype_is_float(x->dtype);
}

static void *data_of(const gr_tensor *x)
{
    return x->node->variable ? x->node->variable->data : (void *)x->node->data;
}

static double number(const gr_tensor *x, int64_t i)
{
    return x->dtype == GR_F64 ? ((const double *)data_of(x))[i] : (double)((const float *)data_of(x))[i];
}

static void put(gr_tensor *x, int64_t i, double value)
{
    if (x->dtype == GR_F64)
        ((double *)data_of(x))[i] = value;
    else
        ((float *)data_of(x))[i] = (float)value;
}

static int64_t channels(const gr_tensor *x)
{
    return x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 0;
}

/* Node n as z and a weight c along z's channels, in this order; c is number 0 or 1 of its inputs. */
static bool split(const gr__node *n, gr_tensor *const *in, gr_tensor **z, gr_tensor **c)
{
    const bool either = n->op == &gr_op_mul || n->op == &gr_op_add;
    if (!either && n->op != &gr_op_div && n->op != &gr_op_sub)
        return false;
    for (int k = 1; k >= !either; k--) {
        *z = in[!k], *c = in[k];
        int64_t last = (*c)->shape.rank - 1, size = gr_shape_size((*c)->shape), width = channels(*z);
        if (is_weight(*c) && !is_weight(*z) && (*c)->dtype == (*z)->dtype && width >= 1 && last < (*z)->shape.rank &&
            (size == 1 || (size == width && (*c)->shape.dim[last] == width)))
            return true;
    }
    return false;
}

/* z f + o, channel by channel; the weight c is one of them, the other 1 or 0. */
static double factor_of(const gr__node *n, const gr_tensor *c, int64_t i)
{
    double x = n->op == &gr_op_mul || n->op == &gr_op_div ? number(c, gr_shape_size(c->shape) == 1 ? 0 : i) : 1;
    return n->op == &gr_op_div ? 1 / x : x;
}
static double offset_of(const gr__node *n, const gr_tensor *c, int64_t i)
{
    double x = n->op == &gr_op_add || n->op == &gr_op_sub ? number(c, gr_shape_size(c->shape) == 1 ? 0 : i) : 0;
    return n->op == &gr_op_sub ? -x : x;
}
static bool is_offset(const gr__node *n)
{
    return n->op == &gr_op_add || n->op == &gr_op_sub;
}

/* Which axes of a product's weights are channels; false if n is no product with weights. */
static bool product(const gr__node *n, gr_tensor *const *in, gr_channels *c)
{
    return n->op->channels && n->n_in == 2 && is_weight(in[1]) && !is_weight(in[0]) &&
           n->op->channels(n->attr, (const gr_shape[]){in[0]->shape, in[1]->shape}, c);
}

/* ---- new nodes --------------------------------------------------------------------------------------------------- */

static gr_tensor *binary(const gr__absorber *a, const gr__node *n, const gr_op *op, gr_tensor *x, gr_tensor *y)
{
    gr_tensor result = {.dtype = x->dtype, .shape = x->shape};
    gr__node like = {
        .op = op, .n_out = 1, .out = &result, .scope = n->scope, .at = n->at, .phase = n->phase, .clone = n->clone};
    return gr__node_build(a->tape, &like, 2, (gr_tensor *[]){x, y});
}

static gr_tensor *again(const gr__absorber *a, const gr__node *n, gr_tensor *x, gr_tensor *y)
{
    gr_tensor *z = gr__is_bad(x) || gr__is_bad(y) ? GR_BAD : gr__node_copy(a->tape, n, (gr_tensor *[]){x, y});
    if (!gr__is_bad(z))
        z->node->origin = NULL;
    return z;
}

static gr_tensor *vector(const gr__absorber *a, const gr__node *n, const gr_tensor *z)
{
    return a->weight(a->user, n, z->dtype, GR_SHAPE(channels(z)));
}

/* W with each element times v[channel along `axis`]; there may be several rounds of v along it. */
static gr_tensor *scaled(const gr__absorber *a, const gr__node *n, const gr_tensor *w, int64_t axis, const gr_tensor *v)
{
    gr_tensor *y = a->weight(a->user, n, w->dtype, w->shape);
    int64_t inner = 1, size = gr_shape_size(w->shape), width = w->shape.dim[axis], round = gr_shape_size(v->shape);
    for (int64_t d = axis + 1; d < w->shape.rank; d++)
        inner *= w->shape.dim[d];
    for (int64_t i = 0; !gr__is_bad(y) && i < size; i++)
        put(y, i, number(w, i) * number(v, i / inner % width % round));
    return y;
}

/* What a product makes of v in every place of its input: a number a channel of its result. */
static gr_tensor *sent_through(
    const gr__absorber *a, const gr__node *n, const gr_tensor *w, gr_channels c, const gr_tensor *v)
{
    const int64_t axis[] = {c.result, c.input}, size = gr_shape_size(w->shape), round = gr_shape_size(v->shape);
    int64_t inner[] = {1, 1}, width[2];
    for (int k = 0; k < 2; k++) {
        width[k] = w->shape.dim[axis[k]];
        for (int64_t d = axis[k] + 1; d < w->shape.rank; d++)
            inner[k] *= w->shape.dim[d];
    }
    gr_tensor *y = a->weight(a->user, n, w->dtype, GR_SHAPE(width[0]));
    double *sum = gr__is_bad(y) ? NULL : gr__alloc(width[0], sizeof *sum);
    for (int64_t i = 0; sum && i < size; i++)
        sum[i / inner[0] % width[0]] += number(w, i) * number(v, i / inner[1] % width[1] % round);
    for (int64_t i = 0; sum && i < width[0]; i++)
        put(y, i, sum[i]);
    gr__free(sum);
    return sum ? y : GR_BAD;
}

/* ---- into what comes before: z f, z + o -------------------------------------------------------------------------- */

/* z with each channel times f (a vector), if what z is made of can take it; else NULL. */
static gr_tensor *with_factor(const gr__absorber *a, gr_tensor *z, const gr_tensor *f)
{
    gr__node *n = z->node;
    gr_channels c;
    gr_tensor *x, *v, *inner;
    if (!a->sole(a->user, z))
        return NULL;
    if (n->op == &gr_op_reshape && channels(n->in[0]) == channels(z)) {
        inner = with_factor(a, n->in[0], f);
        return inner ? again(a, n, inner, inner) : NULL;
    }
    if (product(n, n->in, &c) && c.result >= 0)
        return again(a, n, n->in[0], scaled(a, n, n->in[1], c.result, f));
    if (!split(n, n->in, &x, &v) || channels(x) != channels(z))
        return NULL;
    gr_tensor *both = vector(a, n, z);
    for (int64_t i = 0; !gr__is_bad(both) && i < channels(z); i++)
        put(both, i, (is_offset(n) ? offset_of(n, v, i) : factor_of(n, v, i)) * number(f, i));
    if (gr__is_bad(both))
        return GR_BAD;
    if (!is_offset(n))
        return binary(a, n, &gr_op_mul, x, both);
    inner = with_factor(a, x, f);
    return inner ? binary(a, n, &gr_op_add, inner, both) : NULL;
}

/* z + o, if z is a sum with a weight already, or a multiple of one: else NULL. */
static gr_tensor *with_offset(const gr__absorber *a, gr_tensor *z, const gr_tensor *o)
{
    gr__node *n = z->node;
    gr_tensor *x, *v, *y, *w;
    if (!a->sole(a->user, z))
        return NULL;
    if (n->op == &gr_op_reshape && channels(n->in[0]) == channels(z)) {
        gr_tensor *inner = with_offset(a, n->in[0], o);
        return inner ? again(a, n, inner, inner) : NULL;
    }
    if (!split(n, n->in, &x, &v))
        return NULL;
    const bool inside = !is_offset(n); /* (y + w) v + o = y v + (w v + o) */
    if (inside && (!a->sole(a->user, x) || !split(x->node, x->node->in, &y, &w) || !is_offset(x->node)))
        return NULL;
    gr_tensor *both = vector(a, n, z);
    for (int64_t i = 0; !gr__is_bad(both) && i < channels(z); i++)
        put(both, i, number(o, i) + (inside ? offset_of(x->node, w, i) * factor_of(n, v, i) : offset_of(n, v, i)));
    if (gr__is_bad(both))
        return GR_BAD;
    return binary(a, n, &gr_op_add, inside ? again(a, n, y, v) : x, both);
}

/* ---- into what comes after: product(x f + o, W) ------------------------------------------------------------------ */

static gr_tensor *product_of_scaled(const gr__absorber *a, const gr__node *n, gr_tensor *const *in, gr_channels c)
{
    gr_tensor *z = in[0], *shape = NULL, *x, *v, *w = in[1], *sum = NULL;
    if (z->node->op == &gr_op_reshape && a->sole(a->user, z) && channels(z->node->in[0]) > 0 &&
        channels(z) % channels(z->node->in[0]) == 0) { /* rounds of the channels below */
        shape = z;
        z = z->node->in[0];
    }
    bool found = false;
    while (a->sole(a->user, z) && split(z->node, z->node->in, &x, &v) && channels(x) == channels(z) &&
           !(is_offset(z->node) && c.border)) {
        gr_tensor *each = vector(a, n, z);
        for (int64_t i = 0; !gr__is_bad(each) && i < channels(z); i++)
            put(each, i, is_offset(z->node) ? offset_of(z->node, v, i) : factor_of(z->node, v, i));
        if (gr__is_bad(each))
            return GR_BAD;
        gr_tensor *made = is_offset(z->node) ? sent_through(a, n, w, c, each) : scaled(a, n, w, c.input, each);
        if (gr__is_bad(made))
            return GR_BAD;
        if (!is_offset(z->node))
            w = made;
        for (int64_t i = 0; sum && is_offset(z->node) && i < channels(sum); i++)
            put(sum, i, number(sum, i) + number(made, i));
        sum = sum || !is_offset(z->node) ? sum : made;
        z = x;
        found = true;
    }
    if (!found)
        return NULL;
    if (shape)
        z = again(a, shape->node, z, z);
    gr_tensor *y = again(a, n, z, w);
    return sum && !gr__is_bad(y) ? binary(a, n, &gr_op_add, y, sum) : y;
}

gr_tensor *gr__absorb(const gr__absorber *a, const gr__node *n, gr_tensor *const *in)
{
    gr_channels c;
    gr_tensor *z, *v;
    if (product(n, in, &c) && c.result >= 0 && c.input >= 0)
        return product_of_scaled(a, n, in, c);
    if (!split(n, in, &z, &v) || !gr_shape_equal(z->shape, n->out[0].shape))
        return NULL;
    gr_tensor *each = vector(a, n, z);
    for (int64_t i = 0; !gr__is_bad(each) && i < channels(z); i++)
        put(each, i, is_offset(n) ? offset_of(n, v, i) : factor_of(n, v, i));
    if (gr__is_bad(each))
        return GR_BAD;
    return is_offset(n) ? with_offset(a, z, each) : with_factor(a, z, each);
}
