/* core/random.c: see random.h. The same operations in the same order on every machine: own logarithm, no contraction.
 */
#include "core/random.h"
#include "core/tape.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* ---- the generator ----------------------------------------------------------------------------------------------- */

enum { ROUNDS = 10 };
#define MULTIPLY_0 UINT64_C(0xD2511F53)
#define MULTIPLY_1 UINT64_C(0xCD9E8D57)
#define WEYL_0     UINT32_C(0x9E3779B9)
#define WEYL_1     UINT32_C(0xBB67AE85)

void gr__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k = key[0], l = key[1];
    for (int i = 0; i < ROUNDS; i++, k += WEYL_0, l += WEYL_1) {
        uint64_t p = MULTIPLY_0 * a, q = MULTIPLY_1 * c;
        a = (uint32_t)(q >> 32) ^ b ^ k;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ l;
        d = (uint32_t)p;
    }
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

/* Sixteen blocks side by side: the inner loops are what the compiler turns into vectors. */
enum { LANES = 16, BATCH = 4 * LANES };

static void philox_batch(uint64_t block, uint32_t c, uint32_t d, uint32_t k, uint32_t l, uint32_t out[BATCH])
{
    uint32_t w[4][LANES];
    for (int i = 0; i < LANES; i++) {
        w[0][i] = (uint32_t)(block + (uint64_t)i);
        w[1][i] = (uint32_t)((block + (uint64_t)i) >> 32);
        w[2][i] = c;
        w[3][i] = d;
    }
    for (int r = 0; r < ROUNDS; r++, k += WEYL_0, l += WEYL_1)
        for (int i = 0; i < LANES; i++) {
            uint64_t p = MULTIPLY_0 * w[0][i], q = MULTIPLY_1 * w[2][i];
            w[0][i] = (uint32_t)(q >> 32) ^ w[1][i] ^ k;
            w[1][i] = (uint32_t)q;
            w[2][i] = (uint32_t)(p >> 32) ^ w[3][i] ^ l;
            w[3][i] = (uint32_t)p;
        }
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = w[j][i];
}

/* splitmix64's finalizer (Steele et al. 2014) */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

uint64_t gr__random_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a + UINT64_C(0x9E3779B97F4A7C15)) ^ b) + UINT64_C(0x9E3779B97F4A7C15) * (b | 1);
}

uint64_t gr__random_use_of(const char *name)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325); /* FNV-1a, then scrambled */
    for (; name && *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return scramble(h);
}

/* Elements in pieces of at most BATCH, each from an element whose index is a multiple of 4 on. `second` is the stream
 * of low words that doubles take as well: 0 or 1, in the top of the counter. */
typedef struct {
    uint32_t key[2], c, d;
} stream;

static stream stream_of(uint64_t seed, uint64_t use, uint64_t step, uint32_t second)
{
    uint64_t key = gr__random_mix(seed, use);
    return (stream){{(uint32_t)key, (uint32_t)(key >> 32)}, (uint32_t)step,
        (uint32_t)(step >> 32) << 1 | second};
}

static void piece(const stream *s, int64_t block, uint32_t out[BATCH])
{
    philox_batch((uint64_t)block, s->c, s->d, s->key[0], s->key[1], out);
}

/* Walks begin .. end: w holds elements at .. at + n - 1 from `skip` on. */
#define EACH_PIECE(begin, end)                                                                                  \
    for (int64_t at = (begin), skip = at % 4, n; at < (end); at += n, skip = 0)                                 \
        if (n = BATCH - skip, n = n < (end)-at ? n : (end)-at, n > 0)

void gr__random_bits(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, uint32_t *out)
{
    stream s = stream_of(seed, use, step, 0);
    uint32_t w[BATCH];
    EACH_PIECE(begin, end)
    {
        piece(&s, at / 4, w);
        memcpy(out + (at - begin), w + skip, (size_t)n * sizeof *w);
    }
}

/* ---- distributions ----------------------------------------------------------------------------------------------- */

/* log(x) for a normal x > 0: x = m 2^e with m near 1, then 2 artanh((m-1)/(m+1)) as a series. */
static double natural_log(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), t = s * s, sum = 0;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * t + 1.0 / k;
    return 2 * s * sum + e * 0.69314718055994531;
}

static double rational(const double a[8], const double b[8], double r)
{
    double p = a[7], q = b[7];
    for (int i = 6; i >= 0; i--) {
        p = p * r + a[i];
        q = q * r + b[i];
    }
    return p / q;
}

