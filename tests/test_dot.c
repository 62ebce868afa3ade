/* Pictures of tapes: what is in them, that any name can stand in them, and what happens without the program dot. */
#include "autograd/custom.h"
#include "autograd/grad.h"
#include "core/dot.h"
#include "core/node.h"
#include "core/process.h"
#include "ops/ops.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; p && (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

/* A small reader of what we write: a statement a line, braces that match, quotes that close. */
typedef struct {
    int nodes, edges, clusters, deepest;
    bool good;
} picture;
static picture look(const char *text)
{
    picture p = {.good = text && strncmp(text, "digraph grape {\n", 16) == 0};
    int depth = 0;
    for (const char *line = text; p.good && *line; line = strchr(line, '\n') + 1) {
        const char *s = line + strspn(line, " "), *end = strchr(s, '\n');
        bool quoted = false;
        for (const char *c = s; c < end; c++) {
            if (*c == '\\')
                c++;
            else
                quoted ^= *c == '"';
            p.good = p.good && (unsigned char)*c >= 0x20;
        }
        p.good = p.good && !quoted && (end[-1] == ';' || end[-1] == '{' || *s == '}');
        depth += (end[-1] == '{') - (*s == '}');
        p.deepest = depth > p.deepest ? depth : p.deepest;
        p.clusters += strncmp(s, "subgraph \"cluster_", 18) == 0;
        const char *id_end = *s == '"' ? strchr(s + 1, '"') : NULL;
        p.edges += id_end && strncmp(id_end, "\" -> \"", 6) == 0;
        p.nodes += id_end && strncmp(id_end, "\" [label=", 9) == 0;
    }
    p.good = p.good && depth == 0;
    return p;
}

static char *svg_of(const char *text)
{
    static char out[1 << 20];
    char at[1000];
    if (!gr__program_find("dot", at, sizeof at))
        return NULL;
    const char *const argv[] = {"dot", "-Tsvg", NULL};
    gr__process p = {
        .argv = argv, .input = text, .input_bytes = (int64_t)strlen(text), .output = out, .output_size = sizeof out};
    bool good = gr__process_run(&p) == GR_OK && p.exit_code == 0;
    GR_EXPECT(good && !strstr(out, "Warning") && !strstr(out, "Error"), "dot: exit %d, %.300s", p.exit_code, out);
    return out;
}

/* Two layers, one in the other, and their gradient; `chain` further nodes. */
static gr_tape *two_layers(gr_variable *w, int chain)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(GR_BATCH, 3), "x"), *g;
    gr_scope_push(t, "block", "Block", (gr_at){0});
    gr_tensor *y = gr_mul(x, gr_scalar(x, 0.5));
    gr_scope_push(t, "dense", "Dense", (gr_at){0});
    y = gr_tanh(gr_matmul(y, gr_read(t, w)));
    for (int i = 0; i < chain; i++)
        y = gr_neg(y);
    gr_scope_pop(t);
    gr_scope_pop(t);
    gr_tensor *weight = gr_read(t, w);
    gr_grad(gr_mean(y), &weight, 1, &g);
    t->phase = GR_PHASE_UPDATE;
    gr_assign(weight, gr_sub(weight, g));
    t->phase = GR_PHASE_FORWARD;
    return t;
}

static gr_variable *kernel(void)
{
    return gr_variable_new("block/dense/kernel", GR_F32, GR_SHAPE(3, 4), true);
}

