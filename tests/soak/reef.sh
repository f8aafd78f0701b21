#!/bin/bash
# SPDX-License-Identifier: MIT
# reef's own tests (threads, locks, timers, memory) for SOAK * 0.6 seconds, a minute by default, on 1, 2, 4 and 8 CPUs.
. "$(dirname "$0")/../lib.sh"

command -v musl-gcc >/dev/null || skip_all "no musl-gcc: reef was not built"
mount_registry
seconds=$((${SOAK:-100} * 6 / 10))
for cpus in 1 2 4 8; do
	for machine in microvm pc; do
		out=$(timeout $((10 * seconds + 10 * SLOW)) "$M"/kernels/reef/*/run -c $cpus -m 64M -o machine=$machine -- \
			test $((seconds / 2 + 1)) </dev/null 2>&1)
		is "$machine, $cpus CPUs: status" $? 0
		like "$machine, $cpus CPUs: all passed" "$out" "^test: all passed"
	done
done
