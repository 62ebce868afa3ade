/* Where data sets are looked for: models/dataset.c. */
#include "models/dataset.h"
#include "tests/harness.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An IDX file of zeros; `lie` sizes are announced but not there. */
static void write_idx(const char *dir, const char *name, int rank, const int *dim, int lie)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f)
        return;
    int n = 1;
    fputc(0, f), fputc(0, f), fputc(8, f), fputc(rank, f);
    for (int i = 0; i < rank; i++) {
        int d = dim[i] + (i == 0 ? lie : 0);
        n *= dim[i];
        fputc(0, f), fputc(0, f), fputc(d >> 8, f), fputc(d & 255, f);
    }
    for (int i = 0; i < n; i++)
        fputc(0, f);
    fclose(f);
}

static void write_all(const char *dir, int lie)
{
    mkdir(dir, 0700);
    write_idx(dir, "train-images-idx3-ubyte", 3, (const int[]){4, 5, 6}, 0);
    write_idx(dir, "train-labels-idx1-ubyte", 1, (const int[]){4}, lie);
    write_idx(dir, "t10k-images-idx3-ubyte", 3, (const int[]){2, 5, 6}, 0);
    write_idx(dir, "t10k-labels-idx1-ubyte", 1, (const int[]){2}, 0);
}

static void the_four_files_are_found_in_the_folder_or_in_its_mnist(void)
{
    const char *dir = gr_test_scratch("data");
    char inner[600];
    mkdir(dir, 0700);
    snprintf(inner, sizeof inner, "%s/mnist", dir);
    write_all(inner, 0);
    const char *const dirs[] = {dir, inner};
    for (int i = 0; i < 2; i++) {
        gr_dataset d = gr_mnist(dirs[i]);
        GR_EXPECT(d.x_train && gr_shape_equal(gr_array_shape(d.x_train), GR_SHAPE(4, 5, 6)), "%s: %s", dirs[i],
            gr_error_message());
        GR_EXPECT(strncmp(d.source, "MNIST", 5) == 0, "%s", d.source);
        gr_dataset_free(&d);
    }
}

static void what_is_missing_or_damaged_is_an_error_that_names_the_file(void)
{
    const char *empty = gr_test_scratch("empty"), *damaged = gr_test_scratch("damaged");
    mkdir(empty, 0700);
    write_all(damaged, 3);
    const struct {
        const char *dir, *says;
    } rows[] = {{empty, "train-images-idx3-ubyte"}, {damaged, "train-labels-idx1-ubyte"},
        {"/no/such/folder", "/no/such/folder"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gr_error_clear();
        gr_dataset d = gr_mnist(rows[i].dir);
        GR_EXPECT(!d.x_train && !d.y_train && strstr(gr_error_message(), rows[i].says), "%s: %s", rows[i].dir,
            gr_error_message());
        gr_dataset_free(&d);
    }
    gr_error_clear();
}

static void labels_must_be_as_many_as_images(void)
{
    const char *dir = gr_test_scratch("uneven");
    write_all(dir, 0);
    write_idx(dir, "train-labels-idx1-ubyte", 1, (const int[]){3}, 0);
    gr_error_clear();
    gr_dataset d = gr_mnist(dir);
    CU_ASSERT_PTR_NULL(d.x_train);
    CU_ASSERT_EQUAL(gr_error(), GR_EFORMAT);
    gr_error_clear();
    gr_dataset_free(&d);
}

static void the_data_folder_comes_from_the_arguments_then_the_environment(void)
{
    char *const after[] = {(char *)"prog", (char *)"--data", (char *)"there"}, *const joined[] = {(char *)"prog",
                                                                                   (char *)"--data=here"};
    setenv("GRAPE_DATA", "environment", 1);
    CU_ASSERT_STRING_EQUAL(gr_data_dir(3, (char **)after), "there");
    CU_ASSERT_STRING_EQUAL(gr_data_dir(2, (char **)joined), "here");
    CU_ASSERT_STRING_EQUAL(gr_data_dir(1, (char **)after), "environment");
    unsetenv("GRAPE_DATA");
    CU_ASSERT_PTR_NULL(gr_data_dir(1, (char **)after));
}

static void the_real_mnist_is_read_byte_for_byte(void)
{
    const char *data = gr_test_data();
#ifdef GRAPE_MINIMAL
    gr_test_skip("this build reads no .gz");
    return;
#endif
    if (!data) {
        gr_test_skip("no folder of real data");
        return;
    }
    gr_dataset d = gr_mnist(data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.x_train);
    CU_ASSERT(gr_shape_equal(gr_array_shape(d.x_train), GR_SHAPE(60000, 28, 28)));
    const uint8_t *y = gr_array_data(d.y_train), *x = gr_array_data(d.x_train);
    const uint8_t first[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4}; /* the labels everyone knows */
    CU_ASSERT_EQUAL(memcmp(y, first, sizeof first), 0);
    long ink = 0;
    for (int i = 0; i < 784; i++)
        ink += x[i];
    CU_ASSERT_EQUAL(ink, 27525);
    gr_dataset_free(&d);
}

GR_SUITE("models/dataset.c", GR_TEST(the_four_files_are_found_in_the_folder_or_in_its_mnist),
    GR_TEST(what_is_missing_or_damaged_is_an_error_that_names_the_file), GR_TEST(labels_must_be_as_many_as_images),
    GR_TEST(the_data_folder_comes_from_the_arguments_then_the_environment),
    GR_TEST(the_real_mnist_is_read_byte_for_byte))
