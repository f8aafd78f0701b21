#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034
# splitVM and who is around it: two at once; what is typed before there is anybody to read it; a daemon that is killed and comes
# back; unmounting while they run. (Words of ctl: split-words.sh; processes of a splitVM that are killed: split-faults.sh.)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

split_begin
machines() { processes '^[^ ]*qemu-system' | sort -n; }
running() { [ "$(machines | wc -l)" = "$1" ]; }

faulty a 'cmdline = echo'
faulty b 'cmdline = echo' 'cpus = 2' 'ros_memory = 98M' # a size that is not round
put splitVM ../a/deploy &
put splitVM deploy &
packed() { state_in a "launching running" && state_in b "launching running"; }
wait_for "two are launched at once" packed
put 'early in a' ../a/console
put 'early in b' console
wait_for "the first has read what was typed before it was there" says a '^you typed early in a'
wait_for "so has the second" says b '^you typed early in b'
wait
ok "two machines" running 2
is "each has its own" "$(said a | grep -c 'in b'), $(said b | grep -c 'in a')" "0, 0"
like "with its own processors" "$(said a; said b)" '^hello from 1 CPU'
like "with its own processors" "$(said a; said b)" '^hello from 2 CPUs'
ok "reset-hrt of one" put reset-hrt ctl
anew() { [ "$(said b | grep -c '^hello from')" = 2 ]; }
wait_for "it begins anew" anew
is "the other does not" "$(said a | grep -c '^hello from')" 1

before=$(machines) split=$(sed -n '/^ros/p' status | tr '\n' ' ')
like "status says what Linux has" "$split" '^ros ros:[0-9.]+ ros_cpus 1 ros_memory [0-9]+'
kill -KILL "$DAEMON"
wait_for "the daemon is dead" no_process "bin/diverfs .*$M"
cd / || exit 1
ok "the machines run on" running 2
mount_registry
DAEMON=$(daemon_pid)
is "both are found again" "$(cat "$M/run/a/state" "$M/run/b/state" | tr '\n' ' ')" "running running "
is "they are the same" "$(machines)" "$before"
is "what their Linuxes have is known" "$(sed -n '/^ros/p' "$M/run/b/status" | tr '\n' ' ')" "$split"
put 'after all' "$M/run/a/console"
wait_for "which still listen" says a '^you typed after all'
is "and have lost nothing" "$(said a | grep -c '^you typed')" 2
put end "$M/run/a/console"
is "one ends" "$(cat "$M/run/a/wait") $(cat "$M/run/a/state")" "0 exited"
ok "the other has its Linux still" put reset-hrt "$M/run/b/ctl"
ok "unmounts while that runs" fusermount3 -u "$M"
wait_for "the daemon ends" no_process "bin/diverfs .*$M"
wait_for "and so does the machine" no_process 'qemu-system|/diverfs-splitvm '
mount_registry
DAEMON=$(daemon_pid)
is "it is there, ended" "$(cat "$M/run/b/state")" exited
ok "and is deployed again" put splitVM "$M/run/b/deploy"
ok "kill" put kill "$M/run/b/ctl"
is "killed" "$(cat "$M/run/b/wait")" 137

# While Linux comes up, and nobody is there who could be asked.
launched() { state_is a launching && grep -q '^launch ' "$M/run/a/timeline"; }
for word in stop kill; do
	put splitVM "$M/run/a/deploy" >/dev/null 2>&1 &
	deploying=$!
	wait_for "$word: it is launching" launched
	ok "$word" put "$word" "$M/run/a/ctl"
	wait $deploying
	is "$word: it was never launched" "$(cat "$M/run/a/state" "$M/run/a/error" | tr '\n' ' ')" "built cancelled "
	wait_for "$word: and its machine" no_process 'qemu-system'
done
put splitVM "$M/run/a/deploy" &
deploying=$!
wait_for "Linux comes up" state_in a "launching running"
ok "pause" put pause "$M/run/a/ctl"
ok "resume" put resume "$M/run/a/ctl"
ok "reset" put reset "$M/run/a/ctl"
wait $deploying
wait_for "it came up all the same" state_is a running
put end "$M/run/a/console"
is "and is in order" "$(cat "$M/run/a/wait")" 0

# A person in front of it, who does not wait for Linux.
if [ -e "$BUILD/stage/reef/kernel.conf" ]; then
	play() {
		local name=$1
		shift
		"$TOOLS/deploy/pty" "$@" >"$T/pty.out" 2>&1
		is "$name" "$?, $(head -c 2000 "$T/pty.out")" "0, "
	}
	play "a terminal: keys typed at once, the status, and the terminal as it was" "$M/kernels/reef/"*/run -d splitVM <<-'END'
		expect diverfs-run: the terminal is the kernel's now; ^] ends it
		raw
		send echo typed early\r
		expect typed early
		expect typed early
		size 132 50
		send exit 5\r
		exit 5
		same
	END
	play "^] leaves while Linux comes up" "$M/kernels/reef/"*/run -d splitVM <<-'END'
		expect diverfs-run: the terminal is the kernel's now; ^] ends it
		raw
		send a\x1d
		exit 130
		same
	END
fi
split_over
