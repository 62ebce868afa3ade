/* ops/ops.h: everything that can be recorded on a tape; this room's front door.
 *
 *   elementwise.h   one element at a time: arithmetic, functions, activations, comparisons, where, cast
 *   matmul.h        the matrix product
 *   conv_ops.h      convolution
 *   attention.h     scaled dot-product attention
 *   pool_ops.h      largest and mean elements of windows
 *   recurrent_ops.h LSTM and GRU over a sequence
 *   reduce.h        sums, means, extremes over axes
 *   shape_ops.h     reshape, transpose, slice, pad, concatenate, ...
 *   gather.h        take, gather, scatter_add, one_hot
 *   create.h        full, zeros, ones, arange
 *   random_ops.h    random numbers, dropout
 *   composite.h     softmax, log_softmax, batch_norm, layer_norm
 *   loss_ops.h      cross-entropies and distances of each sample
 *   control.h       stop_gradient
 * To add an op: one block in its family's file (a descriptor, core/op.h), its name in GR_OPS below, its declaration in
 * the family's header. Gradient check, comparison of compiled with plain evaluation, dtype sweep and error cases follow
 * from the descriptor's samples. An elementwise op is a row of elementwise.def instead. Read next: reduce.c, as an
 * example. */
#ifndef GRAPE_OPS_OPS_H
#define GRAPE_OPS_OPS_H

#include "ops/attention.h"
#include "ops/composite.h"
#include "ops/control.h"
#include "ops/conv_ops.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/loss_ops.h"
#include "ops/matmul.h"
#include "ops/pool_ops.h"
#include "ops/random_ops.h"
#include "ops/recurrent_ops.h"
#include "ops/reduce.h"
#include "ops/shape_ops.h"

GR_BEGIN

/* Grape's ops that are not elementwise. */
/* clang-format off */
#define GR_OPS(OP)                                                                                                    \
    OP(matmul)                                                                                                        \
    OP(sum) OP(prod) OP(variance) OP(max) OP(min) OP(any) OP(all) OP(argmax) OP(argmin) OP(count)                      \
    OP(reshape) OP(transpose) OP(broadcast_to) OP(slice) OP(unslice) OP(pad) OP(concatenate)                          \
    OP(take) OP(take_back) OP(take_along_axis) OP(take_along_axis_back) OP(gather) OP(scatter_add) OP(one_hot)        \
    OP(arange) OP(random_uniform) OP(random_normal) OP(random_truncated_normal) OP(random_bits)                       \
    OP(stop_gradient) OP(either)                                                                                      \
    OP(conv) OP(conv_input_grad) OP(conv_kernel_grad) OP(conv_turn)                                                   \
    OP(max_pool) OP(max_pool_pick) OP(max_pool_input_grad) OP(average_pool) OP(average_pool_input_grad)               \
    OP(lstm) OP(lstm_grad) OP(gru) OP(gru_grad)                                                                        \
    OP(attention) OP(attention_grad) OP(attention_packed_grad)
/* clang-format on */

GR_END
#endif
