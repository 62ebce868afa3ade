/* models/progress.c: what a fit shows: Keras's bar on a terminal, a line per epoch elsewhere. Written to the log hook.
 *
 *     422/422 ━━━━━━━━━━━━━━━━━━━━ 3s 6ms/step - accuracy: 0.9407
 * 0.0904 */
#include "models/model_impl.h"
#include "models/terminal_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    double begin, first_end, last_draw, last_beat;
    bool bar, colour, utf8;
    int width; /* columns drawn by the line that is on the screen */
} progress;

enum { CELLS = 20 };

static gr_status begin(gr_run *r)
{
    progress *p = gr_run_state(r);
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    p->bar = r->verbose == GR_VERBOSE_BAR || (r->verbose == GR_VERBOSE_AUTO && terminal);
    p->colour = gr__terminal_colour(terminal) && p->bar;
    p->utf8 = gr__terminal_utf8();
    return GR_OK;
}

static gr_status epoch_begin(gr_run *r)
{
    progress *p = gr_run_state(r);
    p->begin = p->last_beat = gr__now();
    p->first_end = 0;
    p->last_draw = 0;
    p->width = 0;
    if (r->epochs > 1)
        gr_log_write(GR_LOG_INFO, "Epoch %d/%d", r->epoch + 1, r->epochs);
    return GR_OK;
}

/* "5s", "1:05", "1:01:05" */
static void put_time(char *buf, size_t size, double s)
{
    long t = (long)s;
    if (t >= 3600)
        snprintf(buf, size, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else if (t >= 60)
        snprintf(buf, size, "%ld:%02ld", t / 60, t % 60);
    else
        snprintf(buf, size, "%ds", (int)s);
}

static void put_step(char *buf, size_t size, double s)
{
    if (s >= 1 || s <= 0)
        snprintf(buf, size, "%.0fs/step", s);
    else if (s >= 1e-3)
        snprintf(buf, size, "%.0fms/step", s * 1e3);
    else
        snprintf(buf, size, "%.0fus/step", s * 1e6);
}

static size_t put_logs(const gr_run *r, char *buf, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < r->n_logs && n + 80 < size; i++) {
        double v = r->log[i].value;
        int k = snprintf(buf + n, size - n, fabs(v) > 1e-3 || v == 0 ? " - %s: %.4f" : " - %s: %.4e", r->log[i].key, v);
        n += k > 0 ? (size_t)k : 0;
    }
    return n;
}

static void put_bar(const progress *p, char *buf, size_t size, int filled)
{
    size_t n = 0;
    const char *cell = p->utf8 ? "\xe2\x94\x81" : "=", *rest = p->utf8 ? cell : ".";
    if (p->colour)
        n += (size_t)snprintf(buf + n, size - n, "\x1b[32m");
    for (int i = 0; i < CELLS; i++) {
        if (p->colour && i == filled)
            n += (size_t)snprintf(buf + n, size - n, "\x1b[0m\x1b[37m");
        n += (size_t)snprintf(buf + n, size - n, "%s", i < filled ? cell : rest);
    }
    if (p->colour)
        snprintf(buf + n, size - n, "\x1b[0m");
}

/* Columns of a line: UTF-8 continuation bytes and escape sequences take none. */
static int columns(const char *s)
{
    int n = 0;
    for (; *s; s++) {
        if (*s == '\x1b')
            while (*s && *s != 'm')
                s++;
        else if (((unsigned char)*s & 0xc0) != 0x80)
            n++;
    }
    return n;
}

static void draw(gr_run *r, progress *p, int64_t done, double now, bool final)
{
    char line[2048], bar[256], when[32], step[32], logs[1200] = "";
    int digits = snprintf(NULL, 0, "%lld", (long long)r->steps);
    double per = done > 1 && p->first_end > 0 ? (now - p->first_end) / (double)(done - 1)
                                              : (now - p->begin) / (double)(done ? done : 1);
    put_bar(p, bar, sizeof bar, (int)(CELLS * done / (r->steps ? r->steps : 1)));
    put_time(when, sizeof when, final ? now - p->begin : per * (double)(r->steps - done));
    put_step(step, sizeof step, per);
    put_logs(r, logs, sizeof logs);
    const char *bold = p->colour ? "\x1b[1m" : "", *plain = p->colour ? "\x1b[0m" : "";
    snprintf(line, sizeof line, "%s%*lld/%lld%s %s %s%s%s %s%s", bold, digits, (long long)done, (long long)r->steps,
        plain, bar, bold, when, plain, step, logs);
    int width = columns(line), pad = p->width > width ? p->width - width : 0;
    gr_log_write(GR_LOG_PROGRESS, "\r%s%*s%s", line, pad, "", final ? "\n" : "");
    p->width = width;
    p->last_draw = now;
}

static gr_status batch_end(gr_run *r)
{
    progress *p = gr_run_state(r);
    double now = gr__now();
    if (r->batch == 0)
        p->first_end = now;
    if (p->bar && now - p->last_draw > 0.05) {
        draw(r, p, r->batch + 1, now, false);
    } else if (!p->bar && now - p->last_beat > 30) { /* a sign of life in a log file */
        char logs[1200] = "";
        put_logs(r, logs, sizeof logs);
        gr_log_write(GR_LOG_INFO, "%lld/%lld%s", (long long)r->batch + 1, (long long)r->steps, logs);
        p->last_beat = now;
    }
    return GR_OK;
}

static gr_status epoch_end(gr_run *r)
{
    progress *p = gr_run_state(r);
    if (p->bar) {
        draw(r, p, r->steps, gr__now(), true);
        return GR_OK;
    }
    char logs[1200] = "", when[32], step[32];
    put_time(when, sizeof when, gr__now() - p->begin);
    put_step(step, sizeof step, r->train_seconds / (double)(r->steps ? r->steps : 1));
    put_logs(r, logs, sizeof logs);
    gr_log_write(GR_LOG_INFO, "%lld/%lld - %s - %s%s", (long long)r->steps, (long long)r->steps, when, step, logs);
    return GR_OK;
}

/* An evaluation of its own shows a bar too; the one inside a fit is silent. */
static gr_status test_begin(gr_run *r)
{
    progress *p = gr_run_state(r);
    if (r->training)
        return GR_OK;
    GR_TRY(begin(r));
    p->begin = p->last_beat = gr__now();
    return GR_OK;
}
static gr_status test_batch_end(gr_run *r)
{
    return r->training ? GR_OK : batch_end(r);
}
static gr_status test_end(gr_run *r)
{
    progress *p = gr_run_state(r);
    r->train_seconds = gr__now() - p->begin;
    return r->training ? GR_OK : epoch_end(r);
}

const gr_callback_kind gr__Progress_kind = {.name = "Progress",
    .size = sizeof(gr_callback),
    .family = "callback",
    .state_size = sizeof(progress),
    .on_train_begin = begin,
    .on_epoch_begin = epoch_begin,
    .on_train_batch_end = batch_end,
    .on_epoch_end = epoch_end,
    .on_test_begin = test_begin,
    .on_test_batch_end = test_batch_end,
    .on_test_end = test_end};
