/* core/op.c: the registry of ops, and the messages that inference and evaluation leave. */
#include "core/node.h"
#include <pthread.h>
#include <string.h>

/* Registered for ever and few (about a hundred): a list under a lock, read through the same lock. Not on the heap,
 * since Grape's own are registered before main, and the caller may set an allocator after that. */
enum { MAX_OPS = 1024 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const gr_op *ops[MAX_OPS];
static int n_ops;

static const gr_op *find(const char *name)
{
    for (int i = 0; i < n_ops; i++)
        if (strcmp(ops[i]->name, name) == 0)
            return ops[i];
    return NULL;
}

static gr_status add(const gr_op *op)
{
    const gr_op *old = find(op->name);
    if (old == op)
        return GR_OK;
    if (old)
        return gr_fail(GR_ENAME, (gr_at){0}, "op_register: another op is called '%s'", op->name);
    GR_CHECK(n_ops < MAX_OPS, GR_EARG, "op_register: %s: expected at most %d ops", op->name, (int)MAX_OPS);
    ops[n_ops++] = op;
    return GR_OK;
}

/* Grape's own come first. The room that has them lies below this one and is not included; but the reference makes a
 * static library bring its ops along, which a constructor over there would not. */
static pthread_once_t own_first = PTHREAD_ONCE_INIT;

gr_status gr_op_register(const gr_op *op)
{
    pthread_once(&own_first, gr__ops_init);
    return gr__op_own(op);
}

gr_status gr__op_own(const gr_op *op)
{
    GR_CHECK(op && op->name && op->name[0], GR_EARG, "op_register: argument op: expected a name");
    GR_CHECK(op->abi == GR_ABI, GR_EARG, "op_register: %s: expected .abi = GR_ABI (%d), found %d", op->name, GR_ABI,
        op->abi);
    GR_CHECK(op->infer, GR_EARG, "op_register: %s: expected .infer", op->name);
    GR_CHECK(op->n_in >= -1 && op->n_in <= 64 && op->n_out >= 0 && op->n_out <= 64, GR_EARG,
        "op_register: %s: expected at most 64 inputs and results, found %d and %d", op->name, op->n_in, op->n_out);
    GR_CHECK(op->eval_f32 || op->eval_f64 || (op->traits & (GR_LEAF | GR_REGION)), GR_EARG,
        "op_register: %s: expected .eval_f32 or .eval_f64", op->name);
    pthread_mutex_lock(&lock);
    gr_status s = add(op);
    pthread_mutex_unlock(&lock);
    return s;
}

const gr_op *gr_op_named(const char *name)
{
    pthread_once(&own_first, gr__ops_init);
    pthread_mutex_lock(&lock);
    const gr_op *op = name ? find(name) : NULL;
    pthread_mutex_unlock(&lock);
    return op;
}

const gr_op *gr_op_at(int index)
{
    pthread_once(&own_first, gr__ops_init);
    pthread_mutex_lock(&lock);
    const gr_op *op = index >= 0 && index < n_ops ? ops[index] : NULL;
    pthread_mutex_unlock(&lock);
    return op;
}

gr_status gr_infer_same(gr_infer *f)
{
    int n = f->n_out;
    for (int i = 0; i < n; i++) {
        f->out_dtype[i] = f->dtype[0];
        f->out_shape[i] = f->shape[0];
    }
    return GR_OK;
}

gr_status gr_call_fail(const gr_call *c, gr_status status, const char *argument, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return gr_fail(status, c->at, "%s: argument %s: %s", c->op->name, argument, text);
}

bool gr__node_is_f64(const gr__node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i].dtype == GR_F64)
            return true;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i]->dtype == GR_F64)
            return true;
    return false;
}

gr_status gr__call_eval(const gr__node *n, gr_call *c)
{
    bool f64 = gr__node_is_f64(n);
    gr_status (*eval)(const gr_call *) = f64 ? n->op->eval_f64 : n->op->eval_f32;
    if (!eval)
        return gr_fail(GR_EMISSING, n->at, "%s: is %s only", n->op->name, f64 ? "float32" : "float64");
    void *own = NULL;
    if (!c->scratch && n->op->scratch) {
        int64_t bytes = n->op->scratch(c);
        if (bytes > 0 && !(own = gr__alloc_aligned(bytes)))
            return GR_EMEM;
        c->scratch = own;
    }
    gr_status s = eval(c);
    if (own) {
        gr__free_aligned(own);
        c->scratch = NULL;
    }
    return s;
}
