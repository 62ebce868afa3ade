/* io/gzip.c: a gunzip between a file and its reader. Several members in a row are one stream, as for gzip itself;
 * anything after the last one is refused. zlib compares length and checksum at the end of each. */
#include "core/mem.h"
#include "io/source.h"
#include <string.h>
#include <unistd.h>
#ifndef GRAPE_MINIMAL
#include <zlib.h>
#endif

static bool starts_gzip(gr__source *s)
{
    unsigned char magic[2];
    return s->fd >= 0 && s->at == 0 && pread(s->fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

#ifdef GRAPE_MINIMAL

gr_status gr__source_gunzip(gr__source *s)
{
    if (starts_gzip(s))
        return gr__source_fail(
            s, GR_EMISSING, "is compressed, and this build of Grape has no zlib; unpack it with gunzip");
    return GR_OK;
}

void gr__source_close(gr__source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

#else

enum { BUFFER = 65536 };
/* Deflate cannot make more than 1,032 bytes of one; what claims to be beyond is refused before any memory is taken. */
enum { MOST_PER_BYTE = 1032 };

typedef struct {
    z_stream z;
    bool within; /* a member */
    int64_t at;  /* of the compressed file */
    unsigned char buffer[BUFFER];
} gunzip;

/* More compressed bytes; false at the end of the file. */
static gr_status refill(gr__source *s, gunzip *g, bool *some)
{
    *some = g->z.avail_in > 0;
    if (*some)
        return GR_OK;
    ssize_t got = pread(s->fd, g->buffer, BUFFER, (off_t)g->at);
    if (got < 0)
        return gr__source_fail(s, GR_EIO, "cannot be read");
    g->at += got;
    g->z.next_in = g->buffer;
    g->z.avail_in = (unsigned)got;
    *some = got > 0;
    return GR_OK;
}

static gr_status read_gunzip(gr__source *s, void *dst, int64_t n, int64_t *got)
{
    gunzip *g = s->state;
    unsigned room = n < (1 << 30) ? (unsigned)n : 1u << 30;
    g->z.next_out = dst;
    g->z.avail_out = room;
    *got = 0;
    while (g->z.avail_out == room) {
        bool some;
        GR_TRY(refill(s, g, &some));
        if (!some && !g->within)
            return GR_OK;
        if (!some)
            return gr__source_fail(s, GR_EFORMAT, "expected the end of its compressed data, found the end of the file");
        if (!g->within && (g->z.next_in[0] != 0x1f || inflateReset(&g->z) != Z_OK))
            return gr__source_fail(s, GR_EFORMAT, "expected nothing after its compressed data, found other bytes");
        g->within = true;
        int result = inflate(&g->z, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            return gr_fail(GR_EMEM, (gr_at){0}, "%s: file %s: out of memory", s->who, s->name);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return gr__source_fail(
                s, GR_EFORMAT, "is damaged: %s", g->z.msg ? g->z.msg : "not compressed as gzip does");
        if (result == Z_STREAM_END)
            g->within = false;
    }
    *got = room - g->z.avail_out;
    return GR_OK;
}

static void *z_alloc(void *user, unsigned count, unsigned size)
{
    (void)user;
    return gr__alloc(count, size);
}
static void z_free(void *user, void *p)
{
    (void)user;
    gr__free(p);
}

gr_status gr__source_gunzip(gr__source *s)
{
    if (!starts_gzip(s))
        return GR_OK;
    gunzip *g = gr__alloc(1, sizeof *g);
    if (!g)
        return gr_error();
    g->z.zalloc = z_alloc;
    g->z.zfree = z_free;
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        gr__free(g);
        return gr_fail(GR_EMEM, (gr_at){0}, "%s: file %s: out of memory", s->who, s->name);
    }
    s->state = g;
    s->read = read_gunzip;
    s->exact = false;
    s->left = s->size < INT64_MAX / MOST_PER_BYTE ? s->size * MOST_PER_BYTE : INT64_MAX;
    return GR_OK;
}

void gr__source_close(gr__source *s)
{
    if (s->fd >= 0) {
        gunzip *g = s->state;
        if (g) {
            inflateEnd(&g->z);
            gr__free(g);
        }
        close(s->fd);
    }
    s->fd = -1;
    s->state = NULL;
}

#endif
