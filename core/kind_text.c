/* core/kind_text.c: specs and fields as text, both ways: "Huber(delta=0.5)". See kind.h; values and checks:
 * core/kind.c.
 *
 *     spec   = name [ "(" [ option { "," option } ] ")" ]
 *     option = [ name "=" ] value          without a name: the next field of the table
 *     value  = a text without , ( ) [ ] " outside of brackets that close, or "a quoted \"text\"" */
#include "core/kind_impl.h"
#include "core/mem.h"
#include "core/number.h"
#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

/* A text that grows in a buffer of fixed size, and is cut where it ends. */
typedef struct {
    char *buf;
    size_t size, used;
} writer;

static void put(writer *w, const char *s, size_t n)
{
    for (size_t i = 0; i < n && w->used + 1 < w->size; i++)
        w->buf[w->used++] = s[i];
    if (w->size)
        w->buf[w->used] = '\0';
}
static void puts_to(writer *w, const char *s)
{
    put(w, s, strlen(s));
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Keras's to_snake_case: what is no word goes; "_" before a capital that a small letter follows (unless it is the
 * first), then between a small letter and a capital; all small. */
const char *gr_snake_case(const char *name, char *buf, size_t size)
{
    char word[256], cut[512];
    size_t n = 0, m = 0;
    for (; *name && n + 1 < sizeof word; name++)
        if (is_word(*name))
            word[n++] = *name;
    word[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        cut[m++] = word[i];
        if (!isupper((unsigned char)word[i + 1]) || !islower((unsigned char)word[i + 2 <= n ? i + 2 : n]))
            continue;
        cut[m++] = '_';
        cut[m++] = word[++i];
        while (islower((unsigned char)word[i + 1]))
            cut[m++] = word[++i];
    }
    writer w = {buf, size, 0};
    put(&w, "", 0);
    for (size_t i = 0; i < m; i++) {
        char c = (char)tolower((unsigned char)cut[i]);
        put(&w, &c, 1);
        if (islower((unsigned char)cut[i]) && i + 1 < m && isupper((unsigned char)cut[i + 1]))
            puts_to(&w, "_");
    }
    return buf;
}

/* Edits (insert, drop, change, in either case of letters) from one name to another. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 48 };
    size_t n = strlen(a), m = strlen(b);
    int row[LONGEST + 1];
    if (n > LONGEST || m > LONGEST)
        return INT_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int change = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            int other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < other ? change : other;
        }
    }
    return row[m];
}

const char *gr__nearest(const char *name, const char *const *known, int n, char *buf, size_t size)
{
    int best = INT_MAX, at = 0;
    for (int i = 0; i < n; i++) {
        int d = distance(name, known[i]);
        if (d < best) {
            best = d;
            at = i;
        }
    }
    buf[0] = '\0';
    if (best <= 2 || best <= (int)strlen(name) / 3)
        snprintf(buf, size, " (did you mean %s?)", known[at]);
    return buf;
}

/* ---- a field as text --------------------------------------------------------------------------------------------- */

static bool is_plain(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!is_word(*p) && !strchr(".:/+-", *p))
            return false;
    return *s && strcmp(s, "null") != 0;
}

static void put_string(writer *w, const char *s)
{
    if (!s || is_plain(s)) {
        puts_to(w, s ? s : "null");
        return;
    }
    puts_to(w, "\"");
    for (; *s; s++) {
        char code[8];
        if (*s == '"' || *s == '\\')
            puts_to(w, "\\");
        if (*s == '\n')
            puts_to(w, "\\n");
        else if ((unsigned char)*s < 0x20)
            snprintf(code, sizeof code, "\\x%02x", (unsigned char)*s), puts_to(w, code);
        else
            put(w, s, 1);
    }
    puts_to(w, "\"");
}

