#!/bin/bash
# SPDX-License-Identifier: MIT
# Linux as a kernel like any other: bzImage and initrd, streams, arguments, status, its memory, its source.
. "$(dirname "$0")/../lib.sh"

mount_registry
[ -d "$M/kernels/linux" ] || skip_all "linux is not in this registry (its packages could not be fetched: make linux)"
set -- "$M"/kernels/linux/*/
tag=$1
run() { timeout "$SLOW" "$tag/run" "$@" 2>>"$T/err"; }

is "stdin to stdout" "$(printf 'b\na\n' | run -- sort)" $'a\nb'
run -- sh -c 'exit 7' </dev/null
is "its status" $? 7
run -- nosuchcommand </dev/null
is "no such command" $? 127
like "which stderr tells" "$(cat "$T/err")" "nosuchcommand"
run -- sh -c 'kill -9 $$' </dev/null
is "a signal" $? 137
is "a shell without arguments" "$(echo 'echo $((6 * 7)); uname -s' | run)" $'42\nLinux'
is "arguments of every kind" "$(run -- printf '[%s]' 'a b' '' '"q"' '\x' 'é' 'x=1 -- y' </dev/null)" \
	"[a b][][\"q\"][\\x][é][x=1 -- y]"
is "a command with words in quotes" "$(run -- sh -c 'echo "in  quotes"' </dev/null)" "in  quotes"
# shellcheck disable=SC2046
run -- echo $(seq 40) </dev/null >"$T/out"
like "too many arguments are refused" "$? $(cat "$T/out")" '^12[56] $'
like "with words" "$(tail -n 3 "$T/err")" "40 arguments|31"
head -c 3000000 /dev/urandom >"$T/data"
is "bytes pass" "$(run -- cat <"$T/data" | sha256sum)" "$(sha256sum <"$T/data")"
# More than all pipes on the way hold: Linux has ended long before the last byte has left it.
is "a slow reader gets everything" \
	"$(run -- dd if=/dev/zero bs=32k count=90 </dev/null | (sleep 5; wc -c))" $((90 * 32 * 1024))
run -- yes </dev/null | head -n 1 >"$T/out"
is "a reader that goes ends it" "${PIPESTATUS[0]} $(cat "$T/out")" "141 y"

min=$(sed -n 's/^memory_min *= *//p' "$tag/kernel.conf")
is "memory_min is enough" "$(run -m "$min" -- echo enough </dev/null)" enough
fails "less is refused" "memory" "$tag/run" -m "$((${min%M} - 1))M"
is "two processors" "$(run -c 2 -- nproc </dev/null)" 2
PTY=$TOOLS/deploy/pty
"$PTY" "$tag/run" >"$T/pty.out" 2>&1 <<'END'
expect the terminal is the kernel's now; ^] ends it
raw
expect #
send stty size; echo $((6 * 7)); tty\r
expect 24 80
expect 42
send exit 5\r
exit 5
same
END
is "a shell at a terminal" "$?, $(head -c 2000 "$T/pty.out")" "0, "
"$PTY" "$tag/run" -- sh -c 'read x; echo "got $x"; exit 6' >"$T/pty.out" 2>&1 <<'END'
send line\r
expect got line
exit 6
same
END
is "with arguments it takes lines, at a terminal, too" "$?, $(head -c 2000 "$T/pty.out")" "0, "

like "init says a line" "$(cat "$T/err")" "Linux .*runs /app"

instance l 'kernel = linux' 'cmdline = console=ttyS0 panic=-1 nokaslr mitigations=off' 'args = sh -c "echo here; cat"'
cd "$M/run/l" || exit 1
ok "deploy" put fullVM deploy
cat stdout >"$T/stdout" &
cat=$!
wait_for "the console shows the boot" says l "Linux version"
echo "through stdin" >stdin
is "exit" "$(cat wait)" 0
wait $cat
is "stdout" "$(cat "$T/stdout")" $'here\nthrough stdin'

instance s 'kernel = linux' 'args = sh -c "echo here; sleep 1000"'
cd "$M/run/s" || exit 1
ok "deploy again" put fullVM deploy
wait_for "it runs" says s here
ok "stop" put stop ctl
is "it ended by being asked" "$(cat wait)" 143

if command -v bwrap >/dev/null && [ -e /usr/lib/x86_64-linux-gnu/libc.a ]; then
	mkdir "$M/run/p" && cd "$M/run/p" && echo 'kernel = linux' >config
	wait_for "the template" test -e src/main.c
	cat >src/main.c <<-'END'
		#include <stdio.h>
		int main(void)
		{
			int c, n = 0;
			while ((c = getchar()) != EOF)
				n += c == '\n';
			printf("%d lines\n", n);
			return 9;
		}
	END
	ok "a program of one's own" put fullVM deploy
	cat stdout >"$T/lines" &
	cat=$!
	seq 12 >stdin
	is "its status" "$(cat wait)" 9
	wait $cat
	is "its output" "$(cat "$T/lines")" "12 lines"
	echo 'int x = nosuchname;' >>src/main.c
	fails "a mistake in it" "." put fullVM deploy
	like "is told" "$(cat error)" "nosuchname"
else
	skip "a program of one's own" "no bwrap, or no static C library"
fi
cd / || exit 1
wait_for "no machine is left" no_process "qemu-system.*new"
