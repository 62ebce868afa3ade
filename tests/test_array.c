/* core/array.c and core/array_elements.c. Numbers by closed forms; slices as Python has them. */
#include "core/array.h"
#include "core/mem.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static gr_array *iota(gr_shape shape)
{
    gr_array *a = gr_array_new(GR_I32, shape);
    int32_t *x = gr_array_data(a);
    for (int64_t i = 0; i < gr_array_size(a); i++)
        x[i] = (int32_t)i;
    return a;
}

/* Are a's elements, in row-major order, these? */
static bool holds(const gr_array *a, int64_t n, const double *want)
{
    bool same = a && gr_array_size(a) == n;
    for (int64_t i = 0; same && i < n; i++)
        same = gr_array_at(a, i) == want[i];
    return same;
}

/* The last error has this status and this in its text; clears it. */
static void expect_error(gr_status status, const char *part, const char *why)
{
    GR_EXPECT(gr_error() == status && strstr(gr_error_message(), part), "%s: found %s \"%s\", expected \"%s\"", why,
        gr_status_name(gr_error()), gr_error_message(), part);
    gr_error_clear();
}

static void a_new_array_is_zero_and_aligned(void)
{
    gr_array *a = gr_array_new(GR_F64, GR_SHAPE(3, 0, 2)), *b = gr_array_new(GR_F32, GR_SHAPE(5, 7));
    CU_ASSERT_EQUAL(gr_array_size(a), 0);
    CU_ASSERT_EQUAL(gr_array_bytes(b), 5 * 7 * 4);
    CU_ASSERT_EQUAL((uintptr_t)gr_array_data(b) % 64, 0);
    CU_ASSERT_EQUAL(gr_array_strides(b)[0], 7);
    CU_ASSERT_EQUAL(gr_array_dim(b, -1), 7);
    CU_ASSERT(gr_array_is_contiguous(a) && gr_array_is_contiguous(b));
    for (int i = 0; i < 35; i++)
        CU_ASSERT_EQUAL(gr_array_at(b, i), 0);
    gr_array *s = gr_array_from(GR_F64, GR_RANK0, &(double){2.5});
    CU_ASSERT(gr_array_size(s) == 1 && gr_array_at(s, 0) == 2.5);
    gr_array_free(a), gr_array_free(b), gr_array_free(s), gr_array_free(NULL);
}

