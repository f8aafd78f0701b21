#!/bin/bash
# SPDX-License-Identifier: MIT
# A deploy that takes long: signals that mean "stop" cancel it, the end of a background job does not.
. "$(dirname "$0")/../lib.sh"

REGISTRY=$T/layout
cp -r "$BUILD/stage/hello" "$T/slow" || skip_all "no staged kernel in $BUILD/stage/hello"
sed -i -E 's/^name *=.*/name = slow/; s/^build *= *(.*)/build = sleep 6 \&\& \1/' "$T/slow/kernel.conf"
"$DIVERFS" publish "$T/slow" "$REGISTRY" >/dev/null
mount_registry
instance s 'kernel = slow'
cd "$M/run/s" || exit 1

# The job ends while the deploy waits for the build.
ok "the end of a background job does not disturb a deploy" timeout "$((3 * SLOW))" bash -c \
	'{ until grep -q "^building" state; do sleep 0.05; done; } & echo fullVM >deploy'
timeout "$SLOW" cat wait >/dev/null

for signal in INT TERM KILL; do
	echo "/* $signal */" >>src/main.c
	env --default-signal=INT bash -c 'echo fullVM >deploy' 2>/dev/null &
	deploy=$!
	wait_for "$signal: building" state_is s building
	kill -s $signal $deploy
	wait $deploy 2>/dev/null
	is "$signal cancels it: the echo ends by it" $? $((128 + $(kill -l $signal)))
	wait_for "$signal: the state is true" state_in s "configured built failed exited"
	wait_for "$signal: no build is left" no_process 'diverfs-build|bwrap|qemu-system'
done
echo "/* stop */" >>src/main.c
bash -c 'echo fullVM >deploy' 2>"$T/err" &
wait_for "building" state_is s building
ok "ctl stop" put stop ctl
wait $!
ok "the deploy fails" test $? != 0
wait_for "no build is left" no_process 'diverfs-build|bwrap'
ok "and then it works" timeout "$((3 * SLOW))" bash -c 'echo fullVM >deploy'
is "exit" "$(timeout "$SLOW" cat wait)" 0
left=0
echo 'build = sleep 1000' >>config
for i in $(seq 30); do # as early as can be: while bubblewrap makes the sandbox
	bash -c 'echo fullVM >deploy' 2>/dev/null &
	for _ in $(seq 2000); do state_is s building && break; done
	for _ in $(seq 500); do pgrep -x bwrap >/dev/null && break; done # another test's does no harm
	sleep 0.00$((i % 7))
	put kill ctl
	wait $!
	within "$SLOW" no_process 'diverfs-build|bwrap' || { left=$((left + 1)) && break; }
done
is "30 builds killed at their beginning leave nothing" $left 0
cd / || exit 1
ok "rm -r" rm -r "$M/run/s"
