#!/bin/bash
# SPDX-License-Identifier: MIT
# After kill -9 of the daemon, mounting again heals the dead mount point.
. "$(dirname "$0")/../lib.sh"

mount_registry
pid=$(daemon_pid)
cat "$M/kernels/hello/1.0/README.md" >/dev/null
kill -KILL "$pid"
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
fails "the dead mount says so" "Transport endpoint|connection abort" ls "$M"
mount_registry
ok "mounting again heals it" test -e "$M/README"
is "only one mount is there" "$(grep -c " $M " /proc/self/mountinfo)" 1
ok "content is right" cmp "$M/kernels/hello/1.0/manifest" \
	"$REGISTRY/blobs/sha256/$(sed 's/sha256://' "$M/kernels/hello/1.0/digest")"
ok "unmounts" unmount_registry
