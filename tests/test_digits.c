/* The data set that needs no file: models/digits.c. */
#include "models/dataset.h"
#include "tests/harness.h"
#include <string.h>

static void the_same_seed_draws_the_same_digits_whatever_their_number(void)
{
    gr_dataset a = gr_drawn_digits(5, 300, 50), b = gr_drawn_digits(5, 100, 50), c = gr_drawn_digits(6, 100, 50);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a.x_train);
    CU_ASSERT_EQUAL(memcmp(gr_array_data(a.x_train), gr_array_data(b.x_train), 100 * 784), 0);
    CU_ASSERT(gr_array_equal(a.x_test, b.x_test));
    CU_ASSERT_FALSE(gr_array_equal(b.x_train, c.x_train));
    gr_dataset_free(&a);
    gr_dataset_free(&b);
    gr_dataset_free(&c);
}

static void every_class_is_there_and_every_image_has_ink(void)
{
    gr_dataset d = gr_drawn_digits(1234, 2000, 0);
    const uint8_t *x = gr_array_data(d.x_train), *y = gr_array_data(d.y_train);
    int count[10] = {0};
    for (int i = 0; i < 2000; i++) {
        int dark = 0;
        for (int k = 0; k < 784; k++)
            dark += x[i * 784 + k] > 100;
        GR_EXPECT(y[i] < 10 && dark > 15 && dark < 350, "image %d of class %d has %d dark pixels", i, y[i], dark);
        count[y[i] % 10]++;
    }
    for (int k = 0; k < 10; k++)
        GR_EXPECT(count[k] > 130 && count[k] < 270, "class %d: %d images", k, count[k]);
    gr_dataset_free(&d);
}

static void shapes_and_types_are_those_of_mnist(void)
{
    gr_dataset d = gr_drawn_digits(1, 7, 3);
    CU_ASSERT(gr_shape_equal(gr_array_shape(d.x_train), GR_SHAPE(7, 28, 28)) && gr_array_dtype(d.x_train) == GR_U8);
    CU_ASSERT(gr_shape_equal(gr_array_shape(d.y_test), GR_SHAPE(3)) && gr_array_dtype(d.y_test) == GR_U8);
    gr_dataset_free(&d);
}

GR_SUITE("models/digits.c", GR_TEST(the_same_seed_draws_the_same_digits_whatever_their_number),
    GR_TEST(every_class_is_there_and_every_image_has_ink), GR_TEST(shapes_and_types_are_those_of_mnist))