const char *gr_field_text(const gr_field *f, const void *base, char *buf, size_t size)
{
    const char *p = (const char *)base + f->offset;
    writer w = {buf, size, 0};
    char number[GR__NUMBER_TEXT], code = 0;
    put(&w, &code, 0);
    double x = gr__field_number(f, base);
    switch (f->type) {
    case GR_FIELD_INT:
    case GR_FIELD_INT64:
        snprintf(
            buf, size, "%lld", f->type == GR_FIELD_INT ? (long long)x : (long long)*(const int64_t *)(const void *)p);
        break;
    case GR_FIELD_FLOAT:
        puts_to(&w, gr__float_text(*(const float *)(const void *)p, number));
        break;
    case GR_FIELD_DOUBLE:
        puts_to(&w, gr__double_text(x, number));
        break;
    case GR_FIELD_BOOL:
        puts_to(&w, x != 0 ? "true" : "false");
        break;
    case GR_FIELD_STRING:
        put_string(&w, gr__field_pointer(f, base));
        break;
    case GR_FIELD_SHAPE:
        gr_shape_text(*(const gr_shape *)(const void *)p, buf, size);
        break;
    case GR_FIELD_DTYPE:
        puts_to(&w, gr_dtype_name((gr_dtype)(int)x));
        break;
    case GR_FIELD_ENUM: {
        int i = 0;
        while (f->choices && f->choices[i] && i < (int)x)
            i++;
        bool named = f->choices && f->choices[i] && i == (int)x;
        snprintf(number, sizeof number, "%d", (int)x);
        puts_to(&w, named ? f->choices[i] : number);
        break;
    }
    case GR_FIELD_SPEC:
        if (gr__field_pointer(f, base))
            gr_spec_text(gr__field_pointer(f, base), buf, size);
        else
            puts_to(&w, "null");
        break;
    default:
        puts_to(&w, gr__field_pointer(f, base) ? "pointer" : "null");
    }
    return buf;
}

const char *gr_spec_text(const void *spec, char *buf, size_t size)
{
    gr_at at;
    const gr_kind *kind = gr__kind_of(spec, &at);
    writer w = {buf, size, 0};
    put(&w, "", 0);
    if (!kind)
        return buf;
    puts_to(&w, kind->name);
    bool open = false;
    for (const gr_field *f = kind->fields; f && f->name; f++) {
        if (gr__field_is_default(f, spec))
            continue;
        puts_to(&w, open ? ", " : "(");
        puts_to(&w, f->name);
        puts_to(&w, "=");
        if (w.used + 1 < size)
            gr_field_text(f, spec, buf + w.used, size - w.used);
        w.used += size ? strlen(buf + w.used) : 0;
        open = true;
    }
    puts_to(&w, open ? ")" : "");
    return buf;
}

/* ---- a field from text ------------------------------------------------------------------------------------------- */

static const char *skip(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* "[2, B, 3B]", "(2, 3)", "2, 3" or "2" */
static bool parse_shape(const char *text, gr_shape *out)
{
    gr_shape s = {0};
    const char *p = skip(text);
    char close = *p == '[' ? ']' : *p == '(' ? ')' : '\0';
    p = skip(p + (close != '\0'));
    while (*p != close) {
        int64_t n = 1;
        bool number = gr__int_parse(p, &p, &n), batch = *p == 'B';
        if ((!number && !batch) || s.rank == GR_MAX_RANK || (batch && (n < 1 || n > INT64_C(1) << 31)))
            return false;
        s.dim[s.rank++] = batch ? gr_dim_batch(n) : n;
        p = skip(p + batch);
        if (*p == ',')
            p = skip(p + 1);
        else if (*p != close)
            return false;
    }
    if (close && *skip(p + 1) != '\0')
        return false;
    *out = s;
    return close || s.rank > 0;
}

static gr_status fail_text(const gr_field *f, const char *expected, const char *text)
{
    return gr_fail(GR_EARG, (gr_at){0}, "argument %s: expected %s, found \"%s\"", f->name, expected, text);
}

/* A quoted text without its quotes, a plain one as it is; NULL when out of memory or badly quoted. */
static char *unquote(const gr_field *f, const char *text)
{
    size_t n = strlen(text);
    char *out = gr__alloc((int64_t)n + 1, 1), *w = out;
    if (!out)
        return NULL;
    if (*text != '"')
        return memcpy(out, text, n + 1);
    const char *p = text + 1;
    for (; *p && *p != '"'; p++) {
        unsigned code;
        if (*p != '\\') {
            *w++ = *p;
        } else if (*++p == 'n') {
            *w++ = '\n';
        } else if (*p == 'x' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) &&
                   sscanf(p + 1, "%2x", &code) == 1 && code != 0) {
            *w++ = (char)code;
            p += 2;
        } else if (*p) {
            *w++ = *p;
        } else {
            break;
        }
    }
    if (p[0] == '"' && p[1] == '\0')
        return out;
    gr__free(out);
    fail_text(f, "a text that ends with its quote", text);
    return NULL;
}

