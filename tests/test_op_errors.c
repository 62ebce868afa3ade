/* Mistakes with ops. Every message has five parts: the op, the argument, the operands with their types, what was
 * expected and what was found, and the user's file and line. First a matrix made from the descriptors, then rows by
 * hand. */
#include "tests/near.h"

/* ---- the five parts ---------------------------------------------------------------------------------------------- */

/* Is the message of the error complete? If not, says which part is missing. `argument` may be NULL: any. */
static bool complete(
    const char *op, const char *argument, int line, int n, gr_tensor *const *operand, char *why, size_t size)
{
    const char *m = gr_error_message();
    char want[300];
    snprintf(want, sizeof want, "test_op_errors.c:%d: %s: argument ", line, op);
    const char *found = strstr(m, want);
    snprintf(why, size, "expected '%s' in: %s", want, m);
    if (!found)
        return false;
    snprintf(want, sizeof want, "%s: ", argument ? argument : "");
    snprintf(why, size, "expected argument %s in: %s", want, m);
    if (argument && strncmp(strstr(found, "argument ") + 9, want, strlen(want)) != 0)
        return false;
    snprintf(why, size, "expected 'expected ..., found ...' in: %s", m);
    if (!strstr(found, "expected ") || !strstr(found, "found "))
        return false;
    for (int i = 0; i < n && i < 8; i++) {
        if (gr__is_bad(operand[i]))
            continue;
        gr_type_text(gr_dtype_of(operand[i]), gr_shape_of(operand[i]), want, sizeof want);
        snprintf(why, size, "expected the operand %s in: %s", want, m);
        if (!strstr(m, want))
            return false;
    }
    return true;
}

/* ---- the matrix -------------------------------------------------------------------------------------------------- */

enum { MOST = 8 };
typedef struct {
    const gr_op *op;
    gr_tape *tape;
    int n;
    gr_tensor *in[MOST];
    char attr[512];
    int errors, calls;
} matrix;

/* One call; an error must be complete. */
static void try(matrix *m)
{
    char why[3000];
    gr_error_clear();
    m->calls++;
    const gr_at here = GR_HERE;
    gr_tensor *y = m->op->n_in ? gr_apply_op_at(here, m->op, m->attr, m->n, m->in)
                               : gr__apply_op_on(m->tape, here, m->op, m->attr, 0, NULL);
    if (gr_error() == GR_OK) {
        GR_EXPECT(y != GR_BAD, "%s: GR_BAD without an error", m->op->name);
        return;
    }
    m->errors++;
    GR_EXPECT(y == GR_BAD, "%s: an error, but not GR_BAD", m->op->name);
    GR_EXPECT(complete(m->op->name, NULL, here.line, m->n, m->in, why, sizeof why), "%s: %s", m->op->name, why);
    gr_error_clear();
}

static void wrong_operands(matrix *m)
{
    static const gr_shape shapes[] = {{0, {0}}, GR_DIMS(11), GR_DIMS(0), GR_DIMS(GR_BATCH), GR_DIMS(11, 13),
        GR_DIMS(GR_BATCH, GR_BATCH), GR_DIMS(11, 13, 17), GR_DIMS(1, 2, 1, 2, 1, 2, 1, 2),
        GR_DIMS(INT64_C(1) << 40, 3)};
    for (int i = 0; i < m->n; i++) {
        gr_tensor *good = m->in[i];
        for (gr_dtype t = GR_F32; t < GR_DTYPE_COUNT; t++) {
            m->in[i] = gr_input(m->tape, t, gr_shape_of(good), "changed");
            try(m);
        }
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            m->in[i] = gr_input(m->tape, gr_dtype_of(good), shapes[s], "changed");
            try(m);
        }
        m->in[i] = NULL;
        try(m);
        gr_tape *other = gr_tape_new();
        m->in[i] = gr_input(other, gr_dtype_of(good), gr_shape_of(good), "foreign");
        if (m->n > 1)
            try(m);
        gr_tape_free(other);
        m->in[i] = good;
    }
    if (m->op->n_in > 0) {
        m->in[m->n] = m->in[0];
        m->n++;
        try(m);
        m->n--;
    }
}