static void every_node_is_drawn_in_the_cluster_of_its_layer(void)
{
    gr_variable *w = kernel();
    gr_tape *t = two_layers(w, 0);
    char *text = gr_tape_dot_text(t, &(gr_dot_opts){.title = "one step"});
    picture p = look(text);
    int64_t inputs = 0;
    for (int64_t id = 0; id < t->n_nodes; id++)
        inputs += t->node[id]->n_in;
    GR_EXPECT(p.good && p.nodes == (int)t->n_nodes && p.edges == (int)inputs && p.clusters == 2 && p.deepest == 3,
        "%d nodes, %d edges, %d clusters, %d deep in\n%s", p.nodes, p.edges, p.clusters, p.deepest, text);
    static const char *const words[] = {"label=\"one step\"", "label=\"block (Block)\"", "label=\"dense (Dense)\"",
        "label=\"matmul\\nfloat32 [B, 4], B * 16 B\"", "label=\"block/dense/kernel\\nfloat32 [3, 4], 48 B\"",
        "label=\"x\\n", "label=\"0.5\"", "label=\"assign block/dense/kernel"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        GR_EXPECT(strstr(text, words[i]), "no %s in\n%s", words[i], text);
    for (int phase = 0; phase < 3; phase++)
        GR_EXPECT(strstr(text, gr__dot_fill[phase]), "no colour of phase %d", phase);
    char *svg = svg_of(text);
    if (svg) {
        CU_ASSERT_EQUAL(count(svg, "class=\"node\""), (int)t->n_nodes);
        CU_ASSERT_EQUAL(count(svg, "class=\"cluster\""), 2);
    }
    gr_text_free(text);
    gr_tape_free(t);
    gr_variable_free(w);
}

static void a_large_graph_is_folded_to_a_node_a_layer_and_phase(void)
{
    static const struct {
        const char *why;
        int chain;
        gr_dot_opts opts;
        bool folded;
    } rows[] = {
        {"small", 10, {0}, false},
        {"large", 600, {0}, true},
        {"small, folded by wish", 10, {.fold = true}, true},
        {"large, not folded by wish", 600, {.no_fold = true}, false},
        {"a bound of one's own", 30, {.fold_above = 20}, true},
    };
    gr_variable *w = kernel();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_tape *t = two_layers(w, rows[i].chain);
        char *text = gr_tape_dot_text(t, &rows[i].opts);
        picture p = look(text);
        /* x; block forward, dense forward and backward, outside forward, backward, update */
        GR_EXPECT(p.good && (rows[i].folded ? p.nodes == 7 : p.nodes == (int)t->n_nodes), "%s: %d nodes in\n%s",
            rows[i].why, p.nodes, rows[i].folded ? text : "");
        GR_EXPECT(!rows[i].folded || strstr(text, "dense (Dense), backward\\n"), "%s: no backward part in\n%s",
            rows[i].why, text);
        if (rows[i].folded) {
            int sum = 1; /* the input stands on its own */
            for (const char *n = text; (n = strstr(n, " nodes\\n")); n++) {
                const char *digits = n;
                while (digits[-1] >= '0' && digits[-1] <= '9')
                    digits--;
                sum += atoi(digits);
            }
            GR_EXPECT(
                sum == (int)t->n_nodes, "%s: %d of %d nodes are told in\n%s", rows[i].why, sum, (int)t->n_nodes, text);
            svg_of(text);
        }
        gr_text_free(text);
        gr_tape_free(t);
    }
    gr_variable_free(w);
}

static gr_status body(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)ctx, (void)t, (void)n_in, (void)n_out;
    out[0] = gr_tanh(gr_exp(in[0]));
    return gr_status_of(out[0]);
}

static void regions_are_dashed_clusters(void)
{
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(3), "x"), *y, *g;
    gr_checkpoint(body, NULL, 1, &x, 1, &y);
    gr_grad(gr_sum(y), &x, 1, &g);
    char *text = gr_tape_dot_text(t, NULL);
    picture p = look(text);
    int64_t nodes = t->n_nodes;
    for (int64_t id = 0; id < t->n_nodes; id++)
        nodes += t->node[id]->n_regions ? t->node[id]->region[0]->tape->n_nodes : 0;
    int64_t edges = 0; /* what nodes read; what params stand for; what the owner gives on */
    for (int64_t id = 0; id < t->n_nodes; id++) {
        const gr__node *n = t->node[id];
        edges += n->n_in;
        for (int r = 0; r < n->n_regions; r++) {
            edges += n->region[r]->n_params + n->region[r]->n_results;
            for (int64_t m = 0; m < n->region[r]->tape->n_nodes; m++)
                edges += n->region[r]->tape->node[m]->n_in;
        }
    }
    GR_EXPECT(p.good && p.clusters == 2 && p.nodes == (int)nodes && p.edges == (int)edges,
        "%d clusters, %d nodes, %d edges in\n%s", p.clusters, p.nodes, p.edges, text);
    CU_ASSERT_EQUAL(count(text, "checkpoint, region 0\", style=dashed"), 2);
    char *svg = svg_of(text);
    if (svg)
        CU_ASSERT_EQUAL(count(svg, "class=\"node\""), (int)nodes);
    gr_text_free(text);
    gr_tape_free(t);
}

