/* core/dot.c: writing dot text, and having it rendered. What is drawn: dot_tape.c, and the compiler's and models' own.
 */
#include "core/dot.h"
#include "core/process.h"
#include <errno.h>
#include <string.h>

enum { LABEL = 60, OUTPUT = 400, PATH = 4096 };

const char *const gr__dot_fill[3] = {"#dbe9f6", "#fde4cf", "#d9f0d3"}, *const gr__dot_line[3] = {
                                                                           "#2c6fae", "#c7651b", "#3d8b37"};

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Length of the UTF-8 character at s; 0 if there is none (what follows is no valid text). */
static int utf8(const unsigned char *s)
{
    int n = s[0] < 0x80                   ? 1
            : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
            : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
            : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                          : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* A label in quotes, whatever it holds: what means something to dot is escaped, what is no text becomes '?', and each
 * line is cut where it gets long. */
static void put_label(gr__writer *w, const char *label)
{
    gr__put(w, "\"");
    int column = 0;
    for (const unsigned char *s = (const unsigned char *)label; *s;) {
        int n = utf8(s);
        if (*s == '\n')
            column = -1;
        if (column >= LABEL) {
            if (column == LABEL)
                gr__put(w, "...");
        } else if (*s == '\n') {
            gr__put(w, "\\n");
        } else if (n == 0 || *s < 0x20 || *s == 0x7f) {
            gr__put(w, "?");
        } else if (*s == '&') {
            gr__put(w, "&amp;"); /* dot knows HTML's names */
        } else {
            if (strchr("\"\\<>{}|", *s))
                gr__put(w, "\\");
            gr__put_bytes(w, (const char *)s, n);
        }
        s += n ? n : 1;
        column++;
    }
    gr__put(w, "\"");
}

static void indent(gr__dot *d)
{
    for (int i = 0; i < d->depth && i < 16; i++)
        gr__put(&d->w, "    ");
}

void gr__dot_begin(gr__dot *d, const char *title, const char *style)
{
    *d = (gr__dot){.depth = 1};
    gr__put(&d->w, "digraph grape {\n");
    gr__put(&d->w, "    graph [fontname=\"Helvetica\", fontsize=11, ranksep=0.3, nodesep=0.2%s%s];\n",
        *style ? ", " : "", style);
    gr__put(&d->w,
        "    node [fontname=\"Helvetica\", fontsize=10, shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", "
        "margin=\"0.08,0.04\", height=0.2];\n");
    gr__put(&d->w, "    edge [fontname=\"Helvetica\", fontsize=8, color=\"#777777\", arrowsize=0.6];\n");
    if (title && *title) {
        gr__put(&d->w, "    labelloc=t;\n    label=");
        put_label(&d->w, title);
        gr__put(&d->w, ";\n");
    }
}

void gr__dot_node(gr__dot *d, const char *id, const char *label, const char *style)
{
    indent(d);
    gr__put(&d->w, "\"%s\" [label=", id);
    put_label(&d->w, label);
    gr__put(&d->w, "%s%s];\n", *style ? ", " : "", style);
}

void gr__dot_edge(gr__dot *d, const char *from, const char *to, const char *label, const char *style)
{
    indent(d);
    gr__put(&d->w, "\"%s\" -> \"%s\"", from, to);
    if (label || *style) {
        gr__put(&d->w, " [");
        if (label) {
            gr__put(&d->w, "label=");
            put_label(&d->w, label);
        }
        gr__put(&d->w, "%s%s]", label && *style ? ", " : "", style);
    }
    gr__put(&d->w, ";\n");
}

void gr__dot_cluster(gr__dot *d, const char *id, const char *label, const char *style)
{
    indent(d);
    gr__put(&d->w, "subgraph \"cluster_%s\" {\n", id);
    d->depth++;
    indent(d);
    gr__put(&d->w, "graph [label=");
    put_label(&d->w, label);
    gr__put(&d->w, "%s%s];\n", *style ? ", " : "", style);
}

void gr__dot_cluster_end(gr__dot *d)
{
    d->depth--;
    indent(d);
    gr__put(&d->w, "}\n");
}

char *gr__dot_end(gr__dot *d)
{
    gr__put(&d->w, "}\n");
    if (!d->w.failed)
        return d->w.text;
    gr_text_free(d->w.text);
    return NULL;
}

const char *gr__bytes_text(double bytes, char *buf, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    for (; bytes >= 1024 && u < 4; u++)
        bytes /= 1024;
    int64_t tenths = (int64_t)(bytes * 10 + 0.5); /* by hand: a point in every locale */
    if (tenths % 10)
        snprintf(buf, size, "%lld.%d %s", (long long)(tenths / 10), (int)(tenths % 10), units[u]);
    else
        snprintf(buf, size, "%lld %s", (long long)(tenths / 10), units[u]);
    return buf;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static gr_status write_file(gr_at at, const char *who, const char *text, const char *file)
{
    size_t n = strlen(text);
    FILE *f = fopen(file, "wb");
    bool written = f && fwrite(text, 1, n, f) == n;
    int error = errno;
    if (f && fclose(f) != 0 && written) {
        written = false;
        error = errno;
    }
    if (written)
        return GR_OK;
    if (f)
        remove(file); /* nothing half-written stays */
    return gr_fail(GR_EIO, at, "%s: argument file: expected a file that can be written, found %.300s: %s", who, file,
        strerror(error));
}

static const char *ending(const char *file)
{
    const char *dot = strrchr(file, '.'), *slash = strrchr(file, '/');
    return dot && (!slash || dot > slash) ? dot + 1 : "";
}

/* "dir/step.svg" -> "dir/step.dot" */
static bool text_name(const char *file, char *out, size_t size)
{
    size_t stem = strlen(file) - strlen(ending(file));
    if (stem + 4 > size)
        return false;
    memcpy(out, file, stem);
    memcpy(out + stem, "dot", 4);
    return true;
}

gr_status gr__dot_save(gr_at at, const char *who, const char *text, const char *file)
{
    static const char *const rendered[] = {"svg", "png", "pdf"};
    char beside[PATH], safe[PATH], format[8], output[OUTPUT] = "";
    const char *kind = file ? ending(file) : "";
    if (strcmp(kind, "dot") == 0 || strcmp(kind, "gv") == 0)
        return write_file(at, who, text, file);
    int k = 0;
    while (k < 3 && strcmp(kind, rendered[k]) != 0)
        k++;
    if (k == 3 || !text_name(file, beside, sizeof beside))
        return gr_fail(GR_EARG, at,
            "%s: argument file: expected a name that ends in .dot, .gv, .svg, .png or .pdf, found %.300s", who,
            file ? file : "NULL");
    FILE *f = fopen(file, "wb"); /* the system's words are clearer than dot's */
    if (!f || fclose(f) != 0)
        return gr_fail(GR_EIO, at, "%s: argument file: expected a file that can be written, found %.300s: %s", who,
            file, strerror(errno));
    snprintf(format, sizeof format, "-T%s", kind);
    const char *const argv[] = {"dot", format, "-o", gr__program_path(file, safe, sizeof safe), NULL};
    gr__process p = {
        .argv = argv, .input = text, .input_bytes = (int64_t)strlen(text), .output = output, .output_size = OUTPUT};
    bool had_error = gr_error() != GR_OK;
    gr_status s = gr__process_run(&p);
    if (s == GR_OK && p.exit_code == 0)
        return GR_OK;
    if (s != GR_OK && !had_error)
        gr_error_clear(); /* a picture is not worth an error */
    remove(file);
    GR_TRY(write_file(at, who, text, beside));
    if (s == GR_EMISSING)
        gr_log_write(GR_LOG_WARNING,
            "%s: the program dot is not installed (Debian: graphviz); %s stays: dot %s -o %s %s renders it", who,
            beside, format, file, beside);
    else
        gr_log_write(GR_LOG_WARNING, "%s: dot failed; %s stays: dot %s -o %s %s says more%s%s", who, beside, format,
            file, beside, *output ? ": " : "", output);
    return GR_OK;
}
