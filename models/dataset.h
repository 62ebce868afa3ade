/* models/dataset.h: data sets that examples and tools can count on. Nothing is downloaded.
 *
 * MNIST is looked for in: the folder given, $GRAPE_DATA, a folder shared/data beside a checkout, the cache directory
 * ($XDG_CACHE_HOME/grape or ~/.cache/grape). Where there is none, digits are drawn. Read next: digits.c. */
#ifndef GRAPE_MODELS_DATASET_H
#define GRAPE_MODELS_DATASET_H

#include "models/data.h"

GR_BEGIN

/* Arrays are NULL on failure. Images u8 [n, 28, 28], labels u8 [n]. */
typedef struct {
    gr_array *x_train, *y_train, *x_test, *y_test;
    char source[256]; /* where it came from, for a banner */
    double seconds;   /* reading and unpacking, or drawing */
} gr_dataset;

/* MNIST from `dir` (its four IDX files, gzipped or not, in it or in dir/mnist). dir NULL: the search order above, at
 * last drawn digits; "fashion": Debian's dataset-fashion-mnist; "drawn": the drawn digits. */
GR_API gr_dataset gr_mnist(const char *dir);
/* Fashion-MNIST from `dir`, or where Debian's package dataset-fashion-mnist puts it. */
GR_API gr_dataset gr_fashion_mnist(const char *dir);
/* Digits of strokes, randomly bent, turned and blurred; equal for equal (seed, n), and the first n of more are the
 * same. */
GR_API gr_dataset gr_drawn_digits(uint64_t seed, int64_t n_train, int64_t n_test);
GR_API void gr_dataset_free(gr_dataset *d);
/* Integer labels [...] -> a new float32 array [..., classes] of 0 with a 1 at the label; classes 0: the largest label
 * + 1. */
GR_API gr_array *gr_to_categorical(const gr_array *labels, int64_t classes);
/* Splits samples in two: the first floor(n * fraction) of them (in an order drawn from the seed if `shuffle`) go left,
 * the others right. New arrays, freed by gr_data_free. Errors: GR_EARG unless both sides get samples. */
GR_API gr_status gr_split_dataset(const gr_data *d, double fraction, bool shuffle, gr_data *left, gr_data *right);
GR_API void gr_data_free(gr_data *d); /* frees the arrays; for what gr_split_dataset made */
/* The folder after "--data" among the arguments, else $GRAPE_DATA, else NULL. */
GR_API const char *gr_data_dir(int argc, char **argv);

GR_END
#endif
