/* io/npy.h: NumPy's .npy, versions 1 to 3.
 *
 * Read: float16 (becomes float32), float32, float64, int8, int16, uint16 (become int32), int32, uint32, uint64 (become
 * int64), int64, uint8 and bool, in either byte order, in C or Fortran order. Refused: objects, structures, strings,
 * complex numbers, and bytes after the data. Written: version 1, little-endian, C order, the header padded to 64 bytes,
 * as NumPy does. */
#ifndef GRAPE_IO_NPY_H
#define GRAPE_IO_NPY_H

#include "core/array.h"

GR_BEGIN

/* NULL on failure: GR_EIO, GR_EFORMAT (no npy file, damaged), GR_EDTYPE (a type that arrays do not have), GR_EMEM. */
GR_API gr_array *gr_npy_load(const char *path);
/* The file is there whole or not at all. */
GR_API gr_status gr_npy_save(const char *path, const gr_array *a);

/* For archives: one array from a source, up to its end; the header of an array's file (a multiple of 64 bytes, at most
 * 256) into buf, its length. */
struct gr__source;
gr_status gr__npy_read(struct gr__source *s, gr_array **out);
enum { GR__NPY_HEADER = 256 };
int64_t gr__npy_header(const gr_array *a, char buf[GR__NPY_HEADER]);

GR_END
#endif
