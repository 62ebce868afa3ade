/* Programs against node-by-node evaluation, with a few ops of the test's own. */
#include "autograd/grad.h"
#include "compiler/program.h"
#include "compiler/room.h"
#include "core/mem.h"
#include "core/node.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include "tests/transformer.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- ops --------------------------------------------------------------------------------------------------------- */

#define PAIR(NAME, EXPR)                                                                                               \
    static gr_status NAME##_eval(const gr_call *c)                                                                     \
    {                                                                                                                  \
        const float *a = c->in[0].data, *b = c->in[1].data;                                                            \
        float *y = c->out[0].data;                                                                                     \
        for (int64_t i = 0; i < gr_shape_size(c->out[0].shape); i++)                                                   \
            y[i] = EXPR;                                                                                               \
        return GR_OK;                                                                                                  \
    }                                                                                                                  \
    static const gr_op NAME##_op = {.abi = GR_ABI,                                                                     \
        .name = "test_" #NAME,                                                                                         \
        .n_in = 2,                                                                                                     \
        .infer = gr_infer_same,                                                                                        \
        .eval_f32 = NAME##_eval,                                                                                       \
        .traits = GR_ELEMENTWISE};                                                                                     \
    static gr_tensor *NAME(gr_tensor *a, gr_tensor *b)                                                                 \
    {                                                                                                                  \
        return gr_apply_op(&NAME##_op, NULL, 2, (gr_tensor *[]){a, b});                                                \
    }
PAIR(plus, a[i] + b[i])
PAIR(times, a[i] * b[i])

static gr_status refuse_eval(const gr_call *c)
{
    const float *x = c->in[0].data;
    if (x[0] < 0)
        return gr_call_fail(c, GR_ERANGE, "a", "expected a positive start, found %g", (double)x[0]);
    memcpy(c->out[0].data, x, (size_t)gr_shape_size(c->in[0].shape) * 4);
    return GR_OK;
}
static const gr_op refuse_op = {.abi = GR_ABI,
    .name = "test_refuse",
    .n_in = 1,
    .infer = gr_infer_same,
    .eval_f32 = refuse_eval,
    .traits = GR_CHECKED_DATA};

static gr_array *numbers(int64_t rows, int64_t cols, float from)
{
    gr_array *a = gr_array_new(GR_F32, GR_SHAPE(rows, cols));
    for (int64_t i = 0; i < rows * cols; i++)
        ((float *)gr_array_data(a))[i] = from + (float)i;
    return a;
}

static bool run_one(gr_program *p, gr_array *x, gr_array *y)
{
    return gr_program_run(p, (gr_array *[]){x}, (gr_array *[]){y}) == GR_OK;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void a_program_serves_every_batch_size(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x");
    gr_tensor *y = plus(times(x, x), x);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .verify = true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    gr_tape_free(t);
    for (int64_t b = 0; b < 9; b++) {
        gr_array *a = numbers(b, 3, 1), *out = numbers(b, 3, 0);
        CU_ASSERT_TRUE(run_one(p, a, out));
        for (int64_t i = 0; i < b * 3; i++)
            CU_ASSERT_EQUAL(gr_array_at(out, i), (i + 1) * (i + 1) + i + 1);
        gr_array_free(a), gr_array_free(out);
    }
    gr_program_free(p);
}

static void a_second_run_of_a_batch_size_allocates_nothing(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(4, 3), true);
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *w = gr_read(t, v);
    gr_assign(w, plus(w, w));
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {times(x, x)}, .verify = true);
    gr_array *a = numbers(4, 3, 1), *small = numbers(2, 3, 1), *y = numbers(4, 3, 0), *y2 = numbers(2, 3, 0);
    CU_ASSERT_TRUE(run_one(p, a, y) && run_one(p, small, y2));
    int64_t before = gr_allocation_count();
    CU_ASSERT_TRUE(run_one(p, a, y) && run_one(p, small, y2) && run_one(p, a, y));
    CU_ASSERT_EQUAL(gr_allocation_count(), before);
    gr_array_free(a), gr_array_free(small), gr_array_free(y), gr_array_free(y2);
    gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
}

