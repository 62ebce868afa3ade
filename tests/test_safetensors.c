/* io/safetensors.c. Verdicts are those of the reference reader, safetensors 0.8.0, where a row does not say otherwise.
 */
#include "io/safetensors.h"
#include "core/mem.h"
#include "tests/damage.h"
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool built(void)
{
#ifdef GRAPE_MINIMAL
    CU_ASSERT_PTR_NULL(gr_safetensors_load("x"));
    CU_ASSERT(gr_error() == GR_EMISSING && strstr(gr_error_message(), "this build of Grape has no jansson"));
    gr_error_clear();
    return false;
#else
    return true;
#endif
}

static void expect_error(gr_status status, const char *part, const char *why)
{
    GR_EXPECT(gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\", expected \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message(), part);
    gr_error_clear();
}

/* A file of this header and n bytes of data, which count up from 0. */
static gr_safetensors *load_header(const char *header, size_t length, size_t n)
{
    const char *path = gr_test_scratch("file.safetensors");
    unsigned char *file = calloc(8 + length + n, 1);
    for (size_t i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < n; i++)
        file[8 + length + i] = (unsigned char)i;
    gr_write_file(path, file, 8 + length + n);
    free(file);
    return gr_safetensors_load(path);
}

#define T(dtype, shape, begin, end) \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

static void what_the_reference_accepts_is_read(void)
{
    static const struct {
        const char *why, *header;
        size_t bytes;
        int64_t arrays;
    } rows[] = {
        {"normal", "{\"a\":" T("F32", "2", 0, 8) "}", 8, 1},
        {"header order is not data order", "{\"b\":" T("U8", "2", 4, 6) ",\"a\":" T("I32", "1", 0, 4) "}", 6, 2},
        {"rank 0", "{\"a\":" T("F64", "", 0, 8) "}", 8, 1},
        {"empty ones at one place",
            "{\"a\":" T("F32", "0,3", 0, 0) ",\"b\":" T("F32", "0", 0, 0) ",\"c\":" T("U8", "1", 0, 1) "}", 1, 3},
        {"a field we do not know", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":[1]}}", 1, 1},
        {"texts", "{\"__metadata__\":{\"k\":\"v\",\"format\":\"pt\"},\"a\":" T("U8", "1", 0, 1) "}", 1, 1},
        {"nothing", "{}", 0, 0},
        {"an empty name", "{\"\":" T("U8", "1", 0, 1) "}", 1, 1},
        {"a name that would be a path", "{\"../../a\":" T("U8", "1", 0, 1) "}", 1, 1},
        {"blanks after it", "{\"a\":" T("U8", "1", 0, 1) "} \t\n  ", 1, 1},
        {"a name beyond ASCII", "{\"\xc3\xa4\\u00e4\":" T("U8", "1", 0, 1) "}", 1, 1},
    };
    if (!built())
        return;
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_safetensors *t = load_header(rows[i].header, strlen(rows[i].header), rows[i].bytes);
        GR_EXPECT(t && gr_safetensors_count(t) == rows[i].arrays, "%s: %s", rows[i].why, gr_error_message());
        gr_error_clear();
        gr_safetensors_free(t);
    }
}

