/* models/layers/merging.c: layers of several inputs; see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

/* Enough inputs, and one result? Else a message. */
static gr_status counted(const gr_layer *l, int n_in, gr_tensor *const *in, int n_out, int most)
{
    if (n_in >= 2 && n_in <= most && n_out == 1)
        return GR_OK;
    gr_op_fail(l->at, GR_EARG, l->kind->name, "in", n_in, in, "expected %s tensors and one result, found %d and %d",
        most == 2 ? "two" : "two or more", n_in, n_out);
    return GR_EARG;
}

static gr_tensor *merged(const gr_layer_kind *k, gr_tensor *a, gr_tensor *b)
{
    if (k == &gr_Multiply_kind)
        return gr_mul(a, b);
    if (k == &gr_Subtract_kind)
        return gr_sub(a, b);
    if (k == &gr_Maximum_kind)
        return gr_maximum(a, b);
    if (k == &gr_Minimum_kind)
        return gr_minimum(a, b);
    return gr_add(a, b);
}

static gr_status merge_call(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)b;
    const gr_Add_spec *s = spec;
    const gr_layer_kind *k = s->base.kind;
    GR_TRY(counted(&s->base, n_in, in, n_out, k == &gr_Subtract_kind ? 2 : INT32_MAX));
    out[0] = in[0];
    for (int i = 1; i < n_in; i++)
        out[0] = merged(k, out[0], in[i]);
    if (k == &gr_Average_kind)
        out[0] = gr_mul(out[0], gr_scalar(out[0], 1.0 / n_in));
    return gr_status_of(out[0]);
}

static gr_status concatenate_call(
    gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)b;
    const gr_Concatenate_spec *s = spec;
    GR_TRY(counted(&s->base, n_in, in, n_out, INT32_MAX));
    out[0] = gr_concatenate(n_in, in, s->axis);
    return gr_status_of(out[0]);
}

gr_tensor *gr_merge_at(gr_at at, gr_build *b, const gr_layer *layer, int n, gr_tensor *const *in)
{
    gr_tensor *out = GR_BAD;
    return gr_apply_n_at(at, b, layer, n, in, 1, &out) == GR_OK ? out : GR_BAD;
}

static const gr_field merge_fields[] = {GR_STRING(gr_Add_spec, name), {0}};
static const gr_field concatenate_fields[] = {
    GR_INT(gr_Concatenate_spec, axis, .def = -1, .flag = GR_FLAG(gr_Concatenate_spec, has_axis)),
    GR_STRING(gr_Concatenate_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call_n = f}
ROW(Add, merge_call, merge_fields);
ROW(Multiply, merge_call, merge_fields);
ROW(Subtract, merge_call, merge_fields);
ROW(Average, merge_call, merge_fields);
ROW(Maximum, merge_call, merge_fields);
ROW(Minimum, merge_call, merge_fields);
ROW(Concatenate, concatenate_call, concatenate_fields);
