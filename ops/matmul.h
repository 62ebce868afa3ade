/* ops/matmul.h: the matrix product. Read next: matmul.c. */
#ifndef GRAPE_OPS_MATMUL_H
#define GRAPE_OPS_MATMUL_H

#include "core/tape.h"

GR_BEGIN

/* a b by NumPy's rules: products of the last two axes, the axes before them broadcast; a vector a is a row, a vector b
 * a column, and their axis is gone from the result. a, b     both float32 or both float64, rank 1 or more; [.., m, k]
 * and [.., k, n] -> [.., m, n] errors   GR_EDTYPE, GR_ESHAPE */
GR_API gr_tensor *gr_matmul_at(gr_at at, gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b);
#define gr_matmul(...) gr_matmul_at(GR_HERE, __VA_ARGS__)

/* The same with the last two axes of an operand swapped first; no transposed copy is made.
 *     gr_matmul_t(q, k, .transpose_b = true)
 *   errors   as gr_matmul, and GR_ESHAPE for a vector to be transposed */
typedef struct {
    bool transpose_a, transpose_b;
} gr_matmul_opts;
GR_API gr_tensor *gr_matmul_t_at(gr_at at, gr_tensor *a, gr_tensor *b, gr_matmul_opts opts);
GR_API gr_tensor *gr_matmul_t(gr_tensor *a, gr_tensor *b, gr_matmul_opts opts);
#define gr_matmul_t(a, b, ...) gr_matmul_t_at(GR_HERE, (a), (b), (gr_matmul_opts){__VA_ARGS__})

GR_END
#endif