static void wrong_attributes(matrix *m)
{
    static const int64_t numbers[] = {-1000, -9, -1, 0, 1, 9, 1000, INT64_MAX, INT64_MIN, INT64_C(1) << 40};
    static const double reals[] = {-1e300, -1, 0, 0.5, 1, 300, 1e300, INFINITY, NAN};
    static const gr_shape shapes[] = {{9, {0}}, {-1, {0}}, {0, {0}}, GR_DIMS(9), GR_DIMS(-9), GR_DIMS(0, 0),
        GR_DIMS(1, -1), GR_DIMS(-1, -1), GR_DIMS(-2, 5), GR_DIMS(INT64_MAX, 3), GR_DIMS(INT64_MIN, 3),
        GR_DIMS(GR_BATCH, 3), GR_DIMS(0, 0, 0), GR_DIMS(11, 13, 17, 19), GR_DIMS(INT64_C(1) << 31, INT64_C(1) << 32),
        GR_DIMS(INT64_C(1) << 62, 4)};
    char good[sizeof m->attr];
    memcpy(good, m->attr, sizeof good);
    for (const gr_field *f = m->op->attrs; f && f->name; f++) {
        char *at = m->attr + f->offset;
        if (f->type == GR_FIELD_INT64)
            for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++, try(m))
                memcpy(at, &numbers[i], sizeof *numbers);
        if (f->type == GR_FIELD_DOUBLE)
            for (size_t i = 0; i < sizeof reals / sizeof *reals; i++, try(m))
                memcpy(at, &reals[i], sizeof *reals);
        if (f->type == GR_FIELD_SHAPE)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++, try(m))
                memcpy(at, &shapes[i], sizeof *shapes);
        if (f->type == GR_FIELD_DTYPE)
            for (int t = -1; t <= GR_DTYPE_COUNT; t++, try(m))
                memcpy(at, &(gr_dtype){(gr_dtype)t}, sizeof(gr_dtype));
        memcpy(m->attr, good, sizeof good);
    }
}

static void every_wrong_call_of_every_op_has_a_complete_message(void)
{
    int ops = 0, errors = 0, calls = 0;
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if ((op->traits & (GR_LEAF | GR_REGION | GR_EFFECT)) || !op->samples)
            continue;
        matrix m = {.op = op};
        for (const gr_sample *s = op->samples; s->lo <= s->hi; s++) {
            m.tape = gr_tape_new();
            m.n = op->n_in;
            if (op->n_in == -1)
                for (m.n = 0; m.n < GR_SAMPLE_INPUTS && (s->dtype[m.n] || s->shape[m.n].rank);)
                    m.n++;
            for (int k = 0; k < m.n; k++)
                m.in[k] = gr_input(m.tape, s->dtype[k] ? s->dtype[k] : GR_F32, s->shape[k], "x");
            memset(m.attr, 0, sizeof m.attr);
            if (s->attr)
                memcpy(m.attr, s->attr, op->attr_size);
            try(&m);
            wrong_operands(&m);
            wrong_attributes(&m);
            gr_tape_free(m.tape);
        }
        GR_EXPECT(m.errors >= 5, "%s: only %d wrong calls in %d", op->name, m.errors, m.calls);
        ops++;
        errors += m.errors;
        calls += m.calls;
    }
    GR_EXPECT(errors >= 800, "%d errors of %d ops in %d calls", errors, ops, calls);
}

/* ---- rows by hand: what the functions check before there is a node ----------------------------------------------- */

typedef struct {
    gr_tape *t;
    gr_tensor *f, *g, *d, *i, *b, *v, *s, *batch, *two, *rank8, *labels;
} operands;

static operands operands_on(gr_tape *t)
{
    return (operands){.t = t,
        .f = gr_input(t, GR_F32, GR_SHAPE(2, 3), "f"),
        .g = gr_input(t, GR_F32, GR_SHAPE(4, 5), "g"),
        .d = gr_input(t, GR_F64, GR_SHAPE(2, 3), "d"),
        .i = gr_input(t, GR_I32, GR_SHAPE(2, 3), "i"),
        .b = gr_input(t, GR_BOOL, GR_SHAPE(2, 3), "b"),
        .v = gr_input(t, GR_F32, GR_SHAPE(3), "v"),
        .s = gr_input(t, GR_F32, GR_RANK0, "s"),
        .batch = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "batch"),
        .two = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, GR_BATCH), "two"),
        .rank8 = gr_input(t, GR_F32, GR_SHAPE(1, 1, 1, 1, 1, 1, 1, 2), "rank8"),
        .labels = gr_input(t, GR_I64, GR_SHAPE(2), "labels")};
}

static void row(int line, const char *op, const char *argument, gr_tensor *operand, gr_tensor *y)
{
    char why[3000];
    GR_EXPECT(y == GR_BAD, "line %d: %s: expected GR_BAD", line, op);
    GR_EXPECT(complete(op, argument, line, operand ? 1 : 0, &operand, why, sizeof why), "line %d: %s", line, why);
    gr_error_clear();
}
/* op, argument, an operand that the message must show (or NULL), the call */
#define ROW(op, argument, operand, ...) row(__LINE__, op, argument, operand, __VA_ARGS__)

