#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2211
# Linux programs as Debian ships them, unmodified, on reef in splitVM: the same results as here.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

needs_splitvm reef mksquashfs
mount_registry

on_reef() { # PROGRAM ARGUMENT...: with $OPTIONS
	local program=$1
	shift
	# shellcheck disable=SC2086
	timeout "$SLOW" "$M"/kernels/reef/*/run -d splitVM -m 256M ${OPTIONS:-} -o "exec=$program" -- "$@" 2>"$T/err"
}
# same PROGRAM ARGUMENT...: here and there; stdin is $T/in
same() {
	local program here there
	program=$(command -v "$1")
	shift
	[ -n "$program" ] || { skip "$1" "it is not installed"; return; }
	here=$("$program" "$@" <"$T/in" 2>/dev/null | sha256sum; echo "${PIPESTATUS[0]}")
	there=$(on_reef "$program" "$@" <"$T/in" | sha256sum; echo "${PIPESTATUS[0]}")
	is "$(basename "$program"): the same output and status" "$there" "$here"
}
: >"$T/in"

same busybox sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done; echo $i; exit 5'
seq 3000 >"$T/in"
same sort -rn
: >"$T/in"
same lua5.4 -e 'local t = {} for i = 1, 5000 do t[i] = (i * 7919) % 5003 end table.sort(t) print(t[1], t[5000], #t, ("x"):rep(5))'
same bash -c 'a=0; for ((i = 0; i < 500; i++)); do ((a += i)); done; echo $a; x=(1 2 3); echo "${#x[@]} ${x[@]:1}"; [[ foo =~ f(o+) ]] && echo "${BASH_REMATCH[1]}"; exit 9'
same sqlite3 :memory: 'create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) insert into t select x, x * x from c; create index i on t(b); select count(*), sum(b), max(a) from t where b % 7 = 0;'

if command -v gcc >/dev/null; then
	gcc -O2 -pthread -o "$T/threads" "$SOURCE/tests/kernels/threads/main.c" -lm
	chmod 755 "$T" "$T/threads"
	same "$T/threads" # dynamic, glibc, 8 threads
	OPTIONS='-c 2' same "$T/threads"
fi

# Real files, in src/, and what becomes of them, in out/.
if command -v bzip2 >/dev/null && command -v xz >/dev/null; then
	seq 400000 >"$T/data"
	instance z 'kernel = reef' 'exec = /usr/bin/bzip2 -k /src/data' 'memory = 256M'
	cd "$M/run/z" || exit 1
	cp "$T/data" src/data
	ok "deploy bzip2" put splitVM deploy
	is "its status" "$(cat wait)" 0
	is "what it wrote is in out/" "$(sha256sum <out/src/data.bz2)" "$(bzip2 -c "$T/data" | sha256sum)"
	like "syscalls: few that matter" "$(sed -n 2,3p syscalls | cut -d' ' -f1 | sort | tr '\n' ' ')" 'read write'
	like "syscalls.svg" "$(cat syscalls.svg)" '<rect.*'
	ok "xz instead" bash -c 'sed "s,bzip2 -k,xz -1 -k -T1," config >"$T/config" && cp "$T/config" config'
	ok "deploy xz" put splitVM deploy
	is "its status" "$(cat wait)" 0
	is "what it wrote is in out/" "$(xz -dc out/src/data.xz | sha256sum)" "$(sha256sum <"$T/data")"
	ok "a policy" put 'refuse openat,open /src' delegate
	ok "deploy with it" put splitVM deploy
	like "what it refuses, the program is not given" "$(cat wait)" '^[1-9]'
	like "which is logged" "$(cat events)" 'refused open'
	cd / || exit 1
else
	skip "bzip2 and xz" "not installed"
fi

fails "a program that is not there" "." "$M"/kernels/reef/*/run -d splitVM -o exec=/no/such -- </dev/null
like "is told" "$("$M"/kernels/reef/*/run -d splitVM -o exec=/no/such -- </dev/null 2>&1)" 'exec: /no/such'
