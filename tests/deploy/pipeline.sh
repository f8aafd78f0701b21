#!/bin/bash
# SPDX-License-Identifier: MIT
# Instances joined by cat and grep, as on the slides.
. "$(dirname "$0")/../lib.sh"

mount_registry
cd "$M/run" || exit 1
for i in sort upper count; do
	instance $i "kernel = $i"
done
for i in sort upper count; do
	ok "$i is launched" put fullVM $i/deploy
done
grep -v drop <sort/stdout >upper/stdin &
cat upper/stdout >count/stdin &
cat count/stdout >"$T/counted" &
printf '%s\n' c drop a b >sort/stdin
for i in sort upper count; do
	is "$i exits" "$(timeout "$SLOW" cat $i/wait)" 0
done
wait
is "what came out" "$(tr -s ' \t' ' ' <"$T/counted" | sed 's/^ //')" "3 3 6"
cd / || exit 1
ok "rm -r" rm -r "$M/run/sort" "$M/run/upper" "$M/run/count"
is "nothing is left" "$(ls "$M/run")" new
