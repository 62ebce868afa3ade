/* core/text_impl.h: a cursor over a graph's text; text_parse.c makes nodes of what it reads. */
#ifndef GRAPE_CORE_TEXT_IMPL_H
#define GRAPE_CORE_TEXT_IMPL_H

#include "core/text.h"

enum { GR__READ_NAME = 4096 }; /* bytes of a name or value */

typedef struct {
    const char *p, *line_start, *end;
    int64_t line;
    int depth; /* of regions */
    int n_variables;
    gr_variable *const *variables;
} gr__reader;

/* Records an error with line and column; returns `status`. */
gr_status gr__read_fail(const gr__reader *r, gr_status status, const char *format, ...) GR_PRINTF(3, 4);
/* What stands at the cursor, for messages. */
const char *gr__read_found(const gr__reader *r, char buf[40]);
void gr__read_skip_blanks(gr__reader *r); /* and a comment */
void gr__read_skip_lines(gr__reader *r);
bool gr__read_at_char(gr__reader *r, char c);
bool gr__read_take(gr__reader *r, char c);
bool gr__read_take_word(gr__reader *r, const char *word);
gr_status gr__read_expect(gr__reader *r, char c);
int gr__read_hex(char c); /* -1: no digit */
/* A word or a quoted text. With `length`, a scope path: its names, each ended by 0, and the bytes of all but the last
 * 0. */
gr_status gr__read_name(gr__reader *r, char *out, int64_t size, int64_t *length);
gr_status gr__read_integer(gr__reader *r, int64_t low, int64_t high, int64_t *out);
gr_status gr__read_type(gr__reader *r, gr_dtype *dtype, gr_shape *shape);
/* Element i of data. */
gr_status gr__read_number(gr__reader *r, gr_dtype t, void *data, int64_t i);
/* The raw text of an attribute's value: up to , or } outside of brackets and quotes. */
gr_status gr__read_value_text(gr__reader *r, char *out, int64_t size);

#endif
