/* models/layers/recurrent.c: see layers.h. */
#include "autograd/scan.h"
#include "models/layers/layers.h"
#include "ops/ops.h"
#include <string.h>

enum { MOST_STATES = 2 };
typedef struct {
    const gr_LSTM_spec *s;
    gr_build *b;
    gr_tensor *x, *kernel, *recurrent, *bias; /* bias: NULL if there is none */
    gr_tensor *state[MOST_STATES];            /* NULL is zero */
    gr_tensor *mask;                          /* of recurrent_dropout, [B, units]; NULL is ones */
    gr_tensor *state_bias;                    /* of a GRU that resets after the product; NULL is zero */
} cell;

static bool is(const gr_LSTM_spec *s, const gr_layer_kind *kind)
{
    return s->base.kind == kind;
}

/* LSTMs start with forget gates open, unless a bias_initializer says otherwise. Jozefowicz et al. 2015. */
typedef gr_Zeros_spec UnitForget_spec;
static gr_status unit_forget(const void *spec, gr_shape shape, uint64_t seed, uint64_t use, double *out)
{
    (void)spec, (void)seed, (void)use;
    const int64_t n = gr_shape_size(shape), units = n / 4;
    for (int64_t i = 0; i < n; i++)
        out[i] = i >= units && i < 2 * units;
    return GR_OK;
}
static const gr_initializer_kind UnitForget_kind = {
    .name = "UnitForget", .size = sizeof(UnitForget_spec), .family = "initializer", .fill = unit_forget};
static const UnitForget_spec unit_forget_spec = {.base.kind = &UnitForget_kind};

