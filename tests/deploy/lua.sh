#!/bin/bash
# SPDX-License-Identifier: MIT
# Lua and STREAM on reef: the script from stdin or -e, libraries, streams, status; bandwidth with checked results.
. "$(dirname "$0")/../lib.sh"

mount_registry
run() { local k=$1; shift; timeout "$SLOW" "$M"/kernels/"$k"/*/run "$@" 2>>"$T/err"; }

if [ -d "$M/kernels/stream" ]; then
	out=$(run stream -c 2 -- 200000 3)
	is "stream: its status" $? 0
	for loop in copy scale add triad; do like "stream: $loop" "$out" "$loop +[0-9]+\.[0-9] MB/s"; done
	like "stream: checked" "$out" "checked: 2 threads, 3 rounds over 200000 numbers"
	run stream -m 48M -- 1000000 1 >"$T/out"
	is "stream: memory_min is enough" $? 0
	run stream -- 100000000 >"$T/out"
	is "stream: too much for the memory" $? 1
	run stream -- 0 >"$T/out"
	is "stream: wrong arguments" $? 64
else
	skip "stream" "no musl-gcc"
fi

[ -d "$M/kernels/lua" ] || { skip "lua" "not in this registry (its source package could not be fetched: make lua)"; exit; }
is "lua: a script from stdin" "$(echo 'print(_VERSION, 6 * 7)' | run lua)" $'Lua 5.4\t42'
is "lua: -e, and stdin for the script" "$(seq 5 | run lua -- -e 'local s = 0; for n in io.lines() do s = s + n end; print(s)')" 15
is "lua: arguments" "$(echo 'print(table.concat(arg, "+"))' | run lua -- - 'a b' c)" "a b+c"
cat >"$T/script" <<'END'
local t = {}
for i = 1, 50000 do t[i] = (i * 7919) % 10007 end
table.sort(t)
local ordered = true
for i = 2, #t do ordered = ordered and t[i - 1] <= t[i] end
print(ordered, #t, t[1], t[#t])
print(string.format("%.10f %q %5.1f", math.pi, "a\nb", -2.25), ("abc"):rep(3, "-"), ("key=value"):match("(%w+)=(%w+)"))
local squares = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(squares(), squares(), squares())
print(pcall(error, { code = 5 }), select("#", pcall(function() local x = nil; return x.y end)))
print(math.type(1 // 1), math.maxinteger, 2 ^ 53, 7 // -2, 7 % -3, 1 / 0, math.floor(-3.5))
print(utf8.char(228, 8364), #utf8.char(8364), string.pack("<i4", 7):byte(1, -1))
collectgarbage()
print(io.read("n", "l", "L"))
print(io.read("a"))
io.write("no newline")
os.exit(7)
END
printf '12 x\ny\nrest' >"$T/in"
# A script on stdin is read to its end before it runs, so one that reads stdin comes by -e.
out=$(run lua -- -e "$(tr '\n' ' ' <"$T/script" | sed 's/ os.exit/; os.exit/')" <"$T/in"; echo " status $?")
is "lua: sorts" "$(sed -n 1p <<<"$out")" $'true\t50000\t0\t10006'
is "lua: strings" "$(sed -n 2,3p <<<"$out")" $'3.1415926536 "a\\\nb"  -2.2\tabc-abc-abc\tkey\tvalue'
is "lua: coroutines" "$(sed -n 4p <<<"$out")" $'1\t4\t9'
like "lua: errors are caught" "$(sed -n 5p <<<"$out")" '^false	2$'
is "lua: numbers" "$(sed -n 6p <<<"$out")" $'integer\t9223372036854775807\t9.007199254741e+15\t-4\t-2\tinf\t-4'
is "lua: bytes" "$(sed -n 7p <<<"$out")" $'ä€\t3\t7\t0\t0\t0'
is "lua: reads" "$(sed -n 8,10p <<<"$out")" $'12\t x\ty\n\nrest'
is "lua: writes, and its status" "$(sed -n 11p <<<"$out")" "no newline status 7"
run lua -- -e 'error("it broke")' </dev/null
is "lua: the status of an error" $? 1
like "lua: which stderr tells" "$(cat "$T/err")" "it broke"
run lua -m 16M -- -e 'local t = {} for i = 1, 1e9 do t[i] = i end' </dev/null
is "lua: memory that ends is an error of Lua's" "$? $(grep -c 'not enough memory' "$T/err")" "1 1"
