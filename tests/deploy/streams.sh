#!/bin/bash
# SPDX-License-Identifier: MIT
# stdin and stdout of an instance as pipes: order, end of input, back pressure, select, poll, epoll, timeouts.
. "$(dirname "$0")/../lib.sh"

pollcat=$TOOLS/deploy/pollcat
mount_registry
seq 20000 | sed 's/^/line /' >"$T/text"
tr a-z A-Z <"$T/text" >"$T/TEXT"
mkdir "$M/run/u" && echo 'kernel = upper' >"$M/run/u/config"
cd "$M/run/u" || exit 1

is "stdout of what does not run is at its end" "$(timeout "$SLOW" cat stdout | wc -c)" 0
fails "stdin of what does not run" "." timeout "$SLOW" bash -c 'echo x >stdin'

ok "launch" put fullVM deploy
cat stdout >"$T/out" &
ok "cp into stdin" timeout "$SLOW" cp "$T/text" stdin
wait $!
ok "cp > stdin, cat stdout" cmp "$T/out" "$T/TEXT"
is "exit" "$(timeout "$SLOW" cat wait)" 0

for how in select poll epoll; do
	ok "$how: launch" put fullVM deploy
	timeout "$SLOW" "$pollcat" read $how stdout >"$T/out" 2>"$T/pollerr" &
	ok "$how: write" timeout "$SLOW" bash -c "'$pollcat' write $how stdin <'$T/text'"
	wait $!
	is "$how: reader's status $(cat "$T/pollerr")" $? 0
	ok "$how: all came" cmp "$T/out" "$T/TEXT"
done

ok "launch" put fullVM deploy
dd if=stdout of="$T/out" bs=512 status=none &
ok "dd into stdin" timeout "$SLOW" dd if="$T/text" of=stdin bs=700 status=none
wait $!
ok "dd" cmp "$T/out" "$T/TEXT"

ok "launch" put fullVM deploy
exec 7>stdin 8<stdout
fails "stdout has one reader at a time" "[Bb]usy" timeout "$SLOW" head -c 1 stdout
echo first >&7
is "one line comes while stdin is open" "$(timeout "$SLOW" head -n 1 <&8)" FIRST
timeout 1 cat <&8
is "a reader with nothing to read waits" $? 124
( exec 9>stdin; echo second >&9 )
is "a second writer" "$(timeout "$SLOW" head -n 1 <&8)" SECOND
echo third >&7
is "whose close is not the end" "$(timeout "$SLOW" head -n 1 <&8)" THIRD
exec 7>&-
is "the last writer's is" "$(timeout "$SLOW" cat <&8 | wc -c)" 0
exec 8<&-
is "exit" "$(timeout "$SLOW" cat wait)" 0
fails "after it, writing fails" "." timeout "$SLOW" bash -c 'echo x >stdin'

# Back pressure: 8 MiB wait for a reader that comes late.
head -c 8388608 /dev/zero | tr '\0' 'a' >"$T/big"
ok "launch" put fullVM deploy
exec 8<stdout
timeout "$SLOW" cp "$T/big" stdin &
sleep 1
ok "the writer waits for the reader" kill -0 $!
is "nothing is lost" "$(timeout "$SLOW" cat <&8 | tr -d 'A' | wc -c)" 0
wait $!
is "the writer ended well" $? 0
exec 8<&-
is "exit" "$(timeout "$SLOW" cat wait)" 0
cd / || exit 1
ok "rm -r" rm -r "$M/run/u"
