/* models/step.c: one training, test or prediction step of a model as one compiled program.
 *
 * The data's arrays are the program's inputs as they are, together with the numbers of the batch's rows: fetching the
 * rows and converting them is the program's first step. A prediction's rows come in order: its inputs are the rows
 * themselves, and one program serves any number of them. Metrics are summed up in float64 variables by the step
 * itself. */
#include "autograd/grad.h"
#include "core/node.h"
#include "models/model_impl.h"
#include "ops/ops.h"
#include <string.h>

enum { MAX_INPUTS = 2 * GR_MAX_PORTS + 2 };

struct gr__step {
    gr__step *next;
    gr__mode mode;
    int output;
    int n_in; /* rows (not of a prediction), x.., y.., sample weight */
    gr_dtype dtype[MAX_INPUTS];
    gr_shape shape[MAX_INPUTS];
    gr_program *program;
    gr_dtype result_dtype; /* loss in training, predictions in predicting */
    gr_shape result_shape;
};

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* The arrays of a data set in input order; returns their number. */
static int arrays_of(const gr_data *d, gr__mode mode, gr_array **out)
{
    int n = 0;
    for (int64_t i = 0; i < d->x.n; i++)
        out[n++] = d->x.item[i];
    for (int64_t i = 0; i < d->y.n && mode != GR__PREDICT; i++)
        out[n++] = d->y.item[i];
    if (d->sample_weight && mode != GR__PREDICT)
        out[n++] = d->sample_weight;
    return n;
}

gr_status gr__check_data(const gr_model *m, const gr_data *d, bool with_y, gr_at at, int64_t *rows)
{
    char want[200], got[200];
    if (d->x.n != m->n_inputs)
        return gr_fail(GR_EARG, at, "%s: argument x: expected %d arrays, one per input, found %lld", m->name,
            m->n_inputs, (long long)d->x.n);
    if (with_y && d->y.n != m->n_outputs)
        return gr_fail(GR_EARG, at, "%s: argument y: expected %d arrays, one per output, found %lld", m->name,
            m->n_outputs, (long long)d->y.n);
    gr_array *all[MAX_INPUTS];
    gr_data d_x = *d;
    int n = arrays_of(&d_x, with_y ? GR__TRAIN : GR__PREDICT, all);
    for (int i = 0; i < n; i++) {
        if (!all[i])
            return gr_fail(GR_EARG, at, "%s: argument data: expected an array, found NULL at %d", m->name, i);
        gr_shape s = gr_array_shape(all[i]);
        if (s.rank < 1)
            return gr_fail(
                GR_ESHAPE, at, "%s: argument data: expected samples along axis 0, found rank 0 at %d", m->name, i);
        if (i == 0)
            *rows = s.dim[0];
        if (s.dim[0] != *rows)
            return gr_fail(GR_ESHAPE, at,
                "%s: argument data: expected %lld samples, as the first array has, found %lld at %d", m->name,
                (long long)*rows, (long long)s.dim[0], i);
        if (i < m->n_inputs) {
            gr_shape in = m->input[i]->shape, rest = {.rank = s.rank - 1};
            memcpy(rest.dim, s.dim + 1, sizeof(int64_t) * (GR_MAX_RANK - 1));
            if (!gr_shape_equal(in, rest))
                return gr_fail(GR_ESHAPE, at, "%s: argument x: expected samples of shape %s for input %d, found %s",
                    m->name, gr_shape_text(in, want, sizeof want), i, gr_shape_text(rest, got, sizeof got));
        }
    }
    if (with_y && d->sample_weight && gr_array_shape(d->sample_weight).rank != 1)
        return gr_fail(GR_ESHAPE, at, "%s: argument sample_weight: expected shape [n], found %s", m->name,
            gr_shape_text(gr_array_shape(d->sample_weight), got, sizeof got));
    if (*rows < 1)
        return gr_fail(GR_EARG, at, "%s: argument data: expected at least one sample, found none", m->name);
    return GR_OK;
}

static int has_rows(gr__mode mode)
{
    return mode != GR__PREDICT;
}

/* ---- tracing ----------------------------------------------------------------------------------------------------- */

typedef struct {
    gr_model *m;
    gr_tape *t;
    gr_tensor *in[MAX_INPUTS];                             /* whole arrays, after the row numbers */
    gr_tensor *x[GR_MAX_PORTS], *y[GR_MAX_PORTS], *weight; /* of the batch */
    gr_tensor *p[GR_MAX_PORTS];
} trace;

static gr_tensor *to_float(gr_tensor *x, gr_dtype dtype)
{
    return gr_dtype_of(x) == dtype ? x : gr_cast(x, dtype);
}

