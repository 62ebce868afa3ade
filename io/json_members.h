/* io/json_members.h: the members of a large JSON object one after the other, without a tree of the whole. Only where
 * each key and value begins and ends is found here; whether they are JSON is for a parser to say. */
#ifndef GRAPE_IO_JSON_MEMBERS_H
#define GRAPE_IO_JSON_MEMBERS_H

#include "core/export.h"
#include <stdbool.h>
#include <stdint.h>

GR_BEGIN

typedef struct {
    const char *text; /* n bytes */
    int64_t n, at;
    bool started;
    const char *wrong; /* what is not as it should be at text[at]; NULL: nothing */
    const char *key, *value; /* of the member found, the key with its quotes */
    int64_t key_n, value_n;
} gr__json_members;

/* Finds the next member. False at the end of the object (which has to be the end of the text) or when something is
 * wrong. */
bool gr__json_next(gr__json_members *m);
/* How deep brackets are nested outside of strings. */
int64_t gr__json_depth(const char *text, int64_t n);

GR_END
#endif
