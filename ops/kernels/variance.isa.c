/* Float means and squared deviations in vectors; see variance.h. The order of sums is that of panel.isa.c. */
#include "ops/kernels/variance.h"
#include "ops/kernels/vec.h"

enum { PARTS = 16 / GR_W }; /* vectors that make 16 lanes */

typedef struct {
    vf sum, squares;
} sums; /* of x - from, of its square */

GR_INLINE sums plus(sums a, sums b)
{
    return (sums){a.sum + b.sum, a.squares + b.squares};
}

GR_INLINE sums with(sums s, vf x, vf from)
{
    vf d = x - from;
    return (sums){s.sum + d, s.squares + d * d};
}

/* One vector of columns, all rows: four chains, row r goes to chain r mod 4. */
GR_INLINE sums down(const float *x, int64_t rows, int64_t row, int64_t last, vf from)
{
    sums s[4] = {0};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        for (int k = 0; k < 4; k++, x += row)
            s[k] = with(s[k], last ? vf_load_n(x, last) : vf_load(x), from);
    for (int k = 0; r < rows; r++, k++, x += row)
        s[k] = with(s[k], last ? vf_load_n(x, last) : vf_load(x), from);
    return plus(plus(s[0], s[1]), plus(s[2], s[3]));
}

GR_INLINE void put(float *y, vf x, int64_t last)
{
    if (last)
        vf_store_n(y, x, last);
    else
        vf_store(y, x);
}

GR_INLINE void strip(const gr__panel *p, int64_t c, int64_t last, int64_t n)
{
    const float *x = (const float *)p->x + c;
    float *y = (float *)p->y + c;
    vf mean = down(x, p->rows, p->row, last, vf_set1(0)).sum / (float)p->rows;
    sums apart = down(x, p->rows, p->row, last, mean);
    put(y, mean, last);
    put(y + n, apart.sum, last);
    put(y + 2 * n, apart.squares, last);
}

void GR_ISA_NAME(gr__moments_rows)(const gr__panel *p, int64_t n)
{
    int64_t c = 0;
    for (; c + GR_W <= p->cols; c += GR_W)
        strip(p, c, 0, n);
    if (c < p->cols)
        strip(p, c, p->cols - c, n);
}

/* 16 lanes in halves down to one: the same order for every width. */
GR_INLINE float across(const vf *v)
{
    float lane[16];
    for (int q = 0; q < PARTS; q++)
        vf_store(lane + q * GR_W, v[q]);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* Four chains of 16 lanes along a row; lanes past its end hold `from`. */
GR_INLINE void along(const float *x, int64_t n, float from, float *sum, float *squares)
{
    sums s[4][PARTS] = {0};
    vf start = vf_set1(from), total[2][PARTS];
    for (; n >= 64; n -= 64)
        for (int k = 0; k < 4; k++)
            for (int q = 0; q < PARTS; q++, x += GR_W)
                s[k][q] = with(s[k][q], vf_load(x), start);
    for (int k = 0; n > 0 && k < 4; k++)
        for (int q = 0; n > 0 && q < PARTS; q++, x += GR_W, n -= GR_W) {
            float lane[GR_W];
            vf_store(lane, start);
            for (int64_t i = 0; i < n && i < GR_W; i++)
                lane[i] = x[i];
            s[k][q] = with(s[k][q], vf_load(lane), start);
        }
    for (int q = 0; q < PARTS; q++) {
        sums all = plus(plus(s[0][q], s[1][q]), plus(s[2][q], s[3][q]));
        total[0][q] = all.sum, total[1][q] = all.squares;
    }
    *sum = across(total[0]);
    *squares = across(total[1]);
}

void GR_ISA_NAME(gr__moments_cols)(const gr__panel *p, int64_t n)
{
    const float *x = p->x;
    float *y = p->y;
    for (int64_t r = 0; r < p->rows; r++, x += p->row) {
        along(x, p->cols, 0, &y[r], &y[2 * n + r]);
        y[r] /= (float)p->cols;
        along(x, p->cols, y[r], &y[n + r], &y[2 * n + r]);
    }
}
