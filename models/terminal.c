/* models/terminal.c: see terminal_impl.h. */
#include "models/terminal_impl.h"
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

bool gr__terminal_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return true;
    for (int i = 0; i < 3; i++) {
        const char *v = getenv(names[i]);
        if (v && v[0])
            return strstr(v, "UTF-8") || strstr(v, "utf8");
    }
    return false;
}

static bool set(const char *name)
{
    const char *v = getenv(name);
    return v && v[0];
}

bool gr__terminal_colour(bool terminal)
{
    const char *term = getenv("TERM");
    if (set("NO_COLOR"))
        return false;
    if (set("FORCE_COLOR") || set("CLICOLOR_FORCE"))
        return true;
    return terminal && !(term && strcmp(term, "dumb") == 0);
}
