#!/bin/bash
# SPDX-License-Identifier: MIT
# kill -9 of QEMU and of the deployer: the state is true, nothing is orphaned, readers come to an end.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance u 'kernel = upper'
cd "$M/run/u" || exit 1
one_each() { [ "$(processes 'qemu-system' | wc -l)" = 1 ] && [ "$(processes '/diverfs-fullvm ' | wc -l)" = 1 ]; }

for victim in qemu-system diverfs-fullvm; do
	ok "launch" put fullVM deploy
	ok "one machine runs, with one deployer" one_each
	cat console >/dev/null &
	reader=$!
	timeout "$SLOW" cat stdout >/dev/null &
	out=$!
	timeout "$SLOW" cat wait >"$T/wait" 2>"$T/wait.err" &
	waiter=$!
	# shellcheck disable=SC2046
	kill -KILL $(processes "$victim")
	wait_for "kill -9 $victim: failed, or exited by kill" state_in u "failed exited"
	wait $waiter
	like "kill -9 $victim: wait gives 137 or 125, or an error" "$(cat "$T/wait" "$T/wait.err")" '^(137|125)$|wait:'
	wait $reader
	is "kill -9 $victim: readers of the console end" $? 0
	wait $out
	is "kill -9 $victim: readers of stdout end" $? 0
	like "kill -9 $victim: error says so" "$(cat error)" '[a-z]'
	wait_for "kill -9 $victim: no process is left" no_process 'qemu-system|/diverfs-fullvm '
done
ok "it can be launched again" put fullVM deploy
ok "ctl kill" put kill ctl
wait_for "ends it" state_is u exited
is "with 137" "$(cat wait)" 137
cd / || exit 1
ok "rmdir" rmdir "$M/run/u"
