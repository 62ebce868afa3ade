/* callbacks/callbacks.h: the callbacks, as specs; semantics and defaults are Keras's. They see a run through
 * models/run.h alone. One file each beside this one; early_stopping.c is the one to copy. */
#ifndef GRAPE_CALLBACKS_CALLBACKS_H
#define GRAPE_CALLBACKS_CALLBACKS_H

#include "models/run.h"

GR_BEGIN

/* Which way a monitor improves. Auto: from the metric's own direction; an error where it has none. */
typedef enum { GR_MODE_AUTO = 0, GR_MODE_MIN, GR_MODE_MAX } gr_mode;

/* Stops when the monitor has not improved by more than min_delta for `patience` epochs (0 behaves as 1).
 *   options  monitor ("val_loss"), min_delta (0), patience (0), mode, baseline (with has_baseline),
 * restore_best_weights, start_from_epoch (0), verbose NaN is never an improvement, and any number improves on NaN
 * (Keras: a first NaN stays the best; .keras_nan does that) A missing monitor is a warning that lists the known
 * ones. */
typedef struct {
    gr_callback base;
    const char *monitor;
    double min_delta;
    int patience;
    gr_mode mode;
    double baseline;
    bool has_baseline;
    bool restore_best_weights;
    int start_from_epoch;
    bool verbose;
    bool keras_nan;
} gr_EarlyStopping_spec;
extern GR_API const gr_callback_kind gr_EarlyStopping_kind;
#define gr_EarlyStopping(...) GR_SPEC(gr_EarlyStopping, __VA_ARGS__)

/* Multiplies the learning rate by `factor` when the monitor has not improved for `patience` epochs; adds learning_rate,
 * the rate used in the epoch, to the logs. options  monitor ("val_loss"), factor (0.1; below 1), patience (10;
 * .has_patience for 0), mode, min_delta (1e-4; .has_min_delta for 0), cooldown (0; 1 is the same as 0, as in Keras),
 * min_lr (0), verbose */
typedef struct {
    gr_callback base;
    const char *monitor;
    double factor;
    int patience;
    bool has_patience;
    gr_mode mode;
    double min_delta;
    bool has_min_delta;
    int cooldown;
    double min_lr;
    bool verbose;
    bool keras_nan;
} gr_ReduceLROnPlateau_spec;
extern GR_API const gr_callback_kind gr_ReduceLROnPlateau_kind;
#define gr_ReduceLROnPlateau(...) GR_SPEC(gr_ReduceLROnPlateau, __VA_ARGS__)

/* All callback kinds by name; ended by {NULL}. */
extern const gr_kind_entry gr__callbacks[];

GR_END
#endif