#define CATEGORICAL(...) gr_categorical_crossentropy(__VA_ARGS__)
#define SPARSE(...)      gr_sparse_categorical_crossentropy(__VA_ARGS__)
/* A row a line, which is what the message must name. */
/* long: a table */
/* clang-format off */
static void shape_functions_name_themselves(void)
{
    gr_tape *t = gr_tape_new();
    operands o = operands_on(t);
    gr_tensor *out[4];
    gr_tensor *mixed[] = {o.f, o.g}, *dtypes[] = {o.f, o.d}, *deep[] = {o.rank8, o.rank8}, *missing[] = {o.f, NULL};
    ROW("reshape", "shape", o.f, gr_reshape(o.f, GR_SHAPE(4, 2)));
    ROW("reshape", "shape", o.f, gr_reshape(o.f, GR_SHAPE(-1, -1)));
    ROW("reshape", "shape", o.f, gr_reshape(o.f, GR_SHAPE(-1, 4)));
    ROW("reshape", "shape", o.f, gr_reshape(o.f, GR_SHAPE(-1, 0)));
    ROW("reshape", "shape", o.batch, gr_reshape(o.batch, GR_SHAPE(6)));
    ROW("reshape", "shape", o.batch, gr_reshape(o.batch, GR_SHAPE(-1, 2)));
    ROW("reshape", "shape", o.two, gr_reshape(o.two, GR_SHAPE(-1)));
    ROW("reshape", "x", NULL, gr_reshape(NULL, GR_SHAPE(1)));
    ROW("reshape_like", "like", NULL, gr_reshape_like(o.f, NULL));
    ROW("reshape_like", "x", NULL, gr_reshape_like(NULL, o.f));
    ROW("reshape", "shape", o.f, gr_reshape_like(o.f, o.g));
    ROW("merge_dims", "first", o.f, gr_merge_dims(o.f, 2, 1));
    ROW("merge_dims", "last", o.f, gr_merge_dims(o.f, 0, 2));
    ROW("merge_dims", "last", o.f, gr_merge_dims(o.f, 1, 0));
    ROW("merge_dims", "last", o.two, gr_merge_dims(o.two, 0, 1));
    ROW("merge_dims", "x", NULL, gr_merge_dims(NULL, 0, 1));
    ROW("split_dim", "axis", o.f, gr_split_dim(o.f, 2, GR_SHAPE(1, 3)));
    ROW("split_dim", "sizes", o.f, gr_split_dim(o.f, 1, GR_SHAPE(2, 2)));
    ROW("split_dim", "sizes", o.f, gr_split_dim(o.f, 1, GR_SHAPE(-1, -1)));
    ROW("split_dim", "sizes", o.f, gr_split_dim(o.f, 1, GR_SHAPE(-1, 2)));
    ROW("split_dim", "sizes", o.f, gr_split_dim(o.f, 1, GR_SHAPE(GR_BATCH, 3)));
    ROW("split_dim", "sizes", o.batch, gr_split_dim(o.batch, 0, GR_SHAPE(2, -1)));
    ROW("split_dim", "sizes", o.f, gr_split_dim(o.f, 1, GR_RANK0));
    ROW("expand_dims", "axes", o.f, gr_expand_dims(o.f, GR_SHAPE(3)));
    ROW("expand_dims", "axes", o.f, gr_expand_dims(o.f, GR_SHAPE(0, 0)));
    ROW("expand_dims", "axes", o.f, gr_expand_dims(o.f, GR_RANK0));
    ROW("expand_dims", "axes", o.rank8, gr_expand_dims(o.rank8, GR_SHAPE(0)));
    ROW("expand_dims", "x", NULL, gr_expand_dims(NULL, GR_SHAPE(0)));
    ROW("squeeze", "axes", o.f, gr_squeeze(o.f, GR_SHAPE(0)));
    ROW("squeeze", "axes", o.f, gr_squeeze(o.f, GR_SHAPE(2)));
    ROW("squeeze", "axes", o.batch, gr_squeeze(o.batch, GR_SHAPE(0)));
    ROW("squeeze", "axes", o.rank8, gr_squeeze(o.rank8, GR_SHAPE(1, -7)));
    ROW("squeeze", "x", NULL, gr_squeeze(NULL, GR_RANK0));
    ROW("transpose", "axes", o.f, gr_transpose(o.f, GR_SHAPE(0)));
    ROW("transpose", "axes", o.f, gr_transpose(o.f, GR_SHAPE(1, 1)));
    ROW("broadcast_to", "shape", o.f, gr_broadcast_to(o.f, GR_SHAPE(3)));
    ROW("broadcast_to", "shape", o.f, gr_broadcast_to(o.f, GR_SHAPE(2, 4)));
    ROW("broadcast_to", "shape", o.batch, gr_broadcast_to(o.batch, GR_SHAPE(5, 3)));
    ROW("tile", "repeats", o.f, gr_tile(o.f, GR_SHAPE(2, -1)));
    ROW("tile", "repeats", o.rank8, gr_tile(o.rank8, GR_SHAPE(1, 1, 1, 1, 1, 1, 1, 2)));
    ROW("tile", "x", NULL, gr_tile(NULL, GR_SHAPE(2)));
    ROW("flip", "axis", o.f, gr_flip(o.f, 2));
    ROW("flip", "axis", o.s, gr_flip(o.s, 0));
    ROW("flip", "x", NULL, gr_flip(NULL, 0));
    ROW("slice", "step", o.f, gr_slice(o.f, .step = GR_SHAPE(0)));
    ROW("slice", "start", o.f, gr_slice(o.f, GR_SHAPE(0, 0, 0)));
    ROW("slice", "start", o.batch, gr_slice(o.batch, GR_SHAPE(1)));
    ROW("slice", "start", o.batch, gr_slice(o.batch, .stop = GR_SHAPE(1)));
    ROW("pad", "before", o.f, gr_pad(o.f, .before = GR_SHAPE(-1)));
    ROW("pad", "after", o.batch, gr_pad(o.batch, .after = GR_SHAPE(1)));
    ROW("pad", "value", o.i, gr_pad(o.i, .after = GR_SHAPE(1), .value = 0.5));
    ROW("pad", "value", o.b, gr_pad(o.b, .after = GR_SHAPE(1), .value = 2));
    ROW("pad", "after", o.f, gr_pad(o.f, .after = GR_SHAPE(INT64_MAX)));
    ROW("concatenate", "n", NULL, gr_concatenate(0, mixed, 0));
    ROW("concatenate", "n", NULL, gr_concatenate(2, NULL, 0));
    ROW("concatenate", "[1]", o.g, gr_concatenate(2, mixed, 0));
    ROW("concatenate", "[1]", o.d, gr_concatenate(2, dtypes, 0));
    ROW("concatenate", "axis", o.f, gr_concatenate(2, dtypes, 2));
    ROW("concatenate", "[1]", o.f, gr_concatenate(2, missing, 0));
    ROW("stack", "n", NULL, gr_stack(0, mixed, 0));
    ROW("stack", "[1]", o.g, gr_stack(2, mixed, 0));
    ROW("stack", "[1]", o.d, gr_stack(2, dtypes, 0));
    ROW("stack", "axis", o.f, gr_stack(1, mixed, 3));
    ROW("stack", "[0]", o.rank8, gr_stack(2, deep, 0));
    ROW("stack", "[1]", NULL, gr_stack(2, missing, 0));
    ROW("split", "n", o.f, (gr_split(o.f, 2, 1, out), out[0]));
    ROW("split", "n", o.f, (gr_split(o.f, 0, 1, out), out[0] = GR_BAD));
    ROW("split", "axis", o.f, (gr_split(o.f, 3, 2, out), out[1]));
    ROW("split", "n", o.batch, (gr_split(o.batch, 2, 0, out), out[1]));
    ROW("split", "x", NULL, (gr_split(NULL, 2, 0, out), out[1]));
    ROW("split", "out", o.f, (gr_split(o.f, 3, 1, NULL), GR_BAD));
    const int64_t sizes[] = {1, 1}, minus[] = {-1, 4};
    ROW("split_sizes", "sizes", o.f, (gr_split_sizes(o.f, 2, sizes, 1, out), out[1]));
    ROW("split_sizes", "sizes", o.f, (gr_split_sizes(o.f, 2, minus, 1, out), out[1]));
    ROW("split_sizes", "sizes", o.f, (gr_split_sizes(o.f, 2, NULL, 1, out), out[1]));
    ROW("split_sizes", "n", o.f, (gr_split_sizes(o.f, 0, sizes, 1, out), GR_BAD));
    ROW("split_sizes", "axis", o.f, (gr_split_sizes(o.f, 2, sizes, -3, out), out[1]));
    gr_tape_free(t);
}

