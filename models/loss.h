/* models/loss.h: losses and metrics, as specs.
 *
 * A loss gives one value per sample; they are multiplied by sample weights and reduced as Keras does. A metric gives
 * one value per sample too; what is reported is the mean over the epoch. Every metric states its direction. */
#ifndef GRAPE_MODELS_LOSS_H
#define GRAPE_MODELS_LOSS_H

#include "models/layer.h"

GR_BEGIN

typedef struct gr_loss_kind {
    GR_KIND_BASE
    /* Per-sample values [B, ...] of labels y and predictions p; the last axis is reduced already. */
    gr_tensor *(*call)(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p);
} gr_loss_kind;
typedef struct gr_loss {
    const gr_loss_kind *kind;
    gr_at at;
} gr_loss;

typedef enum { GR_DIRECTION_NONE = 0, GR_DIRECTION_UP, GR_DIRECTION_DOWN } gr_direction;
typedef struct gr_metric_kind {
    GR_KIND_BASE
    gr_tensor *(*call)(gr_build *b, const void *spec, gr_tensor *y, gr_tensor *p);
    gr_direction direction; /* is more better? EarlyStopping and its like ask */
} gr_metric_kind;
typedef struct gr_metric {
    const gr_metric_kind *kind;
    gr_at at;
} gr_metric;

typedef struct {
    gr_loss base;
    bool from_logits;       /* p are logits; known without asking if the model ends in a softmax or sigmoid layer */
    double label_smoothing; /* 0 .. 1 */
} gr_CategoricalCrossentropy_spec;
typedef gr_CategoricalCrossentropy_spec gr_BinaryCrossentropy_spec;
typedef struct {
    gr_loss base;
    bool from_logits;
} gr_SparseCategoricalCrossentropy_spec;
typedef struct {
    gr_loss base;
} gr_MeanSquaredError_spec;
typedef gr_MeanSquaredError_spec gr_MeanAbsoluteError_spec;
typedef struct {
    gr_loss base;
    double delta; /* 1 */
} gr_Huber_spec;
extern GR_API const gr_loss_kind gr_CategoricalCrossentropy_kind, gr_SparseCategoricalCrossentropy_kind,
    gr_BinaryCrossentropy_kind, gr_MeanSquaredError_kind, gr_MeanAbsoluteError_kind, gr_Huber_kind;
#define gr_CategoricalCrossentropy(...)       GR_SPEC(gr_CategoricalCrossentropy, __VA_ARGS__)
#define gr_SparseCategoricalCrossentropy(...) GR_SPEC(gr_SparseCategoricalCrossentropy, __VA_ARGS__)
#define gr_BinaryCrossentropy(...)            GR_SPEC(gr_BinaryCrossentropy, __VA_ARGS__)
#define gr_MeanSquaredError(...)              GR_SPEC(gr_MeanSquaredError, __VA_ARGS__)
#define gr_MeanAbsoluteError(...)             GR_SPEC(gr_MeanAbsoluteError, __VA_ARGS__)
#define gr_Huber(...)                         GR_SPEC(gr_Huber, __VA_ARGS__)

/* "accuracy" picks one of the three by the shapes, Keras's rule; p > threshold is 1 (binary). First index wins ties. */
typedef struct {
    gr_metric base;
} gr_CategoricalAccuracy_spec;
typedef gr_CategoricalAccuracy_spec gr_SparseCategoricalAccuracy_spec, gr_Accuracy_spec;
typedef struct {
    gr_metric base;
    double threshold;   /* 0.5 */
    bool has_threshold; /* for 0: logits */
} gr_BinaryAccuracy_spec;
extern GR_API const gr_metric_kind gr_Accuracy_kind, gr_CategoricalAccuracy_kind, gr_SparseCategoricalAccuracy_kind,
    gr_BinaryAccuracy_kind;
#define gr_Accuracy(...)                  GR_SPEC(gr_Accuracy, __VA_ARGS__)
#define gr_CategoricalAccuracy(...)       GR_SPEC(gr_CategoricalAccuracy, __VA_ARGS__)
#define gr_SparseCategoricalAccuracy(...) GR_SPEC(gr_SparseCategoricalAccuracy, __VA_ARGS__)
#define gr_BinaryAccuracy(...)            GR_SPEC(gr_BinaryAccuracy, __VA_ARGS__)

/* ---- inside the library ------------------------------------------------------------------------------------------ */

extern const gr_kind_entry gr__losses[], gr__metrics[];
/* A spec of either family from its name; a metric may name a loss ("mse"). Freed with gr_spec_free. */
gr_loss *gr__loss_named(const char *name, gr_at at);
/* Per-sample values of a metric that is a metric's or a loss's spec. */
gr_tensor *gr__metric_call(gr_build *b, const gr_spec *spec, gr_tensor *y, gr_tensor *p);
gr_direction gr__metric_direction(const gr_spec *spec);
/* sum(v * w) / count(v), rank 0: Keras's sum_over_batch_size. w may be NULL. */
gr_tensor *gr__loss_reduce(gr_tensor *v, gr_tensor *weight);

GR_END
#endif
