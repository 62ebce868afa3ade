/* models/layers/embedding.c: see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"

static gr_tensor *embedding_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Embedding_spec *s = spec;
    gr_tensor *table = gr_weight(b, "embeddings", GR_SHAPE(s->input_dim, s->output_dim),
        .init = s->embeddings_initializer, .init_spec = s->embeddings_initializer_spec);
    if (gr_status_of(x) == GR_OK && gr_dtype_is_float(gr_dtype_of(x)))
        x = gr_cast(x, GR_I32);
    return gr_take(table, x, 0);
}

static const gr_field fields[] = {GR_INT(gr_Embedding_spec, input_dim, .required = true, .min = 1),
    GR_INT(gr_Embedding_spec, output_dim, .required = true, .min = 1),
    GR_STRING(gr_Embedding_spec, embeddings_initializer, .def_string = "uniform"),
    GR_SPEC_FIELD(gr_Embedding_spec, embeddings_initializer_spec), GR_STRING(gr_Embedding_spec, name), {0}};
const gr_layer_kind gr_Embedding_kind = {.name = "Embedding", .size = sizeof(gr_Embedding_spec), .fields = fields,
    .family = "layer", .call = embedding_call};
