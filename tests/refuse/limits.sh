#!/bin/bash
# SPDX-License-Identifier: MIT
# Too little memory for a kernel, too much for the mount, too many instances.
. "$(dirname "$0")/../lib.sh"

try() { timeout "$SLOW" bash -c "echo fullVM >'$M/run/$1/deploy'"; }

mount_registry -o memory=64M,instances=2
mkdir "$M/run/small"
fails "memory too small" "Invalid" bash -c "printf 'kernel = hello\nmemory = 1M\n' >'$M/run/small/config'"
like "error says how much it takes" "$(cat "$M/run/small/error")" 'at least [0-9]+M'
put 'kernel = hello' "$M/run/small/config"
ok "the same with its own memory" try small

instance a 'kernel = upper' 'memory = 32M'
instance b 'kernel = upper' 'memory = 48M'
ok "32M of 64M" try a
fails "48M more are refused" "memory|[Rr]esource|Quota|exceeded|space" try b
like "error says what is free" "$(cat "$M/run/b/error")" '32 ?M'
printf 'kernel = upper\nmemory = 16M\n' >"$M/run/b/config"
ok "16M more are not" try b
instance c 'kernel = upper' 'memory = 8M'
fails "a third instance is refused" "." try c
like "error says how many may run" "$(cat "$M/run/c/error")" '2'
ok "stop one" put stop "$M/run/a/ctl"
wait_for "stopped" state_is a exited
ok "then there is room" try c
for i in b c; do put kill "$M/run/$i/ctl"; done
wait_for "b ended" state_is b exited
wait_for "c ended" state_is c exited

mkdir "$M/run/k"
fails "more processors than the kernel takes" "Invalid" bash -c "printf 'kernel = hello\ncpus = 200\n' >'$M/run/k/config'"
like "error says how many" "$(cat "$M/run/k/error")" 'cpus|processor'
if grep -q '^fullVM.*kvm' "$M/modes" && ! grep -q '^fullVM.*kvm[^:]*\(unavailable\|not\)' "$M/modes"; then
	skip "accel = kvm without KVM" "KVM works here"
else
	instance v 'kernel = hello' 'accel = kvm'
	fails "accel = kvm without KVM" "." try v
	like "error says why" "$(cat "$M/run/v/error")" 'kvm|KVM'
fi
rm -r "$M"/run/*/
is "rm -r run/*/ leaves new" "$(ls "$M/run")" new
