/* io/safetensors.c: see safetensors.h. jansson reads the header member by member (io/json_members.c), since a tree of a
 * large one would take twelve times the file; elements are read by io/elements.c. */
#include "io/safetensors.h"
#include "core/mem.h"
#include "io/atomic_file.h"
#include "io/elements.h"
#include "io/json_members.h"
#include "io/source.h"
#include <stdlib.h>
#include <string.h>
#ifndef GRAPE_MINIMAL
#include <jansson.h>
#endif

typedef struct {
    char *name;
    const gr__element *type;
    gr_shape shape;
    int64_t begin, end; /* bytes, from the start of the data */
    gr_array *array;
} entry;

typedef struct {
    char *key, *text;
} pair;

struct gr_safetensors {
    char *path;
    int64_t n, n_meta;
    entry *item;           /* in the order of their data */
    const entry **by_name; /* sorted */
    pair *meta;            /* in the file's order */
    bool has_meta;
};

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void gr_safetensors_free(gr_safetensors *t)
{
    if (!t)
        return;
    for (int64_t i = 0; i < t->n && t->item; i++) {
        gr__free(t->item[i].name);
        gr_array_free(t->item[i].array);
    }
    for (int64_t i = 0; i < t->n_meta && t->meta; i++) {
        gr__free(t->meta[i].key);
        gr__free(t->meta[i].text);
    }
    gr__free(t->item);
    gr__free(t->by_name);
    gr__free(t->meta);
    gr__free(t->path);
    gr__free(t);
}

static bool given(const gr_safetensors *t, const char *who)
{
    if (!t)
        gr_fail(GR_EARG, (gr_at){0}, "%s: argument t: expected a file that was loaded, found NULL", who);
    return t != NULL;
}

/* Is i one of n? */
static bool inside(const gr_safetensors *t, int64_t i, int64_t n, const char *who)
{
    if (i < 0 || i >= n)
        gr_fail(GR_ERANGE, (gr_at){0}, "%s: file %s: argument i: expected 0 .. %lld, found %lld", who, t->path,
            (long long)n - 1, (long long)i);
    return i >= 0 && i < n;
}

int64_t gr_safetensors_count(const gr_safetensors *t)
{
    return given(t, "safetensors_count") ? t->n : 0;
}

const char *gr_safetensors_name(const gr_safetensors *t, int64_t i)
{
    static const char who[] = "safetensors_name";
    return given(t, who) && inside(t, i, t->n, who) ? t->item[i].name : NULL;
}

