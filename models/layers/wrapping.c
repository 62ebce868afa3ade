/* models/layers/wrapping.c: layers around a layer; see layers.h. */
#include "models/layers/layers.h"
#include "ops/ops.h"
#include <string.h>

static gr_tensor *merged(const gr_Bidirectional_spec *s, gr_tensor *a, gr_tensor *b)
{
    if (strcmp(s->merge_mode, "concat") == 0)
        return gr_concatenate(2, (gr_tensor *[]){a, b}, -1);
    if (strcmp(s->merge_mode, "mul") == 0)
        return gr_mul(a, b);
    gr_tensor *sum = gr_add(a, b);
    if (strcmp(s->merge_mode, "ave") == 0)
        return gr_mul(sum, gr_scalar(sum, 0.5));
    if (strcmp(s->merge_mode, "sum") == 0)
        return sum;
    return gr_op_fail(s->base.at, GR_ENAME, "Bidirectional", "merge_mode", 0, NULL,
        "expected concat, sum, mul or ave, found '%s'", s->merge_mode);
}

static gr_tensor *bidirectional_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_Bidirectional_spec *s = spec;
    const gr_layer_kind *k = s->layer->kind;
    if (k != &gr_LSTM_kind && k != &gr_GRU_kind && k != &gr_SimpleRNN_kind)
        return gr_op_fail(s->base.at, GR_EARG, "Bidirectional", "layer", 1, &x,
            "expected LSTM, GRU or SimpleRNN, found %s", k->name);
    gr_LSTM_spec way[2];
    gr_tensor *y[2];
    for (int i = 0; i < 2; i++) {
        char snake[64], name[80];
        way[i] = *(const gr_LSTM_spec *)s->layer;
        snprintf(name, sizeof name, "%s_%s", i ? "backward" : "forward",
            way[i].name ? way[i].name : gr_snake_case(k->name, snake, sizeof snake));
        way[i].name = name;
        way[i].go_backwards = way[i].go_backwards != (i == 1);
        y[i] = gr_apply_at(s->base.at, b, &way[i].base, x);
    }
    if (way[0].return_sequences)
        y[1] = gr_flip(y[1], 1);
    return merged(s, y[0], y[1]);
}

static gr_tensor *distributed_call(gr_build *b, const void *spec, gr_tensor *x)
{
    const gr_TimeDistributed_spec *s = spec;
    const int64_t steps = gr_rank(x) >= 3 ? gr_dim(x, 1) : GR_BATCH;
    if (steps < 1)
        return gr_op_fail(s->base.at, GR_ESHAPE, "TimeDistributed", "x", 1, &x,
            "expected [B, steps, ..] of 3 axes or more, steps known, found rank %lld", (long long)gr_rank(x));
    gr_tensor *y = gr_apply_at(s->base.at, b, s->layer, gr_merge_dims(x, 0, 1));
    return gr_split_dim(y, 0, GR_SHAPE(-1, steps));
}

static const gr_field bidirectional_fields[] = {GR_SPEC_FIELD(gr_Bidirectional_spec, layer, .required = true),
    GR_STRING(gr_Bidirectional_spec, merge_mode, .def_string = "concat"), GR_STRING(gr_Bidirectional_spec, name), {0}};
static const gr_field distributed_fields[] = {GR_SPEC_FIELD(gr_TimeDistributed_spec, layer, .required = true),
    GR_STRING(gr_TimeDistributed_spec, name), {0}};

#define ROW(id, f, table)                                                                                              \
    const gr_layer_kind gr_##id##_kind = {                                                                             \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "layer", .call = f}
ROW(Bidirectional, bidirectional_call, bidirectional_fields);
ROW(TimeDistributed, distributed_call, distributed_fields);
