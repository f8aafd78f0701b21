#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2211
# SOAK/2 whole machines of splitVM, and SOAK/5 kernels one after the other under one Linux: each comes up, and nothing is left.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

n=${SOAK:-100}
needs_splitvm reef
mount_registry
instance r 'kernel = reef' 'cpus = 2' 'args = echo line'
cd "$M/run/r" || exit 1
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status"; }
files() { find "$T" -xdev | wc -l; }
descriptors() { find "/proc/$(daemon_pid)/fd" | wc -l; }
once() {
	put splitVM deploy || return 1
	[ "$(timeout "$SLOW" cat console)" = line ] || return 1
	[ "$(timeout "$SLOW" cat wait)" = 0 ] && ! grep -q 'nobody asked for' events
}
for ((i = 0; i < 3; i++)); do once; done
wait_for "no machine of the first three is left" no_process 'qemu-system|/diverfs-splitvm '
rss=$(resident) fds=$(descriptors) files=$(files) bad=0 began=$SECONDS
for ((i = 0; i < n / 2; i++)); do once || bad=$((bad + 1)); done
is "of $((n / 2)) machines, in $((SECONDS - began)) s, failed" $bad 0
wait_for "no machine is left" no_process 'qemu-system|/diverfs-splitvm '
ok "memory of the daemon: $rss KiB before, $(resident) after" test "$(resident)" -lt $((rss + 2048))
ok "descriptors of the daemon: $fds before, $(descriptors) after" test "$(descriptors)" -le "$fds"
ok "files in cache, state, and for the moment: $files before, $(files) after" test "$(files)" -le "$((files + 3))" # logs grow

ok "a shell" bash -c 'sed "/^args/d" config >"$T/config" && cp "$T/config" config'
ok "deploy" put splitVM deploy
bad=0 began=$SECONDS
for ((i = 0; i < n / 5; i++)); do
	put reset-hrt ctl || bad=$((bad + 1))
done
is "of $((n / 5)) resets of the kernel, in $((SECONDS - began)) s, failed" $bad 0
put 'exit 6' console
is "the last one is in order" "$(timeout "$SLOW" cat wait)" 6
is "no interrupts that nobody asked for" "$(grep -c 'nobody asked for' events)" 0
cd / || exit 1
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
