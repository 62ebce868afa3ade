/* io/safetensors.h: named arrays and a map of texts in one file, the format of Hugging Face's safetensors: the length
 * of a JSON header (8 bytes), the header, the arrays' bytes one after the other.
 *
 * Read: BOOL U8 I32 I64 F32 F64 as they are, F16 and BF16 widened to float32, I8 I16 U16 to int32, U32 U64 to int64.
 * The rules are those of the reference reader: offsets cover the data exactly, sizes agree, names are unique UTF-8;
 * further, rank <= 8 and JSON no deeper than 32. Written as the reference writer does: larger types first, then by
 * name; header padded to 8. In a build without jansson all of it is GR_EMISSING. */
#ifndef GRAPE_IO_SAFETENSORS_H
#define GRAPE_IO_SAFETENSORS_H

#include "core/array.h"

GR_BEGIN

typedef struct gr_safetensors gr_safetensors;

/* Everything, read at once. NULL on failure: GR_EIO, GR_EFORMAT, GR_EDTYPE, GR_ERANGE, GR_EMEM, GR_EMISSING. */
GR_API gr_safetensors *gr_safetensors_load(const char *path);
GR_API void gr_safetensors_free(gr_safetensors *t); /* NULL is fine */
/* Arrays in the order of their data. What is returned is t's. */
GR_API int64_t gr_safetensors_count(const gr_safetensors *t);
GR_API const char *gr_safetensors_name(const gr_safetensors *t, int64_t i);      /* NULL (and an error) outside */
GR_API const gr_array *gr_safetensors_at(const gr_safetensors *t, int64_t i);    /* NULL (and an error) outside */
GR_API int64_t gr_safetensors_find(const gr_safetensors *t, const char *name);   /* -1 if there is none: no error */
GR_API const gr_array *gr_safetensors_get(const gr_safetensors *t, const char *name); /* GR_ENAME if there is none */
/* The metadata's text of that key; NULL if there is none: no error. */
GR_API const char *gr_safetensors_meta(const gr_safetensors *t, const char *key);
GR_API int64_t gr_safetensors_meta_count(const gr_safetensors *t);
GR_API const char *gr_safetensors_meta_key(const gr_safetensors *t, int64_t i); /* NULL (and an error) outside */

typedef struct {
    const char *name;
    const gr_array *array;
} gr_named_array;
typedef struct {
    const char *key, *text;
} gr_named_text;
/* Writes n arrays and n_meta texts. The file is there whole or not at all; the same contents give the same bytes. */
GR_API gr_status gr_safetensors_save(const char *path, int64_t n, const gr_named_array *arrays, int64_t n_meta,
    const gr_named_text *meta);

GR_END
#endif
