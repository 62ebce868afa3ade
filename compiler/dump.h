/* compiler/dump.h: what GRAPE_DUMP writes. */
#ifndef GRAPE_COMPILER_DUMP_H
#define GRAPE_COMPILER_DUMP_H

#include "compiler/plan.h"

void gr__dump_plan(FILE *f, const gr__plan *p);
/* DIR/plan.txt, DIR/memory.svg, DIR/groups.dot */
gr_status gr__dump_plan_to(const gr__plan *p, const char *dir);
/* DIR/NAME.txt and DIR/NAME.dot */
gr_status gr__dump_graph_to(const gr__graph *g, const char *dir, const char *name);
/* The groups as a picture in dot's language, freed by gr_text_free; NULL without memory. */
char *gr__groups_dot(const gr__plan *p, const char *title);

#endif
