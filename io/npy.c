/* io/npy.c: see npy.h. The header is a Python dict; its three keys are read here, and nothing else is. */
#include "io/npy.h"
#include "core/array_impl.h"
#include "core/mem.h"
#include "core/number.h"
#include "io/atomic_file.h"
#include "io/elements.h"
#include <ctype.h>
#include <string.h>

enum { LONGEST_HEADER = 65536 };
static const char magic[] = "\x93NUMPY";

/* ---- the header -------------------------------------------------------------------------------------------------- */

typedef struct {
    const gr__element *type;
    bool big_endian, fortran;
    gr_shape shape;
    bool has_descr, has_order, has_shape;
} header;

/* What is left of the header's text. */
typedef struct {
    const gr__source *s; /* for messages */
    const char *p;
} text;

static void skip(text *t)
{
    while (isspace((unsigned char)*t->p))
        t->p++;
}

static bool take(text *t, char c)
{
    skip(t);
    if (*t->p != c)
        return false;
    t->p++;
    return true;
}

static gr_status expected(const text *t, const char *what)
{
    char found[24];
    snprintf(found, sizeof found, "%.20s", t->p);
    for (char *c = found; *c; c++)
        if (!isprint((unsigned char)*c))
            *c = '?';
    return gr__source_fail(t->s, GR_EFORMAT, "expected %s in its header, found \"%s\"", what, found);
}

/* 'text' or "text", without escapes, of at most size - 1 characters. */
static gr_status quoted(text *t, char *buf, size_t size, const char *what)
{
    char quote = take(t, '\'') ? '\'' : take(t, '"') ? '"' : '\0';
    size_t n = 0;
    if (!quote)
        return expected(t, what);
    while (t->p[n] && t->p[n] != quote && t->p[n] != '\\')
        n++;
    if (t->p[n] != quote || n >= size)
        return expected(t, what);
    memcpy(buf, t->p, n);
    buf[n] = '\0';
    t->p += n + 1;
    return GR_OK;
}

static gr_status read_descr(text *t, header *h)
{
    char name[40];
    skip(t);
    if (*t->p == '[')
        return gr__source_fail(t->s, GR_EDTYPE, "expected plain numbers, found a structured type");
    GR_TRY(quoted(t, name, sizeof name, "a type like '<f4'"));
    h->type = gr__element_named(*name ? name + 1 : name);
    if (!strchr("<>|=", *name) || !h->type || strlen(h->type->name) > 2)
        return gr__source_fail(t->s, GR_EDTYPE, "expected a bool, int, uint or float of 8 to 64 bits, found %s%s", name,
            strchr(name, 'O') ? " (objects are never read)" : "");
    if (*name == '|' && h->type->size > 1)
        return gr__source_fail(t->s, GR_EFORMAT, "expected a byte order before the type, found %s", name);
    h->big_endian = *name == '>';
    return GR_OK;
}

static gr_status read_order(text *t, header *h)
{
    skip(t);
    h->fortran = strncmp(t->p, "True", 4) == 0;
    if (!h->fortran && strncmp(t->p, "False", 5) != 0)
        return expected(t, "True or False");
    t->p += h->fortran ? 4 : 5;
    return GR_OK;
}

/* (), (3,), (3, 4), (3, 4,): a tuple; Python 2 wrote 3L. */
static gr_status read_shape(text *t, header *h)
{
    if (!take(t, '('))
        return expected(t, "a tuple of sizes");
    bool comma = true;
    while (!take(t, ')')) {
        int64_t n;
        skip(t);
        if (!comma || !isdigit((unsigned char)*t->p) || !gr__int_parse(t->p, &t->p, &n))
            return expected(t, "a size of 0 or more and below 2^63");
        if (h->shape.rank == GR_MAX_RANK)
            return gr__source_fail(t->s, GR_EFORMAT, "expected at most %d dimensions, found more", GR_MAX_RANK);
        h->shape.dim[h->shape.rank++] = n;
        t->p += *t->p == 'L';
        comma = take(t, ',');
    }
    return h->shape.rank == 1 && !comma ? expected(t, "a tuple (not a number in brackets)") : GR_OK;
}

static gr_status read_entry(text *t, header *h)
{
    char key[24];
    GR_TRY(quoted(t, key, sizeof key, "a key"));
    if (!take(t, ':'))
        return expected(t, ":");
    bool descr = strcmp(key, "descr") == 0, order = strcmp(key, "fortran_order") == 0,
         shape = strcmp(key, "shape") == 0;
    if ((descr && h->has_descr) || (order && h->has_order) || (shape && h->has_shape) || (!descr && !order && !shape))
        return gr__source_fail(
            t->s, GR_EFORMAT, "expected descr, fortran_order and shape once each in its header, found %s", key);
    h->has_descr |= descr;
    h->has_order |= order;
    h->has_shape |= shape;
    return descr ? read_descr(t, h) : order ? read_order(t, h) : read_shape(t, h);
}

