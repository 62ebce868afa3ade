/* models/dataset.h: data sets that examples and tools can count on. Nothing is downloaded.
 *
 * MNIST is looked for in: the folder given, $GRAPE_DATA, a folder shared/data beside a checkout, the cache directory
 * ($XDG_CACHE_HOME/grape or ~/.cache/grape). Where there is none, digits are drawn. Read next: digits.c. */
#ifndef GRAPE_MODELS_DATASET_H
#define GRAPE_MODELS_DATASET_H

#include "core/array.h"

GR_BEGIN

/* Arrays are NULL on failure. Images u8 [n, 28, 28], labels u8 [n]. */
typedef struct {
    gr_array *x_train, *y_train, *x_test, *y_test;
    char source[256]; /* where it came from, for a banner */
    double seconds;   /* reading and unpacking, or drawing */
} gr_dataset;

/* MNIST from `dir` (its four IDX files, gzipped or not, in it or in dir/mnist). dir NULL: the search order above, at last
 * drawn digits; "fashion": Debian's dataset-fashion-mnist; "drawn": the drawn digits. */
GR_API gr_dataset gr_mnist(const char *dir);
/* Fashion-MNIST from `dir`, or where Debian's package dataset-fashion-mnist puts it. */
GR_API gr_dataset gr_fashion_mnist(const char *dir);
/* Digits of strokes, randomly bent, turned and blurred; equal for equal (seed, n), and the first n of more are the same. */
GR_API gr_dataset gr_drawn_digits(uint64_t seed, int64_t n_train, int64_t n_test);
GR_API void gr_dataset_free(gr_dataset *d);
/* The folder after "--data" among the arguments, else $GRAPE_DATA, else NULL. */
GR_API const char *gr_data_dir(int argc, char **argv);

GR_END
#endif