static void what_the_reference_refuses_is_refused(void)
{
    static const struct {
        const char *why, *header;
        size_t bytes;
        gr_status status;
        const char *part;
    } rows[] = {
        {"a hole", "{\"a\":" T("U8", "1", 0, 1) ",\"b\":" T("U8", "1", 2, 3) "}", 3, GR_EFORMAT,
            "tensor b: expected its data at byte 1, found it at 2"},
        {"an overlap", "{\"a\":" T("U8", "2", 0, 2) ",\"b\":" T("U8", "2", 1, 3) "}", 3, GR_EFORMAT,
            "expected its data at byte 2"},
        {"the same bytes twice", "{\"a\":" T("U8", "2", 0, 2) ",\"b\":" T("U8", "2", 0, 2) "}", 2, GR_EFORMAT,
            "expected its data at byte 2"},
        {"a byte more", "{\"a\":" T("U8", "2", 0, 2) "}", 3, GR_EFORMAT, "expected 2 bytes of data, found 3"},
        {"a byte short", "{\"a\":" T("U8", "2", 0, 2) "}", 1, GR_EFORMAT, "expected 2 bytes of data, found 1"},
        {"data without an entry", "{}", 1, GR_EFORMAT, "expected 0 bytes of data, found 1"},
        {"end before begin", "{\"a\":" T("U8", "1", 1, 0) "}", 1, GR_EFORMAT, "begin <= end"},
        {"negative offset", "{\"a\":" T("U8", "1", -1, 0) "}", 1, GR_EFORMAT, "data_offsets"},
        {"one offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, GR_EFORMAT, "data_offsets"},
        {"negative size", "{\"a\":" T("U8", "-1", 0, 1) "}", 1, GR_EFORMAT, "sizes of 0 or more"},
        {"size that is no integer", "{\"a\":" T("U8", "1.0", 0, 1) "}", 1, GR_EFORMAT, "sizes of 0 or more"},
        {"sizes that do not agree", "{\"a\":" T("F32", "2", 0, 4) "}", 4, GR_EFORMAT,
            "expected as many bytes as F32 [2] has, found 4"},
        {"part of an element", "{\"a\":" T("F32", "1", 0, 5) "}", 5, GR_EFORMAT, "found 5"},
        {"a dtype nobody knows", "{\"a\":" T("F31", "1", 0, 4) "}", 4, GR_EDTYPE, "found F31"},
        {"small letters", "{\"a\":" T("f32", "1", 0, 4) "}", 4, GR_EDTYPE, "found f32"},
        {"8-bit floats (we hold none)", "{\"a\":" T("F8_E4M3", "1", 0, 1) "}", 1, GR_EDTYPE, "found F8_E4M3"},
        {"no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, GR_EFORMAT, "expected a shape"},
        {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, GR_EFORMAT,
            "expected an object with a dtype"},
        {"no object", "{\"a\":7}", 0, GR_EFORMAT, "expected an object with a dtype"},
        {"metadata that is no text", "{\"__metadata__\":{\"k\":1}}", 0, GR_EFORMAT,
            "expected a text as __metadata__ of k"},
        {"metadata that is no object", "{\"__metadata__\":[]}", 0, GR_EFORMAT, "expected an object of texts"},
        {"2^64 elements", "{\"a\":" T("U8", "4294967296,4294967296", 0, 0) "}", 0, GR_EFORMAT,
            "expected as many bytes"},
        {"a size beyond 64 bits", "{\"a\":" T("U8", "0,18446744073709551615,18446744073709551615", 0, 0) "}", 0,
            GR_EFORMAT, "expected JSON"},
        {"rank 9", "{\"a\":" T("U8", "1,1,1,1,1,1,1,1,1", 0, 1) "}", 1, GR_EFORMAT, "at most 8 sizes"},
        {"a name twice", "{\"a\":" T("U8", "1", 0, 1) ",\"a\":" T("U8", "1", 1, 2) "}", 2, GR_EFORMAT,
            "expected each name once, found a twice"},
        {"a list", "[]", 0, GR_EFORMAT, "expected JSON as its header, found at byte 0: no object"},
        {"texts twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, GR_EFORMAT, "found __metadata__ twice"},
        {"a name twice, the same entry", "{\"a\":" T("U8", "0", 0, 0) ",\"a\":" T("U8", "0", 0, 0) "}", 0, GR_EFORMAT,
            "found a twice"}, /* the reference takes this one */
        {"a field twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
            GR_EFORMAT, "duplicate"},
        {"no colon", "{\"a\" 1}", 0, GR_EFORMAT, "found at byte 5: no :"},
        {"no comma", "{\"__metadata__\":{} \"a\":1}", 0, GR_EFORMAT, "neither , nor }"},
        {"a comma too many", "{\"__metadata__\":{},}", 0, GR_EFORMAT, "no name"},
        {"no value", "{\"a\":}", 0, GR_EFORMAT, "no value"},
        {"brackets of two kinds", "{\"a\":[1}}", 0, GR_EFORMAT, "expected JSON"},
        {"not closed", "{\"__metadata__\":{}", 0, GR_EFORMAT, "neither , nor }"},
        {"a zero byte as name", "{\"\\u0000\":" T("U8", "0", 0, 0) "}", 0, GR_EFORMAT,
            "expected JSON"}, /* it takes this */
        {"no JSON", "{\"a\":", 0, GR_EFORMAT, "expected JSON as its header, found at byte"},
        {"more after it", "{}{}", 0, GR_EFORMAT, "expected JSON"},
        {"half a surrogate", "{\"\\ud800\":" T("U8", "1", 0, 1) "}", 1, GR_EFORMAT, "expected JSON"},
        {"no UTF-8", "{\"\xff\":" T("U8", "1", 0, 1) "}", 1, GR_EFORMAT, "expected JSON"},
    };
    if (!built())
        return;
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_safetensors *t = load_header(rows[i].header, strlen(rows[i].header), rows[i].bytes);
        GR_EXPECT(!t, "%s: was read", rows[i].why);
        expect_error(rows[i].status, rows[i].part, rows[i].why);
        gr_safetensors_free(t);
    }
}

static void lengths_and_depths_are_limited(void)
{
    if (!built())
        return;
    static const struct {
        const char *why;
        uint64_t length;
        const char *part;
    } rows[] = {
        {"none", 0, "expected a header of 2 .. 100000000 bytes, found 0"},
        {"one over the limit", 100000001, "found 100000001"},
        {"2^64 - 1", UINT64_MAX, "found 18446744073709551615"},
        {"2^63", UINT64_C(1) << 63, "found 9223372036854775808"},
        {"more than there is", 3, "expected 3 bytes of header, found 2"},
        {"much more than there is", 100000000, "expected 100000000 bytes of header, found 2"},
    };
    const char *path = gr_test_scratch("length.safetensors");
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char file[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        for (int k = 0; k < 8; k++)
            file[k] = (unsigned char)(rows[i].length >> 8 * k);
        gr_write_file(path, file, sizeof file);
        int64_t before = gr_allocation_count();
        GR_EXPECT(!gr_safetensors_load(path) && gr_allocation_count() - before < 4, "%s", rows[i].why);
        expect_error(GR_EFORMAT, rows[i].part, rows[i].why);
    }
    char deep[200] = "{\"__metadata__\":{\"k\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"},\"a\":"
                     "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":";
    size_t start = strlen(deep);
    for (int depth = 30; depth <= 31; depth++) { /* two are open already */
        deep[start] = '\0';
        for (int i = 0; i < depth; i++)
            strcat(deep, "[");
        for (int i = 0; i < depth; i++)
            strcat(deep, "]");
        strcat(deep, "}}");
        gr_safetensors *t = load_header(deep, strlen(deep), 1);
        GR_EXPECT((t != NULL) == (depth == 30), "depth %d: %s", depth + 2, gr_error_message());
        gr_error_clear();
        gr_safetensors_free(t);
    }
    char *bomb = malloc(1000000);
    memset(bomb, '[', 1000000);
    CU_ASSERT_PTR_NULL(load_header(bomb, 1000000, 0));
    expect_error(GR_EFORMAT, "nested to a depth of at most 32", "a million brackets");
    free(bomb);
}

static void elements_are_widened(void)
{
    static const struct {
        const char *type;
        int64_t size;
        gr_dtype dtype;
        double first, second;
    } rows[] = {
        /* of the bytes 0, 1, 2, ... */
        {"BOOL", 1, GR_BOOL, 0, 1},
        {"U8", 1, GR_U8, 0, 1},
        {"I8", 1, GR_I32, 0, 1},
        {"I16", 2, GR_I32, 0x0100, 0x0302},
        {"U16", 2, GR_I32, 0x0100, 0x0302},
        {"I32", 4, GR_I32, 0x03020100, 0x07060504},
        {"U32", 4, GR_I64, 0x03020100, 0x07060504},
        {"F16", 2, GR_F32, 0x1.0000000000000p-16, 0x1.8100000000000p-15},
        {"BF16", 2, GR_F32, 0x1.0000000000000p-125, 0x1.0400000000000p-121},
    };
    if (!built())
        return;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char header[200];
        snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,%d]}}",
            rows[i].type, (int)(2 * rows[i].size));
        gr_safetensors *t = load_header(header, strlen(header), (size_t)(2 * rows[i].size));
        const gr_array *a = t ? gr_safetensors_get(t, "a") : NULL;
        double second = a ? gr_array_at(a, 1) : 0;
        GR_EXPECT(
            a && gr_array_dtype(a) == rows[i].dtype && gr_array_at(a, 0) == rows[i].first && second == rows[i].second,
            "%s: %s", rows[i].type, gr_error_message());
        gr_error_clear();
        gr_safetensors_free(t);
    }
}