static void any_name_can_be_drawn(void)
{
    char longest[10241];
    memset(longest, 'A', 10240);
    longest[10240] = '\0';
    const char *const names[] = {"*/ int x; /*", "\"; system(\"touch pwned\"); //", "a\n#include \"/etc/passwd\"",
        "a\\", "\\N \\G \\l", "%s%n", longest, "", "node", "a;touch pwned", "$(touch pwned)", "`id`", "-o/etc/x",
        "\xf0\x9f\x8d\x87 gr\xc3\xa4pe", "\xff\xfe\x80", "\x01\x02", "<b>{x|y}</b>", "&amp; &lt;", "\"];} digraph {"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        gr_tape *t = gr_tape_new();
        gr_variable *v = gr_variable_new(names[i], GR_F32, GR_RANK0, true);
        gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2), names[i]);
        gr_scope_push(t, names[i], names[i], (gr_at){0});
        gr_mul(x, gr_read(t, v));
        char *text = gr_tape_dot_text(t, &(gr_dot_opts){.title = names[i]});
        picture p = look(text);
        GR_EXPECT(p.good && p.nodes == 3 && p.clusters == 1 && p.edges == 2,
            "%s: %d nodes, %d clusters, %d edges in\n%s", names[i], p.nodes, p.clusters, p.edges, text);
        char *svg = svg_of(text);
        if (svg)
            GR_EXPECT(count(svg, "class=\"node\"") == 3 && !strstr(svg, "xlink:href"), "%s: %d nodes drawn", names[i],
                count(svg, "class=\"node\""));
        gr_text_free(text);
        gr_tape_free(t);
        gr_variable_free(v);
    }
}

static bool is_file(const char *name)
{
    struct stat s;
    return stat(name, &s) == 0 && s.st_size > 0;
}

static char log_text[4096];
static void keep_log(void *user, gr_log_level level, const char *text)
{
    (void)user;
    snprintf(log_text, sizeof log_text, "%d %s", (int)level, text);
}

static void the_ending_says_what_is_written(void)
{
    gr_variable *w = kernel();
    gr_tape *t = two_layers(w, 0);
    char program[1000];
    bool installed = gr__program_find("dot", program, sizeof program);
    static const struct {
        const char *file, *starts;
    } rows[] = {
        {"-a.dot", "digraph"}, {"b.gv", "digraph"}, {"c.svg", "<?xml"}, {"d.png", "\x89PNG"}, {"e.pdf", "%PDF"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *file = gr_test_scratch(rows[i].file);
        char start[8] = "";
        if (i >= 2 && !installed)
            continue;
        CU_ASSERT_EQUAL(gr_tape_dot(t, file, .title = "t"), GR_OK);
        FILE *f = fopen(file, "rb");
        size_t n = f ? fread(start, 1, 7, f) : 0;
        if (f)
            fclose(f);
        GR_EXPECT(n >= 4 && strncmp(start, rows[i].starts, strlen(rows[i].starts)) == 0, "%s starts with %.7s",
            rows[i].file, start);
    }
    gr_tape_free(t);
    gr_variable_free(w);
}

/* A folder whose only program is a dot that complains. */
static const char *broken_dot(void)
{
    const char *file = gr_test_scratch("dot");
    FILE *f = fopen(file, "w");
    if (f) {
        fputs("#!/bin/sh\necho no such layout engine >&2\nexit 3\n", f);
        fclose(f);
    }
    chmod(file, 0755);
    char *folder = strdup(file);
    *strrchr(folder, '/') = '\0';
    return folder;
}

static void without_dot_the_text_stays_and_a_warning_says_what_to_do(void)
{
    const char *broken = broken_dot();
    const struct {
        const char *path, *words, *or_not;
    } rows[] = {{"/nowhere", "not installed", "failed"}, {broken, "no such layout engine", "not installed"}};
    gr_variable *w = kernel();
    gr_tape *t = two_layers(w, 0);
    char *path = getenv("PATH") ? strdup(getenv("PATH")) : NULL;
    const char *svg = gr_test_scratch("step.svg"), *dot = gr_test_scratch("step.dot");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        remove(dot);
        setenv("PATH", rows[i].path, 1);
        gr_set_log(keep_log, NULL);
        gr_status s = gr_tape_dot(t, svg);
        gr_set_log(NULL, NULL);
        if (path)
            setenv("PATH", path, 1);
        CU_ASSERT_EQUAL(s, GR_OK);
        CU_ASSERT_EQUAL(gr_error(), GR_OK);
        CU_ASSERT(is_file(dot) && !is_file(svg));
        GR_EXPECT(log_text[0] == '0' + GR_LOG_WARNING && strstr(log_text, "step.dot") &&
                      strstr(log_text, "dot -Tsvg -o") && strstr(log_text, rows[i].words) &&
                      !strstr(log_text, rows[i].or_not),
            "%s", log_text);
    }
    free(path);
    free((void *)(uintptr_t)broken);
    gr_tape_free(t);
    gr_variable_free(w);
}

