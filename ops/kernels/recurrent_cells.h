/* ops/kernels/recurrent_cells.h: LSTM and GRU over all time steps for some rows of a batch, forward and backward, as
 * leaf calls of one thread; who calls splits the rows.
 *
 * A call packs the weights once, in strips of one vector of units with all four gates side by side, and walks through
 * time: each step is one product of [x_t, h] (kept side by side) with the strips, and the cell itself follows while a
 * tile's gates are at hand. Four gates always: of a GRU the candidate's input and recurrent part are two.
 *
 *             columns of kernel, recurrent     gates of `kept`, d
 *     LSTM    input, forget, candidate, output   the same
 *     GRU     update, reset, candidate           candidate (input part), update, reset, candidate (recurrent part)
 *
 * Bits: each gate is one chain of multiply-adds, from the bias over inputs and units; rows do not depend on each other,
 * so no split of them changes anything. The code: recurrent_cells_impl.h. */
#ifndef GRAPE_OPS_KERNELS_RECURRENT_CELLS_H
#define GRAPE_OPS_KERNELS_RECURRENT_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Contiguous operands of float or double. */
typedef struct {
    bool gru;
    int64_t rows, steps, inputs, units;
    const void *x;                 /* [rows][steps][inputs] */
    const void *kernel;            /* [inputs][4 or 3 units] */
    const void *recurrent;         /* [units][4 or 3 units] */
    const void *bias;              /* LSTM [4 units]; GRU [2][3 units]: of the input's, of the recurrent product */
    const void *h0, *c0;           /* [rows][units]; c of an LSTM only */
    void *y;                       /* [rows][steps][units]; NULL, as those below: not wanted */
    void *h, *c;                   /* [rows][units] after the last step */
    void *kept;                    /* [rows][steps][5][units]: gates after their functions, c of the step before; */
                                   /* GRU: update, reset, candidate, its recurrent part, h of the step before */
    void *seen;                    /* [rows][steps][inputs + units + 1]: x, h of the step before, 1 */
    void *scratch;                 /* gr__recurrent_scratch() bytes, aligned to 64 */
} gr__recurrent;

/* Gradients for what the activation functions were given, and for the first state. */
typedef struct {
    bool gru;
    int64_t rows, steps, units;
    const void *recurrent, *kept;
    const void *dy;       /* [rows][steps][units]; NULL is zero */
    const void *dh, *dc;  /* [rows][units]: for the last state */
    void *d;              /* [rows][steps][4][units] */
    void *dh0, *dc0;      /* [rows][units] */
    void *scratch;        /* gr__recurrent_back_scratch() bytes, aligned to 64 */
} gr__recurrent_back;

/* Bytes of scratch for elements of `elem` bytes (4 or 8). */
size_t gr__recurrent_scratch(const gr__recurrent *r, size_t elem);
size_t gr__recurrent_back_scratch(const gr__recurrent_back *r, size_t elem);
void gr__recurrent_f32(const gr__recurrent *r);
void gr__recurrent_f64(const gr__recurrent *r);
void gr__recurrent_back_f32(const gr__recurrent_back *r);
void gr__recurrent_back_f64(const gr__recurrent_back *r);

/* One set of these per instruction set; tests call each that the CPU has. */
#define GR_RECURRENT_BUILD(isa)                                              \
    size_t gr__recurrent_scratch_f32_##isa(const gr__recurrent *r);          \
    size_t gr__recurrent_scratch_f64_##isa(const gr__recurrent *r);          \
    size_t gr__recurrent_back_scratch_f32_##isa(const gr__recurrent_back *r); \
    size_t gr__recurrent_back_scratch_f64_##isa(const gr__recurrent_back *r); \
    void gr__recurrent_f32_##isa(const gr__recurrent *r);                    \
    void gr__recurrent_f64_##isa(const gr__recurrent *r);                    \
    void gr__recurrent_back_f32_##isa(const gr__recurrent_back *r);          \
    void gr__recurrent_back_f64_##isa(const gr__recurrent_back *r);
GR_RECURRENT_BUILD(base)
#ifdef __x86_64__
GR_RECURRENT_BUILD(avx2)
GR_RECURRENT_BUILD(avx512)
#endif

#endif
