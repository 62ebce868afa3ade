/* callbacks/monitor_impl.h: what callbacks that watch one value share: direction, best so far, improvement. */
#ifndef GRAPE_CALLBACKS_MONITOR_IMPL_H
#define GRAPE_CALLBACKS_MONITOR_IMPL_H

#include "callbacks/callbacks.h"

/* The monitored value in *value; false, with a warning in the words of `who`, if the logs have none. */
bool gr__monitor_value(gr_run *run, const char *who, const char *monitor, double *value);
/* +1: more is better, -1: less is. An error if auto mode does not know. */
gr_status gr__monitor_sign(const gr_run *run, const gr_spec *spec, const char *monitor, gr_mode mode, int *sign);
/* Is `value` better than `best` by more than |min_delta|? */
bool gr__improves(double value, double best, int sign, double min_delta, bool keras_nan);

#endif
