/* io/json_members.c: see json_members.h. */
#include "io/json_members.h"
#include <stddef.h>
#include <string.h>

int64_t gr__json_depth(const char *text, int64_t n)
{
    int64_t depth = 0, deepest = 0;
    bool quoted = false;
    for (int64_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static void skip(gr__json_members *m)
{
    while (m->at < m->n && m->text[m->at] && strchr(" \t\r\n", m->text[m->at]))
        m->at++;
}

static bool take(gr__json_members *m, char c)
{
    skip(m);
    if (m->at >= m->n || m->text[m->at] != c)
        return false;
    m->at++;
    return true;
}

static bool fail(gr__json_members *m, const char *wrong)
{
    m->wrong = wrong;
    return false;
}

/* Behind the string that begins at `at`; n if it does not end. */
static int64_t string_end(const gr__json_members *m, int64_t at)
{
    for (at++; at < m->n && m->text[at] != '"'; at++)
        at += m->text[at] == '\\';
    return at < m->n ? at + 1 : m->n;
}

/* Behind the value that begins at `at`. */
static int64_t value_end(const gr__json_members *m, int64_t at)
{
    int64_t depth = 0;
    if (m->text[at] == '"')
        return string_end(m, at);
    while (at < m->n) {
        char c = m->text[at];
        if (c == '"') {
            at = string_end(m, at);
            continue;
        }
        if (depth == 0 && c && strchr(",}] \t\r\n", c))
            return at;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        at++;
        if (depth == 0 && (c == '}' || c == ']'))
            return at;
    }
    return at;
}

static bool finish(gr__json_members *m)
{
    skip(m);
    return m->at == m->n ? false : fail(m, "something after the object");
}

bool gr__json_next(gr__json_members *m)
{
    m->wrong = NULL;
    if (!m->started) {
        if (!take(m, '{'))
            return fail(m, "no object");
        m->started = true;
        if (take(m, '}'))
            return finish(m);
    } else if (take(m, '}')) {
        return finish(m);
    } else if (!take(m, ',')) {
        return fail(m, "neither , nor }");
    }
    skip(m);
    if (m->at >= m->n || m->text[m->at] != '"')
        return fail(m, "no name");
    m->key = m->text + m->at;
    m->key_n = string_end(m, m->at) - m->at;
    m->at += m->key_n;
    if (!take(m, ':'))
        return fail(m, "no :");
    skip(m);
    if (m->at >= m->n)
        return fail(m, "no value");
    m->value = m->text + m->at;
    m->value_n = value_end(m, m->at) - m->at;
    m->at += m->value_n;
    return m->value_n > 0 || fail(m, "no value");
}
