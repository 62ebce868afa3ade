/* models/plot.c: curves of a history: through gnuplot into a file, and in characters on a terminal. See history.h.
 * The script that gnuplot gets is complete (the numbers are in it), so it can be kept and run by hand. */
#include "core/number.h"
#include "core/process.h"
#include "core/text.h"
#include "models/history.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- the script -------------------------------------------------------------------------------------------------- */

/* 'text' in gnuplot's single quotes: nothing but the quote itself is special there. */
static void put_quoted(gr__writer *t, const char *text)
{
    gr__put(t, "'");
    for (; *text; text++)
        gr__put(t, *text == '\'' ? "''" : (unsigned char)*text < ' ' ? " " : "%c", *text);
    gr__put(t, "'");
}

/* gnuplot's point types of the png, svg and pdf terminals */
static int point_type(const char *mark)
{
    static const struct {
        const char *name;
        int type;
    } marks[] = {{"circle", 7}, {"square", 5}, {"triangle", 9}, {"diamond", 13}, {"cross", 2}, {"none", -1}};
    for (size_t i = 0; mark && i < sizeof marks / sizeof *marks; i++)
        if (strcmp(marks[i].name, mark) == 0)
            return marks[i].type;
    return mark ? 0 : 7;
}

static const char *ending(const char *file)
{
    const char *dot = strrchr(file, '.');
    return dot && !strchr(dot, '/') ? dot + 1 : "";
}

static gr_status put_terminal(gr__writer *t, const gr_history_plot_opts *o, gr_at at)
{
    const char *end = ending(o->file);
    char wide[GR__NUMBER_TEXT], high[GR__NUMBER_TEXT];
    double w = o->inches[0] > 0 ? o->inches[0] : 8, h = o->inches[1] > 0 ? o->inches[1] : 6;
    if (!(w <= 100 && h <= 100))
        return gr_fail(GR_EARG, at, "history_plot: argument inches: expected at most 100 x 100, found %g x %g", w, h);
    if (strcmp(end, "png") == 0 || strcmp(end, "gp") == 0)
        gr__put(t, "set terminal pngcairo size %d,%d font 'sans,11' linewidth 1.5\n", (int)(w * 100), (int)(h * 100));
    else if (strcmp(end, "svg") == 0)
        gr__put(t, "set terminal svg size %d,%d font 'sans,13' background 'white'\n", (int)(w * 100), (int)(h * 100));
    else if (strcmp(end, "pdf") == 0)
        gr__put(t, "set terminal pdfcairo size %sin,%sin font 'sans,11'\n", gr__short_text(w, 6, wide),
            gr__short_text(h, 6, high));
    else
        return gr_fail(GR_EARG, at,
            "history_plot: argument file: expected a name that ends in .png, .svg, .pdf or .gp, found '%s'", o->file);
    return GR_OK;
}

static bool has_key(const gr_history *h, const char *key)
{
    for (int i = 0; i < gr_history_key_count(h); i++)
        if (strcmp(gr_history_key(h, i), key) == 0)
            return true;
    return false;
}

/* Curves to draw: the given ones, or loss and val_loss as far as the history has them. */
static int choose(const gr_history *h, const gr_history_plot_opts *o, gr_curve *curve)
{
    static const gr_curve usual[] = {{"loss", "Training Loss", "circle"}, {"val_loss", "Validation Loss", "square"}};
    int n = 0;
    for (; n < GR_MAX_CURVES && o->curves[n].key; n++)
        curve[n] = o->curves[n];
    for (int i = 0; !o->curves[0].key && i < 2; i++)
        if (has_key(h, usual[i].key))
            curve[n++] = usual[i];
    return n;
}

