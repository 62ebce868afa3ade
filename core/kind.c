/* core/kind.c: copying specs, filling in defaults, checking ranges; see kind.h. Text, both ways, is in
 * core/kind_text.c. Specs of all families and attribute structs are read through their field tables alone. */
#include "core/kind_impl.h"
#include "core/mem.h"
#include "core/number.h"
#include <math.h>
#include <string.h>

const gr_kind *gr__kind_of(const void *spec, gr_at *at)
{
    const gr_kind *kind = NULL;
    *at = (gr_at){0};
    if (!spec) {
        gr_fail(GR_EARG, *at, "spec: expected a spec, found NULL");
        return NULL;
    }
    /* The family declares its own kind type, which begins like gr_kind: the pointer is copied, not read as another
     * type. */
    memcpy(&kind, spec, sizeof kind);
    memcpy(at, (const char *)spec + offsetof(gr_spec, at), sizeof *at);
    if (!kind || kind->size < sizeof(gr_spec))
        gr_fail(GR_EARG, *at, "spec: expected a spec made by its macro, found one without a kind");
    return kind && kind->size >= sizeof(gr_spec) ? kind : NULL;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

bool gr__field_is_number(const gr_field *f)
{
    return f->type == GR_FIELD_INT || f->type == GR_FIELD_INT64 || f->type == GR_FIELD_FLOAT ||
           f->type == GR_FIELD_DOUBLE;
}

double gr__field_number(const gr_field *f, const void *base)
{
    const char *p = (const char *)base + f->offset;
    switch (f->type) {
    case GR_FIELD_INT:
    case GR_FIELD_ENUM:
    case GR_FIELD_DTYPE:
        return *(const int *)(const void *)p;
    case GR_FIELD_INT64:
        return (double)*(const int64_t *)(const void *)p;
    case GR_FIELD_FLOAT:
        return (double)*(const float *)(const void *)p;
    case GR_FIELD_DOUBLE:
        return *(const double *)(const void *)p;
    case GR_FIELD_BOOL:
        return *(const bool *)p;
    default:
        return 0;
    }
}

void gr__field_set_number(const gr_field *f, void *base, double value)
{
    char *p = (char *)base + f->offset;
    switch (f->type) {
    case GR_FIELD_INT:
    case GR_FIELD_ENUM:
    case GR_FIELD_DTYPE:
        *(int *)(void *)p = (int)value;
        break;
    case GR_FIELD_INT64:
        *(int64_t *)(void *)p = (int64_t)value;
        break;
    case GR_FIELD_FLOAT:
        *(float *)(void *)p = (float)value;
        break;
    case GR_FIELD_DOUBLE:
        *(double *)(void *)p = value;
        break;
    case GR_FIELD_BOOL:
        *(bool *)p = value != 0;
        break;
    default:
        break;
    }
}

bool gr__field_flag(const gr_field *f, const void *base)
{
    return f->flag && *((const bool *)base + f->flag - 1);
}

const void *gr__field_pointer(const gr_field *f, const void *base)
{
    const void *p;
    memcpy(&p, (const char *)base + f->offset, sizeof p);
    return p;
}

void gr__field_set_pointer(const gr_field *f, void *base, const void *p)
{
    memcpy((char *)base + f->offset, &p, sizeof p);
}

/* The default as the field's own type holds it: 0.1 is 0.1f in a float. */
static double default_of(const gr_field *f)
{
    return f->type == GR_FIELD_FLOAT ? (double)(float)f->def : f->def;
}

bool gr__field_is_default(const gr_field *f, const void *base)
{
    const void *p = (const char *)base + f->offset;
    switch (f->type) {
    case GR_FIELD_STRING: {
        const char *s = gr__field_pointer(f, base);
        return !s || (f->def_string && strcmp(s, f->def_string) == 0);
    }
    case GR_FIELD_SHAPE:
        return ((const gr_shape *)p)->rank == 0;
    case GR_FIELD_SPEC:
    case GR_FIELD_POINTER:
        return !gr__field_pointer(f, base);
    default: {
        double x = gr__field_number(f, base), def = default_of(f);
        return x == def || (isnan(x) && isnan(def)) || (x == 0 && !gr__field_flag(f, base));
    }
    }
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

static bool has_min(const gr_field *f)
{
    return f->has_min || f->above_min || f->min != 0;
}
static bool has_max(const gr_field *f)
{
    return f->has_max || f->below_max || f->max != 0;
}

static bool in_range(const gr_field *f, double x)
{
    if (isnan(x))
        return isnan(f->def);
    bool above = !has_min(f) || (f->above_min ? x > f->min : x >= f->min);
    bool below = !has_max(f) || (f->below_max ? x < f->max : x <= f->max);
    return above && below;
}

/* "a number above 0 and at most 1" */
static const char *range_text(const gr_field *f, char *buf, size_t size)
{
    char low[GR__NUMBER_TEXT] = "", high[GR__NUMBER_TEXT] = "";
    const char *over = "", *under = "", *and = "";
    if (has_min(f)) {
        over = f->above_min ? " above " : " of at least ";
        gr__short_text(f->min, 10, low);
    }
    if (has_max(f)) {
        and = has_min(f) ? " and" : "";
        under = f->below_max ? " below " : has_min(f) ? " at most " : " of at most ";
        gr__short_text(f->max, 10, high);
    }
    snprintf(buf, size, "a number%s%s%s%s%s", over, low, and, under, high);
    return buf;
}

static gr_status fail_value(const gr_field *f, const void *base, const char *who, gr_at at, const char *expected)
{
    char found[200];
    return gr_fail(GR_EARG, at, "%s: argument %s: expected %s, found %s", who, f->name, expected,
        gr_field_text(f, base, found, sizeof found));
}

static gr_status check_shape(const gr_field *f, const void *base, const char *who, gr_at at)
{
    const gr_shape *s = (const void *)((const char *)base + f->offset);
    if (s->rank < 0 || s->rank > GR_MAX_RANK)
        return gr_fail(GR_EARG, at, "%s: argument %s: expected at most %d numbers, found %lld", who, f->name,
            GR_MAX_RANK, (long long)s->rank);
    if (f->required && s->rank == 0)
        return gr_fail(
            GR_EARG, at, "%s: argument %s: expected a list of numbers (it is required), found none", who, f->name);
    for (int64_t i = 0; i < s->rank; i++)
        if (!gr_dim_is_batch(s->dim[i]) && !in_range(f, (double)s->dim[i])) {
            char range[100];
            return fail_value(f, base, who, at, range_text(f, range, sizeof range));
        }
    return GR_OK;
}

static int choice_count(const gr_field *f)
{
    int n = 0;
    while (f->choices && f->choices[n])
        n++;
    return n;
}

gr_status gr__field_check(const gr_field *f, const void *base, const char *who, gr_at at)
{
    char range[100];
    double x = gr__field_number(f, base);
    switch (f->type) {
    case GR_FIELD_SHAPE:
        return check_shape(f, base, who, at);
    case GR_FIELD_STRING:
    case GR_FIELD_SPEC:
    case GR_FIELD_POINTER:
        if (f->required && !gr__field_pointer(f, base))
            return gr_fail(GR_EARG, at, "%s: argument %s: expected a value (it is required), found none", who, f->name);
        return GR_OK;
    case GR_FIELD_DTYPE:
        if (x < 0 || x >= GR_DTYPE_COUNT || (f->required && x == 0))
            return fail_value(f, base, who, at, "a dtype");
        return GR_OK;
    case GR_FIELD_ENUM:
        if (x < 0 || x >= choice_count(f))
            return gr_fail(GR_EARG, at, "%s: argument %s: expected one of its names (0 .. %d), found %d", who, f->name,
                choice_count(f) - 1, (int)x);
        return GR_OK;
    case GR_FIELD_BOOL:
        return GR_OK;
    default:
        if (f->required && x == 0 && !gr__field_flag(f, base) && in_range(f, 0))
            return gr_fail(GR_EARG, at, "%s: argument %s: expected %s (it is required), found 0", who, f->name,
                range_text(f, range, sizeof range));
        if (!in_range(f, x))
            return fail_value(f, base, who, at, range_text(f, range, sizeof range));
        return GR_OK;
    }
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

/* Strings and specs of a finished spec are its own: a default string is copied too. */
static gr_status fill_default(const gr_field *f, void *spec)
{
    if (f->type == GR_FIELD_STRING && f->def_string && !gr__field_pointer(f, spec)) {
        char *s = gr__strdup(f->def_string);
        if (!s)
            return gr_error();
        gr__field_set_pointer(f, spec, s);
    } else if (f->def != 0 && gr__field_number(f, spec) == 0 && !gr__field_flag(f, spec)) {
        gr__field_set_number(f, spec, f->def);
    }
    return GR_OK;
}

gr_status gr__spec_finish(void *spec)
{
    gr_at at;
    const gr_kind *kind = gr__kind_of(spec, &at);
    for (const gr_field *f = kind->fields; f && f->name; f++) {
        GR_TRY(fill_default(f, spec));
        GR_TRY(gr__field_check(f, spec, kind->name, at));
    }
    return GR_OK;
}

/* A spec within a spec within ...: what cannot come from a hand is not followed. */
enum { DEEPEST = 32 };

static void *copy(const void *spec, int depth)
{
    gr_at at;
    const gr_kind *kind = gr__kind_of(spec, &at);
    if (kind && depth == DEEPEST)
        gr_fail(GR_EARG, at, "%s: expected specs within specs to a depth of %d, found more", kind->name, DEEPEST);
    char *mine = kind && depth < DEEPEST ? gr__alloc(1, (int64_t)kind->size) : NULL;
    if (!mine)
        return NULL;
    memcpy(mine, spec, kind->size);
    for (const gr_field *f = kind->fields; f && f->name; f++)
        if (f->type == GR_FIELD_STRING || f->type == GR_FIELD_SPEC)
            gr__field_set_pointer(f, mine, NULL); /* still the caller's: not to be freed if this fails half-way */
    for (const gr_field *f = kind->fields; f && f->name; f++) {
        const void *from = f->type == GR_FIELD_STRING || f->type == GR_FIELD_SPEC ? gr__field_pointer(f, spec) : NULL;
        if (!from)
            continue;
        void *to = f->type == GR_FIELD_STRING ? gr__strdup(from) : copy(from, depth + 1);
        if (!to) {
            gr_spec_free(mine);
            return NULL;
        }
        gr__field_set_pointer(f, mine, to);
    }
    if (gr__spec_finish(mine) != GR_OK) {
        gr_spec_free(mine);
        return NULL;
    }
    return mine;
}

void *gr_spec_copy(const void *spec)
{
    return copy(spec, 0);
}

void gr_spec_free(void *spec)
{
    gr_at at;
    const gr_kind *kind = spec ? gr__kind_of(spec, &at) : NULL;
    if (!kind)
        return;
    for (const gr_field *f = kind->fields; f && f->name; f++) {
        if (f->type == GR_FIELD_STRING)
            gr__free((void *)gr__field_pointer(f, spec));
        else if (f->type == GR_FIELD_SPEC)
            gr_spec_free((void *)gr__field_pointer(f, spec));
    }
    gr__free(spec);
}

const gr_field *gr_field_find(const gr_field *fields, const char *name)
{
    for (const gr_field *f = fields; f && f->name && name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

/* ---- what may be wrong with a table ------------------------------------------------------------------------------ */

static int64_t field_size(gr_field_type t)
{
    switch (t) {
    case GR_FIELD_INT:
    case GR_FIELD_ENUM:
        return sizeof(int);
    case GR_FIELD_DTYPE:
        return sizeof(gr_dtype);
    case GR_FIELD_INT64:
        return sizeof(int64_t);
    case GR_FIELD_FLOAT:
        return sizeof(float);
    case GR_FIELD_DOUBLE:
        return sizeof(double);
    case GR_FIELD_BOOL:
        return sizeof(bool);
    case GR_FIELD_SHAPE:
        return sizeof(gr_shape);
    default:
        return sizeof(void *);
    }
}

static const char *field_fault(const gr_field *f, const gr_field *fields, size_t size)
{
    int64_t room = f->type > GR_FIELD_END && f->type <= GR_FIELD_POINTER ? field_size(f->type) : 0;
    if (room == 0)
        return "has no type";
    if (f->offset + (size_t)room > size || f->flag > size)
        return "lies outside the struct";
    if (gr_field_find(fields, f->name) != f)
        return "occurs twice";
    if (f->type == GR_FIELD_BOOL)
        return f->def != 0 ? "is a bool with default true, so that false cannot be asked for: name it by how it departs"
                           : NULL;
    if (f->type == GR_FIELD_ENUM)
        return choice_count(f) == 0 ? "is an enum without names" : NULL;
    if (!gr__field_is_number(f))
        return NULL;
    if (f->def != 0 && !in_range(f, default_of(f)))
        return "has a default outside its range";
    bool refused = f->required && !has_min(f); /* a 0 that is never mistaken for another value */
    if ((f->def != 0 || f->required) && !refused && !f->flag && in_range(f, 0))
        return "takes 0 for its default (or for absent), but 0 is within its range: add a presence flag or narrow the "
               "range";
    return NULL;
}

const char *gr_fields_fault(const gr_field *fields, size_t size, char *buf, size_t buf_size)
{
    for (const gr_field *f = fields; f && f->name; f++) {
        const char *fault = field_fault(f, fields, size);
        if (fault) {
            snprintf(buf, buf_size, "field %s %s", f->name, fault);
            return buf;
        }
    }
    return NULL;
}
