/* models/digits.c: the data set that needs no file. Each digit is a few strokes through control points; every image
 * moves the points, turns, slants, scales and bends the whole, and draws it with a pen of its own width and pressure.
 * Image i is a function of (seed, i) alone. See dataset.h. */
#include "core/random.h"
#include "models/dataset.h"
#include <math.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, MAX_POINTS = 12, DRAWS = 160 };

/* Points of a stroke in a unit box, y down; `curved` strokes pass smoothly through them. */
typedef struct {
    bool curved;
    int n;
    float p[MAX_POINTS][2];
} stroke;
typedef struct {
    int n;
    stroke s[3];
} glyph;

#define P(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
/* Two ways to write each digit. */
static const glyph glyphs[10][2] = {
    {{1, {{true, 9,
             {P(.5f, .1f), P(.3f, .22f), P(.22f, .5f), P(.3f, .78f), P(.5f, .9f), P(.7f, .78f), P(.78f, .5f),
                 P(.7f, .22f), P(.5f, .1f)}}}},
        {1, {{true, 8,
                {P(.62f, .14f), P(.36f, .16f), P(.24f, .45f), P(.32f, .8f), P(.56f, .9f), P(.74f, .65f), P(.7f, .28f),
                    P(.5f, .1f)}}}}},
    {{1, {{false, 3, {P(.34f, .28f), P(.54f, .1f), P(.52f, .9f)}}}}, {1, {{false, 2, {P(.56f, .1f), P(.46f, .9f)}}}}},
    {{1, {{true, 8,
             {P(.24f, .3f), P(.34f, .14f), P(.58f, .1f), P(.74f, .28f), P(.62f, .52f), P(.24f, .88f), P(.5f, .87f),
                 P(.8f, .88f)}}}},
        {1, {{true, 9,
                {P(.26f, .24f), P(.48f, .1f), P(.72f, .26f), P(.6f, .56f), P(.34f, .84f), P(.24f, .74f), P(.4f, .7f),
                    P(.58f, .86f), P(.8f, .82f)}}}}},
    {{2, {{true, 4, {P(.26f, .18f), P(.52f, .1f), P(.7f, .27f), P(.46f, .46f)}},
             {true, 4, {P(.46f, .46f), P(.76f, .62f), P(.58f, .88f), P(.24f, .8f)}}}},
        {2, {{false, 3, {P(.26f, .12f), P(.74f, .12f), P(.46f, .42f)}},
                {true, 4, {P(.46f, .42f), P(.76f, .58f), P(.6f, .88f), P(.24f, .82f)}}}}},
    {{2, {{false, 3, {P(.58f, .1f), P(.22f, .6f), P(.8f, .6f)}}, {false, 2, {P(.6f, .34f), P(.58f, .92f)}}}},
        {2, {{false, 3, {P(.3f, .12f), P(.26f, .52f), P(.74f, .5f)}}, {false, 2, {P(.72f, .1f), P(.64f, .92f)}}}}},
    {{2, {{false, 2, {P(.76f, .12f), P(.34f, .12f)}},
             {true, 6, {P(.34f, .12f), P(.3f, .44f), P(.54f, .4f), P(.76f, .62f), P(.56f, .88f), P(.24f, .82f)}}}},
        {1, {{true, 8,
                {P(.74f, .14f), P(.4f, .12f), P(.34f, .28f), P(.32f, .46f), P(.6f, .44f), P(.74f, .68f), P(.52f, .9f),
                    P(.26f, .84f)}}}}},
    {{1, {{true, 8,
             {P(.66f, .1f), P(.38f, .34f), P(.26f, .66f), P(.46f, .9f), P(.72f, .76f), P(.66f, .54f), P(.44f, .52f),
                 P(.28f, .68f)}}}},
        {1, {{true, 7,
                {P(.5f, .1f), P(.34f, .46f), P(.3f, .78f), P(.52f, .9f), P(.7f, .72f), P(.52f, .56f),
                    P(.32f, .72f)}}}}},
    {{1, {{false, 3, {P(.22f, .13f), P(.78f, .13f), P(.44f, .9f)}}}},
        {2, {{false, 3, {P(.24f, .14f), P(.76f, .12f), P(.46f, .9f)}}, {false, 2, {P(.36f, .52f), P(.7f, .5f)}}}}},
    {{1, {{true, 9,
             {P(.5f, .48f), P(.3f, .3f), P(.5f, .1f), P(.7f, .3f), P(.5f, .48f), P(.26f, .7f), P(.5f, .9f),
                 P(.74f, .7f), P(.5f, .48f)}}}},
        {1, {{true, 9,
                {P(.7f, .18f), P(.46f, .1f), P(.32f, .28f), P(.52f, .48f), P(.72f, .7f), P(.5f, .9f), P(.3f, .72f),
                    P(.5f, .48f), P(.72f, .2f)}}}}},
    {{1, {{true, 7, {P(.7f, .3f), P(.5f, .48f), P(.3f, .32f), P(.48f, .1f), P(.7f, .28f), P(.7f, .55f), P(.6f, .9f)}}}},
        {2, {{true, 6, {P(.68f, .22f), P(.46f, .1f), P(.3f, .3f), P(.46f, .5f), P(.66f, .36f), P(.68f, .2f)}},
                {false, 2, {P(.68f, .2f), P(.66f, .92f)}}}}},
};

