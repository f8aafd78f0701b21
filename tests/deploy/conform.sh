#!/bin/bash
# SPDX-License-Identifier: MIT
# diverfs conform: the report on examples, on a Multiboot image, through a mount; and what cannot be tried.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../conform.sh"

conform hello "${WANTED[hello]}" "$STAGE/hello"
conform upper "${WANTED[copy]}" "$STAGE/upper/images/upper.elf" -m 16M
conform copy "${WANTED[copy]}" -M pc "$STAGE/copy"
conform fail "${WANTED[fail]}" "$STAGE/fail"
build multiboot upper /dev/null MULTIBOOT=1
conform multiboot "$(replace "image: met (Multiboot)" <<<"${WANTED[copy]}")" "$T/multiboot.elf"

mount_registry
conform "a tag of a mount" "${WANTED[hello]}" "$M/kernels/hello/1.0"
ok "unmounted" unmount_registry

# What cannot be tried says why.
refused() { # NAME REGEX ARGUMENT...
	local name=$1 regex=$2
	shift 2
	"$DIVERFS" conform "$@" >"$T/report" 2>&1 </dev/null
	is "$name: exit status" $? 125
	like "$name: says why" "$(cat "$T/report")" "$regex"
}
printf 'no kernel\n' >"$T/text"
mkdir "$T/empty"
"$DIVERFS" conform "$T/text" >"$T/report"
is "no kernel: exit status" $? 1
like "no kernel: why" "$(cat "$T/report")" "image: not met \(image $T/text is data of a kind that is not known"
refused "no file" "cannot open .*No such file" "$T/none"
refused "a directory of something else" "kernel.conf" "$T/empty"
refused "too little memory" "too small" -m 1M "$STAGE/hello"
refused "no QEMU" "not there: install it" --qemu "$T/none" "$STAGE/hello/images/hello.elf"
refused "a QEMU that fails" "QEMU ended by itself: " --qemu /bin/false "$STAGE/hello"
refused "a ROS that is not there" "cannot read .*kernel.conf" --ros "$T/none" "$STAGE/hello"
refused "a wrong option" "usage:" --frobnicate "$STAGE/hello/images/hello.elf"
ok "nothing is left running" test -z "$(processes qemu)"