static bool parse_number(const gr_field *f, void *base, const char *text)
{
    void *p = (char *)base + f->offset;
    int64_t n;
    switch (f->type) {
    case GR_FIELD_INT:
        if (!gr__int_parse(text, NULL, &n) || n < INT_MIN || n > INT_MAX)
            return false;
        *(int *)p = (int)n;
        return true;
    case GR_FIELD_INT64:
        return gr__int_parse(text, NULL, p);
    case GR_FIELD_FLOAT:
        return gr__float_parse(text, NULL, p);
    default:
        return gr__double_parse(text, NULL, p);
    }
}

static gr_status parse_choice(const gr_field *f, void *base, const char *text)
{
    char list[400] = "", near[80];
    writer w = {list, sizeof list, 0};
    int n = 0;
    for (; f->choices && f->choices[n]; n++) {
        if (strcmp(f->choices[n], text) == 0) {
            gr__field_set_number(f, base, n);
            return GR_OK;
        }
        puts_to(&w, n ? ", " : "");
        puts_to(&w, f->choices[n]);
    }
    return gr_fail(GR_ENAME, (gr_at){0}, "argument %s: unknown name \"%s\"%s; known ones are %s", f->name, text,
        gr__nearest(text, f->choices, n, near, sizeof near), list);
}

gr_status gr_field_parse(const gr_field *f, void *base, const char *text, char **owned_string)
{
    if (!f || !base || !text)
        return gr_fail(GR_EARG, (gr_at){0}, "field: expected a field, its struct and a text, found NULL");
    switch (f->type) {
    case GR_FIELD_INT:
    case GR_FIELD_INT64:
        return parse_number(f, base, text) ? GR_OK : fail_text(f, "a whole number", text);
    case GR_FIELD_FLOAT:
    case GR_FIELD_DOUBLE:
        return parse_number(f, base, text) ? GR_OK : fail_text(f, "a number", text);
    case GR_FIELD_BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "1") == 0)
            gr__field_set_number(f, base, 1);
        else if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "0") == 0)
            gr__field_set_number(f, base, 0);
        else
            return fail_text(f, "true or false", text);
        return GR_OK;
    case GR_FIELD_SHAPE:
        return parse_shape(text, (gr_shape *)(void *)((char *)base + f->offset))
                   ? GR_OK
                   : fail_text(f, "a list like [2, 3]", text);
    case GR_FIELD_DTYPE: {
        gr_dtype t = gr_dtype_named(text);
        if (t == GR_DTYPE_NONE && strcmp(text, "none") != 0)
            return fail_text(f, "float32, float64, int32, int64, uint8 or bool", text);
        gr__field_set_number(f, base, t);
        return GR_OK;
    }
    case GR_FIELD_ENUM:
        return parse_choice(f, base, text);
    case GR_FIELD_STRING: {
        char *s = strcmp(text, "null") == 0 ? NULL : unquote(f, text);
        if (!owned_string || (!s && strcmp(text, "null") != 0)) {
            gr__free(s);
            return owned_string ? gr_error() : fail_text(f, "a place for its copy", text);
        }
        gr__field_set_pointer(f, base, *owned_string = s);
        return GR_OK;
    }
    default:
        if (strcmp(text, "null") != 0)
            return fail_text(f, "a spec or pointer, which has no text", text);
        gr__field_set_pointer(f, base, NULL);
        return GR_OK;
    }
}