double gr__normal_quantile(double p)
{
    static const double middle[2][8] = {
        {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
            4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3},
        {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
            3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3}};
    static const double tail[2][8] = {
        {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
            1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4},
        {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
            1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9}};
    static const double far[2][8] = {
        {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
            2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
        {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
            7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
            2.04426310338993978564e-15}};
    double q = p - 0.5;
    if (fabs(q) <= 0.425)
        return q * rational(middle[0], middle[1], 0.180625 - q * q);
    double r = sqrt(-natural_log(q < 0 ? p : 1 - p));
    double x = r <= 5 ? rational(tail[0], tail[1], r - 1.6) : rational(far[0], far[1], r - 5);
    return q < 0 ? -x : x;
}

/* The middle of the interval that 32 or 53 bits name: never 0 or 1. */
static double middle_f32(uint32_t high, uint32_t low)
{
    (void)low;
    return ((double)high + 0.5) * 0x1p-32;
}
static uint64_t top_53(uint32_t high, uint32_t low)
{
    return (uint64_t)high << 21 | low >> 11;
}
static double middle_f64(uint32_t high, uint32_t low)
{
    return ((double)top_53(high, low) + 0.5) * 0x1p-53;
}

static float uniform_f32(uint32_t high, uint32_t low)
{
    (void)low;
    return (float)(high >> 8) * 0x1p-24f;
}
static double uniform_f64(uint32_t high, uint32_t low)
{
    return (double)top_53(high, low) * 0x1p-53;
}

#define NORMAL(T, u) ((T)gr__normal_quantile(u))
/* Phi(-2), and what lies between -2 and 2. The ends round to 2 at most. */
#define BELOW   0.022750131948179207
#define BETWEEN 0.95449973610364159
#define CUT(x)  ((x) < -2 ? -2 : (x) > 2 ? 2 : (x))
#define TRUNCATED(T, u) ((T)CUT(gr__normal_quantile(BELOW + BETWEEN * (u))))

#define DISTRIBUTION(name, T, words, value)                                                                    \
    void name(uint64_t seed, uint64_t use, uint64_t step, int64_t begin, int64_t end, T *out)                  \
    {                                                                                                          \
        stream s = stream_of(seed, use, step, 0), t = stream_of(seed, use, step, 1);                           \
        uint32_t high[BATCH], low[BATCH] = {0};                                                                \
        EACH_PIECE(begin, end)                                                                                 \
        {                                                                                                      \
            piece(&s, at / 4, high);                                                                           \
            if ((words) == 2)                                                                                  \
                piece(&t, at / 4, low);                                                                        \
            T *y = out + (at - begin);                                                                         \
            const uint32_t *h = high + skip, *l = low + skip;                                                  \
            for (int64_t i = 0; i < n; i++)                                                                    \
                y[i] = value;                                                                                  \
        }                                                                                                      \
    }
DISTRIBUTION(gr__random_uniform_f32, float, 1, uniform_f32(h[i], l[i]))
DISTRIBUTION(gr__random_uniform_f64, double, 2, uniform_f64(h[i], l[i]))
DISTRIBUTION(gr__random_normal_f32, float, 1, NORMAL(float, middle_f32(h[i], l[i])))
DISTRIBUTION(gr__random_normal_f64, double, 2, NORMAL(double, middle_f64(h[i], l[i])))
DISTRIBUTION(gr__random_truncated_f32, float, 1, TRUNCATED(float, middle_f32(h[i], l[i])))
DISTRIBUTION(gr__random_truncated_f64, double, 2, TRUNCATED(double, middle_f64(h[i], l[i])))

/* x n / 2^64: uniform in 0 .. n-1 but for one part in 2^64 / n. */
static int64_t below(uint64_t x, uint64_t n)
{
    uint64_t a = x >> 32, b = x & UINT32_MAX, c = n >> 32, d = n & UINT32_MAX;
    uint64_t middle = a * d + (b * d >> 32), other = b * c + (middle & UINT32_MAX);
    return (int64_t)(a * c + (middle >> 32) + (other >> 32));
}

void gr__random_permutation(uint64_t seed, uint64_t use, uint64_t step, int64_t n, int64_t *out)
{
    stream s = stream_of(seed, use, step, 0), t = stream_of(seed, use, step, 1);
    uint32_t high[BATCH], low[BATCH];
    for (int64_t i = 0; i < n; i++) {
        if (i % BATCH == 0) {
            piece(&s, i / 4, high);
            piece(&t, i / 4, low);
        }
        int64_t j = below((uint64_t)high[i % BATCH] << 32 | low[i % BATCH], (uint64_t)i + 1);
        out[i] = out[j]; /* "inside out": element i goes to place j, what was there to place i */
        out[j] = i;
    }
}

/* ---- the seed of the process ------------------------------------------------------------------------------------- */

static _Atomic uint64_t process_seed;

void gr_set_seed(uint64_t seed)
{
    atomic_store(&process_seed, seed);
}

uint64_t gr_seed(void)
{
    return atomic_load(&process_seed);
}
