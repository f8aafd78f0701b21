#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# diverfs conform on reef, of which all three levels are told, and on linux.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform.sh
. "$(dirname "$0")/../conform.sh"

if [ -d "$STAGE/reef" ]; then
	lines=()
	[ -z "${ROS[*]}" ] || lines=("${started[@]}" "co-kernel console: met (what was typed came back)"
		"doorbell: met (it sleeps, and what is typed wakes it)" "co-kernel stop: met (it ended)")
	conform reef "$(sed '/^level 2/,$d' <<<"${WANTED[copy]}" | replace "console: met (it printed)" \
		"serial input: met (what was typed came back)" \
		"stdout: cannot be told (it wrote nothing)" \
		"stdin: cannot be told (it took no more than receive buffers may hold)" \
		"end of input: cannot be told (it does not read its input)" \
		"exit is last: cannot be told (no EXIT came)" "arguments: met (quoted ones too)"
		replace "${lines[@]}" <<<"$level2"
		echo "claims level 2: conforms")" "${ROS[@]}" "$STAGE/reef"
fi
if [ -e "$STAGE/linux/kernel.conf" ]; then
	conform linux "$(replace "image: met (Linux bzImage)" "console: met (it printed)" \
		"serial input: met (what was typed came back)" "exit is last: met (it says that output may still be queued)" \
		"arguments: met (quoted ones too)" <<<"${WANTED[copy]}")" --timeout 60 "${ROS[@]}" "$STAGE/linux" -- cat
fi
ok "nothing is left running" test -z "$(processes qemu)"
