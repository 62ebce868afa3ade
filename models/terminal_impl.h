/* models/terminal_impl.h: what a terminal can show. */
#ifndef GRAPE_MODELS_TERMINAL_IMPL_H
#define GRAPE_MODELS_TERMINAL_IMPL_H

#include <stdbool.h>

/* Lines and bars of UTF-8? By the program's locale, or, where it set none, by LC_ALL, LC_CTYPE and LANG. */
bool gr__terminal_utf8(void);
/* Colours? NO_COLOR goes before FORCE_COLOR and CLICOLOR_FORCE, those before TERM=dumb, that before what is there. */
bool gr__terminal_colour(bool terminal);

#endif
