/* compiler/compile.c: tape in, program out. The passes over the graph in their order; then, for each batch size that
 * comes, a plan (plan.h). Read next: graph.h, then plan.h, tile.h, run.c. */
#include "compiler/dump.h"
#include "compiler/profile.h"
#include "compiler/room.h"
#include "core/dot.h"
#include "core/size.h"
#include "core/thread.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PLANS = 4 }; /* batch sizes kept: full, last partial, and the same of evaluation */

struct gr_program {
    char *name;
    gr__graph graph;
    unsigned off;
    int threads;
    bool verify, frozen;
    int n_plans;
    gr__plan *plan[PLANS]; /* latest first */
    int n_fixed;
    gr__plan **fixed; /* of gr__program_fix */
    gr__room own, *room; /* of runs on the plans of the last sizes, one at a time: its own, or one that is shared */
    uint64_t runs;
    int64_t batch_hint;
    char *dump; /* GRAPE_DUMP's folder for this program; NULL */
    bool nan_check;
    gr_buffer in[GR_PROGRAM_MAX], out[GR_PROGRAM_MAX];
};

static const struct {
    const char *name;
    unsigned bit;
} pass_names[] = {
    {"simplify", GR_PASS_SIMPLIFY},
    {"inexact", GR_PASS_INEXACT},
    {"fold", GR_PASS_FOLD},
    {"cse", GR_PASS_CSE},
    {"fuse", GR_PASS_FUSE},
    {"strips", GR_PASS_STRIPS},
    {"views", GR_PASS_VIEWS},
    {"inplace", GR_PASS_INPLACE},
    {"reuse", GR_PASS_REUSE},
    {"serial", GR_PASS_SERIAL},
    {"examples", GR_PASS_EXAMPLES},
    {"remat", GR_PASS_REMAT},
    {"keep", GR_PASS_KEEP},
    {"pack", GR_PASS_PACK},
};

/* "-cse,-fuse": passes left out. Unknown names get one warning, since a typing mistake would go unseen. */
static unsigned passes_of_environment(void)
{
    const char *s = getenv("GRAPE_PASSES");
    unsigned off = 0;
    while (s && *s) {
        size_t n = strcspn(s, ",");
        bool known = n == 0;
        for (size_t i = 0; i < sizeof pass_names / sizeof *pass_names; i++)
            if (n > 1 && *s == '-' && strlen(pass_names[i].name) == n - 1 &&
                strncmp(pass_names[i].name, s + 1, n - 1) == 0) {
                off |= pass_names[i].bit;
                known = true;
            }
        if (!known)
            gr_log_write(GR_LOG_WARNING,
                "GRAPE_PASSES: expected -simplify, -inexact, -fold, -cse, -fuse, -strips, -views, "
                "-inplace, -reuse, -serial, -examples, -remat, -keep, -pack; found %.*s",
                (int)n, s);
        s += n + (s[n] == ',');
    }
    return off;
}

int64_t gr__limit(const char *name)
{
    const char *s = getenv(name);
    return s && *s ? strtoll(s, NULL, 10) : INT64_MAX;
}

/* ---- passes over the graph --------------------------------------------------------------------------------------- */

static gr_status simplify(gr_program *p)
{
    return gr__pass_simplify(&p->graph, !(p->off & GR_PASS_INEXACT));
}
static gr_status fold(gr_program *p)
{
    return gr__pass_fold(&p->graph);
}
static gr_status cse(gr_program *p)
{
    return gr__pass_cse(&p->graph);
}
static gr_status inline_regions(gr_program *p)
{
    return gr__pass_inline(&p->graph);
}
static gr_status freeze(gr_program *p)
{
    return gr__pass_freeze(&p->graph, !(p->off & GR_PASS_FOLD), !(p->off & GR_PASS_INEXACT));
}
static gr_status remat(gr_program *p)
{
    return gr__pass_remat(&p->graph, p->off & GR_PASS_KEEP);
}
static gr_status pack(gr_program *p)
{
    GR_TRY(gr__pass_pack(&p->graph, p->frozen));
    return p->frozen ? gr__pass_freeze(&p->graph, !(p->off & GR_PASS_FOLD), false) : GR_OK;
}
static gr_status compact(gr_program *p)
{
    return gr__graph_rebuild(&p->graph, NULL, NULL);
}

