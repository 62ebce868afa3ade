/* io/idx.c with io/source.c, io/gzip.c and io/elements.c under it. The compressed bytes were made by gzip. */
#include "io/idx.h"
#include "io/elements.h"
#include "tests/damage.h"
#include <math.h>
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Writes the bytes to a file, loads it, and says whether that went well. */
static gr_array *load_bytes(const void *bytes, size_t n)
{
    const char *path = gr_test_scratch("file.idx");
    gr_write_file(path, bytes, n);
    return gr_idx_load(path);
}

static void expect_error(gr_status status, const char *part, const char *why)
{
    GR_EXPECT(gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\", expected \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message(), part);
    gr_error_clear();
}

static void every_element_type_is_read(void)
{
    static const struct {
        const char *why;
        unsigned char bytes[40];
        size_t n;
        gr_dtype dtype;
        double want[2];
    } rows[] = {
        {"uint8", {0, 0, 8, 1, 0, 0, 0, 2, 7, 255}, 10, GR_U8, {7, 255}},
        {"int8", {0, 0, 9, 1, 0, 0, 0, 2, 0x80, 0xff}, 10, GR_I32, {-128, -1}},
        {"int16", {0, 0, 11, 1, 0, 0, 0, 2, 0x80, 0, 1, 2}, 12, GR_I32, {-32768, 258}},
        {"int32", {0, 0, 12, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe, 1, 0, 0, 0}, 16, GR_I32, {-2, 16777216}},
        {"float32", {0, 0, 13, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0}, 16, GR_F32, {1, -2.5}},
        {"float64", {0, 0, 14, 1, 0, 0, 0, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x40, 0x04, 0, 0, 0, 0, 0, 0}, 24, GR_F64,
            {1, 2.5}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_array *a = load_bytes(rows[i].bytes, rows[i].n);
        GR_EXPECT(a && gr_array_dtype(a) == rows[i].dtype && gr_array_size(a) == 2 &&
                      gr_array_at(a, 0) == rows[i].want[0] && gr_array_at(a, 1) == rows[i].want[1],
            "%s: %s", rows[i].why, a ? "other values" : gr_error_message());
        gr_error_clear();
        gr_array_free(a);
    }
}

static void what_is_wrong_is_named_with_what_was_expected(void)
{
    static const struct {
        const char *why;
        unsigned char bytes[48];
        size_t n;
        const char *part;
    } rows[] = {
        {"empty", {0}, 0, "expected 4 bytes of its head, found 0"},
        {"text", {'P', 'K', 3, 4}, 4, "expected an IDX file, which starts with two zero bytes, found 80, 75"},
        {"type 10", {0, 0, 10, 1, 0, 0, 0, 1, 0}, 9, "expected an element type of 8, 9, 11, 12, 13 or 14, found 10"},
        {"rank 0", {0, 0, 8, 0, 1}, 5, "expected a rank of 1 .. 8, found 0"},
        {"rank 9", {0, 0, 8, 9}, 4, "expected a rank of 1 .. 8, found 9"},
        {"sizes cut", {0, 0, 8, 2, 0, 0, 0, 1, 0, 0}, 10, "expected 4 bytes of its sizes, found 2"},
        {"one short", {0, 0, 8, 1, 0, 0, 0, 3, 1, 2}, 10, "expected 3 bytes of elements, found 2"},
        {"one over", {0, 0, 8, 1, 0, 0, 0, 1, 1, 2}, 10, "expected its end, found 1 more bytes"},
        {"4 GiB announced", {0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1}, 9,
            "expected 4294967295 bytes of elements, found 1"},
        {"2^64 elements", {0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 13,
            "expected a possible shape"},
        {"2^62 elements of 8 bytes", {0, 0, 14, 2, 0x80, 0, 0, 0, 0x80, 0, 0, 0}, 12, "less than 2^63 bytes"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_array *a = load_bytes(rows[i].bytes, rows[i].n);
        GR_EXPECT(!a, "%s: was read", rows[i].why);
        GR_EXPECT(strncmp(gr_error_message(), "idx_load: file /", 16) == 0, "%s: %s", rows[i].why, gr_error_message());
        expect_error(GR_EFORMAT, rows[i].part, rows[i].why);
        gr_array_free(a);
    }
    gr_array *none = load_bytes((const unsigned char[]){0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5}, 12);
    CU_ASSERT(none && gr_shape_equal(gr_array_shape(none), GR_SHAPE(0, 5)));
    gr_array_free(none);
}

static void what_is_no_plain_file_is_refused_without_waiting(void)
{
    const char *pipe = gr_test_scratch("pipe");
    CU_ASSERT_EQUAL(mkfifo(pipe, 0600), 0);
    CU_ASSERT_PTR_NULL(gr_idx_load(pipe));
    expect_error(GR_EIO, "expected a plain file, found a pipe", "a pipe");
    CU_ASSERT_PTR_NULL(gr_idx_load(gr_test_scratch("")));
    expect_error(GR_EIO, "expected a plain file, found a folder", "a folder");
    CU_ASSERT_PTR_NULL(gr_idx_load("/dev/zero"));
    expect_error(GR_EIO, "found a pipe, device or socket", "a device");
    CU_ASSERT_PTR_NULL(gr_idx_load(gr_test_scratch("absent")));
    expect_error(GR_EIO, "cannot be opened: No such file or directory", "no file");
    CU_ASSERT_PTR_NULL(gr_idx_load(NULL));
    expect_error(GR_EARG, "idx_load: argument path", "NULL");
    CU_ASSERT_PTR_NULL(gr_idx_load(""));
    expect_error(GR_EARG, "an empty one", "empty");
}

/* [2, 3] of 1 .. 6, by gzip -9n */
static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0xe0,
    0x60, 0x62, 0x60, 0x60, 0x00, 0x61, 0x66, 0x46, 0x26, 0x66, 0x16, 0x56, 0x36, 0x00, 0x48, 0x94, 0x3e, 0xe5, 0x12,
    0x00, 0x00, 0x00};

/* In a build without zlib a compressed file is refused, and says why. */
static bool without_zlib(void)
{
#ifdef GRAPE_MINIMAL
    CU_ASSERT_PTR_NULL(load_bytes(packed, sizeof packed));
    expect_error(GR_EMISSING, "this build of Grape has no zlib", "minimal build");
    return true;
#else
    return false;
#endif
}

static void a_compressed_file_is_read_as_if_it_were_not(void)
{
    if (without_zlib())
        return;
    gr_array *a = load_bytes(packed, sizeof packed);
    GR_EXPECT(a && gr_array_dim(a, 1) == 3 && gr_array_at(a, 5) == 6, "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(a);
}

static void members_join_and_anything_after_them_is_refused(void)
{
    if (without_zlib())
        return;
    unsigned char twice[2 * sizeof packed + 1];
    memcpy(twice, packed, sizeof packed);
    memcpy(twice + sizeof packed, packed, sizeof packed);
    CU_ASSERT_PTR_NULL(load_bytes(twice, 2 * sizeof packed)); /* the second one is 18 bytes too many */
    expect_error(GR_EFORMAT, "expected its end, found more bytes", "two members");
    static const unsigned char after[] = {0, 'x', 0x1f};
    for (size_t i = 0; i < COUNT(after); i++) {
        twice[sizeof packed] = after[i];
        CU_ASSERT_PTR_NULL(load_bytes(twice, sizeof packed + 1));
        expect_error(GR_EFORMAT,
            i == 2 ? "expected the end of its compressed data" : "expected nothing after its compressed data",
            "trailing garbage");
    }
    /* the same file, cut in the middle of its elements and packed as two members */
    static const unsigned char parts[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0xe0,
        0x60, 0x62, 0x60, 0x60, 0x00, 0x61, 0x66, 0x46, 0x26, 0x66, 0x00, 0x89, 0xbf, 0x86, 0x9b, 0x0f, 0x00, 0x00,
        0x00, 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x61, 0x65, 0x03, 0x00, 0xbe, 0x20,
        0x5c, 0x6c, 0x03, 0x00, 0x00, 0x00};
    gr_array *a = load_bytes(parts, sizeof parts);
    GR_EXPECT(a && gr_array_at(a, 0) == 1 && gr_array_at(a, 5) == 6, "%s", gr_error_message());
    gr_error_clear();
    gr_array_free(a);
}

static void a_size_that_no_compression_reaches_is_refused(void)
{
    if (without_zlib())
        return;
    /* the head of 2^31 bytes, compressed: 26 bytes cannot hold more than 1,032 times as much */
    static const unsigned char bomb[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0xe0,
        0x60, 0x6c, 0x60, 0x60, 0x60, 0x00, 0x00, 0x8f, 0xc2, 0x48, 0x59, 0x08, 0x00, 0x00, 0x00};
    CU_ASSERT_PTR_NULL(load_bytes(bomb, sizeof bomb));
    expect_error(GR_EFORMAT, "a file that can hold at most", "bomb");
    /* 2^31 bytes in a file that could just hold them, but 100 times 2 MiB is less */
    enum { LARGE = 2200000 };
    unsigned char *large = calloc(LARGE, 1);
    memcpy(large, bomb, sizeof bomb);
    CU_ASSERT_PTR_NULL(load_bytes(large, LARGE));
    expect_error(
        GR_EFORMAT, "expected elements of at most 256 MiB or 100 times the file, found 2147483648 bytes", "ratio");
    free(large);
}

static bool loads(const char *path)
{
    gr_array *a = gr_idx_load(path);
    gr_array_free(a);
    return a != NULL;
}

static void no_damage_goes_unnoticed_or_does_harm(void)
{
    static const unsigned char plain[] = {
        0, 0, 12, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    gr_damage d = gr_damage_all(plain, sizeof plain, loads);
    GR_EXPECT(
        d.tried > 200 && d.accepted < d.tried, "%d of %d taken", d.accepted, d.tried); /* elements may be anything */
#ifndef GRAPE_MINIMAL
    d = gr_damage_all(packed, sizeof packed, loads);
    GR_EXPECT(
        d.tried > 300 && d.accepted < 40, "%d of %d taken", d.accepted, d.tried); /* time and system in the head */
#endif
}

static void half_floats_widen_exactly(void)
{
    static const struct {
        uint16_t bits;
        float want;
    } rows[] = {{0x0000, 0}, {0x3c00, 1}, {0xc000, -2}, {0x7bff, 65504}, {0x0400, 0x1p-14f}, {0x0001, 0x1p-24f},
        {0x83ff, -1023 * 0x1p-24f}, {0x7c00, INFINITY}, {0xfc00, -INFINITY}, {0x3555, 0x1.554p-2f}};
    for (size_t i = 0; i < COUNT(rows); i++)
        GR_EXPECT(gr__half_to_float(rows[i].bits) == rows[i].want, "%04x gave %g", rows[i].bits,
            (double)gr__half_to_float(rows[i].bits));
    CU_ASSERT(isnan(gr__half_to_float(0x7e00)) && signbit(gr__half_to_float(0x8000)));
    CU_ASSERT(gr__bfloat16_to_float(0x3f80) == 1 && gr__bfloat16_to_float(0xc049) == -3.140625f);
}

static void mnist_is_what_it_is(void)
{
    char path[2000];
    const char *data = gr_test_data();
    if (without_zlib())
        return;
    snprintf(path, sizeof path, "%s/mnist/t10k-labels-idx1-ubyte.gz", data ? data : "");
    if (!data || access(path, R_OK) != 0) {
        gr_test_skip("no shared/data/mnist");
        return;
    }
    gr_array *labels = gr_idx_load(path);
    snprintf(path, sizeof path, "%s/mnist/t10k-images-idx3-ubyte.gz", data);
    gr_array *images = gr_idx_load(path);
    CU_ASSERT_FATAL(labels && images);
    CU_ASSERT(gr_shape_equal(gr_array_shape(images), GR_SHAPE(10000, 28, 28)));
    CU_ASSERT(gr_shape_equal(gr_array_shape(labels), GR_SHAPE(10000)));
    CU_ASSERT(gr_array_at(labels, 0) == 7 && gr_array_at(labels, 1) == 2 && gr_array_at(labels, 9999) == 6);
    gr_array_free(labels), gr_array_free(images);
}

GR_SUITE("io/idx.c", GR_TEST(every_element_type_is_read), GR_TEST(what_is_wrong_is_named_with_what_was_expected),
    GR_TEST(what_is_no_plain_file_is_refused_without_waiting),
    GR_TEST(a_compressed_file_is_read_as_if_it_were_not), GR_TEST(members_join_and_anything_after_them_is_refused),
    GR_TEST(a_size_that_no_compression_reaches_is_refused),
    GR_TEST(no_damage_goes_unnoticed_or_does_harm), GR_TEST(half_floats_widen_exactly), GR_TEST(mnist_is_what_it_is))
