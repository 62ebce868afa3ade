/* models/predictor.c: see predictor.h. An engine is a program of the model in which the weights are constants, its
 * plans for some batch sizes, and a room for each run that may be under way. The sizes are max_batch and the powers of
 * two below it: any number of rows is a sum of these, so none is padded and no plan is made later. */
#include "core/mem.h"
#include "core/size.h"
#include "core/team.h"
#include "models/model_impl.h"
#include "models/predictor.h"
#include "ops/ops.h"
#include <pthread.h>
#include <stdatomic.h>

enum { MAX_SIZES = 64 };

typedef struct {
    gr_program *program;
    gr__room *room[GR_MAX_CALLS];
} engine;

typedef struct {
    gr_dtype dtype;
    gr_shape shape;    /* B first */
    int64_t row_bytes; /* of one row */
} port;

struct gr_predictor {
    gr_model *model;
    gr_at at;
    gr_predictor_opts opts;
    char *name; /* the model's */
    uint64_t seed;
    int n_in, n_out, calls, n_sizes;
    port in[GR_MAX_PORTS], out[GR_MAX_PORTS];
    int64_t size[MAX_SIZES]; /* falling */
    engine engine;
    _Atomic uint64_t idle; /* a bit for each room that no run is in */
    _Atomic int waiting;
    pthread_mutex_t refreshing, lock; /* `lock` and `freed`: for those who wait for a room */
    pthread_cond_t freed;
};

/* ---- engines ----------------------------------------------------------------------------------------------------- */

static void engine_free(engine *e)
{
    for (int i = 0; i < GR_MAX_CALLS; i++)
        gr__room_free(e->room[i]);
    gr_program_free(e->program);
    *e = (engine){0};
}

static gr_tensor *converted(gr_tensor *x, gr_dtype dtype)
{
    return gr_dtype_of(x) == dtype ? x : gr_cast(x, dtype);
}

/* The model's graph in inference, from data to all outputs. */
static gr_status trace(const gr_predictor *p, gr_tape *t, gr_program_opts *o)
{
    gr_model *m = p->model;
    gr_tensor *x[GR_MAX_PORTS];
    gr_build b;
    for (int i = 0; i < p->n_in; i++) {
        const gr_Input_spec *in = m->input[i];
        o->inputs[i] = gr_input_at(in->base.at, t, p->in[i].dtype, p->in[i].shape, in->name ? in->name : "input");
        x[i] = converted(o->inputs[i], in->dtype == GR_F32 ? m->store.dtype : in->dtype);
    }
    gr__build_begin(&b, t, &m->store, false);
    gr_status s = gr__build_call(&b, m->layer, p->n_in, x, p->n_out, o->outputs);
    gr__build_end(&b);
    return s;
}

