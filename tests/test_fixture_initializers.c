/* Initializers against the distributions of Keras's: mean, deviation and bounds of initializers.npz; orthogonality. */
#include "models/initializer.h"
#include "tests/fixture.h"

typedef struct {
    const fixture *f;
    int row;
    char name[200]; /* "RandomUniform(minval=-2, maxval=1)", for an initializer by name */
    gr_shape shape;
} line;

static double column(const line *l, const char *key)
{
    return gr_array_at(fixture_entry(l->f, key), l->row);
}

/* The row's line of a text that has one a row. */
static const char *row_text(const line *l, const char *key, char *buf, size_t size)
{
    char all[4000];
    const char *at = fixture_copy_text(fixture_entry(l->f, key), all, sizeof all);
    for (int i = 0; i < l->row && at; i++)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    snprintf(buf, size, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
    return buf;
}

static void read_row(line *l)
{
    char kind[40], options[100], sizes[40];
    row_text(l, "name", kind, sizeof kind);
    row_text(l, "options", options, sizeof options);
    row_text(l, "shape", sizes, sizeof sizes);
    for (char *blank = strchr(options, ' '); blank; blank = strchr(blank, ' '))
        *blank = ',';
    snprintf(l->name, sizeof l->name, "%s(%s)", kind, options);
    l->shape = GR_RANK0;
    for (char *at = sizes, *end; *at; at = *end == ',' ? end + 1 : end)
        l->shape.dim[l->shape.rank++] = strtoll(at, &end, 10);
}

/* Four standard errors for the mean and the deviation; not one number out of bounds. */
static void check_row(const line *l, uint64_t seed)
{
    gr_variable *v = gr_variable_new("layer/weight", GR_F32, l->shape, true);
    gr_status s = gr__initialize(v, l->name, NULL, seed, GR_HERE);
    gr_array *a = s == GR_OK ? gr_variable_get(v) : NULL;
    if (GR_EXPECT(a != NULL, "%s: %s", l->name, gr_error_message())) {
        int64_t n = gr_array_size(a), outside = 0;
        double sum = 0, squares = 0, mean = column(l, "mean"), stddev = column(l, "stddev");
        for (int64_t i = 0; i < n; i++) {
            double x = gr_array_at(a, i);
            sum += x;
            squares += (x - mean) * (x - mean);
            outside += x < column(l, "low") - 1e-7 || x > column(l, "high") + 1e-7;
        }
        double error = 4 * stddev / sqrt((double)n) + 1e-9;
        GR_EXPECT(fabs(sum / (double)n - mean) <= error, "%s: mean %g, expected %g", l->name, sum / (double)n, mean);
        GR_EXPECT(fabs(sqrt(squares / (double)n) - stddev) <= error, "%s: deviation %g, expected %g", l->name,
            sqrt(squares / (double)n), stddev);
        GR_EXPECT(outside == 0, "%s: %lld numbers out of bounds", l->name, (long long)outside);
    }
    gr_error_clear();
    gr_array_free(a);
    gr_variable_free(v);
}

static void weights_are_distributed_as_keras_draws_them(void)
{
    fixture f = fixture_open("initializers.npz");
    const gr_array *means = fixture_entry(&f, "mean");
    int n = means ? (int)gr_array_size(means) : 0;
    for (int i = 0; i < n; i++) {
        line l = {.f = &f, .row = i};
        read_row(&l);
        check_row(&l, 1);
        check_row(&l, 1234);
    }
    GR_EXPECT(n > 30, "%d rows", n);
    fixture_close(&f);
}

static void orthogonal_weights_have_orthogonal_rows_or_columns(void)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
        double gain;
    } wanted[] = {{"orthogonal", 6, 4, 1}, {"orthogonal(gain=2)", 4, 6, 2}, {"orthogonal", 5, 5, 1}};
    for (int w = 0; w < 3; w++) {
        int64_t rows = wanted[w].rows, cols = wanted[w].cols, k = rows < cols ? rows : cols, len = rows + cols - k;
        gr_variable *v = gr_variable_new("layer/weight", GR_F32, GR_SHAPE(rows, cols), true);
        gr_status s = gr__initialize(v, wanted[w].name, NULL, 1, GR_HERE);
        gr_array *a = gr_variable_get(v);
        GR_EXPECT(s == GR_OK, "%s: %s", wanted[w].name, gr_error_message());
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < k; j++) {
                double dot = 0, expected = i == j ? wanted[w].gain * wanted[w].gain : 0;
                for (int64_t p = 0; p < len; p++)
                    dot += rows < cols ? gr_array_at(a, i * cols + p) * gr_array_at(a, j * cols + p)
                                       : gr_array_at(a, p * cols + i) * gr_array_at(a, p * cols + j);
                GR_EXPECT(fabs(dot - expected) <= 1e-5, "%s: %lld, %lld: %g", wanted[w].name, (long long)i,
                    (long long)j, dot);
            }
        gr_array_free(a);
        gr_variable_free(v);
    }
}

GR_SUITE("initializers against Keras", GR_TEST(weights_are_distributed_as_keras_draws_them),
    GR_TEST(orthogonal_weights_have_orthogonal_rows_or_columns))
