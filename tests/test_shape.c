/* core/shape.c: sizes, text, broadcasting (as NumPy), the batch size as a factor. */
#include "core/shape.h"
#include "tests/harness.h"
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define B        GR_BATCH
#define BIG      (INT64_C(1) << 32)

static void sizes_are_checked(void)
{
    static const struct {
        const char *why;
        gr_shape shape;
        int64_t size;
    } rows[] = {
        {"rank 0 is one element", {0, {0}}, 1},
        {"plain", GR_DIMS(2, 3, 4), 24},
        {"empty", GR_DIMS(2, 0, 4), 0},
        {"negative", GR_DIMS(2, -1), -1},
        {"symbolic", GR_DIMS(B, 3), -1},
        {"2^64", GR_DIMS(BIG, BIG), -1},
        {"2^63", GR_DIMS(BIG, BIG / 2), -1},
        {"2^63 - 1", GR_DIMS(INT64_MAX), INT64_MAX},
        {"2^62", GR_DIMS(BIG / 2, BIG / 2), INT64_C(1) << 62},
        {"a 0 does not hide an overflow", GR_DIMS(0, BIG, BIG), -1},
        {"nor a negative size", GR_DIMS(0, -1), -1},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        GR_EXPECT(gr_shape_size(rows[i].shape) == rows[i].size, "%s: %lld", rows[i].why,
            (long long)gr_shape_size(rows[i].shape));
}

static void counting_keeps_the_batch_apart(void)
{
    static const struct {
        const char *why;
        gr_shape shape;
        bool fits, per_batch;
        int64_t n;
    } rows[] = {
        {"plain", GR_DIMS(2, 3), true, false, 6}, {"one batch", GR_DIMS(B, 3), true, true, 3},
        {"a multiple", {2, {GR_BATCH + 3, 5}}, true, true, 20}, {"batch last", GR_DIMS(7, B), true, true, 7},
        {"twice", GR_DIMS(B, B), false, false, 0}, {"overflow", GR_DIMS(BIG, BIG, B), false, false, 0},
        {"negative", GR_DIMS(-2, B), false, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t n = -1;
        bool per_batch = false, fits = gr_shape_count(rows[i].shape, &n, &per_batch);
        GR_EXPECT(fits == rows[i].fits && (!fits || (n == rows[i].n && per_batch == rows[i].per_batch)),
            "%s: %d %lld %d", rows[i].why, fits, (long long)n, per_batch);
    }
}

static void binding_puts_the_batch_in(void)
{
    gr_shape out = GR_RANK0, s = GR_SHAPE(gr_dim_batch(2), 3, B);
    CU_ASSERT(gr_shape_is_symbolic(s) && !gr_shape_is_symbolic(GR_SHAPE(2, 3)));
    CU_ASSERT(gr_shape_bind(s, 5, &out) && gr_shape_equal(out, GR_SHAPE(10, 3, 5)));
    CU_ASSERT(gr_shape_bind(s, 0, &out) && gr_shape_equal(out, GR_SHAPE(0, 3, 0)));
    CU_ASSERT_FALSE(gr_shape_bind(s, INT64_MAX, &out));
    CU_ASSERT(
        gr_dim_is_batch(B) && gr_dim_is_batch(gr_dim_batch(1000000)) && !gr_dim_is_batch(-1) && !gr_dim_is_batch(7));
    CU_ASSERT(gr_dim_times(B) == 1 && gr_dim_times(gr_dim_batch(12)) == 12);
}

static void broadcasting_is_numpys(void)
{
    static const struct {
        const char *why;
        gr_shape a, b;
        bool fits;
        gr_shape out;
    } rows[] = {
        {"equal", GR_DIMS(2, 3), GR_DIMS(2, 3), true, GR_DIMS(2, 3)},
        {"rank 0", {0, {0}}, GR_DIMS(2, 3), true, GR_DIMS(2, 3)},
        {"from the right", GR_DIMS(2, 3), GR_DIMS(3), true, GR_DIMS(2, 3)},
        {"both ways", GR_DIMS(2, 1), GR_DIMS(1, 3), true, GR_DIMS(2, 3)},
        {"1 against 0", GR_DIMS(1), GR_DIMS(0), true, GR_DIMS(0)},
        {"0 against 2", GR_DIMS(0), GR_DIMS(2), false, {0, {0}}},
        {"2 against 3", GR_DIMS(2), GR_DIMS(3), false, {0, {0}}},
        {"aligned at the wrong end", GR_DIMS(2, 3), GR_DIMS(2), false, {0, {0}}},
        {"batch and 1", GR_DIMS(B, 3), GR_DIMS(1, 3), true, GR_DIMS(B, 3)},
        {"batch and batch", GR_DIMS(B, 3), GR_DIMS(B, 1), true, GR_DIMS(B, 3)},
        {"batch and a number", GR_DIMS(B, 3), GR_DIMS(2, 3), false, {0, {0}}},
        {"batch and twice the batch", GR_DIMS(B), {1, {GR_BATCH + 1}}, false, {0, {0}}},
        {"eight axes", GR_DIMS(1, 2, 1, 2, 1, 2, 1, 2), GR_DIMS(3, 1, 3, 1, 3, 1, 3, 1), true,
            GR_DIMS(3, 2, 3, 2, 3, 2, 3, 2)},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int turn = 0; turn < 2; turn++) {
            gr_shape out = GR_RANK0;
            bool fits =
                turn ? gr_shape_broadcast(rows[i].b, rows[i].a, &out) : gr_shape_broadcast(rows[i].a, rows[i].b, &out);
            GR_EXPECT(fits == rows[i].fits && (!fits || gr_shape_equal(out, rows[i].out)), "%s", rows[i].why);
        }
}

static void texts_are_cut_where_the_room_ends(void)
{
    static const struct {
        gr_shape shape;
        const char *text;
    } rows[] = {{{0, {0}}, "[]"}, {GR_DIMS(5), "[5]"}, {GR_DIMS(B, 3), "[B, 3]"}, {{2, {4, GR_BATCH + 1}}, "[4, 2B]"},
        {GR_DIMS(-1, 0), "[-1, 0]"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char buf[100], small[100];
        GR_EXPECT(
            strcmp(gr_shape_text(rows[i].shape, buf, sizeof buf), rows[i].text) == 0, "%s, not %s", buf, rows[i].text);
        for (size_t n = 1; n <= strlen(rows[i].text); n++) {
            memset(small, '#', sizeof small);
            gr_shape_text(rows[i].shape, small, n);
            GR_EXPECT(strlen(small) == n - 1 && strncmp(small, rows[i].text, n - 1) == 0 && small[n] == '#',
                "%zu: %.20s", n, small);
        }
    }
    char buf[60];
    CU_ASSERT_STRING_EQUAL(gr_type_text(GR_I64, GR_SHAPE(B, 2), buf, sizeof buf), "int64 [B, 2]");
}

static void axes_count_from_either_end(void)
{
    int64_t k = -9;
    CU_ASSERT(gr_axis(-3, 3, &k) && k == 0);
    CU_ASSERT(gr_axis(2, 3, &k) && k == 2);
    CU_ASSERT_FALSE(gr_axis(3, 3, &k) || gr_axis(-4, 3, &k) || gr_axis(0, 0, &k) || gr_axis(INT64_MIN, 3, &k));
    CU_ASSERT(gr_outer(GR_SHAPE(2, 3, 4)) == 6 && gr_inner(GR_SHAPE(2, 3, 4)) == 4);
    CU_ASSERT(gr_outer(GR_RANK0) == 1 && gr_inner(GR_RANK0) == 1);
}

static void dtypes_have_names_and_sizes(void)
{
    static const struct {
        gr_dtype t;
        const char *name, *brief;
        int64_t size;
        bool is_float;
    } rows[] = {{GR_F32, "float32", "f32", 4, true}, {GR_F64, "float64", "f64", 8, true},
        {GR_I32, "int32", "i32", 4, false}, {GR_I64, "int64", "i64", 8, false}, {GR_U8, "uint8", "u8", 1, false},
        {GR_BOOL, "bool", "bool", 1, false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        CU_ASSERT_STRING_EQUAL(gr_dtype_name(rows[i].t), rows[i].name);
        CU_ASSERT(gr_dtype_named(rows[i].name) == rows[i].t && gr_dtype_named(rows[i].brief) == rows[i].t);
        CU_ASSERT(gr_dtype_size(rows[i].t) == rows[i].size && gr_dtype_is_float(rows[i].t) == rows[i].is_float);
    }
    CU_ASSERT(gr_dtype_named("float") == GR_DTYPE_NONE && gr_dtype_named(NULL) == GR_DTYPE_NONE &&
              gr_dtype_named("none") == GR_DTYPE_NONE);
    CU_ASSERT(
        gr_dtype_size(GR_DTYPE_NONE) == 0 && gr_dtype_size((gr_dtype)-1) == 0 && gr_dtype_size(GR_DTYPE_COUNT) == 0);
    CU_ASSERT_STRING_EQUAL(gr_dtype_name((gr_dtype)99), "unknown");
}

GR_SUITE("core/shape.c", GR_TEST(sizes_are_checked), GR_TEST(counting_keeps_the_batch_apart),
    GR_TEST(binding_puts_the_batch_in), GR_TEST(broadcasting_is_numpys), GR_TEST(texts_are_cut_where_the_room_ends),
    GR_TEST(axes_count_from_either_end), GR_TEST(dtypes_have_names_and_sizes))
