/* io/npz.c: see npz.h. libzip reads and writes the archive; io/npy.c its members; io/zip_layout.c looks for overlaps
 * first. */
#include "io/npz.h"
#include "core/mem.h"
#include "io/atomic_file.h"
#include "io/npy.h"
#include "io/source.h"
#include "io/zip_layout.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef GRAPE_MINIMAL
#include <zip.h>
#endif

typedef struct {
    char *name;
    gr_array *array;
} entry;

struct gr_npz {
    char *path;
    int64_t n;
    entry *item;     /* in the archive's order */
    const entry **by_name; /* sorted */
};

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void gr_npz_free(gr_npz *z)
{
    if (!z)
        return;
    for (int64_t i = 0; i < z->n; i++) {
        gr__free(z->item[i].name);
        gr_array_free(z->item[i].array);
    }
    gr__free(z->item);
    gr__free(z->by_name);
    gr__free(z->path);
    gr__free(z);
}

static bool given(const gr_npz *z, const char *who)
{
    if (!z)
        gr_fail(GR_EARG, (gr_at){0}, "%s: argument z: expected an archive, found NULL", who);
    return z != NULL;
}

int64_t gr_npz_count(const gr_npz *z)
{
    return given(z, "npz_count") ? z->n : 0;
}

static const entry *item(const gr_npz *z, int64_t i, const char *who)
{
    if (!given(z, who))
        return NULL;
    if (i < 0 || i >= z->n)
        gr_fail(GR_ERANGE, (gr_at){0}, "%s: file %s: argument i: expected 0 .. %lld, found %lld", who, z->path,
            (long long)z->n - 1, (long long)i);
    return i >= 0 && i < z->n ? &z->item[i] : NULL;
}

const char *gr_npz_name(const gr_npz *z, int64_t i)
{
    const entry *e = item(z, i, "npz_name");
    return e ? e->name : NULL;
}

const gr_array *gr_npz_at(const gr_npz *z, int64_t i)
{
    const entry *e = item(z, i, "npz_at");
    return e ? e->array : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

int64_t gr_npz_find(const gr_npz *z, const char *name)
{
    if (!z || !name || z->n == 0)
        return -1;
    const entry key = {(char *)(uintptr_t)name, NULL}, *k = &key;
    const entry **found = bsearch(&k, z->by_name, (size_t)z->n, sizeof *z->by_name, by_name);
    return found ? *found - z->item : -1;
}

const gr_array *gr_npz_get(const gr_npz *z, const char *name)
{
    char list[800] = "";
    if (!given(z, "npz_get"))
        return NULL;
    int64_t i = gr_npz_find(z, name);
    if (i >= 0)
        return z->item[i].array;
    for (int64_t k = 0, at = 0; k < z->n && at < 700; k++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%.80s%s", k ? ", " : "", z->item[k].name,
            at > 600 && k + 1 < z->n ? ", ..." : "");
    gr_fail(GR_ENAME, (gr_at){0}, "npz_get: file %s: unknown name \"%s\"; known ones are %s", z->path,
        name ? name : "NULL", list);
    return NULL;
}

#ifdef GRAPE_MINIMAL

gr_npz *gr_npz_load(const char *path)
{
    (void)path;
    gr_fail(GR_EMISSING, (gr_at){0}, "npz_load: this build of Grape has no libzip, which reads npz files");
    return NULL;
}

gr_status gr_npz_save(const char *path, int64_t n, const char *const *names, gr_array *const *arrays)
{
    (void)path, (void)n, (void)names, (void)arrays;
    return gr_fail(GR_EMISSING, (gr_at){0}, "npz_save: this build of Grape has no libzip, which writes npz files");
}

#else

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum { FREE_BYTES = 256 << 20, MOST_TIMES = 100 }; /* beyond both, it is a bomb */
enum { MOST_PER_BYTE = 1032 };                     /* deflate's own limit */

static gr_status read_member(gr__source *s, void *dst, int64_t n, int64_t *got)
{
    *got = zip_fread(s->state, dst, (zip_uint64_t)n);
    if (*got >= 0)
        return GR_OK;
    *got = 0;
    return gr__source_fail(s, GR_EFORMAT, "is damaged: %s", zip_error_strerror(zip_file_get_error(s->state)));
}

static gr_status check_member(const gr__source *s, const zip_stat_t *st)
{
    if (st->encryption_method != ZIP_EM_NONE)
        return gr__source_fail(s, GR_EFORMAT, "expected no encryption, found method %d", st->encryption_method);
    if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE)
        return gr__source_fail(s, GR_EFORMAT, "expected it stored or deflated, found method %d", st->comp_method);
    int64_t packed = (int64_t)st->comp_size, size = (int64_t)st->size;
    if (packed < 0 || size < 0 || (st->comp_method == ZIP_CM_STORE && packed != size) ||
        (size - 64) / MOST_PER_BYTE > packed)
        return gr__source_fail(s, GR_EFORMAT, "expected a size that fits its %llu bytes in the file, found %llu",
            (unsigned long long)st->comp_size, (unsigned long long)st->size);
    if (size > FREE_BYTES && size / MOST_TIMES > packed)
        return gr__source_fail(s, GR_EFORMAT,
            "expected at most 256 MiB or %d times its packed size, found %lld bytes in %lld", MOST_TIMES,
            (long long)size, (long long)packed);
    return GR_OK;
}

