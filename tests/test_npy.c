/* io/npy.c. Headers are spelled out here; those of NumPy itself are in tests/fixtures, which test_npz.c reads. */
#include "io/npy.h"
#include "core/mem.h"
#include "tests/damage.h"
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void expect_error(gr_status status, const char *part, const char *why)
{
    GR_EXPECT(gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\", expected \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message(), part);
    gr_error_clear();
}

/* A file of this version, header and data. */
static size_t compose(unsigned char *out, int version, const char *header, const void *data, size_t n)
{
    size_t length = strlen(header), at = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version;
    out[7] = 0;
    for (size_t i = 8; i < at; i++)
        out[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(out + at, header, length);
    memcpy(out + at + length, data, n);
    return at + length + n;
}

static gr_array *load(int version, const char *header, const void *data, size_t n)
{
    static unsigned char file[70000];
    const char *path = gr_test_scratch("file.npy");
    gr_write_file(path, file, compose(file, version, header, data, n));
    return gr_npy_load(path);
}

static void what_numpy_writes_and_takes_is_read(void)
{
    static const struct {
        const char *why;
        int version;
        const char *header;
        unsigned char data[32];
        size_t n;
        const char *type;
        double want[4];
    } rows[] = {
        {"float32", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n",
            {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}, 8, "float32 [2]", {1, -2.5}},
        {"version 2", 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n",
            {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}, 8, "float32 [2]", {1, -2.5}},
        {"version 3", 3, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }\n",
            {0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0}, 8, "float32 [2]", {1, -2.5}},
        {"other order of keys, other quotes, no padding", 1,
            "{\"shape\":(1,2),\"fortran_order\":False,\"descr\":\"|u1\"}", {7, 9}, 2, "uint8 [1, 2]", {7, 9}},
        {"rank 0", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", {5, 0, 0, 0, 0, 0, 0, 0x80}, 8,
            "int64 []", {-9223372036854775803.0}},
        {"Fortran order", 1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }", {0, 0, 2, 0, 1, 0, 3, 0}, 8,
            "int32 [2, 2]", {0, 1, 2, 3}},
        {"Fortran order of one axis", 1, "{'descr': '|i1', 'fortran_order': True, 'shape': (2,), }", {0x80, 1}, 2,
            "int32 [2]", {-128, 1}},
        {"bool bytes other than 1", 1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", {0, 2, 255}, 3,
            "bool [3]", {0, 1, 1}},
        {"half", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", {0, 0xc0}, 2, "float32 [1]", {-2}},
        {"uint16 big", 1, "{'descr': '>u2', 'fortran_order': False, 'shape': (1,), }", {0xff, 0xfe}, 2, "int32 [1]",
            {65534}},
        {"uint32", 1, "{'descr': '<u4', 'fortran_order': False, 'shape': (1,), }", {255, 255, 255, 255}, 4, "int64 [1]",
            {4294967295.0}},
        {"uint64 that fits", 1, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }",
            {1, 0, 0, 0, 0, 0, 0, 0x40}, 8, "int64 [1]", {4611686018427387904.0}},
        {"Python 2's long", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 0L), }", {0}, 0,
            "float64 [1, 0]", {0}},
        {"native order", 1, "{'descr': '=i4', 'fortran_order': False, 'shape': (1,), }", {1, 1, 0, 0}, 4, "int32 [1]",
            {257}},
        {"nothing in it", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", {0}, 0, "float64 [0, 3]",
            {0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char type[200] = "";
        gr_array *a = load(rows[i].version, rows[i].header, rows[i].data, rows[i].n);
        bool same =
            a && strcmp(gr_type_text(gr_array_dtype(a), gr_array_shape(a), type, sizeof type), rows[i].type) == 0;
        for (int64_t k = 0; same && k < gr_array_size(a); k++)
            same = gr_array_at(a, k) == rows[i].want[k];
        GR_EXPECT(same, "%s: %s %s", rows[i].why, type, gr_error_message());
        gr_error_clear();
        gr_array_free(a);
    }
}

