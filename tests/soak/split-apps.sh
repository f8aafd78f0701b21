#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016,SC2211
# splitVM at full size: every example in both modes; Debian's programs, and benchmarks that their sources carry, with the same
# results as here; memcached with SPLIT_PAIRS pairs. What is not installed is left out: racket, openjdk-17-jdk-headless, lua5.1.
# SQLITE_SOURCE and LUA_SOURCE: where sources of sqlite3 and lua5.1 are unpacked (apt-get source sqlite3 lua5.1).
# SPLIT_PARTS: which of the parts at the end, by default all.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../split.sh"

needs_splitvm reef
SLOW=${SPLIT_SLOW:-600}
mount_registry
chmod 755 "$T"
: >"$T/in"

# Here and there: the same output and status, and how long each took. stdin is $T/in; MEMORY, CPUS and FILES as in config.
now() { echo "${EPOCHREALTIME/[.,]/}"; }
same() { # NAME PROGRAM ARGUMENT...
	local name=$1 here there t0 t1 t2
	command -v "$2" >/dev/null || { skip "$name" "$2 is not installed"; return; }
	t0=$(now)
	here=$(cd /; "$2" "${@:3}" <"$T/in" 2>/dev/null | sed "${CUT:-}" | sha256sum; echo "${PIPESTATUS[0]}")
	t1=$(now)
	there=$(timeout "$SLOW" "$M"/kernels/reef/*/run -d splitVM -m "${MEMORY:-384M}" -c "${CPUS:-1}" ${FILES:+-o "files=$FILES"} \
		-o "exec=$(command -v "$2")" -- "${@:3}" <"$T/in" 2>"$T/err" | sed "${CUT:-}" | sha256sum; echo "${PIPESTATUS[0]}")
	t2=$(now)
	is "$name" "$there" "$here"
	printf '# here %d ms, in splitVM %d ms\n' $(((t1 - t0) / 1000)) $(((t2 - t1) / 1000))
	[ "$here" = "$there" ] || sed 's/^/# /' "$T/err" | head -n 20
}

# Each example that has both modes.
argument_of() {
	case $1 in
	fannkuch) echo 8 ;;
	nbody) echo 20000 ;;
	mandelbrot) echo 200 ;;
	matmul) echo 100 2 ;;
	spectral-norm) echo 200 ;;
	binary-trees) echo 12 ;;
	fasta) echo 20000 ;;
	reef) echo echo from reef ;;
	esac
}
both() { # KERNEL ARGUMENT...
	local k=$1 mode
	shift
	for mode in fullVM splitVM; do
		timeout "$SLOW" "$M/kernels/$k/"*/run -d $mode -- "$@" </dev/null 2>"$T/err" >"$T/$mode"
		echo "status $?" >>"$T/$mode"
	done
	is "$k $*: the same in both modes" "$(sha256sum <"$T/splitVM")" "$(sha256sum <"$T/fullVM")"
	like "$k $*: in order" "$(tail -n 1 "$T/splitVM")" 'status 0'
}
part_examples() {
	local conf k
	for conf in "$BUILD"/stage/*/kernel.conf; do
		grep -q '^modes.*splitVM' "$conf" || continue
		k=$(basename "$(dirname "$conf")")
		# shellcheck disable=SC2046
		both "$k" $(argument_of "$k")
	done
}

part_files() {
	seq 3000000 | head -c 20971520 >"$T/in"
	is "20 MiB" "$(stat -c %s "$T/in")" 20971520
	MEMORY=256M same "bzip2 of 20 MiB" bzip2
	MEMORY=256M same "xz -1 of 20 MiB" xz -1 -T1
	instance z 'kernel = reef' 'exec = /usr/bin/bzip2 -k /src/data' 'memory = 256M'
	cp "$T/in" "$M/run/z/src/data"
	ok "bzip2 -k, in an instance" put splitVM "$M/run/z/deploy"
	is "its status" "$(timeout "$SLOW" cat "$M/run/z/wait")" 0
	is "what it wrote is in out/" "$(sha256sum <"$M/run/z/out/src/data.bz2")" "$(bzip2 -c "$T/in" | sha256sum)"
	like "the calls that matter" "$(sed -n 2,3p "$M/run/z/syscalls" | cut -d' ' -f1 | sort | tr '\n' ' ')" 'read write'
	ok "they are all but a few of a hundred" awk 'NR > 1 { all += $2; if (NR < 4) most += $2 } END { exit most < 0.9 * all }' "$M/run/z/syscalls"
	: >"$T/in"
}

# Benchmarks of the programs' own sources.
part_sqlite3() {
	local set
	if ! [ -e "${SQLITE_SOURCE:-}/test/speedtest1.c" ] ||
		! gcc -O2 -w -o "$T/speedtest1" "$SQLITE_SOURCE/test/speedtest1.c" -lsqlite3; then
		skip "sqlite3: speedtest1" "SQLITE_SOURCE is not set, or has no test/speedtest1.c"
		return
	fi
	for set in main cte fp rtree orm; do # times differ
		MEMORY=256M CUT="s/ *[0-9]*[.][0-9]*s$//" same "sqlite3: speedtest1 --testset $set" "$T/speedtest1" --size 5 --verify --testset "$set"
	done
	CUT="s/ *[0-9]*[.][0-9]*s$//" same "sqlite3: speedtest1 in a file" "$T/speedtest1" --size 5 --verify --testset main "$T/speedtest.db"
}

part_lua() {
	local script
	[ -d "${LUA_SOURCE:-}/test" ] || { skip "lua: its scripts" "LUA_SOURCE is not set"; return; }
	for script in "$LUA_SOURCE"/test/{bisect,cf,factorial,fib,fibfor,hello,life,sieve,sort}.lua; do
		cp "$script" "$T"
		[ "${script##*/}" != life.lua ] || sed -i 's/generation>[0-9]*/generation>50/' "$T/life.lua"
		chmod 644 "$T/${script##*/}"
		CUT='s/[0-9]*[.][0-9]*\(e-[0-9]*\)*//g; s/[0-9]e-[0-9]*//g' FILES="$T/${script##*/}" same "lua: ${script##*/}" lua5.1 "$T/${script##*/}"
	done
}

