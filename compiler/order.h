/* compiler/order.h: groups of nodes in an order along which every edge rises, kept up while groups are merged.
 *
 * It answers whether two groups may become one: not if a way leads from the first to the second through another group,
 * which would then have to run before and after it. The search goes from both ends and never leaves the stretch of the
 * order between them; it ends with the shorter of the two sides, and those few groups are all that moves (after Pearce
 * and Kelly 2006, "A dynamic topological sort algorithm for directed acyclic graphs"). */
#ifndef GRAPE_COMPILER_ORDER_H
#define GRAPE_COMPILER_ORDER_H

#include "compiler/plan.h"

typedef struct gr__order {
    int n;
    int *group;           /* per node: its group, named by one of its nodes; -1: it is not computed */
    int *first_out, *out; /* per node: who reads any of its results, once for each read */
    int *first_in, *in;   /* per node: whose results it reads */
    int *next, *last;     /* per node: the next of its group or -1; per group: its last node */
    int *left, *right;    /* per group: its neighbours in the order, or n */
    int64_t *place;       /* per group: rises along the order */
    int *mark, stamp;
    int *queue[2];
    int64_t visits; /* groups that searches came by */
} gr__order;

bool gr__order_new(gr__order *o, const gr__plan *p);
void gr__order_free(gr__order *o);
/* Makes b a part of a, which it reads from. False, and nothing done, if a way leads around: through another group. */
bool gr__order_merge(gr__order *o, int a, int b);

#endif
