/* models/layers/layers.h: the layers, as specs. Options and defaults are Keras's; a bare first argument is required.
 * Every layer has .name (default: its class in snake_case, numbered). One file each beside this one. */
#ifndef GRAPE_MODELS_LAYERS_LAYERS_H
#define GRAPE_MODELS_LAYERS_LAYERS_H

#include "models/initializer.h"
#include "models/layer.h"
#include "models/layers/images.h"

GR_BEGIN

/* What goes into a model; the batch axis is not part of the shape.  gr_Input(GR_SHAPE(784)) */
typedef struct {
    gr_layer base;
    gr_shape shape;
    gr_dtype dtype; /* float32; data of another dtype is converted */
    const char *name;
} gr_Input_spec;
extern GR_API const gr_layer_kind gr_Input_kind;
#define gr_Input(...) GR_SPEC(gr_Input, .shape = __VA_ARGS__)

/* y = activation(x kernel + bias).
 *   x        float [B, ..., n]    -> [B, ..., units]
 *   weights  kernel [n, units], bias [units]
 *   errors   GR_ESHAPE if x has fewer than 2 axes or a last axis of the batch size */
typedef struct {
    gr_layer base;
    int units;                                                      /* >= 1 */
    const char *activation, *kernel_initializer, *bias_initializer; /* none, glorot_uniform, zeros */
    const gr_initializer *kernel_initializer_spec, *bias_initializer_spec;
    bool no_bias;
    const char *name;
} gr_Dense_spec;
extern GR_API const gr_layer_kind gr_Dense_kind;
#define gr_Dense(...) GR_SPEC(gr_Dense, .units = __VA_ARGS__)

/* An activation by name, with options: gr_Activation("leaky_relu(negative_slope=0.1)"). Any shape. */
typedef struct {
    gr_layer base;
    const char *activation;
    const char *name;
} gr_Activation_spec;
extern GR_API const gr_layer_kind gr_Activation_kind;
#define gr_Activation(...) GR_SPEC(gr_Activation, .activation = __VA_ARGS__)

/* Normalize each feature to mean 0, variance 1, then scale and shift.
 *   x        float [B, ..., n]    -> same shape
 *   weights  gamma, beta [n]; moving_mean, moving_variance [n], not trained
 *   options  axis (-1), momentum (0.99), epsilon (1e-3), no_center, no_scale
 *   training uses the batch's statistics (biased variance) and updates the moving ones; inference uses the moving ones
 *   errors   GR_ESHAPE if x has fewer than 2 axes or axis is not one of them
 *   source   Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2 */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis; /* set to give axis 0 */
    double momentum, epsilon;
    bool has_momentum; /* set to give a momentum of 0 */
    bool no_center, no_scale;
    const char *name;
} gr_BatchNormalization_spec;
extern GR_API const gr_layer_kind gr_BatchNormalization_kind;
#define gr_BatchNormalization(...) GR_SPEC(gr_BatchNormalization, __VA_ARGS__)

/* Normalize each sample over its last axis (or .axis), then scale and shift by gamma, beta of that axis.
 *   options  axis (-1), epsilon (1e-3), no_center, no_scale
 *   source   Ba et al. 2016, arXiv:1607.06450 */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis;
    double epsilon;
    bool no_center, no_scale;
    const char *name;
} gr_LayerNormalization_spec;
extern GR_API const gr_layer_kind gr_LayerNormalization_kind;
#define gr_LayerNormalization(...) GR_SPEC(gr_LayerNormalization, __VA_ARGS__)

/* In training each element is 0 with probability rate, else divided by 1 - rate. Srivastava et al. 2014. */
typedef struct {
    gr_layer base;
    double rate; /* 0 .. 1 */
    const char *name;
} gr_Dropout_spec;
extern GR_API const gr_layer_kind gr_Dropout_kind;
#define gr_Dropout(...) GR_SPEC(gr_Dropout, .rate = __VA_ARGS__)

