#!/bin/bash
# SPDX-License-Identifier: MIT
# Without a sandbox nothing is built, never unsandboxed, and what to do is said; kernels as they are still run.
. "$(dirname "$0")/../lib.sh"

attempt() { # NAME REGEX
	echo "/* $1 */" >>"$M/run/h/src/main.c"
	fails "$1: deploy of changed sources fails" "." timeout 60 bash -c "echo fullVM >'$M/run/h/deploy'"
	like "$1: error says what to do" "$(cat "$M/run/h/error")" "$2"
}

mount_registry -o "bwrap=/nonexistent/bwrap"
is "a kernel as it is still runs" "$(echo a | timeout "$SLOW" "$M/kernels/upper/1.0/run" 2>/dev/null)" A
instance h 'kernel = hello'
wait_for "src is filled" test -s "$M/run/h/src/main.c"
attempt "no bubblewrap" 'bubblewrap'
unmount_registry

# What bubblewrap says where user namespaces are turned off (it cannot be turned off for one test only).
cat >"$T/bwrap" <<'END'
#!/bin/sh
echo "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces." >&2
exit 1
END
chmod +x "$T/bwrap"
mount_registry -o "bwrap=$T/bwrap"
attempt "no user namespaces" 'namespace'
ok "rm -r" rm -r "$M/run/h"
