/* core/number.c: see number.h. printf and strtod follow the program's locale; here its decimal point is exchanged. */
#include "core/number.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gr__short_text(double x, int digits, char buf[GR__NUMBER_TEXT])
{
    if (isnan(x))
        return strcpy(buf, "nan");
    snprintf(buf, GR__NUMBER_TEXT, "%.*g", digits, x);
    /* Whatever stands between the digits is the locale's point, of one byte or more. */
    char *p = buf + strspn(buf, "-0123456789");
    if (*p == '\0' || *p == '.' || *p == 'e' || *p == 'i')
        return buf;
    size_t n = strcspn(p, "0123456789");
    *p = '.';
    memmove(p + 1, p + n, strlen(p + n) + 1);
    return buf;
}

const char *gr__double_text(double x, char buf[GR__NUMBER_TEXT])
{
    double back;
    for (int digits = 6; digits < 17; digits++)
        if (gr__double_parse(gr__short_text(x, digits, buf), NULL, &back) && back == x)
            return buf;
    return gr__short_text(x, 17, buf);
}

const char *gr__float_text(float x, char buf[GR__NUMBER_TEXT])
{
    float back;
    for (int digits = 6; digits < 9; digits++)
        if (gr__float_parse(gr__short_text((double)x, digits, buf), NULL, &back) && back == x)
            return buf;
    return gr__short_text((double)x, 9, buf);
}

/* The length of the decimal number that text starts with; 0 if there is none. No hexadecimals, no blanks. */
static size_t number_length(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = strspn(p, "0123456789"), part = 0;
    p += whole;
    if (*p == '.') {
        part = strspn(p + 1, "0123456789");
        p += whole + part ? part + 1 : 0;
    }
    if (whole + part == 0)
        return 0;
    if (*p == 'e' || *p == 'E') {
        const char *e = p + 1 + (p[1] == '-' || p[1] == '+');
        if (isdigit((unsigned char)*e))
            p = e + strspn(e, "0123456789");
    }
    return (size_t)(p - text);
}

static bool word_is(const char *text, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)text[i]) != word[i])
            return false;
    return true;
}

/* "inf", "infinity" or "nan" after an optional sign; its length, 0 if it is none. */
static size_t word_length(const char *text, double *x)
{
    size_t sign = *text == '-' || *text == '+';
    const char *p = text + sign;
    size_t n = word_is(p, "infinity", 8) ? 8 : word_is(p, "inf", 3) || word_is(p, "nan", 3) ? 3 : 0;
    if (n == 0)
        return 0;
    *x = word_is(p, "nan", 3) ? (double)NAN : *text == '-' ? -(double)INFINITY : (double)INFINITY;
    return sign + n;
}

/* Longer than any double that is written out in full (1,077 digits); more is no number here. */
enum { LONGEST = 1100 };

static bool parse(const char *text, const char **end, double *x, float *single)
{
    double word = 0;
    size_t n = number_length(text), w = n ? 0 : word_length(text, &word);
    const char *stop = text + n + w;
    if (n + w == 0 || n > LONGEST || (!end && *stop != '\0'))
        return false;
    if (end)
        *end = stop;
    if (w) {
        *x = word;
        *single = (float)word;
        return true;
    }
    char copy[LONGEST + 8], point[8];
    snprintf(point, sizeof point, "%.1f", 0.5); /* "0.5" or "0,5": what the locale puts between */
    size_t at = strcspn(text, "."), width = strlen(point) - 2;
    if (at < n) {
        memcpy(copy, text, at);
        memcpy(copy + at, point + 1, width);
        memcpy(copy + at + width, text + at + 1, n - at - 1);
        n += width - 1;
    } else {
        memcpy(copy, text, n);
    }
    copy[n] = '\0';
    int before = errno;
    *x = strtod(copy, NULL);
    *single = strtof(copy, NULL);
    errno = before;
    return true;
}

bool gr__double_parse(const char *text, const char **end, double *x)
{
    float ignored;
    return parse(text, end, x, &ignored);
}

bool gr__float_parse(const char *text, const char **end, float *x)
{
    double ignored;
    return parse(text, end, &ignored, x);
}

bool gr__int_parse(const char *text, const char **end, int64_t *x)
{
    bool negative = *text == '-';
    const char *p = text + (negative || *text == '+');
    int64_t value = 0;
    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++) {
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if ((!end && *p != '\0') || (!negative && value == INT64_MIN))
        return false;
    if (end)
        *end = p;
    *x = negative ? value : -value;
    return true;
}
