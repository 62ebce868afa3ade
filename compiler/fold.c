/* compiler/fold.c: what depends on constants only is computed now, if the result is at most 1 KiB. */
#include "compiler/graph.h"
#include "core/size.h"

enum { LARGEST = 1024 };

static bool is_foldable(const gr__node *n, gr_tensor *const *in)
{
    int64_t bytes;
    if (n->n_in < 1 || n->n_out != 1 || n->n_regions || (n->op->traits & (GR_EFFECT | GR_RANDOM | GR_LEAF)) ||
        gr_shape_is_symbolic(n->out[0].shape) ||
        !gr__mul(gr_shape_size(n->out[0].shape), gr_dtype_size(n->out[0].dtype), &bytes) || bytes > LARGEST)
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (in[i]->node->op != &gr_op_constant)
            return false;
    return true;
}

static gr__rewritten fold(void *user, gr_tape *t, const gr__node *n, gr_tensor *const *in, gr_tensor **result)
{
    (void)user;
    if (!is_foldable(n, in))
        return GR__KEEP;
    gr_tensor *x = gr__node_copy(t, n, in);
    if (gr__is_bad(x))
        return GR__FAILED;
    bool clean = gr_error() == GR_OK;
    gr_array *value = gr_eval(x);
    if (!value && gr_error() == GR_EMEM)
        return GR__FAILED;
    if (!value) { /* an error of data (an index out of range) belongs to the run, not to the compiler */
        if (clean)
            gr_error_clear();
        result[0] = x;
        return GR__REPLACED;
    }
    result[0] = gr__constant_bytes(n->at, t, x->dtype, x->shape, gr_array_data(value));
    gr_array_free(value);
    return gr__is_bad(result[0]) ? GR__FAILED : GR__REPLACED;
}

static bool folds(void *user, const gr__node *n)
{
    (void)user;
    return is_foldable(n, n->in);
}

gr_status gr__pass_fold(gr__graph *g)
{
    return gr__graph_any(g, folds, NULL) ? gr__graph_rewrite(g, fold, NULL) : GR_OK;
}
