#!/bin/bash
# SPDX-License-Identifier: MIT
# Unmounting while kernels run stops them; with -o keep it leaves them.
. "$(dirname "$0")/../lib.sh"

running() { [ "$(processes qemu-system | wc -l)" = 1 ]; }

mount_registry
instance u 'kernel = upper'
ok "launch" put fullVM "$M/run/u/deploy"
cat "$M/run/u/console" >/dev/null &
ok "busy: a plain unmount says so or works" bash -c "fusermount3 -u '$M' || true"
kill $! 2>/dev/null
wait $! 2>/dev/null
mounted && ok "unmounts" fusermount3 -u "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
wait_for "and what ran" no_process "qemu-system|diverfs-fullvm"
mount_registry
is "the instance is there, ended" "$(cat "$M/run/u/state")" exited
ok "and is launched again" put fullVM "$M/run/u/deploy"
kill -TERM "$(daemon_pid)"
wait_for "SIGTERM unmounts while it runs" not_mounted
wait_for "and ends all" no_process "bin/diverfs .*$M|qemu-system|diverfs-fullvm"

mount_registry -o keep
ok "launch" put fullVM "$M/run/u/deploy"
ok "unmounts" fusermount3 -u "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
ok "-o keep: the machine runs on" running
mount_registry
is "and is found again" "$(cat "$M/run/u/state")" running
ok "stop" put stop "$M/run/u/ctl"
wait_for "stopped" state_is u exited
ok "rm -r" rm -r "$M/run/u"

# mount again at once: the new daemon waits for the one that still stops its kernels
instance u 'kernel = upper'
put fullVM "$M/run/u/deploy"
fusermount3 -u "$M"
mount_registry
is "mounted again at once: the state is true" "$(cat "$M/run/u/state")" exited
wait_for "and no machine runs" no_process "qemu-system|diverfs-fullvm"
ok "unmounts" fusermount3 -u "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"

# while it is being found out what the machine can do: with a QEMU that never ends
printf '#!/bin/sh\ncase $1 in --version) exec qemu-system-x86_64 --version;; esac\nexec sleep 1000\n' >"$T/qemu"
chmod 755 "$T/qemu"
mkdir "$T/tmp"
if [ -w /dev/kvm ]; then
	TMPDIR="$T/tmp" mount_registry -o "qemu=$T/qemu"
	wait_for "a small kernel is booted" eval '[ -n "$(processes "^sleep 1000")" ]'
	ok "unmounts meanwhile" fusermount3 -u "$M"
	wait_for "the daemon ends" no_process "bin/diverfs .*$M"
	is "and nothing is left of the probe" "$(processes "diverfs-fullvm|^sleep 1000")$(ls -A "$T/tmp")" ""
else
	skip "unmounts while a small kernel is booted" "no /dev/kvm"
fi
