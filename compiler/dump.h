/* compiler/dump.h: what GRAPE_DUMP writes. */
#ifndef GRAPE_COMPILER_DUMP_H
#define GRAPE_COMPILER_DUMP_H

#include "compiler/plan.h"

void gr__dump_plan(FILE *f, const gr__plan *p);
/* DIR/plan.txt and DIR/memory.svg */
gr_status gr__dump_to(const gr__plan *p, const char *dir);

#endif
