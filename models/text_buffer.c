/* models/text_buffer.c: see text_impl.h. */
#include "core/mem.h"
#include "models/text_impl.h"

void gr__text_add(gr__text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = t->failed ? -1 : vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return;
    if (t->n + n + 1 > t->cap) {
        int64_t cap = t->cap ? t->cap : 1024;
        while (cap < t->n + n + 1)
            cap *= 2;
        char *more = gr__resize(t->text, cap, 1);
        if (!more) {
            t->failed = true;
            return;
        }
        t->text = more;
        t->cap = cap;
    }
    va_start(args, format);
    vsnprintf(t->text + t->n, (size_t)(t->cap - t->n), format, args);
    va_end(args);
    t->n += n;
}

void gr__text_free(gr__text *t)
{
    gr__free(t->text);
    *t = (gr__text){0};
}