const gr_array *gr_safetensors_at(const gr_safetensors *t, int64_t i)
{
    static const char who[] = "safetensors_at";
    return given(t, who) && inside(t, i, t->n, who) ? t->item[i].array : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

int64_t gr_safetensors_find(const gr_safetensors *t, const char *name)
{
    if (!t || !name || t->n == 0)
        return -1;
    const entry key = {.name = (char *)(uintptr_t)name}, *k = &key;
    const entry **found = bsearch(&k, t->by_name, (size_t)t->n, sizeof *t->by_name, by_name);
    return found ? *found - t->item : -1;
}

const gr_array *gr_safetensors_get(const gr_safetensors *t, const char *name)
{
    char list[800] = "";
    if (!given(t, "safetensors_get"))
        return NULL;
    int64_t i = gr_safetensors_find(t, name);
    if (i >= 0)
        return t->item[i].array;
    for (int64_t k = 0, at = 0; k < t->n && at < 700; k++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%.80s%s", k ? ", " : "", t->by_name[k]->name,
            at > 600 && k + 1 < t->n ? ", ..." : "");
    gr_fail(GR_ENAME, (gr_at){0}, "safetensors_get: file %s: unknown name \"%s\"; known ones are %s", t->path,
        name ? name : "NULL", list);
    return NULL;
}

const char *gr_safetensors_meta(const gr_safetensors *t, const char *key)
{
    for (int64_t i = 0; t && key && i < t->n_meta; i++)
        if (strcmp(t->meta[i].key, key) == 0)
            return t->meta[i].text;
    return NULL;
}

int64_t gr_safetensors_meta_count(const gr_safetensors *t)
{
    return given(t, "safetensors_meta_count") ? t->n_meta : 0;
}

const char *gr_safetensors_meta_key(const gr_safetensors *t, int64_t i)
{
    static const char who[] = "safetensors_meta_key";
    return given(t, who) && inside(t, i, t->n_meta, who) ? t->meta[i].key : NULL;
}

#ifdef GRAPE_MINIMAL

gr_safetensors *gr_safetensors_load(const char *path)
{
    (void)path;
    gr_fail(
        GR_EMISSING, (gr_at){0}, "safetensors_load: this build of Grape has no jansson, which reads the file's header");
    return NULL;
}

gr_status gr_safetensors_save(const char *path, int64_t n, const gr_named_array *arrays, int64_t n_meta,
    const gr_named_text *meta)
{
    (void)path, (void)n, (void)arrays, (void)n_meta, (void)meta;
    return gr_fail(GR_EMISSING, (gr_at){0},
        "safetensors_save: this build of Grape has no jansson, which writes the file's header");
}

#else

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum { LONGEST_HEADER = 100000000, DEEPEST = 32 };
static const char metadata[] = "__metadata__";

/* A list of n whole numbers of 0 or more; false if it is anything else. */
static bool read_numbers(const json_t *list, int64_t most, int64_t *n, int64_t *out)
{
    if (!json_is_array(list) || json_array_size(list) > (size_t)most)
        return false;
    *n = (int64_t)json_array_size(list);
    for (int64_t i = 0; i < *n; i++) {
        const json_t *x = json_array_get(list, (size_t)i);
        if (!json_is_integer(x) || json_integer_value(x) < 0)
            return false;
        out[i] = json_integer_value(x);
    }
    return true;
}

static gr_status read_entry(const gr__source *s, const char *name, const json_t *value, entry *e)
{
    int64_t offsets[2], n;
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (!json_is_object(value) || !dtype)
        return gr__source_fail(s, GR_EFORMAT, "tensor %.200s: expected an object with a dtype, found none", name);
    e->type = gr__element_safetensors(dtype);
    if (!e->type)
        return gr__source_fail(s, GR_EDTYPE,
            "tensor %.200s: expected a dtype of BOOL U8 I8 U16 I16 F16 BF16 U32 I32 F32 U64 I64 F64, found %.20s", name,
            dtype);
    if (!read_numbers(json_object_get(value, "shape"), GR_MAX_RANK, &e->shape.rank, e->shape.dim))
        return gr__source_fail(s, GR_EFORMAT, "tensor %.200s: expected a shape of at most %d sizes of 0 or more", name,
            GR_MAX_RANK);
    if (!read_numbers(json_object_get(value, "data_offsets"), 2, &n, offsets) || n != 2 || offsets[0] > offsets[1])
        return gr__source_fail(s, GR_EFORMAT, "tensor %.200s: expected data_offsets [begin, end], begin <= end", name);
    e->begin = offsets[0];
    e->end = offsets[1];
    int64_t count = gr_shape_size(e->shape), bytes = e->end - e->begin;
    if (count < 0 || bytes % e->type->size != 0 || bytes / e->type->size != count) {
        char text[200];
        return gr__source_fail(s, GR_EFORMAT, "tensor %.200s: expected as many bytes as %s %s has, found %lld", name,
            dtype, gr_shape_text(e->shape, text, sizeof text), (long long)bytes);
    }
    e->name = gr__strdup(name);
    return e->name ? GR_OK : gr_error();
}

static gr_status read_meta(const gr__source *s, gr_safetensors *t, json_t *value)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return gr__source_fail(s, GR_EFORMAT, "expected an object of texts as %s, found another thing", metadata);
    t->has_meta = true;
    t->meta = gr__alloc((int64_t)json_object_size(value), sizeof *t->meta);
    if (!t->meta)
        return gr_error();
    json_object_foreach(value, key, text)
    {
        if (!json_is_string(text))
            return gr__source_fail(
                s, GR_EFORMAT, "expected a text as %s of %.200s, found another thing", metadata, key);
        pair *p = &t->meta[t->n_meta++];
        p->key = gr__strdup(key);
        p->text = gr__strdup(json_string_value(text));
        if (!p->key || !p->text)
            return gr_error();
    }
    return GR_OK;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = (x->begin > y->begin) - (x->begin < y->begin);
    return order ? order : (x->end > y->end) - (x->end < y->end); /* the empty ones before the one that starts there */
}

