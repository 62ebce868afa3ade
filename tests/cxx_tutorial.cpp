// The tutorial in C++17 on a few rows of made-up data: compiled with all warnings as errors, and run.
#include <grape.h>

static gr_model *robust_model()
{
    auto wide = gr_Dense_init(64), narrow = gr_Dense_init(32), out = gr_Dense_init(10);
    wide.activation = narrow.activation = "relu";
    out.activation = "softmax";
    gr_model *m = gr_sequential(gr_Input_init(GR_SHAPE(784)), wide, gr_BatchNormalization_init(), narrow,
        gr_BatchNormalization_init(), out);
    auto adam = gr_Adam_init();
    adam.clipnorm = 1;
    gr_compile_opts o{};
    o.optimizer = &adam.base;
    o.loss = "categorical_crossentropy";
    o.metrics[0] = "accuracy";
    gr_compile(m, o);
    return m;
}

int main()
{
    gr_set_seed(1234);
    gr_dataset d = gr_drawn_digits(1234, 600, 100);
    gr_array_reshape(d.x_train, GR_SHAPE(-1, 784));
    gr_array_cast(d.x_train, GR_F32);
    gr_array_scale(d.x_train, 1.0 / 255);
    gr_array_one_hot(d.y_train, 10);
    gr_model *m = robust_model();
    auto stop = gr_EarlyStopping_init();
    stop.patience = 3;
    stop.restore_best_weights = true;
    auto plateau = gr_ReduceLROnPlateau_init();
    plateau.patience = 2;
    gr_fit_opts o{};
    o.data = gr_xy(GR_LIST(d.x_train), GR_LIST(d.y_train));
    o.epochs = 3;
    o.batch_size = 64;
    o.validation_split = 0.1f;
    o.verbose = GR_VERBOSE_SILENT;
    o.callbacks[0] = &stop.base;
    o.callbacks[1] = &plateau.base;
    gr_history *h = gr_fit(m, o);
    int n = 0;
    const double *loss = h ? gr_history_get(h, "loss", &n) : nullptr;
    bool learned = n == 3 && loss[2] < loss[0];

    // predictions of all digits and of one alone
    gr_predictor *p = gr_predictor_new(m);
    gr_array *all = gr_predict(m, GR_LIST(d.x_train));
    float scores[10] = {};
    const void *image[] = {gr_array_data(d.x_train)};
    void *result[] = {scores};
    bool served = all && gr_predictor_run_rows(p, 1, image, result) == GR_OK;
    for (int i = 0; served && i < 10; i++)
        served = scores[i] - gr_array_at(all, i) < 1e-5 && gr_array_at(all, i) - scores[i] < 1e-5;
    gr_predictor_free(p);
    gr_array_free(all);

    // a mistake is reported with its line here
    gr_tape *t = gr_tape_new();
    gr_tensor *x = gr_input(t, GR_F32, GR_SHAPE(2, 3), "x");
    gr_tensor *bad = gr_sum(gr_relu(x), GR_SHAPE(5));
    bool located = bad == GR_BAD && gr_error() == GR_ESHAPE;
    gr_error_clear();
    gr_tape_free(t);
    gr_history_free(h);
    gr_model_free(m);
    gr_dataset_free(&d);
    return learned && served && located ? gr_report(stderr) : 1;
}