/* [B, ...] -> [B, product of the rest] */
typedef struct {
    gr_layer base;
    const char *name;
} gr_Flatten_spec;
extern GR_API const gr_layer_kind gr_Flatten_kind;
#define gr_Flatten(...) GR_SPEC(gr_Flatten, __VA_ARGS__)

/* [B, ...] -> [B, target...]; one -1 is inferred. */
typedef struct {
    gr_layer base;
    gr_shape target_shape;
    const char *name;
} gr_Reshape_spec;
extern GR_API const gr_layer_kind gr_Reshape_kind;
#define gr_Reshape(...) GR_SPEC(gr_Reshape, .target_shape = __VA_ARGS__)

/* y = x * scale + offset.  gr_Rescaling(1.0 / 255) on images that stay u8 until here. */
typedef struct {
    gr_layer base;
    double scale;
    double offset;
    const char *name;
} gr_Rescaling_spec;
extern GR_API const gr_layer_kind gr_Rescaling_kind;
#define gr_Rescaling(...) GR_SPEC(gr_Rescaling, .scale = __VA_ARGS__)

/* The axes after the batch axis in another order, counted from 1: gr_Permute(GR_SHAPE(2, 1)) swaps the first two. */
typedef struct {
    gr_layer base;
    gr_shape dims;
    const char *name;
} gr_Permute_spec;
extern GR_API const gr_layer_kind gr_Permute_kind;
#define gr_Permute(...) GR_SPEC(gr_Permute, .dims = __VA_ARGS__)

/* [B, n] -> [B, times, n], each row `n` times. */
typedef struct {
    gr_layer base;
    int n;
    const char *name;
} gr_RepeatVector_spec;
extern GR_API const gr_layer_kind gr_RepeatVector_kind;
#define gr_RepeatVector(...) GR_SPEC(gr_RepeatVector, .n = __VA_ARGS__)

/* A row of a table for each integer: [B, ...] -> [B, ..., output_dim].
 *   x        integers 0 .. input_dim-1, or floats that hold such; negative ones count from the end, others are
 *            GR_ERANGE
 *            when the model runs
 *   weights  embeddings [input_dim, output_dim] */
typedef struct {
    gr_layer base;
    int input_dim, output_dim;          /* >= 1 */
    const char *embeddings_initializer; /* uniform */
    const gr_initializer *embeddings_initializer_spec;
    const char *name;
} gr_Embedding_spec;
extern GR_API const gr_layer_kind gr_Embedding_kind;
#define gr_Embedding(...) GR_SPEC(gr_Embedding, .input_dim = __VA_ARGS__)

/* Recurrent layers over x [B, steps, n].
 *   results  the last state [B, units]; all of them [B, steps, units] with return_sequences. By gr_apply_n also the
 *            last states (h, and c of an LSTM) as further results, and first states as further inputs (else zero)
 *   weights  kernel [n, g units], recurrent_kernel [units, g units], bias [g units]; g is 4 of an LSTM (input, forget,
 *            candidate, output), 3 of a GRU (update, reset, candidate), with a bias [2, 3 units] unless no_reset_after
 *   options  activation ("tanh"), recurrent_activation ("sigmoid"); go_backwards: from the last step to the first, and
 *            so are the results; dropout of x and recurrent_dropout of the state, one mask for all steps;
 *            no_unit_forget_bias: an LSTM's bias starts at zero, else forget gates' at 1 unless a bias_initializer is
 *            given
 *   speed    LSTM and GRU are ops of their own; SimpleRNN, other activations, no_reset_after and recurrent_dropout go
 *            step by step (gr_scan), and only then has the gradient a gradient
 *   source   Hochreiter & Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078 */