static void files_that_cannot_be_written_are_errors(void)
{
    gr_variable *w = kernel();
    gr_tape *t = two_layers(w, 0);
    static const struct {
        const char *file;
        gr_status status;
        const char *words;
    } rows[] = {
        {"/nowhere/at/all.dot", GR_EIO, "No such file"},
        {"/nowhere/at/all.svg", GR_EIO, "No such file"},
        {"picture.jpg", GR_EARG, "ends in .dot, .gv, .svg, .png or .pdf, found picture.jpg"},
        {"picture", GR_EARG, "ends in"},
        {"a.svg/picture", GR_EARG, "ends in"},
        {NULL, GR_EARG, "found NULL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        gr_status s = gr_tape_dot(t, rows[i].file);
        GR_EXPECT(s == rows[i].status && strstr(gr_error_message(), rows[i].words) &&
                      strstr(gr_error_message(), "test_dot.c:"),
            "%s: %s", rows[i].file ? rows[i].file : "NULL", gr_error_message());
    }
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_tape_dot_text(NULL, NULL));
    gr_error_clear();
    gr_tape_free(t);
    gr_variable_free(w);
}

static void times_are_shown_where_they_are_known(void)
{
    gr_variable *w = kernel();
    gr_tape *t = two_layers(w, 0);
    double *time_us = calloc((size_t)t->n_nodes, sizeof *time_us);
    time_us[2] = 12.5;
    char *text = gr_tape_dot_text(t, &(gr_dot_opts){.time_us = time_us});
    CU_ASSERT_EQUAL(count(text, "12.5 us"), 1);
    CU_ASSERT_EQUAL(count(text, " us\""), 1);
    gr_text_free(text);
    free(time_us);
    gr_tape_free(t);
    gr_variable_free(w);
}

static void bytes_read_as_a_person_writes_them(void)
{
    static const struct {
        double bytes;
        const char *text;
    } rows[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {5.0 * 1024 * 1024, "5 MiB"}};
    char buf[40];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CU_ASSERT_STRING_EQUAL(gr__bytes_text(rows[i].bytes, buf, sizeof buf), rows[i].text);
}

GR_SUITE("core/dot.c", GR_TEST(every_node_is_drawn_in_the_cluster_of_its_layer),
    GR_TEST(a_large_graph_is_folded_to_a_node_a_layer_and_phase), GR_TEST(regions_are_dashed_clusters),
    GR_TEST(any_name_can_be_drawn), GR_TEST(the_ending_says_what_is_written),
    GR_TEST(without_dot_the_text_stays_and_a_warning_says_what_to_do), GR_TEST(files_that_cannot_be_written_are_errors),
    GR_TEST(times_are_shown_where_they_are_known), GR_TEST(bytes_read_as_a_person_writes_them))
