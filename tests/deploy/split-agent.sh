#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# splitVM's deployer and an agent that does as it likes: fakevm stands in for QEMU, so that all that a real agent says only when
# it is broken or hostile is said, and quickly.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

publish_fake 'cmdline = quiet'

# An archive that tries everything.
mkdir -p "$T/a/src/deep" && cd "$T/a" || exit 1
echo written >src/file && echo deep >src/deep/file && ln -s file src/link && ln -s /etc/passwd src/evil
ln -s ../../x src/evil2 && ln src/file src/hard && mkfifo src/fifo && chmod 4755 src/file
mkdir "src/$(printf 'n%.0s' {1..120})" && echo long >"src/$(printf 'n%.0s' {1..120})/file"
tar -C "$T/a" -cf "$T/good.tar" .
tar -C "$T/a" -cPf "$T/dots.tar" --transform 's,src/file,../../escaped,' src/file
tar -C "$T/a" -cPf "$T/absolute.tar" --transform 's,src/file,/tmp/../../escaped,' src/file
{ mkdir b && ln -s src b/up && tar -C b -cf - up | head -c 512; tar -cPf - --transform 's,src/file,up/escaped,' src/file; } >"$T/through.tar"
head -c 900 "$T/good.tar" >"$T/short.tar"
head -c 5000 /dev/urandom >"$T/noise.tar"

export FAKE_TAR=$T/good.tar
mount_registry -o "qemu=$T/fakevm"
cd "$M" || exit 1
modes_known() { ! grep -q "unknown" modes; }
wait_for "modes are known" modes_known
like "modes: no ros is told, and what to do" "$(grep splitVM modes)" '^splitVM +(available|unavailable .*ros)'

start() { # SCENARIO [LINE...]
	local s=$1
	shift
	[ ! -e run/x ] || rmdir run/x
	instance x 'kernel = fake' 'ros = linux' 'memory = 64M' "cmdline = fake=$s" "$@"
}
over() { state_in x "exited failed"; }
# ends SCENARIO STATE STATUS ERROR: deployed, it runs, and ends so
ends() {
	start "$1"
	put splitVM run/x/deploy >/dev/null 2>&1
	wait_for "$1: it ends" over
	is "$1: state" "$(cat run/x/state)" "$2"
	is "$1: wait" "$(cat run/x/wait)" "$3"
	like "$1: error" "$(tr '\n' ' ' <run/x/error)" "$4"
}

start upper 'args = a "b c"'
ok "deploy" put splitVM run/x/deploy
is "it runs" "$(cat run/x/state)" running
cat run/x/stdout >"$T/out" &
out=$!
echo hello >run/x/stdin
is "its status" "$(cat run/x/wait)" 7
wait $out
is "its output" "$(cat "$T/out")" HELLO
like "the console" "$(cat run/x/console)" 'console of the kernel'
like "the ROS's console" "$(cat run/x/ros.console)" 'Linux of the ROS'
like "syscalls: served by the kernel" "$(cat run/x/syscalls)" '^mmap +13 +12 +1\.00 +2\.00 +0 +- +- +0 +1$'
like "syscalls: delegated" "$(cat run/x/syscalls)" '^write +3 +0 +- +- +3 +3\.00 +5\.00 +0 +0$'
like "syscalls.svg" "$(cat run/x/syscalls.svg)" '<text[^>]*>mmap</text>'
like "timeline" "$(cut -d' ' -f1 run/x/timeline | tr '\n' ' ')" 'launch ros .*boot .*exit'
like "status" "$(cat run/x/status)" '^exit 7'
is "out/ is empty" "$(ls run/x/out)" ""

ends refuse failed 125 'refused to boot.*the image has no .x01co-kernel note'
ends early exited 0 '^$'
ends hello failed 125 'frame of type 34 out of turn'
ends magic failed 125 'no frame of ours'
ends long failed 125 'frame of 4294967280 bytes'
ends badcount failed 125 'system call 70000'
ends oddcount failed 125 '143 bytes of counts'
ends fault failed 134 'the kernel failed, and the ROS lived on: vector 14 \(page fault\) at 0x1234 cr2'
ends lost failed 134 'the ROS failed, and the kernel was stopped with it: the agent.s process was ended by signal 9'
ends badend failed 125 'an end of an unknown kind \(99\)'
ends shortend failed 125 'an end of 3 bytes'
ends twice failed 125 'frame of type 33 out of turn'
ends unknown exited 0 '^$'
ends rospanic failed 134 'the ROS panicked: Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009 \(ros'
ends rosreset failed 134 'the machine was reset'
ends rosoff failed 134 'the ROS powered off'
ends log exited 0 '^$'
like "a line of the agent's stays one line" "$(cat run/x/events)" 'agent: refused openat /etc/.x1b\[2Jshadow.x0astate running'
ends flood exited 0 '^$'
like "a flood of lines is told by number" "$(cat run/x/events)" ' [0-9]+ more events, of 50 a second'
ok "and fills no disk" test "$(find "$T/state" -name deployer.log -size -64k | wc -l)" = 1
ends restart exited 0 '^$'
is "restart: three times" "$(grep -c console run/x/console)" 3

