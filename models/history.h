/* models/history.h: what a fit went through, a list of values for each key, and its pictures. */
#ifndef GRAPE_MODELS_HISTORY_H
#define GRAPE_MODELS_HISTORY_H

#include "core/status.h"

GR_BEGIN

typedef struct gr_history gr_history;

GR_API void gr_history_free(gr_history *h);
/* Values of a key, one per epoch that had it; *n their number. NULL and an error that lists the keys if it is
 * unknown. */
GR_API const double *gr_history_get(const gr_history *h, const char *key, int *n);
GR_API int gr_history_key_count(const gr_history *h);
GR_API const char *gr_history_key(const gr_history *h, int i); /* in order of appearance */
GR_API int gr_history_epochs(const gr_history *h);             /* epochs run */
GR_API const int *gr_history_epoch_list(const gr_history *h);  /* their numbers, from 0 */
GR_API int gr_history_restored(
    const gr_history *h); /* epoch (from 1) whose weights came back; 0: the last ones stayed */
GR_API bool gr_history_stopped(const gr_history *h, const char **why); /* before the last epoch, by a callback */
/* Parameters of the fit. */
GR_API int gr_history_epochs_asked(const gr_history *h);
GR_API int64_t gr_history_steps(const gr_history *h);
/* Each batch's own loss, of the first batches (gr_fit's .step_losses). */
GR_API const float *gr_history_step_losses(const gr_history *h, int64_t *n);
/* Median of the time of a training step, in ms (callbacks not counted); first: from gr_fit's start to the end of
 * step 1. */
GR_API double gr_history_step_ms(const gr_history *h);
GR_API double gr_history_first_step_ms(const gr_history *h);

typedef struct {
    const char *key;   /* "val_loss" */
    const char *label; /* "Validation Loss"; default: the key */
    const char *mark;  /* "circle", "square", "triangle", "diamond", "cross", "none" */
} gr_curve;
#define GR_MAX_CURVES 8
typedef struct {
    const char *file;          /* .png .svg .pdf by its ending; .gp keeps the script only */
    double inches[2];          /* 8 x 6 */
    const char *title, *x, *y; /* "Model Loss", "Epoch", "Loss" */
    bool grid, no_legend;
    gr_curve curves[GR_MAX_CURVES + 1]; /* default: loss and val_loss, as far as they are there */
    bool show;                          /* opens a window where there is a display, else names the file */
} gr_history_plot_opts;
/* Draws curves over epochs with gnuplot. Without gnuplot the script stays beside `file`, a warning says how to render
 * it, and the call succeeds. An unknown key lists the known ones. */
GR_API gr_status gr_history_plot_at(gr_at at, const gr_history *h, const gr_history_plot_opts *opts);
#define gr_history_plot(h, ...) gr_history_plot_at(GR_HERE, (h), &(gr_history_plot_opts){.file = __VA_ARGS__})
/* The same curves in characters, for a terminal `columns` wide (0: 72). */
GR_API gr_status gr_history_print(const gr_history *h, FILE *f, int columns);

GR_END
#endif
