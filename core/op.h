/* core/op.h: what an op is. Grape's own ops and a user's are this one struct.
 *
 * An op has a name, infers the dtypes and shapes of its results, can be computed on plain buffers (eval), builds its
 * own gradient out of ops (vjp), tells the compiler by traits and `lower` how it may be fused, and brings samples that
 * feed the gradient check and the comparison of compiled with node-by-node evaluation. Read next: core/tape.h. */
#ifndef GRAPE_CORE_OP_H
#define GRAPE_CORE_OP_H

#include "core/kind.h"

GR_BEGIN

typedef struct gr_tensor gr_tensor;
typedef struct gr_tape gr_tape;
typedef struct gr_op gr_op;
typedef struct gr_variable gr_variable;

/* ---- shape inference --------------------------------------------------------------------------------------------- */

typedef struct gr_infer {
    const gr_op *op;
    const void *attr;
    int n_in, n_out;
    const gr_dtype *dtype; /* of the inputs */
    const gr_shape *shape;
    gr_dtype *out_dtype; /* to be filled in, n_out of each */
    gr_shape *out_shape;
} gr_infer;
/* Records "op: argument ARG: expected ..., found ..."; the tape adds place, operands and layers. Returns `status`. */
GR_API gr_status gr_infer_fail(const gr_infer *f, gr_status status, const char *argument, const char *format, ...)
    GR_PRINTF(4, 5);
GR_API gr_status gr_infer_same(gr_infer *f); /* every result has dtype and shape of input 0 */

/* ---- computing --------------------------------------------------------------------------------------------------- */

/* A contiguous row-major buffer. */
typedef struct {
    gr_dtype dtype;
    gr_shape shape; /* plain numbers */
    void *data;     /* 64-byte aligned unless it is a user's own */
} gr_buffer;

typedef struct gr_call {
    const gr_op *op;
    const void *attr;
    int n_in, n_out;
    const gr_buffer *in;
    const gr_buffer *out;
    void *scratch;      /* gr_op.scratch() bytes, 64-byte aligned */
    /* GR_RANGED ops compute these flat elements of out[0] only, or the share of all results that they stand for */
    int64_t begin, end;
    bool accumulate;    /* GR_SUMS_EXAMPLES: add to what the result holds */
    uint64_t seed;      /* of random ops: with the step and the node's `use`, the whole key */
    uint64_t step;
    gr_at at; /* the user's line, for messages */
    struct gr__ahead *ahead; /* what to fetch from memory meanwhile (ops/kernels/ahead.h), or NULL */
} gr_call;
/* Records an error of data ("argument indices: expected 0 .. 9, found 12 at [3]"); returns `status`. */
GR_API gr_status gr_call_fail(const gr_call *c, gr_status status, const char *argument, const char *format, ...)
    GR_PRINTF(4, 5);

/* One operand of a tile: element (r, c) lies at data[r * row + c * col]; col is 1, or 0 for one value per row. */
typedef struct {
    void *data;
    int64_t row, col;
} gr_tile_arg;
#define GR_TILE_INPUTS 3
typedef struct {
    int64_t rows, cols;
    gr_tile_arg y; /* may be the same as an x, else they do not overlap */
    gr_tile_arg x[GR_TILE_INPUTS];
    const void *attr;
} gr_tile;
/* Computes a tile of an elementwise op; all operands have the compute type (float or double), bool as 1 and 0. */
typedef void (*gr_tile_fn)(const gr_tile *t);

/* ---- gradient ---------------------------------------------------------------------------------------------------- */

typedef struct gr_vjp {
    gr_tensor *node; /* result 0 of the node */
    const void *attr;
    int n_in, n_out;
    gr_tensor *const *x;  /* inputs */
    gr_tensor *const *y;  /* results */
    gr_tensor *const *dy; /* gradient of each result; NULL is zero (but not all are) */
    gr_tensor **dx;       /* to be filled with nodes; leave NULL for zero or for integer inputs */
} gr_vjp;

/* ---- lowering: what the compiler may know of an op without knowing its name -------------------------------------- */

