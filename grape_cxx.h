/* grape_cxx.h: the same calls for C++17, which has no compound literals: specs come from gr_Dense_init(units) and the
 * like, options are structs that are filled in, and the caller's line is a default argument. Included by grape.h.
 *
 *     auto hidden = gr_Dense_init(128);
 *     hidden.activation = "relu";
 *     gr_model *m = gr_sequential(gr_Input_init(GR_SHAPE(784)), hidden, gr_Dense_init(10));  */
#ifndef GRAPE_CXX_H
#define GRAPE_CXX_H

#define GR_AT_DEFAULT const char *file = __builtin_FILE(), int line = __builtin_LINE()

/* ---- values ------------------------------------------------------------------------------------------------------ */

#undef GR_SHAPE
#undef GR_RANK0
#undef GR_LIST
template <class... D> inline gr_shape GR_SHAPE(D... d)
{
    return gr_shape{(int64_t)sizeof...(d), {(int64_t)d...}};
}
#define GR_RANK0 (gr_shape{0, {0}})
template <class... A> inline gr_list GR_LIST(A *...a)
{
    return gr_list{(int64_t)sizeof...(a), {a...}};
}
#undef gr_xy
inline gr_data gr_xy(gr_list x, gr_list y, gr_array *sample_weight = nullptr)
{
    return gr_data{x, y, sample_weight};
}

/* ---- specs ------------------------------------------------------------------------------------------------------- */

#define GR_CXX_SPEC(k)                                                                                                 \
    inline k##_spec k##_init(GR_AT_DEFAULT)                                                                            \
    {                                                                                                                  \
        k##_spec s{};                                                                                                  \
        s.base.kind = &k##_kind;                                                                                       \
        s.base.at = gr_at{file, line};                                                                                 \
        return s;                                                                                                      \
    }
#define GR_CXX_SPEC1(k, type, field)                                                                                   \
    inline k##_spec k##_init(type field, GR_AT_DEFAULT)                                                                \
    {                                                                                                                  \
        k##_spec s{};                                                                                                  \
        s.base.kind = &k##_kind;                                                                                       \
        s.base.at = gr_at{file, line};                                                                                 \
        s.field = field;                                                                                               \
        return s;                                                                                                      \
    }