static void impossible_sizes_are_refused_before_anything_is_allocated(void)
{
    static const struct {
        const char *why;
        gr_dtype dtype;
        gr_shape shape;
        gr_status status;
        const char *part;
    } rows[] = {
        {"negative", GR_F32, GR_DIMS(2, -1), GR_ESHAPE, "argument shape: expected sizes of 0 or more, found [2, -1]"},
        {"symbolic", GR_F32, GR_DIMS(GR_BATCH, 3), GR_ESHAPE, "[B, 3]"},
        {"product is 2^64", GR_U8, GR_DIMS(INT64_C(1) << 32, INT64_C(1) << 32), GR_ESHAPE, "below 2^62"},
        {"product is 2^62 elements of 4 bytes", GR_F32, GR_DIMS(INT64_C(1) << 31, INT64_C(1) << 31), GR_ESHAPE, "2^62"},
        {"the largest size", GR_F64, GR_DIMS(INT64_MAX), GR_ESHAPE, "below 2^62"},
        {"overflow beside a 0, as in NumPy", GR_F64, GR_DIMS(INT64_MAX, 0, INT64_MAX), GR_ESHAPE, "below 2^62"},
        {"rank 9", GR_F32, {9, {1, 1, 1, 1, 1, 1, 1, 1}}, GR_ESHAPE, "expected rank 0 .. 8, found 9"},
        {"rank -1", GR_F32, {-1, {0}}, GR_ESHAPE, "found -1"},
        {"no dtype", GR_DTYPE_NONE, GR_DIMS(1), GR_EDTYPE, "argument dtype"},
        {"no such dtype", (gr_dtype)77, GR_DIMS(1), GR_EDTYPE, "found unknown"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t before = gr_allocation_count();
        gr_array *a = gr_array_new(rows[i].dtype, rows[i].shape);
        GR_EXPECT(!a, "%s", rows[i].why);
        GR_EXPECT(gr_allocation_count() == before, "%s: allocated", rows[i].why);
        expect_error(rows[i].status, rows[i].part, rows[i].why);
        gr_array_free(a);
    }
}

static void slices_follow_python(void)
{
    static const struct {
        const char *why;
        int64_t axis, start, stop, step, n;
        double want[16];
    } rows[] = { /* of [[0 1 2 3] [4 5 6 7] [8 9 10 11]] */
        {"rows 1:3", 0, 1, 3, 1, 8, {4, 5, 6, 7, 8, 9, 10, 11}},
        {"columns ::2", 1, 0, INT64_MAX, 2, 6, {0, 2, 4, 6, 8, 10}},
        {"columns ::-1", -1, INT64_MAX, INT64_MIN, -1, 12, {3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8}},
        {"columns -1:0:-2", 1, -1, 0, -2, 6, {3, 1, 7, 5, 11, 9}},
        {"columns -3:-1", 1, -3, -1, 1, 6, {1, 2, 5, 6, 9, 10}},
        {"nothing", 0, 2, 1, 1, 0, {0}},
        {"past the end", 0, 7, 9, 1, 0, {0}},
        {"a huge step", 0, 0, 3, INT64_MAX, 4, {0, 1, 2, 3}},
        {"a huge step back", 0, 2, INT64_MIN, INT64_MIN, 4, {8, 9, 10, 11}},
    };
    gr_array *a = iota(GR_SHAPE(3, 4));
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_array *s = gr_array_slice(a, rows[i].axis, rows[i].start, rows[i].stop, rows[i].step);
        GR_EXPECT(holds(s, rows[i].n, rows[i].want), "%s", rows[i].why);
        gr_array *c = gr_array_copy(s);
        GR_EXPECT(holds(c, rows[i].n, rows[i].want) && gr_array_is_contiguous(c) && gr_array_equal(s, c), "copy of %s",
            rows[i].why);
        gr_array_free(s), gr_array_free(c);
    }
    CU_ASSERT_PTR_NULL(gr_array_slice(a, 0, 0, 1, 0));
    expect_error(GR_EARG, "array_slice: argument step: expected a step other than 0", "step 0");
    CU_ASSERT_PTR_NULL(gr_array_slice(a, 2, 0, 1, 1));
    expect_error(GR_ERANGE, "expected an axis of [3, 4], found 2", "axis 2");
    gr_array_free(a);
}

static void views_share_and_copies_do_not(void)
{
    gr_array *a = iota(GR_SHAPE(2, 3)), *t = gr_array_transpose(a, GR_RANK0), *c = gr_array_copy(t);
    CU_ASSERT(holds(t, 6, (double[]){0, 3, 1, 4, 2, 5}));
    CU_ASSERT_FALSE(gr_array_is_contiguous(t));
    ((int32_t *)gr_array_data(a))[1] = 70;
    CU_ASSERT(gr_array_at(t, 2) == 70 && gr_array_at(c, 2) == 1);
    gr_array_free(a); /* the buffer lives on in its view */
    CU_ASSERT_EQUAL(gr_array_at(t, 2), 70);
    gr_array *b = gr_array_broadcast_to(c, GR_SHAPE(2, 3, 2));
    CU_ASSERT(holds(b, 12, (double[]){0, 3, 1, 4, 2, 5, 0, 3, 1, 4, 2, 5}));
    gr_array *one = gr_array_slice(c, 1, 1, 2, 1), *wide = gr_array_broadcast_to(one, GR_SHAPE(3, 2));
    CU_ASSERT(holds(wide, 6, (double[]){3, 3, 4, 4, 5, 5}));
    gr_array_free(t), gr_array_free(c), gr_array_free(b), gr_array_free(one), gr_array_free(wide);
}

static void transposing_takes_each_axis_once(void)
{
    gr_array *a = iota(GR_SHAPE(2, 3, 2)), *t = gr_array_transpose(a, GR_SHAPE(-1, 0, 1));
    CU_ASSERT(gr_shape_equal(gr_array_shape(t), GR_SHAPE(2, 2, 3)));
    CU_ASSERT(holds(t, 12, (double[]){0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}));
    static const gr_shape wrong[] = {GR_DIMS(0, 1), GR_DIMS(0, 1, 1), GR_DIMS(0, 1, 3), GR_DIMS(0, 1, -4),
        GR_DIMS(0, 1, 2, 0)};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CU_ASSERT_PTR_NULL(gr_array_transpose(a, wrong[i]));
        expect_error(GR_EARG, "expected each axis of [2, 3, 2] once", "axes");
    }
    gr_array_free(a), gr_array_free(t);
}

