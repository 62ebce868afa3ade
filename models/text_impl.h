/* models/text_impl.h: text that grows. */
#ifndef GRAPE_MODELS_TEXT_IMPL_H
#define GRAPE_MODELS_TEXT_IMPL_H

#include "core/status.h"

typedef struct {
    char *text; /* ends in 0; NULL while empty */
    int64_t n, cap;
    bool failed; /* out of memory: what came later is missing */
} gr__text;

void gr__text_add(gr__text *t, const char *format, ...) GR_PRINTF(2, 3);
void gr__text_free(gr__text *t);

#endif