static gr_status engine_make(const gr_predictor *p, engine *e)
{
    gr_program_opts o = {
        .name = "predictor", .threads = p->opts.threads, .passes_off = p->opts.passes_off, .frozen = true};
    gr_tape *t = gr_tape_new();
    *e = (engine){0};
    gr_status s = t ? trace(p, t, &o) : GR_EMEM;
    if (s == GR_OK && !(e->program = gr_program_new_at(p->at, t, &o)))
        s = gr_error();
    gr_tape_free(t);
    if (s == GR_OK)
        s = gr__program_fix(e->program, p->n_sizes, p->size);
    for (int i = 0; i < p->calls && s == GR_OK; i++)
        s = (e->room[i] = gr__program_room(e->program)) ? GR_OK : GR_EMEM;
    if (s != GR_OK)
        engine_free(e);
    return s;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static gr_status set_port(port *p, gr_at at, const gr_model *m, gr_dtype dtype, gr_shape shape)
{
    gr_shape row;
    p->dtype = dtype;
    p->shape = shape;
    int64_t n = gr_shape_bind(shape, 1, &row) ? gr_shape_size(row) : -1;
    if (n < 0 || !gr__mul(n, gr_dtype_size(dtype), &p->row_bytes))
        return gr_fail(GR_EMEM, at, "predictor: a row of %s does not fit in memory", m->name);
    return GR_OK;
}

static gr_status set_ports(gr_predictor *p, const gr_predictor_opts *o)
{
    const gr_model *m = p->model;
    p->n_in = m->n_inputs;
    p->n_out = m->n_outputs;
    for (int i = 0; i < p->n_in; i++) {
        gr_shape in = m->input[i]->shape, s = {.rank = in.rank + 1, .dim = {GR_BATCH}};
        gr_dtype own = m->input[i]->dtype == GR_F32 ? m->store.dtype : m->input[i]->dtype;
        for (int64_t d = 0; d < in.rank; d++)
            s.dim[d + 1] = in.dim[d];
        if (o->x_dtype[i] && gr_dtype_size(o->x_dtype[i]) == 0)
            return gr_fail(GR_EDTYPE, p->at, "predictor: argument x_dtype[%d]: expected a dtype", i);
        GR_TRY(set_port(&p->in[i], p->at, m, o->x_dtype[i] ? o->x_dtype[i] : own, s));
    }
    for (int i = 0; i < p->n_out; i++) {
        if (!gr_dim_is_batch(m->output_shape[i].rank ? m->output_shape[i].dim[0] : 0))
            return gr_fail(GR_ESHAPE, p->at,
                "predictor: argument model: expected outputs of a row each, found output %d of %s", i, m->name);
        gr_dtype own = m->output_dtype[i] == GR_F32 ? m->store.dtype : m->output_dtype[i];
        GR_TRY(set_port(&p->out[i], p->at, m, own, m->output_shape[i]));
    }
    return GR_OK;
}

static gr_status prepare(gr_predictor *p, const gr_predictor_opts *o)
{
    const int64_t most = o->max_batch ? o->max_batch : 128, cpus = gr__cpu_count();
    if (most < 1 || o->threads < 0 || o->calls < 0 || o->calls > GR_MAX_CALLS)
        return gr_fail(GR_EARG, p->at,
            "predictor: expected max_batch >= 1, threads >= 0 and calls in 0 .. %d, found %lld, %d and %d",
            GR_MAX_CALLS, (long long)o->max_batch, o->threads, o->calls);
    p->opts = *o;
    p->seed = gr_seed();
    p->calls = o->calls ? o->calls : cpus < GR_MAX_CALLS ? (int)cpus : GR_MAX_CALLS;
    p->size[p->n_sizes++] = most;
    for (int64_t size = INT64_C(1) << 40; size; size >>= 1)
        if (size < most)
            p->size[p->n_sizes++] = size;
    if (!(p->name = gr__strdup(p->model->name)))
        return GR_EMEM;
    GR_TRY(set_ports(p, o));
    GR_TRY(engine_make(p, &p->engine));
    if (gr__program_is_serial(p->engine.program))
        p->calls = 1;
    atomic_store(&p->idle, ~UINT64_C(0) >> (GR_MAX_CALLS - p->calls));
    return GR_OK;
}

gr_predictor *gr_predictor_new_at(gr_at at, const gr_predictor_opts *o)
{
    if (!o->model) {
        gr_fail(GR_EARG, at, "predictor: argument model: expected a model, found NULL");
        return NULL;
    }
    gr_predictor *p = gr__alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->model = o->model;
    p->at = at;
    pthread_mutex_init(&p->refreshing, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->freed, NULL);
    if (prepare(p, o) == GR_OK)
        return p;
    gr_predictor_free(p);
    return NULL;
}

void gr_predictor_free(gr_predictor *p)
{
    if (!p)
        return;
    engine_free(&p->engine);
    pthread_cond_destroy(&p->freed);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->refreshing);
    gr__free(p->name);
    gr__free(p);
}

