/* io/npz.c and io/zip_layout.c. Good archives by NumPy; hostile ones are put together here, byte by byte. */
#include "io/npz.h"
#include "io/npy.h"
#include "tests/damage.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool built(void)
{
#ifdef GRAPE_MINIMAL
    CU_ASSERT_PTR_NULL(gr_npz_load("x"));
    CU_ASSERT(gr_error() == GR_EMISSING && strstr(gr_error_message(), "this build of Grape has no libzip"));
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

static void what_numpy_stores_is_read(void)
{
    static const char *const types[] = {"lf2 float32", "lf4 float32", "bf4 float32", "lf8 float64", "bf8 float64",
        "ni1 int32", "li2 int32", "bi2 int32", "li4 int32", "bi4 int32", "li8 int64", "bi8 int64", "nu1 uint8",
        "lu2 int32", "lu4 int64", "bu4 int64", "lu8 int64", "nb1 bool"};
    if (!built())
        return;
    gr_npz *z = gr_npz_load(gr_test_fixture("numpy.npz"));
    GR_EXPECT(z != NULL, "%s", gr_error_message());
    if (!z)
        return;
    CU_ASSERT_EQUAL(gr_npz_count(z), (int64_t)COUNT(types) + 4);
    for (size_t i = 0; i < COUNT(types); i++) {
        char name[4] = {types[i][0], types[i][1], types[i][2], 0};
        const gr_array *a = gr_npz_at(z, (int64_t)i);
        bool same = a == gr_npz_get(z, name) && strcmp(gr_dtype_name(gr_array_dtype(a)), types[i] + 4) == 0 &&
                    gr_shape_equal(gr_array_shape(a), GR_SHAPE(2, 3));
        for (int k = 0; same && k < 6; k++)
            same = gr_array_at(a, k) == (i + 1 == COUNT(types) ? k % 2 : k);
        GR_EXPECT(same && strcmp(gr_npz_name(z, (int64_t)i), name) == 0, "%s", types[i]);
    }
    const gr_array *f = gr_npz_get(z, "fortran");
    CU_ASSERT(gr_array_is_contiguous(f) && gr_array_at(f, 23) == 23 && gr_array_at(f, 5) == 5);
    CU_ASSERT(gr_array_at(gr_npz_get(z, "rank0"), 0) == 2.5 && gr_array_dim(gr_npz_get(z, "empty"), 1) == 5);
    CU_ASSERT_EQUAL(gr_array_at(gr_npz_get(z, "folder/name"), 0), 7);
    CU_ASSERT_EQUAL(gr_npz_find(z, "folder"), -1);
    CU_ASSERT_PTR_NULL(gr_npz_get(z, "lf5"));
    expect_error(GR_ENAME, "unknown name \"lf5\"; known ones are lf2, lf4, bf4", "unknown");
    CU_ASSERT_PTR_NULL(gr_npz_at(z, 22));
    expect_error(GR_ERANGE, "argument i: expected 0 .. 21, found 22", "outside");
    gr_npz_free(z);
    CU_ASSERT(gr_npz_count(NULL) == 0 && !gr_npz_get(NULL, "x") && gr_npz_find(NULL, "x") == -1);
    expect_error(GR_EARG, "expected an archive, found NULL", "NULL");
}

static void deflated_fixtures_are_read(void)
{
    if (!built())
        return;
    static const char *const names[] = {"losses.npz", "layers.npz", "callbacks.npz"};
    for (size_t i = 0; i < COUNT(names); i++) {
        gr_npz *z = gr_npz_load(gr_test_fixture(names[i]));
        GR_EXPECT(z && gr_npz_count(z) > 3, "%s: %s", names[i], gr_error_message());
        gr_error_clear();
        gr_npz_free(z);
    }
}

/* ---- archives by hand -------------------------------------------------------------------------------------------- */

typedef struct {
    unsigned char byte[4096];
    size_t n;
    size_t local[4], entry[4], end; /* where heads lie */
} archive;

static void put(archive *a, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        a->byte[a->n++] = (unsigned char)(x >> 8 * i);
}
static void put_bytes(archive *a, const void *p, size_t n)
{
    memcpy(a->byte + a->n, p, n);
    a->n += n;
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

/* Stored members; each a .npy of two bytes. */
static archive make_archive(const char *const *names, int n)
{
    archive a = {.n = 0};
    static const char header[] = "\x93NUMPY\1\0\x3a\0{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";
    unsigned char member[80];
    size_t size = sizeof header - 1 + 2;
    memcpy(member, header, size - 2);
    member[size - 2] = 5, member[size - 1] = 6;
    uint32_t crc = crc32_of(member, size);
    for (int i = 0; i < n; i++) {
        a.local[i] = a.n;
        put(&a, 0x04034b50, 4), put(&a, 20, 2), put(&a, 0, 2), put(&a, 0, 2), put(&a, 0, 2), put(&a, 0x21, 2),
            put(&a, crc, 4);
        put(&a, size, 4), put(&a, size, 4), put(&a, strlen(names[i]), 2), put(&a, 0, 2),
            put_bytes(&a, names[i], strlen(names[i]));
        put_bytes(&a, member, size);
    }
    size_t start = a.n;
    for (int i = 0; i < n; i++) {
        a.entry[i] = a.n;
        put(&a, 0x02014b50, 4), put(&a, 20, 2), put(&a, 20, 2), put(&a, 0, 2), put(&a, 0, 2), put(&a, 0, 2),
            put(&a, 0x21, 2);
        put(&a, crc, 4), put(&a, size, 4), put(&a, size, 4), put(&a, strlen(names[i]), 2), put(&a, 0, 2), put(&a, 0, 2);
        put(&a, 0, 2), put(&a, 0, 2), put(&a, 0, 4), put(&a, a.local[i], 4), put_bytes(&a, names[i], strlen(names[i]));
    }
    a.end = a.n;
    size_t bytes = a.n - start;
    put(&a, 0x06054b50, 4), put(&a, 0, 2), put(&a, 0, 2), put(&a, (uint64_t)n, 2), put(&a, (uint64_t)n, 2),
        put(&a, bytes, 4);
    put(&a, start, 4), put(&a, 0, 2);
    return a;
}

static gr_npz *load_archive(const archive *a)
{
    const char *path = gr_test_scratch("made.npz");
    gr_write_file(path, a->byte, a->n);
    return gr_npz_load(path);
}

static void set(archive *a, size_t at, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        a->byte[at + (size_t)i] = (unsigned char)(x >> 8 * i);
}

static void hostile_archives_are_refused(void)
{
    static const char *const two[] = {"a.npy", "b.npy"}, *const same[] = {"a.npy", "a.npy"};
    if (!built())
        return;
    archive good = make_archive(two, 2), bad;
    gr_npz *z = load_archive(&good);
    GR_EXPECT(z && gr_npz_count(z) == 2 && gr_array_at(gr_npz_get(z, "b"), 1) == 6, "%s", gr_error_message());
    gr_error_clear();
    gr_npz_free(z);
    const size_t packed = 20, size = 24, place = 42, flags = 8, method = 10, local_size = 22;
    const struct {
        const char *why;
        size_t at;
        uint64_t value;
        int bytes;
        const char *part;
    } rows[] = {
        {"both entries are one member", good.entry[1] + place, 0, 4, "two that overlap"},
        {"a member that reaches into the next", good.entry[0] + packed, 90, 4, "two that overlap"},
        {"a member that reaches into the directory", good.entry[1] + packed, 90, 4, "two that overlap"},
        {"a member beyond the file", good.entry[1] + place, 1 << 20, 4, "two that overlap"},
        {"4 GiB packed", good.entry[1] + packed, 0xfffffffe, 4, "two that overlap"},
        {"sizes of local and central head disagree", good.local[0] + local_size, 60, 4, ""},
        {"a stored member that unpacks to more", good.entry[0] + size, 1 << 30, 4, ""},
        {"encrypted", good.entry[0] + flags, 1, 2, ""},
        {"a method we do not know", good.entry[0] + method, 99, 2, ""},
        {"damaged contents", good.local[0] + 30 + 5 + 69, 7, 1, "member a.npy: is damaged"},
        {"several volumes", good.end + 4, 1, 2, "expected a zip file of one volume"},
        {"fewer entries than said", good.end + 8, 3 << 16 | 3, 4, ""},
        {"directory beyond the file", good.end + 16, 1 << 20, 4, "expected a directory within the file"},
        {"no end", good.end, 0, 4, "found no end of its directory"},
        {"an entry of another kind", good.entry[1], 0, 4, "expected 2 entries in its directory, found 1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bad = good;
        set(&bad, rows[i].at, rows[i].value, rows[i].bytes);
        z = load_archive(&bad);
        GR_EXPECT(!z, "%s: was read", rows[i].why);
        expect_error(GR_EFORMAT, rows[i].part, rows[i].why);
        gr_npz_free(z);
    }
    bad = make_archive(same, 2);
    CU_ASSERT_PTR_NULL(load_archive(&bad));
    CU_ASSERT_EQUAL(gr_error(), GR_EFORMAT);
    gr_error_clear();
}

static void names_are_only_names(void)
{
    static const char *const names[] = {"../../etc/passwd.npy", "/abs.npy", "plain.txt", ".npy"};
    if (!built())
        return;
    archive a = make_archive(names, 4);
    gr_npz *z = load_archive(&a);
    GR_EXPECT(z && gr_npz_count(z) == 3, "%s", gr_error_message()); /* the text is left out */
    gr_error_clear();
    CU_ASSERT(z && gr_npz_find(z, "../../etc/passwd") == 0 && gr_npz_find(z, "/abs") == 1 && gr_npz_find(z, "") == 2);
    gr_npz_free(z);
}

static bool loads(const char *path)
{
    gr_npz *z = gr_npz_load(path);
    gr_npz_free(z);
    return z != NULL;
}

static void no_damage_does_harm(void)
{
    static const char *const two[] = {"a.npy", "b.npy"};
    if (!built())
        return;
    archive a = make_archive(two, 2);
    gr_damage d = gr_damage_all(a.byte, a.n, loads);
    GR_EXPECT(d.tried > 3000 && d.accepted < d.tried / 5, "%d of %d taken", d.accepted, d.tried);
}

static void arrays_come_back_in_order_and_the_bytes_are_the_same_each_time(void)
{
    if (!built())
        return;
    const char *one = gr_test_scratch("one.npz"), *two = gr_test_scratch("two.npz");
    const char *const names[] = {"arr_0", "b/kernel", "leer"};
    gr_array *wide = gr_array_from(GR_F32, GR_SHAPE(2, 2), (float[]){1, 2, 3, 4});
    gr_array *arrays[] = {gr_array_transpose(wide, GR_RANK0), gr_array_from(GR_I64, GR_RANK0, &(int64_t){-5}),
        gr_array_new(GR_BOOL, GR_SHAPE(0, 3))};
    CU_ASSERT_EQUAL(gr_npz_save(one, 3, names, arrays), GR_OK);
    CU_ASSERT_EQUAL(gr_npz_save(two, 3, names, arrays), GR_OK);
    size_t n, m;
    unsigned char *x = gr_read_file(one, &n), *y = gr_read_file(two, &m);
    CU_ASSERT(n == m && n > 0 && memcmp(x, y, n) == 0);
    free(x), free(y);
    gr_npz *z = gr_npz_load(one);
    GR_EXPECT(z && gr_npz_count(z) == 3, "%s", gr_error_message());
    for (int i = 0; i < 3 && z; i++) {
        CU_ASSERT_STRING_EQUAL(gr_npz_name(z, i), names[i]);
        CU_ASSERT(gr_array_equal(gr_npz_at(z, i), arrays[i]));
        gr_array_free(arrays[i]);
    }
    gr_npz_free(z);
    gr_array_free(wide);
}

static void impossible_saves_leave_nothing_behind(void)
{
    if (!built())
        return;
    const char *path = gr_test_scratch("never.npz");
    gr_array *a = gr_array_new(GR_F32, GR_SHAPE(2));
    const struct {
        const char *why, *path;
        int64_t n;
        const char *names[2];
        gr_array *arrays[2];
        gr_status status;
        const char *part;
    } rows[] = {
        {"nothing", path, 0, {"a"}, {a}, GR_EARG, "expected one or more names and arrays, found 0"},
        {"no name", path, 2, {"a", NULL}, {a, a}, GR_EARG, "found no name as number 1"},
        {"empty name", path, 1, {""}, {a}, GR_EARG, "found no name as number 0"},
        {"no array", path, 2, {"a", "b"}, {a, NULL}, GR_EARG, "found no array as number 1"},
        {"a name twice", path, 2, {"a", "a"}, {a, a}, GR_EARG, "a.npy"},
        {"bytes that are no text", path, 1, {"\xff\xfe"}, {a}, GR_EARG, "npz_save"},
        {"no folder", "/no/such/folder.npz", 1, {"a"}, {a}, GR_EIO, "cannot be written"},
        {"no path", NULL, 1, {"a"}, {a}, GR_EARG, "argument path"},
    };
    int before = gr_open_files();
    for (size_t i = 0; i < COUNT(rows); i++) {
        GR_EXPECT(
            gr_npz_save(rows[i].path, rows[i].n, rows[i].names, rows[i].arrays) == rows[i].status, "%s", rows[i].why);
        expect_error(rows[i].status, rows[i].part, rows[i].why);
        CU_ASSERT(access(path, F_OK) != 0);
    }
    CU_ASSERT_EQUAL(gr_open_files(), before);
    gr_array_free(a);
}

GR_SUITE("io/npz.c", GR_TEST(what_numpy_stores_is_read), GR_TEST(deflated_fixtures_are_read),
    GR_TEST(hostile_archives_are_refused), GR_TEST(names_are_only_names), GR_TEST(no_damage_does_harm),
    GR_TEST(arrays_come_back_in_order_and_the_bytes_are_the_same_each_time),
    GR_TEST(impossible_saves_leave_nothing_behind))
