/* io/zip_layout.c: see zip_layout.h. Fields as in APPNOTE.TXT 6.3.3, sections 4.3.7, 4.3.12, 4.3.14 and 4.3.16. */
#include "io/zip_layout.h"
#include "core/mem.h"
#include "core/size.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    END_BYTES = 22,
    LONGEST_COMMENT = 65535,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    LOCATOR_BYTES = 20,
    END_64_BYTES = 56
};

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t x = 0;
    for (int i = bytes - 1; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}

static bool read_at(const gr__source *s, int64_t at, void *dst, int64_t n)
{
    for (int64_t have = 0; have < n;) {
        ssize_t got = pread(s->fd, (char *)dst + have, (size_t)(n - have), (off_t)(at + have));
        if (got <= 0)
            return false;
        have += got;
    }
    return true;
}

typedef struct {
    int64_t entries, at, bytes; /* of the directory */
} directory;

/* A number from a record of 64 bits, made impossible if it does not fit. */
static int64_t number_64(const unsigned char *p)
{
    uint64_t x = number(p, 8);
    return x > INT64_MAX ? -1 : (int64_t)x;
}

static gr_status find_64(const gr__source *s, int64_t end, directory *d)
{
    unsigned char locator[LOCATOR_BYTES], record[END_64_BYTES];
    if (end < LOCATOR_BYTES || !read_at(s, end - LOCATOR_BYTES, locator, LOCATOR_BYTES) ||
        number(locator, 4) != 0x07064b50)
        return GR_OK; /* a full count that is just that */
    int64_t at = number_64(locator + 8);
    if (at < 0 || at > end - LOCATOR_BYTES - END_64_BYTES || !read_at(s, at, record, END_64_BYTES) ||
        number(record, 4) != 0x06064b50)
        return gr__source_fail(
            s, GR_EFORMAT, "expected the end of a large directory where it is said to be, found other bytes");
    d->entries = number_64(record + 32);
    d->bytes = number_64(record + 40);
    d->at = number_64(record + 48);
    return GR_OK;
}

static gr_status find_directory(const gr__source *s, directory *d)
{
    int64_t n = s->size < END_BYTES + LONGEST_COMMENT ? s->size : END_BYTES + LONGEST_COMMENT, at = n - END_BYTES;
    unsigned char *tail = n >= END_BYTES ? gr__alloc(n, 1) : NULL;
    if (!tail)
        return n >= END_BYTES ? gr_error()
                              : gr__source_fail(s, GR_EFORMAT, "expected a zip file, found %lld bytes", (long long)n);
    bool readable = read_at(s, s->size - n, tail, n);
    while (
        at >= 0 && !(number(tail + at, 4) == 0x06054b50 && number(tail + at + 20, 2) == (uint64_t)(n - at - END_BYTES)))
        at--;
    unsigned char end[END_BYTES] = {0};
    if (at >= 0)
        memcpy(end, tail + at, END_BYTES);
    gr__free(tail);
    if (!readable || at < 0)
        return gr__source_fail(s, GR_EFORMAT, "expected a zip file, found no end of its directory");
    if (number(end + 4, 4) != 0 || number(end + 8, 2) != number(end + 10, 2))
        return gr__source_fail(s, GR_EFORMAT, "expected a zip file of one volume, found one of several");
    *d = (directory){(int64_t)number(end + 10, 2), (int64_t)number(end + 16, 4), (int64_t)number(end + 12, 4)};
    if (d->entries == 0xffff || d->at == 0xffffffff || d->bytes == 0xffffffff)
        GR_TRY(find_64(s, s->size - n + at, d));
    int64_t stop;
    if (d->entries < 0 || d->at < 0 || d->bytes < 0 || !gr__add(d->at, d->bytes, &stop) || stop > s->size - n + at ||
        d->entries > d->bytes / ENTRY_BYTES)
        return gr__source_fail(s, GR_EFORMAT, "expected a directory within the file, found one beyond it");
    return GR_OK;
}

typedef struct {
    int64_t begin, end;
} span;

static int by_begin(const void *a, const void *b)
{
    const span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Sizes and place that do not fit 32 bits stand in an extra field, in this order, each only if it does not. */
static void large_numbers(const unsigned char *extra, int64_t n, uint64_t *size, uint64_t *packed, uint64_t *at)
{
    while (n >= 4) {
        int64_t bytes = (int64_t)number(extra + 2, 2);
        const unsigned char *p = extra + 4;
        if (bytes > n - 4)
            return;
        uint64_t *const into[] = {size, packed, at};
        for (int i = 0; i < 3 && number(extra, 2) == 1; i++)
            if (*into[i] == 0xffffffff && p + 8 <= extra + 4 + bytes) {
                *into[i] = number(p, 8);
                p += 8;
            }
        extra += 4 + bytes;
        n -= 4 + bytes;
    }
}

/* Where the entry at p says its member lies, with the shortest head it can have; the entry's own length, 0 if it is
 * cut. */
static int64_t read_entry(const unsigned char *p, int64_t left, span *member)
{
    if (left < ENTRY_BYTES || number(p, 4) != 0x02014b50)
        return 0;
    int64_t name = (int64_t)number(p + 28, 2), extra = (int64_t)number(p + 30, 2);
    int64_t length = ENTRY_BYTES + name + extra + (int64_t)number(p + 32, 2);
    if (length > left)
        return 0;
    uint64_t packed = number(p + 20, 4), size = number(p + 24, 4), at = number(p + 42, 4);
    large_numbers(p + ENTRY_BYTES + name, extra, &size, &packed, &at);
    member->begin = at > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)at;
    member->end = member->begin + LOCAL_BYTES + name + (packed > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)packed);
    return length;
}

static gr_status check_spans(const gr__source *s, const directory *d, const unsigned char *p, span *member)
{
    int64_t left = d->bytes;
    for (int64_t i = 0; i < d->entries; i++) {
        int64_t length = read_entry(p, left, &member[i]);
        if (length == 0)
            return gr__source_fail(s, GR_EFORMAT, "expected %lld entries in its directory, found %lld",
                (long long)d->entries, (long long)i);
        p += length;
        left -= length;
    }
    qsort(member, (size_t)d->entries, sizeof *member, by_begin);
    for (int64_t i = 0; i < d->entries; i++) {
        int64_t limit = i + 1 < d->entries ? member[i + 1].begin : d->at;
        if (member[i].end > limit)
            return gr__source_fail(s, GR_EFORMAT,
                "expected members one after the other, found two that overlap at byte %lld", (long long)limit);
    }
    return GR_OK;
}

gr_status gr__zip_layout(const gr__source *s)
{
    directory d = {0};
    GR_TRY(find_directory(s, &d));
    unsigned char *bytes = gr__alloc(d.bytes, 1);
    span *member = bytes ? gr__alloc(d.entries, sizeof *member) : NULL;
    gr_status status = GR_OK;
    if (!member)
        status = gr_error();
    else if (!read_at(s, d.at, bytes, d.bytes))
        status = gr__source_fail(s, GR_EIO, "cannot be read");
    else
        status = check_spans(s, &d, bytes, member);
    gr__free(bytes);
    gr__free(member);
    return status;
}