/* ---- rooms ------------------------------------------------------------------------------------------------------- */

/* Takes one room, or all that are idle; waits until there is one. The taken ones as bits. */
static uint64_t take(gr_predictor *p, bool all)
{
    uint64_t idle = atomic_load(&p->idle);
    for (;;) {
        while (idle)
            if (atomic_compare_exchange_weak(&p->idle, &idle, all ? 0 : idle & (idle - 1)))
                return all ? idle : idle & -idle;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->waiting, 1); /* whoever gives back looks at this after it has set its bit */
        while ((idle = atomic_load(&p->idle)) == 0)
            pthread_cond_wait(&p->freed, &p->lock);
        atomic_fetch_sub(&p->waiting, 1);
        pthread_mutex_unlock(&p->lock);
    }
}

static void give_back(gr_predictor *p, uint64_t rooms)
{
    atomic_fetch_or(&p->idle, rooms);
    if (atomic_load(&p->waiting) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->freed);
    pthread_mutex_unlock(&p->lock);
}

gr_status gr_predictor_refresh(gr_predictor *p)
{
    GR_CHECK(p, GR_EARG, "predictor_refresh: argument p: expected a predictor, found NULL");
    engine fresh, old;
    pthread_mutex_lock(&p->refreshing);
    gr_status s = engine_make(p, &fresh);
    if (s == GR_OK) {
        uint64_t all = ~UINT64_C(0) >> (GR_MAX_CALLS - p->calls), mine = 0;
        while (mine != all)
            mine |= take(p, true);
        old = p->engine;
        p->engine = fresh;
        give_back(p, all);
        engine_free(&old);
    }
    pthread_mutex_unlock(&p->refreshing);
    return s;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const gr_predictor *p;
    int room;
    int64_t n;
    const char *x[GR_MAX_PORTS];
    char *y[GR_MAX_PORTS];
    gr_status status;
} call;

static void run_pieces(void *ctx)
{
    call *c = ctx;
    const gr_predictor *p = c->p;
    gr_buffer in[GR_MAX_PORTS], out[GR_MAX_PORTS];
    c->status = GR_OK;
    for (int which = 0; c->n > 0 && c->status == GR_OK;) {
        const int64_t rows = p->size[which];
        if (rows > c->n) {
            which++;
            continue;
        }
        for (int i = 0; i < p->n_in; i++) {
            in[i].data = (void *)c->x[i];
            c->x[i] += rows * p->in[i].row_bytes;
        }
        for (int i = 0; i < p->n_out; i++) {
            out[i].data = c->y[i];
            c->y[i] += c->y[i] ? rows * p->out[i].row_bytes : 0;
        }
        c->status =
            gr__program_run_in(p->engine.program, p->engine.room[c->room], which, in, out, p->seed, c->room == 0);
        c->n -= rows;
    }
}

static gr_status run(gr_predictor *p, call *c)
{
    uint64_t room = take(p, false);
    c->p = p;
    c->room = __builtin_ctzll(room);
    int threads = gr__program_threads(p->engine.program);
    if (c->n > p->size[0] && threads > 1)
        gr__team_hold(threads, run_pieces, c); /* one team for all pieces */
    else
        run_pieces(c);
    give_back(p, room);
    return c->status;
}

gr_status gr_predictor_run_rows(gr_predictor *p, int64_t n, const void *const *x, void *const *y)
{
    call c = {.n = n};
    GR_CHECK(p, GR_EARG, "predictor_run: argument p: expected a predictor, found NULL");
    GR_CHECK(n >= 0, GR_EARG, "predictor_run: argument n: expected rows, 0 or more, found %lld", (long long)n);
    for (int i = 0; i < p->n_in; i++)
        GR_CHECK((c.x[i] = x ? x[i] : NULL) || n == 0, GR_EARG,
            "predictor_run: argument x: expected the rows of input %d of "
            "%s, found NULL",
            i, p->name);
    for (int i = 0; i < p->n_out; i++)
        c.y[i] = y ? y[i] : NULL;
    return n ? run(p, &c) : GR_OK;
}