GR_CXX_SPEC1(gr_Input, gr_shape, shape)
GR_CXX_SPEC1(gr_Dense, int, units)
GR_CXX_SPEC1(gr_Activation, const char *, activation)
GR_CXX_SPEC(gr_BatchNormalization)
GR_CXX_SPEC(gr_LayerNormalization)
GR_CXX_SPEC1(gr_Dropout, double, rate)
GR_CXX_SPEC(gr_Flatten)
GR_CXX_SPEC1(gr_Reshape, gr_shape, target_shape)
GR_CXX_SPEC1(gr_Rescaling, double, scale)
GR_CXX_SPEC1(gr_Permute, gr_shape, dims)
GR_CXX_SPEC1(gr_RepeatVector, int, n)
GR_CXX_SPEC1(gr_Conv1D, int, filters)
GR_CXX_SPEC1(gr_Conv2D, int, filters)
GR_CXX_SPEC1(gr_DepthwiseConv1D, gr_shape, kernel_size)
GR_CXX_SPEC1(gr_DepthwiseConv2D, gr_shape, kernel_size)
GR_CXX_SPEC1(gr_SeparableConv1D, int, filters)
GR_CXX_SPEC1(gr_SeparableConv2D, int, filters)
GR_CXX_SPEC1(gr_Conv1DTranspose, int, filters)
GR_CXX_SPEC1(gr_Conv2DTranspose, int, filters)
GR_CXX_SPEC(gr_MaxPooling1D)
GR_CXX_SPEC(gr_MaxPooling2D)
GR_CXX_SPEC1(gr_AveragePooling1D, gr_shape, pool_size)
GR_CXX_SPEC1(gr_AveragePooling2D, gr_shape, pool_size)
GR_CXX_SPEC(gr_GlobalMaxPooling1D)
GR_CXX_SPEC(gr_GlobalMaxPooling2D)
GR_CXX_SPEC(gr_GlobalAveragePooling1D)
GR_CXX_SPEC(gr_GlobalAveragePooling2D)
GR_CXX_SPEC(gr_ZeroPadding2D)
GR_CXX_SPEC(gr_Cropping2D)
GR_CXX_SPEC(gr_UpSampling2D)
GR_CXX_SPEC1(gr_Embedding, int, input_dim)
GR_CXX_SPEC1(gr_MultiHeadAttention, int, num_heads)
GR_CXX_SPEC(gr_ReLU)
GR_CXX_SPEC(gr_LeakyReLU)
GR_CXX_SPEC(gr_ELU)
GR_CXX_SPEC(gr_Softmax)
GR_CXX_SPEC(gr_Add)
GR_CXX_SPEC(gr_Multiply)
GR_CXX_SPEC(gr_Subtract)
GR_CXX_SPEC(gr_Average)
GR_CXX_SPEC(gr_Maximum)
GR_CXX_SPEC(gr_Minimum)
GR_CXX_SPEC(gr_Concatenate)
GR_CXX_SPEC(gr_SGD)
GR_CXX_SPEC(gr_Adam)
GR_CXX_SPEC(gr_RMSprop)
GR_CXX_SPEC(gr_EarlyStopping)
GR_CXX_SPEC(gr_ReduceLROnPlateau)
GR_CXX_SPEC1(gr_Huber, double, delta)
inline gr_Adam_spec gr_AdamW_init(GR_AT_DEFAULT)
{
    gr_Adam_spec s{};
    s.base.kind = &gr_AdamW_kind;
    s.base.at = gr_at{file, line};
    return s;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

#undef gr_sequential
template <class... L> inline gr_model *gr_sequential(const L &...layers)
{
    const gr_layer *const list[] = {&layers.base..., nullptr};
    return gr_sequential_at(list[0]->at, list);
}
#undef gr_compile
inline gr_status gr_compile(gr_model *m, const gr_compile_opts &opts, GR_AT_DEFAULT)
{
    return gr_compile_at(gr_at{file, line}, m, &opts);
}
#undef gr_fit
inline gr_history *gr_fit(gr_model *m, const gr_fit_opts &opts, GR_AT_DEFAULT)
{
    return gr_fit_at(gr_at{file, line}, m, &opts);
}
#undef gr_evaluate
inline gr_scores gr_evaluate(gr_model *m, gr_data data, int64_t batch_size = 32, GR_AT_DEFAULT)
{
    gr_evaluate_opts o{};
    o.data = data;
    o.batch_size = batch_size;
    return gr_evaluate_at(gr_at{file, line}, m, &o);
}
#undef gr_predict
inline gr_array *gr_predict(gr_model *m, gr_list x, int64_t batch_size = 32, GR_AT_DEFAULT)
{
    gr_predict_opts o{};
    o.x = x;
    o.batch_size = batch_size;
    return gr_predict_at(gr_at{file, line}, m, &o);
}
#undef gr_predictor_new
inline gr_predictor *gr_predictor_new(gr_model *m, gr_predictor_opts opts = {}, GR_AT_DEFAULT)
{
    opts.model = m;
    return gr_predictor_new_at(gr_at{file, line}, &opts);
}
#undef gr_history_plot
inline gr_status gr_history_plot(const gr_history *h, const gr_history_plot_opts &opts, GR_AT_DEFAULT)
{
    return gr_history_plot_at(gr_at{file, line}, h, &opts);
}
#undef gr_weight
inline gr_tensor *gr_weight(gr_build *b, const char *name, gr_shape shape, const char *init = nullptr, GR_AT_DEFAULT)
{
    gr_weight_opts o{};
    o.name = name;
    o.shape = shape;
    o.init = init;
    return gr_weight_at(gr_at{file, line}, b, &o);
}

/* ---- ops with options -------------------------------------------------------------------------------------------- */

#define GR_CXX_REDUCTION(f)                                                                                            \
    inline gr_tensor *gr_##f(gr_tensor *x, gr_shape axes, bool keepdims = false, GR_AT_DEFAULT)                        \
    {                                                                                                                  \
        gr_reduce_args a{x, axes, keepdims};                                                                           \
        return gr_##f##_at(gr_at{file, line}, &a);                                                                     \
    }
#undef gr_sum
#undef gr_mean
#undef gr_max
#undef gr_min
#undef gr_var
#undef gr_argmax
#undef gr_logsumexp
GR_CXX_REDUCTION(sum)
GR_CXX_REDUCTION(mean)
GR_CXX_REDUCTION(max)
GR_CXX_REDUCTION(min)
GR_CXX_REDUCTION(var)
GR_CXX_REDUCTION(argmax)
GR_CXX_REDUCTION(logsumexp)
#undef gr_softmax
#undef gr_log_softmax
#undef gr_conv
#undef gr_depthwise_conv
#undef gr_conv_transpose
#undef gr_max_pool
#undef gr_average_pool
#undef gr_merge

#endif
