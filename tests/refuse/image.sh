#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that are none: refused with what they are, and nothing hangs.
. "$(dirname "$0")/../lib.sh"

REGISTRY=$T/layout
stage=$BUILD/stage/hello
[ -d "$stage" ] || skip_all "no $stage"
image=$(ls "$stage/images")
kernel() { # NAME, then its image on stdin
	mkdir "$T/$1" && cp -r "$stage/." "$T/$1"
	sed -i "s/^name *=.*/name = $1/" "$T/$1/kernel.conf"
	rm -f "$T/$1/images/$image"
	cat >"$T/$1/images/$image"
	"$DIVERFS" publish "$T/$1" "$REGISTRY" >/dev/null
}
echo "I am a text" | kernel text
: | kernel empty
head -c 60 "$stage/images/$image" | kernel truncated
{ head -c 4 "$stage/images/$image"; head -c 100000 /dev/urandom; } | kernel garbled
# An ELF without the note that PVH wants: any program of this machine.
kernel program <"/bin/true"

mount_registry
for k in text empty truncated garbled program; do
	timeout 60 "$M/kernels/$k/1.0/run" </dev/null >"$T/out" 2>"$T/err"
	like "$k: refused" $? '^12[56]$'
	like "$k: with words" "$(cat "$T/err")" "$image|$k|format|image"
done
is "no instance is left" "$(ls "$M/run")" new
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