typedef enum {
    GR_LOWER_OPAQUE = 0, /* run eval on whole buffers */
    GR_LOWER_TILE,       /* elementwise with broadcasting: .tile */
    GR_LOWER_REDUCE,     /* .reduce over .axes of input 0; keepdims does not matter (row-major order is the same) */
    GR_LOWER_ALIAS,      /* the elements of input 0 in the same row-major order (reshape) */
    /* element i of the result is input 0 at offset + sum stride[k] * i[k] (transpose, slice, broadcast) */
    GR_LOWER_VIEW,
    GR_LOWER_CONTRACT,   /* batched matrix product */
} gr_lower_kind;
/* VARIANCE: the mean squared distance from the mean */
typedef enum { GR_REDUCE_SUM, GR_REDUCE_MAX, GR_REDUCE_MIN, GR_REDUCE_PROD, GR_REDUCE_VARIANCE } gr_reduce_kind;

typedef struct gr_lowering {
    /* given */
    const gr_op *op;
    const void *attr;
    int n_in;
    const gr_dtype *dtype; /* of the inputs */
    const gr_shape *shape; /* of the inputs, plain numbers */
    gr_dtype out_dtype;
    gr_shape out_shape;
    /* to be filled in */
    gr_lower_kind kind;
    gr_tile_fn tile;       /* for the compute type: float, or double if any float operand is float64 */
    gr_reduce_kind reduce;
    bool axes[GR_MAX_RANK]; /* reduced axes of input 0 */
    int64_t offset, stride[GR_MAX_RANK]; /* VIEW: in elements of input 0 */
    /* CONTRACT: out[g, i, j] = sum_p a[g, i, p] b[g, p, j]; strides in elements; out is contiguous [groups.., m, n] */
    int64_t groups, m, n, k;
    int64_t a_row, a_col, b_row, b_col;
    int64_t b_block; /* not 0: b is packed, as ops/kernels/gemm.h says; b_row and b_col do not count */
    int64_t group_rank, group_dim[GR_MAX_RANK]; /* batch dims of out; group strides of a and b per dim, 0 = broadcast */
    int64_t a_group[GR_MAX_RANK], b_group[GR_MAX_RANK];
} gr_lowering;

/* Of a product of input 0 and weights, input 1: which axes of the weights run with the channels, the last axis of the
 * result and of input 0. -1: none does. */
typedef struct gr_channels {
    int64_t result, input;
    bool border; /* some results are sums over fewer places of the input than others (padding) */
} gr_channels;

/* ---- samples ----------------------------------------------------------------------------------------------------- */

#define GR_SAMPLE_INPUTS 7
/* One test case of an op: inputs drawn uniformly from lo .. hi (integers, inclusive, for integer dtypes), away from
 * kinks. */
typedef struct gr_sample {
    double lo, hi;
    gr_shape shape[GR_SAMPLE_INPUTS]; /* as many as the op has inputs */
    gr_dtype dtype[GR_SAMPLE_INPUTS]; /* GR_DTYPE_NONE: the float type under test */
    const void *attr;
    bool distinct; /* all drawn values differ by at least 0.01 (max, sort: away from ties) */
    bool no_second; /* the second derivative is not checked here (0 almost everywhere, or a kink) */
} gr_sample;
#define GR_SAMPLES(...) ((const gr_sample[]){__VA_ARGS__, {.lo = 1, .hi = 0}}) /* lo > hi ends the list */

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