static json_t *parse(const gr__source *s, const gr__json_members *m, const char *text, int64_t n)
{
    json_error_t error;
    json_t *value = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value)
        gr__source_fail(s, GR_EFORMAT, "expected JSON as its header, found at byte %lld: %s",
            (long long)(text - m->text) + error.position, error.text);
    return value;
}

static gr_status read_member(const gr__source *s, gr_safetensors *t, const gr__json_members *m, int64_t *room)
{
    json_t *key = parse(s, m, m->key, m->key_n), *value = key ? parse(s, m, m->value, m->value_n) : NULL;
    gr_status status = value ? GR_OK : GR_EFORMAT;
    bool texts = value && strcmp(json_string_value(key), metadata) == 0;
    if (texts && t->has_meta)
        status = gr__source_fail(s, GR_EFORMAT, "expected each name once, found %s twice", metadata);
    else if (texts)
        status = read_meta(s, t, value);
    else if (value && t->n == *room) {
        int64_t more = *room ? *room + *room / 2 : 64;
        entry *grown = gr__resize(t->item, more, sizeof *grown);
        status = grown ? GR_OK : gr_error();
        t->item = grown ? grown : t->item;
        *room = grown ? more : *room;
    }
    if (value && !texts && status == GR_OK) {
        t->item[t->n] = (entry){0};
        status = read_entry(s, json_string_value(key), value, &t->item[t->n++]);
    }
    json_decref(key);
    json_decref(value);
    return status;
}

static gr_status read_entries(const gr__source *s, gr_safetensors *t, const char *header, int64_t n)
{
    gr__json_members m = {.text = header, .n = n};
    int64_t room = 0;
    while (gr__json_next(&m))
        GR_TRY(read_member(s, t, &m, &room));
    if (m.wrong)
        return gr__source_fail(
            s, GR_EFORMAT, "expected JSON as its header, found at byte %lld: %s", (long long)m.at, m.wrong);
    return GR_OK;
}

/* Sorts the entries by place, where they have to cover the data, and by name, which has to be one of its own. */
static gr_status check_entries(const gr__source *s, gr_safetensors *t)
{
    int64_t at = 0;
    t->by_name = gr__alloc(t->n, sizeof *t->by_name);
    if (!t->by_name)
        return gr_error();
    if (t->n)
        qsort(t->item, (size_t)t->n, sizeof *t->item, by_place);
    for (int64_t i = 0; i < t->n; i++) {
        t->by_name[i] = &t->item[i];
        if (t->item[i].begin != at)
            return gr__source_fail(s, GR_EFORMAT, "tensor %.200s: expected its data at byte %lld, found it at %lld",
                t->item[i].name, (long long)at, (long long)t->item[i].begin);
        at = t->item[i].end;
    }
    if (at != s->left)
        return gr__source_fail(
            s, GR_EFORMAT, "expected %lld bytes of data, found %lld", (long long)at, (long long)s->left);
    qsort(t->by_name, (size_t)t->n, sizeof *t->by_name, by_name);
    for (int64_t i = 1; i < t->n; i++)
        if (strcmp(t->by_name[i - 1]->name, t->by_name[i]->name) == 0)
            return gr__source_fail(s, GR_EFORMAT, "expected each name once, found %.200s twice", t->by_name[i]->name);
    return GR_OK;
}

