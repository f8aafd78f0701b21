#!/bin/bash
# SPDX-License-Identifier: MIT
# Ten of one kernel at once, and 64 MiB through one of them.
. "$(dirname "$0")/../lib.sh"

mount_registry
for i in 0 1 2 3 4 5 6 7 8 9; do
	(
		echo "line $i" | timeout 120 "$M/kernels/upper/1.0/run" >"$T/out.$i" 2>"$T/err.$i"
		echo $? >"$T/status.$i"
	) &
done
wait
is "ten at once: what each wrote" "$(cat "$T"/out.?)" "$(for i in 0 1 2 3 4 5 6 7 8 9; do echo "LINE $i"; done)"
is "ten at once: all exit with 0" "$(cat "$T"/status.? | sort -u)" 0
is "no instance is left" "$(ls "$M/run")" new

head -c $((64 << 20)) /dev/urandom >"$T/random"
timeout 200 "$M/kernels/copy/1.0/run" <"$T/random" 2>"$T/err" | sha256sum >"$T/sum"
is "64 MiB come back as they were" "$(cut -d' ' -f1 <"$T/sum")" "$(sha256sum <"$T/random" | cut -d' ' -f1)"
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