/* Reads member i if it is a .npy. */
static gr_status load_member(gr_npz *z, zip_t *zip, zip_uint64_t i)
{
    zip_stat_t st;
    char label[600];
    if (zip_stat_index(zip, i, 0, &st) != 0 || !(st.valid & ZIP_STAT_NAME))
        return gr_fail(GR_EFORMAT, (gr_at){0}, "npz_load: file %s: member %llu: %s", z->path, (unsigned long long)i,
            zip_strerror(zip));
    size_t n = strlen(st.name);
    if (n < 4 || strcmp(st.name + n - 4, ".npy") != 0)
        return GR_OK;
    snprintf(label, sizeof label, "%.400s: member %.180s", z->path, st.name);
    gr__source s = {
        .who = "npz_load", .name = label, .left = (int64_t)st.size, .exact = true, .read = read_member, .fd = -1};
    GR_TRY(check_member(&s, &st));
    s.state = zip_fopen_index(zip, i, 0);
    if (!s.state)
        return gr__source_fail(&s, GR_EFORMAT, "cannot be read: %s", zip_strerror(zip));
    entry *e = &z->item[z->n];
    gr_status status = gr__npy_read(&s, &e->array);
    zip_fclose(s.state);
    GR_TRY(status);
    e->name = gr__strdup(st.name);
    z->n++;
    if (!e->name)
        return gr_error();
    e->name[n - 4] = '\0';
    return GR_OK;
}

static gr_status load_all(gr_npz *z, zip_t *zip)
{
    zip_int64_t n = zip_get_num_entries(zip, 0);
    z->item = gr__alloc(n, sizeof *z->item);
    z->by_name = gr__alloc(n, sizeof *z->by_name);
    if (!z->item || !z->by_name)
        return gr_error();
    for (zip_int64_t i = 0; i < n; i++)
        GR_TRY(load_member(z, zip, (zip_uint64_t)i));
    for (int64_t i = 0; i < z->n; i++)
        z->by_name[i] = &z->item[i];
    qsort(z->by_name, (size_t)z->n, sizeof *z->by_name, by_name);
    for (int64_t i = 1; i < z->n; i++)
        if (strcmp(z->by_name[i - 1]->name, z->by_name[i]->name) == 0)
            return gr_fail(GR_EFORMAT, (gr_at){0}, "npz_load: file %s: expected each name once, found %.100s twice",
                z->path, z->by_name[i]->name);
    return GR_OK;
}

gr_npz *gr_npz_load(const char *path)
{
    gr__source s;
    if (gr__source_open(&s, "npz_load", path) != GR_OK)
        return NULL;
    gr_status status = gr__zip_layout(&s);
    gr__source_close(&s);
    gr_npz *z = status == GR_OK ? gr__alloc(1, sizeof *z) : NULL;
    if (!z)
        return NULL;
    int code = 0;
    z->path = gr__strdup(path);
    zip_t *zip = z->path ? zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code) : NULL;
    if (!zip && z->path) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        gr_fail(code == ZIP_ER_MEMORY ? GR_EMEM : GR_EFORMAT, (gr_at){0}, "npz_load: file %s: %s", path,
            zip_error_strerror(&error));
        zip_error_fini(&error);
    }
    status = zip ? load_all(z, zip) : GR_EFORMAT;
    if (zip)
        zip_discard(zip);
    if (status == GR_OK)
        return z;
    gr_npz_free(z);
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The archive is built in memory, out of the arrays where they lie; each head is kept until it is done. */
typedef struct {
    char (*head)[GR__NPY_HEADER];
    gr_array **flat;
    char **name;
    int64_t n;
} parts;

static void parts_free(parts *p)
{
    for (int64_t i = 0; i < p->n && p->flat && p->name; i++) {
        gr_array_free(p->flat[i]);
        gr__free(p->name[i]);
    }
    gr__free(p->head);
    gr__free(p->flat);
    gr__free(p->name);
}

