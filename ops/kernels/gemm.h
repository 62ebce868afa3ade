/* ops/kernels/gemm.h: the matrix product, C = A B or C += A B, as a leaf call of one thread; who calls splits the work.
 * gemm.c picks the build for the CPU, gemm.isa.c is compiled once per instruction set, gemm_impl.h is the code,
 * tile_impl.h its inner loop.
 *
 * Bits: each element of C is one chain of multiply-adds in order of p, starting at 0 (or at C). How m and n are split
 * over calls and threads, and all strides, leave it the same; so do AVX-512, AVX2 and NEON. The x86-64 base build
 * rounds each product (it has no fused multiply-add). */
#ifndef GRAPE_OPS_KERNELS_GEMM_H
#define GRAPE_OPS_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* C[i][j] = (accumulate ? C[i][j] : 0) + sum over p < k of A[i][p] B[p][j].  m, n, k may be 0; C overlaps neither A nor
 * B; nothing outside the m x k, k x n, m x n elements is read or written. */
typedef struct {
    int64_t m, n, k;
    const void *a; /* A[i][p] = a[i*a_row + p*a_col]; strides in elements, of any sign and size */
    int64_t a_row, a_col;
    const void *b; /* B[p][j] = b[p*b_row + j*b_col] */
    int64_t b_row, b_col;
    int64_t b_block; /* not 0: b was packed by gr__gemm_pack, and this is from one block to the next, in elements;
                        b_row and b_col do not count */
    void *c; /* C[i][j] = c[i*c_row + j] */
    int64_t c_row;
    bool accumulate;
    void *scratch; /* gr__gemm_scratch() bytes, aligned to 64; NULL if that is 0 */
} gr__gemm;

/* Bytes of scratch for elements of `elem` bytes (4 or 8): room for packed panels of A and B, at most 256 KiB, often 0.
 * Depends on sizes and on strides of A and B alone. */
size_t gr__gemm_scratch(const gr__gemm *g, size_t elem);
void gr__gemm_f32(const gr__gemm *g);
void gr__gemm_f64(const gr__gemm *g);
/* B in blocks of gr__gemm_block() columns, a block's rows one after the other: for a B that serves many products, like
 * a recurrent layer's weights in a step over time. Element (p, j) is
 *     packed[j / w * b_block + p * w + j % w],    w = gr__gemm_block(elem), b_block = k * w
 * and the last block is filled up with zeros. A product may take some of the rows (b = packed + p * w) and begin at any
 * block (b = packed + j / w * b_block), not inside one. w depends on the CPU: nothing packed is ever saved. */
int64_t gr__gemm_block(size_t elem);
/* Bytes of a packed k x n matrix. */
int64_t gr__gemm_packed_bytes(int64_t k, int64_t n, size_t elem);
/* Packs g's B (g.k, g.n, g.b, g.b_row, g.b_col; nothing else is looked at). To share the work, pack parts that begin at
 * a block. */
void gr__gemm_pack_f32(const gr__gemm *g, float *packed);
void gr__gemm_pack_f64(const gr__gemm *g, double *packed);
/* Does a product of many rows gain by a packed B here? With 16 registers tiles are small and go over B so often that it
 * is packed in any case; NEON, which has 32, counts as the base build and was not measured. */
bool gr__gemm_packs(void);
/* Columns of a strip that a thread should own: whole blocks and tiles, few enough to leave strips for all threads. */
int64_t gr__gemm_strip(void);
/* The part of C that a thread should make in one call, where the caller may choose; its columns are whole blocks. */
typedef struct {
    int64_t rows, cols;
    int64_t least_rows;           /* instead of `rows`, where there would be few parts */
    int64_t wide_rows, wide_cols; /* where there are many, and sums are short */
} gr__gemm_part;
const gr__gemm_part *gr__gemm_parts(void);

/* One set of these per instruction set; tests call each that the CPU has. */
#define GR_GEMM_BUILD(isa)                                                  \
    size_t gr__gemm_scratch_f32_##isa(const gr__gemm *g);                  \
    size_t gr__gemm_scratch_f64_##isa(const gr__gemm *g);                  \
    void gr__gemm_f32_##isa(const gr__gemm *g);                            \
    void gr__gemm_f64_##isa(const gr__gemm *g);                            \
    void gr__gemm_pack_f32_##isa(const gr__gemm *g, float *packed);        \
    void gr__gemm_pack_f64_##isa(const gr__gemm *g, double *packed);       \
    int64_t gr__gemm_block_##isa(size_t elem);
GR_GEMM_BUILD(base)
#ifdef __x86_64__
GR_GEMM_BUILD(avx2)
GR_GEMM_BUILD(avx512)
#endif

#endif
