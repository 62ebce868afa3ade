/* What GRAPE_PROFILE tells: a table through the log, and a trace that a JSON reader reads. */
#include "compiler/program.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef GRAPE_MINIMAL
#include <jansson.h>
#endif

static char heard[8000];
static void listen(void *user, gr_log_level level, const char *text)
{
    (void)user, (void)level;
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%s\n", text);
}

/* Two products, one after the other, on two threads; five runs. */
static void profiled(const char *setting, int64_t batch)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 256), "x"), *w = gr_input(t, GR_F32, GR_SHAPE(256, 256), "w");
    gr_array *in[] = {gr_array_new(GR_F32, GR_SHAPE(batch, 256)), gr_array_new(GR_F32, GR_SHAPE(256, 256))};
    gr_array *out = gr_array_new(GR_F32, GR_SHAPE(batch, 256));
    setenv("GRAPE_PROFILE", setting, 1);
    gr_set_log(listen, NULL);
    heard[0] = 0;
    gr_program *p = gr_program_new(
        t, .inputs = {x, w}, .outputs = {gr_matmul(gr_tanh(gr_matmul(x, w)), w)}, .name = "a \"probe\"", .threads = 2);
    for (int i = 0; i < 5; i++)
        CU_ASSERT(p && gr_program_run(p, in, &out) == GR_OK);
    gr_program_free(p);
    gr_set_log(NULL, NULL);
    unsetenv("GRAPE_PROFILE");
    gr_array_free(in[0]), gr_array_free(in[1]), gr_array_free(out), gr_tape_free(t);
}

static void a_profile_tells_times_rates_and_who_waits(void)
{
    static const char *const words[] = {"B = 200, 5 runs, 2 threads: best", "median", "GF/s in a product", "GB/s",
        "% of peak", "thread 1: works", "uneven shares", "steps bound by arithmetic"};
    profiled("1", 200);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        GR_EXPECT(strstr(heard, words[i]), "%s is not among\n%s", words[i], heard);
    profiled("/nowhere/trace.json", 200);
    GR_EXPECT(strstr(heard, "GRAPE_PROFILE: /nowhere/trace.json: No such file"), "%s", heard);
}

#ifdef GRAPE_MINIMAL
static void a_trace_has_a_row_for_each_thread(void)
{
    gr_test_skip("no JSON reader in this build");
}
#else
static double number_of(const json_t *slice, const char *key)
{
    return json_number_value(json_object_get(slice, key));
}

/* Slices of one thread do not overlap, and no phase begins before the last one is over. */
static int check_slices(const json_t *trace, int process)
{
    double end[2] = {0, 0}, over = 0, latest = 0;
    int n = 0, threads = 0, phase = 0;
    size_t i;
    const json_t *s;
    json_array_foreach(trace, i, s)
    {
        if ((int)number_of(s, "pid") != process)
            continue;
        threads += !strcmp(json_string_value(json_object_get(s, "name")), "thread_name");
        if (strcmp(json_string_value(json_object_get(s, "ph")), "X"))
            continue;
        int tid = (int)number_of(s, "tid"), ph = (int)number_of(json_object_get(s, "args"), "phase");
        double from = number_of(s, "ts"), to = from + number_of(s, "dur");
        if (ph > phase)
            over = latest;
        phase = ph;
        GR_EXPECT(tid >= 0 && tid < 2 && from >= over - 0.01, "slice %d begins at %g, before %g", n, from, over);
        latest = to > latest ? to : latest;
        end[tid % 2] += to - from;
        n++;
    }
    GR_EXPECT(threads == 2 && phase >= 1 && end[0] <= latest + 0.1 && end[1] <= latest + 0.1,
        "%d threads, %d phases, %g and %g us in %g", threads, phase + 1, end[0], end[1], latest);
    return n;
}

static void a_trace_has_a_row_for_each_thread(void)
{
    const char *file = gr_test_scratch("trace.json");
    profiled(file, 200);
    profiled(file, 333);
    json_error_t e;
    json_t *trace = json_load_file(file, 0, &e);
    if (!GR_EXPECT(json_is_array(trace), "%s, line %d", e.text, e.line))
        return;
    int process = (int)number_of(json_array_get(trace, 0), "pid");
    GR_EXPECT(check_slices(trace, process) >= 4, "too few slices");
    GR_EXPECT(check_slices(trace, process + 1) >= 4, "too few slices of the second program");
    const char *name = json_string_value(json_object_get(json_object_get(json_array_get(trace, 0), "args"), "name"));
    CU_ASSERT_STRING_EQUAL(name, "a \"probe\", B = 200");
    json_decref(trace);
}
#endif

GR_SUITE("compiler/profile.c", GR_TEST(a_trace_has_a_row_for_each_thread),
    GR_TEST(a_profile_tells_times_rates_and_who_waits))
