#!/bin/bash
# SPDX-License-Identifier: MIT
# SOAK pipelines of two kernels, two at a time, every third killed at a random moment.
. "$(dirname "$0")/../lib.sh"

n=${SOAK:-100}
mount_registry
pipeline() { # NUMBER
	local limit=$SLOW
	[ $(($1 % 3)) = 0 ] && limit=0.$((RANDOM % 10))
	printf 'b %s\na %s\n' "$1" "$1" | timeout -s KILL "$limit" "$M/kernels/sort/1.0/run" 2>/dev/null |
		"$M/kernels/upper/1.0/run" 2>/dev/null >"$T/out.$1"
	[ $(($1 % 3)) = 0 ] || [ "$(cat "$T/out.$1")" = "A $1"$'\n'"B $1" ] || echo "$1" >>"$T/bad"
	rm -f "$T/out.$1"
}
for ((i = 0; i < n; i++)); do
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
	pipeline $i &
done
wait
is "of $n pipelines failed" "$(cat "$T/bad" 2>/dev/null | wc -l)" 0
only_new() { [ "$(ls "$M/run")" = new ]; }
wait_for "no instance is left" only_new
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