static gr_status parts_make(parts *p, int64_t n, const char *const *names, gr_array *const *arrays)
{
    p->n = n;
    p->head = gr__alloc(n, sizeof *p->head);
    p->flat = gr__alloc(n, sizeof *p->flat);
    p->name = gr__alloc(n, sizeof *p->name);
    if (!p->head || !p->flat || !p->name)
        return gr_error();
    for (int64_t i = 0; i < n; i++) {
        if (!names[i] || !*names[i] || !arrays[i])
            return gr_fail(GR_EARG, (gr_at){0}, "npz_save: expected a name and an array, found %s as number %lld",
                arrays[i] ? "no name" : "no array", (long long)i);
        p->flat[i] = gr_array_is_contiguous(arrays[i]) ? gr_array_share(arrays[i]) : gr_array_copy(arrays[i]);
        p->name[i] = gr__alloc((int64_t)strlen(names[i]) + 5, 1);
        if (!p->flat[i] || !p->name[i])
            return gr_error();
        memcpy(p->name[i], names[i], strlen(names[i]));
        memcpy(p->name[i] + strlen(names[i]), ".npy", 5);
    }
    return GR_OK;
}

static gr_status fail_zip(const char *path, const char *what, const char *why)
{
    return gr_fail(GR_EARG, (gr_at){0}, "npz_save: file %s: %s: %s", path, what, why);
}

/* 1980-01-01, the zero of DOS, in local time, which is what libzip writes: so the bytes depend on the arrays alone. */
static time_t beginning(void)
{
    struct tm t = {.tm_year = 80, .tm_mday = 1, .tm_isdst = -1};
    return mktime(&t);
}

static gr_status add_all(zip_t *zip, const char *path, parts *p)
{
    time_t when = beginning();
    for (int64_t i = 0; i < p->n; i++) {
        zip_buffer_fragment_t piece[2] = {
            {(zip_uint8_t *)p->head[i], (zip_uint64_t)gr__npy_header(p->flat[i], p->head[i])},
            {gr_array_data(p->flat[i]), (zip_uint64_t)gr_array_bytes(p->flat[i])}};
        zip_error_t error;
        zip_error_init(&error);
        zip_source_t *source = zip_source_buffer_fragment_create(piece, piece[1].length ? 2 : 1, 0, &error);
        zip_error_fini(&error);
        zip_int64_t at = source ? zip_file_add(zip, p->name[i], source, ZIP_FL_ENC_UTF_8) : -1;
        if (at < 0) {
            zip_source_free(source);
            return source ? fail_zip(path, p->name[i], zip_strerror(zip))
                          : gr_fail(GR_EMEM, (gr_at){0}, "npz_save: out of memory");
        }
        zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0);
        zip_file_set_mtime(zip, (zip_uint64_t)at, when, 0);
    }
    return GR_OK;
}

static gr_status write_out(const char *path, zip_source_t *archive)
{
    gr__atomic_file *f = gr__atomic_open("npz_save", path);
    if (!f)
        return gr_error();
    static const zip_int64_t size = 1 << 16;
    char *piece = gr__alloc(size, 1);
    bool opened = piece && zip_source_open(archive) == 0;
    zip_int64_t got = opened ? 1 : -1;
    while (got > 0) {
        got = zip_source_read(archive, piece, (zip_uint64_t)size);
        if (got > 0)
            gr__atomic_write(f, piece, got);
    }
    if (opened)
        zip_source_close(archive);
    gr__free(piece);
    if (got == 0)
        return gr__atomic_commit(f);
    gr__atomic_abandon(f);
    return gr_fail(GR_EMEM, (gr_at){0}, "npz_save: file %s: out of memory", path);
}

static gr_status save_parts(const char *path, parts *p)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *zip = archive ? zip_open_from_source(archive, ZIP_TRUNCATE, &error) : NULL;
    zip_error_fini(&error);
    if (!zip) {
        zip_source_free(archive);
        return gr_fail(GR_EMEM, (gr_at){0}, "npz_save: file %s: out of memory", path);
    }
    zip_source_keep(archive);
    gr_status status = add_all(zip, path, p);
    if (status == GR_OK && zip_close(zip) != 0) {
        status = fail_zip(path, "cannot be made", zip_strerror(zip));
        zip_discard(zip);
    } else if (status != GR_OK) {
        zip_discard(zip);
    }
    if (status == GR_OK)
        status = write_out(path, archive);
    zip_source_free(archive);
    return status;
}

gr_status gr_npz_save(const char *path, int64_t n, const char *const *names, gr_array *const *arrays)
{
    if (n < 1 || !names || !arrays)
        return gr_fail(
            GR_EARG, (gr_at){0}, "npz_save: expected one or more names and arrays, found %lld", (long long)n);
    parts p = {0};
    gr_status status = parts_make(&p, n, names, arrays);
    if (status == GR_OK)
        status = save_parts(path ? path : "", &p);
    parts_free(&p);
    return status;
}

#endif