static gr_status put_script(gr__writer *t, const gr_history *h, const gr_history_plot_opts *o, gr_at at)
{
    gr_curve curve[GR_MAX_CURVES + 2];
    int n = choose(h, o, curve);
    if (n == 0)
        return gr_fail(
            GR_EARG, at, "history_plot: argument curves: expected at least one, and the history has no loss");
    GR_TRY(put_terminal(t, o, at));
    if (strcmp(ending(o->file), "gp") != 0) {
        gr__put(t, "set output ");
        put_quoted(t, o->file);
        gr__put(t, "\n");
    }
    gr__put(t, "set title ");
    put_quoted(t, o->title ? o->title : "Model Loss");
    gr__put(t, " noenhanced\nset xlabel ");
    put_quoted(t, o->x ? o->x : "Epoch");
    gr__put(t, " noenhanced\nset ylabel ");
    put_quoted(t, o->y ? o->y : "Loss");
    gr__put(t, " noenhanced\n%s\n%s\nset xtics %d\n", o->grid ? "set grid" : "unset grid",
        o->no_legend ? "unset key" : "set key top right noenhanced",
        gr_history_epochs(h) <= 20 ? 1 : gr_history_epochs(h) / 10);
    for (int i = 0; i < n; i++) {
        int count;
        char number[GR__NUMBER_TEXT];
        const double *v = gr_history_get(h, curve[i].key, &count);
        if (!v)
            return gr_error();
        gr__put(t, "$c%d << END\n", i);
        for (int k = 0; k < count; k++)
            gr__put(t, "%d %s\n", k + 1, isfinite(v[k]) ? gr__short_text(v[k], 9, number) : "NaN");
        gr__put(t, "END\n");
    }
    for (int i = 0; i < n; i++) {
        int type = point_type(curve[i].mark);
        if (type == 0)
            return gr_fail(GR_ENAME, at,
                "history_plot: argument mark: expected circle, square, triangle, diamond, cross or none, found '%s'",
                curve[i].mark);
        gr__put(t, i ? ", " : "plot ");
        gr__put(t,
            type < 0 ? "$c%d using 1:2 with lines lw 2 title "
                     : "$c%d using 1:2 with linespoints lw 2 ps 1 pt %d title ",
            i, type);
        put_quoted(t, curve[i].label ? curve[i].label : curve[i].key);
    }
    gr__put(t, "\n");
    return t->failed ? GR_EMEM : GR_OK;
}

/* The script beside the picture: loss.png -> loss.gp */
static gr_status keep_script(const char *script, const char *file, gr_at at, char *name, size_t size)
{
    size_t stem = strlen(file) - strlen(ending(file));
    snprintf(name, size, "%.*sgp", (int)stem, file);
    FILE *f = fopen(name, "w");
    bool good = f && fputs(script, f) >= 0;
    if (f && fclose(f) != 0)
        good = false;
    return good ? GR_OK : gr_fail(GR_EIO, at, "history_plot: argument file: %s cannot be written", name);
}

static gr_status render(const char *script, const gr_history_plot_opts *o, gr_at at)
{
    char name[4096];
    if (strcmp(ending(o->file), "gp") == 0)
        return keep_script(script, o->file, at, name, sizeof name);
    FILE *probe = fopen(o->file, "wb"); /* gnuplot's own message would come late and on its stderr */
    if (!probe)
        return gr_fail(GR_EIO, at, "history_plot: argument file: %s cannot be written", o->file);
    fclose(probe);
    if (!gr__program_find("gnuplot", name, sizeof name)) {
        remove(o->file);
        GR_TRY(keep_script(script, o->file, at, name, sizeof name));
        gr_log_write(GR_LOG_WARNING,
            "history_plot: gnuplot is not installed; the script is in %s, render it with: gnuplot %s", name, name);
        return GR_OK;
    }
    char said[512] = "";
    gr__process p = {.argv = (const char *const[]){"gnuplot", "-", NULL},
        .input = script,
        .input_bytes = (int64_t)strlen(script),
        .output = said,
        .output_size = sizeof said};
    GR_TRY(gr__process_run(&p));
    return p.exit_code == 0 ? GR_OK : gr_fail(GR_EIO, at, "history_plot: gnuplot failed: %s", said);
}

