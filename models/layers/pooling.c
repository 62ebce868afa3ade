/* models/layers/pooling.c: pooling by windows and over everything, padding, cropping, enlarging; see images.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

/* Is x [B, .., c] with that many axes between? Else a message. */
static bool has_axes(const gr_layer *l, gr_tensor *x, int axes)
{
    if (gr_status_of(x) == GR_OK && gr_rank(x) != axes + 2)
        gr_op_fail(l->at, GR_ESHAPE, l->kind->name, "x", 1, &x, "expected [B, %s, channels], found rank %lld",
            axes == 1 ? "length" : "height, width", (long long)gr_rank(x));
    return gr_status_of(x) == GR_OK && gr_rank(x) == axes + 2;
}

static gr_tensor *pool_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_MaxPooling2D_spec *s = spec;
    const gr_layer_kind *k = s->base.kind;
    const gr_shape size = s->pool_size.rank ? s->pool_size : GR_SHAPE(2);
    if (!has_axes(&s->base, x, k == &gr_MaxPooling1D_kind || k == &gr_AveragePooling1D_kind ? 1 : 2))
        return GR_BAD;
    if (k == &gr_MaxPooling1D_kind || k == &gr_MaxPooling2D_kind)
        return gr_max_pool(x, size, s->strides, s->padding);
    return gr_average_pool(x, size, s->strides, s->padding);
}

static gr_tensor *global_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_GlobalMaxPooling2D_spec *s = spec;
    const gr_layer_kind *k = s->base.kind;
    const bool one = k == &gr_GlobalMaxPooling1D_kind || k == &gr_GlobalAveragePooling1D_kind;
    const gr_shape axes = one ? GR_SHAPE(1) : GR_SHAPE(1, 2);
    if (!has_axes(&s->base, x, one ? 1 : 2))
        return GR_BAD;
    if (k == &gr_GlobalMaxPooling1D_kind || k == &gr_GlobalMaxPooling2D_kind)
        return gr_max(x, .axes = axes, .keepdims = s->keepdims);
    return gr_mean(x, .axes = axes, .keepdims = s->keepdims);
}

/* Top, bottom, left, right; false and a message if it is no such list. */
static bool sides(const gr_layer *l, const char *option, gr_shape given, gr_tensor *x, int64_t side[4])
{
    char text[200];
    bool good = given.rank <= 2 || given.rank == 4;
    for (int i = 0; i < 4; i++) {
        side[i] = given.rank == 0   ? 1
                  : given.rank == 1 ? given.dim[0]
                  : given.rank == 2 ? given.dim[i / 2]
                                    : given.dim[i];
        good = good && side[i] >= 0 && side[i] <= INT32_MAX;
    }
    if (!good)
        gr_op_fail(l->at, GR_ESHAPE, l->kind->name, option, 1, &x,
            "expected 1, 2 or 4 numbers of 0 or more, found %s", gr_shape_text(given, text, sizeof text));
    return good;
}

static gr_tensor *padding_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_ZeroPadding2D_spec *s = spec;
    int64_t n[4];
    if (!has_axes(&s->base, x, 2) || !sides(&s->base, "padding", s->padding, x, n))
        return GR_BAD;
    return gr_pad(x, GR_SHAPE(0, n[0], n[2]), GR_SHAPE(0, n[1], n[3]));
}

static gr_tensor *cropping_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_Cropping2D_spec *s = spec;
    int64_t n[4];
    if (!has_axes(&s->base, x, 2) || !sides(&s->base, "cropping", s->cropping, x, n))
        return GR_BAD;
    int64_t h = gr_dim(x, 1), w = gr_dim(x, 2);
    if (h < 0 || w < 0 || n[0] + n[1] >= h || n[2] + n[3] >= w)
        return gr_op_fail(s->base.at, GR_ESHAPE, "Cropping2D", "cropping", 1, &x,
            "expected less than the picture, found %lld rows and %lld columns", (long long)(n[0] + n[1]),
            (long long)(n[2] + n[3]));
    return gr_slice(x, GR_SHAPE(0, n[0], n[2]), GR_SHAPE(GR_REST, h - n[1], w - n[3]));
}

static gr_tensor *up_call(gr_build *b, const void *spec, gr_tensor *x)
{
    (void)b;
    const gr_UpSampling2D_spec *s = spec;
    const gr_shape given = s->size.rank ? s->size : GR_SHAPE(2);
    const int64_t size[] = {given.dim[0], given.dim[given.rank == 2]};
    char text[200];
    if (!has_axes(&s->base, x, 2))
        return GR_BAD;
    if (given.rank > 2 || size[0] < 1 || size[1] < 1 || gr_dim(x, 1) < 0 || gr_dim(x, 2) < 0)
        return gr_op_fail(s->base.at, GR_ESHAPE, "UpSampling2D", "size", 1, &x,
            "expected 1 or 2 numbers of 1 or more and a picture of known size, found %s",
            gr_shape_text(given, text, sizeof text));
    gr_shape d = gr_shape_of(x);
    gr_tensor *apart = gr_reshape(x, GR_SHAPE(d.dim[0], d.dim[1], 1, d.dim[2], 1, d.dim[3]));
    apart = gr_broadcast_to(apart, GR_SHAPE(d.dim[0], d.dim[1], size[0], d.dim[2], size[1], d.dim[3]));
    return gr_merge_dims(gr_merge_dims(apart, 3, 4), 1, 2);
}

static const gr_field max_fields[] = {GR_SHAPE_FIELD(gr_MaxPooling2D_spec, pool_size),
    GR_SHAPE_FIELD(gr_MaxPooling2D_spec, strides), GR_STRING(gr_MaxPooling2D_spec, padding, .def_string = "valid"),
    GR_STRING(gr_MaxPooling2D_spec, name), {0}};
static const gr_field average_fields[] = {GR_SHAPE_FIELD(gr_MaxPooling2D_spec, pool_size, .required = true),
    GR_SHAPE_FIELD(gr_MaxPooling2D_spec, strides), GR_STRING(gr_MaxPooling2D_spec, padding, .def_string = "valid"),
    GR_STRING(gr_MaxPooling2D_spec, name), {0}};
static const gr_field global_fields[] = {
    GR_BOOL(gr_GlobalMaxPooling2D_spec, keepdims), GR_STRING(gr_GlobalMaxPooling2D_spec, name), {0}};
static const gr_field padding_fields[] = {
    GR_SHAPE_FIELD(gr_ZeroPadding2D_spec, padding), GR_STRING(gr_ZeroPadding2D_spec, name), {0}};
static const gr_field cropping_fields[] = {
    GR_SHAPE_FIELD(gr_Cropping2D_spec, cropping), GR_STRING(gr_Cropping2D_spec, name), {0}};
static const gr_field up_fields[] = {
    GR_SHAPE_FIELD(gr_UpSampling2D_spec, size), GR_STRING(gr_UpSampling2D_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call = f}
ROW(MaxPooling1D, pool_call, max_fields);
ROW(MaxPooling2D, pool_call, max_fields);
ROW(AveragePooling1D, pool_call, average_fields);
ROW(AveragePooling2D, pool_call, average_fields);
ROW(GlobalMaxPooling1D, global_call, global_fields);
ROW(GlobalMaxPooling2D, global_call, global_fields);
ROW(GlobalAveragePooling1D, global_call, global_fields);
ROW(GlobalAveragePooling2D, global_call, global_fields);
ROW(ZeroPadding2D, padding_call, padding_fields);
ROW(Cropping2D, cropping_call, cropping_fields);
ROW(UpSampling2D, up_call, up_fields);
