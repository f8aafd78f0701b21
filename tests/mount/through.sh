#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that is in the cache as a whole and was read once is read by the kernel alone, where it can (Linux 6.9, root):
# also while the daemon stands still. What was changed in the cache since is not shown, and who reads by requests and who
# does not never meet in one file.
# shellcheck disable=SC2034
. "$(dirname "$0")/../lib.sh"

mkdir -p "$T/k/images"
head -c 9000000 /dev/urandom >"$T/k/images/a.img"
head -c 3000000 /dev/urandom >"$T/k/images/b.img"
echo '# k' >"$T/k/README.md"
printf '%s\n' 'name = k' 'version = 1' 'description = Random.' 'arch = x86_64' 'modes = fullVM' \
	'image = images/a.img' 'memory = 16M' >"$T/k/kernel.conf"
"$DIVERFS" publish "$T/k" "$T/layout" >/dev/null || exit 1
REGISTRY=$T/layout
I=$M/kernels/k/1/images
sum=$(sha256sum <"$T/k/images/a.img")

can() { # this kernel, and we
	local release
	release=$(uname -r)
	[ "$(id -u)" = 0 ] && [ "$(printf '%s\n' 6.9 "$release" | sort -V | head -n 1)" = 6.9 ]
}
# Of what is open as 3, while the daemon is stopped; it goes on in any case.
alone() {
	local pid
	pid=$(daemon_pid)
	kill -STOP "$pid"
	timeout 20 sha256sum <&3
	kill -CONT "$pid"
}
vouched() { # the file of marks tells it, after the marks of 128 KiB each
	local pack size at
	for size in 9000000 3000000; do
		pack=$(find "$T/cache/packs" -type f -size "${size}c")
		at=$(((size + 131071) / 131072))
		[ "$(tail -c +$((at * 8 + 1)) "$pack.have" | head -c 32 | tr -d '\0' | wc -c)" -gt 8 ] || return 1
	done
}
opens() { # many times, each reading some of it
	local i
	for i in $(seq 40); do
		cmp -n 200000 -i "$((i * 70000))" "$I/a.img" "$T/k/images/a.img" || return 1
	done
}
crowd() {
	local p pids=() bad=0
	for i in 1 2 3 4 5 6; do
		opens & pids+=($!)
	done
	cmp "$I/a.img" "$T/k/images/a.img" || bad=1
	for p in "${pids[@]}"; do wait "$p" || bad=1; done
	return $bad
}

mount_registry
ok "it is opened and closed by many while it comes" crowd
ok "all of both is read" cmp "$I/b.img" "$T/k/images/b.img"
is "it is right" "$(sha256sum <"$I/a.img")" "$sum"
can && wait_for "all is here, and that it is sound is written down" vouched
ok "unmounts" unmount_registry

if can; then
	mount_registry
	exec 3<"$I/a.img"
	is "mounted anew, it is read while the daemon stands still" "$(alone)" "$sum"
	exec 4<"$I/a.img"
	is "who opens it, too, sees the same" "$(sha256sum <&4)" "$sum"
	ok "also in a mapping" bash -c "'$TOOLS/mount/mapped' '$I/a.img' 4096000 | cmp - <(tail -c +4096001 '$T/k/images/a.img' | head -c 4096)"
	ok "and past the page cache" bash -c "dd if='$I/a.img' bs=1M iflag=direct status=none | cmp - '$T/k/images/a.img'"
	ok "a crowd of readers" crowd
	exec 4<&-
	rm -rf "$T/cache"
	is "what is open stays when the cache is taken away" "$(sha256sum <"/proc/self/fd/3")" "$sum"
	exec 3<&-
	ok "unmounts" unmount_registry
	mount_registry
	cat "$I"/*.img >/dev/null
	wait_for "what was taken away is there again" vouched
	unmount_registry
else
	skip "it is read while the daemon stands still" "wants root and Linux 6.9"
fi

pack=$(find "$T/cache/packs" -type f -size 9000000c)
printf 'something else' | dd of="$pack" bs=1 seek=5000000 conv=notrunc status=none
mount_registry
is "bytes that were changed in the cache are not shown" "$(sha256sum <"$I/a.img")" "$sum"
like "the log tells of them" "$(cat "$M/log")" "damaged"
is "nor when it is opened again" "$(sha256sum <"$I/a.img")" "$sum"
ok "unmounts" unmount_registry
mount_registry
is "nor in another mount" "$(sha256sum <"$I/a.img")" "$sum"
ok "unmounts" unmount_registry
