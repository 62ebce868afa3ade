/* core/random.c: known answers, independence of the split, and the distributions' shapes. */
#include "core/random.h"
#include "core/tape.h"
#include "tests/harness.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void philox_gives_the_known_answers(void)
{
    /* The vectors that Random123 publishes for philox4x32-10 (kat_vectors). */
    static const struct {
        const char *why;
        uint32_t counter[4], key[2], want[4];
    } rows[] = {
        {"zeros", {0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {"ones", {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
            {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {"digits of pi", {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
            {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t out[4];
        gr__philox(rows[i].counter, rows[i].key, out);
        GR_EXPECT(memcmp(out, rows[i].want, sizeof out) == 0, "%s: %08x %08x %08x %08x", rows[i].why, out[0], out[1],
            out[2], out[3]);
    }
}

/* The stream is defined by single blocks: element i is word i % 4 of block i / 4. */
static void the_stream_is_made_of_those_blocks(void)
{
    uint64_t key = gr__random_mix(7, 8);
    int64_t far = (INT64_C(1) << 40) + 3;
    uint32_t bits[150], word[4];
    for (int pass = 0; pass < 2; pass++) {
        int64_t from = pass ? far : 0;
        gr__random_bits(7, 8, (UINT64_C(5) << 32) + 9, from, from + 150, bits);
        for (int64_t i = 0; i < 150; i++) {
            uint64_t block = (uint64_t)(from + i) / 4;
            gr__philox((uint32_t[]){(uint32_t)block, (uint32_t)(block >> 32), 9, 5 << 1},
                (uint32_t[]){(uint32_t)key, (uint32_t)(key >> 32)}, word);
            GR_EXPECT(bits[i] == word[(from + i) % 4], "element %lld", (long long)(from + i));
        }
    }
}

enum { N = 777 };

#define SPLIT_TEST(T, f)                                                                         \
    do {                                                                                         \
        static T whole[N], part[N];                                                              \
        f(1, 2, 3, 0, N, whole);                                                                 \
        for (int step = 1; step < 200; step += 13) {                                             \
            memset(part, 0, sizeof part);                                                        \
            for (int at = 0; at < N; at += step)                                                 \
                f(1, 2, 3, at, at + step < N ? at + step : N, part + at);                        \
            GR_EXPECT(memcmp(whole, part, sizeof whole) == 0, #f " in pieces of %d", step);      \
        }                                                                                        \
        f(1, 2, 3, 5, 5, part); /* nothing */                                                    \
    } while (0)

static void the_bits_do_not_depend_on_the_split(void)
{
    SPLIT_TEST(uint32_t, gr__random_bits);
    SPLIT_TEST(float, gr__random_uniform_f32);
    SPLIT_TEST(double, gr__random_uniform_f64);
    SPLIT_TEST(float, gr__random_normal_f32);
    SPLIT_TEST(double, gr__random_normal_f64);
    SPLIT_TEST(float, gr__random_truncated_f32);
    SPLIT_TEST(double, gr__random_truncated_f64);
}

static void seed_use_and_step_each_give_another_stream(void)
{
    static const uint64_t rows[][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {0, 0, UINT64_C(1) << 32},
        {UINT64_C(1) << 32, 0, 0}, {0, UINT64_C(1) << 63, 0}, {2, 3, 0}, {3, 2, 0}, {0, 0, UINT64_C(1) << 62}};
    uint32_t bits[COUNT(rows)][8];
    for (size_t i = 0; i < COUNT(rows); i++) {
        gr__random_bits(rows[i][0], rows[i][1], rows[i][2], 0, 8, bits[i]);
        for (size_t j = 0; j < i; j++)
            GR_EXPECT(memcmp(bits[i], bits[j], sizeof bits[i]) != 0, "rows %zu and %zu", i, j);
    }
}

/* A float64 trace of a model must see the same dropout mask. */
static void float_and_double_agree(void)
{
    static float u[4096], z[4096], t[4096];
    static double v[4096], y[4096], s[4096];
    gr__random_uniform_f32(5, 6, 7, 0, 4096, u), gr__random_uniform_f64(5, 6, 7, 0, 4096, v);
    gr__random_normal_f32(5, 6, 7, 0, 4096, z), gr__random_normal_f64(5, 6, 7, 0, 4096, y);
    gr__random_truncated_f32(5, 6, 7, 0, 4096, t), gr__random_truncated_f64(5, 6, 7, 0, 4096, s);
    for (int i = 0; i < 4096; i++) {
        CU_ASSERT((double)u[i] <= v[i] && v[i] < (double)u[i] + 0x1p-24);
        CU_ASSERT(fabs((double)z[i] - y[i]) < 2e-6 * (1 + fabs(y[i])));
        CU_ASSERT(fabs((double)t[i] - s[i]) < 2e-6 * (1 + fabs(s[i])));
    }
}

/* Of 400,000: mean and variance within 5 standard errors, tails as often as they should be. */
static void the_distributions_have_their_moments(void)
{
    enum { M = 400000 };
    static const struct {
        const char *why;
        void (*draw)(uint64_t, uint64_t, uint64_t, int64_t, int64_t, double *);
        double mean, variance, fourth, lo, hi, beyond, chance; /* P(x > beyond) = chance */
    } rows[] = {
        {"uniform", gr__random_uniform_f64, 0.5, 1.0 / 12, 1.0 / 80, 0, 1, 0.9, 0.1},
        {"normal", gr__random_normal_f64, 0, 1, 3, -9, 9, 2, 0.022750131948179},
        {"normal, truncated", gr__random_truncated_f64, 0, 0.7737413035499, 1.4158, -2, 2, 1, 0.1423822},
    };
    double *x = malloc(M * sizeof *x);
    for (size_t r = 0; r < COUNT(rows); r++) {
        rows[r].draw(11, 12, 13, 0, M, x);
        double sum = 0, square = 0, over = 0;
        for (int i = 0; i < M; i++) {
            sum += x[i];
            square += (x[i] - rows[r].mean) * (x[i] - rows[r].mean);
            over += x[i] > rows[r].beyond;
            if (!(x[i] >= rows[r].lo && x[i] <= rows[r].hi))
                GR_EXPECT(false, "%s: %g is outside", rows[r].why, x[i]);
        }
        double v = rows[r].variance, p = rows[r].chance;
        GR_EXPECT(fabs(sum / M - rows[r].mean) < 5 * sqrt(v / M), "%s: mean %g", rows[r].why, sum / M);
        GR_EXPECT(
            fabs(square / M - v) < 5 * sqrt((rows[r].fourth - v * v) / M), "%s: variance %g", rows[r].why, square / M);
        GR_EXPECT(fabs(over / M - p) < 5 * sqrt(p * (1 - p) / M), "%s: tail %g, expected %g", rows[r].why, over / M, p);
    }
    free(x);
}

/* The distribution function of the quantile gives the probability back, tails too. */
static void the_quantile_inverts_the_distribution(void)
{
    static const double p[] = {0x1p-54, 1e-15, 1e-10, 1e-6, 0.001, 0.02275013194817921, 0.07499, 0.075, 0.0751, 0.3,
        0.5, 0.7, 0.925, 0.9251, 0.999};
    for (size_t i = 0; i < COUNT(p); i++) {
        double x = gr__normal_quantile(p[i]), back = 0.5 * erfc(-x / sqrt(2.0));
        GR_EXPECT(fabs(back - p[i]) <= 1e-14 * p[i] * (1 + x * x), "p %g: x %.17g gives %.17g", p[i], x, back);
    }
    CU_ASSERT_EQUAL(gr__normal_quantile(0.5), 0);
    CU_ASSERT_DOUBLE_EQUAL(gr__normal_quantile(0.975), 1.959963984540054, 1e-15);
    for (double q = 0x1p-32; q < 0.5; q *= 1.37)
        CU_ASSERT(gr__normal_quantile(q) < gr__normal_quantile(q * 1.37));
}

static void a_permutation_has_each_number_once(void)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 64, 65, 1000};
    int64_t out[1000], again[1000];
    bool seen[1000];
    for (size_t s = 0; s < COUNT(sizes); s++) {
        int64_t n = sizes[s], moved = 0;
        memset(seen, 0, sizeof seen);
        gr__random_permutation(1, 2, 3, n, out);
        gr__random_permutation(1, 2, 3, n, again);
        for (int64_t i = 0; i < n; i++) {
            GR_EXPECT(out[i] >= 0 && out[i] < n && !seen[out[i]], "n %lld: %lld at %lld", (long long)n,
                (long long)out[i], (long long)i);
            if (out[i] >= 0 && out[i] < n)
                seen[out[i]] = true;
            moved += out[i] != i;
            CU_ASSERT_EQUAL(out[i], again[i]);
        }
        GR_EXPECT(n < 64 || moved > n / 2, "n %lld: only %lld moved", (long long)n, (long long)moved);
    }
    /* Each order of 3 elements in a sixth of 6,000 draws, within 5 deviations. */
    int count[27] = {0};
    for (uint64_t step = 0; step < 6000; step++) {
        gr__random_permutation(9, 9, step, 3, out);
        count[out[0] * 9 + out[1] * 3 + out[2]]++;
    }
    static const int orders[] = {
        0 * 9 + 1 * 3 + 2, 0 * 9 + 2 * 3 + 1, 1 * 9 + 0 + 2, 1 * 9 + 2 * 3 + 0, 2 * 9 + 0 + 1, 2 * 9 + 3 + 0};
    for (size_t i = 0; i < COUNT(orders); i++)
        GR_EXPECT(abs(count[orders[i]] - 1000) < 145, "order %zu: %d of 6000", i, count[orders[i]]);
}

static void names_become_uses(void)
{
    CU_ASSERT(gr__random_use_of("dense/kernel") != gr__random_use_of("dense/bias"));
    CU_ASSERT(gr__random_use_of("a") == gr__random_use_of("a"));
    CU_ASSERT(gr__random_mix(1, 2) != gr__random_mix(2, 1));
    gr_set_seed(1234);
    CU_ASSERT_EQUAL(gr_seed(), 1234);
    gr_set_seed(0);
}

GR_SUITE("core/random.c", GR_TEST(philox_gives_the_known_answers), GR_TEST(the_stream_is_made_of_those_blocks),
    GR_TEST(the_bits_do_not_depend_on_the_split), GR_TEST(seed_use_and_step_each_give_another_stream),
    GR_TEST(float_and_double_agree), GR_TEST(the_distributions_have_their_moments),
    GR_TEST(the_quantile_inverts_the_distribution), GR_TEST(a_permutation_has_each_number_once),
    GR_TEST(names_become_uses))
