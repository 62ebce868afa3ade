/* core/text_read.c: the words, numbers and types of a graph's text. See text_impl.h. */
#include "core/text_impl.h"
#include "core/number.h"
#include <string.h>

/* ---- words ------------------------------------------------------------------------------------------------------- */

gr_status gr__read_fail(const gr__reader *r, gr_status status, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return gr_fail(status, (gr_at){0}, "tape_parse: line %lld, column %lld: %s", (long long)r->line,
        (long long)(r->p - r->line_start) + 1, text);
}

/* What stands at the cursor, for messages. */
const char *gr__read_found(const gr__reader *r, char buf[40])
{
    int n = 0;
    while (n < 20 && r->p[n] && r->p[n] != '\n')
        n++;
    if (n == 0)
        return r->p[0] ? "the end of the line" : "the end of the text";
    buf[0] = '\'';
    for (int i = 0; i < n; i++)
        buf[i + 1] = (unsigned char)r->p[i] < 0x20 ? '?' : r->p[i];
    memcpy(buf + n + 1, "'", 2);
    return buf;
}

void gr__read_skip_blanks(gr__reader *r)
{
    while (*r->p == ' ' || *r->p == '\t' || *r->p == '\r')
        r->p++;
    if (*r->p == '#')
        while (*r->p && *r->p != '\n')
            r->p++;
}

