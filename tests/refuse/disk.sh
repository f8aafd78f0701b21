#!/bin/bash
# SPDX-License-Identifier: MIT
# A full disk below the cache or the state, and a state directory that cannot be written: a clear error, and what
# needs no disk works on.
. "$(dirname "$0")/../lib.sh"

[ "$(id -u)" = 0 ] || skip_all "a small tmpfs wants root"
mkdir -p "$T/cache" "$T/state"
cleanup() {
	umount -l "$T/cache" 2>/dev/null
	umount -l "$T/state" 2>/dev/null
}
mount -t tmpfs -o size=4m tmpfs "$T/state" 2>/dev/null || skip_all "no tmpfs can be mounted here"
fill() { dd if=/dev/zero of="$1/filler" bs=64k status=none 2>/dev/null; true; }

mount_registry
instance h 'kernel = hello'
within "$SLOW" state_in h "built configured failed exited"
fill "$T/state"
fails "a full state: writing to src fails with the right word" "No space left" \
	bash -c "head -c 100000 /dev/zero >'$M/run/h/src/big'"
rm -f "$M/run/h/src/big"
ok "reading goes on" cat "$M/kernels/hello/1.0/README.md" "$M/run/h/config" "$M/status"
timeout 60 bash -c "mkdir '$M/run/x' && echo 'kernel = upper' >'$M/run/x/config' && echo fullVM >'$M/run/x/deploy'" 2>"$T/err"
ok "an instance works or says that the disk is full: $(tail -n 1 "$T/err")" \
	bash -c "[ ! -s '$T/err' ] || grep -q 'No space left' '$T/err'"
rm -f "$T/state/filler"
rm -r "$M/run/x" 2>/dev/null || { put kill "$M/run/x/ctl"; within "$SLOW" state_is x exited; rm -r "$M/run/x"; } 2>/dev/null
ok "with space again, it works" timeout "$SLOW" bash -c "echo fullVM >'$M/run/h/deploy'"
is "exit" "$(timeout "$SLOW" cat "$M/run/h/wait")" 0
rm -r "$M/run/h"
unmount_registry
umount "$T/state"

mount -t tmpfs -o size=1m tmpfs "$T/cache"
"$DIVERFS" -o "cache=$T/cache,state=$T/state" "$REGISTRY" "$M" >"$T/err" 2>&1
fill "$T/cache"
if mounted; then
	timeout 60 cat "$M/kernels/count/1.0/images/"* >/dev/null 2>"$T/err"
	ok "a full cache: content is read, or the error is 'No space left', never EIO" \
		bash -c "! grep -v 'No space left' '$T/err'"
	ok "the tree is there" ls -lR "$M/kernels"
	unmount_registry
else
	like "a full cache: the mount says so" "$(cat "$T/err")" "No space left"
fi
umount "$T/cache"

mount -t tmpfs -o ro tmpfs "$T/state"
fails "a read-only state directory: the mount fails with words" "Read-only" \
	"$DIVERFS" -o "cache=$T/cache,state=$T/state" "$REGISTRY" "$M"
ok "nothing is mounted" not_mounted
umount "$T/state"