static void stretching_that_does_not_fit_is_refused(void)
{
    static const struct {
        const char *why;
        gr_shape to;
    } rows[] = {{"fewer axes", GR_DIMS(3)}, {"another size", GR_DIMS(2, 4)}, {"1 from 2", GR_DIMS(1, 3)},
        {"negative", GR_DIMS(-1, 2, 3)}, {"no room", GR_DIMS(INT64_MAX, 2, 3)}};
    gr_array *a = iota(GR_SHAPE(2, 3));
    for (size_t i = 0; i < COUNT(rows); i++) {
        GR_EXPECT(!gr_array_broadcast_to(a, rows[i].to), "%s", rows[i].why);
        expect_error(GR_ESHAPE, "array_broadcast_to: argument shape", rows[i].why);
    }
    gr_array_free(a);
}

static void reshape_keeps_row_major_order(void)
{
    gr_array *a = iota(GR_SHAPE(2, 3)), *share = gr_array_share(a), *t = gr_array_transpose(a, GR_RANK0);
    CU_ASSERT_EQUAL(gr_array_reshape(a, GR_SHAPE(-1, 2)), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_array_shape(a), GR_SHAPE(3, 2)));
    CU_ASSERT(gr_shape_equal(gr_array_shape(share), GR_SHAPE(2, 3)));
    CU_ASSERT_PTR_EQUAL(gr_array_data(a), gr_array_data(share)); /* a view of the same elements */
    CU_ASSERT_EQUAL(gr_array_reshape(t, GR_SHAPE(6)), GR_OK);     /* has to copy */
    CU_ASSERT(holds(t, 6, (double[]){0, 3, 1, 4, 2, 5}));
    CU_ASSERT(gr_array_data(t) != gr_array_data(a));
    static const gr_shape wrong[] = {GR_DIMS(4), GR_DIMS(-1, -1), GR_DIMS(-1, 4), GR_DIMS(-1, 0), GR_DIMS(-2, -3),
        GR_DIMS(INT64_MAX, 2)};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CU_ASSERT_EQUAL(gr_array_reshape(share, wrong[i]), GR_ESHAPE);
        expect_error(GR_ESHAPE, "array_reshape: argument shape", "wrong reshape");
    }
    gr_array *empty = gr_array_new(GR_F32, GR_SHAPE(0, 3));
    CU_ASSERT_EQUAL(gr_array_reshape(empty, GR_SHAPE(-1, 5)), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_array_shape(empty), GR_SHAPE(0, 5)));
    gr_array_free(a), gr_array_free(share), gr_array_free(t), gr_array_free(empty);
}

static void casting_saturates_and_nan_becomes_0(void)
{
    static const struct {
        const char *why;
        double from;
        gr_dtype to;
        double want;
    } rows[] = {
        {"towards 0", -1.9, GR_I32, -1},
        {"past the top of int32", 3e9, GR_I32, INT32_MAX},
        {"past the bottom of int32", -3e9, GR_I32, INT32_MIN},
        {"infinity", (double)INFINITY, GR_I64, 9223372036854775807.0},
        {"minus infinity", -(double)INFINITY, GR_I64, -9223372036854775808.0},
        {"2^63 itself", 9223372036854775808.0, GR_I64, 9223372036854775807.0},
        {"NaN", (double)NAN, GR_I32, 0},
        {"below a byte", -0.5, GR_U8, 0},
        {"above a byte", 255.9, GR_U8, 255},
        {"far above a byte", 1e30, GR_U8, 255},
        {"truth", 0.25, GR_BOOL, 1},
        {"NaN is not 0", (double)NAN, GR_BOOL, 1},
        {"minus 0 is 0", -0.0, GR_BOOL, 0},
        {"beyond float32", 1e300, GR_F32, (double)INFINITY},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr_array *a = gr_array_from(GR_F64, GR_SHAPE(1), &rows[i].from);
        CU_ASSERT_EQUAL(gr_array_cast(a, rows[i].to), GR_OK);
        GR_EXPECT(gr_array_at(a, 0) == rows[i].want && gr_array_dtype(a) == rows[i].to, "%s: found %g", rows[i].why,
            gr_array_at(a, 0));
        gr_array_free(a);
    }
    int64_t wide[] = {INT64_MIN, -1, 300, INT64_MAX};
    gr_array *a = gr_array_from(GR_I64, GR_SHAPE(4), wide), *b = gr_array_copy(a);
    gr_array_cast(a, GR_I32), gr_array_cast(b, GR_U8);
    CU_ASSERT(holds(a, 4, (double[]){INT32_MIN, -1, 300, INT32_MAX}));
    CU_ASSERT(holds(b, 4, (double[]){0, 0, 255, 255}));
    CU_ASSERT_EQUAL(gr_array_cast(a, GR_DTYPE_NONE), GR_EDTYPE);
    expect_error(GR_EDTYPE, "array_cast: argument dtype", "no dtype");
    gr_array_free(a), gr_array_free(b);
}