static gr_status parse_header(text *t, header *h)
{
    if (!take(t, '{'))
        return expected(t, "{");
    bool comma = true;
    while (!take(t, '}')) {
        if (!comma)
            return expected(t, ", or }");
        GR_TRY(read_entry(t, h));
        comma = take(t, ',');
    }
    skip(t);
    if (*t->p)
        return expected(t, "nothing after }");
    if (!h->has_descr || !h->has_order || !h->has_shape)
        return gr__source_fail(t->s, GR_EFORMAT, "expected descr, fortran_order and shape in its header, found fewer");
    return GR_OK;
}

static gr_status read_header(gr__source *s, header *h)
{
    unsigned char start[8], length[4] = {0};
    GR_TRY(gr__source_read(s, start, 8, "its head"));
    if (memcmp(start, magic, 6) != 0)
        return gr__source_fail(s, GR_EFORMAT, "expected an npy file, which starts with \\x93NUMPY, found other bytes");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return gr__source_fail(s, GR_EFORMAT, "expected version 1.0, 2.0 or 3.0, found %d.%d", start[6], start[7]);
    GR_TRY(gr__source_read(s, length, start[6] == 1 ? 2 : 4, "its head"));
    int64_t n = length[0] | (int64_t)length[1] << 8 | (int64_t)length[2] << 16 | (int64_t)length[3] << 24;
    if (n > LONGEST_HEADER)
        return gr__source_fail(
            s, GR_EFORMAT, "expected a header of at most %d bytes, found %lld", LONGEST_HEADER, (long long)n);
    GR_TRY(gr__source_has(s, n, 1, "header"));
    char *bytes = gr__alloc(n + 1, 1);
    if (!bytes)
        return gr_error();
    gr_status status = gr__source_read(s, bytes, n, "its header");
    text t = {s, bytes};
    if (status == GR_OK && strlen(bytes) != (size_t)n)
        status = gr__source_fail(s, GR_EFORMAT, "expected a header of text, found a zero byte");
    if (status == GR_OK)
        status = parse_header(&t, h);
    gr__free(bytes);
    return status;
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

/* Fortran order is C order of the axes reversed: read so, seen transposed, and packed. */
static gr_status to_c_order(gr_array **a)
{
    gr_array *view = gr_array_transpose(*a, GR_RANK0), *packed = view ? gr_array_copy(view) : NULL;
    gr_array_free(view);
    if (!packed)
        return gr_error();
    gr_array_free(*a);
    *a = packed;
    return GR_OK;
}

gr_status gr__npy_read(gr__source *s, gr_array **out)
{
    header h = {0};
    *out = NULL;
    GR_TRY(read_header(s, &h));
    gr_shape stored = h.shape;
    for (int64_t i = 0; h.fortran && i < stored.rank; i++)
        stored.dim[i] = h.shape.dim[stored.rank - 1 - i];
    GR_TRY(gr__elements_read(s, h.type, h.big_endian, stored, out));
    gr_status status = gr__source_end(s);
    if (status == GR_OK && h.fortran && stored.rank > 1)
        status = to_c_order(out);
    if (status != GR_OK) {
        gr_array_free(*out);
        *out = NULL;
    }
    return status;
}

gr_array *gr_npy_load(const char *path)
{
    gr__source s;
    gr_array *a = NULL;
    if (gr__source_open(&s, "npy_load", path) != GR_OK)
        return NULL;
    gr__npy_read(&s, &a);
    gr__source_close(&s);
    return a;
}

int64_t gr__npy_header(const gr_array *a, char buf[GR__NPY_HEADER])
{
    char dict[GR__NPY_HEADER], sizes[200] = "";
    gr_shape shape = gr_array_shape(a);
    const gr__element *type = gr__element_of(gr_array_dtype(a));
    for (int64_t i = 0, at = 0; i < shape.rank; i++)
        at += snprintf(sizes + at, sizeof sizes - (size_t)at, "%s%lld%s", i ? ", " : "", (long long)shape.dim[i],
            shape.rank == 1 ? "," : "");
    int n = snprintf(dict, sizeof dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
        type->size == 1 ? '|' : '<', type->name, sizes);
    int64_t length = (10 + n + 1 + 63) / 64 * 64;
    memset(buf, ' ', (size_t)length);
    memcpy(buf, magic, 6);
    buf[6] = 1;
    buf[7] = 0;
    buf[8] = (char)((length - 10) & 255);
    buf[9] = (char)((length - 10) >> 8);
    memcpy(buf + 10, dict, (size_t)n);
    buf[length - 1] = '\n';
    return length;
}

gr_status gr_npy_save(const char *path, const gr_array *a)
{
    char head[GR__NPY_HEADER];
    if (!gr__array_given(a, "npy_save"))
        return GR_EARG;
    gr_array *flat = gr_array_is_contiguous(a) ? gr_array_share(a) : gr_array_copy(a);
    gr__atomic_file *f = flat ? gr__atomic_open("npy_save", path) : NULL;
    gr_status status = f ? GR_OK : gr_error();
    if (f) {
        gr__atomic_write(f, head, gr__npy_header(a, head));
        gr__atomic_write(f, gr_array_data(flat), gr_array_bytes(flat));
        status = gr__atomic_commit(f);
    }
    gr_array_free(flat);
    return status;
}