static gr_status read_header(gr__source *s, gr_safetensors *t)
{
    unsigned char length[8];
    uint64_t n = 0;
    GR_TRY(gr__source_read(s, length, 8, "its head"));
    for (int i = 7; i >= 0; i--)
        n = n << 8 | length[i];
    if (n > LONGEST_HEADER || n < 2)
        return gr__source_fail(s, GR_EFORMAT, "expected a header of 2 .. %d bytes, found %llu", LONGEST_HEADER,
            (unsigned long long)n);
    GR_TRY(gr__source_has(s, (int64_t)n, 1, "header"));
    char *bytes = gr__alloc((int64_t)n, 1);
    if (!bytes)
        return gr_error();
    gr_status status = gr__source_read(s, bytes, (int64_t)n, "header");
    if (status == GR_OK && gr__json_depth(bytes, (int64_t)n) > DEEPEST) /* before a recursive parser sees it */
        status = gr__source_fail(
            s, GR_EFORMAT, "expected a header nested to a depth of at most %d, found a deeper one", DEEPEST);
    if (status == GR_OK)
        status = read_entries(s, t, bytes, (int64_t)n);
    gr__free(bytes);
    return status == GR_OK ? check_entries(s, t) : status;
}

static gr_status load(gr__source *s, gr_safetensors *t)
{
    GR_TRY(read_header(s, t));
    for (int64_t i = 0; i < t->n; i++)
        GR_TRY(gr__elements_read(s, t->item[i].type, false, t->item[i].shape, &t->item[i].array));
    return gr__source_end(s);
}

gr_safetensors *gr_safetensors_load(const char *path)
{
    gr__source s;
    if (gr__source_open(&s, "safetensors_load", path) != GR_OK)
        return NULL;
    gr_safetensors *t = gr__alloc(1, sizeof *t);
    gr_status status = t && (t->path = gr__strdup(path)) ? load(&s, t) : GR_EMEM;
    gr__source_close(&s);
    if (status == GR_OK)
        return t;
    gr_safetensors_free(t);
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Larger elements first, so that all are aligned; then by name. */
static int by_size_then_name(const void *a, const void *b)
{
    const gr_named_array *x = a, *y = b;
    int64_t m = gr_dtype_size(gr_array_dtype(x->array)), n = gr_dtype_size(gr_array_dtype(y->array));
    return m != n ? (m < n) - (m > n) : strcmp(x->name, y->name);
}

static int names_in_order(const void *a, const void *b)
{
    return strcmp(((const gr_named_array *)a)->name, ((const gr_named_array *)b)->name);
}

/* Takes `value`, which may be NULL: then it is a text that is not UTF-8 (or memory is out). */
static gr_status put(json_t *object, const char *path, const char *key, json_t *value)
{
    if (value && json_object_set_new(object, key, value) == 0)
        return GR_OK;
    return gr_fail(
        GR_EARG, (gr_at){0}, "safetensors_save: file %s: expected names and texts in UTF-8, found %.100s", path, key);
}

static gr_status put_arrays(json_t *root, const char *path, int64_t n, const gr_named_array *arrays)
{
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const gr_array *a = arrays[i].array;
        gr_shape shape = gr_array_shape(a);
        json_t *e = json_object(), *list = json_array();
        for (int64_t k = 0; k < shape.rank; k++)
            json_array_append_new(list, json_integer(shape.dim[k]));
        json_object_set_new(e, "dtype", json_string(gr__element_of(gr_array_dtype(a))->safetensors));
        json_object_set_new(e, "shape", list);
        json_object_set_new(
            e, "data_offsets", json_pack("[I, I]", (json_int_t)at, (json_int_t)(at + gr_array_bytes(a))));
        GR_TRY(put(root, path, arrays[i].name, e));
        at += gr_array_bytes(a);
    }
    return GR_OK;
}

