/* core/number.h: numbers as text, the same in every locale: the decimal point is a point. */
#ifndef GRAPE_CORE_NUMBER_H
#define GRAPE_CORE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GR__NUMBER_TEXT = 32 }; /* bytes that hold any number's text */

/* The shortest text that reads back to the same number: "0.1", "1e-07", "inf", "-inf", "nan". Returns buf. */
const char *gr__double_text(double x, char buf[GR__NUMBER_TEXT]);
const char *gr__float_text(float x, char buf[GR__NUMBER_TEXT]);
/* snprintf's %.*g with a point. */
const char *gr__short_text(double x, int digits, char buf[GR__NUMBER_TEXT]);
/* Reads a number ("1", "-0.5", "1e400" as infinity, "inf", "nan"; no blanks before it). *end is the first character
 * after it (NULL: the whole text has to be the number). False if there is none. */
bool gr__double_parse(const char *text, const char **end, double *x);
bool gr__float_parse(const char *text, const char **end, float *x);
/* A decimal integer; false if there is none or it overflows. */
bool gr__int_parse(const char *text, const char **end, int64_t *x);

#endif