/* Every dtype to every other: 0 and 1 are the same in all of them. */
static void zero_and_one_survive_every_cast(void)
{
    for (int from = GR_F32; from < GR_DTYPE_COUNT; from++)
        for (int to = GR_F32; to < GR_DTYPE_COUNT; to++) {
            gr_array *a = gr_array_from(GR_F32, GR_SHAPE(3), (float[]){0, 1, 0});
            gr_array_cast(a, (gr_dtype)from), gr_array_cast(a, (gr_dtype)to);
            GR_EXPECT(holds(a, 3, (double[]){0, 1, 0}) && gr_array_dtype(a) == (gr_dtype)to, "%s to %s",
                gr_dtype_name((gr_dtype)from), gr_dtype_name((gr_dtype)to));
            gr_array_free(a);
        }
}

static void a_byte_scaled_by_1_255th_is_the_correct_quotient(void)
{
    uint8_t byte[256];
    for (int i = 0; i < 256; i++)
        byte[i] = (uint8_t)i;
    gr_array *a = gr_array_from(GR_U8, GR_SHAPE(256), byte);
    CU_ASSERT_EQUAL(gr_array_scale(a, 2), GR_EDTYPE);
    expect_error(GR_EDTYPE, "expected float32 or float64, found uint8; cast it first", "bytes");
    gr_array_cast(a, GR_F32);
    gr_array *view = gr_array_share(a);
    CU_ASSERT_EQUAL(gr_array_scale(a, 1.0 / 255), GR_OK);
    for (int i = 0; i < 256; i++)
        GR_EXPECT(((float *)gr_array_data(a))[i] == (float)i / 255.0f, "%d / 255", i);
    CU_ASSERT_EQUAL(gr_array_at(view, 255), 255); /* other views keep what they had */
    gr_array_free(a), gr_array_free(view);
    double mine[] = {1, 2};
    a = gr_array_borrow(GR_F64, GR_SHAPE(2), mine, NULL, NULL);
    CU_ASSERT_EQUAL(gr_array_scale(a, 3), GR_OK);
    CU_ASSERT(mine[1] == 2 && gr_array_at(a, 1) == 6);
    gr_array_free(a);
}

static void one_hot_names_the_label_that_is_out_of_range(void)
{
    gr_array *a = gr_array_from(GR_U8, GR_SHAPE(2, 1), (uint8_t[]){2, 0});
    CU_ASSERT_EQUAL(gr_array_one_hot(a, 3), GR_OK);
    CU_ASSERT(gr_shape_equal(gr_array_shape(a), GR_SHAPE(2, 1, 3)) && gr_array_dtype(a) == GR_F32);
    CU_ASSERT(holds(a, 6, (double[]){0, 0, 1, 1, 0, 0}));
    CU_ASSERT_EQUAL(gr_array_one_hot(a, 3), GR_EDTYPE);
    expect_error(GR_EDTYPE, "expected uint8, int32 or int64 labels, found float32", "floats");
    gr_array_free(a);
    a = gr_array_from(GR_I32, GR_SHAPE(2, 2), (int32_t[]){0, 1, 9, 10});
    CU_ASSERT_EQUAL(gr_array_one_hot(a, 10), GR_ERANGE);
    expect_error(GR_ERANGE, "expected labels 0 .. 9, found 10 at [1, 1]", "10 of 10");
    CU_ASSERT(holds(a, 4, (double[]){0, 1, 9, 10})); /* unchanged by the failure */
    CU_ASSERT_EQUAL(gr_array_one_hot(a, 0), GR_EARG);
    expect_error(GR_EARG, "at least 1 class", "no classes");
    gr_array_free(a);
    a = gr_array_from(GR_I64, GR_SHAPE(1), (int64_t[]){-1});
    CU_ASSERT_EQUAL(gr_array_one_hot(a, 10), GR_ERANGE);
    expect_error(GR_ERANGE, "found -1 at [0]", "negative label");
    gr_array_free(a);
}

