/* Compiled models against what Keras predicts: whole models with batch normalisation (predict.npz), as they are and
 * with it in the weights. */
#include "models/predictor.h"
#include "tests/fixture.h"

enum { WEIGHTS = 48, CASES = 4 };

/* The models of tests/fixtures/make/make_predict.py. */
static gr_model *dense(void)
{
    return gr_sequential(gr_Input(GR_SHAPE(20)), gr_Dense(16, .activation = "relu"), gr_BatchNormalization(),
        gr_Dropout(0.4), gr_Dense(8), gr_BatchNormalization(.no_center = true, .epsilon = 0.01), gr_Activation("relu"),
        gr_BatchNormalization(.no_scale = true), gr_Dense(4, .activation = "softmax"));
}
static gr_model *sequence(void)
{
    return gr_sequential(gr_Input(GR_SHAPE(5, 6)), gr_Dense(7, .activation = "tanh"), gr_BatchNormalization(),
        gr_Dense(3, .no_bias = true), gr_BatchNormalization(), gr_Flatten(), gr_BatchNormalization(), gr_Dense(4));
}
static gr_model *conv(void)
{
    return gr_sequential(gr_Input(GR_SHAPE(9, 10, 3)), gr_Conv2D(8, GR_SHAPE(3), .no_bias = true),
        gr_BatchNormalization(), gr_Activation("relu"), gr_MaxPooling2D(), gr_BatchNormalization(),
        gr_Conv2D(12, GR_SHAPE(3), .padding = "same", .activation = "relu"), gr_BatchNormalization(),
        gr_Conv2D(6, GR_SHAPE(2)), gr_BatchNormalization(), gr_Activation("relu"), gr_BatchNormalization(),
        gr_Flatten(), gr_Dense(5));
}
static gr_model *groups(void)
{
    return gr_sequential(gr_Input(GR_SHAPE(6, 7, 4)),
        gr_DepthwiseConv2D(GR_SHAPE(3), .depth_multiplier = 2, .padding = "same"), gr_BatchNormalization(),
        gr_Activation("relu"), gr_BatchNormalization(), gr_Conv2D(6, GR_SHAPE(3), .groups = 2), gr_BatchNormalization(),
        gr_Conv2DTranspose(4, GR_SHAPE(3), .strides = GR_SHAPE(2)), gr_BatchNormalization(),
        gr_GlobalAveragePooling2D(), gr_BatchNormalization(), gr_Dense(3));
}
static const struct {
    const char *name;
    gr_model *(*make)(void);
} models[CASES] = {{"dense", dense}, {"sequence", sequence}, {"conv", conv}, {"groups", groups}};

static void check(const fixture *f, int i, gr_model *m)
{
    const gr_array *w[WEIGHTS];
    char key[16];
    int n = 0;
    for (; n < WEIGHTS; n++) {
        snprintf(key, sizeof key, "w%d", n);
        if (!(w[n] = fixture_array(f, i, key)))
            break;
    }
    if (!GR_EXPECT(m && gr_model_set_weights(m, n, w) == GR_OK, "%s: %s", f->name[i], gr_error_message()))
        return;
    gr_array *x = fixture_array(f, i, "x"), *y = fixture_array(f, i, "y");
    const unsigned off[] = {0, GR_PASS_INEXACT};
    for (int k = 0; k < 2; k++)
        for (int64_t batch = 1; batch <= 16; batch += 5) {
            gr_predictor *p = gr_predictor_new(m, .max_batch = batch, .passes_off = off[k]);
            gr_array *got = gr_array_new(GR_F32, gr_array_shape(y));
            if (GR_EXPECT(p && gr_predictor_run(p, GR_LIST(x), GR_LIST(got)) == GR_OK, "%s: %s", f->name[i],
                    gr_error_message()))
                fixture_near(got, y, 3e-6, 1, f->name[i], k ? "as it is" : "folded");
            gr_array_free(got);
            gr_predictor_free(p);
        }
    gr_array *plain = gr_predict(m, GR_LIST(x));
    fixture_near(plain, y, 3e-6, 1, f->name[i], "gr_predict");
    gr_array_free(plain);
}

static void compiled_models_predict_what_keras_predicts(void)
{
    fixture f = fixture_open("predict.npz");
    GR_EXPECT(f.n == CASES, "predict.npz has %d cases", f.n);
    for (int i = 0; i < f.n && i < CASES; i++) {
        gr_model *m = models[i].make();
        GR_EXPECT(strcmp(f.name[i], models[i].name) == 0, "case %d is %s", i, f.name[i]);
        check(&f, i, m);
        gr_model_free(m);
        gr_error_clear();
    }
    fixture_close(&f);
}

GR_SUITE("compiled models against Keras", GR_TEST(compiled_models_predict_what_keras_predicts))
