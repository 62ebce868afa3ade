#!/bin/sh
# What the built library asks of others and shows to them. usage: tests/symbols.sh LIBGRAPE.so LIBGRAPE.a
set -eu
shared=$1
static=$2
passed=0
failed=0
check() # check WHAT FOUND: passes if FOUND is empty
{
    if [ -n "$2" ]; then
        echo "FAILED $1: $2"
        failed=$((failed + 1))
    else
        echo "ok     $1"
        passed=$((passed + 1))
    fi
}
imports=$(nm -D --undefined-only "$shared" | awk '{ sub(/@.*/, "", $2); print $2 }')
asks() # asks NAME...: those of the names that the library imports
{
    for name; do echo "$imports" | grep -x -- "$name" | tr '\n' ' ' || true; done
}

check "it has public functions" "$(nm -D --defined-only "$shared" | grep -q ' T gr_' || echo none)"
check "it never ends its caller" "$(asks abort exit _exit _Exit quick_exit __assert_fail raise kill)"
check "it never prints to stdout" "$(asks stdout printf vprintf puts putchar putchar_unlocked __printf_chk)"
check "it installs no handler and jumps over no frame" "$(asks signal sigaction longjmp siglongjmp __longjmp_chk atexit)"
check "it starts no shell" "$(asks system popen)"
check "it keeps no hidden state of libc's" "$(asks rand srand random strtok setlocale gets)"
check "the shared library shows gr_ names only" "$(nm -D --defined-only "$shared" | awk '{ print $3 }' |
    grep -vE '^gr_' | tr '\n' ' ')"
check "the static library defines gr_ names only" "$(nm --defined-only -g "$static" 2>/dev/null |
    awk 'NF == 3 { print $3 }' | grep -vE '^gr_' | sort -u | tr '\n' ' ')"
echo "symbols: $passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
