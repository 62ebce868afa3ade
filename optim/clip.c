/* optim/clip.c: the three built-in clipping hooks, written through the interface users have. See optimizer.h. */
#include "ops/ops.h"
#include "optim/optimizer.h"

static gr_status clip_value(gr_update *u, const void *spec, int n, gr_tensor *const w[], gr_tensor *g[])
{
    const gr_ClipValue_spec *s = spec;
    (void)w;
    for (int i = 0; i < n; i++)
        g[i] = gr_minimum(gr_maximum(g[i], gr_scalar(g[i], -(double)s->limit)), gr_scalar(g[i], s->limit));
    return gr_update_status(u);
}

static gr_status clip_norm(gr_update *u, const void *spec, int n, gr_tensor *const w[], gr_tensor *g[])
{
    const gr_ClipNorm_spec *s = spec;
    (void)w;
    for (int i = 0; i < n; i++) {
        gr_tensor *limit = gr_scalar(g[i], s->limit);
        gr_tensor *norm = gr_sqrt(gr_sum(gr_square(g[i])));
        g[i] = gr_mul(g[i], gr_div(limit, gr_maximum(norm, limit)));
    }
    return gr_update_status(u);
}

/* N = norm of all; g limit min(1/N, 1/limit). An infinite or NaN norm makes every gradient NaN, as in Keras: better
 * seen. */
static gr_status clip_global_norm(gr_update *u, const void *spec, int n, gr_tensor *const w[], gr_tensor *g[])
{
    const gr_GlobalClipNorm_spec *s = spec;
    (void)w;
    if (n == 0)
        return GR_OK;
    gr_tensor *sum = gr_sum(gr_square(g[0]));
    for (int i = 1; i < n; i++)
        sum = gr_add(sum, gr_sum(gr_square(g[i])));
    gr_tensor *limit = gr_scalar(sum, s->limit), *norm = gr_sqrt(sum);
    gr_tensor *factor = gr_div(limit, gr_maximum(norm, limit));
    factor = gr_add(factor, gr_mul(gr_sub(norm, norm), factor)); /* Inf - Inf and NaN - NaN are NaN, else 0 */
    for (int i = 0; i < n; i++)
        g[i] = gr_mul(g[i], factor);
    return gr_update_status(u);
}

static const gr_field fields[] = {
    GR_FLOAT(gr_ClipValue_spec, limit, .required = true, .min = 0, .has_min = true, .above_min = true), {0}};
const gr_clip_kind gr_ClipValue_kind = {
    .name = "ClipValue", .size = sizeof(gr_ClipValue_spec), .fields = fields, .family = "clip", .apply = clip_value};
const gr_clip_kind gr_ClipNorm_kind = {
    .name = "ClipNorm", .size = sizeof(gr_ClipNorm_spec), .fields = fields, .family = "clip", .apply = clip_norm};
const gr_clip_kind gr_GlobalClipNorm_kind = {.name = "GlobalClipNorm",
    .size = sizeof(gr_GlobalClipNorm_spec),
    .fields = fields,
    .family = "clip",
    .apply = clip_global_norm};
