#!/bin/bash
# SPDX-License-Identifier: MIT
# SOAK times: a machine, its deployer or the daemon is killed at a random moment; the state is true afterwards and
# the next deploy works.
. "$(dirname "$0")/../lib.sh"

n=${SOAK:-100}
mount_registry
instance u 'kernel = upper'
bad=0
for ((i = 0; i < n; i++)); do
	timeout "$SLOW" bash -c "echo fullVM >'$M/run/u/deploy'" 2>/dev/null &
	sleep 0.$((RANDOM % 10))
	case $((i % 3)) in
	0) victims=$(processes qemu-system) ;;
	1) victims=$(processes '/diverfs-fullvm ') ;;
	2) victims=$(daemon_pid) ;;
	esac
	# shellcheck disable=SC2086
	[ -n "$victims" ] && kill -KILL $victims 2>/dev/null
	wait
	if [ $((i % 3)) = 2 ]; then
		within "$SLOW" no_process "bin/diverfs .*$M"
		mount_registry
	fi
	timeout "$SLOW" bash -c "echo kill >'$M/run/u/ctl'" 2>/dev/null
	within "$SLOW" state_in u "exited failed built configured" || { bad=$((bad + 1)); echo "# $i: $(cat "$M/run/u/state")"; }
	within "$SLOW" no_process "qemu-system|/diverfs-fullvm " || { bad=$((bad + 1)); echo "# $i: orphans"; }
done
is "of $n kills left a wrong state" $bad 0
ok "rm -r" rm -r "$M/run/u"