static void products_and_reductions_name_themselves(void)
{
    gr_tape *t = gr_tape_new();
    operands o = operands_on(t);
    ROW("matmul", "b", o.f, gr_matmul(o.f, o.f));
    ROW("matmul", "b", o.v, gr_matmul(o.g, o.v));
    ROW("matmul", "b", o.g, gr_matmul(o.v, o.g));
    ROW("matmul", "a", o.s, gr_matmul(o.s, o.f));
    ROW("matmul", "b", o.s, gr_matmul(o.f, o.s));
    ROW("matmul", "b", o.f, gr_matmul(o.f, gr_transpose(o.d, GR_RANK0)));
    ROW("matmul", "a", o.i, gr_matmul(o.i, o.f));
    ROW("matmul", "b", NULL, gr_matmul(o.f, NULL));
    ROW("matmul", "a", o.v, gr_matmul_t(o.v, o.f, .transpose_a = true));
    ROW("matmul", "b", o.g, gr_matmul_t(o.f, o.g, .transpose_b = true));
    ROW("matmul", "b", o.batch, gr_matmul(o.f, o.batch));
    ROW("matmul", "b", NULL, gr_matmul(gr_reshape(o.f, GR_SHAPE(2, 1, 3)), gr_broadcast_to(o.v, GR_SHAPE(3, 3, 3))));
    ROW("sum", "axes", o.f, gr_sum(o.f, .axes = GR_SHAPE(2)));
    ROW("sum", "axes", o.f, gr_sum(o.f, .axes = GR_SHAPE(-3)));
    ROW("sum", "axes", o.f, gr_sum(o.f, .axes = GR_SHAPE(1, -1)));
    ROW("sum", "x", NULL, gr_sum(NULL));
    ROW("max", "axes", o.s, gr_max(o.s, .axes = GR_SHAPE(0)));
    ROW("any", "x", o.f, gr_any(o.f));
    ROW("all", "x", o.i, gr_all(o.i));
    ROW("argmax", "x", NULL, gr_argmax(gr_slice(o.f, .stop = GR_SHAPE(0)), .axes = GR_SHAPE(0)));
    ROW("mean", "x", o.i, gr_mean(o.i));
    ROW("mean", "axes", o.f, gr_mean(o.f, .axes = GR_SHAPE(2)));
    ROW("mean", "x", NULL, gr_mean(NULL));
    ROW("var", "x", o.b, gr_var(o.b));
    ROW("var", "axes", o.f, gr_var(o.f, .axes = GR_SHAPE(0, 0)));
    ROW("var", "x", NULL, gr_var(NULL));
    ROW("std", "x", o.i, gr_std(o.i));
    ROW("norm", "x", o.i, gr_norm(o.i));
    ROW("norm", "axes", o.f, gr_norm(o.f, .axes = GR_SHAPE(-3)));
    ROW("logsumexp", "x", o.i, gr_logsumexp(o.i));
    ROW("logsumexp", "axes", o.f, gr_logsumexp(o.f, .axes = GR_SHAPE(4)));
    ROW("logsumexp", "x", NULL, gr_logsumexp(NULL));
    gr_tape_free(t);
}