typedef struct {
    gr_layer base;
    int units;                                     /* >= 1 */
    const char *activation, *recurrent_activation; /* tanh, sigmoid; a SimpleRNN has only the first */
    const char *kernel_initializer, *recurrent_initializer, *bias_initializer; /* glorot_uniform, orthogonal, zeros */
    const gr_initializer *kernel_initializer_spec, *recurrent_initializer_spec, *bias_initializer_spec;
    double dropout, recurrent_dropout; /* 0 .. 1 */
    bool no_bias, return_sequences, go_backwards;
    bool no_unit_forget_bias; /* LSTM */
    bool no_reset_after;      /* GRU: resets the state before the product with it */
    const char *name;
} gr_LSTM_spec;
typedef gr_LSTM_spec gr_GRU_spec, gr_SimpleRNN_spec;
extern GR_API const gr_layer_kind gr_LSTM_kind, gr_GRU_kind, gr_SimpleRNN_kind;
#define gr_LSTM(...)      GR_SPEC(gr_LSTM, .units = __VA_ARGS__)
#define gr_GRU(...)       GR_SPEC(gr_GRU, .units = __VA_ARGS__)
#define gr_SimpleRNN(...) GR_SPEC(gr_SimpleRNN, .units = __VA_ARGS__)

/* A recurrent layer from both ends: gr_Bidirectional(gr_LSTM(64, .return_sequences = true)). What the other one gives
 * is turned round and merged by merge_mode: "concat" (side by side), "sum", "mul" or "ave". */
typedef struct {
    gr_layer base;
    const gr_layer *layer;
    const char *merge_mode; /* concat */
    const char *name;
} gr_Bidirectional_spec;
extern GR_API const gr_layer_kind gr_Bidirectional_kind;
#define gr_Bidirectional(...) GR_SPEC(gr_Bidirectional, .layer = __VA_ARGS__)

/* A layer for every step of [B, steps, ...], with the same weights: gr_TimeDistributed(gr_Dense(10)). */
typedef struct {
    gr_layer base;
    const gr_layer *layer;
    const char *name;
} gr_TimeDistributed_spec;
extern GR_API const gr_layer_kind gr_TimeDistributed_kind;
#define gr_TimeDistributed(...) GR_SPEC(gr_TimeDistributed, .layer = __VA_ARGS__)

/* Attention of several heads between query and value: each head attends with projections of its own, and what they give
 * goes through one more.  gr_apply(b, layer, x) of a sequence to itself, or gr_apply_n of 2 to 4 tensors:
 *   query    float [B, T, d] -> [B, T, output_dim]; there may be several axes of tokens in place of T and S
 *   value    [B, S, d'] (query), key [B, S, d''] (value); mask, bool: false hides a key, [B, T, S], [T, S] or
 *            [B, num_heads, T, S], 1 in place of any
 *   weights  query_kernel [d, num_heads, key_dim], query_bias [num_heads, key_dim], the same of key and value
 *            (value_dim), output_kernel [num_heads, value_dim, output_dim], output_bias [output_dim]
 *   options  value_dim (key_dim), output_dim (d), no_bias, use_causal_mask: query i sees the keys 0 .. i only; dropout
 *            of the probabilities in training, which takes O(T S) memory; attention_axes of query, all but the first
 * and the last: along the others, which value and key share, tokens attend to those in the same place only. A mask is
 * then [B, others.., T.., S..]. The causal mask is along the axis attended over, one alone errors   GR_EARG for other
 * counts of tensors, GR_ESHAPE for other ranks and sizes source   Vaswani et al. 2017, arXiv:1706.03762 */
typedef struct {
    gr_layer base;
    int num_heads, key_dim; /* >= 1 */
    int value_dim, output_dim;
    double dropout; /* 0 .. 1 */
    bool no_bias, use_causal_mask;
    gr_shape attention_axes; /* GR_SHAPE(2), GR_SHAPE(1, 2), -2 is the one before the last; none: all */
    const char *kernel_initializer, *bias_initializer; /* glorot_uniform, zeros */
    const gr_initializer *kernel_initializer_spec, *bias_initializer_spec;
    const char *name;
} gr_MultiHeadAttention_spec;
extern GR_API const gr_layer_kind gr_MultiHeadAttention_kind;
#define gr_MultiHeadAttention(...) GR_SPEC(gr_MultiHeadAttention, .num_heads = __VA_ARGS__)

