/* ops/rules.h: rewrites that name ops, as data. compiler/simplify.c applies them and knows no op by name.
 *
 * A pattern is an op of patterns, `mul(x, 1)`: letters stand for any tensor (the same letter twice for the same one),
 * numbers for constants all of whose elements have that value, `pow2` for one whose elements are all one power of two.
 * `op#1(x)` is result 1 of the op, and `c=op(x)` calls what was found c. The order of a commutative op's inputs does
 * not matter. A replacement may be a letter or ops of letters and numbers, and say `1/pow2` or, of letter c, `c#0` for
 * result 0 of its node; an op with attributes takes those of its namesake in the pattern. It is made only where dtype
 * and shape stay what they were. */
#ifndef GRAPE_OPS_RULES_H
#define GRAPE_OPS_RULES_H

#include "core/op.h"

typedef struct gr__rule {
    const char *pattern, *replacement;
    bool inexact; /* may change the last bit; exact ones may change the sign of a zero at most */
} gr__rule;

extern const gr__rule gr__rules[]; /* ended by a NULL pattern */

#endif
