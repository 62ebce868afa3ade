/* io/elements.c: see elements.h. */
#include "io/elements.h"
#include "core/array_impl.h"
#include "core/mem.h"
#include <string.h>

static const gr__element elements[] = {
    {"f4", "F32", 4, GR_F32}, {"f8", "F64", 8, GR_F64}, {"i4", "I32", 4, GR_I32}, {"i8", "I64", 8, GR_I64},
    {"u1", "U8", 1, GR_U8}, {"b1", "BOOL", 1, GR_BOOL}, /* those above hold a dtype exactly */
    {"f2", "F16", 2, GR_F32}, {"bf16", "BF16", 2, GR_F32}, {"i1", "I8", 1, GR_I32}, {"i2", "I16", 2, GR_I32},
    {"u2", "U16", 2, GR_I32}, {"u4", "U32", 4, GR_I64}, {"u8", "U64", 8, GR_I64},
};
enum { COUNT = sizeof elements / sizeof *elements };

const gr__element *gr__element_named(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(elements[i].name, name) == 0)
            return &elements[i];
    return NULL;
}

const gr__element *gr__element_safetensors(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(elements[i].safetensors, name) == 0)
            return &elements[i];
    return NULL;
}

const gr__element *gr__element_of(gr_dtype dtype)
{
    for (int i = 0; i < COUNT; i++)
        if (elements[i].dtype == dtype)
            return &elements[i];
    return NULL;
}

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float gr__half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) /* zero and denormals: fraction * 2^-24, exact */
        return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

float gr__bfloat16_to_float(uint16_t x)
{
    return float_of_bits((uint32_t)x << 16);
}

static bool machine_is_big_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 0;
}

static void swap_bytes(unsigned char *p, int64_t n, int64_t size)
{
    for (int64_t i = 0; i < n; i++, p += size)
        for (int64_t j = 0; j < size / 2; j++) {
            unsigned char c = p[j];
            p[j] = p[size - 1 - j];
            p[size - 1 - j] = c;
        }
}

/* n elements as in the file (byte order put right) to elements of an array. */
static gr_status widen(const gr__source *s, const gr__element *type, const unsigned char *from, int64_t n, void *to)
{
    float *f = to;
    int32_t *small = to;
    int64_t *large = to;
    uint16_t half;
    uint32_t word;
    uint64_t longest;
    char kind = type->name[0];
    for (int64_t i = 0; i < n; i++, from += type->size)
        if (type->size == 1) {
            small[i] = (int8_t)*from;
        } else if (type->size == 2) {
            memcpy(&half, from, 2);
            if (kind == 'f' || kind == 'b')
                f[i] = kind == 'f' ? gr__half_to_float(half) : gr__bfloat16_to_float(half);
            else
                small[i] = kind == 'i' ? (int16_t)half : half;
        } else if (type->size == 4) {
            memcpy(&word, from, 4);
            large[i] = word;
        } else {
            memcpy(&longest, from, 8);
            if (longest > INT64_MAX)
                return gr__source_fail(s, GR_ERANGE, "expected uint64 numbers up to 2^63 - 1, found %llu",
                    (unsigned long long)longest);
            large[i] = (int64_t)longest;
        }
    return GR_OK;
}

enum { PIECE = 4096 }; /* elements widened at a time */

gr_status gr__elements_read(gr__source *s, const gr__element *type, bool big_endian, gr_shape shape, gr_array **out)
{
    char text[200];
    int64_t n = gr_shape_size(shape);
    *out = NULL;
    if (n < 0)
        return gr__source_fail(
            s, GR_EFORMAT, "expected a possible shape, found %s", gr_shape_text(shape, text, sizeof text));
    GR_TRY(gr__source_has(s, n, type->size, "elements"));
    gr_array *a = gr__array_raw(s->who, type->dtype, shape);
    if (!a)
        return gr_error();
    bool swap = type->size > 1 && big_endian != machine_is_big_endian();
    gr_status status = GR_OK;
    if (gr__element_of(type->dtype) == type) {
        status = gr__source_read(s, a->first, n * type->size, "elements");
        if (swap && status == GR_OK)
            swap_bytes((unsigned char *)a->first, n, type->size);
        for (int64_t i = 0; i < n && type->dtype == GR_BOOL && status == GR_OK; i++)
            a->first[i] = a->first[i] != 0;
    } else {
        unsigned char piece[PIECE * 8];
        for (int64_t at = 0, m; at < n && status == GR_OK; at += m) {
            m = n - at < PIECE ? n - at : PIECE;
            status = gr__source_read(s, piece, m * type->size, "elements");
            if (swap && status == GR_OK)
                swap_bytes(piece, m, type->size);
            if (status == GR_OK)
                status = widen(s, type, piece, m, a->first + at * gr_dtype_size(type->dtype));
        }
    }
    if (status != GR_OK) {
        gr_array_free(a);
        return status;
    }
    *out = a;
    return GR_OK;
}
