/* Attention of one head: picks the float build for this CPU, and the double one, row by row. See attend.h. */
#include "ops/kernels/attend.h"
#include "core/cpu.h"
#include <math.h>
#include <string.h>

typedef struct {
    size_t (*scratch)(const gr__attend *a, bool gradient);
    void (*forward)(const gr__attend *a, int64_t first, int64_t end);
    void (*backward)(const gr__attend *a);
} build;

#define BUILD(isa)                                                                                                     \
    {                                                                                                                  \
        gr__attend_scratch_##isa, gr__attend_forward_##isa, gr__attend_backward_##isa                                  \
    }
static const build builds[GR_ISA_COUNT] = {
    [GR_ISA_BASE] = BUILD(base),
#ifdef __x86_64__
    [GR_ISA_AVX2] = BUILD(avx2),
    [GR_ISA_AVX512] = BUILD(avx512),
#endif
};

/* ---- double: one row of scores at a time ------------------------------------------------------------------------- */

static int64_t seen(const gr__attend *a, int64_t i)
{
    return a->causal && i + 1 < a->s ? i + 1 : a->s;
}

static double dot(const double *x, const double *y, int64_t n)
{
    double s = 0;
    for (int64_t d = 0; d < n; d++)
        s += x[d] * y[d];
    return s;
}

static void add(double c, const double *x, double *y, int64_t n)
{
    for (int64_t d = 0; d < n; d++)
        y[d] += c * x[d];
}

/* Scores of row i; the greatest of them, -inf if there are none. */
static double scores(const gr__attend *a, int64_t i, double *p)
{
    const double *q = (const double *)a->q + i * a->q_row, *k = a->k, *bias = a->bias;
    double top = -INFINITY;
    for (int64_t j = 0; j < seen(a, i); j++) {
        p[j] = a->scale * dot(q, k + j * a->k_row, a->h) + (bias ? bias[i * a->bias_row + j * a->bias_col] : 0);
        top = p[j] > top || p[j] != p[j] ? p[j] : top;
    }
    return top;
}

static void forward_row(const gr__attend *a, int64_t i)
{
    double *p = a->scratch, *y = (double *)a->y + i * a->y_row, *lse = (double *)a->lse + i * a->stat_row;
    const double top = scores(a, i, p), from = top == -INFINITY ? 0 : top, *v = a->v;
    double sum = 0;
    for (int64_t j = 0; j < seen(a, i); j++)
        sum += p[j] = exp(p[j] - from);
    memset(y, 0, (size_t)a->hv * sizeof *y);
    for (int64_t j = 0; j < seen(a, i) && sum != 0; j++)
        add(p[j] / sum, v + j * a->v_row, y, a->hv);
    *lse = sum == 0 ? -INFINITY : top + log(sum);
}

static void backward_row(const gr__attend *a, int64_t i)
{
    double *p = a->scratch, *dq = (double *)a->dq + i * a->q_row, *dk = a->dk, *dv = a->dv;
    const double *q = (const double *)a->q + i * a->q_row, *dy = (const double *)a->dy + i * a->y_row;
    const double *k = a->k, *v = a->v, lse = ((const double *)a->lse)[i * a->stat_row];
    const double delta = ((const double *)a->delta)[i * a->stat_row];
    scores(a, i, p);
    memset(dq, 0, (size_t)a->h * sizeof *dq);
    for (int64_t j = 0; j < seen(a, i) && lse != -INFINITY; j++) {
        const double e = exp(p[j] - lse), ds = a->scale * e * (dot(dy, v + j * a->v_row, a->hv) - delta);
        add(ds, k + j * a->k_row, dq, a->h);
        add(ds, q, dk + j * a->k_row, a->h);
        add(e, dy, dv + j * a->v_row, a->hv);
    }
}

static void backward(const gr__attend *a)
{
    for (int64_t j = 0; j < a->s; j++) {
        memset((double *)a->dk + j * a->k_row, 0, (size_t)a->h * sizeof(double));
        memset((double *)a->dv + j * a->v_row, 0, (size_t)a->hv * sizeof(double));
    }
    for (int64_t i = 0; i < a->t; i++)
        backward_row(a, i);
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

size_t gr__attend_scratch(const gr__attend *a, bool f64, bool gradient)
{
    return f64 ? (size_t)a->s * sizeof(double) : builds[gr__cpu_isa()].scratch(a, gradient);
}

void gr__attend_forward(const gr__attend *a, bool f64, int64_t first, int64_t end)
{
    if (!f64)
        builds[gr__cpu_isa()].forward(a, first, end);
    for (int64_t i = first; f64 && i < end; i++)
        forward_row(a, i);
}

void gr__attend_backward(const gr__attend *a, bool f64)
{
    if (f64)
        backward(a);
    else
        builds[gr__cpu_isa()].backward(a);
}
