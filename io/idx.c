/* io/idx.c: see idx.h. */
#include "io/idx.h"
#include "core/array_impl.h"
#include "io/elements.h"
#include "io/source.h"

static const struct {
    int code;
    const char *type; /* of io/elements.h */
} types[] = {{0x08, "u1"}, {0x09, "i1"}, {0x0b, "i2"}, {0x0c, "i4"}, {0x0d, "f4"}, {0x0e, "f8"}};

static int64_t big_endian_32(const unsigned char *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}

static gr_status load(gr__source *s, gr_array **out)
{
    unsigned char head[4], size[4];
    GR_TRY(gr__source_read(s, head, 4, "its head"));
    if (head[0] != 0 || head[1] != 0)
        return gr__source_fail(
            s, GR_EFORMAT, "expected an IDX file, which starts with two zero bytes, found %d, %d", head[0], head[1]);
    const gr__element *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == head[2])
            type = gr__element_named(types[i].type);
    if (!type)
        return gr__source_fail(s, GR_EFORMAT, "expected an element type of 8, 9, 11, 12, 13 or 14, found %d", head[2]);
    if (head[3] < 1 || head[3] > GR_MAX_RANK)
        return gr__source_fail(s, GR_EFORMAT, "expected a rank of 1 .. %d, found %d", GR_MAX_RANK, head[3]);
    gr_shape shape = {.rank = head[3]};
    for (int i = 0; i < head[3]; i++) {
        GR_TRY(gr__source_read(s, size, 4, "its sizes"));
        shape.dim[i] = big_endian_32(size);
    }
    GR_TRY(gr__elements_read(s, type, true, shape, out));
    return gr__source_end(s);
}

gr_array *gr_idx_load(const char *path)
{
    gr__source s;
    gr_array *a = NULL;
    if (gr__source_open(&s, "idx_load", path) != GR_OK)
        return NULL;
    gr_status status = gr__source_gunzip(&s);
    if (status == GR_OK)
        status = load(&s, &a);
    gr__source_close(&s);
    if (status == GR_OK)
        return a;
    gr_array_free(a);
    return NULL;
}