static gr_status save_two(const char *path, gr_named_array *arrays)
{
    return gr_safetensors_save(
        path, 3, arrays, 2, (gr_named_text[]){{"grape", "{\"layers\": [\"\xc3\xa4\"]}"}, {"empty", ""}});
}

static void what_is_saved_comes_back_in_the_reference_writers_layout(void)
{
    if (!built())
        return;
    const char *path = gr_test_scratch("saved.safetensors");
    gr_array *flat = gr_array_from(GR_F32, GR_SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    gr_named_array arrays[] = {{"z", gr_array_transpose(flat, GR_RANK0)},
        {"b\"\n", gr_array_new(GR_U8, GR_SHAPE(0, 2))}, {"a", gr_array_from(GR_F64, GR_RANK0, &(double){0.1})}};
    CU_ASSERT_EQUAL(save_two(path, arrays), GR_OK);
    size_t n;
    unsigned char *bytes = gr_read_file(path, &n);
    static const char header[] =
        "{\"__metadata__\":{\"grape\":\"{\\\"layers\\\": [\\\"\xc3\xa4\\\"]}\",\"empty\":\"\"},"
        "\"a\":" T("F64", "", 0, 8) ",\"z\":" T("F32", "3,2", 8, 32) ",\"b\\\"\\n\":" T("U8", "0,2", 32, 32) "}";
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    GR_EXPECT(n == 8 + padded + 32 && bytes[0] == padded % 256 && bytes[1] == padded / 256 &&
            memcmp(bytes + 8, header, sizeof header - 1) == 0,
        "%zu bytes: %.300s", n, (char *)bytes + 8);
    free(bytes);
    gr_safetensors *t = gr_safetensors_load(path);
    GR_EXPECT(t && gr_safetensors_count(t) == 3 && gr_safetensors_meta_count(t) == 2, "%s", gr_error_message());
    for (int i = 0; i < 3 && t; i++)
        CU_ASSERT(gr_array_equal(gr_safetensors_get(t, arrays[i].name), arrays[i].array));
    CU_ASSERT_STRING_EQUAL(gr_safetensors_name(t, 0), "a");
    CU_ASSERT_STRING_EQUAL(gr_safetensors_meta(t, "grape"), "{\"layers\": [\"\xc3\xa4\"]}");
    CU_ASSERT_STRING_EQUAL(gr_safetensors_meta(t, "empty"), "");
    CU_ASSERT_STRING_EQUAL(gr_safetensors_meta_key(t, 1), "empty");
    CU_ASSERT(!gr_safetensors_meta(t, "other") && !gr_safetensors_meta(NULL, "x") && gr_safetensors_find(t, "q") == -1);
    CU_ASSERT_EQUAL(gr_error(), GR_OK);
    CU_ASSERT_PTR_NULL(gr_safetensors_get(t, "q"));
    expect_error(GR_ENAME, "unknown name \"q\"; known ones are a, b", "unknown");
    CU_ASSERT(!gr_safetensors_at(t, 3) && !gr_safetensors_name(t, -1) && !gr_safetensors_meta_key(t, 2));
    expect_error(GR_ERANGE, "expected 0 .. 2, found 3", "outside");
    CU_ASSERT(gr_safetensors_count(NULL) == 0 && !gr_safetensors_get(NULL, "a"));
    expect_error(GR_EARG, "found NULL", "NULL");
    gr_safetensors_free(t);
    for (int i = 0; i < 3; i++)
        gr_array_free((gr_array *)(uintptr_t)arrays[i].array);
    gr_array_free(flat);
}

static void impossible_saves_leave_the_old_file(void)
{
    if (!built())
        return;
    const char *path = gr_test_scratch("kept.safetensors");
    gr_array *a = gr_array_new(GR_F32, GR_SHAPE(2));
    CU_ASSERT_EQUAL(gr_safetensors_save(path, 1, (gr_named_array[]){{"a", a}}, 0, NULL), GR_OK);
    const struct {
        const char *why, *path;
        gr_named_array arrays[2];
        gr_named_text text;
        gr_status status;
        const char *part;
    } rows[] = {
        {"a name twice", path, {{"a", a}, {"a", a}}, {"k", "v"}, GR_EARG, "expected each name once, found a twice"},
        {"no array", path, {{"a", a}, {"b", NULL}}, {"k", "v"}, GR_EARG, "found no array as number 1"},
        {"no name", path, {{NULL, a}, {"b", a}}, {"k", "v"}, GR_EARG, "found no name as number 0"},
        {"the name of the texts", path, {{"__metadata__", a}, {"b", a}}, {"k", "v"}, GR_EARG, "found __metadata__"},
        {"a name that is no UTF-8", path, {{"\xff", a}, {"b", a}}, {"k", "v"}, GR_EARG, "in UTF-8"},
        {"a text that is no UTF-8", path, {{"a", a}, {"b", a}}, {"k", "\xc3"}, GR_EARG, "in UTF-8, found k"},
        {"no text", path, {{"a", a}, {"b", a}}, {"k", NULL}, GR_EARG, "expected a key and a text"},
        {"no folder", "/no/such/x", {{"a", a}, {"b", a}}, {"k", "v"}, GR_EIO, "cannot be written"},
        {"no path", NULL, {{"a", a}, {"b", a}}, {"k", "v"}, GR_EARG, "expected a path"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        GR_EXPECT(gr_safetensors_save(rows[i].path, 2, rows[i].arrays, 1, &rows[i].text) == rows[i].status, "%s",
            rows[i].why);
        expect_error(rows[i].status, rows[i].part, rows[i].why);
    }
    gr_safetensors *t = gr_safetensors_load(path);
    CU_ASSERT(t && gr_safetensors_count(t) == 1);
    gr_safetensors_free(t);
    CU_ASSERT_EQUAL(gr_safetensors_save(path, 0, NULL, 0, NULL), GR_OK);
    t = gr_safetensors_load(path);
    CU_ASSERT(t && gr_safetensors_count(t) == 0);
    gr_safetensors_free(t);
    gr_array_free(a);
}

static bool loads(const char *path)
{
    gr_safetensors *t = gr_safetensors_load(path);
    gr_safetensors_free(t);
    return t != NULL;
}

static void no_damage_does_harm(void)
{
    if (!built())
        return;
    static const char header[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"a\":" T("I16", "1,2", 0, 4) ",\"b\":" T("U8", "2", 4, 6) "}  ";
    unsigned char file[200] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    gr_damage d = gr_damage_all(file, 8 + sizeof header - 1 + 6, loads);
    GR_EXPECT(d.tried > 1500 && d.accepted < d.tried / 5, "%d of %d taken", d.accepted, d.tried);
}

/* Seconds of processor time that it takes to load n arrays. */
static double time_to_load(int n)
{
    gr_named_array *arrays = malloc((size_t)n * sizeof *arrays);
    char(*names)[16] = malloc((size_t)n * sizeof *names);
    gr_array *a = gr_array_new(GR_U8, GR_SHAPE(1));
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "w%d", i);
        arrays[i] = (gr_named_array){names[i], a};
    }
    const char *path = gr_test_scratch("many.safetensors");
    CU_ASSERT_EQUAL(gr_safetensors_save(path, n, arrays, 0, NULL), GR_OK);
    clock_t start = clock();
    gr_safetensors *t = gr_safetensors_load(path);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CU_ASSERT(t && gr_safetensors_count(t) == n && gr_safetensors_find(t, names[n - 1]) >= 0);
    gr_safetensors_free(t);
    gr_array_free(a);
    free(arrays), free(names);
    return seconds;
}

/* 100,000 take 0.2 s; what counts here is that eight times as many do not take 64 times as long. */
static void the_time_grows_with_the_number_of_arrays_not_its_square(void)
{
    if (!built())
        return;
    double few = time_to_load(4000), many = time_to_load(32000);
    GR_EXPECT(many < 25 * few + 0.1, "%.3f s for 4,000, %.3f s for 32,000", few, many);
}

GR_SUITE("io/safetensors.c", GR_TEST(what_the_reference_accepts_is_read),
    GR_TEST(what_the_reference_refuses_is_refused), GR_TEST(lengths_and_depths_are_limited),
    GR_TEST(elements_are_widened), GR_TEST(what_is_saved_comes_back_in_the_reference_writers_layout),
    GR_TEST(impossible_saves_leave_the_old_file), GR_TEST(no_damage_does_harm),
    GR_TEST(the_time_grows_with_the_number_of_arrays_not_its_square))
