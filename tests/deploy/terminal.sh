#!/bin/bash
# SPDX-License-Identifier: MIT
# A person in front of a kernel: a shell's keys, a filter's lines, ways to leave, and the terminal as it was.
. "$(dirname "$0")/../lib.sh"

REGISTRY=$T/layout
cp -r "$BUILD/share/diverfs/registry" "$REGISTRY"
cp -r "$BUILD/stage/keys" "$T/plain" || skip_all "no staged kernel in $BUILD/stage/keys"
sed -i -E 's/^name *=.*/name = plain/; s/^stdout *=.*/stdout = console/; /^terminal *=/d' "$T/plain/kernel.conf"
"$DIVERFS" publish "$T/plain" "$REGISTRY" >/dev/null
mount_registry
PTY=$TOOLS/deploy/pty
run=$BUILD/libexec/diverfs/diverfs-run
keys=$M/kernels/keys/1.0/run

# play NAME COMMAND... <SCRIPT
play() {
	local name=$1
	shift
	"$PTY" "$@" >"$T/pty.out" 2>&1
	is "$name" "$?, $(head -c 2000 "$T/pty.out")" "0, "
}

play "keys, ^C, the window's size, the status, and the terminal as it was" "$keys" 7 <<'END'
expect diverfs-run: the terminal is the kernel's now; ^] ends it
raw
expect 80 columns, 24 rows
send a\x03\x1a\x04\r
expect key 97 a
expect key 3 ^C
expect key 26 ^Z
expect key 4 ^D
expect key 13 ^M
size 132 50
expect 132 columns, 50 rows
send q
exit 7
same
END
play "a kernel that has only a console" "$M/kernels/plain/1.0/run" 3 <<'END'
expect type keys
raw
expect 80 columns, 24 rows
send \x03q
expect key 3 ^C
exit 3
same
END
play "^] leaves" "$keys" <<'END'
expect type keys
raw
send ab\x1dq
exit 130
same
END
play "another key leaves" "$keys" -e '^A' <<'END'
expect ^A ends it
expect type keys
raw
send \x1d
expect key 29 ^]
send \x01
exit 130
same
END
play "no key leaves" "$keys" -e none <<'END'
expect type keys
raw
send \x1d
expect key 29 ^]
send q
exit 0
same
END
for signal in 1 2 3 15; do
	play "signal $signal" "$keys" <<-END
		expect type keys
		raw
		signal $signal
		exit $((128 + signal))
		same
	END
done
play "a kernel that crashes" "$M/kernels/fail/1.0/run" -t fault <<'END'
expect exception 14
exit 134
same
END
play "kill -9" "$keys" <<'END'
expect type keys
raw
signal 9
exit 137
END
wait_for "no machine is left" no_process "qemu-system|diverfs-fullvm"
only_new() { [ "$(ls "$M/run")" = new ]; }
wait_for "no instance is left" only_new

play "a filter has lines, and ^D ends them" "$M/kernels/sort/1.0/run" <<'END'
lines
send b\na\n\x04
expect a\r\nb\r\n
exit 0
same
END
play "^C kills a filter" "$M/kernels/upper/1.0/run" <<'END'
lines
send a\n
expect A\r\n
send \x03
exit 130
same
END
play "-T: lines for a shell, too" "$M/kernels/plain/1.0/run" -T 5 <<'END'
expect type keys
lines
send aq\n
expect key 97 a
exit 5
same
END
play "no terminal for a shell whose output goes elsewhere" sh -c "'$keys' | cat" <<'END'
lines
expect type keys
send \x03
exit 130
same
END
play "-t: then, too" sh -c "'$keys' -t 2>&1 | cat; echo over" <<'END'
expect type keys
raw
send \x03q
expect key 3 ^C
expect over
exit 0
same
END
fails "-t without a terminal" "stdin is not a terminal" "$keys" -t
fails "a key that is none" "a character" "$keys" -e abc

# A shell with jobs. Its own editing of lines changes modes, so it has none.
# 20 is SIGTSTP, 19 SIGSTOP.
play "stopped, the terminal is the shell's; in the foreground again, the kernel's" \
	env PS1='ready> ' bash --norc --noediting -i <<END
expect ready>
send sh -c 'echo pi""d \$\$.; exec "$keys" 4'\n
pid
expect type keys
raw
signal 20
expect ready>
same
size 90 20
send fg\n
raw
expect 90 columns, 20 rows
send x
expect key 120 x
signal 19
expect ready>
same
send bg; echo in back''ground\n
expect in background
same
send fg\n
raw
send y
expect key 121 y
send q
expect ready>
same
send echo status \$?.\n
expect status 4.
send exit\n
exit 0
END
play "begun in the background" env PS1='ready> ' bash --norc --noediting -i <<END
expect ready>
send '$keys' &\n
expect type keys
same
send fg\n
raw
send q
expect key 113 q
expect ready>
same
send exit\n
exit 0
END

instance k 'kernel = keys' 'args = 9'
ok "an instance" put fullVM "$M/run/k/deploy"
play "--attach, and away" "$run" --attach "$M/run/k" <<'END'
expect ^] leaves it running
expect type keys
raw
expect 80 columns, 24 rows
send a
expect key 97 a
send \x1d
exit 0
same
END
ok "it runs" state_is k running
ok "resize by hand" put "resize 61 17" "$M/run/k/ctl"
ok "reaches the kernel" timeout "$SLOW" sh -c "grep -m 1 '61 columns, 17 rows' <'$M/run/k/console'"
fails "resize takes two numbers" "" put "resize 61" "$M/run/k/ctl"
like "and says so" "$(cat "$M/run/k/error")" "COLUMNS ROWS"
like "ctl has the word" "$(cat "$M/run/k/ctl")" "resize"
play "diver console, until it ends" env "DIVERFS=$M" "$BUILD/bin/diver" console k <<'END'
expect key 97 a
raw
size 70 20
expect 70 columns, 20 rows
send q
exit 9
same
END
is "diver console without a terminal" "$(DIVERFS=$M "$BUILD/bin/diver" console k </dev/null | head -n 1)" "type keys; q ends"
fails "--attach to something else" "not the directory of an instance" "$run" --attach "$M/kernels"
fails "--attach is not for run" "instances that exist" "$keys" --attach "$M/run/k"
mkdir "$M/run/new1"
fails "--attach to what was never launched" "nothing was launched" "$run" --attach "$M/run/new1"
rmdir "$M/run/new1"
fails "resize of what does not run" "" put "resize 80 24" "$M/run/k/ctl"
rm -r "$M/run/k"

export DAEMON
DAEMON=$(daemon_pid)
# shellcheck disable=SC2016
play "the daemon is killed" "$keys" <<'END'
expect type keys
raw
run kill -9 $DAEMON
expect cannot read the kernel's
exit 125
same
END
fusermount3 -u -z "$M"
mount_registry
wait_for "and nothing is left" no_process "qemu-system|diverfs-fullvm"