static void gathering_takes_rows_in_the_order_asked(void)
{
    gr_array *a = iota(GR_SHAPE(3, 2)), *t = gr_array_transpose(a, GR_RANK0);
    gr_array *g = gr_array_gather(a, (int64_t[]){2, 0, 2}, 3), *h = gr_array_gather(t, (int64_t[]){1}, 1);
    CU_ASSERT(holds(g, 6, (double[]){4, 5, 0, 1, 4, 5}));
    CU_ASSERT(holds(h, 3, (double[]){1, 3, 5})); /* a row of a view that is not contiguous */
    gr_array *none = gr_array_gather(a, NULL, 0);
    CU_ASSERT(none && gr_shape_equal(gr_array_shape(none), GR_SHAPE(0, 2)));
    static const int64_t wrong[] = {0, -1, 3};
    CU_ASSERT_PTR_NULL(gr_array_gather(a, wrong, 3));
    expect_error(GR_ERANGE, "expected 0 .. 2, found -1 at [1]", "row -1");
    CU_ASSERT_PTR_NULL(gr_array_gather(a, wrong + 2, 1));
    expect_error(GR_ERANGE, "found 3 at [0]", "row 3");
    gr_array_free(a), gr_array_free(t), gr_array_free(g), gr_array_free(h), gr_array_free(none);
}

static void concatenating_along_any_axis(void)
{
    gr_array *a = iota(GR_SHAPE(2, 2)), *b = gr_array_transpose(a, GR_RANK0), *c = iota(GR_SHAPE(2, 1));
    gr_array *rows = gr_array_concat(&GR_LIST(a, b), 0), *columns = gr_array_concat(&GR_LIST(a, c, b), -1);
    CU_ASSERT(holds(rows, 8, (double[]){0, 1, 2, 3, 0, 2, 1, 3}));
    CU_ASSERT(holds(columns, 10, (double[]){0, 1, 0, 0, 2, 2, 3, 1, 1, 3}));
    CU_ASSERT_PTR_NULL(gr_array_concat(&GR_LIST(a, c), 0));
    expect_error(GR_ESHAPE,
        "expected arrays like the first, int32 [2, 2], but for axis 0, found int32 [2, 1] as number 1", "width");
    gr_array_cast(c, GR_F32);
    CU_ASSERT_PTR_NULL(gr_array_concat(&GR_LIST(a, c), 1));
    expect_error(GR_EDTYPE, "found float32 [2, 1]", "dtype");
    CU_ASSERT_PTR_NULL(gr_array_concat(&(gr_list){0}, 0));
    expect_error(GR_EARG, "expected 1 .. 16 arrays, found 0", "no parts");
    CU_ASSERT_PTR_NULL(gr_array_concat(&(gr_list){2, {a, NULL}}, 0));
    expect_error(GR_EARG, "found NULL", "a part is NULL");
    CU_ASSERT_PTR_NULL(gr_array_concat(&GR_LIST(a), 2));
    expect_error(GR_ERANGE, "expected an axis of [2, 2], found 2", "axis");
    gr_array_free(a), gr_array_free(b), gr_array_free(c), gr_array_free(rows), gr_array_free(columns);
}

static void equality_is_of_bits(void)
{
    float x[] = {NAN, 0.0f}, y[] = {NAN, -0.0f};
    gr_array *a = gr_array_from(GR_F32, GR_SHAPE(2), x), *b = gr_array_from(GR_F32, GR_SHAPE(2), y);
    gr_array *c = gr_array_copy(a), *d = gr_array_copy(a);
    gr_array_reshape(d, GR_SHAPE(2, 1));
    CU_ASSERT(gr_array_equal(a, c));
    CU_ASSERT_FALSE(gr_array_equal(a, b));
    CU_ASSERT_FALSE(gr_array_equal(a, d));
    gr_array_free(a), gr_array_free(b), gr_array_free(c), gr_array_free(d);
}

static void released(void *user)
{
    ++*(int *)user;
}

