#!/bin/bash
# SPDX-License-Identifier: MIT
# 500 readers that wait do not hold up those who need not.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance u 'kernel = upper'
ok "launch" put fullVM "$M/run/u/deploy"
readers=()
for ((i = 0; i < 500; i++)); do
	case $((i % 5)) in
	0) cat "$M/run/u/events" >/dev/null & ;;
	1) cat "$M/run/u/wait" >/dev/null & ;;
	*) cat "$M/run/u/console" >/dev/null & ;;
	esac
	readers+=($!)
done
all_wait() { # in the file system: the state of none is running
	local p
	for p in "${readers[@]}"; do
		[ "$(cut -d' ' -f3 <"/proc/$p/stat" 2>/dev/null)" = S ] || return 1
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = cat ] || return 1
	done
}
wait_for "500 readers wait" all_wait
ok "ls -lR comes to its end" timeout "$SLOW" ls -lR "$M/kernels"
ok "a file's content comes" timeout "$SLOW" cat "$M/kernels/hello/1.0/README.md"
ok "a deploy does its work" timeout "$SLOW" bash -c "mkdir '$M/run/h' && echo 'kernel = hello' >'$M/run/h/config' &&
	echo fullVM >'$M/run/h/deploy' && cat '$M/run/h/wait' && rm -r '$M/run/h'"
ok "and all 500 wait still" all_wait
kill "${readers[@]:0:100}"
killed() { ! kill -0 "${readers[@]:0:100}" 2>/dev/null; }
wait_for "100 of them can be killed" killed
ok "stop" put stop "$M/run/u/ctl"
wait "${readers[@]:100}"
ok "the others end with the kernel" true
ok "rmdir" rmdir "$M/run/u"