/* Opaque nodes (refuse) have arguments in the room, which belong to the plan that ran last. */
static gr_program *doubling(int times_over)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *y = x;
    for (int i = 0; i < times_over; i++) {
        gr_tensor *same = gr_apply_op(&refuse_op, NULL, 1, &y);
        y = plus(same, same);
    }
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .verify = true);
    gr_tape_free(t);
    return p;
}

static bool doubles(gr_program *p, int64_t rows, float factor)
{
    gr_array *x = numbers(rows, 3, 1), *y = numbers(rows, 3, 0);
    bool good = run_one(p, x, y);
    for (int64_t i = 0; good && i < rows * 3; i++)
        good = gr_array_at(y, i) == (double)(factor * (float)(i + 1));
    gr_array_free(x), gr_array_free(y);
    return good;
}

static void programs_that_share_a_room_run_in_turn(void)
{
    gr__room *room = gr__room_new();
    gr_program *one = doubling(1), *three = doubling(3);
    CU_ASSERT_FATAL(room && one && three && doubles(one, 4, 2)); /* in its own */
    CU_ASSERT_EQUAL(gr__room_bytes(room), 0);
    CU_ASSERT(gr__program_share(one, room) == GR_OK && gr__program_share(three, room) == GR_OK);
    int64_t small = gr__room_bytes(room);
    for (int64_t rows = 4; rows < 12; rows += 4)
        CU_ASSERT(doubles(one, rows, 2) && doubles(three, rows, 8) && doubles(one, rows, 2));
    gr_array *x = numbers(8, 3, 1), *y = numbers(8, 3, 0);
    CU_ASSERT(small > 0 && gr__room_bytes(room) > small);
    int64_t before = gr_allocation_count();
    CU_ASSERT(run_one(one, x, y) && run_one(three, x, y) && gr_allocation_count() == before);
    room->busy = true; /* as in an eval, or in another thread */
    CU_ASSERT(!run_one(one, x, y) && gr_error() == GR_ESTATE);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "expected one run at a time of a program, or of a model's"));
    gr_error_clear();
    room->busy = false;
    gr_program_free(three);
    gr_program *last = doubling(2);
    CU_ASSERT(gr__program_share(last, room) == GR_OK && doubles(last, 8, 4) && doubles(one, 8, 2));
    gr_array_free(x), gr_array_free(y);
    gr_program_free(one), gr_program_free(last), gr__room_free(room);
}

static void inputs_that_disagree_on_the_batch_size_are_refused(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"),
              *z = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "z");
    gr_program *p = gr_program_new(t, .inputs = {x, z}, .outputs = {plus(x, z)});
    gr_array *a = numbers(4, 3, 1), *b = numbers(5, 3, 1), *y = numbers(4, 3, 0);
    CU_ASSERT_EQUAL(gr_program_run(p, (gr_array *[]){a, b}, (gr_array *[]){y}), GR_ESHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "input z: expected float32 [B, 3] with B = 4"));
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_program_run(p, (gr_array *[]){a, a}, (gr_array *[]){b}), GR_ESHAPE);
    gr_error_clear();
    CU_ASSERT_EQUAL(gr_program_run(p, (gr_array *[]){a, NULL}, (gr_array *[]){y}), GR_EARG);
    gr_error_clear();
    gr_array_free(a), gr_array_free(b), gr_array_free(y);
    gr_program_free(p), gr_tape_free(t);
}

static void a_needed_input_that_is_not_listed_is_an_error(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *z = gr_input(t, GR_F32, GR_SHAPE(2), "z");
    CU_ASSERT_PTR_NULL(gr_program_new(t, .inputs = {x}, .outputs = {plus(x, z)}));
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "input z is needed"));
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_program_new(t, .inputs = {plus(x, z)}, .outputs = {x}));
    gr_error_clear();
    gr_tape_free(t);
}