static void gathers_creations_and_random_ops_name_themselves(void)
{
    gr_tape *t = gr_tape_new();
    operands o = operands_on(t);
    ROW("take", "indices", o.g, gr_take(o.f, o.g, 0));
    ROW("take", "axis", o.f, gr_take(o.f, o.labels, 2));
    ROW("take", "indices", o.rank8, gr_take(o.rank8, o.i, 0));
    ROW("take", "indices", NULL, gr_take(o.f, NULL, 0));
    ROW("take_along_axis", "indices", o.labels, gr_take_along_axis(o.f, o.labels, 0));
    ROW("take_along_axis", "axis", o.f, gr_take_along_axis(o.f, o.i, -3));
    ROW("take_along_axis", "indices", o.i, gr_take_along_axis(o.g, o.i, 0));
    ROW("gather", "indices", o.i, gr_gather(o.f, o.i));
    ROW("gather", "indices", o.v, gr_gather(o.f, o.v));
    ROW("scatter_add", "updates", o.g, gr_scatter_add(o.f, o.labels, o.g));
    ROW("scatter_add", "updates", o.d, gr_scatter_add(o.f, o.labels, o.d));
    ROW("scatter_add", "x", o.b, gr_scatter_add(o.b, o.labels, o.b));
    ROW("scatter_add", "updates", NULL, gr_scatter_add(o.f, o.labels, NULL));
    ROW("one_hot", "x", o.f, gr_one_hot(o.f, 3));
    ROW("one_hot", "classes", o.i, gr_one_hot(o.i, 0));
    ROW("one_hot", "classes", o.i, gr_one_hot(o.i, -4));
    ROW("one_hot", "x", NULL, gr_one_hot(NULL, 3));
    ROW("full", "tape", NULL, gr_full(NULL, GR_SHAPE(2), 1, GR_F32));
    ROW("broadcast_to", "result", NULL, gr_zeros(o.t, GR_SHAPE(-2), GR_F32));
    ROW("broadcast_to", "result", NULL, gr_ones(o.t, GR_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40), GR_F32));
    ROW("scalar", "c", NULL, gr_full(o.t, GR_SHAPE(2), 0.5, GR_I32));
    ROW("full_like", "x", NULL, gr_zeros_like(NULL));
    ROW("arange", "tape", NULL, gr_arange(NULL, .stop = 3));
    ROW("arange", "stop", NULL, gr_arange(o.t, .stop = NAN));
    ROW("arange", "stop", NULL, gr_arange(o.t, .stop = 1e300));
    ROW("arange", "step", NULL, gr_arange(o.t, .stop = 3, .step = INFINITY));
    ROW("arange", "start", NULL, gr_arange(o.t, 0.5, 3));
    ROW("arange", "start", NULL, gr_arange(o.t, .stop = 300, .dtype = GR_U8));
    ROW("arange", "dtype", NULL, gr_arange(o.t, .stop = 2, .dtype = GR_BOOL));
    ROW("random_uniform", "tape", NULL, gr_random_uniform(NULL, GR_SHAPE(2)));
    ROW("random_uniform", "shape", NULL, gr_random_uniform(o.t, GR_SHAPE(-2)));
    ROW("random_uniform", "maxval", NULL, gr_random_uniform(o.t, GR_SHAPE(2), .minval = 2, .maxval = 1));
    ROW("random_uniform", "dtype", NULL, gr_random_uniform(o.t, GR_SHAPE(2), .dtype = GR_I32));
    ROW("random_normal", "stddev", NULL, gr_random_normal(o.t, GR_SHAPE(2), .stddev = -1));
    ROW("random_normal", "options", NULL, gr_random_normal(o.t, GR_SHAPE(2), .mean = INFINITY));
    ROW("random_truncated_normal", "stddev", NULL, gr_random_truncated_normal(o.t, GR_SHAPE(2), .stddev = NAN));
    ROW("random_bits", "shape", NULL, gr_random_bits(o.t, GR_SHAPE(-1)));
    ROW("dropout", "rate", o.f, gr_dropout(o.f, 1.5));
    ROW("dropout", "rate", o.f, gr_dropout(o.f, NAN));
    ROW("dropout", "x", o.i, gr_dropout(o.i, 0.5));
    ROW("dropout", "x", NULL, gr_dropout(NULL, 0.5));
    gr_tape_free(t);
}

