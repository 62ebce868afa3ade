/* The float kernels: accuracy over all floats, the same bits on every instruction set, layouts of a tile. */
#include "tests/harness.h"
#include "ops/kernels/tile.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* As in a compiled step: denormals count as zero. */
static void flush_denormals(void)
{
#ifdef __SSE__
    unsigned control;
    __asm__ volatile("stmxcsr %0" : "=m"(control));
    control |= 0x8040;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control |= 1u << 24;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static bool same(float a, float b) /* a NaN is a NaN, whatever its bits */
{
    return to_bits(a) == to_bits(b) || (isnan(a) && isnan(b));
}

static double flushed(float x)
{
    return fabsf(x) < 0x1p-126f || (to_bits(x) & 0x7f800000) == 0 ? copysign(0, (double)x) : (double)x;
}

static void run(
    gr_isa isa, int row, int64_t n, float *y, const float *a, const float *b, const float *c, const double *p)
{
    gr_tile t = {.rows = 1, .cols = n, .y = {y, n, 1}, .attr = p};
    const float *x[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        if (x[i])
            t.x[i] = (gr_tile_arg){(void *)x[i], n, 1};
    gr__tiles_of(isa)[row](&t);
}

/* ---- accuracy ---------------------------------------------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double square(double x)
{
    return x * x;
}
static double rsqrt(double x)
{
    return 1 / sqrt(x);
}
static double reciprocal(double x)
{
    return 1 / x;
}

/* The distance in units in the last place; 0 where both are NaN, the same infinity, or flushed to zero alike. */
static double distance(float got, double want)
{
    int exponent;
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (isinf((float)want))
        return got == (float)want || fabsf(got) >= 0x1.fffffep127f ? 0 : INFINITY;
    if (fabs(want) < 0x1p-126)
        return (got == 0 || fabsf(got) == 0x1p-126f) && !signbit(got) == !signbit(want) ? 0 : INFINITY;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

enum { BLOCK = 4096 };

static void every_function_is_as_accurate_as_it_says(void)
{
    static const struct {
        const char *name;
        int row;
        double (*exact)(double);
        double ulps;
    } rows[] = {
        {"exp", GR__TILE_exp, exp, 1.1},
        {"expm1", GR__TILE_expm1, expm1, 1.6},
        {"log", GR__TILE_log, log, 1.0},
        {"log1p", GR__TILE_log1p, log1p, 1.6},
        {"tanh", GR__TILE_tanh, tanh, 1.4},
        {"sigmoid", GR__TILE_sigmoid, sigmoid, 1.6},
        {"erf", GR__TILE_erf, erf, 1.2},
        {"sin", GR__TILE_sin, sin, 1.7},
        {"cos", GR__TILE_cos, cos, 1.7},
        {"sqrt", GR__TILE_sqrt, sqrt, 0.5},
        {"square", GR__TILE_square, square, 0.5},
        {"rsqrt", GR__TILE_rsqrt, rsqrt, 1.5},
        {"reciprocal", GR__TILE_reciprocal, reciprocal, 0.5},
        {"floor", GR__TILE_floor, floor, 0},
        {"ceil", GR__TILE_ceil, ceil, 0},
        {"round", GR__TILE_round, rint, 0},
    };
    static float x[BLOCK], y[BLOCK];
    flush_denormals();
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        double worst = 0;
        float at = 0;
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32;) {
            for (int i = 0; i < BLOCK; i++, bits += 2053) /* every 2053rd float, NaNs and infinities among them */
                x[i] = of_bits((uint32_t)bits);
            x[0] = INFINITY, x[1] = -INFINITY, x[2] = -0.0f, x[3] = 1, x[4] = -1;
            run(gr__cpu_isa(), rows[k].row, BLOCK, y, x, NULL, NULL, NULL);
            for (int i = 0; i < BLOCK; i++) {
                double d = distance(y[i], rows[k].exact(flushed(x[i])));
                if (d > worst)
                    worst = d, at = x[i];
            }
        }
        GR_EXPECT(worst <= rows[k].ulps, "%s: %.3f ulp at %a, expected at most %.1f", rows[k].name, worst, (double)at,
            rows[k].ulps);
    }
}

static void pow_is_exact_but_for_the_last_rounding(void)
{
    static float x[BLOCK], y[BLOCK], z[BLOCK];
    uint32_t s = 12345;
    double worst = 0;
    flush_denormals();
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < BLOCK; i++) {
            s ^= s << 13, s ^= s >> 17, s ^= s << 5;
            x[i] = of_bits(round % 2 ? s & 0x7fffffff : 0x3f000000 + (s & 0xffffff)); /* all sizes; near 1 */
            s ^= s << 13, s ^= s >> 17, s ^= s << 5;
            y[i] = (float)((double)(int32_t)s / 0x1p31 * (round % 2 ? 3 : 300));
        }
        run(gr__cpu_isa(), GR__TILE_pow, BLOCK, z, x, y, NULL, NULL);
        for (int i = 0; i < BLOCK; i++)
            worst = fmax(worst, distance(z[i], pow(flushed(x[i]), flushed(y[i]))));
    }
    GR_EXPECT(worst <= 0.51, "%.4f ulp", worst);
}