/* a <- b, b <- a: every read sees the value at the step's start */
static void assignments_are_committed_together(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *a = gr_variable_new("a", GR_F32, GR_RANK0, true), *b = gr_variable_new("b", GR_F32, GR_RANK0, true);
    gr_variable_set_scalar(a, 1), gr_variable_set_scalar(b, 2);
    gr_tensor *ra = gr_read(t, a), *rb = gr_read(t, b);
    gr_assign(ra, rb), gr_assign(rb, ra);
    gr_program *p = gr_program_new(t, .inputs = {NULL}, .outputs = {ra, plus(ra, rb)}, .verify = true);
    gr_array *y0 = gr_array_new(GR_F32, GR_RANK0), *y1 = gr_array_new(GR_F32, GR_RANK0);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(gr_program_run(p, NULL, (gr_array *[]){y0, y1}), GR_OK);
        CU_ASSERT_EQUAL(gr_array_at(y0, 0), i % 2 ? 2 : 1);
        CU_ASSERT_EQUAL(gr_array_at(y1, 0), 3);
        CU_ASSERT_EQUAL(gr_variable_get_scalar(a), i % 2 ? 1 : 2);
        CU_ASSERT_EQUAL(gr_variable_get_scalar(b), i % 2 ? 2 : 1);
    }
    gr_array_free(y0), gr_array_free(y1), gr_program_free(p), gr_tape_free(t), gr_variable_free(a), gr_variable_free(b);
}

/* w <- w w, w <- transposed w: every element is read after others have got their new value, if nobody takes care. */
static void a_variable_may_be_assigned_what_reads_all_of_it(void)
{
    for (int transposes = 0; transposes < 2; transposes++) {
        gr_tape *t = gr_tape_new();
        gr_variable *v = gr_variable_new("w", GR_F32, GR_SHAPE(4, 4), true);
        gr_array *start = numbers(4, 4, 1);
        gr_variable_set(v, start);
        gr_tensor *w = gr_read(t, v);
        gr_tensor *value = transposes ? gr_sub(gr_transpose(w, GR_RANK0), w) : gr_matmul(w, w);
        gr_array *want = gr_eval(value);
        gr_assign(w, value);
        gr_program *p = gr_program_new(t, .inputs = {NULL}, .verify = true);
        CU_ASSERT_EQUAL(gr_program_run(p, NULL, NULL), GR_OK);
        gr_array *now = gr_variable_get(v);
        for (int i = 0; i < 16; i++)
            CU_ASSERT_EQUAL(gr_array_at(now, i), gr_array_at(want, i));
        gr_array_free(start), gr_array_free(want), gr_array_free(now);
        gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
    }
}

static void the_last_of_several_assignments_stays(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *a = gr_variable_new("a", GR_F32, GR_RANK0, true);
    gr_variable_set_scalar(a, 3);
    gr_assign(gr_read(t, a), times(gr_read(t, a), gr_read(t, a)));
    gr_assign(gr_read(t, a), plus(gr_read(t, a), gr_read(t, a)));
    gr_program *p = gr_program_new(t, .inputs = {NULL}, .verify = true);
    CU_ASSERT_EQUAL(gr_program_run(p, NULL, NULL), GR_OK);
    CU_ASSERT_EQUAL(gr_variable_get_scalar(a), 18);
    gr_program_free(p), gr_tape_free(t), gr_variable_free(a);
}

static void a_refused_datum_drops_every_commit_and_names_the_place(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x");
    gr_assign(gr_read(t, v), plus(gr_read(t, v), x));
    gr_tensor *y = gr_apply_op(&refuse_op, NULL, 1, &x);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .verify = true);
    gr_array *a = gr_array_from(GR_F32, GR_SHAPE(2), (float[]){-1, 1}), *out = gr_array_new(GR_F32, GR_SHAPE(2));
    CU_ASSERT_EQUAL(gr_program_run(p, (gr_array *[]){a}, (gr_array *[]){out}), GR_ERANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "test_program.c"));
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "expected a positive start, found -1"));
    gr_error_clear();
    gr_array *now = gr_variable_get(v);
    CU_ASSERT_EQUAL(gr_array_at(now, 1), 0);
    ((float *)gr_array_data(a))[0] = 1;
    CU_ASSERT_TRUE(run_one(p, a, out));
    gr_array_free(now);
    now = gr_variable_get(v);
    CU_ASSERT_EQUAL(gr_array_at(now, 1), 1);
    gr_array_free(now), gr_array_free(a), gr_array_free(out);
    gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
}

