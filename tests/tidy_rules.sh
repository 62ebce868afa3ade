#!/bin/sh
# Does tools/tidy see what it looks for? A small clean tree passes; one offence at a time is planted in it and must be
# named. usage: tests/tidy_rules.sh TIDY
set -eu
tidy=$1
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
passed=0
failed=0

clean_tree()
{
    rm -rf "$room/tree"
    mkdir -p "$room/tree/core" "$room/tree/optim" "$room/tree/examples" "$room/tree/tools"
    cd "$room/tree"
    cp "$tidy" tools/tidy
    printf '/* a */\n#include "core/a.h"\nint a(void)\n{\n    return 1;\n}\n' >core/a.c
    printf '/* a */\n\n/* gives 1 */\nGR_API int a(void);\n' >core/a.h
    printf '/* b */\n#include "core/a.h"\n' >optim/b.c
    printf '/* c */\n#include <grape.h>\n' >examples/c.c
}
offence() # offence RULE FILE LINE...: appends the lines to the file, then the rule fails and no other
{
    rule=$1
    file=$2
    shift 2
    clean_tree
    printf '%s\n' "$@" >>"$file"
    said=$(tools/tidy || true)
    if echo "$said" | grep '^FAILED' | grep -q "$rule" && [ "$(echo "$said" | grep -c '^FAILED')" = 1 ]; then
        echo "ok     $rule: $(echo "$said" | grep -m 1 '^       ' | cut -c 8-)"
        passed=$((passed + 1))
    else
        echo "FAILED $rule"
        echo "$said" | sed 's/^/       /'
        failed=$((failed + 1))
    fi
}
lines() # lines N TEXT
{
    i=0
    while [ $i -lt "$1" ]; do echo "$2"; i=$((i + 1)); done
}

clean_tree
if tools/tidy >/dev/null; then
    echo "ok     a clean tree passes"
    passed=$((passed + 1))
else
    echo "FAILED a clean tree passes"
    failed=$((failed + 1))
fi
offence 'a room includes' core/a.c '#include "optim/b.h"'
offence 'a room includes' core/a.c '#include "tests/harness.h"'
offence 'a room includes' core/a.c '#include "a.h"'
offence 'a room includes' core/a.c '#include <grape.h>'
offence 'an example includes' examples/c.c '#include "core/a.h"'
offence 'a function past 70 lines' core/a.c 'int f(void)' '{' "$(lines 80 '    ;')" '}'
offence 'a file past 600 lines' core/a.c "$(lines 600 'int a(void);')"
offence 'public declarations' core/a.h '' 'GR_API int b(void);'
offence 'a file opens with' core/d.c 'int d;'
offence 'file names are unique' optim/a.c '/* another a */'
offence '120 columns' core/a.c "/* $(lines 12 'ten chars ' | tr -d '\n') */"
offence '120 columns' core/a.c 'int b; '
offence '120 columns' core/a.c "$(printf '\tint b;')"
offence 'nothing is left' core/a.c "/* TO""DO */"
offence 'no path of one machine' core/a.c "char *p = \"/ho""me/me/x\";"
echo "tidy_rules: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