ends tar exited 0 '^$'
is "out/: a file" "$(cat run/x/out/src/file)" written
is "out/: below" "$(cat run/x/out/src/deep/file run/x/out/src/n*/file)" $'deep\nlong'
is "out/: links that stay inside" "$(readlink run/x/out/src/link) $(stat -c %h run/x/out/src/hard)" "file 2"
is "out/: no set-id" "$(stat -c %A run/x/out/src/file)" "-rwxr-xr-x"
is "out/: links that lead out and devices are left out" "$(ls run/x/out/src | tr '\n' ' ' | sed 's/n*n /N /')" "deep file hard link N "
like "out/: which is told" "$(cat run/x/events)" 'out/: of [0-9]+ entries 3 were left out'
fails "out/ is read-only" "." put x run/x/out/src/file
ok "deploy with an archive again" put splitVM run/x/deploy
cd / && unmount_registry
for a in dots absolute through short noise; do
	export FAKE_TAR=$T/$a.tar
	mount_registry -o "qemu=$T/fakevm"
	cd "$M" || exit 1
	start tar
	put splitVM run/x/deploy >/dev/null 2>&1
	wait_for "$a: it ends" over
	is "$a: all the same with its status" "$(cat run/x/state run/x/wait)" $'exited\n0'
	like "$a: out/ is not kept, and why" "$(cat run/x/events)" 'out/: .*(elsewhere|cannot be made|no end|no tar)'
	is "$a: out/ is empty" "$(ls run/x/out)" ""
	cd / && unmount_registry
done
is "nothing has escaped" "$(find "$T" /escaped /tmp/escaped -name escaped 2>/dev/null)" ""

mount_registry -o "qemu=$T/fakevm"
cd "$M" || exit 1
console_says() { says x "$1"; }
start run
ok "deploy" put splitVM run/x/deploy
ok "reset-hrt" put reset-hrt run/x/ctl
wait_for "the kernel began anew" console_says '^console again'
ok "delegate" put 'refuse openat,@net /etc' run/x/delegate
wait_for "which the agent is told in numbers" console_says 'refuse 257,41,53,.* /etc$'
is "and which reads back" "$(cat run/x/delegate)" 'refuse openat,@net /etc'
fails "what is wrong is refused" "Invalid" put 'refuse nonsense' run/x/delegate
like "in words" "$(cat run/x/error)" "line 1: there is no system call 'nonsense'"
ok "an empty policy" bash -c ': >run/x/delegate'
wait_for "is in force" console_says '^policy: $'
ok "stop" put stop run/x/ctl
is "asked for" "$(cat run/x/wait)" 143
start deaf
ok "deploy, of a kernel that will not stop" put splitVM run/x/deploy
ok "stop" put stop run/x/ctl
is "killed after a while" "$(cat run/x/wait)" 137
start run
ok "deploy" put splitVM run/x/deploy
ok "kill" put kill run/x/ctl
is "killed" "$(cat run/x/wait)" 137
fails "fullVM has no reset-hrt" "." put reset-hrt run/x/ctl
start run
put splitVM run/x/deploy
# shellcheck disable=SC2046
kill -KILL $(processes '^[^ ]*fakevm ')
wait_for "kill -9 of the machine: failed" state_is x failed
start run
put splitVM run/x/deploy
# shellcheck disable=SC2046
kill -KILL $(processes '^[^ ]*/diverfs-splitvm')
wait_for "kill -9 of the deployer: failed" state_is x failed
wait_for "and no machine is left" no_process '^[^ ]*fakevm '

start run 'ros_memory = 3M'
fails "ros_memory is checked" "." put splitVM run/x/deploy
like "in words" "$(cat run/x/error)" 'ros_memory: .* needs at least|multiples of 2M'
start run 'ros_memory = 3G'
fails "both are" "." put splitVM run/x/deploy
like "in words" "$(cat run/x/error)" '3136 MiB; splitVM takes 3072'
rmdir run/x
instance x 'kernel = fake' 'ros = nosuch' "cmdline = fake=run"
fails "no such ROS" "." put splitVM run/x/deploy
like "in words" "$(cat run/x/error)" "the regular OS \(ros\): .*nosuch"
rmdir run/x
instance x 'kernel = hello'
fails "a kernel that does not take part" "." put splitVM run/x/deploy
for bad in 'exec = busybox' 'exec = "'\''/a b'\''"' 'exec =' 'root = ../x' 'files = /a /b/../c' 'ros_cpus = 0' 'ros = UPPER'; do
	fails "config refuses $bad" "Invalid" put "$bad" run/x/config
done
cd / || exit 1
