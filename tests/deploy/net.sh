#!/bin/bash
# SPDX-License-Identifier: MIT
# net: sockets on reef are those of Linux; net = user, forwards and what config refuses.
. "$(dirname "$0")/../lib.sh"

mount_registry
[ -e "$M"/kernels/kv ] || skip_all "no kernel kv: reef was made without musl or lwIP"

gcc -O2 -o "$T/sockets" "$SOURCE/tests/kernels/sockets/main.c" -pthread
"$T/sockets" >"$T/want" 2>&1

# The sockets program, built once; with LINE...: what is to be otherwise the next time.
instance s 'kernel = reef'
within "$SLOW" test -e "$M/run/s/src/main.c"
cp "$SOURCE/tests/kernels/sockets/main.c" "$M/run/s/src/main.c"
with() { printf '%s\n' 'kernel = reef' "$@" | dd of="$M/run/s/config" bs=4k iflag=fullblock status=none; }
deploy() { put fullVM "$M/run/$1/deploy"; }
# Only when the machine has ended is the next one's launch no EBUSY.
output() { timeout "$SLOW" cat "$M/run/$1/stdout" && timeout "$SLOW" cat "$M/run/$1/wait" >/dev/null; }

for machine in microvm pc; do
	for cpus in 1 2; do
		with "machine = $machine" "cpus = $cpus"
		ok "$machine, $cpus CPUs: a program with sockets is built and launched" deploy s
		output s >"$T/got"
		ok "it prints what it prints on Linux" cmp "$T/got" "$T/want"
		is "and ends well" "$(timeout "$SLOW" cat "$M/run/s/wait")" 0
	done
done

# a server on the host, for kernels to reach: kv, on Linux
gcc -O2 -o "$T/kv" "$SOURCE"/examples/kernels/kv/app/*.c -pthread
port=0
kv_decided() { grep -q listening "$T/kv.log" || ! kill -0 "$kv"; }
for port in $(shuf -i 20000-32000 -n 20); do # until one is free
	"$T/kv" "$port" 2>"$T/kv.log" &
	kv=$!
	within "$SLOW" kv_decided
	kill -0 $kv && break
done 2>/dev/null
for machine in microvm pc; do
	with "machine = $machine" "net = user" "args = 10.0.2.2 $port"
	deploy s
	is "$machine: a kernel reaches the host" "$(output s)" $'ERROR\r'
done
with "net = user" "cmdline = ip=10.0.2.20/24,10.0.2.2" "args = 10.0.2.2 $port"
deploy s
is "with an address of its own" "$(output s)" $'ERROR\r'
with "args = 10.0.2.2 $port"
deploy s
is "and nobody without a card" "$(output s)" "connect: Network unreachable"
like "which the console says" "$(cat "$M/run/s/console")" "no network card.*net = user"

instance f 'kernel = kv' 'net = user restrict tcp:auto->11211 tcp:127.0.0.1:auto->11212 udp:auto->53'
ok "kv with forwards" deploy f
forwards=$(sed -n 's/^forward //p' "$M/run/f/status")
like "status tells the ports that were found" "$forwards" "^tcp:127.0.0.1:[1-9][0-9]*->11211"
like "of each" "$forwards" "^udp:127.0.0.1:[1-9][0-9]*->53"
is "each its own" "$(sed 's/->.*//' <<<"$forwards" | sort -u | wc -l)" 3
inside=$(sed -n 's/^tcp:127.0.0.1:\([0-9]*\)->11211$/\1/p' <<<"$forwards")
ask() { (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf '%b' "$2" >&3 && timeout "$SLOW" cat <&3) | tr -d '\r'; }
within "$SLOW" grep -q listening "$M/run/f/console"
is "it answers there" "$(ask "$inside" 'version\r\nquit\r\n')" "VERSION 1.0"
with "net = user restrict" "args = 10.0.2.2 $port"
deploy s
is "restrict: nothing goes out" "$(output s)" "connect: Connection refused"

instance taken 'kernel = kv' "net = user tcp:$inside->11211"
fails "a port that is in use" "" deploy taken
like "says so" "$(cat "$M/run/taken/error")" "forward|$inside"

kill -9 "$(daemon_pid)"
fusermount3 -u "$M" 2>/dev/null || fusermount3 -u -z "$M"
mount_registry
is "after a crash of the daemon status still tells the ports" "$(sed -n 's/^forward //p' "$M/run/f/status")" "$forwards"
is "and the kernel answers" "$(ask "$inside" 'version\r\nquit\r\n')" "VERSION 1.0"
put stop "$M/run/f/ctl"
is "asked to stop" "$(timeout "$SLOW" cat "$M/run/f/wait")" 143
is "nothing listens there now" "$(ask "$inside" 'quit\r\n' 2>/dev/null)" ""

instance c 'kernel = kv'
refused() { # NAME LINE WORDS
	fails "$1" "nvalid" put "$2" "$M/run/c/config"
	like "$1: why" "$(cat "$M/run/c/error")" "$3"
}
refused "an unknown network" 'net = bridge' "'bridge' is not none, user"
refused "two networks" 'net = user none' "do not go together"
refused "a forward without network" 'net = none tcp:80->80' "needs a network"
refused "a forward without arrow" 'net = user tcp:80' "try tcp:127.0.0.1:8080->80"
refused "a name for an address" 'net = user tcp:localhost:80->80' "'localhost' is not an IPv4 address"
refused "a port that is none" 'net = user tcp:65536->80' "host's port is not a number from 1 to 65535"
refused "no port inside" 'net = user tcp:80->0' "machine's port"
refused "words behind" 'net = user tcp:80->80,restrict=off' "machine's port"
refused "one port twice" 'net = user tcp:80->80 tcp:0.0.0.0:80->81' "port 80 of the host is forwarded twice"
refused "nothing" 'net =' "none or user"
