/* Float means and squared deviations in vectors; see variance.h. The order of sums is that of panel.isa.c. */
#include "ops/kernels/variance.h"
#include "ops/kernels/vec.h"

enum {
    PARTS = 16 / GR_W,        /* vectors that make 16 lanes */
    LINE = GR_W == 8 ? 2 : 1, /* that go down together: four chains of pairs each */
};

#define UNROLL _Pragma("GCC unroll 4")

typedef struct {
    vf sum, squares;
} sums; /* of x - from, of its square */

GR_INLINE sums plus(sums a, sums b)
{
    return (sums){a.sum + b.sum, a.squares + b.squares};
}

GR_INLINE void add(vf *sum, vf *squares, vf x, vf from)
{
    vf d = x - from;
    *sum += d;
    *squares += d * d;
}

GR_INLINE sums with(sums s, vf x, vf from)
{
    vf d = x - from;
    return (sums){s.sum + d, s.squares + d * d};
}

/* N vectors of columns, all rows: four chains, row r goes to chain r mod 4. In variables of their own: an array of
 * pairs would stay in memory. */
GR_INLINE void down(const float *x, int64_t rows, int64_t row, const int n, int64_t last, const vf *from, sums *total)
{
    vf sum[4][LINE], squares[4][LINE];
    UNROLL for (int k = 0; k < 4; k++)
        UNROLL for (int v = 0; v < n; v++)
            sum[k][v] = squares[k][v] = vf_set1(0);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        UNROLL for (int k = 0; k < 4; k++, x += row)
            UNROLL for (int v = 0; v < n; v++)
                add(&sum[k][v], &squares[k][v], last ? vf_load_n(x, last) : vf_load(x + v * GR_W), from[v]);
    UNROLL for (int k = 0; k < 3; k++)
        if (r + k < rows) {
            UNROLL for (int v = 0; v < n; v++)
                add(&sum[k][v], &squares[k][v], last ? vf_load_n(x, last) : vf_load(x + v * GR_W), from[v]);
            x += row;
        }
    UNROLL for (int v = 0; v < n; v++) {
        total[v].sum = (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]);
        total[v].squares = (squares[0][v] + squares[1][v]) + (squares[2][v] + squares[3][v]);
    }
}

GR_INLINE void put(float *y, vf x, int64_t last)
{
    if (last)
        vf_store_n(y, x, last);
    else
        vf_store(y, x);
}

GR_INLINE void strip(const gr__panel *p, int64_t c, const int width, int64_t last, int64_t n)
{
    const float *x = (const float *)p->x + c;
    vf mean[LINE];
    sums total[LINE];
    UNROLL for (int v = 0; v < width; v++)
        mean[v] = vf_set1(0);
    down(x, p->rows, p->row, width, last, mean, total);
    UNROLL for (int v = 0; v < width; v++)
        mean[v] = total[v].sum / (float)p->rows;
    down(x, p->rows, p->row, width, last, mean, total);
    UNROLL for (int v = 0; v < width; v++) {
        float *y = (float *)p->y + c + v * GR_W;
        put(y, mean[v], last);
        put(y + n, total[v].sum, last);
        put(y + 2 * n, total[v].squares, last);
    }
}

void GR_ISA_NAME(gr__moments_rows)(const gr__panel *p, int64_t n)
{
    int64_t c = 0;
    for (; LINE > 1 && c + LINE * GR_W <= p->cols; c += LINE * GR_W)
        strip(p, c, LINE, 0, n);
    for (; c + GR_W <= p->cols; c += GR_W)
        strip(p, c, 1, 0, n);
    if (c < p->cols)
        strip(p, c, 1, p->cols - c, n);
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
