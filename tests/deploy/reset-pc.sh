#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034
# ctl reset of a machine with a BIOS, which then resets it once more by itself: the kernel begins anew, and runs on.
. "$(dirname "$0")/../lib.sh"

[ -e "$BUILD/stage/linux/kernel.conf" ] || skip_all "there is no kernel linux"
SLOW=120
mount_registry
instance l 'kernel = linux' 'machine = pc' 'args = sh -c "echo here; sleep 1000"'
cd "$M/run/l" || exit 1
says() { [ "$(timeout 1 cat console | grep -ac '^here')" = "$1" ]; }
ok "deploy" put fullVM deploy
wait_for "it runs" says 1
ok "reset" put reset ctl
wait_for "it begins anew" says 2
is "and runs" "$(cat state)" running
ok "kill" put kill ctl
is "its end" "$(cat wait)" 137
cd / || exit 1