/* A row of random numbers, taken one after the other. */
typedef struct {
    uint32_t bits[DRAWS];
    int used;
} dice;

static float uniform(dice *d, float lo, float hi)
{
    float u = (float)(d->bits[d->used++ % DRAWS] >> 8) * 0x1p-24f;
    return lo + (hi - lo) * u;
}

/* What one image does to the plane: affine, then a slow wave along each axis. */
typedef struct {
    float a[2][2], shift[2], amplitude[2], phase[2], frequency[2];
} warp;

static warp draw_warp(dice *d)
{
    float angle = uniform(d, -.38f, .38f), slant = uniform(d, -.4f, .4f);
    float sx = uniform(d, .62f, 1.08f) * 20, sy = uniform(d, .72f, 1.08f) * 20, c = cosf(angle), s = sinf(angle);
    return (warp){.a = {{c * sx, (c * slant - s) * sy}, {s * sx, (s * slant + c) * sy}},
        .shift = {13.5f + uniform(d, -2.4f, 2.4f), 13.5f + uniform(d, -2.4f, 2.4f)},
        .amplitude = {uniform(d, 0, 1.5f), uniform(d, 0, 1.5f)},
        .phase = {uniform(d, 0, 6.28f), uniform(d, 0, 6.28f)},
        .frequency = {uniform(d, .1f, .32f), uniform(d, .1f, .32f)}};
}

static void place(const warp *w, const float in[2], float out[2])
{
    float x = in[0] - .5f, y = in[1] - .5f;
    float px = w->a[0][0] * x + w->a[0][1] * y + w->shift[0], py = w->a[1][0] * x + w->a[1][1] * y + w->shift[1];
    out[0] = px + w->amplitude[0] * sinf(w->frequency[0] * py + w->phase[0]);
    out[1] = py + w->amplitude[1] * sinf(w->frequency[1] * px + w->phase[1]);
}

/* Ink of a pen of radius r along a segment: 1 inside, falling to 0 over one pixel. */
static void segment(float *ink, const float a[2], const float b[2], float r)
{
    float lo_x = fminf(a[0], b[0]) - r - 1, hi_x = fmaxf(a[0], b[0]) + r + 1;
    float lo_y = fminf(a[1], b[1]) - r - 1, hi_y = fmaxf(a[1], b[1]) + r + 1;
    float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy + 1e-9f;
    for (int y = (int)fmaxf(lo_y, 0); y <= (int)fminf(hi_y, SIDE - 1); y++)
        for (int x = (int)fmaxf(lo_x, 0); x <= (int)fminf(hi_x, SIDE - 1); x++) {
            float px = (float)x - a[0], py = (float)y - a[1], t = fminf(fmaxf((px * dx + py * dy) / length, 0), 1);
            float ex = px - t * dx, ey = py - t * dy, v = r + .5f - sqrtf(ex * ex + ey * ey);
            float *at = &ink[y * SIDE + x];
            *at = fmaxf(*at, fminf(v, 1));
        }
}

