/* io/idx.h: IDX, the format of MNIST: 0, 0, a type, a rank, the sizes (big-endian), the elements (big-endian). */
#ifndef GRAPE_IO_IDX_H
#define GRAPE_IO_IDX_H

#include "core/array.h"

GR_BEGIN

/* Reads an IDX file, compressed by gzip or not. uint8, int32, float32 and float64 stay what they are; int8 and int16
 * become int32. The file has to hold exactly the elements that its head announces. NULL on failure: GR_EIO, GR_EFORMAT,
 * GR_EMEM, or GR_EMISSING for a compressed file in a build without zlib. */
GR_API gr_array *gr_idx_load(const char *path);

GR_END
#endif