/* Indices from outside are checked before anything is updated, those that hang on a variable when they are used. */
static void a_bad_index_leaves_variables_unchanged(void)
{
    for (int mode = 0; mode < 2; mode++) {
        gr_tape *t = gr_tape_new();
        gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
        gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *given = gr_input(t, GR_I32, GR_SHAPE(2), "indices");
        gr_tensor *old = gr_read(t, v);
        gr_assign(old, plus(old, x));
        gr_tensor *late = gr_exp(gr_exp(gr_matmul(x, gr_ones(t, GR_SHAPE(2, 2), GR_F32))));
        gr_tensor *y = gr_take(late, mode ? gr_add(gr_cast(old, GR_I32), given) : given, 0);
        gr_program *p = gr_program_new(t, .inputs = {x, given}, .outputs = {y}, .verify = true);
        gr_array *a = gr_array_from(GR_F32, GR_SHAPE(2), (float[]){1, 1}), *out = gr_array_new(GR_F32, GR_SHAPE(2));
        for (int bad = 1; bad >= 0; bad--) {
            gr_array *i = gr_array_from(GR_I32, GR_SHAPE(2), (int32_t[]){1, bad ? 2 : 0});
            const gr_status s = gr_program_run(p, (gr_array *[]){a, i}, (gr_array *[]){out});
            GR_EXPECT(s == (bad ? GR_ERANGE : GR_OK), "mode %d, bad %d: %s", mode, bad, gr_error_message());
            CU_ASSERT(!bad || strstr(gr_error_message(), "take: argument indices: expected -2 .. 1, found 2 at [1]"));
            gr_error_clear();
            gr_array *now = gr_variable_get(v);
            GR_EXPECT(gr_array_at(now, 0) == (bad ? 0 : 1), "mode %d, bad %d: %g", mode, bad, gr_array_at(now, 0));
            gr_array_free(now), gr_array_free(i);
        }
        gr_array_free(a), gr_array_free(out);
        gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
    }
}

static void assign_if_keeps_the_value_where_the_condition_is_false(void)
{
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_RANK0, true);
    gr_tensor *pred = gr_input(t, GR_BOOL, GR_RANK0, "pred"), *x = gr_input(t, GR_F32, GR_RANK0, "x");
    gr_tensor *y = gr_assign_if(pred, gr_read(t, v), x);
    gr_program *p = gr_program_new(t, .inputs = {pred, x}, .outputs = {y}, .verify = true);
    for (int yes = 0; yes < 2; yes++) {
        gr_array *c = gr_array_from(GR_BOOL, GR_RANK0, &(uint8_t){(uint8_t)yes});
        gr_array *a = gr_array_from(GR_F32, GR_RANK0, &(float){7}), *out = gr_array_new(GR_F32, GR_RANK0);
        CU_ASSERT_EQUAL(gr_program_run(p, (gr_array *[]){c, a}, (gr_array *[]){out}), GR_OK);
        CU_ASSERT_EQUAL(gr_array_at(out, 0), yes ? 7 : 0);
        CU_ASSERT_EQUAL(gr_variable_get_scalar(v), yes ? 7 : 0);
        gr_array_free(c), gr_array_free(a), gr_array_free(out);
    }
    gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
}

/* ---- memory that runs out ---------------------------------------------------------------------------------------- */

static int64_t left; /* allocations until the next one fails; negative: none does */
static void *failing_alloc(void *user, size_t bytes)
{
    (void)user;
    return left-- == 0 ? NULL : malloc(bytes);
}
static void *failing_resize(void *user, void *old, size_t bytes)
{
    (void)user;
    return left-- == 0 ? NULL : realloc(old, bytes);
}
static void failing_release(void *user, void *old)
{
    (void)user;
    free(old);
}

static gr_tensor *training_step(gr_tape *t, gr_variable *w, gr_variable *n, gr_tensor **x)
{
    *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 40), "x");
    gr_tensor *h = gr_relu(gr_matmul(*x, gr_read(t, w))), *mean = gr_mean(h, .axes = GR_SHAPE(0));
    gr_tensor *loss = gr_sum(gr_square(gr_sub(h, mean))), *wrt = gr_read(t, w), *g;
    if (gr_grad(loss, &wrt, 1, &g) != GR_OK)
        return GR_BAD;
    gr_assign(wrt, gr_sub(wrt, gr_mul(g, gr_scalar(g, 1e-3))));
    gr_assign(gr_read(t, n), gr_cast(gr_argmax(mean), GR_F32));
    return loss;
}

