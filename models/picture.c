/* models/picture.c: the graph of a model as a picture; core/dot.h draws it. See model.h. */
#include "core/dot.h"
#include "models/model_impl.h"
#include <string.h>

gr_status gr_model_plot(const gr_model *m, const char *file)
{
    GR_CHECK(m && file, GR_EARG, "model_plot: expected a model and a file name, found NULL");
    gr_tape *t = gr_tape_new();
    gr_tensor *in[GR_MAX_PORTS], *out[GR_MAX_PORTS];
    gr_build b;
    if (!t)
        return GR_EMEM;
    gr__model_inputs(m, t, in);
    gr__build_begin(&b, t, (gr__store *)&m->store, false); /* all weights are there: the trace makes none */
    gr_status s = gr__build_call(&b, m->layer, m->n_inputs, in, m->n_outputs, out);
    gr__build_end(&b);
    if (s == GR_OK)
        s = gr_tape_dot(t, file, .title = m->name);
    gr_tape_free(t);
    return s;
}
