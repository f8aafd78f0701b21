#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154
# diverfs conform, level 2: the test kernel of cokernel.sh, which is a co-kernel and nothing else, beside a Linux, when it
# behaves and when it does not.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/conform.sh
. "$(dirname "$0")/../conform.sh"

# tried NAME WANTED-LINE... -- OPTION...: the report on a co-kernel which nothing else boots, from level 2 on
tried() {
	local name=$1 lines=()
	shift
	while [ "$1" != -- ]; do
		lines+=("$1")
		shift
	done
	shift
	"$DIVERFS" conform "${ROS[@]}" "$@" >"$T/report" 2>"$T/report.err" </dev/null
	is "$name: level 2, item by item" \
		"$(sed -E '1,/^level 1/d; s/^  //; s/0x[0-9a-f]+/N/g; s/tsc [0-9]+/tsc N/' "$T/report" "$T/report.err" |
			sed '1,/^level 2/{/^level 2/!d}; /^claims/d')" "$(replace "${lines[@]}" <<<"$level2")"
}
if [ -n "${ROS[*]}" ]; then
	kernel=$TOOLS/kernels/cokernel.elf
	tried "calls" "${started[@]}" "delegated calls: met (the Linux served it)" -- --cmdline "loop 9" "$kernel"
	tried "stop" "${started[@]}" "co-kernel stop: met (it ended)" -- --cmdline stop "$kernel"
	tried "runaway" "${started[@]}" "co-kernel stop: not met (it ran on for 5 s)" \
		"co-kernel exit: cannot be told (it did not end)" -- --cmdline runaway "$kernel"
	tried "panic" "${started[@]}" \
		"co-kernel exit: not met (it failed: the kernel failed on its CPU 0: the test kernel panics because it was asked to; vector 77, error 0, rip 0, rsp 0, rbp 0, cr2 0, cr3 0)" -- --cmdline panic "$kernel"
	tried "an HRT header" "co-kernel entry: met (HRT header: entry N, direct map N)" "${started[@]}" \
		"delegated calls: met (the Linux served it)" -- --cmdline "loop 9" "$TOOLS/kernels/hrt.elf"
fi

# What the image alone tells: the note is of another revision; the file is cut off.
ROS=()
cp "$TOOLS/kernels/cokernel.elf" "$T/old.elf"
note=$(LC_ALL=C grep -abo $'diverfs' "$T/old.elf" | head -n 1)
printf '\3' | dd of="$T/old.elf" bs=1 seek=$((${note%%:*} + 8)) conv=notrunc status=none
level2=${level2//$none/it cannot be loaded}
tried "another revision" "co-kernel entry: not met (the image is for revision 3 of guest.h, this is 2)" \
	"co-kernel segments: cannot be told (the loader did not come to them)" -- "$T/old.elf"
head -c 4200 "$TOOLS/kernels/cokernel.elf" >"$T/cut.elf"
tried "cut off" "co-kernel segments: not met (a segment of the image is not in the file)" -- "$T/cut.elf"
ok "nothing is left running" test -z "$(processes qemu)"