/* ---- a spec from text -------------------------------------------------------------------------------------------- */

static gr_status unknown_option(const gr_kind *kind, gr_at at, const char *name)
{
    const char *known[64] = {0};
    char list[1200] = "", near[80];
    writer w = {list, sizeof list, 0};
    int n = 0;
    for (const gr_field *f = kind->fields; f && f->name; f++) {
        puts_to(&w, f == kind->fields ? "" : ", ");
        puts_to(&w, f->name);
        if (n < 64)
            known[n++] = f->name;
    }
    return gr_fail(GR_ENAME, at, "%s: unknown option %s%s; %s%s", kind->name, name,
        gr__nearest(name, known, n, near, sizeof near), n ? "known ones are " : "it has none", list);
}

/* Sets field f; what it held before comes back if the text or the value will not do. */
static gr_status set_field(const gr_kind *kind, gr_at at, void *spec, const gr_field *f, const char *value)
{
    char before[sizeof(gr_shape)];
    size_t size = f->type == GR_FIELD_SHAPE ? sizeof(gr_shape)
                  : f->type == GR_FIELD_BOOL ? sizeof(bool)
                  : f->type == GR_FIELD_INT || f->type == GR_FIELD_ENUM || f->type == GR_FIELD_FLOAT ? sizeof(int)
                  : f->type == GR_FIELD_DTYPE ? sizeof(gr_dtype)
                                              : 8;
    char *p = (char *)spec + f->offset, *owned = NULL;
    memcpy(before, p, size);
    gr_status fresh = gr_error();
    gr_status s = gr_field_parse(f, spec, value, &owned);
    if (s == GR_OK) {
        bool *flag = f->flag ? (bool *)((char *)spec + f->flag - 1) : NULL, had = flag && *flag;
        if (flag)
            *flag = true;
        s = gr__field_check(f, spec, kind->name, at);
        if (s != GR_OK && flag)
            *flag = had;
    } else if (fresh == GR_OK) { /* the field's message does not know whose it is */
        char text[1500];
        snprintf(text, sizeof text, "%s", gr_error_message());
        gr_error_clear();
        gr_fail(s, at, "%s: %s", kind->name, text);
    }
    const void *old;
    if (f->type == GR_FIELD_STRING || f->type == GR_FIELD_SPEC) {
        memcpy(&old, s == GR_OK ? before : (char *)&owned, sizeof old);
        if (f->type == GR_FIELD_STRING)
            gr__free((void *)old);
        else if (s == GR_OK)
            gr_spec_free((void *)old);
    }
    if (s != GR_OK)
        memcpy(p, before, size);
    return s;
}

gr_status gr_spec_set(void *spec, const char *name, const char *value)
{
    gr_at at;
    const gr_kind *kind = gr__kind_of(spec, &at);
    if (!kind)
        return GR_EARG;
    if (!name || !value)
        return gr_fail(GR_EARG, at, "%s: expected a name and a value, found NULL", kind->name);
    const gr_field *f = gr_field_find(kind->fields, name);
    return f ? set_field(kind, at, spec, f, value) : unknown_option(kind, at, name);
}

/* Is name one of "a|b|c"? */
static bool in_list(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && strncmp(p, name, n) == 0)
            return true;
    return false;
}

static const gr_kind *find_kind(const char *name, const gr_kind_entry *kinds, const char *what, gr_at at)
{
    enum { MOST = 128 };
    static const size_t width = 48;
    char snake[MOST][48], list[2400] = "", near[80];
    const char *known[MOST] = {0};
    writer w = {list, sizeof list, 0};
    int n = 0;
    for (const gr_kind_entry *k = kinds; k->kind; k++) {
        char small[64];
        gr_snake_case(k->kind->name, small, sizeof small);
        if (strcasecmp(name, k->kind->name) == 0 || strcmp(name, small) == 0 || in_list(k->alias, name))
            return k->kind;
        puts_to(&w, k == kinds ? "" : ", ");
        puts_to(&w, small);
        if (n < MOST) {
            snprintf(snake[n], width, "%.47s", small);
            known[n] = snake[n];
            n++;
        }
    }
    gr_fail(GR_ENAME, at, "unknown %s \"%s\"%s; known ones are %s", what, name,
        gr__nearest(name, known, n, near, sizeof near), list);
    return NULL;
}