/* variable += x */
static gr_status accumulate(gr_tape *t, gr_variable *v, gr_tensor *x)
{
    gr_tensor *old = gr_read(t, v);
    return gr_status_of(gr_assign(old, gr_add(old, to_float(x, GR_F64))));
}

/* Keras: the loss is a mean over batches weighted by their rows; metrics are means over values. */
static gr_status sum_up(gr_build *b, const trace *r, gr_tensor *loss)
{
    const gr_model *m = r->m;
    gr_tensor *rows = gr_count(r->x[0], .axes = GR_SHAPE(0));
    GR_TRY(accumulate(r->t, m->loss_sum, gr_mul(to_float(loss, GR_F64), to_float(rows, GR_F64))));
    GR_TRY(accumulate(r->t, m->loss_count, rows));
    for (int i = 0; i < m->n_metrics; i++) {
        gr_tensor *v = gr__metric_call(b, m->metric[i], r->y[0], r->p[0]);
        GR_TRY(gr_status_of(v));
        GR_TRY(accumulate(r->t, m->metric_sum[i], gr_sum(v)));
        GR_TRY(accumulate(r->t, m->metric_count[i], gr_count(v)));
    }
    return GR_OK;
}

static gr_status update(const trace *r, gr_tensor *loss)
{
    gr_model *m = r->m;
    gr_tensor **w = gr__alloc(m->store.n, 2 * sizeof *w), **g = w ? w + m->store.n : NULL;
    int n = 0;
    if (!w)
        return GR_EMEM;
    /* The nodes that read weights, found on the tape: a weight that an assign changed in this trace is read before
     * it. */
    for (int i = 0; i < m->store.n; i++)
        if (gr_variable_trainable(m->store.variable[i]))
            w[n++] = gr_read(r->t, m->store.variable[i]);
    gr_status s = gr_grad(loss, w, n, g);
    r->t->phase = GR_PHASE_UPDATE;
    gr_scope_push(r->t, "optimizer", gr__optim_spec(m->optim)->kind->name, gr__optim_spec(m->optim)->at);
    if (s == GR_OK)
        s = gr__optim_apply(m->optim, r->t, n, w, g);
    gr_scope_pop(r->t);
    gr__free(w);
    return s;
}

static gr_status run_model(gr_build *b, trace *r)
{
    return gr__build_call(b, r->m->layer, r->m->n_inputs, r->x, r->m->n_outputs, r->p);
}

/* Records the whole step; *result is what the program gives back besides what it assigns. */
static gr_status record(trace *r, gr_build *b, gr__mode mode, int output, gr_tensor **result)
{
    gr_model *m = r->m;
    GR_TRY(run_model(b, r));
    *result = r->p[output];
    if (mode == GR__PREDICT)
        return GR_OK;
    gr_tensor *loss = NULL;
    gr_scope_push(r->t, "loss", m->loss->kind->name, m->loss->at);
    for (int i = 0; i < m->n_outputs; i++) {
        gr_tensor *v = m->loss->kind->call(b, m->loss, r->y[i], r->p[i]);
        gr_tensor *mean = gr__loss_reduce(v, r->weight);
        loss = loss ? gr_add(loss, mean) : mean;
    }
    gr_scope_pop(r->t);
    GR_TRY(gr_status_of(loss));
    gr_scope_push(r->t, "metrics", "Metrics", (gr_at){0});
    gr_status s = sum_up(b, r, loss);
    gr_scope_pop(r->t);
    GR_TRY(s);
    *result = loss;
    return mode == GR__TRAIN ? update(r, loss) : GR_OK;
}

/* The program's inputs, and the batch's rows of them in the dtypes the model wants. */
static gr_status inputs(trace *r, gr__step *s, gr_at at)
{
    gr_model *m = r->m;
    const int first = has_rows(s->mode);
    if (first)
        r->in[0] = gr_input_at(at, r->t, GR_I64, GR_SHAPE(GR_BATCH), "rows");
    for (int i = first; i < s->n_in; i++) {
        int k = i - first;
        char name[32];
        bool is_x = k < m->n_inputs, is_y = !is_x && k < m->n_inputs + m->n_outputs;
        snprintf(name, sizeof name, is_x ? "x%d" : is_y ? "y%d" : "sample_weight", is_x ? k : k - m->n_inputs);
        r->in[i] = gr_input_at(at, r->t, s->dtype[i], s->shape[i], name);
        gr_tensor *batch = first ? gr_take(r->in[i], r->in[0], 0) : r->in[i];
        if (is_x) {
            gr_dtype want = m->input[k]->dtype == GR_F32 ? m->store.dtype : m->input[k]->dtype;
            r->x[k] = to_float(batch, want);
        } else if (is_y) {
            r->y[k - m->n_inputs] = batch;
        } else {
            r->weight = to_float(batch, m->store.dtype);
        }
    }
    return gr_error();
}

