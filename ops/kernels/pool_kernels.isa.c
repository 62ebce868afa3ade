/* Pooling, compiled once per instruction set. Everything is in pool_impl.h. */
#define POOL_BUILD(type)                                                                          \
    void GR_ISA_NAME(gr__pool_max_##type)(const gr__pool *c, const gr__pool_part *p)              \
    {                                                                                             \
        pool_each_##type(c, p, MAX_##type);                                                       \
    }                                                                                             \
    void GR_ISA_NAME(gr__pool_avg_##type)(const gr__pool *c, const gr__pool_part *p)              \
    {                                                                                             \
        pool_each_##type(c, p, AVG_##type);                                                       \
    }                                                                                             \
    void GR_ISA_NAME(gr__pool_pick_##type)(const gr__pool *c, const gr__pool_part *p)             \
    {                                                                                             \
        pool_each_##type(c, p, PICK_##type);                                                      \
    }                                                                                             \
    void GR_ISA_NAME(gr__pool_max_grad_##type)(const gr__pool *c, const gr__pool_part *p)         \
    {                                                                                             \
        pool_back_##type(c, p);                                                                   \
    }                                                                                             \
    void GR_ISA_NAME(gr__pool_avg_grad_##type)(const gr__pool *c, const gr__pool_part *p)         \
    {                                                                                             \
        pool_back_##type(c, p);                                                                   \
    }

#define T       float
#define NAME(x) x##_f32
#include "ops/kernels/pool_impl.h"
POOL_BUILD(f32)

#undef T
#undef NAME
#define T       double
#define NAME(x) x##_f64
#include "ops/kernels/pool_impl.h"
POOL_BUILD(f64)
