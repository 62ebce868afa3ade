/* ops/recurrent_ops.h: LSTM and GRU over all steps of a sequence, each as one op.
 *
 *     gr_tensor *y = gr_lstm(x, kernel, recurrent, bias);  the state after every step
 *     gr_tensor *h = gr_result(y, 1), *c = gr_result(y, 2);  after the last one
 *
 *   x          float [B, steps, n]
 *   kernel     [n, 4 units] of an LSTM: input, forget, candidate, output (Keras's order); [n, 3 units] of a GRU:
 *              update, reset, candidate
 *   recurrent  [units, 4 units] or [units, 3 units]
 *   bias       [4 units]; of a GRU [2, 3 units], for the input's and for the recurrent product; NULL is zero
 *   h, c       first state [B, units], c of an LSTM only; NULL is zero
 *   results    y [B, steps, units], h [B, units] and, of an LSTM, c [B, units]; what follows is for the gradient
 *   errors     GR_ESHAPE for shapes that do not fit, GR_EDTYPE unless all are float32 or all float64
 * Gates are sigmoids, candidate and output a tanh; the GRU resets after the product (Keras's reset_after). Other cells:
 * gr_scan. There is no second derivative: that too is gr_scan's. Rows of a batch are computed on all threads.
 *   source     Hochreiter & Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078
 * Read next: recurrent_ops.c. */
#ifndef GRAPE_OPS_RECURRENT_OPS_H
#define GRAPE_OPS_RECURRENT_OPS_H

#include "core/tape.h"

GR_BEGIN

typedef struct {
    gr_tensor *x, *kernel, *recurrent, *bias, *h, *c;
} gr_lstm_args;
/* As the head of this file says. */
GR_API gr_tensor *gr_lstm_at(gr_at at, const gr_lstm_args *args);
GR_API gr_tensor *gr_lstm(gr_tensor *x, gr_tensor *kernel, gr_tensor *recurrent);
typedef struct {
    gr_tensor *x, *kernel, *recurrent, *bias, *h;
} gr_gru_args;
GR_API gr_tensor *gr_gru_at(gr_at at, const gr_gru_args *args);
GR_API gr_tensor *gr_gru(gr_tensor *x, gr_tensor *kernel, gr_tensor *recurrent);

#define gr_lstm(...) gr_lstm_at(GR_HERE, &(gr_lstm_args){.x = __VA_ARGS__})
#define gr_gru(...)  gr_gru_at(GR_HERE, &(gr_gru_args){.x = __VA_ARGS__})

GR_END
#endif
