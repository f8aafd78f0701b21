# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# shellcheck disable=SC2211
#
# split.sh: part of bench: Linux's programs, the same files, in three places: on reef in splitVM; natively in the ROS of the same
# splitVM, as a child of a program on reef that waits for it (guest/natively.c); and on the same Linux in fullVM. One CPU each.
# Times are taken inside the machine, in turns; of all rounds the median counts. Each program prints lines: NUMBER UNIT what.
#
#   SPLIT    parts to run (start programs costs calls bzip2 racket); ONLY=split-calls is the same as ONLY=split SPLIT=calls
#   GUESTS   a directory where the programs and kernels are kept for the next time (else they are made anew)

SPLIT=${SPLIT:-start programs costs calls bzip2 racket}
PLACES="split ros full"

# --- the three places: PROGRAM ARGUMENT... ; BESIDE: what it needs beside it, in splitVM ---

run_split() { "$M/kernels/reef"/*/run -d splitVM -c 1 -o 'ros_memory = 1G' -o 'ros_cpus = 1' "$@" </dev/null; }
on_split() {
	run_split -m 512M -o "files = ${BESIDE:-}" -o "exec = $1" -- "${@:2}"
}
on_ros() {
	local libraries
	libraries=$(ldd "$1" 2>/dev/null | sed -n 's,^[^/]*\(/[^ ]*\) .*,\1,p')
	# shellcheck disable=SC2086
	run_split -m 64M -o "files = ${BESIDE:-} $1 $(echo $libraries)" -o "exec = $G/bin/natively" -- "$@"
}
on_full() {
	"$M/kernels/linux"/*/run -c 1 -m 1G -o 'machine = pc' -- "$@" </dev/null
}

# --- what is run there ---