static void borrowed_data_is_released_once_by_the_last_handle(void)
{
    int count = 0;
    float mine[4] = {1, 2, 3, 4};
    gr_array *a = gr_array_borrow(GR_F32, GR_SHAPE(4), mine, released, &count);
    gr_array *b = gr_array_slice(a, 0, 1, 3, 1), *c = gr_array_share(b);
    gr_array_free(a), gr_array_free(b);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(gr_array_at(c, 1), 3);
    gr_array_free(c);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_PTR_NULL(gr_array_borrow(GR_F32, GR_SHAPE(4), NULL, released, &count));
    expect_error(GR_EARG, "argument data: expected 4 elements, found NULL", "no data");
    CU_ASSERT_EQUAL(count, 1);
}

static void null_is_an_error_everywhere(void)
{
    CU_ASSERT(gr_array_dtype(NULL) == GR_DTYPE_NONE && gr_array_size(NULL) == 0 && !gr_array_data(NULL));
    expect_error(GR_EARG, "array_dtype: argument a: expected an array, found NULL", "first one");
    CU_ASSERT(!gr_array_share(NULL) && !gr_array_copy(NULL) && !gr_array_slice(NULL, 0, 0, 1, 1));
    CU_ASSERT(!gr_array_transpose(NULL, GR_RANK0) && !gr_array_broadcast_to(NULL, GR_RANK0));
    CU_ASSERT(!gr_array_gather(NULL, NULL, 0) && !gr_array_concat(NULL, 0) && !gr_array_equal(NULL, NULL));
    CU_ASSERT(gr_array_reshape(NULL, GR_RANK0) == GR_EARG && gr_array_cast(NULL, GR_F32) == GR_EARG);
    CU_ASSERT(gr_array_scale(NULL, 1) == GR_EARG && gr_array_one_hot(NULL, 1) == GR_EARG);
    CU_ASSERT(gr_array_print(NULL, stderr) == GR_EARG && gr_array_dim(NULL, 0) == -1 && gr_array_at(NULL, 0) == 0);
    expect_error(GR_EARG, "array_share", "the first of these");
    gr_array *a = iota(GR_SHAPE(2));
    CU_ASSERT(gr_array_at(a, 2) == 0 && gr_array_dim(a, 1) == -1);
    expect_error(GR_ERANGE, "array_at: argument index: expected 0 .. 1, as in [2], found 2", "index");
    gr_array_free(a);
}

static void printing_shows_type_and_ends(void)
{
    static const struct {
        gr_shape shape;
        const char *want;
    } rows[] = {
        {GR_DIMS(2, 2), "int32 [2, 2]\n[[0, 1],\n [2, 3]]\n"},
        {{0, {0}}, "int32 []\n0\n"},
        {GR_DIMS(0, 4), "int32 [0, 4]\n[]\n"},
        {GR_DIMS(1000), "int32 [1000]\n[0, 1, 2, ..., 997, 998, 999]\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        gr_array *a = iota(rows[i].shape);
        CU_ASSERT_EQUAL(gr_array_print(a, f), GR_OK);
        fclose(f);
        GR_EXPECT(strcmp(text, rows[i].want) == 0, "found %s, expected %s", text, rows[i].want);
        free(text);
        gr_array_free(a);
    }
}

GR_SUITE("core/array.c", GR_TEST(a_new_array_is_zero_and_aligned),
    GR_TEST(impossible_sizes_are_refused_before_anything_is_allocated), GR_TEST(slices_follow_python),
    GR_TEST(views_share_and_copies_do_not), GR_TEST(transposing_takes_each_axis_once),
    GR_TEST(stretching_that_does_not_fit_is_refused), GR_TEST(reshape_keeps_row_major_order),
    GR_TEST(casting_saturates_and_nan_becomes_0), GR_TEST(zero_and_one_survive_every_cast),
    GR_TEST(a_byte_scaled_by_1_255th_is_the_correct_quotient), GR_TEST(one_hot_names_the_label_that_is_out_of_range),
    GR_TEST(gathering_takes_rows_in_the_order_asked), GR_TEST(concatenating_along_any_axis),
    GR_TEST(equality_is_of_bits), GR_TEST(borrowed_data_is_released_once_by_the_last_handle),
    GR_TEST(null_is_an_error_everywhere), GR_TEST(printing_shows_type_and_ends))
