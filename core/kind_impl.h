/* core/kind_impl.h: what core/kind.c and core/kind_text.c share. */
#ifndef GRAPE_CORE_KIND_IMPL_H
#define GRAPE_CORE_KIND_IMPL_H

#include "core/kind.h"

/* A spec that ops and messages can be made of: kind and place, or NULL and an error. */
const gr_kind *gr__kind_of(const void *spec, gr_at *at);
/* Numbers of any type as double; the presence flag of a field. */
bool gr__field_is_number(const gr_field *f);
double gr__field_number(const gr_field *f, const void *base);
void gr__field_set_number(const gr_field *f, void *base, double value);
bool gr__field_flag(const gr_field *f, const void *base);
/* A pointer kept in a struct, whatever it points to. */
const void *gr__field_pointer(const gr_field *f, const void *base);
void gr__field_set_pointer(const gr_field *f, void *base, const void *p);
/* Does the field hold its default? */
bool gr__field_is_default(const gr_field *f, const void *base);
/* Is the value in the field's range? "Kind: argument f: expected ..., found ..." at `at` if not. */
gr_status gr__field_check(const gr_field *f, const void *base, const char *who, gr_at at);
/* Fills in defaults and checks everything, in place. */
gr_status gr__spec_finish(void *spec);
/* "; did you mean x?" (or nothing) for a name that is none of the n. */
const char *gr__nearest(const char *name, const char *const *known, int n, char *buf, size_t size);

#endif
