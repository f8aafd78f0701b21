#!/bin/bash
# SPDX-License-Identifier: MIT
# 500 readers that wait do not slow those who need not.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance u 'kernel = upper'
ok "launch" put fullVM "$M/run/u/deploy"
listing_ms() {
	local began
	began=$(date +%s%N)
	timeout "$SLOW" ls -lR "$M/kernels" >/dev/null || return 1
	echo $((($(date +%s%N) - began) / 1000000))
}
listing_ms >/dev/null
before=$(listing_ms)
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
ok "ls -lR takes no longer: ${before} ms before, $(listing_ms) ms with them" \
	test "$(listing_ms)" -lt $((before * 3 + 300))
ok "a file's content comes at once" timeout 10 cat "$M/kernels/hello/1.0/README.md"
kill "${readers[@]:0:100}"
killed() { ! kill -0 "${readers[@]:0:100}" 2>/dev/null; }
wait_for "100 of them can be killed" killed
ok "stop" put stop "$M/run/u/ctl"
wait "${readers[@]:100}"
ok "the others end with the kernel" true
ok "rmdir" rmdir "$M/run/u"
