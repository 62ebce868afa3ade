/* core/kind.h: kinds and their field tables.
 *
 * A spec is a plain struct on the caller's stack; its kind says what it is. The kind's field table (name, type, offset,
 * default, range) is all that copying, defaults, checking, text, JSON and "unknown option, known ones are ..." need.
 * Op attributes use the same tables (core/op.h). Zero means "the default": allowed only where 0 itself is meaningless;
 * else the field has a presence flag, or its name says how it departs (`no_bias`). */
#ifndef GRAPE_CORE_KIND_H
#define GRAPE_CORE_KIND_H

#include "core/array.h"

GR_BEGIN

typedef enum {
    GR_FIELD_END = 0,
    GR_FIELD_INT,    /* int */
    GR_FIELD_INT64,  /* int64_t */
    GR_FIELD_FLOAT,  /* float */
    GR_FIELD_DOUBLE, /* double */
    GR_FIELD_BOOL,   /* bool */
    GR_FIELD_STRING, /* const char * */
    GR_FIELD_SHAPE,  /* gr_shape, also a list of int64_t */
    GR_FIELD_DTYPE,  /* gr_dtype */
    GR_FIELD_ENUM,   /* int, named by .choices; 0 is the default */
    GR_FIELD_SPEC,   /* const gr_spec *: a spec of any family */
    GR_FIELD_POINTER, /* a function or an object, borrowed; no text form */
} gr_field_type;

typedef struct gr_field {
    const char *name;
    gr_field_type type;
    size_t offset;
    bool required;           /* 0 / NULL / rank 0 is an error, not a default */
    double def;              /* default of numbers, 1 for a bool is not allowed: rename it */
    const char *def_string;  /* default of strings */
    bool has_min, has_max;   /* a non-zero min or max counts as given */
    double min, max;         /* inclusive range of numbers, asked of the value after defaults */
    bool above_min, below_max; /* the range is open at that end */
    size_t flag;             /* presence flag of a number whose 0 means something: GR_FLAG(spec, has_x) */
    const char *const *choices; /* of an enum, ended by NULL; choices[0] is the default's name */
    const char *doc;
    char row_end_; /* lets the row macros end a list; unused */
} gr_field;

/* Rows of a field table: GR_INT(Residual_spec, hidden, .required = true, .min = 1). */
#define GR_FIELD_ROW_(S, t, f, ...) {.name = #f, .type = (t), .offset = offsetof(S, f), __VA_ARGS__}
#define GR_INT(S, ...)              GR_FIELD_ROW_(S, GR_FIELD_INT, __VA_ARGS__, .row_end_ = 0)
#define GR_INT64(S, ...)            GR_FIELD_ROW_(S, GR_FIELD_INT64, __VA_ARGS__, .row_end_ = 0)
#define GR_FLOAT(S, ...)            GR_FIELD_ROW_(S, GR_FIELD_FLOAT, __VA_ARGS__, .row_end_ = 0)
#define GR_DOUBLE(S, ...)           GR_FIELD_ROW_(S, GR_FIELD_DOUBLE, __VA_ARGS__, .row_end_ = 0)
/* GR_BOOL bare is the dtype */
#define GR_BOOL(S, ...)             GR_FIELD_ROW_(S, GR_FIELD_BOOL, __VA_ARGS__, .row_end_ = 0)
#define GR_STRING(S, ...)           GR_FIELD_ROW_(S, GR_FIELD_STRING, __VA_ARGS__, .row_end_ = 0)
#define GR_SHAPE_FIELD(S, ...)      GR_FIELD_ROW_(S, GR_FIELD_SHAPE, __VA_ARGS__, .row_end_ = 0)
#define GR_DTYPE_FIELD(S, ...)      GR_FIELD_ROW_(S, GR_FIELD_DTYPE, __VA_ARGS__, .row_end_ = 0)
#define GR_ENUM_FIELD(S, ...)       GR_FIELD_ROW_(S, GR_FIELD_ENUM, __VA_ARGS__, .row_end_ = 0)
#define GR_SPEC_FIELD(S, ...)       GR_FIELD_ROW_(S, GR_FIELD_SPEC, __VA_ARGS__, .row_end_ = 0)
#define GR_POINTER_FIELD(S, ...)    GR_FIELD_ROW_(S, GR_FIELD_POINTER, __VA_ARGS__, .row_end_ = 0)
#define GR_FLAG(S, f) (offsetof(S, f) + 1)