static void composites_and_losses_name_themselves(void)
{
    gr_tape *t = gr_tape_new();
    operands o = operands_on(t);
    ROW("softmax", "x", o.i, gr_softmax(o.i));
    ROW("softmax", "axes", o.f, gr_softmax(o.f, .axes = GR_SHAPE(2)));
    ROW("softmax", "axes", o.s, gr_softmax(o.s));
    ROW("softmax", "x", NULL, gr_softmax(NULL));
    ROW("log_softmax", "x", o.b, gr_log_softmax(o.b));
    ROW("log_softmax", "axes", o.f, gr_log_softmax(o.f, .axes = GR_SHAPE(0, 0)));
    ROW("log_softmax", "x", NULL, gr_log_softmax(NULL));
    ROW("batch_norm", "x", o.i, gr_batch_norm(o.i));
    ROW("batch_norm", "x", o.v, gr_batch_norm(o.v));
    ROW("batch_norm", "gamma", o.g, gr_batch_norm(o.f, .gamma = o.g));
    ROW("batch_norm", "beta", o.d, gr_batch_norm(o.f, .beta = o.d));
    ROW("batch_norm", "variance", o.f, gr_batch_norm(o.f, .mean = o.v));
    ROW("batch_norm", "mean", o.f, gr_batch_norm(o.f, .variance = o.v));
    ROW("batch_norm", "axes", o.f, gr_batch_norm(o.f, .axes = GR_SHAPE(5)));
    ROW("layer_norm", "x", o.b, gr_layer_norm(o.b));
    ROW("layer_norm", "gamma", o.g, gr_layer_norm(o.f, .gamma = o.g));
    ROW("layer_norm", "beta", o.s, gr_layer_norm(o.f, .beta = o.s));
    ROW("layer_norm", "axes", o.f, gr_layer_norm(o.f, .axes = GR_SHAPE(-3)));
    ROW("layer_norm", "x", NULL, gr_layer_norm(NULL));
    ROW("categorical_crossentropy", "target", o.g, gr_categorical_crossentropy(o.g, o.f));
    ROW("categorical_crossentropy", "target", o.labels, gr_categorical_crossentropy(o.labels, o.f));
    ROW("categorical_crossentropy", "output", o.i, gr_categorical_crossentropy(o.f, o.i));
    ROW("categorical_crossentropy", "output", o.s, gr_categorical_crossentropy(o.s, o.s));
    ROW("categorical_crossentropy", "output", NULL, gr_categorical_crossentropy(o.f, NULL));
    ROW("categorical_crossentropy", "label_smoothing", o.f, CATEGORICAL(o.f, o.f, .label_smoothing = 1.5));
    ROW("binary_crossentropy", "target", o.v, gr_binary_crossentropy(o.v, o.f));
    ROW("binary_crossentropy", "output", o.b, gr_binary_crossentropy(o.f, o.b));
    ROW("binary_crossentropy", "label_smoothing", o.f, gr_binary_crossentropy(o.f, o.f, .label_smoothing = NAN));
    ROW("binary_crossentropy", "target", NULL, gr_binary_crossentropy(NULL, o.f));
    ROW("binary_crossentropy", "output", o.s, gr_binary_crossentropy(o.s, o.s));
    ROW("sparse_categorical_crossentropy", "target", o.i, gr_sparse_categorical_crossentropy(o.i, o.f));
    ROW("sparse_categorical_crossentropy", "target", o.v, gr_sparse_categorical_crossentropy(o.v, o.f));
    ROW("sparse_categorical_crossentropy", "output", o.i, gr_sparse_categorical_crossentropy(o.labels, o.i));
    ROW("sparse_categorical_crossentropy", "target", NULL, gr_sparse_categorical_crossentropy(NULL, o.f));
    ROW("sparse_categorical_crossentropy", "target", NULL, SPARSE(gr_any(o.b, .axes = GR_SHAPE(1)), o.f));
    ROW("mean_squared_error", "target", o.g, gr_mean_squared_error(o.g, o.f));
    ROW("mean_squared_error", "output", o.i, gr_mean_squared_error(o.f, o.i));
    ROW("mean_squared_error", "output", NULL, gr_mean_squared_error(o.f, NULL));
    ROW("mean_absolute_error", "target", o.v, gr_mean_absolute_error(o.v, o.f));
    ROW("mean_absolute_error", "output", o.b, gr_mean_absolute_error(o.f, o.b));
    ROW("huber", "delta", o.f, gr_huber(o.f, o.f, .delta = -1));
    ROW("huber", "target", o.g, gr_huber(o.g, o.f));
    ROW("huber", "output", o.s, gr_huber(o.s, o.s));
    gr_tape_free(t);
}

