#!/bin/bash
# SPDX-License-Identifier: MIT
# Ten times as much is read as the cache may hold: no error, within the quota, and what is open stays.
. "$(dirname "$0")/../lib.sh"

kernel() { # NAME BYTES: publishes a kernel whose image is random
	mkdir -p "$T/k/images"
	head -c "$2" /dev/urandom >"$T/k/images/a.img"
	echo "# $1" >"$T/k/README.md"
	printf '%s\n' "name = $1" 'version = 1' 'description = Random.' 'arch = x86_64' 'modes = fullVM' \
		'image = images/a.img' 'memory = 16M' >"$T/k/kernel.conf"
	"$DIVERFS" publish "$T/k" "$T/layout" >/dev/null && sha256sum <"$T/k/images/a.img" >>"$T/sums"
}
used() { du -s -B1 "$T/cache" | cut -f1; }

for i in $(seq 20); do kernel "k$i" 5000000; done
REGISTRY=$T/layout mount_registry -o quota=10M
exec 3<"$M/kernels/k1/1/images/a.img"
head -c 1000000 <&3 >/dev/null
for i in $(seq 20); do sha256sum <"$M/kernels/k$i/1/images/a.img"; done >"$T/got"
is "all bytes are right" "$(cat "$T/got")" "$(cat "$T/sums")"
ok "the cache is within its quota ($(used) bytes)" [ "$(used)" -le $((11 << 20)) ]
like "what was open is there" "$(cat "$M/kernels/k1/1/cached")" '^here 5000000'
exec 3<&-
fails "a quota that is none" "quota" "$DIVERFS" -o quota=lots "$T/layout" "$T/other"
ok "unmounts" unmount_registry

# A disk that is full although the quota is not.
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=12m tmpfs "$T/cache" 2>/dev/null; then
	cleanup() { umount -l "$T/cache" 2>/dev/null; }
	REGISTRY=$T/layout mount_registry -o quota=1G
	for i in $(seq 20); do sha256sum <"$M/kernels/k$i/1/images/a.img"; done >"$T/got"
	is "on a full disk, all bytes are right" "$(cat "$T/got")" "$(cat "$T/sums")"
	like "and the last is kept" "$(cat "$M/kernels/k20/1/cached")" '^here 5000000'
	ok "unmounts again" unmount_registry
	umount "$T/cache"
else
	skip "on a full disk, all bytes are right" "a small tmpfs wants root"
fi
