#!/bin/bash
# SPDX-License-Identifier: MIT
# A kernel is a program: stdin, clean stdout, arguments, exit status; nothing stays behind.
. "$(dirname "$0")/../lib.sh"

mount_registry
run() { local k=$1; shift; timeout "$SLOW" "$M/kernels/$k/1.0/run" "$@"; }

is "sort | upper" "$(printf 'b\na\n' | run sort 2>>"$T/err" | run upper 2>>"$T/err")" $'A\nB'
printf 'b\na\n' | run sort 2>/dev/null | run upper >/dev/null 2>&1
is "and its status" "${PIPESTATUS[*]}" "0 0 0"
for status in 0 1 7 200 255; do
	run fail $status >"$T/out" 2>"$T/err" </dev/null
	is "fail $status gives $status" $? $status
done
is "count" "$(printf 'one two\nthree\n' | run count 2>/dev/null | tr -s ' \t' ' ' | sed 's/^ //')" "2 3 14"
is "hello says hello on stdout" "$(run hello 2>/dev/null </dev/null | grep -ci hello)" 1
is "nothing but the output is on stdout" "$(printf 'x' | run copy 2>/dev/null | od -An -c | tr -d ' ')" x
is "no input gives no output" "$(run copy 2>/dev/null </dev/null | wc -c)" 0
printf '\000\001\377\r\n\004' >"$T/bytes"
run copy <"$T/bytes" >"$T/same" 2>/dev/null
ok "bytes of every kind pass" cmp "$T/bytes" "$T/same"
is "a closed stdin is no input" "$(run upper 2>/dev/null <&- | wc -c)" 0

fails "an unknown mode" "fastVM" run hello -d fastVM
fails "an unknown option" "[Uu]sage|option" run hello --nosuch-option-of-run
is "no instance is left" "$(ls "$M/run")" new
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