static void attention_names_its_arguments(void)
{
    const int64_t B = GR_BATCH;
    gr_tape *t = gr_tape_new();
    gr_tensor *q = gr_input(t, GR_F32, GR_SHAPE(B, 5, 2, 4), "q"), *k = gr_input(t, GR_F32, GR_SHAPE(B, 7, 2, 4), "k");
    gr_tensor *d = gr_input(t, GR_F64, GR_SHAPE(B, 7, 2, 4), "d"), *i = gr_input(t, GR_I32, GR_SHAPE(B, 5, 2, 4), "i");
    gr_tensor *wide = gr_input(t, GR_F32, GR_SHAPE(B, 7, 2, 3), "wide");
    gr_tensor *heads = gr_input(t, GR_F32, GR_SHAPE(B, 7, 3, 4), "heads");
    gr_tensor *free = gr_input(t, GR_F32, GR_SHAPE(2, B, 2, 4), "free");
    gr_tensor *all = gr_input(t, GR_F32, GR_SHAPE(B, 5, 3, 2, 4), "all");
    gr_tensor *two = gr_input(t, GR_F32, GR_SHAPE(B, 5, 2, 2, 4), "two");
    gr_tensor *bias = gr_input(t, GR_F32, GR_SHAPE(5, 6), "bias");
    gr_tensor *deep = gr_input(t, GR_F32, GR_SHAPE(1, 1, 1, 5, 7), "deep");
    gr_tensor *mask = gr_input(t, GR_BOOL, GR_SHAPE(2, 1, 1, 7), "mask");
    ROW("attention", "key", wide, gr_dot_product_attention(q, wide, k));
    ROW("attention", "key", d, gr_dot_product_attention(q, d, k));
    ROW("attention", "key", heads, gr_dot_product_attention(q, heads, k));
    ROW("attention", "value", q, gr_dot_product_attention(q, k, q));
    ROW("attention", "query", all, gr_dot_product_attention(all, k, k));
    ROW("attention", "query", q, gr_dot_product_attention(q));
    ROW("attention", "query", two, gr_dot_product_attention(two));
    ROW("attention", "query", free, gr_dot_product_attention(free, free, free));
    ROW("attention", "bias", NULL, gr_dot_product_attention(q, k, k, .bias = bias));
    ROW("attention", "bias", NULL, gr_dot_product_attention(q, k, k, .mask = mask));
    ROW("attention", "scale", NULL, gr_dot_product_attention(q, k, k, .scale = NAN));
    ROW("dot_product_attention", "query", i, gr_dot_product_attention(i, k, k));
    ROW("dot_product_attention", "query", NULL, gr_dot_product_attention(NULL, k, k));
    ROW("dot_product_attention", "value", NULL, gr_dot_product_attention(q, k));
    ROW("dot_product_attention", "bias", deep, gr_dot_product_attention(q, k, k, .bias = deep));
    ROW("dot_product_attention", "mask", bias, gr_dot_product_attention(q, k, k, .mask = bias));
    gr_tape_free(t);
}

