/* core/array_impl.h: the inside of an array, for core/array.c and core/array_elements.c. */
#ifndef GRAPE_CORE_ARRAY_IMPL_H
#define GRAPE_CORE_ARRAY_IMPL_H

#include "core/array.h"
#include <stdatomic.h>

typedef struct {
    _Atomic int64_t handles;
    void *data;
    bool borrowed; /* not ours to write in place or to free; .release, if any, is called instead */
    void (*release)(void *user);
    void *user;
} gr__array_buffer;

struct gr_array {
    gr__array_buffer *buffer;
    gr_dtype dtype;
    gr_shape shape;
    int64_t stride[GR_MAX_RANK]; /* in elements */
    char *first;
};

/* Elements of a valid shape; false and an error ("who: argument shape: ...") for an impossible dtype or shape. */
bool gr__array_room(const char *who, gr_dtype dtype, gr_shape shape, int64_t *count);
/* Like gr_array_new, but the elements are left for the caller to write. `who` is for messages. */
gr_array *gr__array_raw(const char *who, gr_dtype dtype, gr_shape shape);
/* Takes the elements of `from` over into the handle a; frees the handle `from`. */
void gr__array_become(gr_array *a, gr_array *from);
/* May a's elements be written without anyone else seeing it? */
bool gr__array_is_own(const gr_array *a);
/* Copies a's elements, row-major, to dst. */
void gr__array_pack(const gr_array *a, void *dst);
/* Makes the handle contiguous, copying if it is not. */
gr_status gr__array_flatten(gr_array *a);
/* True, or an error "who: argument a: expected an array, found NULL". */
bool gr__array_given(const gr_array *a, const char *who);
/* "[1, 2]": where a flat row-major index lies in a shape. */
const char *gr__index_text(gr_shape shape, int64_t flat, char *buf, size_t size);

#endif
