#!/bin/bash
# SPDX-License-Identifier: MIT
# An instance from mkdir to rm -r, by hand.
. "$(dirname "$0")/../lib.sh"

mount_registry
cd "$M" || exit 1
ok "mkdir makes one" mkdir run/h
is "it is new" "$(cat run/h/state)" new
is "wait: it was never launched" "$(cat run/h/wait 2>&1 | grep -o 'No data available')" "No data available"
fails "deploy without a config" "." put fullVM run/h/deploy
like "error says what to do" "$(cat run/h/error)" 'kernel *='
ok "config" put 'kernel = hello' run/h/config
is "config reads as written" "$(cat run/h/config)" "kernel = hello"
like "src is filled" "$(ls run/h/src)" 'main\.c'
ok "deploy returns when it runs, or is built and ran" put fullVM run/h/deploy
like "the current mode is marked" "$(cat run/h/deploy)" '\[fullVM\]'
like "console" "$(timeout "$SLOW" cat run/h/console)" '[Hh]ello'
is "wait gives the exit code" "$(timeout "$SLOW" cat run/h/wait)" 0
is "it has exited" "$(cat run/h/state)" exited
like "status" "$(cat run/h/status)" '^accel +(auto|kvm|tcg)'
like "status knows how it ended" "$(cat run/h/status)" '^(exit|status|how)'
like "timeline" "$(cat run/h/timeline)" 'launch'
like "the console is kept" "$(cat run/h/console)" '[Hh]ello'
is "error is empty" "$(cat run/h/error)" ""
ok "again" put fullVM run/h/deploy
is "and again it exits" "$(timeout "$SLOW" cat run/h/wait)" 0
fails "an existing name" "File exists" mkdir run/h
ok "rm -r removes it" rm -r run/h
is "nothing is left" "$(ls run)" new

instance args 'kernel = fail' 'args = 42'
ok "args reach the kernel" put fullVM run/args/deploy
is "which exits with them" "$(timeout "$SLOW" cat run/args/wait)" 42

instance up 'kernel = upper'
ok "a kernel that waits for input" put fullVM run/up/deploy
is "runs when the echo returns" "$(cat run/up/state)" running
fails "rmdir while it runs" "[Bb]usy" rmdir run/up
fails "deploy while it runs" "[Bb]usy" put fullVM run/up/deploy
ok "ctl stop" put stop run/up/ctl
wait_for "stops it" state_is up exited
ok "rmdir" rmdir run/up
fails "a word that ctl does not know" "Invalid" put jump run/args/ctl
like "ctl reads the words it takes" "$(cat run/args/ctl)" 'kill'
ok "rmdir" rmdir run/args

exec 5<run/new
read -r name <&5
ok "run/new makes one while it is open" test -d "run/$name"
exec 5<&-
wait_for "and ends it when it is closed" gone "run/$name"
cd / || exit 1
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
