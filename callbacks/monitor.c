/* callbacks/monitor.c: see monitor_impl.h. */
#include "callbacks/monitor_impl.h"
#include <math.h>
#include <string.h>

bool gr__monitor_value(gr_run *run, const char *who, const char *monitor, double *value)
{
    if (gr_run_has_log(run, monitor)) {
        *value = gr_run_log(run, monitor);
        return true;
    }
    char known[512] = "";
    for (int i = 0; i < gr_run_log_count(run); i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", gr_run_log_key(run, i));
    }
    gr_log_write(GR_LOG_WARNING, "%s: the logs have no '%s' to monitor, only: %s", who, monitor, known);
    return false;
}

gr_status gr__monitor_sign(const gr_run *run, const gr_spec *spec, const char *monitor, gr_mode mode, int *sign)
{
    gr_direction d = mode == GR_MODE_AUTO  ? gr_run_direction(run, monitor)
                     : mode == GR_MODE_MAX ? GR_DIRECTION_UP
                                           : GR_DIRECTION_DOWN;
    char known[512];
    if (d == GR_DIRECTION_NONE)
        return gr_fail(GR_EARG, spec->at,
            "%s: argument mode: expected GR_MODE_MIN or GR_MODE_MAX, since the direction of '%s' is not known; it is "
            "of "
            "%s",
            spec->kind->name, monitor, gr_run_directed(run, known, sizeof known));
    *sign = d == GR_DIRECTION_UP ? 1 : -1;
    return GR_OK;
}

bool gr__improves(double value, double best, int sign, double min_delta, bool keras_nan)
{
    if (!keras_nan && isnan(best))
        return !isnan(value);
    double d = fabs(min_delta);
    return sign > 0 ? value - d > best : value + d < best;
}
