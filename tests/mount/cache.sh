#!/bin/bash
# SPDX-License-Identifier: MIT
# cache/: numbers that are true, and what ctl does: prefetch, pin, unpin, gc, verify.
. "$(dirname "$0")/../lib.sh"

ctl() { put "$1" "$M/cache/ctl"; }
here() { sed -n 's/^here //p' "$M/kernels/$1/cached"; }
total() { sed -n 's/^total //p' "$M/kernels/$1/cached"; }
log_has() { grep -qE -- "$1" "$M/log"; }

mount_registry
is "what is in cache/" "$(ls "$M/cache" | tr '\n' ' ')" "ctl fetched objects quota used "
for f in used quota objects fetched; do
	ok "$f is a number" grep -qxE '[0-9]+' "$M/cache/$f"
done
like "ctl says what it takes" "$(cat "$M/cache/ctl")" '^prefetch pin unpin gc verify$'
like "status has the quota" "$(cat "$M/status")" 'cache .* used of .*objects'

is "a new cache has nothing of sort" "$(here sort/1.0)" 0
before=$(cat "$M/cache/fetched")
ok "prefetch" ctl "prefetch sort:1.0"
is "then all is here" "$(here sort/1.0)" "$(total sort/1.0)"
ok "and was fetched" [ "$(cat "$M/cache/fetched")" -gt "$before" ]
before=$(cat "$M/cache/fetched")
ok "what is here is not fetched again" bash -c "cat '$M'/kernels/sort/1.0/images/* '$M'/kernels/sort/1.0/src/*/*.c >'$T/all'"
is "really not" "$(cat "$M/cache/fetched")" "$before"
ok "by digest" ctl "prefetch upper@$(cat "$M/kernels/upper/1.0/digest")"
is "that is all here, too" "$(here upper/1.0)" "$(total upper/1.0)"

fails "no such word" "Invalid argument" ctl "explode"
ok "and the log says so" log_has 'cache/ctl: "explode"'
fails "prefetch without a name" "Invalid argument" ctl "prefetch"
fails "too many words" "Invalid argument" ctl "gc now please"
fails "too long a command" "Invalid argument" dd if=/dev/zero of="$M/cache/ctl" bs=5000 count=1
ok "of which the log tells, too" log_has 'cache/ctl takes one command a write'
fails "no such kernel" "No such file" ctl "prefetch nosuch:1"
fails "no such tag" "No such file" ctl "pin sort:9"
fails "unpin of what is not pinned" "No such file" ctl "unpin sort:1.0"
fails "numbers are not written" "Permission denied|Read-only" put 1 "$M/cache/used"
if [ "$(id -u)" = 0 ]; then
	fails "only the owner writes to ctl" "denied" setpriv --reuid=65534 --clear-groups bash -c "echo gc >'$M/cache/ctl'"
else
	skip "only the owner writes to ctl" "not root"
fi

ok "verify: all is good" ctl verify
ok "verify full, too" ctl "verify full"
ok "and the log says so" log_has 'verify full: .* all are good'
biggest=$(find "$T/cache/packs" -type f ! -name '*.have' -printf '%b %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
chmod u+w "$biggest"
printf X | dd of="$biggest" bs=1 seek=5000 conv=notrunc status=none
victim=$(find "$T/cache/objects" -type f | head -n 1)
chmod u+w "$victim"
echo rot >>"$victim"
ok "verify of what has rotted" ctl verify
ok "it is dropped and named" log_has "chunk [0-9]+ of pack $(basename "$biggest") is damaged"
ok "the object, too" log_has "object $(basename "$victim") has rotted"
ok "and counted" log_has 'verify: .* [0-9]+ were damaged'
ok "verify again finds nothing" ctl verify
ok "gc" ctl gc
for k in sort upper; do
	ok "$k is whole: fetched again" cmp "$M/kernels/$k/1.0/images/$k.elf" "$BUILD/stage/$k/images/$k.elf"
done
ok "unmounts" unmount_registry

# Pinned content stays when ten times the quota is read.
mkdir -p "$T/k/images"
for i in $(seq 12); do
	head -c 3000000 /dev/urandom >"$T/k/images/a.img"
	echo "# k$i" >"$T/k/README.md"
	printf '%s\n' "name = k$i" 'version = 1' 'description = Random.' 'arch = x86_64' 'modes = fullVM' \
		'image = images/a.img' 'memory = 16M' >"$T/k/kernel.conf"
	"$DIVERFS" publish "$T/k" "$T/layout" >/dev/null
done
rm -rf "$T/cache"
REGISTRY=$T/layout mount_registry -o quota=8M
ok "pin" ctl "pin k1:1"
for i in $(seq 2 12); do cat "$M/kernels/k$i/1/images/a.img" >/dev/null || echo "# k$i failed"; done
is "pinned content is there" "$(here k1/1)" 3000000
ok "the quota is kept" [ "$(du -s -B1 "$T/cache" | cut -f1)" -le $((9 << 20)) ]
ok "unmounts" unmount_registry
REGISTRY=$T/layout mount_registry -o quota=8M
ok "pin another, with another mount" ctl "pin k2:1"
fails "what does not fit is not pinned" "No space left" ctl "pin k3:1"
ok "the log says what to do" log_has 'k3:1: .*quota'
fails "and it is not" "No such file" ctl "unpin k3:1"
is "the first is still there" "$(here k1/1)" 3000000
ok "unpin" ctl "unpin k1:1"
for i in $(seq 3 12); do cat "$M/kernels/k$i/1/images/a.img" >/dev/null || echo "# k$i failed"; done
ok "unpinned, it goes" [ "$(here k1/1)" -lt 3000000 ]
is "the other stays" "$(here k2/1)" 3000000
