#!/bin/bash
# SPDX-License-Identifier: MIT
# diver, the command of the slides, and the example pipelines: shell over the mount's files.
. "$(dirname "$0")/../lib.sh"

mount_registry
export DIVERFS=$M
diver() { timeout "$SLOW" "$BUILD/bin/diver" "$@"; }

like "list" "$(diver list)" '^hello:1\.0 '
like "search" "$(diver search lines)" '^sort:1\.0 '
like "search by words and a key" "$(diver search lines mode:fullVM)" '^sort:1\.0 .*[Ll]ine'
like "search takes a path for words" "$(diver search sort/lines)" '^sort:1\.0 '
fails "search that finds nothing" "no kernel" diver search nosuchword
ok "init" diver init hw hello
like "dive" "$(diver dive hw)" 'hw runs in fullVM'
is "wait" "$(diver wait hw; echo $?)" 0
like "console" "$(diver console hw)" 'hello, world'
like "list shows it" "$(diver list)" '^run/hw +exited'
fails "a kernel that is not there" "nosuch" diver init x nosuch
ok "rm" diver rm hw
is "nothing is left" "$(ls "$M/run")" new

is "words.sh counts words" \
	"$(printf 'a rose is a rose is a rose\n' | "$SOURCE/examples/pipelines/words.sh" "$M" 1 2>/dev/null | tr -s ' ')" " 3 A"
