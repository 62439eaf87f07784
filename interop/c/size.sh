#!/usr/bin/env bash
# Prints the code's size as a table: bytes of code and constants with -Os, and of state.
#
#   ./size.sh           the table of the README
#   ./size.sh --check   fails if the README has another one
#
# Each row is what a program needs that calls all functions of the profile. For Cortex-M it is
# arm-none-eabi-gcc, for x86-64 it is gcc.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() { # TARGET SOURCE OPTIONS…: makes $work/out.o
    local target=$1 source=$2
    shift 2
    local compiler=(gcc)
    case $target in
        m0) compiler=(arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb) ;;
        m4) compiler=(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb) ;;
    esac
    "${compiler[@]}" -std=c11 -Os -ffreestanding -fno-asynchronous-unwind-tables "$@" -c -o "$work/out.o" "$source"
}

code() { # TARGET SOURCE OPTIONS…
    compile "$@"
    size "$work/out.o" | awk 'NR == 2 { print $1; if ($2 + $3 != 0) exit 1 }'
}

state() { # TARGET HEADER TYPE OPTIONS…
    local target=$1 header=$2 type=$3
    shift 3
    printf '#include "%s"\nchar state[sizeof(%s)];\n' "$header" "$type" >"$work/state.c"
    compile "$target" "$work/state.c" -I. "$@"
    size "$work/out.o" | awk 'NR == 2 { print $3 }'
}

row() { # TITLE SOURCE HEADER TYPE OPTIONS…
    local title=$1 source=$2 header=$3 type=$4
    shift 4
    printf '| %s |' "$title"
    for target in x86-64 m0 m4; do
        printf ' %s |' "$(code "$target" "$source" "$@")"
    done
    printf ' %s | %s |\n' "$(state x86-64 "$header" "$type" "$@")" "$(state m4 "$header" "$type" "$@")"
}

# shellcheck disable=SC2016 # The backquotes are those of Markdown.
table() {
    echo '| profile | x86-64 | Cortex-M0 | Cortex-M4 | state, x86-64 | state, Cortex-M |'
    echo '| --- | --- | --- | --- | --- | --- |'
    row '`frames+skip`' unstick.c unstick.h unstick_decoder -DUNSTICK_SEARCH=0 -DUNSTICK_DATAGRAMS=0
    row '`frames+skip+search`' unstick.c unstick.h unstick_decoder -DUNSTICK_DATAGRAMS=0
    row '`frames+skip+search+datagrams`' unstick.c unstick.h unstick_decoder
    row '`messages`, in addition' unstick_session.c unstick_session.h unstick_session -DUNSTICK_FILES=0 -DUNSTICK_DATAGRAMS=0
    row '`files`, in addition' unstick_session.c unstick_session.h unstick_session -DUNSTICK_DATAGRAMS=0
}

if [ "${1-}" = --check ]; then
    diff <(table) <(sed -n '/^| profile | x86-64/,/^$/{/^$/d;p}' README.md)
else
    table
fi
