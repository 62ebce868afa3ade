/* SimpleRNN, LSTM, GRU, Bidirectional and TimeDistributed: shapes and numbers of weights, first weights, states that go
 * in and out, dropout, and mistakes. Values and gradients against Keras are in test_fixture_layers.c. */
#include "compiler/program.h"
#include "models/build_impl.h"
#include "models/layers/layers.h"
#include "models/model.h"
#include "tests/near.h"

typedef struct {
    gr__store store;
    gr_tape *tape;
    gr_build build;
} trace;

static void begin(trace *t, bool training)
{
    *t = (trace){.store = {.dtype = GR_F64}, .tape = gr_tape_new()};
    gr__build_begin(&t->build, t->tape, &t->store, training);
}
/* Another trace of the same model. */
static void again(trace *t, bool training)
{
    gr__build_end(&t->build);
    gr__build_begin(&t->build, t->tape, &t->store, training);
}
static void end(trace *t)
{
    gr__build_end(&t->build);
    gr_tape_free(t->tape);
    gr__store_free(&t->store);
    gr_error_clear();
}

static gr_tensor *drawn(gr_tape *t, gr_shape shape, int seed)
{
    gr_array *a = gr_array_new(GR_F64, shape);
    double *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 1024;
    gr_tensor *y = gr_constant(t, a);
    gr_array_free(a);
    return y;
}

static void expect_near(int line, gr_tensor *a, gr_tensor *b)
{
    gr_array *x = gr_eval(a), *y = gr_eval(b);
    if (GR_EXPECT(x && y && gr_shape_equal(gr_array_shape(x), gr_array_shape(y)), "line %d: %s", line,
            gr_error_message()))
        for (int64_t i = 0; i < gr_array_size(x); i++)
            if (!GR_EXPECT(fabs(gr_array_at(x, i) - gr_array_at(y, i)) < 1e-12, "line %d: [%lld] %.17g and %.17g", line,
                    (long long)i, gr_array_at(x, i), gr_array_at(y, i)))
                break;
    gr_array_free(x);
    gr_array_free(y);
}
#define SAME(a, b) expect_near(__LINE__, a, b)

#define B GR_BATCH
static void shapes_and_weights_are_those_of_keras(void)
{
    const struct {
        const gr_layer *layer;
        gr_shape x, y;
        int64_t weights; /* numbers in all of them */
    } rows[] = {
        {gr_SimpleRNN(4), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 4), 32},
        {gr_LSTM(4), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 4), 128},
        {gr_LSTM(4, .return_sequences = true, .no_bias = true), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 5, 4), 112},
        {gr_GRU(4), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 4), 108},
        {gr_GRU(4, .no_reset_after = true, .return_sequences = true), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 5, 4), 96},
        {gr_Bidirectional(gr_GRU(4)), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 8), 216},
        {gr_Bidirectional(gr_LSTM(4, .return_sequences = true), .merge_mode = "sum"), GR_SHAPE(B, 5, 3),
            GR_SHAPE(B, 5, 4), 256},
        {gr_TimeDistributed(gr_Dense(7)), GR_SHAPE(B, 5, 3), GR_SHAPE(B, 5, 7), 28},
        {gr_TimeDistributed(gr_Conv2D(2, GR_SHAPE(3))), GR_SHAPE(B, 5, 8, 8, 1), GR_SHAPE(B, 5, 6, 6, 2), 20},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t, false);
        gr_tensor *y = gr_apply(&t.build, rows[i].layer, gr_input(t.tape, GR_F64, rows[i].x, "x"));
        int64_t weights = 0;
        for (int k = 0; k < t.store.n; k++)
            weights += gr_shape_size(gr_variable_shape(t.store.variable[k]));
        char got[200];
        GR_EXPECT(gr_status_of(y) == GR_OK && gr_shape_equal(gr_shape_of(y), rows[i].y) && weights == rows[i].weights,
            "row %d, %s: %s, %lld numbers %s", (int)i, rows[i].layer->kind->name,
            gr_shape_text(gr_shape_of(y), got, sizeof got), (long long)weights, gr_error_message());
        end(&t);
    }
}

static void forget_gates_start_open_unless_told_otherwise(void)
{
    const struct {
        const gr_layer *layer;
        double forget, others;
    } rows[] = {{gr_LSTM(3), 1, 0}, {gr_LSTM(3, .no_unit_forget_bias = true), 0, 0},
        {gr_LSTM(3, .bias_initializer = "constant(value=0.5)"), 0.5, 0.5},
        {gr_LSTM(3, .bias_initializer = "zeros"), 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t, false);
        gr_apply(&t.build, rows[i].layer, gr_input(t.tape, GR_F64, GR_SHAPE(B, 2, 2), "x"));
        gr_array *bias = t.store.n == 3 ? gr_variable_get(t.store.variable[2]) : NULL;
        for (int64_t k = 0; GR_EXPECT(bias && gr_array_size(bias) == 12, "row %d: no bias", (int)i) && k < 12; k++)
            GR_EXPECT(gr_array_at(bias, k) == (k / 3 == 1 ? rows[i].forget : rows[i].others), "row %d [%lld]: %g",
                (int)i, (long long)k, gr_array_at(bias, k));
        gr_array_free(bias);
        end(&t);
    }
}