/* ---- errors of data: the value and its position ------------------------------------------------------------------ */

static void data_row(int line, const char *op, const char *text, gr_tensor *x)
{
    char want[300];
    GR_EXPECT(gr_status_of(x) == GR_OK, "line %d: %s", line, gr_error_message());
    gr_array *a = gr_eval(x);
    snprintf(want, sizeof want, "test_op_errors.c:%d: %s: argument ", line, op);
    GR_EXPECT(!a && gr_error() == GR_ERANGE && strstr(gr_error_message(), want) && strstr(gr_error_message(), text),
        "line %d: expected %s ... %s in: %s", line, want, text, gr_error_message());
    gr_array_free(a);
    gr_error_clear();
}
#define DATA(op, text, ...) data_row(__LINE__, op, text, __VA_ARGS__)

static void an_index_out_of_range_is_named_with_its_position_when_the_graph_runs(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = constant_of(t, GR_F32, GR_SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 5, 6));
    gr_tensor *high = constant_of(t, GR_I32, GR_SHAPE(2, 2), NUMBERS(0, 1, 2, 1)),
              *low = constant_of(t, GR_I64, GR_SHAPE(2), NUMBERS(0, -4));
    gr_tensor *label = constant_of(t, GR_U8, GR_SHAPE(2), NUMBERS(2, 3)),
              *minus = constant_of(t, GR_I32, GR_SHAPE(2), NUMBERS(-1, 0));
    gr_tensor *wide = gr_pad(high, .after = GR_SHAPE(0, 1)), *pair = gr_sum(x, .axes = GR_SHAPE(1));
    DATA("take", "indices: expected -2 .. 1, found 2 at [1, 0]", gr_take(x, high, 0));
    DATA("take", "indices: expected -3 .. 2, found -4 at [1]", gr_take(x, low, 1));
    DATA("take", "indices: expected 0 .. -1, found 0 at [0]", gr_take(gr_slice(x, .stop = GR_SHAPE(0)), low, 0));
    DATA("take_along_axis", "indices: expected -2 .. 1, found 2 at [1, 0]", gr_take_along_axis(x, wide, 0));
    DATA("gather", "indices: expected -2 .. 1, found 2 at [1, 0]", gr_gather(x, high));
    DATA("scatter_add", "indices: expected -2 .. 1, found 2 at [1, 0]", gr_scatter_add(x, high, pair));
    DATA("one_hot", "x: expected 0 .. 2, found 3 at [1]", gr_one_hot(label, 3));
    DATA("one_hot", "x: expected 0 .. 2, found -1 at [0]", gr_one_hot(minus, 3));
    DATA("take_along_axis", "indices: expected 0 .. 2, found 3 at [1, 0]", SPARSE(label, x));
    DATA("take_along_axis", "indices: expected 0 .. 2, found -1 at [0, 0]", SPARSE(minus, x));
    gr_tape_free(t);
}
/* clang-format on */

GR_SUITE("errors of ops", GR_TEST(every_wrong_call_of_every_op_has_a_complete_message),
    GR_TEST(shape_functions_name_themselves), GR_TEST(products_and_reductions_name_themselves),
    GR_TEST(gathers_creations_and_random_ops_name_themselves), GR_TEST(composites_and_losses_name_themselves),
    GR_TEST(attention_names_its_arguments),
    GR_TEST(an_index_out_of_range_is_named_with_its_position_when_the_graph_runs))
