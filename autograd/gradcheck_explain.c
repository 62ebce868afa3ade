/* autograd/gradcheck_explain.c: what a failed gradient check says.
 *
 * The whole gradient of the input is taken numerically (up to a size) and compared with the analytic one for the
 * patterns that common mistakes leave. See gradcheck.c for the check itself. */
#include "autograd/gradcheck_impl.h"
#include "core/mem.h"
#include "core/status.h"
#include <math.h>
#include <string.h>

enum { MOST = 4096 }; /* elements looked at */

typedef struct {
    const gr__checked *in;
    const double *a, *n; /* analytic and numeric */
    int64_t size;
} pair;

static bool near(double x, double y)
{
    return fabs(x - y) <= 1e-6 + 1e-4 * fabs(y);
}

/* analytic = factor * numeric throughout? */
static bool is_factor(const pair *p, double *factor)
{
    int64_t big = 0;
    for (int64_t i = 1; i < p->size; i++)
        big = fabs(p->n[i]) > fabs(p->n[big]) ? i : big;
    if (fabs(p->n[big]) < 1e-6)
        return false;
    *factor = p->a[big] / p->n[big];
    for (int64_t i = 0; i < p->size; i++)
        if (!near(p->a[i], *factor * p->n[i]))
            return false;
    return true;
}

static bool is_offset(const pair *p, double *offset)
{
    *offset = p->a[0] - p->n[0];
    for (int64_t i = 0; i < p->size; i++)
        if (!near(p->a[i] - p->n[i], *offset))
            return false;
    return p->size > 1;
}

/* analytic, read with its last two axes exchanged, is numeric? */
static bool is_transposed(const pair *p)
{
    if (p->in->shape.rank < 2)
        return false;
    int64_t rows = p->in->shape.dim[p->in->shape.rank - 2], cols = gr_inner(p->in->shape), block = rows * cols;
    if (rows < 2 || cols < 2)
        return false;
    for (int64_t at = 0; at < p->size; at += block)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++)
                if (!near(p->a[at + c * rows + r], p->n[at + r * cols + c]))
                    return false;
    return true;
}

/* Reversed along an axis? */
static bool is_flipped(const pair *p, int64_t axis)
{
    int64_t inner = 1, n = p->in->shape.dim[axis];
    for (int64_t d = axis + 1; d < p->in->shape.rank; d++)
        inner *= p->in->shape.dim[d];
    if (n < 2)
        return false;
    for (int64_t i = 0; i < p->size; i++) {
        int64_t j = i / inner % n, mirrored = i + (n - 1 - 2 * j) * inner;
        if (!near(p->a[mirrored], p->n[i]))
            return false;
    }
    return true;
}

static void sort(double *x, int64_t n)
{
    for (int64_t gap = n / 2; gap > 0; gap /= 2) /* Shell 1959: small, and no recursion */
        for (int64_t i = gap; i < n; i++) {
            double v = x[i];
            int64_t j = i;
            for (; j >= gap && x[j - gap] > v; j -= gap)
                x[j] = x[j - gap];
            x[j] = v;
        }
}

static bool is_permuted(const pair *p)
{
    double *a = gr__alloc(p->size, sizeof *a), *n = gr__alloc(p->size, sizeof *n);
    bool same = a && n && p->size > 1;
    if (same) {
        memcpy(a, p->a, (size_t)p->size * sizeof *a);
        memcpy(n, p->n, (size_t)p->size * sizeof *n);
        sort(a, p->size);
        sort(n, p->size);
        for (int64_t i = 0; i < p->size && same; i++)
            same = near(a[i], n[i]);
    }
    gr__free(a);
    gr__free(n);
    return same;
}

/* analytic = f * numeric throughout. */
static void note_factor(const pair *p, double f)
{
    const gr_shape *s = &p->in->shape;
    if (near(f, 0))
        gr_fail_note("    likely: the gradient is missing: .vjp leaves it NULL or zero");
    else if (near(f, -1))
        gr_fail_note("    likely: the sign is wrong everywhere");
    else if (near(f, 2))
        gr_fail_note("    likely: a factor 2: a contribution counted twice, or the derivative of a square");
    else if (near(f, 0.5))
        gr_fail_note(
            "    likely: a factor 1/2 is too much: an input used twice counted once, or the derivative of a square");
    else
        gr_fail_note("    likely: a factor: analytic = %.6g * numeric in every element", f);
    for (int64_t d = 0; d < s->rank && fabs(f) != 1; d++)
        if (s->dim[d] > 1 && (near(fabs(f), (double)s->dim[d]) || near(fabs(f), 1 / (double)s->dim[d])))
            gr_fail_note("            (%lld is the size of axis %lld: mean and sum mixed up?)", (long long)s->dim[d],
                (long long)d);
}

