#!/bin/bash
# SPDX-License-Identifier: MIT
# SOAK boots of one instance, each with its input and its answer; then the daemon is no larger than before.
. "$(dirname "$0")/../lib.sh"

n=${SOAK:-100}
mount_registry
instance u 'kernel = upper'
cd "$M/run/u" || exit 1
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status"; }
descriptors() { find "/proc/$(daemon_pid)/fd" | wc -l; }
once() {
	put fullVM deploy || return 1
	echo "line $1" >stdin
	[ "$(timeout "$SLOW" cat stdout)" = "LINE $1" ] || return 1
	[ "$(timeout "$SLOW" cat wait)" = 0 ]
}
for ((i = 0; i < 10; i++)); do once $i; done
rss=$(resident) fds=$(descriptors) bad=0
for ((i = 0; i < n; i++)); do once $i || bad=$((bad + 1)); done
is "of $n deploys failed" $bad 0
ok "memory: $rss KiB before, $(resident) after" test "$(resident)" -lt $((rss + 2048))
is "descriptors" "$(descriptors)" "$fds"
cd / || exit 1
ok "rm -r" rm -r "$M/run/u"
