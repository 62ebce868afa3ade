/* core/dot.h: pictures of graphs, in the language of Graphviz; rendered by its program `dot` where it is installed.
 *
 *     gr_tape_dot(tape, "step.svg", .title = "one step");
 *
 * Read next: dot_tape.c, the picture of a tape; dot.c, the writer it uses. */
#ifndef GRAPE_CORE_DOT_H
#define GRAPE_CORE_DOT_H

#include "core/text.h"

GR_BEGIN

typedef struct gr_dot_opts {
    const char *file;
    const char *title;     /* above the picture; default none */
    int64_t fold_above;    /* a graph of more nodes is folded; default 500 */
    bool fold, no_fold;    /* whatever its size */
    const double *time_us; /* of each node, shown where it is not 0; default none */
} gr_dot_opts;

/* Draws a tape: a box a node with op, dtype, shape and bytes; a cluster a layer scope, nested as they are; blue for
 * forward, orange for backward, green for update; a dashed cluster a region. Folded, a layer is one node a phase.
 *   file    ends in .dot or .gv (text), or in .svg, .png or .pdf (rendered by `dot`)
 *           where `dot` is missing or fails, the text stays in its place (step.dot for step.svg), a warning on the log
 *           hook says how to render it, and the call succeeds
 *   errors  GR_EARG for another ending, GR_EIO with the system's words if the file cannot be written */
GR_API gr_status gr_tape_dot_at(gr_at at, const gr_tape *t, const gr_dot_opts *opts);
#define gr_tape_dot(t, ...) gr_tape_dot_at(GR_HERE, (t), &(gr_dot_opts){.file = __VA_ARGS__})
/* The text alone, freed by gr_text_free; .file is not used. NULL without memory. */
GR_API char *gr_tape_dot_text(const gr_tape *t, const gr_dot_opts *opts);

/* ---- the writer, for other pictures ------------------------------------------------------------------------------ */

/* Writes one digraph. Ids are the caller's own words and need no escaping; labels may be anybody's text, in which \n
 * separates lines. `style` is a list of attributes ("shape=box, style=filled") or "". */
typedef struct {
    gr__writer w;
    int depth;
} gr__dot;

/* Colours of the parts of a step: fill and line. */
extern const char *const gr__dot_fill[3], *const gr__dot_line[3];

void gr__dot_begin(gr__dot *d, const char *title, const char *style);
void gr__dot_node(gr__dot *d, const char *id, const char *label, const char *style);
/* label NULL: none */
void gr__dot_edge(gr__dot *d, const char *from, const char *to, const char *label, const char *style);
void gr__dot_cluster(gr__dot *d, const char *id, const char *label, const char *style);
void gr__dot_cluster_end(gr__dot *d);
/* The text, freed by gr_text_free; NULL without memory. */
char *gr__dot_end(gr__dot *d);
/* Writes or renders a text by the file's ending, as gr_tape_dot does. `who` stands in messages. */
gr_status gr__dot_save(gr_at at, const char *who, const char *text, const char *file);
/* "1.5 KiB". Returns buf. */
const char *gr__bytes_text(double bytes, char *buf, size_t size);

GR_END
#endif
