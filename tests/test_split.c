/* Labels as one-hot rows, samples in two parts: models/split.c. */
#include "models/dataset.h"
#include "core/tape.h"
#include "tests/harness.h"
#include <string.h>

static gr_array *numbers(gr_dtype dtype, int64_t n)
{
    gr_array *a = gr_array_new(dtype, GR_SHAPE(n));
    for (int64_t i = 0; i < n; i++)
        if (dtype == GR_I32)
            ((int32_t *)gr_array_data(a))[i] = (int32_t)i;
        else
            ((float *)gr_array_data(a))[i] = (float)i;
    return a;
}

static void the_number_of_classes_is_the_largest_label_and_one(void)
{
    gr_array *y = numbers(GR_I32, 4), *z = gr_to_categorical(y, 0), *wide = gr_to_categorical(y, 6);
    CU_ASSERT(z && gr_shape_equal(gr_array_shape(z), GR_SHAPE(4, 4)) && gr_array_dtype(z) == GR_F32);
    CU_ASSERT(wide && gr_shape_equal(gr_array_shape(wide), GR_SHAPE(4, 6)));
    for (int64_t i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(gr_array_at(z, i), i / 4 == i % 4);
    gr_error_clear();
    CU_ASSERT_PTR_NULL(gr_to_categorical(y, 3));
    CU_ASSERT_EQUAL(gr_error(), GR_ERANGE);
    gr_error_clear();
    gr_array_free(y);
    gr_array_free(z);
    gr_array_free(wide);
}

static void each_sample_goes_to_one_side_with_its_label(void)
{
    gr_array *x = numbers(GR_F32, 50), *y = numbers(GR_I32, 50);
    gr_data d = gr_xy(GR_LIST(x), GR_LIST(y)), left, right;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        int seen[50] = {0};
        gr_set_seed(9);
        CU_ASSERT_EQUAL(gr_split_dataset(&d, 0.7, shuffle, &left, &right), GR_OK);
        CU_ASSERT_EQUAL(gr_array_dim(left.x.item[0], 0), 35);
        CU_ASSERT_EQUAL(gr_array_dim(right.y.item[0], 0), 15);
        const gr_data *const sides[] = {&left, &right};
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < gr_array_size(sides[k]->x.item[0]); i++) {
                int v = (int)gr_array_at(sides[k]->x.item[0], i);
                CU_ASSERT_EQUAL(v, (int)gr_array_at(sides[k]->y.item[0], i));
                seen[v]++;
            }
        for (int i = 0; i < 50; i++)
            CU_ASSERT_EQUAL(seen[i], 1);
        CU_ASSERT_EQUAL(gr_array_at(left.x.item[0], 0) == 0 && gr_array_at(left.x.item[0], 1) == 1, !shuffle);
        gr_data_free(&left);
        gr_data_free(&right);
    }
    gr_error_clear();
    const double bad[] = {0, 1, -0.5, 0.001};
    for (int i = 0; i < 4; i++) {
        gr_error_clear();
        GR_EXPECT(gr_split_dataset(&d, bad[i], false, &left, &right) == GR_EARG, "%g", bad[i]);
    }
    gr_error_clear();
    gr_array_free(x);
    gr_array_free(y);
}

GR_SUITE("models/split.c", GR_TEST(the_number_of_classes_is_the_largest_label_and_one),
    GR_TEST(each_sample_goes_to_one_side_with_its_label))
