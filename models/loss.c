/* models/loss.c: losses and metrics; the formulas are ops (ops/loss_ops.h), here is what y and p may look like, and
 * which of them are logits. See loss.h. */
#include "models/loss.h"
#include "core/mem.h"
#include "models/build_impl.h"
#include "ops/ops.h"
#include <string.h>

/* Logits of p: p itself if the option says so, or what went into the softmax or sigmoid layer that made p. */
static gr_tensor *logits_of(const gr_build *b, bool from_logits, const char *activation, gr_tensor *p)
{
    const char *found = NULL;
    if (from_logits)
        return p;
    gr_tensor *logits = gr__build_logits(b, p, &found);
    return logits && strcmp(found, activation) == 0 ? logits : NULL;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

static gr_tensor *categorical(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    const gr_CategoricalCrossentropy_spec *s = spec;
    gr_tensor *z = logits_of(b, s->from_logits, "softmax", p);
    return gr_categorical_crossentropy(y, z ? z : p, .from_logits = z != NULL, .label_smoothing = s->label_smoothing);
}

static gr_tensor *sparse_categorical(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    const gr_SparseCategoricalCrossentropy_spec *s = spec;
    gr_tensor *z = logits_of(b, s->from_logits, "softmax", p);
    return gr_sparse_categorical_crossentropy(y, z ? z : p, .from_logits = z != NULL);
}

static gr_tensor *binary(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    const gr_BinaryCrossentropy_spec *s = spec;
    gr_tensor *z = logits_of(b, s->from_logits, "sigmoid", p);
    return gr_binary_crossentropy(y, z ? z : p, .from_logits = z != NULL, .label_smoothing = s->label_smoothing);
}

static gr_tensor *squared(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b, (void)spec;
    return gr_mean_squared_error(y, p);
}
static gr_tensor *absolute(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b, (void)spec;
    return gr_mean_absolute_error(y, p);
}
static gr_tensor *huber(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b;
    return gr_huber(y, p, .delta = ((const gr_Huber_spec *)spec)->delta);
}

static const gr_field categorical_fields[] = {GR_BOOL(gr_CategoricalCrossentropy_spec, from_logits),
    GR_DOUBLE(gr_CategoricalCrossentropy_spec, label_smoothing, .has_min = true, .max = 1), {0}};
static const gr_field sparse_fields[] = {GR_BOOL(gr_SparseCategoricalCrossentropy_spec, from_logits), {0}};
static const gr_field huber_fields[] = {
    GR_DOUBLE(gr_Huber_spec, delta, .def = 1, .has_min = true, .above_min = true), {0}};

#define LOSS(id, f, table)                                                                                             \
    const gr_loss_kind gr_##id##_kind = {                                                                              \
        .name = #id, .size = sizeof(gr_##id##_spec), .fields = table, .family = "loss", .call = f}
LOSS(CategoricalCrossentropy, categorical, categorical_fields);
LOSS(SparseCategoricalCrossentropy, sparse_categorical, sparse_fields);
LOSS(BinaryCrossentropy, binary, categorical_fields);
LOSS(MeanSquaredError, squared, NULL);
LOSS(MeanAbsoluteError, absolute, NULL);
LOSS(Huber, huber, huber_fields);

#define LOSS_ENTRIES                                                                                                   \
    {&gr_CategoricalCrossentropy_kind.kind, NULL}, {&gr_SparseCategoricalCrossentropy_kind.kind, NULL},                \
        {&gr_BinaryCrossentropy_kind.kind, "bce"}, {&gr_MeanSquaredError_kind.kind, "mse"},                            \
        {&gr_MeanAbsoluteError_kind.kind, "mae"},                                                                      \
    {                                                                                                                  \
        &gr_Huber_kind.kind, NULL                                                                                      \
    }
const gr_kind_entry gr__losses[] = {LOSS_ENTRIES, {NULL, NULL}};

gr_loss *gr__loss_named(const char *name, gr_at at)
{
    return gr_spec_parse(name, gr__losses, "loss", at);
}

gr_tensor *gr__loss_reduce(gr_tensor *v, gr_tensor *weight)
{
    if (!weight || gr_status_of(v) != GR_OK)
        return gr_mean(v);
    gr_shape wide = {.rank = gr_rank(v)}; /* a weight a sample, for all of its values */
    for (int64_t i = 0; i < wide.rank; i++)
        wide.dim[i] = i == 0 ? gr_shape_of(weight).dim[0] : 1;
    return gr_mean(gr_mul(v, gr_reshape(weight, wide)));
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

static gr_tensor *to_dtype(gr_tensor *x, gr_dtype dtype)
{
    return gr_dtype_of(x) == dtype ? x : gr_cast(x, dtype);
}

static gr_tensor *mismatch(const gr_spec *s, gr_tensor *y, gr_tensor *p, const char *expected)
{
    char text[200];
    return gr_op_fail(s->at, GR_ESHAPE, s->kind->name, "y", 2, (gr_tensor *[]){y, p}, "expected %s, found %s", expected,
        gr_type_text(gr_dtype_of(y), gr_shape_of(y), text, sizeof text));
}

/* Labels in p's dtype and shape: [n] goes with [n, 1] and the other way round; anything else is an error, not a
 * broadcast. */
static gr_tensor *like_predictions(const gr_spec *s, gr_tensor *y, gr_tensor *p)
{
    char text[200];
    if (gr_status_of(y) != GR_OK || gr_status_of(p) != GR_OK)
        return GR_BAD;
    gr_shape a = gr_shape_of(y), b = gr_shape_of(p);
    bool longer = a.rank == b.rank + 1 && a.dim[a.rank - 1] == 1,
         shorter = b.rank == a.rank + 1 && b.dim[b.rank - 1] == 1;
    if (longer || shorter)
        y = gr_reshape_like(y, p);
    if (!gr_shape_equal(gr_shape_of(y), b))
        return mismatch(s, y, p, gr_shape_text(b, text, sizeof text));
    return to_dtype(y, gr_dtype_of(p));
}

/* Integer labels [n], [n, 1] or floats that hold integers -> int64 [n] for predictions [n, classes]. */
static gr_tensor *class_labels(const gr_spec *s, gr_tensor *y, gr_tensor *p)
{
    if (gr_status_of(y) != GR_OK || gr_status_of(p) != GR_OK)
        return GR_BAD;
    gr_shape a = gr_shape_of(y), want = gr_shape_of(p);
    want.rank = want.rank > 0 ? want.rank - 1 : 0;
    if (a.rank == want.rank + 1 && a.dim[want.rank] == 1)
        y = gr_squeeze(y, GR_SHAPE(-1));
    bool fits = gr_rank(p) > 0 && gr_shape_equal(gr_shape_of(y), want);
    return fits ? to_dtype(y, GR_I64) : mismatch(s, y, p, "a label for each row of predictions");
}

static gr_tensor *categorical_accuracy(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b;
    y = like_predictions(spec, y, p);
    return gr_cast(gr_equal(gr_argmax(y, .axes = GR_SHAPE(-1)), gr_argmax(p, .axes = GR_SHAPE(-1))), gr_dtype_of(p));
}

static gr_tensor *sparse_accuracy(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b;
    y = class_labels(spec, y, p);
    return gr_cast(gr_equal(y, gr_argmax(p, .axes = GR_SHAPE(-1))), gr_dtype_of(p));
}

/* Is p > threshold what y says? A mean over the last axis. */
static gr_tensor *threshold_accuracy(const gr_spec *spec, gr_tensor *y, gr_tensor *p, double threshold)
{
    y = like_predictions(spec, y, p);
    gr_tensor *yes = gr_cast(gr_greater(p, gr_scalar(p, threshold)), gr_dtype_of(p));
    return gr_mean(gr_cast(gr_equal(y, yes), gr_dtype_of(p)), .axes = GR_SHAPE(-1));
}
static gr_tensor *binary_accuracy(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    (void)b;
    return threshold_accuracy(spec, y, p, ((const gr_BinaryAccuracy_spec *)spec)->threshold);
}

/* Keras's rule for "accuracy": one output: binary; labels of a lower rank or of one column: sparse; else
 * categorical. */
static gr_tensor *accuracy(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p)
{
    if (gr_status_of(y) != GR_OK || gr_status_of(p) != GR_OK || gr_rank(p) < 1)
        return GR_BAD;
    if (gr_dim(p, -1) == 1)
        return threshold_accuracy(spec, y, p, 0.5);
    if (gr_rank(y) < gr_rank(p) || gr_dim(y, -1) == 1)
        return sparse_accuracy(b, spec, y, p);
    return categorical_accuracy(b, spec, y, p);
}

static const gr_field binary_fields[] = {
    GR_DOUBLE(gr_BinaryAccuracy_spec, threshold, .def = 0.5, .flag = GR_FLAG(gr_BinaryAccuracy_spec, has_threshold)),
    {0}};
#define METRIC(id, f, table)                                                                                           \
    const gr_metric_kind gr_##id##_kind = {.name = #id,                                                                \
        .size = sizeof(gr_##id##_spec),                                                                                \
        .fields = table,                                                                                               \
        .family = "metric",                                                                                            \
        .call = f,                                                                                                     \
        .direction = GR_DIRECTION_UP}
METRIC(Accuracy, accuracy, NULL);
METRIC(CategoricalAccuracy, categorical_accuracy, NULL);
METRIC(SparseCategoricalAccuracy, sparse_accuracy, NULL);
METRIC(BinaryAccuracy, binary_accuracy, binary_fields);

/* A loss may stand where a metric is asked for by name. */
const gr_kind_entry gr__metrics[] = {{&gr_Accuracy_kind.kind, "acc"}, {&gr_CategoricalAccuracy_kind.kind, NULL},
    {&gr_SparseCategoricalAccuracy_kind.kind, NULL}, {&gr_BinaryAccuracy_kind.kind, NULL}, LOSS_ENTRIES, {NULL, NULL}};

static bool is_loss(const gr_spec *s)
{
    return strcmp(s->kind->family, "loss") == 0;
}

gr_tensor *gr__metric_call(gr_build *b, const gr_spec *spec, gr_tensor *y, gr_tensor *p)
{
    return is_loss(spec) ? ((const gr_loss *)spec)->kind->call(b, spec, y, p)
                         : ((const gr_metric *)spec)->kind->call(b, spec, y, p);
}

gr_direction gr__metric_direction(const gr_spec *spec)
{
    return is_loss(spec) ? GR_DIRECTION_DOWN : ((const gr_metric *)spec)->kind->direction;
}
