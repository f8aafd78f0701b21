#!/bin/bash
# SPDX-License-Identifier: MIT
# kill -9 of the daemon: the machine runs on; mounting again heals the mount and finds the instance as it is, with
# nothing of its output lost.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance u 'kernel = upper'
ok "launch" put fullVM "$M/run/u/deploy"
exec 7>"$M/run/u/stdin"
echo before >&7
wait_for "output before" says u BEFORE
machine=$(processes qemu-system)
kill -KILL "$(daemon_pid)"
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
exec 7>&-
ok "the machine runs on" kill -0 "$machine"
fails "files of the dead mount fail, and do not hang" "Transport endpoint|connection abort" timeout "$SLOW" ls "$M"

mount_registry
is "the instance is still there, running" "$(cat "$M/run/u/state")" running
is "with its config" "$(cat "$M/run/u/config")" "kernel = upper"
is "it is the same machine" "$(processes qemu-system)" "$machine"
wait_for "output before is there" says u BEFORE
exec 7>"$M/run/u/stdin"
echo after >&7
wait_for "output after is there, too" says u AFTER
exec 7>&-
is "end of input ends it" "$(timeout "$SLOW" cat "$M/run/u/wait")" 0
is "each line once" "$(cat "$M/run/u/console" | grep -cE 'BEFORE|AFTER')" 2
ok "rm -r" rm -r "$M/run/u"

# What was bound to an open run/new ends with the daemon's next start.
mkfifo "$T/in"
"$M/kernels/upper/1.0/run" <"$T/in" >/dev/null 2>&1 &
client=$!
exec 7>"$T/in"
running() { [ -n "$(processes qemu-system)" ]; }
wait_for "a run" running
kill -KILL "$(daemon_pid)"
wait $client
ok "a run fails when the daemon dies" test $? != 0
exec 7>&-
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
mount_registry
only_new() { [ "$(ls "$M/run")" = new ]; }
wait_for "its instance goes" only_new
wait_for "and its machine" no_process 'qemu-system|diverfs-fullvm'

# An instance that ended while no daemon was there.
instance v 'kernel = upper'
ok "launch" put fullVM "$M/run/v/deploy"
kill -KILL "$(daemon_pid)"
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
# shellcheck disable=SC2046
kill -KILL $(processes diverfs-fullvm)
wait_for "its machine is dead" no_process qemu-system
mount_registry
wait_for "the state is true: failed" state_in v "failed exited"
like "and error says so" "$(cat "$M/run/v/error")" '[a-z]'
ok "rm -r" rm -r "$M/run/v"
