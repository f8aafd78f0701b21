#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034
# The words of ctl in each state of a splitVM: while its Linux comes up, while its kernel does, while that runs, and when all is
# over. Each answers at once, in words when it is no, and none hangs. fakevm stands in for QEMU.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

publish_fake

begin() {
	mount_registry -o "qemu=$T/fakevm"
	instance x 'kernel = fake' 'ros = linux' 'memory = 64M'
	cd "$M/run/x" || exit 1
}
scenario() { printf '%s\n' 'kernel = fake' 'ros = linux' 'memory = 64M' "cmdline = fake=$1" >config; }
linux_is_there() { state_is x launching && grep -q '^launch ' timeline && said x ros.console | grep -q '^Linux of the ROS'; }
resets() { [ "$(said x events | grep -c '^[^ ]* *reset')" -ge "$1" ]; }

# unborn SCENARIO WORD: the deploy is under way, and the kernel is not there yet
unborn() {
	scenario "$1"
	put splitVM deploy >"$T/deploy" 2>&1 &
	wait_for "$1: Linux is there" linux_is_there
	is "$1: state" "$(cat state)" launching
	fails "$1: reset-hrt has nothing to reset" "temporarily unavailable" put reset-hrt ctl
	like "$1: in words" "$(cat error)" 'reset-hrt: the kernel does not run at this moment'
	ok "$1: pause" put pause ctl
	wait_for "$1: it is paused" state_is x paused
	ok "$1: pause again" put pause ctl
	ok "$1: resume" put resume ctl
	wait_for "$1: it is launching again" state_is x launching
	ok "$1: reset" put reset ctl
	wait_for "$1: which is told" resets 1
	is "$1: and it is launching" "$(cat state)" launching
	ok "$1: resize" put 'resize 80 25' ctl
	ok "$1: delegate" put 'refuse mkdir' delegate
	ok "$1: $2" put "$2" ctl
	wait $!
	like "$1: deploy has failed" "$(cat "$T/deploy")" "Interrupted system call"
	is "$1: it was never launched" "$(cat state error | tr '\n' ' ')" "built cancelled "
	wait_for "$1: and no machine is left" no_process '^[^ ]*fakevm '
	: >delegate
}

export FAKE_MUTE=yes
begin
unborn mute stop
unborn mute kill
cd / && unmount_registry
unset FAKE_MUTE
begin
unborn dumb stop
unborn dumb kill

scenario run
ok "deploy" put splitVM deploy
ok "pause" put pause ctl
wait_for "it is paused" state_is x paused
ok "resize" put 'resize 80 25' ctl
ok "resume" put resume ctl
wait_for "it runs" state_is x running
ok "reset-hrt" put reset-hrt ctl
ok "reset" put reset ctl
wait_for "it runs again" state_is x running
fails "resize wants numbers" "Invalid" put 'resize 80' ctl
fails "there are words that are none" "Invalid" put 'reset-ros' ctl
like "those that are are said" "$(cat error)" 'the words are build, stop, kill'
ok "stop" put stop ctl
is "it ended as it was asked to" "$(cat wait) $(cat state)" "143 exited"

for word in stop kill pause resume reset reset-hrt 'resize 80 25'; do
	fails "$word: nothing is there" "No such process" put "$word" ctl
	like "$word: in words" "$(cat error)" "nothing runs"
done

# A kernel that does not stop is reset and stopped: the stop wins, however it comes.
scenario deaf
ok "deploy one that will not stop" put splitVM deploy
put reset-hrt ctl >/dev/null 2>&1 &
wait_for "reset-hrt waits for it" says x '^does not stop'
ok "stop" put stop ctl
is "it is killed" "$(cat wait) $(cat state)" "137 exited"
wait
cd / || exit 1
wait_for "nothing is left" no_process '^[^ ]*(fakevm|/diverfs-splitvm) '
