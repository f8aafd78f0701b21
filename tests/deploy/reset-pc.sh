#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034
# ctl reset of a machine with a BIOS: the kernel begins anew, and runs on; also when the BIOS is reset in the middle of its work,
# which is when the machine has just been started.
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

launched() { state_in l "launching running" && grep -q '^launch ' timeline; }
for ((i = 1; i <= ${RESETS:-3}; i++)); do
	put fullVM deploy >/dev/null &
	deploying=$!
	wait_for "launch $i" launched
	ok "reset at once" put reset ctl
	wait $deploying
	is "it is deployed" $? 0
	wait_for "and says what it has to" says 1
	ok "kill" put kill ctl
	is "its end" "$(cat wait)" 137
done
cd / || exit 1