static gr_status put_all(json_t *root, const char *path, int64_t n, const gr_named_array *arrays, int64_t n_meta,
    const gr_named_text *meta)
{
    json_t *texts = json_object();
    gr_status status = n_meta ? put(root, path, metadata, texts) : GR_OK; /* it comes first */
    if (!n_meta)
        json_decref(texts);
    for (int64_t i = 0; i < n_meta && status == GR_OK; i++)
        status = put(texts, path, meta[i].key, json_string(meta[i].text));
    return status == GR_OK ? put_arrays(root, path, n, arrays) : status;
}

static gr_status write_out(const char *path, const char *header, int64_t n, const gr_named_array *arrays)
{
    gr__atomic_file *f = gr__atomic_open("safetensors_save", path);
    if (!f)
        return gr_error();
    int64_t length = (int64_t)strlen(header), padded = (length + 7) / 8 * 8;
    unsigned char head[8];
    for (int i = 0; i < 8; i++)
        head[i] = (unsigned char)(padded >> 8 * i);
    gr__atomic_write(f, head, 8);
    gr__atomic_write(f, header, length);
    gr__atomic_write(f, "        ", padded - length);
    for (int64_t i = 0; i < n; i++) {
        gr_array *flat = gr_array_is_contiguous(arrays[i].array) ? gr_array_share(arrays[i].array)
                                                               : gr_array_copy(arrays[i].array);
        if (!flat) {
            gr__atomic_abandon(f);
            return gr_error();
        }
        gr__atomic_write(f, gr_array_data(flat), gr_array_bytes(flat));
        gr_array_free(flat);
    }
    return gr__atomic_commit(f);
}

static gr_status check_arguments(const char *path, int64_t n, const gr_named_array *arrays, int64_t n_meta,
    const gr_named_text *meta)
{
    if (!path || n < 0 || n_meta < 0 || (n && !arrays) || (n_meta && !meta))
        return gr_fail(GR_EARG, (gr_at){0}, "safetensors_save: expected a path, arrays and texts, found NULL");
    for (int64_t i = 0; i < n; i++)
        if (!arrays[i].name || !arrays[i].array || strcmp(arrays[i].name, metadata) == 0)
            return gr_fail(GR_EARG, (gr_at){0},
                "safetensors_save: expected a name and an array, found %s as number %lld",
                arrays[i].name ? arrays[i].array ? metadata : "no array" : "no name", (long long)i);
    for (int64_t i = 0; i < n_meta; i++)
        if (!meta[i].key || !meta[i].text)
            return gr_fail(GR_EARG, (gr_at){0},
                "safetensors_save: expected a key and a text, found NULL as number %lld", (long long)i);
    return GR_OK;
}

static gr_status save_sorted(
    const char *path, int64_t n, gr_named_array *arrays, int64_t n_meta, const gr_named_text *meta)
{
    qsort(arrays, (size_t)n, sizeof *arrays, names_in_order);
    for (int64_t i = 1; i < n; i++)
        if (strcmp(arrays[i - 1].name, arrays[i].name) == 0)
            return gr_fail(GR_EARG, (gr_at){0},
                "safetensors_save: file %s: expected each name once, found %.100s twice", path, arrays[i].name);
    qsort(arrays, (size_t)n, sizeof *arrays, by_size_then_name);
    json_t *root = json_object();
    gr_status status = put_all(root, path, n, arrays, n_meta, meta);
    char *header = status == GR_OK ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (status == GR_OK)
        status = header ? write_out(path, header, n, arrays)
                        : gr_fail(GR_EMEM, (gr_at){0}, "safetensors_save: file %s: out of memory", path);
    free(header);
    return status;
}

gr_status gr_safetensors_save(const char *path, int64_t n, const gr_named_array *arrays, int64_t n_meta,
    const gr_named_text *meta)
{
    GR_TRY(check_arguments(path, n, arrays, n_meta, meta));
    gr_named_array *sorted = gr__alloc(n, sizeof *sorted);
    if (!sorted)
        return gr_error();
    if (n)
        memcpy(sorted, arrays, (size_t)n * sizeof *sorted);
    gr_status status = save_sorted(path, n, sorted, n_meta, meta);
    gr__free(sorted);
    return status;
}

#endif
