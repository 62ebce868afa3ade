/* io/npz.h: NumPy's .npz, a zip of .npy files.
 *
 * Everything is read at once. Members are stored or deflated; those that are no .npy are left out. Refused: names that
 * occur twice, encryption, members that overlap, sizes that disagree, and what unpacks to more than 256 MiB and 100
 * times its size. In a build without libzip all of it is GR_EMISSING. */
#ifndef GRAPE_IO_NPZ_H
#define GRAPE_IO_NPZ_H

#include "core/array.h"

GR_BEGIN

typedef struct gr_npz gr_npz;

/* NULL on failure: GR_EIO, GR_EFORMAT, GR_EDTYPE, GR_EMEM, GR_EMISSING; the message names file and member. */
GR_API gr_npz *gr_npz_load(const char *path);
GR_API void gr_npz_free(gr_npz *z); /* NULL is fine */
/* Arrays in the order of the archive. Names are without ".npy". What is returned is z's. */
GR_API int64_t gr_npz_count(const gr_npz *z);
GR_API const char *gr_npz_name(const gr_npz *z, int64_t i);     /* NULL (and an error) outside */
GR_API const gr_array *gr_npz_at(const gr_npz *z, int64_t i);   /* NULL (and an error) outside */
GR_API int64_t gr_npz_find(const gr_npz *z, const char *name);  /* -1 if there is none: no error */
GR_API const gr_array *gr_npz_get(const gr_npz *z, const char *name); /* GR_ENAME, listing names, if there is none */

/* Writes n arrays, stored, in this order. The file is there whole or not at all; the same arrays give the same bytes.
 */
GR_API gr_status gr_npz_save(const char *path, int64_t n, const char *const *names, gr_array *const *arrays);

GR_END
#endif
