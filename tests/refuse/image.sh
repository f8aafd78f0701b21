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
# A Linux that is none, or not all of it (as real as there is one).
linux() { # NAME, then its image on stdin
	mkdir "$T/$1" && cp "$stage/../hello/README.md" "$T/$1"
	sed "s/^name *=.*/name = $1/; s/^machine *=.*/machine = auto/" "$stage/kernel.conf" >"$T/$1/kernel.conf"
	mkdir "$T/$1/src" "$T/$1/src/app" "$T/$1/images"
	cat >"$T/$1/images/$image"
	"$DIVERFS" publish "$T/$1" "$REGISTRY" >/dev/null
}
{
	head -c 497 /dev/zero
	printf '\004\000\000\377\377\377\377\000\000\000\000\000\000\125\252\353\142HdrS\017\002'
	head -c 100000 /dev/zero
} | linux zlinux
real=$BUILD/stage/linux/images/vmlinuz
if [ -e "$real" ]; then
	head -c 5000000 "$real" | linux halflinux
else
	skip "half a Linux" "linux is not in this registry"
fi

mount_registry
for k in text empty truncated garbled program zlinux halflinux; do
	[ -e "$M/kernels/$k" ] || continue
	timeout 60 "$M/kernels/$k/1.0/run" </dev/null >"$T/out" 2>"$T/err"
	like "$k: refused" $? '^12[56]$'
	like "$k: with words" "$(cat "$T/err")" "$image|$k|format|image"
done
is "no instance is left" "$(ls "$M/run")" new
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
