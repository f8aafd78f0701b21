#!/bin/bash
# SPDX-License-Identifier: MIT
# Two mounts with one cache, eight readers each, all of it cold: every byte is right, and hardly one is fetched twice. Then
# the same with a small quota, where they evict under each other's hands.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../servers.sh"
need nginx

mkdir -p "$T/k/images" "$T/k/src" "$T/m2" "$T/state2"
for i in 1 2 3 4; do head -c 4000000 /dev/urandom >"$T/k/images/$i.img"; done
for i in $(seq 200); do head -c $((i * 97)) /dev/urandom >"$T/k/src/f$i"; done
echo '# k' >"$T/k/README.md"
printf '%s\n' 'name = k' 'version = 1' 'description = Random.' 'arch = x86_64' 'modes = fullVM' \
	'image = images/1.img' 'memory = 16M' >"$T/k/kernel.conf"
"$DIVERFS" publish "$T/k" "$T/layout" >/dev/null
static_server "$T/layout"
REGISTRY=http://$ADDR
size=$(du -s -B1 --apparent-size "$T/layout" | cut -f1)

second() { # OPTIONS: mounts once more
	"$DIVERFS" -o "cache=$T/cache,state=$T/state2$1" "$REGISTRY" "$T/m2"
}
cleanup() { fusermount3 -u -z "$T/m2" 2>/dev/null; }
read_all() { # MOUNT N: in an order of its own
	local dir=$1/kernels/k/1 files
	mapfile -t files < <(cd "$T/k" && find images src -type f | sort -R --random-source=<(yes "$2"))
	for f in "${files[@]}"; do cmp "$dir/$f" "$T/k/$f" || return 1; done
}
both() { # all readers at once
	local pids=() p bad=0
	for i in 1 2 3 4 5 6 7 8; do
		read_all "$M" "$i" >>"$T/wrong" 2>&1 &
		pids+=($!)
		read_all "$T/m2" "$((i + 8))" >>"$T/wrong" 2>&1 &
		pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || bad=1; done
	return $bad
}

mount_registry
ok "a second mount with the same cache" second ""
both
is "sixteen readers see the right bytes" "$?$(head -n 3 "$T/wrong")" 0
fetched=$(($(cat "$M/cache/fetched") + $(cat "$T/m2/cache/fetched")))
ok "both together fetched little more than there is ($fetched of $size)" [ "$fetched" -lt $((size * 12 / 10)) ]
ok "the second is unmounted" fusermount3 -u "$T/m2"
ok "the first, too" unmount_registry
within "$SLOW" no_process "bin/diverfs .*$T/m2"
rm -rf "$T/cache"

mount_registry -o quota=6M
ok "again, with a quota of a third" second ",quota=6M"
: >"$T/wrong"
both
is "all bytes are right" "$?$(head -n 3 "$T/wrong")" 0
ok "the quota is kept" [ "$(du -s -B1 "$T/cache" | cut -f1)" -le $((7 << 20)) ]
kill -KILL "$(daemon_pid)"
fusermount3 -u -z "$M"
ok "one daemon was killed: the other goes on" read_all "$T/m2" 1
mount_registry -o quota=6M
ok "and what it left is right" read_all "$M" 2
ok "verify finds nothing" put "verify full" "$M/cache/ctl"
ok "nothing at all" bash -c "! grep damaged '$M/log'"
fusermount3 -u "$T/m2"
ok "unmounts" unmount_registry # waits for both: one mount's name begins with the other's
