/* compiler/trace.c: a run as a trace, for chrome://tracing and ui.perfetto.dev. Times are microseconds from the start
 * of the run, written by hand so that no locale puts a comma into them. */
#include "compiler/profile.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static void put_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++)
        if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20)
            fprintf(f, "\\u%04x", (unsigned)(unsigned char)*s);
        else
            fputc(*s, f);
    fputc('"', f);
}

static void put_us(FILE *f, const char *key, double ns)
{
    long long n = ns > 0 ? (long long)ns : 0;
    fprintf(f, ", \"%s\": %lld.%03lld", key, n / 1000, n % 1000);
}

static void put_names(FILE *f, const gr__plan *p, const char *name, int process)
{
    char title[200];
    snprintf(title, sizeof title, "%s, B = %lld", name, (long long)p->batch);
    fprintf(f, "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %d, \"args\": {\"name\": ", process);
    put_text(f, title);
    fprintf(f, "}}");
    for (int t = 0; t < p->threads; t++)
        fprintf(f,
            ",\n{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %d, \"tid\": %d, \"args\": {\"name\": \"thread "
            "%d\"}}",
            process, t, t);
}

static void put_slices(FILE *f, const gr__profile *of, const gr__plan *p, int process)
{
    for (int ph = 0; ph < p->n_phases; ph++)
        for (int i = 0; i < p->job[ph].share[p->threads]; i++) {
            const gr__part *part = &p->part[p->phase[ph].first_part + i];
            const gr__slice *s = &of->best_slice[p->phase[ph].first_part + i];
            fprintf(f, ",\n{\"ph\": \"X\", \"pid\": %d, \"tid\": %d, \"name\": ", process, s->thread);
            put_text(f, p->step[part->step].name);
            put_us(f, "ts", s->start - of->best_start);
            put_us(f, "dur", s->end - s->start);
            fprintf(f, ", \"args\": {\"phase\": %d, \"step\": %d, \"tasks\": \"%lld to %lld of %lld\"}}", ph,
                part->step, (long long)part->begin, (long long)part->end, (long long)p->step[part->step].tasks);
        }
}

gr_status gr__trace_save(const gr__profile *of, const gr__plan *p, const char *name, const char *file)
{
    static _Atomic int processes;
    const int process = atomic_fetch_add(&processes, 1);
    FILE *f = fopen(file, process ? "r+" : "w");
    if (f && process && fseek(f, -2, SEEK_END) == 0) /* before the closing bracket */
        fprintf(f, ",\n");
    else if (f)
        fprintf(f, "[");
    GR_CHECK(f, GR_EIO, "GRAPE_PROFILE: %s: %s", file, strerror(errno));
    put_names(f, p, name, process);
    put_slices(f, of, p, process);
    fprintf(f, "\n]");
    bool bad = ferror(f);
    GR_CHECK(fclose(f) == 0 && !bad, GR_EIO, "GRAPE_PROFILE: %s: %s", file, strerror(errno));
    return GR_OK;
}
