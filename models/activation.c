/* models/activation.c: activations by name, with their options: "relu", "elu(alpha=0.5)". A row each at the end. */
#include "core/mem.h"
#include "models/build_impl.h"
#include "ops/ops.h"
#include <string.h>

typedef struct activation_kind {
    GR_KIND_BASE
    gr_tensor *(*apply)(const void *spec, gr_tensor *x);
} activation_kind;
typedef struct {
    const activation_kind *kind;
    gr_at at;
} activation;

typedef struct {
    activation base;
} plain;
typedef struct {
    activation base;
    double negative_slope;
} leaky;
typedef struct {
    activation base;
    double alpha;
} elu;
typedef struct {
    activation base;
    bool approximate;
} gelu;

static gr_tensor *apply_linear(const void *spec, gr_tensor *x)
{
    (void)spec;
    return x;
}
#define PLAIN(name)                                                                                                    \
    static gr_tensor *apply_##name(const void *spec, gr_tensor *x)                                                     \
    {                                                                                                                  \
        (void)spec;                                                                                                    \
        return gr_##name(x);                                                                                           \
    }
PLAIN(relu)
PLAIN(sigmoid)
PLAIN(tanh)
PLAIN(softmax)
PLAIN(log_softmax)
PLAIN(softplus)
PLAIN(silu)
PLAIN(selu)
PLAIN(exp)
static gr_tensor *apply_softsign(const void *spec, gr_tensor *x)
{
    (void)spec;
    return gr_div(x, gr_add(gr_scalar(x, 1), gr_abs(x)));
}
static gr_tensor *apply_relu6(const void *spec, gr_tensor *x)
{
    (void)spec;
    return gr_minimum(gr_relu(x), gr_scalar(x, 6));
}
static gr_tensor *apply_hard_sigmoid(const void *spec, gr_tensor *x)
{
    (void)spec;
    gr_tensor *line = gr_add(gr_mul(x, gr_scalar(x, 1.0 / 6)), gr_scalar(x, 0.5));
    return gr_minimum(gr_maximum(line, gr_scalar(x, 0)), gr_scalar(x, 1));
}
static gr_tensor *apply_leaky_relu(const void *spec, gr_tensor *x)
{
    return gr_leaky_relu(x, .negative_slope = ((const leaky *)spec)->negative_slope);
}
static gr_tensor *apply_elu(const void *spec, gr_tensor *x)
{
    return gr_elu(x, .alpha = ((const elu *)spec)->alpha);
}
static gr_tensor *apply_gelu(const void *spec, gr_tensor *x)
{
    return ((const gelu *)spec)->approximate ? gr_gelu_tanh(x) : gr_gelu(x);
}

static const gr_field leaky_fields[] = {GR_DOUBLE(leaky, negative_slope, .def = 0.2), {0}};
static const gr_field elu_fields[] = {GR_DOUBLE(elu, alpha, .def = 1), {0}};
static const gr_field gelu_fields[] = {GR_BOOL(gelu, approximate), {0}};

#define ROW(id, text, spec, table)                                                                                     \
    static const activation_kind id##_kind = {                                                                         \
        .name = text, .size = sizeof(spec), .fields = table, .family = "activation", .apply = apply_##id}
ROW(linear, "linear", plain, NULL);
ROW(relu, "relu", plain, NULL);
ROW(sigmoid, "sigmoid", plain, NULL);
ROW(tanh, "tanh", plain, NULL);
ROW(softmax, "softmax", plain, NULL);
ROW(log_softmax, "log_softmax", plain, NULL);
ROW(softplus, "softplus", plain, NULL);
ROW(softsign, "softsign", plain, NULL);
ROW(silu, "silu", plain, NULL);
ROW(selu, "selu", plain, NULL);
ROW(exp, "exponential", plain, NULL);
ROW(relu6, "relu6", plain, NULL);
ROW(hard_sigmoid, "hard_sigmoid", plain, NULL);
ROW(leaky_relu, "leaky_relu", leaky, leaky_fields);
ROW(elu, "elu", elu, elu_fields);
ROW(gelu, "gelu", gelu, gelu_fields);

static const gr_kind_entry activations[] = {{&linear_kind.kind, NULL}, {&relu_kind.kind, NULL},
    {&sigmoid_kind.kind, NULL}, {&tanh_kind.kind, NULL}, {&softmax_kind.kind, NULL}, {&log_softmax_kind.kind, NULL},
    {&softplus_kind.kind, NULL}, {&softsign_kind.kind, NULL}, {&silu_kind.kind, "swish"}, {&selu_kind.kind, NULL},
    {&exp_kind.kind, NULL}, {&relu6_kind.kind, NULL}, {&hard_sigmoid_kind.kind, NULL}, {&leaky_relu_kind.kind, NULL},
    {&elu_kind.kind, NULL}, {&gelu_kind.kind, NULL}, {NULL, NULL}};

/* A loss on y goes back to x, the logits: more exact, and what Keras does. */
static bool remember_logits(gr_build *b, const gr_tensor *y, gr_tensor *x, const char *name)
{
    if (b->n_logits == b->cap_logits) {
        int cap = b->cap_logits ? b->cap_logits * 2 : 4;
        gr__logits *more = gr__resize(b->logits, cap, sizeof *more);
        if (!more)
            return false;
        b->logits = more;
        b->cap_logits = cap;
    }
    b->logits[b->n_logits++] = (gr__logits){y, x, name};
    return true;
}

gr_tensor *gr_activation_at(gr_at at, gr_build *b, const char *name, gr_tensor *x)
{
    if (!name || gr_status_of(x) != GR_OK)
        return name ? GR_BAD : x;
    activation *a = gr_spec_parse(name, activations, "activation", at);
    if (!a)
        return gr__note_layers(b);
    gr_tensor *y = a->kind->apply(a, x);
    const activation_kind *kind = a->kind;
    gr_spec_free(a);
    if ((kind == &softmax_kind || kind == &sigmoid_kind) && gr_status_of(y) == GR_OK &&
        !remember_logits(b, y, x, kind->name))
        return GR_BAD;
    return y;
}