typedef enum {
    GR_ELEMENTWISE = 1 << 0,  /* out[i] depends on in[i] only, with NumPy broadcasting */
    GR_COMMUTATIVE = 1 << 1,
    GR_EXPENSIVE = 1 << 2,    /* transcendental: not to be recomputed per broadcast consumer */
    GR_ROWWISE = 1 << 3,      /* rows of the last axis are independent */
    GR_RANGED = 1 << 4, /* eval honours begin/end, any split gives the same bits, and may run on several threads */
    GR_RANDOM = 1 << 5,       /* depends on seed and step */
    GR_EFFECT = 1 << 6,       /* writes state; never merged or dropped */
    GR_LEAF = 1 << 7,         /* has no eval: input, constant, variable, parameter of a region */
    GR_CHECKED_DATA = 1 << 8, /* eval may refuse its data (indices out of range) */
    GR_IDEMPOTENT = 1 << 9,
    GR_NO_GRADIENT = 1 << 10, /* gradient is zero by definition (comparisons, floor, argmax, random, ...) */
    GR_PARALLEL = 1 << 11,    /* a user's eval may be called from several threads at once */
    GR_REGION = 1 << 12,      /* owns regions; computed by running them */
    GR_SHAPE_ONLY = 1 << 13, /* the result follows from the inputs' shapes; eval does not read their data */
    GR_UNITS = 1 << 14, /* of GR_RANGED: only whole units are asked for; further results are computed along with them */
    GR_FIRST_ORDER = 1 << 15, /* a gradient without one of its own: a second derivative is an error that says so */
    GR_LOOP = 1 << 16, /* of GR_REGION: region 0 runs once a step; the attributes are a gr__loop (core/node.h) */
    GR_SUMS_EXAMPLES = 1 << 17, /* with gr_op.by_example: result 0 is a sum over examples, not one for each */
    /* The result is input 0, which equals input 1 and is cheaper. Gradients go through input 1 if they are wanted of it
     * or of what only it is made of, the further inputs. */
    GR_EITHER = 1 << 18,
    GR_ON_DEMAND = 1 << 19, /* no result has data where nobody reads it: eval finds NULL */
} gr_trait;

struct gr_op {
    int abi; /* GR_ABI */
    const char *name;
    const char *doc;
    int n_in;  /* -1: any number */
    int n_out; /* 0 counts as 1 */
    int n_kept; /* the last of these have no gradient (for the vjp, say), and no data where nobody reads them */
    unsigned traits;
    const gr_field *attrs; /* of the attribute struct, ended by {0}; NULL: none */
    size_t attr_size;
    const char *const *in_names; /* argument names for messages, n_in of them; NULL: a, b, c, d */
    gr_status (*infer)(gr_infer *f);
    gr_status (*eval_f32)(const gr_call *c); /* the op's float type is float32 (or it has none) */
    gr_status (*eval_f64)(const gr_call *c); /* NULL: "f32 only" */
    /* GR_CHECKED_DATA: refuses what eval would refuse, looking at operands of integers alone. A program runs it early,
     * so that what has no way back (an update in place) need not wait for eval. NULL: eval alone knows. */
    gr_status (*check)(const gr_call *c);
    int64_t (*scratch)(const gr_call *c);    /* bytes wanted in c->scratch; NULL: none */
    /* GR_RANGED: elements of the result that eval would rather have together (a row, an image); any split is right.
     * A function of types and shapes, and perhaps of gr_num_threads(). NULL: none. */
    int64_t (*unit)(const gr_call *c);
    /* GR_UNITS: the axis of the results that a range counts right after the first, though it lies further in: with 2 of
     * [B, T, heads, size] head by head. A range of result 0 makes the same part of every other result. 0: none. */
    int unit_axis;
    /* GR_RANGED: bit i says that the first axis of input i counts examples, as that of every result then does. Example
     * n of the results depends on example n of these inputs only, so that eval may be called for a few of them; inputs
     * without a bit (a kernel) are whole. With GR_SUMS_EXAMPLES the result has no such axis, and eval for a few gives
     * their part of the sum. 0: the op is not like that. */
    unsigned by_example;
    void (*vjp)(gr_vjp *v); /* NULL without GR_NO_GRADIENT: differentiating is an error that names the op */
    void (*lower)(gr_lowering *l);           /* NULL: opaque */
    double (*flops)(const gr_lowering *l);   /* NULL: one an element of the result */
    /* A product that is linear in both of its inputs, of these shapes; false: not this one. NULL: none. */
    bool (*channels)(const void *attr, const gr_shape *shape, gr_channels *c);
    const gr_sample *samples;
};

/* Makes a user's op known by its name (text form, fuzzing). The struct is borrowed for ever. Twice the same is fine;
 * another op of that name is GR_ENAME. */
GR_API gr_status gr_op_register(const gr_op *op);
GR_API const gr_op *gr_op_named(const char *name); /* NULL if unknown */
/* All registered ops, Grape's own first; NULL past the end. */
GR_API const gr_op *gr_op_at(int index);

GR_END
#endif
