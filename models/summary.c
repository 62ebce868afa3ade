/* models/summary.c: the table of a model, in Keras's layout. Lines of ASCII where the terminal is not UTF-8. */
#include "models/model_impl.h"
#include "models/terminal_impl.h"
#include <string.h>

/* Inner widths of the columns of Keras's 88-column table. */
static const int widths[] = {38, 29, 17};
enum { COLUMNS = 3 };

typedef struct {
    FILE *f;
    bool utf8;
} table;

/* A line of the frame: left end, fill, joint, right end. */
static void rule(const table *t, const char *left, const char *fill, const char *joint, const char *right)
{
    fputs(t->utf8 ? left : "+", t->f);
    for (int c = 0; c < COLUMNS; c++) {
        for (int i = 0; i < widths[c]; i++)
            fputs(t->utf8 ? fill : "-", t->f);
        fputs(!t->utf8 ? "+" : c < COLUMNS - 1 ? joint : right, t->f);
    }
    fputc('\n', t->f);
}

static void cells(const table *t, const char *bar, const char *const text[COLUMNS])
{
    fputs(t->utf8 ? bar : "|", t->f);
    for (int c = 0; c < COLUMNS; c++) {
        int room = widths[c] - 2;
        fprintf(t->f, c == COLUMNS - 1 ? " %*.*s %s" : " %-*.*s %s", room, room, text[c], t->utf8 ? bar : "|");
    }
    fputc('\n', t->f);
}

/* 401920 -> "401,920" */
static const char *thousands(int64_t n, char *buf, size_t size)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < len && at + 2 < (int)size; i++) {
        if (i && (len - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}

/* (None, 512) */
static const char *keras_shape(gr_shape s, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "(");
    for (int64_t i = 0; i < s.rank && n + 24 < size; i++) {
        const char *comma = i ? ", " : "";
        if (!gr_dim_is_batch(s.dim[i]))
            n += (size_t)snprintf(buf + n, size - n, "%s%lld", comma, (long long)s.dim[i]);
        else if (gr_dim_times(s.dim[i]) == 1)
            n += (size_t)snprintf(buf + n, size - n, "%sNone", comma);
        else
            n += (size_t)snprintf(buf + n, size - n, "%s%lld*None", comma, (long long)gr_dim_times(s.dim[i]));
    }
    snprintf(buf + n, size - n, ")");
    return buf;
}

static void layer_row(const table *t, const char *name, const char *kind, const char *shape, int64_t params)
{
    char first[128], second[128] = "", count[40];
    int room = widths[0] - 2;
    if (snprintf(first, sizeof first, "%s (%s)", name, kind) > room) { /* too wide: the class on a line of its own */
        snprintf(first, sizeof first, "%s", name);
        snprintf(second, sizeof second, "(%s)", kind);
    }
    cells(t, "\xe2\x94\x82", (const char *const[]){first, shape, thousands(params, count, sizeof count)});
    if (second[0])
        cells(t, "\xe2\x94\x82", (const char *const[]){second, "", ""});
}

static void total(FILE *f, const char *what, int64_t params, int64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB"};
    char count[40];
    double size = (double)bytes;
    int u = 0;
    for (; size >= 1024 && u < 3; u++)
        size /= 1024;
    fprintf(f, " %s: %s (%.2f %s)\n", what, thousands(params, count, sizeof count), size, units[u]);
}

gr_status gr_summary(const gr_model *m, FILE *f)
{
    GR_CHECK(m && f, GR_EARG, "summary: expected a model and a stream, found NULL");
    table t = {f, gr__terminal_utf8()};
    char shape[200];
    fprintf(f, "Model: \"%s\"\n", m->name);
    rule(&t, "\xe2\x94\x8f", "\xe2\x94\x81", "\xe2\x94\xb3", "\xe2\x94\x93");
    cells(&t, "\xe2\x94\x83", (const char *const[]){"Layer (type)", "Output Shape", "Param #"});
    rule(&t, "\xe2\x94\xa1", "\xe2\x94\x81", "\xe2\x95\x87", "\xe2\x94\xa9");
    for (int i = 0; i < m->n_layers; i++) {
        const gr__layer_info *l = &m->layers[i];
        layer_row(&t, l->name, l->kind, keras_shape(l->output, shape, sizeof shape), l->params);
        if (i + 1 < m->n_layers)
            rule(&t, "\xe2\x94\x9c", "\xe2\x94\x80", "\xe2\x94\xbc", "\xe2\x94\xa4");
    }
    if (!m->n_layers)
        layer_row(&t, m->name, m->layer->kind->name, keras_shape(m->output_shape[0], shape, sizeof shape),
            gr_model_params(m, NULL));
    rule(&t, "\xe2\x94\x94", "\xe2\x94\x80", "\xe2\x94\xb4", "\xe2\x94\x98");
    int64_t trainable, params = gr_model_params(m, &trainable), size = gr_dtype_size(m->store.dtype), slots = 0,
                       slot_bytes = 0;
    for (int i = 0; m->optim && i < gr__optim_count(m->optim) && gr__optim_count(m->optim) > 2; i++) {
        const gr_variable *v = gr__optim_at(m->optim, i);
        slots += gr_shape_size(gr_variable_shape(v));
        slot_bytes += gr_shape_size(gr_variable_shape(v)) * gr_dtype_size(gr_variable_dtype(v));
    }
    total(f, "Total params", params + slots, params * size + slot_bytes);
    total(f, "Trainable params", trainable, trainable * size);
    total(f, "Non-trainable params", params - trainable, (params - trainable) * size);
    if (slots)
        total(f, "Optimizer params", slots, slot_bytes);
    return ferror(f) ? gr_fail(GR_EIO, (gr_at){0}, "summary: the stream could not be written") : GR_OK;
}