static void note_wrong_elements(const pair *p)
{
    int64_t wrong = 0, first = -1, last = -1, cols = gr_inner(p->in->shape), zeros = 0;
    for (int64_t i = 0; i < p->size; i++)
        if (!near(p->a[i], p->n[i])) {
            first = first < 0 ? i : first;
            last = i;
            wrong++;
            zeros += p->a[i] == 0;
        }
    if (wrong == 0)
        gr_fail_note("    likely: a small term is missing, or rounding: the values agree to 4 digits");
    else if (wrong == p->size)
        gr_fail_note("    likely: a term is missing or a sum over a broadcast axis left out: all elements are wrong, "
                     "by no one factor");
    else if (zeros == wrong)
        gr_fail_note(
            "    likely: a contribution is missing: %lld of %lld elements are zero and should not be (first [%lld])",
            (long long)wrong, (long long)p->size, (long long)first);
    else if (cols > 1 && first / cols == last / cols && p->size > cols)
        gr_fail_note("    likely: an edge case: only row %lld is wrong", (long long)(first / cols));
    else
        gr_fail_note("    likely: an edge case: %lld of %lld elements are wrong, the flat ones %lld .. %lld",
            (long long)wrong, (long long)p->size, (long long)first, (long long)last);
}

static void note_pattern(const pair *p)
{
    double f = 0;
    if (is_factor(p, &f) && !near(f, 1)) {
        note_factor(p, f);
        return;
    }
    if (is_transposed(p)) {
        gr_fail_note("    likely: the gradient is transposed: with its last two axes exchanged it agrees");
        return;
    }
    for (int64_t d = 0; d < p->in->shape.rank; d++)
        if (is_flipped(p, d)) {
            gr_fail_note("    likely: the gradient is reversed along axis %lld", (long long)d);
            return;
        }
    if (is_permuted(p))
        gr_fail_note("    likely: a wrong axis or order: the right numbers stand in the wrong places");
    else if (is_offset(p, &f) && !near(f, 0))
        gr_fail_note("    likely: a term is missing: analytic = numeric + %.6g in every element", f);
    else
        note_wrong_elements(p);
}

/* "[1, 2]" */
static const char *position(gr_shape s, int64_t k, char *buf, size_t size)
{
    gr_shape at = {.rank = s.rank};
    for (int64_t d = s.rank - 1; d >= 0; d--) {
        at.dim[d] = k % s.dim[d];
        k /= s.dim[d];
    }
    return gr_shape_text(at, buf, size);
}

gr_status gr__check_explain(const gr__check *c, int i, int64_t k)
{
    const gr__checked *in = &c->in[i];
    char where[160], type[200];
    double x = in->value[k], h = gr__check_step(x), numeric = 0, half = 0, a = in->analytic[k];
    GR_TRY(gr__check_numeric(c, i, k, h, &numeric));
    GR_TRY(gr__check_numeric(c, i, k, h / 2, &half));
    double *all = gr__alloc(in->n < MOST ? in->n : 1, sizeof *all);
    if (!all)
        return GR_EMEM;
    if (in->n < MOST) /* before the message, which an error here would be hidden behind */
        for (int64_t e = 0; e < in->n; e++)
            gr__check_numeric(c, i, e, gr__check_step(in->value[e]), &all[e]);
    gr_fail(GR_EGRAD, c->at, "%s: argument %s: expected a %sgradient of %.9g (numeric) at %s, found %.9g (analytic)",
        c->name, in->name, c->order, numeric, position(in->shape, k, where, sizeof where), a);
    gr_fail_note("    %-4s %s, there %.17g", in->name, gr_type_text(GR_F64, in->shape, type, sizeof type), x);
    gr_fail_note("    numeric at half the step %.9g; analytic / numeric = %.6g; seed %llu", half, a / numeric,
        (unsigned long long)c->seed);
    if (fabs(numeric - half) > 0.01 * fabs(half) + 1e-6)
        gr_fail_note("    likely: a kink near %s, where differences do not tell: draw inputs away from it", in->name);
    else if (a != a)
        gr_fail_note("    likely: a division by zero or a root or logarithm of a negative number in the gradient");
    else if (in->n < MOST)
        note_pattern(&(pair){in, in->analytic, all, in->n});
    gr__free(all);
    return GR_EGRAD;
}
