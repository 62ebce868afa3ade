/* Every registered op, on its own samples: what its descriptor promises is held against differences, against float64
 * and against itself. */
#include "autograd/gradcheck.h"
#include "tests/near.h"

/* An op of Grape's own that computes: not a leaf, not one that owns regions, and not state. */
static bool computes(const gr_op *op)
{
    return !(op->traits & (GR_LEAF | GR_REGION | GR_EFFECT));
}

static void every_op_has_what_the_suite_needs(void)
{
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (!computes(op))
            continue;
        GR_EXPECT(op->samples && op->samples[0].lo <= op->samples[0].hi, "%s has no samples", op->name);
        GR_EXPECT(op->doc && op->doc[0], "%s has no doc", op->name);
        GR_EXPECT(op->eval_f32 && op->eval_f64, "%s has no float32 or no float64 eval", op->name);
        GR_EXPECT(op->vjp || (op->traits & (GR_NO_GRADIENT | GR_FIRST_ORDER)),
            "%s has no gradient and does not say so", op->name);
        GR_EXPECT(op->n_in == -1 || op->n_in == 0 || op->in_names, "%s does not name its arguments", op->name);
        GR_EXPECT(!op->unit || (op->traits & GR_RANGED), "%s has units, but its eval is not ranged", op->name);
        GR_EXPECT(!(op->traits & GR_UNITS) || op->unit, "%s has no units", op->name);
        GR_EXPECT(op->n_out < 2 || !(op->traits & GR_RANGED) || (op->traits & GR_UNITS),
            "%s has a range, but what of its other results?", op->name);
    }
}

static void every_gradient_agrees_with_differences_to_second_order(void)
{
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (!computes(op) || op->n_in == 0)
            continue;
        gr_status s = gr__gradcheck_op_samples(op);
        GR_EXPECT(s == GR_OK, "%s: %s", op->name, gr_error_message());
        gr_error_clear();
    }
}

enum { MOST = 16 };
typedef struct {
    gr_tape *tape;
    int n;
    gr_array *in[MOST];
    gr_tensor *y;
} trial;

static trial record(const gr_op *op, const gr_sample *s, gr_dtype real, const trial *like)
{
    trial t = {.tape = gr_tape_new(), .n = gr__sample_count(op, s), .y = GR_BAD};
    gr_tensor *in[MOST];
    if (like)
        for (int i = 0; i < t.n; i++) {
            t.in[i] = gr_array_copy(like->in[i]);
            if (gr_array_dtype(t.in[i]) == GR_F32)
                gr_array_cast(t.in[i], real);
        }
    else if (gr__sample_draw(op, s, real, 7, t.in) != GR_OK)
        return t;
    for (int i = 0; i < t.n; i++)
        in[i] = gr_constant(t.tape, t.in[i]);
    t.y = gr_apply_op(op, s->attr, t.n, in);
    return t;
}

static void drop(trial *t)
{
    for (int i = 0; i < t->n; i++)
        gr_array_free(t->in[i]);
    gr_tape_free(t->tape);
}

/* float32 of an op on the same numbers: a few units in the last place of the largest intermediate number. */
static bool agree(const gr_array *a, const gr_array *b, double tolerance, char *text, size_t size)
{
    snprintf(text, size, "shapes differ");
    bool good = gr_shape_equal(gr_array_shape(a), gr_array_shape(b));
    for (int64_t k = 0; good && k < gr_array_size(a); k++) {
        double x = gr_array_at(a, k), y = gr_array_at(b, k);
        good = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * fmax(1, fabs(y));
        snprintf(text, size, "[%lld]: float32 %.9g, float64 %.17g", (long long)k, x, y);
    }
    return good;
}

static void float32_agrees_with_float64_on_every_sample(void)
{
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (!computes(op) || op->n_in == 0 || !op->samples || (op->traits & GR_RANDOM))
            continue;
        int row = 0;
        for (const gr_sample *s = op->samples; s->lo <= s->hi; s++, row++) {
            trial single = record(op, s, GR_F32, NULL), wide = record(op, s, GR_F64, &single);
            for (int r = 0; r < gr_result_count(single.y); r++) {
                gr_array *a = gr_eval(gr_result(single.y, r)), *b = gr_eval(gr_result(wide.y, r));
                char text[200] = "";
                GR_EXPECT(a && b && agree(a, b, 4e-6, text, sizeof text), "%s, sample %d: %s %s", op->name, row, text,
                    gr_error_message());
                gr_array_free(a);
                gr_array_free(b);
            }
            GR_EXPECT(gr_result_count(single.y) > 0, "%s, sample %d: %s", op->name, row, gr_error_message());
            gr_error_clear();
            drop(&single);
            drop(&wide);
        }
    }
}