static void pow_keeps_the_rules_of_annex_f(void)
{
    static const float values[] = {0, -0.0f, 1, -1, 2, -2, 3, -3, 0.5f, -0.5f, 1.5f, -2.5f, INFINITY, -INFINITY, NAN,
        1e30f, -1e30f, 0x1p-126f, -0x1p-126f, 0x1p23f, 8388609, -8388609, 16777216, -3.0000002f};
    enum { N = sizeof values / sizeof *values };
    flush_denormals();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float z;
            run(gr__cpu_isa(), GR__TILE_pow, 1, &z, &values[i], &values[j], NULL, NULL);
            const double want = pow((double)values[i], (double)values[j]);
#ifdef __aarch64__ /* flushes before it rounds: what would be rounded up to the least normal number is 0 */
            if (fabs(want) == 0x1p-126 && z == 0)
                continue;
#endif
            GR_EXPECT(distance(z, want) < 1, "pow(%g, %g) = %g", (double)values[i],
                (double)values[j], (double)z);
        }
}

static void special_values_come_out_right(void)
{
    static const struct {
        const char *why;
        int row;
        float a, b, y;
    } rows[] = {
        {"a NaN on the left", GR__TILE_maximum, NAN, 1, NAN},
        {"a NaN on the right", GR__TILE_maximum, 1, NAN, NAN},
        {"a NaN on the left", GR__TILE_minimum, NAN, 1, NAN},
        {"a NaN on the right", GR__TILE_minimum, 1, NAN, NAN},
        {"infinities are numbers", GR__TILE_maximum, -INFINITY, 2, 2},
        {"relu lets a NaN through", GR__TILE_relu, NAN, 0, NAN},
        {"relu of -0", GR__TILE_relu, -0.0f, 0, 0},
        {"exp overflows", GR__TILE_exp, 88.73f, 0, INFINITY},
        {"exp of the last finite", GR__TILE_exp, 88.72283f, 0, 0x1.ffff08p+127f},
        {"exp underflows", GR__TILE_exp, -87.34f, 0, 0},
        {"exp of -inf", GR__TILE_exp, -INFINITY, 0, 0},
        {"log of 0", GR__TILE_log, 0, 0, -INFINITY},
        {"log of a negative", GR__TILE_log, -1, 0, NAN},
        {"log of a denormal", GR__TILE_log, 1e-40f, 0, -INFINITY},
        {"log1p of -1", GR__TILE_log1p, -1, 0, -INFINITY},
        {"log1p of tiny", GR__TILE_log1p, 1e-30f, 0, 1e-30f},
        {"expm1 of tiny", GR__TILE_expm1, -1e-30f, 0, -1e-30f},
        {"expm1 of -inf", GR__TILE_expm1, -INFINITY, 0, -1},
        {"sin of inf", GR__TILE_sin, INFINITY, 0, NAN},
        {"softplus does not overflow", GR__TILE_softplus, 1000, 0, 1000},
        {"silu of a great negative", GR__TILE_silu, -1000, 0, -0.0f},
        {"gelu of a great negative", GR__TILE_gelu, -1000, 0, -0.0f},
        {"sign of NaN", GR__TILE_sign, NAN, 0, NAN},
        {"sign of -0", GR__TILE_sign, -0.0f, 0, -0.0f},
        {"half to even", GR__TILE_round, 2.5f, 0, 2},
        {"half to even below 0", GR__TILE_round, -0.5f, 0, -0.0f},
        {"floor of -0.5", GR__TILE_floor, -0.5f, 0, -1},
        {"ceil of -0.5", GR__TILE_ceil, -0.5f, 0, -0.0f},
        {"floor of a great one", GR__TILE_floor, 0x1.fffffep30f, 0, 0x1.fffffep30f},
        {"a NaN equals nothing", GR__TILE_equal, NAN, NAN, 0},
        {"so it differs", GR__TILE_not_equal, NAN, NAN, 1},
        {"nor is it less", GR__TILE_less_equal, NAN, 1, 0},
        {"-0 equals 0", GR__TILE_equal, -0.0f, 0, 1},
        {"isnan", GR__TILE_isnan, NAN, 0, 1},
        {"inf is not NaN", GR__TILE_isnan, INFINITY, 0, 0},
        {"isinf", GR__TILE_isinf, -INFINITY, 0, 1},
        {"NaN is not finite", GR__TILE_isfinite, NAN, 0, 0},
        {"true and 1", GR__TILE_logical_xor, 1, 1, 0},
        {"not", GR__TILE_logical_not, 0, 0, 1},
    };
    flush_denormals();
    for (int isa = 0; isa < GR_ISA_COUNT; isa++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows && gr__tiles_of((gr_isa)isa); i++) {
            float y;
            run((gr_isa)isa, rows[i].row, 1, &y, &rows[i].a, &rows[i].b, NULL, NULL);
            GR_EXPECT(same(y, rows[i].y), "%s, %s: found %a", gr__isa_name((gr_isa)isa), rows[i].why, (double)y);
        }
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

static const double parameters[2] = {-0.7, 1.5};

static void fill(float *x, int64_t n, uint32_t s)
{
    for (int64_t i = 0; i < n; i++) {
        s ^= s << 13, s ^= s >> 17, s ^= s << 5;
        x[i] = i % 3 == 0 ? of_bits(s) : i % 3 == 1 ? (float)(int32_t)s / 0x1p29f : (float)((int)(s >> 29) - 3);
    }
}

static void all_instruction_sets_give_the_same_bits(void)
{
    static float a[BLOCK], b[BLOCK], c[BLOCK], want[BLOCK], got[BLOCK];
    if (!gr__tiles_of(GR_ISA_AVX2)) {
        gr_test_skip("one instruction set only");
        return;
    }
    flush_denormals();
    for (uint32_t seed = 1; seed < 20; seed++) {
        fill(a, BLOCK, seed), fill(b, BLOCK, seed + 100), fill(c, BLOCK, seed + 200);
        for (int row = 0; row < GR__TILE_COUNT; row++) {
            if (!gr__tiles_of(GR_ISA_BASE)[row])
                continue; /* of integers */
            run(GR_ISA_BASE, row, BLOCK, want, a, b, c, parameters);
            for (int isa = 1; isa < GR_ISA_COUNT; isa++) {
                if (!gr__tiles_of((gr_isa)isa))
                    continue;
                run((gr_isa)isa, row, BLOCK, got, a, b, c, parameters);
                int bad = -1;
                for (int i = 0; i < BLOCK && bad < 0; i++)
                    bad = same(want[i], got[i]) ? -1 : i;
                const int i = bad < 0 ? 0 : bad;
                GR_EXPECT(bad < 0, "row %d, %s: f(%a, %a, %a) is %a, base has %a", row, gr__isa_name((gr_isa)isa),
                    (double)a[i], (double)b[i], (double)c[i], (double)got[i], (double)want[i]);
            }
        }
    }
}

/* A checkpoint resumes with the same bits on another machine, and under the next compiler. */
static void the_bits_are_those_of_every_other_machine(void)
{
    static const struct {
        const char *name;
        int row;
        uint64_t hash;
    } rows[] = {
        {"exp", GR__TILE_exp, UINT64_C(0xa01b85c01e59d4d8)},
        {"expm1", GR__TILE_expm1, UINT64_C(0xaa3e665afb36b644)},
        {"log", GR__TILE_log, UINT64_C(0x0939b10553d1b892)},
        {"log1p", GR__TILE_log1p, UINT64_C(0xbaea2e5804b108ed)},
        {"tanh", GR__TILE_tanh, UINT64_C(0x957f933483af52f8)},
        {"sigmoid", GR__TILE_sigmoid, UINT64_C(0x9d57d83eb401dea7)},
        {"erf", GR__TILE_erf, UINT64_C(0xd690de0e987da7e8)},
        {"sin", GR__TILE_sin, UINT64_C(0xa480d5033b49cd22)},
        {"cos", GR__TILE_cos, UINT64_C(0x6b79b6bbb74d547a)},
        {"pow", GR__TILE_pow, UINT64_C(0xe93c5da2bd1ad544)},
        {"rsqrt", GR__TILE_rsqrt, UINT64_C(0x7bc4d5391d33cd00)},
        {"gelu", GR__TILE_gelu, UINT64_C(0x9701f218c26b9833)},
    };
    static float a[BLOCK], b[BLOCK], y[BLOCK];
    flush_denormals();
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a over whole words */
        for (uint32_t seed = 1; seed < 10; seed++) {
            fill(a, BLOCK, seed), fill(b, BLOCK, seed + 100);
            run(gr__cpu_isa(), rows[k].row, BLOCK, y, a, b, NULL, NULL);
            for (int i = 0; i < BLOCK; i++)
                hash = (hash ^ (isnan(y[i]) ? 0x7fc00000 : to_bits(y[i]))) * UINT64_C(0x100000001b3);
        }
        GR_EXPECT(hash == rows[k].hash, "%s: 0x%016llx", rows[k].name, (unsigned long long)hash);
    }
}