void gr__read_skip_lines(gr__reader *r)
{
    for (gr__read_skip_blanks(r); *r->p == '\n'; gr__read_skip_blanks(r)) {
        r->line_start = ++r->p;
        r->line++;
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_.-/", c));
}

bool gr__read_at_char(gr__reader *r, char c)
{
    gr__read_skip_blanks(r);
    return *r->p == c;
}

bool gr__read_take(gr__reader *r, char c)
{
    if (!gr__read_at_char(r, c))
        return false;
    r->p++;
    return true;
}

gr_status gr__read_expect(gr__reader *r, char c)
{
    char buf[40];
    return gr__read_take(r, c) ? GR_OK
                               : gr__read_fail(r, GR_EFORMAT, "expected '%c', found %s", c, gr__read_found(r, buf));
}

/* The keyword at the cursor? It is taken if it is. */
bool gr__read_take_word(gr__reader *r, const char *word)
{
    gr__read_skip_blanks(r);
    size_t n = strlen(word);
    if (strncmp(r->p, word, n) != 0 || is_word(r->p[n]))
        return false;
    r->p += n;
    return true;
}

int gr__read_hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

gr_status gr__read_name(gr__reader *r, char *out, int64_t size, int64_t *length)
{
    char buf[40];
    int64_t n = 0;
    gr__read_skip_blanks(r);
    bool quoted = *r->p == '"';
    if (!quoted && !is_word(*r->p))
        return gr__read_fail(r, GR_EFORMAT, "expected a name, found %s", gr__read_found(r, buf));
    for (r->p += quoted; quoted ? *r->p != '"' : is_word(*r->p); n++) {
        if (n + 1 >= size)
            return gr__read_fail(r, GR_EFORMAT, "expected a name of at most %lld bytes", (long long)size - 1);
        if (!*r->p || *r->p == '\n')
            return gr__read_fail(
                r, GR_EFORMAT, "expected '\"' at the end of the name, found %s", gr__read_found(r, buf));
        if (!quoted || *r->p != '\\') {
            out[n] = *r->p == '/' && length ? '\0' : *r->p;
            r->p++;
            continue;
        }
        r->p++;
        if (*r->p == 'x' && gr__read_hex(r->p[1]) >= 0 && gr__read_hex(r->p[2]) >= 0 &&
            (r->p[1] != '0' || r->p[2] != '0')) {
            out[n] = (char)(gr__read_hex(r->p[1]) * 16 + gr__read_hex(r->p[2]));
            r->p += 3;
        } else if (*r->p == '"' || *r->p == '\\' || *r->p == '/') {
            out[n] = *r->p++;
        } else {
            return gr__read_fail(r, GR_EFORMAT, "expected \\\", \\\\, \\/ or \\x and two hexadecimal digits, found %s",
                gr__read_found(r, buf));
        }
    }
    r->p += quoted;
    out[n] = '\0';
    if (length)
        *length = n;
    return GR_OK;
}

/* An integer low .. high. */
gr_status gr__read_integer(gr__reader *r, int64_t low, int64_t high, int64_t *out)
{
    char buf[40];
    const char *end;
    gr__read_skip_blanks(r);
    if (!gr__int_parse(r->p, &end, out) || *out < low || *out > high)
        return gr__read_fail(r, GR_EFORMAT, "expected a number %lld .. %lld, found %s", (long long)low, (long long)high,
            gr__read_found(r, buf));
    r->p = end;
    return GR_OK;
}

/* ---- types, values, references ----------------------------------------------------------------------------------- */

gr_status gr__read_type(gr__reader *r, gr_dtype *dtype, gr_shape *shape)
{
    char word[32], buf[40];
    *shape = GR_RANK0;
    GR_TRY(gr__read_name(r, word, sizeof word, NULL));
    if ((*dtype = gr_dtype_named(word)) == GR_DTYPE_NONE)
        return gr__read_fail(
            r, GR_EFORMAT, "expected a dtype (float32, float64, int32, int64, uint8, bool), found '%s'", word);
    GR_TRY(gr__read_expect(r, '['));
    while (!gr__read_take(r, ']')) {
        int64_t n = 1;
        if (shape->rank == GR_MAX_RANK)
            return gr__read_fail(r, GR_EFORMAT, "expected at most %d dimensions", GR_MAX_RANK);
        if (shape->rank > 0)
            GR_TRY(gr__read_expect(r, ','));
        if (!gr__read_at_char(r, 'B'))
            GR_TRY(gr__read_integer(r, 0, INT64_MAX, &n));
        bool batch = *r->p == 'B';
        if (batch && (n < 1 || n >= INT64_C(1) << 31))
            return gr__read_fail(r, GR_EFORMAT, "expected B or a multiple of it, found %s", gr__read_found(r, buf));
        r->p += batch;
        shape->dim[shape->rank++] = batch ? gr_dim_batch(n) : n;
    }
    gr_shape probe;
    if (!gr_shape_bind(*shape, 1, &probe) || gr_shape_size(probe) < 0)
        return gr__read_fail(r, GR_EFORMAT, "expected a shape that fits in memory");
    return GR_OK;
}

static gr_status bits(gr__reader *r, int digits, uint64_t *out)
{
    char buf[40];
    *out = 0;
    r->p += 2;
    for (int i = 0; i < digits; i++, r->p++) {
        if (gr__read_hex(*r->p) < 0)
            return gr__read_fail(
                r, GR_EFORMAT, "expected %d hexadecimal digits after 0x, found %s", digits, gr__read_found(r, buf));
        *out = *out * 16 + (uint64_t)gr__read_hex(*r->p);
    }
    return GR_OK;
}

gr_status gr__read_number(gr__reader *r, gr_dtype t, void *data, int64_t i)
{
    char buf[40];
    const char *end = r->p;
    uint64_t u;
    int64_t n = 0;
    gr__read_skip_blanks(r);
    if (gr_dtype_is_float(t) && r->p[0] == '0' && r->p[1] == 'x') {
        GR_TRY(bits(r, t == GR_F32 ? 8 : 16, &u));
        uint32_t half = (uint32_t)u;
        memcpy((char *)data + i * gr_dtype_size(t), t == GR_F32 ? (const void *)&half : &u, (size_t)gr_dtype_size(t));
        return GR_OK;
    }
    if (gr_dtype_is_float(t)) {
        bool good = t == GR_F32 ? gr__float_parse(r->p, &end, (float *)data + i)
                                : gr__double_parse(r->p, &end, (double *)data + i);
        if (!good)
            return gr__read_fail(r, GR_EFORMAT, "expected a number, found %s", gr__read_found(r, buf));
        r->p = end;
        return GR_OK;
    }
    int64_t low = t == GR_I32 ? INT32_MIN : t == GR_I64 ? INT64_MIN : 0;
    int64_t high = t == GR_I32 ? INT32_MAX : t == GR_I64 ? INT64_MAX : t == GR_BOOL ? 1 : 255;
    GR_TRY(gr__read_integer(r, low, high, &n));
    if (t == GR_I32)
        ((int32_t *)data)[i] = (int32_t)n;
    else if (t == GR_I64)
        ((int64_t *)data)[i] = n;
    else
        ((uint8_t *)data)[i] = (uint8_t)n;
    return GR_OK;
}

/* The raw text of a value: up to , or } outside of brackets and quotes. */
gr_status gr__read_value_text(gr__reader *r, char *out, int64_t size)
{
    int depth = 0;
    int64_t n = 0;
    gr__read_skip_blanks(r);
    for (bool quoted = false; *r->p && *r->p != '\n'; r->p++) {
        char c = *r->p;
        if (!quoted && depth == 0 && (c == ',' || c == '}'))
            break;
        quoted = c == '"' ? !quoted : quoted;
        depth += quoted ? 0 : (c == '[' || c == '(') - (c == ']' || c == ')');
        if (n + 2 >= size)
            return gr__read_fail(r, GR_EFORMAT, "expected a value of at most %lld bytes", (long long)size - 2);
        out[n++] = c;
        if (quoted && c == '\\' && r->p[1] && r->p[1] != '\n')
            out[n++] = *++r->p;
    }
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
    return GR_OK;
}
