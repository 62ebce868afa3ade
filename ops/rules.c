/* ops/rules.c: see rules.h. None reorders a sum of floats, and x * 0 stays: x may be NaN. */
#include "ops/rules.h"

const gr__rule gr__rules[] = {
    /* neutral elements */
    {"add(x, 0)", "x", false},
    {"sub(x, 0)", "x", false},
    {"mul(x, 1)", "x", false},
    {"div(x, 1)", "x", false},
    {"pow(x, 1)", "x", false},
    {"logical_and(x, 1)", "x", false},
    {"logical_or(x, 0)", "x", false},
    {"logical_xor(x, 0)", "x", false},
    /* of itself */
    {"maximum(x, x)", "x", false},
    {"minimum(x, x)", "x", false},
    {"logical_and(x, x)", "x", false},
    {"logical_or(x, x)", "x", false},
    {"where(c, x, x)", "x", false},
    {"where(1, x, y)", "x", false},
    {"where(0, x, y)", "y", false},
    /* twice is once */
    {"relu(relu(x))", "relu(x)", false},
    {"abs(abs(x))", "abs(x)", false},
    {"sign(sign(x))", "sign(x)", false},
    {"floor(floor(x))", "floor(x)", false},
    {"ceil(ceil(x))", "ceil(x)", false},
    {"round(round(x))", "round(x)", false},
    /* signs */
    {"neg(neg(x))", "x", false},
    {"add(x, neg(y))", "sub(x, y)", false},
    {"sub(x, neg(y))", "add(x, y)", false},
    {"sub(0, x)", "neg(x)", false},
    {"mul(neg(x), neg(y))", "mul(x, y)", false},
    {"div(neg(x), neg(y))", "div(x, y)", false},
    {"mul(x, -1)", "neg(x)", false},
    {"div(x, -1)", "neg(x)", false},
    {"neg(sub(x, y))", "sub(y, x)", false},
    {"square(neg(x))", "square(x)", false},
    {"sum(neg(x))", "neg(sum(x))", false},
    {"square(abs(x))", "square(x)", false},
    {"mul(x, x)", "square(x)", false},
    {"abs(neg(x))", "abs(x)", false},
    {"logical_not(logical_not(x))", "x", false},
    {"where(logical_not(c), x, y)", "where(c, y, x)", false},
    /* A window's gradient goes to its largest element: masking that before it is spread gives the same. */
    {"where(greater(x, 0), max_pool_input_grad(g, c=max_pool#1(x)), 0)",
        "max_pool_input_grad(where(greater(c#0, 0), g, 0), c)", false},
    /* cheaper forms */
    {"div(x, pow2)", "mul(x, 1/pow2)", false},
    {"div(1, sqrt(x))", "rsqrt(x)", false},
    {"reciprocal(sqrt(x))", "rsqrt(x)", false},
    {"div(1, x)", "reciprocal(x)", false},
    {"reciprocal(reciprocal(x))", "x", true},
    {"pow(x, 2)", "square(x)", true},
    {"pow(x, 0.5)", "sqrt(x)", true},
    {"log(exp(x))", "x", true},
    {NULL, NULL, false},
};