static gr_status compile(gr__step *s, gr_model *m, gr_at at)
{
    trace r = {.m = m, .t = gr_tape_new()};
    gr_build b;
    gr_tensor *result = NULL;
    if (!r.t)
        return GR_EMEM;
    gr_status status = inputs(&r, s, at);
    gr__build_begin(&b, r.t, &m->store, s->mode == GR__TRAIN);
    if (status == GR_OK)
        status = record(&r, &b, s->mode, s->output, &result);
    if (status == GR_OK) {
        gr_program_opts o = {.outputs = {result},
            .name = s->mode == GR__TRAIN  ? "train"
                    : s->mode == GR__TEST ? "test"
                                          : "predict"};
        memcpy(o.inputs, r.in, sizeof *o.inputs * (size_t)s->n_in);
        s->result_dtype = gr_dtype_of(result);
        s->result_shape = gr_shape_of(result);
        s->program = gr_program_new_at(at, r.t, &o);
        m->room = m->room ? m->room : gr__room_new();
        status = s->program && m->room ? gr__program_share(s->program, m->room) : gr_error();
    }
    gr__build_end(&b);
    gr_tape_free(r.t);
    return status;
}

/* ---- the steps of a model ---------------------------------------------------------------------------------------- */

static gr_shape input_shape(gr__mode mode, const gr_array *a)
{
    gr_shape s = gr_array_shape(a);
    if (!has_rows(mode))
        s.dim[0] = GR_BATCH;
    return s;
}

static bool same_signature(const gr__step *s, gr__mode mode, int output, int n, gr_array *const *arrays)
{
    const int first = has_rows(mode);
    if (s->mode != mode || s->output != output || s->n_in != first + n)
        return false;
    for (int i = 0; i < n; i++)
        if (s->dtype[first + i] != gr_array_dtype(arrays[i]) ||
            !gr_shape_equal(s->shape[first + i], input_shape(mode, arrays[i])))
            return false;
    return true;
}

gr__step *gr__step_get(gr_model *m, gr__mode mode, const gr_data *data, int output, gr_at at)
{
    gr_array *arrays[MAX_INPUTS];
    int n = arrays_of(data, mode, arrays);
    for (gr__step *s = m->steps; s; s = s->next)
        if (same_signature(s, mode, output, n, arrays))
            return s;
    gr__step *s = gr__alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->mode = mode;
    s->output = output;
    s->n_in = has_rows(mode);
    for (int i = 0; i < n; i++) {
        s->dtype[s->n_in] = gr_array_dtype(arrays[i]);
        s->shape[s->n_in++] = input_shape(mode, arrays[i]);
    }
    if (compile(s, m, at) != GR_OK) {
        gr_program_free(s->program);
        gr__free(s);
        return NULL;
    }
    s->next = m->steps;
    m->steps = s;
    return s;
}

gr_program *gr__step_program(gr__step *s)
{
    return s->program;
}

void gr__steps_free(gr_model *m)
{
    while (m->steps) {
        gr__step *next = m->steps->next;
        gr_program_free(m->steps->program);
        gr__free(m->steps);
        m->steps = next;
    }
    gr__room_free(m->room);
    m->room = NULL;
}

gr_status gr__step_run(
    gr__step *s, const gr_data *data, const int64_t *idx, int64_t n, uint64_t number, double *loss, void *predictions)
{
    gr_array *arrays[MAX_INPUTS];
    gr_buffer in[MAX_INPUTS], out = {.dtype = s->result_dtype, .data = predictions};
    int n_arrays = arrays_of(data, s->mode, arrays);
    union {
        float f32;
        double f64;
    } value = {.f64 = 0};
    const int first = has_rows(s->mode);
    in[0] = (gr_buffer){GR_I64, GR_SHAPE(n), (void *)idx};
    for (int i = 0; i < n_arrays; i++) {
        gr_buffer *b = &in[first + i];
        *b = (gr_buffer){gr_array_dtype(arrays[i]), gr_array_shape(arrays[i]), gr_array_data(arrays[i])};
        if (!first) {
            b->data = (char *)b->data + gr_array_bytes(arrays[i]) / b->shape.dim[0] * idx[0];
            b->shape.dim[0] = n;
        }
    }
    if (!gr_shape_bind(s->result_shape, n, &out.shape))
        return gr_fail(GR_EMEM, (gr_at){0}, "step: a batch of %lld rows does not fit in memory", (long long)n);
    if (s->mode != GR__PREDICT)
        out.data = &value;
    GR_TRY(gr__program_run(s->program, in, &out, gr_seed(), number));
    if (loss)
        *loss = s->result_dtype == GR_F32 ? (double)value.f32 : value.f64;
    return GR_OK;
}
