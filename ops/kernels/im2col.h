/* ops/kernels/im2col.h: convolution and its gradients through matrix products, for any stride, dilation, padding and
 * number of groups. Leaf calls of one thread; who calls splits the work.
 *
 * Bits: a result is one chain of multiply-adds, over taps and then channels; a kernel's gradient is a sum over fixed
 * blocks of pixels of such chains. Neither depends on which rectangle of results a call computes. */
#ifndef GRAPE_OPS_KERNELS_IM2COL_H
#define GRAPE_OPS_KERNELS_IM2COL_H

#include <stdint.h>

/* x [images, h, w, c], kernel [kernel_h, kernel_w, part, o], y [images, out_h, out_w, o], all contiguous. */
typedef struct {
    int64_t images, h, w, c;
    int64_t out_h, out_w, o;
    int64_t kernel_h, kernel_w;
    int64_t groups, part, o_part; /* c = groups * part, o = groups * o_part */
    int64_t stride_h, stride_w, dilation_h, dilation_w, top, left; /* padding before */
    int64_t size; /* of an element: 4 (float) or 8 (double) */
    void *x, *kernel, *y; /* the result among them is written, the others are read */
    void *scratch; /* gr__im2col_scratch() bytes, aligned to 64 */
} gr__im2col;

int64_t gr__im2col_scratch(const gr__im2col *j);
/* y at pixels p0 .. p1-1 (counted over images, rows, columns) and channels o0 .. o1-1 */
void gr__im2col_forward(const gr__im2col *j, int64_t p0, int64_t p1, int64_t o0, int64_t o1);
/* x at its pixels p0 .. p1-1 and channels c0 .. c1-1, from y */
void gr__im2col_to_input(const gr__im2col *j, int64_t p0, int64_t p1, int64_t c0, int64_t c1);
/* kernel at rows r0 .. r1-1 (a row: one tap, one channel of the part) and channels o0 .. o1-1, from x and y */
void gr__im2col_to_kernel(const gr__im2col *j, int64_t r0, int64_t r1, int64_t o0, int64_t o1);

#endif