static void what_is_wrong_is_refused_before_memory_is_taken(void)
{
    static const struct {
        const char *why, *header;
        gr_status status;
        const char *part;
    } rows[] = {
        /* 8 bytes of data each */
        {"short", "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", GR_EFORMAT,
            "expected 12 bytes of elements, found 8"},
        {"bytes after it", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", GR_EFORMAT,
            "found 4 more bytes"},
        {"negative", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", GR_EFORMAT,
            "expected a size of 0 or more"},
        {"2^64 elements", "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", GR_EFORMAT,
            "expected a possible shape"},
        {"2^62 of 8 bytes", "{'descr': '<f8', 'fortran_order': False, 'shape': (2147483648, 2147483648), }", GR_EFORMAT,
            "less than 2^63 bytes"},
        {"7 TiB", "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", GR_EFORMAT, "found 8"},
        {"beyond int64", "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775808,), }", GR_EFORMAT,
            "below 2^63"},
        {"objects", "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", GR_EDTYPE,
            "found |O (objects are never read)"},
        {"text", "{'descr': '<U2', 'fortran_order': False, 'shape': (1,), }", GR_EDTYPE, "found <U2"},
        {"complex", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", GR_EDTYPE, "found <c8"},
        {"our own name for bfloat16", "{'descr': '<bf16', 'fortran_order': False, 'shape': (4,), }", GR_EDTYPE,
            "found <bf16"},
        {"structure", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", GR_EDTYPE,
            "found a structured type"},
        {"no byte order", "{'descr': 'f4', 'fortran_order': False, 'shape': (2,), }", GR_EDTYPE, "found f4"},
        {"byte order that does not matter", "{'descr': '|f4', 'fortran_order': False, 'shape': (2,), }", GR_EFORMAT,
            "expected a byte order"},
        {"list as shape", "{'descr': '<f4', 'fortran_order': False, 'shape': [2], }", GR_EFORMAT,
            "expected a tuple of sizes"},
        {"number as shape", "{'descr': '<f4', 'fortran_order': False, 'shape': 2, }", GR_EFORMAT,
            "expected a tuple of sizes"},
        {"number in brackets", "{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", GR_EFORMAT,
            "expected a tuple"},
        {"rank 9", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", GR_EFORMAT,
            "at most 8 dimensions"},
        {"extra key", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", GR_EFORMAT,
            "once each in its header, found x"},
        {"key twice", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", GR_EFORMAT,
            "found descr"},
        {"missing key", "{'descr': '<f4', 'shape': (2,)}", GR_EFORMAT, "in its header, found fewer"},
        {"no comma", "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", GR_EFORMAT, "expected , or }"},
        {"not closed", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", GR_EFORMAT, "expected , or }"},
        {"more after it", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", GR_EFORMAT,
            "expected nothing after }"},
        {"neither true nor false", "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", GR_EFORMAT,
            "expected True or False"},
        {"no dict", "[]", GR_EFORMAT, "expected { in its header, found \"[]\""},
        {"empty", "", GR_EFORMAT, "expected {"},
        {"quote not closed", "{'descr", GR_EFORMAT, "expected a key"},
        {"escape", "{'de\\x73cr': '<f4'}", GR_EFORMAT, "expected a key"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_array *a = load(1, rows[i].header, "abcdefgh", 8);
        GR_EXPECT(!a, "%s: was read", rows[i].why);
        expect_error(rows[i].status, rows[i].part, rows[i].why);
        gr_array_free(a);
    }
}

static void impossible_heads_are_refused(void)
{
    static const struct {
        const char *why;
        char bytes[16];
        size_t n;
        const char *part;
    } rows[] = {
        {"empty", "", 0, "expected 8 bytes of its head, found 0"},
        {"text", "hello, world", 12, "expected an npy file"},
        {"version 0", "\x93NUMPY\0\0\0\0", 10, "found 0.0"},
        {"version 4", "\x93NUMPY\4\0\0\0", 10, "expected version 1.0, 2.0 or 3.0, found 4.0"},
        {"version 1.1", "\x93NUMPY\1\1\0\0", 10, "found 1.1"},
        {"4 GiB of header", "\x93NUMPY\2\0\xff\xff\xff\xff", 12, "header of at most 65536 bytes, found 4294967295"},
        {"a header that is not there", "\x93NUMPY\1\0\x40\0", 10, "expected 64 bytes of header, found 0"},
        {"a zero byte", "\x93NUMPY\1\0\2\0{\0", 12, "found a zero byte"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *path = gr_test_scratch("head.npy");
        gr_write_file(path, rows[i].bytes, rows[i].n);
        GR_EXPECT(!gr_npy_load(path), "%s", rows[i].why);
        expect_error(GR_EFORMAT, rows[i].part, rows[i].why);
    }
    /* the limit of the header itself */
    char *header = malloc(65538);
    memset(header, ' ', 65537);
    memcpy(header, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", 57);
    header[65537] = '\0';
    CU_ASSERT_PTR_NULL(load(2, header, "x", 1));
    expect_error(GR_EFORMAT, "found 65537", "limit + 1");
    header[65536] = '\0';
    gr_array *a = load(2, header, "x", 1);
    CU_ASSERT_PTR_NOT_NULL(a);
    gr_array_free(a);
    free(header);
}

static void files_are_written_as_numpy_writes_them(void)
{
    const char *path = gr_test_scratch("out.npy");
    gr_array *a = gr_array_from(GR_F32, GR_SHAPE(1, 2), (float[]){1, -2.5f});
    CU_ASSERT_EQUAL(gr_npy_save(path, a), GR_OK);
    size_t n;
    unsigned char *bytes = gr_read_file(path, &n);
    static const char want[] = "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }"
                               "                                                          \n\0\0\x80\x3f\0\0\x20\xc0";
    GR_EXPECT(n == 136 && memcmp(bytes, want, 136) == 0, "%zu bytes", n);
    free(bytes);
    gr_array_free(a);
}

static void every_dtype_and_layout_comes_back(void)
{
    const char *path = gr_test_scratch("round.npy");
    for (int t = GR_F32; t < GR_DTYPE_COUNT; t++)
        for (int layout = 0; layout < 4; layout++) {
            gr_array *a = gr_array_from(GR_F64, GR_SHAPE(2, 3), (double[]){0, 1, 2, 3, 4, 200}), *b = NULL;
            gr_array_cast(a, (gr_dtype)t);
            if (layout == 1)
                b = gr_array_transpose(a, GR_RANK0);
            else if (layout == 2)
                b = gr_array_slice(a, 1, 0, 0, 1);
            else if (layout == 3)
                gr_array_reshape(a, GR_SHAPE(1, 1, 1, 1, 1, 1, 6, 1));
            CU_ASSERT_EQUAL(gr_npy_save(path, b ? b : a), GR_OK);
            gr_array *back = gr_npy_load(path);
            GR_EXPECT(back && gr_array_equal(back, b ? b : a), "%s, layout %d", gr_dtype_name((gr_dtype)t), layout);
            gr_array_free(a), gr_array_free(b), gr_array_free(back);
        }
    gr_array *one = gr_array_from(GR_I64, GR_RANK0, &(int64_t){INT64_MIN});
    CU_ASSERT_EQUAL(gr_npy_save(path, one), GR_OK);
    gr_array *back = gr_npy_load(path);
    CU_ASSERT(back && gr_array_equal(one, back));
    gr_array_free(one), gr_array_free(back);
}

static void a_uint64_that_does_not_fit_is_named(void)
{
    CU_ASSERT_PTR_NULL(load(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", "\0\0\0\0\0\0\0\x80", 8));
    expect_error(GR_ERANGE, "found 9223372036854775808", "uint64");
}

static bool loads(const char *path)
{
    gr_array *a = gr_npy_load(path);
    gr_array_free(a);
    return a != NULL;
}

static void no_damage_does_harm(void)
{
    static const char *const headers[] = {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n",
        "{'descr': '>u4', 'fortran_order': True, 'shape': (1, 2), }\n",
        "{'descr': '|b1', 'fortran_order': False, 'shape': (8,), }\n"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        unsigned char file[200];
        size_t n = compose(file, (int)i + 1, headers[i], "abcdefgh", 8);
        gr_damage d = gr_damage_all(file, n, loads);
        GR_EXPECT(d.tried > 900 && d.accepted < d.tried / 4, "%d of %d taken", d.accepted, d.tried);
    }
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void)
{
    gr_array *a = gr_array_new(GR_F32, GR_SHAPE(3));
    CU_ASSERT_EQUAL(gr_npy_save(gr_test_scratch("no/such/folder.npy"), a), GR_EIO);
    expect_error(GR_EIO, "folder.npy: cannot be written: No such file or directory", "no folder");
    CU_ASSERT_EQUAL(gr_npy_save(gr_test_scratch(""), a), GR_EIO);
    expect_error(GR_EIO, "found a folder", "a folder");
    CU_ASSERT(gr_npy_save(NULL, a) == GR_EARG && gr_npy_save("x", NULL) == GR_EARG);
    gr_error_clear();
    gr_array_free(a);
}

GR_SUITE("io/npy.c", GR_TEST(what_numpy_writes_and_takes_is_read),
    GR_TEST(what_is_wrong_is_refused_before_memory_is_taken), GR_TEST(impossible_heads_are_refused),
    GR_TEST(files_are_written_as_numpy_writes_them), GR_TEST(every_dtype_and_layout_comes_back),
    GR_TEST(a_uint64_that_does_not_fit_is_named), GR_TEST(no_damage_does_harm),
    GR_TEST(a_file_that_cannot_be_written_leaves_the_old_one))
