#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# splitVM: a machine split between a Linux and reef. What runs in fullVM runs there, with the same output; reef begins anew under
# the living Linux; and its faults are told. (What a ROS that fails looks like: split-agent.sh, cokernel.sh.)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

needs_splitvm reef
mount_registry
modes_known() { ! grep -q unknown "$M/modes"; }
wait_for "modes are known" modes_known
like "splitVM is available" "$(cat "$M/modes")" '^splitVM available tcg|^splitVM available kvm'

# The same bytes in both modes.
same() { # KERNEL ARGUMENT...
	local k=$1 full split
	shift
	"$M/kernels/$k/"*/run -d fullVM -- "$@" </dev/null >"$T/full" 2>"$T/err"
	full=$?
	timeout "$SLOW" "$M/kernels/$k/"*/run -d splitVM -- "$@" </dev/null >"$T/split" 2>"$T/err"
	split=$?
	is "$k $*: the same status" $split $full
	is "$k $*: the same output" "$(sha256sum <"$T/split")" "$(sha256sum <"$T/full")"
}
same fannkuch 7
same nbody 1000
same mandelbrot 64
same matmul 64 2
# (All of them: soak/split-apps.sh.)

# The shell, and what an instance shows.
instance r 'kernel = reef' 'memory = 64M' 'cpus = 2'
cd "$M/run/r" || exit 1
put splitVM deploy &
deploying=$!
launching() { state_in r "launching running" && grep -q '^launch' timeline; }
wait_for "it is being launched" launching
put 'echo typed early' console
ok "deploy" wait $deploying
wait_for "a prompt" says r '^reef> '
wait_for "what was typed before it is read, without more being typed" says r '^typed early'
put ps console
wait_for "what is typed is read, and both CPUs are there" says r '^cpu 1:'
like "status" "$(tr '\n' ' ' <status)" 'mode splitVM .*cpus 2 machine pc .*memory 64M ros ros:[0-9.]+ ros_cpus 1 ros_memory 256M'
like "timeline" "$(cut -d' ' -f1 timeline | tr '\n' ' ')" 'launch ros .*boot'
put 'test 1' console
wait_for "threads, locks, memory on two CPUs" says r 'tests? passed|all passed|passed'
for n in 1 2 3; do
	before=$(said r | grep -o 'reef on' | wc -l)
	ok "reset-hrt $n" put reset-hrt ctl
	more() { [ "$(said r | grep -o 'reef on' | wc -l)" -gt "$before" ]; }
	wait_for "reset-hrt $n: reef begins anew" more
done
is "under the same Linux" "$(grep -c '^ros ' timeline)" 1
ok "pause" put pause ctl
is "it is paused" "$(cat state)" paused
ok "resume" put resume ctl
is "it runs" "$(cat state)" running
put 'exit 3' console
is "it ends with its status" "$(cat wait)" 3
like "status still says what it ran in" "$(tr '\n' ' ' <status)" 'mode splitVM .*exit 3'
is "no interrupts that nobody asked for" "$(grep -c 'nobody asked for' events)" 0

ok "deploy again" put splitVM deploy
wait_for "a prompt again" says r '^reef> '
put 'fault null' console
is "a fault" "$(cat wait)" 134
is "is a failure" "$(cat state)" failed
like "which is told" "$(cat error)" 'the kernel failed, and the ROS lived on:.*'
ok "deploy once more" put splitVM deploy
ok "stop" put stop ctl
like "asked for" "$(cat wait)" '^(143|137)$'

instance microvm 'kernel = reef' 'machine = microvm'
fails "a microvm is not split" "Invalid argument" put splitVM ../microvm/deploy
like "and why" "$(cat ../microvm/error)" 'machine: the Linux of splitVM needs a pc'

cd / || exit 1
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