/* Whichever allocation fails, of compiling or of the first run: an error, no leak, no half-made step. */
static void every_failed_allocation_is_an_error_and_no_more(void)
{
    const gr_allocator failing = {failing_alloc, failing_resize, failing_release, NULL};
    gr_tape *t = gr_tape_new();
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(40, 20), true),
                *n = gr_variable_new("n", GR_F32, GR_RANK0, false);
    gr_tensor *x, *loss = training_step(t, w, n, &x);
    gr_array *in = numbers(30, 40, 1), *out = gr_array_new(GR_F32, GR_RANK0);
    int64_t failures = 0;
    bool ran = false, over = false;
    for (int64_t k = 0; k < 100000 && !over; k++) {
        left = k;
        gr_set_allocator(&failing);
        gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {loss}, .verify = true);
        ran = p && gr_program_run(p, &in, &out) == GR_OK;
        gr_program_free(p);
        gr_set_allocator(NULL);
        over = left >= 0; /* none failed */
        failures += !over;
        CU_ASSERT_EQUAL(ran, over);
        if (!ran && !GR_EXPECT(gr_error() == GR_EMEM, "allocation %lld: %s", (long long)k, gr_error_message()))
            break;
        gr_error_clear();
        CU_ASSERT(ran || gr_variable_get_scalar(n) == 0);
    }
    GR_EXPECT(ran && failures > 30, "%lld failures", (long long)failures);
    gr_array_free(in), gr_array_free(out), gr_tape_free(t), gr_variable_free(w), gr_variable_free(n);
}

/* ---- two at once ------------------------------------------------------------------------------------------------- */

static void *train(void *result)
{
    gr_tape *t = gr_tape_new();
    gr_variable *w = gr_variable_new("w", GR_F32, GR_SHAPE(40, 20), true),
                *n = gr_variable_new("n", GR_F32, GR_RANK0, false);
    gr_array *start = numbers(40, 20, 0), *in = numbers(30, 40, 1), *out = gr_array_new(GR_F32, GR_RANK0);
    gr_array_scale(start, 1e-3), gr_array_scale(in, 1e-3);
    gr_variable_set(w, start);
    gr_tensor *x, *loss = training_step(t, w, n, &x);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {loss}, .passes_off = GR_PASS_SERIAL, .threads = 2);
    for (int i = 0; p && i < 50; i++)
        gr_program_run(p, &in, &out);
    *(double *)result = gr_array_at(out, 0) + gr_error();
    gr_program_free(p), gr_tape_free(t), gr_variable_free(w), gr_variable_free(n);
    gr_array_free(start), gr_array_free(in), gr_array_free(out);
    return NULL;
}

static void two_programs_run_in_two_threads_at_once(void)
{
    double alone, a = 0, b = 0;
    pthread_t first, second;
    train(&alone);
    CU_ASSERT_FATAL(pthread_create(&first, NULL, train, &a) == 0);
    CU_ASSERT_FATAL(pthread_create(&second, NULL, train, &b) == 0);
    pthread_join(first, NULL), pthread_join(second, NULL);
    CU_ASSERT(alone > 0);
    CU_ASSERT_EQUAL(a, alone);
    CU_ASSERT_EQUAL(b, alone);
}

/* ---- looking inside ---------------------------------------------------------------------------------------------- */

static void the_first_nan_is_reported_with_its_op_and_place(void)
{
    setenv("GRAPE_NANCHECK", "1", 1);
    gr_tape *t = gr_tape_new();
    gr_variable *v = gr_variable_new("v", GR_F32, GR_SHAPE(2), true);
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), "x"), *y = gr_exp(gr_log(x));
    gr_assign(gr_read(t, v), y);
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .name = "probe", .passes_off = GR_PASS_INEXACT);
    unsetenv("GRAPE_NANCHECK");
    gr_array *in = gr_array_from(GR_F32, GR_SHAPE(2), (float[]){1, -1}), *out = gr_array_new(GR_F32, GR_SHAPE(2));
    CU_ASSERT_EQUAL(gr_program_run(p, &in, &out), GR_ENAN);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "test_program.c"));
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "program probe, step 0: log makes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "at element 1"));
    gr_error_clear();
    gr_array *now = gr_variable_get(v);
    CU_ASSERT_EQUAL(gr_array_at(now, 0), 0); /* nothing was assigned */
    ((float *)gr_array_data(in))[1] = INFINITY;
    CU_ASSERT_EQUAL(gr_program_run(p, &in, &out), GR_ENAN);
    CU_ASSERT_PTR_NOT_NULL(strstr(gr_error_message(), "input x is not finite at element 1"));
    gr_error_clear();
    gr_array_free(now), gr_array_free(in), gr_array_free(out), gr_program_free(p), gr_tape_free(t), gr_variable_free(v);
}

