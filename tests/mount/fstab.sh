#!/bin/bash
# SPDX-License-Identifier: MIT
# mount -t fuse.diverfs, and a line of /etc/fstab.
. "$(dirname "$0")/../lib.sh"

[ "$(id -u)" = 0 ] || skip_all "mount(8) wants root"
[ -x /sbin/mount.fuse3 ] || skip_all "no mount.fuse3"
mkdir -p "$M" "$T/cache" "$T/state"
export PATH="$BUILD/bin:$PATH"
o="cache=$T/cache,state=$T/state"
ok "mount -t fuse.diverfs" mount -t fuse.diverfs -o "$o" "$REGISTRY" "$M"
ok "it is there" test -e "$M/kernels/hello/1.0/README.md"
like "the mount table says what it is" "$(grep " $M " /proc/self/mounts)" "fuse\.diverfs"
ok "umount" umount "$M"
within "$SLOW" no_process "bin/diverfs .*$M"

echo "$REGISTRY $M fuse.diverfs $o,nodev,nosuid,noatime 0 0" >"$T/fstab"
ok "mount -a from an fstab" mount -a -T "$T/fstab"
ok "it is there" test -e "$M/kernels/hello/1.0/README.md"
ok "umount" umount "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