/* The end of a value: the , or ) that is in no bracket and no quote; NULL if brackets or quotes do not close. */
static const char *value_end(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (*p == '"') {
            for (p++; *p && *p != '"'; p++)
                p += *p == '\\' && p[1] != '\0';
            if (!*p)
                return NULL;
        } else if (depth == 0 && (*p == ',' || *p == ')')) {
            return p;
        } else if (strchr("([", *p)) {
            depth++;
        } else if (strchr(")]", *p) && --depth < 0) {
            return NULL;
        }
    }
    return NULL;
}

enum { LONGEST_NAME = 127, LONGEST_VALUE = 1023 };

/* One option; *p moves behind it. `next` is the field that a value without a name goes to. */
static gr_status parse_option(const char **p, const gr_kind *kind, gr_at at, void *spec, const gr_field **next)
{
    char name[LONGEST_NAME + 1], value[LONGEST_VALUE + 1];
    size_t n = 0;
    const char *start = skip(*p);
    while (is_word(start[n]))
        n++;
    const gr_field *f = *next;
    if (n > 0 && n <= LONGEST_NAME && *skip(start + n) == '=') {
        memcpy(name, start, n);
        name[n] = '\0';
        f = gr_field_find(kind->fields, name);
        if (!f)
            return unknown_option(kind, at, name);
        start = skip(skip(start + n) + 1);
        *next = NULL;
    } else if (f && f->name) {
        *next = f + 1;
    } else {
        return gr_fail(GR_EARG, at, "%s: expected name=value, found %.40s", kind->name, start);
    }
    const char *end = value_end(start);
    if (!end)
        return gr_fail(GR_EARG, at, "%s: argument %s: expected a value that ends in , or ), found %.40s", kind->name,
            f->name, start);
    *p = end;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    n = (size_t)(end - start);
    if (n == 0 || n > LONGEST_VALUE)
        return gr_fail(GR_EARG, at, "%s: argument %s: expected a value of 1 .. %d characters, found %zu", kind->name,
            f->name, LONGEST_VALUE, n);
    memcpy(value, start, n);
    value[n] = '\0';
    return set_field(kind, at, spec, f, value);
}

static gr_status parse_options(const char *p, const gr_kind *kind, gr_at at, void *spec)
{
    const gr_field *next = kind->fields;
    if (*p == '(') {
        p = skip(p + 1);
        while (*p && *p != ')') {
            GR_TRY(parse_option(&p, kind, at, spec, &next));
            if (*p == ',')
                p = skip(p + 1);
        }
        if (*p != ')')
            return gr_fail(GR_EARG, at, "%s: expected a ) at the end of its options, found none", kind->name);
        p = skip(p + 1);
    }
    if (*p)
        return gr_fail(GR_EARG, at, "%s: expected nothing after its options, found %.40s", kind->name, p);
    return gr__spec_finish(spec);
}

void *gr_spec_parse(const char *text, const gr_kind_entry *kinds, const char *what, gr_at at)
{
    char name[LONGEST_NAME + 1];
    if (!text || !kinds) {
        gr_fail(GR_EARG, at, "%s: expected a name, found NULL", what);
        return NULL;
    }
    const char *p = skip(text);
    size_t n = strcspn(p, "( \t\n");
    if (n > LONGEST_NAME)
        n = LONGEST_NAME;
    memcpy(name, p, n);
    name[n] = '\0';
    const gr_kind *kind = find_kind(name, kinds, what, at);
    char *spec = kind ? gr__alloc(1, (int64_t)kind->size) : NULL;
    if (!spec)
        return NULL;
    memcpy(spec, &kind, sizeof kind);
    memcpy(spec + offsetof(gr_spec, at), &at, sizeof at);
    if (parse_options(skip(p + n), kind, at, spec) == GR_OK)
        return spec;
    gr_spec_free(spec);
    return NULL;
}