/* Is the array what a port takes? *n: its rows, or -1 while not known. */
static gr_status check_array(
    const gr_predictor *p, const char *argument, int i, const port *want, const gr_array *a, int64_t *n)
{
    char text[200], found[200];
    GR_CHECK(a, GR_EARG, "predictor_run: argument %s[%d]: expected %s, as %s has it, found NULL", argument, i,
        gr_type_text(want->dtype, want->shape, text, sizeof text), p->name);
    gr_shape s = gr_array_shape(a), full;
    int64_t rows = *n >= 0 ? *n
                   : s.rank && s.dim[0] % gr_dim_times(want->shape.dim[0]) == 0
                       ? s.dim[0] / gr_dim_times(want->shape.dim[0])
                       : -1;
    bool fits = rows >= 0 && gr_shape_bind(want->shape, rows, &full) && gr_shape_equal(full, s);
    if (!fits || gr_array_dtype(a) != want->dtype)
        return gr_fail(GR_ESHAPE, (gr_at){0}, "predictor_run: argument %s[%d]: expected %s%s, as %s has it, found %s",
            argument, i, gr_type_text(want->dtype, *n >= 0 && fits ? full : want->shape, text, sizeof text),
            *n >= 0 ? " with the rows of x[0]" : "", p->name, gr_type_text(gr_array_dtype(a), s, found, sizeof found));
    GR_CHECK(gr_array_is_contiguous(a), GR_EARG,
        "predictor_run: argument %s[%d]: expected a contiguous array, found a view", argument, i);
    *n = rows;
    return GR_OK;
}

gr_status gr_predictor_run(gr_predictor *p, gr_list x, gr_list y)
{
    const void *in[GR_MAX_PORTS];
    void *out[GR_MAX_PORTS] = {NULL};
    int64_t n = -1;
    GR_CHECK(p, GR_EARG, "predictor_run: argument p: expected a predictor, found NULL");
    GR_CHECK(x.n == p->n_in && y.n == p->n_out, GR_EARG,
        "predictor_run: expected %d inputs and %d outputs, as %s has them, found %lld and %lld", p->n_in, p->n_out,
        p->name, (long long)x.n, (long long)y.n);
    for (int i = 0; i < p->n_in; i++) {
        GR_TRY(check_array(p, "x", i, &p->in[i], x.item[i], &n));
        in[i] = gr_array_data(x.item[i]);
    }
    for (int i = 0; i < p->n_out; i++)
        if (y.item[i]) {
            GR_TRY(check_array(p, "y", i, &p->out[i], y.item[i], &n));
            out[i] = gr_array_data(y.item[i]);
        }
    return gr_predictor_run_rows(p, n, in, out);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static gr_dtype type_of(const char *function, const port *ports, int n_ports, int i, int64_t n, gr_shape *shape)
{
    gr_shape s;
    if (i < 0 || i >= n_ports || n < 0 || !gr_shape_bind(ports[i].shape, n, &s) || gr_shape_size(s) < 0) {
        gr_fail(GR_EARG, (gr_at){0}, "%s: expected number 0 .. %d and rows that fit in memory, found %d and %lld",
            function, n_ports - 1, i, (long long)n);
        return GR_DTYPE_NONE;
    }
    if (shape)
        *shape = s;
    return ports[i].dtype;
}

gr_dtype gr_predictor_input(const gr_predictor *p, int i, int64_t n, gr_shape *shape)
{
    return type_of("predictor_input", p->in, p->n_in, i, n, shape);
}

gr_dtype gr_predictor_output(const gr_predictor *p, int i, int64_t n, gr_shape *shape)
{
    return type_of("predictor_output", p->out, p->n_out, i, n, shape);
}
