#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# splitVM with a specialised kernel that fails in all the ways it can, through the mount: each is told in words, ends the instance
# in a known state, leaves nothing behind, and the next deploy works. What the Linux beside it can do wrong: split-ros-faults.sh.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

split_begin
faulty x

ends fault failed 134 panic 'the kernel failed, and the ROS lived on: .*CPU 0: vector 14, error 0x2, .*cr2 0xdead000'
ends panic failed 134 panic 'the kernel failed, and the ROS lived on: .*because it was asked to'
ends rings exited 55 guest '^$'
like "nonsense in rings is told" "$(cat events)" 'the kernel says that [0-9]+ bytes are in a ring of [0-9]+'
ends overwrite failed 134 'reset|ros-panic' 'the machine was reset: the ROS, or the kernel by a triple fault|the ROS panicked'
ends "exit 9" exited 9 guest '^$'

# A kernel that listens to nobody.
wanted runaway
ok "deploy a runaway" put splitVM deploy
wait_for "it runs" seen 1 '^running'
ok "reset-hrt" put reset-hrt ctl
wait_for "it begins anew" seen 2 '^running'
is "under the same Linux" "$(grep -c '^ros ' timeline)" 1
ok "reset" put reset ctl
wait_for "the whole machine does" seen 3 '^running'
is "with a Linux of its own" "$(grep -c '^ros ' timeline)" 2
ok "stop" put stop ctl
is "it is killed, as it does not stop" "$(cat wait) $(cat state)" "137 exited"
like "which was asked for" "$(cat events)" 'stop: asked for'

wanted restart
ok "deploy a kernel that asks to begin anew, again and again" put splitVM deploy
anew() { [ "$(grep -c 'begins anew' "$T/events")" -ge 3 ]; }
timeout "$SLOW" cat events >"$T/events" &
wait_for "it does" anew
ok "kill" put kill ctl
is "killed" "$(cat wait)" 137
wait $!

# Processes that are killed.
wanted runaway
ok "deploy" put splitVM deploy
# shellcheck disable=SC2046
kill -KILL $(processes '^[^ ]*qemu-system')
is "kill -9 of QEMU" "$(cat wait) $(cat state)" "125 failed"
like "is told" "$(cat error)" 'QEMU was ended by signal 9'
ok "deploy" put splitVM deploy
# shellcheck disable=SC2046
kill -KILL $(processes '^[^ ]*/diverfs-splitvm')
is "kill -9 of the deployer" "$(cat wait) $(cat state)" "125 failed"
like "is told" "$(cat error)" 'the deployer was killed by signal 9 .*, and its machine with it'
wait_for "and ends QEMU" no_process 'qemu-system'

ends hello exited 0 guest '^$'
like "the last one is in order" "$(cat console)" '^hello from 1 CPU'
is "no interrupts that nobody asked for" "$(grep -c 'nobody asked for' "$T/all-events")" 0
split_over
