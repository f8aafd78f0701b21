#!/bin/bash
# SPDX-License-Identifier: MIT
# kv: the key-value server as a kernel: many clients, bad clients, dead clients.
. "$(dirname "$0")/../lib.sh"

mount_registry
[ -e "$M"/kernels/kv ] || skip_all "no kernel kv: reef was made without musl or lwIP"

start() { # LINE...
	instance kv 'kernel = kv' 'net = user tcp:auto->11211' "$@"
	put fullVM "$M/run/kv/deploy" || return 1
	port=$(sed -n 's/^forward tcp:127.0.0.1:\([0-9]*\)->11211$/\1/p' "$M/run/kv/status")
	within "$SLOW" grep -q listening "$M/run/kv/console"
}
listening() { timeout "$SLOW" grep -qm1 listening "$M/run/kv/console"; }
stop() {
	put stop "$M/run/kv/ctl"
	is "stops" "$(timeout "$SLOW" cat "$M/run/kv/wait")" 143
	rmdir "$M/run/kv"
}
# say TEXT: sends it, prints the answers until the server closes
say() { (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf '%b' "$1" >&3 && timeout "$SLOW" cat <&3) | tr -d '\r'; }
# send FILE, likewise
send() { (exec 3<>"/dev/tcp/127.0.0.1/$port" && cat "$1" >&3 && timeout "$SLOW" cat <&3) | tr -d '\r'; }
load() { timeout "$((2 * SLOW))" "$TOOLS/deploy/kvload" "$port" "$@"; }
stat_of() { say 'stats\r\nquit\r\n' | sed -n "s/^STAT $1 //p"; }

for machine in microvm pc; do
	for cpus in 1 2; do
		ok "$machine, $cpus CPUs" start "machine = $machine" "cpus = $cpus"
		ok "one client" load 1 1000
		ok "ten clients" load 10 2000
		stop
	done
done

start 'cpus = 2'
ok "a hundred clients, 10,000 pairs" load 100 10000
ok "large values" load 3 30 300000
is "nothing was missed" "$(stat_of get_misses)" 0

is "all commands" "$(say 'flush_all\r\nset a 1 0 1\r\nx\r\nadd a 0 0 1\r\ny\r\nreplace b 0 0 1\r\ny\r\nappend a 0 0 1\r\nz\r\nprepend a 0 0 1\r\nw\r\nget a b\r\nset n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 20\r\nincr a 1\r\nincr x 1\r\ntouch a 100\r\ntouch x 1\r\ndelete a\r\ndelete a\r\nset q 0 -1 1\r\nq\r\nget q\r\nset s 0 0 1 noreply\r\nt\r\nget s\r\nversion\r\nquit\r\n')" \
	"OK
STORED
NOT_STORED
NOT_STORED
STORED
STORED
VALUE a 1 3
wxz
END
STORED
15
0
CLIENT_ERROR cannot increment or decrement non-numeric value
NOT_FOUND
TOUCHED
NOT_FOUND
DELETED
NOT_FOUND
STORED
END
VALUE s 0 1
t
END
VERSION 1.0"

key=$(printf '%0251d' 0)
is "a key that is too long" "$(say "set $key 0 0 1\r\nx\r\nget $key\r\nset ok 0 0 1\r\nx\r\nquit\r\n")" \
	"CLIENT_ERROR bad command line format
CLIENT_ERROR bad command line format
STORED"
is "a value that is too long, or no number" "$(say 'set a 0 0 99999999999\r\nset a 0 0 x\r\nset a b c 1\r\nx\r\nget ok\r\nquit\r\n')" \
	"CLIENT_ERROR bad command line format
CLIENT_ERROR bad command line format
CLIENT_ERROR bad command line format
VALUE ok 0 1
x
END"
is "a value without its end" "$(say 'set a 0 0 3\r\nabcde\r\nquit\r\n')" "CLIENT_ERROR bad data chunk
ERROR"
is "no command" "$(say '\r\n\r\nfoo\r\nget\r\n\0\r\nquit\r\n')" "ERROR
ERROR
ERROR
ERROR
ERROR"
head -c 20000 /dev/zero | tr '\0' a >"$T/line"
is "a line without end" "$(send "$T/line")" "CLIENT_ERROR line too long"
head -c 100000 /dev/urandom >"$T/rubbish"
printf '\r\nquit\r\n' >>"$T/rubbish"
send "$T/rubbish" >"$T/said"
is "rubbish does no harm" "$(say 'get ok\r\nquit\r\n')" "VALUE ok 0 1
x
END"
(
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	for piece in s et ' sl' 'ow 0 0' ' 4' '\r' '\nab' cd '\r' '\nqu' 'it\r\n'; do
		printf '%b' "$piece" >&3
		sleep 0.05
	done
	timeout "$SLOW" cat <&3 >"$T/slow"
)
is "a line in pieces" "$(tr -d '\r' <"$T/slow")" STORED
is "many lines at once" "$(say "$(printf 'get ok\\r\\n%.0s' {1..500})quit\r\n" | grep -c '^END')" 500

"$TOOLS/deploy/kvload" "$port" 20 1000000 >/dev/null 2>&1 &
client=$!
within "$SLOW" eval '[ "$(stat_of curr_connections)" -ge 21 ]'
kill -9 $client
wait_for "clients that were killed are forgotten" eval '[ "$(stat_of curr_connections)" = 1 ]'
ok "and others are served" load 5 200
stop

start 'args = 11211 1'
is "memory that is used up" "$(for i in 1 2 3; do say "$(printf 'set k%d 0 0 400000\\r\\n' $i)$(head -c 400000 /dev/zero | tr '\0' x)\r\nquit\r\n"; done)" \
	"STORED
STORED
SERVER_ERROR out of memory storing object"
is "comes back" "$(say 'delete k1\r\nset k3 0 0 1\r\nx\r\nquit\r\n')" "DELETED
STORED"
stop