/* Six steps at once, and as three and three with the states handed on. */
static void states_go_in_and_out(void)
{
    const struct {
        const gr_layer *layer;
        int states;
    } rows[] = {{gr_SimpleRNN(4, .return_sequences = true), 1}, {gr_LSTM(4, .return_sequences = true), 2},
        {gr_GRU(4, .return_sequences = true), 1}, {gr_LSTM(4, .return_sequences = true, .activation = "relu"), 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        const int n = 1 + rows[i].states;
        begin(&t, false);
        gr_tensor *x = drawn(t.tape, GR_SHAPE(2, 6, 3), 1), *all[3], *first[3], *second[3], *part[2];
        CU_ASSERT_EQUAL(gr_apply_n(&t.build, rows[i].layer, 1, &x, n, all), GR_OK);
        CU_ASSERT_EQUAL(gr_split(x, 2, 1, part), GR_OK);
        again(&t, false);
        CU_ASSERT_EQUAL(gr_apply_n(&t.build, rows[i].layer, 1, &part[0], n, first), GR_OK);
        again(&t, false);
        first[0] = part[1];
        CU_ASSERT_EQUAL(gr_apply_n(&t.build, rows[i].layer, n, first, n, second), GR_OK);
        SAME(second[0], gr_slice(all[0], .start = GR_SHAPE(0, 3)));
        for (int k = 1; k < n; k++)
            SAME(second[k], all[k]);
        end(&t);
    }
}

static void dropout_cuts_inputs_and_states(void)
{
    const struct {
        const gr_layer *inputs, *states;
    } rows[] = {{gr_SimpleRNN(4, .dropout = 1), gr_SimpleRNN(4, .recurrent_dropout = 1)},
        {gr_GRU(4, .dropout = 1), gr_GRU(4, .recurrent_dropout = 1)}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t, false);
        gr_tensor *x = drawn(t.tape, GR_SHAPE(2, 6, 3), 1), *nothing = gr_zeros_like(x);
        gr_tensor *of_nothing = gr_apply(&t.build, rows[i].inputs, nothing);
        again(&t, false);
        gr_tensor *of_x = gr_apply(&t.build, rows[i].inputs, x);
        again(&t, false);
        gr_tensor *of_last = gr_apply(&t.build, rows[i].inputs, gr_slice(x, .start = GR_SHAPE(0, 5)));
        again(&t, true);
        SAME(gr_apply(&t.build, rows[i].inputs, x), of_nothing);
        again(&t, true);
        SAME(gr_apply(&t.build, rows[i].states, x), of_last);
        gr_array *a = gr_eval(of_x), *b = gr_eval(of_nothing);
        GR_EXPECT(a && b && !gr_array_equal(a, b), "row %d: inputs count for nothing without training", (int)i);
        gr_array_free(a);
        gr_array_free(b);
        end(&t);
    }
}

static void both_ways_are_merged_as_asked(void)
{
    trace t;
    gr_tensor *y[4], *half[2];
    static const char *const modes[] = {"concat", "sum", "mul", "ave"};
    begin(&t, false);
    gr_tensor *x = drawn(t.tape, GR_SHAPE(2, 4, 3), 1);
    for (int i = 0; i < 4; i++) {
        y[i] = gr_apply(&t.build, gr_Bidirectional(gr_LSTM(3, .return_sequences = true), .merge_mode = modes[i]), x);
        again(&t, false);
    }
    CU_ASSERT_EQUAL(gr_split(y[0], 2, -1, half), GR_OK);
    SAME(y[1], gr_add(half[0], half[1]));
    SAME(y[2], gr_mul(half[0], half[1]));
    SAME(y[3], gr_mul(gr_add(half[0], half[1]), gr_scalar(x, 0.5)));
    CU_ASSERT_EQUAL(t.store.n, 6);
    CU_ASSERT_STRING_EQUAL(gr_variable_path(t.store.variable[0]), "bidirectional/forward_lstm/kernel");
    CU_ASSERT_STRING_EQUAL(gr_variable_path(t.store.variable[3]), "bidirectional/backward_lstm/kernel");
    end(&t);
}

