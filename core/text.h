/* core/text.h: graphs as text, both ways: for dumps, for tests of passes (text in, text out), for reports of errors.
 *
 *     scope dense : Dense @ main.c:7
 *     %0 = input x : float32 [B, 3] @ main.c:5
 *     %1 = variable dense/kernel : float32 [3, 4] in dense
 *     %2 = matmul(%0, %1) : float32 [B, 4] @ main.c:7 in dense
 *     %3 = constant : float32 [] = 0.5
 *     %4:2 = split(%2) {parts = 2, axis = -1} : float32 [B, 2], float32 [B, 2]
 *     %5 = mul(%4.1, %3) : float32 [B, 2] backward of %2 clone 3
 *
 * A line a node: its number (and how many results, if not one), op, inputs (%4.1 is result 1 of %4), attributes that
 * are not zero, dtypes and shapes. Then, where they apply, the place, the scope, the part of the step, the forward node
 * whose gradient it belongs to, and the number of a recomputed copy. Names that are no plain words stand in quotes.
 * Numbers are exact. After a node that owns regions:
 *
 *     region {
 *         %0 = param : float32 [B, 3]
 *         return %0
 *     }
 *
 * # starts a comment. Read next: text.c, text_parse.c. */
#ifndef GRAPE_CORE_TEXT_H
#define GRAPE_CORE_TEXT_H

#include "core/tape.h"

GR_BEGIN

/* The whole tape as text, freed by gr_text_free; NULL without memory, or at an op whose attributes have no text form
 * (pointers), which the message names. */
GR_API char *gr_tape_text(const gr_tape *t);
GR_API void gr_text_free(char *text);
/* The same into a file. */
GR_API gr_status gr_tape_print(const gr_tape *t, FILE *f);
/* A new tape from a text. Variables are found by their paths among the n given ones, ops by their names among those
 * registered; every shape is inferred again and compared. The text may be anybody's: NULL, and a message with line and
 * column (GR_EFORMAT, GR_ENAME), if it is not a graph. */
GR_API gr_tape *gr_tape_parse(const char *text, int n, gr_variable *const *variables);

/* For passes: a tape with its results, a last line "return %7, %8". `n_results` gives how many were read, at most
 * `most`. */
char *gr__graph_text(const gr_tape *t, int n_results, gr_tensor *const *results);
gr_tape *gr__graph_parse(
    const char *text, int n, gr_variable *const *variables, int most, gr_tensor **results, int *n_results);
/* The same nodes, in the same order, with the same places, scopes, phases, origins and regions? */
bool gr__tape_equal(const gr_tape *a, const gr_tape *b);

/* A text that grows. */
typedef struct {
    char *text; /* ends in 0; NULL before the first character */
    int64_t used, room;
    bool failed; /* out of memory: what follows is dropped */
} gr__writer;
void gr__put(gr__writer *w, const char *format, ...) GR_PRINTF(2, 3);
void gr__put_bytes(gr__writer *w, const char *s, int64_t n);
/* A name as it is if it is a plain word, else in quotes. */
void gr__put_name(gr__writer *w, const char *s);

GR_END
#endif