static const struct {
    const char *name;
    unsigned bit; /* 0: cannot be left out */
    gr_status (*run)(gr_program *p);
} passes[] = {
    {"inline", 0, inline_regions},
    {"simplify", GR_PASS_SIMPLIFY, simplify},
    {"fold", GR_PASS_FOLD, fold},
    {"cse", GR_PASS_CSE, cse},
    {"freeze", 0, freeze},
    {"simplify", GR_PASS_SIMPLIFY, simplify},
    {"remat", GR_PASS_REMAT, remat},
    {"pack", GR_PASS_PACK, pack},
    {"compact", 0, compact},
};

static gr_status after_pass(gr_program *p, int number, const char *pass)
{
    char name[40];
    snprintf(name, sizeof name, "%02d-%s", number, pass);
    if (p->verify)
        GR_TRY(gr__graph_verify(&p->graph, pass));
    return p->dump ? gr__dump_graph_to(&p->graph, p->dump, name) : GR_OK;
}

static gr_status run_passes(gr_program *p)
{
    GR_TRY(after_pass(p, 0, "trace"));
    int64_t limit = gr__limit("GRAPE_PASS_LIMIT");
    for (int64_t i = 0; i < (int64_t)(sizeof passes / sizeof *passes); i++) {
        if ((p->off & passes[i].bit) || (passes[i].bit && i >= limit) || (passes[i].run == freeze && !p->frozen))
            continue;
        GR_TRY(passes[i].run(p));
        GR_TRY(after_pass(p, (int)i + 1, passes[i].name));
    }
    return GR_OK;
}

/* GRAPE_DUMP=DIR: DIR/name, made if need be. A folder that cannot be made is a warning, since the program is fine. */
static gr_status find_dump(gr_program *p)
{
    const char *dir = getenv("GRAPE_DUMP");
    char path[4096];
    if (!dir || !dir[0])
        return GR_OK;
    snprintf(path, sizeof path, "%s/%s", dir, p->name);
    mkdir(dir, 0777);
    mkdir(path, 0777);
    struct stat is;
    if (stat(path, &is) == 0 && S_ISDIR(is.st_mode))
        return (p->dump = gr__strdup(path)) ? GR_OK : GR_EMEM;
    gr_log_write(GR_LOG_WARNING, "GRAPE_DUMP: %s: %s", path, strerror(errno));
    return GR_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static gr_status check_opts(gr_at at, const gr_tape *t, const gr_program_opts *o)
{
    if (!t || !o || t->parent)
        return gr_fail(GR_EARG, at, "program: argument tape: expected a tape outside regions, found %s",
            t ? "one inside" : "NULL");
    for (int i = 0; i <= GR_PROGRAM_MAX && o->inputs[i]; i++)
        if (i == GR_PROGRAM_MAX || gr__is_bad(o->inputs[i]) || o->inputs[i]->node->op != &gr_op_input ||
            o->inputs[i]->node->tape != t)
            return gr__is_bad(o->inputs[i]) && gr_error() != GR_OK
                       ? gr_error()
                       : gr_fail(GR_EARG, at,
                             "program: argument inputs: expected at most %d gr_input tensors of the tape, "
                             "found another at %d",
                             GR_PROGRAM_MAX, i);
    for (int i = 0; i <= GR_PROGRAM_MAX && o->outputs[i]; i++)
        if (i == GR_PROGRAM_MAX || gr__is_bad(o->outputs[i]) || o->outputs[i]->node->tape != t)
            return gr__is_bad(o->outputs[i]) && gr_error() != GR_OK
                       ? gr_error()
                       : gr_fail(GR_EARG, at,
                             "program: argument outputs: expected at most %d tensors of the tape, found "
                             "another at %d",
                             GR_PROGRAM_MAX, i);
    return GR_OK;
}

static gr__plan *plan_for(gr_program *p, int64_t batch);

gr_program *gr_program_new_at(gr_at at, gr_tape *t, const gr_program_opts *opts)
{
    if (check_opts(at, t, opts) != GR_OK)
        return NULL;
    gr_program *p = gr__alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->name = gr__strdup(opts->name ? opts->name : "program");
    p->off = opts->passes_off | passes_of_environment();
    p->threads = opts->threads > 0 && opts->threads <= GR_MAX_THREADS ? opts->threads : gr_num_threads();
    p->verify = opts->verify || getenv("GRAPE_VERIFY");
    p->frozen = opts->frozen;
    p->batch_hint = opts->max_batch;
    p->nan_check = getenv("GRAPE_NANCHECK") != NULL;
    p->room = &p->own;
    gr_status s = p->name ? gr__graph_trace(&p->graph, t, opts) : GR_EMEM;
    if (s == GR_OK)
        s = find_dump(p);
    if (s == GR_OK)
        s = run_passes(p);
    if (s == GR_OK && opts->max_batch > 0 && !plan_for(p, opts->max_batch))
        s = GR_EMEM;
    if (s == GR_OK)
        return p;
    gr_program_free(p);
    return NULL;
}

static void end_plan(const gr_program *p, gr__plan *plan)
{
    if (plan->profile)
        gr__profile_tell(plan->profile, plan, p->name);
    if (p->room->set_for == plan)
        p->room->set_for = NULL; /* another plan may come to lie where this one did */
    gr__plan_free(plan);
}

void gr_program_free(gr_program *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_plans; i++)
        end_plan(p, p->plan[i]);
    for (int i = 0; i < p->n_fixed; i++)
        end_plan(p, p->fixed[i]);
    gr__free(p->fixed);
    gr__room_clear(&p->own);
    gr__graph_free(&p->graph);
    gr__free(p->name);
    gr__free(p->dump);
    gr__free(p);
}