/* x above the threshold, negative_slope * (x - threshold) below; never above max_value (0: no limit). */
typedef struct {
    gr_layer base;
    double max_value, negative_slope, threshold;
    const char *name;
} gr_ReLU_spec;
extern GR_API const gr_layer_kind gr_ReLU_kind;
#define gr_ReLU(...) GR_SPEC(gr_ReLU, __VA_ARGS__)

/* x above 0, negative_slope (0.3) * x below. Maas et al. 2013. */
typedef struct {
    gr_layer base;
    double negative_slope; /* 0 is gr_ReLU */
    const char *name;
} gr_LeakyReLU_spec;
extern GR_API const gr_layer_kind gr_LeakyReLU_kind;
#define gr_LeakyReLU(...) GR_SPEC(gr_LeakyReLU, __VA_ARGS__)

/* x above 0, alpha (1) * (e^x - 1) below. Clevert et al. 2015, arXiv:1511.07289. */
typedef struct {
    gr_layer base;
    double alpha; /* 0 is gr_ReLU */
    const char *name;
} gr_ELU_spec;
extern GR_API const gr_layer_kind gr_ELU_kind;
#define gr_ELU(...) GR_SPEC(gr_ELU, __VA_ARGS__)

/* e^x over its sum along an axis (the last one). */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis; /* set to give axis 0 */
    const char *name;
} gr_Softmax_spec;
extern GR_API const gr_layer_kind gr_Softmax_kind;
#define gr_Softmax(...) GR_SPEC(gr_Softmax, __VA_ARGS__)

/* Two or more tensors into one, by gr_apply_n or gr_merge: element by element with broadcasting. Subtract takes two.
 *   errors   GR_EARG for fewer inputs, GR_ESHAPE if they do not broadcast */
typedef struct {
    gr_layer base;
    const char *name;
} gr_Add_spec;
typedef gr_Add_spec gr_Multiply_spec, gr_Subtract_spec, gr_Average_spec, gr_Maximum_spec, gr_Minimum_spec;
extern GR_API const gr_layer_kind gr_Add_kind, gr_Multiply_kind, gr_Subtract_kind, gr_Average_kind, gr_Maximum_kind,
    gr_Minimum_kind;
#define gr_Add(...)      GR_SPEC(gr_Add, __VA_ARGS__)
#define gr_Multiply(...) GR_SPEC(gr_Multiply, __VA_ARGS__)
#define gr_Subtract(...) GR_SPEC(gr_Subtract, __VA_ARGS__)
#define gr_Average(...)  GR_SPEC(gr_Average, __VA_ARGS__)
#define gr_Maximum(...)  GR_SPEC(gr_Maximum, __VA_ARGS__)
#define gr_Minimum(...)  GR_SPEC(gr_Minimum, __VA_ARGS__)

/* Two or more tensors side by side along an axis (the last one). */
typedef struct {
    gr_layer base;
    int axis;
    bool has_axis; /* set to give axis 0 */
    const char *name;
} gr_Concatenate_spec;
extern GR_API const gr_layer_kind gr_Concatenate_kind;
#define gr_Concatenate(...) GR_SPEC(gr_Concatenate, __VA_ARGS__)

/* Applies a merging layer: gr_merge(b, gr_Add(), x, y, z). A GR_BAD or NULL among the inputs is a result of GR_BAD. */
#define gr_merge(b, layer, ...)                                                                                        \
    gr_merge_at(GR_HERE, (b), (layer), (int)(sizeof((gr_tensor *[]){__VA_ARGS__}) / sizeof(gr_tensor *)),              \
        (gr_tensor *[]){__VA_ARGS__})
GR_API gr_tensor *gr_merge_at(gr_at at, gr_build *b, const gr_layer *layer, int n, gr_tensor *const *in);

/* All layer kinds, for loading a model by name; ended by {NULL}. */
extern const gr_kind_entry gr__layers[];

GR_END
#endif