part_python3() {
	FILES=$(/usr/bin/python3 -I -c 'import os; print(os.path.dirname(os.__file__))') same "python3: imports" /usr/bin/python3 -I -c '
import asyncio, base64, csv, ctypes, datetime, decimal, difflib, email, fractions, hashlib, heapq, html, http.client, inspect, itertools, json, logging, lzma, pickle, random, re, sqlite3, ssl, statistics, string, struct, tempfile, textwrap, threading, unittest, urllib.parse, uuid, xml.etree.ElementTree, zipfile, zlib
random.seed(4)
c = sqlite3.connect(":memory:")
print(c.execute("select 6 * 7").fetchall(), decimal.Decimal(1) / 7, hashlib.sha512(b"x").hexdigest(), random.random(), pickle.loads(pickle.dumps([1, 2])))
print(asyncio.run(asyncio.sleep(0.01, "slept")), len(zlib.compress(bytes(100000))), lzma.decompress(lzma.compress(b"reef")))'
}

part_racket() {
	cat >"$T/nbody.rkt" <<-'END'
		#lang racket/base
		(define (step x v n) (if (= n 0) (list x v) (let* ([a (- x)] [v (+ v (* a 0.001))] [x (+ x (* v 0.001))]) (step x v (- n 1)))))
		(displayln (step 1.0 0.0 2000000))
		(define h (make-hash))
		(for ([i 100000]) (hash-set! h (modulo (* i 7919) 10007) i))
		(displayln (list (hash-count h) (for/sum ([(k v) h]) v)))
		(displayln (expt 3 1000))
	END
	chmod 644 "$T/nbody.rkt"
	MEMORY=1G FILES="/usr/share/racket/collects /etc/racket /usr/lib/racket $T/nbody.rkt" same "racket" racket "$T/nbody.rkt"
}

part_java() {
	local java home how
	java=$(compgen -G '/usr/lib/jvm/java-17-openjdk-*/bin/java' | head -n 1)
	if [ -z "$java" ] || ! command -v javac >/dev/null; then
		skip "java" "openjdk-17-jdk-headless is not installed"
		return
	fi
	cat >"$T/Hello.java" <<-'END'
		import java.util.*;
		public class Hello {
			public static void main(String[] a) throws Exception {
				Map<Integer, Integer> m = new TreeMap<>();
				for (int i = 0; i < 100000; i++) m.merge(i % 1009, 1, Integer::sum);
				int[] sum = new int[1];
				Thread[] t = new Thread[4];
				for (int i = 0; i < 4; i++) (t[i] = new Thread(() -> { synchronized (sum) { sum[0] += 21; } })).start();
				for (Thread x : t) x.join();
				System.out.println("hello " + m.size() + " " + sum[0] + " " + String.join("+", List.of("a", "b")));
				try { Object o = null; o.hashCode(); } catch (NullPointerException e) { System.out.println("caught"); }
				System.gc();
				System.exit(3);
			}
		}
	END
	javac -d "$T" "$T/Hello.java" && chmod 644 "$T"/Hello*.class
	home=$(dirname "$(dirname "$java")")
	for how in "-Xint" "-XX:TieredStopAtLevel=1"; do
		MEMORY=1G FILES="$home /etc/java-17-openjdk $T/Hello.class" same "java $how" "$java" -Xmx64m "$how" -XX:+UseSerialGC -cp "$T" Hello
	done
}

part_memcached() {
	serve_memcached "${SPLIT_PAIRS:-100000}"
	put stop ctl
	cd / || exit 1
}

for part in ${SPLIT_PARTS:-examples files sqlite3 lua python3 racket java memcached}; do
	"part_$part"
done
wait_for "nothing is left" no_process 'qemu-system|/diverfs-splitvm '
