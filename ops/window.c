/* ops/window.c: the arithmetic of sliding windows. See window.h. */
#include "ops/window.h"
#include "core/size.h"
#include "ops/ops_impl.h"
#include <string.h>

static gr_status entries(const gr_infer *f, const char *name, gr_shape s, int n, int64_t least)
{
    char text[200];
    bool good = s.rank == n;
    for (int i = 0; good && i < n; i++)
        good = s.dim[i] >= least && s.dim[i] <= INT32_MAX;
    if (good)
        return GR_OK;
    return gr_infer_fail(f, GR_ESHAPE, name, "expected %d sizes of %lld or more, found %s", n, (long long)least,
        gr__rank_ok(s) ? gr_shape_text(s, text, sizeof text) : "too many");
}

gr_status gr__window_infer(const gr_infer *f, const gr__window *a, int n, const int64_t *in, const int64_t *size,
    const char *window, gr__slide *out)
{
    GR_TRY(entries(f, "strides", a->strides, n, 1));
    GR_TRY(entries(f, "dilation", a->dilation, n, 1));
    GR_TRY(entries(f, "before", a->before, n, 0));
    GR_TRY(entries(f, "after", a->after, n, -INT32_MAX));
    for (int i = 0; i < n; i++) {
        int64_t extent, padded;
        if (size[i] < 1 || size[i] > INT32_MAX)
            return gr_infer_fail(f, GR_ESHAPE, window, "expected 1 .. %d along its axis %d, found %lld", INT32_MAX, i,
                (long long)size[i]);
        if (in[i] < 0)
            return gr_infer_fail(f, GR_ESHAPE, f->op->in_names[0],
                "expected known sizes of the axes between the first and the last, found %s along axis %d",
                gr_dim_is_batch(in[i]) ? "a multiple of the batch size" : "a negative one", i + 1);
        extent = (size[i] - 1) * a->dilation.dim[i] + 1; /* factors below 2^31 */
        if (!gr__add(in[i], a->before.dim[i] + a->after.dim[i], &padded) || padded < extent)
            return gr_infer_fail(f, GR_ESHAPE, window,
                "expected a window that spans at most the %lld of axis %d and its padding, found %lld",
                (long long)in[i], i + 1, (long long)extent);
        out[i] = (gr__slide){in[i], size[i], a->strides.dim[i], a->dilation.dim[i], a->before.dim[i],
            (padded - extent) / a->strides.dim[i] + 1};
    }
    return GR_OK;
}

void gr__window_axes(const gr__window *a, int n, const int64_t *in, const int64_t *size, gr__slide *out)
{
    const int lead = GR_WINDOW_AXES - n;
    for (int i = 0; i < lead; i++)
        out[i] = (gr__slide){1, 1, 1, 1, 0, 1};
    for (int i = 0; i < n; i++) {
        int64_t extent = (size[i] - 1) * a->dilation.dim[i] + 1;
        int64_t padded = in[i] + a->before.dim[i] + a->after.dim[i];
        out[lead + i] = (gr__slide){in[i], size[i], a->strides.dim[i], a->dilation.dim[i], a->before.dim[i],
            (padded - extent) / a->strides.dim[i] + 1};
    }
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

gr_shape gr__per_axis(gr_shape s, gr_shape otherwise, int n)
{
    if (s.rank == 0)
        return otherwise;
    for (int i = 1; s.rank == 1 && i < n; i++)
        s.dim[i] = s.dim[0];
    s.rank = s.rank == 1 ? n : s.rank;
    return s;
}

static gr_shape all(int n, int64_t value)
{
    gr_shape s = {.rank = n};
    for (int i = 0; i < n; i++)
        s.dim[i] = value;
    return s;
}

/* Keras's "same": ceil(in / stride) results, an odd element of padding at the end. */
static int64_t same_total(int64_t in, int64_t extent, int64_t stride)
{
    int64_t out = in / stride + (in % stride != 0), total = (out - 1) * stride + extent - in;
    return total > 0 ? total : 0;
}

bool gr__window_options(
    gr_at at, const gr__window_opts *o, int n, const int64_t *in, const int64_t *size, gr__window *out)
{
    const bool by_hand = o->before.rank || o->after.rank;
    const char *padding = o->padding ? o->padding : "valid";
    const bool same = strcmp(padding, "same") == 0, causal = o->causal && strcmp(padding, "causal") == 0;
    if (!same && !causal && strcmp(padding, "valid") != 0) {
        gr_op_fail(at, GR_ENAME, o->op, "padding", o->n_operands, o->operand, "expected valid%s, found \"%s\"",
            o->causal ? ", same or causal" : " or same", padding);
        return false;
    }
    if (by_hand && o->padding) {
        gr_op_fail(at, GR_EARG, o->op, "padding", o->n_operands, o->operand,
            "expected none beside before and after, found \"%s\"", padding);
        return false;
    }
    out->strides = gr__per_axis(o->strides, o->stride.rank ? o->stride : all(n, 1), n);
    out->dilation = gr__per_axis(o->dilation, all(n, 1), n);
    out->before = gr__per_axis(o->before, all(n, 0), n);
    out->after = gr__per_axis(o->after, all(n, 0), n);
    for (int i = 0; by_hand && out->after.rank == n && i < n; i++)
        if (out->after.dim[i] < 0) {
            char text[200];
            gr_op_fail(at, GR_ESHAPE, o->op, "after", o->n_operands, o->operand, "expected %d sizes of 0 or more, "
                "found %s", n, gr_shape_text(out->after, text, sizeof text));
            return false;
        }
    for (int i = 0; (same || causal) && i < n; i++) {
        const int64_t stride = out->strides.dim[i], dilation = out->dilation.dim[i];
        if (out->strides.rank != n || out->dilation.rank != n || stride < 1 || stride > INT32_MAX || dilation < 1 ||
            dilation > INT32_MAX || size[i] < 1 || size[i] > INT32_MAX || in[i] < 0 || in[i] > INT64_MAX / 4)
            return true; /* refused by gr__window_infer */
        const int64_t extent = (size[i] - 1) * dilation + 1;
        int64_t total = causal ? extent - 1 : same_total(in[i], extent, stride);
        out->before.dim[i] = causal ? total : total / 2;
        out->after.dim[i] = total - out->before.dim[i];
    }
    return true;
}

int gr__pieces(int64_t begin, int64_t end, int64_t width, gr__piece piece[3])
{
    int n = 0;
    if (begin >= end)
        return 0;
    int64_t row = begin / width, col = begin % width, last = end / width;
    if (col > 0 || row == last) {
        int64_t to = row == last ? end % width : width;
        piece[n++] = (gr__piece){row, row + 1, col, to};
        row++;
    }
    if (row < last)
        piece[n++] = (gr__piece){row, last, 0, width};
    if (row <= last && end % width > 0)
        piece[n++] = (gr__piece){last, last + 1, 0, end % width};
    return n;
}