split_compile() {
	local name t=$G/objects
	mkdir -p "$t"
	while read -r name; do
		gcc -O2 -std=gnu11 "-Dmain=main_$name" -c -o "$t/$name.o" "examples/kernels/${name//_/-}/app/main.c" || return 1
	done < <(sed -n 's/^#define PROGRAMS(P) //p' tests/bench/guest/shootout.c | tr -d 'P()' | tr ' ' '\n')
	gcc -O2 -std=gnu11 -static -s -o "$G/bin/shootout" tests/bench/guest/shootout.c "$t"/*.o -lm || return 1
	for name in costs delegate natively; do
		gcc -O2 -std=gnu11 -static -s -o "$G/bin/$name" "tests/bench/guest/$name.c" -pthread || return 1
	done
	for name in shootout costs delegate natively; do split_file "$G/bin/$name"; done
	split_file "$(command -v bzip2)"
	split_libraries "$(command -v bzip2)"
	split_file "$G/input"
}

# Lines for the initramfs.
split_file() { # FILE [PATH]
	local path=${2:-${1#/}}
	dirname "$path" | awk -F/ '$0 != "." { for (i = 1; i <= NF; i++) print "dir " (d = d (d ? "/" : "") $i) }'
	echo "file $path 755 $1"
}
split_libraries() { # PROGRAM
	local file
	ldd "$1" | sed -n 's,^[^/]*\(/[^ ]*\) .*,\1,p' | while read -r file; do split_file "$file"; done
}

# What racket/base needs, and the programs, compiled.
split_racket_files() {
	local collects=/usr/share/racket/collects
	echo $collects/{racket,syntax} /etc/racket /usr/lib/racket/compiled$collects/{racket,syntax} /usr/lib/racket/{petite,scheme,racket}.boot "$G/racket"
}
split_racket_list() {
	mkdir -p "$G/racket"
	cp tests/bench/guest/shootout.rkt "$G/racket" && raco make "$G/racket/shootout.rkt" || return 1
	split_file "$(command -v racket)"
	split_libraries "$(command -v racket)"
	# shellcheck disable=SC2046
	find $(split_racket_files) -type f | while read -r file; do split_file "$file"; done
}

# Linux with the programs.
split_guests() {
	local line
	mkdir -p "$G/bin" || return 1
	head -c $((10 << 20)) /dev/urandom | od -An -tx1 -v | head -c $((20 << 20)) >"$G/input"
	split_compile >"$G/list" || return 1
	if [[ -n ${GUESTS:-} || " $SPLIT " == *" racket "* ]] && command -v raco >/dev/null; then
		split_racket_list >>"$G/list" || return 1
	fi
	awk '!seen[$1 $2]++' "$G/list" >"$G/list.once"
	cp -r "$BUILD/stage/linux" "$G/linux"
	(echo; echo "cat '$G/list.once'") >>"$G/linux/src/list"
	make -s -C "$G/linux/src" OUT="$G/linux/images" </dev/null >"$G/log" 2>&1 || { cat "$G/log"; return 1; }
	for line in "$G/linux" "$BUILD/stage/reef" "$BUILD/stage/ros"; do
		"$BUILD/bin/diverfs" publish "$line" "$G/layout" >/dev/null || return 1
	done
	chmod -R go+rX "$G"
	: >"$G/made"
}

# --- rows of three ---

three_columns() { printf '%-44s %10s %10s %10s %7s  %s\n' "$@"; }

# From what was printed in the three places, all rounds.
three() { # HEADING AIM [WHAT AIM]
	three_columns "$1" splitVM ROS fullVM ratio "splitVM to ROS"
	tr -d '\r' <"$T/three.split" | awk -v aim="$2" -v only="${3:-}" -v its="${4:-}" '
	function median(what, place,    n, i, j, v) {
		n = count[what, place]
		for (i = 1; i <= n; i++) {
			for (j = i; j > 1 && v[j - 1] > all[what, place, i]; j--)
				v[j] = v[j - 1]
			v[j] = all[what, place, i]
		}
		return n ? v[int((n + 1) / 2)] : 0
	}
	$2 !~ /^(ns|ms|MB\/s)$/ || $1 !~ /^[0-9]+$/ { next }
	{
		value = $1 + 0
		unit = $2
		$1 = $2 = ""
		what = substr($0, 3)
		sub(/\r$/, "", what)
		if (!(what in units))
			names[++rows] = what
		units[what] = unit
		all[what, FILENAME, ++count[what, FILENAME]] = value
	}
	END {
		for (i = 1; i <= rows; i++) {
			what = names[i]
			s = median(what, ARGV[1])
			r = median(what, ARGV[2])
			f = median(what, ARGV[3])
			ratio = s && r ? sprintf("%.2f", units[what] == "MB/s" ? r / s : s / r) : "-"
			goal = what == only ? its : aim
			printf "%-44s %10s %10s %10s %7s  %s%s\n", what, s ? s : "-", r ? r : "-", f ? f : "-", ratio, \
				units[what], goal ? "; aim: " goal : ""
		}
	}' - "$T/three.ros" "$T/three.full"
}

# In turns, in the three places.
split_turns() { # PROGRAM ARGUMENT...
	local i k
	rm -f "$T"/three.*
	for ((i = 0; i < ROUNDS; i++)); do
		for k in $PLACES; do "on_$k" "$@" >"$T/out" 2>"$T/err"; cat "$T/out" "$T/err" >>"$T/three.$k"; done
	done
}

split_start() {
	rm -f "$T"/first.*
	for ((i = 0; i < ROUNDS; i++)); do
		"$clock" first "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/shootout" -- mandelbrot:1 >>"$T/first.split"
		"$clock" first "$M/kernels/linux"/*/run -c 1 -m 1G -o 'machine = pc' -- "$G/bin/shootout" mandelbrot:1 >>"$T/first.linux"
		ms "$M/kernels/reef"/*/run -d splitVM -o exec="$G/bin/shootout" -- mandelbrot:1 >>"$T/first.exit"
	done 2>/dev/null </dev/null
	row "splitVM: launch to a program's first output" "$(median <"$T/first.split")" "$(median <"$T/first.linux")" ms \
		"the same on Linux" "under 3000 ms"
	row "splitVM: launch to its exit" "$(median <"$T/first.exit")" - ms "" "under 2500 ms"
	mkdir "$M/run/prompt"
	echo 'kernel = reef' >"$M/run/prompt/config"
	rm -f "$T/prompt"
	for ((i = 0; i < ROUNDS; i++)); do "$clock" prompt "$M/run/prompt" splitVM >>"$T/prompt"; done
	row "splitVM: deploy to the shell's prompt" "$(median <"$T/prompt")" - ms "" "under 3000 ms"
	rmdir "$M/run/prompt"
}

split_programs() {
	# shellcheck disable=SC2086
	split_turns "$G/bin/shootout" $programs
	three "a program's time, one CPU" 1.05
}

split_costs() {
	split_turns "$G/bin/costs"
	three "threads, memory, time, one CPU" "less than 1"
}

split_calls() {
	split_turns "$G/bin/delegate"
	three "calls that Linux serves" "" getppid 2.5
}

split_racket() {
	[ -d "$G/racket" ] || { echo "racket is left out: it is not installed"; return; }
	BESIDE=$(split_racket_files) split_turns "$(command -v racket)" "$G/racket/shootout.rkt"
	three "Debian's racket, one CPU" 1.05
}

# It says nothing itself of its time: natively does, but on reef, where it is the time of a machine less that of one that packs nothing.
split_bzip2() {
	local i k file
	: >"$G/empty"
	rm -f "$T"/bz.* "$T"/three.*
	for ((i = 0; i < ROUNDS; i++)); do
		for file in input empty; do
			BESIDE=$G/$file ms on_split /usr/bin/bzip2 -k "$G/$file" >>"$T/bz.$file"
		done
		BESIDE=$G/input on_ros /usr/bin/bzip2 -k "$G/input" >"$T/bz.ros" 2>&1
		on_full "$G/bin/natively" /usr/bin/bzip2 -k "$G/input" >"$T/bz.full" 2>&1
		for k in ros full; do sed -n 's/^it ran \([0-9]*\) ms.*/\1 ms bzip2 -k of 20 MiB/p' "$T/bz.$k" >>"$T/three.$k"; done
	done 2>/dev/null
	echo "$(($(median <"$T/bz.input" | cut -d. -f1) - $(median <"$T/bz.empty" | cut -d. -f1))) ms bzip2 -k of 20 MiB" >"$T/three.split"
	three "Debian's bzip2, one CPU" 1.05
}

split() {
	if [ ! -e "$BUILD/stage/ros/kernel.conf" ] || [ ! -e "$BUILD/stage/linux/images/vmlinuz" ]; then
		echo "splitVM is left out: the kernels ros and linux (make ros linux) are not there"
		return
	fi
	G=${GUESTS:-$T/guests}
	[ -e "$G/made" ] || split_guests || { echo "bench: the programs were not built" >&2; return; }
	mount_it "$G/layout"
	for part in $SPLIT; do "split_$part"; done
	unmount_it
	[ -n "${GUESTS:-}" ] || rm -rf "$G"
}
