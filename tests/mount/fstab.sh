#!/bin/bash
# SPDX-License-Identifier: MIT
# mount -t fuse.diverfs, and a line of /etc/fstab. mount(8) looks for diverfs in the system's directories only, and gives
# it an environment without PATH and XDG directories; so this test has a /usr/local/bin of its own.
if [ "$(id -u)" = 0 ] && [ -z "${OWN_MOUNTS:-}" ]; then
	exec env OWN_MOUNTS=yes unshare -m --propagation private "$0"
fi
. "$(dirname "$0")/../lib.sh"

[ "$(id -u)" = 0 ] || skip_all "mount(8) wants root"
[ -x /sbin/mount.fuse3 ] || skip_all "no mount.fuse3"
mkdir -p "$M" "$T/cache" "$T/state" "$T/bin"
ln -s "$DIVERFS" "$T/bin/diverfs"
mount --bind "$T/bin" /usr/local/bin || skip_all "nothing can be mounted here"
cleanup() { umount /usr/local/bin; }

o="cache=$T/cache,state=$T/state"
ok "mount -t fuse.diverfs" mount -t fuse.diverfs -o "$o" "$REGISTRY" "$M"
ok "it is there" test -e "$M/kernels/hello/1.0/README.md"
like "the mount table says what it is" "$(grep " $M " /proc/self/mounts)" "fuse\.diverfs"
is "a kernel runs" "$(echo a | timeout "$SLOW" "$M/kernels/upper/1.0/run" 2>"$T/err")" A
ok "umount" umount "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"

echo "$REGISTRY $M fuse.diverfs $o,nodev,nosuid,noatime 0 0" >"$T/fstab"
ok "mount -a from an fstab" mount -a -T "$T/fstab"
ok "it is there" test -e "$M/kernels/hello/1.0/README.md"
ok "umount" umount "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