/* What every kind begins with. */
#define GR_KIND_HEAD                                                       \
    const char *name;       /* Keras's class name: "Dense" */              \
    size_t size;            /* of the spec */                              \
    const gr_field *fields; /* ended by {0}; NULL: no options */           \
    const char *family;     /* "layer", "optimizer", ...; for messages */
typedef struct gr_kind {
    GR_KIND_HEAD
} gr_kind;
/* What a family's kind struct starts with: .kind, and in C .name, .size, .fields, .family as members of its own. */
#ifdef __cplusplus
#define GR_KIND_BASE gr_kind kind;
#else
#define GR_KIND_BASE       \
    union {                \
        gr_kind kind;      \
        struct {           \
            GR_KIND_HEAD   \
        };                 \
    };
#endif
/* Spec families are structs that begin like this; a spec begins with its family's struct, called `base`. */
typedef struct gr_spec {
    const gr_kind *kind;
    gr_at at; /* where the user wrote it */
} gr_spec;

/* &Name_spec{...}.base, of the type that Name_spec's base has; in the caller's block. */
#define GR_SPEC(k, ...) (&(k##_spec){.base.kind = &k##_kind, .base.at = GR_HERE, __VA_ARGS__}.base)

/* A deep copy on the heap: strings and nested specs too, defaults filled in, required fields and ranges checked.
 * NULL and a message that names kind, field, value and what was expected. Freed by gr_spec_free. */
GR_API void *gr_spec_copy(const void *spec);
GR_API void gr_spec_free(void *spec);
/* The field of that name in a table, or NULL. */
GR_API const gr_field *gr_field_find(const gr_field *fields, const char *name);
/* Sets a field from text ("0.5", "true", "relu", "[2, 3]"); the string is copied and owned by the spec (gr_spec_copy's
 * result only). An unknown name is GR_ENAME and lists the known ones. */
GR_API gr_status gr_spec_set(void *spec, const char *name, const char *value);
/* A new spec from "huber(delta=0.5)" or "Huber", looked up among `kinds` (ended by NULL) by class name or snake_case
 * name or alias; caller frees it with gr_spec_free. `what` names the family in messages ("loss"). */
typedef struct gr_kind_entry {
    const gr_kind *kind;
    const char *alias; /* NULL, or names separated by '|': "mse|mean_squared_error" */
} gr_kind_entry;
GR_API void *gr_spec_parse(const char *text, const gr_kind_entry *kinds, const char *what, gr_at at);
/* "Huber(delta=0.5)": fields that differ from their default. Returns buf. */
GR_API const char *gr_spec_text(const void *spec, char *buf, size_t size);
/* "BatchNormalization" -> "batch_normalization", Keras's rule. Returns buf. */
GR_API const char *gr_snake_case(const char *name, char *buf, size_t size);
/* What is wrong with a field table of a struct of `size` bytes, as a text in buf, or NULL: a field that lies outside or
 * occurs twice, a default outside its range, and above all a field whose 0 would mean something but is taken for the
 * default. A test asks it of every kind and op. */
GR_API const char *gr_fields_fault(const gr_field *fields, size_t size, char *buf, size_t buf_size);
/* One field's value as text / from text, for any struct with a field table; used for attributes and JSON. */
GR_API const char *gr_field_text(const gr_field *f, const void *base, char *buf, size_t size);
GR_API gr_status gr_field_parse(const gr_field *f, void *base, const char *text, char **owned_string);

GR_END
#endif