static void mistakes_are_told(void)
{
    const struct {
        const char *why;
        const gr_layer *layer;
        gr_shape x;
        int n_in, n_out;
        const char *message;
    } rows[] = {
        {"no units", gr_LSTM(0), GR_SHAPE(2, 3, 4), 1, 1, "LSTM: argument units: expected a number of at least 1"},
        {"no steps", gr_LSTM(3), GR_SHAPE(2, 4), 1, 1, "LSTM: argument x: expected [B, steps, features]"},
        {"steps of the batch's size", gr_GRU(3), GR_SHAPE(2, B, 4), 1, 1, "expected [B, steps, features]"},
        {"a state too few", gr_LSTM(3), GR_SHAPE(2, 3, 4), 2, 1, "x and 2 states, and as many results, found 2 and 1"},
        {"a result too many", gr_GRU(3), GR_SHAPE(2, 3, 4), 1, 3, "x and 1 state, and as many results, found 1 and 3"},
        {"a state of another shape", gr_GRU(3), GR_SHAPE(2, 3, 4), 2, 1, "gru: argument h: expected [2, 3], found"},
        {"an unknown activation", gr_SimpleRNN(3, .activation = "tanhh"), GR_SHAPE(2, 3, 4), 1, 1, "tanhh"},
        {"a rate above one", gr_GRU(3, .recurrent_dropout = 1.5), GR_SHAPE(2, 3, 4), 1, 1, "recurrent_dropout"},
        {"both ways through a dense layer", gr_Bidirectional(gr_Dense(3)), GR_SHAPE(2, 3, 4), 1, 1,
            "expected LSTM, GRU or SimpleRNN, found Dense"},
        {"an unknown way to merge", gr_Bidirectional(gr_GRU(3), .merge_mode = "add"), GR_SHAPE(2, 3, 4), 1, 1,
            "expected concat, sum, mul or ave, found 'add'"},
        {"no steps to go through", gr_TimeDistributed(gr_Dense(3)), GR_SHAPE(2, 3), 1, 1,
            "TimeDistributed: argument x: expected [B, steps, ..]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trace t;
        begin(&t, false);
        gr_tensor *x = gr_input(t.tape, GR_F64, rows[i].x, "x"), *in[] = {x, x, x}, *out[3];
        gr_status s = gr_apply_n(&t.build, rows[i].layer, rows[i].n_in, in, rows[i].n_out, out);
        GR_EXPECT(s != GR_OK && strstr(gr_error_message(), rows[i].message), "%s: %s", rows[i].why, gr_error_message());
        end(&t);
    }
}

/* Bytes of intermediate values, and the last state of row 1, negated. */
static int64_t arena_of(bool gru, bool all, float last[16])
{
    const gr_shape shape[] = {GR_SHAPE(4, 50, 8), GR_SHAPE(8, (gru ? 3 : 4) * 16), GR_SHAPE(16, (gru ? 3 : 4) * 16)};
    gr_tape *t = gr_tape_new();
    gr_tensor *in[3];
    gr_array *a[3];
    for (int i = 0; i < 3; i++) {
        in[i] = gr_input(t, GR_F32, shape[i], "in");
        a[i] = gr_array_new(GR_F32, shape[i]);
        for (int64_t k = 0; k < gr_array_size(a[i]); k++)
            ((float *)gr_array_data(a[i]))[k] = (float)((k * 7919 + i) % 2003 - 1001) / 1024;
    }
    gr_tensor *y = gru ? gr_gru(in[0], in[1], in[2]) : gr_lstm(in[0], in[1], in[2]);
    gr_program *p = gr_program_new(t, .inputs = {in[0], in[1], in[2]}, .outputs = {gr_neg(gr_result(y, all ? 0 : 1))});
    gr_array *out = gr_array_new(GR_F32, all ? GR_SHAPE(4, 50, 16) : GR_SHAPE(4, 16));
    CU_ASSERT(p && gr_program_run(p, a, &out) == GR_OK);
    memcpy(last, (float *)gr_array_data(out) + (all ? 99 : 1) * 16, 16 * sizeof *last);
    int64_t bytes = p ? gr_program_plan(p).arena_bytes : -1;
    gr_program_free(p);
    gr_array_free(out);
    for (int i = 0; i < 3; i++)
        gr_array_free(a[i]);
    gr_tape_free(t);
    return bytes;
}

static void states_that_nobody_reads_have_no_memory(void)
{
    for (int gru = 0; gru < 2; gru++) {
        float of_all[16], alone[16];
        int64_t all = arena_of(gru, true, of_all), last = arena_of(gru, false, alone), y = INT64_C(4) * 50 * 16 * 4;
        GR_EXPECT(all >= y && last > 0 && last < y / 10, "gru %d: all %lld bytes, the last %lld", gru, (long long)all,
            (long long)last);
        CU_ASSERT(memcmp(of_all, alone, sizeof alone) == 0 && alone[0] != 0);
    }
}

GR_SUITE("recurrent layers", GR_TEST(shapes_and_weights_are_those_of_keras),
    GR_TEST(forget_gates_start_open_unless_told_otherwise), GR_TEST(states_go_in_and_out),
    GR_TEST(dropout_cuts_inputs_and_states), GR_TEST(both_ways_are_merged_as_asked), GR_TEST(mistakes_are_told),
    GR_TEST(states_that_nobody_reads_have_no_memory))