/* Catmull and Rom's spline through p1 .. p2 (1974) at t, one coordinate. */
static float spline(float p0, float p1, float p2, float p3, float t)
{
    return .5f * (2 * p1 + t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))));
}

static void draw_stroke(float *ink, const stroke *s, const warp *w, float pen, dice *d)
{
    float p[MAX_POINTS][2], last[2], next[2];
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < 2; k++)
            p[i][k] = s->p[i][k] + uniform(d, -.045f, .045f);
    place(w, p[0], last);
    int pieces = s->curved ? 5 : 3;
    for (int i = 0; i + 1 < s->n; i++)
        for (int j = 1; j <= pieces; j++) {
            float t = (float)j / (float)pieces, q[2];
            const float *before = p[i > 0 ? i - 1 : 0], *after = p[i + 2 < s->n ? i + 2 : s->n - 1];
            for (int k = 0; k < 2; k++)
                q[k] = s->curved ? spline(before[k], p[i][k], p[i + 1][k], after[k], t)
                                 : p[i][k] + (p[i + 1][k] - p[i][k]) * t;
            place(w, q, next);
            segment(ink, last, next, pen);
            memcpy(last, next, sizeof last);
        }
}

static void draw_digit(uint64_t seed, int64_t index, uint8_t *pixels, uint8_t *label)
{
    dice d = {.used = 0};
    float ink[PIXELS] = {0};
    uint32_t grain[PIXELS / 4];
    gr__random_bits(seed, (uint64_t)index, 0, 0, DRAWS, d.bits);
    gr__random_bits(seed, (uint64_t)index, 1, 0, PIXELS / 4, grain);
    *label = (uint8_t)(d.bits[d.used++] % 10);
    const glyph *g = &glyphs[*label][d.bits[d.used++] % 2];
    warp w = draw_warp(&d);
    float pen = uniform(&d, .55f, 1.75f), pressure = uniform(&d, 170, 255);
    for (int i = 0; i < g->n; i++)
        draw_stroke(ink, &g->s[i], &w, pen, &d);
    for (int i = 0; i < PIXELS; i++) {
        float noise = ((float)(grain[i / 4] >> (8 * (i % 4)) & 255) - 127.5f) * .22f; /* paper and pen are not even */
        float v = ink[i] > 0 ? ink[i] * pressure + noise : fmaxf(noise - 22, 0);
        pixels[i] = (uint8_t)fminf(fmaxf(v, 0), 255);
    }
}

static bool draw(uint64_t seed, int64_t first, int64_t n, gr_array **x, gr_array **y)
{
    *x = gr_array_new(GR_U8, GR_SHAPE(n, SIDE, SIDE));
    *y = gr_array_new(GR_U8, GR_SHAPE(n));
    if (!*x || !*y)
        return false;
    uint8_t *pixels = gr_array_data(*x), *labels = gr_array_data(*y);
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
    for (int64_t i = 0; i < n; i++)
        draw_digit(seed, first + i, pixels + i * PIXELS, labels + i);
    return true;
}

gr_dataset gr_drawn_digits(uint64_t seed, int64_t n_train, int64_t n_test)
{
    gr_dataset d = {.x_train = NULL};
    /* test digits are numbered from far away, so that they do not depend on n_train */
    if (!draw(seed, 0, n_train, &d.x_train, &d.y_train) ||
        !draw(seed, INT64_C(1) << 40, n_test, &d.x_test, &d.y_test)) {
        gr_dataset_free(&d);
        return d;
    }
    snprintf(d.source, sizeof d.source, "drawn digits (embedded, seed %llu)", (unsigned long long)seed);
    return d;
}
