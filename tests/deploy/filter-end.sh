#!/bin/bash
# SPDX-License-Identifier: MIT
# A kernel as a program ends with its neighbours and with its caller: SIGPIPE, kill -9, ^C, a closed terminal.
. "$(dirname "$0")/../lib.sh"

mount_registry
run=$M/kernels/upper/1.0/run
nothing_left() { [ "$(ls "$M/run")" = new ] && no_process "qemu-system|diverfs-fullvm"; }

yes | timeout "$SLOW" "$run" 2>/dev/null | head -n 1 >"$T/out"
is "yes | upper | head -1 ends by SIGPIPE" "${PIPESTATUS[*]} $(cat "$T/out")" "141 141 0 Y"
wait_for "and leaves nothing" nothing_left

for signal in INT TERM HUP KILL; do
	mkfifo "$T/$signal"
	env --default-signal=INT "$run" <"$T/$signal" >"$T/out" 2>/dev/null &
	pid=$!
	exec 6>"$T/$signal"
	echo "line" >&6
	wait_for "$signal: it runs" grep -q LINE "$T/out"
	kill -s $signal $pid
	wait $pid
	is "$signal: its status says so" $? $((128 + $(kill -l $signal)))
	exec 6>&-
	wait_for "$signal: leaves nothing" nothing_left
done
