/* ops/ops.c: the list of Grape's own ops, and what the files of this room share. The elementwise ops register
 * themselves. */
#include "ops/ops.h"
#include "ops/ops_impl.h"
#include <string.h>

/* ---- the list ---------------------------------------------------------------------------------------------------- */

#define OP(name) extern const gr_op gr_op_##name;
GR_OPS(OP)
#undef OP

#define OP(name) &gr_op_##name,
static const gr_op *const own[] = {GR_OPS(OP) NULL};
#undef OP

void gr__ops_init(void)
{
    for (int i = 0; own[i]; i++)
        gr__op_own(own[i]);
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

bool gr__given(gr_at at, const char *op, const char *argument, gr_tensor *x)
{
    if (!x)
        gr_op_fail(at, GR_EARG, op, argument, 0, NULL, "expected a tensor, found NULL");
    return !gr__is_bad(x);
}

gr_tensor *gr__fail_of(gr_at at, gr_status status, const char *op, const char *argument, int n, gr_tensor *const *in,
    const char *const *names, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_fail(status, at, "%s: argument %s: %s", op, argument, text);
    gr__op_fail_note(in, n, names);
    return GR_BAD;
}

bool gr__rank_ok(gr_shape s)
{
    return s.rank >= 0 && s.rank <= GR_MAX_RANK;
}

bool gr__axes(gr_shape axes, int64_t rank, bool mask[GR_MAX_RANK])
{
    memset(mask, axes.rank == 0, GR_MAX_RANK * sizeof *mask);
    if (!gr__rank_ok(axes))
        return false;
    for (int64_t i = 0; i < axes.rank; i++) {
        int64_t a;
        if (!gr_axis(axes.dim[i], rank, &a) || mask[a])
            return false;
        mask[a] = true;
    }
    return true;
}

gr_status gr__axes_fail(const gr_infer *f, gr_shape axes)
{
    char text[200];
    int64_t rank = f->shape[0].rank;
    return gr_infer_fail(f, GR_ESHAPE, "axes", "expected different axes in %lld .. %lld, found %s", -(long long)rank,
        (long long)rank - 1, gr__rank_ok(axes) ? gr_shape_text(axes, text, sizeof text) : "too many");
}

gr_shape gr__axes_listed(const bool *mask, int64_t rank)
{
    gr_shape axes = GR_RANK0;
    for (int64_t i = 0; i < rank; i++)
        if (mask[i])
            axes.dim[axes.rank++] = i;
    return axes.rank == rank ? GR_RANK0 : axes;
}

gr_status gr__axis_of(const gr_infer *f, int64_t axis, int64_t rank, int64_t *out)
{
    if (gr_axis(axis, rank, out))
        return GR_OK;
    return gr_infer_fail(f, GR_ESHAPE, "axis", "expected %lld .. %lld, found %lld", -(long long)rank,
        (long long)rank - 1, (long long)axis);
}

/* ---- moving elements --------------------------------------------------------------------------------------------- */

void gr__strides(gr_shape s, int64_t *stride)
{
    int64_t step = 1;
    for (int64_t i = s.rank; i-- > 0; step *= s.dim[i])
        stride[i] = step;
}

#define COPY_RUN(T)                                                                                                    \
    static void copy_run_##T(int64_t n, T *y, const T *x, int64_t step)                                                \
    {                                                                                                                  \
        if (step == 1)                                                                                                 \
            memcpy(y, x, (size_t)n * sizeof *y);                                                                       \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                y[i] = x[i * step];                                                                                    \
    }
COPY_RUN(uint8_t)
COPY_RUN(uint32_t)
COPY_RUN(uint64_t)

    void gr__view_copy(const gr_call *c, int64_t offset, const int64_t *stride)
{
    const gr_shape s = c->out[0].shape;
    const int64_t size = gr_dtype_size(c->out[0].dtype), last = s.rank - 1;
    const int64_t n = s.rank ? s.dim[last] : 1, step = s.rank ? stride[last] : 1;
    int64_t index[GR_MAX_RANK] = {0}, rest = c->begin, from = offset;
    for (int64_t k = last; k >= 0 && c->begin < c->end; k--) {
        index[k] = rest % s.dim[k];
        rest /= s.dim[k];
        from += index[k] * stride[k];
    }
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (int64_t i = c->begin; i < c->end;) {
        int64_t run = s.rank ? n - index[last] : 1;
        run = run < c->end - i ? run : c->end - i;
        if (size == 4)
            copy_run_uint32_t(run, (uint32_t *)y + i, (const uint32_t *)x + from, step);
        else if (size == 8)
            copy_run_uint64_t(run, (uint64_t *)y + i, (const uint64_t *)x + from, step);
        else
            copy_run_uint8_t(run, (uint8_t *)y + i, (const uint8_t *)x + from, step);
        i += run;
        if (last < 0)
            continue;
        from -= index[last] * step; /* on to the next row */
        index[last] = 0;
        for (int64_t k = last - 1; k >= 0; k--) {
            from += stride[k];
            if (++index[k] < s.dim[k])
                break;
            from -= index[k] * stride[k];
            index[k] = 0;
        }
    }
}
