/* For tests that compare with tests/fixtures: the cases of an .npz, their arrays, texts and options.
 *
 *     fixture f = fixture_open("layers.npz");
 *     for (int i = 0; i < f.n; i++) {
 *         gr_array *x = fixture_array(&f, i, "x");
 *         double rate = fixture_option(&f, i, "rate", 0);
 *     }
 *     fixture_close(&f);
 * tests/fixtures/README.md says what the keys mean. */
#ifndef GR_TESTS_FIXTURE_H
#define GR_TESTS_FIXTURE_H

#include "io/npz.h"
#include "tests/harness.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_CASES = 200 };
typedef struct {
    gr_npz *npz;
    int n;       /* cases */
    char *names; /* their text, cut into lines */
    const char *name[FIXTURE_CASES];
} fixture;

/* By its whole name; NULL if there is none. It is the file's, not to be changed: lists of arrays are not const. */
static inline gr_array *fixture_entry(const fixture *f, const char *key)
{
    int64_t at = f->npz ? gr_npz_find(f->npz, key) : -1;
    return at < 0 ? NULL : (gr_array *)gr_npz_at(f->npz, at);
}

/* Entry `key` of case i; NULL if there is none. */
static inline gr_array *fixture_array(const fixture *f, int i, const char *key)
{
    char name[160];
    snprintf(name, sizeof name, "%s/%s", f->name[i], key);
    return fixture_entry(f, name);
}

static inline const char *fixture_copy_text(const gr_array *a, char *buf, size_t size)
{
    size_t n = a ? (size_t)gr_array_size(a) : 0;
    n = n < size ? n : size - 1;
    if (n > 0)
        memcpy(buf, gr_array_data(a), n);
    buf[n] = 0;
    return buf;
}

/* A text of case i; "" if there is none. */
static inline const char *fixture_text(const fixture *f, int i, const char *key, char *buf, size_t size)
{
    return fixture_copy_text(fixture_array(f, i, key), buf, size);
}

/* The value of an option ("axis" of "axis=0,2 keepdims=1") among those under `key`; NULL if it is not named. */
static inline const char *fixture_value(
    const fixture *f, int i, const char *key, const char *option, char *buf, size_t size)
{
    char all[400];
    size_t length = strlen(option);
    fixture_text(f, i, key, all, sizeof all);
    for (char *word = strtok(all, " "); word; word = strtok(NULL, " "))
        if (strncmp(word, option, length) == 0 && word[length] == '=') {
            snprintf(buf, size, "%s", word + length + 1);
            return buf;
        }
    return NULL;
}

/* A number among the options. */
static inline double fixture_option(const fixture *f, int i, const char *key, const char *option, double otherwise)
{
    char buf[64];
    return fixture_value(f, i, key, option, buf, sizeof buf) ? atof(buf) : otherwise;
}

/* "0,2" as a shape; rank 0 if it is not named or a word. */
static inline gr_shape fixture_list(const fixture *f, int i, const char *key, const char *option)
{
    char buf[64];
    gr_shape s = GR_RANK0;
    if (!fixture_value(f, i, key, option, buf, sizeof buf) || strspn(buf, "-0123456789,") != strlen(buf))
        return s;
    for (char *at = buf, *end; *at && s.rank < GR_MAX_RANK; at = *end == ',' ? end + 1 : end)
        s.dim[s.rank++] = strtoll(at, &end, 10);
    return s;
}

/* "SGD(learning_rate=0.1, momentum=0.9)" from the texts under `kind` and `key`, for gr_spec_parse. A list of numbers,
 * or one number of an option that is a list, gets brackets. */
static inline const char *fixture_spec(
    const fixture *f, int i, const char *kind, const char *key, char *buf, size_t size)
{
    static const char *const lists = " kernel_size strides dilation_rate pool_size size padding cropping ";
    char name[64], options[400], option[40];
    fixture_text(f, i, kind, name, sizeof name);
    fixture_text(f, i, key, options, sizeof options);
    int n = snprintf(buf, size, "%s(", name);
    for (char *word = strtok(options, " "); word && n < (int)size; word = strtok(NULL, " ")) {
        int length = (int)strcspn(word, "=");
        snprintf(option, sizeof option, " %.*s ", length, word);
        const char *value = word + length + 1;
        bool list = strchr(value, ',') || (strstr(lists, option) && strspn(value, "0123456789") == strlen(value));
        n += snprintf(buf + n, size - (size_t)n, list ? "%s%.*s=[%s]" : "%s%.*s=%s", buf[n - 1] == '(' ? "" : ", ",
            length, word, value);
    }
    if (n < (int)size)
        snprintf(buf + n, size - (size_t)n, ")");
    return buf;
}

static inline fixture fixture_open(const char *file)
{
    fixture f = {.npz = gr_npz_load(gr_test_fixture(file))};
    if (!GR_EXPECT(f.npz != NULL, "%s: %s", file, gr_error_message()))
        return f;
    const gr_array *cases = fixture_entry(&f, "cases");
    size_t size = cases ? (size_t)gr_array_size(cases) + 1 : 1;
    if (!(f.names = malloc(size)))
        return f;
    fixture_copy_text(cases, f.names, size);
    for (char *line = strtok(f.names, "\n"); line && f.n < FIXTURE_CASES; line = strtok(NULL, "\n"))
        f.name[f.n++] = line;
    return f;
}

static inline void fixture_close(fixture *f)
{
    gr_npz_free(f->npz);
    free(f->names);
    *f = (fixture){0};
}

/* a has the shape of `expected` and its numbers, within tolerance times the largest magnitude (at least `floor`); NaN
 * and infinities in the same places. `what` names the row. */
static inline bool fixture_near(
    const gr_array *a, const gr_array *expected, double tolerance, double floor, const char *row, const char *what)
{
    char got[200], want[200];
    if (!GR_EXPECT(a != NULL, "%s: %s: no value: %s", row, what, gr_error_message())) {
        gr_error_clear();
        return false;
    }
    bool good = GR_EXPECT(gr_shape_equal(gr_array_shape(a), gr_array_shape(expected)), "%s: %s: shape %s, expected %s",
        row, what, gr_shape_text(gr_array_shape(a), got, sizeof got),
        gr_shape_text(gr_array_shape(expected), want, sizeof want));
    double scale = floor;
    for (int64_t k = 0; good && k < gr_array_size(a); k++)
        if (isfinite(gr_array_at(expected, k)))
            scale = fmax(scale, fabs(gr_array_at(expected, k)));
    for (int64_t k = 0; good && k < gr_array_size(a); k++) {
        double x = gr_array_at(a, k), e = gr_array_at(expected, k);
        bool same = x == e || (isnan(x) && isnan(e)) || fabs(x - e) <= tolerance * scale;
        good = GR_EXPECT(same, "%s: %s: [%lld] is %.17g, expected %.17g (off by %.2g, allowed %.2g)", row, what,
            (long long)k, x, e, fabs(x - e), tolerance * scale);
    }
    return good;
}
#endif