static void a_lane_does_not_know_its_place(void)
{
    static float a[80], b[80], c[80], want[80], y[82];
    flush_denormals();
    fill(a, 80, 7), fill(b, 80, 8), fill(c, 80, 9);
    for (int isa = 0; isa < GR_ISA_COUNT; isa++)
        for (int row = 0; row < GR__TILE_COUNT && gr__tiles_of((gr_isa)isa); row++) {
            if (!gr__tiles_of((gr_isa)isa)[row])
                continue;
            run((gr_isa)isa, row, 80, want, a, b, c, parameters);
            bool ok = true;
            for (int n = 0; n <= 67; n++) {
                int from = (n * 5) % 13;
                for (int i = 0; i < 82; i++)
                    y[i] = -77;
                run((gr_isa)isa, row, n, y + 1, a + from, b + from, c + from, parameters);
                for (int i = 0; i < n; i++)
                    ok = ok && same(y[1 + i], want[from + i]);
                ok = ok && y[0] == -77 && y[1 + n] == -77;
            }
            GR_EXPECT(ok, "%s, row %d: depends on the position, or writes outside", gr__isa_name((gr_isa)isa), row);
        }
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

static void every_layout_of_a_tile_is_read_right(void)
{
    static const struct {
        const char *why;
        int64_t rows, cols, y_row, a_row, a_col, b_row, b_col;
    } rows[] = {
        {"dense: one flat loop", 5, 7, 7, 7, 1, 7, 1},
        {"a row vector", 9, 32, 32, 32, 1, 0, 1},
        {"a column", 9, 33, 33, 33, 1, 1, 0},
        {"two columns", 4, 3, 3, 1, 0, 2, 0},
        {"two numbers", 3, 20, 20, 0, 0, 0, 0},
        {"rows further apart", 6, 18, 40, 50, 1, 30, 1},
        {"one column, dense", 40, 1, 1, 1, 1, 1, 1},
        {"one column against a number", 40, 1, 1, 1, 1, 0, 0},
        {"one column of a wide matrix", 40, 1, 3, 4, 1, 5, 0},
        {"one row", 1, 65, 65, 65, 1, 0, 0},
        {"nothing", 0, 5, 5, 5, 1, 5, 1},
        {"no columns", 5, 0, 0, 0, 1, 1, 0},
    };
    static float a[2000], b[2000], y[2000];
    fill(a, 2000, 3), fill(b, 2000, 4);
    for (int isa = 0; isa < GR_ISA_COUNT; isa++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows && gr__tiles_of((gr_isa)isa); i++) {
            gr_tile t = {.rows = rows[i].rows,
                .cols = rows[i].cols,
                .y = {y, rows[i].y_row, 1},
                .x = {{a, rows[i].a_row, rows[i].a_col}, {b, rows[i].b_row, rows[i].b_col}}};
            memset(y, 0, sizeof y);
            gr__tiles_of((gr_isa)isa)[GR__TILE_sub](&t);
            bool ok = true;
            for (int64_t r = 0; r < rows[i].rows; r++)
                for (int64_t c = 0; c < rows[i].cols; c++)
                    ok = ok && same(y[r * rows[i].y_row + c],
                                   a[r * rows[i].a_row + c * rows[i].a_col] - b[r * rows[i].b_row + c * rows[i].b_col]);
            GR_EXPECT(ok, "%s: %s", gr__isa_name((gr_isa)isa), rows[i].why);
        }
}

static void a_result_may_lie_on_an_operand(void)
{
    static float a[200], b[200], want[200], y[200];
    fill(a, 200, 5), fill(b, 200, 6);
    for (int isa = 0; isa < GR_ISA_COUNT; isa++) {
        if (!gr__tiles_of((gr_isa)isa))
            continue;
        run((gr_isa)isa, GR__TILE_sub, 197, want, a, b, NULL, NULL);
        memcpy(y, a, sizeof y);
        run((gr_isa)isa, GR__TILE_sub, 197, y, y, b, NULL, NULL);
        CU_ASSERT(memcmp(y, want, 197 * sizeof *y) == 0);
        memcpy(y, b, sizeof y);
        run((gr_isa)isa, GR__TILE_sub, 197, y, a, y, NULL, NULL);
        CU_ASSERT(memcmp(y, want, 197 * sizeof *y) == 0);
    }
}

static void double_kernels_agree_with_float_ones(void)
{
    static float a[BLOCK], b[BLOCK], c[BLOCK], y[BLOCK];
    static double da[BLOCK], db[BLOCK], dc[BLOCK], dy[BLOCK];
    flush_denormals();
    fill(a, BLOCK, 21), fill(b, BLOCK, 22), fill(c, BLOCK, 23);
    for (int i = 0; i < BLOCK; i++) {
        if (i % 3 == 0) /* moderate numbers: composites lose digits far out */
            a[i] = (float)i / 700 - 3;
        da[i] = a[i], db[i] = b[i], dc[i] = c[i];
    }
    for (int row = 0; row < GR__TILE_COUNT; row++) {
        if (!gr__tile_f64(row))
            continue;
        gr_tile t = {.rows = 1,
            .cols = BLOCK,
            .y = {dy, BLOCK, 1},
            .x = {{da, BLOCK, 1}, {db, BLOCK, 1}, {dc, BLOCK, 1}},
            .attr = parameters};
        gr__tile_f64(row)(&t);
        run(gr__cpu_isa(), row, BLOCK, y, a, b, c, parameters);
        int bad = -1;
        for (int i = 0; i < BLOCK && bad < 0; i++)
            bad = distance(y[i], dy[i]) <= 4 || fabs((double)y[i] - dy[i]) <= 4e-7 * (1 + fabs((double)a[i])) ? -1 : i;
        const int i = bad < 0 ? 0 : bad;
        GR_EXPECT(
            bad < 0, "row %d: f(%a, %a) is %a, double has %a", row, (double)a[i], (double)b[i], (double)y[i], dy[i]);
    }
}

GR_SUITE("ops/kernels/vmath.h", GR_TEST(every_function_is_as_accurate_as_it_says),
    GR_TEST(pow_is_exact_but_for_the_last_rounding), GR_TEST(pow_keeps_the_rules_of_annex_f),
    GR_TEST(special_values_come_out_right), GR_TEST(all_instruction_sets_give_the_same_bits),
    GR_TEST(the_bits_are_those_of_every_other_machine),
    GR_TEST(a_lane_does_not_know_its_place), GR_TEST(every_layout_of_a_tile_is_read_right),
    GR_TEST(a_result_may_lie_on_an_operand), GR_TEST(double_kernels_agree_with_float_ones))