static bool file_has(const char *dir, const char *name, const char *what)
{
    static char text[400000];
    char path[1000];
    text[0] = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
    }
    return GR_EXPECT(strstr(text, what), "%s does not say %s", path, what);
}

static void dumps_show_every_stage(void)
{
    const char *dir = gr_test_scratch("dump");
    char inside[1000];
    setenv("GRAPE_DUMP", dir, 1);
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *y = gr_exp(gr_neg(gr_neg(x)));
    gr_program *p = gr_program_new(t, .inputs = {x}, .outputs = {y}, .name = "probe", .max_batch = 4);
    unsetenv("GRAPE_DUMP");
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    snprintf(inside, sizeof inside, "%s/probe", dir);
    file_has(inside, "00-trace.txt", "neg(%0)");
    file_has(inside, "09-compact.txt", "%1 = exp(%0)");
    file_has(inside, "09-compact.dot", "digraph");
    file_has(inside, "groups.dot", "cluster");
    file_has(inside, "groups.dot", "\\nblue: forward");
    file_has(inside, "groups.dot", "\\n1 task, ");
    file_has(inside, "plan.txt", "B = 4: 2 nodes, 1 groups, 1 steps, 1 phases");
    file_has(inside, "plan.txt", "  b0: 48 bytes, input x\n");
    file_has(inside, "memory.svg", "<rect");
    file_has(inside, "memory.svg", " in 1 phase; lower bound ");
    CU_ASSERT_EQUAL(gr_program_dump(p, "/nowhere/at/all"), GR_EIO);
    gr_error_clear();
    gr_program_free(p), gr_tape_free(t);
}

/* A training step of 2000 nodes: its groups are a box each, which dot can place; variables have their names. */
static void dumps_of_a_large_program_can_be_read(void)
{
    const char *dir = gr_test_scratch("large");
    transformer m;
    CU_ASSERT_EQUAL_FATAL(transformer_make(&m, (transformer_sizes){4, 32, 2, 16, 20}), GR_OK);
    gr_program *p = gr_program_new(m.tape, .inputs = {m.text, m.next}, .outputs = {m.loss}, .max_batch = 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    mkdir(dir, 0777);
    CU_ASSERT_EQUAL(gr_program_dump(p, dir), GR_OK);
    CU_ASSERT(gr_program_plan(p).nodes > 1000);
    file_has(dir, "groups.dot", "\"g0\" [label=\"phase ");
    file_has(dir, "groups.dot", " KiB\"];");
    file_has(dir, "plan.txt", ", variable w\n");
    file_has(dir, "plan.txt", ", mul, add\n");
    gr_program_free(p);
    transformer_free(&m);
}

GR_SUITE("compiler/compile.c", GR_TEST(every_failed_allocation_is_an_error_and_no_more),
    GR_TEST(two_programs_run_in_two_threads_at_once), GR_TEST(the_first_nan_is_reported_with_its_op_and_place),
    GR_TEST(dumps_show_every_stage), GR_TEST(dumps_of_a_large_program_can_be_read),
    GR_TEST(a_program_serves_every_batch_size), GR_TEST(a_second_run_of_a_batch_size_allocates_nothing),
    GR_TEST(programs_that_share_a_room_run_in_turn),
    GR_TEST(inputs_that_disagree_on_the_batch_size_are_refused), GR_TEST(a_needed_input_that_is_not_listed_is_an_error),
    GR_TEST(assignments_are_committed_together), GR_TEST(a_variable_may_be_assigned_what_reads_all_of_it),
    GR_TEST(the_last_of_several_assignments_stays), GR_TEST(a_refused_datum_drops_every_commit_and_names_the_place),
    GR_TEST(a_bad_index_leaves_variables_unchanged), GR_TEST(assign_if_keeps_the_value_where_the_condition_is_false))