/* ---- plans by batch size ----------------------------------------------------------------------------------------- */

static gr__plan *make_plan(const gr_program *p, int64_t batch)
{
    gr__plan *plan = p->nan_check ? gr__plan_new(&p->graph, batch, 1, p->off | GR_PASS_FUSE | GR_PASS_INPLACE)
                                  : gr__plan_new(&p->graph, batch, p->threads, p->off);
    if (plan && p->verify && gr__plan_verify(plan) != GR_OK) {
        gr__plan_free(plan);
        plan = NULL;
    }
    return plan;
}

static void dump_plan(const gr_program *p, const gr__plan *plan)
{
    if (p->dump && gr__dump_plan_to(plan, p->dump) != GR_OK)
        gr_log_write(GR_LOG_WARNING, "%s", gr_error_message());
}

static gr__plan *plan_for(gr_program *p, int64_t batch)
{
    int i = 0;
    while (i < p->n_plans && p->plan[i]->batch != batch)
        i++;
    gr__plan *plan = i < p->n_plans ? p->plan[i] : NULL;
    if (!plan) {
        plan = make_plan(p, batch);
        if (plan && !gr__room_fit(p->room, plan)) {
            gr__plan_free(plan);
            plan = NULL;
        }
        if (!plan)
            return NULL;
        dump_plan(p, plan);
        if (p->n_plans == PLANS)
            end_plan(p, p->plan[--p->n_plans]);
        i = p->n_plans++;
    }
    for (; i > 0; i--)
        p->plan[i] = p->plan[i - 1];
    return p->plan[0] = plan;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Does shape `got` fit `want`, given B (or finding it, while it is -1)? */
static bool shape_fits(gr_shape want, gr_shape got, int64_t *batch)
{
    bool fits = want.rank == got.rank;
    for (int64_t d = 0; fits && d < want.rank; d++) {
        int64_t times = gr_dim_is_batch(want.dim[d]) ? gr_dim_times(want.dim[d]) : 0;
        if (times && *batch < 0 && got.dim[d] >= 0 && got.dim[d] % times == 0)
            *batch = got.dim[d] / times;
        fits = got.dim[d] == (times ? times * *batch : want.dim[d]);
    }
    return fits;
}

static gr_status find_batch(const gr_program *p, const gr_buffer *in, int64_t *batch)
{
    *batch = -1;
    for (int i = 0; i < p->graph.n_in; i++) {
        const gr_tensor *x = p->graph.in[i];
        int64_t before = *batch;
        if (in[i].dtype == x->dtype && shape_fits(x->shape, in[i].shape, batch))
            continue;
        char want[200], got[200], b[60] = "";
        if (before >= 0)
            snprintf(b, sizeof b, " with B = %lld as in the inputs before it", (long long)before);
        return gr_fail(GR_ESHAPE, x->node->at, "program %s: input %s: expected %s%s, found %s", p->name, x->node->name,
            gr_type_text(x->dtype, x->shape, want, sizeof want), b,
            gr_type_text(in[i].dtype, in[i].shape, got, sizeof got));
    }
    if (*batch < 0)
        *batch = 1;
    return GR_OK;
}

static gr_status check_outputs(const gr_program *p, const gr_buffer *out, int64_t batch)
{
    for (int i = 0; i < p->graph.n_out; i++) {
        const gr_tensor *x = p->graph.out[i];
        int64_t b = batch;
        char want[200], got[200];
        GR_CHECK(!out[i].data || (out[i].dtype == x->dtype && shape_fits(x->shape, out[i].shape, &b)), GR_ESHAPE,
            "program %s: output %d: expected %s with B = %lld, found %s", p->name, i,
            gr_type_text(x->dtype, x->shape, want, sizeof want), (long long)batch,
            gr_type_text(out[i].dtype, out[i].shape, got, sizeof got));
    }
    return GR_OK;
}

/* Outputs that are leaves are copied before the step, since commits may change them; the others after it. */
static void copy_outputs(
    const gr_program *p, const gr__plan *plan, void *const *data, const gr_buffer *out, bool leaves)
{
    for (int i = 0; i < p->graph.n_out; i++) {
        const gr__value *v = &plan->value[plan->out_value[i]];
        if (out[i].data && leaves == (plan->node[v->node].work == GR__LEAF) && plan->buffer[v->buffer].bytes)
            memmove(out[i].data, data[v->buffer], (size_t)plan->buffer[v->buffer].bytes);
    }
}

static gr_status run_plan(const gr_program *p, gr__run *run, gr__room *room, const gr_buffer *in, const gr_buffer *out)
{
    gr__room_set(room, run->plan, in);
    run->arg = room->arg;
    run->data = room->data;
    run->scratch = room->scratch;
    copy_outputs(p, run->plan, run->data, out, true);
    if (p->nan_check)
        gr__run_checked(run, p->name);
    else if (p->verify)
        gr__run_shaken(run);
    else
        gr__run_plan(run);
    gr_status s = (gr_status)atomic_load(&run->failed);
    if (s == GR_OK)
        copy_outputs(p, run->plan, run->data, out, false);
    return s;
}

bool gr__program_is_serial(const gr_program *p)
{
    const unsigned fine = GR_RANGED | GR_PARALLEL | GR_ELEMENTWISE | GR_LEAF | GR_REGION | GR_EFFECT;
    for (int64_t id = 0; id < p->graph.tape->n_nodes; id++)
        if (!(p->graph.tape->node[id]->op->traits & fine))
            return true;
    return false;
}

int gr__program_threads(const gr_program *p)
{
    return p->threads;
}

static gr_status run_in_turn(
    gr_program *p, int64_t batch, const gr_buffer *in, const gr_buffer *out, uint64_t seed, uint64_t step)
{
    gr__plan *plan = plan_for(p, batch);
    if (!plan)
        return gr_error() != GR_OK ? gr_error() : GR_ESTATE;
    gr__run run = {.plan = plan, .seed = seed, .step = step, .profile = plan->profile};
    return run_plan(p, &run, p->room, in, out);
}

gr_status gr__program_run(gr_program *p, const gr_buffer *in, const gr_buffer *out, uint64_t seed, uint64_t step)
{
    int64_t batch;
    GR_TRY(find_batch(p, in, &batch));
    GR_TRY(check_outputs(p, out, batch));
    GR_CHECK(!atomic_exchange_explicit(&p->room->busy, true, memory_order_acquire), GR_ESTATE,
        "program %s: expected one run at a time of a program, or of a model's, found another under way", p->name);
    gr_status s = run_in_turn(p, batch, in, out, seed, step);
    atomic_store_explicit(&p->room->busy, false, memory_order_release);
    return s;
}

gr_status gr__program_share(gr_program *p, gr__room *room)
{
    for (int i = 0; i < p->n_plans; i++)
        if (!gr__room_fit(room, p->plan[i]))
            return GR_EMEM;
    gr__room_clear(&p->own);
    p->room = room;
    return GR_OK;
}

gr_status gr__program_fix(gr_program *p, int n, const int64_t *batch)
{
    if (!(p->fixed = gr__alloc(n, sizeof *p->fixed)))
        return GR_EMEM;
    for (; p->n_fixed < n; p->n_fixed++) {
        gr__plan *plan = make_plan(p, batch[p->n_fixed]);
        if (!plan)
            return gr_error() != GR_OK ? gr_error() : GR_ESTATE;
        p->fixed[p->n_fixed] = plan;
        dump_plan(p, plan);
    }
    return GR_OK;
}

gr__room *gr__program_room(const gr_program *p)
{
    gr__room *r = gr__room_new();
    bool fits = r != NULL;
    for (int i = 0; fits && i < p->n_fixed; i++)
        fits = gr__room_fit(r, p->fixed[i]);
    if (fits)
        return r;
    gr__room_free(r);
    return NULL;
}

gr_status gr__program_run_in(const gr_program *p, gr__room *room, int which, const gr_buffer *in, const gr_buffer *out,
    uint64_t seed, bool profiled)
{
    const gr__plan *plan = p->fixed[which];
    gr__run run = {.plan = plan, .seed = seed, .profile = profiled ? plan->profile : NULL};
    return run_plan(p, &run, room, in, out);
}

gr_status gr_program_run(gr_program *p, gr_array *const in[], gr_array *const out[])
{
    gr_array *copy[GR_PROGRAM_MAX] = {0};
    gr_status s = GR_OK;
    GR_CHECK(p, GR_EARG, "program_run: argument p: expected a program, found NULL");
    for (int i = 0; s == GR_OK && i < p->graph.n_in; i++) {
        gr_array *a = in ? in[i] : NULL;
        if (!a) {
            s = gr_fail(GR_EARG, (gr_at){0}, "program %s: input %s: expected an array, found NULL", p->name,
                p->graph.in[i]->node->name);
        } else if (!gr_array_is_contiguous(a) && !(a = copy[i] = gr_array_copy(a))) {
            s = GR_EMEM;
        } else {
            p->in[i] = (gr_buffer){gr_array_dtype(a), gr_array_shape(a), gr_array_data(a)};
        }
    }
    for (int i = 0; s == GR_OK && i < p->graph.n_out; i++) {
        gr_array *a = out ? out[i] : NULL;
        p->out[i] = a ? (gr_buffer){gr_array_dtype(a), gr_array_shape(a), gr_array_data(a)} : (gr_buffer){0};
        if (a && !gr_array_is_contiguous(a))
            s = gr_fail(
                GR_EARG, (gr_at){0}, "program %s: output %d: expected a contiguous array, found a view", p->name, i);
    }
    if (s == GR_OK)
        s = gr__program_run(p, p->in, p->out, gr_seed(), p->runs);
    p->runs += s == GR_OK;
    for (int i = 0; i < p->graph.n_in; i++)
        gr_array_free(copy[i]);
    return s;
}

/* ---- looking at the plan ----------------------------------------------------------------------------------------- */

gr_program_stats gr_program_plan(const gr_program *p)
{
    gr_program_stats s = {0};
    const gr__plan *plan = !p ? NULL : p->n_plans ? p->plan[0] : p->n_fixed ? p->fixed[0] : NULL;
    if (!plan)
        return s;
    s.batch = plan->batch;
    s.nodes = plan->n_nodes;
    s.groups = plan->n_groups;
    s.steps = plan->n_steps;
    s.phases = plan->n_phases;
    s.arena_bytes = plan->bytes;
    s.lower_bound_bytes = plan->lower_bound;
    s.scratch_bytes = plan->scratch;
    s.flops = plan->flops;
    s.assigns = p->graph.n_commit;
    s.assigns_in_place = plan->in_place;
    return s;
}

/* The plan to look at: the latest, or one made now. */
static const gr__plan *plan_to_see(gr_program *p)
{
    return p->n_plans ? p->plan[0] : p->n_fixed ? p->fixed[0] : plan_for(p, p->batch_hint > 0 ? p->batch_hint : 32);
}

gr_status gr_program_dump(gr_program *p, const char *dir)
{
    GR_CHECK(p && dir, GR_EARG, "program_dump: expected a program and a folder, found NULL");
    const gr__plan *plan = plan_to_see(p);
    if (!plan)
        return gr_error();
    GR_TRY(gr__dump_graph_to(&p->graph, dir, "graph"));
    return gr__dump_plan_to(plan, dir);
}

gr_status gr_program_dot_at(gr_at at, gr_program *p, const char *file)
{
    GR_CHECK(p && file, GR_EARG, "program_dot: expected a program and a file name, found NULL");
    const gr__plan *plan = plan_to_see(p);
    char *text = plan ? gr__groups_dot(plan, p->name) : NULL;
    if (!text)
        return gr_error() != GR_OK ? gr_error() : GR_EMEM;
    gr_status s = gr__dot_save(at, "program_dot", text, file);
    gr_text_free(text);
    return s;
}
