/* io/elements.h: elements as files hold them: either byte order, and types that an array does not have, which are
 * widened: half floats and bfloat16 to float32, small integers to int32 or int64. */
#ifndef GRAPE_IO_ELEMENTS_H
#define GRAPE_IO_ELEMENTS_H

#include "core/array.h"
#include "io/source.h"

GR_BEGIN

typedef struct gr__element {
    const char *name;        /* as NumPy writes it, without the byte order: "f4"; "bf16" for bfloat16 */
    const char *safetensors; /* "F32" */
    int64_t size;            /* bytes in the file */
    gr_dtype dtype;          /* in memory */
} gr__element;

const gr__element *gr__element_named(const char *name);     /* NULL if unknown */
const gr__element *gr__element_safetensors(const char *name); /* NULL if unknown */
const gr__element *gr__element_of(gr_dtype dtype);          /* what holds a dtype exactly */

/* A new array of `shape` from the source's next bytes, row-major. The bytes are known to be there before anything is
 * allocated. A uint64 beyond int64 is GR_ERANGE. */
gr_status gr__elements_read(gr__source *s, const gr__element *type, bool big_endian, gr_shape shape, gr_array **out);

float gr__half_to_float(uint16_t half);
float gr__bfloat16_to_float(uint16_t x);

GR_END
#endif
