/* models/split.c: labels as one-hot rows, samples in two parts. See dataset.h. */
#include "core/mem.h"
#include "core/random.h"
#include "core/tape.h"
#include "models/dataset.h"
#include <math.h>

gr_array *gr_to_categorical(const gr_array *labels, int64_t classes)
{
    if (!labels) {
        gr_fail(GR_EARG, (gr_at){0}, "to_categorical: argument labels: expected an array, found NULL");
        return NULL;
    }
    double largest = -1;
    for (int64_t i = 0, n = classes ? 0 : gr_array_size(labels); i < n; i++)
        largest = fmax(largest, gr_array_at(labels, i));
    if (!classes)
        classes = (int64_t)largest + 1;
    gr_array *a = gr_array_copy(labels);
    if (a && gr_array_one_hot(a, classes) != GR_OK) {
        gr_array_free(a);
        return NULL;
    }
    return a;
}

/* Each array's rows, gathered in the order given. */
static gr_status gather(const gr_data *d, const int64_t *rows, int64_t n, gr_data *out)
{
    *out = (gr_data){.x.n = 0};
    for (int64_t i = 0; i < d->x.n; i++, out->x.n++)
        if (!(out->x.item[i] = gr_array_gather(d->x.item[i], rows, n)))
            return gr_error();
    for (int64_t i = 0; i < d->y.n; i++, out->y.n++)
        if (!(out->y.item[i] = gr_array_gather(d->y.item[i], rows, n)))
            return gr_error();
    if (d->sample_weight && !(out->sample_weight = gr_array_gather(d->sample_weight, rows, n)))
        return gr_error();
    return GR_OK;
}

gr_status gr_split_dataset(const gr_data *d, double fraction, bool shuffle, gr_data *left, gr_data *right)
{
    *left = *right = (gr_data){.x.n = 0};
    GR_CHECK(d && d->x.n > 0 && d->x.item[0] && gr_array_shape(d->x.item[0]).rank > 0, GR_EARG,
        "split_dataset: argument d: expected samples along axis 0, found none");
    int64_t n = gr_array_dim(d->x.item[0], 0), cut = (int64_t)floor((double)n * fraction + 1e-9);
    GR_CHECK(fraction > 0 && fraction < 1 && cut > 0 && cut < n, GR_EARG,
        "split_dataset: argument fraction: expected samples on both sides, found %lld of %lld", (long long)cut,
        (long long)n);
    int64_t *rows = gr__alloc(n, sizeof *rows);
    if (!rows)
        return GR_EMEM;
    for (int64_t i = 0; i < n; i++)
        rows[i] = i;
    if (shuffle)
        gr__random_permutation(gr_seed(), gr__random_use_of("split_dataset"), 0, n, rows);
    gr_status s = gather(d, rows, cut, left);
    if (s == GR_OK)
        s = gather(d, rows + cut, n - cut, right);
    gr__free(rows);
    if (s != GR_OK) {
        gr_data_free(left);
        gr_data_free(right);
    }
    return s;
}

void gr_data_free(gr_data *d)
{
    for (int64_t i = 0; i < d->x.n; i++)
        gr_array_free(d->x.item[i]);
    for (int64_t i = 0; i < d->y.n; i++)
        gr_array_free(d->y.item[i]);
    gr_array_free(d->sample_weight);
    *d = (gr_data){.x.n = 0};
}
