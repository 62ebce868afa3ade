#!/bin/sh
# Compiles every C program of README.md as strict C17 against the shared library and runs it on the drawn digits.
# usage: tests/readme.sh SOURCE_DIR BUILD_DIR
set -eu
source=$1
build=$2
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
awk -v room="$room" '
/^```c$/ { n++; file = room "/snippet_" n ".c"; inside = 1; next }
/^```/ { inside = 0 }
inside { print > file }' "$source/README.md"
passed=0
failed=0
for file in "$room"/snippet_*.c; do
    name=$(basename "$file" .c)
    if ${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$source" "$file" -o "$room/$name" -L"$build" -lgrape \
        -Wl,-rpath,"$build" >"$room/log" 2>&1 && (cd "$room" && GRAPE_DATA=drawn timeout 300 "./$name") >>"$room/log" 2>&1; then
        echo "ok     $name compiles and runs"
        passed=$((passed + 1))
    else
        echo "FAILED $name"
        sed 's/^/       /' "$room/log" | tail -n 30
        failed=$((failed + 1))
    fi
done
[ -f "$room/loss.png" ] || [ -f "$room/loss.gp" ] || { echo "FAILED the tutorial left no plot"; failed=$((failed + 1)); }
echo "readme: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ] && [ "$passed" -ge 2 ]