/* A window where there is a display; else the file's name is all there is to show. */
static void show(const char *file)
{
    char path[4096];
    const char *display = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    bool window =
        ((display && display[0]) || (wayland && wayland[0])) && gr__program_find("xdg-open", path, sizeof path);
    gr__process p = {.argv = (const char *const[]){"xdg-open", gr__program_path(file, path, sizeof path), NULL}};
    if (!window || gr__process_run(&p) != GR_OK || p.exit_code != 0)
        gr_log_write(GR_LOG_INFO, "%s", file);
}

gr_status gr_history_plot_at(gr_at at, const gr_history *h, const gr_history_plot_opts *o)
{
    if (!h || !o->file || !o->file[0])
        return gr_fail(
            GR_EARG, at, "history_plot: expected a history and a file name, found %s", h ? "no file name" : "NULL");
    if (gr_history_epochs(h) < 1)
        return gr_fail(GR_EARG, at, "history_plot: argument history: expected at least one epoch, found none");
    gr__writer t = {0};
    gr_status s = put_script(&t, h, o, at);
    if (s == GR_OK)
        s = render(t.text, o, at);
    gr_text_free(t.text);
    if (s == GR_OK && o->show)
        show(o->file);
    return s;
}

/* ---- in characters ----------------------------------------------------------------------------------------------- */

enum { ROWS = 12, MARGIN = 9, MAX_COLUMNS = 400 };

gr_status gr_history_print(const gr_history *h, FILE *f, int columns)
{
    static const char marks[] = "ox+*#@%&";
    gr_curve curve[GR_MAX_CURVES + 2];
    gr_history_plot_opts none = {.file = ""};
    GR_CHECK(h && f, GR_EARG, "history_print: expected a history and a stream, found NULL");
    int n = choose(h, &none, curve), epochs = gr_history_epochs(h), width = (columns > 20 ? columns : 72) - MARGIN;
    width = width < MAX_COLUMNS ? width : MAX_COLUMNS;
    double lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < n; i++) {
        int count;
        const double *v = gr_history_get(h, curve[i].key, &count);
        for (int k = 0; k < count; k++)
            if (isfinite(v[k])) {
                lo = fmin(lo, v[k]);
                hi = fmax(hi, v[k]);
            }
    }
    if (n == 0 || !(lo <= hi))
        return GR_OK; /* nothing to draw */
    if (hi - lo < 1e-12)
        hi = lo + 1e-12;
    char grid[ROWS][MAX_COLUMNS + 1];
    for (int r = 0; r < ROWS; r++) {
        memset(grid[r], ' ', (size_t)width);
        grid[r][width] = '\0';
    }
    for (int i = 0; i < n; i++) {
        int count;
        const double *v = gr_history_get(h, curve[i].key, &count);
        for (int k = 0; k < count; k++)
            if (isfinite(v[k])) {
                int c = epochs > 1 ? (int)lround((double)k * (width - 1) / (epochs - 1)) : 0;
                int r = (int)lround((hi - v[k]) / (hi - lo) * (ROWS - 1));
                grid[r][c] = marks[i];
            }
    }
    for (int r = 0; r < ROWS; r++)
        if (r % (ROWS - 1) == 0 || r == ROWS / 2)
            fprintf(f, "%8.4f |%s\n", hi - (hi - lo) * r / (ROWS - 1), grid[r]);
        else
            fprintf(f, "%8s |%s\n", "", grid[r]);
    fprintf(f, "%8s +", "");
    for (int c = 0; c < width; c++)
        fputc('-', f);
    fprintf(f, "\n%8s  epoch 1 .. %d", "", epochs);
    for (int i = 0; i < n; i++)
        fprintf(f, "   %c %s", marks[i], curve[i].label ? curve[i].label : curve[i].key);
    fputc('\n', f);
    return GR_OK;
}
