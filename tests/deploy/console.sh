#!/bin/bash
# SPDX-License-Identifier: MIT
# The console as a file: programs that read files read it, while the kernel runs and after.
. "$(dirname "$0")/../lib.sh"

mount_registry
instance u 'kernel = upper'
cd "$M/run/u" || exit 1
ok "launch" put fullVM deploy
exec 7>stdin # whoever inherits it is a writer too, so the readers below close it
# stdout, which nobody opens, goes to the console
tail -f console >"$T/early" 2>/dev/null 7>&- & # of an empty console: the case that tail(1) would take for a pipe
early=$!
within "$SLOW" bash -c "readlink /proc/$early/fd/* | grep -q 'u/console'"
cat console >"$T/cat" 7>&- &
cat=$!
tail -f console >"$T/tail" 2>/dev/null 7>&- &
tail -n +1 -f console >"$T/tail1" 2>/dev/null 7>&- &
grep --line-buffered THREE console >"$T/grep" 7>&- &
grep=$!
echo one >&7
wait_for "cat sees what comes" grep -q ONE "$T/cat"
echo two >&7
wait_for "and what comes next" grep -q TWO "$T/cat"
wait_for "tail -f sees it" grep -q TWO "$T/tail"
wait_for "so does one that came when there was nothing" grep -q TWO "$T/early"
cat console >"$T/late" 7>&- &
late=$!
wait_for "a later reader sees it from the start" grep -q ONE "$T/late"
ok "stat ends, with a true size" test "$(stat -c %s console)" -gt 0
is "head ends" "$(timeout "$SLOW" head -n 1 console | wc -l)" 1
ok "dd of one block ends" timeout "$SLOW" dd if=console of=/dev/null bs=16 count=1
timeout 2 cat console >"$T/timed"
is "timeout ends a reader" $? 124
echo three >&7
wait_for "grep --line-buffered" grep -q THREE "$T/grep"
exec 7>&-
wait_for "end of input ends the kernel" state_is u exited
is "its exit code" "$(cat wait)" 0
wait $cat
is "cat ends with it" $? 0
wait $late
wait $grep
is "both readers saw everything" "$(sha256sum <"$T/cat")" "$(sha256sum <"$T/late")"
wait_for "so did tail -n +1 -f" cmp "$T/cat" "$T/tail1"
is "the console is kept" "$(sha256sum <console)" "$(sha256sum <"$T/cat")"
ok "cp copies it" cp console "$T/cp"
is "the copy is right" "$(sha256sum <"$T/cp")" "$(sha256sum <"$T/cat")"
is "its size is true" "$(stat -c %s console)" "$(wc -c <"$T/cat")"
is "wc" "$(wc -c <console)" "$(wc -c <"$T/cat")"
is "tail -n" "$(tail -n 1 console)" "$(tail -n 1 "$T/cat")"
if command -v less >/dev/null; then
	is "less" "$(less console | sha256sum)" "$(sha256sum <"$T/cat")"
else
	skip "less" "no less"
fi
ok "grep -r over the mount ends" timeout "$SLOW" bash -c "grep -rl ONE '$M' | grep -q run/u/console"
ok "cp -r of an instance ends" timeout "$SLOW" cp -r "$M/run/u" "$T/u"
ok "the copy has the console" cmp "$T/u/console" "$T/cat"
cd / || exit 1
ok "rm -r" rm -r "$M/run/u"