static void weights(cell *c)
{
    const gr_LSTM_spec *s = c->s;
    gr_build *b = c->b;
    const int64_t gates = is(s, &gr_LSTM_kind) ? 4 : is(s, &gr_GRU_kind) ? 3 : 1, width = gates * s->units;
    c->kernel = gr_weight(b, "kernel", GR_SHAPE(gr_dim(c->x, -1), width), .init = s->kernel_initializer,
        .init_spec = s->kernel_initializer_spec);
    c->recurrent = gr_weight(b, "recurrent_kernel", GR_SHAPE(s->units, width), .init = s->recurrent_initializer,
        .init_spec = s->recurrent_initializer_spec);
    if (s->no_bias)
        return;
    const gr_initializer *spec = s->bias_initializer_spec;
    const bool given = spec || s->bias_initializer;
    if (!given && gates == 4 && !s->no_unit_forget_bias)
        spec = &unit_forget_spec.base;
    c->bias = gr_weight(b, "bias", gates == 3 && !s->no_reset_after ? GR_SHAPE(2, width) : GR_SHAPE(width),
        .init = s->bias_initializer ? s->bias_initializer : "zeros", .init_spec = spec);
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

static gr_tensor *activated(const cell *c, gr_tensor *x)
{
    return gr_activation_at(c->s->base.at, c->b, c->s->activation, x);
}
static gr_tensor *gate(const cell *c, gr_tensor *x)
{
    return gr_activation_at(c->s->base.at, c->b, c->s->recurrent_activation, x);
}

static gr_tensor *simple_step(const cell *c, gr_tensor *z, gr_tensor *h)
{
    return activated(c, gr_add(z, gr_matmul(h, c->recurrent)));
}

static gr_tensor *lstm_step(const cell *c, gr_tensor *z, gr_tensor *h, gr_tensor **carry)
{
    gr_tensor *g[4];
    gr_split(gr_add(z, gr_matmul(h, c->recurrent)), 4, -1, g);
    *carry = gr_add(gr_mul(gate(c, g[1]), *carry), gr_mul(gate(c, g[0]), activated(c, g[2])));
    return gr_mul(gate(c, g[3]), activated(c, *carry));
}

static gr_tensor *gru_step(const cell *c, gr_tensor *z, gr_tensor *h)
{
    const int64_t u = c->s->units, sizes[] = {2 * u, u};
    gr_tensor *x[3], *p[3], *w[2], *candidate;
    gr_split(z, 3, -1, x);
    if (c->s->no_reset_after) {
        gr_split_sizes(c->recurrent, 2, sizes, 1, w);
        gr_split(gr_matmul(h, w[0]), 2, -1, p);
        candidate = gr_matmul(gr_mul(gate(c, gr_add(x[1], p[1])), h), w[1]);
    } else {
        gr_tensor *all = gr_matmul(h, c->recurrent);
        gr_split(c->state_bias ? gr_add(all, c->state_bias) : all, 3, -1, p);
        candidate = gr_mul(gate(c, gr_add(x[1], p[1])), p[2]);
    }
    gr_tensor *update = gate(c, gr_add(x[0], p[0])), *new = activated(c, gr_add(x[2], candidate));
    return gr_add(gr_mul(update, h), gr_mul(gr_sub(gr_scalar(update, 1), update), new));
}

/* in: the states, then the step's product of inputs; out: the states, then h again, for the sequence */
static gr_status one_step(void *ctx, gr_tape *t, int n_in, gr_tensor *const *in, int n_out, gr_tensor **out)
{
    (void)t;
    const cell *c = ctx;
    gr_tensor *z = in[n_in - 1], *h = c->mask ? gr_mul(in[0], c->mask) : in[0], *carry = in[n_in - 2];
    if (is(c->s, &gr_LSTM_kind))
        h = lstm_step(c, z, h, &carry);
    else
        h = is(c->s, &gr_GRU_kind) ? gru_step(c, z, h) : simple_step(c, z, h);
    out[0] = out[n_out - 1] = h;
    if (n_out == 3)
        out[1] = carry;
    return gr_status_of(h);
}

/* What the ops of their own do not do: other activations, a GRU that resets before the product, a mask on the state. */
static gr_status by_steps(cell *c, int states, gr_tensor **y)
{
    gr_tensor *z = gr_matmul(c->x, c->kernel), *bias = c->bias, *out[MOST_STATES + 1];
    if (bias && gr_rank(bias) == 2) {
        gr_tensor *half[2];
        GR_TRY(gr_split(bias, 2, 0, half));
        bias = half[0];
        c->state_bias = half[1];
    }
    z = gr_transpose(bias ? gr_add(z, bias) : z, GR_SHAPE(1, 0, 2));
    GR_TRY(gr_status_of(z));
    const gr_shape state = GR_SHAPE(gr_shape_of(c->x).dim[0], c->s->units);
    for (int i = 0; i < states; i++)
        if (!c->state[i])
            c->state[i] = gr_zeros(gr_build_tape(c->b), state, gr_dtype_of(z));
    GR_TRY(gr_scan(out, .body = one_step, .ctx = c, .n_carries = states, .carries = c->state, .n_xs = 1, .xs = &z,
        .n_ys = 1));
    y[0] = gr_transpose(out[states], GR_SHAPE(1, 0, 2));
    for (int i = 0; i < states; i++)
        y[1 + i] = out[i];
    return gr_status_of(y[0]);
}

/* ---- the layers -------------------------------------------------------------------------------------------------- */

static bool has_op(const cell *c)
{
    const gr_LSTM_spec *s = c->s;
    return !is(s, &gr_SimpleRNN_kind) && !c->mask && !s->no_reset_after && s->activation && s->recurrent_activation &&
           strcmp(s->activation, "tanh") == 0 && strcmp(s->recurrent_activation, "sigmoid") == 0;
}

/* 0 with probability rate, else 1 / (1 - rate): one number a sample and feature, the same in all steps */
static gr_tensor *mask(const cell *c, gr_shape shape, double rate)
{
    return gr_dropout(gr_ones(gr_build_tape(c->b), shape, gr_dtype_of(c->x)), rate);
}

/* The sequence, then the last states, into y. */
static gr_status compute(cell *c, int states, gr_tensor **y)
{
    const gr_LSTM_spec *s = c->s;
    const gr_shape x = gr_shape_of(c->x);
    if (gr_build_training(c->b) && s->dropout > 0)
        c->x = gr_mul(c->x, mask(c, GR_SHAPE(x.dim[0], 1, x.dim[2]), s->dropout));
    if (gr_build_training(c->b) && s->recurrent_dropout > 0)
        c->mask = mask(c, GR_SHAPE(x.dim[0], s->units), s->recurrent_dropout);
    if (s->go_backwards)
        c->x = gr_flip(c->x, 1);
    if (!has_op(c))
        return by_steps(c, states, y);
    y[0] = is(s, &gr_LSTM_kind) ? gr_lstm(c->x, c->kernel, c->recurrent, c->bias, c->state[0], c->state[1])
                                : gr_gru(c->x, c->kernel, c->recurrent, c->bias, c->state[0]);
    for (int i = 1; i <= states; i++)
        y[i] = gr_result(y[0], i);
    return gr_status_of(y[0]);
}

static gr_status recurrent_call(gr_build *b, const void *spec, int n_in, gr_tensor *const *in, int n_out,
    gr_tensor **out)
{
    const gr_LSTM_spec *s = spec;
    const int states = is(s, &gr_LSTM_kind) ? 2 : 1;
    cell c = {.s = s, .b = b, .x = in[0]};
    gr_tensor *y[1 + MOST_STATES];
    char text[200];
    if ((n_in != 1 && n_in != 1 + states) || (n_out != 1 && n_out != 1 + states)) {
        gr_op_fail(s->base.at, GR_EARG, s->base.kind->name, "in", n_in, in,
            "expected x, or x and %d state%s, and as many results, found %d and %d", states, states > 1 ? "s" : "",
            n_in, n_out);
        return GR_EARG;
    }
    if (gr_rank(c.x) != 3 || gr_dim(c.x, 1) < 1 || gr_dim(c.x, 2) < 1) {
        gr_op_fail(s->base.at, GR_ESHAPE, s->base.kind->name, "x", 1, in,
            "expected [B, steps, features] of known sizes, found %s",
            gr_shape_text(gr_shape_of(c.x), text, sizeof text));
        return GR_ESHAPE;
    }
    for (int i = 1; i < n_in; i++)
        c.state[i - 1] = in[i];
    weights(&c);
    GR_TRY(compute(&c, states, y));
    out[0] = s->return_sequences ? y[0] : y[1];
    for (int i = 1; i < n_out; i++)
        out[i] = y[i];
    return GR_OK;
}

#define FIELDS                                                                                                         \
    GR_INT(gr_LSTM_spec, units, .required = true, .min = 1),                                                           \
        GR_STRING(gr_LSTM_spec, activation, .def_string = "tanh"),                                                     \
        GR_STRING(gr_LSTM_spec, kernel_initializer, .def_string = "glorot_uniform"),                                   \
        GR_STRING(gr_LSTM_spec, recurrent_initializer, .def_string = "orthogonal"),                                    \
        GR_STRING(gr_LSTM_spec, bias_initializer), GR_SPEC_FIELD(gr_LSTM_spec, kernel_initializer_spec),               \
        GR_SPEC_FIELD(gr_LSTM_spec, recurrent_initializer_spec), GR_SPEC_FIELD(gr_LSTM_spec, bias_initializer_spec),   \
        GR_BOOL(gr_LSTM_spec, no_bias), GR_BOOL(gr_LSTM_spec, return_sequences),                                       \
        GR_BOOL(gr_LSTM_spec, go_backwards), GR_DOUBLE(gr_LSTM_spec, dropout, .has_min = true, .max = 1),              \
        GR_DOUBLE(gr_LSTM_spec, recurrent_dropout, .has_min = true, .max = 1), GR_STRING(gr_LSTM_spec, name)
#define GATED FIELDS, GR_STRING(gr_LSTM_spec, recurrent_activation, .def_string = "sigmoid")
static const gr_field simple_fields[] = {FIELDS, {0}};
static const gr_field lstm_fields[] = {GATED, GR_BOOL(gr_LSTM_spec, no_unit_forget_bias), {0}};
static const gr_field gru_fields[] = {GATED, GR_BOOL(gr_LSTM_spec, no_reset_after), {0}};

#define ROW(id, table)                                                                                                 \
    const gr_layer_kind gr_##id##_kind = {.name = #id, .size = sizeof(gr_LSTM_spec), .fields = table,                  \
        .family = "layer", .call_n = recurrent_call, .n_out = -1}
ROW(SimpleRNN, simple_fields);
ROW(LSTM, lstm_fields);
ROW(GRU, gru_fields);