/* A GR_RANGED op computed in pieces gives what it gives at once. */
static gr_status in_pieces(const gr__node *n, const gr_buffer *in, gr_buffer *out, int64_t piece)
{
    int64_t from = 0, end = gr_shape_size(out->shape);
    do { /* once also where result 0 is empty: others may not be */
        gr_call c = {.op = n->op,
            .attr = n->attr,
            .n_in = n->n_in,
            .n_out = n->n_out,
            .in = in,
            .out = out,
            .begin = from,
            .end = from + piece < end ? from + piece : end};
        GR_TRY(gr__call_eval(n, &c));
    } while ((from += piece) < end);
    return GR_OK;
}

/* Pieces of `piece` elements, or units. */
static int64_t piece_of(const gr__node *n, const gr_buffer *in, const gr_buffer *out, int64_t piece)
{
    const gr_call c = {.op = n->op, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out};
    return n->op->traits & GR_UNITS ? piece * n->op->unit(&c) : piece;
}

static void ranged_ops_give_the_same_bits_in_pieces(void)
{
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (!computes(op) || op->n_in == 0 || !op->samples || !(op->traits & GR_RANGED))
            continue;
        for (const gr_sample *s = op->samples; s->lo <= s->hi; s++) {
            trial t = record(op, s, GR_F32, NULL);
            gr_array *whole[MOST] = {NULL}, *parts[MOST] = {NULL};
            gr_buffer in[MOST], out[MOST];
            bool good = gr_result_count(t.y) > 0;
            for (int k = 0; k < gr_result_count(t.y); k++) {
                gr_tensor *y = gr_result(t.y, k);
                whole[k] = gr_eval(y);
                parts[k] = gr_array_new(gr_dtype_of(y), gr_shape_of(y));
                out[k] = (gr_buffer){gr_dtype_of(y), gr_shape_of(y), parts[k] ? gr_array_data(parts[k]) : NULL};
                good = good && whole[k] && parts[k];
            }
            for (int k = 0; k < t.n; k++)
                in[k] = (gr_buffer){gr_array_dtype(t.in[k]), gr_array_shape(t.in[k]), gr_array_data(t.in[k])};
            if (GR_EXPECT(good, "%s: %s", op->name, gr_error_message()))
                for (int64_t piece = 1; piece < 9; piece += 3) {
                    for (int k = 0; k < gr_result_count(t.y); k++)
                        memset(out[k].data, 77, (size_t)gr_array_bytes(parts[k]));
                    good = in_pieces(t.y->node, in, out, piece_of(t.y->node, in, out, piece)) == GR_OK;
                    for (int k = 0; k < gr_result_count(t.y); k++)
                        GR_EXPECT(good && gr_array_equal(whole[k], parts[k]), "%s, result %d, pieces of %lld",
                            op->name, k, (long long)piece);
                }
            for (int k = 0; k < gr_result_count(t.y); k++) {
                gr_array_free(whole[k]);
                gr_array_free(parts[k]);
            }
            drop(&t);
        }
    }
}

static void every_op_passes_poison_on_quietly(void)
{
    for (int i = 0; gr_op_at(i); i++) {
        const gr_op *op = gr_op_at(i);
        if (!computes(op) || op->n_in == 0 || !op->samples)
            continue;
        trial t = record(op, op->samples, GR_F32, NULL);
        gr_tensor *in[MOST];
        for (int bad = 0; bad < t.n; bad++) {
            for (int k = 0; k < t.n; k++)
                in[k] = k == bad ? GR_BAD : gr_constant(t.tape, t.in[k]);
            GR_EXPECT(gr_apply_op(op, op->samples->attr, t.n, in) == GR_BAD && gr_error() == GR_OK, "%s: %s", op->name,
                gr_error_message());
        }
        drop(&t);
    }
}

GR_SUITE("all ops", GR_TEST(every_op_has_what_the_suite_needs),
    GR_TEST(every_gradient_agrees_with_differences_to_second_order),
    GR_TEST(float32_agrees_with_float64_on_every_sample), GR_TEST(ranged_ops_give_the_same_bits_in_pieces),
    GR_TEST(every_op_passes_poison_on_quietly))
